/* fuzz/kv_rows.h: the little that a write is decided against: some rows in memory, some of them not
 * known at first. And what must hold of every decision, whatever the request was. */
#pragma once
#include "base/check.h"
#include "kv/write.h"
#include "wire/mutation.h"

enum { KV_ROWS_MAX = 64, KV_ROWS_NOW_S = 300000000 };

struct kv_rows_view {
    struct kv_view view;
    bool knows_all;                       /* False: keys of odd size need the disk. */
    struct mutation_op rows[KV_ROWS_MAX]; /* Borrowed from mutations that outlive this. */
    size_t count;
};

static inline int kv_rows_lookup(struct kv_view *view, struct slice key, struct kv_row *out)
{
    struct kv_rows_view *v = (struct kv_rows_view *)view;
    if (!v->knows_all && key.size % 2 == 1) return E_AGAIN;
    for (size_t i = v->count; i > 0; i--) {
        const struct mutation_op *op = &v->rows[i - 1];
        if (!slice_equal(op->key, key)) continue;
        *out = (struct kv_row){op->expire_ts, op->timetag, op->data};
        return 0;
    }
    return E_NOTFOUND;
}

static inline void kv_rows_apply(struct kv_rows_view *v, const struct mutation *m)
{
    struct slice ops = m->ops;
    while (v->count < KV_ROWS_MAX && mutation_op_next(&ops, &v->rows[v->count])) v->count++;
}

/* No two ops of one mutation have one key: a remote could not tell which came later. */
static inline void kv_rows_check_ops(const struct mutation *m)
{
    struct slice ops = m->ops;
    struct mutation_op op, other;
    for (int i = 0; i < KV_ROWS_MAX && mutation_op_next(&ops, &op); i++) {
        struct slice rest = ops;
        for (int j = 0; j < KV_ROWS_MAX && mutation_op_next(&rest, &other); j++)
            CHECK(!slice_equal(op.key, other.key));
    }
}

/* Decide the write, fetching what is missing; the mutation is in 'ops' and taken apart in '*m'. Its
 * answer can be encoded. Returns what the evaluation returned. */
static inline int kv_rows_decide(struct kv_rows_view *v, struct kv_write *w,
                                 const struct kv_context *c, struct buf *ops, struct mutation *m)
{
    buf_clear(ops);
    size_t offset = mutation_begin(ops);
    v->knows_all = false;
    int rc = kv_write_evaluate(w, c, &v->view, ops);
    if (rc == E_AGAIN) {
        size_t position = 0;
        struct slice key;
        CHECK(kv_write_missing_key(w, &position, &key));
        CHECK(!w->has_effects && ops->size == MUTATION_HEAD_SIZE);
        v->knows_all = true;
        rc = kv_write_evaluate(w, c, &v->view, ops);
        CHECK(rc != E_AGAIN);
    }
    CHECK(w->has_effects == (ops->size > MUTATION_HEAD_SIZE));
    CHECK(!w->has_effects || w->rpc == RPC_DUPLICATE || w->status == RRDB_OK);
    CHECK(mutation_finish(ops, offset, 1, 1, 1) == 0);
    CHECK(mutation_read(buf_slice(ops), m) == 0);
    kv_rows_check_ops(m);
    if (rc != 0) return rc;

    struct buf result = {0};
    struct kv_reply reply = kv_write_reply(w, c->partition, w->has_effects ? 1 : -1);
    thrift_write_result(&result, THRIFT_THFT, reply.schema, reply.body);
    CHECK(buf_status(&result) == 0);
    buf_fini(&result);
    return 0;
}
