/* sim/load.c: what to ask, and what the answer means. */
#include "sim/load.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "wire/key.h"
#include "wire/value.h"

enum kind { OWN_GET, OWN_PUT, OWN_DEL, OWN_INCR, OWN_CAS, GROUP_PUT, GROUP_GET, INSERT, SHARED };
enum { GROUP_SIZE = 3 };

static const char *const sort_keys[GROUP_SIZE] = {"0", "1", "2"};

/* ---- Keys and values --------------------------------------------------------------------------- */

static void __attribute__((format(printf, 3, 4)))
key_set(struct load_session *s, const char *sort_key, const char *format, ...)
{
    char text[64];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    buf_clear(&s->hash_key);
    buf_clear(&s->key);
    buf_append_slice(&s->hash_key, slice_of(text, (size_t)size));
    key_append(&s->key, buf_slice(&s->hash_key), slice_str(sort_key));
    CHECK(buf_status(&s->key) == 0 && buf_status(&s->hash_key) == 0);
}

static void value_set_number(struct load_session *s, int64_t number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%" PRId64, number);
    buf_clear(&s->value);
    buf_append_slice(&s->value, slice_of(text, (size_t)size));
    CHECK(buf_status(&s->value) == 0);
}

/* Bytes that tell where they come from, and of any size. */
static void value_set_bytes(struct load_session *s)
{
    struct load *l = s->load;
    size_t size = (size_t)prng_below(&l->prng, l->options.value_size_max + 1);
    value_set_number(s, l->next_number++);
    uint8_t *more = buf_extend(&s->value, size);
    CHECK(more != NULL);
    prng_bytes(&l->prng, more, size);
}

static bool read_number(struct slice bytes, int64_t *out)
{
    char text[32];
    if (bytes.size == 0 || bytes.size >= sizeof text) return false;
    memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = '\0';
    char *end;
    *out = strtoll(text, &end, 10);
    return *end == '\0';
}

static struct load_slot *slot_draw(struct load *l, struct load_slot *slots, uint32_t count)
{
    struct load_slot *slot = &slots[prng_below(&l->prng, count)];
    if (slot->unknown < LOAD_UNKNOWN_MAX) return slot;
    slot->generation++;
    slot->unknown = 0;
    return slot;
}

/* ---- Questions ----------------------------------------------------------------------------------- */

static void note(struct load_session *s, enum history_type type, int64_t a, int64_t b)
{
    s->op = history_invoke(&s->load->history, s->number, type, buf_slice(&s->key), a, b);
    s->op_count = 1;
    s->a = a;
    s->b = b;
}

/* One operation for each key of the group: they stand side by side in the history. */
static void note_group(struct load_session *s, enum history_type type, int64_t a)
{
    struct buf key = {0};
    for (int i = 0; i < GROUP_SIZE; i++) {
        buf_clear(&key);
        key_append(&key, buf_slice(&s->hash_key), slice_str(sort_keys[i]));
        size_t op = history_invoke(&s->load->history, s->number, type, buf_slice(&key), a, 0);
        if (i == 0) s->op = op;
    }
    s->op_count = GROUP_SIZE;
    s->a = a;
    buf_fini(&key);
}

static void ask_put(struct load_session *s, int32_t expire_ts)
{
    s->call.rpc = RPC_PUT;
    s->args.update = (struct update_request){
        .key = buf_slice(&s->key), .value = buf_slice(&s->value), .expire_ts_seconds = expire_ts};
}

static void ask_blob(struct load_session *s, enum rpc_code rpc)
{
    s->call.rpc = rpc;
    s->args.blob = (struct bare_blob){.value = buf_slice(&s->key)};
}

static void ask_incr(struct load_session *s, int64_t by)
{
    s->call.rpc = RPC_INCR;
    s->args.incr = (struct incr_request){.key = buf_slice(&s->key), .increment = by};
}

/* The value, if it is 'from' (perhaps absent), becomes what 'value' holds. */
static void ask_cas(struct load_session *s, int64_t from, const char *sort_key)
{
    int size = snprintf(s->operand, sizeof s->operand, "%" PRId64, from);
    bool is_absent = from == HISTORY_ABSENT;
    s->call.rpc = RPC_CHECK_AND_SET;
    s->args.cas = (struct check_and_set_request){
        .hash_key = buf_slice(&s->hash_key),
        .check_sort_key = slice_str(sort_key),
        .check_type = is_absent ? CAS_VALUE_NOT_EXIST : CAS_VALUE_BYTES_EQUAL,
        .check_operand = is_absent ? slice_str("") : slice_of(s->operand, (size_t)size),
        .set_value = buf_slice(&s->value),
        .return_check_value = true,
    };
}

/* A number that a cas may hope to find: the last one written anywhere, or one of the last few. */
static int64_t guess(struct load *l)
{
    if (prng_percent(&l->prng, 30)) return HISTORY_ABSENT;
    return l->next_number - 1 - (int64_t)prng_below(&l->prng, 6);
}

static void draw_own(struct load_session *s)
{
    struct load *l = s->load;
    s->slot = slot_draw(l, l->own, l->options.own_keys);
    key_set(s, "k", "own%u.%u.%u", l->options.side, (unsigned)(s->slot - l->own),
            s->slot->generation);
    bool is_write = prng_percent(&l->prng, l->options.write_percent);
    s->kind = is_write ? OWN_PUT + (int)prng_below(&l->prng, 4) : OWN_GET;
    int64_t number = l->next_number++;
    value_set_number(s, number);
    switch ((enum kind)s->kind) {
    case OWN_PUT:
        note(s, HISTORY_PUT, number, 0);
        ask_put(s, 0);
        break;
    case OWN_DEL:
        note(s, HISTORY_DEL, 0, 0);
        ask_blob(s, RPC_REMOVE);
        break;
    case OWN_INCR:
        note(s, HISTORY_INCR, number, 0);
        ask_incr(s, number);
        break;
    case OWN_CAS: {
        int64_t from = guess(l);
        note(s, HISTORY_CAS, from, number);
        ask_cas(s, from, "k");
        break;
    }
    default:
        note(s, HISTORY_GET, 0, 0);
        ask_blob(s, RPC_GET);
        break;
    }
}

static void draw_group(struct load_session *s)
{
    struct load *l = s->load;
    s->slot = slot_draw(l, l->groups, l->options.groups);
    key_set(s, sort_keys[0], "group%u.%u.%u", l->options.side, (unsigned)(s->slot - l->groups),
            s->slot->generation);
    if (!prng_percent(&l->prng, l->options.write_percent)) {
        s->kind = GROUP_GET;
        note_group(s, HISTORY_GET, 0);
        s->call.rpc = RPC_MULTI_GET;
        s->args.multi_get = (struct multi_get_request){.hash_key = buf_slice(&s->hash_key),
                                                       .start_inclusive = true};
        return;
    }
    int64_t number = l->next_number++;
    s->kind = GROUP_PUT;
    value_set_number(s, number);
    note_group(s, HISTORY_PUT, number);
    for (int i = 0; i < GROUP_SIZE; i++)
        s->pairs[i] =
            (struct key_value){.key = slice_str(sort_keys[i]), .value = buf_slice(&s->value)};
    s->call.rpc = RPC_MULTI_PUT;
    s->args.multi_put = (struct multi_put_request){.hash_key = buf_slice(&s->hash_key),
                                                   .kvs = {s->pairs, GROUP_SIZE}};
}

static void draw_insert(struct load_session *s)
{
    struct load *l = s->load;
    s->kind = INSERT;
    s->slot = NULL;
    key_set(s, "", "insert%u.%" PRId64, l->options.side, l->next_number++);
    value_set_bytes(s);
    sets_attempt(&l->inserts, buf_slice(&s->hash_key));
    ask_put(s, 0);
}

static int32_t draw_expiry(struct load *l)
{
    if (prng_percent(&l->prng, 80)) return 0;
    uint64_t wall_us = io_now(sim_machine_io(l->client->machine)).wall_us;
    return (int32_t)(value_epoch_s(wall_us) + (uint32_t)prng_below(&l->prng, 4));
}

static void draw_shared(struct load_session *s)
{
    struct load *l = s->load;
    s->kind = SHARED;
    s->slot = NULL;
    key_set(s, "x", "shared%u", (unsigned)prng_below(&l->prng, l->options.shared_keys));
    switch (prng_below(&l->prng, 6)) {
    case 0: ask_blob(s, RPC_REMOVE); break;
    case 1:
        key_set(s, "n", "shared%u", (unsigned)prng_below(&l->prng, l->options.shared_keys));
        ask_incr(s, 1);
        break;
    case 2:
        value_set_number(s, l->next_number++);
        ask_cas(s, guess(l), "n");
        break;
    default:
        value_set_bytes(s);
        ask_put(s, draw_expiry(l));
        break;
    }
}

static void on_answer(struct sim_call *call);

/* A try made twice might count twice: so each question is asked once, unless it is of those that the
 * client itself asks again only when the first try certainly did nothing. */
static unsigned draw_flags(struct load *l, enum rpc_code rpc)
{
    bool is_asked_once = rpc != RPC_INCR && rpc != RPC_CHECK_AND_SET;
    return is_asked_once || prng_percent(&l->prng, 50) ? CLUSTER_NO_RETRY : 0;
}

static void ask(struct load_session *s)
{
    struct load *l = s->load;
    if (l->is_stopping) return;
    uint64_t drawn = prng_below(&l->prng, 100);
    if (drawn < 50) draw_own(s);
    else if (drawn < 65) draw_group(s);
    else if (drawn < 80) draw_insert(s);
    else draw_shared(s);
    s->is_asking = true;
    s->call.args = &s->args;
    s->call.hash = key_hash(buf_slice(&s->key));
    s->call.flags = draw_flags(l, s->call.rpc);
    s->call.timeout_ms = l->options.timeout_ms;
    s->call.on_done = on_answer;
    sim_call_begin(l->client, &s->call);
}

/* ---- Answers ------------------------------------------------------------------------------------- */

static void think(struct load_session *s)
{
    struct load *l = s->load;
    struct io_loop *loop = l->client->loop;
    uint64_t wait_us = prng_below(&l->prng, 2 * l->options.think_us + 1);
    io_timer_start(loop, &s->timer, io_now(io_of(loop)).boot_ms + wait_us / 1000);
}

static void end(struct load_session *s, enum history_end end, int64_t result, int64_t decree,
                int32_t partition)
{
    struct load *l = s->load;
    for (size_t i = 0; i < s->op_count; i++) {
        if (end == HISTORY_DONE && decree > 0)
            history_decree(&l->history, s->op + i, (uint32_t)partition, (uint64_t)decree);
        history_return(&l->history, s->op + i, end, result);
    }
    if (end == HISTORY_UNKNOWN && s->slot != NULL && s->kind != OWN_GET && s->kind != GROUP_GET)
        s->slot->unknown++;
    if (end == HISTORY_DONE) l->done++;
    else if (end == HISTORY_UNKNOWN) l->unknown++;
    else l->failed++;
    if (end == HISTORY_DONE && decree > 0) l->last_done_us = sim_now_us(l->client->sim);
}

/* Without an answer: did it happen? Only what was refused before it was ordered certainly did not. */
static void end_without_answer(struct load_session *s)
{
    const struct rpc_answer *answer = &s->call.answer;
    bool is_refused = answer->rc == 0 && (answer->error == WIRE_ERR_BUSY ||
                                          answer->error == WIRE_ERR_DISK_INSUFFICIENT ||
                                          answer->error == WIRE_ERR_OBJECT_NOT_FOUND);
    bool is_unsent = answer->rc != 0 && !answer->is_sent;
    end(s, is_refused || is_unsent ? HISTORY_FAILED : HISTORY_UNKNOWN, 0, 0, 0);
}

static void break_load(struct load_session *s, const char *what, int64_t a, int64_t b)
{
    struct load *l = s->load;
    if (l->is_broken) return;
    l->is_broken = true;
    (void)snprintf(l->report.text, sizeof l->report.text,
                   "%s: session %u, %" PRId64 " and %" PRId64, what, s->number, a, b);
}

/* All keys of a group hold one number, or none is there. */
static void end_group_get(struct load_session *s, const struct multi_get_response *r)
{
    int64_t number = HISTORY_ABSENT;
    for (uint32_t i = 0; i < r->kvs.count; i++) {
        int64_t found;
        if (!read_number(r->kvs.items[i].value, &found)) found = -1;
        if (i > 0 && found != number) break_load(s, "a group half written", number, found);
        number = found;
    }
    if (r->kvs.count != 0 && r->kvs.count != GROUP_SIZE)
        break_load(s, "a group of another size", r->kvs.count, GROUP_SIZE);
    end(s, HISTORY_DONE, number, 0, 0);
}

static void end_get(struct load_session *s, const struct read_response *r)
{
    int64_t number = HISTORY_ABSENT;
    if (r->error == RRDB_OK && !read_number(r->value, &number))
        break_load(s, "a value that nobody wrote", 0, 0);
    end(s, HISTORY_DONE, number, 0, 0);
}

static void end_cas(struct load_session *s, const struct check_and_set_response *r)
{
    int64_t before = HISTORY_ABSENT;
    if (s->kind == OWN_CAS && r->check_value_exist && !read_number(r->check_value, &before))
        break_load(s, "a value that nobody wrote", 0, 0);
    end(s, HISTORY_DONE, before, r->error == RRDB_OK ? r->decree : 0, r->partition_index);
}

static void on_answer(struct sim_call *call)
{
    struct load_session *s = LIST_ENTRY(call, struct load_session, call);
    union {
        struct update_response update;
        struct read_response read;
        struct incr_response incr;
        struct check_and_set_response cas;
        struct multi_get_response multi_get;
    } r = {0};
    s->is_asking = false;
    if (sim_call_read(call, &r) != 0) {
        end_without_answer(s);
    } else if (call->rpc == RPC_PUT || call->rpc == RPC_REMOVE || call->rpc == RPC_MULTI_PUT) {
        bool is_done = r.update.error == RRDB_OK;
        if (is_done && s->kind == INSERT) sets_ack(&s->load->inserts, buf_slice(&s->hash_key));
        end(s, is_done ? HISTORY_DONE : HISTORY_UNKNOWN, 0, r.update.decree,
            r.update.partition_index);
    } else if (call->rpc == RPC_GET) {
        end_get(s, &r.read);
    } else if (call->rpc == RPC_INCR) {
        /* On a shared key it may have met what is no number: that is an answer too. */
        bool is_done = r.incr.error == RRDB_OK;
        end(s, is_done ? HISTORY_DONE : HISTORY_FAILED, r.incr.new_value, r.incr.decree,
            r.incr.partition_index);
    } else if (call->rpc == RPC_CHECK_AND_SET) {
        end_cas(s, &r.cas);
    } else {
        end_group_get(s, &r.multi_get);
    }
    s->op_count = 0;
    if (!s->load->is_stopping) think(s);
}

/* ---- Life ------------------------------------------------------------------------------------------ */

static void on_timer(struct io_timer *timer)
{
    ask(LIST_ENTRY(timer, struct load_session, timer));
}

static void on_begin(struct io_post *post)
{
    think(LIST_ENTRY(post, struct load_session, post));
}

static void begin_all(void *context)
{
    struct load *l = context;
    for (uint32_t i = 0; i < l->options.sessions; i++)
        io_post(l->client->loop, &l->sessions[i].post);
}

struct load *load_new(struct sim_client *client, const struct load_options *options, uint64_t seed)
{
    struct load *l = calloc(1, sizeof *l);
    CHECK(l != NULL && options->sessions <= LOAD_SESSIONS_MAX &&
          options->own_keys <= LOAD_SLOTS_MAX && options->groups <= LOAD_SLOTS_MAX);
    l->client = client;
    l->options = *options;
    l->next_number = 1000;
    prng_init(&l->prng, seed);
    for (uint32_t i = 0; i < options->sessions; i++) {
        l->sessions[i].load = l;
        l->sessions[i].number = i;
        l->sessions[i].timer.run = on_timer;
        l->sessions[i].post.run = on_begin;
    }
    CHECK(sim_machine_do(client->machine, begin_all, l));
    return l;
}

void load_free(struct load *l)
{
    if (l == NULL) return;
    for (uint32_t i = 0; i < l->options.sessions; i++) {
        struct load_session *s = &l->sessions[i];
        sim_call_fini(&s->call);
        buf_fini(&s->key);
        buf_fini(&s->hash_key);
        buf_fini(&s->value);
    }
    history_fini(&l->history);
    sets_fini(&l->inserts);
    free(l);
}

static void stop_timers(struct io_post *post)
{
    struct load *l = LIST_ENTRY(post, struct load_session, post)->load;
    for (uint32_t i = 0; i < l->options.sessions; i++) io_timer_stop(&l->sessions[i].timer);
}

static void post_stop(void *context)
{
    struct load *l = context;
    l->sessions[0].post.run = stop_timers;
    io_post(l->client->loop, &l->sessions[0].post);
}

void load_stop(struct load *l)
{
    l->is_stopping = true;
    CHECK(sim_machine_do(l->client->machine, post_stop, l));
}

bool load_is_idle(const struct load *l)
{
    for (uint32_t i = 0; i < l->options.sessions; i++)
        if (l->sessions[i].is_asking) return false;
    return l->is_stopping;
}
