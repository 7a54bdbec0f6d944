/* tests/sim/test_linked.c: two real clusters, a table of theirs linked both ways, and what befalls
 * them. What must hold at every moment is checked after every event by sim/invariants.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/replica.h"
#include "node/stream.h"
#include "sim/linked.h"
#include "wire/key.h"
#include "wire/messages.h"

enum { MS = 1000, S = 1000 * MS, ONE_WAY_MS = 10, MINUTE = 60 * S };

/* Everything travels ONE_WAY_MS, a sync takes 200 us; both tables, both duplications. */
static int setup(void **state)
{
    struct linked *l = linked_new(11);
    const struct sim_link link = {.delay_us = ONE_WAY_MS * MS};
    sim_link_default(l->sim, &link);
    assert_true(linked_begin(l, 4, 8));
    assert_true(linked_add_dup(l, 0, true));
    assert_true(linked_add_dup(l, 1, true));
    assert_true(linked_settle(l, 20 * (uint64_t)S));
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    linked_free(*state);
    return 0;
}

static void assert_whole(const struct linked *l)
{
    for (int i = 0; i < LINKED_SIDES; i++) {
        if (l->loads[i] == NULL || !l->loads[i]->is_broken) continue;
        print_error("%s\n", l->loads[i]->report.text);
        fail();
    }
    if (l->invariants->is_broken) print_error("%s\n", l->invariants->report.text);
    assert_false(l->invariants->is_broken);
}

/* What the remote has committed of a key; NULL: nothing. */
static const struct ghost_key *ghost_of(struct linked *l, int side, const char *key)
{
    struct buf raw = {0};
    key_append(&raw, slice_str(key), slice_str("k"));
    const struct ghost_key *found = ghost_key(&l->invariants->sides[side].ghost, buf_slice(&raw));
    buf_fini(&raw);
    return found;
}

/* Whatever the idle gap was, the last write before silence is applied at the remote as soon as its
 * bytes and two syncs have passed. No timer fires meanwhile on either server: nothing polls. */
static void test_last_write_needs_no_timer(void **state)
{
    struct linked *l = *state;
    static const uint64_t gaps_ms[] = {50, 3000, 100000};
    for (size_t i = 0; i < sizeof gaps_ms / sizeof gaps_ms[0]; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "last%zu", i);
        assert_true(linked_run(l, gaps_ms[i] * MS));
        for (int s = 0; s < LINKED_SIDES; s++) sim_timers_forbid(l->clusters[s]->machine, true);
        assert_true(linked_put(l, 0, key, "value"));
        assert_true(
            linked_run(l, (ONE_WAY_MS + 5) * MS)); /* The ack travelled ONE_WAY_MS already. */
        for (int s = 0; s < LINKED_SIDES; s++) {
            assert_int_equal(sim_timers_fired(l->clusters[s]->machine), 0);
            sim_timers_forbid(l->clusters[s]->machine, false);
        }
        assert_true(invariants_are_equal(l->invariants));
    }
    assert_whole(l);
}

/* Both sides write one key while the link is cut; afterwards both hold what was written last. */
static void test_last_writer_wins_on_both_sides(void **state)
{
    struct linked *l = *state;
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    assert_true(linked_put(l, 0, "key", "first"));
    assert_true(linked_run(l, 100 * MS));
    assert_true(linked_put(l, 1, "key", "second"));
    assert_string_equal(linked_get(l, 0, "key"), "first");
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, MINUTE));
    assert_string_equal(linked_get(l, 0, "key"), "second");
    assert_string_equal(linked_get(l, 1, "key"), "second");
    invariants_check_end(l->invariants);
    assert_whole(l);
}

/* The link is cut: what is stated as lag grows with every second, and is exactly 0 after the heal. */
static void test_lag_grows_while_cut(void **state)
{
    struct linked *l = *state;
    struct linked_lag lag;
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_put(l, 0, "b", "2"));
    for (uint64_t s = 1; s <= 20; s++) {
        assert_true(linked_run(l, S));
        assert_true(linked_lag(l, 0, &lag));
        assert_int_equal(lag.mutations, 2);
        assert_true(lag.ms >= s * 1000 && lag.bytes > 0);
    }
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, MINUTE));
    assert_true(linked_lag(l, 0, &lag));
    assert_int_equal(lag.mutations + lag.bytes + lag.ms, 0);
    assert_string_equal(linked_get(l, 1, "a"), "1");
    assert_whole(l);
}

/* A wall clock that jumps bends no lag. */
static void test_lag_heeds_no_wall_clock(void **state)
{
    struct linked *l = *state;
    struct linked_lag lag;
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_lag(l, 0, &lag));
    sim_clock_jump(l->clusters[0]->machine, 3600 * (int64_t)S);
    assert_true(linked_lag(l, 0, &lag));
    assert_true(lag.mutations == 1 && lag.ms < 1000);
    sim_clock_jump(l->clusters[0]->machine, -7200 * (int64_t)S);
    assert_true(linked_run(l, 10 * (uint64_t)S));
    assert_true(linked_lag(l, 0, &lag));
    assert_true(lag.mutations == 1 && lag.ms > 10000 && lag.ms < 12000);
    assert_whole(l);
}

/* A wait succeeds when all that was acknowledged before it is there, and not when it was only sent. */
static void test_wait_is_true(void **state)
{
    struct linked *l = *state;
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_wait(l, 0, 1000));
    assert_non_null(ghost_of(l, 1, "a"));
    sim_cut_one_way(l->clusters[1]->machine, l->clusters[0]->machine); /* No answer comes back. */
    assert_true(linked_put(l, 0, "b", "2"));
    assert_false(linked_wait(l, 0, 1000));
    sim_heal_all(l->sim);
    assert_true(linked_wait(l, 0, 60000));
    assert_non_null(ghost_of(l, 1, "b"));

    /* The remote says who it is, but its stores take no writes: it answers no others. */
    const struct store_sim_faults stalled = {.stall_percent = 100}, none = {0};
    store_sim_faults_set(l->clusters[1]->stores, &stalled);
    assert_true(linked_put(l, 0, "c", "3"));
    assert_false(linked_wait(l, 0, 1000));
    store_sim_faults_set(l->clusters[1]->stores, &none);
    assert_true(linked_wait(l, 0, 60000));
    assert_non_null(ghost_of(l, 1, "c"));
    assert_whole(l);
}

static struct stream *stream_of(const struct replica *r)
{
    return list_is_empty(&r->streams) ? NULL : LIST_ENTRY(r->streams.next, struct stream, node);
}

/* The state of every stream of 'side'. */
static bool all_streams_are(const struct linked *l, int side, enum dup_state state)
{
    const struct invariant_side *s = &l->invariants->sides[side];
    for (size_t i = 0; i < s->replica_count; i++)
        if (stream_of(s->replicas[i])->machine.state != state) return false;
    return s->replica_count > 0;
}

/* The remote loses its disk while the stream has nothing to send and so nothing to notice by: a wait does
 * not say that all is there. The duplication made anew repairs it, and then the wait is true again. */
static void test_wait_after_the_remote_was_wiped(void **state)
{
    struct linked *l = *state;
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_wait(l, 0, 1000));
    assert_true(linked_wipe(l, 1));
    assert_true(linked_run(l, 10 * (uint64_t)S));
    assert_true(all_streams_are(l, 0, DUP_LIVE)); /* It has not noticed. */
    for (int32_t i = 0; i < 4; i++) assert_false(linked_wait_for(l, 0, i, 1000));
    assert_true(all_streams_are(l, 0, DUP_CONNECTING));
    assert_null(ghost_of(l, 1, "a"));
    assert_whole(l);

    assert_true(linked_remove_dup(l, 0));
    assert_true(linked_add_dup(l, 0, true));
    assert_true(linked_wait(l, 0, 60000));
    assert_non_null(ghost_of(l, 1, "a"));
    assert_whole(l);
}

/* A look at an idle stream's status finds out as well, for the next look. */
static void test_status_asks_who_is_there(void **state)
{
    struct linked *l = *state;
    struct linked_lag lag;
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_wait(l, 0, 1000));
    assert_true(linked_wipe(l, 1));
    assert_true(linked_lag(l, 0, &lag));
    assert_true(linked_run(l, S));
    assert_true(all_streams_are(l, 0, DUP_CONNECTING));
    assert_whole(l);
}

/* A wait for what is there already costs one round trip to the remote, and no timer. */
static void test_wait_costs_one_round_trip(void **state)
{
    struct linked *l = *state;
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(
        linked_run(l, 3 * (uint64_t)S)); /* Progress is saved, and nothing else is to be done. */
    for (int s = 0; s < LINKED_SIDES; s++) sim_timers_forbid(l->clusters[s]->machine, true);
    uint64_t begin_us = sim_now_us(l->sim);
    assert_true(linked_wait_for(l, 0, 0, 1000));
    uint64_t took_ms = (sim_now_us(l->sim) - begin_us) / MS;
    for (int s = 0; s < LINKED_SIDES; s++) {
        assert_int_equal(sim_timers_fired(l->clusters[s]->machine), 0);
        sim_timers_forbid(l->clusters[s]->machine, false);
    }
    assert_true(took_ms >=
                4 * ONE_WAY_MS); /* To the source and back, and from there to the remote. */
    assert_true(took_ms <= 4 * ONE_WAY_MS + 2);
    assert_whole(l);
}

/* The remote cannot be reached: nothing is to be sent, and still the wait cannot be answered. */
static void test_wait_needs_the_remote(void **state)
{
    struct linked *l = *state;
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_wait(l, 0, 1000));
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    assert_false(linked_wait_for(l, 0, 0, 1000));
    sim_heal_all(l->sim);
    assert_true(linked_wait(l, 0, 60000));
    assert_whole(l);
}

/* What came from the other side is not sent back; what stands before it in the log still is. */
static void test_echo_confirms_nothing_else(void **state)
{
    struct linked *l = *state;
    char key[16];
    sim_cut_one_way(l->clusters[0]->machine, l->clusters[1]->machine);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(key, sizeof key, "here%d", i);
        assert_true(linked_put(l, 0, key, key));
        (void)snprintf(key, sizeof key, "there%d", i);
        assert_true(linked_put(l, 1, key, key));
        (void)linked_run(l, 100 * MS);
    }
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, MINUTE));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

static void put_large(struct linked *l, const char *prefix, int count)
{
    static char large[2000];
    char key[32];
    memset(large, 'v', sizeof large - 1);
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "%s%d", prefix, i);
        assert_true(linked_put(l, 0, key, large));
    }
}

/* How far the compaction of a side's table is, as its meta says; -1: none was asked for. */
static int compaction_percent(struct linked *l, int side)
{
    struct query_manual_compact_request ask = {.app_name = slice_str(l->clients[side]->table_name)};
    struct sim_call call = {.rpc = RPC_QUERY_MANUAL_COMPACT, .args = &ask, .timeout_ms = 5000};
    struct query_manual_compact_response status;
    assert_int_equal(sim_ask(l->clients[side], &call, &status), 0);
    int percent = slice_is(status.err, "ERR_OK") ? status.progress : -1;
    sim_call_fini(&call);
    return percent;
}

static void start_compaction(struct linked *l, int side)
{
    struct start_manual_compact_request ask = {
        .set = START_MANUAL_COMPACT_REQUEST_HAS_BOTTOMMOST,
        .app_name = slice_str(l->clients[side]->table_name),
        .bottommost = true,
    };
    struct sim_call call = {.rpc = RPC_START_MANUAL_COMPACT, .args = &ask, .timeout_ms = 5000};
    struct start_manual_compact_response started;
    assert_int_equal(sim_ask(l->clients[side], &call, &started), 0);
    assert_true(slice_is(started.err, "ERR_OK"));
    sim_call_fini(&call);
}

static void compact_all(struct linked *l, int side)
{
    start_compaction(l, side);
    for (int i = 0; i < 100 && compaction_percent(l, side) < 100; i++)
        assert_true(linked_run(l, 100 * MS));
    assert_int_equal(compaction_percent(l, side), 100);
}

/* Any of the stores has a row of the key, if only a tombstone. */
static bool has_row(const struct linked *l, int side, const char *key)
{
    const struct invariant_side *s = &l->invariants->sides[side];
    struct buf raw = {0};
    bool has = false;
    key_append(&raw, slice_str(key), slice_str("k"));
    for (size_t i = 0; i < s->replica_count; i++) {
        struct store_value value = {0};
        has = store_get(s->replicas[i]->store, buf_slice(&raw), STORE_ANY, &value) == 0 || has;
        store_value_release(&value);
    }
    buf_fini(&raw);
    return has;
}

/* A write waits on the other side for days, because its duplication is paused, and loses to a delete that
 * was made here meanwhile. The tombstone is old, and everybody has it, but it must stay until that write
 * has come; also when this side was started again and has not heard from the other since. */
static void tombstone_outlives(struct linked *l, bool restarts)
{
    const int64_t days = 2 * 24 * 60 * (int64_t)MINUTE;
    put_large(l, "first", 40); /* In every partition of both. */
    assert_true(linked_settle(l, MINUTE));
    assert_true(linked_set_dup(l, 1, true));
    assert_true(linked_put(l, 1, "key", "older"));
    assert_true(linked_run(l, S));
    assert_true(linked_delete(l, 0, "key"));
    assert_true(linked_wait(l, 0, 60000));
    for (int s = 0; s < LINKED_SIDES; s++) sim_clock_jump(l->clusters[s]->machine, days);
    if (restarts) {
        sim_cluster_crash(l->clusters[0], SIM_KILL);
        sim_cluster_start(l->clusters[0]);
    }
    put_large(l, "second", 40);
    assert_true(linked_wait(l, 0, 60000));
    compact_all(l, 0);
    assert_true(has_row(l, 0, "key"));
    assert_true(linked_set_dup(l, 1, false));
    assert_true(linked_settle(l, MINUTE));
    assert_null(linked_get(l, 0, "key"));
    invariants_check_end(l->invariants);

    /* And then it goes. */
    for (int s = 0; s < LINKED_SIDES; s++) sim_clock_jump(l->clusters[s]->machine, days);
    put_large(l, "third", 40);
    assert_true(linked_settle(l, MINUTE));
    compact_all(l, 0);
    assert_false(has_row(l, 0, "key"));
    assert_whole(l);
}

static void test_tombstone_waits_for_the_other_direction(void **state)
{
    tombstone_outlives(*state, false);
}

/* What was asked for while the server was down, or before it was killed, is done after its start; what was
 * done before is known to be done, and not done again. */
static void test_compaction_survives_a_restart(void **state)
{
    struct linked *l = *state;
    put_large(l, "key", 20);
    assert_int_equal(compaction_percent(l, 0), -1);
    start_compaction(l, 0);
    sim_cluster_crash(l->clusters[0], SIM_KILL);
    sim_cluster_start(l->clusters[0]);
    assert_true(linked_settle(l, MINUTE));
    assert_true(linked_run(l, 11 * (uint64_t)S));
    assert_int_equal(compaction_percent(l, 0), 100);
    const struct replica *r = l->invariants->sides[0].replicas[0];
    uint64_t compacted_s = store_compacted_s(r->store);
    sim_cluster_crash(l->clusters[0], SIM_POWER);
    sim_cluster_start(l->clusters[0]);
    assert_true(linked_settle(l, MINUTE));
    assert_true(linked_run(l, S));
    assert_int_equal(compaction_percent(l, 0), 100);
    r = l->invariants->sides[0].replicas[0];
    assert_int_equal(store_compacted_s(r->store), compacted_s);
    assert_whole(l);
}

static void test_tombstone_waits_after_a_restart(void **state)
{
    tombstone_outlives(*state, true);
}

/* The store of the source fails and its partitions stop: the log still keeps what the remote lacks, and
 * ships it when the source was started again. */
static void test_stopped_replica_holds_the_log(void **state)
{
    struct linked *l = *state;
    static char large[2000];
    char key[16];
    memset(large, 'v', sizeof large - 1);
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    put_large(l, "key", 40);
    assert_true(
        linked_run(l, 2 * (uint64_t)S)); /* All is flushed, so only the remote needs the log. */
    const struct store_sim_faults fail = {.flush_code = E_IO}, none = {0};
    store_sim_faults_set(l->clusters[0]->stores, &fail);
    for (int i = 0; i < 40; i++) { /* Until the stores have failed; then answers are refusals. */
        (void)snprintf(key, sizeof key, "more%d", i);
        (void)linked_put(l, 0, key, large);
    }
    assert_true(linked_run(l, S));
    store_sim_faults_set(l->clusters[0]->stores, &none);
    sim_cluster_crash(l->clusters[0], SIM_KILL);
    sim_cluster_start(l->clusters[0]);
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, 2 * (uint64_t)MINUTE));
    assert_non_null(ghost_of(l, 1, "key0"));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

static const struct store_sim_faults store_full = {.flush_code = E_NOSPACE}, store_well = {0};

enum { FULL_PUTS_MAX = 400 };

/* Put until every partition refuses, because its store has met the full disk. A put that was on its way
 * waits, and its client hears nothing. Returns how many were tried: the keys are "full0" and so on;
 * 'is_taken' says which were acknowledged. */
static int put_until_full(struct linked *l, bool is_taken[FULL_PUTS_MAX])
{
    char key[32];
    int count = 0, taken = 0;
    for (int refused = 0; refused < 30; count++) {
        assert_true(count < FULL_PUTS_MAX);
        (void)snprintf(key, sizeof key, "full%d", count);
        enum wire_error error = linked_try_put(l, 0, key, "value");
        assert_true(error == WIRE_ERR_OK || error == WIRE_ERR_TIMEOUT ||
                    error == WIRE_ERR_DISK_INSUFFICIENT);
        is_taken[count] = error == WIRE_ERR_OK;
        taken += is_taken[count];
        refused = error == WIRE_ERR_DISK_INSUFFICIENT ? refused + 1 : 0;
    }
    assert_true(taken > 0);
    return count;
}

static void expect_taken(struct linked *l, int side, const bool is_taken[], int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "full%d", i);
        if (is_taken[i]) assert_non_null(linked_get(l, side, key));
    }
}

/* The disk of one side is full for its stores: its writes are refused, its reads are served, and the lag of
 * the other says why. With room again it goes on by itself, with every write that it had acknowledged. */
static void test_full_store_resumes(void **state)
{
    struct linked *l = *state;
    struct linked_lag lag;
    bool is_taken[FULL_PUTS_MAX];
    uint64_t run = sim_machine_starts(l->clusters[0]->machine);
    store_sim_faults_set(l->clusters[0]->stores, &store_full);
    int count = put_until_full(l, is_taken);
    expect_taken(l, 0, is_taken, count);
    assert_true(linked_put(l, 1, "there", "1"));
    assert_true(linked_run(l, 3 * (uint64_t)S));
    assert_true(linked_lag(l, 1, &lag));
    assert_int_equal(lag.mutations, 1);
    assert_non_null(strstr(lag.why, "DISK_INSUFFICIENT"));

    store_sim_faults_set(l->clusters[0]->stores, &store_well);
    assert_true(linked_run(l, S));
    for (int i = 0; i < 8; i++) assert_true(linked_put(l, 0, (char[]){(char)('a' + i), 0}, "1"));
    assert_true(linked_settle(l, MINUTE));
    expect_taken(l, 1, is_taken, count);
    assert_non_null(linked_get(l, 0, "there"));
    assert_int_equal(sim_machine_starts(l->clusters[0]->machine), run);
    invariants_check_end(l->invariants);
    assert_whole(l);
}

struct asker {
    struct io_post post; /* To the replica's own loop. */
    struct replica *replica;
    uint64_t prepared; /* What the log wants to be durable. */
};

static void ask_for_flush(struct io_post *post)
{
    struct asker *asker = LIST_ENTRY(post, struct asker, post);
    asker->prepared = asker->replica->repl.prepared;
    asker->replica->hold.handler->on_flush_wanted(&asker->replica->hold);
}

/* The log asks for a flush for which there is no room, and then everything falls silent: with room again what
 * it asked for is done, though it does not ask again. */
static void test_full_store_is_flushed_when_it_has_room(void **state)
{
    struct linked *l = *state;
    bool is_taken[FULL_PUTS_MAX];
    store_sim_faults_set(l->clusters[0]->stores, &store_full);
    int count = put_until_full(l, is_taken);
    struct asker askers[4] = {0};
    const struct invariant_side *side = &l->invariants->sides[0];
    assert_int_equal(side->replica_count, 4);
    for (size_t i = 0; i < 4; i++) {
        askers[i] = (struct asker){.post.run = ask_for_flush, .replica = side->replicas[i]};
        io_post(side->replicas[i]->worker->loop, &askers[i].post);
    }
    assert_true(linked_run(l, 3 * (uint64_t)S));
    store_sim_faults_set(l->clusters[0]->stores, &store_well);
    assert_true(linked_run(l, 10 * (uint64_t)S));
    for (size_t i = 0; i < 4; i++)
        assert_true(askers[i].prepared > 0 && side->replicas[i]->durable >= askers[i].prepared);
    assert_true(linked_settle(l, MINUTE));
    expect_taken(l, 1, is_taken, count);
    invariants_check_end(l->invariants);
    assert_whole(l);
}

/* Killed with a full disk, and started while it still is: what the log holds is applied when there is
 * room, and only then is it served. */
static void test_started_on_a_full_disk(void **state)
{
    struct linked *l = *state;
    bool is_taken[FULL_PUTS_MAX];
    store_sim_faults_set(l->clusters[0]->stores, &store_full);
    int count = put_until_full(l, is_taken);
    for (int round = 0; round < 5; round++) {
        sim_cluster_crash(l->clusters[0], SIM_KILL);
        sim_cluster_start(l->clusters[0]);
        assert_true(sim_cluster_wait_ready(l->clusters[0], 5 * (uint64_t)S));
        assert_true(linked_run(l, S));
    }
    store_sim_faults_set(l->clusters[0]->stores, &store_well);
    assert_true(linked_run(l, S));
    expect_taken(l, 0, is_taken, count);
    assert_true(linked_settle(l, MINUTE));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

static bool has_snapshot_at_remote(const struct linked *l)
{
    const struct invariant_side *side = &l->invariants->sides[0];
    bool has = side->replica_count > 0;
    for (size_t i = 0; i < side->replica_count; i++) {
        const struct stream *s = stream_of(side->replicas[i]);
        has = has && s != NULL && s->machine.state == DUP_LIVE &&
              s->machine.confirmed >= s->machine.snapshot_decree;
    }
    return has;
}

/* A replica of the source with data whose news of a finished snapshot is on its way to the meta group;
 * NULL: none. */
static struct replica *news_under_way(const struct linked *l)
{
    const struct invariant_side *side = &l->invariants->sides[0];
    for (size_t i = 0; i < side->replica_count; i++) {
        const struct stream *s = stream_of(side->replicas[i]);
        if (s != NULL && s->save != NULL && s->machine.owes_snapshot &&
            s->machine.committed > s->machine.confirmed)
            return side->replicas[i];
    }
    return NULL;
}

struct stopper {
    struct io_post post; /* To the replica's own loop. */
    struct replica *replica;
};

static void stop_replica(struct io_post *post)
{
    struct stopper *stopper = LIST_ENTRY(post, struct stopper, post);
    struct repl_event failed = {.type = REPL_STORE_FAILED, .failed.rc = E_IO};
    replica_step(stopper->replica, &failed);
}

/* A partition stops between the end of its snapshot and the meta group's hearing of it, with writes that
 * the remote lacks: its log still keeps them, for the next life begins behind the snapshot. */
static void test_news_of_a_snapshot_hold_the_log(void **state)
{
    struct linked *l = linked_new(12);
    const struct sim_link link = {.delay_us = ONE_WAY_MS * MS};
    linked_free(*state);
    *state = l;
    sim_link_default(l->sim, &link);
    assert_true(linked_begin(l, 4, 8));
    put_large(l, "old", 40);
    assert_true(linked_add_dup(l, 0, true));
    for (int i = 0; i < 1000 && !has_snapshot_at_remote(l); i++) assert_true(linked_run(l, MS));
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine); /* The news waits for its second. */
    put_large(l, "new", 30);
    struct stopper stopper = {.post.run = stop_replica};
    for (int i = 0; i < 40000 && (stopper.replica = news_under_way(l)) == NULL; i++)
        assert_true(linked_run(l, 50));
    assert_non_null(stopper.replica);
    io_post(stopper.replica->worker->loop, &stopper.post);
    assert_true(linked_run(l, S));
    sim_cluster_crash(l->clusters[0], SIM_KILL);
    sim_cluster_start(l->clusters[0]);
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, 2 * (uint64_t)MINUTE));
    assert_non_null(ghost_of(l, 1, "new29"));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

static bool has_full_window(const struct linked *l)
{
    const struct invariant_side *side = &l->invariants->sides[0];
    for (size_t i = 0; i < side->replica_count; i++) {
        const struct stream *s = stream_of(side->replicas[i]);
        if (s != NULL && s->machine.read < s->machine.committed && !s->machine.is_reading)
            return true;
    }
    return false;
}

/* The link hangs with as many requests under way as there may be, and a window full behind them. When it
 * works again all of them go at once, more than one step has room for, and reading goes on in the same
 * step: no answer may be lost over that, or nobody would ever ask again. */
static void test_much_at_once_after_a_cut(void **state)
{
    struct linked *l = *state;
    static char large[16 << 10];
    memset(large, 'v', sizeof large - 1);
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    for (int i = 0; i < 400 && !has_full_window(l); i++)
        assert_true(linked_put(l, 0, "key", large));
    assert_true(has_full_window(l)); /* What it could not read any more is still in the tail. */
    assert_true(linked_run(l, 30 * (uint64_t)S)); /* Until they have failed. */
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, MINUTE));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

static bool has_waiting_requests(const struct linked *l)
{
    const struct invariant_side *side = &l->invariants->sides[0];
    for (size_t i = 0; i < side->replica_count; i++) {
        const struct stream *s = stream_of(side->replicas[i]);
        if (s != NULL && !list_is_empty(&s->remote->waiting)) return true;
    }
    return false;
}

/* More is ready for the remote than may be under way to it: what waits is sent by the answers that make
 * room, all of it, without a timer. */
static void test_more_than_there_is_room_for(void **state)
{
    struct linked *l = linked_new(13);
    const struct sim_link link = {.delay_us = ONE_WAY_MS * MS};
    static char large[100 << 10];
    char key[16];
    bool has_waited = false;
    linked_free(*state);
    *state = l;
    memset(large, 'v', sizeof large - 1);
    sim_link_default(l->sim, &link);
    l->clusters[0]->config.workers = 1;
    assert_true(linked_begin(l, 8, 4));
    assert_true(linked_add_dup(l, 0, false));
    assert_true(linked_settle(l, 20 * (uint64_t)S));
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    for (int i = 0; i < 400; i++) {
        (void)snprintf(key, sizeof key, "key%d", i);
        assert_true(linked_put(l, 0, key, large));
    }
    sim_heal_all(l->sim);
    for (int i = 0; i < 30000 && !has_waited; i++) {
        assert_true(linked_run(l, MS));
        has_waited = has_waiting_requests(l);
    }
    assert_true(has_waited);
    assert_true(linked_settle(l, 10 * (uint64_t)S));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

/* The remote loses power with requests on their way: after its return everything arrives. */
static void test_remote_loses_power(void **state)
{
    struct linked *l = *state;
    for (int round = 0; round < 5; round++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", round);
        assert_true(linked_put(l, 0, key, key));
        (void)linked_run(l, (uint64_t)round * 5 * MS);
        sim_cluster_crash(l->clusters[1], SIM_POWER);
        (void)linked_run(l, S);
        sim_cluster_start(l->clusters[1]);
        assert_true(linked_settle(l, MINUTE));
        assert_string_equal(linked_get(l, 1, key), key);
    }
    invariants_check_end(l->invariants);
    assert_whole(l);
}

/* The source dies right after it has acknowledged: who comes back ships what it had not shipped. */
static void test_source_dies_after_ack(void **state)
{
    struct linked *l = *state;
    for (int round = 0; round < 5; round++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", round);
        assert_true(linked_put(l, 0, key, key));
        sim_cluster_crash(l->clusters[0], round % 2 == 0 ? SIM_KILL : SIM_POWER);
        sim_cluster_start(l->clusters[0]);
        assert_true(linked_settle(l, MINUTE));
        assert_string_equal(linked_get(l, 1, key), key);
    }
    assert_whole(l);
}

/* Killed again and again in the middle of writes to several keys, with stores that flush all the time: nobody
 * ever sees half of a write, and what a store holds when it comes back is whole decrees. */
static void test_no_half_decree_survives(void **state)
{
    struct linked *l = *state;
    const struct load_options options = {.sessions = 16,
                                         .own_keys = 4,
                                         .groups = 2,
                                         .shared_keys = 4,
                                         .think_us = MS,
                                         .timeout_ms = 500,
                                         .write_percent = 50,
                                         .value_size_max = 100};
    const struct sim_link link = {.delay_us = MS};
    struct sim_disk disk;
    sim_disk_default(&disk);
    disk.sync_us = 20 * MS; /* Writes wait in a row. */
    sim_link_default(l->sim, &link);
    sim_disk_set(l->clusters[0]->machine, &disk);
    l->clusters[0]->flush_us = 500;
    l->loads[0] = load_new(l->clients[0], &options, 5);
    for (int round = 0; round < 40; round++) {
        (void)linked_run(l, 300 * MS);
        assert_whole(l);
        sim_cluster_crash(l->clusters[0], SIM_KILL);
        sim_cluster_start(l->clusters[0]);
        assert_true(sim_cluster_wait_ready(l->clusters[0], 5 * (uint64_t)S));
    }
    load_stop(l->loads[0]);
    assert_true(linked_settle(l, MINUTE));
    invariants_check_end(l->invariants);
    assert_whole(l);
}

/* A paused duplication says how far it is behind, after a restart too. */
static void test_paused_lag_is_told(void **state)
{
    struct linked *l = *state;
    struct linked_lag lag;
    assert_true(linked_set_dup(l, 0, true));
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(linked_lag(l, 0, &lag));
    assert_int_equal(lag.mutations, 1);
    assert_true(linked_run(l, 2 * (uint64_t)S));
    sim_cluster_crash(l->clusters[0], SIM_KILL);
    sim_cluster_start(l->clusters[0]);
    assert_true(sim_cluster_wait_ready(l->clusters[0], 5 * (uint64_t)S));
    assert_true(linked_run(l, S));
    assert_true(linked_lag(l, 0, &lag));
    assert_int_equal(lag.mutations, 1);
    assert_true(linked_put(l, 0, "b", "2"));
    assert_true(linked_lag(l, 0, &lag));
    assert_int_equal(lag.mutations, 2);
    assert_true(linked_set_dup(l, 0, false));
    assert_true(linked_settle(l, MINUTE));
    assert_string_equal(linked_get(l, 1, "a"), "1");
    assert_whole(l);
}

/* How many streams of 'side' there are, and the group does not know where they begin. */
static int unsaved_starts(const struct linked *l, int side)
{
    const struct invariant_side *s = &l->invariants->sides[side];
    int count = 0;
    for (size_t i = 0; i < s->replica_count; i++) {
        const struct stream *stream = stream_of(s->replicas[i]);
        count += stream != NULL && !stream->is_closing && stream->machine.owes_start;
    }
    return count;
}

/* The group could not note where a new duplication begins, and it is paused and resumed before that was made
 * good: what was written meanwhile is not confirmed by that, but arrives. */
static void test_resumed_before_its_start_is_saved(void **state)
{
    struct linked *l = *state;
    struct linked_lag lag;
    assert_true(linked_remove_dup(l, 0));
    assert_true(linked_run(l, S));
    struct add_duplication_request args = {
        .set = ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT,
        .app_name = slice_str("temp"),
        .remote_cluster_name = slice_str("two:34601"),
    };
    struct add_duplication_response response;
    struct sim_call call = {.rpc = RPC_ADD_DUPLICATION, .args = &args, .timeout_ms = 5000};
    struct group_sim_faults *group = &l->clusters[0]->group_faults;
    group->delay_us_max = 4 * S;
    sim_call_begin(l->clients[0], &call);
    assert_true(linked_run(l, (ONE_WAY_MS + 5) * MS)); /* It has been proposed, and waits. */
    *group = (struct group_sim_faults){.refused_percent = 100};
    for (int i = 0; i < 4000 && unsaved_starts(l, 0) == 0; i++) assert_true(linked_run(l, MS));
    assert_true(linked_run(l, 2 * ONE_WAY_MS * MS));
    assert_int_equal(sim_call_read(&call, &response), 0);
    l->dup_ids[0] = response.dupid;
    sim_call_fini(&call);
    assert_true(unsaved_starts(l, 0) > 0);

    group->refused_percent = 0; /* They try again after a second. */
    assert_true(linked_set_dup(l, 0, true));
    for (char c = 'a'; c <= 'h'; c++) assert_true(linked_put(l, 0, (char[]){c, 0}, "1"));
    assert_true(unsaved_starts(l, 0) > 0);
    sim_cut(l->clusters[0]->machine, l->clusters[1]->machine);
    assert_true(linked_set_dup(l, 0, false));
    assert_true(linked_lag(l, 0, &lag));
    assert_int_equal(lag.mutations, 8);
    sim_heal_all(l->sim);
    assert_true(linked_settle(l, MINUTE));
    assert_int_equal(unsaved_starts(l, 0), 0);
    for (char c = 'a'; c <= 'h'; c++) assert_string_equal(linked_get(l, 1, (char[]){c, 0}), "1");
    invariants_check_end(l->invariants);
    assert_whole(l);
}

/* Both stop when told to, whatever they are connected to, and leave no memory. */
static void test_both_stop(void **state)
{
    struct linked *l = *state;
    assert_true(linked_put(l, 0, "a", "1"));
    assert_true(sim_cluster_stop(l->clusters[0], MINUTE));
    assert_true(linked_put(l, 1, "b", "2"));
    assert_true(sim_cluster_stop(l->clusters[1], MINUTE));
    assert_whole(l);
}

int main(void)
{
#define STORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(test_last_write_needs_no_timer),
        STORY(test_last_writer_wins_on_both_sides),
        STORY(test_lag_grows_while_cut),
        STORY(test_lag_heeds_no_wall_clock),
        STORY(test_tombstone_waits_for_the_other_direction),
        STORY(test_tombstone_waits_after_a_restart),
        STORY(test_compaction_survives_a_restart),
        STORY(test_wait_is_true),
        STORY(test_wait_after_the_remote_was_wiped),
        STORY(test_status_asks_who_is_there),
        STORY(test_wait_costs_one_round_trip),
        STORY(test_wait_needs_the_remote),
        STORY(test_echo_confirms_nothing_else),
        STORY(test_stopped_replica_holds_the_log),
        STORY(test_full_store_resumes),
        STORY(test_full_store_is_flushed_when_it_has_room),
        STORY(test_started_on_a_full_disk),
        STORY(test_news_of_a_snapshot_hold_the_log),
        STORY(test_much_at_once_after_a_cut),
        STORY(test_more_than_there_is_room_for),
        STORY(test_remote_loses_power),
        STORY(test_source_dies_after_ack),
        STORY(test_no_half_decree_survives),
        STORY(test_paused_lag_is_told),
        STORY(test_resumed_before_its_start_is_saved),
        STORY(test_both_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
