/* src/core/throttle/throttle.c: reading rules, counting, and a bucket with a hole. */
#include "core/throttle/throttle.h"

/* ---- Reading ---- */

/* The part of '*text' up to the next 'mark', which is skipped too; the rest when there is none. */
static struct slice take_part(struct slice *text, uint8_t mark)
{
    const uint8_t *at = text->size > 0 ? memchr(text->data, mark, text->size) : NULL;
    size_t size = at != NULL ? (size_t)(at - text->data) : text->size;
    struct slice part = slice_of(text->data, size);
    *text = slice_skip(*text, at != NULL ? size + 1 : size);
    return part;
}

static bool read_number(struct slice text, uint64_t unit, uint64_t *out)
{
    uint64_t value = 0;
    if (text.size == 0) return false;
    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)text.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (value > UINT64_MAX / unit) return false;
    *out = value * unit;
    return true;
}

static bool read_units(struct slice text, uint64_t *out)
{
    uint64_t unit = 1;
    if (slice_has_suffix(text, slice_str("K"))) unit = 1024;
    if (slice_has_suffix(text, slice_str("M"))) unit = 1024 * 1024;
    if (unit > 1) text.size--;
    return read_number(text, unit, out);
}

/* "10000*delay*100" */
static bool read_item(struct slice item, struct throttle_rule *out)
{
    struct slice units_text = take_part(&item, '*'), word = take_part(&item, '*');
    uint64_t units, ms;
    bool is_delay = slice_is(word, "delay");
    if (!is_delay && !slice_is(word, "reject")) return false;
    if (!read_units(units_text, &units) || !read_number(item, 1, &ms)) return false;
    if (ms > THROTTLE_WAIT_MS_MAX) ms = THROTTLE_WAIT_MS_MAX;
    *(is_delay ? &out->delay_units : &out->reject_units) = units;
    *(is_delay ? &out->delay_ms : &out->reject_ms) = (uint32_t)ms;
    return true;
}

int throttle_rule_read(struct slice text, struct throttle_rule *out)
{
    *out = (struct throttle_rule){0};
    do {
        if (read_item(take_part(&text, ','), out)) continue;
        *out = (struct throttle_rule){0};
        return E_PROTO;
    } while (text.size > 0);
    return 0;
}

int throttle_rate_read(struct slice text, uint64_t *out)
{
    struct throttle_rule rule;
    *out = 0;
    if (text.size == 0 || memchr(text.data, '*', text.size) == NULL)
        return read_units(text, out) ? 0 : E_PROTO;
    int rc = throttle_rule_read(text, &rule);
    if (rc == 0) *out = rule.reject_units;
    return rc;
}

/* ---- Counting ---- */

void throttle_set(struct throttle *t, const struct throttle_rule *rule, uint32_t partition_count)
{
    t->share = *rule;
    if (rule->delay_units > 0) t->share.delay_units = rule->delay_units / partition_count + 1;
    if (rule->reject_units > 0) t->share.reject_units = rule->reject_units / partition_count + 1;
}

static uint32_t wait_for(uint32_t ms, int32_t timeout_ms)
{
    if (timeout_ms <= 0) return ms;
    uint32_t half = (uint32_t)timeout_ms / 2;
    return ms < half ? ms : half;
}

enum throttle_verdict throttle_ask(struct throttle *t, uint64_t wall_s, uint32_t units,
                                   int32_t timeout_ms, uint32_t *wait_ms)
{
    const struct throttle_rule *share = &t->share;
    if (!throttle_is_on(t)) return THROTTLE_PASS;
    if (t->second != wall_s) {
        t->second = wall_s;
        t->used = 0;
    }
    uint64_t used = t->used + units;
    if (share->reject_units > 0 && used > share->reject_units) {
        *wait_ms = wait_for(share->reject_ms, timeout_ms);
        return THROTTLE_REJECT; /* It used nothing. */
    }
    t->used = used;
    if (share->delay_units == 0 || used <= share->delay_units) return THROTTLE_PASS;
    *wait_ms = wait_for(share->delay_ms, timeout_ms);
    return *wait_ms > 0 ? THROTTLE_DELAY : THROTTLE_PASS;
}

/* ---- The bucket ---- */

static void fill(struct throttle_bucket *b, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - b->filled_ms;
    if (passed_ms > 1000000) passed_ms = 1000000; /* No debt is as old as that. */
    uint64_t more = b->rate / 1000 * passed_ms + b->rate % 1000 * passed_ms / 1000;
    if (more == 0) return; /* Let a slow bucket's parts of a byte add up. */
    b->filled_ms = now_ms;
    if (b->bytes + (int64_t)more > (int64_t)b->rate) b->bytes = (int64_t)b->rate;
    else b->bytes += (int64_t)more;
}

void throttle_bucket_set(struct throttle_bucket *b, uint64_t rate, uint32_t partition_count,
                         uint64_t now_ms)
{
    const uint64_t rate_max = UINT64_C(1)
                              << 40; /* A terabyte per second: no limit, and no overflow. */
    uint64_t share = (rate < rate_max ? rate : rate_max) / partition_count;
    if (rate > 0 && share == 0) share = 1;
    if (b->rate == 0) *b = (struct throttle_bucket){share, (int64_t)share, now_ms};
    b->rate = share;
}

bool throttle_bucket_ask(struct throttle_bucket *b, uint64_t now_ms)
{
    if (b->rate == 0) return true;
    fill(b, now_ms);
    return b->bytes > 0;
}

void throttle_bucket_take(struct throttle_bucket *b, uint64_t bytes)
{
    const uint64_t bytes_max = UINT64_C(1) << 40; /* Of one answer; far above what one can hold. */
    if (b->rate > 0) b->bytes -= (int64_t)(bytes < bytes_max ? bytes : bytes_max);
}
