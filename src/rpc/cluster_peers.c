/* src/rpc/cluster_peers.c: one rpc_peer per address, found by hash; they stay until the cluster
 * closes, for an idle one costs nothing. */
#include "base/mem.h"
#include "rpc/cluster_impl.h"

struct cluster_peer {
    struct list_node node; /* In its bucket. */
    struct cluster *cluster;
    struct io_address address;
    struct rpc_peer *peer;
};

void peers_init(struct cluster *c)
{
    for (size_t i = 0; i < CLUSTER_BUCKETS; i++) list_init(&c->buckets[i]);
}

static size_t bucket_of(struct io_address address)
{
    return (address.ipv4 * 31 + address.port) % CLUSTER_BUCKETS;
}

static struct rpc_peer *find(const struct cluster *c, struct io_address address)
{
    LIST_EACH (it, &c->buckets[bucket_of(address)]) {
        struct cluster_peer *p = LIST_ENTRY(it, struct cluster_peer, node);
        if (p->address.ipv4 == address.ipv4 && p->address.port == address.port) return p->peer;
    }
    return NULL;
}

int peers_get(struct cluster *c, struct io_address address, struct rpc_peer **out)
{
    struct rpc_peer *known = find(c, address);
    if (known != NULL) {
        *out = known;
        return 0;
    }
    if (c->peer_count == CLUSTER_PEERS_MAX) return E_LIMIT;
    struct cluster_peer *p = mem_zalloc(sizeof *p);
    if (p == NULL) return E_NOMEM;
    *p = (struct cluster_peer){.cluster = c, .address = address};
    int rc = rpc_peer_open(c->loop, address, &c->peer_options, &p->peer);
    if (rc != 0) {
        mem_free(p);
        return rc;
    }
    list_push_back(&c->buckets[bucket_of(address)], &p->node);
    c->peer_count++;
    *out = p->peer;
    return 0;
}

static void on_closed(void *context)
{
    struct cluster_peer *p = context;
    struct cluster *c = p->cluster;
    list_remove(&p->node);
    mem_free(p);
    c->peer_count--;
    cluster_check_closed(c);
}

void peers_close(struct cluster *c)
{
    for (size_t i = 0; i < CLUSTER_BUCKETS; i++)
        LIST_EACH (it, &c->buckets[i]) {
            struct cluster_peer *p = LIST_ENTRY(it, struct cluster_peer, node);
            rpc_peer_close(p->peer, on_closed, p);
        }
}

int cluster_peer_view(const struct cluster *cluster, struct io_address server,
                      struct rpc_peer_view *out)
{
    const struct rpc_peer *peer = find(cluster, server);
    if (peer == NULL) return E_NOTFOUND;
    rpc_peer_view(peer, out);
    return 0;
}
