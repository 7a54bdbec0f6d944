/* src/kv/number.h: integers as clients keep them in values: text.
 *
 * Reading is that of C's strtoll with base 0 over the whole value: white space in front, a sign, 0x for
 * hexadecimal, 0 for octal; any other byte, at the end too, makes it no number. Pure. */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { KV_NUMBER_SIZE = 20 }; /* "-9223372036854775808" */

/* Returns 0, or E_INVALID: not a number, or not one of 64 bits; then 'out' is untouched. */
int kv_number_read(struct slice text, int64_t *out) MUST_CHECK;

/* Fill 'to', which has room for KV_NUMBER_SIZE bytes, with plain decimal text, and return its size. */
size_t kv_number_write(int64_t number, uint8_t *to);
