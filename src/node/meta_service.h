/* src/node/meta_service.h: the rpcs of the meta role and of the server itself (META and ADMIN kinds of
 * wire/rpc_names.h): the state machine of core/meta as Pegasus's clients, shell and admin-cli see it.
 *
 *     request --> question: answered from the state
 *             \-> change: a command is proposed to the group; answered when it is applied
 *
 * On the control loop. Source: docs/meta.md. */
#pragma once
#include "base/err.h"
#include "rpc/server.h"

struct node;
struct meta;
struct meta_service;

/* The group is open. Returns 0, E_NOMEM. */
int meta_service_open(struct node *n, struct meta_service **out, struct err *e) MUST_CHECK;

/* Stop and free; what it still waits for is answered or forgotten. */
void meta_service_close(struct meta_service *s);

/* Answer a request of kind META or ADMIN. Takes it. */
void meta_service_on_request(struct meta_service *s, struct rpc_request *request);

/* A command was applied: this table (META_TABLE_ANY: several, or a node) is not as before. */
void meta_service_on_changed(struct meta_service *s, int32_t changed_id);
