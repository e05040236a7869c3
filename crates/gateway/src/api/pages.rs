//! Pages of rows, the newest first. A page ends with the key of its last row, and the next one begins behind it: what arrives
//! meanwhile moves nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::rows::Record;
use crate::problem::Problem;
use crate::report::dates;
use crate::statement::{Statement, Value};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

/// Keys are read in UTC, and shown in the zone.
pub(super) fn localised(row: Record, names: &[&str], zone: chrono_tz::Tz) -> Json {
    let mut row = row.into_json();
    for name in names {
        if let Some(time) = row[*name].as_str().and_then(dates::time) {
            row[*name] = json!(dates::local(time, zone));
        }
    }
    row
}

pub(super) fn limit(given: Option<usize>) -> Result<usize, Problem> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    let invalid = || Problem::invalid("limit", format!("the limit is 1 to {MAX_LIMIT}"));
    Some(limit)
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(invalid)
}

/// The newest first, behind the cursor, and one more than the limit: whether there is a next page.
pub(super) fn page(
    statement: &mut Statement,
    (time, id): (&str, &str),
    cursor: Option<&str>,
    limit: usize,
) -> Result<(), Problem> {
    if let Some(cursor) = cursor {
        let (at, last) = decode(cursor)
            .ok_or_else(|| Problem::invalid("cursor", "the cursor is not one that a reply had as `next_cursor`"))?;
        statement.sql(format!(" AND {time} <= ")).bind(Value::Time(at));
        statement.sql(format!(" AND ({time} < ")).bind(Value::Time(at));
        statement.sql(format!(" OR {id} < ")).bind(Value::Text(last)).sql(")");
    }
    statement.sql(format!("\nORDER BY {time} DESC, {id} DESC LIMIT {}", limit + 1));
    Ok(())
}

pub(super) fn next(rows: &[Record], (time, id): (&str, &str), limit: usize) -> Option<String> {
    if rows.len() <= limit {
        return None;
    }
    let last = rows.get(limit - 1)?;
    let at = last.text(time).and_then(dates::time)?;
    Some(URL_SAFE_NO_PAD.encode(format!("{}.{}", at.timestamp_micros(), last.text(id)?)))
}

fn decode(cursor: &str) -> Option<(DateTime<Utc>, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (at, id) = text.split_once('.')?;
    let at = DateTime::from_timestamp_micros(at.parse().ok()?)?;
    // Only times that were shown as such come back.
    dates::time(&at.to_rfc3339()).map(|at| (at, id.to_owned()))
}
