/*
 * fm.h
 *		What the files of factorisation machines share.
 *
 * While training, a coefficient's factors and its linear weight are one row
 * of a table, `width` numbers that are a multiple of a vector: the factors,
 * the linear weight in place `factors`, zeros.  A sum of such rows thus has
 * the linear term in it, and a gradient the sum of residuals.
 *
 * Files: fm.c (fresh weights, what is acceptable), fm_table.c (a PmFm to a
 * table and back), fm_kernel.c and fm_pairs.c (logits of a block of rows, FM
 * and FwFM), fm_gradient.c (losses and gradients of a block), fm_step.c (the
 * optimisers), fm_field.c (what a field does with a batch), fm_epoch.c (one
 * pass over the rows), fm_team.c (threads that work through phases),
 * fm_train.c (epochs and when to stop), fm_score.c (logits and contributions
 * of a model).
 */
#ifndef FM_H
#define FM_H

#include "pm_clones.h"
#include "pm_ctr.h"
#include "pm_parallel.h"

#include <stdatomic.h>

/* Numbers of a vector. */
#define FM_LANES 8

/* Most rows of a chunk: what a thread takes at a time. */
#define FM_CHUNK 128

#define FM_MAX_FACTORS 1024

typedef float FmVector __attribute__((vector_size(4 * FM_LANES)));

/* How vectors lie in memory: anywhere. */
typedef float FmStored __attribute__((vector_size(4 * FM_LANES), aligned(4), may_alias));

/* ---- fm_table.c --------------------------------------------------------- */

typedef struct FmTable
{
	bool		field_weighted;
	PmFmOptimizer optimizer;
	int			factors;
	int			width;			/* of a row */
	int			state_width;	/* Adam: both moments; AdaGrad: the squares */
	int			field_count;
	int32_t		count;			/* of rows */
	float		intercept;
	float		intercept_state[2];
	float	   *rows;			/* count * width */
	float	   *state;			/* count * state_width; NULL: none */
	float	   *pair;			/* field_count * field_count, or NULL */
	float	   *pair_state[2];
	int32_t		prefetched;		/* fields of more categories than that */
	float	   *mask;			/* width: 1 in the places of factors */
} FmTable;

/* The width of rows for so many factors. */
static inline int
pm_fm_width(int factors)
{
	return (factors + 1 + FM_LANES - 1) / FM_LANES * FM_LANES;
}

/* A table of a model; with_state: for training. */
extern PmStatus pm_fm_table_open(PmContext *ctx, const PmFm *fm,
								 bool with_state, FmTable *table);
extern void pm_fm_table_close(PmContext *ctx, FmTable *table);

/* Copy a table into a model's arrays; PM_INVALID where it is not finite. */
extern PmStatus pm_fm_table_read(PmContext *ctx, FmTable *table, PmFm *fm);

/* A coefficient's slot, in the batch whose stamp it bears. */
typedef struct FmSlot
{
	uint32_t	stamp;
	int32_t		slot;
} FmSlot;

/* ---- fm_kernel.c -------------------------------------------------------- */

/* Rows as the kernels take them: number i is the row order[i] of the data. */
typedef struct FmView
{
	const PmCtrRows *rows;
	const uint32_t *order;		/* NULL: begin + i */
	int64_t		begin;
	const int32_t *const *codes;	/* by field; of a CODE field, by place + i */
	int64_t		place;
} FmView;

static inline int64_t
pm_fm_row(const FmView *view, int64_t i)
{
	return view->order != NULL ? view->order[i] : view->begin + i;
}

/*
 * Logits of rows [begin, end) of a view, by place in `logits`; at most
 * FM_CHUNK rows.  FM: sums (width a row, by place) becomes what the rows'
 * gradients are made of, the sum of v x, with 1 in the place of the linear
 * weight.  FwFM: the same by field, of what the field meets, a field's
 * `sums_stride` apart; scratch holds field_count * width numbers a row of
 * the chunk, and keeps each field's sum of v x.
 */
extern void pm_fm_forward(const FmView *view, const FmTable *table, int begin,
						  int end, float *sums, size_t sums_stride,
						  float *scratch, float *logits);

/* ---- fm_pairs.c --------------------------------------------------------- */

/* pm_fm_forward() of FwFM; logits are added to. */
extern void pm_fm_forward_pairs(const FmView *view, const FmTable *table,
								int begin, int end, float *sums,
								size_t stride, float *scratch, float *logits);

/* Add up residual * <e_f, e_g> of the rows in scratch; (field_count)^2, f < g. */
extern void pm_fm_pair_gradient(const FmTable *table, int count,
								const float *scratch, const float *residuals,
								double *gradient);

/* ---- fm_gradient.c ------------------------------------------------------ */

/*
 * residuals = weight * (probability - label) from logits; gives the sums of
 * weights, of losses and of residuals.  residuals may be NULL.
 */
extern void pm_fm_residuals(const FmView *view, int begin, int end,
							const float *logits, float *residuals,
							double totals[3]);

/* grad[slot] += residual * sums, row after row; slot -1: none. */
extern void pm_fm_scatter(int width, int count, const int32_t *slots,
						  const float *residuals, const float *sums,
						  float *grad);

/* The same of a SET or DENSE field, whose slots are by coefficient. */
extern void pm_fm_scatter_set(const FmView *view, const PmCtrField *field,
							  int width, int count, const FmSlot *slot_of,
							  const float *residuals, const float *sums,
							  float *grad);
extern void pm_fm_scatter_dense(const FmView *view, const PmCtrField *field,
								int width, int count, const float *residuals,
								const float *sums, float *grad,
								float *squares);

/* ---- fm_step.c ---------------------------------------------------------- */

/* Strides of 1, 2, 4, ... steps, of coefficients without rows. */
#define FM_STRIDES 11

/* Adam over a stride of h steps, j = 1..h. */
typedef struct FmStride
{
	float		steps;			/* h */
	float		power1;			/* beta1^h */
	float		power2;			/* beta2^h */
	float		half2;			/* beta2^(h/2) */
	float		sum1;			/* sum of beta1^j */

	/* of a gradient that rises from 0 by 1/h a step: the first moment after
	 * the stride, and its sum over the steps */
	float		ramp;
	float		ramp_sum;
} FmStride;

/* The optimiser, in one epoch. */
typedef struct FmStepper
{
	PmFmOptimizer optimizer;
	float		learning_rate;
	float		l2;
	int64_t		first_step;		/* steps before the epoch */

	/* Adam, by step of the epoch from 1; bias corrections */
	float	   *rates;			/* learning_rate / (1 - beta1^t) */
	float	   *scales;			/* 1 / sqrt(1 - beta2^t) */

	FmStride	strides[FM_STRIDES];	/* by power of 2 */
} FmStepper;

extern PmStatus pm_fm_stepper_open(PmContext *ctx, const PmFmOptions *options,
								   PmFmOptimizer optimizer, int64_t steps,
								   FmStepper *stepper);
extern void pm_fm_stepper_close(PmContext *ctx, FmStepper *stepper);

/* Set out for an epoch of `steps` steps. */
extern void pm_fm_stepper_begin(FmStepper *stepper, int64_t first_step,
								int64_t steps);

/*
 * Bring coefficients, `seen` steps of the epoch old, to `step`, with no
 * gradient but the penalty's.  list NULL: first, first + 1, ...
 */
extern void pm_fm_catch_up(const FmStepper *stepper, FmTable *table,
						   int32_t *seen, int32_t first, const int32_t *list,
						   int32_t count, int32_t step);

/*
 * One step with gradients: grad holds a row for each coefficient of the list,
 * the sum of residual * x * sums; squares the sum of residual * x^2, or NULL
 * where x is 1.
 */
extern void pm_fm_step(const FmStepper *stepper, FmTable *table,
					   int32_t *seen, int32_t first, const int32_t *list,
					   int32_t count, const float *grad,
					   const float *squares, float inverse_weight,
					   int32_t step);

/* One step of a single number, without penalty. */
extern void pm_fm_step_number(const FmStepper *stepper, float *value,
							  float *first, float *second, float gradient,
							  int32_t step);

/* ---- fm_team.c ---------------------------------------------------------- */

/*
 * Work in phases, each of which begins when the one before it is over.  The
 * threads of a parallel_for take items of the phase; who ends the last one
 * runs finish.  Nothing waits for a thread that has not started.
 */
typedef struct FmTeam
{
	int			(*items) (void *argument, int64_t phase);
	void		(*item) (void *argument, int64_t phase, int index, int lane);
	void		(*finish) (void *argument, int64_t phase);
	void	   *argument;
	int64_t		first;
	int64_t		phases;
	_Atomic uint64_t ticket;	/* phase - first, and the next item */
	_Atomic int done;
} FmTeam;

/* Run phases [first, end) on so many threads. */
extern void pm_fm_team_run(PmContext *ctx, FmTeam *team, int threads,
						   int64_t first, int64_t end);

/* ---- fm_field.c --------------------------------------------------------- */

/* What a field owns while training. */
typedef struct FmField
{
	const PmCtrField *field;
	int32_t		first;			/* its coefficients begin here */
	int32_t		touched_count;	/* in the batch that goes on */
	int32_t    *touched;		/* coefficients within the field, by slot */
	FmSlot	   *slot_of;		/* by coefficient */
	float	   *grad;			/* a row a slot */
	float	   *squares;		/* DENSE: by slot */
	int32_t    *codes;			/* CODE: of the part's rows */
	int32_t    *slots;			/* CODE: of the part's rows */
} FmField;

extern PmStatus pm_fm_field_open(PmContext *ctx, const PmCtrRows *rows,
								 int f, int width, int64_t batch,
								 int part, FmField *field);
extern void pm_fm_field_close(PmContext *ctx, FmField *field);

/*
 * Read a part's rows: which coefficients it touches; they are brought to
 * `step`, and what is new in the batch begins with a gradient of 0.  The
 * stamp is the batch's own, not 0.
 */
extern void pm_fm_field_prepare(FmField *field, const FmView *view, int count,
								const FmStepper *stepper, FmTable *table,
								int32_t *seen, int32_t step, uint32_t stamp);

/* Add the part's gradient. */
extern void pm_fm_field_gather(FmField *field, const FmView *view, int count,
							   int width, const float *residuals,
							   const float *sums);

/* ---- fm_epoch.c --------------------------------------------------------- */

/* Buffers of training, and the pass that goes on. */
typedef struct FmEpoch
{
	const PmCtrRows *rows;
	FmTable    *table;
	FmStepper  *stepper;
	uint64_t	seed;
	int			threads;
	int			lanes;
	int64_t		batch;			/* rows of a batch */
	int			part;			/* at most so many at a time */
	int			chunk;			/* rows of a task */
	int64_t		parts_per_batch;
	int64_t		batches;
	int64_t		parts;			/* of the epoch */
	double		part_time;		/* nanoseconds, about */
	uint32_t   *order;			/* n: the rows in this epoch's order */
	int			block;			/* rows that stay together */
	int64_t		blocks;
	int			order_bits;
	uint64_t	order_keys[8];
	int64_t		turn;			/* where the first block begins */
	FmField    *fields;
	int		   *heaviest_first; /* the fields as threads take them */
	const int32_t **codes;		/* by field */
	int32_t    *seen;			/* steps of the epoch, by coefficient */
	float	   *sums;
	size_t		sums_stride;
	float	   *residuals;
	float	   *logits;
	float	   *scratch;		/* FwFM: by lane */
	size_t		scratch_size;
	double	   *chunk_totals;	/* 3 by chunk */
	double	   *chunk_pairs;	/* FwFM: field_count^2 by chunk */
	double	   *pair_gradient;	/* FwFM: of the batch */
	double		batch_totals[3];
	float		inverse_weight; /* 1 / the batch's weight, once it is known */
	double		progress;		/* of the training, before the epoch ... */
	double		progress_share; /* ... and what the epoch adds */
	double		loss;			/* sums over the epoch */
	double		weight;
} FmEpoch;

extern PmStatus pm_fm_epoch_open(PmContext *ctx, const PmCtrRows *rows,
								 const PmFmOptions *options, FmTable *table,
								 FmStepper *stepper, FmEpoch *epoch);
extern void pm_fm_epoch_close(PmContext *ctx, FmEpoch *epoch);

/* One pass over the rows, from `steps` batches before it. */
extern PmStatus pm_fm_epoch_run(PmContext *ctx, FmEpoch *epoch, int64_t steps);

/* ---- fm_score.c --------------------------------------------------------- */

/* Logits of all rows, by a table; *loss, where not NULL: their mean log loss. */
extern PmStatus pm_fm_table_logits(PmContext *ctx, const PmCtrRows *rows,
								   const FmTable *table, float *logits,
								   double *loss);

/* ---- fm.c --------------------------------------------------------------- */

/* Arrays for a model whose sizes are set: zeros, but the factors. */
extern PmStatus pm_fm_allocate(PmContext *ctx, PmFm *fm);

/* PM_INVALID where rows, options or the model do not fit. */
extern PmStatus pm_fm_check_rows(PmContext *ctx, const PmCtrRows *rows);
extern PmStatus pm_fm_check_options(PmContext *ctx,
									const PmFmOptions *options);
extern PmStatus pm_fm_check_model(PmContext *ctx, const PmCtrRows *rows,
								  const PmFm *fm);

#endif							/* FM_H */
