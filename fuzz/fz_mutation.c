/* fuzz/fz_mutation.c: bytes as a mutation of the log. One that is accepted can be walked without
 * checks, and made again from its ops byte for byte. */
#include "base/check.h"
#include "wire/mutation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mutation m;
    if (mutation_read(slice_of(data, size), &m) != 0) return 0;
    struct buf again = {0};
    struct mutation_op op;
    uint32_t count = 0;
    size_t offset = mutation_begin(&again);
    while (mutation_op_next(&m.ops, &op)) {
        mutation_add(&again, &op);
        count++;
    }
    CHECK(count == m.op_count);
    CHECK(mutation_finish(&again, offset, m.decree, m.ballot, m.timestamp_us) == 0);
    CHECK(slice_equal(buf_slice(&again), slice_of(data, size)));
    buf_fini(&again);
    return 0;
}
