/*
 * pm_schema.h
 *		What a model knows of its input: columns, dictionaries, encoding.
 *
 * A schema is made while a table is read (src/data/frame.c), kept in the
 * model and used again to encode rows for scoring.  Columns are matched by
 * name.  A column becomes one or more encoded features, the columns of the
 * matrix that an algorithm sees:
 *
 *		number, interval	one feature, NULL replaced by the mean
 *		category			one 0/1 feature a category; all 0 for NULL and
 *							for a category not seen in training
 *		time				age in days before the newest time in training,
 *							then a 0/1 feature for each day of the week and,
 *							unless the column is a date, each hour of the day
 *		set					a 0/1 feature a member seen in training
 *		vector				its elements, NULL replaced by the mean vector
 *
 * Plain C: fuzzed, and read where there is no server.
 */
#ifndef PM_SCHEMA_H
#define PM_SCHEMA_H

#include "pm_arena.h"
#include "pm_context.h"

typedef enum PmColumnClass
{
	PM_COLUMN_NUMBER,
	PM_COLUMN_INTERVAL,
	PM_COLUMN_CATEGORY,
	PM_COLUMN_TIME,
	PM_COLUMN_DATE,
	PM_COLUMN_SET,
	PM_COLUMN_VECTOR
} PmColumnClass;

#define PM_HOURS 24
#define PM_WEEKDAYS 7
#define PM_SECONDS_PER_DAY 86400.0

#define PM_CODE_NULL (-1)
#define PM_CODE_UNSEEN (-2)

/* Strings with codes 0, 1, 2, ...: a hash table while it grows. */
typedef struct PmDictionary
{
	int32_t		count;
	char	   *bytes;			/* all strings, one after the other */
	size_t		bytes_used;
	size_t		bytes_capacity;
	uint64_t   *offsets;		/* count + 1 into bytes */
	size_t		offsets_capacity;
	int32_t    *slots;			/* open addressing; -1 = free */
	uint32_t	slot_count;		/* a power of two */
} PmDictionary;

extern PmStatus pm_dictionary_init(PmContext *ctx, PmDictionary *dictionary);

/* The code of a string, PM_CODE_UNSEEN when it has none. */
extern int32_t pm_dictionary_find(const PmDictionary *dictionary,
								  const char *string, size_t length);

/* A string whose code is wanted; the others are for pm_dictionary_find_all(). */
typedef struct PmLookup
{
	const PmDictionary *dictionary;
	const char *string;
	size_t		length;
	int32_t    *code;			/* where the code goes */
	uint32_t	slot;
	int32_t		first;			/* what stands in the slot */
} PmLookup;

/*
 * The codes of several strings, as pm_dictionary_find() has them: memory that
 * one waits for comes while others are looked up.
 */
extern void pm_dictionary_find_all(PmLookup *lookups, int count);

/* The code of a string, a new one when it has none. */
extern PmStatus pm_dictionary_add(PmContext *ctx, PmDictionary *dictionary,
								  const char *string, size_t length,
								  int32_t *code);

/*
 * Renumber the codes from `first` on in the order of the strings' bytes, so
 * that they do not depend on the order of rows.  new_codes[old] = new, of all
 * codes, from the arena.
 */
extern PmStatus pm_dictionary_sort(PmContext *ctx, PmDictionary *dictionary,
								   int32_t first, int32_t **new_codes);

static inline const char *
pm_dictionary_string(const PmDictionary *dictionary, int32_t code,
					 size_t *length)
{
	*length = dictionary->offsets[code + 1] - dictionary->offsets[code];
	return dictionary->bytes + dictionary->offsets[code];
}

typedef struct PmColumn
{
	char	   *name;
	PmColumnClass class;
	bool		from_integers;	/* of a category: its values were integers */
	int			length;			/* of a vector; else 1 */
	PmDictionary dictionary;	/* of a category or set */
	double		newest;			/* of a time: days since 2000-01-01 */
	char	   *time_zone;		/* of a timestamptz: where hours and days are
								 * read; else NULL or empty */
	int			first_feature;	/* its features are consecutive */
	int			feature_count;
	int64_t		nulls;			/* NULLs in training */
} PmColumn;

typedef struct PmSchema
{
	int			column_count;
	PmColumn   *columns;
	int			feature_count;

	/*
	 * By feature, where the rows are encoded to one number a feature
	 * (pm_frame_encode), else NULL: a number v enters as (v - shift) * scale.
	 * Scale 0 is that of a number which was the same in every training row.
	 */
	double	   *shift;
	double	   *scale;
	float	   *impute;			/* the value of a NULL number, before that */
} PmSchema;

/* One row as a frame keeps it. */
typedef struct PmRow
{
	int			dense_width;
	int			code_width;
	int			set_count;
	float	   *dense;			/* NAN = NULL */
	int32_t    *codes;			/* PM_CODE_NULL, PM_CODE_UNSEEN */
	int32_t    *set_ends;		/* set i has the codes [set_ends[i - 1], set_ends[i]), */
	int32_t    *set_codes;		/* sorted, each once; unseen ones come first */
	int			set_capacity;
} PmRow;

/* Number the features once every dictionary is final. */
extern PmStatus pm_schema_number_features(PmContext *ctx, PmSchema *schema);

/* Give every feature shift 0, scale 1 and impute 0. */
extern PmStatus pm_schema_init_scales(PmContext *ctx, PmSchema *schema);

/* The kind of thing a feature is: what it says and how it is encoded. */
typedef enum PmFeatureKind
{
	PM_FEATURE_NUMBER,			/* has shift, scale and impute */
	PM_FEATURE_INDICATOR		/* 0 or 1 */
} PmFeatureKind;

extern PmFeatureKind pm_schema_feature_kind(const PmSchema *schema,
											int feature);

/*
 * A feature's name: "amount", "country=France", "signup.age_days",
 * "signup.hour=13", "signup.weekday=Monday", "tags=new", "embedding[3]".
 * Written into buffer like snprintf; the result is the full length.
 */
extern size_t pm_schema_feature_name(const PmSchema *schema, int feature,
									 char *buffer, size_t size);

/* As bytes for a model, from the arena. */
extern PmStatus pm_schema_write(PmContext *ctx, const PmSchema *schema,
								void **bytes, size_t *size);

/* From bytes that anyone may have written; PM_CORRUPT says what is wrong. */
extern PmStatus pm_schema_read(PmContext *ctx, const void *bytes, size_t size,
							   PmSchema **schema);

#endif							/* PM_SCHEMA_H */
