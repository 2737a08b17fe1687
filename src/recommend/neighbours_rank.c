/*
 * neighbours_rank.c
 *		The best of the rows that one has something in common with.
 *
 * Each gets a score; a histogram of the scores tells which can be among the k
 * best, and only for those the similarity itself is computed.
 */
#include "neighbours_heap.h"
#include "neighbours_lane.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* So many are sorted by insertion. */
#define RUN 4

/* ---- similarities ------------------------------------------------------ */

/* To 44 bits: what is equal on paper shall be equal. */
static inline double
round_similarity(double value)
{
	uint64_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	bits = (bits + (UINT64_C(1) << 8)) & ~((UINT64_C(1) << 9) - 1);
	memcpy(&value, &bits, sizeof(bits));
	return value;
}

/* A sum of both signs that is 0 on paper is 0. */
static inline double
without_noise(double similarity)
{
	return fabs(similarity) < 1e-12 ? 0 : similarity;
}

/* What n columns in common leave of a similarity. */
static inline double
shrink(const PmNeighbours *neighbours, double n)
{
	double		shrinkage = neighbours->options.shrinkage;

	return shrinkage > 0 ? n / (n + shrinkage) : 1;
}

/* A correlation from the moments; NAN where one side is constant. */
static inline double
correlation(const PmCommonMoments *m)
{
	double		n = (double) m->count;
	double		xx = n * m->xx - m->x * m->x;
	double		yy = n * m->yy - m->y * m->y;
	double		r;

	if (m->count < 2 || xx <= 1e-12 * n * m->xx || yy <= 1e-12 * n * m->yy)
		return NAN;
	r = (n * m->xy - m->x * m->y) / sqrt(xx * yy);
	return r > 1 ? 1 : r < -1 ? -1 : without_noise(r);
}

/* The columns that a row has in common with that of the lane. */
static inline int64_t
common_of(const PmNeighbourLane *lane, int32_t other)
{
	return lane->counts != NULL ? lane->counts[other] :
		lane->sums != NULL ? lane->sums[other].count : lane->moments[other].count;
}

/* The similarity of a lane's row and another one, without its shrinkage. */
static inline double
similarity(const PmNeighbours *neighbours, const PmNeighbourLane *lane, int32_t row,
		   int32_t other)
{
	double		a = neighbours->squares[row];
	double		b = neighbours->squares[other];

	if (lane->moments != NULL)
		return correlation(&lane->moments[other]);
	if (lane->sums != NULL && neighbours->options.metric == PM_NEIGHBOUR_ADJUSTED_COSINE)
		return without_noise(lane->sums[other].xy / sqrt(a * b));
	if (lane->sums != NULL)
		return lane->sums[other].xy / sqrt(a * b);
	if (neighbours->options.metric == PM_NEIGHBOUR_JACCARD)
		return lane->counts[other] / (a + b - lane->counts[other]);
	return lane->counts[other] * neighbours->unit / sqrt(a * b);
}

/* Two rows as neighbours. */
static inline PmNeighbour
neighbour_between(const PmNeighbours *neighbours, const PmNeighbourLane *lane, int32_t row,
					 int32_t other)
{
	int32_t		common = (int32_t) common_of(lane, other);
	PmNeighbour one = {round_similarity(similarity(neighbours, lane, row, other) *
										shrink(neighbours, common)), other, common};

	return one;
}

/* ---- sorting ------------------------------------------------------------ */

/* A neighbour as a number of 128 bits, larger for the better ones. */
static inline PmNeighbourKey
key_of(const PmNeighbour *one)
{
	PmNeighbourKey key;

	memcpy(&key.high, &one->similarity, sizeof(key.high));
	key.high ^= key.high >> 63 != 0 ? UINT64_MAX : UINT64_C(1) << 63;
	key.low = (uint64_t) (UINT32_MAX - (uint32_t) one->row) << 32 | (uint32_t) one->common;
	return key;
}

static inline PmNeighbour
neighbour_of(const PmNeighbourKey *key)
{
	PmNeighbour one;
	uint64_t	bits = key->high ^ (key->high >> 63 != 0 ? UINT64_C(1) << 63 : UINT64_MAX);

	memcpy(&one.similarity, &bits, sizeof(bits));
	one.row = (int32_t) (UINT32_MAX - (uint32_t) (key->low >> 32));
	one.common = (int32_t) (uint32_t) key->low;
	return one;
}

static inline bool
is_better(const PmNeighbourKey *a, const PmNeighbourKey *b)
{
	return (a->high > b->high) | ((a->high == b->high) & (a->low > b->low));
}

/* Sort a few, by insertion. */
static void
sort_run(PmNeighbourKey *keys, int32_t count)
{
	for (int32_t i = 1; i < count; i++)
	{
		PmNeighbourKey key = keys[i];
		int32_t		at = i;

		for (; at > 0 && is_better(&key, &keys[at - 1]); at--)
			keys[at] = keys[at - 1];
		keys[at] = key;
	}
}

/* Merge two runs, the better ones first; what comes next is no branch. */
static void
merge_runs(const PmNeighbourKey *left, int32_t left_count, const PmNeighbourKey *right,
		   int32_t right_count, PmNeighbourKey *out)
{
	const PmNeighbourKey *left_end = left + left_count;
	const PmNeighbourKey *right_end = right + right_count;

	while (left < left_end && right < right_end)
	{
		int			from_right = is_better(right, left);

		*out++ = *(from_right ? right : left);
		right += from_right;
		left += 1 - from_right;
	}
	memcpy(out, left, (size_t) (left_end - left) * sizeof(*out));
	memcpy(out + (left_end - left), right, (size_t) (right_end - right) * sizeof(*out));
}

/* The better ones first: runs, and merges of them. */
static void
sort_keys(PmNeighbourKey *keys, PmNeighbourKey *spare, int32_t count)
{
	PmNeighbourKey *from = keys;
	PmNeighbourKey *to = spare;

	for (int32_t begin = 0; begin < count; begin += RUN)
		sort_run(keys + begin, count - begin < RUN ? count - begin : RUN);
	for (int64_t width = RUN; width < count; width *= 2)
	{
		PmNeighbourKey *last = from;

		for (int64_t begin = 0; begin < count; begin += 2 * width)
		{
			int64_t		left = count - begin < width ? count - begin : width;
			int64_t		right = count - begin - left < width ? count - begin - left : width;

			merge_runs(from + begin, (int32_t) left, from + begin + left, (int32_t) right,
					   to + begin);
		}
		from = to;
		to = last;
	}
	if (from != keys)
		memcpy(keys, from, (size_t) count * sizeof(*keys));
}

/* ---- the best of those touched ------------------------------------------ */

/* The scores of cosines by counting, which is what most ask for. */
static void
score_counts(const PmNeighbours *neighbours, PmNeighbourLane *lane, int32_t row, int32_t touched)
{
	const double *inverse = neighbours->inverse;
	const int32_t *counts = lane->counts;
	double		unit = neighbours->unit * inverse[row];
	int32_t		least = neighbours->options.min_overlap;

	for (int32_t i = 0; i < touched; i++)
	{
		int32_t		other = lane->touched[i];
		float		score = (float) (counts[other] * unit * inverse[other]);

		lane->scores[i] = ((other == row) | (counts[other] < least)) ? -INFINITY : score;
	}
}

/*
 * A score for each of them: the similarity but for the last bits; -INFINITY
 * for what is no neighbour.
 */
static void
score_touched(const PmNeighbours *neighbours, PmNeighbourLane *lane, int32_t row,
			  int32_t touched)
{
	int32_t		least = neighbours->options.min_overlap;
	bool		jaccard = neighbours->options.metric == PM_NEIGHBOUR_JACCARD;
	bool		adjusted = neighbours->options.metric == PM_NEIGHBOUR_ADJUSTED_COSINE;
	double		squares = neighbours->squares[row];
	double		inverse = neighbours->inverse[row];
	double		unit = neighbours->unit * inverse;

	for (int32_t i = 0; i < touched; i++)
	{
		int32_t		other = lane->touched[i];
		int64_t		common = common_of(lane, other);
		float		score;

		if (lane->moments != NULL)
			score = (float) correlation(&lane->moments[other]);
		else if (lane->sums != NULL)
		{
			double		cosine = lane->sums[other].xy * inverse * neighbours->inverse[other];

			score = (float) (adjusted ? without_noise(cosine) : cosine);
		}
		else if (jaccard)
			score = (float) common / (float) (squares + neighbours->squares[other] - (double) common);
		else
			score = (float) ((double) common * unit * neighbours->inverse[other]);
		score *= (float) shrink(neighbours, (double) common);
		if (other == row || common < least || isnan(score) ||
			(lane->moments == NULL && (squares == 0 || neighbours->inverse[other] == 0)))
			score = -INFINITY;
		lane->scores[i] = score;
	}
}

/* A score's bucket: higher for higher ones, some 6 % wide. */
static inline uint32_t
bucket_of(float score)
{
	uint32_t	bits;

	memcpy(&bits, &score, sizeof(bits));
	bits ^= bits >> 31 != 0 ? UINT32_C(0xffffffff) : UINT32_C(0x80000000);
	return bits >> PM_SCORE_SHIFT;
}

/* A bucket's lowest score, and a little less for the bits that scores lack. */
static float
lowest_of(uint32_t bucket)
{
	uint32_t	bits = bucket << PM_SCORE_SHIFT;
	float		score;

	bits ^= bits >> 31 != 0 ? UINT32_C(0x80000000) : UINT32_C(0xffffffff);
	memcpy(&score, &bits, sizeof(score));
	return score - fabsf(score) * 1e-5f;
}

/* A score that the k best reach, and not many others. */
static float
find_limit(PmNeighbourLane *lane, int32_t touched, int32_t k)
{
	uint32_t	low = PM_SCORE_BUCKETS - 1;
	uint32_t	high = 0;
	int64_t		found = 0;
	uint32_t	bucket;

	for (int32_t i = 0; i < touched; i++)
	{
		if (lane->scores[i] == -INFINITY)
			continue;
		bucket = bucket_of(lane->scores[i]);
		lane->buckets[bucket]++;
		low = bucket < low ? bucket : low;
		high = bucket > high ? bucket : high;
	}
	if (high < low)
		return INFINITY;
	for (bucket = high; bucket > low; bucket--)
	{
		found += lane->buckets[bucket];
		if (found >= k)
			break;
	}
	memset(lane->buckets + low, 0, (high - low + 1) * sizeof(uint32_t));
	return lowest_of(bucket);
}

/* List those that reach the limit; what few of many do is no branch. */
static int32_t
keep_best(PmNeighbourLane *lane, int32_t touched, float limit)
{
	int32_t		kept = 0;

	for (int32_t i = 0; i < touched; i++)
	{
		lane->kept[kept] = lane->touched[i];
		kept += lane->scores[i] >= limit;
	}
	return kept;
}

/* Leave the places as they were. */
static void
clear_places(PmNeighbourLane *lane, int32_t touched)
{
	if (lane->counts != NULL)
		for (int32_t i = 0; i < touched; i++)
			lane->counts[lane->touched[i]] = 0;
	else if (lane->sums != NULL)
		for (int32_t i = 0; i < touched; i++)
			memset(&lane->sums[lane->touched[i]], 0, sizeof(PmCommonSums));
	else
		for (int32_t i = 0; i < touched; i++)
			memset(&lane->moments[lane->touched[i]], 0, sizeof(PmCommonMoments));
}

int32_t
pm_neighbour_rank(const PmNeighbours *neighbours, PmNeighbourLane *lane, int32_t row,
				  int32_t touched, int32_t k, PmNeighbour *list)
{
	PmNeighbourHeap heap = {list, 0, k};
	float		limit = -FLT_MAX;
	int32_t		kept;

	if (neighbours->counts && !(neighbours->options.shrinkage > 0) &&
		neighbours->options.metric == PM_NEIGHBOUR_COSINE)
		score_counts(neighbours, lane, row, touched);
	else
		score_touched(neighbours, lane, row, touched);
	if (touched > k)
		limit = find_limit(lane, touched, k);
	kept = keep_best(lane, touched, limit);
	for (int32_t i = 0; i < kept; i++)
	{
		PmNeighbour one = neighbour_between(neighbours, lane, row, lane->kept[i]);

		if (kept <= lane->key_count)
			lane->keys[i] = key_of(&one);
		else
			pm_neighbour_offer(&heap, one);
	}
	clear_places(lane, touched);
	if (kept > lane->key_count)
	{
		pm_neighbour_order(&heap);
		return heap.count;
	}
	sort_keys(lane->keys, lane->spare_keys, kept);
	kept = kept < k ? kept : k;
	for (int32_t i = 0; i < kept; i++)
		list[i] = neighbour_of(&lane->keys[i]);
	return kept;
}
