/* src/io/uv_post.c: messages to a loop, and who runs them.
 *
 *                 io_post(): woken             io_uv_come_home()
 *       ASLEEP ------------------------> AWAKE <------------------+
 *         ^ ^                              |                      |
 *         | +---- io_uv_fall_asleep() -----+                      |
 *         |                                                       |
 *         +--- leave() ---- VISITED ---- leave(): work for home --+
 *         +--- enter() ------>
 *
 * Waking a thread that sleeps takes tens of microseconds on an idle machine and now and then some
 * milliseconds on a virtual one, and an isolated write crosses four loops. So a quick message
 * (io_post_quick()) that finds its loop asleep is a debt, which the sender pays at the end of its
 * own turn: if it has nothing else to do, and nothing else has come for that loop, it runs the
 * loop's end of turn itself, in its place; else it wakes it. A loop is run by one thread at a time,
 * so what belongs to it needs no lock. Source: docs/decisions/visits-to-sleeping-loops.md. */
#include "base/check.h"
#include "base/mark.h"
#include "io/uv_impl.h"

enum {
    DEBTS_MAX = 4,  /* Loops that a thread owes at a time; more are woken. */
    VISITS_MAX = 8, /* In a row, before the thread's own loop goes on. */
    ROUNDS_MAX = 4, /* Of one visit. */
};

struct debts {
    struct io_loop *loops[DEBTS_MAX];
    size_t count;
};

static void pay_all(bool may_visit);

/* The loop that this thread runs, its own or a visited one; and what it owes. */
static _Thread_local struct io_loop *here;
static _Thread_local struct debts debts;

void io_uv_settle_in(struct io_loop *loop)
{
    here = loop;
}

bool io_is_on(struct io_loop *loop)
{
    return here == loop;
}

/* ---- Delivering ------------------------------------------------------------------------------ */

/* Put the message off to the end of this thread's turn. Under the mutex of a loop that sleeps. A
 * second message means that there is more to do than one turn of ours should: the loop is woken. */
static bool owe(struct io_loop *loop)
{
    if (here == NULL || loop->owed_to != NULL || debts.count == DEBTS_MAX) return false;
    loop->owed_to = &debts;
    debts.loops[debts.count++] = loop;
    return true;
}

/* Under its mutex: then the last thing that a thread does to a loop comes before that runs the
 * message, after which it may be closed and freed. */
static void wake(struct io_loop *loop)
{
    loop->state = LOOP_AWAKE;
    loop->owed_to = NULL;
    CHECK(uv_async_send(&loop->wake) == 0);
}

/* Append to one of the two lists. A loop is woken once, whatever follows. */
static void deliver(struct io_loop *loop, struct list_node *list, struct list_node *node,
                    bool is_quick)
{
    (void)pthread_mutex_lock(&loop->mutex);
    list_push_back(list, node);
    if (loop->state == LOOP_ASLEEP && !(is_quick && owe(loop))) wake(loop);
    (void)pthread_mutex_unlock(&loop->mutex);
}

/* What may have somebody close a loop is told by a plain message: no debt may outlast it. */
void io_post(struct io_loop *loop, struct io_post *post)
{
    pay_all(false);
    deliver(loop, &loop->posts, &post->node, false);
}

void io_post_quick(struct io_loop *loop, struct io_post *post)
{
    deliver(loop, &loop->posts, &post->node, true);
}

void io_uv_finished(struct io_work *work)
{
    deliver(work->loop, &work->loop->finished, &work->node, false);
}

void io_uv_messages_take(struct io_loop *loop, struct list_node *posts, struct list_node *finished)
{
    list_init(posts);
    list_init(finished);
    (void)pthread_mutex_lock(&loop->mutex);
    list_splice_back(posts, &loop->posts);
    list_splice_back(finished, &loop->finished);
    (void)pthread_mutex_unlock(&loop->mutex);
}

static bool has_messages(const struct io_loop *loop)
{
    return !list_is_empty(&loop->posts) || !list_is_empty(&loop->finished);
}

static bool has_messages_now(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    bool has = has_messages(loop);
    (void)pthread_mutex_unlock(&loop->mutex);
    return has;
}

/* ---- Sleeping -------------------------------------------------------------------------------- */

bool io_uv_is_idle(struct io_loop *loop)
{
    return list_is_empty(&loop->sockets) && debts.count == 0 && !has_messages_now(loop);
}

bool io_uv_fall_asleep(struct io_loop *loop)
{
    loop->is_called_home = false;
    (void)pthread_mutex_lock(&loop->mutex);
    loop->is_home = has_messages(loop);
    if (!loop->is_home) loop->state = LOOP_ASLEEP;
    (void)pthread_mutex_unlock(&loop->mutex);
    return !loop->is_home;
}

void io_uv_come_home(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    while (loop->state == LOOP_VISITED) (void)pthread_cond_wait(&loop->left, &loop->mutex);
    loop->state = LOOP_AWAKE;
    loop->owed_to = NULL; /* Whoever owed it a message: it is found now. */
    (void)pthread_mutex_unlock(&loop->mutex);
    loop->is_home = true;
}

/* ---- Visiting -------------------------------------------------------------------------------- */

/* Begin a visit, unless the loop has been woken since. */
static bool enter(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    bool is_ours = loop->owed_to == &debts;
    if (is_ours) {
        loop->state = LOOP_VISITED;
        loop->owed_to = NULL;
    }
    (void)pthread_mutex_unlock(&loop->mutex);
    return is_ours;
}

/* Let it sleep on; or wake it, when there is something that only its own thread may do. */
static void leave(struct io_loop *loop)
{
    bool has_work = !list_is_empty(&loop->sockets) || loop->is_called_home || loop->is_closing ||
                    io_uv_alarm_is_late(loop);
    (void)pthread_mutex_lock(&loop->mutex);
    loop->state = LOOP_ASLEEP;
    if (has_work || has_messages(loop)) wake(loop);
    (void)pthread_cond_signal(&loop->left);
    (void)pthread_mutex_unlock(&loop->mutex);
}

static void visit(struct io_loop *loop)
{
    if (!enter(loop)) return;
    MARK("sleeping loop visited");
    struct io_loop *home = here;
    here = loop;
    loop->is_visited = true;
    int rounds = 0;
    do io_uv_round(loop);
    while (++rounds < ROUNDS_MAX && has_messages_now(loop));
    loop->is_visited = false;
    here = home;
    leave(loop);
}

static void wake_instead(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    if (loop->owed_to == &debts) wake(loop);
    (void)pthread_mutex_unlock(&loop->mutex);
}

/* The latest first: a visit's own debts go on with what it did. */
static void pay_all(bool may_visit)
{
    for (int visits = 0; debts.count > 0; visits++) {
        struct io_loop *loop = debts.loops[--debts.count];
        if (!may_visit || visits >= VISITS_MAX) wake_instead(loop);
        else visit(loop);
    }
}

void io_uv_pay(struct io_loop *loop)
{
    if (debts.count > 0) pay_all(!has_messages_now(loop));
}

bool io_is_visited(const struct io_loop *loop)
{
    return loop->is_visited;
}

void io_call_home(struct io_loop *loop)
{
    loop->is_called_home = true;
}
