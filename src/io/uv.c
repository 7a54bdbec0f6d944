/* src/io/uv.c: the real world opens and closes; its clocks, and its chance. */
#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/uv_impl.h"

int io_uv_open(struct io **out)
{
    struct io *io = mem_zalloc(sizeof *io);
    if (io == NULL) return E_NOMEM;
    /* A peer that goes away is an error of send(), never the end of the process. */
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    int rc = io_uv_pool_open(io);
    if (rc != 0) {
        mem_free(io);
        return rc;
    }
    *out = io;
    return 0;
}

void io_uv_close(struct io *io)
{
    if (io == NULL) return;
    io_uv_pool_close(io);
    io_uv_locks_close(io);
    mem_free(io);
}

int io_uv_thread_start(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    /* What a thread brings upon itself stays with it, for sanitizers and core dumps. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) (void)sigdelset(&all, faults[i]);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int error = pthread_create(thread, NULL, run, context);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return error == 0 ? 0 : E_NOMEM;
}

static struct timespec clock_read(clockid_t clock)
{
    struct timespec at;
    CHECK(clock_gettime(clock, &at) == 0); /* Both clocks exist on every Linux we run on. */
    return at;
}

struct now io_now(struct io *io)
{
    (void)io;
    struct timespec boot = clock_read(CLOCK_BOOTTIME), wall = clock_read(CLOCK_REALTIME);
    return (struct now){
        .boot_ms = (uint64_t)boot.tv_sec * 1000 + (uint64_t)boot.tv_nsec / 1000000,
        .wall_us = (uint64_t)wall.tv_sec * 1000000 + (uint64_t)wall.tv_nsec / 1000,
    };
}

uint64_t io_seed(struct io *io)
{
    (void)io;
    uint64_t seed;
    ssize_t size;
    do {
        size = getrandom(&seed, sizeof seed, 0);
    } while (size < 0 && errno == EINTR);
    CHECK(size == sizeof seed); /* So few bytes are never cut, and the call exists since 2014. */
    return seed;
}
