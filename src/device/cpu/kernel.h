/*
 * kernel.h
 *		The hot loops of the search for the nearest centroid and of the sums
 *		by cluster, included by one file for each instruction set.
 *
 * The including file defines
 *
 *		KERNEL_TABLE, KERNEL_NAME	the table's symbol, the set's name
 *		LANES						floats in a vector
 *		VECTORS						vectors in a panel
 *		WIDTH						centroids at a time, divides PM_CPU_TILE
 *		PAIR						coordinates in a word, 1 or 2
 *		Vec, V_SET(f), V_LOAD(p), V_STORE(p, v), V_MAX(a, b), V_MIN(a, b)
 *		V_MUL_ADD(a, b, c)			c + a * b over words, summing a pair
 *		V_WORD(w)					word w in all lanes
 *		V_TAG(v, n)					v with its low PM_CPU_BLOCK_BITS set to n
 *
 * Rows lie in the lanes, so that each keeps its own best centroid and no
 * reduction across lanes is needed.  A panel is LANES * VECTORS rows, word by
 * word; LANES * VECTORS by WIDTH scores are accumulated in registers.
 *
 * These files are compiled without contraction into fused multiply-adds
 * (V_MUL_ADD is explicit): distance() gives the same bits everywhere.
 */
#ifndef PM_CPU_KERNEL_H
#define PM_CPU_KERNEL_H

#include "cpu.h"

#include <math.h>

#define PANEL (LANES * VECTORS)

typedef float F16 __attribute__((vector_size(64)));
typedef uint32_t U16 __attribute__((vector_size(64)));
typedef uint16_t H16 __attribute__((vector_size(32)));
typedef float F8 __attribute__((vector_size(32)));
typedef float F4 __attribute__((vector_size(16)));
typedef double D8 __attribute__((vector_size(64)));
typedef int64_t I8 __attribute__((vector_size(64)));
typedef uint32_t U4 __attribute__((vector_size(16)));

/* Adding this to |v| < 2^51 leaves round(v) in the low bits of the double. */
#define ROUNDER 0x1.8p52
#define ROUNDER_BITS INT64_C(0x4338000000000000)

/* Four lanes of two vectors of four; lanes 4 to 7 are b's. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector((a), (b), i, j, k, l)
#else
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle((a), (b), (U4) {i, j, k, l})
#endif

/* The sums of the lanes of two vectors. */
static inline __attribute__((always_inline)) void
sum_lanes(const F16 *a, const F16 *b, float *sum_a, float *sum_b)
{
	F4			quarter_a[4];
	F4			quarter_b[4];
	F4			pairs;

	memcpy(quarter_a, a, sizeof(quarter_a));
	memcpy(quarter_b, b, sizeof(quarter_b));
	quarter_a[0] = (quarter_a[0] + quarter_a[2]) + (quarter_a[1] + quarter_a[3]);
	quarter_b[0] = (quarter_b[0] + quarter_b[2]) + (quarter_b[1] + quarter_b[3]);
	pairs = SHUFFLE(quarter_a[0], quarter_b[0], 0, 1, 4, 5) +
		SHUFFLE(quarter_a[0], quarter_b[0], 2, 3, 6, 7);
	*sum_a = pairs[0] + pairs[1];
	*sum_b = pairs[2] + pairs[3];
}

/* The last columns of a row where they do not fill a vector. */
typedef struct Tail
{
	U16			mask;			/* all bits of the lanes that count */
	F16			shift;
} Tail;

static Tail
make_tail(int d, const float *shift)
{
	Tail		tail = {{0}, {0}};

	for (int i = 0; i < d % 16; i++)
	{
		tail.mask[i] = UINT32_MAX;
		tail.shift[i] = shift[d - d % 16 + i];
	}
	return tail;
}

/*
 * Shift and encode one row; `square` gets its squared norm and `error` that of
 * what encoding lost, for finish_rows().  bfloat16 is rounded to nearest, ties
 * to even; its error is measured, not estimated.  Where 16 floats are
 * `readable` from the tail on, they are read at once and masked: gathering
 * them one by one would wait for each.
 */
static inline __attribute__((always_inline)) void
encode_row(const float *x, int d, const float *shift, const Tail *tail,
		   bool readable, const PmCpuRows *rows, int slot)
{
	uint32_t   *words = rows->words + (size_t) slot * rows->stride;
	F16			square = {0};
	F16			lost = {0};

	for (int j = 0; j < d; j += 16)
	{
		F16			y = {0};
		F16			s = {0};

		if (j + 16 <= d)
		{
			memcpy(&y, x + j, sizeof(y));
			memcpy(&s, shift + j, sizeof(s));
		}
		else
		{
			if (readable)
			{
				memcpy(&y, x + j, sizeof(y));
				y = (F16) ((U16) y & tail->mask);
			}
			else
				for (int i = j; i < d; i++)
					y[i - j] = x[i];
			s = tail->shift;
		}
		y -= s;
		square += y * y;
		if (PAIR == 1)
			memcpy(words + j, &y, sizeof(y));
		else
		{
			U16			bits = (U16) y;
			H16			half;
			F16			difference;

			bits += 0x7fff + ((bits >> 16) & 1);
			half = __builtin_convertvector(bits >> 16, H16);
			memcpy(words + j / 2, &half, sizeof(half));
			difference = y - (F16) (bits & 0xffff0000u);
			lost += difference * difference;
		}
	}
	sum_lanes(&square, &lost, &rows->square[slot], &rows->error[slot]);
}

/* A row's norm and error from their squares, both rounded up. */
static inline __attribute__((always_inline)) void
finish_row(const float *square, float *norm, float *error, float slack)
{
	float		lost = *error;

	*norm = sqrtf(*square) * slack * (PAIR == 1 ? 1.0f : 1.0f + 0x1p-8f);
	*error = *norm * 0x1p-24f;
	if (PAIR == 2)
		*error += sqrtf(lost) * slack;
}

/* The same for all rows of encode(): roots a vector at a time. */
static void
finish_rows(int d, const int32_t *chosen, int count, const PmCpuRows *rows)
{
	float		slack = 1.0f + (float) (d + 16) * 0x1p-23f;
	const float *restrict square = rows->square;
	float	   *restrict norm = rows->norm;
	float	   *restrict error = rows->error;

	if (chosen == NULL)
		for (int i = 0; i < count; i++)
			finish_row(&square[i], &norm[i], &error[i], slack);
	else
		for (int i = 0; i < count; i++)
			finish_row(&square[chosen[i]], &norm[chosen[i]], &error[chosen[i]], slack);
}

/*
 * Encode rows chosen[0 .. count) of x (all of the first `count` when chosen
 * is NULL), each into the slot of its number.
 */
static void
encode(const float *x, int d, const float *shift, const int32_t *chosen,
	   int count, const PmCpuRows *rows)
{
	Tail		tail = make_tail(d, shift);
	size_t		end = count == 0 ? 0 :
		((size_t) (chosen == NULL ? count - 1 : chosen[count - 1]) + 1) * d;

	for (int i = 0; i < count; i++)
	{
		int			slot = chosen == NULL ? i : chosen[i];
		size_t		tail_at = (size_t) slot * d + (size_t) (d - d % 16);

		encode_row(x + (size_t) slot * d, d, shift, &tail,
				   tail_at + 16 <= end, rows, slot);
	}
	finish_rows(d, chosen, count, rows);
}

/*
 * Lay `count` <= PANEL encoded rows out as a panel, transposing 4 by 4
 * words.  The last vector is filled up with copies of the first row.
 */
static void
pack(const PmCpuRows *rows, const int32_t *chosen, int count, int words,
	 uint32_t *panel)
{
	int			filled = (count + LANES - 1) / LANES * LANES;

	for (int r = 0; r < filled; r += 4)
	{
		const uint32_t *row[4];

		for (int i = 0; i < 4; i++)
			row[i] = rows->words +
				(size_t) chosen[r + i < count ? r + i : 0] * rows->stride;
		for (int p = 0; p < words; p += 4)
		{
			U4			a;
			U4			b;
			U4			c;
			U4			e;
			U4			low_ab;
			U4			high_ab;
			U4			low_ce;
			U4			high_ce;

			memcpy(&a, row[0] + p, sizeof(a));
			memcpy(&b, row[1] + p, sizeof(b));
			memcpy(&c, row[2] + p, sizeof(c));
			memcpy(&e, row[3] + p, sizeof(e));
			low_ab = SHUFFLE(a, b, 0, 4, 1, 5);
			high_ab = SHUFFLE(a, b, 2, 6, 3, 7);
			low_ce = SHUFFLE(c, e, 0, 4, 1, 5);
			high_ce = SHUFFLE(c, e, 2, 6, 3, 7);
			a = SHUFFLE(low_ab, low_ce, 0, 1, 4, 5);
			b = SHUFFLE(low_ab, low_ce, 2, 3, 6, 7);
			c = SHUFFLE(high_ab, high_ce, 0, 1, 4, 5);
			e = SHUFFLE(high_ab, high_ce, 2, 3, 6, 7);
			memcpy(panel + (size_t) p * PANEL + r, &a, sizeof(a));
			memcpy(panel + (size_t) (p + 1) * PANEL + r, &b, sizeof(b));
			memcpy(panel + (size_t) (p + 2) * PANEL + r, &c, sizeof(c));
			memcpy(panel + (size_t) (p + 3) * PANEL + r, &e, sizeof(e));
		}
	}
}

/* score() for a fixed number of vectors. */
static inline __attribute__((always_inline)) void
score_vectors(const uint32_t *panel, int words, const uint32_t *tiles,
			  const float *bias, int tile_count, const PmCpuScores *scores,
			  const int vectors)
{
	Vec			best[VECTORS];
	Vec			second[VECTORS];
	Vec			third[VECTORS];

	for (int v = 0; v < vectors; v++)
		best[v] = second[v] = third[v] = V_SET(-3e38f);
	for (int first = 0; first < tile_count * PM_CPU_TILE; first += WIDTH)
	{
		const uint32_t *word = tiles +
			(size_t) (first / PM_CPU_TILE) * words * PM_CPU_TILE +
			first % PM_CPU_TILE;
		const uint32_t *row = panel;
		Vec			sum[VECTORS][WIDTH];

#pragma GCC unroll 8
		for (int c = 0; c < WIDTH; c++)
#pragma GCC unroll 3
			for (int v = 0; v < vectors; v++)
				sum[v][c] = V_SET(bias[first + c]);
		for (int p = 0; p < words; p++)
		{
			Vec			x[VECTORS];

#pragma GCC unroll 3
			for (int v = 0; v < vectors; v++)
				x[v] = V_LOAD(row + v * LANES);
#pragma GCC unroll 8
			for (int c = 0; c < WIDTH; c++)
			{
				Vec			w = V_WORD(word[c]);

#pragma GCC unroll 3
				for (int v = 0; v < vectors; v++)
					sum[v][c] = V_MUL_ADD(x[v], w, sum[v][c]);
			}
			row += PANEL;
			word += PM_CPU_TILE;
		}
#pragma GCC unroll 8
		for (int c = 0; c < WIDTH; c++)
#pragma GCC unroll 3
			for (int v = 0; v < vectors; v++)
			{
				Vec			tagged = V_TAG(sum[v][c], first + c);
				Vec			beaten = V_MIN(best[v], tagged);

				third[v] = V_MAX(third[v], V_MIN(second[v], beaten));
				second[v] = V_MAX(second[v], beaten);
				best[v] = V_MAX(best[v], tagged);
			}
	}
	for (int v = 0; v < vectors; v++)
	{
		V_STORE(scores->best + v * LANES, best[v]);
		V_STORE(scores->second + v * LANES, second[v]);
		V_STORE(scores->third + v * LANES, third[v]);
	}
}

/*
 * The three highest scores of each of `count` rows of a panel within one
 * block of tiles, tagged with the place in the block.  Writes whole vectors.
 */
static void
score(const uint32_t *panel, int words, int count, const uint32_t *tiles,
	  const float *bias, int tile_count, const PmCpuScores *scores)
{
	switch ((count + LANES - 1) / LANES)
	{
		case 1:
			score_vectors(panel, words, tiles, bias, tile_count, scores, 1);
			break;
#if VECTORS > 1
		case 2:
			score_vectors(panel, words, tiles, bias, tile_count, scores, 2);
			break;
#endif
#if VECTORS > 2
		case 3:
			score_vectors(panel, words, tiles, bias, tile_count, scores, 3);
			break;
#endif
	}
}

/*
 * For the first `count` rows: a bound that the best score of each is not
 * below, how many of the scores kept may reach it (0 where something was not
 * finite), and the last block that has one.
 */
static void
narrow(const PmCpuCentroids *set, const PmCpuScratch *scratch, int count)
{
	const float *norm = scratch->rows.norm;
	const float *error = scratch->rows.error;
	float	   *bound = scratch->bound;
	int32_t    *hits = scratch->hits;
	int32_t    *where = scratch->where;

	for (int i = 0; i < count; i++)
	{
		bound[i] = -3e38f;
		hits[i] = 0;
		where[i] = 0;
	}
	for (int b = 0; b < set->blocks; b++)
	{
		const float *best = scratch->scores.best + (size_t) b * scratch->capacity;
		float		by_norm = set->error_norm[b];
		float		by_error = set->error_encoding[b];
		float		rest = set->error_rest[b];

		for (int i = 0; i < count; i++)
		{
			float		low = best[i] -
				(norm[i] * by_norm + error[i] * by_error + rest);

			bound[i] = low > bound[i] ? low : bound[i];
		}
	}
	for (int b = 0; b < set->blocks; b++)
	{
		const float *best = scratch->scores.best + (size_t) b * scratch->capacity;
		const float *second = scratch->scores.second + (size_t) b * scratch->capacity;
		float		by_norm = set->error_norm[b];
		float		by_error = set->error_encoding[b];
		float		rest = set->error_rest[b];

		for (int i = 0; i < count; i++)
		{
			float		slack = norm[i] * by_norm + error[i] * by_error + rest;
			bool		reaches = (best[i] + slack >= bound[i]) &
				(norm[i] <= set->norm_limit);
			bool		next = second[i] + slack >= bound[i];

			hits[i] += reaches + (reaches & next);
			where[i] = reaches ? b : where[i];
		}
	}
}

/*
 * For rows [begin, begin + count): a bound that the distance to the own
 * centroid is not above.
 */
static void
loosen(const PmCpuBounds *bounds, int64_t begin, int count, float *upper)
{
	for (int i = 0; i < count; i++)
	{
		float		stored = bounds->upper[begin + i];
		float		travel = bounds->travel[bounds->labels[begin + i]];

		upper[i] = stored + travel + (fabsf(stored) + travel) * PM_CPU_BOUND_SLACK;
	}
}

/*
 * For the same rows: the groups, as bits, that may hold a centroid as near as
 * `upper`.  What is not a number counts as near.
 */
static void
prune(const PmCpuBounds *bounds, int64_t begin, int count, const float *upper,
	  uint32_t *open)
{
	memset(open, 0, (size_t) count * sizeof(uint32_t));
	for (int g = 0; g < bounds->groups; g++)
	{
		const float *lower = bounds->lower + (size_t) g * (size_t) bounds->n + begin;
		float		travel = bounds->group_travel[g];
		uint32_t	bit = UINT32_C(1) << g;

		for (int i = 0; i < count; i++)
		{
			float		low = lower[i] - travel -
				(fabsf(lower[i]) + travel) * PM_CPU_BOUND_SLACK;

			open[i] |= low > upper[i] ? 0 : bit;
		}
	}
}

/*
 * For rows list[0 .. count) of a panel and the blocks of a group: bounds that
 * the distances to the group's centroids, other than the own one, are not
 * below, and whether one of these may be as near as the own.
 */
static void
bound_group(const PmCpuCentroids *set, const PmCpuRows *rows,
			const PmCpuOwn *own, const PmCpuScores *scores, int group,
			const int32_t *list, int count, float *lower, int32_t *contested)
{
	float		norm[PM_CPU_PANEL];
	float		error[PM_CPU_PANEL];
	float		square[PM_CPU_PANEL];
	float		own_square[PM_CPU_PANEL];
	int32_t		own_place[PM_CPU_PANEL];
	float		low[PM_CPU_PANEL];

	for (int i = 0; i < count; i++)
	{
		int			slot = list[i];

		norm[i] = rows->norm[slot];
		error[i] = rows->error[slot];
		square[i] = rows->square[slot] * (1 - (float) (set->d + 16) * 0x1p-22f);
		own_square[i] = own->square[slot];
		own_place[i] = own->place[slot];
		low[i] = 3e38f;
	}
	for (int b = set->group_start[group]; b < set->group_start[group + 1]; b++)
	{
		int			offset = (b - set->group_start[group]) * PM_CPU_PANEL;
		const float *best = scores->best + offset;
		const float *second = scores->second + offset;
		float		by_norm = set->error_norm[b];
		float		by_error = set->error_encoding[b];
		float		rest = set->error_rest[b];
		int32_t		start = set->start[b];

		for (int i = 0; i < count; i++)
		{
			float		slack = norm[i] * by_norm + error[i] * by_error + rest;
			uint32_t	bits;
			float		score;
			float		value;

			memcpy(&bits, best + i, sizeof(bits));
			score = (int32_t) (bits & (PM_CPU_BLOCK - 1)) + start == own_place[i] ?
				second[i] : best[i];
			value = square[i] - 2 * (score + slack);
			low[i] = value < low[i] ? value : low[i];
		}
	}
	for (int i = 0; i < count; i++)
	{
		contested[i] = !(low[i] > own_square[i]);
		lower[i] = sqrtf(low[i] > 0 ? low[i] : 0) * (1 - 0x1p-22f);
	}
}

/* Squared distance in double precision, summed in a fixed order. */
static double
distance(const float *x, const float *c, int d)
{
	D8			wide[2] = {{0}, {0}};
	double		sum = 0;
	int			j = 0;

	for (; j + 16 <= d; j += 16)
		for (int half = 0; half < 2; half++)
		{
			F8			a;
			F8			b;
			D8			difference;

			memcpy(&a, x + j + 8 * half, sizeof(a));
			memcpy(&b, c + j + 8 * half, sizeof(b));
			difference = __builtin_convertvector(a, D8) -
				__builtin_convertvector(b, D8);
			wide[half] += difference * difference;
		}
	for (; j < d; j++)
	{
		double		difference = (double) x[j] - (double) c[j];

		sum += difference * difference;
	}
	wide[0] += wide[1];
	for (int i = 0; i < 4; i++)
		sum += wide[0][i] + wide[0][i + 4];
	return sum;
}

/*
 * Take weight * x * scale, rounded to integers, off `from` (unless NULL) and
 * add it to `to`.
 */
static void
move(const float *x, double weight, const double *scale, int d, int64_t *from,
	 int64_t *to)
{
	int			j = 0;

	for (; j + 8 <= d; j += 8)
	{
		F8			a;
		D8			factor;
		I8			value;
		I8			total;

		memcpy(&a, x + j, sizeof(a));
		memcpy(&factor, scale + j, sizeof(factor));
		value = (I8) (__builtin_convertvector(a, D8) * weight * factor + ROUNDER) -
			ROUNDER_BITS;
		memcpy(&total, to + j, sizeof(total));
		total += value;
		memcpy(to + j, &total, sizeof(total));
		if (from != NULL)
		{
			memcpy(&total, from + j, sizeof(total));
			total -= value;
			memcpy(from + j, &total, sizeof(total));
		}
	}
	for (; j < d; j++)
	{
		int64_t		value = (int64_t) rint((double) x[j] * weight * scale[j]);

		to[j] += value;
		if (from != NULL)
			from[j] -= value;
	}
}

/* The same, with what the rounding loses, times `fine`, in further tables. */
static void
move_fine(const float *x, double weight, const double *scale, double fine,
		  int d, int64_t *from, int64_t *to, int64_t *from_fine,
		  int64_t *to_fine)
{
	for (int j = 0; j < d; j++)
	{
		double		exact = (double) x[j] * weight * scale[j];
		double		whole = rint(exact);
		int64_t		value = (int64_t) whole;
		int64_t		rest = (int64_t) rint((exact - whole) * fine);

		to[j] += value;
		to_fine[j] += rest;
		if (from != NULL)
		{
			from[j] -= value;
			from_fine[j] -= rest;
		}
	}
}

const PmCpuKernels KERNEL_TABLE = {
	.name = KERNEL_NAME,
	.panel = PANEL,
	.vector = LANES,
	.pair = PAIR,
	.encode = encode,
	.pack = pack,
	.score = score,
	.narrow = narrow,
	.loosen = loosen,
	.prune = prune,
	.bound_group = bound_group,
	.distance = distance,
	.move = move,
	.move_fine = move_fine
};

#endif							/* PM_CPU_KERNEL_H */
