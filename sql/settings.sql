-- settings: device, threads and memory, and what pm_device_info() says
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA settings_test;
SET search_path = settings_test, public;
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

CREATE TABLE pts AS SELECT i AS id, i % 7 AS a, i % 11 + 100 * (i % 2) AS b FROM generate_series(1, 200) AS i;
-- the library is loaded by the first call; from then on its settings are checked
SELECT count(*) FROM pm_device_info();
SELECT name, unit, context, vartype, min_val, max_val, enumvals, boot_val FROM pg_settings WHERE name LIKE 'precmkt.%' ORDER BY name;
SELECT s AS statement, left(failure(s), 5) AS sqlstate FROM unnest(ARRAY['SET precmkt.device = ''tpu''', 'SET precmkt.device = 1', 'SET precmkt.threads = -1', 'SET precmkt.threads = 257', 'SET precmkt.threads = ''many''',
    'SET precmkt.max_memory = ''1kB''', 'SET precmkt.max_memory = 0', 'SET precmkt.max_memory = -1', 'SET precmkt.max_memory = ''3TB''', 'SET precmkt.max_memory = ''1 apple''', 'SET precmkt.memory = 1']) WITH ORDINALITY AS u(s, n) ORDER BY n;
SET precmkt.max_memory = '2GB';
SHOW precmkt.max_memory;
SET precmkt.max_memory = '1MB';
SHOW precmkt.max_memory;
RESET precmkt.max_memory;
SHOW precmkt.max_memory;
-- anyone may set them, for a function and for a role, too
CREATE ROLE regress_settings_user;
SET ROLE regress_settings_user;
SET precmkt.threads = 1;
SET precmkt.threads = 256;
RESET ROLE;
RESET precmkt.threads;
ALTER ROLE regress_settings_user SET precmkt.max_memory = '64MB';
CREATE FUNCTION small(source regclass) RETURNS bytea LANGUAGE sql SET precmkt.max_memory = '1MB' AS $$ SELECT public.pm_kmeans(source, k => 2) $$;

SELECT failure($$SET precmkt.device = 'tpu'$$);

-- devices: the CPU is always there and has what an answer needs; a GPU that is not says why
SELECT device, available, selected, model <> '' AS model, features IS NOT NULL AS features, units >= 1 AS units, memory_bytes > 0 AS memory, threads >= 1 AS threads, reason IS NULL AS no_reason
FROM pm_device_info() WHERE device = 'cpu';
SELECT bool_and(available = (reason IS NULL) AND available = (model IS NOT NULL)) AS either_or FROM pm_device_info();
SET precmkt.device = cpu;
SELECT device, selected FROM pm_device_info() ORDER BY device;
SELECT info(pm_kmeans('pts', k => 2), 'device');
-- asked for and absent: an error with the file that is missing; present: it is used
SET precmkt.device = cuda;
SELECT device, selected FROM pm_device_info() ORDER BY device;
SELECT CASE WHEN (SELECT available FROM pm_device_info() WHERE device = 'cuda') THEN true
    ELSE failure($$SELECT pm_kmeans('pts', k => 2)$$) LIKE '55000: device "cuda" is not available (%.) / %' END AS right_answer;
SELECT CASE WHEN (SELECT available FROM pm_device_info() WHERE device = 'cuda') THEN true
    ELSE failure($$SELECT pm_kmeans('pts', k => 2)$$) LIKE '%' || (SELECT reason FROM pm_device_info() WHERE device = 'cuda') || '%set precmkt.device to "auto" or "cpu"%' END AS right_hint;
-- a scorer needs no device
SET precmkt.device = cpu;
CREATE TABLE model AS SELECT pm_kmeans('pts', k => 2) AS model;
SET precmkt.device = cuda;
SELECT pm_kmeans_assign(model, pts) AS cluster, count(*) FROM model, pts GROUP BY 1 ORDER BY 1;
RESET precmkt.device;

-- threads: as many as asked for, never more than there are CPUs; the model is the same
SET precmkt.threads = 1;
SELECT threads FROM pm_device_info() WHERE device = 'cpu';
SELECT info(pm_kmeans('pts', k => 2), 'threads');
SET precmkt.threads = 256;
SELECT c.threads BETWEEN 1 AND c.units AS at_most_units FROM pm_device_info() AS c WHERE device = 'cpu';
SET precmkt.threads = 0;
SET max_parallel_maintenance_workers = 0;
SELECT threads FROM pm_device_info() WHERE device = 'cpu';
RESET max_parallel_maintenance_workers;
RESET precmkt.threads;
CREATE TABLE ids (id text);
SET precmkt.threads = 1;
INSERT INTO ids SELECT info(pm_kmeans('pts', k => 3), 'id');
SET precmkt.threads = 2;
INSERT INTO ids SELECT info(pm_kmeans('pts', k => 3), 'id');
RESET precmkt.threads;
SELECT count(DISTINCT id) FROM ids;

-- memory: what would pass the limit is refused before it is taken, with the bytes wanted and the setting to raise
CREATE VIEW large AS SELECT i AS a, i % 1000 AS b, 'c' || i % 50 AS c, ARRAY['x' || i % 20] AS s, ARRAY[i, i]::float8[] AS v, 1 AS w FROM generate_series(1, 60000) AS i;
SET precmkt.max_memory = '1MB';
SELECT left(f, 5) AS sqlstate, f ~ '\d{6}' AS bytes_wanted, f LIKE '%Raise precmkt.max_memory%' AS hint
FROM unnest(ARRAY['SELECT pm_kmeans(''large'', ''{a,b}'', 2)', 'SELECT pm_kmeans(''large'', ''{c}'', 2)', 'SELECT pm_kmeans(''large'', ''{s}'', 2)', 'SELECT pm_kmeans(''large'', ''{v}'', 2)',
    'SELECT pm_kmeans(''large'', ''{b}'', 2, ''{"weight_col": "w"}'')', 'SELECT * FROM pm_segment(''large'', ''a'', ''{b,c}'', 2)', 'SELECT * FROM pm_kmeans_sweep(''large'', ''{b,c}'')',
    'SELECT pm_kmeans_agg(large, ''{"k": 2}'') FROM large', 'SELECT small(''large'')', 'SELECT pm_kmeans_agg(r, ''{"k": 2}'') FROM (SELECT array_fill(a::float8, ARRAY[200000]) AS v FROM generate_series(1, 2) AS a) AS r',
    'SELECT pm_kmeans_agg(r, ''{"k": 1}'') FROM (SELECT repeat(i::text, 100000) AS v FROM generate_series(1, 9) AS i) AS r']) WITH ORDINALITY AS u(s, n), failure(s) AS f ORDER BY n;
-- little is enough for little, again and again
SELECT info(pm_kmeans('pts', k => 2), 'rows_used');
SELECT count(*) FROM generate_series(1, 50) AS i WHERE length(pm_kmeans('pts', k => 2)) > 0;
SELECT count(*) FROM pm_segment('pts', 'id', k => 2);
SET precmkt.max_memory = '64MB';
SELECT info(pm_kmeans('large', k => 2), 'rows_used');
RESET precmkt.max_memory;
-- the peak that a model reports is below the limit
SELECT bool_and(value::bigint BETWEEN 200 * 2 * 4 AND 1024 ^ 3) FROM pm_model_info(pm_kmeans('pts', k => 2)) WHERE key = 'peak_memory_bytes';

-- a statement that runs out of time in the middle leaves the session in order
CREATE VIEW endless AS SELECT i % 1000 AS a, i % 777 AS b FROM generate_series(1, 2000000000::bigint) AS i;
\set VERBOSITY sqlstate
SET statement_timeout = '100ms';
SELECT pm_kmeans('endless', k => 3);
SELECT pm_kmeans_agg(endless, '{"k": 3}') FROM endless;
SELECT count(*) FROM pm_segment('endless', 'a', '{b}', 3);
RESET statement_timeout;
\set VERBOSITY default
SELECT info(pm_kmeans('pts', k => 2), 'rows_used');
SELECT count(*) AS left_over FROM pg_backend_memory_contexts WHERE name = 'precmkt' AND ident LIKE 'k-means%';

SET client_min_messages = warning;
DROP SCHEMA settings_test CASCADE;
DROP ROLE regress_settings_user;
