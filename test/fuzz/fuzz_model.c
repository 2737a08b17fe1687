/*
 * fuzz_model.c
 *		Fuzz target: bytes that claim to be a model.
 *
 * A model comes from a table that anyone may write.  Each input is opened as
 * it is, and again with its head made right, because a checksum would keep a
 * fuzzer out of everything behind it.  A model that opens is used: rows are
 * scored, features named, dictionaries asked, the schema written again.
 * fuzz_ctr.c does so with click models.
 *
 * With libFuzzer the mutator knows the container: it changes one section's
 * content and puts the table and the checksum right.  Without it (REPLAY)
 * main() runs the files that it is given, each in a process of its own.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "pm_kmeans_model.h"
#include "seal.h"

#define MEMORY_LIMIT ((size_t) 256 * 1024 * 1024)

/* Bytes at an address that is a multiple of 64, as the cache has them. */
static unsigned char *
aligned_copy(const uint8_t *data, size_t size)
{
	unsigned char *copy = aligned_alloc(64, (size + 64) / 64 * 64);

	MUST(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

/* Every feature has a kind and a name of the length that it says. */
static void
name_features(const PmSchema *schema)
{
	int			count = schema->feature_count < MAX_NAMES ?
		schema->feature_count : MAX_NAMES;

	for (int i = 0; i < count; i++)
	{
		size_t		length = pm_schema_feature_name(schema, i, NULL, 0);
		char	   *name = malloc(length + 1);

		MUST(name != NULL);
		MUST(pm_schema_feature_name(schema, i, name, length + 1) == length);
		MUST(strlen(name) == length);
		MUST(pm_schema_feature_kind(schema, i) <= PM_FEATURE_INDICATOR);
		free(name);
	}
}

/* Some strings at once, and one that is not there. */
static void
find_together(const PmDictionary *dictionary)
{
	PmLookup	lookups[8];
	int32_t		codes[8];
	int			count = dictionary->count < 7 ? dictionary->count : 7;

	for (int32_t code = 0; code < count; code++)
	{
		lookups[code] = (PmLookup) {.dictionary = dictionary,.code = &codes[code]};
		lookups[code].string = pm_dictionary_string(dictionary, code, &lookups[code].length);
	}
	lookups[count] = (PmLookup) {.dictionary = dictionary,.string = "\001no such",.length = 9,.code = &codes[count]};
	pm_dictionary_find_all(lookups, count + 1);
	for (int32_t code = 0; code < count; code++)
		MUST(codes[code] == code);
	MUST(codes[count] == pm_dictionary_find(dictionary, "\001no such", 9));
}

/* Every string of a dictionary has the code that it was read with. */
static void
ask_dictionaries(const PmSchema *schema)
{
	for (int i = 0; i < schema->column_count; i++)
	{
		const PmDictionary *dictionary = &schema->columns[i].dictionary;

		for (int32_t code = 0; code < dictionary->count; code++)
		{
			size_t		length;
			const char *string = pm_dictionary_string(dictionary, code, &length);

			MUST(pm_dictionary_find(dictionary, string, length) == code);
		}
		MUST(pm_dictionary_find(dictionary, "\001no such", 9) < dictionary->count);
		find_together(dictionary);
	}
}

/* What is written is what was read. */
static void
write_schema(PmContext *ctx, const PmSchema *schema, const void *bytes,
			 size_t size)
{
	void	   *written;
	size_t		written_size;

	if (pm_schema_write(ctx, schema, &written, &written_size) != PM_OK)
		return;
	MUST(written_size == size);
	MUST(memcmp(written, bytes, size) == 0);
}

static void
use_schema(PmContext *ctx, const void *bytes, size_t size)
{
	PmSchema   *schema;
	PmStatus	status = pm_schema_read(ctx, bytes, size, &schema);

	if (status != PM_OK)
	{
		MUST(is_refusal(status));
		MUST(ctx->message[0] != '\0');
		return;
	}
	name_features(schema);
	ask_dictionaries(schema);
	write_schema(ctx, schema, bytes, size);
}

/* Rows of one value each, wild ones among them. */
static void
score_rows(PmKMeansModel *model)
{
	static const float values[] = {0, 1, -1e30f, 3.4e38f, 1e-45f, INFINITY, NAN};
	float	   *row;

	if ((size_t) model->k * model->d > MAX_CELLS)
		return;
	row = malloc(model->d * sizeof(float));
	MUST(row != NULL);
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++)
	{
		double		distance;
		int			cluster;

		for (int f = 0; f < model->d; f++)
			row[f] = (float) ((values[v] - model->schema->shift[f]) *
							  model->schema->scale[f]);
		cluster = pm_kmeans_model_nearest(model, row, &distance);
		MUST(cluster >= 0 && cluster < model->k);
		MUST(isnan(distance) || distance >= 0);
	}
	free(row);
}

static PmStatus
use_kmeans(PmContext *ctx, const PmModel *container)
{
	void	   *opened = NULL;
	PmStatus	status = pm_kmeans_model_open(ctx, container, &opened);

	if (status == PM_OK)
		score_rows(opened);
	else
		MUST(is_refusal(status));
	return status;
}

/* Open aligned bytes and do what the extension does with a model. */
static PmStatus
use_model(const unsigned char *bytes, size_t size)
{
	PmContext	ctx = {0};
	PmModel		container;
	PmStatus	status;

	ctx.arena = pm_arena_create(&pm_malloc_allocator, MEMORY_LIMIT);
	MUST(ctx.arena != NULL);
	ctx.threads = 1;
	status = pm_model_open(&ctx, bytes, size, &container);
	if (status == PM_OK)
	{
		for (int i = 0; i < container.section_count; i++)
			if (strcmp(container.sections[i].name, "schema") == 0)
				use_schema(&ctx, container.sections[i].data,
						   container.sections[i].length);
		status = strcmp(container.kind, "ctr") == 0 ? use_ctr(&ctx, &container) :
			use_kmeans(&ctx, &container);
	}
	else
		MUST(status == PM_CORRUPT);
	MUST(status == PM_OK || ctx.message[0] != '\0');
	pm_arena_destroy(ctx.arena);
	return status;
}

/* One input; the status is that of the bytes as they are. */
static PmStatus
use_input(const uint8_t *data, size_t size)
{
	unsigned char *copy = aligned_copy(data, size);
	PmStatus	status = use_model(copy, size);

	if (size >= HEADER_SIZE)
	{
		seal(copy, size);
		use_model(copy, size);
	}
	free(copy);
	return status;
}

#ifndef REPLAY

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
									  size_t max_size, unsigned int seed);
extern size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	use_input(data, size);
	return 0;
}

static uint64_t
element_size(PmSectionType type)
{
	return type == PM_SECTION_FLOAT64 || type == PM_SECTION_INT64 ? 8 :
		type == PM_SECTION_FLOAT32 || type == PM_SECTION_INT32 ? 4 : 1;
}

/*
 * Change the content of one section and write the container anew.  0 where
 * the result would not fit.
 */
static size_t
mutate_section(const PmModel *model, int number, uint8_t *data,
			   size_t max_size)
{
	PmModelWriter writer;
	const PmSection *section = &model->sections[number];
	uint64_t	element = element_size(section->type);
	size_t		room = section->length + 256;
	unsigned char *content = calloc(1, room + 8);
	unsigned char *result;
	size_t		length;
	size_t		size;

	MUST(content != NULL);
	memcpy(content, section->data, section->length);
	length = LLVMFuzzerMutate(content, section->length, room);
	length = length / element * element;
	pm_model_begin(&writer, model->kind);
	writer.section_count = model->section_count;
	memcpy(writer.sections, model->sections, sizeof(writer.sections));
	writer.sections[number].data = content;
	writer.sections[number].length = length;
	if (section->dimensions > 0 && length != section->length)
	{
		writer.sections[number].dimensions = 1;
		writer.sections[number].dims[0] = length / element;
		writer.sections[number].dims[1] = 1;
	}
	size = pm_model_size(&writer);
	if (size <= max_size)
	{
		result = malloc(size);
		MUST(result != NULL);
		pm_model_write(&writer, result);
		memcpy(data, result, size);
		free(result);
	}
	free(content);
	return size <= max_size ? size : 0;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
						unsigned int seed)
{
	unsigned char *copy = aligned_copy(data, size);
	PmContext	ctx = {0};
	PmModel		model;
	size_t		mutated = 0;

	if (size >= HEADER_SIZE)
		seal(copy, size);
	if (seed % 4 != 0 && pm_model_open(&ctx, copy, size, &model) == PM_OK &&
		model.section_count > 0)
		mutated = mutate_section(&model, seed / 4 % model.section_count, data,
								 max_size);
	free(copy);
	if (mutated > 0)
		return mutated;
	mutated = LLVMFuzzerMutate(data, size, max_size);
	if (mutated >= HEADER_SIZE && seed % 64 != 0)
		seal(data, mutated);
	return mutated;
}

#else							/* REPLAY */

#include <sys/wait.h>
#include <unistd.h>

/* The file's bytes, or NULL. */
static uint8_t *
read_file(const char *path, size_t *size)
{
	FILE	   *file = fopen(path, "rb");
	uint8_t    *bytes;
	long		length;

	if (file == NULL)
		return NULL;
	fseek(file, 0, SEEK_END);
	length = ftell(file);
	rewind(file);
	bytes = malloc(length + 1);
	*size = bytes != NULL ? fread(bytes, 1, length, file) : 0;
	fclose(file);
	return bytes;
}

/*
 * Run one file.  Its name says what must come of it: "valid..." opens,
 * "corrupt..." is refused, anything else may do either.
 */
static int
replay(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	size_t		size;
	uint8_t    *bytes = read_file(path, &size);
	PmStatus	status;

	if (bytes == NULL)
	{
		fprintf(stderr, "%s: cannot be read\n", path);
		return 1;
	}
	status = use_input(bytes, size);
	free(bytes);
	if ((strncmp(name, "valid", 5) == 0 && status != PM_OK) ||
		(strncmp(name, "corrupt", 7) == 0 && status != PM_CORRUPT))
	{
		fprintf(stderr, "%s: status %d\n", path, status);
		return 1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	int			failed = 0;

	for (int i = 1; i < argc; i++)
	{
		pid_t		child;
		int			status = 1;

		fflush(stdout);
		child = fork();
		MUST(child >= 0);
		if (child == 0)
			exit(replay(argv[i]));
		MUST(waitpid(child, &status, 0) == child);
		if (status != 0)
		{
			failed++;
			printf("failed: %s\n", argv[i]);
		}
	}
	printf("%d passed, %d failed\n", argc - 1 - failed, failed);
	return failed > 0;
}

#endif							/* REPLAY */
