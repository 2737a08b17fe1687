-- The made-up shop's impressions beside the model that made them: planted_clicks.
--
-- Run in a database with pm_demo_shop() in schema :shop (default shop):
--
--     psql -X -v ON_ERROR_STOP=1 [-v shop=name] -f planted_clicks.sql
--
--   planted     The probability of a click as planted (table truth, name 'click'; doc/shop.md).
--   part        'test' is a fifth of the impressions, by a hash of their ids.

\set QUIET on
\if :{?shop}
\else
    \set shop shop
\endif

CREATE TABLE :shop.planted_clicks AS
    WITH k AS (SELECT split_part(key, '=', 1) AS term, split_part(key, '=', 2) AS category, value FROM :shop.truth WHERE name = 'click')
    SELECT i.impression_id, i.device, i.daypart, i.position, i.price, i.taste, i.clicked,
        1 / (1 + exp(-(one.intercept + one.position * i.position + one.price * i.price::float8 + one.taste * i.taste + d.value + p.value))) AS planted,
        CASE (hashint8extended(i.impression_id, 1) & 9223372036854775807) % 5 WHEN 0 THEN 'test' ELSE 'train' END AS part
    FROM :shop.impressions AS i
    JOIN k AS d ON d.term = 'device' AND d.category = i.device
    JOIN k AS p ON p.term = 'daypart' AND p.category = i.daypart,
        (SELECT sum(value) FILTER (WHERE term = 'intercept') AS intercept, sum(value) FILTER (WHERE term = 'position') AS position,
            sum(value) FILTER (WHERE term = 'price') AS price, sum(value) FILTER (WHERE term = 'taste') AS taste FROM k) AS one;
CREATE VIEW :shop.planted_train AS
    SELECT device, daypart, position, price, taste, clicked FROM :shop.planted_clicks WHERE part = 'train';
CREATE VIEW :shop.planted_test AS
    SELECT device, daypart, position, price, taste, clicked FROM :shop.planted_clicks WHERE part = 'test';
ANALYZE :shop.planted_clicks;
