/*
 * neighbours_all_sql.c
 *		pm_neighbours_all: the neighbours of every user or item of a table.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "pm_stream.h"
#include "recommend_sql.h"

/* The rows: those of one after those of another. */
typedef struct AllNeighbours
{
	PmStream	stream;			/* first */
	const PmIds *ids;
	int32		count;			/* of ids */
	int64_t    *offsets;		/* count + 1 */
	PmNeighbour *list;
	int32	   *last;			/* whose row was asked for last */
} AllNeighbours;

/* Whose a row is: mostly the last one's, or the next one's. */
static int32
owner_of(const AllNeighbours *all, int64 row)
{
	int32		low = *all->last;
	int32		high = all->count;

	if (all->offsets[low] > row)
		low = 0;
	while (all->offsets[low + 1] <= row && all->offsets[Min(low + 8, all->count)] > row)
		low++;
	while (all->offsets[low + 1] <= row)
	{
		int32		middle = low + (high - low) / 2;

		if (all->offsets[middle] <= row)
			low = middle;
		else
			high = middle;
	}
	*all->last = low;
	return low;
}

/* A value of the result. */
static Datum
neighbour_value(const PmStream *stream, int64 row, int column, bool *isnull)
{
	const AllNeighbours *all = (const AllNeighbours *) stream;
	const PmNeighbour *one = &all->list[row];

	*isnull = false;
	switch (column)
	{
		case 0:
			return pm_ids_get(all->ids, owner_of(all, row), isnull);
		case 1:
			return pm_ids_get(all->ids, one->row, isnull);
		case 2:
			return Float8GetDatum(one->similarity);
		case 3:
			return Int64GetDatum(one->common);
		default:
			return Int32GetDatum((int32) (row - all->offsets[owner_of(all, row)]) + 1);
	}
}

/* Why there is no row, or fewer than one would think. */
static void
say_what_was_skipped(const NeighbourCall *call, const PmSource *source,
					 const PmInteractions *interactions, int64 elements, int64 found)
{
	const char *one = call->items ? "items" : "users";

	if (interactions->rows_null > 0)
		ereport(NOTICE,
				(errmsg("%lld of %lld rows of %s have NULL in a column that is read, and were left out",
						(long long) interactions->rows_null, (long long) interactions->rows_read,
						source->name)));
	if (elements == 0)
		ereport(NOTICE, (errmsg("%s has no rows that count", source->name)));
	else if (found == 0)
		ereport(NOTICE,
				(errmsg("no two %s of %s have enough in common and a similarity that is defined",
						one, source->name)));
}

PM_FUNCTION(pm_neighbours_all);

/*
 * pm_neighbours_all(source, side, k, user_col, item_col, weight_col, metric,
 *	options [, id_type]) → TABLE(id, neighbour_id, similarity, common, rank)
 */
Datum
pm_neighbours_all(PG_FUNCTION_ARGS)
{
	static const char *const sides[] = {"user", "item", NULL};
	AllNeighbours *all;
	PmContext  *ctx;
	NeighbourCall *call;
	PmInteractions *interactions;
	PmNeighbours neighbours;
	PmIdTable  *table;
	PmSource   *source;
	int64		elements;
	int			id_column;

	pm_stream_check(fcinfo);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("side must not be NULL")));
	ctx = pm_host_begin("neighbours");
	call = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(NeighbourCall));
	pm_neighbour_arguments(fcinfo, call,
						   pm_choice_parse(text_to_cstring(PG_GETARG_TEXT_PP(1)), sides, "side") == 1);
	source = pm_source_open(PG_GETARG_OID(0));
	id_column = pm_source_find(source, call->items ? call->spec.item_col : call->spec.user_col);
	pm_host_use_device(ctx);
	/* an id_type that does not fit is known before the work */
	(void) pm_ids_create(ctx, &source->fields[id_column],
						 PG_NARGS() > 8 ? get_fn_expr_argtype(fcinfo->flinfo, 8) : TEXTOID);
	interactions = pm_interactions_load(ctx, source, &call->spec);
	pm_neighbour_prepare(ctx, call, interactions, &neighbours);
	all = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(AllNeighbours));
	pm_host_check(ctx, pm_neighbours_of_rows(ctx, &neighbours, call->k, &all->offsets, &all->list));
	elements = pm_csr_count(neighbours.rows);
	/* not while rows are fetched */
	pm_csr_release(ctx, (PmCsr *) neighbours.rows);
	pm_csr_release(ctx, (PmCsr *) neighbours.columns);
	pm_neighbours_release(ctx, &neighbours);
	table = pm_neighbour_ids(call, interactions);
	all->count = table->count;
	all->ids = pm_id_table_ids(table, &source->fields[id_column],
							   PG_NARGS() > 8 ? get_fn_expr_argtype(fcinfo->flinfo, 8) : TEXTOID);
	all->last = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(int32));
	all->stream.count = all->offsets[all->count];
	all->stream.value = neighbour_value;
	say_what_was_skipped(call, source, interactions, elements, all->stream.count);
	return pm_stream_return(fcinfo, ctx, &all->stream);
}
