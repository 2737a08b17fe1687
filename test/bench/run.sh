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
#	accuracy	click models on real and planted data, beside PyTorch; takes hours
#	--quick		smaller data and no page written, to try the scripts
#
# Without a name, all of them.  The Python packages go into the virtual
# environment PRECMKT_VENV, by default test/bench/.venv; they are no dependency
# of the extension.  (PyTorch is large: about 5 GB.)  Peers that cannot be
# installed are left out, and the page says so.

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
	[ ${#SECTIONS[@]} -gt 0 ] || SECTIONS=("${ALL_SECTIONS[@]}")
}

# True when a section is to be measured.
measures() {
	[[ " ${SECTIONS[*]} " == *" $1 "* ]]
}

# The Python packages that we measure with, and the peers that we measure
# against, current from PyPI.
make_venv() {
	local peer peers=()

	command -v python3 >/dev/null || die "the benchmark needs python3 with venv"
	! measures ctr || peers+=(statsmodels vowpalwabbit)
	! { measures ctr || measures accuracy; } || peers+=(torch)
	[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
	"$VENV/bin/pip" install --quiet scikit-learn pandas 'psycopg[binary]'
	for peer in "${peers[@]}"; do
		"$VENV/bin/pip" install --quiet "$peer" ||
			say "$peer could not be installed: it is left out"
	done
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

# The real shop and its purchases as clicks; the made-up one, whose clicks were
# planted, as schema planted.
load_clicks() {
	local users=20000

	[[ " ${OPTIONS[*]} " != *" --quick "* ]] || users=2000
	run_psql -o /dev/null -c "SELECT pm_demo_shop('planted', users => $users)"
	run_psql -v shop=planted -f "$REPO/test/shop/planted_clicks.sql"
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
