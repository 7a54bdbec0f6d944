/* sim/io/clock.c: what time a machine believes it is.
 *
 *     boot = boot_base + (t - rate_since) * (1 + rate / 10^6)        never goes back
 *     wall = boot + wall_offset                                      jumps
 *
 * Integers only: the same on every machine. A rate is below 10^6 ppm and a world lasts less than a
 * hundred years, so the product fits. */
#include "base/check.h"
#include "sim/io/sim_io.h"

enum { RATE_ONE = 1000000 };

uint64_t sim_clock_boot_us(const struct sim_machine *m, uint64_t at_us)
{
    CHECK(at_us >= m->rate_since_us);
    uint64_t passed = at_us - m->rate_since_us;
    uint64_t rate = (uint64_t)(RATE_ONE + m->rate_ppm);
    return m->boot_base_us + passed / RATE_ONE * rate + passed % RATE_ONE * rate / RATE_ONE;
}

uint64_t sim_clock_when(const struct sim_machine *m, uint64_t boot_us)
{
    if (boot_us <= m->boot_base_us) return m->rate_since_us;
    uint64_t ahead = boot_us - m->boot_base_us;
    uint64_t rate = (uint64_t)(RATE_ONE + m->rate_ppm);
    if (ahead > UINT64_MAX / 4) return UINT64_MAX / 2; /* Never. */
    uint64_t at_us =
        m->rate_since_us + ahead / rate * RATE_ONE + (ahead % rate * RATE_ONE + rate - 1) / rate;
    while (sim_clock_boot_us(m, at_us) < boot_us) at_us++; /* Rounding. */
    return at_us;
}

struct now io_now(struct io *io)
{
    const struct sim_machine *m = io->machine;
    uint64_t boot_us = sim_clock_boot_us(m, sim_thread_now_us(m->sim));
    struct thread *thread = sim_thread_current();
    if (thread != NULL && thread->machine == m) { /* It may be ahead, and the rate has changed. */
        if (boot_us < thread->boot_seen_us) boot_us = thread->boot_seen_us;
        thread->boot_seen_us = boot_us;
    }
    return (struct now){.boot_ms = boot_us / 1000,
                        .wall_us = (uint64_t)((int64_t)boot_us + m->wall_offset_us)};
}

uint64_t io_seed(struct io *io)
{
    return prng_next(&io->machine->sim->prng);
}

void sim_clock_rate(struct sim_machine *m, int32_t rate_ppm)
{
    CHECK(rate_ppm > -RATE_ONE && rate_ppm < RATE_ONE);
    m->boot_base_us = sim_clock_boot_us(m, m->sim->now_us);
    m->rate_since_us = m->sim->now_us;
    m->rate_ppm = rate_ppm;
    for (size_t i = 0; i < m->loop_count; i++) {
        sim_event_cancel(m->sim, &m->loops[i]->alarm);
        sim_timers_rearm(m->loops[i]);
    }
    sim_trace(m->sim, m, "clock rate", (uint64_t)rate_ppm, 0);
}

void sim_clock_jump(struct sim_machine *m, int64_t wall_by_us)
{
    m->wall_offset_us += wall_by_us;
    sim_trace(m->sim, m, "clock jump", (uint64_t)wall_by_us, 0);
}
