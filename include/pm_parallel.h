/*
 * pm_parallel.h
 *		Work in many pieces, on the device's threads, that can be cancelled.
 */
#ifndef PM_PARALLEL_H
#define PM_PARALLEL_H

#include "pm_device.h"

/*
 * Run task(index) for every index in [0, count), with the device's
 * parallel_for, or in a loop where there is no device or hardly any work.
 * `work` is what one index takes, in nanoseconds, roughly: before every 20
 * ms of work on each thread the host is asked whether to go on.  `what` was
 * cancelled where it says no.
 *
 * Pieces must not depend on the number of threads, only on the data: then
 * results do not either.
 */
extern PmStatus pm_parallel(PmContext *ctx, const char *what, int64_t count,
							double work, PmTask task, void *argument);

#endif							/* PM_PARALLEL_H */
