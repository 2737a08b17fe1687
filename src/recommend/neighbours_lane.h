/*
 * neighbours_lane.h
 *		Where a thread sums up what a row has in common with the others.
 */
#ifndef NEIGHBOURS_LANE_H
#define NEIGHBOURS_LANE_H

#include "neighbours.h"

/* What two rows have in common. */
typedef struct PmCommonSums
{
	double		xy;
	int64_t		count;
} PmCommonSums;

/* The same for a correlation. */
typedef struct PmCommonMoments
{
	double		xy;
	double		x;
	double		y;
	double		xx;
	double		yy;
	int64_t		count;
} PmCommonMoments;

/* A thread's places: one of these for each row, all zero in between. */
typedef struct PmNeighbourLane
{
	int32_t    *counts;
	PmCommonSums *sums;
	PmCommonMoments *moments;
	int32_t    *touched;		/* one more than there are rows */
} PmNeighbourLane;

extern PmStatus pm_neighbour_lane_make(PmContext *ctx, const PmNeighbours *neighbours,
									   PmNeighbourLane *lane);
extern void pm_neighbour_lane_release(PmContext *ctx, PmNeighbourLane *lane);

/* The k nearest of a row into list, the nearest first; gives their number. */
extern int32_t pm_neighbour_lane_find(const PmNeighbours *neighbours,
									  PmNeighbourLane *lane, int32_t row,
									  int32_t k, PmNeighbour *list);

#endif							/* NEIGHBOURS_LANE_H */
