/*
 * calibrate.c
 *		From a model's logits to probabilities that are right on average.
 */
#include "pm_metrics.h"

#include <math.h>

#include "pm_ranking.h"

#define CHECK_ROWS (1 << 18)
#define MAX_ITERATIONS 100
#define MIN_STEP 1e-10
#define RIDGE 1e-12				/* relative; keeps the Hessian definite */
#define TOLERANCE 1e-12			/* gradient over weight at which it is done */
#define FLAT 1e-8				/* gain that rounding of the loss may hide */

static inline double
weight_of(const float *weights, int64_t i)
{
	return weights != NULL ? weights[i] : 1;
}

/* Refuse what cannot be calibrated on, and sum up weights by label. */
static PmStatus
check_rows(PmContext *ctx, int64_t n, const float *logits,
		   const uint8_t *labels, const float *weights, double sums[2])
{
	sums[0] = sums[1] = 0;
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "calibration was cancelled");
		if (!isfinite(logits[i]))
			return pm_fail(ctx, PM_INVALID, "the logit of row %lld is %g",
						   (long long) i + 1, logits[i]);
		if (!(weight_of(weights, i) >= 0 && isfinite(weight_of(weights, i))))
			return pm_fail(ctx, PM_INVALID, "the weight of row %lld is %g",
						   (long long) i + 1, weight_of(weights, i));
		sums[labels[i]] += weight_of(weights, i);
	}
	if (!(sums[0] + sums[1] > 0))
		return pm_fail(ctx, PM_INVALID, "there is no row to calibrate on");
	return PM_OK;
}

/* ---- Platt ------------------------------------------------------------- */

/* Rows whose logits are brought to mean 0 and variance 1. */
typedef struct Platt
{
	int64_t		n;
	const float *logits;
	const uint8_t *labels;
	const float *weights;
	double		total;			/* weight */
	double		targets[2];
	double		mean;
	double		scale;			/* 0: all logits are one */
} Platt;

/* The loss at one place and its derivatives by slope and shift. */
typedef struct Place
{
	double		slope;
	double		shift;
	double		loss;
	double		gradient[2];
	double		hessian[3];		/* slope slope, slope shift, shift shift */
} Place;

static inline double
standardised(const Platt *platt, int64_t i)
{
	return (platt->logits[i] - platt->mean) * platt->scale;
}

/* Mean and scale of the logits. */
static PmStatus
measure(PmContext *ctx, Platt *platt)
{
	double		sum = 0;
	double		square = 0;

	for (int64_t i = 0; i < platt->n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "calibration was cancelled");
		sum += weight_of(platt->weights, i) * platt->logits[i];
	}
	platt->mean = sum / platt->total;
	for (int64_t i = 0; i < platt->n; i++)
	{
		double		off = platt->logits[i] - platt->mean;

		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "calibration was cancelled");
		square += weight_of(platt->weights, i) * off * off;
	}
	square = sqrt(square / platt->total);
	/* rounding of the mean is no spread: logits have 24 bits */
	platt->scale = square > 1e-12 * fabs(platt->mean) ? 1 / square : 0;
	return PM_OK;
}

/*
 * Mean loss at a place, -(t log p + (1 - t) log(1 - p)) with targets t, and
 * its derivatives.
 */
static PmStatus
evaluate(PmContext *ctx, const Platt *platt, Place *at)
{
	double		loss = 0;
	double		gradient[2] = {0, 0};
	double		hessian[3] = {0, 0, 0};

	for (int64_t i = 0; i < platt->n; i++)
	{
		double		z = standardised(platt, i);
		double		weight = weight_of(platt->weights, i);
		double		target = platt->targets[platt->labels[i]];
		double		logit = at->slope * z + at->shift;
		double		p = pm_sigmoid(logit);
		double		error = weight * (p - target);
		double		curvature = weight * p * (1 - p);

		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "calibration was cancelled");
		loss += weight * (pm_log_loss_of_logit(logit, true) + (1 - target) * logit);
		gradient[0] += error * z;
		gradient[1] += error;
		hessian[0] += curvature * z * z;
		hessian[1] += curvature * z;
		hessian[2] += curvature;
	}
	at->loss = loss / platt->total;
	for (int j = 0; j < 2; j++)
		at->gradient[j] = gradient[j] / platt->total;
	for (int j = 0; j < 3; j++)
		at->hessian[j] = hessian[j] / platt->total;
	return PM_OK;
}

static inline double
size_of_gradient(const Place *at)
{
	return fabs(at->gradient[0]) + fabs(at->gradient[1]);
}

/*
 * One Newton step, halved until the loss falls enough or, near the minimum,
 * where the loss no longer tells, the gradient does.  *moved is false where
 * rounding leaves nothing to gain.
 */
static PmStatus
newton_step(PmContext *ctx, const Platt *platt, Place *at, bool *moved)
{
	double		a = at->hessian[0] + RIDGE;
	double		b = at->hessian[1];
	double		c = at->hessian[2] + RIDGE;
	double		determinant = a * c - b * b;
	double		slope = -(c * at->gradient[0] - b * at->gradient[1]) / determinant;
	double		shift = -(a * at->gradient[1] - b * at->gradient[0]) / determinant;
	double		descent = slope * at->gradient[0] + shift * at->gradient[1];

	*moved = false;
	for (double step = 1; step >= MIN_STEP; step /= 2)
	{
		Place		next = {.slope = at->slope + step * slope,
		.shift = at->shift + step * shift};

		PM_TRY(evaluate(ctx, platt, &next));
		if (descent > -FLAT ? size_of_gradient(&next) < size_of_gradient(at) :
			next.loss < at->loss + 1e-4 * step * descent)
		{
			*at = next;
			*moved = true;
			break;
		}
	}
	return PM_OK;
}

PmStatus
pm_calibrate_platt(PmContext *ctx, int64_t n, const float *logits,
				   const uint8_t *labels, const float *weights, double *slope,
				   double *shift)
{
	Platt		platt = {.n = n,.logits = logits,.labels = labels,.weights = weights};
	Place		at = {0};
	double		sums[2];
	bool		moved = true;

	PM_TRY(check_rows(ctx, n, logits, labels, weights, sums));
	platt.total = sums[0] + sums[1];
	platt.targets[0] = 1 / (sums[0] + 2);
	platt.targets[1] = (sums[1] + 1) / (sums[1] + 2);
	PM_TRY(measure(ctx, &platt));
	at.shift = log((sums[0] * platt.targets[0] + sums[1] * platt.targets[1]) /
				   (sums[0] * (1 - platt.targets[0]) + sums[1] * (1 - platt.targets[1])));

	/* the best there is where nothing tells rows or labels apart */
	if (platt.scale > 0 && sums[0] > 0 && sums[1] > 0)
	{
		PM_TRY(evaluate(ctx, &platt, &at));
		for (int i = 0; i < MAX_ITERATIONS && moved &&
			 size_of_gradient(&at) > TOLERANCE; i++)
			PM_TRY(newton_step(ctx, &platt, &at, &moved));
	}
	*slope = at.slope * platt.scale;
	*shift = at.shift - *slope * platt.mean;
	return PM_OK;
}

/* ---- isotonic ---------------------------------------------------------- */

/* Neighbouring logits that share one value. */
typedef struct Block
{
	double		first;
	double		last;
	double		weight;
	double		ones;			/* weight of the rows of label 1 */
} Block;

/* Rows that count, by logit. */
static PmStatus
rank_rows(PmContext *ctx, int64_t n, const float *logits, const float *weights,
		  PmRanked **ranked, int64_t *count)
{
	*count = 0;
	PM_TRY(pm_alloc(ctx, "the ranking", n, sizeof(PmRanked), ranked));
	for (int64_t i = 0; i < n; i++)
	{
		if (i % CHECK_ROWS == 0 && pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "calibration was cancelled");
		if (weight_of(weights, i) > 0)
			(*ranked)[(*count)++] = (PmRanked) {pm_rank_key(logits[i]), i};
	}
	return pm_rank_sort(ctx, *count, ranked);
}

static inline double
mean_of(const Block *block)
{
	return block->ones / block->weight;
}

/* Join the last blocks while they do not increase; gives how many there are. */
static int64_t
pool(Block *blocks, int64_t count)
{
	for (; count > 1 && mean_of(&blocks[count - 2]) >= mean_of(&blocks[count - 1]); count--)
	{
		Block	   *into = &blocks[count - 2];
		const Block *from = &blocks[count - 1];

		into->ones += from->ones;
		into->weight += from->weight;
		into->last = from->last;
	}
	return count;
}

/* Blocks of increasing value over ranked rows. */
static PmStatus
make_blocks(PmContext *ctx, int64_t n, const PmRanked *ranked,
			const uint8_t *labels, const float *weights, Block **blocks,
			int64_t *count)
{
	size_t		capacity = 0;
	int64_t		checked = 0;

	*blocks = NULL;
	*count = 0;
	for (int64_t begin = 0, end = 0; begin < n; begin = end)
	{
		double		score = pm_rank_score(ranked[begin].key);
		double		weight = 0;
		double		ones = 0;

		for (; end < n && ranked[end].key == ranked[begin].key; end++)
		{
			weight += weight_of(weights, ranked[end].row);
			ones += weight_of(weights, ranked[end].row) * labels[ranked[end].row];
		}
		if (end > checked)
		{
			checked = end + CHECK_ROWS;
			if (pm_interrupted(ctx))
				return pm_fail(ctx, PM_CANCELLED, "calibration was cancelled");
		}
		PM_TRY(pm_reserve(ctx, "the calibration", *count + 1, sizeof(Block),
						  blocks, &capacity));
		(*blocks)[*count] = (Block) {score, score, weight, ones};
		*count = pool(*blocks, *count + 1);
	}
	return PM_OK;
}

/* The corners of the blocks: where each begins and, if elsewhere, ends. */
static PmStatus
make_points(PmContext *ctx, int64_t block_count, const Block *blocks,
			int32_t *count, double **thresholds, double **values)
{
	int64_t		points = block_count;

	for (int64_t b = 0; b < block_count; b++)
		points += blocks[b].first < blocks[b].last;
	if (points > INT32_MAX)
		return pm_fail(ctx, PM_TOO_LARGE, "isotonic regression has %lld points",
					   (long long) points);
	PM_TRY(pm_alloc(ctx, "the calibration", points, sizeof(double), thresholds));
	PM_TRY(pm_alloc(ctx, "the calibration", points, sizeof(double), values));
	*count = 0;
	for (int64_t b = 0; b < block_count; b++)
	{
		(*thresholds)[*count] = blocks[b].first;
		(*values)[(*count)++] = mean_of(&blocks[b]);
		if (blocks[b].first < blocks[b].last)
		{
			(*thresholds)[*count] = blocks[b].last;
			(*values)[(*count)++] = mean_of(&blocks[b]);
		}
	}
	return PM_OK;
}

PmStatus
pm_calibrate_isotonic(PmContext *ctx, int64_t n, const float *logits,
					  const uint8_t *labels, const float *weights,
					  int32_t *count, double **thresholds, double **values)
{
	PmRanked   *ranked;
	Block	   *blocks;
	int64_t		ranked_count;
	int64_t		block_count;
	double		sums[2];

	PM_TRY(check_rows(ctx, n, logits, labels, weights, sums));
	PM_TRY(rank_rows(ctx, n, logits, weights, &ranked, &ranked_count));
	PM_TRY(make_blocks(ctx, ranked_count, ranked, labels, weights, &blocks,
					   &block_count));
	pm_release(ctx, ranked);
	PM_TRY(make_points(ctx, block_count, blocks, count, thresholds, values));
	pm_release(ctx, blocks);
	return PM_OK;
}

double
pm_isotonic_apply(double logit, int32_t count, const double *thresholds,
				  const double *values)
{
	int32_t		low = 0;		/* thresholds[low] <= logit < thresholds[high] */
	int32_t		high = count - 1;

	if (isnan(logit) || count < 1)
		return NAN;
	if (logit <= thresholds[0])
		return values[0];
	if (logit >= thresholds[high])
		return values[high];
	while (high - low > 1)
	{
		int32_t		middle = low + (high - low) / 2;

		if (thresholds[middle] <= logit)
			low = middle;
		else
			high = middle;
	}
	return values[low] + (values[high] - values[low]) *
		((logit - thresholds[low]) / (thresholds[high] - thresholds[low]));
}
