/*
 * logistic_data.c
 *		What the rows of a logistic regression hold: classes, means and
 *		deviations of numbers, weights of categories.
 */
#include "logistic.h"

#include "pm_clones.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Ranges of rows that are looked at apart: of so many values, or more. */
#define RANGE_VALUES 1e6
#define MAX_RANGES 256

/* Columns whose deviations are summed together. */
#define TOGETHER 8

/* What one range of rows holds. */
typedef struct RangeFacts
{
	int64_t		positives;
	int64_t		bad_weight;		/* a row, or -1 */
} RangeFacts;

/* Of a field. */
typedef struct FieldFacts
{
	bool		missing;
	int64_t		codes;
	int64_t		most;			/* codes in a row */
	double		squares;		/* sum of the squares of their number */
} FieldFacts;


/* A look at the rows. */
typedef struct Look
{
	LogisticData *data;
	int			ranges;
	RangeFacts *range_facts;	/* ranges */
	FieldFacts *field_facts;	/* field_count * ranges */
	double	   *squares;		/* ranges * dense: weighted deviations, squared */
	int32_t    *varies;			/* the same: does a value differ from the
								 * first row's? */
} Look;

static inline int64_t
range_begin(const Look *look, int64_t range)
{
	int64_t		n = look->data->rows->n;

	return n / look->ranges * range + n % look->ranges * range / look->ranges;
}

/* Labels and weights of a range. */
static void
look_at_labels(int64_t range, int lane, void *argument)
{
	Look	   *look = argument;
	const PmCtrRows *rows = look->data->rows;
	RangeFacts	facts = {0, -1};
	int64_t		end = range_begin(look, range + 1);

	(void) lane;
	for (int64_t i = range_begin(look, range); i < end; i++)
	{
		facts.positives += rows->labels[i] != 0;
		if (rows->weights != NULL &&
			!(rows->weights[i] > 0 && rows->weights[i] <= FLT_MAX))
			facts.bad_weight = i;
	}
	look->range_facts[range] = facts;
}

/* How many codes the rows of a range have in a field. */
static void
look_at_field(int64_t index, int lane, void *argument)
{
	Look	   *look = argument;
	int64_t		range = index % look->ranges;
	const PmCtrField *field = &look->data->rows->fields[index / look->ranges];
	FieldFacts	facts = {false, 0, 0, 0};
	int64_t		begin = range_begin(look, range);
	int64_t		end = range_begin(look, range + 1);

	(void) lane;
	if (field->kind == PM_CTR_CODE)
	{
		int32_t		all = 0;

		for (int64_t i = begin; i < end; i++)
			all |= field->codes[i];
		facts.missing = all < 0;
		facts.codes = end - begin;
		facts.most = 1;
	}
	else if (field->kind == PM_CTR_SET)
		for (int64_t i = begin; i < end; i++)
		{
			int64_t		codes = field->offsets[i + 1] - field->offsets[i];

			facts.codes += codes;
			facts.squares += (double) codes * (double) codes;
			if (codes > facts.most)
				facts.most = codes;
		}
	look->field_facts[index] = facts;
}

/*
 * Squared deviations of up to TOGETHER columns of some rows, `stride` apart;
 * values and centre are of the first of the columns.
 */
PM_INLINE void
sum_squares(const float *values, int32_t stride, const double *centre,
			const float *first, const double *weights, int64_t count,
			const int columns, double *squares, int32_t *varies)
{
	double		sums[TOGETHER] = {0};
	int32_t		differ[TOGETHER] = {0};

	for (int64_t i = 0; i < count; i++)
		for (int k = 0; k < columns; k++)
		{
			float		value = values[(size_t) i * (size_t) stride + k];
			double		deviation = value - centre[k];

			sums[k] += weights[i] * deviation * deviation;
			differ[k] |= value != first[k];
		}
	for (int k = 0; k < columns; k++)
	{
		squares[k] += sums[k];
		varies[k] |= differ[k];
	}
}

/* The same of all columns of a field. */
PM_INLINE void
sum_field_body(const float *values, int32_t width, const double *centre,
			   const float *first, const double *weights, int count,
			   double *squares, int32_t *varies)
{
	int32_t		k = 0;

	for (; k + TOGETHER <= width; k += TOGETHER)
		sum_squares(values + k, width, centre + k, first + k, weights, count,
					TOGETHER, squares + k, varies + k);
	for (; k < width; k++)
		sum_squares(values + k, width, centre + k, first + k, weights, count, 1,
					squares + k, varies + k);
}

PM_CLONES(sum_field,
		  (const float *values, int32_t width, const double *centre,
		   const float *first, const double *weights, int count,
		   double *squares, int32_t *varies),
		  (values, width, centre, first, weights, count, squares, varies));

/* Squared deviations of the numbers in rows [begin, begin + count). */
static void
look_at_block(const Look *look, int64_t begin, int count, double *squares,
			  int32_t *varies)
{
	const LogisticData *data = look->data;
	const PmCtrRows *rows = data->rows;
	double		weights[LOGISTIC_BLOCK];

	for (int i = 0; i < count; i++)
		weights[i] = rows->weights == NULL ? 1 : rows->weights[begin + i];
	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];

		if (field->kind != PM_CTR_DENSE)
			continue;
		sum_field(field->values + (size_t) begin * (size_t) field->count,
				  field->count, data->centre + field->first, field->values,
				  weights, count, squares, varies);
		squares += field->count;
		varies += field->count;
	}
}

/* The same of a range. */
static void
look_at_numbers(int64_t range, int lane, void *argument)
{
	Look	   *look = argument;
	size_t		dense = (size_t) look->data->dense;
	double	   *squares = look->squares + (size_t) range * dense;
	int32_t    *varies = look->varies + (size_t) range * dense;
	int64_t		end = range_begin(look, range + 1);

	(void) lane;
	memset(squares, 0, dense * sizeof(double));
	memset(varies, 0, dense * sizeof(int32_t));
	for (int64_t i = range_begin(look, range); i < end; i += LOGISTIC_BLOCK)
		look_at_block(look, i, end - i < LOGISTIC_BLOCK ? (int) (end - i) : LOGISTIC_BLOCK,
					  squares, varies);
}

/* Refuse rows that no fit can be made of. */
static PmStatus
check_rows(PmContext *ctx, const Look *look)
{
	const PmCtrRows *rows = look->data->rows;
	int64_t		positives = 0;

	for (int range = 0; range < look->ranges; range++)
	{
		const RangeFacts *facts = &look->range_facts[range];

		if (facts->bad_weight >= 0)
			return pm_fail(ctx, PM_INVALID, "row %lld has weight %g, which is not above 0",
						   (long long) facts->bad_weight + 1,
						   rows->weights[facts->bad_weight]);
		positives += facts->positives;
	}
	if (positives == 0 || positives == rows->n)
		return pm_fail(ctx, PM_INVALID, "the label is %s in all %lld rows: there is nothing to tell apart",
					   positives == 0 ? "false" : "true", (long long) rows->n);
	return PM_OK;
}

/* Add up what was seen of the fields. */
static void
sum_fields(Look *look)
{
	LogisticData *data = look->data;
	double		n = (double) data->rows->n;
	double		variance = 0;
	int64_t		most_codes = 0;

	for (int f = 0; f < data->rows->field_count; f++)
	{
		int64_t		most = 0;
		double		codes = 0;
		double		squares = 0;

		for (int range = 0; range < look->ranges; range++)
		{
			const FieldFacts *facts = &look->field_facts[f * look->ranges + range];

			data->missing[f] |= facts->missing;
			codes += (double) facts->codes;
			squares += facts->squares;
			if (facts->most > most)
				most = facts->most;
		}
		most_codes += most;
		data->codes += codes / n;
		if (data->rows->fields[f].kind == PM_CTR_SET)
			variance += squares / n - codes / n * (codes / n);
	}
	data->code_squares = data->codes * data->codes + variance;
	data->max_codes = most_codes < INT32_MAX ? (int32_t) most_codes : INT32_MAX;
}

/* Deviations of the DENSE columns; a constant one is exactly so. */
static void
sum_numbers(Look *look)
{
	LogisticData *data = look->data;
	size_t		column = 0;

	for (int f = 0; f < data->rows->field_count; f++)
	{
		const PmCtrField *field = &data->rows->fields[f];

		for (int32_t j = field->first;
			 field->kind == PM_CTR_DENSE && j < field->first + field->count; j++)
		{
			bool		varies = false;

			data->mass[j] = 0;
			for (int range = 0; range < look->ranges; range++)
			{
				size_t		at = (size_t) range * (size_t) data->dense + column;

				data->mass[j] += look->squares[at];
				varies |= look->varies[at] != 0;
			}
			column++;
			if (varies)
				data->scale[j] = sqrt(data->mass[j] / data->weight);
			else
			{
				data->centre[j] = field->values[j - field->first];
				data->mass[j] = 0;
			}
			if (!(data->scale[j] > 0))
				data->scale[j] = 1;
		}
	}
}

/* Weights of all and of the rows of 1, by coefficient. */
static PmStatus
weigh(PmContext *ctx, LogisticData *data, double *b)
{
	LogisticPass pass;
	LogisticSums sums;
	double	   *gradient = b + 1 + data->p;
	PmStatus	status = pm_logistic_pass_open(ctx, data, false, &pass);

	if (status == PM_OK)
		status = pm_logistic_pass(ctx, &pass, LOGISTIC_POSITIVES, b, gradient, &sums);
	if (status == PM_OK)
	{
		data->positive = gradient[0];
		memcpy(data->positive_mass, gradient + 1, (size_t) data->p * sizeof(double));
		status = pm_logistic_pass(ctx, &pass, LOGISTIC_WEIGHTS, b, gradient, &sums);
	}
	if (status == PM_OK)
	{
		data->weight = gradient[0];
		memcpy(data->mass, gradient + 1, (size_t) data->p * sizeof(double));
	}
	pm_logistic_pass_close(ctx, &pass);
	return status;
}

/* The means of the DENSE columns, whose mass is so far the weighted sum. */
static void
set_centres(LogisticData *data)
{
	for (int f = 0; f < data->rows->field_count; f++)
	{
		const PmCtrField *field = &data->rows->fields[f];

		for (int32_t j = field->first;
			 field->kind == PM_CTR_DENSE && j < field->first + field->count; j++)
			data->centre[j] = data->mass[j] / data->weight;
	}
}

/* Look at the rows; `data` has its arrays. */
static PmStatus
look_at_rows(PmContext *ctx, Look *look, double *b)
{
	LogisticData *data = look->data;
	double		rows = (double) data->rows->n / look->ranges;

	PM_TRY(pm_parallel(ctx, "logistic regression", look->ranges, rows,
					   look_at_labels, look));
	PM_TRY(check_rows(ctx, look));
	PM_TRY(pm_parallel(ctx, "logistic regression",
					   (int64_t) data->rows->field_count * look->ranges, rows,
					   look_at_field, look));
	sum_fields(look);
	PM_TRY(weigh(ctx, data, b));
	set_centres(data);
	PM_TRY(pm_parallel(ctx, "logistic regression", look->ranges,
					   rows * data->dense + 1, look_at_numbers, look));
	sum_numbers(look);
	return PM_OK;
}

/* Allocate what a look needs. */
static PmStatus
open_look(PmContext *ctx, Look *look)
{
	size_t		ranges = (size_t) look->ranges;

	PM_TRY(pm_alloc(ctx, "facts of the rows", ranges, sizeof(RangeFacts),
					&look->range_facts));
	PM_TRY(pm_alloc(ctx, "facts of the fields", (size_t) look->data->rows->field_count,
					ranges * sizeof(FieldFacts), &look->field_facts));
	PM_TRY(pm_alloc(ctx, "facts of the numbers", (size_t) look->data->dense,
					ranges * sizeof(double), &look->squares));
	return pm_alloc(ctx, "facts of the numbers", (size_t) look->data->dense,
					ranges * sizeof(int32_t), &look->varies);
}

/* The arrays by coefficient. */
static PmStatus
open_arrays(PmContext *ctx, LogisticData *data)
{
	size_t		p = (size_t) data->p;

	PM_TRY(pm_alloc_zero(ctx, "fields", (size_t) data->rows->field_count,
						 sizeof(bool), &data->missing));
	PM_TRY(pm_alloc_zero(ctx, "means of columns", p, sizeof(double), &data->centre));
	PM_TRY(pm_alloc(ctx, "deviations of columns", p, sizeof(double), &data->scale));
	PM_TRY(pm_alloc(ctx, "weights of columns", p, sizeof(double), &data->mass));
	PM_TRY(pm_alloc(ctx, "weights of columns", p, sizeof(double),
					&data->positive_mass));
	for (size_t j = 0; j < p; j++)
		data->scale[j] = 1;
	return PM_OK;
}

/* Into how many ranges the rows are cut. */
static int
count_ranges(const LogisticData *data)
{
	double		ranges = (double) data->rows->n * (data->dense + 16.0) / RANGE_VALUES + 1;

	if (ranges > MAX_RANGES)
		ranges = MAX_RANGES;
	return ranges > (double) data->rows->n ? (int) data->rows->n : (int) ranges;
}

PmStatus
pm_logistic_data_open(PmContext *ctx, const PmCtrRows *rows,
					  LogisticData *data)
{
	Look		look;
	double	   *b = NULL;
	PmStatus	status;

	memset(data, 0, sizeof(*data));
	data->rows = rows;
	data->p = rows->coefficient_count;
	if (rows->n < 1)
		return pm_fail(ctx, PM_INVALID, "there is no row to learn from");
	for (int f = 0; f < rows->field_count; f++)
		if (rows->fields[f].kind == PM_CTR_DENSE)
			data->dense += rows->fields[f].count;
	memset(&look, 0, sizeof(look));
	look.data = data;
	look.ranges = count_ranges(data);
	status = open_arrays(ctx, data);
	if (status == PM_OK)
		status = open_look(ctx, &look);
	if (status == PM_OK)
		status = pm_alloc_zero(ctx, "weights of columns",
							   2 * ((size_t) data->p + 1), sizeof(double), &b);
	if (status == PM_OK)
		status = look_at_rows(ctx, &look, b);
	pm_release(ctx, b);
	pm_release(ctx, look.range_facts);
	pm_release(ctx, look.field_facts);
	pm_release(ctx, look.squares);
	pm_release(ctx, look.varies);
	return status;
}

void
pm_logistic_data_close(PmContext *ctx, LogisticData *data)
{
	pm_release(ctx, data->missing);
	pm_release(ctx, data->centre);
	pm_release(ctx, data->scale);
	pm_release(ctx, data->mass);
	pm_release(ctx, data->positive_mass);
	memset(data, 0, sizeof(*data));
}
