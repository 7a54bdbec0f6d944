/* src/base/bytes.h: integers to bytes and back, in both orders. "be" is the order of the network and
 * of keys, "le" that of our files and of the native framing. Nothing here checks a length: the caller
 * has. */
#pragma once
#include <stdint.h>
#include <string.h>

#define BYTES_DEFINE(width, swap_be, swap_le)                                                      \
    static inline void bytes_put_be##width(void *to, uint##width##_t value)                        \
    {                                                                                              \
        value = swap_be(value);                                                                    \
        memcpy(to, &value, sizeof value);                                                          \
    }                                                                                              \
    static inline uint##width##_t bytes_get_be##width(const void *from)                            \
    {                                                                                              \
        uint##width##_t value;                                                                     \
        memcpy(&value, from, sizeof value);                                                        \
        return swap_be(value);                                                                     \
    }                                                                                              \
    static inline void bytes_put_le##width(void *to, uint##width##_t value)                        \
    {                                                                                              \
        value = swap_le(value);                                                                    \
        memcpy(to, &value, sizeof value);                                                          \
    }                                                                                              \
    static inline uint##width##_t bytes_get_le##width(const void *from)                            \
    {                                                                                              \
        uint##width##_t value;                                                                     \
        memcpy(&value, from, sizeof value);                                                        \
        return swap_le(value);                                                                     \
    }

#define BYTES_SAME(value) (value)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
BYTES_DEFINE(16, __builtin_bswap16, BYTES_SAME)
BYTES_DEFINE(32, __builtin_bswap32, BYTES_SAME)
BYTES_DEFINE(64, __builtin_bswap64, BYTES_SAME)
#else
BYTES_DEFINE(16, BYTES_SAME, __builtin_bswap16)
BYTES_DEFINE(32, BYTES_SAME, __builtin_bswap32)
BYTES_DEFINE(64, BYTES_SAME, __builtin_bswap64)
#endif
#undef BYTES_DEFINE
#undef BYTES_SAME
