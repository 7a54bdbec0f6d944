#!/bin/bash
# tools/test.sh [STAGE ...]: every test that a machine without special rights can run; what `make test`
# runs. Without arguments all the stages, in this order:
#
#     release   gcc, optimised, as shipped: all of ctest                        build/
#     asan      clang, address and undefined sanitizers, marks counted: ctest   build-asan/
#     tsan      clang, thread sanitizer: the tests that link the real world     build-tsan/
#     fuzz      each libFuzzer target for a few seconds, from its corpus        build-fuzz/
#     sweep     the simulator over many seeds                           build/, build-asan/
#     mutants   known mistakes, each of which its test must catch               build-mut/
#     lint      shape, layering, clang-tidy
#
# Every stage prints one line with its time; what a stage wrote is kept in build-logs/ and shown when
# something failed. The last line is `N passed, N failed, N skipped`, and the exit status agrees.
#
# Environment: JOBS (as many as processors), FUZZ_SECONDS (6), SWEEP_SECONDS (60), SWEEP_FROM
# (2000, the first seed), SWEEP_COUNT (700).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

JOBS=${JOBS:-$(nproc)}
FUZZ_SECONDS=${FUZZ_SECONDS:-6}
SWEEP_SECONDS=${SWEEP_SECONDS:-60}
MARK_COUNT=120 # Seeds: enough for every row of tests/sim/markers.list.
logs=build-logs
mkdir -p $logs

passed=0 failed=0 skipped=0
stage_began=0

# ---- the account -----------------------------------------------------------------------------------

begin() {
    stage_began=$SECONDS
    printf '== %-8s %s\n' "$1" "$2"
}

# Adds to the sums and closes the stage's line: passed, failed, skipped.
end() {
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    printf '   %d passed, %d failed, %d skipped   %d s\n' "$1" "$2" "$3" $((SECONDS - stage_began))
}

# A stage that could not be run on this machine is said aloud, never silently green.
loud_skip() {
    printf '   !! SKIPPED: %s\n' "$1"
    skipped=$((skipped + 1))
}

show_end_of() {
    sed 's/^/   | /' "$1" | tail -n "${2:-40}"
}

# ---- building and running --------------------------------------------------------------------------

# build DIR LOG "TARGETS" CMAKE-ARGUMENT...: 0 when everything was built.
build() {
    local dir=$1 log=$2 targets=$3
    shift 3
    # shellcheck disable=SC2086 # Targets are words.
    if ! { cmake -S . -B "$dir" -G Ninja "$@" && ninja -C "$dir" -j "$JOBS" -k 0 $targets; } >"$log" 2>&1
    then
        grep -E 'error|FAILED|undefined reference' "$log" | head -20 | sed 's/^/   | /'
        echo "   did not build: $log"
        return 1
    fi
}

# run_ctest DIR LOG CTEST-ARGUMENT...: runs, counts, and shows what failed.
run_ctest() {
    local dir=$1 log=$2
    shift 2
    calmly ctest --test-dir "$dir" -j "$JOBS" --output-on-failure "$@" >"$log" 2>&1
    local counts
    counts=$(awk '
        /^ *[0-9]+\/[0-9]+ Test +#[0-9]+:/ {
            if (/ Passed +[0-9.]+ sec/) p++
            else if (/\*\*\*Skipped/) s++
            else f++
        }
        END { print p + 0, f + 0, s + 0 }' "$log")
    # shellcheck disable=SC2086 # Three numbers.
    set -- $counts
    if [ "$2" -gt 0 ] || [ "$(($1 + $3))" = 0 ]; then
        show_end_of "$log" 120
        [ "$2" -gt 0 ] || set -- "$1" 1 "$3" # Nothing ran at all: that is no success.
    fi
    grep -E '\*\*\*Skipped' "$log" | sed 's/^ */   !! SKIPPED: /'
    # A test that could do a part of what it wanted only says so in its output.
    local part parts=0
    while read -r part; do
        printf '   !! SKIPPED: %s\n' "$part"
        parts=$((parts + 1))
    done < <(grep -hoE 'SKIPPED: .*' "$dir/Testing/Temporary/LastTest.log" 2>/dev/null | sed 's/^SKIPPED: //')
    end "$1" "$2" "$(($3 + parts))"
}

# The sanitizers of clang 14 die at random where the kernel spreads mappings over 32 bits.
calmly() {
    if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ] &&
        setarch -R true 2>/dev/null; then
        setarch -R "$@"
    else
        "$@"
    fi
}

# ---- the stages ------------------------------------------------------------------------------------

stage_release() {
    begin release "gcc, optimised: all of ctest"
    build build $logs/release-build.log "" -DCMAKE_BUILD_TYPE=RelWithDebInfo || { end 0 1 0; return; }
    run_ctest build $logs/release.log
}

stage_asan() {
    begin asan "clang, ASan and UBSan, marks on"
    build build-asan $logs/asan-build.log "" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 \
        -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
        -DPIRENE_SANITIZE=address -DPIRENE_MARKS=ON || { end 0 1 0; return; }
    rm -f $logs/marks-met && touch $logs/marks-met
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
        UBSAN_OPTIONS=print_stacktrace=1 MARKS_MET=$PWD/$logs/marks-met \
        run_ctest build-asan $logs/asan.log
    begin marks "rare situations: each is met by a story, or by the sweep"
    if tools/marks.sh $logs/marks-met >$logs/marks.log 2>&1; then
        end 1 0 0
    else
        show_end_of $logs/marks.log
        end 0 1 0
    fi
}

stage_tsan() {
    begin tsan "clang, TSan: what has threads"
    build build-tsan $logs/tsan-build.log threads -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 \
        -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
        -DPIRENE_SANITIZE=thread || { end 0 1 0; return; }
    TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp:halt_on_error=1:second_deadlock_stack=1" \
        run_ctest build-tsan $logs/tsan.log -L threads -E '^test_rocks$'
    # test_rocks kills its own forks while the sanitizer is still spelling out what it suppresses.
}

stage_fuzz() {
    begin fuzz "libFuzzer, $FUZZ_SECONDS s per target"
    build build-fuzz $logs/fuzz-build.log fuzzers -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 \
        -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
        -DPIRENE_SANITIZE=address -DPIRENE_FUZZ=ON -DPIRENE_TESTS=OFF || { end 0 1 0; return; }
    local p=0 f=0 target
    # As many at a time as there are jobs; each leaves its verdict as a file.
    rm -f $logs/fuzz-*.failed
    for target in build-fuzz/fuzz/fz_*; do
        [ -f "$target" ] && [ -x "$target" ] && echo "${target##*/}"
    done | xargs -P "$JOBS" -I{} tools/fuzz_one.sh build-fuzz {} "$FUZZ_SECONDS" $logs
    for target in build-fuzz/fuzz/fz_*; do
        [ -f "$target" ] && [ -x "$target" ] || continue
        if [ -e "$logs/fuzz-${target##*/}.failed" ]; then
            f=$((f + 1))
            echo "   failed: ${target##*/}"
            show_end_of "$logs/fuzz-${target##*/}.log" 40
        else
            p=$((p + 1))
        fi
    done
    [ $((p + f)) -gt 0 ] || f=1
    end $p $f 0
}

# The same seeds every time, so that a change is judged by itself. New ones: SWEEP_FROM=${RANDOM}000.
sweep_in() {
    local build=$1 log=$2
    shift 2
    if [ ! -x "$build/sim/sim_sweep" ]; then
        loud_skip "there is no sim_sweep in $build/"
    elif ! ninja -C "$build" sim_sweep >"$log" 2>&1; then
        show_end_of "$log" 20
        sweeps_failed=$((sweeps_failed + 1))
    elif "$build/sim/sim_sweep" --jobs "$JOBS" "$@" >"$log" 2>&1; then
        tail -n 1 "$log" | sed 's/^/   /'
        sweeps_passed=$((sweeps_passed + 1))
    else
        show_end_of "$log" 60
        sweeps_failed=$((sweeps_failed + 1))
    fi
}

stage_sweep() {
    begin sweep "the simulator, up to $SWEEP_SECONDS s of seeds; with ASan, whether it meets what it must"
    local sweeps_passed=0 sweeps_failed=0
    sweep_in build $logs/sweep.log --from "${SWEEP_FROM:-2000}" --count "${SWEEP_COUNT:-700}" \
        --budget "${SWEEP_SECONDS}s"
    sweep_in build-asan $logs/sweep-asan.log --from 1 --count "$MARK_COUNT" --budget 3600s \
        --must-meet tests/sim/markers.list
    end $sweeps_passed $sweeps_failed 0
}

stage_mutants() {
    begin mutants "known mistakes, each caught by its test"
    tools/mutants.sh >$logs/mutants.log 2>&1
    grep -vE '^caught' $logs/mutants.log | sed 's/^/   /'
    local p f
    p=$(grep -c '^caught' $logs/mutants.log)
    f=$(grep -cE '^(SURVIVED|TIMED OUT|BROKEN)' $logs/mutants.log)
    [ $((p + f)) -gt 0 ] || f=1
    end "$p" "$f" 0
}

stage_lint() {
    begin lint "shape, layering, clang-tidy"
    local p=0 f=0 check
    for check in layering format tidy; do
        if tools/lint.sh --only $check build >$logs/lint-$check.log 2>&1; then
            p=$((p + 1))
        else
            f=$((f + 1))
            echo "   failed: $check"
            show_end_of $logs/lint-$check.log 40
        fi
    done
    end $p $f 0
}

# ---- all of it -------------------------------------------------------------------------------------

stages=("$@")
[ $# -gt 0 ] || stages=(release asan tsan fuzz sweep mutants lint)
for stage in "${stages[@]}"; do
    if ! declare -F "stage_$stage" >/dev/null; then
        echo "test.sh: there is no stage '$stage'" >&2
        exit 2
    fi
    "stage_$stage"
done
printf '\n%d s in all\n' "$SECONDS"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
