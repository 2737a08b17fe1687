/*
 * logistic_block.c
 *		What is done to a block of rows: logits, losses, sums.
 *
 * A block's logits stay in the nearest cache while field after field adds to
 * them; a category's coefficient is looked up by its code.
 */
#include "logistic.h"

#include "pm_vector_math.h"

#include <string.h>

/* Numbers in a field from which on rows are faster than columns. */
#define WIDE 8

/* Fields of categories that are added in one go. */
#define TOGETHER 4

/* ---- logits ------------------------------------------------------------- */

/* One column of a narrow DENSE field, whose rows are `stride` apart. */
PM_INLINE void
add_column_body(const float *values, int32_t stride, double centre,
				double coefficient, int count, double *logits)
{
	if (stride == 1)
		for (int i = 0; i < count; i++)
			logits[i] += (values[i] - centre) * coefficient;
	else
		for (int i = 0; i < count; i++)
			logits[i] += (values[(size_t) i * stride] - centre) * coefficient;
}

PM_CLONES(add_column,
		  (const float *values, int32_t stride, double centre,
		   double coefficient, int count, double *logits),
		  (values, stride, centre, coefficient, count, logits));

/* All columns of a wide DENSE field. */
PM_INLINE void
add_wide_body(const float *values, int32_t width, const double *centre,
			  const double *coefficients, int count, double *logits)
{
	for (int i = 0; i < count; i++)
	{
		const float *row = values + (size_t) i * width;
		double		sums[8] = {0};
		int32_t		j = 0;

		for (; j + 8 <= width; j += 8)
			for (int lane = 0; lane < 8; lane++)
				sums[lane] += (row[j + lane] - centre[j + lane]) * coefficients[j + lane];
		for (; j < width; j++)
			sums[0] += (row[j] - centre[j]) * coefficients[j];
		logits[i] += ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
			((sums[2] + sums[6]) + (sums[3] + sums[7]));
	}
}

PM_CLONES(add_wide,
		  (const float *values, int32_t width, const double *centre,
		   const double *coefficients, int count, double *logits),
		  (values, width, centre, coefficients, count, logits));

/* A CODE field in which some rows have none. */
static void
add_some_codes(const int32_t *codes, const double *coefficients, int count,
			   double *logits)
{
	for (int i = 0; i < count; i++)
	{
		int32_t		code = codes[i] < 0 ? 0 : codes[i];
		double		value = coefficients[code];

		logits[i] += codes[i] < 0 ? 0 : value;
	}
}

/* Up to TOGETHER CODE fields that all rows have. */
static void
add_codes(const int32_t *const codes[], const double *const coefficients[],
		  int fields, int count, double *logits)
{
	int			i = 0;

	if (fields == TOGETHER)
		for (; i < count; i++)
			logits[i] += (coefficients[0][codes[0][i]] + coefficients[1][codes[1][i]]) +
				(coefficients[2][codes[2][i]] + coefficients[3][codes[3][i]]);
	for (int f = 0; f < fields && fields < TOGETHER; f++)
		for (i = 0; i < count; i++)
			logits[i] += coefficients[f][codes[f][i]];
}

/* A SET field. */
static void
add_sets(const PmCtrField *field, const double *coefficients, int64_t begin,
		 int count, double *logits)
{
	for (int i = 0; i < count; i++)
	{
		double		sum = 0;

		for (int64_t k = field->offsets[begin + i]; k < field->offsets[begin + i + 1]; k++)
			sum += coefficients[field->codes[k]];
		logits[i] += sum;
	}
}

/* A DENSE field. */
static void
add_numbers(const PmCtrField *field, const double *centre,
			const double *coefficients, int64_t begin, int count,
			double *logits)
{
	const float *values = field->values + (size_t) begin * (size_t) field->count;

	if (field->count >= WIDE)
		add_wide(values, field->count, centre, coefficients, count, logits);
	else
		for (int32_t k = 0; k < field->count; k++)
			add_column(values + k, field->count, centre[k], coefficients[k],
					   count, logits);
}

/* Add x'b to the logits of some rows. */
void
pm_logistic_add_logits(const PmCtrRows *rows, const bool *missing,
					   const double *centre, const double *coefficients,
					   int64_t begin, int count, double *logits)
{
	const int32_t *codes[TOGETHER];
	const double *looked_up[TOGETHER];
	int			together = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];
		const double *b = coefficients + field->first;

		if (field->kind == PM_CTR_DENSE)
			add_numbers(field, centre + field->first, b, begin, count, logits);
		else if (field->kind == PM_CTR_SET)
			add_sets(field, b, begin, count, logits);
		else if (missing == NULL || missing[f])
			add_some_codes(field->codes + begin, b, count, logits);
		else
		{
			codes[together] = field->codes + begin;
			looked_up[together++] = b;
			if (together == TOGETHER)
			{
				add_codes(codes, looked_up, together, count, logits);
				together = 0;
			}
		}
	}
	add_codes(codes, looked_up, together, count, logits);
}

/* ---- losses ------------------------------------------------------------- */

void
pm_logistic_read_labels(const PmCtrRows *rows, int64_t begin, int count,
						LogisticLosses *losses)
{
	int			padded = (count + PM_LANES - 1) / PM_LANES * PM_LANES;

	losses->count = padded;
	for (int i = 0; i < count; i++)
		losses->sign[i] = rows->labels[begin + i] != 0 ? -1 : 1;
	for (int i = 0; i < count; i++)
		losses->weight[i] = rows->weights == NULL ? 1 : rows->weights[begin + i];
	for (int i = count; i < padded; i++)
		losses->sign[i] = losses->weight[i] = losses->logit[i] = 0;
}

/*
 * With t = -y z and e = exp(-|t|): the loss is log1p(e) + max(t, 0), its
 * derivative by z is -y / (1 + exp(-t)), the second one e / (1 + e)^2.  None
 * of these loses digits where p is near 0 or 1.
 */
PM_INLINE void
compute_losses_body(LogisticLosses *losses)
{
	PmDoubles	total = {0};
	double		lanes[PM_LANES];

	for (int i = 0; i < losses->count; i += PM_LANES)
	{
		PmDoubles	t;
		PmDoubles	sign;
		PmDoubles	weight;
		PmDoubles	e;
		PmDoubles	logarithm;
		PmDoubles	inverse;
		PmIntegers	wrong;

		memcpy(&t, losses->logit + i, sizeof(t));
		memcpy(&sign, losses->sign + i, sizeof(t));
		memcpy(&weight, losses->weight + i, sizeof(t));
		t *= sign;
		wrong = t > 0.0;
		e = PM_CHOOSE(wrong, -t, t);
		pm_vector_exp(&e, &e);
		pm_vector_log1p(&e, &logarithm);
		total += weight * (logarithm + PM_CHOOSE(wrong, t, (PmDoubles) {0}));
		inverse = 1.0 / (1.0 + e);
		t = weight * e * inverse;
		weight *= inverse;
		sign *= PM_CHOOSE(wrong, weight, t);
		memcpy(losses->residual + i, &sign, sizeof(t));
		t *= inverse;
		memcpy(losses->curvature + i, &t, sizeof(t));
	}
	memcpy(lanes, &total, sizeof(lanes));
	losses->loss = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

PM_CLONES(compute_losses, (LogisticLosses *losses), (losses));

void
pm_logistic_losses(LogisticLosses *losses)
{
	compute_losses(losses);
}

/* ---- sums --------------------------------------------------------------- */

/* Sums of residual * (x - centre) of a narrow DENSE field's column. */
PM_INLINE void
sum_column_body(const float *values, int32_t stride, double centre,
				const double *residual, int count, double *sum)
{
	double		sums[8] = {0};
	int			i = 0;

	for (; i + 8 <= count; i += 8)
		for (int lane = 0; lane < 8; lane++)
			sums[lane] += (values[(size_t) (i + lane) * stride] - centre) * residual[i + lane];
	for (; i < count; i++)
		sums[0] += (values[(size_t) i * stride] - centre) * residual[i];
	*sum += ((sums[0] + sums[4]) + (sums[1] + sums[5])) +
		((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

PM_CLONES(sum_column,
		  (const float *values, int32_t stride, double centre,
		   const double *residual, int count, double *sum),
		  (values, stride, centre, residual, count, sum));

/* The same of all columns of a wide one, four rows at a time. */
PM_INLINE void
sum_wide_body(const float *values, int32_t width, const double *centre,
			  const double *residual, int count, double *sums)
{
	int			i = 0;

	for (; i + 4 <= count; i += 4)
	{
		const float *a = values + (size_t) i * width;
		const float *b = a + width;
		const float *c = b + width;
		const float *d = c + width;

		for (int32_t j = 0; j < width; j++)
			sums[j] += ((a[j] - centre[j]) * residual[i] + (b[j] - centre[j]) * residual[i + 1]) +
				((c[j] - centre[j]) * residual[i + 2] + (d[j] - centre[j]) * residual[i + 3]);
	}
	for (; i < count; i++)
		for (int32_t j = 0; j < width; j++)
			sums[j] += (values[(size_t) i * width + j] - centre[j]) * residual[i];
}

PM_CLONES(sum_wide,
		  (const float *values, int32_t width, const double *centre,
		   const double *residual, int count, double *sums),
		  (values, width, centre, residual, count, sums));

/*
 * By category, in four lanes: where a category is frequent, an addition need
 * not wait for the one before it.
 */
static void
sum_codes_in_lanes(const int32_t *codes, const double *residual, int count,
				   double *sums)
{
	int			i = 0;

	for (; i + 4 <= count; i += 4)
	{
		sums[4 * (int64_t) codes[i]] += residual[i];
		sums[4 * (int64_t) codes[i + 1] + 1] += residual[i + 1];
		sums[4 * (int64_t) codes[i + 2] + 2] += residual[i + 2];
		sums[4 * (int64_t) codes[i + 3] + 3] += residual[i + 3];
	}
	for (; i < count; i++)
		sums[4 * (int64_t) codes[i]] += residual[i];
}

/* By category. */
static void
sum_codes(const int32_t *codes, const double *residual, int64_t count,
		  double *sums)
{
	for (int64_t i = 0; i < count; i++)
		sums[codes[i]] += residual[i];
}

/* A DENSE field. */
static void
sum_numbers(const PmCtrField *field, const double *centre, int64_t begin,
			int count, const double *residual, double *sums)
{
	const float *values = field->values + (size_t) begin * (size_t) field->count;

	if (field->count >= WIDE)
		sum_wide(values, field->count, centre, residual, count, sums);
	else
		for (int32_t k = 0; k < field->count; k++)
			sum_column(values + k, field->count, centre[k], residual, count, sums + k);
}

/* A SET field; the sum of category -1, which does not occur, comes first. */
static void
sum_sets(const PmCtrField *field, int64_t begin, int64_t count,
		 const double *residual, double *sums)
{
	for (int64_t i = 0; i < count; i++)
		for (int64_t k = field->offsets[begin + i]; k < field->offsets[begin + i + 1]; k++)
			sums[1 + field->codes[k]] += residual[i];
}

void
pm_logistic_sum_field(const PmCtrField *field, const double *centre,
					  int lanes, int64_t begin, int64_t count,
					  const double *residual, double *sums)
{
	if (field->kind == PM_CTR_DENSE)
		sum_numbers(field, centre, begin, (int) count, residual, sums);
	else if (field->kind == PM_CTR_SET)
		sum_sets(field, begin, count, residual, sums);
	else if (lanes == 4)
		sum_codes_in_lanes(field->codes + begin, residual, (int) count, sums + 4);
	else
		sum_codes(field->codes + begin, residual, count, sums + 1);
}
