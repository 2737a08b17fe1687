/*
 * share.h
 *		Work on items of very different size, shared among threads.
 *
 * Each thread works on an item of its own and takes the next one when it has
 * done with it.  After a turn of some 10 ms all come back, so that the host
 * can be asked whether to go on; an item that takes longer goes on in the
 * next turn.  An item's result must depend on the item alone.
 */
#ifndef PM_SHARE_H
#define PM_SHARE_H

#include "pm_context.h"

/*
 * Go on with an item, from its start where `fresh`; true when it is done.
 * What was done is taken off *budget, in nanoseconds, about; it returns when
 * nothing is left of it.  A slot, in [0, pm_share_slots()), works on one item
 * at a time, and keeps what it needs for the next turn.
 */
typedef bool (*PmShareStep) (void *argument, int slot, int64_t item,
							 bool fresh, int64_t *budget);

extern int	pm_share_slots(const PmContext *ctx);

extern PmStatus pm_share(PmContext *ctx, const char *what, int64_t items,
						 PmShareStep step, void *argument);

#endif							/* PM_SHARE_H */
