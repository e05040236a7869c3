//! Rows into days and into the order of files.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{AsArray, PrimitiveArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{ArrowPrimitiveType, Int64Type, TimestampMicrosecondType};
use footfall_model::clock::Micros;

use crate::LakeError;

const MICROS_PER_DAY: i64 = 86_400_000_000;

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
    let mut days: BTreeMap<i32, Vec<Key>> = BTreeMap::new();
    let (sites, hashes, times) = (
        text(batch, "tracking_id")?,
        numbers::<Int64Type>(batch, "client_hash")?,
        numbers::<TimestampMicrosecondType>(batch, "event_timestamp")?,
    );
    let ranks = ranks(sites);
    let rows = u32::try_from(batch.num_rows()).map_err(|_| LakeError::Encode("more than 2^32 rows at once".into()))?;
    let mut last = ("", 0);
    for row in 0..rows {
        let at = row as usize;
        let site = sites.value(at);
        if row == 0 || site != last.0 {
            last = (site, ranks.get(site).copied().unwrap_or_default());
        }
        let time = times.value(at);
        days.entry(day_of(time)?).or_default().push(Key {
            site: last.1,
            client_hash: hashes.value(at),
            time,
            row,
        });
    }
    days.into_iter()
        .map(|(event_date, mut keys)| {
            keys.sort_unstable();
            let order = UInt32Array::from_iter_values(keys.iter().map(|key| key.row));
            let rows = take_record_batch(batch, &order).map_err(|e| LakeError::Encode(e.to_string()))?;
            Ok(Partition { event_date, rows })
        })
        .collect()
}

/// Days since 1970-01-01.
pub(super) fn day_of(time: Micros) -> Result<i32, LakeError> {
    i32::try_from(time.div_euclid(MICROS_PER_DAY))
        .map_err(|_| LakeError::Encode(format!("the time {time} µs lies outside the calendar")))
}

/// Ordered as the files are; `row` last, so that the sort is stable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    site: u32,
    client_hash: i64,
    time: i64,
    row: u32,
}

/// The place of each tracking id among those of the batch: comparing numbers is cheaper than comparing text.
fn ranks(sites: &StringArray) -> HashMap<&str, u32> {
    let distinct: BTreeSet<&str> = sites.iter().flatten().collect();
    distinct.into_iter().zip(0..).collect()
}

pub(super) fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, LakeError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt());
    column.ok_or_else(|| LakeError::Encode(format!("there is no text column {name}")))
}

pub(super) fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, LakeError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt());
    column.ok_or_else(|| LakeError::Encode(format!("there is no column {name} of type {}", T::DATA_TYPE)))
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
    fn days_are_split_and_each_is_sorted_by_site_visitor_and_time() {
        let days = partitions(&rows(&[
            ("b", 1, 5),
            ("a", 9, 7),
            ("a", -3, 8),
            ("a", 9, 6),
            ("a", 9, -1),
            ("a", 9, MICROS_PER_DAY),
        ]))
        .unwrap();
        let order: Vec<_> = days.iter().map(|day| (day.event_date, arrivals(day))).collect();
        assert_eq!(order, [(-1, vec![4]), (0, vec![2, 3, 1, 0]), (1, vec![5])]);
    }

    #[test]
    fn equal_rows_keep_their_order_of_arrival() {
        let days = partitions(&rows(&[("a", 1, 5); 40])).unwrap();
        assert_eq!(arrivals(&days[0]), (0..40).collect::<Vec<_>>());
    }
}
