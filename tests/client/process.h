/* tests/client/process.h: a real pirened for tests: on a free port, in a directory that is
 * removed. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid; /* 0: not running. */
    uint16_t port;
    unsigned cluster_id;
    char address[32];
    char dir[64];
};

/* Start a one-node cluster with that id and wait until it listens. Whatever fails ends the test. */
void process_open(struct process *p, unsigned cluster_id);

/* kill -9; process_start() brings it back where it was. */
void process_kill(struct process *p);
void process_start(struct process *p);

/* Stop it and remove its directory. Accepts an all-zero one. */
void process_close(struct process *p);
