/* src/wire/messages.c: the register of all messages: those that the rpcs carry. What lies inside
 * them is reached through their tables. */
#include "wire/messages.h"

#include "wire/rpc_names.h"

const struct schema *const message_schemas[] = {
#define X(code, name, kind, request, response) &request##_schema, &response##_schema,
    RPC_MAP(X)
#undef X
        & bare_rpc_address_schema,
};
const size_t message_schema_count = sizeof message_schemas / sizeof message_schemas[0];
