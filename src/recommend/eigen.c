/*
 * eigen.c
 *		Eigenvalues and vectors of small symmetric matrices.
 *
 * Householder's reduction to a tridiagonal matrix, then implicit QL steps
 * with Wilkinson's shift (Golub and Van Loan, Matrix Computations, sections
 * 8.3.1 and 8.3.3).  Vectors are kept as rows, so that a rotation of two is a
 * pass over contiguous memory.
 */
#include "eigen.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "pm_clones.h"

/* QL steps for one eigenvalue before giving up. */
#define MAX_STEPS 100

typedef double Four __attribute__((vector_size(32)));

/* to += x * a + y * b */
PM_INLINE void
add_two_body(int32_t count, double x, const double *a, double y,
			 const double *b, double *to)
{
	int32_t		j = 0;

	for (; j + 4 <= count; j += 4)
	{
		Four		va;
		Four		vb;
		Four		sum;

		memcpy(&va, a + j, sizeof(va));
		memcpy(&vb, b + j, sizeof(vb));
		memcpy(&sum, to + j, sizeof(sum));
		sum += x * va + y * vb;
		memcpy(to + j, &sum, sizeof(sum));
	}
	for (; j < count; j++)
		to[j] += x * a[j] + y * b[j];
}

PM_CLONES(add_two,
		  (int32_t count, double x, const double *a, double y, const double *b, double *to),
		  (count, x, a, y, b, to));

/* (a, b) becomes (c a + s b, c b - s a). */
PM_INLINE void
rotate_body(int32_t count, double c, double s, double *a, double *b)
{
	int32_t		j = 0;

	for (; j + 4 <= count; j += 4)
	{
		Four		va;
		Four		vb;
		Four		turned;

		memcpy(&va, a + j, sizeof(va));
		memcpy(&vb, b + j, sizeof(vb));
		turned = c * va + s * vb;
		vb = c * vb - s * va;
		memcpy(a + j, &turned, sizeof(turned));
		memcpy(b + j, &vb, sizeof(vb));
	}
	for (; j < count; j++)
	{
		double		turned = c * a[j] + s * b[j];

		b[j] = c * b[j] - s * a[j];
		a[j] = turned;
	}
}

PM_CLONES(rotate, (int32_t count, double c, double s, double *a, double *b),
		  (count, c, s, a, b));

static double
dot(int32_t count, const double *a, const double *b)
{
	double		sum = 0;

	for (int32_t j = 0; j < count; j++)
		sum += a[j] * b[j];
	return sum;
}

/*
 * Householder's vector v of x, with Hx = (beta, 0, ...): v'v / 2 is returned,
 * 0 where x has that form already.  v takes the place of x.
 */
static double
reflect(int32_t count, double *x, double *beta)
{
	double		rest = dot(count - 1, x + 1, x + 1);
	double		norm;

	*beta = x[0];
	if (rest == 0)
		return 0;
	norm = sqrt(x[0] * x[0] + rest);
	*beta = x[0] > 0 ? -norm : norm;
	x[0] -= *beta;
	return (x[0] * x[0] + rest) / 2;
}

/*
 * Reduce: `diagonal` and `below` become the tridiagonal matrix T, with A =
 * Q T Q'; rows of q become those of Q', and a is scratch.
 */
static PmStatus
reduce(PmContext *ctx, int32_t n, double *a, double *q, double *diagonal,
	   double *below, double *scratch)
{
	memset(q, 0, (size_t) n * n * sizeof(double));
	for (int32_t i = 0; i < n; i++)
		q[(size_t) i * n + i] = 1;
	for (int32_t k = 0; k + 1 < n; k++)
	{
		int32_t		count = n - k - 1;
		double	   *v = a + (size_t) k * n + k + 1;
		double		half = reflect(count, v, &below[k]);
		double		along;

		if (pm_interrupted(ctx))
			return pm_fail(ctx, PM_CANCELLED, "eigenvalues were cancelled");
		if (half == 0)
			continue;

		/* p = A v / half, w = p - (p'v / 2 half) v, A -= v w' + w v' */
		for (int32_t i = 0; i < count; i++)
			scratch[i] = 0;
		for (int32_t i = 0; i < count; i++)
			add_two(count, v[i] / half, a + (size_t) (k + 1 + i) * n + k + 1, 0, v, scratch);
		along = dot(count, scratch, v) / (2 * half);
		for (int32_t i = 0; i < count; i++)
			scratch[i] -= along * v[i];
		for (int32_t i = 0; i < count; i++)
			add_two(count, -v[i], scratch, -scratch[i], v, a + (size_t) (k + 1 + i) * n + k + 1);

		/* rows of Q' that it touches: Q' = H Q' */
		memset(scratch, 0, (size_t) n * sizeof(double));
		for (int32_t i = 0; i < count; i++)
			add_two(n, v[i] / half, q + (size_t) (k + 1 + i) * n, 0, q, scratch);
		for (int32_t i = 0; i < count; i++)
			add_two(n, -v[i], scratch, 0, scratch, q + (size_t) (k + 1 + i) * n);
	}
	for (int32_t k = 0; k < n; k++)
		diagonal[k] = a[(size_t) k * n + k];
	return PM_OK;
}

/* One implicit QL step on rows [first, last] of the tridiagonal matrix. */
static void
ql_step(int32_t n, int32_t first, int32_t last, double *d, double *e, double *q)
{
	double		g = (d[first + 1] - d[first]) / (2 * e[first]);
	double		r = hypot(g, 1);
	double		s = 1;
	double		c = 1;
	double		p = 0;

	g = d[last] - d[first] + e[first] / (g + copysign(r, g));
	for (int32_t i = last - 1; i >= first; i--)
	{
		double		f = s * e[i];
		double		b = c * e[i];

		r = hypot(f, g);
		if (i + 1 < last)
			e[i + 1] = r;
		if (r == 0)
		{
			d[i + 1] -= p;
			return;
		}
		s = f / r;
		c = g / r;
		g = d[i + 1] - p;
		r = (d[i] - g) * s + 2 * c * b;
		p = s * r;
		d[i + 1] = g + p;
		g = c * r - b;
		rotate(n, c, s, q + (size_t) (i + 1) * n, q + (size_t) i * n);
	}
	d[first] -= p;
	e[first] = g;
}

/* The diagonal becomes the eigenvalues, rows of q the vectors. */
static PmStatus
diagonalise(PmContext *ctx, int32_t n, double *d, double *e, double *q)
{
	for (int32_t first = 0; first < n; first++)
		for (int step = 0;; step++)
		{
			int32_t		last = first;

			while (last + 1 < n && fabs(e[last]) > DBL_EPSILON * (fabs(d[last]) + fabs(d[last + 1])))
				last++;
			if (last == first)
				break;
			if (step == MAX_STEPS)
				return pm_fail(ctx, PM_INVALID, "eigenvalues do not converge");
			if (pm_interrupted(ctx))
				return pm_fail(ctx, PM_CANCELLED, "eigenvalues were cancelled");
			ql_step(n, first, last, d, e, q);
		}
	return PM_OK;
}

/* The largest first: into a, from q. */
static void
order(int32_t n, double *d, const double *q, double *a, double *values)
{
	for (int32_t i = 0; i < n; i++)
	{
		int32_t		largest = 0;

		for (int32_t k = 1; k < n; k++)
			if (d[k] > d[largest])
				largest = k;
		values[i] = d[largest];
		memcpy(a + (size_t) i * n, q + (size_t) largest * n, (size_t) n * sizeof(double));
		d[largest] = -INFINITY;
	}
}

PmStatus
pm_eigen_symmetric(PmContext *ctx, int32_t n, double *a, double *values)
{
	double	   *q = NULL;
	double	   *scratch = NULL;
	size_t		size = (size_t) n;
	PmStatus	status;

	status = pm_alloc(ctx, "eigenvectors", size, size * sizeof(double), &q);
	if (status == PM_OK)
		status = pm_alloc_zero(ctx, "eigenvectors", 3 * size, sizeof(double), &scratch);
	if (status == PM_OK)
		status = reduce(ctx, n, a, q, scratch, scratch + size, scratch + 2 * size);
	if (status == PM_OK)
		status = diagonalise(ctx, n, scratch, scratch + size, q);
	if (status == PM_OK)
		order(n, scratch, q, a, values);
	pm_release(ctx, q);
	pm_release(ctx, scratch);
	return status;
}
