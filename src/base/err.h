/* src/base/err.h: every way in which something can fail, and the sentence a person reads about it.
 *
 * A function that can fail returns int: 0, or one of the negative codes below. Never -1, never a bare
 * errno. Where a person will read about the failure (startup, recovery, admin) it also fills a
 * 'struct err', and every level on the way up may put its own place in front:
 *     load partition 3.7: segment 12: block at 81920: checksum is wrong */
#pragma once

#define MUST_CHECK __attribute__((warn_unused_result))

/* name, code, text. The codes are ours alone: what crosses the wire has names of its own. */
#define ERR_MAP(X)                                                                                 \
    X(E_NOMEM, -1, "out of memory")                                                                \
    X(E_IO, -2, "input/output error")                                                              \
    X(E_NOSPACE, -3, "no space left")                                                              \
    X(E_SHORT, -4, "ends too early")                                                               \
    X(E_CORRUPT, -5, "damaged")                                                                    \
    X(E_PROTO, -6, "malformed")                                                                    \
    X(E_LIMIT, -7, "over the limit")                                                               \
    X(E_NOTFOUND, -8, "not found")                                                                 \
    X(E_EXISTS, -9, "exists already")                                                              \
    X(E_INVALID, -10, "invalid argument")                                                          \
    X(E_STATE, -11, "not possible in this state")                                                  \
    X(E_AGAIN, -12, "not at once, ask again the slow way")                                         \
    X(E_BUSY, -13, "busy, ask again later")                                                        \
    X(E_TIMEOUT, -14, "timed out")                                                                 \
    X(E_CLOSED, -15, "closed")                                                                     \
    X(E_REFUSED, -16, "refused")                                                                   \
    X(E_UNREACHABLE, -17, "cannot be reached")                                                     \
    X(E_UNSUPPORTED, -18, "not supported")                                                         \
    X(E_CANCELED, -19, "canceled")                                                                 \
    X(E_UNKNOWN, -20, "outcome unknown")

enum err_code {
#define X(name, code, text) name = code,
    ERR_MAP(X)
#undef X
};

enum { ERR_TEXT_SIZE = 512 }; /* Bytes, the NUL included; longer texts are cut. */

struct err {
    int code;                 /* 0: nothing happened. */
    char text[ERR_TEXT_SIZE]; /* What, where, and what to do about it; no final full stop. */
};

/* The sentence for a code, "success" for 0; never NULL. */
const char *err_text(int code);

/* The symbolic name, "E_IO" and so on; "OK" for 0; never NULL. */
const char *err_name(int code);

/* The code nearest to an errno of the operating system. */
int err_of_errno(int number);

/* Fill 'e', which may be NULL, with the code and a text made as printf does. Returns 'code', so that
 * 'return err_set(...)' reads well. */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put "place: " in front of the text of 'e', which may be NULL. Returns the code it has. */
int err_wrap(struct err *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
