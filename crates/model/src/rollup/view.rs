//! The views of rollups in SQL: segments where they exist, elsewhere computed from events, so that a view is exact at
//! all times.
//!
//! ```text
//! segments of the rollup ---------------\
//! events that they don't cover, grouped --+- UNION ALL, merged by the view's keys -> the view
//! visitors, distinct by the same keys ---+
//! sessions, by their first event's keys -/
//! ```
//!
//! A branch gives some of the measures, for the same keys as the others; one that no wanted column needs is left out. Days
//! that one segment has as a whole need no merging, which costs far more than reading them.

mod source;
mod sql;

use std::collections::BTreeSet;

use crate::access::SiteScope;
use crate::clock::Micros;
use crate::schema;
use crate::table::SITE_COLUMN;

use super::session_measures::{SESSION_MEASURES, SessionMeasure, of_first_event};
use super::{Grain, Measure, Rollup, VISITOR_COLUMN};
use source::Source;
pub use source::{Days, SourceTable};
use sql::{of_sites, positions, quoted};

/// The column with the exact number of distinct visitors of a row.
pub const UNIQUE_USERS: &str = "unique_users";

/// The time that a view's rows are grouped by, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Buckets(Grain),
    /// Monday to Sunday.
    Week,
    Month,
}

impl Period {
    /// The column with the period's start.
    pub fn column(self) -> &'static str {
        match self {
            Self::Buckets(grain) => grain.column().unwrap_or("day"),
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The longest that it can take.
    pub fn micros(self) -> Micros {
        match self {
            Self::Buckets(grain) => grain.micros(),
            Self::Week => 7 * Grain::Day.micros(),
            Self::Month => 31 * Grain::Day.micros(),
        }
    }

    /// Whether buckets of `grain` never lie in two of its periods.
    fn is_union_of(self, grain: Grain) -> bool {
        match self {
            Self::Buckets(own) => own.micros() % grain.micros() == 0,
            Self::Week | Self::Month => true,
        }
    }

    /// The columns that group rows by it, each with its expression over `source`.
    fn keys(self, source: &Source) -> Vec<(&'static str, String)> {
        let date = schema::PARTITION_COLUMN;
        match self {
            Self::Week | Self::Month => {
                let (unit, of) = (self.column(), source.date());
                vec![(unit, format!("CAST(date_trunc('{unit}', {of}) AS DATE)"))]
            }
            Self::Buckets(grain) => {
                let bucket = grain.column().map(|name| {
                    let bucket = match source {
                        Source::Segments(rollup, _) if rollup.grain == grain => name.to_owned(),
                        Source::Segments(rollup, _) => grain.bucket_of(rollup.grain.column().unwrap_or(date)),
                        Source::Uncovered(_) | Source::Events | Source::Sessions => grain.bucket_of(source.time()),
                    };
                    (name, bucket)
                });
                [(date, source.date())].into_iter().chain(bucket).collect()
            }
        }
    }
}

/// Where a view counts distinct visitors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visitors {
    /// In this rollup, which has a row for each visitor.
    Of(Rollup),
    /// In events: no rollup has the view's dimensions for each visitor.
    Events,
    /// A row is of one visitor.
    OnePerRow,
}

/// A view of a rollup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollupView {
    /// Its name in SQL.
    pub name: String,
    /// The rollup whose measures it merges.
    pub rollup: Rollup,
    pub period: Period,
    /// Some of the rollup's.
    pub dimensions: Vec<String>,
    pub visitors: Visitors,
}

/// Times of events, from the first (inclusive) to the second (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    pub from: Option<Micros>,
    pub until: Option<Micros>,
}

impl TimeRange {
    pub const ALL: Self = Self {
        from: None,
        until: None,
    };

    fn conditions(self, column: &str) -> Vec<String> {
        let compare = |operator: &str, at: Micros| {
            format!("{column} {operator} arrow_cast({at}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
        };
        let from = self.from.map(|at| compare(">=", at));
        let until = self.until.map(|at| compare("<", at));
        from.into_iter().chain(until).collect()
    }
}

impl RollupView {
    /// The view of a whole rollup. Visitors are counted in the first of `others` that can.
    pub fn new(rollup: Rollup, others: &[Rollup]) -> Self {
        let period = Period::Buckets(rollup.grain);
        let dimensions = rollup.dimensions.clone();
        let name = rollup.name.clone();
        Self::grouped(&name, rollup, period, dimensions, others)
    }

    /// The view of a rollup by longer periods or fewer dimensions.
    pub fn grouped(name: &str, rollup: Rollup, period: Period, dimensions: Vec<String>, others: &[Rollup]) -> Self {
        let counts_visitors = |other: &&Rollup| {
            other.per_visitor
                && period.is_union_of(other.grain)
                && dimensions.iter().all(|name| other.dimensions.contains(name))
        };
        let visitors = match others.iter().find(counts_visitors) {
            _ if rollup.per_visitor => Visitors::OnePerRow,
            Some(other) => Visitors::Of(other.clone()),
            None => Visitors::Events,
        };
        Self {
            name: name.to_owned(),
            rollup,
            period,
            dimensions,
            visitors,
        }
    }

    /// The same of those sites alone that a caller may see, so that its plan names no other.
    #[must_use]
    pub fn for_sites(&self, visible: &SiteScope) -> Self {
        let mut view = self.clone();
        view.rollup.sites = self.rollup.sites.intersection(visible);
        view
    }

    /// The measures of its rows that come from the rollup.
    pub fn measures(&self) -> &[Measure] {
        &self.rollup.measures
    }

    /// The measures that come from sessions; none if a session has not all of the view's dimensions.
    pub fn session_measures(&self) -> &'static [SessionMeasure] {
        let has_all = self.dimensions.iter().all(|name| of_first_event(name).is_some());
        if has_all && self.visitors != Visitors::OnePerRow {
            &SESSION_MEASURES
        } else {
            &[]
        }
    }

    /// The columns that name a row.
    pub fn keys(&self) -> Vec<&str> {
        let keys = self.keys_over(&Source::Events);
        keys.into_iter().map(|(name, _)| name).collect()
    }

    /// The SQL of the view, with those of its measures that are `wanted`, over events of this time range at least.
    pub fn sql(&self, wanted: impl Fn(&str) -> bool, times: TimeRange) -> String {
        let measures: Vec<&Measure> = self.measures().iter().filter(|m| wanted(&m.name)).collect();
        let counts_visitors = self.visitors != Visitors::OnePerRow && wanted(UNIQUE_USERS);
        let sessions: Vec<_> = self.session_measures().iter().filter(|m| wanted(m.name)).collect();
        let has_whole_days = !counts_visitors && sessions.is_empty() && self.has_rows_of_segments();
        let mut branches = Vec::new();
        let mut merged: Vec<String> = self.keys().into_iter().map(str::to_owned).collect();
        let grouped = positions(merged.len());
        if self.period == Period::Buckets(Grain::Day) {
            merged.push(format!("{} AS {}", schema::PARTITION_COLUMN, self.period.column()));
        }
        // Sessions alone do not make all rows.
        if !measures.is_empty() || !counts_visitors {
            let days = if has_whole_days { Days::Rest } else { Days::All };
            branches.extend(self.measured(&measures, days, times));
            merged.extend(
                measures
                    .iter()
                    .map(|measure| (quoted(&measure.name), measure.function.merge()))
                    .map(|(name, merge)| format!("{merge}({name}) AS {name}")),
            );
        }
        if counts_visitors {
            branches.push(self.visitors_counted(times));
            merged.push(format!("sum({UNIQUE_USERS}) AS {UNIQUE_USERS}"));
        }
        if !sessions.is_empty() {
            branches.push(self.sessions_counted(&sessions, times));
            merged.extend(
                sessions
                    .iter()
                    .map(|measure| format!("{} AS {}", measure.merged, measure.name)),
            );
        }
        let mut sql = format!(
            "SELECT {} FROM ({}) GROUP BY {grouped}",
            merged.join(", "),
            branches.join(" UNION ALL BY NAME ")
        );
        if has_whole_days {
            sql = format!("{sql} UNION ALL BY NAME {}", self.whole_days(&measures, times));
        }
        sql
    }

    /// Whether a row of a segment is one of the view, if no other segment has events of its day.
    fn has_rows_of_segments(&self) -> bool {
        self.period == Period::Buckets(self.rollup.grain) && self.dimensions == self.rollup.dimensions
    }

    fn whole_days(&self, measures: &[&Measure], times: TimeRange) -> String {
        let day = format!("{} AS {}", schema::PARTITION_COLUMN, self.period.column());
        let day = (self.period == Period::Buckets(Grain::Day)).then_some(day);
        let measures = measures.iter().map(|measure| quoted(&measure.name));
        let columns = day.into_iter().chain(measures).collect();
        self.branch(&Source::Segments(&self.rollup, Days::Whole), columns, times)
    }

    /// The branches of the rollup's own measures.
    fn measured(&self, measures: &[&Measure], days: Days, times: TimeRange) -> [String; 2] {
        let (segments, uncovered) = (Source::Segments(&self.rollup, days), Source::Uncovered(&self.rollup));
        let stored = measures.iter().map(|measure| quoted(&measure.name));
        let computed = measures
            .iter()
            .map(|measure| format!("{} AS {}", measure.function.typed_over_events(), quoted(&measure.name)));
        let grouped = format!("GROUP BY {}", positions(self.keys().len()));
        [
            self.branch(&segments, stored.collect(), times),
            format!("{} {grouped}", self.branch(&uncovered, computed.collect(), times)),
        ]
    }

    fn visitors_counted(&self, times: TimeRange) -> String {
        let visitors = |source: Source<'_>| self.branch(&source, vec![VISITOR_COLUMN.to_owned()], times);
        let all = match &self.visitors {
            Visitors::Of(rollup) => {
                let branches = [Source::Segments(rollup, Days::All), Source::Uncovered(rollup)];
                branches.map(visitors).join(" UNION ALL ")
            }
            Visitors::Events | Visitors::OnePerRow => visitors(Source::Events),
        };
        let keys = self.keys();
        format!(
            "SELECT {}, count(DISTINCT {VISITOR_COLUMN}) AS {UNIQUE_USERS} FROM ({all}) GROUP BY {}",
            keys.join(", "),
            positions(keys.len())
        )
    }

    fn sessions_counted(&self, measures: &[&SessionMeasure], times: TimeRange) -> String {
        let parts: BTreeSet<_> = measures.iter().flat_map(|measure| measure.over_sessions).collect();
        let parts = parts.into_iter().map(|(name, sql)| format!("{sql} AS {name}"));
        let grouped = positions(self.keys().len());
        format!(
            "{} GROUP BY {grouped}",
            self.branch(&Source::Sessions, parts.collect(), times)
        )
    }

    /// The keys and `columns` of a source.
    fn branch(&self, source: &Source<'_>, columns: Vec<String>, times: TimeRange) -> String {
        let keys = self.keys_over(source).into_iter();
        let keys = keys.map(|(name, sql)| if name == sql { sql } else { format!("{sql} AS {name}") });
        let selected: Vec<String> = keys.chain(columns).collect();
        let mut conditions = match source.has_times() {
            true => times.conditions(source.time()),
            false => Vec::new(),
        };
        conditions.extend(of_sites(&self.rollup.sites));
        let condition = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        format!("SELECT {} FROM {}{condition}", selected.join(", "), source.table())
    }

    fn keys_over(&self, source: &Source<'_>) -> Vec<(&str, String)> {
        let same = |name| (name, str::to_owned(name));
        let visitor = self.rollup.per_visitor.then(|| same(VISITOR_COLUMN));
        let ids = self.rollup.ids.iter().map(|id| source.id(*id));
        let dimensions = self.dimensions.iter().map(|name| {
            let column = source.dimension(name);
            (name.as_str(), column.to_owned())
        });
        [same(SITE_COLUMN)]
            .into_iter()
            .chain(visitor)
            .chain(ids)
            .chain(self.period.keys(source))
            .chain(dimensions)
            .collect()
    }
}

#[cfg(test)]
mod tests;
