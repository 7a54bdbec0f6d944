/* src/store/flusher.c: the thread behind flusher.h. Everything is guarded by one lock, which is
 * taken once in many kilobytes; the sum alone is read without it. */
#include "store/flusher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

/* An entry smaller than this isn't worth a file of its own, unless writers wait. */
enum { WORTH_FLUSHING = 256 * 1024 }; /* bytes */

struct flusher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;  /* There may be something to flush, or the end has come. */
    pthread_cond_t ended; /* A flush has ended. */
    struct list_node entries;
    size_t budget;
    atomic_size_t sum; /* Bytes of all entries that haven't failed. */
    bool is_closing;
};

static void *run(void *argument);
static struct flusher_entry *next_to_flush(struct flusher *f);
static void flush_unlocked(struct flusher *f, struct flusher_entry *entry);
static void account(struct flusher *f, struct flusher_entry *entry, size_t size, bool is_failed);

int flusher_open(size_t budget, struct flusher **out)
{
    struct flusher *f = calloc(1, sizeof *f);
    if (f == NULL) return E_NOMEM;
    f->budget = budget;
    list_init(&f->entries);
    CHECK(pthread_mutex_init(&f->lock, NULL) == 0);
    CHECK(pthread_cond_init(&f->wake, NULL) == 0);
    CHECK(pthread_cond_init(&f->ended, NULL) == 0);
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        free(f);
        return E_NOMEM;
    }
    *out = f;
    return 0;
}

void flusher_close(struct flusher *f)
{
    if (f == NULL) return;
    pthread_mutex_lock(&f->lock);
    CHECK(list_is_empty(&f->entries));
    f->is_closing = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->ended);
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

void flusher_add(struct flusher *f, struct flusher_entry *entry)
{
    pthread_mutex_lock(&f->lock);
    list_push_back(&f->entries, &entry->node);
    pthread_mutex_unlock(&f->lock);
}

void flusher_remove(struct flusher *f, struct flusher_entry *entry)
{
    pthread_mutex_lock(&f->lock);
    while (entry->is_busy) pthread_cond_wait(&f->ended, &f->lock);
    account(f, entry, 0, false);
    list_remove(&entry->node);
    pthread_cond_broadcast(&f->ended); /* There is less now. */
    pthread_mutex_unlock(&f->lock);
}

void flusher_report(struct flusher *f, struct flusher_entry *entry, size_t size)
{
    pthread_mutex_lock(&f->lock);
    account(f, entry, size, false);
    if (f->sum > f->budget) pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
}

bool flusher_is_full(struct flusher *f)
{
    return atomic_load_explicit(&f->sum, memory_order_relaxed) / 2 > f->budget;
}

void flusher_wait(struct flusher *f)
{
    pthread_mutex_lock(&f->lock);
    while (flusher_is_full(f)) {
        pthread_cond_signal(&f->wake);
        pthread_cond_wait(&f->ended, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
}

static void *run(void *argument)
{
    struct flusher *f = argument;
    pthread_mutex_lock(&f->lock);
    while (!f->is_closing) {
        struct flusher_entry *entry = next_to_flush(f);
        if (entry != NULL) flush_unlocked(f, entry);
        else pthread_cond_wait(&f->wake, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* The fattest entry while the sum is over the budget; NULL when there is nothing to do. */
static struct flusher_entry *next_to_flush(struct flusher *f)
{
    if (f->sum <= f->budget) return NULL;
    size_t least = flusher_is_full(f) ? 1 : WORTH_FLUSHING;
    struct flusher_entry *fattest = NULL;
    LIST_EACH (node, &f->entries) {
        struct flusher_entry *entry = LIST_ENTRY(node, struct flusher_entry, node);
        if (entry->is_failed || entry->size < least) continue;
        if (fattest == NULL || entry->size > fattest->size) fattest = entry;
    }
    return fattest;
}

/* Flush with the lock released, so that writers can go on reporting. */
static void flush_unlocked(struct flusher *f, struct flusher_entry *entry)
{
    entry->is_busy = true;
    pthread_mutex_unlock(&f->lock);
    int rc = entry->flush(entry);
    size_t size = entry->measure(entry);
    pthread_mutex_lock(&f->lock);
    entry->is_busy = false;
    account(f, entry, size, rc != 0);
    pthread_cond_broadcast(&f->ended);
}

static void account(struct flusher *f, struct flusher_entry *entry, size_t size, bool is_failed)
{
    size_t counted = entry->is_failed ? 0 : entry->size;
    entry->size = size;
    entry->is_failed = is_failed;
    f->sum = f->sum - counted + (is_failed ? 0 : size);
}
