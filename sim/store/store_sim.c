/* sim/store/store_sim.c: the storage port on persistent maps (pmap.h). What it promises is
 * store.h, what it does wrong on purpose is store_sim.h. */
#include "sim/store/store_sim.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/prng.h"
#include "sim/store/files.h"

/* What a crash leaves of one store. */
struct image {
    struct list_node node; /* In the disk's images. */
    char *dir;
    uint64_t identity; /* Never 0. */
    struct store_content now;
    bool is_open, is_damaged;
    bool has_before; /* As it was when it was opened first, since store_sim_keep(). */
    struct store_content before;
};

struct store_sim_disk {
    struct list_node node; /* In 'disks'. */
    void *world;
    struct prng prng;
    struct store_sim_faults faults;
    struct io *io; /* Where the files are; NULL: directories are names of images, no more. */
    struct list_node images, envs;
};

struct store_env {
    struct list_node node; /* In the disk's envs. */
    struct store_sim_disk *disk;
    struct store_env_options options;
    struct list_node stores;
};

struct store {
    struct list_node node; /* In the env's stores. */
    struct store_env *env;
    struct image *image;
    struct pmap rows;
    uint64_t applied, timestamp_us;
    struct pmap flushing; /* With is_flushing: what will be the image. */
    uint64_t flushing_decree, flushing_timestamp_us;
    bool is_flushing, is_compact_stopped;
    int failed; /* The code of the flush that ended writing, or 0; see failure(). */
    struct store_policy policy;
    uint64_t stalls;
    struct list_node iters, pins;
};

struct store_iter {
    struct list_node node; /* In the store's iters. */
    struct store_sim_disk *disk;
    enum store_tier tier;
    struct pmap rows;          /* As they were. */
    struct row *lower, *upper; /* Rows for their keys alone; an empty upper key is no end. */
    struct row *at;            /* NULL: not valid. Borrowed from 'rows'. */
    int status;
};

/* A value that a reader holds. */
struct pin {
    struct list_node node; /* In the store's pins. */
    struct row *row;
};

/* Changes, one after another: u8 kind, u32 key size, u32 value size, key, value. */
struct store_batch {
    uint64_t timestamp_us;
    struct buf changes;
};

enum { CHANGE_PUT = 1, CHANGE_DELETE = 2 };

/* Disks by world: what would be a mount table. */
static struct list_node disks = {&disks, &disks};

/* Memory of the world, which is not allowed to run out. */
static void *take(size_t size)
{
    void *memory = calloc(1, size);
    CHECK(memory != NULL);
    return memory;
}

/* ---- Disks ----------------------------------------------------------------------------------- */

struct store_sim_disk *store_sim_disk_new(void *world, uint64_t seed)
{
    struct store_sim_disk *disk = take(sizeof *disk);
    disk->world = world;
    prng_init(&disk->prng, seed);
    list_init(&disk->images);
    list_init(&disk->envs);
    list_push_back(&disks, &disk->node);
    return disk;
}

void store_sim_disk_free(struct store_sim_disk *disk)
{
    if (disk == NULL) return;
    CHECK(list_is_empty(&disk->envs));
    store_sim_remove(disk, "");
    list_remove(&disk->node);
    free(disk);
}

void store_sim_faults_set(struct store_sim_disk *disk, const struct store_sim_faults *faults)
{
    disk->faults = *faults;
}

void store_sim_files(struct store_sim_disk *disk, struct io *io)
{
    CHECK(list_is_empty(&disk->images));
    disk->io = io;
}

static struct store_sim_disk *disk_find(void *world)
{
    LIST_EACH (node, &disks) {
        struct store_sim_disk *disk = LIST_ENTRY(node, struct store_sim_disk, node);
        if (disk->world == world) return disk;
    }
    return NULL;
}

static struct image *image_find(struct store_sim_disk *disk, const char *dir)
{
    LIST_EACH (node, &disk->images) {
        struct image *image = LIST_ENTRY(node, struct image, node);
        if (strcmp(image->dir, dir) == 0) return image;
    }
    return NULL;
}

static struct image *image_of_identity(struct store_sim_disk *disk, uint64_t identity)
{
    LIST_EACH (node, &disk->images) {
        struct image *image = LIST_ENTRY(node, struct image, node);
        if (image->identity == identity) return image;
    }
    return NULL;
}

static struct image *image_new(struct store_sim_disk *disk, const char *dir)
{
    struct image *image = take(sizeof *image);
    image->dir = strdup(dir);
    CHECK(image->dir != NULL);
    while (image->identity == 0) image->identity = prng_next(&disk->prng);
    list_push_back(&disk->images, &image->node);
    return image;
}

/* Its directory may have another name by now. */
static void image_move(struct image *image, const char *dir)
{
    char *copy = strdup(dir);
    CHECK(copy != NULL);
    free(image->dir);
    image->dir = copy;
}

static void image_free(struct image *image)
{
    CHECK(!image->is_open);
    list_remove(&image->node);
    pmap_fini(&image->now.rows);
    pmap_fini(&image->before.rows);
    free(image->dir);
    free(image);
}

/* 'dir' itself or below it; everything is below "". */
static bool is_in(const char *path, const char *dir)
{
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && (size == 0 || path[size] == '\0' || path[size] == '/');
}

void store_sim_remove(struct store_sim_disk *disk, const char *dir)
{
    for (struct list_node *node = disk->images.next, *next; node != &disk->images; node = next) {
        next = node->next;
        struct image *image = LIST_ENTRY(node, struct image, node);
        if (is_in(image->dir, dir)) image_free(image);
    }
}

void store_sim_damage(struct store_sim_disk *disk, const char *dir)
{
    struct image *image = image_find(disk, dir);
    CHECK(image != NULL && !image->is_open);
    image->is_damaged = true;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

int store_env_open(const struct store_env_options *options, struct store_env **out, struct err *e)
{
    struct store_sim_disk *disk = disk_find(options->world);
    if (disk == NULL) return err_set(e, E_STATE, "store environment: this world has no disk");
    struct store_env *env = take(sizeof *env);
    env->disk = disk;
    env->options = *options;
    list_init(&env->stores);
    list_push_back(&disk->envs, &env->node);
    *out = env;
    return 0;
}

void store_env_close(struct store_env *env)
{
    if (env == NULL) return;
    CHECK(list_is_empty(&env->stores));
    list_remove(&env->node);
    free(env);
}

/* As the files of 'dir' tell: a directory without any is a new store's, and a checkpoint's becomes a
 * store of its own when it is opened first. */
static int image_by_files(struct store_sim_disk *disk, const char *dir, struct image **out,
                          struct err *e)
{
    struct store_content content = {0};
    uint64_t identity = 0;
    int rc = store_files_load(disk->io, dir, &content, &identity, e);
    if (rc != 0 && rc != E_NOTFOUND) return rc;
    if (identity != 0) {
        pmap_fini(&content.rows); /* It may have flushed more since. */
        *out = image_of_identity(disk, identity);
        return *out != NULL ? 0 : err_set(e, E_CORRUPT, "store %s: made on another disk", dir);
    }
    *out = image_new(disk, dir);
    (*out)->now = content;
    return store_files_claim(disk->io, dir, (*out)->identity, e);
}

/* The image that a store in 'dir' begins with. */
static int image_for(struct store_sim_disk *disk, const char *dir, struct image **out,
                     struct err *e)
{
    if (disk->io != NULL) return image_by_files(disk, dir, out, e);
    *out = image_find(disk, dir);
    if (*out == NULL) *out = image_new(disk, dir);
    return 0;
}

int store_open(struct store_env *env, const char *dir, struct store **out, struct err *e)
{
    struct image *image = NULL;
    int rc = image_for(env->disk, dir, &image, e);
    if (rc != 0) return rc;
    if (image->is_open) return err_set(e, E_BUSY, "store %s: it is open already", dir);
    if (image->is_damaged) return err_set(e, E_CORRUPT, "store %s: a table file is damaged", dir);
    struct store_sim_faults *faults = &env->disk->faults;
    if (faults->open_code != 0 && faults->failing_opens > 0) {
        faults->failing_opens--;
        return err_set(e, faults->open_code, "store %s: %s", dir, err_text(faults->open_code));
    }

    image_move(image, dir);
    struct store *s = take(sizeof *s);
    s->env = env;
    s->image = image;
    image->is_open = true;
    if (!image->has_before) {
        image->has_before = true;
        image->before = store_content_copy(&image->now);
    }
    s->rows = pmap_copy(image->now.rows);
    s->applied = image->now.decree;
    s->timestamp_us = image->now.timestamp_us;
    list_init(&s->iters);
    list_init(&s->pins);
    list_push_back(&env->stores, &s->node);
    *out = s;
    return 0;
}

static void free_store(struct store *s)
{
    s->image->is_open = false;
    pmap_fini(&s->rows);
    pmap_fini(&s->flushing);
    list_remove(&s->node);
    free(s);
}

int store_close(struct store *s)
{
    if (s == NULL) return 0;
    CHECK(list_is_empty(&s->iters) && list_is_empty(&s->pins));
    int rc = store_flush(s);
    free_store(s);
    return rc;
}

static void pin_free(struct pin *pin)
{
    list_remove(&pin->node);
    row_unref(pin->row);
    free(pin);
}

static void crash_store(struct store *s)
{
    while (!list_is_empty(&s->iters))
        store_iter_close(LIST_ENTRY(s->iters.next, struct store_iter, node));
    while (!list_is_empty(&s->pins)) pin_free(LIST_ENTRY(s->pins.next, struct pin, node));
    free_store(s);
}

void store_sim_keep(struct store_sim_disk *disk)
{
    LIST_EACH (it, &disk->images) {
        struct image *image = LIST_ENTRY(it, struct image, node);
        pmap_fini(&image->before.rows);
        image->has_before = false;
    }
}

void store_sim_undo(struct store_sim_disk *disk)
{
    LIST_EACH (it, &disk->images) {
        struct image *image = LIST_ENTRY(it, struct image, node);
        CHECK(!image->is_open);
        if (!image->has_before) continue;
        pmap_fini(&image->now.rows);
        image->now = image->before;
        image->before = (struct store_content){0};
        image->has_before = false;
    }
}

void store_sim_crash(struct store_sim_disk *disk)
{
    while (!list_is_empty(&disk->envs)) {
        struct store_env *env = LIST_ENTRY(disk->envs.next, struct store_env, node);
        while (!list_is_empty(&env->stores))
            crash_store(LIST_ENTRY(env->stores.next, struct store, node));
        store_env_close(env);
    }
}

uint64_t store_applied(const struct store *s)
{
    return s->applied;
}

uint64_t store_timestamp_us(const struct store *s)
{
    return s->timestamp_us;
}

uint64_t store_durable(struct store *s)
{
    return s->image->now.decree;
}

void store_policy_set(struct store *s, const struct store_policy *policy)
{
    s->policy = *policy;
}

/* ---- Writing --------------------------------------------------------------------------------- */

int store_batch_new(struct store_batch **out)
{
    struct store_batch *b = mem_zalloc(sizeof *b);
    if (b == NULL) return E_NOMEM;
    *out = b;
    return 0;
}

void store_batch_free(struct store_batch *b)
{
    if (b == NULL) return;
    buf_fini(&b->changes);
    mem_free(b);
}

void store_batch_clear(struct store_batch *b)
{
    buf_clear(&b->changes);
    b->timestamp_us = 0;
}

void store_batch_stamp(struct store_batch *b, uint64_t timestamp_us)
{
    if (timestamp_us > b->timestamp_us) b->timestamp_us = timestamp_us;
}

static void append_change(struct store_batch *b, uint8_t kind, struct slice key, struct slice head,
                          struct slice body)
{
    buf_append_u8(&b->changes, kind);
    buf_append_be32(&b->changes, (uint32_t)key.size);
    buf_append_be32(&b->changes, (uint32_t)(head.size + body.size));
    buf_append_slice(&b->changes, key);
    buf_append_slice(&b->changes, head);
    buf_append_slice(&b->changes, body);
    CHECK(buf_status(&b->changes) == 0);
}

void store_batch_put(struct store_batch *b, struct slice key, struct slice head, struct slice body)
{
    append_change(b, CHANGE_PUT, key, head, body);
}

void store_batch_delete(struct store_batch *b, struct slice key)
{
    append_change(b, CHANGE_DELETE, key, slice_of(NULL, 0), slice_of(NULL, 0));
}

/* Make the change at the front of 'changes' and step over it. */
static void make_change(struct pmap *rows, struct slice *changes)
{
    enum { HEAD_SIZE = 9 };
    uint8_t kind = changes->data[0];
    size_t key_size = bytes_get_be32(changes->data + 1);
    size_t value_size = bytes_get_be32(changes->data + 5);
    struct slice key = slice_of(changes->data + HEAD_SIZE, key_size);
    struct slice value = slice_of(changes->data + HEAD_SIZE + key_size, value_size);
    *changes = slice_skip(*changes, HEAD_SIZE + key_size + value_size);
    if (kind == CHANGE_DELETE) {
        pmap_remove(rows, key);
        return;
    }
    struct row *row = row_new(key, value, slice_of(NULL, 0));
    pmap_put(rows, row);
    row_unref(row);
}

/* What keeps it from being written: for good, or while the disk is full. */
static int failure(struct store *s)
{
    if (s->failed == E_NOSPACE && s->env->disk->faults.flush_code != E_NOSPACE) s->failed = 0;
    return s->failed;
}

static void begin_flush(struct store *s)
{
    pmap_fini(&s->flushing);
    s->flushing = pmap_copy(s->rows);
    s->flushing_decree = s->applied;
    s->flushing_timestamp_us = s->timestamp_us;
    s->is_flushing = true;
}

static int end_flush(struct store *s)
{
    s->is_flushing = false;
    if (failure(s) == 0) s->failed = s->env->disk->faults.flush_code;
    if (s->failed == 0) {
        pmap_fini(&s->image->now.rows);
        s->image->now.rows = pmap_copy(s->flushing);
        s->image->now.decree = s->flushing_decree;
        s->image->now.timestamp_us = s->flushing_timestamp_us;
    }
    pmap_fini(&s->flushing);
    return s->failed;
}

int store_write(struct store *s, struct store_batch *b, uint64_t decree)
{
    CHECK(decree > s->applied);
    struct store_sim_disk *disk = s->env->disk;
    bool must_flush = disk->faults.flush_code == E_NOSPACE && prng_percent(&disk->prng, 20);
    if (must_flush) begin_flush(s); /* Also in the middle of a replay, where no background runs. */
    if (must_flush) (void)end_flush(s);
    if (failure(s) != 0) return s->failed;
    if (prng_percent(&disk->prng, disk->faults.stall_percent)) {
        s->stalls++;
        return E_BUSY;
    }
    for (struct slice changes = buf_slice(&b->changes); changes.size > 0;)
        make_change(&s->rows, &changes);
    s->applied = decree;
    if (b->timestamp_us > s->timestamp_us) s->timestamp_us = b->timestamp_us;
    return 0;
}

int store_failure(const struct store *s, struct err *e)
{
    if (s->failed == 0) return 0;
    return err_set(e, s->failed, "store %s: flush: %s", s->image->dir, err_text(s->failed));
}

void store_wait_writable(struct store *s)
{
    (void)s; /* Stalls here last for one call. */
}

/* ---- Reading --------------------------------------------------------------------------------- */

int store_get(struct store *s, struct slice key, enum store_tier tier, struct store_value *out)
{
    struct store_sim_disk *disk = s->env->disk;
    if (tier == STORE_CACHED && prng_percent(&disk->prng, disk->faults.again_percent))
        return E_AGAIN;
    struct row *row = pmap_find(s->rows, key);
    if (row == NULL) return E_NOTFOUND;
    struct pin *pin = take(sizeof *pin);
    pin->row = row_ref(row);
    list_push_back(&s->pins, &pin->node);
    *out = (struct store_value){row->value, pin};
    return 0;
}

void store_value_release(struct store_value *v)
{
    if (v->pin != NULL) pin_free(v->pin);
    *v = (struct store_value){0};
}

int store_iter_open(struct store *s, struct slice lower, struct slice upper, enum store_tier tier,
                    struct store_iter **out)
{
    struct store_iter *it = take(sizeof *it);
    it->disk = s->env->disk;
    it->tier = tier;
    it->rows = pmap_copy(s->rows);
    it->lower = row_new(lower, slice_of(NULL, 0), slice_of(NULL, 0));
    it->upper = row_new(upper, slice_of(NULL, 0), slice_of(NULL, 0));
    list_push_back(&s->iters, &it->node);
    *out = it;
    return 0;
}

void store_iter_close(struct store_iter *it)
{
    if (it == NULL) return;
    list_remove(&it->node);
    pmap_fini(&it->rows);
    row_unref(it->lower);
    row_unref(it->upper);
    free(it);
}

/* Stand on 'row', when it is within the bounds and the disk needn't be asked. */
static void stand_on(struct store_iter *it, struct row *row, uint32_t again_permille)
{
    it->at = NULL;
    it->status = 0;
    if (it->tier == STORE_CACHED && prng_below(&it->disk->prng, 1000) < again_permille) {
        it->status = E_AGAIN;
        return;
    }
    if (row == NULL || slice_compare(row->key, it->lower->key) < 0) return;
    if (it->upper->key.size > 0 && slice_compare(row->key, it->upper->key) >= 0) return;
    it->at = row;
}

void store_iter_seek(struct store_iter *it, struct slice key)
{
    if (slice_compare(key, it->lower->key) < 0) key = it->lower->key;
    stand_on(it, pmap_at_or_after(it->rows, key), it->disk->faults.again_percent * 10);
}

void store_iter_seek_last(struct store_iter *it, struct slice key)
{
    bool is_beyond = it->upper->key.size > 0 && slice_compare(key, it->upper->key) >= 0;
    struct row *row =
        is_beyond ? pmap_before(it->rows, it->upper->key) : pmap_at_or_before(it->rows, key);
    stand_on(it, row, it->disk->faults.again_percent * 10);
}

void store_iter_seek_end(struct store_iter *it)
{
    struct row *row =
        it->upper->key.size > 0 ? pmap_before(it->rows, it->upper->key) : pmap_last(it->rows);
    stand_on(it, row, it->disk->faults.again_percent * 10);
}

void store_iter_next(struct store_iter *it)
{
    CHECK(it->at != NULL);
    stand_on(it, pmap_after(it->rows, it->at->key), it->disk->faults.again_percent);
}

void store_iter_prev(struct store_iter *it)
{
    CHECK(it->at != NULL);
    stand_on(it, pmap_before(it->rows, it->at->key), it->disk->faults.again_percent);
}

bool store_iter_is_valid(const struct store_iter *it)
{
    return it->at != NULL;
}

struct slice store_iter_key(const struct store_iter *it)
{
    return it->at->key;
}

struct slice store_iter_value(const struct store_iter *it)
{
    return it->at->value;
}

int store_iter_status(const struct store_iter *it)
{
    return it->status;
}

/* ---- Flushing -------------------------------------------------------------------------------- */

int store_flush(struct store *s)
{
    if (s->image->now.decree == s->applied) return 0;
    begin_flush(s);
    return end_flush(s);
}

/* A checkpoint in memory alone. */
static int checkpoint_image(struct store *s, const char *dir)
{
    struct image *image = image_new(s->env->disk, dir);
    image->now = store_content_copy(&s->image->now);
    return 0;
}

int store_checkpoint(struct store *s, const char *dir, uint64_t *decree, struct err *e)
{
    struct store_sim_disk *disk = s->env->disk;
    if (disk->io == NULL && image_find(disk, dir) != NULL)
        return err_set(e, E_EXISTS, "checkpoint %s: it is there", dir);
    int rc = store_flush(s);
    if (rc != 0) return err_set(e, rc, "checkpoint %s: %s", dir, err_text(rc));
    rc = disk->io == NULL ? checkpoint_image(s, dir)
                          : store_files_save(disk->io, dir, &s->image->now, e);
    if (rc == 0) *decree = s->image->now.decree;
    return rc;
}

uint64_t store_identity(const struct store *s)
{
    return s->image->identity;
}

/* ---- Compaction ------------------------------------------------------------------------------ */

/* Let 'with' (NULL: nothing) stand where 'row' stands, if it still does in 'rows': a newer
 * version isn't touched. */
static void replace(struct pmap *rows, struct row *row, struct row *with)
{
    if (pmap_find(*rows, row->key) != row) return;
    if (with != NULL) pmap_put(rows, with);
    else pmap_remove(rows, row->key);
}

static void compact_row(struct store *s, struct row *row, uint64_t wall_us)
{
    uint32_t expire_ts;
    struct row *with = NULL;
    switch (store_policy_judge(&s->policy, wall_us, row->key, row->value, &expire_ts)) {
    case STORE_KEEP: return;
    case STORE_DROP: break;
    case STORE_EXPIRE: {
        uint8_t head[sizeof expire_ts];
        bytes_put_be32(head, expire_ts);
        with = row_new(row->key, slice_of(head, sizeof head), slice_skip(row->value, sizeof head));
        break;
    }
    }
    replace(&s->image->now.rows, row, with);
    if (s->is_flushing) replace(&s->flushing, row, with);
    replace(&s->rows, row, with);
    row_unref(with);
}

/* Judge the rows that have been flushed, each with a chance of 'percent': those are the ones
 * that lie in table files. */
static void compact(struct store *s, uint32_t percent)
{
    const struct store_env *env = s->env;
    uint64_t wall_us = env->options.wall_us(env->options.world);
    struct pmap walked = pmap_copy(s->image->now.rows);
    for (struct row *row = pmap_first(walked); row != NULL; row = pmap_after(walked, row->key))
        if (prng_percent(&env->disk->prng, percent)) compact_row(s, row, wall_us);
    pmap_fini(&walked);
}

int store_compact(struct store *s, enum store_compaction what, uint64_t as_of_s)
{
    (void)what; /* There is but one level. */
    if (s->is_compact_stopped) return E_CANCELED;
    int rc = store_flush(s);
    if (rc != 0) return rc;
    compact(s, 100);
    s->image->now.compacted_s = as_of_s;
    return 0;
}

uint64_t store_compacted_s(const struct store *s)
{
    return s->image->now.compacted_s;
}

void store_compact_stop(struct store *s)
{
    s->is_compact_stopped = true;
}

/* ---- In the background ----------------------------------------------------------------------- */

static struct store *draw_store(struct store_sim_disk *disk)
{
    struct store *drawn = NULL;
    uint64_t seen = 0;
    LIST_EACH (env_node, &disk->envs) {
        struct store_env *env = LIST_ENTRY(env_node, struct store_env, node);
        LIST_EACH (node, &env->stores) {
            if (prng_below(&disk->prng, ++seen) == 0) drawn = LIST_ENTRY(node, struct store, node);
        }
    }
    return drawn;
}

void store_sim_background(struct store_sim_disk *disk)
{
    struct store *s = draw_store(disk);
    if (s == NULL || failure(s) != 0) return;
    if (prng_percent(&disk->prng, 25)) compact(s, 50);
    else if (s->is_flushing) (void)end_flush(s); /* Remembered in the store: writes will tell. */
    else begin_flush(s);
}

void store_stats(struct store *s, struct store_stats *out)
{
    struct pmap_size all = pmap_size(s->rows), flushed = pmap_size(s->image->now.rows);
    *out = (struct store_stats){
        .memory_size = all.bytes > flushed.bytes ? all.bytes - flushed.bytes : 0,
        .disk_size = flushed.bytes,
        .keys = all.count,
        .stalls = s->stalls,
    };
}
