/*
 * neighbours.h
 *		Which rows of a sparse matrix are alike: users by what they took, items
 *		by who took them.
 *
 * For rows a and b, whose elements are a_c and b_c, n the number of columns
 * that both have, and s the shrinkage, the similarity is n / (n + s) times
 *
 *		cosine			sum a_c b_c / sqrt(sum a_c^2 * sum b_c^2); the sums of
 *						squares are over all of a row's elements
 *		pearson			the correlation of a_c and b_c over the columns that
 *						both have; not defined with one column, or where one
 *						of them is constant there
 *		adjusted_cosine	cosine after a user's mean has been taken from all of
 *						the user's weights (Sarwar et al. 2001, with norms
 *						over all elements): rows are users, or columns are
 *		jaccard			n / (elements of a + elements of b - n)
 *		tfidf			cosine of sqrt(a_c) * idf_c
 *		bm25			cosine of idf_c * a_c (k1 + 1) / (k1 l_a + a_c), where l_a
 *						= 1 - b + b * (sum of a's weights) / (mean such sum)
 *
 * with idf_c = ln(rows that have elements) - ln(1 + rows that have column c),
 * the weights of tfidf and bm25 being those of the Python package implicit,
 * which takes the plain dot product of bm25's, not its cosine.
 *
 * A row is no neighbour of its own, nor is one without a common column.
 * Similarities are rounded to 44 bits: those that are equal on paper are
 * equal, and the smaller row comes first.
 */
#ifndef NEIGHBOURS_H
#define NEIGHBOURS_H

#include "pm_csr.h"

typedef enum PmNeighbourMetric
{
	PM_NEIGHBOUR_COSINE,
	PM_NEIGHBOUR_PEARSON,
	PM_NEIGHBOUR_ADJUSTED_COSINE,
	PM_NEIGHBOUR_JACCARD,
	PM_NEIGHBOUR_TFIDF,
	PM_NEIGHBOUR_BM25
} PmNeighbourMetric;

typedef struct PmNeighbourOptions
{
	PmNeighbourMetric metric;
	bool		columns_are_users;	/* for adjusted_cosine */
	double		shrinkage;		/* 0 or more */
	int32_t		min_overlap;	/* columns in common, at least 1 */
	double		bm25_k1;
	double		bm25_b;
} PmNeighbourOptions;

typedef struct PmNeighbour
{
	double		similarity;
	int32_t		row;
	int32_t		common;			/* columns that both rows have */
} PmNeighbour;

/* A matrix made ready to be asked. */
typedef struct PmNeighbours
{
	PmNeighbourOptions options;
	const PmCsr *rows;
	const PmCsr *columns;		/* its transpose */
	bool		counts;			/* counting the common columns is enough ... */
	double		unit;			/* ... with this product in each */
	double	   *row_values;		/* the weights, as the metric has them */
	double	   *column_values;	/* the same in the transpose */
	double	   *squares;		/* of each row: the sum of its squares, or the
								 * number of its elements for jaccard */
	double	   *inverse;		/* 1 / sqrt(squares), to sort out most; 0: none */
} PmNeighbours;

/* The matrix and its transpose must stay as long as the result is used. */
extern PmStatus pm_neighbours_prepare(PmContext *ctx, const PmCsr *rows,
									  const PmCsr *columns,
									  const PmNeighbourOptions *options,
									  PmNeighbours *neighbours);

/* Give its arrays back early. */
extern void pm_neighbours_release(PmContext *ctx, PmNeighbours *neighbours);

/* The k nearest of one row, the nearest first; list has room for k. */
extern PmStatus pm_neighbours_of_row(PmContext *ctx,
									 const PmNeighbours *neighbours,
									 int32_t row, int32_t k,
									 PmNeighbour *list, int32_t *count);

/*
 * Those of every row, on the context's threads: row i's are (*list)[(*offsets)[i]
 * .. (*offsets)[i + 1]).  Both are from the arena.
 */
extern PmStatus pm_neighbours_of_rows(PmContext *ctx,
									  const PmNeighbours *neighbours,
									  int32_t k, int64_t **offsets,
									  PmNeighbour **list);

#endif							/* NEIGHBOURS_H */
