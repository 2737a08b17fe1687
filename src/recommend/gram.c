/*
 * gram.c
 *		Products of the columns of a sparse matrix with each other.
 *
 * A row of the product at a time: for each of the rows of X that have the
 * column, all of that row is added to sums of the product's row.  A column
 * that many rows have takes several turns.
 */
#include "gram.h"

#include <string.h>

#include "share.h"

/* Nanoseconds of a product, and of finding a row, about. */
#define PRODUCT_TIME 1
#define ROW_TIME 20

/* What a slot works with. */
typedef struct Slot
{
	double	   *sums;			/* columns, 0 between items */
	uint64_t   *touched;		/* columns / 64: bits of the sums in use */
	int64_t		at;				/* element of the column to go on from */
} Slot;

typedef struct Gram
{
	const PmCsr *matrix;
	PmCsr		transposed;
	Slot	   *slots;
	float	   *dense;
	PmCsr	   *sparse;
	int64_t    *counts;			/* of a sparse product's rows */
} Gram;

static inline int64_t
word_count(int32_t columns)
{
	return ((int64_t) columns + 63) / 64;
}

/* The first element of a row, from `begin` on, whose column is not below. */
static int64_t
find_column(const int32_t *indices, int64_t begin, int64_t end, int32_t column)
{
	while (begin < end)
	{
		int64_t		middle = begin + (end - begin) / 2;

		if (indices[middle] < column)
			begin = middle + 1;
		else
			end = middle;
	}
	return begin;
}

/* Add the upper part of the product's row. */
static bool
dense_row(void *argument, int number, int64_t item, bool fresh, int64_t *budget)
{
	Gram	   *gram = argument;
	Slot	   *slot = &gram->slots[number];
	const PmCsr *matrix = gram->matrix;
	const PmCsr *transposed = &gram->transposed;
	double	   *sums = slot->sums;
	int64_t		end = transposed->offsets[item + 1];
	float	   *out = gram->dense + (size_t) item * matrix->columns;

	if (fresh)
		slot->at = transposed->offsets[item];
	for (; slot->at < end && *budget > 0; slot->at++)
	{
		int32_t		row = transposed->indices[slot->at];
		double		value = transposed->values[slot->at];
		int64_t		last = matrix->offsets[row + 1];
		int64_t		i = find_column(matrix->indices, matrix->offsets[row], last, (int32_t) item);

		*budget -= ROW_TIME + PRODUCT_TIME * (last - i);
		for (; i < last; i++)
			sums[matrix->indices[i]] += value * matrix->values[i];
	}
	if (slot->at < end)
		return false;
	for (int32_t column = (int32_t) item; column < matrix->columns; column++)
		out[column] = (float) sums[column];
	memset(sums + item, 0, (size_t) (matrix->columns - item) * sizeof(double));
	*budget -= PRODUCT_TIME * (matrix->columns - item);
	return true;
}

/* Count the elements of the product's row. */
static bool
count_row(void *argument, int number, int64_t item, bool fresh, int64_t *budget)
{
	Gram	   *gram = argument;
	Slot	   *slot = &gram->slots[number];
	const PmCsr *matrix = gram->matrix;
	const PmCsr *transposed = &gram->transposed;
	int64_t		end = transposed->offsets[item + 1];
	int64_t		count = 0;

	if (fresh)
		slot->at = transposed->offsets[item];
	for (; slot->at < end && *budget > 0; slot->at++)
	{
		int32_t		row = transposed->indices[slot->at];
		int64_t		last = matrix->offsets[row + 1];

		*budget -= ROW_TIME + PRODUCT_TIME * (last - matrix->offsets[row]);
		for (int64_t i = matrix->offsets[row]; i < last; i++)
			slot->touched[matrix->indices[i] >> 6] |= UINT64_C(1) << (matrix->indices[i] & 63);
	}
	if (slot->at < end)
		return false;
	for (int64_t word = 0; word < word_count(matrix->columns); word++)
		count += __builtin_popcountll(slot->touched[word]);
	gram->counts[item] = count;
	memset(slot->touched, 0, (size_t) word_count(matrix->columns) * sizeof(uint64_t));
	*budget -= word_count(matrix->columns);
	return true;
}

/* Move a row's sums to where its elements go. */
static void
write_row(Gram *gram, Slot *slot, int64_t item)
{
	PmCsr	   *sparse = gram->sparse;
	int64_t		at = sparse->offsets[item];

	for (int64_t word = 0; word < word_count(sparse->columns); word++)
	{
		uint64_t	bits = slot->touched[word];

		for (slot->touched[word] = 0; bits != 0; bits &= bits - 1)
		{
			int32_t		column = (int32_t) (word * 64 + __builtin_ctzll(bits));

			sparse->indices[at] = column;
			sparse->values[at++] = (float) slot->sums[column];
			slot->sums[column] = 0;
		}
	}
}

/* Add all of the product's row. */
static bool
sparse_row(void *argument, int number, int64_t item, bool fresh, int64_t *budget)
{
	Gram	   *gram = argument;
	Slot	   *slot = &gram->slots[number];
	const PmCsr *matrix = gram->matrix;
	const PmCsr *transposed = &gram->transposed;
	double	   *sums = slot->sums;
	int64_t		end = transposed->offsets[item + 1];

	if (fresh)
		slot->at = transposed->offsets[item];
	for (; slot->at < end && *budget > 0; slot->at++)
	{
		int32_t		row = transposed->indices[slot->at];
		double		value = transposed->values[slot->at];
		int64_t		last = matrix->offsets[row + 1];

		*budget -= ROW_TIME + 2 * PRODUCT_TIME * (last - matrix->offsets[row]);
		for (int64_t i = matrix->offsets[row]; i < last; i++)
		{
			int32_t		column = matrix->indices[i];

			sums[column] += value * matrix->values[i];
			slot->touched[column >> 6] |= UINT64_C(1) << (column & 63);
		}
	}
	if (slot->at < end)
		return false;
	write_row(gram, slot, item);
	*budget -= word_count(matrix->columns) +
		3 * (gram->sparse->offsets[item + 1] - gram->sparse->offsets[item]);
	return true;
}

static PmStatus
open_slots(PmContext *ctx, Gram *gram)
{
	size_t		count = (size_t) pm_share_slots(ctx);
	size_t		columns = (size_t) gram->matrix->columns;
	size_t		words = (size_t) word_count(gram->matrix->columns);

	PM_TRY(pm_alloc_zero(ctx, "sums of products", count, sizeof(Slot), &gram->slots));
	PM_TRY(pm_alloc_zero(ctx, "sums of products", count * columns, sizeof(double), &gram->slots[0].sums));
	PM_TRY(pm_alloc_zero(ctx, "sums of products", count * words, sizeof(uint64_t), &gram->slots[0].touched));
	for (size_t slot = 1; slot < count; slot++)
	{
		gram->slots[slot].sums = gram->slots[0].sums + slot * columns;
		gram->slots[slot].touched = gram->slots[0].touched + slot * words;
	}
	return PM_OK;
}

static void
close_gram(PmContext *ctx, Gram *gram)
{
	if (gram->slots != NULL)
	{
		pm_release(ctx, gram->slots[0].sums);
		pm_release(ctx, gram->slots[0].touched);
	}
	pm_release(ctx, gram->slots);
	pm_release(ctx, gram->counts);
	pm_csr_release(ctx, &gram->transposed);
}

static PmStatus
make_dense(PmContext *ctx, Gram *gram)
{
	PM_TRY(pm_csr_transpose(ctx, gram->matrix, &gram->transposed));
	PM_TRY(open_slots(ctx, gram));
	return pm_share(ctx, "products of items", gram->matrix->columns, dense_row, gram);
}

PmStatus
pm_gram_dense(PmContext *ctx, const PmCsr *matrix, float *dense)
{
	Gram		gram = {.matrix = matrix,.dense = dense};
	PmStatus	status = make_dense(ctx, &gram);

	close_gram(ctx, &gram);
	return status;
}

static PmStatus
make_sparse(PmContext *ctx, Gram *gram)
{
	int32_t		columns = gram->matrix->columns;
	PmCsr	   *sparse = gram->sparse;
	size_t		total;

	PM_TRY(pm_csr_transpose(ctx, gram->matrix, &gram->transposed));
	PM_TRY(open_slots(ctx, gram));
	PM_TRY(pm_alloc(ctx, "products of items", (size_t) columns, sizeof(int64_t), &gram->counts));
	PM_TRY(pm_share(ctx, "counts of products", columns, count_row, gram));
	PM_TRY(pm_alloc(ctx, "products of items", (size_t) columns + 1, sizeof(int64_t), &sparse->offsets));
	sparse->offsets[0] = 0;
	for (int32_t i = 0; i < columns; i++)
		sparse->offsets[i + 1] = sparse->offsets[i] + gram->counts[i];
	total = (size_t) sparse->offsets[columns];
	PM_TRY(pm_alloc(ctx, "products of items", total, sizeof(int32_t), &sparse->indices));
	PM_TRY(pm_alloc(ctx, "products of items", total, sizeof(float), &sparse->values));
	return pm_share(ctx, "products of items", columns, sparse_row, gram);
}

PmStatus
pm_gram_sparse(PmContext *ctx, const PmCsr *matrix, PmCsr *sparse)
{
	Gram		gram = {.matrix = matrix,.sparse = sparse};
	PmStatus	status;

	memset(sparse, 0, sizeof(*sparse));
	sparse->rows = sparse->columns = matrix->columns;
	status = make_sparse(ctx, &gram);
	close_gram(ctx, &gram);
	if (status != PM_OK)
		pm_csr_release(ctx, sparse);
	return status;
}
