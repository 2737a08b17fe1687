/*
 * kmeans_show_sql.c
 *		What is in a k-means model, as tables.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "kmeans_sql.h"

/* A feature's name as text. */
static Datum
feature_name(const PmSchema *schema, int feature)
{
	size_t		length = pm_schema_feature_name(schema, feature, NULL, 0);
	char	   *name = palloc(length + 1);

	pm_schema_feature_name(schema, feature, name, length + 1);
	pm_host_check_text(name, length, "a feature's name");
	return CStringGetTextDatum(name);
}

/* A scaled value in the feature's own units. */
static double
own_units(const PmSchema *schema, int feature, double scaled)
{
	if (schema->scale[feature] == 0)
		return schema->shift[feature];
	return scaled / schema->scale[feature] + schema->shift[feature];
}

PM_FUNCTION(pm_kmeans_centroids);

/*
 * pm_kmeans_centroids(model) → TABLE(cluster, feature, value, size, radius);
 * values in the features' own units.
 */
Datum
pm_kmeans_centroids(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx = pm_host_begin("model");
	PmCachedModel cached;
	PmKMeansModel *model;

	pm_model_open_argument(fcinfo, 0, &pm_kmeans_kind, ctx, &cached);
	model = cached.opened;
	for (int j = 0; j < model->k; j++)
		for (int f = 0; f < model->d; f++)
		{
			Datum		values[5];
			bool		nulls[5] = {false};
			double		scaled = model->centroids[(size_t) j * model->d + f];

			values[0] = Int32GetDatum(j + 1);
			values[1] = feature_name(model->schema, f);
			values[2] = Float8GetDatum(own_units(model->schema, f, scaled));
			values[3] = Int64GetDatum(model->counts[j]);
			values[4] = Float8GetDatum(model->radius[j]);
			pm_rows_put(&rows, values, nulls);
			pfree(DatumGetPointer(values[1]));
		}
	pm_host_end(ctx);
	return (Datum) 0;
}

PM_FUNCTION(pm_kmeans_evaluate);

/* pm_kmeans_evaluate(model) → TABLE(metric, value) */
Datum
pm_kmeans_evaluate(PG_FUNCTION_ARGS)
{
	static const char *const names[PM_EVAL_COUNT] = {
		[PM_EVAL_INERTIA] = "inertia",
		[PM_EVAL_SILHOUETTE] = "silhouette",
		[PM_EVAL_DAVIES_BOULDIN] = "davies_bouldin",
		[PM_EVAL_CALINSKI_HARABASZ] = "calinski_harabasz",
		[PM_EVAL_ITERATIONS] = "iterations",
		[PM_EVAL_CONVERGED] = "converged",
	};
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx = pm_host_begin("model");
	PmCachedModel cached;
	PmKMeansModel *model;

	pm_model_open_argument(fcinfo, 0, &pm_kmeans_kind, ctx, &cached);
	model = cached.opened;
	for (int i = 0; i < PM_EVAL_COUNT; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};

		values[0] = CStringGetTextDatum(names[i]);
		values[1] = pm_float8_or_null(model->evaluation[i], &nulls[1]);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}
