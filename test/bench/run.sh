#!/bin/bash
#
# run.sh
#	Measures precmkt beside scikit-learn, in one run on the same data, and
#	writes doc/bench.md.  The Python packages go into a virtual environment in
#	test/bench/.venv; they are no dependency of the extension.
#
#	run.sh [--quick]	smaller data and no file written, to try the script

# shellcheck source=test/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

VENV=$REPO/test/bench/.venv
BUILD=$REPO/test/bench/build

# The Python packages that we measure against, current from PyPI.
make_venv() {
	command -v python3 >/dev/null || die "the benchmark needs python3 with venv"
	if [ ! -x "$VENV/bin/python" ]; then
		python3 -m venv "$VENV"
		"$VENV/bin/pip" install --quiet scikit-learn pandas 'psycopg[binary]'
	fi
}

# The program that times a fit without a server.
build_fit_bench() {
	local sources

	mkdir -p "$BUILD"
	mapfile -t sources < <(find "$REPO/src/segment" -name 'kmeans*.c' \
		! -name '*_sql.c' ! -name 'kmeans_model.c')
	cc -O3 -std=gnu11 -I"$REPO/include" -o "$BUILD/fit_bench" \
		"$REPO/test/bench/fit_bench.c" "$REPO"/src/numeric/*.c \
		"${sources[@]}" -ldl -lm
}

# Everything.
main() {
	begin
	need demo
	make_venv
	build_and_install
	build_fit_bench
	start_server
	run_psql -c "CREATE EXTENSION precmkt"
	"$VENV/bin/python" "$REPO/test/bench/bench.py" \
		--fit-bench "$BUILD/fit_bench" \
		--device "$("$PG_CONFIG" --pkglibdir)/precmkt_cpu.so" \
		--work "$WORK" --output "$REPO/doc/bench.md" "$@"
}

main "$@"
