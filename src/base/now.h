/* src/base/now.h: time as the cores see it: two readings that come in with every event. */
#pragma once
#include <stdint.h>

struct now {
    uint64_t boot_ms; /* CLOCK_BOOTTIME in milliseconds: leases, deadlines, lag. Never goes back. */
    uint64_t wall_us; /* CLOCK_REALTIME in microseconds since 1970: timetags and TTL. May jump. */
};
