/*
 * fm_step.c
 *		Factorisation machines: the steps of Adam and AdaGrad.
 *
 * Every coefficient takes every step, as it does in a framework that keeps
 * the gradient of the whole table: without rows in the batch its gradient is
 * the penalty's, and Adam's momentum goes on.  But it is brought up to date
 * only when rows need it, and at an epoch's end.  The first EXACT of the steps
 * it missed are taken one by one, the others in strides of 2, 4, ..., which
 * are close to as many steps.
 */
#include "fm_vector.h"

#include <math.h>
#include <string.h>

#define BETA1 0.9
#define BETA2 0.999
#define ADAM_EPSILON 1e-8f
#define ADAGRAD_EPSILON 1e-10f

/* A first moment that counts as none. */
#define TINY 1e-30f

/* Missed steps that are taken one by one. */
#define EXACT 4

/* Coefficients between asking for one and using it. */
#define AHEAD 3

/* The largest stride, as a power of 2, under a penalty. */
#define LARGEST_PENALISED 6

typedef int32_t FmIntegers __attribute__((vector_size(4 * FM_LANES)));

/* ---- arithmetic --------------------------------------------------------- */

/*
 * Square root of numbers from 0 on, to a relative 1e-6: by the bits and two
 * of Newton's steps, with Walczyk, Moroz and Cieslinski's constants (2018).
 * The compiler's own would not become a vector's: sqrtf() may set errno.
 */
PM_INLINE void
root_of(const FmVector *argument, FmVector *result)
{
	FmVector	x = *argument;
	FmVector	half = 0.5f * x;
	FmVector	y = (FmVector) (0x5f376908 - ((FmIntegers) x >> 1));

	y *= 1.50087896f - half * y * y;
	y *= 1.50000057f - half * y * y;
	*result = x * y;
}

/* One step of Adam. */
PM_INLINE void
adam(FmVector *w, FmVector *first, FmVector *second, const FmVector *gradient,
	 float rate, float scale)
{
	FmVector	g = *gradient;
	FmVector	root;

	*first = (float) BETA1 * *first + (float) (1 - BETA1) * g;
	*second = (float) BETA2 * *second + (float) (1 - BETA2) * (g * g);
	root_of(second, &root);
	*w -= rate * *first / (scale * root + ADAM_EPSILON);
}

/*
 * 2^p steps of Adam with the penalty's gradient.  The weight counts as going
 * from `before` to `after` in a line, which is solved for `after`; where the
 * line would overshoot 0, it ends there, momentum apart.
 */
PM_INLINE void
adam_stride(const FmStepper *stepper, FmVector *w, FmVector *first,
			FmVector *second, int p, float rate, float scale)
{
	const FmStride *stride = &stepper->strides[p];
	float		l2 = stepper->l2;
	FmVector	before = *w;
	FmVector	root = stride->half2 * *second + (1 - stride->half2) * (l2 * l2) * (before * before);
	FmVector	left;
	FmVector	after;

	root_of(&root, &root);
	root = rate / (scale * root + ADAM_EPSILON);
	left = 1.0f - root * (l2 * (stride->steps - stride->sum1 - stride->ramp_sum));
	left = (FmVector) ((FmIntegers) left & (left > 0.0f));
	after = (before * left - root * *first * stride->sum1) /
		(1.0f + root * (l2 * stride->ramp_sum));
	*first = stride->power1 * *first +
		l2 * ((1 - stride->power1) * before + stride->ramp * (after - before));
	/* momentum that dies away ends at 0, not in the slow numbers before it */
	*first = (FmVector) ((FmIntegers) *first & ((*first > TINY) | (*first < -TINY)));
	*second = stride->power2 * *second +
		(1 - stride->power2) * (l2 * l2 / 3) * (before * before + before * after + after * after);
	*w = after;
}

/* One step of AdaGrad. */
PM_INLINE void
adagrad(FmVector *w, FmVector *squares, const FmVector *gradient, float rate)
{
	FmVector	root;

	*squares += *gradient * *gradient;
	root_of(squares, &root);
	*w -= rate * *gradient / (root + ADAGRAD_EPSILON);
}

/* 2^p steps of AdaGrad with the penalty's gradient, as adam_stride() has it. */
PM_INLINE void
adagrad_stride(const FmStepper *stepper, FmVector *w, FmVector *squares, int p)
{
	float		l2 = stepper->l2;
	float		steps = (float) (1 << p);
	FmVector	before = *w;
	FmVector	root = *squares + (0.5f * steps * l2 * l2) * (before * before);
	FmVector	left;

	root_of(&root, &root);
	root = (0.5f * stepper->learning_rate * l2 * steps) / (root + ADAGRAD_EPSILON);
	left = 1.0f - root;
	left = (FmVector) ((FmIntegers) left & (left > 0.0f));
	*w = before * left / (1.0f + root);
	*squares += (steps * l2 * l2 / 3) * (before * before + before * *w + *w * *w);
}

/* ---- coefficients ------------------------------------------------------- */

/*
 * A piece of a row, of up to 4 vectors whose steps overlap in the CPU, from
 * step `seen` to step `step`.
 */
PM_INLINE void
catch_up_adam(const FmStepper *stepper, float *row, float *state, int width,
			  int vectors, int32_t seen, int32_t step)
{
	FmVector	w[4];
	FmVector	first[4];
	FmVector	second[4];
	int32_t		exact = step - seen < EXACT ? step : seen + EXACT;
	int			p = 1;
	int			largest = stepper->l2 > 0 ? LARGEST_PENALISED : FM_STRIDES - 1;

	for (int j = 0; j < vectors; j++)
	{
		w[j] = FM_LOAD(row + j * FM_LANES);
		first[j] = FM_LOAD(state + j * FM_LANES);
		second[j] = FM_LOAD(state + width + j * FM_LANES);
	}
	for (; seen < exact; seen++)
		for (int j = 0; j < vectors; j++)
		{
			FmVector	g = stepper->l2 * w[j];

			adam(&w[j], &first[j], &second[j], &g, stepper->rates[seen + 1],
				 stepper->scales[seen + 1]);
		}
	for (; seen < step; p = p < largest ? p + 1 : p)
	{
		int32_t		middle;

		while (1 << p > step - seen)
			p--;
		middle = seen + ((1 << p) + 1) / 2;
		for (int j = 0; j < vectors; j++)
			adam_stride(stepper, &w[j], &first[j], &second[j], p, stepper->rates[middle],
						stepper->scales[middle]);
		seen += 1 << p;
	}
	for (int j = 0; j < vectors; j++)
	{
		FM_STORE(row + j * FM_LANES, w[j]);
		FM_STORE(state + j * FM_LANES, first[j]);
		FM_STORE(state + width + j * FM_LANES, second[j]);
	}
}

/* The same for AdaGrad, which stands still without a penalty. */
PM_INLINE void
catch_up_adagrad(const FmStepper *stepper, float *row, float *state,
				 int vectors, int32_t steps)
{
	int32_t		exact = steps < EXACT ? steps : EXACT;

	for (int j = 0; j < vectors; j++)
	{
		FmVector	w = FM_LOAD(row + j * FM_LANES);
		FmVector	squares = FM_LOAD(state + j * FM_LANES);
		int			p = 1;

		for (int32_t k = 0; k < exact; k++)
		{
			FmVector	g = stepper->l2 * w;

			adagrad(&w, &squares, &g, stepper->learning_rate);
		}
		for (int32_t left = steps - exact; left > 0; p = p + 1 < FM_STRIDES ? p + 1 : p)
		{
			while (1 << p > left)
				p--;
			adagrad_stride(stepper, &w, &squares, p);
			left -= 1 << p;
		}
		FM_STORE(row + j * FM_LANES, w);
		FM_STORE(state + j * FM_LANES, squares);
	}
}

PM_INLINE void
catch_up_piece(const FmStepper *stepper, float *row, float *state, int width,
			   int vectors, int32_t seen, int32_t step)
{
	if (stepper->optimizer == PM_FM_ADAM)
		catch_up_adam(stepper, row, state, width, vectors, seen, step);
	else
		catch_up_adagrad(stepper, row, state, vectors, step - seen);
}

PM_INLINE void
catch_up_row(const FmStepper *stepper, float *row, float *state, int width,
			 int32_t seen, int32_t step)
{
	int			vectors = width / FM_LANES;
	int			from = 0;

	for (; vectors - from > 4; from += 4)
		catch_up_piece(stepper, row + from * FM_LANES, state + from * FM_LANES, width, 4, seen, step);
	row += from * FM_LANES;
	state += from * FM_LANES;
	if (vectors - from == 1)
		catch_up_piece(stepper, row, state, width, 1, seen, step);
	else if (vectors - from == 2)
		catch_up_piece(stepper, row, state, width, 2, seen, step);
	else if (vectors - from == 3)
		catch_up_piece(stepper, row, state, width, 3, seen, step);
	else
		catch_up_piece(stepper, row, state, width, 4, seen, step);
}

/* Ask for a coefficient's weights and state before they are needed. */
PM_INLINE void
prefetch(const FmTable *table, int32_t c)
{
	const char *row = (const char *) (table->rows + (size_t) c * table->width);
	const char *state = (const char *) (table->state + (size_t) c * table->state_width);

	for (size_t at = 0; at < table->width * sizeof(float); at += 64)
		__builtin_prefetch(row + at, 1);
	for (size_t at = 0; at < table->state_width * sizeof(float); at += 64)
		__builtin_prefetch(state + at, 1);
}

PM_INLINE void
catch_up_body(const FmStepper *stepper, FmTable *table, int32_t *seen,
			  int32_t first, const int32_t *list, int32_t count, int32_t step)
{
	bool		still = table->optimizer == PM_FM_ADAGRAD && stepper->l2 == 0;

	for (int32_t k = 0; k < count; k++)
	{
		int32_t		c = first + (list != NULL ? list[k] : k);

		if (list != NULL && k + AHEAD < count)
			prefetch(table, first + list[k + AHEAD]);
		if (seen[c] < step && !still)
			catch_up_row(stepper, table->rows + (size_t) c * table->width,
						 table->state + (size_t) c * table->state_width, table->width,
						 seen[c], step);
		seen[c] = step;
	}
}

PM_CLONES(catch_up,
		  (const FmStepper *stepper, FmTable *table, int32_t *seen,
		   int32_t first, const int32_t *list, int32_t count, int32_t step),
		  (stepper, table, seen, first, list, count, step));

void
pm_fm_catch_up(const FmStepper *stepper, FmTable *table, int32_t *seen,
			   int32_t first, const int32_t *list, int32_t count, int32_t step)
{
	catch_up(stepper, table, seen, first, list, count, step);
}

/* A row's step; its vectors are `vectors`, a constant where it can be. */
PM_INLINE void
step_row(const FmStepper *stepper, const FmTable *table, float *row,
		 float *state, const float *sums, float own, float inverse_weight,
		 int vectors, float rate, float scale)
{
	for (int j = 0; j < vectors; j++)
	{
		int			d = j * FM_LANES;
		FmVector	w = FM_LOAD(row + d);
		FmVector	state1 = FM_LOAD(state + d);
		FmVector	g = (FM_LOAD(sums + d) - own * FM_LOAD(table->mask + d) * w) *
			inverse_weight + stepper->l2 * w;

		if (stepper->optimizer == PM_FM_ADAM)
		{
			FmVector	state2 = FM_LOAD(state + vectors * FM_LANES + d);

			adam(&w, &state1, &state2, &g, rate, scale);
			FM_STORE(state + vectors * FM_LANES + d, state2);
		}
		else
			adagrad(&w, &state1, &g, rate);
		FM_STORE(state + d, state1);
		FM_STORE(row + d, w);
	}
}

PM_INLINE void
take_step_body(const FmStepper *stepper, FmTable *table, int32_t *seen,
			   int32_t first, const int32_t *list, int32_t count,
			   const float *grad, const float *squares, float inverse_weight,
			   int32_t step)
{
	int			vectors = table->width / FM_LANES;
	float		rate = stepper->rates[step];
	float		scale = stepper->scales[step];

	for (int32_t k = 0; k < count; k++)
	{
		int32_t		c = first + list[k];
		float	   *row = table->rows + (size_t) c * table->width;
		float	   *state = table->state + (size_t) c * table->state_width;
		const float *sums = grad + (size_t) k * table->width;

		/* of a category, the sum of residuals is in the linear weight's place */
		float		own = table->field_weighted ? 0 :
			squares != NULL ? squares[k] : sums[table->factors];

		if (k + AHEAD < count)
			prefetch(table, first + list[k + AHEAD]);
		if (vectors == 2)
			step_row(stepper, table, row, state, sums, own, inverse_weight, 2, rate, scale);
		else if (vectors == 3)
			step_row(stepper, table, row, state, sums, own, inverse_weight, 3, rate, scale);
		else
			step_row(stepper, table, row, state, sums, own, inverse_weight, vectors, rate, scale);
		seen[c] = step;
	}
}

PM_CLONES(take_step,
		  (const FmStepper *stepper, FmTable *table, int32_t *seen,
		   int32_t first, const int32_t *list, int32_t count,
		   const float *grad, const float *squares, float inverse_weight,
		   int32_t step),
		  (stepper, table, seen, first, list, count, grad, squares,
		   inverse_weight, step));

void
pm_fm_step(const FmStepper *stepper, FmTable *table, int32_t *seen,
		   int32_t first, const int32_t *list, int32_t count,
		   const float *grad, const float *squares, float inverse_weight,
		   int32_t step)
{
	take_step(stepper, table, seen, first, list, count, grad, squares,
			  inverse_weight, step);
}

void
pm_fm_step_number(const FmStepper *stepper, float *value, float *first,
				  float *second, float gradient, int32_t step)
{
	if (stepper->optimizer == PM_FM_ADAM)
	{
		*first = (float) BETA1 * *first + (float) (1 - BETA1) * gradient;
		*second = (float) BETA2 * *second + (float) (1 - BETA2) * (gradient * gradient);
		*value -= stepper->rates[step] * *first /
			(stepper->scales[step] * sqrtf(*second) + ADAM_EPSILON);
	}
	else
	{
		*second += gradient * gradient;
		*value -= stepper->learning_rate * gradient / (sqrtf(*second) + ADAGRAD_EPSILON);
	}
}

/* ---- the optimiser ------------------------------------------------------ */

/* Sums over a stride's steps; see FmStride. */
static void
set_stride(FmStride *stride, int steps)
{
	double		ramp = 0;
	double		sum = 0;

	for (int j = 1; j <= steps; j++)
	{
		ramp = BETA1 * ramp + (1 - BETA1) * (j - 1) / steps;
		sum += ramp;
	}
	stride->steps = (float) steps;
	stride->power1 = (float) pow(BETA1, steps);
	stride->power2 = (float) pow(BETA2, steps);
	stride->half2 = (float) pow(BETA2, steps / 2.0);
	stride->sum1 = (float) (BETA1 * (1 - pow(BETA1, steps)) / (1 - BETA1));
	stride->ramp = (float) ramp;
	stride->ramp_sum = (float) sum;
}

PmStatus
pm_fm_stepper_open(PmContext *ctx, const PmFmOptions *options,
				   PmFmOptimizer optimizer, int64_t steps, FmStepper *stepper)
{
	memset(stepper, 0, sizeof(*stepper));
	stepper->optimizer = optimizer;
	stepper->learning_rate = (float) options->learning_rate;
	stepper->l2 = (float) options->l2;
	for (int p = 0; p < FM_STRIDES; p++)
		set_stride(&stepper->strides[p], 1 << p);
	PM_TRY(pm_alloc(ctx, "rates of the steps", (size_t) steps + 1, sizeof(float),
					&stepper->rates));
	return pm_alloc(ctx, "rates of the steps", (size_t) steps + 1, sizeof(float),
					&stepper->scales);
}

void
pm_fm_stepper_close(PmContext *ctx, FmStepper *stepper)
{
	pm_release(ctx, stepper->rates);
	pm_release(ctx, stepper->scales);
	memset(stepper, 0, sizeof(*stepper));
}

void
pm_fm_stepper_begin(FmStepper *stepper, int64_t first_step, int64_t steps)
{
	stepper->first_step = first_step;
	for (int64_t k = 0; k <= steps; k++)
	{
		double		t = (double) (first_step + k);

		/* beta^t is less than a float shows, or there is no correction */
		if (stepper->optimizer == PM_FM_ADAGRAD || k == 0 || t > 40000)
		{
			stepper->rates[k] = stepper->learning_rate;
			stepper->scales[k] = 1;
			continue;
		}
		/* 1 - beta^t, by expm1 for the sake of its first digits */
		stepper->rates[k] = (float) (stepper->learning_rate / -expm1(t * log(BETA1)));
		stepper->scales[k] = (float) (1 / sqrt(-expm1(t * log(BETA2))));
	}
}
