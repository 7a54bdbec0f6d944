/* tests/store/steps.c: see steps.h. */
#include "store/steps.h"

#include "base/buf.h"
#include "wire/key.h"

static struct buf raw_key(const char *hash, const char *sort)
{
    struct buf key = {0};
    key_append(&key, slice_str(hash), slice_str(sort));
    return key;
}

static void append(struct store_batch *b, const char *hash, const char *sort,
                   struct value_head head, const char *data)
{
    struct buf key = raw_key(hash, sort);
    uint8_t bytes[VALUE_HEAD_SIZE];
    value_head_write(bytes, head);
    store_batch_put(b, buf_slice(&key), slice_of(bytes, sizeof bytes), slice_str(data));
    buf_fini(&key);
}

void batch_put(struct store_batch *b, const char *hash, const char *sort, const char *data)
{
    append(b, hash, sort, (struct value_head){0, 0}, data);
}

void batch_delete(struct store_batch *b, const char *hash, const char *sort)
{
    struct buf key = raw_key(hash, sort);
    store_batch_delete(b, buf_slice(&key));
    buf_fini(&key);
}

void put_head(struct store *s, uint64_t decree, const char *hash, const char *sort,
              struct value_head head, const char *data)
{
    struct store_batch *b;
    assert_int_equal(store_batch_new(&b), 0);
    append(b, hash, sort, head, data);
    assert_int_equal(store_write(s, b, decree), 0);
    store_batch_free(b);
}

void put(struct store *s, uint64_t decree, const char *hash, const char *sort, const char *data)
{
    put_head(s, decree, hash, sort, (struct value_head){0, 0}, data);
}

int get(struct store *s, const char *hash, const char *sort, struct store_value *out)
{
    struct buf key = raw_key(hash, sort);
    int rc = store_get(s, buf_slice(&key), STORE_ANY, out);
    buf_fini(&key);
    return rc;
}

void expect(struct store *s, const char *hash, const char *sort, const char *data)
{
    struct store_value v = {0};
    int rc = get(s, hash, sort, &v);
    assert_int_equal(rc, data != NULL ? 0 : E_NOTFOUND);
    if (data != NULL)
        assert_true(slice_equal(slice_skip(v.bytes, VALUE_HEAD_SIZE), slice_str(data)));
    store_value_release(&v);
}

void expect_head(struct store *s, const char *hash, const char *sort, struct value_head head,
                 const char *data)
{
    struct store_value v;
    struct value_head found = {0, 0};
    struct slice found_data = {NULL, 0};
    assert_int_equal(get(s, hash, sort, &v), 0);
    assert_int_equal(value_split(v.bytes, &found, &found_data), 0);
    assert_int_equal(found.expire_ts, head.expire_ts);
    assert_int_equal(found.timetag, head.timetag);
    assert_true(slice_equal(found_data, slice_str(data)));
    store_value_release(&v);
}

void expect_bytes(struct store *s, struct slice key, struct slice value)
{
    struct store_value v;
    assert_int_equal(store_get(s, key, STORE_ANY, &v), 0);
    assert_true(slice_equal(v.bytes, value));
    store_value_release(&v);
}

struct store_iter *walk(struct store *s, const char *hash, const char *sort_end)
{
    struct store_iter *it;
    struct buf lower = {0}, upper = {0};
    if (hash != NULL) {
        lower = raw_key(hash, "");
        upper = raw_key(hash, sort_end != NULL ? sort_end : "");
        if (sort_end == NULL) key_successor(&upper);
    }
    assert_int_equal(store_iter_open(s, buf_slice(&lower), buf_slice(&upper), STORE_ANY, &it), 0);
    buf_fini(&lower);
    buf_fini(&upper);
    return it;
}

void seek(struct store_iter *it, const char *hash, const char *sort)
{
    struct buf key = raw_key(hash, sort);
    store_iter_seek(it, buf_slice(&key));
    buf_fini(&key);
}

void seek_last(struct store_iter *it, const char *hash, const char *sort)
{
    struct buf key = raw_key(hash, sort);
    store_iter_seek_last(it, buf_slice(&key));
    buf_fini(&key);
}

static void append_row(struct buf *text, struct slice key)
{
    struct key_parts parts = {{NULL, 0}, {NULL, 0}};
    assert_int_equal(key_split(key, &parts), 0);
    if (text->size > 0) buf_append_str(text, " ");
    buf_append_slice(text, parts.hash_key);
    buf_append_str(text, ":");
    buf_append_slice(text, parts.sort_key);
}

static void expect_walk(struct store_iter *it, const char *rows, void (*step)(struct store_iter *))
{
    struct buf text = {0};
    for (; store_iter_is_valid(it); step(it)) append_row(&text, store_iter_key(it));
    assert_int_equal(store_iter_status(it), 0);
    buf_append_u8(&text, 0);
    assert_string_equal((const char *)text.data, rows);
    buf_fini(&text);
}

void expect_forward(struct store_iter *it, const char *rows)
{
    expect_walk(it, rows, store_iter_next);
}

void expect_backward(struct store_iter *it, const char *rows)
{
    expect_walk(it, rows, store_iter_prev);
}

void expect_at(struct store_iter *it, const char *row)
{
    struct buf text = {0};
    assert_true(store_iter_is_valid(it));
    append_row(&text, store_iter_key(it));
    buf_append_u8(&text, 0);
    assert_string_equal((const char *)text.data, row);
    buf_fini(&text);
}
