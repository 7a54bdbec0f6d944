/* src/group/raft.c: the meta group's log on libraft and libuv (group.h).
 *
 *     group_propose --> batch that is filled --one at a time--> raft_apply --> disk, peers
 *                                                                                 |
 *     on_done <-- deliver(), in a turn of its own <-- batch that ended <-- fsm_apply --> on_apply
 *
 * libraft calls back in the middle of its own work. So nothing but on_apply, on_snapshot and
 * on_restore is called from there: ends of batches and changes of leader are noted, and a post
 * tells about them in the loop's next turn, when everything may be called again.
 *
 * One entry is on its way at a time, with all commands that came while the one before was. That is
 * one write for all of them; and libraft 0.15 does not survive that two writes fail together.
 *
 * A group of one elects itself inside raft_start(), which has also replayed its log by then; it
 * listens at no port, and its heart beats slowly, since nobody listens to it.
 *
 * Closing takes a detour. libraft's I/O may say that it has closed while a segment's handles still
 * are closing, and says so again when they have, out of memory that its owner has freed by then
 * (cowsql/raft, pull request 45; Debian 12 has the version before). So the first word is kept back
 * until every handle that was closing then has closed, and the second is not heard. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "group/group.h"
#include "group/raft_impl.h"
#include "io/uv.h"

enum {
    HEARTBEAT_MS = 100,
    ELECTION_MS = 1000,
    ALONE_HEARTBEAT_MS = 5000, /* The only tick of a group of one. */
    ALONE_ELECTION_MS = 15000, /* After a failed disk write: how soon it tries again. */
    SNAPSHOT_EVERY = 1024,     /* Commands. */
};

struct batch { /* Proposals that share an entry of the log. */
    struct raft_apply apply;
    struct group *group;
    struct list_node node;      /* In 'ended'. */
    struct list_node proposals; /* Of struct group_proposal, in order. */
    struct buf commands;        /* Of the entry, while it is filled. */
    struct buf results;         /* As raft_entry_next() reads them, one for each proposal. */
    int rc;
};

struct group {
    struct io_loop *loop;
    struct group_handler handler;
    void *context;
    struct group_member members[RAFT_MEMBERS_MAX];
    size_t member_count;

    struct raft raft;
    struct raft_io io;
    struct raft_fsm fsm;
    struct raft_uv_transport transport;
    int (*io_start)(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv);
    void (*io_close)(struct raft_io *io, raft_io_close_cb closed);
    raft_io_tick_cb tick; /* libraft's own, between which and libuv ours stand. */
    raft_io_recv_cb recv;
    raft_io_close_cb closed;
    uv_timer_t last; /* Closed after all handles of the I/O: when it is gone, they are. */
    struct io_post drained;
    struct raft_barrier barrier;

    struct batch *filling;    /* NULL: nobody waits. */
    struct batch *flying;     /* NULL: libraft has nothing of ours. */
    struct buf results;       /* What the last entry's commands answered. */
    struct list_node ended;   /* Of struct batch. */
    struct list_node refused; /* Of struct group_proposal: nothing happened. */
    struct io_post post;
    bool is_posted, is_ready, has_barrier;
    bool is_closing, is_io_closed, is_closed;
    raft_id leader_told, leader_seen;
    void (*on_closed)(void *context);
    void *closed_context;
};

/* ---- Telling: in a turn of its own ----------------------------------------------------------- */

static void deliver(struct io_post *post);
static void send_next(struct group *g);

static void tell_soon(struct group *g)
{
    if (g->is_posted) return;
    g->is_posted = true;
    g->post.run = deliver;
    io_post(g->loop, &g->post);
}

static struct io_address address_of(const struct group *g, raft_id id)
{
    for (size_t i = 0; i < g->member_count; i++) {
        if (g->members[i].id == id) return g->members[i].address;
    }
    return (struct io_address){0};
}

static void tell_leader(struct group *g)
{
    if (g->leader_told == g->leader_seen) return;
    g->leader_told = g->leader_seen;
    if (g->handler.on_leader != NULL && !g->is_closing)
        g->handler.on_leader(g->context, address_of(g, g->leader_seen));
}

static void batch_free(struct batch *b)
{
    buf_fini(&b->commands);
    buf_fini(&b->results);
    mem_free(b);
}

static void tell_batch(struct batch *b)
{
    struct slice results = buf_slice(&b->results), result = {0};
    struct list_node *node;
    while ((node = list_pop_front(&b->proposals)) != NULL) {
        struct group_proposal *p = LIST_ENTRY(node, struct group_proposal, node);
        if (b->rc == 0) CHECK(raft_entry_next(&results, &result));
        p->on_done(p, b->rc, result);
    }
    batch_free(b);
}

static void tell_ended(struct list_node *ended)
{
    struct list_node *node;
    while ((node = list_pop_front(ended)) != NULL) tell_batch(LIST_ENTRY(node, struct batch, node));
}

static void tell_refused(struct list_node *refused, int rc)
{
    struct list_node *node;
    while ((node = list_pop_front(refused)) != NULL) {
        struct group_proposal *p = LIST_ENTRY(node, struct group_proposal, node);
        p->on_done(p, rc, (struct slice){0});
    }
}

static void group_free(struct group *g)
{
    buf_fini(&g->results);
    mem_free(g);
}

/* Whoever is told may propose again, or close: what comes meanwhile waits for the next turn. */
static void deliver(struct io_post *post)
{
    struct group *g = LIST_ENTRY(post, struct group, post);
    struct list_node ended, refused;
    list_init(&ended);
    list_init(&refused);
    list_splice_back(&ended, &g->ended);
    list_splice_back(&refused, &g->refused);
    g->is_posted = false;
    bool is_last = g->is_closed;

    send_next(g);
    tell_ended(&ended);
    tell_refused(&refused, g->is_closing ? E_CANCELED : E_STATE);
    tell_leader(g);
    if (!is_last) return;
    if (!list_is_empty(&g->ended) || !list_is_empty(&g->refused)) return; /* Once more. */
    if (g->on_closed != NULL) g->on_closed(g->closed_context);
    group_free(g);
}

/* ---- Who leads ------------------------------------------------------------------------------- */

/* We lead once everything that was agreed under earlier leaders has been applied here. */
static void become_ready(struct group *g)
{
    g->is_ready = true;
    g->leader_seen = g->raft.id;
    tell_soon(g);
}

static void on_barrier(struct raft_barrier *barrier, int status)
{
    struct group *g = barrier->data;
    g->has_barrier = false;
    if (status == 0 && raft_state(&g->raft) == RAFT_LEADER) become_ready(g);
}

static void note_leading(struct group *g)
{
    if (g->is_ready || g->has_barrier) return;
    if (raft_last_applied(&g->raft) == raft_last_index(&g->raft)) {
        become_ready(g);
        return;
    }
    g->barrier.data = g;
    g->has_barrier = raft_barrier(&g->raft, &g->barrier, on_barrier) == 0;
}

/* After anything that may have changed who leads. */
static void note_leader(struct group *g)
{
    if (g->is_closing) return;
    if (raft_state(&g->raft) == RAFT_LEADER) {
        note_leading(g);
        return;
    }
    raft_id id;
    const char *address;
    raft_leader(&g->raft, &id, &address);
    g->is_ready = false;
    if (id == g->leader_seen) return;
    g->leader_seen = id;
    tell_soon(g);
}

static void on_tick(struct raft_io *io)
{
    struct group *g = LIST_ENTRY(io, struct group, io);
    g->tick(io);
    note_leader(g);
}

static void on_recv(struct raft_io *io, struct raft_message *message)
{
    struct group *g = LIST_ENTRY(io, struct group, io);
    g->recv(io, message);
    note_leader(g);
}

/* libraft hands its callbacks to its I/O: ours go there instead, and call them. */
static int start_between(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
                         raft_io_recv_cb recv)
{
    struct group *g = LIST_ENTRY(io, struct group, io);
    g->tick = tick;
    g->recv = recv;
    return g->io_start(io, msecs, on_tick, on_recv);
}

/* ---- The end of libraft's I/O ---------------------------------------------------------------- */

static void on_drained(struct io_post *post)
{
    struct group *g = LIST_ENTRY(post, struct group, drained);
    g->closed(&g->io);
}

/* Handles that began to close before 'last' did end in the same pass of the loop at the latest, but
 * perhaps after it: the post comes when that pass is over. */
static void on_last_closed(uv_handle_t *last)
{
    struct group *g = last->data;
    g->drained.run = on_drained;
    io_post(g->loop, &g->drained);
}

static void on_io_closed(struct raft_io *io)
{
    struct group *g = LIST_ENTRY(io, struct group, io);
    if (g->is_io_closed) return;
    g->is_io_closed = true;
    CHECK(uv_timer_init(io_uv_loop(g->loop), &g->last) == 0);
    g->last.data = g;
    uv_close((uv_handle_t *)&g->last, on_last_closed);
}

static void close_between(struct raft_io *io, raft_io_close_cb closed)
{
    struct group *g = LIST_ENTRY(io, struct group, io);
    g->closed = closed;
    g->io_close(io, on_io_closed);
}

/* ---- The state machine, as libraft sees it --------------------------------------------------- */

static void apply(struct group *g, struct slice command)
{
    size_t head = g->results.size;
    buf_append_le32(&g->results, 0);
    size_t start = g->results.size;
    g->handler.on_apply(g->context, command, &g->results);
    if (!g->results.failed)
        bytes_put_le32(g->results.data + head, (uint32_t)(g->results.size - start));
}

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *entry, void **result)
{
    struct group *g = fsm->data;
    struct slice commands, command;
    if (!raft_entry_open(slice_of(entry->base, entry->len), &commands)) return RAFT_MALFORMED;
    buf_clear(&g->results);
    while (raft_entry_next(&commands, &command)) apply(g, command);
    *result = &g->results;
    return 0;
}

/* libraft frees the array and the bytes. */
static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *bufs[], unsigned *count)
{
    struct group *g = fsm->data;
    struct buf out = {0};
    g->handler.on_snapshot(g->context, &out);
    struct raft_buffer *buffer = raft_malloc(sizeof *buffer);
    void *copy = raft_malloc(out.size > 0 ? out.size : 1);
    if (buf_status(&out) != 0 || buffer == NULL || copy == NULL) {
        raft_free(copy);
        raft_free(buffer);
        buf_fini(&out);
        return RAFT_NOMEM; /* It takes one later. */
    }
    if (out.size > 0) memcpy(copy, out.data, out.size);
    *buffer = (struct raft_buffer){copy, out.size};
    buf_fini(&out);
    *bufs = buffer;
    *count = 1;
    return 0;
}

/* The bytes are ours to free when we took them, and only then. */
static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *snapshot)
{
    struct group *g = fsm->data;
    int rc = g->handler.on_restore(g->context, slice_of(snapshot->base, snapshot->len));
    if (rc != 0) return rc == E_NOMEM ? RAFT_NOMEM : RAFT_CORRUPT;
    raft_free(snapshot->base);
    return 0;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int fail(struct group *g, const char *dir, int status, struct err *e)
{
    const char *why = g->raft.errmsg[0] != '\0' ? g->raft.errmsg : raft_strerror(status);
    return err_set(e, raft_code(status), "meta log %s: %s", dir, why);
}

static int transport_open(struct group *g)
{
    if (g->member_count > 1) return raft_uv_tcp_init(&g->transport, io_uv_loop(g->loop));
    raft_alone_init(&g->transport);
    return 0;
}

static void transport_close(struct group *g)
{
    if (g->member_count > 1) raft_uv_tcp_close(&g->transport);
}

static void set_timing(struct group *g, uint64_t snapshot_every)
{
    bool is_alone = g->member_count == 1;
    if (snapshot_every == 0) snapshot_every = SNAPSHOT_EVERY;
    raft_set_election_timeout(&g->raft, is_alone ? ALONE_ELECTION_MS : ELECTION_MS);
    raft_set_heartbeat_timeout(&g->raft, is_alone ? ALONE_HEARTBEAT_MS : HEARTBEAT_MS);
    raft_set_snapshot_threshold(&g->raft, (unsigned)snapshot_every);
    raft_set_snapshot_trailing(&g->raft, (unsigned)(snapshot_every / 4 + 1));
    raft_set_pre_vote(&g->raft, !is_alone);
}

static int io_up(struct group *g, const char *dir)
{
    int status = transport_open(g);
    if (status != 0) return status;
    status = raft_uv_init(&g->io, io_uv_loop(g->loop), dir, &g->transport);
    if (status != 0) {
        transport_close(g);
        return status;
    }
    raft_uv_set_segment_size(&g->io, RAFT_SEGMENT_SIZE);
    g->io_start = g->io.start;
    g->io.start = start_between;
    g->io_close = g->io.close;
    g->io.close = close_between;
    return 0;
}

static void io_down(struct group *g)
{
    raft_uv_close(&g->io);
    transport_close(g);
}

static int raft_up(struct group *g, const struct group_options *options)
{
    char address[IO_ADDRESS_TEXT_SIZE];
    io_address_print(address_of(g, options->self_id), address);
    int status = io_up(g, options->dir);
    if (status != 0) return status;
    status = raft_init(&g->raft, &g->io, &g->fsm, options->self_id, address);
    if (status != 0) {
        io_down(g);
        return status;
    }
    g->raft.data = g;
    set_timing(g, options->snapshot_every);
    return 0;
}

static struct group *group_new(struct io_loop *loop, const struct group_options *options,
                               const struct group_handler *handler, void *context)
{
    struct group *g = mem_zalloc(sizeof *g);
    if (g == NULL) return NULL;
    g->loop = loop;
    g->handler = *handler;
    g->context = context;
    g->member_count = options->member_count;
    memcpy(g->members, options->members, options->member_count * sizeof *g->members);
    g->fsm = (struct raft_fsm){.version = 1,
                               .data = g,
                               .apply = fsm_apply,
                               .snapshot = fsm_snapshot,
                               .restore = fsm_restore};
    list_init(&g->ended);
    list_init(&g->refused);
    return g;
}

/* It ends by itself, in later turns. */
static void on_failed_closed(struct raft *raft)
{
    struct group *g = raft->data;
    io_down(g);
    group_free(g);
}

int group_open(struct io_loop *loop, const struct group_options *options,
               const struct group_handler *handler, void *context, struct group **out,
               struct err *e)
{
    if (options->member_count < 1 || options->member_count > RAFT_MEMBERS_MAX)
        return err_set(e, E_INVALID, "a meta group has 1 to %d members", RAFT_MEMBERS_MAX);
    int rc = raft_dir_prepare(io_of(loop), options, e);
    if (rc != 0) return rc;
    struct group *g = group_new(loop, options, handler, context);
    if (g == NULL) return err_set(e, E_NOMEM, "meta log %s", options->dir);
    int status = raft_up(g, options);
    if (status != 0) {
        rc = fail(g, options->dir, status, e);
        group_free(g);
        return rc;
    }
    status = raft_start(&g->raft);
    if (status != 0) {
        rc = fail(g, options->dir, status, e);
        g->is_closing = true;
        raft_close(&g->raft, on_failed_closed);
        return rc;
    }
    note_leader(g);
    *out = g;
    return 0;
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void on_raft_closed(struct raft *raft)
{
    struct group *g = raft->data;
    io_down(g);
    g->is_closed = true;
    tell_soon(g);
}

void group_close(struct group *g, void (*on_closed)(void *context), void *context)
{
    CHECK(!g->is_closing);
    g->is_closing = true;
    g->is_ready = false;
    g->on_closed = on_closed;
    g->closed_context = context;
    raft_close(&g->raft, on_raft_closed);
}

/* ---- Proposing ------------------------------------------------------------------------------- */

bool group_is_leader(const struct group *g)
{
    return g->is_ready;
}

static void batch_ended(struct batch *b, int rc)
{
    b->rc = rc;
    list_push_back(&b->group->ended, &b->node);
    tell_soon(b->group);
}

/* After a failure nobody knows: the entry may be on disk, or on a peer's, and be agreed on later
 * (G3). */
static void on_applied(struct raft_apply *raft_apply, int status, void *result)
{
    struct batch *b = LIST_ENTRY(raft_apply, struct batch, apply);
    struct group *g = b->group;
    g->flying = NULL;
    if (status == 0) {
        b->results = g->results;
        g->results = (struct buf){0};
        CHECK(result == &g->results);
    }
    batch_ended(b, status == 0 && buf_status(&b->results) == 0 ? 0 : E_UNKNOWN);
}

static void send_batch(struct group *g, struct batch *b)
{
    struct raft_buffer entry;
    if (!raft_entry_seal(buf_slice(&b->commands), &entry)) {
        batch_ended(b, E_CANCELED);
        return;
    }
    buf_fini(&b->commands);
    g->flying = b;
    int status = raft_apply(&g->raft, &b->apply, &entry, 1, on_applied);
    if (status == 0) return;
    raft_free(entry.base);
    on_applied(&b->apply, status, NULL); /* It may have reached a peer before it failed. */
}

/* Send what has gathered, when nothing is on its way. */
static void send_next(struct group *g)
{
    struct batch *b = g->filling;
    if (b == NULL || g->flying != NULL) return;
    g->filling = NULL;
    if (g->is_ready) send_batch(g, b);
    else batch_ended(b, g->is_closing ? E_CANCELED : E_STATE);
}

static struct batch *batch_new(struct group *g)
{
    struct batch *b = mem_zalloc(sizeof *b);
    if (b == NULL) return NULL;
    b->group = g;
    list_init(&b->node);
    list_init(&b->proposals);
    return b;
}

void group_propose(struct group *g, struct group_proposal *p, struct slice command)
{
    if (g->is_ready && g->filling == NULL) g->filling = batch_new(g);
    if (!g->is_ready || g->filling == NULL || raft_entry_add(&g->filling->commands, command) != 0) {
        list_push_back(&g->refused, &p->node);
        tell_soon(g);
        return;
    }
    list_push_back(&g->filling->proposals, &p->node);
    send_next(g);
}
