/* src/wire/thrift_print.c: a message as one line, for people. Walks the same table as the codec. */
#include <inttypes.h>

#include "wire/thrift.h"

static void print_struct(struct buf *to, const struct schema *schema, const void *in);

static void print_bytes(struct buf *to, struct slice bytes)
{
    buf_append_u8(to, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') buf_append_u8(to, byte);
        else buf_printf(to, "\\x%02x", byte);
    }
    buf_append_u8(to, '"');
}

static void print_rpc_address(struct buf *to, const struct rpc_address *address)
{
    uint32_t ip = address->ipv4;
    if (!address->is_valid) buf_append_str(to, "nobody");
    else
        buf_printf(to, "%u.%u.%u.%u:%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255,
                   address->port);
}

static void print_host_port(struct buf *to, const struct host_port *host_port)
{
    print_bytes(to, host_port->host);
    buf_printf(to, ":%u", host_port->port);
}

static void print_value(struct buf *to, const struct field *field, uint8_t kind, const void *from);

static void print_items(struct buf *to, const struct field *field, const void *from)
{
    struct thrift_list list;
    memcpy(&list, from, sizeof list);
    buf_append_u8(to, '[');
    for (uint32_t i = 0; i < list.count; i++) {
        if (i > 0) buf_append_u8(to, ' ');
        const char *item = (const char *)list.items + i * field_item_size(field);
        if (field->kind == T_MAP) print_struct(to, field->schema, item);
        else print_value(to, field, field->item_kind, item);
    }
    buf_append_u8(to, ']');
}

static void print_value(struct buf *to, const struct field *field, uint8_t kind, const void *from)
{
    switch ((enum thrift_kind)kind) {
    case T_BOOL: buf_append_str(to, *(const bool *)from ? "true" : "false"); break;
    case T_BYTE: buf_printf(to, "%d", *(const int8_t *)from); break;
    case T_I16: buf_printf(to, "%d", *(const int16_t *)from); break;
    case T_I32: buf_printf(to, "%" PRId32, *(const int32_t *)from); break;
    case T_I64: buf_printf(to, "%" PRId64, *(const int64_t *)from); break;
    case T_DOUBLE: buf_printf(to, "%g", *(const double *)from); break;
    case T_STRING:
    case T_BLOB:
    case T_ERROR_CODE:
    case T_TASK_CODE: print_bytes(to, *(const struct slice *)from); break;
    case T_STRUCT: print_struct(to, field->schema, from); break;
    case T_LIST:
    case T_SET:
    case T_MAP: print_items(to, field, from); break;
    case T_GPID: {
        const struct gpid *gpid = from;
        buf_printf(to, "%" PRId32 ".%" PRId32, gpid->app_id, gpid->partition_index);
        break;
    }
    case T_RPC_ADDRESS: print_rpc_address(to, from); break;
    case T_HOST_PORT: print_host_port(to, from); break;
    case T_KIND_COUNT: break;
    }
}

static void print_struct(struct buf *to, const struct schema *schema, const void *in)
{
    buf_append_str(to, schema->name);
    const char *separator = "{";
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct field *field = &schema->fields[i];
        if (!field_is_set(field, in)) continue;
        buf_printf(to, "%s%s=", separator, field->name);
        print_value(to, field, field->kind, (const char *)in + field->offset);
        separator = " ";
    }
    buf_append_str(to, *separator == '{' ? "{}" : "}");
}

void thrift_print(struct buf *to, const struct schema *schema, const void *in)
{
    print_struct(to, schema, in);
}
