/* src/kv/apply.c: one row per op. */
#include "kv/apply.h"

#include "wire/value.h"

void kv_apply(struct store_batch *b, const struct mutation *m)
{
    struct slice ops = m->ops;
    struct mutation_op op;
    while (mutation_op_next(&ops, &op)) {
        uint8_t head[VALUE_HEAD_SIZE];
        value_head_write(head, (struct value_head){op.expire_ts, op.timetag});
#ifdef MUT_delete_without_tombstone
        if (timetag_is_deleted(op.timetag)) {
            store_batch_delete(b, op.key);
            continue;
        }
#endif
        store_batch_put(b, op.key, slice_of(head, sizeof head), op.data);
    }
}
