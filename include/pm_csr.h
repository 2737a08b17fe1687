/*
 * pm_csr.h
 *		Sparse matrices by rows: users and what they took, items and who took
 *		them.
 */
#ifndef PM_CSR_H
#define PM_CSR_H

#include "pm_arena.h"
#include "pm_context.h"

/* Row i has the columns indices[offsets[i] .. offsets[i + 1]), increasing. */
typedef struct PmCsr
{
	int32_t		rows;
	int32_t		columns;
	int64_t    *offsets;		/* rows + 1 */
	int32_t    *indices;		/* offsets[rows] */
	float	   *values;			/* the same; finite */
} PmCsr;

static inline int64_t
pm_csr_count(const PmCsr *matrix)
{
	return matrix->offsets[matrix->rows];
}

/* The transpose, on the context's threads; arrays are from the arena. */
extern PmStatus pm_csr_transpose(PmContext *ctx, const PmCsr *matrix,
								 PmCsr *transposed);

/* Give its arrays back early. */
extern void pm_csr_release(PmContext *ctx, PmCsr *matrix);

#endif							/* PM_CSR_H */
