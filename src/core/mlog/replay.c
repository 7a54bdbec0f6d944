/* src/core/mlog/replay.c: evidence comes in, suspicion goes away. */
#include "core/mlog/replay.h"

#include "base/check.h"
#include "base/mark.h"

static const char LOST[] = "records in the log were lost to corruption";
static const char DOUBT[] = "records may have been in a part of the log that is corrupt";
static const char GAP[] = "the log does not go on where the store ends";

void mlog_replay_init(struct mlog_replay *r, struct mlog_space *space)
{
    *r = (struct mlog_replay){.space = space};
}

int mlog_replay_list(struct mlog_replay *r, struct gpid gpid, uint64_t durable)
{
    struct mlog_partition *p;
    int rc = mlog_partition_get(r->space, gpid, &p);
    if (rc != 0) return rc;
    bool is_kept = durable == MLOG_NEVER;
    if (is_kept) p->durable = MLOG_NEVER;
    p->replay.durable = p->replay.delivered = is_kept ? 0 : durable;
    return 0;
}

/* Of a kept partition nobody knows where its store ends: the first that is heard of it is no hole. */
static void begin_at(struct mlog_partition *p, uint64_t decree)
{
    if (!mlog_partition_is_kept(p) || p->serial != 0) return;
    p->replay.durable = p->replay.delivered = decree;
}

void mlog_replay_synced(struct mlog_replay *r, struct mlog_pos synced)
{
    if (mlog_pos_compare(synced, r->synced) > 0) r->synced = synced;
}

enum mlog_verdict mlog_replay_judge(const struct mlog_replay *r, struct mlog_pos at)
{
#ifdef MUT_cut_on_corruption
    (void)r, (void)at;
    return MLOG_TORN;
#else
    return mlog_pos_compare(at, r->synced) < 0 ? MLOG_CORRUPT : MLOG_TORN;
#endif
}

static void damage(struct mlog_partition *p, const char *why)
{
    if (p->replay.damage == NULL) p->replay.damage = why;
}

void mlog_replay_lost(struct mlog_replay *r, struct mlog_pos at)
{
    MARK("mid-log corruption found");
    r->losses++;
    r->lost_at = at;
#ifdef MUT_quarantine_all_partitions
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(r->space, p)) != NULL) damage(p, LOST);
#endif
}

/* The partition was forgotten there. What was lost of it before is no loss, and what comes is its next life's;
 * it begins where its store ends (L27). */
static void begin_anew(struct mlog_replay *r, struct mlog_partition *p, uint64_t serial)
{
    if (serial < p->serial) return; /* Its next life has begun. */
#ifdef MUT_earlier_life_counts
    return; /* Known mistake: what was forgotten is missed. */
#endif
    MARK("an earlier life of a partition ends in the log");
    mlog_partition_void(r->space, p);
    p->serial = serial;
    p->replay.damage = NULL;
    p->replay.delivered = p->replay.durable;
}

/* Somebody who knew says that this was the partition's last record up to here. */
static void on_evidence(struct mlog_replay *r, const struct mlog_last *last)
{
    struct mlog_partition *p = mlog_partition_find(r->space, last->gpid);
    if (p == NULL || last->serial > MLOG_COUNT_MAX || last->decree > MLOG_COUNT_MAX) return;
    p->replay.cleared = r->losses;
    if (last->decree == 0) {
        begin_anew(r, p, last->serial);
        return;
    }
    if (last->serial <= p->serial) return;
    begin_at(p, last->decree);
    if (last->decree > p->replay.durable) damage(p, LOST);
    p->serial = last->serial;
    p->decree = last->decree;
}

/* The last loss was one block, whose owners have all been named: nobody else lost by it. */
static void clear_others(struct mlog_replay *r)
{
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(r->space, p)) != NULL)
        if (p->replay.cleared + 1 == r->losses) p->replay.cleared = r->losses;
}

void mlog_replay_block(struct mlog_replay *r, const struct mlog_block *block)
{
    struct slice summary = block->summary;
    struct mlog_last last;
    while (mlog_last_read(&summary, &last)) on_evidence(r, &last);

    bool is_behind_loss = r->losses > 0 && r->lost_at.segment == block->at.segment &&
                          r->lost_at.offset == block->prev_offset && block->at.offset > 0;
    if (is_behind_loss) clear_others(r);
}

void mlog_replay_table(struct mlog_replay *r, const struct mlog_table *table)
{
    struct slice partitions = table->partitions;
    struct mlog_last last;
    while (mlog_last_read(&partitions, &last)) on_evidence(r, &last);

    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(r->space, p)) != NULL) p->replay.cleared = r->losses;
}

/* Is the replica to have this record, which comes next? */
static bool deliver(struct mlog_partition *p, uint64_t decree)
{
    if (p->replay.damage != NULL || decree <= p->replay.durable) return false;
    if (decree > p->replay.delivered + 1) {
        damage(p, GAP);
        return false;
    }
    p->replay.delivered = decree;
    return !mlog_partition_is_kept(p);
}

struct mlog_partition *mlog_replay_record(struct mlog_replay *r, const struct mlog_record *record,
                                          bool *is_new)
{
    *is_new = false;
    struct mlog_partition *p = mlog_partition_find(r->space, record->gpid);
    if (p == NULL || record->serial <= p->serial) return NULL;
    begin_at(p, record->decree - 1);

    bool is_chained = record->serial == p->serial + 1;
    bool is_first = p->serial == 0 && p->replay.cleared == r->losses;
    if (!is_chained && !is_first) p->index.since = record->serial;
    if (is_chained) p->replay.cleared = r->losses;
    else if (record->decree > p->replay.durable + 1) damage(p, LOST);
    p->serial = record->serial;
    p->decree = record->decree;

    *is_new = deliver(p, record->decree);
    return p;
}

bool mlog_replay_moved(struct mlog_replay *r, const struct mlog_record *record, bool is_all)
{
    struct mlog_partition *p = mlog_partition_find(r->space, record->gpid);
    if (p == NULL || record->serial <= p->serial) return false;
    bool is_hole = is_all && record->serial != p->serial + 1;
    if (is_hole && record->decree > p->replay.durable + 1) damage(p, LOST);
    p->serial = record->serial;
    p->decree = record->decree;
    return deliver(p, record->decree);
}

void mlog_replay_moved_end(struct mlog_replay *r, const struct mlog_last *last, bool is_all)
{
    struct mlog_partition *p = mlog_partition_find(r->space, last->gpid);
    if (p == NULL || last->serial <= p->serial) return;
    if (is_all && last->decree > p->replay.durable) damage(p, LOST);
    p->serial = last->serial;
    p->decree = last->decree;
}

void mlog_replay_moved_lost(struct mlog_replay *r, struct gpid gpid)
{
    struct mlog_partition *p = mlog_partition_find(r->space, gpid);
    if (p != NULL) damage(p, LOST);
}

/* The doubt outlives this recovery: the next table names a record that is not there. */
static void on_doubt(struct mlog_partition *p)
{
    if (p->replay.damage != NULL) return;
    damage(p, DOUBT);
    p->replay.is_doubted = true;
    p->serial++;
    p->decree = p->replay.delivered + 1;
}

void mlog_replay_end(struct mlog_replay *r)
{
    struct mlog_partition *p = NULL;
    while ((p = mlog_partition_next(r->space, p)) != NULL) {
        CHECK(p->replay.cleared <= r->losses);
        if (p->replay.cleared < r->losses) on_doubt(p);
    }
}

/* ---- Which files are the log ---- */

static const struct mlog_live *file_find(const struct mlog_live *files, size_t count,
                                         uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (files[i].number == number) return &files[i];
    return NULL;
}

size_t mlog_live_find(const struct mlog_live *files, size_t count, size_t newest,
                      const struct mlog_table *table, struct mlog_live *live)
{
    size_t n = 0;
    if (newest < count) {
        struct slice segments = table->segments;
        struct mlog_pos end;
        while (mlog_segment_end_read(&segments, &end)) {
            const struct mlog_live *file = file_find(files, count, end.segment);
            if (file == NULL && n == 0) continue;
            live[n++] = (struct mlog_live){
                .number = end.segment, .end = end.offset, .is_missing = file == NULL};
        }
    }
    for (size_t i = newest < count ? newest : 0; i < count; i++) {
        live[n] = files[i];
        live[n++].is_open = true;
    }
    return n;
}
