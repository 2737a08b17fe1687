-- k-means: against brute force in SQL, through every door, with every option
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA kmeans_test;
SET search_path = kmeans_test, public;
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

-- three planted groups of 40, 30 and 20, far apart beside their spread; and no groups at all
CREATE TABLE pts (id int PRIMARY KEY, grp int, x float8, y float8, z int);
INSERT INTO pts SELECT i, g, 1000 * (g % 2) + i * 7919 % 101, 0.001 * (g / 2) + (i * 104729 % 97) * 1e-6, 50 * g + i * 31 % 7
FROM generate_series(1, 90) AS i, LATERAL (SELECT CASE WHEN i <= 40 THEN 1 WHEN i <= 70 THEN 2 ELSE 3 END AS g) AS s;
CREATE TABLE cloud AS SELECT i AS id, (i * 7919 % 503) / 503.0::float8 AS x, (i * 104729 % 499)::float8 AS y, (i * 31337 % 491) * -1e3::float8 AS z
FROM generate_series(1, 400) AS i;
CREATE TABLE lonely AS SELECT i AS id, i % 4 + (CASE WHEN i = 9 THEN 1000 ELSE 0 END) AS x, i % 3 + (CASE WHEN i = 9 THEN 1000 ELSE 0 END) AS y, i AS z FROM generate_series(1, 9) AS i;
CREATE TABLE models (name text PRIMARY KEY, source regclass, k int, model bytea);
INSERT INTO models SELECT s || ' ' || k, s::regclass, k, pm_kmeans(s::regclass, '{x,y,z}', k, '{"tol": 0, "max_iter": 1000}')
FROM (VALUES ('pts', 3), ('pts', 2), ('pts', 7), ('lonely', 2), ('cloud', 1), ('cloud', 2), ('cloud', 5), ('cloud', 40)) AS v(s, k);

-- the planted groups are found, largest first
SELECT cluster, array_agg(DISTINCT grp) AS grp, count(*) FROM pm_segment('pts', 'id', '{x,y,z}', 3) JOIN pts ON pts.id = pm_segment.id::int GROUP BY cluster ORDER BY cluster;

-- brute force: rows and centroids scaled by avg and stddev_pop, one row a feature
CREATE FUNCTION rows_of(source regclass) RETURNS TABLE (id int, feature text, v float8, shift float8, scale float8) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT id, f, v, avg(v) OVER w, stddev_pop(v) OVER w FROM %s,
        LATERAL (VALUES (''x'', x::float8), (''y'', y::float8), (''z'', z::float8)) AS u(f, v) WINDOW w AS (PARTITION BY f)', source);
END $$;
-- every row's distance from every centroid
CREATE FUNCTION distances(source regclass, model bytea) RETURNS TABLE (id int, cluster int, d float8) LANGUAGE sql AS $$
    SELECT r.id, c.cluster, sqrt(sum(((r.v - c.value) / r.scale) ^ 2))
    FROM rows_of(source) AS r JOIN pm_kmeans_centroids(model) AS c USING (feature) GROUP BY 1, 2
$$;
CREATE FUNCTION nearest(source regclass, model bytea) RETURNS TABLE (id int, cluster int, a float8, b float8) LANGUAGE sql AS $$
    SELECT DISTINCT ON (id) id, cluster, d, lead(d) OVER (PARTITION BY id ORDER BY d, cluster) FROM distances(source, model) ORDER BY id, d, cluster
$$;
-- are two numbers equal, to a millionth but for rounding of single precision?
CREATE FUNCTION close(a float8, b float8, tolerance float8 DEFAULT 1e-5) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL ELSE abs(a - b) <= tolerance * greatest(abs(a), abs(b), 1e-30) END
$$;
-- each row's cluster is the nearest centroid and its distance the distance from that: through the scorers and through pm_segment
SELECT name, count(*) AS rows,
    count(*) FILTER (WHERE n.cluster = pm_kmeans_assign(m.model, r)) AS same_cluster,
    count(*) FILTER (WHERE abs(n.a - pm_kmeans_distance(m.model, r)) < 1e-5) AS same_distance
FROM models AS m, LATERAL nearest(source, model) AS n JOIN (SELECT id, x, y, z::float8 FROM pts) AS r USING (id) WHERE source = 'pts'::regclass GROUP BY name ORDER BY name;
SELECT name, count(*) AS rows,
    count(*) FILTER (WHERE n.cluster = pm_kmeans_assign(m.model, r)) AS same_cluster,
    count(*) FILTER (WHERE abs(n.a - pm_kmeans_distance(m.model, r)) < 1e-5) AS same_distance
FROM models AS m, LATERAL nearest(source, model) AS n JOIN cloud AS r USING (id) WHERE source = 'cloud'::regclass GROUP BY name ORDER BY name;
SELECT name, count(*) AS rows,
    count(*) FILTER (WHERE n.cluster = s.cluster) AS same_cluster, count(*) FILTER (WHERE abs(n.a - s.distance) < 1e-5) AS same_distance
FROM models AS m, LATERAL nearest(source, model) AS n, LATERAL pm_segment(source, 'id', '{x,y,z}', k, '{"tol": 0, "max_iter": 1000}', NULL::int) AS s
WHERE s.id = n.id AND k IN (3, 5) GROUP BY name ORDER BY name;
-- a centroid is the mean of its rows, in the columns' own units; sizes are counts; radii are root mean squared distances; larger first
SELECT name, count(*) AS checked, bool_and(c.size = s.n) AS sizes, bool_and(close(c.value, s.mean, 1e-4)) AS means, bool_and(abs(c.radius - s.radius) < 1e-5) AS radii
FROM models AS m, LATERAL pm_kmeans_centroids(model) AS c, LATERAL (
    SELECT count(*) AS n, avg(v) AS mean, sqrt(avg(a ^ 2)) AS radius FROM nearest(source, model) AS n JOIN rows_of(source) AS r USING (id)
    WHERE n.cluster = c.cluster AND r.feature = c.feature) AS s WHERE k < 40 GROUP BY name ORDER BY name;
SELECT name, bool_and(size >= next) AS larger_first FROM models,
    LATERAL (SELECT size, lead(size, 1, 0::bigint) OVER (ORDER BY cluster, feature) AS next FROM pm_kmeans_centroids(model)) AS s GROUP BY name ORDER BY name;

-- quality, by the definitions
CREATE FUNCTION quality(source regclass, model bytea) RETURNS TABLE (metric text, value float8) LANGUAGE sql AS $$
    WITH n AS MATERIALIZED (SELECT * FROM nearest(source, model)),
    g AS MATERIALIZED (SELECT cluster, count(*) AS size, avg(a) AS spread FROM n GROUP BY cluster),
    c AS MATERIALIZED (SELECT cluster, feature, (c.value - r.shift) / r.scale AS v
        FROM pm_kmeans_centroids(model) AS c JOIN (SELECT DISTINCT feature, shift, scale FROM rows_of(source)) AS r USING (feature)),
    s AS (SELECT p.cluster AS i, q.cluster AS j, sqrt(sum((p.v - q.v) ^ 2)) AS apart FROM c AS p JOIN c AS q ON p.feature = q.feature AND p.cluster <> q.cluster GROUP BY 1, 2),
    t AS (SELECT count(*) AS n, (SELECT count(*) FROM g) AS k, sum(a ^ 2) AS within FROM n)
    SELECT 'inertia', within FROM t
    UNION ALL SELECT 'silhouette', avg(CASE WHEN size = 1 OR greatest(a, b) = 0 THEN 0 ELSE (b - a) / greatest(a, b) END) FROM n JOIN g USING (cluster) WHERE (SELECT k FROM t) > 1
    UNION ALL SELECT 'davies_bouldin', avg(worst) FROM (
        SELECT max((gi.spread + gj.spread) / apart) AS worst FROM s JOIN g AS gi ON gi.cluster = i JOIN g AS gj ON gj.cluster = j GROUP BY i) AS w
    UNION ALL SELECT 'calinski_harabasz', (SELECT sum(size * (SELECT sum(v ^ 2) FROM c WHERE c.cluster = g.cluster)) FROM g) / nullif(k - 1, 0) / (within / (n - k)) FROM t
$$;
SELECT name, count(*) AS checked, bool_and(close(q.value, e.value)) AS same, string_agg(q.metric || ' ' || q.value || ' ' || coalesce(e.value::text, '-'), ', ') FILTER (WHERE NOT close(q.value, e.value)) AS wrong
FROM models, LATERAL quality(source, model) AS q JOIN LATERAL pm_kmeans_evaluate(model) AS e USING (metric) GROUP BY name ORDER BY name;
SELECT metric, value IS NULL AS undefined FROM models, pm_kmeans_evaluate(model) WHERE name = 'cloud 1' AND metric NOT IN ('iterations', 'inertia') ORDER BY metric;
-- the evaluation, the meta data and a sweep say the same
SELECT name, bool_and(close(value, (SELECT i.value::float8 FROM pm_model_info(model) AS i WHERE key = metric), 1e-12)) AS same
FROM models, pm_kmeans_evaluate(model) WHERE metric <> 'converged' AND k > 1 GROUP BY name ORDER BY name;
SELECT s.k, close(s.inertia, max(value) FILTER (WHERE metric = 'inertia'), 1e-12) AS inertia, close(s.silhouette, max(value) FILTER (WHERE metric = 'silhouette'), 1e-12) AS silhouette,
    close(s.davies_bouldin, max(value) FILTER (WHERE metric = 'davies_bouldin'), 1e-12) AS davies_bouldin,
    close(s.calinski_harabasz, max(value) FILTER (WHERE metric = 'calinski_harabasz'), 1e-12) AS calinski_harabasz
FROM pm_kmeans_sweep('cloud', '{x,y,z}', 1, 4) AS s, LATERAL pm_kmeans_evaluate(pm_kmeans('cloud', '{x,y,z}', s.k)) AS e
GROUP BY s.k, s.inertia, s.silhouette, s.davies_bouldin, s.calinski_harabasz ORDER BY s.k;

-- k is chosen by silhouette, the highest of the sweep, and it says so
SELECT k FROM pm_kmeans_sweep('pts', '{x,y,z}', 2, 6) ORDER BY silhouette DESC LIMIT 1;
SELECT info(pm_kmeans('pts', '{x,y,z}'), 'k', 'k_chosen_by');
SELECT info(pm_kmeans('pts', '{x,y,z}', options => '{"k_min": 3, "k_max": 3}'), 'k', 'k_chosen_by');
SELECT info(pm_kmeans('pts', '{x,y,z}', 3), 'k', 'k_chosen_by');
SELECT max(cluster) FROM pm_segment('pts', 'id', '{x,y,z}');
SELECT info(pm_kmeans_agg(r), 'k', 'k_chosen_by') FROM (SELECT x, y, z FROM pts) AS r;
-- fewer distinct rows than k_max
CREATE VIEW few AS SELECT i % 3 AS a FROM generate_series(1, 10) AS i;
SELECT k, round(inertia::numeric, 4) AS inertia FROM pm_kmeans_sweep('few', k_max => 5);
SELECT count(*) FROM pm_kmeans_sweep('few', k_min => 4, k_max => 5);
SELECT clusters(pm_kmeans('few', k => 3));
SELECT failure($$SELECT pm_kmeans('few', k => 4)$$);
SELECT failure($$SELECT pm_kmeans('few', k => 11)$$);

-- cosine: rows and centroids of length 1, 1 - cosine as distance
CREATE TABLE rays AS SELECT i AS id, r * a AS x, r * b AS y, r * c AS z
FROM generate_series(1, 60) AS i, LATERAL (SELECT 0.01 + (i * 7919 % 101)::float8 ^ 2 AS r,
    CASE WHEN i % 3 = 0 THEN 1 ELSE 0.01 * (i % 5) END AS a, CASE WHEN i % 3 = 1 THEN 1 ELSE 0.02 * (i % 4) END AS b, CASE WHEN i % 3 = 2 THEN -1 ELSE 0 END AS c) AS s;
CREATE TABLE ray_model AS SELECT pm_kmeans('rays', '{x,y,z}', 3, '{"metric": "cosine", "standardize": false, "tol": 0}') AS model;
SELECT cluster, round(sum(value ^ 2)::numeric, 4) AS squared_length FROM ray_model, pm_kmeans_centroids(model) GROUP BY cluster ORDER BY cluster;
CREATE VIEW ray_distances AS
    SELECT r.id, c.cluster, 1 - sum(u.v * c.value) / sqrt(sum(u.v ^ 2)) / sqrt(sum(c.value ^ 2)) AS d
    FROM ray_model, rays AS r, LATERAL (VALUES ('x', x), ('y', y), ('z', z)) AS u(feature, v), pm_kmeans_centroids(model) AS c
    WHERE c.feature = u.feature GROUP BY r.id, c.cluster;
SELECT count(*), count(*) FILTER (WHERE n.cluster = pm_kmeans_assign(model, rays)) AS same_cluster,
    count(*) FILTER (WHERE abs(n.d - pm_kmeans_distance(model, rays)) < 1e-5) AS same_distance, count(DISTINCT (id % 3, n.cluster)) AS planted
FROM ray_model, rays JOIN (SELECT DISTINCT ON (id) id, cluster, d FROM ray_distances ORDER BY id, d) AS n USING (id);
SELECT close(e.value, (SELECT sum(2 * d) FROM (SELECT min(d) AS d FROM ray_distances GROUP BY id) AS s)) AS inertia FROM ray_model, pm_kmeans_evaluate(model) AS e WHERE metric = 'inertia';
SELECT count(*) FILTER (WHERE s.cluster = pm_kmeans_assign(model, rays)) AS same_cluster, count(*) FILTER (WHERE abs(s.distance - pm_kmeans_distance(model, rays)) < 1e-5) AS same_distance
FROM ray_model, rays JOIN pm_segment('rays', 'id', '{x,y,z}', 3, '{"metric": "cosine", "standardize": false, "tol": 0}', NULL::int) AS s USING (id);
-- a row without direction is half way from every centroid
SELECT round(pm_kmeans_distance(model, r)::numeric, 4) AS distance FROM ray_model, (SELECT 0 AS x, 0 AS y, 0 AS z) AS r;

-- a weight is as many equal rows, in everything but the number of rows
CREATE TABLE heavy AS SELECT id, x, y, z, 1 + id % 3 AS w FROM pts;
CREATE TABLE repeated AS SELECT x, y, z FROM heavy, generate_series(1, w);
CREATE TABLE both_models AS SELECT pm_kmeans('heavy', '{x,y,z}', 3, '{"weight_col": "w", "tol": 0}') AS weighed, pm_kmeans('repeated', '{x,y,z}', 3, '{"tol": 0}') AS repeated;
SELECT count(*), bool_and(close(w.value, r.value)) AS same FROM both_models, pm_kmeans_centroids(weighed) AS w JOIN LATERAL pm_kmeans_centroids(repeated) AS r USING (cluster, feature);
SELECT metric, close(w.value, r.value) AS same FROM both_models, pm_kmeans_evaluate(weighed) AS w JOIN LATERAL pm_kmeans_evaluate(repeated) AS r USING (metric) WHERE metric <> 'iterations' ORDER BY metric;
SELECT sum(w.size / 3) AS weighed, sum(r.size / 3) AS repeated FROM both_models, pm_kmeans_centroids(weighed) AS w JOIN LATERAL pm_kmeans_centroids(repeated) AS r USING (cluster, feature);
-- NULL options are the defaults; weights of 1 are none
SELECT info(pm_kmeans('pts', '{x,y,z}', 3, NULL), 'id') = info(pm_kmeans('pts', '{x,y,z}', 3, '{"seed": null}'), 'id') AS same;

-- the rows alone make the model: not their order, not the threads, not the door
CREATE TABLE big AS SELECT i AS id, (i::bigint * 7919 % 10007)::float8 AS x, CASE WHEN i % 11 = 0 THEN NULL ELSE (i::bigint * 104729 % 9973)::float8 END AS y, 'c' || i % 5 AS c, ARRAY['t' || i % 3, 't' || i % 7] AS tags
FROM generate_series(1, 20000) AS i;
CREATE TABLE ids (what text, id text);
SET precmkt.threads = 1;
INSERT INTO ids SELECT 'one thread', info(pm_kmeans('big', '{x,y,c,tags}', 8), 'id');
SET precmkt.threads = 2;
INSERT INTO ids SELECT 'two threads', info(pm_kmeans('big', '{x,y,c,tags}', 8), 'id');
RESET precmkt.threads;
BEGIN;
CREATE TEMP TABLE copy_of_big AS SELECT * FROM big;
TRUNCATE big;
INSERT INTO big SELECT * FROM copy_of_big ORDER BY md5(id::text);
INSERT INTO ids SELECT 'another order', info(pm_kmeans('big', '{x,y,c,tags}', 8), 'id');
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
INSERT INTO ids SELECT 'scanned in parallel', info(pm_kmeans('big', '{x,y,c,tags}', 8), 'id');
COMMIT;
INSERT INTO ids SELECT 'again', info(pm_kmeans('big', '{x,y,c,tags}', 8), 'id');
SELECT count(*), count(DISTINCT id) AS distinct_ids FROM ids;
SELECT info(pm_kmeans('big', '{x,y,c,tags}', 8, '{"seed": 2}'), 'id') = id AS same FROM ids LIMIT 1;
-- through the aggregate the meta data differ, the clusters do not
SELECT count(*), bool_and(t.value = a.value AND t.size = a.size AND t.radius = a.radius) AS same
FROM pm_kmeans_centroids((SELECT pm_kmeans_agg(r, '{"k": 8}') FROM (SELECT x, y, c, tags FROM big ORDER BY x) AS r)) AS a
JOIN pm_kmeans_centroids(pm_kmeans('big', '{x,y,c,tags}', 8)) AS t USING (cluster, feature);
-- a table larger than any batch: pm_segment and the scorer agree on every row
SELECT count(*), count(*) FILTER (WHERE s.cluster = pm_kmeans_assign(m, r)) AS same_cluster, count(*) FILTER (WHERE abs(s.distance - pm_kmeans_distance(m, r)) < 1e-4) AS same_distance
FROM (SELECT pm_kmeans('big', '{x,y,c,tags}', 8) AS m OFFSET 0) AS m, big AS r JOIN pm_segment('big', 'id', '{x,y,c,tags}', 8, '{}', NULL::int) AS s USING (id);

-- mixed features against SQL: categories and members of sets are 0 or 1 and stay unscaled
CREATE TABLE mixed_model AS SELECT pm_kmeans('big', '{x,c}', 4, '{"tol": 0}') AS model;
WITH scale AS (SELECT avg(x) AS mean, stddev_pop(x) AS sd FROM big),
    c AS MATERIALIZED (SELECT cluster, max(value) FILTER (WHERE feature = 'x') AS x, jsonb_object_agg(feature, value) AS shares FROM mixed_model, pm_kmeans_centroids(model) GROUP BY cluster),
    d AS (SELECT id, cluster, sqrt(((b.x - c.x) / sd) ^ 2 + (SELECT sum((CASE WHEN 'c=' || b.c = key THEN 1 ELSE 0 END - value::float8) ^ 2) FROM jsonb_each_text(shares) WHERE key <> 'x')) AS d
        FROM big AS b, c, scale WHERE b.id <= 1000),
    n AS (SELECT DISTINCT ON (id) id, cluster, d FROM d ORDER BY id, d)
SELECT count(*), count(*) FILTER (WHERE n.cluster = pm_kmeans_assign(model, b)) AS same_cluster, count(*) FILTER (WHERE abs(n.d - pm_kmeans_distance(model, b)) < 1e-5) AS same_distance
FROM mixed_model, n JOIN big AS b USING (id);

-- standardize = false leaves the columns' units to decide
SELECT array_agg(DISTINCT s.cluster ORDER BY s.cluster) AS clusters, x FROM (VALUES (1, 0, 1e6), (2, 1, 2e6), (3, 0, 2e6), (4, 1, 1e6)) AS v(id, small, x),
    LATERAL (SELECT pm_kmeans_assign(m, r) AS cluster FROM (SELECT v.small, v.x) AS r, (SELECT pm_kmeans_agg(r, '{"k": 2, "standardize": false}') AS m FROM (VALUES (0, 1e6), (1, 2e6), (0, 2e6), (1, 1e6), (1, 1e6)) AS r(small, x)) AS m) AS s GROUP BY x ORDER BY x;
-- every initialisation finds planted groups; n_init is 10 for random unless given; what was used is in the model
SELECT init, bool_and(right_one) AS found FROM unnest(ARRAY['kmeans++', 'kmeans||', 'random']) AS init,
    LATERAL (SELECT count(DISTINCT grp) = 1 AS right_one FROM pm_segment('pts', 'id', '{x,y,z}', 3, jsonb_build_object('init', init), NULL::int) AS s JOIN pts USING (id) GROUP BY cluster) AS s GROUP BY init ORDER BY init;
SELECT init, value::jsonb -> 'n_init' AS n_init FROM unnest(ARRAY['kmeans++', 'kmeans||', 'random']) AS init,
    LATERAL pm_model_info(pm_kmeans('pts', '{x,y,z}', 3, jsonb_build_object('init', init))) WHERE key = 'options' ORDER BY init;
SELECT jsonb_pretty(value::jsonb) FROM pm_model_info(pm_kmeans('heavy', '{x,y}', 2, '{"init": "kmeans||", "n_init": 3, "max_iter": 50, "tol": 0.5, "seed": 9007199254740991,
    "standardize": false, "metric": "cosine", "weight_col": "w", "missing": "skip", "max_categories": 7, "k_min": 3, "k_max": 4}')) WHERE key = 'options';
-- more runs are never worse; one iteration is not enough, and says so; a large tol stops early
SELECT bool_and(many <= one) AS never_worse FROM generate_series(1, 5) AS seed,
    LATERAL (SELECT max(value) FILTER (WHERE i = 1) AS one, max(value) FILTER (WHERE i = 8) AS many FROM (VALUES (1), (8)) AS n(i),
        LATERAL pm_kmeans_evaluate(pm_kmeans('cloud', '{x,y,z}', 9, jsonb_build_object('seed', seed, 'n_init', i))) WHERE metric = 'inertia') AS s;
SELECT metric, value FROM pm_kmeans_evaluate(pm_kmeans('cloud', '{x,y,z}', 5, '{"max_iter": 1}')) WHERE metric IN ('iterations', 'converged') ORDER BY 1;
SELECT metric, value FROM pm_kmeans_evaluate(pm_kmeans('cloud', '{x,y,z}', 5, '{"tol": 1000}')) WHERE metric IN ('iterations', 'converged') ORDER BY 1;
-- an empty cluster takes the farthest rows: with as many clusters as distinct rows each has one
SELECT count(*), min(size), max(size) FROM pm_kmeans_centroids((SELECT pm_kmeans_agg(r, '{"k": 50, "init": "random", "n_init": 1}') FROM (SELECT i % 50 AS a FROM generate_series(1, 100) AS i) AS r));

-- options: unknown ones, wrong types, out of range
SELECT failure(format('SELECT pm_kmeans(''pts'', ''{x}'', 2, %L)', o)) FROM unnest(ARRAY['{"Seed": 1}', '{"k": 2}', '{"exclude": ["x"]}', '[]', '"seed"', '1', 'null',
    '{"init": "forgy"}', '{"init": 1}', '{"metric": "manhattan"}', '{"metric": null, "missing": "drop"}', '{"n_init": 0}', '{"n_init": 1001}', '{"n_init": 1.5}', '{"n_init": "1"}',
    '{"max_iter": 0}', '{"max_iter": 1e30}', '{"tol": -1e-9}', '{"tol": 1e400}', '{"tol": [1]}', '{"tol": {}}', '{"seed": -1}', '{"seed": 9007199254740992}', '{"seed": true}',
    '{"standardize": 1}', '{"weight_col": 1}', '{"weight_col": "none"}', '{"max_categories": 0}', '{"max_categories": 100001}', '{"k_min": 0}', '{"k_min": 5, "k_max": 4}', '{"k_min": 11}', '{"k_max": 1}'])
    WITH ORDINALITY AS u(o, n) ORDER BY n;
SELECT failure(format('SELECT * FROM pm_kmeans_sweep(''pts'', ''{x}'', options => %L)', o)) FROM unnest(ARRAY['{"k_min": 2}', '{"n_init": 0}']) AS o;
SELECT failure(format('SELECT pm_kmeans_agg(pts, %L) FROM pts', o)) FROM unnest(ARRAY['{"K": 2}', '{"k": 0}', '{"k": 2.5}', '{"exclude": "x"}', '{"exclude": [1]}', '{"exclude": ["nowhere"]}', '{"weight_col": "nowhere"}',
    '{"exclude": ["id", "grp", "x", "y", "z"]}', '{"exclude": ["id", "grp", "x", "y"], "weight_col": "z"}']) WITH ORDINALITY AS u(o, n) ORDER BY n;
SELECT failure(format('SELECT pm_kmeans(''pts'', ''{x}'', %s)', k)) FROM unnest(ARRAY[0, -1, 91, 1000001, 2147483647]) AS k ORDER BY k;
SELECT failure(format('SELECT * FROM pm_segment(''pts'', ''id'', ''{x}'', %s)', k)) FROM unnest(ARRAY[0, 91]) AS k ORDER BY k;
SELECT failure(format('SELECT * FROM pm_kmeans_sweep(''pts'', ''{x}'', %s)', k)) FROM unnest(ARRAY['0, 2', '3, 2', 'NULL, 2', '2, NULL', '2, 0']) AS k ORDER BY k;

-- aggregates: a model a group, FILTER, HAVING, DISTINCT, ORDER BY, grouping sets
CREATE VIEW r AS SELECT x, y, z FROM pts;
SELECT grp, clusters(pm_kmeans_agg(s, '{"k": 1}')) FROM (SELECT grp % 2 AS grp, round(x) AS x, z FROM pts) AS p, LATERAL (SELECT p.x, p.z) AS s GROUP BY grp ORDER BY grp;
SELECT grp, info(pm_kmeans_agg(s, '{"k": 1}'), 'rows_used') FROM pts, LATERAL (SELECT x, z) AS s GROUP BY GROUPING SETS ((grp), ()) ORDER BY grp;
SELECT info(pm_kmeans_agg(s, '{"k": 1}') FILTER (WHERE grp = 3), 'rows_used', 'source') FROM pts, LATERAL (SELECT x, z) AS s;
SELECT grp FROM pts, LATERAL (SELECT x, z) AS s GROUP BY grp HAVING length(pm_kmeans_agg(s, '{"k": 25}') FILTER (WHERE grp < 3)) > 0 ORDER BY grp;
SELECT info(pm_kmeans_agg(DISTINCT s, '{"k": 2}'), 'rows_used') FROM (SELECT id % 5 AS a FROM pts) AS s;
SELECT info(pm_kmeans_agg(s, '{"k": 2}' ORDER BY a DESC), 'id') = info(pm_kmeans_agg(s, '{"k": 2}'), 'id') AS same FROM (SELECT id AS a FROM pts) AS s;
-- a table's own row type, a column to leave out, a weight
SELECT info(pm_kmeans_agg(pts, '{"k": 3, "exclude": ["id", "grp"]}'), 'columns', 'features') FROM pts;
SELECT info(pm_kmeans_agg(heavy, '{"k": 3, "exclude": ["id"], "weight_col": "w"}'), 'columns', 'rows_used') FROM heavy;
-- no rows, records that are NULL, records of NULLs
SELECT pm_kmeans_agg(r) IS NULL AS no_rows FROM r WHERE false;
SELECT pm_kmeans_agg(r, '{"k": 2}') FILTER (WHERE false) IS NULL AS no_rows FROM r;
SELECT pm_kmeans_agg(NULL::pts) IS NULL AS null_records FROM pts;
SELECT info(pm_kmeans_agg(s.r, '{"k": 1}'), 'rows_read', 'rows_used', 'rows_skipped') FROM (SELECT CASE WHEN id % 2 = 0 THEN pts END AS r FROM pts) AS s;
SELECT failure($$SELECT pm_kmeans_agg(s, '{"k": 1}') FROM (SELECT NULL::int AS a FROM pts) AS s$$);
-- records without names, with a name twice, without fields; no record at all; not over a window
SELECT failure($$SELECT pm_kmeans_agg(ROW(x, y), '{"k": 2}') FROM pts$$);
SELECT failure($$SELECT pm_kmeans_agg(s, '{"k": 2}') FROM (SELECT x, y AS x FROM pts) AS s$$);
SELECT failure($$SELECT pm_kmeans_agg(s) FROM (SELECT FROM pts) AS s$$);
SELECT failure($$SELECT pm_kmeans_agg(x) FROM pts$$);
SELECT failure($$SELECT pm_kmeans_agg(s, '{"k": 2}') OVER () FROM (SELECT x FROM pts) AS s$$);
-- (minor versions of PostgreSQL refuse a NULL of type internal in different words)
SELECT failure($$SELECT pm_kmeans_agg_transfn(NULL, pts) FROM pts$$) ~ '^(42883|0A000): ' AS refused;
SELECT failure($$SELECT pm_kmeans_agg_finalfn(NULL)$$) ~ '^(42883|0A000): ' AS refused;
-- the same statement prepared and run again and again
PREPARE again(int) AS SELECT count(*) FROM pm_kmeans_centroids((SELECT pm_kmeans_agg(r, jsonb_build_object('k', $1)) FROM r));
EXECUTE again(1);
EXECUTE again(2);
DEALLOCATE again;

-- pm_segment: ids as text, or of the type that is asked for
CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
CREATE TABLE id_types AS SELECT i::bigint AS b, i::positive AS d, i, lpad(i::text, 3, '0') AS t, ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid AS u, i::numeric / 2 AS n,
    repeat('long', 2000) || i AS long, ARRAY[i, i] AS a, NULLIF(i, 2) AS maybe, i / 3 AS v FROM generate_series(1, 4) AS i;
SELECT c, pg_typeof(min(s.id)), string_agg(right(s.id, 5) || ':' || cluster, ' ' ORDER BY s.id) FROM unnest('{b,d,i,t,u,n,long,a,maybe}'::name[]) AS c, LATERAL pm_segment('id_types', c, '{v}', 2) AS s GROUP BY c ORDER BY c;
SELECT pg_typeof(id), id, cluster FROM pm_segment('id_types', 'b', '{v}', 2, '{}', NULL::bigint) ORDER BY id;
SELECT pg_typeof(id), id, cluster FROM pm_segment('id_types', 'd', '{v}', 2, '{}', NULL::positive) ORDER BY id LIMIT 1;
SELECT pg_typeof(id), id, cluster FROM pm_segment('id_types', 'u', '{v}', 2, '{}', id_type => NULL::uuid) ORDER BY id LIMIT 1;
SELECT pg_typeof(id), id, cluster FROM pm_segment('id_types', 'i', '{v}', 2, '{}', NULL::int) ORDER BY id LIMIT 1;
SELECT pg_typeof(id), id, cluster FROM pm_segment('id_types', 'maybe', '{v}', 2, '{}', NULL::int) ORDER BY id;
SELECT failure($$SELECT * FROM pm_segment('id_types', 'b', '{v}', 2, '{}', NULL::int)$$);
SELECT failure($$SELECT * FROM pm_segment('id_types', 'i', '{v}', 2, '{}', NULL::bigint)$$);
SELECT failure($$SELECT * FROM pm_segment('id_types', 't', '{v}', 2, '{}', NULL::uuid)$$);
SELECT failure($$SELECT * FROM pm_segment('id_types', 't', '{v}', 2, '{}', NULL::text)$$);
-- the id is no feature unless named; weights and skipped rows still get their cluster
SELECT count(*), count(DISTINCT cluster) FROM pm_segment('few', 'a', '{a}', 3);
SELECT id::int, cluster FROM pm_segment('heavy', 'id', '{x,y,z}', 3, '{"weight_col": "w"}') ORDER BY 1 LIMIT 3;
SELECT failure($$SELECT * FROM pm_segment('few', 'a')$$);
-- rows that training leaves out are there, without a cluster, and the order is that of the input
CREATE TABLE partly (id text, a float8, b float8, w float8);
INSERT INTO partly VALUES ('zero', 1, 1, 0), ('null', 1, 1, NULL), ('near', 1, 1, 1), ('empty', NULL, NULL, 1), ('half', 9, NULL, 1), ('far', 9, 9, 2), (NULL, 9, 9, 1);
SELECT id, cluster, distance IS NULL AS no_distance FROM pm_segment('partly', 'id', '{a,b}', 2, '{"weight_col": "w"}');
SELECT id, cluster, distance IS NULL AS no_distance FROM pm_segment('partly', 'id', '{a,b}', 2, '{"missing": "skip"}');

-- scorers: NULL arguments, as set in the select list, in a WHERE clause
SELECT pm_kmeans_assign(NULL::bytea, pts) IS NULL, pm_kmeans_distance(model, NULL::record) IS NULL FROM pts, models WHERE pts.id = 1 AND name = 'pts 3';
SELECT count(*) FROM pm_kmeans_centroids(NULL::bytea), pm_kmeans_evaluate(NULL::text);
SELECT (pm_kmeans_centroids(model)).cluster AS cluster FROM models WHERE name = 'pts 3' ORDER BY 1 LIMIT 4;
SELECT count(*) FROM pts WHERE pm_kmeans_assign((SELECT model FROM models WHERE name = 'pts 3'), pts) = 1;
-- in parallel workers, with the model as a column, a parameter and a constant
DO $$ BEGIN
    EXECUTE format('CREATE FUNCTION constant_model(pts) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $f$ SELECT pm_kmeans_assign(%L::bytea, $1) $f$', model) FROM models WHERE name = 'pts 3';
END $$;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
SET LOCAL enable_nestloop = off;
DO $$
DECLARE
    line text;
    scored boolean := false;
BEGIN
    FOR line IN EXPLAIN (VERBOSE, COSTS OFF) SELECT constant_model(pts) AS cluster, count(*) FROM pts GROUP BY 1 LOOP
        scored := scored OR line ~ 'Parallel Seq Scan';
    END LOOP;
    RAISE NOTICE 'parallel: %', scored;
END $$;
SELECT constant_model(pts) AS cluster, count(*) FROM pts GROUP BY 1 ORDER BY 1;
SELECT pm_kmeans_assign((SELECT model FROM models WHERE name = 'pts 3'), pts) AS cluster, count(*), round(sum(pm_kmeans_distance((SELECT model FROM models WHERE name = 'pts 3'), pts))) AS far FROM pts GROUP BY 1 ORDER BY 1;
SELECT name, sum(pm_kmeans_assign(model, pts)) FROM models, pts WHERE source = 'pts'::regclass GROUP BY name ORDER BY name;
COMMIT;
SELECT name, sum(pm_kmeans_assign(model, pts)) FROM models, pts WHERE source = 'pts'::regclass GROUP BY name ORDER BY name;
-- a row type that is altered between calls is read as it is then
CREATE TABLE changing AS SELECT 1 AS n, x, y, z FROM pts WHERE id = 90;
SELECT pm_kmeans_assign(model, changing) FROM changing, models WHERE name = 'pts 3';
ALTER TABLE changing DROP COLUMN n;
SELECT pm_kmeans_assign(model, changing) FROM changing, models WHERE name = 'pts 3';
ALTER TABLE changing ALTER COLUMN x TYPE numeric;
SELECT pm_kmeans_assign(model, changing) FROM changing, models WHERE name = 'pts 3';
ALTER TABLE changing ADD COLUMN first text DEFAULT 'x';
SELECT pm_kmeans_assign(model, changing) FROM changing, models WHERE name = 'pts 3';
ALTER TABLE changing RENAME COLUMN x TO w;
SELECT failure($$SELECT pm_kmeans_assign(model, changing) FROM changing, models WHERE name = 'pts 3'$$);
ALTER TABLE changing RENAME COLUMN w TO x;
ALTER TABLE changing ALTER COLUMN x TYPE text;
SELECT failure($$SELECT pm_kmeans_assign(model, changing) FROM changing, models WHERE name = 'pts 3'$$);
-- ... and one that is touched while an aggregate runs is no new row type
CREATE FUNCTION touch(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    IF i % 20 = 0 THEN EXECUTE 'COMMENT ON COLUMN kmeans_test.id_types.b IS ' || quote_literal(i); ANALYZE kmeans_test.heavy; END IF;
    RETURN true; END $$;
SELECT info(pm_kmeans_agg(pts, '{"k": 3}'), 'rows_used') FROM pts WHERE touch(id);

SET client_min_messages = warning;
DROP SCHEMA kmeans_test CASCADE;
