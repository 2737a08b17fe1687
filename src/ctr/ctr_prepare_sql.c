/*
 * ctr_prepare_sql.c
 *		The layout of a training: a new one, or a previous model's that goes
 *		on, with its weights.
 */
#include "postgres.h"

#include "ctr_sql.h"

void
pm_ctr_prepare(CtrTraining *training, CtrTable *table)
{
	PmContext  *ctx = training->ctx;
	CtrModel   *model = &training->model;
	CtrLayoutOptions options;
	int32_t    *moved;

	pm_ctr_layout_options(training->call, model->schema, &options);
	if (training->previous == NULL)
	{
		pm_host_check(ctx, pm_ctr_layout_make(ctx, table, &options, &model->layout));
		return;
	}
	pm_host_check(ctx, pm_ctr_layout_extend(ctx, table, &options, &training->previous->layout,
											&model->layout, &moved));
	training->moved = moved;
	if (training->previous->algorithm == CTR_FTRL)
		model->ftrl = training->previous->ftrl;
}

/* ---- a model to go on from --------------------------------------------- */

/*
 * How it was trained, but for what depends on the columns and the number of
 * the rows at hand.
 */
static bool
is_inherited(const JsonbValue *key)
{
	static const char *const keys[] = {"l1", "l2", "solver", "max_iter", "tol", "epochs",
		"learning_rate", "batch_size", "init_scale", "monitor", "patience", "seed", "min_frequency",
	"max_categories"};

	for (int i = 0; i < lengthof(keys); i++)
		if (key->val.string.len == strlen(keys[i]) &&
			strncmp(key->val.string.val, keys[i], key->val.string.len) == 0)
			return true;
	return false;
}

Jsonb *
pm_ctr_inherited_options(PmContext *ctx, const PmCachedModel *previous)
{
	const CtrModel *model = previous->opened;
	Jsonb	   *meta = pm_model_json(ctx, previous->model, "meta");
	JsonbValue	name = {.type = jbvString};
	JsonbValue *options;
	JsonbIterator *iterator;
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue	value;

	name.val.string.val = "options";
	name.val.string.len = strlen("options");
	options = findJsonbValueFromContainer(&meta->root, JB_FOBJECT, &name);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (model->algorithm != CTR_FTRL && options != NULL && options->type == jbvBinary &&
		JsonContainerIsObject(options->val.binary.data))
	{
		iterator = JsonbIteratorInit(options->val.binary.data);
		JsonbIteratorNext(&iterator, &value, true); /* WJB_BEGIN_OBJECT */
		while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
		{
			JsonbIteratorNext(&iterator, &value, true);
			if (!is_inherited(&key))
				continue;
			pushJsonbValue(&state, WJB_KEY, &key);
			pushJsonbValue(&state, WJB_VALUE, &value);
		}
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
pm_ctr_check_previous(const PmCachedModel *previous, const CtrCall *call)
{
	const CtrModel *model = previous->opened;

	if (model->algorithm != call->algorithm)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the model to go on from is of algorithm \"%s\", not \"%s\"",
						pm_ctr_algorithms[model->algorithm],
						pm_ctr_algorithms[call->algorithm])));
}

void
pm_ctr_go_on(CtrTraining *training, CtrCall *call,
			 const PmCachedModel *previous)
{
	const CtrModel *model = previous->opened;

	call->negative_rate = model->scalars[CTR_NEGATIVE_RATE];
	call->factors = model->fm.factors;
	call->optimizer = model->fm.optimizer;
	call->hash_bits = model->layout.hash_bits;
	if (model->algorithm == CTR_FTRL)
	{
		call->learning_rate = model->ftrl.alpha;
		call->beta = model->ftrl.beta;
		call->l1 = model->ftrl.l1;
		call->l2 = model->ftrl.l2;
	}
	if (model->scalars[CTR_CALIBRATION] != CTR_UNCALIBRATED &&
		call->calibrate == CTR_UNCALIBRATED)
		ereport(NOTICE,
				(errmsg("the model's calibration is not that of its further training, and is left out"),
				 errhint("Give the option \"calibrate\" to calibrate anew.")));
	training->previous = model;
	training->parent = pm_model_id_string(previous->model);
}

int *
pm_ctr_previous_columns(const CtrModel *previous, const PmSource *source,
						int *count)
{
	const PmSchema *schema = previous->schema;
	int		   *columns = palloc(Max(1, schema->column_count) * sizeof(int));

	for (int i = 0; i < schema->column_count; i++)
		columns[i] = pm_source_find(source, schema->columns[i].name);
	*count = schema->column_count;
	return columns;
}

double *
pm_ctr_moved_start(const CtrTraining *training)
{
	const CtrModel *previous = training->previous;
	double	   *start;

	pm_host_check(training->ctx, pm_alloc_zero(training->ctx, "the fit",
											   (size_t) training->model.layout.coefficient_count + 1,
											   sizeof(double), &start));
	start[0] = previous->intercept;
	for (int32_t i = 0; i < previous->layout.coefficient_count; i++)
		start[1 + training->moved[i]] = previous->coefficients[i];
	return start;
}

/*
 * A state or weight array's rows of so many elements, from their old places
 * to the new ones.
 */
static void
move_rows(const CtrTraining *training, const float *from, float *to,
		  size_t width)
{
	for (int32_t i = 0; i < training->previous->layout.coefficient_count; i++)
		memcpy(to + training->moved[i] * width, from + i * width, width * sizeof(float));
}

/* Moments: those of the intercept, of linear, factor and pair. */
static void
move_moments(const CtrTraining *training, const PmFm *previous, const float *from,
			 PmFm *fm, float *to)
{
	size_t		old_count = previous->coefficient_count;
	size_t		count = fm->coefficient_count;
	size_t		pairs = fm->field_weighted ? (size_t) fm->field_count * fm->field_count : 0;

	to[0] = from[0];
	move_rows(training, from + 1, to + 1, 1);
	move_rows(training, from + 1 + old_count, to + 1 + count, fm->factors);
	memcpy(to + 1 + count * (1 + fm->factors), from + 1 + old_count * (1 + fm->factors),
		   pairs * sizeof(float));
}

void
pm_ctr_moved_fm(const CtrTraining *training, PmFm *fm)
{
	const PmFm *previous = &training->previous->fm;

	fm->intercept = previous->intercept;
	fm->steps = previous->steps;
	move_rows(training, previous->linear, fm->linear, 1);
	move_rows(training, previous->factor, fm->factor, fm->factors);
	if (fm->field_weighted)
		memcpy(fm->pair, previous->pair,
			   (size_t) fm->field_count * fm->field_count * sizeof(float));
	if (fm->first != NULL)
		move_moments(training, previous, previous->first, fm, fm->first);
	move_moments(training, previous, previous->second, fm, fm->second);
}
