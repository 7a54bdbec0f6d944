/* src/wire/thrift.c: one pass over the bytes with the table at hand, and one over the table to
 * write.
 *
 * A field header is a type byte and an id; a type byte of 0 ends a struct. Fields usually come in
 * the order of the table, so the row after the last one found is tried first. */
#include "wire/thrift.h"

#include "base/bytes.h"
#include "base/check.h"
#include "wire/error.h"

enum wire_type {
    WIRE_STOP = 0,
    WIRE_BOOL = 2,
    WIRE_BYTE = 3,
    WIRE_DOUBLE = 4,
    WIRE_I16 = 6,
    WIRE_I32 = 8,
    WIRE_I64 = 10,
    WIRE_STRING = 11,
    WIRE_STRUCT = 12,
    WIRE_MAP = 13,
    WIRE_SET = 14,
    WIRE_LIST = 15,
    WIRE_TYPE_COUNT = 16,
};

/* What the wire calls each kind, the fewest bytes one takes there, and how large its member is. */
static const struct kind_info {
    uint8_t wire_type;
    uint8_t wire_size_min;
    uint8_t size; /* 0: the schema knows. */
} kinds[T_KIND_COUNT] = {
    [T_BOOL] = {WIRE_BOOL, 1, sizeof(bool)},
    [T_BYTE] = {WIRE_BYTE, 1, sizeof(int8_t)},
    [T_I16] = {WIRE_I16, 2, sizeof(int16_t)},
    [T_I32] = {WIRE_I32, 4, sizeof(int32_t)},
    [T_I64] = {WIRE_I64, 8, sizeof(int64_t)},
    [T_DOUBLE] = {WIRE_DOUBLE, 8, sizeof(double)},
    [T_STRING] = {WIRE_STRING, 4, sizeof(struct slice)},
    [T_STRUCT] = {WIRE_STRUCT, 1, 0},
    [T_LIST] = {WIRE_LIST, 5, sizeof(struct thrift_list)},
    [T_SET] = {WIRE_SET, 5, sizeof(struct thrift_list)},
    [T_MAP] = {WIRE_MAP, 6, sizeof(struct thrift_list)},
    [T_BLOB] = {WIRE_STRUCT, 4, sizeof(struct slice)},
    [T_ERROR_CODE] = {WIRE_STRUCT, 4, sizeof(struct slice)},
    [T_TASK_CODE] = {WIRE_STRUCT, 4, sizeof(struct slice)},
    [T_GPID] = {WIRE_STRUCT, 8, sizeof(struct gpid)},
    [T_RPC_ADDRESS] = {WIRE_STRUCT, 8, sizeof(struct rpc_address)},
    [T_HOST_PORT] = {WIRE_STRUCT, 7, sizeof(struct host_port)},
};

enum {
    ADDRESS_TYPE_INVALID = 0,
    ADDRESS_TYPE_IPV4 = 1,
    HOST_TYPE_INVALID = 0,
    HOST_TYPE_VALID = 1
};

enum { FIELD_HEADER_SIZE = 3, LIST_HEADER_SIZE = 5, MAP_HEADER_SIZE = 6 }; /* Bytes. */

size_t field_item_size(const struct field *field)
{
    uint8_t kind = field->kind == T_MAP ? (uint8_t)T_STRUCT : field->item_kind;
    return kind == T_STRUCT ? field->schema->size : kinds[kind].size;
}

bool field_is_set(const struct field *field, const void *in)
{
    if (field->has == 0) return true;
    uint64_t set;
    memcpy(&set, in, sizeof set);
    return (set & field->has) != 0;
}

/* A body without even a wrapper. */
static bool is_nothing(const struct schema *schema)
{
    return schema->is_bare && schema->field_count == 0;
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;
};

static int read_value(struct reader *r, const struct field *field, uint8_t kind, void *to);
static int skip_value(struct reader *r, uint8_t type, int depth);
static int skip_items(struct reader *r, uint8_t type, uint32_t count, int depth);
static int skip_map(struct reader *r, int depth);

static struct reader reader_of(struct slice in, struct arena *arena)
{
    const uint8_t *end = in.size == 0 ? in.data : in.data + in.size;
    return (struct reader){in.data, end, arena};
}

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next 'size' bytes, or NULL when there are fewer. */
static const uint8_t *take(struct reader *r, size_t size)
{
    if (left(r) < size) return NULL;
    const uint8_t *at = r->at;
    r->at += size;
    return at;
}

/* A length in front of that many bytes. The length is compared before anything is added to it. */
static int read_bytes(struct reader *r, struct slice *out)
{
    const uint8_t *at = take(r, 4);
    if (at == NULL) return E_SHORT;
    uint32_t size = bytes_get_be32(at);
    if (size > INT32_MAX) return E_PROTO;
    if (size > left(r)) return E_SHORT;
    *out = slice_of(r->at, size);
    r->at += size;
    return 0;
}

/* partition_index, then app_id. */
static int read_gpid(struct reader *r, struct gpid *out)
{
    const uint8_t *at = take(r, 8);
    if (at == NULL) return E_SHORT;
    out->partition_index = (int32_t)bytes_get_be32(at);
    out->app_id = (int32_t)bytes_get_be32(at + 4);
    return 0;
}

/* Any type but IPv4 is nobody: groups of addresses never travel. */
static int read_rpc_address(struct reader *r, struct rpc_address *out)
{
    const uint8_t *at = take(r, 8);
    if (at == NULL) return E_SHORT;
    if (bytes_get_be16(at + 6) == ADDRESS_TYPE_IPV4)
        *out = (struct rpc_address){bytes_get_be32(at), bytes_get_be16(at + 4), true};
    return 0;
}

static int read_host_port(struct reader *r, struct host_port *out)
{
    struct host_port found = {.is_valid = true};
    int rc = read_bytes(r, &found.host);
    if (rc != 0) return rc;
    const uint8_t *at = take(r, 3);
    if (at == NULL) return E_SHORT;
    found.port = bytes_get_be16(at);
    if (at[2] == HOST_TYPE_VALID) *out = found;
    return 0;
}

/* Check a count against the bytes that are left, then take memory for the items. */
static int read_items(struct reader *r, const struct field *field, uint32_t count,
                      size_t wire_size_min, struct thrift_list *list)
{
    if (count > INT32_MAX) return E_PROTO;
    if (count > left(r) / wire_size_min) return E_SHORT;
    if (count > THRIFT_COUNT_MAX) return E_LIMIT;
    if (count == 0) return 0;
    if (r->arena == NULL) return E_NOMEM;
    list->items = arena_array(r->arena, count, field_item_size(field));
    if (list->items == NULL) return E_NOMEM;
    list->count = count;
    return 0;
}

static int read_list(struct reader *r, const struct field *field, struct thrift_list *list)
{
    const uint8_t *at = take(r, LIST_HEADER_SIZE);
    if (at == NULL) return E_SHORT;
    uint32_t count = bytes_get_be32(at + 1);
    const struct kind_info *kind = &kinds[field->item_kind];
    if (at[0] != kind->wire_type) return skip_items(r, at[0], count, THRIFT_DEPTH_MAX);

    int rc = read_items(r, field, count, kind->wire_size_min, list);
    size_t size = field_item_size(field);
    for (uint32_t i = 0; rc == 0 && i < list->count; i++)
        rc = read_value(r, field, field->item_kind, (char *)list->items + i * size);
    return rc;
}

/* A pair is a key and a value without field headers: row 0 and row 1 of its table. */
static int read_pair(struct reader *r, const struct schema *pair, char *to)
{
    const struct field *key = &pair->fields[0];
    const struct field *value = &pair->fields[1];
    int rc = read_value(r, key, key->kind, to + key->offset);
    return rc != 0 ? rc : read_value(r, value, value->kind, to + value->offset);
}

static int read_map(struct reader *r, const struct field *field, struct thrift_list *map)
{
    const uint8_t *at = take(r, MAP_HEADER_SIZE);
    if (at == NULL) return E_SHORT;
    uint32_t count = bytes_get_be32(at + 2);
    if (count == 0) return 0; /* Then some write 0 for both types. */
    const struct field *pair = field->schema->fields;
    const struct kind_info *key = &kinds[pair[0].kind];
    const struct kind_info *value = &kinds[pair[1].kind];
    if (at[0] != key->wire_type || at[1] != value->wire_type) {
        r->at = at;
        return skip_map(r, THRIFT_DEPTH_MAX);
    }

    size_t wire_size_min = (size_t)key->wire_size_min + value->wire_size_min;
    int rc = read_items(r, field, count, wire_size_min, map);
    size_t size = field_item_size(field);
    for (uint32_t i = 0; rc == 0 && i < map->count; i++)
        rc = read_pair(r, field->schema, (char *)map->items + i * size);
    return rc;
}

/* The list types of the messages differ from thrift_list in the type of a pointer only; going
 * through a copy keeps the compiler's idea of aliasing true. */
static int read_container(struct reader *r, const struct field *field, uint8_t kind, void *to)
{
    struct thrift_list list = {NULL, 0};
    int rc = kind == T_MAP ? read_map(r, field, &list) : read_list(r, field, &list);
    if (rc == 0) memcpy(to, &list, sizeof list);
    return rc;
}

/* The row of a field id, or NULL. '*next' is where to look first. */
static const struct field *schema_find(const struct schema *schema, uint16_t id, uint32_t *next)
{
    for (uint32_t tried = 0; tried < schema->field_count; tried++) {
        uint32_t i = *next < schema->field_count ? *next : 0;
        *next = i + 1;
        if ((uint16_t)schema->fields[i].id == id) return &schema->fields[i];
    }
    return NULL;
}

static int read_struct(struct reader *r, const struct schema *schema, void *out)
{
    uint64_t set = 0;
    uint32_t next = 0;
    for (;;) {
        const uint8_t *at = take(r, 1);
        if (at == NULL) return E_SHORT;
        uint8_t type = at[0];
        if (type == WIRE_STOP) break;
        at = take(r, 2);
        if (at == NULL) return E_SHORT;
        const struct field *field = schema_find(schema, bytes_get_be16(at), &next);
        if (field == NULL || kinds[field->kind].wire_type != type) {
            int rc = skip_value(r, type, THRIFT_DEPTH_MAX);
            if (rc != 0) return rc;
            continue;
        }
        int rc = read_value(r, field, field->kind, (char *)out + field->offset);
        if (rc != 0) return rc;
        set |= field->has;
    }
    if (set != 0) memcpy(out, &set, sizeof set);
    return 0;
}

/* One value into the zeroed member at 'to'. */
static int read_number(struct reader *r, uint8_t kind, void *to)
{
    const uint8_t *at = take(r, kinds[kind].wire_size_min);
    if (at == NULL) return E_SHORT;
    switch (kind) {
    case T_BOOL: *(bool *)to = at[0] != 0; break;
    case T_BYTE: *(int8_t *)to = (int8_t)at[0]; break;
    case T_I16: *(int16_t *)to = (int16_t)bytes_get_be16(at); break;
    case T_I32: *(int32_t *)to = (int32_t)bytes_get_be32(at); break;
    case T_I64: *(int64_t *)to = (int64_t)bytes_get_be64(at); break;
    default: { /* T_DOUBLE */ uint64_t bits = bytes_get_be64(at); memcpy(to, &bits, sizeof bits);
    }
    }
    return 0;
}

static int read_value(struct reader *r, const struct field *field, uint8_t kind, void *to)
{
    switch (kind) {
    case T_STRING:
    case T_BLOB:
    case T_ERROR_CODE:
    case T_TASK_CODE: return read_bytes(r, to);
    case T_STRUCT: return read_struct(r, field->schema, to);
    case T_LIST:
    case T_SET:
    case T_MAP: return read_container(r, field, kind, to);
    case T_GPID: return read_gpid(r, to);
    case T_RPC_ADDRESS: return read_rpc_address(r, to);
    case T_HOST_PORT: return read_host_port(r, to);
    default: return read_number(r, kind, to);
    }
}

/* ---- Skipping what we don't know ----------------------------------------------------------------
 *
 * What says STRUCT may be a blob, an address or the like, which have no STOP byte: skipping it as a
 * struct would read the rest of the message askew. So it cannot be skipped, nor can a container
 * with such items, unless it has none (W5). */

/* Bytes of a value of this type when they are always as many; 0 when not. */
static const uint8_t fixed_sizes[WIRE_TYPE_COUNT] = {
    [WIRE_BOOL] = 1, [WIRE_BYTE] = 1, [WIRE_DOUBLE] = 8,
    [WIRE_I16] = 2,  [WIRE_I32] = 4,  [WIRE_I64] = 8,
};

static int skip_items(struct reader *r, uint8_t type, uint32_t count, int depth)
{
    if (count == 0) return 0;
    if (count > INT32_MAX || type >= WIRE_TYPE_COUNT) return E_PROTO;
    size_t fixed = fixed_sizes[type];
    if (fixed != 0) return take(r, count * fixed) != NULL ? 0 : E_SHORT;
    for (uint32_t i = 0; i < count; i++) {
        int rc = skip_value(r, type, depth - 1);
        if (rc != 0) return rc;
    }
    return 0;
}

static int skip_list(struct reader *r, int depth)
{
    const uint8_t *at = take(r, LIST_HEADER_SIZE);
    if (at == NULL) return E_SHORT;
    return skip_items(r, at[0], bytes_get_be32(at + 1), depth);
}

static int skip_map(struct reader *r, int depth)
{
    const uint8_t *at = take(r, MAP_HEADER_SIZE);
    if (at == NULL) return E_SHORT;
    uint32_t count = bytes_get_be32(at + 2);
    if (count > INT32_MAX) return E_PROTO;
    for (uint32_t i = 0; i < count; i++) {
        int rc = skip_value(r, at[0], depth - 1);
        if (rc == 0) rc = skip_value(r, at[1], depth - 1);
        if (rc != 0) return rc;
    }
    return 0;
}

/* Every value takes at least one byte, so the work is bounded by the bytes. */
static int skip_value(struct reader *r, uint8_t type, int depth)
{
    if (depth <= 0) return E_LIMIT;
    switch (type) {
    case WIRE_STRING: {
        struct slice ignored;
        return read_bytes(r, &ignored);
    }
    case WIRE_LIST:
    case WIRE_SET: return skip_list(r, depth);
    case WIRE_MAP: return skip_map(r, depth);
    default:
        if (type >= WIRE_TYPE_COUNT || fixed_sizes[type] == 0) return E_PROTO; /* STRUCT too. */
        return take(r, fixed_sizes[type]) != NULL ? 0 : E_SHORT;
    }
}

/* ---- Whole messages -------------------------------------------------------------------------- */

int thrift_read_struct(struct slice *in, const struct schema *schema, void *out,
                       struct arena *arena)
{
    struct reader r = reader_of(*in, arena);
    memset(out, 0, schema->size);
    int rc = read_struct(&r, schema, out);
    if (rc == 0) *in = slice_of(r.at, left(&r));
    return rc;
}

int thrift_read_args(struct slice in, const struct schema *schema, void *out, struct arena *arena)
{
    struct reader r = reader_of(in, arena);
    memset(out, 0, schema->size);
    if (is_nothing(schema)) return in.size == 0 ? 0 : E_PROTO;
    const struct field *bare = schema->is_bare ? schema->fields : NULL;
    uint8_t type = bare != NULL ? kinds[bare->kind].wire_type : (uint8_t)WIRE_STRUCT;

    const uint8_t *at = take(&r, FIELD_HEADER_SIZE);
    if (at == NULL) return E_SHORT;
    if (at[0] != type) return E_PROTO;
    int rc = bare != NULL ? read_value(&r, bare, bare->kind, (char *)out + bare->offset)
                          : read_struct(&r, schema, out);
    if (rc != 0) return rc;
    at = take(&r, 1);
    if (at == NULL) return E_SHORT;
    return at[0] == WIRE_STOP && left(&r) == 0 ? 0 : E_PROTO;
}

/* ---- Writing --------------------------------------------------------------------------------- */

struct writer {
    struct buf *to;
    enum thrift_dialect dialect;
};

static void write_value(const struct writer *w, const struct field *field, uint8_t kind,
                        const void *from);

static void write_bytes(struct buf *to, struct slice bytes)
{
    CHECK(bytes.size <= INT32_MAX);
    uint8_t *at = buf_extend(to, 4 + bytes.size);
    if (at == NULL) return;
    bytes_put_be32(at, (uint32_t)bytes.size);
    if (bytes.size > 0) memcpy(at + 4, bytes.data, bytes.size);
}

static void write_error_code(const struct writer *w, const struct slice *name)
{
    if (w->dialect == THRIFT_THFT)
        write_bytes(w->to, wire_error_name(wire_error_for_thft(wire_error_find(*name))));
    else write_bytes(w->to, *name);
}

static void write_gpid(struct buf *to, const struct gpid *gpid)
{
    uint8_t *at = buf_extend(to, 8);
    if (at == NULL) return;
    bytes_put_be32(at, (uint32_t)gpid->partition_index);
    bytes_put_be32(at + 4, (uint32_t)gpid->app_id);
}

static void write_rpc_address(struct buf *to, const struct rpc_address *address)
{
    uint8_t *at = buf_extend(to, 8);
    if (at == NULL) return;
    memset(at, 0, 8);
    if (!address->is_valid) return;
    bytes_put_be32(at, address->ipv4);
    bytes_put_be16(at + 4, address->port);
    bytes_put_be16(at + 6, ADDRESS_TYPE_IPV4);
}

static void write_host_port(struct buf *to, const struct host_port *host_port)
{
    bool is_valid = host_port->is_valid;
    write_bytes(to, is_valid ? host_port->host : slice_of(NULL, 0));
    buf_append_be16(to, is_valid ? host_port->port : 0);
    buf_append_u8(to, is_valid ? HOST_TYPE_VALID : HOST_TYPE_INVALID);
}

static void write_list(const struct writer *w, const struct field *field,
                       const struct thrift_list *list)
{
    uint8_t *at = buf_extend(w->to, LIST_HEADER_SIZE);
    if (at == NULL) return;
    at[0] = kinds[field->item_kind].wire_type;
    bytes_put_be32(at + 1, list->count);
    size_t size = field_item_size(field);
    for (uint32_t i = 0; i < list->count; i++)
        write_value(w, field, field->item_kind, (const char *)list->items + i * size);
}

static void write_map(const struct writer *w, const struct field *field,
                      const struct thrift_list *map)
{
    const struct field *key = &field->schema->fields[0];
    const struct field *value = &field->schema->fields[1];
    uint8_t *at = buf_extend(w->to, MAP_HEADER_SIZE);
    if (at == NULL) return;
    at[0] = kinds[key->kind].wire_type;
    at[1] = kinds[value->kind].wire_type;
    bytes_put_be32(at + 2, map->count);
    for (uint32_t i = 0; i < map->count; i++) {
        const char *pair = (const char *)map->items + i * field->schema->size;
        write_value(w, key, key->kind, pair + key->offset);
        write_value(w, value, value->kind, pair + value->offset);
    }
}

static void write_container(const struct writer *w, const struct field *field, const void *from)
{
    struct thrift_list list;
    memcpy(&list, from, sizeof list);
    CHECK(list.count <= INT32_MAX);
    if (field->kind == T_MAP) write_map(w, field, &list);
    else write_list(w, field, &list);
}

/* Optional fields that are not set, and host_port fields for those who have no such type (W10). */
static bool is_left_out(const struct writer *w, const struct field *field, const void *in)
{
    if (field->has == 0) return false;
    if (!field_is_set(field, in)) return true;
    return w->dialect == THRIFT_THFT &&
           (field->kind == T_HOST_PORT || field->item_kind == T_HOST_PORT);
}

static void write_struct(const struct writer *w, const struct schema *schema, const void *in)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct field *field = &schema->fields[i];
        if (is_left_out(w, field, in)) continue;
        uint8_t *at = buf_extend(w->to, FIELD_HEADER_SIZE);
        if (at == NULL) return;
        at[0] = kinds[field->kind].wire_type;
        bytes_put_be16(at + 1, (uint16_t)field->id);
        write_value(w, field, field->kind, (const char *)in + field->offset);
    }
    buf_append_u8(w->to, WIRE_STOP);
}

static void write_number(struct buf *to, uint8_t kind, const void *from)
{
    uint8_t *at = buf_extend(to, kinds[kind].wire_size_min);
    if (at == NULL) return;
    switch (kind) {
    case T_BOOL: at[0] = *(const bool *)from; break;
    case T_BYTE: at[0] = (uint8_t) * (const int8_t *)from; break;
    case T_I16: bytes_put_be16(at, (uint16_t) * (const int16_t *)from); break;
    case T_I32: bytes_put_be32(at, (uint32_t) * (const int32_t *)from); break;
    case T_I64: bytes_put_be64(at, (uint64_t) * (const int64_t *)from); break;
    default: { /* T_DOUBLE */
        uint64_t bits;
        memcpy(&bits, from, sizeof bits);
        bytes_put_be64(at, bits);
    }
    }
}

static void write_value(const struct writer *w, const struct field *field, uint8_t kind,
                        const void *from)
{
    switch (kind) {
    case T_STRING:
    case T_BLOB:
    case T_TASK_CODE: write_bytes(w->to, *(const struct slice *)from); break;
    case T_ERROR_CODE: write_error_code(w, from); break;
    case T_STRUCT: write_struct(w, field->schema, from); break;
    case T_LIST:
    case T_SET:
    case T_MAP: write_container(w, field, from); break;
    case T_GPID: write_gpid(w->to, from); break;
    case T_RPC_ADDRESS: write_rpc_address(w->to, from); break;
    case T_HOST_PORT: write_host_port(w->to, from); break;
    default: write_number(w->to, kind, from);
    }
}

static void write_wrapper(const struct writer *w, int16_t id, const struct schema *schema,
                          const void *in)
{
    if (is_nothing(schema)) return;
    const struct field *bare = schema->fields; /* Only where there is no struct around it. */
    buf_append_u8(w->to, schema->is_bare ? kinds[bare->kind].wire_type : (uint8_t)WIRE_STRUCT);
    buf_append_be16(w->to, (uint16_t)id);
    if (schema->is_bare) write_value(w, bare, bare->kind, (const char *)in + bare->offset);
    else write_struct(w, schema, in);
    buf_append_u8(w->to, WIRE_STOP);
}

void thrift_write_struct(struct buf *to, enum thrift_dialect dialect, const struct schema *schema,
                         const void *in)
{
    write_struct(&(struct writer){to, dialect}, schema, in);
}

void thrift_write_args(struct buf *to, int16_t id, const struct schema *schema, const void *in)
{
    write_wrapper(&(struct writer){to, THRIFT_FULL}, id, schema, in);
}

void thrift_write_result(struct buf *to, enum thrift_dialect dialect, const struct schema *schema,
                         const void *in)
{
    write_wrapper(&(struct writer){to, dialect}, 0, schema, in);
}
