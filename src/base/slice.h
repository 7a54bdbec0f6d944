/* src/base/slice.h: a run of bytes that somebody else owns. Network, disk and keys travel as slices,
 * never as a bare 'char *'. A slice never owns: it lives as long as the memory it points into. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* May be NULL when size is 0. */
    size_t size;         /* Bytes. */
};

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){data, size};
}

/* The bytes of a C string, without its NUL. */
static inline struct slice slice_str(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_str(text));
}

/* Order of unsigned bytes, then of length: the order in which stores keep keys. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool slice_has_prefix(struct slice a, struct slice prefix)
{
    return a.size >= prefix.size &&
           (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

static inline bool slice_has_suffix(struct slice a, struct slice suffix)
{
    return a.size >= suffix.size && (suffix.size == 0 || memcmp(a.data + (a.size - suffix.size),
                                                                suffix.data, suffix.size) == 0);
}

/* The slice without its first 'size' bytes. The caller has checked that there are as many. */
static inline struct slice slice_skip(struct slice a, size_t size)
{
    return (struct slice){size == 0 ? a.data : a.data + size, a.size - size};
}
