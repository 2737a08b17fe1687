/*
 * stream_plan.c
 *		The planner's part: our own scan in the place of a function scan.
 *
 * A function is one of ours when its support function is pm_stream_support,
 * by address: names prove nothing, and only a superuser declares a support
 * function.  As PostgreSQL asks the support function for a number of rows
 * before it collects paths, the library is loaded, and the hook set, when the
 * first query that needs them is planned.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "stream.h"

static set_rel_pathlist_hook_type previous_hook = NULL;

/* ---- how many rows ---------------------------------------------------- */

/* The rows of a relation as of its last VACUUM or ANALYZE; -1: not known. */
static double
known_rows(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	double		rows = -1;

	if (!HeapTupleIsValid(tuple))
		return -1;
	/* a view's count is 0 */
	if (((Form_pg_class) GETSTRUCT(tuple))->reltuples > 0)
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return rows;
}

/* As many rows come out as the source, the first regclass, has. */
static bool
estimate_rows(SupportRequestRows *request)
{
	ListCell   *cell;

	if (request->node == NULL || !IsA(request->node, FuncExpr))
		return false;
	foreach(cell, ((FuncExpr *) request->node)->args)
	{
		Const	   *argument = lfirst(cell);

		if (exprType((Node *) argument) != REGCLASSOID)
			continue;
		if (!IsA(argument, Const) || argument->constisnull)
			return false;
		request->rows = known_rows(DatumGetObjectId(argument->constvalue));
		return request->rows > 0;
	}
	return false;
}

PM_FUNCTION(pm_stream_support);

/*
 * pm_stream_support(internal) → internal: the planner's questions about a
 * function that gives a row for each row of its source.
 */
Datum
pm_stream_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestRows) &&
		estimate_rows((SupportRequestRows *) request))
		PG_RETURN_POINTER(request);
	PG_RETURN_POINTER(NULL);
}

/* ---- the plan --------------------------------------------------------- */

/* Add the columns that expressions use to those of the scan. */
static List *
add_columns(List *columns, RelOptInfo *rel, List *expressions)
{
	List	   *vars = pull_var_clause((Node *) expressions,
									   PVC_RECURSE_PLACEHOLDERS);
	ListCell   *cell;

	/* a LATERAL call's quals have Vars of others too */
	foreach(cell, vars)
		if (lfirst_node(Var, cell)->varno == rel->relid)
			columns = add_to_flat_tlist(columns, list_make1(lfirst(cell)));
	return columns;
}

/*
 * The plan of a path.  The scan is of no relation, as far as the executor is
 * concerned, and so its rows' columns stand in a target list.  They are those
 * that are used, in the result's order: mostly that spares a projection.
 */
static Plan *
make_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	List	   *quals = extract_actual_clauses(clauses, false);
	List	   *columns;

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = quals;
	scan->flags = path->flags;
	scan->custom_exprs = path->custom_private;
	/* tlist is NIL where a projection's takes its place */
	columns = add_columns(NIL, rel, rel->reltarget->exprs);
	scan->custom_scan_tlist = add_columns(columns, rel, quals);
	scan->methods = &pm_stream_scan_methods;
	return &scan->scan.plan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "PrecmktStream",
	.PlanCustomPath = make_plan,
};

/* ---- the path --------------------------------------------------------- */

/* The call of a FROM item that is one call of a function of ours, or NULL. */
static FuncExpr *
find_call(RangeTblEntry *rte)
{
	RangeTblFunction *function;
	FuncExpr   *call;
	FmgrInfo	support;
	Oid			support_oid;

	if (rte->rtekind != RTE_FUNCTION || rte->funcordinality ||
		list_length(rte->functions) != 1)
		return NULL;
	function = linitial(rte->functions);
	call = (FuncExpr *) function->funcexpr;
	if (!IsA(call, FuncExpr) || !call->funcretset ||
		call->funcresulttype != RECORDOID || function->funccolnames != NIL)
		return NULL;
	support_oid = get_func_support(call->funcid);
	if (!OidIsValid(support_oid))
		return NULL;
	fmgr_info(support_oid, &support);
	return support.fn_addr == pm_stream_support ? call : NULL;
}

/* PostgreSQL's own path, or NULL where it needs none. */
static Path *
find_function_scan(RelOptInfo *rel)
{
	ListCell   *cell;

	foreach(cell, rel->pathlist)
	{
		Path	   *path = lfirst(cell);

		if (path->pathtype == T_FunctionScan)
			return path;
	}
	return NULL;
}

/*
 * Is a row wanted as one value?  By whole-row references, and by UPDATE and
 * others that lock rows, which keep it in case they have to look again.
 */
static bool
wants_whole_row(RelOptInfo *rel)
{
	Bitmapset  *columns = NULL;
	ListCell   *cell;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &columns);
	foreach(cell, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, cell)->clause,
					   rel->relid, &columns);
	return bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber,
						 columns);
}

/*
 * The hook.  Our path is PostgreSQL's, cheaper by what a row costs to store
 * and to read again.
 */
static void
add_stream_path(PlannerInfo *root, RelOptInfo *rel, Index rti,
				RangeTblEntry *rte)
{
	FuncExpr   *call;
	Path	   *ordinary;
	CustomPath *path;

	if (previous_hook != NULL)
		previous_hook(root, rel, rti, rte);
	call = find_call(rte);
	ordinary = call != NULL ? find_function_scan(rel) : NULL;
	if (ordinary == NULL || wants_whole_row(rel))
		return;
	path = makeNode(CustomPath);
	path->path = *ordinary;
	path->path.type = T_CustomPath;
	path->path.pathtype = T_CustomScan;
	path->path.total_cost -= Min(path->path.total_cost - path->path.startup_cost,
								 0.5 * cpu_tuple_cost * rel->tuples);
	path->flags = CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
#if PG_VERSION_NUM >= 150000
	path->flags |= CUSTOMPATH_SUPPORT_PROJECTION;
#endif
	path->custom_private = list_make1(call);
	path->methods = &path_methods;
	add_path(rel, &path->path);
}

void
pm_stream_init(void)
{
	RegisterCustomScanMethods(&pm_stream_scan_methods);
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = add_stream_path;
}
