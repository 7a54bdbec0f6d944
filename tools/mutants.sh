#!/bin/bash
# tools/mutants.sh [NAME ...]: known mistakes, built in one at a time; the test named beside each must
# fail. A mistake that survives says that the test has stopped looking, not that the mistake is fine.
#
# A row of tests/mutants.list is `mistake target ctest-name`. Prints `caught`, `SURVIVED` or `BROKEN`
# (does not build, or is no longer spelled in any source) per row; succeeds when all were caught.
# Builds in build-mut/: only the files that spell MUT_mistake differ, so a mistake costs seconds.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

dir=build-mut
jobs=${JOBS:-$(nproc)}
rc=0
mkdir -p build-logs

# Marks stay off and checks on: the mistake has to be caught by what the test claims.
build_with() {
    cmake -S . -B $dir -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 -DPIRENE_MUT="$1" &&
        ninja -C $dir -j "$jobs" "$2"
}

try() {
    local mistake=$1 target=$2 name=$3
    if ! build_with "$mistake" "$target" >build-logs/mut-build.log 2>&1; then
        echo "BROKEN $mistake: does not build"
        tail -n 15 build-logs/mut-build.log | sed 's/^/  | /'
        return 1
    fi
    # A test that isn't there fails too: ask first.
    if ! ctest --test-dir $dir -N -R "^$name\$" | grep -q 'Total Tests: 1'; then
        echo "BROKEN $mistake: ctest knows no $name"
        return 1
    fi
    if ctest --test-dir $dir -R "^$name\$" --timeout 120 >build-logs/mut-build.log 2>&1; then
        echo "SURVIVED $mistake: $name is green with it"
        return 1
    fi
    echo "caught $mistake by $name"
}

while read -r mistake target name; do
    case $mistake in '' | '#'*) continue ;; esac
    if [ $# -gt 0 ] && [[ " $* " != *" $mistake "* ]]; then continue; fi
    try "$mistake" "$target" "$name" </dev/null || rc=1
done <tests/mutants.list
exit $rc
