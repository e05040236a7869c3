-- Where the routing of other systems has given wrong numbers.

-- Weeks are no parts of months, quarters and years.
-- source: totals_daily
SELECT date_trunc('month', date_trunc('week', event_timestamp)), count(*) FROM events GROUP BY 1;

-- source: totals_daily
SELECT date_trunc('year', event_timestamp), date_trunc('quarter', event_timestamp), count(*) FROM events GROUP BY 1, 2;

-- Aggregates of distinct values are no sums.
-- source: raw
SELECT sum(DISTINCT revenue), avg(DISTINCT revenue) FROM events;

-- source: countries_daily
SELECT count(DISTINCT country), count(country) FROM events;

-- source: raw
SELECT count(DISTINCT event_id), count(DISTINCT revenue) FROM events WHERE country = 'BE';

-- Nothing is counted as zero, and grouped as no row.
-- source: countries_daily
SELECT count(*), count(revenue), sum(revenue) FROM events WHERE country = 'XX';

-- source: countries_daily
SELECT device, count(*) FROM events WHERE country = 'XX' GROUP BY device;

-- source: totals_daily
SELECT count(*) FROM events WHERE event_timestamp >= '2027-01-01';

-- The same keys are aggregated again, and aggregates of aggregates.
-- source: countries_daily
SELECT country, device, count(*) FROM events GROUP BY country, device;

-- source: countries_daily
SELECT avg(n), max(n), count(*) FROM (SELECT country, device, count(*) AS n FROM events GROUP BY 1, 2) x;

-- source: events_totals
SELECT max(n) FROM (SELECT date_trunc('hour', event_timestamp) AS h, count(*) AS n FROM events GROUP BY 1) x;

-- Conditions in three-valued logic.
-- source: countries_daily
SELECT count(*) FROM events WHERE NOT (country = 'BE');

-- source: countries_daily
SELECT count(*) FROM events WHERE country <> 'BE' OR NOT (device = 'mobile') OR country IS NULL;

-- source: countries_daily
SELECT count(*) FROM events WHERE (country = 'BE') IS NOT TRUE;

-- source: raw
SELECT count(*) FROM events WHERE NOT (event_timestamp >= '2026-11-02 03:07:00' AND country = 'BE');

-- Empty and overlapping ranges.
-- source: raw
SELECT count(*) FROM events WHERE event_timestamp <= '2026-11-01 08:00' AND event_timestamp > '2026-11-02 08:00';

-- source: raw
SELECT count(*) FROM events WHERE event_timestamp > '2026-11-01 08:00' OR event_timestamp <= '2026-11-02 08:00';

-- source: raw
SELECT count(*) FROM events WHERE event_timestamp BETWEEN '2026-11-02 08:07' AND '2026-11-02 08:07';

-- A conversion after the asked range is not of it.
-- source: totals_daily and events_totals
SELECT sum(CASE WHEN event_type = 'purchase' THEN revenue END), count(*) FROM events WHERE event_timestamp < '2026-11-02 12:31:17';

-- Visitors who are null or empty count alike.
-- source: visitors_daily
SELECT count(DISTINCT client_id), count(client_id), count(*) FROM events WHERE tracking_id = 'site-0';

-- Days and hours of zones: off the hour, and on days of changes.
-- source: events_totals
SELECT date_trunc('day', event_timestamp AT TIME ZONE 'Asia/Kathmandu'), count(*) FROM events GROUP BY 1;

-- source: events_totals
SELECT date_trunc('hour', event_timestamp AT TIME ZONE 'America/New_York'), count(*) FROM events GROUP BY 1;

-- source: events_totals
SELECT extract(hour FROM event_timestamp AT TIME ZONE 'America/New_York'), sum(revenue) FROM events GROUP BY 1;

-- A null among distinct members.
-- source: countries_daily
SELECT device, count(distinct country) + max(CASE WHEN country IS NULL THEN 1 ELSE 0 END) FROM events GROUP BY device;

-- A zone's day through nested queries.
-- source: events_totals
SELECT d, count(*) FROM (SELECT date_trunc('day', t) AS d FROM (SELECT event_timestamp AT TIME ZONE 'Asia/Kathmandu' AS t FROM events) a) b GROUP BY d;
