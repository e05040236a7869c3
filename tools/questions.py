"""The questions of `bench_query.py`, as each system is asked them."""

from dataclasses import dataclass

DAYS = 31


@dataclass(frozen=True)
class Question:
    key: str
    title: str
    # Its goal: "rollup" and "distinct" are to be routed, "raw" can't be.
    kind: str
    footfall: str
    clickhouse: str
    duckdb: str
    # ClickHouse's hourly rollup, where it has the columns.
    view: str | None = None
    # The view's distinct counts are `uniq`: estimates.
    view_is_estimate: bool = False
    # Without rollups and segments, where turning routing off does not do.
    footfall_raw: str | None = None


# Filled in: {site}, {small}, {visitor}; {first} and {end}, which are days; {funnel} and {new_funnel}, ids of one definition.
SITE = "tracking_id = '{site}' AND event_timestamp >= '{first} 00:00:00' AND event_timestamp < '{end} 00:00:00'"
VIEW = "tracking_id = '{site}' AND hour >= '{first} 00:00:00' AND hour < '{end} 00:00:00'"
SMALL = SITE.replace("{site}", "{small}")
ALL = SITE.partition(" AND ")[2]
DAY = "date_trunc('day', event_timestamp)"

FUNNEL = (
    ("View", "event_type = 'pageview' AND page_path LIKE '/product/%'"),
    ("Cart", "event_type = 'add_to_cart'"),
    ("Checkout", "event_type = 'pageview' AND page_path = '/checkout'"),
    ("Purchase", "event_type = 'purchase'"),
)
FUNNEL_DEFINITION = {
    "name": "Purchase",
    "steps": [
        {"name": "View", "event_type": "pageview", "filters": {"page_path": "/product/*"}},
        {"name": "Cart", "event_type": "add_to_cart"},
        {"name": "Checkout", "event_type": "pageview", "filters": {"page_path": "/checkout"}},
        {"name": "Purchase", "event_type": "purchase"},
    ],
    "window": "7d",
}
_CONDITIONS = ", ".join(condition for _, condition in FUNNEL)
_REACHED = ", ".join(f"count(*) FILTER (WHERE level >= {level}) AS step_{level}" for level in range(1, len(FUNNEL) + 1))

FUNNEL_CLICKHOUSE = (
    f"SELECT {_REACHED} FROM (SELECT client_id, "
    f"windowFunnel(604800000000)(toUInt64(toUnixTimestamp64Micro(event_timestamp)), {_CONDITIONS}) AS level "
    f"FROM events WHERE {SITE} GROUP BY client_id)"
)

# Each first step, with the earliest of each next step: what `windowFunnel` finds, in joins.
FUNNEL_DUCKDB = (
    f"WITH part AS (SELECT client_id, event_timestamp AS t, event_type, page_path FROM events WHERE {SITE}), "
    + ", ".join(f"s{n} AS (SELECT client_id, t FROM part WHERE {sql})" for n, (_, sql) in enumerate(FUNNEL, 1))
    + " SELECT "
    + _REACHED
    + " FROM (SELECT s1.client_id, max(CASE"
    + "".join(f" WHEN s{n}.t <= s1.t + INTERVAL 7 DAY THEN {n}" for n in range(len(FUNNEL), 1, -1))
    + " ELSE 1 END) AS level FROM s1"
    + "".join(
        f" ASOF LEFT JOIN s{n} ON s{n - 1}.client_id = s{n}.client_id AND s{n - 1}.t <= s{n}.t"
        for n in range(2, len(FUNNEL) + 1)
    )
    + " GROUP BY s1.client_id)"
)

FUNNEL_PROGRESS = (
    f"SELECT {_REACHED} FROM (SELECT client_id, max(steps_completed) AS level FROM funnel_progress "
    "WHERE tracking_id = '{site}' AND funnel_id = '{funnel}' GROUP BY client_id)"
)

# Sessions are gaps of less than 30 minutes; no visitor of the generated ones goes on for a day.
BOUNCES_CLICKHOUSE = (
    "SELECT sum(length(sessions)), sum(arrayCount(s -> arrayCount(e -> e.2, s) = 1, sessions)) FROM ("
    "SELECT client_id, arraySort(groupArray((event_timestamp, event_type = 'pageview'))) AS events, "
    "arrayDifference(arrayMap(e -> toUnixTimestamp64Micro(e.1), events)) AS gaps, "
    "arraySplit((e, gap) -> gap >= 1800000000, events, gaps) AS sessions "
    f"FROM events WHERE {SITE} GROUP BY client_id)"
)
BOUNCES_DUCKDB = (
    "SELECT count(*), count(*) FILTER (WHERE pageviews = 1) FROM ("
    "SELECT client_id, number, count(*) FILTER (WHERE event_type = 'pageview') AS pageviews FROM ("
    "SELECT client_id, event_type, sum(begins) OVER (PARTITION BY client_id ORDER BY event_timestamp) AS number FROM ("
    "SELECT client_id, event_type, event_timestamp, coalesce(event_timestamp - lag(event_timestamp) "
    "OVER (PARTITION BY client_id ORDER BY event_timestamp) >= INTERVAL 30 MINUTE, true)::INT AS begins "
    f"FROM events WHERE {SITE})) GROUP BY client_id, number)"
)

QUESTIONS = (
    Question(
        key="visitors",
        title="visitors by country, a site's month",
        kind="distinct",
        footfall=f"SELECT country, count(DISTINCT client_id) AS visitors FROM events WHERE {SITE} GROUP BY country",
        clickhouse=f"SELECT country, uniqExact(client_id) FROM events WHERE {SITE} GROUP BY country",
        duckdb=f"SELECT country, count(DISTINCT client_id) FROM events WHERE {SITE} GROUP BY country",
        view=f"SELECT country, uniqMerge(visitors) FROM hourly WHERE {VIEW} GROUP BY country",
        view_is_estimate=True,
    ),
    Question(
        key="sessions",
        title="pageviews and sessions by day, country, device",
        kind="distinct",
        footfall=f"SELECT {DAY} AS day, country, device, count(*) FILTER (WHERE event_type = 'pageview') AS pageviews, "
        f"count(DISTINCT session_id) AS sessions FROM events WHERE {SITE} GROUP BY 1, 2, 3",
        clickhouse="SELECT toDate(event_timestamp) AS day, country, device, countIf(event_type = 'pageview'), "
        f"uniqExact(session_id) FROM events WHERE {SITE} GROUP BY day, country, device",
        duckdb=f"SELECT {DAY} AS day, country, device, count(*) FILTER (WHERE event_type = 'pageview'), "
        f"count(DISTINCT session_id) FROM events WHERE {SITE} GROUP BY 1, 2, 3",
        view="SELECT toDate(hour) AS day, country, device, sumIf(events, event_type = 'pageview'), uniqMerge(sessions) "
        f"FROM hourly WHERE {VIEW} GROUP BY day, country, device",
        view_is_estimate=True,
    ),
    Question(
        key="revenue",
        title="events and revenue by day, country, device",
        kind="rollup",
        footfall=f"SELECT {DAY} AS day, country, device, count(*) AS events, sum(revenue) AS revenue "
        f"FROM events WHERE {SITE} GROUP BY 1, 2, 3",
        clickhouse="SELECT toDate(event_timestamp) AS day, country, device, count(), sum(revenue) "
        f"FROM events WHERE {SITE} GROUP BY day, country, device",
        duckdb=f"SELECT {DAY} AS day, country, device, count(*), sum(revenue) FROM events WHERE {SITE} GROUP BY 1, 2, 3",
        view="SELECT toDate(hour) AS day, country, device, sum(events), sum(revenue) "
        f"FROM hourly WHERE {VIEW} GROUP BY day, country, device",
    ),
    Question(
        key="all_sites",
        title="all sites by day and event type",
        kind="rollup",
        footfall=f"SELECT {DAY} AS day, event_type, count(*) AS events FROM events WHERE {ALL} GROUP BY 1, 2",
        clickhouse="SELECT toDate(event_timestamp) AS day, event_type, count() "
        f"FROM events WHERE {ALL} GROUP BY day, event_type",
        duckdb=f"SELECT {DAY} AS day, event_type, count(*) FROM events WHERE {ALL} GROUP BY 1, 2",
        view="SELECT toDate(hour) AS day, event_type, sum(events) FROM hourly "
        f"WHERE {VIEW.partition(' AND ')[2]} GROUP BY day, event_type",
    ),
    Question(
        key="pages",
        title="top pages",
        kind="rollup",
        footfall="SELECT page_path, count(*) AS views FROM events "
        f"WHERE {SITE} AND event_type = 'pageview' GROUP BY page_path ORDER BY views DESC, page_path LIMIT 20",
        clickhouse="SELECT page_path, count() AS views FROM events "
        f"WHERE {SITE} AND event_type = 'pageview' GROUP BY page_path ORDER BY views DESC, page_path LIMIT 20",
        duckdb="SELECT page_path, count(*) AS views FROM events "
        f"WHERE {SITE} AND event_type = 'pageview' GROUP BY page_path ORDER BY views DESC, page_path LIMIT 20",
    ),
    Question(
        key="bounces",
        title="bounce rate, sessions by gaps",
        kind="rollup",
        footfall="SELECT count(*) AS sessions, count(*) FILTER (WHERE bounced) AS bounces FROM sessions "
        f"WHERE {SITE.replace('event_timestamp', 'session_start')}",
        clickhouse=BOUNCES_CLICKHOUSE,
        duckdb=BOUNCES_DUCKDB,
    ),
    Question(
        key="visitor",
        title="one visitor's history",
        kind="raw",
        footfall="SELECT event_timestamp, event_type, page_path FROM events "
        f"WHERE {SITE} AND client_id = '{{visitor}}' ORDER BY event_timestamp, event_id",
        clickhouse="SELECT event_timestamp, event_type, page_path FROM events "
        f"WHERE {SITE} AND client_id = '{{visitor}}' ORDER BY event_timestamp, event_id",
        duckdb="SELECT event_timestamp, event_type, page_path FROM events "
        f"WHERE {SITE} AND client_id = '{{visitor}}' ORDER BY event_timestamp, event_id",
    ),
    Question(
        key="small",
        title="a small site's month: events and visitors",
        kind="distinct",
        footfall=f"SELECT {DAY} AS day, count(*) AS events, count(DISTINCT client_id) AS visitors "
        f"FROM events WHERE {SMALL} GROUP BY 1",
        clickhouse="SELECT toDate(event_timestamp) AS day, count(), uniqExact(client_id) "
        f"FROM events WHERE {SMALL} GROUP BY day",
        duckdb=f"SELECT {DAY} AS day, count(*), count(DISTINCT client_id) FROM events WHERE {SMALL} GROUP BY 1",
        view="SELECT toDate(hour) AS day, sum(events), uniqMerge(visitors) FROM hourly "
        f"WHERE {VIEW.replace('{site}', '{small}')} GROUP BY day",
        view_is_estimate=True,
    ),
    Question(
        key="property",
        title="a filter on a JSON property",
        kind="raw",
        footfall="SELECT event_type, count(*) AS events, count(DISTINCT client_id) AS visitors FROM events "
        f"WHERE {SITE} AND custom_properties->>'product_id' = '7' GROUP BY event_type",
        clickhouse="SELECT event_type, count(), uniqExact(client_id) FROM events "
        f"WHERE {SITE} AND JSONExtractInt(custom_properties, 'product_id') = 7 GROUP BY event_type",
        duckdb="SELECT event_type, count(*), count(DISTINCT client_id) FROM events "
        f"WHERE {SITE} AND json_extract_string(custom_properties, '$.product_id') = '7' GROUP BY event_type",
    ),
    Question(
        key="top_visitors",
        title="the 100 busiest visitors",
        kind="raw",
        footfall="SELECT client_id, count(*) AS events, sum(revenue) AS revenue FROM events "
        f"WHERE {SITE} GROUP BY client_id ORDER BY events DESC, client_id LIMIT 100",
        clickhouse="SELECT client_id, count() AS events, sum(revenue) FROM events "
        f"WHERE {SITE} GROUP BY client_id ORDER BY events DESC, client_id LIMIT 100",
        duckdb="SELECT client_id, count(*) AS events, sum(revenue) FROM events "
        f"WHERE {SITE} GROUP BY client_id ORDER BY events DESC, client_id LIMIT 100",
    ),
    Question(
        key="funnel",
        title="funnel of 4 steps in 7 days, ad hoc",
        kind="raw",
        footfall=f"SELECT {_REACHED} FROM (SELECT client_id, "
        f"window_funnel(INTERVAL '7 days', event_timestamp, {_CONDITIONS}) AS level "
        f"FROM events WHERE {SITE} GROUP BY client_id)",
        clickhouse=FUNNEL_CLICKHOUSE,
        duckdb=FUNNEL_DUCKDB,
    ),
    Question(
        key="saved_funnel",
        title="the same funnel, saved",
        kind="rollup",
        footfall=FUNNEL_PROGRESS,
        # Created after the compaction: no segment knows it yet.
        footfall_raw=FUNNEL_PROGRESS.replace("{funnel}", "{new_funnel}"),
        clickhouse=FUNNEL_CLICKHOUSE,
        duckdb=FUNNEL_DUCKDB,
    ),
)  # fmt: skip
