/* tests/wire/generate.h: any message at all, from a seed: edges of every number, bytes that are no
 * text, empty and full lists, optional fields there and not. */
#pragma once
#include "base/arena.h"
#include "base/prng.h"
#include "wire/thrift.h"

/* Fill the struct at 'out', which 'schema' describes. Bytes and items come from 'arena'. */
void generate_message(struct prng *p, struct arena *arena, const struct schema *schema, void *out);
