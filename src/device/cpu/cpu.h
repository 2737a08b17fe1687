/*
 * cpu.h
 *		What the files of the CPU device share.
 *
 * open.c		the table, the choice of instruction set, describe, memory
 * parallel.c	parallel_for
 * blas.c		gemm, syrk, Cholesky through OpenBLAS
 * centroids.c	centroids laid out for the kernels
 * nearest.c	the search for the nearest centroid, and nearest_centroid
 * bounds.c		the search that skips what the triangle inequality excludes
 * lloyd.c		Lloyd's iterations
 * sums.c		sums of rows by cluster, exact in any order
 * kernel.h		the hot loops, compiled once for each instruction set by the
 *				kernel_*.c that include it
 *
 * The search filters and then decides.  The filter computes scores
 *
 *		s(x, c) = x.c - |c|^2 / 2,		|x - c|^2 = |x|^2 - 2 s(x, c),
 *
 * in single precision or, where the CPU multiplies bfloat16 at twice the
 * rate, in bfloat16, together with a bound on their error.  Wherever that
 * bound leaves more than one candidate, distances recomputed in double
 * precision, directly as sum (x - c)^2, decide.  So a label is the argmin of
 * double-precision distances, whatever the instruction set, however far the
 * data are from the origin, and whatever was skipped.
 */
#ifndef PM_CPU_H
#define PM_CPU_H

#include "pm_arena.h"
#include "pm_device.h"

#include <string.h>

/* Centroids that the kernels take at a time. */
#define PM_CPU_TILE 8

/* A score carries its centroid's number within the block in its low bits. */
#define PM_CPU_BLOCK_BITS 6
#define PM_CPU_BLOCK (1 << PM_CPU_BLOCK_BITS)

/* Rows that a panel holds: the most, and what all instruction sets divide. */
#define PM_CPU_PANEL 48

/* Rows of at most so many coordinates use pm_cpu_kernels_narrow. */
#define PM_CPU_NARROW 32

/* A cache line. */
#define PM_CPU_LINE 64

/* Words of a row are padded to this many. */
#define PM_CPU_WORD_PAD 16

/* The bias of a place without a centroid: below all scores, yet finite. */
#define PM_CPU_NOWHERE (-1e38f)

/*
 * Rows as the filter sees them: less `shift`, encoded into 32-bit words of
 * one float or two bfloat16.
 */
typedef struct PmCpuRows
{
	int			stride;			/* words from row to row */
	uint32_t   *words;
	float	   *square;			/* |y|^2 of the shifted row y */
	float	   *norm;			/* at least |y| and its encoding's norm */
	float	   *error;			/* at least |y - its encoding| */
} PmCpuRows;

/* The three highest scores in a block, of rows one after the other. */
typedef struct PmCpuScores
{
	float	   *best;
	float	   *second;
	float	   *third;
} PmCpuScores;

typedef struct PmCpuCentroids PmCpuCentroids;
typedef struct PmCpuScratch PmCpuScratch;

/*
 * Bounds of rows on their distances: to their own centroid, by row, and to
 * the others of each group, by group and row.  They are stored less (plus)
 * what the centroid (the group) had travelled until then, so that they need
 * no rewriting while centroids move.
 */
typedef struct PmCpuBounds
{
	int64_t		n;
	int			groups;
	const int32_t *labels;		/* n */
	float	   *upper;			/* n */
	float	   *lower;			/* groups * n */
	float	   *travel;			/* k: way of a centroid so far */
	float	   *group_travel;	/* groups: sum of the longest steps */
} PmCpuBounds;

/* The own centroids of the rows of a chunk, by slot. */
typedef struct PmCpuOwn
{
	float	   *square;			/* at least the squared distance */
	int32_t    *place;			/* see PmCpuCentroids */
} PmCpuOwn;

/* Relative rounding of the sums of a bound and a way, with room to spare. */
#define PM_CPU_BOUND_SLACK 0x1p-20f

/* The kernels of one instruction set; kernel.h says what each does. */
typedef struct PmCpuKernels
{
	const char *name;
	int			panel;			/* rows in a panel, divides PM_CPU_PANEL */
	int			vector;			/* rows in a vector, divides panel */
	int			pair;			/* coordinates in a word */

	void		(*encode) (const float *x, int d, const float *shift,
						   const int32_t *chosen, int count,
						   const PmCpuRows *rows);
	void		(*pack) (const PmCpuRows *rows, const int32_t *chosen,
						 int count, int words, uint32_t *panel);
	void		(*score) (const uint32_t *panel, int words, int count,
						  const uint32_t *tiles, const float *bias,
						  int tile_count, const PmCpuScores *scores);
	void		(*narrow) (const PmCpuCentroids *set,
						   const PmCpuScratch *scratch, int count);
	void		(*loosen) (const PmCpuBounds *bounds, int64_t begin,
						   int count, float *upper);
	void		(*prune) (const PmCpuBounds *bounds, int64_t begin, int count,
						  const float *upper, uint32_t *open);
	void		(*bound_group) (const PmCpuCentroids *set,
								const PmCpuRows *rows, const PmCpuOwn *own,
								const PmCpuScores *scores, int group,
								const int32_t *list, int count, float *lower,
								int32_t *contested);
	double		(*distance) (const float *x, const float *c, int d);
	void		(*move) (const float *x, double weight, const double *scale,
						 int d, int64_t *from, int64_t *to);
	void		(*move_fine) (const float *x, double weight,
							  const double *scale, double fine, int d,
							  int64_t *from, int64_t *to, int64_t *from_fine,
							  int64_t *to_fine);
} PmCpuKernels;

extern const PmCpuKernels pm_cpu_kernels_generic;
#if defined(__x86_64__)
extern const PmCpuKernels pm_cpu_kernels_avx2;
extern const PmCpuKernels pm_cpu_kernels_avx512;
extern const PmCpuKernels pm_cpu_kernels_avx512bf16;
#endif

/*
 * The kernels in use in this process; set by pm_device_open().  Rows of few
 * coordinates have kernels of their own: see there.
 */
extern const PmCpuKernels *pm_cpu_kernels;
extern const PmCpuKernels *pm_cpu_kernels_narrow;

typedef struct PmCpuKey
{
	double		key;
	int32_t		member;
} PmCpuKey;

/*
 * Centroids laid out for the filter: in `blocks` blocks of at most
 * PM_CPU_BLOCK places, a multiple of PM_CPU_TILE each.  A place holds the
 * centroid order[place], or none (-1).
 *
 * The error of a score of row y in block b is at most
 *		norm * error_norm[b] + error * error_encoding[b] + error_rest[b].
 */
struct PmCpuCentroids
{
	const PmCpuKernels *kernels;	/* that they are laid out for */
	int			k;
	int			d;
	int			words;			/* of a centroid */
	int			blocks;
	int			room_blocks;	/* the arrays have room for */
	int			groups;			/* of blocks; 0 = placed in order */
	const float *source;		/* the caller's, k * d */
	int32_t    *start;			/* blocks + 1: first places */
	int32_t    *order;			/* by place */
	int32_t    *group_start;	/* groups + 1: first blocks */
	int32_t    *group_of;		/* by centroid, while there are groups */
	int32_t    *place_of;		/* likewise */
	uint32_t   *tiles;			/* words of PM_CPU_TILE places interleaved */
	float	   *bias;			/* -|c|^2 / 2 by place */
	float	   *error_norm;
	float	   *error_encoding;
	float	   *error_rest;
	float		norm_limit;		/* rows with a larger norm may overflow */
	float	   *shift;			/* d, taken off rows and centroids: their mean */
	double	   *mean;			/* d: scratch */
	uint32_t   *encoded;		/* scratch: one centroid */
	int32_t    *members;		/* scratch: k numbers of centroids */
	PmCpuKey   *keys;			/* scratch: k, to sort them by */
};

/* Working memory of one lane for the search. */
struct PmCpuScratch
{
	int			capacity;		/* rows, a multiple of PM_CPU_PANEL */
	PmCpuRows	rows;
	uint32_t   *panel;
	PmCpuScores scores;			/* blocks * capacity */
	int32_t    *all;			/* capacity: 0, 1, 2, ... */
	float	   *bound;			/* by row: the best score is not below this */
	int32_t    *hits;			/* how many scores may reach it */
	int32_t    *where;			/* the last block with one that may */
};

/* parallel.c */
/* More threads than this are not started. */
#define PM_CPU_MAX_THREADS 256

extern void pm_cpu_parallel_for(PmContext *ctx, int64_t count, PmTask task,
								void *argument);

/* blas.c */
extern PmStatus pm_cpu_sgemm(PmContext *ctx, bool transpose_a,
							 bool transpose_b, int64_t m, int64_t n,
							 int64_t k, float alpha, const float *a,
							 int64_t lda, const float *b, int64_t ldb,
							 float beta, float *c, int64_t ldc);
extern PmStatus pm_cpu_ssyrk(PmContext *ctx, int64_t n, int64_t k,
							 float alpha, const float *a, int64_t lda,
							 float beta, float *c, int64_t ldc);
extern PmStatus pm_cpu_dpotrf(PmContext *ctx, int64_t n, double *a,
							  int64_t lda);
extern PmStatus pm_cpu_dpotrs(PmContext *ctx, int64_t n, const double *u,
							  int64_t lda, int64_t columns, double *b,
							  int64_t ldb);
extern void pm_cpu_blas_open(void);
extern void pm_cpu_blas_describe(char *text, size_t size);

/* centroids.c */
extern PmStatus pm_cpu_centroids_open(PmContext *ctx, int k, int d,
									  int groups, PmCpuCentroids *set);
extern void pm_cpu_centroids_close(PmContext *ctx, PmCpuCentroids *set);
extern void pm_cpu_centroids_load(PmCpuCentroids *set, const float *source);
extern void pm_cpu_centroids_order(PmCpuCentroids *set);
extern void pm_cpu_centroids_group(PmCpuCentroids *set, int groups,
								   const float *source);

/* nearest.c */
extern PmStatus pm_cpu_scratch_open(PmContext *ctx,
									const PmCpuCentroids *set, int lanes,
									PmCpuScratch **scratch);
extern void pm_cpu_scratch_close(PmContext *ctx, PmCpuScratch *scratch,
								 int lanes);
extern void pm_cpu_search(const PmCpuCentroids *set, PmCpuScratch *scratch,
						  const float *x, int count, int32_t *labels);
extern PmStatus pm_cpu_nearest_centroid(PmContext *ctx, int64_t n, int d,
										int k, const float *x,
										const float *centroids,
										int32_t *labels, float *distance,
										float *second);

/* bounds.c */
typedef struct PmCpuPruner PmCpuPruner;

extern int	pm_cpu_pruner_groups(int64_t n, int d, int k);
extern PmStatus pm_cpu_pruner_open(PmContext *ctx, const PmLloydRows *rows,
								   const PmCpuCentroids *set,
								   const int32_t *labels, int groups,
								   int lanes, int capacity,
								   PmCpuPruner **pruner);
extern void pm_cpu_pruner_close(PmContext *ctx, PmCpuPruner *pruner);
extern void pm_cpu_pruner_start(PmCpuPruner *pruner);
extern void pm_cpu_pruner_follow(PmCpuPruner *pruner);
extern int64_t pm_cpu_pruner_search(PmCpuPruner *pruner,
									PmCpuScratch *scratch, int lane,
									int64_t begin, int count,
									int32_t *labels);

/* lloyd.c */
extern PmStatus pm_cpu_lloyd_open(PmContext *ctx, const PmLloydRows *rows,
								  PmLloyd **run);
extern PmStatus pm_cpu_lloyd_assign(PmContext *ctx, PmLloyd *run,
									const float *centroids, int64_t begin,
									int64_t end);
extern PmStatus pm_cpu_lloyd_sums(PmContext *ctx, PmLloyd *run, double *sums,
								  double *weights, int64_t *counts,
								  int64_t *changed);
extern PmStatus pm_cpu_lloyd_labels(PmContext *ctx, PmLloyd *run,
									int32_t *labels);
extern void pm_cpu_lloyd_close(PmContext *ctx, PmLloyd *run);

/* sums.c */
typedef struct PmCpuSums PmCpuSums;

extern PmStatus pm_cpu_sums_open(PmContext *ctx, const PmLloydRows *rows,
								 PmCpuSums **sums);
extern void pm_cpu_sums_close(PmContext *ctx, PmCpuSums *sums);
extern void pm_cpu_sums_move(PmCpuSums *sums, int lane, int64_t begin,
							 int count, const int32_t *from,
							 const int32_t *to);
extern void pm_cpu_sums_total(PmCpuSums *sums, double *totals,
							  double *weights, int64_t *counts);

#endif							/* PM_CPU_H */
