/* tests/core/dup/dup_world.c: see dup_world.h. */
#include "dup_world.h"

#include <stdlib.h>

#include "base/check.h"
#include "wire/key.h"

void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.now_ms = 1000,
                        .remote_partitions = 4,
                        .remote_cluster_id = 2,
                        .refused_key = -1,
                        .request_size_max = 4096,
                        .log_begin = 1};
    prng_init(&w->prng, seed);
    dup_init(&w->dup, 0);
}

static void request_free(struct world_request *r)
{
    for (uint32_t i = 0; i < r->op_count; i++) chunk_unref(r->mutations[i]);
    free(r->ops);
    free(r->mutations);
}

void world_fini(struct world *w)
{
    for (uint32_t i = 0; i < w->pending_count; i++) request_free(&w->pending[i]);
    for (uint64_t d = 0; d < w->committed; d++) chunk_unref(w->log[d]);
    dup_fini(&w->dup);
}

/* ---- The source ---- */

static void add_op(struct buf *b, int key, uint64_t timetag)
{
    struct buf raw = {0};
    uint8_t name = (uint8_t)key;
    key_append(&raw, slice_of(&name, 1), (struct slice){0});
    mutation_add(b, &(struct mutation_op){
                        .timetag = timetag, .key = buf_slice(&raw), .data = slice_str("value")});
    buf_fini(&raw);
}

static void commit(struct world *w, const int *keys, int count, uint8_t origin)
{
    struct buf b = {0};
    uint64_t decree = ++w->committed;
    CHECK(decree <= WORLD_MUTATIONS_MAX);
    size_t at = mutation_begin(&b);
    for (int i = 0; i < count; i++) {
        uint64_t timetag = timetag_make(decree * 10, origin, false);
        add_op(&b, keys[i], timetag);
        w->source[keys[i]] = timetag;
        if (origin == w->remote_cluster_id) w->remote[keys[i]] = timetag; /* It came from there. */
    }
    CHECK(mutation_finish(&b, at, decree, 1, decree * 10) == 0);
    struct chunk *c = chunk_new(b.size);
    memcpy(c->data, b.data, b.size);
    buf_fini(&b);
    w->log[decree - 1] = c;
    struct dup_event event = {.type = DUP_COMMITTED};
    event.committed.decree = decree;
    event.committed.size = c->capacity;
    world_step(w, event);
}

void world_put(struct world *w, int key, uint8_t origin)
{
    commit(w, &key, 1, origin);
}

void world_put_many(struct world *w, const int *keys, int count)
{
    commit(w, keys, count, 1);
}

/* ---- Performing ---- */

static void keep_request(struct world *w, const struct dup_effect *e)
{
    const struct dup_request *r = e->request;
    CHECK(w->pending_count < WORLD_PENDING_MAX);
    struct world_request *p = &w->pending[w->pending_count++];
    *p = (struct world_request){e->epoch, r->id, r->lane, r->op_count, NULL, NULL};
    p->ops = calloc(r->op_count, sizeof *p->ops);
    p->mutations = calloc(r->op_count, sizeof(struct chunk *));
    for (uint32_t i = 0; i < r->op_count; i++) {
        p->ops[i] = r->ops[i].op;
        p->mutations[i] = chunk_ref(r->ops[i].mutation);
    }
    w->sends++;
}

static void perform(struct world *w, const struct dup_effect *e, bool *again)
{
    switch (e->type) {
    case DUP_DO_ROUTE:
        w->route = *e;
        w->has_route = true;
        w->routes++;
        break;
    case DUP_DO_READ:
        w->read = *e;
        w->has_read = true;
        break;
    case DUP_DO_SCAN_OPEN:
        w->scan = *e;
        w->has_scan_open = true;
        break;
    case DUP_DO_SCAN:
        w->scan = *e;
        w->has_scan = true;
        break;
    case DUP_DO_SCAN_CLOSE: w->has_scan = w->has_scan_open = false; break;
    case DUP_DO_SEND: keep_request(w, e); break;
    case DUP_DO_ANNOUNCE: w->announced = e->first; break;
    case DUP_DO_SAVE:
        w->save_asked = e->first;
        w->has_save = true;
        break;
    case DUP_DO_STEP: *again = true; break;
    }
}

void world_step(struct world *w, struct dup_event event)
{
    bool again = true;
    while (again) {
        struct dup_effects effects;
        again = false;
        event.now_ms = w->now_ms;
        int rc = dup_step(&w->dup, &event, &effects);
        CHECK(rc == 0 || rc == E_NOMEM);
        for (uint32_t i = 0; i < effects.count; i++) perform(w, &effects.items[i], &again);
        event = (struct dup_event){.type = DUP_TICKED};
    }
    world_check(w);
}

void world_start(struct world *w, uint64_t confirmed, bool needs_snapshot)
{
    struct dup_event event = {.type = DUP_STARTED};
    event.started.confirmed = event.started.saved = confirmed;
    event.started.committed = w->committed;
    event.started.needs_snapshot = needs_snapshot;
    for (uint64_t d = confirmed + 1; d <= w->committed; d++)
        event.started.pending_size += w->log[d - 1]->capacity;
    world_step(w, event);
}

void world_ask(struct world *w, uint64_t question)
{
    struct dup_event event = {.type = DUP_ASKED};
    event.asked.question = question;
    world_step(w, event);
}

bool world_answer_route(struct world *w)
{
    if (!w->has_route) return false;
    w->has_route = false;
    struct dup_event event = {.type = DUP_ROUTED, .epoch = w->route.epoch};
    if (w->is_unreachable) {
        event.type = DUP_ROUTE_FAILED;
        event.failed.rc = E_UNREACHABLE;
    } else if (w->is_replaced) {
        event.type = DUP_REPLACED;
        event.failed.rc = E_STATE;
        event.failed.why = "another";
    } else {
        event.routed = (struct dup_remote){
            .partition_count = w->remote_partitions,
            .cluster_id = w->remote_cluster_id,
            .request_size_max = (uint32_t)w->request_size_max,
            .requests_per_lane = 3,
            .takes_positions = true,
        };
    }
    world_step(w, event);
    return true;
}

bool world_answer_read(struct world *w)
{
    if (!w->has_read) return false;
    w->has_read = false;
    struct dup_event event = {.type = DUP_READ, .epoch = w->read.epoch};
    if (w->read.first < w->log_begin) {
        event.type = DUP_READ_FAILED;
        event.failed.rc = E_NOTFOUND;
    } else {
        uint64_t most = 1 + prng_below(&w->prng, 8);
        uint64_t count = w->read.last - w->read.first + 1;
        event.read.mutations = &w->log[w->read.first - 1];
        event.read.count = (uint32_t)(count < most ? count : most);
    }
    world_step(w, event);
    return true;
}

/* The snapshot is every key's newest op, eight keys a piece. */
static struct chunk *scan_piece(struct world *w, bool *is_last)
{
    struct buf b = {0};
    size_t at = mutation_begin(&b);
    for (int i = 0; i < 8 && w->scan_at < WORLD_KEYS; i++, w->scan_at++)
        if (w->source[w->scan_at] != 0) add_op(&b, (int)w->scan_at, w->source[w->scan_at]);
    *is_last = w->scan_at == WORLD_KEYS;
    CHECK(mutation_finish(&b, at, 1, 0, 0) == 0);
    struct chunk *c = b.size > MUTATION_HEAD_SIZE ? chunk_new(b.size) : NULL;
    if (c != NULL) memcpy(c->data, b.data, b.size);
    buf_fini(&b);
    return c;
}

bool world_answer_scan(struct world *w)
{
    struct dup_event event = {.epoch = w->scan.epoch};
    if (w->has_scan_open) {
        w->has_scan_open = false;
        w->scan_at = 0;
        event.type = DUP_SCAN_OPENED;
        event.scan_opened.decree = w->committed;
        world_step(w, event);
        return true;
    }
    if (!w->has_scan) return false;
    w->has_scan = false;
    event.type = DUP_SCANNED;
    event.scanned.mutation = scan_piece(w, &event.scanned.is_last);
    world_step(w, event);
    chunk_unref(event.scanned.mutation);
    return true;
}

/* The remote keeps the larger timetag. */
static int32_t remote_apply(struct world *w, const struct world_request *r)
{
    int32_t refused = -1;
    for (uint32_t i = 0; i < r->op_count; i++) {
        struct key_parts parts;
        CHECK(key_split(r->ops[i].key, &parts) == 0);
        CHECK(key_hash(r->ops[i].key) % w->dup.remote.partition_count == r->lane);
        int key = parts.hash_key.data[0];
        if (key == w->refused_key) refused = (int32_t)i;
        else if (r->ops[i].timetag > w->remote[key]) w->remote[key] = r->ops[i].timetag;
    }
    return refused;
}

bool world_answer_request(struct world *w, uint32_t index, int rc)
{
    if (index >= w->pending_count) return false;
    struct world_request r = w->pending[index];
    w->pending[index] = w->pending[--w->pending_count];
    struct dup_event event = {.type = DUP_ANSWERED, .epoch = r.epoch};
    event.answered.id = r.id;
    event.answered.lane = r.lane;
    event.answered.rc = rc;
    event.answered.refused = rc == 0 && r.epoch == w->dup.epoch ? remote_apply(w, &r) : -1;
    world_step(w, event);
    request_free(&r);
    return true;
}

static bool answer_save(struct world *w)
{
    if (!w->has_save) return false;
    struct dup_event event = {.type = DUP_SAVED};
    event.saved.decree = w->save_asked;
    w->has_save = false;
    w->saves++;
    world_step(w, event);
    return true;
}

void world_settle(struct world *w)
{
    for (int turns = 0; turns < 100000; turns++) {
        if (world_answer_route(w) || world_answer_read(w) || world_answer_scan(w) ||
            answer_save(w) || world_answer_request(w, 0, w->is_unreachable ? E_UNREACHABLE : 0))
            continue;
        uint64_t deadline = dup_deadline_ms(&w->dup);
        if (deadline == UINT64_MAX || deadline > w->now_ms + 5000) return;
        if (deadline > w->now_ms) w->now_ms = deadline;
        world_step(w, (struct dup_event){.type = DUP_TICKED});
    }
    CHECK_NEVER("it never settles");
}

void world_check(const struct world *w)
{
    uint64_t confirmed = w->dup.confirmed;
    for (uint64_t d = 1; d <= confirmed; d++) {
        struct mutation m;
        struct mutation_op op;
        CHECK(mutation_read(slice_of(w->log[d - 1]->data, w->log[d - 1]->capacity), &m) == 0);
        while (mutation_op_next(&m.ops, &op))
            CHECK(w->remote[op.key.data[KEY_HEAD_SIZE]] >= op.timetag);
    }
    struct dup_lag_view lag = dup_lag_now(&w->dup, w->now_ms);
    if (w->dup.state != DUP_PAUSED) CHECK(lag.mutations == w->committed - confirmed);
    CHECK(lag.mutations != 0 || (lag.bytes == 0 && lag.ms == 0));
}
