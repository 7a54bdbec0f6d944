/* sim/io/disk.c: what is on the platter, what is only in memory, and what power loss makes of
 * it. */
#include <string.h>

#include "base/check.h"
#include "sim/io/disk.h"

static struct prng *chance(const struct disk *d)
{
    return &d->machine->sim->prng;
}

/* ---- Inodes ---- */

struct inode *sim_inode_new(struct disk *d, bool is_dir)
{
    struct inode *inode = sim_alloc(sizeof *inode);
    inode->id = ++d->inode_ids;
    inode->is_dir = is_dir;
    list_init(&inode->writes);
    return inode;
}

struct inode *sim_inode_ref(struct inode *inode)
{
    inode->refs++;
    return inode;
}

static void writes_free(struct inode *inode)
{
    struct list_node *node;
    while ((node = list_pop_front(&inode->writes)) != NULL)
        sim_free_memory(LIST_ENTRY(node, struct write, node));
}

void sim_inode_unref(struct inode *inode)
{
    if (inode == NULL || --inode->refs > 0) return;
    writes_free(inode);
    buf_fini(&inode->seen);
    buf_fini(&inode->durable);
    sim_free_memory(inode);
}

/* ---- Bytes ---- */

static void bytes_resize(struct buf *b, size_t size)
{
    struct memory *process = sim_memory_enter(NULL);
    if (size > b->size) {
        size_t before = b->size;
        CHECK(buf_extend(b, size - before) != NULL);
        memset(b->data + before, 0, size - before);
    }
    b->size = size;
    (void)sim_memory_enter(process);
}

static void bytes_put(struct buf *b, uint64_t offset, const uint8_t *data, size_t size)
{
    if (b->size < offset + size) bytes_resize(b, (size_t)offset + size);
    if (size != 0) memcpy(b->data + offset, data, size);
}

static void bytes_copy(struct buf *to, const struct buf *from)
{
    bytes_resize(to, from->size);
    if (from->size != 0) memcpy(to->data, from->data, from->size);
}

static void write_apply(struct buf *to, const struct write *w)
{
    if (w->is_truncate) bytes_resize(to, (size_t)w->offset);
    else bytes_put(to, w->offset, w->data, w->size);
}

/* ---- Writes ---- */

/* What has become durable by now needs no list any more. */
static void writes_fold(struct disk *d, struct inode *inode)
{
    while (!list_is_empty(&inode->writes)) {
        struct write *w = LIST_ENTRY(inode->writes.next, struct write, node);
        if (w->durable_us > d->machine->sim->now_us) return;
        write_apply(&inode->durable, w);
        list_remove(&w->node);
        sim_free_memory(w);
    }
}

static void write_push(struct disk *d, struct inode *inode, const struct write *head,
                       const uint8_t *data)
{
    struct write *w = sim_alloc(sizeof *w + head->size);
    *w = *head;
    w->issued_us = sim_thread_now_us(d->machine->sim);
    w->durable_us = UINT64_MAX;
    if (data != NULL) memcpy(w->data, data, head->size);
    writes_fold(d, inode);
    list_push_back(&inode->writes, &w->node);
    d->used_size -= inode->seen.size;
    write_apply(&inode->seen, w);
    d->used_size += inode->seen.size;
}

void sim_inode_write(struct disk *d, struct inode *inode, uint64_t offset, struct slice bytes)
{
    write_push(d, inode, &(struct write){.offset = offset, .size = bytes.size}, bytes.data);
}

void sim_inode_truncate(struct disk *d, struct inode *inode, uint64_t size)
{
    write_push(d, inode, &(struct write){.is_truncate = true, .offset = size}, NULL);
}

void sim_inode_synced(struct disk *d, struct inode *inode, uint64_t at_us)
{
    LIST_EACH (node, &inode->writes) {
        struct write *w = LIST_ENTRY(node, struct write, node);
        if (w->durable_us > at_us) w->durable_us = at_us;
    }
    writes_fold(d, inode);
}

/* ---- What chance makes of a write that was under way ---- */

/* Put something else where bytes were lost: what was there before, zeros, or garbage. */
static void put_lost(struct disk *d, struct buf *to, uint64_t offset, size_t size)
{
    uint8_t sector[SIM_SECTOR_SIZE] = {0};
    CHECK(size <= sizeof sector);
    switch (prng_below(chance(d), 3)) {
    case 0: return;
    case 1: prng_bytes(chance(d), sector, size); break;
    default: break;
    }
    bytes_put(to, offset, sector, size);
}

/* Keep some sectors: those up to a cut, or any of them. */
static void write_tear(struct disk *d, struct buf *to, const struct write *w)
{
    uint64_t end = w->offset + w->size;
    uint64_t first = w->offset / SIM_SECTOR_SIZE, last = (end - 1) / SIM_SECTOR_SIZE;
    bool is_scattered = prng_percent(chance(d), 25);
    uint64_t cut = prng_between(chance(d), first, last);
    for (uint64_t sector = first; sector <= last; sector++) {
        uint64_t from = sector * SIM_SECTOR_SIZE, until = from + SIM_SECTOR_SIZE;
        if (from < w->offset) from = w->offset;
        if (until > end) until = end;
        size_t size = (size_t)(until - from);
        if (is_scattered ? prng_percent(chance(d), 50) : sector < cut)
            bytes_put(to, from, w->data + (from - w->offset), size);
        else put_lost(d, to, from, size);
    }
}

enum fate { FATE_LOST, FATE_KEPT, FATE_ANY };

static enum fate draw_fate(const struct disk *d)
{
    return (enum fate)prng_below(chance(d), 3);
}

/* 'fate' is that of the whole file at this moment; within ANY each write has one of its own. */
static void write_settle(struct disk *d, struct buf *to, const struct write *w, enum fate fate)
{
    if (fate == FATE_ANY) fate = draw_fate(d);
    if (fate == FATE_LOST) return;
    if (fate == FATE_KEPT || w->is_truncate || w->size == 0) write_apply(to, w);
    else write_tear(d, to, w);
}

/* The length may have reached the platter without the bytes. */
static void tail_settle(struct disk *d, struct inode *inode)
{
    if (inode->seen.size <= inode->durable.size || !prng_percent(chance(d), 25)) return;
    size_t before = inode->durable.size;
    size_t size = (size_t)prng_between(chance(d), before, inode->seen.size);
    bool is_garbage = prng_percent(chance(d), 50);
    bytes_resize(&inode->durable, size);
    if (is_garbage) prng_bytes(chance(d), inode->durable.data + before, size - before);
}

void sim_inode_sync_failed(struct disk *d, struct inode *inode)
{
    enum fate fate = draw_fate(d);
    struct list_node *node;
    inode->has_sync_failed = true;
    while ((node = list_pop_front(&inode->writes)) != NULL) {
        struct write *w = LIST_ENTRY(node, struct write, node);
        if (w->durable_us != UINT64_MAX) write_apply(&inode->durable, w);
        else write_settle(d, &inode->durable, w, fate);
        sim_free_memory(w);
    }
}

static void inode_lose_power(struct disk *d, struct inode *inode, uint64_t at_us)
{
    enum fate fate = draw_fate(d);
    bool had_pending = false;
    LIST_EACH (node, &inode->writes) {
        const struct write *w = LIST_ENTRY(node, struct write, node);
        if (w->issued_us > at_us) break; /* It never came to this. */
        if (w->durable_us <= at_us) {
            write_apply(&inode->durable, w);
            continue;
        }
        had_pending = true;
        write_settle(d, &inode->durable, w, fate);
    }
    if (had_pending) tail_settle(d, inode);
    writes_free(inode);
    bytes_copy(&inode->seen, &inode->durable);
    inode->has_sync_failed = false;
}

/* ---- Names ---- */

static char *copy_of(const char *text)
{
    if (text == NULL) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = sim_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

static void change_apply(struct tree *t, const struct change *c)
{
    switch (c->type) {
    case CHANGE_PUT: sim_tree_put(t, c->path, c->inode); break;
    case CHANGE_REMOVE: sim_tree_remove(t, c->path); break;
    case CHANGE_MOVE: sim_tree_move(t, c->path, c->to); break;
    }
}

static void change_free(struct change *c)
{
    list_remove(&c->node);
    sim_inode_unref(c->inode);
    sim_free_memory(c->path);
    sim_free_memory(c->to);
    sim_free_memory(c);
}

/* Changes of one directory become durable together, so folding some and not others keeps the order
 * of those that touch one name. */
static void changes_fold(struct disk *d)
{
    struct list_node *node = d->changes.next;
    while (node != &d->changes) {
        struct change *c = LIST_ENTRY(node, struct change, node);
        node = node->next;
        if (c->durable_us > d->machine->sim->now_us) continue;
        change_apply(&d->durable, c);
        change_free(c);
    }
}

void sim_disk_change(struct disk *d, enum change_type type, const char *path, const char *to,
                     struct inode *inode)
{
    struct change *c = sim_alloc(sizeof *c);
    c->type = type;
    c->path = copy_of(path);
    c->to = copy_of(to);
    c->inode = inode == NULL ? NULL : sim_inode_ref(inode);
    c->issued_us = sim_thread_now_us(d->machine->sim);
    c->durable_us = UINT64_MAX;
    changes_fold(d);
    list_push_back(&d->changes, &c->node);
    change_apply(&d->seen, c);
}

static bool is_in(const struct change *c, const char *dir)
{
    char parent[SIM_PATH_SIZE];
    sim_path_parent(c->path, parent);
    if (strcmp(parent, dir) == 0) return true;
    if (c->to == NULL) return false;
    sim_path_parent(c->to, parent);
    return strcmp(parent, dir) == 0;
}

void sim_dir_synced(struct disk *d, const char *dir, uint64_t at_us)
{
    LIST_EACH (node, &d->changes) {
        struct change *c = LIST_ENTRY(node, struct change, node);
        if (c->durable_us > at_us && is_in(c, dir)) c->durable_us = at_us;
    }
    changes_fold(d);
}

void sim_dir_sync_failed(struct disk *d, const char *dir)
{
    struct list_node *node = d->changes.next;
    while (node != &d->changes) {
        struct change *c = LIST_ENTRY(node, struct change, node);
        node = node->next;
        if (!is_in(c, dir)) continue;
        if (c->durable_us != UINT64_MAX || prng_percent(chance(d), 50))
            change_apply(&d->durable, c);
        change_free(c);
    }
}

/* Of the changes that no sync covers a journal keeps those up to some moment; a lesser file system
 * keeps any. */
static void changes_lose_power(struct disk *d, uint64_t at_us)
{
    bool has_journal = prng_percent(chance(d), 50);
    bool is_cut = false;
    while (!list_is_empty(&d->changes)) {
        struct change *c = LIST_ENTRY(d->changes.next, struct change, node);
        bool is_durable = c->durable_us <= at_us;
        if (!is_durable && prng_percent(chance(d), 50)) is_cut = true;
        bool is_kept = is_durable || (c->issued_us <= at_us && !is_cut);
        if (is_kept) change_apply(&d->durable, c);
        if (!has_journal) is_cut = false;
        change_free(c);
    }
}

/* What is in a directory that is not there is not there either. */
static void drop_orphans(struct tree *t)
{
    char parent[SIM_PATH_SIZE];
    for (size_t i = 0; i < t->count;) { /* Parents come first. */
        sim_path_parent(t->entries[i].path, parent);
        if (strcmp(parent, "/") == 0 || sim_tree_find(t, parent) != NULL) i++;
        else sim_tree_remove(t, t->entries[i].path);
    }
}

void sim_disk_lose_power(struct disk *d)
{
    uint64_t at_us = sim_thread_now_us(d->machine->sim);
    changes_lose_power(d, at_us);
    drop_orphans(&d->durable);
    d->used_size = 0;
    for (size_t i = 0; i < d->durable.count; i++) {
        struct inode *inode = d->durable.entries[i].inode;
        inode_lose_power(d, inode, at_us);
        d->used_size += inode->seen.size;
    }
    sim_tree_copy(&d->seen, &d->durable);
}

/* ---- Disks ---- */

struct disk *sim_disk_new(struct sim_machine *m)
{
    struct disk *d = sim_alloc(sizeof *d);
    d->machine = m;
    sim_disk_default(&d->behaviour);
    list_init(&d->changes);
    list_init(&d->handles);
    list_init(&d->faults);
    return d;
}

static void clear(struct disk *d)
{
    while (!list_is_empty(&d->changes))
        change_free(LIST_ENTRY(d->changes.next, struct change, node));
    sim_tree_clear(&d->seen);
    sim_tree_clear(&d->durable);
    d->used_size = 0;
}

void sim_disk_wipe(struct sim_machine *m)
{
    CHECK(!m->is_up);
    clear(m->disk);
    sim_trace(m->sim, m, "disk wipe", 0, 0);
}

void sim_disk_free(struct disk *d)
{
    sim_disk_close_all(d);
    clear(d);
    sim_faults_clear(d);
    sim_free_memory(d);
}
