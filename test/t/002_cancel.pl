# A run that is cancelled stops at once, gives its memory back and leaves a
# session that works: while it loads, sorts, encodes, seeds, fits, scores.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use List::Util qw(max);
use PrecmktTest;
use Test::More;
use Time::HiRes qw(sleep time);

# What a user may wait for, with room for a slow machine that does other
# things too; the slowest one seen is printed.
my $limit = 1.0;

my $node = new_server('cancel');
my $columns = join(', ', map { "random()::real AS c$_" } 1 .. 32);
# many runs from new starts, so that none of it is over before it is cancelled
my $fit = q({"tol": 0, "max_iter": 100000, "n_init": 500});

value($node, qq{
	SELECT setseed(0.5);
	CREATE TABLE wide AS SELECT $columns FROM generate_series(1, 100000);
	CREATE TABLE mixed AS SELECT i::float8 AS n, 'c' || i % 90 AS c,
		now() - i * interval '1 minute' AS t, ARRAY['a' || i % 50, 'b' || i % 30] AS s
		FROM generate_series(1, 300000) AS i;
	CREATE TABLE small AS SELECT i % 7 AS a, i % 5 AS b FROM generate_series(1, 300) AS i;
	CREATE VIEW slow AS SELECT i::float8 AS a, pg_sleep(0.01) IS NOT NULL AS b FROM generate_series(1, 100000) AS i;
	CREATE VIEW endless AS SELECT i::float8 AS a, i % 10 AS b
		FROM (SELECT generate_series(1, 1000000000) AS i) AS s});

my $session = new_session($node);
my $other = new_session($node);
my $pid = $session->{backend};

# Bytes of the session's memory contexts, and how many of them are ours.
my $contexts = q{SELECT sum(total_bytes), count(*) FILTER (WHERE name LIKE 'precmkt%')
	FROM pg_backend_memory_contexts};

# Memory of the process that is no file's, in kB: what a library took too.
sub anonymous
{
	open(my $status, '<', "/proc/$pid/status") or return 0;
	my ($kb) = join('', <$status>) =~ /^RssAnon:\s+(\d+)/m;
	return $kb // 0;
}

# One run of everything, so that what a session keeps is there.
$session->query("SELECT length(pm_kmeans('small', k => 3))");
$session->query("SELECT length(pm_kmeans('wide', k => 3, options => '{\"max_iter\": 2}'))");
my ($bytes, $ours) = split /\|/, $session->query_safe($contexts);
my $resident = anonymous();
is($ours, 0, 'no memory of ours is left after a run');

# Start SQL, cancel it after a while: seconds until the session is free, and
# the error.
sub cancel_after
{
	my ($sql, $after) = @_;

	$session->query_until(qr/started/, "\\echo started\n$sql;\n");
	sleep($after);
	my $begin = time;
	$other->query_safe("SELECT pg_cancel_backend($pid)");
	$session->query('SELECT 1');
	my $seconds = time - $begin;
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return ($seconds, $error);
}

# One phase, cancelled at several times.
sub is_cancelled
{
	my ($name, $sql, @after) = @_;
	my @seconds;
	my $cancelled = 0;

	foreach my $after (@after)
	{
		my ($seconds, $error) = cancel_after($sql, $after);
		push @seconds, $seconds;
		$cancelled++ if $error =~ /57014: canceling statement due to user request/;
	}
	is($cancelled, scalar(@after), "cancelled: $name");
	cmp_ok(max(@seconds), '<', $limit, "quickly: $name");
	diag(sprintf("cancelled after %s ms: %s",
			join(', ', map { sprintf('%.0f', 1000 * $_) } @seconds), $name));

	my ($now, $left) = split /\|/, $session->query_safe($contexts);
	is($left, 0, "nothing of ours is left: $name");
	cmp_ok($now - $bytes, '<', 1024 * 1024, "memory is given back: $name");
	is($session->query_safe("SELECT length(pm_kmeans('small', k => 2)) > 0"), 't',
		"the session works on: $name");
}

is_cancelled('load, slow rows', "SELECT pm_kmeans('slow', k => 3)", 0.3, 0.1);
is_cancelled('load, fast rows', "SELECT pm_kmeans('endless', k => 3)", 0.1, 0.5, 1);
is_cancelled('load, sort and encode', "SELECT pm_kmeans('mixed', k => 50, options => '$fit')",
	map { 0.1 * $_ } 1 .. 12);
is_cancelled('aggregate, slow rows', "SELECT pm_kmeans_agg(slow) FROM slow", 0.3);
is_cancelled('aggregate, fast rows', "SELECT pm_kmeans_agg(endless, '{\"k\": 3}') FROM endless", 0.5);
is_cancelled('fit', "SELECT pm_kmeans('wide', k => 200, options => '$fit')", 0.2, 0.5, 1, 2);
is_cancelled('fit, one thread',
	"SET precmkt.threads = 1; SELECT pm_kmeans('wide', k => 200, options => '$fit')", 0.6, 1.3);
$session->query_safe('RESET precmkt.threads');
is_cancelled('fit with k-means||',
	"SELECT pm_kmeans('wide', k => 500, options => '{\"init\": \"kmeans||\", \"n_init\": 500, \"tol\": 0}')", 0.4, 0.8, 1.2);
is_cancelled('fit in an aggregate', "SELECT pm_kmeans_agg(wide, '{\"k\": 200, \"tol\": 0, \"n_init\": 500}') FROM wide", 1);
is_cancelled('sweep', "SELECT pm_kmeans_sweep('wide', k_max => 100, options => '{\"n_init\": 500}')", 0.5, 1.5);
is_cancelled('segment', "SELECT pm_segment('wide', 'c1', NULL, 200, '$fit')", 0.7);
is_cancelled('segment, in FROM', "SELECT count(*) FROM pm_segment('wide', 'c1', NULL, 200, '$fit')", 0.7);
is_cancelled('segment, its rows', "SELECT count(pg_sleep(0.001)) FROM pm_segment('wide', 'c1', '{c1,c2}', 2) WHERE id > ''", 2);

# statement_timeout, at 50 moments of one run
my @late;
my $timed_out = 0;
my $after_first;
foreach my $i (1 .. 50)
{
	my $timeout = 20 + 9 * $i;
	my $table = $i % 2 ? 'wide' : 'mixed';

	$session->query_safe("SET statement_timeout = $timeout");
	my $begin = time;
	my ($state) = session_state($session, "SELECT pm_kmeans('$table', k => 200, options => '$fit')");
	push @late, time - $begin - $timeout / 1000;
	$timed_out++ if $state eq '57014';
	$session->query_safe('SET statement_timeout = 0');
	($after_first) = split /\|/, $session->query_safe($contexts) if $i == 1;
}
is($timed_out, 50, 'statement_timeout ends 50 runs');
cmp_ok(max(@late), '<', $limit, 'at once');
diag(sprintf('statement_timeout: at most %.0f ms late', 1000 * max(@late)));
my ($now, $left) = split /\|/, $session->query_safe($contexts);
is($left, 0, 'nothing of ours is left after them');
cmp_ok($now - $after_first, '<', 64 * 1024, 'and memory has not grown since the first');
cmp_ok(anonymous() - $resident, '<', 100 * 1024, 'nor has the process, by 100 MB');
is($session->query_safe("SELECT count(pm_kmeans_assign(model, small)) FROM small,
		(SELECT pm_kmeans('small', k => 2) AS model OFFSET 0) AS m"),
	'300', 'the session trains and scores on');

is($session->query_safe('SELECT pg_backend_pid()'), $pid, 'it is still the same backend');
$session->quit;
$other->quit;
$node->stop;
done_testing();
