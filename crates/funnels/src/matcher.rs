//! From events to step rows.
//!
//! ```text
//! row -> its site's funnels -> the steps of its event type -> their filters -> one row for each funnel that matches
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use footfall_model::field::{EventField, FieldType};
use footfall_model::table::SITE_COLUMN;
use xxhash_rust::xxh3::xxh3_64;

use crate::Funnel;
use crate::definition::FilterSource;
use crate::pattern::Pattern;
use crate::table::{DIMENSIONS, EVENT_COLUMNS, EVENT_HASH};

mod properties;

const EVENT_TYPE: &str = "event_type";
const EVENT_ID: &str = "event_id";
const PROPERTIES: &str = "custom_properties";

/// Finds the events that match a step.
#[derive(Debug)]
pub struct Matcher {
    sites: HashMap<String, SiteMatcher>,
    /// The columns that filters compare.
    compared: Vec<EventField>,
    /// All columns of `events` that it reads.
    columns: Vec<&'static str>,
    /// The columns of its step rows.
    schema: SchemaRef,
}

#[derive(Debug, Default)]
struct SiteMatcher {
    /// Id and revision.
    funnels: Vec<(String, i64)>,
    /// In the order of the funnels.
    by_type: HashMap<String, Vec<StepMatcher>>,
    /// Keys of custom properties that filters compare.
    properties: Vec<String>,
    /// The funnels that need a row for every event, as indices in `funnels`: see [`Definition::needs_every_event`].
    ///
    /// [`Definition::needs_every_event`]: crate::Definition::needs_every_event
    every_event: Vec<usize>,
}

#[derive(Debug)]
struct StepMatcher {
    /// The index in [`SiteMatcher::funnels`].
    funnel: usize,
    /// The bit of the step.
    bit: i32,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    value: ValueIndex,
    pattern: Pattern,
}

/// Where a condition finds its value.
#[derive(Debug, Clone, Copy)]
enum ValueIndex {
    /// In [`Matcher::compared`].
    Column(usize),
    /// In [`SiteMatcher::properties`].
    Property(usize),
}

/// A column that filters compare.
enum Compared<'a> {
    Text(&'a StringArray),
    Flag(&'a BooleanArray),
}

/// Step rows while they are found.
#[derive(Debug, Default)]
struct Found<'a> {
    events: Vec<u32>,
    funnels: Vec<&'a (String, i64)>,
    steps: Vec<i32>,
}

impl Matcher {
    /// Makes rows of `schema`: columns of [`crate::table::funnel_steps`]. For valid definitions; a filter that is not possible never
    /// matches.
    pub fn new(funnels: &[Funnel], schema: SchemaRef) -> Self {
        let mut matcher = Self {
            sites: HashMap::new(),
            compared: Vec::new(),
            columns: Vec::new(),
            schema,
        };
        for funnel in funnels {
            let site = matcher.sites.entry(funnel.tracking_id.clone()).or_default();
            site.add(funnel, &mut matcher.compared);
        }
        let has_properties = matcher.sites.values().any(|site| !site.properties.is_empty());
        let of_events = EVENT_COLUMNS.into_iter().chain(DIMENSIONS);
        let has = |name: &str| matcher.schema.column_with_name(name).is_some();
        let wanted = of_events.filter(|name| *name == SITE_COLUMN || has(name));
        let mut columns: Vec<&'static str> = wanted.collect();
        columns.extend(has(EVENT_HASH).then_some(EVENT_ID));
        columns.push(EVENT_TYPE);
        columns.extend(has_properties.then_some(PROPERTIES));
        for field in &matcher.compared {
            if !columns.contains(&field.name()) {
                columns.push(field.name());
            }
        }
        matcher.columns = columns;
        matcher
    }

    /// The columns of its step rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns of `events` that it reads.
    pub fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// The first and the last of the sites that have funnels.
    pub fn site_range(&self) -> Option<(&str, &str)> {
        let sites = || self.sites.keys().map(String::as_str);
        Some((sites().min()?, sites().max()?))
    }

    /// The step rows of events, in their order.
    ///
    /// # Errors
    /// A column is missing or of another type.
    pub fn rows(&self, events: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let text = |name: &str| {
            let column = column(events, name)?;
            column.as_string_opt::<i32>().ok_or_else(|| wrong(name))
        };
        let (sites, types) = (text(SITE_COLUMN)?, text(EVENT_TYPE)?);
        let properties = self
            .columns
            .contains(&PROPERTIES)
            .then(|| text(PROPERTIES))
            .transpose()?;
        let compared = self.compared.iter().map(|field| Compared::of(events, *field));
        let compared = compared.collect::<Result<Vec<_>, _>>()?;
        let mut found = Found::default();
        let mut last: Option<(&str, Option<&SiteMatcher>)> = None;
        for row in 0..events.num_rows() {
            let name = sites.value(row);
            // Most rows are of the same site as the row before.
            let site = match last {
                Some((known, site)) if known == name => site,
                _ => self.sites.get(name),
            };
            last = Some((name, site));
            let steps = site.map(|site| (site, site.by_type.get(types.value(row))));
            let steps = steps.filter(|(site, steps)| steps.is_some() || !site.every_event.is_empty());
            if let Some((site, steps)) = steps {
                let steps = steps.map_or(&[][..], Vec::as_slice);
                let json = properties.filter(|properties| properties.is_valid(row));
                let json = json.map(|properties| properties.value(row));
                site.find(steps, row, &compared, json, &mut found);
            }
        }
        found.batch(events, &self.schema)
    }
}

impl SiteMatcher {
    fn add(&mut self, funnel: &Funnel, compared: &mut Vec<EventField>) {
        let index = self.funnels.len();
        self.funnels.push((funnel.id.clone(), funnel.revision.cast_signed()));
        if funnel.definition.needs_every_event() {
            self.every_event.push(index);
        }
        for (nth, step) in funnel.definition.steps.iter().enumerate() {
            let conditions = step.filters.iter().map(|(key, pattern)| {
                let value = match FilterSource::of(key).ok()? {
                    FilterSource::Column(field) => ValueIndex::Column(position(compared, field)),
                    FilterSource::Property(key) => ValueIndex::Property(position(&mut self.properties, key.to_owned())),
                };
                let pattern = Pattern::new(pattern);
                Some(Condition { value, pattern })
            });
            let Some(conditions) = conditions.collect() else {
                continue;
            };
            self.by_type
                .entry(step.event_type.clone())
                .or_default()
                .push(StepMatcher {
                    funnel: index,
                    bit: 1 << nth,
                    conditions,
                });
        }
    }

    /// Appends the row for each funnel of which it matches a step, or which needs all.
    fn find<'a>(
        &'a self,
        steps: &[StepMatcher],
        row: usize,
        compared: &[Compared<'_>],
        json: Option<&str>,
        found: &mut Found<'a>,
    ) {
        // Read once for all steps, and only if one of them gets so far.
        let mut properties: Option<Vec<Option<String>>> = None;
        let first = found.steps.len();
        for of_funnel in steps.chunk_by(|a, b| a.funnel == b.funnel) {
            let mut matched = 0;
            for step in of_funnel {
                let holds = step.conditions.iter().all(|condition| match condition.value {
                    ValueIndex::Column(index) => compared[index].matches(row, &condition.pattern),
                    ValueIndex::Property(index) => {
                        let values = properties.get_or_insert_with(|| properties::read(json, &self.properties));
                        let value = values.get(index).and_then(Option::as_deref);
                        value.is_some_and(|value| condition.pattern.matches(value))
                    }
                });
                matched |= if holds { step.bit } else { 0 };
            }
            if let (Some(step), 1..) = (of_funnel.first(), matched) {
                found.push(row, &self.funnels[step.funnel], matched);
            }
        }
        for index in &self.every_event {
            let funnel = &self.funnels[*index];
            if !found.funnels[first..].iter().any(|known| std::ptr::eq(*known, funnel)) {
                found.push(row, funnel, 0);
            }
        }
    }
}

impl<'a> Compared<'a> {
    fn of(events: &'a RecordBatch, field: EventField) -> Result<Self, ArrowError> {
        let column = column(events, field.name())?;
        let compared = match field.spec().field_type {
            FieldType::Flag => column.as_boolean_opt().map(Self::Flag),
            _ => column.as_string_opt().map(Self::Text),
        };
        compared.ok_or_else(|| wrong(field.name()))
    }

    /// A null matches nothing.
    fn matches(&self, row: usize, pattern: &Pattern) -> bool {
        match self {
            Self::Text(column) => column.is_valid(row) && pattern.matches(column.value(row)),
            Self::Flag(column) => {
                column.is_valid(row) && pattern.matches(if column.value(row) { "true" } else { "false" })
            }
        }
    }
}

impl<'a> Found<'a> {
    fn push(&mut self, row: usize, funnel: &'a (String, i64), steps: i32) {
        // A batch has fewer rows than that.
        self.events.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.funnels.push(funnel);
        self.steps.push(steps);
    }

    fn batch(self, events: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let enters = self.steps.iter().map(|steps| steps & 1 == 1);
        let first: UInt32Array = self
            .events
            .iter()
            .zip(enters)
            .map(|(row, enters)| enters.then_some(*row))
            .collect();
        let rows = UInt32Array::from(self.events);
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "funnel_id" => {
                let ids = self.funnels.iter().map(|(id, _)| id.as_str());
                Ok(Arc::new(StringArray::from_iter_values(ids)) as ArrayRef)
            }
            "revision" => {
                let revisions = self.funnels.iter().map(|(_, revision)| *revision);
                Ok(Arc::new(Int64Array::from_iter_values(revisions)) as ArrayRef)
            }
            EVENT_HASH => event_hashes(events, &rows),
            "steps" => Ok(Arc::new(Int32Array::from(self.steps.clone())) as ArrayRef),
            name if DIMENSIONS.contains(&name) => take(column(events, name)?, &first, None),
            name => take(column(events, name)?, &rows, None),
        });
        RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
    }
}

fn event_hashes(events: &RecordBatch, rows: &UInt32Array) -> Result<ArrayRef, ArrowError> {
    let ids = column(events, EVENT_ID)?;
    let ids = ids.as_string_opt::<i32>().ok_or_else(|| wrong(EVENT_ID))?;
    let hash = |row: &u32| xxh3_64(ids.value(*row as usize).as_bytes()).cast_signed();
    Ok(Arc::new(Int64Array::from_iter_values(rows.values().iter().map(hash))))
}

fn position<T: PartialEq>(known: &mut Vec<T>, wanted: T) -> usize {
    let found = known.iter().position(|one| *one == wanted);
    found.unwrap_or_else(|| {
        known.push(wanted);
        known.len() - 1
    })
}

fn column<'a>(events: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    events.column_by_name(name).ok_or_else(|| wrong(name))
}

fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("events without a column {name} of the right type"))
}

#[cfg(test)]
mod tests;
