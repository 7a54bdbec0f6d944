/* sim/check/history.c: writing down, and what each kind of operation means. */
#include "sim/check/history.h"

#include <inttypes.h>

#include "sim/check/grow.h"

void history_fini(struct history *h)
{
    keys_fini(&h->keys);
    free(h->ops);
    *h = (struct history){0};
}

size_t history_invoke(struct history *h, uint32_t client, enum history_type type, struct slice key,
                      int64_t a, int64_t b)
{
    h->ops = grow(h->ops, h->count, &h->capacity, sizeof *h->ops);
    h->ops[h->count] = (struct history_op){.type = type,
                                           .end = HISTORY_UNKNOWN,
                                           .client = client,
                                           .key = keys_number(&h->keys, key),
                                           .a = a,
                                           .b = b,
                                           .invoked = h->clock++,
                                           .returned = HISTORY_OPEN};
    return h->count++;
}

void history_return(struct history *h, size_t op, enum history_end end, int64_t result)
{
    struct history_op *o = &h->ops[op];
    CHECK(op < h->count && o->returned == HISTORY_OPEN);
    o->end = end;
    if (end == HISTORY_UNKNOWN) return; /* As if it had no end: it may still happen. */
    o->returned = h->clock++;
    o->result = result;
}

void history_decree(struct history *h, size_t op, uint32_t partition, uint64_t decree)
{
    h->ops[op].partition = partition;
    h->ops[op].decree = decree;
}

int64_t history_apply(const struct history_op *op, int64_t *value)
{
    int64_t before = *value;
    switch (op->type) {
    case HISTORY_GET: return before;
    case HISTORY_PUT: *value = op->a; return 0;
    case HISTORY_DEL: *value = HISTORY_ABSENT; return 0;
    case HISTORY_INCR:
        *value = (int64_t)((uint64_t)(before == HISTORY_ABSENT ? 0 : before) + (uint64_t)op->a);
        return *value;
    case HISTORY_CAS:
        if (before == op->a) *value = op->b;
        return before;
    }
    return 0;
}

static const char *number(int64_t value, char text[32])
{
    if (value == HISTORY_ABSENT) return "absent";
    (void)snprintf(text, 32, "%" PRId64, value);
    return text;
}

int history_print(const struct history_op *op, char *text, size_t size)
{
    static const char *const names[] = {"get", "put", "del", "incr", "cas"};
    char a[32], b[32], result[32], returned[32] = "...";
    if (op->returned != HISTORY_OPEN)
        (void)snprintf(returned, sizeof returned, "%" PRIu64, op->returned);
    int used = snprintf(text, size, "[%5" PRIu64 ", %5s] client %" PRIu32 ": %s", op->invoked,
                        returned, op->client, names[op->type]);
    if (used < 0 || (size_t)used >= size) return used;
    const char *end = op->end == HISTORY_DONE ? number(op->result, result) : "?";
    bool has_a = op->type != HISTORY_GET && op->type != HISTORY_DEL;
    int more = snprintf(text + used, size - (size_t)used, "(%s%s%s) = %s",
                        has_a ? number(op->a, a) : "", op->type == HISTORY_CAS ? ", " : "",
                        op->type == HISTORY_CAS ? number(op->b, b) : "", end);
    return more < 0 ? more : used + more;
}
