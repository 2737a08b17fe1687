/*
 * slim.h
 *		What the files of SLIM share: a fit, and an item being solved.
 */
#ifndef SLIM_H
#define SLIM_H

#include "pm_slim.h"

/* Where a slot is with its item. */
typedef struct SlimSlot
{
	int32_t		count;			/* candidates */
	int32_t    *candidates;		/* items, increasing */
	int32_t    *place;			/* items: among the candidates, or -1 */
	double	   *residual;		/* by candidate: of its product with x_j */
	double	   *weight;
	int64_t    *cached;			/* where its row is in the cache, or -1 */
	int32_t    *active;			/* candidates with a weight */
	int32_t		active_count;
	float	   *cache;			/* products of a candidate with each */
	int64_t		cache_used;

	/* the sweep */
	int32_t		sweeps;			/* done */
	bool		full;			/* over all, not the active ones */
	int32_t		at;
	double		change;			/* the largest so far, squared */
} SlimSlot;

typedef struct Slim
{
	const PmSlimOptions *options;
	PmCsr		gram;			/* items by items */
	float	   *diagonal;		/* of it */
	float	   *scale;			/* 1 / sqrt(diagonal); NULL without neighbours */
	bool		screened;		/* products up to l1 have no weight */
	SlimSlot   *slots;
	int64_t		cache_size;		/* floats of a slot */
	int64_t    *offsets;		/* of room for the items' weights */
	int64_t    *counts;			/* weights of each item */
	int32_t    *indices;
	float	   *values;
} Slim;

/* May this element of an item's row have a weight? */
static inline bool
pm_slim_allowed(const Slim *slim, int32_t item, int64_t element)
{
	int32_t		other = slim->gram.indices[element];

	return other != item && slim->diagonal[other] > 0 &&
		(!slim->screened || slim->gram.values[element] > slim->options->l1);
}

/* A PmShareStep: solve for the weights of an item. */
extern bool pm_slim_item(void *argument, int number, int64_t item, bool fresh,
						 int64_t *budget);

#endif							/* SLIM_H */
