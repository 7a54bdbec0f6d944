/* src/core/meta/env_throttle.h: the grammar of throttling variables. Included only in this room.
 *
 *     list    item [ "," item ]                  at most one delay and one reject
 *     item    size "*" ("delay" | "reject") "*" ms
 *     size    digits [ "K" | "M" ]               times 1024, times 1048576
 *     bucket  size | list                        a rate, or a list whose reject size is the rate
 *
 * Both say what is wrong in 'hint', in Pegasus's words. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

#define THROTTLE_LIMIT "<size[K|M]>*<delay|reject>*<milliseconds>, one or two of them"

bool throttle_list_is_valid(struct slice value, struct buf *hint);
bool throttle_bucket_is_valid(struct slice value, struct buf *hint);
