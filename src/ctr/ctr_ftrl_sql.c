/*
 * ctr_ftrl_sql.c
 *		FTRL over the rows of a source, streaming, or of a frame.
 *
 * The memory of a stream is the table of coefficients, a sample of rows that
 * numbers are scaled by, and the logits of at most EVAL_ROWS held-out rows.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "ctr_sql.h"
#include "pm_hash.h"
#include "pm_meta.h"
#include "pm_metrics.h"

/* Rows that numbers are scaled and binned by. */
#define SAMPLE_ROWS 100000

/* Held-out rows that are measured. */
#define EVAL_ROWS 1000000

#define CHECK_INTERVAL 4096

/* One pass over the rows. */
typedef struct FtrlPass
{
	CtrTraining *training;
	CtrScorer  *scorer;
	CtrClassWeights classes;

	/* of a source: where label, weight and time stand behind the features */
	PmConverter label;
	PmConverter weight;
	PmConverter time;
	int			columns;
	bool		by_time;
	double		time_cut;

	/*
	 * A row is learnt when the next one has been read: until then its states
	 * come from memory.
	 */
	PmCtrEntry *pending;
	int			pending_capacity;
	int			pending_count;	/* -1: there is none */
	bool		pending_label;
	bool		pending_newest;
	double		pending_weight;

	int64		rows;
	double		loss;			/* summed, each row's before it is learnt */
	double		prediction;
	double		total;
	double		by_label[2];

	/* held-out rows */
	float	   *logits;
	uint8_t    *labels;
	float	   *weights;
	size_t		held;
	size_t		logits_capacity;
	size_t		labels_capacity;
	size_t		weights_capacity;
	int64		held_out;
} FtrlPass;

static void
reset_pass(FtrlPass *pass)
{
	pass->rows = pass->held_out = 0;
	pass->loss = pass->prediction = pass->total = 0;
	pass->by_label[0] = pass->by_label[1] = 0;
	pass->held = 0;
	pass->pending_count = -1;
}

static void
keep_held_out(FtrlPass *pass, double logit, bool label, double weight)
{
	PmContext  *ctx = pass->training->ctx;
	size_t		count = pass->held + 1;

	pass->held_out++;
	if (pass->held >= EVAL_ROWS)
		return;
	pm_host_check(ctx, pm_reserve(ctx, "the held-out rows", count, sizeof(float),
								  &pass->logits, &pass->logits_capacity));
	pm_host_check(ctx, pm_reserve(ctx, "the held-out rows", count, sizeof(uint8_t),
								  &pass->labels, &pass->labels_capacity));
	pm_host_check(ctx, pm_reserve(ctx, "the held-out rows", count, sizeof(float),
								  &pass->weights, &pass->weights_capacity));
	pass->logits[pass->held] = (float) logit;
	pass->labels[pass->held] = label;
	pass->weights[pass->held] = (float) weight;
	pass->held = count;
}

/* A share of the rows by a hash of what they are, the same in every epoch. */
static bool
is_held_out(const FtrlPass *pass, const PmCtrEntry *entries, int count,
			bool label)
{
	double		share = pass->training->call->eval_fraction;
	uint64_t	hash = label;

	if (share == 0)
		return false;
	for (int i = 0; i < count; i++)
	{
		uint32_t	bits;

		memcpy(&bits, &entries[i].value, sizeof(bits));
		hash = pm_mix64(hash ^ ((uint64_t) entries[i].index << 32 | bits)) + 1;
	}
	return (hash >> 11) * 0x1.0p-53 < share;
}

/* The row that is pending, if one is: learnt, or kept for evaluation. */
static void
learn_pending(FtrlPass *pass)
{
	CtrScorer  *scorer = pass->scorer;
	Ftrl	   *ftrl = &pass->training->model.ftrl;
	const PmCtrEntry *entries = pass->pending;
	int			count = pass->pending_count;
	bool		label = pass->pending_label;
	double		weight = pass->pending_weight;
	double		logit;
	double		probability;

	if (count < 0)
		return;
	pass->pending_count = -1;
	logit = pm_ftrl_logit(ftrl, entries, count, scorer->scratch);
	if (pass->pending_newest || is_held_out(pass, entries, count, label))
	{
		keep_held_out(pass, logit, label, weight);
		return;
	}
	probability = pm_sigmoid(logit);
	pm_ftrl_learn(ftrl, entries, count, scorer->scratch,
				  weight * pass->classes.by_label[label] * (probability - label));
	pass->rows++;
	pass->total += weight;
	pass->by_label[label] += weight;
	pass->loss += weight * pm_log_loss_of_logit(logit, label);
	pass->prediction += weight * probability;
}

/* The row in the scorer becomes the one that is pending. */
static void
take_row(FtrlPass *pass, bool label, double weight, bool newest)
{
	CtrScorer  *scorer = pass->scorer;
	int			count = pm_ctr_scorer_entries(scorer);

	pm_ftrl_prefetch(&pass->training->model.ftrl, scorer->entries, count);
	learn_pending(pass);
	if (count > pass->pending_capacity)
	{
		pass->pending_capacity = scorer->capacity;
		if (pass->pending != NULL)
			pfree(pass->pending);
		pass->pending = MemoryContextAllocExtended(scorer->memory,
												   pass->pending_capacity * sizeof(PmCtrEntry), MCXT_ALLOC_HUGE);
	}
	memcpy(pass->pending, scorer->entries, count * sizeof(PmCtrEntry));
	pass->pending_count = count;
	pass->pending_label = label;
	pass->pending_weight = weight;
	pass->pending_newest = newest;
}

static void
refuse_diverged(int epoch)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the weights do not stay finite in epoch %d", epoch),
			 errhint("Lower the learning_rate, or give numbers with extreme values the transform \"log1p\" or \"quantile\".")));
}

/* No state is infinite: a square may be, of a value beyond 1e19. */
static void
check_states(const Ftrl *ftrl, int epoch)
{
	if (!isfinite(ftrl->intercept.z) || !isfinite(ftrl->intercept.n))
		refuse_diverged(epoch);
	for (int32_t i = 0; i < ftrl->size; i++)
	{
		if (i % CHECK_INTERVAL == 0)
			CHECK_FOR_INTERRUPTS();
		if (!isfinite(ftrl->table[i].z) || !isfinite(ftrl->table[i].n))
			refuse_diverged(epoch);
	}
}

/* The end of an epoch: an entry in the log. */
static void
end_epoch(FtrlPass *pass, int epoch, instr_time begin)
{
	CtrTraining *training = pass->training;
	PmContext  *ctx = training->ctx;
	PmCtrLogEntry entry = {0};

	learn_pending(pass);
	entry.epoch = epoch;
	entry.loss = pass->total > 0 ? pass->loss / pass->total : NAN;
	if (pass->total > 0 && !isfinite(entry.loss))
		refuse_diverged(epoch);
	entry.eval_loss = entry.eval_auc = NAN;
	if (pass->held > 0)
	{
		entry.eval_loss = pm_metrics_log_loss(pass->held, pass->logits, pass->labels, pass->weights);
		pm_host_check(ctx, pm_metrics_auc(ctx, pass->held, pass->logits, pass->labels,
										  pass->weights, &entry.eval_auc));
	}
	entry.seconds = pm_seconds_since(begin);
	pm_host_check(ctx, pm_ctr_log_add(ctx, &training->log, &entry));
	pm_progress(ctx, "ftrl", (double) epoch / training->call->epochs);
}

/* What the last epoch found. */
static void
finish(FtrlPass *pass, instr_time begin)
{
	CtrTraining *training = pass->training;
	CtrModel   *model = &training->model;

	training->rows_used = pass->rows;
	training->rows_held_out = pass->held_out;
	pm_ctr_check_classes(training, pass->by_label[0], pass->by_label[1]);
	check_states(&model->ftrl, training->call->epochs);
	training->base_rate = pass->by_label[1] / pass->total;
	training->mean_prediction = pass->prediction / pass->total;
	training->loss = pass->loss / pass->total;
	training->eval_loss = training->eval_auc = NAN;
	training->iterations = training->call->epochs;
	model->intercept = pm_ftrl_intercept(&model->ftrl);
	model->scalars[CTR_FTRL_INTERCEPT_Z] = model->ftrl.intercept.z;
	model->scalars[CTR_FTRL_INTERCEPT_N] = model->ftrl.intercept.n;
	if (training->call->time_col != NULL || training->call->eval_fraction > 0)
		pm_ctr_evaluate_held_out(training, pass->held, pass->logits, pass->labels, pass->weights);
	training->seconds_fit = pm_seconds_since(begin);
}

/* Layout and table, by a sample of the rows or the previous model. */
static void
start(FtrlPass *pass, CtrTraining *training, PmFrame *sample)
{
	PmContext  *ctx = training->ctx;
	const CtrCall *call = training->call;
	CtrModel   *model = &training->model;
	CtrTable	table = pm_ctr_frame_table(sample);

	memset(pass, 0, sizeof(*pass));
	pass->training = training;
	model->schema = sample->schema;
	model->algorithm = CTR_FTRL;
	model->scalars[CTR_NEGATIVE_RATE] = call->negative_rate;
	pm_ctr_prepare(training, &table);
	if (training->previous == NULL)
	{
		pm_host_check(ctx, pm_ftrl_init(ctx, &model->ftrl, model->layout.coefficient_count));
		model->ftrl.alpha = call->learning_rate;
		model->ftrl.beta = call->beta;
		model->ftrl.l1 = call->l1;
		model->ftrl.l2 = call->l2;
	}
	model->scalars[CTR_FTRL_ALPHA] = model->ftrl.alpha;
	model->scalars[CTR_FTRL_BETA] = model->ftrl.beta;
	model->scalars[CTR_FTRL_L1] = model->ftrl.l1;
	model->scalars[CTR_FTRL_L2] = model->ftrl.l2;
	pass->scorer = pm_ctr_scorer(pm_host_memory(ctx), model);
}

/* Class weights from the labels seen in a sample. */
static void
weigh_classes(FtrlPass *pass, const PmFrame *sample)
{
	double		counts[2] = {0, 0};

	for (int64 i = 0; i < sample->n; i++)
		counts[sample->labels[i]] += sample->weights != NULL ? sample->weights[i] : 1;
	if (pass->training->call->class_weight != NULL)
		pm_ctr_check_classes(pass->training, counts[0], counts[1]);
	pass->classes = pm_ctr_class_weights(pass->training->call, counts[0], counts[1]);
}

/* ---- a frame ---------------------------------------------------------- */

/* Row i of a frame into the scorer's. */
static void
load_row(CtrScorer *scorer, const PmFrame *frame, int64 i)
{
	PmRow	   *row = scorer->row;
	int			used = 0;

	if (frame->dense_width > 0)
		memcpy(row->dense, frame->dense + i * frame->dense_width,
			   frame->dense_width * sizeof(float));
	if (frame->code_width > 0)
		memcpy(row->codes, frame->codes + i * frame->code_width,
			   frame->code_width * sizeof(int32_t));
	for (int s = 0; s < frame->set_count; s++)
	{
		const PmFrameSet *set = &frame->sets[s];
		int			count = (int) (set->offsets[i + 1] - set->offsets[i]);

		if (used + count > row->set_capacity)
		{
			row->set_capacity = Max(2 * row->set_capacity, used + count);
			row->set_codes = repalloc_huge(row->set_codes, row->set_capacity * sizeof(int32_t));
		}
		memcpy(row->set_codes + used, set->codes + set->offsets[i], count * sizeof(int32_t));
		used += count;
		row->set_ends[s] = used;
	}
}

void
pm_ctr_train_ftrl_frame(CtrTraining *training, PmFrame *frame)
{
	FtrlPass	pass;
	double		cut = INFINITY;
	instr_time	begin;

	INSTR_TIME_SET_CURRENT(begin);
	training->rows_read = frame->rows_read;
	training->skipped_label = frame->skipped_label;
	training->skipped_weight = frame->skipped_weight;
	training->skipped_null = frame->skipped_null;
	if (frame->n == 0)
		pm_ctr_check_classes(training, 0, 0);
	start(&pass, training, frame);
	weigh_classes(&pass, frame);
	if (training->call->time_col != NULL)
		cut = pm_ctr_time_cut(training->ctx, frame, training->call->time_share);
	for (int epoch = 1; epoch <= training->call->epochs; epoch++)
	{
		reset_pass(&pass);
		for (int64 i = 0; i < frame->n; i++)
		{
			if (i % CHECK_INTERVAL == 0)
				CHECK_FOR_INTERRUPTS();
			load_row(pass.scorer, frame, i);
			take_row(&pass, frame->labels[i], frame->weights != NULL ? frame->weights[i] : 1,
					 frame->times != NULL && frame->times[i] >= cut);
		}
		end_epoch(&pass, epoch, begin);
	}
	finish(&pass, begin);
}

/* ---- a source --------------------------------------------------------- */

static void
take_scanned_row(void *argument, Datum *values, bool *nulls)
{
	FtrlPass   *pass = argument;
	CtrTraining *training = pass->training;
	int			at = pass->columns;
	double		weight = 1;
	bool		newest = false;
	bool		label;

	training->rows_read++;
	if (training->call->weight_col != NULL)
	{
		weight = pm_convert_weight(&pass->weight, values[at], nulls[at]);
		if (weight == 0)
		{
			training->skipped_weight++;
			return;
		}
		at++;
	}
	if (nulls[at])
	{
		training->skipped_label++;
		return;
	}
	label = pm_convert_label(&pass->label, values[at++]);
	if (pass->by_time)
		newest = !nulls[at] && pm_convert_moment(&pass->time, values[at]) >= pass->time_cut;
	if (!pm_encoder_values(pass->scorer->encoder, values, nulls, pass->scorer->row))
	{
		training->skipped_null++;
		return;
	}
	take_row(pass, label, weight, newest);
}

/*
 * The time from which rows are held out, as pm_ctr_time_cut() has it, by
 * PostgreSQL's own sort: the rows need not fit into memory.
 */
static double
source_time_cut(const PmSource *source, const PmField *time,
				const PmConverter *converter, double share)
{
	const char *column = quote_identifier(time->name);
	StringInfoData query;
	double		cut;
	bool		isnull;
	int64		before;
	int64		at;
	int64		after;
	int64		wanted;
	Datum		moment;

	initStringInfo(&query);
	appendStringInfo(&query,
					 "SELECT m, pg_catalog.count(*) FILTER (WHERE t OPERATOR(pg_catalog.<) m), "
					 "pg_catalog.count(*) FILTER (WHERE t OPERATOR(pg_catalog.=) m), "
					 "pg_catalog.count(*) FILTER (WHERE t OPERATOR(pg_catalog.>) m), "
					 "pg_catalog.min(t) FILTER (WHERE t OPERATOR(pg_catalog.>) m) "
					 "FROM (SELECT %s AS t FROM %s) AS s, (SELECT pg_catalog.percentile_disc(%.17g) WITHIN GROUP (ORDER BY %s) AS m FROM %s) AS q GROUP BY m",
					 column, source->name, 1 - share, column, source->name);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(query.data, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "reading %s failed", source->name);
	if (SPI_processed == 0)
		isnull = true;
	else
		moment = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time column \"%s\" is NULL in every row", time->name)));
	cut = pm_convert_moment(converter, moment);
	before = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	at = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &isnull));
	after = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &isnull));
	if (before == 0 && after == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the time column is the same in every row"),
				 errhint("Use the option \"eval_fraction\" to hold out rows at random.")));
	wanted = (int64) ((1 - share) * (before + at + after));
	if (before == 0 || (after > 0 && before + at - wanted < wanted - before))
		cut = pm_convert_moment(converter, SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 5, &isnull));
	SPI_finish();
	return cut;
}

/* Converters and places of the columns that are no features. */
static int
bind_extras(FtrlPass *pass, const PmSource *source, const PmField *label,
			int *wanted, int count)
{
	const CtrCall *call = pass->training->call;
	MemoryContext memory = pm_host_memory(pass->training->ctx);

	if (call->weight_col != NULL)
	{
		wanted[count++] = pm_source_find(source, call->weight_col);
		pm_converter_init(&pass->weight, &source->fields[wanted[count - 1]], NULL, memory);
		pm_weight_check_type(&pass->weight);
		pass->weight.row = &pass->training->rows_read;
	}
	wanted[count++] = (int) (label - source->fields);
	pm_label_check_type(label);
	pm_converter_init(&pass->label, label, NULL, memory);
	pass->label.row = &pass->training->rows_read;
	if (call->time_col != NULL)
	{
		const PmField *time;

		wanted[count++] = pm_source_find(source, call->time_col);
		time = &source->fields[wanted[count - 1]];
		pm_moment_check_type(time);
		pm_converter_init(&pass->time, time, NULL, memory);
		pass->by_time = true;
		pass->time_cut = source_time_cut(source, time, &pass->time, call->time_share);
	}
	return count;
}

void
pm_ctr_train_ftrl_source(CtrTraining *training, const PmSource *source,
						 const int *columns, int count, const PmField *label)
{
	CtrCall		sampled = *training->call;
	FtrlPass	pass;
	PmFrame    *sample;
	PmField    *fields = palloc(count * sizeof(PmField));
	int		   *wanted = palloc((count + 3) * sizeof(int));
	int			scanned;
	instr_time	begin;

	INSTR_TIME_SET_CURRENT(begin);
	sampled.time_col = NULL;
	sample = pm_ctr_read_frame(training, source, columns, count, label, &sampled, SAMPLE_ROWS);
	start(&pass, training, sample);
	weigh_classes(&pass, sample);
	memcpy(wanted, columns, count * sizeof(int));
	for (int i = 0; i < count; i++)
		fields[i] = source->fields[columns[i]];
	pm_encoder_bind(pass.scorer->encoder, fields);
	pass.columns = count;
	scanned = bind_extras(&pass, source, label, wanted, count);
	training->seconds_load = pm_seconds_since(begin);
	INSTR_TIME_SET_CURRENT(begin);
	for (int epoch = 1; epoch <= training->call->epochs; epoch++)
	{
		training->rows_read = training->skipped_label = 0;
		training->skipped_weight = training->skipped_null = 0;
		reset_pass(&pass);
		pm_source_scan(source, wanted, scanned, 0, take_scanned_row, &pass);
		end_epoch(&pass, epoch, begin);
	}
	finish(&pass, begin);
}
