/*
 * pm_ids.h
 *		Identifiers of rows, kept while the rows are worked on.
 *
 * Ids go in as the column's type and come out as it, or as text.
 */
#ifndef PM_IDS_H
#define PM_IDS_H

#include "postgres.h"

#include "fmgr.h"

#include "pm_arena.h"
#include "pm_source.h"

typedef struct PmIds
{
	PmContext  *ctx;
	bool		as_text;
	FmgrInfo	output;			/* of the column's type, for text */
	bool		by_value;
	int16		length;			/* typlen of what comes out */
	int64		count;
	int64		capacity;		/* that values and nulls have room for */
	Datum	   *values;			/* the value, or where it stands in the pool */
	bool	   *nulls;
	char	   *pool;
	size_t		pool_used;
	size_t		values_capacity;
	size_t		nulls_capacity;
	size_t		pool_capacity;
} PmIds;

/*
 * For ids of a column that are to come out as `wanted`: text, or the column's
 * own type; another one is an ERROR.
 */
extern PmIds *pm_ids_create(PmContext *ctx, const PmField *column, Oid wanted);

/* Keep the next row's. */
extern void pm_ids_add(PmIds *ids, Datum value, bool isnull);

/* That of row i, from 0; valid as long as nothing is added. */
extern Datum pm_ids_get(const PmIds *ids, int64 i, bool *isnull);

#endif							/* PM_IDS_H */
