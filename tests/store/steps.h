/* tests/store/steps.h: the short sentences in which the stories are told. A row is written as
 * "hash:sort". */
#pragma once
#include "store/world.h"
#include "wire/value.h"

/* One write of one row; without a head it has no expiry and a timetag of zero. */
void put(struct store *s, uint64_t decree, const char *hash, const char *sort, const char *data);
void put_head(struct store *s, uint64_t decree, const char *hash, const char *sort,
              struct value_head head, const char *data);
void batch_put(struct store_batch *b, const char *hash, const char *sort, const char *data);
void batch_delete(struct store_batch *b, const char *hash, const char *sort);

int get(struct store *s, const char *hash, const char *sort, struct store_value *out);

/* The row has this data; NULL: there is no such row. */
void expect(struct store *s, const char *hash, const char *sort, const char *data);
void expect_head(struct store *s, const char *hash, const char *sort, struct value_head head,
                 const char *data);
void expect_bytes(struct store *s, struct slice raw_key, struct slice value);

/* Over the rows of 'hash' with sort keys below 'sort_end' (NULL: all); hash NULL: over
 * everything. */
struct store_iter *walk(struct store *s, const char *hash, const char *sort_end);
void seek(struct store_iter *it, const char *hash, const char *sort);
void seek_last(struct store_iter *it, const char *hash, const char *sort);

/* From here on, these rows and no more: "a:1 a:2". */
void expect_forward(struct store_iter *it, const char *rows);
void expect_backward(struct store_iter *it, const char *rows);
void expect_at(struct store_iter *it, const char *row);
