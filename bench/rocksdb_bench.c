/* bench/rocksdb_bench.c: what the storage engine alone does with the records of "pirene bench": the
 * floor under our figures, measured through the same C API and in the same run.
 *
 *     rocksdb_bench put|get os|group DIR [SECONDS [THREADS [KEYS]]]
 *
 * put     writes with RocksDB's own log; "group": synced (RocksDB groups the threads that wait),
 * "os": not get     reads of a store that was filled before
 *
 * Raw keys of 18 bytes, values of 100. Prints one JSON object; percentiles are of all calls. */
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { KEY_SIZE = 18, VALUE_SIZE = 100, THREADS_MAX = 256 };

struct bench {
    rocksdb_t *db;
    bool is_put, is_sync;
    uint64_t key_count;
    atomic_bool is_over;
};

struct worker {
    struct bench *bench;
    pthread_t thread;
    uint64_t seed, errors;
    uint32_t *ns; /* Of every call. */
    size_t count, capacity;
};

static uint64_t now_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

static uint64_t cpu_ns(void)
{
    struct timespec at;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void write_key(char *key, uint64_t number)
{
    char text[32];
    key[0] = 0, key[1] = KEY_SIZE - 2;
    (void)snprintf(text, sizeof text, "k%015llu", (unsigned long long)number);
    memcpy(key + 2, text, KEY_SIZE - 2);
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static bool put(const struct bench *b, const rocksdb_writeoptions_t *options, const char *key,
                const char *value)
{
    char *why = NULL;
    rocksdb_put(b->db, (rocksdb_writeoptions_t *)options, key, KEY_SIZE, value, VALUE_SIZE, &why);
    rocksdb_free(why);
    return why == NULL;
}

static bool get(const struct bench *b, const rocksdb_readoptions_t *options, const char *key)
{
    char *why = NULL;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(b->db, options, key, KEY_SIZE, &why);
    rocksdb_pinnableslice_destroy(found);
    rocksdb_free(why);
    return found != NULL;
}

static void keep(struct worker *w, uint64_t ns)
{
    if (w->count == w->capacity) {
        size_t capacity = w->capacity == 0 ? 1 << 16 : w->capacity * 2;
        uint32_t *more = realloc(w->ns, capacity * sizeof *more);
        if (more == NULL) abort();
        w->ns = more;
        w->capacity = capacity;
    }
    w->ns[w->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void *work(void *context)
{
    struct worker *w = context;
    struct bench *b = w->bench;
    rocksdb_writeoptions_t *writes = rocksdb_writeoptions_create();
    rocksdb_readoptions_t *reads = rocksdb_readoptions_create();
    char key[KEY_SIZE], value[VALUE_SIZE];
    rocksdb_writeoptions_set_sync(writes, b->is_sync);
    while (!atomic_load_explicit(&b->is_over, memory_order_relaxed)) {
        write_key(key, next_random(&w->seed) % b->key_count);
        for (size_t i = 0; i < VALUE_SIZE / 4; i++)
            memcpy(value + i * 4, &(uint32_t){(uint32_t)next_random(&w->seed)}, 4);
        uint64_t begin_ns = now_ns();
        bool is_done = b->is_put ? put(b, writes, key, value) : get(b, reads, key);
        keep(w, now_ns() - begin_ns);
        w->errors += !is_done;
    }
    rocksdb_writeoptions_destroy(writes);
    rocksdb_readoptions_destroy(reads);
    return NULL;
}

/* ---- A run ----------------------------------------------------------------------------------- */

static rocksdb_t *open_db(const char *dir)
{
    char *why = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *db = rocksdb_open(options, dir, &why);
    if (db == NULL) (void)fprintf(stderr, "rocksdb_bench: %s\n", why);
    rocksdb_free(why);
    rocksdb_options_destroy(options);
    return db;
}

static bool fill(struct bench *b)
{
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    char key[KEY_SIZE], value[VALUE_SIZE];
    bool is_good = true;
    memset(value, 'v', sizeof value);
    for (uint64_t i = 0; is_good && i < b->key_count; i++) {
        write_key(key, i);
        is_good = put(b, options, key, value);
    }
    rocksdb_writeoptions_destroy(options);
    return is_good;
}

static int compare(const void *a, const void *b)
{
    uint32_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

static void report(const struct bench *b, struct worker *workers, unsigned threads, double seconds,
                   double cpu_us)
{
    struct worker all = {0};
    for (unsigned i = 0; i < threads; i++) {
        for (size_t k = 0; k < workers[i].count; k++) keep(&all, workers[i].ns[k]);
        all.errors += workers[i].errors;
        free(workers[i].ns);
    }
    if (all.count == 0) exit(3);
    qsort(all.ns, all.count, sizeof *all.ns, compare);
    printf("{\n  \"bench\": \"rocksdb %s\",\n  \"sync\": \"%s\",\n  \"threads\": %u,\n"
           "  \"ops\": %zu,\n  \"ops_per_s\": %.0f,\n  \"p50_ms\": %.3f,\n  \"p99_ms\": %.3f,\n"
           "  \"max_ms\": %.3f,\n  \"errors\": %llu,\n  \"cpu_us_per_op\": %.2f\n}\n",
           b->is_put ? "put" : "get", b->is_sync ? "group" : "os", threads, all.count,
           (double)all.count / seconds, all.ns[all.count / 2] / 1e6,
           all.ns[all.count - all.count / 100 - 1] / 1e6, all.ns[all.count - 1] / 1e6,
           (unsigned long long)all.errors, cpu_us / (double)all.count);
    free(all.ns);
}

static int run(struct bench *b, unsigned seconds, unsigned threads)
{
    struct worker workers[THREADS_MAX] = {0};
    unsigned started = 0;
    uint64_t begin_ns = now_ns(), begin_cpu_ns = cpu_ns();
    for (; started < threads; started++) {
        workers[started].bench = b;
        workers[started].seed = now_ns() + started;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0) break;
    }
    struct timespec rest = {.tv_sec = (time_t)seconds};
    (void)nanosleep(&rest, NULL);
    atomic_store(&b->is_over, true);
    for (unsigned i = 0; i < started; i++) (void)pthread_join(workers[i].thread, NULL);
    report(b, workers, started, (double)(now_ns() - begin_ns) / 1e9,
           (double)(cpu_ns() - begin_cpu_ns) / 1e3);
    return started == threads ? 0 : 3;
}

static unsigned number_at(int argc, char **argv, int index, unsigned otherwise)
{
    unsigned long value = index < argc ? strtoul(argv[index], NULL, 10) : otherwise;
    return value > 0 && value < UINT32_MAX ? (unsigned)value : otherwise;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fprintf(stderr, "rocksdb_bench put|get os|group DIR [SECONDS [THREADS [KEYS]]]\n");
        return 2;
    }
    struct bench b = {.is_put = strcmp(argv[1], "put") == 0,
                      .is_sync = strcmp(argv[2], "group") == 0,
                      .key_count = number_at(argc, argv, 6, 50000)};
    unsigned threads = number_at(argc, argv, 5, 64);
    b.db = open_db(argv[3]);
    if (b.db == NULL) return 3;
    bool is_ready = b.is_put || fill(&b);
    int rc =
        is_ready ? run(&b, number_at(argc, argv, 4, 5), threads < THREADS_MAX ? threads : 64) : 3;
    rocksdb_close(b.db);
    return rc;
}
