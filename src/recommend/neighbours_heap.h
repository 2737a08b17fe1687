/*
 * neighbours_heap.h
 *		The best of many neighbours, in a heap of a fixed size.
 */
#ifndef NEIGHBOURS_HEAP_H
#define NEIGHBOURS_HEAP_H

#include "neighbours.h"

/* The best so far, the worst of them first. */
typedef struct PmNeighbourHeap
{
	PmNeighbour *list;
	int32_t		count;
	int32_t		size;
} PmNeighbourHeap;

static inline bool
pm_neighbour_worse(const PmNeighbour *a, const PmNeighbour *b)
{
	return a->similarity < b->similarity || (a->similarity == b->similarity && a->row > b->row);
}

/* Put one in at the root and let it sink to its place. */
static inline void
pm_neighbour_sink(PmNeighbour *list, int32_t count, PmNeighbour one)
{
	int32_t		at = 0;

	for (;;)
	{
		int32_t		child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && pm_neighbour_worse(&list[child + 1], &list[child]))
			child++;
		if (!pm_neighbour_worse(&list[child], &one))
			break;
		list[at] = list[child];
		at = child;
	}
	list[at] = one;
}

/* Keep one where it is good enough. */
static inline void
pm_neighbour_offer(PmNeighbourHeap *heap, PmNeighbour one)
{
	int32_t		at = heap->count;

	if (heap->count == heap->size)
	{
		if (pm_neighbour_worse(&heap->list[0], &one))
			pm_neighbour_sink(heap->list, heap->size, one);
		return;
	}
	heap->count++;
	for (; at > 0 && pm_neighbour_worse(&one, &heap->list[(at - 1) / 2]); at = (at - 1) / 2)
		heap->list[at] = heap->list[(at - 1) / 2];
	heap->list[at] = one;
}

/* The best first. */
static inline void
pm_neighbour_order(PmNeighbourHeap *heap)
{
	for (int32_t last = heap->count - 1; last > 0; last--)
	{
		PmNeighbour one = heap->list[last];

		heap->list[last] = heap->list[0];
		pm_neighbour_sink(heap->list, last, one);
	}
}

#endif							/* NEIGHBOURS_HEAP_H */
