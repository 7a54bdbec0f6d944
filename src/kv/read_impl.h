/* src/kv/read_impl.h: the parts of reading. Inside this room only. */
#pragma once
#include "kv/read.h"

/* As kv_read_run(), for a request whose results were reset. */
int kv_get_run(struct kv_read *r, const struct kv_context *c, struct store *s,
               enum store_tier tier) MUST_CHECK;
int kv_ttl_run(struct kv_read *r, const struct kv_context *c, struct store *s,
               enum store_tier tier) MUST_CHECK;
int kv_batch_get_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier) MUST_CHECK;
int kv_multi_get_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                     enum store_tier tier) MUST_CHECK;
int kv_sortkey_count_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                         enum store_tier tier) MUST_CHECK;
int kv_scanner_run(struct kv_read *r, const struct kv_context *c, struct store *s,
                   enum store_tier tier) MUST_CHECK;

/* Look up one key; the value is pinned in '*pin'. '*exists' is false for what readers don't see.
 * Returns 0, r->status saying how the store failed if it did; E_AGAIN, E_NOMEM. */
int kv_read_lookup(struct kv_read *r, const struct kv_context *c, struct store *s,
                   enum store_tier tier, struct slice key, struct store_value *pin,
                   struct kv_row *row, bool *exists) MUST_CHECK;

/* As kv_read_lookup(), for a key in two parts. E_INVALID: longer than any key that is stored. */
int kv_read_lookup_parts(struct kv_read *r, const struct kv_context *c, struct store *s,
                         enum store_tier tier, const struct full_key *key, struct store_value *pin,
                         struct kv_row *row, bool *exists) MUST_CHECK;

/* So many keys, so many bytes of them in all, are looked up elsewhere than on a loop (M9). */
bool kv_read_is_long(uint64_t count, uint64_t size);

/* Room for 'count' pinned values. Returns 0 or E_NOMEM. */
int kv_read_reserve_pins(struct kv_read *r, uint32_t count) MUST_CHECK;

/* A result that grows. */
struct kv_rows {
    struct key_value_list list;
    uint32_t capacity;
    size_t size; /* Bytes of keys and values. */
};

/* Add a record; its slices are kept as they are. Returns 0 or E_NOMEM. */
int kv_rows_push(struct arena *a, struct kv_rows *rows, struct key_value row) MUST_CHECK;

/* A copy of 'bytes' in the arena. Returns 0 or E_NOMEM. */
int kv_copy(struct arena *a, struct slice bytes, struct slice *out) MUST_CHECK;

/* The smaller of two limits of which one not above 0 is none; UINT64_MAX: no limit at all. */
uint64_t kv_limit(int64_t a, int64_t b);
