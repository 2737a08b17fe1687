# Models that somebody has tampered with, and put the checksum right: every
# function says what is wrong or works, and no text that is not valid in the
# database's encoding comes out.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/lib";
use PrecmktTest;
use Test::More;

my $node = new_server('corrupt', init => { extra => [ '-E', 'UTF8', '--no-locale' ] });

value($node, q{
	CREATE TABLE points AS SELECT i % 97 AS n, 'gruen' || i % 2 AS c, date '2020-01-01' + i AS d,
		timestamptz '2020-01-01' + i * interval '7 hours' AS t, ARRAY['a' || i % 2] AS s, ARRAY[i % 7, i % 3]::real[] AS v
		FROM generate_series(1, 200) AS i;
	CREATE TABLE tampered (what text, model bytea);
	CREATE FUNCTION verified(value text) RETURNS text LANGUAGE sql AS
		$$ SELECT convert_from(convert_to(value, 'UTF8'), 'UTF8') $$;
	-- all that one model is asked: the SQLSTATEs that came, 00000 where it worked
	CREATE FUNCTION ask(model bytea, OUT state text, OUT message text) RETURNS SETOF record LANGUAGE plpgsql AS $$
	DECLARE
		question text;
	BEGIN
		FOREACH question IN ARRAY ARRAY[
			'SELECT pm_model_kind($1)',
			'SELECT count(verified(key) || verified(value)) FROM pm_model_info($1)',
			'SELECT count(pm_kmeans_assign($1, points)) FROM points',
			'SELECT count(pm_kmeans_distance($1, points)) FROM points',
			'SELECT count(verified(feature)) FROM pm_kmeans_centroids($1)',
			'SELECT count(verified(metric)) FROM pm_kmeans_evaluate($1)']
		LOOP
			BEGIN
				state := '00000';
				message := NULL;
				EXECUTE question USING model;
			EXCEPTION WHEN OTHERS THEN
				state := SQLSTATE;
				message := question || ': ' || SQLERRM;
			END;
			RETURN NEXT;
		END LOOP;
	END $$});

my $model = pack('H*', value($node, q{SELECT encode(pm_kmeans('points', k => 3), 'hex')}));

# CRC-32C, as the container has it
my @table = map {
	my $crc = $_;
	$crc = $crc & 1 ? ($crc >> 1) ^ 0x82f63b78 : $crc >> 1 for 1 .. 8;
	$crc
} 0 .. 255;

sub sealed
{
	my ($bytes) = @_;
	my $crc = 0xffffffff;

	substr($bytes, 52, 4) = "\0" x 4;
	$crc = ($crc >> 8) ^ $table[ ($crc ^ $_) & 255 ] foreach unpack('C*', $bytes);
	substr($bytes, 52, 4) = pack('V', $crc ^ 0xffffffff);
	return $bytes;
}

is(unpack('H*', sealed($model)), unpack('H*', $model), 'the checksum is understood');

# Single bytes: all of the head and the table of sections, and some of each
# section; in different ways.
my @variants;
for (my $at = 0; $at < length($model); $at += $at < 640 ? 3 : 17)
{
	my $bytes = $model;

	substr($bytes, $at, 1) ^= (chr(0xff), chr(0x01), chr(0x80))[ $at % 3 ];
	push @variants, [ "byte $at", $bytes ];
}

# Texts: not UTF-8, with a NUL, and what JSON does not allow
foreach my $case ([ 'a category', 'gruen1', "gr\xfcen1" ], [ 'a category with NUL', 'gruen1', "gr\0en1" ],
	[ 'a category cut in a character', 'gruen1', "gruen\xc3" ],
	[ 'meta', '"algorithm"', "\"algo\xff\xfethm\"" ], [ 'meta with NUL', '"algorithm"', "\"algo\0ithm\"" ],
	[ 'meta, no JSON', '{"algorithm"', '["algorithm"' ], [ 'meta, an escape', '"algorithm"', '"a\\u0000hm"' ],
	[ 'meta, half a surrogate', '"algorithm"', '"a\\ud800hm"' ],
	[ 'run', '"trained_at"', "\"trained\xa0at\"" ], [ 'run, no object', '{"trained_at": ', '["trained_at", ' ])
{
	my ($what, $from, $to) = @$case;
	my $bytes = $model;

	die "$what: lengths differ" if length($from) != length($to);
	BAIL_OUT("$what: not in the model") if $bytes !~ s/\Q$from\E/$to/;
	push @variants, [ $what, $bytes ];
}

value($node, 'INSERT INTO tampered VALUES ' . join(',',
	map { sprintf(q{('%s', '\x%s')}, $_->[0], unpack('H*', sealed($_->[1]))) } @variants));
my $states = value($node, q{
	SELECT string_agg(state || ' ' || n, ', ' ORDER BY state)
	FROM (SELECT state, count(*) AS n FROM tampered, ask(model) GROUP BY state) AS s});
diag(scalar(@variants) . " models, six questions each: $states");

# corrupt; another kind or an unknown time zone; a column of another name; of
# another class
is_value($node, q{
	SELECT string_agg(format('%s: %s %s', what, state, message), E'\n') FROM tampered, ask(model)
	WHERE state NOT IN ('00000', '22000', '22023', '42703', '42804')},
	'', 'every answer is right or an error that tells of the model');
is_value($node, q{
	SELECT string_agg(DISTINCT what, ', ' ORDER BY what) FROM tampered WHERE what !~ '^byte'
		AND NOT EXISTS (SELECT FROM ask(model) WHERE state = '22000')},
	'', 'bad texts are refused with 22000');
is_value($node, q{SELECT count(*) FROM ask(set_byte((SELECT pm_kmeans('points', k => 2)), 999, 7)) WHERE state = '22000'},
	'6', 'a wrong checksum always is');
is_value($node, q{SELECT count(*) FROM ask('\x') WHERE state = '22000'}, '6', 'no bytes at all');
is_value($node, q{SELECT count(*) FROM ask(substr((SELECT pm_kmeans('points', k => 2)), 1, 1000)) WHERE state = '22000'},
	'6', 'half a model');
is_value($node, q{SELECT count(*) FROM ask(sha512('other')) WHERE state = '22000'}, '6', 'foreign bytes');

$node->stop;
done_testing();
