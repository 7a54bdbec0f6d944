/* tests/log_crash/test_log_memory.c: every allocation of the log fails once, in turn.
 *
 * A little of everything is done: open, write through several segments, move to the backlog, read,
 * free; and once more while a replica is set aside, whose records move too. Whatever failed: nothing
 * breaks, what was acknowledged is there afterwards, and nobody is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "log_crash/story.h"

enum { USED = 3, ASIDE = 2, ROUNDS = 14, SIZE = 700 };

struct life {
    struct log *log;
    struct io_loop *loop;
    struct log_hold holds[USED];
    struct log_batch batch;
    struct log_entry entry;
    struct log_read read;
    uint8_t bytes[SIZE];
    uint64_t acked[USED];
    uint64_t durable[USED]; /* What the stores hold. */
    uint64_t replayed[USED];
    bool is_aside;      /* The store of ASIDE can't be opened. */
    uint64_t kept_size; /* Of backlog files, when it was set aside. */
    int rc;             /* Of the last batch or read. */
};

static struct gpid gpid_of(int part)
{
    return (struct gpid){1, part};
}

/* Each byte of a record says whose it is. */
static uint8_t mark_of(int part, uint64_t decree)
{
    return (uint8_t)(decree * 2 + (uint64_t)part);
}

static int on_record(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                     struct slice mutation)
{
    struct life *life = context;
    assert_int_equal(ballot, 1);
    assert_int_equal(decree, life->replayed[gpid.partition_index] + 1);
    for (size_t i = 0; i < mutation.size; i++)
        assert_int_equal(mutation.data[i], mark_of(gpid.partition_index, decree));
    life->replayed[gpid.partition_index] = decree;
    return 0;
}

static void on_damaged(void *context, struct gpid gpid, uint64_t decree, const char *why)
{
    (void)context, (void)gpid, (void)decree;
    fail_msg("damaged: %s", why);
}

static void on_notice(struct log_hold *hold)
{
    (void)hold;
}

static int life_open(struct life *life)
{
    static const struct log_replay_handler handler = {on_record, on_damaged};
    static const struct log_hold_handler hold_handler = {on_notice, on_notice, on_notice};
    struct log_options options = {
        .dir = "/log",
        .segment_size = LOG_SEGMENT_SIZE_MIN,
        .flush_size = 2 * LOG_SEGMENT_SIZE_MIN,
        .ship_size = LOG_SEGMENT_SIZE_MIN,
        .backlog_size_max = UINT64_MAX,
    };
    struct log_replica replicas[USED];
    for (int i = 0; i < USED; i++) replicas[i] = (struct log_replica){gpid_of(i), life->durable[i]};
    if (life->is_aside) replicas[ASIDE].durable = LOG_NO_STORE;
    memcpy(life->replayed, life->durable, sizeof life->replayed);
    int rc = log_open(world_io(), &options, replicas, USED, &handler, life, &life->log, NULL);
    if (rc != 0) return rc;
    assert_int_equal(log_start(life->log), 0);
    assert_int_equal(io_loop_open(world_io(), IO_LOOP_EVENTS, "worker", &life->loop), 0);
    for (int i = 0; i < USED; i++)
        log_hold_init(&life->holds[i], life->log, gpid_of(i), life->loop, &hold_handler);
    return 0;
}

static void on_stopped(struct log_stop *stop)
{
    (void)stop;
}

static void life_close(struct life *life)
{
    struct log_stop stop = {.loop = life->loop, .on_stopped = on_stopped};
    log_stop(life->log, &stop);
    world_run();
    log_close(life->log);
    io_loop_close(life->loop);
}

static void on_batch_done(struct log_batch *batch, int rc)
{
    LIST_ENTRY(batch, struct life, batch)->rc = rc;
}

static void write_next(struct life *life, int part)
{
    uint64_t decree = life->acked[part] + 1;
    memset(life->bytes, mark_of(part, decree), SIZE);
    life->entry = (struct log_entry){gpid_of(part), decree, 1, slice_of(life->bytes, SIZE)};
    life->batch = (struct log_batch){
        .loop = life->loop, .entries = &life->entry, .count = 1, .on_done = on_batch_done};
    log_submit(life->log, &life->batch);
    world_run();
    if (life->rc == 0) life->acked[part] = decree;
}

static void on_read_done(struct log_read *r, int rc)
{
    LIST_ENTRY(r, struct life, read)->rc = rc;
    for (size_t i = 0; i < r->count; i++)
        assert_int_equal(r->entries[i].mutation.data[0], mark_of(0, r->from_decree + i));
}

static void hold(struct life *life, int part, uint64_t durable, uint64_t confirmed)
{
    life->durable[part] = durable;
    log_hold_set(&life->holds[part], durable, confirmed);
    world_run();
}

static void little_of_everything(struct life *life)
{
    hold(life, 0, 0, 0);
    hold(life, 1, 0, LOG_NO_SHIPPER);
    hold(life, ASIDE, 0, LOG_NO_SHIPPER);
    for (int i = 0; i < ROUNDS; i++) {
        write_next(life, 0);
        write_next(life, 1);
        if (i % 3 == 0) write_next(life, ASIDE);
        if (i == ROUNDS / 2) hold(life, 1, life->acked[1], LOG_NO_SHIPPER);
        if (i == ROUNDS / 2) hold(life, 0, life->acked[0], 1);
    }
    life->read = (struct log_read){
        .gpid = gpid_of(0),
        .from_decree = 2,
        .to_decree = life->acked[0],
        .size_max = 100,
        .count_max = 100,
        .loop = life->loop,
        .on_done = on_read_done,
    };
    log_read(life->log, &life->read);
    world_run();
}

/* One replica is set aside, and nobody else needs the segments: its records move to its backlog. */
static int set_aside(struct life *life)
{
    life->is_aside = true;
    int rc = life_open(life);
    life->is_aside = false;
    if (rc != 0) return rc;
    for (int i = 0; i < ASIDE; i++) assert_int_equal(life->replayed[i], life->acked[i]);
    assert_int_equal(life->replayed[ASIDE], life->durable[ASIDE]);
    for (int i = 0; i < ASIDE; i++) hold(life, i, life->acked[i], LOG_NO_SHIPPER);
    struct log_stats stats;
    log_stats(life->log, &stats);
    life->kept_size = stats.kept_size;
    life_close(life);
    return 0;
}

static void test_every_failed_allocation(void **state)
{
    (void)state;
    static struct life life;
    bool has_failed = true;
    uint64_t nth = 1;
    for (; has_failed; nth++) {
        struct disk disk;
        disk_init(&disk);
        world_use(&disk);
        life = (struct life){0};
        mem_fail_nth(nth);
        int rc = life_open(&life);
        if (rc == 0) little_of_everything(&life);
        if (rc == 0) life_close(&life);
        if (rc == 0) rc = set_aside(&life);
        has_failed = mem_has_failed() != 0;
        mem_fail_nth(0);
        assert_true(rc == 0 || (rc == E_NOMEM && has_failed));

        assert_int_equal(life_open(&life), 0);
        life_close(&life);
        for (int i = 0; i < USED; i++) assert_int_equal(life.replayed[i], life.acked[i]);
        disk_fini(&disk);
    }
    print_message("%llu allocations\n", (unsigned long long)nth - 2);
    assert_true(nth > 50);
    assert_int_equal(life.acked[0], ROUNDS); /* The last run was whole. */
    assert_true(life.kept_size > 0);
}

/* A recovery that runs out of memory says so, changes nothing, and the next one finds all. */
static void test_every_failed_allocation_of_recovery(void **state)
{
    (void)state;
    static struct life life;
    struct disk whole;
    disk_init(&whole);
    world_use(&whole);
    life = (struct life){0};
    assert_int_equal(life_open(&life), 0);
    little_of_everything(&life);
    life_close(&life);
    assert_int_equal(set_aside(&life), 0);
    assert_true(life.kept_size > 0);
    for (uint64_t nth = 1;; nth++) {
        struct disk disk;
        disk_copy(&disk, &whole);
        world_use(&disk);
        mem_fail_nth(nth);
        int rc = life_open(&life);
        bool has_failed = mem_has_failed() != 0;
        mem_fail_nth(0);
        if (rc == 0) life_close(&life);
        else assert_int_equal(rc, E_NOMEM);
        if (rc != 0) assert_int_equal(life_open(&life), 0);
        if (rc != 0) life_close(&life);
        for (int i = 0; i < USED; i++) assert_int_equal(life.replayed[i], life.acked[i]);
        disk_fini(&disk);
        if (!has_failed) break;
    }
    disk_fini(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_failed_allocation),
        cmocka_unit_test(test_every_failed_allocation_of_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
