//! Columns as a file has them into columns as `events` has them: cast, checked, completed. No I/O.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{Field, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::{DAY, Micros, SECOND};
use footfall_model::field::{EventField, FieldOrigin, FieldType};
use footfall_model::hash::{client_hash, derived_event_id};
use footfall_model::proto::Event;
use footfall_model::schema;
use serde_json::value::RawValue;

use super::source;
use super::{ImportError, Report};
use crate::enrich::{Enricher, Page, Sender};

/// What enrichment fills in where the file says nothing.
const ENRICHED: [EventField; 7] = [
    EventField::UtmSource,
    EventField::UtmMedium,
    EventField::UtmCampaign,
    EventField::UtmTerm,
    EventField::UtmContent,
    EventField::Source,
    EventField::Channel,
];

/// Longer properties are not stored.
const PROPERTIES_BYTES: usize = 32 * 1_024;

const FUTURE: Micros = 3_600 * SECOND;
/// 13 months.
const RETENTION: Micros = 396 * DAY;

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
        let missing = EventField::ALL
            .iter()
            // When a file was imported says nothing of when its events happened.
            .filter(|field| field.spec().is_required() || **field == EventField::EventTimestamp)
            .map(|field| field.name())
            .find(|name| batch.column_by_name(name).is_none());
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
        for field in source::columns().filter(|field| field.spec().field_type.is_text()) {
            for (row, value) in text(rows, field)?.iter().enumerate() {
                if let Some(reason) = check_text(field, value) {
                    reject(row, reason);
                }
            }
        }
        let mut known = "";
        for (row, site) in text(rows, EventField::TrackingId)?.iter().enumerate() {
            let site = site.unwrap_or_default();
            if site == known {
                continue;
            }
            if self.sites.contains(site) {
                known = site;
            } else {
                let reason = format!("unknown site {site:?}; make it with `footfall site create`");
                reject(row, reason);
            }
        }
        for (row, time) in times(rows, EventField::EventTimestamp)?.iter().enumerate() {
            let reason = match time {
                None => "event_timestamp is missing",
                Some(time) if time > self.now + FUTURE => "event_timestamp lies in the future",
                Some(time) if time < self.now - RETENTION => {
                    "event_timestamp is older than 13 months, which is how long events are kept"
                }
                Some(_) => continue,
            };
            reject(row, reason.into());
        }
        Ok(())
    }

    /// Adds what every event has, what enrichment finds and what is derived.
    fn complete(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let mut enriched = self
            .enrich(rows)?
            .map(|columns| ENRICHED.into_iter().zip(columns).collect::<Vec<_>>());
        let (mut hosts, mut paths) = pages(text(rows, EventField::PageUrl)?);
        let columns = schema::file_columns().zip(rows.columns()).map(|(field, column)| {
            Ok(match field {
                EventField::ClientHash => client_hashes(rows)?,
                EventField::CreatedAt => self.received(rows)?,
                EventField::IsBot => flags(column),
                EventField::EventId => event_ids(rows)?,
                EventField::PageHost => Arc::new(hosts.finish()),
                EventField::PagePath => Arc::new(paths.finish()),
                _ => {
                    let new = enriched.iter_mut().flatten().find(|(enriched, _)| *enriched == field);
                    new.map_or_else(|| Arc::clone(column), |(_, column)| Arc::clone(column))
                }
            })
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        RecordBatch::try_new(schema::event_file(), columns)
    }

    /// As given, else now.
    fn received(&self, rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
        let given = times(rows, EventField::CreatedAt)?.iter();
        let received: TimestampMicrosecondArray = given.map(|at| Some(at.unwrap_or(self.now))).collect();
        Ok(Arc::new(received.with_timezone("UTC")))
    }

    /// The columns of [`ENRICHED`]; `None` if the file says all of it.
    fn enrich(&self, rows: &RecordBatch) -> Result<Option<Vec<ArrayRef>>, ArrowError> {
        let given = ENRICHED
            .iter()
            .map(|field| text(rows, *field))
            .collect::<Result<Vec<_>, _>>()?;
        let channel = text(rows, EventField::Channel)?;
        if channel.null_count() == 0 {
            return Ok(None);
        }
        let (urls, referrers) = (text(rows, EventField::PageUrl)?, text(rows, EventField::Referrer)?);
        let mut columns = ENRICHED.map(|_| StringBuilder::new());
        for row in 0..rows.num_rows() {
            let value = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
            let mut event = Event {
                page_url: value(urls),
                referrer: value(referrers),
                ..Event::default()
            };
            for (field, column) in ENRICHED.iter().zip(&given) {
                if let (Some(slot), Some(text)) = (field.text_mut(&mut event), value(column)) {
                    slot.set(text);
                }
            }
            if event.channel.is_none() {
                self.enricher.enrich(&mut event, Sender::default());
            }
            for (field, column) in ENRICHED.iter().zip(&mut columns) {
                column.append_option(field.text(&event));
            }
        }
        let columns = columns
            .into_iter()
            .map(|mut column| Arc::new(column.finish()) as ArrayRef);
        Ok(Some(columns.collect()))
    }
}

/// Why a row with this text is no event.
fn check_text(field: EventField, value: Option<&str>) -> Option<String> {
    let (spec, name) = (field.spec(), field.name());
    let Some(text) = value.filter(|text| !text.is_empty()) else {
        return spec.is_required().then(|| format!("{name} is missing"));
    };
    if let (Some(_), Some(limit)) = (spec.excess_chars(text), spec.max_chars) {
        return Some(format!("{name} is longer than {limit} characters"));
    }
    if spec.field_type != FieldType::Json {
        return None;
    }
    if text.len() > PROPERTIES_BYTES {
        return Some(format!("{name} is longer than {PROPERTIES_BYTES} bytes"));
    }
    let is_object = text.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    (!is_object).then(|| format!("{name} is no JSON object"))
}

fn client_hashes(rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let (sites, clients) = (text(rows, EventField::TrackingId)?, text(rows, EventField::ClientId)?);
    let hashes: Int64Array = sites
        .iter()
        .zip(clients)
        .map(|(site, client)| Some(client_hash(site.unwrap_or_default(), client.unwrap_or_default()).cast_signed()))
        .collect();
    Ok(Arc::new(hashes))
}

/// False where the file says nothing.
fn flags(given: &ArrayRef) -> ArrayRef {
    let flags = given.as_boolean_opt();
    let flags: BooleanArray = (0..given.len())
        .map(|row| Some(flags.is_some_and(|flags| flags.is_valid(row) && flags.value(row))))
        .collect();
    Arc::new(flags)
}

/// Hosts and paths of pages.
fn pages(urls: &StringArray) -> (StringBuilder, StringBuilder) {
    let (mut hosts, mut paths) = (StringBuilder::new(), StringBuilder::new());
    for url in urls {
        let page = url.map(Page::of).unwrap_or_default();
        hosts.append_option(page.host);
        paths.append_option(page.path);
    }
    (hosts, paths)
}

/// An empty text is the same as none.
fn empty_is_null(given: ArrayRef) -> ArrayRef {
    let Some(texts) = given.as_string_opt::<i32>() else {
        return given;
    };
    let is_empty = |(row, ends): (usize, &[i32])| ends[0] == ends[1] && texts.is_valid(row);
    if !texts.offsets().windows(2).enumerate().any(is_empty) {
        return given;
    }
    let texts: StringArray = texts.iter().map(|text| text.filter(|text| !text.is_empty())).collect();
    Arc::new(texts)
}

/// The file's columns in the types and the order of `events`; all null where the file has none or where the column is
/// derived. A value that can't be cast is a reason to reject its row.
fn cast_columns(batch: &RecordBatch, reasons: &mut [Option<String>]) -> Result<Vec<ArrayRef>, ArrowError> {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let cast = schema::file_columns().map(|field| {
        let spec = field.spec();
        let given = batch
            .column_by_name(spec.name)
            .filter(|_| spec.origin != FieldOrigin::Derived);
        let Some(given) = given else {
            return Ok(new_null_array(&spec.field_type.arrow(), batch.num_rows()));
        };
        let column = cast_with_options(given, &spec.field_type.arrow(), &options)?;
        if column.null_count() > given.logical_null_count() {
            let lost = (0..batch.num_rows()).filter(|row| given.is_valid(*row) && column.is_null(*row));
            for row in lost {
                reasons[row].get_or_insert_with(|| format!("{} is no {}", spec.name, kind(spec.field_type)));
            }
        }
        Ok(empty_is_null(column))
    });
    cast.collect()
}

/// What a value should have been, in words.
fn kind(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Time => "time (RFC 3339, or microseconds since 1970)",
        FieldType::Amount => "decimal number",
        FieldType::Hash => "whole number",
        FieldType::Flag => "true or false",
        FieldType::Text | FieldType::Json | FieldType::Day => "text",
    }
}

fn nullable_schema() -> Arc<Schema> {
    let fields = schema::file_columns().map(|field| field.spec().arrow().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

/// As given; where not, derived from what tells events apart.
fn event_ids(rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let given = text(rows, EventField::EventId)?;
    if given.null_count() == 0 {
        return Ok(Arc::new(given.clone()));
    }
    let (sites, clients, sessions, types) = (
        text(rows, EventField::TrackingId)?,
        text(rows, EventField::ClientId)?,
        text(rows, EventField::SessionId)?,
        text(rows, EventField::EventType)?,
    );
    let times = times(rows, EventField::EventTimestamp)?;
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

fn text(rows: &RecordBatch, field: EventField) -> Result<&StringArray, ArrowError> {
    let column = rows
        .column_by_name(field.name())
        .and_then(|column| column.as_string_opt());
    column.ok_or_else(|| ArrowError::SchemaError(format!("no text column {}", field.name())))
}

fn times(rows: &RecordBatch, field: EventField) -> Result<&TimestampMicrosecondArray, ArrowError> {
    let column = rows
        .column_by_name(field.name())
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    column.ok_or_else(|| ArrowError::SchemaError(format!("no column of times {}", field.name())))
}
