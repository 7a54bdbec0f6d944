/* src/base/mem.c: malloc with a switch for its failure. The switch is per thread and costs one
 * predictable branch. */
#include "base/mem.h"

#include <stdlib.h>

static _Thread_local uint64_t fail_in; /* 0: never. 1: the next one. */
static _Thread_local int has_failed;

void mem_fail_nth(uint64_t nth)
{
    fail_in = nth;
    has_failed = 0;
}

int mem_has_failed(void)
{
    return has_failed;
}

static int fails_now(void)
{
    if (fail_in == 0 || --fail_in != 0) return 0;
    has_failed = 1;
    return 1;
}

void *mem_alloc(size_t size)
{
    return fails_now() ? NULL : malloc(size == 0 ? 1 : size);
}

void *mem_zalloc(size_t size)
{
    return fails_now() ? NULL : calloc(1, size == 0 ? 1 : size);
}

void *mem_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : realloc(old, size == 0 ? 1 : size);
}

void mem_free(void *memory)
{
    free(memory);
}
