"""Events as clients send them."""

import itertools
import uuid
from datetime import UTC, datetime, timedelta

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)

_numbers = itertools.count()


def new_site() -> str:
    """A tracking id that no other test uses."""
    return f"site-{uuid.uuid4().hex[:12]}"


def ago(**delta: float) -> datetime:
    """A time in the past, in whole milliseconds like browsers' clocks."""
    time = datetime.now(UTC) - timedelta(**delta)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def pageview(site: str, **fields) -> dict:
    """A plain valid event with an id of its own."""
    number = next(_numbers)
    return {
        "tracking_id": site,
        "event_id": f"event-{uuid.uuid4().hex}",
        "client_id": f"visitor-{number % 50}",
        "session_id": f"session-{number % 50}",
        "event_type": "pageview",
        "timestamp": rfc3339(ago(minutes=5)),
        "page": {"url": f"https://shop.example/p/{number}", "title": f"Page {number}"},
    } | fields


def pageviews(site: str, count: int, **fields) -> list[dict]:
    return [pageview(site, **fields) for _ in range(count)]
