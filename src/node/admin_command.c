/* src/node/admin_command.c: one table of remote commands; help is made from it. The answers are those
 * that Pegasus's admin-cli and shell read (docs/admin.md, rule A5). */
#include "node/admin_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/node_impl.h"
#include "obs/version.h"

/* ---- Text ------------------------------------------------------------------------------------- */

/* As JSON has it: in quotes, and whatever a peer was called cannot leave them. */
static void append_quoted(struct buf *out, const char *text)
{
    buf_append_u8(out, '"');
    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)*text;
        if (byte == '"' || byte == '\\') buf_printf(out, "\\%c", byte);
        else if (byte < 0x20) buf_printf(out, "\\u%04x", byte);
        else buf_append_u8(out, byte);
    }
    buf_append_u8(out, '"');
}

static void append_date(struct buf *out, uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    char text[32] = "";
    if (gmtime_r(&seconds, &tm) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    buf_append_str(out, text);
}

static bool contains(struct slice text, struct slice part)
{
    for (size_t i = 0; i + part.size <= text.size; i++)
        if (slice_has_prefix(slice_skip(text, i), part)) return true;
    return false;
}

/* ---- Server ----------------------------------------------------------------------------------- */

static void run_server_info(const struct survey *s, const struct command *c, struct buf *out)
{
    (void)c;
    buf_append_str(out, "{\"build_type\":\"" PIRENE_BUILD_TEXT
                        "\",\"git_SHA\":\"" PIRENE_COMMIT_TEXT "\",\"start_time\":\"");
    append_date(out, s->node->started_us);
    buf_append_str(out, "\",\"version\":\"Pirene " PIRENE_VERSION_TEXT "\"}");
}

static void run_server_stat(const struct survey *s, const struct command *c, struct buf *out)
{
    uint64_t reads = 0, writes = 0;
    (void)c;
    for (size_t i = 0; i < s->replica_count; i++) {
        reads += s->replicas[i].read_rate;
        writes += s->replicas[i].write_rate;
    }
    buf_printf(out, "get_qps=%" PRIu64 ", put_qps=%" PRIu64, reads, writes);
    buf_printf(out, ", memory(MB)=%" PRIu64 ", replica_count=%zu", s->memory_size >> 20,
               s->replica_count);
}

/* Nothing waits in memory here to be flushed on demand: acknowledged is logged. */
static void run_flush_log(const struct survey *s, const struct command *c, struct buf *out)
{
    (void)s, (void)c;
    buf_append_str(out, "Flush done.");
}

/* ---- Perf counters ---------------------------------------------------------------------------- */

typedef bool counter_filter(struct slice name, struct slice wish);

struct counters {
    struct buf *out;
    counter_filter *filter;
    const struct string_list *wishes; /* Any of them; none: all counters. */
    size_t count;
};

static bool is_wished(const struct counters *c, struct slice name)
{
    for (uint32_t i = 0; i < c->wishes->count; i++)
        if (c->filter(name, c->wishes->items[i])) return true;
    return c->wishes->count == 0;
}

static void counter(struct counters *c, const char *section, const char *name,
                    const struct gpid *gpid, uint64_t value)
{
    struct buf text = {0};
    buf_printf(&text, "replica*%s*%s", section, name);
    if (gpid != NULL) buf_printf(&text, "@%d.%d", gpid->app_id, gpid->partition_index);
    if (buf_status(&text) != 0) c->out->failed = true;
    else if (is_wished(c, buf_slice(&text)))
        buf_printf(c->out, "%s{\"name\":\"%.*s\",\"type\":\"NUMBER\",\"value\":%" PRIu64 "}",
                   c->count++ > 0 ? "," : "", (int)text.size, (const char *)text.data, value);
    buf_fini(&text);
}

/* Reads of all kinds stand at get, writes of all kinds at put. */
static void replica_counters(struct counters *c, const struct survey_replica *r)
{
    static const char section[] = "app.pegasus";
    counter(c, section, "get_qps", &r->gpid, r->read_rate);
    counter(c, section, "put_qps", &r->gpid, r->write_rate);
    counter(c, section, "disk.storage.sst(MB)", &r->gpid, r->store.disk_size >> 20);
    counter(c, section, "rdb.memtable.memory_usage", &r->gpid, r->store.memory_size);
    counter(c, section, "rdb.estimate_num_keys", &r->gpid, r->store.keys);
}

/* Operations shipped by all duplications of one partition; the rows are in the order of partitions. */
static void ship_counters(struct counters *c, const struct survey *s)
{
    for (size_t i = 0; i < s->dup_count;) {
        struct gpid gpid = s->dups[i].gpid;
        uint64_t rate = 0;
        for (; i < s->dup_count && gpid_equal(s->dups[i].gpid, gpid); i++)
            rate += s->dups[i].ship_rate;
        counter(c, "app.pegasus", "dup_shipped_ops", &gpid, rate);
    }
}

static void server_counters(struct counters *c, const struct survey *s)
{
    static const char disk[] = "eon.replica_stub";
    uint64_t pending = 0;
    for (size_t i = 0; i < s->dup_count; i++) pending += s->dups[i].pending;
    counter(c, disk, "disk.capacity.total(MB)", NULL, s->disk_size >> 20);
    counter(c, disk, "disk.available.total(MB)", NULL, s->disk_free >> 20);
    counter(c, disk, "disk.available.total.ratio", NULL,
            s->disk_size > 0 ? s->disk_free * 100 / s->disk_size : 0);
    counter(c, disk, "dup.pending_mutations_count", NULL, pending);
    counter(c, "server", "memused.res(MB)", NULL, s->memory_size >> 20);
}

static void print_counters(const struct survey *s, const struct command *command,
                           counter_filter *filter, struct buf *out)
{
    uint64_t wall_us = io_now(s->node->io).wall_us;
    struct counters c = {.out = out, .filter = filter, .wishes = &command->arguments};
    buf_printf(out, "{\"result\":\"OK\",\"timestamp\":%" PRIu64 ",\"timestamp_str\":\"",
               wall_us / 1000000);
    append_date(out, wall_us);
    buf_append_str(out, "\",\"counters\":[");
    server_counters(&c, s);
    for (size_t i = 0; i < s->replica_count; i++) replica_counters(&c, &s->replicas[i]);
    ship_counters(&c, s);
    buf_append_str(out, "]}");
}

static void run_counters(const struct survey *s, const struct command *c, struct buf *out)
{
    print_counters(s, c, slice_equal, out);
}

static void run_counters_by_substr(const struct survey *s, const struct command *c, struct buf *out)
{
    print_counters(s, c, contains, out);
}

static void run_counters_by_prefix(const struct survey *s, const struct command *c, struct buf *out)
{
    print_counters(s, c, slice_has_prefix, out);
}

static void run_counters_by_postfix(const struct survey *s, const struct command *c,
                                    struct buf *out)
{
    print_counters(s, c, slice_has_suffix, out);
}

/* ---- Progress --------------------------------------------------------------------------------- */

/* "4" or "4.1", several of them behind commas or in several arguments; none: all replicas. */
static bool is_asked_about(const struct string_list *words, struct gpid gpid)
{
    char table[16], partition[32];
    (void)snprintf(table, sizeof table, "%d", gpid.app_id);
    (void)snprintf(partition, sizeof partition, "%d.%d", gpid.app_id, gpid.partition_index);
    for (uint32_t i = 0; i < words->count; i++) {
        struct slice rest = words->items[i];
        while (rest.size > 0) {
            const uint8_t *comma = memchr(rest.data, ',', rest.size);
            size_t size = comma != NULL ? (size_t)(comma - rest.data) : rest.size;
            struct slice word = slice_of(rest.data, size);
            if (slice_is(word, table) || slice_is(word, partition)) return true;
            rest = slice_skip(rest, comma != NULL ? size + 1 : size);
        }
    }
    return words->count == 0;
}

static void print_dup_progress(const struct survey_dup *d, struct buf *out)
{
    buf_printf(out, "{\"dupid\":%d,\"remote_cluster_name\":", d->id);
    append_quoted(out, d->remote_cluster);
    buf_append_str(out, ",\"remote_app_name\":");
    append_quoted(out, d->remote_table);
    buf_printf(out,
               ",\"replica_confirmed_decree\":%" PRIu64 ",\"meta_persisted_decree\":%" PRIu64 "}",
               d->confirmed, d->saved);
}

static void print_progress(const struct survey *s, const struct survey_replica *r, struct buf *out)
{
    size_t count = 0;
    buf_printf(out, "{\"max_prepared_decree\":%" PRIu64 ",\"last_committed_decree\":%" PRIu64,
               r->prepared, r->committed);
    buf_printf(out, ",\"last_applied_decree\":%" PRIu64 ",\"last_durable_decree\":%" PRIu64,
               r->applied, r->durable);
    if (r->why[0] != '\0') buf_append_str(out, ",\"why\":");
    if (r->why[0] != '\0') append_quoted(out, r->why);
    for (size_t i = 0; i < s->dup_count; i++) {
        const struct survey_dup *d = &s->dups[i];
        if (!gpid_equal(d->gpid, r->gpid)) continue;
        buf_append_str(out, count++ == 0 ? ",\"duplications\":[" : ",");
        print_dup_progress(d, out);
    }
    buf_append_str(out, count > 0 ? "]}" : "}");
}

static void run_query_progress(const struct survey *s, const struct command *c, struct buf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < s->replica_count; i++)
        count += is_asked_about(&c->arguments, s->replicas[i].gpid);
    buf_printf(out, "%zu processed, %d not found", count, count == 0 && c->arguments.count > 0);
    for (size_t i = 0; i < s->replica_count; i++) {
        const struct survey_replica *r = &s->replicas[i];
        if (!is_asked_about(&c->arguments, r->gpid)) continue;
        char role = r->is_failed ? 'E' : r->is_primary ? 'P' : 'S';
        buf_printf(out, "\n    %d.%d@%s@%c : ", r->gpid.app_id, r->gpid.partition_index,
                   s->node->advertised, role);
        print_progress(s, r, out);
    }
}

/* ---- The table -------------------------------------------------------------------------------- */

static void run_help(const struct survey *s, const struct command *c, struct buf *out);

static const struct admin_command {
    const char *name, *help;
    void (*run)(const struct survey *s, const struct command *c, struct buf *out);
} commands[] = {
    {"help", "this list", run_help},
    {"server-info", "what runs here, since when", run_server_info},
    {"server-stat", "figures of the whole server", run_server_stat},
    {"flush-log", "nothing to do: what is acknowledged is logged", run_flush_log},
    {"perf-counters", "[NAME]... counters of these names, or all", run_counters},
    {"perf-counters-by-substr", "PART... counters whose names contain one", run_counters_by_substr},
    {"perf-counters-by-prefix", "PART... counters whose names begin with one",
     run_counters_by_prefix},
    {"perf-counters-by-postfix", "PART... counters whose names end with one",
     run_counters_by_postfix},
    {"replica.query-progress", "[TABLE-ID[.PARTITION]]... how far replicas and duplications are",
     run_query_progress},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void run_help(const struct survey *s, const struct command *c, struct buf *out)
{
    (void)s, (void)c;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        buf_printf(out, "%s - %s\n", commands[i].name, commands[i].help);
}

void admin_command_run(const struct survey *s, const struct command *command, struct buf *out)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (!slice_is(command->cmd, commands[i].name)) continue;
        commands[i].run(s, command, out);
        return;
    }
    buf_append_str(out, "unknown command '");
    buf_append_slice(out, command->cmd);
    buf_append_str(out, "'");
}
