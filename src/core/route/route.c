/* src/core/route/route.c: one table's route, event by event. What to think of errors is in
 * judge.c. */
#include "core/route/route.h"

#include <string.h>

#include "base/check.h"
#include "base/mark.h"
#include "base/mem.h"

static void on_asked(struct route *r, uint32_t index);
static void on_misled(struct route *r, const struct route_event *event);
static void on_doubted(struct route *r, uint32_t index);
static void on_answered(struct route *r, const struct route_answer *answer,
                        struct route_effects *out);
static void on_failed(struct route *r, struct route_effects *out);
static void query_if_due(struct route *r, struct route_effects *out);
static bool is_anything_wanted(const struct route *r);
static void check(const struct route *r);

void route_init(struct route *r, uint64_t seed)
{
    *r = (struct route){0};
    prng_init(&r->prng, seed);
}

void route_fini(struct route *r)
{
    mem_free(r->partitions);
    *r = (struct route){0};
}

void route_step(struct route *r, const struct route_event *event, struct route_effects *out)
{
    CHECK(event->now_ms >= r->now_ms);
    r->now_ms = event->now_ms;
    out->count = 0;
    switch (event->type) {
    case ROUTE_ASKED: on_asked(r, event->partition_index); break;
    case ROUTE_MISLED: on_misled(r, event); break;
    case ROUTE_DOUBTED: on_doubted(r, event->partition_index); break;
    case ROUTE_ANSWERED: on_answered(r, &event->answer, out); break;
    case ROUTE_FAILED: on_failed(r, out); break;
    case ROUTE_TICKED: break;
    }
    query_if_due(r, out);
    check(r);
}

uint64_t route_deadline_ms(const struct route *r)
{
    return !r->is_asking && is_anything_wanted(r) ? r->next_ms : UINT64_MAX;
}

/* ---- Finding --------------------------------------------------------------------------------- */

/* The partition that serves for 'index': itself, or its parent while it is a child not yet
 * ready. */
static uint32_t serving_index(const struct route *r, uint32_t index)
{
    const struct route_partition *p = &r->partitions[index];
    bool is_child = p->is_known && p->ballot < 0 && index >= r->count / 2 && r->count % 2 == 0;
    return is_child ? index - r->count / 2 : index;
}

int route_find(const struct route *r, uint32_t partition_index, struct route_target *out)
{
    if (r->count == 0 || r->is_count_stale) return E_AGAIN;
    if (partition_index >= r->count) return E_NOTFOUND;
    uint32_t index = serving_index(r, partition_index);
    const struct route_partition *p = &r->partitions[index];
    if (!p->is_known || p->is_stale || p->ballot < 0 || p->primary.port == 0) return E_AGAIN;
    *out = (struct route_target){r->app_id, index, p->primary, p->ballot};
    return 0;
}

int route_find_hash(const struct route *r, uint64_t hash, uint32_t *partition_index,
                    struct route_target *out)
{
    *partition_index = r->count == 0 ? 0 : (uint32_t)(hash % r->count);
    return route_find(r, *partition_index, out);
}

/* ---- Wanting --------------------------------------------------------------------------------- */

static void want(struct route *r, uint32_t index)
{
    if (!r->partitions[index].is_wanted) r->wanted_count++;
    r->partitions[index].is_wanted = true;
}

static void on_asked(struct route *r, uint32_t index)
{
    if (r->count == 0 || r->is_count_stale) {
        r->is_table_wanted = true;
    } else if (index < r->count) {
        want(r, index);
        want(r, serving_index(r, index));
    }
}

/* A server has denied the route. Only the route that the call used becomes stale: a newer one has
 * come by another call's trouble already. Wanted only once somebody asks: so an idle table asks
 * nothing. */
static void on_misled(struct route *r, const struct route_event *event)
{
    if (event->partition_index >= r->count) return; /* The table has shrunk meanwhile. */
    struct route_partition *p = &r->partitions[event->partition_index];
    if (!p->is_known || p->ballot > event->ballot) return;
    p->is_stale = true;
    if (event->forgets_count) r->is_count_stale = true;
}

/* All that its server has is asked for anew before it is used again; the one that waits, now. */
static void on_doubted(struct route *r, uint32_t index)
{
    if (index >= r->count || !r->partitions[index].is_known) return;
    const struct route_server server = r->partitions[index].primary;
    for (uint32_t i = 0; i < r->count; i++) {
        struct route_partition *p = &r->partitions[i];
        if (p->is_known && p->primary.ipv4 == server.ipv4 && p->primary.port == server.port)
            p->is_stale = true;
    }
    on_asked(r, index);
}

static bool is_anything_wanted(const struct route *r)
{
    return r->is_table_wanted || r->wanted_count > 0;
}

static void forget_wants(struct route *r)
{
    r->is_table_wanted = false;
    r->wanted_count = 0;
    for (uint32_t i = 0; i < r->count; i++) r->partitions[i].is_wanted = false;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static struct route_effect *push(struct route_effects *out, enum route_effect_type type)
{
    CHECK(out->count < ROUTE_EFFECTS_MAX);
    struct route_effect *effect = &out->items[out->count++];
    *effect = (struct route_effect){.type = type};
    return effect;
}

static void query_if_due(struct route *r, struct route_effects *out)
{
    if (r->is_asking || r->now_ms < r->next_ms || !is_anything_wanted(r)) return;
    struct route_effect *query = push(out, ROUTE_DO_QUERY);
    r->is_asking = true;
    r->queries++;
    if (r->is_table_wanted) return; /* All. */
    for (uint32_t i = 0; i < r->count; i++) {
        if (!r->partitions[i].is_wanted) continue;
        if (query->index_count == ROUTE_QUERY_MAX) {
            query->index_count = 0; /* All. */
            return;
        }
        query->indices[query->index_count++] = i;
    }
}

/* A query has ended. After news the next may go at once; after none each waits longer. */
static void set_pause(struct route *r, bool was_news)
{
    uint64_t doubled = (uint64_t)r->pause_ms * 2;
    if (doubled < ROUTE_PAUSE_MS_MIN) doubled = ROUTE_PAUSE_MS_MIN;
    if (doubled > ROUTE_PAUSE_MS_MAX) doubled = ROUTE_PAUSE_MS_MAX;
    r->pause_ms = was_news ? 0 : (uint32_t)doubled;
    r->next_ms = r->now_ms + r->pause_ms - prng_below(&r->prng, r->pause_ms / 2 + 1);
}

/* Whoever waits looks again, and asks again when it looked in vain. */
static void end_query(struct route *r, bool was_news, struct route_effects *out)
{
    r->is_asking = false;
    set_pause(r, was_news);
    forget_wants(r);
    push(out, ROUTE_DO_WAKE);
}

/* ---- Learning -------------------------------------------------------------------------------- */

/* The metas are silent: what we knew is still the best guess. */
static void on_failed(struct route *r, struct route_effects *out)
{
    CHECK(r->is_asking);
    r->is_count_stale = false;
    for (uint32_t i = 0; i < r->count; i++) r->partitions[i].is_stale = false;
    end_query(r, false, out);
}

static void forget_all(struct route *r)
{
    mem_free(r->partitions);
    r->partitions = NULL;
    r->count = 0;
    r->app_id = 0;
    r->is_count_stale = false;
    r->is_table_wanted = false;
    r->wanted_count = 0;
    r->version++;
}

/* The metas said no, and will say it again. */
static void on_refused(struct route *r, enum wire_error error, struct route_effects *out)
{
    forget_all(r);
    r->is_asking = false;
    set_pause(r, false);
    push(out, ROUTE_DO_FAIL)->error = error;
}

static bool is_refusal(enum wire_error error)
{
    return error == WIRE_ERR_OBJECT_NOT_FOUND || error == WIRE_ERR_APP_NOT_EXIST ||
           error == WIRE_ERR_HANDLER_NOT_FOUND || error == WIRE_ERR_OPERATION_DISABLED ||
           error == WIRE_ERR_ACL_DENY || error == WIRE_ERR_INVALID_PARAMETERS;
}

static bool is_believable(const struct route_answer *answer)
{
    if (answer->error != WIRE_ERR_OK || answer->app_id <= 0 || answer->partition_count == 0 ||
        answer->partition_count > ROUTE_PARTITIONS_MAX)
        return false;
    for (size_t i = 0; i < answer->count; i++)
        if (answer->partitions[i].index >= answer->partition_count) return false;
    return true;
}

/* Make room for 'count' partitions. A count that has doubled (a split began) or halved (it was
 * taken back) keeps the parents; any other is a table that we knew nothing of. */
static int set_count(struct route *r, int32_t app_id, uint32_t count)
{
    if (app_id == r->app_id && count == r->count) return 0;
    struct route_partition *partitions = mem_zalloc(count * sizeof *partitions);
    if (partitions == NULL) return E_NOMEM;

    bool is_same_table = app_id == r->app_id && (count == r->count * 2 || r->count == count * 2);
    if (is_same_table) {
        uint32_t kept = count < r->count ? count : r->count;
        memcpy(partitions, r->partitions, kept * sizeof *partitions);
        MARK("partition count doubled or halved");
    }
    mem_free(r->partitions);
    r->partitions = partitions;
    r->app_id = app_id;
    r->count = count;
    r->version++;
    return 0;
}

/* Returns true when this is news. The old route of a partition that was denied is no longer stale
 * when the metas stand by it: the server may just not be ready. */
static bool learn_partition(struct route *r, const struct route_answer_partition *from)
{
    struct route_partition *p = &r->partitions[from->index];
    if (p->is_known && from->ballot <= p->ballot) {
        if (from->ballot < p->ballot) r->answers_old++;
        p->is_stale = false;
        return false;
    }
    p->is_known = true;
    p->is_stale = false;
    p->ballot = from->ballot;
    p->primary = from->primary;
    r->version++;
    return from->ballot < 0 || from->primary.port != 0;
}

static void on_answered(struct route *r, const struct route_answer *answer,
                        struct route_effects *out)
{
    CHECK(r->is_asking);
    if (is_refusal(answer->error)) {
        on_refused(r, answer->error, out);
        return;
    }
    if (!is_believable(answer) || set_count(r, answer->app_id, answer->partition_count) != 0) {
        r->answers_bad++;
        on_failed(r, out);
        return;
    }
    bool is_news = false;
    for (size_t i = 0; i < answer->count; i++)
        if (learn_partition(r, &answer->partitions[i])) is_news = true;
    r->is_count_stale = false;
    end_query(r, is_news, out);
}

static void check(const struct route *r)
{
    CHECK((r->count == 0) == (r->partitions == NULL));
    CHECK((r->count == 0) == (r->app_id == 0));
    CHECK(r->count <= ROUTE_PARTITIONS_MAX);
    CHECK(r->count > 0 || !r->is_count_stale);
    CHECK(r->wanted_count <= r->count);
    CHECK(r->pause_ms <= ROUTE_PAUSE_MS_MAX);
}
