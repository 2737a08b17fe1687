/*
 * log.c
 *		The course of a training: one entry an epoch or iteration.
 */
#include "pm_ctr.h"

#include <time.h>

PmStatus
pm_ctr_log_add(PmContext *ctx, PmCtrLog *log, const PmCtrLogEntry *entry)
{
	if (log == NULL)
		return PM_OK;
	PM_TRY(pm_reserve(ctx, "log of the training", log->count + 1,
					  sizeof(PmCtrLogEntry), &log->entries, &log->capacity));
	log->entries[log->count++] = *entry;
	return PM_OK;
}

double
pm_ctr_clock(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}
