/* fuzz/fz_dup.c: the body of a DUPLICATE, from a cluster that means no good. It must be decided the same
 * however often it is sent: the second time nothing is news. Ops that it made are turned into entries
 * again, and those into the same ops. */
#include "kv/dup_entry.h"
#include "kv_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct kv_partition partition_of(uint8_t cluster_id)
{
    struct kv_partition p = kv_partition_default();
    p.cluster_id = cluster_id;
    p.sources.are_all_accepted = true;
    return p;
}

/* A third cluster, which has nothing, takes what 'm' says and does the same. */
static void ship_on(const struct mutation *m, const struct kv_context *c)
{
    struct buf body = {0}, ops = {0};
    size_t offset = kv_dup_request_begin(&body);
    struct slice rest = m->ops;
    struct mutation_op op;
    while (mutation_op_next(&rest, &op)) kv_dup_entry_append(&body, &op);
    struct duplicate_request fields = {0};
    kv_dup_request_finish(&body, offset, m->op_count, &fields);
    CHECK(buf_status(&body) == 0);

    struct arena arena = {0};
    struct kv_write w;
    struct kv_rows_view rows = {.view.lookup = kv_rows_lookup};
    struct mutation again;
    CHECK(kv_write_read(&w, RPC_DUPLICATE, buf_slice(&body), &arena) == 0);
    if (kv_rows_decide(&rows, &w, c, &ops, &again) == 0) CHECK(slice_equal(again.ops, m->ops));
    buf_fini(&body);
    buf_fini(&ops);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {.limit = 64 << 20};
    struct kv_write w;
    struct buf first = {0}, second = {0};
    if (kv_write_read(&w, RPC_DUPLICATE, slice_of(data, size), &arena) == 0) {
        struct kv_partition here = partition_of(1), there = partition_of(127);
        struct kv_context c = {&here, KV_ROWS_NOW_S, 1700000000000000, 0, NULL, NULL};
        struct kv_rows_view rows = {.view.lookup = kv_rows_lookup};
        struct mutation m, none;
        int rc = kv_rows_decide(&rows, &w, &c, &first, &m);
        CHECK(rc == 0 || rc == E_REFUSED);
        CHECK(w.status != RRDB_INVALID_ARGUMENT); /* It would end a Pegasus server. */
        kv_rows_apply(&rows, &m);
        CHECK(kv_rows_decide(&rows, &w, &c, &second, &none) == rc);
        if (m.op_count <= KV_ROWS_MAX) CHECK(none.op_count == 0);
        c.partition = &there;
        ship_on(&m, &c);
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
    return 0;
}
