/*
 * test_ranking_metrics.c
 *		Measures of lists against values by hand and a plain implementation.
 */
#include "pm_ranking_metrics.h"

#include <stdlib.h>

#include "pm_rng.h"
#include "recommend_cases.h"
#include "test.h"

static PmDevice *device;

/* Items are alike as 1 / (1 + their distance). */
static float
near(const void *argument, int32_t a, int32_t b)
{
	(void) argument;
	return 1.0f / (1.0f + (float) abs(a - b));
}

/* Three users of six items, k = 3; the second has no test item. */
static const int32_t hand_ranked[] = {2, 0, 5, 0, 1, 2, 4, 1, -1};
static const int64_t hand_offsets[] = {0, 2, 2, 6};
static const int32_t hand_test[] = {0, 5, 1, 2, 3, 5};
static const int64_t hand_popularity[] = {8, 4, 2, 1, 0, 8};

static PmRankingLists
hand_lists(void)
{
	return (PmRankingLists) {
		.users = 3,.items = 6,.k = 3,.ranked = hand_ranked,
		.test_offsets = hand_offsets,.test_items = hand_test,
		.popularity = hand_popularity,.trained_users = 16,
		.popular_share = 0.3,.similarity = near
	};
}

static void
by_hand(void)
{
	PmRankingLists lists = hand_lists();
	PmRankingMetrics metrics;
	PmContext	ctx;

	/* hits of user 0 at places 2 and 3 of {0, 5}; of user 2 at 2 of four */
	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &lists, &metrics), PM_OK);
	CHECK_INT(metrics.users, 2);
	CHECK_CLOSE(metrics.recall, (2 / 2.0 + 1 / 4.0) / 2, 1e-15, 0);
	CHECK_CLOSE(metrics.precision, (2 / 3.0 + 1 / 3.0) / 2, 1e-15, 0);
	CHECK_CLOSE(metrics.hit_rate, 1, 0, 0);
	/* log2(3) = 1.5849625007211562: (0.6309298 + 0.5) / 1.6309298 and 0.6309298 / 2.1309298 */
	CHECK_CLOSE(metrics.ndcg, (0.6934264036172708 + 0.2960819109658652) / 2, 1e-14, 0);
	CHECK_CLOSE(metrics.map, ((1 / 2.0 + 2 / 3.0) / 2 + (1 / 2.0) / 3) / 2, 1e-15, 0);
	CHECK_CLOSE(metrics.mrr, 0.5, 1e-15, 0);
	CHECK_CLOSE(metrics.coverage, 5 / 6.0, 1e-15, 0);
	/* -log2 of 2/16, 8/16, 8/16 and of 1/16 (never taken), 4/16 */
	CHECK_CLOSE(metrics.novelty, ((3 + 1 + 1) / 3.0 + (4 + 2) / 2.0) / 2, 1e-15, 0);
	/* 0.3 of 6 items are two: 0 and 5 */
	CHECK_CLOSE(metrics.popular, (2 / 3.0 + 0) / 2, 1e-15, 0);
	/* distances of 2, 0, 5: 2, 3, 5; of 4, 1: 3 */
	CHECK_CLOSE(metrics.diversity, ((2 / 3.0 + 3 / 4.0 + 5 / 6.0) / 3 + 3 / 4.0) / 2, 1e-7, 0);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

/* What is not known is NAN, and so is all without a test item. */
static void
not_defined(void)
{
	PmRankingLists lists = hand_lists();
	PmRankingMetrics metrics;
	PmContext	ctx;
	static const int64_t none[4];
	static const int32_t empty[] = {-1, -1, -1, 0, 1, 2, -1, -1, -1};

	fault_context(&ctx, device, 0, 1, NULL);
	lists.popularity = NULL;
	lists.similarity = NULL;
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &lists, &metrics), PM_OK);
	CHECK(isnan(metrics.novelty) && isnan(metrics.popular) && isnan(metrics.diversity));
	CHECK_CLOSE(metrics.mrr, 0.5, 1e-15, 0);
	lists = hand_lists();
	lists.ranked = empty;
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &lists, &metrics), PM_OK);
	CHECK(metrics.recall == 0 && metrics.ndcg == 0 && metrics.map == 0 && metrics.mrr == 0);
	CHECK(metrics.coverage == 0 && isnan(metrics.novelty) && isnan(metrics.diversity));
	lists.test_offsets = none;
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &lists, &metrics), PM_OK);
	CHECK_INT(metrics.users, 0);
	CHECK(isnan(metrics.recall) && isnan(metrics.ndcg) && isnan(metrics.coverage));
	lists.users = 0;
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &lists, &metrics), PM_OK);
	CHECK(isnan(metrics.recall));
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

/* ---- random lists -------------------------------------------------------- */

typedef struct Lists
{
	PmRankingLists lists;
	int32_t    *ranked;
	int64_t    *offsets;
	int32_t    *test;
	int64_t    *popularity;
} Lists;

static Lists
random_lists(int32_t users, int32_t items, int32_t k, uint64_t seed)
{
	Lists		made;
	PmRng		rng;
	int32_t    *order = malloc(sizeof(int32_t) * items);
	int64_t		count = 0;

	pm_rng_seed(&rng, seed, 0);
	made.ranked = malloc(sizeof(int32_t) * users * k);
	made.offsets = malloc(sizeof(int64_t) * (users + 1));
	made.test = malloc(sizeof(int32_t) * users * items);
	made.popularity = malloc(sizeof(int64_t) * items);
	for (int32_t user = 0; user < users; user++)
	{
		int32_t		length = (int32_t) pm_rng_below(&rng, (uint64_t) (k < items ? k : items) + 1);
		double		share = user % 7 == 3 ? 0 : pm_rng_uniform(&rng) * 0.4;

		for (int32_t i = 0; i < items; i++)
			order[i] = i;
		for (int32_t i = 0; i < k; i++)
			made.ranked[user * k + i] = -1;
		for (int32_t i = 0; i < length; i++)
		{
			int32_t		j = i + (int32_t) pm_rng_below(&rng, (uint64_t) (items - i));
			int32_t		item = order[j];

			order[j] = order[i];
			made.ranked[user * k + i] = item;
		}
		made.offsets[user] = count;
		for (int32_t i = 0; i < items; i++)
			if (pm_rng_uniform(&rng) < share)
				made.test[count++] = i;
	}
	made.offsets[users] = count;
	for (int32_t i = 0; i < items; i++)
		made.popularity[i] = (int64_t) pm_rng_below(&rng, 50);
	free(order);
	made.lists = (PmRankingLists) {
		.users = users,.items = items,.k = k,.ranked = made.ranked,
		.test_offsets = made.offsets,.test_items = made.test,
		.popularity = made.popularity,.trained_users = 50,
		.popular_share = 0.2,.similarity = near
	};
	return made;
}

static void
free_lists(Lists *lists)
{
	free(lists->ranked);
	free(lists->offsets);
	free(lists->test);
	free(lists->popularity);
}

static bool
in_test(const PmRankingLists *lists, int32_t user, int32_t item)
{
	for (int64_t i = lists->test_offsets[user]; i < lists->test_offsets[user + 1]; i++)
		if (lists->test_items[i] == item)
			return true;
	return false;
}

/* Measure by measure, from its definition. */
static PmRankingMetrics
plain(const PmRankingLists *lists)
{
	PmRankingMetrics sum = {0};
	double		listed = 0;
	double		paired = 0;
	bool	   *covered = calloc(lists->items, 1);

	for (int32_t user = 0; user < lists->users; user++)
	{
		const int32_t *list = lists->ranked + (size_t) user * lists->k;
		int			count = (int) (lists->test_offsets[user + 1] - lists->test_offsets[user]);
		int			length = 0;
		int			hits = 0;
		double		gain = 0;
		double		ideal = 0;
		double		precision = 0;
		double		distance = 0;

		if (count == 0)
			continue;
		while (length < lists->k && list[length] >= 0)
			length++;
		for (int place = 1; place <= length; place++)
		{
			int32_t		item = list[place - 1];
			int			above = 0;

			covered[item] = true;
			for (int32_t i = 0; i < lists->items; i++)
				above += lists->popularity[i] > lists->popularity[item] ||
					(lists->popularity[i] == lists->popularity[item] && i < item);
			sum.popular += (double) (above < ceil(0.2 * lists->items)) / length;
			sum.novelty += log2(50.0 / (double) (lists->popularity[item] > 0 ? lists->popularity[item] : 1)) / length;
			for (int other = 0; other < place - 1; other++)
				distance += 1 - near(NULL, item, list[other]);
			if (!in_test(lists, user, item))
				continue;
			hits++;
			if (hits == 1)
				sum.mrr += 1.0 / place;
			gain += log(2) / log(place + 1);
			precision += (double) hits / place;
		}
		for (int place = 1; place <= count && place <= lists->k; place++)
			ideal += log(2) / log(place + 1);
		sum.users++;
		sum.recall += (double) hits / count;
		sum.precision += (double) hits / lists->k;
		sum.hit_rate += hits > 0;
		sum.ndcg += gain / ideal;
		sum.map += precision / (count < lists->k ? count : lists->k);
		listed += length > 0;
		paired += length > 1;
		if (length > 1)
			sum.diversity += distance / (length * (length - 1) / 2);
	}
	for (int32_t i = 0; i < lists->items; i++)
		sum.coverage += (double) covered[i] / lists->items;
	free(covered);
	sum.recall /= (double) sum.users;
	sum.precision /= (double) sum.users;
	sum.hit_rate /= (double) sum.users;
	sum.ndcg /= (double) sum.users;
	sum.map /= (double) sum.users;
	sum.mrr /= (double) sum.users;
	sum.novelty /= listed;
	sum.popular /= listed;
	sum.diversity /= paired;
	return sum;
}

static void
like_plain(void)
{
	static const int sizes[][3] = {{1, 1, 1}, {40, 30, 5}, {500, 60, 20}, {30, 10, 25}, {300, 200, 100}};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		Lists		made = random_lists(sizes[s][0], sizes[s][1], sizes[s][2], s + 1);
		PmRankingMetrics expected = plain(&made.lists);
		PmRankingMetrics metrics[2];

		for (int t = 0; t < 2; t++)
		{
			PmContext	ctx;

			fault_context(&ctx, t == 0 ? NULL : device, 0, t + 1, NULL);
			CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &made.lists, &metrics[t]), PM_OK);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
		}
		CHECK(memcmp(&metrics[0], &metrics[1], sizeof(metrics[0])) == 0);
		if (expected.users > 0)
		{
			CHECK_INT(metrics[0].users, expected.users);
			CHECK_CLOSE(metrics[0].recall, expected.recall, 1e-12, 0);
			CHECK_CLOSE(metrics[0].precision, expected.precision, 1e-12, 0);
			CHECK_CLOSE(metrics[0].hit_rate, expected.hit_rate, 1e-12, 0);
			CHECK_CLOSE(metrics[0].ndcg, expected.ndcg, 1e-12, 0);
			CHECK_CLOSE(metrics[0].map, expected.map, 1e-12, 0);
			CHECK_CLOSE(metrics[0].mrr, expected.mrr, 1e-12, 0);
			CHECK_CLOSE(metrics[0].coverage, expected.coverage, 1e-12, 0);
			CHECK_CLOSE(metrics[0].novelty, expected.novelty, 1e-12, 0);
			CHECK_CLOSE(metrics[0].popular, expected.popular, 1e-12, 0);
			CHECK_CLOSE(metrics[0].diversity, expected.diversity, 1e-6, 0);
		}
		free_lists(&made);
	}
}

/* The lists are refused with this message. */
static void
refused(const PmRankingLists *lists, const char *message)
{
	PmRankingMetrics metrics;
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, NULL);
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, lists, &metrics), PM_INVALID);
	CHECK_TEXT(ctx.message, message);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
}

static void
bad_lists(void)
{
	PmRankingLists good = hand_lists();
	PmRankingLists lists = good;
	int32_t		ranked[9];
	int32_t		test[6];

	memcpy(ranked, hand_ranked, sizeof(ranked));
	memcpy(test, hand_test, sizeof(test));
	lists.ranked = ranked;
	ranked[7] = 6;
	refused(&lists, "the list of user 2 has item 6, which is none");
	ranked[7] = 4;
	refused(&lists, "the list of user 2 has item 4 twice");
	ranked[7] = -1;
	ranked[8] = 2;
	refused(&lists, "the list of user 2 goes on after its end");
	lists = good;
	lists.test_items = test;
	test[3] = 1;
	refused(&lists, "the test items of user 2 are not increasing items");
	lists = good;
	lists.k = 0;
	refused(&lists, "k = 0 is less than 1");
	lists = good;
	lists.popular_share = 1.5;
	refused(&lists, "popular_share = 1.5 is not from 0 to 1");
	lists = good;
	lists.trained_users = 0;
	refused(&lists, "popularity is of 0 users");
	lists = good;
	lists.users = -1;
	refused(&lists, "there are -1 users and 6 items");
}

static void
cancelled_and_out_of_memory(void)
{
	Lists		made = random_lists(300, 200, 50, 3);
	PmRankingMetrics metrics;
	FaultHost	host = {0, 1};
	PmContext	ctx;

	fault_context(&ctx, device, 0, 2, &host);
	CHECK_STATUS(&ctx, pm_ranking_metrics(&ctx, &made.lists, &metrics), PM_CANCELLED);
	CHECK_INT(pm_arena_used(ctx.arena), 0);
	pm_arena_destroy(ctx.arena);
	for (size_t limit = 1; limit < 120000; limit += 4000)
	{
		PmStatus	status;

		fault_context(&ctx, device, limit, 2, NULL);
		status = pm_ranking_metrics(&ctx, &made.lists, &metrics);
		CHECK(status == PM_MEMORY_LIMIT || (status == PM_OK && limit > 100000));
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	free_lists(&made);
}

int
main(void)
{
	device = recommend_device();
	TEST(by_hand);
	TEST(not_defined);
	TEST(like_plain);
	TEST(bad_lists);
	TEST(cancelled_and_out_of_memory);
	return test_report();
}
