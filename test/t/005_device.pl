# Device libraries: missing, broken, of another version; their threads, and
# what has none.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use File::Copy;
use PostgreSQL::Test::Utils;
use PrecmktTest;
use Test::More;

my $node = new_server('device', conf => "shared_preload_libraries = 'precmkt'\n");
my ($libdir) = `pg_config --pkglibdir` =~ /(.+)/;
my $suffix = -e "$libdir/precmkt.dylib" ? '.dylib' : '.so';

value($node, q{
	CREATE TABLE points AS SELECT i % 97::int AS x, i % 89 AS y FROM generate_series(1, 20000) AS i;
	CREATE TABLE m AS SELECT pm_kmeans('points', k => 5) AS model;
	SELECT pm_model_save('five', model) FROM m});

# --- threads --------------------------------------------------------------

# Threads of a process and, for each but the first, the signals it blocks.
sub threads
{
	my ($pid) = @_;
	my @blocked;

	foreach my $task (glob("/proc/$pid/task/*"))
	{
		next if $task =~ m{/$pid$};
		# a thread may end between the glob and here
		open(my $status, '<', "$task/status") or next;
		my $lines = join('', <$status>) // '';
		# of one that is ending the kernel shows no signals any more, not even
		# those that the process catches
		next unless $lines =~ /^SigCgt:\s+0*[1-9a-f]/m;
		push @blocked, $1 if $lines =~ /^SigBlk:\s+([0-9a-f]+)/m;
	}
	return @blocked;
}

SKIP:
{
	skip 'no /proc here', 8 unless -e "/proc/$$/task";
	my $session = new_session($node);
	my $pid = $session->{backend};

	my $mask = qr/^SigBlk:\s+([0-9a-f]+)/m;
	my ($before) = slurp_file("/proc/$pid/status") =~ $mask;

	is(scalar(threads($pid)), 0, 'a backend has no other thread before it trains');

	# threads live for a call of some milliseconds: look on during a long fit
	my @blocked;
	$session->query_safe('SET precmkt.threads = 2');
	$session->query_until(qr/started/, "\\echo started\n"
		  . q{SELECT length(pm_kmeans('points', k => 50, options => '{"tol": 0, "init": "random", "n_init": 1000}'));}
		  . "\n");
	for (my $tries = 0; $tries < 20000 && @blocked < 20; $tries++)
	{
		push @blocked, threads($pid);
	}
	value($node, "SELECT pg_cancel_backend($pid)");
	session_state($session, 'SELECT 1');

	# what can be blocked is all but KILL, STOP and those that libc keeps
	my @open = grep { !/^fffffff[c-f][37bf]ffbfeff$/ } @blocked;
  SKIP:
	{
		skip 'one CPU only', 1 if $session->query_safe(
			'SELECT threads FROM pm_device_info() WHERE selected') < 2;
		cmp_ok(scalar(@blocked), '>', 0, 'training with two threads starts one');
	}
	is(scalar(threads($pid)), 0, 'and none is left after it');
	is(join(' ', @open), '', 'every thread but the first has all signals blocked');

	# where the system refuses threads, the backend's own does all the work
	my $fit = q{SELECT value FROM pm_model_info(pm_kmeans('points', k => 20)) WHERE key = 'id'};
	my $id = $session->query_safe($fit);
  SKIP:
	{
		skip 'no prlimit here', 1
		  if system("prlimit --pid $pid --nproc=1 2>/dev/null") != 0;
		is($session->query_safe($fit), $id, 'without a second thread the same model comes out');
	}

	my ($after) = slurp_file("/proc/$pid/status") =~ $mask;
	is($after, $before, 'the backend itself blocks what it did before');

	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	is(scalar(threads($postmaster)), 0, 'the postmaster, with precmkt preloaded, has one thread');
	my $maps = slurp_file("/proc/$postmaster/maps");
	ok($maps =~ /precmkt\Q$suffix/ && $maps !~ /precmkt_|openblas/,
		'and no device library');
	$session->quit;
}

# --- parallel workers -----------------------------------------------------

my $parallel = q{
	SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
	SET max_parallel_workers_per_gather = 2; ALTER TABLE points SET (parallel_workers = 2)};
foreach my $model ('(SELECT model FROM m)', q{'five'})
{
	my $sql = "SELECT sum(hashint4(pm_kmeans_assign($model, points))::bigint), count(*) FROM points";
	my $explained = value($node, "$parallel; EXPLAIN (ANALYZE, COSTS OFF) $sql");

	like($explained, qr/Workers Launched: [1-9]/, "parallel workers score by $model");
	is_value($node, "$parallel; $sql",
		value($node, "SET max_parallel_workers_per_gather = 0; $sql"),
		'as the leader alone does');
}

# --- what is missing ------------------------------------------------------

SKIP:
{
	skip 'there is a CUDA device', 1
	  if value($node, q{SELECT available FROM pm_device_info() WHERE device = 'cuda'}) eq 't';
	fails_with($node, q{SET precmkt.device = 'cuda'; SELECT pm_kmeans('points', k => 2)},
		'55000', 'without a GPU the error says what is missing',
		like => qr/^device "cuda" is not available.*DETAIL:.*precmkt_cuda.*HINT:.*nvcc/s);
}
is_value($node, q{SET precmkt.device = 'cuda'; SELECT count(pm_kmeans_assign(model, points)) FROM m, points},
	'20000', 'scoring needs no device');
fails_with($node, q{SET precmkt.device = 'gpu'}, '22023', 'a device that does not exist');
$node->stop;

# A copy of precmkt alone in a folder, its functions under other names, on a
# server that has not loaded it already.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->start;
my $alone = PostgreSQL::Test::Utils::tempdir();
my $companion = "$alone/precmkt_cpu$suffix";
copy("$libdir/precmkt$suffix", "$alone/precmkt$suffix") or die "cannot copy: $!";
value($node, qq{
	CREATE SCHEMA alone;
	CREATE FUNCTION alone.pm_kmeans(source regclass, features name[] DEFAULT NULL, k int DEFAULT NULL,
		options jsonb DEFAULT '{}') RETURNS bytea AS '$alone/precmkt', 'pm_kmeans' LANGUAGE C;
	CREATE FUNCTION alone.pm_kmeans_assign(bytea, record) RETURNS int
		AS '$alone/precmkt', 'pm_kmeans_assign' LANGUAGE C STRICT;
	CREATE FUNCTION alone.pm_device_info(OUT device text, OUT available boolean, OUT selected boolean, OUT model text,
		OUT features text, OUT units int, OUT memory_bytes bigint, OUT threads int, OUT reason text)
		RETURNS SETOF record AS '$alone/precmkt', 'pm_device_info' LANGUAGE C});
my $train = q{SELECT length(alone.pm_kmeans('points', k => 2))};

# One test: the library beside precmkt is refused for this reason.
sub refused
{
	my ($reason, $name) = @_;
	fails_with($node, $train, '55000', "$name: training fails",
		like => qr/^device "cpu" is not available.*DETAIL:[^\n]*$reason.*HINT:.*make install/s);
	like(value($node, q{SELECT reason FROM alone.pm_device_info() WHERE device = 'cpu' AND NOT available}),
		qr/$reason/, "$name: pm_device_info() says why");
	is_value($node, q{SELECT count(alone.pm_kmeans_assign(model, points)) FROM m, points}, '20000',
		"$name: scoring works");
}

refused(qr/precmkt_cpu\Q$suffix\E" does not exist/, 'no library');

my $session = new_session($node);
my ($first) = session_state($session, $train);
copy("$libdir/precmkt_cpu$suffix", $companion) or die "cannot copy: $!";
my ($second) = session_state($session, $train);
is("$first $second", '55000 55000', 'a session remembers the failure');
$session->quit;
cmp_ok(value($node, $train), '>', 0, 'a new one finds the library');
unlink $companion;

append_to_file($companion, "no library\n");
refused(qr/invalid ELF header|file too short|not a mach-o/, 'bytes that are no library');
unlink $companion;

copy("$libdir/plpgsql$suffix", $companion) or die "cannot copy: $!";
refused(qr/is not a device library: it has no pm_device_open/, 'another library');
unlink $companion;

SKIP:
{
	my $source = "$alone/old.c";

	append_to_file($source, q{
		#include <stddef.h>
		__attribute__((visibility("default"))) int
		pm_device_open(unsigned int *device, char *message, size_t size)
		{
			device[0] = 99;
			device[1] = 8;
			return 0;
		}});
	skip 'no C compiler', 3 if system("cc -shared -fPIC -o $companion $source 2>/dev/null") != 0;
	refused(qr/was built for device interface 99 \(8 bytes\), this is \d+ \(\d+ bytes\)/,
		'a library of another version');
	unlink $companion;
}
SKIP:
{
	my $source = "$alone/failing.c";

	append_to_file($source, q{
		#include <stdio.h>
		__attribute__((visibility("default"))) int
		pm_device_open(void *device, char *message, size_t size)
		{
			snprintf(message, size, "the CPU is out of order");
			return 8;
		}});
	skip 'no C compiler', 3 if system("cc -shared -fPIC -o $companion $source 2>/dev/null") != 0;
	refused(qr/the CPU is out of order/, 'a library that cannot open');
	unlink $companion;
}

$node->stop;
done_testing();
