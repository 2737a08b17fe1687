/*
 * spectrum.h
 *		The largest singular values of a sparse matrix and their vectors.
 */
#ifndef PM_SPECTRUM_H
#define PM_SPECTRUM_H

#include "pm_csr.h"

/* Columns of a strip: the vectors are kept as strips of rows this wide. */
#define PM_STRIP 32

/* Vectors, at most, and those of a block that finds so many. */
#define PM_SPECTRUM_MOST 1024
#define PM_SPECTRUM_BLOCK (PM_SPECTRUM_MOST + 2 * PM_STRIP)

/*
 * The `rank` largest eigenvalues of X'X, falling, and their vectors: the
 * columns of (columns, rank) vectors.  Those that are none, because X has
 * fewer, are 0 and have a vector of zeros.  transposed is X'; rank is at most
 * PM_SPECTRUM_MOST and the columns.
 */
extern PmStatus pm_spectrum(PmContext *ctx, const PmCsr *matrix,
							const PmCsr *transposed, int32_t rank,
							uint64_t seed, double *values, float *vectors);

/* A block of vectors while they are looked for. */
typedef struct Spectrum
{
	const PmCsr *matrix;
	const PmCsr *transposed;
	int32_t		rows;			/* of a vector: the matrix's columns */
	int32_t		size;			/* vectors */
	int32_t		strips;
	float	   *block;			/* strips of (rows, PM_STRIP) */
	float	   *inner;			/* (rows of the matrix, PM_STRIP) */
	float	   *spare[2];		/* (rows, PM_STRIP) */
	double	   *gram;			/* (size, size): of the block with itself */
	double	   *image;			/* with X'X times it */
	double	   *values;			/* size */
	float	   *turn;			/* (size, PM_STRIP * strips) */
	bool	   *dropped;		/* size */
} Spectrum;

/* out = alpha X'X in + beta in + gamma out, on one strip. */
extern PmStatus pm_spectrum_apply(PmContext *ctx, Spectrum *spectrum,
								  const float *in, float *out, float alpha,
								  float beta, float gamma);

/* Turn the block into its Ritz vectors; spectrum->values fall. */
extern PmStatus pm_spectrum_ritz(PmContext *ctx, Spectrum *spectrum);

#endif							/* PM_SPECTRUM_H */
