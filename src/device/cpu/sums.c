/*
 * sums.c
 *		Weighted sums of rows by cluster, exact in any order.
 *
 * Sums are kept as 64-bit integers, in units chosen by column so that no sum
 * can overflow: about 62 - log2(n) bits for the largest value.  Integer
 * addition is associative, so the result does not depend on which thread
 * adds which rows when, and a row that leaves a cluster leaves no rounding
 * error behind: only rows whose label changes need to be touched.
 *
 * Where a column's values differ so much in size that these units are coarse
 * for the smaller ones, a second table takes the fractions that the first
 * loses.
 */
#include "cpu.h"

#include <float.h>
#include <math.h>
#include <pthread.h>

/* Rows over which the largest values of a column are compared. */
#define SPAN 1024

/* Bits of a single value: what ROUNDER of kernel.h leaves exact. */
#define MOST_BITS 50

/* Largest values 2^16 times those elsewhere: use the second table. */
#define UNEVEN 0x1p16f

/* Tables may take this fraction of the rows' bytes. */
#define TABLE_SHARE 0.06

/* Sums of one table; lanes share tables when there are many. */
typedef struct Table
{
	pthread_mutex_t lock;
	int64_t    *sums;			/* k * d */
	int64_t    *fine;			/* k * d, or NULL */
	int64_t    *counts;			/* k */
	int64_t    *weights;		/* k, or NULL when not weighted */
} Table;

struct PmCpuSums
{
	PmLloydRows rows;
	int			tables;
	Table	   *table;
	double	   *scale;			/* d: units in 1 */
	double		weight_scale;
	double		fine;			/* fine units in a unit; 0 = none */
};

/* Largest sizes of the values of a range of rows, by column. */
typedef struct Survey
{
	const PmLloydRows *rows;
	float	   *largest;		/* lanes * (d + 1): the last for weights */
	float	   *smallest;		/* likewise: the least, but 0, of a span's
								 * largest */
	float	   *span;			/* likewise: of the span at hand */
} Survey;

/* Survey one span of rows. */
static void
survey_span(int64_t index, int lane, void *argument)
{
	Survey	   *survey = argument;
	const PmLloydRows *rows = survey->rows;
	int			d = rows->d;
	float	   *largest = survey->largest + (size_t) lane * (d + 1);
	float	   *smallest = survey->smallest + (size_t) lane * (d + 1);
	float	   *span = survey->span + (size_t) lane * (d + 1);
	int64_t		begin = index * SPAN;
	int64_t		end = begin + SPAN < rows->n ? begin + SPAN : rows->n;

	memset(span, 0, (size_t) (d + 1) * sizeof(float));
	for (int64_t i = begin; i < end; i++)
	{
		const float *x = rows->x + (size_t) i * d;
		float		weight = rows->weights == NULL ? 1.0f : rows->weights[i];

		for (int j = 0; j < d; j++)
		{
			float		size = fabsf(x[j] * weight);

			span[j] = size > span[j] ? size : span[j];
		}
		span[d] = weight > span[d] ? weight : span[d];
	}
	for (int j = 0; j <= d; j++)
	{
		largest[j] = span[j] > largest[j] ? span[j] : largest[j];
		if (span[j] > 0)
			smallest[j] = span[j] < smallest[j] ? span[j] : smallest[j];
	}
}

/* 2 to the power that gives values up to `largest` at most `bits` bits. */
static double
scale_for(float largest, int bits)
{
	int			exponent;

	if (!(largest > 0))
		return 1.0;
	/* the product of value and weight may fit into a double only */
	if (largest > FLT_MAX)
		exponent = 2 * FLT_MAX_EXP;
	else
		frexp((double) largest * 1.001, &exponent);
	return ldexp(1.0, bits - exponent);
}

/* Look at all rows once and choose the units. */
static PmStatus
choose_units(PmContext *ctx, PmCpuSums *sums)
{
	const PmLloydRows *rows = &sums->rows;
	size_t		columns = (size_t) rows->d + 1;
	size_t		size = columns * (size_t) ctx->threads;
	int64_t		spans = (rows->n + SPAN - 1) / SPAN;
	int64_t		batch = 1 + (int64_t) (3e7 / ((double) SPAN * rows->d));
	int			bits = MOST_BITS;
	Survey		survey = {.rows = rows};

	PM_TRY(pm_alloc_zero(ctx, "sizes of columns", 3 * size, sizeof(float),
						 &survey.largest));
	survey.smallest = survey.largest + size;
	survey.span = survey.smallest + size;
	for (size_t i = 0; i < size; i++)
		survey.smallest[i] = INFINITY;
	for (int64_t first = 0; first < spans; first += batch)
	{
		int64_t		count = spans - first < batch ? spans - first : batch;
		PmLloydRows part = *rows;

		if (pm_interrupted(ctx))
		{
			pm_release(ctx, survey.largest);
			return pm_fail(ctx, PM_CANCELLED, "k-means was cancelled");
		}
		part.x += (size_t) first * SPAN * rows->d;
		part.weights = rows->weights == NULL ? NULL : rows->weights + first * SPAN;
		part.n = rows->n - first * SPAN;
		if (part.n > count * SPAN)
			part.n = count * SPAN;
		survey.rows = &part;
		pm_cpu_parallel_for(ctx, count, survey_span, &survey);
	}
	for (int t = 1; t < ctx->threads; t++)
		for (size_t j = 0; j < columns; j++)
		{
			survey.largest[j] = fmaxf(survey.largest[j], survey.largest[t * columns + j]);
			survey.smallest[j] = fminf(survey.smallest[j], survey.smallest[t * columns + j]);
		}
	while (bits > 1 && ldexp((double) rows->n + 1, bits) > 0x1p62)
		bits--;
	for (int j = 0; j < rows->d; j++)
	{
		sums->scale[j] = scale_for(survey.largest[j], bits);
		if (survey.largest[j] > UNEVEN * survey.smallest[j])
			sums->fine = ldexp(1.0, bits);
	}
	sums->weight_scale = scale_for(survey.largest[rows->d], bits);
	if (survey.largest[rows->d] > UNEVEN * survey.smallest[rows->d])
		sums->fine = ldexp(1.0, bits);
	pm_release(ctx, survey.largest);
	return PM_OK;
}

/* How many tables: one a lane, if the memory they take is in proportion. */
static int
choose_tables(PmContext *ctx, const PmLloydRows *rows)
{
	double		room = TABLE_SHARE * 4 * (double) rows->n / (8 * (double) rows->k);

	if (room >= ctx->threads)
		return ctx->threads;
	return room > 1 ? (int) room : 1;
}

/* Empty sums of the rows of a run. */
PmStatus
pm_cpu_sums_open(PmContext *ctx, const PmLloydRows *rows, PmCpuSums **out)
{
	PmCpuSums  *sums;
	size_t		k = (size_t) rows->k;
	size_t		size = k * (size_t) rows->d;

	PM_TRY(pm_alloc_zero(ctx, "sums", 1, sizeof(PmCpuSums), out));
	sums = *out;
	sums->rows = *rows;
	PM_TRY(pm_alloc(ctx, "units of sums", (size_t) rows->d, sizeof(double),
					&sums->scale));
	PM_TRY(choose_units(ctx, sums));
	sums->tables = choose_tables(ctx, rows);
	PM_TRY(pm_alloc_zero(ctx, "tables of sums", (size_t) sums->tables,
						 sizeof(Table), &sums->table));
	for (int t = 0; t < sums->tables; t++)
	{
		Table	   *table = &sums->table[t];

		pthread_mutex_init(&table->lock, NULL);
		PM_TRY(pm_alloc_zero(ctx, "sums of clusters", size, sizeof(int64_t),
							 &table->sums));
		PM_TRY(pm_alloc_zero(ctx, "sizes of clusters", k, sizeof(int64_t),
							 &table->counts));
		if (rows->weights != NULL)
			PM_TRY(pm_alloc_zero(ctx, "weights of clusters", 2 * k,
								 sizeof(int64_t), &table->weights));
		if (sums->fine > 0)
			PM_TRY(pm_alloc_zero(ctx, "fractions of sums", size,
								 sizeof(int64_t), &table->fine));
	}
	return PM_OK;
}

/* Give the memory back; NULL is allowed, and sums half opened. */
void
pm_cpu_sums_close(PmContext *ctx, PmCpuSums *sums)
{
	if (sums == NULL)
		return;
	for (int t = 0; sums->table != NULL && t < sums->tables; t++)
	{
		pm_release(ctx, sums->table[t].sums);
		pm_release(ctx, sums->table[t].counts);
		pm_release(ctx, sums->table[t].weights);
		pm_release(ctx, sums->table[t].fine);
	}
	pm_release(ctx, sums->table);
	pm_release(ctx, sums->scale);
	pm_release(ctx, sums);
}

/* Move one row from a cluster (none when negative) to another. */
static void
move_row(PmCpuSums *sums, Table *table, int64_t row, int32_t from, int32_t to)
{
	int			d = sums->rows.d;
	const float *x = sums->rows.x + (size_t) row * d;
	double		weight = sums->rows.weights == NULL ? 1.0 : sums->rows.weights[row];
	int64_t    *target = table->sums + (size_t) to * d;
	int64_t    *origin = from < 0 ? NULL : table->sums + (size_t) from * d;

	if (sums->fine > 0)
		pm_cpu_kernels->move_fine(x, weight, sums->scale, sums->fine, d,
								  origin, target,
								  from < 0 ? NULL : table->fine + (size_t) from * d,
								  table->fine + (size_t) to * d);
	else
		pm_cpu_kernels->move(x, weight, sums->scale, d, origin, target);
	table->counts[to]++;
	if (from >= 0)
		table->counts[from]--;
	if (table->weights != NULL)
	{
		double		exact = weight * sums->weight_scale;
		double		whole = rint(exact);
		int64_t		value = (int64_t) whole;
		int64_t		rest = (int64_t) rint((exact - whole) * sums->fine);
		int64_t    *fine = table->weights + sums->rows.k;

		table->weights[to] += value;
		fine[to] += rest;
		if (from >= 0)
		{
			table->weights[from] -= value;
			fine[from] -= rest;
		}
	}
}

/* Move rows [begin, begin + count) from their labels `from` to `to`. */
void
pm_cpu_sums_move(PmCpuSums *sums, int lane, int64_t begin, int count,
				 const int32_t *from, const int32_t *to)
{
	Table	   *table = &sums->table[lane % sums->tables];
	int			first = 0;

	while (first < count && from[first] == to[first])
		first++;
	if (first == count)
		return;
	pthread_mutex_lock(&table->lock);
	for (int i = first; i < count; i++)
		if (from[i] != to[i])
			move_row(sums, table, begin + i, from[i], to[i]);
	pthread_mutex_unlock(&table->lock);
}

/* A sum of units and fine units as a number. */
static inline double
in_ones(const PmCpuSums *sums, uint64_t whole, uint64_t rest, double scale)
{
	double		sum = (double) (int64_t) whole;

	if (sums->fine > 0)
		sum += (double) (int64_t) rest / sums->fine;
	return sum / scale;
}

/*
 * Totals by cluster.  Single tables may have wrapped around; modulo 2^64
 * their total is right, and it fits.
 */
void
pm_cpu_sums_total(PmCpuSums *sums, double *totals, double *weights,
				  int64_t *counts)
{
	size_t		k = (size_t) sums->rows.k;
	size_t		d = (size_t) sums->rows.d;

	for (size_t c = 0; c < k; c++)
	{
		uint64_t	whole = 0;
		uint64_t	rest = 0;

		counts[c] = 0;
		for (int t = 0; t < sums->tables; t++)
		{
			counts[c] += sums->table[t].counts[c];
			if (sums->table[t].weights != NULL)
			{
				whole += (uint64_t) sums->table[t].weights[c];
				rest += (uint64_t) sums->table[t].weights[k + c];
			}
		}
		weights[c] = sums->rows.weights == NULL ? (double) counts[c] :
			in_ones(sums, whole, rest, sums->weight_scale);
		for (size_t j = 0; j < d; j++)
		{
			whole = rest = 0;
			for (int t = 0; t < sums->tables; t++)
			{
				whole += (uint64_t) sums->table[t].sums[c * d + j];
				if (sums->table[t].fine != NULL)
					rest += (uint64_t) sums->table[t].fine[c * d + j];
			}
			totals[c * d + j] = in_ones(sums, whole, rest, sums->scale[j]);
		}
	}
}
