/* src/node/lease.h: this node's lease: until when it may answer as a primary.
 *
 *     control loop: beacons to the leader of the metas, acknowledged --> until when (an atomic)
 *     workers:      node_lease_holds(), after the value was read      <-- read
 *
 * core/fd decides; here are its calls and its timer. A node that is the only member of the meta group needs
 * no lease: nobody else could give its places away. Everything but the question on the control loop.
 * Source: docs/leases.md. */
#pragma once
#include "core/fd/fd.h"
#include "rpc/cluster.h"
#include "wire/messages_pirene.h"

struct lease;
struct node;

struct lease_call {
    struct cluster_call call;
    struct beacon_request request;
    struct lease *lease;
    uint64_t sequence;
    bool is_flying;
};

struct lease {
    struct node *node;
    struct fd_lease fd;
    struct io_timer timer;
    struct lease_call calls[FD_BEACONS_MAX];
    bool is_open;
    bool
        is_unknown; /* The metas do not count this process among the living: it says that it has started. */
};

/* It has joined its cluster: from now on it asks for leases; or, as the only meta, has one for ever. */
void lease_open(struct node *n);

/* No more beacons; those under way end with their cluster's connections. Harmless when not open. */
void lease_close(struct node *n);
