/* src/core/meta/env.c: a table's environment variables (docs/meta.md, rules M14 and M15). A change
 * is made on a copy of all of them, which then takes the place of the old list: so it is done as a
 * whole or not at all. Which values are valid says env_rules.c. */
#include "core/meta/meta_impl.h"

/* ---- Lists ----------------------------------------------------------------------------------- */

static void env_fini(struct meta_env *env)
{
    mem_free(env->key);
    mem_free(env->value);
}

void env_list_free(struct env_list *list)
{
    for (size_t i = 0; i < list->count; i++) env_fini(&list->items[i]);
    mem_free(list->items);
    *list = (struct env_list){0};
}

static char *text_new(struct slice text)
{
    char *copy = mem_alloc(text.size + 1);
    if (copy != NULL) meta_text_set(copy, text);
    return copy;
}

static bool has_nul(struct slice text)
{
    return text.size > 0 && memchr(text.data, '\0', text.size) != NULL;
}

/* Where 'key' stands, or would. */
static size_t env_place(const struct env_list *list, struct slice key)
{
    size_t at = 0;
    while (at < list->count && slice_compare(slice_str(list->items[at].key), key) < 0) at++;
    return at;
}

int env_list_put(struct env_list *list, struct slice key, struct slice value)
{
    if (key.size == 0 || key.size > META_ENV_KEY_SIZE_MAX || has_nul(key)) return E_LIMIT;
    if (value.size > META_ENV_VALUE_SIZE_MAX || has_nul(value)) return E_LIMIT;
    size_t at = env_place(list, key);
    bool is_new = at == list->count || !slice_is(key, list->items[at].key);
    if (is_new && list->count == META_ENVS_MAX) return E_LIMIT;

    struct meta_env env = {text_new(key), text_new(value)};
    int rc = env.key != NULL && env.value != NULL ? 0 : E_NOMEM;
    if (rc == 0 && is_new)
        rc = meta_room_for_one((void **)&list->items, list->count, sizeof *list->items);
    if (rc != 0) {
        env_fini(&env);
        return rc;
    }
    if (is_new) memmove(&list->items[at + 1], &list->items[at], (list->count++ - at) * sizeof env);
    else env_fini(&list->items[at]);
    list->items[at] = env;
    return 0;
}

int env_list_copy(const struct meta_table *t, struct env_list *out)
{
    struct env_list copy = {0};
    for (size_t i = 0; i < t->env_count; i++) {
        int rc = env_list_put(&copy, slice_str(t->envs[i].key), slice_str(t->envs[i].value));
        if (rc == 0) continue;
        CHECK(rc == E_NOMEM); /* What is in the state is within the limits. */
        env_list_free(&copy);
        return rc;
    }
    *out = copy;
    return 0;
}

const char *meta_env_get(const struct meta_table *t, const char *key)
{
    struct env_list list = {t->envs, t->env_count};
    size_t at = env_place(&list, slice_str(key));
    return at < list.count && strcmp(list.items[at].key, key) == 0 ? list.items[at].value : NULL;
}

/* ---- Commands -------------------------------------------------------------------------------- */

/* The list becomes the table's. It is taken also on failure. */
static int replace_envs(struct meta_table *t, struct env_list *list, struct outcome *out)
{
    if (outcome_ready(out) != 0) {
        env_list_free(list);
        return E_NOMEM;
    }
    env_list_free(&(struct env_list){t->envs, t->env_count});
    t->envs = list->items;
    t->env_count = list->count;
    out->result.table_id = out->result.changed_id = t->id;
    return 0;
}

static int refuse_unknown_table(struct outcome *out)
{
    return OUTCOME_REFUSE(out, WIRE_ERR_APP_NOT_EXIST, "app cannot be found");
}

int meta_on_envs_set(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    const struct string_map *pairs = &c->envs_set.envs;
    if (pairs->count == 0) return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    for (uint32_t i = 0; i < pairs->count; i++) {
        if (!meta_env_is_valid(pairs->items[i].key, pairs->items[i].value, &out->hint))
            return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    }
    struct meta_table *t = meta_table_named(m, c->envs_set.table);
    if (t == NULL) return refuse_unknown_table(out);

    struct env_list list;
    int rc = env_list_copy(t, &list);
    if (rc != 0) return rc;
    for (uint32_t i = 0; i < pairs->count && rc == 0; i++)
        rc = env_list_put(&list, pairs->items[i].key, pairs->items[i].value);
    if (rc == 0) return replace_envs(t, &list, out);
    env_list_free(&list);
    if (rc == E_NOMEM) return rc;
    return OUTCOME_REFUSE(out, WIRE_ERR_INVALID_PARAMETERS,
                          "at most %d variables with values of at most %d bytes", META_ENVS_MAX,
                          META_ENV_VALUE_SIZE_MAX);
}

static bool is_to_go_by_key(const void *context, struct slice key)
{
    const struct string_list *keys = context;
    for (uint32_t i = 0; i < keys->count; i++) {
        if (slice_equal(keys->items[i], key)) return true;
    }
    return false;
}

/* An empty prefix means all; "a.b" means "a.b.c" but not "a.bc". */
static bool is_to_go_by_prefix(const void *context, struct slice key)
{
    const struct slice *prefix = context;
    if (prefix->size == 0) return true;
    return slice_has_prefix(key, *prefix) && key.size > prefix->size &&
           key.data[prefix->size] == '.';
}

/* Pegasus's words for what went. */
static void name_the_gone(const struct meta_table *t, bool is_to_go(const void *, struct slice),
                          const void *context, struct buf *hint)
{
    size_t gone = 0;
    for (size_t i = 0; i < t->env_count; i++) {
        if (!is_to_go(context, slice_str(t->envs[i].key))) continue;
        if (gone++ == 0) buf_append_str(hint, "deleted keys:");
        buf_printf(hint, "\n    %s", t->envs[i].key);
    }
    if (gone == 0) buf_append_str(hint, "no key needs to be deleted");
}

/* Remove what 'is_to_go' says. Needs no memory but the hint's. */
static int remove_envs(struct meta_table *t, bool is_to_go(const void *, struct slice),
                       const void *context, struct outcome *out)
{
    name_the_gone(t, is_to_go, context, &out->hint);
    if (outcome_ready(out) != 0) return E_NOMEM;
    size_t kept = 0;
    for (size_t i = 0; i < t->env_count; i++) {
        if (is_to_go(context, slice_str(t->envs[i].key))) env_fini(&t->envs[i]);
        else t->envs[kept++] = t->envs[i];
    }
    out->result.table_id = t->id;
    if (kept != t->env_count) out->result.changed_id = t->id;
    t->env_count = kept;
    return 0;
}

int meta_on_envs_delete(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    if (c->envs_delete.keys.count == 0) return outcome_refused(out, WIRE_ERR_INVALID_PARAMETERS);
    struct meta_table *t = meta_table_named(m, c->envs_delete.table);
    if (t == NULL) return refuse_unknown_table(out);
    return remove_envs(t, is_to_go_by_key, &c->envs_delete.keys, out);
}

int meta_on_envs_clear(struct meta *m, const struct meta_command *c, struct outcome *out)
{
    struct meta_table *t = meta_table_named(m, c->envs_clear.table);
    if (t == NULL) return refuse_unknown_table(out);
    return remove_envs(t, is_to_go_by_prefix, &c->envs_clear.prefix, out);
}
