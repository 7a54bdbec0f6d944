/* src/node/meta_cure.c: members for partitions that lack them, on the leader of the metas (docs/meta.md, rules
 * M37 and M38). core/meta/cure.h decides, here it is asked and its commands are proposed.
 *
 *     state or level changed -----+
 *     a command was decided ------+--> next turn: ask --command--> group --> decided
 *     cure_deadline_ms() ---------+
 *
 * However much happens in one turn, the whole state is looked at once. */
#include "base/mem.h"
#include "node/meta_service_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "meta"};

static const struct cure_limits limits = {
    .learners_per_node =
        4, /* More at once are not sooner done: they share its disk and its network. */
    .heal_delay_ms =
        60 * 1000, /* A server restarts, or a machine boots, in less; a copy may take hours. */
    .retry_ms_min = 1000,      /* Longer than what passes by itself: an election, a ballot race. */
    .retry_ms_max = 60 * 1000, /* An operator who mends something waits no longer to see it. */
};

struct curing { /* One command, until it is decided. */
    struct meta_service *service;
    struct cure_order order; /* Its command borrows nothing. */
};

static void log_decided(const struct cure_order *order, int rc, const struct meta_result *result)
{
    const struct logger_field table = field_i64("table", order->gpid.app_id);
    const struct logger_field partition = field_i64("partition", order->gpid.partition_index);
    const struct logger_field node = field_u64("node", order->node);
    if (rc != 0)
        LOG_WARN(&logger, "members of a partition not decided", table, partition, node,
                 field_code(rc));
    else if (result->err != WIRE_ERR_OK)
        LOG_INFO(&logger, "members of a partition not changed", table, partition, node,
                 field_slice("why", result->hint));
    else if (order->command.type == META_MEMBER_ADD)
        LOG_INFO(&logger, "a node learns a partition", table, partition, node,
                 field_str("why", order->why));
    else
        LOG_INFO(&logger, "a node leaves a partition", table, partition, node,
                 field_str("why", order->why));
}

static void on_decided(void *context, int rc, const struct meta_result *result)
{
    struct curing *curing = context;
    struct meta_service *s = curing->service;
    log_decided(&curing->order, rc, result);
    cure_done(&s->cure, curing->order.gpid);
    meta_cure_sync(s);
    mem_free(curing);
    meta_service_release(s);
}

static void propose(struct meta_service *s, const struct cure_order *order)
{
    struct curing *curing = mem_alloc(sizeof *curing);
    if (curing == NULL) {
        cure_done(&s->cure, order->gpid); /* It has failed, and is tried again. */
        meta_cure_sync(s);
        return;
    }
    *curing = (struct curing){s, *order};
    curing->order.command.now_ms = io_now(s->node->io).wall_us / 1000;
    s->busy++;
    control_propose(s->node, &curing->order.command, on_decided, curing);
}

/* Who leads anew knows nothing of before: what was waited for then may have come since. */
static bool may_cure(struct meta_service *s)
{
    if (!node_leads(s->node)) {
        s->is_curing = false;
        return false;
    }
    if (!s->is_curing) {
        cure_fini(&s->cure);
        cure_init(&s->cure, &limits);
    }
    s->is_curing = true;
    return !meta_is_frozen(s);
}

static void on_timer(struct io_timer *timer)
{
    struct meta_service *s = LIST_ENTRY(timer, struct meta_service, cure_timer);
    const uint64_t now_ms = io_now(s->node->io).boot_ms;
    struct cure_order order;
    s->is_cure_due = false;
    if (!may_cure(s)) return;
    while (cure_next(&s->cure, s->node->meta, now_ms, &order)) propose(s, &order);
    const uint64_t deadline_ms = cure_deadline_ms(&s->cure);
    if (s->is_cure_due || deadline_ms == UINT64_MAX) return; /* It is armed, or need not be. */
    io_timer_start(s->node->control, timer, deadline_ms);
}

void meta_cure_sync(struct meta_service *s)
{
    if (s->is_closing || s->is_cure_due) return;
    s->is_cure_due = true;
    io_timer_start(s->node->control, &s->cure_timer, io_now(s->node->io).boot_ms);
}

void meta_cure_open(struct meta_service *s)
{
    s->cure_timer.run = on_timer;
    meta_cure_sync(s);
}

void meta_cure_close(struct meta_service *s)
{
    io_timer_stop(&s->cure_timer);
    cure_fini(&s->cure);
}
