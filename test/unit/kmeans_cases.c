/*
 * kmeans_cases.c
 *		See kmeans_cases.h.
 */
#include "kmeans_cases.h"

#include "reference_device.h"

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

Rows
rows_new(int64_t n, int d, bool weights, bool truth)
{
	Rows		rows;

	memset(&rows, 0, sizeof(rows));
	rows.x = zeros((size_t) n * d, sizeof(float));
	if (weights)
		rows.weights = zeros((size_t) n, sizeof(float));
	if (truth)
		rows.truth = zeros((size_t) n, sizeof(int32_t));
	rows.rows = (PmKMeansRows) {rows.x, rows.weights, n, d};
	return rows;
}

void
rows_free(Rows *rows)
{
	free(rows->x);
	free(rows->weights);
	free(rows->truth);
	memset(rows, 0, sizeof(*rows));
}

/* Box and Muller 1958. */
double
random_normal(PmRng *rng)
{
	double		radius = sqrt(-2 * log(1 - pm_rng_uniform(rng)));

	return radius * cos(2 * acos(-1.0) * pm_rng_uniform(rng));
}

Rows
rows_normal(int64_t n, int d, bool weights, uint64_t seed)
{
	Rows		rows = rows_new(n, d, weights, false);
	PmRng		rng;

	pm_rng_seed(&rng, seed, 100);
	for (int64_t i = 0; i < n * d; i++)
		rows.x[i] = (float) random_normal(&rng);
	for (int64_t i = 0; weights && i < n; i++)
		rows.weights[i] = (float) (1 + pm_rng_below(&rng, 5));
	return rows;
}

Rows
rows_planted(int64_t n, int d, int k, double spread, uint64_t seed)
{
	Rows		rows = rows_new(n, d, false, true);
	PmRng		rng;

	pm_rng_seed(&rng, seed, 101);
	for (int64_t i = 0; i < n; i++)
	{
		int			cluster = (int) pm_rng_below(&rng, (uint64_t) k);
		int			digits = cluster;

		rows.truth[i] = cluster;
		for (int j = 0; j < d; j++, digits /= 4)
			rows.x[i * d + j] = (float) (spread * (digits % 4) +
										 random_normal(&rng));
	}
	return rows;
}

Rows
rows_repeated(const Rows *rows)
{
	int			d = rows->rows.d;
	int64_t		n = 0;
	Rows		repeated;

	for (int64_t i = 0; i < rows->rows.n; i++)
		n += (int64_t) rows->weights[i];
	repeated = rows_new(n, d, false, true);
	n = 0;
	for (int64_t i = 0; i < rows->rows.n; i++)
		for (int copy = 0; copy < (int) rows->weights[i]; copy++, n++)
		{
			memcpy(repeated.x + n * d, rows->x + i * d, sizeof(float) * d);
			repeated.truth[n] = (int32_t) i;	/* the row it is a copy of */
		}
	return repeated;
}

PmKMeansOptions
kmeans_options(int k)
{
	PmKMeansOptions options = {
		k, PM_INIT_KMEANSPP, 1, 300, 0, 1, PM_METRIC_EUCLIDEAN
	};

	return options;
}

/* Pairs of things. */
static double
pairs(double count)
{
	return count * (count - 1) / 2;
}

double
adjusted_rand(const int32_t *a, const int32_t *b, int64_t n)
{
	int32_t		most_a = 0;
	int32_t		most_b = 0;
	double	   *table;
	double		both = 0;
	double		in_a = 0;
	double		in_b = 0;
	double		expected;

	for (int64_t i = 0; i < n; i++)
	{
		most_a = a[i] > most_a ? a[i] : most_a;
		most_b = b[i] > most_b ? b[i] : most_b;
	}
	table = zeros((size_t) (most_a + 1) * (most_b + 1), sizeof(double));
	for (int64_t i = 0; i < n; i++)
		table[a[i] * (most_b + 1) + b[i]]++;
	for (int i = 0; i <= most_a; i++)
	{
		double		row = 0;

		for (int j = 0; j <= most_b; j++)
		{
			row += table[i * (most_b + 1) + j];
			both += pairs(table[i * (most_b + 1) + j]);
		}
		in_a += pairs(row);
	}
	for (int j = 0; j <= most_b; j++)
	{
		double		column = 0;

		for (int i = 0; i <= most_a; i++)
			column += table[i * (most_b + 1) + j];
		in_b += pairs(column);
	}
	free(table);
	expected = in_a * in_b / pairs((double) n);
	return (both - expected) / ((in_a + in_b) / 2 - expected);
}

bool
same_partition(const int32_t *a, const int32_t *b, int64_t n)
{
	int32_t		to_b[1000];
	int32_t		to_a[1000];

	for (int c = 0; c < 1000; c++)
		to_b[c] = to_a[c] = -1;
	for (int64_t i = 0; i < n; i++)
	{
		if (a[i] < 0 || a[i] >= 1000 || b[i] < 0 || b[i] >= 1000)
			return false;
		if (to_b[a[i]] < 0 && to_a[b[i]] < 0)
		{
			to_b[a[i]] = b[i];
			to_a[b[i]] = a[i];
		}
		if (to_b[a[i]] != b[i] || to_a[b[i]] != a[i])
			return false;
	}
	return true;
}

double
distance_of(const PmKMeansRows *rows, int64_t i, const float *centroid)
{
	double		sum = 0;

	for (int j = 0; j < rows->d; j++)
	{
		double		difference = (double) rows->x[i * rows->d + j] - centroid[j];

		sum += difference * difference;
	}
	return sum;
}

double
inertia_of(const PmKMeansRows *rows, const float *centroids,
		   const int32_t *labels)
{
	double		sum = 0;

	for (int64_t i = 0; i < rows->n; i++)
		sum += (rows->weights == NULL ? 1 : rows->weights[i]) *
			distance_of(rows, i, centroids + (size_t) labels[i] * rows->d);
	return sum;
}

bool
same_fit(const PmKMeansFit *a, const PmKMeansFit *b, int64_t n)
{
	size_t		k = (size_t) a->k;

	return a->k == b->k && a->d == b->d &&
		memcmp(a->centroids, b->centroids, k * a->d * sizeof(float)) == 0 &&
		memcmp(a->weights, b->weights, k * sizeof(double)) == 0 &&
		memcmp(a->counts, b->counts, k * sizeof(int64_t)) == 0 &&
		memcmp(a->radius, b->radius, k * sizeof(double)) == 0 &&
		memcmp(a->labels, b->labels, (size_t) n * sizeof(int32_t)) == 0 &&
		memcmp(&a->inertia, &b->inertia, sizeof(double)) == 0 &&
		a->iterations == b->iterations && a->converged == b->converged &&
		a->empty_refilled == b->empty_refilled;
}

/* Is any label not its nearest centroid, but for rounding? */
static const char *
label_defect(const PmKMeansRows *rows, const PmKMeansFit *fit)
{
	for (int64_t i = 0; i < rows->n; i++)
	{
		double		own;

		if (fit->labels[i] < 0 || fit->labels[i] >= fit->k)
			return "a label is out of range";
		own = distance_of(rows, i, fit->centroids + fit->labels[i] * fit->d);
		for (int c = 0; c < fit->k; c++)
			if (distance_of(rows, i, fit->centroids + c * fit->d) <
				own * (1 - 1e-6))
				return "a label is not the nearest centroid";
	}
	return NULL;
}

/* Does one cluster's summary not fit its rows? */
static const char *
cluster_defect(const PmKMeansRows *rows, const PmKMeansFit *fit, int c)
{
	double		weight = 0;
	double		squares = 0;
	int64_t		count = 0;

	for (int64_t i = 0; i < rows->n; i++)
		if (fit->labels[i] == c)
		{
			double		w = rows->weights == NULL ? 1 : rows->weights[i];

			weight += w;
			squares += w * distance_of(rows, i, fit->centroids + c * fit->d);
			count++;
		}
	if (fit->counts[c] != count)
		return "a count is wrong";
	if (!(fabs(fit->weights[c] - weight) <= 1e-12 * weight))
		return "a weight is wrong";
	if (count == 0 ? fit->radius[c] != 0 :
		!(fabs(fit->radius[c] - sqrt(squares / weight)) <= 1e-9 * fit->radius[c]))
		return "a radius is wrong";
	if (c > 0 && fit->weights[c] > fit->weights[c - 1])
		return "clusters are not sorted by weight";
	for (int j = 0; j < fit->d; j++)
		if (!isfinite(fit->centroids[c * fit->d + j]))
			return "a centroid is not finite";
	return NULL;
}

const char *
fit_defect(const PmKMeansRows *rows, const PmKMeansFit *fit)
{
	const char *defect = label_defect(rows, fit);
	double		inertia;

	for (int c = 0; defect == NULL && c < fit->k; c++)
		defect = cluster_defect(rows, fit, c);
	if (defect != NULL)
		return defect;
	inertia = inertia_of(rows, fit->centroids, fit->labels);
	if (!(fabs(fit->inertia - inertia) <= 1e-9 * inertia))
		return "the inertia is wrong";
	return NULL;
}

#ifdef HAVE_CPU_DEVICE
extern PmStatus pm_device_open(PmDevice *device, char *message,
							   size_t message_size);
#endif

int
test_devices(PmDevice *devices, int most)
{
	int			count = 0;

	if (count < most)
		reference_device(&devices[count++]);
#ifdef HAVE_CPU_DEVICE
	if (count < most)
	{
		char		message[PM_MESSAGE_SIZE] = "";

		if (pm_device_open(&devices[count], message, sizeof(message)) != PM_OK)
		{
			printf("the CPU device does not open: %s\n", message);
			exit(2);
		}
		count++;
	}
#else
	printf("SKIP the CPU device: it is not built\n");
#endif
	return count;
}
