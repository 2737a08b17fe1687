/*
 * kmeans_sql.h
 *		What the SQL functions of k-means share.
 */
#ifndef KMEANS_SQL_H
#define KMEANS_SQL_H

#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

#include "pm_frame.h"
#include "pm_host.h"
#include "pm_kmeans_model.h"
#include "pm_model_cache.h"

extern const PmModelKind pm_kmeans_kind;

/* The options of training, as given or by default. */
typedef struct KMeansCall
{
	int			k;				/* 0: chosen by silhouette */
	int			k_min;
	int			k_max;
	int			init;			/* a PmKMeansInit */
	int			n_init;			/* 0: 1 for the careful inits, 10 for random */
	int			max_iter;
	double		tol;
	int64		seed;
	bool		standardize;
	int			metric;			/* a PmKMeansMetric */
	char	   *weight_col;
	int			missing;		/* 0 impute, 1 skip */
	int			max_categories;
	List	   *exclude;		/* of an aggregate's record */
} KMeansCall;

/* Which options a function takes. */
typedef enum KMeansDoor
{
	KMEANS_TABLE,				/* k is an argument */
	KMEANS_SWEEP,				/* k_min and k_max are */
	KMEANS_AGGREGATE			/* k and exclude are options */
} KMeansDoor;

extern void pm_kmeans_options(KMeansCall *call, KMeansDoor door,
							  Jsonb *options);

/* k as an argument of a function: NULL, 0 here, leaves it to the silhouette. */
extern int	pm_kmeans_k_argument(FunctionCallInfo fcinfo, int argument);

/*
 * Feature columns of a source: those named, or all but the weight and
 * `except` (may be NULL).
 */
extern int *pm_kmeans_features(const PmSource *source, ArrayType *names,
							   const char *weight_col, const char *except,
							   int *count);

/* The frame of a source's columns; ids NULL where none are kept. */
extern PmFrame *pm_kmeans_read(PmContext *ctx, const PmSource *source,
							   const int *columns, int count,
							   const KMeansCall *call, PmIds *ids,
							   int id_column);

/* A fit and how good it is, with the matrix it was made from. */
typedef struct KMeansOutcome
{
	PmFrame    *frame;
	PmKMeansRows rows;
	int			k;
	bool		k_chosen;
	PmKMeansFit fit;
	PmKMeansQuality quality;
	double		seconds_load;
	double		seconds_fit;
} KMeansOutcome;

/* Encode the frame's rows; an ERROR where there is nothing to cluster. */
extern void pm_kmeans_encode(PmContext *ctx, PmFrame *frame,
							 const KMeansCall *call, KMeansOutcome *outcome);

/* One k of a sweep. */
typedef struct KMeansTrial
{
	int			k;
	PmKMeansQuality quality;
} KMeansTrial;

/* Fit every k from k_min to k_max that the distinct rows allow. */
extern KMeansTrial *pm_kmeans_try_all(PmContext *ctx,
									  const PmKMeansRows *rows,
									  const KMeansCall *call, int *count);

/* Choose k where it is open, and fit. */
extern void pm_kmeans_train(PmContext *ctx, const KMeansCall *call,
							KMeansOutcome *outcome);

/* Measure the fit and make the model; source names where the rows came from. */
extern bytea *pm_kmeans_to_model(PmContext *ctx, const KMeansCall *call,
								 KMeansDoor door,
								 KMeansOutcome *outcome, const char *source);

#endif							/* KMEANS_SQL_H */
