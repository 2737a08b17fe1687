# Rights: what a role may read is what it trains on, its models are its own,
# and no search_path makes the extension call what it should not.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PrecmktTest;
use Test::More;

my $node = new_server('rights');

value($node, q{
	CREATE ROLE pm_ann LOGIN;
	CREATE ROLE pm_bob LOGIN;
	CREATE ROLE pm_owner LOGIN;
	CREATE TABLE customers AS SELECT i AS id, i % 7 AS spend, i % 5 AS visits, i % 3 AS secret,
		CASE WHEN i % 4 = 0 THEN 'pm_ann' ELSE 'pm_bob' END AS agent FROM generate_series(1, 400) AS i;
	GRANT SELECT (id, spend, visits, agent) ON customers TO pm_ann, pm_bob;
	CREATE TABLE hidden AS SELECT * FROM customers;
	CREATE TABLE guarded AS SELECT * FROM customers;
	GRANT SELECT ON guarded TO pm_ann, pm_bob;
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON guarded USING (agent = CURRENT_USER);
	CREATE DATABASE owned OWNER pm_owner});
value($node, 'GRANT CREATE ON SCHEMA public TO pm_ann, pm_bob');

sub by { return (user => "pm_$_[0]") }
sub value_by { return (extra_params => [ '-U', "pm_$_[0]" ]) }

# --- columns and rows -------------------------------------------------------

my $rows = q{SELECT value FROM pm_model_info(MODEL) WHERE key = 'rows_read'};
sub rows_of { (my $sql = $rows) =~ s/MODEL/$_[0]/; return $sql }

is_value($node, rows_of(q{pm_kmeans('customers', '{spend,visits}', 2)}), '400',
	'columns that may be read', value_by('ann'));
fails_with($node, q{SELECT pm_kmeans('customers', '{spend,secret}', 2)}, '42501', 'a column that may not be read', by('ann'));
fails_with($node, q{SELECT pm_kmeans('customers', k => 2)}, '42501', 'all columns, one of which may not be read', by('ann'));
fails_with($node, q{SELECT pm_kmeans('customers', '{spend}', 2, '{"weight_col": "secret"}')}, '42501',
	'a weight that may not be read', by('ann'));
fails_with($node, q{SELECT * FROM pm_segment('customers', 'secret', '{spend}', 2)}, '42501',
	'an id that may not be read', by('ann'));
fails_with($node, q{SELECT * FROM pm_kmeans_sweep('hidden', '{spend}')}, '42501', 'a table that may not be read', by('ann'));
is_value($node, rows_of(q{pm_kmeans('guarded', '{spend,visits}', 2)}), '100', 'rows that a policy shows', value_by('ann'));
is_value($node, rows_of(q{pm_kmeans('guarded', '{spend,visits}', 2)}), '300', 'another role sees others', value_by('bob'));
is_value($node, q{SELECT count(*) FROM pm_segment('guarded', 'id', '{spend}', 2)}, '100', 'pm_segment likewise', value_by('ann'));
fails_with($node, q{SET row_security = off; SELECT pm_kmeans('guarded', '{spend}', 2)}, '42501',
	'row_security = off is an error', by('ann'));

# one session, two roles, the same statement
is_value($node, q{
	PREPARE train AS SELECT value FROM pm_model_info(pm_kmeans('guarded', '{spend,visits}', 2)) WHERE key = 'rows_read';
	SET ROLE pm_ann; EXECUTE train; EXECUTE train;
	SET ROLE pm_bob; EXECUTE train; RESET ROLE; EXECUTE train},
	"100\n100\n300\n400", 'a change of role changes the rows');

# --- the registry ------------------------------------------------------------

is_value($node, q{SELECT pm_model_save('own', pm_kmeans('customers', '{spend,visits}', 2))}, '1', 'any role saves', value_by('ann'));
is_value($node, q{SELECT count(*) FROM pm_models}, '0', 'and another one does not see it', value_by('bob'));
foreach my $sql (q{SELECT pm_model('own')}, q{SELECT * FROM pm_model_info('own')}, q{SELECT * FROM pm_kmeans_centroids('own')},
	q{SELECT pm_kmeans_assign('own', c) FROM (SELECT spend, visits FROM customers) AS c})
{
	fails_with($node, $sql, '42704', "nor use it: $sql", by('bob'));
}
fails_with($node, q{SELECT pm_model_save('own', pm_kmeans('customers', '{spend,visits}', 2))}, '42710',
	'nor take its name', by('bob'));
fails_with($node, q{INSERT INTO pm_models (name, version, model, kind, created_by)
	SELECT 'forged', 1, pm_kmeans('customers', '{spend}', 2), 'kmeans', 'pm_ann'}, '42501', 'nor save in its name', by('bob'));
is_value($node, q{UPDATE pm_models SET name = 'stolen' RETURNING name}, '', 'nor rename it', value_by('bob'));
fails_with($node, q{
	PREPARE score AS SELECT count(pm_kmeans_assign('own', c)) FROM (SELECT spend, visits FROM customers) AS c;
	SET ROLE pm_ann; EXECUTE score;
	SET ROLE pm_bob; EXECUTE score}, '42704', 'not even in a session that has it opened');
fails_with($node, q{
	DO $$
	DECLARE
		r record;
		role text;
		cluster int;
	BEGIN
		SELECT 1 AS spend, 1 AS visits INTO r;
		FOREACH role IN ARRAY '{pm_ann,pm_bob}'::text[] LOOP
			PERFORM set_config('role', role, true);
			cluster := pm_kmeans_assign('own', r);
		END LOOP;
	END $$}, '42704', 'nor at one call site of a function');

# --- a record's type that changes, and errors in between ---------------------

my $session = new_session($node);
$session->query_safe(q{
	CREATE TEMP TABLE kinds AS SELECT 'c' || i % 3 AS c, i % 2 AS n FROM generate_series(1, 30) AS i;
	CREATE TEMP TABLE m AS SELECT pm_kmeans('kinds', k => 3) AS model;
	CREATE TEMP TABLE r AS SELECT * FROM kinds LIMIT 1});
my $score = 'SELECT pm_kmeans_assign(model, r) IS NOT NULL FROM m, r';
is($session->query_safe($score), 't', 'a row scores');
$session->query_safe('ALTER TABLE r ALTER c TYPE int USING 5');
is((session_state($session, $score))[0], '42804', 'not once its column has another type') for 1 .. 2;
$session->query_safe(q{ALTER TABLE r ALTER c TYPE varchar USING 'c1'; ALTER TABLE r DROP n, ADD n float8 DEFAULT 1});
is($session->query_safe($score), 't', 'and again when it has a fitting one');
$session->query_safe('ALTER TABLE r RENAME c TO d');
is((session_state($session, $score))[0], '42703', 'not under another name');
my $mixed = 'SELECT pm_kmeans_assign(model, s) IS NOT NULL FROM m, (SELECT %s AS c, 1 AS n) AS s';
is((session_state($session, sprintf($mixed, q{'c1'::text})))[0], '00000', 'a record scores');
is((session_state($session, sprintf($mixed, '42')))[0], '42804', 'one of another type does not') for 1 .. 3;
is((session_state($session, sprintf($mixed, q{'c1'::text})))[0], '00000', 'and the first one still does');
$session->quit;

# --- a cast of a user's that scores by many models while it is called ---------

fails_with($node, q{
	CREATE TYPE pair AS (a real, b real);
	CREATE TABLE pairs AS SELECT ROW(i, i % 5)::pair AS p FROM generate_series(1, 50) AS i;
	CREATE TABLE others AS SELECT pm_kmeans('customers', '{spend,visits}', 2, jsonb_build_object('seed', i)) AS model
		FROM generate_series(1, 40) AS i;
	CREATE FUNCTION pair_vector(p pair) RETURNS real[] LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM count(pm_kmeans_assign(model, c)) FROM others, (SELECT 1 AS spend, 2 AS visits) AS c;
		RETURN ARRAY[p.a, p.b];
	END $$;
	CREATE CAST (pair AS real[]) WITH FUNCTION pair_vector(pair);
	CREATE TABLE of_pairs AS SELECT pm_kmeans('pairs', k => 4) AS model;
	SELECT 1 / (count(DISTINCT pm_kmeans_assign(model, pairs)) - 4) FROM of_pairs, pairs},
	'22012', 'a cast may score by more models than are kept open');
fails_with($node, q{
	CREATE OR REPLACE FUNCTION pair_vector(p pair) RETURNS real[] LANGUAGE plpgsql AS $$
	BEGIN
		RETURN ARRAY[pm_kmeans_assign(model, r), p.b] FROM of_pairs, (SELECT p) AS r;
	END $$;
	SELECT pm_kmeans_assign(model, pairs) FROM of_pairs, pairs}, '0A000',
	'but not by the one that it is called for');

# --- a database's owner, no superuser; SET SCHEMA; search_path ----------------

my @owned = (dbname => 'owned', value_by('owner'));
value($node, q{
	CREATE SCHEMA apart;
	CREATE EXTENSION precmkt SCHEMA apart;
	CREATE TABLE public.points AS SELECT i AS id, i % 7 AS a, i % 5 AS b, now() - i * interval '1 day' AS ts, i::numeric AS amount,
		i * 31 % 17 < 8 AS high, i / 200.0::float8 AS share FROM generate_series(1, 200) AS i;
	CREATE INDEX ON public.points (a);
	CREATE INDEX ON public.points (b);
	CREATE SCHEMA "Another ""one"""}, @owned);
pass('the owner of a database installs the extension');
# a trusted extension's objects are the superuser's, and so is moving them
value($node, 'ALTER EXTENSION precmkt SET SCHEMA "Another ""one"""; GRANT USAGE ON SCHEMA "Another ""one""" TO pm_owner',
	dbname => 'owned');

# Every function, off the search_path.
my $x = '"Another ""one"""';
my $from = 'public.points';
my @calls = (
	"SELECT count(*) > 0 FROM $x.pm_device_info()",
	"SELECT $x.pm_model_save('m', $x.pm_kmeans('$from', '{a,b}', 3)) > 0",
	"SELECT $x.pm_model_save('m', $x.pm_model('m'), '{}') > 0",
	"SELECT $x.pm_model_kind($x.pm_model('m')) = 'kmeans'",
	"SELECT count(*) > 5 FROM $x.pm_model_info('m')",
	"SELECT count(*) > 5 FROM $x.pm_model_info($x.pm_model('m'))",
	"SELECT count(*) = 200 AND min($x.pm_kmeans_assign('m', points)) = 1 FROM $from",
	"SELECT min($x.pm_kmeans_assign($x.pm_model('m'), points)) = 1 FROM $from",
	"SELECT min($x.pm_kmeans_distance('m', points)) >= 0 FROM $from",
	"SELECT min($x.pm_kmeans_distance($x.pm_model('m'), points)) >= 0 FROM $from",
	"SELECT count(*) = 6 FROM $x.pm_kmeans_centroids('m')",
	"SELECT count(*) = 6 FROM $x.pm_kmeans_centroids($x.pm_model('m'))",
	"SELECT count(*) = 6 FROM $x.pm_kmeans_evaluate('m')",
	"SELECT count(*) = 6 FROM $x.pm_kmeans_evaluate($x.pm_model('m'))",
	"SELECT count(*) = 3 FROM $x.pm_kmeans_sweep('$from', '{a,b}', 2, 4)",
	"SELECT count(*) = 200 FROM $x.pm_segment('$from', 'id', '{a,b}', 3)",
	"SELECT count(*) = 200 FROM $x.pm_segment('$from', 'id', '{a,b}', 3, '{}', NULL::int)",
	"SELECT $x.pm_model_kind($x.pm_kmeans_agg(p, '{\"k\": 2}')) = 'kmeans' FROM (SELECT a, b FROM $from) AS p",
	"SELECT $x.pm_model_kind($x.pm_kmeans_agg(p)) = 'kmeans' FROM (SELECT a, b FROM $from) AS p",
	"SELECT count(*) = 7 FROM $x.pm_rfm('$from', 'a', 'ts', 'amount')",
	"SELECT count(*) = 7 FROM $x.pm_rfm('$from', 'a', 'ts', 'amount', id_type => NULL::int)",
	"SELECT $x.pm_model_save('ctr', $x.pm_train_ctr('$from', 'high', '{a,b,ts}')) > 0",
	"SELECT $x.pm_model_save('fm', $x.pm_train_ctr('$from', 'high', '{a,b}', 'fm', '{\"epochs\": 2, \"transform\": {\"a\": \"values\"}}')) > 0",
	"SELECT $x.pm_model_save('ftrl', $x.pm_train_ctr('$from', 'high', '{a,b}', 'ftrl', '{\"time_col\": \"ts\"}')) > 0",
	"SELECT $x.pm_model_kind($x.pm_train_ctr('$from', 'high', options => '{\"init\": \"fm\"}', algorithm => 'fm')) = 'ctr'",
	"SELECT $x.pm_model_kind($x.pm_update_ctr($x.pm_model('ctr'), '$from', 'high')) = 'ctr'",
	"SELECT $x.pm_model_kind($x.pm_update_ctr('ftrl', '$from', 'high')) = 'ctr'",
	"SELECT $x.pm_model_kind($x.pm_train_ctr_agg(high, p)) = 'ctr' FROM (SELECT high, a, b FROM $from) AS p",
	"SELECT $x.pm_model_kind($x.pm_train_ctr_agg(high, p, '{\"l2\": 2}')) = 'ctr' FROM (SELECT high, a, b FROM $from) AS p",
	"SELECT min($x.pm_predict_ctr('ctr', points)) >= 0 FROM $from",
	"SELECT min($x.pm_predict_ctr($x.pm_model('fm'), points)) >= 0 FROM $from",
	"SELECT count(*) = 200 FROM $x.pm_predict_ctr_rows('ctr', '$from', 'id')",
	"SELECT count(*) = 200 FROM $x.pm_predict_ctr_rows($x.pm_model('ftrl'), '$from', 'id', NULL::int)",
	"SELECT count(*) > 5 FROM $x.pm_evaluate_ctr('ctr', '$from', 'high')",
	"SELECT count(*) > 5 FROM $x.pm_evaluate_ctr($x.pm_model('fm'), '$from', 'high')",
	"SELECT count(*) > 2 FROM $x.pm_model_weights('ctr')",
	"SELECT count(*) > 2 FROM $x.pm_model_weights($x.pm_model('ftrl'))",
	"SELECT count(*) > 2 FROM $from, $x.pm_explain_ctr('ctr', points) WHERE id OPERATOR(pg_catalog.=) 7",
	"SELECT count(*) > 2 FROM $from, $x.pm_explain_ctr($x.pm_model('fm'), points) WHERE id OPERATOR(pg_catalog.=) 7",
	"SELECT count(*) > 0 FROM $x.pm_training_log('ctr')",
	"SELECT count(*) > 0 FROM $x.pm_training_log($x.pm_model('fm'))",
	"SELECT $x.pm_auc_agg(high, a) > 0 FROM $from",
	"SELECT $x.pm_auc_agg(high, a, b) > 0 FROM $from",
	"SELECT $x.pm_log_loss_agg(high, 0.4) > 0 FROM $from",
	"SELECT $x.pm_log_loss_agg(high, 0.4, b) > 0 FROM $from",
	"SELECT ($x.pm_binary_metrics_agg(high, 0.1 * b)).auc > 0 FROM $from",
	"SELECT ($x.pm_binary_metrics_agg(high, 0.1 * b, 0.3)).auc > 0 FROM $from",
	"SELECT ($x.pm_binary_metrics_agg(high, 0.1 * b, 0.3, a)).auc > 0 FROM $from",
	"SELECT count(*) > 3 FROM $x.pm_roc('$from', 'high', 'a')",
	"SELECT count(*) > 3 FROM $x.pm_pr_curve('$from', 'high', 'a', '{\"weight_col\": \"b\"}')",
	"SELECT count(*) > 3 FROM $x.pm_lift('$from', 'high', 'a')",
	"SELECT count(*) > 0 FROM $x.pm_calibration((SELECT '$from'::regclass), 'high', 'share')",
	"SELECT count(*) > 3 FROM $x.pm_leakage_check('$from', 'high')",
	"SELECT count(*) > 0 FROM $x.pm_similar_users('$from', 3, 5, 'a', 'b')",
	"SELECT count(*) > 0 FROM $x.pm_similar_users('$from', 3, 5, 'a', 'b', NULL, 'tfidf')",
	"SELECT count(*) > 0 FROM $x.pm_similar_items('$from', 3, 5, 'a', 'b', 'amount')",
	"SELECT count(*) > 0 FROM $x.pm_neighbours_all('$from', 'item', 5, 'a', 'b')",
	"SELECT count(*) > 0 FROM $x.pm_neighbours_all('$from', 'user', 5, 'a', 'b', NULL, 'cosine', '{}', NULL::int)",
	"SELECT count(*) > 5 FROM $x.pm_demo_shop('tiny_shop', users => 20, products => 20, days => 10)",
);
my %called;
foreach my $sql (@calls)
{
	$called{$1} = 1 while $sql =~ /\.(pm_\w+)\(/g;
	is_value($node, "SET search_path = ''; $sql", 't', "off the search_path: $sql", @owned);
}
my $missed = value($node, q{
	SELECT string_agg(DISTINCT proname, ' ') FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND pronamespace = '"Another ""one"""'::regnamespace
		AND proname !~ '(trans|combine|serial|final)fn|_support|pm_rfm_typed'
		AND proname <> ALL (string_to_array('} . join(' ', keys %called) . q{', ' '))}, @owned);
is($missed, '', 'every function was called');

# Everything that our queries might call by name, in a schema that comes first.
value($node, q{
	CREATE SCHEMA evil;
	CREATE FUNCTION evil.trap() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'trapped' USING ERRCODE = 'P0666'; END $$;
	CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.trap() IS NULL';
	CREATE FUNCTION evil.eq(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT evil.trap() IS NULL';
	CREATE FUNCTION evil.eq(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.trap() IS NULL';
	CREATE FUNCTION evil.eq(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT evil.trap() IS NULL';
	CREATE FUNCTION evil.plus(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1 FROM evil.trap()';
	CREATE FUNCTION evil.minus(timestamptz, timestamptz) RETURNS interval LANGUAGE sql AS 'SELECT NULL::interval FROM evil.trap()';
	CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
	CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.eq);
	CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.eq);
	CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.eq);
	CREATE OPERATOR evil.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.plus);
	CREATE OPERATOR evil.- (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.minus);
	CREATE FUNCTION evil.compare(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT evil.trap() IS NULL';
	CREATE OPERATOR evil.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.compare);
	CREATE OPERATOR evil.= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.compare);
	CREATE OPERATOR evil.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.compare);
	CREATE FUNCTION evil.least(timestamptz, timestamptz) RETURNS timestamptz LANGUAGE sql AS 'SELECT $1 FROM evil.trap()';
	CREATE AGGREGATE evil.min(timestamptz) (SFUNC = evil.least, STYPE = timestamptz);
	CREATE AGGREGATE evil.max(int) (SFUNC = evil.plus, STYPE = int);
	CREATE AGGREGATE evil.count(int) (SFUNC = evil.plus, STYPE = int);
	CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz FROM evil.trap()';
	CREATE FUNCTION evil.hashtext(text) RETURNS int LANGUAGE sql AS 'SELECT 1 FROM evil.trap()';
	CREATE FUNCTION evil.pm_rfm_typed(regclass, name, name, name, timestamptz, int, anyelement) RETURNS int
		LANGUAGE sql AS 'SELECT 1 FROM evil.trap()';
	CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.trap() IS NULL);
	CREATE TABLE evil.pm_models (name text, version int, model bytea, kind text, metrics jsonb, deployed boolean);
	CREATE TABLE evil.points AS SELECT 1 AS a;
	CREATE TABLE evil.pg_class AS SELECT 1 AS oid;
	CREATE TABLE evil.pg_attribute AS SELECT 1 AS oid}, @owned);
fails_with($node, q{SET search_path = evil, pg_catalog; SELECT 1 = 1}, 'P0666', 'the trap is set', dbname => 'owned', by('owner'));
my $trapped = '';
foreach my $sql (@calls)
{
	# the caller's own operators are left out: the result only, not its check
	(my $bare = $sql) =~ s/^SELECT .*? FROM (?=\S+\.pm_\w+\()/SELECT * FROM /;
	$bare =~ s/ (?:> 0|= '(?:kmeans|ctr)')//;
	$bare =~ s/^SELECT .*(min\(.*\)) (?:= 1|>= 0)/SELECT $1/;
	$bare =~ s/tiny_shop/trapped_shop/;
	my ($state, $message) = sqlstate($node, "SET search_path = evil, pg_catalog; $bare", dbname => 'owned', by('owner'));
	$trapped .= "$bare: $state $message\n" if $state ne '00000';
}
is($trapped, '', 'nothing of ours falls into it');

$node->stop;
done_testing();
