#!/bin/bash
# tools/bench.sh [BUILD]: measure, beside RocksDB alone and Redis, in one run on one machine; what
# `make bench` runs. The figures go to bench/results/latest.md and latest.json.
#
# Environment: SECONDS_EACH (5) of each load, LAST_WRITES (1000), BURST_ROUNDS (50),
# SUSTAIN_SECONDS (60), RECORDS (1000000) of the memory bench.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build}
each=${SECONDS_EACH:-5} last_writes=${LAST_WRITES:-1000} burst_rounds=${BURST_ROUNDS:-50}
sustain_seconds=${SUSTAIN_SECONDS:-60} records=${RECORDS:-1000000}
results=bench/results
work=$(mktemp -d "${TMPDIR:-/var/tmp}/pirene-bench.XXXXXX")
redis_pid=

finish() {
    [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
mkdir -p $results

# ---- running -------------------------------------------------------------------------------------

# settle: what the last measurement left to be written back is not the next one's. (Hundreds of
# megabytes of dirty pages make a pwrite() wait for milliseconds now and then.)
settle() { sync; }

# measure NAME COMMAND...: its JSON goes to $work/NAME.json, its command line beside it.
measure() {
    local name=$1
    shift
    settle
    printf '%-22s %s\n' "$name" "$*"
    printf '%s' "$*" >"$work/$name.command"
    "$@" >"$work/$name.json"
}

# field NAME KEY: one number or word of a result (our JSON has one member a line).
field() { sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$work/$1.json" | head -n 1; }

# redis NAME FSYNC TEST: redis-benchmark against a server of its own.
redis() {
    local name=$1 fsync=$2 test=$3 port=$((20000 + RANDOM % 10000))
    mkdir "$work/$name"
    redis-server --port $port --bind 127.0.0.1 --dir "$work/$name" --save '' --appendonly yes \
        --appendfsync "$fsync" >"$work/$name.log" 2>&1 &
    redis_pid=$!
    until redis-cli -p $port ping >/dev/null 2>&1; do sleep 0.05; done
    settle
    local command="redis-benchmark -p $port -t $test -c 64 -d 100 -n $((each * 60000))"
    command+=" -r 50000 --csv"
    printf '%-22s %s\n' "$name" "$command"
    printf '%s' "$command (appendfsync $fsync)" >"$work/$name.command"
    $command 2>/dev/null | awk -F'","' 'NR == 2 {
        gsub(/"/, ""); split($0, f, ",")
        printf "{\n  \"bench\": \"redis %s\",\n  \"ops_per_s\": %.0f,\n", tolower(f[1]), f[2]
        printf "  \"p50_ms\": %s,\n  \"p99_ms\": %s,\n  \"max_ms\": %s\n}\n", f[5], f[7], f[8] }' >"$work/$name.json"
    kill $redis_pid
    wait $redis_pid 2>/dev/null || true
    redis_pid=
}

pirene=$build/pirene
for sync in os group; do # Before the loads: what is measured is a machine at rest.
    measure last-mutation-$sync $pirene bench last-mutation --json --writes "$last_writes" \
        --sync $sync
done
load="--start --seconds $each --in-flight 64 --size 100 --json"
# shellcheck disable=SC2086 # $load is a list of words.
{
    measure put-os $pirene bench put $load --sync os
    measure put-group $pirene bench put $load --sync group
    measure get-os $pirene bench get $load --sync os
    measure nodes-put-os $pirene bench put $load --nodes 3 --sync os
    measure nodes-put-group $pirene bench put $load --nodes 3 --sync group
    measure nodes-get-os $pirene bench get $load --nodes 3 --sync os
}
for what in put-os put-group get-os; do
    measure rocksdb-$what "$build/rocksdb_bench" ${what%-*} ${what#*-} "$work/rocksdb-$what" \
        "$each" 64
done
redis redis-set-everysec everysec set
redis redis-set-always always set
redis redis-get everysec get
for sync in os group; do
    measure burst-$sync $pirene bench burst --json --rounds "$burst_rounds" --sync $sync
    measure sustain-$sync $pirene bench sustain --json --seconds "$sustain_seconds" \
        --sync $sync
done
measure memory $pirene bench memory --json --records "$records"

# ---- writing it down -----------------------------------------------------------------------------

machine() {
    local cpu memory
    cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    memory=$(awk '/MemTotal/ { printf "%.0f GB", $2 / 1048576 }' /proc/meminfo)
    echo "$(nproc) x ${cpu:-$(uname -m)}, $memory, Linux $(uname -r)"
}

load_row() {
    local cpu
    cpu=$(field "$1" server_cpu_us_per_op)
    [ -n "$cpu" ] || cpu=$(field "$1" cpu_us_per_op)
    echo "| $2 | $3 | $(field "$1" ops_per_s) | $(field "$1" p50_ms) | $(field "$1" p99_ms) |" \
        "$(field "$1" max_ms) | ${cpu:--} |"
}

date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
version=$(git describe --always --dirty 2>/dev/null || echo unknown)
{
    echo "# Figures"
    echo
    echo "Written by \`make bench\` on $date, at $version. Machine: $(machine). Clients and servers"
    echo "share it, over loopback. Percentiles are of all calls. 64 requests in flight, values of"
    echo "100 bytes, 50,000 keys, 8 partitions, one node where nothing else is said; $each s each."
    echo
    echo "| | durable | ops/s | p50 ms | p99 ms | max ms | CPU us/op |"
    echo "|---|---|---|---|---|---|---|"
    load_row put-os "pirened put" "sync = os"
    load_row put-group "pirened put" "sync = group (fsync)"
    load_row get-os "pirened get" ""
    load_row rocksdb-put-os "RocksDB alone, put, 64 threads" "log not synced"
    load_row rocksdb-put-group "RocksDB alone, put, 64 threads" "log synced"
    load_row rocksdb-get-os "RocksDB alone, get, 64 threads" ""
    load_row redis-set-everysec "redis-server SET" "everysec"
    load_row redis-set-always "redis-server SET" "always (fsync)"
    load_row redis-get "redis-server GET" ""
    load_row nodes-put-os "three pirened, put, three replicas" "sync = os"
    load_row nodes-put-group "three pirened, put, three replicas" "sync = group (fsync of three)"
    load_row nodes-get-os "three pirened, get" ""
    echo
    echo "CPU is that of the servers together (of the whole process for RocksDB alone, which has no"
    echo "network)."
    echo
    echo "## Duplication"
    echo
    echo "| sync | isolated writes | p50 ms | p99 ms | max ms | bursts |" \
        "last write visible, max ms | CPU in the second after, ms | sustained writes/s |" \
        "lag max ms | dup wait ms |"
    echo "|---|---|---|---|---|---|---|---|---|---|---|"
    for sync in os group; do
        echo "| $sync | $(field last-mutation-$sync n) | $(field last-mutation-$sync p50_ms) |" \
            "$(field last-mutation-$sync p99_ms) | $(field last-mutation-$sync max_ms) |" \
            "$(field burst-$sync rounds) | $(field burst-$sync max_ms) |" \
            "$(field burst-$sync cpu_after_ms) | $(field sustain-$sync ops_per_s) |" \
            "$(field sustain-$sync max_lag_ms) | $(field sustain-$sync wait_ms) |"
    done
    echo
    echo "## Memory"
    echo
    echo "Resident: $(field memory idle_mb) MB idle with one table of 8 partitions," \
        "$(field memory loaded_mb) MB after $(field memory records) records of 100 bytes."
    echo "CPU while idle: $(field memory idle_cpu_ms_per_s) ms a second."
    echo
    echo "## Commands"
    echo
    for file in "$work"/*.command; do
        echo "- $(basename "$file" .command): \`$(sed "s|$work|DIR|g" "$file")\`"
    done
} >$results/latest.md

{
    printf '{\n"date": "%s",\n"version": "%s",\n"machine": "%s"' "$date" "$version" "$(machine)"
    for file in "$work"/*.json; do
        printf ',\n"%s": ' "$(basename "$file" .json)"
        cat "$file"
    done
    printf '}\n'
} >$results/latest.json

echo
cat $results/latest.md
