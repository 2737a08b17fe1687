/*
 * test_als_top_k.c
 *		The best items of many users against a sort of all scores.
 */
#include "test.h"

#include "als_cases.h"
#include "fault_device.h"
#include "kmeans_cases.h"
#include "pm_rng.h"

#include <stdlib.h>

static PmDevice devices[2];
static PmDevice *device;

/*
 * A model whose numbers are small multiples of 1/4: scores are exact in
 * floats, and many are equal.
 */
static PmAls
coarse_model(int32_t users, int32_t items, int factors, bool biases)
{
	PmAls		als = {.users = users,.items = items};
	size_t		sizes[4] = {(size_t) users * factors, (size_t) items * factors, users, items};
	float	   *arrays[4] = {NULL};
	PmRng		rng;

	pm_rng_seed(&rng, 31, 0);
	als.options = als_options(biases ? PM_ALS_EXPLICIT : PM_ALS_IMPLICIT, factors);
	for (int i = 0; i < (biases ? 4 : 2); i++)
	{
		arrays[i] = malloc((sizes[i] + 1) * sizeof(float));
		for (size_t j = 0; j < sizes[i]; j++)
			arrays[i][j] = (float) ((int) pm_rng_below(&rng, 5) - 2) / 4;
	}
	als.user_factors = arrays[0];
	als.item_factors = arrays[1];
	als.user_bias = arrays[2];
	als.item_bias = arrays[3];
	als.mean = biases ? 3.25 : 0;
	return als;
}

static void
free_model(PmAls *als)
{
	free(als->user_factors);
	free(als->item_factors);
	free(als->user_bias);
	free(als->item_bias);
}

/* An item and its score, for qsort. */
typedef struct Scored
{
	double		score;
	int32_t		item;
} Scored;

static int
compare_scored(const void *a, const void *b)
{
	const Scored *left = a;
	const Scored *right = b;

	if (left->score != right->score)
		return left->score > right->score ? -1 : 1;
	return left->item < right->item ? -1 : 1;
}

/* What a user should get. */
static void
check_user(const PmAls *als, int32_t user, const PmCsr *seen,
		   const bool *allowed, int32_t k, const int32_t *items,
		   const float *scores)
{
	Scored	   *all = malloc((size_t) als->items * sizeof(Scored));
	int64_t		at = seen == NULL ? 0 : seen->offsets[user];
	int64_t		end = seen == NULL ? 0 : seen->offsets[user + 1];
	int32_t		count = 0;

	for (int32_t item = 0; item < als->items; item++)
	{
		bool		had = at < end && seen->indices[at] == item;

		at += had;
		if (!had && (allowed == NULL || allowed[item]))
			all[count++] = (Scored) {als_naive_score(als, user, item), item};
	}
	qsort(all, (size_t) count, sizeof(Scored), compare_scored);
	for (int32_t i = 0; i < k; i++)
		if (i >= count ? items[i] != -1 || scores[i] != -INFINITY :
			items[i] != all[i].item || scores[i] != (float) all[i].score)
		{
			TEST_FAIL("user %d, place %d: item %d, %g", (int) user, (int) i, (int) items[i],
					  scores[i]);
			break;
		}
	free(all);
}

/* All users of a model, and some in the middle. */
static void
check_model(int32_t users, int32_t items, int factors, bool biases, int32_t k,
			double seen_share, bool some_allowed)
{
	PmAls		als = coarse_model(users, items, factors, biases);
	AlsCase    *seen = seen_share > 0 ? als_case_random(users, items, seen_share, false, true, 3) : NULL;
	bool	   *allowed = some_allowed ? malloc((size_t) items) : NULL;
	int32_t    *best = malloc((size_t) users * k * sizeof(int32_t));
	float	   *scores = malloc((size_t) users * k * sizeof(float));
	PmContext	ctx;

	for (int32_t i = 0; i < items && allowed != NULL; i++)
		allowed[i] = i % 3 != 1;
	for (int part = 0; part < 2; part++)
		for (int threads = 1; threads <= 2; threads++)
		{
			int32_t		first = part == 0 ? 0 : users / 3;
			int32_t		end = part == 0 ? users : users - users / 4;
			PmAlsQuery	query = pm_als_users(&als, first, end, seen == NULL ? NULL : &seen->by_user);

			query.allowed = allowed;
			fault_context(&ctx, device, 0, threads, NULL);
			CHECK_STATUS(&ctx, pm_als_top_k(&ctx, &als, &query, k, best, scores), PM_OK);
			CHECK_INT(pm_arena_used(ctx.arena), 0);
			pm_arena_destroy(ctx.arena);
			for (int32_t user = first; user < end; user++)
				check_user(&als, user, query.seen, allowed, k, best + (int64_t) (user - first) * k,
						   scores + (int64_t) (user - first) * k);
		}
	free(best);
	free(scores);
	free(allowed);
	if (seen != NULL)
		als_case_free(seen);
	free_model(&als);
}

static void
against_sort(void)
{
	check_model(1, 1, 1, false, 1, 0, false);
	check_model(3, 5, 2, false, 9, 0, false);
	check_model(3, 5, 2, false, 9, 0.9, true);
	check_model(65, 33, 13, true, 10, 0.3, false);
	check_model(130, 1000, 8, false, 10, 0.1, false);
	check_model(20, 1025, 3, true, 100, 0.5, true);
	check_model(9, 9000, 5, false, 20, 0.02, false);
	check_model(9, 4097, 5, true, 5000, 0.2, true);
	check_model(70, 300, 64, false, 1, 1, false);
}

/* Users whom the model does not hold, without biases. */
static void
other_users(void)
{
	PmAls		als = coarse_model(10, 50, 4, true);
	PmAlsQuery	query = pm_als_users(&als, 2, 5, NULL);
	float	   *biases = als.user_bias;
	int32_t		items[15];
	float		scores[15];
	PmContext	ctx;

	fault_context(&ctx, device, 0, 1, NULL);
	query.biases = NULL;
	CHECK_STATUS(&ctx, pm_als_top_k(&ctx, &als, &query, 5, items, scores), PM_OK);
	als.user_bias = calloc(10, sizeof(float));
	for (int32_t user = 2; user < 5; user++)
		check_user(&als, user, NULL, NULL, 5, items + (user - 2) * 5, scores + (user - 2) * 5);
	query.count = 0;
	CHECK_STATUS(&ctx, pm_als_top_k(&ctx, &als, &query, 5, items, scores), PM_OK);
	free(als.user_bias);
	als.user_bias = biases;
	pm_arena_destroy(ctx.arena);
	free_model(&als);
}

static void
refused(void)
{
	PmAls		als = coarse_model(10, 50, 4, false);
	AlsCase    *rows = als_case_random(10, 49, 0.2, false, false, 1);
	PmAlsQuery	query = pm_als_users(&als, 0, 10, NULL);
	int32_t		items[10];
	float		scores[10];
	PmContext	ctx;

	fault_context(&ctx, device, 0, 1, NULL);
	CHECK_STATUS(&ctx, pm_als_top_k(&ctx, &als, &query, 0, items, scores), PM_INVALID);
	CHECK_TEXT(ctx.message, "k = 0 is not from 1 to 100000");
	CHECK_STATUS(&ctx, pm_als_top_k(&ctx, &als, &query, 100001, items, scores), PM_INVALID);
	query.seen = &rows->by_user;
	CHECK_STATUS(&ctx, pm_als_top_k(&ctx, &als, &query, 1, items, scores), PM_INVALID);
	CHECK_TEXT(ctx.message, "the items that were seen are not of these users");
	pm_arena_destroy(ctx.arena);
	als_case_free(rows);
	free_model(&als);
}

static void
cancelled_and_out_of_memory(void)
{
	PmAls		als = coarse_model(300, 9000, 20, true);
	PmAlsQuery	query = pm_als_users(&als, 0, 300, NULL);
	int32_t    *items = malloc(300 * 10 * sizeof(int32_t));
	float	   *scores = malloc(300 * 10 * sizeof(float));
	PmContext	ctx;
	PmStatus	status = PM_CANCELLED;

	for (long at = 1; status != PM_OK && at < 100; at++)
	{
		FaultHost	host = {0, at};

		fault_context(&ctx, device, 0, 2, &host);
		status = pm_als_top_k(&ctx, &als, &query, 10, items, scores);
		CHECK(status == PM_CANCELLED || (status == PM_OK && at > 6));
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	status = PM_MEMORY_LIMIT;
	for (size_t limit = 1; status != PM_OK && limit < 1 << 22; limit += 30000)
	{
		fault_context(&ctx, device, limit, 2, NULL);
		status = pm_als_top_k(&ctx, &als, &query, 10, items, scores);
		CHECK(status == PM_MEMORY_LIMIT || (status == PM_OK && limit > 300000));
		CHECK_INT(pm_arena_used(ctx.arena), 0);
		pm_arena_destroy(ctx.arena);
	}
	CHECK_INT(status, PM_OK);
	free(items);
	free(scores);
	free_model(&als);
}

int
main(void)
{
	int			count = test_devices(devices, 2);

	device = NULL;
	for (int i = 0; i <= count; i++)
	{
		TEST(against_sort);
		TEST(other_users);
		TEST(refused);
		TEST(cancelled_and_out_of_memory);
		device = &devices[i];
	}
	return test_report();
}
