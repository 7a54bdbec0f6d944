/* src/wire/messages_repl.c: the tables of what servers say to each other about their partitions. */
#include "wire/messages_repl.h"

#include "wire/schema.h"

static const struct field replicate_item_fields[] = {
    FIELD(replicate_item, 1, I32, app_id),         FIELD(replicate_item, 2, I32, partition_index),
    FIELD(replicate_item, 3, I32, kind),           FIELD(replicate_item, 4, I64, ballot),
    FIELD(replicate_item, 5, I64, decree),         FIELD(replicate_item, 6, I64, committed),
    FIELD(replicate_item, 7, BOOL, asks_for_more), FIELD(replicate_item, 8, BLOB, mutation),
    FIELD(replicate_item, 9, I64, prepared),
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

static const struct field learn_request_fields[] = {
    FIELD(learn_request, 1, I64, node_id),
    FIELD(learn_request, 2, I64, cluster_uuid),
    FIELD(learn_request, 3, I64, ballot),
    FIELD(learn_request, 4, I64, decree),
};
SCHEMA(learn_request);

static const struct field learn_file_fields[] = {
    FIELD(learn_file, 1, STRING, name),
    FIELD(learn_file, 2, I64, size),
};
SCHEMA(learn_file);

static const struct field learn_response_fields[] = {
    FIELD(learn_response, 1, ERROR_CODE, err),
    FIELD(learn_response, 2, I64, committed),
    FIELD_LIST(learn_response, 3, BLOB, mutations),
    FIELD(learn_response, 4, BOOL, is_end),
    FIELD(learn_response, 5, I64, copy),
    FIELD(learn_response, 6, I64, copy_decree),
    FIELD(learn_response, 7, I64, source),
    FIELD_STRUCTS(learn_response, 8, learn_file, files),
};
SCHEMA(learn_response);

static const struct field learn_read_request_fields[] = {
    FIELD(learn_read_request, 1, I64, node_id), FIELD(learn_read_request, 2, I64, cluster_uuid),
    FIELD(learn_read_request, 3, I64, copy),    FIELD(learn_read_request, 4, STRING, name),
    FIELD(learn_read_request, 5, I64, offset),  FIELD(learn_read_request, 6, I32, size),
};
SCHEMA(learn_read_request);

static const struct field learn_read_response_fields[] = {
    FIELD(learn_read_response, 1, ERROR_CODE, err),
    FIELD(learn_read_response, 2, BLOB, bytes),
    FIELD(learn_read_response, 3, I64, crc),
};
SCHEMA(learn_read_response);
