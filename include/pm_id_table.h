/*
 * pm_id_table.h
 *		Identifiers and their numbers: a hash table while rows are read.
 *
 * Ids are integers, uuid or text.  They go in as the column's type and come
 * out as it, as another integer type or as text.
 */
#ifndef PM_ID_TABLE_H
#define PM_ID_TABLE_H

#include "postgres.h"

#include "utils/array.h"

#include "pm_ids.h"
#include "pm_schema.h"
#include "pm_source.h"

typedef enum PmIdKind
{
	PM_ID_INTEGER,
	PM_ID_UUID,
	PM_ID_TEXT
} PmIdKind;

typedef struct PmIdSlot
{
	int64		key;
	int32		code;			/* -1 = free */
} PmIdSlot;

typedef struct PmIdTable
{
	PmContext  *ctx;
	PmIdKind	kind;
	Oid			type;			/* of the column; of a domain, its base type */
	const char *column;
	int32		count;
	int64	   *keys;			/* of integers, by code */
	size_t		keys_capacity;
	PmIdSlot   *slots;
	uint32		slot_count;		/* a power of two */
	PmDictionary strings;		/* of uuid and text: their bytes */
} PmIdTable;

/* A column of another type is an ERROR. */
extern PmIdTable *pm_id_table_create(PmContext *ctx, const PmField *column);

/* The number of an id, from 0; a new one gets the next number. */
extern int32 pm_id_table_add(PmIdTable *table, Datum value);

/* The number of an id, or -1. */
extern int32 pm_id_table_find(const PmIdTable *table, Datum value);

/*
 * Number the ids in their own order: integers by value, uuid and text by
 * their bytes.  (*new_codes)[old] is what the number has become.
 */
extern void pm_id_table_sort(PmIdTable *table, int32 **new_codes);

/*
 * An id given as another type than the column's.  One of another kind is an
 * ERROR that names the cast to use; false where no id of the column can be
 * equal to it.
 */
extern bool pm_id_table_convert(const PmIdTable *table, Oid type, Datum value,
								Datum *converted);

/*
 * An id as it comes out, in the current memory context: as the column's type
 * or one of its kind.  An integer that does not fit is an ERROR.
 */
extern Datum pm_id_table_get(const PmIdTable *table, int32 code, Oid wanted);

/* All of them, by code, as text or as the column's type. */
extern PmIds *pm_id_table_ids(const PmIdTable *table, const PmField *column,
							  Oid wanted);

/* All as an array of the column's type, for = ANY ($1). */
extern ArrayType *pm_id_table_array(const PmIdTable *table, Oid *array_type);

#endif							/* PM_ID_TABLE_H */
