/* src/kv/match.c: substring search, byte order and integer order. */
#include "kv/match.h"

#include "kv/number.h"

static bool has_inside(struct slice bytes, struct slice pattern)
{
    if (pattern.size == 0) return true;
    return bytes.size >= pattern.size &&
           memmem(bytes.data, bytes.size, pattern.data, pattern.size) != NULL;
}

bool kv_filter_passes(int32_t type, struct slice pattern, struct slice bytes)
{
    switch (type) {
    case FILTER_ANYWHERE: return has_inside(bytes, pattern);
    case FILTER_PREFIX: return slice_has_prefix(bytes, pattern);
    case FILTER_POSTFIX: return slice_has_suffix(bytes, pattern);
    default: return true;
    }
}

/* 'order' is below, at or above 0. The checks of bytes and of integers stand in the same sequence,
 * from "less" to "greater". */
static bool order_passes(int32_t check, int order)
{
    switch (check) {
    case CAS_VALUE_BYTES_LESS: return order < 0;
    case CAS_VALUE_BYTES_LESS_OR_EQUAL: return order <= 0;
    case CAS_VALUE_BYTES_EQUAL: return order == 0;
    case CAS_VALUE_BYTES_GREATER_OR_EQUAL: return order >= 0;
    default: return order > 0;
    }
}

static int check_integers(int32_t type, struct slice operand, struct slice value)
{
    int64_t have, want;
    if (kv_number_read(value, &have) != 0 || kv_number_read(operand, &want) != 0) return E_INVALID;
    int32_t as_bytes = type - CAS_VALUE_INT_LESS + CAS_VALUE_BYTES_LESS;
    return order_passes(as_bytes, (have > want) - (have < want)) ? 0 : E_REFUSED;
}

/* The checks from 5 on: 'value' exists. */
static int check_existing(int32_t type, struct slice operand, struct slice value)
{
    bool passes;
    switch (type) {
    case CAS_VALUE_MATCH_ANYWHERE: passes = has_inside(value, operand); break;
    case CAS_VALUE_MATCH_PREFIX: passes = slice_has_prefix(value, operand); break;
    case CAS_VALUE_MATCH_POSTFIX: passes = slice_has_suffix(value, operand); break;
    default:
        if (type >= CAS_VALUE_INT_LESS) return check_integers(type, operand, value);
        passes = order_passes(type, slice_compare(value, operand));
    }
    return passes ? 0 : E_REFUSED;
}

int kv_check(int32_t type, struct slice operand, const struct slice *value)
{
    bool passes;
    switch (type) {
    case CAS_NO_CHECK: passes = true; break;
    case CAS_VALUE_NOT_EXIST: passes = value == NULL; break;
    case CAS_VALUE_NOT_EXIST_OR_EMPTY: passes = value == NULL || value->size == 0; break;
    case CAS_VALUE_EXIST: passes = value != NULL; break;
    case CAS_VALUE_NOT_EMPTY: passes = value != NULL && value->size > 0; break;
    default: return value == NULL ? E_REFUSED : check_existing(type, operand, *value);
    }
    return passes ? 0 : E_REFUSED;
}
