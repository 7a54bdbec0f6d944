/* tests/io/conformance_impl.h: what the stories share: expectations and errands. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/conformance.h"

/* As an assertion, but on any thread and inside any world: the first that is wrong fails the story
 * when it ends. */
#define EXPECT(condition) expect((condition), #condition, __FILE__, __LINE__)
void expect(bool is_true, const char *condition, const char *file, int line);

/* cmocka's fixture of every story: '*state' is its 'struct io *'. */
int story_begin(void **state);
int story_end(void **state);
#define STORY(function) cmocka_unit_test_setup_teardown(function, story_begin, story_end)

/* Open or close a loop of the machine. */
struct io_loop *loop_open(struct io *io, enum io_loop_kind kind, const char *name);
void loop_close(struct io *io, struct io_loop *loop);

/* Have run(context) called on the loop, and wait for it. */
void on_loop(struct io_loop *loop, void (*run)(void *context), void *context);

/* Wait for the flag, and expect it. */
void await(struct io *io, const atomic_bool *flag);

/* Let that much of the machine's time pass. */
void let_pass(struct io_loop *loop, uint64_t for_ms);

int loop_stories_run(void);
int tcp_stories_run(void);
int file_stories_run(void);
