/* sim/check/converge.c: one row for each key: the last writer's. */
#include "sim/check/converge.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crc.h"
#include "sim/check/grow.h"
#include "wire/value.h"

void converge_fini(struct converge *c)
{
    keys_fini(&c->keys);
    free(c->kept);
    *c = (struct converge){0};
}

static enum verdict broken(struct report *report, const char *what, struct slice key, uint64_t is,
                           uint64_t should_be)
{
    int used = snprintf(report->text, sizeof report->text,
                        "%s: timetag %" PRIx64 ", should be %" PRIx64 ", key", what, is, should_be);
    for (size_t i = 0; i < key.size && used > 0 && (size_t)used + 8 < sizeof report->text; i++)
        used +=
            snprintf(report->text + used, sizeof report->text - (size_t)used, " %02x", key.data[i]);
    return VERDICT_BROKEN;
}

static struct converge_kept kept_of(const struct converge_row *row)
{
    return (struct converge_kept){.timetag = row->timetag,
                                  .expire_ts = row->expire_ts,
                                  .size = row->data.size,
                                  .hash = crc64(row->data.data, row->data.size)};
}

static bool is_same(const struct converge_kept *a, const struct converge_kept *b)
{
    return a->timetag == b->timetag && a->expire_ts == b->expire_ts && a->size == b->size &&
           a->hash == b->hash;
}

enum verdict converge_commit(struct converge *c, const struct converge_row *row,
                             struct report *report)
{
    size_t count = c->keys.count;
    uint32_t number = keys_number(&c->keys, row->key);
    c->kept = grow(c->kept, number, &c->capacity, sizeof *c->kept);
    struct converge_kept *kept = &c->kept[number], new = kept_of(row);
    if (number == count) {
        *kept = new;
        return VERDICT_OK;
    }
    if (new.timetag == kept->timetag && !is_same(&new, kept))
        return broken(report, "one timetag, two values", row->key, new.timetag, kept->timetag);
    if (new.timetag > kept->timetag) *kept = new;
    return VERDICT_OK;
}

void converge_begin(struct converge *c)
{
    c->round++;
}

/* No client sees it: a tombstone, or expired. */
static bool is_gone(const struct converge_kept *kept, uint32_t now_s)
{
    struct value_head head = {.expire_ts = kept->expire_ts, .timetag = kept->timetag};
    return timetag_is_deleted(kept->timetag) || value_is_expired(head, now_s);
}

enum verdict converge_compare(struct converge *c, const struct converge_row *row,
                              struct report *report)
{
    int64_t number = keys_find(&c->keys, row->key);
    if (number < 0) return broken(report, "a row that nobody wrote", row->key, row->timetag, 0);
    struct converge_kept *kept = &c->kept[number], is = kept_of(row);
    if (kept->seen_round == c->round)
        return broken(report, "a row twice", row->key, row->timetag, kept->timetag);
    kept->seen_round = c->round;
    if (!is_same(&is, kept))
        return broken(report, "not the last writer's", row->key, row->timetag, kept->timetag);
    return VERDICT_OK;
}

enum verdict converge_end(struct converge *c, uint32_t now_s, struct report *report)
{
    for (size_t i = 0; i < c->keys.count; i++)
        if (c->kept[i].seen_round != c->round && !is_gone(&c->kept[i], now_s))
            return broken(report, "missing", c->keys.keys[i], 0, c->kept[i].timetag);
    return VERDICT_OK;
}
