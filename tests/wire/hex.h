/* tests/wire/hex.h: bytes written as people write them: "0c 00 01". Blanks are ignored. */
#pragma once
#include "base/slice.h"

enum { HEX_SIZE_MAX = 1024 };

struct hex {
    uint8_t bytes[HEX_SIZE_MAX];
    size_t size;
};

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline struct slice hex_read(struct hex *to, const char *text)
{
    to->size = 0;
    for (int high = -1; *text != 0 && to->size < HEX_SIZE_MAX; text++) {
        int digit = hex_digit(*text);
        if (digit < 0) continue;
        if (high < 0) {
            high = digit;
        } else {
            to->bytes[to->size++] = (uint8_t)(high << 4 | digit);
            high = -1;
        }
    }
    return slice_of(to->bytes, to->size);
}
