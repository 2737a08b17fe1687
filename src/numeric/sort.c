/*
 * sort.c
 *		Merge sort over pieces that qsort() has sorted, which alone would keep a
 *		backend from answering for seconds.
 */
#include "pm_sort.h"

#include <stdlib.h>
#include <string.h>

#include "pm_arena.h"

#define PIECE ((size_t) 1 << 15)

typedef struct Merge
{
	PmContext  *ctx;
	size_t		size;			/* of an element */
	int			(*compare) (const void *, const void *);
} Merge;

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static PmStatus
check_interrupt(PmContext *ctx)
{
	return pm_interrupted(ctx) ? pm_fail(ctx, PM_CANCELLED, "sorting was cancelled") : PM_OK;
}

/* Two sorted runs, one after the other, into one. */
static PmStatus
merge_runs(const Merge *merge, const char *from, size_t first, size_t second,
		   char *to)
{
	size_t		size = merge->size;
	const char *left = from;
	const char *left_end = from + first * size;
	const char *right = left_end;
	const char *right_end = right + second * size;

	for (size_t done = 0; left < left_end && right < right_end; done++)
	{
		const char **next = merge->compare(left, right) <= 0 ? &left : &right;

		if (done % PIECE == 0)
			PM_TRY(check_interrupt(merge->ctx));
		memcpy(to, *next, size);
		*next += size;
		to += size;
	}
	memcpy(to, left, left_end - left);
	memcpy(to + (left_end - left), right, right_end - right);
	return PM_OK;
}

/* Merge runs of `length` two by two. */
static PmStatus
merge_pass(const Merge *merge, const char *from, char *to, size_t count,
		   size_t length)
{
	for (size_t begin = 0; begin < count; begin += 2 * length)
	{
		size_t		first = smaller(length, count - begin);
		size_t		second = smaller(length, count - begin - first);

		PM_TRY(check_interrupt(merge->ctx));
		PM_TRY(merge_runs(merge, from + begin * merge->size, first, second,
						  to + begin * merge->size));
	}
	return PM_OK;
}

static PmStatus
merge_all(const Merge *merge, char *array, char *other, size_t count)
{
	char	   *from = array;
	char	   *to = other;

	for (size_t length = PIECE; length < count; length *= 2)
	{
		char	   *merged = to;

		PM_TRY(merge_pass(merge, from, to, count, length));
		to = from;
		from = merged;
	}
	if (from != array)
		memcpy(array, from, count * merge->size);
	return PM_OK;
}

PmStatus
pm_sort(PmContext *ctx, void *array, size_t count, size_t size,
		int (*compare) (const void *, const void *))
{
	Merge		merge = {ctx, size, compare};
	void	   *other;
	PmStatus	status;

	for (size_t begin = 0; begin < count; begin += PIECE)
	{
		PM_TRY(check_interrupt(ctx));
		qsort((char *) array + begin * size, smaller(PIECE, count - begin), size, compare);
	}
	if (count <= PIECE)
		return PM_OK;
	PM_TRY(pm_alloc(ctx, "sorting", count, size, &other));
	status = merge_all(&merge, array, other, count);
	pm_release(ctx, other);
	return status;
}
