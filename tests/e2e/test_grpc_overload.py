"""What a gRPC client may take of the server: before its token was checked, and after. `make bench-grpc-flood` does it
with full numbers."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

import lakes
from events import new_site, pageviews
from h2_flood import Flood
from server import Server

MIB = 2**20
FLIGHT = "/arrow.flight.protocol.FlightService"
PUBLISH = "/footfall.v1.IngestService/Publish"

# `ingest.in_flight_bytes` is 16 MiB, the windows of 8 connections 512 KiB; the rest is for streams and allocators.
# Without a bound the same messages take 450 MiB (events) and 1,900 MiB (Flight).
GROWTH = 64 * MIB


@pytest.fixture
def local(make_server, tmp_path: Path) -> Server:
    """What is tested here lies before the lake."""
    server = make_server(lakes.local(tmp_path / "lake"))
    # Loads what every later query needs.
    server.query("SELECT count(*) FROM events")
    return server


@pytest.mark.parametrize(
    ("path", "size", "token"),
    [
        (f"{FLIGHT}/GetFlightInfo", 4 * MIB, None),
        (f"{FLIGHT}/GetFlightInfo", 4 * MIB, "reader"),
        (f"{FLIGHT}/DoPut", 4 * MIB, "reader"),
        (PUBLISH, MIB, None),
        (PUBLISH, MIB, "writer"),
    ],
)
def test_half_sent_messages_respect_memory_limit(local: Server, path: str, size: int, token):
    site = local.create_site(new_site())
    secret = local.create_token(token, [site]) if token else None
    before = memory(local)
    address = urlsplit(local.flight)
    flood = Flood((address.hostname, address.port), path, secret, connections=8, messages=60, message_bytes=size)
    flood.run(seconds=4)
    try:
        # Streams that show no token where they need one end their connection.
        assert flood.begun == 480 or (token is None and flood.ended["connection: closed by the server"] == 8)
        assert memory(local) - before < GROWTH, f"{before / MIB:.0f} MiB before, {memory(local) / MIB:.0f} MiB now"
        # Others are served meanwhile.
        assert local.request("GET", "/health").status == 200
        local.accept(pageviews(site, 1))
        local.wait_for_events(site, 1)
    finally:
        flood.close()
    assert memory(local, "VmHWM") - before < 2 * GROWTH


@pytest.mark.parametrize(("token", "method"), [(None, "GetFlightInfo"), ("wrong", "GetFlightInfo"), ("wrong", "Publish")])
def test_token_is_checked_before_message(local: Server, token: str | None, method: str):
    path = PUBLISH if method == "Publish" else f"{FLIGHT}/{method}"
    with pytest.raises(grpc.RpcError) as refused, _silent() as messages:
        _call(local, path, messages, token)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED, refused.value


def test_connection_with_many_refused_tokens_is_closed(local: Server):
    address = urlsplit(local.flight)
    flood = Flood(
        (address.hostname, address.port), f"{FLIGHT}/GetFlightInfo", "wrong", connections=1, messages=2_000, message_bytes=10
    )
    flood.run(seconds=10)
    assert flood.ended["connection: closed by the server"] == 1, flood.ended
    assert flood.ended["answered"] < 1_000
    # A client with a valid token is served.
    assert local.query("SELECT 1 AS one")["one"].to_pylist() == [1]


def test_missing_message_times_out(make_server, tmp_path: Path):
    server = make_server(lakes.local(tmp_path / "lake"), FOOTFALL_INGEST__BODY_TIMEOUT="1s")
    with pytest.raises(grpc.RpcError) as refused, _silent() as messages:
        _call(server, f"{FLIGHT}/GetFlightInfo", messages, server.admin_token)
    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not arrive within 1 s" in refused.value.details()


def test_empty_events_are_counted_not_decoded(local: Server):
    before = memory(local)
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as refused:
            _call(local, PUBLISH, iter([b"\x0a\x00" * (MIB // 2)]), None)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert f"a batch has {MIB // 2} events" in refused.value.details()
    assert memory(local, "VmHWM") - before < GROWTH


def memory(server: Server, which: str = "VmRSS") -> int:
    """Bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"^{which}:\s*(\d+) kB", status, re.MULTILINE)[1]) * 1024


def _call(server: Server, path: str, messages: Iterator[bytes], token: str | None) -> bytes:
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(server.flight.split("://", 1)[1]) as channel:
        # Whatever the method is on the server: a call with as many messages as are there.
        return channel.stream_unary(path)(messages, timeout=20, metadata=metadata)


class _silent:
    """A stream of messages whose first one does not come, until the block ends."""

    def __enter__(self) -> Iterator[bytes]:
        self._over = threading.Event()
        return self._wait()

    def _wait(self) -> Iterator[bytes]:
        self._over.wait(30)
        yield from ()

    def __exit__(self, *_) -> None:
        self._over.set()
