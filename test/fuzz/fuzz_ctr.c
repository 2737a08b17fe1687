/*
 * fuzz_ctr.c
 *		Fuzz target: bytes that claim to be a click model.
 *
 * One that opens is used as the SQL functions use it: rows of any values that
 * an encoder can give are scored and explained, every part and index is
 * named, and the model is written again.
 */
#include <math.h>
#include <string.h>

#include "ctr_model.h"
#include "fuzz.h"

#define ROWS 16
#define MAX_MEMBERS 8			/* of a set */
#define MAX_PAIRS (1 << 20)		/* of entries, that an explanation takes */
#define HUGE_COEFFICIENT 1e200	/* with such ones a logit may overflow */

/* ---- names ---------------------------------------------------------------- */

static void
name_index(const CtrModel *model, const CtrPart *part, int32_t index)
{
	size_t		length = pm_ctr_index_name(model->schema, &model->layout, part, index, NULL, 0);
	char	   *name = malloc(length + 1);

	MUST(name != NULL);
	MUST(pm_ctr_index_name(model->schema, &model->layout, part, index, name, length + 1) == length);
	MUST(strlen(name) == length);
	free(name);
}

/* How many indexes pm_model_weights() names. */
static int32_t
nameable(const CtrModel *model, const CtrPart *part)
{
	bool		quantile = part->kind == CTR_BINS && part->transform == CTR_QUANTILE;

	if (model->layout.hashed && !quantile &&
		(part->kind == CTR_CATEGORY || part->kind == CTR_SET || part->kind == CTR_CROSS ||
		 part->kind == CTR_BINS))
		return 0;
	return part->size;
}

static void
name_all(const CtrModel *model)
{
	int			left = MAX_NAMES;

	for (int i = 0; i < model->layout.part_count && left > 0; i++)
	{
		const CtrPart *part = &model->layout.parts[i];
		size_t		length = pm_ctr_part_name(model->schema, &model->layout, part, NULL, 0);
		char	   *name = malloc(length + 1);

		MUST(name != NULL);
		MUST(pm_ctr_part_name(model->schema, &model->layout, part, name, length + 1) == length);
		MUST(strlen(name) == length);
		free(name);
		left--;
		for (int32_t index = 0; index < nameable(model, part) && left > 0; index++, left--)
		{
			name_index(model, part, index);
			if (!part->visible)
				continue;
			if (model->layout.hashed)
				MUST(pm_ctr_hashed_place(&model->layout, part, index) < model->layout.coefficient_count);
			else
				MUST(part->first + index < model->layout.coefficient_count);
		}
	}
}

/* ---- rows ------------------------------------------------------------------ */

/* A number of a sequence that depends on the row and the place in it. */
static uint32_t
pick(int row, int place)
{
	return (uint32_t) (row * 2654435761u + place * 40503u) >> 7;
}

/* Room for a row of the schema; its sizes alone. */
static bool
size_row(const PmSchema *schema, PmRow *row)
{
	int64_t		dense = 0;

	memset(row, 0, sizeof(*row));
	for (int i = 0; i < schema->column_count; i++)
	{
		PmColumnClass class = schema->columns[i].class;

		if (class == PM_COLUMN_VECTOR)
			dense += schema->columns[i].length;
		else if (class != PM_COLUMN_CATEGORY && class != PM_COLUMN_SET)
			dense++;
		row->code_width += class == PM_COLUMN_TIME ? 2 :
			class == PM_COLUMN_DATE || class == PM_COLUMN_CATEGORY;
		row->set_count += class == PM_COLUMN_SET;
	}
	row->dense_width = (int) dense;
	return dense <= MAX_CELLS;
}

/* A category's code: any, none, or that of one not seen in training. */
static int32_t
wild_code(const CtrModel *model, const PmColumn *column, uint32_t number)
{
	if (number % 5 == 0)
		return PM_CODE_NULL;
	if (model->layout.hashed)
		return (int32_t) (number * 2654435761u >> 1);
	if (number % 5 == 1 || column->dictionary.count == 0)
		return PM_CODE_UNSEEN;
	return (int32_t) (number / 5 % column->dictionary.count);
}

static int
compare_codes(const void *left, const void *right)
{
	int32_t		a = *(const int32_t *) left;
	int32_t		b = *(const int32_t *) right;

	return (a > b) - (a < b);
}

/* Members of one set, sorted and each once; gives where they end. */
static int32_t
fill_set(const CtrModel *model, const PmColumn *column, PmRow *row, int number,
		 int place, int32_t begin)
{
	int32_t		end = begin;
	int			count = (int) (pick(number, place) % (MAX_MEMBERS + 1));

	for (int j = 0; j < count; j++)
	{
		int32_t		code = wild_code(model, column, pick(number, place + 31 * j));

		row->set_codes[end++] = code == PM_CODE_NULL ? PM_CODE_UNSEEN : code;
		if (model->layout.hashed && code == PM_CODE_NULL)
			end--;				/* any member has a hash */
	}
	qsort(row->set_codes + begin, end - begin, sizeof(int32_t), compare_codes);
	count = end - begin;
	end = begin;
	for (int j = 0; j < count; j++)
		if (end == begin || row->set_codes[begin + j] != row->set_codes[end - 1])
			row->set_codes[end++] = row->set_codes[begin + j];
	return end;
}

/* Any values that an encoder can give: no infinite one, no code past its end. */
static void
fill_row(const CtrModel *model, PmRow *row, int number)
{
	static const float values[] = {0, 1, -1e30f, 3.4e38f, 1e-45f, NAN, -0.0f, -3.4e38f, 0.5f, 7};
	const int	count = sizeof(values) / sizeof(values[0]);
	int			dense = 0;
	int			code = 0;
	int			set = 0;
	int32_t		end = 0;

	for (int i = 0; i < model->schema->column_count; i++)
	{
		const PmColumn *column = &model->schema->columns[i];
		int			length = column->class == PM_COLUMN_VECTOR ? column->length : 1;
		bool		null;

		if (column->class == PM_COLUMN_CATEGORY)
		{
			row->codes[code++] = wild_code(model, column, pick(number, i));
			continue;
		}
		if (column->class == PM_COLUMN_SET)
		{
			end = fill_set(model, column, row, number, i, end);
			row->set_ends[set++] = end;
			continue;
		}
		for (int j = 0; j < length; j++)
			row->dense[dense + j] = values[pick(number, i + 7 * j) % count];
		null = isnan(row->dense[dense]);
		dense += length;
		if (column->class == PM_COLUMN_TIME || column->class == PM_COLUMN_DATE)
			row->codes[code++] = null ? PM_CODE_NULL : (int32_t) (pick(number, i) % PM_WEEKDAYS);
		if (column->class == PM_COLUMN_TIME)
			row->codes[code++] = null ? PM_CODE_NULL : (int32_t) (pick(number, i + 1) % PM_HOURS);
	}
}

/* Whether a logit of finite numbers may be none: coefficients overflow. */
static bool
may_overflow(const CtrModel *model)
{
	bool		result = fabs(model->intercept) > HUGE_COEFFICIENT;

	for (int32_t i = 0; model->algorithm == CTR_LOGISTIC && i < model->layout.coefficient_count; i++)
		result |= fabs(model->coefficients[i]) > HUGE_COEFFICIENT;
	return result;
}

/* What is said of a row's entries. */
static void
score_entries(const CtrModel *model, const PmCtrEntry *entries, int count,
			  int capacity, bool overflows)
{
	void	   *scratch = malloc(pm_ctr_scratch_size(model, capacity));
	double	   *contributions = malloc(((size_t) count + 1) * sizeof(double));
	double		logit;
	double		probability;

	MUST(scratch != NULL && contributions != NULL);
	for (int i = 0; i < count; i++)
	{
		MUST(entries[i].field >= 0 && entries[i].field < model->layout.field_count);
		MUST(entries[i].index >= 0 && entries[i].index < model->layout.coefficient_count);
		MUST(isfinite(entries[i].value));
	}
	logit = pm_ctr_model_logit(model, entries, count, scratch);
	MUST(isfinite(logit) || overflows);
	probability = pm_ctr_model_probability(model, logit);
	MUST((probability >= 0 && probability <= 1) || (isnan(probability) && overflows));
	if ((int64_t) count * count * (model->fm.factors + 1) <= MAX_PAIRS)
	{
		pm_ctr_model_contributions(model, entries, count, scratch, contributions);
		for (int i = 0; i < count; i++)
			MUST(isfinite(contributions[i]) || overflows);
	}
	free(scratch);
	free(contributions);
}

static void
score_rows(const CtrModel *model)
{
	PmRow		row;
	bool		overflows = may_overflow(model);

	if (!size_row(model->schema, &row) || model->layout.entry_count > MAX_CELLS ||
		pm_ctr_scratch_size(model, 0) > 64 * MAX_CELLS)
		return;
	row.dense = malloc((row.dense_width + 1) * sizeof(float));
	row.codes = malloc((row.code_width + 1) * sizeof(int32_t));
	row.set_ends = malloc((row.set_count + 1) * sizeof(int32_t));
	row.set_codes = malloc((MAX_MEMBERS * row.set_count + 1) * sizeof(int32_t));
	MUST(row.dense != NULL && row.codes != NULL && row.set_ends != NULL && row.set_codes != NULL);
	for (int i = 0; i < ROWS; i++)
	{
		PmCtrEntry *entries;
		int			capacity;
		int			count;

		/* the room that the SQL functions make, and no more */
		fill_row(model, &row, i);
		capacity = model->layout.entry_count +
			(row.set_count > 0 ? row.set_ends[row.set_count - 1] : 0);
		entries = malloc(((size_t) capacity + (capacity == 0)) * sizeof(PmCtrEntry));
		MUST(entries != NULL);
		count = pm_ctr_layout_entries(&model->layout, &row, entries);
		MUST(count <= capacity);
		score_entries(model, entries, count, capacity, overflows);
		free(entries);
	}
	free(row.dense);
	free(row.codes);
	free(row.set_ends);
	free(row.set_codes);
}

/* ---- bytes ------------------------------------------------------------------ */

/* The layout that is written is the one that was read. */
static void
write_layout(PmContext *ctx, const CtrModel *model, const PmModel *container)
{
	const PmSection *section;
	void	   *bytes;
	size_t		size;

	MUST(pm_model_section(ctx, container, "layout", PM_SECTION_BYTES, -1, -1, &section) == PM_OK);
	if (pm_ctr_layout_write(ctx, &model->layout, &bytes, &size) != PM_OK)
		return;
	MUST(size == section->length);
	MUST(memcmp(bytes, section->data, size) == 0);
	pm_release(ctx, bytes);
}

/* The whole model, written and opened again, is one that can be used. */
static void
write_model(PmContext *ctx, const CtrModel *model)
{
	PmModelWriter writer;
	PmModel		container;
	void	   *bytes;
	void	   *opened;
	size_t		size;
	PmStatus	status;

	pm_model_begin(&writer, PM_CTR_KIND);
	if (pm_ctr_model_sections(ctx, model, &writer) != PM_OK)
		return;
	size = pm_model_size(&writer);
	if (pm_alloc(ctx, "a model", size, 1, &bytes) != PM_OK)
		return;
	pm_model_write(&writer, bytes);
	MUST(pm_model_open(ctx, bytes, size, &container) == PM_OK);
	status = pm_ctr_model_open(ctx, &container, &opened);
	MUST(status == PM_OK || status == PM_MEMORY_LIMIT);
	if (status == PM_OK)
		write_layout(ctx, opened, &container);
}

PmStatus
use_ctr(PmContext *ctx, const PmModel *container)
{
	void	   *opened = NULL;
	const CtrModel *model;
	PmStatus	status = pm_ctr_model_open(ctx, container, &opened);

	if (status != PM_OK)
	{
		MUST(is_refusal(status));
		return status;
	}
	model = opened;
	name_all(model);
	score_rows(model);
	write_layout(ctx, model, container);
	write_model(ctx, model);
	return status;
}
