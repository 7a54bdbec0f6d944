/* src/wire/thrift.h: Thrift's binary protocol, in the dialect of Pegasus, driven by tables.
 *
 * Every message is a C struct and a table with one row per field. The reader, the writer and the
 * printer walk the same table, so a field can't be right in one and wrong in another. The tables
 * are written with the macros of wire/schema.h and declared in wire/messages.h.
 *
 *     struct update_request { uint64_t set; ... }   the C struct: 'set' comes first
 *     update_request_schema                         its table
 *
 * 'set' says which optional fields are there, one named bit each (UPDATE_REQUEST_HAS_TYPE). The
 * reader sets it, the writer obeys it. Fields that are not optional are always written; when they
 * were missing in what was read they are 0, false or empty, and 'set' says nothing about them. A
 * struct without optional fields may go without 'set'.
 *
 *     on the wire                       in the struct
 *     bool, byte, i16, i32, i64, double bool, int8_t, int16_t, int32_t, int64_t, double
 *     enum (an i32)                     int32_t: a peer may know more values than we do
 *     string, blob, error and task code struct slice, borrowed from the bytes that were read
 *     gpid, rpc_address, host_port      the structs below
 *     struct                            the struct itself, in place
 *     list, set                         struct { type *items; uint32_t count; }, items in the arena
 *     map                               the same; an item is a struct of a key and a value
 *
 * Source: docs/wire.md, rules W1 to W12. Pure. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum {
    THRIFT_DEPTH_MAX = 32,      /* Containers in containers, in fields that we skip. */
    THRIFT_COUNT_MAX = 1 << 20, /* Items of one list, set or map that we read. */
    THRIFT_ARGS_ID_RDSN = 0,    /* Field id of the argument, by framing. Any is accepted (W6). */
    THRIFT_ARGS_ID_THFT = 1,
};

/* ---- Values that are not simply numbers or bytes --------------------------------------------- */

/* Which partition of which table. app_id 0 or less: none, a request to the server itself. */
struct gpid {
    int32_t app_id;
    int32_t partition_index;
};

static inline bool gpid_equal(struct gpid a, struct gpid b)
{
    return a.app_id == b.app_id && a.partition_index == b.partition_index;
}

struct rpc_address {
    uint32_t ipv4; /* 10.1.2.3 is 0x0a010203. 0 when not valid. */
    uint16_t port; /* 0 when not valid. */
    bool is_valid; /* False: nobody; eight zero bytes on the wire. */
};

struct host_port {
    struct slice host; /* A name or an IPv4 literal; empty when not valid. */
    uint16_t port;
    bool is_valid;
};

/* A list whose item type the codec alone knows. The named list types of messages.h look like this.
 * */
struct thrift_list {
    void *items; /* NULL when empty. */
    uint32_t count;
};

/* ---- Tables ---------------------------------------------------------------------------------- */

enum thrift_kind {
    T_BOOL,
    T_BYTE,
    T_I16,
    T_I32,
    T_I64,
    T_DOUBLE,
    T_STRING,
    T_STRUCT,
    T_LIST,
    T_SET,
    T_MAP,
    /* Declared as structs, and with a struct's type byte, but without a struct's bytes (W3). */
    T_BLOB,
    T_ERROR_CODE,
    T_TASK_CODE,
    T_GPID,
    T_RPC_ADDRESS,
    T_HOST_PORT,
    T_KIND_COUNT,
};

struct schema;

/* One row per field. The row is the contract with every peer: never renumber, never retype. */
struct field {
    int16_t id;
    uint8_t kind;                /* enum thrift_kind. */
    uint8_t item_kind;           /* Of a list or a set; not itself a container. */
    uint16_t offset;             /* Of the member, in bytes. */
    uint32_t has;                /* Its bit in 'set'; 0: not optional. */
    const struct schema *schema; /* Of a struct, of items that are structs, of a map's pairs. */
    const char *name;
};

struct schema {
    const char *name;
    const struct field *fields; /* In the order in which they are written. */
    uint16_t field_count;
    uint16_t size; /* Of the C struct, in bytes. */
    bool is_bare;  /* The wrapper holds the only row's value itself (W7); no row: no wrapper. */
};

/* Bytes of one item in memory, of a list, a set or a map. */
size_t field_item_size(const struct field *field);

/* True if the field is not optional, or is and its bit is set in the struct at 'in'. */
bool field_is_set(const struct field *field, const void *in);

/* Who will read what we write. */
enum thrift_dialect {
    THRIFT_FULL, /* Everything that is set: native framing, our own kind, files. */
    THRIFT_THFT, /* Clients on THFT: no host_port fields (W10), only error names they know (W9). */
};

/* ---- Reading ------------------------------------------------------------------------------------
 *
 * 'out' is zeroed first. Bytes borrow from the input; items of containers come from 'arena', which
 * may be NULL for messages without containers (one that arrives is then E_NOMEM).
 *
 * All return 0, or, and then 'out' is half filled and must be discarded:
 *     E_SHORT  the bytes end inside the message
 *     E_PROTO  malformed, or with an unknown field that cannot be skipped (W5), or bytes left over
 *     E_LIMIT  nested too deep or too many items
 *     E_NOMEM  no memory, or the arena's limit is reached */

/* Read one struct at the front of 'in' and advance 'in' past it. */
int thrift_read_struct(struct slice *in, const struct schema *schema, void *out,
                       struct arena *arena) MUST_CHECK;

/* Read the argument of a request or the result of a reply: a wrapper with one field of any id,
 * which fills 'in' exactly. */
int thrift_read_args(struct slice in, const struct schema *schema, void *out,
                     struct arena *arena) MUST_CHECK;

/* ---- Writing ------------------------------------------------------------------------------------
 *
 * They append to 'to'; a failure shows in buf_status(). No slice is longer than INT32_MAX bytes and
 * no list has more than INT32_MAX items: the caller sees to it. */

void thrift_write_struct(struct buf *to, enum thrift_dialect dialect, const struct schema *schema,
                         const void *in);

/* The argument of a request: 'id' is THRIFT_ARGS_ID_RDSN or THRIFT_ARGS_ID_THFT. */
void thrift_write_args(struct buf *to, int16_t id, const struct schema *schema, const void *in);

/* The result of a reply. */
void thrift_write_result(struct buf *to, enum thrift_dialect dialect, const struct schema *schema,
                         const void *in);

/* ---- Printing -------------------------------------------------------------------------------- */

/* Append the message as one line for a person: name{field=value ...}. Bytes that don't print are
 * \xNN. */
void thrift_print(struct buf *to, const struct schema *schema, const void *in);
