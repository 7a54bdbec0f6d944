/* src/core/dup/window.c: a ring of slots in decree order. A slot is done when all its ops are applied at
 * the remote; the confirmed decree is that of the last slot before the first that is not done. */
#include "base/check.h"
#include "base/mem.h"
#include "core/dup/dup_impl.h"

enum { WINDOW_CAPACITY_MIN = 64 }; /* A power of two, as all its doublings. */

static struct dup_slot *slot(const struct dup *d, uint32_t index)
{
    return &d->slots[(d->slot_first + index) & (d->slot_capacity - 1)];
}

static int grow(struct dup *d)
{
    uint32_t capacity = d->slot_capacity == 0 ? WINDOW_CAPACITY_MIN : d->slot_capacity * 2;
    struct dup_slot *slots = mem_alloc(capacity * sizeof *slots);
    if (slots == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < d->slot_count; i++) slots[i] = *slot(d, i);
    mem_free(d->slots);
    d->slots = slots;
    d->slot_capacity = capacity;
    d->slot_first = 0;
    return 0;
}

int window_push(struct dup *d, const struct dup_slot *new_slot)
{
    if (d->slot_count == d->slot_capacity) {
        int rc = grow(d);
        if (rc != 0) return rc;
    }
    *slot(d, d->slot_count) = *new_slot;
    d->slot_count++;
    d->window_size += new_slot->size;
    return 0;
}

void window_done(struct dup *d, uint64_t sequence)
{
    CHECK(sequence >= d->slot_sequence && sequence - d->slot_sequence < d->slot_count);
    struct dup_slot *s = slot(d, (uint32_t)(sequence - d->slot_sequence));
    CHECK(s->outstanding > 0);
    s->outstanding--;
}

bool window_advance(struct dup *d)
{
    uint64_t before = d->confirmed;
    while (d->slot_count > 0 && slot(d, 0)->outstanding == 0) {
        const struct dup_slot *s = slot(d, 0);
        if (s->decree > d->confirmed) {
            d->confirmed = s->decree;
            d->confirmed_timestamp_us = s->timestamp_us;
            dup_lag_confirmed(&d->lag, s->decree, s->confirms_size);
        }
        d->window_size -= s->size;
        d->slot_first = (d->slot_first + 1) & (d->slot_capacity - 1);
        d->slot_sequence++;
        d->slot_count--;
    }
    return d->confirmed != before;
}

bool window_has_room(const struct dup *d)
{
    return d->window_size < d->window_size_max && d->slot_count < DUP_WINDOW_COUNT_MAX;
}

void window_clear(struct dup *d)
{
    d->slot_sequence += d->slot_count;
    d->slot_count = 0;
    d->window_size = 0;
}
