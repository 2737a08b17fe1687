/*
 * recommend_sql.h
 *		What the SQL functions of recommendation share.
 */
#ifndef RECOMMEND_SQL_H
#define RECOMMEND_SQL_H

#include "postgres.h"

#include "fmgr.h"

#include "neighbours.h"
#include "pm_host.h"
#include "pm_interactions.h"

/* A question for neighbours: what is read, and what is made of it. */
typedef struct NeighbourCall
{
	bool		items;			/* neighbours are items, not users */
	int			k;
	PmInteractionsSpec spec;
	PmNeighbourOptions options;
} NeighbourCall;

/*
 * Parse the arguments that the functions share: source (0), k (2), user_col,
 * item_col, weight_col (3 to 5), metric (6) and options (7).
 */
extern void pm_neighbour_arguments(FunctionCallInfo fcinfo,
								   NeighbourCall *call, bool items);

/* Make interactions ready to be asked. */
extern void pm_neighbour_prepare(PmContext *ctx, const NeighbourCall *call,
								 PmInteractions *interactions,
								 PmNeighbours *neighbours);

/* The ids of those that are asked for. */
extern PmIdTable *pm_neighbour_ids(const NeighbourCall *call,
								   const PmInteractions *interactions);

#endif							/* RECOMMEND_SQL_H */
