/*
 * fm_kernel.c
 *		Factorisation machines: logits and gradients of a block of rows.
 *
 * A row's sum of v x stays in registers while the fields add to it: the width
 * is taken in pieces of up to 4 vectors, each its own pass over the block.
 */
#include "fm.h"

#include "pm_vector_math.h"

#include <string.h>

/* Fields taken together where pairs are. */
#define TILE 4

/* Rows between asking for one's weights and using them. */
#define AHEAD 2

#define LOAD(address) ((FmVector) *(const FmStored *) (address))
#define STORE(address, vector) (*(FmStored *) (address) = (FmStored) (vector))

/* The sum of a vector's numbers. */
PM_INLINE float
sum_of(const FmVector *vector)
{
	float		x[FM_LANES];

	memcpy(x, vector, sizeof(x));
	return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* ---- FM: logits --------------------------------------------------------- */

/* Add v x and its square to sums; `vectors` is a constant where this goes. */
PM_INLINE void
add_row(const float *row, int vectors, FmVector *sums, FmVector *squares)
{
	for (int j = 0; j < vectors; j++)
	{
		FmVector	v = LOAD(row + j * FM_LANES);

		sums[j] += v;
		squares[j] += v * v;
	}
}

PM_INLINE void
add_scaled_row(const float *row, float x, int vectors, FmVector *sums,
			   FmVector *squares)
{
	for (int j = 0; j < vectors; j++)
	{
		FmVector	v = LOAD(row + j * FM_LANES) * x;

		sums[j] += v;
		if (squares != NULL)
			squares[j] += v * v;
	}
}

/* A piece of one field's part in a row. */
PM_INLINE void
add_field(const FmView *view, const PmCtrField *field, const int32_t *codes,
		  const float *rows, size_t width, int vectors, int64_t i,
		  FmVector *sums, FmVector *squares)
{
	if (field->kind == PM_CTR_CODE)
	{
		int32_t		code = codes[view->place + i];

		if (code >= 0)
			add_row(rows + (size_t) code * width, vectors, sums, squares);
	}
	else if (field->kind == PM_CTR_SET)
	{
		int64_t		row = pm_fm_row(view, i);

		for (int64_t k = field->offsets[row]; k < field->offsets[row + 1]; k++)
			add_row(rows + (size_t) field->codes[k] * width, vectors, sums, squares);
	}
	else
	{
		const float *x = field->values + pm_fm_row(view, i) * field->count;

		for (int32_t k = 0; k < field->count; k++)
			add_scaled_row(rows + (size_t) k * width, x[k], vectors, sums, squares);
	}
}

/* Ask for the weights of a row's categories before they are needed. */
PM_INLINE void
prefetch_row(const FmView *view, const FmTable *table, int64_t i)
{
	const PmCtrRows *rows = view->rows;

	for (int f = 0; f < rows->field_count; f++)
		if (rows->fields[f].kind == PM_CTR_CODE && rows->fields[f].count > table->prefetched)
		{
			int32_t		code = view->codes[f][view->place + i];
			const char *row = (const char *) (table->rows + ((size_t) rows->fields[f].first +
															 (code < 0 ? 0 : code)) * table->width);

			for (size_t at = 0; at < table->width * sizeof(float); at += 64)
				__builtin_prefetch(row + at);
		}
}

/* Vectors [from, from + vectors) of the rows' sums, and their part in z. */
PM_INLINE void
forward_piece(const FmView *view, const FmTable *table, int from, int vectors,
			  int begin, int end, float *sums, float *logits)
{
	const PmCtrRows *rows = view->rows;
	size_t		width = (size_t) table->width;

	for (int i = begin; i < end; i++)
	{
		FmVector	sum[4] = {{0}};
		FmVector	square[4] = {{0}};
		FmVector	total = {0};

		if (from == 0 && i + AHEAD < end)
			prefetch_row(view, table, i + AHEAD);
		for (int f = 0; f < rows->field_count; f++)
			add_field(view, &rows->fields[f], view->codes[f],
					  table->rows + (size_t) rows->fields[f].first * width + from * FM_LANES,
					  width, vectors, i, sum, square);
		for (int j = 0; j < vectors; j++)
		{
			STORE(sums + (size_t) i * width + (from + j) * FM_LANES, sum[j]);
			total += LOAD(table->mask + (from + j) * FM_LANES) * (sum[j] * sum[j] - square[j]);
		}
		logits[i] += 0.5f * sum_of(&total);
	}
}

PM_INLINE void
forward_body(const FmView *view, const FmTable *table, int begin, int end,
			 float *sums, float *logits)
{
	int			vectors = table->width / FM_LANES;
	int			from = 0;

	for (; vectors - from > 4; from += 4)
		forward_piece(view, table, from, 4, begin, end, sums, logits);
	switch (vectors - from)
	{
		case 1:
			forward_piece(view, table, from, 1, begin, end, sums, logits);
			break;
		case 2:
			forward_piece(view, table, from, 2, begin, end, sums, logits);
			break;
		case 3:
			forward_piece(view, table, from, 3, begin, end, sums, logits);
			break;
		case 4:
			forward_piece(view, table, from, 4, begin, end, sums, logits);
			break;
	}
}

PM_CLONES(forward,
		  (const FmView *view, const FmTable *table, int begin, int end,
		   float *sums, float *logits),
		  (view, table, begin, end, sums, logits));

/* ---- FwFM: logits ------------------------------------------------------- */

/* A piece of each field's sum of v x in a row. */
PM_INLINE void
embed_piece(const FmView *view, const FmTable *table, int from, int vectors,
			int64_t i, float *embedded)
{
	const PmCtrRows *rows = view->rows;
	size_t		width = (size_t) table->width;

	for (int f = 0; f < rows->field_count; f++)
	{
		FmVector	sum[4] = {{0}};
		FmVector	square[4];

		memset(square, 0, sizeof(square));
		add_field(view, &rows->fields[f], view->codes[f],
				  table->rows + (size_t) rows->fields[f].first * width + from * FM_LANES,
				  width, vectors, i, sum, square);
		for (int j = 0; j < vectors; j++)
			STORE(embedded + (size_t) f * width + (from + j) * FM_LANES, sum[j]);
	}
}

/*
 * A piece of what fields [f, f + tile) meet: the others' sums, weighted.  Adds
 * to total the products of that with the fields' own sums.
 */
PM_INLINE void
meet_tile(const FmTable *table, int f, int tile, int from, int vectors,
		  const float *embedded, float *met, size_t stride, FmVector *total)
{
	size_t		width = (size_t) table->width;
	int			fields = table->field_count;
	const float *pair = table->pair + (size_t) f * fields;
	FmVector	sum[TILE][4] = {{{0}}};

	for (int g = 0; g < fields; g++)
		for (int j = 0; j < vectors; j++)
		{
			FmVector	v = LOAD(embedded + (size_t) g * width + (from + j) * FM_LANES);

			for (int t = 0; t < tile; t++)
				sum[t][j] += pair[t * fields + g] * v;
		}
	for (int t = 0; t < tile; t++)
		for (int j = 0; j < vectors; j++)
		{
			FmVector	product = sum[t][j] * LOAD(table->mask + (from + j) * FM_LANES);

			STORE(met + (size_t) (f + t) * stride + (from + j) * FM_LANES, product);
			*total += product *
				LOAD(embedded + (size_t) (f + t) * width + (from + j) * FM_LANES);
		}
}

/* The same for all fields. */
PM_INLINE void
meet_piece(const FmTable *table, int from, int vectors, const float *embedded,
		   float *met, size_t stride, FmVector *total)
{
	int			f = 0;

	for (; f + TILE <= table->field_count; f += TILE)
		meet_tile(table, f, TILE, from, vectors, embedded, met, stride, total);
	for (; f < table->field_count; f++)
		meet_tile(table, f, 1, from, vectors, embedded, met, stride, total);
}

/* What each field meets in a row, in all vectors that have factors. */
PM_INLINE void
meet_row(const FmTable *table, const float *embedded, float *met,
		 size_t stride, FmVector *total)
{
	int			vectors = (table->factors + FM_LANES - 1) / FM_LANES;

	for (int from = 0; from < vectors; from += 2)
		if (from + 2 <= vectors)
			meet_piece(table, from, 2, embedded, met, stride, total);
		else
			meet_piece(table, from, 1, embedded, met, stride, total);
}

/* Each field's sum of v x in a row. */
PM_INLINE void
embed_row(const FmView *view, const FmTable *table, int64_t i, float *embedded)
{
	int			vectors = table->width / FM_LANES;
	int			from = 0;

	for (; vectors - from > 4; from += 4)
		embed_piece(view, table, from, 4, i, embedded);
	if (vectors - from == 1)
		embed_piece(view, table, from, 1, i, embedded);
	else if (vectors - from == 2)
		embed_piece(view, table, from, 2, i, embedded);
	else if (vectors - from == 3)
		embed_piece(view, table, from, 3, i, embedded);
	else
		embed_piece(view, table, from, 4, i, embedded);
}

PM_INLINE void
forward_pairs_body(const FmView *view, const FmTable *table, int begin,
				   int end, float *sums, size_t stride, float *scratch,
				   float *logits)
{
	size_t		width = (size_t) table->width;
	size_t		linear = (size_t) table->factors;

	for (int i = begin; i < end; i++)
	{
		FmVector	total = {0};
		float	   *embedded = scratch + (size_t) (i - begin) * table->field_count * width;
		float	   *met = sums + (size_t) i * width;
		float		z = 0;

		if (i + AHEAD < end)
			prefetch_row(view, table, i + AHEAD);
		embed_row(view, table, i, embedded);
		meet_row(table, embedded, met, stride, &total);
		for (int f = 0; f < table->field_count; f++)
		{
			/* the linear weight's vector may have no factor */
			if (linear % FM_LANES == 0)
				STORE(met + (size_t) f * stride + linear, (FmVector) {0});
			met[(size_t) f * stride + linear] = 1;
			z += embedded[(size_t) f * width + linear];
		}
		logits[i] += z + 0.5f * sum_of(&total);
	}
}

PM_CLONES(forward_pairs,
		  (const FmView *view, const FmTable *table, int begin, int end,
		   float *sums, size_t stride, float *scratch, float *logits),
		  (view, table, begin, end, sums, stride, scratch, logits));

void
pm_fm_forward(const FmView *view, const FmTable *table, int begin, int end,
			  float *sums, size_t sums_stride, float *scratch, float *logits)
{
	size_t		width = (size_t) table->width;
	int			linear = table->factors;

	for (int i = begin; i < end; i++)
		logits[i] = table->intercept;
	if (!table->field_weighted)
	{
		forward(view, table, begin, end, sums, logits);
		for (int i = begin; i < end; i++)
		{
			logits[i] += sums[(size_t) i * width + linear];
			sums[(size_t) i * width + linear] = 1;
		}
		return;
	}
	forward_pairs(view, table, begin, end, sums, sums_stride, scratch, logits);
}

/* ---- FwFM: gradient of the pairs' weights ------------------------------- */

/*
 * The pairs of fields f, f + 1, ... with g, g + 1, ..., TILE of each; where
 * there are fewer the last one is taken again.
 */
PM_INLINE void
pair_tile(const FmTable *table, int f, int g, int count, const float *scratch,
		  const float *residuals, double *gradient)
{
	int			fields = table->field_count;
	int			vectors = (table->factors + FM_LANES - 1) / FM_LANES;
	size_t		width = (size_t) table->width;
	size_t		first[TILE];
	size_t		second[TILE];
	FmVector	sum[TILE][TILE] = {{{0}}};

	for (int t = 0; t < TILE; t++)
	{
		first[t] = (f + t < fields ? f + t : fields - 1) * width;
		second[t] = (g + t < fields ? g + t : fields - 1) * width;
	}
	for (int i = 0; i < count; i++)
		for (int j = 0; j < vectors; j++)
		{
			const float *row = scratch + (size_t) i * fields * width + j * FM_LANES;
			FmVector	scale = residuals[i] * LOAD(table->mask + j * FM_LANES);
			FmVector	v[TILE];

			for (int t = 0; t < TILE; t++)
				v[t] = scale * LOAD(row + first[t]);
			for (int u = 0; u < TILE; u++)
			{
				FmVector	other = LOAD(row + second[u]);

				for (int t = 0; t < TILE; t++)
					sum[t][u] += v[t] * other;
			}
		}
	for (int t = 0; t < TILE; t++)
		for (int u = 0; u < TILE; u++)
			if (g + u < fields && f + t < g + u)
				gradient[(f + t) * fields + g + u] = (double) sum_of(&sum[t][u]);
}

PM_INLINE void
pair_gradient_body(const FmTable *table, int count, const float *scratch,
				   const float *residuals, double *gradient)
{
	for (int f = 0; f < table->field_count; f += TILE)
		for (int g = f; g < table->field_count; g += TILE)
			pair_tile(table, f, g, count, scratch, residuals, gradient);
}

PM_CLONES(pair_gradient,
		  (const FmTable *table, int count, const float *scratch,
		   const float *residuals, double *gradient),
		  (table, count, scratch, residuals, gradient));

void
pm_fm_pair_gradient(const FmTable *table, int count, const float *scratch,
					const float *residuals, double *gradient)
{
	pair_gradient(table, count, scratch, residuals, gradient);
}

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
		STORE(grad + j * FM_LANES, LOAD(grad + j * FM_LANES) + r * LOAD(sums + j * FM_LANES));
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
			total[j] += r * LOAD(sums + (size_t) i * width + (from + j) * FM_LANES);
	}
	for (int j = 0; j < vectors; j++)
		STORE(grad + (from + j) * FM_LANES, LOAD(grad + (from + j) * FM_LANES) + total[j]);
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
