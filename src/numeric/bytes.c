/*
 * bytes.c
 *		Structures as bytes, and back.
 */
#include "pm_bytes.h"

#include <string.h>

#define MAX_STRING 65535

void
pm_put(PmByteWriter *writer, const void *data, size_t size)
{
	if (writer->bytes != NULL && size > 0)
		memcpy(writer->bytes + writer->used, data, size);
	writer->used += size;
}

void
pm_put_u32(PmByteWriter *writer, uint32_t value)
{
	pm_put(writer, &value, sizeof(value));
}

void
pm_put_string(PmByteWriter *writer, const char *string)
{
	size_t		length = string != NULL ? strlen(string) : 0;

	pm_put_u32(writer, (uint32_t) length);
	pm_put(writer, string, length);
}

PmStatus
pm_corrupt(PmContext *ctx, const char *what)
{
	return pm_fail(ctx, PM_CORRUPT, "model is corrupt: %s", what);
}

static PmStatus
too_early(PmByteReader *reader)
{
	return pm_corrupt(reader->ctx, "one of its parts ends too early");
}

PmStatus
pm_take(PmByteReader *reader, void *data, size_t size)
{
	if (size > reader->left)
		return too_early(reader);
	if (size > 0)
		memcpy(data, reader->bytes, size);
	reader->bytes += size;
	reader->left -= size;
	return PM_OK;
}

PmStatus
pm_take_u32(PmByteReader *reader, uint32_t *value, uint32_t maximum,
			const char *what)
{
	*value = 0;
	PM_TRY(pm_take(reader, value, sizeof(*value)));
	if (*value > maximum)
		return pm_corrupt(reader->ctx, what);
	return PM_OK;
}

PmStatus
pm_take_array(PmByteReader *reader, const char *what, size_t count,
			  size_t size, void *array)
{
	void	  **out = array;

	if (count > reader->left / size)
		return too_early(reader);
	PM_TRY(pm_alloc(reader->ctx, what, count, size, out));
	return pm_take(reader, *out, count * size);
}

PmStatus
pm_take_string(PmByteReader *reader, char **string)
{
	uint32_t	length = 0;

	PM_TRY(pm_take_u32(reader, &length, MAX_STRING, "a name is too long"));
	if (length > reader->left)
		return too_early(reader);
	PM_TRY(pm_alloc(reader->ctx, "a name", (size_t) length + 1, 1, string));
	PM_TRY(pm_take(reader, *string, length));
	(*string)[length] = '\0';
	if (memchr(*string, '\0', length) != NULL)
		return pm_corrupt(reader->ctx, "a name holds a NUL byte");
	return PM_OK;
}
