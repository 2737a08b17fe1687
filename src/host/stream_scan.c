/*
 * stream_scan.c
 *		The executor's part: calls the function, then points at its rows.
 *
 * The slot is filled straight from the stream.  What a function scan does
 * beside that is done here too: the right to execute, statistics, STRICT, a
 * rescan that calls the function again only when its arguments change.
 */
#include "postgres.h"

#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "stream.h"

typedef struct StreamScan
{
	CustomScanState css;		/* first: what the executor sees */
	SetExprState *call;
	Bitmapset  *params;			/* that the arguments depend on */
	int			column_count;	/* of the slot */
	int		   *columns;		/* where they stand in the function's rows */
	Bitmapset  *wanted;			/* the same as a set */
	MemoryContext memory;		/* of the call and its stream */
	const PmStream *stream;		/* NULL: not called yet */
	int64		position;		/* of the row in the slot */
} StreamScan;

static const PmStream no_rows = {0, NULL};

/* ---- the call --------------------------------------------------------- */

/* Evaluate the arguments; false where STRICT leaves nothing to call. */
static bool
evaluate_arguments(StreamScan *scan, ExprContext *econtext)
{
	FunctionCallInfo fcinfo = scan->call->fcinfo;
	ListCell   *cell;
	int			i = 0;

	foreach(cell, scan->call->args)
	{
		NullableDatum *argument = &fcinfo->args[i++];

		argument->value = ExecEvalExpr((ExprState *) lfirst(cell), econtext,
									   &argument->isnull);
		if (argument->isnull && scan->call->func.fn_strict)
			return false;
	}
	return true;
}

/* Call the function; it allocates in the scan's memory. */
static const PmStream *
call_function(StreamScan *scan, ExprContext *econtext)
{
	FunctionCallInfo fcinfo = scan->call->fcinfo;
	PmStreamRequest request = {0};
	PgStat_FunctionCallUsage usage;

	if (!evaluate_arguments(scan, econtext))
		return &no_rows;
	request.result.type = T_ReturnSetInfo;
	request.result.econtext = econtext;
	request.result.allowedModes = PM_STREAM_MODE;
	request.columns = scan->wanted;
	fcinfo->resultinfo = (Node *) &request;
	fcinfo->isnull = false;
	pgstat_init_function_usage(fcinfo, &usage);
	FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	fcinfo->resultinfo = NULL;
	if (request.stream == NULL)
		elog(ERROR, "function %u has SUPPORT pm_stream_support, but no stream",
			 fcinfo->flinfo->fn_oid);
	return request.stream;
}

/* The stream, by a call where there has been none. */
static const PmStream *
get_stream(StreamScan *scan)
{
	MemoryContext previous;

	if (likely(scan->stream != NULL))
		return scan->stream;
	previous = MemoryContextSwitchTo(scan->memory);
	scan->stream = call_function(scan, scan->css.ss.ps.ps_ExprContext);
	MemoryContextSwitchTo(previous);
	return scan->stream;
}

/* ---- rows ------------------------------------------------------------- */

/* The next row in the scan's direction, before quals and projection. */
static TupleTableSlot *
next_row(ScanState *node)
{
	StreamScan *scan = (StreamScan *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	const PmStream *stream = get_stream(scan);

	ExecClearTuple(slot);
	if (ScanDirectionIsForward(node->ps.state->es_direction))
		scan->position = Min(scan->position + 1, stream->count);
	else
		scan->position = Max(scan->position - 1, -1);
	if (scan->position < 0 || scan->position >= stream->count)
		return slot;
	for (int i = 0; i < scan->column_count; i++)
		slot->tts_values[i] = stream->value(stream, scan->position,
											scan->columns[i], &slot->tts_isnull[i]);
	return ExecStoreVirtualTuple(slot);
}

/*
 * A row when a locked row is looked at again.  A function that has a row in
 * that look is not scanned by us (wants_whole_row), so this one belongs to a
 * sub-select, which runs as ever.
 */
static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	return !TupIsNull(next_row(node));
}

static TupleTableSlot *
execute_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

/* ---- beginning and end ------------------------------------------------ */

/* The parameters that an expression's value depends on. */
typedef struct ParamSearch
{
	List	   *subplans;
	Bitmapset  *params;
} ParamSearch;

static bool
find_params(Node *node, void *argument)
{
	ParamSearch *search = argument;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		search->params = bms_add_member(search->params, ((Param *) node)->paramid);
	if (IsA(node, SubPlan))
	{
		Plan	   *plan = list_nth(search->subplans, ((SubPlan *) node)->plan_id - 1);

		search->params = bms_add_members(search->params, plan->extParam);
	}
	return expression_tree_walker(node, find_params, argument);
}

/* Which of the function's columns go where in the slot. */
static void
find_columns(StreamScan *scan, List *tlist)
{
	ListCell   *cell;

	scan->columns = palloc(Max(1, list_length(tlist)) * sizeof(int));
	foreach(cell, tlist)
	{
		int			column = castNode(Var, lfirst_node(TargetEntry, cell)->expr)->varattno - 1;

		scan->columns[scan->column_count++] = column;
		scan->wanted = bms_add_member(scan->wanted, column);
	}
}

/* What a function scan does when it begins: nothing is called yet. */
static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	StreamScan *scan = (StreamScan *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	Expr	   *call = linitial(plan->custom_exprs);
	ParamSearch search = {estate->es_plannedstmt->subplans, NULL};

	/* checks the right to execute */
	scan->call = ExecInitTableFunctionResult(call, node->ss.ps.ps_ExprContext,
											 &node->ss.ps);
	find_params((Node *) call, &search);
	scan->params = search.params;
	find_columns(scan, plan->custom_scan_tlist);
	scan->memory = AllocSetContextCreate(CurrentMemoryContext, "precmkt stream",
										 ALLOCSET_DEFAULT_SIZES);
	scan->position = -1;
}

static void
forget_stream(StreamScan *scan)
{
	scan->stream = NULL;
	MemoryContextReset(scan->memory);
}

static void
rescan(CustomScanState *node)
{
	StreamScan *scan = (StreamScan *) node;

	ExecScanReScan(&node->ss);
	scan->position = -1;
	if (bms_overlap(node->ss.ps.chgParam, scan->params))
		forget_stream(scan);
}

static void
end_scan(CustomScanState *node)
{
	forget_stream((StreamScan *) node);
}

/* The function, and in VERBOSE its call as a function scan shows it. */
static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	FuncExpr   *call = linitial(plan->custom_exprs);
	List	   *context;

	if (!es->verbose)
	{
		ExplainPropertyText("Function", get_func_name(call->funcid), es);
		return;
	}
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan,
									   ancestors);
	ExplainPropertyText("Function Call",
						deparse_expression((Node *) call, context,
										   list_length(es->rtable) > 1, false),
						es);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "PrecmktStream",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = execute_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_state(CustomScan *plan)
{
	StreamScan *scan = (StreamScan *) newNode(sizeof(StreamScan), T_CustomScanState);

	scan->css.methods = &exec_methods;
	return (Node *) scan;
}

const CustomScanMethods pm_stream_scan_methods = {
	.CustomName = "PrecmktStream",
	.CreateCustomScanState = create_state,
};
