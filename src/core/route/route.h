/* src/core/route/route.h: which server holds which partition of one table, as a state machine.
 *
 *      a call needs a partition        a server said that it moved
 *             ROUTE_ASKED                    ROUTE_MISLED
 *                  \                          /
 *                   v                        v
 *     known --> [ wanted ] -- pause over --> ROUTE_DO_QUERY --> the metas
 *       ^                                                          |
 *       +-- ROUTE_DO_WAKE <-- ROUTE_ANSWERED or ROUTE_FAILED <-----+
 *                             (ROUTE_DO_FAIL: there is no such table)
 *
 * Events in, effects out; time comes in the event; no timers: route_deadline_ms() says when to call
 * with ROUTE_TICKED. At most one query is under way. What is known is replaced only by a larger
 * ballot, so that an old answer, overtaken on its way, undoes nothing. When the metas don't answer,
 * the old route is still the best guess and is used again: data outlives a silent meta.
 *
 * Nothing is asked unless somebody wants to know: after each query everything wanted is forgotten,
 * and whoever still waits asks again after ROUTE_DO_WAKE.
 *
 * Source: docs/routing.md, rules R4 to R10. Pure; memory from base/mem.h. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/prng.h"
#include "wire/error.h"

enum {
    ROUTE_PARTITIONS_MAX = 1 << 16, /* A meta that says more is not believed. */
    ROUTE_QUERY_MAX = 32,           /* Indices in one query; more are asked as "all". */
    ROUTE_EFFECTS_MAX = 2,          /* A wake, and the next query. */
    ROUTE_PAUSE_MS_MIN = 8,    /* Between queries that bring nothing new: this, doubled each... */
    ROUTE_PAUSE_MS_MAX = 1000, /* ...time up to this, less a random part of up to a half. */
};

struct route_server {
    uint32_t ipv4; /* Host order. */
    uint16_t port; /* 0: none. */
};

/* Where to send a call, and under which ballot that was true. */
struct route_target {
    int32_t app_id;
    uint32_t partition_index; /* What the header says: a parent's while its child is not ready. */
    struct route_server server;
    int64_t ballot;
};

struct route_partition {
    bool is_known;
    bool is_stale;  /* A server has denied it: ask before it is used again. */
    bool is_wanted; /* Somebody waits for news of it. */
    int64_t ballot; /* Less than 0: a child that a split has not finished: its parent serves. */
    struct route_server primary;
};

struct route {
    uint64_t now_ms;
    struct prng prng;
    int32_t app_id; /* 0 while nothing is known. */
    uint32_t count; /* Of partitions; 0 while nothing is known. */
    struct route_partition *partitions;
    bool is_count_stale;   /* Everything is to be asked anew, the count included. */
    bool is_table_wanted;  /* Somebody waits and the count is not known or stale. */
    uint32_t wanted_count; /* Partitions that somebody waits for. */
    bool is_asking;        /* A query is under way. */
    uint32_t pause_ms;     /* 0: the last query brought news. */
    uint64_t next_ms;      /* No query before. */
    uint64_t version;      /* Grows with every change of a target. */
    uint64_t queries, answers_bad, answers_old;
};

enum route_event_type {
    ROUTE_ASKED,    /* Somebody waits for a partition that route_find() does not tell. */
    ROUTE_MISLED,   /* A call ended with an error for which route_judge() says to refresh. */
    ROUTE_DOUBTED,  /* A call waits for its answer for long: its server may be gone. */
    ROUTE_ANSWERED, /* The query was answered, be it with an error. */
    ROUTE_FAILED,   /* The query was not answered. */
    ROUTE_TICKED,
};

struct route_answer_partition {
    uint32_t index;
    int64_t ballot;
    struct route_server primary;
};

struct route_answer {
    enum wire_error error;
    int32_t app_id;
    uint32_t partition_count;
    const struct route_answer_partition *partitions; /* Borrowed. All, or those asked for. */
    size_t count;
};

struct route_event {
    enum route_event_type type;
    uint64_t now_ms; /* Boot time; never goes back. */
    uint32_t
        partition_index; /* ASKED, MISLED, DOUBTED: as the caller counts, or as the target said. */
    int64_t ballot;      /* MISLED: the target's. */
    bool forgets_count;  /* MISLED: ROUTE_FORGET was the verdict. */
    struct route_answer answer;
};

enum route_effect_type {
    ROUTE_DO_QUERY, /* Ask the metas; the outcome comes back as ANSWERED or FAILED. */
    ROUTE_DO_WAKE,  /* Look again for every call that waits; those in vain ask again. */
    ROUTE_DO_FAIL,  /* End every call that waits: 'error' is the metas' last word. */
};

struct route_effect {
    enum route_effect_type type;
    enum wire_error error;             /* FAIL */
    uint32_t indices[ROUTE_QUERY_MAX]; /* QUERY */
    uint32_t index_count;              /* QUERY; 0: all partitions. */
};

struct route_effects {
    struct route_effect items[ROUTE_EFFECTS_MAX];
    size_t count;
};

void route_init(struct route *r, uint64_t seed);
void route_fini(struct route *r);

/* One event in, effects out. 'out' is overwritten. */
void route_step(struct route *r, const struct route_event *event, struct route_effects *out);

/* When to call with ROUTE_TICKED; UINT64_MAX: no need. */
uint64_t route_deadline_ms(const struct route *r);

/* Returns 0 and fills 'out'; E_AGAIN: not known now, wait (ROUTE_ASKED); E_NOTFOUND: no such
 * index. */
int route_find(const struct route *r, uint32_t partition_index,
               struct route_target *out) MUST_CHECK;

/* The same for a key's hash; '*partition_index' is filled when the count is known, otherwise set to
 * 0. */
int route_find_hash(const struct route *r, uint64_t hash, uint32_t *partition_index,
                    struct route_target *out) MUST_CHECK;

/* What to do about the error that a data call ended with. */
enum route_verdict {
    ROUTE_FINAL,   /* Trying again cannot help. */
    ROUTE_RETRY,   /* Try again after a pause, the route is right. */
    ROUTE_REFRESH, /* ROUTE_MISLED for this partition, then try again. */
    ROUTE_FORGET,  /* ROUTE_MISLED for the table: the count has changed. Then try again. */
};
enum route_verdict route_judge(enum wire_error error);

/* True when a call that ended so may have been executed all the same. */
bool route_outcome_is_unknown(enum wire_error error);
