# Many sessions at once: the same model from each, versions without gaps,
# scoring while others save.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PrecmktTest;
use Test::More;

my $node = new_server('concurrent', conf => "max_connections = 40\nshared_buffers = 32MB\n");

# One test: pgbench scripts end well.  Options are pgbench's.
sub bench
{
	my ($options, $name, %scripts) = @_;
	return $node->pgbench("-n $options", 0, [qr/actually processed/], [qr/^(?!.*aborted)/s], $name, \%scripts);
}

value($node, q{
	SELECT setseed(0.5);
	CREATE TABLE points AS SELECT random() AS x, random() AS y, 'c' || i % 5 AS c FROM generate_series(1, 5000) AS i;
	CREATE TABLE ids (id text, threads int);
	CREATE TABLE near (model bytea);
	CREATE TABLE far (model bytea);
	CREATE TABLE line AS SELECT i::float8 AS x FROM generate_series(1, 100) AS i;
	INSERT INTO near SELECT pm_kmeans('line', k => 2, options => '{"standardize": false}');
	INSERT INTO far SELECT pm_kmeans('line', k => 4, options => '{"standardize": false}')});

# 20 trainings, with different numbers of threads
bench('-c 20 -j 2 -t 1', '20 concurrent trainings', 'train' => q{
	SET precmkt.threads = :client_id;
	INSERT INTO ids SELECT value, current_setting('precmkt.threads')::int
	FROM pm_model_info(pm_kmeans('points', k => 7)) WHERE key = 'id';
	});
is_value($node, 'SELECT count(*), count(DISTINCT id), count(DISTINCT threads) FROM ids',
	'20|1|20', 'all give the same model');

# One name from 10 sessions
bench('-c 10 -j 2 -t 1', '10 sessions save one name', 'save one' => q{
	SELECT pm_model_save('shared', model, '{"a": 1}') FROM near;
	});
is_value($node, q{SELECT array_agg(version ORDER BY version), array_agg(version) FILTER (WHERE deployed)
		FROM pm_models WHERE name = 'shared'},
	'{1,2,3,4,5,6,7,8,9,10}|{10}', 'versions 1 to 10, the last one deployed');

# Several names at once, within longer transactions: no deadlock
bench('-c 6 -j 2 -t 5', 'sessions save two names in one transaction', 'two' => q{
	BEGIN;
	SELECT pm_model_save('first', model) FROM near;
	SELECT pm_model_save('second', model) FROM far;
	COMMIT;
	});
is_value($node, q{SELECT name, count(*), max(version), count(*) FILTER (WHERE deployed) FROM pm_models
		WHERE name IN ('first', 'second') GROUP BY 1 ORDER BY 1},
	"first|30|30|1\nsecond|30|30|1", 'every save counts');

# A save that is rolled back leaves the former version deployed
value($node, q{BEGIN; SELECT pm_model_save('shared', model) FROM far; ROLLBACK});
is_value($node, q{SELECT version FROM pm_models WHERE name = 'shared' AND deployed},
	'10', 'a save rolled back leaves no trace');

# Scoring by name while another session saves: the old or the new model, one
# of them in a statement, never an error.
my ($old, $new) = map {
	value($node, "SELECT pm_kmeans_distance(model, line) FROM $_, line WHERE x = 17")
} qw(near far);
isnt($old, $new, 'the two models can be told apart');
value($node, q{SELECT pm_model_save('live', model) FROM near});
bench('-c 6 -j 2 -t 60', 'sessions score what others save',
	'save@1' => q{
	SELECT pm_model_save('live', model) FROM far;
	SELECT pm_model_save('live', model) FROM near;
	},
	'score@9' => qq{
	SELECT 1 / (count(DISTINCT d) = 1 AND min(d) IN ($old, $new))::int
	FROM (SELECT pm_kmeans_distance('live', line) AS d FROM line, generate_series(1, 50) WHERE x = 17) AS s;
	},
	'again@9' => qq{
	BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT pm_kmeans_distance('live', line) AS before FROM line WHERE x = 17 \\gset
	SELECT pm_kmeans_distance('live', line) AS after FROM line WHERE x = 17 \\gset
	SELECT 1 / (:before = :after)::int;
	COMMIT;
	});
my ($versions, $deployed) = split /\|/,
  value($node, q{SELECT count(*) - max(version), count(*) FILTER (WHERE deployed) FROM pm_models WHERE name = 'live'});
is("$versions $deployed", '0 1', 'versions have no gap and one is deployed');

# A session sees what it saved itself, statement by statement
is_value($node, q{
	SELECT pm_model_save('mine', model) FROM near;
	SELECT pm_kmeans_distance('mine', line) FROM line WHERE x = 17;
	SELECT pm_model_save('mine', model) FROM far;
	SELECT pm_kmeans_distance('mine', line) FROM line WHERE x = 17},
	"1\n$old\n2\n$new", 'a new version counts from the next statement on');
is_value($node, q{
	DO $$
	DECLARE
		r record;
		before float8;
	BEGIN
		SELECT 17::float8 AS x INTO r;
		FOR i IN 1 .. 3 LOOP
			PERFORM pm_model_save('plpgsql', model) FROM near;
			before := pm_kmeans_distance('plpgsql', r);
			PERFORM pm_model_save('plpgsql', model) FROM far;
			IF before = pm_kmeans_distance('plpgsql', r) THEN
				RAISE EXCEPTION 'stale at %', i;
			END IF;
		END LOOP;
	END $$;
	SELECT 'fresh'},
	'fresh', 'also within one PL/pgSQL function');

# By value: a call site that PL/pgSQL keeps gets other models in one variable,
# at addresses that former ones had.
is_value($node, qq{
	CREATE FUNCTION wrong_models() RETURNS int LANGUAGE plpgsql AS \$\$
	DECLARE
		models bytea[] := ARRAY[(SELECT model FROM near), (SELECT model FROM far)];
		wanted float8[] := ARRAY[$old, $new];
		model bytea;
		r record;
		wrong int := 0;
	BEGIN
		SELECT 17::float8 AS x INTO r;
		FOR i IN 1 .. 200 LOOP
			FOR j IN 0 .. i % 3 LOOP
				model := models[1 + i % 2] || ''::bytea;
				model := NULL;
				model := models[1 + i % 2] || ''::bytea;
			END LOOP;
			IF pm_kmeans_distance(model, r) <> wanted[1 + i % 2] THEN
				wrong := wrong + 1;
			END IF;
		END LOOP;
		RETURN wrong;
	END \$\$;
	SELECT wrong_models()},
	'0', 'a variable that is given another model scores by that one');

# An UPDATE that waits for a row and looks at it again, beside rows that
# pm_segment streams: in a join, in a sub-select of its own, in another one.
value($node, q{
	CREATE TABLE ten AS SELECT i AS id, i % 2 AS x, 0 AS cluster, false AS changed FROM generate_series(1, 10) AS i;
	CREATE TABLE still AS SELECT id, x FROM ten});
my $segment = q{pm_segment('still', 'id', '{x}', 2, '{}', NULL::int)};
foreach my $case (
	['a join', "FROM $segment AS s WHERE s.id = ten.id", 's.cluster'],
	['a sub-select', "WHERE id NOT IN (SELECT id FROM $segment AS s WHERE s.id > 5)",
		"(SELECT s.cluster FROM $segment AS s WHERE s.id = ten.id)"],
	['a semi-join', "WHERE id IN (SELECT id FROM $segment AS s WHERE s.cluster > 0)", 'x + 1'])
{
	my ($name, $where, $cluster) = @$case;
	my ($first, $second) = (new_session($node), new_session($node));

	value($node, 'UPDATE ten SET cluster = 0, changed = false');
	$first->query_safe('BEGIN; UPDATE ten SET changed = true WHERE id = 3');
	$second->query_until(qr/started/, "\\echo started\nUPDATE ten SET cluster = $cluster $where;\n");
	ok(wait_until($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $second->{backend}"),
		"an UPDATE with $name waits for a row");
	$first->query_safe('COMMIT');
	is($second->query_safe('SELECT count(DISTINCT cluster), bool_or(changed AND cluster > 0) FROM ten WHERE cluster > 0'),
		'2|t', "an UPDATE with $name finds its row again");
	$_->quit foreach $first, $second;
}

$node->stop;
done_testing();
