"""Reports computed plainly, row by row, from what Flight SQL has of events and sessions: what the gateway must say."""

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from events import pageview, rfc3339
from server import Server

Row = dict[str, Any]

PATHS = ["/", "/shoes", "/shoes/7", "/blog/it's", "/check%20out"]
PLANS = ["free", "pro", "pro \"max\"", None]


def clock_changes(zone: str) -> list[date]:
    """The last days of 23 and of 25 hours that are at least a day ago."""
    info, found = ZoneInfo(zone), []
    day = datetime.now(UTC).date() - timedelta(days=2)
    while len(found) < 2:
        offsets = {datetime(day.year, day.month, day.day, hour, tzinfo=info).utcoffset() for hour in (0, 12)}
        if len(offsets) == 2:
            found.append(day)
        day -= timedelta(days=1)
    return found


def random_events(site: str, seed: int, count: int, days: Iterable[date]) -> list[dict]:
    """Events on and around these days, UTC."""
    rng = random.Random(seed)
    days = list(days)
    events = []
    for _ in range(count):
        day = rng.choice(days)
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=rng.uniform(-86_400, 2 * 86_400))
        plan = rng.choice(PLANS)
        event = pageview(
            site,
            client_id=f"visitor-{rng.randrange(80)}",
            event_type=rng.choice(["pageview", "pageview", "pageview", "click", "purchase"]),
            timestamp=rfc3339(at),
            page={"url": "https://shop.example" + rng.choice(PATHS)},
            user={"country": rng.choice(["DE", "US", "NP"]), "device": rng.choice(["desktop", "mobile"])},
            utm={"source": "news", "medium": "email"} if rng.random() < 0.3 else {},
            custom_properties={"price": rng.randrange(100)} | ({"plan": plan} if plan else {}),
        )
        if rng.random() < 0.2:
            event["revenue"] = str(Decimal(rng.randrange(1, 100_000)) / 100)
        events.append(event)
        # More of the same session.
        for minutes in range(rng.choice([0, 0, 1, 3])):
            later = rfc3339(at + timedelta(minutes=7 * (minutes + 1)))
            events.append(event | {"event_id": f"{event['event_id']}-{minutes}", "timestamp": later})
    return events


class Reference:
    """All events and sessions of a site."""

    def __init__(self, server: Server, site: str):
        self.site = site
        self.events = server.query(f"SELECT * FROM events WHERE tracking_id = '{site}'").to_pylist()
        self.sessions = server.query(f"SELECT * FROM sessions WHERE tracking_id = '{site}'").to_pylist()

    def rows(
        self, metrics: list[str], dimensions: list[str], zone: str, first: date, last: date, keep: Callable[[Row], bool]
    ) -> dict[tuple, Row]:
        """The metrics of each combination of dimensions that has a row."""
        start, end = (datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(zone)) for d in (first, last + timedelta(days=1)))
        known = {row["client_id"] for row in self.events if row["event_timestamp"] < start}
        groups: dict[tuple, dict[str, list[Row]]] = defaultdict(lambda: {"events": [], "sessions": [], "exits": []})
        needed = {base for metric in metrics for base in BASES[metric]}
        for base, rows, at, renamed in (
            ("events", self.events, "event_timestamp", {}),
            ("sessions", self.sessions, "session_start", {"page_path": "entry_page"}),
            ("exits", self.sessions, "session_start", {"page_path": "exit_page"}),
        ):
            for row in rows if base in needed else ():
                seen = row | {name: row[column] for name, column in renamed.items()}
                if start <= row[at] < end and keep(seen):
                    key = tuple(dimension(name, seen, row[at].astimezone(ZoneInfo(zone))) for name in dimensions)
                    groups[key][base].append(row)
        if not dimensions:
            groups[()]  # noqa: B018: there is one row, whatever there is in it
        return {key: {metric: METRICS[metric](group, known) for metric in metrics} for key, group in groups.items()}


def dimension(name: str, row: Row, local: datetime) -> Any:
    day = local.date()
    match name:
        case "date":
            return day.isoformat()
        case "week":
            return (day - timedelta(days=day.weekday())).isoformat()
        case "month":
            return day.replace(day=1).isoformat()
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1).isoformat()
        case "year":
            return day.replace(month=1, day=1).isoformat()
        case "hour":
            # `replace` would forget which of two equal hours it is.
            return instant(local.astimezone(UTC) - timedelta(minutes=local.minute, seconds=local.second,
                                                             microseconds=local.microsecond))  # fmt: skip
        case "hour_of_day":
            return local.hour
        case "weekday":
            return local.isoweekday()
        case "custom_properties.plan":
            return json.loads(row["custom_properties"]).get("plan")
    return row[name]


def instant(value: datetime | str) -> str:
    """A moment in one spelling."""
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC).isoformat()


Group = dict[str, list[Row]]


def number(base: str, keep: Callable[[Row], Any] = lambda row: True) -> Callable[[Group, set], int]:
    return lambda group, known: sum(1 for row in group[base] if keep(row))


def ratio(part: Callable[[Group, set], Any], whole: Callable[[Group, set], Any]) -> Callable[[Group, set], float | None]:
    return lambda group, known: (float(part(group, known)) / w) if (w := whole(group, known)) else None


def visitors(keep: Callable[[str, set], bool] = lambda client, known: True) -> Callable[[Group, set], int]:
    return lambda group, known: len({r["client_id"] for r in group["events"] if keep(r["client_id"], known)})


def total(base: str, column: str, keep: Callable[[Row], Any] = lambda row: True) -> Callable[[Group, set], float]:
    return lambda group, known: float(sum(row[column] or 0 for row in group[base] if keep(row)))


pageviews_ = number("events", lambda row: row["event_type"] == "pageview")
purchases_ = number("events", lambda row: row["event_type"] == "purchase")
sessions_ = number("sessions")
engaged_ = number("sessions", lambda row: row["engaged"])
converted_ = number("sessions", lambda row: row["converted"])
exits_ = number("exits", lambda row: row["exit_page"] is not None)

METRICS: dict[str, Callable[[Group, set], Any]] = {
    "events": number("events"),
    "pageviews": pageviews_,
    "unique_users": visitors(),
    "new_users": visitors(lambda client, known: client not in known),
    "returning_users": visitors(lambda client, known: client in known),
    "active_users": lambda group, known: len({row["client_id"] for row in group["sessions"] if row["engaged"]}),
    "sessions": sessions_,
    "bounce_rate": ratio(number("sessions", lambda row: row["bounced"]), sessions_),
    "engaged_sessions": engaged_,
    "engagement_rate": ratio(engaged_, sessions_),
    "avg_session_duration": ratio(total("sessions", "session_duration"), sessions_),
    "pages_per_session": ratio(total("sessions", "pageview_count"), sessions_),
    "entrances": number("sessions", lambda row: row["entry_page"] is not None),
    "exits": exits_,
    "exit_rate": ratio(exits_, pageviews_),
    "conversions": converted_,
    "conversion_rate": ratio(converted_, sessions_),
    "revenue": total("events", "revenue"),
    "purchases": purchases_,
    "average_order_value": ratio(total("events", "revenue", lambda row: row["event_type"] == "purchase"), purchases_),
    "revenue_per_visitor": ratio(total("events", "revenue"), visitors()),
}

_EVENTS = {"events", "pageviews", "unique_users", "new_users", "returning_users", "revenue", "purchases",
           "average_order_value", "revenue_per_visitor"}  # fmt: skip
BASES = {name: ["events"] if name in _EVENTS else ["sessions"] for name in METRICS}
BASES |= {"exits": ["exits"], "exit_rate": ["exits", "events"]}


def close(found: Any, expected: Any) -> bool:
    if expected is None or found is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
