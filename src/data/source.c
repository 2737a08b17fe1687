/*
 * source.c
 *		Relations, read by a query through a DestReceiver of our own.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/params.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "pm_source.h"

/* Columns of a relation, dropped ones left out. */
static void
read_fields(PmSource *source, TupleDesc descriptor)
{
	source->fields = palloc(Max(1, descriptor->natts) * sizeof(PmField));
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
		PmField    *field = &source->fields[source->field_count];

		if (attribute->attisdropped)
			continue;
		field->name = pstrdup(NameStr(attribute->attname));
		field->typmod = attribute->atttypmod;
		field->type = getBaseTypeAndTypmod(attribute->atttypid,
										   &field->typmod);
		field->number = attribute->attnum;
		field->categorical = false;
		source->field_count++;
	}
}

PmSource *
pm_source_open(Oid relation)
{
	PmSource   *source = palloc0(sizeof(PmSource));
	Relation	rel = try_relation_open(relation, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_PARTITIONED_TABLE:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" cannot be read as a source",
							RelationGetRelationName(rel)),
					 errhint("A source is a table, view, materialized view, foreign table or partitioned table.")));
	}
	source->relation = relation;
	source->name = quote_qualified_identifier(isTempNamespace(RelationGetNamespace(rel)) ? "pg_temp" :
											  get_namespace_name(RelationGetNamespace(rel)),
											  RelationGetRelationName(rel));
	read_fields(source, RelationGetDescr(rel));
	relation_close(rel, NoLock);	/* the lock stays for the transaction */
	return source;
}

int
pm_source_find(const PmSource *source, const char *column)
{
	StringInfoData list;

	for (int i = 0; i < source->field_count; i++)
		if (strcmp(source->fields[i].name, column) == 0)
			return i;
	initStringInfo(&list);
	for (int i = 0; i < source->field_count; i++)
	{
		/* A wide table's names would drown the message. */
		if (i == 50)
		{
			appendStringInfoString(&list, " and others");
			break;
		}
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "",
						 source->fields[i].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of %s does not exist", column, source->name),
			 errhint("Its columns are %s.", list.data)));
	return -1;
}

/* Every column but some. */
static int *
all_features(const PmSource *source, const char *const *excepted,
			 int excepted_count, int *count)
{
	int		   *columns = palloc(Max(1, source->field_count) * sizeof(int));

	*count = 0;
	for (int i = 0; i < source->field_count; i++)
	{
		bool		kept = true;

		for (int j = 0; j < excepted_count; j++)
			if (excepted[j] != NULL && strcmp(source->fields[i].name, excepted[j]) == 0)
				kept = false;
		if (kept)
			columns[(*count)++] = i;
	}
	return columns;
}

/* The columns of a name[]; each at most once. */
static int *
named_features(const PmSource *source, ArrayType *names, int *count)
{
	Datum	   *datums;
	bool	   *nulls;
	int		   *columns;

	deconstruct_array(names, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &datums, &nulls, count);
	columns = palloc(Max(1, *count) * sizeof(int));
	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a name in features is NULL")));
		columns[i] = pm_source_find(source, NameStr(*DatumGetName(datums[i])));
		for (int j = 0; j < i; j++)
			if (columns[j] == columns[i])
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" occurs twice in features",
								source->fields[columns[i]].name)));
	}
	return columns;
}

int *
pm_source_features(const PmSource *source, ArrayType *names,
				   const char *const *excepted, int excepted_count,
				   int *count)
{
	int		   *columns = names != NULL ? named_features(source, names, count) :
		all_features(source, excepted, excepted_count, count);

	if (*count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s has no column to use as a feature", source->name)));
	return columns;
}

typedef struct RowReceiver
{
	DestReceiver receiver;		/* first: what the executor sees */
	PmRowCallback callback;
	void	   *argument;
	int			column_count;
	int		   *places;			/* of the wanted columns in the query's rows */
	Datum	   *values;			/* of the wanted columns */
	bool	   *nulls;
	MemoryContext row_memory;	/* emptied after each row */
} RowReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext previous;

	slot_getallattrs(slot);
	for (int i = 0; i < receiver->column_count; i++)
	{
		receiver->values[i] = slot->tts_values[receiver->places[i]];
		receiver->nulls[i] = slot->tts_isnull[receiver->places[i]];
	}
	previous = MemoryContextSwitchTo(receiver->row_memory);
	receiver->callback(receiver->argument, receiver->values, receiver->nulls);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(receiver->row_memory);
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc descriptor)
{
}

static void
receiver_done(DestReceiver *self)
{
}

/*
 * The query.  It names the columns in the table's order, not in the caller's,
 * and places[i] tells where columns[i] stands: where a table's every column
 * is wanted, the executor then hands out the rows as they are stored, and
 * saves a projection of each.
 */
static char *
write_query(const PmSource *source, const int *columns, int column_count,
			int64 limit, const char *filter, int *places)
{
	StringInfoData query;
	int		   *order = palloc(Max(1, column_count) * sizeof(int));

	for (int i = 0; i < column_count; i++)
	{
		int			at = i;

		for (; at > 0 && columns[order[at - 1]] > columns[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT ");
	for (int i = 0; i < column_count; i++)
	{
		const PmField *field = &source->fields[columns[order[i]]];

		places[order[i]] = i;
		appendStringInfo(&query, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(field->name));
	}
	appendStringInfo(&query, " FROM %s", source->name);
	if (filter != NULL)
		appendStringInfo(&query, " WHERE %s OPERATOR(pg_catalog.=) ANY ($1)",
						 quote_identifier(filter));
	if (limit > 0)
		appendStringInfo(&query, " LIMIT " INT64_FORMAT, limit);
	pfree(order);
	return query.data;
}

/* The query's only parameter, which the planner may look at. */
static ParamListInfo
make_parameter(ArrayType *array, Oid type)
{
	ParamListInfo list = makeParamList(1);

	list->params[0].value = PointerGetDatum(array);
	list->params[0].isnull = false;
	list->params[0].pflags = PARAM_FLAG_CONST;
	list->params[0].ptype = type;
	return list;
}

/* Read the rows, or those where column `filter` is one of the array's. */
static void
scan(const PmSource *source, const int *columns, int column_count, int64 limit,
	 const char *filter, ParamListInfo parameters, PmRowCallback callback, void *argument)
{
	RowReceiver receiver = {0};
	SPIExecuteOptions options = {0};
	size_t		room = Max(1, column_count);
	char	   *query;
	int			status;

	receiver.receiver.receiveSlot = receive_row;
	receiver.receiver.rStartup = receiver_startup;
	receiver.receiver.rShutdown = receiver_done;
	receiver.receiver.rDestroy = receiver_done;
	receiver.receiver.mydest = DestTuplestore;	/* SPI takes DestNone for
												 * "no result wanted" */
	receiver.callback = callback;
	receiver.argument = argument;
	receiver.column_count = column_count;
	receiver.places = palloc(room * sizeof(int));
	receiver.values = palloc(room * sizeof(Datum));
	receiver.nulls = palloc(room * sizeof(bool));
	query = write_query(source, columns, column_count, limit, filter, receiver.places);
	receiver.row_memory = AllocSetContextCreate(CurrentMemoryContext,
												"precmkt row",
												ALLOCSET_SMALL_SIZES);

	options.read_only = true;
	options.dest = &receiver.receiver;
	options.params = parameters;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	status = SPI_execute_extended(query, &options);
	if (status != SPI_OK_SELECT)
		elog(ERROR, "reading %s failed: %s", source->name,
			 SPI_result_code_string(status));
	SPI_finish();
	MemoryContextDelete(receiver.row_memory);
	pfree(query);
	pfree(receiver.places);
	pfree(receiver.values);
	pfree(receiver.nulls);
}

void
pm_source_scan(const PmSource *source, const int *columns, int column_count,
			   int64 limit, PmRowCallback callback, void *argument)
{
	scan(source, columns, column_count, limit, NULL, NULL, callback, argument);
}

void
pm_source_scan_some(const PmSource *source, const int *columns, int column_count, int filter,
					ArrayType *array, Oid array_type, PmRowCallback callback, void *argument)
{
	scan(source, columns, column_count, 0, source->fields[filter].name,
		 make_parameter(array, array_type), callback, argument);
}

/* Is the first column of some index of the relation this one? */
static bool
leads_index(Relation relation, AttrNumber number)
{
	List	   *indexes = RelationGetIndexList(relation);
	bool		found = false;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		found = found || (index->indisvalid && index->indkey.values[0] == number &&
						  heap_attisnull(tuple, Anum_pg_index_indpred, NULL));
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	return found;
}

bool
pm_source_indexed(const PmSource *source, int field)
{
	Relation	relation = relation_open(source->relation, AccessShareLock);
	AttrNumber	number = source->fields[field].number;
	Oid			collation = TupleDescAttr(RelationGetDescr(relation), number - 1)->attcollation;
	bool		found = relation->rd_rel->relhasindex && leads_index(relation, number) &&
		(!OidIsValid(collation) || get_collation_isdeterministic(collation));

	relation_close(relation, NoLock);
	return found;
}

double
pm_source_distinct(const PmSource *source, int field)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(source->relation));
	double		rows = 0;
	double		distinct = 0;

	if (!HeapTupleIsValid(tuple))
		return 0;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	for (int inherited = 1; inherited >= 0 && distinct == 0; inherited--)
	{
		tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(source->relation),
								Int16GetDatum(source->fields[field].number),
								BoolGetDatum(inherited == 1));
		if (!HeapTupleIsValid(tuple))
			continue;
		distinct = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
		ReleaseSysCache(tuple);
	}
	/* a share of the rows where it is negative */
	return distinct >= 0 ? distinct : rows > 0 ? -distinct * rows : 0;
}
