/* src/cli/servers.c: starting and ending servers of our own. */
#include "cli/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/admin.h"

/* ---- Starting -------------------------------------------------------------------------------- */

int servers_dir_make(char *dir, size_t size, struct err *e)
{
    const char *above = getenv("TMPDIR");
    int used = snprintf(dir, size, "%s/pirene.XXXXXX", above != NULL ? above : "/var/tmp");
    int rc = 0;
    if (used < 0 || (size_t)used >= size)
        rc = err_set(e, E_LIMIT, "TMPDIR is too long for a directory of ours");
    else if (mkdtemp(dir) == NULL)
        rc = err_set(e, err_of_errno(errno), "make a directory %s: %s", dir, strerror(errno));
    if (rc != 0) dir[0] = '\0';
    return rc;
}

void servers_dir_remove(struct cli *cli, const char *dir)
{
    if (dir[0] != '\0' && io_dir_remove(cli->io, dir) != 0)
        (void)fprintf(stderr, "pirene: %s could not be removed\n", dir);
}

/* A port that nobody has at the moment. */
static int choose_port(uint16_t *out)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_of_errno(errno);
    int rc = bind(fd, (struct sockaddr *)&at, size) != 0 ||
                     getsockname(fd, (struct sockaddr *)&at, &size) != 0
                 ? err_of_errno(errno)
                 : 0;
    (void)close(fd);
    *out = ntohs(at.sin_port);
    return rc;
}

/* pirened beside our own program. */
static int find_program(char *path, size_t size, struct err *e)
{
    static const char name[] = "pirened";
    ssize_t used = readlink("/proc/self/exe", path, size - sizeof name);
    if (used <= 0) return err_set(e, E_IO, "where is pirene? %s", strerror(errno));
    path[used] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL) return err_set(e, E_IO, "where is pirene? '%s'", path);
    memcpy(slash + 1, name, sizeof name);
    if (access(path, X_OK) != 0)
        return err_set(e, E_NOTFOUND, "there is no %s: build it (make)", path);
    return 0;
}

/* In the child: become the server. */
static void become(const struct server *s, const char *program, pid_t parent)
{
    char id[16], name[32], log[300];
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(id, sizeof id, "%u", s->id);
    (void)snprintf(name, sizeof name, "cluster-%u", s->id);
    (void)snprintf(log, sizeof log, "%s.log", s->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) _exit(126);
    (void)setpgid(0, 0); /* Ctrl-C is ours to hear. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(126);
    if (s->join != NULL)
        (void)execl(program, program, "-l", s->address, "-d", s->dir, "-j", s->join, "-s", s->sync,
                    (char *)NULL);
    else
        (void)execl(program, program, "-l", s->address, "-d", s->dir, "-i", id, "-n", name, "-s",
                    s->sync, (char *)NULL);
    _exit(127);
}

/* It has ended: its last words are in its log. */
static int say_why(struct server *s, struct err *e)
{
    char path[300], line[256] = "", next[256];
    (void)snprintf(path, sizeof path, "%s.log", s->dir);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(next, sizeof next, file) != NULL) memcpy(line, next, sizeof line);
    if (file != NULL) (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return err_set(e, E_STATE, "the server at %s ended: %s", s->address, line);
}

/* Returns 0 once somebody listens there. */
static int wait_until_listening(struct server *s, struct err *e)
{
    enum { TRY_MS = 2, TRIES = 5000 };
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(s->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < TRIES; i++) {
        int status, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_up = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
        if (fd >= 0) (void)close(fd);
        if (is_up) return 0;
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            return say_why(s, e);
        }
        if (cli_is_interrupted()) return err_set(e, E_CANCELED, "stopped");
        cli_sleep_ms(TRY_MS);
    }
    return err_set(e, E_TIMEOUT, "the server at %s does not come up", s->address);
}

int server_start(struct server *s, struct err *e)
{
    char program[PATH_MAX];
    pid_t parent = getpid();
    int rc = find_program(program, sizeof program, e);
    if (rc != 0) return rc;
    pid_t pid = fork();
    if (pid < 0) return err_set(e, err_of_errno(errno), "start %s: %s", program, strerror(errno));
    if (pid == 0) become(s, program, parent);
    s->pid = pid;
    return wait_until_listening(s, e);
}

int server_open(struct server *s, const char *dir, unsigned id, const char *sync, struct err *e)
{
    return server_open_joining(s, dir, id, sync, NULL, e);
}

int server_open_joining(struct server *s, const char *dir, unsigned id, const char *sync,
                        const char *join, struct err *e)
{
    *s = (struct server){.id = id, .sync = sync, .join = join};
    (void)snprintf(s->dir, sizeof s->dir, "%s/%u", dir, id);
    int rc = choose_port(&s->port);
    if (rc != 0) return err_set(e, rc, "no free port: %s", err_text(rc));
    if (mkdir(s->dir, 0700) != 0)
        return err_set(e, err_of_errno(errno), "make %s: %s", s->dir, strerror(errno));
    (void)snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
    return server_start(s, e);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

static void end(struct server *s, int number)
{
    int status;
    if (s->pid <= 0) return;
    (void)kill(s->pid, number);
    while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR) continue;
    s->pid = 0;
}

void server_kill(struct server *s)
{
    end(s, SIGKILL);
}

void server_stop(struct server *s)
{
    end(s, SIGTERM);
}

/* ---- What it costs --------------------------------------------------------------------------- */

uint64_t server_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec at;
    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &at) != 0)
        return 0;
    return (uint64_t)at.tv_sec * 1000000000 + (uint64_t)at.tv_nsec;
}

uint64_t server_memory_size(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL) return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
    (void)fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

/* The table on both sides and the link between them. */
static int link_tables(struct pair *p, uint32_t partition_count, struct err *e)
{
    enum { LINK_MS = 30000 };
    int32_t id;
    bool is_new;
    struct client_dup_wait wait;
    struct admin_table table = {
        .name = p->table, .partition_count = partition_count, .may_exist = true};
    struct admin_dup dup = {.table = p->table, .remote_metas = client_metas(p->remote_client)};
    int rc = admin_table_create(p->source_client, &table, &id, &is_new, e);
    if (rc == 0)
        rc = client_table_shape(p->source_client, p->table, 0, &p->partition_count, &id, e);
    table.partition_count = p->partition_count;
    if (rc == 0) rc = admin_table_create(p->remote_client, &table, &id, &is_new, e);
    if (rc == 0) rc = admin_dup_add(p->source_client, &dup, &id, e);
    if (rc == 0) rc = client_dup_wait(p->source_client, p->table, 0, LINK_MS, &wait, e);
    return rc;
}

static int open_clients(struct pair *p, const char *source, const char *remote, struct err *e)
{
    int rc = client_open(p->cli->loop, source, &p->source_client);
    if (rc == 0) rc = client_open(p->cli->loop, remote, &p->remote_client);
    return rc == 0 ? 0 : err_set(e, rc, "%s, %s: %s", source, remote, err_text(rc));
}

int pair_open(struct pair *p, struct cli *cli, const char *sync, uint32_t partition_count,
              struct err *e)
{
    *p = (struct pair){.cli = cli, .table = "bench"};
    int rc = servers_dir_make(p->dir, sizeof p->dir, e);
    if (rc == 0) rc = server_open(&p->source, p->dir, 1, sync, e);
    if (rc == 0) rc = server_open(&p->remote, p->dir, 2, sync, e);
    if (rc == 0) rc = open_clients(p, p->source.address, p->remote.address, e);
    if (rc == 0) rc = link_tables(p, partition_count, e);
    if (rc != 0) pair_close(p);
    return rc;
}

int pair_join(struct pair *p, struct cli *cli, const char *source, const char *remote,
              const char *table, struct err *e)
{
    enum { PARTITIONS = 8 };
    *p = (struct pair){.cli = cli};
    (void)snprintf(p->table, sizeof p->table, "%s", table);
    int rc = open_clients(p, source, remote, e);
    if (rc == 0) rc = link_tables(p, PARTITIONS, e);
    if (rc != 0) pair_close(p);
    return rc;
}

void pair_close(struct pair *p)
{
    client_close(p->source_client);
    client_close(p->remote_client);
    server_stop(&p->source);
    server_stop(&p->remote);
    servers_dir_remove(p->cli, p->dir);
    *p = (struct pair){0};
}
