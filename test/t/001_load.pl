# The extension comes, moves, goes, and needs no superuser.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PrecmktTest;
use Test::More;

my $node = new_server('load', extension => 0);
my $version = '0.1.0';
my $members = q{
	SELECT count(*) FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'precmkt')};
my $left_over = q{
	SELECT count(*) FROM pg_class WHERE relname LIKE 'pm\_%'
	UNION ALL SELECT count(*) FROM pg_proc WHERE proname LIKE 'pm\_%'
	UNION ALL SELECT count(*) FROM pg_type WHERE typname LIKE 'pm\_%'};

# by a superuser
value($node, 'CREATE EXTENSION precmkt');
is_value($node, q{SELECT extversion FROM pg_extension WHERE extname = 'precmkt'},
	$version, 'the version is the control file\'s');
my $count = value($node, $members);
cmp_ok($count, '>', 0, 'it has members');

# to another schema and back
value($node, 'CREATE SCHEMA marketing');
value($node, 'ALTER EXTENSION precmkt SET SCHEMA marketing');
is_value($node, $members, $count, 'all members are there after SET SCHEMA');
is_value($node,
	q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'pm\_%' AND pronamespace <> 'marketing'::regnamespace},
	'0', 'all functions have moved');
is_value($node, q{SELECT count(*) > 0 FROM marketing.pm_device_info()},
	't', 'a function works in its new schema, off the search_path');

# and away
value($node, 'DROP EXTENSION precmkt');
is_value($node, $left_over, "0\n0\n0", 'DROP EXTENSION leaves nothing');
value($node, 'CREATE EXTENSION precmkt SCHEMA marketing');
is_value($node, $members, $count, 'created in a schema of choice');
value($node, 'DROP EXTENSION precmkt; DROP SCHEMA marketing');

# by a user who may create in the database, and by one who may not
value($node, q{
	CREATE ROLE pm_analyst LOGIN;
	CREATE ROLE pm_reader LOGIN;
	CREATE DATABASE campaigns;
	GRANT CREATE ON DATABASE campaigns TO pm_analyst});
value($node, 'GRANT CREATE ON SCHEMA public TO pm_analyst', dbname => 'campaigns');
fails_with($node, 'CREATE EXTENSION precmkt', '42501', 'a mere reader cannot create it',
	dbname => 'campaigns', user => 'pm_reader');
my ($state, $message) = sqlstate($node, 'CREATE EXTENSION precmkt',
	dbname => 'campaigns', user => 'pm_analyst');
is($state, '00000', 'a user with CREATE on the database can') or diag($message);
is_value($node, $members, $count, 'and gets all of it', dbname => 'campaigns');
($state, $message) = sqlstate($node, 'DROP EXTENSION precmkt',
	dbname => 'campaigns', user => 'pm_analyst');
is($state, '00000', 'and can drop it again') or diag($message);

$node->stop;
done_testing();
