/* src/node/link.c: senders to messages, messages to another server. */
#include "node/link.h"

#include "base/array.h"
#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "obs/logger.h"
#include "wire/messages_repl.h"

static const struct logger logger = {.room = "link"};

enum {
    LINK_CALLS_MAX = 8,         /* Messages under way to one server. */
    LINK_ITEMS_MAX = 4096,      /* Of one message... */
    LINK_SIZE_MAX = 1 << 20,    /* ...and bytes of its mutations; one may be longer. */
    LINK_CALL_MS = 5000,        /* A message without an answer is taken for lost. */
    LINK_RETRY_MS_MIN = 10,     /* Before what was lost is said again; doubles... */
    LINK_RETRY_MS_MAX = 1000,   /* ...up to this. */
    LINK_SILENT_CALL_MS = 2000, /* The same for what follows one that was lost. */
    LINK_SILENCE_MS =
        3000, /* After the first loss: a member that others wait for is to go. With the time that
                               * the first takes, five to seven seconds: more than a slow disk takes. */
};

enum {
    SENDERS_MAX = sizeof((struct replica *)0)->senders / sizeof((struct replica *)0)->senders[0]
};

struct link_call {
    struct rpc_call rpc;
    struct link *link; /* NULL: not under way. */
};

struct link {
    struct list_node node; /* In its worker. */
    struct worker *worker;
    uint64_t node_id;
    struct rpc_peer *peer;
    struct list_node senders, ready;
    struct link_call calls[LINK_CALLS_MAX];
    bool is_lost; /* A message was; nothing is sent before that is mended. */
    struct io_timer retry;
    uint32_t retry_ms;      /* The last pause; 0 after a message that arrived. */
    uint64_t lost_since_ms; /* When the first after that was lost. */
};

/* ---- Links ------------------------------------------------------------------------------------------------------ */

static void mend(struct io_timer *timer);

static struct link *link_find(const struct worker *w, uint64_t node_id, struct io_address address)
{
    LIST_EACH (it, &w->links) {
        struct link *l = LIST_ENTRY(it, struct link, node);
        struct io_address at = rpc_peer_address(l->peer);
        if (l->node_id == node_id && at.ipv4 == address.ipv4 && at.port == address.port) return l;
    }
    return NULL;
}

static struct link *link_get(struct worker *w, uint64_t node_id, struct io_address address)
{
    static const struct rpc_peer_options options = {.framing = FRAME_RDSN};
    struct link *l = link_find(w, node_id, address);
    if (l != NULL) return l;
    if (w->items == NULL) w->items = mem_alloc(LINK_ITEMS_MAX * sizeof *w->items);
    l = w->items != NULL ? mem_zalloc(sizeof *l) : NULL;
    if (l == NULL || rpc_peer_open(w->loop, address, &options, &l->peer) != 0) {
        mem_free(l);
        return NULL;
    }
    l->worker = w;
    l->node_id = node_id;
    l->retry.run = mend;
    list_init(&l->senders);
    list_init(&l->ready);
    list_init(&l->node);
    list_push_back(&w->links, &l->node);
    return l;
}

static void on_peer_closed(void *context)
{
    struct link *l = context;
    struct worker *w = l->worker;
    mem_free(l);
    w->links_closing--;
    worker_stop_if_done(w);
}

/* The last sender has gone. */
static void link_close(struct link *l)
{
    list_remove(&l->node);
    io_timer_stop(&l->retry);
    l->worker->links_closing++;
    rpc_peer_close(l->peer, on_peer_closed, l);
}

/* ---- Senders ---------------------------------------------------------------------------------------------------- */

static struct sender *sender_find(struct replica *r, uint64_t node_id)
{
    for (size_t i = 0; i < SENDERS_MAX; i++)
        if (r->senders[i].node_id == node_id) return &r->senders[i];
    return NULL;
}

static void sender_end(struct sender *s)
{
    struct link *l = s->link;
    list_remove(&s->node);
    list_remove(&s->ready);
    *s = (struct sender){0};
    if (list_is_empty(&l->senders)) link_close(l);
}

/* NULL: where that node is, is not known, or there is no memory. */
static struct sender *sender_get(struct replica *r, uint64_t node_id)
{
    struct sender *s = sender_find(r, node_id);
    struct io_address address = {0};
    if (s != NULL) return s;
    s = sender_find(r, 0);
    if (s == NULL || r->assigned == NULL || !assignment_address(r->assigned, node_id, &address))
        return NULL;
    struct link *l = link_get(r->worker, node_id, address);
    if (l == NULL) return NULL;
    *s = (struct sender){.node_id = node_id, .link = l, .replica = r, .first = 1};
    list_init(&s->node);
    list_init(&s->ready);
    list_push_back(&l->senders, &s->node);
    return s;
}

/* Nothing of an earlier ballot is said any more. */
static void sender_follow(struct sender *s, uint64_t ballot)
{
    if (s->ballot == ballot) return;
    s->ballot = ballot;
    s->first = 1;
    s->last = 0;
    s->owes_commit_point = s->owes_ack = s->asks_for_more = false;
}

/* Prepares go on where the last one ended; or go back, where something was lost. */
static void add_range(struct sender *s, uint64_t first, uint64_t last)
{
    if (s->last < s->first || first < s->first) s->first = first;
    if (s->last < last) s->last = last;
}

/* Without a link there is none that could be mended: the worker tries again. */
static void not_said(struct replica *r, uint64_t to)
{
    struct worker *w = r->worker;
    MARK("nothing could be said to a member");
    if (w->unsaid.loop != NULL) return;
    LOG_WARN(&logger, "nothing can be said to a member now; trying on", field_u64("node", to));
    io_timer_start(w->loop, &w->unsaid, io_now(io_of(w->loop)).boot_ms + LINK_RETRY_MS_MAX);
}

void replica_send(struct replica *r, const struct repl_effect *effect)
{
    if (r->is_closing) return;
    struct sender *s = sender_get(r, effect->to);
    if (s == NULL) {
        not_said(r, effect->to);
        return;
    }
    sender_follow(s, effect->ballot);
    switch (effect->type) {
    case REPL_DO_PREPARE: add_range(s, effect->first, effect->last); break;
    case REPL_DO_COMMIT_POINT: s->owes_commit_point = true; break;
    case REPL_DO_ACK:
        s->owes_ack = true;
        s->ack = effect->last;
        s->committed = effect->committed;
        s->prepared = effect->prepared;
        s->asks_for_more = s->asks_for_more || effect->asks_for_more;
        break;
    default: CHECK_NEVER("nothing to be said to anybody");
    }
    if (list_is_empty(&s->ready)) list_push_back(&s->link->ready, &s->ready);
}

void replica_senders_sync(struct replica *r)
{
    for (size_t i = 0; i < SENDERS_MAX; i++) {
        struct sender *s = &r->senders[i];
        struct io_address address;
        const uint64_t to = s->node_id;
        if (to == 0) continue;
        bool is_member = assignment_address(r->assigned, to, &address);
        if (is_member && link_find(r->worker, to, address) == s->link) continue;
        sender_end(s);
        struct repl_event lost = {.type = REPL_LINK_LOST, .link_lost.to = to};
        if (is_member)
            replica_step(r, &lost); /* It has moved: what was on its way there is lost. */
    }
}

void replica_senders_end(struct replica *r)
{
    for (size_t i = 0; i < SENDERS_MAX; i++)
        if (r->senders[i].node_id != 0) sender_end(&r->senders[i]);
}

/* ---- A message -------------------------------------------------------------------------------------------------- */

struct message {
    uint64_t cluster_uuid;
    struct replicate_item *items; /* The worker's, used again. */
    uint32_t count;
    size_t size; /* Bytes of mutations. */
};

static bool is_full(const struct message *m)
{
    return m->count == LINK_ITEMS_MAX || m->size >= LINK_SIZE_MAX;
}

static struct replicate_item *add(struct message *m, const struct sender *s,
                                  enum replicate_kind kind, uint64_t decree)
{
    struct replicate_item *item = &m->items[m->count++];
    m->cluster_uuid =
        s->replica->assigned->cluster_uuid; /* All of one server are of one cluster. */
    *item = (struct replicate_item){.app_id = s->replica->gpid.app_id,
                                    .partition_index = s->replica->gpid.partition_index,
                                    .kind = (int32_t)kind,
                                    .ballot = (int64_t)s->ballot,
                                    .decree = (int64_t)decree};
    return item;
}

static void add_prepares(struct message *m, struct sender *s)
{
    const struct repl *p = &s->replica->repl;
    const bool is_learner = s->node_id == p->config.learner;
    if (s->first <= p->committed && !is_learner)
        s->first = p->committed + 1; /* All members hold that. */
    for (; s->first <= s->last && !is_full(m); s->first++) {
        const struct chunk *bytes = repl_tail_get(p, s->first);
        if (bytes == NULL) { /* What a member may lack is not committed, and stays. */
            CHECK(is_learner);
            MARK("the tail left a learner behind");
            s->first = s->last + 1; /* It hears how far we are, and asks (R12). */
            s->owes_commit_point = true;
            return;
        }
        struct replicate_item *item = add(m, s, REPLICATE_PREPARE, s->first);
        item->committed = (int64_t)p->committed;
        item->mutation = slice_of(bytes->data, bytes->capacity);
        m->size += bytes->capacity;
        s->owes_commit_point = false;
    }
}

static void add_ack(struct message *m, const struct sender *s)
{
    struct replicate_item *item = add(m, s, REPLICATE_ACK, s->ack);
    item->asks_for_more = s->asks_for_more;
    if (!s->asks_for_more) return;
    item->committed = (int64_t)s->committed;
    item->prepared = (int64_t)s->prepared;
}

/* What the sender has to say, as far as there is room. True: that was all. */
static bool add_sender(struct message *m, struct sender *s)
{
    if (s->ballot != s->replica->repl.config.ballot)
        sender_follow(s, s->replica->repl.config.ballot);
    add_prepares(m, s);
    if (s->owes_commit_point && !is_full(m)) {
        (void)add(m, s, REPLICATE_COMMIT_POINT, s->replica->repl.committed);
        s->owes_commit_point = false;
    }
    if (s->owes_ack && !is_full(m)) {
        add_ack(m, s);
        s->owes_ack = s->asks_for_more = false;
    }
    return s->first > s->last && !s->owes_commit_point && !s->owes_ack;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

static void lose(struct link *l)
{
    if (l->is_lost) return;
    MARK("message to another server lost");
    const uint64_t now_ms = io_now(io_of(l->worker->loop)).boot_ms;
    l->is_lost = true;
    if (l->retry_ms == 0) l->lost_since_ms = now_ms;
    l->retry_ms = l->retry_ms == 0 ? LINK_RETRY_MS_MIN : l->retry_ms * 2;
    if (l->retry_ms > LINK_RETRY_MS_MAX) l->retry_ms = LINK_RETRY_MS_MAX;
    io_timer_start(l->worker->loop, &l->retry, now_ms + l->retry_ms);
}

/* Everybody says again what the other side may not have. */
static void mend(struct io_timer *timer)
{
    struct link *l = LIST_ENTRY(timer, struct link, retry);
    const uint64_t now_ms = io_now(io_of(l->worker->loop)).boot_ms;
    const uint64_t silent_ms = now_ms - l->lost_since_ms;
    l->is_lost = false;
    for (struct list_node *next, *it = l->senders.next; it != &l->senders; it = next) {
        struct sender *s = LIST_ENTRY(it, struct sender, node);
        struct replica *r = s->replica;
        struct repl_event lost = {.type = REPL_LINK_LOST, .link_lost.to = s->node_id};
        struct repl_event silent = {.type = REPL_LINK_SILENT,
                                    .link_silent = {s->node_id, silent_ms}};
        next = it->next;
        replica_step(r, &lost);
        if (silent_ms >= LINK_SILENCE_MS) replica_step(r, &silent);
    }
}

static void on_answered(struct rpc_call *rpc, const struct rpc_answer *answer)
{
    struct link_call *call = LIST_ENTRY(rpc, struct link_call, rpc);
    struct link *l = call->link;
    struct arena arena = {0};
    struct replicate_response response = {0};
    int rc = answer->rc;
    call->link = NULL;
    if (rc == 0 && answer->error == WIRE_ERR_OK)
        rc = rpc_answer_read(answer, &replicate_response_schema, &arena, &response);
    bool is_taken =
        rc == 0 && answer->error == WIRE_ERR_OK && wire_error_find(response.err) == WIRE_ERR_OK;
    arena_fini(&arena);
    if (rc == E_CANCELED) return; /* The link closes. */
    if (is_taken) l->retry_ms = 0;
    else lose(l);
}

static struct link_call *call_idle(struct link *l)
{
    for (size_t i = 0; i < LINK_CALLS_MAX; i++)
        if (l->calls[i].link == NULL) return &l->calls[i];
    return NULL;
}

static void message_send(struct link *l, struct link_call *call, const struct message *m)
{
    struct replicate_request request = {.node_id = (int64_t)l->worker->node->node_id,
                                        .cluster_uuid = (int64_t)m->cluster_uuid,
                                        .items = {m->items, m->count}};
    call->rpc = (struct rpc_call){
        .rpc = RPC_REPLICATE,
        .schema = &replicate_request_schema,
        .args = &request,
        .deadline_ms = io_now(io_of(l->worker->loop)).boot_ms +
                       (l->retry_ms == 0 ? LINK_CALL_MS : LINK_SILENT_CALL_MS),
        .on_done = on_answered,
    };
    call->link = l;
    if (rpc_peer_call(l->peer, &call->rpc) == 0) return;
    call->link = NULL;
    lose(l);
}

/* One message: everybody who has something to say, in turn. */
static void message_make(struct link *l, struct message *m)
{
    struct list_node rest;
    list_init(&rest);
    while (!list_is_empty(&l->ready) && !is_full(m)) {
        struct list_node *node = list_pop_front(&l->ready);
        if (!add_sender(m, LIST_ENTRY(node, struct sender, ready))) list_push_back(&rest, node);
    }
    list_splice_back(&l->ready, &rest);
}

static void link_send(struct link *l)
{
    struct link_call *call;
    while (!l->is_lost && !list_is_empty(&l->ready) && (call = call_idle(l)) != NULL) {
        struct message m = {.items = l->worker->items};
        message_make(l, &m);
        if (m.count > 0) message_send(l, call, &m);
    }
}

void links_send(struct worker *w)
{
    LIST_EACH (it, &w->links) link_send(LIST_ENTRY(it, struct link, node));
}

/* ---- What found no link ------------------------------------------------------------------------------------------ */

static void say_again(struct replica *r)
{
    const struct repl_config config = r->repl.config;
    for (uint32_t i = 0; i < config.member_count; i++) {
        struct repl_event lost = {.type = REPL_LINK_LOST, .link_lost.to = config.members[i]};
        if (config.members[i] != r->repl.self && sender_find(r, config.members[i]) == NULL)
            replica_step(r, &lost);
    }
    struct repl_event lost = {.type = REPL_LINK_LOST, .link_lost.to = config.learner};
    if (config.learner != 0 && config.learner != r->repl.self &&
        sender_find(r, config.learner) == NULL)
        replica_step(r, &lost);
}

static void on_unsaid(struct io_timer *timer)
{
    struct worker *w = LIST_ENTRY(timer, struct worker, unsaid);
    for (uint32_t i = 0; i < WORKER_BUCKETS; i++)
        LIST_EACH (it, &w->replicas[i]) {
            struct replica *r = LIST_ENTRY(it, struct replica, node);
            if (!r->is_closing) say_again(r);
        }
}

void links_init(struct worker *w)
{
    list_init(&w->links);
    w->unsaid.run = on_unsaid;
}

void links_stop(struct worker *w)
{
    io_timer_stop(&w->unsaid);
}
