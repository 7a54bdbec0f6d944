/* src/node/wish.c: wishes, from their worker to the meta group and back. */
#include "node/wish.h"

#include "base/mark.h"
#include "base/mem.h"
#include "node/node_impl.h"
#include "node/opening.h"
#include "node/replica.h"
#include "node/worker.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "wish"};

enum {
    WISH_RETRY_MS = 1000,
    GIVE_WAY_MS = 15 * 1000 /* Of silence: a grace, and time for the metas to be others. */
};

/* One proposal, on its way there and back. */
struct wish_call {
    struct io_post post;
    struct worker *worker; /* It does not end meanwhile. */
    struct gpid gpid;
    struct meta_command command;
    uint64_t ballot;
    bool is_granted;
};

/* ---- On the worker ---------------------------------------------------------------------------------------------- */

static void say(struct wish *w);

static void say_later(struct wish *w)
{
    struct io_loop *loop = w->worker->loop;
    io_timer_start(loop, &w->timer, io_now(io_of(loop)).boot_ms + WISH_RETRY_MS);
}

static void on_timer(struct io_timer *timer)
{
    say(LIST_ENTRY(timer, struct wish, timer));
}

/* Whose wish a proposal was, if it is still there. */
static struct wish *wish_find(struct worker *worker, struct gpid gpid)
{
    struct replica *r = worker_find(worker, gpid);
    struct opening *o = r == NULL ? opening_find(worker, gpid) : NULL;
    if (r != NULL) return &r->wish;
    return o != NULL ? opening_wish(o) : NULL;
}

static void on_decided(struct io_post *post)
{
    struct wish_call *call = LIST_ENTRY(post, struct wish_call, post);
    struct worker *worker = call->worker;
    struct wish *w = wish_find(worker, call->gpid);
    if (w != NULL && w->is_asked) {
        bool is_granted = call->is_granted && w->ballot == call->ballot;
        w->is_asked = false;
        if (is_granted) w->type = 0; /* The configuration is on its way. */
        if (w->type != 0) say_later(w);
    }
    mem_free(call);
    worker->wishes_asked--;
    worker_stop_if_done(worker);
}

/* ---- On the control loop ----------------------------------------------------------------------------------------- */

static void on_proposed(void *context, int rc, const struct meta_result *result)
{
    struct wish_call *call = context;
    call->is_granted = rc == 0 && result->err == WIRE_ERR_OK;
    if (!call->is_granted) {
        MARK("a replica's wish was not granted");
        LOG_INFO(&logger, "the metas did not grant what a replica wants; it asks again",
                 field_i64("table", call->gpid.app_id),
                 field_i64("partition", call->gpid.partition_index),
                 field_i64("command", call->command.type), field_code(rc));
    }
    call->post.run = on_decided;
    io_post(call->worker->loop, &call->post);
}

static void propose(struct io_post *post)
{
    struct wish_call *call = LIST_ENTRY(post, struct wish_call, post);
    struct node *n = call->worker->node;
    call->command.now_ms = io_now(n->io).wall_us / 1000;
    control_propose(n, &call->command, on_proposed, call);
}

/* ---- Saying it ---------------------------------------------------------------------------------------------------- */

static void command_fill(const struct wish *w, struct meta_command *c)
{
    const struct meta_member_change change = {
        .table_id = w->gpid.app_id,
        .partition = w->gpid.partition_index,
        .ballot = (int64_t)(w->ballot + 1),
        .node = (int64_t)w->node_id,
    };
    c->type = w->type;
    if (w->type == META_MEMBER_DROP)
        c->member_drop = (struct meta_member_drop){change.table_id, change.partition, change.ballot,
                                                   change.node, (int64_t)w->successor};
    else if (w->type == META_MEMBER_JOIN) c->member_join = change;
    else c->member_add = change;
}

static void say(struct wish *w)
{
    if (w->type == 0 || w->is_asked) return;
    struct wish_call *call = mem_zalloc(sizeof *call);
    if (call == NULL) {
        say_later(w);
        return;
    }
    command_fill(w, &call->command);
    call->worker = w->worker;
    call->gpid = w->gpid;
    call->ballot = w->ballot;
    call->post.run = propose;
    w->is_asked = true;
    w->worker->wishes_asked++;
    io_post(w->worker->node->control, &call->post);
}

static void want(struct wish *w, enum meta_command_type type, uint64_t ballot, uint64_t node_id,
                 uint64_t successor)
{
    if (w->type == type && w->ballot == ballot && w->node_id == node_id) return; /* Said already. */
    w->type = type;
    w->ballot = ballot;
    w->node_id = node_id;
    w->successor = successor;
    say(w);
}

/* Is 'self' something in there that others can do without? */
static bool is_one_of_several(const struct repl_config *c, uint64_t self)
{
    for (uint32_t i = 0; i < c->member_count; i++)
        if (c->members[i] == self) return c->member_count > 1;
    return c->learner == self;
}

bool wish_leave(struct wish *w, const struct assignment *a)
{
    const uint64_t self = w->worker->node->node_id;
    if (!is_one_of_several(&a->config, self)) return false;
    want(w, META_MEMBER_DROP, a->config.ballot, self, 0);
    return true;
}

void wish_renew(struct wish *w, const struct assignment *a)
{
    if (w->type == 0 || w->ballot >= a->config.ballot) return;
    w->type = 0;
    io_timer_stop(&w->timer);
}

void wish_init(struct wish *w, struct worker *worker, struct gpid gpid)
{
    *w = (struct wish){.worker = worker, .gpid = gpid, .timer.run = on_timer};
}

void wish_end(struct wish *w)
{
    io_timer_stop(&w->timer);
    w->type = 0;
}

/* ---- What replicas want ------------------------------------------------------------------------------------------- */

/* Whoever would be left could not write: then perhaps it is us who can't be heard, and another shall lead. Not
 * before the metas would have noticed that the silent one is dead (F6): it would be the one to lead. */
static void shun(struct replica *r, const struct repl_effect *effect)
{
    const struct repl *p = &r->repl;
    const bool is_member = effect->to != p->config.learner;
    const bool is_too_few = is_member && p->config.member_count > 1 &&
                            p->config.member_count - 1 < r->assigned->write_members_min;
    if (is_too_few && effect->silent_ms < GIVE_WAY_MS) return;
    LOG_WARN(&logger,
             is_too_few ? "too few members can be reached: another shall lead"
                        : "a member is silent: it shall go",
             field_str("dir", r->dir), field_u64("silent", effect->to));
    want(&r->wish, META_MEMBER_DROP, effect->ballot, is_too_few ? p->self : effect->to, 0);
}

void wish_add(struct replica *r, const struct repl_effect *effect)
{
    switch (effect->type) {
    case REPL_DO_JOIN: want(&r->wish, META_MEMBER_JOIN, effect->ballot, effect->to, 0); break;
    case REPL_DO_EXPEL:
        LOG_ERROR(&logger, "a member holds less than it had acknowledged: it shall learn again",
                  field_str("dir", r->dir), field_u64("member", effect->to));
#ifdef MUT_who_has_lost_leads
        want(&r->wish, META_MEMBER_DROP, effect->ballot, r->repl.self, 0);
        break;
#endif
        want(&r->wish, META_MEMBER_DROP, effect->ballot, effect->to, 0);
        break;
    case REPL_DO_SHUN: shun(r, effect); break;
    case REPL_DO_GIVE_WAY:
        LOG_ERROR(&logger, "this server holds less than it had committed: another shall lead",
                  field_str("dir", r->dir), field_u64("other", effect->to));
        want(&r->wish, META_MEMBER_DROP, effect->ballot, r->repl.self, effect->to);
        break;
    default: break;
    }
}

void wish_learn_anew(struct replica *r)
{
    want(&r->wish, META_MEMBER_ADD, r->repl.config.ballot, r->repl.self, 0);
}

void wish_learn_no_more(struct replica *r)
{
    LOG_WARN(&logger, "nothing to be learned from the primary for too long: another shall try",
             field_str("dir", r->dir));
    want(&r->wish, META_MEMBER_DROP, r->repl.config.ballot, r->repl.self, 0);
}

/* Who can't be what it is told to be leaves the others to go on without it. */
void wish_sync(struct replica *r)
{
    const struct repl *p = &r->repl;
    if (r->is_closing || r->assigned == NULL) return;
    const uint64_t ballot = r->assigned->config.ballot;
    wish_renew(&r->wish, r->assigned);
    if (r->is_damaged || p->is_stopped) (void)wish_leave(&r->wish, r->assigned);
    else if (repl_needs_ballot(p) && p->config.ballot == ballot) wish_learn_anew(r);
}
