/* src/io/uv_loop.c: a thread that runs libuv, and what happens at the end of each of its turns. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/uv_impl.h"

enum {
    ROUNDS_MAX = 16, /* Ends of turn in a row before sockets are looked at again. */
};

static void handles_open(struct io_loop *loop);
static void handles_close(struct io_loop *loop);
static void loop_free(struct io_loop *loop);
static void *loop_main(void *context);
static void on_wake(uv_async_t *wake);
static void on_busy(uv_idle_t *busy);
static void on_turn_end(uv_prepare_t *turn);

/* ---- Opening and closing --------------------------------------------------------------------- */

int io_loop_open(struct io *io, enum io_loop_kind kind, const char *name, struct io_loop **out)
{
    (void)kind; /* Every thread may block here; that events don't is what the simulator checks. */
    int rc = E_IO;
    struct io_loop *loop = mem_zalloc(sizeof *loop);
    if (loop == NULL) return E_NOMEM;
    loop->io = io;
    (void)snprintf(loop->name, sizeof loop->name, "%s", name); /* Cut: the system shows no more. */
    list_init(&loop->posts);
    list_init(&loop->finished);
    list_init(&loop->hooks);
    list_init(&loop->sockets);
    CHECK(pthread_mutex_init(&loop->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&loop->left, NULL) == 0);

    if (uv_loop_init(&loop->uv) != 0) goto free_loop;
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) goto close_uv;
    handles_open(loop);
    rc = io_uv_thread_start(&loop->thread, loop_main, loop);
    if (rc != 0) goto close_handles;
    *out = loop;
    return 0;

close_handles:
    handles_close(loop);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
close_uv:
    CHECK(uv_loop_close(&loop->uv) == 0);
free_loop:
    loop_free(loop);
    CHECK(rc != 0);
    return rc;
}

/* All but 'wake', which is open already: these can't fail. */
static void handles_open(struct io_loop *loop)
{
    loop->wake.data = loop->turn.data = loop->alarm.data = loop;
    (void)uv_prepare_init(&loop->uv, &loop->turn);
    (void)uv_prepare_start(&loop->turn, on_turn_end);
    (void)uv_idle_init(&loop->uv, &loop->busy);
    io_uv_alarm_init(loop);
}

static void handles_close(struct io_loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->turn, NULL);
    uv_close((uv_handle_t *)&loop->busy, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
}

static void loop_free(struct io_loop *loop)
{
    io_uv_tcp_fini(loop);
    heap_fini(&loop->timers);
    (void)pthread_cond_destroy(&loop->left);
    (void)pthread_mutex_destroy(&loop->mutex);
    mem_free(loop);
}

static void *loop_main(void *context)
{
    struct io_loop *loop = context;
    io_uv_settle_in(loop);
    (void)pthread_setname_np(pthread_self(), loop->name); /* For people only. */
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);              /* Until its last handle is closed. */
    return NULL;
}

/* The last message of all. */
struct farewell {
    struct io_post post;
    struct io_loop *loop;
};

static void on_farewell(struct io_post *post)
{
    struct farewell *farewell = LIST_ENTRY(post, struct farewell, post);
    farewell->loop->is_closing = true;
}

void io_loop_close(struct io_loop *loop)
{
    if (loop == NULL) return;
    CHECK(!io_is_on(loop));
    struct farewell farewell = {.post = {.run = on_farewell}, .loop = loop};
    io_post(loop, &farewell.post);
    CHECK(pthread_join(loop->thread, NULL) == 0);
    io_uv_debtors_wait(loop);
    CHECK(uv_loop_close(&loop->uv) == 0); /* Handles that others opened on it are closed. */
    loop_free(loop);
}

struct io *io_of(struct io_loop *loop)
{
    return loop->io;
}

uv_loop_t *io_uv_loop(struct io_loop *loop)
{
    CHECK(!loop->is_visited);
    return &loop->uv;
}

/* ---- Turns ----------------------------------------------------------------------------------- */

/* Run what had been delivered when this began. */
static void run_messages(struct io_loop *loop)
{
    struct list_node posts, finished, *node;
    io_uv_messages_take(loop, &posts, &finished);
    while ((node = list_pop_front(&posts)) != NULL) {
        struct io_post *post = LIST_ENTRY(node, struct io_post, node);
        post->run(post);
    }
    while ((node = list_pop_front(&finished)) != NULL) {
        struct io_work *work = LIST_ENTRY(node, struct io_work, node);
        loop->open_count--;
        work->done(work);
    }
}

void io_turn_hook_add(struct io_loop *loop, struct io_turn_hook *hook)
{
    list_push_back(&loop->hooks, &hook->node);
}

void io_turn_hook_remove(struct io_turn_hook *hook)
{
    list_remove(&hook->node);
}

/* Each once. A hook moves to the other list before it runs, so that it may remove itself or
 * others. */
static void run_hooks(struct io_loop *loop)
{
    struct list_node ran, *node;
    list_init(&ran);
    loop->are_hooks_due = false;
    while ((node = list_pop_front(&loop->hooks)) != NULL) {
        list_push_back(&ran, node);
        struct io_turn_hook *hook = LIST_ENTRY(node, struct io_turn_hook, node);
        hook->run(hook);
    }
    list_splice_back(&loop->hooks, &ran);
}

void io_uv_round(struct io_loop *loop)
{
    run_messages(loop);
    run_hooks(loop);
    io_uv_tcp_turn(loop);
}

static void on_turn_end(uv_prepare_t *turn)
{
    struct io_loop *loop = turn->data;
    io_uv_awake(loop);
    bool is_idle = false;
    for (int round = 0; round < ROUNDS_MAX && !is_idle; round++) {
        io_uv_round(loop);
        io_uv_pay(loop);
        is_idle = io_uv_is_idle(loop);
    }
    io_uv_alarm_set(loop);
    if (is_idle && loop->is_closing && loop->open_count == 0) handles_close(loop);
    else if (is_idle && io_uv_fall_asleep(loop)) (void)uv_idle_stop(&loop->busy);
    else (void)uv_idle_start(&loop->busy, on_busy);
}

static void on_wake(uv_async_t *wake)
{
    (void)wake; /* Messages are run at the end of the turn, which takes the loop home. */
}

static void on_busy(uv_idle_t *busy)
{
    (void)busy; /* That it runs keeps libuv from waiting. */
}
