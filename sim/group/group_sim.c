/* sim/group/group_sim.c: a group of one: what is proposed is written, then applied, then told.
 *
 * One thing at a time is under way in the pool ('task'): a batch of commands, or a snapshot. What
 * comes meanwhile waits. */
#include "sim/group/group_sim.h"

#include "base/check.h"
#include "base/mem.h"
#include "sim/group/log_sim.h"
#include "sim/io/sim_io.h"

enum { SNAPSHOT_EVERY = 1024, REPAIR_US = 1000000 };

enum task { TASK_NONE, TASK_WAIT, TASK_WRITE, TASK_SNAPSHOT };

struct op {
    struct list_node node;
    struct group_proposal *proposal; /* NULL: its end was told already. */
    uint64_t index;
    int rc;
    struct buf command, result;
};

struct group {
    struct io_loop *loop;
    struct group_handler handler;
    void *context;
    struct group_member self;
    uint64_t snapshot_every;
    struct log_sim log;

    uint64_t applied; /* Index of the last command. */
    uint64_t saved;   /* Index of the snapshot. */
    bool is_broken;   /* A write failed: the state must be saved anew. */
    enum task task;
    struct io_post begin; /* The task's start, some time after it was wanted. */
    struct io_work work;
    struct buf bytes; /* What the task writes. */
    int rc;           /* How it ended. */

    struct list_node waiting, batch, ended; /* struct op. */
    struct io_post tell;
    bool is_telling, is_closing;
    void (*on_closed)(void *context);
    void *closed_context;
};

static void next(struct group *g);

/* ---- Chance ---- */

static struct prng *chance(const struct group *g)
{
    return &g->loop->thread.machine->sim->prng;
}

static struct group_sim_faults faults_of(const struct group *g)
{
    const struct group_sim_faults *faults =
        sim_machine_fake(g->loop->thread.machine, GROUP_SIM_KIND);
    return faults == NULL ? (struct group_sim_faults){0} : *faults;
}

/* ---- Ends of proposals, told in a turn of their own ---- */

static void op_free(struct op *op)
{
    buf_fini(&op->command);
    buf_fini(&op->result);
    mem_free(op);
}

static void tell_soon(struct group *g)
{
    if (g->is_telling) return;
    g->is_telling = true;
    io_post(g->loop, &g->tell);
}

static void op_end(struct group *g, struct op *op, int rc)
{
    op->rc = rc;
    list_push_back(&g->ended, &op->node);
    tell_soon(g);
}

static void group_free(struct group *g)
{
    void (*on_closed)(void *context) = g->on_closed;
    void *context = g->closed_context;
    log_sim_close(&g->log);
    buf_fini(&g->bytes);
    mem_free(g);
    on_closed(context);
}

static void tell_run(struct io_post *post)
{
    struct group *g = LIST_ENTRY(post, struct group, tell);
    struct list_node *node;
    g->is_telling = false;
    while ((node = list_pop_front(&g->ended)) != NULL) {
        struct op *op = LIST_ENTRY(node, struct op, node);
        if (op->proposal != NULL)
            op->proposal->on_done(op->proposal, op->rc, buf_slice(&op->result));
        op_free(op);
    }
    if (g->is_closing && g->task == TASK_NONE && !g->is_telling) group_free(g);
}

/* ---- Writing ---- */

static void work_run(struct io_work *work)
{
    struct group *g = LIST_ENTRY(work, struct group, work);
    struct slice bytes = buf_slice(&g->bytes);
    g->rc = buf_status(&g->bytes);
    if (g->rc != 0) return;
    g->rc = g->task == TASK_WRITE ? log_sim_append(&g->log, bytes) : log_sim_save(&g->log, bytes);
}

static void begin_write(struct group *g)
{
    buf_clear(&g->bytes);
    list_splice_back(&g->batch, &g->waiting);
    uint64_t index = g->applied;
    LIST_EACH (node, &g->batch) {
        struct op *op = LIST_ENTRY(node, struct op, node);
        op->index = ++index;
        log_sim_encode(&g->bytes, op->index, buf_slice(&op->command));
    }
}

static void begin_snapshot(struct group *g)
{
    struct buf state = {0};
    g->handler.on_snapshot(g->context, &state);
    buf_clear(&g->bytes);
    log_sim_encode(&g->bytes, g->applied, buf_slice(&state));
    g->bytes.failed |= state.failed;
    buf_fini(&state);
}

static void begin_run(struct io_post *post)
{
    struct group *g = LIST_ENTRY(post, struct group, begin);
    bool is_due = g->is_broken || g->applied - g->saved >= g->snapshot_every;
    g->task = is_due ? TASK_SNAPSHOT : TASK_WRITE;
    if (is_due) begin_snapshot(g);
    else begin_write(g);
    io_work(g->loop, &g->work);
}

static void lead(struct group *g, bool is_leader)
{
    g->is_broken = !is_leader;
    if (g->handler.on_leader != NULL)
        g->handler.on_leader(g->context, is_leader ? g->self.address : (struct io_address){0});
}

static void on_written(struct group *g)
{
    struct list_node *node;
    while ((node = list_pop_front(&g->batch)) != NULL) {
        struct op *op = LIST_ENTRY(node, struct op, node);
        if (g->rc == 0) {
            g->applied = op->index;
            g->handler.on_apply(g->context, buf_slice(&op->command), &op->result);
        }
        op_end(g, op, g->rc == 0 ? 0 : E_UNKNOWN);
    }
    if (g->rc != 0) lead(g, false);
}

static void on_saved(struct group *g)
{
    if (g->rc != 0 && !g->is_broken) lead(g, false);
    if (g->rc != 0) return;
    g->saved = g->applied;
    if (g->is_broken) lead(g, true);
}

static void work_done(struct io_work *work)
{
    struct group *g = LIST_ENTRY(work, struct group, work);
    enum task task = g->task;
    g->task = TASK_NONE;
    if (task == TASK_WRITE) on_written(g);
    else on_saved(g);
    next(g);
}

static void cancel_waiting(struct group *g, int rc)
{
    struct list_node *node;
    while ((node = list_pop_front(&g->waiting)) != NULL)
        op_end(g, LIST_ENTRY(node, struct op, node), rc);
}

/* Begin what is to be done next, if anything. */
static void next(struct group *g)
{
    if (g->task != TASK_NONE) return;
    if (g->is_closing) cancel_waiting(g, E_CANCELED);
    if (g->is_broken) cancel_waiting(g, E_STATE);
    if (g->is_closing) {
        tell_soon(g); /* The last word is on_closed. */
        return;
    }
    bool has_work =
        g->is_broken || !list_is_empty(&g->waiting) || g->applied - g->saved >= g->snapshot_every;
    if (!has_work) return;
    uint64_t delay_us = g->is_broken ? REPAIR_US : prng_below(chance(g), faults_of(g).delay_us_max);
    g->task = TASK_WAIT;
    sim_loop_send(g->loop, &g->begin, sim_thread_now_us(g->loop->thread.machine->sim) + delay_us);
}

/* ---- Proposals ---- */

static struct op *op_new(struct group_proposal *p, struct slice command)
{
    struct op *op = mem_zalloc(sizeof *op);
    CHECK(op != NULL); /* A proposal never fails for want of memory. */
    op->proposal = p;
    list_init(&op->node);
    buf_append_slice(&op->command, command);
    CHECK(buf_status(&op->command) == 0);
    return op;
}

void group_propose(struct group *g, struct group_proposal *p, struct slice command)
{
    struct group_sim_faults faults = faults_of(g);
    sim_check_on(g->loop);
    struct op *op = op_new(p, command);
    if (g->is_closing || g->is_broken || prng_percent(chance(g), faults.refused_percent)) {
        op_end(g, op, E_STATE);
        return;
    }
    if (prng_percent(chance(g), faults.unknown_percent)) {
        bool happens = prng_percent(chance(g), 50);
        op_end(g, op, E_UNKNOWN);
        if (!happens) return;
        op = op_new(NULL, command);
    }
    list_push_back(&g->waiting, &op->node);
    next(g);
}

bool group_is_leader(const struct group *g)
{
    return !g->is_broken && !g->is_closing;
}

/* ---- Opening and closing ---- */

static int on_loaded_snapshot(void *context, uint64_t index, struct slice state)
{
    struct group *g = context;
    g->applied = g->saved = index;
    return g->handler.on_restore(g->context, state);
}

static void on_loaded_command(void *context, uint64_t index, struct slice command)
{
    struct group *g = context;
    struct buf result = {0};
    CHECK(index == g->applied + 1);
    g->applied = index;
    g->handler.on_apply(g->context, command, &result);
    buf_fini(&result);
}

static struct group *group_new(struct io_loop *loop, const struct group_options *options,
                               const struct group_handler *handler, void *context)
{
    struct group *g = mem_zalloc(sizeof *g);
    if (g == NULL) return NULL;
    g->loop = loop;
    g->handler = *handler;
    g->context = context;
    g->self = options->members[0];
    g->snapshot_every = options->snapshot_every == 0 ? SNAPSHOT_EVERY : options->snapshot_every;
    g->begin.run = begin_run;
    g->tell.run = tell_run;
    g->work.run = work_run;
    g->work.done = work_done;
    list_init(&g->waiting);
    list_init(&g->batch);
    list_init(&g->ended);
    return g;
}

int group_open(struct io_loop *loop, const struct group_options *options,
               const struct group_handler *handler, void *context, struct group **out,
               struct err *e)
{
    static const struct log_sim_handler log_handler = {on_loaded_snapshot, on_loaded_command};
    CHECK(options->member_count == 1 && options->members[0].id == options->self_id);
    struct group *g = group_new(loop, options, handler, context);
    if (g == NULL) return err_set(e, E_NOMEM, "group %s", options->dir);
    bool before = sim_thread_may_block(true); /* As the port allows. */
    int rc = log_sim_open(&g->log, io_of(loop), options->dir, &log_handler, g);
    (void)sim_thread_may_block(before);
    if (rc != 0) {
        mem_free(g);
        return err_set(e, rc, "group %s: %s", options->dir, err_text(rc));
    }
    if (handler->on_leader != NULL) handler->on_leader(context, g->self.address);
    *out = g;
    return 0;
}

void group_close(struct group *g, void (*on_closed)(void *context), void *context)
{
    sim_check_on(g->loop);
    CHECK(!g->is_closing);
    g->is_closing = true;
    g->on_closed = on_closed;
    g->closed_context = context;
    next(g);
}
