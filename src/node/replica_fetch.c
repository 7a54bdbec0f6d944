/* src/node/replica_fetch.c: fetched values, found by their key's hash. */
#include "node/replica_fetch.h"

#include <string.h>

#include "base/crc.h"
#include "base/mem.h"
#include "node/replica.h"
#include "node/worker.h"

struct fetched {
    struct slice key;         /* Borrowed from the stalled request. */
    struct store_value value; /* Pinned. */
    int rc;
};

struct replica_fetch {
    struct io_work work;
    struct replica *replica;
    void (*on_done)(struct replica *r);
    struct fetched *items;
    size_t count, first; /* Those from 'first' on are being fetched now. */
    uint32_t *slots;     /* Open addressing, at most half full: index + 1; 0 is free. */
    size_t mask;
};

static size_t slot_of(const struct replica_fetch *f, struct slice key)
{
    size_t at = (size_t)crc64(key.data, key.size) & f->mask;
    while (f->slots[at] != 0 && !slice_equal(f->items[f->slots[at] - 1].key, key))
        at = (at + 1) & f->mask;
    return at;
}

int replica_fetch_find(const struct replica *r, struct slice key, struct kv_row *out)
{
    const struct replica_fetch *f = r->fetch;
    uint32_t found = f != NULL ? f->slots[slot_of(f, key)] : 0;
    if (found == 0) return E_AGAIN;
    const struct fetched *item = &f->items[found - 1];
    return item->rc != 0 ? item->rc : kv_row_read(item->value.bytes, out);
}

static void fetch_drop(struct replica_fetch *f)
{
    if (f == NULL) return;
    mem_free(f->items);
    mem_free(f->slots);
    mem_free(f);
}

void replica_fetch_free(struct replica *r)
{
    struct replica_fetch *f = r->fetch;
    for (size_t i = 0; f != NULL && i < f->count; i++) store_value_release(&f->items[i].value);
    fetch_drop(f);
    r->fetch = NULL;
}

static void fetch_run(struct io_work *work)
{
    struct replica_fetch *f = LIST_ENTRY(work, struct replica_fetch, work);
    for (size_t i = f->first; i < f->count; i++)
        f->items[i].rc =
            store_get(f->replica->store, f->items[i].key, STORE_ANY, &f->items[i].value);
}

static void fetch_done(struct io_work *work)
{
    struct replica_fetch *f = LIST_ENTRY(work, struct replica_fetch, work);
    struct replica *r = f->replica;
    f->on_done(r);
    replica_release(r);
}

/* Room for so many values. NULL: no memory. */
static struct replica_fetch *fetch_new(size_t count)
{
    struct replica_fetch *f = mem_zalloc(sizeof *f);
    if (f == NULL) return NULL;
    size_t slot_count = 2;
    while (slot_count < 2 * count) slot_count *= 2;
    f->mask = slot_count - 1;
    f->items = mem_zalloc(count * sizeof *f->items);
    f->slots = mem_zalloc(slot_count * sizeof *f->slots);
    if (f->items != NULL && f->slots != NULL) return f;
    fetch_drop(f);
    return NULL;
}

static struct fetched *fetch_add(struct replica_fetch *f, struct slice key)
{
    size_t slot = slot_of(f, key);
    if (f->slots[slot] != 0) return &f->items[f->slots[slot] - 1]; /* The key comes twice. */
    struct fetched *item = &f->items[f->count++];
    item->key = key;
    f->slots[slot] = (uint32_t)f->count;
    return item;
}

int replica_fetch_begin(struct replica *r, const struct kv_write *write,
                        void (*on_done)(struct replica *r))
{
    struct replica_fetch *before = r->fetch;
    size_t kept = before != NULL ? before->count : 0, count = kept, position = 0;
    struct slice key;
    while (kv_write_missing_key(write, &position, &key)) count++;
    struct replica_fetch *f = fetch_new(count);
    if (f == NULL) return E_NOMEM;
    for (size_t i = 0; i < kept; i++) *fetch_add(f, before->items[i].key) = before->items[i];
    fetch_drop(before);
    position = 0;
    while (kv_write_missing_key(write, &position, &key)) (void)fetch_add(f, key);
    f->replica = r;
    f->on_done = on_done;
    f->first = kept;
    f->work.run = fetch_run;
    f->work.done = fetch_done;
    r->fetch = f;
    r->busy++;
    io_work(r->worker->loop, &f->work);
    return 0;
}
