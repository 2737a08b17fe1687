-- features: what each SQL type becomes, and what is refused
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA features_test;
SET search_path = features_test, public;
RESET client_min_messages;

-- the SQLSTATE, message, detail and hint of a statement that fails
CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text;
    d text;
    h text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN sqlstate || ': ' || m || CASE WHEN d <> '' THEN ' (' || d || ')' ELSE '' END ||
        CASE WHEN h <> '' THEN ' / ' || h ELSE '' END;
END $$;

-- clusters of a model as one line each: features, size
CREATE FUNCTION clusters(model bytea) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT cluster || ': ' || string_agg(feature || ' ' || round(value::numeric, 3), ', ' ORDER BY n) || ', size ' || min(size)
    FROM pm_kmeans_centroids(model) WITH ORDINALITY AS c(cluster, feature, value, size, radius, n)
    GROUP BY cluster ORDER BY cluster
$$;
CREATE FUNCTION info(model bytea, VARIADIC keys text[]) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT key || ' = ' || value FROM pm_model_info(model) WHERE key = ANY(keys) ORDER BY array_position(keys, key)
$$;

-- what each type becomes: one column a table, the features' names and centroids of one cluster
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE typed (n int, bo boolean, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, nu numeric, iv interval,
    te text, vc varchar(10), ch char(6), en mood, uu uuid, da date, ts timestamp, tz timestamptz,
    ta text[], va varchar[], i2a int2[], i4a int[], i8a bigint[], f4a float4[], f8a float8[]);
INSERT INTO typed VALUES
    (1, true, 1, -1, 10, 0.5, 1e10, 1.25, '1 year 2 months 3 days 04:05:06', 'a', 'x', 'ab', 'sad', '00000000-0000-0000-0000-000000000001',
        '2024-02-29', '2024-02-29 23:30', '2024-02-29 23:30+00', '{new,sale}', '{v}', '{1,2}', '{1,1,-1}', '{9000000000}', '{1,2}', '{-1,0.5,3}'),
    (2, false, 3, -3, 30, 1.5, 3e10, 3.75, '-1 day', '', 'y', 'ab  ', 'happy', '00000000-0000-0000-0000-000000000001',
        '2024-03-02', '2024-03-02 00:15', '2024-03-02 00:15+00', '{sale,NULL}', '{}', '{2}', '{1}', '{-1}', '{3,6}', '{1,1.5,5}');
SET TimeZone = 'UTC';
SELECT u.col, feature, round(value::numeric, 4) AS value
FROM unnest('{bo,i2,i4,i8,f4,f8,nu,iv,te,vc,ch,en,uu,ta,va,i2a,i4a,i8a,f4a,f8a}'::name[]) WITH ORDINALITY AS u(col, n),
    pm_kmeans_centroids(pm_kmeans('typed', ARRAY[col], 1)) WITH ORDINALITY AS c(cluster, feature, value, size, radius, m)
ORDER BY u.n, m;
-- an interval is its seconds as extract(epoch) counts them
SELECT abs(value - (SELECT avg(extract(epoch FROM iv)) FROM typed)::float8) <= 4 AS same FROM pm_kmeans_centroids(pm_kmeans('typed', '{iv}', 1));
-- times: age in days before the newest, then weekday and, but for a date, hour
SELECT u.col, feature, round(value::numeric, 2) AS value
FROM unnest('{da,ts,tz}'::name[]) WITH ORDINALITY AS u(col, n),
    pm_kmeans_centroids(pm_kmeans('typed', ARRAY[col], 1)) WITH ORDINALITY AS c(cluster, feature, value, size, radius, m)
WHERE value <> 0 ORDER BY u.n, m;
-- hours of a timestamptz are those of the session's zone while training, and of the model's zone ever after
SET TimeZone = 'Asia/Kolkata';
CREATE TABLE zoned AS SELECT pm_kmeans('typed', '{tz}', 2) AS model;
SELECT cluster, feature FROM zoned, pm_kmeans_centroids(model) WHERE feature ~ '(hour|weekday)' AND value = 1 ORDER BY 1, 2;
SELECT n, pm_kmeans_assign(model, typed), round(pm_kmeans_distance(model, typed)::numeric, 4) AS distance FROM typed, zoned ORDER BY n;
SET TimeZone = 'America/New_York';
SELECT n, pm_kmeans_assign(model, typed), round(pm_kmeans_distance(model, typed)::numeric, 4) AS distance FROM typed, zoned ORDER BY n;
-- a zone without a name
SET TIME ZONE INTERVAL '+05:30' HOUR TO MINUTE;
CREATE TABLE unnamed AS SELECT pm_kmeans('typed', '{tz}', 2) AS model;
SET TimeZone = 'UTC';
SELECT cluster, feature FROM unnamed, pm_kmeans_centroids(model) WHERE feature ~ '(hour|weekday)' AND value = 1 ORDER BY 1, 2;
SELECT n, round(pm_kmeans_distance(model, typed)::numeric, 4) AS distance FROM typed, unnamed ORDER BY n;
-- every weekday, against PostgreSQL's own, before and after 2000
CREATE VIEW days AS SELECT date '1999-12-25' + i AS d FROM generate_series(0, 13) AS i;
SELECT count(*) AS days, bool_and(round(value::numeric, 4) = 2) AS two_of_each FROM (
    SELECT feature, value * 14 AS value FROM pm_kmeans_centroids(pm_kmeans('days', k => 1)) WHERE feature LIKE '%weekday%') AS s;
SELECT bool_and(feature = 'd.weekday=' || trim(to_char(d, 'Day'))) AS right_name FROM days,
    pm_kmeans_centroids((SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (SELECT days.d) AS r)) WHERE feature LIKE '%weekday%' AND value = 1;

-- all together, and scored: the same features, in the model's order, whatever the order of the record
CREATE TABLE everything AS SELECT pm_kmeans('typed', k => 2) AS model;
SELECT info(model, 'columns', 'features', 'rows_used') FROM everything;
SELECT n, pm_kmeans_assign(model, typed), pm_kmeans_distance(model, typed) < 1e-3 AS near FROM typed, everything ORDER BY n;
SELECT r.n, pm_kmeans_assign(model, r), pm_kmeans_distance(model, r) < 1e-3 AS near FROM everything,
    (SELECT f8a, f4a, i8a, i4a, i2a, va, ta, tz, ts, da, uu, en, ch, vc, te, iv, nu, f8, 0 AS more, f4, i8, i4, i2, bo, n FROM typed) AS r ORDER BY n;
-- other types of the same sort are as good; of another sort are refused
SELECT pm_kmeans_assign(model, r) FROM (SELECT pm_kmeans('typed', '{i4,te,ta,f8a}', 2) AS model) AS m,
    (SELECT i4::numeric, te::varchar, ta::varchar[], f8a::float4[] FROM typed WHERE n = 1) AS r;
SELECT failure(format('SELECT pm_kmeans_assign(pm_kmeans(''typed'', ''{%s}'', 1), r) FROM (SELECT %s AS %s FROM typed) AS r', col, value, col))
FROM (VALUES (1, 'i4', 'te'), (2, 'te', 'i4'), (3, 'iv', 'i4'), (4, 'i4', 'iv'), (5, 'da', 'ts'), (6, 'ts', 'da'), (7, 'ta', 'te'), (8, 'te', 'ta'),
    (9, 'f4a', 'ta'), (10, 'f4a', 'f8a'), (11, 'f4a', 'f4'), (12, 'te', $$'{}'::json$$), (13, 'f4a', $$'{}'::float4[]$$), (14, 'f4a', $$'{{1,2}}'::float4[]$$),
    (15, 'f4a', $$'{1,NULL}'::float4[]$$), (16, 'f4a', $$'{1,Infinity}'::float4[]$$), (17, 'f8', $$'NaN'::float8$$), (18, 'f8', '1e300::float8'),
    (19, 'da', $$'infinity'::date$$), (20, 'tz', $$'-infinity'::timestamptz$$)) AS s(n, col, value) ORDER BY n;
-- a feature that the record lacks
SELECT failure($$SELECT pm_kmeans_assign(model, r) FROM everything, (SELECT i4, te FROM typed) AS r$$);
SELECT failure($$SELECT pm_kmeans_assign(pm_kmeans('typed', '{i4,te}', 1), ROW(1, 'a'))$$);

-- a category not seen in training, and NULL, are no category: as far from each
CREATE TABLE cats AS SELECT i AS id, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END AS c FROM generate_series(1, 10) AS i;
CREATE TABLE cats_model AS SELECT pm_kmeans('cats', '{c}', 2) AS model;
SELECT r.c, pm_kmeans_assign(model, r), round(pm_kmeans_distance(model, r)::numeric, 4) AS distance
FROM cats_model, (SELECT unnest(ARRAY['even', 'odd', 'Odd', 'odd ', '', NULL]) AS c) AS r ORDER BY r.c COLLATE "C";
-- char(n) is compared without its padding, and with text
SELECT r.c, pm_kmeans_distance(model, r) FROM cats_model, (SELECT 'odd'::char(8) AS c UNION ALL SELECT 'even'::char(20)) AS r ORDER BY r.c COLLATE "C";
-- names are sorted by bytes, not in the order in which they came
SELECT feature FROM pm_kmeans_centroids((SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (SELECT unnest(ARRAY['b', 'a', 'B', '10', '9', '~']) AS x) AS r)) WITH ORDINALITY ORDER BY ordinality;
SELECT octet_length(feature) FROM pm_kmeans_centroids((SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (SELECT 'Größe' AS "Maß") AS r)) WHERE feature = 'Maß=Größe';
-- an enum value that came later; a set with one member of several unseen
ALTER TYPE mood ADD VALUE 'angry';
SELECT round(pm_kmeans_distance(pm_kmeans('typed', '{en}', 1), r)::numeric, 4) AS distance FROM (SELECT 'angry'::mood AS en) AS r;
SELECT r.ta, round(pm_kmeans_distance(pm_kmeans('typed', '{ta}', 2), r)::numeric, 4) AS distance
FROM (VALUES ('{new,sale}'::text[]), ('{sale,sale,new,unseen}'), ('{sale}'), ('{{sale},{new}}'), ('{}'), ('{unseen}')) AS r(ta);

-- too many categories: soon an error, also where every row has its own
CREATE VIEW millions AS SELECT 'user ' || i AS u FROM generate_series(1, 1000000) AS i;
SELECT failure($$SELECT pm_kmeans('millions', k => 2)$$);
SELECT failure($$SELECT pm_kmeans_agg(millions) FROM millions$$);
SELECT failure($$SELECT pm_kmeans('cats', '{c}', 2, '{"max_categories": 1}')$$);
SELECT info(pm_kmeans('cats', '{c}', 2, '{"max_categories": 2}'), 'features');
CREATE VIEW hundreds AS SELECT 'c' || i % 150 AS c, ARRAY['s' || i % 150] AS s FROM generate_series(1, 300) AS i;
SELECT failure($$SELECT pm_kmeans('hundreds', '{c}', 2)$$);
SELECT failure($$SELECT pm_kmeans('hundreds', '{s}', 2)$$);
SELECT info(pm_kmeans('hundreds', k => 150, options => '{"max_categories": 150}'), 'features', 'inertia');

-- vectors: a type with a cast to float4[], by a function of one, two and three arguments
CREATE TYPE point3 AS (x float4, y float4, z float4);
CREATE FUNCTION to_array(p point3) RETURNS float4[] LANGUAGE sql IMMUTABLE AS $$ SELECT ARRAY[p.x, p.y, p.z] $$;
CREATE CAST (point3 AS float4[]) WITH FUNCTION to_array(point3);
CREATE TABLE places (id int, at point3);
INSERT INTO places SELECT i, (i, i * 2, CASE WHEN i <= 3 THEN 0 ELSE 100 END)::point3 FROM generate_series(1, 5) AS i;
SELECT clusters(pm_kmeans('places', '{at}', 2));
SELECT id::int, cluster FROM pm_segment('places', 'id', '{at}', 2) ORDER BY 1;
-- the cast's function runs with the caller's rights, which must allow it
CREATE ROLE regress_features_user;
GRANT USAGE ON SCHEMA features_test TO regress_features_user;
GRANT SELECT ON places TO regress_features_user;
REVOKE EXECUTE ON FUNCTION to_array(point3) FROM PUBLIC;
SET ROLE regress_features_user;
SELECT failure($$SELECT pm_kmeans('places', '{at}', 2)$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION to_array(point3) TO PUBLIC;
SET ROLE regress_features_user;
SELECT clusters(pm_kmeans('places', '{at}', 2));
RESET ROLE;
DROP CAST (point3 AS float4[]);
SELECT failure($$SELECT pm_kmeans('places', '{at}', 2)$$);
CREATE FUNCTION to_array(p point3, typmod int, explicit boolean) RETURNS float4[] LANGUAGE plpgsql AS $$ BEGIN
    IF typmod <> -1 OR NOT explicit THEN RAISE 'typmod %, explicit %', typmod, explicit; END IF;
    RETURN CASE WHEN p.x = 3 THEN NULL ELSE ARRAY[p.x, p.y, p.z] END; END $$;
CREATE CAST (point3 AS float4[]) WITH FUNCTION to_array(point3, int, boolean);
SELECT regexp_replace(failure($$SELECT pm_kmeans('places', '{at}', 2)$$), 'function \d+', 'function N');
DELETE FROM places WHERE id = 3;
SELECT clusters(pm_kmeans('places', '{at}', 2));
-- such a cast may do anything, even score: it must not pull the model from under the scorer that calls it
CREATE TABLE inner_models AS SELECT i, (SELECT pm_kmeans_agg(r, jsonb_build_object('k', 2)) FROM (SELECT g * i AS a FROM generate_series(1, 9) AS g) AS r) AS model
FROM generate_series(1, 40) AS i;
CREATE TABLE places_model AS SELECT pm_kmeans('places', k => 2) AS model;
CREATE OR REPLACE FUNCTION to_array(p point3, typmod int, explicit boolean) RETURNS float4[] LANGUAGE plpgsql AS $$ BEGIN
    IF p.z = 0 THEN PERFORM pm_kmeans_assign(model, r) FROM inner_models, (SELECT 1 AS a) AS r; END IF;
    IF p.z = -1 THEN PERFORM pm_kmeans_assign(model, r) FROM places_model, (SELECT 0 AS id, (1, 1, 1)::point3 AS at) AS r; END IF;
    RETURN ARRAY[p.x, p.y, p.z]; END $$;
SELECT id, pm_kmeans_assign(model, places), round(pm_kmeans_distance(model, places)::numeric, 3) AS distance FROM places, places_model ORDER BY id;
SELECT failure($$SELECT pm_kmeans_assign(model, r) FROM places_model, (SELECT 1 AS id, (1, 1, -1)::point3 AS at) AS r$$);
SELECT id, pm_kmeans_assign(model, places) FROM places, places_model ORDER BY id;
-- lengths: one in training, the same in scoring; NULL is the mean vector
SELECT failure($$SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (VALUES ('{1,2}'::float8[]), ('{1,2,3}')) AS r(v)$$);
SELECT failure($$SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (VALUES ('{1,2}'::float8[]), ('{}')) AS r(v)$$);
SELECT failure($$SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (VALUES ('{1,2}'::float8[]), ('{1,NULL}')) AS r(v)$$);
SELECT failure($$SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (VALUES ('{1,2}'::float8[]), ('{1,NaN}')) AS r(v)$$);
SELECT failure($$SELECT pm_kmeans_agg(r, '{"k": 1}') FROM (VALUES ('{1,2}'::float8[]), ('{1,1e39}')) AS r(v)$$);
-- NULLs before the first vector, two vector columns that grow in turn, numbers between
CREATE TABLE grow (id int, v float4[], a int, w float8[], b int);
INSERT INTO grow VALUES (1, NULL, 1, NULL, 10), (2, NULL, 2, '{5,6,7}', 20), (3, '[5:6]={1,2}', 3, NULL, 30), (4, '{3,4}', 6, '{7,8,9}', 60);
SELECT clusters(pm_kmeans('grow', '{v,a,w,b}', 1));
SELECT clusters(pm_kmeans('grow', '{v,a,w,b}', 1, '{"missing": "skip"}'));
SELECT info(pm_kmeans('grow', '{v,a,w,b}', 1), 'features', 'missing_values');

-- NULLs: imputed by the mean, or the row is left out; a row of NULLs only is left out always
CREATE TABLE gaps (id int, a float8, c text);
INSERT INTO gaps VALUES (1, 0, 'x'), (2, 2, NULL), (3, NULL, 'x'), (4, NULL, NULL), (5, 100, 'y'), (6, 102, 'y');
SELECT info(pm_kmeans('gaps', '{a,c}', 2), 'rows_read', 'rows_used', 'rows_skipped', 'missing_values');
SELECT clusters(pm_kmeans('gaps', '{a,c}', 1));
SELECT info(pm_kmeans('gaps', '{a,c}', 2, '{"missing": "skip"}'), 'rows_read', 'rows_used', 'rows_skipped', 'missing_values');
SELECT clusters(pm_kmeans('gaps', '{a,c}', 1, '{"missing": "skip"}'));
SELECT info(pm_kmeans_agg(g, '{"k": 1, "exclude": ["id"], "missing": "skip"}'), 'rows_read', 'rows_used', 'rows_skipped') FROM gaps AS g;
-- ... and has no cluster
SELECT id::int, cluster, distance IS NULL AS no_distance FROM pm_segment('gaps', 'id', '{a,c}', 2) ORDER BY 1;
CREATE TABLE gaps_model AS SELECT pm_kmeans('gaps', '{a,c}', 2) AS m;
SELECT r.a, r.c, pm_kmeans_assign(m, r), round(pm_kmeans_distance(m, r)::numeric, 4) AS distance
FROM gaps_model, (VALUES (1::float8, 'x'), (1, NULL), (NULL, 'x'), (NULL, NULL)) AS r(a, c);

-- columns without any influence: NULL throughout, constant, constant but for rounding
CREATE TABLE dull (id int, nothing float8, novector float4[], nocategory text, noset text[], constant int, nearly float8, a float8);
INSERT INTO dull SELECT i, NULL, NULL, NULL, NULL, 7, 1e6 + i * 1e-7, i / 6 FROM generate_series(1, 10) AS i;
SELECT clusters(pm_kmeans('dull', '{nothing,novector,nocategory,noset,constant,nearly,a}', 2));
CREATE TABLE dull_model AS SELECT pm_kmeans('dull', '{nothing,novector,nocategory,noset,constant,a}', 2) AS model;
SELECT r.a, pm_kmeans_assign(model, r) FROM dull_model,
    (VALUES (5::float8, '{1,2}'::float4[], 'x'::text, '{y}'::text[], 7, 0), (NULL, NULL, NULL, NULL, 7, 1)) AS r(nothing, novector, nocategory, noset, constant, a);
-- nothing but such columns
SELECT failure($$SELECT pm_kmeans('dull', '{nothing}', 1)$$);
SELECT failure($$SELECT pm_kmeans('dull', '{constant}', 2)$$);
SELECT clusters(pm_kmeans('dull', '{constant,nothing}', 1));
CREATE VIEW empty_sets AS SELECT '{}'::text[] AS s, '{NULL}'::int[] AS t FROM generate_series(1, 3);
SELECT failure($$SELECT pm_kmeans('empty_sets', k => 1)$$);

-- NaN, infinity and what does not fit are refused, with the column and the row
CREATE TABLE bad (id int, f8 float8, f4 float4, nu numeric, ts timestamp, da date, w float8);
SELECT v, failure(format('TRUNCATE bad; INSERT INTO bad (%s) VALUES (%L), (%L); SELECT pm_kmeans(''bad'', ''{%s}'', 1)', col, good, v, col))
FROM (VALUES (1, 'f8', '1', 'NaN'), (2, 'f8', '1', 'Infinity'), (3, 'f8', '1', '-Infinity'), (4, 'f8', '1', '1e300'), (5, 'f8', '1', '-1e39'),
    (6, 'f4', '1', 'NaN'), (7, 'f4', '1', '-Infinity'), (8, 'nu', '1', 'NaN'), (9, 'nu', '1', '1e39'), (10, 'nu', '1', '-1e400'),
    (11, 'ts', '2024-01-01', 'infinity'), (12, 'da', '2024-01-01', '-infinity'), (13, 'f8', '1', '1e30')) AS s(n, col, good, v) ORDER BY n;
-- the ends of the ranges are fine
TRUNCATE bad;
INSERT INTO bad (id, f8, nu, ts, da) VALUES (2147483647, 1e-300, 1e-400, '4713-01-01 BC', '4713-01-01 BC'), (-2147483648, -1e18, 1e18, '294276-01-01', '5874897-01-01');
SELECT info(pm_kmeans('bad', '{id,f8,nu,ts,da}', 2), 'rows_used', 'inertia');

-- types that are no feature
CREATE TABLE odd (js json, jb jsonb, by bytea, po point, mo money, ti time, tt timetz, xm xml, bi bit(3), ip inet, ra int4range, na name, ba boolean[], nua numeric[], oi oid, ta timestamp[]);
SELECT failure(format('SELECT pm_kmeans(''odd'', ''{%s}'', 1)', attname)) FROM pg_attribute WHERE attrelid = 'odd'::regclass AND attnum > 0 ORDER BY attnum;

-- weights: as many equal rows; NULL and 0 leave a row out, also one that could not be read; the rest is refused
CREATE TABLE weighed (a float8, c text, w float8);
INSERT INTO weighed VALUES (0, 'x', 1), (1, 'x', 3), (100, 'y', 2), (103, 'y', 1), ('NaN', 'z', 0), ('Infinity', 'z', NULL);
SELECT clusters(pm_kmeans('weighed', k => 2, options => '{"weight_col": "w"}'));
SELECT info(pm_kmeans('weighed', k => 2, options => '{"weight_col": "w"}'), 'columns', 'rows_read', 'rows_used', 'rows_skipped');
SELECT clusters(pm_kmeans_agg(x, '{"k": 2, "weight_col": "w"}')) FROM weighed AS x;
SELECT failure($$SELECT pm_kmeans('weighed', k => 1, options => '{"weight_col": "c"}')$$);
SELECT failure($$SELECT pm_kmeans_agg(x, '{"k": 1, "weight_col": "W"}') FROM weighed AS x$$);
UPDATE weighed SET w = 0;
SELECT failure($$SELECT pm_kmeans('weighed', k => 1, options => '{"weight_col": "w"}')$$);
SELECT v, failure(format('UPDATE weighed SET w = %L WHERE a = 1; SELECT pm_kmeans(''weighed'', k => 1, options => ''{"weight_col": "w"}'')', v))
FROM unnest(ARRAY['-1', 'NaN', 'Infinity', '1e300']) WITH ORDINALITY AS s(v, n) ORDER BY n;
SELECT failure($$SELECT pm_kmeans_agg(r, '{"k": 1, "weight_col": "w"}') FROM (VALUES (1, 3e38::float8), (2, 3e38)) AS r(a, w)$$);

-- a column that was the same in every row has no influence in scoring either, whatever it is then
CREATE TABLE still AS SELECT 7 AS constant, x, y FROM (VALUES (1, 10), (2, 20), (10, 1), (20, 2)) AS v(x, y);
SELECT metric, pm_kmeans_assign(model, r) = pm_kmeans_assign(model, still) AS same_cluster,
    abs(pm_kmeans_distance(model, r) - pm_kmeans_distance(model, still)) < 1e-6 AS same_distance
FROM unnest(ARRAY['euclidean', 'cosine']) AS metric, LATERAL (SELECT pm_kmeans('still', k => 2, options => jsonb_build_object('metric', metric)) AS model) AS m,
    still, LATERAL (SELECT 1e6 AS constant, x, y) AS r WHERE still.x = 1 ORDER BY metric DESC;

-- numbers far from 0 for their spread: what float4 keeps of them is told
CREATE TABLE epoch AS SELECT 1.7e9 + i * 60 AS seconds, i AS a FROM generate_series(1, 50) AS i;
SELECT length(pm_kmeans('epoch', k => 2)) > 0 AS trained;

-- the model does not depend on the session's time zone where the column has none, nor on the temporary schema's number
CREATE TEMP TABLE stamped AS SELECT timestamp '2024-05-01' + i * interval '5 hours' AS ts FROM generate_series(1, 40) AS i;
SET TimeZone = 'Asia/Tokyo';
SELECT info(pm_kmeans('stamped', k => 3), 'source');
CREATE TEMP TABLE zoned AS SELECT value AS id FROM pm_model_info(pm_kmeans('stamped', k => 3)) WHERE key = 'id';
SET TimeZone = 'America/New_York';
SELECT value = id AS same_id FROM zoned, pm_model_info(pm_kmeans('stamped', k => 3)) WHERE key = 'id';
RESET TimeZone;
DROP TABLE stamped, zoned;

-- many rows: the same model from any order, on any number of threads, with memory for a copy of them and without
CREATE TABLE many AS SELECT i % 5000 AS a, i % 7 AS w, 'c' || i % 13 AS c FROM generate_series(1, 100000) AS i;
CREATE TABLE shuffled AS SELECT * FROM many ORDER BY md5(a::text);
CREATE FUNCTION centroids(source regclass, threads int, memory text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('precmkt.threads', threads::text, true), set_config('precmkt.max_memory', memory, true);
    RETURN (SELECT string_agg(c::text, ' ') FROM pm_kmeans_centroids(pm_kmeans(source, '{a}', 3, '{"weight_col": "w"}')) AS c);
END $$;
SELECT source, threads, memory, centroids(source, threads, memory) = centroids('many', 1, '100MB') AS same
FROM unnest('{many,shuffled}'::regclass[]) AS source, generate_series(1, 2) AS threads, unnest('{100MB,2200kB}'::text[]) AS memory ORDER BY source, threads, memory;

SET client_min_messages = warning;
DROP SCHEMA features_test CASCADE;
DROP ROLE regress_features_user;
