/* sim/io/work.c: the pool: jobs that start some time later, on the first thread that is free.
 *
 *     io_work ──> job waits for its start ──> run() on a pool thread ──> done() on the loop
 *
 * run() runs in one go when the job starts; the time it took decides when done() comes. */
#include "base/check.h"
#include "sim/io/sim_io.h"

struct job {
    struct event event;    /* Its start. */
    struct list_node node; /* In machine->jobs until done() is called. */
    struct io_post done;
    struct io_loop *loop;
    struct io_work *work;
    bool has_run;
};

static void done_run(struct io_post *post)
{
    struct job *job = LIST_ENTRY(post, struct job, done);
    struct io_work *work = job->work;
    list_remove(&job->node);
    sim_free_memory(job);
    work->done(work);
}

static void work_run(void *context)
{
    struct job *job = context;
    job->work->run(job->work);
    job->has_run = true;
    sim_loop_send(job->loop, &job->done, sim_thread_departure(job->loop->thread.machine));
}

static struct thread *first_free(struct sim_machine *m)
{
    struct thread *first = &m->pool[0];
    for (uint32_t i = 1; i < m->pace.work_threads; i++)
        if (m->pool[i].local_us < first->local_us) first = &m->pool[i];
    return first;
}

static void job_start(struct event *event)
{
    struct job *job = HEAP_ENTRY(event, struct job, event);
    struct sim_machine *m = job->loop->thread.machine;
    if (m->is_paused) return; /* Resuming starts it. */
    struct thread *thread = first_free(m);
    if (thread->local_us > m->sim->now_us) {
        sim_event_at(m->sim, &job->event, thread->local_us);
        return;
    }
    sim_trace(m->sim, m, "work", job->loop->thread.serial, 0);
    (void)sim_thread_run(thread, work_run, job);
}

void io_work(struct io_loop *loop, struct io_work *work)
{
    sim_check_on(loop);
    struct sim_machine *m = loop->thread.machine;
    sim_machine_output(m);
    struct job *job = sim_alloc(sizeof *job);
    job->event.run = job_start;
    list_init(&job->done.node);
    job->done.run = done_run;
    job->loop = work->loop = loop;
    job->work = work;
    list_push_back(&m->jobs, &job->node);
    sim_event_at(m->sim, &job->event, sim_thread_departure(m));
}

void sim_work_finish(struct io_loop *loop)
{
    struct sim_machine *m = loop->thread.machine;
    struct list_node *node = m->jobs.next;
    while (node != &m->jobs) {
        struct job *job = LIST_ENTRY(node, struct job, node);
        node = node->next;
        if (job->loop != loop || job->has_run) continue;
        sim_event_cancel(m->sim, &job->event);
        (void)sim_thread_run(first_free(m), work_run, job);
    }
}

void sim_jobs_resume(struct sim_machine *m)
{
    LIST_EACH (node, &m->jobs) {
        struct job *job = LIST_ENTRY(node, struct job, node);
        if (!job->has_run && !sim_event_is_waiting(&job->event))
            sim_event_at(m->sim, &job->event, m->sim->now_us);
    }
}

void sim_jobs_drop(struct sim_machine *m)
{
    struct list_node *node;
    while ((node = list_pop_front(&m->jobs)) != NULL) {
        struct job *job = LIST_ENTRY(node, struct job, node);
        sim_event_cancel(m->sim, &job->event);
        list_remove(&job->done.node); /* Others in the loop's queue are yet to go. */
        sim_free_memory(job);
    }
}
