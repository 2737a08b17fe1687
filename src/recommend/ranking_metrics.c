/*
 * ranking_metrics.c
 *		How good are lists of recommended items.
 *
 * Users are summed in pieces, and the pieces in their order: the result is
 * the same for any number of threads.
 *
 * NDCG: Jarvelin and Kekalainen 2002, with gains of 0 and 1; the ideal list
 * has min(k, test items) hits.  Novelty: mean self-information, Zhou et al.
 * 2010.  Diversity: Ziegler et al. 2005, as 1 - mean similarity.
 */
#include "pm_ranking_metrics.h"

#include <math.h>
#include <string.h>

#include "pm_parallel.h"
#include "pm_ranking.h"

/* Users that one task sums, at most, and for how many nanoseconds. */
#define PIECE 64
#define PIECE_WORK 1e7

/* Nanoseconds of one place of a list, and of one similarity, about. */
#define PLACE_TIME 40.0
#define SIMILARITY_TIME 100.0

/* Why a piece is refused. */
typedef enum Fault
{
	FAULT_NONE,
	FAULT_ITEM,					/* not one of the items */
	FAULT_TWICE,				/* in the list before */
	FAULT_GAP,					/* items after the end of the list */
	FAULT_TEST					/* test items not increasing */
} Fault;

/* Sums over a piece's users. */
typedef struct Sums
{
	int64_t		users;
	int64_t		listed;			/* users with a list */
	int64_t		paired;			/* users with two items in it */
	double		recall;
	double		precision;
	double		hits;
	double		ndcg;
	double		map;
	double		mrr;
	double		novelty;
	double		popular;
	double		diversity;
	Fault		fault;
	int32_t		user;			/* whose fault it is */
	int32_t		item;
} Sums;

typedef struct Measuring
{
	const PmRankingLists *lists;
	int64_t		piece;			/* users of a task */
	Sums	   *sums;			/* pieces */
	double	   *ideal;			/* ideal[h]: of h hits; k + 1 */
	uint8_t    *listed;			/* items: in some list */
	uint8_t    *popular;		/* items; NULL: not known */
	int32_t    *stamps;			/* lanes of items: the last user with it + 1 */
} Measuring;

/* Is the item one of the user's test items? */
static bool
is_hit(const int32_t *test, int64_t count, int32_t item)
{
	int64_t		low = 0;

	while (low < count)
	{
		int64_t		middle = low + (count - low) / 2;

		if (test[middle] == item)
			return true;
		if (test[middle] < item)
			low = middle + 1;
		else
			count = middle;
	}
	return false;
}

/* Items in a list; *fault where it is no list. */
static int32_t
list_length(const PmRankingLists *lists, int32_t user, int32_t *stamps, Sums *sums)
{
	const int32_t *ranked = lists->ranked + (size_t) user * lists->k;
	int32_t		length = 0;

	while (length < lists->k && ranked[length] != -1)
	{
		int32_t		item = ranked[length++];

		sums->item = item;
		if (item < 0 || item >= lists->items)
			sums->fault = FAULT_ITEM;
		else if (stamps[item] == user + 1)
			sums->fault = FAULT_TWICE;
		if (sums->fault != FAULT_NONE)
			return 0;
		stamps[item] = user + 1;
	}
	for (int32_t place = length; place < lists->k; place++)
		if (ranked[place] != -1)
			sums->fault = FAULT_GAP;
	return length;
}

/* Are the test items items, and increasing? */
static bool
good_test(const PmRankingLists *lists, const int32_t *test, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		if (test[i] < 0 || test[i] >= lists->items || (i > 0 && test[i - 1] >= test[i]))
			return false;
	return true;
}

/* What a list found of the test items. */
static void
sum_hits(const Measuring *state, const int32_t *ranked, int32_t length,
		 const int32_t *test, int64_t count, Sums *sums)
{
	int32_t		k = state->lists->k;
	int32_t		best = count < k ? (int32_t) count : k;
	int32_t		hits = 0;
	double		gain = 0;
	double		precision = 0;

	for (int32_t place = 0; place < length; place++)
	{
		if (!is_hit(test, count, ranked[place]))
			continue;
		if (hits++ == 0)
			sums->mrr += 1.0 / (place + 1);
		gain += state->ideal[place + 1] - state->ideal[place];
		precision += (double) hits / (place + 1);
	}
	sums->users++;
	sums->recall += (double) hits / (double) count;
	sums->precision += (double) hits / k;
	sums->hits += hits > 0;
	sums->ndcg += gain / state->ideal[best];
	sums->map += precision / best;
}

/* What a list is made of, whatever the user took. */
static void
sum_items(const Measuring *state, const int32_t *ranked, int32_t length,
		  Sums *sums)
{
	const PmRankingLists *lists = state->lists;
	double		information = 0;
	int32_t		popular = 0;

	for (int32_t place = 0; place < length; place++)
	{
		int32_t		item = ranked[place];

		/* other threads write the same 1 */
		__atomic_store_n(&state->listed[item], 1, __ATOMIC_RELAXED);
		if (state->popular == NULL)
			continue;
		information -= log2((lists->popularity[item] > 1 ? (double) lists->popularity[item] : 1.0) /
							(double) lists->trained_users);
		popular += state->popular[item];
	}
	sums->listed++;
	sums->novelty += information / length;
	sums->popular += (double) popular / length;
}

/* The mean distance of a list's pairs. */
static void
sum_pairs(const PmRankingLists *lists, const int32_t *ranked, int32_t length,
		  Sums *sums)
{
	double		distance = 0;

	for (int32_t a = 1; a < length; a++)
		for (int32_t b = 0; b < a; b++)
			distance += 1.0 - lists->similarity(lists->similarity_argument, ranked[b], ranked[a]);
	sums->paired++;
	sums->diversity += distance / (0.5 * length * (length - 1.0));
}

/* One user with a test item. */
static void
sum_user(const Measuring *state, int32_t user, int32_t *stamps, Sums *sums)
{
	const PmRankingLists *lists = state->lists;
	const int32_t *ranked = lists->ranked + (size_t) user * lists->k;
	const int32_t *test = lists->test_items + lists->test_offsets[user];
	int64_t		count = lists->test_offsets[user + 1] - lists->test_offsets[user];
	int32_t		length = list_length(lists, user, stamps, sums);

	if (sums->fault == FAULT_NONE && !good_test(lists, test, count))
		sums->fault = FAULT_TEST;
	if (sums->fault != FAULT_NONE)
		return;
	sum_hits(state, ranked, length, test, count, sums);
	if (length > 0)
		sum_items(state, ranked, length, sums);
	if (length > 1 && lists->similarity != NULL)
		sum_pairs(lists, ranked, length < PM_DIVERSITY_PLACES ? length : PM_DIVERSITY_PLACES, sums);
}

static void
sum_piece(int64_t piece, int lane, void *argument)
{
	const Measuring *state = argument;
	const PmRankingLists *lists = state->lists;
	int32_t    *stamps = state->stamps + (size_t) lane * lists->items;
	Sums	   *sums = &state->sums[piece];
	int64_t		first = piece * state->piece;
	int64_t		end = first + state->piece < lists->users ? first + state->piece : lists->users;

	for (int64_t user = first; user < end && sums->fault == FAULT_NONE; user++)
	{
		sums->user = (int32_t) user;
		if (lists->test_offsets[user + 1] > lists->test_offsets[user])
			sum_user(state, (int32_t) user, stamps, sums);
	}
}

/* Say what is wrong with a list. */
static PmStatus
refuse(PmContext *ctx, const Sums *sums)
{
	if (sums->fault == FAULT_ITEM)
		return pm_fail(ctx, PM_INVALID, "the list of user %d has item %d, which is none", sums->user, sums->item);
	if (sums->fault == FAULT_TWICE)
		return pm_fail(ctx, PM_INVALID, "the list of user %d has item %d twice", sums->user, sums->item);
	if (sums->fault == FAULT_GAP)
		return pm_fail(ctx, PM_INVALID, "the list of user %d goes on after its end", sums->user);
	return pm_fail(ctx, PM_INVALID, "the test items of user %d are not increasing items", sums->user);
}

/* Add up the pieces, in order, and divide. */
static PmStatus
average(PmContext *ctx, const Measuring *state, int64_t pieces, PmRankingMetrics *metrics)
{
	const PmRankingLists *lists = state->lists;
	Sums		all = {0};
	int64_t		listed = 0;
	double		users;

	for (int64_t piece = 0; piece < pieces; piece++)
	{
		const Sums *sums = &state->sums[piece];

		if (sums->fault != FAULT_NONE)
			return refuse(ctx, sums);
		all.users += sums->users;
		all.listed += sums->listed;
		all.paired += sums->paired;
		all.recall += sums->recall;
		all.precision += sums->precision;
		all.hits += sums->hits;
		all.ndcg += sums->ndcg;
		all.map += sums->map;
		all.mrr += sums->mrr;
		all.novelty += sums->novelty;
		all.popular += sums->popular;
		all.diversity += sums->diversity;
	}
	for (int32_t item = 0; item < lists->items; item++)
		listed += state->listed[item];
	users = all.users > 0 ? (double) all.users : NAN;
	metrics->users = all.users;
	metrics->recall = all.recall / users;
	metrics->precision = all.precision / users;
	metrics->hit_rate = all.hits / users;
	metrics->ndcg = all.ndcg / users;
	metrics->map = all.map / users;
	metrics->mrr = all.mrr / users;
	metrics->coverage = all.users > 0 && lists->items > 0 ? (double) listed / lists->items : NAN;
	metrics->novelty = state->popular != NULL && all.listed > 0 ? all.novelty / (double) all.listed : NAN;
	metrics->popular = state->popular != NULL && all.listed > 0 ? all.popular / (double) all.listed : NAN;
	metrics->diversity = all.paired > 0 ? all.diversity / (double) all.paired : NAN;
	return PM_OK;
}

/* Mark the most taken items; of those taken equally often, the first. */
static PmStatus
find_popular(PmContext *ctx, Measuring *state)
{
	const PmRankingLists *lists = state->lists;
	double		wanted = ceil(lists->popular_share * lists->items - 1e-9);
	PmRanked   *ranked;
	PmStatus	status;

	PM_TRY(pm_alloc_zero(ctx, "popular items", (size_t) lists->items, 1, &state->popular));
	PM_TRY(pm_alloc(ctx, "popular items", (size_t) lists->items, sizeof(PmRanked), &ranked));
	for (int32_t item = 0; item < lists->items; item++)
		ranked[item] = (PmRanked) {pm_rank_key(-(double) lists->popularity[item]), item};
	status = pm_rank_sort(ctx, lists->items, &ranked);
	for (int64_t i = 0; status == PM_OK && i < lists->items && (double) i < wanted; i++)
		state->popular[ranked[i].row] = 1;
	pm_release(ctx, ranked);
	return status;
}

/* The gain of h hits in the first h places. */
static void
find_ideal(int32_t k, double *ideal)
{
	ideal[0] = 0;
	for (int32_t place = 1; place <= k; place++)
		ideal[place] = ideal[place - 1] + 1 / log2(place + 1.0);
}

static PmStatus
measure(PmContext *ctx, Measuring *state, PmRankingMetrics *metrics)
{
	const PmRankingLists *lists = state->lists;
	double		paired = lists->similarity == NULL ? 0 : lists->k < PM_DIVERSITY_PLACES ? lists->k : PM_DIVERSITY_PLACES;
	double		work = PLACE_TIME * lists->k + SIMILARITY_TIME * paired * paired / 2;
	size_t		lanes = ctx->threads < 1 ? 1 : (size_t) ctx->threads;
	int64_t		pieces;

	state->piece = work * PIECE <= PIECE_WORK ? PIECE : work >= PIECE_WORK ? 1 : (int64_t) (PIECE_WORK / work);
	pieces = ((int64_t) lists->users + state->piece - 1) / state->piece;
	PM_TRY(pm_alloc_zero(ctx, "sums of metrics", (size_t) pieces, sizeof(Sums), &state->sums));
	PM_TRY(pm_alloc(ctx, "ideal gains", (size_t) lists->k + 1, sizeof(double), &state->ideal));
	PM_TRY(pm_alloc_zero(ctx, "items in lists", (size_t) lists->items, 1, &state->listed));
	PM_TRY(pm_alloc_zero(ctx, "items in lists", lanes * (size_t) lists->items, sizeof(int32_t), &state->stamps));
	if (lists->popularity != NULL)
		PM_TRY(find_popular(ctx, state));
	find_ideal(lists->k, state->ideal);
	PM_TRY(pm_parallel(ctx, "measuring", pieces, work * (double) state->piece, sum_piece, state));
	return average(ctx, state, pieces, metrics);
}

static PmStatus
check_lists(PmContext *ctx, const PmRankingLists *lists)
{
	if (lists->users < 0 || lists->items < 0)
		return pm_fail(ctx, PM_INVALID, "there are %d users and %d items", lists->users, lists->items);
	if (lists->k < 1)
		return pm_fail(ctx, PM_INVALID, "k = %d is less than 1", lists->k);
	if (lists->popularity != NULL && !(lists->popular_share >= 0 && lists->popular_share <= 1))
		return pm_fail(ctx, PM_INVALID, "popular_share = %g is not from 0 to 1", lists->popular_share);
	if (lists->popularity != NULL && lists->trained_users < 1)
		return pm_fail(ctx, PM_INVALID, "popularity is of %lld users", (long long) lists->trained_users);
	return PM_OK;
}

PmStatus
pm_ranking_metrics(PmContext *ctx, const PmRankingLists *lists,
				   PmRankingMetrics *metrics)
{
	Measuring	state = {.lists = lists};
	PmStatus	status;

	memset(metrics, 0, sizeof(*metrics));
	PM_TRY(check_lists(ctx, lists));
	status = measure(ctx, &state, metrics);
	pm_release(ctx, state.sums);
	pm_release(ctx, state.ideal);
	pm_release(ctx, state.listed);
	pm_release(ctx, state.popular);
	pm_release(ctx, state.stamps);
	return status;
}
