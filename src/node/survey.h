/* src/node/survey.h: a look at everything that this server holds, for those who ask about it: its
 * replicas and their duplications as each worker knows them, its disk, its memory.
 *
 *     control --post--> worker 0 --post--> worker 1 ... --work--> pool --> control
 *               each writes down what it owns               disk, memory
 *
 * The rows are of slightly different moments: one per worker. Nothing waits for it. */
#pragma once
#include "base/buf.h"
#include "core/meta/meta.h"
#include "io/io.h"
#include "store/store.h"
#include "wire/thrift.h"

struct node;

struct survey_replica {
    struct gpid gpid;
    bool is_primary, is_secondary; /* Neither: it serves nothing, or not yet. */
    bool is_failed;                /* It is not open, for the reason 'why'. */
    char why[160];                 /* What keeps it from serving or from writes; empty: nothing. */
    uint64_t ballot;
    uint64_t prepared, committed, applied, durable;
    uint64_t read_rate, write_rate; /* Requests per second since the survey before. */
    struct store_stats store;
};

struct survey_dup {
    struct gpid gpid;
    int32_t id;
    char remote_cluster[META_METAS_SIZE_MAX +
                        1]; /* Its name; its metas as long as that is unknown. */
    char remote_table[META_NAME_SIZE_MAX + 1];
    uint64_t confirmed, saved, pending; /* The last: mutations. */
    uint64_t ship_rate;                 /* Operations per second since the survey before. */
};

struct survey {
    struct node *node;
    int rc; /* 0, or E_NOMEM: the rows are not all there. */
    struct survey_replica *replicas;
    struct survey_dup *dups;
    size_t replica_count, dup_count;
    uint64_t disk_size, disk_free; /* Bytes; both 0: unknown. */
    uint64_t memory_size;          /* Bytes resident; 0: unknown. */

    /* Its own. */
    uint32_t next_worker;
    struct buf replica_rows, dup_rows;
    struct io_post post;
    struct io_work work;
    void (*on_done)(void *context, struct survey *s);
    void *context;
};

/* Look around, then call 'on_done' on the control loop with a survey that it frees by survey_free();
 * NULL: no memory. On the control loop. */
void survey_begin(struct node *n, void (*on_done)(void *context, struct survey *s), void *context);
void survey_free(struct survey *s); /* Accepts NULL. */

/* What a rate is worked out from: a counter as it was at the survey before. The worker's. */
struct survey_rate {
    uint64_t value, at_ms;
    uint64_t rate; /* Per second. */
};
