/* tests/core/repl/test_repl.c: one replica, told as stories: what happens, and which effects
 * follow. Rules that need several replicas and luck are in test_repl_group.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "group.h"

enum { US = 1, OTHER = 2, THIRD = 3 };

/* ---- Telling a story: an event, and the effects as text ---- */

static void render(const struct repl_effects *effects, char *to, size_t size)
{
    static const char *const names[] = {"save",  "append", "prepare", "commit_point", "ack",
                                        "learn", "join",   "expel",   "shun",         "give_way",
                                        "apply", "commit", "reply",   "fail",         "stop"};
    size_t used = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < effects->count; i++) {
        const struct repl_effect *e = &effects->items[i];
        used += (size_t)snprintf(to + used, size - used, "%s%s", i > 0 ? ", " : "", names[e->type]);
        if (e->first != 0)
            used += (size_t)snprintf(to + used, size - used, " %d-%d", (int)e->first, (int)e->last);
        else if (e->type == REPL_DO_SAVE_STATE)
            used += (size_t)snprintf(to + used, size - used, " %d", (int)e->ballot);
        else if (e->rc == 0) used += (size_t)snprintf(to + used, size - used, " %d", (int)e->last);
        if (e->to != 0) used += (size_t)snprintf(to + used, size - used, " to %d", (int)e->to);
        if (e->asks_for_more) used += (size_t)snprintf(to + used, size - used, " and more?");
    }
}

static void expect_rc(struct repl *r, struct repl_event event, int rc, const char *effects)
{
    struct repl_effects out;
    char text[512];
    assert_int_equal(repl_step(r, &event, &out), rc);
    render(&out, text, sizeof text);
    assert_string_equal(text, effects);
}

static void expect(struct repl *r, struct repl_event event, const char *effects)
{
    expect_rc(r, event, 0, effects);
}

static struct repl_event configured(uint64_t ballot, uint64_t primary, uint32_t members)
{
    return (struct repl_event){
        .type = REPL_CONFIGURED,
        .configured = {ballot, primary, {US, OTHER, THIRD}, members, 0},
    };
}

static struct repl_event saved(uint64_t ballot)
{
    return (struct repl_event){.type = REPL_STATE_SAVED, .ballot = ballot};
}

static struct repl_event logged(uint64_t decree)
{
    return (struct repl_event){.type = REPL_LOGGED, .logged.decree = decree};
}

static struct repl_event applied(uint64_t decree)
{
    return (struct repl_event){.type = REPL_APPLIED, .applied.decree = decree};
}

static struct repl_event acked(uint64_t ballot, uint64_t from, uint64_t decree)
{
    return (struct repl_event){
        .type = REPL_ACKED, .ballot = ballot, .acked = {.from = from, .decree = decree}};
}

/* As a member does when it first meets its primary. */
static struct repl_event asks(uint64_t ballot, uint64_t from, uint64_t decree, uint64_t committed,
                              uint64_t prepared)
{
    return (struct repl_event){
        .type = REPL_ACKED, .ballot = ballot, .acked = {from, decree, true, committed, prepared}};
}

static struct repl_event link_lost(uint64_t to)
{
    return (struct repl_event){.type = REPL_LINK_LOST, .link_lost.to = to};
}

static struct repl_event commit_point(uint64_t ballot, uint64_t decree)
{
    return (struct repl_event){
        .type = REPL_COMMITTED, .ballot = ballot, .committed = {OTHER, decree}};
}

/* Events with a mutation: made here, and let go when the step has taken its own reference. */
static void expect_mutation(struct repl *r, struct repl_event event, struct chunk *mutation, int rc,
                            const char *effects)
{
    if (event.type == REPL_PREPARED) event.prepared.mutation = mutation;
    else if (event.type == REPL_RECOVERED) event.recovered.mutation = mutation;
    else event.submitted.mutation = mutation;
    expect_rc(r, event, rc, effects);
    chunk_unref(mutation);
}

static void submit(struct repl *r, const char *effects)
{
    struct repl_next next = repl_next(r, 1000);
    expect_mutation(r, (struct repl_event){.type = REPL_SUBMITTED},
                    group_mutation(next.decree, next.ballot, next.timestamp_us, 1, 1), 0, effects);
}

static void recover(struct repl *r, uint64_t decree, uint64_t ballot, int rc)
{
    expect_mutation(r, (struct repl_event){.type = REPL_RECOVERED, .recovered.ballot = ballot},
                    group_mutation(decree, ballot, 100 * ballot + decree, 1, 1), rc, "");
}

/* OTHER, primary of 'ballot', sends what was ordered under 'ordered'. */
static void prepare(struct repl *r, uint64_t ballot, uint64_t decree, uint64_t ordered,
                    uint64_t committed, int rc, const char *effects)
{
    struct repl_event event = {.type = REPL_PREPARED, .ballot = ballot};
    event.prepared.from = OTHER;
    event.prepared.committed = committed;
    expect_mutation(r, event, group_mutation(decree, ordered, 100 * ordered + decree, 1, 1), rc,
                    effects);
}

static int setup(void **state)
{
    struct repl *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_int_equal(repl_init(r, US, NULL, 0, 1 << 20), 0);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    repl_fini(*state);
    free(*state);
    return 0;
}

static void restart(struct repl *r, const struct repl_config *config, uint64_t store_applied)
{
    struct repl_saved copy = {.config = *config};
    repl_fini(r);
    assert_int_equal(repl_init(r, US, &copy, store_applied, 1 << 20), 0);
}

static void become_primary(struct repl *r, uint64_t ballot, uint32_t members)
{
    struct repl_effects out;
    struct repl_event decided = configured(ballot, US, members), durable = saved(ballot);
    assert_int_equal(repl_step(r, &decided, &out), 0);
    assert_int_equal(repl_step(r, &durable, &out), 0);
    assert_int_equal(r->role, REPL_PRIMARY);
    for (uint64_t id = OTHER; id <= members; id++) {
        struct repl_event met = asks(ballot, id, r->committed, r->committed, r->prepared);
        assert_int_equal(repl_step(r, &met, &out), 0);
    }
}

static void become_secondary(struct repl *r, uint64_t ballot)
{
    struct repl_effects out;
    struct repl_event decided = configured(ballot, OTHER, 3), durable = saved(ballot);
    assert_int_equal(repl_step(r, &decided, &out), 0);
    assert_int_equal(repl_step(r, &durable, &out), 0);
    assert_int_equal(r->role, REPL_SECONDARY);
    struct repl_event met = commit_point(ballot, r->committed);
    assert_int_equal(repl_step(r, &met, &out), 0);
}

/* ---- A configuration of one ---- */

/* The whole life of a write where one member is all: its own log commits it. */
static void test_alone(void **state)
{
    struct repl *r = *state;
    expect(r, configured(1, US, 1), "save 1");
    assert_false(repl_is_serving(r));
    expect(r, saved(1), "");
    assert_true(repl_is_serving(r));
    submit(r, "append 1-1");
    submit(r, "append 2-2");
    expect(r, logged(2), "commit 2, apply 1-2");
    expect(r, applied(1), "reply 1");
    expect(r, applied(2), "reply 2");
}

/* A restarted replica replays what its log has above the store. Alone, it goes on under the same
 * ballot: what it holds is committed at once, and it serves when that is applied. */
static void test_restart_alone_keeps_its_ballot(void **state)
{
    struct repl *r = *state;
    become_primary(r, 1, 1);
    restart(r, &r->config, 3);
    recover(r, 3, 1, 0);
    recover(r, 4, 1, 0);
    recover(r, 5, 1, 0);
    expect(r, configured(1, US, 1), "commit 5, apply 4-5");
    assert_false(repl_is_serving(r));
    expect(r, applied(5), "reply 5");
    assert_true(repl_is_serving(r));
    submit(r, "append 6-6");
}

/* When the log was read to its end, one that was all there is applies it at once, before anything
 * that it is told; one of several waits, for it does not know what of it is committed. */
static void test_replay_ends(void **state)
{
    struct repl *r = *state;
    struct repl_event end = {.type = REPL_REPLAYED};
    restart(r, &(struct repl_config){4, US, {US}, 1, 0}, 0);
    recover(r, 1, 4, 0);
    expect(r, end, "apply 1-1");
    expect(r, applied(1), "reply 1");
    restart(r, &(struct repl_config){4, US, {US, OTHER}, 2, 0}, 0);
    recover(r, 1, 4, 0);
    expect(r, end, "");
}

/* One of several does not go on under its old ballot: it may not hold what it acknowledged. */
static void test_restart_among_several_needs_a_ballot(void **state)
{
    struct repl *r = *state;
    become_primary(r, 4, 3);
    restart(r, &r->config, 0);
    expect(r, configured(4, US, 3), "");
    assert_int_equal(r->role, REPL_INACTIVE);
    expect(r, configured(5, US, 3), "save 5");
    expect(r, saved(5), "commit_point 0 to 2, commit_point 0 to 3");
}

/* ---- Ballots ---- */

/* Nothing is done under a ballot before it is durable, and what a slow disk says of an older one is
 * late. */
static void test_ballot_is_durable_first(void **state)
{
    struct repl *r = *state;
    become_primary(r, 2, 1);
    submit(r, "append 1-1");
    expect(r, logged(1), "commit 1, apply 1-1");
    expect(r, configured(1, OTHER, 3), "");    /* Old news. */
    expect(r, configured(3, US, 2), "save 3"); /* It stays primary: who waits need not know. */
    assert_false(repl_is_serving(r));
    expect(r, configured(4, US, 3), "save 4");
    expect(r, saved(3), "");
    assert_int_equal(r->config.ballot, 2);
    expect(r, saved(4), "commit_point 1 to 2, commit_point 1 to 3");
    assert_int_equal(r->config.ballot, 4);
    expect(r, saved(4), ""); /* Said twice. */
}

/* Appends of the old ballot are under way: until the log is quiet, none of its answers could be
 * told from an answer for a mutation that takes the same place under the new ballot. */
static void test_new_ballot_waits_for_the_log(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    prepare(r, 2, 1, 2, 0, 0, "append 1-1");
    expect(r, configured(3, OTHER, 3), "save 3");
    expect(r, saved(3), "");
    prepare(r, 3, 1, 3, 0, 0, ""); /* Nobody takes it: hence the question for more. */
    expect(r, logged(1), "ack 0 to 2 and more?");
    prepare(r, 3, 1, 3, 0, 0, "append 1-1, ack 0 to 2 and more?"); /* Its first word (R13). */
    assert_int_equal(r->logged, 0);
    expect(r, logged(1), "ack 1 to 2");
}

/* Configurations that cannot be are not obeyed, from the meta group or from a disk. */
static void test_impossible_configuration(void **state)
{
    struct repl *r = *state;
    struct repl_event bad = configured(1, 7, 3);
    expect_rc(r, bad, E_PROTO, "");
    bad = configured(1, US, 3);
    bad.configured.members[2] = US;
    expect_rc(r, bad, E_PROTO, "");
    bad = configured(1, US, REPL_MEMBERS_MAX + 1);
    expect_rc(r, bad, E_PROTO, "");

    struct repl other;
    assert_int_equal(repl_init(&other, US, &(struct repl_saved){.config = bad.configured}, 0, 100),
                     E_CORRUPT);
}

/* A configuration without us, or without a primary: nothing to do until the next. */
static void test_left_out(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    expect(r, configured(3, 0, 3), "save 3");
    expect(r, saved(3), "");
    assert_int_equal(r->role, REPL_INACTIVE);
    struct repl_event without = configured(4, OTHER, 1);
    without.configured.members[0] = OTHER;
    expect(r, without, "save 4");
    expect(r, saved(4), "");
    assert_int_equal(r->role, REPL_INACTIVE);
    prepare(r, 4, 1, 4, 0, 0, "");
}

/* ---- A primary of three ---- */

/* Committed when the last of the three holds it; the commit point leaves with that, and waits for
 * nothing. */
static void test_commit_is_held_by_all(void **state)
{
    struct repl *r = *state;
    become_primary(r, 1, 3);
    submit(r, "append 1-1, prepare 1-1 to 2, prepare 1-1 to 3");
    expect(r, acked(1, OTHER, 1), "");
    expect(r, acked(1, THIRD, 1), "");
    expect(r, logged(1), "commit 1, commit_point 1 to 2, commit_point 1 to 3, apply 1-1");
    expect(r, applied(1), "reply 1");
}

/* Acks of another ballot, of strangers, of more than was sent, and late ones change nothing. */
static void test_wrong_acks(void **state)
{
    struct repl *r = *state;
    become_primary(r, 2, 2);
    submit(r, "append 1-1, prepare 1-1 to 2");
    expect(r, logged(1), "");
    expect(r, acked(1, OTHER, 1), "");
    assert_int_equal(r->stale_messages, 1);
    expect_rc(r, acked(2, THIRD, 1), E_PROTO, "");
    expect_rc(r, acked(2, US, 1), E_PROTO, "");
    expect_rc(r, acked(2, OTHER, 2), E_PROTO, "");
    expect(r, acked(2, OTHER, 0), "");
    expect(r, acked(2, OTHER, 1), "commit 1, commit_point 1 to 2, apply 1-1");
    expect(r, acked(2, OTHER, 1), "");
}

/* A secondary that heard of the configuration later than its primary has let prepares pass. It says
 * where it is when it begins, and gets them again. */
static void test_late_secondary_gets_it_again(void **state)
{
    struct repl *r = *state;
    become_primary(r, 2, 2);
    submit(r, "append 1-1, prepare 1-1 to 2");
    submit(r, "append 2-2, prepare 2-2 to 2");
    struct repl_event hello = acked(2, OTHER, 0);
    hello.acked.asks_for_more = true;
    expect(r, hello, "prepare 1-2 to 2");
    expect(r, logged(2), "");
    expect(r, acked(2, OTHER, 2), "commit 2, commit_point 2 to 2, apply 1-2");
    expect(r, hello, "commit_point 2 to 2");
}

/* Messages were lost: the primary says again what that member is not known to hold, or how far it is; to
 * nobody else. */
static void test_lost_messages_are_said_again(void **state)
{
    struct repl *r = *state;
    become_primary(r, 2, 3);
    submit(r, "append 1-1, prepare 1-1 to 2, prepare 1-1 to 3");
    submit(r, "append 2-2, prepare 2-2 to 2, prepare 2-2 to 3");
    expect(r, acked(2, OTHER, 1), "");
    expect(r, link_lost(OTHER), "prepare 2-2 to 2");
    expect(r, link_lost(THIRD), "prepare 1-2 to 3");
    expect(r, logged(2), "");
    expect(r, acked(2, OTHER, 2), "");
    expect(r, link_lost(OTHER), "commit_point 0 to 2");
    expect(r, link_lost(US), "");
    expect(r, link_lost(9), "");
}

/* A new primary sends its uncommitted mutations again under its own ballot, and takes no write
 * before they are applied. */
static void test_new_primary_reconciles(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    prepare(r, 2, 1, 2, 0, 0, "append 1-1");
    prepare(r, 2, 2, 2, 0, 0, "append 2-2");
    expect(r, logged(2), "ack 2 to 2");
    expect(r, configured(3, US, 2), "save 3");
    expect(r, saved(3), "prepare 1-2 to 2");
    expect_mutation(r, (struct repl_event){.type = REPL_SUBMITTED}, group_mutation(3, 3, 999, 1, 1),
                    E_STATE, "");
    expect(r, acked(3, OTHER, 2), "commit 2, commit_point 2 to 2, apply 1-2");
    assert_false(repl_is_serving(r));
    expect(r, applied(2), "reply 2");
    assert_false(repl_is_serving(r)); /* The other one may know of more (R13). */
    expect(r, asks(3, OTHER, 2, 2, 2), "commit_point 2 to 2");
    assert_true(repl_is_serving(r));
}

/* ---- A secondary ---- */

/* What the primary's commit point says is applied, as far as it is held; a lost one is made good by
 * the next prepare. */
static void test_secondary_follows(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    prepare(r, 2, 1, 2, 0, 0, "append 1-1");
    expect(r, commit_point(2, 1), "");
    expect(r, logged(1), "ack 1 to 2");
    prepare(r, 2, 2, 2, 1, 0, "append 2-2, apply 1-1");
    expect(r, applied(1), "reply 1");
    expect(r, commit_point(2, 1), "");
    expect(r, logged(2), "ack 2 to 2");
    expect(r, commit_point(2, 2), "apply 2-2");
    prepare(r, 2, 1, 2, 2, 0, "ack 2 to 2"); /* Again: the ack may be what was lost. */
    expect(r, link_lost(OTHER), "ack 2 to 2 and more?");
    expect(r, link_lost(THIRD), "");
    struct repl_event stranger = commit_point(2, 2);
    stranger.committed.from = THIRD;
    expect_rc(r, stranger, E_PROTO, "");
    struct repl_event endless = {.type = REPL_PREPARED, .ballot = 2};
    endless.prepared.from = OTHER;
    expect_mutation(r, endless, group_mutation(3, 2, UINT64_MAX, 1, 1), E_PROTO, "");
    expect_mutation(r, endless, group_mutation(3, 3, 1000, 1, 1), E_PROTO,
                    ""); /* Of a later ballot. */
}

/* Other ballots, other senders, holes and rubbish are not obeyed. */
static void test_secondary_refuses(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    prepare(r, 1, 1, 1, 0, 0, "");
    prepare(r, 3, 1, 3, 0, 0, "");
    expect(r, commit_point(1, 1), "");
    assert_int_equal(r->stale_messages, 3);
    prepare(r, 2, 2, 2, 1, E_PROTO, ""); /* A hole, whatever it says is committed. */
    struct repl_event event = {.type = REPL_PREPARED, .ballot = 2};
    event.prepared.from = THIRD;
    expect_mutation(r, event, group_mutation(1, 2, 201, 1, 1), E_PROTO, "");
    struct chunk *rubbish = chunk_new(40);
    memset(rubbish->data, 7, 40);
    event.prepared.from = OTHER;
    expect_mutation(r, event, rubbish, E_PROTO, "");
    assert_int_equal(r->prepared, 0);
}

/* A new primary orders something else where we hold what was never committed: ours gives way, and
 * all behind it. Where it sends what we hold, nothing is written again, and what is behind it
 * stays: it may be committed. Only what was compared is acknowledged. */
static void test_uncommitted_gives_way(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    prepare(r, 2, 1, 2, 0, 0, "append 1-1");
    prepare(r, 2, 2, 2, 0, 0, "append 2-2");
    prepare(r, 2, 3, 2, 0, 0, "append 3-3");
    expect(r, logged(3), "ack 3 to 2");
    expect(r, configured(3, OTHER, 3), "save 3");
    expect(r, saved(3), "ack 0 to 2 and more?");
    prepare(r, 3, 1, 2, 0, 0, "ack 1 to 2 and more?, ack 1 to 2");
    assert_int_equal(r->prepared, 3);
    prepare(r, 3, 2, 3, 0, 0, "append 2-2");
    assert_int_equal(r->prepared, 2);
    assert_null(repl_tail_get(r, 3));
    expect(r, logged(2), "ack 2 to 2");
}

/* US, learner of OTHER, which is alone. */
static struct repl_event told_to_learn(uint64_t ballot)
{
    return (struct repl_event){.type = REPL_CONFIGURED,
                               .configured = {ballot, OTHER, {OTHER}, 1, US}};
}

/* ---- Recovery ---- */

/* The log has a decree twice: the later one was prepared under a higher ballot, and it ended what
 * came behind the earlier, even where the store has it already. */
static void test_recovery_replaces(void **state)
{
    struct repl *r = *state;
    restart(r, &(struct repl_config){2, US, {US}, 1, 0}, 0);
    recover(r, 1, 1, 0);
    recover(r, 2, 1, 0);
    recover(r, 3, 1, 0);
    recover(r, 2, 2, 0);
    assert_int_equal(r->prepared, 2);
    assert_null(repl_tail_get(r, 3));

    restart(r, &(struct repl_config){2, US, {US}, 1, 0}, 2);
    recover(r, 2, 1, 0);
    recover(r, 3, 1, 0);
    recover(r, 2, 2, 0);
    assert_int_equal(r->prepared, 2);
    recover(r, 3, 2, 0);
    assert_int_equal(r->logged, 3);
}

/* A gap means that the log lost something: better none of it than a part. */
static void test_recovery_refuses_a_gap(void **state)
{
    struct repl *r = *state;
    restart(r, &(struct repl_config){1, OTHER, {OTHER, US}, 2, 0}, 0);
    recover(r, 1, 1, 0);
    recover(r, 3, 1, E_PROTO);
    assert_int_equal(r->prepared, 1);
    become_primary(r, 2, 1);
    recover(r, 2, 1, E_STATE);
}

/* A replica without a configuration has logged nothing: its directory was made anew, and what the log has is
 * of an earlier life. It learns; and what it logs then counts, before and after it was applied. */
static void test_earlier_life_is_not_recovered(void **state)
{
    struct repl *r = *state;
    recover(r, 1, 3, 0);
    recover(r, 7, 3, 0);
    assert_int_equal(r->prepared, 0);
    expect(r, told_to_learn(5), "save 5");
    expect(r, saved(5), "learn 0 to 2");

    struct repl_saved disk = {r->config, r->floor};
    repl_fini(r);
    assert_int_equal(repl_init(r, US, &disk, 0, 1 << 20), 0);
    recover(r, 1, 3, 0);
    recover(r, 7, 3, 0);
    recover(r, 1, 5, 0);
    assert_int_equal(r->prepared, 1);
    repl_fini(r);
    assert_int_equal(repl_init(r, US, &disk, 1, 1 << 20), 0);
    recover(r, 7, 3, 0);
    assert_int_equal(r->prepared, 1);
}

/* Time that was seen in the log or with a duplicated write is never given out again, whatever the
 * wall clock says. */
static void test_time_never_goes_back(void **state)
{
    struct repl *r = *state;
    restart(r, &(struct repl_config){50, OTHER, {OTHER, US}, 2, 0}, 0);
    recover(r, 1, 50, 0); /* At 5001. */
    become_primary(r, 51, 1);
    struct repl_effects out;
    struct repl_event done = applied(1);
    assert_int_equal(repl_step(r, &done, &out), 0);
    assert_int_equal(repl_next(r, 10).timestamp_us, 5002);
    assert_int_equal(repl_next(r, 9000).timestamp_us, 9000);
    repl_saw_timestamp(r, 7000);
    assert_int_equal(repl_next(r, 6000).timestamp_us, 7001);
    repl_saw_timestamp(r, 6000);
    assert_int_equal(repl_next(r, 6000).timestamp_us, 7001);
}

/* ---- Failures ---- */

/* A log or a store that fails ends the replica, once, and its clients hear of it. */
static void test_failed_disk_stops(void **state)
{
    struct repl *r = *state;
    become_primary(r, 1, 1);
    submit(r, "append 1-1");
    expect(r, (struct repl_event){.type = REPL_LOG_FAILED, .failed.rc = E_IO}, "fail, stop");
    expect(r, (struct repl_event){.type = REPL_STORE_FAILED, .failed.rc = E_IO}, "");
    expect(r, logged(1), "");
    assert_int_equal(r->committed, 0);
    expect_rc(r, configured(2, US, 1), E_STATE, "");
    assert_false(repl_is_serving(r));
}

/* Mutations stay in memory while they fit: above the budget the oldest go, but none that is not
 * applied. */
static void test_tail_is_trimmed(void **state)
{
    struct repl *r = *state;
    repl_fini(r);
    assert_int_equal(repl_init(r, US, NULL, 0, 600), 0);
    become_primary(r, 1, 1);
    struct repl_effects out;
    for (uint64_t d = 1; d <= 200; d++) {
        char effect[32];
        (void)snprintf(effect, sizeof effect, "append %d-%d", (int)d, (int)d);
        submit(r, effect);
    }
    assert_non_null(repl_tail_get(r, 1));
    struct repl_event durable = logged(200), done = applied(150);
    assert_int_equal(repl_step(r, &durable, &out), 0);
    assert_int_equal(repl_step(r, &done, &out), 0);
    assert_null(repl_tail_get(r, 150));
    assert_non_null(repl_tail_get(r, 151));
    done = applied(200);
    assert_int_equal(repl_step(r, &done, &out), 0);
    assert_true(r->tail.size <= 600 && r->tail.count > 0);
    assert_non_null(repl_tail_get(r, 200));
    assert_null(repl_tail_get(r, 201));
}

/* Every allocation of a growing tail fails once: the mutation is refused, nothing has changed, and
 * the same one is taken afterwards. */
static void test_no_memory_refuses_one(void **state)
{
    struct repl *r = *state;
    struct repl other;
    mem_fail_nth(1);
    assert_int_equal(repl_init(&other, US, NULL, 0, 100), E_NOMEM);
    mem_fail_nth(0);
    become_primary(r, 1, 1);
    int refused = 0;
    for (uint64_t d = 1; d <= 300; d++) {
        struct chunk *mutation = group_mutation(d, 1, repl_next(r, 0).timestamp_us, 1, 1);
        struct repl_event event = {.type = REPL_SUBMITTED, .submitted.mutation = mutation};
        struct repl_effects out;
        mem_fail_nth(1);
        int rc = repl_step(r, &event, &out);
        bool has_failed = mem_has_failed();
        mem_fail_nth(0);
        assert_int_equal(rc, has_failed ? E_NOMEM : 0);
        if (has_failed) {
            refused++;
            assert_int_equal(out.count, 0);
            assert_int_equal(r->prepared, d - 1);
            assert_int_equal(repl_step(r, &event, &out), 0);
        }
        assert_int_equal(r->prepared, d);
        chunk_unref(mutation);
    }
    assert_int_equal(refused, 3); /* At 64, 128 and 256. */
}

/* ---- Three that talk ---- */

static struct group *group_of_three(void)
{
    struct group *g = calloc(1, sizeof *g);
    assert_non_null(g);
    group_init(g, 1);
    for (uint64_t id = 1; id <= GROUP_NODES; id++) group_tell(g, id);
    group_settle(g);
    assert_non_null(group_serving(g));
    return g;
}

/* The last write before silence is applied everywhere, without a later write and without a timer
 * (I23). */
static void test_quiet_commit(void **state)
{
    (void)state;
    struct group *g = group_of_three();
    assert_true(group_submit(g, 1));
    group_settle(g);
    assert_int_equal(g->acks, 1);
    for (uint64_t id = 1; id <= GROUP_NODES; id++)
        assert_int_equal(group_node(g, id)->repl.applied, 1);
    group_fini(g);
    free(g);
}

/* A new primary sends prepares again; the secondary has taken the first of two when the primary
 * dies and the secondary is all that is left. It still holds the second, which was acknowledged. */
static void test_half_reconciled_keeps_the_acknowledged(void **state)
{
    (void)state;
    struct group *g = group_of_three();
    assert_true(group_submit(g, 1) && group_submit(g, 1));
    for (uint64_t id = 1; id <= 3; id++) group_sync_log(g, id, 0);
    while (g->message_count > 0) group_deliver(g, 0); /* Prepares... */
    for (uint64_t id = 1; id <= 3; id++) group_sync_log(g, id, 9);
    while (g->message_count > 4) group_drop(g, 4);
    group_deliver(g, 0);
    group_deliver(g, 0); /* ...and acks: 1 commits both; nobody hears of it. */
    group_apply(g, 1, 9);
    while (g->message_count > 0) group_drop(g, 0);
    assert_int_equal(g->acked_to[1], 2);

    group_crash(g, 1);
    group_decide(g, (const uint64_t[]){2, 3}, 2, 2);
    group_tell(g, 3);
    group_deliver(g, 0);
    group_save_state(g, 3);
    group_tell(g, 2);
    group_deliver(g, 1);
    group_save_state(g, 2);
    group_drop(g, 0); /* 3's question; then 2 prepares 1 and 2 again: the first arrives. */
    group_deliver(g, 0);
    while (g->message_count > 0) group_drop(g, 0);
    group_crash(g, 2);
    group_decide(g, (const uint64_t[]){3}, 1, 3);
    group_tell(g, 3);
    group_settle(g);
    assert_non_null(group_serving(g));
    assert_int_equal(group_node(g, 3)->repl.applied, 2);
    group_fini(g);
    free(g);
}

/* ---- Learning (R12 to R14) ---- */

static struct repl_event learning(uint64_t ballot, uint64_t primary, uint32_t members,
                                  uint64_t learner)
{
    struct repl_event event = configured(ballot, primary, members);
    event.configured.learner = learner;
    return event;
}

static struct repl_event learned(uint64_t ballot, bool is_end)
{
    return (struct repl_event){.type = REPL_LEARNED, .ballot = ballot, .learned.is_end = is_end};
}

/* A learner asks for what is committed, piece by piece, and then to be sent the rest. It hears of more than it
 * was sent: it asks again. */
static void test_learner_asks(void **state)
{
    struct repl *r = *state;
    expect(r, told_to_learn(4), "save 4");
    expect(r, saved(4), "learn 0 to 2");
    prepare(r, 4, 1, 4, 3, 0, "append 1-1");
    prepare(r, 4, 2, 4, 3, 0, "append 2-2");
    expect(r, learned(4, false), "");
    expect(r, logged(1), "ack 1 to 2");
    expect(r, logged(2),
           "ack 2 to 2, learn 2 to 2"); /* Only when the log has taken the last piece. */
    prepare(r, 4, 3, 4, 3, 0, "append 3-3, apply 1-2");
    expect(r, learned(4, true), ""); /* The tail may not reach back to what it has not logged. */
    expect(r, logged(3), "ack 3 to 2, ack 3 to 2 and more?");
    expect(r, commit_point(4, 3), "apply 3-3");
    expect(r, commit_point(4, 7), "learn 3 to 2");
    expect(r, commit_point(4, 8), ""); /* It has asked. */
    expect(r, learned(3, true), "");   /* Of another ballot. */
}

/* What a learner holds uncommitted from before is void, in memory and in the log. */
static void test_learner_forgets(void **state)
{
    struct repl *r = *state;
    become_secondary(r, 2);
    prepare(r, 2, 1, 2, 0, 0, "append 1-1");
    prepare(r, 2, 2, 2, 1, 0, "append 2-2");
    expect(r, logged(2), "ack 2 to 2");
    expect(r, commit_point(2, 1), "apply 1-1");
    expect(r, told_to_learn(4), "save 4");
    assert_int_equal(r->floor.ballot, 4);
    assert_int_equal(r->floor.decree, 1);
    expect(r, saved(4), "learn 1 to 2");
    assert_int_equal(r->prepared, 1);

    struct repl_saved disk = {r->config, r->floor};
    repl_fini(r);
    assert_int_equal(repl_init(r, US, &disk, 0, 1 << 20), 0);
    recover(r, 1, 2, 0);
    recover(r, 2, 2, 0);
    assert_int_equal(r->prepared, 1);
    recover(r, 2, 4, 0); /* Appended as a learner. */
    assert_int_equal(r->prepared, 2);
}

/* A learner whose store is replaced says nothing any more, and wants a new ballot when it lives again. */
static void test_learner_copies(void **state)
{
    struct repl *r = *state;
    struct repl_event copying = {.type = REPL_COPYING, .ballot = 4};
    expect(r, told_to_learn(4), "save 4");
    expect(r, saved(4), "learn 0 to 2");
    expect(r, copying, "");
    prepare(r, 4, 1, 4, 3, 0, "");
    expect(r, link_lost(OTHER), "");
    assert_false(repl_needs_ballot(r));

    struct repl_saved disk = {r->config, {4, 9}};
    repl_fini(r);
    assert_int_equal(repl_init(r, US, &disk, 9, 1 << 20), 0);
    assert_true(repl_needs_ballot(r));
    expect(r, told_to_learn(4), "");
    expect(r, told_to_learn(5), "save 5");
    assert_false(repl_needs_ballot(r));
    expect(r, saved(5), "learn 9 to 2");
}

/* A primary sends a learner what is new once the tail reaches back to what it has; it may join when it holds
 * all that is committed, and from then on nothing is committed without it. */
static void test_learner_joins(void **state)
{
    struct repl *r = *state;
    expect(r, learning(2, US, 1, THIRD), "save 2");
    expect(r, saved(2), "");
    submit(r, "append 1-1"); /* Nobody has asked for it. */
    expect(r, logged(1), "commit 1, apply 1-1");
    expect(r, acked(2, THIRD, 0), "");
    expect(r, asks(2, THIRD, 0, 0, 0), "prepare 1-1 to 3");
    submit(r, "append 2-2, prepare 2-2 to 3");
    expect(r, acked(2, THIRD, 1), "join 0 to 3");
    expect(r, logged(2), ""); /* It is waited for. */
    expect(r, acked(2, THIRD, 2), "commit 2, commit_point 2 to 3, apply 2-2");
    expect_rc(r, acked(2, THIRD, 9), E_PROTO, ""); /* Peers err. */
}

/* It is not sent what the tail no longer has. */
static void test_learner_is_behind(void **state)
{
    struct repl *r = *state;
    repl_fini(r);
    assert_int_equal(repl_init(r, US, NULL, 5, 1 << 20), 0);
    expect(r, learning(2, US, 1, THIRD), "save 2");
    expect(r, saved(2), "");
    submit(r, "append 6-6");
    expect(r, asks(2, THIRD, 2, 2, 2), "commit_point 5 to 3");
    submit(r, "append 7-7");
    expect(r, asks(2, THIRD, 5, 5, 5), "prepare 6-7 to 3, join 0 to 3");
    expect(r, link_lost(THIRD), "prepare 6-7 to 3");
}

/* ---- Lost memory (R13) ---- */

static void test_member_has_lost_its_log(void **state)
{
    struct repl *r = *state;
    repl_fini(r);
    assert_int_equal(repl_init(r, US, NULL, 5, 1 << 20), 0);
    expect(r, configured(2, US, 2), "save 2");
    expect(r, saved(2), "commit_point 5 to 2");
    expect(r, asks(2, OTHER, 4, 4, 4), "expel 0 to 2");
    assert_false(repl_is_serving(r));
}

static void test_primary_has_lost_its_log(void **state)
{
    struct repl *r = *state;
    expect(r, configured(2, US, 2), "save 2");
    expect(r, saved(2), "commit_point 0 to 2");
    assert_false(repl_is_serving(r)); /* It would say that there is nothing. */
    expect(r, asks(2, OTHER, 0, 4, 4), "give_way 0 to 2");
    assert_false(repl_is_serving(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_alone_keeps_its_ballot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_among_several_needs_a_ballot, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ballot_is_durable_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learner_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learner_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learner_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learner_joins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learner_is_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_member_has_lost_its_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_primary_has_lost_its_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_ballot_waits_for_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_impossible_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commit_is_held_by_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_acks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_secondary_gets_it_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_messages_are_said_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_primary_reconciles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secondary_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secondary_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uncommitted_gives_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recovery_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recovery_refuses_a_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_earlier_life_is_not_recovered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_never_goes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_disk_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_is_trimmed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_refuses_one, setup, teardown),
        cmocka_unit_test(test_quiet_commit),
        cmocka_unit_test(test_half_reconciled_keeps_the_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
