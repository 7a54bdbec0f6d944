#!/bin/bash
# tools/lint.sh [--only format|layering|tidy] [BUILD]: what a machine can say about the shape of things.
#
#     layering   the arrows between the rooms (tools/layering.sh)
#     format     clang-format has nothing to change
#     tidy       clang-tidy has nothing to say about src and fuzz; .clang-tidy has the questions
#
# That results which can be failures aren't ignored is the compiler's to say: MUST_CHECK in base/err.h.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

only=all
if [ "${1:-}" = --only ]; then
    only=$2
    shift 2
fi
build=${1:-build}
jobs=${JOBS:-$(nproc)}

check_layering() {
    tools/layering.sh "$build"
}

check_format() {
    tools/format.sh --check
}

# The compilation database says with which flags; it is there once cmake has run.
check_tidy() {
    [ -f "$build/compile_commands.json" ] || cmake -S . -B "$build" -G Ninja >/dev/null || return 1
    local files
    files=$(git ls-files 'src/*.c' 'fuzz/*.c')
    # What is not in the database isn't built with tests, and has no flags to be read with.
    files=$(for file in $files; do
        grep -q "/$file\"" "$build/compile_commands.json" && echo "$file"
    done)
    # shellcheck disable=SC2086 # Files are words.
    printf '%s\n' $files | xargs -P "$jobs" -n 8 clang-tidy --quiet -p "$build" 2>/dev/null ||
        { echo "clang-tidy: see above"; return 1; }
    echo "clang-tidy: nothing to say about $(echo "$files" | wc -l) files"
}

rc=0
for check in layering format tidy; do
    if [ "$only" = all ] || [ "$only" = "$check" ]; then "check_$check" || rc=1; fi
done
exit $rc
