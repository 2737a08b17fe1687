/*
 * order.h
 *		Rows on their way into canonical order: what its files share.
 */
#ifndef ORDER_H
#define ORDER_H

#include "pm_device.h"
#include "pm_frame.h"

/* An array with one element a row, to be moved along. */
typedef struct Moved
{
	char	   *base;
	size_t		size;
} Moved;

#define MAX_MOVED 8

/* The first pass looks at so many bits of the hash: as many streams. */
#define STREAM_BITS 8
#define STREAMS (1 << STREAM_BITS)

/* Once rows lie in the cache, a pass looks at more of them. */
#define CACHED_BITS 10
#define CACHED_ROWS 65536

/* So few rows are sorted directly; the last pass aims at some of them. */
#define LEAF_ROWS 32

typedef struct Sorter
{
	PmContext  *ctx;
	const PmFrame *frame;
	uint64_t   *hashes;			/* also moved[0] */
	Moved		moved[MAX_MOVED];
	int			moved_count;
	int64_t		ends[STREAMS];	/* of the first pass's buckets */
	int64_t		first_task;		/* of the tasks that run now */
	struct Copies *copies;		/* of order_copy.c */
} Sorter;

/* Bits for one pass over so many rows, of those that are left. */
extern int	pm_order_pass_bits(int64_t rows, int left);

/* Tasks in threads, where there are any, with interrupts now and then. */
extern PmStatus pm_order_run(Sorter *sorter, int64_t count, PmTask task);

/* Sort all rows by their hashes, without further memory. */
extern PmStatus pm_order_in_place(Sorter *sorter);

/*
 * The same by way of a copy, which is quicker.  *done is false, and nothing
 * moved, where the memory for it is refused.
 */
extern PmStatus pm_order_by_copy(Sorter *sorter, bool *done);

#endif							/* ORDER_H */
