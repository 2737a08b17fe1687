/*
 * pm_bytes.h
 *		Structures as bytes of a model, and back from bytes that anyone may
 *		have written.
 *
 * Little-endian, as the machine has them.  Writing is done twice by the same
 * code: once to count, with bytes = NULL, and once to store.  Reading checks
 * every length before it is used; PM_CORRUPT says what is wrong.
 */
#ifndef PM_BYTES_H
#define PM_BYTES_H

#include "pm_arena.h"
#include "pm_context.h"

typedef struct PmByteWriter
{
	char	   *bytes;
	size_t		used;
} PmByteWriter;

extern void pm_put(PmByteWriter *writer, const void *data, size_t size);
extern void pm_put_u32(PmByteWriter *writer, uint32_t value);

/* A string by its length and bytes; NULL is empty. */
extern void pm_put_string(PmByteWriter *writer, const char *string);

typedef struct PmByteReader
{
	PmContext  *ctx;
	const char *bytes;
	size_t		left;
} PmByteReader;

/* "model is corrupt: what" */
extern PmStatus pm_corrupt(PmContext *ctx, const char *what);

extern PmStatus pm_take(PmByteReader *reader, void *data, size_t size);

/* A number up to a maximum; `what` is said of a larger one. */
extern PmStatus pm_take_u32(PmByteReader *reader, uint32_t *value,
							uint32_t maximum, const char *what);

/* count elements into an array from the arena. */
extern PmStatus pm_take_array(PmByteReader *reader, const char *what,
							  size_t count, size_t size, void *array);

/* A string without NUL bytes, terminated, from the arena. */
extern PmStatus pm_take_string(PmByteReader *reader, char **string);

#endif							/* PM_BYTES_H */
