/* fuzz/fz_frame.c: a stream of bytes as a connection brings it. What is read of it does not depend
 * on how it was cut into pieces, nobody is told to wait for less than is there, and what was read
 * can be written and read again.
 *
 * The first byte chooses the framing and the side, the second how the stream is cut. */
#include "base/check.h"
#include "base/crc.h"
#include "base/prng.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_SIZE_MAX = 1 << 16 };

struct stream {
    enum frame_kind kind;
    bool is_request;
    struct slice bytes;
};

/* What came of a stream: how many messages, where it stopped and why, and what was in them. */
struct outcome {
    uint32_t message_count;
    size_t consumed;
    int rc;
    uint64_t content;
};

static bool request_equal(const struct frame_request *a, const struct frame_request *b)
{
    return a->code == b->code && slice_equal(a->name, b->name) && a->id == b->id &&
           a->trace_id == b->trace_id && a->app_id == b->app_id &&
           a->partition_index == b->partition_index && a->timeout_ms == b->timeout_ms &&
           a->thread_hash == b->thread_hash && a->partition_hash == b->partition_hash &&
           a->context == b->context && a->is_backup == b->is_backup &&
           a->is_oneway == b->is_oneway && slice_equal(a->body, b->body);
}

/* Write a request that was read, and its refusal; read both. */
static void rewrite(const struct frame_request *request)
{
    struct buf out = {0};
    struct frame_request again;
    struct frame_response response;
    size_t size;
    size_t offset = frame_request_begin(&out, request);
    buf_append_slice(&out, request->body);
    CHECK(frame_request_finish(&out, request, offset) == 0);
    enum frame_protocol protocol = frame_protocol_of(buf_slice(&out));
    CHECK(frame_request_read(buf_slice(&out), protocol, UINT32_MAX, &again, &size) == 0);
    CHECK(size == out.size && request_equal(request, &again));

    buf_clear(&out);
    struct rpc_address nobody = {0};
    CHECK(frame_response_write(&out, request, nobody, WIRE_ERR_BUSY, NULL, NULL) == 0);
    CHECK(frame_response_read(buf_slice(&out), request->kind, UINT32_MAX, &response, &size) == 0);
    CHECK(size == out.size && response.id == request->id && response.error == WIRE_ERR_BUSY);
    buf_fini(&out);
}

static int read_request(const struct stream *s, struct slice in, struct outcome *o, size_t *size)
{
    struct frame_request request;
    enum frame_protocol protocol =
        s->kind == FRAME_RDSN ? FRAME_PROTOCOL_RDSN : FRAME_PROTOCOL_THFT;
    int rc = frame_request_read(in, protocol, BODY_SIZE_MAX, &request, size);
    if (rc != 0) return rc;
    CHECK(request.body.size <= request.body_size && request.body_size <= BODY_SIZE_MAX);
    CHECK(request.name.size <= FRAME_NAME_SIZE_MAX);
    o->content = o->content * 31 + request.code + crc64(request.body.data, request.body.size);
    rewrite(&request);
    return 0;
}

static int read_response(const struct stream *s, struct slice in, struct outcome *o, size_t *size)
{
    struct frame_response response;
    int rc = frame_response_read(in, s->kind, BODY_SIZE_MAX, &response, size);
    if (rc != 0) return rc;
    CHECK(response.body.size <= BODY_SIZE_MAX);
    o->content = o->content * 31 + response.id + crc64(response.body.data, response.body.size);
    return 0;
}

/* Let the stream arrive in pieces that 'p' chooses; NULL: all at once. */
static struct outcome run(const struct stream *s, struct prng *p)
{
    struct outcome o = {0};
    size_t arrived = p == NULL ? s->bytes.size : 0;
    for (;;) {
        struct slice in = slice_of(s->bytes.data + o.consumed, arrived - o.consumed);
        size_t size = 0;
        o.rc = s->is_request ? read_request(s, in, &o, &size) : read_response(s, in, &o, &size);
        if (o.rc == 0) {
            CHECK(size > 0 && size <= in.size);
            o.consumed += size;
            o.message_count++;
            continue;
        }
        if (o.rc != E_SHORT) return o;
        CHECK(size > in.size && size <= (size_t)BODY_SIZE_MAX + FRAME_META_SIZE_MAX + 1024);
        if (arrived == s->bytes.size) return o;
        arrived += prng_between(p, 1, s->bytes.size - arrived);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct stream s = {
        .kind = (enum frame_kind)(data[0] % 3),
        .is_request = (data[0] & 0x80) == 0,
        .bytes = slice_of(data + 2, size - 2),
    };
    struct prng p;
    prng_init(&p, data[1]);
    struct outcome whole = run(&s, NULL);
    struct outcome pieces = run(&s, &p);
    CHECK(whole.rc == pieces.rc && whole.consumed == pieces.consumed);
    CHECK(whole.message_count == pieces.message_count && whole.content == pieces.content);
    return 0;
}
