/* src/core/meta/state.c: making, freeing and finding. Arrays are sorted, so that equal states are
 * equal byte for byte and a lookup by id halves its way. */
#include "core/meta/meta_impl.h"

struct meta *meta_new(void)
{
    struct meta *m = mem_zalloc(sizeof *m);
    if (m != NULL) m->next_table_id = 1;
    return m;
}

void meta_free(struct meta *m)
{
    if (m == NULL) return;
    for (size_t i = 0; i < m->table_count; i++) meta_table_free(m->tables[i]);
    mem_free(m->tables);
    mem_free(m->nodes);
    mem_free(m->remotes);
    mem_free(m);
}

void meta_table_free(struct meta_table *t)
{
    if (t == NULL) return;
    for (size_t i = 0; i < t->dup_count; i++) meta_dup_fini(&t->dups[i]);
    mem_free(t->dups);
    env_list_free(&(struct env_list){t->envs, t->env_count});
    mem_free(t->partitions);
    mem_free(t);
}

void meta_dup_fini(struct meta_dup *dup)
{
    mem_free(dup->partitions);
    dup->partitions = NULL;
}

int meta_room_for_one(void **items, size_t count, size_t item_size)
{
    void *grown = mem_realloc(*items, (count + 1) * item_size);
    if (grown == NULL) return E_NOMEM;
    *items = grown;
    return 0;
}

void meta_text_set(char *to, struct slice text)
{
    if (text.size > 0) memcpy(to, text.data, text.size);
    to[text.size] = '\0';
}

/* ---- Questions ------------------------------------------------------------------------------- */

const struct meta_table *meta_table_by_id(const struct meta *m, int32_t id)
{
    size_t low = 0, high = m->table_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->tables[middle]->id < id) low = middle + 1;
        else high = middle;
    }
    return low < m->table_count && m->tables[low]->id == id ? m->tables[low] : NULL;
}

const struct meta_table *meta_table_by_name(const struct meta *m, struct slice name)
{
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        if (t->status == AS_AVAILABLE && slice_is(name, t->name)) return t;
    }
    return NULL;
}

struct meta_table *meta_table_find(struct meta *m, int32_t id)
{
    return (struct meta_table *)meta_table_by_id(m, id);
}

struct meta_table *meta_table_named(struct meta *m, struct slice name)
{
    return (struct meta_table *)meta_table_by_name(m, name);
}

const struct meta_node *meta_node_by_id(const struct meta *m, uint64_t id)
{
    size_t low = 0, high = m->node_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->nodes[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return low < m->node_count && m->nodes[low].id == id ? &m->nodes[low] : NULL;
}

size_t meta_nodes_alive(const struct meta *m)
{
    size_t alive = 0;
    for (size_t i = 0; i < m->node_count; i++) alive += m->nodes[i].is_alive;
    return alive;
}

bool meta_node_takes(const struct meta_node *node)
{
    return node->is_alive && !node->is_draining;
}

size_t meta_nodes_taking(const struct meta *m)
{
    size_t taking = 0;
    for (size_t i = 0; i < m->node_count; i++) taking += meta_node_takes(&m->nodes[i]);
    return taking;
}

const struct meta_dup *meta_dup_by_id(const struct meta_table *t, int32_t id)
{
    for (size_t i = 0; i < t->dup_count; i++) {
        if (t->dups[i].id == id) return &t->dups[i];
    }
    return NULL;
}

struct meta_dup *meta_dup_find(struct meta_table *t, int32_t id)
{
    return (struct meta_dup *)meta_dup_by_id(t, id);
}

enum meta_role meta_partition_role(const struct meta_partition *p, uint64_t node_id)
{
    if (p->primary == node_id) return META_ROLE_PRIMARY;
    for (size_t i = 0; i < p->secondary_count; i++) {
        if (p->secondaries[i] == node_id) return META_ROLE_SECONDARY;
    }
    return p->learner == node_id ? META_ROLE_LEARNER : META_ROLE_NONE;
}

int64_t meta_purge_due_s(const struct meta *m)
{
    int64_t due = 0;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct meta_table *t = m->tables[i];
        if (t->status != AS_DROPPED) continue;
        if (due == 0 || t->expire_s < due) due = t->expire_s;
    }
    return due;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

bool meta_name_is_valid(struct slice name)
{
    if (name.size == 0 || name.size > META_NAME_SIZE_MAX) return false;
    for (size_t i = 0; i < name.size; i++) {
        if (!is_word(name.data[i]) && name.data[i] != ':') return false;
    }
    return true;
}

/* One "host:port" at the front of '*text', with its comma if one follows. */
static bool take_host_port(struct slice *text)
{
    size_t at = 0;
    while (at < text->size && is_word(text->data[at])) at++;
    if (at == 0 || at == text->size || text->data[at] != ':') return false;
    size_t digits = ++at;
    uint32_t port = 0;
    while (at < text->size && text->data[at] >= '0' && text->data[at] <= '9' && port <= 65535)
        port = port * 10 + (uint32_t)(text->data[at++] - '0');
    if (at == digits || port == 0 || port > 65535) return false;
    if (at < text->size && text->data[at] != ',') return false;
    bool is_last = at == text->size;
    *text = slice_skip(*text, is_last ? at : at + 1);
    return is_last || text->size > 0; /* No comma at the end. */
}

bool meta_metas_is_valid(struct slice metas)
{
    if (metas.size == 0 || metas.size > META_METAS_SIZE_MAX) return false;
    while (metas.size > 0) {
        if (!take_host_port(&metas)) return false;
    }
    return true;
}
