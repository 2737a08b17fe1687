/*
 * pm_als.h
 *		Recommendation by alternating least squares: a vector for every user
 *		and every item, such that products of the two say what was taken.
 *
 * Each kind of feedback has its objective.  s_ui = <x_u, y_i>, r_ui is what
 * the matrix holds, "seen" its elements, "all" each pair of a user and an item:
 *
 *	PM_ALS_IMPLICIT		sum over seen of r (1 - s)^2 + unobserved_weight * sum
 *						over all of s^2 (iALS: Rendle, Krichene, Zhang and
 *						Koren 2021, "Revisiting the performance of iALS")
 *	PM_ALS_CONFIDENCE	sum over all of c (p - s)^2, with p = 1 and
 *						c = 1 + alpha r where seen, p = 0 and c = 1 elsewhere
 *						(Hu, Koren and Volinsky 2008)
 *	PM_ALS_EXPLICIT		sum over seen of (r - mean - b_u - b_i - s)^2
 *
 * and to it comes, for every user and likewise for every item,
 * lambda_u * (|x_u|^2 + b_u^2), where lambda_u = regularization *
 * (seen_u + w * items)^nu and w is what a pair that is not seen weighs:
 * unobserved_weight, 1 or 0.
 *
 * The same input, options and seed give the same bytes with any number of
 * threads.
 */
#ifndef PM_ALS_H
#define PM_ALS_H

#include "pm_csr.h"

#define PM_ALS_MAX_FACTORS 1024
#define PM_ALS_MAX_ITERATIONS 10000
#define PM_ALS_MAX_K 100000

typedef enum PmAlsFeedback
{
	PM_ALS_IMPLICIT,
	PM_ALS_CONFIDENCE,
	PM_ALS_EXPLICIT
} PmAlsFeedback;

/* How the least squares of one user or item are solved. */
typedef enum PmAlsSolver
{
	PM_ALS_AUTO,				/* cholesky for few factors, else cg */
	PM_ALS_CHOLESKY,			/* exactly */
	PM_ALS_CG,					/* some steps of conjugate gradients from
								 * where the last iteration ended (Takacs,
								 * Pilaszy and Tikk 2011) */
	PM_ALS_BLOCKS				/* exactly for one block of factors after the
								 * other (iALS++: Rendle et al. 2021) */
} PmAlsSolver;

typedef struct PmAlsOptions
{
	PmAlsFeedback feedback;
	PmAlsSolver solver;
	int			factors;
	int			iterations;		/* at most */
	double		tolerance;		/* end where an iteration lowers the objective
								 * by a smaller part; 0: never */
	double		regularization;
	double		nu;				/* 0: the same for all; 1: by frequency */
	double		unobserved_weight;	/* PM_ALS_IMPLICIT */
	double		alpha;			/* PM_ALS_CONFIDENCE */
	bool		biases;			/* PM_ALS_EXPLICIT: b_u and b_i */
	double		init_scale;		/* of a vector's length, at the start */
	int			cg_steps;
	int			block_size;		/* PM_ALS_BLOCKS */
	uint64_t	seed;
	bool		loss;			/* compute it after every iteration */
} PmAlsOptions;

extern const PmAlsOptions pm_als_default_options;

/* A model.  Arrays are from the arena that fitted it, or whoever loaded it. */
typedef struct PmAls
{
	PmAlsOptions options;
	int32_t		users;
	int32_t		items;
	float	   *user_factors;	/* users * factors */
	float	   *item_factors;	/* items * factors */
	double		mean;			/* the rest is 0 and NULL unless explicit */
	float	   *user_bias;
	float	   *item_bias;
	float	   *gramian;		/* factors * factors: Y'Y, for fold-in */
} PmAls;

/* What a fit says of itself. */
typedef struct PmAlsLog
{
	int			iterations;		/* done */
	bool		converged;		/* by tolerance */
	double	   *loss;			/* of each; NULL unless it was computed */
} PmAlsLog;

/*
 * Who looks on: called after each iteration, with the loss (NAN where none
 * is computed) and the model as it is.  *stop ends the training.
 */
typedef struct PmAlsWatch
{
	PmStatus	(*look) (PmContext *ctx, void *argument, int iteration,
						 double loss, const PmAls *als, bool *stop);
	void	   *argument;
} PmAlsWatch;

/*
 * Fit a model to a matrix and its transpose.  watch and log may be NULL.
 * PM_INVALID names options or data that do not fit.  On failure the model is
 * zeros and nothing stays allocated.
 */
extern PmStatus pm_als_fit(PmContext *ctx, const PmCsr *by_user,
						   const PmCsr *by_item, const PmAlsOptions *options,
						   const PmAlsWatch *watch, PmAlsLog *log, PmAls *als);

/* Give arrays back early.  Allowed on zeros. */
extern void pm_als_release(PmContext *ctx, PmAls *als);
extern void pm_als_log_release(PmContext *ctx, PmAlsLog *log);

/* The gramian of a model that was loaded without; fold-in needs it. */
extern PmStatus pm_als_prepare(PmContext *ctx, PmAls *als);

/* The objective, exactly. */
extern PmStatus pm_als_loss(PmContext *ctx, const PmCsr *by_user,
							const PmCsr *by_item, const PmAls *als,
							double *loss);

/*
 * The vector of a user that took these items, any order: what half an
 * iteration would give it.  bias is set to 0 where the model has none, and may
 * be NULL.
 */
extern PmStatus pm_als_fold_in(PmContext *ctx, const PmAls *als,
							   int64_t count, const int32_t *items,
							   const float *values, float *factors,
							   float *bias);

/* What the model says of a user and an item. */
extern float pm_als_score(const PmAls *als, int32_t user, int32_t item);

/* Users whose best items are wanted. */
typedef struct PmAlsQuery
{
	int64_t		count;
	const float *factors;		/* count * factors */
	const float *biases;		/* count, or NULL */
	const PmCsr *seen;			/* items to leave out, or NULL ... */
	int32_t		first_seen;		/* ... its row of the first user */
	const bool *allowed;		/* by item, or NULL: all are */
} PmAlsQuery;

/*
 * The k best items of each, best first, the smaller index among equals.
 * items and scores hold count * k; where there are fewer items the rest are
 * -1, with a score of -infinity.
 */
extern PmStatus pm_als_top_k(PmContext *ctx, const PmAls *als,
							 const PmAlsQuery *query, int32_t k,
							 int32_t *items, float *scores);

/* The query for users [first, end) of the model itself. */
extern PmAlsQuery pm_als_users(const PmAls *als, int32_t first, int32_t end,
							   const PmCsr *seen);

#endif							/* PM_ALS_H */
