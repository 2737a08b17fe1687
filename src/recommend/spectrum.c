/*
 * spectrum.c
 *		The largest singular values of a sparse matrix and their vectors.
 *
 * Subspace iteration with Chebyshev polynomials of X'X as filters (Zhou, Saad,
 * Tiago and Chelikowsky 2006): they keep what belongs to eigenvalues in [0, b]
 * small, with b the least of the block's Ritz values, and raise the others.
 * A block of some vectors more than are wanted converges sooner.
 *
 * All is done on strips of PM_STRIP vectors, whose rows are contiguous: a
 * product with the sparse matrix reads two lines of the cache an element.
 */
#include "spectrum.h"

#include <math.h>
#include <string.h>

#include "pm_clones.h"
#include "pm_parallel.h"
#include "pm_rng.h"

/* Vectors beyond those wanted, at least. */
#define EXTRA 16

/* Rounds at most, and what a wanted value may change in the last one. */
#define MAX_ROUNDS 40
#define CONVERGED 2e-6

/* A filter's degree, at most, and how far it may part the values. */
#define MAX_DEGREE 8
#define MOST_PARTED 1e7

/* Of the largest value: what float cannot tell from 0, and the least bound. */
#define NO_VALUE 1e-6
#define LEAST_BOUND 1e-3

/* Rows of one task, and nanoseconds of an element and of a row. */
#define TASK_ROWS 32
#define ELEMENT_TIME 12.0
#define ROW_TIME 20.0

typedef float Eight __attribute__((vector_size(32)));

/* ---- products ------------------------------------------------------------------ */

typedef struct Applying
{
	const PmCsr *matrix;
	const float *in;			/* by the matrix's column */
	float	   *out;			/* by its row */
	const float *base;			/* what beta takes, as out */
	float		alpha;
	float		beta;
	float		gamma;
} Applying;

/* Rows [begin, end) of out. */
PM_INLINE void
apply_rows_body(const Applying *applying, int64_t begin, int64_t end)
{
	const PmCsr *matrix = applying->matrix;

	for (int64_t row = begin; row < end; row++)
	{
		float	   *out = applying->out + row * PM_STRIP;
		Eight		sum[4] = {{0}};

		for (int64_t i = matrix->offsets[row]; i < matrix->offsets[row + 1]; i++)
		{
			Eight		x[4];

			memcpy(x, applying->in + (size_t) matrix->indices[i] * PM_STRIP, sizeof(x));
			for (int k = 0; k < 4; k++)
				sum[k] += matrix->values[i] * x[k];
		}
		for (int k = 0; k < 4; k++)
			sum[k] *= applying->alpha;
		if (applying->beta != 0)
		{
			Eight		x[4];

			memcpy(x, applying->base + row * PM_STRIP, sizeof(x));
			for (int k = 0; k < 4; k++)
				sum[k] += applying->beta * x[k];
		}
		if (applying->gamma != 0)
		{
			Eight		x[4];

			memcpy(x, out, sizeof(x));
			for (int k = 0; k < 4; k++)
				sum[k] += applying->gamma * x[k];
		}
		memcpy(out, sum, sizeof(sum));
	}
}

PM_CLONES(apply_rows, (const Applying *applying, int64_t begin, int64_t end),
		  (applying, begin, end));

static void
apply_task(int64_t index, int lane, void *argument)
{
	const Applying *applying = argument;
	int64_t		end = (index + 1) * TASK_ROWS;

	(void) lane;
	apply_rows(applying, index * TASK_ROWS, end < applying->matrix->rows ? end : applying->matrix->rows);
}

/* One product with a sparse matrix. */
static PmStatus
apply(PmContext *ctx, Applying *applying)
{
	const PmCsr *matrix = applying->matrix;
	int64_t		tasks = ((int64_t) matrix->rows + TASK_ROWS - 1) / TASK_ROWS;

	if (tasks == 0)
		return PM_OK;
	return pm_parallel(ctx, "singular vectors", tasks,
					   ROW_TIME * TASK_ROWS + ELEMENT_TIME * (double) pm_csr_count(matrix) / (double) tasks,
					   apply_task, applying);
}

PmStatus
pm_spectrum_apply(PmContext *ctx, Spectrum *spectrum, const float *in,
				  float *out, float alpha, float beta, float gamma)
{
	Applying	there = {spectrum->matrix, in, spectrum->inner, NULL, 1, 0, 0};
	Applying	back = {spectrum->transposed, spectrum->inner, out, in, alpha, beta, gamma};

	PM_TRY(apply(ctx, &there));
	return apply(ctx, &back);
}

/* ---- iteration ------------------------------------------------------------------ */

/* The degree of the next filter: what it parts must stay within float. */
static int
choose_degree(double largest, double bound, int round)
{
	int			most = round < MAX_DEGREE ? round : MAX_DEGREE;
	double		growth = acosh(2 * largest / bound - 1);
	double		degree = acosh(MOST_PARTED) / growth;

	return degree < 1 ? 1 : degree < most ? (int) degree : most;
}

/*
 * T_degree((X'X - c) / c) of a strip, c = bound / 2, in place: T_1 from the
 * strip, then T_k+1 = 2 (X'X - c) / c T_k - T_k-1, all divided by
 * `shrink`^k so that the largest stays about 1.
 */
static PmStatus
filter_strip(PmContext *ctx, Spectrum *spectrum, float *strip, int degree,
			 double bound, double largest)
{
	size_t		length = (size_t) spectrum->rows * PM_STRIP;
	double		c = bound / 2;
	double		x = largest / c - 1;
	double		shrink = x + sqrt(x * x - 1);
	float	   *before = spectrum->spare[0];
	float	   *now = spectrum->spare[1];

	memcpy(before, strip, length * sizeof(float));
	PM_TRY(pm_spectrum_apply(ctx, spectrum, before, now, (float) (1 / (c * shrink)), (float) (-1 / shrink), 0));
	for (int k = 1; k < degree; k++)
	{
		float	   *swapped = before;

		PM_TRY(pm_spectrum_apply(ctx, spectrum, now, before, (float) (2 / (c * shrink)),
								 (float) (-2 / shrink), (float) (-1 / (shrink * shrink))));
		before = now;
		now = swapped;
	}
	memcpy(strip, now, length * sizeof(float));
	return PM_OK;
}

/* Each vector of length 1: the filter has left some of them small. */
static void
normalise_strip(int64_t strip, int lane, void *argument)
{
	Spectrum   *spectrum = argument;
	float	   *rows = spectrum->block + (size_t) strip * spectrum->rows * PM_STRIP;
	double		squares[PM_STRIP] = {0};
	float		scale[PM_STRIP];

	(void) lane;
	for (int64_t row = 0; row < spectrum->rows; row++)
		for (int i = 0; i < PM_STRIP; i++)
			squares[i] += (double) rows[row * PM_STRIP + i] * rows[row * PM_STRIP + i];
	for (int i = 0; i < PM_STRIP; i++)
		scale[i] = squares[i] > 0 ? (float) (1 / sqrt(squares[i])) : 0;
	for (int64_t row = 0; row < spectrum->rows; row++)
		for (int i = 0; i < PM_STRIP; i++)
			rows[row * PM_STRIP + i] *= scale[i];
}

/* Have the wanted values changed since the round before? */
static bool
settled(const Spectrum *spectrum, int32_t rank, const double *previous)
{
	for (int32_t i = 0; i < rank; i++)
		if (fabs(spectrum->values[i] - previous[i]) > CONVERGED * spectrum->values[0])
			return false;
	return true;
}

static PmStatus
iterate(PmContext *ctx, Spectrum *spectrum, int32_t rank, double *previous)
{
	for (int round = 1;; round++)
	{
		double		largest;
		double		bound;

		PM_TRY(pm_spectrum_ritz(ctx, spectrum));
		pm_progress(ctx, "singular vectors", (double) round / MAX_ROUNDS);
		largest = spectrum->values[0];
		bound = fmax(spectrum->values[spectrum->size - 1], LEAST_BOUND * largest);

		/* a block of all vectors has all there is */
		if (spectrum->size == spectrum->rows || !(largest > 0) || (round > 1 && settled(spectrum, rank, previous)) ||
			round == MAX_ROUNDS)
			return PM_OK;
		memcpy(previous, spectrum->values, (size_t) rank * sizeof(double));
		for (int32_t strip = 0; strip < spectrum->strips; strip++)
			PM_TRY(filter_strip(ctx, spectrum, spectrum->block + (size_t) strip * spectrum->rows * PM_STRIP,
								choose_degree(largest, bound, round), bound, largest));
		PM_TRY(pm_parallel(ctx, "singular vectors", spectrum->strips, 4.0 * PM_STRIP * spectrum->rows,
						   normalise_strip, spectrum));
	}
}

/* ---- begin and end ---------------------------------------------------------------- */

/*
 * Random numbers, or unit vectors where the block holds all; columns beyond
 * the block's size are 0 and stay so.
 */
static PmStatus
fill(PmContext *ctx, Spectrum *spectrum, uint64_t seed)
{
	bool		units = spectrum->size == spectrum->rows;

	for (int32_t strip = 0; strip < spectrum->strips; strip++)
	{
		float	   *rows = spectrum->block + (size_t) strip * spectrum->rows * PM_STRIP;
		int32_t		count = spectrum->size - strip * PM_STRIP < PM_STRIP ? spectrum->size - strip * PM_STRIP : PM_STRIP;
		PmRng		rng;

		pm_rng_seed(&rng, seed, (uint64_t) strip);
		for (int64_t row = 0; row < spectrum->rows; row++)
		{
			if (row % 65536 == 0 && pm_interrupted(ctx))
				return pm_fail(ctx, PM_CANCELLED, "singular vectors were cancelled");
			for (int32_t i = 0; i < PM_STRIP; i++)
				rows[row * PM_STRIP + i] = units ? row == strip * PM_STRIP + i :
					i < count ? (float) (pm_rng_uniform(&rng) - 0.5) : 0;
		}
	}
	return PM_OK;
}

static PmStatus
open_spectrum(PmContext *ctx, Spectrum *spectrum)
{
	size_t		strip = PM_STRIP * sizeof(float);
	size_t		rows = (size_t) spectrum->rows;
	size_t		size = (size_t) spectrum->size;

	PM_TRY(pm_alloc(ctx, "singular vectors", rows, spectrum->strips * strip, &spectrum->block));
	PM_TRY(pm_alloc(ctx, "singular vectors", (size_t) spectrum->matrix->rows, strip, &spectrum->inner));
	PM_TRY(pm_alloc(ctx, "singular vectors", rows, strip, &spectrum->spare[0]));
	PM_TRY(pm_alloc(ctx, "singular vectors", rows, strip, &spectrum->spare[1]));
	PM_TRY(pm_alloc(ctx, "singular values", size, size * sizeof(double), &spectrum->gram));
	PM_TRY(pm_alloc(ctx, "singular values", size, size * sizeof(double), &spectrum->image));
	PM_TRY(pm_alloc(ctx, "singular values", size, sizeof(double), &spectrum->values));
	PM_TRY(pm_alloc(ctx, "singular values", size, spectrum->strips * strip, &spectrum->turn));
	return pm_alloc(ctx, "singular values", size, sizeof(bool), &spectrum->dropped);
}

/* The wanted vectors, row by row. */
static PmStatus
copy_vectors(PmContext *ctx, const Spectrum *spectrum, int32_t rank,
			 double *values, float *vectors)
{
	double		least = NO_VALUE * spectrum->values[0];

	for (int32_t i = 0; i < rank; i++)
		values[i] = i < spectrum->size && spectrum->values[i] > least ? spectrum->values[i] : 0;
	for (int64_t row = 0; row < spectrum->rows; row++)
	{
		if (row % 16384 == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "singular vectors were cancelled");
		for (int32_t i = 0; i < rank; i++)
			vectors[row * rank + i] = values[i] == 0 ? 0 :
				spectrum->block[((i / PM_STRIP) * (size_t) spectrum->rows + row) * PM_STRIP + i % PM_STRIP];
	}
	return PM_OK;
}

static PmStatus
find(PmContext *ctx, Spectrum *spectrum, int32_t rank, uint64_t seed,
	 double *values, float *vectors)
{
	double	   *previous;
	PmStatus	status;

	PM_TRY(open_spectrum(ctx, spectrum));
	PM_TRY(fill(ctx, spectrum, seed));
	PM_TRY(pm_alloc_zero(ctx, "singular values", (size_t) spectrum->size + (size_t) rank, sizeof(double), &previous));
	status = iterate(ctx, spectrum, rank < spectrum->size ? rank : spectrum->size, previous);
	pm_release(ctx, previous);
	PM_TRY(status);
	return copy_vectors(ctx, spectrum, rank, values, vectors);
}

PmStatus
pm_spectrum(PmContext *ctx, const PmCsr *matrix, const PmCsr *transposed,
			int32_t rank, uint64_t seed, double *values, float *vectors)
{
	Spectrum	spectrum = {.matrix = matrix,.transposed = transposed,.rows = matrix->columns};
	int64_t		wanted = ((int64_t) rank + EXTRA + PM_STRIP - 1) / PM_STRIP * PM_STRIP;
	PmStatus	status;

	if (matrix->columns == 0)
	{
		memset(values, 0, (size_t) rank * sizeof(double));
		return PM_OK;
	}
	spectrum.size = wanted < matrix->columns ? (int32_t) wanted : matrix->columns;
	spectrum.strips = (spectrum.size + PM_STRIP - 1) / PM_STRIP;
	status = find(ctx, &spectrum, rank, seed, values, vectors);
	pm_release(ctx, spectrum.block);
	pm_release(ctx, spectrum.inner);
	pm_release(ctx, spectrum.spare[0]);
	pm_release(ctx, spectrum.spare[1]);
	pm_release(ctx, spectrum.gram);
	pm_release(ctx, spectrum.image);
	pm_release(ctx, spectrum.values);
	pm_release(ctx, spectrum.turn);
	pm_release(ctx, spectrum.dropped);
	return status;
}
