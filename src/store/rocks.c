/* src/store/rocks.c: the storage port on RocksDB 7.8. The one file that includes rocksdb/c.h.
 *
 *     family            rows                          written
 *     default           raw keys and values           by store_write(), without RocksDB's log
 *     pegasus_meta_cf   pegasus_data_version          once, "1"
 *                       pegasus_last_flushed_decree   in the same batch as the rows, in decimal
 *                       pirene_timestamp_us           likewise, when it has grown
 *
 * Names and layout are Pegasus's, so that checkpoints can be exchanged with it. Both families
 * are always flushed together ("atomic flush"): so the decree that is found on disk is that of
 * the rows that are found beside it, which is all of promise S1. Source: docs/storage.md, rules
 * ST1 to ST11. */
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/crc.h"
#include "store/flusher.h"
#include "store/store.h"
#include "wire/key.h"

enum { FAMILY_ROWS, FAMILY_META, FAMILY_COUNT };
static const char *const family_names[FAMILY_COUNT] = {"default", "pegasus_meta_cf"};

#define META_DECREE       "pegasus_last_flushed_decree"
#define META_TIMESTAMP    "pirene_timestamp_us"
#define META_COMPACTED    "pirene_compacted_s"
#define META_DATA_VERSION "pegasus_data_version"
#define META_FLUSH        "pirene.flush" /* Never in a table file: see flush_families(). */

enum {
    LEVELS = 6,
    TIER_DURABLE = STORE_ANY + 1, /* Table files only: what a crash would leave. */
    TIERS,
    NUMBER_TEXT_SIZE = 24,
    IDENTITY_SIZE_MAX = 256,
    PATH_SIZE = 4096,
    REPORT_EVERY = 64 * 1024, /* Bytes written between two reports to the flusher. */
};

struct store_env {
    struct store_env_options options;
    rocksdb_env_t *threads; /* RocksDB calls the owner of its threads "env". */
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *write_options;
    rocksdb_writeoptions_t *blocking_write_options;
    rocksdb_readoptions_t *read_options[TIERS];
    rocksdb_compactoptions_t *compact_options[2]; /* By enum store_compaction. */
    struct flusher *flusher;
};

struct store {
    struct store_env *env;
    char *dir;
    uint64_t identity;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
    _Atomic uint64_t applied, timestamp_us;
    _Atomic uint64_t stalls, compacted_s;
    size_t unreported;  /* Bytes written since the last report to the flusher. */
    struct err failure; /* Why the last write was refused; the code is 0 when it was not. */
    struct flusher_entry flusher_entry;
    pthread_mutex_t policy_lock;
    struct store_policy policy;
    pthread_mutex_t manual_lock; /* For what RocksDB calls a manual compaction; our flush is one. */
    bool is_compact_stopped;     /* They are disabled, except while flushing. */
};

struct store_batch {
    rocksdb_writebatch_t *changes;
    uint64_t decree;       /* The one that is among the changes already, or 0. */
    uint64_t timestamp_us; /* Its stamp, or 0. */
    uint64_t noted_us;     /* The time that is among the changes already, or 0. */
};

struct store_iter {
    rocksdb_iterator_t *rows;
    rocksdb_readoptions_t *options; /* Points into 'bounds'. */
    uint8_t bounds[];               /* Lower, then upper. */
};

/* ---- RocksDB's errors are sentences ---------------------------------------------------------- */

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The code nearest to a sentence. 'incomplete' is what it means that RocksDB would have had to
 * wait. */
static int code_of(const char *why, int incomplete)
{
    if (begins_with(why, "Result incomplete")) return incomplete;
    if (begins_with(why, "Corruption")) return E_CORRUPT;
    if (strstr(why, "No space left") != NULL || strstr(why, "quota exceeded") != NULL)
        return E_NOSPACE;
    if (strstr(why, "lock file") != NULL || strstr(why, "lock hold by") != NULL) return E_BUSY;
    return E_IO;
}

/* The code of '*why', which is freed; 0 for NULL. */
static int take_code(char *why, int incomplete)
{
    if (why == NULL) return 0;
    int rc = code_of(why, incomplete);
    rocksdb_free(why);
    return rc;
}

/* RocksDB counts every comparison for a profile, in variables of the thread, unless the thread
 * says that nobody will look: a tenth to a quarter of a call's time. */
static void count_nothing(void)
{
    rocksdb_set_perf_level(rocksdb_disable);
}

/* ---- The process's share --------------------------------------------------------------------- */

static rocksdb_readoptions_t *read_options_new(int tier)
{
    /* The numbers of RocksDB's ReadTier, which c.h doesn't name: all, block cache, persisted. */
    static const int rocksdb_tiers[TIERS] = {
        [STORE_CACHED] = 1, [STORE_ANY] = 0, [TIER_DURABLE] = 2};
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(options, rocksdb_tiers[tier]);
    return options;
}

static rocksdb_writeoptions_t *write_options_new(bool no_slowdown)
{
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(options, 1);
    rocksdb_writeoptions_set_no_slowdown(options, no_slowdown);
    return options;
}

/* The numbers of RocksDB's BottommostLevelCompaction, which c.h doesn't name: 0 leaves it, 3 rewrites it,
 * except what this very compaction has put there. */
static rocksdb_compactoptions_t *compact_options_new(unsigned char bottom)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compactoptions_set_bottommost_level_compaction(options, bottom);
    return options;
}

int store_env_open(const struct store_env_options *options, struct store_env **out, struct err *e)
{
    struct store_env *env = calloc(1, sizeof *env);
    if (env == NULL) return err_set(e, E_NOMEM, "store environment");
    int rc = flusher_open(options->write_buffer_size, &env->flusher);
    if (rc != 0) {
        free(env);
        return err_set(e, rc, "store environment: start a thread");
    }

    env->options = *options;
    env->threads = rocksdb_create_default_env();
    rocksdb_env_set_background_threads(env->threads, options->background_threads);
    rocksdb_env_set_high_priority_background_threads(env->threads, 1);
    env->cache = rocksdb_cache_create_lru(options->cache_size);
    env->write_options = write_options_new(true);
    env->blocking_write_options = write_options_new(false);
    for (int tier = 0; tier < TIERS; tier++) env->read_options[tier] = read_options_new(tier);
    env->compact_options[STORE_COMPACT_ALL] = compact_options_new(3);
    env->compact_options[STORE_COMPACT_UPPER] = compact_options_new(0);
    *out = env;
    return 0;
}

void store_env_close(struct store_env *env)
{
    if (env == NULL) return;
    flusher_close(env->flusher);
    for (int i = 0; i < 2; i++) rocksdb_compactoptions_destroy(env->compact_options[i]);
    for (int tier = 0; tier < TIERS; tier++) rocksdb_readoptions_destroy(env->read_options[tier]);
    rocksdb_writeoptions_destroy(env->blocking_write_options);
    rocksdb_writeoptions_destroy(env->write_options);
    rocksdb_cache_destroy(env->cache);
    rocksdb_env_destroy(env->threads);
    free(env);
}

/* ---- Compaction: the policy as a filter ------------------------------------------------------ */

/* One compaction's view: the policy and the time at which it began. */
struct filter {
    struct store_policy policy;
    uint64_t wall_us;
    struct buf rewritten; /* RocksDB copies the new value out of it. */
};

static void filter_free(void *state)
{
    struct filter *filter = state;
    buf_fini(&filter->rewritten);
    free(filter);
}

/* True: drop the row. */
static unsigned char filter_row(void *state, int level, const char *key, size_t key_size,
                                const char *value, size_t value_size, char **new_value,
                                size_t *new_size, unsigned char *is_changed)
{
    (void)level;
    struct filter *filter = state;
    uint32_t expire_ts;
    struct slice stored = slice_of(value, value_size);
    switch (store_policy_judge(&filter->policy, filter->wall_us, slice_of(key, key_size), stored,
                               &expire_ts)) {
    case STORE_KEEP: return 0;
    case STORE_DROP: return 1;
    case STORE_EXPIRE: break;
    }
    buf_clear(&filter->rewritten);
    buf_append_be32(&filter->rewritten, expire_ts);
    buf_append_slice(&filter->rewritten, slice_skip(stored, sizeof expire_ts));
    if (buf_status(&filter->rewritten) != 0) return 0; /* It stays as it is until the next time. */
    *new_value = (char *)filter->rewritten.data;
    *new_size = filter->rewritten.size;
    *is_changed = 1;
    return 0;
}

static const char *filter_name(void *state)
{
    (void)state;
    return "pirene.policy";
}

static rocksdb_compactionfilter_t *filter_new(void *state,
                                              rocksdb_compactionfiltercontext_t *context)
{
    (void)context;
    struct store *s = state;
    struct filter *filter = calloc(1, sizeof *filter);
    CHECK(filter != NULL); /* RocksDB itself ends the process without memory. */
    pthread_mutex_lock(&s->policy_lock);
    filter->policy = s->policy;
    pthread_mutex_unlock(&s->policy_lock);
    filter->wall_us = s->env->options.wall_us(s->env->options.world);
    return rocksdb_compactionfilter_create(filter, filter_free, filter_row, filter_name);
}

/* ---- Hash keys as prefixes ------------------------------------------------------------------- */

static void nothing_to_free(void *state)
{
    (void)state;
}

static char *prefix_of(void *state, const char *key, size_t size, size_t *prefix_size)
{
    (void)state;
    size_t wanted = KEY_HEAD_SIZE + (size_t)bytes_get_be16(key);
    *prefix_size = wanted < size ? wanted : size;
    return (char *)(uintptr_t)key; /* It is only read; c.h says 'char *'. */
}

static unsigned char prefix_is_there(void *state, const char *key, size_t size)
{
    (void)state;
    (void)key;
    return size >= KEY_HEAD_SIZE;
}

static const char *prefix_name(void *state)
{
    (void)state;
    return "pegasus.HashkeyTransform";
}

/* ---- Options --------------------------------------------------------------------------------- */

static rocksdb_block_based_table_options_t *table_options_new(struct store_env *env)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, env->cache);
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_whole_key_filtering(table, 0); /* By hash key: for scans too. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    return table;
}

/* What holds for the whole database, and for both families where they share it. */
static rocksdb_options_t *db_options_new(struct store_env *env)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    /* Write table files out as they grow: one large sync at their end would hold up the log's. */
    rocksdb_options_set_bytes_per_sync(o, 1 << 20);
    rocksdb_options_set_atomic_flush(o, 1);
    rocksdb_options_set_env(o, env->threads);
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0); /* One writer: its owner's loop. */
    rocksdb_options_set_enable_write_thread_adaptive_yield(o, 0);
    rocksdb_options_set_max_open_files(o, 256);
    rocksdb_options_set_max_file_opening_threads(o, 1);
    rocksdb_options_set_skip_stats_update_on_db_open(o, 1);
    rocksdb_options_set_stats_dump_period_sec(o, 0); /* No timers: an idle store is asleep. */
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    /* Of RocksDB's own log only the header: it stops the process at the line after one that
     * didn't fit on the disk. What matters comes back as an error anyway. */
    rocksdb_options_set_info_log_level(o, 4);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_max_manifest_file_size(o, 4 << 20);
    rocksdb_options_set_arena_block_size(o, 64 << 10); /* An idle store holds one of these. */
    rocksdb_options_set_max_write_buffer_number(o, 4); /* The same for both: flushed together. */
    return o;
}

static rocksdb_options_t *rows_options_new(struct store *s, rocksdb_options_t *db_options)
{
    static const int compression[LEVELS] = {rocksdb_no_compression,  rocksdb_lz4_compression,
                                            rocksdb_lz4_compression, rocksdb_lz4_compression,
                                            rocksdb_lz4_compression, rocksdb_lz4_compression};
    rocksdb_options_t *o = rocksdb_options_create_copy(db_options);
    rocksdb_options_set_write_buffer_size(o, s->env->options.write_buffer_size / 4);
    rocksdb_options_set_num_levels(o, LEVELS);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_target_file_size_base(o, 32 << 20);
    rocksdb_options_set_compression_per_level(o, compression, LEVELS);
    rocksdb_options_set_prefix_extractor(
        o, rocksdb_slicetransform_create(NULL, nothing_to_free, prefix_of, prefix_is_there,
                                         prefix_is_there, prefix_name));
    rocksdb_options_set_compaction_filter_factory(
        o, rocksdb_compactionfilterfactory_create(s, nothing_to_free, filter_new, filter_name));
    rocksdb_block_based_table_options_t *table = table_options_new(s->env);
    rocksdb_options_set_block_based_table_factory(o, table);
    rocksdb_block_based_options_destroy(table);
    return o;
}

/* Two keys: the decree is overwritten where it lies, so that it costs no memory per write. */
static rocksdb_options_t *meta_options_new(rocksdb_options_t *db_options)
{
    rocksdb_options_t *o = rocksdb_options_create_copy(db_options);
    rocksdb_options_set_inplace_update_support(o, 1);
    rocksdb_options_set_inplace_update_num_locks(o, 1);
    rocksdb_options_set_write_buffer_size(o,
                                          1 << 20); /* After a full disk it wants as much free. */
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    return o;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* RocksDB takes a directory without CURRENT for a new one and clears it of table files: refuse when
 * there are any. */
static bool has_lost_its_head(const char *dir)
{
    DIR *entries = opendir(dir);
    if (entries == NULL) return false;
    bool has_current = false, has_tables = false;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        has_current = has_current || strcmp(entry->d_name, "CURRENT") == 0;
        has_tables = has_tables || slice_has_suffix(slice_str(entry->d_name), slice_str(".sst"));
    }
    closedir(entries);
    return has_tables && !has_current;
}

/* Open the database in 'dir' as 's->db', with its families. */
static int open_families(struct store *s, const char *dir, bool is_read_only, struct err *e)
{
    rocksdb_options_t *db = db_options_new(s->env);
    rocksdb_options_t *rows = rows_options_new(s, db);
    rocksdb_options_t *meta = meta_options_new(db);
    const rocksdb_options_t *options[FAMILY_COUNT] = {[FAMILY_ROWS] = rows, [FAMILY_META] = meta};
    char *why = NULL;
    s->db = is_read_only ? rocksdb_open_for_read_only_column_families(
                               db, dir, FAMILY_COUNT, family_names, options, s->families, 0, &why)
                         : rocksdb_open_column_families(db, dir, FAMILY_COUNT, family_names,
                                                        options, s->families, &why);
    rocksdb_options_destroy(meta);
    rocksdb_options_destroy(rows);
    rocksdb_options_destroy(db);
    if (why == NULL) return 0;
    int rc = err_set(e, code_of(why, E_IO), "store %s: %s", dir, why);
    rocksdb_free(why);
    return rc;
}

static void close_families(struct store *s)
{
    for (int i = 0; i < FAMILY_COUNT; i++) rocksdb_column_family_handle_destroy(s->families[i]);
    rocksdb_close(s->db);
}

/* Read the decimal number under a meta key. Returns 0; E_NOTFOUND, E_CORRUPT, E_IO. */
static int meta_load(struct store *s, const char *name, int tier, uint64_t *out)
{
    char *why = NULL;
    size_t size;
    char *text = rocksdb_get_cf(s->db, s->env->read_options[tier], s->families[FAMILY_META], name,
                                strlen(name), &size, &why);
    if (why != NULL) return take_code(why, E_IO);
    if (text == NULL) return E_NOTFOUND;
    uint64_t value = 0;
    bool is_number = size > 0 && size < NUMBER_TEXT_SIZE;
    for (size_t i = 0; i < size && is_number; i++) {
        is_number = text[i] >= '0' && text[i] <= '9' &&
                    !__builtin_mul_overflow(value, 10, &value) &&
                    !__builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value);
    }
    rocksdb_free(text);
    if (!is_number) return E_CORRUPT;
    *out = value;
    return 0;
}

/* A store that was never flushed has no meta rows: give it some, so that they are in its first
 * flush. */
static int begin_store(struct store *s)
{
    char *why = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_writebatch_put_cf(batch, s->families[FAMILY_META], META_DATA_VERSION,
                              strlen(META_DATA_VERSION), "1", 1);
    rocksdb_writebatch_put_cf(batch, s->families[FAMILY_META], META_DECREE, strlen(META_DECREE),
                              "0", 1);
    rocksdb_write(s->db, s->env->write_options, batch, &why);
    rocksdb_writebatch_destroy(batch);
    return take_code(why, E_BUSY);
}

/* Find out what the store holds. */
static int load_meta(struct store *s, struct err *e)
{
    uint64_t version = 0, decree = 0;
    int rc = meta_load(s, META_DATA_VERSION, STORE_ANY, &version);
    if (rc == E_NOTFOUND) {
        rc = begin_store(s);
        return rc == 0 ? 0 : err_set(e, rc, "store %s: write its first rows", s->dir);
    }
    if (rc == 0 && version != 1)
        return err_set(e, E_UNSUPPORTED, "store %s: data version %" PRIu64 " instead of 1", s->dir,
                       version);
    if (rc == 0) rc = meta_load(s, META_DECREE, STORE_ANY, &decree);
    if (rc == E_NOTFOUND) rc = E_CORRUPT;
    if (rc != 0) return err_set(e, rc, "store %s: its decree: %s", s->dir, err_text(rc));
    s->applied = decree;
    uint64_t timestamp_us = 0;
    rc = meta_load(s, META_TIMESTAMP, STORE_ANY, &timestamp_us);
    if (rc != 0 && rc != E_NOTFOUND)
        return err_set(e, rc, "store %s: its time: %s", s->dir, err_text(rc));
    s->timestamp_us = timestamp_us;
    uint64_t compacted_s = 0;
    rc = meta_load(s, META_COMPACTED, STORE_ANY, &compacted_s);
    if (rc != 0 && rc != E_NOTFOUND)
        return err_set(e, rc, "store %s: when it was compacted: %s", s->dir, err_text(rc));
    s->compacted_s = compacted_s;
    return 0;
}

/* RocksDB gives a database that it makes, or opens from a checkpoint, a name unlike all others, in a
 * file that checkpoints leave out. c.h has no call for it. */
static int load_identity(struct store *s, struct err *e)
{
    char path[PATH_SIZE], text[IDENTITY_SIZE_MAX];
    (void)snprintf(path, sizeof path, "%s/IDENTITY", s->dir);
    FILE *file = fopen(path, "r");
    size_t size = file != NULL ? fread(text, 1, sizeof text, file) : 0;
    if (file != NULL) (void)fclose(file);
    if (size == 0) return err_set(e, E_IO, "store %s: its IDENTITY file can't be read", s->dir);
    s->identity = crc64(text, size);
    return 0;
}

static int flush_entry(struct flusher_entry *entry);
static size_t measure_entry(struct flusher_entry *entry);

int store_open(struct store_env *env, const char *dir, struct store **out, struct err *e)
{
    int rc;
    struct store *s = calloc(1, sizeof *s);
    if (s == NULL) return err_set(e, E_NOMEM, "store %s", dir);
    s->env = env;
    s->flusher_entry = (struct flusher_entry){.flush = flush_entry, .measure = measure_entry};
    CHECK(pthread_mutex_init(&s->policy_lock, NULL) == 0);
    CHECK(pthread_mutex_init(&s->manual_lock, NULL) == 0);
    s->dir = strdup(dir);
    if (s->dir == NULL) {
        rc = err_set(e, E_NOMEM, "store %s", dir);
        goto free_store;
    }
    if (has_lost_its_head(dir)) {
        rc = err_set(e, E_CORRUPT, "store %s: table files, but no CURRENT file", dir);
        goto free_store;
    }
    rc = open_families(s, dir, false, e);
    if (rc != 0) goto free_store;
    rc = load_meta(s, e);
    if (rc == 0) rc = load_identity(s, e);
    if (rc != 0) goto close_db;

    flusher_add(env->flusher, &s->flusher_entry);
    *out = s;
    return 0;

close_db:
    close_families(s);
free_store:
    pthread_mutex_destroy(&s->manual_lock);
    pthread_mutex_destroy(&s->policy_lock);
    free(s->dir);
    free(s);
    CHECK(rc != 0);
    return rc;
}

int store_close(struct store *s)
{
    if (s == NULL) return 0;
    int rc = store_flush(s);
    flusher_remove(s->env->flusher, &s->flusher_entry);
    close_families(s);
    pthread_mutex_destroy(&s->manual_lock);
    pthread_mutex_destroy(&s->policy_lock);
    free(s->dir);
    free(s);
    return rc;
}

uint64_t store_applied(const struct store *s)
{
    return atomic_load_explicit(&s->applied, memory_order_acquire);
}

uint64_t store_timestamp_us(const struct store *s)
{
    return atomic_load_explicit(&s->timestamp_us, memory_order_acquire);
}

uint64_t store_durable(struct store *s)
{
    uint64_t decree = 0;
    return meta_load(s, META_DECREE, TIER_DURABLE, &decree) == 0 ? decree : 0;
}

void store_policy_set(struct store *s, const struct store_policy *policy)
{
    pthread_mutex_lock(&s->policy_lock);
    s->policy = *policy;
    pthread_mutex_unlock(&s->policy_lock);
}

/* ---- Writing --------------------------------------------------------------------------------- */

int store_batch_new(struct store_batch **out)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (b == NULL) return E_NOMEM;
    b->changes = rocksdb_writebatch_create();
    *out = b;
    return 0;
}

void store_batch_free(struct store_batch *b)
{
    if (b == NULL) return;
    rocksdb_writebatch_destroy(b->changes);
    free(b);
}

void store_batch_clear(struct store_batch *b)
{
    rocksdb_writebatch_clear(b->changes);
    b->decree = 0;
    b->timestamp_us = b->noted_us = 0;
}

void store_batch_stamp(struct store_batch *b, uint64_t timestamp_us)
{
    if (timestamp_us > b->timestamp_us) b->timestamp_us = timestamp_us;
}

void store_batch_put(struct store_batch *b, struct slice key, struct slice head, struct slice body)
{
    const char *keys[] = {(const char *)key.data};
    const char *values[] = {(const char *)head.data, (const char *)body.data};
    const size_t value_sizes[] = {head.size, body.size};
    rocksdb_writebatch_putv(b->changes, 1, keys, &key.size, 2, values, value_sizes);
}

void store_batch_delete(struct store_batch *b, struct slice key)
{
    rocksdb_writebatch_delete(b->changes, (const char *)key.data, key.size);
}

/* Tell the flusher now and then how much is in memory. */
static void report_written(struct store *s, size_t size)
{
    s->unreported += size;
    if (s->unreported < REPORT_EVERY) return;
    s->unreported = 0;
    flusher_report(s->env->flusher, &s->flusher_entry, measure_entry(&s->flusher_entry));
}

static void put_number(rocksdb_writebatch_t *changes, struct store *s, const char *key,
                       uint64_t value)
{
    char text[NUMBER_TEXT_SIZE];
    int size = snprintf(text, sizeof text, "%" PRIu64, value);
    rocksdb_writebatch_put_cf(changes, s->families[FAMILY_META], key, strlen(key), text,
                              (size_t)size);
}

/* Add the decree and the time to the changes. A batch that is written again has some already: of
 * two numbers under one key the last one counts. */
static size_t batch_finish(struct store_batch *b, struct store *s, uint64_t decree,
                           uint64_t timestamp_us)
{
    if (b->decree != decree) put_number(b->changes, s, META_DECREE, decree);
    b->decree = decree;
    bool is_news = timestamp_us != store_timestamp_us(s) || b->noted_us != 0;
    if (is_news && b->noted_us != timestamp_us) {
        put_number(b->changes, s, META_TIMESTAMP, timestamp_us);
        b->noted_us = timestamp_us;
    }
    size_t size;
    (void)rocksdb_writebatch_data(b->changes, &size);
    return size;
}

/* A write didn't pass: it is too early for it, or for the reason 'why', which is freed. */
static int refuse(struct store *s, char *why)
{
    int rc = why == NULL ? E_BUSY : code_of(why, E_BUSY);
    if (rc == E_BUSY) atomic_fetch_add_explicit(&s->stalls, 1, memory_order_relaxed);
    else (void)err_set(&s->failure, rc, "store %s: %s", s->dir, why);
    rocksdb_free(why);
    return rc;
}

/* After a full disk RocksDB goes on by itself: every five seconds it looks whether there is room, and
 * then writes all that it has in memory to new files, also what it had begun to write before. Until
 * that has succeeded it refuses. So to try again is harmless, and nothing is synced twice. */
static bool is_final(int rc)
{
    return rc != 0 && rc != E_NOSPACE;
}

int store_write(struct store *s, struct store_batch *b, uint64_t decree)
{
    CHECK(decree > store_applied(s));
    if (is_final(s->failure.code)) return s->failure.code;
    if (flusher_is_full(s->env->flusher)) return refuse(s, NULL);
    uint64_t before_us = store_timestamp_us(s);
    uint64_t timestamp_us = b->timestamp_us > before_us ? b->timestamp_us : before_us;
    size_t size = batch_finish(b, s, decree, timestamp_us);
    char *why = NULL;
    count_nothing();
    rocksdb_write(s->db, s->env->write_options, b->changes, &why);
    if (why != NULL) return refuse(s, why);
    atomic_store_explicit(&s->timestamp_us, timestamp_us, memory_order_release);
    atomic_store_explicit(&s->applied, decree, memory_order_release);
    s->failure.code = 0;
    report_written(s, size);
    return 0;
}

int store_failure(const struct store *s, struct err *e)
{
    if (e != NULL && s->failure.code != 0) *e = s->failure;
    return s->failure.code;
}

/* Wait until writes are let pass. 0, or what RocksDB's background has run into. */
static int write_nothing(struct store *s)
{
    char *why = NULL;
    rocksdb_writebatch_t *nothing = rocksdb_writebatch_create();
    rocksdb_write(s->db, s->env->blocking_write_options, nothing, &why);
    rocksdb_writebatch_destroy(nothing);
    return take_code(why, E_BUSY);
}

void store_wait_writable(struct store *s)
{
    flusher_wait(s->env->flusher);
    (void)write_nothing(s); /* The next store_write() will say. */
}

/* ---- Reading --------------------------------------------------------------------------------- */

int store_get(struct store *s, struct slice key, enum store_tier tier, struct store_value *out)
{
    char *why = NULL;
    count_nothing();
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned(s->db, s->env->read_options[tier],
                                                      (const char *)key.data, key.size, &why);
    if (pin == NULL) return why == NULL ? E_NOTFOUND : take_code(why, E_AGAIN);
    out->pin = pin;
    out->bytes.data = (const uint8_t *)rocksdb_pinnableslice_value(pin, &out->bytes.size);
    return 0;
}

void store_value_release(struct store_value *v)
{
    if (v->pin != NULL) rocksdb_pinnableslice_destroy(v->pin);
    *v = (struct store_value){0};
}

int store_iter_open(struct store *s, struct slice lower, struct slice upper, enum store_tier tier,
                    struct store_iter **out)
{
    struct store_iter *it = malloc(sizeof *it + lower.size + upper.size);
    if (it == NULL) return E_NOMEM;
    char *bounds = (char *)it->bounds;
    if (lower.size > 0) memcpy(bounds, lower.data, lower.size);
    if (upper.size > 0) memcpy(bounds + lower.size, upper.data, upper.size);

    it->options = read_options_new((int)tier);
    rocksdb_readoptions_set_total_order_seek(it->options, 1);
    if (lower.size > 0)
        rocksdb_readoptions_set_iterate_lower_bound(it->options, bounds, lower.size);
    if (upper.size > 0)
        rocksdb_readoptions_set_iterate_upper_bound(it->options, bounds + lower.size, upper.size);
    count_nothing();
    it->rows = rocksdb_create_iterator(s->db, it->options);
    *out = it;
    return 0;
}

void store_iter_close(struct store_iter *it)
{
    if (it == NULL) return;
    rocksdb_iter_destroy(it->rows);
    rocksdb_readoptions_destroy(it->options);
    free(it);
}

void store_iter_seek(struct store_iter *it, struct slice key)
{
    rocksdb_iter_seek(it->rows, (const char *)key.data, key.size);
}

void store_iter_seek_last(struct store_iter *it, struct slice key)
{
    rocksdb_iter_seek_for_prev(it->rows, (const char *)key.data, key.size);
}

void store_iter_seek_end(struct store_iter *it)
{
    rocksdb_iter_seek_to_last(it->rows);
}

void store_iter_next(struct store_iter *it)
{
    rocksdb_iter_next(it->rows);
}

void store_iter_prev(struct store_iter *it)
{
    rocksdb_iter_prev(it->rows);
}

bool store_iter_is_valid(const struct store_iter *it)
{
    return rocksdb_iter_valid(it->rows) != 0;
}

struct slice store_iter_key(const struct store_iter *it)
{
    size_t size;
    const char *data = rocksdb_iter_key(it->rows, &size);
    return slice_of(data, size);
}

struct slice store_iter_value(const struct store_iter *it)
{
    size_t size;
    const char *data = rocksdb_iter_value(it->rows, &size);
    return slice_of(data, size);
}

int store_iter_status(const struct store_iter *it)
{
    char *why = NULL;
    rocksdb_iter_get_error(it->rows, &why);
    return take_code(why, E_AGAIN);
}

/* ---- Upkeep ---------------------------------------------------------------------------------- */

/* Flush both families together.
 *
 * rocksdb_flush_cf() would flush one of them and part the rows from their decree. Compacting a
 * range first flushes all families together, if the range has something in memory. So we write a
 * key and take it back, in one batch: the range of that key is in memory now, and in no table
 * file afterwards, for the two cancel each other out on the way. Then there is nothing to
 * compact. */
static int flush_families(struct store *s)
{
    char *why = NULL;
    const size_t size = strlen(META_FLUSH);
    rocksdb_column_family_handle_t *meta = s->families[FAMILY_META];
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    rocksdb_writebatch_put_cf(batch, meta, META_FLUSH, size, "", 0);
    rocksdb_writebatch_singledelete_cf(batch, meta, META_FLUSH, size);
    rocksdb_write(s->db, s->env->blocking_write_options, batch, &why);
    rocksdb_writebatch_destroy(batch);
    if (why != NULL) return take_code(why, E_BUSY);
    pthread_mutex_lock(&s->manual_lock);
    if (s->is_compact_stopped) rocksdb_enable_manual_compaction(s->db);
    rocksdb_compact_range_cf_opt(s->db, meta, s->env->compact_options[STORE_COMPACT_ALL],
                                 META_FLUSH, size, META_FLUSH, size);
    if (s->is_compact_stopped) rocksdb_disable_manual_compaction(s->db);
    pthread_mutex_unlock(&s->manual_lock);
    return 0;
}

/* The one witness of a flush: compacting has no result in c.h. Where RocksDB has just recovered
 * from a full disk it may also return before the flush has ended: wait, while writes are let
 * pass. */
static int await_durable(struct store *s, uint64_t decree)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    for (int tries = 0; tries < 1000; tries++) {
        if (store_durable(s) >= decree) return 0;
        int rc = write_nothing(s);
        if (rc != 0) return rc;
        (void)nanosleep(&pause, NULL); /* Cut short by a signal, it is tried earlier: no harm. */
    }
    return E_IO;
}

int store_flush(struct store *s)
{
    uint64_t wanted = store_applied(s);
    if (store_durable(s) >= wanted) return 0;
    int rc = flush_families(s);
    return rc != 0 ? rc : await_durable(s, wanted);
}

/* The decree that the checkpoint in 'dir' holds: only itself can say, for writes went on
 * meanwhile. */
static int load_checkpoint_decree(struct store *s, const char *dir, uint64_t *decree, struct err *e)
{
    struct store copy = {.env = s->env};
    int rc = open_families(&copy, dir, true, e);
    if (rc != 0) return rc;
    rc = meta_load(&copy, META_DECREE, STORE_ANY, decree);
    close_families(&copy);
    return rc == 0 ? 0 : err_set(e, rc, "checkpoint %s: its decree: %s", dir, err_text(rc));
}

static void remove_checkpoint(const char *dir)
{
    char *why = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_destroy_db(options, dir, &why);
    rocksdb_options_destroy(options);
    (void)take_code(why, E_IO); /* The first failure is the one to tell. */
}

int store_checkpoint(struct store *s, const char *dir, uint64_t *decree, struct err *e)
{
    if (access(dir, F_OK) == 0) return err_set(e, E_EXISTS, "checkpoint %s: it is there", dir);
    char *why = NULL;
    rocksdb_checkpoint_t *maker = rocksdb_checkpoint_object_create(s->db, &why);
    if (maker != NULL) {
        rocksdb_checkpoint_create(maker, dir, 0, &why); /* 0: flush first. */
        rocksdb_checkpoint_object_destroy(maker);
    }
    if (why != NULL) {
        int rc = err_set(e, code_of(why, E_IO), "checkpoint %s: %s", dir, why);
        rocksdb_free(why);
        return rc;
    }
    int rc = load_checkpoint_decree(s, dir, decree, e);
    if (rc != 0) remove_checkpoint(dir);
    return rc;
}

uint64_t store_identity(const struct store *s)
{
    return s->identity;
}

static bool is_compact_stopped(struct store *s)
{
    pthread_mutex_lock(&s->manual_lock);
    bool is_stopped = s->is_compact_stopped;
    pthread_mutex_unlock(&s->manual_lock);
    return is_stopped;
}

/* A decree that was flushed already doesn't tell whether this was: the note itself does. */
static int note_compacted(struct store *s, uint64_t as_of_s)
{
    char *why = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    put_number(batch, s, META_COMPACTED, as_of_s);
    rocksdb_write(s->db, s->env->blocking_write_options, batch, &why);
    rocksdb_writebatch_destroy(batch);
    int rc = why != NULL ? take_code(why, E_BUSY) : flush_families(s);
    uint64_t noted_s = 0;
    if (rc == 0) rc = meta_load(s, META_COMPACTED, TIER_DURABLE, &noted_s);
    if (rc == 0 && noted_s != as_of_s) rc = E_IO;
    if (rc != 0) return rc == E_NOTFOUND ? E_IO : rc;
    atomic_store_explicit(&s->compacted_s, as_of_s, memory_order_release);
    return 0;
}

int store_compact(struct store *s, enum store_compaction what, uint64_t as_of_s)
{
    int rc = is_compact_stopped(s) ? E_CANCELED : store_flush(s);
    if (rc != 0) return rc;
    rocksdb_compact_range_cf_opt(s->db, s->families[FAMILY_ROWS], s->env->compact_options[what],
                                 NULL, 0, NULL, 0);
    if (is_compact_stopped(s)) return E_CANCELED;
    rc = write_nothing(s);
    return rc != 0 ? rc : note_compacted(s, as_of_s);
}

uint64_t store_compacted_s(const struct store *s)
{
    return atomic_load_explicit(&s->compacted_s, memory_order_acquire);
}

void store_compact_stop(struct store *s)
{
    pthread_mutex_lock(&s->manual_lock);
    if (!s->is_compact_stopped) rocksdb_disable_manual_compaction(s->db);
    s->is_compact_stopped = true;
    pthread_mutex_unlock(&s->manual_lock);
}

/* The sum over both families; 0 for what RocksDB doesn't know. */
static uint64_t property_sum(struct store *s, const char *name)
{
    uint64_t sum = 0;
    for (int i = 0; i < FAMILY_COUNT; i++) {
        uint64_t value;
        if (rocksdb_property_int_cf(s->db, s->families[i], name, &value) == 0) sum += value;
    }
    return sum;
}

void store_stats(struct store *s, struct store_stats *out)
{
    *out = (struct store_stats){
        .memory_size = property_sum(s, "rocksdb.cur-size-all-mem-tables"),
        .disk_size = property_sum(s, "rocksdb.total-sst-files-size"),
        .debt_size = property_sum(s, "rocksdb.estimate-pending-compaction-bytes"),
        .keys = property_sum(s, "rocksdb.estimate-num-keys"),
        .stalls = atomic_load_explicit(&s->stalls, memory_order_relaxed),
    };
}

static int flush_entry(struct flusher_entry *entry)
{
    return store_flush(LIST_ENTRY(entry, struct store, flusher_entry));
}

static size_t measure_entry(struct flusher_entry *entry)
{
    struct store *s = LIST_ENTRY(entry, struct store, flusher_entry);
    return property_sum(s, "rocksdb.cur-size-all-mem-tables");
}
