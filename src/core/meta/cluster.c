/* src/core/meta/cluster.c: who we are, which nodes there are, which other clusters have a name here
 * (docs/meta.md, rules M5 to M7 and M39). */
#include "core/meta/meta_impl.h"

int meta_on_cluster_init(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_cluster_init *init = &c->cluster_init;
    if (m->cluster_uuid != 0) return outcome_refused(out, WIRE_ERR_OK); /* The first one counts. */
    if (!meta_name_is_valid(init->name) || init->uuid == 0 || init->cluster_id < 1 ||
        init->cluster_id > META_CLUSTER_ID_MAX)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (outcome_ready(out) != 0) return E_NOMEM;

    meta_text_set(m->cluster_name, init->name);
    m->cluster_id = (uint8_t)init->cluster_id;
    m->cluster_uuid = (uint64_t)init->uuid;
    return 0;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static struct meta_node *node_find(struct meta *m, uint64_t id)
{
    return (struct meta_node *)meta_node_by_id(m, id);
}

/* The node called 'id', made at its place in the order when it is new. NULL: no memory. */
static struct meta_node *node_make(struct meta *m, uint64_t id)
{
    struct meta_node *found = node_find(m, id);
    if (found != NULL) return found;
    if (meta_room_for_one((void **)&m->nodes, m->node_count, sizeof *m->nodes) != 0) return NULL;
    size_t at = m->node_count++;
    for (; at > 0 && m->nodes[at - 1].id > id; at--) m->nodes[at] = m->nodes[at - 1];
    m->nodes[at] = (struct meta_node){.id = id};
    return &m->nodes[at];
}

/* Two nodes never show one address: who came last lives there now. */
static void evict_others(struct meta *m, const struct meta_node *node)
{
    for (size_t i = 0; i < m->node_count; i++) {
        struct meta_node *other = &m->nodes[i];
        if (other == node || other->ipv4 != node->ipv4 || other->port != node->port) continue;
        *other = (struct meta_node){
            .id = other->id, .incarnation = other->incarnation, .is_draining = other->is_draining};
        (void)meta_members_bury(m, other->id);
    }
}

/* The node as 'told'. '*is_news': it was not so before. */
static int node_be(struct meta *m, const struct meta_node *told, struct outcome *out, bool *is_news)
{
    *is_news = false;
    if (told->id == 0 || told->ipv4 == 0 || told->port == 0)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (node_find(m, told->id) == NULL && m->node_count == META_NODES_MAX)
        return OUTCOME_REFUSE(out, WIRE_ERR_CAPACITY_EXCEEDED, "there are %d nodes already",
                              META_NODES_MAX);
    if (outcome_ready(out) != 0) return E_NOMEM;
    struct meta_node *node = node_make(m, told->id);
    if (node == NULL) return E_NOMEM;

    if (node->is_alive && node->ipv4 == told->ipv4 && node->port == told->port &&
        node->incarnation == told->incarnation)
        return 0;
    *is_news = true;
    *node = *told;
    evict_others(m, node);
    out->result.changed_id = META_TABLE_ANY;
    return 0;
}

/* A port out of range is none. */
static uint16_t port_of(int32_t port)
{
    return port >= 1 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

int meta_on_node_join(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_node_join *join = &c->node_join;
    const struct meta_node *before = meta_node_by_id(m, (uint64_t)join->id);
    struct meta_node told = {.id = (uint64_t)join->id,
                             .ipv4 = (uint32_t)join->ipv4,
                             .port = port_of(join->port),
                             .is_alive = true,
                             .incarnation = before != NULL ? before->incarnation : 0,
                             .is_draining = before != NULL && before->is_draining};
    bool is_news;
    return node_be(m, &told, out, &is_news);
}

int meta_on_node_start(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_node_start *start = &c->node_start;
    const struct meta_node *before = meta_node_by_id(m, (uint64_t)start->id);
    struct meta_node told = {.id = (uint64_t)start->id,
                             .ipv4 = (uint32_t)start->ipv4,
                             .port = port_of(start->port),
                             .is_alive = true,
                             .incarnation = (uint64_t)start->incarnation,
                             .is_draining = before != NULL && before->is_draining};
    const bool is_another = before == NULL || before->incarnation != told.incarnation;
    if (start->incarnation < 1) return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (before != NULL && before->incarnation > told.incarnation)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_VERSION,
                              "a later process of this node has started");
    bool is_news;
    int rc = node_be(m, &told, out, &is_news);
    if (is_news && is_another) meta_members_restart(m, told.id);
    else if (is_news) meta_members_renew(m, told.id);
    return rc;
}

static int node_die(struct meta *m, struct meta_node *node, struct outcome *out)
{
    if (node == NULL) return outcome_refused(out, WIRE_ERR_OBJECT_NOT_FOUND);
    if (outcome_ready(out) != 0) return E_NOMEM;

    const bool was_alive = node->is_alive;
    node->is_alive = false;
    if (meta_members_bury(m, node->id) || was_alive) out->result.changed_id = META_TABLE_ANY;
    return 0;
}

int meta_on_node_leave(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    return node_die(m, node_find(m, (uint64_t)c->node_leave.id), out);
}

int meta_on_node_dead(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct meta_node *node = node_find(m, (uint64_t)c->node_dead.id);
    if (node != NULL && node->incarnation != (uint64_t)c->node_dead.incarnation)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_VERSION,
                              "another process of this node has started");
    return node_die(m, node, out);
}

int meta_on_node_yield(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_node *node = meta_node_by_id(m, (uint64_t)c->node_yield.id);
    if (node == NULL) return outcome_refused(out, WIRE_ERR_OBJECT_NOT_FOUND);
    if (node->incarnation != (uint64_t)c->node_yield.incarnation)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_VERSION,
                              "another process of this node has started");
    if (outcome_ready(out) != 0) return E_NOMEM;
    if (meta_members_yield(m, node->id)) out->result.changed_id = META_TABLE_ANY;
    return 0;
}

int meta_on_node_drain(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_node_drain *drain = &c->node_drain;
    struct meta_node *node = node_find(m, (uint64_t)drain->id);
    if (node == NULL) return outcome_refused(out, WIRE_ERR_OBJECT_NOT_FOUND);
    if (outcome_ready(out) != 0) return E_NOMEM;

    const bool is_news = node->is_draining != drain->is_draining;
    node->is_draining = drain->is_draining;
    if (meta_members_relieve(m, node->id) || is_news) out->result.changed_id = META_TABLE_ANY;
    return 0;
}

/* ---- Clusters known by name ------------------------------------------------------------------ */

static size_t remote_place(const struct meta *m, struct slice name)
{
    size_t at = 0;
    while (at < m->remote_count && slice_compare(slice_str(m->remotes[at].name), name) < 0) at++;
    return at;
}

int meta_on_remote_set(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_remote_set *set = &c->remote_set;
    bool has_metas = set->metas.size > 0;
    if (!meta_name_is_valid(set->name) || (has_metas && !meta_metas_is_valid(set->metas)) ||
        set->cluster_id < 0 || set->cluster_id > META_CLUSTER_ID_MAX)
        return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    size_t at = remote_place(m, set->name);
    bool is_new = at == m->remote_count || !slice_is(set->name, m->remotes[at].name);
    if (is_new && m->remote_count == META_REMOTES_MAX)
        return OUTCOME_REFUSE(out, WIRE_ERR_CAPACITY_EXCEEDED, "%d clusters have a name already",
                              META_REMOTES_MAX);
    if (outcome_ready(out) != 0) return E_NOMEM;
    if (is_new) {
        if (meta_room_for_one((void **)&m->remotes, m->remote_count, sizeof *m->remotes) != 0)
            return E_NOMEM;
        memmove(&m->remotes[at + 1], &m->remotes[at], (m->remote_count - at) * sizeof *m->remotes);
        m->remote_count++;
    }
    struct meta_remote *remote = &m->remotes[at];
    *remote = (struct meta_remote){.cluster_id = (uint8_t)set->cluster_id};
    meta_text_set(remote->name, set->name);
    meta_text_set(remote->metas, set->metas);
    return 0;
}
