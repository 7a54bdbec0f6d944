/* src/core/meta/env_throttle.c: reading "10000*delay*100,20K*reject*100". */
#include "core/meta/env_throttle.h"

#define QUOTE(text) (int)((text).size < 64 ? (text).size : 64), (const char *)(text).data

struct throttle {
    bool has_delay, has_reject;
    uint64_t reject_size;
};

/* The part of '*text' up to the next 'mark', which is skipped too; the rest when there is none. */
static struct slice take_part(struct slice *text, uint8_t mark)
{
    const uint8_t *at = text->size > 0 ? memchr(text->data, mark, text->size) : NULL;
    size_t size = at != NULL ? (size_t)(at - text->data) : text->size;
    struct slice part = slice_of(text->data, size);
    *text = slice_skip(*text, at != NULL ? size + 1 : size);
    return part;
}

static bool read_number(struct slice text, uint64_t unit, uint64_t *out, struct buf *hint)
{
    uint64_t value = 0;
    bool is_number = text.size > 0, is_overflow = false;
    for (size_t i = 0; i < text.size && is_number; i++) {
        is_number = text.data[i] >= '0' && text.data[i] <= '9';
        uint64_t digit = (uint64_t)text.data[i] - '0';
        is_overflow |= is_number && value > (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    if (!is_number) {
        buf_printf(hint, "'%.*s' should be an unsigned integer", QUOTE(text));
        return false;
    }
    if (is_overflow || value > UINT64_MAX / unit) {
        buf_printf(hint, "'%.*s' result is overflow", QUOTE(text));
        return false;
    }
    *out = value * unit;
    return true;
}

static bool read_size(struct slice text, uint64_t *out, struct buf *hint)
{
    uint64_t unit = 1;
    if (slice_has_suffix(text, slice_str("K"))) unit = 1024;
    if (slice_has_suffix(text, slice_str("M"))) unit = 1024 * 1024;
    if (unit > 1) text.size--;
    return read_number(text, unit, out, hint);
}

static bool read_item(struct slice item, struct throttle *out, struct buf *hint)
{
    struct slice rest = item;
    size_t stars = 0;
    for (size_t i = 0; i < item.size; i++) stars += item.data[i] == '*';
    if (stars != 2) {
        buf_printf(hint, "The field count of '%.*s' separated by '*' must be 3", QUOTE(item));
        return false;
    }
    struct slice size_text = take_part(&rest, '*'), word = take_part(&rest, '*');
    uint64_t size, delay_ms;
    if (!read_size(size_text, &size, hint)) return false;
    bool is_delay = slice_is(word, "delay");
    if (!is_delay && !slice_is(word, "reject")) {
        buf_printf(hint, "'%.*s' should be 'delay' or 'reject'", QUOTE(word));
        return false;
    }
    bool *seen = is_delay ? &out->has_delay : &out->has_reject;
    if (*seen) {
        buf_printf(hint, "duplicate '%.*s' config", QUOTE(word));
        return false;
    }
    *seen = true;
    if (!is_delay) out->reject_size = size;
    return read_number(rest, 1, &delay_ms, hint);
}

static bool read_list(struct slice value, struct throttle *out, struct buf *hint)
{
    if (value.size == 0) {
        buf_append_str(hint, "The value shouldn't be empty");
        return false;
    }
    bool goes_on = true;
    while (goes_on) {
        goes_on = memchr(value.data, ',', value.size) != NULL;
        if (!read_item(take_part(&value, ','), out, hint)) return false;
    }
    return true;
}

bool throttle_list_is_valid(struct slice value, struct buf *hint)
{
    struct throttle throttle = {0};
    return read_list(value, &throttle, hint);
}

bool throttle_bucket_is_valid(struct slice value, struct buf *hint)
{
    struct throttle throttle = {0};
    bool is_list = value.size == 0 || memchr(value.data, '*', value.size) != NULL;
    if (is_list && !read_list(value, &throttle, hint)) return false;
    if (!is_list && !read_size(value, &throttle.reject_size, hint)) return false;
    bool is_delay_only = throttle.has_delay && !throttle.has_reject; /* Accepted: it means "off". */
    if (is_delay_only || throttle.reject_size > 0) return true;
    buf_append_str(hint, "reject value should be greater than 0");
    return false;
}
