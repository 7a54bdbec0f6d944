#!/bin/bash
# tests/cli/test_cluster.sh BUILD: what `make cluster` does, as somebody follows its advice: three servers, one
# is killed and counts as dead, the row is still there; it is started again and everything is whole; all stop.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$1
export PIRENE_CLUSTER
PIRENE_CLUSTER=$(mktemp -d)
trap 'tools/cluster.sh stop "$build" >/dev/null; rm -rf "$PIRENE_CLUSTER"' EXIT

says() { grep -q -- "$1" <<<"$2" || { echo "'$1' is not in: $2"; exit 1; }; }

pirene() { PIRENE_META=$(cat "$PIRENE_CLUSTER/1.address") "$build/pirene" "$@"; }

until_so() {
    for _ in $(seq 300); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "never: $*"
    exit 1
}

one_is_dead() { [ "$(pirene node list | grep -c ' dead ')" = 1 ]; }
lacks_members() { grep -q '^lacking_members *8$' < <(pirene cluster status); }

said=$(tools/cluster.sh start "$build")
says "server 3 at 127.0.0.1:" "$said"
says "hello world: held by three servers" "$said"
says "kill -9" "$said"
says "they run already" "$(tools/cluster.sh start "$build")"
pirene cluster status >/dev/null

kill -9 "$(cat "$PIRENE_CLUSTER/2.pid")"
until_so one_is_dead
until_so lacks_members
if pirene cluster status >/dev/null; then echo "lacking members is exit code 1"; exit 1; fi
says "held by three" "$(pirene get hello world)"
pirene put hello world "written while one of three was dead" >/dev/null

said=$(tools/cluster.sh start "$build")
says "server 2 at" "$said"
until_so pirene cluster status
says "hello " "$(pirene table list)"
said=$(tools/cluster.sh stop "$build")
says "server 1 has stopped" "$said"
says "server 2 has stopped" "$said"
