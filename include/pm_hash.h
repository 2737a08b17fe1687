/*
 * pm_hash.h
 *		Checksums and hashes of bytes.
 */
#ifndef PM_HASH_H
#define PM_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli), as in RFC 3720; start with crc = 0. */
extern uint32_t pm_crc32c(uint32_t crc, const void *data, size_t size);

/*
 * A 64-bit hash with a key.  The same on every machine; good for tables and
 * for ordering rows.  Not cryptographic: with a secret key it resists chance
 * and casual collisions only.
 */
extern uint64_t pm_hash64(uint64_t key, const void *data, size_t size);

/* Finalise a 64-bit value (splitmix64's mixer). */
static inline uint64_t
pm_mix64(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif							/* PM_HASH_H */
