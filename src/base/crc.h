/* src/base/crc.h: the two checksums of the system.
 *
 * crc32c  Castagnoli, for every record and block on disk and for the native framing; from isa-l.
 * crc64   the one that maps hash keys to partitions, and Pegasus's clients compute it too: reflected
 *         polynomial 0x9a6c9329ac4bc9b5, all-ones start and final xor (catalogued as CRC-64/NVME).
 *         crc64 of nothing is 0. Source: docs/routing.md, rule R1. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Checksum of the bytes; give the result as 'before' to go on with more bytes, 0 to start. */
uint32_t crc32c(uint32_t before, const void *data, size_t size);

uint64_t crc64(const void *data, size_t size);
