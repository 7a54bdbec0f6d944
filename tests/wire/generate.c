/* tests/wire/generate.c: walks the table and invents a value for each row. */
#include "wire/generate.h"

enum { ITEM_COUNT_MAX = 3, BYTES_SIZE_MAX = 20 };

static void generate_struct(struct prng *p, struct arena *arena, const struct schema *schema,
                            void *out);

static uint64_t generate_number(struct prng *p)
{
    static const uint64_t edges[] = {0,          1,          UINT64_MAX, INT64_MAX,
                                     1ull << 63, 0x80000000, 0x7fffffff};
    if (prng_percent(p, 50)) return edges[prng_below(p, sizeof edges / sizeof *edges)];
    return prng_next(p) >> prng_below(p, 64);
}

static struct slice generate_bytes(struct prng *p, struct arena *arena)
{
    size_t size = prng_percent(p, 30) ? 0 : prng_between(p, 1, BYTES_SIZE_MAX);
    uint8_t *bytes = arena_alloc(arena, size + 1);
    prng_bytes(p, bytes, size);
    return slice_of(bytes, size);
}

static void generate_value(struct prng *p, struct arena *arena, const struct field *field,
                           uint8_t kind, void *to);

static void generate_items(struct prng *p, struct arena *arena, const struct field *field, void *to)
{
    struct thrift_list list = {NULL, (uint32_t)prng_between(p, 0, ITEM_COUNT_MAX)};
    size_t size = field_item_size(field);
    if (list.count > 0) list.items = arena_array(arena, list.count, size);
    for (uint32_t i = 0; i < list.count; i++) {
        char *item = (char *)list.items + i * size;
        if (field->kind == T_MAP) generate_struct(p, arena, field->schema, item);
        else generate_value(p, arena, field, field->item_kind, item);
    }
    memcpy(to, &list, sizeof list);
}

static void generate_value(struct prng *p, struct arena *arena, const struct field *field,
                           uint8_t kind, void *to)
{
    switch ((enum thrift_kind)kind) {
    case T_BOOL: *(bool *)to = prng_percent(p, 50); break;
    case T_BYTE: *(int8_t *)to = (int8_t)generate_number(p); break;
    case T_I16: *(int16_t *)to = (int16_t)generate_number(p); break;
    case T_I32: *(int32_t *)to = (int32_t)generate_number(p); break;
    case T_I64: *(int64_t *)to = (int64_t)generate_number(p); break;
    case T_DOUBLE: *(double *)to = (double)(int64_t)generate_number(p); break;
    case T_STRING:
    case T_BLOB:
    case T_ERROR_CODE:
    case T_TASK_CODE: *(struct slice *)to = generate_bytes(p, arena); break;
    case T_STRUCT: generate_struct(p, arena, field->schema, to); break;
    case T_LIST:
    case T_SET:
    case T_MAP: generate_items(p, arena, field, to); break;
    case T_GPID:
        *(struct gpid *)to = (struct gpid){(int32_t)generate_number(p), (int32_t)prng_next(p)};
        break;
    case T_RPC_ADDRESS:
        if (prng_percent(p, 70))
            *(struct rpc_address *)to =
                (struct rpc_address){(uint32_t)prng_next(p), (uint16_t)prng_next(p), true};
        break;
    case T_HOST_PORT:
        if (prng_percent(p, 70))
            *(struct host_port *)to =
                (struct host_port){generate_bytes(p, arena), (uint16_t)prng_next(p), true};
        break;
    case T_KIND_COUNT: break;
    }
}

static void generate_struct(struct prng *p, struct arena *arena, const struct schema *schema,
                            void *out)
{
    uint64_t set = 0;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct field *field = &schema->fields[i];
        if (field->has != 0 && prng_percent(p, 50)) continue;
        set |= field->has;
        generate_value(p, arena, field, field->kind, (char *)out + field->offset);
    }
    if (set != 0) memcpy(out, &set, sizeof set);
}

void generate_message(struct prng *p, struct arena *arena, const struct schema *schema, void *out)
{
    memset(out, 0, schema->size);
    generate_struct(p, arena, schema, out);
}
