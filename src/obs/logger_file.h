/* src/obs/logger_file.h: the sink of a real server: lines with their time, into a file or to standard
 * error. Each line is one write(2) to a file opened for appending, so lines of several threads and
 * processes don't mix. A terminal or pipe that nobody reads blocks the writer: operators who care
 * log to a file. */
#pragma once
#include <stdatomic.h>

#include "obs/logger.h"

struct logger_file {
    struct logger_sink sink;   /* Give this one to logger_sink_set(). */
    int fd;                    /* 2 for standard error. */
    atomic_uint_fast64_t lost; /* Lines that could not be written. */
};

/* Append to 'path', created if absent; NULL means standard error.
 * Returns 0, or E_NOTFOUND (no such directory), E_IO, with the reason in 'e'. */
int logger_file_open(struct logger_file *f, const char *path, enum logger_level level,
                     struct err *e) MUST_CHECK;

/* No thread may use the sink any more. An all-zero logger_file is a closed one. */
void logger_file_close(struct logger_file *f);
