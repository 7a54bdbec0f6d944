#!/bin/bash
# tools/format.sh [--check]: put the sources into the shape of .clang-format, or only say which aren't.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

list() { git ls-files -z -- '*.c' '*.h'; }

if [ "${1:-}" = --check ]; then
    wrong=$(list | xargs -0 clang-format --dry-run -Werror 2>&1 |
        sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: .*/\1/p' | sort | uniq -c)
    [ -z "$wrong" ] && { echo "format: every source is in shape"; exit 0; }
    echo "$wrong"
    echo "format: the files above want 'make format' (places, file)"
    exit 1
fi
list | xargs -0 clang-format -i
