#!/bin/bash
# tests/clients/server.sh start|stop|kill|pid: one pirened under a test's hands, whoever the test is
# written for. What it is told comes from the environment:
#
#     PIRENED        the program
#     SERVER_DIR     where its data and its log are kept
#     SERVER_PORT    where it listens, on 127.0.0.1
#     SERVER_FLAGS   further options
#
# start returns when it serves, stop and kill when it is gone; stop fails if it did not end well.
set -uo pipefail
pid_file=$SERVER_DIR/pid
log_file=$SERVER_DIR/log

is_serving() {
    (exec 3<>"/dev/tcp/127.0.0.1/$SERVER_PORT") 2>/dev/null
}

start() {
    mkdir -p "$SERVER_DIR"
    # shellcheck disable=SC2086 # Flags are words.
    setsid "$PIRENED" -l "127.0.0.1:$SERVER_PORT" -d "$SERVER_DIR/data" ${SERVER_FLAGS:-} \
        >>"$log_file" 2>&1 </dev/null &
    echo $! >"$pid_file"
    for _ in $(seq 300); do
        is_serving && return 0
        kill -0 "$(cat "$pid_file")" 2>/dev/null || break
        sleep 0.05
    done
    echo "server.sh: pirened does not serve:" >&2
    tail -n 20 "$log_file" >&2
    return 1
}

wait_gone() {
    for _ in $(seq 400); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.05
    done
    echo "server.sh: pirened $1 does not end" >&2
    return 1
}

case ${1:-} in
start) start ;;
stop) pid=$(cat "$pid_file") && kill -TERM "$pid" && wait_gone "$pid" ;;
kill) pid=$(cat "$pid_file") && kill -KILL "$pid" && wait_gone "$pid" ;;
pid) cat "$pid_file" ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
