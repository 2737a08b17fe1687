/*
 * make_corpus_ctr.c
 *		Seeds of the fuzzer that are click models: see make_corpus.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctr_model.h"
#include "make_corpus.h"

#define ROWS 48
#define FACTORS 2
#define LOG_ROWS 3

/* Where things stand in a layout's bytes: its head, then the first part. */
#define LAYOUT_HASHED 4
#define LAYOUT_BITS 8
#define LAYOUT_PARTS 12
#define FIRST_PART 16
#define PART_VISIBLE 4
#define PART_SIZE 12
#define PART_TRANSFORM 16

/* A model under construction, and bytes in place of its layout's, if any. */
static CtrModel model;
static char *layout_bytes;
static size_t layout_size;

static void *
allocate(size_t count, size_t size)
{
	void	   *result;

	must(pm_alloc_zero(&corpus_context, "a model", count, size, &result));
	return result;
}

/* ---- a sound model ----------------------------------------------------------- */

/* Rows with NULLs and rare categories in every column. */
static CtrTable
make_table(const PmSchema *schema)
{
	CtrTable	table = {.schema = schema,.n = ROWS};
	float	   *dense = allocate(ROWS * 64, sizeof(float));
	int32_t    *codes = allocate(ROWS * 64, sizeof(int32_t));
	int64_t   **offsets = allocate(64, sizeof(int64_t *));
	int32_t   **members = allocate(64, sizeof(int32_t *));

	for (int i = 0; i < schema->column_count; i++)
	{
		PmColumnClass class = schema->columns[i].class;

		if (class == PM_COLUMN_SET)
		{
			offsets[table.set_count] = allocate(ROWS + 1, sizeof(int64_t));
			members[table.set_count++] = allocate(3 * ROWS, sizeof(int32_t));
		}
		else if (class != PM_COLUMN_CATEGORY)
			table.dense_width += schema->columns[i].length;
		table.code_width += class == PM_COLUMN_TIME ? 2 :
			class == PM_COLUMN_DATE || class == PM_COLUMN_CATEGORY;
	}
	for (int row = 0; row < ROWS; row++)
	{
		int			d = 0;
		int			c = 0;
		int			s = 0;

		for (int i = 0; i < schema->column_count; i++)
		{
			PmColumnClass class = schema->columns[i].class;
			int			null = (row + i) % 11 == 0;

			if (class == PM_COLUMN_CATEGORY)
				codes[row * table.code_width + c++] = null ? PM_CODE_NULL : row == 1 ? 0 : 1 + row % 2;
			else if (class == PM_COLUMN_SET)
			{
				int64_t		end = offsets[s][row];

				for (int code = 0; code < 3; code++)
					if (row == 1 || (code > 0 && (row + code) % 3 == 0))
						members[s][end++] = code;
				offsets[s++][row + 1] = end;
			}
			else
				for (int j = 0; j < schema->columns[i].length; j++)
					dense[row * table.dense_width + d++] = null ? NAN : (row * 7 + i + j) % 5 - 1.5f;
			if (class == PM_COLUMN_TIME || class == PM_COLUMN_DATE)
				codes[row * table.code_width + c++] = null ? PM_CODE_NULL : row % PM_WEEKDAYS;
			if (class == PM_COLUMN_TIME)
				codes[row * table.code_width + c++] = null ? PM_CODE_NULL : row % PM_HOURS;
		}
	}
	table.dense = dense;
	table.codes = codes;
	table.set_offsets = (const int64_t *const *) offsets;
	table.set_codes = (const int32_t *const *) members;
	return table;
}

/* Numbers that look learnt. */
static float *
make_floats(size_t count)
{
	float	   *values = allocate(count, sizeof(float));

	for (size_t i = 0; i < count; i++)
		values[i] = (float) (i % 13) / 8 - 0.7f;
	return values;
}

static void
make_weights(void)
{
	int32_t		count = model.layout.coefficient_count;
	double	   *coefficients;
	PmFm	   *fm = &model.fm;
	size_t		state;

	switch (model.algorithm)
	{
		case CTR_LOGISTIC:
			model.coefficients = coefficients = allocate(count, sizeof(double));
			for (int32_t i = 0; i < count; i++)
				coefficients[i] = i % 13 / 8.0 - 0.7;
			return;
		case CTR_FTRL:
			model.scalars[CTR_FTRL_ALPHA] = model.ftrl.alpha = 0.1;
			model.scalars[CTR_FTRL_BETA] = model.ftrl.beta = 1;
			model.scalars[CTR_FTRL_L1] = model.ftrl.l1 = 0.5;
			model.scalars[CTR_FTRL_INTERCEPT_Z] = -2;
			model.scalars[CTR_FTRL_INTERCEPT_N] = 3;
			must(pm_ftrl_init(&corpus_context, &model.ftrl, count));
			for (int32_t i = 0; i < count; i += 3)
				model.ftrl.table[i] = (FtrlState) {(float) (i % 13) - 6, 1 + i % 5};
			return;
		case CTR_FM:
		case CTR_FWFM:
			break;
	}
	fm->field_weighted = model.algorithm == CTR_FWFM;
	fm->factors = FACTORS;
	fm->field_count = model.layout.field_count;
	fm->coefficient_count = count;
	fm->linear = make_floats(count);
	fm->factor = make_floats((size_t) count * FACTORS);
	fm->pair = fm->field_weighted ? make_floats((size_t) fm->field_count * fm->field_count) : NULL;
	fm->steps = 7;
	fm->optimizer = fm->field_weighted ? PM_FM_ADAGRAD : PM_FM_ADAM;
	model.scalars[CTR_OPTIMIZER] = fm->optimizer;
	state = pm_fm_state_size(fm);
	fm->first = fm->optimizer == PM_FM_ADAM ? make_floats(state) : NULL;
	fm->second = make_floats(state);
}

static void
begin(CtrAlgorithm algorithm, const char *classes,
	  const CtrLayoutOptions *options)
{
	CtrLayoutOptions own = *options;
	CtrTable	table;
	double	   *log = allocate(LOG_ROWS * CTR_LOG_COLUMNS, sizeof(double));

	memset(&model, 0, sizeof(model));
	layout_bytes = NULL;
	model.algorithm = algorithm;
	model.schema = make_schema(classes);
	model.schema->shift = NULL; /* written without scales */
	table = make_table(model.schema);
	own.hashed = algorithm == CTR_FTRL;
	own.hash_bits = 6;
	own.min_frequency = 2;
	own.max_values = 100;
	must(pm_ctr_layout_make(&corpus_context, &table, &own, &model.layout));
	model.intercept = model.scalars[CTR_INTERCEPT] = -1.25;
	model.scalars[CTR_NEGATIVE_RATE] = 1;
	for (int i = 0; i < LOG_ROWS * CTR_LOG_COLUMNS; i++)
		log[i] = i % CTR_LOG_COLUMNS == 0 ? 1 + i / CTR_LOG_COLUMNS : i == 6 ? NAN : 0.5;
	model.log = log;
	model.log_count = LOG_ROWS;
	make_weights();
}

/* Every kind of part. */
static void
usual(CtrAlgorithm algorithm)
{
	static const CtrColumnTransform transforms[] = {
		{1, CTR_QUANTILE, 3}, {8, CTR_VALUES, 0}, {9, CTR_LOG1P, 0}
	};
	static const CtrCross crosses[] = {
		{2, {{2, CTR_CATEGORY}, {3, CTR_CATEGORY}}},
		{3, {{2, CTR_CATEGORY}, {4, CTR_HOUR}, {5, CTR_WEEKDAY}}},
		{2, {{0, CTR_CATEGORY}, {1, CTR_CATEGORY}}}
	};
	CtrLayoutOptions options = {.transform_count = 3,.transforms = transforms,
		.cross_count = 3,.crosses = crosses};

	begin(algorithm, "nncctdsvin", &options);
}

/* The bytes of the layout, to be spoilt. */
static void
take_layout_bytes(void)
{
	void	   *bytes;

	must(pm_ctr_layout_write(&corpus_context, &model.layout, &bytes, &layout_size));
	layout_bytes = allocate(layout_size + 64, 1);
	memcpy(layout_bytes, bytes, layout_size);
}

/* A section's entry in a writer. */
static PmSection *
section(PmModelWriter *writer, const char *name)
{
	for (int i = 0; i < writer->section_count; i++)
		if (strcmp(writer->sections[i].name, name) == 0)
			return &writer->sections[i];
	fprintf(stderr, "make_corpus: no section %s\n", name);
	exit(1);
}

static void
prepare(PmModelWriter *writer)
{
	static const char meta[] = "{\"algorithm\": \"logistic\"}";
	static const char run[] = "{\"log_seconds\": [0.1, 0.2, 0.3]}";

	pm_model_begin(writer, PM_CTR_KIND);
	pm_model_add_bytes(writer, "meta", PM_SECTION_JSON, meta, strlen(meta));
	pm_model_add_bytes(writer, "run", PM_SECTION_JSON, run, strlen(run));
	must(pm_ctr_model_sections(&corpus_context, &model, writer));
	if (layout_bytes == NULL)
		return;
	section(writer, "layout")->data = layout_bytes;
	section(writer, "layout")->length = layout_size;
}

static void
save_writer(const PmModelWriter *writer, const char *name)
{
	size_t		size = pm_model_size(writer);
	void	   *bytes = allocate(size, 1);

	pm_model_write(writer, bytes);
	save_bytes(name, bytes, size);
}

static void
save(const char *name)
{
	PmModelWriter writer;

	prepare(&writer);
	save_writer(&writer, name);
}

/* The first part of a kind. */
static CtrPart *
part_of(CtrPartKind kind)
{
	for (int i = 0; i < model.layout.part_count; i++)
		if (model.layout.parts[i].kind == kind)
			return &model.layout.parts[i];
	exit(1);
}

/* The usual model with one thing changed, saved. */
#define SPOIL(name, algorithm, change) \
	do { \
		usual(algorithm); \
		change; \
		save(name); \
	} while (0)

/* One number of the layout's bytes changed. */
static void
spoil_layout(const char *name, CtrAlgorithm algorithm, size_t at,
			 uint32_t value)
{
	usual(algorithm);
	take_layout_bytes();
	memcpy(layout_bytes + at, &value, sizeof(value));
	save(name);
}

/* ---- sound ones ---------------------------------------------------------------- */

static void
calibrate_isotonic(void)
{
	static const double thresholds[] = {-2, -0.5, 0, 3};
	static const double values[] = {0, 0.2, 0.2, 1};

	model.scalars[CTR_CALIBRATION] = CTR_ISOTONIC;
	model.isotonic_count = 4;
	model.isotonic_thresholds = thresholds;
	model.isotonic_values = values;
}

static void
save_valid(void)
{
	static const char *const names[] = {"logistic", "ftrl", "fm", "fwfm"};
	static const char *const classes[] = {"n", "i", "c", "t", "d", "s", "v", "nictdsv"};
	CtrLayoutOptions none = {0};
	char		name[64];

	for (int algorithm = CTR_LOGISTIC; algorithm <= CTR_FWFM; algorithm++)
	{
		usual(algorithm);
		snprintf(name, sizeof(name), "valid_ctr_%s", names[algorithm]);
		save(name);
		for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		{
			begin(algorithm, classes[i], &none);
			snprintf(name, sizeof(name), "valid_ctr_%s_%s", names[algorithm], classes[i]);
			save(name);
		}
	}
	SPOIL("valid_ctr_platt", CTR_FM,
		  (model.scalars[CTR_CALIBRATION] = CTR_PLATT, model.scalars[CTR_PLATT_SLOPE] = 0.5));
	SPOIL("valid_ctr_isotonic", CTR_LOGISTIC, calibrate_isotonic());
	SPOIL("valid_ctr_negative_rate", CTR_FTRL, model.scalars[CTR_NEGATIVE_RATE] = 1e-9);
	usual(CTR_LOGISTIC);
	model.std_errors = allocate(model.layout.coefficient_count + 1, sizeof(double));
	((double *) model.std_errors)[2] = NAN;
	save("valid_ctr_std_errors");
	SPOIL("valid_ctr_no_log", CTR_FWFM, model.log_count = 0);
	SPOIL("valid_ctr_scale_huge", CTR_FM, part_of(CTR_NUMBER)->scale[0] = 1e300);
	SPOIL("valid_ctr_coefficients_huge", CTR_LOGISTIC,
		  (((double *) model.coefficients)[0] = 1e308, ((double *) model.coefficients)[3] = -1e308));
}

/* ---- wrong layouts ---------------------------------------------------------------- */

static void
save_bad_head(void)
{
	spoil_layout("corrupt_ctr_layout_version", CTR_FM, 0, 2);
	spoil_layout("corrupt_ctr_layout_kind", CTR_FM, LAYOUT_HASHED, 2);
	spoil_layout("corrupt_ctr_bits_29", CTR_FTRL, LAYOUT_BITS, 29);
	spoil_layout("corrupt_ctr_bits_0", CTR_FTRL, LAYOUT_BITS, 0);
	spoil_layout("corrupt_ctr_parts_huge", CTR_FM, LAYOUT_PARTS, 65537);
	spoil_layout("corrupt_ctr_parts_more", CTR_FM, LAYOUT_PARTS, 60);
	spoil_layout("corrupt_ctr_parts_fewer", CTR_FM, LAYOUT_PARTS, 2);
	spoil_layout("corrupt_ctr_part_kind", CTR_FM, FIRST_PART, CTR_CROSS + 1);
	spoil_layout("corrupt_ctr_part_visible", CTR_FM, FIRST_PART + PART_VISIBLE, 2);
	spoil_layout("corrupt_ctr_part_size_huge", CTR_FM, FIRST_PART + PART_SIZE, UINT32_MAX / 4 + 1);
	spoil_layout("corrupt_ctr_part_size_large", CTR_FM, FIRST_PART + PART_SIZE, UINT32_MAX / 4);
	spoil_layout("corrupt_ctr_transform", CTR_FM, FIRST_PART + PART_TRANSFORM, CTR_VALUES + 1);
	/* what follows the first part's three arrays of one element: bounds */
	spoil_layout("corrupt_ctr_bounds_huge", CTR_FM, FIRST_PART + 28 + 20, UINT32_MAX);
	spoil_layout("corrupt_ctr_codes_huge", CTR_FM, FIRST_PART + 28 + 24, UINT32_MAX);
	spoil_layout("corrupt_ctr_members_5", CTR_FM, FIRST_PART + 28 + 28, CTR_MAX_MEMBERS + 1);
	spoil_layout("corrupt_ctr_keys_huge", CTR_FM, FIRST_PART + 28 + 32, UINT32_MAX);
	SPOIL("corrupt_ctr_layout_cut", CTR_FM, (take_layout_bytes(), layout_size -= 3));
	SPOIL("corrupt_ctr_layout_empty", CTR_FM, (take_layout_bytes(), layout_size = 0));
	SPOIL("corrupt_ctr_layout_followed", CTR_FM, (take_layout_bytes(), layout_size += 8));
}

static void
save_bad_parts(void)
{
	SPOIL("corrupt_ctr_column_none", CTR_FM, part_of(CTR_NUMBER)->column = -1);
	SPOIL("corrupt_ctr_column_past_end", CTR_FM, part_of(CTR_NUMBER)->column = 10);
	SPOIL("corrupt_ctr_cross_column", CTR_FM, part_of(CTR_CROSS)->column = 2);
	SPOIL("corrupt_ctr_rare_range", CTR_FM, part_of(CTR_CATEGORY)->rare = part_of(CTR_CATEGORY)->size);
	SPOIL("corrupt_ctr_null_range", CTR_FM, part_of(CTR_CATEGORY)->null = -2);
	SPOIL("corrupt_ctr_rare_place", CTR_FM, part_of(CTR_BINS)->rare = 0);
	SPOIL("corrupt_ctr_null_place", CTR_FM, part_of(CTR_WEEKDAY)->null = 3);
	SPOIL("corrupt_ctr_number_shift_nan", CTR_FM, part_of(CTR_NUMBER)->shift[0] = NAN);
	SPOIL("corrupt_ctr_scale_infinite", CTR_FM, part_of(CTR_NUMBER)->scale[0] = INFINITY);
	SPOIL("corrupt_ctr_impute_nan", CTR_FM, part_of(CTR_NUMBER)->impute[0] = NAN);
	SPOIL("corrupt_ctr_bound_nan", CTR_FM, part_of(CTR_BINS)->bounds[0] = NAN);
	SPOIL("corrupt_ctr_bounds_equal", CTR_FM, part_of(CTR_BINS)->bounds[1] = part_of(CTR_BINS)->bounds[0]);
	SPOIL("corrupt_ctr_index_range", CTR_FM, part_of(CTR_CATEGORY)->index_of[1] = part_of(CTR_CATEGORY)->size);
	SPOIL("corrupt_ctr_index_negative", CTR_FM, part_of(CTR_SET)->index_of[0] = -2);
	SPOIL("corrupt_ctr_codes_fewer", CTR_FM, part_of(CTR_CATEGORY)->code_count = 2);
	SPOIL("corrupt_ctr_class", CTR_FM, part_of(CTR_HOUR)->column = 5);
	SPOIL("corrupt_ctr_class_of_set", CTR_FM, part_of(CTR_SET)->column = 2);
	SPOIL("corrupt_ctr_class_of_bins", CTR_FM, part_of(CTR_BINS)->column = 4);
	SPOIL("corrupt_ctr_set_twice", CTR_FTRL,
		  model.layout.parts[model.layout.part_count - 1] = *part_of(CTR_SET));
	SPOIL("corrupt_ctr_bins_standardized", CTR_FM, part_of(CTR_BINS)->transform = CTR_STANDARDIZE);
	SPOIL("corrupt_ctr_number_quantile", CTR_FM, part_of(CTR_NUMBER)->transform = CTR_QUANTILE);
	SPOIL("corrupt_ctr_missing_size", CTR_FM, part_of(CTR_MISSING)->size = 2);
	SPOIL("corrupt_ctr_hour_size", CTR_FM, (part_of(CTR_HOUR)->size = 7, part_of(CTR_HOUR)->null = -1));
	SPOIL("corrupt_ctr_bins_size", CTR_FM, part_of(CTR_BINS)->bound_count--);
	/* sizes of a hashed layout's parts are what is named of them */
	SPOIL("corrupt_ctr_hashed_weekday", CTR_FTRL,
		  (part_of(CTR_WEEKDAY)->size = 100, part_of(CTR_WEEKDAY)->null = -1));
	SPOIL("corrupt_ctr_hashed_bins", CTR_FTRL, part_of(CTR_BINS)->size = 100);
}

static void
save_bad_crosses(void)
{
	static int32_t codes[3];
	CtrPart    *cross;

	SPOIL("corrupt_ctr_member_itself", CTR_FM,
		  part_of(CTR_CROSS)->members[1] = (int32_t) (part_of(CTR_CROSS) - model.layout.parts));
	SPOIL("corrupt_ctr_member_negative", CTR_FM, part_of(CTR_CROSS)->members[0] = -1);
	SPOIL("corrupt_ctr_member_number", CTR_FM, part_of(CTR_CROSS)->members[0] = 0);
	SPOIL("corrupt_ctr_member_set", CTR_FM,
		  part_of(CTR_CROSS)->members[0] = (int32_t) (part_of(CTR_SET) - model.layout.parts));
	SPOIL("corrupt_ctr_member_cross", CTR_FM,
		  model.layout.parts[model.layout.part_count - 1].members[0] =
		  (int32_t) (part_of(CTR_CROSS) - model.layout.parts));
	SPOIL("corrupt_ctr_keys_equal", CTR_FM, part_of(CTR_CROSS)->keys[1] = part_of(CTR_CROSS)->keys[0]);
	SPOIL("corrupt_ctr_key_huge", CTR_FM,
		  part_of(CTR_CROSS)->keys[part_of(CTR_CROSS)->key_count - 1] = UINT64_MAX);
	SPOIL("corrupt_ctr_keys_fewer", CTR_FM, part_of(CTR_CROSS)->key_count--);
	usual(CTR_FM);
	cross = part_of(CTR_CROSS);
	cross->code_count = 3;		/* a cross has no column that these are of */
	cross->index_of = codes;
	save("corrupt_ctr_cross_codes");
	/* members of 2^30 indexes each: more combinations than there are keys */
	usual(CTR_FM);
	cross = part_of(CTR_CROSS);
	for (int i = 0; i < 4; i++)
		cross->members[i] = (int32_t) (part_of(CTR_CATEGORY) - model.layout.parts);
	cross->member_count = 4;
	part_of(CTR_CATEGORY)->size = INT32_MAX / 2;
	part_of(CTR_CATEGORY)->code_count = 0;
	part_of(CTR_CATEGORY)->rare = part_of(CTR_CATEGORY)->null = -1;
	save("corrupt_ctr_combinations_overflow");
}

/* ---- wrong models -------------------------------------------------------------------- */

/* A section of the usual model with other dimensions. */
static void
spoil_dims(const char *name, CtrAlgorithm algorithm, const char *which,
		   uint64_t rows, uint64_t columns)
{
	PmModelWriter writer;
	PmSection  *spoilt;

	usual(algorithm);
	prepare(&writer);
	spoilt = section(&writer, which);
	spoilt->length = spoilt->length / spoilt->dims[0] / spoilt->dims[1] * rows * columns;
	spoilt->data = allocate(spoilt->length, 1);
	spoilt->dims[0] = rows;
	spoilt->dims[1] = columns;
	spoilt->dimensions = columns == 1 ? 1 : 2;
	save_writer(&writer, name);
}

static void
spoil_missing(const char *name, CtrAlgorithm algorithm, const char *which)
{
	PmModelWriter writer;

	usual(algorithm);
	prepare(&writer);
	strncpy(section(&writer, which)->name, "other", PM_MODEL_NAME_SIZE);
	save_writer(&writer, name);
}

/* The number at a place of a section that is changed. */
static void
spoil_number(const char *name, CtrAlgorithm algorithm, const char *which,
			 size_t at, double value)
{
	PmModelWriter writer;
	PmSection  *spoilt;
	void	   *copy;
	float		single = (float) value;
	int32_t		integer = fabs(value) < 1e9 ? (int32_t) value : 0;

	usual(algorithm);
	prepare(&writer);
	spoilt = section(&writer, which);
	copy = allocate(spoilt->length, 1);
	memcpy(copy, spoilt->data, spoilt->length);
	if (spoilt->type == PM_SECTION_FLOAT64)
		memcpy((double *) copy + at, &value, sizeof(value));
	else if (spoilt->type == PM_SECTION_INT32)
		memcpy((int32_t *) copy + at, &integer, sizeof(integer));
	else
		memcpy((float *) copy + at, &single, sizeof(single));
	spoilt->data = copy;
	save_writer(&writer, name);
}

static void
save_bad_weights(void)
{
	static const char *const sections[] = {"schema", "layout", "algorithm", "scalars", "log", "linear",
	"factors", "pairs", "steps", "moments2"};

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
	{
		char		name[64];

		snprintf(name, sizeof(name), "corrupt_ctr_without_%s", sections[i]);
		spoil_missing(name, CTR_FWFM, sections[i]);
	}
	spoil_missing("corrupt_ctr_without_moments1", CTR_FM, "moments1");
	spoil_missing("corrupt_ctr_without_coefficients", CTR_LOGISTIC, "coefficients");
	spoil_missing("corrupt_ctr_without_slots", CTR_FTRL, "slots");
	spoil_missing("corrupt_ctr_without_states", CTR_FTRL, "states");
	spoil_number("corrupt_ctr_coefficient_nan", CTR_LOGISTIC, "coefficients", 2, NAN);
	spoil_number("corrupt_ctr_linear_infinite", CTR_FM, "linear", 2, INFINITY);
	spoil_number("corrupt_ctr_factor_nan", CTR_FM, "factors", 2, NAN);
	spoil_number("corrupt_ctr_pair_nan", CTR_FWFM, "pairs", 2, NAN);
	spoil_number("corrupt_ctr_moment1_nan", CTR_FM, "moments1", 2, NAN);
	spoil_number("corrupt_ctr_moment2_nan", CTR_FWFM, "moments2", 2, NAN);
	spoil_number("corrupt_ctr_slot_negative", CTR_FTRL, "slots", 1, -1);
	spoil_number("corrupt_ctr_slot_past_end", CTR_FTRL, "slots", 1, 64);
	spoil_number("corrupt_ctr_state_nan", CTR_FTRL, "states", 0, NAN);
	spoil_number("corrupt_ctr_state_negative", CTR_FTRL, "states", 1, -1);
	spoil_dims("corrupt_ctr_coefficients_fewer", CTR_LOGISTIC, "coefficients", 3, 1);
	spoil_dims("corrupt_ctr_linear_more", CTR_FM, "linear", 200, 1);
	spoil_dims("corrupt_ctr_factors_rows", CTR_FM, "factors", 3, FACTORS);
	spoil_dims("corrupt_ctr_pairs_fewer", CTR_FWFM, "pairs", 3, 3);
	spoil_dims("corrupt_ctr_moments_fewer", CTR_FM, "moments2", 5, 1);
	spoil_dims("corrupt_ctr_scalars_fewer", CTR_FM, "scalars", CTR_SCALAR_COUNT - 1, 1);
	spoil_dims("corrupt_ctr_log_columns", CTR_FM, "log", 4, 3);
	spoil_dims("corrupt_ctr_states_fewer", CTR_FTRL, "states", 2, 2);
	SPOIL("corrupt_ctr_steps_negative", CTR_FM, model.fm.steps = -1);
	SPOIL("corrupt_ctr_hashed_fm", CTR_FTRL, (model.algorithm = CTR_FM, model.fm.steps = 0, make_weights()));
	SPOIL("corrupt_ctr_plain_ftrl", CTR_FM, (model.algorithm = CTR_FTRL, make_weights()));
}

static void
save_bad_scalars(void)
{
	static const double thresholds[] = {-2, -3, 0};
	static const double wide[] = {-1.7e308, 0, 1.7e308};
	static const double values[] = {0, 0.5, 1.5};
	static const double flat[] = {0, 0.5, 1};
	static const char *const names[] = {"intercept", "negative_rate", "calibration", "slope", "shift",
	"optimizer", "alpha", "beta", "l1", "l2", "intercept_z", "intercept_n"};

	for (int i = 0; i < CTR_SCALAR_COUNT; i++)
	{
		char		name[64];

		snprintf(name, sizeof(name), "corrupt_ctr_%s_nan", names[i]);
		spoil_number(name, i % 2 ? CTR_FTRL : CTR_LOGISTIC, "scalars", i, NAN);
	}
	spoil_number("corrupt_ctr_intercept_huge", CTR_FM, "scalars", CTR_INTERCEPT, 1e300);
	spoil_number("corrupt_ctr_negative_rate_0", CTR_FM, "scalars", CTR_NEGATIVE_RATE, 0);
	spoil_number("corrupt_ctr_negative_rate_2", CTR_FM, "scalars", CTR_NEGATIVE_RATE, 2);
	spoil_number("corrupt_ctr_calibration_other", CTR_FM, "scalars", CTR_CALIBRATION, 1.5);
	spoil_number("corrupt_ctr_calibration_missing", CTR_FM, "scalars", CTR_CALIBRATION, CTR_ISOTONIC);
	spoil_number("corrupt_ctr_alpha_0", CTR_FTRL, "scalars", CTR_FTRL_ALPHA, 0);
	spoil_number("corrupt_ctr_beta_negative", CTR_FTRL, "scalars", CTR_FTRL_BETA, -1);
	spoil_number("corrupt_ctr_l1_negative", CTR_FTRL, "scalars", CTR_FTRL_L1, -1);
	spoil_number("corrupt_ctr_l2_negative", CTR_FTRL, "scalars", CTR_FTRL_L2, -1);
	spoil_number("corrupt_ctr_intercept_n_negative", CTR_FTRL, "scalars", CTR_FTRL_INTERCEPT_N, -1);
	spoil_number("corrupt_ctr_intercept_z_huge", CTR_FTRL, "scalars", CTR_FTRL_INTERCEPT_Z, 1e300);
	spoil_number("corrupt_ctr_alpha_huge", CTR_FTRL, "scalars", CTR_FTRL_ALPHA, 1e300);
	SPOIL("corrupt_ctr_algorithm", CTR_LOGISTIC, model.algorithm = CTR_FWFM + 1);
	SPOIL("corrupt_ctr_isotonic_order", CTR_LOGISTIC,
		  (calibrate_isotonic(), model.isotonic_count = 3, model.isotonic_thresholds = thresholds));
	SPOIL("corrupt_ctr_isotonic_value", CTR_LOGISTIC,
		  (calibrate_isotonic(), model.isotonic_count = 3, model.isotonic_values = values));
	SPOIL("corrupt_ctr_isotonic_wide", CTR_LOGISTIC,
		  (calibrate_isotonic(), model.isotonic_count = 3, model.isotonic_thresholds = wide,
		   model.isotonic_values = flat));
	SPOIL("corrupt_ctr_isotonic_empty", CTR_LOGISTIC, (calibrate_isotonic(), model.isotonic_count = 0));
}

void
save_ctr(void)
{
	save_valid();
	save_bad_head();
	save_bad_parts();
	save_bad_crosses();
	save_bad_weights();
	save_bad_scalars();
}
