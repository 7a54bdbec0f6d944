/* src/node/main.c: pirened. Options, signals, and one node. */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http/http.h"
#include "io/uv.h"
#include "node/node.h"
#include "obs/logger.h"
#include "obs/logger_file.h"

static const struct logger logger = {.room = "server"};

static const char usage[] =
    "pirened: a Pirene server\n"
    "\n"
    "  pirened                      serve at 127.0.0.1:34601, data in ./pirene-data\n"
    "  pirened -c pirene.ini        as the file says (docs/configuration.md)\n"
    "  pirened -l 0.0.0.0:34601 -d /var/lib/pirene\n"
    "  pirened -l 10.0.0.2:34601 -j 10.0.0.1:34601   one more node of that cluster\n"
    "\n"
    "  -c, --config FILE      read the configuration\n"
    "  -d, --data-dir DIR     where everything is kept\n"
    "  -l, --listen HOST:PORT where clients, other servers and browsers come in\n"
    "  -a, --advertise H:P    what clients and other servers are told to come to, if not that\n"
    "  -j, --join H:P,H:P     be a node of the cluster whose metas are there\n"
    "  -n, --cluster-name N   name of the cluster, when it is made\n"
    "  -i, --cluster-id N     1 to 127: tells clusters that duplicate to each other apart\n"
    "  -s, --sync group|os    when a write is acknowledged: synced (default), or taken by the "
    "system\n"
    "  -w, --workers N        loops that serve, 1 to 64 (default: the cores less one)\n"
    "  -v, --verbose          log everything\n"
    "  -h, --help             this\n"
    "\n"
    "SIGTERM and SIGINT stop it; what was acknowledged is kept.\n";

enum server_state { STARTING, SERVING, FAILED, CLOSED };

struct server {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum server_state state;
    struct io *io;
    struct http *http; /* NULL: it could not be opened, and who comes is sent away. */
};

static void server_set(struct server *s, enum server_state state)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->state = state;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->mutex);
}

static enum server_state server_state(struct server *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    enum server_state state = s->state;
    (void)pthread_mutex_unlock(&s->mutex);
    return state;
}

static void server_wait_closed(struct server *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    while (s->state != CLOSED) (void)pthread_cond_wait(&s->changed, &s->mutex);
    (void)pthread_mutex_unlock(&s->mutex);
}

/* Before the first peer can have been accepted: that comes in a later turn of the same loop. */
static void on_ready(void *context, struct node *node)
{
    struct server *s = context;
    if (http_open(s->io, node_metrics(node), &s->http) != 0)
        LOG_ERROR(&logger,
                  "no HTTP: it could not be opened; restart the server to have its figures");
    server_set(s, SERVING);
}

static void on_failed(void *context, const struct err *e)
{
    struct server *s = context;
    (void)fprintf(stderr, "pirened: %s\n", e->text);
    server_set(s, FAILED);
    (void)kill(getpid(), SIGTERM); /* All threads block it: serve() takes it. */
}

static void on_closed(void *context)
{
    server_set(context, CLOSED);
}

static void on_http(void *context, struct io_arrival *arrival)
{
    struct server *s = context;
    int fd;
    if (s->http == NULL || io_arrival_detach(arrival, &fd) != 0) io_arrival_close(arrival);
    else http_serve(s->http, fd);
}

static const struct node_handler handler = {
    .on_ready = on_ready,
    .on_failed = on_failed,
    .on_http = on_http,
};

struct options {
    struct node_config config;
    enum logger_level level;
};

static int complain(const char *what)
{
    (void)fprintf(stderr, "pirened: %s (pirened --help)\n", what);
    return 2;
}

/* Options that stand for a key of the file. */
static const struct key_option {
    int option;
    const char *name, *section, *key;
} key_options[] = {
    {'d', "--data-dir", "server", "data_dir"},
    {'l', "--listen", "server", "listen"},
    {'a', "--advertise", "server", "advertise"},
    {'n', "--cluster-name", "cluster", "name"},
    {'j', "--join", "cluster", "join"},
    {'i', "--cluster-id", "cluster", "id"},
    {'s', "--sync", "log", "sync"},
    {'w', "--workers", "server", "workers"},
};

/* One option over the configuration. Returns 0; or 'e' says what is wrong. */
static int set_option(struct options *o, int option, const char *text, struct err *e)
{
    if (option == 'v') o->level = LOG_LEVEL_DEBUG;
    for (size_t i = 0; i < sizeof key_options / sizeof key_options[0]; i++) {
        const struct key_option *k = &key_options[i];
        if (k->option != option) continue;
        const char *expected = config_set(&o->config, k->section, k->key, text);
        if (expected == NULL) return 0;
        return err_set(e, E_INVALID, "%s %s: expected %s", k->name, text, expected);
    }
    return 0;
}

/* Returns 0: go on; otherwise the exit code plus one. */
static int parse_options(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {
        {"config", required_argument, NULL, 'c'},
        {"data-dir", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"advertise", required_argument, NULL, 'a'},
        {"join", required_argument, NULL, 'j'},
        {"cluster-name", required_argument, NULL, 'n'},
        {"cluster-id", required_argument, NULL, 'i'},
        {"sync", required_argument, NULL, 's'},
        {"workers", required_argument, NULL, 'w'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const char letters[] = "c:d:l:a:j:n:i:s:w:vh";
    struct err e = {0};
    int option;
    /* The file first, whatever the order, so that options win over it. */
    while ((option = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (option == 'h') return fputs(usage, stdout) == EOF ? 2 : 1;
        if (option == '?') return 3;
        if (option == 'c' && config_load(&o->config, optarg, &e) != 0) return 1 + complain(e.text);
    }
    if (optind != argc) return 1 + complain("no arguments are taken besides options");
    optind = 1;
    while ((option = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (option != 'c' && set_option(o, option, optarg, &e) != 0) return 1 + complain(e.text);
    }
    return 0;
}

/* Serve until a signal comes, which it may while the server still waits for its cluster. Returns the exit
 * code. */
static int serve(struct io *io, const struct node_config *config, const sigset_t *signals)
{
    struct server s = {
        .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .io = io};
    struct node *node;
    struct err e = {0};
    if (node_open(io, config, &handler, &s, &node, &e) != 0) {
        (void)fprintf(stderr, "pirened: %s\n", e.text);
        return 1;
    }
    int signal_number;
    (void)sigwait(signals, &signal_number);
    bool has_failed = server_state(&s) == FAILED;
    node_close(node, on_closed, &s);
    server_wait_closed(&s);
    http_close(s.http); /* Nothing is handed over any more, and it reads the node's figures. */
    node_free(node);
    return has_failed ? 1 : 0;
}

/* One core is left to the log's writer, the store's background work and the network:
 * docs/decisions/one-core-is-left.md. */
static uint32_t workers_default(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (cores <= 2) return 1;
    return cores <= NODE_WORKERS_MAX ? (uint32_t)cores - 1 : NODE_WORKERS_MAX;
}

int main(int argc, char **argv)
{
    struct options o = {.level = LOG_LEVEL_INFO};
    config_default(&o.config);
    o.config.workers = workers_default();
    int rc = parse_options(&o, argc, argv);
    if (rc != 0) return rc - 1;

    struct logger_file log_file;
    struct err e = {0};
    if (logger_file_open(&log_file, NULL, o.level, &e) != 0) return complain(e.text);
    logger_sink_set(&log_file.sink);

    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* Every thread inherits it. */

    struct io *io;
    if (io_uv_open(&io) != 0) return complain("no memory to start");
    rc = serve(io, &o.config, &signals);
    io_uv_close(io);
    logger_sink_set(NULL);
    logger_file_close(&log_file);
    return rc;
}
