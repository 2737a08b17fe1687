/*
 * kmeans_model.c
 *		A k-means model read back, and one row scored.
 */
#include "pm_kmeans_model.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "pm_bytes.h"

/* Numbers that scoring relies on. */
static PmStatus
check_values(PmContext *ctx, const PmKMeansModel *model)
{
	size_t		cells = (size_t) model->k * model->d;

	for (size_t i = 0; i < cells; i++)
		if (!isfinite(model->centroids[i]))
			return pm_corrupt(ctx, "a centroid is not finite");
	for (int j = 0; j < model->k; j++)
		if (!isfinite(model->weights[j]) || !isfinite(model->radius[j]) ||
			model->weights[j] < 0 || model->radius[j] < 0 || model->counts[j] < 0)
			return pm_corrupt(ctx, "a cluster's size or radius is negative or not finite");
	if (!(model->evaluation[PM_EVAL_ITERATIONS] >= 0 &&
		  model->evaluation[PM_EVAL_ITERATIONS] <= INT_MAX))
		return pm_corrupt(ctx, "its number of iterations is out of range");
	return PM_OK;
}

/*
 * Centroids in blocks, by feature within each, so that scoring a row keeps a
 * block's distances in registers.  A last block is filled up with the last
 * centroid, which as the one of the lowest index wins over its copies,
 * whatever the row holds.
 */
static PmStatus
make_blocks(PmContext *ctx, PmKMeansModel *model)
{
	size_t		blocks = (model->k + PM_KMEANS_BLOCK - 1) / PM_KMEANS_BLOCK;

	PM_TRY(pm_alloc(ctx, "the model", blocks * model->d,
					PM_KMEANS_BLOCK * sizeof(float), &model->blocks));
	for (size_t j = 0; j < blocks * PM_KMEANS_BLOCK; j++)
	{
		float	   *block = model->blocks +
			j / PM_KMEANS_BLOCK * model->d * PM_KMEANS_BLOCK;
		size_t		cluster = j < (size_t) model->k ? j : (size_t) model->k - 1;

		for (int f = 0; f < model->d; f++)
			block[(size_t) f * PM_KMEANS_BLOCK + j % PM_KMEANS_BLOCK] =
				model->centroids[cluster * model->d + f];
	}
	return PM_OK;
}

PmStatus
pm_kmeans_model_open(PmContext *ctx, const PmModel *container, void **result)
{
	PmKMeansModel *model;
	const PmSection *section;
	int64_t		k;

	PM_TRY(pm_alloc_zero(ctx, "the model", 1, sizeof(PmKMeansModel), &model));
	PM_TRY(pm_model_section(ctx, container, "schema", PM_SECTION_BYTES, -1, -1, &section));
	PM_TRY(pm_schema_read(ctx, section->data, section->length, &model->schema));
	if (model->schema->shift == NULL)
		return pm_corrupt(ctx, "its features have no scales");
	model->d = model->schema->feature_count;
	PM_TRY(pm_model_section(ctx, container, "centroids", PM_SECTION_FLOAT32, -1, model->d, &section));
	if (model->d < 1 || section->dims[0] < 1 || section->dims[0] > INT_MAX / 2)
		return pm_corrupt(ctx, "it has no centroids");
	k = (int64_t) section->dims[0];
	model->k = (int) k;
	model->centroids = section->data;
	PM_TRY(pm_model_section(ctx, container, "metric", PM_SECTION_INT32, 1, 1, &section));
	model->metric = *(const int32_t *) section->data;
	if (model->metric != PM_METRIC_EUCLIDEAN && model->metric != PM_METRIC_COSINE)
		return pm_corrupt(ctx, "its metric is unknown");
	PM_TRY(pm_model_section(ctx, container, "weights", PM_SECTION_FLOAT64, k, 1, &section));
	model->weights = section->data;
	PM_TRY(pm_model_section(ctx, container, "counts", PM_SECTION_INT64, k, 1, &section));
	model->counts = section->data;
	PM_TRY(pm_model_section(ctx, container, "radius", PM_SECTION_FLOAT64, k, 1, &section));
	model->radius = section->data;
	PM_TRY(pm_model_section(ctx, container, "evaluation", PM_SECTION_FLOAT64, PM_EVAL_COUNT, 1, &section));
	model->evaluation = section->data;
	PM_TRY(check_values(ctx, model));
	PM_TRY(make_blocks(ctx, model));
	*result = model;
	return PM_OK;
}

double
pm_kmeans_metric_distance(PmKMeansMetric metric, const float *row, int d,
						  double squared)
{
	if (metric == PM_METRIC_EUCLIDEAN)
		return sqrt(squared);
	for (int f = 0; f < d; f++)
		if (row[f] != 0)
			return squared / 2; /* |x - c|^2 = 2 - 2 cos for length 1 */
	return 1;
}

typedef float Block __attribute__((vector_size(PM_KMEANS_BLOCK * sizeof(float))));
typedef int32_t Lanes __attribute__((vector_size(PM_KMEANS_BLOCK * sizeof(int32_t))));

/* Squared distances of a row to the centroids of a block. */
static inline Block
block_distances(const float *block, const float *row, int d)
{
	Block		squared = {0};

	for (int f = 0; f < d; f++, block += PM_KMEANS_BLOCK)
	{
		Block		difference;

		memcpy(&difference, block, sizeof(difference));
		difference -= row[f];
		squared += difference * difference;
	}
	return squared;
}

/*
 * The least lane, the lowest index among equals.  Bits of floats that are not
 * negative order as integers do, so one integer holds distance and index and
 * no branch has to be guessed.
 */
static inline int
least_lane(Block squared, Lanes index, float *least)
{
	uint64_t	best = UINT64_MAX;
	uint32_t	bits;

	for (int lane = 0; lane < PM_KMEANS_BLOCK; lane++)
	{
		float		value = squared[lane];
		uint64_t	key;

		memcpy(&bits, &value, sizeof(bits));
		key = (uint64_t) bits << 32 | (uint32_t) index[lane];
		best = key < best ? key : best;
	}
	bits = (uint32_t) (best >> 32);
	memcpy(least, &bits, sizeof(bits));
	return (int) (uint32_t) best;
}

int
pm_kmeans_model_nearest(const PmKMeansModel *model, float *row,
						double *distance)
{
	size_t		block_size = (size_t) model->d * PM_KMEANS_BLOCK;
	const float *block = model->blocks;
	Lanes		index = {0, 1, 2, 3};
	Lanes		nearest = index;
	Block		best;
	float		squared;
	int			cluster;

	if (model->metric == PM_METRIC_COSINE)
		pm_kmeans_normalise(row, 1, model->d);
	best = block_distances(block, row, model->d);
	for (int first = PM_KMEANS_BLOCK; first < model->k; first += PM_KMEANS_BLOCK)
	{
		Block		distances;
		Lanes		less;

		block += block_size;
		index += PM_KMEANS_BLOCK;
		distances = block_distances(block, row, model->d);
		less = distances < best;
		best = (Block) (((Lanes) distances & less) | ((Lanes) best & ~less));
		nearest = (index & less) | (nearest & ~less);
	}
	cluster = least_lane(best, nearest, &squared);
	*distance = pm_kmeans_metric_distance(model->metric, row, model->d, squared);
	return cluster;
}
