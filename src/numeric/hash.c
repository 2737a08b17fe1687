/*
 * hash.c
 *		CRC-32C by slicing-by-8 tables, and a keyed 64-bit hash of bytes by
 *		128-bit multiply and fold.
 */
#include "pm_hash.h"

#include <stdbool.h>
#include <string.h>

#define CRC32C_POLYNOMIAL 0x82f63b78u	/* reflected 0x1edc6f41 */

static uint32_t crc_table[8][256];
static bool crc_table_ready = false;

static void
fill_crc_table(void)
{
	for (uint32_t i = 0; i < 256; i++)
	{
		uint32_t	crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? CRC32C_POLYNOMIAL : 0);
		crc_table[0][i] = crc;
	}
	for (int i = 0; i < 256; i++)
		for (int slice = 1; slice < 8; slice++)
			crc_table[slice][i] = (crc_table[slice - 1][i] >> 8) ^
				crc_table[0][crc_table[slice - 1][i] & 0xff];
	crc_table_ready = true;
}

uint32_t
pm_crc32c(uint32_t crc, const void *data, size_t size)
{
	const unsigned char *p = data;

	if (!crc_table_ready)
		fill_crc_table();
	crc = ~crc;
	for (; size >= 8; size -= 8, p += 8)
	{
		uint64_t	word;

		memcpy(&word, p, 8);
		word ^= crc;
		crc = 0;
		for (int i = 0; i < 8; i++)
			crc ^= crc_table[7 - i][(word >> (8 * i)) & 0xff];
	}
	for (; size > 0; size--, p++)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

/* Multiply to 128 bits and fold: every input bit reaches every output bit. */
static inline uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

#define SECRET_1 UINT64_C(0xa0761d6478bd642f)
#define SECRET_2 UINT64_C(0xe7037ed1a0b428db)

static inline uint64_t
load_32(const unsigned char *p)
{
	uint32_t	word;

	memcpy(&word, p, 4);
	return word;
}

/*
 * Up to 16 bytes as two words, zeros behind them: by loads that overlap where
 * a length that the compiler does not know would be a call of memcpy.
 */
static inline void
load_tail(const unsigned char *p, size_t left, uint64_t *tail)
{
	tail[0] = tail[1] = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (left >= 8)
	{
		memcpy(&tail[0], p, 8);
		if (left > 8)
		{
			memcpy(&tail[1], p + left - 8, 8);
			tail[1] >>= 8 * (16 - left);
		}
	}
	else if (left >= 4)
		tail[0] = load_32(p) | load_32(p + left - 4) << (8 * (left - 4));
	else if (left > 0)
		tail[0] = p[0] | (uint64_t) p[left / 2] << (8 * (left / 2)) |
			(uint64_t) p[left - 1] << (8 * (left - 1));
#else
	memcpy(tail, p, left);
#endif
}

uint64_t
pm_hash64(uint64_t key, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t	hash = pm_mix64(key ^ SECRET_1);
	size_t		left = size;
	uint64_t	tail[2];

	for (; left > 16; left -= 16, p += 16)
	{
		uint64_t	word[2];

		memcpy(word, p, 16);
		hash = fold(word[0] ^ SECRET_2, word[1] ^ hash);
	}
	load_tail(p, left, tail);
	hash = fold(tail[0] ^ SECRET_2, tail[1] ^ hash);
	return fold(hash ^ SECRET_1, (uint64_t) size ^ SECRET_2);
}
