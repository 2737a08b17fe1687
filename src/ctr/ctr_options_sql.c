/*
 * ctr_options_sql.c
 *		The options of click models: which there are, and those that are JSON
 *		of their own.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "ctr_sql.h"

#define MAX_OPTIONS 40
#define MAX_BINS 1000
#define MAX_VALUES 10000

const char *const pm_ctr_algorithms[] = {"logistic", "ftrl", "fm", "fwfm", NULL};

static const char *const solver_names[] = {"auto", "lbfgs", "newton", NULL};
static const char *const optimizer_names[] = {"adam", "adagrad", NULL};
static const char *const monitor_names[] = {"log_loss", "auc", NULL};
static const char *const calibrate_names[] = {"none", "platt", "isotonic", NULL};
static const char *const transform_names[] = {"standardize", "log1p", "raw", "quantile", "values", NULL};

/* The options of an algorithm and door, with targets in *call. */
static int
define_options(CtrCall *call, CtrDoor door, PmOption *options)
{
	bool		logistic = call->algorithm == CTR_LOGISTIC;
	bool		ftrl = call->algorithm == CTR_FTRL;
	bool		fm = call->algorithm == CTR_FM || call->algorithm == CTR_FWFM;
	int			count = 0;

#define ADD(...) (options[count++] = (PmOption) {__VA_ARGS__})
	if (door == CTR_AGGREGATE)
	{
		ADD("algorithm", PM_OPTION_CHOICE, &call->algorithm,.choices = pm_ctr_algorithms);
		ADD("exclude", PM_OPTION_NAMES, &call->exclude);
	}
	ADD("weight_col", PM_OPTION_STRING, &call->weight_col);
	ADD("time_col", PM_OPTION_STRING, &call->time_col);
	ADD("time_share", PM_OPTION_DOUBLE, &call->time_share, 0.0001, 0.9);
	ADD("eval_fraction", PM_OPTION_DOUBLE, &call->eval_fraction, 0, 0.9);
	ADD("class_weight", PM_OPTION_JSON, &call->class_weight);
	if (door != CTR_UPDATE)
		ADD("negative_rate", PM_OPTION_DOUBLE, &call->negative_rate, 1e-9, 1);
	if (!ftrl)
		ADD("max_categories", PM_OPTION_INT, &call->max_categories, 1, 1 << 24);
	if (!ftrl)
		ADD("min_frequency", PM_OPTION_INT, &call->min_frequency, 1, 1000000000);
	if (door != CTR_UPDATE)
	{
		ADD("categorical", PM_OPTION_NAMES, &call->categorical);
		ADD("transform", PM_OPTION_JSON, &call->transform);
		ADD("crosses", PM_OPTION_JSON, &call->crosses);
	}
	if (logistic || (ftrl && door != CTR_UPDATE))
		ADD("l1", PM_OPTION_DOUBLE, &call->l1, 0, 1e12);
	if (!ftrl || door != CTR_UPDATE)
		ADD("l2", PM_OPTION_DOUBLE, &call->l2, 0, 1e12);
	if (logistic)
	{
		ADD("solver", PM_OPTION_CHOICE, &call->solver,.choices = solver_names);
		ADD("max_iter", PM_OPTION_INT, &call->max_iter, 1, 1000000);
		ADD("tol", PM_OPTION_DOUBLE, &call->tol, 0, 1);
	}
	else
		ADD("epochs", PM_OPTION_INT, &call->epochs, 1, 100000);
	if (fm || (ftrl && door != CTR_UPDATE))
		ADD("learning_rate", PM_OPTION_DOUBLE, &call->learning_rate, 1e-9, 1e3);
	if (ftrl && door != CTR_UPDATE)
	{
		ADD("beta", PM_OPTION_DOUBLE, &call->beta, 0, 1e6);
		ADD("hash_bits", PM_OPTION_INT, &call->hash_bits, 4, CTR_MAX_HASH_BITS);
	}
	if (fm)
	{
		if (door != CTR_UPDATE)
		{
			ADD("factors", PM_OPTION_INT, &call->factors, 1, 1024);
			ADD("optimizer", PM_OPTION_CHOICE, &call->optimizer,.choices = optimizer_names);
		}
		ADD("init_scale", PM_OPTION_DOUBLE, &call->init_scale, 0, 10);
		ADD("batch_size", PM_OPTION_INT, &call->batch_size, 1, 1 << 24);
		ADD("early_stopping", PM_OPTION_BOOL, &call->early_stopping);
		ADD("monitor", PM_OPTION_CHOICE, &call->monitor,.choices = monitor_names);
		ADD("patience", PM_OPTION_INT, &call->patience, 1, 100000);
		ADD("seed", PM_OPTION_INT64, &call->seed, 0, 0x1.0p53 - 1);
	}
	ADD("calibrate", PM_OPTION_CHOICE, &call->calibrate,.choices = calibrate_names);
	if (door == CTR_TABLE)
		ADD("init", PM_OPTION_STRING, &call->init);
#undef ADD
	return count;
}

/* Whether a key stands in the options and is not null. */
static bool
has_key(Jsonb *json, const char *key)
{
	JsonbValue	wanted;
	JsonbValue *found;

	if (json == NULL || !JB_ROOT_IS_OBJECT(json))
		return false;
	wanted.type = jbvString;
	wanted.val.string.val = (char *) key;
	wanted.val.string.len = strlen(key);
	found = findJsonbValueFromContainer(&json->root, JB_FOBJECT, &wanted);
	return found != NULL && found->type != jbvNull;
}

/* An aggregate's algorithm, which decides on the other options. */
static CtrAlgorithm
find_algorithm(Jsonb *json)
{
	JsonbValue	wanted;
	JsonbValue *found;

	if (!has_key(json, "algorithm"))
		return CTR_LOGISTIC;
	wanted.type = jbvString;
	wanted.val.string.val = "algorithm";
	wanted.val.string.len = strlen("algorithm");
	found = findJsonbValueFromContainer(&json->root, JB_FOBJECT, &wanted);
	if (found->type != jbvString)
		return CTR_LOGISTIC;	/* parsing says what is wrong */
	return pm_choice_parse(pnstrdup(found->val.string.val, found->val.string.len),
						   pm_ctr_algorithms, "algorithm");
}

static void
set_defaults(CtrCall *call)
{
	bool		fm = call->algorithm == CTR_FM || call->algorithm == CTR_FWFM;
	CtrAlgorithm algorithm = call->algorithm;

	memset(call, 0, sizeof(*call));
	call->algorithm = algorithm;
	call->time_share = 0.1;
	call->eval_fraction = fm ? 0.1 : 0;
	call->negative_rate = 1;
	call->max_categories = 1 << 24;
	call->min_frequency = 1;
	call->l2 = algorithm == CTR_LOGISTIC ? 1 : algorithm == CTR_FM ? 1e-5 : algorithm == CTR_FWFM ? 5e-5 : 0;
	call->max_iter = 1000;
	call->epochs = fm ? 20 : 1;
	call->learning_rate = algorithm == CTR_FM ? 0.01 : algorithm == CTR_FWFM ? 0.005 : 0.1;
	call->beta = 1;
	call->hash_bits = 20;
	call->factors = 16;
	call->batch_size = 4096;
	call->optimizer = PM_FM_ADAM;
	call->init_scale = 0.01;
	call->early_stopping = true;
	call->patience = 2;
	call->seed = 1;
}

/* Options that a model to go on from has decided on. */
static void
refuse_fixed_options(const CtrCall *call, Jsonb *json)
{
	static const char *const fixed[] = {"negative_rate", "categorical", "transform", "crosses",
		"factors", "optimizer", "hash_bits", "beta"};
	static const char *const ftrl[] = {"l1", "l2", "learning_rate"};

	for (int i = 0; i < lengthof(fixed); i++)
		if (has_key(json, fixed[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is that of the model \"%s\" to go on from",
							fixed[i], call->init)));
	for (int i = 0; i < lengthof(ftrl) && call->algorithm == CTR_FTRL; i++)
		if (has_key(json, ftrl[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is that of the model \"%s\" to go on from",
							ftrl[i], call->init)));
}

/* Options that contradict each other. */
static void
check_options(CtrCall *call, Jsonb *json)
{
	static const char *const stopping[] = {"monitor", "patience"};
	bool		held_out;

	if (call->time_col != NULL)
	{
		if (has_key(json, "eval_fraction"))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options \"time_col\" and \"eval_fraction\" contradict each other"),
					 errdetail("Either the newest rows are held out for evaluation, or a random share."),
					 errhint("The share of the newest rows is the option \"time_share\".")));
		call->eval_fraction = 0;
	}
	else if (has_key(json, "time_share"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"time_share\" needs the option \"time_col\"")));
	held_out = call->time_col != NULL || call->eval_fraction > 0;
	if (call->calibrate != CTR_UNCALIBRATED && !held_out)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"calibrate\" needs an evaluation set"),
				 errhint("Give the option \"eval_fraction\" or \"time_col\".")));
	if (!held_out)
	{
		if (has_key(json, "early_stopping") && call->early_stopping)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"early_stopping\" needs an evaluation set"),
					 errhint("Give the option \"eval_fraction\" or \"time_col\".")));
		call->early_stopping = false;
	}
	for (int i = 0; i < lengthof(stopping); i++)
		if (!call->early_stopping && has_key(json, stopping[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" needs the option \"early_stopping\"", stopping[i])));
	if (call->algorithm == CTR_LOGISTIC && call->l1 > 0 && call->solver == PM_LOGISTIC_NEWTON)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("solver \"newton\" cannot minimise with \"l1\" above 0"),
				 errhint("Leave the option \"solver\" out.")));
	if (call->class_weight != NULL)
		(void) pm_ctr_class_weights(call, 1, 1);
	if (call->init != NULL)
		refuse_fixed_options(call, json);
}

void
pm_ctr_options(CtrCall *call, CtrDoor door, Jsonb *json, Jsonb *inherited)
{
	PmOption	options[MAX_OPTIONS];
	char		what[64];
	int			count;

	if (door == CTR_AGGREGATE)
		call->algorithm = find_algorithm(json);
	set_defaults(call);
	snprintf(what, sizeof(what), "a click model of algorithm \"%s\"",
			 pm_ctr_algorithms[call->algorithm]);
	count = define_options(call, door, options);
	if (inherited != NULL)
		pm_options_parse(inherited, options, count, what);
	pm_options_parse(json, options, count, what);
	check_options(call, json);
}

void
pm_ctr_options_write(StringInfo json, const CtrCall *call, CtrDoor door)
{
	PmOption	options[MAX_OPTIONS];
	CtrCall		used = *call;

	pm_options_write(json, options, define_options(&used, door, options));
}

/* ---- options that are JSON of their own -------------------------------- */

CtrClassWeights
pm_ctr_class_weights(const CtrCall *call, double negatives, double positives)
{
	CtrClassWeights weights = {{1, 1}};
	JsonbValue	value;
	double		number = NAN;

	if (call->class_weight == NULL)
		return weights;
	if (JB_ROOT_IS_SCALAR(call->class_weight) &&
		JsonbExtractScalar(&call->class_weight->root, &value))
	{
		if (value.type == jbvString && value.val.string.len == 8 &&
			strncmp(value.val.string.val, "balanced", 8) == 0)
		{
			weights.by_label[0] = (negatives + positives) / (2 * negatives);
			weights.by_label[1] = (negatives + positives) / (2 * positives);
			return weights;
		}
		if (value.type == jbvNumeric)
			number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
														NumericGetDatum(value.val.numeric)));
	}
	if (!(number > 1e-9 && number < 1e9))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"class_weight\" must be \"balanced\" or the weight of the positive rows, a number above 0")));
	weights.by_label[1] = number;
	return weights;
}

/* A column of the schema by name, from a JSON string. */
static int
find_column(const PmSchema *schema, const char *name, int length,
			const char *option)
{
	for (int i = 0; i < schema->column_count; i++)
		if (strlen(schema->columns[i].name) == length &&
			strncmp(schema->columns[i].name, name, length) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("option \"%s\" names \"%.*s\", which is no feature", option, length, name)));
	return -1;
}

/* "log1p", "quantile:20", ... */
static void
parse_transform(CtrColumnTransform *transform, const JsonbValue *value)
{
	char	   *word;
	char	   *colon;

	if (value->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"transform\" must give each column a string, such as \"log1p\" or \"quantile:10\"")));
	word = pnstrdup(value->val.string.val, value->val.string.len);
	transform->bins = 10;
	colon = strchr(word, ':');
	if (colon != NULL)
		*colon = '\0';
	transform->transform = pm_choice_parse(word, transform_names, "transform");
	if (colon == NULL)
		return;
	transform->bins = transform->transform == CTR_QUANTILE ? atoi(colon + 1) : 0;
	if (transform->bins < 2 || transform->bins > MAX_BINS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("transform \"%s:%s\" is not valid", word, colon + 1),
				 errhint("Only \"quantile\" takes a number, of 2 to %d bins.", MAX_BINS)));
}

static void
parse_transforms(const CtrCall *call, const PmSchema *schema,
				 CtrLayoutOptions *options)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	CtrColumnTransform *transforms;
	int			count = 0;

	if (call->transform == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(call->transform))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"transform\" must be an object of columns and their transforms"),
				 errhint("For example {\"price\": \"log1p\", \"age\": \"quantile:10\"}.")));
	transforms = palloc0(Max(1, JB_ROOT_COUNT(call->transform)) * sizeof(CtrColumnTransform));
	iterator = JsonbIteratorInit(&call->transform->root);
	JsonbIteratorNext(&iterator, &value, true); /* WJB_BEGIN_OBJECT */
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_KEY)
	{
		transforms[count].column = find_column(schema, value.val.string.val,
											   value.val.string.len, "transform");
		JsonbIteratorNext(&iterator, &value, true); /* WJB_VALUE */
		parse_transform(&transforms[count++], &value);
	}
	options->transforms = transforms;
	options->transform_count = count;
}

/* "device", or "ts.hour" and "ts.weekday" of a time */
static CtrCrossMember
parse_member(const PmSchema *schema, const char *name, int length)
{
	static const struct
	{
		const char *suffix;
		CtrPartKind part;
	}			parts[] = {{".weekday", CTR_WEEKDAY}, {".hour", CTR_HOUR}};
	CtrCrossMember member = {-1, CTR_CATEGORY};

	for (int i = 0; i < schema->column_count; i++)
		for (int p = 0; p < lengthof(parts); p++)
		{
			const PmColumn *column = &schema->columns[i];
			int			suffix = strlen(parts[p].suffix);
			bool		has_part = column->class == PM_COLUMN_TIME ||
				(column->class == PM_COLUMN_DATE && parts[p].part == CTR_WEEKDAY);

			if (has_part && strlen(column->name) + suffix == length &&
				strncmp(name, column->name, length - suffix) == 0 &&
				strncmp(name + length - suffix, parts[p].suffix, suffix) == 0)
			{
				member.column = i;
				member.part = parts[p].part;
				return member;
			}
		}
	member.column = find_column(schema, name, length, "crosses");
	return member;
}

static void
refuse_crosses(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"crosses\" must be an array of arrays of 2 to %d columns",
					CTR_MAX_MEMBERS),
			 errhint("For example [[\"device\", \"hour\"]].")));
}

static void
parse_crosses(const CtrCall *call, const PmSchema *schema,
			  CtrLayoutOptions *options)
{
	CtrCross   *crosses;
	int			count;

	if (call->crosses == NULL)
		return;
	if (!JB_ROOT_IS_ARRAY(call->crosses) || JB_ROOT_IS_SCALAR(call->crosses))
		refuse_crosses();
	count = JB_ROOT_COUNT(call->crosses);
	crosses = palloc0(Max(1, count) * sizeof(CtrCross));
	for (int i = 0; i < count; i++)
	{
		JsonbValue *cross = getIthJsonbValueFromContainer(&call->crosses->root, i);
		JsonbContainer *names;

		if (cross->type != jbvBinary || !JsonContainerIsArray(cross->val.binary.data))
			refuse_crosses();
		names = cross->val.binary.data;
		crosses[i].count = JsonContainerSize(names);
		if (crosses[i].count < 2 || crosses[i].count > CTR_MAX_MEMBERS)
			refuse_crosses();
		for (int j = 0; j < crosses[i].count; j++)
		{
			JsonbValue *name = getIthJsonbValueFromContainer(names, j);

			if (name->type != jbvString)
				refuse_crosses();
			crosses[i].members[j] = parse_member(schema, name->val.string.val,
												 name->val.string.len);
		}
	}
	options->crosses = crosses;
	options->cross_count = count;
}

void
pm_ctr_layout_options(const CtrCall *call, const PmSchema *schema,
					  CtrLayoutOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->min_frequency = call->min_frequency;
	options->max_values = Min(MAX_VALUES, call->max_categories);
	options->hashed = call->algorithm == CTR_FTRL;
	options->hash_bits = call->hash_bits;
	parse_transforms(call, schema, options);
	parse_crosses(call, schema, options);
}
