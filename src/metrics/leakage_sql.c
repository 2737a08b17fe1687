/*
 * leakage_sql.c
 *		pm_leakage_check: which columns alone tell the label too well.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "utils/array.h"
#include "utils/builtins.h"

#include "leakage.h"
#include "pm_frame.h"
#include "pm_host.h"
#include "pm_source.h"

/* The options, as given or by default. */
typedef struct LeakageCall
{
	double		threshold;
	int			min_rows;
	char	   *weight_col;
} LeakageCall;

/* What is said of one column. */
typedef struct Verdict
{
	double		auc;
	bool		suspicious;
	const char *reason;			/* NULL: none */
} Verdict;

/* The label column and the features without it. */
static int *
find_columns(const PmSource *source, const char *label_name, ArrayType *features,
			 const LeakageCall *call, const PmField **label, int *count)
{
	const char *excepted[2] = {label_name, call->weight_col};
	int		   *columns;

	*label = &source->fields[pm_source_find(source, label_name)];
	pm_label_check_type(*label);
	columns = pm_source_features(source, features, excepted, lengthof(excepted), count);
	for (int i = 0; i < *count; i++)
		if (&source->fields[columns[i]] == *label)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("label column \"%s\" must not be among the features",
							label_name)));
	return columns;
}

/*
 * Read the features and, behind them, the label once more: it is never NULL,
 * so that rows of which all features are NULL are kept.
 */
static PmFrame *
read_frame(PmContext *ctx, const PmSource *source, const int *features,
		   int count, const PmField *label, const LeakageCall *call)
{
	PmFrameSpec spec = {0};
	PmField    *fields = palloc((count + 1) * sizeof(PmField));
	int		   *columns = palloc((count + 1) * sizeof(int));

	memcpy(columns, features, count * sizeof(int));
	columns[count] = (int) (label - source->fields);
	for (int i = 0; i <= count; i++)
		fields[i] = source->fields[columns[i]];
	spec.column_count = count + 1;
	spec.columns = fields;
	spec.label = label;
	if (call->weight_col != NULL)
		spec.weight = &source->fields[pm_source_find(source, call->weight_col)];
	spec.max_categories = INT_MAX;
	spec.hash_categories = true;
	return pm_frame_read(ctx, source, &spec, columns, -1);
}

static const char *
kind_name(PmColumnClass class)
{
	switch (class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
			return "number";
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			return "time";
		case PM_COLUMN_CATEGORY:
			return "category";
		case PM_COLUMN_SET:
			return "set";
		case PM_COLUMN_VECTOR:
			return "vector";
	}
	return NULL;
}

/* Where columns of each kind stand in a frame: the next one's places. */
typedef struct Places
{
	int			dense;
	int			code;
	int			set;
} Places;

/* The elements of a vector: the one that tells most. */
static void
measure_vector(PmContext *ctx, const PmLeakageRows *rows, const PmFrame *frame,
			   int at, int length, PmLeakage *leakage)
{
	PmLeakage	one;

	for (int e = 0; e < length; e++)
	{
		pm_host_check(ctx, pm_leakage_number(ctx, rows, frame->dense + at + e,
											 frame->dense_width, &one));
		if (e == 0 || one.value > leakage->value)
			*leakage = one;
	}
}

/* Measure the next column of the frame. */
static PmLeakage
measure(PmContext *ctx, const PmLeakageRows *rows, const PmFrame *frame,
		const PmColumn *column, Places *at)
{
	PmLeakage	leakage = {.value = NAN,.category = NAN,.missing = NAN};

	switch (column->class)
	{
		case PM_COLUMN_NUMBER:
		case PM_COLUMN_INTERVAL:
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			pm_host_check(ctx, pm_leakage_number(ctx, rows, frame->dense + at->dense++,
												 frame->dense_width, &leakage));
			at->code += column->class == PM_COLUMN_TIME ? 2 : column->class == PM_COLUMN_DATE;
			break;
		case PM_COLUMN_CATEGORY:
			pm_host_check(ctx, pm_leakage_category(ctx, rows, frame->codes + at->code++,
												   frame->code_width, &leakage));
			break;
		case PM_COLUMN_SET:
			pm_host_check(ctx, pm_leakage_set(ctx, rows, frame->sets[at->set].offsets,
											  frame->sets[at->set].codes, &leakage));
			at->set++;
			break;
		case PM_COLUMN_VECTOR:
			measure_vector(ctx, rows, frame, at->dense, column->length, &leakage);
			at->dense += column->length;
			break;
	}
	return leakage;
}

/* Consider one AUC; few rows of a class prove nothing. */
static void
consider(Verdict *verdict, double auc, const char *reason, int64 rows,
		 const LeakageCall *call)
{
	bool		suspicious = auc >= call->threshold && rows >= call->min_rows;

	if (isnan(auc) || (verdict->suspicious && !suspicious))
		return;
	if (isnan(verdict->auc) || auc > verdict->auc ||
		(suspicious && !verdict->suspicious))
	{
		verdict->auc = auc;
		verdict->suspicious = suspicious;
		verdict->reason = suspicious ? reason : NULL;
	}
}

static Verdict
judge(const PmLeakage *leakage, const int64 *totals, const LeakageCall *call)
{
	Verdict		verdict = {.auc = NAN};
	int64		known = Min(leakage->known[0], leakage->known[1]);

	consider(&verdict, leakage->value, "value", known, call);
	consider(&verdict, leakage->category, "category", known, call);
	consider(&verdict, leakage->missing, "missingness", Min(totals[0], totals[1]), call);
	return verdict;
}

/* A row of output for every feature. */
static void
put_verdicts(PmRows *rows, PmContext *ctx, const PmFrame *frame, int count,
			 const LeakageCall *call)
{
	PmLeakageRows labelled = {frame->n, frame->labels, frame->weights};
	Places		at = {0};
	int64		totals[2] = {0, 0};

	for (int64 i = 0; i < frame->n; i++)
		totals[frame->labels[i]]++;
	for (int i = 0; i < count; i++)
	{
		const PmColumn *column = &frame->schema->columns[i];
		PmLeakage	leakage = measure(ctx, &labelled, frame, column, &at);
		Verdict		verdict = judge(&leakage, totals, call);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = CStringGetTextDatum(column->name);
		values[1] = CStringGetTextDatum(kind_name(column->class));
		values[2] = pm_float8_or_null(verdict.auc, &nulls[2]);
		values[3] = Float8GetDatum(leakage.coverage);
		values[4] = BoolGetDatum(verdict.suspicious);
		nulls[5] = verdict.reason == NULL;
		values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(verdict.reason);
		pm_rows_put(rows, values, nulls);
	}
}

PM_FUNCTION(pm_leakage_check);

/*
 * pm_leakage_check(source regclass, label name, features name[], options)
 *	→ TABLE(feature, kind, auc, coverage, suspicious, reason)
 */
Datum
pm_leakage_check(PG_FUNCTION_ARGS)
{
	PmRows		rows = pm_rows_begin(fcinfo);
	PmContext  *ctx;
	LeakageCall call = {.threshold = 0.95,.min_rows = 10};
	PmOption	options[] = {
		{"threshold", PM_OPTION_DOUBLE, &call.threshold, 0.5, 1},
		{"min_rows", PM_OPTION_INT, &call.min_rows, 1, INT_MAX},
		{"weight_col", PM_OPTION_STRING, &call.weight_col},
	};
	PmSource   *source;
	PmFrame    *frame;
	const PmField *label;
	int		   *columns;
	int			count;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and label must not be NULL")));
	pm_options_parse(PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3), options,
					 lengthof(options), "the leakage check");
	source = pm_source_open(PG_GETARG_OID(0));
	columns = find_columns(source, NameStr(*PG_GETARG_NAME(1)),
						   PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2),
						   &call, &label, &count);
	ctx = pm_host_begin("leakage check");
	frame = read_frame(ctx, source, columns, count, label, &call);
	if (frame->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no rows to check"),
				 errdetail("%lld rows were read; %lld had no label, %lld had no weight.",
						   (long long) frame->rows_read, (long long) frame->skipped_label,
						   (long long) frame->skipped_weight)));
	put_verdicts(&rows, ctx, frame, count, &call);
	pm_host_end(ctx);
	return (Datum) 0;
}
