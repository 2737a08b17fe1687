/*
 * ctr_weights_sql.c
 *		pm_model_weights and pm_training_log: what a click model learnt, and
 *		how that went.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "ctr_sql.h"
#include "pm_meta.h"

#define CHECK_INTERVAL 4096

/* The rows of pm_model_weights under way. */
typedef struct Weights
{
	PmRows		rows;
	const CtrModel *model;
	double		intercept;		/* of the columns as they are */
	bool	   *named;			/* hashed: coefficients already told */
} Weights;

/* One row; a standard error of NAN is none. */
static void
put_weight(Weights *weights, const char *feature, const char *category,
		   double coefficient, double error)
{
	Datum		values[7];
	bool		nulls[7] = {false};
	double		z = error > 0 ? coefficient / error : NAN;

	values[0] = CStringGetTextDatum(feature);
	nulls[1] = category == NULL || category[0] == '\0';
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(category);
	values[2] = Float8GetDatum(coefficient);
	values[3] = pm_float8_or_null(error, &nulls[3]);
	values[4] = pm_float8_or_null(z, &nulls[4]);
	values[5] = pm_float8_or_null(erfc(fabs(z) / M_SQRT2), &nulls[5]);
	values[6] = pm_float8_or_null(exp(coefficient), &nulls[6]);
	pm_rows_put(&weights->rows, values, nulls);
}

/* The coefficient of an index, before any scaling. */
static double
coefficient_at(const CtrModel *model, int32_t at)
{
	switch (model->algorithm)
	{
		case CTR_LOGISTIC:
			return model->coefficients[at];
		case CTR_FTRL:
			return pm_ftrl_weight(&model->ftrl, model->ftrl.table[at]);
		case CTR_FM:
		case CTR_FWFM:
			return model->fm.linear[at];
	}
	return 0;
}

/* Where the coefficient of an index of a part stands, or -1. */
static int32_t
place_of(const CtrModel *model, const CtrPart *part, int32_t index)
{
	return model->layout.hashed ? pm_ctr_hashed_place(&model->layout, part, index) :
		part->first + index;
}

/* How many indexes of a part can be named: of a hashed one, those of no category. */
static int32_t
nameable(const CtrModel *model, const CtrPart *part)
{
	if (!model->layout.hashed)
		return part->size;
	switch (part->kind)
	{
		case CTR_CATEGORY:
		case CTR_SET:
		case CTR_CROSS:
			return 0;
		case CTR_BINS:
			return part->transform == CTR_QUANTILE ? part->size : 0;
		default:
			return part->size;
	}
}

/* The intercept that goes with numbers as they are, not shifted. */
static double
plain_intercept(const CtrModel *model)
{
	double		intercept = model->intercept;

	for (int i = 0; i < model->layout.part_count; i++)
	{
		const CtrPart *part = &model->layout.parts[i];

		for (int32_t j = 0; part->visible && part->kind == CTR_NUMBER && j < part->size; j++)
			intercept -= coefficient_at(model, place_of(model, part, j)) *
				part->shift[j] * part->scale[j];
	}
	return intercept;
}

static void
put_part(Weights *weights, const CtrPart *part)
{
	const CtrModel *model = weights->model;
	const char *feature = pm_ctr_part_text(model, part);

	for (int32_t i = 0; i < nameable(model, part); i++)
	{
		int32_t		place = place_of(model, part, i);
		double		scale = part->kind == CTR_NUMBER ? part->scale[i] : 1;
		double		error = NAN;

		if (i % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (model->std_errors != NULL && scale != 0)
			error = model->std_errors[1 + place] * scale;
		if (weights->named != NULL)
			weights->named[place] = true;
		put_weight(weights, feature, pm_ctr_index_text(model, part, i),
				   coefficient_at(model, place) * scale, error);
	}
}

/* Coefficients of a hashed model whose categories are not known. */
static void
put_slots(Weights *weights)
{
	const Ftrl *ftrl = &weights->model->ftrl;

	for (int32_t i = 0; i < ftrl->size; i++)
	{
		if (i % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (ftrl->table[i].n > 0 && !weights->named[i])
			put_weight(weights, "(hashed)", psprintf("%d", i),
					   pm_ftrl_weight(ftrl, ftrl->table[i]), NAN);
	}
}

PM_FUNCTION(pm_model_weights);

/*
 * pm_model_weights(model) → TABLE(feature, category, coefficient, std_err,
 *								   z_value, p_value, odds_ratio)
 */
Datum
pm_model_weights(PG_FUNCTION_ARGS)
{
	PmContext  *ctx;
	PmCachedModel cached;
	Weights		weights = {0};

	weights.rows = pm_rows_begin(fcinfo);
	ctx = pm_host_begin("model");
	pm_model_open_argument(fcinfo, 0, &pm_ctr_kind, ctx, &cached);
	weights.model = cached.opened;
	if (weights.model->layout.hashed)
		pm_host_check(ctx, pm_alloc_zero(ctx, "the weights", weights.model->ftrl.size,
										 sizeof(bool), &weights.named));
	put_weight(&weights, "(intercept)", NULL, plain_intercept(weights.model),
			   weights.model->std_errors != NULL ? weights.model->std_errors[0] : NAN);
	for (int i = 0; i < weights.model->layout.part_count; i++)
		if (weights.model->layout.parts[i].visible)
			put_part(&weights, &weights.model->layout.parts[i]);
	if (weights.model->layout.hashed)
		put_slots(&weights);
	pm_host_end(ctx);
	return (Datum) 0;
}

/* ---- the training log --------------------------------------------------- */

/* Number i of "log_seconds" in the section "run", NAN where it has none. */
static double
log_seconds(Jsonb *run, int i)
{
	JsonbValue	key;
	JsonbValue *array;
	JsonbValue *number;

	key.type = jbvString;
	key.val.string.val = "log_seconds";
	key.val.string.len = strlen("log_seconds");
	array = findJsonbValueFromContainer(&run->root, JB_FOBJECT, &key);
	if (array == NULL || array->type != jbvBinary ||
		!JsonContainerIsArray(array->val.binary.data))
		return NAN;
	number = getIthJsonbValueFromContainer(array->val.binary.data, i);
	if (number == NULL || number->type != jbvNumeric)
		return NAN;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											  NumericGetDatum(number->val.numeric)));
}

PM_FUNCTION(pm_training_log);

/* pm_training_log(model) → TABLE(epoch, loss, eval_loss, eval_auc, seconds) */
Datum
pm_training_log(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx = pm_host_begin("model");
	const CtrModel *model;
	PmCachedModel cached;
	Jsonb	   *run;

	pm_model_open_argument(fcinfo, 0, &pm_ctr_kind, ctx, &cached);
	model = cached.opened;
	run = pm_model_json(ctx, cached.model, "run");
	for (int64 i = 0; i < model->log_count; i++)
	{
		const double *entry = model->log + i * CTR_LOG_COLUMNS;
		Datum		values[5];
		bool		nulls[5] = {false};

		if (!(entry[0] >= 0 && entry[0] <= INT_MAX))
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("model is corrupt: an epoch of its log is out of range")));
		values[0] = Int32GetDatum((int32) entry[0]);
		for (int j = 1; j < CTR_LOG_COLUMNS; j++)
			values[j] = pm_float8_or_null(entry[j], &nulls[j]);
		values[4] = pm_float8_or_null(log_seconds(run, (int) Min(i, INT_MAX)), &nulls[4]);
		pm_rows_put(&rows, values, nulls);
	}
	pm_host_end(ctx);
	return (Datum) 0;
}
