/* sim/io/trace.c: everything that happens, as one number and as the last few lines.
 *
 * The hash is rolled over time, place, kind and two words of each happening. Names go in by their
 * letters, never by their address, so that two processes agree. */
#include <inttypes.h>
#include <string.h>

#include "sim/io/sim_io.h"

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash ^= word;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t word_of(const char *text)
{
    uint64_t word = 0;
    for (; *text != '\0'; text++) word = word * 131 + (uint8_t)*text;
    return word;
}

static void print(const struct trace_line *line, FILE *to)
{
    (void)fprintf(to, "[%10" PRIu64 ".%03" PRIu64 "] %-8s %-12s %" PRIx64 " %" PRIx64 "\n",
                  line->at_us / 1000, line->at_us % 1000, line->who, line->what, line->a, line->b);
}

void sim_trace(struct sim *sim, const struct sim_machine *m, const char *what, uint64_t a,
               uint64_t b)
{
    struct trace *t = &sim->trace;
    struct trace_line line = {sim_thread_now_us(sim), a, b, what, m == NULL ? "" : m->name};
    t->hash = mix(t->hash, line.at_us);
    t->hash = mix(t->hash, word_of(what) + (m == NULL ? 0 : m->index + 1));
    t->hash = mix(t->hash, a);
    t->hash = mix(t->hash, b);
    t->last[t->count++ % SIM_LAST_MAX] = line;
    if (t->print_to != NULL) print(&line, t->print_to);
}

void sim_note(struct sim *sim, const char *what, uint64_t a, uint64_t b)
{
    sim_trace(sim, sim_machine_current(), what, a, b);
}

uint64_t sim_hash(const struct sim *sim)
{
    return sim->trace.hash;
}

void sim_print_to(struct sim *sim, FILE *to)
{
    sim->trace.print_to = to;
}

void sim_print_last(const struct sim *sim, FILE *to, size_t count)
{
    const struct trace *t = &sim->trace;
    uint64_t held = t->count < SIM_LAST_MAX ? t->count : SIM_LAST_MAX;
    for (uint64_t i = count < held ? count : held; i > 0; i--)
        print(&t->last[(t->count - i) % SIM_LAST_MAX], to);
}
