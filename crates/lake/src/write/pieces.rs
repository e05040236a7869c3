//! A day's rows that came in pieces, in the order of files, without a sorted copy of them: each column is put in
//! order a page at a time, when it is encoded.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use arrow::array::{Array, ArrayRef, PrimitiveArray, RecordBatch, StringArray};
use arrow::compute::{concat_batches, interleave, interleave_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::Micros;

use super::sort::{day_of, numbers, text};
use crate::LakeError;

/// The rows of one day, of the schema [`footfall_model::schema::event_file`], and their order by
/// [`footfall_model::schema::SORT_COLUMNS`]. Rows that are equal in all of them keep their order of arrival.
#[derive(Debug)]
pub struct SortedPieces {
    pub(super) event_date: i32,
    pub(super) pieces: Vec<RecordBatch>,
    /// Piece and row.
    order: Vec<(usize, usize)>,
    /// A column that is taken instead of the pieces', in order.
    replaced: Option<(usize, ArrayRef)>,
}

impl SortedPieces {
    /// Sorts rows of one day, given in their order of arrival.
    ///
    /// # Errors
    /// They are not of the schema.
    pub fn new(event_date: i32, pieces: Vec<RecordBatch>) -> Result<Self, LakeError> {
        let order = order(&pieces)?;
        Ok(Self {
            event_date,
            pieces,
            order,
            replaced: None,
        })
    }

    pub fn rows(&self) -> usize {
        self.order.len()
    }

    /// A whole column, in order.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn column(&self, name: &str) -> Result<ArrayRef, LakeError> {
        self.part(self.place(name)?, 0..self.rows())
    }

    /// With other values in one column, given in order.
    ///
    /// # Errors
    /// There is no such column, or another number of values.
    pub fn with_column(self, name: &str, values: ArrayRef) -> Result<Self, LakeError> {
        if values.len() != self.rows() {
            let (given, rows) = (values.len(), self.rows());
            return Err(LakeError::Encode(format!("{given} values of {name} for {rows} rows")));
        }
        let replaced = Some((self.place(name)?, values));
        Ok(Self { replaced, ..self })
    }

    /// Some rows of the column at `place`.
    pub(super) fn part(&self, place: usize, rows: Range<usize>) -> Result<ArrayRef, LakeError> {
        match &self.replaced {
            Some((replaced, values)) if *replaced == place => Ok(values.slice(rows.start, rows.len())),
            _ => {
                let columns: Vec<&dyn Array> = self.pieces.iter().map(|piece| piece.column(place).as_ref()).collect();
                interleave(&columns, &self.order[rows]).map_err(encode_error)
            }
        }
    }

    fn place(&self, name: &str) -> Result<usize, LakeError> {
        let schema = self.pieces.first().map(RecordBatch::schema_ref);
        let place = schema.and_then(|schema| schema.index_of(name).ok());
        place.ok_or_else(|| LakeError::Encode(format!("there is no column {name}")))
    }
}

/// Ordered as the files are; the place last, so that the sort is stable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    site: u32,
    client_hash: i64,
    time: Micros,
    piece: u32,
    row: u32,
}

fn order(pieces: &[RecordBatch]) -> Result<Vec<(usize, usize)>, LakeError> {
    let columns = pieces.iter().map(Columns::of).collect::<Result<Vec<_>, _>>()?;
    let ranks = ranks(&columns);
    let mut keys = Vec::with_capacity(pieces.iter().map(RecordBatch::num_rows).sum());
    for (piece, columns) in (0..).zip(&columns) {
        let mut last = ("", 0);
        for (row, (client_hash, time)) in (0..).zip(columns.hashes.values().iter().zip(columns.times.values())) {
            let site = columns.sites.value(row as usize);
            if row == 0 || site != last.0 {
                last = (site, ranks.get(site).copied().unwrap_or_default());
            }
            keys.push(Key {
                site: last.1,
                client_hash: *client_hash,
                time: *time,
                piece,
                row,
            });
        }
    }
    keys.sort_unstable();
    Ok(keys.iter().map(|key| (key.piece as usize, key.row as usize)).collect())
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

/// Copies rows of the schema [`footfall_model::schema::event_file`] into a piece for each day, in their order of
/// arrival, with no more memory than they need.
///
/// # Errors
/// They are not of the schema, or a time lies outside the calendar.
pub fn split_days(batches: &[RecordBatch]) -> Result<Vec<(i32, RecordBatch)>, LakeError> {
    let mut days: BTreeMap<i32, Vec<(usize, usize)>> = BTreeMap::new();
    for (number, batch) in batches.iter().enumerate() {
        let times = numbers::<TimestampMicrosecondType>(batch, "event_timestamp")?;
        for (row, time) in times.values().iter().enumerate() {
            days.entry(day_of(*time)?).or_default().push((number, row));
        }
    }
    let one_day = days.len() == 1;
    let pieces = days.into_iter().map(|(day, rows)| {
        let piece = if one_day {
            concat_batches(batches[0].schema_ref(), batches)
        } else {
            interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &rows)
        };
        Ok((day, piece.map_err(encode_error)?))
    });
    pieces.collect()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn encode_error(error: ArrowError) -> LakeError {
    LakeError::Encode(error.to_string())
}
