//! The columns of a part.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use footfall_model::schema::REVENUE_SCALE;

/// An event that attributes of a session are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The first event.
    First,
    /// The first pageview.
    Entry,
    /// The last pageview.
    Exit,
    /// The first event that knows the person.
    User,
}

pub(crate) const MARKS: [Mark; 4] = [Mark::First, Mark::Entry, Mark::Exit, Mark::User];

/// What is counted: all events, or those of one type.
pub(crate) const COUNTS: [(&str, Option<&str>); 4] = [
    ("event_count", None),
    ("pageview_count", Some("pageview")),
    ("click_count", Some("click")),
    ("purchase_count", Some("purchase")),
];

/// `(mark, column of a part, column of an event)`, by mark.
pub(crate) const ATTRIBUTES: [(Mark, &str, &str); 16] = [
    (Mark::First, "entry_event_type", "event_type"),
    (Mark::First, "referrer", "referrer"),
    (Mark::First, "utm_source", "utm_source"),
    (Mark::First, "utm_medium", "utm_medium"),
    (Mark::First, "utm_campaign", "utm_campaign"),
    (Mark::First, "utm_term", "utm_term"),
    (Mark::First, "utm_content", "utm_content"),
    (Mark::First, "source", "source"),
    (Mark::First, "channel", "channel"),
    (Mark::First, "country", "country"),
    (Mark::First, "device", "device"),
    (Mark::First, "browser", "browser"),
    (Mark::First, "os", "os"),
    (Mark::Entry, "entry_page", "page_path"),
    (Mark::Exit, "exit_page", "page_path"),
    (Mark::User, "user_id", "user_id"),
];

/// The column of parts that need no stitching where one file has all events of their day.
pub const SETTLED: &str = "settled";

/// A column of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartColumn {
    Site,
    Hash,
    /// The time of the first event.
    Start,
    Client,
    /// From the first event to the last, microseconds.
    Duration,
    /// An index of [`COUNTS`].
    Count(usize),
    Revenue,
    IsBot,
    /// Whether it is a whole session, if all events of its day are in one file: see [`Part::is_settled`](crate::part::Part).
    Settled,
    /// Microseconds from the first event to this one, or from the last pageview to the last event. Unlike times, these
    /// are mostly zero, or short.
    Offset(Mark),
    /// When an event arrived: microseconds after the first event's arrival; the first event's after its own time.
    Arrival(Mark),
    /// An index of [`ATTRIBUTES`].
    Attribute(usize),
}

/// Every column, in the order of a file.
fn all() -> Vec<PartColumn> {
    use PartColumn::{Arrival, Attribute, Client, Count, Duration, Hash, IsBot, Offset, Revenue, Settled, Site, Start};
    let mut columns = vec![Site, Hash, Start, Client, Duration];
    columns.extend((0..COUNTS.len()).map(Count));
    columns.extend([Revenue, IsBot, Settled]);
    for mark in MARKS {
        if mark != Mark::First {
            columns.push(Offset(mark));
        }
        columns.push(Arrival(mark));
        let attributes = ATTRIBUTES.iter().enumerate();
        columns.extend(
            attributes
                .filter(|(_, (of, ..))| *of == mark)
                .map(|(index, _)| Attribute(index)),
        );
    }
    columns
}

impl PartColumn {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Site => "tracking_id",
            Self::Hash => "client_hash",
            Self::Start => "part_start",
            Self::Client => "client_id",
            Self::Duration => "duration",
            Self::Count(count) => COUNTS[count].0,
            Self::Revenue => "revenue",
            Self::IsBot => "is_bot",
            Self::Settled => SETTLED,
            Self::Offset(mark) => match mark {
                Mark::First => "first_offset",
                Mark::Entry => "entry_offset",
                Mark::Exit => "exit_offset",
                Mark::User => "user_offset",
            },
            Self::Arrival(mark) => match mark {
                Mark::First => "first_arrival",
                Mark::Entry => "entry_arrival",
                Mark::Exit => "exit_arrival",
                Mark::User => "user_arrival",
            },
            Self::Attribute(attribute) => ATTRIBUTES[attribute].1,
        }
    }

    fn field(self) -> Field {
        let (data_type, nullable) = match self {
            Self::Site | Self::Client => (DataType::Utf8, false),
            Self::Hash | Self::Duration | Self::Count(_) => (DataType::Int64, false),
            Self::Start => (time(), false),
            Self::Revenue => (revenue(), true),
            Self::IsBot | Self::Settled => (DataType::Boolean, false),
            Self::Offset(_) => (DataType::Int64, true),
            Self::Arrival(mark) => (DataType::Int64, mark != Mark::First),
            Self::Attribute(_) => (DataType::Utf8, true),
        };
        Field::new(self.name(), data_type, nullable)
    }

    /// Whether there is no part without it.
    pub(crate) fn is_key(self) -> bool {
        matches!(
            self,
            Self::Site | Self::Hash | Self::Start | Self::Client | Self::Duration
        )
    }

    fn of_mark(self, mark: Mark) -> bool {
        match self {
            Self::Offset(of) | Self::Arrival(of) => of == mark,
            _ => false,
        }
    }
}

pub(crate) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// 38 digits hold the sum of more events than there will ever be.
pub(crate) fn revenue() -> DataType {
    DataType::Decimal128(38, REVENUE_SCALE)
}

/// The columns of a file of parts.
pub(crate) fn file_fields() -> Vec<Field> {
    all().into_iter().map(PartColumn::field).collect()
}

/// The columns of the parts that a query or the compactor works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<PartColumn>,
    pub(crate) schema: SchemaRef,
    /// Indices of [`ATTRIBUTES`].
    pub(crate) attributes: Vec<usize>,
    /// Where in `attributes` those of each of [`MARKS`] are.
    pub(crate) of_mark: [Range<usize>; MARKS.len()],
}

impl Layout {
    /// All columns.
    pub(crate) fn whole() -> Self {
        Self::of(all())
    }

    /// The keys, the columns with these names, and what merging them needs.
    pub(crate) fn with(names: &[&str]) -> Self {
        let named = |column: &PartColumn| names.contains(&column.name());
        let columns = all();
        let marks: Vec<Mark> = columns
            .iter()
            .filter(|column| named(column))
            .filter_map(|column| match column {
                PartColumn::Attribute(attribute) => Some(ATTRIBUTES[*attribute].0),
                _ => None,
            })
            .collect();
        // The others' arrivals count from the first event's.
        let is_first = |column: &PartColumn| !marks.is_empty() && column.of_mark(Mark::First);
        let of_marks = |column: &PartColumn| is_first(column) || marks.iter().any(|mark| column.of_mark(*mark));
        let needed = |column: &PartColumn| column.is_key() || named(column) || of_marks(column);
        Self::of(columns.into_iter().filter(needed).collect())
    }

    fn of(columns: Vec<PartColumn>) -> Self {
        let fields: Vec<Field> = columns.iter().map(|column| column.field()).collect();
        let attributes: Vec<usize> = columns
            .iter()
            .filter_map(|column| match column {
                PartColumn::Attribute(attribute) => Some(*attribute),
                _ => None,
            })
            .collect();
        let before = |mark: usize| {
            attributes
                .iter()
                .filter(|index| (ATTRIBUTES[**index].0 as usize) < mark)
                .count()
        };
        Self {
            of_mark: std::array::from_fn(|mark| before(mark)..before(mark + 1)),
            schema: Arc::new(Schema::new(fields)),
            columns,
            attributes,
        }
    }

    /// The index of a column, if it is there.
    pub(crate) fn index(&self, column: PartColumn) -> Option<usize> {
        self.columns.iter().position(|other| *other == column)
    }
}

/// The error for a batch of another schema.
pub(crate) fn wrong_column(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column {name} is missing or of another type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_indices() {
        for (index, mark) in MARKS.iter().enumerate() {
            assert_eq!(*mark as usize, index);
        }
        assert!(ATTRIBUTES.is_sorted_by_key(|(mark, ..)| *mark as usize));
    }

    #[test]
    fn only_what_is_needed_is_read() {
        let names = |layout: &Layout| {
            layout
                .schema
                .fields()
                .iter()
                .map(|f| f.name().clone())
                .collect::<Vec<_>>()
        };
        let keys = ["tracking_id", "client_hash", "part_start", "client_id", "duration"];
        assert_eq!(names(&Layout::with(&[])), keys);
        let layout = Layout::with(&["exit_page", "pageview_count"]);
        let more = [
            "pageview_count",
            "first_arrival",
            "exit_offset",
            "exit_arrival",
            "exit_page",
        ];
        assert_eq!(names(&layout), [&keys[..], &more].concat());
        assert_eq!(layout.of_mark, [0..0, 0..0, 0..1, 1..1]);
        assert_eq!(names(&Layout::with(&["country"]))[5..], ["first_arrival", "country"]);
        assert_eq!(Layout::whole().attributes.len(), ATTRIBUTES.len());
    }
}
