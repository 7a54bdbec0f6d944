/* src/rpc/cluster_metas.c: the metas: their addresses, the leader among them, calls to it.
 *
 * A call goes to the meta that led last. A redirect with an address is followed; one without, and a
 * meta that can't be reached, send the call to the next in the list. After a round in vain it
 * pauses, and when no meta was reached in that round their names are resolved anew. Source:
 * docs/routing.md, rules R13 to R16. */
#include <string.h>

#include "base/mark.h"
#include "base/mem.h"
#include "rpc/cluster_impl.h"

enum {
    TRY_MS_MAX = 2000, /* Of one meta, when there are others that could answer. */
    HOPS_MAX = 2 * CLUSTER_METAS_MAX,
};

/* ---- Names ----------------------------------------------------------------------------------- */

/* The next name of the list at '*at', ended by a NUL in place; NULL at the end. */
static char *next_name(char **at)
{
    char *name = *at + strspn(*at, ", ");
    if (*name == '\0') return NULL;
    char *end = name + strcspn(name, ", ");
    *at = *end == '\0' ? end : end + 1;
    *end = '\0';
    return name;
}

static void run_resolve(struct io_work *work)
{
    struct resolving *r = LIST_ENTRY(work, struct resolving, work);
    char *at = r->names, *name;
    r->found_count = 0;
    while (r->found_count < CLUSTER_METAS_MAX && (name = next_name(&at)) != NULL)
        if (io_resolve(r->io, name, &r->found[r->found_count]) == 0) r->found_count++;
}

static void on_resolved(struct io_work *work)
{
    struct cluster *c = LIST_ENTRY(work, struct cluster, resolving.work);
    struct resolving *r = &c->resolving;
    r->is_running = false;
    if (c->is_closing) {
        cluster_check_closed(c);
        return;
    }
    if (r->found_count > 0) { /* Otherwise the old ones are better than none. */
        memcpy(c->metas, r->found, sizeof c->metas);
        c->meta_count = r->found_count;
        c->leader = 0;
    }
    c->is_unsure = c->meta_count == 0;
    struct list_node woken;
    list_init(&woken);
    list_splice_back(&woken, &c->unresolved);
    while (!list_is_empty(&woken)) {
        struct cluster_call *call = LIST_ENTRY(woken.next, struct cluster_call, node);
        if (c->meta_count > 0) metas_try(call);
        else if ((call->flags & CLUSTER_NO_RETRY) != 0) call_end_soon(call, E_NOTFOUND);
        else call_pause(call);
    }
}

static void resolve(struct cluster *c)
{
    struct resolving *r = &c->resolving;
    if (r->is_running) return;
    memcpy(r->names, c->metas_text, strlen(c->metas_text) + 1);
    r->is_running = true;
    r->io = io_of(c->loop);
    r->work.run = run_resolve;
    r->work.done = on_resolved;
    io_work(c->loop, &r->work);
}

int metas_init(struct cluster *c, const char *metas)
{
    size_t size = strlen(metas) + 1;
    list_init(&c->unresolved);
    if (strchr(metas, ':') == NULL) return E_INVALID;
    c->metas_text = mem_alloc(size);
    c->resolving.names = mem_alloc(size);
    if (c->metas_text == NULL || c->resolving.names == NULL) {
        mem_free(c->metas_text);
        mem_free(c->resolving.names);
        return E_NOMEM;
    }
    memcpy(c->metas_text, metas, size);
    return 0;
}

/* ---- The leader ------------------------------------------------------------------------------ */

static bool is_same(struct io_address a, struct io_address b)
{
    return a.ipv4 == b.ipv4 && a.port == b.port;
}

/* The meta at 'address' is the leader; one that we don't know joins the list. */
static void follow(struct cluster *c, struct rpc_address address)
{
    struct io_address leader = {.ipv4 = address.ipv4, .port = address.port};
    for (size_t i = 0; i < c->meta_count; i++) {
        if (!is_same(c->metas[i], leader)) continue;
        c->leader = i;
        return;
    }
    if (c->meta_count < CLUSTER_METAS_MAX) c->meta_count++;
    c->leader = c->meta_count - 1;
    c->metas[c->leader] = leader;
}

/* The meta that a call went to does not lead, for all we know: the next one may. */
static void turn_away(struct cluster *c, struct io_address from)
{
    if (is_same(c->metas[c->leader], from)) c->leader = (c->leader + 1) % c->meta_count;
}

/* It was not even reached. When none is, their names may lead elsewhere by now. */
static void not_reached(struct cluster *c, struct io_address meta)
{
    turn_away(c, meta);
    if (++c->unreached < c->meta_count) return;
    c->unreached = 0;
    c->is_unsure = true;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* After a try in vain: the next meta at once, or a pause after a round of them. */
static void try_next(struct cluster_call *call)
{
    if (++call->hops < call->cluster->meta_count) metas_try(call);
    else call_pause(call);
}

void metas_try(struct cluster_call *call)
{
    struct cluster *c = call->cluster;
    if (c->is_unsure) {
        call_wait(call, &c->unresolved);
        resolve(c);
        return;
    }
    uint64_t deadline_ms = call->deadline_ms;
    uint64_t try_until_ms = cluster_now_ms(c) + TRY_MS_MAX;
    bool is_short = c->meta_count > 1 && (call->flags & CLUSTER_MAY_WAIT) == 0;
    if (is_short && try_until_ms < deadline_ms && call_is_repeatable(call))
        deadline_ms = try_until_ms;
    int rc = call_send(call, c->metas[c->leader], 0, 0, deadline_ms);
    if (rc == 0) return;

    bool is_ours = rc == E_NOMEM || rc == E_LIMIT || rc == E_BUSY;
    if (!is_ours) not_reached(c, call->server);
    if (is_ours || (call->flags & CLUSTER_NO_RETRY) != 0) call_end_soon(call, rc);
    else try_next(call);
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Most meta rpcs answer with their error in field 1 of the result. Read just that: the whole of the
 * result is the caller's to understand. */
static enum wire_error error_of_result(struct slice body)
{
    static const uint8_t head[] = {0x0c, 0, 0, 0x0c, 0, 1}; /* Wrapper; field 1, of struct type. */
    enum { NAME_AT = sizeof head + 4 };
    if (body.size < NAME_AT || memcmp(body.data, head, sizeof head) != 0) return WIRE_ERR_OK;
    uint32_t size = bytes_get_be32(body.data + sizeof head);
    if (size > body.size - NAME_AT) return WIRE_ERR_OK;
    return wire_error_find(slice_of(body.data + NAME_AT, size));
}

/* Where the leader is, as a meta says that does not lead: over native framing in place of the
 * result; otherwise, to a query for partitions only, as the primary of a partition. */
static struct rpc_address leader_of_answer(const struct cluster_call *call,
                                           const struct rpc_answer *answer)
{
    struct arena arena = {.limit = 1 << 20};
    struct rpc_address leader = {0};
    struct bare_rpc_address bare;
    struct query_config_response config;
    if (answer->error == WIRE_ERR_FORWARD_TO_OTHERS) {
        if (rpc_answer_read(answer, &bare_rpc_address_schema, &arena, &bare) == 0)
            leader = bare.value;
    } else if (call->rpc == RPC_QUERY_CONFIG &&
               rpc_answer_read(answer, &query_config_response_schema, &arena, &config) == 0 &&
               config.partitions.count > 0) {
        leader = config.partitions.items[0].primary;
    }
    arena_fini(&arena);
    return leader;
}

/* No answer, or one that says to try again. */
static void try_again(struct cluster_call *call, const struct rpc_answer *answer, bool may_be_done)
{
    if (answer->rc == E_CANCELED || (call->flags & CLUSTER_NO_RETRY) != 0) {
        call_end(call, answer);
    } else if (may_be_done && !call_is_repeatable(call)) {
        call_end(call,
                 &(struct rpc_answer){.rc = E_UNKNOWN, .is_sent = true, .error = call->error});
    } else {
        try_next(call);
    }
}

static void redirect(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct cluster *c = call->cluster;
    struct rpc_address leader = leader_of_answer(call, answer);
    bool is_loop = ++call->hops > HOPS_MAX; /* Each points at another. */
    if (!leader.is_valid || is_loop) {
        turn_away(c, call->server);
        try_again(call, answer, false);
        return;
    }
    MARK("redirected to the leader of the metas");
    follow(c, leader);
    metas_try(call);
}

/* It leads, and will be ready in a moment. */
static void not_ready(struct cluster_call *call, const struct rpc_answer *answer,
                      enum wire_error error)
{
    call->error = error;
    if ((call->flags & CLUSTER_NO_RETRY) != 0) call_end(call, answer);
    else call_pause(call);
}

void metas_answered(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct cluster *c = call->cluster;
    bool has_waited =
        answer->rc == E_TIMEOUT && answer->is_sent && (call->flags & CLUSTER_MAY_WAIT) != 0;
    if (has_waited) { /* As it may: that says nothing of the meta. Who is gone loses the connection. */
        call_end(call, answer);
    } else if (answer->rc != 0) {
        not_reached(c, call->server);
        try_again(call, answer, answer->is_sent);
    }
    if (answer->rc != 0) return;
    c->unreached = 0;
    enum wire_error error =
        answer->error != WIRE_ERR_OK ? answer->error : error_of_result(answer->body);
    if (error == WIRE_ERR_FORWARD_TO_OTHERS) {
        redirect(call, answer);
    } else if (error == WIRE_ERR_SERVICE_NOT_ACTIVE || error == WIRE_ERR_UNDER_RECOVERY) {
        not_ready(call, answer, error);
    } else if (answer->error == WIRE_ERR_OK || route_judge(answer->error) == ROUTE_FINAL) {
        call_end(call, answer);
    } else {
        turn_away(c, call->server);
        try_again(call, answer, route_outcome_is_unknown(answer->error));
    }
}
