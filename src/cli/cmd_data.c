#include "cli/command.h"
#define S(n)                                                                                       \
    int n(struct cli *c, const struct args *a)                                                     \
    {                                                                                              \
        (void)c;                                                                                   \
        (void)a;                                                                                   \
        return 3;                                                                                  \
    }
S(put_run) S(get_run) S(del_run) S(incr_run) S(ttl_run) S(exists_run) S(scan_run) S(count_run)
