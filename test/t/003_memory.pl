# Memory that runs out: at precmkt.max_memory, and at the system's own limit.
# Either way an error, and a session that goes on.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Utils;
use PrecmktTest;
use Test::More;

my $node = new_server('memory');
my $columns = join(', ', map { "random()::real AS c$_" } 1 .. 16);

value($node, qq{
	SELECT setseed(0.5);
	CREATE TABLE numbers AS SELECT $columns FROM generate_series(1, 20000);
	CREATE TABLE categories AS SELECT 'c' || i % 90 AS a, 'd' || i % 80 AS b FROM generate_series(1, 20000) AS i;
	CREATE TABLE sets AS SELECT i AS n, ARRAY['a' || i % 50, 'b' || i % 30, 'c' || i % 7] AS s
		FROM generate_series(1, 50000) AS i;
	CREATE TABLE weighted AS SELECT i % 2 AS n, 1.0 AS w FROM generate_series(1, 400000) AS i;
	CREATE TABLE vectors AS SELECT array_fill(i::real, ARRAY[500]) AS v FROM generate_series(1, 2000) AS i;
	CREATE VIEW endless AS SELECT i::float8 AS a, i % 10 AS b FROM (SELECT generate_series(1, 1000000000) AS i) AS s});

my $session = new_session($node);

# The phase that asked for too much, from the error's detail.
sub refused_at
{
	my ($message) = @_;
	return $message =~ /DETAIL:\s+(.*?) needs/ ? $1 : '';
}

# Train under ever higher limits until it works: every failure has to be the
# right one, and the session to go on.  Returns the phases that were refused.
sub phases_refused
{
	my ($name, $sql) = @_;
	my %phases;
	my $wrong = 0;
	my $runs = 0;
	my $state = '';

	for (my $kb = 1024; $state ne '00000' && $kb < 1024 * 1024; $kb = int($kb * 1.4))
	{
		my $message;

		$session->query_safe("SET precmkt.max_memory = '${kb}kB'");
		($state, $message) = session_state($session, $sql);
		$runs++;
		next if $state eq '00000';
		$wrong++ unless $state eq '54000' && $message =~ /^precmkt\.max_memory would be exceeded/
		  && $message =~ /HINT:\s+Raise precmkt\.max_memory/ && refused_at($message) ne '';
		$phases{ refused_at($message) } = 1;
	}
	$session->query_safe('RESET precmkt.max_memory');
	is($state, '00000', "enough in the end: $name");
	is($wrong, 0, "refused with 54000, the bytes and the setting until then: $name");
	is($session->query_safe(q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'precmkt%'}),
		'0', "nothing of ours is left: $name");
	diag("$name, $runs limits, refused: " . join(', ', sort keys %phases));
	return \%phases;
}

my $phases = phases_refused('numbers', "SELECT length(pm_kmeans('numbers', k => 50))");
ok($phases->{"the rows' numbers"}, 'refused while numbers were loaded');
cmp_ok(scalar(keys %$phases), '>', 1, 'and at some later point');
$phases = phases_refused('categories', "SELECT length(pm_kmeans('categories', k => 50))");
ok($phases->{'the encoded rows'}, 'refused while categories were encoded');
$phases = phases_refused('sets', "SELECT length(pm_kmeans('sets', k => 5))");
ok($phases->{"the rows' sets"}, 'refused while sets were loaded');
$phases = phases_refused('weights',
	"SELECT length(pm_kmeans('weighted', k => 2, options => '{\"weight_col\": \"w\"}'))");
ok($phases->{"the rows' weights"} || $phases->{"the rows' numbers"}, 'refused while weights were loaded');
phases_refused('vectors', "SELECT length(pm_kmeans('vectors', k => 5))");
phases_refused('an aggregate', "SELECT length(pm_kmeans_agg(numbers, '{\"k\": 50}')) FROM numbers");
phases_refused('two threads, many clusters',
	"SET precmkt.threads = 2; SELECT length(pm_kmeans('numbers', k => 1000, options => '{\"max_iter\": 3}'))");
phases_refused('k-means||',
	"SELECT length(pm_kmeans('numbers', k => 300, options => '{\"init\": \"kmeans||\", \"max_iter\": 3}'))");
phases_refused('segments', "SELECT count(*) FROM pm_segment('numbers', 'c1', NULL, 20)");
phases_refused('sweep', "SELECT count(*) FROM pm_kmeans_sweep('categories', k_max => 4)");

# A model's own peak is what it needs: one more kilobyte does.
my $peak = $session->query_safe(q{
	SELECT value FROM pm_model_info(pm_kmeans('categories', k => 20)) WHERE key = 'peak_memory_bytes'});
$session->query_safe(sprintf("SET precmkt.max_memory = '%dkB'", $peak / 1024 + 1));
is((session_state($session, "SELECT length(pm_kmeans('categories', k => 20))"))[0],
	'00000', 'the peak that a model tells of is enough');
$session->query_safe('RESET precmkt.max_memory');

# a model that is over the limit cannot be opened, one within it can
$session->query_safe(q{CREATE TEMP TABLE big AS SELECT pm_kmeans('vectors', k => 500, options => '{"max_iter": 1}') AS model});
$session->query_safe(q{SET precmkt.max_memory = '1MB'});
is((session_state($session, 'SELECT pm_kmeans_assign(model, vectors) FROM big, vectors LIMIT 1'))[0],
	'54000', 'a model too large for max_memory is not opened');
$session->query_safe('RESET precmkt.max_memory');
is($session->query_safe('SELECT pm_kmeans_assign(model, vectors) > 0 FROM big, vectors LIMIT 1'),
	't', 'and opens without that limit');

# The system's limit: no more address space for this backend.
SKIP:
{
	my ($size) = join('', slurp_file("/proc/$session->{backend}/status")) =~ /^VmSize:\s+(\d+)/m
	  if -e "/proc/$session->{backend}/status";
	skip 'no /proc or no prlimit here', 6 if !$size || system('prlimit --version >/dev/null') != 0;

	my $limit = ($size + 200 * 1024) * 1024;
	my @prlimit = ('prlimit', '--pid', $session->{backend});

	$session->query_safe(q{SET precmkt.max_memory = '100GB'});
	system(@prlimit, "--as=$limit:") == 0 or skip 'no right to set limits', 6;
	foreach my $sql ("SELECT pm_kmeans('endless', k => 3)",
		"SELECT pm_kmeans_agg(endless, '{\"k\": 3}') FROM endless")
	{
		my ($state, $message) = session_state($session, $sql);
		is($state, '53200', "out of memory: $sql") or diag($message);
		is($session->query_safe(q{SELECT count(*) FROM pg_backend_memory_contexts
			WHERE name LIKE 'precmkt%' AND ident IN ('k-means', 'segments')}), '0', 'all of it is given back');
	}
	is($session->query_safe("SELECT length(pm_kmeans('numbers', k => 3)) > 0"),
		't', 'the session trains on under that limit');
	is(value($node, 'SELECT 1'), '1', 'the server is alive');
	system(@prlimit, '--as=unlimited:');
}

$session->quit;
$node->stop;
done_testing();
