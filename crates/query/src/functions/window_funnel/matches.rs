//! The events of groups that meet a condition.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::or;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, Int64Type, UInt8Type};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, internal_err};
use datafusion::logical_expr::EmitTo;

use super::super::is_true;
use super::Funnel;
use super::chain::{Match, NO_CONDITION, longest_chain};

/// One entry of the log.
#[derive(Debug, Clone, Copy)]
struct Entry {
    time: i64,
    group: u32,
    level: u8,
}

/// A log of all matches, whatever their group: most visitors have few, and no memory of their own.
#[derive(Debug, Default)]
pub(super) struct Matches {
    log: Vec<Entry>,
    groups: usize,
    /// Whether the log is in the order of groups, as it is where events come sorted by visitor.
    unsorted: bool,
}

/// The conditions' columns of a batch.
pub(super) struct Rows<'a> {
    times: &'a PrimitiveArray<Int64Type>,
    conditions: Vec<BooleanArray>,
    /// Rows that meet one.
    any: Option<BooleanArray>,
    filter: Option<BooleanArray>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(funnel: &Funnel, values: &'a [ArrayRef], filter: Option<&BooleanArray>) -> Result<Self> {
        let Some((times, conditions)) = values.get(funnel.time_argument..).and_then(<[_]>::split_first) else {
            return internal_err!("window_funnel got {} columns", values.len());
        };
        let times = times.as_primitive_opt::<Int64Type>();
        let conditions = conditions.iter().map(|condition| {
            let condition = condition.as_boolean_opt();
            condition.map(is_true)
        });
        let conditions: Option<Vec<_>> = conditions.collect();
        let (Some(times), Some(conditions)) = (times, conditions) else {
            return internal_err!("window_funnel got columns of other types");
        };
        let any = if funnel.modes.strict_order {
            None
        } else {
            let mut each = conditions.iter();
            let first = each.next().cloned();
            each.try_fold(first, |any, condition| any.map(|any| or(&any, condition)).transpose())?
        };
        Ok(Self {
            times,
            conditions,
            any,
            filter: filter.map(is_true),
        })
    }

    fn len(&self) -> usize {
        self.times.len()
    }

    /// Calls `add` with each match of a row, the lowest level first.
    fn each(&self, mut add: impl FnMut(usize, Match)) {
        let mut row = |row: usize| {
            if self.times.is_null(row) || self.filter.as_ref().is_some_and(|filter| !filter.value(row)) {
                return;
            }
            let time = self.times.value(row);
            let mut none = true;
            for (level, condition) in (1_u8..).zip(&self.conditions) {
                if condition.value(row) {
                    none = false;
                    add(row, Match { time, level });
                }
            }
            if none {
                let level = NO_CONDITION;
                add(row, Match { time, level });
            }
        };
        match &self.any {
            Some(any) => any.values().set_indices().for_each(row),
            None => (0..self.len()).for_each(&mut row),
        }
    }
}

impl Matches {
    pub(super) fn add(&mut self, rows: &Rows<'_>, group_of: impl Fn(usize) -> usize, groups: usize) -> Result<()> {
        self.reserve_groups(groups)?;
        rows.each(|row, matched| self.push(group_of(row), matched));
        Ok(())
    }

    pub(super) fn merge(
        &mut self,
        states: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        groups: usize,
    ) -> Result<()> {
        self.reserve_groups(groups)?;
        let [times, levels] = states else {
            return internal_err!("a state of window_funnel has {} columns", states.len());
        };
        let (Some(times), Some(levels)) = (times.as_list_opt::<i32>(), levels.as_list_opt::<i32>()) else {
            return internal_err!("a state of window_funnel is of {}", times.data_type());
        };
        let all_times = times.values().as_primitive::<Int64Type>();
        let all_levels = levels.values().as_primitive::<UInt8Type>();
        for row in 0..times.len() {
            let (of_times, of_levels) = (range(times, row), range(levels, row));
            if of_times.len() != of_levels.len() {
                return internal_err!("a state of window_funnel has {} times", of_times.len());
            }
            for (time, level) in of_times.zip(of_levels) {
                let (time, level) = (all_times.value(time), all_levels.value(level));
                self.push(group_of(row), Match { time, level });
            }
        }
        Ok(())
    }

    pub(super) fn reserve_groups(&mut self, groups: usize) -> Result<()> {
        u32::try_from(groups)
            .map_err(|_| exec_datafusion_err!("window_funnel has {groups} groups; {} are possible", u32::MAX))?;
        self.groups = self.groups.max(groups);
        Ok(())
    }

    fn push(&mut self, group: usize, Match { time, level }: Match) {
        #[expect(clippy::cast_possible_truncation, reason = "checked in `reserve_groups`")]
        let group = group as u32;
        self.unsorted |= self.log.last().is_some_and(|last| last.group > group);
        self.log.push(Entry { time, group, level });
    }

    /// Takes the first groups out.
    pub(super) fn take(&mut self, emit: EmitTo) -> Grouped {
        let groups = match emit {
            EmitTo::All => self.groups,
            EmitTo::First(groups) => groups.min(self.groups),
        };
        let is_taken = |entry: &Entry| (entry.group as usize) < groups;
        let taken = if groups == self.groups {
            std::mem::take(&mut self.log)
        } else if self.unsorted {
            let (taken, kept) = self.log.iter().partition(|entry| is_taken(entry));
            self.log = kept;
            taken
        } else {
            let kept = self.log.split_off(self.log.partition_point(is_taken));
            std::mem::replace(&mut self.log, kept)
        };
        #[expect(clippy::cast_possible_truncation, reason = "checked in `reserve_groups`")]
        self.log.iter_mut().for_each(|entry| entry.group -= groups as u32);
        self.groups -= groups;
        let grouped = Grouped::new(taken, groups, self.unsorted);
        self.unsorted &= !self.log.is_empty();
        grouped
    }

    /// Of the only group.
    pub(super) fn level_of_all(&mut self, funnel: &Funnel) -> i32 {
        level(&mut self.log, funnel)
    }

    pub(super) fn len(&self) -> usize {
        self.log.len()
    }

    pub(super) fn size(&self) -> usize {
        self.log.capacity() * size_of::<Entry>()
    }
}

/// The level of one group.
fn level(entries: &mut [Entry], funnel: &Funnel) -> i32 {
    let key = |entry: &Entry| (entry.time, entry.level);
    // Within a file they come sorted.
    if !entries.is_sorted_by_key(key) {
        entries.sort_unstable_by_key(key);
    }
    let matches = entries.iter().map(|&Entry { time, level, .. }| Match { time, level });
    let level = longest_chain(matches, funnel.steps, funnel.window, funnel.modes);
    i32::try_from(level).unwrap_or(i32::MAX)
}

fn range(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offset = |at: usize| list.value_offsets().get(at).copied().unwrap_or_default();
    let at = |offset: i32| usize::try_from(offset).unwrap_or_default();
    at(offset(row))..at(offset(row + 1))
}

/// The matches of groups, one group after the other.
pub(super) struct Grouped {
    entries: Vec<Entry>,
    /// Where each group begins, and the end.
    starts: Vec<usize>,
}

impl Grouped {
    fn new(entries: Vec<Entry>, groups: usize, unsorted: bool) -> Self {
        let mut starts = vec![0_usize; groups + 1];
        for entry in &entries {
            starts[entry.group as usize + 1] += 1;
        }
        for group in 0..groups {
            starts[group + 1] += starts[group];
        }
        if !unsorted {
            return Self { entries, starts };
        }
        let mut next = starts.clone();
        let mut placed = entries.clone();
        for entry in entries {
            let at = &mut next[entry.group as usize];
            placed[*at] = entry;
            *at += 1;
        }
        Self {
            entries: placed,
            starts,
        }
    }

    pub(super) fn levels(mut self, funnel: &Funnel) -> Int32Array {
        let groups = self.starts.windows(2);
        Int32Array::from_iter_values(groups.map(|bounds| level(&mut self.entries[bounds[0]..bounds[1]], funnel)))
    }

    /// The columns of the state.
    pub(super) fn state(self) -> Result<Vec<ArrayRef>> {
        let offsets = self.starts.iter().map(|start| i32::try_from(*start).map_err(too_many));
        let offsets = OffsetBuffer::new(offsets.collect::<Result<Vec<_>>>()?.into());
        let times = self.entries.iter().map(|entry| entry.time);
        let levels = self.entries.iter().map(|entry| entry.level);
        lists(
            &offsets,
            PrimitiveArray::<Int64Type>::from_iter_values(times),
            PrimitiveArray::<UInt8Type>::from_iter_values(levels),
        )
    }
}

/// A state for each row.
pub(super) fn states_of_rows(rows: &Rows<'_>) -> Result<Vec<ArrayRef>> {
    let (mut times, mut levels) = (Vec::new(), Vec::new());
    let mut lengths = vec![0_usize; rows.len()];
    rows.each(|row, Match { time, level }| {
        times.push(time);
        levels.push(level);
        lengths[row] += 1;
    });
    i32::try_from(times.len()).map_err(too_many)?;
    lists(
        &OffsetBuffer::from_lengths(lengths),
        PrimitiveArray::<Int64Type>::from_iter_values(times),
        PrimitiveArray::<UInt8Type>::from_iter_values(levels),
    )
}

fn too_many(_: std::num::TryFromIntError) -> DataFusionError {
    exec_datafusion_err!(
        "window_funnel has more than {} matches at once; filter the events",
        i32::MAX
    )
}

fn lists(
    offsets: &OffsetBuffer<i32>,
    times: PrimitiveArray<Int64Type>,
    levels: PrimitiveArray<UInt8Type>,
) -> Result<Vec<ArrayRef>> {
    let list = |values: ArrayRef| -> Result<ArrayRef> {
        let item = item(values.data_type());
        Ok(Arc::new(ListArray::try_new(item, offsets.clone(), values, None)?))
    };
    Ok(vec![list(Arc::new(times))?, list(Arc::new(levels))?])
}

fn item(data_type: &DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type.clone(), true))
}

/// The types of the state's columns.
pub(super) fn state_types() -> [(&'static str, DataType); 2] {
    [("times", Int64Type::DATA_TYPE), ("levels", UInt8Type::DATA_TYPE)]
        .map(|(name, of)| (name, DataType::List(item(&of))))
}
