"""servers.py: real servers under a story's hands, and what is to be known of their processes; and how a
story is run.

    PIRENED   the program; the first argument of a story stands for it
    LONG      when set to anything, stories take the time that finds the rare things
    SEED      of a random story; it is printed, and drawn when not given
    SANITIZED when set to anything, the program is slow and large, and is not held to time and memory
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from wire import Connection, Gone, Refused, create_table, duplicate

LONG = bool(os.environ.get("LONG"))
SANITIZED = bool(os.environ.get("SANITIZED"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    """One that nobody holds, below those that the system gives to connections."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """One pirened in a directory of its own. It outlives nothing: see World."""

    def __init__(self, directory, log_path, cluster_id, options=(), environment=None):
        self.directory, self.log_path, self.options = directory, log_path, list(options)
        self.environment = dict(os.environ, **(environment or {}))
        self.cluster_id = cluster_id
        self.address = "127.0.0.1:%d" % free_port()
        self.process = None
        self.workers = 1 + (SEED + cluster_id) % 3
        os.makedirs(directory, exist_ok=True)

    @property
    def data(self):
        return os.path.join(self.directory, "data")

    def command(self):
        return [sys.argv[1], "-l", self.address, "-d", self.data, "-i", str(self.cluster_id), "-n",
                "cluster%d" % self.cluster_id, "-w", str(self.workers)] + self.options

    def start(self, timeout=30):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                Connection(self.address, 1).close()
                return self
            except Gone:
                time.sleep(0.01)
        raise AssertionError("server %d does not serve:\n%s" % (self.cluster_id, self.log_end()))

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, timeout=30):
        """As an operator does; it must end well."""
        self.process.terminate()
        code = self.process.wait(timeout)
        assert code == 0, "server %d ended with %d:\n%s" % (self.cluster_id, code, self.log_end())

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def log_end(self, size=3000):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-size:]

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident_mb(self):
        with open("/proc/%d/statm" % self.process.pid) as f:
            return int(f.read().split()[1]) * PAGE / (1 << 20)

    def resident_most_mb(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) / 1024

    def cpu_share(self, seconds):
        """Of one processor, over so long a time."""
        before, began = self.cpu_seconds(), time.monotonic()
        time.sleep(seconds)
        return (self.cpu_seconds() - before) / (time.monotonic() - began)


class World:
    """A directory and the servers in it: `with World() as w`. When the story fails, the ends of their
    logs are shown; in any case the servers are killed and the directory goes."""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="pirene-story-")
        self.servers = []
        return self

    def server(self, *arguments, **words):
        cluster_id = len(self.servers) + 1
        directory = words.pop("directory", os.path.join(self.directory, str(cluster_id)))
        log_path = os.path.join(self.directory, "%d.log" % cluster_id)
        self.servers.append(Server(directory, log_path, cluster_id, *arguments, **words))
        return self.servers[-1]

    def cluster(self, nodes, options=()):
        """One cluster of so many nodes; the first is the meta group."""
        first = self.server(options).start()
        return [first] + [self.server(list(options) + ["-j", first.address]).start()
                          for _ in range(nodes - 1)]

    def pair(self, table="t", partitions=(4, 4), options=(), both_ways=True):
        """Two clusters of one node, and a table that each duplicates to the other."""
        a, b = self.server(options).start(), self.server(options).start()
        create_table(a.address, table, partitions[0])
        create_table(b.address, table, partitions[1])
        duplicate(a.address, table, b.address)
        if both_ways:
            duplicate(b.address, table, a.address)
        return a, b

    def __exit__(self, kind, *_):
        for server in self.servers:
            if server.is_alive():
                server.resume()
                server.kill()
            if kind is not None and os.path.exists(server.log_path):
                print("-- end of log of server %d:\n%s" % (server.cluster_id, server.log_end()))
        if os.environ.get("KEEP"):
            print("kept: " + self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)


# ---- Telling stories ---------------------------------------------------------------------------

def eventually(what, is_so, timeout=15, pause=0.005):
    """Ask until it is so; what it returned then."""
    end = time.monotonic() + timeout
    while True:
        try:
            answer = is_so()
        except (Gone, Refused):
            answer = False
        if answer:
            return answer
        assert time.monotonic() < end, "never: " + what
        time.sleep(pause)


def at_most(what, figure, limit):
    """A limit of time or memory, that holds for the program as it is shipped."""
    assert figure <= limit or SANITIZED, "%s: %.1f, allowed are %.1f" % (what, figure, limit)


def note(text):
    print(text, flush=True)


def tell(*stories):
    """Run them one after another; exit as ctest wants it. 77: skipped."""
    if len(sys.argv) < 2:
        sys.exit("usage: %s PIRENED [STORY]..." % sys.argv[0])
    random.seed(SEED)
    failed = 0
    for story in stories:
        if len(sys.argv) > 2 and story.__name__ not in sys.argv[2:]:
            continue
        note("-- %s: %s (SEED=%d)" % (story.__name__, " ".join(story.__doc__.split()), SEED))
        began = time.monotonic()
        try:
            story()
            note("   ok, %.1f s" % (time.monotonic() - began))
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            note("   FAILED, SEED=%d" % SEED)
    sys.exit(1 if failed else 0)
