/*
 * test_device.c
 *		Conformance of a device: every entry of the table against the naive
 *		reference, on odd shapes, with poisoned outputs between red zones;
 *		for the CPU device with every instruction set that this CPU has.
 */
#include "test.h"

#include "pm_arena.h"
#include "pm_device.h"
#include "pm_rng.h"
#include "reference_device.h"

#include <float.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

extern PmStatus pm_device_open(PmDevice *device, char *message, size_t size);

/* The device under test, its name, and what it is compared with. */
static PmDevice device;
static const char *isa;
static PmDevice reference;
static PmContext context;

/* Bytes on either side of an output that nobody may touch. */
#define ZONE 256
#define ZONE_BYTE 0xa5
#define POISON_BYTE 0xff		/* NaN as a float or double, -1 as an integer */

typedef struct Guarded
{
	unsigned char *base;
	size_t		bytes;
} Guarded;

/* A poisoned output of so many bytes. */
static void *
guard_open(Guarded *guarded, size_t bytes)
{
	guarded->bytes = bytes;
	guarded->base = malloc(bytes + 2 * ZONE);
	if (guarded->base == NULL)
		abort();
	memset(guarded->base, ZONE_BYTE, bytes + 2 * ZONE);
	memset(guarded->base + ZONE, POISON_BYTE, bytes);
	return guarded->base + ZONE;
}

/* Check its red zones and free it. */
static void
guard_close(Guarded *guarded, const char *what)
{
	bool		whole = true;

	for (size_t i = 0; i < ZONE; i++)
		if (guarded->base[i] != ZONE_BYTE ||
			guarded->base[ZONE + guarded->bytes + i] != ZONE_BYTE)
			whole = false;
	CHECK_CASE(whole, "%s: %s was written outside its bounds", isa, what);
	free(guarded->base);
}

/* An array of `count` floats, normal numbers, for as long as the test runs. */
static float *
random_floats(uint64_t seed, size_t count)
{
	float	   *values = malloc((count + 1) * sizeof(float));
	PmRng		rng;

	if (values == NULL)
		abort();
	pm_rng_seed(&rng, seed, 1);
	for (size_t i = 0; i < count; i++)
		values[i] = (float) ((pm_rng_uniform(&rng) + pm_rng_uniform(&rng) +
							  pm_rng_uniform(&rng) - 1.5) * 2);
	return values;
}

/* What kinds of data there are; each hard for some shortcut. */
typedef enum Kind
{
	PLAIN,
	FAR_AWAY,					/* 10000 from the origin */
	GRID,						/* small integers: ties everywhere */
	DUPLICATES,					/* equal rows, equal centroids */
	HUGE_VALUES,				/* squares overflow single precision */
	TINY_VALUES,				/* squares underflow */
	OUTLIER,					/* one value 10^15 times the others */
	KINDS
} Kind;

static const char *const kind_names[KINDS] = {
	"plain", "far away", "grid", "duplicates", "huge", "tiny", "outlier"
};

/* Shape n * d rows and k * d centroids to their kind. */
static void
shape_data(Kind kind, float *x, int64_t n, float *c, int k, int d)
{
	float	   *arrays[2] = {x, c};
	int64_t		rows[2] = {n, k};

	for (int a = 0; a < 2; a++)
		for (int64_t i = 0; i < rows[a] * d; i++)
		{
			float	   *value = &arrays[a][i];

			if (kind == FAR_AWAY)
				*value += 10000;
			else if (kind == GRID)
				*value = rintf(*value);
			else if (kind == HUGE_VALUES)
				*value *= 1e25f;
			else if (kind == TINY_VALUES)
				*value *= 1e-25f;
			else if (kind == DUPLICATES && i >= rows[a] / 3 * d)
				*value = arrays[a][i % (rows[a] / 3 * d + d)];
		}
	if (kind == OUTLIER && n > 3)
		x[3 * d] = 1e15f;
}

static double
distance(const float *x, const float *c, int d)
{
	double		sum = 0;

	for (int j = 0; j < d; j++)
		sum += ((double) x[j] - c[j]) * ((double) x[j] - c[j]);
	return sum;
}

/*
 * Is `label` the nearest of k centroids?  Where two distances differ by the
 * rounding of a double only, either will do; where they are equal because
 * the centroids are, only the first.
 */
static bool
is_nearest(const float *x, const float *c, int k, int d, int label,
		   int expected)
{
	double		mine;
	double		best;

	if (label == expected)
		return true;
	if (label < 0 || label >= k)
		return false;
	for (int i = 0; i < label; i++)
		if (memcmp(c + (size_t) i * d, c + (size_t) label * d,
				   (size_t) d * sizeof(float)) == 0)
			return false;
	mine = distance(x, c + (size_t) label * d, d);
	best = distance(x, c + (size_t) expected * d, d);
	return fabs(mine - best) <= 1e-13 * best;
}

/* nearest_centroid with one selection of outputs. */
static void
check_nearest(Kind kind, int64_t n, int d, int k, const float *x,
			  const float *c, unsigned wanted, const int32_t *expected,
			  const float *expected_distance, const float *expected_second)
{
	Guarded		guards[3];
	int32_t    *labels = guard_open(&guards[0], (size_t) n * sizeof(int32_t));
	float	   *nearest = guard_open(&guards[1], (size_t) n * sizeof(float));
	float	   *second = guard_open(&guards[2], (size_t) n * sizeof(float));
	int			wrong = 0;

	CHECK_STATUS(&context, device.nearest_centroid(&context, n, d, k, x, c,
												   wanted & 1 ? labels : NULL,
												   wanted & 2 ? nearest : NULL,
												   wanted & 4 ? second : NULL), PM_OK);
	for (int64_t i = 0; i < n; i++)
	{
		if ((wanted & 1) && !is_nearest(x + i * d, c, k, d, labels[i], expected[i]))
			wrong++;
		if ((wanted & 2) && !test_close(nearest[i], expected_distance[i], 1e-6, FLT_MIN))
			wrong++;
		if ((wanted & 4) && !test_close(second[i], expected_second[i], 1e-6, FLT_MIN))
			wrong++;
	}
	CHECK_CASE(wrong == 0, "%s: %s, n %d d %d k %d, outputs %u: %d values wrong",
			   isa, kind_names[kind], (int) n, d, k, wanted, wrong);
	guard_close(&guards[0], "labels");
	guard_close(&guards[1], "distance");
	guard_close(&guards[2], "second");
}

static void
test_nearest_centroid(void)
{
	static const int sizes[] = {0, 1, 7, 1025};
	static const int widths[] = {1, 3, 17, 130};
	static const int counts[] = {1, 2, 33, 1000};

	for (int shape = 0; shape < 64; shape++)
		for (Kind kind = PLAIN; kind < KINDS; kind++)
		{
			int64_t		n = sizes[shape % 4];
			int			d = widths[shape / 4 % 4];
			int			k = counts[shape / 16];
			float	   *x;
			float	   *c;
			int32_t    *labels;
			float	   *nearest;
			float	   *second;

			/* the slow shapes need not be of every kind */
			if ((double) n * d * k > 2e7 && kind != PLAIN && kind != FAR_AWAY)
				continue;
			context.threads = 1 + shape % 2;
			x = random_floats((uint64_t) shape, (size_t) n * d);
			c = random_floats(99, (size_t) k * d);
			labels = malloc((size_t) (n + 1) * sizeof(int32_t));
			nearest = random_floats(0, (size_t) n);
			second = random_floats(0, (size_t) n);
			shape_data(kind, x, n, c, k, d);
			CHECK_STATUS(&context, reference.nearest_centroid(&context, n, d, k, x,
															  c, labels, nearest,
															  second), PM_OK);
			for (unsigned wanted = 1; wanted < 8; wanted += 2)
				check_nearest(kind, n, d, k, x, c, wanted, labels, nearest, second);
			check_nearest(kind, n, d, k, x, c, 4, labels, nearest, second);
			free(x);
			free(c);
			free(labels);
			free(nearest);
			free(second);
		}
}

/* What one pass of a Lloyd run left, to compare runs with. */
typedef struct Trace
{
	int32_t    *labels;			/* passes * n */
	double	   *sums;			/* passes * k * d */
} Trace;

#define PASSES 12

/* The centroids of the next pass: the means, and some sudden moves. */
static void
move_centroids(float *c, int k, int d, int pass, const double *sums,
			   const double *weights, const int64_t *counts, float *back,
			   Kind kind)
{
	for (int i = 0; i < k; i++)
		for (int j = 0; j < d; j++)
			if (counts[i] > 0)
				c[(size_t) i * d + j] = (float) (sums[(size_t) i * d + j] / weights[i]);
	if (pass == 3 || pass == 8)
		for (int j = 0; j < d; j++)
			c[j] += kind == HUGE_VALUES ? 3e25f : kind == TINY_VALUES ? 3e-25f : 3;
	/* away from its rows to a far one, and back */
	if (k >= 33 && (pass == 5 || pass == 9))
		for (int j = 0; j < d; j++)
		{
			back[j] = c[4 * d + j];
			c[4 * d + j] = 0.4f * c[4 * d + j] + 0.6f * c[30 * d + j];
		}
	if (k >= 33 && (pass == 6 || pass == 10))
		memcpy(c + 4 * d, back, (size_t) d * sizeof(float));
	if (pass == 7 && k > 2)
		memcpy(c + 2 * (size_t) d, c + (size_t) d, (size_t) d * sizeof(float));
}

/* Check sums, weights, counts and changes of a pass. */
static void
check_sums(const PmLloydRows *rows, const int32_t *before,
		   const int32_t *labels, const double *sums, const double *weights,
		   const int64_t *counts, int64_t changed)
{
	size_t		size = (size_t) rows->k * rows->d;
	double	   *expected = calloc(2 * size + 2 * (size_t) rows->k, sizeof(double));
	double	   *bulk = expected + size;
	double	   *weight = bulk + size;
	double	   *count = weight + rows->k;
	int64_t		moves = 0;
	int			wrong = 0;

	for (int64_t i = 0; i < rows->n; i++)
	{
		size_t		label = (size_t) labels[i];
		double		w = rows->weights == NULL ? 1 : rows->weights[i];

		moves += labels[i] != before[i];
		weight[label] += w;
		count[label]++;
		for (int j = 0; j < rows->d; j++)
		{
			double		value = w * rows->x[i * rows->d + j];

			expected[label * rows->d + j] += value;
			bulk[label * rows->d + j] += fabs(value);
		}
	}
	for (size_t i = 0; i < size; i++)
		if (!test_close(sums[i], expected[i], 0, 1e-7 * bulk[i] + 1e-300))
			wrong++;
	for (int c = 0; c < rows->k; c++)
		if (!test_close(weights[c], weight[c], 1e-9, 0) || counts[c] != (int64_t) count[c])
			wrong++;
	CHECK_CASE(wrong == 0, "%s: n %d d %d k %d: %d sums wrong", isa,
			   (int) rows->n, rows->d, rows->k, wrong);
	CHECK_INT(changed, moves);
	free(expected);
}

/* One Lloyd run, its slabs cut at random; against the reference or a trace. */
static void
run_lloyd(Kind kind, const PmLloydRows *rows, const float *initial,
		  int threads, uint64_t cuts, Trace *trace, bool record)
{
	size_t		n = (size_t) rows->n;
	size_t		size = (size_t) rows->k * rows->d;
	Guarded		guards[4];
	int32_t    *labels = guard_open(&guards[0], n * sizeof(int32_t));
	double	   *sums = guard_open(&guards[1], size * sizeof(double));
	double	   *weights = guard_open(&guards[2], (size_t) rows->k * sizeof(double));
	int64_t    *counts = guard_open(&guards[3], (size_t) rows->k * sizeof(int64_t));
	int32_t    *expected = malloc((n + 1) * sizeof(int32_t));
	int32_t    *before = malloc((n + 1) * sizeof(int32_t));
	float	   *c = malloc((size + (size_t) rows->d) * sizeof(float));
	float	   *back = c + size;
	PmLloyd    *run = NULL;
	PmRng		rng;

	memcpy(c, initial, size * sizeof(float));
	memset(before, 0xff, n * sizeof(int32_t));
	pm_rng_seed(&rng, cuts, 7);
	context.threads = threads;
	CHECK_STATUS(&context, device.lloyd_open(&context, rows, &run), PM_OK);
	for (int pass = 0; run != NULL && pass < PASSES; pass++)
	{
		int64_t		changed = -1;
		int			wrong = 0;

		for (int64_t begin = 0, end; begin < rows->n; begin = end)
		{
			end = begin + 1 + (int64_t) pm_rng_below(&rng, (uint64_t) rows->n);
			if (end > rows->n || cuts == 0)
				end = rows->n;
			CHECK_STATUS(&context, device.lloyd_assign(&context, run, c, begin, end), PM_OK);
		}
		if (n == 0)
			CHECK_STATUS(&context, device.lloyd_assign(&context, run, c, 0, 0), PM_OK);
		CHECK_STATUS(&context, device.lloyd_sums(&context, run, sums, weights,
												 counts, &changed), PM_OK);
		CHECK_STATUS(&context, device.lloyd_labels(&context, run, labels), PM_OK);
		if (record)
		{
			reference.nearest_centroid(&context, rows->n, rows->d, rows->k, rows->x, c,
									   expected, NULL, NULL);
			for (size_t i = 0; i < n; i++)
				if (!is_nearest(rows->x + i * rows->d, c, rows->k, rows->d,
								labels[i], expected[i]))
					wrong++;
			CHECK_CASE(wrong == 0, "%s: %s, n %d d %d k %d, pass %d: %d labels wrong", isa,
					   kind_names[kind], (int) n, rows->d, rows->k, pass, wrong);
			if (wrong > 0)
				break;
			check_sums(rows, before, labels, sums, weights, counts, changed);
			memcpy(trace->labels + pass * n, labels, n * sizeof(int32_t));
			memcpy(trace->sums + pass * size, sums, size * sizeof(double));
		}
		else
			CHECK_CASE(memcmp(trace->labels + pass * n, labels, n * sizeof(int32_t)) == 0 &&
					   memcmp(trace->sums + pass * size, sums, size * sizeof(double)) == 0,
					   "%s: %s, n %d d %d k %d, %d threads, pass %d: other bytes", isa,
					   kind_names[kind], (int) n, rows->d, rows->k, threads, pass);
		memcpy(before, labels, n * sizeof(int32_t));
		move_centroids(c, rows->k, rows->d, pass, sums, weights, counts, back, kind);
	}
	device.lloyd_close(&context, run);
	guard_close(&guards[0], "labels");
	guard_close(&guards[1], "sums");
	guard_close(&guards[2], "weights");
	guard_close(&guards[3], "counts");
	free(expected);
	free(before);
	free(c);
}

/* Runs over one set of rows with one and more threads, in any slabs. */
static void
check_lloyd(Kind kind, int64_t n, int d, int k, bool weighted, bool clustered)
{
	float	   *x = random_floats(5, (size_t) n * d);
	float	   *c = random_floats(6, (size_t) k * d);
	float	   *weights = random_floats(7, (size_t) n);
	PmLloydRows rows = {x, weighted ? weights : NULL, n, d, k};
	Trace		trace;

	trace.labels = malloc((size_t) (n + 1) * PASSES * sizeof(int32_t));
	trace.sums = malloc((size_t) k * d * PASSES * sizeof(double));
	/* rows around the centroids, so that there is something to skip */
	for (int64_t i = 0; clustered && i < n * d; i++)
		x[i] = 0.1f * x[i] + c[i / d * 7 % k * d + i % d];
	shape_data(kind, x, n, c, k, d);
	for (int64_t i = 0; i < n; i++)
		weights[i] = fabsf(weights[i]) + 0.01f;
	run_lloyd(kind, &rows, c, 1, 0, &trace, true);
	run_lloyd(kind, &rows, c, 2, 0, &trace, false);
	run_lloyd(kind, &rows, c, 1, 3, &trace, false);
	run_lloyd(kind, &rows, c, 2, 4, &trace, false);
	CHECK_INT(pm_arena_used(context.arena), 0);
	free(x);
	free(c);
	free(weights);
	free(trace.labels);
	free(trace.sums);
}

static void
test_lloyd(void)
{
	static const int widths[] = {1, 3, 17, 40, 130};
	static const int counts[] = {1, 2, 33, 300};

	for (int shape = 0; shape < 20; shape++)
		for (int clustered = 0; clustered < 2; clustered++)
			check_lloyd(PLAIN, 1025, widths[shape % 5], counts[shape / 5],
						shape % 2 == 1, clustered == 1);
	check_lloyd(PLAIN, 0, 3, 2, false, false);
	check_lloyd(PLAIN, 1, 3, 2, true, false);
	check_lloyd(PLAIN, 7, 17, 7, false, false);
	for (Kind kind = FAR_AWAY; kind < KINDS; kind++)
		for (int weighted = 0; weighted < 2; weighted++)
		{
			check_lloyd(kind, 1500, 5, 40, weighted == 1, false);
			check_lloyd(kind, 1500, 48, 40, weighted == 1, true);
		}
}

/*
 * Bounds that are carried over many passes: rows densely spread over a plane,
 * so that many lie close to a border, while every few passes some centroids
 * move away in small steps and come back.
 */
static void
test_lloyd_bounds(void)
{
	int			n = 5000;
	int			d = 40;
	int			k = 100;
	float	   *x = calloc((size_t) n * d, sizeof(float));
	float	   *c = calloc((size_t) k * d, sizeof(float));
	int32_t    *labels = malloc((size_t) n * sizeof(int32_t));
	int32_t    *expected = malloc((size_t) n * sizeof(int32_t));
	PmLloydRows rows = {x, NULL, n, d, k};
	PmLloyd    *run = NULL;
	PmRng		rng;

	pm_rng_seed(&rng, 11, 0);
	for (int i = 0; i < 2 * n; i++)
		x[i / 2 * d + i % 2] = (float) (10 * pm_rng_uniform(&rng));
	for (int i = 0; i < 2 * k; i++)
		c[i / 2 * d + i % 2] = (float) (10 * pm_rng_uniform(&rng));
	context.threads = 2;
	CHECK_STATUS(&context, device.lloyd_open(&context, &rows, &run), PM_OK);
	for (int pass = 0; run != NULL && pass < 32; pass++)
	{
		int			wrong = 0;

		CHECK_STATUS(&context, device.lloyd_assign(&context, run, c, 0, n), PM_OK);
		CHECK_STATUS(&context, device.lloyd_labels(&context, run, labels), PM_OK);
		reference.nearest_centroid(&context, n, d, k, x, c, expected, NULL, NULL);
		for (int i = 0; i < n; i++)
			if (!is_nearest(x + i * d, c, k, d, labels[i], expected[i]))
				wrong++;
		CHECK_CASE(wrong == 0, "%s: pass %d: %d labels wrong", isa, pass, wrong);
		for (int i = pass / 6; pass >= 2 && i < k; i += 12)
			for (int j = 0; j < 2; j++)
				c[i * d + j] += (pass % 6 < 3 ? 0.12f : -0.12f) * (float) ((i + j) % 3 - 1);
	}
	device.lloyd_close(&context, run);
	free(x);
	free(c);
	free(labels);
	free(expected);
}

/* A run's own memory: a fifth of the rows, labels at the least. */
static void
test_lloyd_memory(void)
{
	static const int widths[] = {2, 8, 16, 64};

	for (int shape = 0; shape < 4; shape++)
	{
		int			d = widths[shape];
		int			k = 16;
		size_t		n = 200000;
		size_t		allowed = n * (d < 5 ? 20 : 4 * (size_t) d) / 5 + 64 * (size_t) k * d + (1 << 20);
		float	   *x = random_floats(1, n * (size_t) d);
		PmLloydRows rows = {x, NULL, (int64_t) n, d, k};
		PmLloyd    *run = NULL;
		PmContext	own = context;

		own.arena = pm_arena_create(&pm_malloc_allocator, 0);
		own.threads = 2;
		CHECK_STATUS(&own, device.lloyd_open(&own, &rows, &run), PM_OK);
		for (int pass = 0; run != NULL && pass < 3; pass++)
			CHECK_STATUS(&own, device.lloyd_assign(&own, run, x, 0, rows.n), PM_OK);
		CHECK_CASE(pm_arena_peak(own.arena) <= allowed, "%s: d %d takes %zu bytes, over %zu",
				   isa, d, pm_arena_peak(own.arena), allowed);
		device.lloyd_close(&own, run);
		CHECK_INT(pm_arena_used(own.arena), 0);
		pm_arena_destroy(own.arena);
		free(x);
	}
}

/* Every refused allocation in turn: a clean failure, nothing left behind. */
static void
test_no_memory(void)
{
	float	   *x = random_floats(1, 3000);
	float	   *weights = random_floats(2, 1000);
	PmLloydRows rows = {x, NULL, 1000, 3, 5};
	int32_t		labels[1000];
	PmContext	own = context;
	int			refused = 0;

	for (size_t limit = 64; limit < 400000; limit += limit / 5)
	{
		PmLloyd    *run = NULL;
		PmStatus	status;

		own.arena = pm_arena_create(&pm_malloc_allocator, limit);
		own.threads = 2;
		rows.weights = limit % 2 == 0 ? weights : NULL;
		for (int i = 0; i < 1000; i++)
			weights[i] = 1.5f;
		status = device.lloyd_open(&own, &rows, &run);
		CHECK(status == PM_OK || status == PM_MEMORY_LIMIT);
		CHECK((status == PM_OK) == (run != NULL));
		if (status == PM_OK)
			device.lloyd_close(&own, run);
		else
			refused++;
		status = device.nearest_centroid(&own, 1000, 3, 5, x, x, labels, NULL, NULL);
		CHECK(status == PM_OK || status == PM_MEMORY_LIMIT);
		CHECK_INT(pm_arena_used(own.arena), 0);
		pm_arena_destroy(own.arena);
	}
	CHECK(refused > 10);
	free(x);
	free(weights);
}

/* Matrices of floats with strides wider than their rows. */
static void
test_sgemm(void)
{
	static const int sizes[][3] = {
		{1, 1, 1}, {3, 17, 5}, {0, 4, 4}, {7, 1, 33}, {65, 64, 0}, {700, 33, 200}
	};

	for (int shape = 0; shape < 6 * 4; shape++)
	{
		bool		transpose_a = shape % 2 == 1;
		bool		transpose_b = shape / 2 % 2 == 1;
		int64_t		m = sizes[shape / 4][0];
		int64_t		n = sizes[shape / 4][1];
		int64_t		k = sizes[shape / 4][2];
		int64_t		lda = (transpose_a ? m : k) + 3;
		int64_t		ldb = (transpose_b ? k : n) + 2;
		int64_t		ldc = n + 5;
		float	   *a = random_floats(1, (size_t) ((transpose_a ? k : m) * lda));
		float	   *b = random_floats(2, (size_t) ((transpose_b ? n : k) * ldb));
		float	   *expected = random_floats(3, (size_t) (m * ldc));
		Guarded		guard;
		float	   *c = guard_open(&guard, (size_t) (m * ldc) * sizeof(float));
		int			wrong = 0;

		memcpy(c, expected, (size_t) (m * ldc) * sizeof(float));
		context.threads = 1 + shape % 2;
		CHECK_STATUS(&context, device.sgemm(&context, transpose_a, transpose_b, m, n, k,
											0.5f, a, lda, b, ldb, -2, c, ldc), PM_OK);
		reference.sgemm(&context, transpose_a, transpose_b, m, n, k, 0.5f, a, lda, b, ldb,
						-2, expected, ldc);
		for (int64_t i = 0; i < m * ldc; i++)
			if (!test_close(c[i], expected[i], 1e-5, 1e-5 * sqrt((double) k + 1)))
				wrong++;
		CHECK_CASE(wrong == 0, "shape %d: %d elements wrong", shape, wrong);
		guard_close(&guard, "product");
		free(a);
		free(b);
		free(expected);
	}
}

/* Upper triangle only; the lower one stays as it was. */
static void
test_ssyrk(void)
{
	static const int sizes[][2] = {{1, 1}, {3, 17}, {33, 7}, {0, 3}, {5, 0}, {600, 40}};

	for (int shape = 0; shape < 6; shape++)
	{
		int64_t		n = sizes[shape][0];
		int64_t		k = sizes[shape][1];
		int64_t		stride = n + 3;
		float	   *a = random_floats(1, (size_t) (k * stride));
		float	   *expected = random_floats(3, (size_t) (n * stride));
		Guarded		guard;
		float	   *c = guard_open(&guard, (size_t) (n * stride) * sizeof(float));
		int			wrong = 0;

		memcpy(c, expected, (size_t) (n * stride) * sizeof(float));
		context.threads = 2;
		CHECK_STATUS(&context, device.ssyrk(&context, n, k, 0.5f, a, stride, 3, c, stride), PM_OK);
		reference.ssyrk(&context, n, k, 0.5f, a, stride, 3, expected, stride);
		for (int64_t i = 0; i < n * stride; i++)
			if (!test_close(c[i], expected[i], 1e-5, 1e-5 * sqrt((double) k + 1)))
				wrong++;
		CHECK_CASE(wrong == 0, "shape %d: %d elements wrong", shape, wrong);
		guard_close(&guard, "square");
		free(a);
		free(expected);
	}
}

/* Factorise and solve; a matrix that is not positive definite is refused. */
static void
test_cholesky(void)
{
	static const int sizes[] = {1, 2, 17, 100};

	for (int shape = 0; shape < 4; shape++)
	{
		int64_t		n = sizes[shape];
		int64_t		stride = n + 2;
		int			columns = 3;
		float	   *random = random_floats(4, (size_t) (n * n + n * columns));
		double	   *a = malloc((size_t) (n * stride) * sizeof(double));
		double	   *x = malloc((size_t) (columns * stride) * sizeof(double));
		Guarded		guards[2];
		double	   *u = guard_open(&guards[0], (size_t) (n * stride) * sizeof(double));
		double	   *b = guard_open(&guards[1], (size_t) (columns * stride) * sizeof(double));

		for (int64_t i = 0; i < n; i++)
			for (int64_t j = 0; j < n; j++)
			{
				double		sum = i == j ? 1 : 0;

				for (int64_t l = 0; l < n; l++)
					sum += (double) random[l * n + i] * random[l * n + j];
				a[i * stride + j] = sum;
				/* the lower triangle is not to be read */
				u[i * stride + j] = j >= i ? sum : NAN;
			}
		for (int r = 0; r < columns; r++)
			for (int64_t i = 0; i < n; i++)
				x[r * stride + i] = random[n * n + r * n + i];
		for (int r = 0; r < columns; r++)
			for (int64_t i = 0; i < n; i++)
			{
				b[r * stride + i] = 0;
				for (int64_t j = 0; j < n; j++)
					b[r * stride + i] += a[i * stride + j] * x[r * stride + j];
			}
		CHECK_STATUS(&context, device.dpotrf(&context, n, u, stride), PM_OK);
		CHECK_CLOSE(u[0], sqrt(a[0]), 1e-14, 0);
		CHECK_STATUS(&context, device.dpotrs(&context, n, u, stride, columns, b, stride), PM_OK);
		for (int r = 0; r < columns; r++)
			for (int64_t i = 0; i < n; i++)
				CHECK_CLOSE(b[r * stride + i], x[r * stride + i], 1e-8, 1e-8);
		a[(n - 1) * stride + n - 1] = -1;
		CHECK_STATUS(&context, device.dpotrf(&context, n, a, stride), PM_INVALID);
		guard_close(&guards[0], "factor");
		guard_close(&guards[1], "solutions");
		free(random);
		free(a);
		free(x);
	}
	CHECK_STATUS(&context, device.dpotrf(&context, 0, NULL, 1), PM_OK);
}

/* What a parallel_for saw. */
typedef struct Seen
{
	pthread_t	caller;
	int			times[1000];
	int			bad_lanes;
	int			open_signals;	/* on threads that are not the caller */
} Seen;

static void
see(int64_t index, int lane, void *argument)
{
	Seen	   *seen = argument;
	sigset_t	mask;

	__atomic_add_fetch(&seen->times[index], 1, __ATOMIC_SEQ_CST);
	if (lane < 0 || lane >= context.threads)
		__atomic_add_fetch(&seen->bad_lanes, 1, __ATOMIC_SEQ_CST);
	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	if (!pthread_equal(pthread_self(), seen->caller) &&
		(!sigismember(&mask, SIGINT) || !sigismember(&mask, SIGTERM) ||
		 !sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGALRM)))
		__atomic_add_fetch(&seen->open_signals, 1, __ATOMIC_SEQ_CST);
}

static void
test_parallel_for(void)
{
	for (int threads = 1; threads <= 4; threads++)
		for (int count = 0; count <= 1000; count += 333)
		{
			Seen		seen;
			sigset_t	mask;

			memset(&seen, 0, sizeof(seen));
			seen.caller = pthread_self();
			context.threads = threads;
			device.parallel_for(&context, count, see, &seen);
			for (int i = 0; i < 1000; i++)
				if (seen.times[i] != (i < count))
					TEST_FAIL("%d threads, index %d of %d ran %d times", threads, i, count,
							  seen.times[i]);
			CHECK_INT(seen.bad_lanes, 0);
			CHECK_INT(seen.open_signals, 0);
			pthread_sigmask(SIG_BLOCK, NULL, &mask);
			CHECK(!sigismember(&mask, SIGINT) && !sigismember(&mask, SIGUSR1));
		}
}

static void
test_memory(void)
{
	static const char text[] = "seventeen letters";
	char		copy[18] = "";
	PmBuffer	buffer;

	CHECK_STATUS(&context, device.allocate(&context, 100, &buffer), PM_OK);
	CHECK(buffer.bytes >= 100);
	device.release(&context, &buffer);
	CHECK_STATUS(&context, device.upload(&context, text, sizeof(text), &buffer), PM_OK);
	CHECK_STATUS(&context, device.download(&context, &buffer, 5, copy, 13), PM_OK);
	CHECK_TEXT(copy, text + 5);
	CHECK_STATUS(&context, device.download(&context, &buffer, 10, copy, 9), PM_INVALID);
	device.release(&context, &buffer);
	device.release(&context, &buffer);
	CHECK_INT(pm_arena_used(context.arena), 0);
}

static void
test_describe(void)
{
	PmDeviceInfo info;

	memset(&info, POISON_BYTE, sizeof(info));
	device.describe(&device, &info);
	CHECK(memchr(info.model, 0, sizeof(info.model)) != NULL && info.model[0] != '\0');
	CHECK(memchr(info.features, 0, sizeof(info.features)) != NULL);
	CHECK(strncmp(info.features, isa, strlen(isa)) == 0);
	CHECK(info.units >= 1);
	CHECK_INT(device.api_version, PM_DEVICE_API_VERSION);
	CHECK_INT(device.table_size, sizeof(PmDevice));
	CHECK_TEXT(device.name, "cpu");
	printf("%s: %s, %d CPUs\n", info.model, info.features, info.units);
}

/* An instruction set that does not exist is an error that names it. */
static void
test_unknown_isa(void)
{
	PmDevice	other;
	char		message[PM_MESSAGE_SIZE] = "";

	setenv("PRECMKT_CPU_ISA", "abacus", 1);
	CHECK(pm_device_open(&other, message, sizeof(message)) == PM_UNSUPPORTED);
	CHECK(strstr(message, "abacus") != NULL);
}

int
main(void)
{
	static const char *const names[] = {"generic", "avx2", "avx512", "avx512bf16"};

	reference_device(&reference);
	context.arena = pm_arena_create(&pm_malloc_allocator, 0);
	context.device = &device;
	TEST(test_unknown_isa);
	for (int i = 0; i < 4; i++)
	{
		char		message[PM_MESSAGE_SIZE];

		isa = names[i];
		setenv("PRECMKT_CPU_ISA", isa, 1);
		if (pm_device_open(&device, message, sizeof(message)) != PM_OK)
		{
			printf("SKIP %s: %s\n", isa, message);
			continue;
		}
		TEST(test_describe);
		TEST(test_nearest_centroid);
		TEST(test_lloyd);
		TEST(test_lloyd_bounds);
		TEST(test_lloyd_memory);
		TEST(test_no_memory);
		TEST(test_memory);
		if (i > 0)
			continue;
		/* the same code for all of them */
		TEST(test_parallel_for);
		TEST(test_sgemm);
		TEST(test_ssyrk);
		TEST(test_cholesky);
	}
	pm_arena_destroy(context.arena);
	return test_report();
}
