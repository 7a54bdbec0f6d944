/* src/base/mem.h: the allocator of the pure rooms, which a test can tell to fail.
 *
 * The cores take all their memory here, so that a test walks every failure: fail the nth allocation
 * for n = 1, 2, ... until a run completes (tests/base/fail_nth.h). A failed allocation rejects one
 * request; it never damages state. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* As malloc, calloc, realloc and free. 'mem_free' accepts NULL. A size of 0 gives a unique pointer. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t size);
void *mem_realloc(void *old, size_t size);
void mem_free(void *memory);

/* Test only: let the nth allocation of this thread from now on fail, once. 0: none. */
void mem_fail_nth(uint64_t nth);

/* Test only: true if the failure asked for has happened. */
int mem_has_failed(void);
