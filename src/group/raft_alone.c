/* src/group/raft_alone.c: libraft wants a transport; a group of one has no use for a port. */
#include "group/raft_impl.h"

static int alone_start(struct raft_uv_transport *t, raft_id id, const char *address)
{
    (void)t, (void)id, (void)address;
    return 0;
}

static int alone_listen(struct raft_uv_transport *t, raft_uv_accept_cb cb)
{
    (void)t, (void)cb;
    return 0;
}

static int alone_connect(struct raft_uv_transport *t, struct raft_uv_connect *req, raft_id id,
                         const char *address, raft_uv_connect_cb cb)
{
    (void)t, (void)req, (void)id, (void)address, (void)cb;
    return RAFT_NOCONNECTION;
}

static void alone_close(struct raft_uv_transport *t, raft_uv_transport_close_cb cb)
{
    cb(t);
}

void raft_alone_init(struct raft_uv_transport *transport)
{
    *transport = (struct raft_uv_transport){
        .init = alone_start,
        .listen = alone_listen,
        .connect = alone_connect,
        .close = alone_close,
    };
}
