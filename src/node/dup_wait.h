/* src/node/dup_wait.h: two questions about a partition's duplications: how far are they (DUP_STATUS), and
 * tell me when they are there (DUP_WAIT). The second is held until the answer is true: nobody polls. */
#pragma once
#include "node/replica.h"

/* Answer, or hold, the request. Takes it. */
void dup_status_on_request(struct replica *r, struct rpc_request *request);
void dup_wait_on_request(struct replica *r, struct rpc_request *request);

/* A stream's confirmed decree moved, or its state changed: answer those whose time has come. */
void dup_wait_check(struct replica *r);

/* Answer all with the error: the replica stops serving. */
void dup_wait_fail_all(struct replica *r, enum wire_error error);
