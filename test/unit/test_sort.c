/*
 * test_sort.c
 *		Sorting, against qsort() and by counting what went in.
 */
#include "pm_sort.h"

#include <stdlib.h>

#include "fault_device.h"
#include "pm_arena.h"
#include "pm_rng.h"
#include "test.h"

#define PIECE 32768				/* that of sort.c */

static int
compare_words(const void *left, const void *right)
{
	uint64_t	a = *(const uint64_t *) left;
	uint64_t	b = *(const uint64_t *) right;

	return (a > b) - (a < b);
}

/* Three bytes, of which the middle one counts. */
static int
compare_triples(const void *left, const void *right)
{
	return ((const unsigned char *) left)[1] - ((const unsigned char *) right)[1];
}

/* Random words below a limit, so that there are ties. */
static uint64_t *
make_words(size_t count, uint64_t limit)
{
	uint64_t   *words = malloc((count + 1) * sizeof(uint64_t));
	PmRng		rng;

	pm_rng_seed(&rng, count, limit);
	for (size_t i = 0; i < count; i++)
		words[i] = pm_rng_below(&rng, (uint32_t) limit);
	return words;
}

static void
as_qsort_does(void)
{
	static const size_t counts[] = {0, 1, 2, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE,
	2 * PIECE + 1, 3 * PIECE, 5 * PIECE + 7, 8 * PIECE};
	static const uint64_t limits[] = {1, 3, 1000, 4000000000};

	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++)
		{
			uint64_t   *words = make_words(counts[c], limits[l]);
			uint64_t   *expected = make_words(counts[c], limits[l]);
			PmContext	ctx;

			fault_context(&ctx, NULL, 0, 1, NULL);
			qsort(expected, counts[c], sizeof(uint64_t), compare_words);
			CHECK_INT(pm_sort(&ctx, words, counts[c], sizeof(uint64_t), compare_words), PM_OK);
			CHECK_CASE(memcmp(words, expected, counts[c] * sizeof(uint64_t)) == 0,
					   "%zu words below %llu", counts[c], (unsigned long long) limits[l]);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			free(words);
			free(expected);
		}
}

/* Elements move as a whole: each one that went in comes out. */
static void
odd_sizes(void)
{
	size_t		count = 3 * PIECE + 11;
	unsigned char *triples = malloc(3 * count);
	long		before[256] = {0};
	long		after[256] = {0};
	PmRng		rng;
	PmContext	ctx;

	pm_rng_seed(&rng, 1, 2);
	for (size_t i = 0; i < count; i++)
	{
		triples[3 * i] = (unsigned char) pm_rng_below(&rng, 256);
		triples[3 * i + 1] = (unsigned char) (triples[3 * i] * 7);
		triples[3 * i + 2] = (unsigned char) (255 - triples[3 * i]);
		before[triples[3 * i]]++;
	}
	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_INT(pm_sort(&ctx, triples, count, 3, compare_triples), PM_OK);
	for (size_t i = 0; i < count; i++)
	{
		const unsigned char *triple = triples + 3 * i;

		after[triple[0]]++;
		if (triple[1] != (unsigned char) (triple[0] * 7) || triple[2] != 255 - triple[0] ||
			(i > 0 && triple[-2] > triple[1]))
		{
			TEST_FAIL("element %zu is %d %d %d", i, triple[0], triple[1], triple[2]);
			break;
		}
	}
	CHECK(memcmp(before, after, sizeof(before)) == 0);
	pm_arena_destroy(ctx.arena);
	free(triples);
}

static void
cancelled_anywhere(void)
{
	size_t		count = 4 * PIECE;

	for (long at = 1;; at++)
	{
		uint64_t   *words = make_words(count, 1000);
		FaultHost	host = {0, at};
		PmContext	ctx;
		PmStatus	status;

		fault_context(&ctx, NULL, 0, 1, &host);
		status = pm_sort(&ctx, words, count, sizeof(uint64_t), compare_words);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
		free(words);
		if (status == PM_OK)
		{
			CHECK(at > 8);
			return;
		}
		CHECK_INT(status, PM_CANCELLED);
	}
}

static void
out_of_memory(void)
{
	uint64_t   *words = make_words(2 * PIECE, 1000);
	PmContext	ctx;

	fault_context(&ctx, NULL, 1000, 1, NULL);
	CHECK_INT(pm_sort(&ctx, words, 2 * PIECE, sizeof(uint64_t), compare_words), PM_MEMORY_LIMIT);
	pm_arena_destroy(ctx.arena);
	free(words);
}

int
main(void)
{
	TEST(as_qsort_does);
	TEST(odd_sizes);
	TEST(cancelled_anywhere);
	TEST(out_of_memory);
	return test_report();
}
