/* sim/faults.h: what befalls two linked clusters, drawn from a seed, and how it ends again.
 *
 *     strike   at random times: a kind of fault, a side, how long
 *     mend     each strike's own end, later
 *     tend     what an operator's machinery does: who has died is started again, who says that its disk
 *              has failed is restarted on the mended one, and who did not hear that its duplication
 *              is to pause, or to go on, is told again */
#pragma once
#include "sim/linked.h"

struct faults;

/* 'profile' is enum swarm_profile. Nothing happens before faults_begin(). */
struct faults *faults_new(struct linked *linked, int profile, uint64_t seed);
void faults_free(struct faults *f); /* Before the world, which runs no more. Accepts NULL. */

/* Quick disks, quick links, right clocks. */
void faults_set_quiet(struct faults *f);

void faults_begin(struct faults *f);

/* Look after the machines; every few milliseconds of virtual time, from outside events. */
void faults_tend(struct faults *f);

/* No more strikes; everything that can be mended is, now. A duplication that was paused goes on when the
 * question has its answer: faults_is_settled(). */
void faults_heal(struct faults *f);
bool faults_is_settled(const struct faults *f);

uint64_t faults_strikes(const struct faults *f);
