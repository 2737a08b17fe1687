/*
 * neighbours_options_sql.c
 *		What a question for neighbours says, and the matrix made ready for it.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "recommend_sql.h"

/* In the order of PmNeighbourMetric. */
static const char *const metric_names[] = {
	"cosine", "pearson", "adjusted_cosine", "jaccard", "tfidf", "bm25", NULL
};

/* A column's name, which must not be NULL. */
static const char *
name_argument(FunctionCallInfo fcinfo, int argument, const char *what)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", what)));
	return NameStr(*PG_GETARG_NAME(argument));
}

/* The options: those of interactions, of neighbours, and of bm25 for it. */
static void
parse_options(NeighbourCall *call, Jsonb *json)
{
	PmNeighbourOptions *options = &call->options;
	int			min_overlap = 1;
	int			count = PM_INTERACTIONS_OPTIONS + 2;
	PmOption	definitions[PM_INTERACTIONS_OPTIONS + 4];
	const PmOption own[] = {
		{"shrinkage", PM_OPTION_DOUBLE, &options->shrinkage, 0, 1e9},
		{"min_overlap", PM_OPTION_INT, &min_overlap, 1, PG_INT32_MAX},
		{"bm25_k1", PM_OPTION_DOUBLE, &options->bm25_k1, 0, 1e9},
		{"bm25_b", PM_OPTION_DOUBLE, &options->bm25_b, 0, 1},
	};

	pm_interactions_options(&call->spec, definitions);
	memcpy(definitions + PM_INTERACTIONS_OPTIONS, own, sizeof(own));
	options->bm25_k1 = 100;
	options->bm25_b = 0.8;
	if (options->metric == PM_NEIGHBOUR_BM25)
		count += 2;
	pm_options_parse(json, definitions, count,
					 psprintf("neighbours by %s", metric_names[options->metric]));
	pm_interactions_check(&call->spec);
	options->min_overlap = min_overlap;
}

void
pm_neighbour_arguments(FunctionCallInfo fcinfo, NeighbourCall *call, bool items)
{
	char	   *metric;

	memset(call, 0, sizeof(*call));
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(6))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source, k and metric must not be NULL")));
	call->items = items;
	call->k = PG_GETARG_INT32(2);
	if (call->k < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("k must be at least 1, not %d", call->k)));
	metric = text_to_cstring(PG_GETARG_TEXT_PP(6));
	call->options.metric = pm_choice_parse(metric, metric_names, "metric");
	call->options.columns_are_users = items;
	parse_options(call, PG_ARGISNULL(7) ? NULL : PG_GETARG_JSONB_P(7));
	call->spec.user_col = name_argument(fcinfo, 3, "user_col");
	call->spec.item_col = name_argument(fcinfo, 4, "item_col");
	if (!PG_ARGISNULL(5))
		call->spec.weight_col = NameStr(*PG_GETARG_NAME(5));
	call->spec.keep_signed = call->options.metric == PM_NEIGHBOUR_PEARSON ||
		call->options.metric == PM_NEIGHBOUR_ADJUSTED_COSINE;
}

void
pm_neighbour_prepare(PmContext *ctx, const NeighbourCall *call, PmInteractions *interactions,
					 PmNeighbours *neighbours)
{
	PmCsr	   *transposed = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(PmCsr));

	pm_host_check(ctx, pm_csr_transpose(ctx, &interactions->matrix, transposed));
	pm_host_check(ctx, pm_neighbours_prepare(ctx, call->items ? transposed : &interactions->matrix,
											 call->items ? &interactions->matrix : transposed,
											 &call->options, neighbours));
}

PmIdTable *
pm_neighbour_ids(const NeighbourCall *call, const PmInteractions *interactions)
{
	return call->items ? interactions->items : interactions->users;
}
