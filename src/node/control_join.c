/* src/node/control_join.c: how a node becomes part of its cluster, and hears of what happens to that.
 *
 *     first start, no 'join'    the group's only member: makes the cluster, joins it
 *     later starts              the group has its state: joins it again, perhaps at another address
 *     'join'                    follows the metas named there; notes whose state that is; joins
 *
 * On the control loop. */
#include <stdio.h>

#include "base/mem.h"
#include "node/meta_service.h"
#include "node/node_identity.h"
#include "node/node_impl.h"
#include "obs/logger.h"

static const struct logger logger = {.room = "control"};

enum { SNAPSHOT_EVERY = 4096 }; /* Commands of the group. */

/* ---- What happens to the cluster ----------------------------------------------------------------------------- */

static int apply(struct node *n, struct slice command, struct buf *result)
{
    struct meta_result read;
    int rc = meta_copy_apply(n, command, result, &read);
    if (rc != 0) return rc;
    control_sync(n, read.changed_id);
    if (n->service != NULL) meta_service_on_changed(n->service, read.changed_id);
    return 0;
}

/* As a member. Not to apply what the others apply would be to lie from then on. */
static void on_apply(void *context, struct slice command, struct buf *result)
{
    int rc = apply(context, command, result);
    if (rc != 0) LOG_ERROR(&logger, "meta command cannot be applied", field_code(rc));
    CHECK(rc == 0);
}

/* As a follower: it can be asked for again. */
static int on_told(void *context, struct slice command)
{
    struct buf result = {0};
    int rc = apply(context, command, &result);
    buf_fini(&result);
    return rc;
}

static void on_snapshot(void *context, struct buf *out)
{
    struct node *n = context;
    if (meta_copy_write(n, out) != 0) CHECK(out->failed); /* The group asks again. */
}

static int on_restore(void *context, struct slice snapshot)
{
    struct node *n = context;
    int rc = meta_copy_read(n, snapshot);
    if (rc == 0) control_sync(n, META_TABLE_ANY);
    return rc;
}

/* ---- Joining --------------------------------------------------------------------------------------------------- */

/* The leader could not be asked, or has lost its place: it can be another time. */
static bool is_passing(int rc)
{
    switch (rc) {
    case E_UNKNOWN:
    case E_NOMEM:
    case E_STATE:
    case E_TIMEOUT:
    case E_CLOSED:
    case E_REFUSED:
    case E_UNREACHABLE: return true;
    default: return false;
    }
}

static void join(struct node *n);

static void on_joined(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    struct err e = {0};
    if (n->is_closing) return;
    if (rc == 0 && result->err == WIRE_ERR_OK) {
        control_ready(n);
    } else if (n->follower != NULL && is_passing(rc)) {
        LOG_WARN(&logger, "not joined yet; trying again", field_code(rc));
        join(n);
    } else {
        struct slice why = rc == 0 ? wire_error_name(result->err) : slice_str(err_text(rc));
        (void)err_set(&e, rc != 0 ? rc : E_INVALID, "join the cluster: %.*s", (int)why.size,
                      (const char *)why.data);
        control_failed(n, &e);
    }
}

void control_say_started(struct node *n,
                         void (*on_done)(void *context, int rc, const struct meta_result *result),
                         void *context)
{
    struct meta_command command = {
        .type = META_NODE_START,
        .now_ms = io_now(n->io).wall_us / 1000,
        .node_start = {.id = (int64_t)n->node_id,
                       .ipv4 = (int32_t)n->told.ipv4,
                       .port = n->told.port,
                       .incarnation = (int64_t)n->incarnation},
    };
    control_propose(n, &command, on_done, context);
}

static void join(struct node *n)
{
    control_say_started(n, on_joined, n);
}

static void on_cluster_made(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    if (rc == 0) join(n);
    else on_joined(n, rc, result);
}

/* The first start of the first node makes the cluster. An id that was not chosen is drawn: two clusters
 * that will be linked should differ, and mostly do; the handshake of a duplication checks it. */
static void make_cluster(struct node *n)
{
    uint64_t drawn = io_seed(n->io);
    struct meta_command command = {
        .type = META_CLUSTER_INIT,
        .now_ms = io_now(n->io).wall_us / 1000,
        .cluster_init = {.name = slice_str(n->config.cluster_name),
                         .cluster_id = n->config.cluster_id != 0
                                           ? n->config.cluster_id
                                           : (int32_t)(1 + drawn % META_CLUSTER_ID_MAX),
                         .uuid = (int64_t)(drawn >> 1 | 1)},
    };
    control_propose(n, &command, on_cluster_made, n);
}

void control_join(struct node *n)
{
    if (n->follower != NULL) return; /* Once it has the first state. */
    if (n->meta->cluster_name[0] == '\0') make_cluster(n);
    else join(n);
}

/* ---- Following a cluster that is there ------------------------------------------------------------------------- */

static void save_run(struct io_work *work)
{
    struct node *n = LIST_ENTRY(work, struct node, cluster_work);
    n->cluster_rc = node_cluster_save(n->io, n->config.data_dir, n->cluster_uuid);
}

static void save_done(struct io_work *work)
{
    struct node *n = LIST_ENTRY(work, struct node, cluster_work);
    struct err e = {0};
    if (n->is_closing) return;
    if (n->cluster_rc == 0) {
        join(n);
        return;
    }
    (void)err_set(&e, n->cluster_rc, "%s/cluster: %s", n->config.data_dir, err_text(n->cluster_rc));
    control_failed(n, &e);
}

/* Whose data this directory holds is on disk before it holds any. */
static void on_first_state(void *context)
{
    struct node *n = context;
    follower_belong(n->follower, n->meta->cluster_uuid);
    if (n->cluster_uuid == n->meta->cluster_uuid) {
        join(n);
        return;
    }
    n->cluster_uuid = n->meta->cluster_uuid;
    n->cluster_work.run = save_run;
    n->cluster_work.done = save_done;
    io_work(n->control, &n->cluster_work);
}

static void on_not_followed(void *context, const struct err *e)
{
    control_failed(context, e);
}

static int open_follower(struct node *n, struct err *e)
{
    static const struct follower_handler handler = {
        .on_apply = on_told,
        .on_restore = on_restore,
        .on_ready = on_first_state,
        .on_failed = on_not_followed,
    };
    struct follower_options options = {
        .loop = n->control,
        .metas = n->config.join,
        .node_id = n->node_id,
        .cluster_uuid = n->cluster_uuid,
    };
    int rc = follower_open(&options, &handler, n, &n->follower);
    return rc == 0 ? 0 : err_set(e, rc, "join %s: %s", n->config.join, err_text(rc));
}

/* ---- Being a member of the group -------------------------------------------------------------------------------- */

static int open_group(struct node *n, struct err *e)
{
    static const struct group_handler handler = {
        .on_apply = on_apply,
        .on_snapshot = on_snapshot,
        .on_restore = on_restore,
    };
    char dir[CONFIG_TEXT_SIZE + 16];
    (void)snprintf(dir, sizeof dir, "%s/meta", n->config.data_dir);
    struct group_member self = {n->node_id, n->told};
    struct group_options options = {
        .dir = dir,
        .self_id = n->node_id,
        .members = &self,
        .member_count = 1,
        .snapshot_every = SNAPSHOT_EVERY,
    };
    return group_open(n->control, &options, &handler, n, &n->group, e);
}

int control_join_open(struct node *n, struct err *e)
{
    return n->config.join[0] != '\0' ? open_follower(n, e) : open_group(n, e);
}

bool control_leave(struct node *n, void (*on_left)(void *context))
{
    struct group *group = n->group;
    struct follower *follower = n->follower;
    n->group = NULL;
    n->follower = NULL;
    lease_close(n);
    if (group != NULL) group_close(group, on_left, n);
    else if (follower != NULL) follower_close(follower, on_left, n);
    return group != NULL || follower != NULL;
}
