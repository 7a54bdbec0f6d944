/* tests/client/process.c: fork, exec, wait. PIRENED is the path of the program, by CMake. */
#include "client/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/free_port.h"

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static bool is_listening(uint16_t port)
{
    struct sockaddr_in at = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_up = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    (void)close(fd);
    return is_up;
}

static void become(const struct process *p)
{
    char id[16], log[128];
    (void)snprintf(id, sizeof id, "%u", p->cluster_id);
    (void)snprintf(log, sizeof log, "%s/output", p->dir);
    char data[128];
    (void)snprintf(data, sizeof data, "%s/data", p->dir);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) _exit(126);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execl(PIRENED, PIRENED, "-l", p->address, "-d", data, "-i", id, "-n", id, "-s", "os",
                (char *)NULL);
    _exit(127);
}

void process_start(struct process *p)
{
    enum { TRIES = 3000, TRY_US = 10000 };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) become(p);
    p->pid = pid;
    for (int i = 0; i < TRIES && !is_listening(p->port); i++) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* It has not ended. */
        (void)usleep(TRY_US);
    }
    assert_true(is_listening(p->port));
}

void process_open(struct process *p, unsigned cluster_id)
{
    *p = (struct process){.cluster_id = cluster_id, .port = free_port()};
    (void)snprintf(p->address, sizeof p->address, "127.0.0.1:%u", p->port);
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/pirene-test.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    process_start(p);
}

static void end(struct process *p, int number)
{
    if (p->pid == 0) return;
    (void)kill(p->pid, number);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) continue;
    p->pid = 0;
}

void process_kill(struct process *p)
{
    end(p, SIGKILL);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

void process_close(struct process *p)
{
    end(p, SIGTERM);
    if (p->dir[0] != '\0') (void)nftw(p->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    *p = (struct process){0};
}
