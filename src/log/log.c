/* src/log/log.c: the life of a log: opening, starting, stopping, failing; and its figures. */
#include "log/log.h"

#include <stdio.h>

#include "log/log_impl.h"

/* ---- Opening ---- */

static int options_check(const struct log_options *o, struct err *e)
{
    if (strlen(o->dir) >= sizeof((struct log *)NULL)->dir)
        return err_set(e, E_INVALID, "the path of the log is too long");
    if (o->segment_size < LOG_SEGMENT_SIZE_MIN || o->segment_size > LOG_SEGMENT_SIZE_MAX)
        return err_set(e, E_INVALID, "log segments have %d to %d bytes, not %u",
                       LOG_SEGMENT_SIZE_MIN, LOG_SEGMENT_SIZE_MAX, o->segment_size);
    return 0;
}

static struct log *log_new(struct io *io, const struct log_options *options)
{
    struct log *l = mem_zalloc(sizeof *l);
    if (l == NULL) return NULL;
    l->io = io;
    l->options = *options;
    (void)snprintf(l->dir, sizeof l->dir, "%s", options->dir);
    l->options.dir = l->dir;
    l->next_segment = l->tidy_changes = 1;
    mlog_space_init(&l->space);
    list_init(&l->dropped);
    log_writer_init(l);
    return l;
}

/* The directory that holds l->dir, which may have been made just now. */
static int parent_sync(struct log *l)
{
    char path[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s", l->dir);
    char *slash = strrchr(path, '/');
    if (slash == NULL) return io_dir_sync(l->io, ".");
    slash[slash == path] = '\0'; /* The root keeps its slash. */
    return io_dir_sync(l->io, path);
}

static int dirs_make(struct log *l, struct err *e)
{
    char path[LOG_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/backlog", l->dir);
    int rc = io_dir_make(l->io, path);
    if (rc == 0) rc = log_dir_sync(l);
    if (rc == 0) rc = parent_sync(l);
    return rc == 0 ? 0 : err_set(e, rc, "make %s: %s", path, err_text(rc));
}

int log_open(struct io *io, const struct log_options *options, const struct log_replica *replicas,
             size_t replica_count, const struct log_replay_handler *handler, void *context,
             struct log **out, struct err *e)
{
    int rc = options_check(options, e);
    if (rc != 0) return rc;
    struct log *l = log_new(io, options);
    if (l == NULL) return err_set(e, E_NOMEM, "log in %s", options->dir);
    rc = dirs_make(l, e);
    if (rc == 0) rc = log_recover(l, replicas, replica_count, handler, context, e);
    if (rc != 0) {
        log_close(l);
        return rc;
    }
    log_figures_update(l);
    *out = l;
    return 0;
}

int log_dir_sync(struct log *l)
{
    return io_dir_sync(l->io, l->dir);
}

/* ---- Running ---- */

static void on_turn(struct io_turn_hook *hook)
{
    struct log *l = LIST_ENTRY(hook, struct log, turn);
    log_write_pending(l);
    log_stop_try(l);
}

static void on_start(struct io_post *post)
{
    struct log *l = LIST_ENTRY(post, struct log, start_post);
    l->turn.run = on_turn;
    io_turn_hook_add(l->loop, &l->turn);
    log_tidy(l);
}

int log_start(struct log *l)
{
    int rc = io_loop_open(l->io, IO_LOOP_MAY_BLOCK, "log", &l->loop);
    if (rc != 0) return rc;
    l->start_post.run = on_start;
    io_post(l->loop, &l->start_post);
    return 0;
}

void log_fail(struct log *l)
{
    if (l->is_failed) return;
    MARK("disk failed");
    l->is_failed = true;
    atomic_store(&l->figures.is_failed, true);
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&l->space, p)) != NULL) {
        struct log_owner *owner = p->owner;
        if (owner != NULL && owner->hold != NULL) log_hold_notify(owner->hold, LOG_NOTICE_FAILED);
    }
}

/* ---- Stopping ---- */

static void on_stopped_loop(struct io_post *post)
{
    struct log_stop *stop = LIST_ENTRY(post, struct log_stop, post);
    stop->on_stopped(stop);
}

void log_stop_try(struct log *l)
{
    if (l->stop == NULL || l->is_stopped) return;
    if (!list_is_empty(&l->writer.pending)) return; /* Written at the end of the turn. */
    if (l->is_tidying || l->is_syncing || l->reads > 0) return;
    if (io_is_visited(l->loop)) { /* The last sync is for the log's own thread. */
        io_call_home(l->loop);
        return;
    }
    log_write_end(l);
    io_turn_hook_remove(&l->turn);
    l->is_stopped = true;
    l->stop->post.run = on_stopped_loop;
    io_post(l->stop->loop, &l->stop->post);
}

static void on_stop(struct io_post *post)
{
    struct log_stop *stop = LIST_ENTRY(post, struct log_stop, post);
    stop->log->stop = stop; /* At the end of this turn, when what came before it is written. */
}

void log_stop(struct log *l, struct log_stop *stop)
{
    stop->log = l;
    stop->post.run = on_stop;
    io_post(l->loop, &stop->post);
}

static void files_free(struct list_node *files)
{
    struct list_node *node;
    while ((node = list_pop_front(files)) != NULL)
        mem_free(LIST_ENTRY(node, struct log_backlog_file, node));
}

void log_close(struct log *l)
{
    if (l == NULL) return;
    CHECK(l->loop == NULL || l->is_stopped);
    io_loop_close(l->loop);

    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(&l->space, p)) != NULL) {
        struct log_owner *owner = p->owner;
        if (owner != NULL) files_free(&owner->backlog);
        mem_free(owner);
    }
    files_free(&l->dropped);
    struct mlog_segment *segment;
    while ((segment = mlog_segment_oldest(&l->space)) != NULL) {
        mlog_segment_remove(&l->space, segment);
        log_segment_free(log_segment_of(segment));
    }
    mlog_space_fini(&l->space);
    log_writer_fini(l);
    mem_free(l);
}

/* ---- Figures ---- */

void log_figures_update(struct log *l)
{
    atomic_store(&l->figures.size, l->space.size);
    atomic_store(&l->figures.segments, l->space.segment_count);
    atomic_store(&l->figures.backlog_size, l->backlog_size);
    atomic_store(&l->figures.kept_size, l->kept_size);
}

void log_stats(const struct log *l, struct log_stats *out)
{
    const struct log_figures *f = &l->figures;
    *out = (struct log_stats){
        .size = atomic_load(&f->size),
        .segments = atomic_load(&f->segments),
        .backlog_size = atomic_load(&f->backlog_size),
        .kept_size = atomic_load(&f->kept_size),
        .records = atomic_load(&f->records),
        .bytes = atomic_load(&f->bytes),
        .syncs = atomic_load(&f->syncs),
        .reads = atomic_load(&f->reads),
        .damaged_blocks = atomic_load(&f->damaged_blocks),
        .is_failed = atomic_load(&f->is_failed),
    };
    for (int i = 0; i < LOG_BUCKETS; i++) {
        out->group_records[i] = atomic_load(&f->group_records[i]);
        out->group_us[i] = atomic_load(&f->group_us[i]);
    }
}
