/* sim/main.c: one random run, as its seed draws it. A run that fails prints the seed first and last. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mark.h"
#include "obs/logger.h"
#include "sim/swarm.h"

static const char usage[] =
    "sim: two clusters in one thread, and everything that may befall them\n"
    "\n"
    "  sim --seed 0x2a                    the run of that seed\n"
    "  -s, --seed N            default: drawn from the clock, and printed\n"
    "  -p, --profile NAME      swarm (default), dup, liveness, quiet\n"
    "  -t, --virtual-seconds N length of the phase with faults (default 20)\n"
    "      --trace             print every event\n"
    "      --log               print what the nodes say\n"
    "      --marks             print the rare situations that were met (built with PIRENE_MARKS)\n"
    "\n"
    "exit codes: 0 good, 2 usage, 3 an invariant was broken, 4 no progress, 5 the code stopped "
    "itself\n";

enum { EXIT_USAGE = 2, EXIT_CRASH = 5 };

static char last_words[64];

/* The seed last, also when a CHECK has failed. */
static void on_abort(int number)
{
    (void)number;
    if (write(STDOUT_FILENO, last_words, strlen(last_words)) < 0) _exit(EXIT_CRASH);
    _exit(EXIT_CRASH);
}

static void print_log(struct logger_sink *sink, enum logger_level level, struct slice line)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    (void)sink;
    (void)printf("%s %.*s\n", names[level], (int)line.size, (const char *)line.data);
}

static struct logger_sink log_sink = {.level = LOG_LEVEL_DEBUG, .write = print_log};

static void print_marks(void)
{
    for (const struct mark *m = mark_next(NULL); m != NULL; m = mark_next(m))
        (void)printf("mark %8" PRIu64 "  %s\n", m->count, m->name);
}

static void print_result(const struct swarm_options *o, const struct swarm_result *r,
                         double seconds)
{
    (void)printf("seed %#" PRIx64 ": %s  hash %016" PRIx64 "  events %" PRIu64
                 "  virtual %.1f s  asked %" PRIu64 "  unknown %" PRIu64 "  mutations %" PRIu64
                 "  strikes %" PRIu64 "  %.0f events/s, %.0f virtual s/s\n",
                 o->seed, r->end == SWARM_GOOD ? "good" : "FAILED", r->hash, r->events,
                 (double)r->virtual_us / 1e6, r->asked, r->unknown, r->mutations, r->strikes,
                 (double)r->events / seconds, (double)r->virtual_us / 1e6 / seconds);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"seed", required_argument, NULL, 's'},
        {"profile", required_argument, NULL, 'p'},
        {"virtual-seconds", required_argument, NULL, 't'},
        {"trace", no_argument, NULL, 'T'},
        {"log", no_argument, NULL, 'L'},
        {"marks", no_argument, NULL, 'M'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct swarm_options o = {.seed = (uint64_t)time(NULL), .virtual_s = 20, .complain = stdout};
    bool has_marks = false;
    int option;
    while ((option = getopt_long(argc, argv, "s:p:t:h", names, NULL)) != -1) {
        switch (option) {
        case 's': o.seed = strtoull(optarg, NULL, 0); break;
        case 't': o.virtual_s = strtoull(optarg, NULL, 0); break;
        case 'T': o.trace = stdout; break;
        case 'L': logger_sink_set(&log_sink); break;
        case 'M': has_marks = true; break;
        case 'p':
            if (swarm_profile_parse(optarg, &o.profile) == 0) break;
            return fputs(usage, stderr) == EOF ? 1 : EXIT_USAGE;
        case 'h': return fputs(usage, stdout) == EOF ? 1 : 0;
        default: return fputs(usage, stderr) == EOF ? 1 : EXIT_USAGE;
        }
    }
    (void)printf("seed %#" PRIx64 "\n", o.seed);
    (void)fflush(stdout);
    (void)snprintf(last_words, sizeof last_words, "seed %#" PRIx64 " CRASHED\n", o.seed);
    (void)signal(SIGABRT, on_abort);
    struct swarm_result result;
    clock_t began = clock();
    swarm_run(&o, &result);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    if (has_marks) print_marks();
    print_result(&o, &result, seconds);
    return (int)result.end;
}
