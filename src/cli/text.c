/* src/cli/text.c: bytes to text and back. */
#include "cli/text.h"

#include <stdio.h>
#include <string.h>

/* ---- Hex ------------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static int hex_read(const char *text, struct buf *to, struct err *e)
{
    if (strlen(text) % 2 != 0)
        return err_set(e, E_INVALID, "'%s' is not hex: it has an odd number of digits", text);
    for (; *text != '\0'; text += 2) {
        int high = digit_of(text[0]), low = digit_of(text[1]);
        if (high < 0 || low < 0) return err_set(e, E_INVALID, "'%.2s' is not hex", text);
        buf_append_u8(to, (uint8_t)(high << 4 | low));
    }
    return 0;
}

static void hex_write(struct slice bytes, struct buf *to)
{
    for (size_t i = 0; i < bytes.size; i++) buf_printf(to, "%02x", bytes.data[i]);
}

/* ---- Base64 ---------------------------------------------------------------------------------- */

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Four digits to up to three bytes. */
static bool base64_read_group(const char *text, struct buf *to)
{
    uint32_t bits = 0;
    unsigned padding = text[3] != '=' ? 0 : text[2] != '=' ? 1 : 2;
    for (unsigned i = 0; i < 4; i++) {
        const char *at = text[i] != '\0' ? strchr(base64_digits, text[i]) : NULL;
        if (i >= 4 - padding) at = base64_digits;
        if (at == NULL) return false;
        bits = bits << 6 | (uint32_t)(at - base64_digits);
    }
    for (unsigned i = 0; i < 3 - padding; i++) buf_append_u8(to, (uint8_t)(bits >> (16 - 8 * i)));
    return true;
}

static int base64_read(const char *text, struct buf *to, struct err *e)
{
    size_t size = strlen(text);
    bool is_good = size % 4 == 0;
    for (size_t i = 0; is_good && i < size; i += 4) {
        bool is_last = i + 4 == size;
        is_good = (is_last || text[i + 3] != '=') && base64_read_group(text + i, to);
    }
    return is_good ? 0 : err_set(e, E_INVALID, "'%s' is not base64", text);
}

static void base64_write(struct slice bytes, struct buf *to)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t bits = (uint32_t)bytes.data[i] << 16;
        if (left > 1) bits |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2) bits |= bytes.data[i + 2];
        buf_append_u8(to, (uint8_t)base64_digits[bits >> 18]);
        buf_append_u8(to, (uint8_t)base64_digits[bits >> 12 & 63]);
        buf_append_u8(to, left > 1 ? (uint8_t)base64_digits[bits >> 6 & 63] : '=');
        buf_append_u8(to, left > 2 ? (uint8_t)base64_digits[bits & 63] : '=');
    }
}

/* ---- Plain ----------------------------------------------------------------------------------- */

/* Bytes of the well-formed UTF-8 character at the front; 0: there is none. */
static size_t utf8_size(struct slice s)
{
    uint8_t first = s.data[0];
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || s.size < size) return 0;
    for (size_t i = 1; i < size; i++)
        if ((s.data[i] & 0xc0) != 0x80) return 0;
    bool is_overlong = (first == 0xe0 && s.data[1] < 0xa0) || (first == 0xf0 && s.data[1] < 0x90);
    bool is_beyond = (first == 0xed && s.data[1] > 0x9f) || (first == 0xf4 && s.data[1] > 0x8f);
    return is_overlong || is_beyond ? 0 : size;
}

static void plain_write(struct slice bytes, struct buf *to)
{
    while (bytes.size > 0) {
        uint8_t byte = bytes.data[0];
        size_t size = byte < 0x80 ? (byte >= 0x20 && byte < 0x7f ? 1 : 0) : utf8_size(bytes);
        if (size > 0) buf_append(to, bytes.data, size);
        else buf_printf(to, "\\x%02x", byte);
        bytes = slice_skip(bytes, size > 0 ? size : 1);
    }
}

/* ---- Any ------------------------------------------------------------------------------------- */

int text_read(enum text_form form, const char *text, struct buf *to, struct err *e)
{
    switch (form) {
    case TEXT_HEX: return hex_read(text, to, e);
    case TEXT_BASE64: return base64_read(text, to, e);
    case TEXT_PLAIN: break;
    }
    buf_append_str(to, text);
    return 0;
}

void text_write(enum text_form form, struct slice bytes, struct buf *to)
{
    switch (form) {
    case TEXT_HEX: hex_write(bytes, to); break;
    case TEXT_BASE64: base64_write(bytes, to); break;
    case TEXT_PLAIN: plain_write(bytes, to); break;
    }
}

void text_write_size(uint64_t size, struct buf *to)
{
    static const char *const names[] = {"B", "KB", "MB", "GB", "TB"};
    double value = (double)size;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++) value /= 1024;
    buf_printf(to, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
}

void text_write_count(uint64_t count, struct buf *to)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) buf_append_u8(to, ',');
        buf_append_u8(to, (uint8_t)digits[i]);
    }
}
