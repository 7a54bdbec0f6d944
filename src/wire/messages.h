/* src/wire/messages.h: every message that we speak, as C structs with their tables.
 *
 *     messages_data.h    reading and writing records
 *     messages_meta.h    tables, their places, and the cluster
 *     messages_dup.h     duplication between clusters
 *     messages_admin.h   one server: its disks, its replicas, commands
 *     messages_pirene.h  what only Pirene's programs say to each other
 *     messages_repl.h    what servers of one cluster say about their partitions
 *
 * Names of messages and fields are those of Pegasus where it has them. Which rpc carries which
 * message is in rpc_names.h. */
#pragma once
#include "wire/lists.h"
#include "wire/messages_admin.h"
#include "wire/messages_data.h"
#include "wire/messages_dup.h"
#include "wire/messages_meta.h"
#include "wire/messages_pirene.h"
#include "wire/messages_repl.h"

/* The table of every message that an rpc carries (some more than once), for tests and fuzzers. */
extern const struct schema *const message_schemas[];
extern const size_t message_schema_count;
