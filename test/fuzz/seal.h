/*
 * seal.h
 *		Make any bytes pass the container's head: magic, format, length and
 *		checksum, so that what lies behind them is reached.
 */
#ifndef SEAL_H
#define SEAL_H

#include <stdint.h>
#include <string.h>

#include "pm_hash.h"
#include "pm_model.h"

/* Where things stand in a container; see pm_model.h. */
#define HEADER_SIZE 64
#define ENTRY_SIZE 64
#define HEADER_FORMAT 4
#define HEADER_KIND 8
#define HEADER_PAYLOAD 40
#define HEADER_SECTIONS 48
#define HEADER_CRC 52
#define ENTRY_TYPE 16
#define ENTRY_DIMENSIONS 20
#define ENTRY_DIMS 24
#define ENTRY_OFFSET 40
#define ENTRY_LENGTH 48
#define ENTRY_RESERVED 56

static inline void
put_u32(unsigned char *bytes, size_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static inline void
put_u64(unsigned char *bytes, size_t at, uint64_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

/* Checksum only. */
static inline void
seal_checksum(unsigned char *bytes, size_t size)
{
	put_u32(bytes, HEADER_CRC, 0);
	put_u32(bytes, HEADER_CRC, pm_crc32c(0, bytes, size));
}

/* The whole head; size is at least HEADER_SIZE. */
static inline void
seal(unsigned char *bytes, size_t size)
{
	memcpy(bytes, PM_MODEL_MAGIC, 4);
	put_u32(bytes, HEADER_FORMAT, PM_MODEL_FORMAT);
	put_u64(bytes, HEADER_PAYLOAD, size - HEADER_SIZE);
	seal_checksum(bytes, size);
}

#endif							/* SEAL_H */
