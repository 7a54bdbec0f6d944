/* src/node/wish.h: what a replica wants the meta group to decide about its members. The newest wish counts;
 * it ends with the ballot under which it was made, for then something else was decided.
 *
 *     the learner has caught up                        JOIN     it becomes a secondary
 *     a member has lost what it had promised, or       DROP     the member, to learn again
 *     is silent
 *     the primary has, or speaks to too few, or its    DROP     itself; somebody else becomes primary
 *     disk failed, or its log is damaged
 *     a learner can't reach its primary                DROP     itself; somebody else may learn
 *     a learner's store was replaced                   ADD      itself, under a new ballot
 *
 * A wish that was not granted, or of whose end nothing is known, is said again after a pause. Threads: on the
 * replica's worker; the proposal itself is made on the control loop. Source: docs/replication.md, R12 to R15. */
#pragma once
#include "core/meta/meta.h"
#include "core/repl/repl.h"
#include "io/io.h"

struct replica;

/* Inside the replica. */
struct wish {
    enum meta_command_type type; /* 0: it wants nothing. */
    uint64_t ballot;             /* Of the configuration that it wants changed. */
    uint64_t node_id;            /* Who is to join, go or learn... */
    uint64_t successor;          /* ...and who is to be primary instead; 0: whoever is best. */
    bool is_asked;               /* The group is deciding. */
    struct io_timer timer;       /* Between two tries. */
};

void wish_init(struct replica *r);

/* REPL_DO_JOIN, REPL_DO_EXPEL and REPL_DO_GIVE_WAY. */
void wish_add(struct replica *r, const struct repl_effect *effect);

/* Learning has failed for too long. */
void wish_learn_no_more(struct replica *r);

/* It was told a configuration, or something happened to it: perhaps it has to leave, or nothing is wished any
 * more. */
void wish_sync(struct replica *r);
void wish_end(struct replica *r);
