-- sources: what a training can read, with whose rights, and what it says of the rest
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA sources_test;
SET search_path = sources_test, public;
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

-- the same rows behind every kind of relation give the same clusters
CREATE TABLE t (id int PRIMARY KEY, a float8, b int, part int);
INSERT INTO t SELECT i, CASE WHEN i <= 6 THEN i ELSE 100 + i END, i % 2, i % 3 FROM generate_series(1, 10) AS i;
CREATE VIEW v AS SELECT b, a FROM t WHERE id > 0;
CREATE MATERIALIZED VIEW mv AS SELECT a, b FROM t;
CREATE TABLE p (a float8, b int, part int) PARTITION BY LIST (part);
CREATE TABLE p0 PARTITION OF p FOR VALUES IN (0);
-- a partition with its columns in another order
CREATE TABLE p1 (part int, b int, gone text, a float8);
ALTER TABLE p1 DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p DEFAULT PARTITION BY RANGE (a);
CREATE TABLE p2a PARTITION OF p2 FOR VALUES FROM (MINVALUE) TO (50);
CREATE TABLE p2b PARTITION OF p2 DEFAULT;
INSERT INTO p SELECT a, b, part FROM t;
CREATE TEMP TABLE tmp AS SELECT a, b FROM t;
CREATE UNLOGGED TABLE unlogged AS SELECT a, b FROM t;
CREATE TABLE parent (b int, a float8);
CREATE TABLE child (extra text) INHERITS (parent);
INSERT INTO parent SELECT b, a FROM t WHERE id <= 4;
INSERT INTO child SELECT b, a, 'x' FROM t WHERE id > 4;
SELECT relation, line FROM unnest(ARRAY['t', 'v', 'mv', 'p', 'tmp', 'unlogged', 'parent']) WITH ORDINALITY AS s(relation, n),
    clusters(pm_kmeans(relation::regclass, '{a,b}', 2)) AS line ORDER BY n, line;
-- a table's child alone
SELECT info(pm_kmeans('child', '{a,b}', 2), 'rows_used', 'source');
-- what it was trained on is named with its schema
SELECT info(pm_kmeans('v', k => 2), 'source', 'columns', 'rows_read', 'rows_used');

-- a view over a function, a join, a set operation, a CTE, and over a trainer of this extension
CREATE VIEW deep AS
    WITH x AS (SELECT id, a FROM t UNION ALL SELECT id, a FROM t)
    SELECT x.a, g.b FROM x JOIN LATERAL (SELECT x.id % 2 AS b) AS g ON true;
SELECT clusters(pm_kmeans('deep', k => 2));
CREATE VIEW nested AS SELECT cluster::float8 AS c, distance AS d FROM pm_segment('t', 'id', '{a,b}', 2);
SELECT clusters(pm_kmeans('nested', '{c}', 2));
-- a view that trains on itself ends in an error, not in a crash
CREATE VIEW ouroboros AS SELECT 1 AS a;
CREATE FUNCTION trained() RETURNS int LANGUAGE sql AS $$ SELECT length(pm_kmeans('sources_test.ouroboros', k => 1)) $$;
CREATE OR REPLACE VIEW ouroboros AS SELECT trained() AS a;
SELECT split_part(failure($$SELECT pm_kmeans('ouroboros', k => 1)$$), ' ', 1) AS sqlstate;
SELECT clusters(pm_kmeans('v', k => 1));

-- domains are their base types; dropped and generated columns; odd names
CREATE DOMAIN price AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE DOMAIN discounted AS price;
CREATE TABLE "Odd ""name"".x" ("drop me" text, "size; DROP TABLE t" price, "a.b" discounted,
    "select" int, "two words" int GENERATED ALWAYS AS ("select" * 2) STORED, "UPPER" text DEFAULT 'x''"\');
ALTER TABLE "Odd ""name"".x" DROP COLUMN "drop me";
INSERT INTO "Odd ""name"".x" VALUES (1, 2, 3), (10, 20, 30), (11, 21, 31);
SELECT clusters(pm_kmeans('"Odd ""name"".x"', k => 2));
SELECT clusters(pm_kmeans('"Odd ""name"".x"', ARRAY['two words', 'a.b'], 2));
SELECT x."select", pm_kmeans_assign(pm_kmeans('"Odd ""name"".x"', k => 2), x) FROM "Odd ""name"".x" AS x ORDER BY 1;

-- one row, two equal rows, no row, no column
CREATE TABLE one (a int, b text);
SELECT failure($$SELECT pm_kmeans('one', k => 1)$$);
SELECT failure($$SELECT pm_kmeans('one')$$);
SELECT failure($$SELECT * FROM pm_kmeans_sweep('one')$$);
SELECT failure($$SELECT * FROM pm_segment('one', 'a')$$);
INSERT INTO one VALUES (7, 'x');
SELECT clusters(pm_kmeans('one', k => 1));
SELECT clusters(pm_kmeans('one'));
INSERT INTO one VALUES (7, 'x');
SELECT failure($$SELECT pm_kmeans('one', k => 2)$$);
SELECT failure($$SELECT pm_kmeans('one', k => 3)$$);
SELECT clusters(pm_kmeans('one', k => 1));
CREATE TABLE none ();
SELECT failure($$SELECT pm_kmeans('none', k => 1)$$);
SELECT failure($$SELECT pm_segment('one', 'a', '{}', 1)$$);

-- 1,600 columns, the most that a table has
DO $$ BEGIN
    EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('c' || i || ' float4', ', ' ORDER BY i) FROM generate_series(1, 1600) AS i) || ')';
    EXECUTE 'INSERT INTO wide SELECT ' || (SELECT string_agg('g * ' || i, ', ' ORDER BY i) FROM generate_series(1, 1600) AS i) ||
        ' FROM unnest(ARRAY[1, 2, 50, 51, 52]) AS g';
END $$;
CREATE TABLE wide_model AS SELECT pm_kmeans('wide', k => 2) AS model;
SELECT info(model, 'features', 'rows_used') FROM wide_model;
SELECT cluster, feature, round(value) AS value, size FROM wide_model, pm_kmeans_centroids(model) WHERE feature IN ('c1', 'c1600') ORDER BY 1, 2;
SELECT c1, pm_kmeans_assign(model, wide) FROM wide, wide_model ORDER BY 1;
SELECT failure($$SELECT pm_kmeans('wide', '{c1601}')$$);

-- names: unknown, system, NULL, twice; case matters
SELECT failure(c) FROM (VALUES
    (1, $$SELECT pm_kmeans('t', '{a,amount}')$$),
    (2, $$SELECT pm_kmeans('t', '{A}')$$),
    (3, $$SELECT pm_kmeans('t', '{ctid}')$$),
    (4, $$SELECT pm_kmeans('t', '{a,NULL}')$$),
    (5, $$SELECT pm_kmeans('t', '{a,b,a}')$$),
    (6, $$SELECT pm_kmeans('t', '{}')$$),
    (7, $$SELECT pm_kmeans('t', '{a}', 2, '{"weight_col": "w"}')$$),
    (8, $$SELECT * FROM pm_segment('t', 'ID')$$),
    (9, $$SELECT * FROM pm_kmeans_sweep('t', '{c}')$$),
    (10, $$SELECT pm_kmeans('p1', '{gone}')$$)) AS s(n, c) ORDER BY n;

-- what is no source: index, sequence, composite type, partitioned index, nothing at all
CREATE SEQUENCE seq;
CREATE TYPE pair AS (a int, b int);
CREATE INDEX p_a ON p (a);
SELECT failure(format('SELECT pm_kmeans(%L)', s)) FROM unnest(ARRAY['t_pkey', 'seq', 'pair', 'p_a', 'nowhere', '1']) WITH ORDINALITY AS u(s, n) ORDER BY n;
SELECT failure($$SELECT pm_kmeans(NULL)$$);
SELECT failure($$SELECT * FROM pm_segment(NULL, 'id')$$);
SELECT failure($$SELECT * FROM pm_segment('t', NULL)$$);
SELECT failure($$SELECT * FROM pm_kmeans_sweep(NULL)$$);
-- a materialised view that holds nothing yet; a foreign table whose wrapper has no handler
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS a WITH NO DATA;
SELECT failure($$SELECT pm_kmeans('unfilled', k => 1)$$);
CREATE FOREIGN DATA WRAPPER sources_wrapper;
CREATE SERVER sources_server FOREIGN DATA WRAPPER sources_wrapper;
CREATE FOREIGN TABLE elsewhere (a int) SERVER sources_server;
SELECT failure($$SELECT pm_kmeans('elsewhere', k => 1)$$);
-- an error of the query itself arrives as it is
CREATE VIEW broken AS SELECT 1 / (id - 5) AS a FROM t;
SELECT failure($$SELECT pm_kmeans('broken', k => 1)$$);

-- rights: none, some columns, a schema that is closed, a view of another owner
CREATE ROLE regress_sources_clerk;
GRANT USAGE ON SCHEMA sources_test TO regress_sources_clerk;
CREATE TABLE customers (id int, tenant name, spend float8, secret float8);
INSERT INTO customers SELECT i, CASE WHEN i <= 8 THEN 'regress_sources_clerk' ELSE 'other' END, i + i % 2 * 100, i FROM generate_series(1, 20) AS i;
SET ROLE regress_sources_clerk;
SELECT failure($$SELECT pm_kmeans('customers', '{spend}', 2)$$);
SELECT failure($$SELECT * FROM pm_segment('customers', 'id', '{spend}', 2)$$);
SELECT failure($$SELECT * FROM pm_kmeans_sweep('customers', '{spend}')$$);
RESET ROLE;
GRANT SELECT (spend, tenant) ON customers TO regress_sources_clerk;
SET ROLE regress_sources_clerk;
SELECT info(pm_kmeans('customers', '{spend}', 2), 'rows_used');
SELECT failure($$SELECT pm_kmeans('customers', '{spend,secret}', 2)$$);
SELECT failure($$SELECT pm_kmeans('customers')$$);
SELECT failure($$SELECT pm_kmeans('customers', '{spend}', 2, '{"weight_col": "secret"}')$$);
-- the id column needs a right of its own
SELECT failure($$SELECT * FROM pm_segment('customers', 'id', '{spend}', 2)$$);
RESET ROLE;
GRANT SELECT ON customers TO regress_sources_clerk;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON customers USING (tenant = current_user);
SELECT info(pm_kmeans('customers', '{spend}', 2), 'rows_used');
SET ROLE regress_sources_clerk;
SELECT clusters(pm_kmeans('customers', '{spend}', 2));
SELECT count(*), max(id::int) FROM pm_segment('customers', 'id', '{spend}', 2);
SET row_security = off;
SELECT failure($$SELECT pm_kmeans('customers', '{spend}', 2)$$);
RESET row_security;
RESET ROLE;
-- no row is visible: as an empty table
DELETE FROM customers WHERE tenant = 'regress_sources_clerk';
SET ROLE regress_sources_clerk;
SELECT failure($$SELECT pm_kmeans('customers', '{spend}', 1)$$);
RESET ROLE;
-- a view reads with its owner's rights; a function that is SECURITY DEFINER with its owner's
CREATE VIEW shared AS SELECT spend FROM customers;
GRANT SELECT ON shared TO regress_sources_clerk;
CREATE FUNCTION train_as_owner() RETURNS bytea LANGUAGE sql SECURITY DEFINER SET search_path = sources_test, public
    AS $$ SELECT pm_kmeans('customers', '{spend}', 2) $$;
SET ROLE regress_sources_clerk;
SELECT info(pm_kmeans('shared', k => 2), 'rows_used');
SELECT info(train_as_owner(), 'rows_used');
RESET ROLE;
REVOKE USAGE ON SCHEMA sources_test FROM regress_sources_clerk;
SELECT 'customers'::regclass::oid AS customers \gset
SET ROLE regress_sources_clerk;
SET search_path = public;
\set VERBOSITY sqlstate
SELECT pm_kmeans(:customers::regclass, '{spend}', 1);
\set VERBOSITY default
RESET ROLE;
SET search_path = sources_test, public;

-- nothing on the search path, and no temporary table, takes the place of what was named
CREATE SCHEMA sources_decoy;
CREATE TABLE sources_decoy.t AS SELECT -1 AS a, -1 AS b;
SET search_path = sources_decoy, sources_test, public;
SELECT info(pm_kmeans('sources_test.t', '{a,b}', 1), 'source', 'rows_used');
SELECT info(pm_kmeans('t', '{a,b}', 1), 'source', 'rows_used');
SET search_path = sources_test, public;
CREATE FUNCTION late(relation regclass) RETURNS SETOF text LANGUAGE plpgsql SET search_path = sources_decoy AS $$
BEGIN
    RETURN QUERY SELECT * FROM sources_test.info(public.pm_kmeans(relation, '{a,b}', 1), 'source', 'rows_used');
END $$;
ALTER FUNCTION info(bytea, text[]) SET search_path = public;
SELECT late('t');

-- the caller's snapshot: rows of this transaction, not of the statement itself, nor of one rolled back
BEGIN;
INSERT INTO t SELECT i, i, 0, 0 FROM generate_series(11, 15) AS i;
SELECT info(pm_kmeans('t', '{a,b}', 1), 'rows_used');
SAVEPOINT s;
DELETE FROM t WHERE id > 3;
SELECT info(pm_kmeans('t', '{a,b}', 1), 'rows_used');
ROLLBACK TO s;
WITH gone AS (DELETE FROM t RETURNING id) SELECT count(*), length(pm_kmeans('t', '{a}', 2)) > 0 FROM gone;
SELECT failure($$SELECT pm_kmeans('t', '{a,b}', 1)$$);
ROLLBACK;
SELECT info(pm_kmeans('t', '{a,b}', 1), 'rows_used');
-- read only, as on a standby
BEGIN READ ONLY;
SELECT info(pm_kmeans('t', '{a,b}', 1), 'rows_used');
COMMIT;

-- every way to call: prepared, in a cursor that is held, in the select list, with LIMIT, in a loop that catches errors
PREPARE train(regclass, int) AS SELECT clusters(pm_kmeans($1, '{a,b}', $2));
EXECUTE train('t', 2);
EXECUTE train('mv', 1);
ALTER TABLE unlogged ALTER COLUMN b TYPE interval USING b * interval '1 second';
EXECUTE train('unlogged', 2);
ALTER TABLE unlogged DROP COLUMN b;
ALTER TABLE unlogged ADD COLUMN b text DEFAULT 'x';
EXECUTE train('unlogged', 2);
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT id::int, cluster FROM pm_segment('t', 'id', '{a,b}', 2) ORDER BY 1;
FETCH 2 FROM held;
COMMIT;
DROP TABLE parent CASCADE;
FETCH LAST FROM held;
FETCH PRIOR FROM held;
CLOSE held;
SELECT count(*) FROM (SELECT pm_segment('t', 'id', '{a,b}', 2) LIMIT 3) AS s;
SELECT count(*) FROM (SELECT * FROM pm_segment('t', 'id', '{a,b}', 2) LIMIT 0) AS s;
SELECT n, s.id FROM ROWS FROM (pm_segment('t', 'id', '{a,b}', 2), generate_series(1, 2)) AS s(id, cluster, distance, n) WHERE n IS NOT NULL ORDER BY n, s.id LIMIT 0;
DO $$
DECLARE
    failed int := 0;
    worked int := 0;
BEGIN
    FOR i IN 1 .. 30 LOOP
        BEGIN
            PERFORM pm_kmeans('t', '{a,b}', i);
            worked := worked + 1;
        EXCEPTION WHEN invalid_parameter_value THEN
            failed := failed + 1;
        END;
    END LOOP;
    RAISE NOTICE '% worked, % failed', worked, failed;
END $$;

SET client_min_messages = warning;
DROP SCHEMA sources_test, sources_decoy CASCADE;
DROP FOREIGN DATA WRAPPER sources_wrapper CASCADE;
DROP ROLE regress_sources_clerk;
