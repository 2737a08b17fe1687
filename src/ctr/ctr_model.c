/*
 * ctr_model.c
 *		A click model written, read back, and rows scored by it.
 */
#include "ctr_model.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "pm_bytes.h"
#include "pm_metrics.h"

#define MAX_FACTORS 1024

/* ---- writing ---------------------------------------------------------- */

static PmStatus
add_ftrl(PmContext *ctx, const Ftrl *ftrl, PmModelWriter *writer)
{
	int32_t    *slots;
	FtrlState  *states;
	size_t		used = 0;

	for (int32_t i = 0; i < ftrl->size; i++)
		used += ftrl->table[i].n > 0;
	PM_TRY(pm_alloc(ctx, "the model", used, sizeof(int32_t), &slots));
	PM_TRY(pm_alloc(ctx, "the model", used, sizeof(FtrlState), &states));
	used = 0;
	for (int32_t i = 0; i < ftrl->size; i++)
		if (ftrl->table[i].n > 0)
		{
			slots[used] = i;
			states[used++] = ftrl->table[i];
		}
	pm_model_add_array(writer, "slots", PM_SECTION_INT32, slots, used, 1);
	pm_model_add_array(writer, "states", PM_SECTION_FLOAT32, states, used, 2);
	return PM_OK;
}

static void
add_fm(const PmFm *fm, PmModelWriter *writer)
{
	size_t		state = pm_fm_state_size(fm);

	pm_model_add_array(writer, "linear", PM_SECTION_FLOAT32, fm->linear, fm->coefficient_count, 1);
	pm_model_add_array(writer, "factors", PM_SECTION_FLOAT32, fm->factor, fm->coefficient_count, fm->factors);
	if (fm->field_weighted)
		pm_model_add_array(writer, "pairs", PM_SECTION_FLOAT32, fm->pair, fm->field_count, fm->field_count);
	pm_model_add_array(writer, "steps", PM_SECTION_INT64, &fm->steps, 1, 1);
	if (fm->first != NULL)
		pm_model_add_array(writer, "moments1", PM_SECTION_FLOAT32, fm->first, state, 1);
	pm_model_add_array(writer, "moments2", PM_SECTION_FLOAT32, fm->second, state, 1);
}

PmStatus
pm_ctr_model_sections(PmContext *ctx, const CtrModel *model,
					  PmModelWriter *writer)
{
	void	   *bytes;
	size_t		size;
	int32_t    *algorithm;
	double	   *isotonic;

	PM_TRY(pm_schema_write(ctx, model->schema, &bytes, &size));
	pm_model_add_bytes(writer, "schema", PM_SECTION_BYTES, bytes, size);
	PM_TRY(pm_ctr_layout_write(ctx, &model->layout, &bytes, &size));
	pm_model_add_bytes(writer, "layout", PM_SECTION_BYTES, bytes, size);
	PM_TRY(pm_alloc(ctx, "the model", 1, sizeof(int32_t), &algorithm));
	*algorithm = model->algorithm;
	pm_model_add_array(writer, "algorithm", PM_SECTION_INT32, algorithm, 1, 1);
	pm_model_add_array(writer, "scalars", PM_SECTION_FLOAT64, model->scalars, CTR_SCALAR_COUNT, 1);
	pm_model_add_array(writer, "log", PM_SECTION_FLOAT64, model->log, model->log_count, CTR_LOG_COLUMNS);
	if (model->scalars[CTR_CALIBRATION] == CTR_ISOTONIC)
	{
		PM_TRY(pm_alloc(ctx, "the model", 2 * (size_t) model->isotonic_count, sizeof(double), &isotonic));
		memcpy(isotonic, model->isotonic_thresholds, model->isotonic_count * sizeof(double));
		memcpy(isotonic + model->isotonic_count, model->isotonic_values, model->isotonic_count * sizeof(double));
		pm_model_add_array(writer, "isotonic", PM_SECTION_FLOAT64, isotonic, 2, model->isotonic_count);
	}
	switch (model->algorithm)
	{
		case CTR_LOGISTIC:
			pm_model_add_array(writer, "coefficients", PM_SECTION_FLOAT64, model->coefficients,
							   model->layout.coefficient_count, 1);
			if (model->std_errors != NULL)
				pm_model_add_array(writer, "std_errors", PM_SECTION_FLOAT64, model->std_errors,
								   (uint64_t) model->layout.coefficient_count + 1, 1);
			break;
		case CTR_FTRL:
			return add_ftrl(ctx, &model->ftrl, writer);
		case CTR_FM:
		case CTR_FWFM:
			add_fm(&model->fm, writer);
			break;
	}
	return PM_OK;
}

/* ---- reading ---------------------------------------------------------- */

/* A section of float32, all finite. */
static PmStatus
open_floats(PmContext *ctx, const PmModel *container, const char *name,
			int64_t rows, int64_t columns, const float **values)
{
	const PmSection *section;
	uint64_t	count;

	PM_TRY(pm_model_section(ctx, container, name, PM_SECTION_FLOAT32, rows, columns, &section));
	*values = section->data;
	count = section->dims[0] * section->dims[1];
	for (uint64_t i = 0; i < count; i++)
		if (!isfinite((*values)[i]))
			return pm_corrupt(ctx, "a weight is not finite");
	return PM_OK;
}

static PmStatus
open_logistic(PmContext *ctx, const PmModel *container, CtrModel *model)
{
	const PmSection *section;
	int64_t		count = model->layout.coefficient_count;

	PM_TRY(pm_model_section(ctx, container, "coefficients", PM_SECTION_FLOAT64, count, 1, &section));
	model->coefficients = section->data;
	for (int64_t i = 0; i < count; i++)
		if (!isfinite(model->coefficients[i]))
			return pm_corrupt(ctx, "a coefficient is not finite");
	if (pm_model_section(ctx, container, "std_errors", PM_SECTION_FLOAT64, count + 1, 1, &section) == PM_OK)
		model->std_errors = section->data;
	return PM_OK;
}

static PmStatus
open_ftrl(PmContext *ctx, const PmModel *container, CtrModel *model)
{
	Ftrl	   *ftrl = &model->ftrl;
	const PmSection *section;
	const int32_t *slots;
	const float *states;
	int64_t		used;

	if (!model->layout.hashed)
		return pm_corrupt(ctx, "its layout is not hashed");
	ftrl->alpha = model->scalars[CTR_FTRL_ALPHA];
	ftrl->beta = model->scalars[CTR_FTRL_BETA];
	ftrl->l1 = model->scalars[CTR_FTRL_L1];
	ftrl->l2 = model->scalars[CTR_FTRL_L2];
	if (!(ftrl->alpha > 0) || !(ftrl->beta >= 0) || !(ftrl->l1 >= 0) || !(ftrl->l2 >= 0))
		return pm_corrupt(ctx, "its options are out of range");
	PM_TRY(pm_model_section(ctx, container, "slots", PM_SECTION_INT32, -1, 1, &section));
	slots = section->data;
	used = (int64_t) section->dims[0];
	PM_TRY(open_floats(ctx, container, "states", used, 2, &states));
	PM_TRY(pm_ftrl_init(ctx, ftrl, model->layout.coefficient_count));
	ftrl->intercept.z = (float) model->scalars[CTR_FTRL_INTERCEPT_Z];
	ftrl->intercept.n = (float) model->scalars[CTR_FTRL_INTERCEPT_N];
	if (!(ftrl->intercept.n >= 0))
		return pm_corrupt(ctx, "a sum of squares is negative");
	for (int64_t i = 0; i < used; i++)
	{
		if (slots[i] < 0 || slots[i] >= ftrl->size || !(states[2 * i + 1] >= 0))
			return pm_corrupt(ctx, "a slot is out of range");
		ftrl->table[slots[i]] = (FtrlState) {states[2 * i], states[2 * i + 1]};
		if (!isfinite(pm_ftrl_weight(ftrl, ftrl->table[slots[i]])))
			return pm_corrupt(ctx, "a weight is not finite");
	}
	model->intercept = pm_ftrl_intercept(ftrl);
	if (!isfinite(model->intercept))
		return pm_corrupt(ctx, "a weight is not finite");
	return PM_OK;
}

static PmStatus
open_fm(PmContext *ctx, const PmModel *container, CtrModel *model)
{
	PmFm	   *fm = &model->fm;
	const PmSection *section;
	const float *values;
	int64_t		state;

	fm->field_weighted = model->algorithm == CTR_FWFM;
	fm->field_count = model->layout.field_count;
	fm->coefficient_count = model->layout.coefficient_count;
	fm->intercept = (float) model->intercept;
	if (!isfinite(fm->intercept))
		return pm_corrupt(ctx, "a weight is not finite");
	fm->optimizer = model->scalars[CTR_OPTIMIZER] == PM_FM_ADAGRAD ? PM_FM_ADAGRAD : PM_FM_ADAM;
	PM_TRY(open_floats(ctx, container, "linear", fm->coefficient_count, 1, &values));
	fm->linear = (float *) values;
	PM_TRY(pm_model_section(ctx, container, "factors", PM_SECTION_FLOAT32, fm->coefficient_count, -1, &section));
	if (section->dims[1] < 1 || section->dims[1] > MAX_FACTORS)
		return pm_corrupt(ctx, "its number of factors is out of range");
	fm->factors = (int) section->dims[1];
	PM_TRY(open_floats(ctx, container, "factors", fm->coefficient_count, fm->factors, &values));
	fm->factor = (float *) values;
	if (fm->field_weighted)
	{
		PM_TRY(open_floats(ctx, container, "pairs", fm->field_count, fm->field_count, &values));
		fm->pair = (float *) values;
	}
	PM_TRY(pm_model_section(ctx, container, "steps", PM_SECTION_INT64, 1, 1, &section));
	fm->steps = *(const int64_t *) section->data;
	if (fm->steps < 0)
		return pm_corrupt(ctx, "its number of steps is negative");
	state = (int64_t) pm_fm_state_size(fm);
	if (fm->optimizer == PM_FM_ADAM)
	{
		PM_TRY(open_floats(ctx, container, "moments1", state, 1, &values));
		fm->first = (float *) values;
	}
	PM_TRY(open_floats(ctx, container, "moments2", state, 1, &values));
	fm->second = (float *) values;
	return PM_OK;
}

static PmStatus
open_calibration(PmContext *ctx, const PmModel *container, CtrModel *model)
{
	const PmSection *section;
	const double *values;

	if (model->scalars[CTR_CALIBRATION] != CTR_ISOTONIC)
		return PM_OK;
	PM_TRY(pm_model_section(ctx, container, "isotonic", PM_SECTION_FLOAT64, 2, -1, &section));
	if (section->dims[1] < 1 || section->dims[1] > INT_MAX)
		return pm_corrupt(ctx, "its calibration has no points");
	values = section->data;
	model->isotonic_count = (int32_t) section->dims[1];
	model->isotonic_thresholds = values;
	model->isotonic_values = values + model->isotonic_count;
	for (int32_t i = 0; i < model->isotonic_count; i++)
		if (!isfinite(values[i]) || !(model->isotonic_values[i] >= 0 && model->isotonic_values[i] <= 1) ||
			(i > 0 && values[i] < values[i - 1]))
			return pm_corrupt(ctx, "its calibration is out of range");
	if (!isfinite(values[model->isotonic_count - 1] - values[0]))
		return pm_corrupt(ctx, "its calibration is out of range");
	return PM_OK;
}

PmStatus
pm_ctr_model_open(PmContext *ctx, const PmModel *container, void **result)
{
	CtrModel   *model;
	const PmSection *section;
	int32_t		algorithm;

	PM_TRY(pm_alloc_zero(ctx, "the model", 1, sizeof(CtrModel), &model));
	PM_TRY(pm_model_section(ctx, container, "schema", PM_SECTION_BYTES, -1, -1, &section));
	PM_TRY(pm_schema_read(ctx, section->data, section->length, &model->schema));
	PM_TRY(pm_model_section(ctx, container, "layout", PM_SECTION_BYTES, -1, -1, &section));
	PM_TRY(pm_ctr_layout_read(ctx, model->schema, section->data, section->length, &model->layout));
	PM_TRY(pm_model_section(ctx, container, "algorithm", PM_SECTION_INT32, 1, 1, &section));
	algorithm = *(const int32_t *) section->data;
	if (algorithm < CTR_LOGISTIC || algorithm > CTR_FWFM)
		return pm_corrupt(ctx, "its algorithm is unknown");
	model->algorithm = algorithm;
	PM_TRY(pm_model_section(ctx, container, "scalars", PM_SECTION_FLOAT64, CTR_SCALAR_COUNT, 1, &section));
	memcpy(model->scalars, section->data, sizeof(model->scalars));
	for (int i = 0; i < CTR_SCALAR_COUNT; i++)
		if (!isfinite(model->scalars[i]))
			return pm_corrupt(ctx, "one of its scalars is not finite");
	if (!(model->scalars[CTR_NEGATIVE_RATE] > 0 && model->scalars[CTR_NEGATIVE_RATE] <= 1))
		return pm_corrupt(ctx, "its rate of negatives is out of range");
	if (model->scalars[CTR_CALIBRATION] != CTR_UNCALIBRATED &&
		model->scalars[CTR_CALIBRATION] != CTR_PLATT &&
		model->scalars[CTR_CALIBRATION] != CTR_ISOTONIC)
		return pm_corrupt(ctx, "its calibration is unknown");
	model->intercept = model->scalars[CTR_INTERCEPT];
	PM_TRY(pm_model_section(ctx, container, "log", PM_SECTION_FLOAT64, -1, CTR_LOG_COLUMNS, &section));
	model->log = section->data;
	model->log_count = (int64_t) section->dims[0];
	PM_TRY(open_calibration(ctx, container, model));
	if (algorithm != CTR_FTRL && model->layout.hashed)
		return pm_corrupt(ctx, "its layout is hashed");
	switch (model->algorithm)
	{
		case CTR_LOGISTIC:
			PM_TRY(open_logistic(ctx, container, model));
			break;
		case CTR_FTRL:
			PM_TRY(open_ftrl(ctx, container, model));
			break;
		case CTR_FM:
		case CTR_FWFM:
			PM_TRY(open_fm(ctx, container, model));
			break;
	}
	*result = model;
	return PM_OK;
}

/* ---- scoring ---------------------------------------------------------- */

size_t
pm_ctr_scratch_size(const CtrModel *model, int entries)
{
	switch (model->algorithm)
	{
		case CTR_FM:
		case CTR_FWFM:
			return ((size_t) model->fm.field_count + 1) * model->fm.factors * sizeof(double);
		case CTR_FTRL:
			return pm_ftrl_scratch(entries) + 1;
		case CTR_LOGISTIC:
			break;
	}
	return 1;
}

double
pm_ctr_model_logit(const CtrModel *model, const PmCtrEntry *entries,
				   int count, void *scratch)
{
	double		logit = model->intercept;

	switch (model->algorithm)
	{
		case CTR_LOGISTIC:
			for (int i = 0; i < count; i++)
				logit += model->coefficients[entries[i].index] * entries[i].value;
			return logit;
		case CTR_FTRL:
			return pm_ftrl_logit(&model->ftrl, entries, count, scratch);
		case CTR_FM:
		case CTR_FWFM:
			return pm_fm_logit(&model->fm, entries, count, scratch);
	}
	return logit;
}

double
pm_ctr_model_calibrated(const CtrModel *model, double logit)
{
	switch ((CtrCalibration) model->scalars[CTR_CALIBRATION])
	{
		case CTR_PLATT:
			return pm_sigmoid(model->scalars[CTR_PLATT_SLOPE] * logit +
							  model->scalars[CTR_PLATT_SHIFT]);
		case CTR_ISOTONIC:
			return pm_isotonic_apply(logit, model->isotonic_count,
									 model->isotonic_thresholds,
									 model->isotonic_values);
		default:
			return pm_sigmoid(logit);
	}
}

double
pm_ctr_model_probability(const CtrModel *model, double logit)
{
	double		rate = model->scalars[CTR_NEGATIVE_RATE];
	double		probability = pm_ctr_model_calibrated(model, logit);

	return rate == 1 ? probability : probability * rate / (probability * rate + (1 - probability));
}

void
pm_ctr_model_contributions(const CtrModel *model, const PmCtrEntry *entries,
						   int count, void *scratch,
						   double *contributions)
{
	switch (model->algorithm)
	{
		case CTR_LOGISTIC:
			for (int i = 0; i < count; i++)
				contributions[i] = model->coefficients[entries[i].index] * entries[i].value;
			break;
		case CTR_FTRL:
			for (int i = 0; i < count; i++)
				contributions[i] = pm_ftrl_weight(&model->ftrl, model->ftrl.table[entries[i].index]) *
					entries[i].value;
			break;
		case CTR_FM:
		case CTR_FWFM:
			pm_fm_contributions(&model->fm, entries, count, scratch, contributions);
			break;
	}
}

PmStatus
pm_ctr_model_logits(PmContext *ctx, const CtrModel *model,
					const PmCtrRows *rows, float *logits)
{
	if (model->algorithm == CTR_LOGISTIC)
		return pm_logistic_logits(ctx, rows, model->intercept, model->coefficients, logits);
	return pm_fm_logits(ctx, rows, &model->fm, logits);
}
