/*
 * logistic_hessian.c
 *		X'WX of rows with a few categories and some numbers each.
 *
 * A row has one nonzero for each category and a dense part: 1 for the
 * intercept and the numbers.  The dense part's square is a product of small
 * matrices, made in tiles of 8 x 8 over blocks of 64 rows; a category adds
 * the dense part to a row of its own; a pair of categories adds the row's
 * weight to one element.  Every chunk has sums of its own.
 */
#include "logistic.h"

#include "pm_clones.h"

#include <math.h>
#include <string.h>

/* Rows of a block. */
#define ROWS 64

/* Columns of a panel: the dense part is stored panel by panel. */
#define WIDTH 8
#define TILE (WIDTH * WIDTH)

/* Doubles between panels: not a multiple of a page. */
#define PANEL (ROWS * WIDTH + WIDTH)

/*
 * Chunks: as many as fit into so many doubles and whose sums are cleared and
 * added up in a part of the time that the rows take, within these bounds; the
 * lower one holds where the rows take so many nanoseconds that threads pay.
 */
#define SUMS_WANTED 8e6
#define SUMS_PART 0.25
#define MIN_CHUNKS 4
#define MAX_CHUNKS 32
#define MUCH_TIME 2e6

/* Doubles that a task clears or adds up. */
#define SLICE 16384

/* Nanoseconds, about: of an element in a tile, of one that a category adds. */
#define TILE_TIME 0.09
#define DENSE_TIME 0.2
#define PAIR_TIME 1.1
#define SUM_TIME 0.8			/* of an element that is cleared and added up */

typedef double Four __attribute__((vector_size(32)));

struct LogisticHessian
{
	const LogisticData *data;
	int			chunks;
	size_t		panels;
	size_t		categories;
	size_t		tiles;			/* doubles: panels * panels tiles */
	size_t		stride;			/* of a category: dense part, categories */
	size_t		size;			/* of a chunk's sums */
	double	   *sums;			/* chunks * size */
	double	   *scratch;		/* by thread */
	size_t		scratch_size;
	int32_t    *start;			/* by field: first column of the dense part,
								 * or first category */
	bool		sets;			/* there is a SET field */

	bool		added;			/* the first chunk has the sums of all */

	/* of the read that goes on */
	const double *divisor;
	double	   *matrix;
};

/* Columns of the dense part, with the intercept, in whole panels. */
static size_t
count_panels(const LogisticData *data)
{
	return ((size_t) data->dense + 1 + WIDTH - 1) / WIDTH;
}

/* Doubles of a chunk's sums. */
static double
sums_size(const LogisticData *data)
{
	double		dense = (double) count_panels(data) * WIDTH;
	double		categories = (double) data->p - data->dense;

	return dense * dense + categories * (dense + categories);
}

double
pm_logistic_hessian_time(const LogisticData *data)
{
	double		dense = (double) count_panels(data) * WIDTH;

	return TILE_TIME * dense * (dense + WIDTH) / 2 +
		data->codes * dense * DENSE_TIME +
		data->code_squares / 2 * PAIR_TIME;
}

int
pm_logistic_hessian_chunks(const LogisticData *data)
{
	double		time = (double) data->rows->n * pm_logistic_hessian_time(data);
	double		chunks = SUMS_PART * time / (SUM_TIME * sums_size(data));
	double		least = time > MUCH_TIME ? MIN_CHUNKS : 1;

	if (chunks > SUMS_WANTED / sums_size(data))
		chunks = SUMS_WANTED / sums_size(data);
	if (chunks > MAX_CHUNKS)
		chunks = MAX_CHUNKS;
	return (int) (chunks < least ? least : chunks);
}

/* ---- adding rows -------------------------------------------------------- */

/* The dense part of a block's rows, and the same times their weights. */
static void
fill_panels(const LogisticHessian *hessian, int64_t begin, int count,
			const double *curvature, double *dense, double *weighted)
{
	const PmCtrRows *rows = hessian->data->rows;

	memset(dense, 0, hessian->panels * PANEL * sizeof(double));
	for (int i = 0; i < count; i++)
		dense[i * WIDTH] = 1;
	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];
		const double *centre = hessian->data->centre + field->first;

		for (int32_t k = 0; field->kind == PM_CTR_DENSE && k < field->count; k++)
		{
			size_t		column = (size_t) hessian->start[f] + (size_t) k;
			const float *value = field->values + (size_t) begin * (size_t) field->count + k;
			double	   *out = dense + column / WIDTH * PANEL + column % WIDTH;

			for (int i = 0; i < count; i++)
				out[i * WIDTH] = value[(size_t) i * (size_t) field->count] - centre[k];
		}
	}
	for (size_t panel = 0; panel < hessian->panels; panel++)
		for (int i = 0; i < count; i++)
			for (int lane = 0; lane < WIDTH; lane++)
				weighted[panel * PANEL + i * WIDTH + lane] =
					curvature[i] * dense[panel * PANEL + i * WIDTH + lane];
}

PM_INLINE void
load(const double *from, Four *to)
{
	memcpy(to, from, sizeof(*to));
}

PM_INLINE void
store(const Four *from, double *to)
{
	memcpy(to, from, sizeof(*from));
}

/*
 * tile (8, 8) += the product of two panels over `count` rows.  Vectors are
 * loaded one by one: an array loaded as a whole would live on the stack.
 */
PM_INLINE void
add_tile(const double *left, const double *right, int count, double *tile)
{
	for (int half = 0; half < WIDTH; half += 4)
	{
		double	   *out = tile + half * WIDTH;
		Four		sum[4][2];

		for (int a = 0; a < 4; a++)
			for (int b = 0; b < 2; b++)
				load(out + a * WIDTH + 4 * b, &sum[a][b]);
		for (int i = 0; i < count; i++)
		{
			Four		low;
			Four		high;

			load(right + i * WIDTH, &low);
			load(right + i * WIDTH + 4, &high);
			for (int a = 0; a < 4; a++)
			{
				sum[a][0] += left[i * WIDTH + half + a] * low;
				sum[a][1] += left[i * WIDTH + half + a] * high;
			}
		}
		for (int a = 0; a < 4; a++)
			for (int b = 0; b < 2; b++)
				store(&sum[a][b], out + a * WIDTH + 4 * b);
	}
}

/* The dense part's square, upper triangle of tiles. */
PM_INLINE void
add_square_body(size_t panels, const double *weighted, const double *dense,
				int count, double *tiles)
{
	for (size_t a = 0; a < panels; a++)
		for (size_t b = a; b < panels; b++)
			add_tile(weighted + a * PANEL, dense + b * PANEL, count,
					 tiles + (a * panels + b) * TILE);
}

PM_CLONES(add_square,
		  (size_t panels, const double *weighted, const double *dense,
		   int count, double *tiles),
		  (panels, weighted, dense, count, tiles));

/* Add the dense part of a row to its categories'. */
PM_INLINE void
add_dense_body(const LogisticHessian *hessian, const int32_t *categories,
			   int count, const double *weighted, double *sums)
{
	for (int a = 0; a < count; a++)
	{
		double	   *row = sums + (size_t) categories[a] * hessian->stride;

		for (size_t panel = 0; panel < hessian->panels; panel++)
			for (int half = 0; half < WIDTH; half += 4)
			{
				Four		sum;
				Four		part;

				load(row + panel * WIDTH + half, &sum);
				load(weighted + panel * PANEL + half, &part);
				sum += part;
				store(&sum, row + panel * WIDTH + half);
			}
	}
}

PM_CLONES(add_dense,
		  (const LogisticHessian *hessian, const int32_t *categories,
		   int count, const double *weighted, double *sums),
		  (hessian, categories, count, weighted, sums));

/*
 * Add a row's weight to its pairs of categories, which ascend.  A category
 * that a SET has twice counts twice, its square four times.
 */
static void
add_pairs(const LogisticHessian *hessian, const int32_t *categories,
		  int count, double weight, double *sums)
{
	sums += hessian->panels * WIDTH;
	if (hessian->sets)
		for (int a = 0; a < count; a++)
			for (int b = a + 1; b < count; b++)
				if (categories[a] == categories[b])
					sums[(size_t) categories[a] * hessian->stride + (size_t) categories[a]] += weight;
	for (int a = 0; a < count; a++)
	{
		double	   *row = sums + (size_t) categories[a] * hessian->stride;

		for (int b = a; b < count; b++)
			row[categories[b]] += weight;
	}
}

/* Insert into an ascending list. */
static int
insert_category(int32_t *categories, int from, int count, int32_t category)
{
	int			i = count;

	for (; i > from && categories[i - 1] > category; i--)
		categories[i] = categories[i - 1];
	categories[i] = category;
	return count + 1;
}

/* A row's categories over all fields, ascending; there are SETs. */
static int
list_categories(const LogisticHessian *hessian, int64_t i, int32_t *categories)
{
	const PmCtrRows *rows = hessian->data->rows;
	int			count = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		const PmCtrField *field = &rows->fields[f];
		int			from = count;

		if (field->kind == PM_CTR_CODE)
		{
			categories[count] = hessian->start[f] + field->codes[i];
			count += field->codes[i] >= 0;
		}
		else if (field->kind == PM_CTR_SET)
			for (int64_t k = field->offsets[i]; k < field->offsets[i + 1]; k++)
				count = insert_category(categories, from, count,
										hessian->start[f] + field->codes[k]);
	}
	return count;
}

/*
 * The same of a block of rows where there are CODE fields only, field by
 * field; each row's list has room for all fields.
 */
static void
list_block(const LogisticHessian *hessian, int64_t begin, int count,
		   int32_t *categories, int *counts)
{
	const PmCtrRows *rows = hessian->data->rows;
	int			room = hessian->data->max_codes;

	memset(counts, 0, ROWS * sizeof(int));
	for (int f = 0; f < rows->field_count; f++)
	{
		const int32_t *codes = rows->fields[f].codes + begin;
		int32_t		start = hessian->start[f];

		if (rows->fields[f].kind != PM_CTR_CODE)
			continue;
		for (int i = 0; i < count; i++)
		{
			categories[i * room + counts[i]] = start + codes[i];
			counts[i] += codes[i] >= 0;
		}
	}
}

/* The parts of a thread's scratch. */
typedef struct Scratch
{
	double	   *dense;
	double	   *weighted;
	int32_t    *categories;
} Scratch;

static Scratch
scratch_of(const LogisticHessian *hessian, int lane)
{
	double	   *block = hessian->scratch + (size_t) lane * hessian->scratch_size;
	size_t		panels = hessian->panels * PANEL;

	return (Scratch) {block, block + panels, (int32_t *) (block + 2 * panels)};
}

void
pm_logistic_hessian_add(LogisticHessian *hessian, int chunk, int lane,
						int64_t begin, int count, const double *curvature)
{
	Scratch		scratch = scratch_of(hessian, lane);
	double	   *sums = hessian->sums + (size_t) chunk * hessian->size;
	int			counts[ROWS];

	for (int first = 0; first < count; first += ROWS)
	{
		int			rows = count - first < ROWS ? count - first : ROWS;

		fill_panels(hessian, begin + first, rows, curvature + first,
					scratch.dense, scratch.weighted);
		add_square(hessian->panels, scratch.weighted, scratch.dense, rows, sums);
		if (hessian->categories == 0)
			continue;
		if (!hessian->sets)
			list_block(hessian, begin + first, rows, scratch.categories, counts);
		for (int i = 0; i < rows; i++)
		{
			int32_t    *categories = scratch.categories;

			if (hessian->sets)
				counts[i] = list_categories(hessian, begin + first + i, categories);
			else
				categories += i * hessian->data->max_codes;
			add_dense(hessian, categories, counts[i], scratch.weighted + i * WIDTH,
					  sums + hessian->tiles);
			add_pairs(hessian, categories, counts[i], curvature[first + i],
					  sums + hessian->tiles);
		}
	}
}

/* ---- reading ------------------------------------------------------------ */

/* A task: set a slice of all chunks' sums to 0. */
static void
clear_slice(int64_t index, int lane, void *argument)
{
	LogisticHessian *hessian = argument;
	size_t		all = hessian->size * (size_t) hessian->chunks;
	size_t		begin = (size_t) index * SLICE;

	(void) lane;
	memset(hessian->sums + begin, 0,
		   (all - begin < SLICE ? all - begin : SLICE) * sizeof(double));
}

PmStatus
pm_logistic_hessian_clear(PmContext *ctx, LogisticHessian *hessian)
{
	size_t		all = hessian->size * (size_t) hessian->chunks;

	hessian->added = false;
	return pm_parallel(ctx, "logistic regression",
					   (int64_t) ((all + SLICE - 1) / SLICE), 0.3 * SLICE,
					   clear_slice, hessian);
}

/* A task: add a slice of the chunks' sums to those of the first. */
static void
add_slice(int64_t index, int lane, void *argument)
{
	LogisticHessian *hessian = argument;
	size_t		begin = (size_t) index * SLICE;
	size_t		end = hessian->size - begin < SLICE ? hessian->size : begin + SLICE;

	(void) lane;
	for (int chunk = 1; chunk < hessian->chunks; chunk++)
	{
		const double *sums = hessian->sums + (size_t) chunk * hessian->size;

		for (size_t k = begin; k < end; k++)
			hessian->sums[k] += sums[k];
	}
}

/* One element, by column of the dense part or by category. */
static double
element(const LogisticHessian *hessian, size_t a, bool a_dense, size_t b,
		bool b_dense)
{
	const double *categories = hessian->sums + hessian->tiles;

	if (a_dense && b_dense)
	{
		size_t		low = a < b ? a : b;
		size_t		high = a < b ? b : a;

		return hessian->sums[(low / WIDTH * hessian->panels + high / WIDTH) * TILE +
							 low % WIDTH * WIDTH + high % WIDTH];
	}
	if (a_dense)
		return categories[b * hessian->stride + a];
	if (b_dense)
		return categories[a * hessian->stride + b];
	return categories[(a < b ? a : b) * hessian->stride +
					  hessian->panels * WIDTH + (a < b ? b : a)];
}

/* A task: row i of the matrix, up to its diagonal, field by field. */
static void
read_row(LogisticHessian *hessian, size_t i, size_t a, bool a_dense)
{
	const PmCtrRows *rows = hessian->data->rows;
	double	   *row = hessian->matrix + i * ((size_t) hessian->data->p + 1);

	row[0] = element(hessian, a, a_dense, 0, true) /
		(hessian->divisor[i] * hessian->divisor[0]);
	for (int f = 0; f < rows->field_count; f++)
	{
		size_t		first = (size_t) rows->fields[f].first + 1;
		bool		dense = rows->fields[f].kind == PM_CTR_DENSE;

		for (size_t k = 0; k < (size_t) rows->fields[f].count && first + k <= i; k++)
			row[first + k] = element(hessian, a, a_dense,
									 (size_t) hessian->start[f] + k, dense) /
				(hessian->divisor[i] * hessian->divisor[first + k]);
	}
}

/* A task: the rows of a field, or of the intercept. */
static void
read_field(int64_t index, int lane, void *argument)
{
	LogisticHessian *hessian = argument;
	const PmCtrField *field;

	(void) lane;
	if (index == 0)
	{
		read_row(hessian, 0, 0, true);
		return;
	}
	field = &hessian->data->rows->fields[index - 1];
	for (int32_t k = 0; k < field->count; k++)
		read_row(hessian, (size_t) field->first + 1 + (size_t) k,
				 (size_t) hessian->start[index - 1] + (size_t) k,
				 field->kind == PM_CTR_DENSE);
}

PmStatus
pm_logistic_hessian_read(PmContext *ctx, LogisticHessian *hessian,
						 const double *divisor, double *matrix)
{
	int			fields = hessian->data->rows->field_count;
	double		p = hessian->data->p + 1.0;

	if (!hessian->added)
		PM_TRY(pm_parallel(ctx, "logistic regression",
						   (int64_t) ((hessian->size + SLICE - 1) / SLICE),
						   0.5 * SLICE * hessian->chunks, add_slice, hessian));
	hessian->added = true;
	hessian->divisor = divisor;
	hessian->matrix = matrix;
	return pm_parallel(ctx, "logistic regression", fields + 1,
					   3 * p * p / (fields + 1), read_field, hessian);
}

/* ---- opening ------------------------------------------------------------ */

/* Where each field's columns are. */
static void
place_fields(LogisticHessian *hessian)
{
	const PmCtrRows *rows = hessian->data->rows;
	int32_t		dense = 1;
	int32_t		categories = 0;

	for (int f = 0; f < rows->field_count; f++)
	{
		int32_t    *next = rows->fields[f].kind == PM_CTR_DENSE ? &dense : &categories;

		hessian->start[f] = *next;
		*next += rows->fields[f].count;
		hessian->sets |= rows->fields[f].kind == PM_CTR_SET;
	}
	hessian->categories = (size_t) categories;
}

PmStatus
pm_logistic_hessian_open(PmContext *ctx, const LogisticData *data, int chunks,
						 LogisticHessian **out)
{
	LogisticHessian *hessian;
	size_t		dense;

	PM_TRY(pm_alloc_zero(ctx, "Hessian", 1, sizeof(LogisticHessian), out));
	hessian = *out;
	hessian->data = data;
	hessian->chunks = chunks;
	PM_TRY(pm_alloc(ctx, "fields", (size_t) data->rows->field_count,
					sizeof(int32_t), &hessian->start));
	place_fields(hessian);

	/* at most LOGISTIC_MAX_HESSIAN columns: nothing here can overflow */
	hessian->panels = count_panels(data);
	dense = hessian->panels * WIDTH;
	hessian->tiles = dense * dense;
	hessian->stride = dense + hessian->categories;
	hessian->size = (hessian->tiles + hessian->categories * hessian->stride + 7) / 8 * 8;
	hessian->scratch_size = 2 * hessian->panels * PANEL +
		((size_t) data->max_codes * (hessian->sets ? 1 : ROWS) / 2 + 8) / 8 * 8;
	PM_TRY(pm_alloc(ctx, "sums of the Hessian", hessian->size,
					(size_t) chunks * sizeof(double), &hessian->sums));
	return pm_alloc(ctx, "rows for the Hessian", hessian->scratch_size,
					(size_t) (ctx->threads < 1 ? 1 : ctx->threads) * sizeof(double),
					&hessian->scratch);
}

void
pm_logistic_hessian_close(PmContext *ctx, LogisticHessian *hessian)
{
	pm_release(ctx, hessian->start);
	pm_release(ctx, hessian->sums);
	pm_release(ctx, hessian->scratch);
	pm_release(ctx, hessian);
}
