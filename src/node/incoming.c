/* src/node/incoming.c: positions that come in with DUPLICATE, and our own that goes back. */
#include "node/incoming.h"

#include "node/worker.h"

/* Everything up to this hybrid time is applied: what is made from now on, or is on its way, is
 * newer. */
static uint64_t closed_timestamp_us(const struct replica *r)
{
    const struct repl *p = &r->repl;
    if (p->applied == p->prepared) return p->timestamp_us;
    const struct chunk *last = repl_tail_get(p, p->applied);
    struct mutation m;
    if (last == NULL || mutation_read(slice_of(last->data, last->capacity), &m) != 0) return 0;
    return m.timestamp_us;
}

static void tell_ours(const struct replica *r, struct duplicate_response *response)
{
    response->set |= DUPLICATE_RESPONSE_HAS_VERSION | DUPLICATE_RESPONSE_HAS_APPLIED_DECREE |
                     DUPLICATE_RESPONSE_HAS_CLOSED_TIMESTAMP_US;
    response->version = DUPLICATE_VERSION;
    response->applied_decree = (int64_t)r->repl.applied;
    response->closed_timestamp_us = (int64_t)closed_timestamp_us(r);
}

/* Peers err, and invent. */
static bool is_sound(const struct duplicate_request *d)
{
    return (d->set & DUPLICATE_REQUEST_HAS_PIRENE) == DUPLICATE_REQUEST_HAS_PIRENE &&
           d->source_cluster_id > 0 && d->source_cluster_id < KV_CLUSTER_COUNT &&
           d->source_app_id > 0 && d->source_partition_index >= 0 && d->source_decree_last >= 0 &&
           d->closed_timestamp_us >= 0 && d->source_partition_count >= 0 &&
           d->source_partition_count <= DUP_INCOMING_MAX;
}

static void note_theirs(struct replica *r, const struct duplicate_request *d)
{
    if (!is_sound(d)) return;
    struct dup_source source = {d->source_cluster_id, d->source_app_id, d->source_partition_index};
    struct dup_position position = {
        .decree = (uint64_t)d->source_decree_last,
        .closed_timestamp_us = (uint64_t)d->closed_timestamp_us,
        .heard_ms = replica_now(r).boot_ms,
        .partition_count = (uint32_t)d->source_partition_count,
    };
    uint32_t known = r->incoming.count;
    if (dup_incoming_heard(&r->incoming, &source, &position) != 0) return; /* With its next one. */
    if (r->incoming.count != known) replica_set_policy(r); /* What it has not closed must stay. */
    metric_counter_add(&r->metrics.incoming_heard, 1);
    metric_gauge_set(&r->metrics.incoming_sources, r->incoming.count);
    metric_gauge_set(&r->metrics.incoming_closed_us, d->closed_timestamp_us);
}

void incoming_applied(struct replica *r, struct kv_write *write)
{
    const struct duplicate_request *d = &write->args.duplicate;
    if ((d->set & DUPLICATE_REQUEST_HAS_VERSION) == 0) return; /* Pegasus knows nothing of it. */
    bool is_all_taken = write->status == RRDB_OK && write->bad_entries.count == 0;
    if (is_all_taken) note_theirs(r, d);
    tell_ours(r, &write->response.duplicate);
}

void incoming_on_position(struct replica *r, struct rpc_request *request, struct kv_write *write)
{
    struct duplicate_response response = {.set = DUPLICATE_RESPONSE_HAS_ERROR};
    if ((write->args.duplicate.set & DUPLICATE_REQUEST_HAS_VERSION) != 0) {
        note_theirs(r, &write->args.duplicate);
        tell_ours(r, &response);
    }
    rpc_reply(request, WIRE_ERR_OK, &duplicate_response_schema, &response);
}

int incoming_status(const struct replica *r, struct arena *arena,
                    struct dup_incoming_status_list *out)
{
    const struct dup_incoming *in = &r->incoming;
    struct dup_incoming_status *rows = arena_array(arena, in->count, sizeof *rows);
    if (rows == NULL) return E_NOMEM;
    uint64_t now_ms = replica_now(r).boot_ms;
    for (uint32_t i = 0; i < in->count; i++) {
        const struct dup_incoming_row *row = &in->rows[i];
        rows[i] = (struct dup_incoming_status){
            .source_cluster_id = row->source.cluster_id,
            .source_app_id = row->source.app_id,
            .source_partition_index = row->source.partition_index,
            .decree = (int64_t)row->position.decree,
            .closed_timestamp_us = (int64_t)row->position.closed_timestamp_us,
            .heard_ms_ago = (int64_t)(now_ms - row->position.heard_ms),
        };
    }
    *out = (struct dup_incoming_status_list){rows, in->count};
    return 0;
}
