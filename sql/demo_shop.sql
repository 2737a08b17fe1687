-- pm_demo_shop: the shop's shape, its determinism, and that the truth planted in it can be found again
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS precmkt;
SET TimeZone = 'America/New_York';
SET DateStyle = 'German, DMY';
SET extra_float_digits = 0;

-- one number for everything in a schema; rows in the order of their first column
CREATE FUNCTION public.demo_shop_digest(schema name) RETURNS TABLE (table_name name, digest text)
LANGUAGE plpgsql SET TimeZone = 'UTC' SET DateStyle = 'ISO' SET extra_float_digits = 1 AS $$
BEGIN
    FOR table_name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = schema::regnamespace AND c.relkind = 'r' ORDER BY 1 LOOP
        EXECUTE format('SELECT md5(string_agg(md5(t::text), '''' ORDER BY t::text COLLATE "C")) FROM %I.%I t', schema, table_name) INTO digest;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION public.demo_shop_failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
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

-- ----------------------------------------------------------------------
-- Deterministic: the same digests on every machine and version
-- ----------------------------------------------------------------------
SELECT * FROM pm_demo_shop('demo_shop_a', users => 150, products => 60, days => 100, seed => 7);
SELECT * FROM public.demo_shop_digest('demo_shop_a');
-- whatever the settings and the plans
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'ISO, MDY';
RESET extra_float_digits;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET work_mem = '64kB';
SELECT setseed(0.5);
SELECT count(*) FROM pm_demo_shop('demo_shop_b', users => 150, products => 60, days => 100, seed => 7);
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET work_mem;
SELECT table_name, a.digest = b.digest AS same
FROM public.demo_shop_digest('demo_shop_a') AS a FULL JOIN public.demo_shop_digest('demo_shop_b') AS b USING (table_name) ORDER BY 1;
-- another seed, another shop with the same truth (and the same holidays)
SELECT count(*) FROM pm_demo_shop('demo_shop_c', users => 150, products => 60, days => 100, seed => -8);
SELECT table_name, a.digest = b.digest AS same
FROM public.demo_shop_digest('demo_shop_a') AS a FULL JOIN public.demo_shop_digest('demo_shop_c') AS b USING (table_name) ORDER BY 1;
DROP SCHEMA demo_shop_a CASCADE;
DROP SCHEMA demo_shop_b CASCADE;
DROP SCHEMA demo_shop_c CASCADE;

-- ----------------------------------------------------------------------
-- Shape
-- ----------------------------------------------------------------------
SELECT * FROM pm_demo_shop('Demo "Shop"', users => 2000, products => 270, days => 400);
SET search_path = "Demo ""Shop""", public;
SET TimeZone = 'UTC';
SELECT relkind, count(*) FROM pg_class WHERE relnamespace = '"Demo ""Shop"""'::regnamespace GROUP BY 1 ORDER BY 1;
SELECT count(*) AS helpers_left FROM pg_proc WHERE pronamespace = '"Demo ""Shop"""'::regnamespace;
SELECT relname, obj_description(oid) IS NOT NULL AS described FROM pg_class
WHERE relnamespace = '"Demo ""Shop"""'::regnamespace AND relkind = 'r' AND obj_description(oid) IS NULL;

-- every reference leads somewhere
SELECT count(*) FILTER (WHERE c.user_id IS NULL) AS no_customer, count(*) FILTER (WHERE p.product_id IS NULL) AS no_product,
    count(*) FILTER (WHERE e.ts < '2024-01-01' OR e.ts >= timestamptz '2024-01-01' + interval '400 days') AS out_of_time,
    count(*) FILTER (WHERE e.ts < p.created) AS before_listing, count(*) FILTER (WHERE e.ts::date < c.signup - 1) AS before_signup
FROM events e LEFT JOIN customers c USING (user_id) LEFT JOIN products p USING (product_id);
SELECT count(*) FILTER (WHERE c.user_id IS NULL) AS no_customer, count(*) FILTER (WHERE p.product_id IS NULL) AS no_product,
    count(*) FILTER (WHERE i.ts < '2024-01-01' OR i.ts >= timestamptz '2024-01-01' + interval '400 days') AS out_of_time,
    count(*) FILTER (WHERE i.price <> p.price) AS other_price,
    count(*) FILTER (WHERE i.daypart <> (ARRAY['night', 'morning', 'afternoon', 'evening'])[1 + extract(hour FROM i.ts)::int / 6]) AS wrong_daypart
FROM impressions i LEFT JOIN customers c USING (user_id) LEFT JOIN products p USING (product_id);
SELECT (SELECT count(*) FROM customers JOIN truth_customers USING (user_id) JOIN experiment USING (user_id)) AS customers,
    (SELECT count(*) FROM products JOIN truth_products USING (product_id)) AS products,
    (SELECT count(*) FROM products WHERE created >= '2024-01-01') AS new_products,
    (SELECT count(*) FROM products JOIN events USING (product_id) WHERE created >= '2024-01-01') AS events_of_new,
    (SELECT count(*) FROM (SELECT product_id FROM products JOIN sales USING (product_id)
        GROUP BY product_id, created HAVING count(*) <> date '2025-02-03' - greatest(created, '2024-01-01') + 1) AS x) AS sales_with_gaps,
    (SELECT min(price) > 0 AND bool_and(cost < price) FROM products) AS prices;
-- each kind of event has its sign; a purchase was viewed and put into the cart just before; a return returns a purchase
SELECT event, count(*), min(quantity) < 0 AS negative, max(quantity) > 0 AS positive,
    count(*) FILTER (WHERE amount <> CASE WHEN event IN ('purchase', 'return') THEN quantity * price ELSE 0 END) AS wrong_amount,
    count(order_id) AS in_orders
FROM events JOIN products USING (product_id) GROUP BY event ORDER BY event;
SELECT count(*) FILTER (WHERE NOT EXISTS (SELECT FROM events v WHERE (v.user_id, v.product_id, v.event) = (e.user_id, e.product_id, 'view')
        AND v.ts <= e.ts AND v.ts > e.ts - interval '22 minutes')) AS not_viewed,
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM events v WHERE (v.user_id, v.product_id, v.event) = (e.user_id, e.product_id, 'cart')
        AND v.ts <= e.ts AND v.ts >= e.ts - interval '1 minute')) AS not_in_cart
FROM events e WHERE event = 'purchase' AND order_id % 10 = 0;
SELECT count(*) AS returned_nothing FROM events r WHERE event = 'return' AND NOT EXISTS (SELECT FROM events e
    WHERE (e.user_id, e.product_id, e.event, e.quantity, e.order_id) = (r.user_id, r.product_id, 'purchase', -r.quantity, r.order_id)
        AND e.ts < r.ts);
SELECT count(*) AS clicks_without_view FROM impressions i WHERE clicked
    AND NOT EXISTS (SELECT FROM events e WHERE (e.user_id, e.product_id, e.ts, e.event) = (i.user_id, i.product_id, i.ts, 'view'));

-- ----------------------------------------------------------------------
-- The planted truth, found again.  z = (seen - planted) / standard error.
-- ----------------------------------------------------------------------
CREATE FUNCTION planted(what text, which text) RETURNS float8 LANGUAGE sql STABLE AS
    'SELECT value FROM truth WHERE name = what AND key = which';

-- customer groups: sizes, numbers of orders (Poisson given the customer's mean), age
SELECT group_name, abs(n - 2000 * s) / sqrt(2000 * s * (1 - s)) < 4 AS size,
    abs(orders - expected) / sqrt(expected) < 4 AS orders, abs(mean_age - planted('group', group_name || '/age')) < 1.5 AS age
FROM (SELECT t.group_name, planted('group', t.group_name || '/share') AS s, count(*) AS n, sum(coalesce(o.orders, 0)) AS orders,
        sum(t.expected_orders) AS expected, avg(c.age) AS mean_age
    FROM truth_customers t JOIN customers c USING (user_id)
    LEFT JOIN (SELECT user_id, count(DISTINCT order_id) AS orders FROM events WHERE event = 'purchase' GROUP BY 1) AS o USING (user_id)
    GROUP BY 1) AS g ORDER BY 1;
-- what a customer's expected orders come from: the group's pace, spread with mean 1, over the time present
SELECT group_name, round((avg(expected_orders / (planted('group', group_name || '/orders_per_year') * 400 / 365
        * (planted('group', group_name || '/active_until') - greatest(0, signup - date '2024-01-01') / 400.0))))::numeric, 1) AS pace
FROM truth_customers JOIN customers USING (user_id) GROUP BY 1 ORDER BY 1;
-- lines of an order, pieces of a line (geometric, with the planted means)
SELECT group_name, round((lines / planted('group', group_name || '/lines'))::numeric, 1) AS lines,
    round((pieces / planted('group', group_name || '/pieces'))::numeric, 1) AS pieces
FROM (SELECT t.group_name, count(*)::float8 / count(DISTINCT order_id) AS lines, avg(quantity)::float8 AS pieces
    FROM events JOIN truth_customers t USING (user_id) WHERE event = 'purchase' GROUP BY 1) AS g ORDER BY 1;
SELECT max(ts) < timestamptz '2024-01-01' + interval '180 days' AS the_lapsed_left
FROM events JOIN truth_customers USING (user_id) WHERE group_name = 'lapsed' AND event = 'purchase';

-- tastes: favourites are drawn by the group's affinities; of the picks, planted shares go to the favourites
SELECT max(abs(n - total * a) / sqrt(total * a * (1 - a))) < 4 AS favourites
FROM (SELECT group_name, category, count(t.user_id) AS n, sum(count(t.user_id)) OVER (PARTITION BY group_name)::float8 AS total,
        planted('affinity', group_name || '/' || category) AS a
    FROM (SELECT DISTINCT t.group_name, p.category FROM truth_customers t, products p) AS c
    LEFT JOIN truth_customers t USING (group_name) WHERE t.favourite_category = category OR t.user_id IS NULL
    GROUP BY 1, 2) AS x;
SELECT abs(sum((category = favourite_category)::int - pc)) / sqrt(sum(pc * (1 - pc))) < 4 AS category,
    abs(sum((style = favourite_style)::int - ps)) / sqrt(sum(ps * (1 - ps))) < 4 AS style
FROM (SELECT p.category, t.favourite_category, s.style, t.favourite_style,
        k.category + (1 - k.category) * a.value AS pc, k.style + (1 - k.style) / 4 AS ps
    FROM (SELECT planted('taste', 'own_category') AS category, planted('taste', 'own_style') AS style OFFSET 0) AS k,
        events e JOIN truth_customers t USING (user_id) JOIN products p USING (product_id) JOIN truth_products s USING (product_id)
    JOIN truth a ON a.name = 'affinity' AND a.key = t.group_name || '/' || t.favourite_category
    WHERE e.event = 'purchase') AS x;
-- popularity within a cell: chi-squared over its degrees of freedom
SELECT sum((n - expected) ^ 2 / expected) / (count(*) - count(DISTINCT (category, style))) BETWEEN 0.7 AND 1.4 AS popularity,
    max(abs(1 - cell)) < 1e-4 AS adds_up
FROM (SELECT category, style, popularity, coalesce(n, 0) AS n, sum(coalesce(n, 0)) OVER w * popularity AS expected, sum(popularity) OVER w AS cell
    FROM products JOIN truth_products USING (product_id)
    LEFT JOIN (SELECT product_id, count(*) AS n FROM events WHERE event = 'purchase' GROUP BY 1) AS e USING (product_id)
    WHERE popularity > 0 WINDOW w AS (PARTITION BY category, style)) AS x;

-- who clicks: the probability from the columns of impressions and the planted coefficients
CREATE TEMP TABLE clicks AS
SELECT i.*, 1 / (1 + exp(-(k.intercept + d.value + t.value + k."position" * i."position"
    + k.price * i.price::float8 + k.taste * i.taste))) AS p
FROM (SELECT planted('click', 'intercept') AS intercept, planted('click', 'position') AS "position",
        planted('click', 'price') AS price, planted('click', 'taste') AS taste OFFSET 0) AS k,
    impressions i JOIN truth d ON d.name = 'click' AND d.key = 'device=' || i.device
JOIN truth t ON t.name = 'click' AND t.key = 'daypart=' || i.daypart;
SELECT count(*), max(abs(z)) < 4 AS calibrated
FROM (SELECT sum(clicked::int - p) / sqrt(sum(p * (1 - p))) AS z FROM clicks
    GROUP BY GROUPING SETS ((), (device), (daypart), ("position"), (width_bucket(price, 0, 100, 5)), (width_bucket(taste, 0, 0.8, 6)))) AS x;
-- each effect has its sign, the others being averaged over
SELECT regr_slope(clicked::int, "position") < 0 AS "position", regr_slope(clicked::int, price) < 0 AS price,
    regr_slope(clicked::int, taste) > 0 AS taste,
    avg(clicked::int) FILTER (WHERE device = 'app') > avg(clicked::int) FILTER (WHERE device = 'mobile') AS device,
    avg(clicked::int) FILTER (WHERE daypart = 'evening') > avg(clicked::int) FILTER (WHERE daypart = 'night') AS daypart FROM clicks;
SELECT round((sum(r) FILTER (WHERE clicked) - n1 * (n1 + 1) / 2) / (n1 * n0), 2) AS best_possible_auc
FROM (SELECT clicked, (rank() OVER (ORDER BY p) + (count(*) OVER (PARTITION BY p) - 1) / 2.0)::numeric AS r FROM clicks) AS x,
    (SELECT count(*) FILTER (WHERE clicked)::numeric AS n1, count(*) FILTER (WHERE NOT clicked)::numeric AS n0 FROM clicks) AS n
GROUP BY n1, n0;
-- taste as documented
SELECT max(abs(i.taste - (CASE WHEN p.category = t.favourite_category THEN k.category ELSE 0 END + (1 - k.category) * a.value
    + CASE WHEN s.style = t.favourite_style THEN k.style ELSE 0 END + (1 - k.style) / 4) / 2)) < 1e-4 AS taste
FROM (SELECT planted('taste', 'own_category') AS category, planted('taste', 'own_style') AS style OFFSET 0) AS k,
    impressions i JOIN truth_customers t USING (user_id) JOIN products p USING (product_id) JOIN truth_products s USING (product_id)
JOIN truth a ON a.name = 'affinity' AND a.key = t.group_name || '/' || p.category;

-- sales: Poisson around daily demand x weekday x season x holiday x trend x promotion
CREATE TEMP TABLE demand AS
SELECT s.*, p.category, p.price AS list_price, h.name AS holiday,
    t.daily_demand * w.value * coalesce(f.value, 1)
        * (1 + k.amplitude * cos(2 * pi() * (extract(doy FROM s.day)::int - y.value) / 365.25))
        * (1 + k.trend * (s.day - date '2024-01-01') / 365)
        * CASE WHEN s.promotion THEN k.lift * (s.price / p.price)::float8 ^ k.elasticity ELSE 1 END AS mean
FROM (SELECT planted('sales', 'year_amplitude') AS amplitude, planted('sales', 'trend_per_year') AS trend,
        planted('sales', 'promotion_lift') AS lift, planted('sales', 'price_elasticity') AS elasticity OFFSET 0) AS k,
    sales s JOIN products p USING (product_id) JOIN truth_products t USING (product_id)
    JOIN truth w ON w.name = 'weekday' AND w.key = extract(isodow FROM s.day)::text
    JOIN truth y ON y.name = 'year_peak_day' AND y.key = p.category
    LEFT JOIN holidays h USING (day) LEFT JOIN truth f ON f.name = 'holiday' AND f.key = h.name;
SELECT count(*), max(abs(z)) < 4 AS as_planted
FROM (SELECT sum(quantity - mean) / sqrt(sum(mean)) AS z FROM demand
    GROUP BY GROUPING SETS ((), (category), (extract(isodow FROM day)), (extract(month FROM day)), (promotion), (holiday),
        (round(price / list_price, 1)), (category, extract(quarter FROM day)), (width_bucket(mean, 0, 30, 6)))) AS x;
SELECT round((sum((quantity - mean) ^ 2 / mean) / count(*))::numeric, 1) AS dispersion FROM demand;
-- the indices as an analyst sees them, without the truth: the weekday's mean over the mean of the weeks
SELECT isodow, round(avg(quantity) / sum(avg(quantity)) OVER () * 7 - planted('weekday', isodow::text)::numeric, 1) AS off
FROM (SELECT extract(isodow FROM day)::int AS isodow, quantity FROM sales WHERE day NOT IN (SELECT day FROM holidays)) AS s GROUP BY 1 ORDER BY 1;
SELECT round(share_on, 2) AS promoted, min_off, max_off FROM (
    SELECT avg(promotion::int) AS share_on, round(min(1 - price / list_price) FILTER (WHERE promotion), 1) AS min_off,
        round(max(1 - price / list_price) FILTER (WHERE promotion), 1) AS max_off FROM demand) AS x;

-- the experiment: difference in means within its interval of the planted effect; nothing before it; halves
WITH a AS (SELECT variant, count(*)::float8 AS n, avg(revenue)::float8 AS m, var_samp(revenue)::float8 AS v, avg(pre_revenue)::float8 AS pm,
        var_samp(pre_revenue)::float8 AS pv, avg(converted::int)::float8 AS c, corr(pre_revenue, revenue) AS r
    FROM experiment GROUP BY variant)
SELECT abs(t.m - c.m - planted('effect', 'revenue')) / sqrt(t.v / t.n + c.v / c.n) < 3 AS revenue,
    abs(t.c - c.c - planted('effect', 'conversion')) / sqrt(t.c * (1 - t.c) / t.n + c.c * (1 - c.c) / c.n) < 3 AS conversion,
    (t.c - c.c) / sqrt(t.c * (1 - t.c) / t.n + c.c * (1 - c.c) / c.n) > 2 AS to_be_seen,
    abs(t.pm - c.pm) / sqrt(t.pv / t.n + c.pv / c.n) < 3 AS nothing_before,
    abs(t.n - c.n) / sqrt(t.n + c.n) < 3 AS halves, least(t.r, c.r) > 0.25 AS worth_a_covariate
FROM a t, a c WHERE t.variant = 'treatment' AND c.variant = 'control';
SELECT device, abs(t.c - c.c - planted('effect', 'conversion/' || device)) / sqrt(t.c * (1 - t.c) / t.n + c.c * (1 - c.c) / c.n) < 3 AS conversion
FROM (SELECT device, count(*)::float8 AS n, avg(converted::int)::float8 AS c FROM experiment WHERE variant = 'treatment' GROUP BY 1) AS t
JOIN (SELECT device, count(*)::float8 AS n, avg(converted::int)::float8 AS c FROM experiment WHERE variant = 'control' GROUP BY 1) AS c USING (device)
ORDER BY 1;
-- the control group's conversion and order value, by customer group
SELECT group_name, abs(c - p) / sqrt(p * (1 - p) / n) < 4 AS conversion, abs(v / planted('group', group_name || '/order_value') - 1) < 0.25 AS order_value
FROM (SELECT group_name, planted('group', group_name || '/conversion') AS p, count(*) AS n, avg(converted::int)::float8 AS c,
        (avg(revenue) FILTER (WHERE converted))::float8 AS v
    FROM experiment JOIN truth_customers USING (user_id) WHERE variant = 'control' GROUP BY 1) AS x ORDER BY 1;
-- the planted averages follow from the planted parts
SELECT abs(planted('effect', 'conversion') - sum(s.value * e.value)) < 1e-6 AS conversion,
    abs(planted('effect', 'revenue') - sum(s.value * e.value) * (SELECT sum(g.value * v.value) FROM truth g
        JOIN truth v ON v.name = 'group' AND v.key = replace(g.key, '/share', '/order_value') WHERE g.name = 'group' AND g.key LIKE '%/share')) < 1e-6 AS revenue
FROM truth s JOIN truth e ON e.name = 'effect' AND e.key = 'conversion/' || s.key WHERE s.name = 'device_share';

-- the shop's groups can be told apart by recency, frequency and money
SELECT group_name, round(avg(frequency)) AS frequency, round(avg(monetary), -2) AS monetary, avg(recency_days) > 180 AS long_gone
FROM truth_customers JOIN pm_rfm('events', 'user_id', 'ts', 'amount', id_type => NULL::bigint) USING (user_id) GROUP BY 1 ORDER BY 1;

-- ----------------------------------------------------------------------
-- Arguments
-- ----------------------------------------------------------------------
SET search_path = public;
DROP SCHEMA "Demo ""Shop""" CASCADE;
SELECT demo_shop_failure(c) FROM (VALUES
    (1, $$SELECT * FROM pm_demo_shop('public')$$),
    (2, $$SELECT * FROM pm_demo_shop(NULL)$$),
    (3, $$SELECT * FROM pm_demo_shop('')$$),
    (4, $$SELECT * FROM pm_demo_shop('pg_shop')$$),
    (5, $$SELECT * FROM pm_demo_shop('demo_shop_a', users => 0)$$),
    (6, $$SELECT * FROM pm_demo_shop('demo_shop_a', users => 10000001)$$),
    (7, $$SELECT * FROM pm_demo_shop('demo_shop_a', products => -1)$$),
    (8, $$SELECT * FROM pm_demo_shop('demo_shop_a', products => 100001)$$),
    (9, $$SELECT * FROM pm_demo_shop('demo_shop_a', days => 0)$$),
    (10, $$SELECT * FROM pm_demo_shop('demo_shop_a', days => 3651)$$),
    (11, $$SELECT * FROM pm_demo_shop('demo_shop_a', days => NULL)$$),
    (12, $$SELECT * FROM pm_demo_shop('demo_shop_a', seed => NULL)$$)) AS s(no, c) ORDER BY no;
-- the smallest shop, and others too small for every category and style
SELECT * FROM pm_demo_shop('demo_shop_a', 1, 1, 1, 0);
DROP SCHEMA demo_shop_a CASCADE;
DO $$
DECLARE
    n int;
    t record;
BEGIN
    FOREACH n IN ARRAY '{2,7,8,9,15,16,31,33}'::int[] LOOP
        SELECT max(s.rows) FILTER (WHERE s.table_name = 'sales') AS sales, max(s.rows) FILTER (WHERE s.table_name = 'events') > 0 AS events
        INTO t FROM pm_demo_shop('demo_shop_a', users => 50, products => n, days => 8) AS s;
        IF t.sales <> n * 8 OR NOT t.events THEN
            RAISE WARNING '% products: %', n, t;
        END IF;
        DROP SCHEMA demo_shop_a CASCADE;
    END LOOP;
END $$;
-- who may not create a schema cannot create a shop; who may, owns it
CREATE ROLE regress_shopkeeper;
SET ROLE regress_shopkeeper;
SELECT regexp_replace(demo_shop_failure($$SELECT * FROM pm_demo_shop('demo_shop_a', 1, 1, 1)$$), 'database .*', 'database ...');
RESET ROLE;
DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_shopkeeper', current_database()); END$$;
SET ROLE regress_shopkeeper;
SELECT count(*) FROM pm_demo_shop('demo_shop_a', 3, 3, 3);
SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'demo_shop_a'::regnamespace;
DROP SCHEMA demo_shop_a CASCADE;
RESET ROLE;
DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_shopkeeper', current_database()); END$$;
DROP ROLE regress_shopkeeper;
DROP FUNCTION demo_shop_digest(name), demo_shop_failure(text);
