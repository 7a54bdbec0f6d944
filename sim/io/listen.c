/* sim/io/listen.c: listeners and those who have arrived: connected by the system, owned by no loop
 * yet.
 *
 *     SYN ──> silent ── IO_MAGIC_SIZE bytes ──> on_arrival ──> io_tcp_accept: an io_tcp
 *                └── closes ──> gone                     └──> io_arrival_close
 * / */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/io/tcp.h"

struct io_listener {
    struct list_node node; /* In machine->listeners. */
    struct io_loop *loop;
    struct io_address address;
    const struct io_listen_handler *handler;
    void *context;
};

struct io_arrival {
    struct list_node node; /* In machine->arrivals. */
    struct sim_machine *machine;
    struct io_listener *listener; /* NULL once it has spoken. */
    struct side side;             /* conn is NULL when it was lost. */
    struct io_post spoken;
};

/* ---- Arrivals ---- */

static void arrival_free(struct io_arrival *arrival)
{
    list_remove(&arrival->spoken.node);
    list_remove(&arrival->node);
    sim_free_memory(arrival);
}

static void spoken_run(struct io_post *post)
{
    struct io_arrival *arrival = LIST_ENTRY(post, struct io_arrival, spoken);
    struct io_listener *listener = arrival->listener;
    uint8_t magic[IO_MAGIC_SIZE];
    sim_side_peek(arrival->side, magic, sizeof magic);
    arrival->listener = NULL;
    listener->handler->on_arrival(listener->context, arrival, magic);
}

void sim_arrival_on_readable(struct io_arrival *arrival)
{
    if (arrival->listener == NULL || arrival->spoken.node.next != &arrival->spoken.node) return;
    if (sim_side_unread(arrival->side) >= IO_MAGIC_SIZE)
        sim_loop_ready(arrival->listener->loop, &arrival->spoken);
    else if (sim_side_is_finished(arrival->side)) io_arrival_close(arrival);
}

void sim_arrival_on_lost(struct io_arrival *arrival)
{
    arrival->side.conn = NULL;
    if (arrival->listener != NULL) arrival_free(arrival);
}

void io_arrival_close(struct io_arrival *arrival)
{
    if (arrival->side.conn != NULL) sim_side_close(arrival->side);
    arrival_free(arrival);
}

int io_arrival_detach(struct io_arrival *arrival, int *fd)
{
    (void)arrival;
    (void)fd;
    return E_UNSUPPORTED;
}

int io_tcp_accept(struct io_loop *loop, struct io_arrival *arrival,
                  const struct io_tcp_handler *handler, void *context, struct io_tcp **out)
{
    sim_check_on(loop);
    struct side side = arrival->side;
    arrival_free(arrival);
    *out = sim_tcp_accepted(loop, side, handler, context);
    return 0;
}

/* ---- Listeners ---- */

static struct io_listener *listener_at(const struct sim_machine *m, uint16_t port)
{
    LIST_EACH (node, &m->listeners) {
        struct io_listener *listener = LIST_ENTRY(node, struct io_listener, node);
        if (listener->address.port == port) return listener;
    }
    return NULL;
}

bool sim_listener_on_syn(struct sim_machine *m, struct side side)
{
    struct end *end = &side.conn->ends[side.index];
    struct io_listener *listener = listener_at(m, end->address.port);
    if (listener == NULL) return false;
    struct io_arrival *arrival = sim_alloc(sizeof *arrival);
    arrival->machine = m;
    arrival->listener = listener;
    arrival->side = side;
    arrival->spoken.run = spoken_run;
    list_init(&arrival->spoken.node);
    list_push_back(&m->arrivals, &arrival->node);
    end->arrival = arrival;
    return true;
}

int io_listen(struct io_loop *loop, struct io_address *address,
              const struct io_listen_handler *handler, void *context, struct io_listener **out)
{
    sim_check_on(loop);
    struct sim_machine *m = loop->thread.machine;
    if (address->ipv4 != 0 && sim_machine_at(m, address->ipv4) != m) return E_IO;
    if (address->port != 0 && listener_at(m, address->port) != NULL) return E_EXISTS;
    while (address->port == 0 || listener_at(m, address->port) != NULL)
        address->port = sim_port_take(m);
    struct io_listener *listener = sim_alloc(sizeof *listener);
    listener->loop = loop;
    listener->address = *address;
    listener->handler = handler;
    listener->context = context;
    list_push_back(&m->listeners, &listener->node);
    *out = listener;
    return 0;
}

void io_listener_close(struct io_listener *listener)
{
    if (listener == NULL) return;
    sim_check_on(listener->loop);
    struct list_node *arrivals = &listener->loop->thread.machine->arrivals, *node = arrivals->next;
    while (node != arrivals) {
        struct io_arrival *arrival = LIST_ENTRY(node, struct io_arrival, node);
        node = node->next;
        if (arrival->listener == listener) io_arrival_close(arrival);
    }
    list_remove(&listener->node);
    sim_free_memory(listener);
}

void sim_sockets_drop(struct sim_machine *m, enum sim_end how)
{
    /* Arrivals first: in a loop's queue they may stand beside a connection, which goes without
     * leaving it. */
    while (!list_is_empty(&m->arrivals)) {
        struct io_arrival *arrival = LIST_ENTRY(m->arrivals.next, struct io_arrival, node);
        if (how == SIM_POWER && arrival->side.conn != NULL) {
            sim_side_vanish(arrival->side);
            arrival->side.conn = NULL;
        }
        io_arrival_close(arrival);
    }
    for (size_t i = 0; i < m->loop_count; i++) sim_tcps_drop(m->loops[i], how);
    struct list_node *node;
    while ((node = list_pop_front(&m->listeners)) != NULL)
        sim_free_memory(LIST_ENTRY(node, struct io_listener, node));
}

/* ---- Addresses ---- */

static bool parse_port(const char *text, uint16_t *out)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port == 0 || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

static bool parse_ipv4(const char *text, size_t size, uint32_t *out)
{
    unsigned part[4];
    char rest, host[SIM_NAME_SIZE];
    if (size >= sizeof host) return false;
    memcpy(host, text, size);
    host[size] = '\0';
    if (sscanf(host, "%3u.%3u.%3u.%3u%c", &part[0], &part[1], &part[2], &part[3], &rest) != 4)
        return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        if (part[i] > 255) return false;
        *out = *out << 8 | part[i];
    }
    return true;
}

static bool find_name(const struct sim *sim, const char *name, size_t size, uint32_t *out)
{
    for (size_t i = 0; i < sim->machine_count; i++) {
        const struct sim_machine *m = sim->machines[i];
        if (strlen(m->name) != size || memcmp(m->name, name, size) != 0) continue;
        *out = m->ipv4;
        return true;
    }
    return false;
}

int io_resolve(struct io *io, const char *host_port, struct io_address *out)
{
    enum { RESOLVE_US_MAX = 2000 };
    sim_check_may_block(io->machine);
    const char *colon = strrchr(host_port, ':');
    struct io_address address;
    if (colon == NULL || colon == host_port || !parse_port(colon + 1, &address.port))
        return E_INVALID;
    size_t size = (size_t)(colon - host_port);
    sim_thread_spend(prng_below(&io->machine->sim->prng, RESOLVE_US_MAX));
    if (!parse_ipv4(host_port, size, &address.ipv4) &&
        !find_name(io->machine->sim, host_port, size, &address.ipv4)) {
        if (size != strlen("localhost") || memcmp(host_port, "localhost", size) != 0)
            return E_NOTFOUND;
        address.ipv4 = 0x7f000001;
    }
    *out = address;
    return 0;
}
