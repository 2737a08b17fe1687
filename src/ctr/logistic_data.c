/*
 * logistic_data.c
 *		What the rows of a logistic regression hold: classes, means and
 *		deviations of numbers, weights of categories.
 */
#include "logistic.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Ranges of rows that are looked at apart. */
#define RANGE_ROWS 65536
#define MAX_RANGES 256

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

/* Of a DENSE column. */
typedef struct ColumnFacts
{
	float		least;
	float		largest;
	double		square;			/* weighted, of the deviations */
} ColumnFacts;

/* A look at the rows. */
typedef struct Look
{
	LogisticData *data;
	int			ranges;
	RangeFacts *range_facts;	/* ranges */
	FieldFacts *field_facts;	/* field_count * ranges */
	ColumnFacts *column_facts;	/* ranges * dense, by column in a range */
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

/* Extremes and squared deviations of the numbers in a range. */
static void
look_at_numbers(int64_t range, int lane, void *argument)
{
	Look	   *look = argument;
	const LogisticData *data = look->data;
	const PmCtrRows *rows = data->rows;
	ColumnFacts *facts = look->column_facts + range * data->dense;
	int64_t		end = range_begin(look, range + 1);

	(void) lane;
	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];
		const double *centre = data->centre + field->first;

		if (field->kind != PM_CTR_DENSE)
			continue;
		for (int32_t k = 0; k < field->count; k++)
			facts[k] = (ColumnFacts) {INFINITY, -INFINITY, 0};
		for (int64_t i = range_begin(look, range); i < end; i++)
		{
			const float *row = field->values + (size_t) i * (size_t) field->count;
			double		weight = rows->weights == NULL ? 1 : rows->weights[i];

			for (int32_t k = 0; k < field->count; k++)
			{
				double		deviation = row[k] - centre[k];

				facts[k].least = row[k] < facts[k].least ? row[k] : facts[k].least;
				facts[k].largest = row[k] > facts[k].largest ? row[k] : facts[k].largest;
				facts[k].square += weight * deviation * deviation;
			}
		}
		facts += field->count;
	}
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
	int32_t		column = 0;

	for (int f = 0; f < data->rows->field_count; f++)
	{
		const PmCtrField *field = &data->rows->fields[f];

		for (int32_t j = field->first;
			 field->kind == PM_CTR_DENSE && j < field->first + field->count; j++)
		{
			ColumnFacts all = look->column_facts[column];

			for (int range = 1; range < look->ranges; range++)
			{
				const ColumnFacts *facts = &look->column_facts[range * data->dense + column];

				all.least = facts->least < all.least ? facts->least : all.least;
				all.largest = facts->largest > all.largest ? facts->largest : all.largest;
				all.square += facts->square;
			}
			column++;
			if (all.least == all.largest)
			{
				data->centre[j] = all.least;
				data->mass[j] = 0;
			}
			else
			{
				data->mass[j] = all.square;
				data->scale[j] = sqrt(all.square / data->weight);
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
					   2 * rows * data->dense + 1, look_at_numbers, look));
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
	return pm_alloc(ctx, "facts of the numbers", (size_t) look->data->dense,
					ranges * sizeof(ColumnFacts), &look->column_facts);
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
	look.ranges = rows->n / RANGE_ROWS < MAX_RANGES ?
		(int) (rows->n / RANGE_ROWS) + 1 : MAX_RANGES;
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
	pm_release(ctx, look.column_facts);
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
