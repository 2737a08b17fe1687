/*
 * layout_cases.c
 *		Random tables for the tests of layouts; see layout_cases.h.
 */
#include "layout_cases.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything comes from malloc, so this cannot fail. */
static void
must(const LayoutCase *table, PmStatus status)
{
	if (status == PM_OK)
		return;
	fprintf(stderr, "a table for a test: %s\n", table->ctx.message);
	abort();
}

static void *
allocate(LayoutCase *table, size_t count, size_t size)
{
	void	   *result;

	must(table, pm_alloc_zero(&table->ctx, "a table", count, size, &result));
	return result;
}

static PmColumnClass
class_of(char letter)
{
	switch (tolower(letter))
	{
		case 'i':
			return PM_COLUMN_INTERVAL;
		case 'c':
			return PM_COLUMN_CATEGORY;
		case 't':
			return PM_COLUMN_TIME;
		case 'd':
			return PM_COLUMN_DATE;
		case 's':
			return PM_COLUMN_SET;
		case 'v':
			return PM_COLUMN_VECTOR;
		default:
			return letter == 'K' ? PM_COLUMN_CATEGORY : PM_COLUMN_NUMBER;
	}
}

/* A column and where its values stand; strings of a former table first. */
static void
add_column(LayoutCase *table, int i, char letter, const PmSchema *previous)
{
	PmColumn   *column = &table->schema.columns[i];
	CtrTable   *rows = &table->table;

	column->name = allocate(table, 16, 1);
	snprintf(column->name, 16, "%c%d", letter, i);
	column->class = class_of(letter);
	column->length = column->class == PM_COLUMN_VECTOR ? CASE_VECTOR : 1;
	must(table, pm_dictionary_init(&table->ctx, &column->dictionary));
	for (int32_t code = 0; previous != NULL && code < previous->columns[i].dictionary.count; code++)
	{
		size_t		length;
		const char *string = pm_dictionary_string(&previous->columns[i].dictionary, code, &length);
		int32_t		same;

		must(table, pm_dictionary_add(&table->ctx, &column->dictionary, string, length, &same));
	}
	table->at[i] = rows->dense_width;
	table->code_at[i] = rows->code_width;
	switch (column->class)
	{
		case PM_COLUMN_CATEGORY:
			table->at[i] = rows->code_width++;
			break;
		case PM_COLUMN_SET:
			table->at[i] = rows->set_count++;
			break;
		case PM_COLUMN_TIME:
			rows->dense_width++;
			rows->code_width += 2;
			break;
		case PM_COLUMN_DATE:
			rows->dense_width++;
			rows->code_width++;
			break;
		default:
			rows->dense_width += column->length;
			break;
	}
}

/* ---- values ------------------------------------------------------------ */

typedef struct Filler
{
	LayoutCase *table;
	PmRng		rng;
	int			flags;
	int64_t		row;
	bool		wild;			/* this row is held out, and unlike others */
} Filler;

static int32_t
code_of(Filler *filler, int column, const char *letter, int number)
{
	char		text[24];
	int32_t		code;

	snprintf(text, sizeof(text), "%s%d", letter, number);
	must(filler->table, pm_dictionary_add(&filler->table->ctx,
										  &filler->table->schema.columns[column].dictionary,
										  text, strlen(text), &code));
	return code;
}

/* Skewed: small numbers are frequent, large ones rare. */
static int
skewed(Filler *filler)
{
	int			number = (int) pm_rng_below(&filler->rng, 1 + pm_rng_below(&filler->rng, 14));

	return number + (filler->flags & CASE_LATER && pm_rng_below(&filler->rng, 2) ? 5 : 0);
}

/* A category; "alike" is the only one of a column that is always the same. */
static int32_t
random_code(Filler *filler, int column, char letter)
{
	if (filler->wild)
		return code_of(filler, column, "wild", (int) filler->row % 7);
	if (letter == 'K')
		return code_of(filler, column, "alike", 0);
	return code_of(filler, column, "c", skewed(filler));
}

static int
compare_codes(const void *left, const void *right)
{
	return *(const int32_t *) left - *(const int32_t *) right;
}

/* Members, sorted and each once, as a frame has them. */
static void
random_set(Filler *filler, int column, bool none)
{
	LayoutCase *table = filler->table;
	int			at = table->at[column];
	int64_t		begin = table->offsets[at][filler->row];
	int			count = none ? 0 : (int) pm_rng_below(&filler->rng, CASE_MEMBERS + 1);
	int32_t    *members = table->members[at] + begin;
	int			kept = 0;

	for (int j = 0; j < count; j++)
		members[j] = random_code(filler, column, 's');
	qsort(members, count, sizeof(int32_t), compare_codes);
	for (int j = 0; j < count; j++)
		if (kept == 0 || members[j] != members[kept - 1])
			members[kept++] = members[j];
	table->offsets[at][filler->row + 1] = begin + kept;
}

/* A number out of few, or far from all others. */
static float
random_number(Filler *filler, char letter)
{
	if (filler->wild)
		return 1000 + filler->row;
	if (letter == 'k')
		return 0.1f;
	return (skewed(filler) - 4) * 0.75f;
}

static void
fill_column(Filler *filler, int i)
{
	LayoutCase *table = filler->table;
	const PmColumn *column = &table->schema.columns[i];
	char		letter = column->name[0];
	float	   *dense = table->dense + filler->row * table->table.dense_width + table->at[i];
	int32_t    *codes = table->codes + filler->row * table->table.code_width;
	bool		null = (isupper(letter) && letter != 'K' && pm_rng_below(&filler->rng, 6) == 0) ||
		(filler->wild && filler->row % 3 == 0);

	table->schema.columns[i].nulls += null;
	switch (column->class)
	{
		case PM_COLUMN_CATEGORY:
			codes[table->at[i]] = null ? PM_CODE_NULL : random_code(filler, i, letter);
			break;
		case PM_COLUMN_SET:
			random_set(filler, i, null);
			break;
		default:
			for (int j = 0; j < column->length; j++)
				dense[j] = null ? NAN : random_number(filler, letter);
			if (column->class == PM_COLUMN_TIME || column->class == PM_COLUMN_DATE)
				codes[table->code_at[i]] = null ? PM_CODE_NULL :
					(int32_t) pm_rng_below(&filler->rng, PM_WEEKDAYS);
			if (column->class == PM_COLUMN_TIME)
				codes[table->code_at[i] + 1] = null ? PM_CODE_NULL :
					(int32_t) pm_rng_below(&filler->rng, PM_HOURS);
			break;
	}
}

/* Room for the rows, and the CtrTable's view of it. */
static void
allocate_rows(LayoutCase *table, int64_t n, int flags)
{
	CtrTable   *rows = &table->table;
	const int64_t **offsets = allocate(table, CASE_COLUMNS, sizeof(*offsets));
	const int32_t **members = allocate(table, CASE_COLUMNS, sizeof(*members));

	table->dense = allocate(table, n * rows->dense_width, sizeof(float));
	table->codes = allocate(table, n * rows->code_width, sizeof(int32_t));
	table->labels = allocate(table, n, 1);
	table->weights = flags & CASE_WEIGHTS ? allocate(table, n, sizeof(float)) : NULL;
	table->held_out = flags & CASE_HELD_OUT ? allocate(table, n, 1) : NULL;
	for (int s = 0; s < rows->set_count; s++)
	{
		offsets[s] = table->offsets[s] = allocate(table, n + 1, sizeof(int64_t));
		members[s] = table->members[s] = allocate(table, n * CASE_MEMBERS, sizeof(int32_t));
	}
	rows->schema = &table->schema;
	rows->n = n;
	rows->dense = table->dense;
	rows->codes = table->codes;
	rows->set_offsets = offsets;
	rows->set_codes = members;
	rows->weights = table->weights;
	rows->labels = table->labels;
	rows->held_out = table->held_out;
}

LayoutCase *
case_table(const char *classes, int64_t n, int flags, uint64_t seed,
		   const LayoutCase *previous)
{
	LayoutCase *table = calloc(1, sizeof(LayoutCase));
	Filler		filler = {.table = table,.flags = flags};

	table->ctx.arena = pm_arena_create(&pm_malloc_allocator, 0);
	table->ctx.threads = 1;
	table->schema.column_count = (int) strlen(classes);
	table->schema.columns = allocate(table, CASE_COLUMNS, sizeof(PmColumn));
	for (int i = 0; classes[i] != '\0'; i++)
		add_column(table, i, classes[i], previous == NULL ? NULL : &previous->schema);
	allocate_rows(table, n, flags);
	pm_rng_seed(&filler.rng, seed, 0);
	for (filler.row = 0; filler.row < n; filler.row++)
	{
		bool		held_out = flags & CASE_HELD_OUT && filler.row % 5 == 0;

		filler.wild = flags & CASE_WILD && held_out;
		if (held_out)
			table->held_out[filler.row] = 1;
		table->labels[filler.row] = pm_rng_below(&filler.rng, 3) == 0;
		if (table->weights != NULL)
			table->weights[filler.row] = 1 + pm_rng_below(&filler.rng, 3);
		for (int i = 0; i < table->schema.column_count; i++)
			fill_column(&filler, i);
	}
	must(table, pm_schema_number_features(&table->ctx, &table->schema));
	return table;
}

void
case_table_free(LayoutCase *table)
{
	pm_arena_destroy(table->ctx.arena);
	free(table);
}

/* ---- one row ------------------------------------------------------------ */

void
case_table_row(const LayoutCase *table, int64_t i, CaseRow *row)
{
	const CtrTable *rows = &table->table;
	int32_t		used = 0;

	memset(row, 0, sizeof(*row));
	row->row.dense_width = rows->dense_width;
	row->row.code_width = rows->code_width;
	row->row.set_count = rows->set_count;
	row->row.dense = row->dense;
	row->row.codes = row->codes;
	row->row.set_ends = row->set_ends;
	row->row.set_codes = row->set_codes;
	if (rows->dense_width > 0)
		memcpy(row->dense, rows->dense + i * rows->dense_width, rows->dense_width * sizeof(float));
	if (rows->code_width > 0)
		memcpy(row->codes, rows->codes + i * rows->code_width, rows->code_width * sizeof(int32_t));
	for (int s = 0; s < rows->set_count; s++)
	{
		for (int64_t j = rows->set_offsets[s][i]; j < rows->set_offsets[s][i + 1]; j++)
			row->set_codes[used++] = rows->set_codes[s][j];
		row->set_ends[s] = used;
	}
}

void
case_row_unseen(const LayoutCase *table, CaseRow *row)
{
	CaseRow		before = *row;
	int32_t		begin = 0;
	int32_t		used = 0;

	for (int i = 0; i < table->schema.column_count; i++)
		if (table->schema.columns[i].class == PM_COLUMN_CATEGORY)
			row->codes[table->at[i]] = PM_CODE_UNSEEN;
	for (int s = 0; s < table->table.set_count; s++)
	{
		row->set_codes[used++] = PM_CODE_UNSEEN;
		for (int32_t j = begin; j < before.set_ends[s]; j++)
			row->set_codes[used++] = before.set_codes[j];
		begin = before.set_ends[s];
		row->set_ends[s] = used;
	}
}
