/* src/cli/bench.c: what the benches share. */
#include "cli/bench.h"

#include <string.h>

int bench_sync(const struct args *args, const char **out, struct err *e)
{
    const char *text = args_option(args, "--sync");
    *out = text != NULL && strcmp(text, "os") == 0 ? "os" : "group";
    if (text == NULL || strcmp(text, *out) == 0) return 0;
    return err_set(e, E_INVALID, "--sync wants group or os, not '%s'", text);
}
