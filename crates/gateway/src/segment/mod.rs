//! Segments: saved conditions on what visitors did, of which a report counts the visitors that fulfil them.
//!
//! ```text
//! JSON -> Formula over Tests, each of which counts a visitor's events or sessions -> SELECT client_hash … (see `sql`)
//! ```

mod parse;
mod sql;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value as Json;

use crate::problem::{Problem, printable};
use crate::report::{Condition, dates::Period};
use crate::statement::Statement;
use crate::vocabulary::Base;

/// The filters of a segment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    formula: Formula,
    tests: Vec<Test>,
}

/// Which visitors belong to the segment.
#[derive(Debug, Clone, PartialEq)]
enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
    /// An index of the tests.
    Test(usize),
}

/// How many rows of a kind a visitor has, and what they brought in.
#[derive(Debug, Clone, PartialEq)]
struct Test {
    /// Events or sessions.
    base: Base,
    condition: Option<Condition>,
    /// As given; its words are relative to the time of the query.
    date_range: Option<Json>,
    at_least: i64,
    at_most: Option<i64>,
    /// Comparisons with the sum of `revenue`, which is 0 without rows.
    revenue: Vec<(&'static str, f64)>,
    /// Where in the request it stands.
    field: String,
}

impl Test {
    /// Whether a visitor without such rows fulfils it.
    fn holds_without_rows(&self) -> bool {
        let revenue = self.revenue.iter().all(|(sign, limit)| match *sign {
            ">" => 0.0 > *limit,
            ">=" => 0.0 >= *limit,
            "<" => 0.0 < *limit,
            _ => 0.0 <= *limit,
        });
        self.at_least == 0 && revenue
    }
}

impl Segment {
    /// Whether a visitor who has no row of any test belongs to it.
    fn holds_without_rows(&self) -> bool {
        self.holds(&self.formula, &|test| test.holds_without_rows())
    }

    fn holds(&self, formula: &Formula, test: &impl Fn(&Test) -> bool) -> bool {
        match formula {
            Formula::All(inner) => inner.iter().all(|part| self.holds(part, test)),
            Formula::Any(inner) => inner.iter().any(|part| self.holds(part, test)),
            Formula::Not(inner) => !self.holds(inner, test),
            Formula::Test(index) => self.tests.get(*index).is_some_and(test),
        }
    }
}

/// When and for which site a segment is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) tracking_id: &'a str,
    /// Of its dates.
    pub(crate) zone: Tz,
    pub(crate) now: DateTime<Utc>,
}

/// The segments that a request names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Segments {
    known: BTreeMap<String, Segment>,
    /// Whether others are taken to be there, without visitors.
    unchecked: bool,
}

impl Segments {
    /// For a request that is checked and not run: its segments are looked up when it is.
    pub(crate) fn unchecked() -> Self {
        Self {
            unchecked: true,
            ..Self::default()
        }
    }

    pub(crate) fn insert(&mut self, name: &str, segment: Segment) {
        self.known.insert(name.to_owned(), segment);
    }

    /// The visitors of the segment, one per row: `SELECT client_hash …`.
    pub(crate) fn visitors(&self, name: &str, field: &str, scope: Scope<'_>) -> Result<Statement, Problem> {
        match self.known.get(name) {
            Some(segment) => segment.visitors(scope),
            None if self.unchecked => Ok(Statement::new("SELECT client_hash FROM events WHERE FALSE")),
            None => Err(unknown(name, field)),
        }
    }
}

pub(crate) fn unknown(name: &str, field: &str) -> Problem {
    Problem::invalid(field, format!("the site has no segment `{}`", printable(name)))
}

impl Test {
    fn period(&self, scope: Scope<'_>) -> Result<Option<Period>, Problem> {
        let field = format!("{}.date_range", self.field);
        let given = self.date_range.as_ref();
        given
            .map(|given| Period::parse(given, &field, scope.now, scope.zone))
            .transpose()
    }
}

#[cfg(test)]
mod tests;
