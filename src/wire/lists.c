/* src/wire/lists.c: the tables of what several messages share. */
#include "wire/lists.h"

#include "wire/schema.h"

static const struct field string_pair_fields[] = {
    FIELD(string_pair, 1, STRING, key),
    FIELD(string_pair, 2, STRING, value),
};
SCHEMA(string_pair);

static const struct field bare_blob_fields[] = {FIELD(bare_blob, 0, BLOB, value)};
SCHEMA_BARE(bare_blob);

static const struct field bare_i64_fields[] = {FIELD(bare_i64, 0, I64, value)};
SCHEMA_BARE(bare_i64);

static const struct field bare_string_fields[] = {FIELD(bare_string, 0, STRING, value)};
SCHEMA_BARE(bare_string);

const struct schema bare_nothing_schema = {
    .name = "bare_nothing", .size = sizeof(struct bare_nothing), .is_bare = true};

static const struct field bare_rpc_address_fields[] = {
    FIELD(bare_rpc_address, 0, RPC_ADDRESS, value),
};
SCHEMA_BARE(bare_rpc_address);
