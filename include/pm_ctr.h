/*
 * pm_ctr.h
 *		Click models: the algorithms, over sparse one-hot and dense columns.
 *
 * Knows no PostgreSQL.  src/ctr/layout.c turns a table's columns into fields
 * (transforms, crosses, rare categories) and src/ctr/train_sql.c puts the
 * result into a model.
 *
 * A model gives a row the logit z; its click probability is 1 / (1 + e^-z).
 */
#ifndef PM_CTR_H
#define PM_CTR_H

#include "pm_arena.h"
#include "pm_context.h"

/* ---- rows ------------------------------------------------------------- */

typedef enum PmCtrFieldKind
{
	PM_CTR_DENSE,				/* `count` numbers a row */
	PM_CTR_CODE,				/* one category a row, or none */
	PM_CTR_SET					/* any number of categories a row */
} PmCtrFieldKind;

/*
 * One field: what a column, or a cross of columns, gives the algorithm.  It
 * owns the coefficients [first, first + count).  Arrays are by field, so that
 * a thread that owns a field owns its coefficients too.
 */
typedef struct PmCtrField
{
	PmCtrFieldKind kind;
	int32_t		first;
	int32_t		count;
	const float *values;		/* DENSE: n * count, row-major, finite */
	const int32_t *codes;		/* CODE: n, SET: offsets[n]; in [0, count),
								 * or -1 in a CODE for none */
	const int64_t *offsets;		/* SET: n + 1; row i has the codes
								 * [offsets[i], offsets[i + 1]) */
} PmCtrField;

/*
 * Rows in canonical order, which is random (src/data/order.c): any range of
 * them is a random sample.  A row's category enters with the value 1.
 */
typedef struct PmCtrRows
{
	int64_t		n;
	int			field_count;
	const PmCtrField *fields;
	int32_t		coefficient_count;	/* of all fields; no intercept */
	const uint8_t *labels;		/* n, 0 or 1 */
	const float *weights;		/* n, all > 0; NULL = all 1 */
} PmCtrRows;

/* One nonzero of a single row, for scoring. */
typedef struct PmCtrEntry
{
	int32_t		field;
	int32_t		index;			/* of the coefficient, over all fields */
	float		value;
} PmCtrEntry;

/* ---- the course of a training ------------------------------------------ */

/* One epoch or iteration; what is not known is NAN. */
typedef struct PmCtrLogEntry
{
	double		epoch;			/* from 1 */
	double		loss;			/* mean weighted log loss in training */
	double		eval_loss;		/* the same on the evaluation rows */
	double		eval_auc;
	double		seconds;		/* since the training began */
} PmCtrLogEntry;

typedef struct PmCtrLog
{
	PmCtrLogEntry *entries;
	size_t		count;
	size_t		capacity;
} PmCtrLog;

/* Append an entry; log may be NULL. */
extern PmStatus pm_ctr_log_add(PmContext *ctx, PmCtrLog *log,
							   const PmCtrLogEntry *entry);

/* Seconds of a clock that only goes forward. */
extern double pm_ctr_clock(void);

/* ---- logistic regression ----------------------------------------------- */

typedef enum PmLogisticSolver
{
	PM_LOGISTIC_AUTO,			/* newton where that is likely the faster, or
								 * there is no penalty and it is affordable */
	PM_LOGISTIC_LBFGS,			/* OWL-QN when l1 > 0 */
	PM_LOGISTIC_NEWTON			/* without l1, up to 2,000 coefficients */
} PmLogisticSolver;

/*
 * Minimise  sum_i w_i log(1 + exp(-y_i z_i)) + l1 |b|_1 + l2/2 |b|^2  with
 * y = -1 or 1 and z = intercept + x'b; the intercept is not penalised.  l2 is
 * scikit-learn's 1 / C.
 */
typedef struct PmLogisticOptions
{
	double		l1;
	double		l2;
	PmLogisticSolver solver;
	int			max_iter;
	double		tol;			/* stop when the largest element of the
								 * gradient (for l1: pseudo-gradient) of the
								 * objective, divided by the sum of weights,
								 * is at most this; DENSE columns count in
								 * units of their standard deviation. 0: 1e-8
								 * by Newton's method, 1e-6 by L-BFGS */
	bool		standard_errors;	/* from the Hessian, where l1 = l2 = 0 and
									 * there are at most 2,000 coefficients */
	const double *contrast;		/* coefficient_count; intercept_std_err is that
								 * of intercept + contrast'b: for columns that
								 * were shifted. NULL = all 0 */
	const double *start;		/* intercept first; NULL, or no better than
								 * the intercept alone: that */
} PmLogisticOptions;

typedef struct PmLogisticFit
{
	double		intercept;
	double	   *coefficients;	/* coefficient_count */
	double		intercept_std_err;	/* see contrast; NAN where there is none */
	double	   *std_errors;		/* coefficient_count, NAN where there is none:
								 * aliased, or infinite as the classes
								 * separate; NULL when not computed */

	/*
	 * Of an unpenalised fit, else NULL: the most frequent category of each
	 * CODE field that all rows have, columns without a row, and, up to 2,000
	 * coefficients, those that are linear combinations of ones before them.
	 * Their coefficient is 0.
	 */
	bool	   *aliased;

	/*
	 * No finite maximum exists: some rows are told apart without error.  The
	 * coefficients concerned are large and say no more than that; the others
	 * are what they tend to.  Found for certain up to 2,000 coefficients;
	 * beyond, where a category has one class only or all rows are told apart.
	 */
	bool		separated;
	double		loss;			/* mean weighted log loss at the solution */
	int			iterations;
	bool		converged;		/* tol is reached, or double precision's end */
} PmLogisticFit;

/*
 * PM_INVALID when the labels are of one class only, there is no row, or the
 * fields do not follow each other without a gap.  eval and log may be NULL;
 * the log gets an entry for each iteration, with the loss on eval, without
 * its AUC.  All arrays of the fit are from the arena.
 */
extern PmStatus pm_logistic_fit(PmContext *ctx, const PmCtrRows *rows,
								const PmCtrRows *eval,
								const PmLogisticOptions *options,
								PmCtrLog *log, PmLogisticFit *fit);

/* Give a fit's arrays back early.  Allowed on a fit of zeros. */
extern void pm_logistic_release(PmContext *ctx, PmLogisticFit *fit);

/* Logits of all rows. */
extern PmStatus pm_logistic_logits(PmContext *ctx, const PmCtrRows *rows,
								   double intercept,
								   const double *coefficients, float *logits);

/* ---- factorisation machines -------------------------------------------- */

/*
 * z = intercept + sum_i w_i x_i + sum_{i<j} r(f_i, f_j) <v_i, v_j> x_i x_j
 * over the nonzeros i of a row, f_i the field of i.  FM (Rendle 2010): r = 1.
 * FwFM (Pan et al. 2018): r is learnt, symmetric; pairs within one field are
 * left out.
 */
typedef enum PmFmOptimizer
{
	PM_FM_ADAM,
	PM_FM_ADAGRAD
} PmFmOptimizer;

/* What tells the best epoch, on the evaluation rows. */
typedef enum PmFmMonitor
{
	PM_FM_LOG_LOSS,
	PM_FM_AUC
} PmFmMonitor;

typedef struct PmFmOptions
{
	bool		field_weighted; /* FwFM */
	int			factors;
	PmFmOptimizer optimizer;
	double		learning_rate;
	double		l2;				/* on all of w and v, added to the mean loss
								 * of each batch as l2/2 |.|^2 */
	double		init_scale;		/* deviation of the initial v */
	int			epochs;
	int			batch_size;
	uint64_t	seed;
	bool		early_stopping; /* on the evaluation rows, by monitor; the
								 * weights of the best epoch are kept, and
								 * each epoch that is not better multiplies
								 * the learning rate by 0.3 */
	PmFmMonitor monitor;
	int			patience;		/* epochs without a better one */
} PmFmOptions;

/*
 * Every batch is a step of every coefficient, as in a framework that keeps the
 * gradient of the whole table (what published results are made with): one
 * without rows in the batch has the penalty's gradient, and Adam's momentum
 * goes on.  Steps that a coefficient misses are made up for when a row needs
 * it: up to 4 exactly, more in strides that are close to exact.
 *
 * Adam is of Kingma and Ba 2015 with beta 0.9 and 0.999, epsilon 1e-8, bias
 * corrected; AdaGrad of Duchi et al. 2011, epsilon 1e-10.
 */

/* Weights and the optimiser's state, which a later training goes on from. */
typedef struct PmFm
{
	bool		field_weighted;
	int			factors;
	int			field_count;
	int32_t		coefficient_count;
	float		intercept;
	float	   *linear;			/* coefficient_count */
	float	   *factor;			/* coefficient_count * factors, row-major */
	float	   *pair;			/* FwFM: field_count * field_count, symmetric,
								 * diagonal 0; else NULL */

	/*
	 * Adam: first and second moments; AdaGrad: second holds the sums of
	 * squares and first is NULL.  Each in the order intercept, linear, factor,
	 * pair.
	 */
	PmFmOptimizer optimizer;
	int64_t		steps;			/* batches so far */
	float	   *first;
	float	   *second;
} PmFm;

/* Number of elements of PmFm.first and second. */
extern size_t pm_fm_state_size(const PmFm *fm);

/*
 * Fresh weights: the intercept is the base rate's logit, linear weights are 0,
 * factors normal, pairs 1.  All arrays are from the arena.
 */
extern PmStatus pm_fm_init(PmContext *ctx, const PmCtrRows *rows,
						   const PmFmOptions *options, PmFm *fm);

/*
 * Train further, each epoch in an order of its own that depends on seed and
 * fm->steps: so 2 epochs and 3 from where these ended are the same as 5.
 * Sizes, field_weighted and the optimizer are the model's, not the options'.
 * eval may be NULL.  Results depend on rows, options and the state of fm
 * alone, not on the number of threads.  The arrays that fm came with are left
 * as they are; those it gets are from the arena.  PM_INVALID where the weights
 * do not stay finite.
 */
extern PmStatus pm_fm_fit(PmContext *ctx, const PmCtrRows *rows,
						  const PmCtrRows *eval, const PmFmOptions *options,
						  PmFm *fm, PmCtrLog *log);

/* Give a model's arrays back early, where they are from the arena. */
extern void pm_fm_release(PmContext *ctx, PmFm *fm);

/* Logits of all rows. */
extern PmStatus pm_fm_logits(PmContext *ctx, const PmCtrRows *rows,
							 const PmFm *fm, float *logits);

/*
 * The logit of one row, in double so that it is the sum of its contributions;
 * scratch holds field_count * factors of them.
 */
extern double pm_fm_logit(const PmFm *fm, const PmCtrEntry *entries, int count,
						  double *scratch);

/*
 * What each entry adds to the logit: its linear term and half of each pair
 * term that it is part of.  With the intercept they sum to the logit.
 * scratch holds (field_count + 1) * factors doubles.
 */
extern void pm_fm_contributions(const PmFm *fm, const PmCtrEntry *entries,
								int count, double *scratch,
								double *contributions);

#endif							/* PM_CTR_H */
