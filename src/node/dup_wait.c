/* src/node/dup_wait.c: what is known of the streams, and who waits for them. */
#include "node/dup_wait.h"

#include "base/check.h"
#include "node/incoming.h"
#include "node/stream.h"
#include "node/worker.h"

enum {
    DUP_WAIT_MS_MAX = 24 * 3600 * 1000,
    DUP_WAITS_MAX = 1024, /* Held at once, by one replica. */
};

/* A DUP_WAIT that is being held. Lives in its request. */
struct dup_waiter {
    struct replica *replica;
    struct rpc_request *request;
    struct io_timer timer; /* The asker's patience. */
    int32_t dup_id;        /* 0: all. */
    uint64_t decree;       /* What was committed when it arrived. */
    uint64_t question;     /* Asked when it arrived. */
};
_Static_assert(sizeof(struct dup_waiter) <= RPC_OWNER_SIZE, "fits into the request");

static struct dup_waiter *waiter_of(struct rpc_request *request)
{
    return (struct dup_waiter *)(void *)request->owner;
}

/* ---- DUP_WAIT ------------------------------------------------------------------------------------------ */

static bool is_meant(const struct stream *s, int32_t dup_id)
{
    return !s->is_closing && (dup_id == 0 || s->dup.id == dup_id);
}

/* A stream that has a snapshot to send has confirmed nothing. */
static uint64_t confirmed_by(const struct stream *s)
{
    uint64_t confirmed = s->machine.confirmed;
#ifdef MUT_wait_counts_sent
    confirmed = s->machine.read; /* Known mistake: sent is not applied. */
#endif
    return s->dup.needs_snapshot && confirmed < s->machine.snapshot_decree ? 0 : confirmed;
}

/* How far the streams meant are: as far as the last of them. */
struct progress {
    uint32_t streams;
    uint64_t confirmed, vouched;
    const char *reason; /* Why one of them is behind, in its words; "": none says. */
};

static struct progress progress_of(const struct replica *r, int32_t dup_id)
{
    struct progress p = {.confirmed = UINT64_MAX, .vouched = UINT64_MAX, .reason = ""};
    LIST_EACH (it, &r->streams) {
        const struct stream *s = LIST_ENTRY(it, struct stream, node);
        if (!is_meant(s, dup_id)) continue;
        uint64_t confirmed = confirmed_by(s), vouched = s->machine.vouched;
        p.streams++;
        if (confirmed < p.confirmed) p.confirmed = confirmed;
        if (vouched < p.vouched) p.vouched = vouched;
        if (dup_reason(&s->machine)[0] != '\0') p.reason = dup_reason(&s->machine);
    }
    if (p.streams == 0) p.confirmed = p.vouched = 0;
    return p;
}

/* Ask the streams meant whether it is still the same remote. */
static void ask(struct replica *r, int32_t dup_id)
{
    uint64_t question = ++r->dup_question;
    LIST_EACH (it, &r->streams) {
        struct stream *s = LIST_ENTRY(it, struct stream, node);
        if (is_meant(s, dup_id)) stream_ask(s, question);
    }
}

static bool is_there(const struct dup_waiter *w, const struct progress *p)
{
    return p->confirmed >= w->decree && p->vouched >= w->question;
}

static void answer(struct rpc_request *request, enum wire_error error, const char *hint,
                   uint64_t decree, uint64_t confirmed)
{
    struct dup_wait_response response = {
        .err = wire_error_name(error),
        .hint = slice_str(hint),
        .decree = (int64_t)decree,
        .confirmed = (int64_t)confirmed,
    };
    rpc_reply(request, WIRE_ERR_OK, &dup_wait_response_schema, &response);
}

static void end(struct dup_waiter *w, enum wire_error error, const char *hint, uint64_t confirmed)
{
    struct rpc_request *request = w->request;
    uint64_t decree = w->decree;
    io_timer_stop(&w->timer);
    list_remove(&request->node);
    w->replica->dup_wait_count--;
    answer(request, error, hint, decree, confirmed);
}

static void on_patience_over(struct io_timer *timer)
{
    struct dup_waiter *w = LIST_ENTRY(timer, struct dup_waiter, timer);
    struct progress p = progress_of(w->replica, w->dup_id);
    const char *hint = p.reason[0] != '\0'       ? p.reason
                       : p.confirmed < w->decree ? "not everything was applied there in time"
                                                 : "the remote did not say in time who it is";
    end(w, WIRE_ERR_TIMEOUT, hint, p.confirmed);
}

void dup_wait_check(struct replica *r)
{
    struct list_node *next;
    for (struct list_node *it = r->dup_waits.next; it != &r->dup_waits; it = next) {
        next = it->next;
        struct dup_waiter *w = waiter_of(LIST_ENTRY(it, struct rpc_request, node));
        struct progress p = progress_of(r, w->dup_id);
        if (p.streams == 0) end(w, WIRE_ERR_OBJECT_NOT_FOUND, "the duplication was removed", 0);
        else if (is_there(w, &p)) end(w, WIRE_ERR_OK, "", p.confirmed);
    }
}

void dup_wait_fail_all(struct replica *r, enum wire_error error)
{
    for (struct list_node *n; (n = list_pop_front(&r->dup_waits)) != NULL;) {
        struct rpc_request *request = LIST_ENTRY(n, struct rpc_request, node);
        io_timer_stop(&waiter_of(request)->timer);
        r->dup_wait_count--;
        rpc_reply_error(request, error);
    }
}

/* Hold it. Everything that was acknowledged before it arrived is applied, and so committed. */
static void hold(struct replica *r, struct rpc_request *request,
                 const struct dup_wait_request *args)
{
    struct dup_waiter *w = waiter_of(request);
    *w = (struct dup_waiter){.replica = r,
                             .request = request,
                             .dup_id = args->dupid,
                             .decree = r->repl.committed,
                             .question = r->dup_question + 1, /* Asked next. */
                             .timer = {.run = on_patience_over}};
    list_push_back(&r->dup_waits, &request->node);
    r->dup_wait_count++;
    uint64_t patience_ms = args->timeout_ms > 0 && args->timeout_ms < DUP_WAIT_MS_MAX
                               ? (uint64_t)args->timeout_ms
                               : DUP_WAIT_MS_MAX;
    io_timer_start(r->worker->loop, &w->timer, replica_now(r).boot_ms + patience_ms);
}

void dup_wait_on_request(struct replica *r, struct rpc_request *request)
{
    struct dup_wait_request args;
    if (thrift_read_args(request->frame.body, &dup_wait_request_schema, &args, &request->arena) !=
        0) {
        rpc_reply_error(request, WIRE_ERR_INVALID_PARAMETERS);
        return;
    }
    if (r->is_closing || !repl_is_serving(&r->repl)) {
        rpc_reply_error(request, WIRE_ERR_INVALID_STATE);
        return;
    }
    if (r->dup_wait_count >= DUP_WAITS_MAX) {
        rpc_reply_error(request, WIRE_ERR_BUSY);
        return;
    }
    if (progress_of(r, args.dupid).streams == 0) {
        answer(request, WIRE_ERR_OBJECT_NOT_FOUND, "the table has no such duplication",
               r->repl.committed, 0);
        return;
    }
    hold(r, request, &args);
    ask(r, args.dupid);
}

/* ---- DUP_STATUS ------------------------------------------------------------------------------------------ */

static void status_fill(struct dup_status *to, const struct stream *s, uint64_t now_ms)
{
    struct dup_lag_view lag = dup_lag_now(&s->machine, now_ms);
    *to = (struct dup_status){
        .dupid = s->dup.id,
        .remote_cluster = slice_str(s->dup.remote_cluster[0] != '\0' ? s->dup.remote_cluster
                                                                     : s->dup.remote_metas),
        .remote_app_name = slice_str(s->dup.remote_table),
        .partition_index = s->replica->gpid.partition_index,
        .state = slice_str(dup_state_name(s->machine.state)),
        .reason = slice_str(dup_reason(&s->machine)),
        .committed = (int64_t)s->machine.committed,
        .sent = (int64_t)s->machine.read,
        .confirmed = (int64_t)s->machine.confirmed,
        .lag_mutations = (int64_t)lag.mutations,
        .lag_bytes = (int64_t)lag.bytes,
        .lag_ms = (int64_t)lag.ms,
        .app_id = s->replica->gpid.app_id,
    };
}

void dup_status_on_request(struct replica *r, struct rpc_request *request)
{
    size_t count = 0;
    LIST_EACH (it, &r->streams) count++;
    struct dup_status *rows = arena_array(&request->arena, count, sizeof *rows);
    struct dup_incoming_status_list incoming;
    if (rows == NULL || incoming_status(r, &request->arena, &incoming) != 0) {
        rpc_reply_error(request, WIRE_ERR_BUSY);
        return;
    }
    uint32_t used = 0;
    uint64_t now_ms = replica_now(r).boot_ms;
#ifdef MUT_lag_from_wall_clock
    static uint64_t ahead_ms; /* Known mistake: the wall clock measures time. */
    if (ahead_ms == 0) ahead_ms = replica_now(r).wall_us / 1000 - now_ms;
    now_ms = replica_now(r).wall_us / 1000 - ahead_ms;
#endif
    LIST_EACH (it, &r->streams) {
        const struct stream *s = LIST_ENTRY(it, struct stream, node);
        if (!s->is_closing) status_fill(&rows[used++], s, now_ms);
    }
    struct dup_status_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .partitions = {rows, used},
        .incoming = incoming,
    };
    rpc_reply(request, WIRE_ERR_OK, &dup_status_response_schema, &response);
    ask(r, 0); /* Nobody waits for that: whoever looks again sees what came of it. */
}
