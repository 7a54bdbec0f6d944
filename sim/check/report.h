/* sim/check/report.h: what a checker found. */
#pragma once
#include "base/err.h"

enum verdict {
    VERDICT_OK,
    VERDICT_BROKEN,  /* A promise was broken: 'text' says which, and shows the place. */
    VERDICT_UNKNOWN, /* Too much to search through: the test asked for too much at once. */
};

enum { REPORT_TEXT_SIZE = 4096 };

struct report {
    char text[REPORT_TEXT_SIZE]; /* Cut when longer. */
};
