/*
 * ftrl.h
 *		FTRL-proximal (McMahan et al. 2013): logistic regression row by row.
 *
 * Its memory is the table of coefficients' states alone.  A coefficient is
 *
 *		w = 0                                          where |z| <= l1 or n = 0, else
 *		w = -(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2)
 *
 * with n the sum of squared gradients and z that of gradients, corrected for
 * the steps taken.
 */
#ifndef CTR_FTRL_H
#define CTR_FTRL_H

#include "pm_ctr.h"

typedef struct FtrlState
{
	float		z;
	float		n;
} FtrlState;

typedef struct Ftrl
{
	double		alpha;			/* the learning rate */
	double		beta;
	double		l1;
	double		l2;
	int32_t		size;			/* of the table */
	FtrlState  *table;
	FtrlState	intercept;		/* not penalised */
} Ftrl;

extern PmStatus pm_ftrl_init(PmContext *ctx, Ftrl *ftrl, int32_t size);

/* The coefficient of a state. */
extern double pm_ftrl_weight(const Ftrl *ftrl, FtrlState state);
extern double pm_ftrl_intercept(const Ftrl *ftrl);

/* Bytes of scratch memory for a row of so many entries. */
extern size_t pm_ftrl_scratch(int count);

/* Have a row's states come from memory while something else is done. */
extern void pm_ftrl_prefetch(const Ftrl *ftrl, const PmCtrEntry *entries,
							 int count);

/*
 * The logit of a row as the table stands.  The scratch memory keeps what
 * pm_ftrl_learn() needs.
 */
extern double pm_ftrl_logit(const Ftrl *ftrl, const PmCtrEntry *entries,
							int count, float *scratch);

/*
 * Learn the row whose logit was just computed; error is its probability less
 * its label, times its weight.  Entries that share a coefficient all step
 * from where it was.
 */
extern void pm_ftrl_learn(Ftrl *ftrl, const PmCtrEntry *entries, int count,
						  float *scratch, double error);

#endif							/* CTR_FTRL_H */
