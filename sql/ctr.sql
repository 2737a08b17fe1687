-- click models: training and scoring, against closed forms and brute force in SQL
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA ctr_test;
SET search_path = ctr_test, public;
RESET client_min_messages;

CREATE FUNCTION info(model bytea, VARIADIC keys text[]) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT key || ' = ' || value FROM pm_model_info(model) WHERE key = ANY(keys) ORDER BY array_position(keys, key)
$$;
CREATE FUNCTION sigmoid(z float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT 1 / (1 + exp(-z)) $$;

-- impressions with a planted click model
CREATE TABLE ad (id int PRIMARY KEY, ts timestamp, device text, age int, price float8, tags text[], clicked boolean);
INSERT INTO ad
SELECT i, timestamp '2026-01-01' + i * interval '17 minutes', (ARRAY['desktop', 'phone', 'tablet'])[1 + i * 7919 % 3], 18 + i * 31 % 60,
    (i * 104729 % 997) / 10.0, CASE i % 4 WHEN 0 THEN '{}' WHEN 1 THEN '{new}' WHEN 2 THEN '{new,sale}' ELSE '{sale,gift}' END::text[],
    (i * 48271::bigint % 2147483647) % 1000 < 1000 * sigmoid(-1.5 + CASE i * 7919 % 3 WHEN 1 THEN 1.2 ELSE 0 END + 0.02 * (i * 31 % 60) - 0.01 * (i * 104729 % 997) / 10.0)
FROM generate_series(1, 3000) AS i;

-- one category, no penalty: each category's log odds, and the errors that counts give
CREATE TABLE model AS SELECT 'device' AS name, pm_train_ctr('ad', 'clicked', '{device}', options => '{"l2": 0}') AS model;
WITH n AS (SELECT device, count(*) FILTER (WHERE clicked) AS a, count(*) FILTER (WHERE NOT clicked) AS b FROM ad GROUP BY device),
base AS (SELECT n.* FROM n JOIN pm_model_weights((SELECT model FROM model WHERE name = 'device')) AS w ON w.category = n.device WHERE w.coefficient = 0)
SELECT w.feature, w.category, abs(w.coefficient - x.expected) < 1e-9 AS coefficient_is_right, abs(w.std_err - x.error) < 1e-9 AS error_is_right,
    abs(w.z_value - x.expected / x.error) < 1e-6 AS z_is_right, abs(w.odds_ratio - exp(x.expected)) < 1e-9 AS odds_ratio_is_right
FROM pm_model_weights((SELECT model FROM model WHERE name = 'device')) AS w LEFT JOIN n ON n.device = w.category CROSS JOIN base,
    LATERAL (SELECT CASE WHEN w.category IS NULL THEN ln(base.a::float8 / base.b) ELSE ln(n.a::float8 / n.b) - ln(base.a::float8 / base.b) END,
        CASE WHEN w.category IS NULL THEN sqrt(1.0 / base.a + 1.0 / base.b) WHEN n.device <> base.device THEN sqrt(1.0 / n.a + 1.0 / n.b + 1.0 / base.a + 1.0 / base.b) END) AS x(expected, error)
ORDER BY w.category NULLS FIRST;
SELECT max(abs(pm_predict_ctr(m.model, ad) - rate)) < 1e-9 AS prediction_is_the_rate
FROM model AS m, ad JOIN (SELECT device, avg(clicked::int)::float8 AS rate FROM ad GROUP BY device) AS r USING (device) WHERE name = 'device';

-- at the optimum the residuals are orthogonal to every column, but for the penalty
INSERT INTO model VALUES ('free', pm_train_ctr('ad', 'clicked', '{device,age,price}', options => '{"l2": 0}')),
    ('ridge', pm_train_ctr('ad', 'clicked', '{device,age,price}', options => '{"l2": 25}')),
    ('lbfgs', pm_train_ctr('ad', 'clicked', '{device,age,price}', options => '{"l2": 25, "solver": "lbfgs", "tol": 1e-10}'));
CREATE TABLE weight AS SELECT m.name, w.* FROM model AS m, pm_model_weights(m.model) AS w;
WITH r AS (SELECT name, clicked::int - pm_predict_ctr(model, ad) AS residual, age, price, device, (SELECT avg(age) FROM ad) AS ma, (SELECT stddev_pop(age) FROM ad) AS da,
        (SELECT avg(price) FROM ad) AS mp, (SELECT stddev_pop(price) FROM ad) AS dp, CASE name WHEN 'free' THEN 0 ELSE 25 END AS l2
    FROM model, ad WHERE name <> 'device')
SELECT name, abs(sum(residual)) < 1e-4 AS one,
    abs(sum(residual * (age - ma) / da) - max(l2 * da * (SELECT coefficient FROM weight AS w WHERE w.name = r.name AND feature = 'age'))) < 1e-3 AS age,
    abs(sum(residual * (price - mp) / dp) - max(l2 * dp * (SELECT coefficient FROM weight AS w WHERE w.name = r.name AND feature = 'price'))) < 1e-3 AS price,
    abs(sum(residual) FILTER (WHERE device = 'phone') - max(l2 * (SELECT coefficient FROM weight AS w WHERE w.name = r.name AND category = 'phone'))) < 1e-3 AS phone
FROM r GROUP BY name ORDER BY name;

-- the weights alone give the prediction
SELECT w.name, max(abs(sigmoid(w.one + w.age * ad.age + w.price * ad.price + d.coefficient) - pm_predict_ctr(m.model, ad))) < 1e-6 AS same
FROM (SELECT name, max(coefficient) FILTER (WHERE feature = '(intercept)') AS one, max(coefficient) FILTER (WHERE feature = 'age') AS age,
        max(coefficient) FILTER (WHERE feature = 'price') AS price FROM weight WHERE name <> 'device' GROUP BY name) AS w
JOIN model AS m USING (name) CROSS JOIN ad JOIN weight AS d ON d.name = w.name AND d.category = ad.device GROUP BY w.name ORDER BY w.name;

-- standard errors: the inverse of X'WX by hand for an intercept and one number
INSERT INTO model VALUES ('age', pm_train_ctr('ad', 'clicked', '{age}', options => '{"l2": 0, "tol": 1e-12}'));
WITH h AS (SELECT sum(p * (1 - p)) AS a, sum(p * (1 - p) * age) AS b, sum(p * (1 - p) * age * age) AS c
    FROM (SELECT age, pm_predict_ctr((SELECT model FROM model WHERE name = 'age'), ad) AS p FROM ad) AS s)
SELECT feature, abs(std_err / sqrt(CASE feature WHEN 'age' THEN a ELSE c END / (a * c - b * b)) - 1) < 1e-6 AS error_is_right
FROM h, pm_model_weights((SELECT model FROM model WHERE name = 'age')) ORDER BY feature;

-- every kind of column, its features by name
INSERT INTO model VALUES ('all', pm_train_ctr('ad', 'clicked', '{ts,device,age,tags}'));
SELECT feature, count(*) AS categories, min(category) AS first, max(category) AS last FROM pm_model_weights((SELECT model FROM model WHERE name = 'all')) GROUP BY feature ORDER BY feature;

-- whole tables, ids as text or in their own type; the same numbers as row by row
SELECT count(*), max(abs(r.probability - pm_predict_ctr(m.model, ad))) AS difference
FROM model AS m, pm_predict_ctr_rows(m.model, 'ad', 'id', NULL::int) AS r JOIN ad USING (id) WHERE m.name = 'all';
SELECT pg_typeof(id), pg_typeof(probability) FROM model AS m, pm_predict_ctr_rows(m.model, 'ad', 'id') WHERE m.name = 'all' LIMIT 1;

-- the aggregate: the same model as the table's, one a group, NULL for no row
WITH m AS (SELECT pm_train_ctr_agg(clicked, f) AS model FROM ad, LATERAL (SELECT device, age, price) AS f)
SELECT count(*), max(abs(a.coefficient - b.coefficient)) < 1e-9 AS same
FROM m, pm_model_weights(m.model) AS a JOIN pm_model_weights(pm_train_ctr('ad', 'clicked', '{device,age,price}')) AS b
    ON (a.feature, a.category) IS NOT DISTINCT FROM (b.feature, b.category);
SELECT device, info(pm_train_ctr_agg(clicked, f, '{"l2": 2}'), 'algorithm', 'rows_used', 'coefficients')
FROM ad, LATERAL (SELECT age, price) AS f GROUP BY device ORDER BY device;
SELECT pm_train_ctr_agg(clicked, f) IS NULL AS none FROM ad, LATERAL (SELECT age) AS f WHERE false;
SELECT pm_train_ctr_agg(clicked, NULL::ad) IS NULL AS none FROM ad;

-- ftrl against the algorithm of McMahan et al. (2013) written in plpgsql
CREATE TABLE stream AS SELECT i, (i * 7919 % 101) / 50.0::float8 - 1 AS x, (i * 104729 % 97) / 48.0::float8 - 1 AS z, i * 31 % 7 < 3 AND i % 5 < 4 AS y FROM generate_series(1, 400) AS i ORDER BY i;
CREATE FUNCTION ftrl(alpha float8, beta float8, l1 float8, l2 float8) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
    z float8[] := '{0,0,0}';
    n float8[] := '{0,0,0}';
    w float8[] := '{0,0,0}';
    x float8[];
    r stream;
    g float8;
    s float8;
BEGIN
    FOR r IN SELECT * FROM stream LOOP
        x := ARRAY[1, r.x, r.z];
        FOR k IN 1..3 LOOP
            w[k] := CASE WHEN k > 1 AND abs(z[k]) <= l1 THEN 0
                ELSE -(z[k] - CASE WHEN k > 1 THEN sign(z[k]) * l1 ELSE 0 END) / ((beta + sqrt(n[k])) / alpha + CASE WHEN k > 1 THEN l2 ELSE 0 END) END;
        END LOOP;
        s := sigmoid(w[1] + w[2] * x[2] + w[3] * x[3]);
        FOR k IN 1..3 LOOP
            g := (s - r.y::int) * x[k];
            z[k] := z[k] + g - (sqrt(n[k] + g * g) - sqrt(n[k])) / alpha * w[k];
            n[k] := n[k] + g * g;
        END LOOP;
    END LOOP;
    FOR k IN 1..3 LOOP
        w[k] := CASE WHEN k > 1 AND abs(z[k]) <= l1 THEN 0
            ELSE -(z[k] - CASE WHEN k > 1 THEN sign(z[k]) * l1 ELSE 0 END) / ((beta + sqrt(n[k])) / alpha + CASE WHEN k > 1 THEN l2 ELSE 0 END) END;
    END LOOP;
    RETURN w;
END $$;
SELECT o.l1, w.feature, abs(w.coefficient - (ftrl(0.2, 1, o.l1, 0.5))[array_position('{(intercept),x,z}', w.feature)]) < 1e-5 AS same
FROM (VALUES (0.0), (3.0), (1000.0)) AS o(l1), pm_train_ctr('stream', 'y', '{x,z}', 'ftrl',
        jsonb_build_object('learning_rate', 0.2, 'beta', 1, 'l1', o.l1, 'l2', 0.5, 'transform', '{"x": "raw", "z": "raw"}'::jsonb)) AS m,
    pm_model_weights(m) AS w WHERE w.feature !~ 'missing' ORDER BY o.l1, w.feature;

-- a hashed model scores and generalises; more epochs fit the rows better
INSERT INTO model VALUES ('ftrl', pm_train_ctr('ad', 'clicked', '{ts,device,age,price,tags}', 'ftrl')),
    ('ftrl 5', pm_train_ctr('ad', 'clicked', '{ts,device,age,price,tags}', 'ftrl', '{"epochs": 5, "hash_bits": 12}'));
SELECT name, round(avg(p)::numeric, 2) AS mean, round(avg(-ln(CASE WHEN clicked THEN p ELSE 1 - p END))::numeric, 2) AS log_loss
FROM (SELECT name, clicked, pm_predict_ctr(model, ad) AS p FROM model, ad WHERE name LIKE 'ftrl%') AS s GROUP BY name ORDER BY name;
SELECT epoch, loss > 0 AS has_loss, seconds > 0 AS has_seconds FROM pm_training_log((SELECT model FROM model WHERE name = 'ftrl 5'));

-- same rows, options and seed: the same model, whatever the order of the rows and the number of threads
CREATE TABLE shuffled AS SELECT * FROM ad ORDER BY md5(id::text);
CREATE FUNCTION fingerprint(source regclass, algorithm text, threads int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('precmkt.threads', threads::text, true);
    RETURN (SELECT string_agg(md5(w::text), '' ORDER BY w::text) FROM pm_model_weights(pm_train_ctr(source, 'clicked', '{ts,device,age,price,tags}', algorithm)) AS w);
END $$;
SELECT a, fingerprint('ad', a, 1) = fingerprint('shuffled', a, 1) AS order_is_free, fingerprint('ad', a, 1) = fingerprint('ad', a, 2) AS threads_are_free
FROM unnest('{logistic,fm,fwfm}'::text[]) AS a;

-- early stopping keeps the best epoch, by log loss or by AUC
SELECT monitor, max(eval_auc) FILTER (WHERE eval_loss = least_loss) = min(kept::float8) AS of_least_loss, max(eval_auc) = min(kept::float8) AS of_most_auc
FROM unnest('{log_loss,auc}'::text[]) AS monitor, LATERAL (SELECT pm_train_ctr('ad', 'clicked', '{ts,device,age,price,tags}', 'fm', jsonb_build_object('monitor', monitor, 'batch_size', 20, 'learning_rate', 0.02, 'eval_fraction', 0.3)) AS m OFFSET 0) AS m,
    LATERAL (SELECT *, min(eval_loss) OVER () AS least_loss FROM pm_training_log(m)) AS l, LATERAL (SELECT value AS kept FROM pm_model_info(m) WHERE key = 'eval_auc') AS k
GROUP BY monitor ORDER BY monitor;

-- through the registry, by name
SELECT pm_model_save('clicks', (SELECT model FROM model WHERE name = 'free'));
SELECT max(abs(pm_predict_ctr('clicks', ad) - pm_predict_ctr(m.model, ad))) AS difference FROM ad, model AS m WHERE m.name = 'free';
SELECT count(*), count(probability) FROM pm_predict_ctr_rows('clicks', 'ad', 'id');
DELETE FROM pm_models WHERE name = 'clicks';

-- in parallel workers
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE TABLE big_model AS SELECT model FROM model WHERE name = 'all';
EXPLAIN (COSTS OFF) SELECT avg(pm_predict_ctr((SELECT model FROM big_model), ad)) FROM ad;
SELECT abs(avg(pm_predict_ctr((SELECT model FROM big_model), ad)) - avg(clicked::int)) < 1e-6 AS mean_is_the_base_rate FROM ad;

SET client_min_messages = warning;
DROP SCHEMA ctr_test CASCADE;
