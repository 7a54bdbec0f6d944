/* sim/group/group_sim.h: the meta group's port (group/group.h) in virtual time, and its faults.
 *
 *     propose ─> waiting ─ some time ─> batch: written and synced in the pool ─> applied ─> on_done
 *        ├─ refused: E_STATE, and nothing happens
 *        └─ unknown: E_UNKNOWN at once; whether it is written nevertheless is chance's
 *
 * The log and the snapshot lie on the machine's fake disk (log_sim.h), so power loss and failing
 * disks strike here as they do the real thing. A write that fails makes its batch E_UNKNOWN and the
 * group leaderless; a second later it has saved its state anew and leads again.
 *
 * A group of one so far: group_open() CHECKs that. */
#pragma once
#include "group/group.h"
#include "sim/sim.h"

struct group_sim_faults {
    uint64_t delay_us_max;    /* Before a batch is written. */
    uint32_t refused_percent; /* Of proposals. */
    uint32_t unknown_percent;
};

/* What a harness attaches to a machine whose groups are to be unreliable: .kind = GROUP_SIM_KIND,
 * .context = struct group_sim_faults, read at every proposal. */
#define GROUP_SIM_KIND "group"
