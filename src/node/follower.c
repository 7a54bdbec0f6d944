/* src/node/follower.c: the asking side of FOLLOW and PROPOSE (docs/meta.md, M33 and M34).
 *
 * One question is always under way. A proposal's answer says from which version on the state shows its
 * outcome, and waits here until the copy has come as far: whoever is told "done" can see it (G2). */
#include "node/follower.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "obs/logger.h"
#include "rpc/cluster.h"
#include "wire/messages_pirene.h"

static const struct logger logger = {.room = "follower"};

enum {
    FOLLOW_MS = 4 * 1000,   /* A question without an answer is asked again (C11). */
    PROPOSE_MS = 10 * 1000, /* What has not been decided then may be later, or never. */
    PAUSE_MS = 500,         /* Before the next question, when one could not even be asked. */
};

struct follower {
    struct io_loop *loop;
    struct follower_handler handler;
    void *context;
    struct cluster *metas;

    struct cluster_call call; /* FOLLOW. */
    struct follow_request question;
    struct io_timer pause;
    uint64_t version;
    bool is_ready; /* The first state is there. */
    int trouble;   /* Why the last question brought nothing; 0: it did. Said once. */
    struct io_address leader;

    struct list_node proposals; /* struct proposing, on their way. */
    struct list_node decided;   /* Those whose outcome the copy does not show yet. */
    void (*on_closed)(void *context);
    void *closed_context;
};

struct proposing {
    struct list_node node;
    struct cluster_call call;
    struct follower *follower;
    struct group_proposal *proposal;
    struct propose_request request;
    uint64_t version;  /* Of an answer: the copy shows the outcome from here on. */
    struct buf result; /* Of an answer. */
    uint8_t command[];
};

static void ask(struct follower *f);

/* ---- Proposing -------------------------------------------------------------------------------------------- */

static void proposal_end(struct proposing *p, int rc, struct slice result)
{
    list_remove(&p->node);
    p->proposal->on_done(p->proposal, rc, result);
    buf_fini(&p->result);
    mem_free(p);
}

static void end_decided(struct follower *f)
{
    struct list_node *next;
    for (struct list_node *it = f->decided.next; it != &f->decided; it = next) {
        struct proposing *p = LIST_ENTRY(it, struct proposing, node);
        next = it->next;
        if (p->version <= f->version) proposal_end(p, 0, buf_slice(&p->result));
    }
}

static int error_of(const struct rpc_answer *answer, struct slice err)
{
    enum wire_error error = answer->error != WIRE_ERR_OK ? answer->error : wire_error_find(err);
    switch (error) {
    case WIRE_ERR_OK: return 0;
    case WIRE_ERR_FORWARD_TO_OTHERS: return E_STATE;
    case WIRE_ERR_SERVICE_NOT_ACTIVE: return E_CANCELED;
    case WIRE_ERR_CAPACITY_EXCEEDED: return E_NOMEM;
    case WIRE_ERR_TIMEOUT: return E_UNKNOWN;
    default: return E_PROTO;
    }
}

static void on_proposed(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct proposing *p = LIST_ENTRY(call, struct proposing, call);
    struct follower *f = p->follower;
    struct arena arena = {0};
    struct propose_response response = {0};
    int rc = answer->rc;
    if (rc == 0 && answer->error == WIRE_ERR_OK)
        rc = rpc_answer_read(answer, &propose_response_schema, &arena, &response);
    if (rc == 0) rc = error_of(answer, response.err);
    bool is_cut = (rc == E_CLOSED || rc == E_CANCELED) && answer->is_sent;
    if (rc == E_TIMEOUT || is_cut) rc = E_UNKNOWN;
    if (rc == 0 && response.version < 1) rc = E_UNKNOWN; /* No state shows that. */
    if (rc == 0) {
        buf_append_slice(&p->result, response.result);
        rc = buf_status(&p->result) == 0 ? 0 : E_UNKNOWN; /* It is done, and we can't say how. */
    }
    arena_fini(&arena);
    if (rc != 0) {
        proposal_end(p, rc, (struct slice){0});
        return;
    }
    p->version = (uint64_t)response.version;
    list_remove(&p->node);
    list_push_back(&f->decided, &p->node);
    end_decided(f);
}

void follower_propose(struct follower *f, struct group_proposal *proposal, struct slice command)
{
    struct proposing *p = mem_zalloc(sizeof *p + command.size);
    if (p == NULL || f->on_closed != NULL) {
        mem_free(p);
        proposal->on_done(proposal, f->on_closed != NULL ? E_CANCELED : E_NOMEM, (struct slice){0});
        return;
    }
    memcpy(p->command, command.data, command.size);
    p->follower = f;
    p->proposal = proposal;
    p->request.command = slice_of(p->command, command.size);
    p->request.cluster_uuid = f->question.cluster_uuid;
    p->call = (struct cluster_call){
        .rpc = RPC_PROPOSE,
        .schema = &propose_request_schema,
        .args = &p->request,
        .deadline_ms = io_now(io_of(f->loop)).boot_ms + PROPOSE_MS,
        .on_done = on_proposed,
    };
    list_init(&p->node);
    list_push_back(&f->proposals, &p->node);
    cluster_call_meta(f->metas, &p->call);
}

/* ---- Following --------------------------------------------------------------------------------------------- */

static int take_snapshot(struct follower *f, const struct follow_response *response)
{
    int rc = f->handler.on_restore(f->context, response->snapshot);
    if (rc == 0) f->version = (uint64_t)response->version - response->commands.count;
    return rc;
}

/* Do to the copy what was done to the leader's state. An answer that leaves out a command would make it
 * another cluster's: it is not obeyed. */
static int take(struct follower *f, const struct follow_response *response)
{
    const uint64_t count = response->commands.count, version = (uint64_t)response->version;
    if (version < count) return E_PROTO;
    int rc = response->snapshot.size > 0 ? take_snapshot(f, response) : 0;
    if (rc != 0) return rc;
    if (version != f->version + count) return E_PROTO;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        rc = f->handler.on_apply(f->context, response->commands.items[i]);
        if (rc == 0) f->version++;
    }
    return rc;
}

static void pause_before_asking(struct follower *f)
{
    io_timer_start(f->loop, &f->pause, io_now(io_of(f->loop)).boot_ms + PAUSE_MS);
}

/* It stays so until somebody does something. */
static void complain(struct follower *f, int rc, const char *what)
{
    struct err e = {0};
    (void)err_set(&e, rc, "%s", what);
    if (f->trouble != rc) LOG_ERROR(&logger, "cannot follow the cluster", field_err(&e));
    if (f->trouble != rc && !f->is_ready) f->handler.on_failed(f->context, &e);
}

static void taken(struct follower *f, struct io_address leader)
{
    f->leader = leader;
    if (!f->is_ready && f->version > 0) {
        f->is_ready = true;
        f->handler.on_ready(f->context);
    }
    end_decided(f);
    ask(f);
}

static int read_answer(const struct rpc_answer *answer, struct arena *arena,
                       struct follow_response *response)
{
    if (answer->rc != 0) return answer->rc;
    if (answer->error == WIRE_ERR_HANDLER_NOT_FOUND) return E_NOTFOUND;
    if (answer->error != WIRE_ERR_OK) return E_STATE;
    int rc = rpc_answer_read(answer, &follow_response_schema, arena, response);
    if (rc != 0) return rc;
    return wire_error_find(response->err) == WIRE_ERR_INCONSISTENT_STATE
               ? E_INVALID
               : error_of(answer, response->err);
}

static void on_followed(struct cluster_call *call, const struct rpc_answer *answer)
{
    struct follower *f = LIST_ENTRY(call, struct follower, call);
    struct arena arena = {0};
    struct follow_response response = {0};
    int rc = read_answer(answer, &arena, &response);
    if (rc == 0) rc = take(f, &response);
    arena_fini(&arena);
    if (f->on_closed != NULL) return;
    if (rc == E_TIMEOUT && f->is_ready) { /* Nothing has happened, most likely. */
        ask(f);
        return;
    }
    switch (rc) {
    case 0: break;
    case E_INVALID:
        complain(f, rc, "this server holds data of another cluster than the one to be joined");
        break;
    case E_NOTFOUND: complain(f, rc, "the servers to be joined are no metas of Pirene"); break;
    default:
        MARK("follower asks again");
        if (f->trouble != rc)
            LOG_WARN(&logger, "no news from the leader of the metas; asking on", field_code(rc));
        break;
    }
    f->trouble = rc;
    if (rc == 0) taken(f, call->server);
    else pause_before_asking(f);
}

static void ask(struct follower *f)
{
    f->question.version = (int64_t)f->version;
    f->call = (struct cluster_call){
        .rpc = RPC_FOLLOW,
        .schema = &follow_request_schema,
        .args = &f->question,
        .deadline_ms = io_now(io_of(f->loop)).boot_ms + FOLLOW_MS,
        .flags = CLUSTER_MAY_WAIT,
        .on_done = on_followed,
    };
    cluster_call_meta(f->metas, &f->call);
}

static void on_pause_over(struct io_timer *timer)
{
    ask(LIST_ENTRY(timer, struct follower, pause));
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

int follower_open(const struct follower_options *options, const struct follower_handler *handler,
                  void *context, struct follower **out)
{
    struct follower *f = mem_zalloc(sizeof *f);
    if (f == NULL) return E_NOMEM;
    f->loop = options->loop;
    f->handler = *handler;
    f->context = context;
    f->pause.run = on_pause_over;
    f->question = (struct follow_request){.node_id = (int64_t)options->node_id,
                                          .cluster_uuid = (int64_t)options->cluster_uuid};
    list_init(&f->proposals);
    list_init(&f->decided);
    struct cluster_options metas = {.metas = options->metas, .framing = FRAME_RDSN};
    int rc = cluster_open(f->loop, &metas, &f->metas);
    if (rc != 0) {
        mem_free(f);
        return rc;
    }
    ask(f);
    *out = f;
    return 0;
}

/* All calls have ended: so have the proposals, but for those that were decided. */
static void on_metas_closed(void *context)
{
    struct follower *f = context;
    void (*on_closed)(void *context) = f->on_closed;
    void *closed_context = f->closed_context;
    CHECK(list_is_empty(&f->proposals));
    while (!list_is_empty(&f->decided))
        proposal_end(LIST_ENTRY(f->decided.next, struct proposing, node), E_UNKNOWN,
                     (struct slice){0});
    mem_free(f);
    on_closed(closed_context);
}

void follower_close(struct follower *f, void (*on_closed)(void *context), void *context)
{
    f->on_closed = on_closed;
    f->closed_context = context;
    io_timer_stop(&f->pause);
    cluster_close(f->metas, on_metas_closed, f);
}

void follower_call(struct follower *f, struct cluster_call *call)
{
    cluster_call_meta(f->metas, call);
}

void follower_belong(struct follower *f, uint64_t cluster_uuid)
{
    f->question.cluster_uuid = (int64_t)cluster_uuid;
}

struct io_address follower_leader(const struct follower *f)
{
    return f->leader;
}
