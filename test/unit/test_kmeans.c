/*
 * test_kmeans.c
 *		What k-means finds: closed forms, scikit-learn's results, published
 *		figures, planted clusters, brute force.
 *
 * Every test runs on each device.  test_kmeans_faults.c has the rest: bad
 * input, odd shapes, cancelling, failing, memory, threads.
 */
#include "test.h"

#include "golden/kmeans.h"
#include "kmeans_cases.h"
#include "kmeans_internal.h"

#include <stdlib.h>

static PmDevice *device;

/* Fit on the current device with an arena of its own. */
#define FIT(rows_, options_, initial_, fit_) \
	do { \
		fault_context(&ctx, device, 0, 2, NULL); \
		CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &(rows_).rows, options_, \
										 initial_, fit_), PM_OK); \
		if (test_bad_checks > 0) \
			return; \
	} while (0)

/* Check a fit against the naive measures, then give it back. */
#define CHECK_FIT(rows_, fit_) \
	do { \
		const char *defect = fit_defect(&(rows_).rows, fit_); \
		CHECK_CASE(defect == NULL, "%s", defect); \
	} while (0)

/* Four points on a line: everything by hand. */
static void
four_points(void)
{
	static const float values[] = {11, 0, 10, 1};
	PmKMeansOptions options = kmeans_options(2);
	Rows		rows = rows_new(4, 1, false, false);
	PmContext	ctx;
	PmKMeansFit fit;
	PmKMeansQuality quality;

	memcpy(rows.x, values, sizeof(values));
	options.n_init = 3;
	FIT(rows, &options, NULL, &fit);
	CHECK_FIT(rows, &fit);
	/* equal weights: the smaller centroid comes first */
	CHECK_CLOSE(fit.centroids[0], 0.5, 0, 0);
	CHECK_CLOSE(fit.centroids[1], 10.5, 0, 0);
	CHECK_CLOSE(fit.inertia, 1, 0, 0);
	CHECK_CLOSE(fit.radius[0], 0.5, 0, 0);
	CHECK_INT(fit.counts[1], 2);
	CHECK(fit.converged);
	CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &rows.rows, &fit, &quality), PM_OK);
	CHECK_CLOSE(quality.silhouette, (10 / 10.5 + 9 / 9.5) / 2, 1e-6, 0);
	CHECK_CLOSE(quality.davies_bouldin, 0.1, 1e-12, 0);
	CHECK_CLOSE(quality.calinski_harabasz, 200, 1e-12, 0);
	CHECK_CLOSE(quality.inertia, 1, 0, 0);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* One cluster: the weighted mean and the sum of squares around it. */
static void
one_cluster(void)
{
	PmKMeansOptions options = kmeans_options(1);
	Rows		rows = rows_normal(1000, 3, true, 5);
	double		mean[3] = {0, 0, 0};
	double		weight = 0;
	PmContext	ctx;
	PmKMeansFit fit;
	PmKMeansQuality quality;

	for (int i = 0; i < 1000; i++)
		weight += rows.weights[i];
	for (int i = 0; i < 3000; i++)
		mean[i % 3] += rows.weights[i / 3] * rows.x[i] / weight;
	FIT(rows, &options, NULL, &fit);
	CHECK_FIT(rows, &fit);
	for (int j = 0; j < 3; j++)
		CHECK_CLOSE(fit.centroids[j], mean[j], 1e-6, 1e-7);
	CHECK_CLOSE(fit.weights[0], weight, 1e-12, 0);
	CHECK(fit.converged);
	CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &rows.rows, &fit, &quality), PM_OK);
	CHECK(isnan(quality.silhouette));
	CHECK(isnan(quality.davies_bouldin));
	CHECK(isnan(quality.calinski_harabasz));
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* The rows of golden/kmeans.h. */
static Rows
golden_rows(const Golden *golden)
{
	Rows		rows = rows_new(GOLDEN_N, GOLDEN_D, golden == &weighted, false);

	for (int i = 0; i < GOLDEN_N * GOLDEN_D; i++)
		rows.x[i] = (float) golden_x[i] / 1024;
	for (int i = 0; golden == &weighted && i < GOLDEN_N; i++)
		rows.weights[i] = (float) golden_weights[i];
	return rows;
}

/* The digits of a text as labels. */
static void
read_labels(const char *text, int32_t *labels)
{
	for (int i = 0; text[i] != '\0'; i++)
		labels[i] = text[i] - '0';
}

/* Compare the fit after `iterations` of a golden start. */
static void
compare_iteration(const Golden *golden, Rows *rows, const float *start,
				  int iterations)
{
	PmKMeansOptions options = kmeans_options(GOLDEN_K);
	int32_t		labels[GOLDEN_N];
	PmContext	ctx;
	PmKMeansFit fit;

	options.max_iter = iterations;
	FIT(*rows, &options, start, &fit);
	read_labels(golden->labels[iterations - 1], labels);
	CHECK_CASE(same_partition(fit.labels, labels, GOLDEN_N),
			   "%s, iteration %d", golden->name, iterations);
	CHECK_CASE(test_close(fit.inertia, golden->inertia[iterations - 1], 1e-6, 0),
			   "%s, iteration %d: %.17g, not %.17g", golden->name, iterations,
			   fit.inertia, golden->inertia[iterations - 1]);
	CHECK_FIT(*rows, &fit);
	CHECK_INT(fit.converged, iterations >= golden->iterations - 1);
	pm_arena_destroy(ctx.arena);
}

/* The iterations, their number under three tolerances, and the indexes. */
static void
compare_golden(const Golden *golden)
{
	static const double tolerances[] = {1e-2, 1e-3, 1e-4};
	PmKMeansOptions options = kmeans_options(GOLDEN_K);
	Rows		rows = golden_rows(golden);
	float		start[GOLDEN_K * GOLDEN_D];
	PmContext	ctx;
	PmKMeansFit fit;
	PmKMeansQuality quality;

	for (int i = 0; i < GOLDEN_K * GOLDEN_D; i++)
		start[i] = (float) golden->start[i] / 1024;
	for (int i = 1; i <= golden->count && test_bad_checks == 0; i++)
		compare_iteration(golden, &rows, start, i);
	for (int t = 0; t < 3; t++)
	{
		options.tol = tolerances[t];
		FIT(rows, &options, start, &fit);
		CHECK_CASE(fit.iterations == golden->by_tol[t],
				   "%s, tol %g: %d iterations, not %d", golden->name,
				   options.tol, fit.iterations, golden->by_tol[t]);
		CHECK(fit.converged);
		pm_arena_destroy(ctx.arena);
	}
	options.tol = 0;
	FIT(rows, &options, start, &fit);
	CHECK_INT(fit.iterations, golden->iterations);
	CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &rows.rows, &fit, &quality), PM_OK);
	CHECK_CLOSE(quality.davies_bouldin, golden->davies_bouldin, 1e-6, 0);
	CHECK_CLOSE(quality.calinski_harabasz, golden->calinski_harabasz, 1e-6, 0);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

static void
sklearn_iterations(void)
{
	compare_golden(&plain);
}

static void
sklearn_weighted(void)
{
	compare_golden(&weighted);
}

static void
sklearn_empty_cluster(void)
{
	compare_golden(&one_empty);
}

static void
sklearn_two_empty_clusters(void)
{
	compare_golden(&two_empty);
}

/* The tests' own index, against sklearn.metrics.adjusted_rand_score. */
static void
adjusted_rand_is_sklearns(void)
{
	int32_t		a[60];
	int32_t		b[60];

	read_labels(GOLDEN_ARI_A, a);
	read_labels(GOLDEN_ARI_B, b);
	CHECK_CLOSE(adjusted_rand(a, b, 60), GOLDEN_ARI, 1e-12, 0);
}

/* One of the S-sets, with its coordinates less their mean. */
static bool
read_s_set(const char *name, Rows *rows)
{
	const char *folder = getenv("PRECMKT_DATA");
	char		command[4096];
	char		line[200];
	double		mean[2] = {0, 0};
	int			n = 0;
	FILE	   *file;

	if (folder == NULL)
		folder = "../shared/data";
	snprintf(command, sizeof(command),
			 "test -r '%s/s_sets.csv.gz' && gzip -dc '%s/s_sets.csv.gz'",
			 folder, folder);
	file = popen(command, "r");
	*rows = rows_new(5000, 2, false, true);
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
	{
		char		set[10];
		double		x;
		double		y;
		int			truth;

		if (sscanf(line, "%9[^,],%lf,%lf,%d", set, &x, &y, &truth) != 4 ||
			strcmp(set, name) != 0 || n == 5000)
			continue;
		rows->x[2 * n] = (float) x;
		rows->x[2 * n + 1] = (float) y;
		rows->truth[n++] = truth;
	}
	if (file != NULL)
		pclose(file);
	for (int i = 0; i < 10000; i++)
		mean[i % 2] += rows->x[i] / 5000.0;
	for (int i = 0; i < 10000; i++)
		rows->x[i] = (float) (rows->x[i] - mean[i % 2]);
	return n == 5000;
}

/*
 * S1 to S4 (Franti and Virmajoki 2006), with the best known sums of squared
 * errors and, for that partition, the adjusted Rand index with the truth:
 * ../shared/data/README.md.
 */
static void
s_sets(void)
{
	static const char *const names[] = {"s1", "s2", "s3", "s4"};
	static const double best[] = {8.917616e12, 1.327911e13, 1.688960e13, 1.570333e13};
	static const double index[] = {0.9868, 0.9371};
	PmKMeansOptions options = kmeans_options(15);

	options.n_init = 10;
	options.tol = 1e-4;
	for (int set = 0; set < 4; set++)
	{
		Rows		rows;
		PmContext	ctx;
		PmKMeansFit fit;

		if (!read_s_set(names[set], &rows))
		{
			rows_free(&rows);
			SKIP("s_sets.csv.gz is not in PRECMKT_DATA");
		}
		FIT(rows, &options, NULL, &fit);
		CHECK_CASE(fit.inertia < best[set] * 1.001, "%s: %.7g, best known %.7g",
				   names[set], fit.inertia, best[set]);
		CHECK_CASE(fit.inertia > best[set] * (1 - 1e-6), "%s: %.7g, best known %.7g",
				   names[set], fit.inertia, best[set]);
		if (set < 2)
			CHECK_CLOSE(adjusted_rand(fit.labels, rows.truth, 5000), index[set], 0, 0.002);
		CHECK_FIT(rows, &fit);
		pm_arena_destroy(ctx.arena);
		rows_free(&rows);
	}
}

/* More iterations never make it worse. */
static void
inertia_falls(void)
{
	for (int metric = PM_METRIC_EUCLIDEAN; metric <= PM_METRIC_COSINE; metric++)
	{
		PmKMeansOptions options = kmeans_options(12);
		Rows		rows = rows_normal(2000, 7, true, 3);
		double		before = INFINITY;

		options.metric = metric;
		options.init = PM_INIT_RANDOM;
		if (metric == PM_METRIC_COSINE)
			pm_kmeans_normalise(rows.x, 2000, 7);
		for (int iterations = 1; iterations < 40; iterations++)
		{
			PmContext	ctx;
			PmKMeansFit fit;

			options.max_iter = iterations;
			FIT(rows, &options, NULL, &fit);
			CHECK_CASE(fit.inertia <= before * (1 + 1e-7),
					   "metric %d, iteration %d: %.17g after %.17g", metric,
					   iterations, fit.inertia, before);
			before = fit.inertia;
			CHECK_FIT(rows, &fit);
			pm_arena_destroy(ctx.arena);
		}
		rows_free(&rows);
	}
}

/* Well separated clusters are found from every careful start. */
static void
planted_clusters(void)
{
	static const PmKMeansInit inits[] = {PM_INIT_KMEANSPP, PM_INIT_KMEANS_PARALLEL};

	for (int i = 0; i < 2; i++)
		for (uint64_t seed = 0; seed < 3; seed++)
		{
			PmKMeansOptions options = kmeans_options(20);
			Rows		rows = rows_planted(4000, 6, 20, 12, seed);
			PmContext	ctx;
			PmKMeansFit fit;
			double		index;

			options.init = inits[i];
			options.seed = seed;
			options.n_init = 3;
			FIT(rows, &options, NULL, &fit);
			index = adjusted_rand(fit.labels, rows.truth, 4000);
			CHECK_CASE(index > 0.99, "init %d, seed %d: %g", (int) inits[i],
					   (int) seed, index);
			CHECK_FIT(rows, &fit);
			pm_arena_destroy(ctx.arena);
			rows_free(&rows);
		}
}

/* Random rows find them too, given enough starts for three clusters. */
static void
planted_from_random_rows(void)
{
	PmKMeansOptions options = kmeans_options(3);
	Rows		rows = rows_planted(3000, 2, 3, 15, 8);
	PmContext	ctx;
	PmKMeansFit fit;

	options.init = PM_INIT_RANDOM;
	options.n_init = 20;
	FIT(rows, &options, NULL, &fit);
	CHECK(adjusted_rand(fit.labels, rows.truth, 3000) > 0.99);
	CHECK_FIT(rows, &fit);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* When k-means++ samples, and that a sample is good enough. */
static void
sampled_seeding(void)
{
	PmKMeansOptions options = kmeans_options(100);
	Rows		rows = rows_planted(200000, 10, 100, 12, 4);
	PmContext	ctx;
	PmKMeansFit fit;

	CHECK_INT(pm_kmeans_trials(1), 2);
	CHECK_INT(pm_kmeans_trials(15), 4);
	CHECK_INT(pm_kmeans_trials(100), 6);
	CHECK_INT(pm_kmeans_seed_rows(5000, 2, 15), 5000);
	CHECK_INT(pm_kmeans_seed_rows(62500, 8, 10), 62500);
	CHECK_INT(pm_kmeans_seed_rows(2000000, 8, 10), 62500);
	CHECK_INT(pm_kmeans_seed_rows(200000, 10, 100), 20000);
	CHECK_INT(pm_kmeans_seed_rows(1000000, 128, 4096), 81920);
	CHECK_INT(pm_kmeans_seed_rows(70000, 1000, 4096), 70000);
	if (strcmp(device->name, "reference") == 0)
		options.max_iter = 1;
	FIT(rows, &options, NULL, &fit);
	/* one start may miss one of a hundred clusters, not more */
	CHECK(adjusted_rand(fit.labels, rows.truth, 200000) > 0.98);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* Weights are repeated rows: same start, same clusters. */
static void
weights_are_repeats(void)
{
	PmKMeansOptions options = kmeans_options(8);
	Rows		rows = rows_normal(900, 4, true, 21);
	Rows		repeated = rows_repeated(&rows);
	float		start[32];
	PmContext	ctx;
	PmContext	other;
	PmKMeansFit fit;
	PmKMeansFit again;
	PmKMeansQuality quality;
	PmKMeansQuality repeats;

	memcpy(start, rows.x, sizeof(start));
	FIT(rows, &options, start, &fit);
	other = ctx;
	FIT(repeated, &options, start, &again);
	CHECK_INT(fit.iterations, again.iterations);
	CHECK_CLOSE(fit.inertia, again.inertia, 1e-9, 0);
	for (int i = 0; i < 32; i++)
		CHECK_CLOSE(fit.centroids[i], again.centroids[i], 1e-6, 1e-7);
	for (int c = 0; c < 8; c++)
	{
		CHECK_CLOSE(fit.weights[c], again.weights[c], 0, 0);
		CHECK_CLOSE(fit.radius[c], again.radius[c], 1e-6, 0);
	}
	for (int64_t i = 0; i < repeated.rows.n; i++)
		if (again.labels[i] != fit.labels[repeated.truth[i]])
			TEST_FAIL("row %d has another label", (int) i);
	CHECK_STATUS(&other, pm_kmeans_quality(&other, &rows.rows, &fit, &quality), PM_OK);
	CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &repeated.rows, &again, &repeats), PM_OK);
	CHECK_CLOSE(quality.silhouette, repeats.silhouette, 1e-6, 0);
	CHECK_CLOSE(quality.davies_bouldin, repeats.davies_bouldin, 1e-6, 0);
	CHECK_CLOSE(quality.calinski_harabasz, repeats.calinski_harabasz, 1e-6, 0);
	pm_arena_destroy(other.arena);
	pm_arena_destroy(ctx.arena);
	rows_free(&repeated);
	rows_free(&rows);
}

/* The simplified silhouette, written out. */
static double
naive_silhouette(const PmKMeansRows *rows, const PmKMeansFit *fit)
{
	double		sum = 0;

	for (int64_t i = 0; i < rows->n; i++)
	{
		double		own = sqrt(distance_of(rows, i, fit->centroids + fit->labels[i] * fit->d));
		double		other = INFINITY;

		for (int c = 0; c < fit->k; c++)
			if (c != fit->labels[i])
				other = fmin(other, sqrt(distance_of(rows, i, fit->centroids + c * fit->d)));
		sum += (other - own) / fmax(own, other);
	}
	return sum / (double) rows->n;
}

/* Silhouettes, and indexes where every row is a cluster. */
static void
silhouettes(void)
{
	PmKMeansOptions options = kmeans_options(9);
	Rows		rows = rows_normal(3000, 5, false, 2);
	PmContext	ctx;
	PmKMeansFit fit;
	PmKMeansQuality quality;

	FIT(rows, &options, NULL, &fit);
	CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &rows.rows, &fit, &quality), PM_OK);
	CHECK_CLOSE(quality.silhouette, naive_silhouette(&rows.rows, &fit), 1e-5, 0);
	pm_kmeans_release(&ctx, &fit);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);

	rows.rows.n = options.k = 20;
	FIT(rows, &options, NULL, &fit);
	CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &rows.rows, &fit, &quality), PM_OK);
	CHECK_CLOSE(quality.silhouette, 0, 0, 0);
	CHECK_CLOSE(quality.davies_bouldin, 0, 0, 0);
	CHECK(isnan(quality.calinski_harabasz));
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* The centroid of largest cosine to a row. */
static int
naive_cosine_label(const Rows *rows, int i, const double *centroids, int k)
{
	int			d = rows->rows.d;
	double		best = -INFINITY;
	int			label = 0;

	for (int c = 0; c < k; c++)
	{
		double		cosine = 0;

		for (int j = 0; j < d; j++)
			cosine += centroids[c * d + j] * rows->x[i * d + j];
		if (cosine > best)
		{
			best = cosine;
			label = c;
		}
	}
	return label;
}

/* Spherical k-means by its definition (Dhillon and Modha 2001). */
static void
naive_spherical(const Rows *rows, double *centroids, int k, int32_t *labels)
{
	int			d = rows->rows.d;

	for (bool moved = true; moved;)
	{
		double		sums[64] = {0};

		moved = false;
		for (int i = 0; i < rows->rows.n; i++)
		{
			int			label = naive_cosine_label(rows, i, centroids, k);

			moved = moved || label != labels[i];
			labels[i] = label;
			for (int j = 0; j < d; j++)
				sums[label * d + j] += rows->weights[i] * rows->x[i * d + j];
		}
		for (int c = 0; c < k; c++)
		{
			double		square = 0;

			for (int j = 0; j < d; j++)
				square += sums[c * d + j] * sums[c * d + j];
			for (int j = 0; j < d; j++)
				centroids[c * d + j] = sums[c * d + j] / sqrt(square);
		}
	}
}

/* Cosine k-means does what its definition says. */
static void
cosine_is_spherical(void)
{
	PmKMeansOptions options = kmeans_options(6);
	Rows		rows = rows_normal(1500, 8, true, 12);
	double		centroids[48];
	float		start[48];
	int32_t		labels[1500];
	PmContext	ctx;
	PmKMeansFit fit;

	options.metric = PM_METRIC_COSINE;
	pm_kmeans_normalise(rows.x, 1500, 8);
	memcpy(start, rows.x, sizeof(start));
	for (int i = 0; i < 48; i++)
	{
		centroids[i] = start[i];
		start[i] *= 3;			/* a start is brought to length 1 */
	}
	memset(labels, 0xff, sizeof(labels));
	naive_spherical(&rows, centroids, 6, labels);
	FIT(rows, &options, start, &fit);
	CHECK(same_partition(fit.labels, labels, 1500));
	CHECK_FIT(rows, &fit);
	for (int i = 0; i < 1500; i++)
		for (int j = 0; j < 8; j++)
			if (!test_close(fit.centroids[fit.labels[i] * 8 + j],
							centroids[labels[i] * 8 + j], 1e-5, 1e-6))
				TEST_FAIL("row %d has another centroid", i);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* Opposite rows have no mean direction: the centroid stays. */
static void
cosine_without_direction(void)
{
	static const float values[] = {1, 0, -1, 0, 0, 1, 0, -1};
	static const float start[] = {0, 2};
	PmKMeansOptions options = kmeans_options(1);
	Rows		rows = rows_new(4, 2, false, false);
	PmContext	ctx;
	PmKMeansFit fit;

	memcpy(rows.x, values, sizeof(values));
	options.metric = PM_METRIC_COSINE;
	FIT(rows, &options, start, &fit);
	CHECK_CLOSE(fit.centroids[0], 0, 0, 0);
	CHECK_CLOSE(fit.centroids[1], 1, 0, 0);
	CHECK_CLOSE(fit.inertia, 2 + 2 + 0 + 4, 1e-12, 0);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* Rows are brought to length 1; a row of length 0 stays. */
static void
normalise_rows(void)
{
	float		x[] = {3, 4, 0, 0, 1e-30f, 0, -3e30f, 4e30f};

	pm_kmeans_normalise(x, 4, 2);
	CHECK_CLOSE(x[0], 0.6, 1e-7, 0);
	CHECK_CLOSE(x[1], 0.8, 1e-7, 0);
	CHECK_CLOSE(x[2], 0, 0, 0);
	CHECK_CLOSE(x[4], 1, 0, 0);
	CHECK_CLOSE(x[6], -0.6, 1e-7, 0);
	CHECK_CLOSE(x[7], 0.8, 1e-7, 0);
}

/* More runs are never worse, and a run that was not the last is kept. */
static void
runs_keep_the_best(void)
{
	Rows		rows = rows_normal(1200, 3, true, 77);
	double		before = INFINITY;

	for (int n_init = 1; n_init <= 12; n_init++)
	{
		PmKMeansOptions options = kmeans_options(25);
		PmContext	ctx;
		PmKMeansFit fit;

		options.init = PM_INIT_RANDOM;
		options.n_init = n_init;
		FIT(rows, &options, NULL, &fit);
		CHECK(fit.inertia <= before * (1 + 1e-9));
		before = fit.inertia;
		CHECK_FIT(rows, &fit);
		pm_arena_destroy(ctx.arena);
	}
	rows_free(&rows);
}

int
main(void)
{
	PmDevice	devices[2];
	int			count = test_devices(devices, 2);

	TEST(adjusted_rand_is_sklearns);
	TEST(normalise_rows);
	for (int i = 0; i < count; i++)
	{
		device = &devices[i];
		printf("on the %s device\n", device->name);
		TEST(four_points);
		TEST(one_cluster);
		TEST(sklearn_iterations);
		TEST(sklearn_weighted);
		TEST(sklearn_empty_cluster);
		TEST(sklearn_two_empty_clusters);
		TEST(s_sets);
		TEST(inertia_falls);
		TEST(planted_clusters);
		TEST(planted_from_random_rows);
		TEST(sampled_seeding);
		TEST(weights_are_repeats);
		TEST(silhouettes);
		TEST(cosine_is_spherical);
		TEST(cosine_without_direction);
		TEST(runs_keep_the_best);
	}
	return test_report();
}
