"""test_failover.py: servers of one cluster die, hang, and lose their disks: the others take their places
within seconds, nothing that was acknowledged is lost, and who comes back learns what it lacks and is a
member again, without anybody's help."""
import os
import random
import shutil
import time

from cluster_load import Writers, is_whole, is_whole_now
from cluster_table import open_table
from servers import LONG, World, at_most, eventually, tell

FAILOVER_MOST = 11   # Seconds: a grace, and what it takes a client to ask again.


def dies():
    """A server is killed, or stopped for longer than a grace, under load; the other two go on; it comes
    back. One after the other, but for the one with the metas."""
    with World() as world:
        nodes = world.cluster(3)
        table = open_table(nodes[0].address, "t", 8, 3)
        with Writers(nodes[0].address) as writers:
            for turn in range(6 if LONG else 2):
                node = nodes[1 + turn % 2]
                time.sleep(0.5)
                node.pause() if turn % 2 else node.kill()
                time.sleep(FAILOVER_MOST + 1)
                node.resume() if turn % 2 else node.start()
                eventually("all are members again", lambda: is_whole_now(table), timeout=60, pause=0.1)
        eventually("all members are equal", lambda: is_whole(table, nodes), timeout=20, pause=0.1)
        writers.check(table)
        assert max(writers.gaps) < FAILOVER_MOST


def restarts():
    """All servers are stopped and started again, one after the other, under load: nobody waits long for
    anything, and nothing is lost. (While the one with the metas is away the others serve on.)"""
    with World() as world:
        nodes = world.cluster(3)
        table = open_table(nodes[0].address, "t", 8, 3)
        with Writers(nodes[0].address) as writers:
            for node in nodes:
                time.sleep(0.5)
                node.stop()
                time.sleep(0.5)
                node.start()
                eventually("all are members again", lambda: is_whole_now(table), timeout=60, pause=0.1)
        eventually("all members are equal", lambda: is_whole(table, nodes), timeout=20, pause=0.1)
        writers.check(table)
        at_most("seconds without a write", max(writers.gaps), 3)


def loses_its_disk():
    """A server comes back with an empty directory: it is another one then, and is given everything."""
    with World() as world:
        nodes = world.cluster(3)
        table = open_table(nodes[0].address, "t", 4, 3)
        rows = {b"k%d" % i: random.randbytes(1000) for i in range(2000)}
        for key, value in rows.items():
            table.put(key, value)
        nodes[2].kill()
        shutil.rmtree(nodes[2].data)
        nodes[2].start()
        eventually("it has everything", lambda: is_whole(table, nodes), timeout=60, pause=0.1)
        assert all(table.get(key) == value for key, value in rows.items())


def copies_a_store():
    """So much is written while a server is away that its logs no longer reach back: it is given copies of
    the stores, and what was written meanwhile, while writing goes on."""
    with World() as world:
        config = os.path.join(world.directory, "config")
        with open(config, "w") as file:
            file.write("[log]\nsegment_size = 1M\nflush_size = 4M\n[replica]\ntail_size = 1M\n")
        nodes = world.cluster(3, ["-c", config])
        table = open_table(nodes[0].address, "t", 4, 3)
        nodes[2].kill()
        eventually("it counts as dead", lambda: table.refresh() or all(
            len(table.members(i)) == 2 for i in range(4)), timeout=20, pause=0.1)
        with Writers(nodes[0].address, size=4000) as writers:
            eventually("much was written", lambda: len(writers.acknowledged) > 10000, timeout=120, pause=0.1)
            nodes[2].start()
            eventually("all are members again", lambda: is_whole_now(table), timeout=60, pause=0.1)
        eventually("all members are equal", lambda: is_whole(table, nodes), timeout=20, pause=0.1)
        with open(nodes[2].log_path) as log:
            assert "store copied" in log.read()
        writers.check(table)


tell(dies, restarts, loses_its_disk, copies_a_store)
