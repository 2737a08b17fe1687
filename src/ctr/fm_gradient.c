/*
 * fm_gradient.c
 *		Factorisation machines: losses of a block of rows, gradients of fields.
 */
#include "fm_vector.h"

#include "pm_vector_math.h"

/* ---- losses ------------------------------------------------------------- */

/* Of a chunk, padded to whole vectors with rows of weight 0. */
typedef struct Losses
{
	int			count;
	double		logit[FM_CHUNK];
	double		label[FM_CHUNK];
	double		weight[FM_CHUNK];
	double		residual[FM_CHUNK];
	double		loss;
} Losses;

/* As a softplus, so that nothing overflows or cancels. */
PM_INLINE void
compute_losses_body(Losses *losses)
{
	PmDoubles	total = {0};
	double		lanes[PM_LANES];

	for (int i = 0; i < losses->count; i += PM_LANES)
	{
		PmDoubles	z;
		PmDoubles	label;
		PmDoubles	weight;
		PmDoubles	e;
		PmDoubles	logarithm;
		PmDoubles	inverse;
		PmDoubles	margin;
		PmIntegers	positive;

		memcpy(&z, losses->logit + i, sizeof(z));
		memcpy(&label, losses->label + i, sizeof(z));
		memcpy(&weight, losses->weight + i, sizeof(z));
		positive = z > 0.0;
		e = PM_CHOOSE(positive, -z, z);
		pm_vector_exp(&e, &e);
		pm_vector_log1p(&e, &logarithm);
		margin = (2.0 * label - 1.0) * z;
		total += weight * (logarithm + PM_CHOOSE(margin < 0.0, -margin, (PmDoubles) {0}));
		inverse = 1.0 / (1.0 + e);
		z = weight * (PM_CHOOSE(positive, inverse, e * inverse) - label);
		memcpy(losses->residual + i, &z, sizeof(z));
	}
	memcpy(lanes, &total, sizeof(lanes));
	losses->loss = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

PM_CLONES(compute_losses, (Losses *losses), (losses));

void
pm_fm_residuals(const FmView *view, int begin, int end, const float *logits,
				float *residuals, double totals[3])
{
	const PmCtrRows *rows = view->rows;
	Losses		losses;

	losses.count = (end - begin + PM_LANES - 1) / PM_LANES * PM_LANES;
	totals[0] = totals[2] = 0;
	for (int i = 0; i < losses.count; i++)
	{
		bool		real = begin + i < end;
		int64_t		row = real ? pm_fm_row(view, begin + i) : 0;

		losses.logit[i] = real ? logits[begin + i] : 0;
		losses.label[i] = real ? rows->labels[row] : 0;
		losses.weight[i] = !real ? 0 : rows->weights != NULL ? rows->weights[row] : 1;
		totals[0] += losses.weight[i];
	}
	compute_losses(&losses);
	totals[1] = losses.loss;
	for (int i = begin; i < end; i++)
	{
		if (residuals != NULL)
			residuals[i] = (float) losses.residual[i - begin];
		totals[2] += losses.residual[i - begin];
	}
}

/* ---- gradients ---------------------------------------------------------- */

/* Add a row of sums, times r, to a row of gradients. */
PM_INLINE void
add_gradient(float *grad, const float *sums, float r, int vectors)
{
	for (int j = 0; j < vectors; j++)
		FM_STORE(grad + j * FM_LANES, FM_LOAD(grad + j * FM_LANES) + r * FM_LOAD(sums + j * FM_LANES));
}

PM_INLINE void
scatter_rows(int vectors, int count, const int32_t *slots,
			 const float *residuals, const float *sums, float *grad)
{
	size_t		width = (size_t) vectors * FM_LANES;

	for (int i = 0; i < count; i++)
		if (slots[i] >= 0)
			add_gradient(grad + (size_t) slots[i] * width, sums + (size_t) i * width,
						 residuals[i], vectors);
}

PM_INLINE void
scatter_body(int width, int count, const int32_t *slots,
			 const float *residuals, const float *sums, float *grad)
{
	switch (width / FM_LANES)
	{
		case 1:
			scatter_rows(1, count, slots, residuals, sums, grad);
			break;
		case 2:
			scatter_rows(2, count, slots, residuals, sums, grad);
			break;
		case 3:
			scatter_rows(3, count, slots, residuals, sums, grad);
			break;
		default:
			scatter_rows(width / FM_LANES, count, slots, residuals, sums, grad);
			break;
	}
}

PM_CLONES(scatter,
		  (int width, int count, const int32_t *slots, const float *residuals,
		   const float *sums, float *grad),
		  (width, count, slots, residuals, sums, grad));

void
pm_fm_scatter(int width, int count, const int32_t *slots,
			  const float *residuals, const float *sums, float *grad)
{
	scatter(width, count, slots, residuals, sums, grad);
}

PM_INLINE void
scatter_set_body(const FmView *view, const PmCtrField *field, int width,
				 int count, const FmSlot *slot_of, const float *residuals,
				 const float *sums, float *grad)
{
	for (int i = 0; i < count; i++)
	{
		int64_t		row = pm_fm_row(view, i);

		for (int64_t k = field->offsets[row]; k < field->offsets[row + 1]; k++)
			add_gradient(grad + (size_t) slot_of[field->codes[k]].slot * width,
						 sums + (size_t) i * width, residuals[i], width / FM_LANES);
	}
}

PM_CLONES(scatter_set,
		  (const FmView *view, const PmCtrField *field, int width, int count,
		   const FmSlot *slot_of, const float *residuals, const float *sums,
		   float *grad),
		  (view, field, width, count, slot_of, residuals, sums, grad));

void
pm_fm_scatter_set(const FmView *view, const PmCtrField *field, int width,
				  int count, const FmSlot *slot_of, const float *residuals,
				  const float *sums, float *grad)
{
	scatter_set(view, field, width, count, slot_of, residuals, sums, grad);
}

/* One column: vectors [from, from + vectors) of its gradient. */
PM_INLINE void
column_piece(const FmView *view, const float *values, int32_t stride,
			 int width, int from, int vectors, int count,
			 const float *residuals, const float *sums, float *grad)
{
	FmVector	total[4] = {{0}};

	for (int i = 0; i < count; i++)
	{
		float		r = residuals[i] * values[pm_fm_row(view, i) * stride];

		for (int j = 0; j < vectors; j++)
			total[j] += r * FM_LOAD(sums + (size_t) i * width + (from + j) * FM_LANES);
	}
	for (int j = 0; j < vectors; j++)
		FM_STORE(grad + (from + j) * FM_LANES, FM_LOAD(grad + (from + j) * FM_LANES) + total[j]);
}

PM_INLINE void
scatter_dense_body(const FmView *view, const PmCtrField *field, int width,
				   int count, const float *residuals, const float *sums,
				   float *grad, float *squares)
{
	for (int32_t k = 0; k < field->count; k++)
	{
		const float *values = field->values + k;
		float	   *to = grad + (size_t) k * width;
		int			vectors = width / FM_LANES;
		int			from = 0;
		float		total = 0;

		for (int i = 0; i < count; i++)
		{
			float		x = values[pm_fm_row(view, i) * field->count];

			total += residuals[i] * x * x;
		}
		squares[k] += total;
		for (; vectors - from > 4; from += 4)
			column_piece(view, values, field->count, width, from, 4, count, residuals, sums, to);
		switch (vectors - from)
		{
			case 1:
				column_piece(view, values, field->count, width, from, 1, count, residuals, sums, to);
				break;
			case 2:
				column_piece(view, values, field->count, width, from, 2, count, residuals, sums, to);
				break;
			case 3:
				column_piece(view, values, field->count, width, from, 3, count, residuals, sums, to);
				break;
			case 4:
				column_piece(view, values, field->count, width, from, 4, count, residuals, sums, to);
				break;
		}
	}
}

PM_CLONES(scatter_dense,
		  (const FmView *view, const PmCtrField *field, int width, int count,
		   const float *residuals, const float *sums, float *grad,
		   float *squares),
		  (view, field, width, count, residuals, sums, grad, squares));

void
pm_fm_scatter_dense(const FmView *view, const PmCtrField *field, int width,
					int count, const float *residuals, const float *sums,
					float *grad, float *squares)
{
	scatter_dense(view, field, width, count, residuals, sums, grad, squares);
}
