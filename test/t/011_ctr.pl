# Click models in a server: a training that is cancelled, times out or runs out
# of memory, scoring while others save, on a standby and after a dump, rows
# that a policy hides, and any number of threads.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use List::Util qw(max);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PrecmktTest;
use Test::More;
use Time::HiRes qw(sleep time);

# What a user may wait for, as in 002_cancel.pl, and what a training may still
# compute once it is told to stop.
my $limit = 1.0;
my $cpu_limit = 0.1;

my $node = new_server('ctr', init => { allows_streaming => 1 }, conf => "max_connections = 20\nshared_buffers = 64MB\n");

value($node, q{
	CREATE TABLE ad AS SELECT i AS id, timestamp '2026-01-01' + i * interval '7 minutes' AS ts, 'page ' || i % 23 AS page,
		CASE WHEN i % 9 > 0 THEN 'd' || i * 7919 % 3 END AS device, (i * 104729 % 997) / 10.0 AS price,
		ARRAY['t' || i % 5, 't' || i % 3] AS tags, i * 48271::bigint % 2147483647 % 1000 < 200 + 100 * (i * 7919 % 3) AS clicked
		FROM generate_series(1, 4000) AS i;
	CREATE TABLE wide AS SELECT (SELECT array_agg(sin(i * j + j * j * 0.1)::real) FROM generate_series(1, 300) AS j) AS v,
		'c' || i * 7919 % 5000 AS c, 'd' || i * 104729 % 3000 AS d, 'e' || i % 1600 AS e, hashint4(i) % 3 = 0 AS clicked
		FROM generate_series(1, 12000) AS i;
	CREATE TABLE long AS SELECT w.c || i AS c, w.d, i, w.clicked FROM wide AS w, generate_series(1, 10) AS i;
	CREATE VIEW always AS SELECT v, c, true AS clicked FROM wide;
	CREATE VIEW extreme AS SELECT CASE WHEN i > 20 THEN 1e25 ELSE i % 7 END AS x, i % 3 = 0 AS clicked FROM generate_series(1, 50) AS i;
	CREATE VIEW endless AS SELECT i % 7 AS a, i % 3 = 0 AS clicked FROM (SELECT generate_series(1, 1000000000) AS i) AS s});

my $session = new_session($node);
my $pid = $session->{backend};
my $contexts = q{SELECT sum(total_bytes), count(*) FILTER (WHERE name LIKE 'precmkt%')
	FROM pg_backend_memory_contexts};

# Seconds of CPU that the session's process has used; 0 where that is not told.
sub cpu
{
	return 0 unless -e "/proc/$pid/stat";
	my @fields = split ' ', slurp_file("/proc/$pid/stat") =~ s/.*\) //sr;
	return ($fields[11] + $fields[12]) / 100;
}

# Memory of the process that is no file's, in kB.
sub anonymous
{
	return 0 unless -e "/proc/$pid/status";
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
	return $kb;
}

# Everything once, so that what a session keeps is there.
$session->query_safe(qq{SELECT length(pm_train_ctr('ad', 'clicked', '{ts,page,device,price,tags}', a)) FROM unnest('{logistic,ftrl,fm,fwfm}'::text[]) AS a});
my ($bytes, $ours) = split /\|/, $session->query_safe($contexts);
my $resident = anonymous();
is($ours, 0, 'no memory of ours is left after training');

# --- stopped in the middle ----------------------------------------------------

my $threads = 1;

# Start SQL and cancel it after a while, as pg_cancel_backend() does: seconds
# until the session is free, those of its CPU, and the error.
sub cancel_after
{
	my ($sql, $after) = @_;

	$session->query_until(qr/started/, "\\echo started\n$sql;\n");
	sleep($after);
	my ($begin, $used) = (time, cpu());
	kill 'INT', $pid;
	$session->query('SELECT 1');
	my @result = (time - $begin, cpu() - $used, $session->{stderr});
	$session->{stderr} = '';
	return @result;
}

sub is_cancelled
{
	my ($name, $sql, @after) = @_;
	my (@seconds, @cpu);
	my $cancelled = 0;

	foreach my $after (@after)
	{
		my ($seconds, $cpu, $error) = cancel_after($sql, $after);
		push @seconds, $seconds;
		push @cpu, $cpu;
		$cancelled++ if $error =~ /57014: canceling statement due to user request/;
	}
	is($cancelled, scalar(@after), "cancelled: $name");
	cmp_ok(max(@seconds), '<', $limit, "quickly: $name");
	cmp_ok(max(@cpu), '<=', $threads * $cpu_limit, "with little more work: $name");
	diag(sprintf('cancelled after %s ms, of CPU %s ms: %s', join(', ', map { sprintf('%.0f', 1000 * $_) } @seconds),
			join(', ', map { sprintf('%.0f', 1000 * $_) } @cpu), $name));
	is((split /\|/, $session->query_safe($contexts))[1], 0, "nothing of ours is left: $name");
}

my %endless = (
	newton => q(SELECT pm_train_ctr('wide', 'clicked', '{v,e}', options => '{"l2": 1e-6, "tol": 0, "max_iter": 100000, "solver": "newton"}')),
	lbfgs => q(SELECT pm_train_ctr('wide', 'clicked', '{v,c,d}', options => '{"l2": 1e-7, "tol": 0, "max_iter": 1000000, "solver": "lbfgs"}')),
	ftrl => q(SELECT pm_train_ctr('long', 'clicked', algorithm => 'ftrl', options => '{"epochs": 100000}')),
	fm => q(SELECT pm_train_ctr('long', 'clicked', algorithm => 'fm', options => '{"epochs": 100000, "factors": 32, "batch_size": 100000, "early_stopping": false}')),
	fwfm => q(SELECT pm_train_ctr('long', 'clicked', algorithm => 'fwfm', options => '{"epochs": 100000, "factors": 32, "early_stopping": false}')),
	load => q(SELECT pm_train_ctr('endless', 'clicked')));

$session->query_safe('SET precmkt.threads = 1');
is_cancelled("$_, one thread", $endless{$_}, 0.4, 0.9) foreach qw(newton lbfgs ftrl fm fwfm load);
$threads = 2;
$session->query_safe('SET precmkt.threads = 2');
is_cancelled($_, $endless{$_}, 0.6) foreach qw(lbfgs fm);
$session->query_safe('RESET precmkt.threads');

my @late;
my $timed_out = 0;
foreach my $i (1 .. 8)
{
	my $timeout = 60 * $i;
	my $sql = $endless{ (qw(newton ftrl fm lbfgs))[ $i % 4 ] };

	$session->query_safe("SET statement_timeout = $timeout");
	my $begin = time;
	$timed_out++ if (session_state($session, $sql))[0] eq '57014';
	push @late, time - $begin - $timeout / 1000;
	$session->query_safe('SET statement_timeout = 0');
}
is($timed_out, 8, 'statement_timeout ends 8 trainings');
cmp_ok(max(@late), '<', $limit, 'at once');
diag(sprintf('statement_timeout: at most %.0f ms late', 1000 * max(@late)));
is((session_state($session, q{SELECT pm_train_ctr('ad', 'clicked', '{page}') FROM ad WHERE 1 / (id - 3) < 2}))[0],
	'22012', 'an error of the statement between trainings');
is((session_state($session, q{SELECT pm_train_ctr('wide', 'nothing')}))[0], '42703', 'an error before the rows are read');
is((session_state($session, q{SELECT pm_train_ctr('always', 'clicked')}))[0], '22023', 'an error after they were');
my ($state, $message) = session_state($session,
	q{SELECT pm_train_ctr('extreme', 'clicked', algorithm => 'ftrl', options => '{"transform": {"x": "raw"}}')});
is($state, '22023', 'and one of weights that overflow');
like($message, qr/^the weights do not stay finite in epoch 1/, 'not a model that cannot be opened');
my ($now, $left) = split /\|/, $session->query_safe($contexts);
is($left, 0, 'nothing of ours is left after all of them');
cmp_ok($now - $bytes, '<', 1024 * 1024, 'memory is given back');
cmp_ok(anonymous() - $resident, '<', 100 * 1024, 'by the process too');

# --- memory that runs out -------------------------------------------------------

value($node, q{
	CREATE TABLE few AS SELECT 'c' || i % 10000 AS c, i % 3 = 0 AS clicked FROM generate_series(1, 20000) AS i;
	CREATE TABLE many AS SELECT 'c' || i AS c, i % 3 = 0 AS clicked FROM generate_series(1, 1000000) AS i});
foreach my $algorithm (qw(logistic fm))
{
	my $train = "SELECT value FROM pm_model_info(pm_train_ctr('%s', 'clicked', algorithm => '$algorithm')) WHERE key = 'peak_memory_bytes'";
	my $peak = $session->query_safe(sprintf($train, 'few'));

	$session->query_safe(sprintf("SET precmkt.max_memory = '%dkB'", $peak / 1024 + 1));
	($state, $message) = session_state($session, sprintf($train, 'many'));
	is($state, '54000', "$algorithm: a million categories with memory for ten thousand");
	like($message, qr/^precmkt\.max_memory would be exceeded/, "$algorithm: it says so");
	is((session_state($session, sprintf($train, 'few')))[0], '00000', "$algorithm: ten thousand are trained on");
	$session->query_safe('RESET precmkt.max_memory');
}
value($node, 'DROP TABLE many');

# --- threads ---------------------------------------------------------------------

foreach my $algorithm (qw(logistic ftrl fm fwfm))
{
	my @ids;

	foreach my $n (1, 2)
	{
		$session->query_safe("SET precmkt.threads = $n");
		push @ids, $session->query_safe(
			"SELECT value FROM pm_model_info(pm_train_ctr('long', 'clicked', '{d,i}', '$algorithm', '{}')) WHERE key = 'id'");
	}
	is($ids[0], $ids[1], "$algorithm: the same model from one thread and two");
}
$session->query_safe('RESET precmkt.threads');

# --- scoring while others save ---------------------------------------------------

value($node, q{
	CREATE TABLE model AS SELECT n AS name, pm_train_ctr('ad', 'clicked', '{ts,page,device,price,tags}', a) AS model
		FROM (VALUES ('one', 'logistic'), ('two', 'fwfm')) AS v(n, a);
	SELECT pm_model_save('clicks', model) FROM model WHERE name = 'one'});
my $score = q{pm_predict_ctr('clicks', ad)};
my ($one, $two) = map {
	value($node, "SELECT pm_predict_ctr(model, ad) FROM model, ad WHERE name = '$_' AND id = 17")
} qw(one two);
isnt($one, $two, 'the two models can be told apart');
$node->pgbench('-n -c 6 -j 2 -t 50', 0, [qr/actually processed/], [qr/^(?!.*aborted)/s], 'sessions score what others save', {
	'save@1' => q{
	SELECT pm_model_save('clicks', model) FROM model WHERE name = 'two';
	SELECT pm_model_save('clicks', model) FROM model WHERE name = 'one';
	},
	'score@9' => qq{
	SELECT 1 / (count(DISTINCT p) = 1 AND min(p) IN ($one, $two))::int
	FROM (SELECT $score AS p FROM ad, generate_series(1, 50) WHERE id = 17) AS s;
	},
	'rows@3' => q{
	SELECT 1 / (count(probability) = 4000)::int FROM pm_predict_ctr_rows('clicks', 'ad', 'id');
	} });

# --- row-level security -----------------------------------------------------------

value($node, q{
	CREATE ROLE pm_reader LOGIN;
	CREATE TABLE guarded AS SELECT * FROM ad;
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON guarded USING (id % 4 = 0);
	GRANT SELECT ON guarded TO pm_reader});
foreach my $algorithm (qw(logistic ftrl))
{
	my $sql = qq{SELECT value FROM pm_model_info(pm_train_ctr('guarded', 'clicked', '{page,price}', '$algorithm')) WHERE key = 'rows_read'};

	is_value($node, $sql, '4000', "$algorithm: the owner trains on all rows");
	is_value($node, $sql, '1000', "$algorithm: others on those they see", extra_params => [ '-U', 'pm_reader' ]);
}
is_value($node, q{SELECT count(*) FROM pm_predict_ctr_rows(pm_train_ctr('guarded', 'clicked', '{page,price}'), 'guarded', 'id')},
	'1000', 'and score those', extra_params => [ '-U', 'pm_reader' ]);
is_value($node, q{SELECT count(*) FROM pm_model_weights(pm_train_ctr('guarded', 'clicked', '{id}', options => '{"transform": {"id": "values"}}')) WHERE feature = 'id'},
	'1000', 'a model holds no value that is hidden', extra_params => [ '-U', 'pm_reader' ]);

# --- a dump, and a standby ---------------------------------------------------------

my $dir = PostgreSQL::Test::Utils::tempdir();
my $predictions = qq{SELECT md5(string_agg(p::text, ',' ORDER BY id)), count(DISTINCT p) > 100 FROM (SELECT id, $score AS p FROM ad) AS s};
my $scored = value($node, $predictions);

value($node, 'DROP TABLE wide, long CASCADE');
value($node, 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/ctr.dump", $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), '--exit-on-error', "$dir/ctr.dump" ], 'pg_restore');
is_value($node, $predictions, $scored, 'the same predictions after it', dbname => 'restored');
value($node, 'DROP DATABASE restored');

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is_value($standby, $predictions, $scored, 'a standby scores alike');
is_value($standby, q{SELECT value FROM pm_model_info(pm_train_ctr('ad', 'clicked', '{page,price}', 'fm')) WHERE key = 'id'},
	value($node, q{SELECT value FROM pm_model_info(pm_train_ctr('ad', 'clicked', '{page,price}', 'fm')) WHERE key = 'id'}),
	'and trains the same model');
fails_with($standby, q{SELECT pm_model_save('clicks', model) FROM model}, '25006', 'it cannot save');
value($node, q{SELECT pm_model_save('clicks', model) FROM model WHERE name = 'two'});
$node->wait_for_catchup($standby);
is_value($standby, 'SELECT pm_predict_ctr(\'clicks\', ad) FROM ad WHERE id = 17', $two, 'a new version arrives');
$standby->stop;

is($session->query_safe('SELECT pg_backend_pid()'), $pid, 'it is still the same backend');
$session->quit;
$node->stop;
done_testing();
