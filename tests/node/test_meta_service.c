/* tests/node/test_meta_service.c: what the meta role answers, read as its clients read it. */
#include "meta_world.h"

static int one_node(void **state)
{
    struct meta_world *w = world_begin();
    world_open(w);
    *state = w;
    return 0;
}

static int with_table(void **state)
{
    one_node(state);
    world_create(*state, "t", 4);
    return 0;
}

static int done(void **state)
{
    world_end(*state);
    return 0;
}

static void *arguments(enum rpc_code code)
{
    static _Alignas(16) uint8_t zeros[1024];
    assert_true(rpc_info(code)->request->size <= sizeof zeros);
    return zeros;
}

/* ---- Who answers (M25) ----------------------------------------------------------------------- */

/* Whatever is asked of one that does not lead, it says so, in the form of that rpc, and nothing
 * else. */
static void test_followers_only_point_away(void **state)
{
    struct meta_world *w = *state;
    w->is_leader = false;
    int served = 0;
    for (int code = 1; code < RPC_CODE_COUNT; code++) {
        if (!meta_service_serves((enum rpc_code)code)) continue;
        world_ask(w, (enum rpc_code)code, FRAME_THFT_V0, arguments((enum rpc_code)code));
        assert_replied(w, "ERR_FORWARD_TO_OTHERS");
        served++;
    }
    assert_true(served >= 22);
    struct query_config_response response;
    world_ask(w, RPC_QUERY_CONFIG, FRAME_THFT_V0, arguments(RPC_QUERY_CONFIG));
    world_reply(w, &response);
    assert_false(response.is_stateful);
    assert_int_equal(response.partitions.count, 0);
}

/* One that follows knows where the leader is, and says it where clients look for it. */
static void test_followers_point_at_the_leader(void **state)
{
    struct meta_world *w = *state;
    struct query_config_response response;
    struct bare_rpc_address leader;
    w->node.group = NULL;
    w->node.follower = (struct follower *)(void *)w;
    w->leader = (struct io_address){0x0a000005, 34601};
    world_ask(w, RPC_QUERY_CONFIG, FRAME_THFT_V0, arguments(RPC_QUERY_CONFIG));
    assert_text(world_reply(w, &response), "ERR_FORWARD_TO_OTHERS");
    assert_int_equal(response.partitions.count, 1);
    assert_int_equal(response.partitions.items[0].primary.ipv4, 0x0a000005);
    assert_false(response.is_stateful);
    world_ask(w, RPC_LIST_APPS, FRAME_THFT_V0, arguments(RPC_LIST_APPS));
    assert_replied(w, "ERR_FORWARD_TO_OTHERS");
    world_ask(w, RPC_LIST_APPS, FRAME_RDSN, arguments(RPC_LIST_APPS));
    assert_int_equal(w->error, WIRE_ERR_FORWARD_TO_OTHERS);
    assert_int_equal(
        thrift_read_args(buf_slice(&w->reply), &bare_rpc_address_schema, &leader, &w->arena), 0);
    assert_int_equal(leader.value.port, 34601);
}

/* ---- Who is alive (F4 to F7) ----------------------------------------------------------------- */

static void start_node(struct meta_world *w, int64_t id, int64_t incarnation)
{
    world_command(w, &(struct meta_command){.type = META_NODE_START,
                                            .node_start = {.id = id,
                                                           .ipv4 = 0x0a000000 + (int32_t)id,
                                                           .port = 34601,
                                                           .incarnation = incarnation}});
}

static void beacon(struct meta_world *w, int64_t id, int64_t incarnation)
{
    struct beacon_request said = {.node_id = id, .incarnation = incarnation};
    world_ask(w, RPC_BEACON, FRAME_RDSN, &said);
}

/* Beacons keep a node alive; a whole grace without one ends that, by a command; then it is told to say that
 * it has started. Processes are told apart. */
static void test_beacons(void **state)
{
    struct meta_world *w = *state;
    beacon(w, 2, 1);
    assert_replied(w, "ERR_OBJECT_NOT_FOUND"); /* Nobody knows it. */
    start_node(w, 2, 3);
    beacon(w, 2, 3);
    assert_replied(w, "ERR_OK");
    beacon(w, 2, 2);
    assert_replied(w, "ERR_INVALID_VERSION"); /* Its predecessor, late. */
    beacon(w, 2, 4);
    assert_replied(w, "ERR_OBJECT_NOT_FOUND"); /* A successor that has not said so. */
    for (uint64_t ms = 0; ms < 3 * fd_times_all.grace_ms; ms += 1000) {
        world_pass_ms(w, 1000);
        beacon(w, 2, 3);
        assert_replied(w, "ERR_OK");
    }
    world_pass_ms(w, fd_times_all.grace_ms - 1);
    world_decide(w, 0);
    assert_true(meta_node_by_id(w->node.meta, 2)->is_alive);
    world_pass_ms(w, 2);
    world_decide(w, 0);
    assert_false(meta_node_by_id(w->node.meta, 2)->is_alive);
    beacon(w, 2, 3);
    assert_replied(w, "ERR_OBJECT_NOT_FOUND");
    start_node(w, 2, 3);
    beacon(w, 2, 3);
    assert_replied(w, "ERR_OK");
}

/* What no node of ours would say is refused. */
static void test_strange_beacons(void **state)
{
    struct meta_world *w = *state;
    struct beacon_request said = {.node_id = 2, .incarnation = 1, .cluster_uuid = 222};
    start_node(w, 2, 1);
    world_ask(w, RPC_BEACON, FRAME_RDSN, &said);
    assert_replied(w, "ERR_INCONSISTENT_STATE");
    beacon(w, 0, 1);
    assert_replied(w, "ERR_INVALID_PARAMETERS");
    beacon(w, 1, 0); /* Whom a META_NODE_JOIN has made, without an incarnation. */
    assert_replied(w, "ERR_INVALID_PARAMETERS");
}

/* Two fall silent together: when the first death is decided, the second is still on its way, and a beacon of
 * that node is not acknowledged. Undecided, it has another grace. */
static void test_dying_together(void **state)
{
    struct meta_world *w = *state;
    start_node(w, 2, 1);
    start_node(w, 3, 1);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(meta_node_by_id(w->node.meta, 2 + i)->is_alive, 1);
    assert_int_equal(fd_watch_next_dead(&w->node.service->watch, UINT64_MAX / 2), 2);
    assert_int_equal(fd_watch_next_dead(&w->node.service->watch, UINT64_MAX / 2), 3);
    world_command(w, &(struct meta_command){.type = META_NODE_DEAD, .node_dead = {2, 1}});
    beacon(w, 3, 1);
    assert_replied(w, "ERR_OBJECT_NOT_FOUND");
    world_command(w, &(struct meta_command){.type = META_NODE_DEAD, .node_dead = {3, 1}});
    start_node(w, 3, 1);
    beacon(w, 3, 1);
    assert_replied(w, "ERR_OK");
}

/* A copy as it was written before there were versions is still read. */
static void test_bare_snapshot(void **state)
{
    struct meta_world *w = *state;
    struct buf bare = {0}, again = {0};
    assert_int_equal(meta_snapshot_write(w->node.meta, &bare), 0);
    assert_int_equal(meta_copy_read(&w->node, buf_slice(&bare)), 0);
    assert_int_equal(w->node.history.version, 1);
    assert_int_equal(meta_snapshot_write(w->node.meta, &again), 0);
    assert_int_equal(bare.size, again.size);
    assert_memory_equal(bare.data, again.data, bare.size);
    assert_int_equal(meta_copy_read(&w->node, slice_str("short")), E_PROTO);
    assert_int_equal(meta_copy_read(&w->node, slice_str("neither the one nor the other")), E_PROTO);
    buf_fini(&bare);
    buf_fini(&again);
}

/* The leader itself is not watched, and who starts again while its death is decided lives on. */
static void test_death_of_an_earlier_process(void **state)
{
    struct meta_world *w = *state;
    start_node(w, 2, 1);
    world_pass_ms(w, fd_times_all.grace_ms + 1);
    start_node(w, 2, 2); /* Before the group has decided. */
    world_decide(w, 0);
    assert_true(meta_node_by_id(w->node.meta, 2)->is_alive);
    assert_true(meta_node_by_id(w->node.meta, 1)->is_alive);
}

/* The leader's process was stopped for longer than a grace: what nodes have said lies unread, so they get
 * another grace before they count as dead. */
static void test_stopped_leader_buries_nobody(void **state)
{
    struct meta_world *w = *state;
    start_node(w, 2, 1);
    w->now.boot_ms += 3 * fd_times_all.grace_ms; /* No timer has rung meanwhile. */
    world_pass_ms(w, 1);
    world_decide(w, 0);
    assert_true(meta_node_by_id(w->node.meta, 2)->is_alive);
    beacon(w, 2, 1);
    assert_replied(w, "ERR_OK");
    world_pass_ms(w, fd_times_all.grace_ms + 1);
    world_decide(w, 0);
    assert_false(meta_node_by_id(w->node.meta, 2)->is_alive);
}

/* ---- Partitions that lack members (M37, M38) ------------------------------------------------- */

enum { HEAL_DELAY_MS = 60 * 1000 };

/* Four nodes, which nobody expects beacons of, and a table "r" of one partition with three replicas: 1 2 3. */
static const struct meta_partition *three_of_four(struct meta_world *w)
{
    for (int32_t id = 2; id <= 4; id++)
        world_command(w, &(struct meta_command){
                             .type = META_NODE_JOIN,
                             .node_join = {.id = id, .ipv4 = 0x0a000000 + id, .port = 34601}});
    world_command(
        w, &(struct meta_command){
               .type = META_TABLE_CREATE,
               .table_create = {.name = slice_str("r"), .partition_count = 1, .replica_count = 3}});
    return &meta_table_by_name(w->node.meta, slice_str("r"))->partitions[0];
}

static void lose_node(struct meta_world *w, int64_t id)
{
    world_command(w, &(struct meta_command){.type = META_NODE_LEAVE, .node_leave = {.id = id}});
}

static uint64_t a_secondary(const struct meta_partition *p)
{
    return p->secondaries[0];
}

/* A member is dead for a minute: the node that is left learns, and no client sees it. */
static void test_a_lost_member_is_replaced(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct query_config_response response;
    struct query_config_request ask = {.app_name = slice_str("r")};
    const uint64_t lost = a_secondary(p);
    uint64_t spare = 1;
    while (meta_partition_role(p, spare) != META_ROLE_NONE) spare++;
    lose_node(w, (int64_t)lost);
    world_pass_ms(w, HEAL_DELAY_MS - 1);
    assert_int_equal(p->learner, 0);
    world_pass_ms(w, 1);
    assert_int_equal(p->learner, spare);
    world_ask(w, RPC_QUERY_CONFIG, FRAME_RDSN, &ask);
    assert_text(world_reply(w, &response), "ERR_OK");
    assert_int_equal(response.partitions.items[0].ballot, 3);
    assert_int_equal(response.partitions.items[0].secondaries.count, 1);
    assert_int_equal(response.partitions.items[0].last_drops.count, 1);
}

/* It comes back in time: it learns at once. */
static void test_a_member_that_is_back_learns(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    const uint64_t lost = a_secondary(p);
    lose_node(w, (int64_t)lost);
    world_pass_ms(w, HEAL_DELAY_MS / 2);
    start_node(w, (int64_t)lost, 1);
    world_pass_ms(w, 0);
    assert_int_equal(p->learner, lost);
}

/* At "freezed" nothing is done, however long; afterwards at once. */
static void test_frozen_is_not_cured(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct control_meta_request freeze = {.level = FL_FREEZED}, steady = {.level = FL_STEADY};
    const uint64_t lost = a_secondary(p);
    world_ask(w, RPC_CONTROL_META, FRAME_RDSN, &freeze);
    lose_node(w, (int64_t)lost);
    world_pass_ms(w, 2 * HEAL_DELAY_MS);
    start_node(w, (int64_t)lost, 1);
    world_pass_ms(w, 1);
    assert_int_equal(p->learner, 0);
    world_ask(w, RPC_CONTROL_META, FRAME_RDSN, &steady);
    world_pass_ms(w, 0);
    assert_int_equal(p->learner, lost);
}

/* Who does not lead proposes nothing; who leads again begins with a whole minute. */
static void test_only_the_leader_cures(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    lose_node(w, (int64_t)a_secondary(p));
    world_pass_ms(w, 1);
    w->is_leader = false;
    world_pass_ms(w, 2 * HEAL_DELAY_MS);
    assert_int_equal(p->learner, 0);
    w->is_leader = true;
    world_create(w, "more", 1);
    world_pass_ms(w, HEAL_DELAY_MS - 1);
    assert_int_equal(p->learner, 0);
    world_pass_ms(w, 2);
    assert_int_not_equal(p->learner, 0);
}

/* What the group has not decided is asked for again, after a second, then after two. */
static void test_an_undecided_cure_is_repeated(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct meta_service *s = w->node.service;
    const uint64_t lost = a_secondary(p);
    lose_node(w, (int64_t)lost);
    start_node(w, (int64_t)lost, 1);
    for (uint64_t wait_ms = 1000; wait_ms <= 2000; wait_ms *= 2) {
        io_timer_stop(&s->cure_timer);
        s->cure_timer.run(&s->cure_timer); /* As the loop does, but nothing is decided after it. */
        assert_false(list_is_empty(&w->proposals));
        world_decide(w, E_UNKNOWN);
        world_pass_ms(w, wait_ms - 1);
        assert_int_equal(p->learner, 0);
        w->now.boot_ms += 1;
    }
    world_pass_ms(w, 0);
    assert_int_equal(p->learner, lost);
}

/* The service ends while a command is on its way. */
static void test_closing_while_curing(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct meta_service *s = w->node.service;
    const uint64_t lost = a_secondary(p);
    lose_node(w, (int64_t)lost);
    start_node(w, (int64_t)lost, 1);
    io_timer_stop(&s->cure_timer);
    s->cure_timer.run(&s->cure_timer);
    assert_false(list_is_empty(&w->proposals));
    world_close(w);
}

/* ---- Nodes that follow (M33, M34) ------------------------------------------------------------ */

/* Play a follower's answer into a state of its own: the same bytes of snapshot as the leader's. */
static void assert_follows(const struct meta_world *w, struct node *copy,
                           const struct follow_response *answer)
{
    struct buf ours = {0}, theirs = {0}, result = {0};
    struct meta_result read;
    if (answer->snapshot.size > 0) assert_int_equal(meta_copy_read(copy, answer->snapshot), 0);
    for (uint32_t i = 0; i < answer->commands.count; i++)
        assert_int_equal(meta_copy_apply(copy, answer->commands.items[i], &result, &read), 0);
    assert_int_equal(copy->history.version, answer->version);
    assert_int_equal(meta_copy_write(&w->node, &ours), 0);
    assert_int_equal(meta_copy_write(copy, &theirs), 0);
    assert_int_equal(ours.size, theirs.size);
    assert_memory_equal(ours.data, theirs.data, ours.size);
    buf_fini(&ours);
    buf_fini(&theirs);
    buf_fini(&result);
}

static void follow(struct meta_world *w, struct node *copy, struct follow_response *answer)
{
    struct follow_request ask = {.node_id = 7, .version = (int64_t)copy->history.version};
    world_ask(w, RPC_FOLLOW, FRAME_RDSN, &ask);
    assert_text(world_reply(w, answer), "ERR_OK");
    assert_follows(w, copy, answer);
}

/* A node with nothing gets all commands; one that has all waits until something happens, and is told
 * that; when what it lacks is forgotten, it gets a snapshot. */
static void test_follow(void **state)
{
    struct meta_world *w = *state;
    struct node copy = {.meta = meta_new()};
    struct follow_response answer;
    meta_history_init(&copy.history, 1 << 20);
    follow(w, &copy, &answer);
    assert_true(answer.commands.count >= 3);
    assert_int_equal(answer.snapshot.size, 0);

    struct follow_request ask = {.node_id = 7, .version = answer.version, .cluster_uuid = 111};
    world_ask_only(w, RPC_FOLLOW, FRAME_RDSN, &ask);
    assert_false(w->is_answered);
    world_create(w, "t2", 8);
    assert_text(world_reply(w, &answer), "ERR_OK");
    assert_int_equal(answer.commands.count, 1);
    assert_follows(w, &copy, &answer);

    world_create(w, "t3", 8);
    meta_history_reset(&w->node.history, w->node.history.version);
    follow(w, &copy, &answer);
    assert_int_equal(answer.commands.count, 0);
    assert_true(answer.snapshot.size > 0);
    meta_free(copy.meta);
    meta_history_fini(&copy.history);
}

/* Who has another cluster's state, or one that never was, is told so and gets nothing. */
static void test_strangers_do_not_follow(void **state)
{
    struct meta_world *w = *state;
    struct follow_request other = {.node_id = 7, .cluster_uuid = 222};
    struct follow_request ahead = {.node_id = 7, .version = 1000};
    world_ask(w, RPC_FOLLOW, FRAME_RDSN, &other);
    assert_replied(w, "ERR_INCONSISTENT_STATE");
    world_ask(w, RPC_FOLLOW, FRAME_RDSN, &ahead);
    assert_replied(w, "ERR_INCONSISTENT_STATE");
    struct propose_request propose = {.command = slice_str("any"), .cluster_uuid = 222};
    world_ask(w, RPC_PROPOSE, FRAME_RDSN, &propose);
    assert_replied(w, "ERR_INCONSISTENT_STATE");
}

/* A node's proposal is done, or ends as the group says; what is no command does not get there. */
static void test_propose_for(void **state)
{
    struct meta_world *w = *state;
    struct buf bytes = {0};
    struct propose_response answer;
    struct meta_result result;
    struct meta_command leave = {.type = META_NODE_LEAVE, .node_leave = {.id = 1}};
    assert_int_equal(meta_command_write(&leave, &bytes), 0);
    struct propose_request ask = {.command = buf_slice(&bytes)};
    world_ask(w, RPC_PROPOSE, FRAME_RDSN, &ask);
    assert_text(world_reply(w, &answer), "ERR_OK");
    assert_int_equal(meta_result_read(answer.result, &result), 0);
    assert_int_equal(result.err, WIRE_ERR_OK);
    assert_int_equal(answer.version, w->node.history.version);
    assert_int_equal(meta_nodes_alive(w->node.meta), 0);

    world_ask_only(w, RPC_PROPOSE, FRAME_RDSN, &ask);
    world_decide(w, E_UNKNOWN);
    assert_replied(w, "ERR_TIMEOUT");
    ask.command = slice_str("nonsense");
    world_ask(w, RPC_PROPOSE, FRAME_RDSN, &ask);
    assert_int_equal(w->error, WIRE_ERR_INVALID_DATA);
    assert_true(list_is_empty(&w->proposals));
    buf_fini(&bytes);
}

static void test_not_ready(void **state)
{
    struct meta_world *w = *state;
    w->node.is_ready = false;
    world_ask(w, RPC_LIST_APPS, FRAME_RDSN, arguments(RPC_LIST_APPS));
    assert_replied(w, "ERR_SERVICE_NOT_ACTIVE");
}

/* Arguments that are none, and an rpc that is nobody's, end in the frame. */
static void test_nonsense(void **state)
{
    struct meta_world *w = *state;
    struct bare_blob key = {.value = slice_str("?")};
    buf_clear(&w->body);
    buf_append_str(&w->body, "\x0c");
    w->request =
        (struct rpc_request){.frame = {.code = RPC_LIST_APPS, .body = buf_slice(&w->body)}};
    meta_service_on_request(w->node.service, &w->request);
    assert_true(w->is_answered);
    assert_int_equal(w->error, WIRE_ERR_INVALID_DATA);
    world_ask(w, RPC_GET, FRAME_THFT_V0, &key);
    assert_int_equal(w->error, WIRE_ERR_HANDLER_NOT_FOUND);
}

/* A proposal that the group could not decide: each kind of not knowing has its own word. */
static void test_undecided(void **state)
{
    struct meta_world *w = *state;
    static const struct {
        int rc;
        const char *name;
    } rows[] = {{E_STATE, "ERR_FORWARD_TO_OTHERS"},
                {E_UNKNOWN, "ERR_TIMEOUT"},
                {E_CANCELED, "ERR_SERVICE_NOT_ACTIVE"},
                {E_NOMEM, "ERR_CAPACITY_EXCEEDED"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct drop_app_request drop = {.app_name = slice_str("t")};
        world_ask_only(w, RPC_DROP_APP, FRAME_THFT_V1, &drop);
        assert_false(w->is_answered);
        world_decide(w, rows[i].rc);
        assert_replied(w, rows[i].name);
    }
}

/* Closed while the group decides: the request is still ended, then the service. */
static void test_close_over_request(void **state)
{
    struct meta_world *w = *state;
    struct drop_app_request drop = {.app_name = slice_str("t")};
    world_ask_only(w, RPC_DROP_APP, FRAME_THFT_V1, &drop);
    world_close(w);
    assert_false(w->is_closed);
    world_decide(w, E_CANCELED);
    assert_replied(w, "ERR_SERVICE_NOT_ACTIVE");
}

/* ---- Where partitions are (M26) -------------------------------------------------------------- */

static void query(struct meta_world *w, enum frame_kind kind, const char *name, int32_t *indices,
                  uint32_t count, struct query_config_response *response)
{
    struct query_config_request request = {.app_name = slice_str(name),
                                           .partition_indices = {indices, count}};
    world_ask(w, RPC_QUERY_CONFIG, kind, &request);
    world_reply(w, response);
}

/* The rules that clients impose: stateful, as many partitions as the count says, each with an
 * index, a ballot of at least one, and a primary. */
static void test_query_config(void **state)
{
    struct meta_world *w = *state;
    struct query_config_response r;
    query(w, FRAME_THFT_V0, "t", NULL, 0, &r);
    assert_text(r.err, "ERR_OK");
    assert_true(r.is_stateful);
    assert_int_equal(r.app_id, 1);
    assert_int_equal(r.partition_count, 4);
    assert_int_equal(r.partitions.count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct partition_configuration *p = &r.partitions.items[i];
        assert_int_equal(p->pid.app_id, 1);
        assert_int_equal(p->pid.partition_index, i);
        assert_int_equal(p->ballot, 1);
        assert_int_equal(p->max_replica_count, 1);
        assert_true(p->primary.is_valid);
        assert_int_equal(p->primary.ipv4, 0x0a000001);
        assert_int_equal(p->primary.port, 34601);
        assert_int_equal(p->secondaries.count, 0);
    }
}

/* Host names go to those who speak RDSN and to nobody else: others choke on them. */
static void test_host_names_by_framing(void **state)
{
    struct meta_world *w = *state;
    struct query_config_response r;
    query(w, FRAME_THFT_V1, "t", NULL, 0, &r);
    assert_int_equal(r.partitions.items[0].set, 0);
    query(w, FRAME_RDSN, "t", NULL, 0, &r);
    assert_int_equal(r.partitions.items[0].set, PARTITION_CONFIGURATION_HAS_HP);
    assert_text(r.partitions.items[0].hp_primary.host, "10.0.0.1");
    assert_int_equal(r.partitions.items[0].hp_primary.port, 34601);
}

static void test_query_indices(void **state)
{
    struct meta_world *w = *state;
    struct query_config_response r;
    int32_t some[] = {3, 9, -1, 1}, none[] = {7, 8};
    query(w, FRAME_THFT_V0, "t", some, 4, &r);
    assert_int_equal(r.partitions.count, 2);
    assert_int_equal(r.partitions.items[0].pid.partition_index, 3);
    assert_int_equal(r.partitions.items[1].pid.partition_index, 1);
    assert_int_equal(r.partition_count, 4);
    query(w, FRAME_THFT_V0, "t", none, 2, &r);
    assert_int_equal(r.partitions.count, 4);
}

static void test_query_unknown(void **state)
{
    struct meta_world *w = *state;
    struct query_config_response r;
    query(w, FRAME_THFT_V0, "u", NULL, 0, &r);
    assert_text(r.err, "ERR_OBJECT_NOT_FOUND");
    assert_false(r.is_stateful); /* Python would take it for an answer. */
}

/* ---- Tables (M8 to M11, M27) ----------------------------------------------------------------- */

static enum frame_kind thft = FRAME_THFT_V0;

static void create(struct meta_world *w, const char *name, int32_t partitions, int32_t replicas,
                   bool success_if_exist, struct create_app_response *response)
{
    struct create_app_request request = {.app_name = slice_str(name),
                                         .options = {.partition_count = partitions,
                                                     .replica_count = replicas,
                                                     .success_if_exist = success_if_exist,
                                                     .app_type = slice_str("pegasus"),
                                                     .is_stateful = true}};
    world_ask(w, RPC_CREATE_APP, thft, &request);
    world_reply(w, response);
}

/* As admin-cli creates: three replicas, whatever there is. */
static void test_create(void **state)
{
    struct meta_world *w = *state;
    struct create_app_response r;
    create(w, "t", 4, 3, false, &r);
    assert_text(r.err, "ERR_OK");
    assert_int_equal(r.appid, 1);
    assert_int_equal(meta_table_by_id(w->node.meta, 1)->max_replica_count, 1);
    create(w, "t", 4, 3, false, &r);
    assert_text(r.err, "ERR_APP_EXIST");
    assert_int_equal(r.appid, 0);
    create(w, "t", 4, 3, true, &r);
    assert_text(r.err, "ERR_OK");
    assert_int_equal(r.appid, 1);
    create(w, "u", 3, 3, false, &r);
    assert_text(r.err, "ERR_INVALID_PARAMETERS");
}

/* With a second node the wish for three is meant. */
static void test_create_on_two_nodes(void **state)
{
    struct meta_world *w = *state;
    struct create_app_response r;
    world_command(w, &(struct meta_command){.type = META_NODE_JOIN,
                                            .node_join = {.id = 2, .ipv4 = 2, .port = 2}});
    create(w, "t", 4, 3, false, &r);
    assert_text(r.err, "ERR_INVALID_PARAMETERS");
    create(w, "t", 4, 2, false, &r);
    assert_text(r.err, "ERR_OK");
}

static void test_frozen(void **state)
{
    struct meta_world *w = *state;
    struct create_app_response r;
    struct control_meta_response level;
    struct control_meta_request ask = {.level = FL_INVALID}, freeze = {.level = FL_FREEZED};
    world_ask(w, RPC_CONTROL_META, thft, &ask);
    world_reply(w, &level);
    assert_int_equal(level.old_level, FL_LIVELY);
    world_ask(w, RPC_CONTROL_META, thft, &freeze);
    world_reply(w, &level);
    assert_int_equal(level.old_level, FL_LIVELY);
    create(w, "t", 4, 1, false, &r);
    assert_text(r.err, "ERR_STATE_FREEZED");
    ask.level = 77;
    world_ask(w, RPC_CONTROL_META, thft, &ask);
    assert_text(world_reply(w, &level), "ERR_INVALID_PARAMETERS");
    assert_int_equal(level.old_level, FL_FREEZED);

    struct set_max_replica_count_request set = {.app_name = slice_str("t"), .max_replica_count = 1};
    world_ask(w, RPC_SET_MAX_REPLICA_COUNT, thft, &set);
    assert_replied(w, "ERR_STATE_FREEZED");
}

static void test_drop_and_recall(void **state)
{
    struct meta_world *w = *state;
    struct drop_app_request drop = {
        .app_name = slice_str("t"),
        .options = {.set = DROP_APP_OPTIONS_HAS_RESERVE_SECONDS, .reserve_seconds = 60}};
    world_ask(w, RPC_DROP_APP, thft, &drop);
    assert_replied(w, "ERR_OK");
    assert_int_equal(meta_table_by_id(w->node.meta, 1)->expire_s, WORLD_NOW_S + 60);
    world_ask(w, RPC_DROP_APP, thft, &drop);
    assert_replied(w, "ERR_APP_NOT_EXIST");

    struct recall_app_request recall = {.app_id = 1, .new_app_name = slice_str("back")};
    struct recall_app_response r;
    world_ask(w, RPC_RECALL_APP, FRAME_RDSN, &recall);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_text(r.info.app_name, "back");
    assert_int_equal(r.info.status, AS_AVAILABLE);
    assert_int_equal(r.info.expire_second, 0);
    world_ask(w, RPC_RECALL_APP, FRAME_RDSN, &recall);
    assert_text(world_reply(w, &r), "ERR_APP_EXIST");
}

/* A table whose time has come is forgotten without being asked, and only then. */
static void test_purge(void **state)
{
    struct meta_world *w = *state;
    struct drop_app_request drop = {
        .app_name = slice_str("t"),
        .options = {.set = DROP_APP_OPTIONS_HAS_RESERVE_SECONDS, .reserve_seconds = 7300}};
    world_ask(w, RPC_DROP_APP, thft, &drop);
    world_pass_ms(w, 7300 * 1000);
    assert_non_null(meta_table_by_id(w->node.meta, 1));
    world_pass_ms(w, 2000);
    assert_null(meta_table_by_id(w->node.meta, 1));
}

static void test_rename(void **state)
{
    struct meta_world *w = *state;
    struct rename_app_request rename = {.old_app_name = slice_str("t"),
                                        .new_app_name = slice_str("n")};
    struct rename_app_response r;
    world_ask(w, RPC_RENAME_APP, FRAME_RDSN, &rename);
    assert_text(world_reply(w, &r), "ERR_OK");
    world_ask(w, RPC_RENAME_APP, FRAME_RDSN, &rename);
    assert_text(world_reply(w, &r), "ERR_APP_NOT_EXIST");
    assert_text(r.hint_message, "ERROR: app(t) not exist!");
}

static void test_list_apps(void **state)
{
    struct meta_world *w = *state;
    world_create(w, "other", 8);
    struct drop_app_request drop = {.app_name = slice_str("t")};
    world_ask(w, RPC_DROP_APP, thft, &drop);
    struct list_apps_request request = {.status = AS_INVALID};
    struct list_apps_response r;
    world_ask(w, RPC_LIST_APPS, thft, &request);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.infos.count, 2);
    assert_int_equal(r.infos.items[0].app_id, 1);
    assert_int_equal(r.infos.items[0].status, AS_DROPPED);
    assert_int_equal(r.infos.items[0].drop_second, WORLD_NOW_S);
    request.status = AS_AVAILABLE;
    world_ask(w, RPC_LIST_APPS, thft, &request);
    world_reply(w, &r);
    assert_int_equal(r.infos.count, 1);
    const struct app_info *info = &r.infos.items[0];
    assert_text(info->app_name, "other");
    assert_text(info->app_type, "pegasus");
    assert_int_equal(info->partition_count, 8);
    assert_true(info->is_stateful && info->atomic_idempotent && !info->duplicating);
}

static void test_list_apps_by_pattern(void **state)
{
    struct meta_world *w = *state;
    world_create(w, "my_table", 1);
    world_create(w, "my_queue", 1);
    static const struct {
        int32_t type;
        const char *pattern, *err;
        uint32_t count;
    } rows[] = {
        {PMT_MATCH_ALL, "", "ERR_OK", 3},
        {PMT_MATCH_EXACT, "my_queue", "ERR_OK", 1},
        {PMT_MATCH_EXACT, "my", "ERR_OK", 0},
        {PMT_MATCH_PREFIX, "my_", "ERR_OK", 2},
        {PMT_MATCH_POSTFIX, "e", "ERR_OK", 2},
        {PMT_MATCH_ANYWHERE, "_t", "ERR_OK", 1},
        {PMT_MATCH_ANYWHERE, "t", "ERR_OK", 2},
        {PMT_MATCH_ANYWHERE, "", "ERR_OK", 3},
        {PMT_MATCH_REGEX, ".*", "ERR_NOT_IMPLEMENTED", 0},
        {99, "x", "ERR_NOT_IMPLEMENTED", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct list_apps_request request = {
            .set = LIST_APPS_REQUEST_HAS_APP_NAME_PATTERN | LIST_APPS_REQUEST_HAS_MATCH_TYPE,
            .app_name_pattern = slice_str(rows[i].pattern),
            .match_type = rows[i].type,
        };
        struct list_apps_response r;
        world_ask(w, RPC_LIST_APPS, FRAME_RDSN, &request);
        assert_text(world_reply(w, &r), rows[i].err);
        assert_int_equal(r.infos.count, rows[i].count);
    }
}

/* ---- The cluster (M28 to M31) ---------------------------------------------------------------- */

static void test_list_nodes(void **state)
{
    struct meta_world *w = *state;
    struct list_nodes_request request = {.status = NS_INVALID};
    struct list_nodes_response r;
    for (int i = 2; i <= 3; i++)
        world_command(w, &(struct meta_command){
                             .type = META_NODE_JOIN,
                             .node_join = {.id = i, .ipv4 = 0x0a000000 + i, .port = 34601}});
    world_command(w, &(struct meta_command){.type = META_NODE_LEAVE, .node_leave = {.id = 1}});
    world_ask(w, RPC_LIST_NODES, FRAME_RDSN, &request);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.infos.count, 3);
    assert_int_equal(r.infos.items[0].node.ipv4, 0x0a000002);
    assert_int_equal(r.infos.items[0].status, NS_ALIVE);
    assert_int_equal(r.infos.items[2].node.ipv4, 0x0a000001); /* The dead come last. */
    assert_int_equal(r.infos.items[2].status, NS_UNALIVE);
    assert_text(r.infos.items[2].hp_node.host, "10.0.0.1");
    request.status = NS_UNALIVE;
    world_ask(w, RPC_LIST_NODES, thft, &request);
    world_reply(w, &r);
    assert_int_equal(r.infos.count, 1);
    assert_int_equal(r.infos.items[0].set, 0);
}

/* The cluster in figures: what each node holds, how each table's partitions are, and who learns. */
static void test_census(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct census_response r;
    const uint64_t lost = a_secondary(p);
    lose_node(w, (int64_t)lost);
    world_pass_ms(w, HEAL_DELAY_MS);
    world_ask(w, RPC_CENSUS, FRAME_RDSN, arguments(RPC_CENSUS));
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.nodes.count, 4);
    for (uint32_t i = 0; i < r.nodes.count; i++) {
        const struct census_node *node = &r.nodes.items[i];
        const uint64_t id = (uint64_t)node->node_id;
        assert_int_equal(node->address.ipv4, 0x0a000000 + (uint32_t)id);
        assert_int_equal(node->is_alive, id != lost);
        assert_int_equal(node->primaries, id == p->primary);
        assert_int_equal(node->secondaries, id == a_secondary(p));
        assert_int_equal(node->learners, id == p->learner);
    }
    assert_int_equal(r.tables.count, 1);
    assert_text(r.tables.items[0].app_name, "r");
    assert_int_equal(r.tables.items[0].partitions, 1);
    assert_int_equal(r.tables.items[0].lacking, 1);
    assert_int_equal(r.tables.items[0].learning, 1);
    assert_int_equal(r.learners.count, 1);
    assert_int_equal(r.learners.items[0].pid.app_id, 1);
    assert_int_equal(r.learners.items[0].node.ipv4, 0x0a000000 + (uint32_t)p->learner);
}

/* A node is to hold nothing: what it held goes to the one that is left, and the census shows it. */
static void test_drain(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct drain_request drain = {.node_id = (int64_t)a_secondary(p), .is_draining = true};
    struct census_response r;
    world_ask(w, RPC_DRAIN, FRAME_RDSN, &drain);
    assert_replied(w, "ERR_OK");
    world_pass_ms(w, 1);
    world_decide(w, 0);
    assert_int_not_equal(p->learner, 0);
    assert_int_equal(meta_partition_role(p, (uint64_t)drain.node_id), META_ROLE_SECONDARY);
    world_ask(w, RPC_CENSUS, FRAME_RDSN, arguments(RPC_CENSUS));
    assert_text(world_reply(w, &r), "ERR_OK");
    for (uint32_t i = 0; i < r.nodes.count; i++)
        assert_int_equal(r.nodes.items[i].is_draining, r.nodes.items[i].node_id == drain.node_id);
    drain.is_draining = false;
    world_ask(w, RPC_DRAIN, FRAME_RDSN, &drain);
    assert_replied(w, "ERR_OK");
    world_pass_ms(w, 1);
    world_decide(w, 0);
    assert_int_equal(p->learner, 0);
    drain.node_id = 77;
    world_ask(w, RPC_DRAIN, FRAME_RDSN, &drain);
    assert_replied(w, "ERR_OBJECT_NOT_FOUND");
}

static void test_cluster_info(void **state)
{
    struct meta_world *w = *state;
    static const char *const rows[][2] = {
        {"meta_servers", "10.0.0.1:34601"},
        {"primary_meta_server", "10.0.0.1:34601"},
        {"zookeeper_hosts", "10.0.0.1:34601"},
        {"zookeeper_root", "/pirene/here"},
        {"meta_function_level", "lively"},
        {"balance_operation_count",
         "{\n  \"copy_pri\": 0,\n  \"copy_sec\": 0,\n  \"move_pri\": 0,\n  \"total\": 0\n}"},
        {"primary_replica_count_stddev", "1.50"},
        {"total_replica_count_stddev", "1.50"},
        {"cluster_name", "here"},
    };
    world_command(w, &(struct meta_command){.type = META_NODE_JOIN,
                                            .node_join = {.id = 2, .ipv4 = 2, .port = 2}});
    world_create(w, "u", 1); /* Node 1 has four partitions of t, node 2 this one. */
    struct cluster_info_response r;
    world_ask(w, RPC_CLUSTER_INFO, thft, arguments(RPC_CLUSTER_INFO));
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.keys.count, 9);
    assert_int_equal(r.values.count, 9);
    for (uint32_t i = 0; i < 9; i++) {
        assert_text(r.keys.items[i], rows[i][0]);
        assert_text(r.values.items[i], rows[i][1]);
    }
}

static void test_nothing_to_balance(void **state)
{
    struct meta_world *w = *state;
    struct propose_balancer_request request = {.gpid = {1, 0}};
    world_ask(w, RPC_PROPOSE_BALANCER, thft, &request);
    assert_replied(w, "ERR_INVALID_PARAMETERS");
}

/* Those whose primary is dead, because nobody else could follow: of all tables, of one, or one of them. */
static void test_diagnosis(void **state)
{
    struct meta_world *w = *state;
    const struct meta_partition *p = three_of_four(w);
    struct ddd_diagnose_request ask = {.pid = {-1, -1}};
    struct ddd_diagnose_response r;
    world_ask(w, RPC_DDD_DIAGNOSE, FRAME_RDSN, &ask);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.partitions.count, 0);
    lose_node(w, (int64_t)a_secondary(p));
    lose_node(w, (int64_t)a_secondary(p));
    lose_node(w, (int64_t)p->primary);
    for (int32_t index = -1; index <= 1; index++) {
        ask.pid = (struct gpid){index < 0 ? -1 : 1, index};
        world_ask(w, RPC_DDD_DIAGNOSE, FRAME_RDSN, &ask);
        assert_text(world_reply(w, &r), "ERR_OK");
        assert_int_equal(r.partitions.count, index < 1); /* There is no partition 1. */
        if (index == 1) break;
        const struct ddd_partition_info *found = &r.partitions.items[0];
        assert_int_equal(found->config.pid.app_id, 1);
        assert_int_equal(found->dropped.count, 3);
        assert_int_equal(found->dropped.items[2].node.ipv4, 0x0a000000 + (uint32_t)p->primary);
        assert_false(found->dropped.items[2].is_alive);
    }
    ask.pid.app_id = 7;
    world_ask(w, RPC_DDD_DIAGNOSE, FRAME_RDSN, &ask);
    assert_replied(w, "ERR_APP_NOT_EXIST");
}

/* ---- Environment (M14, M15, M32) ------------------------------------------------------------- */

static struct slice update_env(struct meta_world *w, struct update_app_env_request request)
{
    static struct update_app_env_response r;
    request.app_name = slice_str("t");
    world_ask(w, RPC_UPDATE_APP_ENV, thft, &request);
    world_reply(w, &r);
    return r.hint_message;
}

static void test_update_env(void **state)
{
    struct meta_world *w = *state;
    struct slice keys[] = {slice_str("default_ttl"), slice_str("business.info")};
    struct slice values[] = {slice_str("60"), slice_str("x")};
    enum { KEYS = UPDATE_APP_ENV_REQUEST_HAS_KEYS, VALUES = UPDATE_APP_ENV_REQUEST_HAS_VALUES };
    struct update_app_env_request set = {
        .set = KEYS | VALUES, .op = APP_ENV_OP_SET, .keys = {keys, 2}, .values = {values, 2}};
    assert_text(update_env(w, set), "");
    assert_replied(w, "ERR_OK");
    assert_string_equal(meta_env_get(meta_table_by_id(w->node.meta, 1), "default_ttl"), "60");

    set.values.count = 1; /* One value less than keys. */
    assert_text(update_env(w, set), "");
    assert_replied(w, "ERR_INVALID_PARAMETERS");
    struct update_app_env_request nothing = {.op = APP_ENV_OP_INVALID};
    assert_text(update_env(w, nothing),
                "recv a invalid update_app_env request with op = APP_ENV_OP_INVALID");
    nothing.op = APP_ENV_OP_DEL;
    assert_text(update_env(w, nothing), "");
    assert_replied(w, "ERR_INVALID_PARAMETERS");
    nothing.op = APP_ENV_OP_CLEAR; /* Without a prefix nothing is meant, not everything. */
    assert_text(update_env(w, nothing), "");
    assert_replied(w, "ERR_INVALID_PARAMETERS");

    struct update_app_env_request del = {.set = KEYS, .op = APP_ENV_OP_DEL, .keys = {keys, 1}};
    assert_text(update_env(w, del), "deleted keys:\n    default_ttl");
    struct update_app_env_request clear = {.set = UPDATE_APP_ENV_REQUEST_HAS_CLEAR_PREFIX,
                                           .op = APP_ENV_OP_CLEAR};
    assert_text(update_env(w, clear), "deleted keys:\n    business.info");
    assert_replied(w, "ERR_OK");
}

static void test_manual_compact(void **state)
{
    struct meta_world *w = *state;
    struct start_manual_compact_request request = {.app_name = slice_str("t")};
    struct start_manual_compact_response r;
    world_ask(w, RPC_START_MANUAL_COMPACT, thft, &request);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_text(r.hint_msg, "succeed");
    const struct meta_table *t = meta_table_by_id(w->node.meta, 1);
    assert_string_equal(meta_env_get(t, "manual_compact.once.trigger_time"), "1700000000");
    assert_string_equal(meta_env_get(t, "manual_compact.once.target_level"), "-1");
    assert_string_equal(meta_env_get(t, "manual_compact.once.bottommost_level_compaction"), "skip");
    assert_null(meta_env_get(t, "manual_compact.max_concurrent_running_count"));

    request.set = START_MANUAL_COMPACT_REQUEST_HAS_TARGET_LEVEL;
    request.target_level = -2;
    world_ask(w, RPC_START_MANUAL_COMPACT, thft, &request);
    assert_text(world_reply(w, &r), "ERR_INVALID_PARAMETERS");
    assert_text(r.hint_msg, "invalid target_level(-2), should in range of [-1, num_levels]");
    request.app_name = slice_str("u");
    world_ask(w, RPC_START_MANUAL_COMPACT, thft, &request);
    assert_text(world_reply(w, &r), "ERR_APP_NOT_EXIST");
    assert_text(r.hint_msg, "app u is not existed");

    struct query_manual_compact_request ask = {.app_name = slice_str("t")};
    struct query_manual_compact_response status;
    world_ask(w, RPC_QUERY_MANUAL_COMPACT, thft, &ask);
    assert_text(world_reply(w, &status), "ERR_INVALID_STATE");
    assert_text(status.hint_msg, "app t is not manual compaction");

    w->compact_percent = 50;
    world_ask(w, RPC_QUERY_MANUAL_COMPACT, thft, &ask);
    assert_text(world_reply(w, &status), "ERR_OK");
    assert_text(status.hint_msg, "");
    assert_int_equal(status.progress, 50);
}

static void test_compact_disabled(void **state)
{
    struct meta_world *w = *state;
    struct string_pair off = {slice_str("manual_compact.disabled"), slice_str("True")};
    world_command(w,
                  &(struct meta_command){.type = META_ENVS_SET,
                                         .envs_set = {.table = slice_str("t"), .envs = {&off, 1}}});
    struct start_manual_compact_request request = {.app_name = slice_str("t")};
    struct start_manual_compact_response r;
    world_ask(w, RPC_START_MANUAL_COMPACT, thft, &request);
    assert_text(world_reply(w, &r), "ERR_OPERATION_DISABLED");
    assert_text(r.hint_msg, "app t disable manual compaction");
}

static void test_replica_count(void **state)
{
    struct meta_world *w = *state;
    struct get_max_replica_count_request get = {.app_name = slice_str("t")};
    struct get_max_replica_count_response got;
    world_ask(w, RPC_GET_MAX_REPLICA_COUNT, FRAME_RDSN, &get);
    assert_text(world_reply(w, &got), "ERR_OK");
    assert_int_equal(got.max_replica_count, 1);
    get.app_name = slice_str("u");
    world_ask(w, RPC_GET_MAX_REPLICA_COUNT, FRAME_RDSN, &get);
    assert_text(world_reply(w, &got), "ERR_APP_NOT_EXIST");
    assert_text(got.hint_message, "app(u) does not exist");

    struct set_max_replica_count_request set = {.app_name = slice_str("t"), .max_replica_count = 2};
    struct set_max_replica_count_response r;
    world_ask(w, RPC_SET_MAX_REPLICA_COUNT, FRAME_RDSN, &set);
    assert_text(world_reply(w, &r), "ERR_INVALID_PARAMETERS");
    assert_int_equal(r.old_max_replica_count, 1);
}

static void test_atomic_idempotent(void **state)
{
    struct meta_world *w = *state;
    struct get_atomic_idempotent_request get = {.app_name = slice_str("t")};
    struct get_atomic_idempotent_response got;
    world_ask(w, RPC_GET_ATOMIC_IDEMPOTENT, FRAME_RDSN, &get);
    assert_text(world_reply(w, &got), "ERR_OK");
    assert_true(got.atomic_idempotent);
    static const struct {
        const char *table;
        bool wanted;
        const char *err, *hint;
    } rows[] = {
        {"t", true, "ERR_OK", "no need to update atomic_idempotent since it's unchanged"},
        {"t", false, "ERR_OPERATION_DISABLED", "atomic operations are always idempotent here"},
        {"u", true, "ERR_APP_NOT_EXIST", "app(u) does not exist"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct set_atomic_idempotent_request set = {.app_name = slice_str(rows[i].table),
                                                    .atomic_idempotent = rows[i].wanted};
        struct set_atomic_idempotent_response r;
        world_ask(w, RPC_SET_ATOMIC_IDEMPOTENT, FRAME_RDSN, &set);
        assert_text(world_reply(w, &r), rows[i].err);
        assert_text(r.hint_message, rows[i].hint);
    }
}

/* ---- Duplications (M16 to M18) --------------------------------------------------------------- */

/* What is absent means true: so the Go client says that it wants the old data too. */
static void test_add_duplication(void **state)
{
    struct meta_world *w = *state;
    struct add_duplication_request request = {.app_name = slice_str("t"),
                                              .remote_cluster_name = slice_str("10.9.9.9:34601")};
    struct add_duplication_response r;
    world_ask(w, RPC_ADD_DUPLICATION, FRAME_RDSN, &request);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.appid, 1);
    assert_int_equal(r.dupid, WORLD_NOW_S);
    assert_text(r.remote_app_name, "t");
    assert_int_equal(r.remote_replica_count, 1);
    const struct meta_dup *dup = &meta_table_by_id(w->node.meta, 1)->dups[0];
    assert_int_equal(dup->status, DS_PREPARE);

    world_ask(w, RPC_ADD_DUPLICATION, FRAME_RDSN, &request);
    assert_text(world_reply(w, &r), "ERR_DUP_EXIST");
    assert_int_equal(r.dupid, WORLD_NOW_S);
    request.remote_cluster_name = slice_str("here");
    world_ask(w, RPC_ADD_DUPLICATION, FRAME_RDSN, &request);
    assert_text(world_reply(w, &r), "ERR_INVALID_PARAMETERS");
    assert_text(r.hint, "illegal operation: adding duplication to itself");
}

static void test_add_without_old_data(void **state)
{
    struct meta_world *w = *state;
    struct add_duplication_request request = {
        .set = ADD_DUPLICATION_REQUEST_HAS_IS_DUPLICATING_CHECKPOINT,
        .app_name = slice_str("t"),
        .remote_cluster_name = slice_str("10.9.9.9:34601")};
    world_ask(w, RPC_ADD_DUPLICATION, thft, &request);
    assert_replied(w, "ERR_OK");
    assert_int_equal(meta_table_by_id(w->node.meta, 1)->dups[0].status, DS_LOG);
}

static void test_query_and_modify(void **state)
{
    struct meta_world *w = *state;
    test_add_without_old_data(state);
    struct query_duplication_request ask = {.app_name = slice_str("t")};
    struct query_duplication_response r;
    world_ask(w, RPC_QUERY_DUPLICATION, FRAME_RDSN, &ask);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.appid, 1);
    assert_int_equal(r.entry_list.count, 1);
    const struct duplication_entry *e = &r.entry_list.items[0];
    assert_int_equal(e->dupid, WORLD_NOW_S);
    assert_int_equal(e->status, DS_LOG);
    assert_text(e->remote, "10.9.9.9:34601"); /* Nobody has said a name yet. */
    assert_int_equal(e->create_ts, WORLD_NOW_S * 1000ll);
    assert_int_equal(e->partition_states.count, 4);
    assert_int_equal(e->partition_states.items[3].key, 3);
    assert_int_equal(e->partition_states.items[3].value.confirmed_decree, -1);

    struct modify_duplication_request modify = {.set = MODIFY_DUPLICATION_REQUEST_HAS_STATUS,
                                                .app_name = slice_str("t"),
                                                .dupid = WORLD_NOW_S,
                                                .status = DS_PAUSE};
    world_ask(w, RPC_MODIFY_DUPLICATION, thft, &modify);
    assert_replied(w, "ERR_OK");
    assert_int_equal(meta_table_by_id(w->node.meta, 1)->dups[0].status, DS_PAUSE);
    modify.set = MODIFY_DUPLICATION_REQUEST_HAS_FAIL_MODE;
    modify.fail_mode = FAIL_SKIP;
    world_ask(w, RPC_MODIFY_DUPLICATION, thft, &modify);
    assert_int_equal(meta_table_by_id(w->node.meta, 1)->dups[0].status, DS_PAUSE);
    assert_int_equal(meta_table_by_id(w->node.meta, 1)->dups[0].fail_mode, FAIL_SKIP);
    ask.app_name = slice_str("u");
    world_ask(w, RPC_QUERY_DUPLICATION, thft, &ask);
    assert_replied(w, "ERR_APP_NOT_EXIST");
}

static void test_list_duplication(void **state)
{
    struct meta_world *w = *state;
    test_add_without_old_data(state);
    world_create(w, "u", 2);
    struct list_duplication_request ask = {.match_type = PMT_MATCH_ALL};
    struct list_duplication_response r;
    world_ask(w, RPC_LIST_DUPLICATION, FRAME_RDSN, &ask);
    assert_text(world_reply(w, &r), "ERR_OK");
    assert_int_equal(r.app_states.count, 2); /* Tables without a duplication, too. */
    assert_text(r.app_states.items[0].key, "t");
    assert_int_equal(r.app_states.items[0].value.duplications.count, 1);
    assert_int_equal(r.app_states.items[0].value.duplications.items[0].key, WORLD_NOW_S);
    assert_int_equal(r.app_states.items[1].value.duplications.count, 0);
    assert_int_equal(r.app_states.items[1].value.partition_count, 2);
    ask.match_type = PMT_MATCH_REGEX;
    world_ask(w, RPC_LIST_DUPLICATION, FRAME_RDSN, &ask);
    assert_text(world_reply(w, &r), "ERR_NOT_IMPLEMENTED");
    assert_true(r.hint_message.size > 0);
}

/* ---- Clusters of the config (M7) ------------------------------------------------------------- */

static void test_config_clusters(void **state)
{
    (void)state;
    struct meta_world *w = world_begin();
    w->node.config.remote_count = 2;
    w->node.config.remotes[0] =
        (struct config_remote){.name = "there", .metas = "10.9.9.9:34601", .cluster_id = 2};
    w->node.config.remotes[1] = (struct config_remote){.name = "only_id", .cluster_id = 3};
    world_open(w);
    assert_int_equal(w->node.meta->remote_count, 2);
    assert_string_equal(w->node.meta->remotes[1].name, "there");
    assert_int_equal(w->node.meta->remotes[1].cluster_id, 2);
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_followers_only_point_away, with_table, done),
        cmocka_unit_test_setup_teardown(test_followers_point_at_the_leader, with_table, done),
        cmocka_unit_test_setup_teardown(test_beacons, one_node, done),
        cmocka_unit_test_setup_teardown(test_death_of_an_earlier_process, one_node, done),
        cmocka_unit_test_setup_teardown(test_stopped_leader_buries_nobody, one_node, done),
        cmocka_unit_test_setup_teardown(test_strange_beacons, one_node, done),
        cmocka_unit_test_setup_teardown(test_dying_together, one_node, done),
        cmocka_unit_test_setup_teardown(test_bare_snapshot, with_table, done),
        cmocka_unit_test_setup_teardown(test_a_lost_member_is_replaced, with_table, done),
        cmocka_unit_test_setup_teardown(test_a_member_that_is_back_learns, with_table, done),
        cmocka_unit_test_setup_teardown(test_frozen_is_not_cured, with_table, done),
        cmocka_unit_test_setup_teardown(test_only_the_leader_cures, with_table, done),
        cmocka_unit_test_setup_teardown(test_an_undecided_cure_is_repeated, with_table, done),
        cmocka_unit_test_setup_teardown(test_closing_while_curing, with_table, done),
        cmocka_unit_test_setup_teardown(test_follow, with_table, done),
        cmocka_unit_test_setup_teardown(test_strangers_do_not_follow, one_node, done),
        cmocka_unit_test_setup_teardown(test_propose_for, one_node, done),
        cmocka_unit_test_setup_teardown(test_not_ready, one_node, done),
        cmocka_unit_test_setup_teardown(test_nonsense, one_node, done),
        cmocka_unit_test_setup_teardown(test_undecided, with_table, done),
        cmocka_unit_test_setup_teardown(test_close_over_request, with_table, done),
        cmocka_unit_test_setup_teardown(test_query_config, with_table, done),
        cmocka_unit_test_setup_teardown(test_host_names_by_framing, with_table, done),
        cmocka_unit_test_setup_teardown(test_query_indices, with_table, done),
        cmocka_unit_test_setup_teardown(test_query_unknown, with_table, done),
        cmocka_unit_test_setup_teardown(test_create, one_node, done),
        cmocka_unit_test_setup_teardown(test_create_on_two_nodes, one_node, done),
        cmocka_unit_test_setup_teardown(test_frozen, one_node, done),
        cmocka_unit_test_setup_teardown(test_drop_and_recall, with_table, done),
        cmocka_unit_test_setup_teardown(test_purge, with_table, done),
        cmocka_unit_test_setup_teardown(test_rename, with_table, done),
        cmocka_unit_test_setup_teardown(test_list_apps, with_table, done),
        cmocka_unit_test_setup_teardown(test_list_apps_by_pattern, with_table, done),
        cmocka_unit_test_setup_teardown(test_list_nodes, one_node, done),
        cmocka_unit_test_setup_teardown(test_diagnosis, one_node, done),
        cmocka_unit_test_setup_teardown(test_census, one_node, done),
        cmocka_unit_test_setup_teardown(test_drain, one_node, done),
        cmocka_unit_test_setup_teardown(test_cluster_info, with_table, done),
        cmocka_unit_test_setup_teardown(test_nothing_to_balance, with_table, done),
        cmocka_unit_test_setup_teardown(test_update_env, with_table, done),
        cmocka_unit_test_setup_teardown(test_manual_compact, with_table, done),
        cmocka_unit_test_setup_teardown(test_compact_disabled, with_table, done),
        cmocka_unit_test_setup_teardown(test_replica_count, with_table, done),
        cmocka_unit_test_setup_teardown(test_atomic_idempotent, with_table, done),
        cmocka_unit_test_setup_teardown(test_add_duplication, with_table, done),
        cmocka_unit_test_setup_teardown(test_add_without_old_data, with_table, done),
        cmocka_unit_test_setup_teardown(test_query_and_modify, with_table, done),
        cmocka_unit_test_setup_teardown(test_list_duplication, with_table, done),
        cmocka_unit_test(test_config_clusters),
    };
    return cmocka_run_group_tests_name("meta service", tests, NULL, NULL);
}
