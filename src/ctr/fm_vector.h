/*
 * fm_vector.h
 *		Vectors of factorisation machines, and what a field adds to a row.
 *
 * `vectors`, at most 4, is a constant wherever these functions end up, so that
 * sums stay in registers.
 */
#ifndef FM_VECTOR_H
#define FM_VECTOR_H

#include "fm.h"

#include <string.h>

/* Rows between asking for one's weights and using them. */
#define FM_AHEAD 2

#define FM_LOAD(address) ((FmVector) *(const FmStored *) (address))
#define FM_STORE(address, vector) (*(FmStored *) (address) = (FmStored) (vector))

/* The sum of a vector's numbers. */
PM_INLINE float
fm_sum(const FmVector *vector)
{
	float		x[FM_LANES];

	memcpy(x, vector, sizeof(x));
	return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

/* Add v x and its square to sums; `vectors` is a constant where this goes. */
PM_INLINE void
fm_add_row(const float *row, int vectors, FmVector *sums, FmVector *squares)
{
	for (int j = 0; j < vectors; j++)
	{
		FmVector	v = FM_LOAD(row + j * FM_LANES);

		sums[j] += v;
		squares[j] += v * v;
	}
}

PM_INLINE void
fm_add_scaled_row(const float *row, float x, int vectors, FmVector *sums,
			   FmVector *squares)
{
	for (int j = 0; j < vectors; j++)
	{
		FmVector	v = FM_LOAD(row + j * FM_LANES) * x;

		sums[j] += v;
		if (squares != NULL)
			squares[j] += v * v;
	}
}

/* A piece of one field's part in a row. */
PM_INLINE void
fm_add_field(const FmView *view, const PmCtrField *field, const int32_t *codes,
		  const float *rows, size_t width, int vectors, int64_t i,
		  FmVector *sums, FmVector *squares)
{
	if (field->kind == PM_CTR_CODE)
	{
		int32_t		code = codes[view->place + i];

		if (code >= 0)
			fm_add_row(rows + (size_t) code * width, vectors, sums, squares);
	}
	else if (field->kind == PM_CTR_SET)
	{
		int64_t		row = pm_fm_row(view, i);

		for (int64_t k = field->offsets[row]; k < field->offsets[row + 1]; k++)
			fm_add_row(rows + (size_t) field->codes[k] * width, vectors, sums, squares);
	}
	else
	{
		const float *x = field->values + pm_fm_row(view, i) * field->count;

		for (int32_t k = 0; k < field->count; k++)
			fm_add_scaled_row(rows + (size_t) k * width, x[k], vectors, sums, squares);
	}
}

/* Ask for the weights of a row's categories before they are needed. */
PM_INLINE void
fm_prefetch_row(const FmView *view, const FmTable *table, int64_t i)
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

#endif							/* FM_VECTOR_H */
