/*
 * fm_pairs.c
 *		Factorisation machines: logits of a block of rows, FwFM, and the
 *		gradient of the pairs' weights.
 *
 * What is summed over pairs of fields is taken in tiles of some fields, which
 * stay in registers.
 */
#include "fm_vector.h"

/* Fields taken together where pairs are. */
#define TILE 4

/* ---- logits ------------------------------------------------------------- */

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
		fm_add_field(view, &rows->fields[f], view->codes[f],
				  table->rows + (size_t) rows->fields[f].first * width + from * FM_LANES,
				  width, vectors, i, sum, square);
		for (int j = 0; j < vectors; j++)
			FM_STORE(embedded + (size_t) f * width + (from + j) * FM_LANES, sum[j]);
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
			FmVector	v = FM_LOAD(embedded + (size_t) g * width + (from + j) * FM_LANES);

			for (int t = 0; t < tile; t++)
				sum[t][j] += pair[t * fields + g] * v;
		}
	for (int t = 0; t < tile; t++)
		for (int j = 0; j < vectors; j++)
		{
			FmVector	product = sum[t][j] * FM_LOAD(table->mask + (from + j) * FM_LANES);

			FM_STORE(met + (size_t) (f + t) * stride + (from + j) * FM_LANES, product);
			*total += product *
				FM_LOAD(embedded + (size_t) (f + t) * width + (from + j) * FM_LANES);
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

		if (i + FM_AHEAD < end)
			fm_prefetch_row(view, table, i + FM_AHEAD);
		embed_row(view, table, i, embedded);
		meet_row(table, embedded, met, stride, &total);
		for (int f = 0; f < table->field_count; f++)
		{
			/* the linear weight's vector may have no factor */
			if (linear % FM_LANES == 0)
				FM_STORE(met + (size_t) f * stride + linear, (FmVector) {0});
			met[(size_t) f * stride + linear] = 1;
			z += embedded[(size_t) f * width + linear];
		}
		logits[i] += z + 0.5f * fm_sum(&total);
	}
}

PM_CLONES(forward_pairs,
		  (const FmView *view, const FmTable *table, int begin, int end,
		   float *sums, size_t stride, float *scratch, float *logits),
		  (view, table, begin, end, sums, stride, scratch, logits));

void
pm_fm_forward_pairs(const FmView *view, const FmTable *table, int begin,
					int end, float *sums, size_t stride, float *scratch,
					float *logits)
{
	forward_pairs(view, table, begin, end, sums, stride, scratch, logits);
}

/* ---- gradient of the pairs' weights ------------------------------------- */

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
			FmVector	scale = residuals[i] * FM_LOAD(table->mask + j * FM_LANES);
			FmVector	v[TILE];

			for (int t = 0; t < TILE; t++)
				v[t] = scale * FM_LOAD(row + first[t]);
			for (int u = 0; u < TILE; u++)
			{
				FmVector	other = FM_LOAD(row + second[u]);

				for (int t = 0; t < TILE; t++)
					sum[t][u] += v[t] * other;
			}
		}
	for (int t = 0; t < TILE; t++)
		for (int u = 0; u < TILE; u++)
			if (g + u < fields && f + t < g + u)
				gradient[(f + t) * fields + g + u] = (double) fm_sum(&sum[t][u]);
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
