/* src/cli/text.h: keys and values as people type and see them. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum text_form {
    TEXT_PLAIN,  /* In: as typed. Out: what prints (UTF-8 too) as it is, the rest as \xNN. */
    TEXT_HEX,    /* Two digits a byte. */
    TEXT_BASE64, /* RFC 4648, with padding. */
};

/* Append the bytes that 'text' stands for. Returns 0, or E_INVALID and 'e' says why. */
int text_read(enum text_form form, const char *text, struct buf *to, struct err *e) MUST_CHECK;

/* Append the text that stands for 'bytes'. */
void text_write(enum text_form form, struct slice bytes, struct buf *to);

/* Append a number of bytes for people: "12.3 MB". */
void text_write_size(uint64_t size, struct buf *to);

/* Append a whole number with separators: "1,234,567". */
void text_write_count(uint64_t count, struct buf *to);
