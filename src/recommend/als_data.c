/*
 * als_data.c
 *		Interactions that least squares can be fitted to, and their mean.
 */
#include "als.h"

#include "pm_parallel.h"

#include <math.h>

/* Elements of a task: each has a sum of its own. */
#define ELEMENTS 65536
#define ELEMENT_TIME 1.0

typedef struct Survey
{
	const float *values;
	int64_t		count;
	float		least;			/* what values must be at least */
	double	   *sums;			/* by task; NAN where a value is not good */
} Survey;

static bool
is_good(const Survey *survey, int64_t i)
{
	return isfinite(survey->values[i]) && survey->values[i] >= survey->least;
}

static void
survey_task(int64_t index, int lane, void *argument)
{
	const Survey *survey = argument;
	int64_t		first = index * ELEMENTS;
	int64_t		end = survey->count - first < ELEMENTS ? survey->count : first + ELEMENTS;
	double		sum = 0;
	bool		good = true;

	(void) lane;
	for (int64_t i = first; i < end; i++)
	{
		good &= is_good(survey, i);
		sum += survey->values[i];
	}
	survey->sums[index] = good ? sum : NAN;
}

/* Name the first value that is not good. */
static PmStatus
refuse(PmContext *ctx, const Survey *survey, const PmCsr *by_user, int64_t from)
{
	int32_t		user = 0;

	while (is_good(survey, from))
		from++;
	while (by_user->offsets[user + 1] <= from)
		user++;
	return pm_fail(ctx, PM_INVALID, "user %d and item %d have the value %g, which is not %s",
				   (int) user, (int) by_user->indices[from], (double) survey->values[from],
				   survey->least == 0 ? "a number from 0 on" : "a finite number");
}

PmStatus
pm_als_check_data(PmContext *ctx, const PmCsr *by_user, const PmCsr *by_item,
				  const PmAlsOptions *options, double *mean)
{
	Survey		survey = {.values = by_user->values,.count = pm_csr_count(by_user)};
	int64_t		tasks = (survey.count + ELEMENTS - 1) / ELEMENTS;
	double		sum = 0;
	PmStatus	status;

	if (survey.count == 0)
		return pm_fail(ctx, PM_INVALID, "there is no interaction to learn from");
	if (by_user->rows != by_item->columns || by_user->columns != by_item->rows ||
		survey.count != pm_csr_count(by_item))
		return pm_fail(ctx, PM_INVALID, "the matrix and its transpose do not fit");
	survey.least = options->feedback == PM_ALS_EXPLICIT ? -INFINITY : 0;
	PM_TRY(pm_alloc(ctx, "sums of values", (size_t) tasks, sizeof(double), &survey.sums));
	status = pm_parallel(ctx, "alternating least squares", tasks, ELEMENTS * ELEMENT_TIME,
						 survey_task, &survey);
	for (int64_t i = 0; i < tasks && status == PM_OK; i++)
	{
		if (isnan(survey.sums[i]))
			status = refuse(ctx, &survey, by_user, i * ELEMENTS);
		sum += survey.sums[i];
	}
	pm_release(ctx, survey.sums);
	*mean = options->feedback == PM_ALS_EXPLICIT ? sum / (double) survey.count : 0;
	return status;
}
