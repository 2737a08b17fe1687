--
-- demo.sql
--	The questions of demo.sh: who are this shop's customers?  Runs in any
--	database with precmkt and a table shop.events.
--
--	psql -f test/demo.sql
--
\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
SET client_min_messages = warning;
\timing on

\echo
\echo 'What has the shop sold, and when?'
\echo
\set ECHO queries
SELECT event, count(*) AS events, count(DISTINCT user_id) AS customers,
       count(DISTINCT product_id) AS products, round(sum(amount)::numeric) AS amount,
       min(ts)::date AS first, max(ts)::date AS last
FROM shop.events
GROUP BY event
ORDER BY events DESC;
\set ECHO none

\echo
\echo 'Who are the customers?  Recency, frequency and money, and the names they go by.'
\echo
\set ECHO queries
CREATE VIEW shop.purchases AS
SELECT user_id, ts, amount FROM shop.events WHERE event = 'purchase' AND amount > 0;

CREATE TABLE shop.rfm AS
SELECT * FROM pm_rfm('shop.purchases', 'user_id', 'ts', 'amount');

SELECT segment, count(*) AS customers, round(avg(recency_days)) AS days_since_last,
       round(avg(frequency), 1) AS orders, round(avg(monetary)) AS spent,
       round(100 * sum(monetary) / sum(sum(monetary)) OVER (), 1) AS percent_of_sales
FROM shop.rfm
GROUP BY segment
ORDER BY percent_of_sales DESC;
\set ECHO none

\echo
\echo 'How many groups are there?  (silhouette: higher is better, davies_bouldin: lower)'
\echo
\set ECHO queries
-- money and orders grow by factors, not by steps: compare their logarithms
CREATE VIEW shop.customer_features AS
SELECT user_id, recency_days, ln(frequency) AS log_orders,
       ln(monetary::float8) AS log_spent
FROM shop.rfm;

SELECT k, round(inertia::numeric) AS inertia, round(silhouette::numeric, 3) AS silhouette,
       round(davies_bouldin::numeric, 3) AS davies_bouldin,
       round(calinski_harabasz::numeric) AS calinski_harabasz
FROM pm_kmeans_sweep('shop.customer_features', '{recency_days, log_orders, log_spent}', 2, 8);
\set ECHO none

\echo
\echo 'Two is the clearest cut, four say more to a campaign.  Make four, and keep the model.'
\echo
\set ECHO queries
SELECT pm_model_save('customers',
       pm_kmeans('shop.customer_features', '{recency_days, log_orders, log_spent}', k => 4));
\set ECHO none

\echo
\echo 'What does each group look like?'
\echo
\set ECHO queries
SELECT cluster, max(size) AS customers,
       round(max(value) FILTER (WHERE feature = 'recency_days')) AS days_since_last,
       round(exp(max(value) FILTER (WHERE feature = 'log_orders'))::numeric, 1) AS orders,
       round(exp(max(value) FILTER (WHERE feature = 'log_spent'))) AS spent
FROM pm_kmeans_centroids('customers')
GROUP BY cluster
ORDER BY spent DESC;
\set ECHO none

\echo
\echo 'How good is it?'
\echo
\set ECHO queries
SELECT metric, round(value::numeric, 4) AS value
FROM pm_kmeans_evaluate('customers');
\set ECHO none

\echo
\echo 'Who is in which group?  Any row with those columns can be asked.'
\echo
\set ECHO queries
SELECT user_id, pm_kmeans_assign('customers', f) AS cluster,
       round(pm_kmeans_distance('customers', f)::numeric, 2) AS distance
FROM shop.customer_features AS f
ORDER BY user_id
LIMIT 5;
\set ECHO none

\echo
\echo 'And a customer who came three days ago for the second time and has spent 900?'
\echo
\set ECHO queries
SELECT pm_kmeans_assign('customers', new) AS cluster
FROM (SELECT 3 AS recency_days, ln(2) AS log_orders, ln(900) AS log_spent) AS new;
\set ECHO none

\echo
\echo 'All customers with their group, as a table for the campaign tool.'
\echo
\set ECHO queries
CREATE TABLE shop.segments AS
SELECT * FROM pm_segment('shop.customer_features', 'user_id',
                         '{recency_days, log_orders, log_spent}', 4);

SELECT cluster, count(*) AS customers, round(avg(distance)::numeric, 2) AS mean_distance
FROM shop.segments
GROUP BY cluster
ORDER BY cluster;
\set ECHO none
