/* tests/io/conformance.c: expectations and errands. */
#include "io/conformance_impl.h"

struct expectation {
    const char *condition, *file;
    int line;
};

static struct expectation broken; /* The first; guarded by the flag. */
static atomic_bool is_broken, is_told;

void expect(bool is_true, const char *condition, const char *file, int line)
{
    if (is_true || atomic_exchange(&is_broken, true)) return;
    broken = (struct expectation){condition, file, line};
    atomic_store(&is_told, true);
}

int story_begin(void **state)
{
    atomic_store(&is_told, false);
    atomic_store(&is_broken, false);
    *state = world_open();
    return 0;
}

int story_end(void **state)
{
    world_close(*state);
    if (!atomic_load(&is_told)) return 0;
    print_error("%s:%d: not so: %s\n", broken.file, broken.line, broken.condition);
    return -1;
}

/* ---- Loops ----------------------------------------------------------------------------------- */

struct opening {
    struct io *io;
    enum io_loop_kind kind;
    const char *name;
    struct io_loop *loop;
};

static void open_there(void *context)
{
    struct opening *o = context;
    EXPECT(io_loop_open(o->io, o->kind, o->name, &o->loop) == 0);
}

struct io_loop *loop_open(struct io *io, enum io_loop_kind kind, const char *name)
{
    struct opening o = {.io = io, .kind = kind, .name = name};
    world_do(io, open_there, &o);
    assert_non_null(o.loop);
    return o.loop;
}

static void close_there(void *context)
{
    io_loop_close(context);
}

void loop_close(struct io *io, struct io_loop *loop)
{
    world_do(io, close_there, loop);
}

/* ---- Errands --------------------------------------------------------------------------------- */

struct errand {
    struct io_post post;
    struct io_loop *loop;
    void (*run)(void *context);
    void *context;
    atomic_bool is_done;
};

static void errand_run(struct io_post *post)
{
    struct errand *errand = LIST_ENTRY(post, struct errand, post);
    EXPECT(io_is_on(errand->loop));
    errand->run(errand->context);
    atomic_store(&errand->is_done, true);
}

static void errand_send(void *context)
{
    struct errand *errand = context;
    io_post(errand->loop, &errand->post);
}

void on_loop(struct io_loop *loop, void (*run)(void *context), void *context)
{
    struct errand errand = {.post.run = errand_run, .loop = loop, .run = run, .context = context};
    struct io *io = io_of(loop);
    world_do(io, errand_send, &errand);
    if (!world_wait(io, &errand.is_done)) abort(); /* The errand lies on this stack. */
}

void await(struct io *io, const atomic_bool *flag)
{
    EXPECT(world_wait(io, flag));
}

struct nap {
    struct io_timer timer;
    struct io_loop *loop;
    uint64_t for_ms;
    atomic_bool is_over;
};

static void nap_end(struct io_timer *timer)
{
    struct nap *nap = HEAP_ENTRY(timer, struct nap, timer);
    atomic_store(&nap->is_over, true);
}

static void nap_begin(void *context)
{
    struct nap *nap = context;
    nap->timer.run = nap_end;
    io_timer_start(nap->loop, &nap->timer, io_now(io_of(nap->loop)).boot_ms + nap->for_ms);
}

void let_pass(struct io_loop *loop, uint64_t for_ms)
{
    struct nap nap = {.loop = loop, .for_ms = for_ms};
    on_loop(loop, nap_begin, &nap);
    if (!world_wait(io_of(loop), &nap.is_over)) abort();
}

int conformance_run(void)
{
    return loop_stories_run() + tcp_stories_run() + file_stories_run();
}
