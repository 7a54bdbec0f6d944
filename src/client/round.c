/* src/client/round.c: a question for each partition, and what to make of the answers. */
#include "client/round.h"

#include <stdio.h>
#include <string.h>

int client_round_init(struct client_round *r, struct client *client, const char *table,
                      enum rpc_code rpc, uint32_t timeout_ms, struct arena *arena, struct err *e)
{
    struct client_table *opened = NULL;
    size_t result_size = rpc_info(rpc)->response->size;
    int rc = client_table_shape(client, table, timeout_ms, &r->count, &r->app_id, e);
    if (rc != 0) return rc;
    rc = client_table(client, table, &opened);
    r->questions = arena_array(arena, r->count, sizeof *r->questions);
    r->results = arena_array(arena, r->count, sizeof *r->results);
    r->rcs = arena_array(arena, r->count, sizeof *r->rcs);
    char *results = arena_array(arena, r->count, result_size);
    if (rc != 0 || r->questions == NULL || r->results == NULL || r->rcs == NULL || results == NULL)
        return err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    for (uint32_t i = 0; i < r->count; i++) {
        r->results[i] = results + i * result_size;
        r->questions[i] = (struct client_question){.to = CLIENT_PARTITION,
                                                   .table = opened,
                                                   .partition_index = i,
                                                   .rpc = rpc,
                                                   .timeout_ms = timeout_ms};
    }
    return 0;
}

int client_round_ask(struct client_round *r, struct client *client, struct arena *arena,
                     struct err *e)
{
    return client_ask_all(client, r->questions, r->count, arena, r->results, r->rcs, e);
}

/* ---- dup wait -------------------------------------------------------------------------------- */

static void late_add(struct client_dup_wait *out, uint32_t partition)
{
    size_t used = strlen(out->late);
    (void)snprintf(out->late + used, sizeof out->late - used, "%s%u", used > 0 ? ", " : "",
                   partition);
    out->late_count++;
}

/* What the partitions said; 'e' is about the worst, and anything else is worse than late. */
static int verdict_of(const struct client_round *r, struct client_dup_wait *out, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct dup_wait_response *result = r->results[i];
        struct err why = {0};
        int one = r->rcs[i];
        if (one == 0) one = client_check(result->err, result->hint, &why);
        if (one == 0) continue;
        late_add(out, i);
        if (rc != 0 && (rc != E_TIMEOUT || one == E_TIMEOUT)) continue;
        rc = one;
        if (why.code != 0 && e != NULL) *e = why;
    }
    return rc;
}

enum { ANSWER_MS = 1000 };

/* The servers keep the time. Their answers need some of it too, where the client has a deadline. */
static uint32_t servers_time_ms(const struct client *client, uint32_t timeout_ms)
{
    uint32_t left_ms = client_time_left_ms(client, timeout_ms + ANSWER_MS);
    uint32_t way_ms = left_ms / 4 < ANSWER_MS ? left_ms / 4 : ANSWER_MS;
    return left_ms - way_ms < timeout_ms ? left_ms - way_ms : timeout_ms;
}

int client_dup_wait(struct client *client, const char *table, int32_t dup_id, uint32_t timeout_ms,
                    struct client_dup_wait *out, struct err *e)
{
    struct arena arena = {0};
    struct client_round r;
    struct dup_wait_request *args = NULL;
    *out = (struct client_dup_wait){0};
    int rc = client_round_init(&r, client, table, RPC_DUP_WAIT, timeout_ms + ANSWER_MS, &arena, e);
    timeout_ms = servers_time_ms(client, timeout_ms);
    if (rc == 0) args = arena_array(&arena, r.count, sizeof *args);
    if (args == NULL) {
        arena_fini(&arena);
        return rc != 0 ? rc : err_set(e, E_NOMEM, "%s", err_text(E_NOMEM));
    }
    for (uint32_t i = 0; i < r.count; i++) {
        args[i] = (struct dup_wait_request){
            .pid = {r.app_id, (int32_t)i}, .dupid = dup_id, .timeout_ms = (int32_t)timeout_ms};
        r.questions[i].args = &args[i];
    }
    out->partition_count = r.count;
    rc = client_round_ask(&r, client, &arena, e);
    int verdict = verdict_of(&r, out, e);
    if (verdict != 0) rc = verdict;
    if (rc == E_TIMEOUT)
        err_wrap(e, rc, "after %.1f s still behind: partition %s of table %s", timeout_ms / 1000.0,
                 out->late, table);
    else if (rc != 0) err_wrap(e, rc, "table %s, partition %s", table, out->late);
    arena_fini(&arena);
    return rc;
}
