/* include/pirene.h: the C client of Pirene (and of Apache Pegasus, whose protocol it speaks).
 *
 *     struct pirene *db;
 *     struct pirene_table *users;
 *     if (pirene_open("127.0.0.1:34601", NULL, &db) != PIRENE_OK) ...
 *     if (pirene_table_open(db, "users", &users) != PIRENE_OK) ...
 *
 *     struct pirene_key key = {pirene_text("ada"), pirene_text("name")};
 *     int rc = pirene_put(users, key, pirene_text("Lovelace"), 0);
 *
 *     struct pirene_result found;
 *     if (pirene_get(users, key, &found) == PIRENE_OK) use(found.value);
 *     pirene_result_free(&found);
 *
 *     pirene_close(db);
 *
 * A record is found by a hash key and a sort key. The hash key decides where it lives; records of
 * one hash key live together, in the order of their sort keys, and can be written and read
 * together.
 *
 * Two forms of every call: pirene_x() waits for its end; pirene_x_start() returns at once, and a
 * callback is told the result, on a thread of the library. Callbacks must not wait for anything,
 * and so must not call the first form (which refuses there with PIRENE_INVALID); starting more
 * calls is fine.
 *
 * Ownership: what a call is given it copies before it returns. In a callback the result is
 * borrowed: it lives until the callback returns. The waiting forms give their result: free it with
 * pirene_result_free().
 *
 * Threads: any thread may use a handle, several at a time; closing comes last, by one of them.
 * There is no global state: any number of handles may live in a process. */
#ifndef PIRENE_H
#define PIRENE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* name, code, text */
#define PIRENE_ERROR_MAP(X)                                                                        \
    X(PIRENE_OK, 0, "done")                                                                        \
    X(PIRENE_NOT_FOUND, 1, "no such record")                                                       \
    X(PIRENE_CONDITION, 2, "the condition does not hold, nothing was written")                     \
    X(PIRENE_NO_TABLE, 3, "no such table")                                                         \
    X(PIRENE_INVALID, 4, "an argument that no server would accept")                                \
    X(PIRENE_TIMEOUT, 5, "not finished in time; a write may have been done")                       \
    X(PIRENE_UNKNOWN, 6, "the connection was lost; the write may have been done")                  \
    X(PIRENE_BUSY, 7, "the server is busy")                                                        \
    X(PIRENE_REFUSED, 8, "the server refused")                                                     \
    X(PIRENE_UNREACHABLE, 9, "no server can be reached")                                           \
    X(PIRENE_CLOSED, 10, "the handle was closed")                                                  \
    X(PIRENE_NOMEM, 11, "out of memory")                                                           \
    X(PIRENE_BAD_ANSWER, 12, "the server's answer makes no sense")                                 \
    X(PIRENE_END, 13, "the scan has seen everything")

enum pirene_error {
#define X(name, code, text) name = code,
    PIRENE_ERROR_MAP(X)
#undef X
};

/* The sentence for a code; never NULL. */
const char *pirene_error_text(int error);

struct pirene;
struct pirene_table;
struct pirene_scan;

struct pirene_bytes {
    const void *data; /* May be NULL when size is 0. */
    size_t size;
};

static inline struct pirene_bytes pirene_text(const char *text)
{
    struct pirene_bytes bytes;
    bytes.data = text;
    bytes.size = strlen(text);
    return bytes;
}

struct pirene_key {
    struct pirene_bytes hash; /* At most 65534 bytes; not empty for calls on many records. */
    struct pirene_bytes sort; /* May be empty. */
};

struct pirene_record {
    struct pirene_key key;
    struct pirene_bytes value;
};

struct pirene_result {
    int error;                 /* enum pirene_error */
    struct pirene_bytes value; /* get; check_and_set: what was there, if asked for. */
    bool has_value;            /* check_and_set: 'value' was there. */
    int64_t number; /* incr: the new value. ttl: seconds left, -1: forever. sortkey_count: how many.
                     * multi_del: how many keys were asked for. */
    const struct pirene_record *records; /* multi_get, scan. */
    size_t record_count;
    bool is_partial; /* multi_get: there is more, the server's limit was reached. */
    void *memory;    /* The library's. */
};

/* Free what a waiting call gave. Accepts an all-zero one; twice is harmless. */
void pirene_result_free(struct pirene_result *result);

typedef void pirene_done(void *context, const struct pirene_result *result);

/* ---- Opening and closing --------------------------------------------------------------------- */

struct pirene_options {
    uint32_t timeout_ms; /* Of each call; 0: 10000. */
};

/* Open the cluster behind 'metas': "host:port,host:port". Nothing is asked before the first call.
 * 'options' may be NULL. Returns PIRENE_OK and gives '*out', or PIRENE_INVALID, PIRENE_NOMEM. */
int pirene_open(const char *metas, const struct pirene_options *options, struct pirene **out);

/* End what is under way with PIRENE_CLOSED, wait for the callbacks, free the handle and its tables.
 * Accepts NULL. Not from a callback; scans are closed before. */
void pirene_close(struct pirene *db);

/* The table of that name, whether it exists or not: calls on it say PIRENE_NO_TABLE if not. It
 * belongs to 'db' and lives as long. Returns PIRENE_OK, PIRENE_INVALID (the name, or from a
 * callback), PIRENE_NOMEM. */
int pirene_table_open(struct pirene *db, const char *name, struct pirene_table **out);

/* ---- One record ---------------------------------------------------------------------------------
 *
 * 'ttl_s': seconds to live, 0: forever. */

int pirene_put(struct pirene_table *table, struct pirene_key key, struct pirene_bytes value,
               uint32_t ttl_s);
void pirene_put_start(struct pirene_table *table, struct pirene_key key, struct pirene_bytes value,
                      uint32_t ttl_s, pirene_done *done, void *context);

/* PIRENE_OK with 'value', or PIRENE_NOT_FOUND. */
int pirene_get(struct pirene_table *table, struct pirene_key key, struct pirene_result *result);
void pirene_get_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                      void *context);

/* PIRENE_OK whether it was there or not. */
int pirene_del(struct pirene_table *table, struct pirene_key key);
void pirene_del_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                      void *context);

/* PIRENE_OK or PIRENE_NOT_FOUND. */
int pirene_exists(struct pirene_table *table, struct pirene_key key);
void pirene_exists_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                         void *context);

/* 'number': seconds left to live, or -1. */
int pirene_ttl(struct pirene_table *table, struct pirene_key key, struct pirene_result *result);
void pirene_ttl_start(struct pirene_table *table, struct pirene_key key, pirene_done *done,
                      void *context);

/* Add to the decimal number in the value, 0 when there is none. 'number': the new value. ttl_s: 0
 * keeps the time to live that is there, below 0 makes it live forever. PIRENE_INVALID: the value is
 * no number, or the sum is too large. */
int pirene_incr(struct pirene_table *table, struct pirene_key key, int64_t by, int32_t ttl_s,
                struct pirene_result *result);
void pirene_incr_start(struct pirene_table *table, struct pirene_key key, int64_t by, int32_t ttl_s,
                       pirene_done *done, void *context);

/* ---- Check and set --------------------------------------------------------------------------- */

enum pirene_check {
    PIRENE_CHECK_NONE = 0,
    PIRENE_CHECK_ABSENT = 1,
    PIRENE_CHECK_ABSENT_OR_EMPTY = 2,
    PIRENE_CHECK_PRESENT = 3,
    PIRENE_CHECK_NOT_EMPTY = 4,
    PIRENE_CHECK_CONTAINS = 5,
    PIRENE_CHECK_BEGINS = 6,
    PIRENE_CHECK_ENDS = 7,
    PIRENE_CHECK_BYTES_LESS = 8,
    PIRENE_CHECK_BYTES_LESS_OR_EQUAL = 9,
    PIRENE_CHECK_BYTES_EQUAL = 10,
    PIRENE_CHECK_BYTES_GREATER_OR_EQUAL = 11,
    PIRENE_CHECK_BYTES_GREATER = 12,
    PIRENE_CHECK_INT_LESS = 13,
    PIRENE_CHECK_INT_LESS_OR_EQUAL = 14,
    PIRENE_CHECK_INT_EQUAL = 15,
    PIRENE_CHECK_INT_GREATER_OR_EQUAL = 16,
    PIRENE_CHECK_INT_GREATER = 17
};

struct pirene_checked_put {
    struct pirene_bytes hash_key;
    struct pirene_bytes check_sort_key;
    enum pirene_check check;
    struct pirene_bytes operand;
    struct pirene_bytes set_sort_key; /* May be the one checked. */
    struct pirene_bytes value;
    uint32_t ttl_s;
    bool wants_value; /* Return what was at check_sort_key before. */
};

/* Write if the check holds, as one step. PIRENE_OK, or PIRENE_CONDITION and nothing was written. */
int pirene_check_and_set(struct pirene_table *table, const struct pirene_checked_put *what,
                         struct pirene_result *result);
void pirene_check_and_set_start(struct pirene_table *table, const struct pirene_checked_put *what,
                                pirene_done *done, void *context);

/* ---- Many records of one hash key ------------------------------------------------------------ */

struct pirene_pair {
    struct pirene_bytes sort_key;
    struct pirene_bytes value;
};

/* All or nothing; of a sort key given twice the later wins. 'count' > 0. */
int pirene_multi_put(struct pirene_table *table, struct pirene_bytes hash_key,
                     const struct pirene_pair *pairs, size_t count, uint32_t ttl_s);
void pirene_multi_put_start(struct pirene_table *table, struct pirene_bytes hash_key,
                            const struct pirene_pair *pairs, size_t count, uint32_t ttl_s,
                            pirene_done *done, void *context);

/* Those of the sort keys that are there, or with 'count' 0 all of the hash key, as far as the
 * server's limits go ('is_partial'). 'records' in the order of their sort keys; their hash keys are
 * empty. */
int pirene_multi_get(struct pirene_table *table, struct pirene_bytes hash_key,
                     const struct pirene_bytes *sort_keys, size_t count,
                     struct pirene_result *result);
void pirene_multi_get_start(struct pirene_table *table, struct pirene_bytes hash_key,
                            const struct pirene_bytes *sort_keys, size_t count, pirene_done *done,
                            void *context);

/* All or nothing. 'count' > 0. */
int pirene_multi_del(struct pirene_table *table, struct pirene_bytes hash_key,
                     const struct pirene_bytes *sort_keys, size_t count);
void pirene_multi_del_start(struct pirene_table *table, struct pirene_bytes hash_key,
                            const struct pirene_bytes *sort_keys, size_t count, pirene_done *done,
                            void *context);

/* 'number': how many records the hash key has. */
int pirene_sortkey_count(struct pirene_table *table, struct pirene_bytes hash_key,
                         struct pirene_result *result);
void pirene_sortkey_count_start(struct pirene_table *table, struct pirene_bytes hash_key,
                                pirene_done *done, void *context);

/* ---- Scans --------------------------------------------------------------------------------------
 *
 * Records in batches: those of one hash key in the order of sort keys, or those of the whole table,
 * partition by partition. Records that are written meanwhile may be seen or not. One thread at a
 * time. */

struct pirene_scan_options {
    const struct pirene_bytes *hash_key; /* NULL: the whole table. */
    struct pirene_bytes sort_prefix;     /* Only sort keys that begin so; empty: all. */
    uint32_t batch_count;                /* Records asked for at a time; 0: 1000. */
    bool has_no_values;
    bool only_counts; /* No records either: 'number' of each batch says how many there are. */
};

/* Ask for the number of partitions and begin. Returns PIRENE_OK and gives '*out', to be closed with
 * pirene_scan_close() before the handle; or an error. 'options' may be NULL. */
int pirene_scan_open(struct pirene_table *table, const struct pirene_scan_options *options,
                     struct pirene_scan **out);

/* The next batch, with at least one record (or count): PIRENE_OK; PIRENE_END: there are no more; or
 * an error, after which the same may be tried again. */
int pirene_scan_next(struct pirene_scan *scan, struct pirene_result *result);

/* The same; 'done' is called before another one is started or the scan is closed. */
void pirene_scan_next_start(struct pirene_scan *scan, pirene_done *done, void *context);

void pirene_scan_close(struct pirene_scan *scan); /* Accepts NULL. */

/* ---- Duplication ----------------------------------------------------------------------------- */

/* Wait until every write to the table that was acknowledged before this call is applied on its
 * remote clusters, which are asked for that: one round trip, also when nothing is under way.
 * PIRENE_OK only if that is so; PIRENE_TIMEOUT; PIRENE_NOT_FOUND: it has no duplication. */
int pirene_dup_wait(struct pirene_table *table, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
