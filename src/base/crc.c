/* src/base/crc.c: CRC-32C by isa-l, CRC-64 eight bytes at a time by tables made at first use. */
#include "base/crc.h"

#include <isa-l/crc.h>
#include <pthread.h>

#include "base/bytes.h"

#define CRC64_POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5)

static uint64_t crc64_table[8][256];
static pthread_once_t crc64_once = PTHREAD_ONCE_INIT;

uint32_t crc32c(uint32_t before, const void *data, size_t size)
{
    /* isa-l wants an int length and a pointer that is not const; it only reads. */
    const unsigned char *at = data;
    uint32_t crc = ~before;
    while (size > 0) {
        int step = size > (1U << 30) ? (int)(1U << 30) : (int)size;
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, step, crc);
        at += step;
        size -= (size_t)step;
    }
    return ~crc;
}

/* table[0] is the classic one; table[k][i] is table[0][i] followed by k zero bytes. */
static void crc64_make_tables(void)
{
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t r = i;
        for (int bit = 0; bit < 8; bit++) r = (r & 1) != 0 ? (r >> 1) ^ CRC64_POLYNOMIAL : r >> 1;
        crc64_table[0][i] = r;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++) {
            uint64_t r = crc64_table[k - 1][i];
            crc64_table[k][i] = crc64_table[0][r & 0xff] ^ (r >> 8);
        }
}

uint64_t crc64(const void *data, size_t size)
{
    (void)pthread_once(&crc64_once, crc64_make_tables); /* Cannot fail with a static control. */
    const uint8_t *at = data;
    uint64_t r = ~UINT64_C(0);
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t x = r ^ bytes_get_le64(at);
        r = 0;
        for (int k = 0; k < 8; k++) r ^= crc64_table[7 - k][(x >> (8 * k)) & 0xff];
    }
    for (; size > 0; size--, at++) r = crc64_table[0][(r ^ *at) & 0xff] ^ (r >> 8);
    return ~r;
}
