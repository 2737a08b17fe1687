-- neighbours of users and items, against the same in plain SQL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA recommend_test;
SET search_path = recommend_test, public;
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

-- events with duplicates, NULL ids and zeros; the same without indexes in a view
CREATE TABLE events (user_id bigint, item_id int, event text, amount float8, ts timestamptz);
INSERT INTO events
SELECT CASE WHEN i % 97 <> 0 THEN 10000000000 + hashint4(i) & 63 END,
    CASE WHEN i % 89 <> 0 THEN ((hashint4(i + 7777) & 1023) / 32.0) ^ 2 / 32 END,
    (ARRAY['view', 'cart', 'purchase', 'other'])[1 + (hashint4(i + 1) & 3)],
    hashint4(i + 2) & 3, timestamptz '2026-01-01' + (hashint4(i + 3) & 255) * interval '6 hours'
FROM generate_series(1, 1500) AS i;
CREATE INDEX ON events (user_id);
CREATE INDEX ON events (item_id);
ANALYZE events;
CREATE VIEW unindexed AS SELECT * FROM events;

-- rows as they count, by users and the other way round; p is the side that is compared
CREATE FUNCTION cells(side text, weighted boolean, zeros boolean) RETURNS TABLE (p bigint, c bigint, w float8) LANGUAGE sql AS $$
    SELECT CASE side WHEN 'user' THEN user_id ELSE item_id END, CASE side WHEN 'user' THEN item_id ELSE user_id END,
        sum(CASE WHEN weighted THEN amount ELSE 1 END)
    FROM events WHERE user_id IS NOT NULL AND item_id IS NOT NULL AND (zeros OR NOT weighted OR amount > 0) GROUP BY 1, 2
$$;
-- all pairs by a metric, in SQL
CREATE FUNCTION pairs(metric text, side text, weighted boolean, shrinkage float8, min_overlap int)
RETURNS TABLE (a bigint, b bigint, similarity float8, n bigint) LANGUAGE sql AS $$
    WITH raw AS (SELECT * FROM cells(side, weighted, metric IN ('pearson', 'adjusted_cosine'))),
    totals AS (SELECT count(DISTINCT p)::float8 AS rows, sum(w) / count(DISTINCT p) AS mean_length FROM raw),
    rows AS (SELECT p, sum(w) AS length, avg(w) AS mean FROM raw GROUP BY p),
    columns AS (SELECT c, ln(rows) - ln(1 + count(*)) AS idf, avg(w) AS mean FROM raw, totals GROUP BY c, rows),
    x AS (SELECT p, c, CASE metric WHEN 'tfidf' THEN sqrt(w) * idf
            WHEN 'bm25' THEN w * 101 / (100 * (0.2 + 0.8 * length / mean_length) + w) * idf
            WHEN 'adjusted_cosine' THEN w - CASE side WHEN 'user' THEN rows.mean ELSE columns.mean END ELSE w END AS w
        FROM raw JOIN rows USING (p) JOIN columns USING (c), totals),
    norms AS (SELECT p, sum(w * w) AS square, count(*) AS n FROM x GROUP BY p),
    s AS (SELECT u.p AS a, v.p AS b, count(*) AS n, CASE metric WHEN 'pearson' THEN corr(u.w, v.w)
            WHEN 'jaccard' THEN count(*)::float8 / (nu.n + nv.n - count(*))
            ELSE sum(u.w * v.w) / nullif(sqrt(nu.square * nv.square), 0) END AS r
        FROM x AS u JOIN x AS v ON u.c = v.c AND u.p <> v.p JOIN norms AS nu ON nu.p = u.p JOIN norms AS nv ON nv.p = v.p
        GROUP BY u.p, v.p, nu.n, nv.n, nu.square, nv.square)
    SELECT a, b, r * n / (n + shrinkage), n FROM s WHERE r IS NOT NULL AND n >= min_overlap
$$;
CREATE FUNCTION expected(metric text, side text, weighted boolean, k int, shrinkage float8 DEFAULT 0, min_overlap int DEFAULT 1)
RETURNS TABLE (a bigint, b bigint, similarity float8, n bigint, rank bigint) LANGUAGE sql AS $$
    SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY a ORDER BY round(similarity::numeric, 11) DESC, b) AS rank FROM pairs(metric, side, weighted, shrinkage, min_overlap)) AS r WHERE rank <= k
$$;

-- every metric, both sides, with weights and without: the whole table
CREATE FUNCTION compare_all(metric text, side text, weighted boolean, k int, options jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT format('%s rows, %s wrong', count(*), count(*) FILTER (WHERE (e.b = g.neighbour_id::bigint AND e.n = g.common AND abs(e.similarity - g.similarity) < 1e-10) IS NOT TRUE))
    FROM expected(metric, side, weighted, k, coalesce((options->>'shrinkage')::float8, 0), coalesce((options->>'min_overlap')::int, 1)) AS e
    FULL JOIN pm_neighbours_all('events', side, k, 'user_id', 'item_id', CASE WHEN weighted THEN 'amount' END, metric, options) AS g ON e.a = g.id::bigint AND e.rank = g.rank
$$;
SET client_min_messages = warning;
SELECT metric, side, weighted, compare_all(metric, side, weighted, 5)
FROM unnest('{cosine,pearson,adjusted_cosine,jaccard,tfidf,bm25}'::text[]) WITH ORDINALITY AS m(metric, i), unnest('{user,item}'::text[]) AS side, unnest('{f,t}'::boolean[]) AS weighted
ORDER BY i, side, weighted;
SELECT metric, compare_all(metric, 'item', true, 10, '{"shrinkage": 3.5, "min_overlap": 8}')
FROM unnest('{cosine,pearson,jaccard}'::text[]) AS metric ORDER BY metric;
-- k larger than the catalogue
SELECT compare_all('cosine', 'item', true, 1000000);
RESET client_min_messages;

-- one of them, straight from the table: by indexes, and by reading all of it
CREATE FUNCTION compare_one(source regclass, metric text, weighted boolean) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s rows, %s wrong', count(*), count(*) FILTER (WHERE (e.b = g.id AND e.n = g.common AND abs(e.similarity - g.similarity) < 1e-10) IS NOT TRUE))
    FROM (SELECT 'user' AS side, * FROM expected(metric, 'user', weighted, 8) UNION ALL SELECT 'item', * FROM expected(metric, 'item', weighted, 8)) AS e
    JOIN LATERAL (SELECT user_id AS id, similarity, common_items AS common, rank FROM pm_similar_users(source, e.a, 8, weight_col => CASE WHEN weighted THEN 'amount' END, metric => metric) WHERE e.side = 'user'
        UNION ALL SELECT item_id, similarity, common_users, rank FROM pm_similar_items(source, e.a::int, 8, weight_col => CASE WHEN weighted THEN 'amount' END, metric => metric) WHERE e.side = 'item') AS g ON e.rank = g.rank
    WHERE e.a % 16 = 5
$$;
SELECT source, metric, compare_one(source::regclass, metric, true), compare_one(source::regclass, metric, false)
FROM unnest('{events,unindexed}'::text[]) AS source, unnest('{cosine,pearson,adjusted_cosine,jaccard,tfidf,bm25}'::text[]) WITH ORDINALITY AS m(metric, i) ORDER BY source, i;

-- by an index: no more is read than has to be
CREATE FUNCTION read_by(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'big'::regclass;
BEGIN
    EXECUTE statement;
    RETURN CASE WHEN (SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'big'::regclass) > before THEN 'whole table' ELSE 'indexes' END;
END $$;
CREATE TABLE big AS SELECT u AS user_id, u % 3000 + i * i AS item_id, (u + i) % 4 + 1 AS w FROM generate_series(1, 30000) AS u, generate_series(0, 4) AS i;
CREATE INDEX ON big (user_id);
CREATE INDEX ON big (item_id);
ANALYZE big;
SELECT metric, read_by(format('SELECT * FROM pm_similar_users(''big'', 77, metric => %L)', metric)), read_by(format('SELECT * FROM pm_similar_items(''big'', 77, metric => %L)', metric))
FROM unnest('{cosine,pearson,adjusted_cosine,jaccard,tfidf,bm25}'::text[]) WITH ORDINALITY AS m(metric, i) ORDER BY i;

CREATE VIEW big_view AS SELECT * FROM big;
SELECT metric, (SELECT format('%s users, %s differ', count(*), count(*) FILTER (WHERE a IS DISTINCT FROM b)) FROM pm_similar_users('big', 77, 20, weight_col => 'w', metric => metric) AS a FULL JOIN pm_similar_users('big_view', 77, 20, weight_col => 'w', metric => metric) AS b USING (rank)),
    (SELECT format('%s items, %s differ', count(*), count(*) FILTER (WHERE a IS DISTINCT FROM b)) FROM pm_similar_items('big', 77, 5, weight_col => 'w', metric => metric) AS a FULL JOIN pm_similar_items('big_view', 77, 5, weight_col => 'w', metric => metric) AS b USING (rank))
FROM unnest('{cosine,pearson,adjusted_cosine,jaccard}'::text[]) WITH ORDINALITY AS m(metric, i) ORDER BY i;

-- ties go to the smaller id, also where ids come in another order and sort otherwise as text
CREATE TABLE ties AS SELECT u AS user_id, i AS item_id FROM unnest('{100,9,-3,20,1000}'::int[]) AS u, generate_series(1, 3) AS i;
SELECT * FROM pm_similar_users('ties', 20);
SELECT id, neighbour_id, rank FROM pm_neighbours_all('ties', 'user', 2) LIMIT 4;

-- ids of every type come back as they went in
CREATE TABLE ids AS
SELECT ('{Ärger,Zoë,apple,犬,🦊}'::text[])[u] AS t, (ARRAY['Ärger','Zoë','apple','犬','🦊']::varchar[])[u] AS v, u::smallint AS s, u AS i, u + 5000000000 AS b, md5(u::text)::uuid AS g, 'item ' || x AS item
FROM generate_series(1, 5) AS u, generate_series(1, 5) AS x WHERE x <= u;
SELECT pg_typeof(user_id), * FROM pm_similar_users('ids', '🦊'::text, 2, 't', 'item');
SELECT pg_typeof(user_id), * FROM pm_similar_users('ids', 'apple'::varchar, 2, 'v', 'item');
SELECT pg_typeof(user_id), * FROM pm_similar_users('ids', 3::smallint, 2, 's', 'item');
SELECT pg_typeof(user_id), * FROM pm_similar_users('ids', 3, 2, 's', 'item');
SELECT pg_typeof(user_id), * FROM pm_similar_users('ids', 5000000003, 2, 'b', 'item');
SELECT pg_typeof(user_id), * FROM pm_similar_users('ids', md5('3')::uuid, 2, 'g', 'item');
SELECT pg_typeof(item_id), * FROM pm_similar_items('ids', 'item 2'::text, 2, 'g', 'item');
SELECT pg_typeof(id), * FROM pm_neighbours_all('ids', 'user', 1, 'g', 'item', NULL, 'cosine', '{}', NULL::uuid);
SELECT pg_typeof(id), * FROM pm_neighbours_all('ids', 'user', 1, 'i', 'item', NULL, 'cosine', '{}', NULL::int) LIMIT 1;
SELECT pg_typeof(id), * FROM pm_neighbours_all('ids', 'user', 1, 'b', 'item', NULL, 'cosine', '{}', NULL::bigint) LIMIT 1;
SELECT id, neighbour_id FROM pm_neighbours_all('ids', 'user', 1, 't', 'item');
SELECT id, neighbour_id FROM pm_neighbours_all('ids', 'user', 1, 'g', 'item') LIMIT 1;
SELECT failure($$SELECT * FROM pm_similar_users('ids', 3, 2, 'b', 'item')$$), failure($$SELECT * FROM pm_similar_users('ids', 3, 2, 'g', 'item')$$);
INSERT INTO ids SELECT NULL, NULL, 1, 1, 3, NULL, 'item 1';
SELECT failure($$SELECT * FROM pm_similar_users('ids', 3, 9, 'b', 'item')$$);
SELECT failure($$SELECT * FROM pm_neighbours_all('ids', 'user', 1, 'g', 'item', NULL, 'cosine', '{}', NULL::int)$$), failure($$SELECT * FROM pm_similar_users('events', 1, item_col => 'ts')$$);

-- a cursor goes back over the streamed rows
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id, neighbour_id, rank FROM pm_neighbours_all('ties', 'user', 3);
FETCH 4 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH LAST FROM c;
COMMIT;

-- duplicates: sum, count, last and max; events' weights; decay; seen through the cosine of two rows
CREATE TABLE d (u int, i int, w float8, e text, ts timestamp);
INSERT INTO d VALUES (1, 1, 3, 'view', '2026-01-01'), (1, 1, 1, 'buy', '2026-01-31'), (1, 2, 2, 'view', '2026-01-31'), (1, 2, 2, 'view', '2026-01-31'),
    (1, 2, NULL, 'view', '2026-02-01'), (2, 1, 1, 'view', '2026-01-31'), (3, 2, 1, 'view', '2026-01-31'), (3, 1, 1, 'odd', '2026-01-31'), (4, 3, 0, 'view', '2026-01-31');
CREATE VIEW d_without_odd AS SELECT * FROM d WHERE e <> 'odd';
SELECT o.options, (SELECT round((max(similarity) FILTER (WHERE user_id = 2) / max(similarity) FILTER (WHERE user_id = 3))::numeric, 6)
    FROM pm_similar_users('d_without_odd', 1, 10, 'u', 'i', 'w', 'cosine', o.options::jsonb)) AS item_1_to_item_2, o.expected
FROM (VALUES ('{}', 4.0 / 4), ('{"agg": "count"}', 2.0 / 2), ('{"agg": "max"}', 3.0 / 2), ('{"agg": "last", "ts_col": "ts"}', 1.0 / 2),
    ('{"event_col": "e", "event_weights": {"view": 1, "buy": 5}}', 8.0 / 4), ('{"event_col": "e", "event_weights": {"view": 1, "buy": 0}}', 3.0 / 4),
    ('{"ts_col": "ts", "half_life": 15}', 1.75 / 4), ('{"ts_col": "ts", "half_life": "15 days"}', 1.75 / 4), ('{"ts_col": "ts", "half_life": 15, "agg": "count"}', 1.25 / 2)) AS o(options, expected);
SELECT user_id, common_items FROM pm_similar_users('d', 1, 10, 'u', 'i', 'w', 'cosine', '{"event_col": "e", "event_weights": {"view": 1, "buy": 5}}');
-- minimum counts, both of the whole table
SELECT id, neighbour_id, common FROM pm_neighbours_all('d', 'user', 10, 'u', 'i', NULL, 'cosine', '{"min_user_count": 2}');
SELECT id, neighbour_id, common FROM pm_neighbours_all('d', 'user', 10, 'u', 'i', NULL, 'cosine', '{"min_item_count": 3}');

-- an empty result says why
SELECT * FROM pm_similar_users('d', 4, 10, 'u', 'i');
SELECT * FROM pm_similar_users('d', 4, 10, 'u', 'i', 'w');
SELECT * FROM pm_similar_users('d', 77, 10, 'u', 'i');
SELECT * FROM pm_similar_users('events', 9223372036854775807);
SELECT * FROM pm_similar_items('events', 9223372036854775807);
SELECT * FROM pm_similar_users('d', 2, 10, 'u', 'i', options => '{"min_overlap": 2}');
SELECT * FROM pm_similar_users('d', 2, 10, 'u', 'i', 'w', 'pearson');
CREATE TABLE nothing (user_id uuid, item_id text);
SELECT * FROM pm_similar_users('nothing', md5('')::uuid);
SELECT * FROM pm_neighbours_all('nothing', 'user');
SELECT * FROM pm_neighbours_all((SELECT 'd'::regclass), 'user', 10, 'u', 'i', NULL, 'cosine', '{"min_overlap": 3}');
-- one user, one item
CREATE TABLE one_user AS SELECT 1 AS user_id, i AS item_id FROM generate_series(1, 3) AS i;
SELECT * FROM pm_neighbours_all('one_user', 'user');
SELECT * FROM pm_neighbours_all('one_user', 'item', 1);
SELECT * FROM pm_neighbours_all('one_user', 'user', 3, 'item_id', 'user_id');

-- bad input
INSERT INTO d VALUES (5, 1, -1, 'view', '2026-01-01');
SELECT failure(s) FROM unnest(ARRAY[
    $$SELECT * FROM pm_neighbours_all('d', 'user', 1, 'u', 'i', 'w')$$,
    $$SELECT count(*) FROM pm_neighbours_all('d', 'user', 1, 'u', 'i', 'w', 'adjusted_cosine')$$,
    $$UPDATE d SET w = 'NaN' WHERE u = 5$$,
    $$SELECT * FROM pm_neighbours_all('d', 'user', 1, 'u', 'i', 'w', 'pearson')$$,
    $$UPDATE d SET w = 'infinity' WHERE u = 5$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', 'w')$$,
    $$UPDATE d SET w = 3e38 WHERE u = 5$$,
    $$INSERT INTO d SELECT * FROM d WHERE u = 5$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', 'w')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', 'e')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 0, 'u', 'i')$$,
    $$SELECT * FROM pm_similar_users('d', NULL::int, 1, 'u', 'i')$$,
    $$SELECT * FROM pm_similar_users('d', 5, NULL, 'u', 'i')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, NULL, 'i')$$,
    $$SELECT * FROM pm_similar_users('d', 5)$$,
    $$SELECT * FROM pm_similar_users('d', '5', 1, 'u', 'i')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', metric => 'euclid')$$,
    $$SELECT * FROM pm_neighbours_all('d', 'both', 1, 'u', 'i')$$,
    $$SELECT * FROM pm_neighbours_all('d', NULL, 1, 'u', 'i')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"shrink": 1}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"bm25_k1": 1}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"shrinkage": -1}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"min_overlap": 0}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"half_life": 3}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"half_life": 0, "ts_col": "ts"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"half_life": "soon", "ts_col": "ts"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"half_life": [1], "ts_col": "ts"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"ts_col": "ts"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"ts_col": "e", "half_life": 3}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"agg": "last"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"agg": "mean"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"event_col": "e"}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"event_weights": {"view": 1}}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"event_col": "ts", "event_weights": {"view": 1}}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"event_col": "e", "event_weights": {"view": -1}}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"event_col": "e", "event_weights": {"view": "much"}}')$$,
    $$SELECT * FROM pm_similar_users('d', 5, 1, 'u', 'i', options => '{"event_col": "e", "event_weights": []}')$$]) AS s;

-- memory
SET precmkt.max_memory = '1MB';
SELECT left(failure($$SELECT * FROM pm_neighbours_all('big', 'user')$$), 43);
RESET precmkt.max_memory;

-- row-level security holds: the other tenant's events are not seen
SET client_min_messages = warning;
CREATE ROLE recommend_test_tenant;
CREATE TABLE tenants AS SELECT CASE WHEN u < 5 THEN 'recommend_test_tenant' ELSE 'another' END AS tenant, u AS user_id, i AS item_id FROM generate_series(1, 8) AS u, generate_series(1, 3) AS i;
CREATE INDEX ON tenants (user_id);
CREATE INDEX ON tenants (item_id);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = current_user);
GRANT USAGE ON SCHEMA recommend_test TO recommend_test_tenant;
GRANT SELECT ON tenants TO recommend_test_tenant;
RESET client_min_messages;
SELECT array_agg(user_id) FROM pm_similar_users('tenants', 1);
SET ROLE recommend_test_tenant;
SELECT array_agg(user_id) FROM pm_similar_users('tenants', 1);
SELECT count(*) FROM pm_neighbours_all('tenants', 'user');
SELECT * FROM pm_similar_users('tenants', 6);
SELECT failure($$SELECT * FROM pm_similar_users('recommend_test.events', 1)$$);
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA recommend_test CASCADE;
DROP ROLE recommend_test_tenant;
