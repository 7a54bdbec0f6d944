/* tests/wire/golden.h: the captured messages of tests/wire/golden, as bytes. */
#pragma once
#include <stdbool.h>

#include "base/slice.h"

enum { GOLDEN_MESSAGE_COUNT_MAX = 8, GOLDEN_SIZE_MAX = 16384 };

struct golden_message {
    bool is_request;
    uint8_t bytes[GOLDEN_SIZE_MAX];
    size_t size;
};

/* One file: a conversation of requests, each with its reply behind it. */
struct golden {
    char name[128];
    struct golden_message messages[GOLDEN_MESSAGE_COUNT_MAX];
    size_t count;
};

/* Call 'visit' for every file, in the order of their names. Returns how many there were. */
size_t golden_each(void (*visit)(struct golden *golden));

/* Load one file by its name; fails the test when it is not there. */
void golden_load(const char *name, struct golden *out);

static inline struct slice golden_bytes(const struct golden_message *message)
{
    return slice_of(message->bytes, message->size);
}
