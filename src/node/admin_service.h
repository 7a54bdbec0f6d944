/* src/node/admin_service.h: what one server is asked about itself by Pegasus's admin tools: its disk,
 * its replicas, its tables, a remote command; and the handshake of clients that would authenticate.
 * On the control loop; what the workers know is gathered by a survey.
 *
 *     admin_service.c   the rpcs                admin_command.c   the remote commands
 *
 * Source: docs/admin.md. */
#pragma once
#include <stdbool.h>

#include "rpc/server.h"

struct node;

/* True for the rpcs that are served here. */
bool admin_service_serves(enum rpc_code code);

/* Take a request of one of them, and end it, now or later. */
void admin_service_on_request(struct node *n, struct rpc_request *request);
