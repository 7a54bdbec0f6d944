/* src/core/route/judge.c: what the errors of data calls mean for the route.
 *
 * The model is Pegasus's C++ client, to which every error that it does not name is worth a refresh
 * and another try. We differ where another try brings the same answer for certain (the request
 * itself is at fault): that ends at once; and for ERR_SPLITTING, which passes by itself.
 * Source: docs/routing.md, rules R11 and R12. */
#include "core/route/route.h"

enum route_verdict route_judge(enum wire_error error)
{
    switch (error) {
    case WIRE_ERR_OK:
    case WIRE_ERR_BUSY: /* Throttled: it is the caller who should slow down. */
    case WIRE_ERR_DISK_INSUFFICIENT:
    case WIRE_ERR_HANDLER_NOT_FOUND:
    case WIRE_ERR_APP_NOT_EXIST:
    case WIRE_ERR_OPERATION_DISABLED:
    case WIRE_ERR_INVALID_DATA:
    case WIRE_ERR_INVALID_PARAMETERS:
    case WIRE_ERR_NOT_IMPLEMENTED:
    case WIRE_ERR_ACL_DENY:
    case WIRE_ERR_UNAUTHENTICATED: return ROUTE_FINAL;
    case WIRE_ERR_NOT_ENOUGH_MEMBER:
    case WIRE_ERR_CAPACITY_EXCEEDED:
    case WIRE_ERR_SPLITTING: return ROUTE_RETRY;
    case WIRE_ERR_PARENT_PARTITION_MISUSED: return ROUTE_FORGET;
    default: return ROUTE_REFRESH;
    }
}

bool route_outcome_is_unknown(enum wire_error error)
{
    return error == WIRE_ERR_TIMEOUT || error == WIRE_ERR_NETWORK_FAILURE ||
           error == WIRE_ERR_UNKNOWN || error == WIRE_ERR_REPLICATION_FAILURE;
}
