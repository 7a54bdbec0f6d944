/* src/io/uv_resolve.c: names of machines, by the system's resolver. */
#include <netdb.h>
#include <stdlib.h>

#include "io/uv_impl.h"

enum { HOST_SIZE_MAX = 254 }; /* Bytes of a name in the DNS, and a NUL. */

/* "34601" to 34601. Returns false unless it is a whole number from 1 to 65535. */
static bool port_read(const char *text, uint16_t *out)
{
    uint32_t port = 0;
    size_t size = 0;
    for (; text[size] >= '0' && text[size] <= '9' && size < 5; size++)
        port = port * 10 + (uint32_t)(text[size] - '0');
    if (size == 0 || text[size] != '\0' || port == 0 || port > UINT16_MAX) return false;
    *out = (uint16_t)port;
    return true;
}

int io_resolve(struct io *io, const char *host_port, struct io_address *out)
{
    (void)io;
    char host[HOST_SIZE_MAX];
    uint16_t port;
    const char *colon = strrchr(host_port, ':');
    if (colon == NULL || colon == host_port || !port_read(colon + 1, &port)) return E_INVALID;
    size_t size = (size_t)(colon - host_port);
    if (size >= sizeof host) return E_INVALID;
    memcpy(host, host_port, size);
    host[size] = '\0';

    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(host, NULL, &hints, &found);
    if (error == EAI_MEMORY) return E_NOMEM;
    if (error != 0) return E_NOTFOUND;
    struct sockaddr_in at;
    memcpy(&at, found->ai_addr, sizeof at); /* AF_INET was asked for. */
    freeaddrinfo(found);
    *out = (struct io_address){ntohl(at.sin_addr.s_addr), port};
    return 0;
}
