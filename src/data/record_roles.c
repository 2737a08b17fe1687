/*
 * record_roles.c
 *		What the fields of an aggregate's record are for.
 */
#include "postgres.h"

#include "pm_source.h"

/* SELECT a, a gives two fields of one name. */
static void
check_names(const PmField *fields, int count)
{
	for (int i = 0; i < count; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(fields[i].name, fields[j].name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("the record has more than one field \"%s\"",
								fields[i].name)));
}

static PmField *
find_field(PmField *fields, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

/* A field for a purpose; NULL where no name is given. */
static PmField *
wanted_field(PmField *fields, int count, const char *name, const char *purpose)
{
	PmField    *field = name != NULL ? find_field(fields, count, name) : NULL;

	if (name != NULL && field == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the record has no field \"%s\" for the %s", name, purpose)));
	return field;
}

static bool
is_excluded(List *exclude, const char *name)
{
	ListCell   *cell;

	foreach(cell, exclude)
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	return false;
}

/* Names to exclude that the record lacks are mistakes worth an ERROR. */
static void
check_excluded(List *exclude, PmField *fields, int count)
{
	ListCell   *cell;

	foreach(cell, exclude)
		if (find_field(fields, count, lfirst(cell)) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the record has no field \"%s\" to exclude",
							(char *) lfirst(cell))));
}

PmRecordRoles
pm_record_roles(HeapTupleHeader record, List *exclude, const char *weight_col,
				const char *time_col)
{
	PmRecordRoles roles = {0};
	int			count;
	PmField    *fields = pm_record_fields(record, &count);

	check_names(fields, count);
	check_excluded(exclude, fields, count);
	roles.weight = wanted_field(fields, count, weight_col, "weights");
	roles.time = wanted_field(fields, count, time_col, "time");
	roles.features = palloc(Max(1, count) * sizeof(PmField));
	roles.names = palloc((count + 2) * sizeof(char *));
	for (int i = 0; i < count; i++)
		if (&fields[i] != roles.weight && &fields[i] != roles.time &&
			!is_excluded(exclude, fields[i].name))
		{
			roles.names[roles.name_count++] = fields[i].name;
			roles.features[roles.feature_count++] = fields[i];
		}
	if (roles.feature_count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the record has no field to use as a feature")));
	if (roles.weight != NULL)
		roles.names[roles.name_count++] = roles.weight->name;
	if (roles.time != NULL)
		roles.names[roles.name_count++] = roles.time->name;
	return roles;
}
