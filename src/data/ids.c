/*
 * ids.c
 *		A column of ids in the arena.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "pm_host.h"
#include "pm_ids.h"

PmIds *
pm_ids_create(PmContext *ctx, const PmField *column, Oid wanted)
{
	PmIds	   *ids = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(PmIds));
	Oid			output;
	bool		is_varlena;

	ids->ctx = ctx;
	ids->as_text = wanted == TEXTOID;
	if (!ids->as_text && getBaseType(wanted) != column->type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("id_type is %s, but column \"%s\" is %s",
						format_type_be(wanted), column->name,
						format_type_be(column->type)),
				 column->type == INT8OID || column->type == INT4OID || column->type == UUIDOID ?
				 errhint("Call it with id_type => NULL::%s, or without for text.",
						 format_type_be(column->type)) :
				 errhint("Call it without id_type: ids come as text.")));
	getTypeOutputInfo(column->type, &output, &is_varlena);
	fmgr_info_cxt(output, &ids->output, pm_host_memory(ctx));
	get_typlenbyval(ids->as_text ? TEXTOID : column->type, &ids->length,
					&ids->by_value);
	return ids;
}

/* Copy a value that is a pointer into the pool; gives its place there. */
static Datum
keep_bytes(PmIds *ids, Datum value)
{
	size_t		size = datumGetSize(value, false, ids->length);
	size_t		place = MAXALIGN(ids->pool_used);

	pm_host_check(ids->ctx, pm_reserve(ids->ctx, "the rows' ids", place + size,
									   1, &ids->pool, &ids->pool_capacity));
	memcpy(ids->pool + place, DatumGetPointer(value), size);
	ids->pool_used = place + size;
	return (Datum) place;
}

/* The value as it will come out. */
static Datum
convert_id(PmIds *ids, Datum value)
{
	if (ids->as_text)
		return CStringGetTextDatum(OutputFunctionCall(&ids->output, value));
	if (ids->length == -1)
		return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
	return value;
}

/* Room for one more. */
static void
reserve_id(PmIds *ids)
{
	size_t		count = ids->count + 1;

	pm_host_check(ids->ctx, pm_reserve(ids->ctx, "the rows' ids", count,
									   sizeof(Datum), &ids->values,
									   &ids->values_capacity));
	pm_host_check(ids->ctx, pm_reserve(ids->ctx, "the rows' ids", count,
									   sizeof(bool), &ids->nulls,
									   &ids->nulls_capacity));
	ids->capacity = Min(ids->values_capacity, ids->nulls_capacity);
}

void
pm_ids_add(PmIds *ids, Datum value, bool isnull)
{
	if (unlikely(ids->count >= ids->capacity))
		reserve_id(ids);
	ids->nulls[ids->count] = isnull;
	ids->values[ids->count] = (Datum) 0;
	if (!isnull)
	{
		value = convert_id(ids, value);
		ids->values[ids->count] = ids->by_value ? value : keep_bytes(ids, value);
	}
	ids->count++;
}

Datum
pm_ids_get(const PmIds *ids, int64 i, bool *isnull)
{
	*isnull = ids->nulls[i];
	if (ids->by_value || *isnull)
		return ids->values[i];
	return PointerGetDatum(ids->pool + (size_t) ids->values[i]);
}
