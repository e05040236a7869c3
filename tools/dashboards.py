"""What dashboards ask, for the benchmarks under load: in SQL, and as the gateway's reports."""

from collections.abc import Iterator

_SITE = "tracking_id = '{site}' AND event_timestamp >= '{first} 00:00:00' AND event_timestamp < '{end} 00:00:00'"
_SESSIONS = _SITE.replace("event_timestamp", "session_start")
_NOW = "tracking_id = '{site}' AND event_timestamp >= now() - INTERVAL '5 minutes'"
_DAY = "date_trunc('day', event_timestamp)"

# The tiles of one page, by name. {site}; {first} and {end}: days.
TILES = {
    "pageviews by day": f"SELECT {_DAY} AS day, count(*) AS views FROM events "
    f"WHERE {_SITE} AND event_type = 'pageview' GROUP BY 1 ORDER BY 1",
    "visitors by day": f"SELECT {_DAY} AS day, count(DISTINCT client_id) AS visitors FROM events "
    f"WHERE {_SITE} GROUP BY 1 ORDER BY 1",
    "visitors": f"SELECT count(DISTINCT client_id) AS visitors, count(*) AS events FROM events WHERE {_SITE}",
    "visitors by country": f"SELECT country, count(DISTINCT client_id) AS visitors FROM events WHERE {_SITE} "
    "GROUP BY country ORDER BY visitors DESC LIMIT 10",
    "events by device": f"SELECT device, count(*) AS events FROM events WHERE {_SITE} GROUP BY device",
    "revenue by day": f"SELECT {_DAY} AS day, count(*) AS purchases, sum(revenue) AS revenue FROM events "
    f"WHERE {_SITE} AND event_type = 'purchase' GROUP BY 1 ORDER BY 1",
    "top pages": f"SELECT page_path, count(*) AS views FROM events WHERE {_SITE} AND event_type = 'pageview' "
    "GROUP BY page_path ORDER BY views DESC, page_path LIMIT 10",
    "bounce rate": f"SELECT count(*) AS sessions, avg(bounced::int) AS bounce_rate FROM sessions WHERE {_SESSIONS}",
    "now": "SELECT count(DISTINCT client_id) AS visitors, count(*) FILTER (WHERE event_type = 'pageview') AS views "
    f"FROM events WHERE {_NOW}",
}


def reports(site: str, first: str, end: str) -> Iterator[dict]:
    """The same page as bodies of `POST /api/v1/query`; both days are included."""
    common = {"tracking_id": site, "date_range": {"start": first, "end": end}}
    for metrics, dimensions in (
        (["pageviews", "unique_users", "sessions", "bounce_rate"], []),
        (["pageviews", "unique_users"], ["date"]),
        (["sessions", "bounce_rate", "avg_session_duration"], ["date"]),
        (["unique_users"], ["country"]),
        (["events"], ["device"]),
        (["revenue", "purchases"], ["date"]),
        (["pageviews"], ["page_path"]),
        (["sessions", "conversion_rate"], ["channel"]),
        (["sessions"], ["entry_page"]),
        (["events"], ["event_type"]),
    ):
        yield common | {"metrics": metrics, "dimensions": dimensions, "limit": 10}
