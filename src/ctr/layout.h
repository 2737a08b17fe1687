/*
 * layout.h
 *		From a table's columns to the fields of a click model.
 *
 * A layout is made from the training rows, kept in the model and used again
 * for every row that is scored.  It consists of parts.  A visible part is one
 * field of the algorithm (pm_ctr.h), parts and fields numbered alike but for
 * hidden parts, which only serve crosses.
 *
 *		column					parts
 *		number, interval		its transform: a standardised number, or bins;
 *								and where training had NULLs, a flag for them
 *		date, timestamp			age in days as a number, weekday, hour
 *		category				an index a category, one for rare ones and one
 *								for NULL where training had them
 *		set						likewise, several a row
 *		vector					its elements as numbers
 *		cross					an index a combination seen in training
 *
 * In a hashed layout, indexes are hashes into one table of 2^hash_bits
 * coefficients, and there are no dictionaries.
 */
#ifndef CTR_LAYOUT_H
#define CTR_LAYOUT_H

#include "pm_ctr.h"
#include "pm_schema.h"

#define CTR_MAX_MEMBERS 4
#define CTR_MAX_HASH_BITS 28

typedef enum CtrPartKind
{
	CTR_NUMBER,
	CTR_MISSING,
	CTR_BINS,
	CTR_WEEKDAY,
	CTR_HOUR,
	CTR_CATEGORY,
	CTR_SET,
	CTR_CROSS
} CtrPartKind;

typedef enum CtrTransform
{
	CTR_STANDARDIZE,			/* mean 0, deviation 1 */
	CTR_LOG1P,					/* sign(x) log(1 + |x|), then standardised */
	CTR_RAW,					/* as it is */
	CTR_QUANTILE,				/* bins of equal numbers of rows */
	CTR_VALUES					/* each distinct value a category */
} CtrTransform;

typedef struct CtrPart
{
	CtrPartKind kind;
	bool		visible;
	int32_t		column;			/* of the schema; of a cross -1 */
	int32_t		at;				/* where its value stands in a PmRow: the first
								 * of dense, in codes, or the set's number */
	int32_t		size;			/* how many indexes it can give */
	int32_t		first;			/* its first coefficient, when visible */
	int32_t		field;			/* its field, when visible */
	uint64_t	salt;			/* of its hashes */
	int32_t    *places;			/* hashed NUMBER: the coefficient of each
								 * element */

	/* NUMBER: size of each; a value v enters as (t(v) - shift) * scale */
	CtrTransform transform;		/* also of BINS */
	double	   *shift;
	double	   *scale;
	float	   *impute;			/* for NULL, before the transform */

	/*
	 * BINS: bounds, increasing.  By quantile, bin i is below bounds[i] and
	 * the last one above all; by value, bin i is bounds[i].
	 */
	int32_t		bound_count;
	float	   *bounds;

	/* CATEGORY, SET: the index of each code of the dictionary, or -1 */
	int32_t		code_count;
	int32_t    *index_of;
	int32_t    *code_of;		/* the first code of each index, or -1 */

	int32_t		rare;			/* index for rare and unseen ones, or -1 */
	int32_t		null;			/* index for NULL, or -1; not of a SET */

	/* CROSS: parts before this one that give one index a row */
	int32_t		member_count;
	int32_t		members[CTR_MAX_MEMBERS];
	int32_t		key_count;		/* combinations, sorted: key i has index i */
	uint64_t   *keys;
} CtrPart;

typedef struct CtrLayout
{
	int			part_count;
	CtrPart    *parts;
	int			field_count;
	int32_t		coefficient_count;
	bool		hashed;
	int			hash_bits;
	int			entry_count;	/* most entries of a row, but for sets */
} CtrLayout;

/* ---- making ----------------------------------------------------------- */

typedef struct CtrColumnTransform
{
	int			column;
	CtrTransform transform;
	int			bins;			/* of CTR_QUANTILE */
} CtrColumnTransform;

/* One member of a cross: a column, or a time's weekday or hour. */
typedef struct CtrCrossMember
{
	int			column;
	CtrPartKind part;			/* CTR_WEEKDAY, CTR_HOUR, else any */
} CtrCrossMember;

typedef struct CtrCross
{
	int			count;
	CtrCrossMember members[CTR_MAX_MEMBERS];
} CtrCross;

typedef struct CtrLayoutOptions
{
	int64_t		min_frequency;	/* rarer categories share one index */
	int32_t		max_values;		/* distinct numbers that CTR_VALUES takes */
	bool		hashed;
	int			hash_bits;
	int			transform_count;
	const CtrColumnTransform *transforms;
	int			cross_count;
	const CtrCross *crosses;
} CtrLayoutOptions;

/* A frame's rows, without PostgreSQL. */
typedef struct CtrTable
{
	const PmSchema *schema;
	int64_t		n;
	int			dense_width;
	const float *dense;			/* NAN = NULL */
	int			code_width;
	const int32_t *codes;
	int			set_count;
	const int64_t *const *set_offsets;
	const int32_t *const *set_codes;
	const float *weights;		/* NULL = all 1 */
	const uint8_t *labels;
	const uint8_t *held_out;	/* 1 for evaluation rows; NULL = none */
} CtrTable;

/*
 * Decide on the parts by the rows that are not held out.  PM_INVALID says
 * which column cannot be transformed or crossed as asked.
 */
extern PmStatus pm_ctr_layout_make(PmContext *ctx, const CtrTable *table,
								const CtrLayoutOptions *options,
								CtrLayout *layout);

/*
 * A layout with the categories, values and combinations of further rows, whose
 * schema goes on from the previous one's (PmFrameSpec.model).  What training
 * scaled numbers by stays, as do bounds of quantiles.  moved[i] is where the
 * coefficient i has its place now; NULL for a hashed layout, where all stay.
 */
extern PmStatus pm_ctr_layout_extend(PmContext *ctx, const CtrTable *table,
									 const CtrLayoutOptions *options,
									 const CtrLayout *previous,
									 CtrLayout *layout, int32_t **moved);

/* Where the values of a part's column stand in a PmRow. */
extern void pm_ctr_part_place(const PmSchema *schema, CtrPart *part);

/* First coefficients, fields and salts of all parts, once they are decided. */
extern PmStatus pm_ctr_layout_number(PmContext *ctx, const PmSchema *schema,
									 CtrLayout *layout);

/* ---- using ------------------------------------------------------------ */

/*
 * All rows as the algorithm takes them: those in training, and those held
 * out.  Not for hashed layouts.
 */
extern PmStatus pm_ctr_layout_rows(PmContext *ctx, const CtrLayout *layout,
								const CtrTable *table, PmCtrRows *train,
								PmCtrRows *held_out);

/*
 * The nonzeros of one row, by part.  entries has room for entry_count and a
 * further one for each member of a set.
 */
extern int	pm_ctr_layout_entries(const CtrLayout *layout, const PmRow *row,
							   PmCtrEntry *entries);

/* The index that a part which gives one index a row has for it, or -1. */
extern int32_t pm_ctr_part_index(const CtrLayout *layout, const CtrPart *part,
							  const float *dense, const int32_t *codes);

/*
 * The coefficient of a part of a hashed layout: of element j of a NUMBER, of a
 * MISSING's flag, of a weekday, an hour or a quantile's bin.
 */
extern int32_t pm_ctr_hashed_place(const CtrLayout *layout, const CtrPart *part,
								   int32_t index);

/* The combination of a cross's members in a row; not of a hashed layout. */
extern uint64_t pm_ctr_cross_key(const CtrLayout *layout, const CtrPart *part,
								 const float *dense, const int32_t *codes);

/* Element j of a NUMBER's value. */
extern float pm_ctr_part_number(const CtrPart *part, int j, const float *dense);

/* ---- names and bytes -------------------------------------------------- */

/* What a part is called: "amount", "ts.hour", "device:hour". */
extern size_t pm_ctr_part_name(const PmSchema *schema, const CtrLayout *layout,
							const CtrPart *part, char *buffer, size_t size);

/*
 * What index i of a part stands for: a category, "(rare)", "(null)", bounds
 * "[1, 5)", an element's number; empty where the part is one number.
 */
extern size_t pm_ctr_index_name(const PmSchema *schema, const CtrLayout *layout,
							 const CtrPart *part, int32_t index, char *buffer,
							 size_t size);

extern PmStatus pm_ctr_layout_write(PmContext *ctx, const CtrLayout *layout,
								 void **bytes, size_t *size);

/* From bytes that anyone may have written. */
extern PmStatus pm_ctr_layout_read(PmContext *ctx, const PmSchema *schema,
								const void *bytes, size_t size,
								CtrLayout *layout);

#endif							/* CTR_LAYOUT_H */
