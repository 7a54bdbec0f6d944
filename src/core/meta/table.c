/* src/core/meta/table.c: the life of a table (docs/meta.md, rules M8 to M11).
 *
 *     (nothing) --create--> AVAILABLE --drop--> DROPPED --purge, after expire_s--> (nothing)
 *                               ^                  |
 *                               +-----recall-------+   until expire_s; ballots grow
 *
 * AVAILABLE  has a name of its own; every partition has the members that placement chose
 * DROPPED    has no claim on its name and no duplications; its data stays where it is */
#include "base/array.h"
#include "core/meta/meta_impl.h"

enum { RESERVE_S_MAX = 50 * 365 * 24 * 3600 }; /* Fifty years: what "for ever" may mean. */

#define NAME(text) (int)(text).size, (const char *)(text).data

static int64_t now_s(const struct meta_command *c)
{
    return (int64_t)(c->now_ms / 1000);
}

/* ---- Create ---------------------------------------------------------------------------------- */

static bool is_power_of_two(int32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static bool app_type_is_ours(struct slice app_type)
{
    return app_type.size == 0 || slice_is(app_type, "pegasus");
}

/* How many replicas the table will really have; 0: as many as asked for cannot be had. */
static int32_t replicas_granted(const struct meta *m, const struct meta_table_create *create)
{
    int32_t taking = (int32_t)meta_nodes_taking(m);
    if (create->replica_count < 1 || create->replica_count > META_REPLICAS_MAX) return 0;
    if (create->replica_count <= taking) return create->replica_count;
    return create->clamp_replicas ? taking : 0;
}

/* Is the request the same as the one that made 't'? */
static bool is_same_table(const struct meta_table *t, const struct meta_table_create *create,
                          int32_t replicas)
{
    if (create->partition_count != (int32_t)t->partition_count) return false;
    if (replicas != t->max_replica_count || create->envs.count != t->env_count) return false;
    for (uint32_t i = 0; i < create->envs.count; i++) {
        const struct string_pair *pair = &create->envs.items[i];
        bool is_there = false;
        for (size_t k = 0; k < t->env_count && !is_there; k++)
            is_there =
                slice_is(pair->key, t->envs[k].key) && slice_is(pair->value, t->envs[k].value);
        if (!is_there) return false;
    }
    return true;
}

/* As Pegasus: only what shapes the store is looked at when a table is made (app-envs, section 1).
 * But a table that waits for another cluster's checkpoint files would wait for ever: better told at
 * once. */
static bool env_may_be_born(const struct string_pair *env)
{
    if (slice_has_prefix(env->key, slice_str("duplication.master_"))) return false;
    if (!slice_is(env->key, "rocksdb.num_levels") &&
        !slice_is(env->key, "rocksdb.write_buffer_size"))
        return true;
    return meta_env_is_valid(env->key, env->value, NULL);
}

/* Returns 0, E_INVALID or E_NOMEM. */
static int envs_at_birth(const struct string_map *asked, struct env_list *out)
{
    for (uint32_t i = 0; i < asked->count; i++) {
        if (!env_may_be_born(&asked->items[i])) return E_INVALID;
        int rc = env_list_put(out, asked->items[i].key, asked->items[i].value);
        if (rc != 0) return rc == E_NOMEM ? rc : E_INVALID;
    }
    return 0;
}

static int tables_reserve(struct meta *m)
{
    return array_reserve(&m->tables, &m->table_capacity, m->table_count + 1,
                         sizeof(struct meta_table *));
}

/* The whole table, not yet in the state. Returns 0, E_INVALID (its environment) or E_NOMEM. */
static int table_new(const struct meta *m, const struct meta_command *c, int32_t replicas,
                     struct meta_table **out)
{
    const struct meta_table_create *create = &c->table_create;
    int rc = E_NOMEM;
    struct env_list envs = {0};
    struct meta_table *t = mem_zalloc(sizeof *t);
    if (t == NULL) return rc;
    t->id = m->next_table_id;
    t->status = AS_AVAILABLE;
    t->partition_count = (uint32_t)create->partition_count;
    t->max_replica_count = replicas;
    t->create_s = now_s(c);
    meta_text_set(t->name, create->name);
    t->partitions = mem_zalloc(t->partition_count * sizeof *t->partitions);
    if (t->partitions == NULL) goto free_table;
    rc = meta_place(m, t->partitions, t->partition_count, (uint32_t)replicas);
    if (rc == 0) rc = envs_at_birth(&create->envs, &envs);
    t->envs = envs.items;
    t->env_count = envs.count;
    if (rc != 0) goto free_table;
    *out = t;
    return 0;

free_table:
    meta_table_free(t);
    return rc;
}

static int on_create_again(const struct meta_table *t, const struct meta_table_create *create,
                           int32_t replicas, struct outcome *out)
{
    out->result.table_id = t->id;
    if (!create->success_if_exist) return outcome_refused(out, WIRE_ERR_APP_EXIST);
    bool is_same = is_same_table(t, create, replicas);
    return outcome_refused(out, is_same ? WIRE_ERR_OK : WIRE_ERR_INVALID_PARAMETERS);
}

int meta_on_table_create(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_table_create *create = &c->table_create;
    int32_t replicas = replicas_granted(m, create);
    if (!meta_name_is_valid(create->name) || !app_type_is_ours(create->app_type) ||
        !is_power_of_two(create->partition_count) ||
        create->partition_count > META_PARTITIONS_MAX || replicas == 0)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    const struct meta_table *before = meta_table_by_name(m, create->name);
    if (before != NULL) return on_create_again(before, create, replicas, out);
    if (m->table_count == META_TABLES_MAX || m->next_table_id == INT32_MAX)
        return outcome_refused(out, WIRE_ERR_CAPACITY_EXCEEDED);

    struct meta_table *t = NULL;
    int rc = table_new(m, c, replicas, &t);
    if (rc == E_INVALID) return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (rc != 0 || tables_reserve(m) != 0 || outcome_ready(out) != 0) {
        meta_table_free(t);
        return E_NOMEM;
    }
    m->tables[m->table_count++] = t; /* Ids grow: the end is its place. */
    m->next_table_id++;
    out->result.table_id = out->result.changed_id = t->id;
    return 0;
}

/* ---- Drop, recall, rename -------------------------------------------------------------------- */

static void drop_dups(struct meta_table *t)
{
    for (size_t i = 0; i < t->dup_count; i++) meta_dup_fini(&t->dups[i]);
    mem_free(t->dups);
    t->dups = NULL;
    t->dup_count = 0;
}

int meta_on_table_drop(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct meta_table *t = meta_table_named(m, c->table_drop.name);
    if (t == NULL) {
        bool is_fine = c->table_drop.success_if_absent;
        return outcome_refused(out, is_fine ? WIRE_ERR_OK : WIRE_ERR_APP_NOT_EXIST);
    }
    if (outcome_ready(out) != 0) return E_NOMEM;

    int64_t reserve_s = c->table_drop.reserve_s;
    if (reserve_s <= 0) reserve_s = META_DROP_RESERVE_S;
    if (reserve_s > RESERVE_S_MAX) reserve_s = RESERVE_S_MAX;
    t->status = AS_DROPPED;
    t->drop_s = now_s(c);
    t->expire_s = t->drop_s + reserve_s;
    drop_dups(t);
    out->result.table_id = out->result.changed_id = t->id;
    return 0;
}

int meta_on_table_recall(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct meta_table *t = meta_table_find(m, c->table_recall.table_id);
    if (t == NULL || (t->status == AS_DROPPED && t->expire_s < now_s(c)))
        return outcome_refused(out, WIRE_ERR_APP_NOT_EXIST);
    out->result.table_id = t->id;
    if (t->status == AS_AVAILABLE) return outcome_refused(out, WIRE_ERR_APP_EXIST);
    struct slice name = c->table_recall.new_name;
    if (name.size == 0) name = slice_str(t->name);
    if (!meta_name_is_valid(name) || meta_table_by_name(m, name) != NULL)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (outcome_ready(out) != 0) return E_NOMEM;

    if (c->table_recall.new_name.size > 0) meta_text_set(t->name, name);
    t->status = AS_AVAILABLE;
    t->drop_s = t->expire_s = 0;
    for (uint32_t i = 0; i < t->partition_count; i++) t->partitions[i].ballot++;
    out->result.changed_id = t->id;
    return 0;
}

int meta_on_table_rename(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct slice from = c->table_rename.old_name, to = c->table_rename.new_name;
    struct meta_table *t = meta_table_named(m, from);
    if (t == NULL)
        return OUTCOME_REFUSE(out, WIRE_ERR_APP_NOT_EXIST, "ERROR: app(%.*s) not exist!",
                              NAME(from));
    out->result.table_id = t->id;
    if (!meta_name_is_valid(to))
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "ERROR: a name has 1 to %d letters, digits or any of _.:-",
                              META_NAME_SIZE_MAX);
    if (meta_table_by_name(m, to) != NULL)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "ERROR: app(%.*s) already exist!",
                              NAME(to));
    if (outcome_ready(out) != 0) return E_NOMEM;

    meta_text_set(t->name, to);
    out->result.changed_id = t->id;
    return 0;
}

int meta_on_table_purge(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    if (outcome_ready(out) != 0) return E_NOMEM;
    size_t kept = 0;
    for (size_t i = 0; i < m->table_count; i++) {
        struct meta_table *t = m->tables[i];
        if (t->status != AS_DROPPED || t->expire_s >= now_s(c)) {
            m->tables[kept++] = t;
            continue;
        }
        meta_table_free(t);
        out->result.changed_id = META_TABLE_ANY;
    }
    m->table_count = kept;
    return 0;
}

/* ---- How many replicas ----------------------------------------------------------------------- */

int meta_on_replicas_set(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct slice name = c->replicas_set.table;
    int32_t count = c->replicas_set.count;
    struct meta_table *t = meta_table_named(m, name);
    if (t == NULL)
        return OUTCOME_REFUSE(out, WIRE_ERR_APP_NOT_EXIST, "app(%.*s) does not exist", NAME(name));
    out->result.table_id = t->id;
    out->result.old_value = t->max_replica_count;
    if (count < 1 || count > META_REPLICAS_MAX)
        return OUTCOME_REFUSE(
            out, WIRE_ERR_INVALID_PARAMETERS,
            "requested replica count(%d) must be within the range of [min=1, max=%d]", count,
            META_REPLICAS_MAX);
    int taking = (int)meta_nodes_taking(m);
    if (count > taking)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                              "there are not enough alive replica servers(%d) for the requested "
                              "replica count(%d)",
                              taking, count);
    if (count == t->max_replica_count)
        return OUTCOME_REFUSE(out, WIRE_ERR_OK,
                              "no need to update max_replica_count since it's not changed");
    if (outcome_ready(out) != 0) return E_NOMEM;

    t->max_replica_count = count;
    for (uint32_t i = 0; i < t->partition_count; i++) t->partitions[i].ballot++;
    out->result.changed_id = t->id;
    return 0;
}
