"""test_counts.py: the two tables of a duplication need not have as many partitions as each other: every
record finds the partition of its own key."""

from servers import World, note, tell
from wire import Table

TABLE = "t"


def write(table, name, count):
    """Puts, some of them over each other, and removes of every seventh; all under way at once."""
    for i in range(count):
        table.send_put(b"%s-%d" % (name, i % (count * 3 // 4)), b"value %d" % i)
    for _ in range(count):
        _, answer = table.connection.receive()
        assert answer["error"] == 0
    for i in range(0, count, 7):
        table.remove(b"%s-%d" % (name, i))


def compare(partitions, both_ways):
    with World() as world:
        a, b = world.pair(TABLE, partitions, options=["-s", "os"], both_ways=both_ways)
        tables = Table(a.address, TABLE), Table(b.address, TABLE)
        assert (tables[0].count, tables[1].count) == partitions
        write(tables[0], b"a", 5000)
        if both_ways:
            write(tables[1], b"b", 5000)
            write(tables[1], b"a", 1000)  # Over what came from the other side.
        for table in tables if both_ways else tables[:1]:
            assert table.dup_wait(60) and table.lag() == (0, 0, 0)
        committed = {row["partition"]: row["committed"] for row in tables[0].dup_status()}
        heard = tables[1].incoming()
        assert heard.keys() == committed.keys(), "a source that was not noted: %r" % heard
        assert all(0 < heard[i] <= committed[i] for i in heard), (heard, committed)
        rows = tables[0].scan()
        assert rows == tables[1].scan(), "they differ"
        assert tables[0].digest() == tables[1].digest()
        spread = [len([k for k in rows if t.place(k[2:-1])[0][1] == i]) for t in tables for i in range(t.count)]
        assert min(spread) > 0, "a partition is empty: %r" % spread
        note("   %d rows equal" % len(rows))


def four_into_eight():
    """4 partitions into 8, one way: a full scan of both sides gives the same."""
    compare((4, 8), False)


def eight_into_four():
    """8 partitions into 4, one way."""
    compare((8, 4), False)


def both_ways_at_once():
    """4 and 16 partitions, both ways, over each other's records."""
    compare((4, 16), True)


tell(four_into_eight, eight_into_four, both_ways_at_once)
