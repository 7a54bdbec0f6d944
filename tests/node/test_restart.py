"""test_restart.py: stopping and starting: nothing that was acknowledged is lost, and who may not start is
told why."""
import glob
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from servers import LONG, World, eventually, note, tell
from wire import Connection, Gone, Refused, Table, create_table, raw_key

TABLE = "t"


def fill(table, count, name=b"k"):
    """So many puts under way at once."""
    rows = {}
    for i in range(count):
        key, value = b"%s-%d" % (name, i), random.randbytes(random.randrange(300))
        table.send_put(key, value)
        rows[raw_key(key)] = value
    for _ in range(count):
        assert table.connection.receive()[1]["error"] == 0
    return rows


def stopped_and_killed():
    """Thousands of records, the server stopped or killed after each few thousand: every start finds
    exactly what there was."""
    with World() as world:
        server = world.server().start()
        create_table(server.address, TABLE, 8)
        rows, times = {}, []
        for r in range(12 if LONG else 4):
            rows.update(fill(Table(server.address, TABLE), 3000, b"k%d" % (r % 3)))
            server.kill() if r % 2 else server.stop()
            began = time.monotonic()
            server.start()
            times.append(time.monotonic() - began)
            assert Table(server.address, TABLE).scan() == rows, "round %d" % r
        note("   %d records; started again in %s s" % (len(rows), ", ".join("%.2f" % t for t in times)))


def set_aside_and_repaired():
    """A store that can't be opened keeps nobody else from serving, and its part of the log stays: when it
    was repaired, the next start has every acknowledged record, those that were never flushed too."""
    with World() as world:
        server = world.server().start()
        create_table(server.address, TABLE, 4)
        rows = fill(Table(server.address, TABLE), 2000)
        server.kill()  # What was not flushed is in the log alone.
        store = glob.glob(os.path.join(server.data, "replicas", "*.2", "store"))[0]
        set_current(store, broken=True)
        for _ in range(2):
            server.start()
            served = refused = 0
            table = Table(server.address, TABLE)
            for i in range(200):
                try:
                    key = b"more-%d" % i
                    table.put(key, b"v")
                    rows[raw_key(key)] = b"v"
                    served += 1
                except Refused:
                    refused += 1
            assert served > 100 and refused > 20, (served, refused)
            server.kill()
        set_current(store, broken=False)
        server.start()
        assert Table(server.address, TABLE).scan() == rows
        note("   %d records, all there" % len(rows))


def set_aside_lets_the_log_go():
    """Others write many times what the log may have while a replica is set aside: its segments are freed, for
    its records move to files of their own; a metric tells. Repaired, it has every acknowledged record, also
    when it is killed before it has flushed them."""
    with World() as world:
        settings = os.path.join(world.directory, "settings.ini")
        with open(settings, "w") as file:
            file.write("[log]\nsegment_size = 1000000\nflush_size = 4000000\nship_size = 2000000\n")
        server = world.server(["-c", settings]).start()
        create_table(server.address, TABLE, 4)
        rows = fill(Table(server.address, TABLE), 8000)
        server.kill()
        store = glob.glob(os.path.join(server.data, "replicas", "*.2", "store"))[0]
        set_current(store, broken=True)
        server.start()
        first = log_files(server)
        for r in range(5):
            rows.update(fill_what_is_served(Table(server.address, TABLE), b"r%d" % r, 1000))
        moved = glob.glob(os.path.join(server.data, "log", "backlog", "*.2.*"))
        assert moved and not set(first) & set(log_files(server)), (moved, log_files(server))
        assert sum(map(os.path.getsize, log_files(server))) < 12000000, log_files(server)
        assert "set aside" in server.log_end(100000)
        assert metric(server, "log_kept_size") > 0
        server.kill()
        set_current(store, broken=False)
        for _ in range(2):
            server.start()
            assert Table(server.address, TABLE).scan() == rows
            server.kill()
        server.start()
        eventually("its files go when they are flushed", lambda: metric(server, "log_kept_size") == 0 and
                   not glob.glob(os.path.join(server.data, "log", "backlog", "*.2.*")))
        server.stop()
        assert Table(server.start().address, TABLE).scan() == rows
        note("   %d records, all there; %d files were moved" % (len(rows), len(moved)))


def set_current(store, broken):
    """A store whose CURRENT file leads nowhere, or that was repaired."""
    current = os.path.join(store, "CURRENT")
    if not broken:
        os.rename(current + ".gone", current)
        return
    os.rename(current, current + ".gone")
    with open(current, "w") as file:
        file.write("MANIFEST-999999\n")


def log_files(server):
    return glob.glob(os.path.join(server.data, "log", "log.*"))


def fill_what_is_served(table, name, count):
    """Puts of 5 KB; those that were acknowledged."""
    rows = {}
    for i in range(count):
        key, value = b"%s-%d" % (name, i), random.randbytes(5000)
        try:
            table.put(key, value)
            rows[raw_key(key)] = value
        except Refused:
            pass
    assert len(rows) > count / 2
    return rows


def metric(server, name):
    with urllib.request.urlopen("http://%s/metrics" % server.address, timeout=5) as answer:
        lines = [line.split() for line in answer.read().decode().splitlines()]
    values = [float(words[-1]) for words in lines if words and words[0].split("{")[0].endswith(name)]
    assert values, "there is no metric " + name
    return sum(values)


class Writer(threading.Thread):
    """Puts until its connection ends."""

    def __init__(self, address, name):
        super().__init__(daemon=True)
        self.table, self.name_, self.rows = Table(address, TABLE), name, {}
        self.maybe, self.failure = None, None
        self.start()

    def run(self):
        try:
            while True:
                key = b"%s-%d" % (self.name_, len(self.rows))
                self.maybe = raw_key(key)
                self.table.put(key, b"v")
                self.rows[self.maybe] = b"v"
        except (Gone, Refused):
            pass
        except Exception as e:
            self.failure = e


def stopped_under_load():
    """A server that is stopped while clients write ends soon and well, and has all that it
    acknowledged."""
    with World() as world:
        server = world.server().start()
        create_table(server.address, TABLE, 8)
        rows, maybe, slowest = {}, set(), 0
        for r in range(10 if LONG else 3):
            writers = [Writer(server.address, b"r%d-%d" % (r, i)) for i in range(8)]
            time.sleep(random.uniform(0.2, 0.6))
            began = time.monotonic()
            server.stop()
            slowest = max(slowest, time.monotonic() - began)
            for writer in writers:
                writer.join(15)
                assert not writer.is_alive(), "a client was left waiting"
                if writer.failure is not None:
                    raise writer.failure
                rows.update(writer.rows)
                maybe.add(writer.maybe)
            server.start()
            found = Table(server.address, TABLE).scan()
            lost = [k for k in rows if k not in found]
            assert not lost, "round %d lost %r" % (r, lost[:5])
            assert all(k in rows or k in maybe for k in found), "something was made up"
            rows.update((k, v) for k, v in found.items() if k in maybe)
        note("   %d records; stopping took at most %.2f s" % (len(rows), slowest))


def one_directory_one_server():
    """A second server on the same data says so, and ends; the first doesn't notice."""
    with World() as world:
        first = world.server().start()
        create_table(first.address, TABLE, 4)
        second = world.server(directory=first.directory)
        expect_refusal(second, "another server uses it")
        fill(Table(first.address, TABLE), 100)


def one_port_one_server():
    """A second server on the same port says so, and what to do."""
    with World() as world:
        first = world.server().start()
        second = world.server()
        second.address = first.address
        expect_refusal(second, "the port is taken")
        create_table(first.address, TABLE, 4)
        fill(Table(first.address, TABLE), 100)


def expect_refusal(server, why):
    done = subprocess.run(server.command(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1, "ended with %d" % done.returncode
    lines = [line for line in done.stderr.splitlines() if line.startswith("pirened: ")]
    assert len(lines) == 1 and why in lines[0], done.stderr
    note("   it says: " + lines[0])


def told_where_to_come():
    """A server that listens on all addresses tells clients the one that it was given for them."""
    with World() as world:
        server = world.server()
        port = server.address.split(":")[1]
        server.options = ["-l", "0.0.0.0:" + port, "-a", "127.0.0.9:" + port]
        server.start()
        create_table(server.address, TABLE, 4)
        connection = Connection(server.address)
        config = connection.ask_meta("RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX", table=TABLE, indices=[])
        told = {p["primary"] for p in config["partitions"]}
        assert told == {"127.0.0.9:" + port}, told
        fill(Table(told.pop(), TABLE), 10)
        server.stop()
        server.options = ["-l", "0.0.0.0:" + port]  # Not told: at least those on this machine come in.
        server.start()
        connection = Connection(server.address)
        config = connection.ask_meta("RPC_CM_QUERY_PARTITION_CONFIG_BY_INDEX", table=TABLE, indices=[])
        assert {p["primary"] for p in config["partitions"]} == {server.address}
        assert "advertise" in server.log_end()


def answers_its_first_peers():
    """Whoever finds the port open is answered, over HTTP too: nobody is let in and sent away again."""
    with World() as world:
        server = world.server()
        for _ in range(20 if LONG else 6):
            first = FirstAsker("http://%s/metrics" % server.address)
            server.start()
            first.join()
            assert first.failure is None, repr(first.failure)
            server.stop()


class FirstAsker(threading.Thread):
    """Asks until the port is open; what then became of it."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.failure = url, None
        self.start()

    def run(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(self.url, timeout=5) as answer:
                    assert b"pirene" in answer.read()
                return
            except urllib.error.URLError as e:
                if not isinstance(e.reason, ConnectionRefusedError):
                    self.failure = e
                    return
            except Exception as e:
                self.failure = e
                return
        self.failure = "nobody came"


def bad_arguments():
    """What can't be understood is said before anything is touched."""
    with World() as world:
        for arguments in (["--no-such"], ["-i", "0"], ["-i", "128"], ["-s", "never"], ["-l", "nowhere"],
                          ["-w", "0"], ["-w", "65"], ["-w", "3x"],
                          ["-c", "/no/such/file"], ["more"]):
            directory = os.path.join(world.directory, "d")
            done = subprocess.run([sys.argv[1], "-d", directory] + arguments, capture_output=True, text=True,
                                  timeout=20)
            assert done.returncode != 0 and done.stderr, arguments
            assert not os.path.exists(os.path.join(directory, "meta")), arguments


tell(set_aside_and_repaired, set_aside_lets_the_log_go, stopped_and_killed, stopped_under_load, one_directory_one_server, one_port_one_server, told_where_to_come, answers_its_first_peers, bad_arguments)
