-- models: what is in one, untrusted bytes, the registry, and what scorers remember
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA models_test;
SET search_path = models_test, public;
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
    -- a model's length depends on what its section "run" says
    RETURN regexp_replace(sqlstate || ': ' || m || CASE WHEN d <> '' THEN ' (' || d || ')' ELSE '' END ||
        CASE WHEN h <> '' THEN ' / ' || h ELSE '' END, 'it is \d+ bytes long and says it is \d+', 'it is N bytes long and says it is M');
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

-- two models of equal size that number their clusters the other way round
CREATE TABLE spot (x float8, y float8);
CREATE VIEW low AS SELECT v::float8 AS x, v::float8 AS y FROM unnest(ARRAY[0, 1, 0, 1, 0, 100, 101]) AS v;
CREATE VIEW high AS SELECT 101 - x AS x, 101 - y AS y FROM low;
CREATE TABLE m (name text PRIMARY KEY, model bytea);
INSERT INTO m VALUES ('low', (SELECT pm_kmeans_agg(s, '{"k": 2}') FROM (SELECT x, y FROM low) AS s)), ('high', (SELECT pm_kmeans_agg(s, '{"k": 2}') FROM (SELECT x, y FROM high) AS s));
SELECT name, pm_model_kind(model), pm_kmeans_assign(model, (0, 0)::spot) AS at_0, pm_kmeans_assign(model, (100, 100)::spot) AS at_100 FROM m ORDER BY name;

-- what a model says of itself: every key; the values that are the same everywhere
SELECT key, CASE WHEN key IN ('id', 'size_bytes', 'inertia', 'silhouette', 'davies_bouldin', 'calinski_harabasz', 'trained_at', 'trained_by', 'seconds_load', 'seconds_fit',
    'device', 'threads', 'peak_memory_bytes', 'precmkt_version', 'postgresql_version') THEN '...' ELSE value END AS value
FROM m, pm_model_info(model) WITH ORDINALITY WHERE name = 'low' ORDER BY ordinality;
SELECT bool_and(CASE key WHEN 'id' THEN value ~ '^[0-9a-f]{32}$' WHEN 'size_bytes' THEN value::int = length(model) WHEN 'trained_at' THEN value::timestamptz <= now() + interval '1 hour'
    WHEN 'trained_by' THEN value = current_user WHEN 'seconds_fit' THEN value::float8 >= 0 WHEN 'threads' THEN value::int >= 1 WHEN 'peak_memory_bytes' THEN value::bigint > 0
    WHEN 'device' THEN value IN ('cpu', 'cuda') WHEN 'precmkt_version' THEN value = (SELECT extversion FROM pg_extension WHERE extname = 'precmkt')
    WHEN 'postgresql_version' THEN value LIKE split_part(version(), ' ', 2) || '%' ELSE true END) AS sound
FROM m, pm_model_info(model);
-- not a key without a value, and none twice
SELECT count(*) - count(DISTINCT key) AS repeated, count(*) FILTER (WHERE value IS NULL) AS without FROM m, pm_model_info(model) WHERE name = 'low';

-- NULLs
SELECT pm_model_kind(NULL) IS NULL AS kind, pm_model(NULL) IS NULL AS model, (SELECT count(*) FROM pm_model_info(NULL::bytea)) AS info, pm_kmeans_assign(NULL::text, (1, 1)::spot) IS NULL AS assign;
SELECT failure($$SELECT pm_model_save(NULL, model) FROM m$$);
SELECT failure($$SELECT pm_model_save('x', NULL)$$);
SELECT split_part(failure($$SELECT pm_model_save('', model) FROM m$$), ' (', 1);

-- bytes that are no model: empty, too few, foreign, cut short, with more behind; every function refuses them
CREATE FUNCTION try_all(b bytea) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT failure(format(call, b)) FROM unnest(ARRAY['SELECT pm_model_kind(%L)', 'SELECT * FROM pm_model_info(%L::bytea)', 'SELECT * FROM pm_kmeans_centroids(%L::bytea)',
        'SELECT * FROM pm_kmeans_evaluate(%L::bytea)', 'SELECT pm_kmeans_assign(%L::bytea, (1, 1)::spot)', 'SELECT pm_kmeans_distance(%L::bytea, (1, 1)::spot)', 'SELECT pm_model_save(''bad'', %L)']) AS call
$$;
SELECT what, error, count(*) AS functions FROM (VALUES (1, 'empty', ''::bytea), (2, 'few', 'PMKT'), (3, 'text', repeat('hello world', 100)::bytea), (4, 'zeros', decode(repeat('00', 2000), 'hex')),
    (5, 'head', (SELECT substr(model, 1, 64) FROM m WHERE name = 'low')), (6, 'short', (SELECT substr(model, 1, length(model) - 1) FROM m WHERE name = 'low')), (7, 'long', (SELECT model || '\x00' FROM m WHERE name = 'low')),
    (8, 'reserved', (SELECT set_byte(model, 60, 1) FROM m WHERE name = 'low')), (9, 'two', (SELECT model || model FROM m WHERE name = 'low'))) AS v(n, what, b), try_all(b) AS error
GROUP BY n, what, error ORDER BY n, error COLLATE "C";
-- a bit flipped in any of the first 600 bytes and in the last 100: always 22000
SELECT error, count(*) FROM (SELECT left(failure(format(call, set_byte(model, at, get_byte(model, at) # (1 << at % 8)))), 5) AS error
    FROM m, (SELECT generate_series(0, 599) AS at UNION ALL SELECT length(model) - generate_series(1, 100) FROM m WHERE name = 'low') AS s,
        unnest(ARRAY['SELECT pm_model_kind(%L)', 'SELECT pm_kmeans_assign(%L::bytea, (1, 1)::spot)']) AS call WHERE name = 'low') AS s GROUP BY error ORDER BY error;
-- cut to any length
SELECT left(failure(format('SELECT pm_kmeans_assign(%L::bytea, (1, 1)::spot)', substr(model, 1, n))), 5) AS error, count(*) > 250 AS many
FROM m, generate_series(0, length(model) - 1, 7) AS n WHERE name = 'low' GROUP BY error ORDER BY error;

-- forgeries: bytes changed and the checksum made right again (CRC-32C, bit by bit)
CREATE FUNCTION crc_table() RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    t bigint[] := '{}';
    c bigint;
BEGIN
    FOR i IN 0 .. 255 LOOP
        c := i;
        FOR j IN 1 .. 8 LOOP
            c := CASE WHEN c & 1 = 1 THEN (c >> 1) # 2197175160 ELSE c >> 1 END;
        END LOOP;
        t := t || c;
    END LOOP;
    RETURN t;
END $$;
CREATE FUNCTION forge(model bytea, at int, bytes bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    t bigint[] := crc_table();
    b bytea := overlay(overlay(model PLACING bytes FROM at + 1) PLACING '\x00000000' FROM 53);
    c bigint := 4294967295;
BEGIN
    FOR i IN 0 .. length(b) - 1 LOOP
        c := t[((c # get_byte(b, i)) & 255) + 1] # (c >> 8);
    END LOOP;
    c := c # 4294967295;
    RETURN overlay(b PLACING set_byte(set_byte(set_byte(set_byte('\x00000000', 0, (c & 255)::int), 1, (c >> 8 & 255)::int), 2, (c >> 16 & 255)::int), 3, (c >> 24)::int) FROM 53);
END $$;
-- where a section begins: its entry is 64 bytes, name first, offset at 40
CREATE FUNCTION entry(model bytea, section text) RETURNS int LANGUAGE sql AS $$
    SELECT 64 + 64 * i FROM generate_series(0, get_byte(model, 48) - 1) AS i WHERE rtrim(replace(encode(substr(model, 65 + 64 * i, 16), 'escape'), '\000', '')) = section
$$;
CREATE FUNCTION place(model bytea, section text) RETURNS int LANGUAGE sql AS $$
    SELECT get_byte(model, e + 40) + 256 * get_byte(model, e + 41) FROM entry(model, section) AS e
$$;
-- unchanged it is as good as before, which shows that the forger knows his trade
SELECT name, forge(model, 0, 'PMKT') = model AS same FROM m ORDER BY name;
CREATE VIEW fakes AS SELECT n, what, forge(model, at, bytes) AS fake FROM m, LATERAL (VALUES
    (1, 'another kind', 8, '\x666f726573740000'::bytea), (2, 'a kind that is no name', 8, '\x2e2e2f'), (3, 'a later format', 4, '\x02000000'), (4, 'format 0', 4, '\x00000000'),
    (5, 'more sections than fit', 48, '\xffffff7f'), (6, 'no sections', 48, '\x00000000'), (7, 'a section renamed', entry(model, 'centroids'), 'centroidz'), (8, 'a section twice', entry(model, 'weights'), '\x7261646975730000'),
    (9, 'a section of another type', entry(model, 'counts') + 16, '\x03'), (10, 'an unknown type', entry(model, 'counts') + 16, '\x63'), (11, 'huge dimensions', entry(model, 'centroids') + 24, '\xffffffffffffff7f'),
    (12, 'dimensions exchanged', entry(model, 'centroids') + 24, '\x01'), (13, 'an offset far away', entry(model, 'radius') + 40, '\x00000000000000f0'), (14, 'a length far too long', entry(model, 'radius') + 48, '\xf8ffffffffffffff'),
    (15, 'a centroid that is NaN', place(model, 'centroids'), '\x0000c07f'), (16, 'an infinite radius', place(model, 'radius'), '\x000000000000f07f'), (17, 'a negative size', place(model, 'counts'), '\xffffffffffffffff'),
    (18, 'an unknown metric', place(model, 'metric'), '\x07'), (19, 'a later schema', place(model, 'schema'), '\x09'), (20, 'a million columns', place(model, 'schema') + 4, '\x40420f00'),
    (21, 'a million features', place(model, 'schema') + 8, '\x40420f00'), (22, 'two columns of one name', place(model, 'schema') + 16, 'y'), (23, 'a name with a NUL', place(model, 'schema') + 16, '\x00'),
    (24, 'an unknown class', place(model, 'schema') + 17, '\x2a'), (25, 'meta that is no JSON', place(model, 'meta'), ']'), (26, 'another id', 24, '\x00')) AS v(n, what, at, bytes) WHERE name = 'low';
SELECT what, failure(format('SELECT pm_kmeans_assign(%L::bytea, (0, 0)::spot)', fake)) AS assign FROM fakes ORDER BY n;
SELECT what, pm_model_kind(fake) FROM fakes WHERE n IN (1, 7, 25) ORDER BY n;
SELECT what, split_part(failure(format('SELECT * FROM pm_model_info(%L::bytea)', fake)), ' (', 1) AS info FROM fakes WHERE n IN (1, 7, 25, 26) ORDER BY n;
-- an id is only a claim: two models that bear one are two models
SELECT pm_kmeans_assign(model, (0, 0)::spot), pm_kmeans_assign(fake, (0, 0)::spot) FROM (SELECT model, forge((SELECT model FROM m WHERE name = 'high'), 24, substr(model, 25, 16)) AS fake FROM m WHERE name = 'low' OFFSET 0) AS s;
-- any byte at all: an error of a client's making or an answer, and the server lives
SELECT count(*) > 600 AS many, bool_and(error ~ '^(no error|22|42703|42804|54000)') AS sane, string_agg(error, ', ') FILTER (WHERE error !~ '^(no error|22|42703|42804|54000)') AS insane
FROM m, generate_series(0, length(model) - 1, 3) AS at, LATERAL (SELECT forge(model, at, set_byte('\x00', 0, get_byte(model, at) # (1 + at % 255))) AS fake OFFSET 0) AS f,
    LATERAL (SELECT failure(format('SELECT pm_kmeans_assign(%L::bytea, (1, 2)::spot), (SELECT count(value) FROM pm_kmeans_centroids(%L::bytea)), (SELECT count(*) FROM pm_model_info(%L::bytea))', fake, fake, fake)) AS error) AS e
WHERE name = 'low' AND at NOT BETWEEN 52 AND 55;

-- the registry: versions of a name, the last of which is deployed
SELECT pm_model_save('regress one', model) FROM m WHERE name = 'low';
SELECT pm_model_save('regress one', model, '{"auc": 0.75}') FROM m WHERE name = 'high';
SELECT pm_model_save('regress one', model, NULL) FROM m WHERE name = 'high';
SELECT name, version, kind, metrics, created_by = current_user AS mine, deployed, created_at = now() AS long_ago, length(model) > 0 AS model FROM pm_models ORDER BY name, version;
-- scorers by name are those of the deployed version
SELECT pm_model('regress one') = model AS same FROM m WHERE name = 'high';
SELECT v.x, pm_kmeans_assign('regress one', v) AS by_name, pm_kmeans_assign(model, v) AS by_model, pm_kmeans_distance('regress one', v) = pm_kmeans_distance(model, v) AS same_distance
FROM m, (VALUES (0::float8, 0::float8), (100, 100)) AS v(x, y) WHERE name = 'high' ORDER BY x;
SELECT count(*) AS centroids FROM (SELECT * FROM pm_kmeans_centroids('regress one') INTERSECT SELECT * FROM pm_kmeans_centroids(pm_model('regress one'))) AS s;
SELECT count(*) AS metrics FROM (SELECT * FROM pm_kmeans_evaluate('regress one') INTERSECT SELECT * FROM pm_kmeans_evaluate(pm_model('regress one'))) AS s;
SELECT count(*) > 20 AS info FROM (SELECT * FROM pm_model_info('regress one') INTERSECT SELECT * FROM pm_model_info(pm_model('regress one'))) AS s;
-- an earlier version deployed by hand; two at once are refused; none is none
BEGIN;
UPDATE pm_models SET deployed = false WHERE name = 'regress one';
SELECT failure($$SELECT pm_model('regress one')$$);
UPDATE pm_models SET deployed = true WHERE name = 'regress one' AND version = 1;
SELECT pm_kmeans_assign('regress one', (0, 0)::spot);
SELECT split_part(failure($$UPDATE pm_models SET deployed = true WHERE name = 'regress one'$$), ' (', 1);
SELECT pm_model_save('regress one', model) FROM m WHERE name = 'high';
SELECT version, deployed FROM pm_models WHERE name = 'regress one' ORDER BY version;
ROLLBACK;
-- three saves in one statement; a save that is rolled back; one in a transaction that may not write
SELECT pm_model_save('regress many', model) FROM m, generate_series(1, 2) ORDER BY 1;
BEGIN;
SELECT pm_model_save('regress rolled back', model) FROM m LIMIT 1;
ROLLBACK;
BEGIN READ ONLY;
SELECT failure($$SELECT pm_model_save('regress one', model) FROM m$$);
SELECT pm_kmeans_assign('regress one', (0, 0)::spot);
COMMIT;
SELECT name, count(*) FROM pm_models GROUP BY name ORDER BY name;
-- unknown names, names of every sort
SELECT failure(format('SELECT %s(%L%s)', f, 'regress none', CASE WHEN f ~ '(assign|distance)' THEN ', (0, 0)::spot' ELSE '' END))
FROM unnest(ARRAY['pm_model', 'pm_model_info', 'pm_kmeans_assign', 'pm_kmeans_distance', 'pm_kmeans_centroids', 'pm_kmeans_evaluate']) WITH ORDINALITY AS u(f, n) ORDER BY n;
SELECT pm_model_save(n, model) FROM m, unnest(ARRAY['regress ''; DROP TABLE m; --', 'regress %s $1 \', repeat('regress long ', 200)]) AS n WHERE m.name = 'low';
SELECT pm_kmeans_assign('regress ''; DROP TABLE m; --', (0, 0)::spot), pm_kmeans_assign('regress %s $1 \', (0, 0)::spot), pm_kmeans_assign(repeat('regress long ', 200), (0, 0)::spot);
-- bytes that are no model do not get in by the front door, and by the back door do no harm
INSERT INTO pm_models (name, version, model, kind) VALUES ('regress junk', 1, 'junk', 'kmeans');
SELECT failure($$SELECT pm_kmeans_assign('regress junk', (0, 0)::spot)$$);

-- rights: each role its own; a name is one role's
CREATE ROLE regress_models_a;
CREATE ROLE regress_models_b;
GRANT USAGE ON SCHEMA models_test TO regress_models_a, regress_models_b;
GRANT SELECT ON m TO regress_models_a, regress_models_b;
SET ROLE regress_models_a;
SELECT count(*) FROM pm_models;
SELECT failure($$SELECT pm_model('regress one')$$);
SELECT failure($$SELECT pm_model_save('regress one', model) FROM m LIMIT 1$$);
SELECT pm_model_save('regress a', model) FROM m WHERE name = 'low';
SELECT name, version, created_by FROM pm_models;
SELECT failure($$INSERT INTO pm_models (name, version, model, kind, created_by) SELECT 'regress forged', 1, model, 'kmeans', 'regress_models_b' FROM m LIMIT 1$$);
SELECT failure($$UPDATE pm_models SET created_by = 'regress_models_b'$$);
SET ROLE regress_models_b;
SELECT failure($$SELECT pm_kmeans_assign('regress a', (0, 0)::spot)$$);
SELECT failure($$SELECT pm_model_save('regress a', model) FROM m LIMIT 1$$);
DELETE FROM pm_models;
UPDATE pm_models SET deployed = false;
SELECT pm_model_save('regress b', model) FROM m WHERE name = 'high';
SET ROLE regress_models_a;
SELECT name, version, deployed FROM pm_models;
SELECT failure($$TRUNCATE pm_models$$);
RESET ROLE;
-- its owner's rights, lent by a function
CREATE FUNCTION score_as_owner(p spot) RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = models_test, public AS $$ SELECT pm_kmeans_assign('regress one', p) $$;
SET ROLE regress_models_b;
SELECT score_as_owner((0, 0));
RESET ROLE;
-- a call site that has found a name for one role finds it again for that role only
CREATE FUNCTION score(name text, p spot) RETURNS int LANGUAGE plpgsql AS $$ DECLARE c int; BEGIN c := pm_kmeans_assign(name, p); RETURN c; END $$;
BEGIN;
SET LOCAL ROLE regress_models_a;
SELECT score('regress a', (0, 0));
RESET ROLE;
SELECT score('regress a', (0, 0));
SET LOCAL ROLE regress_models_b;
\set VERBOSITY sqlstate
SELECT score('regress a', (0, 0));
\set VERBOSITY default
ROLLBACK;

-- what scorers remember: two models in turn, row by row, in one and in two call sites
SELECT string_agg(pm_kmeans_assign(model, (0, 0)::spot)::text, '' ORDER BY n) FROM generate_series(1, 10) AS n JOIN m ON name = CASE WHEN n % 2 = 0 THEN 'low' ELSE 'high' END;
SELECT string_agg(pm_kmeans_assign(model || ''::bytea, (0, 0)::spot)::text, '' ORDER BY n) FROM generate_series(1, 10) AS n JOIN m ON name = CASE WHEN n % 2 = 0 THEN 'low' ELSE 'high' END;
SELECT count(*) FILTER (WHERE pm_kmeans_assign(l.model, p) = 1) AS low, count(*) FILTER (WHERE pm_kmeans_assign(h.model, p) = 1) AS high
FROM m AS l, m AS h, (SELECT i AS x, i AS y FROM generate_series(0, 100) AS i) AS p WHERE l.name = 'low' AND h.name = 'high';
SELECT string_agg(pm_kmeans_assign(name, (0, 0)::spot)::text, '' ORDER BY n) FROM generate_series(1, 6) AS n, LATERAL (SELECT CASE WHEN n % 2 = 0 THEN 'regress a' ELSE 'regress b' END AS name) AS s;
-- stored out of line, as a large one is; replaced in place
CREATE TABLE outside (i int, model bytea);
ALTER TABLE outside ALTER COLUMN model SET STORAGE EXTERNAL;
INSERT INTO outside SELECT 1, model FROM m WHERE name = 'low';
SELECT pm_kmeans_assign(model, (0, 0)::spot) FROM outside;
UPDATE outside SET model = m.model FROM m WHERE m.name = 'high';
SELECT pm_kmeans_assign(model, (0, 0)::spot) FROM outside;
BEGIN;
UPDATE outside SET model = m.model FROM m WHERE m.name = 'low';
SELECT pm_kmeans_assign(model, (0, 0)::spot) FROM outside;
ROLLBACK;
SELECT pm_kmeans_assign(model, (0, 0)::spot) FROM outside;
VACUUM FULL outside;
SELECT pm_kmeans_assign(model, (0, 0)::spot) FROM outside;
-- a variable that is given one model after the other, each where the last one stood
DO $$
DECLARE
    v bytea;
    p spot := (0, 0);
    answers text := '';
BEGIN
    FOR i IN 1 .. 10 LOOP
        v := NULL;
        v := (SELECT model || ''::bytea FROM m WHERE name = CASE WHEN i % 3 = 0 THEN 'low' ELSE 'high' END);
        answers := answers || pm_kmeans_assign(v, p);
    END LOOP;
    RAISE NOTICE 'low is 1, high is 2: %', answers;
END $$;
CREATE FUNCTION score(v bytea, p spot) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN pm_kmeans_assign(v, p); END $$;
SELECT string_agg(score(model || ''::bytea, (0, 0)::spot)::text, '' ORDER BY n) FROM (SELECT n, model FROM generate_series(1, 10) AS n JOIN m ON name = CASE WHEN n % 3 = 0 THEN 'low' ELSE 'high' END ORDER BY n) AS s;
PREPARE score(bytea) AS SELECT pm_kmeans_assign($1, (0, 0)::spot);
DO $$
DECLARE
    answers text := '';
    answer int;
    v bytea;
BEGIN
    FOR v IN SELECT model FROM generate_series(1, 10) AS n JOIN m ON name = CASE WHEN n % 3 = 0 THEN 'low' ELSE 'high' END ORDER BY n LOOP
        EXECUTE format('EXECUTE score(%L)', v) INTO answer;
        answers := answers || answer;
    END LOOP;
    RAISE NOTICE 'low is 1, high is 2: %', answers;
END $$;
DEALLOCATE score;
-- more models than are kept, twice over
CREATE TABLE forty AS SELECT i, (SELECT pm_kmeans_agg(s, '{"k": 1}') FROM (SELECT i AS x, 0 AS y) AS s) AS model FROM generate_series(1, 40) AS i;
SELECT round(n) AS n, count(*), bool_and(pm_kmeans_distance(model, (i, 0)::spot) = 0) AS right_one FROM forty, generate_series(1, 2) AS n GROUP BY n ORDER BY n;
-- the next statement of a transaction sees what the last one saved; so does the next one of a function
BEGIN;
SELECT pm_model_save('regress one', model) FROM m WHERE name = 'low';
SELECT pm_kmeans_assign('regress one', (0, 0)::spot);
SELECT pm_model_save('regress one', model) FROM m WHERE name = 'high';
SELECT pm_kmeans_assign('regress one', (0, 0)::spot);
DELETE FROM pm_models WHERE name = 'regress one' AND deployed;
SELECT failure($$SELECT pm_kmeans_assign('regress one', (0, 0)::spot)$$);
ROLLBACK;
CREATE FUNCTION in_turn() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answers text := '';
BEGIN
    FOR i IN 1 .. 6 LOOP
        PERFORM pm_model_save('regress turn', model) FROM m WHERE name = CASE WHEN i % 2 = 0 THEN 'low' ELSE 'high' END;
        FOR j IN 1 .. 2 LOOP
            answers := answers || score('regress turn', (0, 0));
        END LOOP;
    END LOOP;
    RETURN answers;
END $$;
SELECT in_turn();
-- what is rolled back is forgotten, whatever the isolation
CREATE FUNCTION back() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answers text := score('regress one', (0, 0));
BEGIN
    BEGIN
        PERFORM pm_model_save('regress one', model) FROM m WHERE name = 'low';
        answers := answers || score('regress one', (0, 0));
        RAISE 'back';
    EXCEPTION WHEN raise_exception THEN
        answers := answers || score('regress one', (0, 0));
    END;
    RETURN answers || score('regress one', (0, 0));
END $$;
SELECT back();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT back();
SAVEPOINT s;
SELECT pm_model_save('regress one', model) FROM m WHERE name = 'low';
SELECT score('regress one', (0, 0));
ROLLBACK TO s;
SELECT score('regress one', (0, 0));
COMMIT;
-- an error while a model is opened leaves nothing behind
SELECT failure(format('SELECT pm_kmeans_assign(%L::bytea, (0, 0)::spot)', substr(model, 1, 500))), pm_kmeans_assign(model, (0, 0)::spot) FROM m ORDER BY name;
-- by name in parallel workers
CREATE TABLE many AS SELECT (i % 2 * 100)::float8 AS x, (i % 2 * 100)::float8 AS y FROM generate_series(1, 2000) AS i;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SELECT pm_kmeans_assign('regress one', many) AS cluster, count(*) FROM many GROUP BY 1 ORDER BY 1;
GRANT SELECT ON many TO regress_models_a;
SET LOCAL ROLE regress_models_a;
SELECT failure($$SELECT count(*) FROM models_test.many WHERE pm_kmeans_assign('regress one', many) = 1$$);
ROLLBACK;
-- the extension in another schema, where neither search path nor a decoy leads astray
BEGIN;
CREATE SCHEMA models_elsewhere;
ALTER EXTENSION precmkt SET SCHEMA models_elsewhere;
CREATE TEMP TABLE pm_models AS SELECT 'regress one' AS name, 9 AS version, 'decoy'::bytea AS model, true AS deployed;
SELECT models_elsewhere.pm_kmeans_assign('regress one', (0, 0)::spot);
SELECT models_elsewhere.pm_model_save('regress one', model) FROM m WHERE name = 'low';
SELECT failure($$SELECT models_elsewhere.pm_model('regress nowhere')$$);
ROLLBACK;

SET client_min_messages = warning;
DELETE FROM pm_models WHERE name LIKE 'regress %';
DROP SCHEMA models_test CASCADE;
DROP ROLE regress_models_a;
DROP ROLE regress_models_b;
