# Saved models through pg_dump, pg_dumpall and pg_upgrade: versions, the
# deployed one, who may see them, and what they score.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PrecmktTest;
use Test::More;

my $old = new_server('old', extension => 0);

value($old, q{
	CREATE ROLE pm_first LOGIN;
	CREATE ROLE pm_second LOGIN;
	CREATE SCHEMA "marketing dept";
	GRANT USAGE ON SCHEMA "marketing dept" TO PUBLIC;
	CREATE EXTENSION precmkt SCHEMA "marketing dept" CASCADE;
	CREATE TABLE points AS SELECT i % 97 AS x, i % 89 AS y, 'c' || i % 4 AS c,
		now() - i * interval '1 hour' AS t, array_fill((i % 7)::real, ARRAY[50]) AS v FROM generate_series(1, 1000) AS i;
	GRANT SELECT ON points TO PUBLIC;
	-- what depends on a model: a view that scores
	CREATE VIEW segments AS SELECT p.x, p.y, "marketing dept".pm_kmeans_assign('first', p) AS cluster FROM points AS p;
	GRANT SELECT ON segments TO PUBLIC});
my $save = q{
	SET search_path = "marketing dept", public;
	SELECT pm_model_save('NAME', pm_kmeans('points', k => 3));
	SELECT pm_model_save('NAME', pm_kmeans('points', k => 5, options => '{"metric": "cosine"}'), '{"best": true}');
	SELECT pm_model_save('NAME', pm_kmeans('points', '{v,c}', k => 20));
	-- two steps, as one version of a name at most is deployed at any time
	UPDATE pm_models SET deployed = false WHERE name = 'NAME';
	UPDATE pm_models SET deployed = true WHERE name = 'NAME' AND version = 2};
foreach my $name (qw(first second))
{
	my $sql = $save;

	$sql =~ s/NAME/$name/g;
	value($old, $sql, extra_params => [ '-U', "pm_$name" ]);
}

my $rows = q{SELECT string_agg(concat_ws(' ', name, version, md5(model), length(model), kind, metrics, created_at AT TIME ZONE 'UTC',
	created_by, deployed), E'\n' ORDER BY name, version) FROM "marketing dept".pm_models};
my $scores = q{SELECT md5(string_agg(concat_ws(' ', x, y, cluster), ',' ORDER BY x, y, cluster)) FROM segments};
my ($had, $scored) = (value($old, $rows), value($old, $scores));
is(scalar(my @lines = split /\n/, $had), 6, 'there are models to dump');

# One restored database.
sub same_models
{
	my ($node, $how, %options) = @_;
	my $visible = q{SELECT string_agg(DISTINCT name, ' ') FROM "marketing dept".pm_models};

	is_value($node, $rows, $had, "$how: the same rows", %options);
	is_value($node, $scores, $scored, "$how: the same scores", %options);
	foreach my $role (qw(first second))
	{
		my @as = (extra_params => [ '-U', "pm_$role" ], %options);
		is_value($node, $visible, $role, "$how: $role sees its own models", @as);
	}
	fails_with($node, q{SELECT * FROM "marketing dept".pm_kmeans_evaluate('second')}, '42704',
		"$how: and not another role's", user => 'pm_first', %options);
	is_value($node, q{SELECT extconfig::regclass[] FROM pg_extension WHERE extname = 'precmkt'},
		'{"\"marketing dept\".pm_models"}', "$how: the table is still dumped with its rows", %options);
	is_value($node, q{SELECT "marketing dept".pm_model_save('first', "marketing dept".pm_model('first'))}, '4',
		"$how: the next version follows", extra_params => [ '-U', 'pm_first' ], %options);
}

my $dir = PostgreSQL::Test::Utils::tempdir();

# pg_dump of one database, by a superuser, in two formats
value($old, 'CREATE DATABASE custom TEMPLATE template0');
$old->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/custom.dump", $old->connstr('postgres') ], 'pg_dump');
$old->command_ok([ 'pg_restore', '-d', $old->connstr('custom'), '--exit-on-error', "$dir/custom.dump" ], 'pg_restore');
same_models($old, 'pg_dump', dbname => 'custom');
value($old, 'DROP DATABASE custom');

# all of a server, to another one
my $new = new_server('new', extension => 0);
$old->command_ok([ 'pg_dumpall', '-f', "$dir/all.sql", '-d', $old->connstr('postgres') ], 'pg_dumpall');
$new->command_ok([ 'psql', '-X', '-q', '-f', "$dir/all.sql", $new->connstr('postgres') ], 'and into another server');
same_models($new, 'pg_dumpall');
$new->stop;

# pg_upgrade, as far as one version of PostgreSQL can tell
my ($bindir) = `pg_config --bindir` =~ /(.+)/;
SKIP:
{
	skip 'no pg_upgrade here', 9 unless -x "$bindir/pg_upgrade";
	my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');

	$upgraded->init;
	$old->stop;
	chdir $dir or die "cannot enter $dir: $!";
	$upgraded->command_ok([ "$bindir/pg_upgrade", '--no-sync', '-d', $old->data_dir, '-D', $upgraded->data_dir,
			'-b', $bindir, '-B', $bindir, '-s', $dir, '-p', $old->port, '-P', $upgraded->port, '-U', $ENV{USER} // getpwuid($>) ],
		'pg_upgrade');
	$upgraded->start;
	same_models($upgraded, 'pg_upgrade');
	$upgraded->stop;
}

done_testing();
