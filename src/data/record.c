/*
 * record.c
 *		Fields of record values, found by name.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "pm_source.h"

/* ROW(a, b) names its fields f1, f2: names that nobody chose. */
static void
refuse_unnamed(TupleDesc descriptor)
{
	for (int i = 0; i < descriptor->natts; i++)
	{
		char		made_up[16];

		snprintf(made_up, sizeof(made_up), "f%d", i + 1);
		if (strcmp(NameStr(TupleDescAttr(descriptor, i)->attname), made_up) != 0)
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the record's fields have no names"),
			 errhint("Pass a row that has them: ... FROM (SELECT a, b FROM t) AS r, and then r instead of ROW(a, b).")));
}

static void
fill_field(PmField *field, Form_pg_attribute attribute)
{
	field->name = NameStr(attribute->attname);
	field->typmod = attribute->atttypmod;
	field->type = getBaseTypeAndTypmod(attribute->atttypid, &field->typmod);
	field->number = attribute->attnum;
	field->categorical = false;
}

PmField *
pm_record_fields(HeapTupleHeader record, int *count)
{
	Oid			type = HeapTupleHeaderGetTypeId(record);
	TupleDesc	descriptor = lookup_rowtype_tupdesc(type,
													HeapTupleHeaderGetTypMod(record));
	PmField    *fields = palloc(Max(1, descriptor->natts) * sizeof(PmField));

	if (type == RECORDOID && descriptor->natts > 0)
		refuse_unnamed(descriptor);
	*count = 0;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (attribute->attisdropped)
			continue;
		fill_field(&fields[*count], attribute);
		fields[*count].name = pstrdup(fields[*count].name);
		(*count)++;
	}
	ReleaseTupleDesc(descriptor);
	return fields;
}

PmRecordReader *
pm_record_reader(MemoryContext memory, const char *const *names, int count)
{
	PmRecordReader *reader = MemoryContextAllocZero(memory,
													sizeof(PmRecordReader));

	reader->count = count;
	reader->names = names;
	reader->memory = memory;
	reader->fields = MemoryContextAlloc(memory, Max(1, count) * sizeof(PmField));
	return reader;
}

/* Keep a row type's descriptor; false when it is the one kept already. */
static bool
keep_descriptor(PmRecordReader *reader, Oid type, int32 typmod)
{
	TupleDesc	shared = lookup_rowtype_tupdesc(type, typmod);
	MemoryContext previous = MemoryContextSwitchTo(reader->memory);
	TupleDesc	descriptor = CreateTupleDescCopy(shared);
	bool		same = type == reader->type && typmod == reader->typmod &&
		equalTupleDescs(descriptor, reader->descriptor);

	ReleaseTupleDesc(shared);
	if (same)
		FreeTupleDesc(descriptor);
	else
	{
		reader->type = InvalidOid;	/* until every name is found */
		if (reader->descriptor != NULL)
		{
			FreeTupleDesc(reader->descriptor);
			reader->descriptor = NULL;
			pfree(reader->values);
			pfree(reader->nulls);
		}
		reader->values = palloc(Max(1, descriptor->natts) * sizeof(Datum));
		reader->nulls = palloc(Max(1, descriptor->natts) * sizeof(bool));
		reader->descriptor = descriptor;
	}
	MemoryContextSwitchTo(previous);
	return !same;
}

/* What tells whether a named row type has been altered since. */
static void
remember_identifier(PmRecordReader *reader, Oid type)
{
	reader->cached = NULL;
	if (type == RECORDOID)
		return;
	reader->cached = lookup_type_cache(type, TYPECACHE_TUPDESC);
	reader->identifier = reader->cached->tupDesc_identifier;
}

/*
 * Find the wanted names in a row type that is new or may have been altered;
 * false when it has not.
 */
static bool
adopt_type(PmRecordReader *reader, Oid type, int32 typmod)
{
	bool		changed = keep_descriptor(reader, type, typmod);

	remember_identifier(reader, type);
	if (!changed)
		return false;

	for (int i = 0; i < reader->count; i++)
	{
		bool		found = false;

		for (int j = 0; j < reader->descriptor->natts && !found; j++)
		{
			Form_pg_attribute attribute = TupleDescAttr(reader->descriptor, j);

			if (attribute->attisdropped ||
				strcmp(NameStr(attribute->attname), reader->names[i]) != 0)
				continue;
			fill_field(&reader->fields[i], attribute);
			found = true;
		}
		if (!found)
		{
			if (type == RECORDOID)
				refuse_unnamed(reader->descriptor);
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the record has no field \"%s\", which the model needs",
							reader->names[i]),
					 errhint("Features are matched by name; fields that the model does not know are ignored.")));
		}
	}
	reader->type = type;
	reader->typmod = typmod;
	return true;
}

bool
pm_record_read(PmRecordReader *reader, HeapTupleHeader record, Datum *values,
			   bool *nulls)
{
	Oid			type = HeapTupleHeaderGetTypeId(record);
	int32		typmod = HeapTupleHeaderGetTypMod(record);
	HeapTupleData tuple;
	bool		changed = false;

	if (type != reader->type || typmod != reader->typmod ||
		(reader->cached != NULL &&
		 reader->identifier != reader->cached->tupDesc_identifier))
		changed = adopt_type(reader, type, typmod);
	tuple.t_len = HeapTupleHeaderGetDatumLength(record);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = record;
	heap_deform_tuple(&tuple, reader->descriptor, reader->values,
					  reader->nulls);
	for (int i = 0; i < reader->count; i++)
	{
		int			at = reader->fields[i].number - 1;

		values[i] = reader->values[at];
		nulls[i] = reader->nulls[at];
	}
	return changed;
}
