/*
 * logistic.h
 *		What the files of logistic regression share.
 *
 * The fit runs on centred columns: a DENSE x enters as x - centre, which
 * changes the intercept only.  A vector of coefficients has the intercept of
 * the centred columns at 0 and coefficient j at 1 + j; p is their number
 * without the intercept.
 *
 * Files: logistic_data.c (what the rows hold), logistic_rows.c (a pass over
 * the rows), logistic_block.c (a block of it), logistic_hessian.c (X'WX),
 * logistic_newton.c, logistic_lbfgs.c, logistic_finish.c (aliases, separation,
 * standard errors), logistic_log.c, logistic.c (the fit as a whole).
 */
#ifndef LOGISTIC_H
#define LOGISTIC_H

#include "pm_ctr.h"
#include "pm_parallel.h"

/* Most rows of a block. */
#define LOGISTIC_BLOCK 1024

/* Most coefficients, without the intercept, for a Hessian. */
#define LOGISTIC_MAX_HESSIAN 2000

/* A pivot of X'X this small beside its diagonal: a dependent column. */
#define LOGISTIC_DEPENDENT 1e-10

/* A pivot this small has no digit left. */
#define LOGISTIC_SINGULAR 1e-13

/* ---- logistic_data.c ---------------------------------------------------- */

/* What the rows hold, by coefficient (p) where it is an array. */
typedef struct LogisticData
{
	const PmCtrRows *rows;
	int32_t		p;
	int32_t		dense;			/* DENSE numbers a row */
	double		codes;			/* categories a row, on average */
	double		code_squares;	/* the average of their number's square */
	int32_t		max_codes;		/* at most */
	bool	   *missing;		/* field_count: CODE with rows that have none */
	double	   *centre;			/* weighted mean of a DENSE column, else 0 */
	double	   *scale;			/* its deviation, 1 where constant, else 1 */
	double	   *mass;			/* sum of weight * (x - centre)^2 */
	double	   *positive_mass;	/* of a category: weight of its rows of 1 */
	double		weight;			/* sum of all */
	double		positive;		/* sum of those of 1 */
} LogisticData;

/* PM_INVALID where there is no row, one class only, or a bad weight. */
extern PmStatus pm_logistic_data_open(PmContext *ctx, const PmCtrRows *rows,
									  LogisticData *data);
extern void pm_logistic_data_close(PmContext *ctx, LogisticData *data);

/* ---- logistic_rows.c ---------------------------------------------------- */

/* What a pass over the rows computes. */
typedef enum LogisticMode
{
	LOGISTIC_WEIGHTS,			/* "gradient" is the sum of weight * x ... */
	LOGISTIC_POSITIVES,			/* ... of the rows of 1 only */
	LOGISTIC_LOSS,				/* loss alone */
	LOGISTIC_GRADIENT,			/* loss and gradient */
	LOGISTIC_HESSIAN,			/* these and the Hessian */
	LOGISTIC_MARGIN				/* least and largest of y z, with y = -1, 1 */
} LogisticMode;

/* Sums over all rows. */
typedef struct LogisticSums
{
	double		loss;			/* of weight * log loss */

	/* of LOGISTIC_HESSIAN and LOGISTIC_MARGIN */
	double		largest;		/* |z| */
	double		least_margin;
	double		largest_margin;
} LogisticSums;

/* How the sums of a field are made. */
typedef struct LogisticField
{
	bool		owned;			/* by tasks of its own, not by chunk */
	int			lanes;			/* sums kept for each category */
	int			ranges;			/* tasks, where owned */
	size_t		offset;			/* of its sums, in a chunk's or in `owned` */
} LogisticField;

struct LogisticHessian;

/* One pass after another over the same rows. */
typedef struct LogisticPass
{
	const LogisticData *data;
	int			chunks;			/* tasks of a slab */
	int64_t		chunk_rows;
	int			block_rows;		/* at most LOGISTIC_BLOCK */
	size_t		chunk_size;		/* sums of a chunk */
	double	   *partial;		/* chunks * chunk_size */
	LogisticField *fields;
	double	   *owned;			/* sums of owned fields */
	double	   *residual;		/* of a slab, where there are owned fields */
	struct LogisticHessian *hessian;	/* NULL: none */

	/* of the pass that runs */
	LogisticMode mode;
	const double *b;			/* 1 + p */
	double	   *gradient;		/* 1 + p, or NULL */
	int64_t		slab;			/* its first row */
	int64_t		slab_end;
} LogisticPass;

/* Nanoseconds for a row, about, without a Hessian. */
extern double pm_logistic_row_time(const LogisticData *data);

extern PmStatus pm_logistic_pass_open(PmContext *ctx, const LogisticData *data,
									  bool hessian, LogisticPass *pass);
extern void pm_logistic_pass_close(PmContext *ctx, LogisticPass *pass);

/*
 * Go over all rows with the coefficients b (1 + p).  gradient is of the sum
 * of the weighted losses, with respect to b; NULL where the mode has none.
 */
extern PmStatus pm_logistic_pass(PmContext *ctx, LogisticPass *pass,
								 LogisticMode mode, const double *b,
								 double *gradient, LogisticSums *sums);

/* ---- logistic_block.c --------------------------------------------------- */

/* A block of rows. */
typedef struct LogisticLosses
{
	int			count;			/* a multiple of the vectors' length */
	double		logit[LOGISTIC_BLOCK];
	double		sign[LOGISTIC_BLOCK];	/* -y: 1 for a row of 0, -1 for 1 */
	double		weight[LOGISTIC_BLOCK]; /* 0 past the last row */
	double		residual[LOGISTIC_BLOCK];	/* derivative of the loss by z */
	double		curvature[LOGISTIC_BLOCK];	/* the second one */
	double		loss;			/* sum of all */
} LogisticLosses;

/* Set count, signs and weights for rows [begin, begin + count). */
extern void pm_logistic_read_labels(const PmCtrRows *rows, int64_t begin,
									int count, LogisticLosses *losses);

/*
 * Add x'b to the logits of rows [begin, begin + count).  missing may be NULL:
 * any CODE field may have rows without one.
 */
extern void pm_logistic_add_logits(const PmCtrRows *rows, const bool *missing,
								   const double *centre,
								   const double *coefficients, int64_t begin,
								   int count, double *logits);

/* Residuals, curvatures and the loss from logits, signs and weights. */
extern void pm_logistic_losses(LogisticLosses *losses);

/*
 * Add residual * x to a field's sums: of a DENSE one by column, else by
 * category from -1 on, each with so many lanes (4 for CODE alone, else 1).
 * DENSE and lanes take a block at a time.
 */
extern void pm_logistic_sum_field(const PmCtrField *field,
								  const double *centre, int lanes,
								  int64_t begin, int64_t count,
								  const double *residual, double *sums);

/* ---- logistic_hessian.c ------------------------------------------------- */

typedef struct LogisticHessian LogisticHessian;

/* How many chunks may have a Hessian of their own. */
extern int	pm_logistic_hessian_chunks(const LogisticData *data);

/* Nanoseconds for a row, about. */
extern double pm_logistic_hessian_time(const LogisticData *data);

extern PmStatus pm_logistic_hessian_open(PmContext *ctx,
										 const LogisticData *data, int chunks,
										 LogisticHessian **hessian);
extern void pm_logistic_hessian_close(PmContext *ctx,
									  LogisticHessian *hessian);

/* Start anew with a Hessian of 0. */
extern PmStatus pm_logistic_hessian_clear(PmContext *ctx,
										  LogisticHessian *hessian);

/* Take in rows [begin, begin + count) of a chunk; called by tasks. */
extern void pm_logistic_hessian_add(LogisticHessian *hessian, int chunk,
									int lane, int64_t begin, int count,
									const double *curvature);

/*
 * The lower triangle of X'WX, (1 + p, 1 + p): element (i, j) is divided by
 * divisor[i] * divisor[j].  Adding rows is over; reading may be repeated.
 */
extern PmStatus pm_logistic_hessian_read(PmContext *ctx,
										 LogisticHessian *hessian,
										 const double *divisor,
										 double *matrix);

/* ---- the fit ------------------------------------------------------------ */

/* A fit that goes on; vectors of 1 + p. */
typedef struct LogisticRun
{
	const LogisticData *data;
	const PmLogisticOptions *options;
	double		tol;			/* the option's, or the solver's own */
	PmLogisticFit *fit;
	bool		penalised;		/* l1 or l2 above 0 */
	double	   *b;				/* coefficients */
	double	   *gradient;		/* of the mean objective's smooth part */
	double	   *direction;		/* a step; once separated, where to */
	bool	   *aliased;
	bool	   *dropped;		/* aliased, or singular where it was factored */
	double	   *divisor;		/* sqrt(weight) * scale: makes H unitless */
	double	   *matrix;			/* (1 + p, 1 + p): H, then its factor; NULL
								 * where p is too large */
	double		value;			/* mean loss and l2 part at b */
	LogisticSums sums;			/* of the last pass */

	/* the course */
	const PmCtrRows *eval;		/* NULL: none */
	double		eval_weight;	/* sum of its weights */
	PmCtrLog   *log;
	double		began;
} LogisticRun;

/* logistic.c */

/* The intercept that fits alone. */
extern double pm_logistic_log_odds(const LogisticRun *run);

/*
 * A start that was given is as good as the intercept alone, or is replaced by
 * it: from where all rows are far out nothing leads back.
 */
extern PmStatus pm_logistic_check_start(PmContext *ctx, LogisticRun *run,
										LogisticPass *pass);

/* The smooth part at b and its gradient; aliased elements are 0. */
extern PmStatus pm_logistic_evaluate(PmContext *ctx, LogisticRun *run,
									 LogisticPass *pass, LogisticMode mode,
									 const double *b, double *gradient,
									 double *value);

/* The largest element of a gradient, in units of the columns' deviations. */
extern double pm_logistic_size(const LogisticRun *run, const double *gradient);

/* logistic_log.c: an entry for the b and the loss of the last pass. */
extern PmStatus pm_logistic_record(PmContext *ctx, LogisticRun *run,
								   const double *b, int iteration);

/* logistic_newton.c */
extern PmStatus pm_logistic_newton(PmContext *ctx, LogisticRun *run);

/* Read and factor the Hessian of the last pass; give the Newton step. */
extern PmStatus pm_logistic_factor(PmContext *ctx, LogisticRun *run,
								   LogisticPass *pass);

/* logistic_lbfgs.c */
extern PmStatus pm_logistic_lbfgs(PmContext *ctx, LogisticRun *run);

/* logistic_finish.c */

/* Fix reference categories and columns without weight at 0. */
extern void pm_logistic_alias_references(LogisticRun *run);

/*
 * And those that depend on others, by the Hessian at coefficients of 0.
 * *at_start: that is where run->b is, value and gradient are known.
 */
extern PmStatus pm_logistic_alias_dependent(PmContext *ctx, LogisticRun *run,
											LogisticPass *pass,
											bool *at_start);

/* Has a category rows of one class only? */
extern bool pm_logistic_single_class(const LogisticRun *run);

/*
 * Does no row lose by going in a direction, and some gain?  Then no finite
 * maximum exists.  *largest_move is the most that a logit changes.
 */
extern PmStatus pm_logistic_is_separating(PmContext *ctx, LogisticPass *pass,
										  const double *direction,
										  bool *separating,
										  double *largest_move);

/* Standard errors from the factored matrix. */
extern PmStatus pm_logistic_std_errors(PmContext *ctx, LogisticRun *run);

#endif							/* LOGISTIC_H */
