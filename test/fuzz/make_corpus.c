/*
 * make_corpus.c
 *		Writes the seeds of the fuzzer into a folder: sound models of every
 *		shape ("valid_..."), and for each thing that is checked one that is
 *		wrong in it and sound otherwise ("corrupt_...").  What the fuzzer finds
 *		is added here, as a case that tells what was wrong.  Click models are
 *		made by make_corpus_ctr.c.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "make_corpus.h"
#include "pm_kmeans_model.h"
#include "seal.h"

#define MAX_SIZE 65536

static const char *folder;
PmContext	corpus_context;
static int	files;

/* A model under construction; sections in the order that SQL writes them. */
enum
{
	META, RUN, SCHEMA, METRIC, CENTROIDS, WEIGHTS, COUNTS, RADIUS, EVALUATION,
	SECTIONS
};

#define MAX_K 4
#define MAX_D 64

typedef struct Draft
{
	PmSchema   *schema;
	int			k;
	int32_t		metric;
	float		centroids[MAX_K * MAX_D];
	double		weights[MAX_K];
	int64_t		counts[MAX_K];
	double		radius[MAX_K];
	double		evaluation[PM_EVAL_COUNT];
	unsigned char bytes[MAX_SIZE];	/* the container */
	size_t		size;
} Draft;

static Draft draft;

void
must(PmStatus status)
{
	if (status != PM_OK)
	{
		fprintf(stderr, "make_corpus: %s\n", corpus_context.message);
		exit(1);
	}
}

/* A schema of the classes given: 'n'umber, 'i'nterval, 'c'ategory, ... */
PmSchema *
make_schema(const char *classes)
{
	static const char letters[] = "nictdsv";	/* as PmColumnClass */
	int			count = (int) strlen(classes);
	PmSchema   *schema;

	must(pm_alloc_zero(&corpus_context, "schema", 1, sizeof(PmSchema), &schema));
	must(pm_alloc_zero(&corpus_context, "schema", count, sizeof(PmColumn),
					   &schema->columns));
	schema->column_count = count;
	for (int i = 0; i < count; i++)
	{
		PmColumn   *column = &schema->columns[i];
		int32_t		code;

		must(pm_alloc_zero(&corpus_context, "schema", 20, 1, &column->name));
		snprintf(column->name, 20, "column%d", i);
		column->class = strchr(letters, classes[i]) - letters;
		column->length = column->class == PM_COLUMN_VECTOR ? 3 : 1;
		column->time_zone = column->class == PM_COLUMN_TIME ? "Europe/Paris" : NULL;
		column->newest = 8000.5;
		column->nulls = i;
		must(pm_dictionary_init(&corpus_context, &column->dictionary));
		if (column->class == PM_COLUMN_CATEGORY || column->class == PM_COLUMN_SET)
		{
			must(pm_dictionary_add(&corpus_context, &column->dictionary, "", 0, &code));
			must(pm_dictionary_add(&corpus_context, &column->dictionary, "blue", 4, &code));
			must(pm_dictionary_add(&corpus_context, &column->dictionary, "gr\303\274n", 5, &code));
		}
	}
	must(pm_schema_number_features(&corpus_context, schema));
	must(pm_schema_init_scales(&corpus_context, schema));
	for (int i = 0; i < schema->feature_count; i++)
	{
		schema->shift[i] = i;
		schema->scale[i] = 0.5;
		schema->impute[i] = (float) i;
	}
	return schema;
}

/* Sensible values for everything. */
static void
begin(const char *classes, int k, PmKMeansMetric metric)
{
	memset(&draft, 0, sizeof(draft));
	draft.schema = make_schema(classes);
	draft.k = k;
	draft.metric = metric;
	for (int i = 0; i < k * draft.schema->feature_count && i < MAX_K * MAX_D; i++)
		draft.centroids[i] = (float) (i % 7) - 3;
	for (int j = 0; j < k; j++)
	{
		draft.weights[j] = 10 - j;
		draft.counts[j] = 10 - j;
		draft.radius[j] = 0.5 + j;
	}
	for (int i = 0; i < PM_EVAL_COUNT; i++)
		draft.evaluation[i] = i == PM_EVAL_SILHOUETTE && k == 1 ? NAN : i;
}

/* The container from the draft; rows and columns are those of centroids. */
static void
assemble(const void *schema, size_t schema_size, uint64_t rows,
		 uint64_t columns)
{
	static const char meta[] = "{\"algorithm\": \"kmeans\", \"k\": 2}";
	static const char run[] = "{\"seconds_fit\": 0.1}";
	PmModelWriter writer;
	uint64_t	k = draft.k;

	pm_model_begin(&writer, PM_KMEANS_KIND);
	pm_model_add_bytes(&writer, "meta", PM_SECTION_JSON, meta, strlen(meta));
	pm_model_add_bytes(&writer, "run", PM_SECTION_JSON, run, strlen(run));
	pm_model_add_bytes(&writer, "schema", PM_SECTION_BYTES, schema, schema_size);
	pm_model_add_array(&writer, "metric", PM_SECTION_INT32, &draft.metric, 1, 1);
	pm_model_add_array(&writer, "centroids", PM_SECTION_FLOAT32, draft.centroids, rows, columns);
	pm_model_add_array(&writer, "weights", PM_SECTION_FLOAT64, draft.weights, k, 1);
	pm_model_add_array(&writer, "counts", PM_SECTION_INT64, draft.counts, k, 1);
	pm_model_add_array(&writer, "radius", PM_SECTION_FLOAT64, draft.radius, k, 1);
	pm_model_add_array(&writer, "evaluation", PM_SECTION_FLOAT64, draft.evaluation, PM_EVAL_COUNT, 1);
	draft.size = pm_model_size(&writer);
	pm_model_write(&writer, draft.bytes);
}

static void
finish(void)
{
	void	   *schema;
	size_t		schema_size;

	must(pm_schema_write(&corpus_context, draft.schema, &schema, &schema_size));
	assemble(schema, schema_size, draft.k, draft.schema->feature_count);
}

void
save_bytes(const char *name, const void *bytes, size_t size)
{
	char		path[1024];
	FILE	   *file;

	snprintf(path, sizeof(path), "%s/%s.model", folder, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
	{
		perror(path);
		exit(1);
	}
	files++;
}

static void
save(const char *name)
{
	save_bytes(name, draft.bytes, draft.size);
}

/* The start of a section's entry in the table, and of its content. */
static size_t
entry(int section)
{
	return HEADER_SIZE + (size_t) section * ENTRY_SIZE;
}

static size_t
content(int section)
{
	uint64_t	offset;

	memcpy(&offset, draft.bytes + entry(section) + ENTRY_OFFSET, sizeof(offset));
	return offset;
}

/* The usual model, to be spoilt. */
static void
usual(void)
{
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	finish();
}

/* One number of the usual model changed, then sealed and saved. */
static void
spoil_u32(const char *name, size_t at, uint32_t value)
{
	usual();
	put_u32(draft.bytes, at, value);
	seal_checksum(draft.bytes, draft.size);
	save(name);
}

static void
spoil_u64(const char *name, size_t at, uint64_t value)
{
	usual();
	put_u64(draft.bytes, at, value);
	seal_checksum(draft.bytes, draft.size);
	save(name);
}

/* ---- sound ones -------------------------------------------------------- */

static void
save_valid(void)
{
	static const char *const classes[] = {"n", "i", "c", "t", "d", "s", "v",
	"nictdsv", "vvcc", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
	{
		char		name[64];

		for (int cosine = 0; cosine <= 1; cosine++)
		{
			begin(classes[i], 1 + (int) (i + cosine) % 3,
				  cosine ? PM_METRIC_COSINE : PM_METRIC_EUCLIDEAN);
			finish();
			snprintf(name, sizeof(name), "valid_%.8s%zu_%s", classes[i], i,
					 cosine ? "cosine" : "euclidean");
			save(name);
		}
	}
	begin("nv", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->columns[1].length = 0;	/* no value was ever seen */
	must(pm_schema_number_features(&corpus_context, draft.schema));
	finish();
	save("valid_empty_vector");
	begin("n", 1, PM_METRIC_COSINE);
	memset(draft.centroids, 0, sizeof(draft.centroids));
	finish();
	save("valid_zero_cosine");
	begin("nn", 2, PM_METRIC_EUCLIDEAN);
	for (int i = 0; i < 4; i++)
		draft.centroids[i] = 3e38f; /* distances overflow */
	draft.schema->scale[0] = 1e-308;
	draft.schema->shift[1] = 1e308;
	finish();
	save("valid_extremes");
}

/* ---- the head and the table of sections -------------------------------- */

static void
save_cut(void)
{
	static const size_t sizes[] = {0, 3, 63, 64, 100, 64 + 64 * SECTIONS};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		char		name[64];

		usual();
		draft.size = sizes[i];
		snprintf(name, sizeof(name), "corrupt_cut_at_%zu", sizes[i]);
		save(name);
		if (sizes[i] < HEADER_SIZE)
			continue;
		seal(draft.bytes, draft.size);
		snprintf(name, sizeof(name), "corrupt_cut_at_%zu_sealed", sizes[i]);
		save(name);
	}
	usual();
	draft.size += 64;
	save("corrupt_bytes_follow");
	seal(draft.bytes, draft.size);
	save("corrupt_bytes_follow_sealed");
}

static void
save_bad_head(void)
{
	spoil_u32("corrupt_magic", 0, 0x4b4d5052);
	spoil_u32("corrupt_format_0", HEADER_FORMAT, 0);
	spoil_u32("corrupt_format_newer", HEADER_FORMAT, PM_MODEL_FORMAT + 1);
	spoil_u32("corrupt_kind_empty", HEADER_KIND, 0);
	spoil_u64("corrupt_kind_long", HEADER_KIND + 8, UINT64_C(0x6161616161616161));
	spoil_u32("corrupt_kind_gap", HEADER_KIND + 12, 0x61);
	spoil_u64("corrupt_length_less", HEADER_PAYLOAD, 0);
	spoil_u64("corrupt_length_huge", HEADER_PAYLOAD, UINT64_MAX - 63);
	spoil_u32("corrupt_sections_65", HEADER_SECTIONS, PM_MODEL_MAX_SECTIONS + 1);
	spoil_u32("corrupt_sections_huge", HEADER_SECTIONS, UINT32_MAX);
	spoil_u32("corrupt_sections_0", HEADER_SECTIONS, 0);
	spoil_u32("corrupt_sections_fewer", HEADER_SECTIONS, SECTIONS - 1);
	usual();
	draft.bytes[draft.size / 2] ^= 1;
	save("corrupt_bit_flipped");
}

static void
save_bad_table(void)
{
	size_t		centroids = entry(CENTROIDS);

	spoil_u32("corrupt_section_name", entry(META), 0x00ff0001);
	spoil_u32("corrupt_section_twice", entry(RUN), 0x6174656d);
	spoil_u32("corrupt_type", centroids + ENTRY_TYPE, 6);
	spoil_u32("corrupt_type_other", centroids + ENTRY_TYPE, PM_SECTION_INT32);
	spoil_u32("corrupt_dimensions_0", centroids + ENTRY_DIMENSIONS, 0);
	spoil_u32("corrupt_dimensions_3", centroids + ENTRY_DIMENSIONS, 3);
	spoil_u64("corrupt_dims_more", centroids + ENTRY_DIMS, 3);
	spoil_u64("corrupt_dims_overflow", centroids + ENTRY_DIMS, UINT64_C(1) << 62);
	spoil_u64("corrupt_offset_before", centroids + ENTRY_OFFSET, 0);
	spoil_u64("corrupt_offset_huge", centroids + ENTRY_OFFSET, UINT64_MAX - 63);
	spoil_u64("corrupt_offset_unaligned", centroids + ENTRY_OFFSET, 65);
	spoil_u64("corrupt_length_of_section", entry(META) + ENTRY_LENGTH, UINT64_MAX);
	spoil_u64("corrupt_length_past_end", entry(EVALUATION) + ENTRY_LENGTH, 4096);
	spoil_u64("corrupt_reserved", centroids + ENTRY_RESERVED, 1);
	spoil_u64("corrupt_bytes_with_dims", entry(META) + ENTRY_DIMS, 1);
	spoil_u32("corrupt_section_missing", entry(RADIUS), 0x61616161);
}

/* ---- what is in the sections -------------------------------------------- */

static void
save_bad_values(void)
{
	begin("nc", 2, 2);
	finish();
	save("corrupt_metric");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.centroids[3] = NAN;
	finish();
	save("corrupt_centroid_nan");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.counts[1] = -1;
	finish();
	save("corrupt_count_negative");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.weights[0] = INFINITY;
	finish();
	save("corrupt_weight_infinite");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.radius[0] = -1;
	finish();
	save("corrupt_radius_negative");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.evaluation[PM_EVAL_ITERATIONS] = 1e10;
	finish();
	save("corrupt_iterations");
	begin("nc", 0, PM_METRIC_EUCLIDEAN);
	finish();
	save("corrupt_no_centroids");
	begin("", 1, PM_METRIC_EUCLIDEAN);
	finish();
	save("corrupt_no_columns");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->scale[0] = -1;
	finish();
	save("corrupt_scale_negative");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->scale[0] = 0;
	finish();
	save("valid_scale_0");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->shift[0] = -INFINITY;
	finish();
	save("corrupt_shift_infinite");
	begin("t", 1, PM_METRIC_EUCLIDEAN);
	draft.schema->columns[0].newest = NAN;
	finish();
	save("corrupt_newest_nan");
	begin("nn", 1, PM_METRIC_EUCLIDEAN);
	draft.schema->columns[1].name = draft.schema->columns[0].name;
	finish();
	save("corrupt_column_twice");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->columns[1].class = PM_COLUMN_NUMBER;
	finish();
	save("corrupt_dictionary_of_number");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->columns[0].class = PM_COLUMN_VECTOR + 2;
	finish();
	save("corrupt_class");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	draft.schema->columns[1].dictionary.bytes[2] = '\0';
	finish();
	save("corrupt_category_nul");
	begin("c", 2, PM_METRIC_EUCLIDEAN);
	memcpy(draft.schema->columns[0].dictionary.bytes, "green", 5);
	draft.schema->columns[0].dictionary.offsets[1] = 4;
	draft.schema->columns[0].dictionary.offsets[2] = 5;
	draft.schema->columns[0].dictionary.offsets[3] = 9;
	memcpy(draft.schema->columns[0].dictionary.bytes, "blueXblue", 9);
	finish();
	save("corrupt_category_twice");
}

/* Sizes in the schema that are far beyond what follows. */
static void
save_bad_sizes(void)
{
	size_t		schema;
	size_t		name = 12;		/* after version, columns and features */
	size_t		class = name + 4 + 7;

	usual();
	schema = content(SCHEMA);
	spoil_u32("corrupt_schema_version", schema, 3);
	spoil_u32("corrupt_schema_unscaled", schema, 2);
	spoil_u32("corrupt_columns_10000", schema + 4, 10000);
	spoil_u32("corrupt_columns_huge", schema + 4, UINT32_MAX);
	spoil_u32("corrupt_features_huge", schema + 8, 1 << 24);
	spoil_u32("corrupt_features_too_many", schema + 8, UINT32_MAX);
	spoil_u32("corrupt_name_huge", schema + name, 65535);
	spoil_u32("corrupt_name_nul", schema + name + 4, 0x6f6c0063);
	/* class, length, newest, time zone, nulls: then the dictionary's size */
	spoil_u32("corrupt_dictionary_huge", schema + class + 28, 1 << 24);
	spoil_u32("corrupt_time_zone_huge", schema + class + 16, 65535);
	begin("vn", 2, PM_METRIC_EUCLIDEAN);
	finish();
	put_u32(draft.bytes, schema + class + 4, 1 << 24);
	seal_checksum(draft.bytes, draft.size);
	save("corrupt_vector_huge");
	put_u32(draft.bytes, schema + class + 4, 3);
	put_u32(draft.bytes, schema + class, PM_COLUMN_TIME);
	seal_checksum(draft.bytes, draft.size);
	save("corrupt_vector_class");
	begin("nc", 2, PM_METRIC_EUCLIDEAN);
	{
		void	   *bytes;
		size_t		size;

		must(pm_schema_write(&corpus_context, draft.schema, &bytes, &size));
		assemble(bytes, size - 1, draft.k, draft.schema->feature_count);
		save("corrupt_schema_cut");
		assemble(bytes, 0, draft.k, draft.schema->feature_count);
		save("corrupt_schema_empty");
		assemble(bytes, size + 1, draft.k, draft.schema->feature_count);
		save("corrupt_schema_followed");
		assemble(bytes, size, draft.schema->feature_count, draft.k);
		save("corrupt_centroids_turned");
	}
}

int
main(int argc, char **argv)
{
	if (argc != 2)
	{
		fprintf(stderr, "usage: make_corpus FOLDER\n");
		return 2;
	}
	folder = argv[1];
	corpus_context.arena = pm_arena_create(&pm_malloc_allocator, 0);
	save_valid();
	save_cut();
	save_bad_head();
	save_bad_table();
	save_bad_values();
	save_bad_sizes();
	save_ctr();
	pm_arena_destroy(corpus_context.arena);
	printf("%d files\n", files);
	return 0;
}
