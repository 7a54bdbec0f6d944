/* sim/store/pmap.c: a treap with counted references. A node that only one map reaches is changed
 * where it lies; any other is copied first (writable()). Functions that return a node take the
 * reference they are given and give one back. */
#include "sim/store/pmap.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/crc.h"

struct pmap_node {
    uint32_t refs;
    uint64_t priority; /* Never smaller than those of the children. */
    struct row *row;
    struct pmap_node *left, *right;
};

/* ---- Rows ------------------------------------------------------------------------------------ */

static uint8_t *copy_to(uint8_t *to, struct slice from)
{
    if (from.size > 0) memcpy(to, from.data, from.size);
    return to + from.size;
}

struct row *row_new(struct slice key, struct slice head, struct slice body)
{
    struct row *row = malloc(sizeof *row + key.size + head.size + body.size);
    CHECK(row != NULL);
    uint8_t *value = copy_to(row->bytes, key);
    copy_to(copy_to(value, head), body);
    row->refs = 1;
    row->key = slice_of(row->bytes, key.size);
    row->value = slice_of(value, head.size + body.size);
    return row;
}

struct row *row_ref(struct row *row)
{
    row->refs++;
    return row;
}

void row_unref(struct row *row)
{
    if (row != NULL && --row->refs == 0) free(row);
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static struct pmap_node *ref(struct pmap_node *n)
{
    if (n != NULL) n->refs++;
    return n;
}

static void unref(struct pmap_node *n)
{
    if (n == NULL || --n->refs > 0) return;
    unref(n->left);
    unref(n->right);
    row_unref(n->row);
    free(n);
}

static struct pmap_node *node_new(struct row *row, uint64_t priority, struct pmap_node *left,
                                  struct pmap_node *right)
{
    struct pmap_node *n = malloc(sizeof *n);
    CHECK(n != NULL);
    *n = (struct pmap_node){1, priority, row_ref(row), left, right};
    return n;
}

/* The node itself when nobody else has it, else a copy. */
static struct pmap_node *writable(struct pmap_node *n)
{
    if (n->refs == 1) return n;
    struct pmap_node *copy = node_new(n->row, n->priority, ref(n->left), ref(n->right));
    unref(n);
    return copy;
}

static struct pmap_node *lift_left(struct pmap_node *n)
{
    struct pmap_node *left = n->left;
    n->left = left->right;
    left->right = n;
    return left;
}

static struct pmap_node *lift_right(struct pmap_node *n)
{
    struct pmap_node *right = n->right;
    n->right = right->left;
    right->left = n;
    return right;
}

static struct pmap_node *insert(struct pmap_node *n, struct row *row, uint64_t priority)
{
    if (n == NULL) return node_new(row, priority, NULL, NULL);
    n = writable(n);
    int order = slice_compare(row->key, n->row->key);
    if (order == 0) {
        row_ref(row); /* First: it may be the very same. */
        row_unref(n->row);
        n->row = row;
        return n;
    }
    if (order < 0) {
        n->left = insert(n->left, row, priority);
        return n->left->priority > n->priority ? lift_left(n) : n;
    }
    n->right = insert(n->right, row, priority);
    return n->right->priority > n->priority ? lift_right(n) : n;
}

/* All of 'left' is below all of 'right'. */
static struct pmap_node *join(struct pmap_node *left, struct pmap_node *right)
{
    if (left == NULL) return right;
    if (right == NULL) return left;
    if (left->priority >= right->priority) {
        left = writable(left);
        left->right = join(left->right, right);
        return left;
    }
    right = writable(right);
    right->left = join(left, right->left);
    return right;
}

/* The key is there. */
static struct pmap_node *erase(struct pmap_node *n, struct slice key)
{
    n = writable(n);
    int order = slice_compare(key, n->row->key);
    if (order == 0) {
        struct pmap_node *left = n->left, *right = n->right;
        n->left = n->right = NULL;
        unref(n);
        return join(left, right);
    }
    if (order < 0) n->left = erase(n->left, key);
    else n->right = erase(n->right, key);
    return n;
}

/* ---- Maps ------------------------------------------------------------------------------------ */

struct pmap pmap_copy(struct pmap m)
{
    return (struct pmap){ref(m.root)};
}

void pmap_fini(struct pmap *m)
{
    unref(m->root);
    m->root = NULL;
}

void pmap_put(struct pmap *m, struct row *row)
{
    m->root = insert(m->root, row, crc64(row->key.data, row->key.size));
}

void pmap_remove(struct pmap *m, struct slice key)
{
    if (pmap_find(*m, key) != NULL) m->root = erase(m->root, key);
}

/* The row nearest to 'key' on one side of it, or at it when 'is_at_fine'. */
static struct row *nearest(struct pmap m, struct slice key, bool is_above, bool is_at_fine)
{
    struct row *best = NULL;
    for (struct pmap_node *n = m.root; n != NULL;) {
        int order = slice_compare(n->row->key, key);
        if (order == 0 && is_at_fine) return n->row;
        bool fits = is_above ? order > 0 : order < 0;
        if (fits) best = n->row;
        n = fits == is_above ? n->left : n->right;
    }
    return best;
}

struct row *pmap_find(struct pmap m, struct slice key)
{
    struct row *row = pmap_at_or_after(m, key);
    return row != NULL && slice_equal(row->key, key) ? row : NULL;
}

struct row *pmap_first(struct pmap m)
{
    return pmap_at_or_after(m, slice_of(NULL, 0));
}

struct row *pmap_last(struct pmap m)
{
    struct pmap_node *n = m.root;
    while (n != NULL && n->right != NULL) n = n->right;
    return n == NULL ? NULL : n->row;
}

struct row *pmap_at_or_after(struct pmap m, struct slice key)
{
    return nearest(m, key, true, true);
}

struct row *pmap_at_or_before(struct pmap m, struct slice key)
{
    return nearest(m, key, false, true);
}

struct row *pmap_after(struct pmap m, struct slice key)
{
    return nearest(m, key, true, false);
}

struct row *pmap_before(struct pmap m, struct slice key)
{
    return nearest(m, key, false, false);
}

static void add_sizes(const struct pmap_node *n, struct pmap_size *sum)
{
    if (n == NULL) return;
    add_sizes(n->left, sum);
    sum->count++;
    sum->bytes += n->row->key.size + n->row->value.size;
    add_sizes(n->right, sum);
}

struct pmap_size pmap_size(struct pmap m)
{
    struct pmap_size sum = {0, 0};
    add_sizes(m.root, &sum);
    return sum;
}
