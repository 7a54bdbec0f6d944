/* src/node/teach.c: a learner's questions, answered by its primary. */
#include "node/teach.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/crc.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/node_dir.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/worker.h"
#include "obs/logger.h"
#include "wire/messages_repl.h"

static const struct logger logger = {.room = "teach"};

enum {
    RUN_MAX = 1024,           /* Mutations of one answer... */
    RUN_SIZE_MAX = 1 << 20,   /* ...and their bytes; one may be longer. */
    PIECE_SIZE_MAX = 1 << 20, /* Bytes of a file in one answer. */
    FILES_MAX = 1 << 16,      /* Of a store. */
};

/* ---- Answers -------------------------------------------------------------------------------------------------- */

static void refuse_learn(struct rpc_request *request, enum wire_error error)
{
    struct learn_response response = {.err = wire_error_name(error)};
    rpc_reply(request, WIRE_ERR_OK, &learn_response_schema, &response);
}

static void refuse_read(struct rpc_request *request, enum wire_error error)
{
    struct learn_read_response response = {.err = wire_error_name(error)};
    rpc_reply(request, WIRE_ERR_OK, &learn_read_response_schema, &response);
}

/* ---- Copies --------------------------------------------------------------------------------------------------- */

/* A checkpoint on its way to the learner. Outlives its replica's interest in it while the pool works. */
struct teach_copy {
    struct replica *replica;
    uint64_t id, decree, source;
    struct learn_file *files; /* With names of their own. */
    size_t file_count, file_capacity;
    bool is_made, is_ended;
    uint32_t reads; /* Under way. */
    int rc;
    struct io_work work;
    char dir[CONFIG_TEXT_SIZE + 96];
};

static void copy_free(struct teach_copy *c)
{
    for (size_t i = 0; i < c->file_count; i++) mem_free((void *)(uintptr_t)c->files[i].name.data);
    mem_free(c->files);
    mem_free(c);
}

static void note_file(void *context, const char *name)
{
    struct teach_copy *c = context;
    struct io *io = io_of(c->replica->worker->loop);
    char path[CONFIG_TEXT_SIZE + 160];
    struct io_file *file;
    uint64_t size = 0;
    const size_t length = strlen(name);
    if (c->rc != 0) return;
    (void)snprintf(path, sizeof path, "%s/%s", c->dir, name);
    c->rc = io_file_open(io, path, IO_OPEN_READ, &file);
    if (c->rc != 0) return;
    c->rc = io_file_size(file, &size);
    io_file_close(file);
    if (c->rc == 0 && c->file_count == FILES_MAX) c->rc = E_LIMIT;
    if (c->rc == 0)
        c->rc = array_reserve(&c->files, &c->file_capacity, c->file_count + 1, sizeof *c->files);
    char *copy = c->rc == 0 ? mem_alloc(length + 1) : NULL;
    if (copy == NULL) {
        if (c->rc == 0) c->rc = E_NOMEM;
        return;
    }
    memcpy(copy, name, length + 1);
    c->files[c->file_count++] =
        (struct learn_file){.name = slice_of(copy, length), .size = (int64_t)size};
}

static void make_run(struct io_work *work)
{
    struct teach_copy *c = LIST_ENTRY(work, struct teach_copy, work);
    struct replica *r = c->replica;
    struct io *io = io_of(r->worker->loop);
    struct err e = {0};
    c->rc = store_checkpoint(r->store, c->dir, &c->decree, &e);
    if (c->rc == 0) {
        int rc = io_dir_list(io, c->dir, note_file, c);
        if (c->rc == 0) c->rc = rc;
    }
    if (c->rc != 0)
        LOG_ERROR(&logger, "no copy of the store for a learner", field_str("dir", c->dir),
                  field_code(c->rc));
}

static void remove_run(struct io_work *work)
{
    struct teach_copy *c = LIST_ENTRY(work, struct teach_copy, work);
    int rc = io_dir_remove(io_of(c->replica->worker->loop), c->dir);
    if (rc != 0)
        LOG_WARN(&logger, "copy of a store not removed", field_str("dir", c->dir), field_code(rc));
}

static void remove_done(struct io_work *work)
{
    struct teach_copy *c = LIST_ENTRY(work, struct teach_copy, work);
    struct replica *r = c->replica;
    copy_free(c);
    replica_release(r);
}

/* Nobody reads it: its files go. */
static void copy_remove_if_idle(struct teach_copy *c)
{
    if (!c->is_ended || !c->is_made || c->reads > 0) return;
    c->replica->busy++;
    c->work.run = remove_run;
    c->work.done = remove_done;
    io_work(c->replica->worker->loop, &c->work);
}

static void answer_copy(const struct teach_copy *c, struct rpc_request *request)
{
    struct learn_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .committed = (int64_t)c->replica->repl.committed,
        .copy = (int64_t)c->id,
        .copy_decree = (int64_t)c->decree,
        .source = (int64_t)c->source,
        .files = {c->files, (uint32_t)c->file_count},
    };
    MARK("a learner is given a copy of the store");
    rpc_reply(request, WIRE_ERR_OK, &learn_response_schema, &response);
}

static void answer_waiting(struct teacher *t, const struct teach_copy *c)
{
    for (struct list_node *it; (it = list_pop_front(&t->waiting)) != NULL;) {
        struct rpc_request *request = LIST_ENTRY(it, struct rpc_request, node);
        if (c == NULL) refuse_learn(request, WIRE_ERR_INVALID_STATE);
        else answer_copy(c, request);
    }
}

static void make_done(struct io_work *work)
{
    struct teach_copy *c = LIST_ENTRY(work, struct teach_copy, work);
    struct replica *r = c->replica;
    struct teacher *t = &r->teacher;
    c->is_made = true;
    if (c->rc != 0 && !c->is_ended) {
        answer_waiting(t, NULL);
        t->copy = NULL;
        c->is_ended = true;
    }
    if (c->is_ended) {
        copy_remove_if_idle(c);
    } else {
        LOG_INFO(&logger, "store copied for a learner", field_str("dir", c->dir),
                 field_u64("decree", c->decree), field_u64("files", c->file_count));
        answer_waiting(t, c);
        t->needs = c->decree;
    }
    replica_hold(r);
    replica_release(r);
}

static void copy_begin(struct replica *r)
{
    struct teacher *t = &r->teacher;
    struct teach_copy *c = mem_zalloc(sizeof *c);
    if (c == NULL) {
        answer_waiting(t, NULL);
        return;
    }
    c->replica = r;
    c->id = io_seed(io_of(r->worker->loop)) | 1;
    c->source = store_identity(r->store);
    (void)snprintf(c->dir, sizeof c->dir, "%s/" TEACH_DIR_PREFIX "%016llx", r->dir,
                   (unsigned long long)c->id);
    t->copy = c;
    t->needs = r->durable; /* The checkpoint is not older; the log has what is behind it. */
    replica_hold(r);
    r->busy++;
    c->work.run = make_run;
    c->work.done = make_done;
    io_work(r->worker->loop, &c->work);
}

void teach_end_copy(struct replica *r)
{
    struct teacher *t = &r->teacher;
    struct teach_copy *c = t->copy;
    if (c == NULL) return;
    answer_waiting(t, NULL);
    t->copy = NULL;
    c->is_ended = true;
    copy_remove_if_idle(c);
}

/* It holds more than the learner, and the log goes on from there. */
static bool copy_is_useful(const struct teacher *t, uint64_t decree)
{
    return t->copy != NULL &&
           (!t->copy->is_made || (t->copy->decree > decree && t->needs <= t->copy->decree));
}

static void offer_copy(struct replica *r, struct rpc_request *request, uint64_t decree)
{
    struct teacher *t = &r->teacher;
    if (!copy_is_useful(t, decree)) teach_end_copy(r);
    if (t->copy != NULL && t->copy->is_made) {
        answer_copy(t->copy, request);
        return;
    }
    answer_waiting(t, NULL); /* It has asked again: nobody waits for that answer any more. */
    list_push_back(&t->waiting, &request->node);
    if (t->copy == NULL) copy_begin(r);
}

/* ---- Mutations ------------------------------------------------------------------------------------------------ */

struct question { /* In the request's owner bytes. */
    struct replica *replica;
    struct rpc_request *request;
    uint64_t ballot, decree, last;
    struct log_read read;
};

_Static_assert(sizeof(struct question) <= RPC_OWNER_SIZE, "a request has room for it");

static bool is_pupil_of(const struct replica *r, uint64_t ballot)
{
    return !r->is_closing && r->repl.role == REPL_PRIMARY && r->repl.config.ballot == ballot &&
           r->repl.config.learner != 0;
}

static void answer_run(struct question *q, struct slice *run, uint32_t count)
{
    const struct replica *r = q->replica;
    struct learn_response response = {
        .err = wire_error_name(WIRE_ERR_OK),
        .committed = (int64_t)r->repl.committed,
        .mutations = {run, count},
        .is_end = q->decree + count >= r->repl.committed,
    };
    rpc_reply(q->request, WIRE_ERR_OK, &learn_response_schema, &response);
}

/* Returns how many the tail has, from the first wanted on. */
static uint32_t gather_tail(const struct question *q, struct slice *run)
{
    uint32_t count = 0;
    size_t size = 0;
    for (uint64_t decree = q->decree + 1; decree <= q->last && count < RUN_MAX; decree++) {
        const struct chunk *bytes = repl_tail_get(&q->replica->repl, decree);
        if (bytes == NULL || (count > 0 && size + bytes->capacity > RUN_SIZE_MAX)) break;
        run[count++] = slice_of(bytes->data, bytes->capacity);
        size += bytes->capacity;
    }
    return count;
}

static void on_log_read(struct log_read *read, int rc)
{
    struct question *q = LIST_ENTRY(read, struct question, read);
    struct replica *r = q->replica;
    struct slice *run = rc == 0 ? arena_array(&q->request->arena, read->count, sizeof *run) : NULL;
    if (!is_pupil_of(r, q->ballot)) {
        refuse_learn(q->request, WIRE_ERR_INVALID_STATE);
    } else if (rc == E_NOTFOUND || rc == E_CORRUPT) {
        offer_copy(r, q->request, q->decree);
    } else if (run == NULL) {
        refuse_learn(q->request, WIRE_ERR_BUSY);
    } else {
        for (size_t i = 0; i < read->count; i++) run[i] = read->entries[i].mutation;
        MARK("a learner is given mutations of the log");
        answer_run(q, run, (uint32_t)read->count);
    }
    replica_release(r);
}

static void read_log(struct question *q)
{
    struct replica *r = q->replica;
    q->read = (struct log_read){
        .gpid = r->gpid,
        .from_decree = q->decree + 1,
        .to_decree = q->last,
        .size_max = RUN_SIZE_MAX,
        .count_max = RUN_MAX,
        .loop = r->worker->loop,
        .on_done = on_log_read,
    };
    r->busy++;
    log_read(r->worker->node->log, &q->read);
}

/* ---- LEARN ---------------------------------------------------------------------------------------------------- */

static bool is_of_our_cluster(const struct replica *r, int64_t cluster_uuid)
{
    return r->assigned != NULL && r->assigned->cluster_uuid == (uint64_t)cluster_uuid;
}

/* What a learner holds beyond what we have committed nobody else has: it begins anew. Whoever asks while the
 * tail is on its way to it has said that it holds all, and has lost that. */
static void answer(struct replica *r, struct question *q)
{
    const struct repl *p = &r->repl;
    if (p->committed < p->reconciled_at || p->pupil.is_joining) {
        refuse_learn(q->request, WIRE_ERR_BUSY);
    } else if (q->decree > p->committed && q->decree <= p->prepared) {
        refuse_learn(q->request, WIRE_ERR_BUSY); /* We have sent it that: it is committed soon. */
    } else if (q->decree > p->committed) {
        MARK("a learner has what nobody else has");
        offer_copy(r, q->request, 0);
    } else {
        struct slice *run = arena_array(&q->request->arena, RUN_MAX, sizeof *run);
        uint32_t count = run != NULL ? gather_tail(q, run) : 0;
        if (run == NULL) refuse_learn(q->request, WIRE_ERR_BUSY);
        else if (count > 0 || q->decree == p->committed) answer_run(q, run, count);
        else read_log(q);
    }
}

void teach_on_learn(struct replica *r, struct rpc_request *request)
{
    struct learn_request asked = {0};
    if (thrift_read_args(request->frame.body, &learn_request_schema, &asked, &request->arena) !=
        0) {
        rpc_reply_error(request, WIRE_ERR_INVALID_DATA);
        return;
    }
    if (!is_of_our_cluster(r, asked.cluster_uuid) || !is_pupil_of(r, (uint64_t)asked.ballot) ||
        (uint64_t)asked.node_id != r->repl.config.learner) {
        MARK("a question of somebody who does not learn here");
        refuse_learn(request, WIRE_ERR_INVALID_STATE);
        return;
    }
    struct question *q = (struct question *)(void *)request->owner;
    *q = (struct question){.replica = r,
                           .request = request,
                           .ballot = (uint64_t)asked.ballot,
                           .decree = (uint64_t)asked.decree,
                           .last = r->repl.committed};
    struct teacher *t = &r->teacher;
    struct repl_event wanted = {.type = REPL_LEARN_WANTED};
    replica_step(r, &wanted);
    if (t->copy == NULL && q->decree >= t->needs) {
        t->needs = q->decree;
        replica_hold(r);
    }
    answer(r, q);
}

/* ---- LEARN_READ ------------------------------------------------------------------------------------------------ */

struct reading { /* In the request's owner bytes. */
    struct teach_copy *copy;
    struct rpc_request *request;
    struct io_work work;
    const struct learn_file *file;
    uint64_t offset;
    size_t size;
    uint8_t *bytes;
    size_t got;
    int rc;
};

_Static_assert(sizeof(struct reading) <= RPC_OWNER_SIZE, "a request has room for it");

static void reading_run(struct io_work *work)
{
    struct reading *g = LIST_ENTRY(work, struct reading, work);
    char path[CONFIG_TEXT_SIZE + 160];
    struct io_file *file;
    (void)snprintf(path, sizeof path, "%s/%s", g->copy->dir, (const char *)g->file->name.data);
    g->rc = io_file_open(io_of(g->copy->replica->worker->loop), path, IO_OPEN_READ, &file);
    if (g->rc != 0) return;
    g->rc = io_file_read(file, g->offset, g->bytes, g->size, &g->got);
    io_file_close(file);
}

static void reading_done(struct io_work *work)
{
    struct reading *g = LIST_ENTRY(work, struct reading, work);
    struct teach_copy *c = g->copy;
    struct replica *r = c->replica;
    struct learn_read_response response = {
        .err = wire_error_name(g->rc == 0 ? WIRE_ERR_OK : WIRE_ERR_FILE_OPERATION_FAILED),
        .bytes = slice_of(g->bytes, g->got),
        .crc = crc32c(0, g->bytes, g->got),
    };
    if (g->rc != 0) response.bytes = slice_of(NULL, 0);
    rpc_reply(g->request, WIRE_ERR_OK, &learn_read_response_schema, &response);
    c->reads--;
    copy_remove_if_idle(c);
    replica_release(r);
}

static const struct learn_file *find_file(const struct teach_copy *c, struct slice name)
{
    for (size_t i = 0; i < c->file_count; i++)
        if (slice_equal(c->files[i].name, name)) return &c->files[i];
    return NULL;
}

void teach_on_read(struct replica *r, struct rpc_request *request)
{
    struct learn_read_request asked = {0};
    if (thrift_read_args(request->frame.body, &learn_read_request_schema, &asked,
                         &request->arena) != 0) {
        rpc_reply_error(request, WIRE_ERR_INVALID_DATA);
        return;
    }
    struct teach_copy *c = r->teacher.copy;
    bool is_there = is_of_our_cluster(r, asked.cluster_uuid) && c != NULL && c->is_made &&
                    !r->is_closing && c->id == (uint64_t)asked.copy;
    const struct learn_file *file = is_there ? find_file(c, asked.name) : NULL;
    bool is_inside = file != NULL && asked.offset >= 0 && asked.offset <= file->size &&
                     asked.size > 0 && asked.size <= PIECE_SIZE_MAX;
    if (!is_inside) {
        refuse_read(request,
                    file != NULL ? WIRE_ERR_INVALID_PARAMETERS : WIRE_ERR_OBJECT_NOT_FOUND);
        return;
    }
    uint8_t *bytes = arena_alloc(&request->arena, (size_t)asked.size);
    if (bytes == NULL) {
        refuse_read(request, WIRE_ERR_BUSY);
        return;
    }
    struct reading *g = (struct reading *)(void *)request->owner;
    *g = (struct reading){.copy = c,
                          .request = request,
                          .file = file,
                          .offset = (uint64_t)asked.offset,
                          .size = (size_t)asked.size,
                          .bytes = bytes,
                          .work = {.run = reading_run, .done = reading_done}};
    c->reads++;
    r->busy++;
    io_work(r->worker->loop, &g->work);
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

void teach_init(struct teacher *t)
{
    t->needs = LOG_NO_SHIPPER;
    list_init(&t->waiting);
}

void teach_give_up_log(struct replica *r)
{
    r->teacher.needs = LOG_NO_SHIPPER;
    replica_hold(r);
}

/* Only a primary teaches; it keeps on from one configuration to the next when its learner is the same. */
static uint64_t pupil_of(const struct replica *r)
{
    const struct repl *p = &r->repl;
    const struct repl_config *c = p->coming.ballot != 0 ? &p->coming : &p->config;
    bool is_primary = p->role == REPL_PRIMARY || p->is_staying;
    return is_primary && !r->is_closing && !p->is_stopped ? c->learner : 0;
}

void teach_sync(struct replica *r)
{
    struct teacher *t = &r->teacher;
    const uint64_t pupil = pupil_of(r);
    if (t->copy != NULL && r->repl.pupil.is_following) teach_end_copy(r);
    if (pupil == t->pupil) return;
    t->pupil = pupil;
    teach_end_copy(r);
    t->needs = pupil != 0 ? r->durable : LOG_NO_SHIPPER;
    replica_hold(r);
}
