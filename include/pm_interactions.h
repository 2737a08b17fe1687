/*
 * pm_interactions.h
 *		Events as a sparse matrix: which user took which item, how much.
 *
 * Rows of a source are read with their ids and weights and then brought
 * together: a user and an item have one element, made of all their rows.
 * The numbers of users and items are in the order of their ids, so that a
 * smaller number is a smaller id, whatever the order of the rows.
 *
 * The value of a row is its weight (1 without weight_col), times that of its
 * event, times 0.5 ^ (age / half_life), the age being that before the newest
 * row.  A row is left out where an id is NULL, where what its value is made
 * of is NULL or an event that event_weights does not name, and, unless zeros
 * are kept, where its value is 0.
 */
#ifndef PM_INTERACTIONS_H
#define PM_INTERACTIONS_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "pm_csr.h"
#include "pm_frame.h"
#include "pm_host.h"
#include "pm_id_table.h"
#include "pm_source.h"

/* What the rows of one user and item become. */
typedef enum PmInteractionAgg
{
	PM_INTERACTIONS_SUM,		/* the sum of their values */
	PM_INTERACTIONS_COUNT,		/* the same, every weight being 1 */
	PM_INTERACTIONS_LAST,		/* the value of the newest, the largest such */
	PM_INTERACTIONS_MAX
} PmInteractionAgg;

/* What to read, and how. */
typedef struct PmInteractionsSpec
{
	const char *user_col;
	const char *item_col;
	const char *weight_col;		/* NULL = none */
	bool		keep_signed;	/* zeros are kept, and negative weights allowed */

	/* options */
	char	   *event_col;
	Jsonb	   *event_weights;	/* {"view": 1, "purchase": 5} */
	char	   *ts_col;
	Jsonb	   *half_life_json; /* days, or an interval */
	double		half_life;		/* days; 0 = none */
	int			agg;			/* a PmInteractionAgg */
	int			min_user_count; /* items that a user has, at least */
	int			min_item_count; /* users that an item has, at least */
} PmInteractionsSpec;

#define PM_INTERACTIONS_OPTIONS 7

/* The spec's defaults, and the definitions of its options. */
extern void pm_interactions_options(PmInteractionsSpec *spec,
									PmOption *definitions);

/* After parsing: an ERROR where options do not go together. */
extern void pm_interactions_check(PmInteractionsSpec *spec);

/* Does one user's part depend on no other one's rows? */
extern bool pm_interactions_local(const PmInteractionsSpec *spec);

typedef struct PmInteractions
{
	PmIdTable  *users;
	PmIdTable  *items;
	PmCsr		matrix;			/* users * items, by pm_interactions_finish() */
	int64		rows_read;
	int64		rows_null;		/* left out: an id or part of the value is NULL */
	int64		rows_event;		/* left out: an event without a weight */
	int64		rows_zero;		/* left out: a value of 0 */
} PmInteractions;

/* Reads rows into interactions. */
typedef struct PmInteractionsReader PmInteractionsReader;

extern PmInteractionsReader *pm_interactions_reader(PmContext *ctx,
													const PmSource *source,
													const PmInteractionsSpec *spec);

/* The columns it wants, as indexes into the source's fields: user, item, ... */
extern const int *pm_interactions_columns(const PmInteractionsReader *reader,
										  int *count);

/* A row of those columns; a PmRowCallback. */
extern void pm_interactions_row(void *reader, Datum *values, bool *nulls);

/* What has been read so far, for its id tables. */
extern PmInteractions *pm_interactions_read(PmInteractionsReader *reader);

/* Bring it all together. */
extern PmInteractions *pm_interactions_finish(PmInteractionsReader *reader);

/* All of a source. */
extern PmInteractions *pm_interactions_load(PmContext *ctx,
											const PmSource *source,
											const PmInteractionsSpec *spec);

#endif							/* PM_INTERACTIONS_H */
