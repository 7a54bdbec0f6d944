/* tests/log_crash/test_log_damage.c: every sector of a closed log, damaged in turn (I24).
 *
 * A log that was closed knows that all of it was durable: whatever is wrong with it is corruption.
 * Then
 *   1  recovery succeeds
 *   2  a partition that isn't called damaged has every mutation it was promised
 *   3  only partitions with records in the damaged block are called damaged
 * and when more is damaged at once, 1 and 2 hold still: unless the last block, which says that all
 * before it was durable, is part of it. Then the end looks as if it had been torn by a crash.
 *
 * It all holds too for a replica that was set aside meanwhile, and for damage to its backlog files (L25). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/mlog/mlog.h"
#include "log_crash/story.h"

/* Everybody writes everywhere; stores are mostly behind, so that nearly every record is needed. */
static const struct action life[] = {
    {HOLD, 0, 0, NONE},   {HOLD, 1, 0, NONE},  {HOLD, 2, 0, NONE},  {HOLD, 3, 0, NONE},
    {APPEND, 0, 3, 100},  {APPEND, 1, 1, 400}, {APPEND, 2, 2, 50},  {APPEND, 0, 1, 20},
    {APPEND, 3, 1, 1500}, {APPEND, 1, 4, 300}, {APPEND, 0, 2, 700}, {HOLD, 0, 1, NONE},
    {APPEND, 1, 2, 350},  {APPEND, 1, 1, 900}, {APPEND, 0, 5, 30},  {APPEND, 3, 1, 3000},
    {APPEND, 1, 3, 500},  {REOPEN, 0, 0, 0},   {APPEND, 0, 2, 300}, {APPEND, 1, 2, 800},
    {APPEND, 1, 3, 700},  {APPEND, 0, 1, 500}, {HOLD, 3, 0, NONE},  {APPEND, 2, 1, 1000},
    {APPEND, 0, 1, 90},   {APPEND, 1, 1, 600}, {APPEND, 3, 1, 60},  {APPEND, 1, 1, 60},
};

enum { WAYS = 3 }; /* Zeros, one bit, noise. */

struct place {
    int file;
    uint64_t number; /* Of its segment. */
    uint32_t offset; /* Of a sector. */
};

enum { PLACES_MAX = 1024 };

static struct told told;
static struct state states[PARTS];
static struct place
    places[PLACES_MAX]; /* Every sector of every segment; the last closes the log. */
static size_t place_count;

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Where the blocks of the file end: behind them is only room. */
static uint32_t end_of(const struct content *c, uint64_t number)
{
    struct mlog_scan scan;
    struct mlog_scanned scanned;
    mlog_scan_init(&scan, 0, number, (uint32_t)c->size);
    uint32_t end;
    do {
        end = scan.offset;
    } while (mlog_scan_next(&scan, slice_of(c->data + end, c->size - end), &scanned) ==
             MLOG_FOUND_BLOCK);
    return end;
}

static void places_list(void)
{
    for (int i = 0; i < told.disk.name_count; i++) {
        const struct name *name = &told.disk.names[i];
        if (strncmp(name->path, "/log/log.", 9) != 0) continue;
        uint64_t number = strtoull(name->path + 9, NULL, 16);
        uint32_t end = end_of(&told.disk.files[name->file], number);
        for (uint32_t at = 0; at < end; at += DISK_SECTOR)
            places[place_count++] = (struct place){name->file, number, at};
    }
    qsort(places, place_count, sizeof places[0], place_compare);
}

static int setup(void **state)
{
    (void)state;
    story_tell(&told, LOG_SYNC_GROUP, life, sizeof life / sizeof life[0]);
    story_state(&told, SIZE_MAX, states);
    places_list();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    story_fini(&told);
    return 0;
}

static bool sector_damage(struct disk *d, struct place place, int way)
{
    uint8_t before[DISK_SECTOR];
    uint8_t *at = d->files[place.file].data + place.offset;
    struct prng prng;
    prng_init(&prng, place.offset);
    memcpy(before, at, sizeof before);
    if (way == 0) memset(at, 0, DISK_SECTOR);
    else if (way == 1) at[prng_below(&prng, DISK_SECTOR)] ^= (uint8_t)(1u << prng_below(&prng, 8));
    else prng_bytes(&prng, at, DISK_SECTOR);
    return memcmp(before, at, sizeof before) != 0;
}

/* Mark the partitions with records in the block that covers 'place'. */
static void owners_find(struct place place, bool owners[PARTS])
{
    const struct content *c = &told.disk.files[place.file];
    struct mlog_scan scan;
    struct mlog_scanned scanned;
    memset(owners, 0, PARTS * sizeof *owners);
    mlog_scan_init(&scan, 0, place.number, (uint32_t)c->size);
    for (;;) {
        struct slice window = slice_of(c->data + scan.offset, c->size - scan.offset);
        if (mlog_scan_next(&scan, window, &scanned) != MLOG_FOUND_BLOCK) return;
        if (scan.offset > place.offset) break;
    }
    struct mlog_record record;
    struct slice body = scanned.body;
    if (scanned.block.kind != MLOG_RECORDS) return;
    while (mlog_record_read(&scanned.block, &body, &record) == 0)
        owners[record.gpid.partition_index] = true;
}

static void recover_check(struct disk *damaged, const bool *owners, struct found *found)
{
    story_recover(damaged, LOG_SYNC_GROUP, states, false, found);
    assert_int_equal(found->rc, 0);
    for (int i = 0; i < PARTS; i++) {
        if (!found->is_damaged[i]) assert_int_equal(found->replayed[i], states[i].submitted);
        else if (owners != NULL) assert_true(owners[i]);
    }
}

static void test_one_damaged_sector(void **state)
{
    (void)state;
    uint64_t damaged = 0, images = 0;
    for (size_t i = 0; i < place_count; i++) {
        bool owners[PARTS];
        owners_find(places[i], owners);
        for (int way = 0; way < WAYS; way++) {
            struct disk disk;
            struct found found;
            disk_copy(&disk, &told.disk);
            if (sector_damage(&disk, places[i], way)) {
                recover_check(&disk, owners, &found);
                for (int p = 0; p < PARTS; p++) damaged += found.is_damaged[p];
                images++;
            }
            disk_fini(&disk);
        }
    }
    print_message("%zu sectors, %llu images, %llu partitions damaged\n", place_count,
                  (unsigned long long)images, (unsigned long long)damaged);
    assert_true(damaged > images / 2); /* The log was not simply empty. */
}

static void test_two_damaged_sectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < place_count; i++) {
        for (size_t j = i + 1; j + 1 < place_count; j++) {
            struct disk disk;
            struct found found;
            disk_copy(&disk, &told.disk);
            (void)sector_damage(&disk, places[i], 0);
            (void)sector_damage(&disk, places[j], 1);
            recover_check(&disk, NULL, &found);
            disk_fini(&disk);
        }
    }
}

/* The doubt that two lost blocks leave is not forgotten by the next recovery. */
static void test_damage_is_told_again(void **state)
{
    (void)state;
    for (size_t i = 0; i + 3 < place_count; i++) {
        struct disk disk;
        struct found first, second;
        disk_copy(&disk, &told.disk);
        for (size_t j = i; j < i + 3; j++) (void)sector_damage(&disk, places[j], 0);
        recover_check(&disk, NULL, &first);
        recover_check(&disk, NULL, &second);
        assert_memory_equal(first.is_damaged, second.is_damaged, sizeof first.is_damaged);
        disk_fini(&disk);
    }
}

/* A whole segment disappears, not the newest: nobody who lost by it goes untold. */
static void test_missing_segment(void **state)
{
    (void)state;
    for (int i = 0; i < told.disk.name_count; i++) {
        const struct name *name = &told.disk.names[i];
        if (strncmp(name->path, "/log/log.", 9) != 0) continue;
        if (name->file == places[place_count - 1].file) continue;
        struct disk disk;
        struct found found;
        disk_copy(&disk, &told.disk);
        disk.names[i] = disk.names[--disk.name_count];
        recover_check(&disk, NULL, &found);
        disk_fini(&disk);
    }
}

/* 'part' is there again: whole, or damaged and it says so. Another that has lost nothing is whole too. */
static void returned_check(struct disk *disk, const struct state flushed[PARTS], int part,
                           const bool *owners, uint64_t *damaged)
{
    struct found found;
    story_recover(disk, LOG_SYNC_GROUP, flushed, false, &found);
    assert_int_equal(found.rc, 0);
    if (!found.is_damaged[part]) assert_int_equal(found.replayed[part], states[part].submitted);
    for (int i = 0; i < PARTS; i++) assert_false(found.is_damaged[i] && !owners[i]);
    *damaged += found.is_damaged[part];
}

/* The damage is met while one replica is set aside. What can be read of it moves, and the damaged segments
 * go; what could not is still known to be missing when it is there again. */
static void test_one_damaged_sector_and_one_set_aside(void **state)
{
    (void)state;
    uint64_t damaged = 0;
    for (size_t i = 0; i < place_count; i++) {
        bool owners[PARTS];
        owners_find(places[i], owners);
        for (int part = 0; part < PARTS; part++) {
            struct disk disk;
            struct found found;
            struct state flushed[PARTS];
            size_t flushed_at;
            memcpy(flushed, states, sizeof flushed);
            disk_copy(&disk, &told.disk);
            (void)sector_damage(&disk, places[i], (int)(i % WAYS));
            story_set_aside(&disk, LOG_SYNC_GROUP, part, flushed, &flushed_at, &found);
            assert_int_equal(found.rc, 0);
            returned_check(&disk, flushed, part, owners, &damaged);
            disk_fini(&disk);
        }
    }
    print_message("%llu partitions damaged\n", (unsigned long long)damaged);
    assert_true(damaged > place_count / 4);
}

/* A sector of a backlog file is damaged, or the file is lost, before its replica is there again. */
static void test_damaged_backlog_of_a_set_aside(void **state)
{
    (void)state;
    uint64_t damaged = 0, files = 0;
    for (int part = 0; part < PARTS; part++) {
        struct disk aside;
        struct found found;
        struct state flushed[PARTS];
        size_t flushed_at;
        bool owners[PARTS] = {false};
        owners[part] = true;
        memcpy(flushed, states, sizeof flushed);
        disk_copy(&aside, &told.disk);
        story_set_aside(&aside, LOG_SYNC_GROUP, part, flushed, &flushed_at, &found);
        for (int i = 0; i < aside.name_count; i++) {
            const struct name *name = &aside.names[i];
            if (strncmp(name->path, "/log/backlog/", 13) != 0) continue;
            files++;
            size_t size = aside.files[name->file].size;
            for (uint32_t at = 0; at <= size; at += DISK_SECTOR) {
                struct disk disk;
                disk_copy(&disk, &aside);
                if (at < size) (void)sector_damage(&disk, (struct place){name->file, 0, at}, 0);
                else disk.names[i] = disk.names[--disk.name_count];
                returned_check(&disk, flushed, part, owners, &damaged);
                disk_fini(&disk);
            }
        }
        disk_fini(&aside);
    }
    print_message("%llu files, %llu times damaged\n", (unsigned long long)files,
                  (unsigned long long)damaged);
    assert_true(files > 0 && damaged > files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_damaged_sector),
        cmocka_unit_test(test_two_damaged_sectors),
        cmocka_unit_test(test_damage_is_told_again),
        cmocka_unit_test(test_missing_segment),
        cmocka_unit_test(test_one_damaged_sector_and_one_set_aside),
        cmocka_unit_test(test_damaged_backlog_of_a_set_aside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
