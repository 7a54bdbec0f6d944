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
 * loop's end of turn itself, in its place; else it wakes it. What else comes during a visit is for
 * the loop's own thread. A loop is run by one thread at a time, so what belongs to it needs no
 * lock. Source: docs/decisions/visits-to-sleeping-loops.md. */
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

static void wake_all(void);

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
    loop->debtors++;
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
    loop->is_wanted = loop->is_wanted || (loop->state == LOOP_VISITED && !is_quick);
    if (loop->state == LOOP_ASLEEP && !(is_quick && owe(loop))) wake(loop);
    (void)pthread_mutex_unlock(&loop->mutex);
}

/* There is more to do than to wait for one answer: whom we owe something is woken. */
void io_post(struct io_loop *loop, struct io_post *post)
{
    wake_all();
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
    if (!loop->is_wanted) {
        list_splice_back(posts, &loop->posts);
        list_splice_back(finished, &loop->finished);
    }
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

static bool is_free(struct io_loop *loop)
{
    return list_is_empty(&loop->sockets) && !loop->are_hooks_due && !has_messages_now(loop);
}

bool io_uv_is_idle(struct io_loop *loop)
{
    return debts.count == 0 && is_free(loop);
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
    while (loop->state == LOOP_VISITED) {
        loop->is_wanted = true;
        (void)pthread_cond_wait(&loop->left, &loop->mutex);
    }
    loop->state = LOOP_AWAKE;
    loop->owed_to = NULL; /* Whoever owed it a message: it is found now. */
    (void)pthread_mutex_unlock(&loop->mutex);
    loop->is_home = true;
}

/* ---- Visiting -------------------------------------------------------------------------------- */

/* What is left of a debt: true if it is still owed, and nobody has woken the loop since. Under its mutex. */
static bool settle(struct io_loop *loop)
{
    bool is_owed = loop->owed_to == &debts;
    if (is_owed) loop->owed_to = NULL;
    loop->debtors--;
    (void)pthread_cond_broadcast(&loop->left);
    return is_owed;
}

static bool enter(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    bool is_owed = settle(loop);
    if (is_owed) loop->state = LOOP_VISITED;
    (void)pthread_mutex_unlock(&loop->mutex);
    return is_owed;
}

/* Let it sleep on; or wake it, when there is something that only its own thread may do. */
static void leave(struct io_loop *loop)
{
    bool has_work = !list_is_empty(&loop->sockets) || loop->are_hooks_due || loop->is_called_home ||
                    loop->is_closing || io_uv_alarm_is_late(loop);
    (void)pthread_mutex_lock(&loop->mutex);
    loop->state = LOOP_ASLEEP;
    if (has_work || loop->is_wanted || has_messages(loop)) wake(loop);
    loop->is_wanted = false;
    (void)pthread_cond_broadcast(&loop->left);
    (void)pthread_mutex_unlock(&loop->mutex);
}

/* Only quick messages have come meanwhile. */
static bool may_stay(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    bool may = has_messages(loop) && !loop->is_wanted;
    (void)pthread_mutex_unlock(&loop->mutex);
    return may;
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
    while (++rounds < ROUNDS_MAX && may_stay(loop));
    loop->is_visited = false;
    here = home;
    leave(loop);
}

static void wake_instead(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    if (settle(loop)) wake(loop);
    (void)pthread_mutex_unlock(&loop->mutex);
}

static void wake_all(void)
{
    while (debts.count > 0) wake_instead(debts.loops[--debts.count]);
}

/* The latest first: a visit's own debts go on with what it did. As soon as the own loop has something to
 * do, the others are woken. */
void io_uv_pay(struct io_loop *loop)
{
    for (int visits = 0; debts.count > 0 && visits < VISITS_MAX && is_free(loop); visits++)
        visit(debts.loops[--debts.count]);
    wake_all();
}

void io_uv_debtors_wait(struct io_loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    while (loop->debtors > 0) (void)pthread_cond_wait(&loop->left, &loop->mutex);
    (void)pthread_mutex_unlock(&loop->mutex);
}

bool io_is_visited(const struct io_loop *loop)
{
    return loop->is_visited;
}

void io_call_home(struct io_loop *loop)
{
    loop->is_called_home = true;
}
