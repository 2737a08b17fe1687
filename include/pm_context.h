/*
 * pm_context.h
 *		What an algorithm needs from whoever runs it.
 *
 * Algorithms, the numeric library and the devices know no PostgreSQL: they
 * take arrays, sizes and a PmContext, and answer with a PmStatus.  Inside a
 * backend src/host/context.c fills the context in; a unit test, a fuzzer or
 * a benchmark fills in its own.
 */
#ifndef PM_CONTEXT_H
#define PM_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct PmArena;
struct PmDevice;

typedef enum PmStatus
{
	PM_OK = 0,
	PM_NO_MEMORY,				/* the system refused an allocation */
	PM_MEMORY_LIMIT,			/* precmkt.max_memory would be passed */
	PM_TOO_LARGE,				/* a size does not fit its type or a format */
	PM_CANCELLED,				/* the host asked to stop */
	PM_INVALID,					/* an argument or the data is not acceptable */
	PM_CORRUPT,					/* bytes that are not what they claim to be */
	PM_UNSUPPORTED,				/* this device or build cannot do it */
	PM_DEVICE_ERROR				/* the device failed */
} PmStatus;

#define PM_MESSAGE_SIZE 256

typedef struct PmContext
{
	struct PmArena *arena;		/* all memory of the run */
	struct PmDevice *device;	/* NULL where none is needed */
	int			threads;		/* at least 1 */

	/*
	 * Called from the calling thread only, between device calls, at least
	 * every 50 ms of work.  True means stop: return PM_CANCELLED.  The host
	 * may also leave by longjmp, so at this point a caller holds nothing but
	 * arena memory and device memory that the host knows of.  May be NULL.
	 */
	bool		(*interrupted) (void *host);

	/* Fraction done of a named phase, 0 to 1.  May be NULL. */
	void		(*progress) (void *host, const char *phase, double fraction);

	/* A line for the person who started the run.  May be NULL. */
	void		(*log) (void *host, const char *message);

	void	   *host;

	/* Why the last call failed, in words that name the offending thing. */
	char		message[PM_MESSAGE_SIZE];
} PmContext;

/* Record why, and return status: "return pm_fail(ctx, PM_INVALID, ...)". */
extern PmStatus pm_fail(PmContext *ctx, PmStatus status, const char *format,...)
			__attribute__((format(printf, 3, 4)));

extern bool pm_interrupted(PmContext *ctx);
extern void pm_progress(PmContext *ctx, const char *phase, double fraction);
extern void pm_log(PmContext *ctx, const char *format,...)
			__attribute__((format(printf, 2, 3)));

/* Leave the calling function with the status of a call that failed. */
#define PM_TRY(call) \
	do { \
		PmStatus	pm_try_status = (call); \
		if (pm_try_status != PM_OK) \
			return pm_try_status; \
	} while (0)

#endif							/* PM_CONTEXT_H */
