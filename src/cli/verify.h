/* src/cli/verify.h: are two tables equal, said by digests; and if not, the first key that differs.
 *
 *     256 sums of each side -> a bucket that differs -> its 256 parts -> the rows of one part
 *
 * Sums are over all partitions of a side, so that partition counts may differ (src/kv/digest.h). */
#pragma once
#include "client/round.h"

struct verify_side {
    struct client *client;
    const char *table;
};

struct verify_result {
    bool is_equal;
    uint64_t source_count, remote_count; /* Live records. */
    /* If not equal, the first difference found; the key is a raw one (wire/key.h), its bytes in the
     * arena. Empty key: it was gone when it was looked for. */
    struct slice key;
    const char *how;
};

/* Returns 0, or why it could not be found out. */
int verify(const struct verify_side *source, const struct verify_side *remote, struct arena *arena,
           struct verify_result *out, struct err *e) MUST_CHECK;
