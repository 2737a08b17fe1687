/*
 * test_layout.c
 *		Layouts of click models: what becomes of a table's columns, against
 *		brute force over strings; rows in training and rows that are scored;
 *		bytes; hashed layouts.
 *
 * test_layout_extend.c has layouts that go on, and faults.
 */
#include "test.h"

#include "fault_device.h"
#include "kmeans_cases.h"
#include "layout_cases.h"

#include <stdlib.h>

static PmContext ctx;

static void
begin(void)
{
	fault_context(&ctx, NULL, 0, 1, NULL);
}

static void
end(void)
{
	pm_arena_destroy(ctx.arena);
}

static const CtrPart *
part_of_entry(const CtrLayout *layout, const PmCtrEntry *entry)
{
	for (int i = 0; i < layout->part_count; i++)
		if (layout->parts[i].visible && layout->parts[i].field == entry->field)
			return &layout->parts[i];
	return NULL;
}

/* ---- rows against the oracle --------------------------------------------- */

/* A row's entries are what the oracle says, by name and number. */
static void
check_row(const CtrLayout *layout, const Oracle *oracle,
		  const LayoutCase *table, const PmRow *row, int64_t number)
{
	PmCtrEntry	entries[ORACLE_ENTRIES];
	OracleEntry expected[ORACLE_ENTRIES];
	bool		used[ORACLE_ENTRIES] = {false};
	int			count = pm_ctr_layout_entries(layout, row, entries);
	int			wanted = oracle_row(oracle, table, row, expected);
	int			members = row->set_count > 0 ? row->set_ends[row->set_count - 1] : 0;

	CHECK(count <= layout->entry_count + members);
	CHECK_CASE(count == wanted, "row %lld: %d entries, not %d", (long long) number, count, wanted);
	for (int i = 0; i < count; i++)
	{
		const CtrPart *part = part_of_entry(layout, &entries[i]);
		char		name[ORACLE_NAME];
		char		index[ORACLE_NAME];
		bool		found = false;

		pm_ctr_part_name(&table->schema, layout, part, name, sizeof(name));
		pm_ctr_index_name(&table->schema, layout, part, entries[i].index - part->first, index,
						  sizeof(index));
		for (int k = 0; k < wanted && !found; k++)
			if (!used[k] && strcmp(expected[k].part, name) == 0 &&
				strcmp(expected[k].index, index) == 0 &&
				test_close(entries[i].value, expected[k].value, 1e-5, 1e-5))
				found = used[k] = true;
		CHECK_CASE(found, "row %lld has \"%s\" \"%s\" %g", (long long) number, name, index,
				   entries[i].value);
	}
}

/* All rows of a table, as they are and with categories that are unseen. */
static void
check_rows(const CtrLayout *layout, const Oracle *oracle,
		   const LayoutCase *table)
{
	for (int64_t i = 0; i < table->table.n && test_bad_checks < 5; i++)
	{
		CaseRow		row;

		case_table_row(table, i, &row);
		check_row(layout, oracle, table, &row.row, i);
		case_row_unseen(table, &row);
		check_row(layout, oracle, table, &row.row, i);
	}
}

/* Fields and coefficients follow each other, and no two have one name. */
static void
check_numbers(const CtrLayout *layout, const PmSchema *schema)
{
	int32_t		next = 0;
	int			field = 0;

	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];

		if (!part->visible)
			continue;
		CHECK_INT(part->first, next);
		CHECK_INT(part->field, field);
		next += part->size;
		field++;
		for (int32_t a = 0; a < part->size; a++)
			for (int32_t b = 0; b < a; b++)
			{
				char		first[ORACLE_NAME];
				char		second[ORACLE_NAME];

				pm_ctr_index_name(schema, layout, part, a, first, sizeof(first));
				pm_ctr_index_name(schema, layout, part, b, second, sizeof(second));
				CHECK_CASE(strcmp(first, second) != 0, "%s", first);
			}
	}
	CHECK_INT(layout->coefficient_count, next);
	CHECK_INT(layout->field_count, field);
}

/* Every index but those of calendars and quantiles has a row in training. */
static void
check_all_used(const CtrLayout *layout, const LayoutCase *table)
{
	bool	   *used = calloc(layout->coefficient_count + 1, 1);
	int64_t		rows = 0;

	for (int64_t i = 0; i < table->table.n; i++)
	{
		PmCtrEntry	entries[ORACLE_ENTRIES];
		CaseRow		row;
		int			count;

		if (table->held_out != NULL && table->held_out[i])
			continue;
		rows++;
		case_table_row(table, i, &row);
		count = pm_ctr_layout_entries(layout, &row.row, entries);
		for (int k = 0; k < count; k++)
			used[entries[k].index] = true;
	}
	for (int i = 0; i < layout->part_count && rows > 0; i++)
	{
		const CtrPart *part = &layout->parts[i];

		if (!part->visible || part->kind == CTR_WEEKDAY || part->kind == CTR_HOUR)
			continue;
		for (int32_t index = 0; index < part->size; index++)
			CHECK_CASE(used[part->first + index], "index %d of part %d", index, i);
	}
	free(used);
}

/* ---- rows in training against rows that are scored ------------------------ */

/* Row `at` of rows has these entries, bit for bit. */
static void
check_same(const CtrLayout *layout, const PmCtrRows *rows, int64_t at,
		   const PmCtrEntry *entries, int count)
{
	int			k = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];

		if (field->kind == PM_CTR_DENSE)
			for (int j = 0; j < field->count; j++, k++)
				CHECK(k < count && entries[k].field == f && entries[k].index == field->first + j &&
					  entries[k].value == field->values[at * field->count + j]);
		else if (field->kind == PM_CTR_SET)
			for (int64_t j = field->offsets[at]; j < field->offsets[at + 1]; j++, k++)
				CHECK(k < count && entries[k].field == f && entries[k].value == 1 &&
					  entries[k].index == field->first + field->codes[j]);
		else if (field->codes[at] >= 0)
		{
			CHECK(k < count && entries[k].field == f && entries[k].value == 1 &&
				  entries[k].index == field->first + field->codes[at]);
			k++;
		}
	}
	CHECK_INT(k, count);
	CHECK_INT(rows->field_count, layout->field_count);
	CHECK_INT(rows->coefficient_count, layout->coefficient_count);
}

static void
check_training_rows(PmContext *context, const CtrLayout *layout,
					const LayoutCase *table)
{
	PmCtrRows	sides[2];
	int64_t		next[2] = {0, 0};

	CHECK_STATUS(context, pm_ctr_layout_rows(context, layout, &table->table, &sides[0], &sides[1]),
				 PM_OK);
	if (test_bad_checks > 0)
		return;
	for (int64_t i = 0; i < table->table.n && test_bad_checks < 5; i++)
	{
		int			side = table->held_out != NULL && table->held_out[i];
		int64_t		at = next[side]++;
		PmCtrEntry	entries[ORACLE_ENTRIES];
		CaseRow		row;
		int			count;

		case_table_row(table, i, &row);
		count = pm_ctr_layout_entries(layout, &row.row, entries);
		check_same(layout, &sides[side], at, entries, count);
		CHECK_INT(sides[side].labels[at], table->labels[i]);
		CHECK((table->weights == NULL) == (sides[side].weights == NULL));
		if (table->weights != NULL)
			CHECK(sides[side].weights[at] == table->weights[i]);
	}
	CHECK_INT(sides[0].n, next[0]);
	CHECK_INT(sides[1].n, next[1]);
}

/* ---- bytes ---------------------------------------------------------------- */

/* Written and read again, a layout gives the same entries and the same bytes. */
static void
check_bytes(const CtrLayout *layout, const LayoutCase *table)
{
	CtrLayout	back;
	void	   *bytes;
	void	   *again;
	size_t		size;
	size_t		again_size;

	CHECK_STATUS(&ctx, pm_ctr_layout_write(&ctx, layout, &bytes, &size), PM_OK);
	CHECK_STATUS(&ctx, pm_ctr_layout_read(&ctx, &table->schema, bytes, size, &back), PM_OK);
	if (test_bad_checks > 0)
		return;
	CHECK_STATUS(&ctx, pm_ctr_layout_write(&ctx, &back, &again, &again_size), PM_OK);
	CHECK(size == again_size && memcmp(bytes, again, size) == 0);
	CHECK_INT(back.field_count, layout->field_count);
	CHECK_INT(back.coefficient_count, layout->coefficient_count);
	CHECK_INT(back.entry_count, layout->entry_count);
	for (int64_t i = 0; i < table->table.n; i++)
	{
		PmCtrEntry	first[ORACLE_ENTRIES];
		PmCtrEntry	second[ORACLE_ENTRIES];
		CaseRow		row;
		int			count;

		case_table_row(table, i, &row);
		case_row_unseen(table, &row);
		count = pm_ctr_layout_entries(layout, &row.row, first);
		CHECK_INT(pm_ctr_layout_entries(&back, &row.row, second), count);
		CHECK(memcmp(first, second, count * sizeof(PmCtrEntry)) == 0);
	}
	/* cut anywhere, they are refused */
	for (size_t cut = 0; cut < size; cut += 1 + size / 97)
		CHECK_STATUS(&ctx, pm_ctr_layout_read(&ctx, &table->schema, bytes, cut, &back), PM_CORRUPT);
}

/* ---- the tables ----------------------------------------------------------- */

/* Columns of COLUMNS: every class without and with NULLs, and constants. */
#define COLUMNS "nNcCtTsSdvVikK"

static const CtrColumnTransform transforms[][3] = {
	{{0, CTR_LOG1P, 0}, {1, CTR_RAW, 0}, {11, CTR_LOG1P, 0}},
	{{0, CTR_QUANTILE, 4}, {1, CTR_QUANTILE, 7}, {12, CTR_QUANTILE, 3}},
	{{0, CTR_VALUES, 0}, {1, CTR_VALUES, 0}, {12, CTR_VALUES, 0}},
	{{0, CTR_RAW, 0}, {12, CTR_RAW, 0}, {11, CTR_RAW, 0}}
};

static const CtrCross crosses[] = {
	{2, {{2, CTR_CATEGORY}, {3, CTR_CATEGORY}}},
	{2, {{3, CTR_CATEGORY}, {5, CTR_HOUR}}},
	{3, {{4, CTR_WEEKDAY}, {13, CTR_CATEGORY}, {1, CTR_CATEGORY}}},
	{4, {{0, CTR_CATEGORY}, {12, CTR_CATEGORY}, {2, CTR_CATEGORY}, {8, CTR_WEEKDAY}}}
};

/* Everything that must hold of one table's layout. */
static void
check_table(const LayoutCase *table, const CtrLayoutOptions *options)
{
	Oracle	   *oracle = calloc(1, sizeof(Oracle));
	CtrLayout	layout;

	begin();
	oracle_learn(oracle, table, options);
	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, options, &layout), PM_OK);
	if (test_bad_checks == 0)
	{
		check_numbers(&layout, &table->schema);
		check_rows(&layout, oracle, table);
		check_all_used(&layout, table);
		check_training_rows(&ctx, &layout, table);
		check_bytes(&layout, table);
	}
	oracle_free(oracle);
	free(oracle);
	end();
}

/* Tables of all columns under every transform and several frequencies. */
static void
all_columns(void)
{
	static const int frequencies[] = {1, 3, 20};

	for (int kind = 0; kind < 5; kind++)
		for (int f = 0; f < 3; f++)
		{
			int			flags = (f + kind) % 2 ? CASE_WEIGHTS | CASE_HELD_OUT :
				f == 2 ? CASE_HELD_OUT | CASE_WILD : 0;
			LayoutCase *table = case_table(COLUMNS, 150, flags, kind * 10 + f, NULL);
			CtrLayoutOptions options = {.min_frequency = frequencies[f],.max_values = 1000,
				.transform_count = kind < 4 ? 3 : 0,.transforms = transforms[kind % 4],
				.cross_count = 4,.crosses = crosses};

			check_table(table, &options);
			case_table_free(table);
		}
}

/* Each class of column by itself, down to a table without any row. */
static void
single_columns(void)
{
	static const int64_t sizes[] = {0, 1, 2, 60};
	CtrLayoutOptions options = {.min_frequency = 2,.max_values = 1000};

	for (const char *class = COLUMNS; *class != '\0'; class++)
		for (int s = 0; s < 4; s++)
		{
			char		classes[2] = {*class, '\0'};
			LayoutCase *table = case_table(classes, sizes[s], CASE_HELD_OUT | CASE_WILD, s, NULL);

			check_table(table, &options);
			case_table_free(table);
		}
}

/* Nothing of rows that are held out is in a layout. */
static void
held_out_is_not_looked_at(void)
{
	for (int kind = 0; kind < 4; kind++)
	{
		CtrLayoutOptions options = {.min_frequency = 2,.max_values = 1000,.transform_count = 3,
			.transforms = transforms[kind],.cross_count = 4,.crosses = crosses};
		LayoutCase *table = case_table(COLUMNS, 200, CASE_HELD_OUT | CASE_WILD | CASE_WEIGHTS, 3, NULL);
		LayoutCase *alone = case_table(COLUMNS, 200, CASE_HELD_OUT | CASE_WILD | CASE_WEIGHTS, 3, NULL);
		CtrTable	without = alone->table;
		CtrLayout	layouts[2];
		int64_t		kept = 0;

		/* the same rows without those held out */
		for (int64_t i = 0; i < without.n; i++)
		{
			if (alone->held_out[i])
				continue;
			memmove(alone->dense + kept * without.dense_width, alone->dense + i * without.dense_width,
					without.dense_width * sizeof(float));
			memmove(alone->codes + kept * without.code_width, alone->codes + i * without.code_width,
					without.code_width * sizeof(int32_t));
			for (int s = 0; s < without.set_count; s++)
			{
				int64_t		begin = alone->offsets[s][i];

				memmove(alone->members[s] + alone->offsets[s][kept], alone->members[s] + begin,
						(alone->offsets[s][i + 1] - begin) * sizeof(int32_t));
				alone->offsets[s][kept + 1] = alone->offsets[s][kept] + alone->offsets[s][i + 1] - begin;
			}
			alone->weights[kept++] = alone->weights[i];
		}
		without.n = kept;
		without.held_out = NULL;
		for (int i = 0; i < alone->schema.column_count; i++)
			if (strchr("NTCSV", alone->schema.columns[i].name[0]) == NULL)
				alone->schema.columns[i].nulls = 0;
		begin();
		CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layouts[0]), PM_OK);
		CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &without, &options, &layouts[1]), PM_OK);
		if (test_bad_checks == 0)
		{
			void	   *bytes[2];
			size_t		sizes[2];

			for (int i = 0; i < 2; i++)
				CHECK_STATUS(&ctx, pm_ctr_layout_write(&ctx, &layouts[i], &bytes[i], &sizes[i]), PM_OK);
			CHECK(sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0);
		}
		end();
		case_table_free(table);
		case_table_free(alone);
	}
}

/* ---- numbers by hand -------------------------------------------------------- */

/* One number's column with these values; NAN is NULL. */
static LayoutCase *
numbers(const float *values, int64_t n)
{
	LayoutCase *table = case_table("n", n, 0, 1, NULL);

	memcpy(table->dense, values, n * sizeof(float));
	return table;
}

static void
layout_of(const LayoutCase *table, CtrTransform transform, int bins,
		  int64_t frequency, CtrLayout *layout)
{
	CtrColumnTransform one = {0, transform, bins};
	CtrLayoutOptions options = {.min_frequency = frequency,.max_values = 10,.transform_count = 1,
		.transforms = &one};

	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, layout), PM_OK);
}

static void
numbers_by_hand(void)
{
	static const float values[] = {1, 2, 3, 4, NAN, 10, 4, 4};
	static const float alike[] = {0.1f, 0.1f, 0.1f};
	static const float nulls[] = {NAN, NAN};
	static const float tiny[] = {0, 1e-30f, 1e10f};
	LayoutCase *table = numbers(values, 8);
	LayoutCase *constant = numbers(alike, 3);
	LayoutCase *none = numbers(nulls, 2);
	LayoutCase *far = numbers(tiny, 3);
	CtrLayout	layout;
	float		value = NAN;

	begin();
	layout_of(table, CTR_STANDARDIZE, 0, 1, &layout);
	CHECK_INT(layout.part_count, 2);
	CHECK_CLOSE(layout.parts[0].shift[0], 4, 1e-12, 0);
	CHECK_CLOSE(1 / layout.parts[0].scale[0], sqrt((9 + 4 + 1 + 36) / 7.0), 1e-12, 0);
	CHECK_CLOSE(layout.parts[0].impute[0], 4, 1e-7, 0);
	CHECK(pm_ctr_part_number(&layout.parts[0], 0, &value) == 0);
	layout_of(table, CTR_QUANTILE, 2, 1, &layout);
	CHECK_INT(layout.parts[0].bound_count, 1);
	CHECK(layout.parts[0].bounds[0] == 4);
	CHECK_INT(layout.parts[0].null, 2);
	layout_of(table, CTR_VALUES, 0, 2, &layout);
	CHECK_INT(layout.parts[0].bound_count, 1);
	CHECK_INT(layout.parts[0].rare, 1);
	CHECK_INT(layout.parts[0].null, 2);
	layout_of(constant, CTR_STANDARDIZE, 0, 1, &layout);
	CHECK(layout.parts[0].scale[0] == 0);
	layout_of(constant, CTR_RAW, 0, 1, &layout);
	CHECK(layout.parts[0].scale[0] == 0);
	layout_of(constant, CTR_QUANTILE, 10, 1, &layout);
	CHECK_INT(layout.parts[0].size, 1);
	layout_of(constant, CTR_VALUES, 0, 3, &layout);
	CHECK_INT(layout.parts[0].size, 1);	/* each value is frequent, none rare */
	layout_of(none, CTR_STANDARDIZE, 0, 1, &layout);
	CHECK_INT(layout.part_count, 2);
	CHECK(pm_ctr_part_number(&layout.parts[0], 0, &value) == 0);
	layout_of(none, CTR_QUANTILE, 4, 1, &layout);
	CHECK_INT(layout.parts[0].null, 1);

	/* a number far beyond those in training stays finite */
	far->table.n = 2;
	layout_of(far, CTR_STANDARDIZE, 0, 1, &layout);
	value = 3e38f;
	CHECK(layout.parts[0].scale[0] > 1e30);
	CHECK(isfinite(pm_ctr_part_number(&layout.parts[0], 0, &value)));
	value = -3e38f;
	CHECK(isfinite(pm_ctr_part_number(&layout.parts[0], 0, &value)));
	end();
	case_table_free(table);
	case_table_free(constant);
	case_table_free(none);
	case_table_free(far);
}

/* ---- hashed layouts -------------------------------------------------------- */

/* Entries stay in the table, and a value's place is that of its name alone. */
static void
hashed(void)
{
	LayoutCase *other = case_table(COLUMNS "c", 100, 0, 5, NULL);
	LayoutCase	narrow = *other;	/* without the last column */
	LayoutCase *table = &narrow;
	CtrLayout	layouts[2];

	narrow.schema.column_count--;
	narrow.table.schema = &narrow.schema;

	for (int kind = 0; kind < 4; kind++)
		for (int bits = 4; bits <= 18; bits += 14)
		{
			CtrLayoutOptions options = {.min_frequency = 1,.hashed = true,.hash_bits = bits,
				.transform_count = 3,.transforms = transforms[kind],.cross_count = 4,.crosses = crosses};

			begin();
			CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layouts[0]), PM_OK);
			CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &other->table, &options, &layouts[1]), PM_OK);
			if (test_bad_checks > 0)
				return;
			CHECK_INT(layouts[0].coefficient_count, 1 << bits);
			check_bytes(&layouts[0], table);
			for (int64_t i = 0; i < table->table.n; i++)
			{
				PmCtrEntry	first[ORACLE_ENTRIES];
				PmCtrEntry	second[ORACLE_ENTRIES];
				CaseRow		row;
				int			count;
				int			k = 0;

				case_table_row(other, i, &row);
				count = pm_ctr_layout_entries(&layouts[0], &row.row, first);
				CHECK_INT(pm_ctr_layout_entries(&layouts[1], &row.row, second), count + 1);
				for (int j = 0; j < count; j++, k++)
				{
					const CtrPart *part = part_of_entry(&layouts[0], &first[j]);
					const CtrPart *of_wider = part_of_entry(&layouts[1], &second[k]);
					int32_t		at = part->kind == CTR_MISSING ? 0 : -1;

					if (of_wider->column == table->schema.column_count)
						of_wider = part_of_entry(&layouts[1], &second[++k]);
					CHECK(first[j].index >= 0 && first[j].index < 1 << bits);
					CHECK(first[j].index == second[k].index && first[j].value == second[k].value);
					CHECK(part->kind == of_wider->kind);
					if (part->kind == CTR_WEEKDAY || part->kind == CTR_HOUR)
						at = row.codes[part->at] < 0 ? part->null : row.codes[part->at];
					if (part->kind == CTR_BINS && part->transform == CTR_QUANTILE)
						at = pm_ctr_part_index(&layouts[0], part, row.dense, row.codes);
					if (at >= 0)
						CHECK_INT(pm_ctr_hashed_place(&layouts[0], part, at), first[j].index);
				}
			}
			end();
		}
	case_table_free(other);
}

/* Values that are equal have one place, as 0 and -0 are. */
static void
hashed_zero(void)
{
	CtrColumnTransform one = {0, CTR_VALUES, 0};
	CtrLayoutOptions options = {.hashed = true,.hash_bits = 20,.transform_count = 1,.transforms = &one};
	LayoutCase *table = case_table("n", 10, 0, 1, NULL);
	CtrLayout	layout;
	PmCtrEntry	entries[2][ORACLE_ENTRIES];
	CaseRow		row;

	begin();
	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layout), PM_OK);
	case_table_row(table, 0, &row);
	row.dense[0] = 0;
	CHECK_INT(pm_ctr_layout_entries(&layout, &row.row, entries[0]), 1);
	row.dense[0] = -0.0f;
	CHECK_INT(pm_ctr_layout_entries(&layout, &row.row, entries[1]), 1);
	CHECK_INT(entries[0][0].index, entries[1][0].index);
	row.dense[0] = 1;
	CHECK_INT(pm_ctr_layout_entries(&layout, &row.row, entries[1]), 1);
	CHECK(entries[0][0].index != entries[1][0].index);
	end();
	case_table_free(table);
}

/* ---- many rows ------------------------------------------------------------- */

/* Several tasks, with and without threads: the same rows. */
static void
many_rows(void)
{
	LayoutCase *table = case_table("nCSTv", 20000, CASE_HELD_OUT | CASE_WEIGHTS, 9, NULL);
	CtrLayoutOptions options = {.min_frequency = 1};
	CtrLayout	layout;
	PmDevice	devices[2];
	int			count = test_devices(devices, 2);

	for (int i = 0; i < count; i++)
	{
		fault_context(&ctx, &devices[i], 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layout), PM_OK);
		if (test_bad_checks == 0)
			check_training_rows(&ctx, &layout, table);
		end();
	}
	case_table_free(table);
}

int
main(void)
{
	TEST(numbers_by_hand);
	TEST(single_columns);
	TEST(all_columns);
	TEST(held_out_is_not_looked_at);
	TEST(hashed);
	TEST(hashed_zero);
	TEST(many_rows);
	return test_report();
}
