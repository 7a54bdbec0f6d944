/* src/kv/kv.c: what all kinds of requests share. */
#include "kv/kv.h"

#include "wire/messages_data.h"
#include "wire/value.h"

struct kv_partition kv_partition_default(void)
{
    return (struct kv_partition){
        .iteration_time_ms_max = 30000,
        .multi_get_count_max = 3000,
        .multi_get_size_max = 30 << 20,
        .scan_count_max = 1000,
    };
}

bool kv_row_is_live(const struct kv_row *row, uint32_t now_s)
{
    struct value_head head = {row->expire_ts, row->timetag};
    return !timetag_is_deleted(row->timetag) && !value_is_expired(head, now_s);
}

int kv_row_read(struct slice stored, struct kv_row *out)
{
    struct value_head head;
    struct slice data;
    if (value_split(stored, &head, &data) != 0) return E_CORRUPT;
    *out = (struct kv_row){head.expire_ts, head.timetag, data};
    return 0;
}

int32_t kv_status_of(int rc)
{
    switch (rc) {
    case 0: return RRDB_OK;
    case E_NOTFOUND: return RRDB_NOT_FOUND;
    case E_CORRUPT: return RRDB_CORRUPTION;
    default: return RRDB_IO_ERROR;
    }
}
