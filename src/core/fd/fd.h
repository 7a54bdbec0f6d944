/* src/core/fd/fd.h: who is alive, and whose lease holds. Pure: times are inputs, of a clock that never
 * jumps and goes on while the machine sleeps (CLOCK_BOOTTIME).
 *
 *     node: struct fd_lease                          leader of the meta group: struct fd_watch
 *
 *       sent  *-------- beacon (sequence) ---------------->*  heard
 *             |                                            |  "do I still lead?", asked of the group (F4)
 *       acked |<------- acknowledged (sequence) ---------- *  yes
 *             |                                            |
 *             |== lease_ms ==> lost: it serves no more     |==== grace_ms ====> dead: others take over
 *
 * The lease counts from the moment the acknowledged beacon was *sent*, the grace from the moment one was
 * *received*, which is later; and lease_ms is shorter by more than two clocks may differ in rate. So a
 * node has stopped serving before anybody may take its place, whatever the network does meanwhile.
 *
 * Source: docs/leases.md, rules F1 to F7. After Gray and Cheriton, "Leases" (1989), and PacificA (2008),
 * section 2.3. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    FD_RATE_PPM_MAX = 20000, /* No clock runs faster or slower than this: two hundredths (F2). */
    FD_METAS_MAX = 9,        /* Members of the meta group. */
    FD_BEACONS_MAX = 8,      /* Of one node, sent and not answered: older ones extend nothing. */
};

struct fd_times {
    uint64_t beacon_ms; /* Between two beacons; several must fit into a lease. */
    uint64_t lease_ms;
    uint64_t grace_ms;
};

/* Of every cluster: a lease must end before the grace that its leader gives, so nobody chooses them alone. */
extern const struct fd_times fd_times_all;

/* Returns 0; or E_INVALID, and '*why' says which rule they break: a lease that could outlive the grace,
 * or beacons so rare that one lost costs the lease. 'why' is a constant. */
int fd_times_check(const struct fd_times *times, const char **why) MUST_CHECK;

/* ---- A node: may I serve? ------------------------------------------------------------------------ */

struct fd_beacon {
    uint64_t sequence;
    uint64_t sent_ms;
};

struct fd_lease {
    struct fd_times times;
    uint32_t meta_count;
    uint32_t meta; /* Whom the next beacon goes to: an index into the list of metas. */
    uint64_t now_ms;
    uint64_t until_ms;       /* The lease holds before this; 0: never had one. */
    uint64_t next_beacon_ms; /* The next one is due. */
    uint64_t next_sequence;
    struct fd_beacon sent[FD_BEACONS_MAX]; /* A ring, the oldest first; those not answered. */
    uint32_t sent_first, sent_count;
    uint32_t failures; /* Beacons in a row that brought no lease. */
    bool is_held;      /* As the owner was told last. */
};

enum fd_lease_event_type {
    FD_TICKED,  /* fd_lease_deadline_ms() has come. */
    FD_ACKED,   /* The leader has acknowledged 'sequence'. */
    FD_REFUSED, /* Who was asked does not lead; 'meta' does, or FD_META_UNKNOWN. */
    FD_FAILED,  /* No answer, and none will come. */
};

#define FD_META_UNKNOWN UINT32_MAX

struct fd_lease_event {
    enum fd_lease_event_type type;
    uint64_t now_ms;
    uint64_t sequence; /* Not of a tick. */
    uint32_t meta;     /* Of FD_REFUSED. */
};

struct fd_lease_effects {
    bool sends_beacon; /* Send one to 'meta' with 'sequence'. */
    uint32_t meta;
    uint64_t sequence;
    bool is_gained, is_lost; /* The lease holds from now on; it does no longer. Never both. */
};

/* 'meta_count' is 1 to FD_METAS_MAX. The first beacon is due at once. */
void fd_lease_init(struct fd_lease *l, const struct fd_times *times, uint32_t meta_count,
                   uint64_t now_ms);

void fd_lease_step(struct fd_lease *l, const struct fd_lease_event *event,
                   struct fd_lease_effects *out);

/* May an answer leave at 'now_ms'? Read the clock after the value was read (F3): a lease that ended in
 * between is over, whoever was told what. */
bool fd_lease_holds(const struct fd_lease *l, uint64_t now_ms);

/* When to step with FD_TICKED. */
uint64_t fd_lease_deadline_ms(const struct fd_lease *l);

/* ---- The leader: who is dead? --------------------------------------------------------------------- */

struct fd_peer {
    uint64_t node_id;
    uint64_t incarnation; /* Of the process: greater at each start, as its directory counts them. */
    uint64_t heard_ms;    /* Its last beacon, or the beginning of our leadership (F5). */
    bool is_alive;
    bool is_dying; /* It was told by fd_watch_next_dead(), and the state has not learned it yet. */
};

/* All zero: leads nobody. Rows are in the order of their ids. */
struct fd_watch {
    struct fd_times times;
    bool is_leading;
    uint64_t led_since_ms;
    struct fd_peer *peers;
    uint32_t count;
    size_t capacity;
};

void fd_watch_init(struct fd_watch *w, const struct fd_times *times);
void fd_watch_fini(struct fd_watch *w);

/* Leadership begins: whoever the state takes for alive is told to us by fd_watch_expect(), and has a whole
 * grace period from now on. Or it ends: nothing is known any more. */
void fd_watch_lead(struct fd_watch *w, uint64_t now_ms);
void fd_watch_resign(struct fd_watch *w);

/* The state takes this process of this node for alive. Returns 0 or E_NOMEM. */
int fd_watch_expect(struct fd_watch *w, uint64_t node_id, uint64_t incarnation) MUST_CHECK;

/* The state has learned that this process of this node is alive, because it said so at 'now_ms'; harmless
 * when that is known. Returns 0 or E_NOMEM. */
int fd_watch_started(struct fd_watch *w, uint64_t node_id, uint64_t incarnation,
                     uint64_t now_ms) MUST_CHECK;

/* The state has learned that it is dead; or, with 'is_spared', it was not to be told, and the node has another
 * grace period from 'now_ms'. Harmless for one that was not dying. */
void fd_watch_buried(struct fd_watch *w, uint64_t node_id, bool is_spared, uint64_t now_ms);

/* We were asleep, and what was said meanwhile lies unread: whoever is alive has another grace period. */
void fd_watch_excuse(struct fd_watch *w, uint64_t now_ms);

enum fd_heard {
    FD_HEARD, /* Noted: acknowledge, once leadership is confirmed. */
    FD_HEARD_NEW, /* It is not alive, or another process than before. Not noted, not to be acknowledged: it
                   * may be on its way to be declared dead (F6). The state must learn that it lives. */
    FD_HEARD_OLD, /* Of a process that another has followed: do not acknowledge. */
};

/* A beacon was received. Returns an enum fd_heard; or E_STATE: we do not lead. */
int fd_watch_heard(struct fd_watch *w, uint64_t node_id, uint64_t incarnation,
                   uint64_t now_ms) MUST_CHECK;

/* The next node whose grace is over at 'now_ms', which is dying from then on: nothing but a later process of
 * it, or fd_watch_buried(), ends that; 0: no other. */
uint64_t fd_watch_next_dead(struct fd_watch *w, uint64_t now_ms);

/* When to ask for the dead again; UINT64_MAX: never, as far as it knows now. */
uint64_t fd_watch_deadline_ms(const struct fd_watch *w);
