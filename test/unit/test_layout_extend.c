/*
 * test_layout_extend.c
 *		Layouts that go on with further rows; tables that are refused, and
 *		hosts that cancel or have no memory.
 */
#include "test.h"

#include "fault_device.h"
#include "layout_cases.h"

#include <stdlib.h>

/* Every class of column, and what is asked of them. */
#define COLUMNS "nNcCtTsSdvVikK"

static const CtrColumnTransform transforms[][3] = {
	{{0, CTR_LOG1P, 0}, {1, CTR_QUANTILE, 5}, {12, CTR_VALUES, 0}},
	{{0, CTR_VALUES, 0}, {1, CTR_VALUES, 0}, {11, CTR_RAW, 0}}
};

static const CtrCross crosses[] = {
	{2, {{2, CTR_CATEGORY}, {3, CTR_CATEGORY}}},
	{2, {{3, CTR_CATEGORY}, {5, CTR_HOUR}}},
	{3, {{4, CTR_WEEKDAY}, {13, CTR_CATEGORY}, {1, CTR_CATEGORY}}},
	{3, {{0, CTR_CATEGORY}, {12, CTR_CATEGORY}, {2, CTR_CATEGORY}}}
};

static PmContext ctx;

static CtrLayoutOptions
options_of(int kind, int64_t frequency)
{
	return (CtrLayoutOptions) {.min_frequency = frequency,.max_values = 1000,
		.transform_count = 3,.transforms = transforms[kind],.cross_count = 4,.crosses = crosses};
}

/* ---- going on ------------------------------------------------------------ */

/* The part and index of a coefficient, as text. */
static void
coefficient_name(const CtrLayout *layout, const PmSchema *schema, int32_t at,
				 char *name, size_t size)
{
	for (int i = 0; i < layout->part_count; i++)
	{
		const CtrPart *part = &layout->parts[i];
		size_t		length;

		if (!part->visible || at < part->first || at >= part->first + part->size)
			continue;
		length = pm_ctr_part_name(schema, layout, part, name, size);
		snprintf(name + length, size - length, "=");
		pm_ctr_index_name(schema, layout, part, at - part->first, name + length + 1,
						  size - length - 1);
		return;
	}
	name[0] = '\0';
}

/* Each old coefficient has a place of its own, of the same name. */
static void
check_moved(const CtrLayout *old, const PmSchema *old_schema,
			const CtrLayout *new, const PmSchema *schema, const int32_t *moved)
{
	bool	   *taken = calloc(new->coefficient_count + 1, 1);

	CHECK_INT(new->part_count, old->part_count);
	CHECK_INT(new->field_count, old->field_count);
	CHECK(new->coefficient_count >= old->coefficient_count);
	for (int32_t i = 0; i < old->coefficient_count; i++)
	{
		char		before[2 * ORACLE_NAME];
		char		after[2 * ORACLE_NAME];

		CHECK(moved[i] >= 0 && moved[i] < new->coefficient_count && !taken[moved[i]]);
		if (test_bad_checks > 0)
			break;
		taken[moved[i]] = true;
		coefficient_name(old, old_schema, i, before, sizeof(before));
		coefficient_name(new, schema, moved[i], after, sizeof(after));
		CHECK_TEXT(after, before);
	}
	free(taken);
}

/* All rows of a table are what the oracle says, by name and number. */
static void
check_rows(const CtrLayout *layout, const Oracle *oracle,
		   const LayoutCase *table)
{
	for (int64_t i = 0; i < 2 * table->table.n && test_bad_checks < 5; i++)
	{
		PmCtrEntry	entries[ORACLE_ENTRIES];
		OracleEntry expected[ORACLE_ENTRIES];
		bool		used[ORACLE_ENTRIES] = {false};
		CaseRow		row;
		int			count;
		int			wanted;

		case_table_row(table, i / 2, &row);
		if (i % 2 == 1)
			case_row_unseen(table, &row);
		count = pm_ctr_layout_entries(layout, &row.row, entries);
		wanted = oracle_row(oracle, table, &row.row, expected);
		CHECK_CASE(count == wanted, "row %lld: %d entries, not %d", (long long) i / 2, count, wanted);
		for (int j = 0; j < count; j++)
		{
			char		name[2 * ORACLE_NAME];
			bool		found = false;

			coefficient_name(layout, &table->schema, entries[j].index, name, sizeof(name));
			for (int k = 0; k < wanted && !found; k++)
			{
				size_t		length = strlen(expected[k].part);

				found = !used[k] && strncmp(name, expected[k].part, length) == 0 &&
					name[length] == '=' && strcmp(name + length + 1, expected[k].index) == 0 &&
					test_close(entries[j].value, expected[k].value, 1e-5, 1e-5);
				used[k] |= found;
			}
			CHECK_CASE(found, "row %lld has \"%s\" %g", (long long) i / 2, name, entries[j].value);
		}
	}
}

/* A layout, and the one that goes on from it with further rows. */
static void
check_extension(int kind, int64_t frequency, int flags, int later, uint64_t seed)
{
	CtrLayoutOptions options = options_of(kind, frequency);
	LayoutCase *table = case_table(COLUMNS, 120, flags, seed, NULL);
	LayoutCase *further = case_table(COLUMNS, 90, later, seed + 100, table);
	LayoutCase *third = case_table(COLUMNS, 30, later, seed + 200, further);
	Oracle	   *oracle = calloc(1, sizeof(Oracle));
	CtrLayout	layouts[3];
	int32_t    *moved;

	fault_context(&ctx, NULL, 0, 1, NULL);
	oracle_learn(oracle, table, &options);
	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layouts[0]), PM_OK);
	oracle_learn(oracle, further, &options);
	CHECK_STATUS(&ctx, pm_ctr_layout_extend(&ctx, &further->table, &options, &layouts[0],
											&layouts[1], &moved), PM_OK);
	if (test_bad_checks == 0)
	{
		check_moved(&layouts[0], &table->schema, &layouts[1], &further->schema, moved);
		check_rows(&layouts[1], oracle, further);
	}
	oracle_learn(oracle, third, &options);
	CHECK_STATUS(&ctx, pm_ctr_layout_extend(&ctx, &third->table, &options, &layouts[1],
											&layouts[2], &moved), PM_OK);
	if (test_bad_checks == 0)
	{
		check_moved(&layouts[1], &further->schema, &layouts[2], &third->schema, moved);
		check_rows(&layouts[2], oracle, third);
	}
	pm_arena_destroy(ctx.arena);
	oracle_free(oracle);
	free(oracle);
	case_table_free(table);
	case_table_free(further);
	case_table_free(third);
}

static void
goes_on(void)
{
	static const int frequencies[] = {1, 2, 6};

	for (int kind = 0; kind < 2; kind++)
		for (int f = 0; f < 3; f++)
			for (int seed = 1; seed <= 3; seed++)
				check_extension(kind, frequencies[f], seed == 2 ? CASE_HELD_OUT | CASE_WILD : 0,
								seed == 3 ? CASE_LATER | CASE_HELD_OUT | CASE_WILD : CASE_LATER, seed);
}

/* The same rows again change nothing, and nothing moves. */
static void
same_rows_again(void)
{
	for (int kind = 0; kind < 2; kind++)
	{
		CtrLayoutOptions options = options_of(kind, 1);
		LayoutCase *table = case_table(COLUMNS, 120, 0, 4, NULL);
		CtrLayout	layouts[2];
		int32_t    *moved;
		void	   *bytes[2];
		size_t		sizes[2];

		fault_context(&ctx, NULL, 0, 1, NULL);
		CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layouts[0]), PM_OK);
		CHECK_STATUS(&ctx, pm_ctr_layout_extend(&ctx, &table->table, &options, &layouts[0],
												&layouts[1], &moved), PM_OK);
		for (int i = 0; i < 2 && test_bad_checks == 0; i++)
			CHECK_STATUS(&ctx, pm_ctr_layout_write(&ctx, &layouts[i], &bytes[i], &sizes[i]), PM_OK);
		if (test_bad_checks == 0)
		{
			CHECK(sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0);
			for (int32_t i = 0; i < layouts[0].coefficient_count; i++)
				CHECK_INT(moved[i], i);
		}
		pm_arena_destroy(ctx.arena);
		case_table_free(table);
	}
}

/* A column without NULLs and rare categories gets them with later rows. */
static void
rare_and_null_are_added(void)
{
	LayoutCase *table = case_table("KkcTn", 40, 0, 6, NULL);
	LayoutCase *later = case_table("KkcTn", 40, 0, 7, table);
	CtrColumnTransform bins[] = {{1, CTR_VALUES, 0}, {4, CTR_QUANTILE, 3}};
	CtrLayoutOptions options = {.min_frequency = 2,.max_values = 4,.transform_count = 2,
		.transforms = bins};
	CtrLayout	layouts[2];
	int32_t    *moved;
	int32_t		code;

	for (int64_t i = 0; i < 40; i++)	/* the first table has no NULL */
		if (table->codes[i * 4 + table->code_at[3]] < 0)
		{
			table->codes[i * 4 + table->code_at[3]] = 2;
			table->codes[i * 4 + table->code_at[3] + 1] = 3;
		}
	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_STATUS(&later->ctx, pm_dictionary_add(&later->ctx, &later->schema.columns[0].dictionary,
												"once", 4, &code), PM_OK);
	later->codes[7 * 4] = code;
	later->codes[8 * 4] = PM_CODE_NULL;
	later->dense[9 * 3] = 8;
	later->dense[10 * 3] = NAN;
	later->dense[11 * 3 + 2] = NAN;
	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layouts[0]), PM_OK);
	CHECK_STATUS(&ctx, pm_ctr_layout_extend(&ctx, &later->table, &options, &layouts[0],
											&layouts[1], &moved), PM_OK);
	if (test_bad_checks == 0)
	{
		CHECK_INT(layouts[0].parts[0].size, 1);
		CHECK_INT(layouts[1].parts[0].size, 3);
		CHECK_INT(layouts[1].parts[0].rare, 1);
		CHECK_INT(layouts[1].parts[0].null, 2);
		CHECK_INT(layouts[0].parts[1].size, 1);
		CHECK_INT(layouts[1].parts[1].size, 3);
		CHECK_INT(layouts[1].parts[1].rare, 1);
		CHECK_INT(layouts[1].parts[1].null, 2);
		CHECK_INT(layouts[0].parts[6].kind, CTR_HOUR);
		CHECK_INT(layouts[0].parts[6].null, -1);
		CHECK_INT(layouts[1].parts[6].null, PM_HOURS);
		CHECK_INT(layouts[1].parts[7].kind, CTR_BINS);
		CHECK_INT(layouts[0].parts[7].null, -1);
		CHECK_INT(layouts[1].parts[7].null, layouts[1].parts[7].bound_count + 1);
		check_moved(&layouts[0], &table->schema, &layouts[1], &later->schema, moved);
	}
	/* more values than are allowed */
	for (int i = 0; i < 20; i++)
		later->dense[i * 3] = (float) (i / 2);
	CHECK_STATUS(&ctx, pm_ctr_layout_extend(&ctx, &later->table, &options, &layouts[0],
											&layouts[1], &moved), PM_TOO_LARGE);
	CHECK_TEXT(ctx.message, "column \"k1\" has 11 distinct values, too many to take each as a category (4)");
	pm_arena_destroy(ctx.arena);
	case_table_free(table);
	case_table_free(later);
}

/* A hashed layout stays as it is. */
static void
hashed_stays(void)
{
	CtrLayoutOptions options = options_of(1, 1);
	LayoutCase *table = case_table(COLUMNS, 60, 0, 6, NULL);
	LayoutCase *later = case_table(COLUMNS, 60, CASE_LATER, 7, table);
	CtrLayout	layouts[2];
	int32_t    *moved;

	options.hashed = true;
	options.hash_bits = 10;
	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, &options, &layouts[0]), PM_OK);
	CHECK_STATUS(&ctx, pm_ctr_layout_extend(&ctx, &later->table, &options, &layouts[0],
											&layouts[1], &moved), PM_OK);
	CHECK(moved == NULL);
	for (int64_t i = 0; i < 60 && test_bad_checks == 0; i++)
	{
		PmCtrEntry	entries[2][ORACLE_ENTRIES];
		CaseRow		row;
		int			count;

		case_table_row(later, i, &row);
		count = pm_ctr_layout_entries(&layouts[0], &row.row, entries[0]);
		CHECK_INT(pm_ctr_layout_entries(&layouts[1], &row.row, entries[1]), count);
		CHECK(memcmp(entries[0], entries[1], count * sizeof(PmCtrEntry)) == 0);
	}
	pm_arena_destroy(ctx.arena);
	case_table_free(table);
	case_table_free(later);
}

/* ---- what is refused ------------------------------------------------------- */

static void
refused(const CtrLayoutOptions *options, PmStatus status, const char *message)
{
	LayoutCase *table = case_table("nctdsv", 30, 0, 1, NULL);
	CtrLayout	layout;

	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_ctr_layout_make(&ctx, &table->table, options, &layout), status);
	CHECK_TEXT(ctx.message, message);
	pm_arena_destroy(ctx.arena);
	case_table_free(table);
}

static void
bad_options(void)
{
	CtrColumnTransform transform = {1, CTR_LOG1P, 0};
	CtrCross	cross = {2, {{1, CTR_CATEGORY}, {1, CTR_CATEGORY}}};
	CtrLayoutOptions options = {.min_frequency = 1,.max_values = 3,.transforms = &transform,
		.crosses = &cross,.transform_count = 1};

	refused(&options, PM_INVALID, "column \"c1\" is no number and cannot be transformed");
	transform.column = 2;
	refused(&options, PM_INVALID, "column \"t2\" is no number and cannot be transformed");
	transform = (CtrColumnTransform) {0, CTR_VALUES, 0};
	refused(&options, PM_TOO_LARGE,
			"column \"n0\" has 10 distinct values, too many to take each as a category (3)");
	options.transform_count = 0;
	options.cross_count = 1;
	refused(&options, PM_INVALID, "a cross names column \"c1\" twice");
	cross.members[1].column = 2;
	refused(&options, PM_INVALID, "column \"t2\" is a time: cross \"t2.weekday\" or \"t2.hour\"");
	cross.members[1].column = 4;
	refused(&options, PM_INVALID, "column \"s4\" cannot be crossed: it has more than one value a row");
	cross.members[1].column = 5;
	refused(&options, PM_INVALID, "column \"v5\" cannot be crossed: it has more than one value a row");
}

/* ---- faults ---------------------------------------------------------------- */

/* Memory of which the request number `fail_at` is refused. */
typedef struct Scarce
{
	long		requests;
	long		fail_at;		/* 0: none */
} Scarce;

static void *
scarce_allocate(void *source, size_t bytes)
{
	Scarce	   *scarce = source;

	return ++scarce->requests == scarce->fail_at ? NULL : malloc(bytes);
}

static void *
scarce_resize(void *source, void *block, size_t bytes)
{
	Scarce	   *scarce = source;

	return ++scarce->requests == scarce->fail_at ? NULL : realloc(block, bytes);
}

static void
scarce_release(void *source, void *block)
{
	(void) source;
	free(block);
}

/* Two tables that a layout goes through all of its code with. */
typedef struct Course
{
	LayoutCase *table;
	LayoutCase *later;
	CtrLayoutOptions options;
} Course;

/* Make, convert, write, read and extend; where that stops, so does this. */
static PmStatus
run_course(PmContext *context, const Course *course)
{
	CtrLayout	layout;
	CtrLayout	back;
	CtrLayout	further;
	PmCtrRows	rows;
	PmCtrRows	held_out;
	int32_t    *moved;
	void	   *bytes;
	size_t		size;

	PM_TRY(pm_ctr_layout_make(context, &course->table->table, &course->options, &layout));
	if (!layout.hashed)
		PM_TRY(pm_ctr_layout_rows(context, &layout, &course->table->table, &rows, &held_out));
	PM_TRY(pm_ctr_layout_write(context, &layout, &bytes, &size));
	PM_TRY(pm_ctr_layout_read(context, &course->table->schema, bytes, size, &back));
	return pm_ctr_layout_extend(context, &course->later->table, &course->options, &back, &further,
								&moved);
}

static void
course_of(Course *course, int kind, int64_t n)
{
	course->options = options_of(kind % 2, 1 + kind % 3);
	course->options.hashed = kind == 3;
	course->options.hash_bits = 8;
	course->table = case_table(COLUMNS, n, CASE_HELD_OUT | CASE_WEIGHTS, kind, NULL);
	course->later = case_table(COLUMNS, n, CASE_LATER, kind + 10, course->table);
}

static void
course_free(Course *course)
{
	case_table_free(course->table);
	case_table_free(course->later);
}

/* Whichever request for memory fails, that is said, and nothing is lost. */
static void
memory_runs_out(void)
{
	for (int kind = 0; kind < 4; kind++)
	{
		Course		course;
		long		requests = 1;

		course_of(&course, kind, 60);
		for (long fail_at = 0; fail_at <= requests; fail_at++)
		{
			Scarce		scarce = {0, 0};
			PmAllocator allocator = {scarce_allocate, scarce_resize, scarce_release, &scarce};
			PmContext	context = {.threads = 1};

			context.arena = pm_arena_create(&allocator, 0);
			scarce = (Scarce) {0, fail_at};
			CHECK_STATUS(&context, run_course(&context, &course), fail_at == 0 ? PM_OK : PM_NO_MEMORY);
			if (fail_at == 0)
				requests = scarce.requests;
			else
				CHECK_INT(scarce.requests, fail_at);
			pm_arena_destroy(context.arena);
		}
		CHECK(requests > 30);
		course_free(&course);
	}
}

/* Under every limit below what it needs, that is said. */
static void
memory_is_limited(void)
{
	Course		course;
	PmStatus	status = PM_MEMORY_LIMIT;

	course_of(&course, 1, 2000);
	for (size_t limit = 1024; status == PM_MEMORY_LIMIT && limit < (size_t) 1 << 30; limit += limit / 6)
	{
		fault_context(&ctx, NULL, limit, 1, NULL);
		status = run_course(&ctx, &course);
		CHECK(status == PM_OK || status == PM_MEMORY_LIMIT);
		CHECK(pm_arena_peak(ctx.arena) <= limit);
		pm_arena_destroy(ctx.arena);
	}
	CHECK_INT(status, PM_OK);
	course_free(&course);
}

/* Cancelled at any look for interrupts, it stops there. */
static void
cancelled(void)
{
	for (int kind = 0; kind < 4; kind++)
	{
		Course		course;
		long		checks = 1;

		course_of(&course, kind, 500);
		for (long n = 0; n <= checks; n++)
		{
			FaultHost	host = {0, n};

			fault_context(&ctx, NULL, 0, 1, &host);
			CHECK_STATUS(&ctx, run_course(&ctx, &course), n == 0 ? PM_OK : PM_CANCELLED);
			if (n == 0)
				checks = host.checks;
			else
				CHECK_INT(host.checks, n);
			pm_arena_destroy(ctx.arena);
		}
		CHECK(checks > 20);
		course_free(&course);
	}
}

int
main(void)
{
	TEST(goes_on);
	TEST(same_rows_again);
	TEST(rare_and_null_are_added);
	TEST(hashed_stays);
	TEST(bad_options);
	TEST(memory_runs_out);
	TEST(memory_is_limited);
	TEST(cancelled);
	return test_report();
}
