//! A language of one-byte orders that leave segment files: bytes at random would never have a right checksum. The
//! format is written here a second time, from its description.

use std::collections::BTreeMap;

use bytes::Bytes;

/// The log's id.
pub(crate) const ID: [u8; 16] = *b"the log's own id";

const OTHER_ID: [u8; 16] = *b"another log's id";
const HEADER: usize = 128;
const RECORD: [u8; 4] = [0xFF, 0xF8, b'R', 1];
const SEAL: [u8; 4] = [0xFF, 0xF8, b'S', 1];

/// Images stay small, whatever the program says.
const MAX_BYTES: usize = 512 << 10;

/// The argument that makes a long payload.
const LONG: u8 = 0x9D;

/// A record at its place, and where in the file it ends.
struct Whole {
    position: u64,
    payload: Bytes,
    end: usize,
}

/// A segment that is being written.
#[derive(Default)]
struct Segment {
    /// Of another log.
    strange: bool,
    first: u64,
    bytes: Vec<u8>,
    /// Both copies of the header, as far as nobody touched them.
    headers: [bool; 2],
    /// The records before anything that does not belong there.
    whole: Vec<Whole>,
    /// Nothing but records and seals in their order so far.
    untouched: bool,
    /// The next position.
    next: u64,
    /// How many records the group has.
    group: u32,
    last_frame: Vec<u8>,
}

/// What is on the disk.
#[derive(Default)]
pub(crate) struct Image {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// All is as a log leaves it after an orderly stop.
    pub(crate) untouched: bool,
    segments: BTreeMap<u64, Segment>,
}

struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

impl Image {
    pub(crate) fn run(program: &[u8]) -> Self {
        let mut program = Program(program);
        let mut image = Self {
            untouched: true,
            ..Self::default()
        };
        let mut segment = Segment::begin(1, &ID);
        let mut written = 0;
        while let Some(order) = program.byte() {
            let argument = program.byte().unwrap_or_default();
            if written > MAX_BYTES {
                break;
            }
            match order % 14 {
                // The next segment, where the last one ends or somewhere near.
                0 => {
                    let first = segment.next.wrapping_add_signed(i64::from(argument as i8));
                    image.untouched &= argument == 0 && !segment.whole.is_empty();
                    let next = Segment::begin(first, &ID);
                    image.keep(std::mem::replace(&mut segment, next));
                }
                // The next segment, of another log.
                1 => {
                    let next = Segment::begin(segment.next, &OTHER_ID);
                    image.untouched = false;
                    image.keep(std::mem::replace(&mut segment, next));
                }
                2 => segment.record(program.bytes(argument.into()), true),
                3 => segment.record(program.bytes(argument.into()), false),
                4 => segment.seal(0),
                5 => segment.seal(argument as i8),
                6 => segment.raw(program.bytes(argument.into())),
                7 => segment.raw(&vec![0; 8 * usize::from(argument)]),
                8 => segment.raw(&segment.last_frame.clone()),
                9 => segment.flip(usize::from(argument)),
                10 => segment.cut(usize::from(argument)),
                // A long payload; the longest crosses the reader's chunks, and is rare because it costs time.
                11 => {
                    let times = if argument == LONG { 2000 } else { 2 };
                    segment.record(&vec![argument; times * usize::from(argument)], true);
                }
                // A record with a place of its own: far away, or again.
                12 => {
                    let mut position = [argument; 8];
                    let given = program.bytes(8);
                    position[..given.len()].copy_from_slice(given);
                    segment.stray(u64::from_le_bytes(position), u32::from(argument), b"stray");
                }
                // A bit of the header.
                _ => segment.flip_header(usize::from(argument)),
            }
            written += segment.last_frame.len() + 8 * usize::from(argument);
        }
        image.keep(segment);
        image
    }

    fn keep(&mut self, segment: Segment) {
        self.untouched &= segment.untouched && segment.headers == [true; 2];
        self.files
            .insert(format!("{:020}.log", segment.first), segment.bytes.clone());
        self.segments.insert(segment.first, segment);
    }

    /// What a reader must find in a log that opens: whole records before any damage, up to where the next segment
    /// begins. Nothing, if no header tells for sure which log it is.
    pub(crate) fn promised(&self) -> impl Iterator<Item = (u64, Bytes)> {
        let is_ours = |segment: &Segment| !segment.strange && segment.headers.contains(&true);
        let ours = self.segments.values().any(is_ours);
        let limits = self.segments.keys().skip(1).map(|first| first - 1).chain([u64::MAX]);
        let parts = self.segments.values().zip(limits).filter(move |_| ours);
        parts.flat_map(|(segment, limit)| {
            let whole = segment.whole.iter().filter(move |record| record.position <= limit);
            whole.map(|record| (record.position, record.payload.clone()))
        })
    }
}

impl Segment {
    fn begin(first: u64, id: &[u8; 16]) -> Self {
        let mut copy = [0; HEADER / 2];
        copy[..8].copy_from_slice(b"FFLOGSEG");
        copy[8..12].copy_from_slice(&1_u32.to_le_bytes());
        copy[12..28].copy_from_slice(id);
        copy[28..36].copy_from_slice(&first.to_le_bytes());
        let sum = crc32fast::hash(&copy[..60]);
        copy[60..].copy_from_slice(&sum.to_le_bytes());
        Self {
            strange: *id != ID,
            first,
            bytes: [copy, copy].concat(),
            headers: [true; 2],
            untouched: true,
            next: first,
            ..Self::default()
        }
    }

    fn record(&mut self, payload: &[u8], new_group: bool) {
        let position = self.next;
        self.group = if new_group || self.group == 0 {
            1
        } else {
            self.group + 1
        };
        // Records are numbered from 1 to what a signed number holds, and an old seal is written over.
        self.untouched &= (1..=u64::MAX / 2).contains(&position) && !self.last_frame.starts_with(&SEAL);
        self.frame(RECORD, self.group - 1, position, payload);
        self.next = position.wrapping_add(1);
        if self.untouched {
            self.whole.push(Whole {
                position,
                payload: Bytes::copy_from_slice(payload),
                end: self.bytes.len(),
            });
        }
    }

    fn seal(&mut self, off: i8) {
        self.untouched &= off == 0 && !self.last_frame.starts_with(&SEAL);
        self.group = 0;
        self.frame(SEAL, 0, self.next.wrapping_sub(1).wrapping_add_signed(off.into()), &[]);
    }

    fn stray(&mut self, position: u64, index: u32, payload: &[u8]) {
        self.untouched = false;
        self.group = 0;
        self.frame(RECORD, index, position, payload);
        self.next = position.wrapping_add(1);
    }

    fn frame(&mut self, magic: [u8; 4], index: u32, position: u64, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short");
        let fields = [
            &length.to_le_bytes()[..],
            &index.to_le_bytes(),
            &position.to_le_bytes(),
            payload,
        ]
        .concat();
        let sum = crc32fast::hash(&[&ID[..], &magic, &fields].concat());
        self.last_frame = [&magic[..], &sum.to_le_bytes(), &fields].concat();
        self.bytes.extend_from_slice(&self.last_frame);
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.untouched &= bytes.is_empty();
        self.bytes.extend_from_slice(bytes);
    }

    /// A bit, counted in bytes from the end.
    fn flip(&mut self, back: usize) {
        let Some(at) = self.bytes.len().checked_sub(1 + back) else {
            return;
        };
        self.flip_at(at, back % 8);
    }

    fn flip_header(&mut self, bit: usize) {
        self.flip_at(bit / 2 % HEADER, bit % 8);
    }

    fn flip_at(&mut self, at: usize, bit: usize) {
        let Some(byte) = self.bytes.get_mut(at) else { return };
        *byte ^= 1 << bit;
        self.touched_from(at);
    }

    fn cut(&mut self, bytes: usize) {
        let size = self.bytes.len().saturating_sub(bytes);
        self.bytes.truncate(size);
        if bytes > 0 {
            self.touched_from(size);
            self.whole.retain(|record| record.end <= size);
            self.headers[1] &= size >= HEADER;
        }
    }

    /// The bytes from `at` on are not what they were.
    fn touched_from(&mut self, at: usize) {
        self.untouched = false;
        if let Some(copy) = self.headers.get_mut(at / (HEADER / 2)) {
            *copy = false;
        }
        if at >= HEADER {
            self.whole.retain(|record| record.end <= at);
        }
    }
}
