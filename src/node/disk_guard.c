/* src/node/disk_guard.c: look, now and then, on the pool. */
#include "node/disk_guard.h"

#include "obs/logger.h"

static const struct logger logger = {.room = "disk"};

enum {
    LOOK_SIZE = 8 << 20,    /* Bytes written between two looks, */
    LOOK_MS = 1000,         /* or this long, when anything is written at all; */
    LOOK_LOW_MS = 200,      /* and this, while writes are being refused. */
    TOTAL_PER_RESERVE = 10, /* The reserve is at most this part of the disk. */
};

void disk_guard_init(struct disk_guard *g, struct io_loop *loop, const char *dir,
                     uint64_t reserve_size, void (*on_low)(struct disk_guard *g))
{
    *g = (struct disk_guard){
        .loop = loop, .dir = dir, .reserve_size = reserve_size, .on_low = on_low};
}

static void look_run(struct io_work *work)
{
    struct disk_guard *g = LIST_ENTRY(work, struct disk_guard, work);
    g->rc = io_disk_space(io_of(g->loop), g->dir, &g->free_size, &g->total_size);
}

static uint64_t reserve_of(const struct disk_guard *g)
{
    uint64_t share = g->total_size / TOTAL_PER_RESERVE;
    return share < g->reserve_size ? share : g->reserve_size;
}

static void look_done(struct io_work *work)
{
    struct disk_guard *g = LIST_ENTRY(work, struct disk_guard, work);
    g->is_looking = false;
    if (g->on_idle != NULL) {
        g->on_idle(g);
        return;
    }
    bool was_low = g->is_low;
    if (g->rc == 0) g->is_low = g->free_size < reserve_of(g);
    if (g->is_low && !was_low) {
        LOG_ERROR(&logger, "disk nearly full: writes are refused, reads are served",
                  field_str("dir", g->dir), field_u64("free", g->free_size),
                  field_u64("reserve", reserve_of(g)));
        g->on_low(g);
    }
    if (!g->is_low && was_low) LOG_INFO(&logger, "disk has room again", field_str("dir", g->dir));
}

static void look(struct disk_guard *g)
{
    g->is_looking = true;
    g->written_size = 0;
    g->looked_ms = io_now(io_of(g->loop)).boot_ms;
    g->work.run = look_run;
    g->work.done = look_done;
    io_work(g->loop, &g->work);
}

static bool is_stale(const struct disk_guard *g, uint64_t after_ms)
{
    return io_now(io_of(g->loop)).boot_ms >= g->looked_ms + after_ms;
}

void disk_guard_wrote(struct disk_guard *g, uint64_t size)
{
    g->written_size += size;
    if (g->is_looking || g->on_idle != NULL) return;
    if (g->written_size >= LOOK_SIZE || is_stale(g, LOOK_MS)) look(g);
}

bool disk_guard_refuses(struct disk_guard *g)
{
    if (!g->is_low) return false;
    if (!g->is_looking && g->on_idle == NULL && is_stale(g, LOOK_LOW_MS)) look(g);
    return true;
}

bool disk_guard_stop(struct disk_guard *g, void (*on_idle)(struct disk_guard *g))
{
    g->on_idle = on_idle;
    return !g->is_looking;
}
