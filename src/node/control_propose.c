/* src/node/control_propose.c: what goes into the meta group's log: commands, one by one, and the progress
 * of streams, all that waits in one command, one command at a time. On the control loop. */
#include "base/mem.h"
#include "node/node_impl.h"

/* ---- Proposing ---------------------------------------------------------------------------------------------- */

struct control_proposal {
    struct group_proposal group;
    struct node *node;
    void (*on_done)(void *context, int rc, const struct meta_result *result);
    void *context;
    struct list_node saves; /* Those that this carries. */
};

static void on_proposed(struct group_proposal *group, int rc, struct slice bytes)
{
    struct control_proposal *p = LIST_ENTRY(group, struct control_proposal, group);
    struct meta_result result = {0};
    if (rc == 0) rc = meta_result_read(bytes, &result);
    p->on_done(p->context, rc, &result);
    mem_free(p);
}

static bool takes_proposals(const struct node *n)
{
    return n->group != NULL || n->follower != NULL;
}

/* To the group; or to its leader, when this node is no member. */
static void submit(struct node *n, struct group_proposal *p, struct slice command)
{
    if (n->group != NULL) group_propose(n->group, p, command);
    else follower_propose(n->follower, p, command);
}

static void propose(struct control_proposal *p, const struct meta_command *command)
{
    struct buf bytes = {0};
    p->group.on_done = on_proposed;
    if (meta_command_write(command, &bytes) != 0) {
        p->on_done(p->context, E_NOMEM, NULL);
        mem_free(p);
    } else {
        submit(p->node, &p->group, buf_slice(&bytes));
    }
    buf_fini(&bytes);
}

void control_propose(struct node *n, const struct meta_command *command,
                     void (*on_done)(void *context, int rc, const struct meta_result *result),
                     void *context)
{
    struct control_proposal *p = mem_zalloc(sizeof *p);
    if (p == NULL || !takes_proposals(n)) {
        mem_free(p);
        on_done(context, p == NULL ? E_NOMEM : E_CANCELED, NULL);
        return;
    }
    p->node = n;
    p->on_done = on_done;
    p->context = context;
    propose(p, command);
}

/* ---- Progress of streams ---------------------------------------------------------------------------------------- */

static void propose_saves(struct node *n);

static void on_save_returned(struct io_post *post)
{
    struct control_save *save = LIST_ENTRY(post, struct control_save, post);
    save->on_saved(save);
}

static void saves_done(struct list_node *saves, int rc)
{
    for (struct list_node *it; (it = list_pop_front(saves)) != NULL;) {
        struct control_save *save = LIST_ENTRY(it, struct control_save, node);
        save->rc = rc;
        save->post.run = on_save_returned;
        io_post(save->loop, &save->post);
    }
}

static void on_saves_proposed(void *context, int rc, const struct meta_result *result)
{
    struct node *n = context;
    (void)result; /* Positions of what is gone meanwhile are ignored by the state machine. */
    struct control_proposal *p = n->saving;
    n->saving = NULL;
    saves_done(&p->saves, rc);
    if (rc == 0) propose_saves(n);
    else saves_done(&n->saves, rc); /* The streams come again with newer ones. */
}

static uint32_t list_count(const struct list_node *head)
{
    uint32_t count = 0;
    LIST_EACH (it, head) count++;
    return count;
}

/* All that waits, in one command. */
static void propose_saves(struct node *n)
{
    uint32_t count = list_count(&n->saves);
    if (n->saving != NULL || count == 0) return;
    struct meta_confirm *items = mem_alloc(count * sizeof *items);
    struct control_proposal *p = mem_zalloc(sizeof *p);
    if (items == NULL || p == NULL || !takes_proposals(n)) {
        mem_free(items);
        mem_free(p);
        saves_done(&n->saves, E_NOMEM);
        return;
    }
    uint32_t i = 0;
    LIST_EACH (it, &n->saves) items[i++] = LIST_ENTRY(it, struct control_save, node)->confirm;
    *p = (struct control_proposal){.node = n, .on_done = on_saves_proposed, .context = n};
    list_init(&p->saves);
    list_splice_back(&p->saves, &n->saves);
    n->saving = p;
    struct meta_command command = {
        .type = META_DUP_CONFIRM,
        .now_ms = io_now(n->io).wall_us / 1000,
        .dup_confirm.confirms = {items, count},
    };
    propose(p, &command);
    mem_free(items);
}

static void on_save_posted(struct io_post *post)
{
    struct control_save *save = LIST_ENTRY(post, struct control_save, post);
    struct node *n = save->owner;
    list_push_back(&n->saves, &save->node);
    propose_saves(n);
}

void control_save(struct node *n, struct control_save *save)
{
    save->owner = n;
    save->post.run = on_save_posted;
    list_init(&save->node);
    io_post(n->control, &save->post);
}
