/* tests/core/dup/dup_world.h: a source, a remote and a link, as small as they can be: they perform a
 * stream's effects, at once or when a story says so, and know the truth that the stream is held to. */
#pragma once
#include "base/prng.h"
#include "core/dup/dup.h"

enum { WORLD_MUTATIONS_MAX = 4096, WORLD_PENDING_MAX = 4096, WORLD_KEYS = 64 };

struct world_request { /* Sent, and not answered yet. */
    uint64_t epoch, id;
    uint32_t lane;
    uint32_t op_count;
    struct mutation_op *ops;
    struct chunk **mutations; /* Keep the ops alive. */
};

struct world {
    struct dup dup;
    uint64_t now_ms;
    struct prng prng;

    struct chunk *log[WORLD_MUTATIONS_MAX]; /* log[d - 1] has decree d. */
    uint64_t committed;
    uint64_t log_begin; /* Decrees below are gone. */

    uint64_t remote[WORLD_KEYS]; /* The timetag that the remote holds, by key. */
    uint64_t source[WORLD_KEYS]; /* What the source holds. */
    uint32_t remote_partitions;
    uint8_t remote_cluster_id;
    bool is_unreachable;
    bool is_replaced;    /* Another remote answers. */
    int32_t refused_key; /* The remote refuses ops of this key; -1: none. */
    size_t request_size_max;

    struct world_request pending[WORLD_PENDING_MAX];
    uint32_t pending_count;
    struct dup_effect route, read, scan; /* Asked and not answered; type -1: none. */
    bool has_route, has_read, has_scan, has_scan_open, has_save;
    uint32_t routes; /* Asked for. */
    uint64_t announced, save_asked;
    uint32_t scan_at;
    uint32_t saves; /* Answered. */
    uint64_t sends;
};

void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);

/* Make and commit a mutation that puts 'key'; with 'origin' it came from that cluster. */
void world_put(struct world *w, int key, uint8_t origin);

/* A mutation of several keys. */
void world_put_many(struct world *w, const int *keys, int count);

void world_start(struct world *w, uint64_t confirmed, bool needs_snapshot);
void world_step(struct world *w, struct dup_event event);

/* Ask whether it is still the same remote. */
void world_ask(struct world *w, uint64_t question);

/* Answer what was asked: each returns false when there is nothing. */
bool world_answer_route(struct world *w);
bool world_answer_read(struct world *w);
bool world_answer_scan(struct world *w);
bool world_answer_request(struct world *w, uint32_t index, int rc);

/* Answer everything, letting time pass to deadlines, until nothing moves. */
void world_settle(struct world *w);

/* Every op of decrees up to 'confirmed' is at the remote, or something newer of its key is. */
void world_check(const struct world *w);
