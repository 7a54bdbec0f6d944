/* src/node/config.c: the keys of the configuration as a table: section, key, how it is read, where it goes.
 * inih reads the file; what is wrong is said with its line. */
#include "node/config.h"

#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void config_default(struct node_config *c)
{
    *c = (struct node_config){
        .data_dir = "pirene-data",
        .listen = "127.0.0.1:34601",
        .cluster_name = "pirene",
        .workers = 2,
        .sync = LOG_SYNC_GROUP,
        .segment_size = LOG_SEGMENT_SIZE_DEFAULT,
        .log_flush_size = UINT64_C(512) << 20,
        .log_ship_size = UINT64_C(1) << 30,
        .backlog_size_max = UINT64_C(10) << 30,
        .cache_size = UINT64_C(64) << 20,
        .write_buffer_size = UINT64_C(64) << 20,
        .disk_reserve_size = UINT64_C(1) << 30,
        .tail_size = UINT64_C(64) << 20,
        .learn_rate = UINT64_C(64) << 20,
        .write_size_max = 1 << 20,
        .accepts_any_source = true,
    };
}

/* ---- Values ------------------------------------------------------------------------------------------------ */

/* Each reads 'text' into the member; false: it is not of this kind. */
typedef bool value_read(const char *text, void *member);

static bool read_text(const char *text, void *member)
{
    if (strlen(text) >= CONFIG_TEXT_SIZE || text[0] == '\0') return false;
    memcpy(member, text, strlen(text) + 1);
    return true;
}

/* A number with an optional K, M or G behind it. */
static bool read_size(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (shift != 0) end++;
    if (*end != '\0' || value > max >> shift) return false;
    *out = (uint64_t)value << shift;
    return true;
}

static bool read_u64(const char *text, void *member)
{
    uint64_t value;
    if (!read_size(text, UINT64_MAX, &value)) return false;
    memcpy(member, &value, sizeof value);
    return true;
}

static bool read_u32(const char *text, void *member)
{
    uint64_t value;
    if (!read_size(text, UINT32_MAX, &value)) return false;
    uint32_t narrow = (uint32_t)value;
    memcpy(member, &narrow, sizeof narrow);
    return true;
}

static bool read_metas(const char *text, void *member)
{
    if (strlen(text) >= CONFIG_METAS_SIZE || strchr(text, ':') == NULL) return false;
    memcpy(member, text, strlen(text) + 1);
    return true;
}

static bool read_cluster_id(const char *text, void *member)
{
    uint64_t value;
    if (!read_size(text, 127, &value) || value == 0) return false;
    *(uint8_t *)member = (uint8_t)value;
    return true;
}

static bool read_workers(const char *text, void *member)
{
    uint64_t value;
    if (!read_size(text, NODE_WORKERS_MAX, &value) || value == 0) return false;
    *(uint32_t *)member = (uint32_t)value;
    return true;
}

static bool read_bool(const char *text, void *member)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) return false;
    *(bool *)member = text[0] == 't';
    return true;
}

static bool read_sync(const char *text, void *member)
{
    if (strcmp(text, "group") != 0 && strcmp(text, "os") != 0) return false;
    *(enum log_sync *)member = text[0] == 'g' ? LOG_SYNC_GROUP : LOG_SYNC_OS;
    return true;
}

/* ---- Keys ---------------------------------------------------------------------------------------------------- */

struct config_key {
    const char *section, *key;
    value_read *read;
    size_t offset;
    const char *expected;
};

#define KEY(section, key, read, member, expected)                                                  \
    {                                                                                              \
        section, key, read, offsetof(struct node_config, member), expected                         \
    }

static const char size_expected[] = "a number of bytes, such as 64M";

static const struct config_key keys[] = {
    KEY("server", "data_dir", read_text, data_dir, "a directory"),
    KEY("server", "listen", read_text, listen, "host:port"),
    KEY("server", "advertise", read_text, advertise, "host:port"),
    KEY("server", "workers", read_workers, workers, "1 to 64"),
    KEY("cluster", "name", read_text, cluster_name, "a name"),
    KEY("cluster", "join", read_metas, join, "host:port,host:port"),
    KEY("cluster", "id", read_cluster_id, cluster_id, "1 to 127"),
    KEY("log", "sync", read_sync, sync, "group or os"),
    KEY("log", "segment_size", read_u32, segment_size, size_expected),
    KEY("log", "flush_size", read_u64, log_flush_size, size_expected),
    KEY("log", "ship_size", read_u64, log_ship_size, size_expected),
    KEY("log", "backlog_size_max", read_u64, backlog_size_max, size_expected),
    KEY("store", "cache_size", read_u64, cache_size, size_expected),
    KEY("store", "write_buffer_size", read_u64, write_buffer_size, size_expected),
    KEY("store", "disk_reserve_size", read_u64, disk_reserve_size, size_expected),
    KEY("replica", "tail_size", read_u64, tail_size, size_expected),
    KEY("replica", "learn_rate", read_u64, learn_rate, size_expected),
    KEY("replica", "write_size_max", read_u32, write_size_max, size_expected),
    KEY("duplication", "accepts_any_source", read_bool, accepts_any_source, "true or false"),
};

/* ---- Clusters known by name ---------------------------------------------------------------------------------- */

static struct config_remote *remote_find(struct node_config *c, const char *name)
{
    for (uint32_t i = 0; i < c->remote_count; i++)
        if (strcmp(c->remotes[i].name, name) == 0) return &c->remotes[i];
    if (c->remote_count == CONFIG_REMOTES_MAX || strlen(name) >= CONFIG_TEXT_SIZE) return NULL;
    struct config_remote *r = &c->remotes[c->remote_count++];
    *r = (struct config_remote){0};
    memcpy(r->name, name, strlen(name) + 1);
    return r;
}

static const char *set_remote(struct node_config *c, const char *name, const char *value,
                              bool is_id)
{
    struct config_remote *r = remote_find(c, name);
    if (r == NULL) return "fewer clusters, with shorter names";
    if (is_id) return read_cluster_id(value, &r->cluster_id) ? NULL : "1 to 127";
    return read_metas(value, r->metas) ? NULL : "host:port,host:port";
}

/* ---- Keys, and the file -------------------------------------------------------------------------------------------------- */

const char *config_set(struct node_config *c, const char *section, const char *key,
                       const char *value)
{
    if (strcmp(section, "pegasus.clusters") == 0) return set_remote(c, key, value, false);
    if (strcmp(section, "duplication-group") == 0) return set_remote(c, key, value, true);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].key, key) != 0) continue;
        return keys[i].read(value, (char *)c + keys[i].offset) ? NULL : keys[i].expected;
    }
    return "a key of docs/configuration.md";
}

struct loading {
    struct node_config *config;
    const char *path;
    struct err *e;
    bool has_failed;
};

static int on_pair(void *context, const char *section, const char *key, const char *value)
{
    struct loading *l = context;
    const char *expected = config_set(l->config, section, key, value);
    if (expected == NULL || l->has_failed) return 1;
    l->has_failed = true;
    (void)err_set(l->e, E_INVALID, "%s: [%s] %s = %s: expected %s", l->path, section, key, value,
                  expected);
    return 0;
}

int config_load(struct node_config *c, const char *path, struct err *e)
{
    struct loading l = {.config = c, .path = path, .e = e};
    int line = ini_parse(path, on_pair, &l);
    if (line == -1) return err_set(e, E_NOTFOUND, "%s: there is no such file", path);
    if (line == -2) return err_set(e, E_NOMEM, "%s", path);
    if (l.has_failed) return err_wrap(e, E_INVALID, "line %d", line);
    if (line > 0) return err_set(e, E_INVALID, "%s: line %d is no 'key = value'", path, line);
    return 0;
}
