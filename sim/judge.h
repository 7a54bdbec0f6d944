/* sim/judge.h: at the end of a run: does what clients were told agree with itself (A), with the order of
 * the log (B), and with what is left at both sides (D)? */
#pragma once
#include "sim/linked.h"

/* All is quiet. Reads everything back over the wire, which takes virtual time. */
enum verdict judge_histories(struct linked *l, struct report *report);
