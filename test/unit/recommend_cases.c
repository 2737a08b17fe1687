/*
 * recommend_cases.c
 *		See recommend_cases.h.
 */
#include "recommend_cases.h"

#include <stdlib.h>
#include <string.h>

#include "kmeans_cases.h"
#include "pm_rng.h"

PmCsr
interactions_random(int32_t users, int32_t items, double share, bool counts,
					uint64_t seed)
{
	PmCsr		matrix = {.rows = users,.columns = items};
	PmRng		rng;
	int64_t		count = 0;

	pm_rng_seed(&rng, seed, 0);
	matrix.offsets = malloc(((size_t) users + 1) * sizeof(int64_t));
	matrix.indices = malloc((size_t) users * items * sizeof(int32_t) + 1);
	matrix.values = malloc((size_t) users * items * sizeof(float) + 1);
	for (int32_t user = 0; user < users; user++)
	{
		matrix.offsets[user] = count;
		for (int32_t item = 0; item < items && user % 5 != 2; item++)
		{
			/* popular ones among the first; groups of a taste */
			double		chance = share * (0.3 + 3.0 / (1 + item % 7)) *
				(item % 3 == user % 3 ? 1.5 : 0.5);

			if (pm_rng_uniform(&rng) >= chance)
				continue;
			matrix.indices[count] = item;
			matrix.values[count++] = counts ? (float) (1 + pm_rng_below(&rng, 4)) : 1;
		}
	}
	matrix.offsets[users] = count;
	return matrix;
}

void
interactions_free(PmCsr *matrix)
{
	free(matrix->offsets);
	free(matrix->indices);
	free(matrix->values);
}

double *
interactions_dense(const PmCsr *matrix)
{
	double	   *dense = calloc((size_t) matrix->rows * matrix->columns + 1, sizeof(double));

	for (int32_t row = 0; row < matrix->rows; row++)
		for (int64_t i = matrix->offsets[row]; i < matrix->offsets[row + 1]; i++)
			dense[(size_t) row * matrix->columns + matrix->indices[i]] = matrix->values[i];
	return dense;
}

PmDevice *
recommend_device(void)
{
	static PmDevice devices[2];
	static int	count;

	if (count == 0)
		count = test_devices(devices, 2);
	return &devices[count - 1];
}

bool
same_csr(const PmCsr *a, const PmCsr *b)
{
	size_t		count;

	if (a->rows != b->rows || a->columns != b->columns ||
		memcmp(a->offsets, b->offsets, ((size_t) a->rows + 1) * sizeof(int64_t)) != 0)
		return false;
	count = (size_t) pm_csr_count(a);
	return memcmp(a->indices, b->indices, count * sizeof(int32_t)) == 0 &&
		memcmp(a->values, b->values, count * sizeof(float)) == 0;
}
