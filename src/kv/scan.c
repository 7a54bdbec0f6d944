/* src/kv/scan.c: waiting scans, found by id in an array, closed in the order of their waiting. */
#include "kv/scan.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "kv/scan_impl.h"

/* ---- One scan ---- */

static struct slice keep(uint8_t **at, struct slice bytes)
{
    uint8_t *to = *at;
    if (bytes.size > 0) memcpy(to, bytes.data, bytes.size);
    *at += bytes.size;
    return slice_of(to, bytes.size);
}

struct kv_scan *kv_scan_new(const struct kv_scan_options *options)
{
    size_t size = sizeof(struct kv_scan) + options->range.lower.size + options->range.upper.size +
                  options->hash_filter.pattern.size + options->sort_filter.pattern.size;
    struct kv_scan *scan = mem_alloc(size);
    if (scan == NULL) return NULL;
    *scan = (struct kv_scan){.options = *options, .size = size};
    uint8_t *at = scan->bytes;
    scan->options.range.lower = keep(&at, options->range.lower);
    scan->options.range.upper = keep(&at, options->range.upper);
    scan->options.hash_filter.pattern = keep(&at, options->hash_filter.pattern);
    scan->options.sort_filter.pattern = keep(&at, options->sort_filter.pattern);
    return scan;
}

void kv_scan_free(struct kv_scan *scan)
{
    if (scan == NULL) return;
    store_iter_close(scan->iter);
    buf_fini(&scan->next);
    mem_free(scan);
}

/* Bytes that it holds; unchanged while it waits. */
static size_t scan_size(const struct kv_scan *scan)
{
    return scan->size + scan->next.capacity;
}

/* ---- All that wait ---- */

int kv_scans_init(struct kv_scans *scans, size_t capacity, size_t size_max, uint64_t seed)
{
    CHECK(capacity > 0 && (capacity & (capacity - 1)) == 0);
    struct kv_scan **slots = mem_zalloc(capacity * sizeof(struct kv_scan *));
    if (slots == NULL) return E_NOMEM;
    *scans = (struct kv_scans){
        .slots = slots,
        .capacity = capacity,
        .size_max = size_max,
        .next_id = (int64_t)((seed >> 33 | 1) << 32), /* 31 random bits above 32 of a counter. */
    };
    list_init(&scans->oldest);
    return 0;
}

void kv_scans_fini(struct kv_scans *scans)
{
    if (scans->slots == NULL) return;
    kv_scans_drop(scans);
    mem_free(scans->slots);
    *scans = (struct kv_scans){0};
}

static struct kv_scan **slot_of(struct kv_scans *scans, int64_t id)
{
    return &scans->slots[(uint64_t)id & (scans->capacity - 1)];
}

static struct kv_scan *oldest(struct kv_scans *scans)
{
    return list_is_empty(&scans->oldest) ? NULL
                                         : LIST_ENTRY(scans->oldest.next, struct kv_scan, node);
}

struct kv_scan *kv_scans_take(struct kv_scans *scans, int64_t id)
{
    if (id < 0) return NULL;
    struct kv_scan **slot = slot_of(scans, id);
    struct kv_scan *scan = *slot;
    if (scan == NULL || scan->id != id) return NULL;
    *slot = NULL;
    list_remove(&scan->node);
    scans->count--;
    scans->size -= scan_size(scan);
    return scan;
}

void kv_scans_clear(struct kv_scans *scans, int64_t id)
{
    kv_scan_free(kv_scans_take(scans, id));
}

void kv_scans_drop(struct kv_scans *scans)
{
    if (scans->slots == NULL) return;
    for (struct kv_scan *scan; (scan = oldest(scans)) != NULL;) kv_scans_clear(scans, scan->id);
}

/* An id whose slot is free: ids only grow, and one that is skipped was never given out. */
static int64_t id_take(struct kv_scans *scans)
{
    while (*slot_of(scans, scans->next_id) != NULL)
        scans->next_id = scans->next_id == INT64_MAX ? 0 : scans->next_id + 1;
    int64_t id = scans->next_id;
    scans->next_id = id == INT64_MAX ? 0 : id + 1;
    return id;
}

int64_t kv_scans_put(struct kv_scans *scans, struct kv_scan *scan, uint64_t now_ms)
{
    while (scans->count == scans->capacity ||
           (scans->count > 0 && scans->size + scan_size(scan) > scans->size_max)) {
        MARK("scan closed for want of room");
        kv_scans_clear(scans, oldest(scans)->id);
    }
    scan->id = id_take(scans);
    scan->since_ms = now_ms;
    *slot_of(scans, scan->id) = scan;
    list_push_back(&scans->oldest, &scan->node);
    scans->count++;
    scans->size += scan_size(scan);
    return scan->id;
}

uint64_t kv_scans_expire(struct kv_scans *scans, uint64_t now_ms)
{
    if (scans->slots == NULL) return UINT64_MAX;
    for (struct kv_scan *scan; (scan = oldest(scans)) != NULL;) {
        if (now_ms < scan->since_ms + KV_SCANS_LIFE_MS) return scan->since_ms + KV_SCANS_LIFE_MS;
        MARK("scan expired");
        kv_scans_clear(scans, scan->id);
    }
    return UINT64_MAX;
}
