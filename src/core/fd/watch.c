/* src/core/fd/watch.c: the leader's side: beacons in, deaths out. */
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "base/mem.h"
#include "core/fd/fd.h"

void fd_watch_init(struct fd_watch *w, const struct fd_times *times)
{
    *w = (struct fd_watch){.times = *times};
}

void fd_watch_fini(struct fd_watch *w)
{
    mem_free(w->peers);
    *w = (struct fd_watch){0};
}

void fd_watch_lead(struct fd_watch *w, uint64_t now_ms)
{
    w->is_leading = true;
    w->led_since_ms = now_ms;
    w->count = 0;
}

void fd_watch_resign(struct fd_watch *w)
{
    w->is_leading = false;
    w->count = 0;
}

/* ---- Peers ---- */

/* The first peer that is not before 'node_id'. */
static uint32_t place_of(const struct fd_watch *w, uint64_t node_id)
{
    uint32_t low = 0, high = w->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (w->peers[middle].node_id < node_id) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The peer, made if it is not there: not alive, never heard. NULL: no memory. */
static struct fd_peer *peer_get(struct fd_watch *w, uint64_t node_id)
{
    uint32_t at = place_of(w, node_id);
    if (at < w->count && w->peers[at].node_id == node_id) return &w->peers[at];
    if (array_reserve(&w->peers, &w->capacity, w->count + 1, sizeof *w->peers) != 0) return NULL;
    memmove(&w->peers[at + 1], &w->peers[at], (w->count - at) * sizeof w->peers[0]);
    w->peers[at] = (struct fd_peer){.node_id = node_id};
    w->count++;
    return &w->peers[at];
}

int fd_watch_expect(struct fd_watch *w, uint64_t node_id, uint64_t incarnation)
{
    if (!w->is_leading) return 0;
    struct fd_peer *peer = peer_get(w, node_id);
    if (peer == NULL) return E_NOMEM;
    if (peer->is_alive) return 0;
    peer->is_alive = true;
    peer->incarnation = incarnation;
#ifndef MUT_no_grace_after_meta_change
    peer->heard_ms = w->led_since_ms; /* Another leader may have heard it a moment ago (F5). */
#endif
    return 0;
}

int fd_watch_started(struct fd_watch *w, uint64_t node_id, uint64_t incarnation, uint64_t now_ms)
{
    if (!w->is_leading) return 0;
    struct fd_peer *peer = peer_get(w, node_id);
    if (peer == NULL) return E_NOMEM;
    if ((peer->is_alive || peer->is_dying) && peer->incarnation == incarnation) return 0;
    peer->is_alive = true;
    peer->is_dying = false;
    peer->incarnation = incarnation;
    peer->heard_ms = now_ms;
    return 0;
}

void fd_watch_buried(struct fd_watch *w, uint64_t node_id, bool is_spared, uint64_t now_ms)
{
    uint32_t at = place_of(w, node_id);
    if (at == w->count || w->peers[at].node_id != node_id || !w->peers[at].is_dying) return;
    w->peers[at].is_dying = false;
    w->peers[at].is_alive = is_spared;
    if (is_spared) w->peers[at].heard_ms = now_ms;
}

void fd_watch_excuse(struct fd_watch *w, uint64_t now_ms)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->peers[i].is_alive) w->peers[i].heard_ms = now_ms;
}

int fd_watch_heard(struct fd_watch *w, uint64_t node_id, uint64_t incarnation, uint64_t now_ms)
{
    CHECK(node_id != 0 && incarnation != 0);
    if (!w->is_leading) return E_STATE;
    uint32_t at = place_of(w, node_id);
    if (at == w->count || w->peers[at].node_id != node_id) return FD_HEARD_NEW;
    struct fd_peer *peer = &w->peers[at];
    if (incarnation < peer->incarnation) return FD_HEARD_OLD;
#ifndef MUT_dying_is_acknowledged
    if (!peer->is_alive || incarnation != peer->incarnation) return FD_HEARD_NEW;
#endif
    peer->heard_ms = now_ms;
    return FD_HEARD;
}

/* ---- The dead ---- */

static bool is_overdue(const struct fd_watch *w, const struct fd_peer *peer, uint64_t now_ms)
{
    return peer->is_alive && now_ms > peer->heard_ms + w->times.grace_ms;
}

uint64_t fd_watch_next_dead(struct fd_watch *w, uint64_t now_ms)
{
    for (uint32_t i = 0; w->is_leading && i < w->count; i++) {
        struct fd_peer *peer = &w->peers[i];
        if (!is_overdue(w, peer, now_ms)) continue;
        peer->is_alive = false;
        peer->is_dying = true;
        return peer->node_id;
    }
    return 0;
}

uint64_t fd_watch_deadline_ms(const struct fd_watch *w)
{
    uint64_t deadline_ms = UINT64_MAX;
    for (uint32_t i = 0; w->is_leading && i < w->count; i++) {
        uint64_t over_ms = w->peers[i].heard_ms + w->times.grace_ms + 1;
        if (w->peers[i].is_alive && over_ms < deadline_ms) deadline_ms = over_ms;
    }
    return deadline_ms;
}
