-- metrics: against brute force in SQL and scikit-learn, as aggregates and as tables
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
CREATE SCHEMA metrics_test;
SET search_path = metrics_test, public;
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
CREATE FUNCTION close(a float8, b float8, tolerance float8 DEFAULT 1e-12) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE WHEN a IS NULL OR b IS NULL THEN a IS NULL AND b IS NULL ELSE abs(a - b) <= tolerance * greatest(abs(a), abs(b), 1e-3) END
$$;

-- 200 rows, half of whose predictions are tied with another one; 81 are true
CREATE TABLE scored AS SELECT i AS id, i % 4 AS grp, 1 + i % 3 AS w, (i * 7919 % 101) / 100.0::float8 AS p,
    (i * 104729 % 97) / 97.0::float8 < 0.15 + 0.7 * ((i * 7919 % 101) / 100.0::float8) ^ 2 AS y
FROM generate_series(1, 200) AS i;

-- by the definitions
CREATE FUNCTION brute(rows text, threshold float8 DEFAULT 0.5)
RETURNS TABLE (auc float8, log_loss float8, brier float8, ece float8, accuracy float8, "precision" float8, recall float8, f1 float8, base_rate float8, mean_prediction float8)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
    WITH r AS MATERIALIZED (SELECT y, p, w::float8 AS w FROM %s)
    SELECT (SELECT sum(a.w * b.w * CASE WHEN a.p > b.p THEN 1 WHEN a.p = b.p THEN 0.5 ELSE 0 END) / sum(a.w * b.w) FROM r AS a, r AS b WHERE a.y AND NOT b.y),
        -sum(w * ln(CASE WHEN y THEN p ELSE 1 - p END)) / sum(w), sum(w * (p - y::int) ^ 2) / sum(w),
        (SELECT sum(abs(d)) FROM (SELECT sum(w * (y::int - p)) AS d FROM r GROUP BY least(floor(p * 10), 9)) AS s) / sum(w),
        sum(w) FILTER (WHERE y = (p >= $1)) / sum(w),
        sum(w) FILTER (WHERE y AND p >= $1) / sum(w) FILTER (WHERE p >= $1),
        sum(w) FILTER (WHERE y AND p >= $1) / sum(w) FILTER (WHERE y),
        2 * sum(w) FILTER (WHERE y AND p >= $1) / (sum(w) FILTER (WHERE p >= $1) + sum(w) FILTER (WHERE y)),
        sum(w * y::int) / sum(w), sum(w * p) / sum(w) FROM r$q$, rows) USING threshold;
END $$;
CREATE VIEW inner_rows AS SELECT y, p, 1 AS w FROM scored WHERE p > 0 AND p < 1;
CREATE VIEW weighted_rows AS SELECT y, p, w FROM scored WHERE p > 0 AND p < 1;
SELECT b.auc, close(b.auc, pm_auc_agg(y, p)) AS auc, close(b.log_loss, pm_log_loss_agg(y, p)) AS log_loss FROM inner_rows, brute('inner_rows') AS b GROUP BY b.auc, b.log_loss;
SELECT b.auc, close(b.auc, pm_auc_agg(y, p, w)) AS auc, close(b.log_loss, pm_log_loss_agg(y, p, w)) AS log_loss FROM weighted_rows, brute('weighted_rows') AS b GROUP BY b.auc, b.log_loss;
SELECT t, m.n, close(m.base_rate, b.base_rate) AS base_rate, close(m.mean_prediction, b.mean_prediction) AS mean_prediction, close(m.auc, b.auc) AS auc, close(m.log_loss, b.log_loss) AS log_loss,
    close(m.normalized_entropy, b.log_loss / -(b.base_rate * ln(b.base_rate) + (1 - b.base_rate) * ln(1 - b.base_rate))) AS normalized_entropy, close(m.brier, b.brier) AS brier, close(m.ece, b.ece) AS ece,
    close(m.accuracy, b.accuracy) AS accuracy, close(m.precision, b.precision) AS precision, close(m.recall, b.recall) AS recall, close(m.f1, b.f1) AS f1
FROM (VALUES (0.5), (0.3), (0)) AS v(t), LATERAL (SELECT (pm_binary_metrics_agg(y, p, t, w)).* FROM weighted_rows) AS m, LATERAL brute('weighted_rows', t) AS b ORDER BY t;

-- scikit-learn 1.9.1 on the same rows: roc_auc_score, log_loss, brier_score_loss, accuracy_score, precision_score, recall_score, f1_score,
-- the last four of p >= threshold; without and with sample_weight
SELECT t, close(m.auc, 0.7575474634298164) AS auc, close(m.log_loss, 0.6211220267043583) AS log_loss, close(m.brier, 0.20984999999999998) AS brier, close(m.accuracy, e.accuracy) AS accuracy,
    close(m.precision, e.precision) AS precision, close(m.recall, e.recall) AS recall, close(m.f1, e.f1) AS f1
FROM (VALUES (0.5, 0.68, 0.5841584158415841, 0.7283950617283951, 0.6483516483516484), (0.3, 0.6, 0.5035460992907801, 0.8765432098765432, 0.6396396396396397)) AS e(t, accuracy, precision, recall, f1),
    LATERAL (SELECT (pm_binary_metrics_agg(y, p, t)).* FROM scored) AS m ORDER BY t;
SELECT t, close(m.auc, 0.7551033726636734) AS auc, close(m.log_loss, 0.6276926386211987) AS log_loss, close(m.brier, 0.21271820448877804) AS brier, close(m.accuracy, e.accuracy) AS accuracy,
    close(m.precision, e.precision) AS precision, close(m.recall, e.recall) AS recall, close(m.f1, e.f1) AS f1
FROM (VALUES (0.5, 0.6783042394014963, 0.5693069306930693, 0.732484076433121, 0.6406685236768802), (0.3, 0.5910224438902744, 0.4876325088339223, 0.8789808917197452, 0.6272727272727273)) AS e(t, accuracy, precision, recall, f1),
    LATERAL (SELECT (pm_binary_metrics_agg(y, p, t, w)).* FROM scored) AS m ORDER BY t;
-- the default threshold is 0.5
SELECT pm_binary_metrics_agg(y, p) = pm_binary_metrics_agg(y, p, 0.5) AS same, pg_typeof(pm_binary_metrics_agg(y, p)) FROM scored;
-- doubles that are the same as float4 are not tied; any finite score has an AUC; -0 and 0 are one
SELECT pm_auc_agg(y, p) FROM (VALUES (false, 0.5), (true, 0.5 + 1e-15)) AS v(y, p);
SELECT pm_auc_agg(y, p) FROM (VALUES (false, -1e300), (true, -5), (false, 2), (true, 1e300)) AS v(y, p);
SELECT pm_auc_agg(y, p) FROM (VALUES (false, 0::float8), (true, '-0'::float8)) AS v(y, p);

-- what is left out: NULL labels and predictions, weights NULL and 0
SELECT pm_auc_agg(y, p), (pm_binary_metrics_agg(y, p)).n, close(pm_log_loss_agg(y, p), -ln(0.75::float8)) AS log_loss FROM (VALUES (false, 0.25), (true, 0.75), (NULL, 0.9), (true, NULL), (NULL, NULL)) AS v(y, p);
SELECT pm_auc_agg(y, p, w), (pm_binary_metrics_agg(y, p, 0.5, w)).n, close(pm_log_loss_agg(y, p, w), -ln(0.75::float8)) AS log_loss FROM (VALUES (false, 0.25, 1), (true, 0.75, 3), (true, 0.1, 0), (true, 0.1, NULL)) AS v(y, p, w);
-- a weight is as many equal rows
SELECT close(a.auc, b.auc) AS auc, close(a.l, b.l) AS log_loss, close((a.m).ece, (b.m).ece) AS ece, (a.m).n, (b.m).n AS repeated
FROM (SELECT pm_auc_agg(y, p, w) AS auc, pm_log_loss_agg(y, p, w) AS l, pm_binary_metrics_agg(y, p, 0.5, w) AS m FROM scored) AS a,
    (SELECT pm_auc_agg(y, p) AS auc, pm_log_loss_agg(y, p) AS l, pm_binary_metrics_agg(y, p) AS m FROM scored, generate_series(1, w)) AS b;
-- zero rows, or none that counts; one class; nothing predicted true
SELECT pm_auc_agg(y, p), pm_log_loss_agg(y, p), pm_binary_metrics_agg(y, p) FROM scored WHERE false;
SELECT pm_auc_agg(y, NULL), pm_log_loss_agg(NULL, p), pm_binary_metrics_agg(NULL, p) IS NULL AS metrics FROM scored;
SELECT pm_auc_agg(true, p), round(pm_log_loss_agg(true, p)::numeric, 6) AS log_loss FROM (VALUES (0.25), (0.75)) AS v(p);
SELECT n, base_rate, mean_prediction, auc, normalized_entropy, brier, ece, accuracy, precision, recall, round(f1::numeric, 6) AS f1 FROM (SELECT (pm_binary_metrics_agg(true, p)).* FROM (VALUES (0.25), (0.75)) AS v(p)) AS m;
SELECT n, base_rate, mean_prediction, auc, normalized_entropy, brier, ece, accuracy, precision, recall, f1 FROM (SELECT (pm_binary_metrics_agg(false, p)).* FROM (VALUES (0.25), (0.25)) AS v(p)) AS m;
-- certain and wrong: as scikit-learn's log_loss, 36.04365338911715 and, for three rows of which one is right, 24.029102259411435
SELECT close(pm_log_loss_agg(y, p), 36.04365338911715) AS log_loss FROM (VALUES (true, 0), (false, 1)) AS v(y, p);
SELECT close(pm_log_loss_agg(y, p), 24.029102259411435) AS log_loss, close((pm_binary_metrics_agg(y, p)).log_loss, 24.029102259411435) AS metrics FROM (VALUES (true, 0), (false, 1), (true, 1)) AS v(y, p);

-- GROUP BY and FILTER; a window, whose state goes on after each result
SELECT grp, close(pm_auc_agg(y, p), (SELECT sum(CASE WHEN a.p > b.p THEN 1 WHEN a.p = b.p THEN 0.5 ELSE 0 END) / count(*) FROM scored AS a, scored AS b WHERE a.y AND NOT b.y AND a.grp = s.grp AND b.grp = s.grp)) AS auc,
    pm_auc_agg(y, p) FILTER (WHERE p > 0.5) IS NOT DISTINCT FROM (SELECT pm_auc_agg(y, p) FROM scored AS t WHERE p > 0.5 AND t.grp = s.grp) AS filtered FROM scored AS s GROUP BY grp ORDER BY grp;
SELECT count(*), count(auc), bool_and(auc IS NOT DISTINCT FROM (SELECT pm_auc_agg(y, p) FROM scored AS t WHERE t.id <= s.id)) AS auc,
    bool_and(close(log_loss, (SELECT pm_log_loss_agg(y, p) FROM scored AS t WHERE t.id <= s.id))) AS log_loss, bool_and(m = (SELECT pm_binary_metrics_agg(y, p) FROM scored AS t WHERE t.id <= s.id)) AS metrics
FROM (SELECT id, pm_auc_agg(y, p) OVER w AS auc, pm_log_loss_agg(y, p) OVER w AS log_loss, pm_binary_metrics_agg(y, p) OVER w AS m FROM scored WINDOW w AS (ORDER BY id)) AS s;
SELECT bool_and(auc IS NOT DISTINCT FROM (SELECT pm_auc_agg(y, p) FROM scored AS t WHERE t.id BETWEEN s.id - 9 AND s.id)) AS moving
FROM (SELECT id, pm_auc_agg(y, p) OVER (ORDER BY id ROWS 9 PRECEDING) AS auc FROM scored) AS s;

-- in parallel workers: the same
CREATE TABLE many AS SELECT i AS id, i % 3 AS grp, (i * 7919 % 10007) / 10007.0::float8 AS p, i * 104729 % 997 < 100 + 800 * (i * 7919 % 10007) / 10007 AS y, (i % 5) / 2.0::float8 AS w
FROM generate_series(1::bigint, 30000) AS i;
ANALYZE many;
CREATE FUNCTION all_of_many() RETURNS text[] LANGUAGE sql AS $$
    SELECT ARRAY[pm_auc_agg(y, p)::text, round(pm_auc_agg(y, p, w)::numeric, 12)::text, round(pm_log_loss_agg(y, p)::numeric, 12)::text, round(pm_log_loss_agg(y, p, w)::numeric, 12)::text,
        (pm_binary_metrics_agg(y, p, 0.25)).auc::text, round((pm_binary_metrics_agg(y, p, 0.25, w)).ece::numeric, 12)::text, (pm_binary_metrics_agg(y, p, 0.25)).n::text, (pm_binary_metrics_agg(y, p, 0.25)).f1::text,
        pm_auc_agg(y, p) FILTER (WHERE id > 29990)::text, pm_auc_agg(y, p) FILTER (WHERE id < 0)::text] FROM many
$$;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE serial_result AS SELECT all_of_many() AS r;
CREATE TABLE serial_groups AS SELECT grp, pm_auc_agg(y, p) AS auc FROM many GROUP BY grp;
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT pm_auc_agg(y, p), pm_log_loss_agg(y, p), pm_binary_metrics_agg(y, p, 0.25, w) FROM many;
SELECT r = all_of_many() AS same, array_length(r, 1) AS checked, r[10] IS NULL AS none FROM serial_result;
SELECT count(*), bool_and(s.auc = m.auc) AS same FROM (SELECT grp, pm_auc_agg(y, p) AS auc FROM many GROUP BY grp) AS m JOIN serial_groups AS s USING (grp);
SELECT failure($$SELECT pm_binary_metrics_agg(y, p, CASE WHEN id = 29999 THEN 0.4 ELSE 0.5 END) FROM many$$) LIKE '22023: threshold is both %' AS refused;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- ROC: scikit-learn's roc_curve of p rounded to fifths gives these points, of which those on a line are left out
CREATE VIEW fifths AS SELECT y, round(p * 5) / 5 AS s, p, w, id FROM scored;
SELECT threshold, round(false_positive_rate::numeric, 8) AS fpr, round(true_positive_rate::numeric, 8) AS tpr FROM pm_roc('fifths', 'y', 's');
-- its area is the AUC, with all corners; weighted too; at most so many points
SELECT close(sum((fpr - before) * (tpr + tpr_before) / 2), (SELECT pm_auc_agg(y, p) FROM scored)) AS auc, count(*) FROM (
    SELECT false_positive_rate AS fpr, true_positive_rate AS tpr, lag(false_positive_rate) OVER w AS before, lag(true_positive_rate) OVER w AS tpr_before FROM pm_roc('scored', 'y', 'p') WINDOW w AS (ORDER BY threshold DESC)) AS s;
SELECT close(sum((fpr - before) * (tpr + tpr_before) / 2), (SELECT pm_auc_agg(y, p, w) FROM scored)) AS auc FROM (
    SELECT false_positive_rate AS fpr, true_positive_rate AS tpr, lag(false_positive_rate) OVER w AS before, lag(true_positive_rate) OVER w AS tpr_before FROM pm_roc('scored', 'y', 'p', '{"weight_col": "w"}') WINDOW w AS (ORDER BY threshold DESC)) AS s;
SELECT k, count(*) <= k AS few, min(false_positive_rate) AS first, max(true_positive_rate) AS last, count(*) = count(DISTINCT threshold) AS distinct
FROM (VALUES (2), (3), (10), (40)) AS v(k), pm_roc('scored', 'y', 'p', jsonb_build_object('points', k)) GROUP BY k ORDER BY k;
-- every point by counting
SELECT bool_and(close(false_positive_rate, (SELECT count(*) FROM scored WHERE NOT y AND p >= threshold) / 119.0) AND close(true_positive_rate, (SELECT count(*) FROM scored WHERE y AND p >= threshold) / 81.0)) AS counted
FROM pm_roc('scored', 'y', 'p', '{"points": 20}');
-- precision and recall: scikit-learn's precision_recall_curve, less its last point, which has no threshold
SELECT threshold, round(recall::numeric, 8) AS recall, round(precision::numeric, 8) AS precision FROM pm_pr_curve('fifths', 'y', 's');
SELECT bool_and(close(recall, (SELECT sum(w) FROM scored WHERE y AND p >= threshold) / t::float8) AND close(precision, (SELECT sum(w) FILTER (WHERE y) / sum(w)::float8 FROM scored WHERE p >= threshold))) AS counted,
    min(threshold) AS lowest, count(*) <= 20 AS few FROM pm_pr_curve('scored', 'y', 'p', '{"points": 20, "weight_col": "w"}'), (SELECT sum(w) AS t FROM scored WHERE y) AS s;
-- one class: what has no meaning is NULL; no rows: none
CREATE VIEW ones AS SELECT true AS y, p FROM scored WHERE id <= 3;
SELECT * FROM pm_roc('ones', 'y', 'p');
SELECT * FROM pm_pr_curve('ones', 'y', 'p');
CREATE VIEW zeros AS SELECT 0 AS y, p FROM scored WHERE id <= 2;
SELECT * FROM pm_pr_curve('zeros', 'y', 'p');
CREATE VIEW none AS SELECT y, p FROM scored WHERE false;
SELECT (SELECT count(*) FROM pm_roc('none', 'y', 'p')) AS roc, (SELECT count(*) FROM pm_pr_curve('none', 'y', 'p')) AS pr, (SELECT count(*) FROM pm_lift('none', 'y', 'p')) AS lift, (SELECT count(*) FROM pm_calibration('none', 'y', 'p')) AS calibration;

-- lift: without ties the bins are those of ntile, highest first
CREATE VIEW untied AS SELECT id, y, p + id * 1e-6 AS p, w FROM scored;
SELECT count(*), bool_and(l.n = e.n AND l.min_prediction = e.low AND close(l.mean_prediction, e.mean) AND close(l.response_rate, e.rate) AND close(l.lift, e.rate / 0.405) AND
    close(l.cumulative_gain, e.caught / 81.0) AND close(l.cumulative_lift, e.caught / (20 * bin) / 0.405)) AS same
FROM pm_lift('untied', 'y', 'p') AS l JOIN (
    SELECT bin, count(*) AS n, min(p) AS low, avg(p) AS mean, avg(y::int) AS rate, sum(count(*) FILTER (WHERE y)) OVER (ORDER BY bin) AS caught
    FROM (SELECT y, p, ntile(10) OVER (ORDER BY p DESC) AS bin FROM untied) AS t GROUP BY bin) AS e USING (bin);
-- rows of one prediction stay together, in the bin of their middle: a bin may be missing
SELECT bin, n, min_prediction, round(response_rate::numeric, 4) AS response_rate, round(lift::numeric, 4) AS lift, round(cumulative_lift::numeric, 4) AS cumulative_lift, round(cumulative_gain::numeric, 4) AS cumulative_gain
FROM pm_lift('fifths', 'y', 's', 10);
CREATE TABLE halves (label int, score numeric, weight real);
INSERT INTO halves VALUES (1, 7, 2), (0, 7, 2), (1, 3, 1), (0, 3, 3), (1, NULL, 5), (NULL, 3, 5), (1, 2, NULL), (1, 9, 0);
SELECT bin, n, min_prediction, mean_prediction, response_rate, round(lift::numeric, 6) AS lift, round(cumulative_lift::numeric, 6) AS cumulative_lift, round(cumulative_gain::numeric, 6) AS cumulative_gain
FROM pm_lift('halves', 'label', 'score', 2, '{"weight_col": "weight"}');
SELECT bin, n, lift, cumulative_lift, cumulative_gain FROM pm_lift('zeros', 'y', 'p', 1);

-- calibration: the mean of p, the rate, and Wilson's interval: 2 of 10 is 0.0567 to 0.5098 (Newcombe 1998's formula), 0 of 5 0 to 0.4345
CREATE VIEW tens AS SELECT i <= 2 AS y, 0.25 AS p FROM generate_series(1, 10) AS i UNION ALL SELECT false, 0.75 FROM generate_series(1, 5);
SELECT bin, n, mean_prediction, base_rate, round(lower::numeric, 4) AS lower, round(upper::numeric, 4) AS upper FROM pm_calibration('tens', 'y', 'p', 4, '{"strategy": "uniform"}');
-- scikit-learn's calibration_curve(n_bins=5) finds (0.10243902 0.17073171), (0.305 0.25), (0.5025641 0.33333333), (0.705 0.5), (0.905 0.775);
-- it has the upper bound of a bin in it, so here p is a little lower
CREATE VIEW lower AS SELECT y, greatest(p - 1e-9, 0) AS p FROM scored;
SELECT bin, n, round(mean_prediction::numeric, 8) AS mean_prediction, round(base_rate::numeric, 8) AS base_rate FROM pm_calibration('lower', 'y', 'p', 5, '{"strategy": "uniform"}');
-- quantiles are the bins of lift from the other end; the expected calibration error of 10 uniform bins is their sum
SELECT bool_and(c.n = l.n AND close(c.mean_prediction, l.mean_prediction) AND close(c.base_rate, l.response_rate) AND c.lower < c.base_rate AND c.base_rate < c.upper) AS same, count(*)
FROM pm_calibration('scored', 'y', 'p') AS c JOIN pm_lift('scored', 'y', 'p') AS l ON l.bin = 11 - c.bin;
SELECT close(sum(n * abs(mean_prediction - base_rate)) / 200, (SELECT (pm_binary_metrics_agg(y, p)).ece FROM scored)) AS ece FROM pm_calibration('scored', 'y', 'p', options => '{"strategy": "uniform"}');
-- weights that are all the same say no more than the rows: the interval is that of the rows
CREATE VIEW heavy AS SELECT y, p, 7 AS w FROM tens;
SELECT bool_and(close(a.lower, b.lower) AND close(a.upper, b.upper)) AS same FROM pm_calibration('heavy', 'y', 'p', 4, '{"weight_col": "w"}') AS a JOIN pm_calibration('tens', 'y', 'p', 4) AS b USING (bin);

-- leakage: planted leaks of every kind are found; honest columns, among them an id of its own for every row, are not
CREATE TABLE visits AS
SELECT i AS id, md5(i::text) AS token, y, 18 + i * 31 % 60 AS age, (ARRAY['web', 'app', 'shop'])[1 + i * 17 % 3] AS channel, i * 7919 % 1000 / 100.0 + CASE WHEN y THEN 2 ELSE 0 END AS interest,
    CASE WHEN y THEN 20 + i % 50 ELSE i % 20 END AS revenue,
    CASE WHEN y THEN md5('order' || i) END AS order_no,
    CASE WHEN y THEN 'won' WHEN i % 2 = 0 THEN 'open' ELSE 'lost' END AS status,
    CASE WHEN y THEN 2 WHEN i % 2 = 0 THEN 1 ELSE 3 END AS status_code,
    CASE WHEN y THEN timestamp '2024-06-01' + i * interval '1 hour' ELSE timestamp '2024-01-01' + i * interval '1 minute' END AS updated,
    CASE WHEN y THEN ARRAY['buyer', 'u' || i % 7] ELSE ARRAY['u' || i % 7, 'v' || i % 5] END AS tags,
    ARRAY['u' || i % 7, 'v' || i % 5] AS interests,
    ARRAY[i % 11, CASE WHEN y THEN 1 ELSE -1 END, i % 13]::float8[] AS embedding,
    NULL::int AS nothing, 1 AS constant, CASE WHEN i % 4 > 0 THEN i % 9 END AS sparse
FROM (SELECT i, i * 104729 % 1009 < 250 AS y FROM generate_series(1, 1000) AS i) AS s;
SELECT feature, kind, round(auc::numeric, 2) AS auc, coverage, suspicious, reason FROM pm_leakage_check('visits', 'y');
-- a number by itself is AUC, or 1 - AUC; being NULL is that of an indicator
SELECT close(l.auc, pm_auc_agg(y, interest)) AS same FROM visits, pm_leakage_check('visits', 'y', '{interest}') AS l GROUP BY l.auc;
SELECT feature, auc, coverage, reason FROM pm_leakage_check('visits', 'y', '{order_no}', '{"threshold": 1}');
-- the threshold; few rows of a class prove nothing; weights
SELECT feature, suspicious, reason FROM pm_leakage_check('visits', 'y', '{interest,age}', '{"threshold": 0.6}');
CREATE VIEW few AS SELECT y, revenue FROM visits WHERE id <= 12;
SELECT auc, suspicious FROM pm_leakage_check('few', 'y');
SELECT auc, suspicious, reason FROM pm_leakage_check('few', 'y', options => '{"min_rows": 2}');
CREATE VIEW odd AS SELECT y, revenue, id % 2 AS w FROM visits UNION ALL SELECT NOT y, revenue, 0 FROM visits;
SELECT auc, suspicious FROM pm_leakage_check('odd', 'y', options => '{"weight_col": "w"}');
CREATE VIEW one_class AS SELECT true AS y, age, channel FROM visits;
SELECT * FROM pm_leakage_check('one_class', 'y');

-- errors of the aggregates
SELECT failure($$SELECT pm_auc_agg(true, 'NaN')$$);
SELECT failure($$SELECT pm_auc_agg(true, 'Infinity')$$);
SELECT failure($$SELECT pm_log_loss_agg(true, 1.5)$$);
SELECT failure($$SELECT pm_log_loss_agg(true, 'NaN')$$);
SELECT failure($$SELECT pm_binary_metrics_agg(true, -0.1)$$);
SELECT failure($$SELECT pm_binary_metrics_agg(true, 0.1, 1.1)$$);
SELECT failure($$SELECT pm_binary_metrics_agg(true, 0.1, NULL)$$);
SELECT failure($$SELECT pm_binary_metrics_agg(y, p, p) FROM scored$$) LIKE '22023: threshold is both % / It must be the same in every row%' AS refused;
SELECT failure($$SELECT pm_auc_agg(true, 0.1, -1)$$);
SELECT failure($$SELECT pm_log_loss_agg(true, 0.1, 'NaN')$$);
SELECT failure($$SELECT pm_binary_metrics_agg(true, 0.1, 0.5, 'Infinity')$$);
SET precmkt.max_memory = '1MB';
SELECT failure($$SELECT pm_auc_agg(i % 2 = 0, i) FROM generate_series(1, 200000) AS i$$);
SELECT failure($$SELECT pm_auc_agg(i % 2 = 0, i) FROM generate_series(1, 100000) AS i$$);
RESET precmkt.max_memory;
-- of the tables
SELECT failure($$SELECT pm_roc('scored', 'y', 'p', '{"point": 5}')$$);
SELECT failure($$SELECT pm_pr_curve('scored', 'y', 'p', '{"points": 1}')$$);
SELECT failure($$SELECT pm_lift('scored', 'y', 'p', 10, '{"points": 5}')$$);
SELECT failure($$SELECT pm_lift('scored', 'y', 'p', 0)$$);
SELECT failure($$SELECT pm_lift('scored', 'y', 'p', NULL)$$);
SELECT failure($$SELECT pm_calibration('scored', 'y', 'p', options => '{"strategy": "even"}')$$);
SELECT failure($$SELECT pm_calibration('scored', 'y', 'id')$$);
SELECT failure($$SELECT pm_roc('scored', 'p', 'p')$$);
SELECT failure($$SELECT pm_roc('scored', 'y', 'q')$$);
SELECT failure($$SELECT pm_roc('visits', 'y', 'token')$$);
SELECT failure($$SELECT pm_roc('visits', 'token', 'age')$$);
SELECT failure($$SELECT pm_roc('visits', 'y', 'y')$$);
SELECT failure($$SELECT pm_roc(NULL, 'y', 'p')$$);
SELECT failure($$SELECT pm_lift('scored', 'y', NULL)$$);
CREATE TABLE broken AS SELECT y, CASE WHEN id = 3 THEN 'NaN'::float8 ELSE p END AS p, id - 2 AS w FROM scored;
SELECT failure($$SELECT pm_roc('broken', 'y', 'p')$$);
SELECT failure($$SELECT pm_calibration('broken', 'y', 'p')$$);
SELECT failure($$SELECT pm_roc('broken', 'y', 'w', '{"weight_col": "w"}')$$);
SELECT failure($$SELECT pm_roc('scored', 'y', 'p', '{"weight_col": "none"}')$$);
SELECT failure($$SELECT pm_leakage_check('visits', 'y', '{age,y}')$$);
SELECT failure($$SELECT pm_leakage_check('visits', 'age')$$);
SELECT failure($$SELECT pm_leakage_check('visits', 'y', '{agee}')$$) LIKE '42703: %' AS refused;
SELECT failure($$SELECT pm_leakage_check('visits', 'y', options => '{"treshold": 0.9}')$$);
SELECT failure($$SELECT pm_leakage_check('visits', 'y', options => '{"threshold": 0.2}')$$);
SELECT failure($$SELECT pm_leakage_check('none', 'y')$$);
SELECT failure($$SELECT pm_leakage_check(NULL, 'y')$$);
CREATE TABLE documents (y boolean, body jsonb);
SELECT failure($$SELECT pm_leakage_check('documents', 'y')$$);

-- privileges are the caller's
SET client_min_messages = warning;
DROP ROLE IF EXISTS metrics_reader;
CREATE ROLE metrics_reader;
GRANT USAGE ON SCHEMA metrics_test TO metrics_reader;
GRANT SELECT (y, p) ON scored TO metrics_reader;
SET ROLE metrics_reader;
SELECT count(*) > 10 AS allowed FROM pm_roc('scored', 'y', 'p');
SELECT failure($$SELECT pm_roc('scored', 'y', 'p', '{"weight_col": "w"}')$$);
SELECT failure($$SELECT pm_leakage_check('visits', 'y')$$);
RESET ROLE;
DROP SCHEMA metrics_test CASCADE;
DROP ROLE metrics_reader;
