/* tests/io/test_io_uv.c: the real world does what every world must. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io/conformance.h"
#include "io/uv.h"

static char dir[] = "/tmp/pirene-test-io-XXXXXX";

struct io *world_open(void)
{
    struct io *io;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (mkdtemp(dir) == NULL || io_uv_open(&io) != 0) abort();
    return io;
}

void world_close(struct io *io)
{
    if (io_dir_remove(io, dir) != 0) abort();
    io_uv_close(io);
}

void world_do(struct io *io, void (*run)(void *context), void *context)
{
    (void)io;
    run(context);
}

bool world_wait(struct io *io, const atomic_bool *flag)
{
    uint64_t end_ms = io_now(io).boot_ms + 20000;
    while (!atomic_load(flag)) {
        if (io_now(io).boot_ms > end_ms) return false;
        const struct timespec pause = {.tv_nsec = 50000};
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

const char *world_dir(struct io *io)
{
    (void)io;
    return dir;
}

struct io_address world_address(struct io *io)
{
    (void)io;
    return (struct io_address){.ipv4 = 0x7f000001};
}

int main(void)
{
    return conformance_run();
}
