/* src/client/client.c: a cluster on its loop, and the way there and back for other threads. */
#include "client/client.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

struct client_table {
    struct list_node node;
    struct client *client;
    struct cluster_table *table;
    char name[];
};

struct client {
    struct io_loop *loop;
    struct cluster *cluster;
    struct list_node tables;
    uint64_t deadline_ms; /* Of what is waited for; 0: none. The asking thread's. */
    char metas[];
};

/* Something that another thread has done on the loop, and waits for. */
struct errand {
    struct io_post post;
    struct gate *gate;
    struct client *client;
    const char *name;           /* TABLE */
    struct client_table *table; /* TABLE: the outcome. */
    int rc;
};

static int run_errand(struct errand *errand, void (*run)(struct io_post *post))
{
    CHECK(!io_is_on(errand->client->loop));
    int rc = gate_new(1, &errand->gate);
    if (rc != 0) return rc;
    errand->post.run = run;
    io_post(errand->client->loop, &errand->post);
    gate_wait_free(errand->gate);
    return errand->rc;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

static void open_on_loop(struct io_post *post)
{
    struct errand *errand = LIST_ENTRY(post, struct errand, post);
    struct client *c = errand->client;
    struct cluster_options options = {.metas = c->metas, .framing = FRAME_RDSN};
    errand->rc = cluster_open(c->loop, &options, &c->cluster);
    gate_pass(errand->gate);
}

int client_open(struct io_loop *loop, const char *metas, struct client **out)
{
    size_t size = strlen(metas) + 1;
    struct client *c = mem_zalloc(sizeof *c + size);
    if (c == NULL) return E_NOMEM;
    c->loop = loop;
    list_init(&c->tables);
    memcpy(c->metas, metas, size);
    struct errand errand = {.client = c};
    int rc = run_errand(&errand, open_on_loop);
    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

static void on_closed(void *context)
{
    struct errand *errand = context;
    gate_pass(errand->gate);
}

static void close_on_loop(struct io_post *post)
{
    struct errand *errand = LIST_ENTRY(post, struct errand, post);
    cluster_close(errand->client->cluster, on_closed, errand);
}

void client_close(struct client *client)
{
    struct client *c = client;
    if (c == NULL) return;
    struct errand errand = {.client = c};
    CHECK(run_errand(&errand, close_on_loop) == 0); /* Without memory for a gate we cannot wait. */
    struct list_node *node;
    while ((node = list_pop_front(&c->tables)) != NULL)
        mem_free(LIST_ENTRY(node, struct client_table, node));
    mem_free(c);
}

struct io_loop *client_loop(const struct client *client)
{
    return client->loop;
}

const char *client_metas(const struct client *client)
{
    return client->metas;
}

void client_set_deadline(struct client *client, uint64_t boot_ms)
{
    client->deadline_ms = boot_ms;
}

uint32_t client_time_left_ms(const struct client *client, uint32_t timeout_ms)
{
    uint64_t now_ms = io_now(io_of(client->loop)).boot_ms;
    if (timeout_ms == 0) timeout_ms = CLIENT_TIMEOUT_MS_DEFAULT;
    if (client->deadline_ms == 0) return timeout_ms;
    if (client->deadline_ms <= now_ms) return 1;
    uint64_t left_ms = client->deadline_ms - now_ms;
    return left_ms < timeout_ms ? (uint32_t)left_ms : timeout_ms;
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static struct client_table *table_find(const struct client *c, const char *name)
{
    LIST_EACH (it, &c->tables) {
        struct client_table *t = LIST_ENTRY(it, struct client_table, node);
        if (strcmp(t->name, name) == 0) return t;
    }
    return NULL;
}

static int table_new(struct client *c, const char *name, struct client_table **out)
{
    size_t size = strlen(name) + 1;
    struct client_table *t = mem_zalloc(sizeof *t + size);
    if (t == NULL) return E_NOMEM;
    int rc = cluster_table_open(c->cluster, name, &t->table);
    if (rc != 0) {
        mem_free(t);
        return rc;
    }
    t->client = c;
    memcpy(t->name, name, size);
    list_push_back(&c->tables, &t->node);
    *out = t;
    return 0;
}

static void table_on_loop(struct io_post *post)
{
    struct errand *errand = LIST_ENTRY(post, struct errand, post);
    errand->table = table_find(errand->client, errand->name);
    if (errand->table == NULL) errand->rc = table_new(errand->client, errand->name, &errand->table);
    gate_pass(errand->gate);
}

int client_table(struct client *client, const char *name, struct client_table **out)
{
    struct errand errand = {.client = client, .name = name};
    int rc = run_errand(&errand, table_on_loop);
    if (rc == 0) *out = errand.table;
    return rc;
}

const char *client_table_name(const struct client_table *table)
{
    return table->name;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static void on_done(struct cluster_call *inner, const struct rpc_answer *answer)
{
    struct client_call *call = LIST_ENTRY(inner, struct client_call, call);
    call->on_done(call, answer);
}

static void start(struct client_call *call)
{
    struct cluster_call *inner = &call->call;
    uint32_t timeout_ms = call->timeout_ms != 0 ? call->timeout_ms : CLIENT_TIMEOUT_MS_DEFAULT;
    inner->rpc = call->rpc;
    inner->schema = rpc_info(call->rpc)->request;
    inner->args = call->args;
    inner->flags = call->flags;
    inner->deadline_ms = io_now(io_of(call->client->loop)).boot_ms + timeout_ms;
    inner->on_done = on_done;
    switch (call->to) {
    case CLIENT_META: cluster_call_meta(call->client->cluster, inner); break;
    case CLIENT_KEY: cluster_call_key(call->table->table, call->hash, inner); break;
    case CLIENT_PARTITION:
        cluster_call_partition(call->table->table, call->partition_index, call->hash, inner);
        break;
    }
}

static void start_on_loop(struct io_post *post)
{
    start(LIST_ENTRY(post, struct client_call, post));
}

void client_call(struct client *client, struct client_call *call)
{
    call->client = client;
    if (io_is_on(client->loop)) {
        start(call);
        return;
    }
    call->post.run = start_on_loop;
    io_post(client->loop, &call->post);
}
