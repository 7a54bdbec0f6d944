/* src/core/mlog/index.c: spans in an array that loses its front and grows at its end. */
#include "core/mlog/index.h"

#include "base/array.h"
#include "base/check.h"
#include "base/mem.h"

void mlog_index_fini(struct mlog_index *index)
{
    mem_free(index->spans);
    *index = (struct mlog_index){0};
}

int mlog_index_reserve(struct mlog_index *index, size_t more)
{
    if (index->first + index->count + more <= index->capacity) return 0;
    if (index->first > index->count + more) {
        memmove(index->spans, index->spans + index->first, index->count * sizeof *index->spans);
        index->first = 0;
        return 0;
    }
    return array_reserve(&index->spans, &index->capacity, index->first + index->count + more,
                         sizeof *index->spans);
}

/* 'decree' is written again: what is known of it and above is the past. */
static void rewind_to(struct mlog_index *index, uint64_t decree)
{
    struct mlog_span *spans = index->spans + index->first;
    while (index->count > 0 && spans[index->count - 1].decree >= decree) index->count--;
    for (size_t i = 0; i < index->count; i++)
        if (spans[i].limit > decree) spans[i].limit = decree;
}

void mlog_index_add(struct mlog_index *index, uint64_t decree, uint64_t serial,
                    struct mlog_place place, uint32_t interval)
{
    struct mlog_span *spans = index->spans + index->first;
    struct mlog_span *last = index->count > 0 ? &spans[index->count - 1] : NULL;
    if (last != NULL && serial != last->serial_last + 1) {
        index->count = 0;
        index->since = serial;
        last = NULL;
    }
    uint64_t next = last == NULL ? 0 : last->decree + (serial - last->serial);
    bool is_rewind = last != NULL && decree < next;
    if (is_rewind) rewind_to(index, decree);

    bool has_room = index->first + index->count < index->capacity;
    bool follows = last != NULL && decree == next && last->segment == place.segment;
    if (follows && (place.begin - last->begin < interval || !has_room)) {
        last->serial_last = serial;
        last->end = place.end;
        return;
    }
    CHECK(index->first + index->count < index->capacity);
    spans[index->count++] = (struct mlog_span){
        .decree = decree,
        .limit = UINT64_MAX,
        .serial = serial,
        .serial_last = serial,
        .segment = place.segment,
        .begin = place.begin,
        .end = place.end,
    };
}

const struct mlog_span *mlog_index_find(const struct mlog_index *index, uint64_t decree,
                                        size_t *count)
{
    if (index->count == 0) return NULL;
    const struct mlog_span *spans = index->spans + index->first;
    size_t low = 0, high = index->count; /* Decrees grow: a rewind has removed what did not. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spans[middle].decree <= decree) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return NULL;
    *count = index->count - (low - 1);
    return &spans[low - 1];
}

void mlog_index_drop(struct mlog_index *index, uint64_t segment)
{
    while (index->count > 0 && index->spans[index->first].segment <= segment) {
        index->first++;
        index->count--;
    }
    if (index->count == 0) index->first = 0;
}
