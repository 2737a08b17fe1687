/*
 * id_table.c
 *		Ids of a column and their numbers.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "pm_hash.h"
#include "pm_host.h"
#include "pm_id_table.h"
#include "pm_sort.h"

#define FIRST_SLOTS 1024

/* Which kind of id a type is; false for none. */
static bool
kind_of(Oid type, PmIdKind *kind)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			*kind = PM_ID_INTEGER;
			return true;
		case UUIDOID:
			*kind = PM_ID_UUID;
			return true;
		case TEXTOID:
		case VARCHAROID:
			*kind = PM_ID_TEXT;
			return true;
	}
	return false;
}

/* Free slots. */
static void
make_slots(PmIdTable *table, uint32 count)
{
	PmIdSlot   *slots;

	pm_host_check(table->ctx, pm_alloc(table->ctx, "the ids", count, sizeof(PmIdSlot), &slots));
	for (uint32 i = 0; i < count; i++)
		slots[i].code = -1;
	pm_release(table->ctx, table->slots);
	table->slots = slots;
	table->slot_count = count;
}

PmIdTable *
pm_id_table_create(PmContext *ctx, const PmField *column)
{
	PmIdTable  *table = MemoryContextAllocZero(pm_host_memory(ctx), sizeof(PmIdTable));

	table->ctx = ctx;
	table->type = column->type;
	table->column = column->name;
	if (!kind_of(column->type, &table->kind))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("id column \"%s\" of type %s must be an integer, uuid or text",
						column->name, format_type_be(column->type)),
				 errhint("Cast it in a view, for example %s::text AS %s.",
						 quote_identifier(column->name), quote_identifier(column->name))));
	if (table->kind == PM_ID_INTEGER)
		make_slots(table, FIRST_SLOTS);
	else
		pm_host_check(ctx, pm_dictionary_init(ctx, &table->strings));
	return table;
}

/* ---- integers ---------------------------------------------------------- */

static inline int64
integer_of(Oid type, Datum value)
{
	return type == INT8OID ? DatumGetInt64(value) :
		type == INT4OID ? DatumGetInt32(value) : DatumGetInt16(value);
}

/* The slot that holds a key, or the free one where it would go. */
static inline PmIdSlot *
find_slot(const PmIdTable *table, int64 key)
{
	uint32		at = (uint32) pm_mix64((uint64) key) & (table->slot_count - 1);

	while (table->slots[at].code >= 0 && table->slots[at].key != key)
		at = (at + 1) & (table->slot_count - 1);
	return &table->slots[at];
}

/* Put every key into the slots anew. */
static void
fill_slots(PmIdTable *table)
{
	for (int32 code = 0; code < table->count; code++)
	{
		PmIdSlot   *slot = find_slot(table, table->keys[code]);

		slot->key = table->keys[code];
		slot->code = code;
	}
}

static int32
add_integer(PmIdTable *table, int64 key)
{
	PmIdSlot   *slot = find_slot(table, key);
	int32		code = slot->code;

	if (likely(code >= 0))
		return code;
	if (table->count >= PG_INT32_MAX / 2)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("column \"%s\" has more than %d different ids", table->column,
						PG_INT32_MAX / 2)));
	pm_host_check(table->ctx, pm_reserve(table->ctx, "the ids", (size_t) table->count + 1,
										 sizeof(int64), &table->keys, &table->keys_capacity));
	code = table->count++;
	table->keys[code] = key;
	slot->key = key;
	slot->code = code;
	if ((uint32) table->count > table->slot_count / 2)
	{
		make_slots(table, table->slot_count * 2);
		fill_slots(table);
	}
	return code;
}

/* ---- every kind -------------------------------------------------------- */

/* The bytes of a uuid or text. */
static const char *
bytes_of(const PmIdTable *table, Datum value, size_t *length)
{
	text	   *string;

	if (table->kind == PM_ID_UUID)
	{
		*length = UUID_LEN;
		return (const char *) DatumGetUUIDP(value)->data;
	}
	string = DatumGetTextPP(value);
	*length = VARSIZE_ANY_EXHDR(string);
	return VARDATA_ANY(string);
}

int32
pm_id_table_add(PmIdTable *table, Datum value)
{
	const char *bytes;
	size_t		length;
	int32		code;

	if (table->kind == PM_ID_INTEGER)
		return add_integer(table, integer_of(table->type, value));
	bytes = bytes_of(table, value, &length);
	pm_host_check(table->ctx, pm_dictionary_add(table->ctx, &table->strings, bytes, length, &code));
	table->count = table->strings.count;
	return code;
}

int32
pm_id_table_find(const PmIdTable *table, Datum value)
{
	const char *bytes;
	size_t		length;

	if (table->kind == PM_ID_INTEGER)
		return find_slot(table, integer_of(table->type, value))->code;
	bytes = bytes_of(table, value, &length);
	return Max(pm_dictionary_find(&table->strings, bytes, length), -1);
}

/* By value; they are all different. */
static int
compare_slots(const void *left, const void *right)
{
	int64		a = ((const PmIdSlot *) left)->key;
	int64		b = ((const PmIdSlot *) right)->key;

	return (a > b) - (a < b);
}

void
pm_id_table_sort(PmIdTable *table, int32 **new_codes)
{
	PmContext  *ctx = table->ctx;
	PmIdSlot   *order;

	if (table->kind != PM_ID_INTEGER)
	{
		pm_host_check(ctx, pm_dictionary_sort(ctx, &table->strings, 0, new_codes));
		return;
	}
	pm_host_check(ctx, pm_alloc(ctx, "the ids", table->count, sizeof(int32), new_codes));
	pm_host_check(ctx, pm_alloc(ctx, "the ids", table->count, sizeof(PmIdSlot), &order));
	for (int32 code = 0; code < table->count; code++)
	{
		order[code].key = table->keys[code];
		order[code].code = code;
	}
	pm_host_check(ctx, pm_sort(ctx, order, table->count, sizeof(PmIdSlot), compare_slots));
	for (int32 code = 0; code < table->count; code++)
	{
		table->keys[code] = order[code].key;
		(*new_codes)[order[code].code] = code;
	}
	pm_release(ctx, order);
	make_slots(table, table->slot_count);
	fill_slots(table);
}

/* ---- as SQL has them --------------------------------------------------- */

bool
pm_id_table_convert(const PmIdTable *table, Oid type, Datum value, Datum *converted)
{
	PmIdKind	kind;
	int64		number;

	type = getBaseType(type);
	if (!kind_of(type, &kind) || kind != table->kind)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the id is %s, but column \"%s\" is %s", format_type_be(type),
						table->column, format_type_be(table->type)),
				 errhint("Cast the id to %s.", format_type_be(table->type))));
	*converted = value;
	if (kind != PM_ID_INTEGER)
		return true;
	number = integer_of(type, value);
	*converted = table->type == INT8OID ? Int64GetDatum(number) :
		table->type == INT4OID ? Int32GetDatum((int32) number) : Int16GetDatum((int16) number);
	return integer_of(table->type, *converted) == number;
}

/* An integer as an integer type. */
static Datum
integer_datum(const PmIdTable *table, int64 key, Oid wanted)
{
	if (wanted == INT8OID)
		return Int64GetDatum(key);
	if (wanted == INT4OID ? key != (int32) key : key != (int16) key)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("id %lld of column \"%s\" is out of range for type %s", (long long) key,
						table->column, format_type_be(wanted)),
				 errhint("Ids come back as the type that they are asked with: use %s.",
						 format_type_be(table->type))));
	return wanted == INT4OID ? Int32GetDatum((int32) key) : Int16GetDatum((int16) key);
}

Datum
pm_id_table_get(const PmIdTable *table, int32 code, Oid wanted)
{
	const char *bytes;
	size_t		length;
	pg_uuid_t  *uuid;

	if (table->kind == PM_ID_INTEGER)
		return integer_datum(table, table->keys[code], getBaseType(wanted));
	bytes = pm_dictionary_string(&table->strings, code, &length);
	if (table->kind == PM_ID_TEXT)
		return PointerGetDatum(cstring_to_text_with_len(bytes, length));
	uuid = palloc(sizeof(pg_uuid_t));
	memcpy(uuid->data, bytes, UUID_LEN);
	return UUIDPGetDatum(uuid);
}

PmIds *
pm_id_table_ids(const PmIdTable *table, const PmField *column, Oid wanted)
{
	PmIds	   *ids = pm_ids_create(table->ctx, column, wanted);
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "precmkt id",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext previous = MemoryContextSwitchTo(scratch);

	for (int32 code = 0; code < table->count; code++)
	{
		if (code % 4096 == 0)
			(void) pm_interrupted(table->ctx);
		pm_ids_add(ids, pm_id_table_get(table, code, table->type), false);
		if (table->kind != PM_ID_INTEGER || ids->as_text)
			MemoryContextReset(scratch);
	}
	MemoryContextSwitchTo(previous);
	MemoryContextDelete(scratch);
	return ids;
}

ArrayType *
pm_id_table_array(const PmIdTable *table, Oid *array_type)
{
	Oid			type = table->type == VARCHAROID ? TEXTOID : table->type;
	Datum	   *all;
	int16		length;
	bool		by_value;
	char		align;

	pm_host_check(table->ctx, pm_alloc(table->ctx, "the ids", table->count, sizeof(Datum), &all));
	for (int32 code = 0; code < table->count; code++)
		all[code] = pm_id_table_get(table, code, type);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	*array_type = get_array_type(type);
	return construct_array(all, table->count, type, length, by_value, align);
}
