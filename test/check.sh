#!/bin/bash
#
# check.sh
#	Sets precmkt up and runs every test.  The last line is
#	"N passed, N failed" over all kinds of test.
#
#	bash test/check.sh			everything
#	bash test/check.sh unit regress		these kinds alone
#
# Kinds
#
#	build		warnings are errors: gcc, clang, with and without bitcode
#	unit		test/unit: numbers and devices, no server
#	fuzz		test/fuzz: the corpus replayed
#	regress		sql/*.sql against expected/*.out
#	tap		test/t/*.pl: servers of their own
#	doc		every SQL block of README.md and doc/*.md
#	rules		test/rules.sh: the rules of this repository

# shellcheck source=test/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

ALL_KINDS=(build unit fuzz regress tap doc rules)
TOTAL_PASSED=0
TOTAL_FAILED=0
TOTAL_SKIPPED=0

# Count the outcome of a few tests of the kind that runs.
count() {
	PASSED=$((PASSED + $1))
	FAILED=$((FAILED + $2))
	SKIPPED=$((SKIPPED + ${3:-0}))
}

# Count one test by the exit status of a command; its output is shown when it
# fails.
#	one_test "name" command ...
one_test() {
	local name=$1 start log=$WORK/one_test.log
	shift
	start=$(now_ms)
	if "$@" </dev/null >"$log" 2>&1; then
		count 1 0
		say "  ok      $name ($(seconds_since "$start"))"
	else
		count 0 1
		say "  FAILED  $name ($(seconds_since "$start"))"
		tail -n 40 "$log" | sed 's/^/    /'
	fi
}

# Run a command that prints lines "N passed, N failed", and count those.  Lines
# that begin with SKIP name what could not be tested.  All output is shown when
# anything failed.
#	counted_tests "name" command ...
counted_tests() {
	local name=$1 start status=0 log=$WORK/counted.log passed failed skipped
	shift
	start=$(now_ms)
	"$@" </dev/null >"$log" 2>&1 || status=$?
	read -r passed failed < <(awk '/^[0-9]+ passed, [0-9]+ failed$/ { p += $1; f += $3 }
		END { print p + 0, f + 0 }' "$log")
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
		failed=1
	fi
	skipped=$(grep -c '^SKIP ' "$log" || true)
	count "$passed" "$failed" "$skipped"
	if [ "$failed" != 0 ]; then
		say "  FAILED  $name: $passed passed, $failed failed ($(seconds_since "$start"))"
		tail -n 60 "$log" | sed 's/^/    /'
	else
		say "  ok      $name: $passed passed ($(seconds_since "$start"))"
		sed -n 's/^SKIP /  skipped /p' "$log"
	fi
}

# Count a test that cannot run here, and say why.
skip() {
	count 0 0 1
	say "  skipped $1: $2"
}

# git in the repository, also where root runs the check in a user's clone.
repo_git() {
	git -c safe.directory='*' -C "$REPO" "$@"
}

# Copy the source, without anything built, to a folder.
copy_source() {
	mkdir -p "$1"
	if repo_git rev-parse --git-dir >/dev/null 2>&1; then
		repo_git ls-files -z -co --exclude-standard |
			while IFS= read -r -d '' file; do
				# a file that was removed but is still in git's index
				[ -e "$REPO/$file" ] && printf '%s\0' "$file"
			done | tar -C "$REPO" --null -T - -cf - | tar -C "$1" -xf -
	else
		tar -C "$REPO" --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
			--exclude=build --exclude=.git -cf - . | tar -C "$1" -xf -
	fi
}

# shellcheck disable=SC2317 # called through one_test
# Build a copy of the source with further arguments to make, warnings being
# errors, and remove the copy.
build_copy() {
	local dir=$WORK/copy status=0
	rm -rf "$dir"
	copy_source "$dir"
	make --no-print-directory -s -j "$JOBS" -C "$dir" PG_CONFIG="$PG_CONFIG" \
		WERROR=1 NVCC= "$@" all || status=$?
	rm -rf "$dir"
	return "$status"
}

# ---------------------------------------------------------------------------
# The kinds of test
# ---------------------------------------------------------------------------

# The compilers, each with warnings as errors.
check_build() {
	local clang

	one_test "gcc without bitcode" build_copy CC=gcc with_llvm=no
	clang=$(find_clang)
	if [ -n "$clang" ]; then
		# the server's flags and headers are set for gcc; clang does not know all
		one_test "clang with bitcode" build_copy CC="$clang" CLANG="$clang" \
			OPTFLAGS="-Wno-unknown-warning-option \
				-Wno-ignored-optimization-argument -Wno-ignored-attributes"
	else
		skip "clang" "not here"
	fi
}

# The unit tests, plain and under the address and undefined-behaviour
# sanitizers.
check_unit() {
	[ -e "$REPO/test/unit/Makefile" ] || return 0
	counted_tests "unit" make --no-print-directory -s -j "$JOBS" -C "$REPO/test/unit"
	counted_tests "unit, sanitized" make --no-print-directory -s -j "$JOBS" -C "$REPO/test/unit" \
		BUILD="$WORK/sanitized" SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all"
}

# What fuzzing found once, and its seeds.
check_fuzz() {
	[ -e "$REPO/test/fuzz/Makefile" ] || return 0
	counted_tests "corpus" make --no-print-directory -s -j "$JOBS" -C "$REPO/test/fuzz" \
		PG_CONFIG="$PG_CONFIG" replay
}

# pg_regress with the options and tests of the Makefile.
check_regress() {
	local tests options status=0 log=$WORK/regress.log out=$WORK/regress passed failed

	# shellcheck disable=SC2016 # for make to expand
	tests=$(run_make -s --eval='tests: ; @echo $(REGRESS)' tests)
	# shellcheck disable=SC2016
	options=$(run_make -s --eval='options: ; @echo $(REGRESS_OPTS)' options)
	[ -n "$tests" ] || return 0
	mkdir -p "$out"
	(
		cd "$out"
		# shellcheck disable=SC2086 # words, as make would pass them
		"$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress" \
			--inputdir="$REPO" --outputdir="$out" --host="$PGHOST" --user="$PGUSER" \
			$options $tests
	) </dev/null >"$log" 2>&1 || status=$?

	# "test name ... ok" up to PostgreSQL 15, TAP from 16
	passed=$(grep -cE '^(test .*\.\.\. ok|ok [0-9])|^ +[^ ]+ +\.\.\. ok' "$log" || true)
	failed=$(grep -cE '\.\.\. FAILED|^not ok' "$log" || true)
	if [ $status != 0 ] && [ "$failed" = 0 ]; then
		failed=1
	fi
	count "$passed" "$failed"
	if [ "$failed" != 0 ]; then
		{ grep -E 'FAILED|^not ok' "$log" || tail -n 20 "$log"; } | sed 's/^/    /'
		if [ -s "$out/regression.diffs" ]; then
			head -n 200 "$out/regression.diffs" | sed 's/^/    /'
		fi
	fi
}

# TAP tests, as the user who may run servers, on a copy that user can read.
check_tap() {
	local pgxs file name start status log=$WORK/tap.log ok not_ok
	compgen -G "$REPO/test/t/*.pl" >/dev/null || return 0

	pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")
	mkdir -p "$WORK/tap/t" "$WORK/tap/tmp" "$WORK/tap/tmp_check/log"
	cp -R "$REPO/test/t/." "$WORK/tap/t"
	cp -R "$REPO/test/shop" "$WORK/tap"
	[ "$(id -u)" != 0 ] || chown -R "$RUN_AS" "$WORK/tap"
	for file in "$WORK"/tap/t/*.pl; do
		name=$(basename "$file" .pl)
		start=$(now_ms)
		status=0
		as_user env -u PGHOST -u PGUSER -u PGDATABASE \
			PATH="$BINDIR:$PATH" PERL5LIB="$pgxs/../test/perl:$WORK/tap/t/lib" \
			PG_REGRESS="$pgxs/../test/regress/pg_regress" PG_CONFIG="$PG_CONFIG" \
			TMPDIR="$WORK/tap/tmp" PGPORT=65432 TESTDIR="$WORK/tap" TESTDATADIR="$WORK/tap/tmp_check/$name" \
			TESTLOGDIR="$WORK/tap/tmp_check/log" PG_TEST_TIMEOUT_DEFAULT=60 \
			prove --verbose "$file" </dev/null >"$log" 2>&1 || status=$?
		ok=$(grep -cE '^ok [0-9]' "$log" || true)
		not_ok=$(grep -E '^not ok [0-9]' "$log" | grep -vc '# TODO' || true)
		if [ $status != 0 ] && [ "$not_ok" = 0 ]; then
			not_ok=1
		fi
		count "$ok" "$not_ok"
		if [ "$not_ok" = 0 ]; then
			say "  ok      $name: $ok passed ($(seconds_since "$start"))"
		else
			say "  FAILED  $name: $ok passed, $not_ok failed ($(seconds_since "$start"))"
			grep -vE '^ok [0-9]' "$log" | tail -n 40 | sed 's/^/    /'
			tail -n 20 "$WORK/tap/tmp_check/log/regress_log_$name" 2>/dev/null |
				sed 's/^/    | /' || true
		fi
	done
}

# Every SQL block of the documentation, in a fresh database for each file.
check_doc() {
	local file files=()

	for file in "$REPO/README.md" "$REPO"/doc/*.md; do
		[ -e "$file" ] && files+=("$file")
	done
	[ ${#files[@]} -gt 0 ] || return 0
	counted_tests "SQL blocks" perl "$REPO/test/doc/run.pl" "$REPO" "${files[@]}"
}

# The rules of this repository.
check_rules() {
	counted_tests "rules" bash "$REPO/test/rules.sh"
	if [ -n "$TREE_BEFORE" ]; then
		one_test "nothing left in the tree" diff <(printf '%s\n' "$TREE_BEFORE") <(tree_state)
	fi
}

# What git says of the tree: nothing where this is no checkout.
tree_state() {
	if repo_git rev-parse --git-dir >/dev/null 2>&1; then
		repo_git status --porcelain --untracked-files=all
		echo "end of the list"
	fi
}

# Run one kind and print its result.
run_kind() {
	local kind=$1 start
	PASSED=0
	FAILED=0
	SKIPPED=0
	start=$(now_ms)
	say ""
	say "== $kind"
	case $kind in
		build) check_build ;;
		unit) check_unit ;;
		fuzz) check_fuzz ;;
		regress) check_regress ;;
		tap) check_tap ;;
		doc) check_doc ;;
		rules) check_rules ;;
	esac
	say "$kind: $PASSED passed, $FAILED failed, $SKIPPED skipped in $(seconds_since "$start")"
	TOTAL_PASSED=$((TOTAL_PASSED + PASSED))
	TOTAL_FAILED=$((TOTAL_FAILED + FAILED))
	TOTAL_SKIPPED=$((TOTAL_SKIPPED + SKIPPED))
}

# Print the closing lines and end with the right status.
finish() {
	say ""
	say "checked in $(seconds_since "$BEGUN"), $TOTAL_SKIPPED skipped"
	say "$TOTAL_PASSED passed, $TOTAL_FAILED failed"
	exit $((TOTAL_FAILED > 0))
}

# Everything.
main() {
	local kind kinds=("$@")

	BEGUN=$(now_ms)
	[ ${#kinds[@]} -gt 0 ] || kinds=("${ALL_KINDS[@]}")
	for kind in "${kinds[@]}"; do
		[[ " ${ALL_KINDS[*]} " == *" $kind "* ]] ||
			die "no such kind of test: $kind (there are: ${ALL_KINDS[*]})"
	done

	begin
	need check
	TREE_BEFORE=$(tree_state)
	say "== set-up"
	[ -n "$DATA" ] || say "$NO_DATA: tests on real data are skipped"
	if ! build_and_install WERROR=1; then
		TOTAL_FAILED=1
		finish
	fi
	start_server
	for kind in "${kinds[@]}"; do
		run_kind "$kind"
	done
	finish
}

main "$@"
