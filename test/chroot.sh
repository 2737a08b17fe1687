#!/bin/bash
#
# chroot.sh
#	Tries check.sh and demo.sh as a new user would: in an empty Debian with
#	nothing but git, made by debootstrap and removed afterwards.  For root.
#
#	bash test/chroot.sh [option ...] [demo.sh|check.sh [argument ...]]
#
#	--suite NAME	bookworm (the default), trixie, sid, ...
#	--tree		the working tree as it is, not the last commit
#	--data		with the real data, where this machine has it
#	--user		as a user with sudo, not as root
#	--base FILE	keep the bare system in this tar file, or take it from there
#
#	Without a script both run, the demo first.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SUITE=bookworm
TREE=
DATA=
AS_USER=
BASE=
SYSTEM=

# Print a line for the person who started the script.
say() {
	printf '%s\n' "$*"
}

# Print why the script cannot go on, and end it.
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# Remove the system.  Its mounts live in a namespace of their own, gone by now.
clean_up() {
	local status=$?
	trap - EXIT
	[ -z "$SYSTEM" ] || rm -rf --one-file-system "$SYSTEM"
	exit "$status"
}

# The mirror this machine takes its Debian packages from.
mirror() {
	apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 'Created-By: Packages' |
		awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
}

# The mirror of security updates, if there is one.
security_mirror() {
	apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 'Created-By: Packages' |
		awk '$2 == "Debian" && $3 == "Debian-Security" { print $1; exit }'
}

# Make the bare system: the essential packages, apt's settings of this
# machine, git.
make_system() {
	local site security extra=git,ca-certificates

	if [ -n "$BASE" ] && [ -e "$BASE" ]; then
		tar -C "$SYSTEM" -xpf "$BASE"
		return
	fi
	site=$(mirror)
	security=$(security_mirror)
	[ -z "$AS_USER" ] || extra+=,sudo
	debootstrap --variant=minbase --include="$extra" "$SUITE" "$SYSTEM" ${site:+"$site"} \
		>"$SYSTEM.log" 2>&1 || {
		tail -n 20 "$SYSTEM.log" >&2
		rm -f "$SYSTEM.log"
		die "debootstrap failed"
	}
	rm -f "$SYSTEM.log"
	if [ -n "$site" ]; then
		{
			echo "deb $site $SUITE main"
			if [ "$SUITE" != sid ]; then
				echo "deb $site $SUITE-updates main"
				[ -z "$security" ] || echo "deb $security $SUITE-security main"
			fi
		} >"$SYSTEM/etc/apt/sources.list"
	fi
	apt-config dump Acquire | grep -E '^Acquire::(http|https|Check|Retries)' \
		>"$SYSTEM/etc/apt/apt.conf.d/99host" || true
	echo "127.0.0.1 localhost $(hostname)" >"$SYSTEM/etc/hosts"
	[ -z "$BASE" ] || tar -C "$SYSTEM" -cpf "$BASE" .
}

# Put the repository where a user would clone it.
clone() {
	local home=$SYSTEM/root file

	if [ -n "$AS_USER" ]; then
		home=$SYSTEM/home/analyst
		chroot "$SYSTEM" useradd -m -s /bin/bash analyst
		echo 'analyst ALL=(ALL) NOPASSWD: ALL' >"$SYSTEM/etc/sudoers.d/analyst"
	fi
	CLONE=$home/src/precmkt
	mkdir -p "$home/src"
	if [ -n "$TREE" ]; then
		mkdir "$CLONE"
		git -C "$REPO" ls-files -z -co --exclude-standard |
			while IFS= read -r -d '' file; do
				if [ -e "$REPO/$file" ]; then
					printf '%s\0' "$file"
				fi
			done | tar -C "$REPO" --null -T - -cf - | tar -C "$CLONE" -xf -
		git -C "$CLONE" init -q
		git -C "$CLONE" add -A
		git -C "$CLONE" -c user.name=test -c user.email=test@localhost \
			commit -q -m "The working tree"
	else
		git clone -q --no-hardlinks "file://$REPO" "$CLONE"
	fi
	if [ -n "$DATA" ]; then
		mkdir -p "$home/src/shared/data"
		cp "${PRECMKT_DATA:-$REPO/../shared/data}"/*.* "$home/src/shared/data/"
	fi
	[ -z "$AS_USER" ] || chroot "$SYSTEM" sh -c 'chown -R analyst: ~analyst'
}

# What is on the system that a run may not change: files in temporary and
# home folders, servers of Debian's, apt's settings.  Packages make a few
# folders of their own.
traces() {
	(
		cd "$SYSTEM"
		find tmp var/tmp run/postgresql etc/postgresql home root \
			-not -path '*/src/precmkt/*' -not -path '*/.git/*' 2>/dev/null || true
		find etc/apt etc/postgresql-common -type f -newer "$SYSTEM/started" \
			-name '*precmkt*' 2>/dev/null || true
	) | grep -vE '^(run/postgresql|etc/postgresql|root/\.ssh|tmp/\.[A-Za-z0-9]+-unix)$' | sort
}

# Run one of the scripts in the system, with processes and mounts of its own.
run_script() {
	local start before status=0 command

	start=$(date +%s)
	touch "$SYSTEM/started"
	before=$(traces)
	command="cd ~/src/precmkt && bash test/$* </dev/null"
	if [ -n "$AS_USER" ]; then
		command="su - analyst -c $(printf '%q' "$command")"
	fi
	say ""
	say "=== $SUITE: bash test/$*"
	# the shell in the middle is process 1 of the namespace: it can see who is left
	unshare --mount --mount-proc --pid --fork --kill-child bash -c '
		system=$1
		mount -t proc proc "$system/proc"
		mount -t tmpfs -o size=2g tmpfs "$system/dev/shm" 2>/dev/null || true
		mount -t devpts devpts "$system/dev/pts" 2>/dev/null || true
		env -i HOME=/root TERM=dumb CI=true PATH=/usr/sbin:/usr/bin:/sbin:/bin \
			${http_proxy:+http_proxy="$http_proxy"} \
			chroot "$system" bash -c "$2"
		status=$?
		left=$(ps -e -o pid= -o args= | awk "\$1 != 1 && \$2 !~ /^(ps|awk|bash)\$/")
		if [ -n "$left" ]; then
			printf "still running:\n%s\n" "$left"
			status=99
		fi
		exit $status' bash "$SYSTEM" "$command" || status=$?
	if [ "$before" != "$(traces)" ]; then
		say "left behind:"
		diff <(printf '%s\n' "$before") <(traces) | grep '^[<>]' || true
		status=98
	fi
	if [ -n "$(git -c safe.directory='*' -C "$CLONE" status --porcelain)" ]; then
		say "the clone is not clean"
		status=97
	fi
	say "=== $SUITE: bash test/$* ended with status $status after $(($(date +%s) - start)) s"
	return $status
}

# Everything.
main() {
	local failed=0

	while [ $# -gt 0 ]; do
		case $1 in
			--suite) SUITE=$2 && shift ;;
			--tree) TREE=1 ;;
			--data) DATA=1 ;;
			--user) AS_USER=1 ;;
			--base) BASE=$2 && shift ;;
			-*) die "no such option: $1" ;;
			*) break ;;
		esac
		shift
	done
	[ "$(id -u)" = 0 ] || die "debootstrap and chroot need root"
	for program in debootstrap unshare git; do
		command -v "$program" >/dev/null || die "$program is missing here: apt-get install $program"
	done

	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	SYSTEM=$(mktemp -d /var/tmp/precmkt-system.XXXXXX)
	chmod 755 "$SYSTEM"
	make_system
	clone
	say "bare $SUITE ready"
	if [ $# -gt 0 ]; then
		run_script "$@" || failed=1
	else
		run_script demo.sh || failed=1
		run_script check.sh || failed=1
	fi
	exit $failed
}

main "$@"
