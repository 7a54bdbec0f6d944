/* src/core/dup/dup.h: ships one partition's mutations to another cluster, as a state machine.
 *
 * One stream per (partition, duplication). A commit wakes it in the same turn; what is committed and
 * unsent goes out at once if the window has room, and what arrives meanwhile forms the next request. No
 * timer and no poll drives it: timers exist for retries and for saving progress only. Rules D1 to D14
 * are in docs/duplication.md.
 *
 *      log of the source           lanes: one per remote partition, chosen by the key's hash
 *     +--+--+--+--+--+--+            lane 0   [op op op]  -->  request in flight --> remote 0
 *     | 7| 8| 9|10|11|12|   read     lane 1   [op]        -->  request in flight --> remote 1
 *     +--+--+--+--+--+--+  ------>   ...
 *         |        |     |
 *     confirmed   read   committed
 *
 * A decree is confirmed when every op of it and of all before it is applied at the remote. Ops are
 * effects with timetags, and the remote keeps the larger timetag: sending again is always harmless, so
 * after any doubt the stream sends again.
 *
 *     PAUSED --> CONNECTING --> LIVE                  (one that goes on from a confirmed decree)
 *        |                        |
 *        |                        | the log no longer holds what it needs
 *        v                        v
 *        +--------------------> RESYNC --> SNAPSHOT --> LIVE    (a new one of a table with data)
 *     any --> PAUSED                                  (a person said so)
 *
 * A lane whose request failed waits and sends the same again; the other lanes go on. */
#pragma once
#include <stdbool.h>

#include "base/chunk.h"
#include "base/err.h"
#include "base/list.h"
#include "core/dup/lag.h"
#include "wire/mutation.h"

enum {
    DUP_LANES_MAX = 4096,           /* Partitions of a remote table. */
    DUP_EFFECTS_MAX = 64,           /* Of one step; when full the stream says DUP_DO_STEP. */
    DUP_REASON_SIZE = 160,          /* Bytes of the line that says why it is behind. */
    DUP_OP_OVERHEAD = 160,          /* Bytes that an op costs on the wire besides key and data. */
    DUP_WINDOW_SIZE_MAX = 4 << 20,  /* For window_size_max... */
    DUP_WINDOW_SIZE_MIN = 64 << 10, /* ...of struct dup. */
    DUP_WINDOW_COUNT_MAX = 65536,   /* Mutations read and not confirmed. */
    DUP_READS_PER_WINDOW = 4,       /* Bytes asked for at once: this part of the window. */
    DUP_SAVE_INTERVAL_MS = 1000,    /* Progress goes to the meta group at most this often. */
    DUP_RETRY_MS_MIN = 10,          /* The first wait after a failure; it doubles... */
    DUP_RETRY_MS_MAX = 1000,        /* ...up to this. */
    DUP_PARKED_RETRY_MS = 30000,    /* A record that the remote refused is offered again. */
};

#define DUP_NOT_SAVED UINT64_MAX /* For a decree, in DUP_SAVED. */

enum dup_state {
    DUP_PAUSED,
    DUP_CONNECTING, /* Looking for the remote table. */
    DUP_RESYNC,     /* The log lost what the remote still needs: a snapshot will repair it. */
    DUP_SNAPSHOT,   /* Sending the table as it was at one decree. */
    DUP_LIVE,       /* Following the log. */
};
const char *dup_state_name(enum dup_state state); /* "paused", "connecting", ... */

/* What the other side is, as its route and its greeting say. */
struct dup_remote {
    uint32_t partition_count;  /* 1 to DUP_LANES_MAX. */
    uint8_t cluster_id;        /* Ops that come from there do not go back there. */
    uint32_t request_size_max; /* Bytes of entries in one request; an op larger goes alone. */
    uint32_t
        requests_per_lane; /* In flight at once; 1 where the remote does not compare timetags. */
    bool takes_positions;  /* It understands DUP_DO_ANNOUNCE. */
};

/* An op on its way. It keeps the mutation that holds it alive. */
struct dup_op {
    struct chunk *mutation;
    struct mutation_op op; /* Borrowed from 'mutation'. */
    uint64_t sequence;     /* Its mutation's place in the window. */
};

/* Some ops of one lane, sent together. Owned by the stream until answered. */
struct dup_request {
    struct list_node node; /* In its lane: in flight, or to be sent again; or parked. */
    uint64_t id;           /* Never reused by this stream. */
    uint32_t lane;         /* The remote partition. */
    uint32_t op_count;
    size_t size;          /* Bytes, estimated: DUP_OP_OVERHEAD per op. */
    uint64_t decree_last; /* Of the newest op. */
    uint64_t retry_at_ms; /* When parked. */
    struct dup_op ops[];
};

/* ---- Events ---- */

enum dup_event_type {
    DUP_STARTED,      /* Go on from a confirmed decree, or from the beginning with a snapshot. */
    DUP_STOPPED,      /* Paused by a person. */
    DUP_COMMITTED,    /* The replica has committed up to a decree. */
    DUP_ASKED,        /* Somebody wants to know whether it is still the same remote. */
    DUP_ROUTED,       /* The remote table is known, or known anew. */
    DUP_ROUTE_FAILED, /* It is not: unreachable, no such table. */
    DUP_REPLACED,     /* Another remote than the one that holds what is confirmed answers there. */
    DUP_READ,         /* A run of mutations that DUP_DO_READ asked for. */
    DUP_READ_FAILED,  /* E_NOTFOUND: no longer in the log. Others: try again later. */
    DUP_SCAN_OPENED,  /* The snapshot is open and stands at a decree. */
    DUP_SCANNED,      /* A piece of it. */
    DUP_SCAN_FAILED,
    DUP_ANSWERED,    /* A request has ended. */
    DUP_SEND_FAILED, /* One could not be sent for want of memory: all under way is forgotten. */
    DUP_SAVED,       /* The meta group holds our progress; DUP_NOT_SAVED: it does not. */
    DUP_TICKED,      /* dup_deadline_ms() has come, or DUP_DO_STEP was asked for. */
};

struct dup_event {
    enum dup_event_type type;
    uint64_t now_ms; /* CLOCK_BOOTTIME. */
    uint64_t epoch;  /* Of the effect that this answers; answers of older epochs are ignored. */
    union {
        struct {
            uint64_t confirmed;    /* Ignored with needs_snapshot, as is the next. */
            uint64_t saved;        /* Of it, what a restart would know: at most 'confirmed'. */
            uint64_t committed;    /* Of the replica, now. */
            uint64_t pending_size; /* Bytes of the mutations between the two. */
            uint64_t age_ms;       /* Of the oldest of them, as its timestamp says. */
            bool needs_snapshot;
            bool is_paused;    /* Only to say how far behind it is, until it is started again. */
            bool owes_start;   /* Nobody knows yet that it begins there: have that saved at once. */
            uint64_t question; /* As in asked: the newest, for a stream that was not there then. */
        } started;
        struct {
            uint64_t decree, size;
        } committed; /* Bytes of all since the last such event. */
        struct {
            uint64_t question; /* The owner's number; 'vouched' reaches it when it is answered. */
        } asked;
        struct dup_remote routed;
        struct {
            int rc;
            const char *why;
        } failed; /* Also for answered: why may be NULL. */
        struct {
            struct chunk *const *mutations; /* Borrowed; references are taken. In order, no hole. */
            uint32_t count;
        } read;
        struct {
            uint64_t decree;
        } scan_opened, saved;
        struct {
            struct chunk *mutation;
            bool is_last;
        } scanned; /* NULL: the piece was empty. */
        struct {
            uint64_t id;
            uint32_t lane; /* As the request said. */
            int rc; /* 0; E_LIMIT: too large; E_REFUSED: it takes no such record; E_BUSY... */
            int32_t refused; /* With rc 0: the index of the one op that was refused; -1: none. */
            const char *why; /* The remote's words, or NULL. */
        } answered;
    };
};

/* ---- Effects ---- */

enum dup_effect_type {
    DUP_DO_ROUTE,     /* Find the remote table; DUP_ROUTED or DUP_ROUTE_FAILED answers. */
    DUP_DO_READ,      /* Read mutations [first, last], at most 'size' bytes, but at least one. */
    DUP_DO_SCAN_OPEN, /* Open a snapshot of the store. */
    DUP_DO_SCAN,      /* The next piece of it, at most 'size' bytes, but at least one row. */
    DUP_DO_SCAN_CLOSE,
    DUP_DO_SEND,     /* Send 'request' to partition request->lane; DUP_ANSWERED answers. */
    DUP_DO_ANNOUNCE, /* Tell the remote, through partition 'lane': all up to 'first' is applied. */
    DUP_DO_SAVE,     /* Tell the meta group that 'first' is confirmed; DUP_SAVED answers. */
    DUP_DO_STEP,     /* There is more to do: step with DUP_TICKED in this turn. */
};

struct dup_effect {
    enum dup_effect_type type;
    uint64_t epoch;
    uint64_t first, last; /* Decrees. */
    size_t size;          /* Bytes. */
    uint32_t lane;
    const struct dup_request *request; /* Borrowed until it is answered or the epoch changes. */
};

struct dup_effects {
    struct dup_effect items[DUP_EFFECTS_MAX];
    uint32_t count;
};

/* ---- The machine ---- */

struct dup_slot {    /* One mutation in the window. */
    uint64_t decree; /* Confirmed when this and all before are done; 0: part of a snapshot. */
    uint64_t timestamp_us;
    uint64_t size;          /* Bytes that it holds in memory. */
    uint64_t confirms_size; /* Bytes that the lag shrinks by when 'decree' is confirmed. */
    uint32_t outstanding;   /* Ops not applied at the remote yet. */
};

struct dup_lane {
    struct dup_op *ops; /* A ring of ops not in a request yet. */
    uint32_t capacity, first, count;
    size_t size;             /* Bytes of them, estimated. */
    struct list_node flight; /* Requests under way, oldest first. */
    struct list_node again;  /* Requests to be sent again, oldest first. */
    uint32_t flight_count;
    uint32_t failures;    /* In a row. */
    uint64_t retry_at_ms; /* 0, or nothing is sent before. */
};

struct dup {
    enum dup_state state;
    uint64_t epoch; /* Grows when everything under way is forgotten. */
    struct dup_remote remote;
    bool is_routed, is_routing, is_reading, is_saving, is_scan_open;
    bool owes_snapshot; /* The meta group does not know yet that the snapshot is over there. */
    bool owes_start;    /* Nor where it began. */

    uint64_t committed; /* Of the replica. */
    uint64_t read;      /* Newest decree taken into the window. */
    uint64_t confirmed; /* Applied at the remote, with all before. */
    uint64_t saved;     /* Confirmed, and the meta group knows. */
    uint64_t announced; /* Confirmed, and the remote was told. */
    uint64_t asked;     /* The newest question whether it is the same remote still... */
    uint64_t asking;    /* ...the newest that DUP_DO_ROUTE under way will answer... */
    uint64_t vouched;   /* ...and the newest that was answered with yes. */
    uint64_t confirmed_timestamp_us;
    uint64_t snapshot_decree; /* Of the snapshot that is being sent, or was sent last. */
    uint64_t snapshot_size;   /* Bytes of the unconfirmed mutations that it stands for. */

    struct dup_slot *slots; /* A ring: the window. */
    uint32_t slot_capacity, slot_first, slot_count;
    uint64_t slot_sequence; /* Of the oldest slot. */
    size_t window_size; /* Bytes of all slots' mutations, DUP_OP_OVERHEAD of each op with them. */
    size_t window_size_max; /* The owner's, who may set it anew before any step. */

    struct dup_lane *lanes;
    uint32_t lane_count;
    uint32_t partition_index; /* Of the source. */
    uint32_t lane_last; /* One that its keys go to, the last that was: announcements go there. */
    struct list_node parked; /* Requests of one op each that the remote refuses. */
    uint32_t parked_count;

    struct dup_lag lag;
    uint64_t next_request_id;
    uint64_t retry_at_ms;                                    /* Of reading or scanning; 0: none. */
    uint64_t route_at_ms;                                    /* Of routing; 0: none. */
    uint64_t save_at_ms;                                     /* 0: nothing to save. */
    uint32_t failures;                                       /* Of reading or scanning, in a row. */
    uint32_t route_failures;                                 /* Of routing, in a row. */
    uint64_t sent_ops, resent_ops, skipped_ops, refused_ops; /* Since the start, for metrics. */
    char data_reason
        [DUP_REASON_SIZE]; /* Why what is read and sent waits; empty: nothing is wrong. */
    char route_reason[DUP_REASON_SIZE]; /* Why the last question was not answered with yes. */
};

/* The stream of a partition with this index. */
void dup_init(struct dup *d, uint32_t partition_index);
void dup_fini(struct dup *d);

/* One event in, effects out. Returns 0; or E_NOMEM: what could not be taken is asked for again later
 * by the stream itself, so the caller need only perform the effects. */
int dup_step(struct dup *d, const struct dup_event *event, struct dup_effects *out);

/* When to step with DUP_TICKED; UINT64_MAX: never, as far as it knows now. */
uint64_t dup_deadline_ms(const struct dup *d);

/* Everything above this decree must stay readable in the log. */
uint64_t dup_hold_decree(const struct dup *d);

/* The exact lag at 'now_ms' (rule D9). */
struct dup_lag_view dup_lag_now(const struct dup *d, uint64_t now_ms);

/* Why it is behind, in one line; "" when nothing is wrong. Lives as long as 'd', until its next step. What
 * becomes of its requests goes before what becomes of its questions: that a record was refused is told as long
 * as it waits (D8). */
const char *dup_reason(const struct dup *d);

/* CHECK the rules. Called at the end of every step, in production too. */
void dup_check(const struct dup *d);
