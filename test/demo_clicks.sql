--
-- demo_clicks.sql
--	The demo's second part: who clicks?  Runs after demo.sql in a database
--	whose schema :shop (default shop) was made by pm_demo_shop().
--
--	psql [-v shop=name] -f test/demo_clicks.sql
--
\set ON_ERROR_STOP on
\set QUIET on
\if :{?shop}
\else
    \set shop shop
\endif
\set before :shop .ads_before
\set last_week :shop .ads_last_week
\set scored :shop .click_probability
\pset footer off
SET client_min_messages = warning;
\timing on

\echo
\echo 'Which impressions will be clicked?  Learn from a year but its last week.'
\echo
\set ECHO queries
CREATE VIEW :shop.ads_before AS
SELECT device, daypart, position, price, taste, clicked
FROM :shop.impressions WHERE ts < '2024-12-24 00:00+00';

CREATE VIEW :shop.ads_last_week AS
SELECT impression_id, user_id, device, daypart, position, price, taste, clicked
FROM :shop.impressions WHERE ts >= '2024-12-24 00:00+00';

-- does a column know the answer?
SELECT feature, kind, round(auc::numeric, 3) AS auc, suspicious
FROM pm_leakage_check(:'before', 'clicked') ORDER BY auc DESC;

SELECT pm_model_save('clicks', pm_train_ctr(:'before', 'clicked', options => '{"l2": 0}'));
\set ECHO none

\echo
\echo 'What makes people click?'
\echo
\set ECHO queries
SELECT feature, category, round(coefficient::numeric, 3) AS coefficient,
       round(std_err::numeric, 3) AS std_err, round(odds_ratio::numeric, 2) AS odds_ratio, round(p_value::numeric, 4) AS p_value
FROM pm_model_weights('clicks');
\set ECHO none

\echo
\echo 'How good is the model on the last week, which it has not seen?'
\echo
\set ECHO queries
SELECT metric, round(value::numeric, 4) AS value
FROM pm_evaluate_ctr('clicks', :'last_week', 'clicked', '{"group_col": "device"}')
WHERE metric IN ('n', 'base_rate', 'mean_prediction', 'auc', 'gauc', 'log_loss', 'normalized_entropy', 'ece');

CREATE TABLE :shop.click_probability AS
SELECT p.*, a.clicked
FROM pm_predict_ctr_rows('clicks', :'last_week', 'impression_id', NULL::bigint) AS p
JOIN :shop.ads_last_week AS a ON a.impression_id = p.id;

-- the best fifth of the impressions has how many times the clicks?
SELECT bin, n, round(mean_prediction::numeric, 3) AS mean_prediction, round(response_rate::numeric, 3) AS click_rate, round(lift::numeric, 2) AS lift
FROM pm_lift(:'scored', 'clicked', 'probability', bins => 5);
\set ECHO none

\echo
\echo 'Why has the likeliest of them its probability?'
\echo
\set ECHO queries
SELECT id, round(probability::numeric, 3) AS probability, feature, value, round(contribution::numeric, 2) AS contribution
FROM (SELECT * FROM :shop.click_probability ORDER BY probability DESC, id LIMIT 1) AS best
JOIN :shop.ads_last_week AS a ON a.impression_id = best.id, pm_explain_ctr('clicks', a);
\set ECHO none
