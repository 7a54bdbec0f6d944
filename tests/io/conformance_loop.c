/* tests/io/conformance_loop.c: messages, turns, timers and work. */
#include "io/conformance_impl.h"

enum { POSTS = 1000 };

/* ---- Messages -------------------------------------------------------------------------------- */

struct numbered {
    struct io_post post;
    size_t number;
    struct sequence *sequence;
};

struct sequence {
    struct io_loop *loop;
    struct numbered posts[POSTS];
    size_t next; /* The number that must come now. */
    bool is_posting;
    atomic_bool is_done;
};

static void on_numbered(struct io_post *post)
{
    struct numbered *n = LIST_ENTRY(post, struct numbered, post);
    struct sequence *s = n->sequence;
    EXPECT(io_is_on(s->loop));
    EXPECT(!s->is_posting);
    EXPECT(n->number == s->next);
    if (++s->next == POSTS) atomic_store(&s->is_done, true);
}

static void post_all(void *context)
{
    struct sequence *s = context;
    for (size_t i = 0; i < POSTS; i++) io_post(s->loop, &s->posts[i].post);
}

static void post_all_from_loop(void *context)
{
    struct sequence *s = context;
    s->is_posting = true;
    post_all(s);
    s->is_posting = false;
}

static void sequence_init(struct sequence *s, struct io_loop *loop)
{
    memset(s, 0, sizeof *s);
    s->loop = loop;
    for (size_t i = 0; i < POSTS; i++)
        s->posts[i] = (struct numbered){.post.run = on_numbered, .number = i, .sequence = s};
}

/* A thousand messages from another thread are run in the order in which they were posted. */
static void test_posts_keep_their_order(void **state)
{
    struct io *io = *state;
    static struct sequence s;
    sequence_init(&s, loop_open(io, IO_LOOP_EVENTS, "order"));
    world_do(io, post_all, &s);
    await(io, &s.is_done);
    loop_close(io, s.loop);
}

/* A loop posts to itself: in order too, and never inside io_post(). */
static void test_own_posts_run_later(void **state)
{
    struct io *io = *state;
    static struct sequence s;
    sequence_init(&s, loop_open(io, IO_LOOP_EVENTS, "own"));
    on_loop(s.loop, post_all_from_loop, &s);
    await(io, &s.is_done);
    loop_close(io, s.loop);
}

/* A loop is closed right after a thousand messages: all of them are run before it ends. */
static void test_close_runs_what_was_posted(void **state)
{
    struct io *io = *state;
    static struct sequence s;
    sequence_init(&s, loop_open(io, IO_LOOP_EVENTS, "close"));
    world_do(io, post_all, &s);
    loop_close(io, s.loop);
    assert_int_equal(s.next, POSTS);
}

struct ball {
    struct io_post post;
    struct io_loop *loops[2];
    int hits;
    atomic_bool is_done;
};

static void on_ball(struct io_post *post)
{
    struct ball *ball = LIST_ENTRY(post, struct ball, post);
    EXPECT(io_is_on(ball->loops[ball->hits % 2]));
    EXPECT(!io_is_on(ball->loops[(ball->hits + 1) % 2]));
    if (++ball->hits == POSTS) atomic_store(&ball->is_done, true);
    else io_post(ball->loops[ball->hits % 2], &ball->post);
}

static void serve(void *context)
{
    struct ball *ball = context;
    io_post(ball->loops[0], &ball->post);
}

/* One message goes back and forth between two loops: neither sleeps while it is on its way. */
static void test_loops_wake_each_other(void **state)
{
    struct io *io = *state;
    struct ball ball = {.post.run = on_ball};
    for (int i = 0; i < 2; i++) ball.loops[i] = loop_open(io, IO_LOOP_EVENTS, "player");
    world_do(io, serve, &ball);
    await(io, &ball.is_done);
    for (int i = 0; i < 2; i++) loop_close(io, ball.loops[i]);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

struct hooked {
    struct io_turn_hook first, second, last;
    struct io_post post;
    struct io_loop *loop;
    int posts_left, posts_run;
    int turns;       /* Ended by both hooks. */
    bool is_between; /* The first was called, the second not yet. */
    int last_calls;
    atomic_bool is_done;
};

static void on_first_hook(struct io_turn_hook *hook)
{
    struct hooked *h = LIST_ENTRY(hook, struct hooked, first);
    EXPECT(!h->is_between);
    h->is_between = true;
    if (h->posts_left > 0) {
        h->posts_left--;
        io_post(h->loop, &h->post);
    }
}

static void on_second_hook(struct io_turn_hook *hook)
{
    struct hooked *h = LIST_ENTRY(hook, struct hooked, second);
    EXPECT(h->is_between);
    h->is_between = false;
    h->turns++;
}

static void on_last_hook(struct io_turn_hook *hook)
{
    struct hooked *h = LIST_ENTRY(hook, struct hooked, last);
    h->last_calls++;
    io_turn_hook_remove(hook);
}

static void on_hooked_post(struct io_post *post)
{
    struct hooked *h = LIST_ENTRY(post, struct hooked, post);
    EXPECT(!h->is_between);
    h->posts_run++;
    EXPECT(h->turns >= h->posts_run); /* Each was posted by a hook, so after a turn of its own. */
    if (h->posts_run == 100) atomic_store(&h->is_done, true);
}

static void hooks_add(void *context)
{
    struct hooked *h = context;
    io_turn_hook_add(h->loop, &h->first);
    io_turn_hook_add(h->loop, &h->second);
    io_turn_hook_add(h->loop, &h->last);
    EXPECT(h->turns == 0);
}

static void hooks_remove(void *context)
{
    struct hooked *h = context;
    io_turn_hook_remove(&h->first);
    io_turn_hook_remove(&h->second);
    h->is_between = true; /* Any further call would be found out. */
}

/* Hooks end each turn, in the order of adding; what one of them posts is run without any other
 * event, a hundred times in a row; one that removes itself is called once. */
static void test_hooks_end_each_turn(void **state)
{
    struct io *io = *state;
    struct hooked h = {.first.run = on_first_hook,
                       .second.run = on_second_hook,
                       .last.run = on_last_hook,
                       .post.run = on_hooked_post,
                       .posts_left = 100};
    h.loop = loop_open(io, IO_LOOP_EVENTS, "hooks");
    on_loop(h.loop, hooks_add, &h);
    await(io, &h.is_done);
    on_loop(h.loop, hooks_remove, &h);
    let_pass(h.loop, 1);
    loop_close(io, h.loop);
    assert_int_equal(h.posts_run, 100);
    assert_int_equal(h.last_calls, 1);
}

/* ---- Timers ---------------------------------------------------------------------------------- */

struct bell {
    struct io_timer timer;
    struct belfry *belfry;
    uint64_t due_ms;
    char name;
};

struct belfry {
    struct io *io;
    struct io_loop *loop;
    struct bell bells[8];
    char rung[16];
    size_t rung_count;
    bool is_inside;
    int repeats_left;
    atomic_bool is_done;
};

static void on_bell(struct io_timer *timer)
{
    struct bell *bell = HEAP_ENTRY(timer, struct bell, timer);
    struct belfry *b = bell->belfry;
    EXPECT(!b->is_inside);
    EXPECT(io_is_on(b->loop));
    EXPECT(io_now(b->io).boot_ms >= bell->due_ms);
    EXPECT(b->rung_count < sizeof b->rung - 1);
    b->rung[b->rung_count++] = bell->name;
    if (bell->name == 'z') atomic_store(&b->is_done, true);
}

static void bell_start(struct belfry *b, size_t index, char name, uint64_t due_ms)
{
    struct bell *bell = &b->bells[index];
    bell->timer.run = on_bell;
    bell->belfry = b;
    bell->name = name;
    bell->due_ms = due_ms;
    b->is_inside = true;
    io_timer_start(b->loop, &bell->timer, due_ms);
    b->is_inside = false;
}

static void bells_start(void *context)
{
    struct belfry *b = context;
    uint64_t now_ms = io_now(b->io).boot_ms;
    io_timer_stop(&b->bells[0].timer); /* All zero: harmless. */
    bell_start(b, 0, 'd', now_ms + 30);
    bell_start(b, 1, 'b', now_ms + 10);
    bell_start(b, 2, 'x', now_ms + 15);
    bell_start(b, 3, 'c', now_ms + 10);
    bell_start(b, 6, 'e', now_ms + 33);
    bell_start(b, 4, 'z', now_ms + 5);
    bell_start(b, 5, 'a', now_ms > 5 ? now_ms - 5 : 0);
    bell_start(b, 4, 'z', now_ms + 50); /* Moved behind all others. */
    io_timer_stop(&b->bells[2].timer);
    io_timer_stop(&b->bells[2].timer);
}

/* Timers ring in the order of their deadlines, those of one deadline in that of starting, none too
 * early; one is moved, one is stopped, one is overdue when it is started. */
static void test_timers_ring_in_order(void **state)
{
    struct belfry b = {.io = *state};
    b.loop = loop_open(b.io, IO_LOOP_EVENTS, "timers");
    on_loop(b.loop, bells_start, &b);
    await(b.io, &b.is_done);
    loop_close(b.io, b.loop);
    assert_string_equal(b.rung, "abcdez");
}

static void on_repeat(struct io_timer *timer)
{
    struct bell *bell = HEAP_ENTRY(timer, struct bell, timer);
    struct belfry *b = bell->belfry;
    if (b->repeats_left > 0) b->repeats_left--;
    io_timer_start(b->loop, timer, 0);
}

static void repeat_start(void *context)
{
    struct belfry *b = context;
    bell_start(b, 0, 'r', 0);
    b->bells[0].timer.run = on_repeat;
    bell_start(b, 1, 'z', io_now(b->io).boot_ms + 20);
}

static void repeat_stop(void *context)
{
    struct belfry *b = context;
    io_timer_stop(&b->bells[0].timer);
}

/* A timer that is always overdue starves neither the others nor messages. */
static void test_overdue_timer_starves_nobody(void **state)
{
    struct belfry b = {.io = *state, .repeats_left = 10};
    b.loop = loop_open(b.io, IO_LOOP_EVENTS, "repeat");
    on_loop(b.loop, repeat_start, &b);
    await(b.io, &b.is_done);
    on_loop(b.loop, repeat_stop, &b);
    loop_close(b.io, b.loop);
    assert_string_equal(b.rung, "z");
    assert_int_equal(b.repeats_left, 0);
}

/* ---- Work ------------------------------------------------------------------------------------ */

enum { WORKS = 50 };

struct job {
    struct io_work work;
    struct workshop *workshop;
    int runs, dones;
};

struct workshop {
    struct io_loop *loop;
    struct job jobs[WORKS];
    int left;
    bool is_inside;
    atomic_bool is_done;
};

static void job_run(struct io_work *work)
{
    struct job *job = LIST_ENTRY(work, struct job, work);
    job->runs++;
    EXPECT(job->dones == 0);
}

static void job_done(struct io_work *work)
{
    struct job *job = LIST_ENTRY(work, struct job, work);
    struct workshop *w = job->workshop;
    EXPECT(io_is_on(w->loop));
    EXPECT(!w->is_inside);
    EXPECT(job->runs == 1);
    job->dones++;
    if (--w->left == 0) atomic_store(&w->is_done, true);
}

static void jobs_start(void *context)
{
    struct workshop *w = context;
    memset(w->jobs, 0, sizeof w->jobs);
    w->left = WORKS;
    atomic_store(&w->is_done, false);
    w->is_inside = true;
    for (size_t i = 0; i < WORKS; i++) {
        w->jobs[i].work.run = job_run;
        w->jobs[i].work.done = job_done;
        w->jobs[i].workshop = w;
        io_work(w->loop, &w->jobs[i].work);
    }
    w->is_inside = false;
}

/* Fifty calls go to the pool, and fifty more once it has gone to sleep; each is run once and then
 * comes home to the loop that asked. */
static void test_work_comes_home(void **state)
{
    struct io *io = *state;
    struct workshop w = {.loop = loop_open(io, IO_LOOP_EVENTS, "work")};
    for (int round = 0; round < 2; round++) {
        let_pass(w.loop, 20);
        on_loop(w.loop, jobs_start, &w);
        await(io, &w.is_done);
    }
    loop_close(io, w.loop);
    for (size_t i = 0; i < WORKS; i++) assert_int_equal(w.jobs[i].dones, 1);
}

/* ---- Clocks and chance ----------------------------------------------------------------------- */

struct readings {
    struct io *io;
    struct now before, after;
    uint64_t seeds[2];
};

static void readings_take(void *context)
{
    struct readings *r = context;
    r->after = io_now(r->io);
    r->seeds[0] = io_seed(r->io);
    r->seeds[1] = io_seed(r->io);
}

static void first_reading_take(void *context)
{
    struct readings *r = context;
    r->before = io_now(r->io);
}

/* Both clocks move with the world, and two seeds differ. */
static void test_clocks_move(void **state)
{
    struct readings r = {.io = *state};
    struct io_loop *loop = loop_open(r.io, IO_LOOP_EVENTS, "clock");
    world_do(r.io, first_reading_take, &r);
    let_pass(loop, 20);
    world_do(r.io, readings_take, &r);
    loop_close(r.io, loop);
    assert_true(r.after.boot_ms >= r.before.boot_ms + 19); /* Both readings are cut. */
    assert_true(r.after.wall_us != r.before.wall_us);
    assert_true(r.seeds[0] != r.seeds[1]);
}

int loop_stories_run(void)
{
    const struct CMUnitTest stories[] = {
        STORY(test_posts_keep_their_order),
        STORY(test_own_posts_run_later),
        STORY(test_close_runs_what_was_posted),
        STORY(test_loops_wake_each_other),
        STORY(test_hooks_end_each_turn),
        STORY(test_timers_ring_in_order),
        STORY(test_overdue_timer_starves_nobody),
        STORY(test_work_comes_home),
        STORY(test_clocks_move),
    };
    return cmocka_run_group_tests_name("io: loops", stories, NULL, NULL);
}
