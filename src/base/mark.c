/* src/base/mark.c: the table of marks, a list that only grows. */
#include "base/mark.h"

#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t mark_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mark *mark_first;

void mark_hit(struct mark *m)
{
    (void)pthread_mutex_lock(&mark_mutex);
    m->count++;
    if (!m->is_listed) {
        m->is_listed = 1;
        m->next = mark_first;
        mark_first = m;
    }
    (void)pthread_mutex_unlock(&mark_mutex);
}

const struct mark *mark_next(const struct mark *before)
{
    return before == NULL ? mark_first : before->next;
}
