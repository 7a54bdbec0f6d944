"""test_anew.py: the remote is no longer the one that holds what is confirmed: its disks were wiped, or its
table was dropped and made anew. Nothing may claim then that the remote has everything (D13)."""
import shutil

from servers import World, eventually, note, tell
from wire import Table, create_table, drop_table, duplicate, remove_duplication

TABLE = "t"


def says_another(table, word):
    """Every stream that has something to ship says so, and is not live."""
    rows = [row for row in table.dup_status() if row["lag_mutations"] > 0]
    return rows and all(word in row["reason"] and row["state"] == "connecting" for row in rows)


def is_not_there(table, key):
    """Written at the source: the lag shows it, and a wait does not say otherwise."""
    table.put(key, b"v")
    eventually("the lag shows it", lambda: table.lag()[0] > 0)
    assert not table.dup_wait(0.3), "it is said to be there, and is not"


def begin(world):
    a, b = world.pair(TABLE, both_ways=False)
    table = Table(a.address, TABLE)
    for i in range(50):
        table.put(b"before-%d" % i, b"v")
    assert table.dup_wait(10) and len(Table(b.address, TABLE).scan()) == 50
    eventually("positions are saved", lambda: all(r["confirmed"] >= 0 for r in table.dup_status()))
    return a, b, table


def wiped():
    """Another cluster with the same name, id, address and table: the source says so and ships nothing,
    also after it was started again itself."""
    with World() as world:
        a, b, table = begin(world)
        b.kill()
        shutil.rmtree(b.data)
        b.start()
        create_table(b.address, TABLE, 4)
        is_not_there(table, b"after")
        eventually("it says why", lambda: says_another(table, "another cluster"))
        a.stop()
        a.start()
        table = Table(a.address, TABLE)
        is_not_there(table, b"later")
        eventually("it says why again", lambda: says_another(table, "another cluster"))
        assert Table(b.address, TABLE).scan() == {}
        note("   " + table.dup_status()[0]["reason"])


def dropped():
    """The remote table was dropped and made again under its name."""
    with World() as world:
        a, b, table = begin(world)
        drop_table(b.address, TABLE)
        create_table(b.address, TABLE, 4)
        is_not_there(table, b"after")
        for i in range(20):
            table.put(b"more-%d" % i, b"v")
        eventually("it says why", lambda: says_another(table, "made anew"))
        a.kill()
        a.start()
        table = Table(a.address, TABLE)
        is_not_there(table, b"later")
        eventually("it says why again", lambda: says_another(table, "made anew"))
        assert Table(b.address, TABLE).scan() == {}
        note("   " + table.dup_status()[0]["reason"])


def waits_in_vain(table, word):
    """No partition says that all is there, and each says why, in the end. Nothing is written meanwhile."""
    def says_why(index):
        why = table.dup_wait_for(index, 0.3)
        assert why, "partition %d says that all is there" % index
        return word in why
    for index in range(table.count):
        eventually("it says why", lambda: says_why(index))


def is_repaired(a, b, table):
    """The duplication is removed and made anew: then a wait is true, and all is there."""
    remove_duplication(a.address, TABLE, table.dup_status()[0]["dupid"])
    duplicate(a.address, TABLE, b.address, with_bootstrap=True)
    eventually("it is there", lambda: table.dup_wait(10))
    assert len(Table(b.address, TABLE).scan()) == 50


def wiped_while_idle():
    """The stream has nothing to send, and so nothing to notice by: a wait asks, and does not say yes."""
    with World() as world:
        a, b, table = begin(world)
        b.kill()
        waits_in_vain(table, "cannot be reached")
        shutil.rmtree(b.data)
        b.start()
        create_table(b.address, TABLE, 4)
        waits_in_vain(table, "another cluster")
        assert all(row["state"] == "connecting" for row in table.dup_status())
        note("   " + table.dup_wait_for(0, 0.1))
        is_repaired(a, b, table)


def dropped_while_idle():
    """The same, with a table that was dropped and made anew: seen at once, by the metas' word."""
    with World() as world:
        a, b, table = begin(world)
        drop_table(b.address, TABLE)
        waits_in_vain(table, "does not exist")
        create_table(b.address, TABLE, 4)
        waits_in_vain(table, "made anew")
        note("   " + table.dup_wait_for(0, 0.1))
        is_repaired(a, b, table)


def gone_while_idle():
    """The remote dies and comes back as it was: no wait says yes between, and all do afterwards."""
    with World() as world:
        a, b, table = begin(world)
        b.kill()
        waits_in_vain(table, "cannot be reached")
        b.start()
        assert table.dup_wait(10)
        assert all(row["reason"] == "" for row in table.dup_status())


tell(wiped, dropped, wiped_while_idle, dropped_while_idle, gone_while_idle)
