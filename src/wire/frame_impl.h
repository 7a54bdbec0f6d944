/* src/wire/frame_impl.h: where things lie in the headers. Included by frame_read.c and
 * frame_write.c.
 *
 *     THFT request v0, big-endian        RDSN, little-endian
 *     0   magic                          0    magic             96   app_id
 *     4   version 0                      4    version 0         100  partition_index
 *     8   header size 48                 8    header size 192   104  context
 *     12  header crc, unused             12   header crc        112  from_address
 *     16  body size                      16   body size         120  timeout_ms
 *     20  body crc, unused               20   body crc          124  thread hash
 *     24  app_id                         24   id                128  partition hash
 *     28  partition_index                32   trace_id          136  error name, 48 bytes
 *     32  timeout_ms                     40   rpc name, 48      184  error code, 0 and 0
 *     36  thread hash                    88   rpc code, 0 and 0
 *     40  partition hash
 *
 *     THFT request v1, big-endian: magic, version 1, meta size, body size, meta struct */
#pragma once
#include "wire/frame.h"

enum { MAGIC_SIZE = 4 };
#define THFT_MAGIC "THFT"
#define RDSN_MAGIC "RDSN"

enum {
    THFT_VERSION = 4,
    THFT_SIZE_MIN = 16, /* Bytes: enough to tell the versions apart, and all of v1's header. */

    THFT_V0_SIZE = 48, /* Bytes. */
    THFT_V0_HEADER_SIZE = 8,
    THFT_V0_BODY_SIZE = 16,
    THFT_V0_APP_ID = 24,
    THFT_V0_PARTITION_INDEX = 28,
    THFT_V0_TIMEOUT = 32,
    THFT_V0_THREAD_HASH = 36,
    THFT_V0_PARTITION_HASH = 40,

    THFT_V1_META_SIZE = 8,
    THFT_V1_BODY_SIZE = 12,

    RDSN_SIZE = 192, /* Bytes. */
    RDSN_VERSION = 4,
    RDSN_HEADER_SIZE = 8,
    RDSN_HEADER_CRC = 12,
    RDSN_BODY_SIZE = 16,
    RDSN_BODY_CRC = 20,
    RDSN_ID = 24,
    RDSN_TRACE_ID = 32,
    RDSN_NAME = 40,
    RDSN_APP_ID = 96,
    RDSN_PARTITION_INDEX = 100,
    RDSN_CONTEXT = 104,
    RDSN_FROM = 112,
    RDSN_TIMEOUT = 120,
    RDSN_THREAD_HASH = 124,
    RDSN_PARTITION_HASH = 128,
    RDSN_ERROR = 136,
    RDSN_TEXT_SIZE = 48, /* Of a name, NUL-padded: at least one NUL. */
};

/* The envelope that THFT puts around the wrapper: a version with the type in it, name, seqid. */
#define ENVELOPE_STRICT      UINT32_C(0x80010000)
#define ENVELOPE_STRICT_MASK UINT32_C(0xffff0000)
enum { ENVELOPE_CALL = 1, ENVELOPE_REPLY = 2, ENVELOPE_ONEWAY = 4 };

/* What stands behind the name in a reply. */
#define ACK_SUFFIX "_ACK"

/* The meta struct of THFT v1. */
struct frame_meta {
    int32_t app_id;
    int32_t partition_index;
    int32_t client_timeout;
    int64_t client_partition_hash;
    bool is_backup_request;
};
extern const struct schema frame_meta_schema;
