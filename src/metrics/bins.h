/*
 * bins.h
 *		Predictions in bins, and what was seen there.
 */
#ifndef BINS_H
#define BINS_H

#include "pm_context.h"

typedef enum PmBinning
{
	PM_BINS_QUANTILE,			/* of about equal weight */
	PM_BINS_UNIFORM				/* of equal width in [0, 1] */
} PmBinning;

typedef struct PmBin
{
	int64_t		n;
	double		weight;
	double		squares;		/* sum of the squares of the weights */
	double		positives;		/* weight of the rows of label 1 */
	double		predictions;	/* weighted sum */
	double		lowest;			/* prediction; undefined in an empty bin */
} PmBin;

/*
 * Put the rows into `count` bins, the lowest predictions first.  Rows of one
 * prediction are in one bin: that in which their middle lies.  So a bin may
 * be empty.  *bins is from the arena.
 */
extern PmStatus pm_metrics_bins(PmContext *ctx, int64_t n,
								const double *predictions,
								const uint8_t *labels, const float *weights,
								PmBinning binning, int count, PmBin **bins);

/*
 * Wilson's interval (1927) of a rate that was seen in n rows, at 95 %; n may
 * be the effective number of weighted rows (Kish 1965).
 */
extern void pm_metrics_wilson(double rate, double n, double *lower,
							  double *upper);

#endif							/* BINS_H */
