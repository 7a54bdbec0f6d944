/* src/node/node_dir.c: an entry is durable when the directory that holds it was synced. */
#include "node/node_dir.h"

#include <string.h>

enum { PATH_SIZE = 512 };

int node_dir_make(struct io *io, const char *path)
{
    char parent[PATH_SIZE];
    size_t size = strlen(path);
    if (size >= sizeof parent) return E_INVALID;
    int rc = io_dir_make(io, path);
    if (rc != 0) return rc;
    memcpy(parent, path, size + 1);
    while (size > 1 && parent[size - 1] == '/') parent[--size] = '\0';
    char *slash = strrchr(parent, '/');
    if (slash == NULL) return io_dir_sync(io, ".");
    slash[slash == parent] = '\0'; /* The root keeps its slash. */
    return io_dir_sync(io, parent);
}
