/*
 * fm_team.c
 *		Threads that work through phases together.
 *
 * A batch takes less time than to start a thread.  So threads start once for
 * many batches, and each phase of a batch is handed out item by item.  A
 * thread waits only for items that others are at; where none has started,
 * one thread does it all.
 */
#include "fm.h"

#include <time.h>

/*
 * Looks at the phase before the thread sleeps, and for how many nanoseconds:
 * the CPU may be what another thread waits for.
 */
#define SPINS 1000
#define NAP 20000

static inline void
spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* Wait until a phase is over. */
static void
wait_for_phase(FmTeam *team, uint64_t phase)
{
	const struct timespec nap = {0, NAP};
	int			spins = 0;

	while (atomic_load_explicit(&team->ticket, memory_order_acquire) >> 32 == phase)
		if (++spins < SPINS)
			spin_pause();
		else
			nanosleep(&nap, NULL);
}

/* A thread's part: the low half of a ticket is an item, the high half a phase. */
static void
take_part(int64_t index, int lane, void *argument)
{
	FmTeam	   *team = argument;

	(void) index;
	for (;;)
	{
		uint64_t	ticket = atomic_fetch_add(&team->ticket, 1);
		uint64_t	phase = ticket >> 32;
		uint32_t	item = (uint32_t) ticket;
		int64_t		number = team->first + (int64_t) phase;
		int			items;

		if ((int64_t) phase >= team->phases)
			return;
		items = team->items(team->argument, number);
		if (item >= (uint32_t) items)
		{
			wait_for_phase(team, phase);
			continue;
		}
		team->item(team->argument, number, (int) item, lane);
		if (atomic_fetch_add(&team->done, 1) + 1 == items)
		{
			team->finish(team->argument, number);
			atomic_store(&team->done, 0);
			atomic_store_explicit(&team->ticket, (phase + 1) << 32, memory_order_release);
		}
	}
}

void
pm_fm_team_run(PmContext *ctx, FmTeam *team, int threads, int64_t first,
			   int64_t end)
{
	team->first = first;
	team->phases = end - first;
	atomic_store(&team->ticket, 0);
	atomic_store(&team->done, 0);
	if (threads > 1)
		ctx->device->parallel_for(ctx, threads, take_part, team);
	else
		take_part(0, 0, team);
}
