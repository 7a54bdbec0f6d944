"""test_relearn.py: a server of three loses something of its replicas: a file of a store, records of its log, a
directory, at last the whole disk. It serves what is left; what is not it learns again from the others and is a
member again, without anybody's help; and nothing that was acknowledged is lost.

BAD_DISK in the environment is bad_disk.so (bad_disk.c)."""
import glob
import os
import random
import shutil
import time

from cluster_load import Writers, is_whole, is_whole_now
from cluster_table import ClusterTable, open_table
from servers import SANITIZED, World, eventually, note, tell
from wire import Gone, Refused

BAD_DISK = os.environ.get("BAD_DISK")
PARTITIONS = 4


class Cluster:
    """Three servers and a table of so many rows, each partition with its last rows in the logs alone."""

    def __init__(self, world):
        self.nodes = world.cluster(3)
        self.table = open_table(self.nodes[0].address, "t", PARTITIONS, 3)
        self.rows = {}
        self.fill(1500)

    def fill(self, count):
        for _ in range(count):
            key, value = b"k%d" % random.randrange(4000), random.randbytes(random.randrange(400))
            eventually("a write is taken", lambda: self.put(key, value), pause=0.02)
            self.rows[key] = value

    def put(self, key, value):
        try:
            self.table.put(key, value)
            return True
        except (Gone, Refused):
            self.table.refresh()
            raise

    def is_led_by(self, node, index):
        return self.table.places[index]["primary"] == node.address

    def check(self):
        eventually("all members are there, and equal", lambda: is_whole(self.table, self.nodes), timeout=60,
                   pause=0.1)
        table = ClusterTable(self.nodes[0].address, "t")
        for key, value in self.rows.items():
            assert table.get(key) == value, "lost: %s" % key
        table.close()


def replica(node, index):
    return glob.glob(os.path.join(node.data, "replicas", "*.%d" % index))[0]


def put_aside(node, index):
    return glob.glob(os.path.join(node.data, "replicas", "*.%d.damaged.*" % index))


def overwrite(path, offset, size):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(random.randbytes(size))


def damage_store(node, index, what):
    """All of a table, or the middle of the manifest, or what CURRENT says."""
    path = sorted(glob.glob(os.path.join(replica(node, index), "store", what)))[-1]
    size = os.path.getsize(path)
    overwrite(path, 0 if what == "*.sst" else size // 2, size if what == "*.sst" else size // 4 + 1)


def damaged_store():
    """A file of a store is damaged while its server is down. The server starts and serves its other
    partitions; the damaged one is put aside and learned again. Of those put aside one is kept."""
    with World() as world:
        cluster = Cluster(world)
        node = cluster.nodes[1]
        for what in ("*.sst", "MANIFEST-*", "CURRENT", "*.sst"):
            node.stop()  # The stores are flushed then, and have tables.
            damage_store(node, 2, what)
            node.start()
            cluster.fill(100)
            cluster.check()
            assert len(put_aside(node, 2)) == 1, what
            cluster.fill(100)
        log = node.log_end(1000000)
        assert log.count("replica set aside") == 4 and not put_aside(node, 1), log
        cluster.check()


def log_file(node):
    return sorted(glob.glob(os.path.join(node.data, "log", "log.*")))[0]


def damaged_log():
    """A few sectors in the middle of a server's log are damaged while it is down: records that nobody else has
    for it are lost, and the partitions that had them learn again, with the stores that they have."""
    with World() as world:
        cluster = Cluster(world)
        node = cluster.nodes[2]
        for _ in range(2):
            node.kill()  # What was not flushed is in the log alone.
            path = log_file(node)
            with open(path, "rb") as file:
                size = len(file.read().rstrip(b"\0"))
            overwrite(path, size // 2, 4096)
            node.start()
            cluster.fill(200)
            cluster.check()
        assert "records are lost" in node.log_end(1000000)
        assert not any(put_aside(node, i) for i in range(PARTITIONS))
        node.kill()
        node.start()
        cluster.check()


def lost_directories():
    """The directories of a partition that a server led, and of one that it did not, are removed while it is down.
    It does not begin with nothing in the place of what it was: the others go on, and it learns."""
    with World() as world:
        cluster = Cluster(world)
        node = cluster.nodes[1]
        cluster.table.refresh()
        led = [cluster.is_led_by(node, i) for i in range(PARTITIONS)]
        node.kill()
        for index in (led.index(True), led.index(False)):
            shutil.rmtree(replica(node, index))
        node.start()
        cluster.fill(100)
        cluster.check()
        assert "is missing" in node.log_end(100000)


def lost_in_an_outage():
    """All servers are killed, with rows that only the logs have; the one that comes back first, and the last, have
    lost all directories."""
    for lost in (0, 2):
        with World() as world:
            cluster = Cluster(world)
            for node in cluster.nodes:
                node.kill()
            for index in range(PARTITIONS):
                shutil.rmtree(replica(cluster.nodes[lost], index))
            for node in cluster.nodes:
                node.start()
            cluster.check()


def lost_without_others():
    """The directory of a partition that no other server has is removed. It is not made anew: the partition does not
    serve, and the log says what is missing. An empty one, made by hand, is taken for the word that its rows are lost;
    and when it is there again so are they."""
    with World() as world:
        cluster = Cluster(world)
        first, others = cluster.nodes[0], cluster.nodes[1:]
        for node in others:
            node.kill()
        eventually("the others are dead", lambda: is_whole_now(cluster.table, 1), timeout=30, pause=0.1)
        first.stop()
        path = replica(first, 2)
        os.rename(path, path + ".elsewhere")
        first.start()
        time.sleep(1)
        assert not os.path.exists(path) and "replicas/" in first.log_end() and "missing" in first.log_end()
        assert [outcome(cluster, i) for i in range(PARTITIONS)] == ["served", "served", "refused", "served"]
        os.makedirs(path)
        eventually("it is taken for lost", lambda: outcome(cluster, 2) == "lost", timeout=10, pause=0.1)
        first.stop()
        shutil.rmtree(path)
        os.rename(path + ".elsewhere", path)
        first.start()
        for node in others:
            node.start()
        cluster.check()


def outcome(cluster, index):
    """Of reading one of its rows."""
    table = ClusterTable(cluster.nodes[0].address, "t", timeout=1)
    key = next(key for key in cluster.rows if table.place(key)[0][1] == index)
    try:
        return "served" if table.get(key) == cluster.rows[key] else "lost"
    except (Gone, Refused):
        return "refused"
    finally:
        table.close()


def failing_disk():
    """The disk of one of three servers fails under load. Its partitions go on with the others within seconds, and it
    is no member of any; started again on a disk that works, it is one again."""
    if BAD_DISK is None or SANITIZED:
        note("!! SKIPPED: no BAD_DISK was given, or a sanitizer wants to be loaded first")
        return
    with World() as world:
        when = os.path.join(world.directory, "bad")
        first = world.server().start()
        join = ["-j", first.address]
        bad = {"LD_PRELOAD": BAD_DISK, "BAD_DISK_WHEN": when}
        nodes = [first, world.server(join).start(), world.server(join, environment=bad).start()]
        table = open_table(first.address, "t", 8, 3)
        with Writers(first.address) as writers:
            time.sleep(1)
            open(when, "w").close()
            eventually("it is no member", lambda: is_whole_now(table, 2) and all(
                nodes[2].address not in table.members(i) for i in range(8)), timeout=10, pause=0.05)
            time.sleep(2)
            assert not any(put_aside(nodes[2], i) for i in range(8)), "its stores are well"
            os.unlink(when)
            nodes[2].kill()
            nodes[2].environment.pop("LD_PRELOAD")
            nodes[2].start()
            eventually("it is a member again", lambda: is_whole_now(table), timeout=90, pause=0.1)
        eventually("all members are equal", lambda: is_whole(table, nodes), timeout=20, pause=0.1)
        writers.check(table)
        assert max(writers.gaps) < 5, max(writers.gaps)


tell(damaged_store, damaged_log, lost_directories, lost_in_an_outage, lost_without_others, failing_disk)
