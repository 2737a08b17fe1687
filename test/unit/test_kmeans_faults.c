/*
 * test_kmeans_faults.c
 *		k-means under bad input, odd shapes, cancelling, failing devices,
 *		little memory, and any number of threads.
 *
 * Every test runs on each device.
 */
#include "test.h"

#include "kmeans_cases.h"
#include "kmeans_internal.h"

#include <stdlib.h>

static const PmKMeansInit inits[] = {
	PM_INIT_KMEANSPP, PM_INIT_KMEANS_PARALLEL, PM_INIT_RANDOM
};

static PmDevice *device;

/* Fit and check the outcome; the fit is given back. */
static void
fit_gives(const Rows *rows, const PmKMeansOptions *options,
		  const float *initial, PmStatus expected, const char *message)
{
	PmContext	ctx;
	PmKMeansFit fit;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows->rows, options, initial, &fit), expected);
	if (message != NULL)
		CHECK_TEXT(ctx.message, message);
	if (expected == PM_OK && test_bad_checks == 0)
	{
		const char *defect = fit_defect(&rows->rows, &fit);

		CHECK_CASE(defect == NULL, "%s", defect);
	}
	pm_kmeans_release(&ctx, &fit);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

/* Options and values that cannot be. */
static void
bad_arguments(void)
{
	Rows		rows = rows_normal(10, 2, true, 1);
	float		start[4] = {0, 0, NAN, 0};
	PmKMeansOptions options = kmeans_options(2);

	options.k = 0;
	fit_gives(&rows, &options, NULL, PM_INVALID, "k = 0 is less than 1");
	options.k = 11;
	fit_gives(&rows, &options, NULL, PM_INVALID, "k = 11 is more than the 10 rows");
	options.k = 2;
	options.n_init = 0;
	fit_gives(&rows, &options, NULL, PM_INVALID, "n_init = 0 is less than 1");
	options.n_init = 1;
	options.max_iter = 0;
	fit_gives(&rows, &options, NULL, PM_INVALID, "max_iter = 0 is less than 1");
	options.max_iter = 10;
	options.tol = NAN;
	fit_gives(&rows, &options, NULL, PM_INVALID, NULL);
	options.tol = -1;
	fit_gives(&rows, &options, NULL, PM_INVALID, "tol = -1 is less than 0");
	options.tol = 0;
	fit_gives(&rows, &options, start, PM_INVALID, NULL);
	rows.weights[3] = 0;
	fit_gives(&rows, &options, NULL, PM_INVALID, "row 4 has weight 0, which is not above 0");
	rows.weights[3] = NAN;
	fit_gives(&rows, &options, NULL, PM_INVALID, NULL);
	rows.weights[3] = 1e38f;
	rows.weights[4] = 3e38f;
	fit_gives(&rows, &options, NULL, PM_INVALID, NULL);
	rows_free(&rows);

	rows = rows_new(0, 2, false, false);
	fit_gives(&rows, &options, NULL, PM_INVALID, "k = 2 is more than the 0 rows");
	rows_free(&rows);
}

/* Values that are not finite, or whose squares would not be. */
static void
bad_values(void)
{
	static const float bad[] = {NAN, INFINITY, -INFINITY, 1e19f, -3e38f};

	for (int i = 0; i < 5; i++)
	{
		Rows		rows = rows_normal(1000, 3, false, 1);
		PmKMeansOptions options = kmeans_options(2);

		rows.x[3 * 700 + 1] = bad[i];
		fit_gives(&rows, &options, NULL, PM_INVALID, NULL);
		rows.x[3 * 700 + 1] = 1e18f;
		fit_gives(&rows, &options, NULL, PM_OK, NULL);
		rows_free(&rows);
	}
}

/* Five distinct rows, each many times; 0 and -0 are the same. */
static void
duplicates(void)
{
	Rows		rows = rows_new(1000, 2, false, false);

	for (int i = 0; i < 1000; i++)
	{
		rows.x[2 * i] = (float) (i % 5 * 10);
		rows.x[2 * i + 1] = i % 2 == 0 ? 0.0f : -0.0f;
	}
	for (int init = 0; init < 3; init++)
	{
		PmKMeansOptions options = kmeans_options(5);
		PmContext	ctx;
		PmKMeansFit fit;

		options.init = inits[init];
		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, NULL, &fit), PM_OK);
		CHECK_CLOSE(fit.inertia, 0, 0, 0);
		for (int c = 0; c < 5; c++)
			CHECK_INT(fit.counts[c], 200);
		pm_arena_destroy(ctx.arena);
		options.k = 7;
		fit_gives(&rows, &options, NULL, PM_INVALID, "k = 7 is more than the 5 distinct rows");
	}
	rows_free(&rows);
}

/* Distinct rows hidden behind many equal ones are found by every start. */
static void
rare_rows(void)
{
	Rows		rows = rows_new(20000, 3, false, false);

	for (int i = 0; i < 9; i++)
		rows.x[3 * (i * 2111 + 7)] = (float) (i + 1);
	for (int init = 0; init < 3; init++)
	{
		PmKMeansOptions options = kmeans_options(10);

		options.init = inits[init];
		fit_gives(&rows, &options, NULL, PM_OK, NULL);
	}
	rows_free(&rows);
}

/* As many clusters as rows; one row; constant columns; equal rows. */
static void
odd_shapes(void)
{
	for (int init = 0; init < 3; init++)
	{
		Rows		rows = rows_normal(60, 3, true, 9);
		PmKMeansOptions options = kmeans_options(60);
		PmContext	ctx;
		PmKMeansFit fit;

		options.init = inits[init];
		options.tol = 1e-4;
		fault_context(&ctx, device, 0, 2, NULL);
		CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, NULL, &fit), PM_OK);
		CHECK_CLOSE(fit.inertia, 0, 0, 0);
		CHECK_INT(fit.counts[59], 1);
		pm_arena_destroy(ctx.arena);

		options.k = 4;
		for (int i = 0; i < 60; i++)
			rows.x[3 * i + 1] = 5;
		fit_gives(&rows, &options, NULL, PM_OK, NULL);
		rows.rows.n = 1;
		options.k = 1;
		fit_gives(&rows, &options, NULL, PM_OK, NULL);
		rows.rows.n = 60;
		for (int i = 0; i < 180; i++)
			rows.x[i] = 7;
		fit_gives(&rows, &options, NULL, PM_OK, NULL);
		options.k = 2;
		fit_gives(&rows, &options, NULL, PM_INVALID, "k = 2 is more than the 1 distinct rows");
		rows_free(&rows);
	}
}

/* Starts that leave clusters empty: all are filled. */
static void
empty_clusters(void)
{
	Rows		rows = rows_normal(500, 3, true, 14);
	PmKMeansOptions options = kmeans_options(12);
	float		start[36];
	PmContext	ctx;
	PmKMeansFit fit;

	for (int i = 0; i < 36; i++)
		start[i] = i < 6 ? rows.x[i] : (float) (1000 + i);
	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, start, &fit), PM_OK);
	CHECK(fit.empty_refilled >= 10);
	CHECK(fit.counts[11] > 0);
	CHECK(fit.converged);
	CHECK(fit_defect(&rows.rows, &fit) == NULL);
	pm_arena_destroy(ctx.arena);

	/* all centroids in one place */
	for (int i = 0; i < 36; i++)
		start[i] = 1;
	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, start, &fit), PM_OK);
	CHECK(fit.counts[11] > 0);
	CHECK(fit_defect(&rows.rows, &fit) == NULL);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/*
 * The farthest rows are all equal, or alone in their clusters: the empty
 * clusters get others.
 */
static void
empty_clusters_among_equals(void)
{
	Rows		rows = rows_new(1000, 1, false, false);
	PmKMeansOptions options = kmeans_options(6);
	float		start[] = {0, 500, 1e4f, 1e4f, 1e4f, 1e4f};
	PmContext	ctx;
	PmKMeansFit fit;

	/* 990 at 100, five near 0, one far out, and some to split */
	for (int i = 0; i < 1000; i++)
		rows.x[i] = 100;
	for (int i = 0; i < 5; i++)
		rows.x[i] = (float) i;
	rows.x[999] = 700;
	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, start, &fit), PM_OK);
	CHECK(fit.counts[5] > 0);
	CHECK(fit_defect(&rows.rows, &fit) == NULL);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* The farthest row is its cluster's only one: it stays, and another moves. */
static void
empty_cluster_beside_a_single_row(void)
{
	static const float values[] = {0, 1, 2, 3, 100};
	static const float start[] = {1.5f, 60, 1e4f};
	Rows		rows = rows_new(5, 1, false, false);
	PmKMeansOptions options = kmeans_options(3);
	PmContext	ctx;
	PmKMeansFit fit;

	memcpy(rows.x, values, sizeof(values));
	fault_context(&ctx, device, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, start, &fit), PM_OK);
	CHECK_INT(fit.empty_refilled, 1);
	CHECK_INT(fit.counts[2], 1);
	CHECK(fit_defect(&rows.rows, &fit) == NULL);
	pm_arena_destroy(ctx.arena);
	rows_free(&rows);
}

/* Fit, and measure, with so many threads. */
static PmKMeansFit
fit_with_threads(PmContext *ctx, const Rows *rows, PmKMeansOptions *options,
				 int threads, PmKMeansQuality *quality)
{
	PmKMeansFit fit;

	fault_context(ctx, device, 0, threads, NULL);
	CHECK_STATUS(ctx, pm_kmeans_fit(ctx, &rows->rows, options, NULL, &fit), PM_OK);
	CHECK_STATUS(ctx, pm_kmeans_quality(ctx, &rows->rows, &fit, quality), PM_OK);
	return fit;
}

/* The number of threads changes no bit. */
static void
threads_change_nothing(void)
{
	Rows		rows = rows_normal(20011, 7, true, 30);

	for (int init = 0; init < 3; init++)
		for (int metric = PM_METRIC_EUCLIDEAN; metric <= PM_METRIC_COSINE; metric++)
		{
			PmKMeansOptions options = kmeans_options(13);
			PmContext	ctx[3];
			PmKMeansFit fit[3];
			PmKMeansQuality quality[3];

			options.init = inits[init];
			options.metric = metric;
			options.tol = 1e-4;
			options.n_init = 2;
			options.max_iter = 15;
			if (metric == PM_METRIC_COSINE)
				pm_kmeans_normalise(rows.x, 20011, 7);
			for (int threads = 0; threads < 3; threads++)
				fit[threads] = fit_with_threads(&ctx[threads], &rows, &options,
												threads + 1, &quality[threads]);
			for (int threads = 1; threads < 3 && test_bad_checks == 0; threads++)
			{
				CHECK(same_fit(&fit[0], &fit[threads], 20011));
				CHECK(memcmp(&quality[0], &quality[threads], sizeof(PmKMeansQuality)) == 0);
			}
			for (int threads = 0; threads < 3; threads++)
				pm_arena_destroy(ctx[threads].arena);
		}
	rows_free(&rows);
}

/* The seed decides, and nothing else. */
static void
seeds_decide(void)
{
	Rows		rows = rows_normal(3000, 4, false, 31);

	for (int init = 0; init < 3; init++)
	{
		PmKMeansOptions options = kmeans_options(9);
		PmContext	ctx[3];
		PmKMeansFit fit[3];
		PmKMeansQuality quality;

		options.init = inits[init];
		options.max_iter = 3;
		for (int i = 0; i < 3; i++)
		{
			options.seed = i == 2 ? 99 : 7;
			fit[i] = fit_with_threads(&ctx[i], &rows, &options, 1, &quality);
		}
		CHECK(same_fit(&fit[0], &fit[1], 3000));
		CHECK(!same_fit(&fit[0], &fit[2], 3000));
		for (int i = 0; i < 3; i++)
			pm_arena_destroy(ctx[i].arena);
	}
	rows_free(&rows);
}

/* A job that meets every branch: seeding, empty clusters, runs, quality. */
typedef struct Job
{
	Rows		rows;
	PmKMeansOptions options;
	const float *initial;
} Job;

static PmStatus
do_job(PmContext *ctx, const Job *job)
{
	PmKMeansFit fit;
	PmKMeansQuality quality;
	PmStatus	status = pm_kmeans_fit(ctx, &job->rows.rows, &job->options,
									   job->initial, &fit);

	if (status != PM_OK)
		return status;
	status = pm_kmeans_quality(ctx, &job->rows.rows, &fit, &quality);
	pm_kmeans_release(ctx, &fit);
	return status;
}

/* Do a job under a fault; nothing may be left behind. */
static PmStatus
do_faulty(const Job *job, FaultDevice *fault, FaultHost *host, size_t limit,
		  size_t *peak)
{
	PmContext	ctx;
	PmStatus	status;

	fault_context(&ctx, &fault->device, limit, 2, host);
	status = do_job(&ctx, job);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	CHECK_INT(fault->open_runs, 0);
	CHECK_INT(fault->open_buffers, 0);
	CHECK(status == PM_OK || ctx.message[0] != '\0');
	if (peak != NULL)
		*peak = pm_arena_peak(ctx.arena);
	pm_arena_destroy(ctx.arena);
	return status;
}

/* Cancel at every check, from first to last. */
static void
cancel_everywhere(const Job *job)
{
	FaultDevice fault;
	FaultHost	host = {0, 0};
	long		checks;

	fault_device(&fault, device);
	CHECK_INT(do_faulty(job, &fault, &host, 0, NULL), PM_OK);
	checks = host.checks;
	CHECK(checks > 10);
	for (long n = 1; n <= checks; n += 1 + checks / 200)
	{
		host = (FaultHost) {0, n};
		fault_device(&fault, device);
		CHECK_INT(do_faulty(job, &fault, &host, 0, NULL), PM_CANCELLED);
		CHECK_INT(host.checks, n);
	}
}

/* Let every device call fail, from first to last. */
static void
fail_everywhere(const Job *job)
{
	FaultDevice fault;
	long		calls;

	fault_device(&fault, device);
	CHECK_INT(do_faulty(job, &fault, NULL, 0, NULL), PM_OK);
	calls = fault.calls;
	CHECK(calls > 5);
	for (long n = 1; n <= calls; n++)
	{
		fault_device(&fault, device);
		fault.fail_at = n;
		CHECK_INT(do_faulty(job, &fault, NULL, 0, NULL), PM_DEVICE_ERROR);
		CHECK_INT(fault.calls, n);
	}
}

/* Take memory away step by step: either it fits or the limit is named. */
static void
starve(const Job *job)
{
	FaultDevice fault;
	size_t		peak;
	bool		fits = true;

	fault_device(&fault, device);
	CHECK_INT(do_faulty(job, &fault, NULL, 0, &peak), PM_OK);
	for (size_t limit = peak; limit > 50; limit -= 1 + limit / 50)
	{
		PmStatus	status;

		fault_device(&fault, device);
		status = do_faulty(job, &fault, NULL, limit, NULL);
		CHECK(status == PM_MEMORY_LIMIT || (fits && status == PM_OK));
		if (limit == peak)
			CHECK_INT(status, PM_OK);
		fits = status == PM_OK;
	}
	CHECK(!fits);
}

/* An allocator whose nth call, and all later ones, give nothing. */
typedef struct Scarce
{
	long		calls;
	long		fail_at;
} Scarce;

static void *
scarce_allocate(void *source, size_t bytes)
{
	Scarce	   *scarce = source;

	return ++scarce->calls == scarce->fail_at ? NULL : malloc(bytes);
}

static void *
scarce_resize(void *source, void *block, size_t bytes)
{
	Scarce	   *scarce = source;

	return ++scarce->calls == scarce->fail_at ? NULL : realloc(block, bytes);
}

static void
scarce_release(void *source, void *block)
{
	(void) source;
	free(block);
}

/* Let every allocation fail, from the first of the job to the last. */
static void
refuse_everywhere(const Job *job)
{
	long		calls = 2;

	for (long n = 0; n <= calls && test_bad_checks == 0; n = n == 0 ? 2 : n + 1)
	{
		Scarce		scarce = {0, n};
		PmAllocator allocator = {
			scarce_allocate, scarce_resize, scarce_release, &scarce
		};
		PmContext	ctx;

		fault_context(&ctx, device, 0, 2, NULL);
		pm_arena_destroy(ctx.arena);
		ctx.arena = pm_arena_create(&allocator, 0);
		CHECK_STATUS(&ctx, do_job(&ctx, job), n == 0 ? PM_OK : PM_NO_MEMORY);
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		if (n == 0)
			calls = scarce.calls;
		pm_arena_destroy(ctx.arena);
	}
}

/* All faults on one job. */
static void
all_faults(const Job *job)
{
	cancel_everywhere(job);
	fail_everywhere(job);
	starve(job);
	refuse_everywhere(job);
}

static void
faults_of_runs(void)
{
	for (int init = 0; init < 3; init++)
	{
		Job			job = {rows_normal(300, 3, true, 40), kmeans_options(6), NULL};

		job.options.init = inits[init];
		job.options.n_init = 2;
		job.options.max_iter = 3;
		job.options.tol = 1e-6;
		all_faults(&job);
		rows_free(&job.rows);
	}
}

static void
faults_of_empty_clusters(void)
{
	Job			job = {rows_normal(300, 3, true, 41), kmeans_options(5), NULL};
	float		start[15];

	for (int i = 0; i < 15; i++)
		start[i] = (float) (i * i);
	job.initial = start;
	job.options.max_iter = 4;
	all_faults(&job);
	rows_free(&job.rows);
}

/* Rows enough for several slabs and buffers. */
static void
faults_of_large_fits(void)
{
	Job			job = {rows_normal(30000, 16, true, 42), kmeans_options(20), NULL};

	if (strcmp(device->name, "reference") == 0)
		job.rows.rows.n = 2000;
	job.options.init = PM_INIT_KMEANS_PARALLEL;
	job.options.max_iter = 2;
	cancel_everywhere(&job);
	fail_everywhere(&job);
	rows_free(&job.rows);
}

/*
 * A fit takes at most 0.3 of the rows' bytes, and terms in k * d that this
 * allows 100 bytes each, with 64 ranges of clusters and of columns.
 */
static void
memory_is_bounded(void)
{
	static const int columns[] = {16, 17, 19, 20, 50};

	for (int i = 0; i < 5; i++)
		for (int init = 0; init < 3; init++)
		{
			int			d = columns[i];
			Rows		rows = rows_normal(60000, d, true, 50);
			PmKMeansOptions options = kmeans_options(4);
			double		bytes = 60000.0 * d * 4;
			double		bound = 0.3 * bytes + 100.0 * 4 * d + 64 * 32 * (4 + d);
			PmContext	ctx;
			PmKMeansFit fit;
			PmKMeansQuality quality;

			options.init = inits[init];
			options.n_init = 2;
			options.max_iter = 2;
			fault_context(&ctx, device, 0, 2, NULL);
			CHECK_STATUS(&ctx, pm_kmeans_fit(&ctx, &rows.rows, &options, NULL, &fit), PM_OK);
			CHECK_STATUS(&ctx, pm_kmeans_quality(&ctx, &rows.rows, &fit, &quality), PM_OK);
			CHECK_CASE((double) pm_arena_peak(ctx.arena) <= bound,
					   "d %d, init %d: %zu bytes, %.3f of the rows", d, init,
					   pm_arena_peak(ctx.arena),
					   (double) pm_arena_peak(ctx.arena) / bytes);
			pm_arena_destroy(ctx.arena);
			rows_free(&rows);
		}
}

int
main(void)
{
	PmDevice	devices[2];
	int			count = test_devices(devices, 2);

	for (int i = 0; i < count; i++)
	{
		device = &devices[i];
		printf("on the %s device\n", device->name);
		TEST(bad_arguments);
		TEST(bad_values);
		TEST(duplicates);
		TEST(rare_rows);
		TEST(odd_shapes);
		TEST(empty_clusters);
		TEST(empty_clusters_among_equals);
		TEST(empty_cluster_beside_a_single_row);
		TEST(threads_change_nothing);
		TEST(seeds_decide);
		TEST(faults_of_runs);
		TEST(faults_of_empty_clusters);
		TEST(faults_of_large_fits);
		TEST(memory_is_bounded);
	}
	return test_report();
}
