# shellcheck shell=bash
#
# setup.sh
#	Sourced by demo.sh and check.sh: finds or installs what precmkt needs,
#	builds and installs it, and runs a private server that leaves no trace.
#
# A script that sources this file calls, in this order
#
#	begin			traps and a temporary folder, removed at exit
#	need demo|check		what must be on this system; apt installs the rest
#	build_and_install	make and make install
#	start_server		initdb and pg_ctl; PGHOST and PGUSER lead to it
#
# and finds in
#
#	REPO		the repository
#	WORK		its temporary folder, which the server's user can enter
#	PG_CONFIG	the pg_config in use; set it beforehand to choose another
#	RUN_AS		the user that runs servers: never root
#	DATA		the folder of real data, or empty
#	NO_DATA		why DATA is empty

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORK=
RUN_AS=
SERVER_RUNNING=
MADE_CONF=
MADE_DIR=
PG_CONFIG=${PG_CONFIG:-}
JOBS=$(nproc 2>/dev/null || echo 2)
OLDEST_POSTGRES=14

# Print a line for the person who started the script.
say() {
	printf '%s\n' "$*"
}

# Print why the script cannot go on, and end it.
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# Milliseconds since the epoch.
now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# Print the seconds since a time that now_ms printed, as "1.2 s".
seconds_since() {
	local ms=$(($(now_ms) - $1))
	printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# ---------------------------------------------------------------------------
# Beginning and end
# ---------------------------------------------------------------------------

# Stop what runs, remove what was made.  Runs at every exit.
clean_up() {
	local status=$?
	trap - EXIT INT TERM HUP
	stop_server || true
	allow_clusters || true
	if [ -n "$WORK" ]; then
		rm -rf "$WORK"
	fi
	exit "$status"
}

# Set the traps, a neutral environment and the temporary folder.
begin() {
	local name

	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	# nothing of the caller's psql or git settings, one language of messages
	for name in $(compgen -e | grep '^PG' || true); do
		[ "$name" = PG_CONFIG ] || unset "$name"
	done
	unset LANGUAGE LC_MESSAGES MAKEFLAGS MFLAGS MAKELEVEL
	if locale -a 2>/dev/null | grep -qix 'C\.utf-\?8'; then
		export LC_ALL=C.UTF-8
	else
		export LC_ALL=C
	fi
	export PSQLRC=/dev/null PAGER=cat
	umask 022

	# a socket's path may have 107 bytes at most
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/precmkt.XXXXXX")
	if [ ${#WORK} -gt 60 ]; then
		rmdir "$WORK"
		WORK=$(mktemp -d /tmp/precmkt.XXXXXX)
	fi

	find_data
}

# Find the real data: $PRECMKT_DATA, or shared/data beside the repository.
find_data() {
	DATA=${PRECMKT_DATA:-$REPO/../shared/data}
	# shellcheck disable=SC2034 # for the scripts that source this
	NO_DATA=
	if [ -r "$DATA/online_retail.csv.xz" ]; then
		DATA=$(cd "$DATA" && pwd)
		export PRECMKT_DATA=$DATA
	else
		NO_DATA="no online_retail.csv.xz in ../shared/data or \$PRECMKT_DATA"
		DATA=
	fi
}

# ---------------------------------------------------------------------------
# What must be on this system
# ---------------------------------------------------------------------------

# True when a C program compiles and links with these flags.  Code on stdin.
compiles() {
	command -v "${CC:-cc}" >/dev/null &&
		"${CC:-cc}" -x c - -o "$WORK/compiles" "$@" >/dev/null 2>&1
}

# Print what a pg_config's installation lacks for building and running a
# server, one thing a line; nothing when it is complete.
postgres_lacks() {
	local config=$1 bindir program version

	if ! version=$("$config" --version 2>/dev/null); then
		echo "pg_config of PostgreSQL $OLDEST_POSTGRES or later"
		return
	fi
	version=${version#PostgreSQL }
	if [ "${version%%[!0-9]*}" -lt $OLDEST_POSTGRES ]; then
		echo "PostgreSQL $OLDEST_POSTGRES or later ($config is of $version)"
	fi
	bindir=$("$config" --bindir)
	for program in postgres initdb pg_ctl psql; do
		[ -x "$bindir/$program" ] || echo "$program of PostgreSQL ${version%% *} (in $bindir)"
	done
	[ -r "$("$config" --includedir-server)/postgres.h" ] ||
		echo "the server headers (postgres.h) of PostgreSQL ${version%% *}"
	[ -r "$("$config" --pgxs)" ] || echo "PGXS (pgxs.mk) of PostgreSQL ${version%% *}"
}

# Set PG_CONFIG to the first complete installation among the caller's choice
# alone, or pg_config of the PATH and then Debian's, newest first.
find_postgres() {
	local config candidates=("$PG_CONFIG")

	if [ -z "$PG_CONFIG" ]; then
		mapfile -t candidates < <(
			command -v pg_config || true
			ls -vr /usr/lib/postgresql/*/bin/pg_config 2>/dev/null || true)
	fi
	for config in "${candidates[@]}"; do
		if [ -z "$(postgres_lacks "$config")" ]; then
			PG_CONFIG=$(command -v "$config")
			return 0
		fi
	done
	return 1
}

# Print the major version of PostgreSQL to install: the caller's choice, that
# of a server that is there already, else the distribution's default.
debian_postgres_version() {
	local dir

	if [[ $PG_CONFIG =~ ^/usr/lib/postgresql/([0-9]+)/ ]]; then
		echo "${BASH_REMATCH[1]}"
		return
	fi
	for dir in $(ls -dvr /usr/lib/postgresql/*/ 2>/dev/null || true); do
		if [ -x "$dir/bin/postgres" ]; then
			basename "$dir"
			return
		fi
	done
	apt-cache depends postgresql 2>/dev/null |
		sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
}

# Print the clang that builds the second time: clang of the PATH, else the one
# that the server's bitcode is made with.
find_clang() {
	local clang

	if command -v clang; then
		return
	fi
	clang=$(sed -n 's/^CLANG[[:space:]]*=[[:space:]]*//p' \
		"$(dirname "$("$PG_CONFIG" --pgxs)")/../Makefile.global" 2>/dev/null) || true
	command -v "${clang:-clang}" || true
}

# Note that something is missing: its description, and Debian's package.
lack() {
	MISSING+=("$1")
	PACKAGES+=("$2")
}

# Fill MISSING and PACKAGES with what the job (demo or check) lacks.
find_missing() {
	local job=$1 version clang thing found=1

	MISSING=()
	PACKAGES=()

	command -v make >/dev/null || lack "make (GNU make)" make
	command -v "${CC:-cc}" >/dev/null || lack "cc (a C compiler, gcc or clang)" gcc
	compiles <<<'#include <stdlib.h>
int main(void) { return abs(0); }' ||
		lack "the C library's headers" libc6-dev
	compiles -lopenblas <<<'void sgemm_(void);
int main(int argc, char **argv) { (void) argv; if (argc > 9) sgemm_(); return 0; }' ||
		lack "OpenBLAS (libopenblas.so)" libopenblas-dev

	if ! find_postgres; then
		found=
		version=$(debian_postgres_version)
		while IFS= read -r thing; do
			case $thing in
				*headers* | PGXS* | pg_config*)
					lack "$thing" "postgresql-server-dev-$version" ;;
				*) lack "$thing" "postgresql-$version" ;;
			esac
		done < <(postgres_lacks "${PG_CONFIG:-pg_config}")
		if [ ! -x "/usr/lib/postgresql/$version/bin/postgres" ]; then
			lack "the PostgreSQL server" "postgresql-$version"
		fi
	fi

	if [ -n "$DATA" ]; then
		command -v xz >/dev/null || lack "xz" xz-utils
	fi

	if [ "$job" = check ]; then
		command -v prove >/dev/null || lack "prove (Perl's Test::Harness)" perl
		perl -MIPC::Run -MTest::More -e 1 2>/dev/null || lack "Perl's IPC::Run" libipc-run-perl
		if [ -n "$found" ]; then
			clang=$(find_clang)
			if [ -z "$clang" ]; then
				lack "clang" clang
			fi
		fi
	fi
}

# Become root for one command.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Debian's server package makes and starts a server of its own unless told
# otherwise.  Tell it, until allow_clusters takes that back.
forbid_clusters() {
	local dir=/etc/postgresql-common/createcluster.d

	if [ ! -d "$dir" ]; then
		MADE_DIR=$dir
		as_root mkdir -p "$dir"
	fi
	MADE_CONF=$dir/zz-precmkt.conf
	echo 'create_main_cluster = false' | as_root tee "$MADE_CONF" >/dev/null
}

# Take back what forbid_clusters wrote.
allow_clusters() {
	if [ -n "$MADE_CONF" ]; then
		as_root rm -f "$MADE_CONF"
		MADE_CONF=
	fi
	if [ -n "$MADE_DIR" ]; then
		as_root rmdir "$MADE_DIR" 2>/dev/null || true
		MADE_DIR=
	fi
}

# Install Debian packages and say so.  The package lists are refreshed when
# they do not know a package or the installation fails.
apt_install() {
	local start package known=1
	local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2)

	start=$(now_ms)
	say "apt installs: $*"

	for package in "$@"; do
		apt-cache show "$package" >/dev/null 2>&1 || known=
	done
	forbid_clusters
	if [ -z "$known" ] || ! as_root "${get[@]}" install --no-install-recommends "$@" \
		</dev/null >"$WORK/apt.log" 2>&1; then
		if ! {
			as_root "${get[@]}" update </dev/null &&
				as_root "${get[@]}" install --no-install-recommends "$@" </dev/null
		} >>"$WORK/apt.log" 2>&1; then
			tail -n 30 "$WORK/apt.log" >&2
			die "apt-get could not install: $*"
		fi
	fi
	allow_clusters
	say "apt installed them in $(seconds_since "$start")"
}

# True on Debian and its like, with the right to install packages.
can_install() {
	command -v apt-get >/dev/null && [ -e /etc/debian_version ] &&
		{ [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }
}

# Make sure that everything the job (demo or check) needs is here.
need() {
	local job=$1 packages round

	[ -z "$PG_CONFIG" ] || command -v "$PG_CONFIG" >/dev/null ||
		die "PG_CONFIG=$PG_CONFIG: there is no such program"

	# a second round finds what depends on the first
	for round in 1 2 3; do
		find_missing "$job"
		[ ${#MISSING[@]} -gt 0 ] || break
		if ! can_install || [ "$round" = 3 ]; then
			say "precmkt needs these things, which are missing here:" >&2
			printf '  %s\n' "${MISSING[@]}" >&2
			if command -v apt-get >/dev/null; then
				say "As root: apt-get install$(printf '%s\n' "${PACKAGES[@]}" |
					sort -u | sed 's/^/ /' | tr -d '\n')" >&2
			fi
			exit 1
		fi
		if printf '%s\n' "${PACKAGES[@]}" | grep -q -- '-$'; then
			# no package list yet, so no default version of PostgreSQL
			as_root apt-get -qq update </dev/null >"$WORK/apt.log" 2>&1 || true
			find_missing "$job"
		fi
		mapfile -t packages < <(printf '%s\n' "${PACKAGES[@]}" | sort -u)
		apt_install "${packages[@]}"
		hash -r
	done

	export PG_CONFIG
	BINDIR=$("$PG_CONFIG" --bindir)
	choose_user
}

# ---------------------------------------------------------------------------
# Building
# ---------------------------------------------------------------------------

# Run make in the repository with further arguments.
run_make() {
	make --no-print-directory -C "$REPO" PG_CONFIG="$PG_CONFIG" "$@"
}

# Build and install into the server's folders; further arguments go to make.
build_and_install() {
	local start libdir extdir install

	start=$(now_ms)
	if ! run_make -j "$JOBS" "$@" all </dev/null >"$WORK/build.log" 2>&1; then
		grep -E -A 3 ': (fatal )?(error|warning|undefined reference)|\*\*\*|cannot find' \
			"$WORK/build.log" | head -n 40 >&2 || true
		say "make failed" >&2
		return 1
	fi
	libdir=$("$PG_CONFIG" --pkglibdir)
	extdir=$("$PG_CONFIG" --sharedir)/extension
	install=(make --no-print-directory -C "$REPO" PG_CONFIG="$PG_CONFIG" "$@" install)
	if [ ! -w "$libdir" ] || [ ! -w "$extdir" ]; then
		command -v sudo >/dev/null || die "no right to write to $libdir, and no sudo"
		install=(sudo "${install[@]}")
	fi
	if ! "${install[@]}" </dev/null >"$WORK/install.log" 2>&1; then
		tail -n 20 "$WORK/install.log" >&2
		say "make install failed" >&2
		return 1
	fi
	say "built and installed for $("$PG_CONFIG" --version) in $(seconds_since "$start")"
}

# ---------------------------------------------------------------------------
# A private server
# ---------------------------------------------------------------------------

# Set RUN_AS, and give that user the temporary folder.
choose_user() {
	local name

	if [ "$(id -u)" != 0 ]; then
		RUN_AS=$(id -un)
		return
	fi
	for name in postgres nobody; do
		if id "$name" >/dev/null 2>&1; then
			RUN_AS=$name
			break
		fi
	done
	[ -n "$RUN_AS" ] || die "PostgreSQL does not run as root, and there is no user postgres or nobody"
	chown "$RUN_AS" "$WORK"
	if ! as_user test -w "$WORK"; then
		# $TMPDIR is for root alone
		rm -rf "$WORK"
		WORK=$(mktemp -d /tmp/precmkt.XXXXXX)
		chown "$RUN_AS" "$WORK"
	fi
}

# Run a command as RUN_AS, in the temporary folder: that user need not be
# able to read the repository.
as_user() (
	cd "$WORK"
	export HOME=$WORK
	if [ "$(id -u)" != 0 ]; then
		exec "$@"
	elif command -v runuser >/dev/null; then
		exec runuser -u "$RUN_AS" -- "$@"
	else
		exec su -s /bin/bash "$RUN_AS" -c "$(printf '%q ' "$@")"
	fi
)

# Start a server in WORK that listens on a socket there and nowhere else.
start_server() {
	local data=$WORK/data

	as_user mkdir -m 700 "$WORK/socket"
	as_user "$BINDIR/initdb" -D "$data" -U postgres -A trust -E UTF8 --no-locale --no-sync \
		>"$WORK/initdb.log" 2>&1 || {
		cat "$WORK/initdb.log" >&2
		die "initdb failed"
	}
	as_user tee -a "$data/postgresql.conf" >/dev/null <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$WORK/socket'
		fsync = off
		full_page_writes = off
		synchronous_commit = off
		shared_buffers = 256MB
		max_wal_size = 4GB
		max_connections = 60
		timezone = 'UTC'
		log_timezone = 'UTC'
	CONF
	SERVER_RUNNING=1
	as_user "$BINDIR/pg_ctl" -D "$data" -l "$WORK/server.log" -w -t 60 start \
		</dev/null >"$WORK/pg_ctl.log" 2>&1 || {
		cat "$WORK/pg_ctl.log" "$WORK/server.log" >&2
		die "the server did not start"
	}
	export PGHOST=$WORK/socket PGUSER=postgres PGDATABASE=postgres
	export PATH=$BINDIR:$PATH
}

# Stop the server, if it runs.
stop_server() {
	if [ -n "$SERVER_RUNNING" ]; then
		SERVER_RUNNING=
		as_user "$BINDIR/pg_ctl" -D "$WORK/data" -m immediate -w -t 60 stop >/dev/null 2>&1
	fi
}

# psql without settings of its own, that stops at the first error.
run_psql() {
	"$BINDIR/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}
