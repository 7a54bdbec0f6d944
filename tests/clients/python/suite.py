"""suite.py: every operation of Pegasus's Python client (pypegasus3, unmodified) against a server.

Each test is a coroutine of Twisted, in which that client lives; they run one after another in one
reactor. What the client can't do at all under this Python is said where its test would stand.
"""
import os
import struct
import subprocess
import sys
import time
import traceback

from twisted.internet import reactor, task
from twisted.internet.defer import inlineCallbacks, returnValue

from pypegasus.base.ttypes import error_types
from pypegasus.pgclient import Pegasus
from pypegasus.rrdb.ttypes import filter_type
from pypegasus.utils.tools import MultiGetOptions, ScanOptions

META = os.environ["PEGASUS_META"]
OK = error_types.ERR_OK.value
NOT_FOUND = error_types.ERR_OBJECT_NOT_FOUND.value
INCOMPLETE = error_types.ERR_INCOMPLETE_DATA.value
INVALID_ARGUMENT = 4  # Storage's number: this client has no name for it.


# ---- A table, which this client can't create: one meta rpc by hand ---------------------------------

def text(field, value):
    return struct.pack(">bhi", 11, field, len(value)) + value.encode()


def create_table(name, partitions):
    import socket
    options = (struct.pack(">bhi", 8, 1, partitions) + struct.pack(">bhi", 8, 2, 1) +
               struct.pack(">bhb", 2, 3, 0) + text(4, "pegasus") + struct.pack(">bhb", 2, 5, 1) + b"\0")
    request = text(1, name) + struct.pack(">bh", 12, 2) + options + b"\0"
    call = b"RPC_CM_CREATE_APP"
    body = (struct.pack(">Ii", 0x80010001, len(call)) + call + struct.pack(">i", 1) +
            struct.pack(">bh", 12, 1) + request + b"\0")
    header = struct.pack(">4siiiiiiiiiq", b"THFT", 0, 48, 0, len(body), 0, 0, 0, 0, 0, 0)
    host, port = META.split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        s.sendall(header + body)
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        reply = s.recv(size - 4, socket.MSG_WAITALL)
    check("create table", reply.count(b"ERR_OK"), 2)


def check(what, got, want):
    if got != want:
        raise AssertionError("%s: got %r, not %r" % (what, got, want))


@inlineCallbacks
def open_table(name):
    client = Pegasus([META], name)
    yield client.init()
    returnValue(client)


# ---- One record --------------------------------------------------------------------------------

@inlineCallbacks
def test_get_set_remove(client):
    check("get", (yield client.get("h", "s")), (NOT_FOUND, b""))
    check("set", (yield client.set("h", "s", "v")), (OK, None))
    check("get", (yield client.get("h", "s")), (OK, b"v"))
    check("set", (yield client.set("h", "", "")), (OK, None))
    check("get", (yield client.get("h", "")), (OK, b""))
    check("remove", (yield client.remove("h", "s")), (OK, None))
    check("get", (yield client.get("h", "s")), (NOT_FOUND, b""))
    check("remove", (yield client.remove("h", "s")), (OK, None))


@inlineCallbacks
def test_keys_go_everywhere(client):
    """The signed hash of this client agrees with ours for any key, in whatever partition."""
    for i in range(100):
        check("set", (yield client.set("key%d" % i, "s", "v%d" % i)), (OK, None))
    for i in range(100):
        check("get", (yield client.get("key%d" % i, "s")), (OK, b"v%d" % i))
    check("set", (yield client.set("", "sort", "v")), (OK, None))  # Hashed by its sort key.
    check("get", (yield client.get("", "sort")), (OK, b"v"))


@inlineCallbacks
def test_ttl_and_exist(client):
    yield client.set("h", "forever", "v")
    yield client.set("h", "long", "v", 1000)
    yield client.set("h", "short", "v", 1)
    check("ttl", (yield client.ttl("h", "forever")), (OK, -1))
    code, ttl = yield client.ttl("h", "long")
    check("ttl", (code, 980 < ttl <= 1000), (OK, True))
    check("ttl", (yield client.ttl("h", "absent")), (NOT_FOUND, 0))
    check("exist", (yield client.exist("h", "forever"))[0], OK)
    check("exist", (yield client.exist("h", "absent"))[0], NOT_FOUND)
    yield task.deferLater(reactor, 1.5, lambda: None)
    check("get", (yield client.get("h", "short")), (NOT_FOUND, b""))
    check("exist", (yield client.exist("h", "short"))[0], NOT_FOUND)


@inlineCallbacks
def test_big_value(client):
    value = "v" * 1000000
    check("set", (yield client.set("h", "s", value)), (OK, None))
    check("get", (yield client.get("h", "s")), (OK, value.encode()))


# ---- One hash key ------------------------------------------------------------------------------

@inlineCallbacks
def test_multi(client):
    rows = {"a": "1", "b": "2", "c": "3"}
    check("multi_set", (yield client.multi_set("h", rows)), (OK, None))
    check("sort_key_count", (yield client.sort_key_count("h")), (OK, 3))
    check("multi_get", (yield client.multi_get("h", {"a", "c", "x"})), (OK, {b"a": b"1", b"c": b"3"}))
    check("multi_get", (yield client.multi_get("h", None)), (OK, {b"a": b"1", b"b": b"2", b"c": b"3"}))
    check("multi_get", (yield client.multi_get("h", {"b"}, no_value=True)), (OK, {b"b": b""}))
    check("get_sort_keys", (yield client.get_sort_keys("h")), (OK, {b"a": b"", b"b": b"", b"c": b""}))
    check("multi_get", (yield client.multi_get("h", None, max_kv_count=2)),
          (INCOMPLETE, {b"a": b"1", b"b": b"2"}))
    check("multi_del", (yield client.multi_del("h", {"a", "x"})), (OK, 2))  # As many as were named.
    check("sort_key_count", (yield client.sort_key_count("h")), (OK, 2))
    check("sort_key_count", (yield client.sort_key_count("nobody")), (OK, 0))


@inlineCallbacks
def test_multi_set_ttl(client):
    yield client.multi_set("h", {"a": "1"}, 100)
    code, ttl = yield client.ttl("h", "a")
    check("ttl", (code, 80 < ttl <= 100), (OK, True))


@inlineCallbacks
def test_multi_of_nothing(client):
    """An empty list is refused by storage's own number."""
    check("multi_set", (yield client.multi_set("h", {})), (INVALID_ARGUMENT, None))
    check("multi_del", (yield client.multi_del("h", set())), (INVALID_ARGUMENT, 0))


@inlineCallbacks
def test_empty_sort_key_is_skipped(client):
    """This client leaves start_inclusive unset in multi_get, so a range begins behind the empty one."""
    yield client.set("h", "", "empty")
    yield client.set("h", "a", "1")
    check("multi_get", (yield client.multi_get("h", None)), (OK, {b"a": b"1"}))
    check("multi_get", (yield client.multi_get("h", {""})), (OK, {b"": b"empty"}))


@inlineCallbacks
def test_multi_get_opt(client):
    yield client.multi_set("h", {k: "v" + k for k in ("a", "ab", "abc", "b", "bc", "c")})

    @inlineCallbacks
    def ask(start, stop, count=100, **wishes):
        options = MultiGetOptions()
        for name, wish in wishes.items():
            assert hasattr(options, name)
            setattr(options, name, wish)
        code, rows = yield client.multi_get_opt("h", start, stop, options, count)
        returnValue((code, b" ".join(sorted(rows))))

    check("range", (yield ask("ab", "bc")), (OK, b"ab abc b"))
    check("range", (yield ask("ab", "bc", start_inclusive=False, stop_inclusive=True)), (OK, b"abc b bc"))
    check("range", (yield ask("", "")), (OK, b"a ab abc b bc c"))
    check("range", (yield ask("c", "a")), (OK, b""))
    check("count", (yield ask("", "", 2)), (INCOMPLETE, b"a ab"))
    check("reverse", (yield ask("", "", 2, reverse=True)), (INCOMPLETE, b"bc c"))
    for kind, want in ((filter_type.FT_MATCH_PREFIX, b"b bc"), (filter_type.FT_MATCH_POSTFIX, b"ab b"),
                       (filter_type.FT_MATCH_ANYWHERE, b"ab abc b bc")):
        check("filter", (yield ask("", "", sortkey_filter_type=kind, sortkey_filter_pattern="b")), (OK, want))


# ---- Scanners ----------------------------------------------------------------------------------

@inlineCallbacks
def drain(scanner):
    rows = []
    while True:
        row = yield scanner.get_next()
        if row is None:
            break
        (hash_key, sort_key), value = row
        rows.append("%s/%s=%s" % (hash_key, sort_key, value.decode()))
    scanner.close()
    returnValue(rows)


@inlineCallbacks
def test_hash_scan(client):
    """With a stop key: without one this client fails in itself, where Python's strings changed."""
    yield client.multi_set("g", {"a": "1"})
    yield client.multi_set("h", {"a": "1", "b": "2", "c": "3", "d": "4"})
    yield client.multi_set("i", {"a": "1"})
    for batch in (1, 2, 3, 1000):
        options = ScanOptions()
        options.batch_size = batch
        rows = yield drain(client.get_scanner("h", "a", "d", options))
        check("scan", rows, ["h/a=1", "h/b=2", "h/c=3"])
    options = ScanOptions()
    options.start_inclusive, options.stop_inclusive = False, True
    check("scan", (yield drain(client.get_scanner("h", "a", "d", options))), ["h/b=2", "h/c=3", "h/d=4"])


@inlineCallbacks
def test_full_scan(client):
    want = []
    for i in range(200):
        yield client.set("h%d" % (i % 17), "s%d" % i, str(i))
        want.append("h%d/s%d=%d" % (i % 17, i, i))
    for split, batch in ((1, 1000), (2, 3), (100, 1)):
        options = ScanOptions()
        options.batch_size = batch
        rows = []
        for scanner in client.get_unordered_scanners(split, options):
            rows += yield drain(scanner)
        check("scan", sorted(rows), sorted(want))


@inlineCallbacks
def test_scanner_closed_early(client):
    """CLEAR_SCANNER must not be answered: this client drops a connection whose replies it can't name."""
    yield client.multi_set("h", {"a": "1", "b": "2", "c": "3", "d": "4"})
    session = client.table.get_session(client.table.get_hash_key_pid("h"))
    for _ in range(3):
        options = ScanOptions()
        options.batch_size = 1
        options.timeout_millis = 500
        scanner = client.get_scanner("h", "a", "d", options)
        yield scanner.get_next()
        scanner.close()
        check("get", (yield client.get("h", "a")), (OK, b"1"))
    check("session", client.table.get_session(client.table.get_hash_key_pid("h")) is session, True)


# ---- Faults ------------------------------------------------------------------------------------

@inlineCallbacks
def test_no_such_table(_):
    client = Pegasus([META], "no such table")
    yield client.init()  # Fails silently, by a reply that says it is not stateful.
    check("config", client.table.query_cfg_response, None)
    client.close()


@inlineCallbacks
def test_too_big(client):
    code = yield client.set("h", "s", "v" * (2 << 20))
    check("set", code, error_types.ERR_INVALID_DATA)
    check("set", (yield client.set("h", "s", "v")), (OK, None))  # Over the same connection.


@inlineCallbacks
def test_server_restarts(client):
    """It dies under the client and comes back: a client that is told to look again finds everything."""
    for i in range(100):
        check("set", (yield client.set("h%d" % i, "s", "v%d" % i)), (OK, None))
    for how in ("stop", "kill"):
        subprocess.run([os.environ["SERVER"], how], check=True)
        subprocess.run([os.environ["SERVER"], "start"], check=True)
        yield client.init()
        for i in range(100):
            check("get", (yield client.get("h%d" % i, "s")), (OK, b"v%d" % i))


# ---- Running -----------------------------------------------------------------------------------

@inlineCallbacks
def run_all():
    failed = 0
    for name, test in [(n, f) for n, f in globals().items() if n.startswith("test_")]:
        began = time.time()
        try:
            create_table(name, 8)
            client = yield open_table(name)
            yield test(client).addTimeout(60, reactor)
            client.close()
            verdict = "ok  "
        except Exception:
            traceback.print_exc()
            failed += 1
            verdict = "FAIL"
        print("%s %s (%.2f s)" % (verdict, name, time.time() - began), flush=True)
    reactor.stop()
    returnValue(failed)


def main():
    outcome = []

    def begin():
        run_all().addBoth(outcome.append)

    reactor.callWhenRunning(begin)
    reactor.run()
    print("%s failed" % outcome[0])
    sys.exit(0 if outcome[0] == 0 else 1)


main()
