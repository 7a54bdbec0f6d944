/* src/wire/messages_repl.c: the tables of what servers say to each other about their partitions. */
#include "wire/messages_repl.h"

#include "wire/schema.h"

static const struct field replicate_item_fields[] = {
    FIELD(replicate_item, 1, I32, app_id),         FIELD(replicate_item, 2, I32, partition_index),
    FIELD(replicate_item, 3, I32, kind),           FIELD(replicate_item, 4, I64, ballot),
    FIELD(replicate_item, 5, I64, decree),         FIELD(replicate_item, 6, I64, committed),
    FIELD(replicate_item, 7, BOOL, asks_for_more), FIELD(replicate_item, 8, BLOB, mutation),
};
SCHEMA(replicate_item);

static const struct field replicate_request_fields[] = {
    FIELD(replicate_request, 1, I64, node_id),
    FIELD_STRUCTS(replicate_request, 2, replicate_item, items),
    FIELD(replicate_request, 3, I64, cluster_uuid),
};
SCHEMA(replicate_request);

static const struct field replicate_response_fields[] = {
    FIELD(replicate_response, 1, ERROR_CODE, err),
};
SCHEMA(replicate_response);
