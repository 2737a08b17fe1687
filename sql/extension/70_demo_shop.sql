-- A generated shop with planted truth: the demo runs on it, tests and benchmarks measure against it.
--
-- Every random number is a hash of (seed, what it is for, row keys), so a
-- shop depends on its arguments alone: not on random(), the order of rows,
-- the plan, the time zone or the machine.  hashint8extended() is what hash
-- partitioning places rows with; PostgreSQL cannot change it without breaking
-- every hash-partitioned table under pg_upgrade, and on integers it works in
-- registers, so that byte order does not matter.  exp() and ln() may differ
-- between C libraries in their last bit; what they make is rounded to cents or
-- compared with a uniform number of 52 bits, which hides that.
--
-- The function's own search_path is the new schema while it works: only the
-- caller can have put anything there.  Its helpers are created in that schema
-- and dropped before it returns.

CREATE FUNCTION pm_demo_shop(
    schema name = 'shop', users int = 5000, products int = 500, days int = 365, seed int = 1)
RETURNS TABLE (table_name text, rows bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 11
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
SET jit = off       -- a dozen large statements run once each: compiling them takes longer than it saves
AS $pm$
DECLARE
    day0 CONSTANT date := '2024-01-01';                 -- a Monday
    ts0 CONSTANT timestamptz := '2024-01-01 00:00:00+00';
    categories CONSTANT int := least(8, products);      -- a small shop has fewer kinds of things
    styles CONSTANT int := least(4, products / greatest(1, least(8, products)));
    -- the planted truth; what is a table of numbers stands in the w_ tables below
    own_category CONSTANT float8 := 0.6;        -- share of a customer's choices inside the favourite category
    own_style CONSTANT float8 := 0.7;
    zipf CONSTANT float8 := 0.7;                -- popularity of the n-th product of a category and style ~ n^-zipf
    click_intercept CONSTANT float8 := -2.8;
    click_position CONSTANT float8 := -0.15;    -- for each place further down
    click_price CONSTANT float8 := -0.008;      -- for each unit of money
    click_taste CONSTANT float8 := 3.0;
    trend CONSTANT float8 := 0.12;              -- a year, linear
    year_amplitude CONSTANT float8 := 0.3;
    promotion_lift CONSTANT float8 := 1.3;      -- on top of what the lower price does
    elasticity CONSTANT float8 := -1.5;
    hours CONSTANT float8[] := ARRAY[           -- shares of the day's visits that come before each hour's end
        .012, .018, .022, .025, .030, .040, .060, .090, .130, .180, .235, .290,
        .350, .410, .465, .520, .575, .635, .705, .785, .865, .930, .975];
    param record;
BEGIN
    IF schema IS NULL OR schema = '' THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'argument "schema" must name a schema';
    END IF;
    FOR param IN
        SELECT * FROM (VALUES ('users', users, 10000000), ('products', products, 100000), ('days', days, 3650))
            AS p(name, value, top)
    LOOP
        IF param.value IS NULL OR param.value NOT BETWEEN 1 AND param.top THEN
            RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('argument "%s" is %s, must be between 1 and %s',
                param.name, coalesce(param.value::text, 'NULL'), param.top);
        END IF;
    END LOOP;
    IF seed IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'argument "seed" must not be NULL';
    END IF;
    IF EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = schema) THEN
        RAISE EXCEPTION USING ERRCODE = '42P06', MESSAGE = format('schema "%s" already exists', schema),
            HINT = format('Name a schema that does not exist yet, as in pm_demo_shop(schema => %L).', left(schema, 62) || '2');
    END IF;

    EXECUTE format('CREATE SCHEMA %I', schema);
    PERFORM set_config('search_path', format('%I, pg_temp', schema), true);

    -- ------------------------------------------------------------------
    -- Random numbers: what = which draw this is, (a, b) = for which row
    -- ------------------------------------------------------------------
    EXECUTE format($f$
        CREATE FUNCTION w_uniform(what bigint, a bigint, b bigint) RETURNS float8
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
        'SELECT ((hashint8extended(b, hashint8extended(a, hashint8extended(what, %s))) & 4503599627370495)::float8 + 0.5)
            / 4503599627370496'
        $f$, seed::bigint);
    CREATE FUNCTION w_normal(what bigint, a bigint, b bigint) RETURNS float8
        LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
        'SELECT sqrt(-2 * ln(w_uniform(what, a, b))) * cos(2 * pi() * w_uniform(what + 1000, a, b))';

    -- Cumulative Poisson distributions of means 0, 0.05, ... 20.  A mean is
    -- rounded at random to one of them, which keeps it on average, and
    -- width_bucket(u, cdf) is the draw.  Larger means take the normal.
    CREATE TABLE w_poisson AS
        SELECT step, CASE step WHEN 0 THEN ARRAY[1.0::float8] ELSE array_agg(cdf ORDER BY k) END AS cdf
        FROM (SELECT s.step, f.k,
                sum(exp(f.k * ln(greatest(s.step, 1) / 20.0::float8) - greatest(s.step, 1) / 20.0::float8 - f.ln_factorial))
                    OVER (PARTITION BY s.step ORDER BY f.k) AS cdf
            FROM generate_series(0, 400) AS s(step),
                (SELECT k, sum(ln(greatest(k, 1)::float8)) OVER (ORDER BY k) AS ln_factorial
                FROM generate_series(0, 80) AS k) AS f) AS c
        GROUP BY step;
    ALTER TABLE w_poisson ADD PRIMARY KEY (step);
    ANALYZE w_poisson;

    -- ------------------------------------------------------------------
    -- What is planted
    -- ------------------------------------------------------------------
    CREATE TABLE w_category (category_no int, category text, base_price float8, peak_day int, nouns text[]);
    INSERT INTO w_category VALUES
        (0, 'kitchen', 18, 340, '{Bread Board,Mixing Bowl,Teapot,Coffee Mug,Cake Tin,Pepper Mill,Storage Jar,Serving Tray,Frying Pan,Egg Cup}'),
        (1, 'garden', 25, 160, '{Watering Can,Bird House,Plant Pot,Lantern,Wind Chime,Trowel,Bench Cushion,Hanging Basket,Seed Box,Deck Chair}'),
        (2, 'toys', 16, 345, '{Puzzle,Building Blocks,Spinning Top,Doll House,Train Set,Board Game,Kite,Rocking Horse,Finger Puppets,Marble Run}'),
        (3, 'books', 12, 330, '{Cookbook,Travel Diary,Picture Book,Notebook,Field Guide,Story Collection,Sketch Book,Atlas,Calendar,Poetry Album}'),
        (4, 'beauty', 14, 130, '{Hand Cream,Soap Bar,Bath Salts,Face Brush,Perfume Bottle,Mirror,Lip Balm,Candle,Shower Set,Massage Oil}'),
        (5, 'fashion', 35, 290, '{Scarf,Tote Bag,Umbrella,Wool Hat,Belt,Brooch,Rain Coat,Slippers,Gloves,Sun Hat}'),
        (6, 'electronics', 80, 335, '{Desk Lamp,Radio,Alarm Clock,Headphones,Speaker,Charger,Weather Station,Camera,Keyboard,Thermometer}'),
        (7, 'sports', 40, 150, '{Yoga Mat,Jump Rope,Water Bottle,Tennis Racket,Camping Stool,Running Belt,Swim Goggles,Bicycle Bell,Dumbbell,Picnic Rug}');
    DELETE FROM w_category WHERE category_no >= categories;

    CREATE TABLE w_style (style_no int, style text, adjectives text[]);
    INSERT INTO w_style VALUES
        (0, 'classic', '{Classic,Heritage,Elegant,Timeless,Victorian,Regency}'),
        (1, 'modern', '{Modern,Minimal,Nordic,Sleek,Urban,Geometric}'),
        (2, 'rustic', '{Rustic,Country,Farmhouse,Vintage,Weathered,Handmade}'),
        (3, 'playful', '{Playful,Rainbow,Polka Dot,Retro,Happy,Funky}');
    DELETE FROM w_style WHERE style_no >= styles;

    -- order_shape bends the times of a customer's orders towards the end (> 1)
    CREATE TABLE w_group (group_no int, group_name text, share float8, orders_per_year float8, lines float8,
        pieces float8, active_until float8, order_shape float8, age float8, order_value float8, conversion float8,
        tastes float8[]);
    INSERT INTO w_group VALUES
        (0, 'collectors',      .08, 26, 2.2, 2.0, 1.00, 1, 47, 90, .55, '{.10,.04,.04,.22,.04,.08,.42,.06}'),
        (1, 'families',        .25, 14, 2.0, 2.5, 1.00, 1, 38, 60, .50, '{.20,.12,.38,.10,.06,.06,.03,.05}'),
        (2, 'bargain hunters', .27,  8, 1.3, 1.2, 1.00, 1, 29, 25, .45, '{.06,.04,.05,.05,.28,.36,.08,.08}'),
        (3, 'gift givers',     .22,  3, 1.6, 1.2, 1.00, 4, 52, 45, .35, '{.22,.06,.14,.16,.22,.12,.04,.04}'),
        (4, 'lapsed',          .18,  9, 1.4, 1.5, 0.45, 1, 41, 40, .25, '{.12,.26,.04,.06,.06,.08,.12,.26}');

    -- a shop with fewer categories shares the tastes out among those it has
    CREATE TABLE w_affinity AS
        SELECT g.group_no, c.category_no,
            g.tastes[c.category_no + 1] / sum(g.tastes[c.category_no + 1]) OVER (PARTITION BY g.group_no) AS share
        FROM w_group g, w_category c;
    ALTER TABLE w_group ADD COLUMN cdf float8[];
    UPDATE w_group g SET cdf = (
        SELECT array_agg(a.upto ORDER BY a.category_no)
        FROM (SELECT category_no, sum(share) OVER (ORDER BY category_no) AS upto
            FROM w_affinity WHERE group_no = g.group_no) AS a);

    CREATE TABLE w_device (device_no int, device text, share float8, click float8, lift float8);
    INSERT INTO w_device VALUES
        (0, 'mobile', .45, 0, .08), (1, 'desktop', .30, .25, .03), (2, 'app', .18, .40, .12), (3, 'tablet', .07, -.10, .00);

    CREATE TABLE w_daypart (daypart_no int, daypart text, click float8);
    INSERT INTO w_daypart VALUES (0, 'night', -.20), (1, 'morning', 0), (2, 'afternoon', .10), (3, 'evening', .30);

    CREATE TABLE holidays (day date, name text NOT NULL, PRIMARY KEY (day));
    CREATE TABLE w_holiday (name text, factor float8);
    INSERT INTO w_holiday VALUES ('New Year''s Day', .4), ('Singles'' Day', 2.5), ('Black Friday', 2.0), ('Christmas Day', .3);
    INSERT INTO holidays
        SELECT d.day::date, h.name
        FROM generate_series(day0::timestamp, day0::timestamp + (days - 1) * interval '1 day', interval '1 day') AS d(day)
        JOIN w_holiday h ON h.name = CASE
            WHEN to_char(d.day, 'MMDD') = '0101' THEN 'New Year''s Day'
            WHEN to_char(d.day, 'MMDD') = '1111' THEN 'Singles'' Day'
            WHEN to_char(d.day, 'MMDD') = '1225' THEN 'Christmas Day'
            WHEN to_char(d.day, 'MMDD') BETWEEN '1123' AND '1129' AND extract(isodow FROM d.day) = 5 THEN 'Black Friday' END;

    CREATE TABLE w_weekday (isodow int, factor float8);
    INSERT INTO w_weekday VALUES (1, .92), (2, .90), (3, .93), (4, .98), (5, 1.12), (6, 1.20), (7, .95);

    ANALYZE w_category;
    ANALYZE w_style;
    ANALYZE w_group;
    ANALYZE w_affinity;
    ANALYZE w_device;
    ANALYZE w_daypart;
    ANALYZE w_weekday;
    ANALYZE w_holiday;
    ANALYZE holidays;

    CREATE TABLE truth (name text, key text, value float8 NOT NULL, PRIMARY KEY (name, key));
    INSERT INTO truth
        SELECT 'group', g.group_name || '/' || p.key, p.value
        FROM w_group g, LATERAL (VALUES ('share', g.share), ('orders_per_year', g.orders_per_year), ('lines', g.lines),
            ('pieces', g.pieces), ('active_until', g.active_until), ('order_shape', g.order_shape), ('age', g.age),
            ('order_value', g.order_value), ('conversion', g.conversion)) AS p(key, value)
        UNION ALL
        SELECT 'affinity', g.group_name || '/' || c.category, round(a.share::numeric, 6)
        FROM w_affinity a JOIN w_group g USING (group_no) JOIN w_category c USING (category_no)
        UNION ALL
        VALUES ('taste', 'own_category', own_category), ('taste', 'own_style', own_style), ('taste', 'zipf', zipf),
            ('click', 'intercept', click_intercept), ('click', 'position', click_position), ('click', 'price', click_price),
            ('click', 'taste', click_taste),
            ('sales', 'trend_per_year', trend), ('sales', 'year_amplitude', year_amplitude),
            ('sales', 'promotion_lift', promotion_lift), ('sales', 'price_elasticity', elasticity)
        UNION ALL
        SELECT 'click', 'device=' || device, click FROM w_device
        UNION ALL
        SELECT 'click', 'daypart=' || daypart, click FROM w_daypart
        UNION ALL
        SELECT 'weekday', isodow::text, factor FROM w_weekday
        UNION ALL
        SELECT 'year_peak_day', category, peak_day FROM w_category
        UNION ALL
        SELECT 'holiday', name, factor FROM w_holiday
        UNION ALL
        SELECT 'device_share', device, share FROM w_device
        UNION ALL
        SELECT 'effect', 'conversion/' || device, lift FROM w_device
        UNION ALL
        SELECT 'effect', 'conversion', round(sum(share * lift)::numeric, 6) FROM w_device
        UNION ALL
        SELECT 'effect', 'revenue', round(((SELECT sum(share * lift) FROM w_device)
            * (SELECT sum(share * order_value) FROM w_group))::numeric, 6);

    -- ------------------------------------------------------------------
    -- Products
    -- ------------------------------------------------------------------
    CREATE TABLE w_product AS
        SELECT i AS product_id, (i - 1) % categories AS category_no, (i - 1) / categories % styles AS style_no,
            row_number() OVER cell AS place, count(*) OVER (PARTITION BY (i - 1) % categories, (i - 1) / categories % styles) AS cell_size,
            exp(0.4 + 1.1 * w_normal(101, i, 0)) AS demand
        FROM generate_series(1, products::bigint) AS i
        WINDOW cell AS (PARTITION BY (i - 1) % categories, (i - 1) / categories % styles ORDER BY w_uniform(100, i, 0), i);

    CREATE TABLE products (product_id bigint, title text NOT NULL, category text NOT NULL, brand text NOT NULL,
        price numeric(10,2) NOT NULL, cost numeric(10,2) NOT NULL, created date NOT NULL,
        stock int NOT NULL, lead_time_days int NOT NULL);
    CREATE TABLE truth_products (product_id bigint, style text NOT NULL, popularity float8 NOT NULL, daily_demand float8 NOT NULL);

    INSERT INTO products
        SELECT p.product_id,
            s.adjectives[1 + floor(6 * w_uniform(102, p.product_id, 0))::int] || ' '
                || (ARRAY['Blue', 'Ivory', 'Red', 'Sage', 'Charcoal', 'Rose', 'Mustard', 'Teal', 'White', 'Plum', 'Copper', 'Sand'])
                    [1 + floor(12 * w_uniform(103, p.product_id, 0))::int] || ' '
                || c.nouns[1 + floor(10 * w_uniform(104, p.product_id, 0))::int]
                || (ARRAY['', '', '', ', Small', ', Large', ', Set of 2', ', Set of 4', ', Gift Box'])
                    [1 + floor(8 * w_uniform(105, p.product_id, 0))::int],
            c.category,
            (ARRAY['Alder & Finch', 'Brightwell', 'Castor', 'Dovetail', 'Elmhurst', 'Fjordby', 'Gable', 'Harbour Lane',
                'Isla', 'Juniper', 'Kestrel', 'Lark Hill', 'Mossley', 'Northway', 'Oakridge', 'Pemberton'])
                [1 + floor(16 * w_uniform(106, p.product_id, 0))::int],
            f.price, round(f.price * (0.45 + 0.25 * w_uniform(108, p.product_id, 0))::numeric, 2),
            -- the least popular product of a large enough cell is new: listed in the last week, on no page yet
            CASE WHEN p.place = p.cell_size AND p.cell_size >= 8
                THEN day0 + greatest(0, days - 1 - floor(7 * w_uniform(109, p.product_id, 0))::int)
                ELSE day0 - 1 - floor(1000 * w_uniform(109, p.product_id, 0))::int END,
            ceil(p.demand * f.lead_time * (0.3 + 1.7 * w_uniform(110, p.product_id, 0)))::int, f.lead_time
        FROM w_product p JOIN w_category c USING (category_no) JOIN w_style s USING (style_no),
            LATERAL (SELECT round(c.base_price::numeric * exp(0.5 * w_normal(107, p.product_id, 0))::numeric) + 0.99 AS price,
                3 + floor(18 * w_uniform(111, p.product_id, 0))::int AS lead_time) AS f
        ORDER BY p.product_id;
    ALTER TABLE products ADD PRIMARY KEY (product_id);
    ANALYZE products;

    -- a cell = the products of one category and style, with the cumulative popularity to draw from
    CREATE TABLE w_cell AS
        SELECT category_no, style_no, array_agg(product_id ORDER BY place) AS ids, array_agg(upto ORDER BY place) AS cdf
        FROM (SELECT w.category_no, w.style_no, w.product_id, w.place,
                sum(w.place ^ -zipf) OVER up / sum(w.place ^ -zipf) OVER (PARTITION BY w.category_no, w.style_no) AS upto
            FROM (SELECT w.category_no, w.style_no, w.product_id, w.place::float8 AS place
                FROM w_product w JOIN products p USING (product_id) WHERE p.created < day0) AS w
            WINDOW up AS (PARTITION BY w.category_no, w.style_no ORDER BY w.place)) AS c
        GROUP BY category_no, style_no;

    INSERT INTO truth_products
        SELECT w.product_id, s.style,
            CASE WHEN p.created >= day0 THEN 0 ELSE round((w.place::float8 ^ -zipf
                / sum(w.place::float8 ^ -zipf) FILTER (WHERE p.created < day0) OVER (PARTITION BY w.category_no, w.style_no))::numeric, 6) END,
            round(w.demand::numeric, 4)
        FROM w_product w JOIN products p USING (product_id) JOIN w_style s USING (style_no)
        ORDER BY w.product_id;
    ALTER TABLE truth_products ADD PRIMARY KEY (product_id);

    -- ------------------------------------------------------------------
    -- Customers
    -- ------------------------------------------------------------------
    -- joined: when in the period a customer comes, as a share of it; 0 = was there before
    CREATE TABLE w_customer AS
        SELECT i AS user_id, g.*,
            CASE WHEN g.active_until = 1 AND w_uniform(201, i, 0) < 0.3 THEN 0.6 * w_uniform(202, i, 0) ELSE 0 END AS joined,
            least(categories - 1, width_bucket(w_uniform(203, i, 0), g.cdf)) AS category_no,
            floor(styles * w_uniform(204, i, 0))::int AS style_no,
            width_bucket(w_uniform(205, i, 0), '{.45,.75,.93}'::float8[]) AS device_no,
            exp(0.3 * w_normal(206, i, 0) - 0.045) AS pace
        FROM generate_series(1, users::bigint) AS i
        JOIN w_group g ON g.group_no = width_bucket(w_uniform(200, i, 0), '{.08,.33,.60,.82}'::float8[]);

    ALTER TABLE w_customer ADD COLUMN orders_mean float8, ADD COLUMN orders int;
    UPDATE w_customer SET orders_mean = pace * orders_per_year * days / 365 * (active_until - joined);
    UPDATE w_customer c SET orders = CASE WHEN c.orders_mean <= 20
            THEN (SELECT width_bucket(w_uniform(207, c.user_id, 0), p.cdf) FROM w_poisson p
                WHERE p.step = floor(20 * c.orders_mean + w_uniform(208, c.user_id, 0))::int)
            ELSE greatest(0, floor(c.orders_mean + sqrt(c.orders_mean) * w_normal(207, c.user_id, 0)
                + w_uniform(208, c.user_id, 0)))::int END;
    ANALYZE w_customer;

    CREATE TABLE customers (user_id bigint, signup date NOT NULL, country text NOT NULL, age int,
        device text NOT NULL, newsletter boolean NOT NULL);
    INSERT INTO customers
        SELECT c.user_id,
            CASE WHEN c.joined > 0 THEN day0 + floor(days * c.joined)::int
                ELSE day0 - 1 - floor(1000 * w_uniform(209, c.user_id, 0))::int END,
            (ARRAY['United Kingdom', 'Germany', 'France', 'Netherlands', 'Spain', 'Ireland', 'Sweden', 'Poland'])
                [1 + width_bucket(w_uniform(210, c.user_id, 0), '{.40,.58,.72,.80,.87,.93,.97}'::float8[])],
            CASE WHEN w_uniform(211, c.user_id, 0) < 0.95     -- the others did not say
                THEN least(90, greatest(18, round(c.age + 9 * w_normal(212, c.user_id, 0))))::int END,
            d.device, w_uniform(213, c.user_id, 0) < 0.4
        FROM w_customer c JOIN w_device d USING (device_no)
        ORDER BY c.user_id;
    ALTER TABLE customers ADD PRIMARY KEY (user_id);

    CREATE TABLE truth_customers (user_id bigint, group_name text NOT NULL, favourite_category text NOT NULL,
        favourite_style text NOT NULL, expected_orders float8 NOT NULL);
    INSERT INTO truth_customers
        SELECT c.user_id, c.group_name, k.category, s.style, round(c.orders_mean::numeric, 4)
        FROM w_customer c JOIN w_category k USING (category_no) JOIN w_style s USING (style_no)
        ORDER BY c.user_id;
    ALTER TABLE truth_customers ADD PRIMARY KEY (user_id);

    -- ------------------------------------------------------------------
    -- Impressions: a product on a page, and whether it was clicked
    -- ------------------------------------------------------------------
    CREATE TABLE w_sold AS
        SELECT row_number() OVER (ORDER BY w.product_id) AS sold_no, w.product_id, w.category_no, w.style_no, p.price
        FROM w_product w JOIN products p USING (product_id) WHERE p.created < day0;
    ANALYZE w_sold;

    CREATE TABLE impressions (impression_id bigint, user_id bigint NOT NULL, product_id bigint NOT NULL, ts timestamptz NOT NULL,
        device text NOT NULL, daypart text NOT NULL, "position" int NOT NULL, price numeric(10,2) NOT NULL,
        taste float8 NOT NULL, clicked boolean NOT NULL);
    INSERT INTO impressions
        SELECT row_number() OVER (ORDER BY x.ts, x.i), x.user_id, x.product_id, x.ts, d.device, t.daypart, x."position",
            x.price, x.taste,
            w_uniform(308, x.i, 0) < 1 / (1 + exp(-(click_intercept + d.click + t.click + click_position * x."position"
                + click_price * x.price::float8 + click_taste * x.taste)))
        FROM (SELECT i, c.user_id, s.product_id, s.price,
                1 + floor(10 * w_uniform(303, i, 0))::int AS "position",
                -- most visits are on the customer's own device
                CASE WHEN w_uniform(304, i, 0) < 0.85 THEN c.device_no
                    ELSE width_bucket(w_uniform(305, i, 0), '{.45,.75,.93}'::float8[]) END AS device_no,
                h.hour / 6 AS daypart_no,
                ts0 + ((least(days - 1, floor(days * (c.joined + (1 - c.joined) * w_uniform(306, i, 0)))) * 24 + h.hour) * 3600
                    + floor(3600 * w_uniform(307, i, 0))) * interval '1 second' AS ts,
                -- the shop's guess of how well product and customer fit: the mean of the chances
                -- that this customer picks this category, and this style
                round(((CASE WHEN s.category_no = c.category_no THEN own_category ELSE 0 END + (1 - own_category) * a.share
                    + CASE WHEN s.style_no = c.style_no THEN own_style ELSE 0 END + (1 - own_style) / styles) / 2)::numeric, 4)::float8 AS taste
            FROM generate_series(1, greatest(1, users::bigint * days * 30 / 365)) AS i
            JOIN w_customer c ON c.user_id = 1 + floor(users * w_uniform(300, i, 0))::bigint
            JOIN w_sold s ON s.sold_no = 1 + floor((SELECT count(*) FROM w_sold) * w_uniform(301, i, 0))::bigint
            JOIN w_affinity a ON a.group_no = c.group_no AND a.category_no = s.category_no,
            LATERAL (SELECT width_bucket(w_uniform(302, i, 0), hours) AS hour) AS h) AS x
        JOIN w_device d USING (device_no) JOIN w_daypart t USING (daypart_no)
        ORDER BY 1;
    ALTER TABLE impressions ADD PRIMARY KEY (impression_id);

    -- ------------------------------------------------------------------
    -- Events: orders, what led to them, what was only looked at, what came back
    -- ------------------------------------------------------------------
    CREATE TABLE w_order AS
        SELECT row_number() OVER (ORDER BY o.ts, o.user_id, o.order_no) AS order_id, o.*
        FROM (SELECT c.user_id, c.category_no, c.style_no, c.pieces, c.cdf, n AS order_no,
                -- numbers of lines are geometric: exact mean, one logarithm
                least(20, 1 + CASE WHEN c.lines > 1
                    THEN floor(ln(w_uniform(400, c.user_id, n)) / ln(1 - 1 / c.lines)) ELSE 0 END)::int AS lines,
                ts0 + ((least(days - 1, floor(days * (c.joined + (c.active_until - c.joined)
                            * w_uniform(401, c.user_id, n) ^ (1 / c.order_shape)))) * 24
                        + width_bucket(w_uniform(402, c.user_id, n), hours)) * 3600
                    + floor(3600 * w_uniform(403, c.user_id, n))) * interval '1 second' AS ts
            FROM w_customer c, generate_series(1, c.orders) AS n) AS o;
    ANALYZE w_order;

    -- a pick = a product that a customer looked at: each line of an order, and as many without one
    CREATE TABLE w_pick AS
        SELECT x.order_id, x.n, x.user_id, x.ts, p.product_id, p.price, x.pieces
        FROM (SELECT o.order_id, n, o.user_id, o.ts,
                least(24, 1 + CASE WHEN o.pieces > 1
                    THEN floor(ln(w_uniform(500, o.order_id, n)) / ln(1 - 1 / o.pieces)) ELSE 0 END)::int AS pieces,
                CASE WHEN w_uniform(501, o.order_id, n) < own_category THEN o.category_no
                    ELSE least(categories - 1, width_bucket(w_uniform(502, o.order_id, n), o.cdf)) END AS category_no,
                CASE WHEN w_uniform(503, o.order_id, n) < own_style THEN o.style_no
                    ELSE floor(styles * w_uniform(504, o.order_id, n))::int END AS style_no
            FROM w_order o, generate_series(1, 2 * o.lines) AS n) AS x
        JOIN w_cell c USING (category_no, style_no)
        JOIN products p ON p.product_id
            = c.ids[1 + least(array_length(c.ids, 1) - 1, width_bucket(w_uniform(505, x.order_id, x.n), c.cdf))];
    ANALYZE w_pick;

    CREATE TABLE events (event_id bigint, user_id bigint NOT NULL, product_id bigint NOT NULL,
        event text NOT NULL CHECK (event IN ('view', 'cart', 'purchase', 'return')),
        quantity int NOT NULL, amount numeric(12,2) NOT NULL, ts timestamptz NOT NULL, order_id bigint);
    INSERT INTO events
        SELECT row_number() OVER (ORDER BY e.ts, e.user_id, e.product_id, e.event, e.quantity), e.*
        FROM (
            -- odd picks are bought, even ones only looked at
            SELECT k.user_id, k.product_id, 'view' AS event, 0 AS quantity, 0::numeric AS amount,
                greatest(ts0, k.ts - (60 + floor(1200 * w_uniform(600, k.order_id, k.n))) * interval '1 second') AS ts,
                NULL::bigint AS order_id
            FROM w_pick k
            UNION ALL
            SELECT k.user_id, k.product_id, 'cart', k.pieces, 0,
                greatest(ts0, k.ts - (10 + floor(50 * w_uniform(601, k.order_id, k.n))) * interval '1 second'), NULL
            FROM w_pick k WHERE k.n % 2 = 1 OR w_uniform(602, k.order_id, k.n) < 0.25
            UNION ALL
            SELECT k.user_id, k.product_id, 'purchase', k.pieces, k.pieces * k.price, k.ts, k.order_id
            FROM w_pick k WHERE k.n % 2 = 1
            UNION ALL
            SELECT k.user_id, k.product_id, 'return', -k.pieces, -k.pieces * k.price, r.ts, k.order_id
            FROM w_pick k,
                LATERAL (SELECT k.ts + (3 + floor(18 * w_uniform(604, k.order_id, k.n))) * interval '86400 seconds' AS ts) AS r
            WHERE k.n % 2 = 1 AND w_uniform(603, k.order_id, k.n) < 0.05 AND r.ts < ts0 + days * interval '86400 seconds'
            UNION ALL
            SELECT i.user_id, i.product_id, 'view', 0, 0, i.ts, NULL
            FROM impressions i WHERE i.clicked) AS e
        ORDER BY 1;
    ALTER TABLE events ADD PRIMARY KEY (event_id);
    CREATE INDEX events_user_id_ts ON events (user_id, ts);
    CREATE INDEX events_product_id ON events (product_id);
    CREATE INDEX impressions_user_id ON impressions (user_id);

    -- ------------------------------------------------------------------
    -- Sales: every product and day since it was listed
    -- ------------------------------------------------------------------
    CREATE TABLE sales (product_id bigint, day date, quantity int NOT NULL, price numeric(10,2) NOT NULL, promotion boolean NOT NULL);
    INSERT INTO sales
        SELECT s.product_id, s.day, CASE WHEN s.mean <= 20 THEN width_bucket(w_uniform(703, s.product_id, s.d), p.cdf)
                ELSE greatest(0, floor(s.mean + sqrt(s.mean) * w_normal(703, s.product_id, s.d) + w_uniform(702, s.product_id, s.d))) END,
            s.price, s.promotion
        FROM (SELECT x.product_id, x.d, x.day, x.price, x.promotion,
                x.daily_demand * x.calendar
                    * (1 + year_amplitude * cos(2 * pi() * (x.year_day - x.peak_day) / 365.25))
                    * CASE WHEN x.promotion THEN promotion_lift * (x.price / x.list_price)::float8 ^ elasticity ELSE 1 END AS mean
            FROM (SELECT t.product_id, t.daily_demand, k.peak_day, d.*, p.price AS list_price, promo.promotion,
                    -- 10, 20 or 30 % off for a week
                    CASE WHEN promo.promotion
                        THEN round(p.price * (0.9 - 0.1 * floor(3 * w_uniform(701, p.product_id, d.d / 7))::numeric), 2)
                        ELSE p.price END AS price
                FROM products p JOIN truth_products t USING (product_id) JOIN w_category k USING (category)
                JOIN (SELECT i AS d, day0 + i AS day, extract(doy FROM day0 + i)::int AS year_day,
                        w.factor * coalesce(f.factor, 1) * (1 + trend * i / 365) AS calendar
                    FROM generate_series(0, days - 1) AS i
                    JOIN w_weekday w ON w.isodow = extract(isodow FROM day0 + i)
                    LEFT JOIN holidays h ON h.day = day0 + i
                    LEFT JOIN w_holiday f USING (name)) AS d ON d.day >= p.created,
                LATERAL (SELECT w_uniform(700, p.product_id, d.d / 7) < 0.08 AS promotion) AS promo) AS x) AS s
        LEFT JOIN w_poisson p ON s.mean <= 20 AND p.step = floor(20 * s.mean + w_uniform(702, s.product_id, s.d))::int
        ORDER BY s.product_id, s.day;
    ALTER TABLE sales ADD PRIMARY KEY (product_id, day);

    -- ------------------------------------------------------------------
    -- An experiment: an e-mail to half of the customers
    -- ------------------------------------------------------------------
    CREATE TABLE experiment (user_id bigint, variant text NOT NULL, device text NOT NULL, country text NOT NULL,
        sessions int NOT NULL, pre_revenue numeric(10,2) NOT NULL, revenue numeric(10,2) NOT NULL, converted boolean NOT NULL);
    INSERT INTO experiment
        SELECT x.user_id, x.variant, x.device, x.country, x.sessions, x.pre_revenue,
            -- the spread factors have mean 1
            CASE WHEN x.converted THEN round((x.value * exp(0.4 * w_normal(806, x.user_id, 0) - 0.08))::numeric, 2) ELSE 0 END,
            x.converted
        FROM (SELECT c.user_id, v.variant, d.device, k.country, m.value,
                1 + floor(5 * w_uniform(801, c.user_id, 0) ^ 2)::int AS sessions,
                CASE WHEN w_uniform(802, c.user_id, 0) < 0.95
                    THEN round((m.value * exp(0.4 * w_normal(803, c.user_id, 0) - 0.08))::numeric, 2) ELSE 0 END AS pre_revenue,
                w_uniform(804, c.user_id, 0) < c.conversion + CASE v.variant WHEN 'treatment' THEN d.lift ELSE 0 END AS converted
            FROM w_customer c JOIN w_device d USING (device_no) JOIN customers k USING (user_id),
                LATERAL (SELECT CASE WHEN w_uniform(800, c.user_id, 0) < 0.5 THEN 'control' ELSE 'treatment' END AS variant) AS v,
                LATERAL (SELECT c.order_value * exp(0.7 * w_normal(805, c.user_id, 0) - 0.245) AS value) AS m) AS x
        ORDER BY x.user_id;
    ALTER TABLE experiment ADD PRIMARY KEY (user_id);

    -- ------------------------------------------------------------------
    -- Tidy up
    -- ------------------------------------------------------------------
    DROP TABLE w_poisson, w_category, w_style, w_group, w_affinity, w_device, w_daypart, w_holiday, w_weekday,
        w_product, w_cell, w_customer, w_sold, w_order, w_pick;
    DROP FUNCTION w_normal(bigint, bigint, bigint);
    DROP FUNCTION w_uniform(bigint, bigint, bigint);

    COMMENT ON TABLE products IS 'what is sold; the newest were listed in the last week and have no events yet';
    COMMENT ON TABLE customers IS 'who buys; age is NULL where it was not given';
    COMMENT ON TABLE events IS 'views, carts, purchases and returns of known customers; amount is the money that changed hands: 0 for views and carts, negative for returns';
    COMMENT ON TABLE impressions IS 'products shown on a page, with the shop''s guess of the customer''s taste, and whether they were clicked';
    COMMENT ON TABLE sales IS 'pieces sold a product and day over all channels (drawn on their own: not the sum of events), with price and promotion';
    COMMENT ON TABLE holidays IS 'days with sales out of the ordinary';
    COMMENT ON TABLE experiment IS 'an e-mail to half of the customers: revenue and conversion in the weeks after it, revenue before it';
    COMMENT ON TABLE truth IS 'planted truth: the parameters that the shop was generated from (see doc/shop.md)';
    COMMENT ON TABLE truth_customers IS 'planted truth: the group and the favourites of each customer';
    COMMENT ON TABLE truth_products IS 'planted truth: style, popularity within category and style, and mean daily demand of each product';

    ANALYZE products;
    ANALYZE customers;
    ANALYZE events;
    ANALYZE impressions;
    ANALYZE sales;
    ANALYZE holidays;
    ANALYZE experiment;
    ANALYZE truth;
    ANALYZE truth_customers;
    ANALYZE truth_products;

    RETURN QUERY
        SELECT t.name, t.n FROM (
            SELECT 1, 'products', (SELECT count(*) FROM products)
            UNION ALL SELECT 2, 'customers', (SELECT count(*) FROM customers)
            UNION ALL SELECT 3, 'events', (SELECT count(*) FROM events)
            UNION ALL SELECT 4, 'impressions', (SELECT count(*) FROM impressions)
            UNION ALL SELECT 5, 'sales', (SELECT count(*) FROM sales)
            UNION ALL SELECT 6, 'holidays', (SELECT count(*) FROM holidays)
            UNION ALL SELECT 7, 'experiment', (SELECT count(*) FROM experiment)
            UNION ALL SELECT 8, 'truth', (SELECT count(*) FROM truth)
            UNION ALL SELECT 9, 'truth_customers', (SELECT count(*) FROM truth_customers)
            UNION ALL SELECT 10, 'truth_products', (SELECT count(*) FROM truth_products)
        ) AS t(no, name, n) ORDER BY t.no;
END
$pm$;

COMMENT ON FUNCTION pm_demo_shop(name, int, int, int, int) IS
'creates a schema with a generated shop (products, customers, events, impressions, sales, experiment) and the truth planted in it; the same arguments give the same rows';
