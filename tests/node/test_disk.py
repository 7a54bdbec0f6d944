"""test_disk.py: the disk is full, and has room again; the disk fails.

BAD_DISK in the environment is bad_disk.so (bad_disk.c). A full disk needs a small one: a tmpfs, which
only root may mount; without that, those stories say that they were skipped."""
import os
import subprocess
import time

from servers import SANITIZED, World, eventually, note, tell
from wire import Gone, Refused, Table, create_table

TABLE = "t"
BAD_DISK = os.environ.get("BAD_DISK")


class SmallDisk:
    """A file system of so many megabytes, at 'path'."""

    def __init__(self, path, size_mb):
        self.path, self.size_mb = path, size_mb

    def __enter__(self):
        os.makedirs(self.path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % self.size_mb, "tmpfs", self.path],
                              capture_output=True, text=True)
        self.is_there = done.returncode == 0
        if not self.is_there:
            note("!! SKIPPED: no small disk can be mounted here: " + done.stderr.strip())
        return self

    def fill(self, leave_mb):
        """Another program takes what is left, but for so much."""
        with open(os.path.join(self.path, "filler"), "ab") as filler:
            for _ in range(10):  # The server may take some of it at the same moment.
                free = os.statvfs(self.path)
                size = free.f_bavail * free.f_frsize - int(leave_mb * (1 << 20))
                try:
                    if size > 0:
                        os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, size)
                    return
                except OSError:
                    pass

    def free(self):
        os.unlink(os.path.join(self.path, "filler"))

    def __exit__(self, *_):
        if self.is_there:
            subprocess.run(["umount", "-l", self.path], check=True)


def put_until_refused(address, name, seconds=30):
    """Puts of 100 KB; the keys that were acknowledged, and the refusal. A put that was on its way to the
    log when the disk was full waits there: its client hears nothing, and it may be done later."""
    value, keys = b"v" * 100000, []
    table = Table(address, TABLE, timeout=1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        key = b"%s-%d" % (name, len(keys))
        try:
            table.put(key, value)
            keys.append(key)
        except Gone:
            table = Table(address, TABLE, timeout=1)
        except Refused as refusal:
            return keys, str(refusal)
    raise AssertionError("%d puts, and none was refused" % len(keys))


def all_are_there(table, keys):
    for key in keys:
        assert table.get(key) is not None, "%s is lost" % key


def full_disk(leave_mb):
    with World() as world, SmallDisk(os.path.join(world.directory, "disk"), 400) as disk:
        if not disk.is_there:
            return
        server = world.server(directory=disk.path).start()
        create_table(server.address, TABLE, 4)
        table = Table(server.address, TABLE)
        keys = [b"early-%d" % i for i in range(100)]
        for key in keys:
            table.put(key, b"v")
        disk.fill(leave_mb)
        late, refusal = put_until_refused(server.address, b"late")
        assert refusal == "ERR_DISK_INSUFFICIENT", refusal
        for _ in range(20):
            all_are_there(table, keys + late)  # Reads are served all the while.
            try:
                Table(server.address, TABLE, timeout=0.2).put(b"more", b"v" * 100000)
            except (Refused, Gone):
                pass
            time.sleep(0.05)
        assert server.is_alive()
        disk.free()
        freed = time.monotonic()
        eventually("writes are taken again", lambda: table.put(b"after", b"v") is None, 10)
        resumed = time.monotonic() - freed
        all_are_there(table, keys + late)
        server.kill()
        server.start()
        all_are_there(Table(server.address, TABLE), keys + late + [b"after"])
        note("   %d puts before it was full; taken again %.2f s after there was room" % (len(late), resumed))


def fills_slowly():
    """Writes are refused while something is still left, reads are served; with room again writes are
    taken without anybody's help; nothing acknowledged is lost, by a kill neither."""
    full_disk(leave_mb=100)


def full_at_once():
    """The same when another program takes the whole disk at once."""
    full_disk(leave_mb=0)


def full_for_stores():
    """Stores that meet the full disk themselves, in a flush: writes are refused or wait, reads are served;
    with room again all of them go on by themselves, and nothing acknowledged is lost, by a kill neither."""
    with World() as world, SmallDisk(os.path.join(world.directory, "disk"), 100) as disk:
        if not disk.is_there:
            return
        settings = os.path.join(world.directory, "settings.ini")
        with open(settings, "w") as file:
            file.write("[store]\nwrite_buffer_size = 300000\ndisk_reserve_size = 0\n")
        server = world.server(["-c", settings], directory=disk.path).start()
        create_table(server.address, TABLE, 4)
        keys = []
        for r in range(30):  # The log may be the first to meet it: then once more.
            keys += put_until_stuck(server, b"early-%d" % r, 10)
            disk.fill(leave_mb=0)
            keys += put_until_stuck(server, b"late-%d" % r, 1000)
            if is_store_full(server):
                break
            disk.free()
        assert is_store_full(server), server.log_end()
        all_are_there(Table(server.address, TABLE), keys)
        disk.free()
        freed = time.monotonic()
        for i in range(16):  # Into all partitions.
            key = b"after-%d" % i
            eventually("writes are taken again", lambda: Table(server.address, TABLE).put(key, b"v") is None, 20)
            keys.append(key)
        resumed = time.monotonic() - freed
        assert "the replica has space again" in server.log_end(100000)
        all_are_there(Table(server.address, TABLE), keys)
        server.kill()
        server.start()
        all_are_there(Table(server.address, TABLE), keys)
        note("   %d puts; taken again everywhere %.2f s after there was room" % (len(keys), resumed))


def is_store_full(server):
    return "no space for a replica" in server.log_end(100000)


def put_until_stuck(server, name, count):
    """So many puts of 50 KB, or fewer, when one has no answer or a store is full; the keys that were
    acknowledged."""
    keys = []
    table = Table(server.address, TABLE, timeout=1)
    for i in range(count):
        key = b"%s-%d" % (name, i)
        try:
            table.put(key, os.urandom(50000))
            keys.append(key)
        except Refused:
            time.sleep(0.01)
        except Gone:
            break
        if is_store_full(server):
            break
    return keys


def sync_fails():
    """A failed sync is final for the disk: no write is acknowledged after it, though later syncs would
    succeed; the process lives and says what is wrong; what was acknowledged before is there when the
    server is started on a good disk."""
    if BAD_DISK is None or SANITIZED:
        note("!! SKIPPED: no BAD_DISK was given, or a sanitizer wants to be loaded first")
        return
    with World() as world:
        when = os.path.join(world.directory, "bad")
        server = world.server(environment={"LD_PRELOAD": BAD_DISK, "BAD_DISK_WHEN": when}).start()
        create_table(server.address, TABLE, 4)
        table = Table(server.address, TABLE)
        keys = [b"k%d" % i for i in range(200)]
        for key in keys:
            table.put(key, b"v")
        open(when, "w").close()
        outcomes = set()
        for i in range(40):  # Into all partitions: they share the disk.
            outcomes.add(outcome(table, b"bad-%d" % i))
        os.unlink(when)
        for i in range(40):
            outcomes.add(outcome(table, b"worse-%d" % i))
        assert "acknowledged" not in outcomes, outcomes
        assert server.is_alive(), "it ended"
        reads = {read_outcome(table, key) for key in keys}
        log = server.log_end()
        assert "ERROR" in log, "nothing is said: " + log
        server.kill()
        server.environment.pop("LD_PRELOAD")
        server.start()
        again = Table(server.address, TABLE)
        all_are_there(again, keys)
        note("   writes: %s; reads: %s" % (", ".join(sorted(outcomes)), ", ".join(sorted(reads))))


def outcome(table, key):
    try:
        table.put(key, b"v")
        return "acknowledged"
    except Refused as refusal:
        return str(refusal)


def read_outcome(table, key):
    try:
        return "served" if table.get(key) is not None else "LOST"
    except Refused as refusal:
        return str(refusal)


tell(fills_slowly, full_at_once, full_for_stores, sync_fails)
