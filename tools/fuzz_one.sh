#!/bin/bash
# tools/fuzz_one.sh BUILD TARGET SECONDS LOGS: one libFuzzer target, from its corpus and from the inputs
# that once broke it. New inputs go to a directory of the build, a crash becomes BUILD/crash-*; move
# it to fuzz/regress/TARGET/ and every later ctest replays it.
set -uo pipefail
dir=$1 target=$2 seconds=$3 logs=$4

found=$dir/found/$target
mkdir -p "$found"
seeds=()
for seed in "fuzz/corpus/$target" "fuzz/regress/$target"; do
    [ -d "$seed" ] && seeds+=("$seed")
done
"$dir/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$dir/crash-$target-" "$found" "${seeds[@]}" >"$logs/fuzz-$target.log" 2>&1 ||
    touch "$logs/fuzz-$target.failed"
