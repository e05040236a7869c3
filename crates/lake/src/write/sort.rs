//! Splits rows by day and sorts them into file order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{AsArray, PrimitiveArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{ArrowPrimitiveType, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::{DAY, Micros};

use crate::LakeError;

/// The rows of one day, sorted by [`footfall_model::schema::SORT_COLUMNS`].
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// Days since 1970-01-01.
    pub event_date: i32,
    /// Of the schema [`footfall_model::schema::event_file`].
    pub rows: RecordBatch,
}

/// Splits rows of the schema [`footfall_model::schema::event_file`] by day and sorts each day. Rows that are equal in
/// all sort columns keep their order of arrival, which funnels rely on.
pub fn partitions(batch: &RecordBatch) -> Result<Vec<Partition>, LakeError> {
    let days = split_days(batch)?.into_iter().map(|(event_date, rows)| {
        let order = order(std::slice::from_ref(&rows))?;
        let rows = take_record_batch(&rows, &order).map_err(encode_error)?;
        Ok(Partition { event_date, rows })
    });
    days.collect()
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
    let pieces = days.into_iter().map(|(day, indices)| {
        let piece = take_record_batch(rows, &UInt32Array::from(indices));
        Ok((day, piece.map_err(encode_error)?))
    });
    pieces.collect()
}

/// Days since 1970-01-01.
fn day_of(time: Micros) -> Result<i32, LakeError> {
    i32::try_from(time.div_euclid(DAY))
        .map_err(|_| LakeError::Encode(format!("the time {time} µs lies outside the calendar")))
}

/// Compares in file order; the row index comes last, so that the sort is stable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    site: u32,
    client_hash: i64,
    time: Micros,
    row: u32,
}

/// Row indices into the concatenated pieces, in file order.
pub(super) fn order(pieces: &[RecordBatch]) -> Result<UInt32Array, LakeError> {
    let columns = pieces.iter().map(SortColumns::of).collect::<Result<Vec<_>, _>>()?;
    let ranks = ranks(&columns);
    let mut keys = Vec::with_capacity(pieces.iter().map(RecordBatch::num_rows).sum());
    let mut row = 0;
    for columns in &columns {
        let mut last = ("", 0);
        let rows = columns.hashes.values().iter().zip(columns.times.values());
        for (index, (client_hash, time)) in rows.enumerate() {
            let site = columns.sites.value(index);
            if index == 0 || site != last.0 {
                last = (site, ranks.get(site).copied().unwrap_or_default());
            }
            keys.push(SortKey {
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

struct SortColumns<'a> {
    sites: &'a StringArray,
    hashes: &'a PrimitiveArray<Int64Type>,
    times: &'a PrimitiveArray<TimestampMicrosecondType>,
}

impl<'a> SortColumns<'a> {
    fn of(piece: &'a RecordBatch) -> Result<Self, LakeError> {
        Ok(Self {
            sites: text(piece, "tracking_id")?,
            hashes: numbers::<Int64Type>(piece, "client_hash")?,
            times: numbers::<TimestampMicrosecondType>(piece, "event_timestamp")?,
        })
    }
}

/// The rank of each tracking id among those of all pieces: comparing numbers is cheaper than comparing text.
fn ranks<'a>(columns: &[SortColumns<'a>]) -> HashMap<&'a str, u32> {
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

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, LakeError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt());
    column.ok_or_else(|| LakeError::Encode(format!("there is no text column {name}")))
}

fn numbers<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> Result<&'a PrimitiveArray<T>, LakeError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt());
    column.ok_or_else(|| LakeError::Encode(format!("there is no column {name} of type {}", T::DATA_TYPE)))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn encode_error(error: ArrowError) -> LakeError {
    LakeError::Encode(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

    use super::*;

    fn rows(rows: &[(&str, i64, i64)]) -> RecordBatch {
        let sites: StringArray = rows.iter().map(|row| Some(row.0)).collect();
        let hashes: Int64Array = rows.iter().map(|row| Some(row.1)).collect();
        let times: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.2)).collect();
        let arrival: Int64Array = (0..rows.len() as i64).map(Some).collect();
        RecordBatch::try_from_iter([
            ("tracking_id", Arc::new(sites) as ArrayRef),
            ("client_hash", Arc::new(hashes)),
            ("event_timestamp", Arc::new(times)),
            ("arrival", Arc::new(arrival)),
        ])
        .unwrap()
    }

    fn arrivals(partition: &Partition) -> Vec<i64> {
        let column = partition.rows.column_by_name("arrival").unwrap();
        column.as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_are_split_by_day_and_sorted() {
        let days = partitions(&rows(&[
            ("b", 1, 5),
            ("a", 9, 7),
            ("a", -3, 8),
            ("a", 9, 6),
            ("a", 9, -1),
            ("a", 9, DAY),
        ]))
        .unwrap();
        let order: Vec<_> = days.iter().map(|day| (day.event_date, arrivals(day))).collect();
        assert_eq!(order, [(-1, vec![4]), (0, vec![2, 3, 1, 0]), (1, vec![5])]);
    }

    #[test]
    fn equal_rows_keep_arrival_order() {
        let days = partitions(&rows(&[("a", 1, 5); 40])).unwrap();
        assert_eq!(arrivals(&days[0]), (0..40).collect::<Vec<_>>());
    }
}
