//! Rows of a file into rows of `events`, by the rules of every way in ([`crate::rules`]). No I/O.
//!
//! ```text
//! Rows -> check: the rules, required fields, site, time -> rows that are events -> complete: id, channel, page, hash
//! ```
//!
//! The id of an event without one is made before anything is derived, as over HTTP. No session is assigned.

mod attribution;
mod identity;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StringBuilder};
use arrow::array::{Decimal128Array, TimestampMicrosecondArray, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Decimal128Type, Field, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::Micros;
use footfall_model::field::{EventField, FieldType};
use footfall_model::hash::{DedupeBy, client_hash};
use footfall_model::schema;

use super::Report;
use super::names::is_imported;
use super::report::Rejection;
use super::source::{Rows, rejection};
use crate::collect::CollectOptions;
use crate::enrich::{Enricher, Page};
use crate::rules::{self, Changes, Problem};
use attribution::Attribution;

/// Sites by tracking id, with what tells their events apart.
pub type Sites = BTreeMap<String, Option<DedupeBy>>;

/// Makes events of a file's rows.
pub(super) struct Conform {
    sites: Arc<Sites>,
    limits: CollectOptions,
    attribution: Attribution,
    now: Micros,
}

/// Why rows are no events: the first reason of each.
struct Rejections(Vec<Option<Rejection>>);

impl Rejections {
    fn reject(&mut self, row: usize, reason: impl FnOnce() -> Rejection) {
        if let Some(slot) = self.0.get_mut(row) {
            slot.get_or_insert_with(reason);
        }
    }

    fn problem(&mut self, row: usize, field: EventField, problem: &Problem) {
        self.reject(row, || rejection(field, problem));
    }
}

impl Conform {
    pub(super) fn new(sites: Arc<Sites>, limits: CollectOptions, enricher: Arc<Enricher>, now: Micros) -> Self {
        Self {
            sites,
            limits,
            attribution: Attribution::new(enricher),
            now,
        }
    }

    /// The rows that are events, as the rules leave them; the others are told to `report`, whose `rows` is the number of
    /// rows before these.
    pub(super) fn check(&self, rows: Rows, report: &mut Report) -> Result<RecordBatch, ArrowError> {
        let mut rejections = Rejections(vec![None; rows.count]);
        let mut changes = Changes::default();
        let columns = self.ruled(&rows, &mut rejections, &mut changes)?;
        let schema = nullable_schema();
        let batch = RecordBatch::try_new(schema, columns)?;
        self.require(&batch, &mut rejections)?;
        // What made a row unreadable comes before what is missing because of it.
        for (row, reason) in rows.rejected {
            if let Some(slot) = rejections.0.get_mut(row) {
                *slot = Some(reason);
            }
        }
        for change in rows.changes.iter().chain(changes.iter()) {
            *report.changed.entry((change.path(), change.what.name())).or_default() += 1;
        }
        let good: BooleanArray = rejections.0.iter().map(|reason| Some(reason.is_none())).collect();
        for (row, reason) in (report.rows + 1..).zip(rejections.0) {
            if let Some(reason) = reason {
                report.reject(row, reason);
            }
        }
        match good.false_count() {
            0 => Ok(batch),
            _ => filter_record_batch(&batch, &good),
        }
    }

    /// The columns of `events`, as far as the file gives them.
    fn ruled(
        &self,
        rows: &Rows,
        rejections: &mut Rejections,
        changes: &mut Changes,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let mut in_properties = None;
        let mut columns = Vec::with_capacity(EventField::ALL.len());
        for field in schema::file_columns() {
            let given = rows.column(field).filter(|_| is_imported(field));
            let Some(given) = given else {
                columns.push(new_null_array(&field.spec().field_type.arrow(), rows.count));
                continue;
            };
            columns.push(match field.spec().field_type {
                FieldType::Text => values::texts(field, given, changes)?,
                FieldType::Time => values::times(field, given, rejections)?,
                FieldType::Amount => values::amounts(field, given, rejections)?,
                FieldType::Flag => values::flags(field, given, rejections)?,
                FieldType::Json => {
                    let (texts, revenue) = values::properties(given, &self.limits, rejections, changes)?;
                    in_properties = revenue;
                    texts
                }
                FieldType::Hash | FieldType::Day => Arc::clone(given),
            });
        }
        if let Some(in_properties) = in_properties {
            let revenue = &mut columns[EventField::Revenue as usize];
            *revenue = values::first_amounts(revenue, &in_properties)?;
        }
        Ok(columns)
    }

    /// What every event has: the fields without which it is none, a site, a time that is possible.
    fn require(&self, rows: &RecordBatch, rejections: &mut Rejections) -> Result<(), ArrowError> {
        let required = |field: &EventField| field.spec().is_required() || *field == EventField::EventTimestamp;
        for field in schema::file_columns().filter(required) {
            let column = rows.column(field as usize);
            for row in (0..rows.num_rows()).filter(|row| column.is_null(*row)) {
                rejections.reject(row, || Rejection::new(format!("{} is missing", field.name())));
            }
        }
        let mut known = "";
        for (row, site) in text(rows, EventField::TrackingId)?.iter().enumerate() {
            let Some(site) = site.filter(|site| *site != known) else {
                continue;
            };
            if self.sites.contains_key(site) {
                known = site;
            } else {
                rejections.reject(row, || {
                    Rejection::new(format!(
                        "unknown site {site:?}; create it with `footfall site create {site}`"
                    ))
                });
            }
        }
        for (row, time) in times(rows, EventField::EventTimestamp)?.iter().enumerate() {
            if let Some(Err(problem)) = time.map(|time| self.check_time(time)) {
                let time = time.unwrap_or_default();
                rejections.reject(row, || self.time_rejection(time, &problem));
            }
        }
        Ok(())
    }

    fn check_time(&self, time: Micros) -> Result<(), Problem> {
        rules::check_time(time, self.now, self.limits.max_future, self.limits.retention)
    }

    /// Numbers in another unit than milliseconds give times that can't be.
    fn time_rejection(&self, time: Micros, problem: &Problem) -> Rejection {
        let possible = |time: Option<Micros>| time.is_some_and(|time| self.check_time(time).is_ok());
        let units = [
            ("seconds", time.checked_mul(1_000), "multiply them by 1,000"),
            ("microseconds", Some(time / 1_000), "divide them by 1,000"),
            ("nanoseconds", Some(time / 1_000_000), "divide them by 1,000,000"),
        ];
        match units.into_iter().find(|(_, time, _)| possible(*time)) {
            None => rejection(EventField::EventTimestamp, problem),
            Some((unit, _, advice)) => Rejection {
                reason: format!(
                    "event_timestamp looks like {unit} since 1970, and whole numbers are milliseconds: {advice}, or write \
                     timestamps"
                ),
                detail: format!("event_timestamp {}", problem.reason),
            },
        }
    }

    /// Adds what every event has, what is found in its address, and what is derived.
    pub(super) fn complete(&mut self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let event_ids = identity::event_ids(rows, &self.sites, self.limits.dedupe_by)?;
        let mut attributed = self.attribution.columns(rows)?;
        let (mut hosts, mut paths) = pages(text(rows, EventField::PageUrl)?);
        let columns = schema::file_columns().zip(rows.columns()).map(|(field, column)| {
            Ok(match field {
                EventField::ClientHash => client_hashes(rows)?,
                EventField::CreatedAt => self.received(rows)?,
                EventField::IsBot => flags(column),
                EventField::EventId => Arc::clone(&event_ids),
                EventField::PageHost => Arc::new(hosts.finish()),
                EventField::PagePath => Arc::new(paths.finish()),
                _ => {
                    let new = attributed.iter_mut().flatten().find(|(filled, _)| *filled == field);
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

fn nullable_schema() -> Arc<Schema> {
    let fields = schema::file_columns().map(|field| field.spec().arrow().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<Field>>()))
}

fn wrong_type(field: EventField) -> ArrowError {
    ArrowError::SchemaError(format!("the column {} has another type", field.name()))
}

fn text(rows: &RecordBatch, field: EventField) -> Result<&StringArray, ArrowError> {
    rows.column(field as usize)
        .as_string_opt()
        .ok_or_else(|| wrong_type(field))
}

fn times(rows: &RecordBatch, field: EventField) -> Result<&TimestampMicrosecondArray, ArrowError> {
    let column = rows
        .column(field as usize)
        .as_primitive_opt::<TimestampMicrosecondType>();
    column.ok_or_else(|| wrong_type(field))
}

fn amounts(rows: &RecordBatch, field: EventField) -> Result<&Decimal128Array, ArrowError> {
    let column = rows.column(field as usize).as_primitive_opt::<Decimal128Type>();
    column.ok_or_else(|| wrong_type(field))
}
