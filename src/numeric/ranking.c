/*
 * ranking.c
 *		A stable radix sort of 64-bit keys, 11 bits a pass.
 *
 * Digits are counted in one pass beforehand, so that one which all keys share
 * costs nothing: the upper half of a key made of a float, or the lowest bits
 * of doubles that were floats.
 */
#include "pm_ranking.h"

#include "pm_arena.h"

#define CHECK_ROWS (1 << 20)
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)
#define PASSES 6				/* 64 bits / 11, rounded up */
#define FEW 64					/* rows that are sorted by insertion */

static inline int
digit(uint64_t key, int pass)
{
	return (int) (key >> (pass * DIGIT_BITS)) & (DIGITS - 1);
}

/* Sort a few rows where they are. */
static void
sort_few(PmRanked *ranked, int64_t n)
{
	for (int64_t i = 1; i < n; i++)
	{
		PmRanked	moving = ranked[i];
		int64_t		j = i;

		for (; j > 0 && ranked[j - 1].key > moving.key; j--)
			ranked[j] = ranked[j - 1];
		ranked[j] = moving;
	}
}

/* How often each digit of each pass occurs. */
static PmStatus
count_digits(PmContext *ctx, int64_t n, const PmRanked *ranked,
			 int64_t (*counts)[DIGITS])
{
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "ranking was cancelled");
		for (int pass = 0; pass < PASSES; pass++)
			counts[pass][digit(ranked[i].key, pass)]++;
	}
	return PM_OK;
}

/* One pass; counts become the places after each digit's last row. */
static PmStatus
sort_pass(PmContext *ctx, int64_t n, const PmRanked *from, PmRanked *to,
		  int pass, int64_t *counts)
{
	int64_t		before = 0;

	for (int d = 0; d < DIGITS; d++)
	{
		int64_t		count = counts[d];

		counts[d] = before;
		before += count;
	}
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "ranking was cancelled");
		to[counts[digit(from[i].key, pass)]++] = from[i];
	}
	return PM_OK;
}

/* Sort *from by way of *to; where the rows end up is *from. */
static PmStatus
sort_passes(PmContext *ctx, int64_t n, PmRanked **from, PmRanked **to,
			int64_t (*counts)[DIGITS])
{
	PM_TRY(count_digits(ctx, n, *from, counts));
	for (int pass = 0; pass < PASSES; pass++)
	{
		PmRanked   *sorted = *to;

		if (counts[pass][digit((*from)[0].key, pass)] == n)
			continue;
		PM_TRY(sort_pass(ctx, n, *from, *to, pass, counts[pass]));
		*to = *from;
		*from = sorted;
	}
	return PM_OK;
}

PmStatus
pm_rank_sort(PmContext *ctx, int64_t n, PmRanked **ranked)
{
	PmRanked   *to = NULL;
	int64_t		(*counts)[DIGITS] = NULL;
	PmStatus	status;

	if (n <= FEW)
	{
		sort_few(*ranked, n);
		return PM_OK;
	}
	status = pm_alloc(ctx, "the ranking", n, sizeof(PmRanked), &to);
	if (status == PM_OK)
		status = pm_alloc_zero(ctx, "the ranking", PASSES, sizeof(*counts), &counts);
	if (status == PM_OK)
		status = sort_passes(ctx, n, ranked, &to, counts);
	pm_release(ctx, to);
	pm_release(ctx, counts);
	return status;
}
