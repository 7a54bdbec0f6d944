/* src/wire/frame.h: what surrounds a message on a connection. Pure: bytes to structs, and back.
 *
 * The first four bytes of a connection choose its protocol for good, and every message begins with
 * them again:
 *
 *     "THFT"          Java, Go, Python and Node.js clients, admin tools; header version 0 or 1
 *     "RDSN"          native: C++ clients, Pegasus's servers, and Pirene's servers and clients
 *     "GET " "POST"   HTTP, which is not read here
 *
 *     THFT request    header of 48 bytes (v0), or 16 and a meta struct (v1) | call, name, seqid |
 *                     wrapper
 *     THFT reply      total size | error name | reply, name_ACK, seqid | wrapper, or nothing
 *     RDSN both       header of 192 bytes, little-endian | wrapper
 *
 * The wrapper is what thrift_read_args() reads. A framework error (no such replica, busy...) is in
 * the frame and then there is no wrapper; what the storage says is in the message itself.
 *
 * Source: docs/wire.md, rules W13 to W22. */
#pragma once
#include "base/buf.h"
#include "wire/error.h"
#include "wire/rpc_names.h"
#include "wire/thrift.h"

enum {
    FRAME_BODY_SIZE_MAX =
        64 << 20, /* Bytes: what to pass as 'body_size_max' if nothing else is set. */
    FRAME_META_SIZE_MAX = 64 << 10, /* Bytes of the meta struct of THFT v1. */
    FRAME_NAME_SIZE_MAX = 47,       /* Bytes of an rpc's name; longer ones are cut. */
};

enum frame_protocol {
    FRAME_PROTOCOL_SHORT, /* Fewer than four bytes are there: wait. */
    FRAME_PROTOCOL_THFT,
    FRAME_PROTOCOL_RDSN,
    FRAME_PROTOCOL_HTTP,
    FRAME_PROTOCOL_UNKNOWN, /* Close. */
};

/* Look at the first bytes of a connection. */
enum frame_protocol frame_protocol_of(struct slice first);

/* The framing of one request, which is that of its reply. */
enum frame_kind { FRAME_THFT_V0, FRAME_THFT_V1, FRAME_RDSN };

/* Bits of 'context', which only RDSN carries. */
#define FRAME_CONTEXT_REQUEST           (UINT64_C(1) << 0)
#define FRAME_CONTEXT_FORWARDED         (UINT64_C(1) << 1)
#define FRAME_CONTEXT_THRIFT_BINARY     (UINT64_C(1) << 6)
#define FRAME_CONTEXT_FORMAT_MASK       (UINT64_C(15) << 6)
#define FRAME_CONTEXT_FORWARD_SUPPORTED (UINT64_C(1) << 10)
#define FRAME_CONTEXT_BACKUP            (UINT64_C(1) << 11)

/* A request, whose reply needs everything in it but 'body'. 'name' and 'body' borrow from what was
 * read; with a known 'code' the name is a constant, so that a copy of the struct with an emptied
 * body outlives the bytes. */
struct frame_request {
    enum frame_kind kind;
    enum rpc_code code; /* RPC_UNKNOWN: answer with ERR_HANDLER_NOT_FOUND. */
    struct slice name;  /* At most FRAME_NAME_SIZE_MAX bytes. */
    uint64_t id;        /* Comes back in the reply. THFT: a seqid, 32 bits. */
    uint64_t trace_id;  /* Opaque, comes back. THFT: 0. */
    int32_t app_id;     /* 0 or less: not for a partition. */
    int32_t partition_index;
    int32_t timeout_ms;      /* Of the client; 0 and what Go sends mean nothing (W18). */
    int32_t thread_hash;     /* Pegasus's choice of thread. Ours ignores it. */
    uint64_t partition_hash; /* The key's hash; 0 too. */
    uint64_t context;        /* RDSN: FRAME_CONTEXT_*. */
    struct rpc_address from; /* RDSN: who asks. A port up to 1023 is that of a pure client. */
    bool is_backup;          /* A read that a secondary may answer. */
    bool is_oneway;          /* THFT: said to want no reply. Treated as the others. */
    uint32_t body_size;      /* Bytes after the header: what write limits are measured by. */
    struct slice body;       /* The wrapper: for thrift_read_args(). */
};

struct frame_response {
    uint64_t id;
    enum wire_error error;   /* WIRE_ERR_UNKNOWN for a name that we don't know. */
    struct slice error_name; /* As it came. Borrowed. */
    struct slice name;       /* The request's name with _ACK. Borrowed. */
    struct rpc_address from; /* RDSN. */
    struct slice body;       /* The wrapper. Empty with most errors. Borrowed. */
};

/* ---- Reading ------------------------------------------------------------------------------------
 *
 * Both look at the front of 'in', where a message begins, and set '*size':
 *
 *     0          the message is complete; it takes '*size' bytes of 'in'
 *     E_SHORT    not yet: ask again when there are '*size' bytes in all
 *     E_PROTO    not this protocol, or malformed: close          (as are all that follow)
 *     E_LIMIT    a body above 'body_size_max' bytes, a name or meta struct too long
 *     E_CORRUPT  a checksum is wrong
 *
 * Nothing is allocated, so a size that lies costs nothing. On failure 'out' is untouched. */

/* 'protocol' is that of the connection. */
int frame_request_read(struct slice in, enum frame_protocol protocol, uint32_t body_size_max,
                       struct frame_request *out, size_t *size) MUST_CHECK;

/* 'kind' is that of the requests sent on the connection. */
int frame_response_read(struct slice in, enum frame_kind kind, uint32_t body_size_max,
                        struct frame_response *out, size_t *size) MUST_CHECK;

/* ---- Writing ------------------------------------------------------------------------------------
 *
 * All append to 'to'. On failure 'to' is as long as before and 'failed' stays set: the connection
 * that it belongs to cannot go on. They return 0, E_NOMEM, or E_LIMIT (above 2 GiB). */

/* A whole request. Uses kind, name (or, when it is empty, that of 'code'), id and the rest of
 * 'request' except its body; for RDSN the bits FRAME_CONTEXT_REQUEST and _THRIFT_BINARY are added.
 * 'args' is described by 'schema'. */
int frame_request_write(struct buf *to, const struct frame_request *request,
                        const struct schema *schema, const void *args) MUST_CHECK;

/* A whole reply: 'error' in the frame, and 'result', which 'schema' describes, in the dialect that
 * its reader knows (THRIFT_THFT over THFT). Both NULL: no body, as with errors of the framework.
 * 'self' is our address. Errors that the reader doesn't know are replaced (W9). */
int frame_response_write(struct buf *to, const struct frame_request *request,
                         struct rpc_address self, enum wire_error error,
                         const struct schema *schema, const void *result) MUST_CHECK;

/* The same in three steps, to write the body (wrapper included) in place: begin, append to 'to',
 * finish. Between them nothing else is written to 'to'. begin returns the offset to hand to finish.
 * */
size_t frame_request_begin(struct buf *to, const struct frame_request *request);
int frame_request_finish(struct buf *to, const struct frame_request *request,
                         size_t offset) MUST_CHECK;
size_t frame_response_begin(struct buf *to, const struct frame_request *request,
                            struct rpc_address self, enum wire_error error);
int frame_response_finish(struct buf *to, const struct frame_request *request,
                          size_t offset) MUST_CHECK;

/* How replies to this framing are written, and with which field id requests are wrapped in it. */
static inline enum thrift_dialect frame_dialect(enum frame_kind kind)
{
    return kind == FRAME_RDSN ? THRIFT_FULL : THRIFT_THFT;
}

static inline int16_t frame_args_id(enum frame_kind kind)
{
    return kind == FRAME_RDSN ? THRIFT_ARGS_ID_RDSN : THRIFT_ARGS_ID_THFT;
}

/* The thread hash that real Pegasus servers insist on. */
static inline int32_t frame_thread_hash(int32_t app_id, int32_t partition_index)
{
    return (int32_t)((uint32_t)app_id * 7919u + (uint32_t)partition_index);
}
