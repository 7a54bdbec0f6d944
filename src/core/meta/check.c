/* src/core/meta/check.c: the invariants of docs/meta.md, each as one line. meta_check() asserts
 * them after commands; meta_fault() asks them of bytes that came from a disk. */
#include "core/meta/meta_impl.h"

#define MUST(condition, what)                                                                      \
    if (!(condition)) return what

static bool is_power_of_two(uint32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static bool is_member(const struct meta_partition *p, uint64_t node_id)
{
    enum meta_role role = meta_partition_role(p, node_id);
    return role == META_ROLE_PRIMARY || role == META_ROLE_SECONDARY;
}

static const char *fault_in_learner(const struct meta *m, const struct meta_partition *p)
{
    if (p->learner == 0) return NULL;
    MUST(p->primary != 0, "a learner without a primary");
    const struct meta_node *learner = meta_node_by_id(m, p->learner);
    MUST(learner != NULL, "an unknown learner");
    MUST(!learner->is_draining, "a node that drains learns");
    MUST(!is_member(p, p->learner), "a member learns");
    MUST(p->secondary_count + 1 < META_REPLICAS_MAX, "a learner without a place to take");
    return NULL;
}

static const char *fault_in_members(const struct meta *m, const struct meta_partition *p)
{
    MUST(p->ballot >= 1, "a ballot is 0");
    MUST(p->secondary_count < META_REPLICAS_MAX, "a partition has too many secondaries");
    MUST(p->last_drop_count <= META_REPLICAS_MAX, "a partition remembers too many members");
    MUST(p->primary != 0 || p->secondary_count == 0, "secondaries without a primary");
    MUST(p->primary == 0 || meta_node_by_id(m, p->primary) != NULL, "an unknown primary");
    for (size_t i = 0; i < p->secondary_count; i++) {
        MUST(p->secondaries[i] != p->primary, "the primary is a secondary too");
        MUST(meta_node_by_id(m, p->secondaries[i]) != NULL, "an unknown secondary");
        for (size_t k = 0; k < i; k++)
            MUST(p->secondaries[k] != p->secondaries[i], "a secondary comes twice");
    }
    for (size_t i = 0; i < p->last_drop_count; i++)
        MUST(!is_member(p, p->last_drops[i]), "a member is remembered as lost");
    return fault_in_learner(m, p);
}

static const char *fault_in_dup(const struct meta_table *t, const struct meta_dup *dup)
{
    MUST(dup->id >= 1, "a duplication without an id");
    MUST(dup->status >= DS_PREPARE && dup->status <= DS_PAUSE, "a duplication in no known state");
    MUST(dup->fail_mode >= FAIL_SLOW && dup->fail_mode <= FAIL_FAST, "an unknown fail mode");
    MUST(dup->remote_replica_count >= 1, "a remote table without replicas");
    MUST(meta_metas_is_valid(slice_str(dup->remote_metas)), "a remote without metas");
    MUST(meta_name_is_valid(slice_str(dup->remote_table)), "a remote table without a name");
    MUST(dup->remote_cluster_id == 0 || dup->remote_cluster[0] != '\0', "a known remote, nameless");
    bool is_over_there = dup->status == DS_LOG || dup->status == DS_PAUSE || !dup->with_bootstrap;
    for (uint32_t i = 0; i < t->partition_count; i++) {
        MUST(dup->partitions[i].confirmed >= -1, "a confirmed decree below -1");
        MUST(!is_over_there || dup->partitions[i].is_bootstrapped,
             "LOG before the bootstrap ended");
    }
    return NULL;
}

static const char *fault_in_envs(const struct meta_table *t)
{
    MUST(t->env_count <= META_ENVS_MAX, "too many environment variables");
    for (size_t i = 1; i < t->env_count; i++)
        MUST(strcmp(t->envs[i - 1].key, t->envs[i].key) < 0, "variables out of order");
    return NULL;
}

static const char *fault_in_table(const struct meta *m, const struct meta_table *t)
{
    const char *fault = NULL;
    MUST(t->id >= 1 && t->id < m->next_table_id, "a table id that was never given");
    MUST(meta_name_is_valid(slice_str(t->name)), "a table without a proper name");
    MUST(t->status == AS_AVAILABLE || t->status == AS_DROPPED, "a table in no known state");
    MUST(is_power_of_two(t->partition_count) && t->partition_count <= META_PARTITIONS_MAX,
         "a partition count that is no power of two");
    MUST(t->max_replica_count >= 1 && t->max_replica_count <= META_REPLICAS_MAX,
         "a replica count out of range");
    MUST(t->create_s >= 0 && t->drop_s >= 0 && t->expire_s >= 0, "a time before 1970");
    MUST(t->status != AS_AVAILABLE || (t->drop_s == 0 && t->expire_s == 0),
         "an available table that expires");
    MUST(t->status != AS_AVAILABLE || meta_table_by_name(m, slice_str(t->name)) == t,
         "two available tables of one name");
    MUST(t->status == AS_AVAILABLE || t->dup_count == 0, "a dropped table that is duplicated");
    MUST(t->dup_count <= META_DUPS_MAX, "too many duplications");
    for (uint32_t i = 0; fault == NULL && i < t->partition_count; i++)
        fault = fault_in_members(m, &t->partitions[i]);
    for (size_t i = 0; fault == NULL && i < t->dup_count; i++) {
        MUST(i == 0 || t->dups[i - 1].id < t->dups[i].id, "duplications out of order");
        fault = fault_in_dup(t, &t->dups[i]);
    }
    return fault != NULL ? fault : fault_in_envs(t);
}

static const char *fault_in_cluster(const struct meta *m)
{
    MUST((m->cluster_uuid != 0) == (m->cluster_name[0] != '\0'), "half a cluster");
    MUST((m->cluster_uuid != 0) == (m->cluster_id != 0), "a cluster without an id");
    MUST(m->next_table_id >= 1, "no table id to give");
    for (size_t i = 0; i < m->node_count; i++) {
        const struct meta_node *n = &m->nodes[i];
        MUST(n->id != 0 && (i == 0 || m->nodes[i - 1].id < n->id), "nodes out of order");
        MUST(!n->is_alive || (n->ipv4 != 0 && n->port != 0), "an alive node without an address");
    }
    for (size_t i = 0; i < m->remote_count; i++) {
        const struct meta_remote *r = &m->remotes[i];
        MUST(meta_name_is_valid(slice_str(r->name)), "a remote without a name");
        MUST(r->metas[0] == '\0' || meta_metas_is_valid(slice_str(r->metas)),
             "no metas' addresses");
        MUST(i == 0 || strcmp(m->remotes[i - 1].name, r->name) < 0, "remotes out of order");
    }
    return NULL;
}

const char *meta_fault(const struct meta *m)
{
    const char *fault = fault_in_cluster(m);
    for (size_t i = 0; fault == NULL && i < m->table_count; i++) {
        MUST(i == 0 || m->tables[i - 1]->id < m->tables[i]->id, "tables out of order");
        fault = fault_in_table(m, m->tables[i]);
    }
    return fault;
}

void meta_check(const struct meta *m)
{
    const char *fault = meta_fault(m);
    if (fault != NULL) check_failed(fault, __FILE__, __LINE__);
}
