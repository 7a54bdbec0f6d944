/* src/kv/range.h: keys that bound a walk, made in an arena.
 *
 * Every range of a request becomes [lower, upper): an exclusive start and an inclusive stop are moved to
 * the next possible key, which is one zero byte longer. An empty 'upper' means no end. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct kv_range {
    struct slice lower, upper;
};

/* The raw key of two parts. Returns 0; E_INVALID: the hash key is too long; E_NOMEM. */
int kv_key_join(struct arena *a, struct slice hash_key, struct slice sort_key,
                struct slice *out) MUST_CHECK;

/* The first key after 'key'. Returns 0 or E_NOMEM. */
int kv_key_after(struct arena *a, struct slice key, struct slice *out) MUST_CHECK;

/* The first key after all that begin with 'prefix'; empty when there is none. Returns 0 or E_NOMEM. */
int kv_key_successor(struct arena *a, struct slice prefix, struct slice *out) MUST_CHECK;

/* [start, stop] as the two flags say, which may well be empty. Returns 0 or E_NOMEM. */
int kv_range_make(struct arena *a, struct slice start, bool is_start_inclusive, struct slice stop,
                  bool is_stop_inclusive, struct kv_range *out) MUST_CHECK;

/* Take away what lies outside of the keys that begin with 'prefix'. Returns 0 or E_NOMEM. */
int kv_range_narrow(struct arena *a, struct kv_range *range, struct slice prefix) MUST_CHECK;

bool kv_range_is_empty(const struct kv_range *range);
