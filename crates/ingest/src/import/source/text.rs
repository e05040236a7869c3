//! The bytes of a text file, some at a time. A byte order mark at the beginning is skipped.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memchr;

/// A longer line, or a longer record of several lines, is no event.
pub(super) const LINE_BYTES: usize = 1_024 * 1_024;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1_024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What UTF-16 begins with, which editors on Windows write as "Unicode".
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// A text file.
pub(super) struct TextBuffer {
    file: Box<dyn Read + Send>,
    position: Arc<AtomicU64>,
    /// Read and not yet consumed, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    has_begun: bool,
    has_ended: bool,
}

/// A line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Without its end.
    Text(&'a [u8]),
    TooLong,
}

impl TextBuffer {
    pub(super) fn new(file: impl Read + Send + 'static, position: &Arc<AtomicU64>) -> Self {
        Self {
            file: Box::new(file),
            position: Arc::clone(position),
            buffer: Vec::new(),
            start: 0,
            has_begun: false,
            has_ended: false,
        }
    }

    /// What is read and not consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Whether nothing follows [`Self::bytes`].
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.buffer.len());
    }

    /// Reads on.
    ///
    /// # Errors
    /// The file's, or it is not UTF-8.
    pub(super) fn read_more(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.fill(READ_BYTES)?;
        if !self.has_begun {
            self.begin()?;
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        while self.buffer.len() < BYTE_ORDER_MARK.len() && !self.has_ended {
            self.fill(BYTE_ORDER_MARK.len())?;
        }
        self.has_begun = true;
        if UTF_16.iter().any(|mark| self.buffer.starts_with(mark)) {
            let advice = "it is UTF-16 (\"Unicode\"); save it as UTF-8";
            return Err(io::Error::new(io::ErrorKind::InvalidData, advice));
        }
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    fn fill(&mut self, most: usize) -> io::Result<()> {
        let before = self.buffer.len();
        self.buffer.resize(before + most, 0);
        let read = loop {
            match self.file.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + read.as_ref().map_or(0, |read| *read));
        let read = read?;
        self.has_ended = read == 0;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    /// The file's, or it is not UTF-8.
    pub(super) fn line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut is_too_long = false;
        let mut searched = 0;
        let (line, consumed) = loop {
            if let Some(found) = memchr(b'\n', &self.bytes()[searched..]) {
                let end = searched + found;
                break (0..end, end + 1);
            }
            let length = self.bytes().len();
            if self.has_ended {
                if length == 0 && !is_too_long {
                    return Ok(None);
                }
                break (0..length, length);
            }
            searched = length;
            if length > LINE_BYTES {
                is_too_long = true;
                self.consume(length);
                searched = 0;
            }
            self.read_more()?;
        };
        let line = self.start + line.start..self.start + line.end;
        self.consume(consumed);
        Ok(Some(self.shown(line, is_too_long)))
    }

    fn shown(&self, line: Range<usize>, is_too_long: bool) -> Line<'_> {
        match self.buffer.get(line) {
            Some(line) if !is_too_long && line.len() <= LINE_BYTES => Line::Text(line),
            _ => Line::TooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Gives one byte at a time.
    struct Slow(Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn lines(mut text: TextBuffer) -> Vec<Option<String>> {
        let mut lines = Vec::new();
        while let Some(line) = text.line().unwrap() {
            lines.push(match line {
                Line::Text(line) => Some(String::from_utf8_lossy(line).into_owned()),
                Line::TooLong => None,
            });
        }
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        for (content, expected) in [
            ("", vec![]),
            ("\u{feff}", vec![]),
            ("\u{feff}a\n\nb", vec!["a", "", "b"]),
            ("a\n\u{feff}b\r\n", vec!["a", "\u{feff}b\r"]),
            ("\n", vec![""]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|line| Some(line.to_owned())).collect();
            let bytes = || Cursor::new(content.as_bytes().to_vec());
            assert_eq!(
                lines(TextBuffer::new(bytes(), &Arc::default())),
                expected,
                "{content:?}"
            );
            assert_eq!(
                lines(TextBuffer::new(Slow(bytes()), &Arc::default())),
                expected,
                "{content:?}"
            );
        }
    }

    #[test]
    fn long_line_is_skipped_and_those_around_it_are_kept() {
        let content = format!("a\n{}\nb\n{}", "x".repeat(3 * LINE_BYTES), "y".repeat(LINE_BYTES + 1));
        let position = Arc::default();
        let text = TextBuffer::new(Cursor::new(content.clone().into_bytes()), &position);
        assert_eq!(lines(text), [Some("a".into()), None, Some("b".into()), None]);
        assert_eq!(position.load(Ordering::Relaxed), content.len() as u64);
    }

    #[test]
    fn utf_16_is_named() {
        let mut text = TextBuffer::new(Cursor::new(b"\xff\xfea\0\n\0".to_vec()), &Arc::default());
        assert!(text.line().unwrap_err().to_string().contains("save it as UTF-8"));
    }
}
