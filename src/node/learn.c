/* src/node/learn.c: asking, and copying a store. */
#include "node/learn.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/mark.h"
#include "base/mem.h"
#include "node/node_dir.h"
#include "node/node_impl.h"
#include "node/replica.h"
#include "node/replica_state.h"
#include "node/teach.h"
#include "node/worker.h"
#include "obs/logger.h"
#include "wire/messages_repl.h"

static const struct logger logger = {.room = "learn"};

enum {
    LEARN_CALL_MS = 60 * 1000, /* A checkpoint may have to be made before the answer. */
    READ_CALL_MS = 10 * 1000,
    RETRY_MS_MIN = 50, /* After a failure; doubles... */
    RETRY_MS_MAX = 5000,
    PATIENCE_MS = 60 * 1000, /* Failing all that time, it leaves its place to another. */
    PIECE_SIZE = 1 << 20,    /* Bytes asked for at once; the next when these are written. */
    NAME_SIZE_MAX = 64,      /* Of a store's file. */
    FILES_MAX = 1 << 16,
    LEARN_PATH_SIZE = CONFIG_TEXT_SIZE + 160,
};

#define PART_SUFFIX  ".part"
#define LEARN_DIR    "learn"        /* What has come so far... */
#define LEARN_SOURCE "learn.source" /* ...of which store. */
#define LEARNED_DIR  "learned"      /* All has... */
#define LEARN_DONE   "learn.done" /* ...under this ballot: ballot, decree, crc32c; little-endian. */

enum { LEARN_DONE_SIZE = 20 };

struct file {
    char name[NAME_SIZE_MAX];
    uint64_t size, have; /* Bytes; of them, on our disk. */
};

struct learning {
    struct replica *replica;
    struct rpc_peer *peer; /* Of its own: the copy is not to be in the way of mutations. */
    struct io_address address;
    uint64_t ballot, decree; /* Of the question. */
    struct io_timer timer;
    uint32_t retry_ms;         /* 0: the last try succeeded. */
    uint64_t failing_since_ms; /* Otherwise: since when none did. */

    struct rpc_call ask;
    struct rpc_call read;
    bool is_reading; /* A piece is on its way... */
    bool is_writing; /* ...or the pool is at work... */
    bool is_held;    /* ...or it waits for its turn, that others are not hurt. */
    bool is_ended;
    uint64_t copy, copy_decree, source;
    uint64_t copied, kept; /* Bytes that came, and that were there. */
    uint64_t began_ms;
    struct file *files;
    size_t file_count, next; /* The file whose pieces are asked for. */
    uint64_t asked;          /* Of that file, up to here. */
    struct io_work work;
    struct chunk *piece; /* Being written; 'bytes' are in it. */
    struct slice bytes;
    size_t piece_file;
    int rc;
};

static struct io *io_of_learning(const struct learning *l)
{
    return io_of(l->replica->worker->loop);
}

static void path_of(const struct learning *l, const char *name, char *out)
{
    (void)snprintf(out, LEARN_PATH_SIZE, "%s/%s", l->replica->dir, name);
}

/* Until all of it is there, and synced, a file has another name: of what a loss of power leaves, only what has
 * its own name can be relied on. */
static void path_of_file(const struct learning *l, size_t index, bool is_whole, char *out)
{
    (void)snprintf(out, LEARN_PATH_SIZE, "%s/" LEARN_DIR "/%s%s", l->replica->dir,
                   l->files[index].name, is_whole ? "" : PART_SUFFIX);
}

/* ---- Ending ---------------------------------------------------------------------------------------------------- */

static void on_peer_closed(void *context)
{
    struct learning *l = context;
    struct replica *r = l->replica;
    mem_free(l->files);
    mem_free(l);
    replica_release(r);
}

/* The pool has let go of it. */
static void end_if_idle(struct learning *l)
{
    if (!l->is_ended || l->is_writing) return;
    rpc_peer_close(l->peer, on_peer_closed, l);
}

void learn_end(struct replica *r)
{
    struct learning *l = r->learning;
    if (l == NULL) return;
    r->learning = NULL;
    l->is_ended = true;
    io_timer_stop(&l->timer);
    rpc_call_cancel(&l->ask);
    rpc_call_cancel(&l->read);
    end_if_idle(l);
}

/* ---- Asking ---------------------------------------------------------------------------------------------------- */

static void ask(struct learning *l);
static void read_piece(struct learning *l);

static void pause_then_ask(struct learning *l)
{
    struct io_loop *loop = l->replica->worker->loop;
    const uint64_t now_ms = io_now(io_of(loop)).boot_ms;
    if (l->retry_ms == 0) l->failing_since_ms = now_ms;
    else if (now_ms - l->failing_since_ms >= PATIENCE_MS) wish_learn_no_more(l->replica);
    l->retry_ms = l->retry_ms == 0 ? RETRY_MS_MIN : l->retry_ms * 2;
    if (l->retry_ms > RETRY_MS_MAX) l->retry_ms = RETRY_MS_MAX;
    io_timer_start(loop, &l->timer, now_ms + l->retry_ms);
}

static void on_timer(struct io_timer *timer)
{
    struct learning *l = LIST_ENTRY(timer, struct learning, timer);
    if (l->is_held) {
        l->is_held = false;
        read_piece(l);
    } else if (!l->is_reading && !l->is_writing) {
        ask(l);
    }
}

/* From where it is by now. */
static void pause_then_ask_anew(struct learning *l)
{
    l->decree = l->replica->repl.matched;
    pause_then_ask(l);
}

/* Take what came, one after the other; what finds no room is asked for again. Returns how many. */
static uint32_t take(struct learning *l, const struct learn_response *told)
{
    struct replica *r = l->replica;
    uint32_t count = 0;
    while (count < told->mutations.count &&
           replica_on_learned(r, l->ballot, (uint64_t)told->committed,
                              told->mutations.items[count]) == 0)
        count++;
    return count;
}

static void on_mutations(struct learning *l, const struct learn_response *told)
{
    struct replica *r = l->replica;
    if (r->repl.learning ==
        REPL_LEARN_COPYING) { /* It has begun to be another: there is no way back. */
        wish_learn_anew(r);
        return;
    }
    const uint32_t count = take(l, told);
    if (r->learning != l) return; /* It stopped over that. */
    if (count == 0 && told->mutations.count > 0) {
        pause_then_ask(l);
        return;
    }
    l->retry_ms = 0;
    struct repl_event learned = {.type = REPL_LEARNED, .ballot = l->ballot};
    learned.learned.is_end = told->is_end && count == told->mutations.count;
    replica_step(r, &learned);
}

static void copy_begin(struct learning *l, const struct learn_response *told);

static void on_told(struct rpc_call *call, const struct rpc_answer *answer)
{
    struct learning *l = LIST_ENTRY(call, struct learning, ask);
    struct learn_response told = {0};
    struct arena arena = {0};
    int rc = answer->rc;
    if (rc == 0 && answer->error != WIRE_ERR_OK) rc = E_REFUSED;
    if (rc == 0) rc = rpc_answer_read(answer, &learn_response_schema, &arena, &told);
    if (rc == 0 && wire_error_find(told.err) != WIRE_ERR_OK) rc = E_REFUSED;
    if (rc != 0) pause_then_ask(l);
    else if (told.copy != 0) copy_begin(l, &told);
    else on_mutations(l, &told);
    arena_fini(&arena);
}

static void ask(struct learning *l)
{
    const struct replica *r = l->replica;
    if (r->learn_works > 0) { /* An earlier try has not let go of the files. */
        pause_then_ask(l);
        return;
    }
    const struct learn_request request = {
        .node_id = (int64_t)r->repl.self,
        .cluster_uuid = (int64_t)r->assigned->cluster_uuid,
        .ballot = (int64_t)l->ballot,
        .decree = (int64_t)l->decree,
    };
    l->ask = (struct rpc_call){
        .rpc = RPC_LEARN,
        .app_id = r->gpid.app_id,
        .partition_index = r->gpid.partition_index,
        .schema = &learn_request_schema,
        .args = &request,
        .deadline_ms = replica_now(r).boot_ms + LEARN_CALL_MS,
        .on_done = on_told,
    };
    if (rpc_peer_call(l->peer, &l->ask) != 0) pause_then_ask(l);
}

static struct learning *learning_new(struct replica *r, struct io_address address)
{
    static const struct rpc_peer_options options = {.framing = FRAME_RDSN};
    struct learning *l = mem_zalloc(sizeof *l);
    if (l == NULL || rpc_peer_open(r->worker->loop, address, &options, &l->peer) != 0) {
        mem_free(l);
        return NULL;
    }
    l->replica = r;
    l->address = address;
    l->timer.run = on_timer;
    r->busy++;
    return l;
}

void learn_begin(struct replica *r, const struct repl_effect *effect)
{
    struct io_address address = {0};
    if (r->is_closing || r->assigned == NULL) return;
    (void)assignment_address(r->assigned, effect->to, &address);
    struct learning *l = r->learning;
    bool is_busy = l != NULL && (l->is_reading || l->is_writing || l->is_held);
    bool is_other =
        l != NULL && (l->ballot != effect->ballot || is_busy || l->address.ipv4 != address.ipv4 ||
                      l->address.port != address.port);
    if (is_other) learn_end(r);
    if (r->learning == NULL) r->learning = learning_new(r, address);
    l = r->learning;
    if (l == NULL) { /* Its protocol asks again when it hears of a commit. */
        LOG_ERROR(&logger, "no memory to learn", field_str("dir", r->dir));
        return;
    }
    l->ballot = effect->ballot;
    l->decree = effect->last;
    ask(l);
}

/* ---- Copying: pieces ---------------------------------------------------------------------------------------------- */

static void copy_go_on(struct learning *l);
static void finish(struct learning *l);

/* Begin again with the question: what has come stays on the disk. */
static void copy_failed(struct learning *l, const char *what, int rc)
{
    LOG_WARN(&logger, "copying a store was interrupted", field_str("dir", l->replica->dir),
             field_str("at", what), field_code(rc));
    MARK("copying a store was interrupted");
    l->copy = 0;
    rpc_call_cancel(&l->read);
    l->is_reading = false;
    pause_then_ask(l);
}

static void pool(struct learning *l, void (*run)(struct io_work *), void (*done)(struct io_work *))
{
    l->is_writing = true;
    l->replica->learn_works++;
    l->work.run = run;
    l->work.done = done;
    io_work(l->replica->worker->loop, &l->work);
}

/* Back from the pool. False: nobody wants to know. */
static bool is_back(struct learning *l)
{
    l->is_writing = false;
    l->replica->learn_works--;
    if (l->is_ended) end_if_idle(l);
    return !l->is_ended;
}

static void write_run(struct io_work *work)
{
    struct learning *l = LIST_ENTRY(work, struct learning, work);
    const struct file *f = &l->files[l->piece_file];
    const bool is_last = f->have + l->bytes.size == f->size;
    char path[LEARN_PATH_SIZE], whole[LEARN_PATH_SIZE];
    struct io_file *file;
    path_of_file(l, l->piece_file, false, path);
    path_of_file(l, l->piece_file, true, whole);
    l->rc = io_file_open(io_of_learning(l), path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (l->rc != 0) return;
    l->rc = io_file_write(file, f->have, &l->bytes, 1);
    if (l->rc == 0 && is_last) l->rc = io_file_sync(file);
    io_file_close(file);
    if (l->rc == 0 && is_last) l->rc = io_rename(io_of_learning(l), path, whole);
}

static void write_done(struct io_work *work)
{
    struct learning *l = LIST_ENTRY(work, struct learning, work);
    chunk_unref(l->piece);
    l->piece = NULL;
    if (!is_back(l)) return;
    if (l->rc != 0) {
        copy_failed(l, l->files[l->piece_file].name, l->rc);
        return;
    }
    l->files[l->piece_file].have += l->bytes.size;
    l->failing_since_ms = replica_now(l->replica).boot_ms; /* It succeeds, if slowly. */
    l->copied += l->bytes.size;
    copy_go_on(l);
}

static size_t piece_size(const struct learning *l)
{
    const struct file *f = &l->files[l->next];
    uint64_t left = f->size - l->asked;
    return left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
}

static void on_piece(struct rpc_call *call, const struct rpc_answer *answer)
{
    struct learning *l = LIST_ENTRY(call, struct learning, read);
    struct learn_read_response piece = {0};
    struct arena arena = {0};
    int rc = answer->rc;
    l->is_reading = false;
    if (rc == 0 && answer->error != WIRE_ERR_OK) rc = E_REFUSED;
    if (rc == 0) rc = rpc_answer_read(answer, &learn_read_response_schema, &arena, &piece);
    if (rc == 0 && wire_error_find(piece.err) != WIRE_ERR_OK) rc = E_REFUSED;
    if (rc == 0 && (piece.bytes.size != piece_size(l) ||
                    (uint32_t)piece.crc != crc32c(0, piece.bytes.data, piece.bytes.size)))
        rc = E_CORRUPT;
    arena_fini(&arena);
    if (rc != 0) {
        copy_failed(l, l->files[l->next].name, rc);
        return;
    }
    l->piece = chunk_ref(answer->chunk);
    l->bytes = piece.bytes;
    l->piece_file = l->next;
    l->asked += piece.bytes.size;
    pool(l, write_run, write_done);
}

static void read_piece(struct learning *l)
{
    const struct replica *r = l->replica;
    const struct file *f = &l->files[l->next];
    const struct learn_read_request request = {
        .node_id = (int64_t)r->repl.self,
        .cluster_uuid = (int64_t)r->assigned->cluster_uuid,
        .copy = (int64_t)l->copy,
        .name = slice_str(f->name),
        .offset = (int64_t)l->asked,
        .size = (int32_t)piece_size(l),
    };
    l->read = (struct rpc_call){
        .rpc = RPC_LEARN_READ,
        .app_id = r->gpid.app_id,
        .partition_index = r->gpid.partition_index,
        .schema = &learn_read_request_schema,
        .args = &request,
        .deadline_ms = replica_now(r).boot_ms + READ_CALL_MS,
        .on_done = on_piece,
    };
    int rc = rpc_peer_call(l->peer, &l->read);
    if (rc == 0) l->is_reading = true;
    else copy_failed(l, f->name, rc);
}

/* All copies of a worker share its part of the rate: each piece takes its time before the next may be asked
 * for. Returns when this one may. */
static uint64_t turn_ms(struct learning *l)
{
    struct worker *w = l->replica->worker;
    const uint64_t now_us = replica_now(l->replica).boot_ms * 1000;
    const uint64_t rate = w->node->config.learn_rate / w->node->worker_count;
    if (rate == 0) return 0;
    const uint64_t at_us = w->learn_free_us > now_us ? w->learn_free_us : now_us;
    w->learn_free_us = at_us + piece_size(l) * 1000000 / rate;
    return at_us / 1000;
}

static void read_in_turn(struct learning *l)
{
    const uint64_t at_ms = turn_ms(l);
    if (at_ms <= replica_now(l->replica).boot_ms) {
        read_piece(l);
        return;
    }
    MARK("copying a store waits for its turn");
    l->is_held = true;
    io_timer_start(l->replica->worker->loop, &l->timer, at_ms);
}

/* The next piece that is not there; when all are, the end. */
static void copy_go_on(struct learning *l)
{
    while (l->next < l->file_count && l->files[l->next].have == l->files[l->next].size) {
        l->next++;
        l->asked = l->next < l->file_count ? l->files[l->next].have : 0;
    }
    if (l->next < l->file_count) read_in_turn(l);
    else finish(l);
}

/* ---- Copying: what is there already --------------------------------------------------------------------------------- */

static struct file *file_find(struct learning *l, const char *name)
{
    for (size_t i = 0; i < l->file_count; i++)
        if (strcmp(l->files[i].name, name) == 0) return &l->files[i];
    return NULL;
}

/* Tables never change: see store_identity(). */
static bool is_table(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcmp(dot, ".sst") == 0;
}

static int source_read(struct learning *l, uint64_t *source)
{
    char path[LEARN_PATH_SIZE];
    struct io_file *file;
    uint8_t bytes[8];
    size_t got = 0;
    *source = 0;
    path_of(l, LEARN_SOURCE, path);
    int rc = io_file_open(io_of_learning(l), path, IO_OPEN_READ, &file);
    if (rc == E_NOTFOUND) return 0;
    if (rc != 0) return rc;
    rc = io_file_read(file, 0, bytes, sizeof bytes, &got);
    io_file_close(file);
    if (rc == 0 && got == sizeof bytes) *source = bytes_get_le64(bytes);
    return rc;
}

/* A file of a few bytes beside the store. */
static int small_write(struct learning *l, const char *name, struct slice bytes)
{
    char path[LEARN_PATH_SIZE];
    struct io_file *file;
    path_of(l, name, path);
    int rc = io_file_open(io_of_learning(l), path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
    if (rc != 0) return rc;
    rc = io_file_write(file, 0, &bytes, 1);
    if (rc == 0) rc = io_file_sync(file);
    io_file_close(file);
    return rc;
}

static int source_write(struct learning *l)
{
    uint8_t bytes[8];
    bytes_put_le64(bytes, l->source);
    return small_write(l, LEARN_SOURCE, slice_of(bytes, sizeof bytes));
}

/* A whole table from an earlier try is kept, everything else removed. */
static void keep_or_remove(void *context, const char *name)
{
    struct learning *l = context;
    char path[LEARN_PATH_SIZE];
    struct io_file *file;
    struct file *f = file_find(l, name);
    uint64_t size = 0;
    if (l->rc != 0) return;
    (void)snprintf(path, sizeof path, "%s/" LEARN_DIR "/%s", l->replica->dir, name);
    if (f != NULL && is_table(name)) {
        l->rc = io_file_open(io_of_learning(l), path, IO_OPEN_READ, &file);
        if (l->rc != 0) return;
        l->rc = io_file_size(file, &size);
        io_file_close(file);
    }
    if (l->rc != 0) return;
    if (size > 0 && size == f->size) {
        MARK("copying a store goes on where it was");
        f->have = size;
        l->kept += size;
    } else {
        l->rc = io_unlink(io_of_learning(l), path);
    }
}

/* No piece will come of these. */
static int empty_files_make(struct learning *l)
{
    char path[LEARN_PATH_SIZE];
    struct io_file *file;
    int rc = 0;
    for (size_t i = 0; i < l->file_count && rc == 0; i++) {
        if (l->files[i].size > 0) continue;
        path_of_file(l, i, true, path);
        rc = io_file_open(io_of_learning(l), path, IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
        if (rc == 0) io_file_close(file);
    }
    return rc;
}

static void look_run(struct io_work *work)
{
    struct learning *l = LIST_ENTRY(work, struct learning, work);
    struct io *io = io_of_learning(l);
    char dir[LEARN_PATH_SIZE];
    uint64_t source;
    path_of(l, LEARN_DIR, dir);
    l->rc = source_read(l, &source);
    if (l->rc == 0 && source != l->source) l->rc = io_dir_remove(io, dir);
    if (l->rc == 0 && source != l->source) l->rc = io_dir_sync(io, l->replica->dir);
    if (l->rc == 0 && source != l->source) l->rc = source_write(l);
    if (l->rc == 0) l->rc = node_dir_make(io, dir);
    if (l->rc != 0) return;
    int rc = io_dir_list(io, dir, keep_or_remove, l);
    if (l->rc == 0) l->rc = rc;
    if (l->rc == 0) l->rc = empty_files_make(l);
}

static void look_done(struct io_work *work)
{
    struct learning *l = LIST_ENTRY(work, struct learning, work);
    if (!is_back(l)) return;
    if (l->rc != 0) {
        copy_failed(l, LEARN_DIR, l->rc);
        return;
    }
    l->next = 0;
    l->asked = l->file_count > 0 ? l->files[0].have : 0;
    copy_go_on(l);
}

/* A name that is a file's in its directory, and nothing else. */
static bool name_is_plain(struct slice name)
{
    bool is_dots = name.size > 0 && name.data[0] == '.';
    return name.size > 0 && name.size < NAME_SIZE_MAX && !is_dots &&
           memchr(name.data, '/', name.size) == NULL && memchr(name.data, 0, name.size) == NULL;
}

/* What the primary's store consists of. Returns 0, E_NOMEM, E_PROTO. */
static int note_files(struct learning *l, const struct learn_files *told)
{
    if (told->count == 0 || told->count > FILES_MAX) return E_PROTO;
    for (uint32_t i = 0; i < told->count; i++)
        if (!name_is_plain(told->items[i].name) || told->items[i].size < 0) return E_PROTO;
    struct file *files = mem_zalloc(told->count * sizeof *files);
    if (files == NULL) return E_NOMEM;
    for (uint32_t i = 0; i < told->count; i++) {
        memcpy(files[i].name, told->items[i].name.data, told->items[i].name.size);
        files[i].size = (uint64_t)told->items[i].size;
    }
    mem_free(l->files);
    l->files = files;
    l->file_count = told->count;
    return 0;
}

static void copy_begin(struct learning *l, const struct learn_response *told)
{
    struct repl_event copying = {.type = REPL_COPYING, .ballot = l->ballot};
    if (l->replica->repl.matched != l->decree) { /* More came meanwhile, and was acknowledged. */
        MARK("a copy of the store came too late");
        pause_then_ask_anew(l);
        return;
    }
    int rc = note_files(l, &told->files);
    if (rc != 0) {
        copy_failed(l, "the list of files", rc);
        return;
    }
    replica_step(l->replica, &copying);
    l->copy = (uint64_t)told->copy;
    l->copy_decree = (uint64_t)told->copy_decree;
    l->source = (uint64_t)told->source;
    l->copied = l->kept = 0;
    l->began_ms = replica_now(l->replica).boot_ms;
    LOG_INFO(&logger, "copying a store", field_str("dir", l->replica->dir),
             field_u64("decree", l->copy_decree), field_u64("files", l->file_count));
    pool(l, look_run, look_done);
}

/* ---- All is there ---------------------------------------------------------------------------------------------------- */

static int done_write(struct learning *l)
{
    uint8_t bytes[LEARN_DONE_SIZE];
    bytes_put_le64(bytes, l->ballot);
    bytes_put_le64(bytes + 8, l->copy_decree);
    bytes_put_le32(bytes + 16, crc32c(0, bytes, 16));
    return small_write(l, LEARN_DONE, slice_of(bytes, sizeof bytes));
}

static void finish_run(struct io_work *work)
{
    struct learning *l = LIST_ENTRY(work, struct learning, work);
    struct io *io = io_of_learning(l);
    char from[LEARN_PATH_SIZE], to[LEARN_PATH_SIZE];
    path_of(l, LEARN_DIR, from);
    path_of(l, LEARNED_DIR, to);
    l->rc = io_dir_remove(io, to); /* One that came too late. */
    if (l->rc == 0) l->rc = io_dir_sync(io, from);
    if (l->rc == 0) l->rc = done_write(l);
    if (l->rc == 0) l->rc = io_rename(io, from, to);
    if (l->rc == 0) l->rc = io_dir_sync(io, l->replica->dir);
}

static void finish_done(struct io_work *work)
{
    struct learning *l = LIST_ENTRY(work, struct learning, work);
    struct replica *r = l->replica;
    if (!is_back(l)) return;
    if (l->rc != 0) {
        copy_failed(l, LEARNED_DIR, l->rc);
        return;
    }
    LOG_INFO(&logger, "store copied", field_str("dir", r->dir), field_u64("decree", l->copy_decree),
             field_u64("bytes", l->copied), field_u64("bytes_kept", l->kept),
             field_u64("ms", replica_now(r).boot_ms - l->began_ms));
    MARK("a copied store takes the place of another");
    learn_end(r);
    worker_reopen_replica(r);
}

static void finish(struct learning *l)
{
    pool(l, finish_run, finish_done);
}

/* ---- When the replica is opened ---------------------------------------------------------------------------------------- */

struct leftovers {
    struct io *io;
    const char *dir;
    bool is_learned;
    int rc;
};

static void on_leftover(void *context, const char *name)
{
    struct leftovers *found = context;
    char path[LEARN_PATH_SIZE];
    if (strcmp(name, LEARNED_DIR) == 0) found->is_learned = true;
    if (strncmp(name, TEACH_DIR_PREFIX, strlen(TEACH_DIR_PREFIX)) != 0 || found->rc != 0) return;
    (void)snprintf(path, sizeof path, "%s/%s", found->dir, name);
    found->rc = io_dir_remove(found->io, path);
}

static int done_read(struct io *io, const char *dir, struct repl_floor *out)
{
    char path[LEARN_PATH_SIZE];
    uint8_t bytes[LEARN_DONE_SIZE];
    struct io_file *file;
    size_t got = 0;
    *out = (struct repl_floor){0};
    (void)snprintf(path, sizeof path, "%s/" LEARN_DONE, dir);
    int rc = io_file_open(io, path, IO_OPEN_READ, &file);
    if (rc != 0) return rc == E_NOTFOUND ? 0 : rc;
    rc = io_file_read(file, 0, bytes, sizeof bytes, &got);
    io_file_close(file);
    if (rc != 0 || got != sizeof bytes || bytes_get_le32(bytes + 16) != crc32c(0, bytes, 16))
        return rc;
    *out = (struct repl_floor){bytes_get_le64(bytes), bytes_get_le64(bytes + 8)};
    return 0;
}

/* What the log has from before is void above the copy, and that is durable before the copy takes the store's
 * place (R14). A copy that was made under an earlier ballot comes too late: this replica may have joined the
 * members since, and hold more. */
static int floor_save(struct io *io, const char *dir, bool *is_current)
{
    struct repl_floor done;
    struct repl_saved state;
    int rc = done_read(io, dir, &done);
    if (rc == 0) rc = replica_state_load(io, dir, &state);
    if (rc != 0) return rc;
    *is_current = state.config.ballot != 0 && state.config.ballot == done.ballot;
    if (!*is_current) return 0;
    state.floor = done;
    return replica_state_save(io, dir, &state);
}

/* A crash in between leaves the copy, and the next opening does the same again. */
int learn_install(struct io *io, const char *dir)
{
    char store[LEARN_PATH_SIZE], learned[LEARN_PATH_SIZE], learning[LEARN_PATH_SIZE];
    bool is_current = false;
    struct leftovers found = {.io = io, .dir = dir};
    (void)snprintf(store, sizeof store, "%s/store", dir);
    (void)snprintf(learned, sizeof learned, "%s/" LEARNED_DIR, dir);
    (void)snprintf(learning, sizeof learning, "%s/" LEARN_DIR, dir);
    int rc = io_dir_list(io, dir, on_leftover, &found);
    if (rc == 0) rc = found.rc;
    if (rc == 0 && found.is_learned) rc = floor_save(io, dir, &is_current);
    if (rc != 0 || !found.is_learned) return rc;
    const char *to = is_current ? store : learning;
    if (!is_current) MARK("a copied store came too late");
    rc = io_dir_remove(io, to);
    if (rc == 0) rc = io_rename(io, learned, to);
    if (rc == 0) rc = io_dir_sync(io, dir);
    return rc;
}
