#!/bin/bash
#
# rules.sh
#	The rules of this repository that a program can check.  Run by check.sh,
#	with a server up (PGHOST, PGUSER), precmkt built and PG_CONFIG set.
#	Prints what breaks a rule; the last line is "N passed, N failed".

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

PASSED=0
FAILED=0
DATABASE=precmkt_rules

# Count a rule as kept when nothing breaks it.
#	rule "description" "what breaks it, one a line"
rule() {
	if [ -z "$2" ]; then
		PASSED=$((PASSED + 1))
	else
		FAILED=$((FAILED + 1))
		printf 'broken: %s\n' "$1"
		printf '  %s\n' "${2//$'\n'/$'\n'  }"
	fi
}

# Run a query in the rules' database, unaligned rows only.
query() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$DATABASE" -c "$1"
}

# The files that know no PostgreSQL: algorithms, numbers, devices, formats.
plain_files() {
	find src -name '*.[ch]' \( -path 'src/numeric/*' -o -path 'src/device/c*/*' \
		-o -path 'src/model/container.c' \)
	find src -mindepth 2 -name '*.[ch]' ! -name '*_sql.[ch]' \
		! -path 'src/numeric/*' ! -path 'src/device/*' ! -path 'src/model/*' \
		! -path 'src/data/*' ! -path 'src/host/*'
}

# ---------------------------------------------------------------------------
# The source
# ---------------------------------------------------------------------------

# Plain files neither include PostgreSQL nor call it.
check_plain_files() {
	local files

	mapfile -t files < <(plain_files)
	[ ${#files[@]} -gt 0 ] || return 0
	rule "an algorithm, a device and src/numeric include no header of PostgreSQL" \
		"$(grep -nE '#[[:space:]]*include[[:space:]]*[<"](postgres|c\.h|fmgr|funcapi|miscadmin|catalog/|executor/|utils/|access/|lib/|nodes/|storage/|port)' \
			"${files[@]}" || true)"
	rule "an algorithm, a device and src/numeric call nothing of PostgreSQL" \
		"$(grep -nE '\b(palloc[a-z0-9_]*|pfree|repalloc|ereport|elog|CHECK_FOR_INTERRUPTS|SPI_[a-z]+)[[:space:]]*\(' \
			"${files[@]}" | grep -vE ':[[:space:]]*(/?\*|//)' || true)"
	rule "an algorithm, a device and src/numeric compile without PostgreSQL's headers" \
		"$(for file in "${files[@]}"; do
			case $file in
				*/cuda/* | *.h) ;;
				*) "${CC:-cc}" -std=gnu11 -Iinclude -I"$(dirname "$file")" -w \
					-fsyntax-only "$file" 2>&1 | grep -m 1 error || true ;;
			esac
		done)"
}

# No capability uses another one.
check_layers() {
	local dir name other broken=

	for dir in src/*/; do
		name=$(basename "$dir")
		case $name in data | model | numeric | device | host) continue ;; esac
		for other in src/*/; do
			other=$(basename "$other")
			case $other in data | model | numeric | device | host | "$name") continue ;; esac
			broken+=$(grep -rnE "#include \"(\.\./)?$other/" "$dir" || true)
		done
	done
	rule "a capability includes nothing of another capability" "$broken"
	rule "data, model, numeric and device include nothing of a capability" \
		"$(for dir in src/*/; do
			name=$(basename "$dir")
			case $name in data | model | numeric | device | host) continue ;; esac
			grep -rnE "#include \"(\.\./)?$name/" src/data src/model src/numeric src/device || true
		done)"
}

# What the libraries and objects show to the linker.
check_symbols() {
	local functions

	functions=$(query "SELECT prosrc FROM pg_proc p JOIN pg_language l ON l.oid = prolang
		WHERE lanname = 'c' AND probin LIKE '%precmkt%'" | sort -u)
	rule "precmkt.so exports its SQL functions and what PostgreSQL looks for, nothing else" \
		"$(nm -D --defined-only precmkt.so | awk '{ print $3 }' |
			grep -vE '^(pg_finfo_pm_[a-z0-9_]+|Pg_magic_func|_PG_init)$' |
			grep -vxF "$functions" || true)"
	rule "every external symbol is pm_, Pm or PM" \
		"$(find src -name '*.o' -exec nm -A -P -g --defined-only {} + |
			awk '$2 !~ /^(pm_|Pm|PM|pg_finfo_pm_|Pg_magic_func$|_PG_init$)/ { print $1, $2 }' |
			grep -v '\.resolver$' || true)"
	rule "every device library exports one function" \
		"$(for library in precmkt_*.so; do
			[ -e "$library" ] || continue
			names=$(nm -D --defined-only "$library" | awk '{ print $3 }' |
				grep -vE '^(Pg_magic_func)$' || true)
			[ "$(wc -w <<<"$names")" = 1 ] || echo "$library: ${names//$'\n'/ }"
		done)"
}

# No text names a machine.
check_texts() {
	rule "no absolute path of a machine in a committed file" \
		"$(git -c safe.directory='*' grep --untracked -nIE '(^|[^A-Za-z0-9_.$}])/(work|home|Users)/[A-Za-z]' \
			-- . ':!test/rules.sh' 2>/dev/null || true)"
}

# ---------------------------------------------------------------------------
# The extension as installed
# ---------------------------------------------------------------------------

# Every member has a comment, every function its place in the documentation.
check_catalog() {
	local name broken

	broken=$(query "SELECT pg_describe_object(classid, objid, objsubid)
			FROM pg_depend d
			WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
				AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'precmkt')
				AND obj_description(objid, classid::regclass::text::name) IS NULL
				AND (classid <> 'pg_type'::regclass OR obj_description(
					(SELECT typrelid FROM pg_type WHERE oid = objid), 'pg_class') IS NULL
					AND NOT EXISTS (SELECT FROM pg_type WHERE typarray = objid))
			ORDER BY 1")
	rule "every object of the extension has a COMMENT ON" "$broken"

	broken=$(query "SELECT identity FROM pg_depend d,
				pg_identify_object(classid, objid, 0) AS o
			WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
				AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'precmkt')
				AND o.type IN ('function', 'aggregate', 'procedure', 'type', 'table', 'view', 'sequence')
				AND identity !~ '^[a-z_]+\.\"?_?pm_'
			ORDER BY 1")
	rule "every function, type and table of the extension is pm_" "$broken"

	broken=$(query "SELECT DISTINCT proname FROM pg_proc p
			JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
			WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
				AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'precmkt')
				AND prorettype <> ALL ('{trigger,event_trigger,internal}'::regtype[])
				AND p.oid <> ALL (SELECT unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn,
					aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn]::oid[])
					FROM pg_aggregate)
				AND p.oid <> ALL (SELECT unnest(ARRAY[typinput, typoutput, typreceive,
					typsend, typmodin, typmodout, typanalyze]::oid[]) FROM pg_type)
				AND p.oid <> ALL (SELECT castfunc FROM pg_cast)
				AND p.oid <> ALL (SELECT oprcode FROM pg_operator)
			UNION SELECT relname FROM pg_class c
			JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
			WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND relkind IN ('r', 'v', 'm')
				AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'precmkt')" |
			while IFS= read -r name; do
				grep -qwF -- "$name" README.md doc/*.md 2>/dev/null || echo "$name"
			done)
	rule "README.md or doc/ tells of every function, table and view that users call" "$broken"
}

export PGOPTIONS='-c client_min_messages=warning'
[ -e precmkt.so ] || {
	echo "precmkt.so is not built" >&2
	exit 1
}
psql -X -q -d postgres -c "DROP DATABASE IF EXISTS $DATABASE" -c "CREATE DATABASE $DATABASE"
query "CREATE EXTENSION precmkt CASCADE"
check_plain_files
check_layers
check_symbols
check_texts
check_catalog
psql -X -q -d postgres -c "DROP DATABASE $DATABASE"
echo "$PASSED passed, $FAILED failed"
exit $((FAILED > 0))
