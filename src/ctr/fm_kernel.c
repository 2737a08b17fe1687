/*
 * fm_kernel.c
 *		Factorisation machines: logits of a block of rows, FM.
 *
 * A row's sum of v x stays in registers while the fields add to it: the width
 * is taken in pieces of up to 4 vectors, each its own pass over the block.
 */
#include "fm_vector.h"

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

		if (from == 0 && i + FM_AHEAD < end)
			fm_prefetch_row(view, table, i + FM_AHEAD);
		for (int f = 0; f < rows->field_count; f++)
			fm_add_field(view, &rows->fields[f], view->codes[f],
					  table->rows + (size_t) rows->fields[f].first * width + from * FM_LANES,
					  width, vectors, i, sum, square);
		for (int j = 0; j < vectors; j++)
		{
			FM_STORE(sums + (size_t) i * width + (from + j) * FM_LANES, sum[j]);
			total += FM_LOAD(table->mask + (from + j) * FM_LANES) * (sum[j] * sum[j] - square[j]);
		}
		logits[i] += 0.5f * fm_sum(&total);
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
	pm_fm_forward_pairs(view, table, begin, end, sums, sums_stride, scratch, logits);
}
