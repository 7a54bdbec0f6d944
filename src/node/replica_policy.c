/* src/node/replica_policy.c: what a compaction of this replica may drop or rewrite.
 *
 * A tombstone tells an older write that comes late that it has lost. It may go when nobody can need that
 * any more (docs/duplication.md, D12): its time is below all of
 *
 *     a day ago             what is on its way has come in
 *     our streams           every remote has it
 *     those who send to us  nothing older than it comes from them any more
 *
 * Elsewhere it is a period that no link may be cut for (Cassandra's gc_grace_seconds); here clusters tell
 * each other their positions, and these say it exactly. */
#include "node/replica.h"
#include "node/stream.h"

#define GRACE_US (UINT64_C(24) * 3600 * 1000000)

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of a duplication without a stream (this is no primary now, or has not been told yet what it is) nobody
 * knows how far it is. */
static uint64_t confirmed_by_streams(const struct replica *r)
{
    uint64_t below_us = r->assigned != NULL ? UINT64_MAX : 0;
    for (uint32_t i = 0; r->assigned != NULL && i < r->assigned->dup_count; i++) {
        const struct stream *s = replica_stream(r, r->assigned->dups[i].id);
        below_us = smaller(below_us, s != NULL ? s->machine.confirmed_timestamp_us : 0);
    }
    return below_us;
}

/* Another Pirene that we send to may send back, and has not said so yet since we started. */
static bool may_be_unheard(const struct replica *r)
{
    LIST_EACH (it, &r->streams) {
        const struct stream *s = LIST_ENTRY(it, struct stream, node);
        if (!dup_incoming_has(&r->incoming, s->route.met.cluster_id)) return true;
    }
    return false;
}

static uint64_t closed_by_sources(const struct replica *r)
{
    const struct dup_incoming_self self = {
        .index = r->partition.index,
        .count = r->partition.count,
        .began_ms = r->started_ms,
        .now_ms = replica_now(r).boot_ms,
    };
#ifdef MUT_tombstone_forgets_sources
    return UINT64_MAX; /* Known mistake: a direction that is cut for long has nothing older to send. */
#endif
    bool is_young = self.now_ms - self.began_ms <= DUP_INCOMING_SILENT_MS;
    if (is_young && may_be_unheard(r)) return 0;
    return dup_incoming_closed_us(&r->incoming, &self);
}

void replica_set_policy(struct replica *r)
{
    uint64_t wall_us = replica_now(r).wall_us;
    uint64_t below_us = wall_us > GRACE_US ? wall_us - GRACE_US : 0;
    below_us = smaller(below_us, confirmed_by_streams(r));
    below_us = smaller(below_us, closed_by_sources(r));
    const struct store_policy policy = {
        .default_ttl_s = r->partition.default_ttl_s,
        .tombstones_below_us = below_us,
        .partition_index = r->partition.index,
        .partition_mask = r->partition.validates_partition_hash ? r->partition.count - 1 : 0,
    };
    store_policy_set(r->store, &policy);
}
