/* tests/node/bad_disk.c: a disk that fails when told to: preloaded into a server, it makes fdatasync and
 * fsync fail with EIO while the file named by BAD_DISK_WHEN exists. As on real systems the first failure
 * is the only honest one: what was to be synced is lost for good, and it is for the server to know that. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

typedef int sync_function(int fd);

static int sync_unless_bad(const char *name, int fd)
{
    const char *when = getenv("BAD_DISK_WHEN");
    if (when != NULL && access(when, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    void *next = dlsym(RTLD_NEXT, name);
    return (*(sync_function **)&next)(fd);
}

int fdatasync(int fd)
{
    return sync_unless_bad("fdatasync", fd);
}

int fsync(int fd)
{
    return sync_unless_bad("fsync", fd);
}
