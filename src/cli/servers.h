/* src/cli/servers.h: servers that the demo and the benches start for themselves, and what they
 * cost.
 *
 *     a directory that is removed afterwards
 *       |- 1/  data and log of the first pirened     its cluster has id 1
 *       `- 2/  ...of the second
 *
 * pirened is looked for beside pirene. The servers are children: they end with us, whatever ends
 * us. */
#pragma once
#include <sys/types.h>

#include "cli/cli.h"

struct server {
    pid_t pid;        /* 0: not running. */
    char address[32]; /* "127.0.0.1:34601" */
    char dir[256];    /* Its own; what it says goes to 'dir'.log. */
    uint16_t port;
    unsigned id;      /* Of its cluster, or its place in it. */
    const char *join; /* "HOST:PORT" of the cluster that it joins; NULL: it makes one. */
    const char *sync; /* "group" or "os". */
};

/* Make a directory under TMPDIR or /var/tmp (on a disk, where fsync means something). On failure
 * 'dir' is "". */
int servers_dir_make(char *dir, size_t size, struct err *e) MUST_CHECK;

/* Remove it with all that is in it; complains where it can't. Does nothing for "". */
void servers_dir_remove(struct cli *cli, const char *dir);

/* Choose a port, start, and wait until it listens. */
int server_open(struct server *s, const char *dir, unsigned id, const char *sync,
                struct err *e) MUST_CHECK;

/* The same for one that joins the cluster at 'join'; 'id' is only its directory's name. */
int server_open_joining(struct server *s, const char *dir, unsigned id, const char *sync,
                        const char *join, struct err *e) MUST_CHECK;

/* Start it again where it was, and wait as above. */
int server_start(struct server *s, struct err *e) MUST_CHECK;

void server_kill(struct server *s); /* kill -9, and wait. */
void server_stop(struct server *s); /* SIGTERM, and wait. Harmless when it does not run. */

/* CPU time used since its start, of all threads; bytes resident. 0 when it does not run. */
uint64_t server_cpu_ns(pid_t pid);
uint64_t server_memory_size(pid_t pid);

/* ---- Two clusters with a link ---------------------------------------------------------------- */

struct pair {
    struct cli *cli;
    char dir[128]; /* Empty: the servers are not ours. */
    struct server source, remote;
    struct client *source_client, *remote_client;
    char table[256];
    uint32_t partition_count;
};

/* Two one-node clusters, a table of 'partition_count' partitions on both, duplicated from the first
 * to the second, both sides ready. On failure nothing is left behind. */
int pair_open(struct pair *p, struct cli *cli, const char *sync, uint32_t partition_count,
              struct err *e) MUST_CHECK;

/* The same with servers that run already; what is missing of table and link is made. */
int pair_join(struct pair *p, struct cli *cli, const char *source, const char *remote,
              const char *table, struct err *e) MUST_CHECK;

/* Stop the servers and remove their data. Accepts an all-zero pair. */
void pair_close(struct pair *p);
