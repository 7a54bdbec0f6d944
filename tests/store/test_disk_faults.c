/* tests/store/test_disk_faults.c: the store on a disk that runs full, and on one that fails. The
 * disk is a small tmpfs of our own; where the system lets us mount none, this says so and skips.
 * It fails by a limit on the size of files. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store/steps.h"

enum { DISK_SIZE = 24 << 20, ROW_SIZE = 64 << 10 };

static char disk[64]; /* Where it is mounted; empty: nowhere. */

/* In a namespace of our own, before the first thread, so that nothing is left behind. */
static void mount_disk(void)
{
    char path[] = "/tmp/pirene-disk-XXXXXX", options[32];
    (void)snprintf(options, sizeof options, "size=%d", DISK_SIZE);
    if (mkdtemp(path) == NULL) return;
    bool is_alone = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    if (is_alone && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("none", path, "tmpfs", 0, options) == 0)
        (void)snprintf(disk, sizeof disk, "%s", path);
    else (void)rmdir(path);
}

static void unmount_disk(void)
{
    if (disk[0] == '\0') return;
    (void)umount(disk);
    (void)rmdir(disk);
}

static uint64_t no_clock(void *world)
{
    (void)world;
    return 0;
}

static struct store_env *open_env(void)
{
    struct store_env_options options = {.cache_size = 1 << 20,
                                        .write_buffer_size = 2 << 20,
                                        .background_threads = 1,
                                        .wall_us = no_clock};
    struct store_env *env = NULL;
    assert_int_equal(store_env_open(&options, &env, NULL), 0);
    return env;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Write one row of its own under each decree; the first code that isn't E_BUSY or 0. */
static int write_until_refused(struct store *s, struct store_batch *b, int count)
{
    static uint8_t large[ROW_SIZE]; /* Of noise: it must not be compressed away. */
    struct prng prng;
    prng_init(&prng, 1);
    prng_bytes(&prng, large, sizeof large);
    for (int i = 0; i < count; i++) {
        uint64_t decree = store_applied(s) + 1;
        char key[32];
        int size = snprintf(key, sizeof key, "%c%c%08llu", 0, 8, (unsigned long long)decree);
        store_batch_clear(b);
        store_batch_put(b, slice_of(key, (size_t)size), slice_of(large, 12),
                        slice_of(large, sizeof large));
        int rc;
        while ((rc = store_write(s, b, decree)) == E_BUSY) store_wait_writable(s);
        if (rc != 0) return rc;
    }
    return 0;
}

/* The rows are those of the decrees from 1 to 'last', and no others. */
static void expect_rows(struct store *s, uint64_t last)
{
    struct store_iter *it;
    struct slice none = {NULL, 0};
    uint64_t rows = 0;
    assert_int_equal(store_iter_open(s, none, none, STORE_ANY, &it), 0);
    for (store_iter_seek(it, none); store_iter_is_valid(it); store_iter_next(it)) rows++;
    assert_int_equal(store_iter_status(it), 0);
    assert_int_equal(rows, last);
    store_iter_close(it);
}

static const char *path_on_disk(const char *name)
{
    static char path[128];
    if (disk[0] == '\0') {
        (void)fprintf(stderr, "SKIPPED: no tmpfs could be mounted here\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/%s", disk, name);
    return path;
}

/* With so much, or as much as there is room for. */
static void fill_disk(const char *path, size_t mib)
{
    static char bytes[1 << 20];
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < mib; i++) (void)fwrite(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
}

/* Closing it says 'rc'; what is found afterwards is the decree and its rows. */
static void expect_reopened(struct store_env *env, struct store *s, const char *name, int rc,
                            uint64_t decree)
{
    assert_int_equal(store_close(s), rc);
    assert_int_equal(store_open(env, path_on_disk(name), &s, NULL), 0);
    assert_int_equal(store_applied(s), decree);
    expect_rows(s, decree);
    assert_int_equal(store_close(s), 0);
    store_env_close(env);
}

static struct store *open_on_disk(struct store_env *env, const char *name)
{
    struct store *s = NULL;
    assert_int_equal(store_open(env, path_on_disk(name), &s, NULL), 0);
    return s;
}

/* The disk fills: writes are refused as E_NOSPACE, with a sentence; reads are served; the
 * durable decree is told truly. */
static void fill_store(struct store *s, struct store_batch *b, const char *name)
{
    struct err e = {0};
    assert_int_equal(store_failure(s, &e), 0);
    assert_int_equal(write_until_refused(s, b, 2000), E_NOSPACE);
    assert_int_equal(store_failure(s, &e), E_NOSPACE);
    assert_non_null(strstr(e.text, path_on_disk(name)));
    assert_true(store_durable(s) < store_applied(s));
    assert_int_equal(store_flush(s), E_NOSPACE);
    expect_rows(s, store_applied(s));
}

/* Opened again when there is room, the store is at a decree that was accepted, not below the
 * durable one, and goes on. */
static void test_full_disk_refuses_writes(void **state)
{
    (void)state;
    fill_disk(path_on_disk("filler"), 16);
    struct store_env *env = open_env();
    struct store *s = open_on_disk(env, "store");
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    fill_store(s, b, "store");
    uint64_t applied = store_applied(s), durable = store_durable(s);
    (void)store_close(s);

    assert_int_equal(unlink(path_on_disk("filler")), 0);
    s = open_on_disk(env, "store");
    uint64_t decree = store_applied(s);
    assert_true(decree >= durable && decree <= applied);
    expect_rows(s, decree);
    assert_int_equal(write_until_refused(s, b, 1), 0);
    store_batch_free(b);
    expect_reopened(env, s, "store", 0, decree + 1);
}

/* With room again an open store takes writes some seconds later, and has lost none; so does one that
 * was refused again and again meanwhile, whose disk was filled by others to the last byte, and that
 * had room and lost it again. */
static void test_store_resumes_when_there_is_room(void **state)
{
    (void)state;
    struct store_env *env = open_env();
    struct store *s = open_on_disk(env, "resumed");
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    for (int round = 0; round < 2; round++) {
        fill_disk(path_on_disk("filler"), round == 0 ? 16 : DISK_SIZE >> 20);
        fill_store(s, b, "resumed");
        uint64_t applied = store_applied(s);
        sleep_ms(round * 6000L); /* RocksDB looks for room every 5 s. */
        assert_int_equal(write_until_refused(s, b, 1), E_NOSPACE);
        assert_int_equal(unlink(path_on_disk("filler")), 0);
        int tries = 0;
        while (write_until_refused(s, b, 1) == E_NOSPACE && tries++ < 300) sleep_ms(100);
        assert_int_equal(store_applied(s), applied + 1);
        assert_int_equal(store_failure(s, NULL), 0);
        expect_rows(s, applied + 1);
    }
    assert_int_equal(store_flush(s), 0);
    uint64_t durable = store_durable(s);
    assert_int_equal(durable, store_applied(s));
    store_batch_free(b);
    expect_reopened(env, s, "resumed", 0, durable);
}

/* Not a byte is left: opening fails with a sentence, and nothing else happens; later it opens. */
static void test_open_on_full_disk(void **state)
{
    (void)state;
    fill_disk(path_on_disk("filler"), DISK_SIZE >> 20);
    struct store_env *env = open_env();
    struct store *s = NULL;
    struct err e = {0};
    assert_int_equal(store_open(env, path_on_disk("full"), &s, &e), E_NOSPACE);
    assert_null(s);
    assert_non_null(strstr(e.text, path_on_disk("full")));
    assert_int_equal(unlink(path_on_disk("filler")), 0);
    assert_int_equal(store_open(env, path_on_disk("full"), &s, &e), 0);
    assert_int_equal(store_close(s), 0);
    store_env_close(env);
}

static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk fails: that is final for this store, also when the disk works again. What was durable
 * before is there when it is opened again, and nothing after it. */
static void test_failed_disk_is_final(void **state)
{
    (void)state;
    struct store_env *env = open_env();
    struct store *s = NULL;
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    assert_int_equal(store_open(env, path_on_disk("other"), &s, NULL), 0);
    assert_int_equal(write_until_refused(s, b, 3), 0);
    assert_int_equal(store_flush(s), 0);
    uint64_t durable = store_durable(s);

    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    limit_files(1000);
    assert_int_equal(write_until_refused(s, b, 2000), E_IO);
    limit_files(RLIM_INFINITY);
    sleep_ms(100);
    assert_int_equal(write_until_refused(s, b, 1), E_IO);
    assert_int_equal(store_flush(s), E_IO);
    assert_int_equal(store_durable(s), durable);
    store_batch_free(b);
    expect_reopened(env, s, "other", E_IO, durable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk_refuses_writes),
        cmocka_unit_test(test_store_resumes_when_there_is_room),
        cmocka_unit_test(test_open_on_full_disk),
        cmocka_unit_test(test_failed_disk_is_final),
    };
    mount_disk();
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unmount_disk();
    return rc;
}
