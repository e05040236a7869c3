//! Columns as a file has them into columns as `events` has them: cast, checked, completed. No I/O.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_lake::{LakeError, SortedPieces};
use footfall_model::clock::Micros;
use footfall_model::hash::{client_hash, derived_event_id};
use footfall_model::proto::Event;
use footfall_model::schema;
use serde_json::value::RawValue;

use super::{ImportError, Report};
use crate::enrich::{Enricher, Sender};

const REQUIRED: [&str; 4] = ["tracking_id", "client_id", "event_type", "event_timestamp"];

/// What enrichment fills in where the file says nothing.
const ENRICHED: [&str; 7] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "source",
    "channel",
];

/// Longer ids are mistakes.
const ID_BYTES: usize = 256;

/// Longer text is not stored.
const TEXT_BYTES: usize = 32 * 1_024;

const SECOND: Micros = 1_000_000;
const FUTURE: Micros = 3_600 * SECOND;
/// 13 months.
const RETENTION: Micros = 396 * 86_400 * SECOND;
const SESSION_GAP: Micros = 30 * 60 * SECOND;

/// Makes events of a file's rows.
pub(super) struct Conform {
    sites: Arc<BTreeSet<String>>,
    enricher: Arc<Enricher>,
    now: Micros,
}

impl Conform {
    pub(super) fn new(sites: Arc<BTreeSet<String>>, enricher: Arc<Enricher>, now: Micros) -> Self {
        Self { sites, enricher, now }
    }

    /// Fails if a column is missing without which no row can be an event.
    pub(super) fn require_columns(&self, batch: &RecordBatch, path: &Path) -> Result<(), ImportError> {
        let missing = REQUIRED.iter().find(|name| batch.column_by_name(name).is_none());
        missing.map_or(Ok(()), |column| {
            let names = batch
                .schema_ref()
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect::<Vec<_>>();
            Err(ImportError::MissingColumn {
                path: path.to_path_buf(),
                column,
                present: names.join(", "),
            })
        })
    }

    /// The rows that are events; the others are told to `report`, whose `rows` is the number of rows before these.
    pub(super) fn events(&self, batch: &RecordBatch, report: &mut Report) -> Result<RecordBatch, ArrowError> {
        let mut reasons = vec![None; batch.num_rows()];
        let columns = cast_columns(batch, &mut reasons)?;
        let rows = RecordBatch::try_new(nullable_schema(), columns)?;
        self.check(&rows, &mut reasons)?;
        for (row, reason) in (report.rows + 1..).zip(&reasons) {
            if let Some(reason) = reason {
                report.reject(row, reason);
            }
        }
        let good: BooleanArray = reasons.iter().map(|reason| Some(reason.is_none())).collect();
        let rows = if good.false_count() == 0 {
            rows
        } else {
            filter_record_batch(&rows, &good)?
        };
        self.complete(&rows)
    }

    fn check(&self, rows: &RecordBatch, reasons: &mut [Option<String>]) -> Result<(), ArrowError> {
        let mut reject = |row: usize, reason: String| {
            reasons[row].get_or_insert(reason);
        };
        for name in ["tracking_id", "client_id", "event_type"] {
            for (row, value) in text(rows, name)?.iter().enumerate() {
                match value {
                    None | Some("") => reject(row, format!("{name} is missing")),
                    Some(id) if id.len() > ID_BYTES => reject(row, format!("{name} is longer than {ID_BYTES} bytes")),
                    Some(_) => {}
                }
            }
        }
        let mut known = "";
        for (row, site) in text(rows, "tracking_id")?.iter().enumerate() {
            let site = site.unwrap_or_default();
            if site == known {
                continue;
            }
            if self.sites.contains(site) {
                known = site;
            } else {
                reject(
                    row,
                    format!("unknown site {site:?}; make it with `footfall site create`"),
                );
            }
        }
        for (row, time) in times(rows, "event_timestamp")?.iter().enumerate() {
            match time {
                None => reject(row, "event_timestamp is missing".into()),
                Some(time) if time > self.now + FUTURE => reject(row, "event_timestamp lies in the future".into()),
                Some(time) if time < self.now - RETENTION => {
                    reject(
                        row,
                        "event_timestamp is older than 13 months, which is how long events are kept".into(),
                    );
                }
                Some(_) => {}
            }
        }
        for field in rows.schema_ref().fields() {
            let Some(column) = rows.column_by_name(field.name()).and_then(|c| c.as_string_opt::<i32>()) else {
                continue;
            };
            for (row, value) in column
                .iter()
                .enumerate()
                .filter(|(_, value)| value.is_some_and(|v| v.len() > TEXT_BYTES))
            {
                reject(
                    row,
                    format!(
                        "{} is {} bytes long; at most {TEXT_BYTES} are kept",
                        field.name(),
                        value.map_or(0, str::len)
                    ),
                );
            }
        }
        for (row, json) in text(rows, "custom_properties")?.iter().enumerate() {
            let object = json.is_none_or(|json| {
                json.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok()
            });
            if !object {
                reject(row, "custom_properties is no JSON object".into());
            }
        }
        Ok(())
    }

    /// Fills in what every event has and what enrichment finds.
    fn complete(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let (sites, clients) = (text(rows, "tracking_id")?, text(rows, "client_id")?);
        let hashes: Int64Array = sites
            .iter()
            .zip(clients)
            .map(|(site, client)| Some(client_hash(site.unwrap_or_default(), client.unwrap_or_default()).cast_signed()))
            .collect();
        let received: TimestampMicrosecondArray = times(rows, "created_at")?
            .iter()
            .map(|at| Some(at.unwrap_or(self.now)))
            .collect();
        let bots = rows.column_by_name("is_bot").and_then(|column| column.as_boolean_opt());
        let bots: BooleanArray = (0..rows.num_rows())
            .map(|row| Some(bots.is_some_and(|bots| bots.is_valid(row) && bots.value(row))))
            .collect();
        let sessions: StringArray = text(rows, "session_id")?
            .iter()
            .map(|session| Some(session.unwrap_or_default()))
            .collect();
        let ids = event_ids(rows)?;
        let enriched = self.enrich(rows)?;
        let columns = schema::event_file()
            .fields()
            .iter()
            .zip(rows.columns())
            .map(|(field, column)| match field.name().as_str() {
                "client_hash" => Arc::new(hashes.clone()) as ArrayRef,
                "created_at" => Arc::new(received.clone().with_timezone("UTC")),
                "is_bot" => Arc::new(bots.clone()),
                "session_id" => Arc::new(sessions.clone()),
                "event_id" => Arc::clone(&ids),
                name => match ENRICHED.iter().position(|enriched| *enriched == name) {
                    Some(index) => enriched.as_ref().map_or(column, |columns| &columns[index]).clone(),
                    None => Arc::clone(column),
                },
            })
            .collect();
        RecordBatch::try_new(schema::event_file(), columns)
    }

    /// The columns of [`ENRICHED`]; `None` if the file says all of it.
    fn enrich(&self, rows: &RecordBatch) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
        let given = ENRICHED.map(|name| text(rows, name));
        let [
            Ok(utm_source),
            Ok(utm_medium),
            Ok(utm_campaign),
            Ok(utm_term),
            Ok(utm_content),
            Ok(source),
            Ok(channel),
        ] = given
        else {
            return Err(ArrowError::SchemaError("the campaign's columns are no text".into()));
        };
        if channel.null_count() == 0 {
            return Ok(None);
        }
        let (urls, referrers) = (text(rows, "page_url")?, text(rows, "referrer")?);
        let mut columns = ENRICHED.map(|_| StringBuilder::new());
        let mut event = Event::default();
        for row in 0..rows.num_rows() {
            let given = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
            event.page_url = given(urls);
            event.referrer = given(referrers);
            event.utm_source = given(utm_source);
            event.utm_medium = given(utm_medium);
            event.utm_campaign = given(utm_campaign);
            event.utm_term = given(utm_term);
            event.utm_content = given(utm_content);
            event.source = given(source);
            event.channel = given(channel);
            if event.channel.is_none() {
                self.enricher.enrich(&mut event, Sender::default());
            }
            let filled = [
                &event.utm_source,
                &event.utm_medium,
                &event.utm_campaign,
                &event.utm_term,
                &event.utm_content,
                &event.source,
                &event.channel,
            ];
            for (column, value) in columns.iter_mut().zip(filled) {
                column.append_option(value.as_deref());
            }
        }
        Ok(Some(
            columns
                .iter_mut()
                .map(|column| Arc::new(column.finish()) as ArrayRef)
                .collect(),
        ))
    }
}

/// The file's columns in the types and the order of `events`; all null where the file has none. A value that can't be
/// cast is a reason to reject its row.
fn cast_columns(batch: &RecordBatch, reasons: &mut [Option<String>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let fields = schema::event_file();
    let cast = fields.fields().iter().map(|field| {
        let Some(given) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        let column = cast_with_options(given, field.data_type(), &options)?;
        if column.null_count() > given.logical_null_count() {
            let lost = (0..batch.num_rows()).filter(|row| given.is_valid(*row) && column.is_null(*row));
            for row in lost {
                reasons[row].get_or_insert_with(|| format!("{} is no {}", field.name(), kind(field.data_type())));
            }
        }
        Ok(column)
    });
    cast.collect()
}

/// What a value should have been, in words.
fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Timestamp(..) => "time (RFC 3339, or microseconds since 1970)",
        DataType::Decimal128(..) => "decimal number",
        DataType::Int64 => "whole number",
        DataType::Boolean => "true or false",
        _ => "text",
    }
}

fn nullable_schema() -> Arc<Schema> {
    let fields = schema::event_file();
    let fields = fields
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// As given; where not, derived from what tells events apart.
fn event_ids(rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let given = text(rows, "event_id")?;
    if given.null_count() == 0 {
        return Ok(Arc::new(given.clone()));
    }
    let (sites, clients, sessions, types) = (
        text(rows, "tracking_id")?,
        text(rows, "client_id")?,
        text(rows, "session_id")?,
        text(rows, "event_type")?,
    );
    let times = times(rows, "event_timestamp")?;
    let ids: StringArray = (0..rows.num_rows())
        .map(|row| {
            if given.is_valid(row) {
                return Some(given.value(row).to_owned());
            }
            let session = if sessions.is_valid(row) {
                sessions.value(row)
            } else {
                ""
            };
            Some(derived_event_id(
                sites.value(row),
                clients.value(row),
                session,
                times.value(row),
                types.value(row),
            ))
        })
        .collect();
    Ok(Arc::new(ids))
}

/// Whether some rows have no session.
pub(super) fn lacks_sessions(events: &RecordBatch) -> bool {
    let sessions = events
        .column_by_name("session_id")
        .and_then(|column| column.as_string_opt::<i32>());
    sessions.is_none_or(|sessions| sessions.offsets().windows(2).any(|ends| ends[0] == ends[1]))
}

/// Gives the rows of a day that have no session one, by the 30-minute rule.
pub(super) fn assign_sessions(day: SortedPieces) -> Result<SortedPieces, LakeError> {
    let failed = |error: ArrowError| LakeError::Encode(error.to_string());
    // Text may wait as numbers.
    let plain = |name| cast(&day.column(name)?, &DataType::Utf8).map_err(failed);
    let given = plain("session_id")?;
    let given = given.as_string::<i32>();
    let (sites, clients) = (plain("tracking_id")?, plain("client_id")?);
    let (sites, clients) = (sites.as_string::<i32>(), clients.as_string::<i32>());
    let times = day.column("event_timestamp")?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let mut sessions = StringBuilder::new();
    let (mut visitor, mut last, mut name) = (("", ""), Micros::MIN, String::new());
    for row in 0..day.rows() {
        let (who, at) = ((sites.value(row), clients.value(row)), times.value(row));
        if who != visitor || at.saturating_sub(last) >= SESSION_GAP {
            name = format!("{}_{at}", who.1);
        }
        (visitor, last) = (who, at);
        sessions.append_value(if given.value(row).is_empty() {
            &name
        } else {
            given.value(row)
        });
    }
    day.with_column("session_id", Arc::new(sessions.finish()))
}

fn text<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray, ArrowError> {
    let column = rows.column_by_name(name).and_then(|column| column.as_string_opt());
    column.ok_or_else(|| ArrowError::SchemaError(format!("no text column {name}")))
}

fn times<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a TimestampMicrosecondArray, ArrowError> {
    let column = rows
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    column.ok_or_else(|| ArrowError::SchemaError(format!("no column of times {name}")))
}
