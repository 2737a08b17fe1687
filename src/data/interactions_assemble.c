/*
 * interactions_assemble.c
 *		Rows of interactions brought together in a sparse matrix.
 *
 * Two counting sorts, by item and then by user, the second being a transpose:
 * the elements of a user come in the order of the items, the rows of one
 * element side by side and in the order in which they were.
 */
#include "interactions.h"

#include <math.h>
#include <string.h>

#include "pm_sort.h"

/* Rows between two looks for interrupts. */
#define CHECK_ROWS (1 << 20)

static bool
time_to_check(PmContext *ctx, int64_t i)
{
	return i % CHECK_ROWS == 0 && pm_interrupted(ctx);
}

static PmStatus
cancelled(PmContext *ctx)
{
	return pm_fail(ctx, PM_CANCELLED, "reading interactions was cancelled");
}

/* Halve the weights for every half_life before the newest row. */
static PmStatus
decay(PmContext *ctx, const PmAssembly *assembly)
{
	PmInteractionRows *rows = assembly->rows;
	double		newest = -INFINITY;

	for (int64_t i = 0; i < rows->count; i++)
		newest = rows->moments[i] > newest ? rows->moments[i] : newest;
	for (int64_t i = 0; i < rows->count; i++)
	{
		if (time_to_check(ctx, i))
			return cancelled(ctx);
		rows->weights[i] = (float) (rows->weights[i] *
									exp2((rows->moments[i] - newest) / assembly->half_life));
	}
	return PM_OK;
}

/* ---- the newest last ---------------------------------------------------- */

typedef struct Moment
{
	double		moment;
	float		weight;
	int32_t		user;
	int32_t		item;
} Moment;

/* By time; at the same time the larger weight last. */
static int
compare_moments(const void *left, const void *right)
{
	const Moment *a = left;
	const Moment *b = right;

	if (a->moment != b->moment)
		return a->moment > b->moment ? 1 : -1;
	return (a->weight > b->weight) - (a->weight < b->weight);
}

/* Sort the rows by time, so that of an element's rows the newest is last. */
static PmStatus
order_by_time(PmContext *ctx, PmInteractionRows *rows)
{
	Moment	   *moments;

	PM_TRY(pm_alloc(ctx, "the order of interactions", (size_t) rows->count, sizeof(Moment),
					&moments));
	for (int64_t i = 0; i < rows->count; i++)
	{
		Moment		moment = {rows->moments[i], rows->weights[i], rows->users[i], rows->items[i]};

		moments[i] = moment;
	}
	PM_TRY(pm_sort(ctx, moments, (size_t) rows->count, sizeof(Moment), compare_moments));
	for (int64_t i = 0; i < rows->count; i++)
	{
		rows->users[i] = moments[i].user;
		rows->items[i] = moments[i].item;
		rows->weights[i] = moments[i].weight;
	}
	pm_release(ctx, moments);
	return PM_OK;
}

/* ---- the matrix --------------------------------------------------------- */

/* The rows by item, as they were within one; their arrays are given back. */
static PmStatus
sort_by_item(PmContext *ctx, const PmAssembly *assembly, PmCsr *by_item)
{
	PmInteractionRows *rows = assembly->rows;
	int64_t		place = 0;
	int64_t    *next;

	memset(by_item, 0, sizeof(*by_item));
	by_item->rows = assembly->item_count;
	by_item->columns = assembly->user_count;
	PM_TRY(pm_alloc_zero(ctx, "interactions", (size_t) by_item->rows + 1, sizeof(int64_t),
						 &by_item->offsets));
	PM_TRY(pm_alloc(ctx, "interactions", (size_t) rows->count, sizeof(int32_t),
					&by_item->indices));
	PM_TRY(pm_alloc(ctx, "interactions", (size_t) rows->count, sizeof(float), &by_item->values));
	next = by_item->offsets + 1;
	for (int64_t i = 0; i < rows->count; i++)
		next[rows->items[i]]++;
	for (int32_t item = 0; item < by_item->rows; item++)
	{
		int64_t		count = next[item];

		next[item] = place;
		place += count;
	}
	for (int64_t i = 0; i < rows->count; i++)
	{
		int64_t		at = next[rows->items[i]]++;

		if (time_to_check(ctx, i))
			return cancelled(ctx);
		by_item->indices[at] = rows->users[i];
		by_item->values[at] = rows->weights[i];
	}
	pm_release(ctx, rows->users);
	pm_release(ctx, rows->items);
	pm_release(ctx, rows->weights);
	pm_release(ctx, rows->moments);
	memset(rows, 0, sizeof(*rows));
	return PM_OK;
}

/* One value of several. */
static float
merge(const float *values, int64_t count, PmDuplicates duplicates)
{
	double		sum = values[0];
	float		largest = values[0];

	if (count == 1)
		return values[0];
	if (duplicates == PM_DUPLICATES_LAST)
		return values[count - 1];
	for (int64_t i = 1; i < count; i++)
	{
		sum += values[i];
		largest = values[i] > largest ? values[i] : largest;
	}
	return duplicates == PM_DUPLICATES_MAX ? largest : (float) sum;
}

/* Make an element of the rows of a user and an item, in place. */
static PmStatus
merge_rows(PmContext *ctx, const PmAssembly *assembly, PmCsr *matrix)
{
	int64_t		begin = 0;
	int64_t		kept = 0;

	for (int32_t user = 0; user < matrix->rows; user++)
	{
		int64_t		end = matrix->offsets[user + 1];

		if (user % 65536 == 0 && pm_interrupted(ctx))
			return cancelled(ctx);
		while (begin < end)
		{
			int32_t		item = matrix->indices[begin];
			int64_t		next = begin + 1;
			float		value;

			while (next < end && matrix->indices[next] == item)
				next++;
			value = merge(matrix->values + begin, next - begin, assembly->duplicates);
			if (!isfinite(value))
				return pm_fail(ctx, PM_INVALID,
							   "the weights of a user and an item add up to more than a float holds");
			begin = next;
			if (value == 0 && !assembly->keep_zeros)
				continue;
			matrix->indices[kept] = item;
			matrix->values[kept++] = value;
		}
		matrix->offsets[user + 1] = kept;
	}
	return PM_OK;
}

/* Drop users and items with few elements; both are counted before. */
static PmStatus
drop_rare(PmContext *ctx, const PmAssembly *assembly, PmCsr *matrix)
{
	int64_t		begin = 0;
	int64_t		kept = 0;
	int32_t    *users;

	PM_TRY(pm_alloc_zero(ctx, "the items' users", matrix->columns, sizeof(int32_t), &users));
	for (int64_t i = 0; i < pm_csr_count(matrix); i++)
		users[matrix->indices[i]]++;
	for (int32_t user = 0; user < matrix->rows; user++)
	{
		int64_t		end = matrix->offsets[user + 1];
		bool		enough = end - begin >= assembly->min_user_count;

		for (int64_t i = begin; i < end; i++)
			if (enough && users[matrix->indices[i]] >= assembly->min_item_count)
			{
				matrix->indices[kept] = matrix->indices[i];
				matrix->values[kept++] = matrix->values[i];
			}
		begin = end;
		matrix->offsets[user + 1] = kept;
	}
	pm_release(ctx, users);
	return PM_OK;
}

PmStatus
pm_interactions_assemble(PmContext *ctx, PmAssembly *assembly, PmCsr *matrix)
{
	PmCsr		by_item;

	memset(matrix, 0, sizeof(*matrix));
	if (assembly->half_life > 0)
		PM_TRY(decay(ctx, assembly));
	if (assembly->duplicates == PM_DUPLICATES_LAST)
		PM_TRY(order_by_time(ctx, assembly->rows));
	PM_TRY(sort_by_item(ctx, assembly, &by_item));
	PM_TRY(pm_csr_transpose(ctx, &by_item, matrix));
	pm_csr_release(ctx, &by_item);
	PM_TRY(merge_rows(ctx, assembly, matrix));
	if (assembly->min_user_count > 1 || assembly->min_item_count > 1)
		PM_TRY(drop_rare(ctx, assembly, matrix));
	return PM_OK;
}
