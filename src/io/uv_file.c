/* src/io/uv_file.c: files and directories by plain system calls, repeated where these may stop half
 * way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/uv_impl.h"

enum {
    PIECES_MAX = 64, /* Per system call. */
    WALK_FDS = 16,   /* Descriptors that nftw() may hold. */
};

struct io_file {
    int fd;
};

/* ---- Files ----------------------------------------------------------------------------------- */

/* open(), again when a signal came. A descriptor, or negative and errno. */
static int fd_open(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, 0644);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    (void)io;
    int how = (flags & IO_OPEN_WRITE) == 0  ? O_RDONLY
              : (flags & IO_OPEN_READ) != 0 ? O_RDWR
                                            : O_WRONLY;
    if ((flags & IO_OPEN_CREATE) != 0) how |= O_CREAT;
    if ((flags & IO_OPEN_EXCLUSIVE) != 0) how |= O_EXCL;
    struct io_file *file = mem_alloc(sizeof *file);
    if (file == NULL) return E_NOMEM;
    file->fd = fd_open(path, how);
    if (file->fd < 0) {
        int rc = err_of_errno(errno);
        mem_free(file);
        return rc;
    }
    *out = file;
    return 0;
}

void io_file_close(struct io_file *file)
{
    if (file == NULL) return;
    (void)close(
        file->fd); /* What a failing close() could lose was never synced, so never promised. */
    mem_free(file);
}

/* Describe the next pieces, without the first 'skip' bytes of the first. Returns how many. */
static int pieces_describe(const struct slice *pieces, size_t count, size_t skip, struct iovec *to)
{
    size_t used = 0;
    for (; used < count && used < PIECES_MAX; used++) {
        size_t gone = used == 0 ? skip : 0;
        /* The system only reads, but its struct has no const. */
        to[used].iov_base = (void *)((uintptr_t)pieces[used].data + gone);
        to[used].iov_len = pieces[used].size - gone;
    }
    return (int)used;
}

int io_file_write(struct io_file *file, uint64_t offset, const struct slice *pieces, size_t count)
{
    size_t skip = 0; /* Bytes of pieces[0] that are written. */
    for (;;) {
        while (count > 0 && pieces->size == skip) {
            pieces++;
            count--;
            skip = 0;
        }
        if (count == 0) return 0;
        struct iovec iov[PIECES_MAX];
        int iov_count = pieces_describe(pieces, count, skip, iov);
        ssize_t done = pwritev(file->fd, iov, iov_count, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return err_of_errno(errno);
        if (done == 0) return E_IO;
        offset += (uint64_t)done;
        for (skip += (size_t)done; count > 0 && skip >= pieces->size; count--)
            skip -= (pieces++)->size;
    }
}

int io_file_read(struct io_file *file, uint64_t offset, void *to, size_t size, size_t *got)
{
    size_t have = 0;
    while (have < size) {
        ssize_t done =
            pread(file->fd, (char *)to + have, size - have, (off_t)(offset + (uint64_t)have));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return err_of_errno(errno);
        if (done == 0) break;
        have += (size_t)done;
    }
    *got = have;
    return 0;
}

static int fd_sync(int fd)
{
    /* After EINTR nothing was given up yet; any other failure is final (io.h). */
    int rc;
    do {
        rc = fdatasync(fd);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : err_of_errno(errno);
}

int io_file_sync(struct io_file *file)
{
    return fd_sync(file->fd);
}

int io_file_size(struct io_file *file, uint64_t *size)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0) return err_of_errno(errno);
    *size = (uint64_t)st.st_size;
    return 0;
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    int rc;
    do {
        rc = ftruncate(file->fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : err_of_errno(errno);
}

/* ---- Directories ----------------------------------------------------------------------------- */

static int dir_make_one(const char *path)
{
    struct stat st;
    if (mkdir(path, 0755) == 0) return 0;
    if (errno != EEXIST) return err_of_errno(errno);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : E_EXISTS; /* A file is in the way. */
}

int io_dir_make(struct io *io, const char *path)
{
    (void)io;
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof part) return E_INVALID;
    memcpy(part, path, size + 1);
    for (size_t i = 1; i < size; i++) {
        if (part[i] != '/') continue;
        part[i] = '\0';
        int rc = dir_make_one(part);
        if (rc != 0) return rc;
        part[i] = '/';
    }
    return dir_make_one(path);
}

int io_dir_sync(struct io *io, const char *path)
{
    (void)io;
    int fd = fd_open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return err_of_errno(errno);
    int rc;
    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    rc = rc == 0 ? 0 : err_of_errno(errno);
    (void)close(fd);
    return rc;
}

static int is_listed(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int name_order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int io_dir_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
                void *context)
{
    (void)io;
    struct dirent **entries;
    int count = scandir(path, &entries, is_listed, name_order);
    if (count < 0) return err_of_errno(errno);
    for (int i = 0; i < count; i++) {
        each(context, entries[i]->d_name);
        free(entries[i]); /* scandir() took it with malloc(). */
    }
    free(entries);
    return 0;
}

int io_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return rename(from, to) == 0 ? 0 : err_of_errno(errno);
}

int io_unlink(struct io *io, const char *path)
{
    (void)io;
    return unlink(path) == 0 ? 0 : err_of_errno(errno);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st;
    (void)type;
    (void)place;
    return remove(path) == 0 || errno == ENOENT ? 0 : err_of_errno(errno);
}

int io_dir_remove(struct io *io, const char *path)
{
    (void)io;
    int rc = nftw(path, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS); /* -1, or remove_one's. */
    if (rc != -1) return rc;
    return errno == ENOENT ? 0 : err_of_errno(errno);
}

int io_disk_space(struct io *io, const char *path, uint64_t *free_size, uint64_t *total_size)
{
    (void)io;
    struct statvfs st;
    if (statvfs(path, &st) != 0) return err_of_errno(errno);
    *free_size = (uint64_t)st.f_bavail * st.f_frsize;
    *total_size = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

/* ---- Locks ----------------------------------------------------------------------------------- */

int io_lock(struct io *io, const char *path)
{
    int fd = fd_open(path, O_RDWR | O_CREAT);
    if (fd < 0) return err_of_errno(errno);
    int rc;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? E_BUSY : err_of_errno(errno);
        goto close_fd;
    }
    (void)pthread_mutex_lock(&io->mutex);
    int *locks = mem_realloc(io->locks, (io->lock_count + 1) * sizeof *locks);
    if (locks != NULL) {
        io->locks = locks;
        io->locks[io->lock_count++] = fd;
    }
    (void)pthread_mutex_unlock(&io->mutex);
    if (locks != NULL) return 0;
    rc = E_NOMEM;
close_fd:
    (void)close(fd);
    CHECK(rc != 0);
    return rc;
}

void io_uv_locks_close(struct io *io)
{
    while (io->lock_count > 0) (void)close(io->locks[--io->lock_count]);
    mem_free(io->locks);
}
