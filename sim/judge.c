/* sim/judge.c: finding the ends of operations that nobody was told of, and asking the checkers. */
#include "sim/judge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/check/linear.h"
#include "sim/check/order.h"
#include "wire/key.h"

enum { ASK_MS = 20000, BATCH = 100 };

/* ---- B: ends found in the log -------------------------------------------------------------------- */

/* One committed write of a key of the history. */
struct write {
    uint32_t key, partition;
    uint64_t decree;
    int64_t value, before; /* HISTORY_ABSENT: deleted. */
    bool is_owned;         /* An operation of the history claims it. */
};

struct writes {
    struct write *items;
    size_t count, capacity;
};

static int64_t number_of(const struct mutation_op *op)
{
    char text[32];
    if (timetag_is_deleted(op->timetag) || op->data.size >= sizeof text) return HISTORY_ABSENT;
    memcpy(text, op->data.data, op->data.size);
    text[op->data.size] = '\0';
    return strtoll(text, NULL, 10);
}

static void writes_add(struct writes *w, struct write write)
{
    if (w->count == w->capacity) {
        w->capacity = w->capacity == 0 ? 256 : w->capacity * 2;
        w->items = realloc(w->items, w->capacity * sizeof *w->items);
        CHECK(w->items != NULL);
    }
    w->items[w->count++] = write;
}

/* All writes of the history's keys, each partition's in the order of its decrees. A key lives in one
 * partition. */
static void writes_collect(struct writes *w, struct ghost *g, const struct history *h)
{
    int64_t *values = malloc((h->keys.count + 1) * sizeof *values);
    CHECK(values != NULL);
    for (size_t i = 0; i < h->keys.count; i++) values[i] = HISTORY_ABSENT;
    for (uint32_t p = 0; p < GHOST_PARTITIONS_MAX; p++)
        for (uint64_t d = 1; d <= g->partitions[p].committed; d++) {
            struct mutation m;
            struct mutation_op op;
            CHECK(mutation_read(ghost_mutation(g, p, d)->bytes, &m) == 0);
            while (mutation_op_next(&m.ops, &op)) {
                int64_t key = keys_find(&h->keys, op.key);
                if (key < 0) continue;
                int64_t value = number_of(&op);
                writes_add(w, (struct write){(uint32_t)key, p, d, value, values[key], false});
                values[key] = value;
            }
        }
    free(values);
}

static bool explains(const struct history_op *op, const struct write *w)
{
    if (w->is_owned || op->key != w->key) return false;
    int64_t value = w->before;
    (void)history_apply(op, &value);
    bool is_unchanged_cas = op->type == HISTORY_CAS && w->before != op->a;
    return value == w->value && !is_unchanged_cas;
}

/* Give every write that has a known decree to its operation, then the rest to those without an end:
 * to the earliest that explains it. */
static void writes_own(struct writes *w, struct history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        const struct history_op *op = &h->ops[i];
        for (size_t k = 0; op->decree != 0 && k < w->count; k++)
            if (w->items[k].decree == op->decree && w->items[k].partition == op->partition &&
                w->items[k].key == op->key)
                w->items[k].is_owned = true;
    }
    for (size_t i = 0; i < h->count; i++) {
        struct history_op *op = &h->ops[i];
        if (op->end != HISTORY_UNKNOWN || op->type == HISTORY_GET) continue;
        for (size_t k = 0; k < w->count; k++) {
            if (!explains(op, &w->items[k])) continue;
            w->items[k].is_owned = true;
            history_decree(h, i, w->items[k].partition, w->items[k].decree);
            break;
        }
    }
}

static enum verdict judge_order(struct linked *l, int side, struct report *report)
{
    struct history *h = &l->loads[side]->history;
    struct writes w = {0};
    writes_collect(&w, &l->invariants->sides[side].ghost, h);
    writes_own(&w, h);
    free(w.items);
    return check_order(h, report);
}

/* ---- D: everything read back --------------------------------------------------------------------- */

static bool is_insert_of(struct slice hash_key, int side)
{
    char prefix[16];
    size_t size = (size_t)snprintf(prefix, sizeof prefix, "insert%d.", side);
    return hash_key.size > size && memcmp(hash_key.data, prefix, size) == 0;
}

static enum verdict take(struct linked *l, int of, const struct scan_response *page,
                         struct report *report)
{
    for (uint32_t i = 0; i < page->kvs.count; i++) {
        struct key_parts key;
        if (key_split(page->kvs.items[i].key, &key) != 0 || !is_insert_of(key.hash_key, of))
            continue;
        enum verdict verdict = sets_found(&l->loads[of]->inserts, key.hash_key, report);
        if (verdict != VERDICT_OK) return verdict;
    }
    return VERDICT_OK;
}

static enum verdict fail(struct report *report, const char *what, int rc)
{
    (void)snprintf(report->text, sizeof report->text, "%s: %s", what, err_text(rc));
    return VERDICT_BROKEN;
}

/* Read a partition of 'side' from end to end, and note what was inserted at 'of'. */
static enum verdict read_partition(struct linked *l, int side, int of, int32_t partition,
                                   struct report *report)
{
    struct get_scanner_request open = {.set = GET_SCANNER_REQUEST_HAS_FULL_SCAN,
                                       .start_key = slice_of("\0", 2),
                                       .stop_key = slice_of("\xff\xff", 2),
                                       .start_inclusive = true,
                                       .batch_size = BATCH,
                                       .full_scan = true};
    struct scan_request more = {0};
    struct sim_call call = {.rpc = RPC_GET_SCANNER,
                            .args = &open,
                            .partition = partition,
                            .is_to_partition = true,
                            .timeout_ms = ASK_MS};
    struct scan_response page;
    enum verdict verdict = VERDICT_OK;
    do {
        int rc = sim_ask(l->clients[side], &call, &page);
        verdict = rc != 0 || (page.error != RRDB_OK && page.error != RRDB_INCOMPLETE)
                      ? fail(report, "a scan of what is left failed", rc)
                      : take(l, of, &page, report);
        more.context_id = page.context_id;
        call.rpc = RPC_SCAN;
        call.args = &more;
    } while (verdict == VERDICT_OK && page.context_id >= 0);
    sim_call_fini(&call);
    return verdict;
}

static enum verdict judge_sets(struct linked *l, int side, int of, struct report *report)
{
    enum verdict verdict = VERDICT_OK;
    sets_forget_found(&l->loads[of]->inserts);
    for (uint32_t p = 0; p < l->partitions[side] && verdict == VERDICT_OK; p++)
        verdict = read_partition(l, side, of, (int32_t)p, report);
    return verdict == VERDICT_OK ? sets_check(&l->loads[of]->inserts, report) : verdict;
}

static enum verdict name(enum verdict verdict, const char *checker, int side, struct report *report)
{
    if (verdict == VERDICT_OK) return verdict;
    struct report before = *report;
    (void)snprintf(report->text, sizeof report->text, "checker %s, side %d%s: %.4000s", checker,
                   side, verdict == VERDICT_UNKNOWN ? " (too much to search)" : "", before.text);
    return verdict;
}

enum verdict judge_histories(struct linked *l, struct report *report)
{
    enum verdict verdict = VERDICT_OK;
    for (int i = 0; i < LINKED_SIDES && verdict == VERDICT_OK; i++) {
        verdict = name(judge_sets(l, i, 0, report), "D", i, report);
        if (verdict == VERDICT_OK) verdict = name(judge_sets(l, i, 1, report), "D", i, report);
    }
    for (int i = 0; i < LINKED_SIDES && verdict == VERDICT_OK; i++) {
        verdict = name(check_linear(&l->loads[i]->history, report), "A", i, report);
        if (verdict == VERDICT_OK) verdict = name(judge_order(l, i, report), "B", i, report);
    }
    return verdict;
}
