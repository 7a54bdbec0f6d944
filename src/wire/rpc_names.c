/* src/wire/rpc_names.c: the table of rpcs. */
#include "wire/rpc_names.h"

#include "base/check.h"

static const struct rpc_info rpcs[RPC_CODE_COUNT] = {
#define X(code, text, kind_, request_, response_)                                                  \
    [RPC_##code] = {                                                                               \
        .name = {(const uint8_t *)text, sizeof text - 1},                                          \
        .kind = RPC_KIND_##kind_,                                                                  \
        .request = &request_##_schema,                                                             \
        .response = &response_##_schema,                                                           \
    },
    RPC_MAP(X)
#undef X
};

const struct rpc_info *rpc_info(enum rpc_code code)
{
    CHECK(code > RPC_UNKNOWN && code < RPC_CODE_COUNT);
    return &rpcs[code];
}

enum rpc_code rpc_find(struct slice name)
{
    for (unsigned code = RPC_UNKNOWN + 1; code < RPC_CODE_COUNT; code++)
        if (slice_equal(rpcs[code].name, name)) return (enum rpc_code)code;
    return RPC_UNKNOWN;
}
