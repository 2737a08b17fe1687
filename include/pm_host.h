/*
 * pm_host.h
 *		A backend as the host of an algorithm.
 *
 * Algorithms see a PmContext (pm_context.h).  Here is the one that a backend
 * gives them, and what every SQL function around an algorithm needs: errors
 * from statuses, options from jsonb, rows out.
 */
#ifndef PM_HOST_H
#define PM_HOST_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "pm_arena.h"
#include "pm_context.h"

/*
 * A function that SQL calls.  Everything else is hidden (-fvisibility); up to
 * PostgreSQL 15, PG_FUNCTION_INFO_V1 does not export the function itself.
 */
#define PM_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/*
 * A context whose arena lives in a new child of the current memory context:
 * an ERROR frees all of it.  Its limit is precmkt.max_memory and its
 * interrupt check CHECK_FOR_INTERRUPTS().  pm_host_end() frees it early.
 */
extern PmContext *pm_host_begin(const char *name);
extern void pm_host_end(PmContext *ctx);

/* The memory context of a pm_host_begin(), for small palloc'd things. */
extern MemoryContext pm_host_memory(PmContext *ctx);

/* Set ctx->device and ctx->threads from the settings. */
extern void pm_host_use_device(PmContext *ctx);

/* ereport(ERROR) unless status is PM_OK. */
extern void pm_host_check(PmContext *ctx, PmStatus status);

/*
 * An ERROR, as of a corrupt model, where text from a model is not valid in
 * the database's encoding.  `what` names it.
 */
extern void pm_host_check_text(const char *text, size_t length,
							   const char *what);

/* ---- options ---------------------------------------------------------- */

typedef enum PmOptionType
{
	PM_OPTION_INT,				/* int */
	PM_OPTION_INT64,			/* int64 */
	PM_OPTION_DOUBLE,			/* double */
	PM_OPTION_BOOL,				/* bool */
	PM_OPTION_STRING,			/* char *, NULL when absent */
	PM_OPTION_CHOICE,			/* int, an index into choices */
	PM_OPTION_NAMES,			/* List * of char * */
	PM_OPTION_JSON				/* Jsonb *, for the caller to take apart; NULL
								 * when absent */
} PmOptionType;

/* One key that a function's options may hold. */
typedef struct PmOption
{
	const char *name;
	PmOptionType type;
	void	   *target;			/* holds the default before parsing */
	double		minimum;		/* of a number, inclusive */
	double		maximum;
	const char *const *choices; /* of a choice, NULL-terminated */
} PmOption;

/*
 * Fill the targets from a jsonb object.  An unknown key, a value of the wrong
 * type or out of range is an ERROR that names the key and what is valid.  A
 * JSON null leaves the default.  `what` names the function's subject.
 */
extern void pm_options_parse(Jsonb *options, const PmOption *definitions,
							 int count, const char *what);

/* Append the options as they are now as a JSON object. */
extern void pm_options_write(StringInfo json, const PmOption *definitions,
							 int count);

/* The message for a word that is not one of the choices. */
extern int	pm_choice_parse(const char *word, const char *const *choices,
							const char *what);

/* ---- JSON out --------------------------------------------------------- */

/* Append "key": with a comma where one is due; start with an empty object. */
extern void pm_json_key(StringInfo json, const char *key);
extern void pm_json_string(StringInfo json, const char *key,
						   const char *value);
extern void pm_json_int(StringInfo json, const char *key, int64 value);
extern void pm_json_double(StringInfo json, const char *key, double value);
extern void pm_json_bool(StringInfo json, const char *key, bool value);

/* ---- rows out --------------------------------------------------------- */

/* A set-returning function's result, kept in a tuplestore. */
typedef struct PmRows
{
	Tuplestorestate *store;
	TupleDesc	descriptor;
} PmRows;

/* An ERROR where the caller cannot take a set. */
extern void pm_rows_check(FunctionCallInfo fcinfo);

/* Check and set up.  For many rows there is pm_stream.h. */
extern PmRows pm_rows_begin(FunctionCallInfo fcinfo);
extern void pm_rows_put(PmRows *rows, Datum *values, bool *nulls);

/* SQL NULL for NAN. */
extern Datum pm_float8_or_null(double value, bool *isnull);

#endif							/* PM_HOST_H */
