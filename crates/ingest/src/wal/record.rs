//! The format of one record on disk. Pure: bytes in, bytes out.
//!
//! ```text
//! magic 4 | crc32 4 | payload length 4 | index in its group 4 | position 8 | payload      (little endian)
//! ```
//!
//! The checksum covers the WAL's id (not stored in the record), the other header fields and the payload, so that a
//! record of another WAL, left over on a recycled disk block or planted by a client inside a payload, is never taken
//! for one of this WAL. The magic begins with bytes that occur in no UTF-8 text.
//!
//! A *group* is what one write and one fsync store. Everything before the first position of a record's group was
//! durable when this record was written: that distinguishes damage from a torn tail (see [`super`]).
//! A *seal* is a record without payload that states the same of the last group when nothing follows it.

use super::Position;

/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER: usize = 24;

/// The format's own limit, in bytes, so that a damaged length cannot make a reader ask for much memory.
pub(super) const MAX_PAYLOAD: usize = 32 << 20;

/// No WAL reaches so many records, and the lake keeps positions as signed numbers: a higher position is damage.
pub(super) const MAX_POSITION: Position = Position::MAX / 2;

/// The first byte of every frame: a reader searches for it behind damage.
pub(super) const FIRST_BYTE: u8 = 0xFF;

const RECORD: [u8; 4] = [FIRST_BYTE, 0xF8, b'R', 1];
const SEAL: [u8; 4] = [FIRST_BYTE, 0xF8, b'S', 1];

/// Which WAL a segment or record belongs to: random, drawn when the WAL is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WalId(pub(super) [u8; 16]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Record,
    /// Everything up to and including its position was durable when it was written.
    Seal,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: FrameKind,
    pub(super) position: Position,
    /// How many records of the same group come before this one.
    pub(super) index: u32,
    /// Payload bytes.
    pub(super) length: usize,
    checksum: u32,
}

impl Head {
    /// The first position of the group; everything before it was durable when this was written.
    pub(super) fn group_first(&self) -> Position {
        self.position - Position::from(self.index)
    }

    /// Bytes of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEADER + self.length
    }

    /// Reads a header whose checksum is still to be checked.
    pub(super) fn parse(bytes: &[u8; FRAME_HEADER]) -> Result<Self, &'static str> {
        let kind = match bytes[0..4] {
            ref magic if *magic == RECORD => FrameKind::Record,
            ref magic if *magic == SEAL => FrameKind::Seal,
            _ => return Err("no record begins here"),
        };
        let head = Self {
            kind,
            position: u64::from_le_bytes(take(bytes, 16)),
            index: u32::from_le_bytes(take(bytes, 12)),
            length: u32::from_le_bytes(take(bytes, 8)) as usize,
            checksum: u32::from_le_bytes(take(bytes, 4)),
        };
        if head.position > MAX_POSITION {
            return Err("the record's position is impossible");
        }
        if head.length > MAX_PAYLOAD {
            return Err("the record's length is impossible");
        }
        if kind == FrameKind::Seal && (head.length, head.index) != (0, 0) {
            return Err("the seal is malformed");
        }
        if kind == FrameKind::Record && Position::from(head.index) >= head.position {
            return Err("the record's place in its group is impossible");
        }
        Ok(head)
    }
}

/// What the bytes at an offset are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    Whole(Head),
    /// So many bytes are needed to decide.
    Short(usize),
    Broken(&'static str),
}

/// Decodes the frame at the start of `bytes`.
pub(super) fn decode(bytes: &[u8], id: WalId) -> Decoded {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER>() else {
        return Decoded::Short(FRAME_HEADER);
    };
    let head = match Head::parse(header) {
        Ok(head) => head,
        Err(reason) => return Decoded::Broken(reason),
    };
    match rest.get(..head.length) {
        None => Decoded::Short(head.frame_bytes()),
        Some(payload) if checksum(id, header, payload) == head.checksum => Decoded::Whole(head),
        Some(_) => Decoded::Broken("the checksum does not match"),
    }
}

/// Appends a record, the `index`-th of the group that begins at `group_first`. The payload is at most
/// [`MAX_PAYLOAD`] bytes.
pub(super) fn encode_record(out: &mut Vec<u8>, id: WalId, group_first: Position, index: u32, payload: &[u8]) {
    encode(out, id, RECORD, index, group_first + Position::from(index), payload);
}

/// The seal behind the record at `durable`.
pub(super) fn encode_seal(out: &mut Vec<u8>, id: WalId, durable: Position) {
    encode(out, id, SEAL, 0, durable, &[]);
}

fn encode(out: &mut Vec<u8>, id: WalId, magic: [u8; 4], index: u32, position: Position, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_PAYLOAD, "checked before a record is accepted");
    let mut header = [0; FRAME_HEADER];
    header[0..4].copy_from_slice(&magic);
    header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[12..16].copy_from_slice(&index.to_le_bytes());
    header[16..24].copy_from_slice(&position.to_le_bytes());
    let checksum = checksum(id, &header, payload);
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

fn checksum(id: WalId, header: &[u8; FRAME_HEADER], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.0);
    hasher.update(&header[0..4]);
    hasher.update(&header[8..]);
    hasher.update(payload);
    hasher.finalize()
}

/// `N` bytes of a fixed array, from `at`.
fn take<const N: usize>(bytes: &[u8; FRAME_HEADER], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: WalId = WalId([7; 16]);

    fn encoded(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_record(&mut out, ID, 40, 2, payload);
        out
    }

    #[test]
    fn encoded_frames_decode() {
        let Decoded::Whole(head) = decode(&encoded(b"payload"), ID) else {
            panic!("whole")
        };
        assert_eq!(
            (head.kind, head.position, head.group_first(), head.length),
            (FrameKind::Record, 42, 40, 7)
        );
        let mut seal = Vec::new();
        encode_seal(&mut seal, ID, 42);
        let Decoded::Whole(head) = decode(&seal, ID) else {
            panic!("whole")
        };
        assert_eq!(
            (head.kind, head.position, head.frame_bytes()),
            (FrameKind::Seal, 42, FRAME_HEADER)
        );
    }

    #[test]
    fn partial_record_is_short_with_needed_bytes() {
        let whole = encoded(b"payload");
        for cut in 0..whole.len() {
            let needed = if cut < FRAME_HEADER { FRAME_HEADER } else { whole.len() };
            assert_eq!(decode(&whole[..cut], ID), Decoded::Short(needed), "cut at {cut}");
        }
    }

    #[test]
    fn flipped_bit_or_foreign_id_is_broken() {
        let whole = encoded(b"payload");
        assert!(matches!(decode(&whole, WalId([8; 16])), Decoded::Broken(_)));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&flipped, ID), Decoded::Whole(_)), "bit {bit}");
        }
    }
}
