"""test_nodes.py: one cluster of several servers: what is acknowledged is on all members of its partition,
the last write before silence too; and a server that was stopped or killed comes back with all of it."""
import random
import signal
import subprocess
import sys
import time

from cluster_table import ClusterTable, open_table
from servers import LONG, World, eventually, note, tell
from wire import Connection, Gone, Refused, Table, create_table, duplicate, raw_key

TABLE, PARTITIONS = "t", 8


def put_all(table, rows, prefix, count):
    for i in range(count):
        key, value = b"%s-%d" % (prefix, i), random.randbytes(random.randrange(200))
        table.put(key, value)
        rows[key] = value


def held_by_all():
    """Three servers, three replicas: places are spread, and as soon as writing ends all members of every
    partition are equal, with nothing said after the last write."""
    with World() as world:
        nodes = world.cluster(3)
        table = open_table(nodes[0].address, TABLE, PARTITIONS, 3)
        assert {p["primary"] for p in table.places.values()} == {n.address for n in nodes}
        assert all(len(table.members(i)) == 3 for i in range(PARTITIONS))
        rows = {}
        put_all(table, rows, b"k", 4000 if LONG else 800)
        began = time.monotonic()
        eventually("all members are equal", table.is_equal, timeout=1)
        note("   equal %.1f ms after the last answer" % ((time.monotonic() - began) * 1000))
        assert all(table.get(key) == value for key, value in rows.items())


def is_acknowledged(table, key, timeout=0.2):
    gpid, partition_hash = table.place(key)
    try:
        impatient = Connection(table.places[gpid[1]]["primary"], timeout)
        impatient.call("RPC_RRDB_RRDB_PUT", {"key": raw_key(key), "value": b"v", "expire": 0}, gpid, partition_hash)
        return True
    except (Gone, Refused):
        return False


def comes_back():
    """One server after the other is killed or stopped and started again: while a killed one is away, and not
    yet taken for dead, writes of its partitions wait; one that is stopped hands over first. None that was
    acknowledged is lost, and all members are equal at the end."""
    with World() as world:
        nodes = world.cluster(3)
        table = open_table(nodes[0].address, TABLE, PARTITIONS, 3)
        rows = {}
        put_all(table, rows, b"before", 200)
        for round_number in range(9 if LONG else 3):
            node, is_stopped = nodes[round_number % 3], round_number % 3 == 1
            node.stop() if is_stopped else node.kill()
            if is_stopped:
                table.refresh()
                assert all(len(table.members(i)) == 2 for i in range(PARTITIONS))
            for i in range(10):
                assert is_acknowledged(table, b"during-%d-%d" % (round_number, i)) == is_stopped
            node.start()
            eventually("the places are known again", lambda: table.refresh() or True)
            eventually("all serve again", lambda: table.refresh() or all(
                table.get(key) == value for key, value in rows.items()), timeout=30, pause=0.1)
            put_all(table, rows, b"after-%d" % round_number, 100)
        eventually("all members are equal", table.is_equal, timeout=5)
        assert all(table.get(key) == value for key, value in rows.items())


def duplicates_from_all():
    """A table with its primaries on three servers is duplicated to another cluster and back, while servers
    are killed and come back: nothing that was acknowledged is missing at the end, on either side."""
    with World() as world:
        nodes = world.cluster(3)
        table = open_table(nodes[0].address, TABLE, PARTITIONS, 3)
        remote = world.server().start()
        create_table(remote.address, TABLE, 4)
        far = Table(remote.address, TABLE)
        duplicate(nodes[0].address, TABLE, remote.address)
        duplicate(remote.address, TABLE, nodes[0].address)
        rows = {}
        put_all(table, rows, b"here", 300)
        assert eventually("all of it is there", lambda: table.dup_wait(5))
        for round_number in range(3):
            nodes[round_number].kill()
            for i in range(30):
                key = b"there-%d-%d" % (round_number, i)
                far.put(key, b"v")
                rows[key] = b"v"
            nodes[round_number].start()
            eventually("all serve again", lambda: table.refresh() or all(
                table.get(key) is not None for key in list(rows)[:100]), timeout=30, pause=0.1)
            put_all(table, rows, b"here-%d" % round_number, 50)
        eventually("all of here is there", lambda: table.refresh() or table.dup_wait(5), timeout=40)
        eventually("all of there is here", lambda: far.dup_wait(5), timeout=40)
        assert far.scan() == {raw_key(key): value for key, value in rows.items()}
        assert table.scan() == far.scan()
        assert table.digest() == far.digest()


def every_node_knows():
    """What happens to the cluster is known on every server at once; who is asked for the metas and is none
    says where the leader is; a stranger's data is refused with words."""
    with World() as world:
        nodes = world.cluster(3)
        create_table(nodes[0].address, "one", 4, 1)
        one = ClusterTable(nodes[0].address, "one")
        eventually("all partitions serve", lambda: all(one.get(b"%d" % i) is None for i in range(50)))
        assert len({p["primary"] for p in one.places.values()}) == 3
        answer = Connection(nodes[2].address).call("RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX",
                                                   {"table": "one", "indices": []})
        assert answer["err"] == "ERR_FORWARD_TO_OTHERS"
        assert answer["partitions"][0]["primary"] == nodes[0].address
        said = refused(nodes[1], ["-l", nodes[1].address, "-d", nodes[1].data])
        assert "has joined cluster" in said and "join" in said, said
        said = refused(nodes[0], ["-l", nodes[0].address, "-d", nodes[0].data, "-j", nodes[1].address])
        assert "holds the metadata" in said, said
        other = world.server().start()
        said = refused(nodes[1], ["-l", nodes[1].address, "-d", nodes[1].data, "-j", other.address])
        assert "another cluster" in said, said


def refused(node, options):
    """Stop it, start it so, and give what it says when it ends; then it is as before."""
    node.stop()
    ended = subprocess.run([sys.argv[1]] + options, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert ended.returncode != 0
    node.start()
    return ended.stderr.decode()


def waits_for_its_cluster():
    """A server whose metas are not there yet waits for them, says so, and can be stopped meanwhile."""
    with World() as world:
        first = world.server()
        second = world.server(["-j", first.address])
        with open(second.log_path, "ab") as log:
            waiting = subprocess.Popen(second.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually("it says so", lambda: "no news from the leader" in second.log_end(), timeout=20)
        assert waiting.poll() is None
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(10) == 0
        with open(second.log_path, "ab") as log:
            second.process = subprocess.Popen(second.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        first.start()
        eventually("it has joined", lambda: Connection(second.address, 1) and True, timeout=20)


tell(held_by_all, comes_back, duplicates_from_all, every_node_knows, waits_for_its_cluster)
