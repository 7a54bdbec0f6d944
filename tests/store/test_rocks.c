/* tests/store/test_rocks.c: what only the real adapter can get wrong: files, processes, threads. */
#include "store/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "store/steps.h"

enum { ROWS = 8, ROUNDS = 15 };

static int set_up(void **state)
{
    *state = world_new(1);
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void sleep_us(uint64_t us)
{
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000 * 1000)};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}

/* ---- A process that writes until it is killed ------------------------------------------------ */

/* Every write sets all rows to its decree, so that a mixture shows. */
static void write_all_rows(struct store *s, struct store_batch *b, uint64_t decree)
{
    static uint8_t filler[2000];
    uint8_t number[8];
    bytes_put_be64(number, decree);
    store_batch_clear(b);
    for (uint8_t i = 0; i < ROWS; i++)
        store_batch_put(b, slice_of((uint8_t[]){0, 1, 'h', i}, 4), slice_of(number, 8),
                        slice_of(filler, sizeof filler));
    int rc;
    while ((rc = store_write(s, b, decree)) == E_BUSY) store_wait_writable(s);
    if (rc != 0) abort();
}

/* All rows as one snapshot shows them are of one decree. Returns it; 0 when there are no rows. */
static uint64_t decree_of_rows(struct store *s)
{
    struct store_iter *it;
    struct slice none = {NULL, 0};
    uint64_t decree = 0, rows = 0;
    if (store_iter_open(s, none, none, STORE_ANY, &it) != 0) abort();
    for (store_iter_seek(it, none); store_iter_is_valid(it); store_iter_next(it)) {
        uint64_t found = bytes_get_be64(store_iter_value(it).data);
        if (rows++ > 0 && found != decree) abort();
        decree = found;
    }
    if (store_iter_status(it) != 0 || (rows != 0 && rows != ROWS)) abort();
    store_iter_close(it);
    return decree;
}

static void *flush_for_ever(void *store)
{
    for (;;)
        if (store_flush(store) != 0) abort();
    return NULL;
}

static void *read_for_ever(void *store)
{
    for (uint64_t before = 0, now;; before = now) {
        now = decree_of_rows(store);
        if (now < before) abort();
    }
    return NULL;
}

static uint64_t no_clock(void *world)
{
    (void)world;
    return 0;
}

static struct store_env *open_env(void)
{
    struct store_env_options options = {.cache_size = 1 << 20,
                                        .write_buffer_size = WORLD_BUFFERS_SIZE,
                                        .background_threads = 2,
                                        .wall_us = no_clock};
    struct store_env *env;
    if (store_env_open(&options, &env, NULL) != 0) abort();
    return env;
}

/* Tells its parent, by a byte, when the first write is where no kill can reach it. */
static void write_for_ever(const char *dir)
{
    struct store *s;
    struct store_batch *b;
    pthread_t flusher, reader;
    bool has_told = false;
    if (store_open(open_env(), dir, &s, NULL) != 0 || store_batch_new(&b) != 0) abort();
    if (pthread_create(&flusher, NULL, flush_for_ever, s) != 0) abort();
    if (pthread_create(&reader, NULL, read_for_ever, s) != 0) abort();
    for (uint64_t decree = store_applied(s) + 1;; decree++) {
        write_all_rows(s, b, decree);
        if (!has_told && (store_flush(s) != 0 || write(STDOUT_FILENO, "!", 1) != 1)) abort();
        has_told = true;
        sleep_us(50);
    }
}

/* Have it write for so long: from its first write on, or from its start, whether it comes to that
 * or not. */
static void run_writer_for(const char *dir, bool is_at_work, uint64_t us)
{
    char *const arguments[] = {"writer", (char *)(uintptr_t)dir, NULL};
    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        if (dup2(told[1], STDOUT_FILENO) < 0) _exit(127);
        (void)execv("/proc/self/exe", arguments);
        _exit(127);
    }
    (void)close(told[1]);
    if (is_at_work) assert_int_equal(read(told[0], &byte, 1), 1);
    sleep_us(us);
    int status;
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    (void)close(told[0]);
    assert_true(WIFSIGNALED(status) &&
                WTERMSIG(status) == SIGKILL); /* Not by an abort of its own. */
}

/* S1 with kill -9 at any moment, while one thread writes, one flushes and one reads. */
static void test_killed_process_leaves_one_decree(void **state)
{
    struct world *w = *state;
    struct prng prng;
    prng_init(&prng, 1);
    uint64_t decree = 0;
    for (int round = 0; round < ROUNDS; round++) {
        bool is_at_work = round % 3 != 0;
        run_writer_for(world_dir(w, "a"), is_at_work, prng_between(&prng, 10000, 150000));
        struct store *s = world_open(w, "a");
        assert_true(store_applied(s) >= decree + is_at_work);
        decree = store_applied(s);
        assert_int_equal(decree_of_rows(s), decree);
        assert_int_equal(world_close(w, s), 0);
    }
}

/* ---- Damaged files --------------------------------------------------------------------------- */

static struct store *open_with_rows(struct world *w)
{
    struct store *s = world_open(w, "a");
    for (uint64_t decree = 1; decree <= 50; decree++) {
        char sort[8];
        (void)snprintf(sort, sizeof sort, "%02u", (unsigned)decree);
        put(s, decree, "hk", sort, "a value that is long enough to be worth damaging");
    }
    assert_int_equal(store_compact(s, STORE_COMPACT_ALL, 1), 0);
    return s;
}

/* The path of the largest file of that kind. */
static void find_file(struct world *w, const char *suffix, char *path, size_t size)
{
    const char *dir = world_dir(w, "a");
    off_t largest = -1;
    DIR *entries = opendir(dir);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char found[512];
        struct stat st;
        if (strstr(entry->d_name, suffix) == NULL) continue;
        (void)snprintf(found, sizeof found, "%s/%s", dir, entry->d_name);
        if (stat(found, &st) != 0 || st.st_size <= largest) continue;
        largest = st.st_size;
        (void)snprintf(path, size, "%s", found);
    }
    closedir(entries);
    assert_true(largest >= 0);
}

/* A bit rots in a table: reading says so, by get and by iterator, and no other row is harmed by
 * it. */
static void test_rotten_block_is_corrupt(void **state)
{
    struct world *w = *state;
    char path[512];
    assert_int_equal(world_close(w, open_with_rows(w)), 0);
    find_file(w, ".sst", path, sizeof path);
    int fd = open(path, O_RDWR);
    char byte = 0;
    assert_true(fd >= 0 && pread(fd, &byte, 1, 30) == 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 30), 1);
    (void)close(fd);

    world_forget_cache(w);
    struct store *s = world_open(w, "a");
    struct store_value v;
    assert_int_equal(get(s, "hk", "01", &v), E_CORRUPT);
    struct store_iter *it = walk(s, "hk", NULL);
    seek(it, "hk", "");
    assert_false(store_iter_is_valid(it));
    assert_int_equal(store_iter_status(it), E_CORRUPT);
    store_iter_close(it);
    put(s, 51, "hk", "later", "fine");
    expect(s, "hk", "later", "fine");
}

/* A table is missing: the store doesn't open. */
static void test_missing_table_is_corrupt(void **state)
{
    struct world *w = *state;
    char path[512];
    assert_int_equal(world_close(w, open_with_rows(w)), 0);
    find_file(w, ".sst", path, sizeof path);
    assert_int_equal(unlink(path), 0);
    struct store *s = NULL;
    struct err e = {0};
    assert_int_equal(world_try_open(w, "a", &s, &e), E_CORRUPT);
    *strrchr(path, '.') = '\0';
    assert_non_null(strstr(e.text, path));
}

/* Without CURRENT it isn't a new store, as RocksDB would have it: the tables stay where they
 * are. */
static void test_lost_current_is_not_a_new_store(void **state)
{
    struct world *w = *state;
    char current[512], table[512];
    assert_int_equal(world_close(w, open_with_rows(w)), 0);
    find_file(w, "CURRENT", current, sizeof current);
    assert_int_equal(unlink(current), 0);
    struct store *s = NULL;
    struct err e = {0};
    assert_int_equal(world_try_open(w, "a", &s, &e), E_CORRUPT);
    assert_non_null(strstr(e.text, "CURRENT"));
    find_file(w, ".sst", table, sizeof table);
    assert_int_equal(access(table, F_OK), 0);
}

/* A path that can't be a directory is an error with the path in it. */
static void test_open_where_there_is_no_parent(void **state)
{
    struct world *w = *state;
    struct store *s = NULL;
    struct err e = {0};
    assert_int_equal(world_try_open(w, "no/such/parent", &s, &e), E_IO);
    assert_null(s);
    assert_non_null(strstr(e.text, "no/such/parent"));
}

/* ---- As Pegasus has it ----------------------------------------------------------------------- */

struct raw {
    rocksdb_options_t *options;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[2];
};

static struct raw raw_open(const char *dir)
{
    static const char *const names[] = {"default", "pegasus_meta_cf"};
    struct raw raw = {.options = rocksdb_options_create()};
    const rocksdb_options_t *options[] = {raw.options, raw.options};
    char *why = NULL;
    rocksdb_options_set_create_if_missing(raw.options, 1);
    rocksdb_options_set_create_missing_column_families(raw.options, 1);
    raw.db = rocksdb_open_column_families(raw.options, dir, 2, names, options, raw.families, &why);
    assert_null(why);
    return raw;
}

static void raw_put_meta(struct raw *raw, const char *key, const char *value)
{
    char *why = NULL;
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    rocksdb_put_cf(raw->db, options, raw->families[1], key, strlen(key), value, strlen(value),
                   &why);
    rocksdb_writeoptions_destroy(options);
    assert_null(why);
}

static void raw_expect_meta(struct raw *raw, const char *key, const char *expected)
{
    char *why = NULL;
    size_t size;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    char *value = rocksdb_get_cf(raw->db, options, raw->families[1], key, strlen(key), &size, &why);
    rocksdb_readoptions_destroy(options);
    assert_null(why);
    assert_true(slice_equal(slice_of(value, size), slice_str(expected)));
    rocksdb_free(value);
}

static void raw_close(struct raw *raw)
{
    for (int i = 0; i < 2; i++) rocksdb_column_family_handle_destroy(raw->families[i]);
    rocksdb_close(raw->db);
    rocksdb_options_destroy(raw->options);
}

/* Families, meta keys and their text are Pegasus's. */
static void test_meta_is_pegasus_meta(void **state)
{
    struct world *w = *state;
    assert_int_equal(world_close(w, open_with_rows(w)), 0);
    struct raw raw = raw_open(world_dir(w, "a"));
    raw_expect_meta(&raw, "pegasus_data_version", "1");
    raw_expect_meta(&raw, "pegasus_last_flushed_decree", "50");
    raw_close(&raw);
}

/* Rows of data version 0 have no timetag: they aren't taken for ours. A decree that is no number
 * isn't taken for one. */
static void test_other_layouts_are_refused(void **state)
{
    struct world *w = *state;
    struct store *s = NULL;
    struct err e = {0};
    struct raw raw = raw_open(world_dir(w, "a"));
    raw_put_meta(&raw, "pegasus_data_version", "0");
    raw_put_meta(&raw, "pegasus_last_flushed_decree", "7");
    raw_close(&raw);
    assert_int_equal(world_try_open(w, "a", &s, &e), E_UNSUPPORTED);

    static const char *const decrees[] = {"", "7x", "-7", "18446744073709551616"};
    for (size_t i = 0; i < sizeof decrees / sizeof decrees[0]; i++) {
        raw = raw_open(world_dir(w, "a"));
        raw_put_meta(&raw, "pegasus_data_version", "1");
        raw_put_meta(&raw, "pegasus_last_flushed_decree", decrees[i]);
        raw_close(&raw);
        assert_int_equal(world_try_open(w, "a", &s, &e), E_CORRUPT);
    }
    raw = raw_open(world_dir(w, "a"));
    raw_put_meta(&raw, "pegasus_last_flushed_decree", "18446744073709551615");
    raw_close(&raw);
    assert_true(store_applied(world_open(w, "a")) == UINT64_MAX);
}

/* ---- Pressure -------------------------------------------------------------------------------- */

/* Written faster than can be flushed, a store says busy rather than grow; waiting lets it go on,
 * and everything is there in the end. */
static void test_pressure_is_pushed_back(void **state)
{
    struct world *w = *state;
    struct store *s = world_open(w, "a");
    struct store_batch *b;
    struct store_stats stats;
    assert_int_equal(store_batch_new(&b), 0);
    for (uint64_t decree = 1; decree <= 1500; decree++) {
        write_all_rows(s, b, decree);
        store_stats(s, &stats);
        assert_true(stats.memory_size < 4 * WORLD_BUFFERS_SIZE);
    }
    assert_true(stats.stalls > 0);
    assert_true(store_durable(s) > 1000); /* Flushed along the way, by nobody's command. */
    assert_int_equal(decree_of_rows(s), 1500);
    store_batch_free(b);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[0], "writer") == 0) write_for_ever(argv[1]);
    const struct CMUnitTest tests[] = {
        STORY(test_killed_process_leaves_one_decree), STORY(test_rotten_block_is_corrupt),
        STORY(test_missing_table_is_corrupt),         STORY(test_lost_current_is_not_a_new_store),
        STORY(test_open_where_there_is_no_parent),    STORY(test_meta_is_pegasus_meta),
        STORY(test_other_layouts_are_refused),        STORY(test_pressure_is_pushed_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
