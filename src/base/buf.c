/* src/base/buf.c: growth by doubling, so that n appends cost O(n). */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

enum { BUF_CAPACITY_MIN = 64 };

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){0};
}

int buf_reserve(struct buf *b, size_t size)
{
    if (b->capacity - b->size >= size) return 0;
    size_t capacity = b->capacity < BUF_CAPACITY_MIN ? BUF_CAPACITY_MIN : b->capacity;
    while (capacity - b->size < size) {
        if (capacity > SIZE_MAX / 2) goto failed;
        capacity *= 2;
    }
    uint8_t *data = mem_realloc(b->data, capacity);
    if (data == NULL) goto failed;
    b->data = data;
    b->capacity = capacity;
    return 0;
failed:
    b->failed = true;
    return E_NOMEM;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size >= 0 && !b->failed && buf_reserve(b, (size_t)size + 1) == 0) {
        (void)vsnprintf((char *)b->data + b->size, (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
}

void buf_drop_front(struct buf *b, size_t size)
{
    CHECK(size <= b->size);
    if (size == 0) return;
    memmove(b->data, b->data + size, b->size - size);
    b->size -= size;
}
