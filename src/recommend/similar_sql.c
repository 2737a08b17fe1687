/*
 * similar_sql.c
 *		pm_similar_users and pm_similar_items: the neighbours of one, straight
 *		from a table.
 *
 * Where indexes find the rows, only what the answer depends on is read: what
 * the one has, who has any of that, and, where a similarity depends on all
 * that those have, the rest of them.  Where they are many, the table is read.
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "recommend_sql.h"

/*
 * The table is read where more than this share of all there are, or more than
 * so many, would have to be looked up.
 */
#define LOOKED_UP_SHARE 0.1
#define MAX_LOOKED_UP 1000000

/* So many are looked up where it is not known how many there are. */
#define LOOKED_UP_BLINDLY 1000

/* A question about one. */
typedef struct SimilarCall
{
	NeighbourCall common;
	PmContext  *ctx;
	PmSource   *source;
	int			own;			/* column of those that are compared */
	int			other;			/* column of what they have in common */
	Oid			id_type;		/* as the caller has it */
	Datum		id;
	char	   *id_text;
} SimilarCall;

/* Keep an id; a PmRowCallback. */
static void
keep_id(void *table, Datum *values, bool *nulls)
{
	if (!nulls[0])
		(void) pm_id_table_add(table, values[0]);
}

/* Ids of a column in the rows that have one of the ids in another one. */
static PmIdTable *
read_ids(const SimilarCall *call, int wanted, int filter, const PmIdTable *ids)
{
	PmIdTable  *found = pm_id_table_create(call->ctx, &call->source->fields[wanted]);
	Oid			type;
	ArrayType  *array = pm_id_table_array(ids, &type);

	pm_source_scan_some(call->source, &wanted, 1, filter, array, type, keep_id, found);
	return found;
}

/* All that is asked of the rows that have one of the ids in a column. */
static PmInteractions *
read_rows(const SimilarCall *call, int filter, const PmIdTable *ids)
{
	PmInteractionsReader *reader = pm_interactions_reader(call->ctx, call->source,
														  &call->common.spec);
	Oid			type;
	ArrayType  *array = pm_id_table_array(ids, &type);
	int			count;
	const int  *columns = pm_interactions_columns(reader, &count);

	pm_source_scan_some(call->source, columns, count, filter, array, type, pm_interactions_row,
						reader);
	return pm_interactions_finish(reader);
}

/* Does the answer depend on some rows only, which can be found? */
static bool
can_read_some(const SimilarCall *call)
{
	PmNeighbourMetric metric = call->common.options.metric;

	return pm_interactions_local(&call->common.spec) &&
		metric != PM_NEIGHBOUR_TFIDF && metric != PM_NEIGHBOUR_BM25 &&
		(metric != PM_NEIGHBOUR_ADJUSTED_COSINE || !call->common.items) &&
		pm_source_indexed(call->source, call->own) && pm_source_indexed(call->source, call->other);
}

/* Is it cheaper to look up the rows of these than to read the table? */
static bool
worth_looking_up(const SimilarCall *call, int column, const PmIdTable *ids)
{
	double		all = pm_source_distinct(call->source, column);

	return ids->count <= LOOKED_UP_BLINDLY ||
		(ids->count <= MAX_LOOKED_UP && ids->count <= LOOKED_UP_SHARE * all);
}

/* The rows that the answer depends on, or all; NULL where the id has none. */
static PmInteractions *
read_interactions(const SimilarCall *call, Datum id)
{
	PmIdTable  *one;
	PmIdTable  *others;
	PmIdTable  *candidates;

	if (!can_read_some(call))
		return pm_interactions_load(call->ctx, call->source, &call->common.spec);
	one = pm_id_table_create(call->ctx, &call->source->fields[call->own]);
	(void) pm_id_table_add(one, id);
	others = read_ids(call, call->other, call->own, one);
	if (others->count == 0)
		return NULL;
	if (worth_looking_up(call, call->other, others))
	{
		if (call->common.options.metric == PM_NEIGHBOUR_PEARSON)
			return read_rows(call, call->other, others);
		candidates = read_ids(call, call->own, call->other, others);
		if (worth_looking_up(call, call->own, candidates))
			return read_rows(call, call->own, candidates);
	}
	return pm_interactions_load(call->ctx, call->source, &call->common.spec);
}

/* Why there is no row. */
static void
say_why(const SimilarCall *call, bool known)
{
	const char *one = call->common.items ? "item" : "user";
	const char *other = call->common.items ? "user" : "item";

	if (!known)
		ereport(NOTICE,
				(errmsg("%s %s has no rows that count in %s", one, call->id_text,
						call->source->name)));
	else if (call->common.options.min_overlap > 1)
		ereport(NOTICE,
				(errmsg("no other %s of %s has %d %ss in common with %s %s and a similarity that is defined",
						one, call->source->name, call->common.options.min_overlap, other, one,
						call->id_text)));
	else
		ereport(NOTICE,
				(errmsg("no other %s of %s has %s %s in common with %s %s and a similarity that is defined",
						one, call->source->name, call->common.items ? "a" : "an", other, one,
						call->id_text)));
}

/* The neighbours of a row, or why there are none; gives their number. */
static int32_t
find_neighbours(const SimilarCall *call, PmInteractions *interactions, int32_t row,
				PmNeighbour **list)
{
	PmNeighbours neighbours;
	int32_t		count;
	int32		k;

	pm_neighbour_prepare(call->ctx, &call->common, interactions, &neighbours);
	if (neighbours.rows->offsets[row + 1] == neighbours.rows->offsets[row])
	{
		say_why(call, false);
		return 0;
	}
	k = Min(call->common.k, neighbours.rows->rows);
	pm_host_check(call->ctx, pm_alloc(call->ctx, "the neighbours", k, sizeof(PmNeighbour), list));
	pm_host_check(call->ctx, pm_neighbours_of_row(call->ctx, &neighbours, row, k, *list, &count));
	if (count == 0)
		say_why(call, true);
	return count;
}

/* The rows of the answer. */
static void
put_neighbours(const SimilarCall *call, PmRows *rows)
{
	PmIdTable  *ids = pm_id_table_create(call->ctx, &call->source->fields[call->own]);
	PmInteractions *interactions = NULL;
	PmNeighbour *list;
	int32_t		row = -1;
	int32_t		count;
	Datum		id;

	if (pm_id_table_convert(ids, call->id_type, call->id, &id))
		interactions = read_interactions(call, id);
	if (interactions != NULL)
	{
		ids = pm_neighbour_ids(&call->common, interactions);
		row = pm_id_table_find(ids, id);
	}
	if (row < 0)
	{
		say_why(call, false);
		return;
	}
	count = find_neighbours(call, interactions, row, &list);
	for (int32_t i = 0; i < count; i++)
	{
		bool		nulls[4] = {false};
		Datum		values[4];

		values[0] = pm_id_table_get(ids, list[i].row, call->id_type);
		values[1] = Float8GetDatum(list[i].similarity);
		values[2] = Int64GetDatum(list[i].common);
		values[3] = Int32GetDatum(i + 1);
		pm_rows_put(rows, values, nulls);
	}
}

/* Both functions. */
static void
find_similar(FunctionCallInfo fcinfo, bool items)
{
	SimilarCall call = {0};
	PmRows		rows = pm_rows_begin(fcinfo);
	Oid			output;
	bool		is_varlena;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", items ? "item_id" : "user_id")));
	pm_neighbour_arguments(fcinfo, &call.common, items);
	call.id_type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	call.id = PG_GETARG_DATUM(1);
	getTypeOutputInfo(call.id_type, &output, &is_varlena);
	call.id_text = OidOutputFunctionCall(output, call.id);
	call.source = pm_source_open(PG_GETARG_OID(0));
	call.own = pm_source_find(call.source, items ? call.common.spec.item_col : call.common.spec.user_col);
	call.other = pm_source_find(call.source, items ? call.common.spec.user_col : call.common.spec.item_col);
	call.ctx = pm_host_begin(items ? "similar items" : "similar users");
	pm_host_use_device(call.ctx);
	put_neighbours(&call, &rows);
	pm_host_end(call.ctx);
}

PM_FUNCTION(pm_similar_users);

/*
 * pm_similar_users(source, user_id, k, user_col, item_col, weight_col, metric,
 *	options) → TABLE(user_id, similarity, common_items, rank)
 */
Datum
pm_similar_users(PG_FUNCTION_ARGS)
{
	find_similar(fcinfo, false);
	return (Datum) 0;
}

PM_FUNCTION(pm_similar_items);

/* The same for items, with common_users. */
Datum
pm_similar_items(PG_FUNCTION_ARGS)
{
	find_similar(fcinfo, true);
	return (Datum) 0;
}
