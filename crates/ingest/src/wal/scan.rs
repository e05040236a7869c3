//! Reading a segment file record by record, with memory bounded by one chunk or one record.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use super::disk::{WalFile, read_full};
use super::record::{self, Decoded, FIRST_BYTE, FRAME_HEADER, FrameKind, Head, WalId};
use super::{Position, Record};

/// Bytes per disk read.
const CHUNK: usize = 256 << 10;

/// What is at an offset of the file.
#[derive(Debug)]
pub(super) enum ScannedFrame {
    Record {
        record: Record,
        group_first: Position,
        offset: u64,
    },
    /// Everything up to and including this position was durable.
    Seal {
        durable: Position,
        offset: u64,
    },
    /// Not a whole frame; the scan stays here until [`Frames::resync`].
    Broken {
        offset: u64,
        reason: &'static str,
    },
    End,
}

/// The frames of a file between two offsets.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    file: &'a dyn WalFile,
    id: WalId,
    buffer: BytesMut,
    /// Where in the file the buffer begins.
    offset: u64,
    /// Where the scan ends.
    end: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(file: &'a dyn WalFile, id: WalId, offset: u64, end: u64) -> Self {
        Self {
            file,
            id,
            buffer: BytesMut::new(),
            offset,
            end: end.max(offset),
        }
    }

    /// The offset of the next frame.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The frame at the current offset; advances behind it if it is whole.
    pub(super) fn next(&mut self) -> io::Result<ScannedFrame> {
        let offset = self.offset;
        if !self.fill(FRAME_HEADER)? {
            return Ok(match self.buffer.is_empty() {
                true => ScannedFrame::End,
                false => ScannedFrame::Broken {
                    offset,
                    reason: "a record's header is cut off",
                },
            });
        }
        let mut decoded = record::decode(&self.buffer, self.id);
        if let Decoded::Short(needed) = decoded {
            if !self.fill(needed)? {
                return Ok(ScannedFrame::Broken {
                    offset,
                    reason: "a record is cut off",
                });
            }
            decoded = record::decode(&self.buffer, self.id);
        }
        Ok(match decoded {
            Decoded::Whole(head) => self.take(&head),
            Decoded::Short(_) => ScannedFrame::Broken {
                offset,
                reason: "a record is cut off",
            },
            Decoded::Broken(reason) => ScannedFrame::Broken { offset, reason },
        })
    }

    /// Skips to the next whole frame for a position from `wanted` on, or to the end. Only this WAL's frames are
    /// accepted: a client cannot plant one in a payload, since it does not know the WAL's id.
    pub(super) fn resync(&mut self, wanted: Position) -> io::Result<()> {
        self.skip(1);
        loop {
            let at = self
                .buffer
                .iter()
                .position(|byte| *byte == FIRST_BYTE)
                .unwrap_or(self.buffer.len());
            self.skip(at);
            if !self.fill(FRAME_HEADER)? {
                // Too little is left for a frame.
                self.skip(self.buffer.len());
                return Ok(());
            }
            if self.buffer.first() == Some(&FIRST_BYTE) {
                if self.is_frame_from(wanted)? {
                    return Ok(());
                }
                self.skip(1);
            }
        }
    }

    fn is_frame_from(&mut self, wanted: Position) -> io::Result<bool> {
        // The header first: payload bytes that happen to look like a length must not cost a read of megabytes.
        let Some(Ok(head)) = self.buffer.first_chunk().map(Head::parse) else {
            return Ok(false);
        };
        let room = self.end / FRAME_HEADER as u64;
        if head.position < wanted.saturating_sub(1) || head.position > wanted.saturating_add(room) {
            return Ok(false);
        }
        Ok(self.fill(head.frame_bytes())? && matches!(record::decode(&self.buffer, self.id), Decoded::Whole(_)))
    }

    fn take(&mut self, head: &Head) -> ScannedFrame {
        let offset = self.offset;
        self.skip(FRAME_HEADER);
        let payload: Bytes = self.buffer.split_to(head.length).freeze();
        self.offset += head.length as u64;
        match head.kind {
            FrameKind::Seal => ScannedFrame::Seal {
                durable: head.position,
                offset,
            },
            FrameKind::Record => ScannedFrame::Record {
                record: Record {
                    position: head.position,
                    payload,
                },
                group_first: head.group_first(),
                offset,
            },
        }
    }

    fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.buffer.len());
        self.buffer.advance(bytes);
        self.offset += bytes as u64;
    }

    /// Reads until the buffer holds `wanted` bytes; false if the file does not reach that far.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        let held = self.buffer.len();
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX) - held;
        if held >= wanted {
            return Ok(true);
        }
        if left == 0 || held + left < wanted && wanted > FRAME_HEADER {
            return Ok(false);
        }
        let more = left.min(CHUNK.max(wanted - held));
        self.buffer.resize(held + more, 0);
        let read = read_full(self.file, &mut self.buffer[held..], self.offset + held as u64)?;
        self.buffer.truncate(held + read);
        if read < more {
            // The file is shorter than `end`.
            self.end = self.offset + self.buffer.len() as u64;
        }
        Ok(self.buffer.len() >= wanted)
    }
}
