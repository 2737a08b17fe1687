/*
 * test_ranking_golden.c
 *		NDCG of lists against scikit-learn's.
 */
#include "pm_ranking_metrics.h"

#include "fault_device.h"
#include "golden/ranking_metrics.h"
#include "test.h"

/* The numbers of golden/make_ranking_metrics.py. */
static uint64_t golden_state;

static int
golden_below(int bound)
{
	golden_state ^= golden_state << 13;
	golden_state ^= golden_state >> 7;
	golden_state ^= golden_state << 17;
	return (int) ((golden_state >> 33) % (uint64_t) bound);
}

static void
like_scikit_learn(void)
{
	enum
	{
		ITEMS = 40,
		K = 8
	};

	golden_state = UINT64_C(0x9E3779B97F4A7C15);
	for (int user = 0; user < 12; user++)
	{
		int32_t		order[ITEMS];
		int32_t		test[ITEMS];
		int64_t		offsets[2] = {0, 0};
		PmRankingLists lists = {.users = 1,.items = ITEMS,.k = K,.ranked = order,.test_offsets = offsets,.test_items = test};
		PmRankingMetrics metrics;
		PmContext	ctx;

		for (int i = 0; i < ITEMS; i++)
			order[i] = i;
		for (int i = 0; i < ITEMS - 1; i++)
		{
			int			j = i + golden_below(ITEMS - i);
			int32_t		swapped = order[i];

			order[i] = order[j];
			order[j] = swapped;
		}
		for (int i = 0; i < ITEMS; i++)
			if ((golden_below(10) < 1 + user % 4) | (i == order[user % K]))
				test[offsets[1]++] = i;
		fault_context(&ctx, NULL, 0, 1, NULL);
		CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &lists, &metrics), PM_OK);
		CHECK_CLOSE(metrics.ndcg, golden_ndcg[user], 1e-13, 0);
		pm_arena_destroy(ctx.arena);
	}
}

int
main(void)
{
	TEST(like_scikit_learn);
	return test_report();
}
