/*
 * logistic_cases.c
 *		See logistic_cases.h.
 */
#include "logistic_cases.h"

#include "pm_rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* calloc, or the end of the test. */
static void *
zeros(size_t count, size_t size)
{
	void	   *block = calloc(count > 0 ? count : 1, size);

	if (block == NULL)
	{
		perror("calloc");
		exit(2);
	}
	return block;
}

CtrCase *
case_new(int64_t n, bool weights)
{
	CtrCase    *rows = zeros(1, sizeof(CtrCase));

	rows->labels = zeros((size_t) n, 1);
	if (weights)
		rows->weights = zeros((size_t) n, sizeof(float));
	rows->rows.n = n;
	rows->rows.fields = rows->fields;
	rows->rows.labels = rows->labels;
	rows->rows.weights = rows->weights;
	return rows;
}

void
case_free(CtrCase *rows)
{
	for (int f = 0; f < rows->rows.field_count; f++)
	{
		free(rows->values[f]);
		free(rows->codes[f]);
		free(rows->offsets[f]);
	}
	free(rows->labels);
	free(rows->weights);
	free(rows);
}

int
case_add(CtrCase *rows, PmCtrFieldKind kind, int32_t count, int64_t codes)
{
	int			f = rows->rows.field_count++;
	size_t		n = (size_t) rows->rows.n;
	PmCtrField *field = &rows->fields[f];

	field->kind = kind;
	field->first = rows->rows.coefficient_count;
	field->count = count;
	rows->rows.coefficient_count += count;
	if (kind == PM_CTR_DENSE)
		field->values = rows->values[f] = zeros(n * (size_t) count, sizeof(float));
	else if (kind == PM_CTR_CODE)
		field->codes = rows->codes[f] = zeros(n, sizeof(int32_t));
	else
	{
		field->codes = rows->codes[f] = zeros((size_t) codes, sizeof(int32_t));
		field->offsets = rows->offsets[f] = zeros(n + 1, sizeof(int64_t));
	}
	return f;
}

/* Copy row i to row `to` of the same fields; SETs must have room. */
static void
copy_row(const CtrCase *from, int64_t i, CtrCase *rows, int64_t to)
{
	rows->labels[to] = from->labels[i];
	for (int f = 0; f < rows->rows.field_count; f++)
	{
		size_t		count = (size_t) rows->fields[f].count;

		if (rows->values[f] != NULL)
			memcpy(rows->values[f] + (size_t) to * count,
				   from->values[f] + (size_t) i * count, count * sizeof(float));
		else if (rows->offsets[f] == NULL)
			rows->codes[f][to] = from->codes[f][i];
		else
		{
			int64_t		codes = from->offsets[f][i + 1] - from->offsets[f][i];

			memcpy(rows->codes[f] + rows->offsets[f][to],
				   from->codes[f] + from->offsets[f][i],
				   (size_t) codes * sizeof(int32_t));
			rows->offsets[f][to + 1] = rows->offsets[f][to] + codes;
		}
	}
}

CtrCase *
case_repeated(const CtrCase *from)
{
	int64_t		n = 0;
	int64_t		to = 0;
	CtrCase    *rows;

	for (int64_t i = 0; i < from->rows.n; i++)
		n += (int64_t) from->weights[i];
	rows = case_new(n, false);
	for (int f = 0; f < from->rows.field_count; f++)
		case_add(rows, from->fields[f].kind, from->fields[f].count, 8 * n);
	for (int64_t i = 0; i < from->rows.n; i++)
		for (int k = 0; k < (int) from->weights[i]; k++)
			copy_row(from, i, rows, to++);
	return rows;
}

int
case_below(uint64_t *state, int bound)
{
	uint64_t	x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return (int) ((x >> 33) % (uint64_t) bound);
}

/* One row, as make_row() of make_logistic.py makes it. */
static void
golden_row(CtrCase *rows, int64_t i, uint64_t *state, bool tame)
{
	double		first = (case_below(state, 2048) - 1024) / 256.0;
	double		second = case_below(state, 1024) / 256.0 - 2;
	int			counts[6] = {0};
	int64_t    *offsets = rows->offsets[4];
	double		score;
	double		tiny;

	rows->values[0][2 * i] = (float) first;
	rows->values[0][2 * i + 1] = (float) (tame ? second : 1000 + 32 * second);
	rows->codes[1][i] = case_below(state, 8) % 5;
	tiny = case_below(state, 1024) / 1024.0;
	rows->values[2][i] = (float) (tame ? tiny : tiny / 1048576);
	rows->codes[3][i] = case_below(state, 5) - 1;
	offsets[i + 1] = offsets[i];
	for (int k = case_below(state, 4); k > 0; k--)
	{
		int			code = case_below(state, 6);

		rows->codes[4][offsets[i + 1]++] = code;
		counts[code]++;
	}
	for (int k = 0; k < 9; k++)
		rows->values[5][9 * i + k] = (float) ((case_below(state, 64) - 32) / 16.0);
	score = 0.7 * first - 0.4 * second + 0.9 * (rows->codes[1][i] == 1) -
		0.6 * (rows->codes[3][i] == 2) + 0.5 * counts[0] - 0.8 * counts[3] +
		tiny + 0.3 * rows->values[5][9 * i] - 0.5 * rows->values[5][9 * i + 8] - 0.5;
	rows->labels[i] = case_below(state, 1 << 20) / 1048576.0 <
		0.5 + 0.5 * score / (1 + fabs(score));
}

CtrCase *
case_golden(bool tame, bool weights)
{
	enum
	{
		N = 600
	};
	CtrCase    *rows = case_new(N, weights);
	uint64_t	state = UINT64_C(0x9e3779b97f4a7c15);

	case_add(rows, PM_CTR_DENSE, 2, 0);
	case_add(rows, PM_CTR_CODE, 5, 0);
	case_add(rows, PM_CTR_DENSE, 1, 0);
	case_add(rows, PM_CTR_CODE, 4, 0);
	case_add(rows, PM_CTR_SET, 6, 4 * N);
	case_add(rows, PM_CTR_DENSE, 9, 0);
	for (int64_t i = 0; i < N; i++)
	{
		int			weight;

		golden_row(rows, i, &state, tame);
		weight = 1 + case_below(&state, 3);
		if (weights)
			rows->weights[i] = (float) weight;
	}
	return rows;
}

/* A category, the smaller the more frequent. */
static int32_t
random_code(PmRng *rng, int32_t count)
{
	double		uniform = pm_rng_uniform(rng);

	return (int32_t) (count * uniform * uniform);
}

CtrCase *
case_random(int64_t n, int dense, const int *sizes, bool weights,
			uint64_t seed)
{
	CtrCase    *rows = case_new(n, weights);
	int			set;
	PmRng		rng;

	pm_rng_seed(&rng, seed, 0);
	if (dense > 0)
		case_add(rows, PM_CTR_DENSE, dense, 0);
	for (int k = 0; sizes[k] > 0; k++)
		case_add(rows, PM_CTR_CODE, sizes[k], 0);
	set = case_add(rows, PM_CTR_SET, 7, 3 * n);
	for (int64_t i = 0; i < n; i++)
	{
		int64_t    *offsets = rows->offsets[set];
		double		score = -0.5;

		for (int k = 0; k < dense; k++)
		{
			float		value = (float) (4 * pm_rng_uniform(&rng) - 2);

			rows->values[0][i * dense + k] = value;
			score += value * (k % 3 - 1) / 2;
		}
		for (int f = dense > 0; f < set; f++)
		{
			int32_t		code = random_code(&rng, rows->fields[f].count);

			score += 0.2 * (code % 7) - 0.5;
			if (f == (dense > 0) + 1 && pm_rng_below(&rng, 4) == 0)
				code = -1;
			rows->codes[f][i] = code;
		}
		offsets[i + 1] = offsets[i];
		for (uint64_t k = pm_rng_below(&rng, 4); k > 0; k--)
		{
			int32_t		code = random_code(&rng, 7);

			rows->codes[set][offsets[i + 1]++] = code;
			score += code == 3;
		}
		rows->labels[i] = pm_rng_uniform(&rng) < 1 / (1 + exp(-score));
		if (weights)
			rows->weights[i] = (float) (1 + pm_rng_below(&rng, 3));
	}
	return rows;
}

double
case_element(const PmCtrRows *rows, int64_t i, int32_t j)
{
	int			f = 0;
	const PmCtrField *field;
	double		count = 0;

	while (j >= rows->fields[f].first + rows->fields[f].count)
		f++;
	field = &rows->fields[f];
	j -= field->first;
	if (field->kind == PM_CTR_DENSE)
		return field->values[i * field->count + j];
	if (field->kind == PM_CTR_CODE)
		return field->codes[i] == j;
	for (int64_t k = field->offsets[i]; k < field->offsets[i + 1]; k++)
		count += field->codes[k] == j;
	return count;
}

PmLogisticOptions
case_options(double l1, double l2, PmLogisticSolver solver)
{
	PmLogisticOptions options = {.l1 = l1,.l2 = l2,.solver = solver,.max_iter = 1000,
		.tol = 1e-10,.standard_errors = true};

	return options;
}

/* ---- the Adult data ----------------------------------------------------- */

#define ADULT_ROWS 32561
#define ADULT_COLUMNS 16

/* A cell's text in the lines of a file, each cut at its commas. */
typedef struct AdultTable
{
	char	   *cells[ADULT_ROWS][ADULT_COLUMNS];
	int			n;
} AdultTable;

/* Read the training part; the lines are kept. */
static void
read_adult(AdultTable *table)
{
	const char *folder = getenv("PRECMKT_DATA");
	char		command[4096];
	char		line[400];
	FILE	   *file;

	if (folder == NULL)
		folder = "../shared/data";
	snprintf(command, sizeof(command),
			 "test -r '%s/adult.csv.gz' && gzip -dc '%s/adult.csv.gz'",
			 folder, folder);
	file = popen(command, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		char	   *next;

		if (strncmp(line, "train,", 6) != 0 || table->n == ADULT_ROWS)
			continue;
		line[strcspn(line, "\r\n")] = '\0';
		next = strdup(line);
		for (int k = 0; k < ADULT_COLUMNS && next != NULL; k++)
			table->cells[table->n][k] = strsep(&next, ",");
		table->n++;
	}
	if (file != NULL)
		pclose(file);
}

/* Less its mean, by its deviation. */
static void
add_adult_number(CtrCase *rows, const AdultTable *table, int column)
{
	int			f = case_add(rows, PM_CTR_DENSE, 1, 0);
	double		mean = 0;
	double		square = 0;

	for (int i = 0; i < ADULT_ROWS; i++)
		mean += atof(table->cells[i][column]) / ADULT_ROWS;
	for (int i = 0; i < ADULT_ROWS; i++)
	{
		double		deviation = atof(table->cells[i][column]) - mean;

		square += deviation * deviation / ADULT_ROWS;
	}
	for (int i = 0; i < ADULT_ROWS; i++)
		rows->values[f][i] = (float) ((atof(table->cells[i][column]) - mean) / sqrt(square));
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Codes in the order of the texts. */
static void
add_adult_text(CtrCase *rows, const AdultTable *table, int column)
{
	char	  **texts = zeros(ADULT_ROWS, sizeof(char *));
	int			count = 0;
	int			f;

	for (int i = 0; i < ADULT_ROWS; i++)
		texts[i] = table->cells[i][column];
	qsort(texts, ADULT_ROWS, sizeof(char *), compare_texts);
	for (int i = 0; i < ADULT_ROWS; i++)
		if (count == 0 || strcmp(texts[count - 1], texts[i]) != 0)
			texts[count++] = texts[i];
	f = case_add(rows, PM_CTR_CODE, count, 0);
	for (int i = 0; i < ADULT_ROWS; i++)
	{
		char	  **found = bsearch(&table->cells[i][column], texts, (size_t) count,
									sizeof(char *), compare_texts);

		rows->codes[f][i] = (int32_t) (found - texts);
	}
	free(texts);
}

CtrCase *
case_adult(void)
{
	static const int numbers[] = {1, 3, 5, 11, 12, 13};
	static const int texts[] = {2, 4, 6, 7, 8, 9, 10, 14};
	AdultTable *table = zeros(1, sizeof(AdultTable));
	CtrCase    *rows = NULL;

	read_adult(table);
	if (table->n == ADULT_ROWS)
	{
		rows = case_new(ADULT_ROWS, false);
		for (int k = 0; k < 6; k++)
			add_adult_number(rows, table, numbers[k]);
		for (int k = 0; k < 8; k++)
			add_adult_text(rows, table, texts[k]);
		for (int i = 0; i < ADULT_ROWS; i++)
			rows->labels[i] = table->cells[i][15][0] == 't';
	}
	for (int i = 0; i < table->n; i++)
		free(table->cells[i][0]);
	free(table);
	return rows;
}
