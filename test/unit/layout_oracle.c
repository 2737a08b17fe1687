/*
 * layout_oracle.c
 *		What a layout should make of a table, by brute force: every value is a
 *		string, counted among the strings of the training rows.
 */
#include "layout_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const weekdays[PM_WEEKDAYS] = {
	"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
	"Sunday"
};

static bool
in_training(const LayoutCase *table, int64_t i)
{
	return table->held_out == NULL || !table->held_out[i];
}

/* ---- which parts there are ---------------------------------------------- */

static OraclePart *
add_part(Oracle *oracle, CtrPartKind kind, int column, const char *name,
		 const char *suffix)
{
	OraclePart *part = &oracle->parts[oracle->part_count++];

	part->kind = kind;
	part->column = column;
	part->visible = true;
	part->kept = calloc(ORACLE_KEPT, ORACLE_NAME);
	snprintf(part->name, sizeof(part->name), "%s%s", name, suffix);
	return part;
}

static void
add_column(Oracle *oracle, const PmColumn *column, int i)
{
	const CtrColumnTransform *transform = NULL;
	OraclePart *part;

	for (int k = 0; k < oracle->options->transform_count; k++)
		if (oracle->options->transforms[k].column == i)
			transform = &oracle->options->transforms[k];
	switch (column->class)
	{
		case PM_COLUMN_CATEGORY:
			add_part(oracle, CTR_CATEGORY, i, column->name, "");
			break;
		case PM_COLUMN_SET:
			add_part(oracle, CTR_SET, i, column->name, "");
			break;
		case PM_COLUMN_TIME:
		case PM_COLUMN_DATE:
			add_part(oracle, CTR_NUMBER, i, column->name, ".days");
			add_part(oracle, CTR_MISSING, i, column->name, ".missing");
			add_part(oracle, CTR_WEEKDAY, i, column->name, ".weekday");
			if (column->class == PM_COLUMN_TIME)
				add_part(oracle, CTR_HOUR, i, column->name, ".hour");
			break;
		default:
			if (transform != NULL && transform->transform >= CTR_QUANTILE)
			{
				part = add_part(oracle, CTR_BINS, i, column->name, "");
				part->bins = transform->bins;
			}
			else
			{
				part = add_part(oracle, CTR_NUMBER, i, column->name, "");
				add_part(oracle, CTR_MISSING, i, column->name, ".missing");
			}
			part->transform = transform != NULL ? transform->transform : CTR_STANDARDIZE;
			break;
	}
}

static int
find_member(Oracle *oracle, const PmSchema *schema, const CtrCrossMember *member)
{
	OraclePart *part;

	for (int i = 0; i < oracle->part_count; i++)
	{
		part = &oracle->parts[i];
		if (part->column != member->column)
			continue;
		if (member->part == CTR_WEEKDAY || member->part == CTR_HOUR ? part->kind == member->part :
			part->kind == CTR_CATEGORY || part->kind == CTR_BINS)
			return i;
	}
	part = add_part(oracle, CTR_BINS, member->column, schema->columns[member->column].name, "");
	part->visible = false;
	part->transform = CTR_VALUES;
	return oracle->part_count - 1;
}

static void
add_cross(Oracle *oracle, const PmSchema *schema, const CtrCross *cross)
{
	int			members[CTR_MAX_MEMBERS];
	char		name[ORACLE_NAME] = "";
	OraclePart *part;

	for (int j = 0; j < cross->count; j++)
	{
		members[j] = find_member(oracle, schema, &cross->members[j]);
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%s", j > 0 ? ":" : "",
				 oracle->parts[members[j]].name);
	}
	part = add_part(oracle, CTR_CROSS, -1, name, "");
	part->member_count = cross->count;
	memcpy(part->members, members, sizeof(members));
}

/* ---- strings of a row ---------------------------------------------------- */

static const char *
bin_text(const OraclePart *part, float value, char *text)
{
	char		low[24] = "-infinity";
	char		high[24] = "infinity";
	int			b = 0;

	while (b < part->bound_count && part->bounds[b] <= value)
		b++;
	if (b > 0)
		snprintf(low, sizeof(low), "%g", part->bounds[b - 1]);
	if (b < part->bound_count)
		snprintf(high, sizeof(high), "%g", part->bounds[b]);
	snprintf(text, ORACLE_NAME, "%s%s, %s)", b > 0 ? "[" : "(", low, high);
	return text;
}

static void label_of(const Oracle *oracle, const OraclePart *part,
					 const LayoutCase *table, const PmRow *row, char *label);

/* What a part's value is called; NULL where it is NULL. */
static const char *
token_of(const Oracle *oracle, const OraclePart *part, const LayoutCase *table,
		 const PmRow *row, char *text)
{
	const PmColumn *column = part->column < 0 ? NULL : &table->schema.columns[part->column];
	int			at = part->column < 0 ? 0 : table->at[part->column];
	const char *string;
	size_t		length;
	int32_t		code;

	switch (part->kind)
	{
		case CTR_BINS:
			if (isnan(row->dense[at]))
				return NULL;
			if (part->transform == CTR_QUANTILE)
				return bin_text(part, row->dense[at], text);
			snprintf(text, ORACLE_NAME, "%g", row->dense[at]);
			return text;
		case CTR_WEEKDAY:
			code = row->codes[table->code_at[part->column]];
			return code < 0 ? NULL : weekdays[code];
		case CTR_HOUR:
			code = row->codes[table->code_at[part->column] + 1];
			snprintf(text, ORACLE_NAME, "%d", code);
			return code < 0 ? NULL : text;
		case CTR_CATEGORY:
			code = row->codes[at];
			if (code < 0)
				return code == PM_CODE_NULL ? NULL : "no such category";
			string = pm_dictionary_string(&column->dictionary, code, &length);
			snprintf(text, ORACLE_NAME, "%.*s", (int) length, string);
			return text;
		default:
			text[0] = '\0';
			for (int j = 0; j < part->member_count; j++)
			{
				char		label[ORACLE_NAME];

				label_of(oracle, &oracle->parts[part->members[j]], table, row, label);
				snprintf(text + strlen(text), ORACLE_NAME - strlen(text), "%s%s", j > 0 ? ":" : "",
						 label[0] == '\0' ? "(other)" : label);
			}
			return text;
	}
}

static bool
is_kept(const OraclePart *part, const char *token)
{
	for (int i = 0; i < part->kept_count; i++)
		if (strcmp(part->kept[i], token) == 0)
			return true;
	return false;
}

/* Whether a part has an index for each of its values. */
static bool
keeps_all(const OraclePart *part)
{
	return part->kind == CTR_WEEKDAY || part->kind == CTR_HOUR ||
		(part->kind == CTR_BINS && part->transform == CTR_QUANTILE);
}

/* The name of a token's index; empty where it has none. */
static void
label_token(const OraclePart *part, const char *token, char *label)
{
	if (token == NULL)
		strcpy(label, part->null ? "(null)" : "");
	else if (keeps_all(part) || is_kept(part, token))
		snprintf(label, ORACLE_NAME, "%s", token);
	else
		strcpy(label, part->rare ? "(rare)" : "");
}

static void
label_of(const Oracle *oracle, const OraclePart *part, const LayoutCase *table,
		 const PmRow *row, char *label)
{
	char		text[ORACLE_NAME];

	label_token(part, token_of(oracle, part, table, row, text), label);
}

/* ---- learning ------------------------------------------------------------ */

/* Tokens of the training rows, counted. */
typedef struct Tally
{
	int			count;
	struct
	{
		char		token[ORACLE_NAME];
		int64_t		rows;
	}			tokens[2 * ORACLE_KEPT];
} Tally;

static void
tally(Tally *counts, const char *token)
{
	int			i = 0;

	while (i < counts->count && strcmp(counts->tokens[i].token, token) != 0)
		i++;
	if (i == counts->count)
		snprintf(counts->tokens[counts->count++].token, ORACLE_NAME, "%s", token);
	counts->tokens[i].rows++;
}

/* Frequent tokens are kept; of others it is known whether there are any. */
static void
keep_frequent(const Oracle *oracle, OraclePart *part, const Tally *counts)
{
	bool		exact = part->kind == CTR_CATEGORY || part->kind == CTR_SET;

	for (int i = 0; i < counts->count; i++)
	{
		bool		frequent = counts->tokens[i].rows >= oracle->options->min_frequency;
		bool		known = is_kept(part, counts->tokens[i].token);

		part->rare |= !frequent && !(known && exact);
		if (frequent && !known)
			strcpy(part->kept[part->kept_count++], counts->tokens[i].token);
	}
}

static void
learn_tokens(const Oracle *oracle, OraclePart *part, const LayoutCase *table)
{
	Tally	   *counts = calloc(1, sizeof(Tally));
	CaseRow		row;
	char		text[ORACLE_NAME];

	for (int64_t i = 0; i < table->table.n; i++)
	{
		const char *token;

		if (!in_training(table, i))
			continue;
		case_table_row(table, i, &row);
		if (part->kind == CTR_SET)
		{
			const PmDictionary *dictionary = &table->schema.columns[part->column].dictionary;
			int			at = table->at[part->column];

			for (int j = at > 0 ? row.set_ends[at - 1] : 0; j < row.set_ends[at]; j++)
			{
				size_t		length;
				const char *string = pm_dictionary_string(dictionary, row.set_codes[j], &length);

				snprintf(text, sizeof(text), "%.*s", (int) length, string);
				tally(counts, text);
			}
			continue;
		}
		token = token_of(oracle, part, table, &row.row, text);
		if (token == NULL)
			part->null = true;
		else if (!keeps_all(part))
			tally(counts, token);
	}
	keep_frequent(oracle, part, counts);
	free(counts);
}

/* Mean and deviation of a number, in two passes over long doubles. */
static void
learn_number(OraclePart *part, const LayoutCase *table, int j)
{
	long double sums[4] = {0, 0, 0, 0};	/* weight, value, transformed, square */

	for (int pass = 0; pass < 2; pass++)
		for (int64_t i = 0; i < table->table.n; i++)
		{
			long double value = table->dense[i * table->table.dense_width + table->at[part->column] + j];
			long double weight = table->weights == NULL ? 1 : table->weights[i];
			long double t = part->transform == CTR_LOG1P ?
				copysignl(log1pl(fabsl(value)), value) : value;

			if (!in_training(table, i) || isnan(value))
				continue;
			if (pass == 0)
			{
				sums[0] += weight;
				sums[1] += weight * value;
				sums[2] += weight * t;
			}
			else
				sums[3] += weight * (t - sums[2] / sums[0]) * (t - sums[2] / sums[0]);
		}
	if (sums[0] == 0)
		return;
	part->impute[j] = (double) (sums[1] / sums[0]);
	part->mean[j] = (double) (sums[2] / sums[0]);
	part->deviation[j] = sqrt((double) (sums[3] / sums[0]));
}

static int
compare_floats(const void *left, const void *right)
{
	float		a = *(const float *) left;
	float		b = *(const float *) right;

	return (a > b) - (a < b);
}

/* The value that each b / bins of the rows are below; no bin is empty. */
static void
learn_quantiles(OraclePart *part, const LayoutCase *table)
{
	float	   *values = malloc((table->table.n + 1) * sizeof(float));
	int64_t		count = 0;

	for (int64_t i = 0; i < table->table.n; i++)
	{
		float		value = table->dense[i * table->table.dense_width + table->at[part->column]];

		if (in_training(table, i) && !isnan(value))
			values[count++] = value;
	}
	qsort(values, count, sizeof(float), compare_floats);
	for (int b = 1; b < part->bins && count > 0; b++)
	{
		float		bound = values[count * b / part->bins];
		float		last = part->bound_count == 0 ? values[0] : part->bounds[part->bound_count - 1];

		if (bound > last)
			part->bounds[part->bound_count++] = bound;
	}
	free(values);
}

void
oracle_learn(Oracle *oracle, const LayoutCase *table,
			 const CtrLayoutOptions *options)
{
	bool		first = oracle->part_count == 0;

	oracle->options = options;
	for (int i = 0; first && i < table->schema.column_count; i++)
		add_column(oracle, &table->schema.columns[i], i);
	for (int i = 0; first && i < options->cross_count; i++)
		add_cross(oracle, &table->schema, &options->crosses[i]);
	for (int i = 0; i < oracle->part_count; i++)
	{
		OraclePart *part = &oracle->parts[i];

		if (part->kind == CTR_NUMBER)
			for (int j = 0; first && j < table->schema.columns[part->column].length; j++)
				learn_number(part, table, j);
		else if (part->kind == CTR_MISSING)
			for (int64_t row = 0; first && row < table->table.n; row++)
				part->null |= in_training(table, row) &&
					isnan(table->dense[row * table->table.dense_width + table->at[part->column]]);
		else
		{
			if (part->kind == CTR_BINS && part->transform == CTR_QUANTILE && first)
				learn_quantiles(part, table);
			learn_tokens(oracle, part, table);
		}
	}
}

void
oracle_free(Oracle *oracle)
{
	for (int i = 0; i < oracle->part_count; i++)
		free(oracle->parts[i].kept);
}

/* ---- a row --------------------------------------------------------------- */

static void
put(OracleEntry *entries, int *count, const OraclePart *part, const char *index,
	double value)
{
	OracleEntry *entry = &entries[(*count)++];

	strcpy(entry->part, part->name);
	strcpy(entry->index, index);
	entry->value = value;
}

static void
put_number(const OraclePart *part, const LayoutCase *table, const PmRow *row,
		   OracleEntry *entries, int *count)
{
	const PmColumn *column = &table->schema.columns[part->column];

	for (int j = 0; j < column->length; j++)
	{
		double		value = row->dense[table->at[part->column] + j];
		char		index[12] = "";

		value = isnan(value) ? (float) part->impute[j] : value;
		value = part->transform == CTR_LOG1P ? copysign(log1p(fabs(value)), value) : value;
		if (part->deviation[j] <= 1e-9 * fabs(part->mean[j]))
			value = 0;
		else if (part->transform != CTR_RAW)
			value = (value - part->mean[j]) / part->deviation[j];
		if (column->class == PM_COLUMN_VECTOR)
			snprintf(index, sizeof(index), "%d", j + 1);
		put(entries, count, part, index, value);
	}
}

static void
put_set(const OraclePart *part, const LayoutCase *table, const PmRow *row,
		OracleEntry *entries, int *count)
{
	const PmDictionary *dictionary = &table->schema.columns[part->column].dictionary;
	int			at = table->at[part->column];
	bool		rare = false;

	for (int j = at > 0 ? row->set_ends[at - 1] : 0; j < row->set_ends[at]; j++)
	{
		int32_t		code = row->set_codes[j];
		size_t		length = 0;
		const char *string = code < 0 ? "" : pm_dictionary_string(dictionary, code, &length);
		char		text[ORACLE_NAME];
		char		label[ORACLE_NAME];

		snprintf(text, sizeof(text), "%.*s", (int) length, string);
		label_token(part, text, label);
		if (label[0] == '\0' || (strcmp(label, "(rare)") == 0 && rare))
			continue;
		rare |= strcmp(label, "(rare)") == 0;
		put(entries, count, part, label, 1);
	}
}

int
oracle_row(const Oracle *oracle, const LayoutCase *table, const PmRow *row,
		   OracleEntry *entries)
{
	int			count = 0;

	for (int i = 0; i < oracle->part_count; i++)
	{
		const OraclePart *part = &oracle->parts[i];
		char		label[ORACLE_NAME];

		if (!part->visible)
			continue;
		if (part->kind == CTR_NUMBER)
			put_number(part, table, row, entries, &count);
		else if (part->kind == CTR_SET)
			put_set(part, table, row, entries, &count);
		else if (part->kind == CTR_MISSING)
		{
			if (part->null && isnan(row->dense[table->at[part->column]]))
				put(entries, &count, part, "", 1);
		}
		else
		{
			label_of(oracle, part, table, row, label);
			if (label[0] != '\0')
				put(entries, &count, part, label, 1);
		}
	}
	return count;
}
