/*
 * test_neighbours.c
 *		Neighbours in random sparse matrices against all pairs of dense rows,
 *		and interactions brought together against a table of all cells.
 */
#include "neighbours.h"

#include <stdlib.h>

#include "fault_device.h"
#include "interactions.h"
#include "kmeans_cases.h"
#include "pm_rng.h"
#include "test.h"

#define METRICS 6

typedef struct Case
{
	PmCsr		rows;
	PmCsr		columns;
	double	   *dense;			/* NAN: no element */
	double	   *cells;			/* the same, as a metric has them */
} Case;

/* A matrix in which a share of the elements is there; some rows are empty. */
static void
make_case(Case *one, int32_t rows, int32_t columns, double share, int values)
{
	PmCsr	   *matrix = &one->rows;
	PmContext	ctx;
	PmRng		rng;
	int64_t		count = 0;

	pm_rng_seed(&rng, (uint64_t) rows * 1000 + (uint64_t) columns, (uint64_t) values);
	matrix->rows = rows;
	matrix->columns = columns;
	matrix->offsets = malloc((size_t) (rows + 1) * sizeof(int64_t));
	matrix->indices = malloc((size_t) rows * columns * sizeof(int32_t) + 1);
	matrix->values = malloc((size_t) rows * columns * sizeof(float) + 1);
	one->dense = malloc((size_t) rows * columns * sizeof(double));
	one->cells = malloc((size_t) rows * columns * sizeof(double));
	for (int32_t row = 0; row < rows; row++)
	{
		matrix->offsets[row] = count;
		for (int32_t column = 0; column < columns; column++)
		{
			double	   *cell = &one->dense[(size_t) row * columns + column];

			*cell = NAN;
			if (row % 7 == 3 || pm_rng_uniform(&rng) >= share)
				continue;
			*cell = 1 + (int) (pm_rng_uniform(&rng) * values);
			matrix->indices[count] = column;
			matrix->values[count++] = (float) *cell;
		}
	}
	matrix->offsets[rows] = count;
	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_INT(pm_csr_transpose(&ctx, matrix, &one->columns), PM_OK);
	/* copied, so that the arena can go */
	{
		PmCsr		copy = one->columns;

		one->columns.offsets = malloc((size_t) (columns + 1) * sizeof(int64_t));
		one->columns.indices = malloc((size_t) count * sizeof(int32_t) + 1);
		one->columns.values = malloc((size_t) count * sizeof(float) + 1);
		memcpy(one->columns.offsets, copy.offsets, (size_t) (columns + 1) * sizeof(int64_t));
		memcpy(one->columns.indices, copy.indices, (size_t) count * sizeof(int32_t));
		memcpy(one->columns.values, copy.values, (size_t) count * sizeof(float));
	}
	pm_arena_destroy(ctx.arena);
}

static void
free_case(Case *one)
{
	PmCsr	   *both[] = {&one->rows, &one->columns};

	for (int i = 0; i < 2; i++)
	{
		free(both[i]->offsets);
		free(both[i]->indices);
		free(both[i]->values);
	}
	free(one->dense);
	free(one->cells);
}

/* ---- the reference ----------------------------------------------------- */

/* A dense row's cell, as the metric has it; NAN: no element. */
static double
cell_of(const Case *one, const PmNeighbourOptions *options, int32_t row, int32_t column)
{
	int32_t		columns = one->rows.columns;
	const double *dense = one->dense;
	double		value = dense[(size_t) row * columns + column];
	double		sum = 0;
	double		sums = 0;
	int			count = 0;
	int			used = 0;
	int			having = 0;

	if (options->metric == PM_NEIGHBOUR_ADJUSTED_COSINE)
	{
		for (int32_t i = 0; i < (options->columns_are_users ? one->rows.rows : columns); i++)
		{
			double		other = options->columns_are_users ?
				dense[(size_t) i * columns + column] : dense[(size_t) row * columns + i];

			if (isnan(other))
				continue;
			sum += other;
			count++;
		}
		return value - sum / count;
	}
	if (options->metric != PM_NEIGHBOUR_TFIDF && options->metric != PM_NEIGHBOUR_BM25)
		return value;
	for (int32_t r = 0; r < one->rows.rows; r++)
	{
		bool		any = false;

		for (int32_t c = 0; c < columns; c++)
			if (!isnan(dense[(size_t) r * columns + c]))
			{
				any = true;
				sums += dense[(size_t) r * columns + c];
				if (r == row)
					sum += dense[(size_t) r * columns + c];
			}
		used += any;
		having += !isnan(dense[(size_t) r * columns + column]);
	}
	if (options->metric == PM_NEIGHBOUR_TFIDF)
		return sqrt(value) * (log(used) - log(1 + having));
	return value * (options->bm25_k1 + 1) /
		(options->bm25_k1 * (1 - options->bm25_b + options->bm25_b * sum / (sums / used)) + value) *
		(log(used) - log(1 + having));
}

static void
find_cells(const Case *one, const PmNeighbourOptions *options)
{
	for (int32_t row = 0; row < one->rows.rows; row++)
		for (int32_t column = 0; column < one->rows.columns; column++)
			one->cells[(size_t) row * one->rows.columns + column] =
				cell_of(one, options, row, column);
}

/* The similarity of two rows and what they have in common; NAN: none. */
static double
reference(const Case *one, const PmNeighbourOptions *options, int32_t a, int32_t b, int *common)
{
	double		xy = 0, xx = 0, yy = 0, x = 0, y = 0, norm_a = 0, norm_b = 0, r;
	int			count_a = 0, count_b = 0;
	int			n = 0;

	for (int32_t column = 0; column < one->rows.columns; column++)
	{
		double		u = one->cells[(size_t) a * one->rows.columns + column];
		double		v = one->cells[(size_t) b * one->rows.columns + column];

		norm_a += isnan(u) ? 0 : u * u;
		norm_b += isnan(v) ? 0 : v * v;
		count_a += !isnan(u);
		count_b += !isnan(v);
		if (isnan(u) || isnan(v))
			continue;
		n++;
		xy += u * v;
		x += u;
		y += v;
		xx += u * u;
		yy += v * v;
	}
	*common = n;
	if (n == 0 || n < options->min_overlap || a == b)
		return NAN;
	if (options->metric == PM_NEIGHBOUR_JACCARD)
		r = (double) n / (count_a + count_b - n);
	else if (options->metric == PM_NEIGHBOUR_PEARSON)
	{
		double		below = (n * xx - x * x) * (n * yy - y * y);

		r = fabs(below) < 1e-9 ? NAN : (n * xy - x * y) / sqrt(below);
	}
	else
		r = norm_a < 1e-20 || norm_b < 1e-20 ? NAN : xy / sqrt(norm_a * norm_b);
	return r * n / (n + options->shrinkage);
}

/* A list of neighbours is the k best there are, in their order. */
static void
check_list(const Case *one, const PmNeighbourOptions *options, int32_t row, int32_t k,
		   const PmNeighbour *list, int32_t count)
{
	int32_t		rows = one->rows.rows;
	bool	   *listed = calloc((size_t) rows, 1);
	int32_t		candidates = 0;
	int			common;

	for (int32_t i = 0; i < count; i++)
	{
		CHECK_CLOSE(list[i].similarity, reference(one, options, row, list[i].row, &common), 1e-9, 1e-9);
		CHECK_INT(list[i].common, common);
		CHECK(!listed[list[i].row]);
		listed[list[i].row] = true;
		if (i > 0)
			CHECK_CASE(list[i - 1].similarity > list[i].similarity ||
					   (list[i - 1].similarity == list[i].similarity && list[i - 1].row < list[i].row),
					   "metric %d row %d", (int) options->metric, row);
	}
	for (int32_t other = 0; other < rows; other++)
	{
		double		similarity = reference(one, options, row, other, &common);

		if (isnan(similarity))
			continue;
		candidates++;
		if (!listed[other] && count > 0)
			CHECK_CASE(similarity < list[count - 1].similarity + 1e-9,
					   "metric %d row %d misses %d", (int) options->metric, row, other);
		if (!listed[other] && count > 0 && fabs(similarity - list[count - 1].similarity) < 1e-12)
			CHECK_CASE(other > list[count - 1].row, "a tie goes to the smaller row");
	}
	CHECK_INT(count, candidates < k ? candidates : k);
	free(listed);
}

/* ---- tests -------------------------------------------------------------- */

static const PmNeighbourOptions defaults = {
	.min_overlap = 1,.bm25_k1 = 100,.bm25_b = 0.8
};

/* Every metric, shape, k and option. */
static void
against_all_pairs(void)
{
	static const int32_t shapes[][2] = {{1, 1}, {2, 3}, {30, 1}, {1, 30}, {40, 25}, {120, 12}, {25, 90}};

	for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
		for (int variant = 0; variant < METRICS * 6; variant++)
		{
			PmNeighbourOptions options = defaults;
			int			kind = variant / METRICS;
			int32_t		k = kind == 0 ? 1 : kind < 4 ? 7 : 1000;
			PmNeighbour *list;
			int64_t    *offsets;
			PmNeighbours neighbours;
			PmContext	ctx;
			Case		one;

			options.metric = (PmNeighbourMetric) (variant % METRICS);
			options.columns_are_users = kind % 2 == 1;
			options.shrinkage = kind == 3 ? 2.5 : 0;
			options.min_overlap = kind == 4 ? 3 : 1;
			make_case(&one, shapes[s][0], shapes[s][1], kind == 5 ? 0.9 : 0.3, kind == 2 ? 1 : 5);
			find_cells(&one, &options);
			fault_context(&ctx, NULL, 0, 1, NULL);
			CHECK_INT(pm_neighbours_prepare(&ctx, &one.rows, &one.columns, &options, &neighbours), PM_OK);
			CHECK_INT(pm_neighbours_of_rows(&ctx, &neighbours, k, &offsets, &list), PM_OK);
			for (int32_t row = 0; row < one.rows.rows; row++)
			{
				PmNeighbour alone[1000];
				int32_t		count = (int32_t) (offsets[row + 1] - offsets[row]);
				int32_t		alone_count;

				check_list(&one, &options, row, k, list + offsets[row], count);
				CHECK_INT(pm_neighbours_of_row(&ctx, &neighbours, row, k, alone, &alone_count), PM_OK);
				CHECK_INT(alone_count, count);
				if (alone_count == count && count > 0)
					CHECK(memcmp(alone, list + offsets[row], (size_t) count * sizeof(PmNeighbour)) == 0);
			}
			pm_neighbours_release(&ctx, &neighbours);
			pm_release(&ctx, offsets);
			pm_release(&ctx, list);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			free_case(&one);
		}
}

/* More ties than are sorted, and the smaller rows win. */
static void
many_ties(void)
{
	PmNeighbourOptions options = defaults;
	PmNeighbours neighbours;
	PmNeighbour list[5];
	PmContext	ctx;
	Case		one;
	int32_t		count;

	make_case(&one, 900, 2, 1, 1);
	fault_context(&ctx, NULL, 0, 1, NULL);
	CHECK_INT(pm_neighbours_prepare(&ctx, &one.rows, &one.columns, &options, &neighbours), PM_OK);
	CHECK_INT(pm_neighbours_of_row(&ctx, &neighbours, 1, 5, list, &count), PM_OK);
	CHECK_INT(count, 5);
	for (int i = 0; i < 5; i++)
	{
		static const int32_t expected[] = {0, 2, 4, 5, 6};	/* 3 is empty */

		CHECK_INT(list[i].row, expected[i]);
		CHECK_CLOSE(list[i].similarity, 1, 1e-12, 0);
	}
	pm_arena_destroy(ctx.arena);
	free_case(&one);
}

/* Weights near the ends of what a float holds change no cosine. */
static void
extreme_weights(void)
{
	static const float scales[] = {1e-42f, 1e-30f, 1e30f, 6e37f};

	for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++)
	{
		PmNeighbourOptions options = defaults;
		PmNeighbours neighbours;
		PmNeighbour list[50];
		PmContext	ctx;
		Case		one;
		int32_t		count;

		make_case(&one, 40, 25, 0.3, 5);
		find_cells(&one, &options);
		for (int64_t i = 0; i < pm_csr_count(&one.rows); i++)
		{
			one.rows.values[i] *= scales[s];
			one.columns.values[i] *= scales[s];
		}
		fault_context(&ctx, NULL, 0, 1, NULL);
		CHECK_INT(pm_neighbours_prepare(&ctx, &one.rows, &one.columns, &options, &neighbours), PM_OK);
		CHECK_INT(pm_neighbours_of_row(&ctx, &neighbours, 1, 50, list, &count), PM_OK);
		CHECK(count > 10);
		for (int32_t i = 0; i < count; i++)
		{
			int			common;

			CHECK_CLOSE(list[i].similarity, reference(&one, &options, 1, list[i].row, &common), 2e-3, 0);
		}
		pm_arena_destroy(ctx.arena);
		free_case(&one);
	}
}

/* The same bytes on one thread and on two. */
static void
any_number_of_threads(void)
{
	PmNeighbourOptions options = defaults;
	PmDevice	devices[2];
	PmDevice   *device = &devices[test_devices(devices, 2) - 1];
	Case		one;

	make_case(&one, 3000, 60, 0.2, 5);
	for (int metric = 0; metric < METRICS; metric++)
	{
		PmContext	ctx[2];
		PmNeighbours neighbours[2];
		PmNeighbour *list[2];
		int64_t    *offsets[2];

		options.metric = (PmNeighbourMetric) metric;
		for (int i = 0; i < 2; i++)
		{
			fault_context(&ctx[i], device, 0, i + 1, NULL);
			CHECK_INT(pm_neighbours_prepare(&ctx[i], &one.rows, &one.columns, &options, &neighbours[i]), PM_OK);
			CHECK_INT(pm_neighbours_of_rows(&ctx[i], &neighbours[i], 20, &offsets[i], &list[i]), PM_OK);
		}
		CHECK(memcmp(offsets[0], offsets[1], (size_t) (one.rows.rows + 1) * sizeof(int64_t)) == 0);
		CHECK(memcmp(list[0], list[1], (size_t) offsets[0][one.rows.rows] * sizeof(PmNeighbour)) == 0);
		for (int i = 0; i < 2; i++)
			pm_arena_destroy(ctx[i].arena);
	}
	free_case(&one);
}

/* All of the work; its status. */
static PmStatus
run(PmContext *ctx, const Case *one, PmNeighbourMetric metric)
{
	PmNeighbourOptions options = defaults;
	PmNeighbours neighbours;
	PmNeighbour *list;
	int64_t    *offsets;
	PmStatus	status;

	options.metric = metric;
	status = pm_neighbours_prepare(ctx, &one->rows, &one->columns, &options, &neighbours);
	if (status == PM_OK)
		status = pm_neighbours_of_rows(ctx, &neighbours, 10, &offsets, &list);
	return status;
}

static void
cancelled_and_out_of_memory(void)
{
	PmContext	ctx;
	Case		one;

	make_case(&one, 200, 30, 0.3, 5);
	for (int metric = 0; metric < METRICS; metric++)
	{
		FaultHost	host = {0, 0};
		size_t		peak;

		fault_context(&ctx, NULL, 0, 1, &host);
		CHECK_INT(run(&ctx, &one, (PmNeighbourMetric) metric), PM_OK);
		peak = pm_arena_peak(ctx.arena);
		pm_arena_destroy(ctx.arena);
		for (long check = 1; check <= host.checks; check++)
		{
			FaultHost	cancelling = {0, check};

			fault_context(&ctx, NULL, 0, 1, &cancelling);
			CHECK_INT(run(&ctx, &one, (PmNeighbourMetric) metric), PM_CANCELLED);
			pm_arena_destroy(ctx.arena);
		}
		for (size_t limit = 1; limit < peak; limit += peak / 40)
		{
			PmStatus	status;

			fault_context(&ctx, NULL, limit, 1, NULL);
			status = run(&ctx, &one, (PmNeighbourMetric) metric);
			/* near the peak, what is kept in reserve is done without */
			CHECK(status == PM_MEMORY_LIMIT || (status == PM_OK && limit > peak / 2));
			CHECK(pm_arena_peak(ctx.arena) <= limit);
			pm_arena_destroy(ctx.arena);
		}
	}
	free_case(&one);
}

/* ---- interactions ------------------------------------------------------- */

#define USERS 13
#define ITEMS 9
#define ROWS 400

/* Rows, in arrays of a context. */
static void
make_rows(PmContext *ctx, PmInteractionRows *rows, bool with_moments)
{
	PmRng		rng;

	memset(rows, 0, sizeof(*rows));
	pm_rng_seed(&rng, 5, 6);
	CHECK_INT(pm_alloc(ctx, "test", ROWS, sizeof(int32_t), &rows->users), PM_OK);
	CHECK_INT(pm_alloc(ctx, "test", ROWS, sizeof(int32_t), &rows->items), PM_OK);
	CHECK_INT(pm_alloc(ctx, "test", ROWS, sizeof(float), &rows->weights), PM_OK);
	if (with_moments)
		CHECK_INT(pm_alloc(ctx, "test", ROWS, sizeof(double), &rows->moments), PM_OK);
	for (rows->count = 0; rows->count < ROWS; rows->count++)
	{
		rows->users[rows->count] = (int32_t) (pm_rng_uniform(&rng) * USERS);
		rows->items[rows->count] = (int32_t) (pm_rng_uniform(&rng) * pm_rng_uniform(&rng) * ITEMS);
		rows->weights[rows->count] = (float) (int) (pm_rng_uniform(&rng) * 4);
		if (with_moments)
			rows->moments[rows->count] = (int) (pm_rng_uniform(&rng) * 30);
	}
}

/* What a cell should hold; NAN: nothing. */
static double
expected_cell(const PmInteractionRows *rows, const PmAssembly *assembly, int32_t user, int32_t item)
{
	double		value = NAN;
	double		at = -1;
	double		newest = 0;

	for (int64_t i = 0; assembly->half_life > 0 && i < rows->count; i++)
		newest = fmax(newest, rows->moments[i]);
	for (int64_t i = 0; i < rows->count; i++)
	{
		double		weight = rows->weights[i];

		if (rows->users[i] != user || rows->items[i] != item)
			continue;
		if (assembly->half_life > 0)
			weight *= exp2((rows->moments[i] - newest) / assembly->half_life);
		if (isnan(value) || (assembly->duplicates == PM_DUPLICATES_MAX && weight > value) ||
			(assembly->duplicates == PM_DUPLICATES_LAST &&
			 (rows->moments[i] > at || (rows->moments[i] == at && weight > value))))
			value = weight;
		else if (assembly->duplicates == PM_DUPLICATES_SUM)
			value += weight;
		at = rows->moments != NULL ? fmax(at, rows->moments[i]) : at;
	}
	return value == 0 && !assembly->keep_zeros ? NAN : value;
}

/* Every cell of a matrix, before rare users and items are dropped. */
static void
check_cells(const PmCsr *matrix, double cells[USERS][ITEMS], const PmAssembly *assembly)
{
	int64_t		count = 0;

	for (int32_t user = 0; user < USERS; user++)
		for (int32_t item = 0; item < ITEMS; item++)
		{
			int			items = 0;
			int			users = 0;

			for (int i = 0; i < ITEMS; i++)
				items += !isnan(cells[user][i]);
			for (int i = 0; i < USERS; i++)
				users += !isnan(cells[i][item]);
			if (isnan(cells[user][item]) || items < assembly->min_user_count ||
				users < assembly->min_item_count)
				continue;
			CHECK(count < matrix->offsets[user + 1] && count >= matrix->offsets[user]);
			CHECK_INT(matrix->indices[count], item);
			CHECK_CLOSE(matrix->values[count], cells[user][item], 1e-6, 0);
			count++;
		}
	CHECK_INT(pm_csr_count(matrix), count);
}

static void
interactions(void)
{
	for (int variant = 0; variant < 24; variant++)
	{
		PmInteractionRows rows;
		PmAssembly	assembly = {
			.rows = &rows,.user_count = USERS,.item_count = ITEMS,
			.duplicates = (PmDuplicates) (variant % 3),.keep_zeros = variant / 3 % 2 == 1,
			.half_life = variant / 6 % 2 * 4.5,
			.min_user_count = variant < 12 ? 1 : 6,.min_item_count = variant < 12 ? 0 : 11,
		};
		double		cells[USERS][ITEMS];
		PmContext	ctx;
		PmCsr		matrix;

		fault_context(&ctx, NULL, 0, 1, NULL);
		make_rows(&ctx, &rows, assembly.half_life > 0 || assembly.duplicates == PM_DUPLICATES_LAST);
		for (int32_t user = 0; user < USERS; user++)
			for (int32_t item = 0; item < ITEMS; item++)
				cells[user][item] = expected_cell(&rows, &assembly, user, item);
		CHECK_INT(pm_interactions_assemble(&ctx, &assembly, &matrix), PM_OK);
		check_cells(&matrix, cells, &assembly);
		pm_csr_release(&ctx, &matrix);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
}

int
main(void)
{
	TEST(against_all_pairs);
	TEST(many_ties);
	TEST(extreme_weights);
	TEST(any_number_of_threads);
	TEST(cancelled_and_out_of_memory);
	TEST(interactions);
	return test_report();
}
