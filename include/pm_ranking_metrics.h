/*
 * pm_ranking_metrics.h
 *		How good are lists of recommended items.
 *
 * For every user there is a list of items, the best first, and the items that
 * the user took later.  Averages are over the users with such an item.
 */
#ifndef PM_RANKING_METRICS_H
#define PM_RANKING_METRICS_H

#include "pm_arena.h"
#include "pm_context.h"

/* Places of a list whose pairs count for diversity, at most. */
#define PM_DIVERSITY_PLACES 500

/* How alike two items are, 1 the same; called from several threads. */
typedef float (*PmItemSimilarity) (const void *argument, int32_t a, int32_t b);

typedef struct PmRankingLists
{
	int32_t		users;
	int32_t		items;
	int32_t		k;				/* places of a list */
	const int32_t *ranked;		/* users * k; -1 ends a shorter list */
	const int64_t *test_offsets;	/* users + 1 */
	const int32_t *test_items;	/* of a user, increasing */

	/* In how many of the `trained_users` lists of training an item was. */
	const int64_t *popularity;	/* items; NULL: not known */
	int64_t		trained_users;
	double		popular_share;	/* of the items, the most taken are popular */

	PmItemSimilarity similarity;	/* NULL: not known */
	const void *similarity_argument;
} PmRankingLists;

/* What is not defined is NAN. */
typedef struct PmRankingMetrics
{
	int64_t		users;			/* with a test item: averages are of these */
	double		recall;			/* of the test items, in the list */
	double		precision;		/* of the k places, test items */
	double		hit_rate;		/* of the users, with one in the list */
	double		ndcg;			/* gains 1 / log2(1 + place), best order = 1 */
	double		map;			/* precision at each hit / min(k, test items) */
	double		mrr;			/* 1 / place of the first hit, 0 without one */
	double		coverage;		/* of all items, in some list */
	double		novelty;		/* mean -log2(popularity / trained_users) */
	double		popular;		/* of the places, with popular items */
	double		diversity;		/* mean 1 - similarity of pairs in a list */
} PmRankingMetrics;

/*
 * Novelty counts an item that was never taken as one taken once.  The last
 * three are averages over the users for whom they are defined: those with a
 * list, with two items in it.  A list that holds an item twice is refused.
 */
extern PmStatus pm_ranking_metrics(PmContext *ctx, const PmRankingLists *lists,
								   PmRankingMetrics *metrics);

#endif							/* PM_RANKING_METRICS_H */
