//! Query results as tables, CSV, JSON lines or Arrow.

use std::io::{BufWriter, Write};

use anyhow::bail;
use arrow::array::RecordBatch;
use arrow::csv::{Writer as CsvWriter, WriterBuilder as CsvOptions};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{LineDelimited, Writer as JsonWriter, WriterBuilder as JsonOptions};
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;

use crate::cli::{SqlFormat, printable_lines};

/// Rows of a table; more would only scroll past.
const TABLE_ROWS: usize = 1_000;

/// How a result is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) format: SqlFormat,
    /// Whether to print the row count and the elapsed time.
    pub(super) timing: bool,
}

/// Whether the sink takes further rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Welcome,
    Enough,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) rows: usize,
    /// Whether rows were left out.
    pub(super) cut: bool,
}

/// The destination of a result.
pub(super) struct Output<W: Write> {
    note: Note,
    kind: OutputKind<W>,
}

enum OutputKind<W: Write> {
    Table {
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
        to: W,
    },
    Csv(Box<CsvWriter<BufWriter<W>>>),
    Json(Box<JsonWriter<BufWriter<W>, LineDelimited>>),
    Arrow(Box<StreamWriter<BufWriter<W>>>),
}

impl<W: Write> Output<W> {
    /// Writes the header at once, so that an empty result has its columns.
    pub(super) fn new(format: SqlFormat, schema: &SchemaRef, to: W) -> anyhow::Result<Self> {
        let kind = match format {
            SqlFormat::Table => OutputKind::Table {
                schema: schema.clone(),
                batches: Vec::new(),
                to,
            },
            SqlFormat::Csv => {
                let mut csv = CsvOptions::new().with_header(true).build(BufWriter::new(to));
                csv.write(&RecordBatch::new_empty(schema.clone()))?;
                OutputKind::Csv(Box::new(csv))
            }
            SqlFormat::Json => {
                let options = JsonOptions::new().with_explicit_nulls(true);
                OutputKind::Json(Box::new(options.build(BufWriter::new(to))))
            }
            SqlFormat::Arrow => OutputKind::Arrow(Box::new(StreamWriter::try_new(BufWriter::new(to), schema)?)),
        };
        let note = Note { rows: 0, cut: false };
        Ok(Self { note, kind })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<More> {
        match &mut self.kind {
            OutputKind::Table { batches, .. } => {
                let left = TABLE_ROWS - self.note.rows;
                self.note.cut = batch.num_rows() > left;
                let shown = batch.slice(0, batch.num_rows().min(left));
                self.note.rows += shown.num_rows();
                batches.push(shown);
                return Ok(if self.note.cut { More::Enough } else { More::Welcome });
            }
            OutputKind::Csv(csv) => csv.write(batch)?,
            OutputKind::Json(json) => json.write(batch)?,
            OutputKind::Arrow(arrow) => arrow.write(batch)?,
        }
        self.note.rows += batch.num_rows();
        Ok(More::Welcome)
    }

    pub(super) fn finish(self) -> anyhow::Result<Note> {
        match self.kind {
            OutputKind::Table {
                schema,
                batches,
                mut to,
            } => {
                writeln!(to, "{}", table_of(&schema, &batches)?)?;
                to.flush()?;
            }
            OutputKind::Csv(csv) => csv.into_inner().flush()?,
            OutputKind::Json(mut json) => {
                json.finish()?;
                json.into_inner().flush()?;
            }
            OutputKind::Arrow(mut arrow) => {
                arrow.finish()?;
                arrow.get_mut().flush()?;
            }
        }
        Ok(self.note)
    }
}

/// A table for people. Control characters in the data never reach the terminal.
pub(crate) fn table_of(schema: &Schema, batches: &[RecordBatch]) -> anyhow::Result<String> {
    let options = FormatOptions::default().with_null("NULL");
    let empty = [RecordBatch::new_empty(schema.clone().into())];
    let batches = if batches.is_empty() { &empty } else { batches };
    let text = pretty_format_batches_with_options(batches, &options)?.to_string();
    Ok(printable_lines(&text))
}

/// Binary output is not for a terminal.
pub(super) fn check_destination(format: SqlFormat, terminal: bool) -> anyhow::Result<()> {
    if format == SqlFormat::Arrow && terminal {
        bail!("an Arrow stream is bytes; send it to a file or a pipe: footfall sql --format arrow ... > answer.arrows");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("t", DataType::Utf8, true),
        ]))
    }

    fn rows(from: i64, count: i64, text: Option<&str>) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(from..from + count);
        let texts = StringArray::from_iter((0..count).map(|_| text));
        RecordBatch::try_new(schema(), vec![Arc::new(numbers), Arc::new(texts)]).unwrap()
    }

    fn written(format: SqlFormat, batches: &[RecordBatch]) -> (Vec<u8>, Note) {
        let mut bytes = Vec::new();
        let mut output = Output::new(format, &schema(), &mut bytes).unwrap();
        for batch in batches {
            if output.write(batch).unwrap() == More::Enough {
                break;
            }
        }
        let note = output.finish().unwrap();
        (bytes, note)
    }

    fn text(format: SqlFormat, batches: &[RecordBatch]) -> String {
        String::from_utf8(written(format, batches).0).unwrap()
    }

    #[test]
    fn csv_header_and_quoting() {
        let batches = [rows(1, 1, Some("a, \"b\"")), rows(2, 1, None)];
        assert_eq!(text(SqlFormat::Csv, &batches), "n,t\n1,\"a, \"\"b\"\"\"\n2,\n");
    }

    #[test]
    fn empty_result_has_its_columns() {
        assert_eq!(text(SqlFormat::Csv, &[]), "n,t\n");
        assert_eq!(text(SqlFormat::Json, &[]), "");
        assert!(text(SqlFormat::Table, &[]).contains("| n | t |"));
        let (bytes, _) = written(SqlFormat::Arrow, &[]);
        let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        assert_eq!(arrow::array::RecordBatchReader::schema(&reader), schema());
    }

    #[test]
    fn json_lines_name_nulls() {
        let batches = [rows(1, 1, Some("x")), rows(2, 1, None)];
        assert_eq!(
            text(SqlFormat::Json, &batches),
            "{\"n\":1,\"t\":\"x\"}\n{\"n\":2,\"t\":null}\n"
        );
    }

    #[test]
    fn arrow_round_trips() {
        let (bytes, note) = written(SqlFormat::Arrow, &[rows(1, 2, Some("x")), rows(3, 1, None)]);
        let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        let read: Vec<_> = reader.collect::<Result<_, _>>().unwrap();
        assert_eq!(read, [rows(1, 2, Some("x")), rows(3, 1, None)]);
        assert_eq!(note, Note { rows: 3, cut: false });
    }

    #[test]
    fn table_limit_is_reported_only_if_exceeded() {
        let (bytes, note) = written(
            SqlFormat::Table,
            &[rows(0, 999, None), rows(999, 5, None), rows(1004, 1, None)],
        );
        assert_eq!(
            note,
            Note {
                rows: TABLE_ROWS,
                cut: true
            }
        );
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("| 999 |") && !text.contains("| 1000 |"));
        let (_, note) = written(SqlFormat::Table, &[rows(0, 1_000, None)]);
        assert_eq!(
            note,
            Note {
                rows: TABLE_ROWS,
                cut: false
            }
        );
    }

    #[test]
    fn terminal_control_characters_are_escaped() {
        let text = text(SqlFormat::Table, &[rows(1, 1, Some("\x1b]0;owned\x07"))]);
        assert!(!text.contains('\x1b') && !text.contains('\x07') && text.contains("owned"));
    }

    #[test]
    fn arrow_is_refused_on_a_terminal() {
        assert!(check_destination(SqlFormat::Arrow, true).is_err());
        assert!(check_destination(SqlFormat::Arrow, false).is_ok());
        assert!(check_destination(SqlFormat::Table, true).is_ok());
    }
}
