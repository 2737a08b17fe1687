/*
 * fm_cases.h
 *		Factorisation machines written naively: double precision, every pair
 *		of a row's entries, the gradient of every parameter in every step.
 */
#ifndef FM_CASES_H
#define FM_CASES_H

#include "logistic_cases.h"

#define NAIVE_ENTRIES 256		/* of a row */

/* Parameters in the order of PmFm.first: intercept, linear, factor, pair. */
typedef struct NaiveFm
{
	bool		field_weighted;
	int			factors;
	int			fields;
	int			coefficients;
	int			count;			/* of parameters */
	double	   *parameters;
	double	   *first;
	double	   *second;
	double	   *gradient;
	int			steps;
} NaiveFm;

extern PmFmOptions fm_options(bool field_weighted, int factors);

/* The entries of a row; how many. */
extern int	fm_entries(const PmCtrRows *rows, int64_t i, PmCtrEntry *entries);

/* Give all weights of a model values of about this size. */
extern void fm_fill(PmFm *fm, double scale, uint64_t seed);

/* Weights and state of a model. */
extern NaiveFm *naive_new(const PmFm *fm);
extern void naive_free(NaiveFm *naive);

/* Parameter number `at` of a model, or of its state (1, 2). */
extern double fm_parameter(const PmFm *fm, int at);

extern double naive_logit(const NaiveFm *naive, const PmCtrRows *rows,
						  int64_t i);

/* Mean weighted log loss and penalty of rows order[0], ..., [count - 1]. */
extern double naive_loss(const NaiveFm *naive, const PmCtrRows *rows,
						 const uint32_t *order, int count, double l2);

/* Its gradient. */
extern void naive_gradient(NaiveFm *naive, const PmCtrRows *rows,
						   const uint32_t *order, int count, double l2);

/* One step of every parameter. */
extern void naive_step(NaiveFm *naive, const PmFmOptions *options);

/* The order in which an epoch after `steps` batches takes the rows; n. */
extern uint32_t *fm_order(const PmCtrRows *rows, const PmFmOptions *options,
						  const PmFm *fm);

#endif							/* FM_CASES_H */
