/*
 * context.c
 *		A PmContext on a backend: arena in a memory context, interrupts,
 *		progress and log lines, and errors from statuses.
 */
#include "postgres.h"

#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "pm_device_loader.h"
#include "pm_host.h"
#include "pm_settings.h"

typedef struct PmHost
{
	PmContext	ctx;			/* first: the algorithm's view */
	MemoryContext memory;
	const char *name;
} PmHost;

static void *
memory_allocate(void *source, size_t bytes)
{
	return MemoryContextAllocExtended(source, bytes,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

/* repalloc_huge raises an ERROR by itself when the system has no more. */
static void *
memory_resize(void *source, void *block, size_t bytes)
{
	return repalloc_huge(block, bytes);
}

static void
memory_release(void *source, void *block)
{
	pfree(block);
}

/*
 * Leaves by longjmp when the query is cancelled: between device calls an
 * algorithm holds arena memory only, which goes with the memory context.
 */
static bool
host_interrupted(void *host)
{
	CHECK_FOR_INTERRUPTS();
	return false;
}

static void
host_progress(void *host, const char *phase, double fraction)
{
	elog(DEBUG1, "precmkt %s: %s %.0f %%", ((PmHost *) host)->name, phase,
		 100 * fraction);
}

static void
host_log(void *host, const char *message)
{
	ereport(NOTICE, (errmsg("%s", message)));
}

PmContext *
pm_host_begin(const char *name)
{
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext,
												 "precmkt",
												 ALLOCSET_DEFAULT_SIZES);
	PmHost	   *host = MemoryContextAllocZero(memory, sizeof(PmHost));
	PmAllocator allocator = {memory_allocate, memory_resize, memory_release,
	memory};

	MemoryContextSetIdentifier(memory, name);
	host->memory = memory;
	host->name = name;
	host->ctx.arena = pm_arena_create(&allocator,
									  (size_t) pm_setting_max_memory * 1024);
	if (host->ctx.arena == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
						errmsg("out of memory")));
	host->ctx.threads = 1;
	host->ctx.interrupted = host_interrupted;
	host->ctx.progress = host_progress;
	host->ctx.log = host_log;
	host->ctx.host = host;
	return &host->ctx;
}

void
pm_host_end(PmContext *ctx)
{
	MemoryContextDelete(((PmHost *) ctx->host)->memory);
}

MemoryContext
pm_host_memory(PmContext *ctx)
{
	return ((PmHost *) ctx->host)->memory;
}

void
pm_host_use_device(PmContext *ctx)
{
	ctx->device = pm_device_get();
	ctx->threads = pm_device_threads();
}

/* What a status is to a client. */
static int
status_code(PmStatus status)
{
	switch (status)
	{
		case PM_NO_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		case PM_MEMORY_LIMIT:
		case PM_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case PM_CANCELLED:
			return ERRCODE_QUERY_CANCELED;
		case PM_INVALID:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case PM_CORRUPT:
			return ERRCODE_DATA_EXCEPTION;
		case PM_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case PM_DEVICE_ERROR:
			return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
		case PM_OK:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

void
pm_host_check(PmContext *ctx, PmStatus status)
{
	if (likely(status == PM_OK))
		return;
	if (status == PM_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (status == PM_MEMORY_LIMIT)
		ereport(ERROR,
				(errcode(status_code(status)),
				 errmsg("precmkt.max_memory would be exceeded"),
				 errdetail("%s.", ctx->message),
				 errhint("Raise precmkt.max_memory, or use fewer rows or columns.")));
	ereport(ERROR,
			(errcode(status_code(status)),
			 errmsg("%s", ctx->message[0] != '\0' ? ctx->message :
					((PmHost *) ctx->host)->name)));
}

void
pm_host_check_text(const char *text, size_t length, const char *what)
{
	if (length > INT_MAX ||
		!pg_verify_mbstr(GetDatabaseEncoding(), text, (int) length, true))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("model is corrupt: %s is not valid in encoding \"%s\"",
						what, GetDatabaseEncodingName())));
}
