/*
 * interactions_options.c
 *		The options of reading interactions.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "pm_interactions.h"

/* In the order of PmInteractionAgg. */
static const char *const agg_names[] = {"sum", "count", "last", "max", NULL};

void
pm_interactions_options(PmInteractionsSpec *spec, PmOption *definitions)
{
	const PmOption options[PM_INTERACTIONS_OPTIONS] = {
		{"event_col", PM_OPTION_STRING, &spec->event_col},
		{"event_weights", PM_OPTION_JSON, &spec->event_weights},
		{"ts_col", PM_OPTION_STRING, &spec->ts_col},
		{"half_life", PM_OPTION_JSON, &spec->half_life_json},
		{"agg", PM_OPTION_CHOICE, &spec->agg, .choices = agg_names},
		{"min_user_count", PM_OPTION_INT, &spec->min_user_count, 1, PG_INT32_MAX},
		{"min_item_count", PM_OPTION_INT, &spec->min_item_count, 1, PG_INT32_MAX},
	};

	memset(spec, 0, sizeof(*spec));
	spec->min_user_count = spec->min_item_count = 1;
	memcpy(definitions, options, sizeof(options));
}

/* Days, of a number or an interval's text. */
static double
parse_half_life(Jsonb *json)
{
	JsonbValue	value;
	double		days = NAN;

	if (!JB_ROOT_IS_SCALAR(json) || !JsonbExtractScalar(&json->root, &value))
		value.type = jbvNull;
	if (value.type == jbvNumeric)
		days = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												  NumericGetDatum(value.val.numeric)));
	else if (value.type == jbvString)
	{
		char	   *text = pnstrdup(value.val.string.val, value.val.string.len);
		Interval   *interval = DatumGetIntervalP(DirectFunctionCall3(interval_in,
																	 CStringGetDatum(text),
																	 ObjectIdGetDatum(InvalidOid),
																	 Int32GetDatum(-1)));

		days = interval->month * (double) DAYS_PER_MONTH + interval->day +
			(double) interval->time / USECS_PER_DAY;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"half_life\" must be a number of days or an interval"),
				 errhint("For example 30, or \"2 weeks\".")));
	if (!(days > 0 && days <= 1e9))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"half_life\" must be more than 0 and at most 1e9 days, not %g",
						days)));
	return days;
}

/* One option has been given without the other one that it needs. */
static void
require(bool given, const char *option, bool has, const char *needed, const char *example)
{
	if (given && !has)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" needs option \"%s\"", option, needed),
				 errhint("For example %s.", example)));
}

void
pm_interactions_check(PmInteractionsSpec *spec)
{
	require(spec->event_weights != NULL, "event_weights", spec->event_col != NULL, "event_col",
			"{\"event_col\": \"event\"}");
	require(spec->event_col != NULL, "event_col", spec->event_weights != NULL, "event_weights",
			"{\"event_weights\": {\"view\": 1, \"purchase\": 5}}");
	require(spec->half_life_json != NULL, "half_life", spec->ts_col != NULL, "ts_col",
			"{\"ts_col\": \"ts\"}");
	require(spec->agg == PM_INTERACTIONS_LAST, "agg", spec->ts_col != NULL, "ts_col",
			"{\"agg\": \"last\", \"ts_col\": \"ts\"}");
	if (spec->ts_col != NULL && spec->half_life_json == NULL && spec->agg != PM_INTERACTIONS_LAST)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"ts_col\" has no use without \"half_life\" or \"agg\": \"last\"")));
	if (spec->half_life_json != NULL)
		spec->half_life = parse_half_life(spec->half_life_json);
}

bool
pm_interactions_local(const PmInteractionsSpec *spec)
{
	return spec->half_life == 0 && spec->min_user_count <= 1 && spec->min_item_count <= 1;
}
