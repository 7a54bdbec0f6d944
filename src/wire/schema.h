/* src/wire/schema.h: how the table of a message is written. Included only where tables are written.
 *
 *     static const struct field key_value_fields[] = {
 *         FIELD(key_value, 1, BLOB, key),
 *         FIELD(key_value, 2, BLOB, value),
 *         OPTIONAL(key_value, 3, I32, expire_ts_seconds, KEY_VALUE_HAS_EXPIRE_TS_SECONDS),
 *     };
 *     SCHEMA(key_value);
 *
 * Every row checks that the member has the C type that the reader will write: a row that lies about
 * it does not compile. */
#pragma once
#include "wire/thrift.h"

#define C_BOOL        bool
#define C_BYTE        int8_t
#define C_I16         int16_t
#define C_I32         int32_t
#define C_I64         int64_t
#define C_DOUBLE      double
#define C_STRING      struct slice
#define C_BLOB        struct slice
#define C_ERROR_CODE  struct slice
#define C_TASK_CODE   struct slice
#define C_GPID        struct gpid
#define C_RPC_ADDRESS struct rpc_address
#define C_HOST_PORT   struct host_port

#define ROW(s, number, kind_, item_, member_, c_type, value, schema_, has_)                        \
    {                                                                                              \
        .id = (number), .kind = (kind_), .item_kind = (item_),                                     \
        .offset = (uint16_t)(offsetof(struct s, member_) + _Generic(value, c_type : 0)),           \
        .has = (has_), .schema = (schema_), .name = #member_                                       \
    }
#define MEMBER(s, member) (((struct s *)0)->member)
#define ITEM(s, member)   (*((struct s *)0)->member.items)

/* A plain value. */
#define FIELD(s, id, KIND, member) OPTIONAL(s, id, KIND, member, 0)
#define OPTIONAL(s, id, KIND, member, has)                                                         \
    ROW(s, id, T_##KIND, 0, member, C_##KIND, MEMBER(s, member), NULL, has)

/* A struct in place, described by x_schema. */
#define FIELD_STRUCT(s, id, x, member)                                                             \
    ROW(s, id, T_STRUCT, 0, member, struct x, MEMBER(s, member), &x##_schema, 0)

/* A list of plain values, or of structs described by x_schema. */
#define FIELD_LIST(s, id, KIND, member) OPTIONAL_LIST(s, id, KIND, member, 0)
#define OPTIONAL_LIST(s, id, KIND, member, has)                                                    \
    ROW(s, id, T_LIST, T_##KIND, member, C_##KIND, ITEM(s, member), NULL, has)
#define FIELD_STRUCTS(s, id, x, member)                                                            \
    ROW(s, id, T_LIST, T_STRUCT, member, struct x, ITEM(s, member), &x##_schema, 0)

#define FIELD_SET(s, id, KIND, member)                                                             \
    ROW(s, id, T_SET, T_##KIND, member, C_##KIND, ITEM(s, member), NULL, 0)

/* A map as a list of struct x, whose table x_schema has two rows: the key, then the value. */
#define FIELD_MAP(s, id, x, member) OPTIONAL_MAP(s, id, x, member, 0)
#define OPTIONAL_MAP(s, id, x, member, has)                                                        \
    ROW(s, id, T_MAP, 0, member, struct x, ITEM(s, member), &x##_schema, has)

#define SCHEMA(s)                                                                                  \
    const struct schema s##_schema = {                                                             \
        .name = #s,                                                                                \
        .fields = s##_fields,                                                                      \
        .field_count = sizeof s##_fields / sizeof s##_fields[0],                                   \
        .size = sizeof(struct s),                                                                  \
    }

/* A message without fields. */
#define SCHEMA_EMPTY(s) const struct schema s##_schema = {.name = #s, .size = sizeof(struct s)}

/* A value that travels in the wrapper without a struct around it. */
#define SCHEMA_BARE(s)                                                                             \
    const struct schema s##_schema = {                                                             \
        .name = #s,                                                                                \
        .fields = s##_fields,                                                                      \
        .field_count = 1,                                                                          \
        .size = sizeof(struct s),                                                                  \
        .is_bare = true,                                                                           \
    }
