/* src/cli/commands.c: every command there is. Help, completion and the shell read this table
 * too. */
#include "cli/command.h"

const struct option_spec common_options[] = {
    [COMMON_META] = {"--meta", "HOST:PORT,..",
                     "the cluster (or PIRENE_META; default 127.0.0.1:34601)"},
    [COMMON_TIMEOUT] = {"--timeout", "TIME", "how long the command may take: 500ms, 30s, 2m"},
    [COMMON_JSON] = {"--json", NULL, "print JSON, errors too"},
    [COMMON_HEX] = {"--hex", NULL, "keys and values as hex, in and out"},
    [COMMON_BASE64] = {"--base64", NULL, "keys and values as base64, in and out"},
    [COMMON_HELP] = {"--help", NULL, "print this"},
    {NULL, NULL, NULL},
};

#define OPTIONS(name) static const struct option_spec name[]
#define OPTIONS_END                                                                                \
    {                                                                                              \
        NULL, NULL, NULL                                                                           \
    }

OPTIONS(cluster_status_options) = {
    {"--watch", NULL, "again every second, until Ctrl-C; with --json a line each"}, OPTIONS_END};
OPTIONS(drain_options) = {{"--undo", NULL, "it may hold something again"},
                          {"--no-wait", NULL, "have it begun, and do not wait for its end"},
                          OPTIONS_END};
OPTIONS(create_options) = {
    {"--partitions", "N", "into how many parts keys are spread: 1, 2, 4, 8... (default 8)"},
    {"--replicas", "N", "copies of each (default: as many as there are nodes, at most 3)"},
    OPTIONS_END};
OPTIONS(list_options) = {{"--dropped", NULL, "those that were dropped and can be recalled"},
                         OPTIONS_END};
OPTIONS(drop_options) = {
    {"--reserve", "TIME", "how long it can be recalled: 1h, 24h (default: a week)"}, OPTIONS_END};
OPTIONS(compact_options) = {{"--upper", NULL, "leave alone what lies at the bottom level already"},
                            {"--no-wait", NULL, "have it begun, and do not wait for its end"},
                            {"--status", NULL, "only say how far the last one is"},
                            OPTIONS_END};
OPTIONS(put_options) = {
    {"--ttl", "SECONDS", "seconds to live (default: that of the table, else for ever)"},
    OPTIONS_END};
OPTIONS(incr_options) = {{"--by", "N", "how much, may be negative (default 1)"}, OPTIONS_END};
OPTIONS(scan_options) = {{"--limit", "N", "at most so many records (default 100; 0: all)"},
                         {"--prefix", "TEXT", "only sort keys that begin with it"},
                         {"--keys", NULL, "without values"},
                         OPTIONS_END};
OPTIONS(dup_add_options) = {
    {"--to", "META[,META]", "the other cluster"},
    {"--remote-table", "NAME", "its name over there (default: the same)"},
    {"--no-snapshot", NULL, "only writes from now on, not what is there already"},
    {"--no-create", NULL, "do not create the remote table"},
    OPTIONS_END};
OPTIONS(dup_status_options) = {
    {"--partitions", NULL, "one row per partition"},
    {"--watch", NULL, "again every second, until Ctrl-C; with --json a line each"},
    OPTIONS_END};
OPTIONS(dup_wait_options) = {{"--id", "N", "this duplication only (default: all)"}, OPTIONS_END};
OPTIONS(dup_verify_options) = {{"--id", "N", "which duplication, where there are several"},
                               {"--no-wait", NULL, "compare at once"},
                               OPTIONS_END};
OPTIONS(bench_load_options) = {
    {"--seconds", "N", "seconds to measure (default 10)"},
    {"--in-flight", "N", "requests under way at a time (default 64)"},
    {"--size", "BYTES", "bytes of a value (default 100)"},
    {"--keys", "N", "different keys (default 50000)"},
    {"--connections", "N", "each with a thread of its own (default 1)"},
    {"--reads", "PERCENT", "how many of the requests of 'mixed' read (default 50)"},
    {"--sync", "group|os",
     "of --start: acknowledged when on disk (group), or before (os); default group"},
    {"--start", NULL, "start a server of its own, in a directory that is removed"},
    {"--nodes", "N", "of --start: so many servers, and as many replicas (default 1)"},
    {"--server-pid", "PID", "process whose CPU time is counted (default: that of --start)"},
    OPTIONS_END};
OPTIONS(bench_last_options) = {
    {"--writes", "N", "isolated writes (default 1000)"},
    {"--gap-min", "TIME", "shortest idle gap (default 50ms)"},
    {"--gap-max", "TIME", "longest idle gap (default 180ms)"},
    {"--sync", "group|os", "acknowledged when on disk (group), or before (os); default group"},
    {"--source", "HOST:PORT", "instead of starting two servers: this one..."},
    {"--remote", "HOST:PORT", "...duplicated to this one"},
    {"--table", "NAME", "the table on both (default 'bench')"},
    OPTIONS_END};
OPTIONS(bench_burst_options) = {
    {"--rounds", "N", "bursts (default 50)"},
    {"--writers", "N", "writers in each (default 32)"},
    {"--burst", "TIME", "how long each lasts: 500ms, 2s (default 2s)"},
    {"--sync", "group|os", "acknowledged when on disk (group), or before (os); default group"},
    OPTIONS_END};
OPTIONS(bench_sustain_options) = {
    {"--seconds", "N", "seconds to measure (default 60)"},
    {"--in-flight", "N", "requests under way at a time (default 64)"},
    {"--size", "BYTES", "bytes of a value (default 100)"},
    {"--sync", "group|os", "acknowledged when on disk (group), or before (os); default group"},
    OPTIONS_END};
OPTIONS(bench_memory_options) = {{"--records", "N", "records to load (default 1000000)"},
                                 {"--size", "BYTES", "bytes of a value (default 100)"},
                                 OPTIONS_END};
OPTIONS(demo_options) = {{"--writes", "N", "isolated writes to time (default 300)"},
                         {"--records", "N", "records to load before (default 50000)"},
                         {"--gap-max", "TIME", "longest idle gap (default 10s)"},
                         OPTIONS_END};

const struct cli_command commands[] = {
    {"cluster", "status", "",
     "The cluster in a few lines; exit code 1 unless all partitions are whole",
     "cluster status --watch", cluster_status_options, cluster_status_run, TAKES_TIMEOUT, 5},
    {"node", "list", "", "Servers, whether they are alive, and what they hold", "node list", NULL,
     node_list_run, TAKES_TIMEOUT, 5},
    {"node", "drain", "NODE", "Move everything off a server, named by its address or id",
     "node drain 10.0.0.3:34601", drain_options, node_drain_run, TAKES_TIMEOUT, 24 * 3600},

    {"table", "create", "NAME", "Make a table", "table create users --partitions 8", create_options,
     table_create_run, TAKES_TIMEOUT, 10},
    {"table", "list", "", "All tables", "table list", list_options, table_list_run, TAKES_TIMEOUT,
     5},
    {"table", "show", "NAME", "One table and where its partitions are", "table show users", NULL,
     table_show_run, TAKES_TIMEOUT, 5},
    {"table", "drop", "NAME", "Take a table away; 'recall' brings it back for a while",
     "table drop users", drop_options, table_drop_run, TAKES_TIMEOUT, 5},
    {"table", "recall", "ID [NAME]", "Bring a dropped table back", "table recall 2", NULL,
     table_recall_run, TAKES_TIMEOUT, 5},
    {"table", "rename", "NAME NEW-NAME", "Call a table something else", "table rename users people",
     NULL, table_rename_run, TAKES_TIMEOUT, 5},
    {"table", "compact", "NAME", "Rewrite a table's files without what was deleted or has expired",
     "table compact users", compact_options, table_compact_run, TAKES_TIMEOUT, 24 * 3600},
    {"table", "env", "get|set|del|clear TABLE [KEY [VALUE]]", "Settings of a table",
     "table env set users default_ttl 86400", NULL, table_env_run, TAKES_TIMEOUT, 5},

    {"put", NULL, "TABLE HASHKEY [SORTKEY] VALUE", "Write a record", "put users ada name Lovelace",
     put_options, put_run, TAKES_KEYS, 5},
    {"get", NULL, "TABLE HASHKEY [SORTKEY]", "Read a record", "get users ada name", NULL, get_run,
     TAKES_KEYS, 5},
    {"del", NULL, "TABLE HASHKEY [SORTKEY]", "Delete a record", "del users ada name", NULL, del_run,
     TAKES_KEYS, 5},
    {"incr", NULL, "TABLE HASHKEY [SORTKEY]", "Add to a number", "incr users ada logins --by 5",
     incr_options, incr_run, TAKES_KEYS, 5},
    {"ttl", NULL, "TABLE HASHKEY [SORTKEY]", "Seconds left to live", "ttl users ada name", NULL,
     ttl_run, TAKES_KEYS, 5},
    {"exists", NULL, "TABLE HASHKEY [SORTKEY]", "Is there such a record: exit code 0 or 1",
     "exists users ada name", NULL, exists_run, TAKES_KEYS, 5},
    {"scan", NULL, "TABLE [HASHKEY]", "Records of a hash key, or of the whole table",
     "scan users ada --limit 10", scan_options, scan_run, TAKES_KEYS, 0},
    {"count", NULL, "TABLE [HASHKEY]", "How many records", "count users", NULL, count_run,
     TAKES_KEYS, 0},

    {"dup", "add", "TABLE", "Duplicate a table to another cluster",
     "dup add users --to 10.0.0.2:34601", dup_add_options, dup_add_run, TAKES_TIMEOUT, 30},
    {"dup", "list", "[TABLE]", "All duplications", "dup list", NULL, dup_list_run, TAKES_TIMEOUT,
     5},
    {"dup", "status", "TABLE", "How far behind the other cluster is, and why",
     "dup status users --watch", dup_status_options, dup_status_run, TAKES_TIMEOUT, 5},
    {"dup", "wait", "TABLE", "Return once what is acknowledged by now is applied there",
     "dup wait users --timeout 1m", dup_wait_options, dup_wait_run, TAKES_TIMEOUT, 30},
    {"dup", "verify", "TABLE", "Compare both sides; name the first difference", "dup verify users",
     dup_verify_options, dup_verify_run, TAKES_KEYS, 0},
    {"dup", "pause", "TABLE ID", "Stop shipping; nothing is forgotten", "dup pause users 1700000",
     NULL, dup_pause_run, TAKES_TIMEOUT, 5},
    {"dup", "resume", "TABLE ID", "Go on shipping", "dup resume users 1700000", NULL,
     dup_resume_run, TAKES_TIMEOUT, 5},
    {"dup", "remove", "TABLE ID", "End a duplication", "dup remove users 1700000", NULL,
     dup_remove_run, TAKES_TIMEOUT, 5},

    {"bench", "put", "[TABLE]", "How many writes a second, and how long each takes",
     "bench put --start --sync os", bench_load_options, bench_put_run, TAKES_META, 0},
    {"bench", "get", "[TABLE]", "How many reads a second, and how long each takes",
     "bench get --start", bench_load_options, bench_get_run, TAKES_META, 0},
    {"bench", "mixed", "[TABLE]", "How many of both a second, and how long each takes",
     "bench mixed bench --reads 90", bench_load_options, bench_mixed_run, TAKES_META, 0},
    {"bench", "last-mutation", "", "How soon an isolated write is visible on the other cluster",
     "bench last-mutation --json", bench_last_options, bench_last_mutation_run, TAKES_JSON, 0},
    {"bench", "burst", "", "How soon the last write of a burst is visible there",
     "bench burst --rounds 5", bench_burst_options, bench_burst_run, TAKES_JSON, 0},
    {"bench", "sustain", "", "Does duplication keep up with the highest rate of writes",
     "bench sustain --seconds 60", bench_sustain_options, bench_sustain_run, TAKES_JSON, 0},
    {"bench", "memory", "", "How much memory a server has, idle and with records",
     "bench memory --records 1000000", bench_memory_options, bench_memory_run, TAKES_JSON, 0},

    {"demo", NULL, "", "Two clusters, one link, the last write arrives in milliseconds", "demo",
     demo_options, demo_run, TAKES_HELP, 0},
    {"completion", NULL, "bash|zsh", "A script that completes commands in your shell",
     "completion bash", NULL, completion_run, TAKES_HELP, 0},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0},
};
