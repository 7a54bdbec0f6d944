/* src/core/fd/lease.c: a node's side: beacons out, leases in. */
#include <string.h>

#include "base/check.h"
#include "core/fd/fd.h"

const struct fd_times fd_times_all = {.beacon_ms = 1000, .lease_ms = 6000, .grace_ms = 8000};

int fd_times_check(const struct fd_times *times, const char **why)
{
    const uint64_t million = 1000000, longest_ms = UINT64_C(1) << 32;
    if (times->beacon_ms == 0 || times->lease_ms > longest_ms || times->grace_ms > longest_ms)
        *why = "times are 1 ms to some weeks";
    else if (times->beacon_ms > times->lease_ms / 3)
        *why = "a lease needs room for three beacons, or one lost beacon ends it";
    else if (times->lease_ms * (million + FD_RATE_PPM_MAX) >=
             times->grace_ms * (million - FD_RATE_PPM_MAX))
        *why = "the lease must end before the grace does, by the slowest clock and the fastest";
    else return 0;
    return E_INVALID;
}

void fd_lease_init(struct fd_lease *l, const struct fd_times *times, uint32_t meta_count,
                   uint64_t now_ms)
{
    CHECK(meta_count > 0 && meta_count <= FD_METAS_MAX);
    *l = (struct fd_lease){
        .times = *times,
        .meta_count = meta_count,
        .now_ms = now_ms,
        .next_beacon_ms = now_ms,
        .next_sequence = 1,
    };
}

bool fd_lease_holds(const struct fd_lease *l, uint64_t now_ms)
{
    return now_ms < l->until_ms;
}

uint64_t fd_lease_deadline_ms(const struct fd_lease *l)
{
    return l->is_held && l->until_ms < l->next_beacon_ms ? l->until_ms : l->next_beacon_ms;
}

/* ---- Beacons that are not answered yet ---- */

static struct fd_beacon *sent_at(struct fd_lease *l, uint32_t i)
{
    return &l->sent[(l->sent_first + i) % FD_BEACONS_MAX];
}

static void forget_oldest(struct fd_lease *l, uint32_t count)
{
    l->sent_first = (l->sent_first + count) % FD_BEACONS_MAX;
    l->sent_count -= count;
}

/* Beacons overtake each other: an answer to one settles those sent before it, too. False: nobody waits
 * for it; otherwise '*sent_ms' is when it was sent. */
static bool settle(struct fd_lease *l, uint64_t sequence, uint64_t *sent_ms)
{
    for (uint32_t i = 0; i < l->sent_count; i++) {
        struct fd_beacon beacon = *sent_at(l, i);
        if (beacon.sequence != sequence) continue;
        forget_oldest(l, i + 1);
        *sent_ms = beacon.sent_ms;
        return true;
    }
    return false;
}

static void send_beacon(struct fd_lease *l, struct fd_lease_effects *out)
{
    if (l->sent_count == FD_BEACONS_MAX) forget_oldest(l, 1);
    *sent_at(l, l->sent_count++) = (struct fd_beacon){l->next_sequence, l->now_ms};
    out->sends_beacon = true;
    out->meta = l->meta;
    out->sequence = l->next_sequence++;
    l->next_beacon_ms = l->now_ms + l->times.beacon_ms;
}

/* ---- Events ---- */

static void on_acked(struct fd_lease *l, uint64_t sequence)
{
    uint64_t sent_ms;
    if (!settle(l, sequence, &sent_ms)) return;
#ifdef MUT_lease_from_ack_time
    sent_ms = l->now_ms; /* Known mistake: the leader counts from before that. */
#endif
    uint64_t until_ms = sent_ms + l->times.lease_ms;
    if (until_ms > l->until_ms) l->until_ms = until_ms;
    l->failures = 0;
}

/* Ask who leads, if somebody knew, else the next in turn: once round without a pause, then at the usual
 * pace, so that a group without a leader is not stormed. */
static void look_elsewhere(struct fd_lease *l, uint64_t sequence, uint32_t meta)
{
    uint64_t sent_ms;
    if (!settle(l, sequence, &sent_ms)) return;
    l->meta = meta < l->meta_count ? meta : (l->meta + 1) % l->meta_count;
    if (++l->failures <= l->meta_count) l->next_beacon_ms = l->now_ms;
}

static void tell_changes(struct fd_lease *l, struct fd_lease_effects *out)
{
    bool holds = fd_lease_holds(l, l->now_ms);
    out->is_gained = holds && !l->is_held;
    out->is_lost = !holds && l->is_held;
    l->is_held = holds;
}

void fd_lease_step(struct fd_lease *l, const struct fd_lease_event *event,
                   struct fd_lease_effects *out)
{
    CHECK(event->now_ms >= l->now_ms);
    l->now_ms = event->now_ms;
    *out = (struct fd_lease_effects){0};
    switch (event->type) {
    case FD_TICKED: break;
    case FD_ACKED: on_acked(l, event->sequence); break;
    case FD_REFUSED: look_elsewhere(l, event->sequence, event->meta); break;
    case FD_FAILED: look_elsewhere(l, event->sequence, FD_META_UNKNOWN); break;
    }
    if (l->now_ms >= l->next_beacon_ms) send_beacon(l, out);
    tell_changes(l, out);
}
