/* src/core/mlog/space.c: a table of partitions, a row of segments, and the sums over both. */
#include "core/mlog/space.h"

#include "base/array.h"
#include "base/check.h"
#include "base/mem.h"

void mlog_space_init(struct mlog_space *s)
{
    *s = (struct mlog_space){0};
    list_init(&s->segments);
    list_init(&s->partitions);
}

static void partition_free(struct mlog_partition *p)
{
    list_remove(&p->node);
    mlog_index_fini(&p->index);
    mem_free(p);
}

void mlog_space_fini(struct mlog_space *s)
{
    if (s->partitions.next == NULL) return;
    LIST_EACH (it, &s->segments) {
        struct mlog_segment *segment = LIST_ENTRY(it, struct mlog_segment, node);
        mem_free(segment->shares);
        segment->shares = NULL;
        segment->share_capacity = segment->share_count = 0;
    }
    while (!list_is_empty(&s->partitions))
        partition_free(LIST_ENTRY(s->partitions.next, struct mlog_partition, node));
    mem_free(s->buckets);
    mlog_space_init(s);
}

/* ---- Partitions ---- */

static size_t bucket_of(const struct mlog_space *s, struct gpid gpid)
{
    uint64_t key = (uint64_t)(uint32_t)gpid.app_id << 32 | (uint32_t)gpid.partition_index;
    key *= UINT64_C(0x9e3779b97f4a7c15); /* Spreads neighbours (Fibonacci hashing). */
    return (size_t)(key >> 32) & (s->bucket_count - 1);
}

struct mlog_partition *mlog_partition_find(const struct mlog_space *s, struct gpid gpid)
{
    if (s->bucket_count == 0) return NULL;
    struct mlog_partition *p = s->buckets[bucket_of(s, gpid)];
    while (p != NULL && !gpid_equal(p->gpid, gpid)) p = p->next;
    return p;
}

static void bucket_push(struct mlog_space *s, struct mlog_partition *p)
{
    struct mlog_partition **bucket = &s->buckets[bucket_of(s, p->gpid)];
    p->next = *bucket;
    *bucket = p;
}

static int buckets_grow(struct mlog_space *s)
{
    if (s->partition_count < s->bucket_count) return 0;
    size_t count = s->bucket_count == 0 ? 16 : s->bucket_count * 2;
    struct mlog_partition **buckets = mem_zalloc(count * sizeof *buckets);
    if (buckets == NULL) return E_NOMEM;
    mem_free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
    LIST_EACH (it, &s->partitions) bucket_push(s, LIST_ENTRY(it, struct mlog_partition, node));
    return 0;
}

int mlog_partition_get(struct mlog_space *s, struct gpid gpid, struct mlog_partition **out)
{
    *out = mlog_partition_find(s, gpid);
    if (*out != NULL) return 0;
    if (buckets_grow(s) != 0) return E_NOMEM;
    struct mlog_partition *p = mem_zalloc(sizeof *p);
    if (p == NULL) return E_NOMEM;
    p->gpid = gpid;
    list_push_back(&s->partitions, &p->node);
    bucket_push(s, p);
    s->partition_count++;
    *out = p;
    return 0;
}

void mlog_partition_forget(struct mlog_space *s, struct mlog_partition *p)
{
    p->durable = p->confirmed = MLOG_NEVER;
    p->staged.refused = 0;
    mlog_partition_void(s, p);
}

void mlog_partition_void(struct mlog_space *s, struct mlog_partition *p)
{
    p->decree = 0;
    mlog_index_fini(&p->index);
    LIST_EACH (it, &s->segments) {
        struct mlog_segment *segment = LIST_ENTRY(it, struct mlog_segment, node);
        for (uint32_t i = 0; i < segment->share_count; i++)
            if (segment->shares[i].partition == p)
                segment->shares[i].decree_max = segment->shares[i].serial = 0;
    }
}

void mlog_partition_sweep(struct mlog_space *s)
{
    struct list_node *it = s->partitions.next;
    while (it != &s->partitions) {
        struct mlog_partition *p = LIST_ENTRY(it, struct mlog_partition, node);
        it = it->next;
        if (p->owner != NULL || p->share_count > 0 || p->durable != MLOG_NEVER) continue;
        struct mlog_partition **link = &s->buckets[bucket_of(s, p->gpid)];
        while (*link != p) link = &(*link)->next;
        *link = p->next;
        s->partition_count--;
        partition_free(p);
    }
}

struct mlog_partition *mlog_partition_next(const struct mlog_space *s,
                                           const struct mlog_partition *before)
{
    struct list_node *it = before == NULL ? s->partitions.next : before->node.next;
    return it == &s->partitions ? NULL : LIST_ENTRY(it, struct mlog_partition, node);
}

/* ---- Segments ---- */

static struct mlog_segment **segment_bucket(struct mlog_space *s, uint64_t number)
{
    return &s->by_number[number % MLOG_SEGMENT_BUCKETS];
}

void mlog_segment_push(struct mlog_space *s, struct mlog_segment *segment)
{
    struct mlog_segment **bucket = segment_bucket(s, segment->number);
    segment->next = *bucket;
    *bucket = segment;
    list_push_back(&s->segments, &segment->node);
    s->segment_count++;
    s->size += segment->end;
}

void mlog_segment_remove(struct mlog_space *s, struct mlog_segment *segment)
{
    CHECK(segment->pins == 0);
    for (uint32_t i = 0; i < segment->share_count; i++) {
        struct mlog_partition *p = segment->shares[i].partition;
        mlog_index_drop(&p->index, segment->number);
        p->share_count--;
        if (p->segment == segment) p->segment = NULL;
    }
    mem_free(segment->shares);
    segment->shares = NULL;
    segment->share_capacity = segment->share_count = 0;
    struct mlog_segment **link = segment_bucket(s, segment->number);
    while (*link != segment) link = &(*link)->next;
    *link = segment->next;
    list_remove(&segment->node);
    s->segment_count--;
    s->size -= segment->end;
}

struct mlog_segment *mlog_segment_oldest(const struct mlog_space *s)
{
    if (list_is_empty(&s->segments)) return NULL;
    return LIST_ENTRY(s->segments.next, struct mlog_segment, node);
}

struct mlog_segment *mlog_segment_newest(const struct mlog_space *s)
{
    if (list_is_empty(&s->segments)) return NULL;
    return LIST_ENTRY(s->segments.prev, struct mlog_segment, node);
}

struct mlog_segment *mlog_segment_find(const struct mlog_space *s, uint64_t number)
{
    struct mlog_segment *segment = s->by_number[number % MLOG_SEGMENT_BUCKETS];
    while (segment != NULL && segment->number != number) segment = segment->next;
    return segment;
}

int mlog_space_reserve(struct mlog_space *s, struct mlog_partition *p, uint32_t shares,
                       size_t spans)
{
    struct mlog_segment *segment = mlog_segment_newest(s);
    if (mlog_index_reserve(&p->index, spans) != 0) return E_NOMEM;
    return array_reserve(&segment->shares, &segment->share_capacity, segment->share_count + shares,
                         sizeof *segment->shares);
}

/* A thousand partitions must not mean a thousand spans per interval. */
static uint32_t span_interval(const struct mlog_space *s)
{
    size_t times = s->partition_count / 16;
    if (times < 1) times = 1;
    if (times > 1024) times = 1024;
    return (uint32_t)times * MLOG_SPAN_INTERVAL;
}

/* The share of 'p' in the newest segment, begun if there is none. */
static struct mlog_share *share_get(struct mlog_segment *segment, struct mlog_partition *p)
{
    if (p->segment == segment) return &segment->shares[p->share];
    CHECK(segment->share_count < segment->share_capacity);
    p->segment = segment;
    p->share = segment->share_count++;
    p->share_count++;
    segment->shares[p->share] = (struct mlog_share){.partition = p};
    return &segment->shares[p->share];
}

void mlog_space_add(struct mlog_space *s, struct mlog_partition *p, uint64_t decree,
                    uint64_t serial, struct mlog_place place, uint64_t record_size)
{
    struct mlog_share *share = share_get(mlog_segment_newest(s), p);
    if (decree > share->decree_max) share->decree_max = decree;
    share->size += record_size;
    if (share->serial == 0) share->serial = serial;
    share->serial_last = serial;
    share->decree_last = decree;
    mlog_index_add(&p->index, decree, serial, place, span_interval(s));
    p->serial = serial;
    p->decree = decree;
}

void mlog_space_grow(struct mlog_space *s, uint32_t end)
{
    struct mlog_segment *newest = mlog_segment_newest(s);
    CHECK(end >= newest->end);
    s->size += end - newest->end;
    newest->end = end;
}

/* ---- Decisions ---- */

enum mlog_need mlog_share_need(const struct mlog_share *share)
{
    const struct mlog_partition *p = share->partition;
    if (share->decree_max > p->durable) return MLOG_NEED_STORES;
#ifndef MUT_gc_ignores_dup
    if (share->decree_max > p->confirmed && !share->is_moved) return MLOG_NEED_SHIPPERS;
#endif
    return MLOG_NEED_NOTHING;
}

bool mlog_share_is_indexed(const struct mlog_share *share)
{
    return share->serial > share->partition->index.since;
}

enum mlog_need mlog_segment_need(const struct mlog_segment *segment)
{
    enum mlog_need most = MLOG_NEED_NOTHING;
    for (uint32_t i = 0; i < segment->share_count && most != MLOG_NEED_STORES; i++) {
        enum mlog_need need = mlog_share_need(&segment->shares[i]);
        if (need > most) most = need;
    }
    return most;
}

struct mlog_segment *mlog_space_freeable(const struct mlog_space *s)
{
    struct mlog_segment *oldest = mlog_segment_oldest(s);
    if (oldest == NULL || oldest == mlog_segment_newest(s)) return NULL;
#ifndef MUT_gc_under_reader
    if (oldest->pins > 0) return NULL;
#endif
    return mlog_segment_need(oldest) == MLOG_NEED_NOTHING ? oldest : NULL;
}

struct mlog_segment *mlog_space_movable(const struct mlog_space *s, uint64_t ship_size)
{
    if (s->size <= ship_size) return NULL;
    struct mlog_segment *newest = mlog_segment_newest(s);
    uint64_t size = 0;
    LIST_EACH (it, &s->segments) {
        struct mlog_segment *segment = LIST_ENTRY(it, struct mlog_segment, node);
        if (segment == newest || mlog_segment_need(segment) == MLOG_NEED_STORES) break;
        size += segment->end;
    }
    struct mlog_segment *oldest = mlog_segment_oldest(s);
    if (size <= ship_size || oldest->pins > 0) return NULL;
    return mlog_segment_need(oldest) == MLOG_NEED_SHIPPERS ? oldest : NULL;
}

void mlog_space_flush_wanted(struct mlog_space *s, uint64_t size_max,
                             void (*each)(void *context, struct mlog_partition *p), void *context)
{
    uint64_t size = s->size;
    LIST_EACH (it, &s->segments) {
        struct mlog_segment *segment = LIST_ENTRY(it, struct mlog_segment, node);
        if (size <= size_max || it == s->segments.prev) return;
        for (uint32_t i = 0; i < segment->share_count; i++) {
            struct mlog_share *share = &segment->shares[i];
            if (mlog_share_need(share) == MLOG_NEED_STORES) each(context, share->partition);
        }
        size -= segment->end;
    }
}
