/* src/wire/error.c: one table, read in three ways. */
#include "wire/error.h"

static const struct {
    struct slice name;
    enum wire_error for_thft;
} errors[WIRE_ERROR_COUNT] = {
#define X(name, number, thft) [number] = {{(const uint8_t *)#name, sizeof #name - 1}, WIRE_##thft},
    WIRE_ERROR_MAP(X)
#undef X
};

struct slice wire_error_name(enum wire_error error)
{
    return errors[(unsigned)error < WIRE_ERROR_COUNT ? error : WIRE_ERR_UNKNOWN].name;
}

enum wire_error wire_error_find(struct slice name)
{
    for (unsigned i = 0; i < WIRE_ERROR_COUNT; i++)
        if (slice_equal(errors[i].name, name)) return (enum wire_error)i;
    return WIRE_ERR_UNKNOWN;
}

enum wire_error wire_error_for_thft(enum wire_error error)
{
    return (unsigned)error < WIRE_ERROR_COUNT ? errors[error].for_thft : WIRE_ERR_UNKNOWN;
}
