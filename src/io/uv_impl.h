/* src/io/uv_impl.h: what the files of the libuv adapter share; nobody else includes it.
 *
 *     uv.c         the world: clocks, chance, opening and closing
 *     uv_loop.c    a loop: its thread, its turns
 *     uv_post.c    messages to a loop, and who runs them: its own thread, or a visitor's
 *     uv_timer.c   a loop's timers: one heap, one alarm
 *     uv_work.c    the pool for blocking calls
 *     uv_listen.c  listeners, and arrivals until their first bytes
 *     uv_tcp.c     connections
 *     uv_file.c    files, directories, locks
 *     uv_resolve.c names of machines
 *     address.c    addresses as text
 *
 * A turn, as uv_run() makes it:
 *
 *     poll: sockets are read, the alarm rings          end of turn, in uv's "prepare":
 *       ^                                                1 posts and finished work are run
 *       |                                                2 hooks
 *       +------- sleep, unless something came up ------- 3 sockets: what was left, sent or closed
 *
 * Something has come up, too, when 3 told an owner anything: what that leaves to the end of the turn
 * is done by another round of the three.
 *
 * While a loop sleeps, another thread may run its end of turn (uv_post.c). libuv is touched by the
 * loop's own thread only: what a visit would have asked of it is put off until that comes home.
 *
 * A socket is closed in two steps: libuv forgets it in the end of a turn, and its owner is told
 * from libuv's close callback, where no call of the owner's can be under way. */
#pragma once
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "io/uv.h"

enum {
    POOL_THREADS = 4,
    SPARE_COUNT = 16,           /* Output buffers kept for reuse, per loop. */
    SPARE_SIZE_MAX = 256 << 10, /* Bytes of capacity; larger ones are freed. */
};

struct io {
    pthread_mutex_t mutex;   /* Over all that follows. */
    pthread_cond_t has_work; /* 'works' or 'is_closing' has changed. */
    struct list_node works;  /* Of struct io_work. */
    bool is_closing;
    pthread_t threads[POOL_THREADS];
    size_t thread_count;
    int *locks; /* Descriptors of io_lock(). */
    size_t lock_count;
};

enum loop_state {
    LOOP_AWAKE,   /* Its own thread runs it, or was told to. */
    LOOP_ASLEEP,  /* Nothing is left to do: a message must wake it, or its sender visits it. */
    LOOP_VISITED, /* Another thread runs it. */
};

struct debts;

struct io_loop {
    struct io *io;
    char name[16];
    pthread_t thread;

    uv_loop_t uv;
    uv_async_t wake;   /* Sent by other threads. */
    uv_prepare_t turn; /* Just before libuv polls. */
    uv_idle_t busy;    /* While it runs libuv polls without waiting. */
    uv_timer_t alarm;  /* Rings for the first of 'timers'. */

    pthread_mutex_t mutex;     /* Over what follows, up to 'left'. */
    struct list_node posts;    /* Of struct io_post. */
    struct list_node finished; /* Of struct io_work. */
    enum loop_state state;
    const struct debts *owed_to; /* Asleep: who is going to visit or wake it; NULL: nobody. */
    bool is_wanted;              /* Visited: something came that is for its own thread. */
    uint32_t debtors;            /* Threads that have it among their debts, owed still or not. */
    pthread_cond_t left;         /* A visit is over, or a debtor is done with it. */

    bool is_home; /* Its thread knows that it is awake. That thread's own. */

    /* All below belongs to whoever runs the loop: its own thread while awake, or the visitor's. */
    bool is_visited;
    bool is_called_home; /* Something was put off that only its own thread may do. */
    struct heap timers;
    uint64_t timer_order;   /* Of the next to be started. */
    uint64_t alarm_ms;      /* When the alarm rings; UINT64_MAX: not set. */
    struct list_node hooks; /* Of struct io_turn_hook. */
    bool are_hooks_due;     /* An owner has been called since they ran. */
    struct list_node
        sockets;       /* Of struct io_tcp: those with something to do at the end of the turn. */
    size_t open_count; /* Sockets and works whose owner has not been told of their end. */
    bool is_closing;

    struct chunk *in; /* What the next socket to become ready reads into; may be NULL. */
    size_t in_used;   /* Bytes of it that somebody may still refer to. */
    struct buf spares[SPARE_COUNT];
    size_t spare_count;
};

/* ---- uv.c ---- */

/* Start a thread that takes no signals: those are main()'s. Returns 0 or E_NOMEM. */
int io_uv_thread_start(pthread_t *thread, void *(*run)(void *context), void *context) MUST_CHECK;

/* ---- uv_loop.c ---- */

/* Everything that an end of turn does, once. */
void io_uv_round(struct io_loop *loop);

/* ---- uv_post.c ---- */

/* This thread is the loop's own. */
void io_uv_settle_in(struct io_loop *loop);

/* libuv has called us: the loop is its own thread's again, once a visit has ended. */
void io_uv_come_home(struct io_loop *loop);

static inline void io_uv_awake(struct io_loop *loop)
{
    if (!loop->is_home) io_uv_come_home(loop);
}

/* Visit or wake the loops that this thread owes a message. On the thread of 'loop', at home. */
void io_uv_pay(struct io_loop *loop);

/* Nobody else will touch the loop any more. Blocking; its thread has ended. */
void io_uv_debtors_wait(struct io_loop *loop);

/* Nothing is left to do in this turn. */
bool io_uv_is_idle(struct io_loop *loop);

/* From here on messages wake the loop, or their senders visit it. False: something came up. */
bool io_uv_fall_asleep(struct io_loop *loop);

/* Take what was delivered. */
void io_uv_messages_take(struct io_loop *loop, struct list_node *posts, struct list_node *finished);

/* Have work->done called on its loop. From the pool. */
void io_uv_finished(struct io_work *work);

/* ---- uv_timer.c ---- */

void io_uv_alarm_init(struct io_loop *loop);

/* Set the alarm for the first timer. At the end of every turn, at home. */
void io_uv_alarm_set(struct io_loop *loop);

/* The alarm would ring too late for the first timer. */
bool io_uv_alarm_is_late(const struct io_loop *loop);

/* ---- uv_work.c ---- */

int io_uv_pool_open(struct io *io) MUST_CHECK;
void io_uv_pool_close(struct io *io);

/* ---- uv_listen.c ---- */

struct io_arrival {
    int fd;
    struct io_address peer;
};

struct sockaddr_in io_uv_sockaddr(struct io_address address);
struct io_address io_uv_address(const struct sockaddr_in *from);

/* ---- uv_tcp.c ---- */

/* Do for every socket of loop->sockets what was left to the end of the turn. */
void io_uv_tcp_turn(struct io_loop *loop);

/* Free the buffers that sockets share. */
void io_uv_tcp_fini(struct io_loop *loop);

/* ---- uv_file.c ---- */

/* Let go of what io_lock() holds. */
void io_uv_locks_close(struct io *io);
