/* src/core/mlog/replay.h: what the blocks of a log mean after a crash. Pure: files are the shell's.
 *
 *     1. mlog_replay_list()     for every replica that lives here, with what its store holds
 *     2. mlog_live_find()       which files are the log, and where each ends
 *     3. mlog_replay_synced()   for every block of the newest files: up to here the log was durable
 *     4. per segment, in order: mlog_replay_table(), mlog_replay_block(), mlog_replay_record(),
 *        and for damage mlog_replay_judge(): MLOG_TORN ends the log there, MLOG_CORRUPT is
 *        mlog_replay_lost()
 *     5. mlog_replay_end()      names the replicas that lost something
 *
 * Damage below the highest 'synced' seen anywhere is corruption: those bytes were acknowledged, and
 * nothing is ever cut because of it. Damage at or above it is a torn tail. Who lost records:
 *     - the serials of a partition's records follow each other: a hole names its owner;
 *     - the summary in the block behind a lost one says who had records in it, and their last;
 *     - the table at the head of each segment says the last record of every partition before it.
 * A replica about which none of these says anything after a loss may have lost records, and counts
 * as damaged; one whose lost records its store holds already counts as whole.
 * Source: docs/mutation-log.md, rules L7 to L14 and L25. */
#pragma once
#include "core/mlog/scan.h"
#include "core/mlog/space.h"

struct mlog_replay {
    struct mlog_space *space;
    struct mlog_pos synced;  /* Highest seen. */
    uint64_t losses;         /* Damaged stretches so far. */
    struct mlog_pos lost_at; /* Where the last of them began. */
};

void mlog_replay_init(struct mlog_replay *r, struct mlog_space *space);

/* A replica lives here, and its store holds everything up to 'durable'; MLOG_NEVER: nobody can say, and
 * its records are kept. Returns 0 or E_NOMEM. */
int mlog_replay_list(struct mlog_replay *r, struct gpid gpid, uint64_t durable) MUST_CHECK;

void mlog_replay_synced(struct mlog_replay *r, struct mlog_pos synced);

enum mlog_verdict { MLOG_TORN, MLOG_CORRUPT };

/* What damage at 'at' is. */
enum mlog_verdict mlog_replay_judge(const struct mlog_replay *r, struct mlog_pos at);

/* Corruption begins at 'at', where a block began. */
void mlog_replay_lost(struct mlog_replay *r, struct mlog_pos at);

/* A head that can be trusted comes next. Before its records. */
void mlog_replay_block(struct mlog_replay *r, const struct mlog_block *block);

/* The table of the segment that begins here. After this every loss before it has found its owners.
 */
void mlog_replay_table(struct mlog_replay *r, const struct mlog_table *table);

/* A good record. 'p' is its partition when it is to be noted in the log's space, NULL when nobody
 * here wants it; is_new: hand it to the replica. */
struct mlog_partition *mlog_replay_record(struct mlog_replay *r, const struct mlog_record *record,
                                          bool *is_new);

/* A record of a backlog file: of each partition before the first block, files by number. Its serial may
 * not follow the one before, for what was replaced is not in there; its decree does. is_all: what was
 * replaced is in there (MLOG_BACKLOG_ALL), and a hole in the serials is what it is in the log. True: hand
 * it to the replica. */
bool mlog_replay_moved(struct mlog_replay *r, const struct mlog_record *record, bool is_all);

/* All of a backlog file was seen, or is in the store: it stands for the partition's records up to
 * last->serial, those that were replaced before it was made included, and ends with last->decree. is_all:
 * what of that did not come is lost. */
void mlog_replay_moved_end(struct mlog_replay *r, const struct mlog_last *last, bool is_all);

/* A backlog file of this partition can't be read to its end. */
void mlog_replay_moved_lost(struct mlog_replay *r, struct gpid gpid);

/* All was seen. Judge the replicas about which doubt is left: then replay.damage says why. */
void mlog_replay_end(struct mlog_replay *r);

/* ---- Which files are the log ---- */

struct mlog_live {
    uint64_t number;
    uint32_t end;    /* Bytes to look at. */
    bool is_open;    /* Nobody says where it ends: it may have room behind its last block. */
    bool is_missing; /* It should be there. */
};

/* 'files' are the segment files found, ascending, each with its size as 'end'; 'newest' is the
 * index of the newest that begins with a good head, whose table is 'table'; 'count' when there is
 * none. Files that are older than it and not in its table are remains of a cut. Those in its table
 * that are missing were freed when they come before all others, else lost.
 * Fills 'live', which has room for 'count' plus all segments of the table, and returns how many. */
size_t mlog_live_find(const struct mlog_live *files, size_t count, size_t newest,
                      const struct mlog_table *table, struct mlog_live *live);
