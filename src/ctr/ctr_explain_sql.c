/*
 * ctr_explain_sql.c
 *		pm_explain_ctr: why a row has its probability.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"

#include "ctr_sql.h"

char *
pm_ctr_part_text(const CtrModel *model, const CtrPart *part)
{
	size_t		length = pm_ctr_part_name(model->schema, &model->layout, part, NULL, 0);
	char	   *name = palloc(length + 1);

	pm_ctr_part_name(model->schema, &model->layout, part, name, length + 1);
	pm_host_check_text(name, length, "a feature's name");
	return name;
}

char *
pm_ctr_index_text(const CtrModel *model, const CtrPart *part, int32_t index)
{
	size_t		length = pm_ctr_index_name(model->schema, &model->layout, part, index, NULL, 0);
	char	   *name = palloc(length + 1);

	pm_ctr_index_name(model->schema, &model->layout, part, index, name, length + 1);
	pm_host_check_text(name, length, "a category");
	return name;
}

/* What a part contributes to a row's logit. */
typedef struct Contribution
{
	const CtrPart *part;
	double		value;
} Contribution;

/* The largest in absolute value first; equal ones in the order of the parts. */
static int
compare_contributions(const void *left, const void *right)
{
	const Contribution *a = left;
	const Contribution *b = right;

	if (fabs(a->value) != fabs(b->value))
		return fabs(a->value) < fabs(b->value) ? 1 : -1;
	return (a->part > b->part) - (a->part < b->part);
}

/* The sum of the entries of each visible part, by field. */
static Contribution *
contributions_by_part(CtrScorer *scorer, int *count)
{
	const CtrModel *model = scorer->model;
	const CtrLayout *layout = &model->layout;
	int			entries = pm_ctr_scorer_entries(scorer);
	double	   *values = palloc_extended(Max(1, entries) * sizeof(double), MCXT_ALLOC_HUGE);
	Contribution *result = palloc0(Max(1, layout->field_count) * sizeof(Contribution));

	for (int i = 0; i < layout->part_count; i++)
		if (layout->parts[i].visible)
			result[layout->parts[i].field].part = &layout->parts[i];
	pm_ctr_model_contributions(model, scorer->entries, entries, scorer->scratch, values);
	for (int i = 0; i < entries; i++)
		result[scorer->entries[i].field].value += values[i];
	*count = layout->field_count;
	return result;
}

/* The row's value of a part as its user wrote it; NULL for NULL. */
static char *
value_text(const CtrScorer *scorer, const CtrPart *part)
{
	const CtrModel *model = scorer->model;
	const PmRow *row = scorer->row;
	StringInfoData text;
	int32_t		code;

	switch (part->kind)
	{
		case CTR_MISSING:
			return isnan(row->dense[part->at]) ? "true" : "false";
		case CTR_WEEKDAY:
		case CTR_HOUR:
			code = row->codes[part->at];
			return code < 0 ? NULL : pm_ctr_index_text(model, part, code);
		case CTR_CROSS:
			initStringInfo(&text);
			for (int j = 0; j < part->member_count; j++)
			{
				const char *member = value_text(scorer, &model->layout.parts[part->members[j]]);

				appendStringInfo(&text, "%s%s", j > 0 ? ":" : "", member != NULL ? member : "(null)");
			}
			return text.data;
		default:
			return pm_encoder_text(scorer->encoder, part->column);
	}
}

static void
put_contribution(PmRows *rows, const char *feature, const char *value,
				 double contribution)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	values[0] = CStringGetTextDatum(feature);
	nulls[1] = value == NULL;
	values[1] = value == NULL ? (Datum) 0 : CStringGetTextDatum(value);
	values[2] = Float8GetDatum(contribution);
	pm_rows_put(rows, values, nulls);
}

static double
log_odds(double probability)
{
	return log(probability) - log1p(-probability);
}

/*
 * What comes after the logit: calibration, and the correction for negatives
 * that were left out.  Isotonic regression can give 0 or 1, whose logit is
 * infinite.
 */
static void
put_corrections(PmRows *rows, const CtrModel *model, double logit)
{
	double		rate = model->scalars[CTR_NEGATIVE_RATE];

	if (model->scalars[CTR_CALIBRATION] == CTR_PLATT)
		put_contribution(rows, "(calibration)", NULL,
						 model->scalars[CTR_PLATT_SLOPE] * logit +
						 model->scalars[CTR_PLATT_SHIFT] - logit);
	else if (model->scalars[CTR_CALIBRATION] == CTR_ISOTONIC)
		put_contribution(rows, "(calibration)", NULL,
						 log_odds(pm_ctr_model_calibrated(model, logit)) - logit);
	if (rate != 1)
		put_contribution(rows, "(negative_rate)", NULL, log(rate));
}

PM_FUNCTION(pm_explain_ctr);

/*
 * pm_explain_ctr(model, features record, top int)
 *	→ TABLE(feature, value, contribution); no row where every feature is NULL
 */
Datum
pm_explain_ctr(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmCachedModel *cached = pm_model_cached(fcinfo, 0, &pm_ctr_kind);
	CtrScorer  *scorer = pm_ctr_cached_scorer(cached);
	const CtrModel *model = scorer->model;
	int			top = PG_GETARG_INT32(2);
	Contribution *contributions;
	double		others = 0;
	double		logit;
	int			count;

	if (top < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("top must not be negative, is %d", top)));
	if (!pm_ctr_scorer_read(cached, scorer, PG_GETARG_HEAPTUPLEHEADER(1)))
		return (Datum) 0;
	contributions = contributions_by_part(scorer, &count);
	logit = pm_ctr_scorer_logit(scorer);
	qsort(contributions, count, sizeof(Contribution), compare_contributions);
	put_contribution(&rows, "(intercept)", NULL, model->intercept);
	for (int i = 0; i < count; i++)
		if (i < top)
			put_contribution(&rows, pm_ctr_part_text(model, contributions[i].part),
							 value_text(scorer, contributions[i].part), contributions[i].value);
		else
			others += contributions[i].value;
	if (count > top)
		put_contribution(&rows, "(other features)", NULL, others);
	put_corrections(&rows, model, logit);
	return (Datum) 0;
}
