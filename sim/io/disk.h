/* sim/io/disk.h: a machine's file system, as programs see it and as power loss would leave it.
 *
 *     seen      tree: path -> inode, with its bytes     what every program reads (the page cache)
 *     durable   tree: path -> inode, with its bytes     what is certainly on the platter
 *     pending   writes of an inode, changes of names    what came after, each perhaps with the time
 *                                                       at which a sync made it durable
 *
 * Power loss at time T takes 'durable', adds what was durable by T, and of the rest whatever chance
 * likes: any subset, each write perhaps torn at a sector, its missing part old, zero or garbage.
 * What a thread that ran ahead would have done after T never happened. The result is then seen and
 * durable. */
#pragma once
#include "sim/io/sim_io.h"

enum { SIM_SECTOR_SIZE = 512, SIM_PATH_SIZE = 512 }; /* Bytes. */

struct write {
    struct list_node node; /* In inode->writes. */
    bool is_truncate;      /* To 'offset'. */
    uint64_t issued_us;
    uint64_t durable_us; /* UINT64_MAX: no sync yet. */
    uint64_t offset;
    size_t size;
    uint8_t data[];
};

struct inode {
    uint64_t id;
    size_t refs; /* Names, changes and open files. */
    bool is_dir;
    bool has_sync_failed; /* In the life of this process. */
    struct buf seen, durable;
    struct list_node writes; /* struct write, oldest first. */
};

struct tree_entry {
    char *path;
    struct inode *inode;
};

struct tree {
    struct tree_entry *entries; /* In byte order of the paths. */
    size_t count, capacity;
};

enum change_type { CHANGE_PUT, CHANGE_REMOVE, CHANGE_MOVE };

struct change {
    struct list_node node; /* In disk->changes. */
    enum change_type type;
    char *path;
    char *to;            /* Of MOVE. */
    struct inode *inode; /* Of PUT. */
    uint64_t issued_us, durable_us;
};

/* A call that is to fail. */
struct fault {
    struct list_node node; /* In disk->faults. */
    enum sim_disk_call call;
    const char *path; /* Part of it; NULL: any. */
    uint64_t in;      /* The how-manieth call from now; 1: the next. */
    int code;
    bool is_sticky;
};

struct disk {
    struct sim_machine *machine;
    struct sim_disk behaviour;
    struct tree seen, durable;
    struct list_node changes; /* struct change, oldest first. */
    struct list_node handles; /* struct io_file. */
    struct list_node faults;
    struct tree locks; /* Inodes are NULL. */
    uint64_t inode_ids, used_size, hung_until_us;
    uint64_t syncs, syncs_after_failure;
};

/* ---- Trees (tree.c): the memory is the world's ---- */

struct inode *sim_tree_find(const struct tree *t, const char *path); /* Or NULL. */
void sim_tree_put(struct tree *t, const char *path, struct inode *inode);
void sim_tree_remove(struct tree *t, const char *path);

/* Rename a file, or a directory with all below it; what was at 'to' goes. */
void sim_tree_move(struct tree *t, const char *from, const char *to);

/* Index of the first entry below directory 'path'; they are consecutive. */
size_t sim_tree_below(const struct tree *t, const char *path);
bool sim_path_is_below(const char *path, const char *dir);
void sim_tree_copy(struct tree *to, const struct tree *from);
void sim_tree_clear(struct tree *t);

/* The directory a path is in: "/" or without a slash at the end. */
void sim_path_parent(const char *path, char *out);

/* ---- Inodes, pending writes and changes (disk.c) ---- */

struct disk *sim_disk_new(struct sim_machine *m);
void sim_disk_free(struct disk *d);

struct inode *sim_inode_new(struct disk *d, bool is_dir);
struct inode *sim_inode_ref(struct inode *inode);
void sim_inode_unref(struct inode *inode); /* Accepts NULL. */

void sim_inode_write(struct disk *d, struct inode *inode, uint64_t offset, struct slice bytes);
void sim_inode_truncate(struct disk *d, struct inode *inode, uint64_t size);

/* Everything written so far is durable at that time; or the sync failed, and chance decides now. */
void sim_inode_synced(struct disk *d, struct inode *inode, uint64_t at_us);
void sim_inode_sync_failed(struct disk *d, struct inode *inode);

/* Do it to 'seen' and remember it for 'durable'. */
void sim_disk_change(struct disk *d, enum change_type type, const char *path, const char *to,
                     struct inode *inode);
void sim_dir_synced(struct disk *d, const char *dir, uint64_t at_us);
void sim_dir_sync_failed(struct disk *d, const char *dir);

void sim_disk_lose_power(struct disk *d);
void sim_disk_close_all(struct disk *d); /* file.c: open files and locks of a dead process. */

/* ---- Behaviour (fault.c) ---- */

/* A call begins: it takes its time, and may be told to fail. Returns 0, E_IO or E_NOSPACE. */
int sim_disk_call(struct disk *d, enum sim_disk_call call, const char *path);
void sim_faults_clear(struct disk *d);
