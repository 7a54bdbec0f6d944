/* sim/faults.c: the table of faults, one row each. */
#include "sim/faults.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mark.h"
#include "log/log_impl.h"
#include "sim/swarm.h"

enum { MS = 1000, S = 1000 * MS, PENDING_MAX = 64 };

struct fault_kind;

/* A machine that is down waits for its start; what it died of is mended by then. */
struct patient {
    uint64_t start_at_us; /* 0: not waited for. */
    bool is_stopping;     /* A graceful end is under way. */
};

/* Somebody pauses a duplication and lets it go on: asked again until the answer says that it is so. */
struct operator
{
    struct linked_switch ask;
    bool is_asking;
    bool wants_pause, asked_pause; /* Now, and by the question under way. */
    bool is_sure;                  /* It is as is wanted. */
};

struct mend { /* The end of a strike. */
    struct faults *faults;
    void (*run)(struct faults *f, int side);
    int side;
    bool is_used;
};

struct arm { /* One kind of fault that is on in this run. */
    struct faults *faults;
    const struct fault_kind *kind;
    uint64_t mean_us;
};

enum { KINDS_MAX = 32 };

struct faults {
    struct linked *linked;
    int profile;
    struct prng prng;
    struct arm arms[KINDS_MAX];
    size_t arm_count;
    struct mend mends[PENDING_MAX];
    struct patient patients[LINKED_SIDES];
    struct operator operators[LINKED_SIDES];
    bool is_healed;
    uint64_t strikes;
};

static struct sim_machine *machine(const struct faults *f, int side)
{
    return f->linked->clusters[side]->machine;
}

static uint64_t draw_us(struct faults *f, uint64_t low_us, uint64_t high_us)
{
    return prng_between(&f->prng, low_us, high_us);
}

static bool flip(struct faults *f)
{
    return prng_percent(&f->prng, 50);
}

static void on_mend(void *context)
{
    struct mend *m = context;
    m->is_used = false;
    if (!m->faults->is_healed) m->run(m->faults, m->side);
}

/* Have run() end it after some time. When too much is under way, it ends now. */
static void mend_later(struct faults *f, int side, uint64_t after_us,
                       void (*run)(struct faults *f, int side))
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        struct mend *m = &f->mends[i];
        if (m->is_used) continue;
        *m = (struct mend){f, run, side, true};
        sim_at(f->linked->sim, sim_now_us(f->linked->sim) + after_us, on_mend, m);
        return;
    }
    run(f, side);
}

/* ---- Processes ----------------------------------------------------------------------------------- */

static void strike_kill(struct faults *f, int side)
{
    sim_cluster_crash(f->linked->clusters[side], SIM_KILL);
}

static void strike_power(struct faults *f, int side)
{
    sim_cluster_crash(f->linked->clusters[side], SIM_POWER);
}

static void strike_at_output(struct faults *f, int side)
{
    enum sim_end how = flip(f) ? SIM_KILL : SIM_POWER;
    if (sim_machine_is_up(machine(f, side)))
        sim_machine_crash_at(machine(f, side), draw_us(f, 1, 400), how);
}

static void strike_stop(struct faults *f, int side)
{
    struct sim_cluster *c = f->linked->clusters[side];
    if (!c->is_ready || f->patients[side].is_stopping) return;
    f->patients[side].is_stopping = true;
    sim_cluster_stop_begin(c);
}

static void mend_pause(struct faults *f, int side)
{
    sim_machine_resume(machine(f, side));
}

static void strike_pause(struct faults *f, int side)
{
    if (!sim_machine_is_up(machine(f, side))) return;
    sim_machine_pause(machine(f, side));
    mend_later(f, side, draw_us(f, MS, flip(f) ? 100 * MS : 20 * S), mend_pause);
}

/* ---- Clocks -------------------------------------------------------------------------------------- */

static void strike_clock(struct faults *f, int side)
{
    static const int64_t sizes_us[] = {MS, S, 60 * (int64_t)S, 3600 * (int64_t)S};
    int64_t by_us = sizes_us[prng_below(&f->prng, 4)];
    sim_clock_jump(machine(f, side), flip(f) ? by_us : -by_us);
}

/* ---- The network --------------------------------------------------------------------------------- */

static void mend_net(struct faults *f, int side)
{
    (void)side;
    sim_heal_all(f->linked->sim);
}

static void strike_cut(struct faults *f, int side)
{
    if (flip(f)) sim_cut(machine(f, 0), machine(f, 1));
    else sim_cut_one_way(machine(f, side), machine(f, 1 - side));
    mend_later(f, side, draw_us(f, 10 * MS, flip(f) ? S : 30 * S), mend_net);
}

static void strike_cut_client(struct faults *f, int side)
{
    struct sim_machine *client = f->linked->clients[side]->machine;
    if (flip(f)) sim_cut(machine(f, side), client);
    else sim_cut_one_way(machine(f, side), client);
    mend_later(f, side, draw_us(f, 10 * MS, 5 * S), mend_net);
}

static void strike_clog(struct faults *f, int side)
{
    sim_clog(machine(f, side), machine(f, 1 - side), draw_us(f, MS, 3 * S));
}

static void strike_reset(struct faults *f, int side)
{
    if (flip(f)) sim_reset(machine(f, 0), machine(f, 1));
    else sim_reset(machine(f, side), f->linked->clients[side]->machine);
}

/* ---- Disks --------------------------------------------------------------------------------------- */

static void mend_disk(struct faults *f, int side)
{
    sim_disk_mend(machine(f, side));
}

static void strike_sync_fails(struct faults *f, int side)
{
    sim_disk_fail(machine(f, side), SIM_DISK_SYNC, "/log/", draw_us(f, 1, 20), E_IO, flip(f));
    mend_later(f, side, draw_us(f, 100 * MS, 3 * S), mend_disk);
}

static void strike_write_fails(struct faults *f, int side)
{
    int code = flip(f) ? E_IO : E_NOSPACE;
    sim_disk_fail(machine(f, side), SIM_DISK_WRITE, flip(f) ? "/log/" : NULL, draw_us(f, 1, 20),
                  code, flip(f));
    mend_later(f, side, draw_us(f, 100 * MS, 3 * S), mend_disk);
}

static void strike_names_fail(struct faults *f, int side)
{
    sim_disk_fail(machine(f, side), SIM_DISK_META, NULL, draw_us(f, 1, 10),
                  flip(f) ? E_IO : E_NOSPACE, false);
    mend_later(f, side, draw_us(f, 100 * MS, 3 * S), mend_disk);
}

static void strike_read_fails(struct faults *f, int side)
{
    sim_disk_fail(machine(f, side), SIM_DISK_READ, "/log/", draw_us(f, 1, 10), E_IO, false);
    mend_later(f, side, draw_us(f, 100 * MS, 3 * S), mend_disk);
}

static void mend_store(struct faults *f, int side)
{
    const struct store_sim_faults none = {0};
    store_sim_faults_set(f->linked->clusters[side]->stores, &none);
}

static void set_disk_size(struct faults *f, int side, uint64_t size)
{
    struct sim_disk disk;
    sim_disk_default(&disk);
    disk.total_size = size;
    sim_disk_set(machine(f, side), &disk);
}

static void mend_full(struct faults *f, int side)
{
    set_disk_size(f, side, 0);
    mend_store(f, side);
}

/* Stores lie beside the machine's files, but fill the same disk. */
static void strike_full(struct faults *f, int side)
{
    const struct store_sim_faults full = {.flush_code = E_NOSPACE};
    set_disk_size(f, side, sim_disk_used(machine(f, side)) + draw_us(f, 1, 64 << 10));
    if (flip(f)) store_sim_faults_set(f->linked->clusters[side]->stores, &full);
    mend_later(f, side, draw_us(f, 100 * MS, 10 * S), mend_full);
}

static void strike_hang(struct faults *f, int side)
{
    sim_disk_hang(machine(f, side), draw_us(f, MS, flip(f) ? 100 * MS : 15 * S));
}

/* ---- Stores and the meta group ------------------------------------------------------------------- */

static void strike_store(struct faults *f, int side)
{
    const struct store_sim_faults faults = {
        .again_percent = (uint32_t)prng_below(&f->prng, 60),
        .stall_percent = flip(f) ? 0 : (uint32_t)prng_below(&f->prng, 60),
    };
    store_sim_faults_set(f->linked->clusters[side]->stores, &faults);
    mend_later(f, side, draw_us(f, 100 * MS, 10 * S), mend_store);
}

static void strike_flush_fails(struct faults *f, int side)
{
    const struct store_sim_faults faults = {.flush_code = flip(f) ? E_IO : E_NOSPACE};
    store_sim_faults_set(f->linked->clusters[side]->stores, &faults);
    mend_later(f, side, draw_us(f, 10 * MS, S), mend_store);
}

static void mend_group(struct faults *f, int side)
{
    f->linked->clusters[side]->group_faults = (struct group_sim_faults){0};
}

static void strike_group(struct faults *f, int side)
{
    f->linked->clusters[side]->group_faults = (struct group_sim_faults){
        .delay_us_max = draw_us(f, 0, 200 * MS),
        .refused_percent = (uint32_t)prng_below(&f->prng, 40),
        .unknown_percent = (uint32_t)prng_below(&f->prng, 40),
    };
    mend_later(f, side, draw_us(f, 100 * MS, 10 * S), mend_group);
}

/* ---- Duplications -------------------------------------------------------------------------------- */

static void want_pause(struct faults *f, int side, bool is_paused)
{
    struct operator* o = & f->operators[side];
    if (o->wants_pause == is_paused) return;
    o->wants_pause = is_paused;
    o->is_sure = false;
}

static void mend_dup(struct faults *f, int side)
{
    want_pause(f, side, false);
}

static void strike_dup(struct faults *f, int side)
{
    want_pause(f, side, true);
    mend_later(f, side, draw_us(f, 10 * MS, 3 * S), mend_dup);
}

/* ---- The table ----------------------------------------------------------------------------------- */

enum { IN_DUP = 1 }; /* Strikes in SWARM_DUP too. */

struct fault_kind {
    const char *name;
    void (*strike)(struct faults *f, int side);
    uint64_t mean_ms; /* Between two, before the run's own factor. */
    unsigned flags;
};

static const struct fault_kind kinds[] = {
    {"kill", strike_kill, 6000, IN_DUP},
    {"power loss", strike_power, 8000, IN_DUP},
    {"death at an output", strike_at_output, 5000, IN_DUP},
    {"stop", strike_stop, 10000, IN_DUP},
    {"pause", strike_pause, 6000, IN_DUP},
    {"clock jump", strike_clock, 2000, IN_DUP},
    {"cut", strike_cut, 6000, IN_DUP},
    {"clients cut off", strike_cut_client, 6000, IN_DUP},
    {"clog", strike_clog, 3000, IN_DUP},
    {"reset", strike_reset, 2000, IN_DUP},
    {"meta group", strike_group, 5000, IN_DUP},
    {"duplication paused", strike_dup, 4000, IN_DUP},
    {"store waits", strike_store, 3000, IN_DUP},
    {"sync fails", strike_sync_fails, 8000, 0},
    {"write fails", strike_write_fails, 6000, 0},
    {"names fail", strike_names_fail, 6000, 0},
    {"read fails", strike_read_fails, 6000, 0},
    {"disk full", strike_full, 6000, 0},
    {"disk hangs", strike_hang, 6000, 0},
    {"flush fails", strike_flush_fails, 10000, 0},
};
_Static_assert(sizeof kinds / sizeof kinds[0] <= KINDS_MAX, "all may be on");

static void on_strike(void *context);

static void strike_later(struct arm *arm)
{
    struct faults *f = arm->faults;
    sim_at(f->linked->sim, sim_now_us(f->linked->sim) + draw_us(f, 1, 2 * arm->mean_us), on_strike,
           arm);
}

static void on_strike(void *context)
{
    struct arm *arm = context;
    struct faults *f = arm->faults;
    if (f->is_healed) return;
    int side = (int)prng_below(&f->prng, LINKED_SIDES);
    f->strikes++;
    sim_note(f->linked->sim, arm->kind->name, (uint64_t)side, f->strikes);
    arm->kind->strike(f, side);
    strike_later(arm);
}

/* ---- Drawing what is on ----------------------------------------------------------------------------- */

static void draw_links(struct faults *f)
{
    if (flip(f)) return;
    struct sim_link link = {
        .delay_us = draw_us(f, 0, flip(f) ? MS : 100 * MS),
        .jitter_us = flip(f) ? 0 : draw_us(f, 0, 20 * MS),
        .loss_permille = flip(f) ? 0 : (uint32_t)prng_below(&f->prng, 100),
        .split_percent = flip(f) ? 0 : (uint32_t)prng_below(&f->prng, 100),
        .bytes_per_s = prng_percent(&f->prng, 80) ? 0 : draw_us(f, 20000, 1000000),
    };
    sim_link_default(f->linked->sim, &link);
}

static void draw_machine(struct faults *f, int side)
{
    struct sim_disk disk;
    sim_disk_default(&disk);
    if (flip(f)) disk.sync_us = draw_us(f, 10, 20 * MS);
    if (flip(f)) disk.spike_us = draw_us(f, MS, S);
    if (flip(f)) disk.spike_per_million = (uint32_t)prng_below(&f->prng, 20000);
    sim_disk_set(machine(f, side), &disk);
    if (flip(f)) sim_clock_rate(machine(f, side), (int32_t)prng_below(&f->prng, 40000) - 20000);
    if (flip(f)) strike_clock(f, side);
}

static bool is_on(struct faults *f, const struct fault_kind *kind)
{
    if (f->profile == SWARM_DUP && (kind->flags & IN_DUP) == 0) return false;
    return flip(f);
}

void faults_begin(struct faults *f)
{
    draw_links(f);
    for (int i = 0; i < LINKED_SIDES; i++) draw_machine(f, i);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!is_on(f, &kinds[i])) continue;
        struct arm *arm = &f->arms[f->arm_count++];
        uint64_t quarters = prng_between(&f->prng, 1, f->profile == SWARM_LIVENESS ? 4 : 16);
        *arm = (struct arm){f, &kinds[i], kinds[i].mean_ms * MS * quarters / 4};
        strike_later(arm);
    }
}

void faults_set_quiet(struct faults *f)
{
    const struct sim_link link = {.delay_us = 500};
    sim_link_default(f->linked->sim, &link);
}

/* ---- Looking after the machines -------------------------------------------------------------------- */

/* Ask for what is wanted, and hear what became of it. */
static void operate(struct faults *f, int side)
{
    struct operator* o = & f->operators[side];
    if (o->is_asking) {
        if (!o->ask.call.is_done) return;
        o->is_asking = false;
        o->is_sure = o->asked_pause == o->wants_pause && linked_switch_is_done(&o->ask);
    }
    if (o->is_sure) return;
    o->is_asking = true;
    o->asked_pause = o->wants_pause;
    linked_switch_init(f->linked, side, o->wants_pause ? DS_PAUSE : DS_LOG, &o->ask);
    sim_call_begin(f->linked->clients[side], &o->ask.call);
}

/* Does it know that it can't go on with this disk? Then somebody restarts it. */
static bool is_lost(const struct sim_cluster *c)
{
    const struct node *n = c->node;
    if (c->failure.code != 0) return true;
    if (n == NULL || !c->is_ready) return false;
    if (n->log->is_failed) return true;
    for (uint32_t i = 0; i < n->worker_count; i++)
        for (uint32_t b = 0; b < WORKER_BUCKETS; b++)
            LIST_EACH (it, &n->workers[i].replicas[b])
                if (LIST_ENTRY(it, struct replica, node)->repl.is_stopped) return true;
    return false;
}

static void tend(struct faults *f, int side)
{
    struct sim_cluster *c = f->linked->clusters[side];
    struct patient *p = &f->patients[side];
    uint64_t now_us = sim_now_us(f->linked->sim);
    if (!sim_machine_is_up(c->machine)) {
        p->is_stopping = false;
        if (p->start_at_us == 0)
            p->start_at_us =
                now_us + (f->is_healed ? 1 : draw_us(f, 0, flip(f) ? 100 * MS : 5 * S));
        if (now_us < p->start_at_us) return;
        p->start_at_us = 0;
        sim_machine_restart(c->machine);
    } else if (p->is_stopping && c->is_closed) {
        MARK("node ended in good order among faults");
        sim_cluster_stop_end(c);
    } else if (!p->is_stopping && is_lost(c) && (f->is_healed || prng_percent(&f->prng, 5))) {
        sim_cluster_crash(c, SIM_KILL);
    }
}

void faults_tend(struct faults *f)
{
    for (int i = 0; i < LINKED_SIDES; i++) {
        tend(f, i);
        operate(f, i);
    }
}

bool faults_is_settled(const struct faults *f)
{
    for (int i = 0; i < LINKED_SIDES; i++)
        if (f->operators[i].is_asking || !f->operators[i].is_sure) return false;
    return true;
}

void faults_heal(struct faults *f)
{
    f->is_healed = true;
    sim_heal_all(f->linked->sim);
    faults_set_quiet(f);
    for (int i = 0; i < LINKED_SIDES; i++) {
        sim_machine_resume(machine(f, i));
        sim_machine_crash_at(machine(f, i), 0, SIM_KILL);
        sim_disk_mend(machine(f, i));
        set_disk_size(f, i, 0);
        mend_store(f, i);
        mend_group(f, i);
        mend_dup(f, i);
    }
}

struct faults *faults_new(struct linked *linked, int profile, uint64_t seed)
{
    struct faults *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->linked = linked;
    f->profile = profile;
    for (int i = 0; i < LINKED_SIDES; i++) f->operators[i].is_sure = true;
    prng_init(&f->prng, seed);
    return f;
}

void faults_free(struct faults *f)
{
    if (f == NULL) return;
    for (int i = 0; i < LINKED_SIDES; i++) sim_call_fini(&f->operators[i].ask.call);
    free(f);
}

uint64_t faults_strikes(const struct faults *f)
{
    return f->strikes;
}
