/*
 * reference_device.c
 *		See reference_device.h.  Nothing here is to be made faster.
 */
#include "reference_device.h"

#include "pm_arena.h"

#include <math.h>
#include <string.h>

/* What one would say of this device. */
static void
reference_describe(PmDevice *device, PmDeviceInfo *info)
{
	(void) device;
	memset(info, 0, sizeof(*info));
	strcpy(info->model, "reference");
	strcpy(info->features, "naive, double precision");
	info->units = 1;
}

/* Memory is the arena's. */
static PmStatus
reference_allocate(PmContext *ctx, size_t bytes, PmBuffer *buffer)
{
	memset(buffer, 0, sizeof(*buffer));
	PM_TRY(pm_alloc(ctx, "device buffer", bytes, 1, &buffer->data));
	buffer->bytes = bytes;
	return PM_OK;
}

/* An upload is the host's own memory. */
static PmStatus
reference_upload(PmContext *ctx, const void *host, size_t bytes,
				 PmBuffer *buffer)
{
	(void) ctx;
	buffer->data = (void *) (uintptr_t) host;
	buffer->bytes = bytes;
	buffer->borrowed = true;
	return PM_OK;
}

/* Copy a part of a buffer to the host. */
static PmStatus
reference_download(PmContext *ctx, const PmBuffer *buffer, size_t offset,
				   void *host, size_t bytes)
{
	if (offset > buffer->bytes || bytes > buffer->bytes - offset)
		return pm_fail(ctx, PM_INVALID, "download of %zu bytes at %zu from a buffer of %zu",
					   bytes, offset, buffer->bytes);
	memcpy(host, (const char *) buffer->data + offset, bytes);
	return PM_OK;
}

/* Free a buffer that is the device's own. */
static void
reference_release(PmContext *ctx, PmBuffer *buffer)
{
	if (!buffer->borrowed)
		pm_release(ctx, buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

/* One index after the other. */
static void
reference_parallel_for(PmContext *ctx, int64_t count, PmTask task,
					   void *argument)
{
	(void) ctx;
	for (int64_t i = 0; i < count; i++)
		task(i, 0, argument);
}

/* alpha * sum + beta * c, where beta = 0 means that c is not read */
static float
combine(double alpha, double sum, double beta, float c)
{
	return (float) (alpha * sum + (beta == 0 ? 0 : beta * (double) c));
}

/* C (m, n) = alpha * op(A) op(B) + beta * C */
static PmStatus
reference_sgemm(PmContext *ctx, bool transpose_a, bool transpose_b, int64_t m,
				int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
				const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	(void) ctx;
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
		{
			double		sum = 0;

			for (int64_t l = 0; l < k; l++)
				sum += (double) a[transpose_a ? l * lda + i : i * lda + l] *
					b[transpose_b ? j * ldb + l : l * ldb + j];
			c[i * ldc + j] = combine(alpha, sum, beta, c[i * ldc + j]);
		}
	return PM_OK;
}

/* C (n, n) = alpha * A'A + beta * C, upper triangle */
static PmStatus
reference_ssyrk(PmContext *ctx, int64_t n, int64_t k, float alpha,
				const float *a, int64_t lda, float beta, float *c, int64_t ldc)
{
	(void) ctx;
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = i; j < n; j++)
		{
			double		sum = 0;

			for (int64_t l = 0; l < k; l++)
				sum += (double) a[l * lda + i] * a[l * lda + j];
			c[i * ldc + j] = combine(alpha, sum, beta, c[i * ldc + j]);
		}
	return PM_OK;
}

/* A = U'U, upper triangle in and out, row by row of U */
static PmStatus
reference_dpotrf(PmContext *ctx, int64_t n, double *a, int64_t lda)
{
	for (int64_t i = 0; i < n; i++)
	{
		double		pivot = a[i * lda + i];

		for (int64_t l = 0; l < i; l++)
			pivot -= a[l * lda + i] * a[l * lda + i];
		if (!(pivot > 0))
			return pm_fail(ctx, PM_INVALID, "matrix is not positive definite: pivot %lld",
						   (long long) i + 1);
		pivot = sqrt(pivot);
		a[i * lda + i] = pivot;
		for (int64_t j = i + 1; j < n; j++)
		{
			double		sum = a[i * lda + j];

			for (int64_t l = 0; l < i; l++)
				sum -= a[l * lda + i] * a[l * lda + j];
			a[i * lda + j] = sum / pivot;
		}
	}
	return PM_OK;
}

/* U'U x = b for every row of b: forward, then backward substitution */
static PmStatus
reference_dpotrs(PmContext *ctx, int64_t n, const double *u, int64_t lda,
				 int64_t columns, double *b, int64_t ldb)
{
	(void) ctx;
	for (int64_t column = 0; column < columns; column++)
	{
		double	   *x = b + column * ldb;

		for (int64_t i = 0; i < n; i++)
		{
			for (int64_t l = 0; l < i; l++)
				x[i] -= u[l * lda + i] * x[l];
			x[i] /= u[i * lda + i];
		}
		for (int64_t i = n - 1; i >= 0; i--)
		{
			for (int64_t l = i + 1; l < n; l++)
				x[i] -= u[i * lda + l] * x[l];
			x[i] /= u[i * lda + i];
		}
	}
	return PM_OK;
}

/* Squared distance. */
static double
squared_distance(const float *a, const float *b, int d)
{
	double		sum = 0;

	for (int j = 0; j < d; j++)
		sum += ((double) a[j] - b[j]) * ((double) a[j] - b[j]);
	return sum;
}

/* The nearest centroid of each row; of equals, the first. */
static PmStatus
reference_nearest_centroid(PmContext *ctx, int64_t n, int d, int k,
						   const float *x, const float *centroids,
						   int32_t *labels, float *distance, float *second)
{
	(void) ctx;
	for (int64_t i = 0; i < n; i++)
	{
		double		best = INFINITY;
		double		next = INFINITY;
		int32_t		label = 0;

		for (int c = 0; c < k; c++)
		{
			double		square = squared_distance(x + i * d,
												  centroids + (size_t) c * d, d);

			if (square < best)
			{
				next = best;
				best = square;
				label = c;
			}
			else if (square < next)
				next = square;
		}
		if (labels != NULL)
			labels[i] = label;
		if (distance != NULL)
			distance[i] = (float) best;
		if (second != NULL)
			second[i] = (float) next;
	}
	return PM_OK;
}

struct PmLloyd
{
	PmLloydRows rows;
	int32_t    *labels;			/* -1 before the first pass */
	int64_t		changed;		/* in the pass under way */
};

static PmStatus
reference_lloyd_open(PmContext *ctx, const PmLloydRows *rows, PmLloyd **run)
{
	PmStatus	status;

	PM_TRY(pm_alloc_zero(ctx, "Lloyd run", 1, sizeof(PmLloyd), run));
	status = pm_alloc(ctx, "labels of a Lloyd run", (size_t) rows->n,
					  sizeof(int32_t), &(*run)->labels);
	if (status != PM_OK)
	{
		pm_release(ctx, *run);
		*run = NULL;
		return status;
	}
	(*run)->rows = *rows;
	for (int64_t i = 0; i < rows->n; i++)
		(*run)->labels[i] = -1;
	return PM_OK;
}

static PmStatus
reference_lloyd_assign(PmContext *ctx, PmLloyd *run, const float *centroids,
					   int64_t begin, int64_t end)
{
	if (begin == 0)
		run->changed = 0;
	for (int64_t i = begin; i < end; i++)
	{
		int32_t		label;

		PM_TRY(reference_nearest_centroid(ctx, 1, run->rows.d, run->rows.k,
										  run->rows.x + i * run->rows.d,
										  centroids, &label, NULL, NULL));
		if (label != run->labels[i])
			run->changed++;
		run->labels[i] = label;
	}
	return PM_OK;
}

static PmStatus
reference_lloyd_sums(PmContext *ctx, PmLloyd *run, double *sums,
					 double *weights, int64_t *counts, int64_t *changed)
{
	int			d = run->rows.d;

	(void) ctx;
	for (size_t i = 0; i < (size_t) run->rows.k * d; i++)
		sums[i] = 0;
	for (int c = 0; c < run->rows.k; c++)
	{
		weights[c] = 0;
		counts[c] = 0;
	}
	for (int64_t i = 0; i < run->rows.n; i++)
	{
		int32_t		label = run->labels[i];
		double		weight = run->rows.weights == NULL ? 1 : run->rows.weights[i];

		for (int j = 0; j < d; j++)
			sums[(size_t) label * d + j] += weight * run->rows.x[i * d + j];
		weights[label] += weight;
		counts[label]++;
	}
	*changed = run->changed;
	return PM_OK;
}

static PmStatus
reference_lloyd_labels(PmContext *ctx, PmLloyd *run, int32_t *labels)
{
	(void) ctx;
	memcpy(labels, run->labels, (size_t) run->rows.n * sizeof(int32_t));
	return PM_OK;
}

static void
reference_lloyd_close(PmContext *ctx, PmLloyd *run)
{
	pm_release(ctx, run->labels);
	pm_release(ctx, run);
}

/* Fill in the table. */
void
reference_device(PmDevice *device)
{
	*device = (PmDevice) {
		.api_version = PM_DEVICE_API_VERSION,
		.table_size = sizeof(PmDevice),
		.name = "reference",
		.describe = reference_describe,
		.allocate = reference_allocate,
		.upload = reference_upload,
		.download = reference_download,
		.release = reference_release,
		.parallel_for = reference_parallel_for,
		.sgemm = reference_sgemm,
		.ssyrk = reference_ssyrk,
		.dpotrf = reference_dpotrf,
		.dpotrs = reference_dpotrs,
		.nearest_centroid = reference_nearest_centroid,
		.lloyd_open = reference_lloyd_open,
		.lloyd_assign = reference_lloyd_assign,
		.lloyd_sums = reference_lloyd_sums,
		.lloyd_labels = reference_lloyd_labels,
		.lloyd_close = reference_lloyd_close,
	};
}
