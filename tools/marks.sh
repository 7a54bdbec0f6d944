#!/bin/bash
# tools/marks.sh MET: is every MARK of the sources in one of the two lists, and did the stories meet what the
# simulator's sweep cannot? MET is the file to which the stories added what they have met, one a line
# (tests/base/tell_marks.c). The sweep looks after its own list (sim_sweep --must-meet). A row that begins
# with "? " is known to be met by nobody.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

met=$1
rc=0
rows() { grep -hvE '^(#|$)' "$@" | sed 's/^? //' | sort -u; }
written() { grep -rhoE 'MARK\("[^"]+"\)' src sim --include=*.c | sed 's/^MARK("//; s/")$//' | sort -u; }

while read -r name; do
    echo "in neither list: $name" && rc=1
done < <(comm -23 <(written) <(rows tests/markers.list tests/sim/markers.list))
while read -r name; do
    echo "in a list, but in no source: $name" && rc=1
done < <(comm -13 <(written) <(rows tests/markers.list tests/sim/markers.list))
while read -r name; do
    echo "NEVER MET by a story: $name" && rc=1
done < <(comm -23 <(grep -v '^?' tests/markers.list | rows -) <(sort -u "$met"))
exit $rc
