/* src/core/repl/repl.h: one partition's replica as a state machine: PacificA (Lin et al., 2008).
 *
 * Events say what happened, effects say what to do; the shell performs effects in the order given.
 * Nothing in here knows a file, a socket, a clock or that duplication exists. Rules R1 to R15 are in
 * docs/replication.md.
 *
 *     decree    1 ........ applied .... committed .... logged .... prepared
 *               in the store          |  held by all members     |  ordered, on its way
 *                                     the shipper may send these
 *
 *     applied <= committed <= prepared; on a primary committed = min(logged of every member)
 *
 * Mutations travel as 'struct chunk' holding the bytes of wire/mutation.h. The replica keeps the
 * newest of them in its tail: those not yet applied always, older ones while a byte budget lasts,
 * so that shippers and learners are served from memory. */
#pragma once
#include <stdbool.h>

#include "base/chunk.h"
#include "base/err.h"
#include "base/now.h"
#include "wire/mutation.h"

enum {
    REPL_MEMBERS_MAX = 9, /* Of one configuration, the primary included. */
    REPL_EFFECTS_MAX = 32 /* Of one step: three per member and a handful. */
};

enum repl_role {
    REPL_INACTIVE,  /* Serves nobody: just opened, removed, or its disk failed. */
    REPL_PRIMARY,   /* Orders mutations and answers clients. */
    REPL_SECONDARY, /* Logs what the primary sends. */
    REPL_LEARNER,   /* Copies what the members have, until it may be one (R12). */
};

/* What the meta group decided; ballots only grow, and a ballot names one configuration. */
struct repl_config {
    uint64_t ballot;                    /* Greater than 0; 0: none yet. */
    uint64_t primary;                   /* A node's id. */
    uint64_t members[REPL_MEMBERS_MAX]; /* Node ids, the primary among them. */
    uint32_t member_count;
    uint64_t learner; /* A node's id, of no member; 0: none. */
};

/* Records of the log with a decree above 'decree' that were appended under a ballot below 'ballot' are
 * void: they were written before this replica became a learner, and the members went another way (R14).
 * All zero: none is. As durable as the configuration it comes with. A replica that has no configuration yet has
 * logged nothing: whatever the log has is of an earlier life, and void. */
struct repl_floor {
    uint64_t ballot, decree;
};

/* ---- The tail: recent mutations in memory, one run of decrees without a hole. ---- */

struct repl_tail {
    struct chunk **slots; /* A ring; slots[(first + i) % capacity] has decree first_decree + i. */
    uint32_t capacity, first, count;
    uint64_t first_decree; /* Of the oldest kept; next decree when empty. */
    size_t size;           /* Bytes of all kept. */
    size_t size_max;       /* Above, applied ones are dropped, the oldest first. */
};

/* ---- Events ---- */

enum repl_event_type {
    REPL_RECOVERED,   /* At start: the log holds this mutation, above what the store has applied. */
    REPL_REPLAYED,    /* At start: the log was read to its end. */
    REPL_CONFIGURED,  /* The meta group's decision reached us. */
    REPL_STATE_SAVED, /* The configuration of REPL_DO_SAVE_STATE is durable. */
    REPL_SUBMITTED,   /* The next mutation, made with repl_next(). Primary only. */
    REPL_LOGGED, /* Our own log holds everything up to the decree, as durably as its policy says. */
    REPL_LOG_FAILED,   /* Our own log refused; nothing after the last REPL_LOGGED is known. */
    REPL_PREPARED,     /* A primary sent us a mutation. */
    REPL_COMMITTED,    /* A primary told us how far it has committed. */
    REPL_ACKED,        /* A member's or learner's log holds everything up to the decree. */
    REPL_LEARN_WANTED, /* The learner asks for what is committed: it can't take what is new. */
    REPL_LEARNED, /* What REPL_DO_LEARN asked for came, as REPL_PREPARED each, and this was all. */
    REPL_COPYING, /* It was a whole store that came: what this one holds is to be replaced. */
    REPL_LINK_LOST,   /* What was said to a member, or should have been, may not have arrived. */
    REPL_LINK_SILENT, /* Nothing was answered by it for so long that others should not wait. */
    REPL_APPLIED,     /* The store holds everything up to the decree. */
    REPL_STORE_FAILED,
};

struct repl_event {
    enum repl_event_type type;
    uint64_t ballot; /* Of the effect that this answers, or of the peer's message. */
    union {
        struct repl_config configured;
        struct {
            struct chunk *mutation; /* Borrowed; a reference is taken. */
            uint64_t ballot;        /* Under which the log was given it. */
        } recovered;
        struct {
            struct chunk *mutation; /* Borrowed; a reference is taken. */
        } submitted;
        struct {
            uint64_t decree;
        } logged, applied;
        struct {
            uint64_t from, decree;
        } committed;
        struct {
            int rc;
        } failed;
        struct {
            uint64_t from, committed;
            struct chunk *mutation;
        } prepared;
        struct {
            uint64_t from, decree;
            bool asks_for_more; /* It may have missed what was sent behind that: send it again. */
            uint64_t committed; /* Of who asks for more: how far it knows to be committed... */
            uint64_t prepared;  /* ...and how far its log goes, whoever ordered it. */
        } acked;
        struct {
            bool is_end; /* The rest comes by itself, once asked for with an ack. */
        } learned;
        struct {
            uint64_t to;
            uint64_t for_ms; /* Of silence. */
        } link_lost, link_silent;
    };
};

/* ---- Effects ---- */

enum repl_effect_type {
    REPL_DO_SAVE_STATE, /* Make the configuration durable, then say REPL_STATE_SAVED. */
    REPL_DO_APPEND,  /* Give [first, last] of the tail to the log; REPL_LOGGED when it is held. */
    REPL_DO_PREPARE, /* Send [first, last] of the tail, and the commit point, to member 'to'. */
    REPL_DO_COMMIT_POINT, /* Send the commit point 'last' to 'to': nothing else carries it now. */
    REPL_DO_ACK,          /* Tell 'to' that our log holds everything up to 'last'. */
    REPL_DO_LEARN,        /* Ask 'to' for what is committed behind 'last', then say REPL_LEARNED. */
    REPL_DO_JOIN,         /* Ask the meta group to make the learner 'to' a member. */
    REPL_DO_EXPEL,        /* Ask it to take the member 'to' out: it has lost what it promised. */
    REPL_DO_SHUN,         /* Or the member or learner: it is silent, for 'silent_ms'. */
    REPL_DO_GIVE_WAY,     /* Ask it to make 'to' the primary, and us nothing: we have lost more. */
    REPL_DO_APPLY,        /* Write [first, last] of the tail to the store, then say REPL_APPLIED. */
    REPL_DO_COMMIT,       /* Everything up to 'last' is committed: wake the shippers. */
    REPL_DO_REPLY,        /* Everything up to 'last' is applied: answer its clients. */
    REPL_DO_FAIL, /* Answer every waiting client with 'rc', outcome unknown, and forget them. */
    REPL_DO_STOP, /* This replica serves no more, for the reason 'rc'. */
};

struct repl_effect {
    enum repl_effect_type type;
    uint64_t ballot;
    uint64_t to;
    uint64_t first, last;         /* Decrees, both included. */
    bool asks_for_more;           /* Of an ack... */
    uint64_t committed, prepared; /* ...and with it. */
    uint64_t silent_ms;
    int rc;
};

struct repl_effects {
    struct repl_effect items[REPL_EFFECTS_MAX];
    uint32_t count;
};

/* ---- The machine ---- */

struct repl_member {
    uint64_t id;
    uint64_t logged; /* Its log holds everything up to here, under this ballot. */
    bool is_heard;   /* It has said, under this ballot, where it is (R13). */
};

/* How a learner goes on. */
enum repl_learning {
    REPL_LEARN_NOTHING, /* It is sent what is new, or has asked for that. */
    REPL_LEARN_ASKED,   /* An answer is awaited. */
    REPL_LEARN_MORE,    /* It was taken: ask for more when the log has it. */
    REPL_LEARN_END,     /* That was all: ask to be sent what is new when the log has it. */
    REPL_LEARN_COPYING, /* It holds nothing any more that it could speak for. */
};

/* Of a primary: whoever copies from it. */
struct repl_pupil {
    uint64_t logged;   /* As of a member. */
    bool is_following; /* It is sent what is new. */
    bool
        is_joining; /* It was caught up once: nothing is committed any more that it does not hold. */
};

struct repl {
    uint64_t self; /* Our node's id. */
    enum repl_role role;
    struct repl_config config; /* Durable here. */
    struct repl_config coming; /* Being made durable; ballot 0: none. */
    bool is_coming_saved;      /* It is, and waits for our own log to be quiet. */
    bool is_staying;           /* Primary before 'coming', and after it: who waits need not know. */
    struct repl_floor floor;   /* Durable with 'coming', or with 'config' if none comes. */
    struct repl_member
        members[REPL_MEMBERS_MAX]; /* Of 'config', on a primary; ours at its place. */
    struct repl_pupil pupil;       /* Of config.learner, on a primary. */
    uint32_t unheard;              /* Members that have not said where they are. */

    uint64_t applied, committed, logged, prepared; /* Decrees. */
    uint64_t applying;      /* Handed to the store up to here; at least 'applied'. */
    bool is_met;            /* On a secondary: its primary has spoken under this ballot. */
    uint64_t matched;       /* On a secondary: known to be as its primary has it, up to here. */
    uint64_t reconciled_at; /* A new primary serves once this decree is applied (R7). */
    uint64_t began_at;      /* Of a primary: what was committed when it became one. */
    enum repl_learning learning; /* Of a learner. */
    uint64_t timestamp_us; /* Highest hybrid time seen: given out, received or replayed (R3). */
    bool is_stopped;

    struct repl_tail tail;
    uint64_t stale_messages; /* Of other ballots: counted, not obeyed. */
};

/* What REPL_DO_SAVE_STATE makes durable: 'coming' and 'floor'. */
struct repl_saved {
    struct repl_config config;
    struct repl_floor floor;
};

/* Start with what REPL_DO_SAVE_STATE last made durable (NULL: none) and with what
 * the store holds. 'tail_size_max' is in bytes. Returns 0; E_NOMEM, E_CORRUPT (impossible
 * configuration), and then nothing needs freeing. */
int repl_init(struct repl *r, uint64_t self, const struct repl_saved *saved, uint64_t applied,
              size_t tail_size_max) MUST_CHECK;
void repl_fini(struct repl *r);

/* One event in, effects out. Returns 0; or, with nothing changed and no effects,
 *     E_NOMEM    no memory to take the mutation
 *     E_PROTO    a peer's or the log's mutation cannot be read, or leaves a gap: not obeyed
 *     E_STATE    submitted to a replica that is not a serving primary; configured after it stopped;
 *                recovered after it began to serve */
int repl_step(struct repl *r, const struct repl_event *event, struct repl_effects *out) MUST_CHECK;

/* What the next mutation is to be made with; the caller then submits exactly that one. */
struct repl_next {
    uint64_t decree, ballot, timestamp_us;
};
struct repl_next repl_next(const struct repl *r, uint64_t wall_us);

/* Tell the clock about a hybrid time that somebody else gave out: a duplicated write's (R3). */
void repl_saw_timestamp(struct repl *r, uint64_t timestamp_us);

/* May this replica take writes, and may an answer of a read leave? (R7, R13) */
bool repl_is_serving(const struct repl *r);

/* A learner that was opened again (its store was copied) goes on under a new ballot only: what it said in its
 * former life counts no more (R12). */
bool repl_needs_ballot(const struct repl *r);

/* The mutation with this decree, borrowed until the next step; NULL: the tail no longer has it. */
struct chunk *repl_tail_get(const struct repl *r, uint64_t decree);

/* CHECK the rules. Called at the end of every step, in production too. */
void repl_check(const struct repl *r);
