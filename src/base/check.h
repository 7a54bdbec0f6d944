/* src/base/check.h: what must be true, and what happens when it is not.
 *
 * CHECK is for our own mistakes only: a wrong server that stops is a delay, one that goes on is lost
 * data. It stays on in production. What a peer sends or a disk returns is never CHECKed: that is an
 * error code. */
#pragma once

/* Write the condition and the place to standard error, and abort. Never returns. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

/* A place that no path may reach. */
#define CHECK_NEVER(why) check_failed(why, __FILE__, __LINE__)
