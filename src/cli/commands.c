/* src/cli/commands.c: every command there is. Help, completion and the shell read this table
 * too. */
#include "cli/command.h"

const struct option_spec common_options[] = {
    {"--meta", "HOST:PORT,..", "the cluster (or PIRENE_META; default 127.0.0.1:34601)"},
    {"--timeout", "TIME", "how long to wait: 500ms, 30s, 2m (default 5s)"},
    {"--json", NULL, "print JSON"},
    {"--hex", NULL, "keys and values as hex, in and out"},
    {"--base64", NULL, "keys and values as base64, in and out"},
    {"--help", NULL, "about this command"},
    {NULL, NULL, NULL},
};

#define OPTIONS(name) static const struct option_spec name[]
#define OPTIONS_END                                                                                \
    {                                                                                              \
        NULL, NULL, NULL                                                                           \
    }

OPTIONS(create_options) = {
    {"--partitions", "N", "into how many parts keys are spread (default 8)"},
    {"--replicas", "N", "copies of each (default: as many as there are nodes, at most 3)"},
    OPTIONS_END};
OPTIONS(list_options) = {{"--dropped", NULL, "those that were dropped and can be recalled"},
                         OPTIONS_END};
OPTIONS(drop_options) = {{"--reserve", "TIME", "how long it can be recalled"}, OPTIONS_END};
OPTIONS(put_options) = {{"--ttl", "SECONDS", "forget it after this long"}, OPTIONS_END};
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
OPTIONS(dup_status_options) = {{"--partitions", NULL, "one row per partition"},
                               {"--watch", NULL, "again every second, until Ctrl-C"},
                               OPTIONS_END};
OPTIONS(dup_wait_options) = {{"--id", "N", "this duplication only (default: all)"}, OPTIONS_END};
OPTIONS(dup_verify_options) = {{"--id", "N", "which duplication, where there are several"},
                               {"--no-wait", NULL, "compare at once"},
                               OPTIONS_END};
OPTIONS(bench_load_options) = {
    {"--seconds", "N", "how long (default 10)"},
    {"--in-flight", "N", "requests under way at a time (default 64)"},
    {"--size", "BYTES", "of a value (default 100)"},
    {"--keys", "N", "different keys (default 50000)"},
    {"--connections", "N", "with a thread each (default 1)"},
    {"--reads", "PERCENT", "of 'mixed' (default 50)"},
    {"--sync", "group|os", "of the server, when it starts one"},
    {"--start", NULL, "start a server of its own, in a directory that is removed"},
    {"--server-pid", "PID", "whose CPU time is counted"},
    OPTIONS_END};
OPTIONS(bench_last_options) = {
    {"--writes", "N", "isolated writes (default 1000)"},
    {"--gap-min", "TIME", "shortest idle gap (default 50ms)"},
    {"--gap-max", "TIME", "longest idle gap (default 180ms)"},
    {"--sync", "group|os", "of the servers (default group)"},
    {"--source", "HOST:PORT", "instead of starting two servers: this one..."},
    {"--remote", "HOST:PORT", "...duplicated to this one"},
    {"--table", "NAME", "the table on both (default 'bench')"},
    OPTIONS_END};
OPTIONS(bench_burst_options) = {{"--rounds", "N", "bursts (default 50)"},
                                {"--writers", "N", "in each (default 32)"},
                                {"--burst", "TIME", "how long each (default 2s)"},
                                {"--sync", "group|os", "of the servers (default group)"},
                                OPTIONS_END};
OPTIONS(bench_sustain_options) = {{"--seconds", "N", "how long (default 60)"},
                                  {"--in-flight", "N", "requests under way at a time (default 64)"},
                                  {"--size", "BYTES", "of a value (default 100)"},
                                  {"--sync", "group|os", "of the servers (default group)"},
                                  OPTIONS_END};
OPTIONS(bench_memory_options) = {{"--records", "N", "to load (default 1000000)"},
                                 {"--size", "BYTES", "of a value (default 100)"},
                                 OPTIONS_END};
OPTIONS(demo_options) = {{"--writes", "N", "isolated writes to time (default 300)"},
                         {"--records", "N", "to load before (default 50000)"},
                         {"--gap-max", "TIME", "longest idle gap (default 10s)"},
                         OPTIONS_END};

const struct cli_command commands[] = {
    {"cluster", "status", "", "The cluster in a few lines", "cluster status", NULL,
     cluster_status_run},
    {"node", "list", "", "Servers, and whether they are alive", "node list", NULL, node_list_run},

    {"table", "create", "NAME", "Make a table", "table create users --partitions 8", create_options,
     table_create_run},
    {"table", "list", "", "All tables", "table list", list_options, table_list_run},
    {"table", "show", "NAME", "One table and where its partitions are", "table show users", NULL,
     table_show_run},
    {"table", "drop", "NAME", "Take a table away; 'recall' brings it back for a while",
     "table drop users", drop_options, table_drop_run},
    {"table", "recall", "ID [NAME]", "Bring a dropped table back", "table recall 2", NULL,
     table_recall_run},
    {"table", "rename", "NAME NEW-NAME", "Call a table something else", "table rename users people",
     NULL, table_rename_run},
    {"table", "env", "get|set|del|clear TABLE [KEY [VALUE]]", "Settings of a table",
     "table env set users default_ttl 86400", NULL, table_env_run},

    {"put", NULL, "TABLE HASHKEY [SORTKEY] VALUE", "Write a record", "put users ada name Lovelace",
     put_options, put_run},
    {"get", NULL, "TABLE HASHKEY [SORTKEY]", "Read a record", "get users ada name", NULL, get_run},
    {"del", NULL, "TABLE HASHKEY [SORTKEY]", "Delete a record", "del users ada name", NULL,
     del_run},
    {"incr", NULL, "TABLE HASHKEY [SORTKEY]", "Add to a number", "incr users ada logins --by 5",
     incr_options, incr_run},
    {"ttl", NULL, "TABLE HASHKEY [SORTKEY]", "Seconds left to live", "ttl users ada name", NULL,
     ttl_run},
    {"exists", NULL, "TABLE HASHKEY [SORTKEY]", "Is there such a record: exit code 0 or 1",
     "exists users ada name", NULL, exists_run},
    {"scan", NULL, "TABLE [HASHKEY]", "Records of a hash key, or of the whole table",
     "scan users ada --limit 10", scan_options, scan_run},
    {"count", NULL, "TABLE [HASHKEY]", "How many records", "count users", NULL, count_run},

    {"dup", "add", "TABLE", "Duplicate a table to another cluster",
     "dup add users --to 10.0.0.2:34601", dup_add_options, dup_add_run},
    {"dup", "list", "[TABLE]", "All duplications", "dup list", NULL, dup_list_run},
    {"dup", "status", "TABLE", "How far behind the other cluster is, and why",
     "dup status users --watch", dup_status_options, dup_status_run},
    {"dup", "wait", "TABLE",
     "Return once all that was acknowledged before is applied over there (--timeout 30s)",
     "dup wait users --timeout 1m", dup_wait_options, dup_wait_run},
    {"dup", "verify", "TABLE", "Compare both sides; name the first difference", "dup verify users",
     dup_verify_options, dup_verify_run},
    {"dup", "pause", "TABLE ID", "Stop shipping; nothing is forgotten", "dup pause users 1700000",
     NULL, dup_pause_run},
    {"dup", "resume", "TABLE ID", "Go on shipping", "dup resume users 1700000", NULL,
     dup_resume_run},
    {"dup", "remove", "TABLE ID", "End a duplication", "dup remove users 1700000", NULL,
     dup_remove_run},

    {"bench", "put", "[TABLE]", "Writes at full speed", "bench put --start --sync os",
     bench_load_options, bench_put_run},
    {"bench", "get", "[TABLE]", "Reads at full speed", "bench get --start", bench_load_options,
     bench_get_run},
    {"bench", "mixed", "[TABLE]", "Reads and writes at full speed", "bench mixed bench --reads 90",
     bench_load_options, bench_mixed_run},
    {"bench", "last-mutation", "", "How soon an isolated write is visible on the other cluster",
     "bench last-mutation --json", bench_last_options, bench_last_mutation_run},
    {"bench", "burst", "", "How soon the last write of a burst is", "bench burst --rounds 5",
     bench_burst_options, bench_burst_run},
    {"bench", "sustain", "", "Does duplication keep up with the highest rate of writes",
     "bench sustain --seconds 60", bench_sustain_options, bench_sustain_run},
    {"bench", "memory", "", "What a server needs, idle and with records",
     "bench memory --records 1000000", bench_memory_options, bench_memory_run},

    {"demo", NULL, "", "Two clusters, one link, the last write arrives in milliseconds", "demo",
     demo_options, demo_run},
    {"completion", NULL, "bash|zsh", "A script for your shell", "completion bash", NULL,
     completion_run},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL},
};
