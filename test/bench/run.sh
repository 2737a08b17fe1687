#!/bin/bash
#
# run.sh
#	Measures precmkt beside its peers, each pair in one run on the same data,
#	and writes the sections of doc/bench.md that were measured.
#
#	run.sh [--quick] [kmeans|ctr|accuracy ...]
#
#	kmeans		segments beside scikit-learn
#	ctr		click models beside scikit-learn, statsmodels, Vowpal Wabbit, PyTorch
#	accuracy	click models on real data, beside PyTorch
#	--quick		smaller data and no page written, to try the scripts
#
# Without a name, kmeans: the others call the SQL functions of click models
# (pm_train_ctr, ...), which are not in the extension.  The Python packages go into the virtual
# environment PRECMKT_VENV, by default test/bench/.venv; they are no dependency
# of the extension.  (PyTorch is large: about 5 GB.)

# shellcheck source=test/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/../setup.sh"

VENV=${PRECMKT_VENV:-$REPO/test/bench/.venv}
BUILD=$REPO/test/bench/build
ALL_SECTIONS=(kmeans ctr accuracy)
SECTIONS=()
OPTIONS=()

# Sort the arguments into sections and options.
read_arguments() {
	local argument

	for argument in "$@"; do
		if [[ " ${ALL_SECTIONS[*]} " == *" $argument "* ]]; then
			SECTIONS+=("$argument")
		elif [ "$argument" = --quick ]; then
			OPTIONS+=("$argument")
		else
			die "no such section or option: $argument (there are: ${ALL_SECTIONS[*]} --quick)"
		fi
	done
	[ ${#SECTIONS[@]} -gt 0 ] || SECTIONS=(kmeans)
}

# True when a section is to be measured.
measures() {
	[[ " ${SECTIONS[*]} " == *" $1 "* ]]
}

# The Python packages that we measure against, current from PyPI.
make_venv() {
	local packages=(scikit-learn pandas 'psycopg[binary]')

	command -v python3 >/dev/null || die "the benchmark needs python3 with venv"
	! measures ctr || packages+=(statsmodels vowpalwabbit torch)
	! measures accuracy || packages+=(torch)
	[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
	"$VENV/bin/pip" install --quiet "${packages[@]}"
}

# The programs that time a fit without a server.
build_fit_bench() {
	local sources

	mkdir -p "$BUILD"
	mapfile -t sources < <(find "$REPO/src/segment" -name 'kmeans*.c' \
		! -name '*_sql.c' ! -name 'kmeans_model.c')
	cc -O3 -std=gnu11 -I"$REPO/include" -o "$BUILD/fit_bench" \
		"$REPO/test/bench/fit_bench.c" "$REPO"/src/numeric/*.c \
		"${sources[@]}" -ldl -lm
}

# The real shop, and its purchases as clicks.
load_clicks() {
	[ -n "$DATA" ] || return 0
	bash "$REPO/test/shop/load_online_retail.sh" "$DATA"
	run_psql -1 -f "$REPO/test/shop/retail_clicks.sql"
}

# Everything.
main() {
	read_arguments "$@"
	begin
	need demo
	make_venv
	build_and_install
	! measures kmeans || build_fit_bench
	start_server
	run_psql -c "CREATE EXTENSION precmkt"
	! measures accuracy || load_clicks
	"$VENV/bin/python" "$REPO/test/bench/bench.py" \
		--build "$BUILD" --data "$DATA" \
		--device "$("$PG_CONFIG" --pkglibdir)/precmkt_cpu.so" \
		--work "$WORK" --output "$REPO/doc/bench.md" \
		"${OPTIONS[@]}" "${SECTIONS[@]}"
}

main "$@"
