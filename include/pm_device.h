/*
 * pm_device.h
 *		A device: the versioned table of functions that heavy work runs on.
 *
 * Each device is a shared library of its own (precmkt_cpu.so, precmkt_cuda.so)
 * that exports pm_device_open().  src/device/device.c loads it on first use,
 * after the fork; nothing else links a BLAS or CUDA.  An algorithm is
 * written once against this table and every device passes the same
 * conformance test (test/unit/test_device.c).
 *
 * All matrices are row-major.  Functions return a PmStatus and leave the
 * reason in ctx->message; none calls back into the host except through
 * pm_interrupted() where its comment says so.  A single call takes at most
 * about 50 ms: callers hand over large work in slabs and look for interrupts
 * in between.
 */
#ifndef PM_DEVICE_H
#define PM_DEVICE_H

#include "pm_context.h"

#define PM_DEVICE_API_VERSION 1

typedef struct PmDevice PmDevice;

/* Memory on a device.  On the CPU an upload is the host's own pointer. */
typedef struct PmBuffer
{
	void	   *data;
	size_t		bytes;
	bool		borrowed;		/* not the device's to free */
} PmBuffer;

/* What pm_device_info() shows. */
typedef struct PmDeviceInfo
{
	char		model[128];		/* "AMD EPYC 9B14", "NVIDIA H200" */
	char		features[128];	/* "avx512, OpenBLAS 0.3.21 SkylakeX" */
	int			units;			/* usable CPUs, multiprocessors */
	size_t		memory;			/* bytes free to us; 0 = the host's */
} PmDeviceInfo;

/* One piece of parallel work: index in [0, count), lane in [0, threads). */
typedef void (*PmTask) (int64_t index, int lane, void *argument);

/* Rows for one Lloyd run; they stay where they are while it is open. */
typedef struct PmLloydRows
{
	const float *x;				/* host memory, n * d */
	const float *weights;		/* host memory, n; NULL = all 1 */
	int64_t		n;
	int			d;
	int			k;
} PmLloydRows;

/* State of a Lloyd run on a device: labels, bounds, partial sums. */
typedef struct PmLloyd PmLloyd;

struct PmDevice
{
	uint32_t	api_version;	/* PM_DEVICE_API_VERSION of its build */
	uint32_t	table_size;		/* sizeof(PmDevice) of its build */
	const char *name;			/* "cpu", "cuda" */
	void	   *state;			/* the device's own */

	void		(*describe) (PmDevice *device, PmDeviceInfo *info);

	/* Memory */
	PmStatus	(*allocate) (PmContext *ctx, size_t bytes, PmBuffer *buffer);
	PmStatus	(*upload) (PmContext *ctx, const void *host, size_t bytes,
						   PmBuffer *buffer);
	PmStatus	(*download) (PmContext *ctx, const PmBuffer *buffer,
							 size_t offset, void *host, size_t bytes);
	void		(*release) (PmContext *ctx, PmBuffer *buffer);

	/*
	 * Run task(index) for every index on ctx->threads threads of the host.
	 * Which thread runs which index is open: results may depend on the index
	 * alone.  The task calls neither PostgreSQL nor the arena.
	 */
	void		(*parallel_for) (PmContext *ctx, int64_t count, PmTask task,
								 void *argument);

	/* BLAS and LAPACK, single precision and double, on host memory. */

	/* C (m, n) = alpha * op(A) op(B) + beta * C; lda etc. are row strides */
	PmStatus	(*sgemm) (PmContext *ctx, bool transpose_a, bool transpose_b,
						  int64_t m, int64_t n, int64_t k, float alpha,
						  const float *a, int64_t lda, const float *b,
						  int64_t ldb, float beta, float *c, int64_t ldc);

	/* C (n, n) = alpha * A'A + beta * C, A is (k, n); upper triangle */
	PmStatus	(*ssyrk) (PmContext *ctx, int64_t n, int64_t k, float alpha,
						  const float *a, int64_t lda, float beta, float *c,
						  int64_t ldc);

	/*
	 * Cholesky of a symmetric positive definite A (n, n), upper triangle in
	 * and out, A = U'U; PM_INVALID names the first bad pivot.
	 */
	PmStatus	(*dpotrf) (PmContext *ctx, int64_t n, double *a, int64_t lda);

	/* Solve A X = B with dpotrf's U; b holds `columns` rows of n, each a
	 * right-hand side, and is overwritten by the solutions. */
	PmStatus	(*dpotrs) (PmContext *ctx, int64_t n, const double *u,
						   int64_t lda, int64_t columns, double *b,
						   int64_t ldb);

	/*
	 * For each of n rows its nearest of k centroids by squared Euclidean
	 * distance, the lowest index among equals.  Any of the outputs may be
	 * NULL: labels, the squared distance to that centroid, and to the second
	 * nearest (infinity when k = 1).
	 */
	PmStatus	(*nearest_centroid) (PmContext *ctx, int64_t n, int d, int k,
									 const float *x, const float *centroids,
									 int32_t *labels, float *distance,
									 float *second);

	/*
	 * Lloyd's iterations over rows that stay on the device.
	 *
	 * lloyd_open	takes the rows; memory of its own comes from the arena or
	 *				the device and is at most 0.2 * n * d * 4 bytes (but 4
	 *				bytes a row at least: its label) plus what k * d needs.
	 *				May read all rows once, calling pm_interrupted() every
	 *				50 ms or so; gives PM_CANCELLED then.
	 * lloyd_assign	moves rows [begin, end) to their nearest centroid.  Called
	 *				for consecutive slabs that cover [0, n) once an iteration;
	 *				the centroids change only between iterations.  A device
	 *				may skip distances that cannot matter (triangle
	 *				inequality), never approximate.
	 * lloyd_sums	after a full pass: weighted sum of rows (k * d), weight (k)
	 *				and number of rows (k) by cluster, and how many labels the
	 *				pass changed.
	 * lloyd_labels	the labels of the last pass, n of them.
	 */
	PmStatus	(*lloyd_open) (PmContext *ctx, const PmLloydRows *rows,
							   PmLloyd **run);
	PmStatus	(*lloyd_assign) (PmContext *ctx, PmLloyd *run,
								 const float *centroids, int64_t begin,
								 int64_t end);
	PmStatus	(*lloyd_sums) (PmContext *ctx, PmLloyd *run, double *sums,
							   double *weights, int64_t *counts,
							   int64_t *changed);
	PmStatus	(*lloyd_labels) (PmContext *ctx, PmLloyd *run,
								 int32_t *labels);
	void		(*lloyd_close) (PmContext *ctx, PmLloyd *run);
};

/*
 * The one exported symbol of a device library.  Fills in *device; on failure
 * writes the reason and returns it.
 */
typedef PmStatus (*PmDeviceOpen) (PmDevice *device, char *message,
								  size_t message_size);
#define PM_DEVICE_OPEN_SYMBOL "pm_device_open"

#endif							/* PM_DEVICE_H */
