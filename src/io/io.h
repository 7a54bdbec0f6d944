/* src/io/io.h: the world, as a port: loops, timers, sockets, blocking work, files and clocks.
 *
 * Two adapters stand behind it: io/uv (libuv and the operating system) and sim/ (virtual time, a fake
 * network and a fake disk). Everything above is written against this file alone, so that a whole
 * cluster of real nodes runs inside the simulator.
 *
 *     io        one machine's world; several may live in one process
 *     io_loop   one thread of events; everything that belongs to a loop is touched on it only
 *     io_post   a message to a loop, from any thread
 *     io_work   a blocking call for the small pool; its end comes back to the loop that asked
 *
 * Threads: a function may be called on the loop of the object it is given, unless it says "any
 * thread". Blocking functions (files, io_resolve) say so; they may be called in io_work's run(), on a
 * loop opened as IO_LOOP_MAY_BLOCK, and before the first loop is opened, nowhere else. */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/chunk.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/now.h"
#include "base/slice.h"

struct io;
struct io_loop;

/* ---- Clocks and chance -------------------------------------------------------------------------- */

/* A fresh reading of both clocks. Any thread. */
struct now io_now(struct io *io);

/* 64 bits to seed a PRNG with: from the system, or from the simulator's seed. Any thread. */
uint64_t io_seed(struct io *io);

/* ---- Loops -------------------------------------------------------------------------------------- */

enum io_loop_kind {
    IO_LOOP_EVENTS,    /* Never blocks: workers and the control loop. */
    IO_LOOP_MAY_BLOCK, /* May call the file functions: the log's writer. */
};

/* Open a loop with a thread of its own, called 'name' (at most 15 bytes are shown).
 * Returns 0 and gives '*out', to be closed with io_loop_close(); or E_NOMEM, E_IO. */
int io_loop_open(struct io *io, enum io_loop_kind kind, const char *name,
                 struct io_loop **out) MUST_CHECK;

/* Run what is posted until now, stop the thread, free the loop. Not on the loop itself. The sockets and
 * timers on it have been closed and stopped before. Accepts NULL. */
void io_loop_close(struct io_loop *loop);

struct io *io_of(struct io_loop *loop); /* Any thread. */

/* True on the thread that runs 'loop' now. */
bool io_is_on(struct io_loop *loop);

/* A message. It lives inside the sender's object and must stay alive until run() is called. */
struct io_post {
    struct list_node node; /* The adapter's. */
    void (*run)(struct io_post *post);
};

/* Have post->run called once on 'loop', soon, after everything posted there before by this thread.
 * Never fails. Any thread, the loop's own included (then it runs in a later turn or later in this
 * one, never inside this call). */
void io_post(struct io_loop *loop, struct io_post *post);

/* As io_post(), for a message whose run() is short and never waits for anything. If the loop sleeps
 * and nothing else comes for it by the end of the sender's turn, the sender's thread may run it, with
 * the hooks behind it, in the loop's place: that is still "on the loop", and spares waking a thread. */
void io_post_quick(struct io_loop *loop, struct io_post *post);

/* True while another thread runs the loop. What may block is put off then: io_call_home() has the loop
 * begin a turn on its own thread once the visitor has left. On the loop. */
bool io_is_visited(const struct io_loop *loop);
void io_call_home(struct io_loop *loop);

/* A turn of a loop: everything that was ready is run, then each hook once, then it waits. Hooks are
 * where batches are closed: one log submission, one write per connection. */
struct io_turn_hook {
    struct list_node node; /* The adapter's. */
    void (*run)(struct io_turn_hook *hook);
};

/* Call the hook at the end of every turn from now on, in the order of adding. What a hook posts or
 * appends is handled without waiting. On the loop. */
void io_turn_hook_add(struct io_loop *loop, struct io_turn_hook *hook);
void io_turn_hook_remove(struct io_turn_hook *hook);

/* ---- Timers: for leases, retries and deadlines, never on the data path ---------------------------- */

struct io_timer {
    struct heap_node node; /* The adapter's. */
    struct io_loop *loop;  /* The adapter's: set while it runs. */
    void (*run)(struct io_timer *timer);
};

/* Call timer->run once when boot_ms has come, or at once when it has passed. Starting a running timer
 * moves it. Never fails: when no memory is left it stops the process. An all-zero timer is stopped. */
void io_timer_start(struct io_loop *loop, struct io_timer *timer, uint64_t boot_ms);
void io_timer_stop(struct io_timer *timer);

/* ---- Blocking work -------------------------------------------------------------------------------- */

struct io_work {
    struct list_node node;              /* The adapter's. */
    struct io_loop *loop;               /* The adapter's: where done() is called. */
    void (*run)(struct io_work *work);  /* On a thread of the pool. May block. */
    void (*done)(struct io_work *work); /* On the loop, afterwards. */
};

/* Run work->run on the pool and then work->done on 'loop'. Never fails. On the loop. */
void io_work(struct io_loop *loop, struct io_work *work);

/* ---- TCP ------------------------------------------------------------------------------------------ */

struct io_address {
    uint32_t ipv4; /* Host order: 127.0.0.1 is 0x7f000001. */
    uint16_t port;
};

/* "127.0.0.1:34601" into 'text', which has room for IO_ADDRESS_TEXT_SIZE bytes. */
enum { IO_ADDRESS_TEXT_SIZE = 24 };
void io_address_print(struct io_address address, char *text);

/* Find the address of "host:port". Blocking. Returns 0, E_INVALID (no such form), E_NOTFOUND. */
int io_resolve(struct io *io, const char *host_port, struct io_address *out) MUST_CHECK;

struct io_listener;
struct io_arrival; /* A peer that has connected and sent its first bytes, on no loop yet. */
struct io_tcp;

enum { IO_MAGIC_SIZE = 4 };

struct io_listen_handler {
    /* A peer's first IO_MAGIC_SIZE bytes are there (they are still to be read: 'magic' is a look
     * ahead). Takes 'arrival': pass it on to io_tcp_accept(), io_arrival_detach() or
     * io_arrival_close(). On the loop of the listener. */
    void (*on_arrival)(void *context, struct io_arrival *arrival, const uint8_t *magic);
};

/* Listen at '*address'; port 0 takes a free one and '*address' then says which.
 * Returns 0, E_EXISTS (the port is taken), E_IO, E_NOMEM. */
int io_listen(struct io_loop *loop, struct io_address *address,
              const struct io_listen_handler *handler, void *context,
              struct io_listener **out) MUST_CHECK;

/* Stop listening; arrivals that are still silent are closed. Accepts NULL. */
void io_listener_close(struct io_listener *listener);

void io_arrival_close(struct io_arrival *arrival);

/* Gives the bare socket, non-blocking, nothing read from it. Only the uv adapter has one: the simulator
 * returns E_UNSUPPORTED and the arrival stays the caller's. */
int io_arrival_detach(struct io_arrival *arrival, int *fd) MUST_CHECK;

struct io_tcp_handler {
    /* io_tcp_connect() has ended: 0, E_REFUSED, E_UNREACHABLE, E_TIMEOUT (IO_TCP_CONNECT_MS). After
     * a failure on_closed follows with the same code. Not called when the owner closes before. NULL
     * for accepted connections. */
    void (*on_connected)(void *context, int rc);

    /* 'bytes' lie in 'chunk', which may be kept with chunk_ref() as long as wanted; its bytes never
     * change again. Return how many were consumed: the others come again, at their front, together
     * with more. Set '*need' to how many are needed in all before a call makes sense (0, as it is
     * when the call begins: one more); the callee has checked it against its own limit. Returning
     * more than bytes.size closes with E_PROTO. */
    size_t (*on_bytes)(void *context, struct chunk *chunk, struct slice bytes, size_t *need);

    /* What was to be sent fell below IO_TCP_LOW_WATER after having been above. May be NULL. */
    void (*on_drained)(void *context);

    /* The last call for this connection, exactly once, never from inside a call of the owner's:
     * E_CLOSED for the peer's or the owner's close, E_LIMIT, E_NOMEM, E_IO... 'tcp' is gone after. */
    void (*on_closed)(void *context, int why);
};

enum {
    IO_TCP_CONNECT_MS = 3000,        /* Longer is E_TIMEOUT. */
    IO_TCP_LOW_WATER = 1 << 20,      /* Bytes not yet sent. */
    IO_TCP_OUT_SIZE_MAX = 256 << 20, /* Bytes not yet sent: above, the connection is closed. */
};

/* Put the arrival on 'loop', on whose thread this is called. Takes 'arrival', also on failure (then it
 * is closed). Returns 0 or E_NOMEM, E_IO. */
int io_tcp_accept(struct io_loop *loop, struct io_arrival *arrival,
                  const struct io_tcp_handler *handler, void *context,
                  struct io_tcp **out) MUST_CHECK;

/* Connect. What is appended to the output meanwhile is sent once connected. Returns 0, E_NOMEM, E_IO:
 * what becomes of it is told by on_connected, never inside this call. */
int io_tcp_connect(struct io_loop *loop, struct io_address to, const struct io_tcp_handler *handler,
                   void *context, struct io_tcp **out) MUST_CHECK;

/* The output: append whole messages to it; it is sent at the end of the turn, with one call for all of
 * them. The pointer is good until the turn ends. */
struct buf *io_tcp_out(struct io_tcp *tcp);

/* Bytes appended and not yet taken by the system. */
size_t io_tcp_unsent(const struct io_tcp *tcp);

/* Stop or go on reading: backpressure towards the peer. While paused on_bytes is not called, and the
 * peer's close is not noticed. Bytes that on_bytes left come again by the end of the turn that goes
 * on, even if no more have come (and never inside this call). */
void io_tcp_pause(struct io_tcp *tcp, bool is_paused);

/* Close. What is in the output is still tried once. on_closed follows. Calling it twice is harmless. */
void io_tcp_close(struct io_tcp *tcp);

struct io_address io_tcp_peer(const struct io_tcp *tcp);

/* ---- Files: all blocking --------------------------------------------------------------------------- */

struct io_file;

enum io_open_flags {
    IO_OPEN_READ = 1,
    IO_OPEN_WRITE = 2,
    IO_OPEN_CREATE = 4,    /* Create when absent. */
    IO_OPEN_EXCLUSIVE = 8, /* With CREATE: E_EXISTS when it is there. */
};

/* Paths are relative to nothing: the caller joins them. Each returns 0 or E_NOTFOUND, E_EXISTS, E_IO,
 * E_NOSPACE, E_NOMEM. A file that was created is durable only after io_dir_sync() of its directory,
 * its bytes only after io_file_sync(). After a failed sync nothing is known of any byte written since
 * the last good one, and a second sync may succeed without having saved them. */
int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out) MUST_CHECK;
void io_file_close(struct io_file *file); /* Accepts NULL. Syncs nothing. */

/* Write all of the pieces at 'offset'. On failure any part of them may have been written. */
int io_file_write(struct io_file *file, uint64_t offset, const struct slice *pieces,
                  size_t count) MUST_CHECK;

/* Read up to 'size' bytes; '*got' is less only at the end of the file. */
int io_file_read(struct io_file *file, uint64_t offset, void *to, size_t size,
                 size_t *got) MUST_CHECK;
int io_file_sync(struct io_file *file) MUST_CHECK; /* As fdatasync. */
int io_file_size(struct io_file *file, uint64_t *size) MUST_CHECK;
int io_file_truncate(struct io_file *file, uint64_t size) MUST_CHECK;

int io_dir_make(struct io *io, const char *path) MUST_CHECK; /* With parents. Fine when there. */
int io_dir_sync(struct io *io, const char *path) MUST_CHECK;

/* Call 'each' for every entry but "." and "..", in byte order of the names. */
int io_dir_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
                void *context) MUST_CHECK;
int io_rename(struct io *io, const char *from, const char *to) MUST_CHECK;
int io_unlink(struct io *io, const char *path) MUST_CHECK;

/* Remove a directory and all below it. Fine when absent. */
int io_dir_remove(struct io *io, const char *path) MUST_CHECK;

/* Bytes free and in all of the disk that holds 'path'. */
int io_disk_space(struct io *io, const char *path, uint64_t *free_size,
                  uint64_t *total_size) MUST_CHECK;

/* Hold 'path' exclusively until the process ends, so that two servers never share a directory.
 * Returns 0 or E_BUSY. */
int io_lock(struct io *io, const char *path) MUST_CHECK;
