"""test_garbage.py: whatever arrives on the port, the server stays, its memory stays bounded, and those who
speak properly don't notice."""
import os
import random
import socket
import struct
import threading
import time

from servers import LONG, SANITIZED, World, at_most, eventually, note, tell
from wire import RPCS, Connection, Gone, Refused, Table, create_table, frame

TABLE = "t"
HTTP_MAX = 64  # Half an HTTP request is kept for a minute, even of those who have left; so many at most.


class Client(threading.Thread):
    """Somebody who speaks properly, all the while."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.table, self.times = Table(address, TABLE), []
        self.is_stopping, self.failure = False, None
        self.start()

    def run(self):
        try:
            while not self.is_stopping:
                began = time.monotonic()
                key = b"good-%d" % (len(self.times) % 100)
                self.table.put(key, b"v%d" % len(self.times))
                assert self.table.get(key) == b"v%d" % len(self.times)
                self.times.append(time.monotonic() - began)
                time.sleep(0.002)
        except Exception as e:
            self.failure = e

    def end(self):
        self.is_stopping = True
        self.join()
        if self.failure is not None:
            raise self.failure
        times = sorted(self.times)
        return "%d requests of a good client, p99 %.1f ms" % (len(times), times[len(times) * 99 // 100] * 1000)


def sockets(server):
    """How many the server has open."""
    count, directory = 0, "/proc/%d/fd" % server.process.pid
    for name in os.listdir(directory):
        try:
            count += os.readlink(os.path.join(directory, name)).startswith("socket:")
        except FileNotFoundError:  # Closed meanwhile.
            pass
    return count


def pour(address, data, linger=0.0):
    """Send it all, or as much as is taken; the server may close whenever it likes."""
    host, port = address.split(":")
    try:
        with socket.create_connection((host, int(port)), 5) as s:
            s.settimeout(linger or 0.001)
            s.sendall(data)
            while s.recv(1 << 16):
                pass
    except OSError:
        pass


def in_world(story):
    with World() as world:
        server = world.server(["-s", "os"]).start()
        create_table(server.address, TABLE, 4)
        client = Client(server.address)
        eventually("the good client is served", lambda: client.times)
        open_before, memory = sockets(server), server.resident_mb()
        done = story(server)
        assert server.is_alive(), "it is gone"
        eventually("all connections are closed", lambda: sockets(server) <= open_before + HTTP_MAX, 20, 0.1)
        text = client.end()
        note("   %s; %s; %.0f MB before, %.0f MB after" % (done, text, memory, server.resident_mb()))
        server.stop()


# ---- Bytes -------------------------------------------------------------------------------------

def random_bytes():
    """Noise of all sizes, behind nothing or behind the first bytes of every protocol."""
    def story(server):
        count = 2000 if LONG else 200
        for _ in range(count):
            head = random.choice([b"", b"THFT", b"RDSN", b"GET ", b"THFT\0\0\0\0\0\0\0\x30", b"\x80\x01"])
            pour(server.address, head + random.randbytes(random.choice([0, 1, 3, 40, 200, 5000, 100000])))
        return "%d connections" % count
    in_world(story)


def some_arguments(rpc, table_id):
    """Proper ones, more or less, so that the damage below them is met deep inside."""
    request = RPCS[rpc][0]
    if isinstance(request, str):
        return b"\0\1hs"
    samples = {"bool": True, "i32": 1, "i64": 1, "text": TABLE, "blob": b"\0\1hs", "gpid": (table_id, 0)}

    def sample(kind):
        if isinstance(kind, dict):
            return {name: sample(inner) for name, inner in kind.values()}
        return [sample(kind[0])] if isinstance(kind, list) else samples[kind]
    return sample(request)


def damaged_frames():
    """Real requests of every kind with some bytes changed, cut off, doubled or swollen."""
    def story(server):
        table_id = Table(server.address, TABLE).id
        count = 10000 if LONG else 800
        safe = [r for r in RPCS if not r.startswith(("RPC_CM_CREATE", "RPC_CM_DROP"))]
        for i in range(count):
            rpc = random.choice(safe)
            data = bytearray(frame(rpc, some_arguments(rpc, table_id), i, (table_id, random.randrange(4))))
            for _ in range(random.randrange(1, 4)):
                damage = random.randrange(5)
                at = random.randrange(len(data))
                if damage == 0:
                    data[at] = random.randrange(256)
                elif damage == 1:
                    del data[at:]
                elif damage == 2:
                    data[at:at] = data[:at]
                elif damage == 3:
                    data[at:at + 4] = struct.pack(">I", random.choice([0, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 20]))
                else:
                    data[at:at] = random.randbytes(random.randrange(50))
                if not data:
                    break
            pour(server.address, bytes(data))
        return "%d frames" % count
    in_world(story)


def huge_lengths():
    """Frames that announce more than anybody can send: what was announced is not set aside, and those
    who send on and on without an end are stopped."""
    def story(server):
        before, most = server.resident_mb(), 0
        for size in (0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 30, 64 << 20):
            for head in (struct.pack(">4sIIIII", b"THFT", 0, 48, 0, size, 0) + bytes(24),
                         struct.pack(">4sIII", b"THFT", 1, size, 16) + bytes(64),
                         struct.pack(">4sIII", b"THFT", 1, 16, size) + bytes(64),
                         struct.pack("<4sIIIII", b"RDSN", 0, 192, 0, size, 0) + bytes(168)):
                pour(server.address, head + bytes(100000))
        connections = []
        for _ in range(64):  # 64 MiB announced by each, 2 MiB sent.
            connection = Connection(server.address, 2)
            connections.append(connection)
            try:
                connection.send_bytes(struct.pack(">4sIIIII", b"THFT", 0, 48, 0, 60 << 20, 0) + bytes(24))
                for _ in range(32):
                    connection.send_bytes(bytes(65536))
            except Gone:
                pass
            most = max(most, server.resident_mb())
        for connection in connections:
            connection.close()
        at_most("MB", most, before + 500)
        return "at most %.0f MB" % most
    in_world(story)


# ---- Manners -----------------------------------------------------------------------------------

def silent_connections():
    """Hundreds of connections that say nothing, or begin a sentence and never end it, or send a byte
    now and then: the good client is served as before."""
    def story(server):
        count = 900
        silent, before = [], server.resident_mb()
        half = frame("RPC_RRDB_RRDB_GET", b"\0\1hs", 1)
        for i in range(count):
            connection = Connection(server.address, 5)
            connection.send_bytes(half[:i % 60])
            silent.append(connection)
        end = time.monotonic() + (30 if LONG else 3)
        while time.monotonic() < end:
            for connection in random.sample(silent, 50):
                try:
                    connection.send_bytes(b"T")
                except Gone:  # It was told that this is no way to go on.
                    pass
            time.sleep(0.05)
        during = server.resident_mb()
        table = Table(server.address, TABLE)
        table.put(b"late", b"v")  # Newcomers are served, too.
        at_most("MB", during, before + 200)
        for connection in silent:
            connection.close()
        return "%d silent ones, %.0f MB with them" % (count, during)
    in_world(story)


def deaf_connections():
    """Some ask for much and never read the answers: they are not answered without end."""
    def story(server):
        table = Table(server.address, TABLE)
        table.put(b"large", bytes(500000))
        gpid, partition_hash = table.place(b"large")
        ask = frame("RPC_RRDB_RRDB_GET", b"\0\5larges", 1, gpid, partition_hash)
        deaf = []
        for _ in range(5 if SANITIZED else 20):
            connection = Connection(server.address, 1)
            deaf.append(connection)
            try:
                for _ in range(20):
                    connection.send_bytes(ask * 100)
            except Gone:  # Not read from any more.
                pass
        time.sleep(1)
        for connection in deaf:
            connection.close()
        table.close()
        most = server.resident_most_mb()
        at_most("MB", most, 800)
        return "%d deaf ones that asked for a GB each, at most %.0f MB" % (len(deaf), most)
    in_world(story)


def unknown_and_misplaced():
    """What is well formed and makes no sense is refused by name, on a connection that goes on."""
    def story(server):
        table = Table(server.address, TABLE)
        connection = Connection(server.address)
        for rpc, gpid, want in (("RPC_RRDB_RRDB_GET", (99, 0), "ERR_OBJECT_NOT_FOUND"),
                                ("RPC_RRDB_RRDB_GET", (table.id, 4), "ERR_OBJECT_NOT_FOUND"),
                                ("RPC_RRDB_RRDB_GET", (table.id, -1), "ERR_OBJECT_NOT_FOUND"),
                                ("RPC_RRDB_RRDB_GET", (-5, 0), "ERR_HANDLER_NOT_FOUND")):
            try:
                connection.call(rpc, b"\0\1hs", gpid)
                raise AssertionError("answered")
            except Refused as refusal:
                assert str(refusal) == want, (rpc, gpid, refusal)
        RPCS["RPC_NO_SUCH"] = ("blob", {})
        try:
            connection.call("RPC_NO_SUCH", b"", (table.id, 0))
            raise AssertionError("answered")
        except Refused as refusal:
            assert str(refusal) == "ERR_HANDLER_NOT_FOUND", refusal
        connection.close()
        table.close()
        return "5 refusals"
    in_world(story)


tell(unknown_and_misplaced, random_bytes, damaged_frames, huge_lengths, silent_connections, deaf_connections)
