-- click models: every option, and every way to call them wrong
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA ctr_options_test;
SET search_path = ctr_options_test, public;
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
CREATE FUNCTION info(model bytea, VARIADIC keys text[]) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT key || ' = ' || value FROM pm_model_info(model) WHERE key = ANY(keys) ORDER BY array_position(keys, key)
$$;
CREATE TABLE ad (id int PRIMARY KEY, ts timestamp, device text, age int, price float8, w float8, clicked boolean);
INSERT INTO ad
SELECT i, timestamp '2026-01-01' + i * interval '20 minutes', CASE WHEN i % 100 = 0 THEN 'tv' WHEN i % 3 = 0 THEN 'phone' ELSE 'desktop' END,
    CASE WHEN i % 10 < 9 THEN 18 + i * 31 % 60 END, (i * 104729 % 997) / 10.0, i % 3, abs(hashint4(i)) % 100 < 20 + CASE WHEN i % 3 = 0 THEN 20 ELSE 0 END + i * 31 % 60 / 3
FROM generate_series(1, 2000) AS i;

CREATE FUNCTION train(options text, algorithm text DEFAULT 'logistic', features name[] DEFAULT '{device,age}') RETURNS bytea LANGUAGE sql AS $$
    SELECT pm_train_ctr('ad', 'clicked', features, algorithm, options::jsonb)
$$;

-- NULL numbers take the mean and have a flag; transforms
SELECT feature, category FROM pm_model_weights(train('{}')) WHERE feature <> '(intercept)' ORDER BY feature, category;
SELECT feature, category FROM pm_model_weights(train('{"transform": {"age": "quantile:4"}}')) WHERE feature = 'age' ORDER BY category;
SELECT count(*) FROM pm_model_weights(train('{"transform": {"age": "values"}}')) WHERE feature = 'age';
CREATE VIEW logged AS SELECT ln(1 + price) AS x, clicked FROM ad;
SELECT abs(coefficient - (SELECT coefficient FROM pm_model_weights(pm_train_ctr('logged', 'clicked', '{x}')) WHERE feature = 'x')) < 1e-5 AS log1p_is_ln_1_plus
FROM pm_model_weights(train('{"transform": {"price": "log1p"}}', features => '{price}')) WHERE feature = 'price';

-- integers that name categories: as if they were text, in scoring too, whatever type the column has then
CREATE VIEW named AS SELECT id % 7 AS shop, (id % 7)::text AS shop_name, price, clicked FROM ad;
SELECT count(*), max(abs(a.coefficient - b.coefficient)) < 1e-9 AS same
FROM pm_model_weights(pm_train_ctr('named', 'clicked', '{shop,price}', options => '{"categorical": ["shop"]}')) AS a
JOIN pm_model_weights(pm_train_ctr('named', 'clicked', '{shop_name,price}')) AS b ON a.category = b.category;
SELECT a, pm_predict_ctr(m, r) = pm_predict_ctr(m, s) AS same
FROM unnest('{logistic,ftrl,fm}'::text[]) AS a, LATERAL (SELECT pm_train_ctr('named', 'clicked', '{shop,price}', a, '{"categorical": ["shop"]}') AS m OFFSET 0) AS m, (SELECT 3::bigint AS shop, 7.5::float8 AS price) AS r, (SELECT '3'::text AS shop, 7.5::float8 AS price) AS s;
SELECT count(*) FROM pm_model_weights((SELECT pm_train_ctr_agg(clicked, f, '{"categorical": ["shop"]}') FROM named, LATERAL (SELECT shop, price) AS f)) WHERE feature = 'shop';

-- rare categories share a coefficient, and unseen ones have it
SELECT category FROM pm_model_weights(train('{"min_frequency": 50}')) WHERE feature = 'device' ORDER BY category;
SELECT pm_predict_ctr(m, (SELECT ad FROM ad WHERE id = 100)) = pm_predict_ctr(m, r) AS same
FROM train('{"min_frequency": 50}', features => '{device}') AS m, (SELECT 'watch' AS device) AS r;

-- crosses: of categories, of hours and weekdays, of numbers
SELECT feature, count(*) FROM pm_model_weights(train('{"crosses": [["device", "ts.weekday"], ["device", "age", "ts.hour"]], "transform": {"age": "quantile:3"}}', features => '{device,age,ts}'))
GROUP BY feature ORDER BY feature;
SELECT category FROM pm_model_weights(train('{"crosses": [["device", "ts.weekday"]]}', features => '{device,ts}')) WHERE feature = 'device:ts.weekday' AND category LIKE 'phone%' ORDER BY category;

-- a weight of 2 is a row twice, of 0 none
CREATE VIEW doubled AS SELECT a.* FROM ad AS a, generate_series(1, a.w::int);
SELECT max(abs(a.coefficient - b.coefficient)) < 1e-6 AS same
FROM pm_model_weights(pm_train_ctr('doubled', 'clicked', '{device,age}')) AS a JOIN pm_model_weights(train('{"weight_col": "w"}')) AS b
    ON (a.feature, a.category) IS NOT DISTINCT FROM (b.feature, b.category);
SELECT info(train('{"weight_col": "w"}'), 'rows_read', 'rows_used', 'rows_skipped');
-- class_weight: the positives' weight, or that which balances the classes
SELECT c, round((sum(cw * pm_predict_ctr(m, ad)) / sum(cw))::numeric, 4) AS weighted_mean, round((sum(cw * clicked::int) / sum(cw))::numeric, 4) AS expected
FROM (VALUES ('"balanced"'), ('3')) AS v(c), train(format('{"class_weight": %s, "l2": 0}', c)) AS m, (SELECT avg(clicked::int)::float8 AS rate FROM ad) AS r, ad,
    LATERAL (SELECT CASE WHEN NOT clicked THEN 1 WHEN c = '3' THEN 3 ELSE (1 - rate) / rate END AS cw) AS x
GROUP BY c ORDER BY c;
-- negative_rate: a tenth of the negatives, and the odds are a tenth
SELECT max(abs(p / (1 - p) * 0.1 - q / (1 - q))) < 1e-9 AS odds_are_a_tenth
FROM (SELECT pm_predict_ctr(a, ad) AS p, pm_predict_ctr(b, ad) AS q FROM ad, train('{}') AS a, train('{"negative_rate": 0.1}') AS b) AS s;

-- held-out rows: a share, or the newest
SELECT info(train('{"eval_fraction": 0.25}'), 'rows_used', 'rows_held_out');
SELECT info(train('{"time_col": "ts"}'), 'rows_used', 'rows_held_out');
SELECT info(train('{"time_col": "ts", "time_share": 0.3}'), 'rows_used', 'rows_held_out');
CREATE VIEW old AS SELECT * FROM ad ORDER BY ts LIMIT 1400;
SELECT count(*), max(abs(a.coefficient - b.coefficient)) < 1e-9 AS same
FROM pm_model_weights(pm_train_ctr('old', 'clicked', '{device,age}')) AS a JOIN pm_model_weights(train('{"time_col": "ts", "time_share": 0.3}')) AS b
    ON (a.feature, a.category) IS NOT DISTINCT FROM (b.feature, b.category);
-- ftrl holds out by a hash of the row, so that an epoch needs no memory of the last one
SELECT abs(value::int - 400) < 60 AS about_a_fifth FROM pm_model_info(train('{"eval_fraction": 0.2}', 'ftrl', '{device,age,price}')) WHERE key = 'rows_held_out';
SELECT info(train('{"time_col": "ts", "time_share": 0.3}', 'ftrl'), 'rows_used', 'rows_held_out');
-- calibrated on them, the mean prediction of the held-out rows is their base rate
SELECT c, round(avg(pm_predict_ctr(m, ad))::numeric, 2) AS mean, round(avg(clicked::int), 2) AS rate
FROM unnest('{none,platt,isotonic}'::text[]) AS c, train(format('{"time_col": "ts", "time_share": 0.3, "class_weight": 5, "calibrate": "%s"}', c)) AS m,
    (SELECT * FROM ad ORDER BY ts DESC LIMIT 600) AS ad GROUP BY c ORDER BY c;
-- l1 leaves few coefficients
SELECT l1, count(*) FILTER (WHERE coefficient <> 0) AS nonzero
FROM (VALUES (0), (20), (100000)) AS v(l1), pm_model_weights(train(format('{"l1": %s, "l2": 0.1}', l1), features => '{device,age,price,ts}')) GROUP BY l1 ORDER BY l1;
-- an exclude of the aggregate
SELECT info(pm_train_ctr_agg(clicked, ad, '{"exclude": ["id", "ts", "clicked", "w"], "time_col": null}'), 'columns') FROM ad;

-- the label: booleans and 0/1 numbers, NULL is skipped and counted
CREATE VIEW odd AS SELECT CASE WHEN id % 10 > 0 THEN clicked::int END AS y, clicked::int * 2 AS two, 'yes'::text AS yes, true AS t, NULL::boolean AS nothing, clicked, device, 1 AS one, NULL::int AS void FROM ad;
SELECT info(pm_train_ctr('odd', 'y', '{device}'), 'rows_read', 'rows_used', 'rows_skipped');
SELECT failure('SELECT pm_train_ctr(''odd'', ''two'', ''{device}'')');
SELECT failure('SELECT pm_train_ctr(''odd'', ''yes'', ''{device}'')');
SELECT failure('SELECT pm_train_ctr(''odd'', ''t'', ''{device}'')');
SELECT failure('SELECT pm_train_ctr(''odd'', ''nothing'', ''{device}'')');
SELECT failure('SELECT pm_train_ctr(''odd'', ''click'', ''{device}'')');
SELECT failure('SELECT pm_train_ctr(''odd'', ''clicked'', ''{device,clicked}'')');
SELECT failure('SELECT pm_train_ctr(''odd'', NULL)');
SELECT a, failure(format('SELECT pm_train_ctr(''odd'', ''t'', ''{device}'', %L)', a)) FROM unnest('{ftrl,fm,fwfm}'::text[]) AS a;
CREATE TABLE empty (LIKE ad);
SELECT a, failure(format('SELECT pm_train_ctr(''empty'', ''clicked'', ''{device}'', %L)', a)) FROM unnest('{logistic,ftrl,fm}'::text[]) AS a;
-- features that do not vary: the base rate; features that are all NULL: no rows
SELECT a, abs(pm_predict_ctr(m, odd) - rate) < 0.02 AS is_the_base_rate
FROM unnest('{logistic,ftrl,fm,fwfm}'::text[]) AS a, LATERAL (SELECT pm_train_ctr('odd', 'clicked', '{one}', a) AS m OFFSET 0) AS m, (SELECT * FROM odd LIMIT 1) AS odd, (SELECT avg(clicked::int) AS rate FROM ad) AS r;
SELECT failure('SELECT pm_train_ctr(''odd'', ''clicked'', ''{void}'')');

-- a row without any value has no prediction
SELECT pm_predict_ctr(train('{}'), r) IS NULL AS none FROM (SELECT NULL::text AS device, NULL::int AS age) AS r;
SELECT count(*), count(probability) FROM pm_predict_ctr_rows(train('{}', features => '{age}'), 'ad', 'id');
-- a category that training had not: as if it were no category
SELECT abs(ln(p / (1 - p)) - coefficient) < 1e-9 AS intercept_alone
FROM train('{}', features => '{device}') AS m, (SELECT 'radio' AS device) AS r, LATERAL (SELECT pm_predict_ctr(m, r) AS p) AS s, pm_model_weights(m) WHERE feature = '(intercept)';

-- columns gone, of another type, of another model
SELECT failure('SELECT pm_predict_ctr(ctr_options_test.train(''{}''), r) FROM (SELECT 1 AS age) AS r');
SELECT failure('SELECT pm_predict_ctr(ctr_options_test.train(''{}''), r) FROM (SELECT ''phone'' AS device, ''old'' AS age) AS r');
SELECT failure('SELECT pm_predict_ctr(ctr_options_test.train(''{}''), ROW(1, 2))');
SELECT failure('SELECT * FROM pm_predict_ctr_rows(ctr_options_test.train(''{}''), ''logged'', ''x'')');
SELECT failure('SELECT * FROM pm_predict_ctr_rows(ctr_options_test.train(''{}''), ''ad'', ''id'', NULL::uuid)');
SELECT failure('SELECT pm_predict_ctr(pm_kmeans(''ad'', ''{age}'', 2), ad) FROM ad');
SELECT failure('SELECT pm_predict_ctr(''\x00''::bytea, ad) FROM ad');
SELECT failure('SELECT pm_predict_ctr(''no such model'', ad) FROM ad');
SELECT failure('SELECT pm_kmeans_assign(ctr_options_test.train(''{}''), ad) FROM ad');

-- options: unknown, out of range, of the wrong type, in contradiction
SELECT failure(format('SELECT ctr_options_test.train(%L, %L)', o, a)) AS failure FROM (VALUES
    ('{"epoch": 3}', 'ftrl'), ('{"factors": 3}', 'logistic'), ('{"l1": 1}', 'fm'), ('{"l2": -1}', 'logistic'), ('{"l2": "much"}', 'logistic'), ('{"hash_bits": 40}', 'ftrl'),
    ('{"time_col": "ts", "eval_fraction": 0.1}', 'logistic'), ('{"time_share": 0.1}', 'logistic'), ('{"calibrate": "platt"}', 'logistic'), ('{"calibrate": "beta"}', 'logistic'),
    ('{"eval_fraction": 0, "early_stopping": true}', 'fm'), ('{"early_stopping": false, "patience": 3}', 'fm'), ('{"early_stopping": false, "monitor": "auc"}', 'fm'), ('{"monitor": "accuracy"}', 'fm'), ('{"l1": 1, "solver": "newton"}', 'logistic'),
    ('{"class_weight": "heavy"}', 'logistic'), ('{"class_weight": 0}', 'logistic'), ('{"negative_rate": 0}', 'logistic'), ('{"negative_rate": 2}', 'logistic'),
    ('{"weight_col": "device"}', 'logistic'), ('{"weight_col": "weight"}', 'logistic'), ('{"time_col": "device"}', 'logistic'),
    ('{"transform": "log1p"}', 'logistic'), ('{"transform": {"height": "log1p"}}', 'logistic'), ('{"transform": {"age": "square"}}', 'logistic'), ('{"transform": {"age": "quantile:1"}}', 'logistic'),
    ('{"transform": {"device": "log1p"}}', 'logistic'), ('{"crosses": "device"}', 'logistic'), ('{"crosses": [["device"]]}', 'logistic'), ('{"crosses": [["device", "hour"]]}', 'logistic'),
    ('{"crosses": [["device", "device"]]}', 'logistic'), ('{"categorical": ["clicked"]}', 'logistic'), ('{"categorical": "age"}', 'logistic'), ('{"max_categories": 2}', 'logistic'), ('{"init": "no such model"}', 'logistic'), ('{"algorithm": "fm"}', 'logistic'), ('[]', 'logistic')) AS v(o, a);
SELECT failure('SELECT ctr_options_test.train(''{}'', ''deepfm'')');
SELECT failure('SELECT ctr_options_test.train(''{"crosses": [["device", "ts"]]}'', features => ''{device,ts}'')');
CREATE VIEW negative AS SELECT *, -w AS minus FROM ad;
SELECT a, failure(format('SELECT pm_train_ctr(''negative'', ''clicked'', ''{age}'', %L, ''{"weight_col": "minus"}'')', a)) FROM unnest('{logistic,ftrl}'::text[]) AS a;
CREATE VIEW still AS SELECT *, timestamp '2026-01-01' AS moment FROM ad;
SELECT a, failure(format('SELECT pm_train_ctr(''still'', ''clicked'', ''{age}'', %L, ''{"time_col": "moment"}'')', a)) FROM unnest('{logistic,ftrl}'::text[]) AS a;
CREATE VIEW broken AS SELECT *, 'NaN'::float8 AS nan FROM ad;
SELECT a, failure(format('SELECT pm_train_ctr(''broken'', ''clicked'', ''{nan}'', %L)', a)) FROM unnest('{logistic,ftrl}'::text[]) AS a;

-- classes that a column tells apart: a warning, and a finite model
CREATE VIEW told AS SELECT clicked, CASE WHEN clicked THEN 1.0 ELSE 0.0 END + age / 1000.0 AS x FROM ad WHERE age IS NOT NULL;
SELECT bool_and(abs(coefficient) < 1e6) AS finite FROM pm_model_weights(pm_train_ctr('told', 'clicked', '{x}', options => '{"l2": 0}'));
-- a column twice: the second one has no coefficient of its own
CREATE VIEW twice AS SELECT *, 2 * price + 1 AS price2 FROM ad;
SELECT feature, coefficient <> 0 AS has_coefficient, std_err IS NOT NULL AS has_error FROM pm_model_weights(pm_train_ctr('twice', 'clicked', '{price,price2}', options => '{"l2": 0}')) ORDER BY feature;
SELECT info(pm_train_ctr('twice', 'clicked', '{price,price2}', options => '{"l2": 0}'), 'aliased_coefficients');
-- not enough iterations
SELECT info(train('{"max_iter": 1, "solver": "lbfgs"}'), 'converged');
-- more categories than memory
SET precmkt.max_memory = '16MB';
CREATE TABLE many AS SELECT 'category ' || i AS c, i % 2 = 0 AS clicked FROM generate_series(1, 200000) AS i;
SELECT regexp_replace(failure('SELECT pm_train_ctr(''many'', ''clicked'')'), '\d{6,}', 'N', 'g');
SELECT info(pm_train_ctr('many', 'clicked', NULL, 'ftrl', '{"hash_bits": 16}'), 'rows_used', 'coefficients');
RESET precmkt.max_memory;

-- rights: those of the caller
CREATE ROLE ctr_options_user;
GRANT USAGE ON SCHEMA ctr_options_test TO ctr_options_user;
SET ROLE ctr_options_user;
SELECT failure('SELECT pm_train_ctr(''ctr_options_test.ad'', ''clicked'', ''{age}'')');
SELECT failure('SELECT pm_train_ctr(''ctr_options_test.ad'', ''clicked'', ''{age}'', ''ftrl'', ''{"time_col": "ts"}'')');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA ctr_options_test CASCADE;
DROP ROLE ctr_options_user;
