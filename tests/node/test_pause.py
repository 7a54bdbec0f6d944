"""test_pause.py: the remote is stopped as by a debugger: its sockets take bytes for a while, and nobody
reads them. Nothing at the source may wait for it."""
import random
import threading
import time

from servers import LONG, World, at_most, note, tell
from wire import Table, create_table

TABLE = "t"


def p99_ms(times):
    return sorted(times)[len(times) * 99 // 100] * 1000


class Load(threading.Thread):
    """Puts at a steady rate, and how long each took."""

    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.table, self.name_ = Table(address, TABLE), name
        self.times, self.count = [], 0
        self.is_stopping, self.failure = False, None

    def run(self):
        try:
            while not self.is_stopping:
                began = time.monotonic()
                self.table.put(b"%s-%d" % (self.name_, self.count), b"v" * random.randrange(200))
                self.times.append(time.monotonic() - began)
                self.count += 1
                time.sleep(0.002)
        except Exception as e:
            self.failure = e

    def take_times(self):
        times, self.times = self.times, []
        return times


def remote_stands_still():
    """While the remote is stopped, puts and gets at the source take as long as before, the lag grows
    with the clock; when it goes on, everything arrives. As long as before, or as at a server beside it that
    ships to nobody: what else the machine does is not held against either."""
    seconds = 60 if LONG else 8
    with World() as world:
        a, b = world.pair(TABLE)
        beside = world.server().start()
        create_table(beside.address, TABLE, 4)
        loads = [Load(a.address, b"w%d" % i) for i in range(4)]
        control = Load(beside.address, b"c")
        for load in loads + [control]:
            load.start()
        time.sleep(2)
        before = [t for load in loads for t in load.take_times()]
        b.pause()
        control.take_times()
        began = time.monotonic()
        figures = []
        while time.monotonic() - began < seconds:
            time.sleep(seconds / 10)
            figures.append(Table(a.address, TABLE).lag())
        during = [t for load in loads for t in load.take_times()]
        meanwhile = control.take_times()
        memory = a.resident_mb()
        b.resume()
        resumed = time.monotonic()
        for load in loads + [control]:
            load.is_stopping = True
            load.join()
            assert load.failure is None, load.failure
        table = Table(a.address, TABLE)
        assert table.dup_wait(60), "not everything arrived: %r" % table.dup_status()
        caught_up = time.monotonic() - resumed
        assert table.lag() == (0, 0, 0), table.lag()
        known = [f for f in figures if f is not None]
        assert known and known[-1][2] > (seconds - 3) * 1000, "lag stood still: %r" % figures
        assert [f[0] for f in known] == sorted(f[0] for f in known), "lag shrank: %r" % figures
        at_most("p99 in ms while it stood still", p99_ms(during), max(20, 4 * p99_ms(before), 4 * p99_ms(meanwhile)))
        rows = Table(a.address, TABLE).scan()
        assert rows == Table(b.address, TABLE).scan()
        assert len(rows) == sum(load.count for load in loads)
        note("   put p99 %.1f ms before, %.1f ms (max %.1f) in %d s of standing still; %d puts, lag %r, "
             "source %.0f MB; all there after %.2f s" % (
                 p99_ms(before), p99_ms(during), max(during) * 1000, seconds, len(rows), known[-1], memory,
                 caught_up))


def one_write_and_silence():
    """One write while the remote stands still, and nothing after it: the lag is one mutation, and older
    from moment to moment; when the remote goes on it is nothing at once."""
    with World() as world:
        a, b = world.pair(TABLE)
        table = Table(a.address, TABLE)
        table.put(b"before", b"v")
        assert table.dup_wait(10)
        b.pause()
        put_began = time.monotonic()
        table.put(b"last", b"v")
        put_ended = time.monotonic()
        ages = []
        for _ in range(10):
            time.sleep(0.2)
            least = (time.monotonic() - put_ended) * 1000
            mutations, size, ms = table.lag()
            most = (time.monotonic() - put_began) * 1000
            assert mutations == 1 and size > 0, (mutations, size)
            assert least - 20 <= ms <= most + 20, "said %d ms, it is %d to %d ms" % (ms, least, most)
            ages.append(ms)
        assert not table.dup_wait(0.1), "applied by nobody"
        b.resume()
        resumed = time.monotonic()
        assert table.dup_wait(10) and table.lag() == (0, 0, 0)
        note("   lag grew to %d ms; there %.1f ms after the remote went on" % (
            ages[-1], (time.monotonic() - resumed) * 1000))


tell(remote_stands_still, one_write_and_silence)
