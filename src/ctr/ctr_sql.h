/*
 * ctr_sql.h
 *		What the SQL functions of click models share.
 */
#ifndef CTR_SQL_H
#define CTR_SQL_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#include "ctr_model.h"
#include "pm_frame.h"
#include "pm_host.h"
#include "pm_model_cache.h"

extern const PmModelKind pm_ctr_kind;

/* The algorithms' names, in the order of CtrAlgorithm, NULL-terminated. */
extern const char *const pm_ctr_algorithms[];

/* ---- options ---------------------------------------------------------- */

/* The options of a training, as given or by default. */
typedef struct CtrCall
{
	CtrAlgorithm algorithm;

	/* which rows and columns */
	List	   *exclude;		/* of an aggregate's record */
	List	   *categorical;	/* integer columns to take as categories */
	char	   *weight_col;
	char	   *time_col;
	double		time_share;		/* newest share that is held out */
	double		eval_fraction;	/* share of all rows that is held out */
	Jsonb	   *class_weight;	/* "balanced", or that of the positives */
	double		negative_rate;
	int			max_categories;
	int			min_frequency;
	Jsonb	   *transform;
	Jsonb	   *crosses;

	/* how */
	double		l1;
	double		l2;
	int			solver;			/* logistic: a PmLogisticSolver */
	int			max_iter;
	double		tol;
	int			epochs;
	double		learning_rate;
	double		beta;			/* ftrl */
	int			hash_bits;
	int			factors;		/* fm, fwfm */
	int			batch_size;
	int			optimizer;		/* a PmFmOptimizer */
	double		init_scale;
	bool		early_stopping;
	int			monitor;		/* a PmFmMonitor */
	int			patience;
	int64		seed;
	int			calibrate;		/* a CtrCalibration */
	char	   *init;			/* a model of the registry to go on from */
} CtrCall;

/* Which function takes the options. */
typedef enum CtrDoor
{
	CTR_TABLE,
	CTR_AGGREGATE,				/* algorithm and exclude are options */
	CTR_UPDATE					/* what a model fixes is no option */
} CtrDoor;

/*
 * Parse; the algorithm is *call's, or for an aggregate among the options.
 * inherited: options in the place of defaults, NULL = none.
 */
extern void pm_ctr_options(CtrCall *call, CtrDoor door, Jsonb *json,
						   Jsonb *inherited);

/* Append the options as used. */
extern void pm_ctr_options_write(StringInfo json, const CtrCall *call,
								 CtrDoor door);

/* Transforms and crosses, with columns found in a schema. */
extern void pm_ctr_layout_options(const CtrCall *call, const PmSchema *schema,
								  CtrLayoutOptions *options);

/* ---- training --------------------------------------------------------- */

/* A training under way: rows, split, what came of them. */
typedef struct CtrTraining
{
	PmContext  *ctx;
	const CtrCall *call;
	CtrDoor		door;
	const char *source;			/* where the rows came from, for meta */
	const char *parent;			/* the id of previous, or NULL */
	CtrModel	model;
	PmCtrLog	log;

	const CtrModel *previous;	/* the model it goes on from, or NULL */
	const int32_t *moved;		/* where each of its coefficients has its
								 * place in the new layout */

	/* every row is accounted for */
	int64		rows_read;		/* of the present epoch, while it is streamed */
	int64		rows_used;
	int64		rows_held_out;
	int64		skipped_label;
	int64		skipped_weight;
	int64		skipped_null;

	double		base_rate;		/* of the rows in training, weighted */
	double		mean_prediction;	/* on them */
	double		loss;
	double		eval_loss;		/* NAN without held-out rows */
	double		eval_auc;
	bool		converged;
	int			iterations;		/* or epochs */
	bool		separated;
	int			aliased;		/* coefficients that are fixed at 0 */
	double		seconds_load;
	double		seconds_fit;
} CtrTraining;

/*
 * The layout for a table's rows: a new one, or the previous model's with new
 * categories added, and its weights in their new places.
 */
extern void pm_ctr_prepare(CtrTraining *training, CtrTable *table);

/* Of the options that a model was made with, those that its update inherits. */
extern Jsonb *pm_ctr_inherited_options(PmContext *ctx,
									   const PmCachedModel *previous);

/*
 * Go on from a model, which must be of the call's algorithm: what it fixes
 * enters the call.  Its columns, by name, are those to read of a source; a
 * missing one is an ERROR.
 */
extern void pm_ctr_check_previous(const PmCachedModel *previous,
								  const CtrCall *call);
extern void pm_ctr_go_on(CtrTraining *training, CtrCall *call,
						 const PmCachedModel *previous);
extern int *pm_ctr_previous_columns(const CtrModel *previous,
									const PmSource *source, int *count);

/*
 * The previous model's weights in the places of the new layout: a start for
 * logistic regression, intercept first, or into a fresh factorisation machine.
 */
extern double *pm_ctr_moved_start(const CtrTraining *training);
extern void pm_ctr_moved_fm(const CtrTraining *training, PmFm *fm);

/* Split a frame's rows, make the layout, fit, calibrate. */
extern void pm_ctr_train_frame(CtrTraining *training, PmFrame *frame);

/* The same with ftrl: over a frame of hashed rows, or streaming a source. */
extern void pm_ctr_train_ftrl_frame(CtrTraining *training, PmFrame *frame);
extern void pm_ctr_train_ftrl_source(CtrTraining *training,
									 const PmSource *source, const int *columns,
									 int count, const PmField *label);

/* Mark the fields that the option "categorical" names. */
extern void pm_ctr_mark_categorical(const CtrCall *call, PmField *fields, int count);

/* A frame's rows without PostgreSQL. */
extern CtrTable pm_ctr_frame_table(const PmFrame *frame);

/* The frame that training reads a source into; row_limit 0 = all rows. */
extern PmFrame *pm_ctr_read_frame(const CtrTraining *training,
								  const PmSource *source, const int *columns,
								  int count, const PmField *label,
								  const CtrCall *call, int64 row_limit);

/* Read a source and train on it. */
extern void pm_ctr_train_source(CtrTraining *training, const PmSource *source,
								const int *columns, int count,
								const PmField *label);

/*
 * The time from which rows are held out: of the two boundaries between
 * different times around the wanted share, the nearer one.
 */
extern double pm_ctr_time_cut(PmContext *ctx, const PmFrame *frame,
							  double share);

/* Fit calibration on held-out logits, and measure them. */
extern void pm_ctr_evaluate_held_out(CtrTraining *training, int64 n,
									 const float *logits,
									 const uint8_t *labels,
									 const float *weights);

/* The model of a finished training. */
extern bytea *pm_ctr_to_model(CtrTraining *training);

/* The row weight that class_weight gives a label. */
typedef struct CtrClassWeights
{
	double		by_label[2];
} CtrClassWeights;

extern CtrClassWeights pm_ctr_class_weights(const CtrCall *call,
											double negatives,
											double positives);

/* An ERROR where the rows cannot be trained on. */
extern void pm_ctr_check_classes(const CtrTraining *training,
								 double negatives, double positives);

/* ---- names ------------------------------------------------------------ */

/* A part's name and an index's, palloc'd; an ERROR where they are no text. */
extern char *pm_ctr_part_text(const CtrModel *model, const CtrPart *part);
extern char *pm_ctr_index_text(const CtrModel *model, const CtrPart *part,
							   int32_t index);

/* ---- scoring ---------------------------------------------------------- */

/* What a scorer keeps beside a model. */
typedef struct CtrScorer
{
	const CtrModel *model;
	PmEncoder  *encoder;
	PmRow	   *row;
	PmCtrEntry *entries;
	int			capacity;		/* of entries */
	void	   *scratch;
	MemoryContext memory;
} CtrScorer;

extern CtrScorer *pm_ctr_scorer(MemoryContext memory, const CtrModel *model);

/*
 * Find the model's columns in a source, by name, and bind the encoder to
 * them; a missing one is an ERROR.  Gives their number.
 */
extern int	pm_ctr_bind_columns(CtrScorer *scorer, const PmSource *source,
								int *columns);

/* The scorer of a cached model, kept with it. */
extern CtrScorer *pm_ctr_cached_scorer(PmCachedModel *cached);

/* A record into scorer->row; false where every feature is NULL. */
extern bool pm_ctr_scorer_read(PmCachedModel *cached, CtrScorer *scorer,
							   HeapTupleHeader record);

/* The nonzeros of scorer->row, in scorer->entries. */
extern int	pm_ctr_scorer_entries(CtrScorer *scorer);

/* The logit of scorer->row. */
extern double pm_ctr_scorer_logit(CtrScorer *scorer);

#endif							/* CTR_SQL_H */
