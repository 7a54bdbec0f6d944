/* src/core/dup/lane.c: ops on their way to one remote partition.
 *
 *     ops (a ring) --> request in flight --> applied: its slots in the window count down
 *                        |      ^
 *                 failed |      | after a wait
 *                        v      |
 *                       again (kept in order, before anything new)
 *
 * A record that the remote refuses for good is parked: it keeps its slot, so the confirmed decree stops
 * before it and everybody can see that; the others go on (docs/duplication.md, D8). */
#include "base/check.h"
#include "base/crc.h"
#include "base/mark.h"
#include "base/mem.h"
#include "core/dup/dup_impl.h"
#include "wire/key.h"

enum { LANE_CAPACITY_MIN = 16 }; /* Ops. A power of two, as all its doublings. */

static size_t op_size(const struct mutation_op *op)
{
    return DUP_OP_OVERHEAD + op->key.size + op->data.size;
}

static struct dup_op *op_at(const struct dup_lane *lane, uint32_t index)
{
    return &lane->ops[(lane->first + index) & (lane->capacity - 1)];
}

uint64_t retry_delay_ms(uint32_t failures)
{
    uint32_t doublings = failures > 16 ? 16 : failures;
    uint64_t delay = (uint64_t)DUP_RETRY_MS_MIN << (doublings > 0 ? doublings - 1 : 0);
    return delay < DUP_RETRY_MS_MAX ? delay : DUP_RETRY_MS_MAX;
}

/* ---- Taking ops in ---- */

static int lane_reserve(struct dup_lane *lane)
{
    if (lane->count < lane->capacity) return 0;
    uint32_t capacity = lane->capacity == 0 ? LANE_CAPACITY_MIN : lane->capacity * 2;
    struct dup_op *ops = mem_alloc(capacity * sizeof *ops);
    if (ops == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < lane->count; i++) ops[i] = *op_at(lane, i);
    mem_free(lane->ops);
    lane->ops = ops;
    lane->capacity = capacity;
    lane->first = 0;
    return 0;
}

static struct dup_lane *lane_of(struct dup *d, struct slice key)
{
    return &d->lanes[key_hash(key) % d->lane_count];
}

/* Take back the newest ops of one sequence: the mutation could not be queued whole. */
static void lanes_take_back(struct dup *d, uint64_t sequence)
{
    for (uint32_t i = 0; i < d->lane_count; i++) {
        struct dup_lane *lane = &d->lanes[i];
        while (lane->count > 0 && op_at(lane, lane->count - 1)->sequence == sequence) {
            struct dup_op *last = op_at(lane, --lane->count);
            lane->size -= op_size(&last->op);
            chunk_unref(last->mutation);
        }
    }
}

int lanes_push(struct dup *d, struct chunk *bytes, const struct mutation *m, uint64_t sequence,
               uint32_t *queued)
{
    struct slice ops = m->ops;
    struct mutation_op op;
    *queued = 0;
    while (mutation_op_next(&ops, &op)) {
        if (timetag_cluster_id(op.timetag) == d->remote.cluster_id && d->remote.cluster_id != 0) {
            d->skipped_ops++; /* It came from there (D3). */
            continue;
        }
        struct dup_lane *lane = lane_of(d, op.key);
        if (lane_reserve(lane) != 0) {
            lanes_take_back(d, sequence);
            return E_NOMEM;
        }
        *op_at(lane, lane->count++) = (struct dup_op){chunk_ref(bytes), op, sequence};
        lane->size += op_size(&op);
        ++*queued;
    }
    return 0;
}

/* ---- Requests ---- */

static void request_free(struct dup_request *r)
{
    list_remove(&r->node);
    for (uint32_t i = 0; i < r->op_count; i++) chunk_unref(r->ops[i].mutation);
    mem_free(r);
}

static struct dup_request *request_new(struct dup *d, uint32_t lane, uint32_t op_count)
{
    struct dup_request *r = mem_zalloc(sizeof *r + op_count * sizeof r->ops[0]);
    if (r == NULL) return NULL;
    list_init(&r->node);
    r->id = ++d->next_request_id;
    r->lane = lane;
    r->op_count = op_count;
    return r;
}

/* How many of the lane's oldest ops fit into one request: at least one. */
static uint32_t ops_that_fit(const struct dup *d, const struct dup_lane *lane, size_t *size)
{
    uint32_t count = 0;
    *size = 0;
    while (count < lane->count) {
        size_t more = op_size(&op_at(lane, count)->op);
        if (count > 0 && *size + more > d->remote.request_size_max) break;
        *size += more;
        count++;
    }
    return count;
}

/* Move the lane's oldest ops into a request; NULL when there is no memory. */
static struct dup_request *lane_pack(struct dup *d, uint32_t index)
{
    struct dup_lane *lane = &d->lanes[index];
    size_t size;
    uint32_t count = ops_that_fit(d, lane, &size);
    struct dup_request *r = request_new(d, index, count);
    if (r == NULL) return NULL;
    for (uint32_t i = 0; i < count; i++) r->ops[i] = *op_at(lane, i);
    r->size = size;
    r->decree_last = d->read;
    lane->first = (lane->first + count) & (lane->capacity - 1);
    lane->count -= count;
    lane->size -= size;
    return r;
}

static void lane_send(struct dup *d, struct dup_request *r, struct dup_effects *out)
{
    struct dup_lane *lane = &d->lanes[r->lane];
    list_remove(&r->node);
    list_push_back(&lane->flight, &r->node);
    lane->flight_count++;
    d->lane_last = r->lane;
    d->sent_ops += r->op_count;
    effects_push(out, (struct dup_effect){
                          .type = DUP_DO_SEND, .epoch = d->epoch, .lane = r->lane, .request = r});
}

/* Send what this lane may send. False when effects or memory ran out. */
static bool lane_pump(struct dup *d, uint32_t index, uint64_t now_ms, struct dup_effects *out)
{
    struct dup_lane *lane = &d->lanes[index];
    if (lane->retry_at_ms > now_ms) return true;
    lane->retry_at_ms = 0;
    /* After a failure one request goes ahead, to see whether the remote is back. */
    uint32_t flight_max = lane->failures > 0 ? 1 : d->remote.requests_per_lane;
    while (lane->flight_count < flight_max) {
        if (list_is_empty(&lane->again) && lane->count == 0) return true;
        if (!effects_have_room(out)) return false;
        struct dup_request *r;
        if (!list_is_empty(&lane->again)) {
            r = LIST_ENTRY(lane->again.next, struct dup_request, node);
            d->resent_ops += r->op_count;
        } else {
            r = lane_pack(d, index);
            if (r == NULL) {
                lane->retry_at_ms = now_ms + DUP_RETRY_MS_MIN; /* No memory: later. */
                return true;
            }
        }
        lane_send(d, r, out);
    }
    return true;
}

/* Offer parked records again, each when its time has come. */
static bool parked_pump(struct dup *d, uint64_t now_ms, struct dup_effects *out)
{
    while (!list_is_empty(&d->parked)) {
        struct dup_request *r = LIST_ENTRY(d->parked.next, struct dup_request, node);
        if (r->retry_at_ms > now_ms) return true; /* The others were parked later. */
        if (!effects_have_room(out)) return false;
        d->parked_count--;
        lane_send(d, r, out);
    }
    return true;
}

bool lanes_pump(struct dup *d, uint64_t now_ms, struct dup_effects *out)
{
    if (!parked_pump(d, now_ms, out)) return false;
    for (uint32_t i = 0; i < d->lane_count; i++)
        if (!lane_pump(d, i, now_ms, out)) return false;
    return true;
}

struct dup_request *lanes_find(struct dup *d, uint32_t lane, uint64_t id)
{
    if (lane >= d->lane_count) return NULL;
    LIST_EACH (it, &d->lanes[lane].flight) {
        struct dup_request *r = LIST_ENTRY(it, struct dup_request, node);
        if (r->id == id) return r;
    }
    return NULL;
}

/* ---- What became of it ---- */

static void leave_flight(struct dup *d, struct dup_request *r)
{
    list_remove(&r->node);
    d->lanes[r->lane].flight_count--;
}

static void park(struct dup *d, struct dup_request *r, uint64_t now_ms)
{
    MARK("record refused by the remote parked");
    CHECK(r->op_count == 1);
    r->retry_at_ms = now_ms + DUP_PARKED_RETRY_MS;
    list_push_back(&d->parked, &r->node);
    d->parked_count++;
    d->refused_ops++;
}

/* A request with one op of 'r', whose reference moves over; NULL when there is no memory. */
static struct dup_request *single_out(struct dup *d, struct dup_request *r, uint32_t index)
{
    struct dup_request *one = request_new(d, r->lane, 1);
    if (one == NULL) return NULL;
    one->ops[0] = r->ops[index];
    one->ops[0].mutation = chunk_ref(r->ops[index].mutation);
    one->size = op_size(&one->ops[0].op);
    one->decree_last = r->decree_last;
    return one;
}

void lane_on_applied(struct dup *d, struct dup_request *r, int32_t refused, uint64_t now_ms)
{
    struct dup_request *one = NULL;
    if (refused >= 0 && (uint32_t)refused < r->op_count) {
        one = single_out(d, r, (uint32_t)refused);
        if (one == NULL) {
            lane_on_failed(d, r, now_ms); /* No memory to set it aside: the same again, later. */
            return;
        }
    }
    leave_flight(d, r);
    d->lanes[r->lane].failures = 0;
    for (uint32_t i = 0; i < r->op_count; i++)
        if (one == NULL || i != (uint32_t)refused) window_done(d, r->ops[i].sequence);
    if (one != NULL) park(d, one, now_ms);
    request_free(r);
}

void lane_on_failed(struct dup *d, struct dup_request *r, uint64_t now_ms)
{
    struct dup_lane *lane = &d->lanes[r->lane];
    leave_flight(d, r);
    struct list_node *before = lane->again.next; /* Keep the order of ids. */
    while (before != &lane->again && LIST_ENTRY(before, struct dup_request, node)->id < r->id)
        before = before->next;
    list_push_back(before, &r->node);
    if (lane->retry_at_ms > now_ms) return; /* It waits already; its requests fail together. */
    lane->failures++;
    lane->retry_at_ms = now_ms + retry_delay_ms(lane->failures);
}

/* It will not take this request as it is: one op alone is parked, several are tried one by one. */
void lane_on_refused(struct dup *d, struct dup_request *r, uint64_t now_ms)
{
    if (r->op_count == 1) {
        leave_flight(d, r);
        park(d, r, now_ms);
        return;
    }
    MARK("refused request split into single records");
    struct list_node ones;
    list_init(&ones);
    for (uint32_t i = 0; i < r->op_count; i++) {
        struct dup_request *one = single_out(d, r, i);
        if (one == NULL) {
            for (struct list_node *n; (n = list_pop_front(&ones)) != NULL;)
                request_free(LIST_ENTRY(n, struct dup_request, node));
            lane_on_failed(d, r, now_ms);
            return;
        }
        list_push_back(&ones, &one->node);
    }
    leave_flight(d, r);
    list_splice_back(&ones, &d->lanes[r->lane].again);
    list_splice_back(&d->lanes[r->lane].again, &ones);
    request_free(r);
}

/* ---- All lanes ---- */

static void requests_free(struct list_node *list)
{
    for (struct list_node *n; (n = list_pop_front(list)) != NULL;)
        request_free(LIST_ENTRY(n, struct dup_request, node));
}

void lanes_clear(struct dup *d)
{
    for (uint32_t i = 0; i < d->lane_count; i++) {
        struct dup_lane *lane = &d->lanes[i];
        for (uint32_t k = 0; k < lane->count; k++) chunk_unref(op_at(lane, k)->mutation);
        requests_free(&lane->flight);
        requests_free(&lane->again);
        lane->count = lane->first = lane->flight_count = lane->failures = 0;
        lane->size = 0;
        lane->retry_at_ms = 0;
    }
    requests_free(&d->parked);
    d->parked_count = 0;
}

void lanes_fini(struct dup *d)
{
    for (uint32_t i = 0; i < d->lane_count; i++) mem_free(d->lanes[i].ops);
    mem_free(d->lanes);
    d->lanes = NULL;
    d->lane_count = 0;
}

int lanes_reset(struct dup *d, uint32_t count)
{
    CHECK(count > 0);
    if (count == d->lane_count) return 0;
    struct dup_lane *lanes = mem_zalloc(count * sizeof *lanes);
    if (lanes == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        list_init(&lanes[i].flight);
        list_init(&lanes[i].again);
    }
    lanes_fini(d);
    d->lanes = lanes;
    d->lane_count = count;
    d->lane_last =
        d->partition_index % count; /* Counts are powers of two: keys of ours go there. */
    return 0;
}

uint64_t lanes_deadline_ms(const struct dup *d)
{
    uint64_t deadline = UINT64_MAX;
    for (uint32_t i = 0; i < d->lane_count; i++) {
        const struct dup_lane *lane = &d->lanes[i];
        if (lane->retry_at_ms != 0 && lane->retry_at_ms < deadline) deadline = lane->retry_at_ms;
    }
    if (!list_is_empty(&d->parked)) {
        const struct dup_request *r = LIST_ENTRY(d->parked.next, struct dup_request, node);
        if (r->retry_at_ms < deadline) deadline = r->retry_at_ms;
    }
    return deadline;
}
