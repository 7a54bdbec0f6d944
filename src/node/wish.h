/* src/node/wish.h: what a partition's share on this server wants the meta group to decide about its members. The
 * newest wish counts; it ends with the ballot under which it was made, for then something else was decided.
 *
 *     the learner has caught up                        JOIN     it becomes a secondary
 *     a member has lost what it had promised, or       DROP     the member, to learn again
 *     is silent
 *     the primary has, or speaks to too few, or its    DROP     itself; somebody else becomes primary
 *     disk failed, or its log is damaged
 *     there is no replica: its store can't be opened,  DROP     itself, to learn again
 *     its directory is missing (opening.h)
 *     a learner can't reach its primary                DROP     itself; somebody else may learn
 *     a learner's store was replaced                   ADD      itself, under a new ballot
 *
 * A wish that was not granted, or of whose end nothing is known, is said again after a pause. Threads: on the
 * partition's worker; the proposal itself is made on the control loop. Source: docs/replication.md, R12 to R16. */
#pragma once
#include "core/meta/meta.h"
#include "core/repl/repl.h"
#include "io/io.h"

struct assignment;
struct replica;
struct worker;

/* Inside the replica, or inside what stands for one that can't be opened. It may go at any time after wish_end(): an
 * answer on its way finds it by its partition, or not. */
struct wish {
    struct worker *worker;
    struct gpid gpid;
    enum meta_command_type type; /* 0: it wants nothing. */
    uint64_t ballot;             /* Of the configuration that it wants changed. */
    uint64_t node_id;            /* Who is to join, go or learn... */
    uint64_t successor;          /* ...and who is to be primary instead; 0: whoever is best. */
    bool is_asked;               /* The group is deciding. */
    struct io_timer timer;       /* Between two tries. */
};

void wish_init(struct wish *w, struct worker *worker, struct gpid gpid);
void wish_end(struct wish *w);

/* A configuration came: what was wished under an older one is over. */
void wish_renew(struct wish *w, const struct assignment *a);

/* This server can't be what 'a' says it is: the others are to go on without it. Returns false when there are
 * none, and nothing is wished. */
bool wish_leave(struct wish *w, const struct assignment *a);

/* ---- Of a replica ---- */

/* REPL_DO_JOIN, REPL_DO_EXPEL, REPL_DO_SHUN and REPL_DO_GIVE_WAY. */
void wish_add(struct replica *r, const struct repl_effect *effect);

/* A learner is to begin anew, under a new ballot. */
void wish_learn_anew(struct replica *r);

/* Learning has failed for too long. */
void wish_learn_no_more(struct replica *r);

/* It was told a configuration, or something happened to it: perhaps it has to leave, or nothing is wished any
 * more. */
void wish_sync(struct replica *r);
