"""test_kill.py: servers are killed at any moment, under load, while each duplicates to the other.

The load knows what it was told. What was acknowledged must be on both sides in the end; what was not
may be there or not. Each writer has keys of its own, over which it goes in order, so that what a key
must hold is known; on top of them all writers of both sides write to the same few keys, of which only
this is known: that both sides agree."""
import random
import threading
import time

from servers import LONG, SEED, World, eventually, note, tell
from wire import Gone, Refused, Table, raw_key

TABLE = "t"
WRITERS = 3  # On each side.
OWN_KEYS = 40
SHARED_KEYS = 8


class Key:
    """What a key may hold: the last acknowledged value, or one that was tried since. None: deleted."""

    def __init__(self):
        self.acknowledged, self.tried = None, []

    def may_hold(self, value):
        return value == self.acknowledged or value in self.tried


class Writer(threading.Thread):
    """Writes without pause, and again after every fault, until it is told to stop."""

    def __init__(self, address, name, seed):
        super().__init__(daemon=True)
        self.address, self.name_, self.random = address, name, random.Random(seed)
        self.keys, self.added, self.counter = {}, [], [0, 0]  # Acknowledged, and unknown on top.
        self.acknowledged = self.unknown = 0
        self.is_stopping, self.failure = False, None

    def run(self):
        try:
            while not self.is_stopping:
                self.write_until_fault()
        except Exception as e:  # Shown by the story.
            self.failure = e

    def write_until_fault(self):
        try:
            table = Table(self.address, TABLE, timeout=5)
        except (Gone, Refused):
            time.sleep(0.02)
            return
        try:
            while not self.is_stopping:
                self.write_one(table)
        except (Gone, Refused):
            self.unknown += 1
        finally:
            table.close()

    def write_one(self, table):
        dice = self.random.random()
        text = ("%s-%d" % (self.name_, self.acknowledged + self.unknown)).encode()
        if dice < 0.4:
            table.put(text, b"once " + text)
            self.added.append(text)
        elif dice < 0.8:
            self.overwrite(table, text)
        elif dice < 0.9:
            self.counter[1] += 1
            table.incr(self.name_.encode() + b"-counter", 1)
            self.counter[0] += 1
            self.counter[1] -= 1
        else:
            table.put(b"shared-%d" % self.random.randrange(SHARED_KEYS), text)
        self.acknowledged += 1

    def overwrite(self, table, text):
        name = b"%s-own-%d" % (self.name_.encode(), self.random.randrange(OWN_KEYS))
        key = self.keys.setdefault(name, Key())
        value = None if self.random.random() < 0.2 else text
        key.tried.append(value)
        if value is None:
            table.remove(name)
        else:
            table.put(name, value)
        key.acknowledged, key.tried = value, []

    def check(self, rows, where):
        for name in self.added:
            assert rows.get(raw_key(name)) == b"once " + name, "%s lost %s" % (where, name)
        for name, key in self.keys.items():
            value = rows.get(raw_key(name))
            assert key.may_hold(value), "%s: %s holds %r, not %r or %r" % (
                where, name, value, key.acknowledged, key.tried)
        count = int(rows.get(raw_key(self.name_.encode() + b"-counter"), b"0"))
        assert self.counter[0] <= count <= sum(self.counter), "%s: %s counted %d, acknowledged %r" % (
            where, self.name_, count, self.counter)


class Waiter(threading.Thread):
    """Asks one side to wait, again and again. When the answer is yes, all that had been acknowledged
    before the question must be on the other side: it looks for it there, however often that dies."""

    def __init__(self, here, there, writers):
        super().__init__(daemon=True)
        self.here, self.there, self.writers = here, there, writers
        self.yes = self.no = 0
        self.is_stopping, self.failure = False, None

    def run(self):
        try:
            while not self.is_stopping:
                self.ask_once()
                time.sleep(0.05)
        except Exception as e:
            self.failure = e

    def must_say_yes(self):
        before = self.yes
        eventually("a wait says yes", lambda: self.failure is not None or self.yes > before, 60)

    def ask_once(self):
        promised = [w.added[-1] for w in self.writers if w.added]
        try:
            table = Table(self.here, TABLE, timeout=8)
            is_there = table.dup_wait(timeout=3)
            table.close()
        except (Gone, Refused):
            is_there = False
        if not is_there:
            self.no += 1
            return
        self.yes += 1
        for name in promised:
            value = eventually("the other side answers", lambda: [Table(self.there, TABLE).get(name)], 60)[0]
            assert value == b"once " + name, "waited for, and not there: %s" % name


def lag_grows_while_down(alive):
    """Nobody takes what is shipped: the lag must say so, and more from moment to moment."""
    try:
        first = Table(alive.address, TABLE)
        before = first.lag()
        time.sleep(0.15)
        after = first.lag()
    except (Gone, Refused):
        return 0
    if before is None or after is None or before[0] == 0:
        return 0  # Unknown is honest; and perhaps nothing had been written yet.
    assert after[0] >= before[0] and after[2] >= before[2] + 100, "lag %r, then %r" % (before, after)
    return 1


def one_round(servers, is_quick, must_see_lag):
    """How often the lag was seen growing. A round that must see it kills one side only, and looks until the
    other has been told to ship, by the load, what nobody takes."""
    victims = random.choice(([0], [1]) if must_see_lag else ([0], [1], [0, 1]))
    time.sleep(random.uniform(0.05, 0.8))
    for v in victims:
        servers[v].kill()
    grew, alive = 0, servers[1 - victims[0]]
    if must_see_lag:
        grew = eventually("the lag grows while the other side is down", lambda: lag_grows_while_down(alive), 30)
    elif len(victims) == 1 and random.random() < 0.7:
        grew = lag_grows_while_down(alive)
    time.sleep(random.uniform(0, 0.4) if is_quick else random.uniform(0, 1.5))
    for v in victims:
        servers[v].start()
    return grew


def finish(a, b):
    """Without load, everything must arrive; and the lag is exactly nothing then."""
    for server in (a, b):
        table = eventually("served", lambda: Table(server.address, TABLE))
        assert table.dup_wait(60), "not everything arrived: %r" % table.dup_status()
        assert table.lag() == (0, 0, 0), "lag %r though all is there" % (table.lag(),)
    rows = Table(a.address, TABLE).scan(), Table(b.address, TABLE).scan()
    if rows[0] != rows[1]:
        odd = [k for k in rows[0].keys() | rows[1].keys() if rows[0].get(k) != rows[1].get(k)]
        raise AssertionError("%d keys differ, such as %r: %r and %r" % (
            len(odd), odd[0], rows[0].get(odd[0]), rows[1].get(odd[0])))
    assert Table(a.address, TABLE).digest() == Table(b.address, TABLE).digest(), "digests differ"
    return rows[0]


def killed_under_load():
    """Acknowledged is on both sides in the end, "dup wait" said yes only when it was so, the lag grew
    while the other side was down and is exactly 0 when all has arrived."""
    rounds = 50 if LONG else 6
    with World() as world:
        a, b = world.pair(TABLE)
        writers = [[Writer(s.address, "%s%d" % (name, i), SEED * 31 + i) for i in range(WRITERS)]
                   for name, s in (("a", a), ("b", b))]
        waiters = [Waiter(a.address, b.address, writers[0]), Waiter(b.address, a.address, writers[1])]
        everybody = writers[0] + writers[1] + waiters
        for thread in everybody:
            thread.start()
        grew = 0
        for r in range(rounds):
            grew += one_round((a, b), not LONG, r % 3 == 0)
            if r % 3 == 2:  # Both are up: a wait must have said yes, and be right, before the next strike.
                for waiter in waiters:
                    waiter.must_say_yes()
            for thread in everybody:
                if thread.failure is not None:
                    raise thread.failure
            if LONG and r % 10 == 9:
                note("   round %d: %d acknowledged" % (r + 1, sum(w.acknowledged for w in writers[0] + writers[1])))
        time.sleep(0.3)
        for thread in everybody:
            thread.is_stopping = True
        for thread in everybody:
            thread.join(90)
            if thread.failure is not None:
                raise thread.failure
        assert grew >= rounds // 3 and all(w.yes >= rounds // 3 for w in waiters)
        rows = finish(a, b)
        for writer in writers[0] + writers[1]:
            writer.check(rows, "both sides")
        note("   %d rounds: %d acknowledged, %d unknown, %d keys; waited: %d yes, %d no; lag seen growing %d times" % (
            rounds, sum(w.acknowledged for w in writers[0] + writers[1]),
            sum(w.unknown for w in writers[0] + writers[1]), len(rows), sum(w.yes for w in waiters),
            sum(w.no for w in waiters), grew))


tell(killed_under_load)
