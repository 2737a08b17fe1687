/*
 * fault_device.c
 *		See fault_device.h.
 */
#include "fault_device.h"

#include "pm_arena.h"

#include <string.h>

/* Count a call; is it the one to fail? */
static bool
fails(PmContext *ctx)
{
	FaultDevice *fault = (FaultDevice *) ctx->device;

	fault->calls++;
	if (fault->calls != fault->fail_at)
		return false;
	(void) pm_fail(ctx, fault->status, "fault at device call %ld", fault->calls);
	return true;
}

/* Let the inner device work as if it were the context's. */
#define PASS(ctx, call) \
	do { \
		FaultDevice *fault = (FaultDevice *) (ctx)->device; \
		PmStatus	status; \
		if (fails(ctx)) \
			return fault->status; \
		(ctx)->device = fault->inner; \
		status = fault->inner->call; \
		(ctx)->device = &fault->device; \
		return status; \
	} while (0)

static void
fault_describe(PmDevice *device, PmDeviceInfo *info)
{
	FaultDevice *fault = (FaultDevice *) device;

	fault->inner->describe(fault->inner, info);
}

static PmStatus
inner_allocate(PmContext *ctx, size_t bytes, PmBuffer *buffer)
{
	PASS(ctx, allocate(ctx, bytes, buffer));
}

static PmStatus
fault_allocate(PmContext *ctx, size_t bytes, PmBuffer *buffer)
{
	PM_TRY(inner_allocate(ctx, bytes, buffer));
	((FaultDevice *) ctx->device)->open_buffers++;
	return PM_OK;
}

static PmStatus
inner_upload(PmContext *ctx, const void *host, size_t bytes, PmBuffer *buffer)
{
	PASS(ctx, upload(ctx, host, bytes, buffer));
}

static PmStatus
fault_upload(PmContext *ctx, const void *host, size_t bytes, PmBuffer *buffer)
{
	PM_TRY(inner_upload(ctx, host, bytes, buffer));
	((FaultDevice *) ctx->device)->open_buffers++;
	return PM_OK;
}

static PmStatus
fault_download(PmContext *ctx, const PmBuffer *buffer, size_t offset,
			   void *host, size_t bytes)
{
	PASS(ctx, download(ctx, buffer, offset, host, bytes));
}

static void
fault_release(PmContext *ctx, PmBuffer *buffer)
{
	FaultDevice *fault = (FaultDevice *) ctx->device;

	fault->open_buffers--;
	ctx->device = fault->inner;
	fault->inner->release(ctx, buffer);
	ctx->device = &fault->device;
}

static void
fault_parallel_for(PmContext *ctx, int64_t count, PmTask task, void *argument)
{
	FaultDevice *fault = (FaultDevice *) ctx->device;

	ctx->device = fault->inner;
	fault->inner->parallel_for(ctx, count, task, argument);
	ctx->device = &fault->device;
}

static PmStatus
fault_sgemm(PmContext *ctx, bool transpose_a, bool transpose_b, int64_t m,
			int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
			const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	PASS(ctx, sgemm(ctx, transpose_a, transpose_b, m, n, k, alpha, a, lda, b,
					ldb, beta, c, ldc));
}

static PmStatus
fault_ssyrk(PmContext *ctx, int64_t n, int64_t k, float alpha, const float *a,
			int64_t lda, float beta, float *c, int64_t ldc)
{
	PASS(ctx, ssyrk(ctx, n, k, alpha, a, lda, beta, c, ldc));
}

static PmStatus
fault_dpotrf(PmContext *ctx, int64_t n, double *a, int64_t lda)
{
	PASS(ctx, dpotrf(ctx, n, a, lda));
}

static PmStatus
fault_dpotrs(PmContext *ctx, int64_t n, const double *u, int64_t lda,
			 int64_t columns, double *b, int64_t ldb)
{
	PASS(ctx, dpotrs(ctx, n, u, lda, columns, b, ldb));
}

static PmStatus
fault_nearest_centroid(PmContext *ctx, int64_t n, int d, int k,
					   const float *x, const float *centroids,
					   int32_t *labels, float *distance, float *second)
{
	PASS(ctx, nearest_centroid(ctx, n, d, k, x, centroids, labels, distance,
							   second));
}

static PmStatus
inner_lloyd_open(PmContext *ctx, const PmLloydRows *rows, PmLloyd **run)
{
	PASS(ctx, lloyd_open(ctx, rows, run));
}

static PmStatus
fault_lloyd_open(PmContext *ctx, const PmLloydRows *rows, PmLloyd **run)
{
	PM_TRY(inner_lloyd_open(ctx, rows, run));
	((FaultDevice *) ctx->device)->open_runs++;
	return PM_OK;
}

static PmStatus
fault_lloyd_assign(PmContext *ctx, PmLloyd *run, const float *centroids,
				   int64_t begin, int64_t end)
{
	PASS(ctx, lloyd_assign(ctx, run, centroids, begin, end));
}

static PmStatus
fault_lloyd_sums(PmContext *ctx, PmLloyd *run, double *sums, double *weights,
				 int64_t *counts, int64_t *changed)
{
	PASS(ctx, lloyd_sums(ctx, run, sums, weights, counts, changed));
}

static PmStatus
fault_lloyd_labels(PmContext *ctx, PmLloyd *run, int32_t *labels)
{
	PASS(ctx, lloyd_labels(ctx, run, labels));
}

static void
fault_lloyd_close(PmContext *ctx, PmLloyd *run)
{
	FaultDevice *fault = (FaultDevice *) ctx->device;

	fault->open_runs--;
	ctx->device = fault->inner;
	fault->inner->lloyd_close(ctx, run);
	ctx->device = &fault->device;
}

/* Wrap a device. */
void
fault_device(FaultDevice *fault, PmDevice *inner)
{
	memset(fault, 0, sizeof(*fault));
	fault->inner = inner;
	fault->status = PM_DEVICE_ERROR;
	fault->device = (PmDevice) {
		.api_version = inner->api_version,
		.table_size = inner->table_size,
		.name = inner->name,
		.state = inner->state,
		.describe = fault_describe,
		.allocate = fault_allocate,
		.upload = fault_upload,
		.download = fault_download,
		.release = fault_release,
		.parallel_for = fault_parallel_for,
		.sgemm = fault_sgemm,
		.ssyrk = fault_ssyrk,
		.dpotrf = fault_dpotrf,
		.dpotrs = fault_dpotrs,
		.nearest_centroid = fault_nearest_centroid,
		.lloyd_open = fault_lloyd_open,
		.lloyd_assign = fault_lloyd_assign,
		.lloyd_sums = fault_lloyd_sums,
		.lloyd_labels = fault_lloyd_labels,
		.lloyd_close = fault_lloyd_close,
	};
}

/* Count a check and say whether to stop. */
bool
fault_interrupted(void *host)
{
	FaultHost  *fault = host;

	fault->checks++;
	return fault->cancel_at != 0 && fault->checks >= fault->cancel_at;
}

/* A context with an arena of its own; host may be NULL. */
void
fault_context(PmContext *ctx, PmDevice *device, size_t limit, int threads,
			  FaultHost *host)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->arena = pm_arena_create(&pm_malloc_allocator, limit);
	ctx->device = device;
	ctx->threads = threads;
	ctx->host = host;
	if (host != NULL)
		ctx->interrupted = fault_interrupted;
}
