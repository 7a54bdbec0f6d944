/* src/core/dup/dup_impl.h: inside the room only. The window, the lanes, and how effects are pushed.
 *
 *     step.c    the door: events, states, reading, saving
 *     window.c  mutations read and not confirmed; the confirmed decree comes from here
 *     lane.c    ops on their way to one remote partition: queue, requests, retries
 *     lag.c     how far behind */
#pragma once
#include "core/dup/dup.h"

/* ---- Effects ---- */

/* True while there is room for one effect besides those that follow the lanes'. */
bool effects_have_room(const struct dup_effects *out);
void effects_push(struct dup_effects *out, struct dup_effect effect);

/* ---- The window ---- */

/* Append a slot. Returns 0 or E_NOMEM. Its sequence is slot_sequence + slot_count before the call. */
int window_push(struct dup *d, const struct dup_slot *slot) MUST_CHECK;

/* One op of the mutation with this sequence is applied at the remote. */
void window_done(struct dup *d, uint64_t sequence);

/* Take finished slots off the old end; moves 'confirmed'. True when it moved. */
bool window_advance(struct dup *d);

bool window_has_room(const struct dup *d);
void window_clear(struct dup *d);

/* ---- Lanes ---- */

/* As many empty lanes as the remote has partitions. The old ones are empty. */
int lanes_reset(struct dup *d, uint32_t count) MUST_CHECK;
void lanes_fini(struct dup *d);

/* Queue the ops of a mutation that have to go; '*queued' says how many. Returns 0; or E_NOMEM and then
 * nothing was queued. */
int lanes_push(struct dup *d, struct chunk *bytes, const struct mutation *m, uint64_t sequence,
               uint32_t *queued) MUST_CHECK;

/* Send what may be sent now. False when effects or memory ran out before the work did. */
bool lanes_pump(struct dup *d, uint64_t now_ms, struct dup_effects *out);

/* The request with this id, in flight in this lane; NULL when there is none any more. */
struct dup_request *lanes_find(struct dup *d, uint32_t lane, uint64_t id);

/* What became of a request that was in flight. Each takes it. */
void lane_on_applied(struct dup *d, struct dup_request *r, int32_t refused, uint64_t now_ms);
void lane_on_failed(struct dup *d, struct dup_request *r, uint64_t now_ms);
void lane_on_refused(struct dup *d, struct dup_request *r, uint64_t now_ms);

/* Forget all ops and requests. */
void lanes_clear(struct dup *d);
uint64_t lanes_deadline_ms(const struct dup *d);

/* Wait before the nth attempt after 'failures' failures in a row. */
uint64_t retry_delay_ms(uint32_t failures);
