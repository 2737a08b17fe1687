/*
 * leakage.h
 *		How well one column alone tells the label: too well is a leak.
 */
#ifndef LEAKAGE_H
#define LEAKAGE_H

#include "pm_context.h"

typedef struct PmLeakageRows
{
	int64_t		n;
	const uint8_t *labels;
	const float *weights;		/* NULL = all 1 */
} PmLeakageRows;

/* What is not defined, where there is one class only, is NAN. */
typedef struct PmLeakage
{
	double		value;			/* AUC of the number itself, or 1 - AUC */
	double		category;		/* AUC of the label's rate among equal values */
	double		missing;		/* AUC of being NULL, or 1 - AUC */
	double		coverage;		/* weight of the rows where it is not NULL */
	int64_t		known[2];		/* such rows by label */
} PmLeakage;

/*
 * Of numbers, NAN for NULL: `stride` apart.  Also as categories, for codes of
 * which a middle one tells all.
 */
extern PmStatus pm_leakage_number(PmContext *ctx, const PmLeakageRows *rows,
								  const float *values, int stride,
								  PmLeakage *leakage);

/*
 * Of categories, codes below 0 for NULL.  Rates are learnt on one half of the
 * rows and scored on the other, both ways, so that a value of its own for
 * each row tells nothing.
 */
extern PmStatus pm_leakage_category(PmContext *ctx, const PmLeakageRows *rows,
									const int32_t *codes, int stride,
									PmLeakage *leakage);

/* Of sets: row i has codes [offsets[i], offsets[i + 1]); none counts as NULL. */
extern PmStatus pm_leakage_set(PmContext *ctx, const PmLeakageRows *rows,
							   const int64_t *offsets, const int32_t *codes,
							   PmLeakage *leakage);

#endif							/* LEAKAGE_H */
