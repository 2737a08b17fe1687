/*
 * pm_frame.h
 *		Typed columns as numbers.
 *
 * A frame is built row by row, from a source or from an aggregate's
 * transition function: one implementation, two doors.  Its column types
 * decide what becomes of them (pm_schema.h).  A finished frame has its rows
 * in canonical order, by a hash of their content, because the order of a scan
 * is free: the same rows give the same model.
 */
#ifndef PM_FRAME_H
#define PM_FRAME_H

#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "pgtime.h"

#include "pm_ids.h"
#include "pm_schema.h"
#include "pm_source.h"

/* ---- values of one column -------------------------------------------- */

/* Turns a column's Datums into numbers or strings. */
typedef struct PmConverter
{
	PmColumnClass class;
	bool		from_integers;	/* of a category */
	Oid			type;
	const char *name;
	FmgrInfo	function;		/* a category's output, a vector's cast */
	int			cast_arguments;
	pg_tz	   *time_zone;
	const int64 *row;			/* for messages: the row being read */
} PmConverter;

/*
 * The class of a field by its type; an ERROR names the cast to use where it
 * has none.
 */
extern PmColumnClass pm_column_class(const PmField *field);

/*
 * Take a field's integers as names of categories; an ERROR, which names the
 * option that asks for it, where it is neither integer nor category.
 */
extern void pm_field_categorical(PmField *field, const char *option);

/*
 * A converter for a field.  Where the model's class for that name is known,
 * another one is an ERROR; time_zone is that of the model or NULL for the
 * session's.
 */
extern void pm_converter_init(PmConverter *converter, const PmField *field,
							  const PmColumn *column, MemoryContext memory);

/* The ERROR for NaN, infinity and what float4 cannot hold. */
extern void pm_convert_refuse(const PmConverter *converter, double value);

/* A double as float4; inline because it is most of what loading does. */
static inline float
pm_convert_float8(const PmConverter *converter, double value)
{
	float		narrowed = (float) value;

	if (unlikely(!isfinite(narrowed)))
		pm_convert_refuse(converter, value);
	return narrowed + 0.0f;		/* -0 and 0 are one value */
}

/* A value of any type of class number or interval. */
extern float pm_convert_number(const PmConverter *converter, Datum value);

/* Days since 2000-01-01; Monday = 0; hour of the day. */
extern double pm_convert_time(const PmConverter *converter, Datum value,
							  int *weekday, int *hour);

/*
 * A label: boolean, or a number that is 0 or 1; another type, another value
 * is an ERROR.
 */
extern void pm_label_check_type(const PmField *field);
extern uint8_t pm_convert_label(const PmConverter *converter, Datum value);

/*
 * A row's weight, 0 for NULL: such a row does not count.  A converter of
 * another class than number, a weight below 0 is an ERROR.
 */
extern void pm_weight_check_type(const PmConverter *converter);
extern float pm_convert_weight(const PmConverter *converter, Datum value,
							   bool isnull);

/*
 * When something was, for ordering: days since 2000-01-01 of a date or
 * timestamp, or a number as it is; another type is an ERROR.
 */
extern void pm_moment_check_type(const PmField *field);
extern double pm_convert_moment(const PmConverter *converter, Datum value);

extern const char *pm_convert_string(PmConverter *converter, Datum value,
									 size_t *length);

/* Members as strings; NULL members are left out. */
extern int	pm_convert_set(PmConverter *converter, Datum value,
						   const char ***strings, size_t **lengths);

/* Elements; an ERROR where one is NULL, NaN or infinite. */
extern int	pm_convert_vector(PmConverter *converter, Datum value,
							  float **elements);

/* ---- frames ----------------------------------------------------------- */

typedef struct PmFrameSpec
{
	int			column_count;
	const PmField *columns;
	const PmField *weight;		/* NULL = none; its value follows the others, */
	const PmField *label;		/* then that of the label, NULL = none, */
	const PmField *time;		/* and that of the time, NULL = none */
	int			max_categories; /* more distinct ones are an ERROR */
	bool		skip_incomplete;	/* leave out rows with any NULL */
	bool		hash_categories;	/* codes are hashes, as of
									 * pm_encoder_hash_categories() */
	int64		row_limit;		/* read so many rows of a source; 0 = all */

	/*
	 * A model to go on from, NULL = none: the columns are its own, in its
	 * order.  Their classes, time zones and lengths hold, and so do the codes
	 * of its categories; new ones come after them.
	 */
	const PmSchema *model;
	PmIds	   *ids;			/* keep every row's id and place in the input;
								 * NULL = no. Its value comes last of all */
} PmFrameSpec;

/* Codes of a multi-valued column: those of row i are [offsets[i], offsets[i+1]). */
typedef struct PmFrameSet
{
	int			column;
	size_t		offsets_capacity;
	size_t		codes_capacity;
	int64_t    *offsets;
	int32_t    *codes;
} PmFrameSet;

typedef struct PmFrame
{
	PmSchema   *schema;
	int64_t		n;
	int			dense_width;	/* numbers, times in days, vectors */
	float	   *dense;			/* n * dense_width, NAN = NULL */
	int			code_width;		/* categories, weekdays, hours */
	int32_t    *codes;			/* n * code_width */
	int			set_count;
	PmFrameSet *sets;
	float	   *weights;		/* NULL = all 1 */
	uint8_t    *labels;			/* 0 or 1, where asked */
	double	   *times;			/* where asked; -infinity = NULL */
	int64_t    *ordinals;		/* place in the input, from 0, where asked */

	int64_t		rows_read;		/* n + the four below */
	int64_t		skipped_weight; /* weight NULL or 0 */
	int64_t		skipped_label;	/* label NULL */
	int64_t		skipped_null;	/* every feature NULL */
	int64_t		skipped_incomplete; /* some feature NULL, where asked */
} PmFrame;

typedef struct PmFrameBuilder PmFrameBuilder;

extern PmFrameBuilder *pm_frame_begin(PmContext *ctx, const PmFrameSpec *spec);
extern void pm_frame_add(PmFrameBuilder *builder, Datum *values, bool *nulls);
extern PmFrame *pm_frame_finish(PmFrameBuilder *builder);

/*
 * All rows of a source, through the same builder; the spec's weight, label
 * and time are fields of the source, id_column counts where it has ids.
 */
extern PmFrame *pm_frame_read(PmContext *ctx, const PmSource *source,
							  const PmFrameSpec *spec, const int *columns,
							  int id_column);

/*
 * The matrix that an algorithm sees: n rows of schema->feature_count float32.
 * NULLs are imputed and, where asked, number features brought to (weighted)
 * mean 0 and variance 1; shift, scale and impute of the schema say how.  A
 * constant feature becomes 0.  The frame's own numbers are taken over where
 * they already have this form.
 */
extern float *pm_frame_encode(PmContext *ctx, PmFrame *frame,
							  bool standardize);

/* What a number enters as, in training and in scoring. */
static inline float
pm_scale_number(const PmSchema *schema, int feature, float value)
{
	return (float) ((value - schema->shift[feature]) * schema->scale[feature]);
}

/* Bring the rows into canonical order. */
extern PmStatus pm_frame_sort(PmContext *ctx, PmFrame *frame);

/* ---- scoring ---------------------------------------------------------- */

/*
 * Turns records, or rows of a source, into numbers as training did: encoded
 * to one number a feature, where the schema has scales, or as a frame keeps
 * them.
 */
typedef struct PmEncoder PmEncoder;

extern PmEncoder *pm_encoder_create(MemoryContext memory,
									const PmSchema *schema);

/* Whether encoding may call a cast to float4[], which may do anything. */
extern bool pm_encoder_may_call(const PmEncoder *encoder);

/* Say of which types the values to come are: one field for each name. */
extern void pm_encoder_bind(PmEncoder *encoder, const PmField *fields);

/*
 * One row into feature_count float32.  False, and nothing written, when every
 * value is NULL.
 */
extern bool pm_encoder_row(PmEncoder *encoder, Datum *values, bool *nulls,
						   float *row);

/* The same from a record. */
extern bool pm_encoder_record(PmEncoder *encoder, HeapTupleHeader record,
							  float *row);

/* A category's hash, from 0 to INT32_MAX. */
extern int32_t pm_category_hash(const char *string, size_t length);

/*
 * Categories and members by a hash of their bytes instead of a code from the
 * schema's dictionaries.
 */
extern void pm_encoder_hash_categories(PmEncoder *encoder);

/* A row for the two functions below; lives as long as the encoder. */
extern PmRow *pm_encoder_make_row(PmEncoder *encoder);

/* One row as a frame keeps it.  False when every value is NULL. */
extern bool pm_encoder_values(PmEncoder *encoder, Datum *values, bool *nulls,
							  PmRow *row);

/* The same from a record. */
extern bool pm_encoder_record_values(PmEncoder *encoder,
									 HeapTupleHeader record, PmRow *row);

/* A column's value in the last record, as text; NULL for NULL. */
extern char *pm_encoder_text(const PmEncoder *encoder, int column);

#endif							/* PM_FRAME_H */
