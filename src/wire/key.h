/* src/wire/key.h: how a hash key and a sort key make one raw key, and which partition it falls to.
 *
 *     u16 big-endian hash key size | hash key | sort key
 *
 * Raw keys are ordered as bytes: by hash key size, then hash key, then sort key. The partition is
 * crc64(hash key) mod count; with an empty hash key the sort key is hashed instead.
 * Source: docs/routing.md, rules R1 to R3. Pure. */
#pragma once
#include "base/buf.h"
#include "base/crc.h"
#include "base/slice.h"

enum {
    KEY_HEAD_SIZE = 2,
    KEY_HASH_SIZE_MAX = 65534, /* 65535 is what a client sends that did not check. */
};

/* The parts of a raw key; they borrow from it. */
struct key_parts {
    struct slice hash_key;
    struct slice sort_key;
};

/* Split a raw key. Returns 0; E_SHORT when it is shorter than its own length says. */
static inline int key_split(struct slice raw, struct key_parts *out)
{
    if (raw.size < KEY_HEAD_SIZE) return E_SHORT;
    size_t hash_size = bytes_get_be16(raw.data);
    if (hash_size > KEY_HASH_SIZE_MAX || raw.size - KEY_HEAD_SIZE < hash_size) return E_SHORT;
    out->hash_key = slice_of(raw.data + KEY_HEAD_SIZE, hash_size);
    out->sort_key = slice_skip(raw, KEY_HEAD_SIZE + hash_size);
    return 0;
}

/* Append the raw key. The hash key has at most KEY_HASH_SIZE_MAX bytes: the caller has checked. */
static inline void key_append(struct buf *to, struct slice hash_key, struct slice sort_key)
{
    buf_append_be16(to, (uint16_t)hash_key.size);
    buf_append_slice(to, hash_key);
    buf_append_slice(to, sort_key);
}

static inline uint64_t key_parts_hash(struct slice hash_key, struct slice sort_key)
{
    struct slice hashed = hash_key.size > 0 ? hash_key : sort_key;
    return crc64(hashed.data, hashed.size);
}

/* The hash of a raw key that key_split() accepts; 0 for one that it does not. */
static inline uint64_t key_hash(struct slice raw)
{
    struct key_parts parts;
    return key_split(raw, &parts) == 0 ? key_parts_hash(parts.hash_key, parts.sort_key) : 0;
}

/* Turn 'b' into the first key after all keys that begin with it: the last byte below 0xff grows by
 * one and the rest is dropped. All bytes 0xff: 'b' becomes empty, which stands for "no end". */
static inline void key_successor(struct buf *b)
{
    while (b->size > 0 && b->data[b->size - 1] == 0xff) b->size--;
    if (b->size > 0) b->data[b->size - 1]++;
}
