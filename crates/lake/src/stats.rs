//! Per-file statistics as the Delta protocol writes them: JSON of counts, minima and maxima.

use chrono::{DateTime, SecondsFormat};
use footfall_model::clock::Micros;
use serde::{Deserialize, Serialize};

use crate::{DataFile, Range};

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: u64,
    min_values: Bounds,
    max_values: Bounds,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Bounds {
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_hash: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_timestamp: Option<String>,
}

pub(crate) fn to_json(file: &DataFile) -> Result<String, serde_json::Error> {
    let time = |at: Micros| DateTime::from_timestamp_micros(at).map(|t| t.to_rfc3339_opts(SecondsFormat::Micros, true));
    let (tracking_id, hash, at) = (&file.tracking_id, &file.client_hash, &file.event_timestamp);
    serde_json::to_string(&Stats {
        num_records: file.rows,
        min_values: Bounds {
            tracking_id: tracking_id.as_ref().map(|r| r.min.clone()),
            client_hash: hash.as_ref().map(|r| r.min),
            event_timestamp: at.as_ref().and_then(|r| time(r.min)),
        },
        max_values: Bounds {
            tracking_id: tracking_id.as_ref().map(|r| r.max.clone()),
            client_hash: hash.as_ref().map(|r| r.max),
            event_timestamp: at.as_ref().and_then(|r| time(r.max)),
        },
    })
}

/// Fills `rows` and the ranges of `file`. Fails if the number of rows is missing: exact counts depend on it.
pub(crate) fn read_into(file: &mut DataFile, json: &str) -> Result<(), String> {
    let stats: Stats = serde_json::from_str(json).map_err(|e| format!("its statistics are not JSON: {e}"))?;
    let (min, max) = (stats.min_values, stats.max_values);
    file.rows = stats.num_records;
    file.tracking_id = range(min.tracking_id, max.tracking_id);
    file.client_hash = range(min.client_hash, max.client_hash);
    file.event_timestamp = range(
        min.event_timestamp.as_deref().and_then(micros),
        max.event_timestamp
            .as_deref()
            .and_then(|t| micros(t).map(|at| at + lost_precision(t))),
    );
    Ok(())
}

fn range<T>(min: Option<T>, max: Option<T>) -> Option<Range<T>> {
    Some(Range { min: min?, max: max? })
}

fn micros(text: &str) -> Option<Micros> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
}

/// Other writers, and checkpoints, cut times to milliseconds: a maximum may be later than it says.
fn lost_precision(text: &str) -> Micros {
    let digits = text
        .split_once('.')
        .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    10_i64.pow(6_u32.saturating_sub(u32::try_from(digits).unwrap_or(6))) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maximum_cut_to_milliseconds_is_widened_so_that_no_row_is_pruned_away() {
        assert_eq!(lost_precision("2026-11-01T00:00:00.123456Z"), 0);
        assert_eq!(lost_precision("2026-11-01T00:00:00.123Z"), 999);
        assert_eq!(lost_precision("2026-11-01T00:00:00Z"), 999_999);
    }
}
