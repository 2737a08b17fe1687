-- pm_rfm: against brute force, the grid, ties, types, errors, row-level security
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
RESET client_min_messages;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
CREATE SCHEMA rfm_test;
SET search_path = rfm_test, public;

-- the SQLSTATE, message and hint of a statement that fails
CREATE FUNCTION failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text;
    h text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, h = PG_EXCEPTION_HINT;
    RETURN sqlstate || ': ' || m || CASE WHEN h <> '' THEN ' / ' || h ELSE '' END;
END $$;

-- 400 customers, baskets of several lines, equal times and amounts, returns, free things
CREATE TABLE orders AS
SELECT hashint8extended(i, 1) & 1023 & (hashint8extended(i, 2) & 511) AS user_id,
    timestamptz '2024-01-01 00:00+00' + (hashint8extended(i, 3) & 255) * interval '12 hours' AS ts,
    (ARRAY[-20, -5, 0, 5, 5, 10, 10, 10, 19.99, 250])[1 + (hashint8extended(i, 4) & 1023) % 10]::numeric(10,2) AS amount
FROM generate_series(1, 3000) AS i;

-- the same by the definition, one correlated subquery a number
CREATE FUNCTION brute(as_of timestamptz, bins int)
RETURNS TABLE (user_id bigint, recency_days float8, frequency bigint, monetary numeric, r_score int, f_score int, m_score int)
LANGUAGE sql AS $$
    WITH u AS MATERIALIZED (
        SELECT d.user_id,
            (SELECT max(o.ts) FROM orders o WHERE o.user_id = d.user_id AND o.amount > 0 AND o.ts <= as_of) AS last,
            (SELECT count(*) FROM (SELECT DISTINCT o.ts FROM orders o
                WHERE o.user_id = d.user_id AND o.amount > 0 AND o.ts <= as_of) AS t) AS f,
            (SELECT sum(o.amount) FROM orders o WHERE o.user_id = d.user_id AND o.ts <= as_of) AS m
        FROM (SELECT DISTINCT orders.user_id FROM orders) AS d
    ), b AS MATERIALIZED (SELECT * FROM u WHERE f > 0)
    SELECT b.user_id, extract(epoch FROM as_of - b.last)::float8 / 86400, b.f, b.m,
        1 + floor(bins * (SELECT count(*) FROM b w WHERE w.last < b.last)::numeric / (SELECT count(*) FROM b))::int,
        1 + floor(bins * (SELECT count(*) FROM b w WHERE w.f < b.f)::numeric / (SELECT count(*) FROM b))::int,
        1 + floor(bins * (SELECT count(*) FROM b w WHERE w.m < b.m)::numeric / (SELECT count(*) FROM b))::int
    FROM b
$$;

CREATE FUNCTION differences(as_of timestamptz, bins int) RETURNS TABLE (customers bigint, missing bigint, wrong bigint)
LANGUAGE sql AS $$
    WITH ours AS MATERIALIZED (
        SELECT user_id, recency_days, frequency, monetary, r_score, f_score, m_score
        FROM pm_rfm('orders', 'user_id', 'ts', 'amount', as_of => as_of, bins => bins, id_type => NULL::bigint)
    ), theirs AS MATERIALIZED (
        SELECT * FROM brute(coalesce(as_of, (SELECT max(ts) FROM orders)), bins)
    )
    SELECT (SELECT count(*) FROM theirs),
        (SELECT count(*) FROM (SELECT * FROM theirs EXCEPT SELECT * FROM ours) AS d),
        (SELECT count(*) FROM (SELECT * FROM ours EXCEPT SELECT * FROM theirs) AS d)
$$;

SELECT * FROM differences(NULL, 5);
SELECT * FROM differences('2024-02-10 12:00+00', 5);
SELECT * FROM differences('2024-03-01 07:30+00', 10);
SELECT bins, d.* FROM (VALUES (2), (3), (7)) AS b(bins), differences(NULL, bins) AS d ORDER BY bins;

-- nobody has bought before the data begins
SELECT count(*) FROM pm_rfm('orders', 'user_id', 'ts', 'amount', as_of => '2023-12-31');

-- the order of the rows does not matter, and neither does the plan
CREATE TABLE shuffled AS SELECT * FROM orders ORDER BY hashint8extended(user_id, 9), ts DESC, amount DESC;
SELECT count(*) AS differences FROM (
    SELECT * FROM pm_rfm('orders', 'user_id', 'ts', 'amount') EXCEPT SELECT * FROM pm_rfm('shuffled', 'user_id', 'ts', 'amount')) AS d;
CREATE TABLE before AS SELECT * FROM pm_rfm('orders', 'user_id', 'ts', 'amount');
CREATE INDEX ON orders (user_id);
SET enable_sort = off;
SET enable_seqscan = off;
SELECT count(*) AS differences FROM (
    SELECT * FROM pm_rfm('orders', 'user_id', 'ts', 'amount') EXCEPT SELECT * FROM before) AS d;
RESET enable_sort;
RESET enable_seqscan;

-- The grid.  Customer (i, j) has recency level i and frequency level j of n:
-- a level ties n of the n * n customers, so the scores are the levels.
CREATE FUNCTION levels(n int) RETURNS TABLE (user_id int, ts timestamp, amount int) LANGUAGE sql AS $$
    SELECT 100 * i + j, timestamp '2024-01-01' + i * interval '30 days' - k * interval '1 hour', 1
    FROM generate_series(1, n) AS i, generate_series(1, n) AS j, generate_series(1, j) AS k
$$;
CREATE TABLE grid AS SELECT * FROM levels(5);
SELECT r_score,
    max(segment) FILTER (WHERE f_score = 1) AS f1, max(segment) FILTER (WHERE f_score = 2) AS f2,
    max(segment) FILTER (WHERE f_score = 3) AS f3, max(segment) FILTER (WHERE f_score = 4) AS f4,
    max(segment) FILTER (WHERE f_score = 5) AS f5, count(*), count(DISTINCT (r_score, f_score)) AS cells
FROM pm_rfm('grid', 'user_id', 'ts', 'amount') GROUP BY r_score ORDER BY r_score DESC;
SELECT count(*) AS wrong FROM pm_rfm('grid', 'user_id', 'ts', 'amount', id_type => NULL::int)
WHERE (r_score, f_score) <> (user_id / 100, user_id % 100) OR segment IS NULL;

-- other numbers of bins go by these grid levels
CREATE TABLE onto (bins int, grid int[]);
INSERT INTO onto VALUES (2, '{1,5}'), (3, '{1,3,5}'), (4, '{1,2,4,5}'), (5, '{1,2,3,4,5}'), (6, '{1,2,3,3,4,5}'),
    (7, '{1,2,2,3,4,4,5}'), (8, '{1,2,2,3,3,4,4,5}'), (9, '{1,2,2,3,3,4,4,5,5}'), (10, '{1,1,2,2,3,3,4,4,5,5}');
CREATE TABLE five AS SELECT r_score, f_score, segment FROM pm_rfm('grid', 'user_id', 'ts', 'amount');
DO $$
DECLARE
    o record;
    bad bigint;
BEGIN
    FOR o IN SELECT * FROM onto ORDER BY bins LOOP
        EXECUTE format('CREATE TABLE other AS SELECT * FROM levels(%s)', o.bins);
        SELECT count(*) FILTER (WHERE five.segment IS DISTINCT FROM t.segment) + abs(count(*) - o.bins * o.bins) INTO bad
        FROM pm_rfm('other', 'user_id', 'ts', 'amount', bins => o.bins) AS t
        LEFT JOIN five ON (five.r_score, five.f_score) = (o.grid[t.r_score], o.grid[t.f_score]);
        RAISE NOTICE '% bins: % differences', o.bins, bad;
        DROP TABLE other;
    END LOOP;
END $$;

-- a basket is one purchase time; a return lowers monetary alone; who never bought is left out
CREATE TABLE small (who text, day date, paid float8);
INSERT INTO small VALUES ('ann', '2024-03-01', 10), ('ann', '2024-03-01', 2.5), ('ann', '2024-03-20', -4),
    ('bob', '2024-03-11', 7), ('bob', '2024-03-31', 0), ('cy', '2024-03-31', -7), ('dee', '2024-03-31', 0);
SELECT * FROM pm_rfm('small', 'who', 'day', 'paid') ORDER BY user_id;
-- a return may take more than the period's purchases brought
INSERT INTO small VALUES ('bob', '2024-03-12', -9);
SELECT user_id, monetary, m_score FROM pm_rfm('small', 'who', 'day', 'paid') ORDER BY user_id;
-- as_of is inclusive, and later rows do not exist
SELECT * FROM pm_rfm('small', 'who', 'day', 'paid', as_of => '2024-03-11', bins => 2) ORDER BY user_id;
SELECT user_id, recency_days FROM pm_rfm('small', 'who', 'day', 'paid', as_of => '2024-04-01 12:00') ORDER BY user_id;
-- dates are whole days apart, also over the start of summer time
SET TimeZone = 'Europe/London';
SELECT user_id, recency_days FROM pm_rfm('small', 'who', 'day', 'paid', as_of => '2024-04-01') ORDER BY user_id;
SET TimeZone = 'UTC';

-- floats are summed as the decimals they are written as, in any order
CREATE TABLE floats (id int, ts timestamp, amount float8);
INSERT INTO floats SELECT i % 2, '2024-01-01', 0.1 FROM generate_series(1, 2000) AS i;
INSERT INTO floats VALUES (0, '2024-01-01', 1e15), (0, '2024-01-01', -1e15);
SELECT * FROM pm_rfm('floats', 'id', 'ts', 'amount') ORDER BY user_id;

-- NULLs are left out and counted
CREATE TABLE holes AS SELECT * FROM small;
INSERT INTO holes VALUES (NULL, '2024-05-01', 1), ('ann', NULL, 1), ('eve', '2024-05-01', NULL), (NULL, NULL, NULL), ('eve', NULL, 3);
SELECT * FROM pm_rfm('holes', 'who', 'day', 'paid') ORDER BY user_id;
SELECT count(*) AS differences FROM (
    SELECT * FROM pm_rfm('holes', 'who', 'day', 'paid') EXCEPT SELECT * FROM pm_rfm('small', 'who', 'day', 'paid')) AS d;
CREATE TABLE void (who text, day date, paid int);
SELECT * FROM pm_rfm('void', 'who', 'day', 'paid');
INSERT INTO void VALUES (NULL, '2024-01-01', 3);
SELECT * FROM pm_rfm('void', 'who', 'day', 'paid');
-- one customer is worse than nobody
INSERT INTO void VALUES ('ann', '2024-01-01', 3);
DELETE FROM void WHERE who IS NULL;
SELECT * FROM pm_rfm('void', 'who', 'day', 'paid');

-- ids come back as the type asked for
CREATE DOMAIN customer_no AS bigint;
CREATE TABLE ids (i int, b bigint, u uuid, t text, v varchar(20), n customer_no, "Odd ""name" smallint, day date, paid int);
INSERT INTO ids SELECT i, i, ('00000000-0000-0000-0000-00000000000' || i)::uuid, 'c' || i, 'v' || i, i, i, date '2024-01-01' + i, i
FROM generate_series(1, 3) AS i;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'i', 'day', 'paid', id_type => NULL::int) ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'b', 'day', 'paid', id_type => NULL::bigint) ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'n', 'day', 'paid', id_type => NULL::bigint) ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'u', 'day', 'paid', id_type => NULL::uuid) ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 't', 'day', 'paid') ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'u', 'day', 'paid') ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'v', 'day', 'paid') ORDER BY 2;
SELECT pg_typeof(user_id), user_id FROM pm_rfm('ids', 'Odd "name', 'day', 'paid') ORDER BY 2;
-- any other type through the function underneath
SELECT pg_typeof(user_id), user_id FROM pm_rfm_typed('ids', 'Odd "name', 'day', 'paid', NULL, 5, NULL::smallint) ORDER BY 2;
-- named arguments in any order
SELECT user_id, recency_days FROM pm_rfm(bins => 3, as_of => '2024-01-05', id_type => NULL::bigint, amount_col => 'paid',
    ts_col => 'day', user_col => 'b', source => 'ids') ORDER BY 1;

-- what can be a source
CREATE VIEW a_view AS SELECT b, day::timestamptz AS ts, paid::numeric AS paid FROM ids;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM a_view;
CREATE TABLE parts (b bigint, day date, paid real) PARTITION BY LIST (b);
CREATE TABLE part1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT b, day, paid FROM ids;
CREATE TEMP TABLE a_temp AS SELECT b, day, paid::smallint AS paid FROM ids;
SELECT count(*), sum(monetary) FROM pm_rfm('a_view', 'b', 'ts', 'paid');
SELECT count(*), sum(monetary) FROM pm_rfm('a_matview', 'b', 'ts', 'paid');
SELECT count(*), sum(monetary) FROM pm_rfm('parts', 'b', 'day', 'paid');
SELECT count(*), sum(monetary) FROM pm_rfm('a_temp', 'b', 'day', 'paid');
CREATE TABLE "Ödd ""table" AS SELECT b AS "user; id", day AS "DAY", paid AS "paid %1$I" FROM ids;
SELECT count(*), sum(monetary) FROM pm_rfm('"Ödd ""table"', 'user; id', 'DAY', 'paid %1$I');

-- errors
CREATE INDEX ids_b ON ids (b);
CREATE TABLE bad (id int, ts timestamp, f float8, n numeric, flag boolean, clock time, t text);
INSERT INTO bad VALUES (1, '2024-01-01', 1, 1, true, '12:00', 'x'), (2, '2024-01-01', 'NaN', 'Infinity', true, '12:00', 'x');
SELECT failure(c) FROM (VALUES
    (1, $$SELECT * FROM pm_rfm('ids', 'customer', 'day', 'paid')$$),
    (2, $$SELECT * FROM pm_rfm('ids', 'b', 'Day', 'paid')$$),
    (3, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'ctid')$$),
    (4, $$SELECT * FROM pm_rfm('nowhere', 'b', 'day', 'paid')$$),
    (5, $$SELECT * FROM pm_rfm(1::oid::regclass, 'b', 'day', 'paid')$$),
    (6, $$SELECT * FROM pm_rfm('ids_b', 'b', 'day', 'paid')$$),
    (7, $$SELECT * FROM pm_rfm(NULL, 'b', 'day', 'paid')$$),
    (8, $$SELECT * FROM pm_rfm('ids', NULL, 'day', 'paid')$$),
    (9, $$SELECT * FROM pm_rfm('ids', 'b', 'day', NULL)$$),
    (10, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', bins => 1)$$),
    (11, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', bins => 11)$$),
    (12, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', bins => NULL)$$),
    (13, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', as_of => 'infinity')$$),
    (14, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', id_type => NULL::uuid)$$),
    (15, $$SELECT * FROM pm_rfm('ids', 'i', 'day', 'paid', id_type => NULL::bigint)$$),
    (16, $$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', id_type => 5::bigint)$$),
    (17, $$SELECT * FROM pm_rfm('bad', 'id', 'clock', 'n')$$),
    (18, $$SELECT * FROM pm_rfm('bad', 'id', 't', 'n')$$),
    (19, $$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'flag')$$),
    (20, $$SELECT * FROM pm_rfm('bad', 'id', 'ts', 't')$$),
    (21, $$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'f')$$),
    (22, $$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'n')$$)) AS s(no, c) ORDER BY no;
UPDATE bad SET f = '-Infinity', n = 'NaN';
SELECT failure($$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'f')$$);
SELECT failure($$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'n')$$);
UPDATE bad SET f = 1, ts = 'infinity' WHERE id = 2;
UPDATE bad SET f = 1, ts = '2024-01-01' WHERE id = 1;
SELECT failure($$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'f')$$);
-- what lies after as_of is not looked at
SELECT user_id FROM pm_rfm('bad', 'id', 'ts', 'f', as_of => '2024-01-02');
UPDATE bad SET ts = '-infinity' WHERE id = 2;
SELECT failure($$SELECT * FROM pm_rfm('bad', 'id', 'ts', 'f')$$);
-- an untyped literal in the fifth place could be a time or an id: name it
SELECT failure($$SELECT * FROM pm_rfm('ids', 'b', 'day', 'paid', '2024-01-05')$$);
SELECT count(*) FROM pm_rfm('ids', 'b', 'day', 'paid', timestamptz '2024-01-05', 4);

-- the caller's rights: no privilege, a column privilege, row-level security
CREATE ROLE regress_rfm_clerk;
CREATE TABLE tenants (tenant name, user_id bigint, ts date, amount int, secret text);
INSERT INTO tenants SELECT CASE WHEN i % 3 = 0 THEN 'regress_rfm_clerk' ELSE 'other' END, i, date '2024-01-01' + i, i, 'x'
FROM generate_series(1, 30) AS i;
GRANT USAGE ON SCHEMA rfm_test TO regress_rfm_clerk;
SET ROLE regress_rfm_clerk;
SELECT failure($$SELECT * FROM pm_rfm('tenants', 'user_id', 'ts', 'amount')$$);
RESET ROLE;
GRANT SELECT (user_id, ts, amount) ON tenants TO regress_rfm_clerk;
SET ROLE regress_rfm_clerk;
SELECT count(*) FROM pm_rfm('tenants', 'user_id', 'ts', 'amount');
SELECT failure($$SELECT * FROM pm_rfm('tenants', 'secret', 'ts', 'amount')$$);
RESET ROLE;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = current_user);
SET ROLE regress_rfm_clerk;
SELECT count(*), bool_and(user_id::int % 3 = 0) AS own, max(monetary), max(m_score) FROM pm_rfm('tenants', 'user_id', 'ts', 'amount');
-- nothing on the search_path gets in between
RESET ROLE;
CREATE OPERATOR rfm_test.> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt);
CREATE FUNCTION rfm_test.isfinite(timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT false';
SET search_path = rfm_test, pg_catalog, public;
SELECT count(*) FROM pm_rfm('ids', 'b', 'day', 'paid', as_of => '2024-01-05');
SET search_path = rfm_test, public;
-- in a read-only transaction, as on a standby
BEGIN READ ONLY;
SELECT count(*) FROM pm_rfm('ids', 'b', 'day', 'paid');
COMMIT;
-- cancelled while it works
CREATE VIEW slow AS SELECT i AS id, date '2024-01-01' AS day, 1 AS paid FROM generate_series(1, 100000000) AS i;
\set VERBOSITY terse
SET statement_timeout = '200ms';
SELECT count(*) FROM pm_rfm('slow', 'id', 'day', 'paid');
RESET statement_timeout;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA rfm_test CASCADE;
DROP ROLE regress_rfm_clerk;
