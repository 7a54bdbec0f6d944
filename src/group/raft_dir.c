/* src/group/raft_dir.c: the directory of the group's log, made whole or not at all.
 *
 * libraft writes its term first and the first configuration second; killed between the two, it
 * would start for ever with a log that names no members. So a new log is made in "dir.new", with a
 * loop of its own, and then renamed. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "group/raft_impl.h"

int raft_code(int status)
{
    switch (status) {
    case 0: return 0;
    case RAFT_NOMEM: return E_NOMEM;
    case RAFT_NOSPACE: return E_NOSPACE;
    case RAFT_CORRUPT:
    case RAFT_MALFORMED: return E_CORRUPT;
    case RAFT_INVALID:
    case RAFT_NAMETOOLONG: return E_INVALID;
    default: return E_IO;
    }
}

/* ---- The first configuration, written by libraft itself -------------------------------------- */

struct birth {
    uv_loop_t loop;
    struct raft_uv_transport transport;
    struct raft_io io;
    struct raft_fsm fsm; /* Never asked for anything. */
    struct raft raft;
};

static int configure(struct raft *raft, const struct group_options *options)
{
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    int status = 0;
    for (size_t i = 0; status == 0 && i < options->member_count; i++) {
        char text[IO_ADDRESS_TEXT_SIZE];
        io_address_print(options->members[i].address, text);
        status = raft_configuration_add(&configuration, options->members[i].id, text, RAFT_VOTER);
    }
    if (status == 0) status = raft_bootstrap(raft, &configuration);
    raft_configuration_close(&configuration);
    return status;
}

static void on_born(struct raft *raft)
{
    (void)raft; /* The loop runs until nothing is left to do. */
}

static int be_born(struct birth *b, const char *dir, const struct group_options *options)
{
    raft_alone_init(&b->transport);
    int status = raft_uv_init(&b->io, &b->loop, dir, &b->transport);
    if (status != 0) return status;
    raft_uv_set_segment_size(&b->io, RAFT_SEGMENT_SIZE);
    status = raft_init(&b->raft, &b->io, &b->fsm, options->self_id, "");
    if (status == 0) {
        status = configure(&b->raft, options);
        raft_close(&b->raft, on_born);
        uv_run(&b->loop, UV_RUN_DEFAULT);
    }
    raft_uv_close(&b->io);
    return status;
}

static int write_first(const char *dir, const struct group_options *options)
{
    struct birth *b = mem_zalloc(sizeof *b);
    if (b == NULL) return E_NOMEM;
    int rc = uv_loop_init(&b->loop) == 0 ? 0 : E_NOMEM;
    if (rc == 0) {
        rc = raft_code(be_born(b, dir, options));
        uv_loop_close(&b->loop);
    }
    mem_free(b);
    return rc;
}

/* ---- The directory --------------------------------------------------------------------------- */

static void count_entry(void *context, const char *name)
{
    (void)name;
    (*(size_t *)context)++;
}

/* The directory in which 'path' stands, into 'to', which is as long as 'path'. */
static void parent_of(const char *path, char *to)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(to, size > 0 ? path : ".", size > 0 ? size : 1);
    to[size > 0 ? size : 1] = '\0';
}

static int make(struct io *io, const struct group_options *options, const char *fresh,
                const char *parent)
{
    int rc = io_dir_remove(io, fresh);
    if (rc == 0) rc = io_dir_make(io, fresh);
    if (rc == 0) rc = write_first(fresh, options);
    if (rc == 0) rc = io_dir_sync(io, fresh);
    if (rc == 0) rc = io_rename(io, fresh, options->dir);
    if (rc == 0) rc = io_dir_sync(io, parent);
    return rc;
}

int raft_dir_prepare(struct io *io, const struct group_options *options, struct err *e)
{
    size_t entries = 0;
    int rc = io_dir_list(io, options->dir, count_entry, &entries);
    if (rc == 0 && entries > 0) return 0;
    if (rc != 0 && rc != E_NOTFOUND) return err_set(e, rc, "meta log %s", options->dir);

    size_t size = strlen(options->dir) + sizeof ".new";
    char *fresh = mem_alloc(size), *parent = mem_alloc(size);
    rc = E_NOMEM;
    if (fresh != NULL && parent != NULL) {
        snprintf(fresh, size, "%s.new", options->dir);
        parent_of(options->dir, parent);
        rc = make(io, options, fresh, parent);
    }
    mem_free(parent);
    mem_free(fresh);
    if (rc != 0) return err_set(e, rc, "meta log %s: %s", options->dir, err_text(rc));
    return 0;
}
