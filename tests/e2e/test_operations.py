"""Endpoints for operators: health and metrics."""

import re
import stat

from events import pageviews
from server import Server


def samples(server: Server) -> dict[str, float]:
    """Each sample of `/metrics`, labels included in the name."""
    reply = server.request("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/plain")
    lines = [line for line in reply.body.decode().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z_]+(\{.*\})? \S+", line) for line in lines), lines
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def total(found: dict[str, float], name: str) -> float:
    return sum(value for key, value in found.items() if key == name or key.startswith(name + "{"))


def test_server_is_healthy_and_ready(server: Server):
    assert server.request("GET", "/health").status == 200
    assert server.request("GET", "/ready").status == 200


def test_metrics_count_events(server: Server, site: str):
    before = samples(server)
    server.accept(pageviews(site, 7))
    server.post([{"tracking_id": site}, *pageviews(site, 2)])
    server.wait_for_events(site, 9)
    after = samples(server)

    def grown(name: str) -> float:
        return total(after, name) - total(before, name)

    assert grown("footfall_ingest_events_accepted_total") == 9
    assert grown("footfall_ingest_events_rejected_total") == 1
    assert grown("footfall_wal_fsyncs_total") >= 1
    assert grown("footfall_query_seconds_count") >= 1


def test_unknown_path_is_not_found(server: Server):
    assert server.request("GET", "/nothing").status == 404


def test_admin_token_file_is_private(server: Server):
    assert stat.S_IMODE((server.state / "admin.token").stat().st_mode) == 0o600


def test_metric_names_have_prefix(server: Server):
    assert all(name.startswith("footfall_") for name in samples(server))
