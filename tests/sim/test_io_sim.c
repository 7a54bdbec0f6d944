/* tests/sim/test_io_sim.c: the simulated world does what every world must (tests/io). */
#include "io/conformance.h"
#include "sim/sim.h"

#include <stdlib.h>

enum { WAIT_US = 20000000 };

static struct sim *sim;
static struct sim_machine *machine;
static uint64_t seed;

static void make_dir(struct sim_machine *m, void *context)
{
    (void)context;
    if (io_dir_make(sim_machine_io(m), "/data") != 0) abort();
}

struct io *world_open(void)
{
    sim = sim_new(++seed);
    machine = sim_machine_new(sim, "a");
    sim_machine_start(machine, (struct sim_program){make_dir, NULL});
    return sim_machine_io(machine);
}

/* Closing well includes that no memory is left (sim_machine_exit). */
void world_close(struct io *io)
{
    (void)io;
    sim_machine_exit(machine);
    sim_free(sim);
}

void world_do(struct io *io, void (*run)(void *context), void *context)
{
    (void)io;
    if (!sim_machine_do(machine, run, context)) abort();
}

static bool is_set(void *context)
{
    return atomic_load((const atomic_bool *)context);
}

bool world_wait(struct io *io, const atomic_bool *flag)
{
    (void)io;
    return sim_run_until(sim, is_set, (void *)(uintptr_t)flag, WAIT_US);
}

const char *world_dir(struct io *io)
{
    (void)io;
    return "/data";
}

struct io_address world_address(struct io *io)
{
    (void)io;
    return (struct io_address){.ipv4 = sim_machine_ipv4(machine)};
}

/* Again and again: each round is another seed for every story. */
int main(void)
{
    enum { ROUNDS = 5 };
    int failed = 0;
    for (int i = 0; i < ROUNDS && failed == 0; i++) failed = conformance_run();
    return failed;
}
