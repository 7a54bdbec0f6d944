"""wire.py: enough of the protocol to put a real server through its stories: Thrift binary by tables,
THFT frames, and a table as its client sees it. Source: docs/wire.md. Not a client library: it blocks,
and one connection belongs to one thread.

    Connection   frames over one socket; call() for one, send() and receive() for many under way
    Table        where keys go; put, get, scan..., each to the right partition
"""
import socket
import struct
import time


class Gone(Exception):
    """The connection ended, or nothing came in time: what was asked for may have happened."""


class Refused(Exception):
    """The server answered with an error: its name is the argument."""


# ---- Thrift binary, by tables: {field id: (name, type)}; [type] is a list, a dict is a struct ------

BOOL, I32, I64, TEXT, MAP, LIST = 2, 8, 10, 11, 13, 15
DS_REMOVED = 5  # What a duplication is set to by whoever removes it.
WIRE_TYPE = {"bool": 2, "i32": 8, "i64": 10, "text": 11, "blob": 12, "error": 12, "gpid": 12, "address": 12}


def wire_type(kind):
    return LIST if isinstance(kind, list) else 12 if isinstance(kind, dict) else WIRE_TYPE[kind]


def encode_value(kind, value):
    if isinstance(kind, dict):
        return encode_struct(kind, value)
    if isinstance(kind, list):
        return struct.pack(">bi", wire_type(kind[0]), len(value)) + b"".join(
            encode_value(kind[0], v) for v in value)
    if kind == "bool":
        return b"\1" if value else b"\0"
    if kind == "i32":
        return struct.pack(">i", value)
    if kind == "i64":
        return struct.pack(">q", value)
    if kind == "gpid":
        return struct.pack(">ii", value[1], value[0])
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">i", len(value)) + value


def encode_struct(fields, values):
    out = b""
    for number, (name, kind) in fields.items():
        if name in values:
            out += struct.pack(">bh", wire_type(kind), number) + encode_value(kind, values[name])
    return out + b"\0"


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("short message")
        self.at += size
        return self.data[self.at - size:self.at]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def value(self, kind):
        if isinstance(kind, dict):
            return self.struct(kind)
        if isinstance(kind, list):
            _, count = self.unpack(">bi")
            return [self.value(kind[0]) for _ in range(count)]
        if kind == "bool":
            return self.take(1) != b"\0"
        if kind == "i32":
            return self.unpack(">i")[0]
        if kind == "i64":
            return self.unpack(">q")[0]
        if kind == "gpid":
            return tuple(reversed(self.unpack(">ii")))
        if kind == "address":
            a, b, c, d, port, _ = self.unpack(">BBBBHH")
            return "%d.%d.%d.%d:%d" % (a, b, c, d, port)
        value = self.take(self.unpack(">i")[0])
        return value if kind == "blob" else value.decode()

    def struct(self, fields):
        values = {}
        while True:
            kind = self.unpack(">b")[0]
            if kind == 0:
                return values
            number = self.unpack(">h")[0]
            name, expected = fields[number]  # All fields of all answers are in the tables.
            values[name] = self.value(expected)


# ---- The messages ------------------------------------------------------------------------------

STATUS = {1: ("error", "i32")}
PLACE = {3: ("app_id", "i32"), 4: ("partition_index", "i32"), 6: ("server", "text")}
KEY_VALUE = {1: ("key", "blob"), 2: ("value", "blob"), 3: ("expire", "i32")}
WRITTEN = {1: ("error", "i32"), 2: ("app_id", "i32"), 3: ("partition_index", "i32"), 4: ("decree", "i64"),
           5: ("server", "text")}
SCANNED = {1: ("error", "i32"), 2: ("rows", [KEY_VALUE]), 3: ("context", "i64"), 4: ("app_id", "i32"),
           5: ("partition_index", "i32"), 6: ("server", "text"), 7: ("count", "i32")}
PARTITION = {1: ("pid", "gpid"), 2: ("ballot", "i64"), 3: ("max_replica_count", "i32"), 4: ("primary", "address"),
             5: ("secondaries", ["address"]), 6: ("last_drops", ["address"]), 7: ("committed", "i64"),
             8: ("flags", "i32")}
DUP_STATUS = {1: ("dupid", "i32"), 2: ("remote_cluster", "text"), 3: ("remote_table", "text"),
              4: ("partition", "i32"), 5: ("state", "text"), 6: ("reason", "text"), 7: ("committed", "i64"),
              8: ("sent", "i64"), 9: ("confirmed", "i64"), 10: ("lag_mutations", "i64"),
              11: ("lag_bytes", "i64"), 12: ("lag_ms", "i64"), 13: ("app_id", "i32")}
DUP_INCOMING = {1: ("cluster_id", "i32"), 2: ("app_id", "i32"), 3: ("partition", "i32"), 4: ("decree", "i64"),
                5: ("closed_us", "i64"), 6: ("heard_ms_ago", "i64")}

RPCS = {  # name on the wire: (request, response)
    "RPC_RRDB_RRDB_PUT": ({1: ("key", "blob"), 2: ("value", "blob"), 3: ("expire", "i32")}, WRITTEN),
    "RPC_RRDB_RRDB_REMOVE": ("blob", WRITTEN),
    "RPC_RRDB_RRDB_INCR": ({1: ("key", "blob"), 2: ("by", "i64"), 3: ("expire", "i32")},
                           {1: ("error", "i32"), 2: ("value", "i64"), 3: ("app_id", "i32"),
                            4: ("partition_index", "i32"), 5: ("decree", "i64"), 6: ("server", "text")}),
    "RPC_RRDB_RRDB_GET": ("blob", {**STATUS, 2: ("value", "blob"), **PLACE}),
    "RPC_RRDB_RRDB_GET_SCANNER": ({1: ("start", "blob"), 2: ("stop", "blob"), 3: ("with_start", "bool"),
                                   4: ("with_stop", "bool"), 5: ("batch", "i32"), 13: ("full", "bool")}, SCANNED),
    "RPC_RRDB_RRDB_SCAN": ({1: ("context", "i64")}, SCANNED),
    "RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX": (
        {1: ("table", "text"), 2: ("indices", ["i32"])},
        {1: ("err", "error"), 2: ("app_id", "i32"), 3: ("count", "i32"), 4: ("is_stateful", "bool"),
         5: ("partitions", [PARTITION])}),
    "RPC_CM_CREATE_APP": (
        {1: ("table", "text"),
         2: ("options", {1: ("partitions", "i32"), 2: ("replicas", "i32"), 3: ("may_exist", "bool"),
                         4: ("type", "text"), 5: ("is_stateful", "bool")})},
        {1: ("err", "error"), 2: ("app_id", "i32")}),
    "RPC_CM_DROP_APP": ({1: ("table", "text"), 2: ("options", {1: ("may_be_absent", "bool")})},
                        {1: ("err", "error")}),
    "RPC_CM_ADD_DUPLICATION": (
        {1: ("table", "text"), 2: ("remote", "text"), 3: ("with_bootstrap", "bool")},
        {1: ("err", "error"), 2: ("app_id", "i32"), 3: ("dupid", "i32"), 4: ("hint", "text"),
         5: ("remote_table", "text"), 6: ("remote_replicas", "i32")}),
    "RPC_CM_MODIFY_DUPLICATION": ({1: ("table", "text"), 2: ("dupid", "i32"), 3: ("status", "i32")},
                                  {1: ("err", "error"), 2: ("app_id", "i32")}),
    "RPC_PIRENE_DUP_STATUS": ({1: ("table", "text")},
                              {1: ("err", "error"), 2: ("hint", "text"), 3: ("partitions", [DUP_STATUS]),
                               4: ("incoming", [DUP_INCOMING])}),
    "RPC_PIRENE_DUP_WAIT": ({1: ("pid", "gpid"), 2: ("dupid", "i32"), 3: ("timeout_ms", "i32")},
                            {1: ("err", "error"), 2: ("hint", "text"), 3: ("decree", "i64"),
                             4: ("confirmed", "i64")}),
    "RPC_PIRENE_DIGEST": ({1: ("pid", "gpid"), 2: ("bucket_bits", "i32"), 3: ("bucket", "i32"),
                           5: ("now_s", "i64")},
                          {1: ("err", "error"), 2: ("hint", "text"), 3: ("counts", ["i64"]),
                           4: ("digests", ["i64"]),
                           5: ("rows", [{1: ("key", "blob"), 2: ("digest", "i64"), 3: ("timetag", "i64")}]),
                           6: ("decree", "i64")}),
}


def frame(rpc, arguments, sequence, gpid=(0, 0), partition_hash=0):
    """The bytes of one request."""
    name = rpc.encode()
    body = (struct.pack(">Ii", 0x80010001, len(name)) + name + struct.pack(">ibh", sequence, 12, 1) +
            encode_value(RPCS[rpc][0], arguments) + b"\0")
    return struct.pack(">4siiiiiiiiiQ", b"THFT", 0, 48, 0, len(body), 0, gpid[0], gpid[1], 10000, 0,
                       partition_hash) + body


def parse(data):
    """A reply without its length: (sequence, answer), or (sequence, Refused)."""
    reader = Reader(data)
    error = reader.value("text")
    _, name = reader.unpack(">I")[0], reader.value("text")
    sequence = reader.unpack(">i")[0]
    if error != "ERR_OK":
        return sequence, Refused(error)
    response = RPCS[name[:-4]][1]
    reader.take(3)  # The wrapper's header: a struct, field 0.
    return sequence, reader.struct(response)


class Connection:
    def __init__(self, address, timeout=10):
        host, port = address.split(":")
        try:
            self.socket = socket.create_connection((host, int(port)), timeout)
        except OSError as e:
            raise Gone(str(e))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sequence, self.input = 0, b""

    def close(self):
        self.socket.close()

    def send(self, rpc, arguments, gpid=(0, 0), partition_hash=0):
        self.sequence += 1
        self.send_bytes(frame(rpc, arguments, self.sequence, gpid, partition_hash))
        return self.sequence

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise Gone(str(e))

    def receive(self):
        """The next reply, to whatever it is: (sequence, answer or Refused)."""
        while True:
            if len(self.input) >= 4:
                size = struct.unpack(">i", self.input[:4])[0]
                if len(self.input) >= size:
                    data, self.input = self.input[4:size], self.input[size:]
                    return parse(data)
            try:
                more = self.socket.recv(1 << 16)
            except OSError as e:
                raise Gone(str(e))
            if not more:
                raise Gone("closed by the server")
            self.input += more

    def call(self, rpc, arguments, gpid=(0, 0), partition_hash=0):
        wanted = self.send(rpc, arguments, gpid, partition_hash)
        sequence, answer = self.receive()
        assert sequence == wanted, "answered %d, asked %d" % (sequence, wanted)
        if isinstance(answer, Refused):
            raise answer
        return answer

    def ask_meta(self, rpc, **arguments):
        answer = self.call(rpc, arguments)
        if answer["err"] != "ERR_OK":
            raise Refused(answer["err"])
        return answer


# ---- Tables ------------------------------------------------------------------------------------

def _crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x9A6C9329AC4BC9B5 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = _crc_table()


def key_hash(data):
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFFFFFFFFFF


def raw_key(hash_key, sort_key=b"s"):
    return struct.pack(">H", len(hash_key)) + hash_key + sort_key


class Table:
    """One table over one connection. Keys are hash keys; the sort key is always the same."""

    def __init__(self, address, name, timeout=10):
        self.connection = Connection(address, timeout)
        config = self.connection.ask_meta("RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX", table=name, indices=[])
        self.id, self.count = config["app_id"], config["count"]

    def close(self):
        self.connection.close()

    def ask(self, rpc, arguments, gpid, partition_hash=0):
        """Whoever serves the partition."""
        return self.connection.call(rpc, arguments, gpid, partition_hash)

    def place(self, key):
        partition_hash = key_hash(key)
        return (self.id, partition_hash % self.count), partition_hash

    def send_put(self, key, value):
        gpid, partition_hash = self.place(key)
        return self.connection.send("RPC_RRDB_RRDB_PUT", {"key": raw_key(key), "value": value, "expire": 0},
                                    gpid, partition_hash)

    def put_frame(self, key, value, sequence):
        gpid, partition_hash = self.place(key)
        return frame("RPC_RRDB_RRDB_PUT", {"key": raw_key(key), "value": value, "expire": 0}, sequence, gpid,
                     partition_hash)

    def _call(self, rpc, key, arguments):
        gpid, partition_hash = self.place(key)
        answer = self.ask(rpc, arguments, gpid, partition_hash)
        if answer["error"] not in (0, 1):
            raise Refused("storage status %d" % answer["error"])
        return answer

    def put(self, key, value):
        self._call("RPC_RRDB_RRDB_PUT", key, {"key": raw_key(key), "value": value, "expire": 0})

    def remove(self, key):
        self._call("RPC_RRDB_RRDB_REMOVE", key, raw_key(key))

    def incr(self, key, by):
        return self._call("RPC_RRDB_RRDB_INCR", key, {"key": raw_key(key), "by": by, "expire": 0})["value"]

    def get(self, key):
        """The value, or None."""
        answer = self._call("RPC_RRDB_RRDB_GET", key, raw_key(key))
        return answer["value"] if answer["error"] == 0 else None

    def scan(self):
        """Everything, as a dictionary of raw keys."""
        rows = {}
        for index in range(self.count):
            answer = self.ask(
                "RPC_RRDB_RRDB_GET_SCANNER", {"start": b"\0\0", "stop": b"\xff\xff", "with_start": True,
                                              "with_stop": False, "batch": 1000, "full": True},
                (self.id, index), index)
            while True:
                assert answer["error"] == 0, "scan: status %d" % answer["error"]
                rows.update((row["key"], row["value"]) for row in answer["rows"])
                if answer["context"] < 0:
                    break
                answer = self.ask("RPC_RRDB_RRDB_SCAN", {"context": answer["context"]},
                                              (self.id, index), index)
        return rows

    # ---- Duplications ----

    def dup_status(self):
        """The rows of all partitions."""
        rows = []
        for index in range(self.count):
            answer = self.ask("RPC_PIRENE_DUP_STATUS", {"table": ""}, (self.id, index))
            rows += answer["partitions"]
        return rows

    def incoming(self):
        """How far each partition of another cluster has come here: {its index: decree}."""
        decrees = {}
        for index in range(self.count):
            answer = self.ask("RPC_PIRENE_DUP_STATUS", {"table": ""}, (self.id, index))
            for row in answer["incoming"]:
                decrees[row["partition"]] = max(row["decree"], decrees.get(row["partition"], 0))
        return decrees

    def lag(self):
        """(mutations, bytes, ms) of the whole table; None when a part of it is unknown."""
        rows = self.dup_status()
        figures = [(r["lag_mutations"], r["lag_bytes"], r["lag_ms"]) for r in rows]
        if any(f < 0 for figure in figures for f in figure):
            return None
        return (sum(f[0] for f in figures), sum(f[1] for f in figures), max(f[2] for f in figures))

    def dup_wait_for(self, index, timeout):
        """"": all of that partition that was acknowledged before this call is applied there. Else why not."""
        answer = self.ask("RPC_PIRENE_DUP_WAIT", {"pid": (self.id, index), "dupid": 0,
                                                              "timeout_ms": max(1, int(timeout * 1000))},
                                      (self.id, index))
        return "" if answer["err"] == "ERR_OK" else answer["hint"] or answer["err"]

    def dup_wait(self, timeout=30):
        """True: all that was acknowledged before this call is applied there. False: not in time."""
        end = time.monotonic() + timeout
        return not any(self.dup_wait_for(index, end - time.monotonic()) for index in range(self.count))

    def digest(self):
        """(rows, digest) of the table, the same whatever the partition count is."""
        count = total = 0
        for index in range(self.count):
            answer = self.ask("RPC_PIRENE_DIGEST", {"pid": (self.id, index), "bucket_bits": 0,
                                                                "bucket": -1, "now_s": 1}, (self.id, index))
            count += sum(answer["counts"])
            total = (total + sum(answer["digests"])) % 2 ** 64
        return count, total


def create_table(address, name, partitions, replicas=1):
    connection = Connection(address)
    connection.ask_meta("RPC_CM_CREATE_APP", table=name, options={
        "partitions": partitions, "replicas": replicas, "may_exist": False, "type": "pegasus", "is_stateful": True})
    connection.close()


def drop_table(address, name):
    connection = Connection(address)
    connection.ask_meta("RPC_CM_DROP_APP", table=name, options={"may_be_absent": False})
    connection.close()


def duplicate(address, name, to, with_bootstrap=False):
    connection = Connection(address)
    connection.ask_meta("RPC_CM_ADD_DUPLICATION", table=name, remote=to, with_bootstrap=with_bootstrap)
    connection.close()


def remove_duplication(address, name, dup_id):
    connection = Connection(address)
    connection.ask_meta("RPC_CM_MODIFY_DUPLICATION", table=name, dupid=dup_id, status=DS_REMOVED)
    connection.close()
