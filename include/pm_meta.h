/*
 * pm_meta.h
 *		What every model says of its making, as JSON for "meta" and "run".
 */
#ifndef PM_META_H
#define PM_META_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "portability/instr_time.h"

#include "pm_context.h"
#include "pm_frame.h"

/* "columns": the names of a schema's columns */
extern void pm_meta_columns(StringInfo json, const PmSchema *schema);

/* "missing_values": {column: NULLs in training}, of columns that had any */
extern void pm_meta_missing(StringInfo json, const PmSchema *schema);

/* The whole section "run": what differs from one training to the next. */
extern char *pm_meta_run(PmContext *ctx, double seconds_load,
						 double seconds_fit);

extern double pm_seconds_since(instr_time begin);

#endif							/* PM_META_H */
