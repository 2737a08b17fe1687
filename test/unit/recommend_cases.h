/*
 * recommend_cases.h
 *		What the tests of recommenders share: interactions, and the device.
 */
#ifndef RECOMMEND_CASES_H
#define RECOMMEND_CASES_H

#include "fault_device.h"
#include "pm_csr.h"

/*
 * Users by items from malloc.  Items differ in how often they are taken;
 * values are 1, or from 1 to 4.  Every fifth user takes nothing.
 */
extern PmCsr interactions_random(int32_t users, int32_t items, double share,
								 bool counts, uint64_t seed);
extern void interactions_free(PmCsr *matrix);

/* The same as doubles, (rows, columns), from malloc. */
extern double *interactions_dense(const PmCsr *matrix);

/* The last of the devices that can be tested: the CPU's where it is built. */
extern PmDevice *recommend_device(void);

/* Are two sparse matrices equal in every bit? */
extern bool same_csr(const PmCsr *a, const PmCsr *b);

#endif							/* RECOMMEND_CASES_H */
