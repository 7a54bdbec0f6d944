#!/bin/bash
# tools/cluster.sh start|stop [BUILD]: three servers of one cluster on this machine, and a table in it; what
# `make cluster` and `make cluster-stop` run. Started again it starts those that do not run.
#
#     pirene-cluster/1/          what the first server keeps; 2/ and 3/ of the other two
#                    1.log       what it says
#                    1.address   where it listens
#                    1.pid       its process
#
# The first makes the cluster, the others join it. PIRENE_CLUSTER names another directory.
set -euo pipefail

what=${1:?usage: cluster.sh start|stop [BUILD]} build=${2:-build}
dir=${PIRENE_CLUSTER:-pirene-cluster}

die() {
    echo "cluster.sh: $*" >&2
    exit 1
}

# ---- one server ------------------------------------------------------------------------------------

address_of() { cat "$dir/$1.address"; }
pid_of() { cat "$dir/$1.pid" 2>/dev/null || echo 0; }

runs() {
    local pid
    pid=$(pid_of "$1")
    [ "$pid" != 0 ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = pirened ]
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Where it will always listen: near 34601, 34701 or 34801.
choose_address() {
    local port=$((34501 + 100 * $1))
    while listens $port; do port=$((port + 1)); done
    echo 127.0.0.1:$port >"$dir/$1.address"
}

start() {
    [ -e "$dir/$1.address" ] || choose_address "$1"
    local address port join=() tries=0
    address=$(address_of "$1") port=${address##*:}
    [ "$1" = 1 ] || join=(-j "$(address_of 1)")
    ! listens "$port" || die "somebody else has $address"
    setsid "$build/pirened" -l "$address" -d "$dir/$1" "${join[@]}" </dev/null >>"$dir/$1.log" 2>&1 &
    echo $! >"$dir/$1.pid"
    until listens "$port"; do
        tries=$((tries + 1))
        kill -0 "$(pid_of "$1")" 2>/dev/null && [ $tries -lt 300 ] || die "it does not listen at $address; it says:
$(tail -n 5 "$dir/$1.log")"
        sleep 0.1
    done
    echo "server $1 at $address, process $(pid_of "$1")"
}

stop() {
    runs "$1" || return 0
    kill "$(pid_of "$1")"
    while runs "$1"; do sleep 0.1; done
    echo "server $1 has stopped"
}

# ---- the cluster -----------------------------------------------------------------------------------

pirene() { PIRENE_META=$(address_of 1) "$build/pirene" "$@"; }

# Try again until it is so, for half a minute.
until_so() {
    local tries=0
    until "${@:2}" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 150 ] || die "never: $1"
        sleep 0.2
    done
}

three_are_alive() { [ "$(pirene node list | grep -c ' alive ')" = 3 ]; }

make_table() {
    pirene table show hello >/dev/null 2>&1 || pirene table create hello --partitions 8 --replicas 3
}

suggest() { printf '  %-43s %s\n' "$1" "$2"; }

say_what_next() {
    printf '\nWhat to try next:\n'
    if [ "$(address_of 1)" != 127.0.0.1:34601 ]; then
        suggest "export PIRENE_META=$(address_of 1)" "where the cluster is, as it is not at the usual place"
    fi
    suggest "$build/pirene cluster status --watch" "look at it meanwhile, in another terminal"
    suggest "$build/pirene table show hello" "which server has which partition"
    suggest "kill -9 $(pid_of 2)" "server 2 dies: the others take its places within ten seconds"
    suggest "$build/pirene get hello world" "nothing is lost, and writes go on"
    suggest "make cluster" "starts it again: it learns what it missed, and is a member"
    suggest "make cluster-stop" "stops all three; what they hold stays in $dir/"
}

case $what in
start)
    mkdir -p "$dir"
    started=0
    for n in 1 2 3; do
        if runs $n; then continue; fi
        start $n
        started=$((started + 1))
    done
    if [ $started = 0 ]; then echo "they run already, with their data in $dir/"; fi
    until_so "three servers are alive" three_are_alive
    make_table
    until_so "all partitions are whole" pirene cluster status
    pirene put hello world "held by three servers, acknowledged when all of them had it on disk"
    echo "hello world: $(pirene get hello world)"
    echo
    pirene node list
    say_what_next
    ;;
stop)
    for n in 3 2 1; do stop $n; done
    ;;
*)
    die "nobody needs '$what'"
    ;;
esac
