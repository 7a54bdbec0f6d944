/* src/core/meta/members.c: who belongs to a partition, from one ballot to the next (docs/meta.md, rules M6,
 * M13, M35, M36 and M39).
 *
 *             ADD              JOIN                    its primary is lost, starts again, or drains
 *     nobody -----> LEARNER --------------> SECONDARY ---------------------------------------> PRIMARY
 *        ^             |     has all of it      |  ^                                             |  |
 *        |             |                        |  +---------------------------------------------+  |
 *        +-------------+------------------------+---------------------------------------------------+
 *          DROP; it is dead; SET says others                     it starts again, stops or drains, another follows
 *
 * LEARNER    copies what the primary has; nobody waits for it, and it is no member
 * SECONDARY  holds all that is committed. Who was it, or the primary, is remembered once it is not any more
 * PRIMARY    there is one as long as a member is left: the last one stays it, dead or alive */
#include "core/meta/meta_impl.h"

/* ---- Lists of nodes -------------------------------------------------------------------------- */

/* Take 'id' out. What lies beyond the end is 0: equal states are equal bytes. */
static void ids_remove(uint64_t *ids, uint8_t *count, uint64_t id)
{
    uint8_t kept = 0;
    for (uint8_t i = 0; i < *count; i++) {
        if (ids[i] != id) ids[kept++] = ids[i];
    }
    while (*count > kept) ids[--*count] = 0;
}

/* Remember a member that was lost: the newest at the end, the oldest forgotten. */
static void push_drop(struct meta_partition *p, uint64_t node_id)
{
    if (p->last_drop_count == META_REPLICAS_MAX)
        ids_remove(p->last_drops, &p->last_drop_count, p->last_drops[0]);
    p->last_drops[p->last_drop_count++] = node_id;
}

static void forget_drop(struct meta_partition *p, uint64_t node_id)
{
    ids_remove(p->last_drops, &p->last_drop_count, node_id);
}

/* ---- Who follows a primary ------------------------------------------------------------------- */

static bool is_alive(const struct meta *m, uint64_t node_id)
{
    const struct meta_node *node = meta_node_by_id(m, node_id);
    return node != NULL && node->is_alive;
}

static bool is_draining(const struct meta *m, uint64_t node_id)
{
    const struct meta_node *node = meta_node_by_id(m, node_id);
    return node != NULL && node->is_draining;
}

/* How many primaries each node has, at its index among the nodes. On the stack, because a death may not fail
 * halfway (M2). */
struct primaries {
    uint32_t counts[META_NODES_MAX];
};

static uint32_t *primaries_of(struct primaries *primaries, const struct meta *m, uint64_t node_id)
{
    return &primaries->counts[meta_node_by_id(m, node_id) - m->nodes];
}

static struct primaries primaries_now(const struct meta *m)
{
    struct primaries now = {{0}};
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; t->status == AS_AVAILABLE && k < t->partition_count; k++) {
            const uint64_t primary = t->partitions[k].primary;
            if (primary != 0) ++*primaries_of(&now, m, primary);
        }
    }
    return now;
}

/* The alive secondary with the fewest primaries in all, of equals the one with the smallest id; one that drains
 * only when there is no other. It counts as one more of them. 0: none is alive. */
static uint64_t take_successor(const struct meta *m, const struct meta_partition *p,
                               struct primaries *primaries)
{
    uint64_t best = 0, fewest = 0;
    for (size_t i = 0; i < p->secondary_count; i++) {
        const uint64_t id = p->secondaries[i];
        if (!is_alive(m, id)) continue;
        const uint64_t last = (uint64_t)is_draining(m, id) << 32; /* More than anybody has. */
        const uint64_t count = last + *primaries_of(primaries, m, id);
        if (best != 0 && (count > fewest || (count == fewest && id > best))) continue;
        best = id;
        fewest = count;
    }
    if (best != 0) ++*primaries_of(primaries, m, best);
    return best;
}

/* ---- One node comes or goes ------------------------------------------------------------------ */

/* These change who is there, their callers the ballot: once, whatever happens under it. */

/* The node leaves; when it is the primary, 'successor' follows. What it was is not 'none'. */
static void leave(struct meta_partition *p, uint64_t node_id, uint64_t successor)
{
    const enum meta_role role = meta_partition_role(p, node_id);
    if (role == META_ROLE_LEARNER) {
        p->learner = 0;
        return;
    }
    if (role == META_ROLE_PRIMARY) p->primary = successor;
    ids_remove(p->secondaries, &p->secondary_count,
               role == META_ROLE_PRIMARY ? successor : node_id);
    push_drop(p, node_id);
}

/* They change places. */
static void swap_primary(struct meta_partition *p, uint64_t successor)
{
    for (size_t i = 0; i < p->secondary_count; i++) {
        if (p->secondaries[i] == successor) p->secondaries[i] = p->primary;
    }
    p->primary = successor;
}

static void join(struct meta_partition *p)
{
    p->secondaries[p->secondary_count++] = p->learner;
    forget_drop(p, p->learner);
    p->learner = 0;
}

/* ---- Commands about one partition ------------------------------------------------------------ */

/* The partition that is to have 'ballot' next. NULL: refused. */
static struct meta_partition *partition_of(struct meta *m, int32_t table_id, int32_t index,
                                           int64_t ballot, struct outcome *out)
{
    struct meta_table *t = meta_table_find(m, table_id);
    if (t == NULL || t->status != AS_AVAILABLE) {
        (void)outcome_refused(out, WIRE_ERR_APP_NOT_EXIST);
        return NULL;
    }
    if (index < 0 || (uint32_t)index >= t->partition_count) {
        (void)outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
        return NULL;
    }
    struct meta_partition *p = &t->partitions[index];
    if ((uint64_t)ballot == p->ballot + 1) return p;
    (void)OUTCOME_REFUSE(out, WIRE_ERR_INVALID_VERSION, "the ballot is %llu",
                         (unsigned long long)p->ballot);
    return NULL;
}

static void changed(struct meta_partition *p, int32_t table_id, struct outcome *out)
{
    p->ballot++;
    out->result.table_id = out->result.changed_id = table_id;
}

/* NULL, or why the node can't become the partition's learner. */
static const char *why_not_add(const struct meta *m, const struct meta_partition *p, uint64_t id)
{
    const struct meta_node *node = meta_node_by_id(m, id);
    if (node == NULL) return "the node is not known";
    if (!node->is_alive) return "the node is dead";
    if (node->is_draining) return "the node drains";
    if (p->learner == id) return NULL; /* It begins anew, under a new ballot. */
    if (p->learner != 0) return "there is a learner already";
    if (p->primary == 0) return "there is no primary to learn from";
    if (meta_partition_role(p, id) != META_ROLE_NONE) return "the node is a member already";
    if (p->secondary_count + 1 == META_REPLICAS_MAX) return "there are as many members as can be";
    return NULL;
}

int meta_on_member_add(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_member_change *add = &c->member_add;
    struct meta_partition *p = partition_of(m, add->table_id, add->partition, add->ballot, out);
    if (p == NULL) return 0;
    const char *why = why_not_add(m, p, (uint64_t)add->node);
    if (why != NULL) return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "%s", why);
    if (outcome_ready(out) != 0) return E_NOMEM;

    p->learner = (uint64_t)add->node;
    changed(p, add->table_id, out);
    return 0;
}

/* Its primary may have died while it said that the learner has all: then that is the only one left. One that drains
 * has waited for somebody who stays. */
int meta_on_member_join(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_member_change *joins = &c->member_join;
    const uint64_t id = (uint64_t)joins->node;
    struct meta_partition *p =
        partition_of(m, joins->table_id, joins->partition, joins->ballot, out);
    if (p == NULL) return 0;
    if (id == 0 || p->learner != id)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "the node is not the learner");
    if (outcome_ready(out) != 0) return E_NOMEM;

    join(p);
    if (!is_alive(m, p->primary)) leave(p, p->primary, id);
    else if (is_draining(m, p->primary)) swap_primary(p, id);
    changed(p, joins->table_id, out);
    return 0;
}

static bool is_alive_secondary(const struct meta *m, const struct meta_partition *p, uint64_t id)
{
    return meta_partition_role(p, id) == META_ROLE_SECONDARY && is_alive(m, id);
}

int meta_on_member_drop(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_member_drop *drop = &c->member_drop;
    const uint64_t id = (uint64_t)drop->node;
    uint64_t successor = 0;
    struct meta_partition *p = partition_of(m, drop->table_id, drop->partition, drop->ballot, out);
    if (p == NULL) return 0;
    const enum meta_role role = id != 0 ? meta_partition_role(p, id) : META_ROLE_NONE;
    if (role == META_ROLE_NONE)
        return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS, "the node is no member");
    if (role == META_ROLE_PRIMARY) {
        struct primaries primaries = primaries_now(m);
        successor = take_successor(m, p, &primaries);
        if (successor == 0)
            return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_STATE,
                                  "no other member is alive: what it holds is all there is");
        if (drop->successor != 0) successor = (uint64_t)drop->successor;
        if (!is_alive_secondary(m, p, successor))
            return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                                  "the successor is no alive secondary");
    }
    if (outcome_ready(out) != 0) return E_NOMEM;

    leave(p, id, successor);
    changed(p, drop->table_id, out);
    return 0;
}

/* ---- All members at once --------------------------------------------------------------------- */

static bool members_are_valid(const struct meta *m, const struct meta_partition_set *set)
{
    if (set->secondaries.count >= META_REPLICAS_MAX) return false;
    if (set->primary == 0 && set->secondaries.count > 0) return false; /* Nobody orders writes. */
    if (set->primary != 0 && meta_node_by_id(m, (uint64_t)set->primary) == NULL) return false;
    for (uint32_t i = 0; i < set->secondaries.count; i++) {
        int64_t id = set->secondaries.items[i];
        if (id == set->primary || meta_node_by_id(m, (uint64_t)id) == NULL) return false;
        for (uint32_t k = 0; k < i; k++) {
            if (set->secondaries.items[k] == id) return false;
        }
    }
    return true;
}

static void set_members(struct meta_partition *p, const struct meta_partition_set *set)
{
    struct meta_partition before = *p;
    p->learner = 0;
    p->primary = (uint64_t)set->primary;
    p->secondary_count = (uint8_t)set->secondaries.count;
    memset(p->secondaries, 0, sizeof p->secondaries);
    for (uint32_t i = 0; i < set->secondaries.count; i++)
        p->secondaries[i] = (uint64_t)set->secondaries.items[i];

    if (before.primary != 0 && meta_partition_role(p, before.primary) == META_ROLE_NONE)
        push_drop(p, before.primary);
    for (size_t i = 0; i < before.secondary_count; i++) {
        if (meta_partition_role(p, before.secondaries[i]) == META_ROLE_NONE)
            push_drop(p, before.secondaries[i]);
    }
    if (p->primary != 0) forget_drop(p, p->primary);
    for (size_t i = 0; i < p->secondary_count; i++) forget_drop(p, p->secondaries[i]);
}

int meta_on_partition_set(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct meta_partition_set *set = &c->partition_set;
    struct meta_partition *p = partition_of(m, set->table_id, set->partition, set->ballot, out);
    if (p == NULL) return 0;
    if (!members_are_valid(m, set)) return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    if (outcome_ready(out) != 0) return E_NOMEM;

    set_members(p, set);
    changed(p, set->table_id, out);
    return 0;
}

/* ---- One node in all partitions -------------------------------------------------------------- */

/* What happens to a partition in which the node has a role: a change, or false: nothing. */
typedef bool member_fate(const struct meta *m, struct meta_partition *p, uint64_t node_id,
                         struct primaries *primaries);

static bool everywhere(struct meta *m, uint64_t node_id, member_fate *fate)
{
    struct primaries primaries = primaries_now(m);
    bool is_changed = false;
    for (size_t i = 0; i < m->table_count; i++) {
        struct meta_table *t = m->tables[i];
        for (uint32_t k = 0; k < t->partition_count; k++) {
            struct meta_partition *p = &t->partitions[k];
            if (meta_partition_role(p, node_id) == META_ROLE_NONE) continue;
            if (!fate(m, p, node_id, &primaries)) continue;
            p->ballot++;
            is_changed = true;
        }
    }
    return is_changed;
}

static bool bury(const struct meta *m, struct meta_partition *p, uint64_t node_id,
                 struct primaries *primaries)
{
    const bool is_primary = p->primary == node_id;
    const uint64_t successor = is_primary ? take_successor(m, p, primaries) : 0;
    if (is_primary && successor == 0) return false; /* Only it holds what there is. */
    leave(p, node_id, successor);
    return true;
}

bool meta_members_bury(struct meta *m, uint64_t node_id)
{
    return everywhere(m, node_id, bury);
}

/* It stays a member, and others lead. */
static bool yield(const struct meta *m, struct meta_partition *p, uint64_t node_id,
                  struct primaries *primaries)
{
    const uint64_t successor = p->primary == node_id ? take_successor(m, p, primaries) : 0;
    if (successor != 0) swap_primary(p, successor);
    return successor != 0;
}

bool meta_members_yield(struct meta *m, uint64_t node_id)
{
    return everywhere(m, node_id, yield);
}

/* The node may have lost what it was told last: one that has lost nothing leads. A learner of a primary that nobody
 * can follow goes, too: it may hold what that has lost. */
static bool restart(const struct meta *m, struct meta_partition *p, uint64_t node_id,
                    struct primaries *primaries)
{
    const bool is_primary = p->primary == node_id;
    const uint64_t successor = is_primary ? take_successor(m, p, primaries) : 0;
    if (is_primary && p->secondary_count == 0 && p->learner == 0) return false;
    if (successor != 0) swap_primary(p, successor);
    else if (is_primary || p->learner == node_id) p->learner = 0;
    return true;
}

void meta_members_restart(struct meta *m, uint64_t node_id)
{
    (void)everywhere(m, node_id, restart);
}

static bool renew(const struct meta *m, struct meta_partition *p, uint64_t node_id,
                  struct primaries *primaries)
{
    (void)m;
    (void)node_id;
    (void)primaries;
    return p->secondary_count > 0 || p->learner != 0;
}

void meta_members_renew(struct meta *m, uint64_t node_id)
{
    (void)everywhere(m, node_id, renew);
}

/* Whoever drains neither leads, where a member that stays can, nor learns. */
static bool relieve(const struct meta *m, struct meta_partition *p, uint64_t node_id,
                    struct primaries *primaries)
{
    const bool is_learner = p->learner == node_id && is_draining(m, node_id);
    const uint64_t successor = is_draining(m, p->primary) ? take_successor(m, p, primaries) : 0;
    const bool is_relieved = successor != 0 && !is_draining(m, successor);
    if (is_learner) p->learner = 0;
    if (is_relieved) swap_primary(p, successor);
    return is_learner || is_relieved;
}

bool meta_members_relieve(struct meta *m, uint64_t node_id)
{
    return everywhere(m, node_id, relieve);
}
