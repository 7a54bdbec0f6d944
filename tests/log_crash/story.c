/* tests/log_crash/story.c: one log, four replicas, everything in one thread. */
#include "log_crash/story.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

enum { RECORDS_MAX = 32, RECORD_SIZE_MAX = 4096 };

struct live {
    struct told *told;
    struct log *log;
    struct io_loop *loop;
    struct log_hold holds[PARTS];
    struct state states[PARTS];
    bool is_kept[PARTS];
    struct log_batch batch;
    struct log_entry entries[RECORDS_MAX];
    uint8_t bytes[RECORDS_MAX][RECORD_SIZE_MAX];
    bool is_done;
};

static struct gpid gpid_of(int part)
{
    return (struct gpid){1, part};
}

/* ---- Content ---- */

static size_t size_of(int part, uint64_t decree, uint64_t wanted)
{
    return (size_t)(wanted + (decree * 7 + (uint64_t)part) % 23);
}

static void content_fill(uint8_t *to, size_t size, int part, uint64_t decree)
{
    struct prng prng;
    prng_init(&prng, decree * 31 + (uint64_t)part);
    prng_bytes(&prng, to, size);
}

static void content_check(struct slice bytes, int part, uint64_t decree)
{
    uint8_t wanted[RECORD_SIZE_MAX];
    CHECK(bytes.size <= sizeof wanted);
    content_fill(wanted, bytes.size, part, decree);
    CHECK(memcmp(wanted, bytes.data, bytes.size) == 0);
}

/* ---- Opening and closing ---- */

static int on_record(void *context, struct gpid gpid, uint64_t decree, uint64_t ballot,
                     struct slice mutation)
{
    struct found *f = context;
    int part = gpid.partition_index;
    CHECK(ballot == 1 && decree == f->replayed[part] + 1);
    content_check(mutation, part, decree);
    f->replayed[part] = decree;
    return 0;
}

static void on_damaged(void *context, struct gpid gpid, uint64_t decree, const char *why)
{
    (void)decree;
    (void)why;
    ((struct found *)context)->is_damaged[gpid.partition_index] = true;
}

static void on_notice(struct log_hold *hold)
{
    (void)hold;
}

static const struct log_hold_handler hold_handler = {on_notice, on_notice, on_notice};

static int live_open(struct live *live, enum log_sync sync, const struct state states[PARTS],
                     struct found *found)
{
    static const struct log_replay_handler handler = {on_record, on_damaged};
    struct log_options options = {
        .dir = "/log",
        .sync = sync,
        .segment_size = LOG_SEGMENT_SIZE_MIN,
        .flush_size = UINT64_MAX,
        .ship_size = 2 * LOG_SEGMENT_SIZE_MIN,
        .backlog_size_max = UINT64_MAX,
    };
    struct log_replica replicas[PARTS];
    for (int i = 0; i < PARTS; i++) {
        bool is_kept = live->is_kept[i];
        replicas[i] = (struct log_replica){gpid_of(i), is_kept ? LOG_NO_STORE : states[i].durable};
        found->replayed[i] =
            is_kept ? LOG_NO_STORE : states[i].durable; /* Then no record may come. */
    }
    int rc = log_open(world_io(), &options, replicas, PARTS, &handler, found, &live->log, NULL);
    if (rc != 0) return rc;
    CHECK(log_start(live->log) == 0);
    CHECK(io_loop_open(world_io(), IO_LOOP_EVENTS, "worker", &live->loop) == 0);
    for (int i = 0; i < PARTS; i++)
        log_hold_init(&live->holds[i], live->log, gpid_of(i), live->loop, &hold_handler);
    return 0;
}

static void on_stopped(struct log_stop *stop)
{
    (void)stop;
}

static void live_close(struct live *live)
{
    struct log_stop stop = {.loop = live->loop, .on_stopped = on_stopped};
    log_stop(live->log, &stop);
    world_run();
    log_close(live->log);
    io_loop_close(live->loop);
}

/* ---- Telling ---- */

static void promise(struct live *live, enum promise_type type, int part, uint64_t value)
{
    struct told *t = live->told;
    CHECK(t->promise_count < PROMISES_MAX);
    struct promise *p = &t->promises[t->promise_count++];
    *p = (struct promise){.at = t->disk.op_count, .part = part, .value = value};
    p->type = type;
}

static void on_batch_done(struct log_batch *batch, int rc)
{
    struct live *live = LIST_ENTRY(batch, struct live, batch);
    const struct log_entry *last = &batch->entries[batch->count - 1];
    int part = last->gpid.partition_index;
    CHECK(rc == 0);
    promise(live, ACKED, part, last->decree);
    live->is_done = true;
}

static void tell_append(struct live *live, const struct action *action)
{
    struct state *s = &live->states[action->part];
    if (live->is_kept[action->part]) return;
    CHECK(action->a <= RECORDS_MAX);
    for (uint64_t i = 0; i < action->a; i++) {
        uint64_t decree = ++s->submitted;
        size_t size = size_of(action->part, decree, action->b);
        CHECK(size <= RECORD_SIZE_MAX);
        content_fill(live->bytes[i], size, action->part, decree);
        live->entries[i] =
            (struct log_entry){gpid_of(action->part), decree, 1, slice_of(live->bytes[i], size)};
    }
    promise(live, SUBMITTED, action->part, s->submitted);
    live->batch = (struct log_batch){
        .loop = live->loop,
        .entries = live->entries,
        .count = (size_t)action->a,
        .on_done = on_batch_done,
    };
    live->is_done = false;
    log_submit(live->log, &live->batch);
    world_run();
    CHECK(live->is_done);
}

static uint64_t above_zero(uint64_t value, uint64_t less)
{
    return value > less ? value - less : 0;
}

static uint64_t least(const struct state *s)
{
    return s->durable < s->confirmed ? s->durable : s->confirmed;
}

static void tell_hold(struct live *live, const struct action *action)
{
    struct state *s = &live->states[action->part];
    if (live->is_kept[action->part]) return;
    uint64_t durable = above_zero(s->submitted, action->a);
    uint64_t confirmed = action->b == NONE ? NONE : above_zero(s->submitted, action->b);
    if (durable > s->durable) s->durable = durable;
    if (confirmed > s->confirmed) s->confirmed = confirmed;
    promise(live, DURABLE, action->part, s->durable);
    promise(live, CONFIRMED, action->part, s->confirmed);
    log_hold_set(&live->holds[action->part], s->durable, s->confirmed);
    world_run();
}

static void tell_reopen(struct live *live, enum log_sync sync)
{
    struct found found = {0};
    live_close(live);
    CHECK(live_open(live, sync, live->states, &found) == 0);
    for (int i = 0; i < PARTS; i++) {
        CHECK(!found.is_damaged[i]);
        if (live->is_kept[i]) continue;
        CHECK(found.replayed[i] == live->states[i].submitted);
        log_hold_set(&live->holds[i], live->states[i].durable, live->states[i].confirmed);
    }
    world_run();
}

static void tell_stop(struct live *live, int part)
{
    if (live->is_kept[part]) return;
    live->is_kept[part] = true;
    log_hold_set(&live->holds[part], LOG_NO_STORE, least(&live->states[part]));
    world_run();
}

static void tell(struct live *live, enum log_sync sync, const struct action *action)
{
    switch (action->type) {
    case APPEND: tell_append(live, action); return;
    case HOLD: tell_hold(live, action); return;
    case STOP: tell_stop(live, action->part); return;
    case SET_ASIDE: live->is_kept[action->part] = true; break;
    case REPAIR: memset(live->is_kept, 0, sizeof live->is_kept); break;
    case REOPEN: break;
    }
    tell_reopen(live, sync);
}

void story_tell(struct told *t, enum log_sync sync, const struct action *actions, size_t count)
{
    static struct live live;
    struct found found = {0};
    memset(t, 0, sizeof *t);
    disk_init(&t->disk);
    disk_record(&t->disk);
    world_use(&t->disk);
    live = (struct live){.told = t};
    CHECK(live_open(&live, sync, live.states, &found) == 0);
    for (size_t i = 0; i < count; i++) {
        struct log_stats stats;
        tell(&live, sync, &actions[i]);
        log_stats(live.log, &stats);
        if (stats.kept_size > t->kept_size_max) t->kept_size_max = stats.kept_size;
    }
    live_close(&live);
}

void story_fini(struct told *t)
{
    disk_fini(&t->disk);
}

void story_state(const struct told *t, size_t at, struct state states[PARTS])
{
    memset(states, 0, PARTS * sizeof *states);
    for (size_t i = 0; i < t->promise_count && t->promises[i].at <= at; i++) {
        const struct promise *p = &t->promises[i];
        struct state *s = &states[p->part];
        switch (p->type) {
        case SUBMITTED: s->submitted = p->value; break;
        case ACKED: s->acked = p->value; break;
        case DURABLE: s->durable = p->value; break;
        case CONFIRMED: s->confirmed = p->value; break;
        }
    }
}

/* ---- Looking at what recovery made of it ---- */

struct reading {
    struct log_read read;
    uint64_t next;
    bool is_good;
};

static void on_read_done(struct log_read *r, int rc)
{
    struct reading *reading = LIST_ENTRY(r, struct reading, read);
    reading->is_good = rc == 0;
    for (size_t i = 0; i < r->count; i++) {
        CHECK(r->entries[i].decree == reading->next);
        content_check(r->entries[i].mutation, r->gpid.partition_index, reading->next);
        reading->next++;
    }
}

static bool reads_all(struct live *live, int part, uint64_t from, uint64_t to)
{
    struct reading reading = {.next = from, .is_good = true};
    while (reading.is_good && reading.next <= to) {
        reading.read = (struct log_read){
            .gpid = gpid_of(part),
            .from_decree = reading.next,
            .to_decree = to,
            .size_max = 4096,
            .count_max = 100,
            .loop = live->loop,
            .on_done = on_read_done,
        };
        log_read(live->log, &reading.read);
        world_run();
    }
    return reading.is_good;
}

void story_recover(struct disk *disk, enum log_sync sync, const struct state states[PARTS],
                   bool with_reads, struct found *out)
{
    static struct live live; /* Nobody is kept. */
    *out = (struct found){0};
    world_use(disk);
    out->rc = live_open(&live, sync, states, out);
    if (out->rc != 0) return;
    for (int i = 0; i < PARTS; i++) {
        out->is_readable[i] = true;
        if (with_reads)
            out->is_readable[i] = reads_all(&live, i, least(&states[i]) + 1, out->replayed[i]);
    }
    struct log_stats stats;
    log_stats(live.log, &stats);
    out->damaged_blocks = stats.damaged_blocks;
    live_close(&live);
}

void story_set_aside(struct disk *disk, enum log_sync sync, int part, struct state states[PARTS],
                     size_t *flushed_at, struct found *out)
{
    static struct live live;
    *out = (struct found){0};
    world_use(disk);
    memset(live.is_kept, 0, sizeof live.is_kept);
    live.is_kept[part] = true;
    out->rc = live_open(&live, sync, states, out);
    if (out->rc != 0) return;
    *flushed_at = disk->op_count;
    for (int i = 0; i < PARTS; i++) {
        if (i == part) continue;
        struct state *s = &states[i];
        s->durable = out->replayed[i];
        if (s->confirmed != NONE) s->confirmed = s->durable;
        log_hold_set(&live.holds[i], s->durable, s->confirmed);
    }
    world_run();
    live_close(&live);
}
