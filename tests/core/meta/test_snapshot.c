/* tests/core/meta/test_snapshot.c: the same commands make the same bytes; the bytes make the same
 * state; other bytes make nothing; and when memory ends, nothing has happened. */
#include "world.h"

#include "base/bytes.h"
#include "base/crc.h"

/* A life with something of everything in it. */
static void live(struct world *w)
{
    assert_int_equal(world_create(w, "t", 4, 2), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "u", 1, 3), WIRE_ERR_OK);
    assert_int_equal(world_create(w, "gone", 8, 1), WIRE_ERR_OK);
    assert_int_equal(world_drop(w, "gone", 0), WIRE_ERR_OK);
    assert_int_equal(world_set_env(w, "t", "default_ttl", "60"), WIRE_ERR_OK);
    assert_int_equal(world_set_env(w, "t", "business.info", "x"), WIRE_ERR_OK);
    assert_int_equal(world_remote(w, "there", "10.0.1.1:34601", 2), WIRE_ERR_OK);
    assert_int_equal(world_remote(w, "far", "10.0.2.1:34601", 0), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "there", true), WIRE_ERR_OK);
    assert_int_equal(world_add_dup(w, "t", "10.0.3.1:34601", false), WIRE_ERR_OK);
    struct meta_command resolve = {
        .type = META_DUP_RESOLVE,
        .dup_resolve = {.table_id = 1,
                        .dup_id = w->result.dup_id,
                        .remote_cluster = slice_str("third"),
                        .remote_cluster_id = 3,
                        .remote_uuid = 333},
    };
    assert_int_equal(world_do(w, &resolve), WIRE_ERR_OK);
    struct meta_confirm item = {1, WORLD_NOW_S, 2, 77, true};
    struct meta_command confirm = {.type = META_DUP_CONFIRM, .dup_confirm = {{&item, 1}}};
    assert_int_equal(world_do(w, &confirm), WIRE_ERR_OK);
    struct meta_command leave = {.type = META_NODE_LEAVE, .node_leave = {.id = 1}};
    assert_int_equal(world_do(w, &leave), WIRE_ERR_OK);
    struct meta_command add = {
        .type = META_MEMBER_ADD,
        .member_add = {.table_id = 1,
                       .ballot = 3,
                       .node = 3}, /* It was 1 and 2; the ballot is 2. */
    };
    assert_int_equal(world_do(w, &add), WIRE_ERR_OK);
    int64_t two = 2;
    struct meta_command set = {
        .type = META_PARTITION_SET,
        .partition_set = {.table_id = 2, .ballot = 3, .primary = 3, .secondaries = {&two, 1}},
    };
    assert_int_equal(world_do(w, &set), WIRE_ERR_OK);
    assert_int_equal(world_drain(w, 1, true), WIRE_ERR_OK);
}

static void snapshot(const struct meta *m, struct buf *to)
{
    buf_clear(to);
    assert_int_equal(meta_snapshot_write(m, to), 0);
}

static void test_same_commands_same_bytes(void **state)
{
    (void)state;
    struct world a, b;
    struct buf of_a = {0}, of_b = {0};
    world_init(&a, 3);
    world_init(&b, 3);
    live(&a);
    live(&b);
    snapshot(a.meta, &of_a);
    snapshot(b.meta, &of_b);
    assert_true(slice_equal(buf_slice(&of_a), buf_slice(&of_b)));

    assert_int_equal(world_set_env(&a, "t", "default_ttl", "61"), WIRE_ERR_OK);
    snapshot(a.meta, &of_a);
    assert_false(slice_equal(buf_slice(&of_a), buf_slice(&of_b)));
    buf_fini(&of_a);
    buf_fini(&of_b);
    world_fini(&a);
    world_fini(&b);
}

static void assert_same_dup(const struct meta_dup *a, const struct meta_dup *b, uint32_t partitions)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->fail_mode, b->fail_mode);
    assert_int_equal(a->with_bootstrap, b->with_bootstrap);
    assert_string_equal(a->remote_cluster, b->remote_cluster);
    assert_string_equal(a->remote_metas, b->remote_metas);
    assert_string_equal(a->remote_table, b->remote_table);
    assert_int_equal(a->remote_replica_count, b->remote_replica_count);
    assert_int_equal(a->remote_cluster_id, b->remote_cluster_id);
    assert_int_equal(a->remote_uuid, b->remote_uuid);
    assert_int_equal(a->create_ms, b->create_ms);
    for (uint32_t i = 0; i < partitions; i++) {
        assert_int_equal(a->partitions[i].confirmed, b->partitions[i].confirmed);
        assert_int_equal(a->partitions[i].is_bootstrapped, b->partitions[i].is_bootstrapped);
    }
}

static void assert_same_table(const struct meta_table *a, const struct meta_table *b)
{
    assert_int_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->max_replica_count, b->max_replica_count);
    assert_int_equal(a->create_s, b->create_s);
    assert_int_equal(a->drop_s, b->drop_s);
    assert_int_equal(a->expire_s, b->expire_s);
    assert_int_equal(a->env_count, b->env_count);
    for (size_t i = 0; i < a->env_count; i++) {
        assert_string_equal(a->envs[i].key, b->envs[i].key);
        assert_string_equal(a->envs[i].value, b->envs[i].value);
    }
    assert_int_equal(a->partition_count, b->partition_count);
    assert_memory_equal(a->partitions, b->partitions, a->partition_count * sizeof *a->partitions);
    assert_int_equal(a->dup_count, b->dup_count);
    for (size_t i = 0; i < a->dup_count; i++)
        assert_same_dup(&a->dups[i], &b->dups[i], a->partition_count);
}

/* Fact by fact: what both the writer and the reader forget does not show in bytes. */
static void assert_same_state(const struct meta *a, const struct meta *b)
{
    assert_string_equal(a->cluster_name, b->cluster_name);
    assert_int_equal(a->cluster_uuid, b->cluster_uuid);
    assert_int_equal(a->cluster_id, b->cluster_id);
    assert_int_equal(a->next_table_id, b->next_table_id);
    assert_int_equal(a->node_count, b->node_count);
    for (size_t i = 0; i < a->node_count; i++) {
        assert_int_equal(a->nodes[i].id, b->nodes[i].id);
        assert_int_equal(a->nodes[i].ipv4, b->nodes[i].ipv4);
        assert_int_equal(a->nodes[i].port, b->nodes[i].port);
        assert_int_equal(a->nodes[i].is_alive, b->nodes[i].is_alive);
        assert_int_equal(a->nodes[i].is_draining, b->nodes[i].is_draining);
    }
    assert_int_equal(a->remote_count, b->remote_count);
    for (size_t i = 0; i < a->remote_count; i++) {
        assert_string_equal(a->remotes[i].name, b->remotes[i].name);
        assert_string_equal(a->remotes[i].metas, b->remotes[i].metas);
        assert_int_equal(a->remotes[i].cluster_id, b->remotes[i].cluster_id);
    }
    assert_int_equal(a->table_count, b->table_count);
    for (size_t i = 0; i < a->table_count; i++) assert_same_table(a->tables[i], b->tables[i]);
}

/* What was read writes the same bytes again, and goes on in the same way. */
static void test_round_trip(void **state)
{
    (void)state;
    struct world w, copy = {.now_ms = WORLD_NOW_S * 1000ull};
    struct buf before = {0}, after = {0};
    world_init(&w, 3);
    live(&w);
    snapshot(w.meta, &before);
    assert_int_equal(meta_snapshot_read(buf_slice(&before), &copy.meta), 0);
    meta_check(copy.meta);
    assert_same_state(w.meta, copy.meta);
    snapshot(copy.meta, &after);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));

    assert_int_equal(world_create(&w, "next", 2, 1), WIRE_ERR_OK);
    assert_int_equal(world_create(&copy, "next", 2, 1), WIRE_ERR_OK);
    snapshot(w.meta, &before);
    snapshot(copy.meta, &after);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    buf_fini(&before);
    buf_fini(&after);
    world_fini(&w);
    world_fini(&copy);
}

static void test_empty_state(void **state)
{
    (void)state;
    struct meta *m = meta_new(), *copy = NULL;
    struct buf bytes = {0};
    snapshot(m, &bytes);
    assert_int_equal(meta_snapshot_read(buf_slice(&bytes), &copy), 0);
    assert_int_equal(copy->next_table_id, 1);
    assert_int_equal(copy->cluster_uuid, 0);
    buf_fini(&bytes);
    meta_free(copy);
    meta_free(m);
}

/* What older programs wrote has no field 5 in nodes (incarnation) and partitions (learner): it reads as 0. */
static void test_older_snapshot(void **state)
{
    (void)state;
    static const uint8_t field_5[] = {0x0a, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0}; /* I64, 0. */
    struct world w;
    struct buf bytes = {0}, older = {0}, again = {0};
    struct meta *copy = NULL;
    uint32_t removed = 0;
    world_init(&w, 3);
    live(&w);
    snapshot(w.meta, &bytes);
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.size - i >= sizeof field_5 &&
            memcmp(bytes.data + i, field_5, sizeof field_5) == 0) {
            i += sizeof field_5;
            removed++;
        }
        buf_append_u8(&older, bytes.data[i]);
    }
    assert_int_equal(removed, 3 + 4 + 1 + 8 - 1); /* Nodes, partitions; one has a learner. */
    bytes_put_le32(older.data + 4, crc32c(0, older.data + 8, older.size - 8));
    assert_int_equal(meta_snapshot_read(buf_slice(&older), &copy), 0);
    snapshot(copy, &again);
    assert_true(slice_equal(buf_slice(&bytes), buf_slice(&again)));
    meta_free(copy);
    buf_fini(&bytes);
    buf_fini(&older);
    buf_fini(&again);
    world_fini(&w);
}

/* Cut anywhere, or with one byte changed anywhere, a snapshot is refused. */
static void test_damaged_snapshot(void **state)
{
    (void)state;
    struct world w;
    struct buf bytes = {0};
    struct meta *copy = NULL;
    world_init(&w, 3);
    live(&w);
    snapshot(w.meta, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(meta_snapshot_read(slice_of(bytes.data, size), &copy), E_PROTO);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 0x40;
        assert_int_equal(meta_snapshot_read(buf_slice(&bytes), &copy), E_PROTO);
        bytes.data[i] ^= 0x40;
    }
    assert_null(copy);
    buf_fini(&bytes);
    world_fini(&w);
}

/* A checksum that is right does not make a state right: whatever is read keeps the invariants, or
 * is refused. */
static void test_forged_snapshot(void **state)
{
    (void)state;
    struct world w;
    struct buf bytes = {0};
    int taken = 0;
    world_init(&w, 3);
    live(&w);
    snapshot(w.meta, &bytes);
    for (size_t i = 8; i < bytes.size; i++) {
        uint8_t kept = bytes.data[i];
        bytes.data[i] = (uint8_t)(kept + 1);
        bytes_put_le32(bytes.data + 4, crc32c(0, bytes.data + 8, bytes.size - 8));
        struct meta *copy = NULL;
        int rc = meta_snapshot_read(buf_slice(&bytes), &copy);
        if (rc == 0) meta_check(copy);
        taken += rc == 0;
        assert_true(rc == 0 || rc == E_PROTO || rc == E_CORRUPT);
        meta_free(copy);
        bytes.data[i] = kept;
    }
    assert_true(taken > 0); /* Names and numbers may be others. */
    buf_fini(&bytes);
    world_fini(&w);
}

/* No prefix of a command is a command, nor is one with a byte too many, nor an unknown type. */
static void test_damaged_command(void **state)
{
    (void)state;
    struct world w;
    struct buf before = {0}, after = {0};
    world_init(&w, 3);
    live(&w); /* w.command holds the last of them, a META_PARTITION_SET. */
    snapshot(w.meta, &before);
    struct slice command = buf_slice(&w.command);
    for (size_t size = 0; size < command.size; size++)
        assert_int_equal(meta_apply(w.meta, slice_of(command.data, size), &w.answer), E_PROTO);
    buf_append_u8(&w.command, 0);
    assert_int_equal(meta_apply(w.meta, buf_slice(&w.command), &w.answer), E_PROTO);
    w.command.size--;
    w.command.data[0] = 0;
    assert_int_equal(meta_apply(w.meta, buf_slice(&w.command), &w.answer), E_PROTO);
    w.command.data[0] = 200;
    assert_int_equal(meta_apply(w.meta, buf_slice(&w.command), &w.answer), E_PROTO);
    snapshot(w.meta, &after);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    buf_fini(&before);
    buf_fini(&after);
    world_fini(&w);
}

/* Apply with the nth allocation failing, for n = 1, 2, ... until it succeeds. While it fails the
 * state is byte for byte what it was. */
static void apply_in_want(struct world *w, const struct meta_command *c)
{
    struct buf before = {0}, after = {0};
    struct meta_command stamped = *c;
    stamped.now_ms = w->now_ms;
    buf_clear(&w->command);
    assert_int_equal(meta_command_write(&stamped, &w->command), 0);
    snapshot(w->meta, &before);
    for (uint64_t n = 1;; n++) {
        struct buf answer = {0};
        mem_fail_nth(n);
        int rc = meta_apply(w->meta, buf_slice(&w->command), &answer);
        int has_failed = mem_has_failed();
        mem_fail_nth(0);
        buf_fini(&answer);
        meta_check(w->meta);
        if (!has_failed) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, E_NOMEM);
        snapshot(w->meta, &after);
        assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    }
    buf_fini(&before);
    buf_fini(&after);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 3);
    live(&w);
    struct string_pair env = {slice_str("rocksdb.num_levels"), slice_str("7")};
    struct slice key = slice_str("default_ttl");
    struct meta_confirm confirm = {1, WORLD_NOW_S, 0, 4, true};
    const struct meta_command commands[] = {
        {.type = META_NODE_JOIN, .node_join = {.id = 9, .ipv4 = 5, .port = 6}},
        {.type = META_REMOTE_SET,
         .remote_set = {.name = slice_str("new"), .metas = slice_str("m:1")}},
        {.type = META_TABLE_CREATE,
         .table_create =
             {.name = slice_str("v"), .partition_count = 4, .replica_count = 2, .envs = {&env, 1}}},
        {.type = META_TABLE_CREATE, .table_create = {.name = slice_str("refused")}},
        {.type = META_TABLE_RENAME,
         .table_rename = {.old_name = slice_str("none"), .new_name = slice_str("x")}},
        {.type = META_ENVS_SET, .envs_set = {.table = slice_str("t"), .envs = {&env, 1}}},
        {.type = META_ENVS_DELETE, .envs_delete = {.table = slice_str("t"), .keys = {&key, 1}}},
        {.type = META_ENVS_CLEAR, .envs_clear = {.table = slice_str("t")}},
        {.type = META_DUP_ADD,
         .dup_add = {.table = slice_str("u"), .remote = slice_str("far"), .with_bootstrap = true}},
        {.type = META_DUP_CONFIRM, .dup_confirm = {.confirms = {&confirm, 1}}},
        {.type = META_MEMBER_JOIN, .member_join = {.table_id = 1, .ballot = 4, .node = 3}},
        {.type = META_MEMBER_DROP, .member_drop = {.table_id = 1, .ballot = 5, .node = 2}},
        {.type = META_MEMBER_DROP, .member_drop = {.table_id = 1, .ballot = 6, .node = 3}},
        {.type = META_MEMBER_ADD, .member_add = {.table_id = 1, .ballot = 6, .node = 2}},
        {.type = META_NODE_START,
         .node_start = {.id = 3, .ipv4 = 0x0a000009, .port = 34601, .incarnation = 7}},
        {.type = META_NODE_YIELD, .node_yield = {.id = 3, .incarnation = 7}},
        {.type = META_NODE_DRAIN, .node_drain = {.id = 3, .is_draining = true}},
        {.type = META_NODE_DEAD, .node_dead = {.id = 3, .incarnation = 7}},
        {.type = META_TABLE_DROP, .table_drop = {.name = slice_str("t")}},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        apply_in_want(&w, &commands[i]);
    world_fini(&w);
}

static void test_snapshot_out_of_memory(void **state)
{
    (void)state;
    struct world w;
    struct buf bytes = {0};
    world_init(&w, 3);
    live(&w);
    int rc = E_NOMEM;
    for (uint64_t n = 1; rc != 0; n++) {
        buf_fini(&bytes);
        mem_fail_nth(n);
        rc = meta_snapshot_write(w.meta, &bytes);
        assert_int_equal(rc, mem_has_failed() ? E_NOMEM : 0);
        mem_fail_nth(0);
    }
    struct meta *copy = NULL;
    rc = E_NOMEM;
    for (uint64_t n = 1; rc != 0; n++) {
        mem_fail_nth(n);
        rc = meta_snapshot_read(buf_slice(&bytes), &copy);
        assert_int_equal(rc, mem_has_failed() ? E_NOMEM : 0);
        mem_fail_nth(0);
    }
    meta_free(copy);
    buf_fini(&bytes);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_commands_same_bytes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_empty_state),
        cmocka_unit_test(test_older_snapshot),
        cmocka_unit_test(test_damaged_snapshot),
        cmocka_unit_test(test_forged_snapshot),
        cmocka_unit_test(test_damaged_command),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_snapshot_out_of_memory),
    };
    return cmocka_run_group_tests_name("meta snapshot", tests, NULL, NULL);
}
