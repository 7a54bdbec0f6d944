/* src/client/gate.c: where a thread waits for what happens on a loop. */
#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"
#include "client/client.h"

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t passed;
    size_t passes; /* That are still to come. */
};

int gate_new(size_t passes, struct gate **out)
{
    struct gate *g = mem_zalloc(sizeof *g);
    if (g == NULL) return E_NOMEM;
    g->passes = passes;
    CHECK(pthread_mutex_init(&g->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&g->passed, NULL) == 0);
    *out = g;
    return 0;
}

void gate_pass(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    CHECK(gate->passes > 0);
    /* Signalled under the lock: the waiter frees the gate as soon as it can have it. */
    if (--gate->passes == 0) (void)pthread_cond_signal(&gate->passed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

void gate_wait_free(struct gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    while (gate->passes > 0) (void)pthread_cond_wait(&gate->passed, &gate->mutex);
    (void)pthread_mutex_unlock(&gate->mutex);
    (void)pthread_cond_destroy(&gate->passed);
    (void)pthread_mutex_destroy(&gate->mutex);
    mem_free(gate);
}
