/*
 * kmeans_distinct.c
 *		Rows distinct in content: counting them and drawing them.
 *
 * Content is compared as numbers, so that 0 and -0 are one value.  The hash
 * only finds candidates; equality is decided by comparing.
 */
#include "kmeans_internal.h"

#include "pm_hash.h"

/* Elements to hash between two looks for interrupts. */
#define ELEMENTS_BETWEEN_CHECKS 4000000

/* Make room for `capacity` rows. */
PmStatus
pm_kmeans_set_open(PmContext *ctx, int capacity, int d, KMeansRowSet *set)
{
	size_t		slots = 16;
	PmStatus	status;

	while (slots < 2 * (size_t) capacity)
		slots *= 2;
	memset(set, 0, sizeof(*set));
	set->d = d;
	set->mask = slots - 1;
	status = pm_alloc_zero(ctx, "set of distinct rows", slots,
						   sizeof(*set->slots), &set->slots);
	if (status == PM_OK)
		status = pm_alloc(ctx, "row of a set", (size_t) d, sizeof(float),
						  &set->scratch);
	if (status != PM_OK)
		pm_kmeans_set_close(ctx, set);
	return status;
}

/* Give back what a set holds; one that failed to open is allowed. */
void
pm_kmeans_set_close(PmContext *ctx, KMeansRowSet *set)
{
	pm_release(ctx, set->slots);
	pm_release(ctx, set->scratch);
	memset(set, 0, sizeof(*set));
}

/* Are two rows equal as numbers? */
static bool
same_row(const float *a, const float *b, int d)
{
	for (int j = 0; j < d; j++)
		if (a[j] != b[j])
			return false;
	return true;
}

/* Add a row; false when the set has its content already. */
bool
pm_kmeans_set_add(KMeansRowSet *set, const float *row)
{
	size_t		slot;

	/* adding 0 turns -0 into 0 and changes nothing else */
	for (int j = 0; j < set->d; j++)
		set->scratch[j] = row[j] + 0.0f;
	slot = (size_t) pm_hash64(0, set->scratch,
							  (size_t) set->d * sizeof(float)) & set->mask;
	while (set->slots[slot] != NULL)
	{
		if (same_row(set->slots[slot], row, set->d))
			return false;
		slot = (slot + 1) & set->mask;
	}
	set->slots[slot] = row;
	return true;
}

/*
 * Add rows start, start + 1, ... in a circle until `wanted` were new.  A row
 * equal to the one before it is not hashed: the caller's order brings equal
 * rows together.
 */
static PmStatus
add_in_order(PmContext *ctx, const PmKMeansRows *rows, int64_t start,
			 int wanted, KMeansRowSet *set, float *copies, int *added)
{
	int64_t		stride = ELEMENTS_BETWEEN_CHECKS / rows->d + 1;
	const float *previous = NULL;

	*added = 0;
	for (int64_t i = 0; i < rows->n && *added < wanted; i++)
	{
		const float *row = pm_kmeans_row(rows, i < rows->n - start ?
										 start + i : i - (rows->n - start));

		if (i % stride == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
		if (previous != NULL && same_row(row, previous, rows->d))
			continue;
		previous = row;
		if (!pm_kmeans_set_add(set, row))
			continue;
		if (copies != NULL)
			memcpy(copies + (size_t) *added * rows->d, row,
				   (size_t) rows->d * sizeof(float));
		(*added)++;
	}
	return PM_OK;
}

/* Count distinct rows, but no further than `enough`. */
PmStatus
pm_kmeans_count_distinct(PmContext *ctx, const PmKMeansRows *rows, int enough,
						 int *count)
{
	KMeansRowSet set;
	PmStatus	status;

	PM_TRY(pm_kmeans_set_open(ctx, enough, rows->d, &set));
	status = add_in_order(ctx, rows, 0, enough, &set, NULL, count);
	pm_kmeans_set_close(ctx, &set);
	return status;
}

/* Draw rows until k are there; few draws fail unless most rows are equal. */
static int
draw_distinct(const PmKMeansRows *rows, int k, int have, PmRng *rng,
			  KMeansRowSet *set, float *centroids)
{
	size_t		d = (size_t) rows->d;

	for (int64_t tries = 0; tries < 4 * (int64_t) k + 100 && have < k; tries++)
	{
		int64_t		i = (int64_t) pm_rng_below(rng, (uint64_t) rows->n);
		const float *row = pm_kmeans_row(rows, i);

		if (pm_kmeans_set_add(set, row))
			memcpy(centroids + d * have++, row, d * sizeof(float));
	}
	return have;
}

/* Fill centroids [have, k) with random rows, distinct from all others. */
PmStatus
pm_kmeans_fill_distinct(PmContext *ctx, const PmKMeansRows *rows, int k,
						int have, PmRng *rng, float *centroids)
{
	KMeansRowSet set;
	PmStatus	status;
	int64_t		start;
	int			added;

	if (have == k)
		return PM_OK;
	PM_TRY(pm_kmeans_set_open(ctx, k, rows->d, &set));
	for (int c = 0; c < have; c++)
		(void) pm_kmeans_set_add(&set, centroids + (size_t) c * rows->d);
	have = draw_distinct(rows, k, have, rng, &set, centroids);
	start = (int64_t) pm_rng_below(rng, (uint64_t) rows->n);
	status = add_in_order(ctx, rows, start, k - have, &set,
						  centroids + (size_t) have * rows->d, &added);
	pm_kmeans_set_close(ctx, &set);
	if (status == PM_OK && have + added < k)
		return pm_fail(ctx, PM_INVALID, "k = %d is more than the %d distinct rows",
					   k, have + added);
	return status;
}
