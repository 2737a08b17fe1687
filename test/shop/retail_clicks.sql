-- The real shop's purchases as clicks: shop.retail_clicks.
--
-- Run after online_retail.sql, in one transaction:
--
--     psql -X -1 -v ON_ERROR_STOP=1 [-v one_in=8] -f retail_clicks.sql
--
--   clicked       Each (customer, product, month) that was bought is one row, however
--                 often it was bought in that month.
--   not clicked   Two more rows for it, with products that the customer did not buy in
--                 that month.  They are drawn in proportion to the number of customers who
--                 bought them in the same month: products that sell well are "not clicked"
--                 as often as "clicked", so that popularity tells nothing, price and month
--                 neither, and what is left to learn is who likes what.
--   draws         By hashint8extended of the row and the number of the draw: the same
--                 rows every time.  The first two of eight draws that the customer did not
--                 buy count; who bought a large part of the shop has fewer (0.1 %).
--   part          'test' is 2011-11, the last whole month; December's nine days are left
--                 out.  The test part's month is thus never seen in training: it is there
--                 to be handled as a category without a place.
--   one_in        Only one in so many customers (by hash; default 1: all of them).
--
-- All features are text: customers and products are categories.

\set QUIET on
\if :{?one_in}
\else
    \set one_in 1
\endif
SET client_min_messages = warning;

-- what was bought, and each row's place among those of its month
CREATE TEMP TABLE bought ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY month, user_id, product_id) AS row_no,
        row_number() OVER (PARTITION BY month ORDER BY user_id, product_id) - 1 AS place,
        count(*) OVER (PARTITION BY month) AS places,
        month, user_id, product_id
    FROM (SELECT DISTINCT to_char(ts AT TIME ZONE 'Europe/London', 'YYYY-MM') AS month, user_id, product_id
        FROM shop.events
        WHERE event = 'purchase' AND ts < '2011-12-01 00:00 Europe/London'
            AND (hashint8extended(user_id, 1) & 9223372036854775807) % :one_in = 0) AS e;

CREATE TEMP TABLE drawn ON COMMIT DROP AS
    SELECT row_no, draw, user_id, month, (hashint8extended(row_no, draw) & 9223372036854775807) % places AS place
    FROM bought, generate_series(1, 8) AS draw;
ANALYZE bought;
ANALYZE drawn;

CREATE TEMP TABLE not_bought ON COMMIT DROP AS
    SELECT row_no, d.user_id, d.month, product_id, row_number() OVER (PARTITION BY row_no ORDER BY min(draw)) AS no
    FROM drawn AS d JOIN (SELECT month, place, product_id FROM bought) AS p USING (month, place)
    WHERE NOT EXISTS (SELECT FROM bought AS b
        WHERE b.user_id = d.user_id AND b.month = d.month AND b.product_id = p.product_id)
    GROUP BY row_no, d.user_id, d.month, product_id;

CREATE TABLE shop.retail_clicks (click_id bigint PRIMARY KEY, clicked boolean NOT NULL, customer text NOT NULL,
    product text NOT NULL, month text NOT NULL, country text NOT NULL, price_band text NOT NULL, part text NOT NULL);
INSERT INTO shop.retail_clicks
    SELECT 3 * row_no + no, no = 0, user_id, product_id, month, country,
        width_bucket(price, '{0.5,1,2,3,5,8,12}'), CASE month WHEN '2011-11' THEN 'test' ELSE 'train' END
    FROM (SELECT row_no, user_id, month, product_id, 0 AS no FROM bought
        UNION ALL SELECT row_no, user_id, month, product_id, no FROM not_bought WHERE no <= 2) AS r
    JOIN shop.products USING (product_id) JOIN shop.customers USING (user_id)
    ORDER BY 1;
ANALYZE shop.retail_clicks;

COMMENT ON TABLE shop.retail_clicks IS 'UCI Online Retail: products bought in a month, and two each that the same customer did not buy';
