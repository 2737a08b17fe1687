/*
 * fuzz.h
 *		What the parts of the fuzz target share.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "pm_model.h"

#define MAX_NAMES 4096			/* of features, that one input may take */
#define MAX_CELLS (1 << 20)		/* numbers that one input may take */

/* What must hold for any input. */
#define MUST(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, \
					#condition); \
			abort(); \
		} \
	} while (0)

static inline bool
is_refusal(PmStatus status)
{
	return status == PM_CORRUPT || status == PM_MEMORY_LIMIT ||
		status == PM_TOO_LARGE;
}

/* Open a container of click models and do what the extension does with it. */
extern PmStatus use_ctr(PmContext *ctx, const PmModel *container);

#endif							/* FUZZ_H */
