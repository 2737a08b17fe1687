/*
 * gram.h
 *		Products of the columns of a sparse matrix with each other.
 */
#ifndef PM_GRAM_H
#define PM_GRAM_H

#include "pm_csr.h"

/*
 * G = X'X as a dense (columns, columns) matrix of which the upper triangle is
 * written.  Sums are in double and in the order of the rows.
 */
extern PmStatus pm_gram_dense(PmContext *ctx, const PmCsr *matrix,
							  float *gram);

/*
 * The same as a sparse matrix, with both triangles: an element for every two
 * columns that some row has both of, itself included.
 */
extern PmStatus pm_gram_sparse(PmContext *ctx, const PmCsr *matrix,
							   PmCsr *gram);

#endif							/* PM_GRAM_H */
