#!/bin/bash
# tools/packages.sh build|test|lint|bench: see that what a make target needs is on this machine.
#
# On Debian 12 it prints the packages that are missing and installs them; when nothing is missing it
# says nothing and takes milliseconds. Elsewhere it says what we need, under which names, and fails
# only when pkg-config or the path lack it.
set -euo pipefail

what=${1:?usage: packages.sh build|test|lint|bench}

compiler="gcc g++ libc6-dev cmake ninja-build pkg-config python3"
libraries="librocksdb-dev libuv1-dev libraft-dev libmicrohttpd-dev libjansson-dev libinih-dev
           libisal-dev libedit-dev libcmocka-dev"
analysers="clang clang-format clang-tidy"

# What each target needs in Debian's words, and in everybody's: programs on the path, pkg-config names.
case $what in
build)
    packages="$compiler $libraries"
    programs="cc c++ cmake ninja pkg-config python3" ;;
lint)
    packages="$compiler $libraries $analysers git binutils"
    programs="cc c++ cmake ninja pkg-config clang clang-format clang-tidy git nm" ;;
test)
    packages="$compiler $libraries $analysers libclang-rt-14-dev llvm git binutils procps
              python3-venv python3-pip ca-certificates"
    # Pegasus's Go client wants a Go, whoever packed it.
    command -v go >/dev/null || packages+=" golang-go"
    programs="cc c++ cmake ninja pkg-config clang clang-format clang-tidy git nm python3" ;;
bench)
    packages="$compiler $libraries procps redis-server redis-tools"
    programs="cc c++ cmake ninja pkg-config python3 redis-server redis-benchmark" ;;
*)
    echo "packages.sh: nobody needs '$what'" >&2
    exit 2 ;;
esac
packages=$(echo $packages) # One line, single spaces.
modules="rocksdb libuv raft libmicrohttpd jansson inih libisal libedit cmocka"

is_debian_12() {
    command -v apt-get dpkg-query >/dev/null &&
        ( . /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ] ) 2>/dev/null
}

# The packages of our list that dpkg doesn't know as installed.
missing_packages() {
    # shellcheck disable=SC2086 # A list of words.
    { dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages 2>/dev/null || true; } |
        awk -v want="$packages" '
            $2 == "installed" { have[$1] = 1 }
            END { n = split(want, w); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }'
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else
        echo "Not root, and there is no sudo. Please run as root: $*" >&2
        exit 1
    fi
}

install_packages() {
    local missing=$1
    echo "Debian packages needed for 'make $what' and not here yet:"
    echo "$missing" | sed 's/^/    /'
    local apt="env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends"
    # The index is fetched only when it can't name what we want.
    # shellcheck disable=SC2086
    if ! apt-cache show --no-all-versions $missing >/dev/null 2>&1; then
        as_root apt-get -q update
    fi
    # shellcheck disable=SC2086
    if ! as_root $apt install $missing; then
        echo "An index that is too old names files that are gone: once more, with a new one."
        as_root apt-get -q update
        as_root $apt install $missing
    fi
}

# Another system: name what is absent, in words that its own packager can be searched for.
check_elsewhere() {
    local absent=""
    for program in $programs; do
        command -v "$program" >/dev/null || absent+="    program      $program"$'\n'
    done
    for module in $modules; do
        pkg-config --exists "$module" 2>/dev/null || absent+="    pkg-config   $module"$'\n'
    done
    [ -z "$absent" ] && return 0
    cat >&2 <<END
This is not Debian 12, so nothing was installed. 'make $what' needs, and doesn't find:
${absent}On Debian 12 these are the packages:
$(echo $packages | fold -s -w 90 | sed 's/^/    /')
Versions known to work: RocksDB 7.8, libuv 1.44, C-Raft 0.15, cmake 3.18 or newer.
END
    return 1
}

if is_debian_12; then
    missing=$(missing_packages)
    [ -z "$missing" ] || install_packages "$missing"
else
    check_elsewhere
fi
