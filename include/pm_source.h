/*
 * pm_source.h
 *		Tables in: reading a relation, or the fields of a record.
 *
 * A source is a table, view, materialised view, foreign table or partitioned
 * table, read with the caller's rights by a query, so that privileges and
 * row-level security hold.  Rows stream through a DestReceiver straight into
 * a callback: nothing is materialised.
 */
#ifndef PM_SOURCE_H
#define PM_SOURCE_H

#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/array.h"

typedef struct PmField
{
	char	   *name;
	Oid			type;			/* of a domain, its base type */
	int32		typmod;
	AttrNumber	number;
	bool		categorical;	/* integers that name categories */
} PmField;

typedef struct PmSource
{
	Oid			relation;
	char	   *name;			/* schema-qualified and quoted */
	int			field_count;
	PmField    *fields;
} PmSource;

extern PmSource *pm_source_open(Oid relation);

/* Index of a column; an unknown one is an ERROR that lists those there are. */
extern int	pm_source_find(const PmSource *source, const char *column);

/*
 * Feature columns of a source, as indexes: those named, each at most once, or
 * all but the excepted ones (NULL among them counts for nothing).  None is an
 * ERROR.
 */
extern int *pm_source_features(const PmSource *source, ArrayType *names,
							   const char *const *excepted,
							   int excepted_count, int *count);

/* Called for each row with the columns asked for, valid until it returns. */
typedef void (*PmRowCallback) (void *argument, Datum *values, bool *nulls);

/*
 * Read the columns (indexes into fields) of every row, or of `limit` rows
 * where that is not 0.  The query runs in the caller's snapshot.
 */
extern void pm_source_scan(const PmSource *source, const int *columns,
						   int column_count, int64 limit,
						   PmRowCallback callback, void *argument);

/*
 * The same for the rows where a column, `filter`, is one of an array's
 * elements; the planner chooses whether an index serves.
 */
extern void pm_source_scan_some(const PmSource *source, const int *columns,
								int column_count, int filter,
								ArrayType *array, Oid array_type,
								PmRowCallback callback, void *argument);

/*
 * Is there an index to find rows by the column's bytes?  A collation in which
 * different bytes are equal does not count.
 */
extern bool pm_source_indexed(const PmSource *source, int field);

/* How many different values a column has, as of the last ANALYZE; 0: unknown. */
extern double pm_source_distinct(const PmSource *source, int field);

/*
 * Fields of records of one type after the other: remembers where each wanted
 * name stands in the last row type seen.
 */
typedef struct PmRecordReader
{
	int			count;
	const char *const *names;
	PmField    *fields;			/* of the wanted names, in the current type */
	Oid			type;
	int32		typmod;
	const struct TypeCacheEntry *cached;	/* of a named type, which ... */
	uint64		identifier;		/* ... has this one until it is altered */
	TupleDesc	descriptor;
	Datum	   *values;
	bool	   *nulls;
	MemoryContext memory;
} PmRecordReader;

extern PmRecordReader *pm_record_reader(MemoryContext memory,
										const char *const *names, int count);

/*
 * Read one record.  True when its row type is another than the last one's,
 * so that the caller looks at fields anew.  A wanted name that the type lacks
 * is an ERROR.  values[i] is that of names[i], valid as long as the record.
 */
extern bool pm_record_read(PmRecordReader *reader, HeapTupleHeader record,
						   Datum *values, bool *nulls);

/*
 * The fields of a record's row type, dropped columns left out.  ROW(...) has
 * no names and is refused.
 */
extern PmField *pm_record_fields(HeapTupleHeader record, int *count);

/* What the fields of an aggregate's record are for. */
typedef struct PmRecordRoles
{
	PmField    *features;
	int			feature_count;
	PmField    *weight;			/* NULL = none */
	PmField    *time;			/* NULL = none */
	const char **names;			/* of all of these, in this order */
	int			name_count;
} PmRecordRoles;

/*
 * Tell the fields of a record apart: weight and time by name (NULL = none),
 * the excluded ones (a List of char *), and features, which is all others.
 * A name that the record lacks, or has twice, is an ERROR.
 */
extern PmRecordRoles pm_record_roles(HeapTupleHeader record, List *exclude,
									 const char *weight_col,
									 const char *time_col);

#endif							/* PM_SOURCE_H */
