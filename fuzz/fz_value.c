/* fuzz/fz_value.c: stored keys and values as they might come back from a damaged store. */
#include "base/buf.h"
#include "base/check.h"
#include "wire/key.h"
#include "wire/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key that can be split is made of its parts, and its successor is behind all that begin with it.
 * */
static void fuzz_key(struct slice raw)
{
    struct key_parts parts;
    struct buf b = {0};
    if (key_split(raw, &parts) == 0) {
        key_append(&b, parts.hash_key, parts.sort_key);
        CHECK(slice_equal(buf_slice(&b), raw));
        CHECK(key_hash(raw) == key_parts_hash(parts.hash_key, parts.sort_key));
    } else {
        CHECK(key_hash(raw) == 0);
    }
    buf_clear(&b);
    buf_append_slice(&b, raw);
    key_successor(&b);
    if (b.size > 0) {
        CHECK(slice_compare(buf_slice(&b), raw) > 0 && b.size <= raw.size);
        CHECK(!slice_has_prefix(buf_slice(&b), raw));
    }
    buf_fini(&b);
}

static void fuzz_value(struct slice stored)
{
    struct value_head head;
    struct slice data;
    int rc = value_split(stored, &head, &data);
    CHECK((rc == 0) == (stored.size >= VALUE_HEAD_SIZE));
    if (rc != 0) return;
    uint8_t again[VALUE_HEAD_SIZE];
    value_head_write(again, head);
    CHECK(memcmp(again, stored.data, VALUE_HEAD_SIZE) == 0);
    CHECK(data.size == stored.size - VALUE_HEAD_SIZE);
    uint64_t timetag =
        timetag_make(timetag_timestamp_us(head.timetag), timetag_cluster_id(head.timetag),
                     timetag_is_deleted(head.timetag));
    CHECK(timetag == head.timetag);
    if (value_is_expired(head, 1000)) CHECK(value_is_expired(head, 1001));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_key(slice_of(data, size));
    fuzz_value(slice_of(data, size));
    return 0;
}
