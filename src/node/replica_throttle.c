/* src/node/replica_throttle.c: requests that a table's limits make wait. */
#include "node/replica_throttle.h"

#include <string.h>

#include "base/mem.h"
#include "node/worker.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "replica"};

enum {
    DELAYED_MAX = 1024, /* Requests that wait, of one replica; those above are refused at once. */
};

struct replica_throttle {
    struct throttle writes, write_bytes, reads, backup_reads;
    struct throttle_bucket read_bytes;
};

/* What a request that waits keeps in itself. */
struct delay {
    struct io_timer timer;
    struct replica *replica;
    struct rpc_request *request;
    enum throttle_verdict verdict;
};
_Static_assert(sizeof(struct delay) <= RPC_OWNER_SIZE, "fits into the request");

/* ---- Limits
 * -------------------------------------------------------------------------------------------- */

static bool is_limit(const struct throttle_rule *rule)
{
    return rule->delay_units > 0 || rule->reject_units > 0;
}

static bool has_limits(const struct assignment_throttles *a)
{
    return is_limit(&a->writes) || is_limit(&a->write_bytes) || is_limit(&a->reads) ||
           is_limit(&a->backup_reads) || a->read_bytes > 0;
}

void replica_throttle_assign(struct replica *r)
{
    const struct assignment_throttles *a = &r->assigned->throttles;
    uint32_t partitions = r->assigned->partition_count;
    if (!has_limits(a)) {
        replica_throttle_free(r);
        return;
    }
    if (r->throttle == NULL) r->throttle = mem_zalloc(sizeof *r->throttle);
    struct replica_throttle *t = r->throttle;
    if (t == NULL) {
        LOG_ERROR(&logger, "no memory for throttling", field_str("dir", r->dir));
        return;
    }
    throttle_set(&t->writes, &a->writes, partitions);
    throttle_set(&t->write_bytes, &a->write_bytes, partitions);
    throttle_set(&t->reads, &a->reads, partitions);
    throttle_set(&t->backup_reads, &a->backup_reads, partitions);
    throttle_bucket_set(&t->read_bytes, a->read_bytes, partitions, replica_now(r).boot_ms);
}

void replica_throttle_free(struct replica *r)
{
    mem_free(r->throttle);
    r->throttle = NULL;
}

/* ---- Waiting
 * ------------------------------------------------------------------------------------------- */

static bool is_write(const struct rpc_request *request)
{
    return rpc_info(request->frame.code)->kind == RPC_KIND_WRITE;
}

static void refuse(struct replica *r, struct rpc_request *request, enum wire_error error)
{
    struct replica_metrics *m = &r->metrics;
    metric_counter_add(is_write(request) ? &m->write_errors : &m->read_errors, 1);
    rpc_reply_error(request, error);
}

/* Its time has come: it goes where it was going, or hears that it may not. */
static void on_waited(struct io_timer *timer)
{
    struct delay *d = LIST_ENTRY(timer, struct delay, timer);
    struct replica *r = d->replica;
    struct rpc_request *request = d->request;
    enum throttle_verdict verdict = d->verdict;
    list_remove(&request->node);
    r->delayed_count--;
    memset(request->owner, 0, sizeof *d);
    if (verdict == THROTTLE_REJECT) refuse(r, request, WIRE_ERR_BUSY);
    else if (is_write(request)) replica_on_write(r, request, true);
    else replica_on_read(r, request, true);
}

static void wait_ms(struct replica *r, struct rpc_request *request, enum throttle_verdict verdict,
                    uint32_t ms)
{
    if (ms == 0 || r->delayed_count >= DELAYED_MAX) {
        refuse(r, request, WIRE_ERR_BUSY);
        return;
    }
    struct delay *d = (struct delay *)(void *)request->owner;
    *d = (struct delay){
        .timer.run = on_waited, .replica = r, .request = request, .verdict = verdict};
    list_push_back(&r->delayed, &request->node);
    r->delayed_count++;
    io_timer_start(r->worker->loop, &d->timer, replica_now(r).boot_ms + ms);
}

void replica_throttle_end(struct replica *r)
{
    for (struct list_node *n; (n = list_pop_front(&r->delayed)) != NULL;) {
        struct rpc_request *request = LIST_ENTRY(n, struct rpc_request, node);
        io_timer_stop(&((struct delay *)(void *)request->owner)->timer);
        r->delayed_count--;
        refuse(r, request, WIRE_ERR_INVALID_STATE);
    }
}

/* ---- Asking
 * -------------------------------------------------------------------------------------------- */

static enum throttle_verdict ask(struct replica *r, struct throttle *t, size_t units,
                                 const struct rpc_request *request, uint32_t *ms)
{
    return throttle_ask(t, replica_now(r).wall_us / 1000000, (uint32_t)units,
                        request->frame.timeout_ms, ms);
}

bool replica_throttle_write(struct replica *r, struct rpc_request *request)
{
    struct replica_throttle *t = r->throttle;
    uint32_t ms = 0;
    enum throttle_verdict verdict = ask(r, &t->writes, 1, request, &ms);
    if (verdict == THROTTLE_PASS)
        verdict = ask(r, &t->write_bytes, request->frame.body_size, request, &ms);
    if (verdict == THROTTLE_PASS) return false;
    metric_counter_add(
        verdict == THROTTLE_DELAY ? &r->metrics.writes_delayed : &r->metrics.writes_rejected, 1);
    wait_ms(r, request, verdict, ms);
    return true;
}

/* A client that asks two servers at once has another answer coming: it hears of no refusal. */
static bool throttle_backup_read(struct replica *r, struct rpc_request *request)
{
    uint32_t ms = 0;
    enum throttle_verdict verdict = ask(r, &r->throttle->backup_reads, 1, request, &ms);
    if (verdict == THROTTLE_PASS) return false;
    if (verdict == THROTTLE_DELAY) {
        metric_counter_add(&r->metrics.backup_reads_delayed, 1);
        wait_ms(r, request, verdict, ms);
    } else {
        metric_counter_add(&r->metrics.backup_reads_rejected, 1);
        rpc_drop(request);
    }
    return true;
}

bool replica_throttle_read(struct replica *r, struct rpc_request *request)
{
    struct replica_throttle *t = r->throttle;
    uint32_t ms = 0;
    if (request->frame.code == RPC_CLEAR_SCANNER) return false; /* It frees what others need. */
    enum throttle_verdict verdict = THROTTLE_REJECT;
    if (throttle_bucket_ask(&t->read_bytes, replica_now(r).boot_ms)) {
        if (request->frame.is_backup) return throttle_backup_read(r, request);
        verdict = ask(r, &t->reads, 1, request, &ms);
    }
    if (verdict == THROTTLE_PASS) return false;
    metric_counter_add(
        verdict == THROTTLE_DELAY ? &r->metrics.reads_delayed : &r->metrics.reads_rejected, 1);
    wait_ms(r, request, verdict, ms);
    return true;
}

void replica_throttle_took(struct replica *r, size_t bytes)
{
    throttle_bucket_take(&r->throttle->read_bytes, bytes);
}
