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

/* A neighbour as a number, for sorting. */
typedef struct PmNeighbourKey
{
	uint64_t	high;
	uint64_t	low;
} PmNeighbourKey;

/* Scores are counted by their upper bits. */
#define PM_SCORE_SHIFT 19
#define PM_SCORE_BUCKETS (1 << (32 - PM_SCORE_SHIFT))

/*
 * A thread's places: one of the first three for each row, all zero in between,
 * and so are the buckets.
 */
typedef struct PmNeighbourLane
{
	int32_t    *counts;
	PmCommonSums *sums;
	PmCommonMoments *moments;
	int32_t    *touched;		/* one more than there are rows */
	int32_t    *kept;			/* those of them that may be among the best */
	float	   *scores;			/* of those touched */
	uint32_t   *buckets;		/* how many of them have a score in each */
	int32_t		key_count;		/* room for the keys of so many */
	PmNeighbourKey *keys;
	PmNeighbourKey *spare_keys;
} PmNeighbourLane;

extern PmStatus pm_neighbour_lane_make(PmContext *ctx, const PmNeighbours *neighbours,
									   int32_t k, PmNeighbourLane *lane);
extern void pm_neighbour_lane_release(PmContext *ctx, PmNeighbourLane *lane);

/* The k nearest of a row into list, the nearest first; gives their number. */
extern int32_t pm_neighbour_lane_find(const PmNeighbours *neighbours,
									  PmNeighbourLane *lane, int32_t row,
									  int32_t k, PmNeighbour *list);

/*
 * The same of a row whose elements have been added up: `touched` places are
 * listed.  Leaves them as they were.
 */
extern int32_t pm_neighbour_rank(const PmNeighbours *neighbours,
								 PmNeighbourLane *lane, int32_t row,
								 int32_t touched, int32_t k,
								 PmNeighbour *list);

#endif							/* NEIGHBOURS_LANE_H */
