/* src/node/wish.c: a replica's wishes, from its worker to the meta group and back. */
#include "node/wish.h"

#include "base/mark.h"
#include "base/mem.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/worker.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "wish"};

enum { WISH_RETRY_MS = 1000 };

/* One proposal, on its way there and back. */
struct wish_call {
    struct io_post post;
    struct replica *replica; /* Busy meanwhile. */
    struct meta_command command;
    uint64_t ballot;
    bool is_granted;
};

/* ---- On the worker ---------------------------------------------------------------------------------------------- */

static void say(struct replica *r);

static void say_later(struct replica *r)
{
    struct io_loop *loop = r->worker->loop;
    io_timer_start(loop, &r->wish.timer, io_now(io_of(loop)).boot_ms + WISH_RETRY_MS);
}

static void on_timer(struct io_timer *timer)
{
    struct wish *w = LIST_ENTRY(timer, struct wish, timer);
    say(LIST_ENTRY(w, struct replica, wish));
}

static void on_decided(struct io_post *post)
{
    struct wish_call *call = LIST_ENTRY(post, struct wish_call, post);
    struct replica *r = call->replica;
    struct wish *w = &r->wish;
    w->is_asked = false;
    bool is_granted = call->is_granted && w->ballot == call->ballot;
    mem_free(call);
    if (w->type != 0 && !r->is_closing) {
        if (is_granted) w->type = 0; /* The configuration is on its way. */
        else say_later(r);
    }
    replica_release(r);
}

/* ---- On the control loop ----------------------------------------------------------------------------------------- */

static void on_proposed(void *context, int rc, const struct meta_result *result)
{
    struct wish_call *call = context;
    call->is_granted = rc == 0 && result->err == WIRE_ERR_OK;
    if (!call->is_granted) {
        MARK("a replica's wish was not granted");
        LOG_INFO(&logger, "the metas did not grant what a replica wants; it asks again",
                 field_str("dir", call->replica->dir), field_i64("command", call->command.type),
                 field_code(rc));
    }
    call->post.run = on_decided;
    io_post(call->replica->worker->loop, &call->post);
}

static void propose(struct io_post *post)
{
    struct wish_call *call = LIST_ENTRY(post, struct wish_call, post);
    struct node *n = call->replica->worker->node;
    call->command.now_ms = io_now(n->io).wall_us / 1000;
    control_propose(n, &call->command, on_proposed, call);
}

/* ---- Saying it ---------------------------------------------------------------------------------------------------- */

static void command_fill(const struct replica *r, struct meta_command *c)
{
    const struct wish *w = &r->wish;
    const struct meta_member_change change = {
        .table_id = r->gpid.app_id,
        .partition = r->gpid.partition_index,
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

static void say(struct replica *r)
{
    struct wish *w = &r->wish;
    if (w->type == 0 || w->is_asked || r->is_closing) return;
    struct wish_call *call = mem_zalloc(sizeof *call);
    if (call == NULL) {
        say_later(r);
        return;
    }
    command_fill(r, &call->command);
    call->replica = r;
    call->ballot = w->ballot;
    call->post.run = propose;
    w->is_asked = true;
    r->busy++;
    io_post(r->worker->node->control, &call->post);
}

static void want(struct replica *r, enum meta_command_type type, uint64_t ballot, uint64_t node_id,
                 uint64_t successor)
{
    struct wish *w = &r->wish;
    if (w->type == type && w->ballot == ballot && w->node_id == node_id) return; /* Said already. */
    w->type = type;
    w->ballot = ballot;
    w->node_id = node_id;
    w->successor = successor;
    say(r);
}

void wish_add(struct replica *r, const struct repl_effect *effect)
{
    const struct repl *p = &r->repl;
    switch (effect->type) {
    case REPL_DO_JOIN: want(r, META_MEMBER_JOIN, effect->ballot, effect->to, 0); break;
    case REPL_DO_EXPEL:
        if (effect->to != p->config.learner && p->config.member_count > 1 &&
            p->config.member_count - 1 < r->assigned->write_members_min) {
            /* Not many are left to whom we can speak: perhaps it is us who can't. */
            LOG_WARN(&logger, "too few members can be reached: another shall lead",
                     field_str("dir", r->dir), field_u64("silent", effect->to));
            want(r, META_MEMBER_DROP, effect->ballot, p->self, 0);
            break;
        }
        LOG_WARN(&logger, "a member is silent, or holds less than it had acknowledged: it shall go",
                 field_str("dir", r->dir), field_u64("member", effect->to));
        want(r, META_MEMBER_DROP, effect->ballot, effect->to, 0);
        break;
    case REPL_DO_GIVE_WAY:
        LOG_ERROR(&logger, "this server holds less than it had committed: another shall lead",
                  field_str("dir", r->dir), field_u64("other", effect->to));
        want(r, META_MEMBER_DROP, effect->ballot, r->repl.self, effect->to);
        break;
    default: break;
    }
}

void wish_learn_no_more(struct replica *r)
{
    LOG_WARN(&logger, "nothing to be learned from the primary for too long: another shall try",
             field_str("dir", r->dir));
    want(r, META_MEMBER_DROP, r->repl.config.ballot, r->repl.self, 0);
}

static bool is_told_member(const struct replica *r)
{
    const struct repl_config *c = &r->assigned->config;
    for (uint32_t i = 0; i < c->member_count; i++)
        if (c->members[i] == r->repl.self) return c->member_count > 1;
    return c->learner == r->repl.self;
}

/* Who can't be what it is told to be leaves the others to go on without it. */
void wish_sync(struct replica *r)
{
    struct wish *w = &r->wish;
    const struct repl *p = &r->repl;
    if (r->is_closing || r->assigned == NULL) return;
    const uint64_t ballot = r->assigned->config.ballot;
    if (w->type != 0 && w->ballot < ballot) {
        w->type = 0;
        io_timer_stop(&w->timer);
    }
    if ((r->is_damaged || p->is_stopped) && is_told_member(r))
        want(r, META_MEMBER_DROP, ballot, p->self, 0);
    else if (!r->is_damaged && repl_needs_ballot(p) && p->config.ballot == ballot)
        want(r, META_MEMBER_ADD, ballot, p->self, 0);
}

void wish_init(struct replica *r)
{
    r->wish.timer.run = on_timer;
}

void wish_end(struct replica *r)
{
    io_timer_stop(&r->wish.timer);
    r->wish.type = 0;
}
