#!/bin/bash
# tests/clients/run.sh go|python PIRENED: Pegasus's own clients, unmodified, from their registries,
# against a running pirened. Each suite gets servers of its own in a temporary directory:
#
#     PEGASUS_META      the server's address
#     SERVER            server.sh, by which a test restarts it
#     REMOTE_META       a second cluster, for duplications
#
# The toolchain's absence is said aloud (exit status 77, which ctest shows as skipped); with
# CLIENTS_REQUIRED=1, as on the machines that must have it, it is a failure. What is downloaded is
# kept in CLIENTS_CACHE, by default ./clients-cache.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=$1
PIRENED=$(realpath "$2")
CLIENTS_CACHE=$(realpath -m "${CLIENTS_CACHE:-clients-cache}")
work=$(mktemp -d)
export PIRENED

skip() {
    echo "!! SKIPPED: tests/clients $suite: $1" >&2
    [ "${CLIENTS_REQUIRED:-0}" = 0 ] && exit 77
    exit 1
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# server NAME COMMAND: with the environment of that server.
server() {
    SERVER_DIR=$work/$1 SERVER_PORT=$(cat "$work/$1.port") SERVER_FLAGS=$(cat "$work/$1.flags") \
        "$here/server.sh" "$2"
}

add_server() {
    free_port >"$work/$1.port"
    echo "$2" >"$work/$1.flags"
    server "$1" start || exit 1
}

finish() {
    local status=$?
    for name in first second; do
        [ -e "$work/$name/pid" ] && server $name kill 2>/dev/null
        if [ $status != 0 ] && [ $status != 77 ] && [ -e "$work/$name/log" ]; then
            echo "-- log of $name:" && tail -n 40 "$work/$name/log"
        fi
    done
    rm -rf "$work"
}
trap finish EXIT

# ---- toolchains ------------------------------------------------------------------------------------

prepare_go() {
    command -v go >/dev/null || skip "no go"
    cp -r "$here/go" "$work/suite" && cd "$work/suite" || exit 1
    # Downloading and compiling are not what is measured, and may fail for want of a network.
    GOFLAGS=-mod=readonly timeout 280 go mod download >"$work/go.log" 2>&1 ||
        skip "the Go client cannot be had: $(tail -n 1 "$work/go.log")"
    go test -c -o suite.test . || exit 1
}

prepare_python() {
    command -v python3 >/dev/null || skip "no python3"
    local venv=$CLIENTS_CACHE/venv
    if ! "$venv/bin/python" -c 'import pypegasus.pgclient' >/dev/null 2>&1; then
        rm -rf "$venv" && mkdir -p "$CLIENTS_CACHE"
        { python3 -m venv "$venv" &&
            timeout 280 "$venv/bin/pip" install -q -r "$here/python/requirements.txt"; } \
            >"$work/pip.log" 2>&1 || { rm -rf "$venv"
            skip "the Python client cannot be had: $(tail -n 1 "$work/pip.log")"; }
    fi
    python=$venv/bin/python
}

# ---- suites ----------------------------------------------------------------------------------------

cd "$work" || exit 1 # Clients leave log files where they run.
"prepare_$suite"
add_server first "-i 1 -n first -s os"
add_server second "-i 2 -n second -s os"
PEGASUS_META=127.0.0.1:$(cat "$work/first.port")
REMOTE_META=127.0.0.1:$(cat "$work/second.port")
SERVER=$here/server.sh SERVER_DIR=$work/first SERVER_PORT=$(cat "$work/first.port")
SERVER_FLAGS=$(cat "$work/first.flags")
export PEGASUS_META REMOTE_META SERVER SERVER_DIR SERVER_PORT SERVER_FLAGS
case $suite in
go) ./suite.test -test.v -test.timeout 240s ;;
python) "$python" "$here/python/suite.py" ;;
esac
