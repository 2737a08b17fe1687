# A backend that dies in the middle of a fit, and an ERROR that a PL/pgSQL
# block catches there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PrecmktTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_server('crash', conf => "restart_after_crash = on\n");
my $columns = join(', ', map { "random()::real AS c$_" } 1 .. 16);
my $long = q({"tol": 0, "max_iter": 1000000});

value($node, qq{
	SELECT setseed(0.5);
	CREATE TABLE wide AS SELECT $columns FROM generate_series(1, 50000);
	CREATE TABLE points AS SELECT i % 7 AS a, i % 5 AS b FROM generate_series(1, 300) AS i;
	CREATE TABLE late_nan AS SELECT CASE WHEN i = 30000 THEN 'NaN'::float8 ELSE i END AS a
		FROM generate_series(1, 30000) AS i;
	SELECT pm_model_save('kept', pm_kmeans('points', k => 3));
	SELECT pm_model_save('kept', pm_kmeans('points', k => 4), '{"note": "second"}');
	CHECKPOINT});

# --- a subtransaction that is rolled back ----------------------------------

my $left = q{SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'precmkt%'};
foreach my $case (
	[ 'a NaN in the last row', q{PERFORM pm_kmeans('late_nan', k => 3)} ],
	[ 'a NaN in an aggregate', q{PERFORM pm_kmeans_agg(late_nan, '{"k": 3}') FROM late_nan} ],
	[ 'too little memory', q{PERFORM set_config('precmkt.max_memory', '2MB', true); PERFORM pm_kmeans('wide', k => 3)} ],
	[ 'k larger than the rows', q{PERFORM pm_kmeans('points', k => 301)} ],
	[ 'a corrupt model', q{PERFORM pm_kmeans_assign(set_byte(model, 300, 255 - get_byte(model, 300)), points)
		FROM points, pm_models} ])
{
	my ($name, $sql) = @$case;

	is_value($node, qq{
		DO \$\$
		DECLARE
			left_over int;
			bytes bigint;
			bytes_before bigint;
		BEGIN
			FOR i IN 1 .. 30 LOOP
				BEGIN
					$sql;
					RAISE EXCEPTION 'no error' USING ERRCODE = 'P0099';
				EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
					NULL;
				END;
				SELECT count(*) FILTER (WHERE name LIKE 'precmkt%'), sum(total_bytes) INTO left_over, bytes
				FROM pg_backend_memory_contexts;
				IF left_over > 0 THEN
					RAISE EXCEPTION '% contexts are left', left_over;
				END IF;
				IF i = 5 THEN
					bytes_before := bytes;
				END IF;
			END LOOP;
			IF bytes > bytes_before + 65536 THEN
				RAISE EXCEPTION 'memory grew from % to %', bytes_before, bytes;
			END IF;
		END \$\$;
		SELECT pm_kmeans_assign('kept', points) > 0 FROM points LIMIT 1},
		't', "caught 30 times within a transaction: $name");
}

# a cancel that a block catches, and a training after it in one transaction
is_value($node, qq{
	SET statement_timeout = 500;
	DO \$\$
	BEGIN
		PERFORM pm_kmeans('wide', k => 100, options => '$long');
	EXCEPTION WHEN query_canceled THEN
		IF (SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'precmkt%') > 0 THEN
			RAISE EXCEPTION 'memory is left';
		END IF;
		PERFORM pm_kmeans('points', k => 3);
	END \$\$;
	SELECT 'went on'},
	'went on', 'a cancel is caught, and the block trains on');

# --- a backend killed -------------------------------------------------------

my $models = q{SELECT string_agg(concat_ws(' ', name, version, md5(model), kind, metrics, deployed), E'\n' ORDER BY version)
	FROM pm_models};
my $scores = q{SELECT md5(string_agg(pm_kmeans_assign('kept', points)::text, ',' ORDER BY a, b)) FROM points};
my ($before, $scored) = (value($node, $models), value($node, $scores));

my $victim = new_session($node);
$victim->query_until(qr/started/,
	"\\echo started\nBEGIN; SELECT pm_model_save('lost', model) FROM pm_models WHERE version = 1;
	SELECT pm_kmeans('wide', k => 100, options => '$long');\n");
ok(wait_until($node, "SELECT query ~ 'pm_kmeans.''wide' AND state = 'active' FROM pg_stat_activity WHERE pid = $victim->{backend}"),
	'a backend is in the middle of a fit');
sleep 0.5;
is(kill(9, $victim->{backend}), 1, 'it is killed');
eval { $victim->quit };
ok($node->poll_query_until('postgres', 'SELECT true'), 'the server comes back');
is_value($node, $models, $before, 'the saved models are as they were, the unfinished save is gone');
is_value($node, $scores, $scored, 'they score as they did');
is_value($node, q{SELECT pm_model_save('kept', pm_kmeans('points', k => 2))}, '3', 'and the next version is saved');

$node->stop;
done_testing();
