/*
 * slim_item.c
 *		SLIM: the weights of one item.
 *
 * Coordinate descent with covariance updates (Friedman, Hastie and Tibshirani
 * 2010, section 2.2): only products of items are needed.  Sweeps go over the
 * candidates with a weight until those stay, then once over all.
 *
 * Where neither values nor weights are below 0, a candidate's gradient at no
 * weight is at most its product with the item, so that one whose product is
 * at most l1 never gets a weight: leaving it out changes nothing.
 */
#include "slim.h"

#include <math.h>
#include <string.h>

#include "pm_clones.h"

/* Nanoseconds: of an element of a row, of a candidate looked at. */
#define ELEMENT_TIME 2
#define LOOK_TIME 4

typedef float FourFloats __attribute__((vector_size(16)));
typedef double Four __attribute__((vector_size(32)));

/* residual -= step * row */
PM_INLINE void
take_off_body(double step, const float *row, double *residual, int32_t count)
{
	int32_t		i = 0;

	for (; i + 4 <= count; i += 4)
	{
		FourFloats	x;
		Four		r;

		memcpy(&x, row + i, sizeof(x));
		memcpy(&r, residual + i, sizeof(r));
		r -= step * __builtin_convertvector(x, Four);
		memcpy(residual + i, &r, sizeof(r));
	}
	for (; i < count; i++)
		residual[i] -= step * row[i];
}

PM_CLONES(take_off, (double step, const float *row, double *residual, int32_t count),
		  (step, row, residual, count));

/* ---- candidates ---------------------------------------------------------- */

/* The likeness of an element of an item's row; of equals the first is nearer. */
static inline float
likeness(const Slim *slim, int64_t element)
{
	return fabsf(slim->gram.values[element]) * slim->scale[slim->gram.indices[element]];
}

/* Is element a less near than b? */
static inline bool
less_near(const Slim *slim, int64_t a, int64_t b)
{
	float		near_a = likeness(slim, a);
	float		near_b = likeness(slim, b);

	return near_a < near_b || (near_a == near_b && a > b);
}

/* Let the element at a place of the heap sink; the least near is on top. */
static void
sink(const Slim *slim, int64_t *heap, int32_t count, int32_t at)
{
	int64_t		moving = heap[at];

	for (;;)
	{
		int32_t		child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && less_near(slim, heap[child + 1], heap[child]))
			child++;
		if (!less_near(slim, heap[child], moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

/* Mark the nearest in slot->place; the heap is where cached rows will be. */
static void
mark_nearest(const Slim *slim, SlimSlot *slot, int32_t item)
{
	int64_t    *heap = slot->cached;
	int32_t		wanted = slim->options->neighbours;
	int32_t		count = 0;

	for (int64_t i = slim->gram.offsets[item]; i < slim->gram.offsets[item + 1]; i++)
	{
		if (!pm_slim_allowed(slim, item, i))
			continue;
		if (count < wanted)
		{
			heap[count++] = i;
			for (int32_t at = count / 2 - 1; count == wanted && at >= 0; at--)
				sink(slim, heap, count, at);
		}
		else if (less_near(slim, heap[0], i))
		{
			heap[0] = i;
			sink(slim, heap, count, 0);
		}
	}
	for (int32_t i = 0; i < count; i++)
		slot->place[slim->gram.indices[heap[i]]] = 0;
}

/* Start with an item: its candidates, without weights. */
static void
begin_item(const Slim *slim, SlimSlot *slot, int32_t item)
{
	bool		nearest = slim->options->neighbours > 0;
	int32_t		count = 0;

	if (nearest)
		mark_nearest(slim, slot, item);
	for (int64_t i = slim->gram.offsets[item]; i < slim->gram.offsets[item + 1]; i++)
	{
		int32_t		other = slim->gram.indices[i];

		if (nearest ? slot->place[other] < 0 : !pm_slim_allowed(slim, item, i))
			continue;
		slot->candidates[count] = other;
		slot->place[other] = count;
		slot->residual[count] = slim->gram.values[i];
		slot->weight[count++] = 0;
	}
	for (int32_t c = 0; c < count; c++)
		slot->cached[c] = -1;
	slot->count = count;
	slot->cache_used = 0;
	slot->sweeps = 0;
	slot->full = true;
	slot->at = 0;
	slot->change = 0;
}

/* Keep the weights, and leave the slot as it was. */
static void
end_item(const Slim *slim, SlimSlot *slot, int32_t item)
{
	int64_t		at = slim->offsets[item];

	for (int32_t c = 0; c < slot->count; c++)
	{
		float		weight = (float) slot->weight[c];

		slot->place[slot->candidates[c]] = -1;
		if (weight == 0)
			continue;
		slim->indices[at] = slot->candidates[c];
		slim->values[at++] = weight;
	}
	slim->counts[item] = at - slim->offsets[item];
}

/* ---- descent --------------------------------------------------------------- */

/*
 * A candidate's weight has changed by a step: so have the residuals.  Its
 * products with the candidates are kept for next time where there is room.
 */
static void
take_step(const Slim *slim, SlimSlot *slot, int32_t candidate, double step,
		  int64_t *budget)
{
	int32_t		item = slot->candidates[candidate];
	int64_t		begin = slim->gram.offsets[item];
	int64_t		end = slim->gram.offsets[item + 1];

	if (slot->cached[candidate] < 0)
	{
		bool		room = slot->cache_used + slot->count <= slim->cache_size;
		float	   *row = slot->cache + slot->cache_used;

		*budget -= ELEMENT_TIME * (end - begin);
		if (room)
		{
			memset(row, 0, (size_t) slot->count * sizeof(float));
			slot->cached[candidate] = slot->cache_used;
			slot->cache_used += slot->count;
		}
		for (int64_t i = begin; i < end; i++)
		{
			int32_t		place = slot->place[slim->gram.indices[i]];

			if (place >= 0 && room)
				row[place] = slim->gram.values[i];
			else if (place >= 0)
				slot->residual[place] -= step * slim->gram.values[i];
		}
		if (!room)
			return;
	}
	take_off(step, slot->cache + slot->cached[candidate], slot->residual, slot->count);
	*budget -= slot->count / 2;
}

/* The best weight of a candidate, the others as they are. */
static void
descend(const Slim *slim, SlimSlot *slot, int32_t candidate, int64_t *budget)
{
	const PmSlimOptions *options = slim->options;
	double		product = slim->diagonal[slot->candidates[candidate]];
	double		before = slot->weight[candidate];
	double		target = slot->residual[candidate] + product * before;
	double		after = fabs(target) - options->l1;
	double		change;

	*budget -= LOOK_TIME;
	if (after <= 0 || (options->nonnegative && target < 0))
		after = 0;
	after = copysign(after, target) / (product + options->l2);
	if (after == before)
		return;
	slot->weight[candidate] = after;
	change = (after - before) * (after - before) * product;
	if (change > slot->change)
		slot->change = change;
	take_step(slim, slot, candidate, after - before, budget);
}

/* A sweep is over: what is next?  False where the item is solved. */
static bool
next_sweep(const Slim *slim, SlimSlot *slot, int32_t item)
{
	double		tolerance = slim->options->tolerance;
	bool		still = slot->change <= tolerance * tolerance * slim->diagonal[item];

	if (++slot->sweeps >= slim->options->max_sweeps || (slot->full && still))
		return false;
	if (slot->full)
	{
		slot->active_count = 0;
		for (int32_t c = 0; c < slot->count; c++)
			if (slot->weight[c] != 0)
				slot->active[slot->active_count++] = c;
		slot->full = false;
	}
	else if (still)
		slot->full = true;
	slot->at = 0;
	slot->change = 0;
	return true;
}

bool
pm_slim_item(void *argument, int number, int64_t item, bool fresh,
			 int64_t *budget)
{
	Slim	   *slim = argument;
	SlimSlot   *slot = &slim->slots[number];

	if (fresh)
	{
		begin_item(slim, slot, (int32_t) item);
		*budget -= 2 * ELEMENT_TIME * (slim->gram.offsets[item + 1] - slim->gram.offsets[item]);
	}
	do
	{
		int32_t		count = slot->full ? slot->count : slot->active_count;

		for (; slot->at < count; slot->at++)
		{
			if (*budget <= 0)
				return false;
			descend(slim, slot, slot->full ? slot->at : slot->active[slot->at], budget);
		}
	} while (next_sweep(slim, slot, (int32_t) item));
	end_item(slim, slot, (int32_t) item);
	return true;
}
