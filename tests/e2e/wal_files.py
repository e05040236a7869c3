"""The files of the WAL, parsed by their format (`ingest::wal::record`, `segment`), and corrupted on purpose."""

import struct
from dataclasses import dataclass
from pathlib import Path

HEADER_COPY = 64
HEADER = 2 * HEADER_COPY
# magic, checksum, payload's length, index in its group, position
FRAME = struct.Struct("<4sIIIQ")
RECORD, SEAL = b"\xff\xf8R\x01", b"\xff\xf8S\x01"


@dataclass(frozen=True)
class Frame:
    """A record or a seal, and where it lies in its file."""

    sealing: bool
    position: int
    start: int
    end: int

    @property
    def payload(self) -> int:
        return self.start + FRAME.size


def segments(state: Path) -> list[Path]:
    """Oldest first."""
    return sorted((state / "wal").glob("*.log"))


def frames(segment: Path) -> list[Frame]:
    """Of a sound file."""
    content, found, at = segment.read_bytes(), [], HEADER
    while at < len(content):
        magic, _, length, _, position = FRAME.unpack_from(content, at)
        assert magic in (RECORD, SEAL), f"{segment} has neither a record nor a seal at byte {at}: {magic!r}"
        found.append(Frame(magic == SEAL, position, at, at + FRAME.size + length))
        at = found[-1].end
    return found


def records(segment: Path) -> list[Frame]:
    return [frame for frame in frames(segment) if not frame.sealing]


def flip_bit(file: Path, at: int, bit: int = 3) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1 << bit
    file.write_bytes(content)


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
