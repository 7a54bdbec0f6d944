/* src/node/dup_wait.h: two questions about a partition's duplications: how far are they (DUP_STATUS), and
 * tell me when they are there (DUP_WAIT). The second is held until the answer is true: nobody polls.
 *
 *     wait --> DUP_ASKED to its streams --> the remotes say who they are --+--> both so: answered
 *      +----> what is committed now -----> is confirmed by all of them ----+
 *
 * What was confirmed is there only if there is still where it was: a remote whose disks were wiped confirms
 * nothing, and a stream with nothing to send would not notice (docs/duplication.md, D13 and D14). */
#pragma once
#include "node/replica.h"

/* Answer, or hold, the request. Takes it. */
void dup_status_on_request(struct replica *r, struct rpc_request *request);
void dup_wait_on_request(struct replica *r, struct rpc_request *request);

/* A stream's confirmed decree moved, its remote has said who it is, or it is closing: answer those whose
 * time has come. */
void dup_wait_check(struct replica *r);

/* Answer all with the error: the replica stops serving. */
void dup_wait_fail_all(struct replica *r, enum wire_error error);
