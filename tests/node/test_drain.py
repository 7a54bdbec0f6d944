"""test_drain.py: a server is told to hold nothing, by the command that operators use: its partitions go to the
others while clients write, nothing that was acknowledged is lost, and it can be taken away."""
import json
import os
import subprocess
import sys

from cluster_load import Writers
from cluster_table import open_table
from servers import LONG, World, at_most, eventually, tell

PIRENE = os.path.join(os.path.dirname(sys.argv[1]), "pirene") if len(sys.argv) > 1 else "pirene"
GAP_MOST = 3   # Seconds without an acknowledgement: no server dies, so it is far less.


def pirene(meta, *words):
    """What it prints, and its exit code."""
    run = subprocess.run([PIRENE, *words, "--meta", meta, "--json", "--timeout", "100s"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=120)
    return json.loads(run.stdout or run.stderr), run.returncode


def node(meta, address):
    return next(row for row in pirene(meta, "node", "list")[0] if row["node"] == address)


def holds(row):
    return row["primaries"] + row["secondaries"] + row["learners"]


def drains():
    """Under load a server of four is drained, and killed when it holds nothing: nobody misses it, not even those
    who read a table of which it had the only copies."""
    with World() as world:
        nodes = world.cluster(4)
        meta = nodes[0].address
        table, single = open_table(meta, "t", 8, 3), open_table(meta, "single", 8, 1)
        rows = {b"k%d" % i: b"v%d" % i for i in range(500)}
        for key, value in rows.items():
            single.put(key, value)
        with Writers(meta) as writers:
            for leaving in nodes[1:] if LONG else nodes[1:2]:
                eventually("much was written", lambda: len(writers.acknowledged) > 1000, timeout=60, pause=0.1)
                said, code = pirene(meta, "node", "drain", leaving.address)
                assert code == 0 and said["status"] == "drained" and holds(said) == 0, said
                eventually("it stays so", lambda: holds(node(meta, leaving.address)) == 0)
                table.refresh()
                assert all(leaving.address not in table.members(i) for i in range(table.count))
                assert pirene(meta, "cluster", "status")[1] == 0
                if LONG:
                    assert pirene(meta, "node", "drain", leaving.address, "--undo")[1] == 0
                else:
                    leaving.kill()
        eventually("all members are equal", table.is_equal, timeout=20, pause=0.1)
        writers.check(table)
        at_most("seconds without an acknowledgement", max(writers.gaps), GAP_MOST)
        single.refresh()
        assert all(single.get(key) == value for key, value in rows.items())


def stays():
    """Of three servers none can be spared: the command says so, and the server leads nowhere any more, until that
    is called off. Wanted again, it is done when a fourth server comes, without asking once more."""
    with World() as world:
        nodes = world.cluster(3)
        meta, leaving = nodes[0].address, nodes[2].address
        table = open_table(meta, "t", 4, 3)
        said, code = pirene(meta, "node", "drain", leaving)
        assert code == 1 and said["stuck"] == 4 and said["primaries"] == 0, said
        assert pirene(meta, "cluster", "status")[1] == 0
        assert pirene(meta, "node", "drain", leaving, "--undo")[0]["status"] == "alive"
        assert pirene(meta, "node", "drain", leaving, "--no-wait")[0]["status"] == "draining"
        world.server(["-j", meta]).start()
        eventually("it holds nothing", lambda: node(meta, leaving)["status"] == "drained", timeout=60, pause=0.1)
        eventually("all members are equal", lambda: table.refresh() or table.is_equal(), timeout=20, pause=0.1)


tell(drains, stays)
