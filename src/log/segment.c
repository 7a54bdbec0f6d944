/* src/log/segment.c: the files of the log: names, birth and death. */
#include <inttypes.h>
#include <stdio.h>

#include "log/log_impl.h"

void log_segment_path(const struct log *l, uint64_t number, char *path)
{
    (void)snprintf(path, LOG_PATH_SIZE, "%s/log.%016" PRIx64, l->dir, number);
}

int log_segment_create(struct log *l)
{
    struct log_segment *segment = mem_zalloc(sizeof *segment);
    if (segment == NULL) return E_NOMEM;
    segment->core.number = l->next_segment;

    char path[LOG_PATH_SIZE];
    log_segment_path(l, segment->core.number, path);
    unsigned flags = IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE;
    int rc = io_file_open(l->io, path, flags, &segment->file);
    if (rc != 0) {
        mem_free(segment);
        return rc;
    }
    l->next_segment++;
    mlog_segment_push(&l->space, &segment->core);
    return 0;
}

void log_segment_free(struct log_segment *segment)
{
    if (segment == NULL) return;
    io_file_close(segment->file);
    mem_free(segment->core.shares);
    mem_free(segment);
}
