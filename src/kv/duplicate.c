/* src/kv/duplicate.c: writes that were made on another cluster.
 *
 *     entries -> items, each with the timetag of its origin -> those that beat what is stored -> ops
 *
 * What can be wrong with them, and what the source is told (docs/decisions/refused-entries.md):
 *
 *     an entry that can never be taken           another Pirene: its index; it parks that one and goes on
 *     (unknown task code, malformed, no time)    Pegasus: ERR_INVALID_STATE; it asks again, and waits
 *     a matter of configuration                  another Pirene: try again, and why
 *     (unknown cluster, our own id, wrong        Pegasus: ERR_INVALID_STATE
 *     partition)
 *
 * Never status 4: it ends the process of a Pegasus server that sent the request. */
#include "kv/item.h"

#include "base/mark.h"
#include "wire/key.h"

/* A timetag has 56 bits for it. Half of them (until the year 3111) may come from elsewhere: then our own
 * clock, which never goes below what it has seen, always has times left to give out. */
#define TIMESTAMP_END (INT64_C(1) << 55)

/* ---- Reading ---- */

/* Make items of one entry's argument. Returns 0, '*bad' saying what is wrong with it; E_LIMIT, E_NOMEM;
 * or what thrift_read_args() returns. */
static int argument_read(struct kv_write *w, enum rpc_code rpc, struct slice bytes,
                         const char **bad)
{
    union {
        struct update_request put;
        struct bare_blob remove;
        struct multi_put_request multi_put;
        struct multi_remove_request multi_remove;
    } args;
    int rc = thrift_read_args(bytes, rpc_info(rpc)->request, &args, w->arena);
    if (rc != 0) {
        if (rc == E_NOMEM) return rc;
        *bad = err_text(rc);
        return 0;
    }
    switch (rpc) {
    case RPC_PUT:
        rc = kv_items_of_put(w, &args.put, bad);
        if (rc == 0 && *bad == NULL && args.put.type == UPDATE_CHECK_AND_MUTATE_REMOVE)
            w->items[w->item_count - 1].is_delete = true;
        return rc;
    case RPC_REMOVE: return kv_items_of_remove(w, &args.remove, bad);
    case RPC_MULTI_PUT:
        /* The source logs and ships such mistakes of its clients, and must get rid of them. */
        if (args.multi_put.kvs.count == 0) return 0;
        return kv_items_of_multi_put(w, &args.multi_put, bad);
    default:
        if (args.multi_remove.sort_keys.count == 0) return 0;
        return kv_items_of_multi_remove(w, &args.multi_remove, bad);
    }
}

static const char *entry_flaw(const struct duplicate_entry *entry, enum rpc_code rpc)
{
    if (rpc != RPC_PUT && rpc != RPC_REMOVE && rpc != RPC_MULTI_PUT && rpc != RPC_MULTI_REMOVE)
        return "unrecognized task code";
    if (entry->timestamp <= 0 || entry->timestamp >= TIMESTAMP_END) return "timestamp out of range";
    return entry->cluster_id < 0 ? "cluster id out of range" : NULL;
}

/* Make items of one entry, or note that it is refused. Returns 0, E_LIMIT or E_NOMEM. */
static int entry_read(struct kv_write *w, uint32_t index)
{
    const struct duplicate_entry *entry = &w->args.duplicate.entries.items[index];
    enum rpc_code rpc = rpc_find(entry->task_code);
    uint32_t first = w->item_count;
    const char *bad = entry_flaw(entry, rpc);
    int rc = bad == NULL ? argument_read(w, rpc, entry->raw_message, &bad) : 0;
    if (rc != 0) return rc;
    if (bad != NULL) {
        MARK("duplicated entry refused");
        if (w->bad_entries.count++ == 0) {
            w->bad_entries.first = index;
            w->bad_entries.reason = bad;
        }
        return 0;
    }
    kv_sources_add(&w->origins, (uint8_t)entry->cluster_id);
    for (uint32_t i = first; i < w->item_count; i++) {
        struct kv_item *item = &w->items[i];
        item->entry = index;
        item->timetag =
            timetag_make((uint64_t)entry->timestamp, (uint8_t)entry->cluster_id, item->is_delete);
    }
    return 0;
}

int kv_duplicate_read(struct kv_write *w)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < w->args.duplicate.entries.count; i++) rc = entry_read(w, i);
    return rc;
}

/* ---- Evaluating ---- */

static bool is_from_pirene(const struct kv_write *w)
{
    return (w->args.duplicate.set & DUPLICATE_REQUEST_HAS_VERSION) != 0;
}

static const char *origins_flaw(const struct kv_sources *origins, const struct kv_partition *p)
{
    struct kv_sources own = {0};
    kv_sources_add(&own, p->cluster_id);
    for (size_t i = 0; i < KV_CLUSTER_COUNT / 64; i++) {
        if ((origins->accepted[i] & own.accepted[i]) != 0) return "self-duplicating";
        if (!p->sources.are_all_accepted && (origins->accepted[i] & ~p->sources.accepted[i]) != 0)
            return "request cluster id is unconfigured";
    }
    return NULL;
}

/* A row in a partition that its key does not belong to would be found by nobody. */
static const char *route_flaw(const struct kv_write *w, const struct kv_partition *p)
{
    for (uint32_t i = 0; p->count > 0 && i < w->item_count; i++)
        if (key_hash(w->items[i].key) % p->count != p->index) return "key of another partition";
    return NULL;
}

/* Not now, or not before somebody has changed a configuration. */
static int put_off(struct kv_write *w, const char *reason)
{
    w->reason = reason;
    if (!is_from_pirene(w)) return E_REFUSED;
    w->status = RRDB_TRY_AGAIN;
    return 0;
}

/* The timetag that an item must beat. Tombstones count, and so do expired rows: what they tell about
 * time holds as long as they are kept. */
static uint64_t stored_timetag(const struct kv_row *row, const struct kv_context *c)
{
    (void)c;
#ifdef MUT_expired_is_absent
    if (!timetag_is_deleted(row->timetag) && !kv_row_is_live(row, c->now_s)) return 0;
#endif
    return row->timetag;
}

/* Later than everything that the partition has seen: it wins unread. That is what most entries are, as
 * long as they come in order and nobody writes here. */
static bool is_newest(const struct kv_item *item, const struct kv_context *c)
{
    return c->newest_us != 0 && timetag_timestamp_us(item->timetag) > c->newest_us;
}

/* Find out which items are news. All of them are looked at, so that all missing keys are known.
 * Returns 0, E_AGAIN, E_NOMEM, E_CORRUPT, E_IO. */
static int items_compare(struct kv_write *w, const struct kv_context *c, struct kv_view *view)
{
    bool is_missing = false;
    for (uint32_t i = 0; i < w->item_count; i++) {
        struct kv_item *item = &w->items[i];
        if (item->is_superseded) continue;
        if (is_newest(item, c)) {
            MARK("LWW decided unread");
            item->is_news = true;
            item->is_missing = false;
            continue;
        }
        struct kv_row row;
        int rc = view->lookup(view, item->key, &row);
        if (rc != 0 && rc != E_NOTFOUND && rc != E_AGAIN) return rc;
        item->is_missing = rc == E_AGAIN;
        item->is_news = rc == E_NOTFOUND || (rc == 0 && item->timetag > stored_timetag(&row, c));
        is_missing |= item->is_missing;
    }
    return is_missing ? E_AGAIN : 0;
}

/* Good entries are taken either way. One bad entry is named, and the source may go on without it. Of
 * more only the first can be named, so that the rest must not count as taken. */
static void report_refused(struct kv_write *w)
{
    if (w->bad_entries.count == 0) return;
    w->reason = w->bad_entries.reason;
    if (w->bad_entries.count > 1) w->status = RRDB_NOT_SUPPORTED;
}

int kv_duplicate_evaluate(struct kv_write *w, const struct kv_context *c, struct kv_view *view,
                          struct buf *ops)
{
    const char *flaw = origins_flaw(&w->origins, c->partition);
    if (flaw == NULL) flaw = route_flaw(w, c->partition);
    if (flaw == NULL && !is_from_pirene(w)) flaw = w->bad_entries.reason;
    if (flaw != NULL) return put_off(w, flaw);

    int rc = items_compare(w, c, view);
    if (rc == E_CORRUPT || rc == E_IO) {
        w->status = kv_status_of(rc);
        w->reason = err_text(rc);
        return 0;
    }
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < w->item_count; i++) {
        const struct kv_item *item = &w->items[i];
        if (item->is_superseded) continue;
        if (!item->is_news) {
            MARK("LWW rejected older");
            continue;
        }
        kv_item_write(item, c, item->timetag, ops);
        w->has_effects = true;
    }
    report_refused(w);
    return 0;
}
