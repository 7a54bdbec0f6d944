/* src/kv/atomic.c: INCR, CHECK_AND_SET and CHECK_AND_MUTATE: look at one key, decide, write plain puts
 * and deletes. Source: docs/data.md, rules E7 and E8. */
#include "kv/item.h"
#include "kv/match.h"
#include "kv/number.h"
#include "kv/range.h"
#include "wire/key.h"

/* The live value of 'read_key', NULL in '*value' when there is none. Returns 0, E_AGAIN, E_NOMEM; a
 * store's failure is an outcome: 'status' is set and '*is_decided'. */
static int look(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                struct kv_row *row, bool *exists, bool *is_decided)
{
    *exists = *is_decided = false;
    int rc = view->lookup(view, w->read_key, row);
    w->is_read_key_missing = rc == E_AGAIN;
    if (rc == E_AGAIN || rc == E_NOMEM) return rc;
    if (rc != 0 && rc != E_NOTFOUND) {
        w->status = kv_status_of(rc);
        w->reason = err_text(rc);
        *is_decided = true;
    }
    *exists = rc == 0 && kv_row_is_live(row, c->now_s);
    return 0;
}

static int refuse(struct kv_write *w, const char *reason)
{
    w->status = RRDB_INVALID_ARGUMENT;
    w->reason = reason;
    return 0;
}

/* ---- INCR ---- */

int kv_incr_read(struct kv_write *w)
{
    struct key_parts parts;
    const struct incr_request *incr = &w->args.incr;
    w->read_key = incr->key;
    if (key_split(incr->key, &parts) != 0) w->bad = "key is shorter than its length says";
    return kv_items_reserve(w, 1, incr->key.size, KV_NUMBER_SIZE);
}

/* In a request 0 keeps what is there and a negative number clears it. */
static uint32_t incr_expire(const struct incr_request *incr, bool exists, const struct kv_row *row)
{
    if (incr->expire_ts_seconds > 0) return (uint32_t)incr->expire_ts_seconds;
    return exists && incr->expire_ts_seconds == 0 ? row->expire_ts : 0;
}

int kv_incr_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                     struct buf *ops)
{
    const struct incr_request *incr = &w->args.incr;
    struct incr_response *response = &w->response.incr;
    struct kv_row row;
    bool exists, is_decided;
    int rc = look(w, c, view, &row, &exists, &is_decided);
    if (rc != 0 || is_decided) return rc;

    int64_t base = 0, sum;
    if (exists && row.data.size > 0 && kv_number_read(row.data, &base) != 0)
        return refuse(w, "value is not an integer");
    if (__builtin_add_overflow(base, incr->increment, &sum)) {
        response->new_value = base;
        return refuse(w, "sum is not an integer of 64 bits");
    }
    uint8_t text[KV_NUMBER_SIZE];
    struct kv_item item = {
        .key = incr->key,
        .data = slice_of(text, kv_number_write(sum, text)),
        .expire_ts = incr_expire(incr, exists, &row),
    };
    w->item_count = 0;
    kv_items_push(w, item);
    kv_items_write_own(w, c, ops);
    w->item_count = 0; /* 'text' is gone after this. */
    response->new_value = sum;
    return 0;
}

/* ---- Checks ---- */

struct check {
    int32_t type;
    struct slice operand;
    bool is_value_wanted;
};

/* What the two responses say about the value that was checked. */
struct checked {
    bool is_returned, exists;
    struct slice value;
};

static int check_key_read(struct kv_write *w, struct slice hash_key, struct slice sort_key)
{
    if (hash_key.size > KEY_HASH_SIZE_MAX) {
        w->bad = "hash key is too long";
        return 0;
    }
    return kv_key_join(w->arena, hash_key, sort_key, &w->read_key);
}

static int checked_fill(struct kv_write *w, const struct kv_row *row, bool exists,
                        struct checked *checked)
{
    checked->is_returned = true;
    checked->exists = exists;
    if (!exists || row->data.size == 0) return 0;
    /* The row is good until the next lookup only, and the answer is written much later. */
    void *copy = arena_copy(w->arena, row->data.data, row->data.size);
    if (copy == NULL) return E_NOMEM;
    checked->value = slice_of(copy, row->data.size);
    return 0;
}

static int check_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                          const struct check *check, struct checked *checked, struct buf *ops)
{
    struct kv_row row;
    bool exists, is_decided;
    int rc = look(w, c, view, &row, &exists, &is_decided);
    if (rc != 0 || is_decided) return rc;
    if (check->is_value_wanted) rc = checked_fill(w, &row, exists, checked);
    if (rc != 0) return rc;

    switch (kv_check(check->type, check->operand, exists ? &row.data : NULL)) {
    case 0: kv_items_write_own(w, c, ops); break;
    case E_REFUSED: w->status = RRDB_TRY_AGAIN; break;
    default: return refuse(w, "value or operand is not an integer");
    }
    return 0;
}

int kv_check_and_set_read(struct kv_write *w)
{
    const struct check_and_set_request *set = &w->args.check_and_set;
    if (!kv_check_is_known(set->check_type)) w->bad = "unknown check type";
    int rc = check_key_read(w, set->hash_key, set->check_sort_key);
    if (rc != 0 || w->bad != NULL) return rc;

    struct kv_item item = {
        .key = w->read_key,
        .data = set->set_value,
        .expire_ts = (uint32_t)set->set_expire_ts_seconds,
    };
    if (set->set_diff_sort_key)
        rc = kv_key_join(w->arena, set->hash_key, set->set_sort_key, &item.key);
    if (rc == 0) rc = kv_items_reserve(w, 1, item.key.size, item.data.size);
    if (rc == 0) kv_items_push(w, item);
    return rc;
}

int kv_check_and_set_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                              struct buf *ops)
{
    const struct check_and_set_request *set = &w->args.check_and_set;
    struct check check = {set->check_type, set->check_operand, set->return_check_value};
    struct checked checked = {0};
    int rc = check_evaluate(w, c, view, &check, &checked, ops);
    w->response.check_and_set = (struct check_and_set_response){
        .check_value_returned = checked.is_returned,
        .check_value_exist = checked.exists,
        .check_value = checked.value,
    };
    return rc;
}

static const char *mutate_list_flaw(const struct check_and_mutate_request *mutate)
{
    if (mutate->mutate_list.count == 0) return "list is empty";
    for (uint32_t i = 0; i < mutate->mutate_list.count; i++) {
        int32_t operation = mutate->mutate_list.items[i].operation;
        if (operation != MUTATE_PUT && operation != MUTATE_DELETE) return "unknown operation";
    }
    return kv_check_is_known(mutate->check_type) ? NULL : "unknown check type";
}

static int mutate_list_read(struct kv_write *w, const struct check_and_mutate_request *mutate)
{
    const struct mutate_list *list = &mutate->mutate_list;
    uint64_t key_size = (uint64_t)list->count * (KEY_HEAD_SIZE + mutate->hash_key.size);
    uint64_t data_size = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        key_size += list->items[i].sort_key.size;
        data_size += list->items[i].value.size;
    }
    int rc = kv_items_reserve(w, list->count, key_size, data_size);
    for (uint32_t i = 0; rc == 0 && i < list->count; i++) {
        const struct mutate *m = &list->items[i];
        struct kv_item *item = kv_items_push(w, (struct kv_item){
                                                    .data = m->value,
                                                    .expire_ts = (uint32_t)m->set_expire_ts_seconds,
                                                    .is_delete = m->operation == MUTATE_DELETE,
                                                });
        rc = kv_key_join(w->arena, mutate->hash_key, m->sort_key, &item->key);
    }
    return rc;
}

int kv_check_and_mutate_read(struct kv_write *w)
{
    const struct check_and_mutate_request *mutate = &w->args.check_and_mutate;
    w->bad = mutate_list_flaw(mutate);
    if (w->bad != NULL) return 0;
    int rc = check_key_read(w, mutate->hash_key, mutate->check_sort_key);
    if (rc != 0 || w->bad != NULL) return rc;
    return mutate_list_read(w, mutate);
}

int kv_check_and_mutate_evaluate(struct kv_write *w, const struct kv_context *c,
                                 struct kv_view *view, struct buf *ops)
{
    const struct check_and_mutate_request *mutate = &w->args.check_and_mutate;
    struct check check = {mutate->check_type, mutate->check_operand, mutate->return_check_value};
    struct checked checked = {0};
    int rc = check_evaluate(w, c, view, &check, &checked, ops);
    w->response.check_and_mutate = (struct check_and_mutate_response){
        .check_value_returned = checked.is_returned,
        .check_value_exist = checked.exists,
        .check_value = checked.value,
    };
    return rc;
}
