/* tests/sim/test_checkers.c: the checkers themselves are tested: they accept everything that is
 * right and reject everything that is wrong, thousands of times each. A checker that accepts too
 * much would make every other test a lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/check/converge.h"
#include "sim/check/linear.h"
#include "sim/check/order.h"
#include "sim/check/sets.h"
#include "sim/histories.h"
#include "wire/value.h"

enum { MANY = 10000 };

static void show(const struct history *h, const struct report *report)
{
    char text[256];
    for (size_t i = 0; i < h->count; i++) {
        (void)history_print(&h->ops[i], text, sizeof text);
        print_error("%s   decree %u\n", text, (unsigned)h->ops[i].decree);
    }
    print_error("%s\n", report->text);
}

static void expect(const struct history *h, enum verdict is, enum verdict should_be,
                   const struct report *report, uint64_t seed)
{
    if (is == should_be) return;
    show(h, report);
    print_error("seed %u\n", (unsigned)seed);
    assert_int_equal(is, should_be);
}

/* ---- Generated histories ---- */

static struct histories draw(struct prng *p)
{
    return (struct histories){.prng = p,
                              .clients = (uint32_t)prng_between(p, 1, 6),
                              .keys = (uint32_t)prng_between(p, 1, 3),
                              .steps = 120,
                              .unknown_percent = prng_percent(p, 50) ? 0 : 4,
                              .scene = (enum scene)prng_below(p, SCENE_COUNT)};
}

static void test_right_histories_are_accepted(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < MANY; seed++) {
        struct prng p;
        struct history h = {0};
        struct report report = {""};
        prng_init(&p, seed);
        struct histories g = draw(&p);
        histories_generate(&g, &h);
        expect(&h, check_linear(&h, &report), VERDICT_OK, &report, seed);
        expect(&h, check_order(&h, &report), VERDICT_OK, &report, seed);
        history_fini(&h);
    }
}

static void test_wrong_histories_are_rejected(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < MANY; seed++) {
        struct prng p;
        struct history h = {0};
        struct report report = {""};
        prng_init(&p, seed);
        struct histories g = draw(&p);
        g.is_broken = true;
        g.scene = (enum scene)prng_between(&p, SCENE_NONE + 1, SCENE_COUNT - 1);
        histories_generate(&g, &h);
        expect(&h, check_linear(&h, &report), VERDICT_BROKEN, &report, seed);
        assert_non_null(strstr(report.text, "not linearizable"));
        expect(&h, check_order(&h, &report), VERDICT_BROKEN, &report, seed);
        history_fini(&h);
    }
}

/* Two writes, one after the other, whose decrees say the opposite. */
static void test_decrees_against_real_time_are_rejected(void **state)
{
    (void)state;
    size_t tried = 0;
    for (uint64_t seed = 0; seed < MANY; seed++) {
        struct prng p;
        struct history h = {0};
        struct report report = {""};
        prng_init(&p, seed);
        struct histories g = draw(&p);
        histories_generate(&g, &h);
        struct history_op *first = NULL;
        for (size_t i = 0; i < h.count; i++) {
            struct history_op *op = &h.ops[i];
            if (op->decree == 0 || op->end != HISTORY_DONE) continue;
            if (first == NULL) first = op;
            if (first->returned >= op->invoked) continue;
            uint64_t decree = op->decree;
            op->decree = first->decree;
            first->decree = decree;
            expect(&h, check_order(&h, &report), VERDICT_BROKEN, &report, seed);
            tried++;
            break;
        }
        history_fini(&h);
    }
    assert_true(tried > MANY / 2);
}

/* ---- Against brute force ---- */

static void test_the_search_agrees_with_brute_force(void **state)
{
    (void)state;
    size_t right = 0;
    for (uint64_t seed = 0; seed < 4 * MANY; seed++) {
        struct prng p;
        struct history h = {0};
        struct report report = {""};
        prng_init(&p, seed);
        histories_random(&p, 7, &h);
        bool is_right = histories_brute(&h);
        enum verdict verdict = check_linear(&h, &report);
        expect(&h, verdict, is_right ? VERDICT_OK : VERDICT_BROKEN, &report, seed);
        right += is_right;
        history_fini(&h);
    }
    assert_in_range(right, MANY / 4, 4 * MANY - MANY / 4); /* Both kinds are met often. */
}

/* With any decrees at all: what checker B accepts is linearizable. */
static void test_what_b_accepts_a_accepts(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (uint64_t seed = 0; seed < 8 * MANY; seed++) {
        struct prng p;
        struct history h = {0};
        struct report report = {""};
        prng_init(&p, seed);
        histories_random(&p, 5, &h);
        for (size_t i = 0; i < h.count; i++) {
            bool is_certain = h.ops[i].end == HISTORY_DONE && h.ops[i].type != HISTORY_GET &&
                              h.ops[i].type != HISTORY_CAS;
            if (is_certain || prng_percent(&p, 50))
                if (h.ops[i].type != HISTORY_GET)
                    history_decree(&h, i, 0, 1 + prng_below(&p, 4) * 8 + i);
        }
        if (check_order(&h, &report) == VERDICT_OK) {
            expect(&h, check_linear(&h, &report), VERDICT_OK, &report, seed);
            accepted++;
        }
        history_fini(&h);
    }
    assert_true(accepted > MANY / 8);
}

/* ---- Limits ---- */

/* More than can be pending at once is said, not guessed. */
static void test_too_much_at_once_is_unknown(void **state)
{
    (void)state;
    struct history h = {0};
    struct report report = {""};
    for (uint32_t i = 0; i < 70; i++)
        (void)history_invoke(&h, i, HISTORY_INCR, slice_str("k"), 1, 0);
    assert_int_equal(check_linear(&h, &report), VERDICT_UNKNOWN);
    history_fini(&h);
}

/* Many operations of eight clients on one key, in time. */
static void test_a_long_history(void **state)
{
    (void)state;
    struct prng p;
    struct history h = {0};
    struct report report = {""};
    prng_init(&p, 1);
    struct histories g = {.prng = &p, .clients = 8, .keys = 1, .steps = 0, .unknown_percent = 0};
    g.steps = 10 * MANY;
    histories_generate(&g, &h);
    assert_int_equal(check_linear(&h, &report), VERDICT_OK);
    assert_int_equal(check_order(&h, &report), VERDICT_OK);
    history_fini(&h);
}

/* ---- Sets ---- */

static void test_sets(void **state)
{
    (void)state;
    for (int broken = 0; broken < 4; broken++) {
        struct sets s = {0};
        struct report report = {""};
        char name[16];
        enum verdict verdict = VERDICT_OK;
        for (int i = 0; i < 1000; i++) {
            (void)snprintf(name, sizeof name, "k%d", i);
            sets_attempt(&s, slice_str(name));
            if (i % 3 != 0) sets_ack(&s, slice_str(name));
        }
        for (int i = 0; i < 1000 && verdict == VERDICT_OK; i++) {
            if (i % 6 == 0) continue; /* Never acknowledged: may be there or not. */
            if (broken == 1 && i == 500) continue;
            (void)snprintf(name, sizeof name, "k%d", broken == 2 && i == 500 ? 1000 : i);
            verdict = sets_found(&s, slice_str(name), &report);
            if (broken == 3 && i == 500) verdict = sets_found(&s, slice_str(name), &report);
        }
        if (verdict == VERDICT_OK) verdict = sets_check(&s, &report);
        assert_int_equal(verdict, broken == 0 ? VERDICT_OK : VERDICT_BROKEN);
        sets_forget_found(&s);
        assert_int_equal(sets_check(&s, &report), VERDICT_BROKEN);
        sets_fini(&s);
    }
}

/* ---- Convergence ---- */

enum { ROWS = 50, NOW_S = 1000 };

static struct converge_row row_of(struct prng *p, char key[8])
{
    bool is_deleted = prng_percent(p, 30);
    static const char *const data[] = {"x", "yy", "zzz"};
    (void)snprintf(key, 8, "%u", (unsigned)prng_below(p, ROWS));
    uint64_t us = prng_between(p, 1, 1000000000);
    return (struct converge_row){.key = slice_str(key),
                                 .timetag = timetag_make(us, 1 + (us & 1), is_deleted),
                                 .expire_ts = is_deleted ? 0 : (uint32_t)(us % 4 * 600),
                                 .data = is_deleted ? slice_str("") : slice_str(data[us % 3])};
}

/* What a side holds: the last of each key, told by brute force. */
struct side {
    struct converge_row rows[ROWS];
    char names[ROWS][8];
    size_t count;
};

static void side_apply(struct side *s, const struct converge_row *row)
{
    size_t i = 0;
    while (i < s->count && !slice_equal(s->rows[i].key, row->key)) i++;
    if (i < s->count && s->rows[i].timetag >= row->timetag) return;
    if (i == s->count) s->count++;
    memcpy(s->names[i], row->key.data, row->key.size);
    s->rows[i] = *row;
    s->rows[i].key = slice_of(s->names[i], row->key.size);
}

static enum verdict compare(struct converge *c, const struct side *s, struct report *report)
{
    enum verdict verdict = VERDICT_OK;
    converge_begin(c);
    for (size_t i = 0; i < s->count && verdict == VERDICT_OK; i++)
        verdict = converge_compare(c, &s->rows[i], report);
    return verdict == VERDICT_OK ? converge_end(c, NOW_S, report) : verdict;
}

static bool is_gone(const struct converge_row *row)
{
    return timetag_is_deleted(row->timetag) || (row->expire_ts != 0 && row->expire_ts <= NOW_S);
}

/* Lose, age or alter one row that counts. False when there is none. */
static bool spoil(struct prng *p, struct side *s)
{
    size_t at = (size_t)prng_below(p, s->count);
    while (at < s->count && is_gone(&s->rows[at])) at++;
    if (at == s->count) return false;
    switch (prng_below(p, 4)) {
    case 0: s->rows[at] = s->rows[--s->count]; break;
    case 1: s->rows[at].timetag -= 512; break;
    case 2: s->rows[at].data = slice_str("spoilt"); break;
    default: s->rows[at].expire_ts += 1; break;
    }
    return true;
}

/* Collect what is gone anyway: some tombstones and expired rows. */
static void collect(struct prng *p, struct side *s)
{
    for (size_t i = 0; i < s->count;)
        if (is_gone(&s->rows[i]) && prng_percent(p, 50)) s->rows[i] = s->rows[--s->count];
        else i++;
}

static void test_convergence(void **state)
{
    (void)state;
    size_t spoilt = 0;
    for (uint64_t seed = 0; seed < MANY; seed++) {
        struct prng p;
        struct converge c = {0};
        struct report report = {""};
        struct side s = {.count = 0};
        prng_init(&p, seed);
        for (uint64_t i = prng_between(&p, 1, 100); i > 0; i--) {
            char key[8];
            struct converge_row row = row_of(&p, key);
            assert_int_equal(converge_commit(&c, &row, &report), VERDICT_OK);
            assert_int_equal(converge_commit(&c, &row, &report), VERDICT_OK);
            side_apply(&s, &row);
        }
        assert_int_equal(compare(&c, &s, &report), VERDICT_OK);
        collect(&p, &s);
        if (s.count > 0) {
            assert_int_equal(compare(&c, &s, &report), VERDICT_OK);
            if (spoil(&p, &s)) {
                assert_int_equal(compare(&c, &s, &report), VERDICT_BROKEN);
                spoilt++;
            }
        }
        converge_fini(&c);
    }
    assert_true(spoilt > MANY / 2);
}

static void test_one_timetag_has_one_value(void **state)
{
    (void)state;
    struct converge c = {0};
    struct report report = {""};
    struct converge_row row = {slice_str("k"), timetag_make(5, 1, false), 0, slice_str("a")};
    assert_int_equal(converge_commit(&c, &row, &report), VERDICT_OK);
    row.data = slice_str("b");
    assert_int_equal(converge_commit(&c, &row, &report), VERDICT_BROKEN);
    converge_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_histories_are_accepted),
        cmocka_unit_test(test_wrong_histories_are_rejected),
        cmocka_unit_test(test_decrees_against_real_time_are_rejected),
        cmocka_unit_test(test_the_search_agrees_with_brute_force),
        cmocka_unit_test(test_what_b_accepts_a_accepts),
        cmocka_unit_test(test_too_much_at_once_is_unknown),
        cmocka_unit_test(test_a_long_history),
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_convergence),
        cmocka_unit_test(test_one_timetag_has_one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
