/*
 * pm_model_cache.h
 *		Opened models of this backend, for scorers.
 *
 * Scoring a million rows opens a model once and detoasts it once.  What
 * identifies a model's bytes is their TOAST pointer, or the address of a
 * constant within its call site, or else the bytes themselves, compared to
 * those last seen there or by a keyed hash; never an id written inside them,
 * which is only a claim.
 */
#ifndef PM_MODEL_CACHE_H
#define PM_MODEL_CACHE_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/jsonb.h"

#include "pm_model.h"

/* How a capability opens its models. */
typedef struct PmModelKind
{
	const char *name;			/* in the container's head */
	const char *made_by;		/* for messages: "pm_kmeans" */

	/*
	 * Check the sections and build what scoring needs, in the context's
	 * arena, which lives as long as the cache entry.
	 */
	PmStatus	(*open) (PmContext *ctx, const PmModel *model, void **opened);
} PmModelKind;

/* An opened model; valid until the next look-up. */
typedef struct PmCachedModel
{
	const PmModel *model;
	void	   *opened;			/* what the kind's open made */
	MemoryContext memory;		/* lives and goes with the entry */
	void	   *extra;			/* the scorer's own, NULL at first */
	bool		busy;			/* in use while other code runs: stays */
} PmCachedModel;

/*
 * The model of an argument that is a bytea, or text that names one in the
 * registry.  A model of another kind or a corrupt one is an ERROR.
 */
extern PmCachedModel *pm_model_cached(FunctionCallInfo fcinfo, int argument,
									  const PmModelKind *kind);

/*
 * Make a call that may run anybody's function, as a vector's cast to float4[]
 * may be: one that scores, too, must neither drive this model out of the
 * cache nor use it.
 */
extern void pm_model_guard(PmCachedModel *cached, void (*call) (void *),
						   void *argument);

/*
 * Open a model for one call, in a context of the caller's: for functions that
 * run queries of their own meanwhile.  kind NULL takes any.
 */
extern void pm_model_open_argument(FunctionCallInfo fcinfo, int argument,
								   const PmModelKind *kind, PmContext *ctx,
								   PmCachedModel *result);

/* The same of a bytea that is no argument. */
extern void pm_model_open_datum(Datum datum, const PmModelKind *kind,
								PmContext *ctx, PmCachedModel *result);

/* A model's id in hexadecimal digits. */
extern char *pm_model_id_string(const PmModel *model);

/*
 * The deployed model of a name as its stored datum (a TOAST pointer where it
 * is large); an ERROR where there is none.  function: one of the extension's,
 * which tells its schema.
 */
extern Datum pm_registry_find(Oid function, const char *name);

/* A section that holds a JSON object; an ERROR where it does not. */
extern Jsonb *pm_model_json(PmContext *ctx, const PmModel *model,
							const char *name);

/* The writer's sections as a bytea, with "meta" and "run" already added. */
extern bytea *pm_model_to_bytea(const PmModelWriter *writer);

#endif							/* PM_MODEL_CACHE_H */
