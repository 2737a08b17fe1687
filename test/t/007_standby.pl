# A standby trains, scores and segments; it cannot save.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PrecmktTest;
use Test::More;

my $primary = new_server('primary', init => { allows_streaming => 1 });
value($primary, q{
	CREATE TABLE points AS SELECT i AS id, i % 97 AS x, i % 89 AS y FROM generate_series(1, 3000) AS i;
	SELECT pm_model_save('five', pm_kmeans('points', '{x,y}', k => 5))});
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is_value($standby, 'SELECT pg_is_in_recovery()', 't', 'the standby is one');

# One test: SQL gives the same on both.
sub same
{
	my ($sql, $name) = @_;
	return is_value($standby, $sql, value($primary, $sql), $name);
}

same(q{SELECT count(*), sum(pm_kmeans_assign('five', points) * id) FROM points}, 'scores by name');
same(q{SELECT sum(pm_kmeans_distance(model, points)) FROM points, pm_models}, 'scores by value');
same(q{SELECT sum(cluster * id::int), sum(distance) FROM pm_segment('points', 'id', '{x,y}', 5)}, 'segments');
same(q{SELECT value FROM pm_model_info(pm_kmeans('points', '{x,y}', k => 6)) WHERE key = 'id'}, 'trains the same model');
same(q{SELECT value FROM pm_model_info((SELECT pm_kmeans_agg(s, '{"k": 4}') FROM (SELECT x, y FROM points) AS s)) WHERE key = 'id'},
	'and by the aggregate');
same(q{SELECT * FROM pm_kmeans_sweep('points', '{x,y}', 2, 4)}, 'sweeps');
same(q{SELECT * FROM pm_kmeans_centroids('five')}, 'shows centroids');
same(q{SELECT * FROM pm_model_info('five')}, 'and what a model says of itself');
fails_with($standby, q{SELECT pm_model_save('six', model) FROM pm_models}, '25006', 'cannot save');

# what the primary saves is scored by, in a session that scored before
my $session = new_session($standby);
my $score = q{SELECT sum(pm_kmeans_distance('five', points)) FROM points};
my $before = $session->query_safe($score);
value($primary, q{SELECT pm_model_save('five', pm_kmeans('points', '{x,y}', k => 9))});
$primary->wait_for_catchup($standby);
my $after = $session->query_safe($score);
isnt($after, $before, 'a new version arrives');
is($after, value($primary, $score), 'and is scored by');

# within one transaction that sees one state
$session->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; $score");
value($primary, q{SELECT pm_model_save('five', pm_kmeans('points', '{x,y}', k => 3))});
$primary->wait_for_catchup($standby);
is($session->query_safe($score), $after, 'an older snapshot scores by the older version');
$session->query_safe('COMMIT');
is($session->query_safe($score), value($primary, $score), 'a newer one by the newer');

$standby->promote;
is_value($standby, q{SELECT pm_model_save('five', model) FROM pm_models WHERE version = 1}, '4',
	'once promoted it saves');
$session->quit;
$standby->stop;
$primary->stop;
done_testing();
