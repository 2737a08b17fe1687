/*
 * invert.h
 *		Inverses of large positive definite matrices, in place.
 */
#ifndef PM_INVERT_H
#define PM_INVERT_H

#include "pm_arena.h"
#include "pm_context.h"

/*
 * a (n, n): the upper triangle of a symmetric positive definite matrix, of
 * which it becomes that of the negative inverse; below the diagonal is
 * scratch.  PM_INVALID, with its number from 0 in *column, where a column
 * depends on those before it as far as float can tell.
 */
extern PmStatus pm_invert(PmContext *ctx, int32_t n, float *a,
						  int32_t *column);

#endif							/* PM_INVERT_H */
