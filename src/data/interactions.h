/*
 * interactions.h
 *		Rows of interactions as read, before they are brought together.
 */
#ifndef INTERACTIONS_H
#define INTERACTIONS_H

#include "pm_arena.h"
#include "pm_csr.h"

/* One array a property; plain C. */
typedef struct PmInteractionRows
{
	int64_t		count;
	int32_t    *users;
	int32_t    *items;
	float	   *weights;
	double	   *moments;		/* days; NULL: not wanted */
	size_t		capacities[4];
} PmInteractionRows;

typedef enum PmDuplicates
{
	PM_DUPLICATES_SUM,
	PM_DUPLICATES_LAST,			/* the newest */
	PM_DUPLICATES_MAX
} PmDuplicates;

typedef struct PmAssembly
{
	PmInteractionRows *rows;
	int32_t		user_count;
	int32_t		item_count;
	double		half_life;		/* 0 = none */
	PmDuplicates duplicates;
	bool		keep_zeros;
	int			min_user_count;
	int			min_item_count;
} PmAssembly;

/* The matrix, users * items; the rows' arrays are released on the way. */
extern PmStatus pm_interactions_assemble(PmContext *ctx, PmAssembly *assembly,
										 PmCsr *matrix);

#endif							/* INTERACTIONS_H */
