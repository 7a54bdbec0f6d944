/* src/wire/frame_read.c: from the bytes of a connection to one request or one reply.
 *
 * Every reader works the same way: look at the fixed part; from it know the size of the whole; say
 * so until the whole is there; only then look inside. Sizes are compared with their limits before
 * they are added, in 64 bits. */
#include "base/crc.h"
#include "wire/frame_impl.h"
#include "wire/schema.h"

static const struct field frame_meta_fields[] = {
    FIELD(frame_meta, 1, I32, app_id),
    FIELD(frame_meta, 2, I32, partition_index),
    FIELD(frame_meta, 3, I32, client_timeout),
    FIELD(frame_meta, 4, I64, client_partition_hash),
    FIELD(frame_meta, 5, BOOL, is_backup_request),
};
SCHEMA(frame_meta);

enum frame_protocol frame_protocol_of(struct slice first)
{
    if (first.size < MAGIC_SIZE) return FRAME_PROTOCOL_SHORT;
    if (memcmp(first.data, THFT_MAGIC, MAGIC_SIZE) == 0) return FRAME_PROTOCOL_THFT;
    if (memcmp(first.data, RDSN_MAGIC, MAGIC_SIZE) == 0) return FRAME_PROTOCOL_RDSN;
    if (memcmp(first.data, "GET ", MAGIC_SIZE) == 0) return FRAME_PROTOCOL_HTTP;
    if (memcmp(first.data, "POST", MAGIC_SIZE) == 0) return FRAME_PROTOCOL_HTTP;
    return FRAME_PROTOCOL_UNKNOWN;
}

/* 0 when the first 'needed' bytes are there; else says how many are. */
static int need(struct slice in, uint64_t needed, size_t *size)
{
    *size = (size_t)needed;
    return in.size < needed ? E_SHORT : 0;
}

static int check_magic(struct slice in, const char *magic)
{
    size_t size = in.size < MAGIC_SIZE ? in.size : MAGIC_SIZE;
    return size == 0 || memcmp(in.data, magic, size) == 0 ? 0 : E_PROTO;
}

/* ---- The envelope of THFT -------------------------------------------------------------------- */

struct envelope {
    uint32_t type;
    uint32_t seqid;
    struct slice name;
};

static const uint8_t *take(struct slice *in, size_t size)
{
    if (in->size < size) return NULL;
    const uint8_t *at = in->data;
    *in = slice_skip(*in, size);
    return at;
}

/* Everything is there by now, so what ends too early is malformed. */
static int take_bytes(struct slice *in, uint32_t size, struct slice *out)
{
    const uint8_t *at = take(in, size);
    if (at == NULL) return E_PROTO;
    *out = slice_of(at, size);
    return 0;
}

/* Strict: version and type, name, seqid. Not strict: name, type, seqid. (W16) */
static int take_envelope(struct slice *in, struct envelope *out)
{
    const uint8_t *at = take(in, 4);
    if (at == NULL) return E_PROTO;
    uint32_t first = bytes_get_be32(at);
    uint32_t name_size = first;
    bool is_strict = (first & ENVELOPE_STRICT_MASK) == ENVELOPE_STRICT;
    if (is_strict) {
        at = take(in, 4);
        if (at == NULL) return E_PROTO;
        name_size = bytes_get_be32(at);
        out->type = first & 0xff;
    }
    if (take_bytes(in, name_size, &out->name) != 0) return E_PROTO;
    if (!is_strict) {
        at = take(in, 1);
        if (at == NULL) return E_PROTO;
        out->type = at[0];
    }
    at = take(in, 4);
    if (at == NULL) return E_PROTO;
    out->seqid = bytes_get_be32(at);
    return 0;
}

/* ---- THFT requests --------------------------------------------------------------------------- */

/* A name that we know is ours to keep; of others what fits a reply. */
static void set_name(struct frame_request *out, struct slice name)
{
    out->code = rpc_find(name);
    if (out->code != RPC_UNKNOWN) name = rpc_info(out->code)->name;
    if (name.size > FRAME_NAME_SIZE_MAX) name.size = FRAME_NAME_SIZE_MAX;
    out->name = name;
}

/* The call inside the body. */
static int read_call(struct slice body, struct frame_request *out)
{
    out->body_size = (uint32_t)body.size;
    struct envelope envelope;
    if (take_envelope(&body, &envelope) != 0) return E_PROTO;
    if (envelope.type != ENVELOPE_CALL && envelope.type != ENVELOPE_ONEWAY) return E_PROTO;
    set_name(out, envelope.name);
    out->id = envelope.seqid;
    out->is_oneway = envelope.type == ENVELOPE_ONEWAY;
    out->body = body;
    return 0;
}

static int read_thft_v0(struct slice in, uint32_t body_size_max, struct frame_request *out,
                        size_t *size)
{
    int rc = need(in, THFT_V0_SIZE, size);
    if (rc != 0) return rc;
    const uint8_t *at = in.data;
    if (bytes_get_be32(at + THFT_V0_HEADER_SIZE) != THFT_V0_SIZE) return E_PROTO;
    uint32_t body_size = bytes_get_be32(at + THFT_V0_BODY_SIZE);
    if (body_size > body_size_max) return E_LIMIT;
    rc = need(in, (uint64_t)THFT_V0_SIZE + body_size, size);
    if (rc != 0) return rc;

    out->kind = FRAME_THFT_V0;
    out->app_id = (int32_t)bytes_get_be32(at + THFT_V0_APP_ID);
    out->partition_index = (int32_t)bytes_get_be32(at + THFT_V0_PARTITION_INDEX);
    out->timeout_ms = (int32_t)bytes_get_be32(at + THFT_V0_TIMEOUT);
    out->thread_hash = (int32_t)bytes_get_be32(at + THFT_V0_THREAD_HASH);
    out->partition_hash = bytes_get_be64(at + THFT_V0_PARTITION_HASH);
    return read_call(slice_of(at + THFT_V0_SIZE, body_size), out);
}

static int read_thft_v1(struct slice in, uint32_t body_size_max, struct frame_request *out,
                        size_t *size)
{
    const uint8_t *at = in.data;
    uint32_t meta_size = bytes_get_be32(at + THFT_V1_META_SIZE);
    uint32_t body_size = bytes_get_be32(at + THFT_V1_BODY_SIZE);
    if (meta_size > FRAME_META_SIZE_MAX || body_size > body_size_max) return E_LIMIT;
    int rc = need(in, (uint64_t)THFT_SIZE_MIN + meta_size + body_size, size);
    if (rc != 0) return rc;

    struct slice meta_bytes = slice_of(at + THFT_SIZE_MIN, meta_size);
    struct frame_meta meta;
    if (thrift_read_struct(&meta_bytes, &frame_meta_schema, &meta, NULL) != 0) return E_PROTO;
    out->kind = FRAME_THFT_V1;
    out->app_id = meta.app_id;
    out->partition_index = meta.partition_index;
    out->timeout_ms = meta.client_timeout;
    out->thread_hash = frame_thread_hash(meta.app_id, meta.partition_index);
    out->partition_hash = (uint64_t)meta.client_partition_hash;
    out->is_backup = meta.is_backup_request;
    return read_call(slice_of(at + THFT_SIZE_MIN + meta_size, body_size), out);
}

static int read_thft(struct slice in, uint32_t body_size_max, struct frame_request *out,
                     size_t *size)
{
    int rc = check_magic(in, THFT_MAGIC);
    if (rc == 0) rc = need(in, THFT_SIZE_MIN, size);
    if (rc != 0) return rc;
    switch (bytes_get_be32(in.data + THFT_VERSION)) {
    case 0: return read_thft_v0(in, body_size_max, out, size);
    case 1: return read_thft_v1(in, body_size_max, out, size);
    default: return E_PROTO;
    }
}

/* ---- RDSN, both ways ------------------------------------------------------------------------- */

/* A checksum of 0 means that there is none (W20). */
static int check_header_crc(const uint8_t *at)
{
    static const uint8_t zeros[4];
    uint32_t stated = bytes_get_le32(at + RDSN_HEADER_CRC);
    if (stated == 0) return 0;
    uint32_t crc = crc32c(0, at, RDSN_HEADER_CRC);
    crc = crc32c(crc, zeros, sizeof zeros);
    crc = crc32c(crc, at + RDSN_HEADER_CRC + 4, RDSN_SIZE - RDSN_HEADER_CRC - 4);
    return crc == stated ? 0 : E_CORRUPT;
}

static int check_body_crc(const uint8_t *at, uint32_t body_size)
{
    uint32_t stated = bytes_get_le32(at + RDSN_BODY_CRC);
    if (stated == 0) return 0;
    return crc32c(0, at + RDSN_SIZE, body_size) == stated ? 0 : E_CORRUPT;
}

/* What requests and replies have in common. '*size' is set as frame.h says. */
static int check_rdsn(struct slice in, uint32_t body_size_max, bool is_request, size_t *size)
{
    int rc = check_magic(in, RDSN_MAGIC);
    if (rc == 0) rc = need(in, RDSN_SIZE, size);
    if (rc != 0) return rc;
    const uint8_t *at = in.data;
    if (bytes_get_le32(at + RDSN_VERSION) != 0) return E_PROTO;
    if (bytes_get_le32(at + RDSN_HEADER_SIZE) != RDSN_SIZE) return E_PROTO;
    rc = check_header_crc(at);
    if (rc != 0) return rc;
    uint64_t context = bytes_get_le64(at + RDSN_CONTEXT);
    if ((context & FRAME_CONTEXT_FORMAT_MASK) != FRAME_CONTEXT_THRIFT_BINARY) return E_PROTO;
    if (((context & FRAME_CONTEXT_REQUEST) != 0) != is_request) return E_PROTO;
    uint32_t body_size = bytes_get_le32(at + RDSN_BODY_SIZE);
    if (body_size > body_size_max) return E_LIMIT;
    rc = need(in, (uint64_t)RDSN_SIZE + body_size, size);
    return rc != 0 ? rc : check_body_crc(at, body_size);
}

static int get_text(const uint8_t *at, struct slice *out)
{
    size_t size = strnlen((const char *)at, RDSN_TEXT_SIZE);
    if (size == RDSN_TEXT_SIZE) return E_PROTO;
    *out = slice_of(at, size);
    return 0;
}

/* The value is ip << 32 | port << 16 | type, as one little-endian integer. */
static struct rpc_address get_address(const uint8_t *at)
{
    uint64_t value = bytes_get_le64(at);
    if ((value & 0xffff) != 1) return (struct rpc_address){0};
    return (struct rpc_address){(uint32_t)(value >> 32), (uint16_t)(value >> 16), true};
}

static int read_rdsn(struct slice in, uint32_t body_size_max, struct frame_request *out,
                     size_t *size)
{
    int rc = check_rdsn(in, body_size_max, true, size);
    if (rc != 0) return rc;
    const uint8_t *at = in.data;
    struct slice name;
    if (get_text(at + RDSN_NAME, &name) != 0) return E_PROTO;

    set_name(out, name);
    out->kind = FRAME_RDSN;
    out->id = bytes_get_le64(at + RDSN_ID);
    out->trace_id = bytes_get_le64(at + RDSN_TRACE_ID);
    out->app_id = (int32_t)bytes_get_le32(at + RDSN_APP_ID);
    out->partition_index = (int32_t)bytes_get_le32(at + RDSN_PARTITION_INDEX);
    out->context = bytes_get_le64(at + RDSN_CONTEXT);
    out->from = get_address(at + RDSN_FROM);
    out->timeout_ms = (int32_t)bytes_get_le32(at + RDSN_TIMEOUT);
    out->thread_hash = (int32_t)bytes_get_le32(at + RDSN_THREAD_HASH);
    out->partition_hash = bytes_get_le64(at + RDSN_PARTITION_HASH);
    out->is_backup = (out->context & FRAME_CONTEXT_BACKUP) != 0;
    out->body = slice_of(at + RDSN_SIZE, bytes_get_le32(at + RDSN_BODY_SIZE));
    out->body_size = (uint32_t)out->body.size;
    return 0;
}

int frame_request_read(struct slice in, enum frame_protocol protocol, uint32_t body_size_max,
                       struct frame_request *out, size_t *size)
{
    struct frame_request found = {0};
    int rc = E_PROTO;
    if (protocol == FRAME_PROTOCOL_THFT) rc = read_thft(in, body_size_max, &found, size);
    else if (protocol == FRAME_PROTOCOL_RDSN) rc = read_rdsn(in, body_size_max, &found, size);
    if (rc == 0) *out = found;
    return rc;
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* The size counts itself; after it an error name, the envelope, and what the handler said. */
static int read_thft_reply(struct slice in, uint32_t body_size_max, struct frame_response *out,
                           size_t *size)
{
    int rc = need(in, 4, size);
    if (rc != 0) return rc;
    uint32_t total = bytes_get_be32(in.data);
    if (total < 4) return E_PROTO;
    if (total - 4 > body_size_max) return E_LIMIT;
    rc = need(in, total, size);
    if (rc != 0) return rc;

    struct slice rest = slice_of(in.data + 4, total - 4);
    const uint8_t *at = take(&rest, 4);
    if (at == NULL) return E_PROTO;
    if (take_bytes(&rest, bytes_get_be32(at), &out->error_name) != 0) return E_PROTO;
    struct envelope envelope;
    if (take_envelope(&rest, &envelope) != 0) return E_PROTO;
    if (envelope.type != ENVELOPE_REPLY) return E_PROTO;
    out->id = envelope.seqid;
    out->name = envelope.name;
    out->body = rest;
    return 0;
}

static int read_rdsn_reply(struct slice in, uint32_t body_size_max, struct frame_response *out,
                           size_t *size)
{
    int rc = check_rdsn(in, body_size_max, false, size);
    if (rc != 0) return rc;
    const uint8_t *at = in.data;
    if (get_text(at + RDSN_NAME, &out->name) != 0) return E_PROTO;
    if (get_text(at + RDSN_ERROR, &out->error_name) != 0) return E_PROTO;
    out->id = bytes_get_le64(at + RDSN_ID);
    out->from = get_address(at + RDSN_FROM);
    out->body = slice_of(at + RDSN_SIZE, bytes_get_le32(at + RDSN_BODY_SIZE));
    return 0;
}

int frame_response_read(struct slice in, enum frame_kind kind, uint32_t body_size_max,
                        struct frame_response *out, size_t *size)
{
    struct frame_response found = {0};
    int rc = kind == FRAME_RDSN ? read_rdsn_reply(in, body_size_max, &found, size)
                                : read_thft_reply(in, body_size_max, &found, size);
    if (rc != 0) return rc;
    found.error = wire_error_find(found.error_name);
    *out = found;
    return 0;
}
