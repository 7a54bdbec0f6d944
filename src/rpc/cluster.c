/* src/rpc/cluster.c: a cluster, and the life of a call between its tries. */
#include "rpc/cluster.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/cluster_impl.h"

enum {
    PAUSE_MS_MIN = 8, /* Doubled each time, less a random half... */
    PAUSE_MS_MAX = 1000,
    DOUBT_MS = 2000,      /* A server that is alive answers nearly everything in less. */
    DOUBT_PAUSE_MS = 100, /* So often at most all that flies is looked at. */
};

static void run_timer(struct io_timer *timer);
static void run_doubt(struct io_timer *timer);
static void run_ends(struct io_post *post);

/* ---- Opening and closing --------------------------------------------------------------------- */

int cluster_open(struct io_loop *loop, const struct cluster_options *options, struct cluster **out)
{
    struct cluster *c = mem_zalloc(sizeof *c);
    if (c == NULL) return E_NOMEM;
    c->loop = loop;
    c->peer_options.framing = options->framing;
    c->peer_options.bytes_max = options->peer_bytes_max;
    c->is_unsure = true;
    prng_init(&c->prng, io_seed(io_of(loop)));
    peers_init(c);
    list_init(&c->tables);
    list_init(&c->pausing);
    list_init(&c->flying);
    list_init(&c->ending);
    c->timer.run = run_timer;
    c->doubt_timer.run = run_doubt;
    c->timer_ms = UINT64_MAX;
    c->end_post.run = run_ends;
    int rc = metas_init(c, options->metas);
    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

static void end_all_soon(struct list_node *list)
{
    while (!list_is_empty(list))
        call_end_soon(LIST_ENTRY(list->next, struct cluster_call, node), E_CANCELED);
}

void cluster_close(struct cluster *cluster, void (*on_closed)(void *context), void *context)
{
    struct cluster *c = cluster;
    CHECK(!c->is_closing);
    c->is_closing = true;
    c->on_closed = on_closed;
    c->closed_context = context;
    io_timer_stop(&c->timer);
    io_timer_stop(&c->doubt_timer);
    LIST_EACH (it, &c->tables) {
        struct cluster_table *t = LIST_ENTRY(it, struct cluster_table, node);
        cluster_call_cancel(&t->query);
        end_all_soon(&t->waiting);
    }
    end_all_soon(&c->unresolved);
    end_all_soon(&c->pausing);
    end_all_soon(&c->flying);
    peers_close(c);
    if (c->is_end_posted) return;
    c->is_end_posted = true; /* So that the end comes later, also when nothing is left. */
    io_post(c->loop, &c->end_post);
}

void cluster_check_closed(struct cluster *c)
{
    if (!c->is_closing || c->is_end_posted || c->peer_count > 0 || c->resolving.is_running) return;
    void (*on_closed)(void *context) = c->on_closed;
    void *context = c->closed_context;
    struct list_node *node;
    while ((node = list_pop_front(&c->tables)) != NULL)
        table_free(LIST_ENTRY(node, struct cluster_table, node));
    heap_fini(&c->wakes);
    heap_fini(&c->alarms);
    mem_free(c->resolving.names);
    mem_free(c->metas_text);
    mem_free(c);
    if (on_closed != NULL) on_closed(context);
}

/* ---- A call's beginning ---------------------------------------------------------------------- */

static void begin(struct cluster *c, struct cluster_table *table, struct cluster_call *call)
{
    CHECK(call->state == CALL_IDLE && !c->is_closing);
    call->cluster = c;
    call->table = table;
    call->server = (struct io_address){0};
    call->partition_index = -1;
    call->tries = 0;
    call->ballot = 0;
    call->backoff_ms = 0;
    call->hops = 0;
    call->error = WIRE_ERR_OK;
    call_try(call);
}

void cluster_call_meta(struct cluster *cluster, struct cluster_call *call)
{
    call->hash = 0;
    begin(cluster, NULL, call);
}

void cluster_call_key(struct cluster_table *table, uint64_t hash, struct cluster_call *call)
{
    call->is_by_key = true;
    call->hash = hash;
    begin(table->cluster, table, call);
}

void cluster_call_partition(struct cluster_table *table, uint32_t partition_index, uint64_t hash,
                            struct cluster_call *call)
{
    call->is_by_key = false;
    call->wanted_index = partition_index;
    call->hash = hash;
    begin(table->cluster, table, call);
}

void call_try(struct cluster_call *call)
{
    if (call->table != NULL) table_try(call);
    else metas_try(call);
}

/* ---- States ---------------------------------------------------------------------------------- */

/* Out of the state it is in, whichever that is. */
static void leave(struct cluster_call *call)
{
    if (call->state == CALL_IDLE) return;
    if (call->state == CALL_FLYING) rpc_call_cancel(&call->call);
    list_remove(&call->node);
    heap_remove(&call->cluster->wakes, &call->wake);
    call->state = CALL_IDLE;
}

static void enter(struct cluster_call *call, enum call_state state, struct list_node *list)
{
    leave(call);
    call->state = (int)state;
    list_push_back(list, &call->node);
}

/* Have it looked at when the time has come. */
static void set_wake(struct cluster_call *call, uint64_t at_ms)
{
    struct cluster *c = call->cluster;
    call->wake = (struct heap_node){.key = at_ms};
    if (heap_push(&c->wakes, &call->wake) != 0) call_end_soon(call, E_NOMEM);
    else cluster_set_timer(c);
}

void call_wait(struct cluster_call *call, struct list_node *list)
{
    enter(call, CALL_WAITING, list);
    set_wake(call, call->deadline_ms);
}

void call_pause(struct cluster_call *call)
{
    struct cluster *c = call->cluster;
    uint32_t pause_ms = call->backoff_ms * 2;
    if (pause_ms < PAUSE_MS_MIN) pause_ms = PAUSE_MS_MIN;
    if (pause_ms > PAUSE_MS_MAX) pause_ms = PAUSE_MS_MAX;
    call->backoff_ms = pause_ms;
    call->hops = 0;
    uint64_t at_ms = cluster_now_ms(c) + pause_ms - prng_below(&c->prng, pause_ms / 2 + 1);
    enter(call, CALL_PAUSING, &c->pausing);
    set_wake(call, at_ms < call->deadline_ms ? at_ms : call->deadline_ms);
}

void call_end(struct cluster_call *call, const struct rpc_answer *answer)
{
    leave(call);
    call->on_done(call, answer);
}

void call_end_soon(struct cluster_call *call, int rc)
{
    struct cluster *c = call->cluster;
    enter(call, CALL_ENDING, &c->ending);
    call->rc = rc;
    if (c->is_end_posted) return;
    c->is_end_posted = true;
    io_post(c->loop, &c->end_post);
}

static void run_ends(struct io_post *post)
{
    struct cluster *c = LIST_ENTRY(post, struct cluster, end_post);
    while (!list_is_empty(&c->ending)) {
        struct cluster_call *call = LIST_ENTRY(c->ending.next, struct cluster_call, node);
        call_end(call, &(struct rpc_answer){
                           .rc = call->rc, .is_sent = call->rc == E_UNKNOWN, .error = call->error});
    }
    c->is_end_posted = false;
    cluster_check_closed(c);
}

void cluster_call_cancel(struct cluster_call *call)
{
    leave(call);
}

/* ---- A try ----------------------------------------------------------------------------------- */

static void on_done(struct rpc_call *try, const struct rpc_answer *answer)
{
    struct cluster_call *call = LIST_ENTRY(try, struct cluster_call, call);
    leave(call);
    if (answer->rc == 0 && answer->error != WIRE_ERR_OK) call->error = answer->error;
    if (call->table != NULL) table_answered(call, answer);
    else metas_answered(call, answer);
}

int call_send(struct cluster_call *call, struct io_address server, int32_t app_id,
              int32_t partition_index, uint64_t deadline_ms)
{
    struct cluster *c = call->cluster;
    struct rpc_peer *peer;
    int rc = peers_get(c, server, &peer);
    if (rc != 0) return rc;

    struct rpc_call *try = &call->call;
    try->rpc = call->rpc;
    try->app_id = app_id;
    try->partition_index = partition_index;
    try->partition_hash = call->hash;
    try->schema = call->schema;
    try->args = call->args;
    try->write = call->write;
    try->deadline_ms = deadline_ms;
    try->fails_when_down = true; /* So that another server is looked for at once. */
    try->on_done = on_done;
    call->server = server;
    call->tries++;
    rc = rpc_peer_call(peer, try);
    if (rc != 0) return rc;
    enter(call, CALL_FLYING, &c->flying);
    call->asked_ms = cluster_now_ms(c);
    if (c->doubt_timer.loop == NULL)
        io_timer_start(c->loop, &c->doubt_timer, call->asked_ms + DOUBT_MS);
    return 0;
}

static void run_doubt(struct io_timer *timer)
{
    struct cluster *c = LIST_ENTRY(timer, struct cluster, doubt_timer);
    const uint64_t now_ms = cluster_now_ms(c);
    uint64_t next_ms = UINT64_MAX;
    LIST_EACH (it, &c->flying) {
        struct cluster_call *call = LIST_ENTRY(it, struct cluster_call, node);
        bool is_due = call->asked_ms + DOUBT_MS <= now_ms;
        if (is_due) call->asked_ms = now_ms;
        if (is_due && call->table != NULL) table_doubt(call);
        if (call->asked_ms + DOUBT_MS < next_ms) next_ms = call->asked_ms + DOUBT_MS;
    }
    if (next_ms < now_ms + DOUBT_PAUSE_MS) next_ms = now_ms + DOUBT_PAUSE_MS;
    if (!list_is_empty(&c->flying)) io_timer_start(c->loop, timer, next_ms);
}

bool call_is_repeatable(const struct cluster_call *call)
{
    if ((call->flags & CLUSTER_REPEAT_UNKNOWN) != 0) return true;
    switch (call->rpc) {
    case RPC_INCR:
    case RPC_CHECK_AND_SET:
    case RPC_CHECK_AND_MUTATE:
    case RPC_CREATE_APP: /* The second time it says that the table exists, and so on. */
    case RPC_DROP_APP:
    case RPC_RECALL_APP:
    case RPC_RENAME_APP:
    case RPC_ADD_DUPLICATION:
    case RPC_PROPOSE: return false;
    default: return true;
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

uint64_t cluster_now_ms(struct cluster *c)
{
    return io_now(io_of(c->loop)).boot_ms;
}

void cluster_set_timer(struct cluster *c)
{
    const struct heap_node *wake = heap_top(&c->wakes), *alarm = heap_top(&c->alarms);
    uint64_t at_ms = wake != NULL ? wake->key : UINT64_MAX;
    if (alarm != NULL && alarm->key < at_ms) at_ms = alarm->key;
    if (at_ms == c->timer_ms || c->is_closing) return;
    c->timer_ms = at_ms;
    if (at_ms == UINT64_MAX) io_timer_stop(&c->timer);
    else io_timer_start(c->loop, &c->timer, at_ms);
}

/* A pause is over, or a deadline has come. */
static void wake(struct cluster_call *call, uint64_t now_ms)
{
    leave(call);
    if (now_ms < call->deadline_ms) call_try(call);
    else
        call_end(call, &(struct rpc_answer){
                           .rc = E_TIMEOUT, .is_sent = call->tries > 0, .error = call->error});
}

static void run_timer(struct io_timer *timer)
{
    struct cluster *c = LIST_ENTRY(timer, struct cluster, timer);
    uint64_t now_ms = cluster_now_ms(c);
    c->timer_ms = UINT64_MAX;
    struct heap_node *node;
    while (!c->is_closing && (node = heap_top(&c->alarms)) != NULL && node->key <= now_ms)
        table_tick(LIST_ENTRY(node, struct cluster_table, alarm));
    while (!c->is_closing && (node = heap_top(&c->wakes)) != NULL && node->key <= now_ms)
        wake(LIST_ENTRY(node, struct cluster_call, wake), now_ms);
    cluster_set_timer(c);
}
