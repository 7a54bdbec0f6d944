"""cluster_load.py: clients that write to a table of a cluster while something happens to its servers, and what
they expect of it afterwards."""
import random
import threading
import time

from cluster_table import ClusterTable
from servers import note
from wire import Gone, Refused


class Writers:
    """Several clients that write without end, each its own keys, and note what was acknowledged and how
    long nothing was: as a with-block."""

    def __init__(self, meta, count=4, size=200):
        self.meta, self.count, self.size = meta, count, size
        self.acknowledged, self.gaps, self.ends = {}, [], False

    def write(self, number):
        random_bytes, table, turn = random.Random(number), None, 0
        last = time.monotonic()
        while not self.ends:
            key, value = b"w%d-%d" % (number, turn), random_bytes.randbytes(self.size)
            while not self.ends:
                try:
                    table = table or ClusterTable(self.meta, "t", timeout=1)
                    table.put(key, value)
                    self.acknowledged[key] = value
                    break
                except (Gone, Refused, OSError):
                    if table is not None:
                        table.close()
                    table = None
                    time.sleep(0.02)
            now = time.monotonic()
            self.gaps.append(now - last)
            last, turn = now, turn + 1

    def __enter__(self):
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        for thread in self.threads:
            thread.join()

    def check(self, table):
        table.refresh()
        for key, value in self.acknowledged.items():
            assert table.get(key) == value, "lost: %s" % key
        note("   %d writes acknowledged, none lost; longest without one %.1f s" %
             (len(self.acknowledged), max(self.gaps)))


def is_whole_now(table, count=3):
    """Every partition has so many members."""
    table.refresh()
    return all(len(table.members(i)) == count for i in range(table.count))


def is_whole(table, servers):
    """Every partition is on all servers, and the same there."""
    return is_whole_now(table, len(servers)) and table.is_equal()
