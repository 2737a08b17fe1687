/*
 * parallel.c
 *		Work on several threads by OpenMP.
 *
 * OpenMP starts its helper threads on demand and keeps them, so they start
 * here, with every signal blocked: PostgreSQL's handlers must only ever run
 * on the backend's own thread.  Meanwhile that thread has them blocked too;
 * a signal arrives when the region is over, at most some 50 ms later.
 */
#include "cpu.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>

/* Run task(index) for every index on at most ctx->threads threads. */
void
pm_cpu_parallel_for(PmContext *ctx, int64_t count, PmTask task, void *argument)
{
	int			threads = ctx->threads < count ? ctx->threads : (int) count;
	sigset_t	all;
	sigset_t	previous;

	if (threads <= 1)
	{
		for (int64_t i = 0; i < count; i++)
			task(i, 0, argument);
		return;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &previous);
#pragma omp parallel num_threads(threads)
	{
		int			lane = omp_get_thread_num();

#pragma omp for schedule(dynamic, 1) nowait
		for (int64_t i = 0; i < count; i++)
			task(i, lane, argument);
	}
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
}
