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

/* A record encoded by a guarded call, see pm_model_guard(). */
typedef struct Guarded
{
	Scorer	   *scorer;
	HeapTupleHeader record;
	bool		found;
} Guarded;

static void
encode_record(void *argument)
{
	Guarded    *guarded = argument;

	guarded->found = pm_encoder_record(guarded->scorer->encoder, guarded->record,
									   guarded->scorer->row);
}

/* The nearest cluster of the arguments (model, record); false for no data. */
static bool
score_arguments(FunctionCallInfo fcinfo, int *cluster, double *distance)
{
	HeapTupleHeader record = PG_GETARG_HEAPTUPLEHEADER(1);
	PmCachedModel *cached = pm_model_cached(fcinfo, 0, &pm_kmeans_kind);
	Scorer	   *scorer = scorer_of(cached);
	Guarded		guarded = {scorer, record, false};

	if (pm_encoder_may_call(scorer->encoder))
		pm_model_guard(cached, encode_record, &guarded);
	else
		encode_record(&guarded);
	if (!guarded.found)
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
