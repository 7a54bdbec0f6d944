/* src/kv/item.h: what a write request would write, key by key. Inside this room only.
 *
 *     MULTI_PUT(hk, a=1 b=2 a=3)      items  a=1  b=2  a=3
 *                                            superseded
 *
 * Reading a request makes its items; evaluating it turns those that have the last word on their key
 * into ops. */
#pragma once
#include "kv/write.h"
#include "wire/value.h"

struct kv_item {
    struct slice key; /* Raw, well formed. */
    struct slice data;
    uint64_t timetag;   /* Duplicated: its origin's. Otherwise 0: it gets ours. */
    uint32_t expire_ts; /* As in the request. */
    uint32_t entry;     /* Of a DUPLICATE: which it came from. */
    bool is_delete;
    bool is_superseded; /* Another item has the last word on this key. */
    bool is_missing;    /* Duplicated: the view does not know the key. */
    bool is_news;       /* Duplicated: larger timetag than the stored row's. */
};

/* Room for 'count' more items that take 'key_size' and 'data_size' bytes in all.
 * Returns 0; E_LIMIT: the effects would not fit into a mutation; E_NOMEM. */
int kv_items_reserve(struct kv_write *w, uint32_t count, uint64_t key_size,
                     uint64_t data_size) MUST_CHECK;

/* Add an item that was reserved. */
struct kv_item *kv_items_push(struct kv_write *w, struct kv_item item);

/* Make items of the argument of a PUT, REMOVE, MULTI_PUT or MULTI_REMOVE. '*bad' says what is wrong
 * with its content; then no items were added.
 * Returns 0; E_LIMIT, E_NOMEM. */
int kv_items_of_put(struct kv_write *w, const struct update_request *put,
                    const char **bad) MUST_CHECK;
int kv_items_of_remove(struct kv_write *w, const struct bare_blob *remove,
                       const char **bad) MUST_CHECK;
int kv_items_of_multi_put(struct kv_write *w, const struct multi_put_request *put,
                          const char **bad) MUST_CHECK;
int kv_items_of_multi_remove(struct kv_write *w, const struct multi_remove_request *remove,
                             const char **bad) MUST_CHECK;

/* Of items on one key only one has the last word: the larger timetag; of equal ones the later inside
 * one entry, the earlier of two entries. Marks the others. Returns 0 or E_NOMEM. */
int kv_items_settle(struct kv_write *w) MUST_CHECK;

/* Append the item as an op with this timetag; default_ttl is given to what would live for ever. */
void kv_item_write(const struct kv_item *item, const struct kv_context *c, uint64_t timetag,
                   struct buf *ops);

/* Append all items that have the last word, as writes of our own cluster. */
void kv_items_write_own(struct kv_write *w, const struct kv_context *c, struct buf *ops);

/* ---- The kinds of writes that look before they write ---- */

int kv_incr_read(struct kv_write *w) MUST_CHECK;
int kv_check_and_set_read(struct kv_write *w) MUST_CHECK;
int kv_check_and_mutate_read(struct kv_write *w) MUST_CHECK;
int kv_duplicate_read(struct kv_write *w) MUST_CHECK;

/* As kv_write_evaluate(), but 'ops' may be left with half of them on failure. */
int kv_incr_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                     struct buf *ops) MUST_CHECK;
int kv_check_and_set_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                              struct buf *ops) MUST_CHECK;
int kv_check_and_mutate_evaluate(struct kv_write *w, const struct kv_context *c,
                                 struct kv_view *view, struct buf *ops) MUST_CHECK;
int kv_duplicate_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                          struct buf *ops) MUST_CHECK;
