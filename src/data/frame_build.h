/*
 * frame_build.h
 *		A frame while it is built: shared by what adds rows and what finishes.
 */
#ifndef FRAME_BUILD_H
#define FRAME_BUILD_H

#include "pm_frame.h"
#include "pm_host.h"

/* Where a column's values go in a row. */
typedef struct ColumnSlot
{
	PmConverter converter;
	PmColumn   *column;
	int			dense_at;		/* first of its numbers, -1 = none */
	int			code_at;		/* first of its codes, -1 = none */
	int			set_at;			/* its multi-valued codes, -1 = none */
} ColumnSlot;

struct PmFrameBuilder
{
	PmContext  *ctx;
	PmFrame    *frame;
	PmFrameSpec spec;
	ColumnSlot *slots;
	PmConverter weight;
	PmConverter label;
	PmConverter time;
	int64_t		capacity;		/* rows that the arrays have room for */
	size_t		dense_capacity;
	size_t		code_capacity;
	size_t		weight_capacity;
	size_t		label_capacity;
	size_t		time_capacity;
	size_t		ordinal_capacity;
};

/* An ERROR where a status is one. */
static inline void
pm_frame_check(PmFrameBuilder *builder, PmStatus status)
{
	if (unlikely(status != PM_OK))
		pm_host_check(builder->ctx, status);
}

#endif							/* FRAME_BUILD_H */
