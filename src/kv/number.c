/* src/kv/number.c: written out because values have no NUL at their end, and may have one inside. */
#include "kv/number.h"

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* The value of a digit in bases up to 16; 16 for what is none. */
static unsigned digit_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return 16;
}

/* Drop the prefix, if there is one, and return the base it stands for. The 0 of an octal number stays:
 * it is a digit, and alone it is zero. */
static unsigned base_take(struct slice *text)
{
    if (text->size == 0 || text->data[0] != '0') return 10;
    if (text->size < 2 || (text->data[1] != 'x' && text->data[1] != 'X')) return 8;
    *text = slice_skip(*text, 2);
    return 16;
}

int kv_number_read(struct slice text, int64_t *out)
{
    while (text.size > 0 && is_space(text.data[0])) text = slice_skip(text, 1);
    bool is_negative = text.size > 0 && text.data[0] == '-';
    if (is_negative || (text.size > 0 && text.data[0] == '+')) text = slice_skip(text, 1);
    unsigned base = base_take(&text);
    if (text.size == 0) return E_INVALID;

    uint64_t limit = is_negative ? UINT64_C(1) << 63 : INT64_MAX;
    uint64_t magnitude = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = digit_value(text.data[i]);
        if (digit >= base) return E_INVALID;
        if (magnitude > (limit - digit) / base) return E_INVALID;
        magnitude = magnitude * base + digit;
    }
    /* Through unsigned arithmetic, for -2^63 has no positive counterpart. */
    uint64_t bits = is_negative ? 0 - magnitude : magnitude;
    memcpy(out, &bits, sizeof bits);
    return 0;
}

size_t kv_number_write(int64_t number, uint8_t *to)
{
    uint8_t digits[KV_NUMBER_SIZE];
    size_t count = 0;
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[count++] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);

    size_t size = 0;
    if (number < 0) to[size++] = '-';
    while (count > 0) to[size++] = digits[--count];
    return size;
}
