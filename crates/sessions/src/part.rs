//! A part as the stitcher holds it: its numbers, and where its texts are.

use std::cmp::Ordering;
use std::ops::Range;

use arrow::array::{Array, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use footfall_model::clock::{DAY, Micros};

use crate::GAP;
use crate::columns::{ATTRIBUTES, COUNTS, Layout, MARKS, Mark, PartColumn, wrong_column};
use crate::events::numbers;

/// Where a text is: which of the [`Texts`], and the row there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) texts: usize,
    pub(crate) row: usize,
}

/// The parts that a stitcher holds open, those of the batch at hand, and a single row of nulls.
pub(crate) const OPEN: usize = 0;
pub(crate) const BATCH: usize = 1;
const NULL: Place = Place { texts: 2, row: 0 };

/// The texts of some parts.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    pub(crate) sites: StringArray,
    pub(crate) clients: StringArray,
    /// In the order of [`Layout::attributes`].
    pub(crate) attributes: Vec<StringArray>,
}

impl Texts {
    pub(crate) fn nulls(layout: &Layout) -> Self {
        let null = || StringArray::new_null(1);
        Self {
            sites: null(),
            clients: null(),
            attributes: layout.attributes.iter().map(|_| null()).collect(),
        }
    }
}

/// When an event happened, and when it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: Micros,
    pub(crate) arrived: Micros,
}

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) hash: i64,
    pub(crate) key: Place,
    pub(crate) start: Micros,
    pub(crate) end: Micros,
    pub(crate) counts: [i64; COUNTS.len()],
    pub(crate) revenue: Option<i128>,
    pub(crate) is_bot: bool,
    /// Whether events of another visitor with the same hash lie next to it, as far as that has been seen.
    pub(crate) shares_hash: bool,
    pub(crate) marks: [Option<Moment>; MARKS.len()],
    /// In the order of [`Layout::attributes`].
    pub(crate) attributes: [Place; ATTRIBUTES.len()],
}

impl Part {
    /// The day that all its events are of.
    pub(crate) fn day(&self) -> i64 {
        self.start.div_euclid(DAY)
    }

    /// Whether no gap separates it from another part of the same visitor.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        other.start.saturating_sub(self.end) < GAP && self.start.saturating_sub(other.end) < GAP
    }

    /// Whether no event of another day can be of its session. In a file by visitor and time, parts that no other visitor
    /// shares the hash of are all that the file has of their sessions.
    pub(crate) fn is_settled(&self) -> bool {
        let midnight = self.day().saturating_mul(DAY);
        let begins_late = self.start >= midnight.saturating_add(GAP);
        let ends_early = self.end <= midnight.saturating_add(DAY - GAP);
        begins_late && ends_early && !self.shares_hash
    }

    /// Merges a part of the same session into this one.
    pub(crate) fn absorb(&mut self, other: &Self, layout: &Layout, texts: &[Texts; 3]) {
        self.start = self.start.min(other.start);
        self.end = self.end.max(other.end);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        self.revenue = match (self.revenue, other.revenue) {
            (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
            (sum, more) => sum.or(more),
        };
        self.is_bot |= other.is_bot;
        self.shares_hash |= other.shares_hash;
        for (mark, attributes) in MARKS.iter().zip(&layout.of_mark) {
            let index = *mark as usize;
            match precedence(*mark, self.marks[index], other.marks[index]) {
                Ordering::Less => {}
                Ordering::Greater => {
                    self.marks[index] = other.marks[index];
                    self.attributes[attributes.clone()].copy_from_slice(&other.attributes[attributes.clone()]);
                }
                Ordering::Equal => {
                    for attribute in attributes.clone() {
                        let known = |place: Place| {
                            let texts = &texts[place.texts].attributes[attribute];
                            texts.is_valid(place.row).then(|| texts.value(place.row))
                        };
                        let (ours, theirs) = (self.attributes[attribute], other.attributes[attribute]);
                        if let Some(their) = known(theirs)
                            && known(ours).is_none_or(|our| their < our)
                        {
                            self.attributes[attribute] = theirs;
                        }
                    }
                }
            }
        }
    }
}

/// `Less`: the first of both moments is the mark's.
fn precedence(mark: Mark, ours: Option<Moment>, theirs: Option<Moment>) -> Ordering {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if mark == Mark::Exit => theirs.cmp(&ours),
        (Some(ours), Some(theirs)) => ours.cmp(&theirs),
        (None, Some(_)) => Ordering::Greater,
        (_, None) => Ordering::Less,
    }
}

/// The columns of a batch of parts.
pub(crate) struct PartRows<'a> {
    hashes: &'a [i64],
    starts: &'a [i64],
    durations: &'a [i64],
    counts: [Option<&'a [i64]>; COUNTS.len()],
    revenue: Option<&'a Decimal128Array>,
    is_bot: Option<&'a BooleanArray>,
    marks: [MarkRows<'a>; MARKS.len()],
    of_mark: [Range<usize>; MARKS.len()],
}

/// The first event has no offset. Without columns, no attribute of the mark is wanted.
#[derive(Clone, Copy, Default)]
struct MarkRows<'a> {
    offset: Option<&'a Int64Array>,
    arrival: Option<&'a Int64Array>,
}

impl<'a> PartRows<'a> {
    /// The columns of `parts`, which are in the order of the layout; also their texts.
    pub(crate) fn of(layout: &Layout, parts: &'a RecordBatch) -> Result<(Self, Texts), ArrowError> {
        let column = |column: PartColumn| layout.index(column).map(|index| parts.column(index).as_ref());
        let key = |of: PartColumn| column(of).ok_or_else(|| wrong_column(of.name()));
        let text = |column: &'a dyn Array, of: PartColumn| {
            let texts = column.as_string_opt::<i32>().cloned();
            texts.ok_or_else(|| wrong_column(of.name()))
        };
        let optional = |of: PartColumn| {
            let numbers = column(of).map(|column| {
                column
                    .as_primitive_opt::<Int64Type>()
                    .ok_or_else(|| wrong_column(of.name()))
            });
            numbers.transpose()
        };
        let starts = key(PartColumn::Start)?.as_primitive_opt::<TimestampMicrosecondType>();
        let mut rows = Self {
            hashes: numbers(key(PartColumn::Hash)?, PartColumn::Hash.name())?,
            starts: starts.ok_or_else(|| wrong_column(PartColumn::Start.name()))?.values(),
            durations: numbers(key(PartColumn::Duration)?, PartColumn::Duration.name())?,
            counts: [None; COUNTS.len()],
            revenue: column(PartColumn::Revenue).and_then(|column| column.as_primitive_opt::<Decimal128Type>()),
            is_bot: column(PartColumn::IsBot).and_then(|column| column.as_boolean_opt()),
            marks: [MarkRows::default(); MARKS.len()],
            of_mark: layout.of_mark.clone(),
        };
        for (index, count) in rows.counts.iter_mut().enumerate() {
            *count = optional(PartColumn::Count(index))?.map(|count| count.values().as_ref());
        }
        for (mark, rows) in MARKS.iter().zip(&mut rows.marks) {
            rows.offset = optional(PartColumn::Offset(*mark))?;
            rows.arrival = optional(PartColumn::Arrival(*mark))?;
        }
        let attributes = layout.attributes.iter().map(|attribute| {
            let of = PartColumn::Attribute(*attribute);
            text(key(of)?, of)
        });
        let texts = Texts {
            sites: text(key(PartColumn::Site)?, PartColumn::Site)?,
            clients: text(key(PartColumn::Client)?, PartColumn::Client)?,
            attributes: attributes.collect::<Result<_, _>>()?,
        };
        Ok((rows, texts))
    }

    pub(crate) fn part(&self, row: usize) -> Part {
        let start = self.starts[row];
        let end = start.saturating_add(self.durations[row]);
        let place = Place { texts: BATCH, row };
        let mut part = Part {
            hash: self.hashes[row],
            key: place,
            start,
            end,
            counts: self.counts.map(|counts| counts.map_or(0, |counts| counts[row])),
            revenue: self
                .revenue
                .and_then(|revenue| revenue.is_valid(row).then(|| revenue.value(row))),
            is_bot: self.is_bot.is_some_and(|is_bot| is_bot.value(row)),
            shares_hash: false,
            marks: self.moments(start, end, row),
            attributes: [NULL; ATTRIBUTES.len()],
        };
        for (mark, attributes) in part.marks.iter().zip(&self.of_mark) {
            if mark.is_some() {
                part.attributes[attributes.clone()].fill(place);
            }
        }
        part
    }

    fn moments(&self, start: Micros, end: Micros, row: usize) -> [Option<Moment>; MARKS.len()] {
        let Some(arrival) = self.marks[Mark::First as usize].arrival else {
            return [None; MARKS.len()];
        };
        let first = Moment {
            at: start,
            arrived: start.wrapping_add(arrival.value(row)),
        };
        MARKS.map(|mark| match mark {
            Mark::First => Some(first),
            _ => self.marks[mark as usize].moment(mark, start, end, first, row),
        })
    }
}

impl MarkRows<'_> {
    /// The moment of a mark in a part from `start` to `end` whose first event is at `first`.
    fn moment(&self, mark: Mark, start: Micros, end: Micros, first: Moment, row: usize) -> Option<Moment> {
        let known = |column: &Int64Array| column.is_valid(row).then(|| column.value(row));
        let offset = known(self.offset?)?;
        let arrival = known(self.arrival?)?;
        Some(Moment {
            at: match mark {
                Mark::Exit => end.wrapping_sub(offset),
                _ => start.wrapping_add(offset),
            },
            arrived: first.arrived.wrapping_add(arrival),
        })
    }
}
