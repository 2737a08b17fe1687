/*
 * options.c
 *		A function's options: from jsonb into C variables, and back as JSON.
 *
 * No option is accepted and ignored: what is not known is an error that
 * lists what is.
 */
#include "postgres.h"

#include <math.h>

#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "pm_host.h"

/* "a", "b", "c" */
static char *
list_words(const char *const *words)
{
	StringInfoData list;

	initStringInfo(&list);
	for (; *words != NULL; words++)
		appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "", *words);
	return list.data;
}

static void
unknown_option(const char *key, const PmOption *definitions, int count,
			   const char *what)
{
	const char **names = palloc0((count + 1) * sizeof(char *));

	for (int i = 0; i < count; i++)
		names[i] = definitions[i].name;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown option \"%s\" for %s", key, what),
			 errhint("Valid options are %s.", list_words(names))));
}

static const char *
value_kind(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return "a string";
		case jbvNumeric:
			return "a number";
		case jbvBool:
			return "a boolean";
		case jbvNull:
			return "null";
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ? "an array" : "an object";
		default:
			return "another type";
	}
}

static void
wrong_type(const PmOption *option, const JsonbValue *value,
		   const char *wanted)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" must be %s, not %s", option->name, wanted,
					value_kind(value))));
}

/* A number within the option's bounds; whole where `whole`. */
static double
parse_number(const PmOption *option, const JsonbValue *value, bool whole)
{
	double		number;

	if (value->type != jbvNumeric)
		wrong_type(option, value, whole ? "a whole number" : "a number");
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												NumericGetDatum(value->val.numeric)));
	if (!(number >= option->minimum && number <= option->maximum))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be between %.16g and %.16g, not %.16g",
						option->name, option->minimum, option->maximum,
						number)));
	if (whole && number != rint(number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a whole number, not %g",
						option->name, number)));
	return number;
}

static char *
parse_string(const PmOption *option, const JsonbValue *value)
{
	if (value->type != jbvString)
		wrong_type(option, value, "a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static List *
parse_names(const PmOption *option, const JsonbValue *value)
{
	JsonbContainer *array;
	List	   *names = NIL;

	if (value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		wrong_type(option, value, "an array of strings");
	array = value->val.binary.data;
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		if (element->type != jbvString)
			wrong_type(option, element, "an array of strings");
		names = lappend(names, pnstrdup(element->val.string.val,
										element->val.string.len));
	}
	return names;
}

int
pm_choice_parse(const char *word, const char *const *choices,
				const char *what)
{
	for (int i = 0; choices[i] != NULL; i++)
		if (strcmp(word, choices[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown %s \"%s\"", what, word),
			 errhint("Valid values are %s.", list_words(choices))));
	return -1;
}

static void
parse_option(const PmOption *option, const JsonbValue *value)
{
	if (value->type == jbvNull)
		return;
	switch (option->type)
	{
		case PM_OPTION_INT:
			*(int *) option->target = (int) parse_number(option, value, true);
			break;
		case PM_OPTION_INT64:
			*(int64 *) option->target = (int64) parse_number(option, value, true);
			break;
		case PM_OPTION_DOUBLE:
			*(double *) option->target = parse_number(option, value, false);
			break;
		case PM_OPTION_BOOL:
			if (value->type != jbvBool)
				wrong_type(option, value, "a boolean");
			*(bool *) option->target = value->val.boolean;
			break;
		case PM_OPTION_STRING:
			*(char **) option->target = parse_string(option, value);
			break;
		case PM_OPTION_CHOICE:
			*(int *) option->target = pm_choice_parse(parse_string(option, value),
													  option->choices,
													  option->name);
			break;
		case PM_OPTION_NAMES:
			*(List **) option->target = parse_names(option, value);
			break;
		case PM_OPTION_JSON:
			*(Jsonb **) option->target = JsonbValueToJsonb((JsonbValue *) value);
			break;
	}
}

static const PmOption *
find_option(const char *key, const PmOption *definitions, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(definitions[i].name, key) == 0)
			return &definitions[i];
	return NULL;
}

void
pm_options_parse(Jsonb *options, const PmOption *definitions, int count,
				 const char *what)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	const PmOption *option;

	if (options == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object"),
				 errhint("For example '{\"seed\": 1}'.")));
	iterator = JsonbIteratorInit(&options->root);
	JsonbIteratorNext(&iterator, &value, true); /* WJB_BEGIN_OBJECT */
	while ((token = JsonbIteratorNext(&iterator, &value, true)) == WJB_KEY)
	{
		char	   *key = pnstrdup(value.val.string.val, value.val.string.len);

		JsonbIteratorNext(&iterator, &value, true); /* WJB_VALUE */
		option = find_option(key, definitions, count);
		if (option == NULL)
			unknown_option(key, definitions, count, what);
		parse_option(option, &value);
	}
}

void
pm_options_write(StringInfo json, const PmOption *definitions, int count)
{
	appendStringInfoChar(json, '{');
	for (int i = 0; i < count; i++)
	{
		const PmOption *option = &definitions[i];

		switch (option->type)
		{
			case PM_OPTION_INT:
				pm_json_int(json, option->name, *(int *) option->target);
				break;
			case PM_OPTION_INT64:
				pm_json_int(json, option->name, *(int64 *) option->target);
				break;
			case PM_OPTION_DOUBLE:
				pm_json_double(json, option->name, *(double *) option->target);
				break;
			case PM_OPTION_BOOL:
				pm_json_bool(json, option->name, *(bool *) option->target);
				break;
			case PM_OPTION_STRING:
				pm_json_string(json, option->name, *(char **) option->target);
				break;
			case PM_OPTION_CHOICE:
				pm_json_string(json, option->name,
							   option->choices[*(int *) option->target]);
				break;
			case PM_OPTION_NAMES:
				{
					ListCell   *cell;
					const char *separator = "";

					pm_json_key(json, option->name);
					appendStringInfoChar(json, '[');
					foreach(cell, *(List **) option->target)
					{
						appendStringInfoString(json, separator);
						escape_json(json, (char *) lfirst(cell));
						separator = ", ";
					}
					appendStringInfoChar(json, ']');
					break;
				}
			case PM_OPTION_JSON:
				{
					Jsonb	   *value = *(Jsonb **) option->target;

					pm_json_key(json, option->name);
					if (value == NULL)
						appendStringInfoString(json, "null");
					else
						(void) JsonbToCString(json, &value->root, VARSIZE(value));
					break;
				}
		}
	}
	appendStringInfoChar(json, '}');
}
