/* src/base/check.c: the last words of a server that caught itself lying. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "CHECK failed: %s at %s:%d\n", condition, file, line);
    (void)fflush(stderr);
    abort();
}
