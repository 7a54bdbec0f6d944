/* sim/io/fault.c: how a disk behaves: how long a call takes, when it fails, and how bytes rot. */
#include <string.h>

#include "base/check.h"
#include "sim/io/disk.h"

void sim_disk_default(struct sim_disk *out)
{
    *out = (struct sim_disk){.write_us = 5, .read_us = 20, .sync_us = 200, .sync_jitter_us = 100};
}

void sim_disk_set(struct sim_machine *m, const struct sim_disk *disk)
{
    m->disk->behaviour = *disk;
}

static uint64_t time_of(struct disk *d, enum sim_disk_call call)
{
    struct prng *p = &d->machine->sim->prng;
    const struct sim_disk *b = &d->behaviour;
    uint64_t us = 0;
    switch (call) {
    case SIM_DISK_WRITE:
    case SIM_DISK_META: us = b->write_us; break;
    case SIM_DISK_READ: us = b->read_us; break;
    case SIM_DISK_SYNC: us = b->sync_us + sim_draw_exponential(p, b->sync_jitter_us); break;
    }
    if (sim_draw_per_million(p, b->spike_per_million)) us += b->spike_us;
    return us;
}

static uint32_t error_rate(const struct sim_disk *b, enum sim_disk_call call)
{
    switch (call) {
    case SIM_DISK_WRITE: return b->write_eio_per_million;
    case SIM_DISK_READ: return b->read_eio_per_million;
    case SIM_DISK_SYNC: return b->sync_eio_per_million;
    case SIM_DISK_META: break;
    }
    return 0;
}

/* The first fault that strikes this call decides; each counts every call it could have struck. */
static int strike(struct disk *d, enum sim_disk_call call, const char *path)
{
    int code = 0;
    struct list_node *node = d->faults.next;
    while (node != &d->faults) {
        struct fault *fault = LIST_ENTRY(node, struct fault, node);
        node = node->next;
        if (fault->call != call) continue;
        if (fault->path != NULL && strstr(path, fault->path) == NULL) continue;
        if (fault->in > 1) {
            fault->in--;
            continue;
        }
        if (code == 0) code = fault->code;
        if (fault->is_sticky) continue;
        list_remove(&fault->node);
        sim_free_memory(fault);
    }
    return code;
}

int sim_disk_call(struct disk *d, enum sim_disk_call call, const char *path)
{
    static const char *const names[] = {"disk write", "disk read", "disk sync", "disk name"};
    struct sim_machine *m = d->machine;
    sim_check_may_block(m);
    if (call != SIM_DISK_READ) sim_machine_output(m);
    uint64_t began_us = sim_thread_now_us(m->sim);
    sim_thread_spend(time_of(d, call));
    uint64_t ends_us = sim_thread_now_us(m->sim);
    if (began_us < d->hung_until_us && ends_us < d->hung_until_us)
        sim_thread_spend(d->hung_until_us - ends_us);
    int rc = strike(d, call, path);
    if (rc == 0 && sim_draw_per_million(&m->sim->prng, error_rate(&d->behaviour, call))) rc = E_IO;
    sim_trace(m->sim, m, names[call], strlen(path), (uint64_t)rc);
    return rc;
}

void sim_disk_fail(struct sim_machine *m, enum sim_disk_call call, const char *path, uint64_t nth,
                   int code, bool is_sticky)
{
    CHECK(nth > 0 && code != 0);
    struct fault *fault = sim_alloc(sizeof *fault);
    *fault =
        (struct fault){.call = call, .path = path, .in = nth, .code = code, .is_sticky = is_sticky};
    list_push_back(&m->disk->faults, &fault->node);
}

void sim_faults_clear(struct disk *d)
{
    struct list_node *node;
    while ((node = list_pop_front(&d->faults)) != NULL)
        sim_free_memory(LIST_ENTRY(node, struct fault, node));
}

void sim_disk_mend(struct sim_machine *m)
{
    sim_faults_clear(m->disk);
}

void sim_disk_hang(struct sim_machine *m, uint64_t for_us)
{
    m->disk->hung_until_us = m->sim->now_us + for_us;
    sim_trace(m->sim, m, "disk hang", for_us, 0);
}

/* ---- Rot ---- */

/* Find [offset, offset + size) of the file; the end of the file may cut it. */
static int find(struct sim_machine *m, const char *path, uint64_t offset, struct inode **out)
{
    struct inode *inode = sim_tree_find(&m->disk->seen, path);
    if (inode == NULL || inode->is_dir) return E_NOTFOUND;
    if (offset >= inode->seen.size) return E_INVALID;
    *out = inode;
    return 0;
}

/* What a sync is still carrying to the platter rots as well. */
static void rot(struct inode *inode, uint64_t offset, uint64_t size, uint8_t and, uint8_t xor)
{
    struct buf *copies[] = {&inode->seen, &inode->durable};
    for (uint64_t at = offset; at < offset + size; at++) {
        for (int i = 0; i < 2; i++)
            if (at < copies[i]->size) copies[i]->data[at] = (copies[i]->data[at] & and) ^ xor;
        LIST_EACH (node, &inode->writes) {
            struct write *w = LIST_ENTRY(node, struct write, node);
            if (at >= w->offset && at - w->offset < w->size)
                w->data[at - w->offset] = (w->data[at - w->offset] & and) ^ xor;
        }
    }
}

int sim_disk_flip_bit(struct sim_machine *m, const char *path, uint64_t bit)
{
    struct inode *inode;
    int rc = find(m, path, bit / 8, &inode);
    if (rc != 0) return rc;
    rot(inode, bit / 8, 1, 0xff, (uint8_t)(1u << bit % 8));
    sim_trace(m->sim, m, "disk flip", inode->id, bit);
    return 0;
}

int sim_disk_zero_sector(struct sim_machine *m, const char *path, uint64_t offset)
{
    struct inode *inode;
    offset = offset / SIM_SECTOR_SIZE * SIM_SECTOR_SIZE;
    int rc = find(m, path, offset, &inode);
    if (rc != 0) return rc;
    rot(inode, offset, SIM_SECTOR_SIZE, 0, 0);
    sim_trace(m->sim, m, "disk zero", inode->id, offset);
    return 0;
}

/* ---- Figures ---- */

uint64_t sim_disk_syncs_after_failure(const struct sim_machine *m)
{
    return m->disk->syncs_after_failure;
}

uint64_t sim_disk_used(const struct sim_machine *m)
{
    return m->disk->used_size;
}

uint64_t sim_disk_syncs(const struct sim_machine *m)
{
    return m->disk->syncs;
}
