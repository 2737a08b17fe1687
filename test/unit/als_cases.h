/*
 * als_cases.h
 *		Matrices for the tests of alternating least squares, and its objective
 *		worked out naively, over every pair and in doubles.
 */
#ifndef ALS_CASES_H
#define ALS_CASES_H

#include "als.h"

/* A matrix and its transpose, from malloc. */
typedef struct AlsCase
{
	PmCsr		by_user;
	PmCsr		by_item;
} AlsCase;

/*
 * A share of the pairs seen, with weights from 0.5 to 3, or stars from 1 to 5;
 * each fifth user and each seventh item has nothing if gaps.
 */
extern AlsCase *als_case_random(int32_t users, int32_t items, double share,
								bool stars, bool gaps, uint64_t seed);

/* From a dense array of users * items values; NAN: not seen. */
extern AlsCase *als_case_dense(int32_t users, int32_t items,
							   const double *values);
extern void als_case_free(AlsCase *rows);

/* The options that tests begin with. */
extern PmAlsOptions als_options(PmAlsFeedback feedback, int factors);

/*
 * Solve all rows of a matrix exactly, each from a dense system over every
 * column; out is (rows, factors + 1), the bias last, 0 where there is none.
 */
extern void als_naive_half(const PmAlsOptions *options, const PmCsr *matrix,
						   double mean, const float *vectors,
						   const float *biases, double *out);

/* The objective over every pair. */
extern double als_naive_loss(const PmCsr *by_user, const PmAls *als);

/* The score in doubles. */
extern double als_naive_score(const PmAls *als, int32_t user, int32_t item);

#endif							/* ALS_CASES_H */
