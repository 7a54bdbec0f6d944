/* tests/kv/table.h: a table of one partition, as small as it gets: the simulator's store, the room kv,
 * and a clock that stands still until told otherwise. What node does with a request, in a few lines.
 *
 * Requests are encoded to their bytes and decoded again on the way in, and so are answers on the way
 * out, so that every story also passes through the codec. */
#pragma once
#include "base/arena.h"
#include "kv/apply.h"
#include "kv/dup_entry.h"
#include "kv/kv.h"
#include "kv/read.h"
#include "kv/scan.h"
#include "kv/write.h"
#include "store/store.h"

struct store_sim_disk;

enum { TABLE_NOW_S = 300000000, TABLE_FAR_S = 400000000, TABLE_PAST_S = 200000000 };

struct table {
    struct store_sim_disk *disk;
    struct store_env *env;
    struct store *store;
    struct store_batch *batch;
    struct kv_partition partition;
    struct kv_scans scans;
    uint64_t decree;
    uint32_t now_s;
    uint64_t timestamp_us;  /* Of the last write; the next one is 1000 later. */
    uint64_t newest_us;     /* The latest time of any row's timetag. */
    uint64_t clock_ms;      /* What the iteration clock says... */
    uint64_t clock_step_ms; /* ...and how far it goes with each look. */
    uint64_t clock_looks;
    uint32_t lookups; /* Of the last evaluation. */

    struct arena arena; /* Requests, answers, keys: until table_free(). */
    struct buf ops;     /* The last mutation's bytes. */
    struct buf body;    /* The last request's. */
    struct buf result;  /* The last answer's. */
    struct kv_write write;
    struct mutation mutation; /* The last one that was made. */
};

struct table *table_new(void);
void table_free(struct table *t);

/* For cmocka: a table in '*state'. */
int table_setup(void **state);
int table_teardown(void **state);

struct kv_context table_context(struct table *t);

/* Decide and apply a write. Returns what kv_write_read() or kv_write_evaluate() returned, and fills
 * 'response', which is of the type that the rpc answers with. */
int table_write(struct table *t, enum rpc_code rpc, const void *request, void *response);
int table_write_bytes(struct table *t, enum rpc_code rpc, struct slice body, void *response);

/* Read, from memory and then, if need be, from disk. Returns as kv_read_run(). */
int table_read(struct table *t, enum rpc_code rpc, const void *request, void *response);

/* ---- In fewer words. Strings are keys and values; none has a NUL inside. ---- */

struct slice table_key(struct table *t, const char *hash_key, const char *sort_key);
struct slice str(const char *text);
struct blob_list table_blobs(struct table *t, const char *words); /* "a b c" */

void table_put(struct table *t, const char *hash_key, const char *sort_key, const char *value);
void table_put_until(struct table *t, const char *hash_key, const char *sort_key, const char *value,
                     uint32_t expire_ts);
void table_del(struct table *t, const char *hash_key, const char *sort_key);

/* The value, or NULL when readers don't see one. */
const char *table_get(struct table *t, const char *hash_key, const char *sort_key);

/* The row as it is stored, tombstones included. False: none. */
bool table_row(struct table *t, const char *hash_key, const char *sort_key, struct kv_row *row);

/* The next batch of a scan that was opened. */
struct scan_response table_scan_next(struct table *t, int64_t context_id);

/* "a=1 b=2", the pairs in the order of the list. */
const char *table_pairs(struct table *t, const struct key_value_list *kvs);
