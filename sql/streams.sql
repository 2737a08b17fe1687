-- our own scan in the place of a function scan: the same rows, wherever the call stands
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA streams_test;
SET search_path = streams_test, public;
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
-- how often pm_segment was called in this transaction
CREATE FUNCTION calls() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(sum(pg_stat_get_xact_function_calls(oid)), 0)::bigint FROM pg_proc WHERE proname = 'pm_segment'
$$;

CREATE TABLE pts (id bigint PRIMARY KEY, name text, x float8, y float8);
INSERT INTO pts SELECT i, CASE WHEN i % 10 > 0 THEN 'point ' || i END, 100 * (i % 3) + i * 7919 % 11, CASE WHEN i % 20 > 0 THEN i * 104729 % 97 END
FROM generate_series(1, 60) AS i;
INSERT INTO pts (id) VALUES (61);
ANALYZE pts;

-- the plans
EXPLAIN (COSTS OFF) SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3);
EXPLAIN (COSTS OFF, VERBOSE) SELECT s.id, s.cluster + 1 AS next FROM pm_segment('pts', 'id', '{x,y}', 3) AS s WHERE distance < 1 ORDER BY id;
EXPLAIN (COSTS OFF, VERBOSE) SELECT p.name, s.c FROM pts AS p, LATERAL pm_segment('pts', 'id', '{x}', p.id::int, '{}', p.id) AS s(a, b, c) WHERE s.a = p.id AND p.id < 4;
CREATE FUNCTION analyzed(query text) RETURNS TABLE (node text, function text, rows int, loops int, filtered int) LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, TIMING OFF, FORMAT json) ' || query INTO plan;
    plan := plan -> 0 -> 'Plan';
    RETURN QUERY SELECT plan ->> 'Custom Plan Provider', plan ->> 'Function', (plan ->> 'Actual Rows')::float8::int, (plan ->> 'Actual Loops')::int,
        (plan ->> 'Rows Removed by Filter')::float8::int;
END $$;
SELECT * FROM analyzed($$SELECT id FROM pm_segment('pts', 'id', '{x,y}', 3) WHERE cluster IS NULL$$);
-- those that stay with PostgreSQL's own
EXPLAIN (COSTS OFF) SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3) WITH ORDINALITY;
EXPLAIN (COSTS OFF) SELECT * FROM ROWS FROM (pm_segment('pts', 'id', '{x,y}', 3), generate_series(1, 2));
EXPLAIN (COSTS OFF) SELECT (pm_segment('pts', 'id', '{x,y}', 3)).id;
EXPLAIN (COSTS OFF) SELECT s FROM pm_segment('pts', 'id', '{x,y}', 3) AS s;
EXPLAIN (COSTS OFF) SELECT id FROM pm_segment('pts', 'id', '{x,y}', 3) AS s WHERE s IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT s.id FROM pts JOIN pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint) AS s USING (id) FOR UPDATE OF pts;
EXPLAIN (COSTS OFF) SELECT * FROM pm_kmeans_sweep('pts', '{x,y}', 2, 3);
EXPLAIN (COSTS OFF) SELECT * FROM generate_series(1, 3);
EXPLAIN (COSTS OFF) SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3) WHERE false;
-- as many rows as the source is known to have
CREATE FUNCTION planned_rows(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
CREATE VIEW few AS SELECT * FROM pts WHERE id < 9;
SELECT planned_rows($$SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3)$$) AS analyzed,
    planned_rows($$SELECT * FROM pm_segment('few', 'id', '{x,y}', 3)$$) AS view,
    planned_rows($$SELECT * FROM pm_segment(0::regclass, 'id', '{x,y}', 3)$$) AS no_relation,
    planned_rows($$SELECT * FROM pm_segment(NULL, 'id', '{x,y}', 3)$$) AS "null",
    planned_rows($$SELECT * FROM pts, pm_segment(pts.tableoid::regclass, 'id', '{x,y}', 3) WHERE pts.id = 1$$) AS unknown;

-- the rows of PostgreSQL's own door, of every type of id
CREATE TABLE ordinary AS SELECT n, id, cluster, distance FROM pm_segment('pts', 'id', '{x,y}', 3) WITH ORDINALITY AS s(id, cluster, distance, n);
SELECT count(*), count(cluster), count(distance), min(id), sum(distance) > 0 AS some FROM ordinary;
CREATE FUNCTION differences(query text) RETURNS TABLE (id text, cluster int, distance float8) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE TEMP TABLE result ON COMMIT DROP AS ' || query;
    RETURN QUERY (TABLE result EXCEPT ALL SELECT o.id, o.cluster, o.distance FROM ordinary AS o) UNION ALL
        (SELECT o.id, o.cluster, o.distance FROM ordinary AS o EXCEPT ALL TABLE result);
END $$;
SELECT * FROM differences($$SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3)$$);
SELECT * FROM differences($$SELECT id::text, cluster, distance FROM pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint)$$);
SELECT * FROM differences($$SELECT (pm_segment('pts', 'id', '{x,y}', 3)).*$$);
SELECT * FROM differences($$SELECT id, cluster, distance FROM ROWS FROM (pm_segment('pts', 'id', '{x,y}', 3), generate_series(1, 1)) AS s(id, cluster, distance, one)$$);
SELECT id, cluster FROM pm_segment('pts', 'name', '{x,y}', 3) LIMIT 11 OFFSET 0;
CREATE TABLE named AS SELECT i::int AS number, md5(i::text)::uuid AS uuid, i AS x FROM generate_series(1, 3) AS i;
SELECT id FROM pm_segment('named', 'uuid', '{x}', 1, '{}', NULL::uuid);
SELECT id FROM pm_segment('named', 'number', '{x}', 1, '{}', NULL::int);
SELECT count(*) FROM pm_segment('pts', 'id', '{x,y}', 3);
SELECT 7 AS seven FROM pm_segment('named', 'number', '{x}', 1);

-- filters, order, limits, joins, whole rows
SELECT id, cluster FROM pm_segment('pts', 'id', '{x,y}', 3) WHERE id::int % 20 = 1 ORDER BY id::int DESC;
SELECT * FROM (SELECT id, cluster IS NULL AS out FROM pm_segment('pts', 'id', '{x,y}', 3) LIMIT 2) AS s;
SELECT s.cluster, count(*), min(p.x), max(p.x) FROM pts AS p JOIN pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint) AS s USING (id) GROUP BY 1 ORDER BY 1;
SELECT count(*), count(s.id) FROM generate_series(59, 63) AS i LEFT JOIN pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint) AS s ON s.id = i;
SELECT row_to_json(s) FROM pm_segment('named', 'number', '{x}', 1) AS s(a, b, c) LIMIT 1;
SELECT s.id, o IS NULL AS none FROM pm_segment('pts', 'id', '{x,y}', 3) AS s LEFT JOIN ordinary AS o ON s = ROW(o.id, o.cluster, o.distance) WHERE s.id IN ('1', '61');
SELECT id FROM pm_segment('named', 'number', '{x}', 1) WHERE EXISTS (SELECT FROM pm_segment('named', 'number', '{x}', 1) AS t WHERE t.id = pm_segment.id AND t.id <> '2');
SELECT * FROM (SELECT id, 1 AS source FROM pm_segment('named', 'number', '{x}', 1) UNION ALL SELECT number::text, 2 FROM named) AS u WHERE id = '2';
SELECT (SELECT count(*) FROM pm_segment(r, 'id', '{x}', 2)) FROM (VALUES ('pts'::regclass), ('few')) AS v(r);

-- columns in any order, twice, in expressions, above what else a query does
EXPLAIN (COSTS OFF, VERBOSE) SELECT distance * 0 AS zero, id FROM pm_segment('named', 'number', '{x}', 1) WHERE cluster = 1;
SELECT distance * 0 AS zero, id, cluster, id || '!' AS again FROM pm_segment('named', 'number', '{x}', 1);
SELECT cluster, id FROM pm_segment('named', 'number', '{x}', 1) WHERE distance > 0 ORDER BY distance, id LIMIT 2;
SELECT generate_series(1, cluster + 1) AS n, id FROM pm_segment('named', 'number', '{x}', 1) ORDER BY id DESC, n LIMIT 3;
SELECT DISTINCT cluster, row_number() OVER (ORDER BY id) FROM pm_segment('named', 'number', '{x}', 1) ORDER BY 2;
SELECT cluster + 1 AS next, GROUPING(id), count(*), max(id) FROM pm_segment('named', 'number', '{x}', 1) GROUP BY ROLLUP (cluster + 1, id) HAVING count(*) > 1 ORDER BY 1;
SELECT n.number, s.* FROM named AS n LEFT JOIN (SELECT id, coalesce(cluster, 0) + 1 AS next, 'x' AS x FROM pm_segment('named', 'number', '{x}', 1) WHERE id <> '2') AS s ON s.id = n.number::text ORDER BY 1;
SELECT n.number, s.* FROM named AS n LEFT JOIN LATERAL (SELECT n.number + cluster AS sum, id FROM pm_segment('named', 'number', '{x}', n.number) AS p WHERE p.cluster = n.number) AS s ON true ORDER BY 1, 3;
SELECT id FROM pm_segment('named', 'number', '{x}', 1) WHERE current_database() <> '' AND (SELECT count(*) > 2 FROM named);
SELECT a.id, b.cluster FROM pm_segment('named', 'number', '{x}', 1) AS a JOIN pm_segment('named', 'number', '{x}', 3) AS b ON a.id = b.id ORDER BY 1;

-- one call, however often its rows are looked at; a call for each of its arguments
SET track_functions = 'all';
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off;
BEGIN;
EXPLAIN (COSTS OFF) SELECT count(*) FROM ordinary AS o LEFT JOIN pm_segment('pts', 'id', '{x,y}', 3) AS s ON s.id = o.id;
SELECT count(*), sum((s.distance = o.distance)::int) FROM ordinary AS o LEFT JOIN pm_segment('pts', 'id', '{x,y}', 3) AS s ON s.id = o.id;
SELECT calls();
SELECT k, (SELECT max(cluster) FROM (SELECT * FROM pm_segment('pts', 'id', '{x}', 3) AS s WHERE s.id::int < k OFFSET 0) AS t) FROM generate_series(1, 4) AS k;
SELECT calls();
SELECT k, max(cluster) FROM generate_series(1, 3) AS k, LATERAL pm_segment('pts', 'id', '{x}', k) GROUP BY 1 ORDER BY 1;
SELECT calls();
SELECT k, (SELECT max(cluster) FROM pm_segment('pts', 'id', '{x}', (SELECT k + count(*)::int FROM named WHERE number < k))) FROM generate_series(1, 3) AS k;
SELECT calls();
SELECT max(cluster) FROM pm_segment('pts', 'id', '{x}', (SELECT count(*)::int FROM named));
SELECT calls();
SELECT id FROM pm_segment('pts', 'id', '{x}', 3) LIMIT 0;
SELECT calls();
COMMIT;
RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_material; RESET enable_memoize;

-- cursors: there and back, and held over the end of the transaction
BEGIN;
DECLARE s SCROLL CURSOR FOR SELECT id FROM pm_segment('named', 'number', '{x}', 1);
FETCH 2 FROM s;
FETCH BACKWARD 2 FROM s;
FETCH ALL FROM s;
FETCH BACKWARD ALL FROM s;
FETCH LAST FROM s;
FETCH ABSOLUTE 2 FROM s;
FETCH RELATIVE 5 FROM s;
FETCH PRIOR FROM s;
MOVE FIRST FROM s;
FETCH NEXT FROM s;
DECLARE p CURSOR FOR SELECT id FROM pm_segment('named', 'number', '{x}', 1) WHERE id <> '2';
FETCH ALL FROM p;
FETCH PRIOR FROM p;
DECLARE w CURSOR WITH HOLD FOR SELECT id, cluster FROM pm_segment('named', 'number', '{x}', 1);
FETCH 1 FROM w;
DECLARE n NO SCROLL CURSOR FOR SELECT id FROM pm_segment('named', 'number', '{x}', 1);
FETCH 1 FROM n;
SAVEPOINT a;
SELECT 1 / (count(*) - 3) FROM pm_segment('named', 'number', '{x}', 1);
ROLLBACK TO a;
FETCH 1 FROM n;
SELECT count(*) > 0 AS held FROM pg_backend_memory_contexts WHERE name LIKE 'precmkt%';
COMMIT;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'precmkt%';
FETCH ALL FROM w;
CLOSE w;
BEGIN;
DECLARE u CURSOR FOR SELECT id FROM pm_segment('named', 'number', '{x}', 1);
FETCH 2 FROM u;
SELECT failure('DELETE FROM named WHERE CURRENT OF u');
ROLLBACK;
SELECT id FROM pm_segment('named', 'number', '{x}', 1) LIMIT 1;
SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'precmkt%';

-- prepared statements: parameters, a plan for any of them, changes underneath
PREPARE segments(regclass, int, text) AS SELECT cluster, count(*) FROM pm_segment($1, 'id', '{x}', $2) WHERE id > $3 GROUP BY 1 ORDER BY 1;
EXECUTE segments('pts', 2, '');
SET plan_cache_mode = force_generic_plan;
EXECUTE segments('pts', 2, '');
EXECUTE segments('few', 1, '5');
EXECUTE segments(NULL, 1, '5');
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE segments('pts', 2, '');
PREPARE ours AS SELECT count(*) FROM pm_segment('pts', 'id', '{x,y}', 3) AS s;
EXPLAIN (COSTS OFF) EXECUTE ours;
BEGIN;
ALTER EXTENSION precmkt DROP FUNCTION pm_segment(regclass, name, name[], int, jsonb);
DROP FUNCTION pm_segment(regclass, name, name[], int, jsonb);
SELECT left(failure('EXECUTE ours'), 5);
ROLLBACK;
EXECUTE ours;
RESET plan_cache_mode;

-- rights, settings and roles of the function
CREATE ROLE regress_streams;
GRANT USAGE ON SCHEMA streams_test TO regress_streams;
GRANT SELECT ON pts TO regress_streams;
BEGIN;
SET LOCAL ROLE regress_streams;
SELECT count(*) FROM pm_segment('pts', 'id', '{x,y}', 3);
SELECT failure($$SELECT count(*) FROM pm_segment('named', 'number', '{x}', 1)$$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION pm_segment(regclass, name, name[], int, jsonb) FROM PUBLIC;
SET LOCAL ROLE regress_streams;
SELECT failure($$SELECT count(*) FROM pm_segment('pts', 'id', '{x,y}', 3)$$);
SELECT failure($$EXPLAIN SELECT count(*) FROM pm_segment('pts', 'id', '{x,y}', 3)$$);
SELECT failure('EXECUTE ours');
ROLLBACK;
BEGIN;
ALTER FUNCTION pm_segment(regclass, name, name[], int, jsonb) SECURITY DEFINER SET work_mem = '64kB';
EXPLAIN (COSTS OFF) EXECUTE ours;
SET LOCAL ROLE regress_streams;
SELECT id FROM pm_segment('named', 'number', '{x}', 1);
SHOW work_mem;
ROLLBACK;
BEGIN;
ALTER FUNCTION pm_segment(regclass, name, name[], int, jsonb) STRICT;
SELECT count(*) FROM pm_segment('pts', 'id', NULL, 3);
SELECT count(*) FROM pm_segment('pts', 'id', '{x}', 3);
ROLLBACK;

-- errors: of the arguments, of the rows, of what is asked of them
SELECT failure($$SELECT * FROM pm_segment(NULL, 'id', '{x,y}', 3)$$);
SELECT failure($$SELECT * FROM pm_segment('pts', NULL, '{x,y}', 3)$$);
SELECT failure($$SELECT * FROM pm_segment('pts', 'nothing', '{x,y}', 3)$$);
SELECT failure($$SELECT * FROM pm_segment('pts', 'id', '{x,y}', 0)$$);
SELECT failure($$SELECT * FROM pm_segment('pts', 'id', '{x,y}', 1000)$$);
SELECT failure($$SELECT 1 / (id::int - 5) FROM pm_segment('pts', 'id', '{x,y}', 3)$$);
SELECT failure($$SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3 / 0)$$);
SELECT failure($$SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3) AS s(a int, b int, c int)$$);
SELECT id FROM pm_segment('named', 'number', '{x}', NULL);
SELECT failure($$SELECT pm_stream_support(NULL)$$);
-- our support for a function that knows nothing of it, which takes a superuser
CREATE FUNCTION strange(source regclass, OUT a int, OUT b int) RETURNS SETOF record LANGUAGE sql STRICT VOLATILE SUPPORT pm_stream_support
    AS 'SELECT 1, 2';
SELECT failure($$SELECT * FROM strange('pts')$$);
SELECT count(*) FROM ROWS FROM (strange('pts'), strange('pts'));

-- into tables, from functions and views
CREATE TABLE target (id text, cluster int);
INSERT INTO target SELECT id, cluster FROM pm_segment('pts', 'id', '{x,y}', 3);
SELECT count(*), count(cluster), count(DISTINCT id) FROM target;
ALTER TABLE pts ADD segment int;
EXPLAIN (COSTS OFF) UPDATE pts SET segment = s.cluster FROM pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint) AS s WHERE s.id = pts.id;
UPDATE pts SET segment = s.cluster FROM pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint) AS s WHERE s.id = pts.id;
SELECT count(*) FROM pts JOIN ordinary AS o ON o.id = pts.id::text WHERE segment IS DISTINCT FROM cluster;
UPDATE pts SET segment = 0 WHERE id IN (SELECT id FROM pm_segment('pts', 'id', '{x,y}', 3, '{}', NULL::bigint) WHERE cluster IS NULL) RETURNING id;
DELETE FROM target USING pm_segment('pts', 'id', '{x,y}', 3) AS s WHERE s.id = target.id AND s.cluster = 1;
SELECT count(*) FROM target;
CREATE VIEW segments AS SELECT s.id, s.cluster, s.distance FROM pm_segment('pts', 'id', '{x,y}', 3) AS s;
SELECT * FROM differences('TABLE segments');
EXPLAIN (COSTS OFF) SELECT id FROM segments WHERE cluster = 1;
CREATE MATERIALIZED VIEW kept AS TABLE segments;
REFRESH MATERIALIZED VIEW kept;
SELECT * FROM differences('TABLE kept');
CREATE FUNCTION by_sql(source regclass, k int) RETURNS SETOF segments LANGUAGE sql STABLE AS $$ SELECT * FROM pm_segment(source, 'id', '{x,y}', k) $$;
EXPLAIN (COSTS OFF) SELECT * FROM by_sql('pts', 3);
SELECT * FROM differences($$SELECT * FROM by_sql('pts', 3)$$);
CREATE FUNCTION by_plpgsql(source regclass, k int) RETURNS SETOF segments LANGUAGE plpgsql AS $$
DECLARE
    s record;
    c CURSOR FOR SELECT * FROM pm_segment(source, 'id', '{x,y}', k);
BEGIN
    FOR s IN SELECT * FROM pm_segment(source, 'id', '{x,y}', k) WHERE cluster = 1 LOOP
        RETURN NEXT s;
    END LOOP;
    RETURN QUERY SELECT * FROM pm_segment(source, 'id', '{x,y}', k) WHERE cluster > 1;
    FOR s IN c LOOP
        IF s.cluster IS NULL THEN
            RETURN NEXT s;
        END IF;
    END LOOP;
END $$;
SELECT * FROM differences($$SELECT * FROM by_plpgsql('pts', 3)$$);
WITH s AS MATERIALIZED (SELECT * FROM pm_segment('pts', 'id', '{x,y}', 3)) SELECT count(*) FROM s AS a JOIN s AS b USING (id);
COPY (SELECT id, cluster FROM pm_segment('named', 'number', '{x}', 1)) TO STDOUT;

-- not in a parallel worker
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode');
SELECT count(*) FROM pm_segment('pts', 'id', '{x,y}', 3);

SET client_min_messages = warning;
DROP SCHEMA streams_test CASCADE;
DROP ROLE regress_streams;
