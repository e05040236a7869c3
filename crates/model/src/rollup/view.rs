//! The views of rollups in SQL: segments where they exist, elsewhere computed from events, so that a view is exact at
//! all times.
//!
//! ```text
//! segments of the rollup ---------------\
//! events that they don't cover, grouped --+- UNION ALL, merged by the view's keys -> the view
//! visitors, distinct by the same keys --/
//! ```
//!
//! A branch gives some of the measures, for the same keys as the others; one that no wanted column needs is left out.

use crate::clock::Micros;
use crate::schema;
use crate::table::SITE_COLUMN;

use super::{Grain, Measure, Rollup, VISITOR_COLUMN};

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
                let unit = self.column();
                vec![(unit, format!("CAST(date_trunc('{unit}', {date}) AS DATE)"))]
            }
            Self::Buckets(grain) => {
                let bucket = grain.column().map(|name| {
                    let bucket = match source {
                        Source::Segments(rollup) if rollup.grain == grain => name.to_owned(),
                        Source::Segments(rollup) => grain.bucket_of(rollup.grain.column().unwrap_or(date)),
                        Source::Uncovered(_) | Source::Events => grain.bucket_of("event_timestamp"),
                    };
                    (name, bucket)
                });
                [(date, date.to_owned())].into_iter().chain(bucket).collect()
            }
        }
    }
}

/// What a branch of a view reads.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Segments(&'a Rollup),
    /// Events that no segment of the rollup covers.
    Uncovered(&'a Rollup),
    Events,
}

/// A table that the SQL of a view reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTable<'a> {
    /// The segments of this rollup that may be used.
    Segments(&'a str),
    /// The events that none of them covers.
    Uncovered(&'a str),
    Events,
}

const SEGMENTS_OF: &str = "segments_of_";
const UNCOVERED_BY: &str = "uncovered_by_";

impl<'a> SourceTable<'a> {
    /// The table with this name in the SQL of a view.
    pub fn named(name: &'a str) -> Option<Self> {
        if let Some(rollup) = name.strip_prefix(SEGMENTS_OF) {
            return Some(Self::Segments(rollup));
        }
        let uncovered = name.strip_prefix(UNCOVERED_BY).map(Self::Uncovered);
        uncovered.or_else(|| (name == "events").then_some(Self::Events))
    }
}

impl Source<'_> {
    fn table(&self) -> String {
        match self {
            Self::Segments(rollup) => format!("{SEGMENTS_OF}{}", rollup.name),
            Self::Uncovered(rollup) => format!("{UNCOVERED_BY}{}", rollup.name),
            Self::Events => "events".to_owned(),
        }
    }

    fn is_of_events(&self) -> bool {
        !matches!(self, Self::Segments(_))
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

    fn condition(self) -> String {
        let compare = |operator: &str, at: Micros| {
            format!("event_timestamp {operator} arrow_cast({at}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
        };
        let from = self.from.map(|at| compare(">=", at));
        let until = self.until.map(|at| compare("<", at));
        let both: Vec<_> = from.into_iter().chain(until).collect();
        if both.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", both.join(" AND "))
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

    /// The measures of its rows that come from the rollup.
    pub fn measures(&self) -> &[Measure] {
        &self.rollup.measures
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
        let mut branches = Vec::new();
        let mut merged: Vec<String> = self.keys().into_iter().map(str::to_owned).collect();
        let grouped = positions(merged.len());
        if self.period == Period::Buckets(Grain::Day) {
            merged.push(format!("{} AS {}", schema::PARTITION_COLUMN, self.period.column()));
        }
        if !measures.is_empty() || !counts_visitors {
            branches.extend(self.measured(&measures, times));
            merged.extend(
                measures
                    .iter()
                    .map(|Measure { name, function, .. }| format!("{}({name}) AS {name}", function.merge())),
            );
        }
        if counts_visitors {
            branches.push(self.visitors_counted(times));
            merged.push(format!("sum({UNIQUE_USERS}) AS {UNIQUE_USERS}"));
        }
        format!(
            "SELECT {} FROM ({}) GROUP BY {grouped}",
            merged.join(", "),
            branches.join(" UNION ALL BY NAME ")
        )
    }

    /// The branches of the rollup's own measures.
    fn measured(&self, measures: &[&Measure], times: TimeRange) -> [String; 2] {
        let (segments, uncovered) = (Source::Segments(&self.rollup), Source::Uncovered(&self.rollup));
        let stored = measures.iter().map(|measure| measure.name.clone());
        let computed = measures
            .iter()
            .map(|measure| format!("{} AS {}", measure.function.typed_over_events(), measure.name));
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
                let branches = [Source::Segments(rollup), Source::Uncovered(rollup)];
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

    /// The keys and `columns` of a source.
    fn branch(&self, source: &Source<'_>, columns: Vec<String>, times: TimeRange) -> String {
        let keys = self.keys_over(source).into_iter();
        let keys = keys.map(|(name, sql)| if name == sql { sql } else { format!("{sql} AS {name}") });
        let selected: Vec<String> = keys.chain(columns).collect();
        let condition = if source.is_of_events() {
            times.condition()
        } else {
            String::new()
        };
        format!("SELECT {} FROM {}{condition}", selected.join(", "), source.table())
    }

    fn keys_over(&self, source: &Source<'_>) -> Vec<(&str, String)> {
        let same = |name| (name, str::to_owned(name));
        let visitor = self.rollup.per_visitor.then(|| same(VISITOR_COLUMN));
        let dimensions = self.dimensions.iter().map(|name| same(name.as_str()));
        [same(SITE_COLUMN)]
            .into_iter()
            .chain(visitor)
            .chain(self.period.keys(source))
            .chain(dimensions)
            .collect()
    }
}

/// `1, 2, 3`.
fn positions(columns: usize) -> String {
    let positions: Vec<_> = (1..=columns).map(|position| position.to_string()).collect();
    positions.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::{Function, Grain};
    use super::*;

    fn rollup(name: &str, dimensions: &[&str], per_visitor: bool) -> Rollup {
        Rollup {
            name: name.into(),
            grain: Grain::Hour,
            per_visitor,
            dimensions: dimensions.iter().map(|name| (*name).to_owned()).collect(),
            measures: vec![Measure {
                name: "event_count".into(),
                function: Function::Count,
                description: String::new(),
            }],
        }
    }

    fn view(period: Period) -> RollupView {
        let others = [rollup("visits", &["country", "device"], true)];
        let dimensions = vec!["country".to_owned()];
        RollupView::grouped("mine", rollup("r", &["country"], false), period, dimensions, &others)
    }

    #[test]
    fn measures_come_from_segments_and_uncovered_events() {
        let sql = view(Period::Buckets(Grain::Hour)).sql(|name| name == "event_count", TimeRange::ALL);
        insta::assert_snapshot!(sql);
    }

    #[test]
    fn visitors_alone_need_no_other_branch() {
        let times = TimeRange {
            from: Some(5),
            until: None,
        };
        insta::assert_snapshot!(view(Period::Week).sql(|name| name == UNIQUE_USERS, times));
    }

    #[test]
    fn keys_alone_are_those_of_segments_and_uncovered_events() {
        let sql = view(Period::Buckets(Grain::Day)).sql(|_| false, TimeRange::ALL);
        insta::assert_snapshot!(sql);
    }

    #[test]
    fn visitors_are_counted_where_all_keys_are_known() {
        let others = [rollup("visits", &["country"], true)];
        let of = |dimension: &str, period| {
            let rollup = rollup("r", &[dimension], false);
            RollupView::grouped("mine", rollup, period, vec![dimension.to_owned()], &others).visitors
        };
        assert!(matches!(of("country", Period::Month), Visitors::Of(_)));
        assert_eq!(of("page_path", Period::Month), Visitors::Events);
        assert_eq!(of("country", Period::Buckets(Grain::QuarterHour)), Visitors::Events);
        let own = RollupView::new(others[0].clone(), &others);
        assert_eq!(own.visitors, Visitors::OnePerRow);
        assert_eq!(
            own.keys(),
            ["tracking_id", "client_hash", "event_date", "hour", "country"]
        );
    }

    #[test]
    fn sources_are_known_by_their_names() {
        let rollup = rollup("r", &[], false);
        let named = |source: Source<'_>| {
            let name = source.table();
            match SourceTable::named(&name) {
                Some(SourceTable::Segments(name)) => format!("segments {name}"),
                Some(SourceTable::Uncovered(name)) => format!("uncovered {name}"),
                Some(SourceTable::Events) => "events".into(),
                None => "none".into(),
            }
        };
        assert_eq!(named(Source::Segments(&rollup)), "segments r");
        assert_eq!(named(Source::Uncovered(&rollup)), "uncovered r");
        assert_eq!(named(Source::Events), "events");
        assert_eq!(SourceTable::named("visits"), None);
    }
}
