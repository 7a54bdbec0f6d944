/* src/io/uv_work.c: a few threads that may block, and one queue. libuv's own pool would want memory
 * for every call, and would be shared with whatever else of the process uses libuv. */
#include "base/check.h"
#include "io/uv_impl.h"

static void *pool_main(void *context);
static struct io_work *next_work(struct io *io);

int io_uv_pool_open(struct io *io)
{
    list_init(&io->works);
    CHECK(pthread_mutex_init(&io->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&io->has_work, NULL) == 0);
    for (size_t i = 0; i < POOL_THREADS; i++) {
        int rc = io_uv_thread_start(&io->threads[i], pool_main, io);
        if (rc != 0) {
            io_uv_pool_close(io);
            return rc;
        }
        io->thread_count++;
    }
    return 0;
}

void io_uv_pool_close(struct io *io)
{
    (void)pthread_mutex_lock(&io->mutex);
    io->is_closing = true;
    (void)pthread_cond_broadcast(&io->has_work);
    (void)pthread_mutex_unlock(&io->mutex);
    while (io->thread_count > 0) (void)pthread_join(io->threads[--io->thread_count], NULL);
    (void)pthread_cond_destroy(&io->has_work);
    (void)pthread_mutex_destroy(&io->mutex);
}

void io_work(struct io_loop *loop, struct io_work *work)
{
    struct io *io = loop->io;
    work->loop = loop;
    loop->open_count++;
    (void)pthread_mutex_lock(&io->mutex);
    list_push_back(&io->works, &work->node);
    (void)pthread_cond_signal(&io->has_work);
    (void)pthread_mutex_unlock(&io->mutex);
}

static void *pool_main(void *context)
{
    struct io *io = context;
    (void)pthread_setname_np(pthread_self(), "pool");
    for (struct io_work *work; (work = next_work(io)) != NULL;) {
        work->run(work);
        io_uv_finished(work);
    }
    return NULL;
}

/* The first in the queue, as soon as there is one; NULL when the world is closing and it is
 * empty. */
static struct io_work *next_work(struct io *io)
{
    (void)pthread_mutex_lock(&io->mutex);
    while (list_is_empty(&io->works) && !io->is_closing)
        (void)pthread_cond_wait(&io->has_work, &io->mutex);
    struct list_node *node = list_pop_front(&io->works);
    (void)pthread_mutex_unlock(&io->mutex);
    return node != NULL ? LIST_ENTRY(node, struct io_work, node) : NULL;
}
