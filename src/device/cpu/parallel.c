/*
 * parallel.c
 *		Work on several threads.
 *
 * Threads live for one call: starting one takes some 20 microseconds, little
 * beside the milliseconds of work in a call, and an idle backend keeps none.
 * They start with every signal blocked, because PostgreSQL's handlers must
 * only ever run on the backend's own thread.  Where the system refuses a
 * thread the others do its work: OpenMP would end the process there.
 */
#include "cpu.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define STACK_BYTES (1024 * 1024)

/* The work of one call, shared by its threads. */
typedef struct Work
{
	PmTask		task;
	void	   *argument;
	int64_t		count;
	_Atomic int64_t next;		/* index that nobody has taken */
} Work;

/* A helper thread. */
typedef struct Helper
{
	Work	   *work;
	int			lane;
	pthread_t	thread;
} Helper;

/* Take indexes until there are no more. */
static void
do_work(Work *work, int lane)
{
	int64_t		index;

	while ((index = atomic_fetch_add(&work->next, 1)) < work->count)
		work->task(index, lane, work->argument);
}

static void *
helper_main(void *argument)
{
	Helper	   *helper = argument;

	do_work(helper->work, helper->lane);
	return NULL;
}

/* Start up to `wanted` helpers with all signals blocked; how many started. */
static int
start_helpers(Helper *helpers, int wanted, Work *work)
{
	pthread_attr_t attributes;
	sigset_t	all;
	sigset_t	previous;
	int			started = 0;

	if (pthread_attr_init(&attributes) != 0)
		return 0;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &previous);
	while (started < wanted)
	{
		Helper	   *helper = &helpers[started];

		helper->work = work;
		helper->lane = started + 1;
		if (pthread_create(&helper->thread, &attributes, helper_main, helper) != 0)
			break;
		started++;
	}
	pthread_sigmask(SIG_SETMASK, &previous, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

/* Run task(index) for every index on at most ctx->threads threads. */
void
pm_cpu_parallel_for(PmContext *ctx, int64_t count, PmTask task, void *argument)
{
	Work		work = {task, argument, count, 0};
	Helper		helpers[PM_CPU_MAX_THREADS - 1];
	int			threads = ctx->threads < PM_CPU_MAX_THREADS ? ctx->threads :
		PM_CPU_MAX_THREADS;
	int			started = 0;

	if (threads > count)
		threads = (int) count;
	if (threads > 1)
		started = start_helpers(helpers, threads - 1, &work);
	do_work(&work, 0);
	for (int i = 0; i < started; i++)
		pthread_join(helpers[i].thread, NULL);
}
