/* src/cli/verify.c: from sums to the first key that differs. */
#include "cli/verify.h"

#include <stdlib.h>

enum {
    COARSE_BITS = 8,
    FINE_BITS = 16,
    DIGEST_TIMEOUT_MS = 120000, /* It reads the whole table. */
};

/* The sums of one side. */
struct sums {
    uint64_t *counts, *digests; /* 1 << bits of each. */
    uint64_t total;
};

/* Ask every partition of a side the same; the answers are in 'r'. */
static int ask_side(const struct verify_side *side, const struct digest_request *asked,
                    struct arena *arena, struct client_round *r, struct err *e)
{
    int rc =
        client_round_init(r, side->client, side->table, RPC_DIGEST, DIGEST_TIMEOUT_MS, arena, e);
    struct digest_request *args = rc == 0 ? arena_array(arena, r->count, sizeof *args) : NULL;
    if (rc == 0 && args == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
        args[i] = *asked;
        args[i].pid = (struct gpid){r->app_id, (int32_t)i};
        r->questions[i].args = &args[i];
    }
    if (rc == 0) rc = client_round_ask(r, side->client, arena, e);
    for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
        const struct digest_response *answer = r->results[i];
        rc = client_check(answer->err, answer->hint, e);
    }
    if (rc == 0) return 0;
    return err_wrap(e, rc, "digest of %s at %s", side->table, client_metas(side->client));
}

static int ask_sums(const struct verify_side *side, uint32_t bits, struct arena *arena,
                    struct sums *out, struct err *e)
{
    struct digest_request asked = {.bucket_bits = (int32_t)bits, .bucket = -1};
    struct client_round r;
    uint32_t buckets = 1u << bits;
    int rc = ask_side(side, &asked, arena, &r, e);
    if (rc != 0) return rc;
    *out = (struct sums){.counts = arena_array(arena, buckets, sizeof *out->counts),
                         .digests = arena_array(arena, buckets, sizeof *out->digests)};
    if (out->counts == NULL || out->digests == NULL)
        return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < r.count; i++) {
        const struct digest_response *answer = r.results[i];
        if (answer->counts.count != buckets || answer->digests.count != buckets)
            return err_set(e, E_PROTO, "partition %u of %s sums otherwise than asked", i,
                           side->table);
        for (uint32_t b = 0; b < buckets; b++) {
            out->counts[b] += (uint64_t)answer->counts.items[b];
            out->digests[b] += (uint64_t)answer->digests.items[b];
            out->total += (uint64_t)answer->counts.items[b];
        }
    }
    return 0;
}

/* The first bucket of [begin, end) that differs; 'end': none. */
static uint32_t first_difference(const struct sums *a, const struct sums *b, uint32_t begin,
                                 uint32_t end)
{
    while (begin < end && a->counts[begin] == b->counts[begin] &&
           a->digests[begin] == b->digests[begin])
        begin++;
    return begin;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static int compare_rows(const void *a, const void *b)
{
    const struct digest_row *left = a, *right = b;
    return slice_compare(left->key, right->key);
}

static const struct digest_row_list *rows_of(const struct client_round *r, uint32_t partition)
{
    return &((const struct digest_response *)r->results[partition])->rows;
}

/* All rows of a bucket, sorted by key. */
static int ask_rows(const struct verify_side *side, uint32_t bucket, struct arena *arena,
                    struct digest_row_list *out, struct err *e)
{
    struct digest_request asked = {.bucket_bits = FINE_BITS, .bucket = (int32_t)bucket};
    struct client_round r;
    size_t total = 0;
    int rc = ask_side(side, &asked, arena, &r, e);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < r.count; i++) total += rows_of(&r, i)->count;
    *out = (struct digest_row_list){.items = arena_array(arena, total + 1, sizeof *out->items)};
    if (out->items == NULL) return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < r.count; i++)
        for (uint32_t k = 0; k < rows_of(&r, i)->count; k++)
            out->items[out->count++] = rows_of(&r, i)->items[k];
    qsort(out->items, out->count, sizeof *out->items, compare_rows);
    return 0;
}

/* How the two rows of one key differ. */
static const char *difference(const struct digest_row *source, const struct digest_row *remote)
{
    if (source->timetag > remote->timetag) return "is newer at the source";
    if (source->timetag < remote->timetag) return "is newer at the remote";
    return "has the same timetag but another value or expiry";
}

/* Walk both lists side by side to the first key where they part. */
static void compare_lists(const struct digest_row_list *source,
                          const struct digest_row_list *remote, struct verify_result *out)
{
    uint32_t i = 0;
    for (; i < source->count && i < remote->count; i++) {
        const struct digest_row *s = &source->items[i], *r = &remote->items[i];
        int order = slice_compare(s->key, r->key);
        if (order == 0 && s->digest == r->digest && s->timetag == r->timetag) continue;
        out->key = order <= 0 ? s->key : r->key;
        out->how = order < 0   ? "is missing at the remote"
                   : order > 0 ? "is there only at the remote"
                               : difference(s, r);
        return;
    }
    if (i < source->count || i < remote->count) {
        bool is_missing = i < source->count;
        out->key = is_missing ? source->items[i].key : remote->items[i].key;
        out->how = is_missing ? "is missing at the remote" : "is there only at the remote";
        return;
    }
    out->how = "was gone when it was looked for: writes are in flight";
}

/* ---- Altogether ------------------------------------------------------------------------------ */

/* The key that differs, somewhere in the coarse bucket. */
static int find_key(const struct verify_side *source, const struct verify_side *remote,
                    uint32_t coarse, struct arena *arena, struct verify_result *out, struct err *e)
{
    struct sums a, b;
    struct digest_row_list rows_a = {0}, rows_b = {0};
    uint32_t begin = coarse << (FINE_BITS - COARSE_BITS);
    uint32_t end = (coarse + 1) << (FINE_BITS - COARSE_BITS);
    int rc = ask_sums(source, FINE_BITS, arena, &a, e);
    if (rc == 0) rc = ask_sums(remote, FINE_BITS, arena, &b, e);
    if (rc != 0) return rc;
    uint32_t bucket = first_difference(&a, &b, begin, end);
    if (bucket < end) {
        rc = ask_rows(source, bucket, arena, &rows_a, e);
        if (rc == 0) rc = ask_rows(remote, bucket, arena, &rows_b, e);
    }
    if (rc == 0) compare_lists(&rows_a, &rows_b, out);
    return rc;
}

int verify(const struct verify_side *source, const struct verify_side *remote, struct arena *arena,
           struct verify_result *out, struct err *e)
{
    struct sums a, b;
    *out = (struct verify_result){.how = ""};
    int rc = ask_sums(source, COARSE_BITS, arena, &a, e);
    if (rc == 0) rc = ask_sums(remote, COARSE_BITS, arena, &b, e);
    if (rc != 0) return rc;
    uint32_t bucket = first_difference(&a, &b, 0, 1u << COARSE_BITS);
    out->source_count = a.total;
    out->remote_count = b.total;
    out->is_equal = bucket == 1u << COARSE_BITS;
    return out->is_equal ? 0 : find_key(source, remote, bucket, arena, out, e);
}
