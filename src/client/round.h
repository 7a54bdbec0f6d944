/* src/client/round.h: one question to every partition of a table, all at the same time; and the one
 * that is asked so by programs too: is everything there (dup wait)?
 *
 * Not on the loop. Errors are those of client_ask(); 'e' says them in words. */
#pragma once
#include "client/client.h"

struct client_round {
    uint32_t count; /* Of partitions. */
    int32_t app_id;
    struct client_question *questions; /* One each; set 'args' before asking. */
    void **results;                    /* Of the rpc's response type; filled where rcs[i] is 0. */
    int *rcs;
};

/* Ask the metas for the partitions of 'table' and make ready; all of it lies in 'arena'. */
int client_round_init(struct client_round *r, struct client *client, const char *table,
                      enum rpc_code rpc, uint32_t timeout_ms, struct arena *arena,
                      struct err *e) MUST_CHECK;

/* Ask all. Returns 0 if all have answered, or the first rc that is not. */
int client_round_ask(struct client_round *r, struct client *client, struct arena *arena,
                     struct err *e) MUST_CHECK;

/* ---- dup wait -------------------------------------------------------------------------------- */

struct client_dup_wait {
    uint32_t partition_count;
    uint32_t late_count;
    char late[256]; /* Which partitions, in words, cut if need be: "0, 3, 7". */
};

/* Wait until everything in the table that was acknowledged before this call is applied at its
 * remotes, or at that of one duplication (dup_id 0: all). Returns 0 only if every partition said
 * so; E_TIMEOUT: those in 'out->late' are behind; E_NOTFOUND: no such table, or no such duplication
 * of it. */
int client_dup_wait(struct client *client, const char *table, int32_t dup_id, uint32_t timeout_ms,
                    struct client_dup_wait *out, struct err *e) MUST_CHECK;
