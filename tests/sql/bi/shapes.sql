-- The shapes of logged queries of BI tools (646 statements of Tableau, a public benchmark), with their share in percent.
-- Shares overlap: a query is a members list and has an IN list.

-- share: 45
-- source: countries_daily
SELECT country FROM events WHERE device IN ('desktop', 'mobile') GROUP BY country;

-- share: 88
-- source: countries_daily
SELECT country, count(1) AS n, sum(revenue) AS revenue, avg(revenue) AS mean, min(revenue) AS least, max(revenue) AS most FROM events GROUP BY country;

-- share: 27
-- source: countries_daily
SELECT upper(country) AS "Country", sum(revenue) AS "Revenue" FROM events GROUP BY "Country";

-- share: 16
-- source: totals_daily
SELECT CAST(EXTRACT(YEAR FROM event_timestamp) AS BIGINT) AS "yr", CAST(EXTRACT(MONTH FROM event_timestamp) AS BIGINT) AS "mn", sum(revenue) FROM events GROUP BY 1, 2;

-- share: 17
-- source: countries_daily
SELECT country, count(*) FROM events WHERE CAST(EXTRACT(YEAR FROM event_timestamp) AS BIGINT) = 2026 GROUP BY country;

-- share: 34
-- source: countries_daily
SELECT device, sum(revenue) FROM events WHERE country IN ('BE', 'NL', 'DE') GROUP BY device;

-- share: 16
-- source: countries_daily
SELECT device, sum(revenue) FROM events WHERE NOT (country IN ('BE')) GROUP BY device;

-- share: 17
-- source: countries_daily
SELECT device, count(1) FROM events WHERE (country = 'BE') OR (device = 'mobile') GROUP BY device;

-- share: 16
-- source: countries_daily
SELECT device, count(1) FROM events WHERE country IS NOT NULL AND device IS NULL GROUP BY device;

-- share: 2
-- source: countries_daily
SELECT country, count(1) FROM events WHERE country IN ('A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7', 'A8', 'A9', 'B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B9', 'BE', 'C1', 'C2', 'C3', 'NL') GROUP BY country;

-- share: 21
-- source: raw
SELECT country, sum(CAST(revenue AS DOUBLE)), avg(CAST(revenue AS BIGINT)) FROM events GROUP BY country;

-- share: 9
-- source: visitors_daily
SELECT country, count(DISTINCT client_id) FROM events WHERE tracking_id = 'site-0' GROUP BY country;

-- share: 2.5
-- source: countries_daily
SELECT device, count(DISTINCT country) FROM events GROUP BY device;

-- share: 1.9
-- source: visitors_daily
SELECT device, count(DISTINCT client_id), count(1), sum(revenue) FROM events WHERE tracking_id = 'site-1' GROUP BY device;

-- share: 0.6
-- source: visitors_daily
SELECT count(DISTINCT client_id), count(DISTINCT country) FROM events WHERE tracking_id = 'site-1';

-- share: 7.6
-- source: countries_daily
SELECT sum(revenue) AS total FROM events WHERE country = 'XX' HAVING (COUNT(1) > 0);

-- share: 8
-- source: events_daily
SELECT country, device, browser, os, channel, count(1) FROM events GROUP BY 1, 2, 3, 4, 5;

-- share: 4
-- source: countries_daily
SELECT country, sum(revenue) FROM events GROUP BY country HAVING sum(revenue) BETWEEN -100 AND 100;

-- share: 4
-- source: countries_daily
SELECT country, count(1) AS n FROM events GROUP BY country ORDER BY n DESC, country LIMIT 2;

-- share: 0.8
-- source: totals_daily
SELECT MIN(event_timestamp) AS lowest, MAX(event_timestamp) AS highest FROM events;

-- share: 0.6
-- source: countries_daily
SELECT e.device, count(1) FROM events e INNER JOIN (SELECT country, count(1) AS n FROM events GROUP BY country ORDER BY n DESC, 1 LIMIT 1) t ON e.country = t.country GROUP BY e.device;
