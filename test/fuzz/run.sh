#!/bin/bash
#
# run.sh
#	Fuzzes the model container, k-means and click models for a while.
#
#	bash test/fuzz/run.sh [seconds]		600 unless told otherwise
#
# Needs clang with libFuzzer (Debian: libclang-rt-*-dev).  Starts from corpus/;
# what it discovers goes to build/corpus and serves the next run.  Inputs that
# fail are left in build/findings: put them into corpus/ as found_NAME.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
SECONDS_TO_RUN=${1:-600}

make --no-print-directory -s fuzzer
mkdir -p build/corpus build/findings
build/fuzz_model -max_total_time="$SECONDS_TO_RUN" -max_len=8192 -timeout=5 \
	-rss_limit_mb=1024 -malloc_limit_mb=300 -use_value_profile=1 -print_final_stats=1 \
	-artifact_prefix=build/findings/ build/corpus corpus
