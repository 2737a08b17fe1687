/*
 * blas.c
 *		Matrix products and Cholesky through OpenBLAS.
 *
 * OpenBLAS itself runs on one thread; large products are cut into pieces
 * whose size does not depend on the number of threads, so neither do the
 * results.  Debian's OpenBLAS has no LAPACKE: the Fortran names are called.
 * To them a row-major matrix is its transpose, so our upper triangle is
 * their lower one and A = U'U is their A = LL'.
 */
#include "cpu.h"

#include <limits.h>
#include <stdio.h>

#include <cblas.h>
#undef I

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda,
					int *info);
extern void dpotrs_(const char *uplo, const int *n, const int *columns,
					const double *a, const int *lda, double *b,
					const int *ldb, int *info);

/* Rows of the result that one task computes. */
#define STRIPE 256

/* Below this many multiplications a product is not worth a second thread. */
#define PARALLEL_WORK 4e6

/* One thread: parallel_for is what is parallel. */
void
pm_cpu_blas_open(void)
{
	openblas_set_num_threads(1);
}

/* Version and kernels, as "OpenBLAS 0.3.21 SkylakeX". */
void
pm_cpu_blas_describe(char *text, size_t size)
{
	char		name[32] = "OpenBLAS";
	char		version[32] = "";

	sscanf(openblas_get_config(), "%31s %31s", name, version);
	snprintf(text, size, "%s %s %s", name, version, openblas_get_corename());
}

/* BLAS takes 32-bit sizes. */
static PmStatus
check_sizes(PmContext *ctx, const char *what, int64_t a, int64_t b, int64_t c,
			int64_t d)
{
	if (a < 0 || b < 0 || c < 0 || d < 0 ||
		a > INT_MAX || b > INT_MAX || c > INT_MAX || d > INT_MAX)
		return pm_fail(ctx, PM_TOO_LARGE,
					   "%s: a dimension does not fit into 32 bits", what);
	return PM_OK;
}

/* The arguments of a product, for its stripes. */
typedef struct Product
{
	bool		transpose_a;
	bool		transpose_b;
	int			m;
	int			n;
	int			k;
	int			lda;
	int			ldb;
	int			ldc;
	float		alpha;
	float		beta;
	const float *a;
	const float *b;
	float	   *c;
} Product;

/* Rows [STRIPE * index, + STRIPE) of a product. */
static void
multiply_stripe(int64_t index, int lane, void *argument)
{
	const Product *p = argument;
	int64_t		first = index * STRIPE;
	int			rows = p->m - first < STRIPE ? (int) (p->m - first) : STRIPE;
	const float *a = p->a + (p->transpose_a ? first : first * p->lda);

	(void) lane;
	cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
				p->transpose_b ? CblasTrans : CblasNoTrans, rows, p->n, p->k,
				p->alpha, a, p->lda, p->b, p->ldb, p->beta,
				p->c + first * p->ldc, p->ldc);
}

/* C (m, n) = alpha * op(A) op(B) + beta * C */
PmStatus
pm_cpu_sgemm(PmContext *ctx, bool transpose_a, bool transpose_b, int64_t m,
			 int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
			 const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
	Product		product;
	int64_t		stripes = (m + STRIPE - 1) / STRIPE;

	PM_TRY(check_sizes(ctx, "matrix product", m, n, k, lda));
	PM_TRY(check_sizes(ctx, "matrix product", ldb, ldc, 0, 0));
	if (m == 0 || n == 0)
		return PM_OK;
	product = (Product) {
		transpose_a, transpose_b, (int) m, (int) n, (int) k, (int) lda,
		(int) ldb, (int) ldc, alpha, beta, a, b, c
	};
	if ((double) m * n * k < PARALLEL_WORK)
	{
		for (int64_t i = 0; i < stripes; i++)
			multiply_stripe(i, 0, &product);
	}
	else
		pm_cpu_parallel_for(ctx, stripes, multiply_stripe, &product);
	return PM_OK;
}

/* Rows [STRIPE * index, + STRIPE) of the upper triangle of A'A. */
static void
square_stripe(int64_t index, int lane, void *argument)
{
	const Product *p = argument;
	int64_t		first = index * STRIPE;
	int			rows = p->n - first < STRIPE ? (int) (p->n - first) : STRIPE;
	int			right = (int) (p->n - first) - rows;
	float	   *c = p->c + first * p->ldc + first;

	(void) lane;
	cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, rows, p->k, p->alpha,
				p->a + first, p->lda, p->beta, c, p->ldc);
	if (right > 0)
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, right,
					p->k, p->alpha, p->a + first, p->lda, p->a + first + rows,
					p->lda, p->beta, c + rows, p->ldc);
}

/* C (n, n) = alpha * A'A + beta * C, upper triangle; A is (k, n). */
PmStatus
pm_cpu_ssyrk(PmContext *ctx, int64_t n, int64_t k, float alpha,
			 const float *a, int64_t lda, float beta, float *c, int64_t ldc)
{
	Product		product;
	int64_t		stripes = (n + STRIPE - 1) / STRIPE;

	PM_TRY(check_sizes(ctx, "symmetric product", n, k, lda, ldc));
	if (n == 0)
		return PM_OK;
	product = (Product) {
		true, false, (int) n, (int) n, (int) k, (int) lda, (int) lda,
		(int) ldc, alpha, beta, a, a, c
	};
	if ((double) n * n * k / 2 < PARALLEL_WORK)
	{
		for (int64_t i = 0; i < stripes; i++)
			square_stripe(i, 0, &product);
	}
	else
		pm_cpu_parallel_for(ctx, stripes, square_stripe, &product);
	return PM_OK;
}

/* A = U'U in place, upper triangle. */
PmStatus
pm_cpu_dpotrf(PmContext *ctx, int64_t n, double *a, int64_t lda)
{
	int			size = (int) n;
	int			stride = (int) lda;
	int			info = 0;

	PM_TRY(check_sizes(ctx, "Cholesky factorisation", n, lda, 0, 0));
	if (n == 0)
		return PM_OK;
	dpotrf_("L", &size, a, &stride, &info);
	if (info > 0)
		return pm_fail(ctx, PM_INVALID,
					   "the matrix is not positive definite: pivot %d of %d", info, size);
	if (info < 0)
		return pm_fail(ctx, PM_DEVICE_ERROR, "dpotrf: argument %d", -info);
	return PM_OK;
}

/* Solve A X = B with dpotrf's U; b holds a right-hand side in each row. */
PmStatus
pm_cpu_dpotrs(PmContext *ctx, int64_t n, const double *u, int64_t lda,
			  int64_t columns, double *b, int64_t ldb)
{
	int			size = (int) n;
	int			stride = (int) lda;
	int			count = (int) columns;
	int			stride_b = (int) ldb;
	int			info = 0;

	PM_TRY(check_sizes(ctx, "Cholesky solution", n, lda, columns, ldb));
	if (n == 0 || columns == 0)
		return PM_OK;
	dpotrs_("L", &size, &count, u, &stride, b, &stride_b, &info);
	if (info != 0)
		return pm_fail(ctx, PM_DEVICE_ERROR, "dpotrs: argument %d", -info);
	return PM_OK;
}
