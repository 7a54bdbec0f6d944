/* src/core/meta/cure.h: which partitions get a learner, and which lose a member: one too many, or one that drains.
 * Pure: it looks at the state and proposes commands; what becomes of them it sees in the state.
 *
 *                 a member is lost,                  heal_delay_ms have passed,
 *                 more are wanted, one drains        or it need not wait
 *        WHOLE ----------------------> LACKING ------------------------------> ASKED (META_MEMBER_ADD)
 *          ^                             ^  ^                                    | cure_done()
 *          |                             |  +---------- refused: a retry_ms -----+
 *          |  JOIN, and all are there    |  the learner is gone: a retry_ms      v
 *          +-----------------------------+----------------------------------- LEARNING
 *
 * It belongs to the leader of the metas and begins anew with each: what it remembers is only since when a
 * partition lacks members and what has failed, so that a partition whose member may come back is not copied
 * in vain, and one that nobody can copy is not tried without end. Everybody else's commands are refused or
 * refuse its own by the ballot (M13): being asked twice does no harm.
 *
 * Source: docs/meta.md, rules M37 to M39. */
#pragma once
#include "core/meta/meta.h"

enum {
    CURE_ASKED_MAX =
        256, /* Commands on their way at once: the group's log is there for others, too. */
};

struct cure_limits {
    uint32_t learners_per_node;          /* At once: at least 1. */
    uint64_t heal_delay_ms;              /* How long a lost member may take to come back. */
    uint64_t retry_ms_min, retry_ms_max; /* After a failure; doubles from the one to the other. */
};

/* What is remembered of a partition that is not whole. */
struct cure_note {
    struct gpid gpid;
    enum { CURE_IDLE, CURE_WANTED, CURE_ASKED } state;
    bool is_drop;         /* Of 'node'; else it is to come. */
    uint64_t node;        /* Who is learning, or was asked to come or go last; 0: it ended. */
    uint64_t failed;      /* Who was learner last and did not become a member; 0: nobody. */
    uint64_t since_ms;    /* When it was first seen not to be whole. */
    uint64_t retry_at_ms; /* Nothing is asked before; 0: nothing has failed. */
    uint64_t retry_ms;
    const char *why; /* A constant. */
};

struct cure {
    struct cure_limits limits;
    struct cure_note *notes; /* By gpid, as the state has them. */
    size_t note_count, note_capacity;
    struct cure_note *fresh; /* Those of the next look, while it is taken. */
    size_t fresh_count, fresh_capacity;
    size_t next; /* Of the notes, to be handed out. */
    bool is_handing;
    uint64_t deadline_ms;
};

/* A command to be proposed; the caller fills in the wall clock. */
struct cure_order {
    struct meta_command command; /* META_MEMBER_ADD or META_MEMBER_DROP. */
    struct gpid gpid;
    uint64_t node;
    const char *why; /* For a person; a constant. */
};

void cure_init(struct cure *c, const struct cure_limits *limits);
void cure_fini(struct cure *c); /* Accepts zeroes. */

/* Fill 'out' with the next command to be proposed now, at 'now_ms' of the boot clock; its partition counts as
 * asked until cure_done(). False: no other. The first call looks at the whole state, those that follow hand out
 * what it has found: call until it says false, after each change of the state, after cure_done() and at the
 * deadline. When there is no memory nothing is found, and the deadline is soon. */
bool cure_next(struct cure *c, const struct meta *m, uint64_t now_ms, struct cure_order *out);

/* The group has decided, refused, or does not know. Harmless for a partition that was not asked. */
void cure_done(struct cure *c, struct gpid gpid);

/* When to ask again though nothing has changed; UINT64_MAX: never. */
uint64_t cure_deadline_ms(const struct cure *c);
