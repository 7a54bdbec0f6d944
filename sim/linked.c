/* sim/linked.c: setting the stage. */
#include "sim/linked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/key.h"

enum { S = 1000000, ASK_MS = 5000 };

static const char table_name[] = "temp";
static const char *const metas[LINKED_SIDES] = {"one:34601", "two:34601"};

/* ---- Life ---------------------------------------------------------------------------------------- */

struct linked *linked_new(uint64_t seed)
{
    static const char *const names[LINKED_SIDES] = {"one", "two"};
    struct linked *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->sim = sim_new(seed);
    for (int i = 0; i < LINKED_SIDES; i++)
        l->clusters[i] = sim_cluster_new(l->sim, names[i], (uint8_t)(i + 1));
    l->clients[0] = sim_client_new(l->sim, "here", metas[0], table_name);
    l->clients[1] = sim_client_new(l->sim, "there", metas[1], table_name);
    l->invariants = invariants_new(l->sim, l->clusters[0], l->clusters[1]);
    return l;
}

void linked_free(struct linked *l)
{
    if (l == NULL) return;
    invariants_free(l->invariants);
    for (int i = 0; i < LINKED_SIDES; i++) {
        load_free(l->loads[i]);
        sim_client_free(l->clients[i]);
        sim_cluster_free(l->clusters[i]);
    }
    sim_free(l->sim);
    free(l);
}

/* ---- Asking -------------------------------------------------------------------------------------- */

/* Ask the meta role of a side, read the answer; true when it says ERR_OK. */
static bool ask_meta(struct linked *l, int side, enum rpc_code rpc, const void *args, void *out,
                     const struct slice *err)
{
    struct sim_call call = {.rpc = rpc, .args = args, .timeout_ms = ASK_MS};
    int rc = sim_ask(l->clients[side], &call, out);
    bool is_done = rc == 0 && slice_is(*err, "ERR_OK");
    sim_call_fini(&call);
    return is_done;
}

static bool create_table(struct linked *l, int side, uint32_t partitions)
{
    struct create_app_request args = {
        .app_name = slice_str(table_name),
        .options = {.partition_count = (int32_t)partitions,
                    .replica_count = 1,
                    .app_type = slice_str("pegasus"),
                    .is_stateful = true},
    };
    struct create_app_response response = {0};
    l->partitions[side] = partitions;
    return ask_meta(l, side, RPC_CREATE_APP, &args, &response, &response.err);
}

bool linked_begin(struct linked *l, uint32_t here, uint32_t there)
{
    for (int i = 0; i < LINKED_SIDES; i++) sim_cluster_start(l->clusters[i]);
    for (int i = 0; i < LINKED_SIDES; i++)
        if (!sim_cluster_wait_ready(l->clusters[i], 10 * (uint64_t)S)) return false;
    return create_table(l, 0, here) && create_table(l, 1, there);
}

bool linked_add_dup(struct linked *l, int side, bool with_snapshot)
{
    struct add_duplication_request args = {
        .set = ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT,
        .app_name = slice_str(table_name),
        .remote_cluster_name = slice_str(metas[1 - side]),
        .is_duplicating_checkpoint = with_snapshot,
    };
    struct add_duplication_response response = {0};
    if (!ask_meta(l, side, RPC_ADD_DUPLICATION, &args, &response, &response.err)) return false;
    l->dup_ids[side] = response.dupid;
    return true;
}

void linked_switch_init(struct linked *l, int side, enum duplication_status status,
                        struct linked_switch *s)
{
    s->args = (struct modify_duplication_request){
        .set = MODIFY_DUPLICATION_REQUEST_HAS_STATUS,
        .app_name = slice_str(table_name),
        .dupid = l->dup_ids[side],
        .status = (int32_t)status,
    };
    s->call.rpc = RPC_MODIFY_DUPLICATION;
    s->call.args = &s->args;
    s->call.timeout_ms = ASK_MS;
}

bool linked_switch_is_done(struct linked_switch *s)
{
    struct modify_duplication_response response;
    return sim_call_read(&s->call, &response) == 0 && slice_is(response.err, "ERR_OK");
}

static bool modify_dup(struct linked *l, int side, enum duplication_status status)
{
    struct linked_switch s = {0};
    struct modify_duplication_response ignored;
    linked_switch_init(l, side, status, &s);
    bool is_done = sim_ask(l->clients[side], &s.call, &ignored) == 0 && linked_switch_is_done(&s);
    sim_call_fini(&s.call);
    return is_done;
}

bool linked_set_dup(struct linked *l, int side, bool is_paused)
{
    return modify_dup(l, side, is_paused ? DS_PAUSE : DS_LOG);
}

bool linked_remove_dup(struct linked *l, int side)
{
    return modify_dup(l, side, DS_REMOVED);
}

bool linked_wipe(struct linked *l, int side)
{
    struct sim_cluster *c = l->clusters[side];
    sim_cluster_wipe(c);
    invariants_wiped(l->invariants, side);
    l->dup_ids[side] = 0;
    sim_cluster_start(c);
    return sim_cluster_wait_ready(c, 10 * (uint64_t)S) &&
           linked_run(l, S) && /* Its client hears that the old connection is none any more. */
           create_table(l, side, l->partitions[side]);
}

static struct slice raw_key(struct buf *to, const char *key)
{
    buf_clear(to);
    key_append(to, slice_str(key), slice_str("k"));
    return buf_slice(to);
}

/* One write of one key, answered with an update_response. */
static enum wire_error write_one(struct linked *l, int side, enum rpc_code rpc, const void *args,
                                 struct slice key)
{
    struct sim_call call = {.rpc = rpc, .args = args, .hash = key_hash(key), .timeout_ms = ASK_MS};
    struct update_response response = {0};
    int rc = sim_ask(l->clients[side], &call, &response);
    enum wire_error error = call.answer.rc != 0 ? WIRE_ERR_TIMEOUT : call.answer.error;
    if (error == WIRE_ERR_OK && (rc != 0 || response.error != RRDB_OK))
        error = WIRE_ERR_INVALID_DATA;
    sim_call_fini(&call);
    return error;
}

enum wire_error linked_try_put(struct linked *l, int side, const char *key, const char *value)
{
    struct buf raw = {0};
    struct update_request args = {.key = raw_key(&raw, key), .value = slice_str(value)};
    enum wire_error error = write_one(l, side, RPC_PUT, &args, args.key);
    buf_fini(&raw);
    return error;
}

bool linked_put(struct linked *l, int side, const char *key, const char *value)
{
    return linked_try_put(l, side, key, value) == WIRE_ERR_OK;
}

bool linked_delete(struct linked *l, int side, const char *key)
{
    struct buf raw = {0};
    struct bare_blob args = {.value = raw_key(&raw, key)};
    enum wire_error error = write_one(l, side, RPC_REMOVE, &args, args.value);
    buf_fini(&raw);
    return error == WIRE_ERR_OK;
}

const char *linked_get(struct linked *l, int side, const char *key)
{
    static char text[256];
    struct buf raw = {0};
    struct bare_blob args = {.value = raw_key(&raw, key)};
    struct sim_call call = {
        .rpc = RPC_GET, .args = &args, .hash = key_hash(args.value), .timeout_ms = ASK_MS};
    struct read_response response = {0};
    bool is_there = sim_ask(l->clients[side], &call, &response) == 0 && response.error == RRDB_OK &&
                    response.value.size < sizeof text;
    if (is_there) memcpy(text, response.value.data, response.value.size);
    if (is_there) text[response.value.size] = '\0';
    sim_call_fini(&call);
    buf_fini(&raw);
    return is_there ? text : NULL;
}

bool linked_wait_for(struct linked *l, int side, int32_t partition, uint32_t timeout_ms)
{
    struct dup_wait_request args = {.timeout_ms = (int32_t)timeout_ms};
    struct sim_call call = {.rpc = RPC_DUP_WAIT,
                            .args = &args,
                            .partition = partition,
                            .is_to_partition = true,
                            .timeout_ms = timeout_ms + ASK_MS};
    struct dup_wait_response response;
    uint64_t decree = invariants_committed(l->invariants, side, (uint32_t)partition);
    bool is_there =
        sim_ask(l->clients[side], &call, &response) == 0 && slice_is(response.err, "ERR_OK");
    if (is_there) invariants_waited(l->invariants, side, (uint32_t)partition, decree);
    sim_call_fini(&call);
    return is_there;
}

bool linked_wait(struct linked *l, int side, uint32_t timeout_ms)
{
    for (uint32_t i = 0; i < l->partitions[side]; i++)
        if (!linked_wait_for(l, side, (int32_t)i, timeout_ms)) return false;
    return true;
}

static bool lag_add(struct linked *l, int side, int32_t partition, struct linked_lag *to)
{
    struct dup_status_request args = {.app_name = slice_str(table_name)};
    struct sim_call call = {.rpc = RPC_DUP_STATUS,
                            .args = &args,
                            .partition = partition,
                            .is_to_partition = true,
                            .timeout_ms = ASK_MS};
    struct dup_status_response response = {0};
    bool is_done = sim_ask(l->clients[side], &call, &response) == 0;
    for (uint32_t i = 0; is_done && i < response.partitions.count; i++) {
        const struct dup_status *status = &response.partitions.items[i];
        to->mutations += (uint64_t)status->lag_mutations;
        to->bytes += (uint64_t)status->lag_bytes;
        if ((uint64_t)status->lag_ms > to->ms) to->ms = (uint64_t)status->lag_ms;
        if (to->why[0] == '\0' && status->reason.size > 0)
            (void)snprintf(to->why, sizeof to->why, "%.*s", (int)status->reason.size,
                           (const char *)status->reason.data);
    }
    sim_call_fini(&call);
    return is_done;
}

bool linked_lag(struct linked *l, int side, struct linked_lag *out)
{
    *out = (struct linked_lag){0};
    for (uint32_t i = 0; i < l->partitions[side]; i++)
        if (!lag_add(l, side, (int32_t)i, out)) return false;
    return true;
}

/* ---- Running ------------------------------------------------------------------------------------- */

bool linked_run(struct linked *l, uint64_t for_us)
{
    uint64_t end_us = sim_now_us(l->sim) + for_us;
    while (sim_now_us(l->sim) < end_us && !l->invariants->is_broken)
        sim_run_us(l->sim, for_us < 1000 ? for_us : 1000);
    return !l->invariants->is_broken;
}

static bool is_settled(void *context)
{
    struct linked *l = context;
    if (l->invariants->is_broken) return true;
    for (int i = 0; i < LINKED_SIDES; i++)
        if (l->loads[i] != NULL && !load_is_idle(l->loads[i])) return false;
    return invariants_is_quiet(l->invariants) && invariants_logs_are_small(l->invariants);
}

bool linked_settle(struct linked *l, uint64_t for_us)
{
    if (!is_settled(l)) (void)sim_run_until(l->sim, is_settled, l, for_us);
    return is_settled(l) && !l->invariants->is_broken;
}
