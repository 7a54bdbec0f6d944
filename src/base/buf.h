/* src/base/buf.h: bytes that grow at the end. What writers write into.
 *
 * A failed allocation is remembered: the buffer keeps what it had, every later append does nothing,
 * and 'failed' stays set. So an encoder appends field after field and asks once, at the end. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t size;     /* Bytes written. */
    size_t capacity; /* Bytes there is room for. */
    bool failed;     /* An append did not find memory. */
};

/* An all-zero 'struct buf' is a valid empty one. */
void buf_fini(struct buf *b);

/* Forget the content, keep the memory. Clears 'failed'. */
static inline void buf_clear(struct buf *b)
{
    b->size = 0;
    b->failed = false;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data, b->size);
}

/* Make room for 'size' more bytes. Returns 0 or E_NOMEM (and 'failed' is set). */
int buf_reserve(struct buf *b, size_t size);

/* Room for 'size' bytes at the end, already counted in; NULL when there is no memory. */
static inline uint8_t *buf_extend(struct buf *b, size_t size)
{
    if (b->failed || (b->capacity - b->size < size && buf_reserve(b, size) != 0)) return NULL;
    uint8_t *at = b->data + b->size;
    b->size += size;
    return at;
}

static inline void buf_append(struct buf *b, const void *data, size_t size)
{
    if (size == 0) return; /* 'data' may be NULL then, and so may the buffer's own. */
    uint8_t *at = buf_extend(b, size);
    if (at != NULL) memcpy(at, data, size);
}

static inline void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.data, s.size);
}

static inline void buf_append_str(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

/* Append as printf does, without a NUL. */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void buf_append_u8(struct buf *b, uint8_t value)
{
    buf_append(b, &value, 1);
}

#define BUF_DEFINE(order, width)                                                                   \
    static inline void buf_append_##order##width(struct buf *b, uint##width##_t value)             \
    {                                                                                              \
        uint8_t *at = buf_extend(b, sizeof value);                                                 \
        if (at != NULL) bytes_put_##order##width(at, value);                                       \
    }
BUF_DEFINE(be, 16)
BUF_DEFINE(be, 32)
BUF_DEFINE(be, 64)
BUF_DEFINE(le, 16)
BUF_DEFINE(le, 32)
BUF_DEFINE(le, 64)
#undef BUF_DEFINE

/* 0, or E_NOMEM when an append failed since the last clear. */
static inline int buf_status(const struct buf *b)
{
    return b->failed ? E_NOMEM : 0;
}

/* Drop the first 'size' bytes; the rest moves to the front. */
void buf_drop_front(struct buf *b, size_t size);
