//! CSV (RFC 4180) with a header line. A record that is none costs that record: reading goes on at the next line.

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::error::ArrowError;
use memchr::{memchr, memchr2};

use super::rows::{Rows, TextRows};
use super::text::{LINE_BYTES, TextBuffer};
use super::{OpenError, RowReader};
use crate::import::names::Columns;
use crate::import::report::Rejection;

pub(super) fn open(mut text: TextBuffer) -> Result<Box<dyn RowReader>, OpenError> {
    let header = read_header(&mut text)?;
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut columns = super::columns(&names)?;
    Ok(Box::new(Csv {
        ignored: std::mem::take(&mut columns.ignored).into_iter().collect(),
        columns,
        text,
        unquoted: String::new(),
    }))
}

fn read_header(text: &mut TextBuffer) -> Result<Vec<String>, ArrowError> {
    let unreadable = |reason: &str| ArrowError::CsvError(format!("the header line {reason}"));
    match record(text)? {
        None => Err(unreadable("is missing: the file is empty")),
        Some(Record::Malformed { reason, .. }) => Err(unreadable(reason)),
        Some(Record::Fields { length, fields }) => {
            let bytes = text.bytes().get(..length).unwrap_or_default();
            let line = std::str::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8"))?;
            let mut unquoted = String::new();
            let names = fields.iter().map(|field| field.text(line, &mut unquoted).to_owned());
            let names = names.collect();
            text.consume(length);
            Ok(names)
        }
    }
}

struct Csv {
    text: TextBuffer,
    columns: Columns,
    ignored: BTreeSet<String>,
    /// Memory for a field with quotes in it.
    unquoted: String,
}

impl RowReader for Csv {
    fn next_rows(&mut self) -> Option<Result<Rows, ArrowError>> {
        let mut rows = TextRows::default();
        while !rows.is_full() {
            match record(&mut self.text) {
                Err(error) => return Some(Err(error.into())),
                Ok(None) => break,
                Ok(Some(Record::Malformed { length, reason })) => {
                    rows.reject(Rejection::new(format!("the row {reason}")));
                    self.text.consume(length);
                }
                Ok(Some(Record::Fields { length, fields })) => {
                    let length = self.take(length, &fields, &mut rows);
                    self.text.consume(length);
                }
            }
            rows.end_row();
        }
        (!rows.is_empty()).then(|| Ok(rows.finish()))
    }

    fn take_ignored(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.ignored)
    }
}

impl Csv {
    /// Takes a record as a row. Returns how many bytes are done with.
    fn take(&mut self, length: usize, fields: &[Field], rows: &mut TextRows) -> usize {
        let bytes = self.text.bytes().get(..length).unwrap_or_default();
        let expected = self.columns.fields.len();
        if fields.len() != expected {
            rows.reject(Rejection {
                reason: "the row has not as many fields as the header".into(),
                detail: format!("the row has {} fields, the header {expected}", fields.len()),
            });
            // A quote that is closed only in a later row would take that row with it.
            return first_line(bytes);
        }
        let Ok(line) = std::str::from_utf8(bytes) else {
            rows.reject(Rejection::new("the row is not UTF-8"));
            return length;
        };
        for (column, field) in self.columns.fields.iter().zip(fields) {
            if let Some(column) = column {
                let text = field.text(line, &mut self.unquoted);
                if !text.is_empty() {
                    rows.set(*column, text);
                }
            }
        }
        length
    }
}

/// A field of a record, by its place in it.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    /// Without the quotes around it.
    range: Range<usize>,
    /// Whether there are doubled quotes in it.
    has_quotes: bool,
}

impl Field {
    fn text<'a>(&self, record: &'a str, unquoted: &'a mut String) -> &'a str {
        let text = record.get(self.range.clone()).unwrap_or_default();
        if !self.has_quotes {
            return text;
        }
        *unquoted = text.replace("\"\"", "\"");
        unquoted
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Record {
    Fields {
        length: usize,
        fields: Vec<Field>,
    },
    /// The first line of what is no record.
    Malformed {
        length: usize,
        reason: &'static str,
    },
}

/// The next record, which is not yet consumed; `None` at the end. Empty lines are skipped.
fn record(text: &mut TextBuffer) -> std::io::Result<Option<Record>> {
    loop {
        let bytes = text.bytes();
        let empty = bytes.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        if empty > 0 {
            text.consume(empty);
            continue;
        }
        let (has_ended, length) = (text.has_ended(), bytes.len());
        if has_ended && length == 0 {
            return Ok(None);
        }
        match scan(bytes, has_ended) {
            Scan::Record(record) => return Ok(Some(record)),
            Scan::NoEnd { .. } if !has_ended && length <= LINE_BYTES => text.read_more()?,
            Scan::NoEnd { in_quotes: false } => return skip_line(text).map(Some),
            Scan::NoEnd { in_quotes: true } if memchr(b'\n', bytes).is_none() && !has_ended => {
                return skip_line(text).map(Some);
            }
            Scan::NoEnd { in_quotes: true } => {
                return Ok(Some(Record::Malformed {
                    length: first_line(bytes),
                    reason: "has a quote that is not closed",
                }));
            }
        }
    }
}

/// Consumes a line that is too long, but for its end.
fn skip_line(text: &mut TextBuffer) -> std::io::Result<Record> {
    loop {
        let length = text.bytes().len();
        if memchr(b'\n', text.bytes()).is_some() || text.has_ended() {
            return Ok(Record::Malformed {
                length: first_line(text.bytes()),
                reason: "is longer than 1 MiB",
            });
        }
        text.consume(length);
        text.read_more()?;
    }
}

/// The length of the first line, with its end.
fn first_line(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1)
}

enum Scan {
    Record(Record),
    /// More has to be read, or there is no more.
    NoEnd {
        in_quotes: bool,
    },
}

/// The record at the beginning of `bytes`. `is_all`: nothing follows that could belong to it.
fn scan(bytes: &[u8], is_all: bool) -> Scan {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let (field, end) = match bytes.get(at) {
            Some(b'"') => match quoted(bytes, at + 1) {
                Some(quoted) => quoted,
                None => return Scan::NoEnd { in_quotes: true },
            },
            _ => {
                let found = memchr2(b',', b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found);
                let has_return = bytes.get(found) != Some(&b',') && bytes[at..found].ends_with(b"\r");
                let range = at..found - usize::from(has_return);
                (
                    Field {
                        range,
                        has_quotes: false,
                    },
                    found,
                )
            }
        };
        fields.push(field);
        let length = match &bytes[end..] {
            [b',', ..] => {
                at = end + 1;
                continue;
            }
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            [] | [b'\r'] if is_all => bytes.len(),
            [] | [b'\r'] => return Scan::NoEnd { in_quotes: false },
            _ => {
                return Scan::Record(Record::Malformed {
                    length: first_line(bytes),
                    reason: "has a quote in the middle of a field (a quote inside quotes is doubled)",
                });
            }
        };
        return Scan::Record(Record::Fields { length, fields });
    }
}

/// The field whose opening quote is before `start`, and the offset after its closing quote.
fn quoted(bytes: &[u8], start: usize) -> Option<(Field, usize)> {
    let mut has_quotes = false;
    let mut at = start;
    loop {
        let quote = at + memchr(b'"', bytes.get(at..)?)?;
        if bytes.get(quote + 1) == Some(&b'"') {
            has_quotes = true;
            at = quote + 2;
            continue;
        }
        let range = start..quote;
        return Some((Field { range, has_quotes }, quote + 1));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use super::*;

    /// The records of a text: their fields, or what is wrong.
    fn records(content: &str) -> Vec<Result<Vec<String>, &'static str>> {
        let mut text = TextBuffer::new(Cursor::new(content.as_bytes().to_vec()), &Arc::default());
        let mut records = Vec::new();
        while let Some(next) = record(&mut text).unwrap() {
            let (length, record) = match next {
                Record::Malformed { length, reason } => (length, Err(reason)),
                Record::Fields { length, fields } => {
                    let line = std::str::from_utf8(&text.bytes()[..length]).unwrap();
                    let fields = fields
                        .iter()
                        .map(|field| field.text(line, &mut String::new()).to_owned());
                    (length, Ok(fields.collect()))
                }
            };
            text.consume(length);
            records.push(record);
        }
        records
    }

    fn good(fields: &[&str]) -> Result<Vec<String>, &'static str> {
        Ok(fields.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn records_follow_rfc_4180() {
        let content = "\u{feff}a,b\r\n\r\n1,\"x\"\n\"say \"\"hi\"\"\",\"two\r\nlines\"\n,\n5\" screen,\"\"\n\"é,\",";
        assert_eq!(
            records(content),
            [
                good(&["a", "b"]),
                good(&["1", "x"]),
                good(&["say \"hi\"", "two\r\nlines"]),
                good(&["", ""]),
                good(&["5\" screen", ""]),
                good(&["é,", ""]),
            ]
        );
    }

    #[test]
    fn bad_quote_costs_one_line() {
        for (bad, reason) in [
            (
                "\"a\"b,c",
                "has a quote in the middle of a field (a quote inside quotes is doubled)",
            ),
            (
                "a,\"b",
                "has a quote in the middle of a field (a quote inside quotes is doubled)",
            ),
        ] {
            let found = records(&format!("1,2\n{bad}\n3,\"4\"\n5,6"));
            assert_eq!(
                found,
                [good(&["1", "2"]), Err(reason), good(&["3", "4"]), good(&["5", "6"])],
                "{bad}"
            );
        }
        assert_eq!(
            records("1,2\na,\"b\n3,4"),
            [
                good(&["1", "2"]),
                Err("has a quote that is not closed"),
                good(&["3", "4"])
            ]
        );
    }

    #[test]
    fn long_line_costs_itself() {
        for long in ["x".repeat(3 * LINE_BYTES), format!("\"{}", "x\n".repeat(LINE_BYTES))] {
            let found = records(&format!("1,2\n{long}\n3,4"));
            assert_eq!(found[0], good(&["1", "2"]));
            assert!(found[1].is_err());
            assert_eq!(found.last(), Some(&good(&["3", "4"])));
        }
    }

    proptest::proptest! {
        #[test]
        fn written_records_are_read(rows in proptest::collection::vec(proptest::collection::vec("[\",\n\rxé ]{0,5}", 2), 1..5)) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let lines = rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(","));
            let expected: Vec<_> = rows.iter().cloned().map(Ok).collect();
            proptest::prop_assert_eq!(records(&lines.collect::<Vec<_>>().join("\r\n")), expected);
        }

        #[test]
        fn every_line_is_accounted_for(content in "[\",\nx]{0,60}") {
            let lines = content.split('\n').filter(|line| !line.is_empty()).count();
            proptest::prop_assert!(records(&content).len() <= lines.max(1));
        }
    }
}
