/*
 * kmeans_score_sql.c
 *		Rows against a k-means model, one at a time.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "kmeans_sql.h"

const PmModelKind pm_kmeans_kind = {
	PM_KMEANS_KIND, "pm_kmeans", pm_kmeans_model_open
};

/* What a scorer keeps beside a cached model. */
typedef struct Scorer
{
	PmEncoder  *encoder;
	float	   *row;
} Scorer;

static Scorer *
scorer_of(PmCachedModel *cached)
{
	PmKMeansModel *model = cached->opened;
	Scorer	   *scorer = cached->extra;

	if (scorer != NULL)
		return scorer;
	scorer = MemoryContextAlloc(cached->memory, sizeof(Scorer));
	scorer->encoder = pm_encoder_create(cached->memory, model->schema);
	scorer->row = MemoryContextAllocExtended(cached->memory,
											 model->d * sizeof(float),
											 MCXT_ALLOC_HUGE);
	cached->extra = scorer;
	return scorer;
}

/*
 * Encode a record where a vector's cast to float4[] may be anybody's function:
 * one that scores, too, must neither drive this model out of the cache nor
 * use it.
 */
static pg_noinline bool
encode_guarded(PmCachedModel *cached, Scorer *scorer, HeapTupleHeader record)
{
	volatile bool found = false;

	if (cached->busy)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a cast to float4[] cannot score with the model that it is called for")));
	cached->busy = true;
	PG_TRY();
	{
		found = pm_encoder_record(scorer->encoder, record, scorer->row);
	}
	PG_FINALLY();
	{
		cached->busy = false;
	}
	PG_END_TRY();
	return found;
}

/* The nearest cluster of the arguments (model, record); false for no data. */
static bool
score_arguments(FunctionCallInfo fcinfo, int *cluster, double *distance)
{
	HeapTupleHeader record = PG_GETARG_HEAPTUPLEHEADER(1);
	PmCachedModel *cached = pm_model_cached(fcinfo, 0, &pm_kmeans_kind);
	Scorer	   *scorer = scorer_of(cached);

	if (pm_encoder_may_call(scorer->encoder) ?
		!encode_guarded(cached, scorer, record) :
		!pm_encoder_record(scorer->encoder, record, scorer->row))
		return false;
	*cluster = pm_kmeans_model_nearest(cached->opened, scorer->row, distance);
	return true;
}

PM_FUNCTION(pm_kmeans_assign);

/* pm_kmeans_assign(model, features record) → int, 1-based */
Datum
pm_kmeans_assign(PG_FUNCTION_ARGS)
{
	int			cluster;
	double		distance;

	if (!score_arguments(fcinfo, &cluster, &distance))
		PG_RETURN_NULL();
	PG_RETURN_INT32(cluster + 1);
}

PM_FUNCTION(pm_kmeans_distance);

/* pm_kmeans_distance(model, features record) → float8 */
Datum
pm_kmeans_distance(PG_FUNCTION_ARGS)
{
	int			cluster;
	double		distance;

	if (!score_arguments(fcinfo, &cluster, &distance))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(distance);
}
