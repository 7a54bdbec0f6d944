/* src/node/meta_service.h: the meta role's rpcs: what clients and operators ask about the cluster,
 * and what they want of it. Everything on the control loop.
 *
 *     request -> leader? -> arguments -> +- look into the state -----------------------> reply
 *                                        +- command -> meta group -> state -> result --> reply
 *
 * It decides nothing: what may be done is decided by core/meta, in the order of the group. It knows
 * how Pegasus's clients ask and what they bear (docs/meta.md, rules M25 and up).
 *
 *     meta_service.c   dispatch, proposals, purging        meta_tables.c   tables, their places
 *     meta_cluster.c   nodes, the cluster                  meta_envs.c     environments, compaction
 *     meta_dups.c      duplications                        meta_intro.c    first contact */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "rpc/server.h"

struct node;
struct meta_service;

/* Returns 0 and gives '*out', to be closed with meta_service_close(); or E_NOMEM. The node's group
 * is open. */
int meta_service_open(struct node *n, struct meta_service **out, struct err *e) MUST_CHECK;

/* Take no more requests, forget all timers and connections, end what is under way, then call
 * on_closed, later, and free the service. */
void meta_service_close(struct meta_service *s, void (*on_closed)(void *context), void *context);

/* True for the rpcs that are served here. */
bool meta_service_serves(enum rpc_code code);

/* Take a request of one of them, and end it. */
void meta_service_on_request(struct meta_service *s, struct rpc_request *request);

/* The state has changed, as meta_result.changed_id says; META_TABLE_ANY when it was replaced as a
 * whole. */
void meta_service_on_changed(struct meta_service *s, int32_t changed_id);
