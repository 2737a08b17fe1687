/*
 * test_numeric.c
 *		The arena, random numbers, checksums and hashes.
 */
#include "test.h"

#include "pm_arena.h"
#include "pm_hash.h"
#include "pm_rng.h"

#include <stdlib.h>

/* splitmix64's increment */
#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

/*
 * An allocator that counts blocks, can refuse, and whose blocks have another
 * alignment each time: a resize is always a move.
 */
typedef struct Counter
{
	int			blocks;
	int			calls;
	int			fail_at;		/* this call and those after it */
} Counter;

/* In front of each block. */
typedef struct Header
{
	void	   *start;
	size_t		bytes;
} Header;

static void *
counted_allocate(void *source, size_t bytes)
{
	Counter    *counter = source;
	char	   *start;
	Header	   *header;

	counter->calls++;
	if (counter->fail_at != 0 && counter->calls >= counter->fail_at)
		return NULL;
	start = malloc(bytes + 5 * sizeof(Header));
	if (start == NULL)
		return NULL;
	header = (Header *) start + counter->calls % 4;
	header->start = start;
	header->bytes = bytes;
	counter->blocks++;
	return header + 1;
}

static void
counted_release(void *source, void *block)
{
	((Counter *) source)->blocks--;
	free(((Header *) block - 1)->start);
}

static void *
counted_resize(void *source, void *block, size_t bytes)
{
	size_t		held = ((Header *) block - 1)->bytes;
	void	   *moved = counted_allocate(source, bytes);

	if (moved == NULL)
		return NULL;
	memcpy(moved, block, held < bytes ? held : bytes);
	counted_release(source, block);
	return moved;
}

/* Blocks are aligned, counted, and freed with the arena. */
static void
arena_counts_and_aligns(void)
{
	Counter		counter = {0, 0, 0};
	PmAllocator allocator = {
		counted_allocate, counted_resize, counted_release, &counter
	};
	PmContext	ctx;
	void	   *blocks[20];

	memset(&ctx, 0, sizeof(ctx));
	ctx.arena = pm_arena_create(&allocator, 0);
	for (size_t i = 0; i < 20; i++)
	{
		CHECK_STATUS(&ctx, pm_alloc(&ctx, "block", i, 7, &blocks[i]), PM_OK);
		CHECK(blocks[i] != NULL);
		CHECK_INT((uintptr_t) blocks[i] % 64, 0);
		memset(blocks[i], 0xa5, i * 7);
	}
	CHECK_INT(pm_arena_used(ctx.arena), 7 * 190);
	pm_release(&ctx, blocks[19]);
	pm_release(&ctx, NULL);
	CHECK_INT(pm_arena_used(ctx.arena), 7 * 171);
	CHECK_INT(pm_arena_peak(ctx.arena), 7 * 190);
	CHECK_INT(counter.blocks, 20);
	pm_arena_destroy(ctx.arena);
	CHECK_INT(counter.blocks, 0);
}

/* A request beyond the limit is refused before anything is allocated. */
static void
arena_keeps_its_limit(void)
{
	Counter		counter = {0, 0, 0};
	PmAllocator allocator = {
		counted_allocate, counted_resize, counted_release, &counter
	};
	PmContext	ctx;
	void	   *a;
	void	   *b;
	int			calls;

	memset(&ctx, 0, sizeof(ctx));
	ctx.arena = pm_arena_create(&allocator, 1000);
	CHECK_INT(pm_arena_limit(ctx.arena), 1000);
	CHECK_STATUS(&ctx, pm_alloc(&ctx, "first", 600, 1, &a), PM_OK);
	calls = counter.calls;
	CHECK_STATUS(&ctx, pm_alloc(&ctx, "labels", 401, 1, &b), PM_MEMORY_LIMIT);
	CHECK(b == NULL);
	CHECK_INT(counter.calls, calls);
	CHECK_TEXT(ctx.message, "labels needs 401 bytes on top of 600 in use, over the limit of 1000");
	CHECK_STATUS(&ctx, pm_alloc(&ctx, "second", 400, 1, &b), PM_OK);
	pm_release(&ctx, a);
	CHECK_STATUS(&ctx, pm_alloc_zero(&ctx, "third", 600, 1, &a), PM_OK);
	CHECK_INT(((char *) a)[0] | ((char *) a)[599], 0);
	pm_arena_destroy(ctx.arena);
	CHECK_INT(counter.blocks, 0);
}

/* Products that overflow, and a system that refuses. */
static void
arena_refuses(void)
{
	Counter		counter = {0, 0, 2};
	PmAllocator allocator = {
		counted_allocate, counted_resize, counted_release, &counter
	};
	PmContext	ctx;
	void	   *block = &ctx;
	size_t		capacity = 0;
	size_t		product;

	memset(&ctx, 0, sizeof(ctx));
	ctx.arena = pm_arena_create(&allocator, 0);
	CHECK_STATUS(&ctx, pm_alloc(&ctx, "huge", SIZE_MAX / 2, 3, &block), PM_TOO_LARGE);
	CHECK(block == NULL);
	CHECK_STATUS(&ctx, pm_alloc(&ctx, "huge", SIZE_MAX, 1, &block), PM_TOO_LARGE);
	CHECK_STATUS(&ctx, pm_reserve(&ctx, "huge", SIZE_MAX / 4, 8, &block, &capacity), PM_TOO_LARGE);
	CHECK_STATUS(&ctx, pm_alloc(&ctx, "block", 1, 1, &block), PM_NO_MEMORY);
	CHECK(block == NULL);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	CHECK(!pm_multiply(SIZE_MAX, 2, &product));
	CHECK(pm_multiply(SIZE_MAX / 2, 2, &product) && product == SIZE_MAX - 1);
	pm_arena_destroy(ctx.arena);
	CHECK_INT(counter.blocks, 0);
}

/* Grow an array element by element, checking all of it at each growth. */
static void
grow_to(PmContext *ctx, uint32_t **array, size_t *capacity, uint32_t count)
{
	int			wrong = 0;

	for (uint32_t i = 0; i < count && wrong == 0; i++)
	{
		size_t		before = *capacity;

		wrong += pm_reserve(ctx, "array", i + 1, 4, array, capacity) != PM_OK;
		wrong += (uintptr_t) *array % 64 != 0;
		for (uint32_t j = 0; j < before && *capacity != before; j++)
			wrong += (*array)[j] != j * 2654435761u;
		(*array)[i] = i * 2654435761u;
	}
	CHECK_INT(wrong, 0);
}

/* Growing keeps content and alignment, and takes few steps. */
static void
reserve_grows(void)
{
	Counter		counter = {0, 0, 0};
	PmAllocator allocator = {
		counted_allocate, counted_resize, counted_release, &counter
	};
	PmContext	ctx;
	uint32_t   *array = NULL;
	size_t		capacity = 0;

	memset(&ctx, 0, sizeof(ctx));
	ctx.arena = pm_arena_create(&allocator, 0);
	grow_to(&ctx, &array, &capacity, 1000000);
	CHECK(counter.calls < 60);
	CHECK_INT(pm_arena_used(ctx.arena), 4 * capacity);
	pm_arena_destroy(ctx.arena);
	CHECK_INT(counter.blocks, 0);
}

/*
 * Just below the limit, where a slack of a half no longer fits, there are
 * still few steps, and every byte up to the limit can be had.
 */
static void
reserve_grows_to_the_limit(void)
{
	Counter		counter = {0, 0, 0};
	PmAllocator allocator = {
		counted_allocate, counted_resize, counted_release, &counter
	};
	PmContext	ctx;
	uint32_t   *array = NULL;
	size_t		capacity = 0;

	memset(&ctx, 0, sizeof(ctx));
	ctx.arena = pm_arena_create(&allocator, 40000);
	grow_to(&ctx, &array, &capacity, 10000);
	CHECK_INT(capacity, 10000);
	CHECK_CASE(counter.calls < 200, "%d allocations", counter.calls);
	CHECK_STATUS(&ctx, pm_reserve(&ctx, "array", 10001, 4, &array, &capacity), PM_MEMORY_LIMIT);
	CHECK_INT(array[9999], 9999 * 2654435761u);
	CHECK_INT(pm_arena_peak(ctx.arena), 40000);
	pm_arena_destroy(ctx.arena);
	CHECK_INT(counter.blocks, 0);
}

/* A refused growth leaves the array as it was. */
static void
reserve_survives_refusal(void)
{
	Counter		counter = {0, 0, 0};
	PmAllocator allocator = {
		counted_allocate, counted_resize, counted_release, &counter
	};
	PmContext	ctx;
	int		   *array = NULL;
	size_t		capacity = 0;

	memset(&ctx, 0, sizeof(ctx));
	ctx.arena = pm_arena_create(&allocator, 0);
	CHECK_STATUS(&ctx, pm_reserve(&ctx, "array", 10, sizeof(int), &array, &capacity), PM_OK);
	array[9] = 42;
	counter.fail_at = 1;
	CHECK_STATUS(&ctx, pm_reserve(&ctx, "array", 100000, sizeof(int), &array, &capacity), PM_NO_MEMORY);
	CHECK(capacity < 100000);
	CHECK_INT(array[9], 42);
	pm_arena_destroy(ctx.arena);
	CHECK_INT(counter.blocks, 0);
}

/*
 * First outputs from the state {1, 2, 3, 4}: the reference values of Rust's
 * rand_xoshiro (src/xoshiro256plusplus.rs), made there with the authors' C
 * code from https://prng.di.unimi.it/xoshiro256plusplus.c.
 */
static void
rng_is_xoshiro(void)
{
	static const uint64_t expected[] = {
		UINT64_C(41943041), UINT64_C(58720359),
		UINT64_C(3588806011781223), UINT64_C(3591011842654386),
		UINT64_C(9228616714210784205), UINT64_C(9973669472204895162),
		UINT64_C(14011001112246962877), UINT64_C(12406186145184390807),
		UINT64_C(15849039046786891736), UINT64_C(10450023813501588000)
	};
	PmRng		rng = {{1, 2, 3, 4}};

	for (int i = 0; i < 10; i++)
		CHECK(pm_rng_next(&rng) == expected[i]);
}

/*
 * splitmix64 from 1234567: the values of Rosetta Code's task "Pseudo-random
 * numbers/Splitmix64".  A seed that cancels the stream's part shows them.
 */
static void
seed_is_splitmix(void)
{
	static const uint64_t expected[] = {
		UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
		UINT64_C(9817491932198370423), UINT64_C(4593380528125082431)
	};
	PmRng		rng;

	pm_rng_seed(&rng, UINT64_C(1234567) ^ pm_mix64(GOLDEN_GAMMA), 0);
	for (int i = 0; i < 4; i++)
		CHECK(rng.state[i] == expected[i]);
}

/* Streams of a seed differ; the same one repeats. */
static void
streams_differ(void)
{
	uint64_t	first[1000];
	int			equal = 0;

	for (uint64_t stream = 0; stream < 1000; stream++)
	{
		PmRng		rng;
		PmRng		again;

		pm_rng_seed(&rng, 7, stream);
		pm_rng_seed(&again, 7, stream);
		first[stream] = pm_rng_next(&rng);
		CHECK(first[stream] == pm_rng_next(&again));
		for (uint64_t other = 0; other < stream; other++)
			equal += first[other] == first[stream];
	}
	CHECK_INT(equal, 0);
}

/* Pearson's chi-squared of counts against a uniform distribution. */
static double
chi_squared(const long *counts, int cells, long total)
{
	double		expected = (double) total / cells;
	double		sum = 0;

	for (int i = 0; i < cells; i++)
		sum += (counts[i] - expected) * (counts[i] - expected) / expected;
	return sum;
}

/* below() is uniform, also where a remainder would not be. */
static void
below_is_uniform(void)
{
	PmRng		rng;
	long		counts[10] = {0};
	long		low = 0;

	pm_rng_seed(&rng, 1, 0);
	for (int i = 0; i < 1000000; i++)
	{
		uint64_t	drawn = pm_rng_below(&rng, 10);

		CHECK(drawn < 10);
		counts[drawn % 10]++;
	}
	/* 9 degrees of freedom: 27.88 is passed once in 1000 */
	CHECK(chi_squared(counts, 10, 1000000) < 27.88);

	/* modulo 3 * 2^62 would give the lowest third a half */
	for (int i = 0; i < 300000; i++)
		low += pm_rng_below(&rng, UINT64_C(3) << 62) < UINT64_C(1) << 62;
	CHECK_CLOSE(low / 300000.0, 1 / 3.0, 0, 0.005);
	CHECK_INT(pm_rng_below(&rng, 1), 0);
}

/* uniform() stays in [0, 1) and has the moments of its distribution. */
static void
uniform_has_its_moments(void)
{
	PmRng		rng;
	double		sum = 0;
	double		squares = 0;
	bool		inside = true;

	pm_rng_seed(&rng, 2, 3);
	for (int i = 0; i < 1000000; i++)
	{
		double		u = pm_rng_uniform(&rng);

		inside = inside && u >= 0 && u < 1;
		sum += u;
		squares += u * u;
	}
	CHECK(inside);
	CHECK_CLOSE(sum / 1e6, 0.5, 0, 0.0015);
	CHECK_CLOSE(squares / 1e6, 1 / 3.0, 0, 0.0015);
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogues. */
static void
crc32c_is_rfc3720(void)
{
	static const unsigned char pdu[48] = {
		0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
		0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0
	};
	unsigned char bytes[32];

	memset(bytes, 0, 32);
	CHECK_INT(pm_crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	CHECK_INT(pm_crc32c(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (unsigned char) i;
	CHECK_INT(pm_crc32c(0, bytes, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		bytes[i] = (unsigned char) (31 - i);
	CHECK_INT(pm_crc32c(0, bytes, 32), 0x113fdb5c);
	CHECK_INT(pm_crc32c(0, pdu, 48), 0xd9963a56);
	CHECK_INT(pm_crc32c(0, "123456789", 9), 0xe3069283);
	CHECK_INT(pm_crc32c(0, "", 0), 0);
	for (int cut = 0; cut <= 48; cut++)
		CHECK_INT(pm_crc32c(pm_crc32c(0, pdu, cut), pdu + cut, 48 - cut), 0xd9963a56);
}

/*
 * The hash orders rows, so its values are part of what a release promises:
 * pinned from the first one, with values recomputed from the definition in
 * Python's integers.
 */
static void
hash_is_stable(void)
{
	CHECK(pm_hash64(0, "", 0) == UINT64_C(0xb0979e2a36abf9fd));
	CHECK(pm_hash64(0, "precmkt", 7) == UINT64_C(0x0dd2bbaf0b8e9d46));
	CHECK(pm_hash64(42, "precision marketing in the database", 35) == UINT64_C(0xe909e08e088083af));
}

/* Every bit of the input moves about half of the output. */
static void
hash_spreads(void)
{
	double		least = 64;
	double		most = 0;

	for (size_t size = 1; size <= 40; size++)
		for (size_t bit = 0; bit < 8 * size; bit++)
		{
			double		changed = 0;

			for (uint64_t key = 0; key < 64; key++)
			{
				unsigned char bytes[40];
				PmRng		rng;
				uint64_t	before;

				pm_rng_seed(&rng, key, size);
				for (int i = 0; i < 40; i++)
					bytes[i] = (unsigned char) pm_rng_next(&rng);
				before = pm_hash64(key, bytes, size);
				bytes[bit / 8] ^= (unsigned char) (1 << bit % 8);
				changed += __builtin_popcountll(before ^ pm_hash64(key, bytes, size));
			}
			changed /= 64;
			least = changed < least ? changed : least;
			most = changed > most ? changed : most;
		}
	/* the mean of 64 hashes has a standard deviation of half a bit */
	CHECK_CASE(least > 29, "%g bits", least);
	CHECK_CASE(most < 35, "%g bits", most);
}

/* Hashes of small numbers fill buckets evenly, by low and by high bits. */
static void
hash_fills_buckets(void)
{
	long		low[256] = {0};
	long		high[256] = {0};

	for (uint32_t i = 0; i < 256 * 1000; i++)
	{
		float		value = (float) i;
		uint64_t	hash = pm_hash64(0, &value, sizeof(value));

		low[hash & 255]++;
		high[hash >> 56]++;
	}
	/* 255 degrees of freedom: 330.5 is passed once in 1000 */
	CHECK(chi_squared(low, 256, 256000) < 330.5);
	CHECK(chi_squared(high, 256, 256000) < 330.5);
}

/* Trailing zeros and the key are part of what is hashed. */
static void
hash_tells_lengths_apart(void)
{
	static const char zeros[64];
	uint64_t	seen[65];
	int			equal = 0;

	for (size_t size = 0; size <= 64; size++)
	{
		seen[size] = pm_hash64(0, zeros, size);
		for (size_t other = 0; other < size; other++)
			equal += seen[other] == seen[size];
	}
	CHECK_INT(equal, 0);
	CHECK(pm_hash64(1, zeros, 8) != pm_hash64(2, zeros, 8));
}

int
main(void)
{
	TEST(arena_counts_and_aligns);
	TEST(arena_keeps_its_limit);
	TEST(arena_refuses);
	TEST(reserve_grows);
	TEST(reserve_grows_to_the_limit);
	TEST(reserve_survives_refusal);
	TEST(rng_is_xoshiro);
	TEST(seed_is_splitmix);
	TEST(streams_differ);
	TEST(below_is_uniform);
	TEST(uniform_has_its_moments);
	TEST(crc32c_is_rfc3720);
	TEST(hash_is_stable);
	TEST(hash_spreads);
	TEST(hash_fills_buckets);
	TEST(hash_tells_lengths_apart);
	return test_report();
}
