"""Overload is refused, not absorbed; `make bench-overload` tests it at full rate."""

import json
import os
import select
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

import lakes
import server as servers
from events import new_site
from server import Server

# Heads, and the first bytes of HTTP/2, may take 10 s; the rest is for a busy machine.
ENDED_SECONDS = 25

HEAD = "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def start(make_server, tmp_path: Path):
    """A server on a folder: what is tested here lies before the lake."""
    return lambda **settings: make_server(lakes.local(tmp_path / "lake"), **settings)


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=ENDED_SECONDS)


def test_slow_clients_are_disconnected(start):
    server = start(FOOTFALL_INGEST__BODY_TIMEOUT="1s")
    with ExitStack() as stack:
        silent, half, slow, silent_grpc = (
            stack.enter_context(connect(url)) for url in (server.http, server.http, server.http, server.flight)
        )
        began = time.monotonic()
        half.sendall(HEAD[:40].encode())
        slow.sendall(f"{HEAD}Content-Length: 1000\r\n\r\n[".encode())
        assert _rest(slow).startswith(b"HTTP/1.1 408 "), "a body that does not come is answered"
        assert _rest(silent) == _rest(half) == b"", "a client without a request gets no reply"
        # Its settings, with which a server begins.
        assert len(_rest(silent_grpc)) < 100
        assert time.monotonic() - began < ENDED_SECONDS


def _rest(connection: socket.socket) -> bytes:
    """Until the server hangs up; fails if it does not."""
    received = b""
    while chunk := connection.recv(4096):
        received += chunk
    return received


def test_full_wal_refuses_events_and_keeps_acknowledged(start):
    server = start(
        FOOTFALL_WAL__MAX_BYTES="256KiB",
        FOOTFALL_INGEST__FLUSH_INTERVAL="2s",
    )
    site = server.create_site(new_site())
    statuses, acknowledged, waits = Counter(), Counter(), set()
    lock, end = threading.Lock(), time.monotonic() + 6

    def send(sender: int) -> None:
        pool, number = urllib3.PoolManager(retries=False, timeout=30), 0
        while time.monotonic() < end:
            number += 1
            batch = [_event(site, f"{sender}-{number}-{n}") for n in range(50)]
            reply = pool.request("POST", f"{server.http}/api/v1/events", body=json.dumps(batch), headers=_JSON)
            with lock:
                statuses[reply.status] += 1
                acknowledged[sender] += 50 * (reply.status == 204)
                waits.add(reply.headers.get("Retry-After"))

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert set(statuses) == {204, 503}, statuses
    assert waits == {None, "5"}, "a refusal says when to retry"
    server.wait_for_events(site, acknowledged.total())
    ids = server.query(f"SELECT count(DISTINCT event_id) AS ids FROM events WHERE tracking_id = '{site}'")
    assert ids["ids"].to_pylist() == [acknowledged.total()]
    server.accept(_event(site, "there is room again"))


_JSON = {"Content-Type": "application/json"}


def _event(site: str, event_id: str) -> dict:
    return {"tracking_id": site, "client_id": "c", "event_type": "pageview", "event_id": event_id, "page": _PAGE}


_PAGE = {"url": "https://shop.example/", "title": "A title of some length, so that the WAL fills sooner" * 4}


@pytest.fixture
def few_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Servers may open no more files than this."""
    limit, wrapper = 256, tmp_path / "footfall-with-few-descriptors"
    wrapper.write_text(f'#!/bin/sh\nulimit -n {limit} && exec "{servers.binary()}" "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("FOOTFALL_BIN", str(wrapper))
    yield limit


def test_connections_leave_descriptors_for_storage(start, few_descriptors):
    server: Server = start()
    site = server.create_site(new_site())
    with ExitStack() as stack:
        first = stack.enter_context(connect(server.http))
        for _ in range(2 * few_descriptors):
            stack.enter_context(connect(server.http))
        first.sendall(_request(site, "early"))
        assert first.recv(4096).startswith(b"HTTP/1.1 204 "), "the first clients are served"
        # Through the WAL, into the lake, and out by a query: all of it opens files.
        server.wait_for_events(site, 1)
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) < few_descriptors
    assert "Too many open files" not in server.log.read_text()
    server.accept(_event(site, "late"))
    server.wait_for_events(site, 2)


def test_excess_connection_gets_reply(start, few_descriptors):
    server: Server = start()
    site = server.create_site(new_site())
    connections = [connect(server.http) for _ in range(2 * few_descriptors)]
    for connection in connections:
        connection.sendall(_request(site, "one"))
    replies = _first_replies(connections)
    assert set(replies) == {b"HTTP/1.1 204", b"HTTP/1.1 503"}, replies
    server.wait_for_events(site, 1)


def _request(site: str, event_id: str) -> bytes:
    body = json.dumps(_event(site, event_id)).encode()
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _first_replies(connections: list[socket.socket]) -> Counter[bytes]:
    """Each client's reply, in order of arrival. Fails if a client gets none."""
    replies, waiting, end = Counter(), set(connections), time.monotonic() + ENDED_SECONDS
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{len(waiting)} connections got no reply; the others {replies}"
        for connection in ready:
            replies[connection.recv(4096)[:12]] += 1
            connection.close()
            waiting.remove(connection)
    return replies
