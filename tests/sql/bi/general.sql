-- Statements as many tools write them. Read by the test of routing: `-- source:` is what answers the next statement,
-- for readers of some sites, by the declarations of the rollups alone.

-- source: countries_daily
SELECT x, y, a FROM (SELECT x, y, count(*) a, count(country) b FROM (SELECT length(country) x, length(country) y, country FROM events) GROUP BY x, y);

-- source: totals_daily
SELECT x, y FROM (SELECT x, y, count(*) n FROM (SELECT 1 x, 1 y FROM events) GROUP BY x, y);

-- source: countries_daily
SELECT a, b, count(*) FROM (SELECT country = 'BE' a, country = 'BE' b FROM events) GROUP BY 1, 2;

-- source: raw
SELECT a, b, count(*) FROM (SELECT coalesce(country, 'x') a, coalesce(country, 'x') b FROM events) GROUP BY CUBE (a, b);

-- source: events_totals
SELECT date_trunc('hour', t), count(*) FROM (SELECT event_timestamp AS t FROM events) GROUP BY 1;

-- source: visitors_daily
SELECT count(DISTINCT c) FROM (SELECT client_id AS c FROM events WHERE tracking_id = 'site-1');

-- source: raw
SELECT avg(client_hash) FROM events;

-- source: countries_daily
SELECT sum(CAST(country AS BIGINT)) FILTER (WHERE country ~ '^[0-9]+$') FROM events;

-- source: raw
SELECT array_agg(DISTINCT country) FROM (SELECT country FROM events WHERE country = 'BE');

-- source: countries_daily
SELECT country, approx_distinct(client_id), hll_estimate(hll_sketch(client_id)) FROM events GROUP BY 1;

-- source: totals_daily
SELECT count(*) FROM events;

-- source: totals_daily
SELECT count(1) AS n, sum(revenue), min(event_timestamp), max(event_timestamp) FROM events;

-- source: totals_daily
SELECT event_type, avg(revenue), min(revenue), max(revenue) FROM events GROUP BY 1;

-- source: countries_daily
SELECT country, count(*) FROM events WHERE tracking_id = 'site-1' GROUP BY country;

-- source: countries_daily
SELECT DISTINCT country FROM events;

-- source: countries_daily
SELECT country FROM events WHERE device IS NOT NULL GROUP BY country ORDER BY 1 NULLS FIRST LIMIT 3;

-- source: totals_daily
SELECT date_trunc('day', event_timestamp) AS __timestamp, count(*) FROM events GROUP BY 1;

-- source: events_totals
SELECT date_trunc('hour', event_timestamp), count(*) FROM events GROUP BY 1;

-- source: raw
SELECT date_trunc('minute', event_timestamp), count(*) FROM events GROUP BY 1;

-- source: events_totals
SELECT extract(hour FROM event_timestamp), extract(dow FROM event_timestamp), count(*) FROM events GROUP BY 1, 2;

-- source: events_totals
SELECT date_trunc('day', event_timestamp AT TIME ZONE 'Asia/Kathmandu'), count(*) FROM events GROUP BY 1;

-- source: events_totals
SELECT date_trunc('hour', event_timestamp AT TIME ZONE 'Australia/Lord_Howe'), sum(revenue) FROM events GROUP BY 1;

-- source: events_hourly
SELECT country, (event_timestamp AT TIME ZONE 'America/New_York')::date, count(*) FROM events GROUP BY 1, 2;

-- source: raw
SELECT country, date_trunc('day', event_timestamp AT TIME ZONE 'Asia/Kathmandu'), count(*) FROM events GROUP BY 1, 2;

-- source: totals_daily
SELECT event_date, count(*) FROM events GROUP BY event_date;

-- source: events_totals
SELECT date_bin(INTERVAL '15 minutes', event_timestamp), count(*) FROM events GROUP BY 1;

-- source: raw
SELECT date_bin(INTERVAL '20 minutes', event_timestamp), count(*) FROM events GROUP BY 1;

-- source: totals_daily
SELECT to_char(event_timestamp, '%Y-%m-%d'), count(*) FROM events GROUP BY 1;

-- source: totals_daily
SELECT CAST(EXTRACT(YEAR FROM event_timestamp) AS BIGINT), count(*) FROM events WHERE CAST(EXTRACT(MONTH FROM event_timestamp) AS BIGINT) = 11 GROUP BY 1;

-- source: totals_daily and events_totals
SELECT count(*) FROM events WHERE event_timestamp >= '2026-11-01 05:00' AND event_timestamp < '2026-11-03 07:15';

-- source: totals_daily and events_totals
SELECT event_type, count(*), sum(revenue) FROM events WHERE event_timestamp >= '2026-11-01 05:07' AND event_timestamp <= '2026-11-03 07:14:59.999' GROUP BY 1;

-- source: events_totals
SELECT count(*) FROM events WHERE event_timestamp BETWEEN '2026-11-01 05:07' AND '2026-11-02 23:59:59.999';

-- source: totals_daily
SELECT count(*) FROM events WHERE event_timestamp::date = '2026-11-02';

-- source: raw
SELECT count(*) FROM events WHERE event_timestamp <= '2026-11-01 10:00' AND event_timestamp > '2026-11-02 10:00';

-- source: countries_daily
SELECT lower(country) AS c, count(*) FROM events WHERE country LIKE 'B%' OR country IS NULL GROUP BY 1 HAVING count(*) > 0;

-- source: sources_daily
SELECT channel, count(*) FROM events WHERE utm_campaign <> 'fall' OR utm_campaign IS NULL GROUP BY channel;

-- source: pages_daily
SELECT page_path, count(*) AS n FROM events WHERE event_type = 'pageview' GROUP BY page_path ORDER BY n DESC, 1 LIMIT 10;

-- source: pages_daily
SELECT page_path, count(*) FILTER (WHERE event_type = 'pageview') AS views, count(*) AS n, sum(revenue) FROM events GROUP BY page_path;

-- source: pages_daily
SELECT page_host, sum(CASE WHEN event_type = 'purchase' THEN 1 ELSE 0 END), count(CASE WHEN event_type = 'pageview' THEN 1 END) FROM events GROUP BY 1;

-- source: pages_daily
SELECT page_path, count(*) FILTER (WHERE event_type = 'purchase'), count(*) FROM events WHERE event_type = 'pageview' GROUP BY 1;

-- source: raw
SELECT page_path, count(*) FILTER (WHERE event_type = 'click') FROM events GROUP BY 1;

-- source: raw
SELECT page_path, sum(CASE WHEN event_type = 'pageview' THEN 1 END) FROM events GROUP BY 1;

-- source: raw
SELECT page_path, sum(revenue) FROM events WHERE event_type = 'purchase' GROUP BY page_path;

-- source: visitors_daily
SELECT tracking_id, count(DISTINCT client_id) FROM events GROUP BY 1;

-- source: visitors_daily
SELECT country, count(DISTINCT client_id), count(*) FROM events WHERE tracking_id = 'site-0' GROUP BY 1;

-- source: raw
SELECT count(DISTINCT client_id) FROM events;

-- source: visitors_daily
SELECT count(DISTINCT session_id) FROM events WHERE tracking_id = 'site-0';

-- source: visitors_daily
SELECT tracking_id, count(DISTINCT user_id) FROM events GROUP BY 1;

-- source: visitors_daily
SELECT country, count(DISTINCT client_id) AS visitors, count(DISTINCT session_id) AS sessions, count(DISTINCT user_id) AS users, count(*), sum(revenue) FROM events WHERE tracking_id = 'site-0' GROUP BY 1;

-- source: visits
SELECT date_trunc('day', event_timestamp), device, count(DISTINCT "session_id") FILTER (WHERE event_type = 'purchase') FROM events WHERE tracking_id = 'site-1' GROUP BY 1, 2 HAVING count(DISTINCT session_id) > 1;

-- source: visits
SELECT count(DISTINCT CASE WHEN event_type = 'purchase' THEN session_id END) * 1.0 / nullif(count(DISTINCT session_id), 0) FROM events WHERE tracking_id = 'site-0';

-- source: visitors_daily
SELECT country, count(DISTINCT coalesce(user_id, client_id)) FROM events WHERE tracking_id = 'site-0' GROUP BY GROUPING SETS ((country), ());

-- source: visitors_daily
SELECT count(DISTINCT session_id), count(session_id) FROM events WHERE tracking_id = 'site-1' AND session_id IS NOT NULL;

-- source: raw
SELECT count(DISTINCT session_id) FROM events;

-- source: raw
SELECT tracking_id, count(DISTINCT client_id || session_id) FROM events GROUP BY 1;

-- source: raw
SELECT DISTINCT session_id FROM events WHERE tracking_id = 'site-0';

-- source: raw
SELECT count(DISTINCT session_id) FROM events WHERE tracking_id = 'site-0' AND page_path = '/1';

-- source: raw
SELECT max(session_id) FROM events WHERE tracking_id = 'site-0';

-- source: countries_daily
SELECT count(DISTINCT country), count(DISTINCT device) FROM events;

-- source: countries_daily
SELECT count(distinct(country)) + max(CASE WHEN country IS NULL THEN 1 ELSE 0 END) FROM (SELECT * FROM events) "rows";

-- source: totals_daily
SELECT sum(CASE WHEN event_type = 'purchase' THEN revenue ELSE 0 END), count(*) FILTER (WHERE event_type = 'pageview'), sum(CASE WHEN event_type = 'pageview' THEN 1 ELSE 0 END) FROM events;

-- source: totals_daily
SELECT count(CASE WHEN event_type = 'purchase' THEN event_id ELSE NULL END), count(revenue), coalesce(sum(coalesce(revenue, 0)), 0) FROM events;

-- source: totals_daily
SELECT avg(CASE WHEN event_type = 'purchase' THEN 1 ELSE 0 END) FROM events;

-- source: countries_daily
SELECT country, device, count(*), sum(revenue), grouping(country) FROM events GROUP BY ROLLUP (country, device);

-- source: countries_daily
SELECT country, n, sum(n) OVER () FROM (SELECT country, count(*) AS n FROM events GROUP BY country) x;

-- source: raw
SELECT city, count(*) FROM events GROUP BY city;
