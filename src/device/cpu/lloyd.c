/*
 * lloyd.c
 *		Lloyd's iterations over rows that stay where they are.
 *
 * A pass either searches all centroids for all rows, or skips what bounds on
 * distances exclude (bounds.c).  Bounds help when most centroids hardly move;
 * until then their upkeep is a loss.  They are tried when few labels change,
 * and given up for a while when they exclude little.  What decides is counts
 * of labels and scores, never time, and the labels are the same either way.
 */
#include "cpu.h"

/*
 * Bounds are tried when a pass changes less than this fraction of labels;
 * later where a row takes fewer multiplications than AMPLE_WORK, because the
 * first pass with bounds then costs more than it can soon save.
 */
#define FEW_CHANGES 0.1
#define FEWEST_CHANGES 0.02
#define AMPLE_WORK 8192.0

/*
 * And given up when a pass with them computes too large a fraction of the
 * scores: what it saves must pay for its upkeep, which measured like that
 * many multiplications a row.
 */
#define MANY_SCORES 0.75
#define FEWEST_SCORES 0.25
#define UPKEEP 340.0

/* For so many passes the first time, then twice as many each time. */
#define FIRST_PAUSE 2

/* Padded, so that lanes do not share a cache line. */
typedef struct Lane
{
	int64_t		changed;
	int64_t		scored;
	int32_t    *labels;			/* of the chunk at hand */
	char		pad[PM_CPU_LINE - 2 * sizeof(int64_t) - sizeof(int32_t *)];
} Lane;

struct PmLloyd
{
	PmLloydRows rows;
	int			threads;		/* lanes there are */
	int32_t    *labels;			/* n; -1 before the first pass */
	PmCpuCentroids set;
	PmCpuScratch *scratch;
	PmCpuSums  *sums;
	Lane	   *lanes;

	PmCpuPruner *pruner;		/* NULL when there is no room for them */
	int			groups;			/* of the pruner */

	/* the pass at hand */
	int64_t		passes;			/* begun so far */
	bool		bounded;		/* it uses bounds */
	bool		fresh;			/* it makes the first ones */
	int			pause;			/* passes until they may be tried again */
	int			next_pause;

	/* the slab at hand */
	int64_t		begin;
	int64_t		end;
};

/* Take the rows of a run. */
PmStatus
pm_cpu_lloyd_open(PmContext *ctx, const PmLloydRows *rows, PmLloyd **out)
{
	PmLloyd    *run;
	PmStatus	status;

	*out = NULL;
	if (rows->n < 0 || rows->d < 1 || rows->k < 1)
		return pm_fail(ctx, PM_INVALID,
					   "k-means: %lld rows of %d columns, %d centroids",
					   (long long) rows->n, rows->d, rows->k);
	PM_TRY(pm_alloc_zero(ctx, "k-means run", 1, sizeof(PmLloyd), &run));
	run->rows = *rows;
	run->threads = ctx->threads;
	run->groups = pm_cpu_pruner_groups(rows->n, rows->d, rows->k);
	run->next_pause = FIRST_PAUSE;
	status = pm_alloc(ctx, "labels", (size_t) rows->n, sizeof(int32_t),
					  &run->labels);
	if (status == PM_OK)
		status = pm_alloc_zero(ctx, "lanes", (size_t) run->threads,
							   sizeof(Lane), &run->lanes);
	if (status == PM_OK)
		status = pm_cpu_centroids_open(ctx, rows->k, rows->d, run->groups,
									   &run->set);
	if (status == PM_OK)
		status = pm_cpu_scratch_open(ctx, &run->set, run->threads,
									 &run->scratch);
	for (int t = 0; status == PM_OK && t < run->threads; t++)
		status = pm_alloc(ctx, "labels of a chunk",
						  (size_t) run->scratch[t].capacity, sizeof(int32_t),
						  &run->lanes[t].labels);
	if (status == PM_OK && run->groups > 0)
		status = pm_cpu_pruner_open(ctx, rows, &run->set, run->labels,
									run->groups, run->threads,
									run->scratch[0].capacity, &run->pruner);
	if (status == PM_OK)
		status = pm_cpu_sums_open(ctx, rows, &run->sums);
	if (status != PM_OK)
	{
		pm_cpu_lloyd_close(ctx, run);
		return status;
	}
	for (int64_t i = 0; i < rows->n; i++)
		run->labels[i] = -1;
	*out = run;
	return PM_OK;
}

/* End a run; NULL is allowed. */
void
pm_cpu_lloyd_close(PmContext *ctx, PmLloyd *run)
{
	if (run == NULL)
		return;
	pm_cpu_sums_close(ctx, run->sums);
	pm_cpu_pruner_close(ctx, run->pruner);
	if (run->lanes != NULL)
		for (int t = 0; t < run->threads; t++)
			pm_release(ctx, run->lanes[t].labels);
	pm_cpu_scratch_close(ctx, run->scratch, run->threads);
	pm_cpu_centroids_close(ctx, &run->set);
	pm_release(ctx, run->lanes);
	pm_release(ctx, run->labels);
	pm_release(ctx, run);
}

/* Assign one chunk of the slab and move its rows between the sums. */
static void
assign_chunk(int64_t index, int lane, void *argument)
{
	PmLloyd    *run = argument;
	PmCpuScratch *scratch = &run->scratch[lane];
	int32_t    *fresh = run->lanes[lane].labels;
	int64_t		begin = run->begin + index * scratch->capacity;
	int			count = run->end - begin < scratch->capacity ?
		(int) (run->end - begin) : scratch->capacity;
	int32_t    *labels = run->labels + begin;
	int64_t		changed = 0;

	if (run->bounded)
		run->lanes[lane].scored += pm_cpu_pruner_search(run->pruner, scratch,
														lane, begin, count,
														fresh);
	else
		pm_cpu_search(&run->set, scratch,
					  run->rows.x + (size_t) begin * run->rows.d, count, fresh);
	pm_cpu_sums_move(run->sums, lane, begin, count, labels, fresh);
	for (int i = 0; i < count; i++)
	{
		changed += labels[i] != fresh[i];
		labels[i] = fresh[i];
	}
	run->lanes[lane].changed += changed;
}

/* How many labels the pass changed. */
static int64_t
count_changed(const PmLloyd *run)
{
	int64_t		changed = 0;

	for (int t = 0; t < run->threads; t++)
		changed += run->lanes[t].changed;
	return changed;
}

/* Decide from the last pass whether the next one uses bounds. */
static void
choose_pass(PmLloyd *run)
{
	double		n = (double) run->rows.n;
	double		work = (double) run->rows.k * run->set.words;
	double		few = FEW_CHANGES * (work < AMPLE_WORK ? work / AMPLE_WORK : 1);
	double		scored = 0;

	for (int t = 0; t < run->threads; t++)
		scored += (double) run->lanes[t].scored;
	if (run->bounded)
	{
		double		many = MANY_SCORES - UPKEEP / work;

		if (many < FEWEST_SCORES)
			many = FEWEST_SCORES;
		if (!run->fresh && scored > many * n * run->set.start[run->set.blocks])
		{
			run->bounded = false;
			run->pause = run->next_pause;
			run->next_pause *= 2;
			pm_cpu_centroids_order(&run->set);
		}
		run->fresh = false;
		return;
	}
	if (run->pause > 0)
		run->pause--;
	else if (run->pruner != NULL && run->passes > 0 &&
			 (double) count_changed(run) < (few > FEWEST_CHANGES ? few : FEWEST_CHANGES) * n)
		run->bounded = run->fresh = true;
}

/* Begin a pass with new centroids. */
static void
begin_pass(PmLloyd *run, const float *centroids)
{
	choose_pass(run);
	if (run->fresh)
		pm_cpu_centroids_group(&run->set, run->groups, centroids);
	pm_cpu_centroids_load(&run->set, centroids);
	if (run->fresh)
		pm_cpu_pruner_start(run->pruner);
	else if (run->bounded)
		pm_cpu_pruner_follow(run->pruner);
	for (int t = 0; t < run->threads; t++)
		run->lanes[t].changed = run->lanes[t].scored = 0;
	run->passes++;
}

/* Move rows [begin, end) to their nearest centroid. */
PmStatus
pm_cpu_lloyd_assign(PmContext *ctx, PmLloyd *run, const float *centroids,
					int64_t begin, int64_t end)
{
	int			capacity = run->scratch[0].capacity;

	if (begin < 0 || begin > end || end > run->rows.n)
		return pm_fail(ctx, PM_INVALID, "k-means: rows %lld to %lld of %lld",
					   (long long) begin, (long long) end,
					   (long long) run->rows.n);
	if (begin == 0)
		begin_pass(run, centroids);
	run->begin = begin;
	run->end = end;
	pm_cpu_parallel_for(ctx, (end - begin + capacity - 1) / capacity,
						assign_chunk, run);
	return PM_OK;
}

/* Sums by cluster after a full pass. */
PmStatus
pm_cpu_lloyd_sums(PmContext *ctx, PmLloyd *run, double *sums, double *weights,
				  int64_t *counts, int64_t *changed)
{
	(void) ctx;
	pm_cpu_sums_total(run->sums, sums, weights, counts);
	*changed = count_changed(run);
	return PM_OK;
}

/* The labels of the last pass. */
PmStatus
pm_cpu_lloyd_labels(PmContext *ctx, PmLloyd *run, int32_t *labels)
{
	(void) ctx;
	memcpy(labels, run->labels, (size_t) run->rows.n * sizeof(int32_t));
	return PM_OK;
}
