/* src/cli/bench.h: what the benches share. */
#pragma once
#include "cli/args.h"
#include "cli/cli.h"

/* --sync: "group" unless it says "os". */
int bench_sync(const struct args *args, const char **out, struct err *e) MUST_CHECK;
