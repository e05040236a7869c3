-- What single tools send, as they spell it.

-- Tableau: months.
-- source: totals_daily
SELECT CAST((CAST(event_timestamp AS DATE) + (1 - CAST(EXTRACT(DAY FROM CAST(event_timestamp AS DATE)) AS INTEGER)) * INTERVAL '1 DAY') AS TIMESTAMP) AS "tmn:event_timestamp:ok", sum(revenue) FROM events GROUP BY 1;

-- Tableau: weeks from Sunday.
-- source: totals_daily
SELECT CAST((DATE_TRUNC('day', CAST(event_timestamp AS DATE)) + (-EXTRACT(DOW FROM event_timestamp) * INTERVAL '1 DAY')) AS DATE) AS "twk:event_timestamp:ok", count(1) FROM events GROUP BY 1;

-- Tableau: numbers of weeks.
-- source: totals_daily
SELECT FLOOR((7 + EXTRACT(DOY FROM event_timestamp) - 1 + EXTRACT(DOW FROM DATE_TRUNC('YEAR', event_timestamp))) / 7) AS "wk", count(1) FROM events GROUP BY 1;

-- Tableau: the date as a number.
-- source: raw
SELECT EXTRACT(EPOCH FROM event_timestamp) AS "qk", count(1) FROM events GROUP BY 1;

-- Tableau: conditions as booleans, groups of members, and nulls first.
-- source: countries_daily
SELECT (CASE WHEN country IN ('BE', 'NL') THEN 'Benelux' ELSE country END) AS "Country (group)", count(1) AS "cnt" FROM events WHERE (CASE WHEN (device = 'mobile') THEN FALSE ELSE TRUE END) GROUP BY 1 ORDER BY 1 ASC NULLS FIRST;

-- Power BI: distinct members, null among them.
-- source: countries_daily
SELECT "rows"."device" AS "device", count(distinct("rows"."country")) + max(case when "rows"."country" is null then 1 else 0 end) AS "a0" FROM (SELECT "_"."country", "_"."device" FROM "footfall"."public"."events" "_") "rows" GROUP BY "device" LIMIT 1000001;

-- Power BI: sums.
-- source: countries_daily
SELECT "_"."country", "_"."a0" FROM (SELECT "rows"."country" AS "country", sum("rows"."revenue") AS "a0" FROM (SELECT "country", "revenue" FROM "footfall"."public"."events" "$Table") "rows" GROUP BY "country") "_" WHERE NOT "_"."a0" IS NULL LIMIT 1000001;

-- Superset: a time grain with its bounds.
-- source: totals_daily
SELECT DATE_TRUNC('day', event_timestamp) AS __timestamp, COUNT(*) AS count FROM public.events WHERE event_timestamp >= TO_TIMESTAMP('2026-11-01 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') AND event_timestamp < TO_TIMESTAMP('2026-11-03 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US') GROUP BY DATE_TRUNC('day', event_timestamp) ORDER BY count DESC, 1 LIMIT 10000;

-- Superset: a virtual dataset.
-- source: countries_daily
SELECT country AS country, sum(revenue) AS "SUM(revenue)" FROM (SELECT * FROM events) AS virtual_table GROUP BY country ORDER BY "SUM(revenue)" DESC LIMIT 1000;

-- Metabase: weeks from Sunday.
-- source: totals_daily
SELECT (DATE_TRUNC('week', ("source"."event_timestamp" + INTERVAL '1 day')) - INTERVAL '1 day') AS "event_timestamp", COUNT(*) AS "count" FROM (SELECT "public"."events"."event_timestamp" AS "event_timestamp" FROM "public"."events") AS "source" GROUP BY (DATE_TRUNC('week', ("source"."event_timestamp" + INTERVAL '1 day')) - INTERVAL '1 day') ORDER BY 1 ASC;

-- Metabase: bounds with offsets.
-- source: countries_daily
SELECT "public"."events"."country" AS "country", COUNT(*) AS "count" FROM "public"."events" WHERE ("public"."events"."event_timestamp" >= timestamp with time zone '2026-11-01 01:00:00.000+01:00') AND ("public"."events"."event_timestamp" < timestamp with time zone '2026-11-03 01:00:00.000+01:00') GROUP BY "public"."events"."country" ORDER BY "public"."events"."country" ASC;

-- Metabase: a distinct count beside a sum.
-- source: visitors_daily
SELECT "device", count(distinct "client_id") AS "count", sum("revenue") AS "sum" FROM "public"."events" WHERE "tracking_id" = 'site-0' GROUP BY "device";

-- Lightdash: days of a zone.
-- source: events_totals
SELECT DATE_TRUNC('DAY', (event_timestamp)::timestamptz AT TIME ZONE 'America/New_York') AS "events_day", COUNT(event_id) AS "events_count" FROM "footfall"."public"."events" AS "events" WHERE (DATE_TRUNC('DAY', (event_timestamp)::timestamptz AT TIME ZONE 'America/New_York')) >= ('2026-11-01') GROUP BY 1 ORDER BY "events_day" DESC LIMIT 500;

-- Grafana: quarters of an hour.
-- source: raw
SELECT to_timestamp((extract(epoch from event_timestamp) / 900)::int * 900) AS "time", count(*) FROM events WHERE event_timestamp BETWEEN '2026-11-01T00:00:00Z' AND '2026-11-02T23:59:59.999Z' GROUP BY 1;

-- Grafana: its macro of groups for PostgreSQL.
-- source: raw
SELECT floor(extract(epoch from event_timestamp) / 3600) * 3600 AS "time", avg(revenue) FROM events GROUP BY 1 ORDER BY 1;

-- QuickSight: counts of conditions.
-- source: totals_daily
SELECT COUNT(CASE WHEN event_type = 'purchase' THEN event_id ELSE NULL END) AS purchases, COUNT(CASE WHEN event_type = 'pageview' THEN event_id ELSE NULL END) AS pageviews FROM events;

-- Looker: rows by day with a condition on the day.
-- source: countries_daily
SELECT (DATE(event_timestamp)) AS "events.created_date", country AS "events.country", COUNT(*) AS "events.count" FROM public.events AS events WHERE ((( event_timestamp ) >= (TIMESTAMP '2026-11-01') AND ( event_timestamp ) < (TIMESTAMP '2026-11-04'))) GROUP BY (DATE(event_timestamp)), 2 ORDER BY 1 DESC, 2 LIMIT 500;

-- Ranges that end a millisecond before midnight.
-- source: countries_daily and events_hourly
SELECT country, count(*) FROM events WHERE event_timestamp >= '2026-11-01 00:00:00' AND event_timestamp <= '2026-11-02 23:59:59.999' GROUP BY 1;
