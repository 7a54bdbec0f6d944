/* tests/base/free_port.c: try, from a place of its own. */
#include "base/free_port.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { FIRST = 20000, COUNT = 12000 }; /* Linux gives away those from 32768 on. */

static bool is_free(uint16_t port)
{
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_bound = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
    (void)close(fd);
    return is_bound;
}

/* Processes begin far from each other, and go on with a stride that visits every port. */
uint16_t free_port(void)
{
    enum { STRIDE = 1663 }; /* A prime: it has no factor of COUNT. */
    static uint32_t next;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (next == 0) next = (uint32_t)getpid() * 7919U + (uint32_t)now.tv_nsec;
    for (int i = 0; i < COUNT; i++) {
        next += STRIDE;
        uint16_t port = (uint16_t)(FIRST + next % COUNT);
        if (is_free(port)) return port;
    }
    fail_msg("none of %d ports is free", COUNT);
    return 0;
}
