/* sim/io/net.c: segments on their way, and everything that may happen to them there.
 *
 *     send ─> when does it arrive? (bandwidth, delay, jitter, loss) ─> flight
 *     arrive: cut or dark ─> stalled ── heal ─> again, a retransmission later
 *             clogged     ─> again, when the clog is gone          └─ too long ─> the sender quits
 *             else        ─> deliver
 *
 * Loss is not visible over TCP: it is delay. So is a short cut. */
#include <string.h>

#include "base/check.h"
#include "base/crc.h"
#include "sim/io/net.h"

enum {
    RETRANSMIT_US = 200000,
    RETRANSMIT_US_MAX = 1000000, /* After a heal. */
    LOSSES_MAX = 6,              /* Of one segment. */
    LOOPBACK_DELAY_US = 10,
    PORT_LAST = 65000,
    PORT_FIRST = 40000,
};

static void arrive_run(struct event *event);
static void give_up_run(struct event *event);
static void room_run(struct event *event);
static void timeout_run(struct event *event);

/* ---- Lanes ---- */

static struct lane *lane_of(const struct conn *conn, int from)
{
    return &conn->ends[from].machine->lanes[conn->ends[1 - from].machine->index];
}

static struct sim_link link_of(const struct conn *conn, int from)
{
    const struct lane *lane = lane_of(conn, from);
    struct sim_link link = lane->is_set ? lane->link : conn->sim->link_default;
    if (!lane->is_set && conn->ends[0].machine == conn->ends[1].machine) {
        link.delay_us = LOOPBACK_DELAY_US;
        link.jitter_us = link.loss_permille = 0;
    }
    return link;
}

/* Nothing sent by that end arrives at present. */
static bool is_blocked(const struct conn *conn, int from)
{
    return lane_of(conn, from)->is_cut || !conn->ends[1 - from].machine->is_powered;
}

static uint64_t arrival_of(struct pipe *pipe, size_t size)
{
    struct sim *sim = pipe->conn->sim;
    struct lane *lane = lane_of(pipe->conn, pipe->from);
    struct sim_link link = link_of(pipe->conn, pipe->from);
    uint64_t at_us = sim_thread_now_us(sim);

    if (link.bytes_per_s != 0) {
        if (at_us < lane->busy_until_us) at_us = lane->busy_until_us;
        at_us += size * 1000000 / link.bytes_per_s;
        lane->busy_until_us = at_us;
    }
    at_us += link.delay_us + sim_draw_exponential(&sim->prng, link.jitter_us);
    uint64_t again_us = RETRANSMIT_US;
    for (int i = 0; i < LOSSES_MAX && link.loss_permille != 0; i++, again_us *= 2) {
        if (prng_below(&sim->prng, 1000) >= link.loss_permille) break;
        at_us += again_us;
    }
    return at_us; /* Or when those before it have arrived, if that is later. */
}

/* ---- Pipes ---- */

static void segments_free(struct list_node *segments)
{
    struct list_node *node;
    while ((node = list_pop_front(segments)) != NULL)
        sim_free_memory(LIST_ENTRY(node, struct segment, node));
}

static struct segment *first_of(const struct list_node *segments)
{
    return list_is_empty(segments) ? NULL : LIST_ENTRY(segments->next, struct segment, node);
}

static void pipe_init(struct conn *conn, int from)
{
    struct pipe *pipe = &conn->pipes[from];
    pipe->conn = conn;
    pipe->from = from;
    pipe->arrive.run = arrive_run;
    pipe->give_up.run = give_up_run;
    pipe->room.run = room_run;
    list_init(&pipe->flight);
    list_init(&pipe->unread);
}

/* What is under way is lost: the sender will not send it again. */
static void flight_drop(struct pipe *pipe)
{
    struct sim *sim = pipe->conn->sim;
    segments_free(&pipe->flight);
    sim_event_cancel(sim, &pipe->arrive);
    sim_event_cancel(sim, &pipe->give_up);
    sim_event_cancel(sim, &pipe->room);
    pipe->is_stalled = false;
}

static void unread_drop(struct pipe *pipe)
{
    segments_free(&pipe->unread);
    pipe->unread_size = 0;
}

static void pipe_push(struct pipe *pipe, enum segment_kind kind, const uint8_t *data, size_t size)
{
    struct segment *segment = sim_alloc(sizeof *segment + size);
    segment->kind = kind;
    segment->size = size;
    if (size != 0) memcpy(segment->data, data, size);
    segment->arrive_us = arrival_of(pipe, size);
    bool is_first = list_is_empty(&pipe->flight);
    list_push_back(&pipe->flight, &segment->node);
    if (is_first) sim_event_at(pipe->conn->sim, &pipe->arrive, segment->arrive_us);
}

/* The sender starts to lose patience. */
static void doubt(struct pipe *pipe)
{
    struct sim *sim = pipe->conn->sim;
    if (!sim_event_is_waiting(&pipe->give_up))
        sim_event_at(sim, &pipe->give_up, sim->now_us + sim->tcp_limits.abort_us);
}

static void stall(struct pipe *pipe)
{
    pipe->is_stalled = true;
    pipe->stalled_us = pipe->conn->sim->now_us;
    doubt(pipe);
}

/* The link or the machine behind it has come back: send the first segment again. */
static void unstall(struct pipe *pipe)
{
    struct sim *sim = pipe->conn->sim;
    if (is_blocked(pipe->conn, pipe->from)) return;
    if (pipe->is_stalled) {
        uint64_t again_us = sim->now_us - pipe->stalled_us + 1;
        if (again_us > RETRANSMIT_US_MAX) again_us = RETRANSMIT_US_MAX;
        uint64_t at_us = sim->now_us + link_of(pipe->conn, pipe->from).delay_us +
                         prng_below(&sim->prng, again_us);
        pipe->is_stalled = false;
        sim_event_at(sim, &pipe->arrive, at_us);
    }
    if (pipe->unheard_size == 0) sim_event_cancel(sim, &pipe->give_up);
}

/* The receiver has read 'size' bytes: the sender will hear of it, if the way back is open. */
static void acknowledge(struct pipe *pipe, size_t size)
{
    struct sim *sim = pipe->conn->sim;
    pipe->unheard_size += size;
    if (is_blocked(pipe->conn, 1 - pipe->from)) {
        doubt(pipe);
        return;
    }
    pipe->used_size -= pipe->unheard_size;
    pipe->unheard_size = 0;
    if (!pipe->is_stalled) sim_event_cancel(sim, &pipe->give_up);
    if (pipe->is_full && !sim_event_is_waiting(&pipe->room))
        sim_event_at(sim, &pipe->room, sim->now_us + link_of(pipe->conn, 1 - pipe->from).delay_us);
}

static void room_run(struct event *event)
{
    struct pipe *pipe = HEAP_ENTRY(event, struct pipe, room);
    struct io_tcp *tcp = pipe->conn->ends[pipe->from].tcp;
    pipe->is_full = false;
    if (tcp != NULL) sim_tcp_on_room(tcp);
}

/* ---- Connections ---- */

static struct conn *conn_new(struct sim *sim)
{
    struct conn *conn = sim_alloc(sizeof *conn);
    conn->sim = sim;
    conn->id = ++sim->conn_ids;
    conn->timeout.run = timeout_run;
    pipe_init(conn, 0);
    pipe_init(conn, 1);
    list_push_back(&sim->conns, &conn->node);
    return conn;
}

static void conn_free(struct conn *conn)
{
    for (int i = 0; i < 2; i++) {
        flight_drop(&conn->pipes[i]);
        unread_drop(&conn->pipes[i]);
    }
    sim_event_cancel(conn->sim, &conn->timeout);
    list_remove(&conn->node);
    sim_free_memory(conn);
}

/* Nobody knows it and nothing of it is under way. */
static void conn_free_if_over(struct conn *conn)
{
    for (int i = 0; i < 2; i++) {
        const struct end *end = &conn->ends[i];
        if (end->is_known || !list_is_empty(&conn->pipes[i].flight)) return;
        CHECK(end->tcp == NULL && end->arrival == NULL);
    }
    conn_free(conn);
}

void sim_conns_drop(struct sim *sim)
{
    while (!list_is_empty(&sim->conns)) conn_free(LIST_ENTRY(sim->conns.next, struct conn, node));
}

/* The system of that end forgets the connection; who held it is returned, to be told or not. */
static struct end end_forget(struct conn *conn, int index)
{
    struct end *end = &conn->ends[index];
    struct end before = *end;
    end->is_known = false;
    end->tcp = NULL;
    end->arrival = NULL;
    unread_drop(&conn->pipes[1 - index]);
    if (index == 0) sim_event_cancel(conn->sim, &conn->timeout);
    return before;
}

/* The connection is lost for that end, and its process hears why. */
static void end_lose(struct conn *conn, int index, int why)
{
    bool was_connecting = index == 0 && sim_event_is_waiting(&conn->timeout);
    struct end end = end_forget(conn, index);
    flight_drop(&conn->pipes[index]);
    sim_trace(conn->sim, end.machine, "lost", conn->id, (uint64_t)why);
    if (end.tcp != NULL && was_connecting)
        sim_tcp_on_connected(end.tcp, why == E_CLOSED ? E_REFUSED : why);
    else if (end.tcp != NULL) sim_tcp_on_lost(end.tcp, why);
    if (end.arrival != NULL) sim_arrival_on_lost(end.arrival);
}

static void timeout_run(struct event *event)
{
    struct conn *conn = HEAP_ENTRY(event, struct conn, timeout);
    struct end end = end_forget(conn, 0);
    flight_drop(&conn->pipes[0]);
    sim_trace(conn->sim, end.machine, "no answer", conn->id, 0);
    sim_tcp_on_connected(end.tcp, E_TIMEOUT);
    conn_free_if_over(conn);
}

static void give_up_run(struct event *event)
{
    struct pipe *pipe = HEAP_ENTRY(event, struct pipe, give_up);
    struct conn *conn = pipe->conn;
    if (conn->ends[pipe->from].is_known) end_lose(conn, pipe->from, E_TIMEOUT);
    else flight_drop(pipe);
    conn_free_if_over(conn);
}

/* ---- Arrivals of segments ---- */

static void notify_readable(const struct end *end)
{
    if (end->tcp != NULL) sim_tcp_on_readable(end->tcp);
    if (end->arrival != NULL) sim_arrival_on_readable(end->arrival);
}

static void on_syn(struct conn *conn)
{
    struct end *end = &conn->ends[1];
    end->is_known = true;
    if (sim_listener_on_syn(end->machine, (struct side){conn, 1})) {
        pipe_push(&conn->pipes[1], SEGMENT_ACCEPT, NULL, 0);
    } else {
        end->is_known = false;
        pipe_push(&conn->pipes[1], SEGMENT_RESET, NULL, 0);
    }
}

static void on_accept(struct conn *conn)
{
    if (!conn->ends[0].is_known) {
        pipe_push(&conn->pipes[0], SEGMENT_RESET, NULL, 0);
        return;
    }
    sim_event_cancel(conn->sim, &conn->timeout);
    sim_tcp_on_connected(conn->ends[0].tcp, 0);
}

static void on_reset(struct conn *conn, int to)
{
    if (conn->ends[to].is_known) end_lose(conn, to, E_CLOSED);
}

/* Data or FIN. Returns true when the segment is kept. */
static bool on_stream(struct pipe *pipe, struct segment *segment)
{
    struct conn *conn = pipe->conn;
    struct end *end = &conn->ends[1 - pipe->from];
    if (!end->is_known) {
        if (segment->kind == SEGMENT_DATA)
            pipe_push(&conn->pipes[1 - pipe->from], SEGMENT_RESET, NULL, 0);
        return false;
    }
    if (is_blocked(conn, 1 - pipe->from)) doubt(pipe); /* It was received; nobody hears of it. */
    list_push_back(&pipe->unread, &segment->node);
    pipe->unread_size += segment->size;
    notify_readable(end);
    return true;
}

static void deliver(struct pipe *pipe, struct segment *segment)
{
    static const char *const names[] = {"syn", "accept", "data", "fin", "reset"};
    struct conn *conn = pipe->conn;
    uint64_t what = (uint64_t)crc32c(0, segment->data, segment->size) << 32 | segment->size;
    sim_trace(conn->sim, conn->ends[1 - pipe->from].machine, names[segment->kind], conn->id, what);
    switch (segment->kind) {
    case SEGMENT_SYN: on_syn(conn); break;
    case SEGMENT_ACCEPT: on_accept(conn); break;
    case SEGMENT_RESET: on_reset(conn, 1 - pipe->from); break;
    case SEGMENT_DATA:
    case SEGMENT_FIN:
        if (on_stream(pipe, segment)) return;
        break;
    }
    sim_free_memory(segment);
}

static void arrive_run(struct event *event)
{
    struct pipe *pipe = HEAP_ENTRY(event, struct pipe, arrive);
    struct conn *conn = pipe->conn;
    struct sim *sim = conn->sim;
    const struct lane *lane = lane_of(conn, pipe->from);
    if (is_blocked(conn, pipe->from)) {
        stall(pipe);
        return;
    }
    if (lane->clogged_until_us > sim->now_us) {
        sim_event_at(sim, &pipe->arrive, lane->clogged_until_us);
        return;
    }
    struct segment *first;
    while ((first = first_of(&pipe->flight)) != NULL && first->arrive_us <= sim->now_us) {
        list_remove(&first->node);
        deliver(pipe, first); /* A burst comes all at once. */
    }
    if (first != NULL) sim_event_at(sim, &pipe->arrive, first->arrive_us);
    else conn_free_if_over(conn);
}

/* ---- What a process does ---- */

struct sim_machine *sim_machine_at(struct sim_machine *from, uint32_t ipv4)
{
    enum { LOOPBACK = 0x7f000001 };
    if (ipv4 == LOOPBACK) return from;
    for (size_t i = 0; i < from->sim->machine_count; i++)
        if (from->sim->machines[i]->ipv4 == ipv4) return from->sim->machines[i];
    return NULL;
}

uint16_t sim_port_take(struct sim_machine *m)
{
    if (m->next_port >= PORT_LAST) m->next_port = PORT_FIRST;
    return m->next_port++;
}

struct side sim_side_connect(struct sim_machine *from, struct io_address to, struct io_tcp *tcp)
{
    struct sim_machine *target = sim_machine_at(from, to.ipv4);
    if (target == NULL) return (struct side){NULL, 0};
    struct conn *conn = conn_new(from->sim);
    conn->ends[0] = (struct end){.machine = from,
                                 .address = {from->ipv4, sim_port_take(from)},
                                 .is_known = true,
                                 .tcp = tcp};
    conn->ends[1] = (struct end){.machine = target, .address = to};
    sim_event_at(from->sim, &conn->timeout,
                 sim_thread_now_us(from->sim) + from->sim->tcp_limits.connect_us);
    pipe_push(&conn->pipes[0], SEGMENT_SYN, NULL, 0);
    return (struct side){conn, 0};
}

/* How much of 'left' bytes goes into the next segment. */
static size_t split(struct prng *p, uint32_t percent, size_t left)
{
    if (percent == 0 || !prng_percent(p, percent)) return left;
    size_t most = prng_percent(p, 50) && left > 4 ? 4 : left;
    return (size_t)prng_between(p, 1, most);
}

size_t sim_side_send(struct side side, const uint8_t *data, size_t size)
{
    struct pipe *pipe = &side.conn->pipes[side.index];
    struct sim_link link = link_of(side.conn, side.index);
    size_t room = link.window_size > pipe->used_size ? link.window_size - pipe->used_size : 0;
    if (link.window_size == 0 || size < room) room = size;
    for (size_t done = 0; done < room;) {
        size_t piece = split(&side.conn->sim->prng, link.split_percent, room - done);
        pipe_push(pipe, SEGMENT_DATA, data + done, piece);
        done += piece;
    }
    pipe->used_size += room;
    pipe->is_full = room < size;
    return room;
}

static struct pipe *inbound(struct side side)
{
    return &side.conn->pipes[1 - side.index];
}

size_t sim_side_unread(struct side side)
{
    return inbound(side)->unread_size;
}

bool sim_side_is_finished(struct side side)
{
    const struct segment *first = first_of(&inbound(side)->unread);
    return first != NULL && first->kind == SEGMENT_FIN;
}

size_t sim_side_recv(struct side side, uint8_t *to, size_t size)
{
    struct pipe *pipe = inbound(side);
    size_t got = 0;
    while (got < size) {
        struct segment *first = first_of(&pipe->unread);
        if (first == NULL || first->kind == SEGMENT_FIN) break;
        size_t left = first->size - first->taken;
        size_t part = left < size - got ? left : size - got;
        memcpy(to + got, first->data + first->taken, part);
        got += part;
        first->taken += part;
        if (first->taken < first->size) break;
        list_remove(&first->node);
        sim_free_memory(first);
    }
    pipe->unread_size -= got;
    acknowledge(pipe, got);
    return got;
}

void sim_side_peek(struct side side, uint8_t *to, size_t size)
{
    struct pipe *pipe = inbound(side);
    CHECK(pipe->unread_size >= size);
    size_t got = 0;
    LIST_EACH (node, &pipe->unread) {
        const struct segment *segment = LIST_ENTRY(node, struct segment, node);
        size_t left = segment->size - segment->taken;
        size_t part = left < size - got ? left : size - got;
        if (part != 0) memcpy(to + got, segment->data + segment->taken, part);
        got += part;
        if (got == size) break;
    }
}

void sim_side_close(struct side side)
{
    struct conn *conn = side.conn;
    bool is_rude = inbound(side)->unread_size > 0;
    (void)end_forget(conn, side.index);
    pipe_push(&conn->pipes[side.index], is_rude ? SEGMENT_RESET : SEGMENT_FIN, NULL, 0);
}

void sim_side_vanish(struct side side)
{
    struct conn *conn = side.conn;
    struct pipe *pipe = &conn->pipes[side.index];
    (void)end_forget(conn, side.index);
    if (pipe->is_stalled) flight_drop(pipe); /* Nobody is left to send it again. */
    conn_free_if_over(conn);
}

/* ---- Faults ---- */

static void lane_cut(struct sim_machine *from, struct sim_machine *to, bool is_cut)
{
    from->lanes[to->index].is_cut = is_cut;
}

static bool is_between(const struct conn *conn, const struct sim_machine *a,
                       const struct sim_machine *b)
{
    const struct sim_machine *x = conn->ends[0].machine, *y = conn->ends[1].machine;
    return (x == a && y == b) || (x == b && y == a);
}

/* Words that were lost are said again; segments too. */
static void conn_revive(struct conn *conn)
{
    for (int i = 0; i < 2; i++) {
        struct pipe *pipe = &conn->pipes[i];
        if (pipe->unheard_size != 0 && !is_blocked(conn, 1 - i)) acknowledge(pipe, 0);
        unstall(pipe);
    }
}

void sim_conns_power_on(struct sim_machine *m)
{
    LIST_EACH (node, &m->sim->conns) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        if (conn->ends[0].machine == m || conn->ends[1].machine == m) conn_revive(conn);
    }
}

void sim_cut_one_way(struct sim_machine *from, struct sim_machine *to)
{
    lane_cut(from, to, true);
    sim_trace(from->sim, from, "cut", to->index, 0);
}

void sim_cut(struct sim_machine *a, struct sim_machine *b)
{
    sim_cut_one_way(a, b);
    sim_cut_one_way(b, a);
}

void sim_heal(struct sim_machine *a, struct sim_machine *b)
{
    lane_cut(a, b, false);
    lane_cut(b, a, false);
    sim_trace(a->sim, a, "heal", b->index, 0);
    LIST_EACH (node, &a->sim->conns) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        if (is_between(conn, a, b)) conn_revive(conn);
    }
}

void sim_heal_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->machine_count; i++)
        for (size_t j = 0; j <= i; j++) {
            struct sim_machine *a = sim->machines[i], *b = sim->machines[j];
            if (a->lanes[j].is_cut || b->lanes[i].is_cut) sim_heal(a, b);
        }
}

void sim_clog(struct sim_machine *from, struct sim_machine *to, uint64_t for_us)
{
    from->lanes[to->index].clogged_until_us = from->sim->now_us + for_us;
    sim_trace(from->sim, from, "clog", to->index, for_us);
}

void sim_reset(struct sim_machine *a, struct sim_machine *b)
{
    sim_trace(a->sim, a, "reset all", b->index, 0);
    struct list_node *node = a->sim->conns.next;
    while (node != &a->sim->conns) {
        struct conn *conn = LIST_ENTRY(node, struct conn, node);
        node = node->next;
        if (!is_between(conn, a, b)) continue;
        for (int i = 0; i < 2; i++)
            if (conn->ends[i].is_known) end_lose(conn, i, E_CLOSED);
        conn_free_if_over(conn);
    }
}

void sim_link_default(struct sim *sim, const struct sim_link *link)
{
    sim->link_default = *link;
}

void sim_link_set(struct sim_machine *from, struct sim_machine *to, const struct sim_link *link)
{
    struct lane *lane = &from->lanes[to->index];
    lane->link = *link;
    lane->is_set = true;
}

void sim_tcp_limits_set(struct sim *sim, const struct sim_tcp_limits *limits)
{
    sim->tcp_limits = *limits;
}

size_t sim_machine_connections(const struct sim_machine *m)
{
    size_t count = 0;
    LIST_EACH (node, &m->sim->conns) {
        const struct conn *conn = LIST_ENTRY(node, struct conn, node);
        for (int i = 0; i < 2; i++)
            if (conn->ends[i].machine == m && conn->ends[i].is_known) count++;
    }
    return count;
}
