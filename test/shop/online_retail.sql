-- The real shop: UCI Online Retail (D. Chen, CC BY 4.0) in the shape of pm_demo_shop().
--
-- Run by load_online_retail.sh, which feeds the CSV to psql's standard input:
--
--     xz -dc online_retail.csv.xz | psql -X -1 -v ON_ERROR_STOP=1 -f online_retail.sql
--
-- What becomes of the data's peculiarities:
--
--   stock codes   Upper case first: 85123a and 85123A are one article.  A product
--                 is a code that starts with five digits, or with DCGS (the
--                 shop's own articles).  The others are left out of every table:
--                 POST, DOT, C2 (postage, carriage), M (manual), D (discount),
--                 S (samples), B (bad debt), BANK CHARGES, AMAZONFEE, CRUK
--                 (commission), PADS, gift_0001_NN (vouchers).
--   prices <= 0   No sale: free goods and notes on the stock ('damages', 'found',
--                 'thrown away'), 2,517 lines; left out of every table.
--   cancellations InvoiceNo starts with C, quantity is negative.  In events they
--                 are returns; they are not taken off sales, which are demand:
--                 they come days later, and would make days with negative sales.
--   slips         A line cancelled by the same customer on the same day, same
--                 article, quantity and price, was a mistake: left out of sales,
--                 kept in events as what it is, a purchase and a return.  894
--                 lines; among them the order of 80,995 paper birdies (2011-12-09)
--                 and that of 74,215 jars (2011-01-18).
--   no customer   135,080 lines count into sales, not into events.
--   never sold    16 cancellations of articles that have no sale in the data are
--                 left out: they have no product.
--   closed days   Saturdays and holidays have no rows in sales: no row means
--                 nothing sold.
--   times         The shop's clock: Europe/London.
--
-- There are no views, carts, impressions or experiments in the data, and no
-- categories, brands, ages or promotions: those tables and columns are absent.
-- product_id is text here, the stock code; in the generated shop it is bigint.

\set QUIET on
SET client_min_messages = warning;

CREATE TEMP TABLE online_retail (
    invoice text, code text, description text, quantity int, at timestamp, price numeric, user_id bigint, country text
) ON COMMIT DROP;
\copy online_retail FROM pstdin WITH (FORMAT csv, HEADER, NULL 'NA')

CREATE TEMP TABLE lines ON COMMIT DROP AS
    SELECT row_number() OVER () AS line_no,             -- the file is in the order of invoices
        invoice, upper(code) AS product_id, description, quantity, at, price, user_id, country
    FROM online_retail
    WHERE price > 0 AND upper(code) ~ '^([0-9]{5}|DCGS)' AND invoice ~ '^C?[0-9]+$';
ANALYZE lines;

CREATE SCHEMA shop;

CREATE TABLE shop.products (product_id text PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL, created date NOT NULL);
INSERT INTO shop.products
    SELECT l.product_id, d.title, l.price, l.created
    FROM (SELECT product_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY price) AS price, min(at)::date AS created
        FROM lines WHERE quantity > 0 GROUP BY product_id) AS l
    JOIN (SELECT DISTINCT ON (product_id) product_id, initcap(trim(description)) AS title
        FROM lines WHERE quantity > 0 AND description IS NOT NULL ORDER BY product_id, at DESC, line_no DESC) AS d USING (product_id)
    ORDER BY 1;

CREATE TABLE shop.customers (user_id bigint PRIMARY KEY, signup date NOT NULL, country text NOT NULL);
INSERT INTO shop.customers
    SELECT DISTINCT ON (user_id) user_id, min(at) OVER (PARTITION BY user_id)::date, country
    FROM lines WHERE user_id IS NOT NULL
    ORDER BY user_id, at DESC, line_no DESC;

CREATE TABLE shop.events (event_id bigint PRIMARY KEY, user_id bigint NOT NULL, product_id text NOT NULL,
    event text NOT NULL CHECK (event IN ('view', 'cart', 'purchase', 'return')),
    quantity int NOT NULL, amount numeric(12,2) NOT NULL, ts timestamptz NOT NULL, order_id bigint);
INSERT INTO shop.events
    SELECT row_number() OVER (ORDER BY at, line_no), user_id, product_id,
        CASE WHEN quantity > 0 THEN 'purchase' ELSE 'return' END, quantity, quantity * price,
        at AT TIME ZONE 'Europe/London', ltrim(invoice, 'C')::bigint
    FROM lines WHERE user_id IS NOT NULL AND product_id IN (SELECT product_id FROM shop.products)
    ORDER BY 1;
CREATE INDEX events_user_id_ts ON shop.events (user_id, ts);
CREATE INDEX events_product_id ON shop.events (product_id);

CREATE TABLE shop.sales (product_id text, day date, quantity int NOT NULL, price numeric(10,2) NOT NULL, PRIMARY KEY (product_id, day));
INSERT INTO shop.sales
    SELECT l.product_id, l.at::date, sum(l.quantity), round(sum(l.quantity * l.price) / sum(l.quantity), 2)
    FROM lines l
    WHERE l.quantity > 0 AND NOT EXISTS (SELECT FROM lines c
        WHERE c.quantity = -l.quantity AND c.product_id = l.product_id AND c.user_id = l.user_id AND c.price = l.price
            AND c.at::date = l.at::date)
    GROUP BY 1, 2
    ORDER BY 1, 2;

COMMENT ON TABLE shop.products IS 'UCI Online Retail: stock codes with their latest description and median price';
COMMENT ON TABLE shop.customers IS 'UCI Online Retail: customers with the day of their first line and their latest country';
COMMENT ON TABLE shop.events IS 'UCI Online Retail: lines with a customer; cancellations are returns, with negative quantity and amount';
COMMENT ON TABLE shop.sales IS 'UCI Online Retail: pieces sold a product and day, with their mean price; no row = nothing sold';

ANALYZE shop.products;
ANALYZE shop.customers;
ANALYZE shop.events;
ANALYZE shop.sales;
