/* sim/check/order.c: sort by decree, replay, and place the reads. */
#include "sim/check/order.h"

#include <inttypes.h>
#include <stdarg.h>

#include "sim/check/grow.h"

/* One key: its writes in the order of decrees with the value after each, and its reads. */
struct row {
    const struct history_op *op;
    int64_t value; /* After it; rows[0] is the beginning and has no op. */
};

struct scan {
    struct report *report;
    const struct history_op **ops; /* Of the key, by the time of their end. */
    size_t count;
    struct row *rows;
    size_t row_count, row_capacity;
};

static enum verdict broken(struct report *report, const struct history_op *op, const char *format,
                           ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(report->text, sizeof report->text, format, args);
    va_end(args);
    if (op != NULL && used >= 0 && (size_t)used < sizeof report->text)
        (void)history_print(op, report->text + used, sizeof report->text - (size_t)used);
    return VERDICT_BROKEN;
}

static bool is_write(const struct history_op *op)
{
    return op->decree != 0 && op->end != HISTORY_FAILED;
}

/* It says what the value was, and left it so. */
static bool is_read(const struct history_op *op)
{
    if (op->end != HISTORY_DONE || op->decree != 0) return false;
    return op->type == HISTORY_GET || (op->type == HISTORY_CAS && op->result != op->a);
}

/* ---- B0, B1 ---- */

static enum verdict check_presence(const struct history *h, struct report *report)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct history_op *op = &h->ops[i];
        if (op->end == HISTORY_DONE && op->decree == 0 && !is_read(op))
            return broken(report, op, "acknowledged, but in no decree: ");
    }
    return VERDICT_OK;
}

static int compare_decrees(const void *a, const void *b)
{
    const struct history_op *const *x = a, *const *y = b;
    if ((*x)->partition != (*y)->partition) return (*x)->partition < (*y)->partition ? -1 : 1;
    return ((*x)->decree > (*y)->decree) - ((*x)->decree < (*y)->decree);
}

/* From the highest decree down: nothing above may have ended before this one began. */
static enum verdict check_real_time(const struct history_op **writes, size_t count,
                                    struct report *report)
{
    const struct history_op *first_end = NULL; /* Of higher decrees in the same partition. */
    for (size_t end = count; end > 0;) {
        size_t begin = end;
        while (begin > 0 && compare_decrees(&writes[begin - 1], &writes[end - 1]) == 0) begin--;
        bool is_last = end == count || writes[end]->partition != writes[end - 1]->partition;
        if (is_last) first_end = NULL;
        for (size_t i = begin; i < end; i++)
            if (first_end != NULL && first_end->returned < writes[i]->invoked)
                return broken(report, writes[i],
                              "partition %" PRIu32 ": decree %" PRIu64
                              " ended before decree %" PRIu64 " began: ",
                              writes[i]->partition, first_end->decree, writes[i]->decree);
        for (size_t i = begin; i < end; i++)
            if (first_end == NULL || writes[i]->returned < first_end->returned)
                first_end = writes[i];
        end = begin;
    }
    return VERDICT_OK;
}

/* ---- B2 ---- */

static bool is_answer_right(const struct history_op *op, int64_t result)
{
    bool has_result = op->type == HISTORY_INCR || op->type == HISTORY_CAS;
    return op->end != HISTORY_DONE || !has_result || op->result == result;
}

static void row_add(struct scan *s, const struct history_op *op, int64_t value)
{
    s->rows = grow(s->rows, s->row_count, &s->row_capacity, sizeof *s->rows);
    s->rows[s->row_count++] = (struct row){op, value};
}

static enum verdict replay(struct scan *s, const struct history_op **writes, size_t count)
{
    int64_t value = HISTORY_ABSENT;
    s->row_count = 0;
    row_add(s, NULL, value);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_decrees(&writes[i - 1], &writes[i]) == 0)
            return broken(s->report, writes[i],
                          "decree %" PRIu64 " twice on one key: ", writes[i]->decree);
        int64_t result = history_apply(writes[i], &value);
        if (!is_answer_right(writes[i], result))
            return broken(s->report, writes[i],
                          "decree %" PRIu64 " should have answered %" PRId64 ": ",
                          writes[i]->decree, result);
        row_add(s, writes[i], value);
    }
    return VERDICT_OK;
}

/* ---- B3 ---- */

/* The row of a write. */
static size_t row_of(const struct scan *s, const struct history_op *op)
{
    size_t begin = 1, end = s->row_count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (s->rows[middle].op->decree < op->decree) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

static int compare_returns(const void *a, const void *b)
{
    const struct history_op *const *x = a, *const *y = b;
    return ((*x)->returned > (*y)->returned) - ((*x)->returned < (*y)->returned);
}

/* The earliest row, from 'low' on, that shows what the read saw: the earliest binds later reads
 * least. Returns row_count when there is none. */
static size_t place(const struct scan *s, const struct history_op *read, size_t low)
{
    for (size_t i = low; i < s->row_count; i++) {
        const struct history_op *write = s->rows[i].op;
        if (write != NULL && write->invoked > read->returned) break; /* Nor can what follows it. */
        if (s->rows[i].value == read->result) return i;
    }
    return s->row_count;
}

/* How many of the operations, which are in the order of their ends, had ended by that time. */
static size_t ended_by(const struct scan *s, uint64_t at)
{
    size_t begin = 0, end = s->count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        if (s->ops[middle]->returned < at) begin = middle + 1;
        else end = middle;
    }
    return begin;
}

/* Which row an operation shows at its end: 0 for none, row_count for a read that nothing
 * explains. */
static size_t row_shown(const struct scan *s, const struct history_op *op, const size_t *known)
{
    if (op->end != HISTORY_DONE) return 0;
    if (is_write(op)) return row_of(s, op);
    return is_read(op) ? place(s, op, known[ended_by(s, op->invoked)]) : 0;
}

static enum verdict place_reads(struct scan *s)
{
    enum verdict verdict = VERDICT_OK;
    size_t *known = calloc(s->count + 1, sizeof *known); /* The highest row after so many ends. */
    CHECK(known != NULL);
    for (size_t i = 0; i < s->count && verdict == VERDICT_OK; i++) {
        size_t row = row_shown(s, s->ops[i], known);
        if (row == s->row_count) {
            const struct history_op *last = s->rows[known[ended_by(s, s->ops[i]->invoked)]].op;
            verdict = broken(s->report, s->ops[i],
                             "no state from decree %" PRIu64 " on explains what was read: ",
                             last == NULL ? 0 : last->decree);
        }
        known[i + 1] = row > known[i] ? row : known[i];
    }
    free(known);
    return verdict;
}

/* ---- The whole ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct history_op *const *x = a, *const *y = b;
    if ((*x)->key != (*y)->key) return (*x)->key < (*y)->key ? -1 : 1;
    return compare_returns(a, b);
}

static enum verdict check_keys(const struct history_op **ops, size_t count, struct report *report)
{
    struct scan s = {.report = report};
    enum verdict verdict = VERDICT_OK;
    const struct history_op **writes = malloc((count + 1) * sizeof *writes);
    CHECK(writes != NULL);
    qsort(ops, count, sizeof *ops, compare_keys);
    for (size_t begin = 0, end; begin < count && verdict == VERDICT_OK; begin = end) {
        size_t write_count = 0;
        for (end = begin; end < count && ops[end]->key == ops[begin]->key; end++)
            if (is_write(ops[end])) writes[write_count++] = ops[end];
        qsort(writes, write_count, sizeof *writes, compare_decrees);
        s.ops = ops + begin;
        s.count = end - begin;
        verdict = replay(&s, writes, write_count);
        if (verdict == VERDICT_OK) verdict = place_reads(&s);
    }
    free(writes);
    free(s.rows);
    return verdict;
}

enum verdict check_order(const struct history *h, struct report *report)
{
    const struct history_op **ops = malloc((h->count + 1) * sizeof *ops);
    size_t count = 0;
    CHECK(ops != NULL);
    for (size_t i = 0; i < h->count; i++)
        if (is_write(&h->ops[i])) ops[count++] = &h->ops[i];
    qsort(ops, count, sizeof *ops, compare_decrees);
    enum verdict verdict = check_presence(h, report);
    if (verdict == VERDICT_OK) verdict = check_real_time(ops, count, report);
    for (size_t i = 0; i < h->count; i++) ops[i] = &h->ops[i];
    if (verdict == VERDICT_OK) verdict = check_keys(ops, h->count, report);
    free(ops);
    return verdict;
}
