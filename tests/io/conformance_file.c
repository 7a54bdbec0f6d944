/* tests/io/conformance_file.c: files, directories, locks and names. */
#include "io/conformance_impl.h"

enum { PATH_SIZE = 512 };

/* "DIR/name" in the world's directory. */
struct path {
    char text[PATH_SIZE];
};

static struct path in_dir(struct io *io, const char *name)
{
    struct path path;
    (void)snprintf(path.text, sizeof path.text, "%s/%s", world_dir(io), name);
    return path;
}

static struct io_file *file_make(struct io *io, const char *name, const char *content)
{
    struct io_file *file = NULL;
    EXPECT(io_file_open(io, in_dir(io, name).text, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE,
                        &file) == 0);
    struct slice piece = slice_str(content);
    EXPECT(io_file_write(file, 0, &piece, 1) == 0);
    return file;
}

static void expect_content(struct io_file *file, uint64_t offset, const char *expected)
{
    char got[64];
    size_t size = 0;
    EXPECT(io_file_read(file, offset, got, sizeof got, &size) == 0);
    EXPECT(slice_is(slice_of(got, size), expected));
}

/* ---- Files ----------------------------------------------------------------------------------- */

static void pieces_story(void *context)
{
    struct io *io = context;
    struct io_file *file = file_make(io, "pieces", "0123456789");
    const struct slice pieces[] = {slice_str("ab"), slice_of(NULL, 0), slice_str("cde"),
                                   slice_str("f")};
    EXPECT(io_file_write(file, 3, pieces, 4) == 0);
    EXPECT(io_file_write(file, 0, pieces, 0) == 0);
    expect_content(file, 0, "012abcdef9");
    expect_content(file, 8, "f9");
    expect_content(file, 10, "");
    expect_content(file, 1000, "");

    uint64_t size = 0;
    EXPECT(io_file_sync(file) == 0);
    EXPECT(io_file_size(file, &size) == 0 && size == 10);
    EXPECT(io_file_truncate(file, 4) == 0);
    expect_content(file, 0, "012a");
    EXPECT(io_file_write(file, 6, pieces, 1) == 0); /* Behind the end: zeros between. */
    char got[8] = {0};
    size_t got_size = 0;
    EXPECT(io_file_read(file, 0, got, sizeof got, &got_size) == 0 && got_size == 8);
    EXPECT(memcmp(got, "012a\0\0ab", 8) == 0);
    io_file_close(file);
    io_file_close(NULL);
}

/* Pieces are written one behind the other at any offset; reading stops at the end only. */
static void test_pieces_are_written_in_order(void **state)
{
    world_do(*state, pieces_story, *state);
}

enum { MANY = 300, PIECE_SIZE = 4096 };

static void many_pieces_story(void *context)
{
    struct io *io = context;
    static uint8_t bytes[MANY * PIECE_SIZE], got[sizeof bytes + 1];
    static struct slice pieces[MANY];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < MANY; i++) pieces[i] = slice_of(bytes + i * PIECE_SIZE, PIECE_SIZE);
    struct io_file *file = file_make(io, "many", "");
    size_t size = 0;
    EXPECT(io_file_write(file, 0, pieces, MANY) == 0);
    EXPECT(io_file_read(file, 0, got, sizeof got, &size) == 0);
    EXPECT(size == sizeof bytes);
    EXPECT(memcmp(got, bytes, sizeof bytes) == 0);
    io_file_close(file);
}

/* More pieces than any system takes at once. */
static void test_many_pieces(void **state)
{
    world_do(*state, many_pieces_story, *state);
}

static void open_flags_story(void *context)
{
    struct io *io = context;
    struct io_file *file = NULL;
    const struct path path = in_dir(io, "flags"), deep = in_dir(io, "absent/flags");
    EXPECT(io_file_open(io, path.text, IO_OPEN_READ, &file) == E_NOTFOUND);
    EXPECT(io_file_open(io, deep.text, IO_OPEN_WRITE | IO_OPEN_CREATE, &file) == E_NOTFOUND);
    EXPECT(file == NULL);
    const unsigned fresh = IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE;
    EXPECT(io_file_open(io, path.text, fresh, &file) == 0);
    struct slice piece = slice_str("kept");
    EXPECT(io_file_write(file, 0, &piece, 1) == 0);
    io_file_close(file);
    file = NULL;
    EXPECT(io_file_open(io, path.text, fresh, &file) == E_EXISTS);
    EXPECT(io_file_open(io, path.text, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &file) == 0);
    expect_content(file, 0, "kept"); /* CREATE of what is there changes nothing. */
    io_file_close(file);
}

/* What the flags of opening promise. */
static void test_open_flags(void **state)
{
    world_do(*state, open_flags_story, *state);
}

/* ---- Directories ----------------------------------------------------------------------------- */

static void collect_name(void *context, const char *name)
{
    char *names = context;
    size_t size = strlen(names);
    (void)snprintf(names + size, PATH_SIZE - size, "%s ", name);
}

static void expect_names(struct io *io, const char *path, const char *expected)
{
    char names[PATH_SIZE] = "";
    EXPECT(io_dir_list(io, path, collect_name, names) == 0);
    EXPECT(strcmp(names, expected) == 0);
}

static void directory_story(void *context)
{
    struct io *io = context;
    const struct path dir = in_dir(io, "d"), deep = in_dir(io, "d/e/f"), a = in_dir(io, "d/a"),
                      b = in_dir(io, "d/B"), c = in_dir(io, "d/c");
    EXPECT(io_dir_list(io, dir.text, collect_name, NULL) == E_NOTFOUND);
    EXPECT(io_dir_sync(io, dir.text) == E_NOTFOUND);
    EXPECT(io_dir_make(io, deep.text) == 0);
    EXPECT(io_dir_make(io, deep.text) == 0);
    io_file_close(file_make(io, "d/c", "new"));
    io_file_close(file_make(io, "d/a", "old"));
    io_file_close(file_make(io, "d/B", ""));
    expect_names(io, dir.text, "B a c e "); /* Byte order: capitals first. */

    EXPECT(io_rename(io, c.text, a.text) == 0); /* Replaces. */
    EXPECT(io_rename(io, c.text, a.text) == E_NOTFOUND);
    EXPECT(io_unlink(io, b.text) == 0);
    EXPECT(io_unlink(io, b.text) == E_NOTFOUND);
    EXPECT(io_dir_sync(io, dir.text) == 0);
    expect_names(io, dir.text, "a e ");
    struct io_file *file = NULL;
    EXPECT(io_file_open(io, a.text, IO_OPEN_READ, &file) == 0);
    expect_content(file, 0, "new");
    io_file_close(file);

    io_file_close(file_make(io, "d/e/f/deep", "x"));
    EXPECT(io_dir_remove(io, dir.text) == 0);
    EXPECT(io_dir_remove(io, dir.text) == 0); /* Fine when absent. */
    EXPECT(io_dir_list(io, dir.text, collect_name, NULL) == E_NOTFOUND);
}

/* Directories are made with parents, listed in byte order, and removed with all below. */
static void test_directories(void **state)
{
    world_do(*state, directory_story, *state);
}

static void renamed_while_open_story(void *context)
{
    struct io *io = context;
    struct io_file *file = file_make(io, "before", "one");
    EXPECT(io_rename(io, in_dir(io, "before").text, in_dir(io, "after").text) == 0);
    struct slice piece = slice_str("two");
    EXPECT(io_file_write(file, 3, &piece, 1) == 0);
    io_file_close(file);
    EXPECT(io_file_open(io, in_dir(io, "after").text, IO_OPEN_READ, &file) == 0);
    expect_content(file, 0, "onetwo");
    EXPECT(io_unlink(io, in_dir(io, "after").text) == 0);
    expect_content(file, 0, "onetwo"); /* Who has it open goes on reading. */
    io_file_close(file);
}

/* An open file stays itself, whatever becomes of its name. */
static void test_open_file_outlives_its_name(void **state)
{
    world_do(*state, renamed_while_open_story, *state);
}

static void disk_space_story(void *context)
{
    struct io *io = context;
    uint64_t free_size = 0, total_size = 0;
    EXPECT(io_disk_space(io, world_dir(io), &free_size, &total_size) == 0);
    EXPECT(total_size > 0 && free_size <= total_size);
    EXPECT(io_disk_space(io, in_dir(io, "absent").text, &free_size, &total_size) == E_NOTFOUND);
}

static void test_disk_space(void **state)
{
    world_do(*state, disk_space_story, *state);
}

/* ---- Locks and names ------------------------------------------------------------------------- */

static void lock_story(void *context)
{
    struct io *io = context;
    const struct path lock = in_dir(io, "LOCK"), other = in_dir(io, "OTHER");
    EXPECT(io_lock(io, lock.text) == 0);
    EXPECT(io_lock(io, lock.text) == E_BUSY);
    EXPECT(io_lock(io, other.text) == 0);
}

/* A lock is taken once, and another path is another lock. */
static void test_lock_is_exclusive(void **state)
{
    world_do(*state, lock_story, *state);
}

static void resolve_story(void *context)
{
    struct io *io = context;
    struct io_address at = {0};
    EXPECT(io_resolve(io, "127.0.0.1:34601", &at) == 0);
    EXPECT(at.ipv4 == 0x7f000001 && at.port == 34601);
    static const char *const malformed[] = {"",
                                            ":",
                                            "127.0.0.1",
                                            "127.0.0.1:",
                                            ":34601",
                                            "127.0.0.1:0",
                                            "127.0.0.1:65536",
                                            "127.0.0.1:-1",
                                            "127.0.0.1:1x",
                                            "127.0.0.1:123456"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        EXPECT(io_resolve(io, malformed[i], &at) == E_INVALID);
    EXPECT(io_resolve(io, "no-such-host.invalid:1", &at) == E_NOTFOUND);
    EXPECT(at.port == 34601); /* Untouched on failure. */
}

static void test_resolve(void **state)
{
    world_do(*state, resolve_story, *state);
}

static void test_address_print(void **state)
{
    (void)state;
    char text[IO_ADDRESS_TEXT_SIZE];
    io_address_print((struct io_address){0x7f000001, 34601}, text);
    assert_string_equal(text, "127.0.0.1:34601");
    io_address_print((struct io_address){0xffffffff, 65535}, text);
    assert_string_equal(text, "255.255.255.255:65535");
}

int file_stories_run(void)
{
    const struct CMUnitTest stories[] = {
        STORY(test_pieces_are_written_in_order),
        STORY(test_many_pieces),
        STORY(test_open_flags),
        STORY(test_directories),
        STORY(test_open_file_outlives_its_name),
        STORY(test_disk_space),
        STORY(test_lock_is_exclusive),
        STORY(test_resolve),
        STORY(test_address_print),
    };
    return cmocka_run_group_tests_name("io: files", stories, NULL, NULL);
}
