#!/bin/bash
# tools/mutants.sh [NAME ...]: known mistakes, built in one at a time; the test named beside each must
# fail. A mistake that survives says that the test has stopped looking, not that the mistake is fine.
#
# A row of tests/mutants.list is `mistake target ctest-name`. Before any mistake is made, each test must be
# green; then per row one line:
#
#     caught     the test failed, as it should
#     SURVIVED   it is green
#     TIMED OUT  it said neither, and was ended: that catches nothing
#     BROKEN     it is red without the mistake too, or ctest doesn't know it; or the mistake does not build,
#                or is no longer spelled in any source
#
# Succeeds when all were caught. Builds in build-mut/: only the files that spell MUT_mistake differ, so a
# mistake costs seconds.
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

# run NAME: 0 green, 1 red, 2 ended for taking too long.
run() {
    ctest --test-dir $dir -R "^$1\$" --timeout 120 >build-logs/mut-run.log 2>&1 && return 0
    grep -q '\*\*\*Timeout' build-logs/mut-run.log && return 2
    return 1
}

# broken MISTAKE WHY LOG
broken() {
    echo "BROKEN $1: $2"
    tail -n 15 "$3" | sed 's/^/  | /'
}

# Is the test green as the code is? Asked once for each.
declare -A sound
is_sound() {
    local mistake=$1 target=$2 name=$3
    [ "${sound[$name]:-}" = yes ] && return 0
    if ! build_with "" "$target" >build-logs/mut-build.log 2>&1; then
        broken "$mistake" "$target does not build without it either" build-logs/mut-build.log
    elif ! ctest --test-dir $dir -N -R "^$name\$" | grep -q 'Total Tests: 1'; then
        echo "BROKEN $mistake: ctest knows no $name"
    elif ! run "$name"; then
        broken "$mistake" "$name is not green without it either" build-logs/mut-run.log
    else
        sound[$name]=yes
        return 0
    fi
    return 1
}

try() {
    local mistake=$1 target=$2 name=$3
    if ! build_with "$mistake" "$target" >build-logs/mut-build.log 2>&1; then
        broken "$mistake" "does not build" build-logs/mut-build.log
        return 1
    fi
    run "$name"
    case $? in
    0) echo "SURVIVED $mistake: $name is green with it" && return 1 ;;
    1) echo "caught $mistake by $name" ;;
    2) echo "TIMED OUT $mistake: $name neither failed nor ended" && return 1 ;;
    esac
}

# All tests first, all mistakes then: each file is built once as it is, and once with its mistake.
rows=()
while read -r mistake target name; do
    case $mistake in '' | '#'*) continue ;; esac
    if [ $# -gt 0 ] && [[ " $* " != *" $mistake "* ]]; then continue; fi
    if is_sound "$mistake" "$target" "$name" </dev/null; then rows+=("$mistake $target $name"); else rc=1; fi
done <tests/mutants.list
for row in "${rows[@]}"; do
    # shellcheck disable=SC2086 # Three words.
    try $row </dev/null || rc=1
done
exit $rc
