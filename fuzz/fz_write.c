/* fuzz/fz_write.c: the body of any write, decoded and decided twice: against nothing, and against what
 * it did the first time. The first byte says which rpc. */
#include "kv_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum rpc_code rpcs[] = {
    RPC_PUT,  RPC_REMOVE,        RPC_MULTI_PUT,        RPC_MULTI_REMOVE,
    RPC_INCR, RPC_CHECK_AND_SET, RPC_CHECK_AND_MUTATE, RPC_DUPLICATE,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    enum rpc_code rpc = rpcs[data[0] % (sizeof rpcs / sizeof rpcs[0])];
    struct arena arena = {.limit = 64 << 20};
    struct kv_write w;
    struct buf first = {0}, second = {0};
    if (kv_write_read(&w, rpc, slice_of(data + 1, size - 1), &arena) == 0) {
        struct kv_partition partition = kv_partition_default();
        partition.cluster_id = 1;
        partition.sources.are_all_accepted = true;
        partition.default_ttl_s = data[0] >> 3;
        struct kv_context c = {&partition, KV_ROWS_NOW_S, 1700000000000000, 0, NULL, NULL};
        struct kv_rows_view rows = {.view.lookup = kv_rows_lookup};
        struct mutation m;
        (void)kv_rows_decide(&rows, &w, &c, &first, &m);
        kv_rows_apply(&rows, &m);
        c.timestamp_us++;
        (void)kv_rows_decide(&rows, &w, &c, &second, &m);
    }
    buf_fini(&first);
    buf_fini(&second);
    arena_fini(&arena);
    return 0;
}
