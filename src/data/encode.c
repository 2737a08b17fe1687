/*
 * encode.c
 *		From a frame to the matrix that an algorithm sees.
 *
 * Scoring (encoder.c) goes through the same float32 steps, so that a training
 * row scored later gives the same bits.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "pm_frame.h"
#include "pm_host.h"
#include "pm_parallel.h"

#define CHECK_INTERVAL (1 << 16)

/* Rows of a piece of work, on a thread; sums are added up by pieces. */
#define PIECE_ROWS 16384

/* The deviation that summing equal numbers may leave, beside their mean. */
#define ROUNDING 1e-9

/* Where the features of a frame's parts stand in an encoded row. */
typedef struct Layout
{
	int		   *dense_feature;	/* of each dense number */
	bool	   *dense_is_time;
	double	   *newest;
	int		   *code_feature;	/* first feature of each code */
	int		   *set_feature;
} Layout;

static Layout
find_layout(const PmFrame *frame)
{
	Layout		layout;
	int			dense = 0;
	int			code = 0;
	int			set = 0;

	layout.dense_feature = palloc(Max(1, frame->dense_width) * sizeof(int));
	layout.dense_is_time = palloc0(Max(1, frame->dense_width) * sizeof(bool));
	layout.newest = palloc0(Max(1, frame->dense_width) * sizeof(double));
	layout.code_feature = palloc(Max(1, frame->code_width) * sizeof(int));
	layout.set_feature = palloc(Max(1, frame->set_count) * sizeof(int));
	for (int i = 0; i < frame->schema->column_count; i++)
	{
		const PmColumn *column = &frame->schema->columns[i];
		int			first = column->first_feature;

		switch (column->class)
		{
			case PM_COLUMN_NUMBER:
			case PM_COLUMN_INTERVAL:
				layout.dense_feature[dense++] = first;
				break;
			case PM_COLUMN_VECTOR:
				for (int j = 0; j < column->length; j++)
					layout.dense_feature[dense++] = first + j;
				break;
			case PM_COLUMN_TIME:
			case PM_COLUMN_DATE:
				layout.dense_is_time[dense] = true;
				layout.newest[dense] = column->newest;
				layout.dense_feature[dense++] = first;
				layout.code_feature[code++] = first + 1;
				if (column->class == PM_COLUMN_TIME)
					layout.code_feature[code++] = first + 1 + PM_WEEKDAYS;
				break;
			case PM_COLUMN_CATEGORY:
				layout.code_feature[code++] = first;
				break;
			case PM_COLUMN_SET:
				layout.set_feature[set++] = first;
				break;
		}
	}
	return layout;
}

/* Times become ages; in place. */
static void
times_to_ages(PmFrame *frame, const Layout *layout)
{
	for (int j = 0; j < frame->dense_width; j++)
	{
		if (!layout->dense_is_time[j])
			continue;
		for (int64_t row = 0; row < frame->n; row++)
		{
			float	   *value = &frame->dense[row * frame->dense_width + j];

			if (row % CHECK_INTERVAL == 0)
				CHECK_FOR_INTERRUPTS();
			*value = (float) (layout->newest[j] - *value);
		}
	}
}

/* Of rows, by dense number. */
typedef struct Moments
{
	double	   *weight;			/* of the values that are not NULL */
	double	   *mean;
	double	   *square;			/* summed squared deviations from the mean */
} Moments;

/* Moments in an array of 3 * width numbers. */
static inline Moments
moments_at(double *numbers, int width)
{
	return (Moments) {numbers, numbers + width, numbers + 2 * width};
}

/* Piecewise work on the rows: what it reads, and what it adds up or writes. */
typedef struct Pieces
{
	PmContext  *ctx;
	const PmFrame *frame;
	const Layout *layout;
	double	   *moments;		/* of each piece */
	float	   *x;				/* the encoded rows */
	int			x_width;
} Pieces;

/* The rows of a piece. */
static int64_t
piece_end(const Pieces *pieces, int64_t index)
{
	return Min((index + 1) * PIECE_ROWS, pieces->frame->n);
}

/* Do a piece of work for all rows. */
static void
run_pieces(Pieces *pieces, PmTask task)
{
	int64_t		count = (pieces->frame->n + PIECE_ROWS - 1) / PIECE_ROWS;

	pm_host_check(pieces->ctx,
				  pm_parallel(pieces->ctx, "encoding rows", count,
							  PIECE_ROWS * (1.0 + pieces->x_width), task, pieces));
}

/*
 * Moments of a piece: its mean, then squared deviations from that, exact where
 * sums of squares would cancel.  A piece stays in the cache meanwhile.
 */
static void
measure_piece(int64_t index, int lane, void *argument)
{
	const Pieces *pieces = argument;
	const PmFrame *frame = pieces->frame;
	int			width = frame->dense_width;
	Moments		moments = moments_at(pieces->moments + (size_t) index * 3 * width, width);

	for (int64_t row = index * PIECE_ROWS; row < piece_end(pieces, index); row++)
	{
		const float *value = frame->dense + row * width;
		double		weight = frame->weights != NULL ? frame->weights[row] : 1;

		for (int j = 0; j < width; j++)
		{
			bool		present = !isnan(value[j]);

			moments.weight[j] += present ? weight : 0;
			moments.mean[j] += present ? weight * value[j] : 0;
		}
	}
	for (int j = 0; j < width; j++)
		if (moments.weight[j] > 0)
			moments.mean[j] /= moments.weight[j];
	for (int64_t row = index * PIECE_ROWS; row < piece_end(pieces, index); row++)
	{
		const float *value = frame->dense + row * width;
		double		weight = frame->weights != NULL ? frame->weights[row] : 1;

		for (int j = 0; j < width; j++)
		{
			double		deviation = isnan(value[j]) ? 0 : value[j] - moments.mean[j];

			moments.square[j] += weight * deviation * deviation;
		}
	}
}

/* Add a piece's moments to those of the pieces before it (Chan et al. 1983). */
static void
add_moments(Moments *total, const Moments *piece, int width)
{
	for (int j = 0; j < width; j++)
	{
		double		weight = total->weight[j] + piece->weight[j];
		double		step = piece->mean[j] - total->mean[j];
		double		share = weight > 0 ? piece->weight[j] / weight : 0;

		total->square[j] += piece->square[j] + step * step * total->weight[j] * share;
		total->mean[j] += step * share;
		total->weight[j] = weight;
	}
}

static Moments
dense_moments(Pieces *pieces)
{
	int			width = pieces->frame->dense_width;
	int64_t		count = (pieces->frame->n + PIECE_ROWS - 1) / PIECE_ROWS;
	Moments		total = moments_at(palloc0(Max(1, 3 * width) * sizeof(double)), width);

	pm_host_check(pieces->ctx,
				  pm_alloc_zero(pieces->ctx, "moments of the rows", (size_t) count * 3 * width,
								sizeof(double), &pieces->moments));
	run_pieces(pieces, measure_piece);
	for (int64_t i = 0; i < count; i++)
	{
		Moments		piece = moments_at(pieces->moments + i * 3 * width, width);

		add_moments(&total, &piece, width);
	}
	pm_release(pieces->ctx, pieces->moments);
	return total;
}

/*
 * A column far from 0 for its spread loses digits as float4: say so while
 * fewer than some hundred steps fit into its deviation.
 */
static void
notice_coarse(const PmSchema *schema, int feature, double mean,
			  double deviation)
{
	double		step = fabs(mean) * FLT_EPSILON;
	char		name[NAMEDATALEN * 2];

	if (deviation > 100 * step)
		return;
	pm_schema_feature_name(schema, feature, name, sizeof(name));
	ereport(NOTICE,
			(errmsg("\"%s\" lies around %g and varies by %.3g only, which type real keeps to %.3g",
					name, mean, deviation, step),
			 errhint("Subtract a constant from it in a view.")));
}

/*
 * Fill in shift, scale and impute.  The deviation is over all rows, with a
 * NULL at the mean, as the algorithm will see them.  A column that is the
 * same number in every row, or NULL, gets scale 0 and so has no influence, in
 * scoring as in training.
 */
static void
choose_scales(Pieces *pieces, bool standardize)
{
	const PmFrame *frame = pieces->frame;
	const Layout *layout = pieces->layout;
	PmSchema   *schema = frame->schema;
	Moments		moments = dense_moments(pieces);
	double		total = 0;

	if (frame->weights == NULL)
		total = frame->n;
	else
		for (int64_t row = 0; row < frame->n; row++)
			total += frame->weights[row];
	for (int j = 0; j < frame->dense_width; j++)
	{
		int			feature = layout->dense_feature[j];
		double		mean = moments.mean[j];
		double		deviation = total > 0 ? sqrt(moments.square[j] / total) : 0;

		schema->impute[feature] = (float) mean;
		if (moments.weight[j] == 0)
			schema->scale[feature] = 0;
		if (!standardize)
			continue;
		schema->shift[feature] = mean;
		if (deviation > ROUNDING * fabs(mean) && deviation > DBL_MIN / DBL_EPSILON)
		{
			notice_coarse(schema, feature, mean, deviation);
			schema->scale[feature] = 1 / deviation;
		}
		else
			schema->scale[feature] = 0;
	}
}

/* The numbers of one row, imputed and scaled. */
static inline void
encode_numbers(const PmFrame *frame, const Layout *layout, const float *from,
			   float *to)
{
	const PmSchema *schema = frame->schema;

	for (int j = 0; j < frame->dense_width; j++)
	{
		int			feature = layout->dense_feature[j];
		float		value = isnan(from[j]) ? schema->impute[feature] : from[j];

		to[feature] = pm_scale_number(schema, feature, value);
	}
}

/* The 0/1 features of one row. */
static void
encode_indicators(const PmFrame *frame, const Layout *layout, int64_t row,
				  float *to)
{
	const int32_t *codes = frame->codes + row * frame->code_width;

	for (int j = 0; j < frame->code_width; j++)
		if (codes[j] >= 0)
			to[layout->code_feature[j] + codes[j]] = 1;
	for (int j = 0; j < frame->set_count; j++)
	{
		const PmFrameSet *set = &frame->sets[j];

		for (int64_t i = set->offsets[row]; i < set->offsets[row + 1]; i++)
			to[layout->set_feature[j] + set->codes[i]] = 1;
	}
}

/* Encode a piece; in place where all columns are numbers. */
static void
encode_rows(int64_t index, int lane, void *argument)
{
	const Pieces *pieces = argument;
	const PmFrame *frame = pieces->frame;
	bool		in_place = pieces->x == frame->dense;

	for (int64_t row = index * PIECE_ROWS; row < piece_end(pieces, index); row++)
	{
		float	   *to = pieces->x + row * pieces->x_width;

		if (!in_place)
			memset(to, 0, pieces->x_width * sizeof(float));
		encode_numbers(frame, pieces->layout, frame->dense + row * frame->dense_width, to);
		if (!in_place)
			encode_indicators(frame, pieces->layout, row, to);
	}
}

float *
pm_frame_encode(PmContext *ctx, PmFrame *frame, bool standardize)
{
	PmSchema   *schema = frame->schema;
	Layout		layout = find_layout(frame);
	bool		in_place = frame->code_width == 0 && frame->set_count == 0;
	Pieces		pieces = {ctx, frame, &layout};

	pm_host_check(ctx, pm_schema_init_scales(ctx, schema));
	pieces.x = frame->dense;
	pieces.x_width = schema->feature_count;
	times_to_ages(frame, &layout);
	choose_scales(&pieces, standardize);
	if (!in_place)
		pm_host_check(ctx, pm_alloc(ctx, "the encoded rows", frame->n,
									pieces.x_width * sizeof(float), &pieces.x));
	run_pieces(&pieces, encode_rows);
	if (!in_place)
		pm_release(ctx, frame->dense);
	frame->dense = NULL;
	return pieces.x;
}
