# A thin door to CMake. What each command needs on a bare Debian 12 it asks for by name and installs.
BUILD ?= build
JOBS ?= $(shell nproc)
CMAKE_FLAGS ?=

.PHONY: all build demo cluster cluster-stop test bench format lint clean help
all: build

build: ## Build everything into build/
	@tools/packages.sh build
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo $(CMAKE_FLAGS) >/dev/null
	@ninja -C $(BUILD) -j $(JOBS)

demo: build ## Two clusters, one link, the last write arrives in milliseconds
	@tools/demo.sh $(BUILD)

cluster: build ## Three servers on this machine, and a table that outlives any one of them
	@tools/cluster.sh start $(BUILD)

cluster-stop: ## Stop them
	@tools/cluster.sh stop $(BUILD)

test: ## Every test that a machine without special rights can run
	@tools/packages.sh test
	@tools/test.sh

bench: build ## Measure, beside RocksDB and Redis; figures go to bench/
	@tools/packages.sh bench
	@tools/bench.sh $(BUILD)

format: ## Put the sources into our shape
	@tools/packages.sh lint
	@tools/format.sh

lint: build ## Shape, clang-tidy, and the layering of the rooms
	@tools/packages.sh lint
	@tools/lint.sh $(BUILD)

clean: ## Remove what was built
	rm -rf build build-*

help: ## This
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
