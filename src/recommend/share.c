/*
 * share.c
 *		Work on items of very different size, shared among threads.
 */
#include "share.h"

#include <stdatomic.h>

#include "pm_arena.h"
#include "pm_parallel.h"

/* Nanoseconds of a turn, and of an item beside what its step says. */
#define TURN 10000000
#define ITEM_TIME 20

typedef struct Sharing
{
	PmShareStep step;
	void	   *argument;
	int64_t		items;
	_Atomic int64_t next;		/* item that nobody has taken */
	int64_t    *at;				/* by slot: the item begun, -1 = none */
} Sharing;

int
pm_share_slots(const PmContext *ctx)
{
	return ctx->device == NULL || ctx->threads < 1 ? 1 : ctx->threads;
}

/* One slot's turn. */
static void
take_turn(int64_t slot, int lane, void *argument)
{
	Sharing    *sharing = argument;
	int64_t		budget = TURN;
	int64_t		item = sharing->at[slot];

	(void) lane;
	while (budget > 0)
	{
		bool		fresh = item < 0;

		if (fresh)
			item = atomic_fetch_add(&sharing->next, 1);
		if (item >= sharing->items)
		{
			item = -1;
			break;
		}
		budget -= ITEM_TIME;
		if (sharing->step(sharing->argument, (int) slot, item, fresh, &budget))
			item = -1;
	}
	sharing->at[slot] = item;
}

/* Items that are done; those that slots are at are not. */
static int64_t
items_done(const Sharing *sharing, int slots)
{
	int64_t		done = sharing->next < sharing->items ? sharing->next : sharing->items;

	for (int slot = 0; slot < slots; slot++)
		done -= sharing->at[slot] >= 0;
	return done;
}

PmStatus
pm_share(PmContext *ctx, const char *what, int64_t items, PmShareStep step,
		 void *argument)
{
	Sharing		sharing = {step, argument, items, 0, NULL};
	int			slots = pm_share_slots(ctx);
	PmStatus	status = PM_OK;

	PM_TRY(pm_alloc(ctx, "items at work", (size_t) slots, sizeof(int64_t), &sharing.at));
	for (int slot = 0; slot < slots; slot++)
		sharing.at[slot] = -1;
	while (status == PM_OK && items_done(&sharing, slots) < items)
	{
		status = pm_parallel(ctx, what, slots, TURN, take_turn, &sharing);
		pm_progress(ctx, what, (double) items_done(&sharing, slots) / (double) items);
	}
	pm_release(ctx, sharing.at);
	return status;
}
