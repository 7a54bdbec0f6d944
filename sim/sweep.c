/* sim/sweep.c: many random runs, each in a process of its own, so that one that dies ends alone.
 *
 *     next seed --> fork --> swarm_run() --> outcome --> pipe --> the sum
 *                                 one in 37 is run twice and must give the same hash
 *
 * A failure prints the command that shows it again. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mark.h"
#include "sim/swarm.h"

static const char usage[] =
    "sim_sweep: the simulator over many seeds\n"
    "\n"
    "  sim_sweep --from 1 --count 1000        seeds 1 to 1000, profiles in turn\n"
    "  sim_sweep --budget 60s --jobs 2        as many as a minute holds\n"
    "  sim_sweep --count 150 --must-meet tests/sim/markers.list\n"
    "\n"
    "  -f, --from N            the first seed (default 1)\n"
    "  -n, --count N           how many (default: as many as the budget holds)\n"
    "  -b, --budget Ns         begin no run after that time (default 60s)\n"
    "  -j, --jobs N            runs at a time (default 2, at most 64)\n"
    "  -p, --profile NAME      swarm, dup, liveness, quiet (default: each in turn)\n"
    "  -t, --virtual-seconds N length of the phase with faults (default 20)\n"
    "      --marks             say at the end how often each rare situation was met\n"
    "  -m, --must-meet FILE    fail when one of the situations in FILE, one a line, never was\n"
    "\n"
    "exit codes: 0 all good, 1 a run failed or a situation was not met, 2 usage\n"
    "Situations are counted in builds with PIRENE_MARKS only (tools/test.sh asan).\n";

enum {
    JOBS_MAX = 64,
    MARKS_MAX = 512,
    MARK_SIZE_MAX = 200,
    TWICE_EVERY =
        37, /* Has no factor of SWARM_PROFILES: so each of them is run twice now and then. */
    RUN_S_MAX = 300, /* A run that takes longer hangs. */
};

struct sweep_mark {
    const char *name; /* A constant of the program: the same address in every child. */
    uint64_t count;
};

struct outcome { /* What a child tells. Same program on both sides of the pipe: a struct will do. */
    enum swarm_end end;
    bool is_same_twice;
    char text[REPORT_TEXT_SIZE];
    uint64_t events, virtual_us;
    struct sweep_mark marks[MARKS_MAX]; /* Up to the first without a name. */
};

struct job {
    pid_t pid; /* 0: free. */
    int fd;
    uint64_t seed;
    enum swarm_profile profile;
    struct outcome outcome;
    size_t got; /* Bytes of it. */
};

struct sweep {
    uint64_t next, end; /* Seeds. */
    uint64_t jobs_max, budget_s, virtual_s;
    bool has_profile, has_marks;
    enum swarm_profile profile;
    FILE *must_meet; /* NULL: nothing. */

    struct job jobs[JOBS_MAX];
    uint64_t running, done, failed, events, virtual_us;
    struct sweep_mark marks[MARKS_MAX];
    double began_s;
};

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- In a child -------------------------------------------------------------------------------- */

static void write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = write(fd, at, size);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) _exit(1);
        at += sent;
        size -= (size_t)sent;
    }
}

static void run_seed(const struct sweep *w, struct job *j, int fd)
{
    struct swarm_options options = {
        .seed = j->seed, .profile = j->profile, .virtual_s = w->virtual_s};
    struct swarm_result result, again;
    (void)alarm(RUN_S_MAX);
    swarm_run(&options, &result);
    struct outcome *v = &j->outcome;
    *v = (struct outcome){.end = result.end, .is_same_twice = true};
    memcpy(v->text, result.text, sizeof v->text);
    v->events = result.events;
    v->virtual_us = result.virtual_us;
    size_t i = 0;
    for (const struct mark *m = mark_next(NULL); m != NULL && i < MARKS_MAX; m = mark_next(m))
        v->marks[i++] = (struct sweep_mark){m->name, m->count};
    if (j->seed % TWICE_EVERY == 0) {
        swarm_run(&options, &again);
        v->is_same_twice = again.hash == result.hash;
    }
    write_all(fd, v, sizeof *v);
    _exit(0);
}

/* ---- The sum ------------------------------------------------------------------------------------- */

static void job_begin(struct sweep *w, struct job *j)
{
    int ends[2];
    *j = (struct job){.seed = w->next++};
    j->profile = w->has_profile ? w->profile : (enum swarm_profile)(j->seed % SWARM_PROFILES);
    (void)fflush(stdout);
    CHECK(pipe(ends) == 0);
    j->pid = fork();
    CHECK(j->pid >= 0);
    if (j->pid == 0) {
        (void)close(ends[0]);
        run_seed(w, j, ends[1]);
    }
    (void)close(ends[1]);
    j->fd = ends[0];
    w->running++;
}

/* Why a run was not good; NULL: it was. */
static const char *complaint(const struct job *j, int status)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "it hangs";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return "the code stopped itself";
    if (j->got != sizeof j->outcome) return "it said nothing";
    if (j->outcome.end != SWARM_GOOD) return j->outcome.text;
    if (!j->outcome.is_same_twice) return "the same seed gave another hash";
    return NULL;
}

static void mark_add(struct sweep *w, const struct sweep_mark *more)
{
    size_t i = 0;
    while (i < MARKS_MAX && w->marks[i].name != NULL && strcmp(w->marks[i].name, more->name) != 0)
        i++;
    if (i == MARKS_MAX) return;
    w->marks[i].name = more->name;
    w->marks[i].count += more->count;
}

static void job_end(struct sweep *w, struct job *j)
{
    int status = 0;
    (void)close(j->fd);
    CHECK(waitpid(j->pid, &status, 0) == j->pid);
    const char *why = complaint(j, status);
    w->done++;
    w->running--;
    w->events += j->outcome.events;
    w->virtual_us += j->outcome.virtual_us;
    for (size_t i = 0; i < MARKS_MAX && j->outcome.marks[i].name != NULL; i++)
        mark_add(w, &j->outcome.marks[i]);
    j->pid = 0;
    if (why == NULL) return;
    w->failed++;
    (void)printf("FAILED seed %#" PRIx64 ": %s\n   again: sim --seed %#" PRIx64
                 " --profile %s --virtual-seconds %" PRIu64 "\n",
                 j->seed, why, j->seed, swarm_profile_name(j->profile), w->virtual_s);
}

static void job_read(struct sweep *w, struct job *j)
{
    ssize_t got = read(j->fd, (char *)&j->outcome + j->got, sizeof j->outcome - j->got);
    if (got < 0 && errno == EINTR) return;
    if (got > 0) j->got += (size_t)got;
    if (got <= 0 || j->got == sizeof j->outcome) job_end(w, j);
}

static bool wants_more(const struct sweep *w)
{
    return w->next < w->end && seconds_now() - w->began_s < (double)w->budget_s;
}

static void wait_for_one(struct sweep *w)
{
    struct pollfd polls[JOBS_MAX];
    struct job *polled[JOBS_MAX];
    nfds_t count = 0;
    for (uint64_t i = 0; i < w->jobs_max; i++) {
        if (w->jobs[i].pid == 0) continue;
        polled[count] = &w->jobs[i];
        polls[count++] = (struct pollfd){.fd = w->jobs[i].fd, .events = POLLIN};
    }
    if (poll(polls, count, -1) < 0) return;
    for (nfds_t i = 0; i < count; i++)
        if (polls[i].revents != 0) job_read(w, polled[i]);
}

static void sweep(struct sweep *w)
{
    while (w->running > 0 || wants_more(w)) {
        for (uint64_t i = 0; i < w->jobs_max && wants_more(w); i++)
            if (w->jobs[i].pid == 0) job_begin(w, &w->jobs[i]);
        if (w->running > 0) wait_for_one(w);
    }
}

static void print_sum(const struct sweep *w)
{
    double seconds = seconds_now() - w->began_s;
    for (size_t i = 0; w->has_marks && i < MARKS_MAX && w->marks[i].name != NULL; i++)
        (void)printf("mark %10" PRIu64 "  %s\n", w->marks[i].count, w->marks[i].name);
    (void)printf("%" PRIu64 " seeds, %" PRIu64 " failed: %" PRIu64
                 " events, %.0f virtual seconds in "
                 "%.1f s: %.0f events a second and job\n",
                 w->done, w->failed, w->events, (double)w->virtual_us / 1e6, seconds,
                 (double)w->events / seconds / (double)w->jobs_max);
}

static bool is_met(const struct sweep *w, const char *name)
{
    for (size_t i = 0; i < MARKS_MAX && w->marks[i].name != NULL; i++)
        if (strcmp(w->marks[i].name, name) == 0) return w->marks[i].count > 0;
    return false;
}

/* Says which situations of the file were not met; returns how many. */
static uint64_t print_missed(const struct sweep *w)
{
    char line[MARK_SIZE_MAX];
    uint64_t missed = 0;
    while (w->must_meet != NULL && fgets(line, sizeof line, w->must_meet) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#' || is_met(w, line)) continue;
        (void)printf("NEVER MET in %" PRIu64 " seeds: %s\n", w->done, line);
        missed++;
    }
    return missed;
}

/* ---- Being asked --------------------------------------------------------------------------------- */

static const struct option option_names[] = {
    {"from", required_argument, NULL, 'f'},    {"count", required_argument, NULL, 'n'},
    {"budget", required_argument, NULL, 'b'},  {"jobs", required_argument, NULL, 'j'},
    {"profile", required_argument, NULL, 'p'}, {"virtual-seconds", required_argument, NULL, 't'},
    {"marks", no_argument, NULL, 'M'},         {"must-meet", required_argument, NULL, 'm'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

/* A number and perhaps a unit. False: it is neither. */
static bool number_parse(const char *text, const char *unit, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return errno == 0 && end != text && (*end == '\0' || strcmp(end, unit) == 0);
}

/* Returns 0, or 1 when help was asked for, or E_INVALID. */
static int options_parse(struct sweep *w, int argc, char **argv)
{
    uint64_t count = UINT64_MAX;
    bool is_good = true;
    int option;
    while (is_good &&
           (option = getopt_long(argc, argv, "f:n:b:j:p:t:m:h", option_names, NULL)) != -1)
        switch (option) {
        case 'f': is_good = number_parse(optarg, "", &w->next); break;
        case 'n': is_good = number_parse(optarg, "", &count); break;
        case 'b': is_good = number_parse(optarg, "s", &w->budget_s); break;
        case 'j': is_good = number_parse(optarg, "", &w->jobs_max); break;
        case 't': is_good = number_parse(optarg, "", &w->virtual_s); break;
        case 'p':
            w->has_profile = true;
            is_good = swarm_profile_parse(optarg, &w->profile) == 0;
            break;
        case 'M': w->has_marks = true; break;
        case 'm':
            w->must_meet = fopen(optarg, "r");
            is_good = w->must_meet != NULL;
            break;
        case 'h': return 1;
        default: is_good = false;
        }
    if (w->jobs_max == 0 || w->jobs_max > JOBS_MAX || optind != argc) is_good = false;
    w->end = count > UINT64_MAX - w->next ? UINT64_MAX : w->next + count;
    return is_good ? 0 : E_INVALID;
}

int main(int argc, char **argv)
{
    static struct sweep w = {.next = 1, .jobs_max = 2, .budget_s = 60, .virtual_s = 20};
    int rc = options_parse(&w, argc, argv);
    if (rc != 0) {
        (void)fputs(usage, rc > 0 ? stdout : stderr);
        return rc > 0 ? 0 : 2;
    }
    w.began_s = seconds_now();
    sweep(&w);
    uint64_t missed = print_missed(&w);
    print_sum(&w);
    if (w.must_meet != NULL) (void)fclose(w.must_meet);
    return w.failed == 0 && missed == 0 && w.done > 0 ? 0 : 1;
}
