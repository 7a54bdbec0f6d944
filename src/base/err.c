/* src/base/err.c: codes to words. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_text(int code)
{
    switch (code) {
    case 0: return "success";
#define X(name, number, text)                                                                      \
    case name: return text;
        ERR_MAP(X)
#undef X
    default: return "unnamed error";
    }
}

const char *err_name(int code)
{
    switch (code) {
    case 0: return "OK";
#define X(name, number, text)                                                                      \
    case name: return #name;
        ERR_MAP(X)
#undef X
    default: return "E_UNNAMED";
    }
}

int err_of_errno(int number)
{
    switch (number) {
    case 0: return 0;
    case ENOMEM: return E_NOMEM;
    case ENOSPC:
    case EDQUOT: return E_NOSPACE;
    case ENOENT: return E_NOTFOUND;
    case EEXIST: return E_EXISTS;
    case EINVAL: return E_INVALID;
    case ETIMEDOUT: return E_TIMEOUT;
    case ECONNREFUSED: return E_REFUSED;
    case EHOSTUNREACH:
    case ENETUNREACH: return E_UNREACHABLE;
    case ECONNRESET:
    case EPIPE: return E_CLOSED;
    case ECANCELED: return E_CANCELED;
    case EAGAIN:
    case EBUSY: return E_BUSY;
    case EADDRINUSE: return E_EXISTS;
    default: return E_IO;
    }
}

int err_set(struct err *e, int code, const char *format, ...)
{
    if (e == NULL) return code;
    va_list args;
    va_start(args, format);
    e->code = code;
    (void)vsnprintf(e->text, sizeof e->text, format, args); /* Cut is fine: it is for people. */
    va_end(args);
    return code;
}

int err_wrap(struct err *e, int code, const char *format, ...)
{
    if (e == NULL) return code;
    char inner[ERR_TEXT_SIZE];
    memcpy(inner, e->code != 0 ? e->text : "", e->code != 0 ? sizeof inner : 1);
    if (e->code == 0) (void)snprintf(inner, sizeof inner, "%s", err_text(code));

    va_list args;
    va_start(args, format);
    int used = vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    e->code = code;
    if (used < 0 || (size_t)used >= sizeof e->text) return code;
    int more = snprintf(e->text + used, sizeof e->text - (size_t)used, ": %s", inner);
    if (more < 0) e->text[used] = '\0'; /* Cut is fine here too. */
    return code;
}
