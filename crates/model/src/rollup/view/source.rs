//! What the branches of a view read.

use crate::rollup::session_measures::of_first_event;
use crate::rollup::{HashedId, Rollup};
use crate::schema;

/// What a branch of a view reads.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Segments(&'a Rollup, Days),
    /// Events that no segment of the rollup covers.
    Uncovered(&'a Rollup),
    Events,
    Sessions,
}

/// Of which days segments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    All,
    /// Those of which one segment has all events: its rows are those of the day.
    Whole,
    /// All others.
    Rest,
}

impl Days {
    /// What names of tables begin with.
    const PREFIXES: [(Self, &str); 3] = [
        (Self::All, "segments_of_"),
        (Self::Whole, "whole_days_of_"),
        (Self::Rest, "other_segments_of_"),
    ];
}

/// A table that the SQL of a view reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTable<'a> {
    /// The segments of this rollup that may be used.
    Segments(&'a str, Days),
    /// The events that none of them covers.
    Uncovered(&'a str),
    Events,
    Sessions,
}

const UNCOVERED_BY: &str = "uncovered_by_";

impl<'a> SourceTable<'a> {
    /// The table with this name in the SQL of a view.
    pub fn named(name: &'a str) -> Option<Self> {
        let mut prefixes = Days::PREFIXES.into_iter();
        let segments = prefixes.find_map(|(days, prefix)| Some(Self::Segments(name.strip_prefix(prefix)?, days)));
        let uncovered = name.strip_prefix(UNCOVERED_BY).map(Self::Uncovered);
        segments.or(uncovered).or(match name {
            "events" => Some(Self::Events),
            "sessions" => Some(Self::Sessions),
            _ => None,
        })
    }
}

impl Source<'_> {
    pub(super) fn table(&self) -> String {
        match self {
            Self::Segments(rollup, days) => {
                let prefix = Days::PREFIXES.iter().find(|(known, _)| known == days);
                format!("{}{}", prefix.map_or("", |(_, prefix)| prefix), rollup.name)
            }
            Self::Uncovered(rollup) => format!("{UNCOVERED_BY}{}", rollup.name),
            Self::Events => "events".to_owned(),
            Self::Sessions => "sessions".to_owned(),
        }
    }

    /// The column with the time that a row belongs to; segments have buckets.
    pub(super) fn time(&self) -> &'static str {
        match self {
            Self::Sessions => "session_start",
            Self::Segments(..) | Self::Uncovered(_) | Self::Events => "event_timestamp",
        }
    }

    /// The date of that time.
    pub(super) fn date(&self) -> String {
        match self {
            Self::Sessions => "CAST(session_start AS DATE)".to_owned(),
            Self::Segments(..) | Self::Uncovered(_) | Self::Events => schema::PARTITION_COLUMN.to_owned(),
        }
    }

    /// A dimension's column.
    pub(super) fn dimension<'a>(&self, name: &'a str) -> &'a str {
        match self {
            Self::Sessions => of_first_event(name).unwrap_or(name),
            Self::Segments(..) | Self::Uncovered(_) | Self::Events => name,
        }
    }

    /// The column with an id's hash, and its expression.
    pub(super) fn id(&self, id: HashedId) -> (&'static str, String) {
        let name = id.hash_column();
        match self {
            Self::Segments(..) => (name, name.to_owned()),
            Self::Uncovered(_) | Self::Events | Self::Sessions => (name, id.over_events()),
        }
    }

    pub(super) fn has_times(&self) -> bool {
        !matches!(self, Self::Segments(..))
    }
}
