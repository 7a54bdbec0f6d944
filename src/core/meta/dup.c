/* src/core/meta/dup.c: duplications (docs/meta.md, rules M16 to M21).
 *
 *     add, with bootstrap      add, without
 *         |                        |
 *         v                        v       --pause-->
 *      PREPARE --advance--> APP --> LOG                PAUSE
 *                         confirm         <--start--
 *
 *     remove, from anywhere: the duplication is gone, and what was kept for it may go
 *
 * PREPARE  the remote table may not be there yet
 * APP      it is; some partition's old data is not over there yet (is_bootstrapped is false)
 * LOG      every partition is bootstrapped, which without bootstrap it is from the beginning
 * PAUSE    as LOG, but nothing is shipped; what is not confirmed is kept */
#include "core/meta/meta_impl.h"

#define NAME(text) (int)(text).size, (const char *)(text).data

static void set_status(struct meta_dup *dup, enum duplication_status status)
{
    dup->status = status;
    dup->fail_mode = FAIL_SLOW;
}

/* ---- Add ------------------------------------------------------------------------------------- */

/* Where a duplication is to go, as far as it is known without asking. */
struct target {
    struct slice cluster; /* Empty: only its metas are known. */
    struct slice metas;
    struct slice table;
};

static const struct meta_remote *remote_named(const struct meta *m, struct slice name)
{
    for (size_t i = 0; i < m->remote_count; i++) {
        if (slice_is(name, m->remotes[i].name)) return &m->remotes[i];
    }
    return NULL;
}

static const struct meta_remote *remote_at(const struct meta *m, struct slice metas)
{
    for (size_t i = 0; i < m->remote_count; i++) {
        if (slice_is(metas, m->remotes[i].metas)) return &m->remotes[i];
    }
    return NULL;
}

/* A name that is known here, or else an address list. */
static bool find_target(const struct meta *m, const struct meta_dup_add *add, struct target *out)
{
    const struct meta_remote *known = remote_named(m, add->remote);
    if (known == NULL) {
        if (!meta_metas_is_valid(add->remote)) return false;
        known = remote_at(m, add->remote);
    }
    out->cluster = known != NULL ? slice_str(known->name) : (struct slice){0};
    out->metas = known != NULL ? slice_str(known->metas) : add->remote;
    out->table = add->remote_table.size > 0 ? add->remote_table : add->table;
    return out->metas.size > 0; /* The config may have told an id only. */
}

static bool goes_to_cluster(const struct meta_dup *dup, const struct target *to)
{
    if (slice_is(to->metas, dup->remote_metas)) return true;
    return to->cluster.size > 0 && slice_is(to->cluster, dup->remote_cluster);
}

/* Another table that is shipped into the same remote table, or NULL. */
static const struct meta_table *find_rival(const struct meta *m, const struct meta_table *self,
                                           const struct target *to)
{
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (size_t k = 0; t != self && k < t->dup_count; k++) {
            const struct meta_dup *dup = &t->dups[k];
            if (goes_to_cluster(dup, to) && slice_is(to->table, dup->remote_table)) return t;
        }
    }
    return NULL;
}

/* The duplication is there already: start it as asked. That the old data is shipped is a wish that
 * one which did so, or does so now, has granted. */
static int on_add_again(struct meta_table *t, struct meta_dup *dup, const struct meta_dup_add *add,
                        struct outcome *out)
{
    out->result.dup_id = dup->id;
    if (add->with_bootstrap && !dup->with_bootstrap)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "start dup[%s(%d)] failed: err = ERR_INVALID_PARAMETERS", t->name,
                              dup->id);
    if (outcome_ready(out) != 0) return E_NOMEM;
    out->result.err = WIRE_ERR_DUP_EXIST;
    if (dup->status != DS_PAUSE) return 0;
    dup->status = DS_LOG;
    out->result.changed_id = t->id;
    return 0;
}

static int32_t unused_dup_id(const struct meta_table *t, uint64_t now_ms)
{
    int32_t id = (int32_t)(now_ms / 1000 % INT32_MAX);
    do {
        id = id < 1 || id == INT32_MAX ? 1 : id;
        if (meta_dup_by_id(t, id) == NULL) return id;
        id++;
    } while (true); /* A table has few duplications. */
}

static void dup_fill(struct meta_dup *dup, const struct meta_table *t, const struct meta_command *c,
                     const struct target *to)
{
    const struct meta_dup_add *add = &c->dup_add;
    dup->id = unused_dup_id(t, c->now_ms);
    dup->status = add->with_bootstrap ? DS_PREPARE : DS_LOG;
    dup->with_bootstrap = add->with_bootstrap;
    dup->create_ms = (int64_t)c->now_ms;
    dup->remote_replica_count =
        add->remote_replica_count > 0 ? add->remote_replica_count : t->max_replica_count;
    meta_text_set(dup->remote_cluster, to->cluster);
    meta_text_set(dup->remote_metas, to->metas);
    meta_text_set(dup->remote_table, to->table);
    for (uint32_t i = 0; i < t->partition_count; i++)
        dup->partitions[i] = (struct meta_dup_partition){-1, !add->with_bootstrap};
}

/* Put 'dup' among the others, which there is room for. */
static void insert_dup(struct meta_table *t, const struct meta_dup *dup)
{
    size_t at = t->dup_count++;
    for (; at > 0 && t->dups[at - 1].id > dup->id; at--) t->dups[at] = t->dups[at - 1];
    t->dups[at] = *dup;
}

static int add_dup(struct meta_table *t, const struct meta_command *c, const struct target *to,
                   struct outcome *out)
{
    struct meta_dup dup = {0};
    dup.partitions = mem_alloc(t->partition_count * sizeof *dup.partitions);
    if (dup.partitions == NULL || outcome_ready(out) != 0 ||
        meta_room_for_one((void **)&t->dups, t->dup_count, sizeof *t->dups) != 0) {
        meta_dup_fini(&dup);
        return E_NOMEM;
    }
    dup_fill(&dup, t, c, to);
    insert_dup(t, &dup);
    out->result.changed_id = t->id;
    out->result.dup_id = dup.id;
    return 0;
}

/* The order of the checks is Pegasus's: its tools are tested against it. */
int meta_on_dup_add(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_dup_add *add = &c->dup_add;
    struct target to;
    if (slice_is(add->remote, m->cluster_name))
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "illegal operation: adding duplication to itself");
    if (!find_target(m, add, &to))
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "failed to find cluster[%.*s] address in config [pegasus.clusters]",
                              NAME(add->remote));
    if (add->remote_replica_count < 0)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "invalid remote_replica_count(%d) which should never be negative",
                              add->remote_replica_count);
    struct meta_table *t = meta_table_named(m, add->table);
    if (t == NULL)
        return OUTCOME_REFUSE(out, WIRE_ERR_APP_NOT_EXIST, "app %.*s was not found",
                              NAME(add->table));
    out->result.table_id = t->id;
    if (!meta_name_is_valid(to.table))
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "invalid remote app name");
    const struct meta_table *rival = find_rival(m, t, &to);
    if (rival != NULL)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "illegal operation: another app(%s) is also duplicated to the same "
                              "remote app(cluster=%.*s, app=%.*s)",
                              rival->name, NAME(add->remote), NAME(to.table));
    for (size_t i = 0; i < t->dup_count; i++) {
        if (goes_to_cluster(&t->dups[i], &to)) return on_add_again(t, &t->dups[i], add, out);
    }
    if (t->dup_count == META_DUPS_MAX)
        return OUTCOME_REFUSE(out, WIRE_ERR_CAPACITY_EXCEEDED, "app %s has %d duplications already",
                              t->name, META_DUPS_MAX);
    return add_dup(t, c, &to, out);
}

/* ---- Modify ---------------------------------------------------------------------------------- */

/* What an operator may ask for; the arrows that are not here are taken by nobody or by
 * ourselves. */
static bool may_become(enum duplication_status from, int32_t to)
{
    if (to == DS_REMOVED || to == (int32_t)from) return true;
    if (from == DS_LOG) return to == DS_PAUSE;
    return from == DS_PAUSE && to == DS_LOG;
}

static void remove_dup(struct meta_table *t, struct meta_dup *dup)
{
    meta_dup_fini(dup);
    size_t at = (size_t)(dup - t->dups);
    t->dup_count--;
    memmove(dup, dup + 1, (t->dup_count - at) * sizeof *dup);
}

int meta_on_dup_modify(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_dup_modify *modify = &c->dup_modify;
    struct meta_table *t = meta_table_named(m, modify->table);
    if (t == NULL) return outcome_refused(out, WIRE_ERR_APP_NOT_EXIST);
    out->result.table_id = t->id;
    struct meta_dup *dup = meta_dup_find(t, modify->dup_id);
    if (dup == NULL) return outcome_refused(out, WIRE_ERR_OBJECT_NOT_FOUND);
    out->result.dup_id = dup->id;
    int32_t status = modify->status == -1 ? (int32_t)dup->status : modify->status;
    int32_t fail_mode = modify->fail_mode == -1 ? (int32_t)dup->fail_mode : modify->fail_mode;
    if (!may_become(dup->status, status) || fail_mode < FAIL_SLOW || fail_mode > FAIL_FAST)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (status == (int32_t)dup->status && fail_mode == (int32_t)dup->fail_mode) return 0;
    if (outcome_ready(out) != 0) return E_NOMEM;

    dup->status = (enum duplication_status)status;
    dup->fail_mode = (enum duplication_fail_mode)fail_mode;
    if (status == DS_REMOVED) remove_dup(t, dup);
    out->result.changed_id = t->id;
    return 0;
}

/* ---- Who the remote is ----------------------------------------------------------------------- */

/* The table and the duplication that a command of ours speaks of; false when it is gone
 * meanwhile. */
static bool find_dup(struct meta *m, int32_t table_id, int32_t dup_id, struct outcome *out,
                     struct meta_table **t, struct meta_dup **dup)
{
    *t = meta_table_find(m, table_id);
    *dup = *t != NULL ? meta_dup_find(*t, dup_id) : NULL;
    if (*dup == NULL) return false;
    out->result.table_id = table_id;
    out->result.dup_id = dup_id;
    return true;
}

static bool is_same_cluster(const struct meta_dup *dup, const struct meta_dup_resolve *resolve)
{
    if (dup->remote_uuid != 0 && resolve->remote_uuid != 0)
        return dup->remote_uuid == (uint64_t)resolve->remote_uuid;
    return slice_is(resolve->remote_cluster, dup->remote_cluster);
}

/* What forbids that this duplication goes to the cluster that answered; NULL: nothing. */
static const char *why_not(const struct meta *m, const struct meta_table *t,
                           const struct meta_dup *dup, const struct meta_dup_resolve *resolve)
{
    bool is_us = resolve->remote_uuid != 0 ? (uint64_t)resolve->remote_uuid == m->cluster_uuid
                                           : slice_is(resolve->remote_cluster, m->cluster_name);
    if (is_us) return "illegal operation: adding duplication to itself";
    if (resolve->remote_cluster_id == m->cluster_id)
        return "both clusters have the same cluster_id: give one of them another in its config";
    if (dup->remote_cluster_id != 0 && !is_same_cluster(dup, resolve))
        return "another cluster than before answers at this address";
    for (size_t i = 0; i < t->dup_count; i++) {
        const struct meta_dup *other = &t->dups[i];
        if (other != dup && other->remote_cluster_id != 0 && is_same_cluster(other, resolve))
            return "another duplication of this table goes to the same cluster";
    }
    return NULL;
}

int meta_on_dup_resolve(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_dup_resolve *resolve = &c->dup_resolve;
    struct meta_table *t;
    struct meta_dup *dup;
    if (!find_dup(m, resolve->table_id, resolve->dup_id, out, &t, &dup))
        return outcome_refused(out, WIRE_ERR_OBJECT_NOT_FOUND);
    if (!meta_name_is_valid(resolve->remote_cluster) || resolve->remote_cluster_id < 1 ||
        resolve->remote_cluster_id > META_CLUSTER_ID_MAX)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "the remote has no name or no id");
    const char *reason = why_not(m, t, dup, resolve);
    if (reason != NULL) return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "%s", reason);
    struct target to = {resolve->remote_cluster, slice_str(dup->remote_metas),
                        slice_str(dup->remote_table)};
    const struct meta_table *rival = find_rival(m, t, &to);
    if (rival != NULL)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "another app(%s) goes to the same remote app", rival->name);
    bool is_known = dup->remote_cluster_id == resolve->remote_cluster_id &&
                    dup->remote_uuid == (uint64_t)resolve->remote_uuid &&
                    slice_is(resolve->remote_cluster, dup->remote_cluster);
    if (is_known) return 0;
    if (outcome_ready(out) != 0) return E_NOMEM;

    meta_text_set(dup->remote_cluster, resolve->remote_cluster);
    dup->remote_cluster_id = (uint8_t)resolve->remote_cluster_id;
    dup->remote_uuid = (uint64_t)resolve->remote_uuid;
    out->result.changed_id = t->id;
    return 0;
}

/* ---- Progress -------------------------------------------------------------------------------- */

static bool all_bootstrapped(const struct meta_table *t, const struct meta_dup *dup)
{
    for (uint32_t i = 0; i < t->partition_count; i++) {
        if (!dup->partitions[i].is_bootstrapped) return false;
    }
    return true;
}

int meta_on_dup_advance(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct meta_table *t;
    struct meta_dup *dup;
    if (!find_dup(m, c->dup_advance.table_id, c->dup_advance.dup_id, out, &t, &dup))
        return outcome_refused(out, WIRE_ERR_OBJECT_NOT_FOUND);
    bool is_new_id = dup->remote_table_id == 0 && c->dup_advance.remote_table_id > 0;
    if (dup->status != DS_PREPARE && !is_new_id) return 0; /* Said twice. */
    if (outcome_ready(out) != 0) return E_NOMEM;
    if (is_new_id) dup->remote_table_id = c->dup_advance.remote_table_id;
    if (dup->status == DS_PREPARE) set_status(dup, DS_APP);
    out->result.changed_id = t->id;
    return 0;
}

/* One position. True when the duplication's status changed. */
static bool confirm(struct meta *m, const struct meta_confirm *item)
{
    struct meta_table *t = meta_table_find(m, item->table_id);
    struct meta_dup *dup = t != NULL ? meta_dup_find(t, item->dup_id) : NULL;
    if (dup == NULL || item->partition < 0 || (uint32_t)item->partition >= t->partition_count)
        return false;
    struct meta_dup_partition *p = &dup->partitions[item->partition];
    if (item->confirmed > p->confirmed) p->confirmed = item->confirmed;
    p->is_bootstrapped |= item->is_bootstrapped;
    if (dup->status != DS_APP || !all_bootstrapped(t, dup)) return false;
    set_status(dup, DS_LOG);
    return true;
}

int meta_on_dup_confirm(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    if (outcome_ready(out) != 0) return E_NOMEM;
    const struct meta_confirms *confirms = &c->dup_confirm.confirms;
    for (uint32_t i = 0; i < confirms->count; i++) {
        if (!confirm(m, &confirms->items[i])) continue;
        int32_t id = confirms->items[i].table_id, *changed = &out->result.changed_id;
        *changed = *changed == META_TABLE_NONE || *changed == id ? id : META_TABLE_ANY;
    }
    return 0;
}
