//! A day's rows that came in pieces, in the order of files, without a sorted copy of them: each column is put together
//! and brought into order when it is encoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, PrimitiveArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::Micros;
use footfall_model::schema::event_file;

use super::sort::{day_of, numbers, text};
use crate::LakeError;

/// The rows of one day and their order by [`footfall_model::schema::SORT_COLUMNS`]. Rows that are equal in all of them
/// keep their order of arrival.
#[derive(Debug)]
pub struct SortedPieces {
    pub(super) event_date: i32,
    pub(super) pieces: Vec<RecordBatch>,
    columns: Vec<Column>,
    /// Of the rows of all pieces, one after the other.
    order: UInt32Array,
}

/// The values of a column.
#[derive(Debug)]
enum Column {
    /// Of each piece.
    Values(Vec<ArrayRef>),
    /// Of each piece, as places in the texts.
    Codes(Vec<ArrayRef>, ArrayRef),
    /// In order.
    Ordered(ArrayRef),
}

impl SortedPieces {
    /// Sorts rows of one day, given in their order of arrival. They are of the schema
    /// [`footfall_model::schema::event_file`], but text may be given as numbers (Int32), which are places in the
    /// column's `texts`.
    ///
    /// # Errors
    /// They are not of the schema.
    pub fn new(event_date: i32, pieces: Vec<RecordBatch>, texts: &[Option<ArrayRef>]) -> Result<Self, LakeError> {
        let order = order(&pieces)?;
        let schema = event_file();
        let places = schema.fields().iter().enumerate();
        let columns = places.map(|(place, field)| {
            let parts = pieces.iter().map(|piece| Arc::clone(piece.column(place)));
            Column::of(field, parts.collect(), texts.get(place).and_then(Option::as_ref))
        });
        Ok(Self {
            event_date,
            columns: columns.collect::<Result<_, _>>()?,
            pieces,
            order,
        })
    }

    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// A whole column, in order; text that was given as numbers is a dictionary.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn column(&self, name: &str) -> Result<ArrayRef, LakeError> {
        self.values(place(name)?)?.rows(0..self.rows())
    }

    /// With other values in one column, given in order.
    ///
    /// # Errors
    /// There is no such column, or another number of values.
    pub fn with_column(mut self, name: &str, values: ArrayRef) -> Result<Self, LakeError> {
        if values.len() != self.rows() {
            let (given, rows) = (values.len(), self.rows());
            return Err(LakeError::Encode(format!("{given} values of {name} for {rows} rows")));
        }
        self.columns[place(name)?] = Column::Ordered(values);
        Ok(self)
    }

    /// The column at `place`.
    pub(super) fn values(&self, place: usize) -> Result<Values<'_>, LakeError> {
        let all = |parts: &[ArrayRef]| match parts {
            [part] => Ok(Arc::clone(part)),
            parts => concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).map_err(encode_error),
        };
        let (values, texts, order) = match &self.columns[place] {
            Column::Values(parts) => (all(parts)?, None, Some(&self.order)),
            Column::Codes(parts, texts) => (all(parts)?, Some(texts), Some(&self.order)),
            Column::Ordered(values) => (Arc::clone(values), None, None),
        };
        Ok(Values { values, texts, order })
    }
}

/// The values of one column, put together for as long as it is encoded.
pub(super) struct Values<'a> {
    values: ArrayRef,
    texts: Option<&'a ArrayRef>,
    order: Option<&'a UInt32Array>,
}

impl Values<'_> {
    /// Those of some rows, in order.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<ArrayRef, LakeError> {
        let values = match self.order {
            None => self.values.slice(rows.start, rows.len()),
            Some(order) => take(&self.values, &order.slice(rows.start, rows.len()), None).map_err(encode_error)?,
        };
        let Some(texts) = self.texts else {
            return Ok(values);
        };
        let codes = values.as_primitive::<Int32Type>().clone();
        let values = DictionaryArray::try_new(codes, Arc::clone(texts)).map_err(encode_error)?;
        Ok(Arc::new(values))
    }
}

impl Column {
    /// Numbers where all the pieces have them; where only some do, those become text again.
    fn of(field: &Field, parts: Vec<ArrayRef>, texts: Option<&ArrayRef>) -> Result<Self, LakeError> {
        let is_coded = |part: &ArrayRef| part.data_type() != field.data_type();
        let wrong = || LakeError::Encode(format!("the column {} is no {}", field.name(), field.data_type()));
        if !parts.iter().any(is_coded) {
            return Ok(Self::Values(parts));
        }
        let texts = texts.ok_or_else(wrong)?;
        let fits = |part: &ArrayRef| !is_coded(part) || part.data_type() == &DataType::Int32;
        if texts.data_type() != field.data_type() || !parts.iter().all(fits) {
            return Err(wrong());
        }
        if parts.iter().all(is_coded) {
            return Ok(Self::Codes(parts, Arc::clone(texts)));
        }
        let decoded = parts.into_iter().map(|part| match is_coded(&part) {
            true => take(texts, &part, None).map_err(encode_error),
            false => Ok(part),
        });
        Ok(Self::Values(decoded.collect::<Result<_, _>>()?))
    }
}

fn place(name: &str) -> Result<usize, LakeError> {
    event_file().index_of(name).map_err(encode_error)
}

/// Ordered as the files are; the place last, so that the sort is stable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    site: u32,
    client_hash: i64,
    time: Micros,
    row: u32,
}

fn order(pieces: &[RecordBatch]) -> Result<UInt32Array, LakeError> {
    let columns = pieces.iter().map(Columns::of).collect::<Result<Vec<_>, _>>()?;
    let ranks = ranks(&columns);
    let mut keys = Vec::with_capacity(pieces.iter().map(RecordBatch::num_rows).sum());
    let mut row = 0;
    for columns in &columns {
        let mut last = ("", 0);
        let rows = columns.hashes.values().iter().zip(columns.times.values());
        for (place, (client_hash, time)) in rows.enumerate() {
            let site = columns.sites.value(place);
            if place == 0 || site != last.0 {
                last = (site, ranks.get(site).copied().unwrap_or_default());
            }
            keys.push(Key {
                site: last.1,
                client_hash: *client_hash,
                time: *time,
                row,
            });
            row = next(row)?;
        }
    }
    keys.sort_unstable();
    Ok(UInt32Array::from_iter_values(keys.iter().map(|key| key.row)))
}

fn next(row: u32) -> Result<u32, LakeError> {
    row.checked_add(1)
        .ok_or_else(|| LakeError::Encode("2^32 rows or more at once".into()))
}

struct Columns<'a> {
    sites: &'a StringArray,
    hashes: &'a PrimitiveArray<Int64Type>,
    times: &'a PrimitiveArray<TimestampMicrosecondType>,
}

impl<'a> Columns<'a> {
    fn of(piece: &'a RecordBatch) -> Result<Self, LakeError> {
        Ok(Self {
            sites: text(piece, "tracking_id")?,
            hashes: numbers::<Int64Type>(piece, "client_hash")?,
            times: numbers::<TimestampMicrosecondType>(piece, "event_timestamp")?,
        })
    }
}

/// The place of each tracking id among those of all pieces: comparing numbers is cheaper than comparing text.
fn ranks<'a>(columns: &[Columns<'a>]) -> HashMap<&'a str, u32> {
    let mut distinct = BTreeSet::new();
    let mut last = None;
    for site in columns.iter().flat_map(|columns| columns.sites.iter()) {
        if site != last {
            distinct.extend(site);
            last = site;
        }
    }
    distinct.into_iter().zip(0..).collect()
}

/// Splits rows into a piece for each day, in their order of arrival.
///
/// # Errors
/// They have no `event_timestamp`, or a time lies outside the calendar.
pub fn split_days(rows: &RecordBatch) -> Result<Vec<(i32, RecordBatch)>, LakeError> {
    let times = numbers::<TimestampMicrosecondType>(rows, "event_timestamp")?;
    let mut days: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    let mut row = 0;
    for time in times.values() {
        days.entry(day_of(*time)?).or_default().push(row);
        row = next(row)?;
    }
    if let (1, Some((day, _))) = (days.len(), days.first_key_value()) {
        return Ok(vec![(*day, rows.clone())]);
    }
    let pieces = days.into_iter().map(|(day, places)| {
        let piece = take_record_batch(rows, &UInt32Array::from(places));
        Ok((day, piece.map_err(encode_error)?))
    });
    pieces.collect()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn encode_error(error: ArrowError) -> LakeError {
    LakeError::Encode(error.to_string())
}
