/* fuzz/fz_thrift.c: bytes as any message that we have. What is read, written and read again is the
 * same; what a client on THFT would be sent of it, it could read.
 *
 * The first byte chooses the message. */
#include "base/arena.h"
#include "base/check.h"
#include "wire/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_WORDS = 64, ARENA_LIMIT = 8 << 20 };

struct any_message {
    uint64_t words[MESSAGE_WORDS];
};

static void read_again(struct slice bytes, const struct schema *schema, struct any_message *out,
                       struct arena *arena)
{
    CHECK(thrift_read_args(bytes, schema, out, arena) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    const struct schema *schema = message_schemas[data[0] % message_schema_count];
    struct any_message first, second;
    CHECK(schema->size <= sizeof first);
    struct arena arena = {.limit = ARENA_LIMIT};
    struct arena later = {0}; /* What was read once can be read again. */
    struct buf once = {0}, twice = {0}, text = {0};
    if (thrift_read_args(slice_of(data + 1, size - 1), schema, &first, &arena) == 0) {
        thrift_write_args(&once, 1, schema, &first);
        read_again(buf_slice(&once), schema, &second, &later);
        thrift_write_args(&twice, 1, schema, &second);
        CHECK(slice_equal(buf_slice(&once), buf_slice(&twice)));

        buf_clear(&twice);
        thrift_write_result(&twice, THRIFT_THFT, schema, &first);
        read_again(buf_slice(&twice), schema, &second, &later);
        thrift_print(&text, schema, &second);
        CHECK(buf_status(&text) == 0);
    }
    arena_fini(&arena);
    arena_fini(&later);
    buf_fini(&once);
    buf_fini(&twice);
    buf_fini(&text);
    return 0;
}
