/* tests/log/world.c: loops, batches and reads behind the sentences. */
#include "log/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

enum { BATCHES_MAX = 256, SETTLE_US = 60 * 1000 * 1000, OPEN_US = 1000 * 1000 };

struct batch {
    struct log_batch log;
    struct io_post post;
    struct log_entry *entries;
    uint8_t *bytes;
    int rc;
};

static struct batch batches[BATCHES_MAX]; /* Of the world that lives: there is one at a time. */
static size_t batch_count, batches_done;

struct gpid world_gpid(int part)
{
    return (struct gpid){1, part};
}

/* ---- The content of records ---- */

static void content_fill(uint8_t *to, size_t size, int part, uint64_t decree, uint64_t ballot)
{
    struct prng prng;
    prng_init(&prng, decree * 1000003 + ballot * 101 + (uint64_t)part);
    prng_bytes(&prng, to, size);
}

static void content_check(struct slice bytes, int part, uint64_t decree, uint64_t ballot)
{
    uint8_t *wanted = malloc(bytes.size);
    CHECK(wanted != NULL);
    content_fill(wanted, bytes.size, part, decree, ballot);
    CHECK(memcmp(wanted, bytes.data, bytes.size) == 0);
    free(wanted);
}

void world_content(uint8_t *to, size_t size, int part, uint64_t decree, uint64_t ballot)
{
    content_fill(to, size, part, decree, ballot);
}

/* ---- Messages to the worker ---- */

static struct list_node messages; /* Of the process that lives. */

struct message {
    struct list_node node;
    struct io_post post;
    struct world *world;
    void (*run)(struct world *w, int part, uint64_t a, uint64_t b);
    int part;
    uint64_t a, b;
};

static void message_run(struct io_post *post)
{
    struct message *m = LIST_ENTRY(post, struct message, post);
    m->run(m->world, m->part, m->a, m->b);
}

/* Those of a process that has ended. */
static void messages_free(void)
{
    struct list_node *node;
    while (messages.next != NULL && (node = list_pop_front(&messages)) != NULL)
        free(LIST_ENTRY(node, struct message, node));
    list_init(&messages);
}

/* ---- The machine ---- */

static void program(struct sim_machine *m, void *context)
{
    (void)m;
    (void)context;
}

static void batches_free(void)
{
    for (size_t i = 0; i < batch_count; i++) {
        free(batches[i].entries);
        free(batches[i].bytes);
    }
    batch_count = batches_done = 0;
}

void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    batches_free();
    messages_free();
    w->sim = sim_new(seed);
    w->machine = sim_machine_new(w->sim, "disk");
    w->io = sim_machine_io(w->machine);
    w->options = (struct log_options){
        .dir = "/log",
        .sync = LOG_SYNC_GROUP,
        .segment_size = LOG_SEGMENT_SIZE_MIN,
        .flush_size = UINT64_MAX,
        .ship_size = UINT64_MAX,
        .backlog_size_max = UINT64_MAX,
    };
    for (int i = 0; i < PARTITIONS; i++) w->parts[i].is_listed = true;
    sim_machine_start(w->machine, (struct sim_program){program, NULL});
}

void world_fini(struct world *w)
{
    sim_free(w->sim);
    batches_free();
    messages_free();
}

void world_crash(struct world *w, enum sim_end how)
{
    if (sim_machine_is_up(w->machine)) sim_machine_crash(w->machine, how);
    w->log = NULL;
    w->worker = NULL;
    batches_free();
    messages_free();
    sim_machine_restart(w->machine);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

void world_settle(struct world *w)
{
    (void)sim_run_until(w->sim, never, NULL, 2 * 1000 * 1000);
}

/* ---- Opening ---- */

static int on_record(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                     struct slice mutation)
{
    struct world *w = context;
    struct part *p = &w->parts[gpid.partition_index];
    CHECK(gpid.app_id == 1 && decree < DECREES_MAX && p->is_listed);
    CHECK(decree > p->durable && decree <= p->replayed + 1);
    content_check(mutation, gpid.partition_index, decree, ballot);
    p->replayed = decree;
    p->ballot[decree] = ballot;
    return 0;
}

static void on_damaged(void *context, struct gpid gpid, uint64_t decree, const char *why)
{
    struct world *w = context;
    struct part *p = &w->parts[gpid.partition_index];
    CHECK(p->damaged_above == UINT64_MAX);
    p->damaged_above = decree;
    (void)snprintf(p->why, sizeof p->why, "%s", why);
}

static void on_flush_wanted(struct log_hold *hold)
{
    LIST_ENTRY(hold, struct part, hold)->flush_wanted++;
}

static void on_backlog_over(struct log_hold *hold)
{
    LIST_ENTRY(hold, struct part, hold)->backlog_over++;
}

static void on_failed(struct log_hold *hold)
{
    LIST_ENTRY(hold, struct part, hold)->failed++;
}

static const struct log_hold_handler hold_handler = {on_flush_wanted, on_backlog_over, on_failed};

static void do_open(void *context)
{
    struct world *w = context;
    static const struct log_replay_handler handler = {on_record, on_damaged};
    struct log_replica replicas[PARTITIONS];
    size_t count = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        struct part *p = &w->parts[i];
        p->replayed = p->durable;
        p->damaged_above = UINT64_MAX;
        p->flush_wanted = p->backlog_over = p->failed = p->forgotten = 0;
        if (p->is_listed) replicas[count++] = (struct log_replica){world_gpid(i), p->durable};
    }
    w->rc = log_open(w->io, &w->options, replicas, count, &handler, w, &w->log, &w->err);
    if (w->rc != 0) return;
    w->rc = log_start(w->log);
    if (w->rc == 0) w->rc = io_loop_open(w->io, IO_LOOP_EVENTS, "worker", &w->worker);
    for (int i = 0; i < PARTITIONS; i++)
        log_hold_init(&w->parts[i].hold, w->log, world_gpid(i), w->worker, &hold_handler);
}

int world_open(struct world *w)
{
    w->log = NULL;
    int rc = sim_machine_do(w->machine, do_open, w) ? w->rc : E_CLOSED;
    sim_run_us(w->sim, OPEN_US); /* Let the world's time catch up with the process's. */
    return rc;
}

/* ---- On the worker ---- */

static void do_post(void *context)
{
    struct message *m = context;
    io_post(m->world->worker, &m->post);
}

static void on_worker(struct world *w,
                      void (*run)(struct world *w, int part, uint64_t a, uint64_t b), int part,
                      uint64_t a, uint64_t b)
{
    struct message *m = malloc(sizeof *m);
    CHECK(m != NULL);
    *m = (struct message){
        .post = {.run = message_run}, .world = w, .run = run, .part = part, .a = a, .b = b};
    list_push_back(&messages, &m->node);
    (void)sim_machine_do(w->machine, do_post,
                         m); /* A dead machine doesn't answer, and that shows. */
}

/* ---- Writing ---- */

static void on_batch_done(struct log_batch *log_batch, int rc)
{
    struct batch *batch = LIST_ENTRY(log_batch, struct batch, log);
    batch->rc = rc;
    batches_done++;
}

static void do_submit(struct world *w, int part, uint64_t index, uint64_t unused)
{
    (void)part;
    (void)unused;
    log_submit(w->log, &batches[index].log);
}

static void batch_make(struct world *w, struct batch *b, int part, uint64_t ballot, uint64_t first,
                       uint64_t last, size_t size)
{
    size_t count = (size_t)(last - first + 1);
    *b = (struct batch){.rc = 1};
    b->entries = calloc(count, sizeof *b->entries);
    b->bytes = malloc(count * size);
    CHECK(b->entries != NULL && b->bytes != NULL);
    for (size_t i = 0; i < count; i++) {
        uint8_t *at = b->bytes + i * size;
        content_fill(at, size, part, first + i, ballot);
        b->entries[i] = (struct log_entry){world_gpid(part), first + i, ballot, slice_of(at, size)};
    }
    b->log = (struct log_batch){
        .loop = w->worker, .entries = b->entries, .count = count, .on_done = on_batch_done};
}

static size_t submit(struct world *w, int part, uint64_t ballot, uint64_t first, uint64_t last,
                     size_t size)
{
    CHECK(batch_count < BATCHES_MAX);
    batch_make(w, &batches[batch_count], part, ballot, first, last, size);
    on_worker(w, do_submit, part, batch_count, 0);
    return batch_count++;
}

void world_submit(struct world *w, int part, uint64_t first, uint64_t last, size_t size)
{
    (void)submit(w, part, 1, first, last, size);
}

size_t world_batch_count(const struct world *w)
{
    (void)w;
    return batch_count;
}

int world_batch_rc(const struct world *w, size_t index)
{
    (void)w;
    CHECK(index < batch_count);
    return batches[index].rc;
}

static bool are_batches_done(void *context)
{
    (void)context;
    return batches_done == batch_count;
}

int world_append_ballot(struct world *w, int part, uint64_t ballot, uint64_t first, uint64_t last,
                        size_t size)
{
    if (batch_count == BATCHES_MAX && batches_done == batch_count) batches_free();
    size_t index = submit(w, part, ballot, first, last, size);
    if (!sim_run_until(w->sim, are_batches_done, NULL, SETTLE_US)) return 1;
    w->parts[part].ballot[last] = ballot;
    return batches[index].rc;
}

int world_append(struct world *w, int part, uint64_t first, uint64_t last, size_t size)
{
    return world_append_ballot(w, part, 1, first, last, size);
}

/* ---- Holding ---- */

static void do_hold(struct world *w, int part, uint64_t durable, uint64_t confirmed)
{
    log_hold_set(&w->parts[part].hold, durable, confirmed);
}

void world_hold(struct world *w, int part, uint64_t durable, uint64_t confirmed)
{
    on_worker(w, do_hold, part, durable, confirmed);
    world_settle(w);
}

static void on_forgotten(struct log_hold *hold)
{
    LIST_ENTRY(hold, struct part, hold)->forgotten++;
}

static void do_forget(struct world *w, int part, uint64_t a, uint64_t b)
{
    (void)a;
    (void)b;
    log_forget(&w->parts[part].hold, on_forgotten);
}

void world_forget(struct world *w, int part)
{
    on_worker(w, do_forget, part, 0, 0);
    world_settle(w);
}

/* ---- Reading ---- */

static void on_read_done(struct log_read *r, int rc)
{
    struct world *w = LIST_ENTRY(r, struct world, read);
    w->rc = rc;
    w->is_read_done = true;
    CHECK((rc == 0) == (r->count > 0));
    for (size_t i = 0; i < r->count; i++) {
        const struct log_entry *e = &r->entries[i];
        CHECK(e->decree == r->from_decree + i && e->decree <= r->to_decree);
        content_check(e->mutation, r->gpid.partition_index, e->decree, e->ballot);
        w->read_last = e->decree;
        w->parts[r->gpid.partition_index].ballot[e->decree] = e->ballot;
    }
}

static void do_read(struct world *w, int part, uint64_t from, uint64_t to)
{
    w->read = (struct log_read){
        .gpid = world_gpid(part),
        .from_decree = from,
        .to_decree = to,
        .size_max = 64 << 10,
        .count_max = 1000,
        .loop = w->worker,
        .on_done = on_read_done,
    };
    log_read(w->log, &w->read);
}

static bool is_read_done(void *context)
{
    return ((struct world *)context)->is_read_done;
}

void world_read_start(struct world *w, int part, uint64_t from, uint64_t to)
{
    w->is_read_done = false;
    w->read_first = from;
    w->read_last = 0;
    on_worker(w, do_read, part, from, to);
}

int world_read(struct world *w, int part, uint64_t from, uint64_t to)
{
    world_read_start(w, part, from, to);
    return sim_run_until(w->sim, is_read_done, w, SETTLE_US) ? w->rc : E_CLOSED;
}

bool world_reads_all(struct world *w, int part, uint64_t from, uint64_t to)
{
    while (from <= to) {
        if (world_read(w, part, from, to) != 0) return false;
        from = w->read_last + 1;
    }
    return true;
}

/* ---- Ending ---- */

struct ending {
    struct log_stop stop;
    struct world *world;
};

static void on_ended(struct log_stop *stop)
{
    LIST_ENTRY(stop, struct ending, stop)->world->is_stopped = true;
}

static struct ending ending;

static void do_stop(struct world *w, int part, uint64_t a, uint64_t b)
{
    (void)part;
    (void)a;
    (void)b;
    ending = (struct ending){{.loop = w->worker, .on_stopped = on_ended}, w};
    log_stop(w->log, &ending.stop);
}

static bool is_stopped(void *context)
{
    return ((struct world *)context)->is_stopped;
}

static void do_close(void *context)
{
    struct world *w = context;
    log_close(w->log);
    io_loop_close(w->worker);
    w->log = NULL;
    w->worker = NULL;
}

void world_close(struct world *w)
{
    w->is_stopped = false;
    on_worker(w, do_stop, 0, 0, 0);
    CHECK(sim_run_until(w->sim, is_stopped, w, SETTLE_US));
    CHECK(sim_machine_do(w->machine, do_close, w));
    sim_machine_exit(w->machine);
    sim_machine_restart(w->machine);
}

/* ---- Looking ---- */

struct log_stats world_stats(struct world *w)
{
    struct log_stats stats;
    log_stats(w->log, &stats);
    return stats;
}

struct counting {
    struct world *world;
    const char *dir, *prefix;
    size_t count;
};

static void count_name(void *context, const char *name)
{
    struct counting *c = context;
    if (strncmp(name, c->prefix, strlen(c->prefix)) == 0) c->count++;
}

static void do_count(void *context)
{
    struct counting *c = context;
    c->world->rc = io_dir_list(c->world->io, c->dir, count_name, c);
}

size_t world_files(struct world *w, const char *dir, const char *prefix)
{
    struct counting c = {w, dir, prefix, 0};
    CHECK(sim_machine_do(w->machine, do_count, &c));
    return c.count;
}
