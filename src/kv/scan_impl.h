/* src/kv/scan_impl.h: what a scan remembers. Inside this room only. */
#pragma once
#include "base/buf.h"
#include "kv/range.h"
#include "kv/scan.h"
#include "store/store.h"
#include "wire/messages_data.h"

struct kv_scan_filter {
    int32_t type; /* enum filter_type. */
    struct slice pattern;
};

/* The options of a GET_SCANNER, resolved. Its slices point into 'bytes' of the scan. */
struct kv_scan_options {
    struct kv_range range;
    uint32_t batch_count; /* Records per answer. */
    bool has_no_values, has_expiry, counts_only;
    bool validates_hash; /* Rows of other partitions are left out. */
    struct kv_scan_filter hash_filter, sort_filter;
};

struct kv_scan {
    struct list_node node; /* In kv_scans.oldest, while it waits. */
    int64_t id;            /* While it waits. */
    uint64_t since_ms;     /* It waits. */

    struct kv_scan_options options;
    struct store_iter *iter;
    enum store_tier tier; /* Of 'iter'. Between requests it is STORE_ANY. */
    bool is_positioned;   /* 'iter' stands on the next row; otherwise seek 'next' first. */
    struct buf next;      /* A raw key. */
    size_t size;          /* Bytes of this struct and of 'bytes'. */
    uint8_t bytes[];      /* Bounds and patterns. */
};

/* A scan that owns copies of the bytes of 'options'; no iterator yet. NULL: no memory. */
struct kv_scan *kv_scan_new(const struct kv_scan_options *options);
void kv_scan_free(struct kv_scan *scan); /* With its iterator. Accepts NULL. */

/* Let it wait. Takes 'scan'; gives its id. */
int64_t kv_scans_put(struct kv_scans *scans, struct kv_scan *scan, uint64_t now_ms);

/* Take it out: the caller's now. NULL when there is none of that id. */
struct kv_scan *kv_scans_take(struct kv_scans *scans, int64_t id);
