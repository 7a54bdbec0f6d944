/* src/wire/frame_write.c: from one request or one reply to the bytes of a connection.
 *
 * The header goes first with a size of 0, the body straight behind it, and the size is put in at
 * the end: nothing is written twice. */
#include "wire/frame_impl.h"

/* Zeroed room for a header, or NULL. */
static uint8_t *put_header(struct buf *to, size_t size)
{
    uint8_t *at = buf_extend(to, size);
    if (at != NULL) memset(at, 0, size);
    return at;
}

/* A name with a suffix, as THFT has it. */
static void put_envelope(struct buf *to, uint32_t type, struct slice name, const char *suffix,
                         uint64_t id)
{
    size_t suffix_size = strlen(suffix);
    buf_append_be32(to, ENVELOPE_STRICT | type);
    buf_append_be32(to, (uint32_t)(name.size + suffix_size));
    buf_append_slice(to, name);
    buf_append(to, suffix, suffix_size);
    buf_append_be32(to, (uint32_t)id);
}

/* A name with a suffix, as RDSN has it: cut so that the suffix and a NUL fit. */
static void put_text(uint8_t *at, struct slice name, const char *suffix)
{
    size_t suffix_size = strlen(suffix);
    size_t room = RDSN_TEXT_SIZE - 1 - suffix_size;
    size_t size = name.size < room ? name.size : room;
    if (size > 0) memcpy(at, name.data, size);
    memcpy(at + size, suffix, suffix_size);
}

static void put_address(uint8_t *at, struct rpc_address address)
{
    if (!address.is_valid) return;
    bytes_put_le64(at, (uint64_t)address.ipv4 << 32 | (uint64_t)address.port << 16 | 1);
}

/* The name to send: one that was given, or that of the code. */
static struct slice name_of(const struct frame_request *request)
{
    struct slice name = request->name;
    if (name.size == 0 && request->code != RPC_UNKNOWN) name = rpc_info(request->code)->name;
    if (name.size > FRAME_NAME_SIZE_MAX) name.size = FRAME_NAME_SIZE_MAX;
    return name;
}

/* All of a native header that requests and replies share; the caller adds the rest. */
static uint8_t *put_rdsn(struct buf *to, const struct frame_request *request, const char *suffix,
                         uint64_t context, struct rpc_address from)
{
    uint8_t *at = put_header(to, RDSN_SIZE);
    if (at == NULL) return NULL;
    memcpy(at, RDSN_MAGIC, MAGIC_SIZE);
    bytes_put_le32(at + RDSN_HEADER_SIZE, RDSN_SIZE);
    bytes_put_le64(at + RDSN_ID, request->id);
    bytes_put_le64(at + RDSN_TRACE_ID, request->trace_id);
    put_text(at + RDSN_NAME, name_of(request), suffix);
    bytes_put_le32(at + RDSN_APP_ID, (uint32_t)request->app_id);
    bytes_put_le32(at + RDSN_PARTITION_INDEX, (uint32_t)request->partition_index);
    bytes_put_le64(at + RDSN_CONTEXT, context);
    put_address(at + RDSN_FROM, from);
    bytes_put_le32(at + RDSN_TIMEOUT, (uint32_t)request->timeout_ms);
    bytes_put_le32(at + RDSN_THREAD_HASH, (uint32_t)request->thread_hash);
    bytes_put_le64(at + RDSN_PARTITION_HASH, request->partition_hash);
    return at;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void put_thft_v0(struct buf *to, const struct frame_request *request)
{
    uint8_t *at = put_header(to, THFT_V0_SIZE);
    if (at == NULL) return;
    memcpy(at, THFT_MAGIC, MAGIC_SIZE);
    bytes_put_be32(at + THFT_V0_HEADER_SIZE, THFT_V0_SIZE);
    bytes_put_be32(at + THFT_V0_APP_ID, (uint32_t)request->app_id);
    bytes_put_be32(at + THFT_V0_PARTITION_INDEX, (uint32_t)request->partition_index);
    bytes_put_be32(at + THFT_V0_TIMEOUT, (uint32_t)request->timeout_ms);
    bytes_put_be32(at + THFT_V0_THREAD_HASH, (uint32_t)request->thread_hash);
    bytes_put_be64(at + THFT_V0_PARTITION_HASH, request->partition_hash);
}

static void put_thft_v1(struct buf *to, const struct frame_request *request)
{
    size_t offset = to->size;
    uint8_t *at = put_header(to, THFT_SIZE_MIN);
    if (at == NULL) return;
    memcpy(at, THFT_MAGIC, MAGIC_SIZE);
    bytes_put_be32(at + THFT_VERSION, 1);
    struct frame_meta meta = {
        .app_id = request->app_id,
        .partition_index = request->partition_index,
        .client_timeout = request->timeout_ms,
        .client_partition_hash = (int64_t)request->partition_hash,
        .is_backup_request = request->is_backup,
    };
    thrift_write_struct(to, THRIFT_FULL, &frame_meta_schema, &meta);
    if (to->failed) return;
    uint32_t meta_size = (uint32_t)(to->size - offset - THFT_SIZE_MIN);
    bytes_put_be32(to->data + offset + THFT_V1_META_SIZE, meta_size);
}

static uint64_t request_context(const struct frame_request *request)
{
    uint64_t context = request->context & ~FRAME_CONTEXT_FORMAT_MASK;
    if (request->is_backup) context |= FRAME_CONTEXT_BACKUP;
    return context | FRAME_CONTEXT_REQUEST | FRAME_CONTEXT_THRIFT_BINARY;
}

size_t frame_request_begin(struct buf *to, const struct frame_request *request)
{
    size_t offset = to->size;
    if (request->kind == FRAME_RDSN) {
        (void)put_rdsn(to, request, "", request_context(request), request->from);
        return offset;
    }
    if (request->kind == FRAME_THFT_V0) put_thft_v0(to, request);
    else put_thft_v1(to, request);
    uint32_t type = request->is_oneway ? ENVELOPE_ONEWAY : ENVELOPE_CALL;
    put_envelope(to, type, name_of(request), "", request->id);
    return offset;
}

/* What every finish begins with: give up what was begun when it did not fit. */
static int check_written(struct buf *to, size_t offset)
{
    int rc = to->failed ? E_NOMEM : to->size - offset > INT32_MAX ? E_LIMIT : 0;
    if (rc != 0) {
        to->size = offset;
        to->failed = true;
    }
    return rc;
}

int frame_request_finish(struct buf *to, const struct frame_request *request, size_t offset)
{
    int rc = check_written(to, offset);
    if (rc != 0) return rc;
    uint8_t *at = to->data + offset;
    uint32_t size = (uint32_t)(to->size - offset);
    switch (request->kind) {
    case FRAME_THFT_V0: bytes_put_be32(at + THFT_V0_BODY_SIZE, size - THFT_V0_SIZE); break;
    case FRAME_THFT_V1: {
        uint32_t meta_size = bytes_get_be32(at + THFT_V1_META_SIZE);
        bytes_put_be32(at + THFT_V1_BODY_SIZE, size - THFT_SIZE_MIN - meta_size);
        break;
    }
    case FRAME_RDSN: bytes_put_le32(at + RDSN_BODY_SIZE, size - RDSN_SIZE); break;
    }
    return 0;
}

int frame_request_write(struct buf *to, const struct frame_request *request,
                        const struct schema *schema, const void *args)
{
    size_t offset = frame_request_begin(to, request);
    thrift_write_args(to, frame_args_id(request->kind), schema, args);
    return frame_request_finish(to, request, offset);
}

/* ---- Replies --------------------------------------------------------------------------------- */

size_t frame_response_begin(struct buf *to, const struct frame_request *request,
                            struct rpc_address self, enum wire_error error)
{
    size_t offset = to->size;
    if (request->kind == FRAME_RDSN) {
        uint64_t context = request->context & ~(FRAME_CONTEXT_REQUEST | FRAME_CONTEXT_FORWARDED);
        uint8_t *at = put_rdsn(to, request, ACK_SUFFIX, context, self);
        if (at != NULL) put_text(at + RDSN_ERROR, wire_error_name(error), "");
        return offset;
    }
    struct slice name = wire_error_name(wire_error_for_thft(error));
    buf_append_be32(to, 0);
    buf_append_be32(to, (uint32_t)name.size);
    buf_append_slice(to, name);
    put_envelope(to, ENVELOPE_REPLY, name_of(request), ACK_SUFFIX, request->id);
    return offset;
}

int frame_response_finish(struct buf *to, const struct frame_request *request, size_t offset)
{
    int rc = check_written(to, offset);
    if (rc != 0) return rc;
    uint8_t *at = to->data + offset;
    uint32_t size = (uint32_t)(to->size - offset);
    if (request->kind == FRAME_RDSN) bytes_put_le32(at + RDSN_BODY_SIZE, size - RDSN_SIZE);
    else bytes_put_be32(at, size);
    return 0;
}

int frame_response_write(struct buf *to, const struct frame_request *request,
                         struct rpc_address self, enum wire_error error,
                         const struct schema *schema, const void *result)
{
    size_t offset = frame_response_begin(to, request, self, error);
    if (schema != NULL) thrift_write_result(to, frame_dialect(request->kind), schema, result);
    return frame_response_finish(to, request, offset);
}
