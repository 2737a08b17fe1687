/*
 * container.c
 *		Writing and opening the model container.
 */
#include "pm_model.h"

#include <string.h>

#include "pm_bytes.h"
#include "pm_hash.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "models are little-endian and read in place: this machine is big-endian"
#endif

#define SECTION_ALIGNMENT 64

typedef struct FileHeader
{
	char		magic[4];
	uint32_t	format;
	char		kind[PM_MODEL_NAME_SIZE];
	unsigned char id[PM_MODEL_ID_SIZE];
	uint64_t	payload;
	uint32_t	section_count;
	uint32_t	crc;
	char		reserved[8];
} FileHeader;

typedef struct FileEntry
{
	char		name[PM_MODEL_NAME_SIZE];
	uint32_t	type;
	uint32_t	dimensions;
	uint64_t	dims[2];
	uint64_t	offset;
	uint64_t	length;
	char		reserved[8];
} FileEntry;

_Static_assert(sizeof(FileHeader) == 64, "container header is 64 bytes");
_Static_assert(sizeof(FileEntry) == 64, "section entry is 64 bytes");

static uint64_t
align_up(uint64_t offset)
{
	return (offset + SECTION_ALIGNMENT - 1) & ~(uint64_t) (SECTION_ALIGNMENT - 1);
}

/* Bytes of one element; 0 for a type that does not exist. */
static uint64_t
element_size(uint32_t type)
{
	switch (type)
	{
		case PM_SECTION_BYTES:
		case PM_SECTION_JSON:
			return 1;
		case PM_SECTION_FLOAT32:
		case PM_SECTION_INT32:
			return 4;
		case PM_SECTION_FLOAT64:
		case PM_SECTION_INT64:
			return 8;
	}
	return 0;
}

/* CRC-32C with the checksum's own field taken as 0. */
static uint32_t
checksum(const void *bytes, size_t size)
{
	FileHeader	header;
	uint32_t	crc;

	memcpy(&header, bytes, sizeof(header));
	header.crc = 0;
	crc = pm_crc32c(0, &header, sizeof(header));
	return pm_crc32c(crc, (const char *) bytes + sizeof(header),
					 size - sizeof(header));
}

/* A name of printable characters, ended and filled up by NULs. */
static bool
valid_name(const char name[PM_MODEL_NAME_SIZE])
{
	size_t		length = strnlen(name, PM_MODEL_NAME_SIZE);

	if (length == 0 || length == PM_MODEL_NAME_SIZE)
		return false;
	for (size_t i = 0; i < PM_MODEL_NAME_SIZE; i++)
	{
		char		c = name[i];

		if (i < length ? !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')
			: c != '\0')
			return false;
	}
	return true;
}

/* Magic, format and kind, which say whose bytes these are. */
static PmStatus
check_head(PmContext *ctx, const void *bytes, size_t size,
		   FileHeader *header)
{
	if (size < sizeof(FileHeader))
		return pm_fail(ctx, PM_CORRUPT, "not a precmkt model: %zu bytes are too few",
					   size);
	memcpy(header, bytes, sizeof(*header));
	if (memcmp(header->magic, PM_MODEL_MAGIC, sizeof(header->magic)) != 0)
		return pm_fail(ctx, PM_CORRUPT, "not a precmkt model: it does not begin with \"%s\"",
					   PM_MODEL_MAGIC);
	if (header->format == 0 || header->format > PM_MODEL_FORMAT)
		return pm_fail(ctx, PM_CORRUPT, "the model has format %u, this version reads up to %u",
					   header->format, PM_MODEL_FORMAT);
	if (!valid_name(header->kind))
		return pm_corrupt(ctx, "its kind is no name");
	return PM_OK;
}

/* Dimensions that make up the section's length without overflow. */
static PmStatus
check_dimensions(PmContext *ctx, const FileEntry *entry)
{
	uint64_t	size = element_size(entry->type);
	uint64_t	elements;
	uint64_t	bytes;

	if (size == 0)
		return pm_corrupt(ctx, "a section has an unknown type");
	if (entry->type == PM_SECTION_BYTES || entry->type == PM_SECTION_JSON)
	{
		if (entry->dimensions != 0 || entry->dims[0] != 0 || entry->dims[1] != 0)
			return pm_corrupt(ctx, "a section of bytes has dimensions");
		return PM_OK;
	}
	if (entry->dimensions < 1 || entry->dimensions > 2 ||
		(entry->dimensions == 1 && entry->dims[1] != 1))
		return pm_corrupt(ctx, "an array has a wrong number of dimensions");
	if (__builtin_mul_overflow(entry->dims[0], entry->dims[1], &elements) ||
		__builtin_mul_overflow(elements, size, &bytes) ||
		bytes != entry->length)
		return pm_corrupt(ctx, "an array's dimensions do not make up its length");
	return PM_OK;
}

/*
 * Check one entry of the table; sections follow one another without gaps, so
 * `expected` is where this one must begin.
 */
static PmStatus
check_entry(PmContext *ctx, const FileEntry *entry, uint64_t size,
			uint64_t *expected)
{
	static const char zeros[sizeof(entry->reserved)];

	if (!valid_name(entry->name))
		return pm_corrupt(ctx, "a section has no valid name");
	if (memcmp(entry->reserved, zeros, sizeof(zeros)) != 0)
		return pm_corrupt(ctx, "reserved bytes are not zero");
	if (entry->offset != *expected || entry->offset > size ||
		entry->length > size - entry->offset)
		return pm_corrupt(ctx, "a section lies out of bounds");
	PM_TRY(check_dimensions(ctx, entry));
	*expected = align_up(entry->offset + entry->length);
	return PM_OK;
}

PmStatus
pm_model_open(PmContext *ctx, const void *bytes, size_t size, PmModel *model)
{
	FileHeader	header;
	uint64_t	expected;

	memset(model, 0, sizeof(*model));
	PM_TRY(check_head(ctx, bytes, size, &header));
	if (header.payload != size - sizeof(header))
		return pm_fail(ctx, PM_CORRUPT, "model is corrupt: it is %zu bytes long and says it is %llu",
					   size, (unsigned long long) header.payload + sizeof(header));
	if (checksum(bytes, size) != header.crc)
		return pm_corrupt(ctx, "its checksum does not match");
	if (header.section_count > PM_MODEL_MAX_SECTIONS ||
		header.section_count * sizeof(FileEntry) > header.payload)
		return pm_corrupt(ctx, "it has too many sections");

	memcpy(model->kind, header.kind, sizeof(model->kind));
	memcpy(model->id, header.id, sizeof(model->id));
	model->format = header.format;
	model->size = size;
	model->section_count = (int) header.section_count;
	expected = sizeof(FileHeader) + header.section_count * sizeof(FileEntry);
	for (int i = 0; i < model->section_count; i++)
	{
		PmSection  *section = &model->sections[i];
		FileEntry	entry;

		memcpy(&entry, (const char *) bytes + sizeof(FileHeader) + i * sizeof(FileEntry),
			   sizeof(entry));
		PM_TRY(check_entry(ctx, &entry, size, &expected));
		for (int j = 0; j < i; j++)
			if (memcmp(entry.name, model->sections[j].name, sizeof(entry.name)) == 0)
				return pm_corrupt(ctx, "a section occurs twice");
		memcpy(section->name, entry.name, sizeof(section->name));
		section->type = entry.type;
		section->dimensions = (int) entry.dimensions;
		section->dims[0] = entry.dims[0];
		section->dims[1] = entry.dims[1];
		section->data = (const char *) bytes + entry.offset;
		section->length = entry.length;
	}
	if (expected != align_up(size))
		return pm_corrupt(ctx, "bytes follow its last section");
	return PM_OK;
}

PmStatus
pm_model_section(PmContext *ctx, const PmModel *model, const char *name,
				 PmSectionType type, int64_t rows, int64_t columns,
				 const PmSection **result)
{
	for (int i = 0; i < model->section_count; i++)
	{
		const PmSection *section = &model->sections[i];

		if (strcmp(section->name, name) != 0)
			continue;
		if (section->type != type ||
			(rows >= 0 && section->dims[0] != (uint64_t) rows) ||
			(columns >= 0 && section->dims[1] != (uint64_t) columns))
			return pm_fail(ctx, PM_CORRUPT, "model is corrupt: its section \"%s\" has a wrong type or size",
						   name);
		*result = section;
		return PM_OK;
	}
	return pm_fail(ctx, PM_CORRUPT, "model is corrupt: it has no section \"%s\"",
				   name);
}

/* ---- writing ---------------------------------------------------------- */

void
pm_model_begin(PmModelWriter *writer, const char *kind)
{
	memset(writer, 0, sizeof(*writer));
	strncpy(writer->kind, kind, sizeof(writer->kind) - 1);
}

static PmSection *
add_section(PmModelWriter *writer, const char *name, PmSectionType type,
			const void *data, uint64_t length)
{
	PmSection  *section = &writer->sections[writer->section_count++];

	strncpy(section->name, name, sizeof(section->name) - 1);
	section->type = type;
	section->data = data;
	section->length = length;
	return section;
}

void
pm_model_add_bytes(PmModelWriter *writer, const char *name,
				   PmSectionType type, const void *data, size_t length)
{
	add_section(writer, name, type, data, length);
}

void
pm_model_add_array(PmModelWriter *writer, const char *name,
				   PmSectionType type, const void *data, uint64_t rows,
				   uint64_t columns)
{
	PmSection  *section = add_section(writer, name, type, data,
									  rows * columns * element_size(type));

	section->dimensions = columns == 1 ? 1 : 2;
	section->dims[0] = rows;
	section->dims[1] = columns;
}

uint64_t
pm_model_size(const PmModelWriter *writer)
{
	uint64_t	end = sizeof(FileHeader) +
		writer->section_count * sizeof(FileEntry);

	for (int i = 0; i < writer->section_count; i++)
		end = align_up(end) + writer->sections[i].length;
	return end;
}

/* Two hashes of kind and content, the volatile "run" left out. */
static void
compute_id(const PmModelWriter *writer, unsigned char id[PM_MODEL_ID_SIZE])
{
	uint64_t	hash[2];

	for (int half = 0; half < 2; half++)
	{
		hash[half] = pm_hash64(half, writer->kind, sizeof(writer->kind));
		for (int i = 0; i < writer->section_count; i++)
		{
			const PmSection *section = &writer->sections[i];

			if (strcmp(section->name, "run") == 0)
				continue;
			hash[half] = pm_hash64(hash[half], section->name,
								   sizeof(section->name));
			hash[half] = pm_hash64(hash[half], section->data, section->length);
		}
	}
	memcpy(id, hash, sizeof(hash));
}

void
pm_model_write(const PmModelWriter *writer, void *bytes)
{
	char	   *base = bytes;
	uint64_t	size = pm_model_size(writer);
	uint64_t	offset = sizeof(FileHeader) +
		writer->section_count * sizeof(FileEntry);
	FileHeader	header = {0};

	memset(base, 0, size);
	memcpy(header.magic, PM_MODEL_MAGIC, sizeof(header.magic));
	header.format = PM_MODEL_FORMAT;
	memcpy(header.kind, writer->kind, sizeof(header.kind));
	compute_id(writer, header.id);
	header.payload = size - sizeof(header);
	header.section_count = writer->section_count;
	for (int i = 0; i < writer->section_count; i++)
	{
		const PmSection *section = &writer->sections[i];
		FileEntry	entry = {0};

		offset = align_up(offset);
		memcpy(entry.name, section->name, sizeof(entry.name));
		entry.type = section->type;
		entry.dimensions = section->dimensions;
		entry.dims[0] = section->dims[0];
		entry.dims[1] = section->dims[1];
		entry.offset = offset;
		entry.length = section->length;
		memcpy(base + sizeof(FileHeader) + i * sizeof(FileEntry), &entry,
			   sizeof(entry));
		if (section->length > 0)
			memcpy(base + offset, section->data, section->length);
		offset += section->length;
	}
	memcpy(base, &header, sizeof(header));
	header.crc = checksum(base, size);
	memcpy(base, &header, sizeof(header));
}
