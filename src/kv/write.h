/* src/kv/write.h: a write request, decoded and then evaluated to effects.
 *
 *     kv_write_read      bytes to struct; what it touches is known from here on
 *     kv_write_evaluate  current values in, puts and deletes out, and the outcome
 *     kv_write_reply     the answer, once the decree is known
 *
 * Effects are plain puts and deletes, each with its timetag, at most one per key and request: the
 * last word on a key is the only one. (Two ops on one key would carry one timetag, and a remote that
 * compares timetags could not tell which came later.) A delete is a tombstone, never an absence.
 *
 * Duplicated entries keep the timetag of their origin and are written only where it is larger than
 * that of the stored row, tombstones and expired rows included: last writer wins (X3).
 *
 * Source: docs/data.md, rules E1 to E9 and X1 to X7. Pure. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kv/kv.h"
#include "wire/messages.h"
#include "wire/rpc_names.h"

/* Largest request bodies, in bytes. */
enum {
    KV_WRITE_SIZE_DEFAULT = 1 << 20, /* max_allowed_write_size as shipped. */
    KV_WRITE_SIZE_LIMIT = 8 << 20,   /* What we take at most, DUPLICATE included. */
};

/* Whether a body may be decoded at all: 0, or E_LIMIT (answer ERR_INVALID_DATA). 'size_max' is
 * max_allowed_write_size, 0: off. DUPLICATE is held to KV_WRITE_SIZE_LIMIT only, because its sender
 * adds to bodies that were accepted over there. */
int kv_write_check_size(enum rpc_code rpc, size_t body_size, size_t size_max) MUST_CHECK;

/* Current values: applied state, overlaid with what is decided and not applied yet. */
struct kv_view {
    /* Returns 0 and fills 'out', tombstones and expired rows included; its bytes stay good until the
     * next call. E_NOTFOUND; E_AGAIN: not known without disk. E_CORRUPT, E_IO, E_NOMEM. */
    int (*lookup)(struct kv_view *view, struct slice key, struct kv_row *out);
};

/* Entries of a DUPLICATE that can never be taken, however often they are sent. */
struct kv_refused {
    uint32_t count;
    uint32_t first;     /* Index of the first of them. */
    const char *reason; /* Why that one. */
};

struct kv_item;

/* One write request. The fields are the room's, but for those marked as results. */
struct kv_write {
    enum rpc_code rpc;
    struct arena *arena;
    union {
        struct update_request put;
        struct bare_blob remove;
        struct multi_put_request multi_put;
        struct multi_remove_request multi_remove;
        struct incr_request incr;
        struct check_and_set_request check_and_set;
        struct check_and_mutate_request check_and_mutate;
        struct duplicate_request duplicate;
    } args;
    struct kv_item *items; /* What it would write, in the order of the request. */
    uint32_t item_count, item_capacity;
    uint64_t effects_size; /* Bytes of the ops that the items would make. */
    struct slice read_key; /* INCR, CHECK_AND_...: the key whose value decides; else empty. */
    bool is_read_key_missing;
    const char *bad; /* What is wrong with the request, whatever is stored; NULL: nothing. */
    struct kv_refused bad_entries; /* Of a DUPLICATE. */
    struct kv_sources origins;     /* Of a DUPLICATE: the clusters whose writes it brings. */

    /* Results of kv_write_evaluate(). */
    int32_t status;     /* enum rrdb_status. */
    bool has_effects;   /* Ops were added: make it a mutation. */
    const char *reason; /* Why something was refused, for the log; NULL: nothing was. */
    union {
        struct update_response update;
        struct multi_remove_response multi_remove;
        struct incr_response incr;
        struct check_and_set_response check_and_set;
        struct check_and_mutate_response check_and_mutate;
        struct duplicate_response duplicate;
    } response;
};

/* Decode the body (the wrapper struct with the argument) of a write. 'body' and 'a' live as long as
 * 'w'; there is nothing to free but the arena. Bad content (an empty list, a bad key) is not an error
 * here: evaluation answers it.
 * Returns 0; E_SHORT, E_PROTO: malformed; E_LIMIT: its effects would be larger than a mutation may be;
 * E_UNSUPPORTED: 'rpc' is no write; E_NOMEM. */
int kv_write_read(struct kv_write *w, enum rpc_code rpc, struct slice body,
                  struct arena *a) MUST_CHECK;

/* Decide what the write does, from scratch each time it is called. Ops are added with mutation_add()
 * to 'ops', between the caller's mutation_begin() and mutation_finish(). On any failure 'ops' is as it
 * was. Writes that share a mutation share its timestamp, so they must not share a key.
 *
 * An outcome without effects needs no mutation; but it may rest on values that are decided and not
 * committed yet (a failed check, a duplicated entry that is no news). Answer it when everything
 * ordered before is committed, or a crash could take back what the client was told.
 *
 * Returns
 *     0          decided: see the results in 'w'
 *     E_AGAIN    keys are missing (kv_write_missing_key): fetch them, evaluate again
 *     E_REFUSED  answer the framework error ERR_INVALID_STATE: the source asks again later ('reason')
 *     E_NOMEM    answer ERR_BUSY
 * A view that fails with E_CORRUPT or E_IO is an outcome, with that status and no effects. */
int kv_write_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                      struct buf *ops) MUST_CHECK;

/* After E_AGAIN: walk the keys that the view did not know. Start with *position = 0. */
bool kv_write_missing_key(const struct kv_write *w, size_t *position, struct slice *key);

/* The answer. 'decree' is the mutation's, -1 when it had no effects. */
struct kv_reply kv_write_reply(struct kv_write *w, const struct kv_partition *p, int64_t decree);
