"""An HTTP/1.1 proxy in front of S3 that fails on purpose.

```text
footfall serve --- FaultProxy --- SeaweedFS --- pyarrow, python deltalake (they see what is really there)
```

Requests go on as they came, with the client's own Host header: the signature covers it. Which request gets which fault
is drawn from a seeded generator; the order of concurrent requests is not ours, so a seed repeats a mix and not a run.
"""

import asyncio
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

# For one head, with all its headers.
HEAD_BYTES = 64 * 1024

LATENCY_SECONDS = (0.05, 0.5)


class Fault(StrEnum):
    """What happens to one request."""

    # The connection ends after half of the body: the server never received all of it.
    CUT_REQUEST = "cut in the middle of a PUT"
    # The connection ends after half of the response.
    CUT_RESPONSE = "cut in the middle of an answer"
    ERROR_500 = "500 InternalError"
    SLOW_DOWN = "503 SlowDown"
    # The request is not forwarded and never answered.
    SWALLOW = "time-out before the effect"
    # It takes effect and is never answered.
    LOSE_REPLY = "time-out after the effect"
    # It takes effect; the connection ends without a response.
    CUT_REPLY = "cut after the effect"
    LATENCY = "latency"


class Outage(StrEnum):
    """What happens to every request."""

    # There is no listener: the system refuses each connection at once.
    REFUSED = "refused"
    # Connections are accepted and never answered, as behind a firewall that drops packets.
    SILENT = "silent"


@dataclass(frozen=True)
class Request:
    method: str
    # Path and query, as in the request line.
    target: str
    head: bytes
    body: bytes

    @property
    def kind(self) -> str:
        """Its meaning for a Delta table: a `commit`, any other `put`, a `list`, or a `get` (HEAD as well)."""
        url = urlsplit(self.target)
        if self.method == "PUT":
            return "commit" if "/_delta_log/" in url.path and url.path.endswith(".json") else "put"
        if self.method in ("GET", "HEAD"):
            return "list" if "list-type=" in url.query else "get"
        return self.method.lower()


@dataclass(frozen=True)
class Response:
    head: bytes
    body: bytes


def applies(fault: Fault, request: Request) -> bool:
    """Whether this fault can happen to such a request."""
    match fault:
        case Fault.CUT_REQUEST:
            return len(request.body) > 1
        case Fault.CUT_RESPONSE:
            return request.kind in ("get", "list") and request.method == "GET"
        case _:
            return True


class FaultProxy:
    """Runs in a thread of its own from its making until `end`; `endpoint` stays the same through outages.

    `struck` counts faults by what they hit, so that a test can tell that it tested something.
    """

    def __init__(self, upstream: str):
        """`upstream`: http://host:port."""
        url = urlsplit(upstream)
        self._upstream = (url.hostname, url.port)
        self.struck: Counter[tuple[Fault, str]] = Counter()
        # Requests that reached the upstream and whose response reached the client.
        self.passed = 0
        self._kinds: list[Fault] = []
        self._only: frozenset[str] | None = None
        self._share = 0.0
        self._random = random.Random(0)
        self._outage: Outage | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._call(self._listen())

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    # --- for tests; from any thread

    def fail(self, kinds: Iterable[Fault], share: float, seed: int, only: Iterable[str] | None = None) -> None:
        """From now on this share of the requests, or only of these kinds of requests, gets one of the faults."""
        self._kinds, self._share, self._random = list(kinds), share, random.Random(seed)
        self._only = None if only is None else frozenset(only)

    def heal(self) -> None:
        """No more faults, and the end of an outage. What hangs goes on hanging until its client gives up."""
        self._kinds = []
        if self._outage is Outage.REFUSED:
            self._call(self._listen())
        self._outage = None

    def go_dark(self, outage: Outage) -> None:
        """Nothing is reachable until `heal`. Connections that are open end, or fall silent."""
        self._outage = outage
        if outage is Outage.REFUSED:
            self._call(self._close())

    def hits(self, fault: Fault, kind: str | None = None) -> int:
        return sum(n for (what, whom), n in self.struck.items() if what is fault and kind in (None, whom))

    def end(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- its own thread

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self._listener = await asyncio.start_server(
                    self._serve, "127.0.0.1", self._port, limit=HEAD_BYTES, reuse_address=True
                )
                break
            except OSError:
                # An outgoing connection took the port while the proxy did not listen.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        tasks = list(self._connections)
        for writer in self._connections.values():
            _reset(writer)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._connections[task] = writer
        try:
            while request := await _read_request(reader):
                if not await self._handle(request, reader, writer):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # Either side has disconnected: expected here.
            return
        finally:
            del self._connections[task]
            writer.close()

    async def _handle(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can be used for another request."""
        if self._outage:
            await _until_gone(reader)
            return False
        fault = self._draw(request)
        if fault is None:
            return await self._pass(request, writer)
        self.struck[fault, request.kind] += 1
        acts: dict[Fault, Callable[[], Awaitable[bool]]] = {
            Fault.CUT_REQUEST: lambda: self._cut_request(request, writer),
            Fault.CUT_RESPONSE: lambda: self._cut_response(request, writer),
            Fault.ERROR_500: lambda: _refuse(writer, request, "500 Internal Server Error", "InternalError"),
            Fault.SLOW_DOWN: lambda: _refuse(writer, request, "503 Slow Down", "SlowDown"),
            Fault.SWALLOW: lambda: _until_gone(reader),
            Fault.LOSE_REPLY: lambda: self._lose_reply(request, reader),
            Fault.CUT_REPLY: lambda: self._cut_reply(request, writer),
            Fault.LATENCY: lambda: self._delay(request, writer),
        }
        return await acts[fault]()

    def _draw(self, request: Request) -> Fault | None:
        if not self._kinds or (self._only is not None and request.kind not in self._only):
            return None
        if self._random.random() >= self._share:
            return None
        fault = self._random.choice(self._kinds)
        return fault if applies(fault, request) else None

    async def _pass(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        response = await self._ask(request)
        writer.write(response.head + response.body)
        await writer.drain()
        self.passed += 1
        return True

    async def _ask(self, request: Request) -> Response:
        """On a connection of its own: nothing that one fault leaves behind reaches another request."""
        reader, writer = await asyncio.open_connection(*self._upstream, limit=HEAD_BYTES)
        try:
            writer.write(request.head + request.body)
            await writer.drain()
            return await _read_response(reader, request.method)
        finally:
            writer.close()

    async def _cut_request(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        _, upstream = await asyncio.open_connection(*self._upstream)
        upstream.write(request.head + request.body[: len(request.body) // 2])
        await upstream.drain()
        # Time to be read: what is reset before that was never sent.
        await asyncio.sleep(0.02)
        _reset(upstream)
        _reset(writer)
        return False

    async def _cut_response(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        response = await self._ask(request)
        writer.write(response.head + response.body[: len(response.body) // 2])
        await writer.drain()
        await asyncio.sleep(0.02)
        _reset(writer)
        return False

    async def _lose_reply(self, request: Request, reader: asyncio.StreamReader) -> bool:
        await self._ask(request)
        return await _until_gone(reader)

    async def _cut_reply(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        await self._ask(request)
        _reset(writer)
        return False

    async def _delay(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(self._random.uniform(*LATENCY_SECONDS))
        return await self._pass(request, writer)


async def _refuse(writer: asyncio.StreamWriter, request: Request, status: str, code: str) -> bool:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>'
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n\r\n"
    writer.write((head if request.method == "HEAD" else head + text).encode())
    await writer.drain()
    return True


async def _until_gone(reader: asyncio.StreamReader) -> bool:
    """Keeps the connection open without a byte until the client gives up."""
    with suppress(OSError):
        while await reader.read(HEAD_BYTES):
            pass
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection at once, with an RST: what was not sent is not sent."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """None when the client has no more."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    headers = _headers(head)
    assert "chunked" not in headers.get("transfer-encoding", ""), "the client is expected to know its bodies' lengths"
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, head, body)


async def _read_response(reader: asyncio.StreamReader, method: str) -> Response:
    while (head := await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100"):
        pass
    headers, status = _headers(head), int(head.split(b" ", 2)[1])
    if method == "HEAD" or status in (204, 304):
        return Response(head, b"")
    if "chunked" in headers.get("transfer-encoding", ""):
        return Response(head, await _read_chunks(reader))
    if "content-length" in headers:
        return Response(head, await reader.readexactly(int(headers["content-length"])))
    return Response(head, await reader.read())


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """As they are on the wire, up to and including the end of the trailer."""
    raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        raw += line
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
                raw += line
            return raw + line
        raw += await reader.readexactly(size + 2)


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}
