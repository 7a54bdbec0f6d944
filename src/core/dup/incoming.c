/* src/core/dup/incoming.c: a sorted array: heard of all the time, grown once per source. */
#include "core/dup/incoming.h"

#include <string.h>

#include "base/array.h"
#include "base/mem.h"

void dup_incoming_fini(struct dup_incoming *in)
{
    mem_free(in->rows);
    *in = (struct dup_incoming){0};
}

static int compare(const struct dup_source *a, const struct dup_source *b)
{
    if (a->cluster_id != b->cluster_id) return a->cluster_id < b->cluster_id ? -1 : 1;
    if (a->app_id != b->app_id) return a->app_id < b->app_id ? -1 : 1;
    if (a->partition_index != b->partition_index)
        return a->partition_index < b->partition_index ? -1 : 1;
    return 0;
}

/* The first row that is not before 'source'. */
static uint32_t place_of(const struct dup_incoming *in, const struct dup_source *source)
{
    uint32_t low = 0, high = in->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(&in->rows[middle].source, source) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void forget_oldest(struct dup_incoming *in)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < in->count; i++)
        if (in->rows[i].position.heard_ms < in->rows[oldest].position.heard_ms) oldest = i;
    in->count--;
    memmove(&in->rows[oldest], &in->rows[oldest + 1], (in->count - oldest) * sizeof in->rows[0]);
}

static int make_room(struct dup_incoming *in)
{
    if (in->count == DUP_INCOMING_MAX) forget_oldest(in);
    return array_reserve(&in->rows, &in->capacity, in->count + 1, sizeof *in->rows);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

int dup_incoming_heard(struct dup_incoming *in, const struct dup_source *source,
                       const struct dup_position *position)
{
    uint32_t at = place_of(in, source);
    if (at < in->count && compare(&in->rows[at].source, source) == 0) {
        struct dup_position *known = &in->rows[at].position;
        known->decree = later(known->decree, position->decree);
        known->closed_timestamp_us =
            later(known->closed_timestamp_us, position->closed_timestamp_us);
        known->heard_ms = position->heard_ms;
        known->partition_count = position->partition_count;
        return 0;
    }
    int rc = make_room(in);
    if (rc != 0) return rc;
    at = place_of(in, source); /* The oldest may have gone from before it. */
    memmove(&in->rows[at + 1], &in->rows[at], (in->count - at) * sizeof in->rows[0]);
    in->rows[at] = (struct dup_incoming_row){*source, *position};
    in->count++;
    return 0;
}

/* ---- Closed time ---- */

static bool is_same_table(const struct dup_source *a, const struct dup_source *b)
{
    return a->cluster_id == b->cluster_id && a->app_id == b->app_id;
}

/* How many partitions the source table has, as said last. */
static uint32_t source_count(const struct dup_incoming_row *rows, uint32_t count)
{
    const struct dup_position *last = &rows[0].position;
    for (uint32_t i = 1; i < count; i++)
        if (rows[i].position.heard_ms >= last->heard_ms) last = &rows[i].position;
    return last->partition_count;
}

/* As dup_incoming_closed_us(), for the rows of one source table. Keys of partition i of m and of j of n go
 * together when i and j are equal modulo the smaller of m and n: both are powers of two. */
static uint64_t table_closed_us(const struct dup_incoming_row *rows, uint32_t row_count,
                                const struct dup_incoming_self *self)
{
    uint64_t closed_us = UINT64_MAX;
    uint32_t count = source_count(rows, row_count), heard = 0;
    uint32_t smaller = count < self->count ? count : self->count;
    uint32_t wanted = count > self->count ? count / self->count : 1;
    for (uint32_t i = 0; i < row_count; i++) {
        const struct dup_position *position = &rows[i].position;
        uint32_t index = (uint32_t)rows[i].source.partition_index;
        if (smaller > 0 && (index >= count || index % smaller != self->index % smaller)) continue;
        heard++;
        if (self->now_ms - position->heard_ms > DUP_INCOMING_SILENT_MS) continue;
        if (position->closed_timestamp_us < closed_us) closed_us = position->closed_timestamp_us;
    }
    bool is_young = self->now_ms - self->began_ms <= DUP_INCOMING_SILENT_MS;
    return is_young && (smaller == 0 || heard < wanted) ? 0 : closed_us;
}

uint64_t dup_incoming_closed_us(const struct dup_incoming *in, const struct dup_incoming_self *self)
{
    uint64_t closed_us = UINT64_MAX;
    for (uint32_t begin = 0, end; begin < in->count; begin = end) {
        for (end = begin + 1; end < in->count; end++)
            if (!is_same_table(&in->rows[begin].source, &in->rows[end].source)) break;
        uint64_t table_us = table_closed_us(&in->rows[begin], end - begin, self);
        if (table_us < closed_us) closed_us = table_us;
    }
    return closed_us;
}

bool dup_incoming_has(const struct dup_incoming *in, int32_t cluster_id)
{
    for (uint32_t i = 0; i < in->count; i++)
        if (in->rows[i].source.cluster_id == cluster_id) return true;
    return false;
}
