/* src/obs/logger_file.c: the time in front, a newline behind, one write. */
#include "obs/logger_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { TIME_SIZE = sizeof "2026-01-31T12:00:00.123456Z " - 1 };

static void on_line(struct logger_sink *sink, enum logger_level level, struct slice line);
static void print_time(char *to);

int logger_file_open(struct logger_file *f, const char *path, enum logger_level level,
                     struct err *e)
{
    int fd = STDERR_FILENO;
    if (path != NULL) fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        int rc = err_of_errno(errno);
        return err_set(e, rc, "log file %s: %s", path, err_text(rc));
    }
    f->sink = (struct logger_sink){.level = level, .write = on_line};
    f->fd = fd;
    atomic_init(&f->lost, 0);
    return 0;
}

void logger_file_close(struct logger_file *f)
{
    if (f->fd > STDERR_FILENO) (void)close(f->fd); /* Nothing is buffered: nothing can be lost. */
    f->fd = 0;
}

static void on_line(struct logger_sink *sink, enum logger_level level, struct slice line)
{
    (void)level;
    struct logger_file *f =
        (struct logger_file *)(void *)((char *)sink - offsetof(struct logger_file, sink));
    char text[TIME_SIZE + LOG_LINE_SIZE_MAX + 1];
    print_time(text);
    memcpy(text + TIME_SIZE, line.data, line.size);
    text[TIME_SIZE + line.size] = '\n';

    size_t size = TIME_SIZE + line.size + 1;
    ssize_t done;
    do {
        done = write(f->fd, text, size);
    } while (done < 0 && errno == EINTR);
    if (done != (ssize_t)size) atomic_fetch_add_explicit(&f->lost, 1, memory_order_relaxed);
}

/* TIME_SIZE bytes, without a NUL. */
static void print_time(char *to)
{
    struct timespec now = {0};
    struct tm utc = {0};
    char text[64];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + used, sizeof text - used, ".%06ldZ ", now.tv_nsec / 1000);
    memcpy(to, text, TIME_SIZE);
}
