//! A segment file: its name and its header. Pure, except for reading the header.
//!
//! The file is named by the first position in it, 20 digits, `.log`. The header is written twice, so that a flipped
//! bit in it costs nothing, and holds the WAL's id, so that segments of different WALs cannot be mixed:
//!
//! ```text
//! magic 8 | version 4 | WAL id 16 | first position 8 | zeros 24 | crc32 4        twice, then the records
//! ```
//!
//! A segment is written under a temporary name, synced and renamed: a name that ends in `.log` has a whole header.

use std::io;

use super::Position;
use super::disk::{WalFile, read_full};
use super::record::WalId;

/// Bytes before the first record: both copies of the header.
pub(super) const HEADER_BYTES: u64 = 2 * COPY as u64;

const COPY: usize = 64;
const MAGIC: [u8; 8] = *b"FFLOGSEG";
const VERSION: u32 = 1;
const SUFFIX: &str = ".log";

/// The suffix of a segment that is being created.
pub(super) const TEMPORARY: &str = ".tmp";

/// The file that holds records from `first` on.
pub(super) fn file_name(first: Position) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first position of the segment of that name, if it is a segment's name.
pub(super) fn first_of(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The header's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: WalId,
    pub(super) first: Position,
}

/// The state of a header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderState {
    Whole(Header),
    /// One of the two copies is damaged.
    HalfDamaged(Header),
    Damaged,
    /// Whole, but of a format that this program does not know.
    Version(u32),
}

impl Header {
    /// Both copies.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = [0; COPY];
        copy[0..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
        copy[12..28].copy_from_slice(&self.id.0);
        copy[28..36].copy_from_slice(&self.first.to_le_bytes());
        let checksum = crc32fast::hash(&copy[..60]);
        copy[60..].copy_from_slice(&checksum.to_le_bytes());
        [copy, copy].concat()
    }

    /// Reads the header of `file`.
    pub(super) fn read(file: &dyn WalFile) -> io::Result<HeaderState> {
        let mut bytes = [0; 2 * COPY];
        let read = read_full(file, &mut bytes, 0)?;
        let copy = |at: usize| {
            bytes
                .get(at..at + COPY)
                .filter(|_| at + COPY <= read)
                .and_then(decode_copy)
        };
        Ok(match (copy(0), copy(COPY)) {
            (Some(a), Some(b)) if a == b => a,
            (Some(HeaderState::Whole(header)), _) | (_, Some(HeaderState::Whole(header))) => {
                HeaderState::HalfDamaged(header)
            }
            (Some(other), _) | (_, Some(other)) => other,
            (None, None) => HeaderState::Damaged,
        })
    }
}

fn decode_copy(copy: &[u8]) -> Option<HeaderState> {
    let field = |at: usize, bytes: usize| copy.get(at..at + bytes);
    if field(0, 8)? != MAGIC || field(60, 4)? != crc32fast::hash(field(0, 60)?).to_le_bytes() {
        return None;
    }
    let version = u32::from_le_bytes(field(8, 4)?.try_into().ok()?);
    if version != VERSION {
        return Some(HeaderState::Version(version));
    }
    let id = WalId(field(12, 16)?.try_into().ok()?);
    let first = u64::from_le_bytes(field(28, 8)?.try_into().ok()?);
    Some(HeaderState::Whole(Header { id, first }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_encode_and_sort_by_first_position() {
        assert_eq!(file_name(42), "00000000000000000042.log");
        assert_eq!(first_of(&file_name(Position::MAX)), Some(Position::MAX));
        assert!(file_name(99) < file_name(100));
        for other in [
            "42.log",
            "lock",
            "00000000000000000042.tmp",
            "+0000000000000000042.log",
            "99999999999999999999.log",
        ] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}
