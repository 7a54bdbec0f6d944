/* src/node/assignment.c: the table's state, cut down to what one of its replicas needs. */
#include "node/assignment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/messages.h"

static uint32_t env_u32(const struct meta_table *table, const char *key, uint32_t otherwise)
{
    const char *text = meta_env_get(table, key);
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10)
                        : otherwise; /* Checked when it was set. */
}

static bool env_bool(const struct meta_table *table, const char *key)
{
    const char *text = meta_env_get(table, key);
    return text != NULL && (text[0] == 't' || text[0] == 'T');
}

/* "timeout*all", "reconfig*write" and so on; checked when it was set. */
static unsigned env_deny(const struct meta_table *table)
{
    const char *text = meta_env_get(table, "replica.deny_client_request");
    if (text == NULL) return DENY_NOTHING;
    unsigned deny = strncmp(text, "timeout", 7) == 0 ? DENY_BY_SILENCE : DENY_NOTHING;
    if (strstr(text, "*read") == NULL) deny |= DENY_WRITES;
    if (strstr(text, "*write") == NULL) deny |= DENY_READS;
    return deny;
}

/* Checked when they were set; a table that was created with bad ones goes unthrottled. */
static struct throttle_rule env_throttle(const struct meta_table *table, const char *key)
{
    struct throttle_rule rule = {0};
    const char *text = meta_env_get(table, key);
    if (text != NULL) throttle_rule_read(slice_str(text), &rule);
    return rule;
}

static struct assignment_throttles env_throttles(const struct meta_table *table)
{
    struct assignment_throttles throttles = {
        .writes = env_throttle(table, "replica.write_throttling"),
        .write_bytes = env_throttle(table, "replica.write_throttling_by_size"),
        .reads = env_throttle(table, "replica.read_throttling"),
        .backup_reads = env_throttle(table, "replica.backup_request_throttling"),
    };
    const char *rate = meta_env_get(table, "replica.read_throttling_by_size");
    if (rate != NULL) throttle_rate_read(slice_str(rate), &throttles.read_bytes);
    return throttles;
}

static void config_fill(struct repl_config *c, const struct meta_partition *p)
{
    *c = (struct repl_config){.ballot = p->ballot, .primary = p->primary};
    if (p->primary != 0) c->members[c->member_count++] = p->primary;
    for (uint8_t i = 0; i < p->secondary_count; i++)
        c->members[c->member_count++] = p->secondaries[i];
    c->learner = p->learner;
}

/* With fewer than a majority of what was asked for, one more loss could be the loss of an acknowledged write.
 * Two are as good as one can have of two. */
static uint32_t write_members_min(const struct meta_table *table)
{
    const uint32_t wanted = (uint32_t)table->max_replica_count;
    return wanted <= 2 ? 1 : wanted / 2 + 1;
}

static void dup_fill(struct assignment_dup *to, const struct meta_dup *from, uint32_t index)
{
    const struct meta_dup_partition *p = &from->partitions[index];
    *to = (struct assignment_dup){
        .id = from->id,
        .is_paused = from->status != DS_APP && from->status != DS_LOG,
        .needs_snapshot = from->with_bootstrap && !p->is_bootstrapped,
        .confirmed = p->confirmed,
        .remote_cluster_id = from->remote_cluster_id,
        .remote_uuid = from->remote_uuid,
        .remote_table_id = from->remote_table_id,
    };
    memcpy(to->remote_cluster, from->remote_cluster, sizeof to->remote_cluster);
    memcpy(to->remote_metas, from->remote_metas, sizeof to->remote_metas);
    memcpy(to->remote_table, from->remote_table, sizeof to->remote_table);
}

static void addresses_fill(const struct meta *m, struct assignment *a)
{
    for (uint32_t i = 0; i < a->config.member_count; i++) {
        const struct meta_node *node = meta_node_by_id(m, a->config.members[i]);
        if (node != NULL) a->addresses[i] = (struct io_address){node->ipv4, node->port};
    }
    const struct meta_node *learner = meta_node_by_id(m, a->config.learner);
    if (learner != NULL) a->learner_address = (struct io_address){learner->ipv4, learner->port};
}

struct assignment *assignment_new(const struct meta *m, const struct meta_table *table,
                                  uint32_t index)
{
    struct assignment *a = mem_zalloc(sizeof *a + table->dup_count * sizeof a->dups[0]);
    if (a == NULL) return NULL;
    static const char iteration_key[] = "replica.rocksdb_iteration_threshold_time_ms";
    a->gpid = (struct gpid){table->id, (int32_t)index};
    a->cluster_id = m->cluster_id;
    a->cluster_uuid = m->cluster_uuid;
    memcpy(a->table_name, table->name, sizeof a->table_name);
    a->partition_count = table->partition_count;
    config_fill(&a->config, &table->partitions[index]);
    addresses_fill(m, a);
    a->write_members_min = write_members_min(table);
    a->default_ttl_s = env_u32(table, "default_ttl", 0);
    a->has_iteration_time = meta_env_get(table, iteration_key) != NULL;
    a->iteration_time_ms_max = env_u32(table, iteration_key, 0);
    a->validates_partition_hash = env_bool(table, "replica.split.validate_partition_hash");
    a->deny = env_deny(table);
    a->throttles = env_throttles(table);
    a->dup_count = (uint32_t)table->dup_count;
    for (uint32_t i = 0; i < a->dup_count; i++) dup_fill(&a->dups[i], &table->dups[i], index);
    return a;
}

void assignment_free(struct assignment *a)
{
    mem_free(a);
}

bool assignment_address(const struct assignment *a, uint64_t node_id, struct io_address *out)
{
    for (uint32_t i = 0; i < a->config.member_count; i++) {
        if (a->config.members[i] != node_id || a->addresses[i].port == 0) continue;
        *out = a->addresses[i];
        return true;
    }
    if (node_id != 0 && node_id == a->config.learner && a->learner_address.port != 0) {
        *out = a->learner_address;
        return true;
    }
    return false;
}
