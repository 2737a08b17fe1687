/*
 * kmeans_segment_sql.c
 *		pm_segment: a table of rows in, a table of ids and clusters out.
 *
 * The rows are read once, with their ids and places in the input; the fit
 * works on them in canonical order, and its labels go back to those places.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "kmeans_internal.h"
#include "kmeans_sql.h"
#include "pm_parallel.h"
#include "pm_stream.h"

/* Rows that a task brings to their places. */
#define PIECE_ROWS 16384

/* What became of the rows, by place in the input. */
typedef struct Segments
{
	PmStream	stream;			/* first: a row each, in the order of the input */
	const PmIds *ids;
	int32_t    *clusters;		/* from 0; -1: left out of the training */
	float	   *distances;		/* NULL: not wanted */
} Segments;

/* A value of the result. */
static Datum
segment_value(const PmStream *stream, int64 place, int column, bool *isnull)
{
	const Segments *segments = (const Segments *) stream;
	int32_t		cluster = segments->clusters[place];

	if (column == 0)
		return pm_ids_get(segments->ids, place, isnull);
	*isnull = cluster < 0;
	if (column == 1)
		return Int32GetDatum(cluster + 1);
	return cluster < 0 ? (Datum) 0 : Float8GetDatum(segments->distances[place]);
}

/* Rows of the fit whose clusters and distances go to their places. */
typedef struct Placing
{
	const Segments *segments;
	const KMeansOutcome *outcome;
	PmKMeansMetric metric;
} Placing;

/* Place a piece of them; on a thread. */
static void
place_rows(int64_t index, int lane, void *argument)
{
	const Placing *placing = argument;
	const KMeansOutcome *outcome = placing->outcome;
	const PmKMeansFit *fit = &outcome->fit;
	int64_t		begin = index * PIECE_ROWS;
	int64_t		end = Min(begin + PIECE_ROWS, outcome->frame->n);

	for (int64_t i = begin; i < end; i++)
	{
		const float *row = outcome->rows.x + (size_t) i * fit->d;
		const float *centroid = fit->centroids + (size_t) fit->labels[i] * fit->d;
		int64_t		place = outcome->frame->ordinals[i];

		placing->segments->clusters[place] = fit->labels[i];
		if (placing->segments->distances != NULL)
			placing->segments->distances[place] = (float)
				pm_kmeans_metric_distance(placing->metric, row, fit->d,
										  pm_kmeans_distance(row, centroid, fit->d));
	}
}

/* Bring clusters and distances to the rows' places. */
static Segments *
find_segments(PmContext *ctx, const KMeansOutcome *outcome,
			  PmKMeansMetric metric, const PmIds *ids, bool with_distances)
{
	const PmFrame *frame = outcome->frame;
	Segments   *segments = MemoryContextAllocZero(pm_host_memory(ctx),
												  sizeof(Segments));
	Placing		placing = {segments, outcome, metric};

	segments->stream.count = ids->count;
	segments->stream.value = segment_value;
	segments->ids = ids;
	pm_host_check(ctx, pm_alloc(ctx, "the rows' clusters", frame->rows_read,
								sizeof(int32_t), &segments->clusters));
	if (with_distances)
		pm_host_check(ctx, pm_alloc(ctx, "the rows' distances", frame->rows_read,
									sizeof(float), &segments->distances));
	if (frame->n < frame->rows_read)
		for (int64_t place = 0; place < frame->rows_read; place++)
			segments->clusters[place] = -1;
	pm_host_check(ctx, pm_parallel(ctx, "segments",
								   (frame->n + PIECE_ROWS - 1) / PIECE_ROWS,
								   PIECE_ROWS * (10.0 + outcome->fit.d),
								   place_rows, &placing));
	return segments;
}

PM_FUNCTION(pm_segment);

/*
 * pm_segment(source, id_col, features, k, options [, id_type])
 *	→ TABLE(id, cluster, distance)
 */
Datum
pm_segment(PG_FUNCTION_ARGS)
{
	PmContext  *ctx;
	KMeansCall	call;
	KMeansOutcome outcome;
	Segments   *segments;
	PmSource   *source;
	PmFrame    *frame;
	PmIds	   *ids;
	char	   *id_name;
	int		   *columns;
	int			count;
	int			id_column;

	pm_stream_check(fcinfo);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and id_col must not be NULL")));
	call.k = pm_kmeans_k_argument(fcinfo, 3);
	pm_kmeans_options(&call, KMEANS_TABLE,
					  PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4));
	source = pm_source_open(PG_GETARG_OID(0));
	id_name = NameStr(*PG_GETARG_NAME(1));
	id_column = pm_source_find(source, id_name);
	ctx = pm_host_begin("segments");
	ids = pm_ids_create(ctx, &source->fields[id_column], PG_NARGS() > 5 ?
						get_fn_expr_argtype(fcinfo->flinfo, 5) : TEXTOID);
	columns = pm_kmeans_features(source,
								 PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2),
								 call.weight_col, id_name, &count);
	pm_host_use_device(ctx);
	frame = pm_kmeans_read(ctx, source, columns, count, &call, ids, id_column);
	pm_kmeans_encode(ctx, frame, &call, &outcome);
	pm_kmeans_train(ctx, &call, &outcome);
	segments = find_segments(ctx, &outcome, call.metric, ids,
							 pm_stream_wants(fcinfo, 2));
	pm_release(ctx, (void *) outcome.rows.x); /* not while rows are fetched */
	return pm_stream_return(fcinfo, ctx, &segments->stream);
}
