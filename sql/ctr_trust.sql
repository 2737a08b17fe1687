-- click models: evaluation, weights, reasons, and going on from a model
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA ctr_trust_test;
SET search_path = ctr_trust_test, public;
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

CREATE TABLE ad (id int PRIMARY KEY, ts timestamp, page text, device text, age int, price float8, tags text[], w float8, clicked boolean);
INSERT INTO ad
SELECT i, timestamp '2026-01-01' + i * interval '20 minutes', 'page ' || i % 11, CASE WHEN i % 3 = 0 THEN 'phone' WHEN i % 7 = 0 THEN NULL ELSE 'desktop' END,
    CASE WHEN i % 10 < 9 THEN 18 + i * 31 % 60 END, (i * 104729 % 997) / 10.0, CASE i % 4 WHEN 0 THEN '{}' WHEN 1 THEN '{new}' ELSE '{new,sale}' END::text[], i % 4,
    abs(hashint4(i)) % 100 < 20 + CASE WHEN i % 3 = 0 THEN 20 ELSE 0 END + i * 31 % 60 / 3 + CASE WHEN i % 3 = 0 AND i % 11 = 5 THEN 40 ELSE 0 END
FROM generate_series(1, 2000) AS i;
CREATE VIEW test AS SELECT * FROM ad WHERE id > 1500;
CREATE VIEW train AS SELECT * FROM ad WHERE id <= 1500;

CREATE TABLE model (name text PRIMARY KEY, model bytea);
INSERT INTO model SELECT a, pm_train_ctr('train', 'clicked', '{page,device,age,price,tags}', a, o::jsonb)
FROM (VALUES ('logistic', '{}'), ('ftrl', '{"epochs": 3}'), ('fm', '{"factors": 5, "epochs": 4, "batch_size": 100}'), ('fwfm', '{"factors": 5, "epochs": 4, "batch_size": 100}')) AS v(a, o);
INSERT INTO model SELECT 'platt', pm_train_ctr('train', 'clicked', '{page,device,age,price,tags,ts}', options => '{"time_col": "ts", "calibrate": "platt", "crosses": [["page", "device"], ["device", "age"]], "negative_rate": 0.2, "min_frequency": 20}');
INSERT INTO model SELECT 'isotonic', pm_train_ctr('train', 'clicked', '{page,device,age,ts}', options => '{"eval_fraction": 0.4, "calibrate": "isotonic"}');

-- evaluation against brute force
CREATE TABLE scored AS SELECT m.name, t.id, t.page, t.w, t.clicked::int AS y, pm_predict_ctr(m.model, t) AS p FROM model AS m, test AS t;
CREATE TABLE evaluation AS SELECT name, e.* FROM model, pm_evaluate_ctr(model, 'test', 'clicked', '{"group_col": "page", "threshold": 0.4}') AS e;
CREATE VIEW expected AS
SELECT name, x.* FROM (
    SELECT name, count(*) AS n, avg(y) AS rate, avg(p) AS mean, avg(-ln(greatest(CASE y WHEN 1 THEN p ELSE 1 - p END, 1e-300))) AS loss, avg((p - y) ^ 2) AS brier,
        avg(((p >= 0.4) = (y = 1))::int) AS accuracy, sum(y * (p >= 0.4)::int)::float8 / nullif(sum((p >= 0.4)::int), 0) AS precision, sum(y * (p >= 0.4)::int)::float8 / sum(y) AS recall,
        2 * sum(y * (p >= 0.4)::int)::float8 / (sum((p >= 0.4)::int) + sum(y)) AS f1
    FROM scored GROUP BY name) AS s,
    LATERAL (SELECT sum((a.p > b.p)::int + 0.5 * (a.p = b.p)::int) / count(*) AS auc FROM scored AS a, scored AS b WHERE a.name = s.name AND b.name = s.name AND a.y = 1 AND b.y = 0) AS r,
    LATERAL (SELECT sum(abs(gap)) AS ece FROM (SELECT (avg(p) - avg(y)) * count(*) / s.n AS gap FROM scored AS a WHERE a.name = s.name GROUP BY least(floor(p * 10), 9)) AS b) AS c,
    LATERAL (SELECT sum(size * auc) / sum(size) AS gauc FROM (SELECT page, (SELECT count(*) FROM scored AS c WHERE c.name = s.name AND c.page = a.page) AS size,
        sum((a.p > b.p)::int + 0.5 * (a.p = b.p)::int) / count(*) AS auc FROM scored AS a JOIN scored AS b USING (name, page) WHERE name = s.name AND a.y = 1 AND b.y = 0 GROUP BY page) AS g) AS g,
    LATERAL (VALUES ('n', s.n::float8), ('base_rate', s.rate), ('mean_prediction', s.mean), ('auc', r.auc), ('gauc', g.gauc), ('log_loss', s.loss),
        ('normalized_entropy', s.loss / -(s.rate * ln(s.rate) + (1 - s.rate) * ln(1 - s.rate))), ('brier', s.brier), ('ece', c.ece), ('accuracy', s.accuracy),
        ('precision', s.precision), ('recall', s.recall), ('f1', s.f1)) AS x(metric, value);
SELECT metric, bool_and(coalesce(abs(e.value - x.value) < 1e-6, e.value IS NULL AND x.value IS NULL AND metric = 'precision')) AS as_by_hand, count(*) FROM evaluation AS e JOIN expected AS x USING (name, metric) WHERE name <> 'isotonic' GROUP BY metric ORDER BY min(e.ctid);
SELECT metric, abs(e.value - x.value) < 1e-6 AS as_by_hand FROM evaluation AS e JOIN expected AS x USING (name, metric) WHERE name = 'isotonic' AND metric NOT IN ('gauc', 'log_loss', 'normalized_entropy') ORDER BY e.ctid;
-- weights; unseen categories; skipped rows
SELECT metric, abs(value - (SELECT sum(w * y) / sum(w) FROM scored WHERE name = 'fm')) < 1e-6 AS weighted FROM model, pm_evaluate_ctr(model, 'test', 'clicked', '{"weight_col": "w"}') WHERE name = 'fm' AND metric = 'base_rate';
CREATE VIEW strange AS SELECT CASE WHEN id % 2 = 0 THEN 'new page' ELSE page END AS page, device, age, price, tags, CASE WHEN id % 5 > 0 THEN clicked END AS clicked FROM test;
SELECT * FROM pm_evaluate_ctr((SELECT model FROM model WHERE name = 'logistic'), 'strange', 'clicked') WHERE metric ~ 'rows|^n$';

-- reasons: with the intercept and what comes after the logit they are the log odds of the prediction
SELECT m.name, max(abs(e.sum - ln(p / (1 - p)))) < 1e-9 AS sums_to_the_log_odds
FROM model AS m, test AS t, LATERAL (SELECT sum(contribution) FROM pm_explain_ctr(m.model, t, 2)) AS e, LATERAL (SELECT pm_predict_ctr(m.model, t) AS p) AS s
WHERE p > 0 AND p < 1 GROUP BY m.name ORDER BY m.name;
SELECT m.name, e.feature, e.value FROM model AS m, (SELECT * FROM ad WHERE id = 21) AS t, pm_explain_ctr(m.model, t, 100) AS e WHERE m.name IN ('logistic', 'ftrl', 'platt') ORDER BY m.name, e.feature, e.value;
SELECT feature, value, round(contribution::numeric, 6) = round(coefficient::numeric, 6) AS is_its_coefficient
FROM model AS m, (SELECT * FROM ad WHERE id = 33) AS t, pm_explain_ctr(m.model, t) AS e JOIN pm_model_weights(m.model) AS w USING (feature) WHERE name = 'logistic' AND w.category = e.value;
SELECT count(*) AS rows, count(*) FILTER (WHERE feature = '(other features)') AS other FROM model, (SELECT * FROM ad WHERE id = 1) AS t, pm_explain_ctr(model, t, 0) WHERE name = 'logistic';
SELECT count(*) FROM model, (SELECT NULL::text AS page, NULL::text AS device, NULL::int AS age, NULL::float8 AS price, NULL::text[] AS tags) AS t, pm_explain_ctr(model, t) WHERE name = 'logistic';
SELECT failure('SELECT pm_explain_ctr(model, t, -1) FROM ctr_trust_test.model, ctr_trust_test.ad AS t WHERE name = ''fm''');

-- weights of models without standard errors, and the log of a training
SELECT name, bool_and(std_err IS NULL) AS no_error, count(*) > 5 AS has_rows, bool_or(feature = '(hashed)') AS hashed FROM model, pm_model_weights(model) GROUP BY name ORDER BY name;
SELECT name, count(*) > 0 AS has_log, bool_and(loss > 0) AS loss, count(eval_loss) > 0 AS eval_loss, count(eval_auc) > 0 AS eval_auc, bool_and(seconds >= 0) AS seconds
FROM model, pm_training_log(model) GROUP BY name ORDER BY name;

-- going on: ftrl over old rows and then new ones is ftrl over both
CREATE VIEW both_parts AS SELECT * FROM (SELECT * FROM train ORDER BY id OFFSET 0) AS a UNION ALL SELECT * FROM (SELECT * FROM test ORDER BY id OFFSET 0) AS b;
CREATE VIEW ordered AS SELECT * FROM train ORDER BY id;
CREATE VIEW later AS SELECT * FROM test ORDER BY id;
SELECT count(*) > 10 AS has_rows, max(abs(a.coefficient - b.coefficient)) < 1e-9 AS same
FROM pm_model_weights(pm_update_ctr(pm_train_ctr('ordered', 'clicked', '{page,device,tags}', 'ftrl'), 'later', 'clicked')) AS a
FULL JOIN pm_model_weights(pm_train_ctr('both_parts', 'clicked', '{page,device,tags}', 'ftrl')) AS b ON a.feature || coalesce(a.category, '') = b.feature || coalesce(b.category, '');
-- logistic regression finds the optimum of the new rows, from any start
SELECT max(abs(a.coefficient - b.coefficient)) < 1e-4 AS same, count(*)
FROM model AS m, pm_model_weights(pm_update_ctr(m.model, 'test', 'clicked')) AS a, pm_model_weights(pm_train_ctr('test', 'clicked', '{page,device,age,price,tags}')) AS b
WHERE m.name = 'logistic' AND a.feature = b.feature AND a.category = b.category AND a.feature IN ('page', 'device', 'tags');
-- new categories join, old ones stay; the parent is named
CREATE VIEW fresh AS SELECT id, ts, page || '!' AS page, device, age, price, tags || ARRAY['gift'] AS tags, clicked FROM test;
CREATE TABLE updated AS SELECT name, pm_update_ctr(model, 'fresh', 'clicked', CASE name WHEN 'platt' THEN '{"min_frequency": 20, "eval_fraction": 0.1, "calibrate": "platt"}' ELSE '{}' END::jsonb) AS model FROM model;
SELECT u.name, (SELECT value FROM pm_model_info(u.model) WHERE key = 'parent') = (SELECT value FROM pm_model_info(m.model) WHERE key = 'id') AS names_its_parent,
    (SELECT count(*) FROM pm_model_weights(u.model) WHERE category LIKE 'page%!') AS new_pages, (SELECT count(*) FROM pm_model_weights(u.model) WHERE feature = 'page' AND category NOT LIKE '%!') AS old_pages,
    (SELECT count(*) FROM pm_model_weights(u.model) WHERE category = 'gift') AS gift
FROM updated AS u JOIN model AS m USING (name) ORDER BY u.name;
SELECT u.name, max(abs(e.sum - ln(p / (1 - p)))) < 1e-9 AS sums_to_the_log_odds
FROM updated AS u, test AS t, LATERAL (SELECT sum(contribution) FROM pm_explain_ctr(u.model, t, 2)) AS e, LATERAL (SELECT pm_predict_ctr(u.model, t) AS p) AS s
GROUP BY u.name ORDER BY u.name;
SELECT name, (SELECT value FROM pm_evaluate_ctr(u.model, 'fresh', 'clicked') WHERE metric = 'rows_with_unseen_category') AS unseen FROM updated AS u WHERE name <> 'ftrl' ORDER BY name;
-- weights of categories that the new rows lack: kept by fm and fwfm but for their penalty
SELECT name, count(*), max(abs(a.coefficient - b.coefficient)) < 0.05 AS kept
FROM model AS m JOIN updated AS u USING (name), pm_model_weights(m.model) AS a, pm_model_weights(u.model) AS b
WHERE name IN ('fm', 'fwfm') AND a.feature = 'page' AND b.feature = 'page' AND a.category = b.category GROUP BY name ORDER BY name;

-- the model's own options unless others are given
SELECT o ->> 'batch_size' AS batch_size, o ->> 'epochs' AS epochs, o ->> 'eval_fraction' AS eval_fraction, o ->> 'seed' AS seed
FROM model AS m, LATERAL (SELECT pm_update_ctr(model, 'fresh', 'clicked', '{"epochs": 2}') AS u OFFSET 0) AS u, LATERAL (SELECT value::jsonb AS o FROM pm_model_info(u) WHERE key = 'options') AS i WHERE name = 'fm';

-- init: from a model of the registry
SELECT pm_model_save('clicks', model) FROM model WHERE name = 'logistic';
SELECT info(pm_train_ctr('fresh', 'clicked', options => '{"init": "clicks"}'), 'columns', 'rows_used');
SELECT abs(pm_predict_ctr(pm_update_ctr('clicks', 'fresh', 'clicked'), t) - pm_predict_ctr(u.model, t)) < 1e-6 AS same FROM updated AS u, (SELECT * FROM ad WHERE id = 7) AS t WHERE name = 'logistic';
SELECT failure('SELECT pm_train_ctr(''ctr_trust_test.fresh'', ''clicked'', ''{age}'', options => ''{"init": "clicks"}'')');
SELECT failure('SELECT pm_train_ctr(''ctr_trust_test.fresh'', ''clicked'', NULL, ''fm'', ''{"init": "clicks"}'')');
SELECT failure('SELECT pm_train_ctr(''ctr_trust_test.fresh'', ''clicked'', options => ''{"init": "clicks", "transform": {"age": "log1p"}}'')');
DELETE FROM pm_models WHERE name = 'clicks';

-- updates that cannot be
CREATE VIEW narrow AS SELECT page, device, clicked FROM test;
CREATE VIEW retyped AS SELECT page, device, age::text AS age, price, tags, clicked FROM test;
CREATE VIEW nobody AS SELECT * FROM test WHERE false;
CREATE VIEW always AS SELECT page, device, age, price, tags, true AS clicked FROM test;
SELECT s, failure(format('SELECT pm_update_ctr(model, %L, ''clicked'') FROM ctr_trust_test.model WHERE name = ''fm''', s)) FROM unnest('{narrow,retyped,nobody,always}'::text[]) AS s;
SELECT o, failure(format('SELECT pm_update_ctr(model, ''test'', ''clicked'', %L) FROM ctr_trust_test.model WHERE name = %L', o, n)) FROM (VALUES ('{"factors": 3}', 'fm'), ('{"transform": {}}', 'logistic'), ('{"learning_rate": 1}', 'ftrl'), ('{"negative_rate": 1}', 'fm')) AS v(o, n);
SELECT failure('SELECT pm_update_ctr(pm_kmeans(''ad'', ''{age}'', 2), ''test'', ''clicked'')');
SELECT failure('SELECT pm_update_ctr(NULL::bytea, ''test'', ''clicked'')');
SELECT failure('SELECT pm_evaluate_ctr(model, ''test'', ''price'') FROM ctr_trust_test.model');
SELECT o, failure(format('SELECT pm_evaluate_ctr(model, ''test'', ''clicked'', %L) FROM ctr_trust_test.model WHERE name = ''fm''', o)) FROM unnest('{"{\"treshold\": 1}","{\"threshold\": 2}","{\"group_col\": \"pages\"}","{\"weight_col\": \"page\"}"}'::text[]) AS o;
SELECT failure('SELECT pm_evaluate_ctr(model, ''nobody'', ''clicked'') FROM ctr_trust_test.model');
SELECT failure('SELECT pm_evaluate_ctr(model, ''test'', ''page'') FROM ctr_trust_test.model');
-- one class: what is not defined is NULL
SELECT metric, value FROM pm_evaluate_ctr((SELECT model FROM model WHERE name = 'logistic'), 'always', 'clicked') WHERE value IS NULL OR metric = 'base_rate';

SET client_min_messages = warning;
DROP SCHEMA ctr_trust_test CASCADE;
