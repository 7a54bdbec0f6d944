"""test_burst.py: many writers at full speed, then silence. What was acknowledged last must be on the
other side at once: no later write comes by to take it along. And then nobody has anything to do.

Where every write is synced, the disk's own time is in it, on both sides; a metronome beside the servers
measures what a sync takes there meanwhile. That is not held against them, nor is the time for which
their threads could run and other programs had the processor."""
import glob
import os
import selectors
import threading
import time

from servers import LONG, World, at_most, note, tell
from wire import Gone, Table, parse

TABLE = "t"
CONNECTIONS = 32
WINDOW = 4  # Requests under way on each connection.


class Writer:
    """One connection that always has some puts under way."""

    def __init__(self, address, number):
        self.table = Table(address, TABLE)
        self.number, self.sequence, self.acknowledged = number, 0, 0
        self.last = None  # (time, key) of the newest acknowledgement.
        self.keys = {}

    def key(self):
        return b"w%d-%d" % (self.number, self.sequence)

    def send(self):
        self.sequence += 1
        self.keys[self.sequence] = self.key()
        self.table.connection.send_bytes(
            self.table.put_frame(self.keys[self.sequence], b"v%d" % self.sequence, self.sequence))

    def take(self):
        """What has come in; how many were acknowledged."""
        connection = self.table.connection
        data = connection.socket.recv(1 << 16)
        now = time.monotonic()
        if not data:
            raise Gone("closed")
        connection.input += data
        count = 0
        while len(connection.input) >= 4:
            size = int.from_bytes(connection.input[:4], "big")
            if len(connection.input) < size:
                break
            sequence, answer = parse(connection.input[4:size])
            connection.input = connection.input[size:]
            assert answer["error"] == 0
            self.last = (now, self.keys.pop(sequence), b"v%d" % sequence)
            count += 1
        self.acknowledged += count
        return count


def burst(writers, seconds):
    """All at full speed for so long; then what is under way ends, and nothing is sent any more."""
    selector = selectors.DefaultSelector()
    for writer in writers:
        selector.register(writer.table.connection.socket, selectors.EVENT_READ, writer)
        for _ in range(WINDOW):
            writer.send()
    end = time.monotonic() + seconds
    while any(w.keys for w in writers):
        for key, _ in selector.select(1):
            writer = key.data
            count = writer.take()
            if time.monotonic() < end:
                for _ in range(count):
                    writer.send()


def visible_after(remote, writers):
    """Milliseconds from the last acknowledgement until the last write of every connection, which are in
    all partitions, has been read on the other side."""
    when = max(w.last for w in writers)[0]
    for _, key, value in (w.last for w in writers):
        while remote.get(key) != value:
            assert time.monotonic() - when < 10, "not there after 10 s: %s" % key
    return (time.monotonic() - when) * 1000


class Metronome(threading.Thread):
    """Syncs a file of its own now and then, and knows the longest that took since it was asked last; the one
    that is under way then is waited for."""

    def __init__(self, directory):
        super().__init__(daemon=True)
        self.file = os.open(os.path.join(directory, "metronome"), os.O_CREAT | os.O_WRONLY)
        self.worst_ms = 0
        self.is_syncing = threading.Lock()
        self.start()

    def run(self):
        while True:
            with self.is_syncing:
                os.write(self.file, b"tick")
                began = time.monotonic()
                os.fdatasync(self.file)
                self.worst_ms = max(self.worst_ms, (time.monotonic() - began) * 1000)
            time.sleep(0.005)

    def take(self):
        with self.is_syncing:
            worst, self.worst_ms = self.worst_ms, 0
            return worst


def waited_ms(pid):
    """How long the threads of a process have waited for a processor, all together."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            with open(path) as f:
                total += int(f.read().split()[1])
        except OSError:  # The thread has ended.
            pass
    return total / 1e6


def tell_burst(sync, allowed_syncs):
    rounds = 50 if LONG else 5
    with World() as world:
        a, b = world.pair(TABLE, (8, 8), options=["-s", sync])
        metronome, processes = Metronome(world.directory), [a.process.pid, b.process.pid, os.getpid()]
        writers = [Writer(a.address, i) for i in range(CONNECTIONS)]
        remote, source = Table(b.address, TABLE), Table(a.address, TABLE)
        times, own, total, shares = [], [], 0, []
        for r in range(rounds):
            before = sum(w.acknowledged for w in writers)
            burst(writers, 2)
            metronome.take()
            waited = sum(waited_ms(p) for p in processes)
            times.append(visible_after(remote, writers))
            waited = sum(waited_ms(p) for p in processes) - waited
            own.append(times[-1] - allowed_syncs * metronome.take() - waited)
            total += sum(w.acknowledged for w in writers) - before
            assert source.dup_wait(1), source.dup_status()
            assert source.lag() == (0, 0, 0), source.lag()
            if r < 3:
                time.sleep(1)  # Stores may still be flushing.
                shares.append(max(a.cpu_share(1), b.cpu_share(1)))
        note("   %d rounds, %d writes/s; last writes visible after p50 %.1f ms, max %.1f ms (%.1f without waiting "
             "for disk and processor); idle CPU at most %.1f %%" % (
                 rounds, total / rounds / 2, sorted(times)[len(times) // 2], max(times), max(own), max(shares) * 100))
        at_most("ms until it was visible, in rounds of %r" % [round(t, 1) for t in times], max(own), 50)
        at_most("share of a processor with nothing to do", max(shares), 0.03)


def burst_then_silence():
    """The last acknowledged writes are visible at the remote within 50 ms, in each round; a moment later
    neither server uses the processor. (sync = os)"""
    tell_burst("os", 0)


def synced_burst_then_silence():
    """The same when each side syncs before it acknowledges: there, and for what was under way."""
    tell_burst("group", 2)


tell(burst_then_silence, synced_burst_then_silence)
