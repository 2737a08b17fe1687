/*
 * pm_stream.h
 *		Tables that a function has computed, row by row to whoever asks.
 *
 * A set-returning function has two doors.  Where PostgreSQL calls it, in a
 * SELECT list or in ROWS FROM, its rows go into a tuplestore.  Where it stands
 * alone in FROM and is declared with SUPPORT pm_stream_support, the planner
 * puts our own scan in the place of the function scan, and that scan takes the
 * rows from the function's arrays: nothing is formed, stored and taken apart
 * again.  A function need not know which door it is.
 */
#ifndef PM_STREAM_H
#define PM_STREAM_H

#include "postgres.h"

#include "fmgr.h"

#include "pm_host.h"

/*
 * The rows.  `value` gives that of a row and a column, both from 0; what it
 * points to stays until the stream ends.  It is asked for any row, mostly the
 * next one, perhaps none, perhaps twice: cursors go back.  It runs after the
 * function has returned, so it must not use SQL: the function may have had
 * another role or other settings.
 */
typedef struct PmStream PmStream;
struct PmStream
{
	int64		count;
	Datum		(*value) (const PmStream *stream, int64 row, int column,
						  bool *isnull);
};

/* An ERROR where the caller cannot take a set; to be known before the work. */
extern void pm_stream_check(FunctionCallInfo fcinfo);

/* Will a column be asked for?  Where not, it need not be computed. */
extern bool pm_stream_wants(FunctionCallInfo fcinfo, int column);

/*
 * The function's end: `return pm_stream_return(...)`.  The stream lives in
 * ctx, which is ended here or, by our scan, when the scan is.
 */
extern Datum pm_stream_return(FunctionCallInfo fcinfo, PmContext *ctx,
							  const PmStream *stream);

/* Have the planner use our scan; once, when the library is loaded. */
extern void pm_stream_init(void);

#endif							/* PM_STREAM_H */
