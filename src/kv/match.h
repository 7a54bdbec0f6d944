/* src/kv/match.h: the questions that requests ask about bytes: filters of reads, conditions of
 * check-and-set and check-and-mutate. Pure. Source: docs/data.md, rules M3 and E8. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "wire/messages_data.h"

/* Whether a filter type of a request is one of enum filter_type. */
static inline bool kv_filter_is_known(int32_t type)
{
    return type >= FILTER_NONE && type <= FILTER_POSTFIX;
}

/* Whether 'bytes' pass a known filter. An empty pattern lets everything pass. */
bool kv_filter_passes(int32_t type, struct slice pattern, struct slice bytes);

/* Whether a check type of a request is one of enum cas_check_type. */
static inline bool kv_check_is_known(int32_t type)
{
    return type >= CAS_NO_CHECK && type <= CAS_VALUE_INT_GREATER;
}

/* Judge a known check of 'value', NULL when it does not exist. Returns 0: it holds; E_REFUSED: it does
 * not; E_INVALID: integers are to be compared and one side is none. */
int kv_check(int32_t type, struct slice operand, const struct slice *value) MUST_CHECK;
