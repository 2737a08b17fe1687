/*
 * cache.c
 *		A small cache of opened models, least recently used out first.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pm_hash.h"
#include "pm_host.h"
#include "pm_model_cache.h"

#define CACHE_ENTRIES 16
#define CACHE_BYTES ((size_t) 256 * 1024 * 1024)

/*
 * What identifies the bytes of a model: where they are stored out of line, or
 * a hash of them as they are stored, compressed or not.
 */
typedef struct ModelKey
{
	bool		toasted;
	Oid			toast_relation;
	Oid			toast_value;
	uint64		size;
	uint64		hash[2];
} ModelKey;

typedef struct CacheEntry
{
	uint64		serial;			/* 0 = free; never given twice */
	uint64		last_used;
	ModelKey	key;
	const PmModelKind *kind;
	const struct varlena *stored;	/* the datum itself, unless toasted */
	size_t		bytes;
	PmModel		model;
	PmCachedModel view;
} CacheEntry;

static CacheEntry entries[CACHE_ENTRIES];
static uint64 next_serial = 1;
static uint64 clock_hand = 0;
static uint64 hash_key[2];

/* What one call site saw last: kept in fn_extra. */
typedef struct CallSite
{
	int			entry;
	uint64		serial;
	const void *address;		/* of a model that cannot change here */
	char	   *name;			/* of a model found in the registry ... */
	Oid			user;			/* ... by this role, */
	uint32		transaction;	/* in this transaction, */
	SubTransactionId subtransaction;	/* part of it, */
	uint32		command;		/* command and ... */
	uint64		completed;		/* ... state of other transactions */
} CallSite;

/*
 * The keys are this backend's secret, so that nobody can prepare bytes that
 * collide with another model's.
 */
static void
make_hash_keys(void)
{
	if (hash_key[0] != 0)
		return;
	if (!pg_strong_random(hash_key, sizeof(hash_key)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random hash key")));
	hash_key[0] |= 1;
}

static ModelKey
identify(const struct varlena *datum)
{
	ModelKey	key;

	memset(&key, 0, sizeof(key));
	if (VARATT_IS_EXTERNAL_ONDISK(datum))
	{
		struct varatt_external pointer;

		VARATT_EXTERNAL_GET_POINTER(pointer, datum);
		key.toasted = true;
		key.toast_relation = pointer.va_toastrelid;
		key.toast_value = pointer.va_valueid;
		key.size = pointer.va_rawsize;
		return key;
	}
	make_hash_keys();
	key.size = VARSIZE_ANY(datum);
	for (int i = 0; i < 2; i++)
		key.hash[i] = pm_hash64(hash_key[i], datum, key.size);
	return key;
}

static void
free_entry(CacheEntry *entry)
{
	MemoryContext memory = entry->view.memory;

	memset(entry, 0, sizeof(*entry));
	if (memory != NULL)
		MemoryContextDelete(memory);
}

/*
 * A free entry, with room for so many bytes more in the cache.  Entries in
 * use stay: a scorer that runs a user's cast may come here again.
 */
static CacheEntry *
make_room(size_t bytes)
{
	for (;;)
	{
		CacheEntry *oldest = NULL;
		CacheEntry *unused = NULL;
		size_t		total = bytes;

		for (int i = 0; i < CACHE_ENTRIES; i++)
		{
			CacheEntry *entry = &entries[i];

			if (entry->serial == 0)
			{
				unused = entry;
				continue;
			}
			total += entry->bytes;
			if (entry->view.busy)
				continue;
			if (oldest == NULL || entry->last_used < oldest->last_used)
				oldest = entry;
		}
		if (unused != NULL && (oldest == NULL || total <= CACHE_BYTES))
			return unused;
		if (oldest == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("more than %d models are in use within one another",
							CACHE_ENTRIES)));
		free_entry(oldest);
	}
}

/*
 * A sound model of another kind.  Asked of models whose checksum is right: a
 * kind with a bit flipped is a corrupt model, not another one.
 */
static void
check_kind(const PmModel *model, const PmModelKind *kind)
{
	if (strcmp(model->kind, kind->name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the model is of kind \"%s\", not \"%s\"", model->kind,
						kind->name),
				 errhint("Models for this function are made by %s().",
						 kind->made_by)));
}

/* Copy to aligned memory, check and open. */
static void
open_bytes(PmContext *ctx, const bytea *bytes, const PmModelKind *kind,
		   PmModel *model, void **opened)
{
	size_t		size = VARSIZE_ANY_EXHDR(bytes);
	void	   *copy;

	pm_host_check(ctx, pm_alloc(ctx, "the model", size, 1, &copy));
	memcpy(copy, VARDATA_ANY(bytes), size);
	pm_host_check(ctx, pm_model_open(ctx, copy, size, model));
	if (kind != NULL)
	{
		check_kind(model, kind);
		pm_host_check(ctx, kind->open(ctx, model, opened));
	}
}

/*
 * Open into a new entry.  The entry is filled in last: an ERROR on the way
 * leaves the cache as it was, and the memory under the caller's context.
 */
static CacheEntry *
open_entry(const ModelKey *key, struct varlena *datum,
		   const PmModelKind *kind)
{
	PmContext  *ctx = pm_host_begin("model");
	PmModel		model;
	void	   *opened = NULL;
	void	   *stored = NULL;
	CacheEntry *entry;

	open_bytes(ctx, DatumGetByteaPP(PointerGetDatum(datum)), kind, &model,
			   &opened);
	if (!key->toasted)
	{
		pm_host_check(ctx, pm_alloc(ctx, "the model", key->size, 1, &stored));
		memcpy(stored, datum, key->size);
	}
	entry = make_room(pm_arena_used(ctx->arena));
	MemoryContextSetParent(pm_host_memory(ctx), TopMemoryContext);
	entry->serial = next_serial++;
	entry->key = *key;
	entry->kind = kind;
	entry->stored = stored;
	entry->bytes = pm_arena_used(ctx->arena);
	entry->model = model;
	entry->view.model = &entry->model;
	entry->view.opened = opened;
	entry->view.memory = pm_host_memory(ctx);
	return entry;
}

/*
 * The datum with its bytes in line or on disk: one held in memory by another
 * datum (an expanded object, an indirect pointer) is copied out.
 */
static struct varlena *
plain_datum(Datum datum)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	if (VARATT_IS_EXTERNAL(value) && !VARATT_IS_EXTERNAL_ONDISK(value))
		return detoast_external_attr(value);
	return value;
}

/* Look a datum up, opening it where it is new. */
static CacheEntry *
look_up(Datum datum, const PmModelKind *kind)
{
	struct varlena *value = plain_datum(datum);
	ModelKey	key = identify(value);

	for (int i = 0; i < CACHE_ENTRIES; i++)
		if (entries[i].serial != 0 && entries[i].kind == kind &&
			memcmp(&entries[i].key, &key, sizeof(key)) == 0)
			return &entries[i];
	return open_entry(&key, value, kind);
}

/* Is this datum, byte for byte, the one that the entry was opened from? */
static bool
is_stored(const CacheEntry *entry, Datum datum)
{
	const struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	return entry->stored != NULL && !VARATT_IS_EXTERNAL(value) &&
		VARSIZE_ANY(value) == entry->key.size &&
		memcmp(value, entry->stored, entry->key.size) == 0;
}

static CallSite *
call_site(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
														  sizeof(CallSite));
	return fcinfo->flinfo->fn_extra;
}

/* The entry that a call site saw last, if it is still there. */
static CacheEntry *
remembered(const CallSite *site)
{
	if (site->serial != 0 && entries[site->entry].serial == site->serial)
		return &entries[site->entry];
	return NULL;
}

static void
remember(CallSite *site, CacheEntry *entry)
{
	site->entry = entry - entries;
	site->serial = entry->serial;
}

/*
 * Is the argument a constant of the expression?  Parameters are none: those of
 * an expression that PL/pgSQL keeps change from one call to the next, and a
 * new value may stand where the old one stood.
 */
static bool
is_constant(FunctionCallInfo fcinfo, int argument)
{
	Node	   *call = fcinfo->flinfo->fn_expr;

	return call != NULL && IsA(call, FuncExpr) &&
		argument < list_length(((FuncExpr *) call)->args) &&
		IsA(list_nth(((FuncExpr *) call)->args, argument), Const);
}

static CacheEntry *
find_bytea(FunctionCallInfo fcinfo, int argument, const PmModelKind *kind)
{
	Datum		datum = PG_GETARG_DATUM(argument);
	CallSite   *site = call_site(fcinfo);
	CacheEntry *entry = remembered(site);

	if (entry != NULL &&
		(site->address == DatumGetPointer(datum) || is_stored(entry, datum)))
		return entry;
	entry = look_up(datum, kind);
	remember(site, entry);
	site->address = is_constant(fcinfo, argument) ? DatumGetPointer(datum) : NULL;
	return entry;
}

/* The transaction that this backend is in. */
static uint32
current_transaction(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProc->vxid.lxid;
#else
	return MyProc->lxid;
#endif
}

/*
 * By name.  The registry is asked again when the snapshot may see another
 * state of it than the last call's did.
 */
static CacheEntry *
find_name(FunctionCallInfo fcinfo, int argument, const PmModelKind *kind)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	CallSite   *site = call_site(fcinfo);
	CacheEntry *entry = remembered(site);
	Snapshot	snapshot = GetActiveSnapshot();

	if (entry != NULL && strcmp(site->name, name) == 0 &&
		site->user == GetUserId() &&
		site->transaction == current_transaction() &&
		site->subtransaction == GetCurrentSubTransactionId() &&
		site->command == snapshot->curcid &&
		site->completed == snapshot->snapXactCompletionCount)
		return entry;
	entry = look_up(pm_registry_find(fcinfo->flinfo->fn_oid, name), kind);
	site->serial = 0;
	if (site->name != NULL)
		pfree(site->name);
	site->name = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, name);
	site->user = GetUserId();
	site->transaction = current_transaction();
	site->subtransaction = GetCurrentSubTransactionId();
	site->command = snapshot->curcid;
	site->completed = snapshot->snapXactCompletionCount;
	remember(site, entry);
	return entry;
}

PmCachedModel *
pm_model_cached(FunctionCallInfo fcinfo, int argument,
				const PmModelKind *kind)
{
	CacheEntry *entry;

	if (get_fn_expr_argtype(fcinfo->flinfo, argument) == TEXTOID)
		entry = find_name(fcinfo, argument, kind);
	else
		entry = find_bytea(fcinfo, argument, kind);
	entry->last_used = ++clock_hand;
	return &entry->view;
}

void
pm_model_open_argument(FunctionCallInfo fcinfo, int argument,
					   const PmModelKind *kind, PmContext *ctx,
					   PmCachedModel *result)
{
	Datum		datum = PG_GETARG_DATUM(argument);

	if (get_fn_expr_argtype(fcinfo->flinfo, argument) == TEXTOID)
		datum = pm_registry_find(fcinfo->flinfo->fn_oid,
								 text_to_cstring(DatumGetTextPP(datum)));
	pm_model_open_datum(datum, kind, ctx, result);
}

void
pm_model_open_datum(Datum datum, const PmModelKind *kind, PmContext *ctx,
					PmCachedModel *result)
{
	PmModel    *model = MemoryContextAlloc(pm_host_memory(ctx), sizeof(PmModel));

	memset(result, 0, sizeof(*result));
	open_bytes(ctx, DatumGetByteaPP(datum), kind, model, &result->opened);
	result->model = model;
	result->memory = pm_host_memory(ctx);
}

bytea *
pm_model_to_bytea(const PmModelWriter *writer)
{
	uint64		size = pm_model_size(writer);
	bytea	   *result;

	if (size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the model would be %llu bytes, a bytea holds at most %llu",
						(unsigned long long) size,
						(unsigned long long) (MaxAllocSize - VARHDRSZ))));
	result = palloc(size + VARHDRSZ);
	SET_VARSIZE(result, size + VARHDRSZ);
	pm_model_write(writer, VARDATA(result));
	return result;
}

pg_noinline void
pm_model_guard(PmCachedModel *cached, void (*call) (void *), void *argument)
{
	if (cached->busy)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a cast to float4[] cannot score with the model that it is called for")));
	cached->busy = true;
	PG_TRY();
	{
		call(argument);
	}
	PG_FINALLY();
	{
		cached->busy = false;
	}
	PG_END_TRY();
}
