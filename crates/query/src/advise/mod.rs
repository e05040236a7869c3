//! Which rollups to make: those that would have saved the most rows of the statements that were computed from events.
//!
//! ```text
//! system.queries -> facts -> candidates: what they lacked, and what several lacked together
//!                            each measured on a day's events (SQL) -> proposals: the best first
//! ```
//!
//! All decisions are pure; what runs the SQL is the caller's.

mod candidates;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use chrono::NaiveDate;
use footfall_model::rollup::{Grain, RollupDefinition};
use serde_json::{Value, json};

pub use candidates::candidates;
pub(crate) use candidates::covers;

use crate::routing::MissingRollup;

/// A rollup with more rows than this for each event saves too little.
const MOST_ROWS_PER_EVENT: f64 = 0.5;

/// An aggregate that was computed from events.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryFacts {
    /// What would have answered it.
    pub rollup: RollupDefinition,
    /// Rows of events that it read.
    pub rows: u64,
}

/// A candidate, and how much smaller than the events it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub rollup: RollupDefinition,
    pub rows_per_event: f64,
}

/// A rollup to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub rollup: RollupDefinition,
    /// How many aggregates it would have answered.
    pub aggregates: usize,
    /// Rows that would not have been read.
    pub rows_saved: u64,
    pub rows_per_event: f64,
}

/// What `system.queries` shows of the aggregates of a statement; `None` if nothing is missing.
pub(crate) fn to_json(missing: &[MissingRollup]) -> Option<String> {
    let all: Vec<Value> = missing
        .iter()
        .filter_map(|MissingRollup { rollup, rows, .. }| {
            let rollup = serde_json::to_value(rollup).ok()?;
            Some(json!({ "rows": rows, "rollup": rollup }))
        })
        .collect();
    (!all.is_empty()).then(|| Value::from(all).to_string())
}

/// The facts of a row of `system.queries`: its `missing_rollups`, and the rows that all its scans gave.
///
/// # Errors
/// The text is of another version of Footfall.
pub fn facts(missing_rollups: &str, rows_read: u64) -> Result<Vec<QueryFacts>, serde_json::Error> {
    let all: Vec<Value> = serde_json::from_str(missing_rollups)?;
    let facts = all.into_iter().map(|mut missing| {
        // Files hold other sites' rows too, which a scan skips.
        let rows = missing["rows"].as_u64().unwrap_or_default().min(rows_read);
        let rollup = serde_json::from_value(missing["rollup"].take())?;
        Ok(QueryFacts { rollup, rows })
    });
    facts.collect()
}

/// The best rollups, the first by itself, each next one beside those before it.
pub fn advise(facts: &[QueryFacts], measured: &[Measured], limit: usize) -> Vec<Proposal> {
    let mut left: Vec<&QueryFacts> = facts.iter().collect();
    let mut proposals = Vec::new();
    while proposals.len() < limit {
        let small = measured
            .iter()
            .filter(|measured| measured.rows_per_event <= MOST_ROWS_PER_EVENT);
        let proposed = small.map(|measured| propose(measured, &left));
        // Of two that save as much, the one with less in it.
        let best = proposed.max_by_key(|proposal| (proposal.rows_saved, std::cmp::Reverse(size(&proposal.rollup))));
        let Some(best) = best.filter(|best| best.rows_saved > 0) else {
            break;
        };
        left.retain(|fact| !covers(&best.rollup, &fact.rollup));
        proposals.push(best);
    }
    proposals
}

fn propose(measured: &Measured, facts: &[&QueryFacts]) -> Proposal {
    let answered = facts.iter().filter(|fact| covers(&measured.rollup, &fact.rollup));
    let (aggregates, rows) = answered.fold((0, 0_u64), |(count, rows), fact| {
        (count + 1, rows.saturating_add(fact.rows))
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an estimate, not negative"
    )]
    let rows_saved = (rows as f64 * (1.0 - measured.rows_per_event)) as u64;
    Proposal {
        rollup: measured.rollup.clone(),
        aggregates,
        rows_saved,
        rows_per_event: measured.rows_per_event,
    }
}

fn size(rollup: &RollupDefinition) -> (bool, usize, i64, usize) {
    (
        rollup.per_visitor,
        rollup.dimensions.len(),
        -rollup.grain.micros(),
        rollup.measures.len(),
    )
}

/// A name in SQL for a rollup, and none of `taken`.
pub fn name(rollup: &RollupDefinition, taken: &[String]) -> String {
    const LONGEST: usize = 50;
    let grain = match rollup.grain {
        Grain::QuarterHour => "quarterly",
        Grain::Hour => "hourly",
        Grain::Day => "daily",
    };
    let mut name = if rollup.per_visitor { "visitors_by" } else { "by" }.to_owned();
    let mut dimensions = rollup.dimensions.iter().peekable();
    while let Some(dimension) = dimensions.next_if(|next| name.len() + next.len() + 12 <= LONGEST) {
        // Writing to a text can't fail.
        let _ = write!(name, "_{dimension}");
    }
    if dimensions.peek().is_some() {
        name.push_str("_etc");
    }
    let name = if rollup.dimensions.is_empty() {
        format!("{}_{grain}", name.trim_end_matches("_by").replace("by", "totals"))
    } else {
        format!("{name}_{grain}")
    };
    let mut numbered = (2..).map(|nth| format!("{name}_{nth}"));
    std::iter::once(name.clone())
        .chain(numbered.by_ref())
        .find(|name| !taken.contains(name))
        .unwrap_or(name)
}

/// SQL that counts the events of `day` and, nearly, the rows of `rollup` for them: columns `events` and `groups`.
pub fn count_groups(rollup: &RollupDefinition, day: NaiveDate) -> String {
    let bucket = match rollup.grain {
        Grain::QuarterHour => "date_bin(INTERVAL '15 minutes', event_timestamp)",
        Grain::Hour => "date_trunc('hour', event_timestamp)",
        Grain::Day => "event_date",
    };
    let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let visitor = rollup.per_visitor.then(|| "client_hash".to_owned());
    let columns = ["tracking_id".to_owned(), bucket.to_owned()].into_iter().chain(visitor);
    let columns = columns.chain(rollup.dimensions.iter().map(quoted));
    // No text has these two characters.
    let texts: Vec<_> = columns
        .map(|column| format!("coalesce(CAST({column} AS VARCHAR), chr(30))"))
        .collect();
    format!(
        "SELECT count(*) AS events, approx_distinct(concat_ws(chr(31), {})) AS groups FROM events \
         WHERE event_date = DATE '{day}'",
        texts.join(", ")
    )
}
