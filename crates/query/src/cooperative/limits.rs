//! How much an operator may make of a row.
//!
//! What operators allocate for a batch of their output is outside the memory pool. It stays small because rows are
//! short and batches have 8,192 of them; here is what happens with rows that are not short.

use std::sync::Arc;

use arrow::array::{Array, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr};

use crate::QueryError;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Rows of a batch that operators make.
const BATCH_ROWS: usize = 8192;

/// For copies of one side's rows beside a batch of the other's, and of constants beside a batch.
const COPIES_BYTES: usize = 32 * MIB;

/// A row that is joined is copied into up to [`BATCH_ROWS`] rows at once.
const MAX_JOINED_ROW: usize = 64 * KIB;

/// The value of a subquery likewise, for each expression that it is part of.
const MAX_SUBQUERY_VALUE: usize = 16 * KIB;

/// What a projection may make of a batch.
const MAX_PROJECTED: usize = 256 * MIB;

/// What one row's list may become.
const MAX_UNNESTED: usize = 256 * MIB;

/// Values that an aggregate over a frame that moves may make.
const MAX_FRAMES: usize = 256 * MIB;

/// Rows for which an aggregate over a frame that moves may go through the whole frame, in one step.
const MAX_FRAME_ROWS: usize = 20_000;

fn refuse<T>(text: String) -> Result<T> {
    Err(DataFusionError::External(Box::new(QueryError::Limit(text))))
}

/// At most so many rows at a time, because of constants that are copied for each; `None` if they are short.
pub(super) fn rows_with_constants(bytes: usize) -> Option<usize> {
    (bytes > COPIES_BYTES / BATCH_ROWS).then(|| rows_beside(bytes))
}

/// How many rows of so many bytes may be made at once.
pub(super) fn rows_beside(bytes: usize) -> usize {
    (COPIES_BYTES / bytes.max(1)).max(1)
}

pub(super) fn projected(batch: &RecordBatch) -> Result<()> {
    let bytes = batch.get_array_memory_size();
    if bytes > MAX_PROJECTED {
        return refuse(format!(
            "{} rows of expressions take {bytes} bytes; {MAX_PROJECTED} are allowed. Shorten the values",
            batch.num_rows()
        ));
    }
    Ok(())
}

/// The bytes of the widest row.
pub(super) fn joined(batch: &RecordBatch) -> Result<usize> {
    let widest = widest_row(batch, &[]);
    if widest > MAX_JOINED_ROW {
        return refuse(format!(
            "a row of up to {widest} bytes can't be joined; {MAX_JOINED_ROW} are allowed. Leave out or shorten its \
             long columns before the join"
        ));
    }
    Ok(widest)
}

pub(super) fn subquery(batch: &RecordBatch) -> Result<()> {
    let widest = widest_row(batch, &[]);
    if widest > MAX_SUBQUERY_VALUE {
        return refuse(format!(
            "the value of a subquery takes {widest} bytes; {MAX_SUBQUERY_VALUE} are allowed. Put the subquery into FROM"
        ));
    }
    Ok(())
}

pub(super) fn unnested(batch: &RecordBatch, lists: &[usize]) -> Result<()> {
    let beside = widest_row(batch, lists).max(1);
    let longest = lists.iter().map(|index| longest_list(batch.column(*index))).max();
    let made = longest.unwrap_or(0).saturating_mul(beside);
    if made > MAX_UNNESTED {
        return refuse(format!(
            "unnesting the longest list would copy its row to {made} bytes; {MAX_UNNESTED} are allowed. Leave out long \
             columns or shorten the list"
        ));
    }
    Ok(())
}

/// What a window operator does for each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WindowCost {
    /// About the same for each.
    Constant,
    /// Goes through the frame again.
    Frame,
    /// Makes a copy of the frame.
    Copy,
}

/// The dearest of the expressions.
pub(super) fn window_cost(expressions: &[Arc<dyn WindowExpr>]) -> WindowCost {
    let costs = expressions.iter().map(|expression| {
        let any = expression.as_any();
        let plain = any.downcast_ref::<PlainAggregateWindowExpr>();
        let aggregate = plain.map(PlainAggregateWindowExpr::get_aggregate_expr).or_else(|| {
            let sliding = any.downcast_ref::<SlidingAggregateWindowExpr>();
            sliding.map(SlidingAggregateWindowExpr::get_aggregate_expr)
        });
        let frame = expression.get_window_frame();
        let moves = !(frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded());
        aggregate.filter(|_| moves).map_or(WindowCost::Constant, aggregate_cost)
    });
    costs.max().unwrap_or(WindowCost::Constant)
}

/// What the aggregate's value costs while its frame grows.
fn aggregate_cost(aggregate: &AggregateFunctionExpr) -> WindowCost {
    const FRAME: [&str; 6] = [
        "median",
        "percentile_cont",
        "quantile_cont",
        "approx_distinct",
        "approx_median",
        "nth_value",
    ];
    match aggregate.fun().name() {
        "array_agg" | "string_agg" => WindowCost::Copy,
        name if aggregate.is_distinct() || FRAME.contains(&name) => WindowCost::Frame,
        _ => WindowCost::Constant,
    }
}

/// `whole`: computes for all rows in one step.
pub(super) fn window(cost: WindowCost, rows: usize, bytes: usize, whole: bool) -> Result<()> {
    match cost {
        WindowCost::Copy if rows.saturating_mul(bytes) / 2 > MAX_FRAMES => refuse(format!(
            "array_agg and string_agg over a frame that moves make a value of each row's frame: more than {MAX_FRAMES} \
             bytes here. Aggregate by GROUP BY, or bound the rows"
        )),
        WindowCost::Copy | WindowCost::Frame if whole && rows > MAX_FRAME_ROWS => refuse(format!(
            "this aggregate goes through a frame that moves again for each row; {MAX_FRAME_ROWS} rows are allowed. End \
             the frame at CURRENT ROW, or aggregate by GROUP BY"
        )),
        _ => Ok(()),
    }
}

/// What a window operator that holds all rows takes for these: it joins the batches to one.
pub(super) fn window_bytes(batch: &RecordBatch) -> usize {
    2 * batch.get_array_memory_size()
}

/// An upper bound of the bytes of any row, without the columns in `except`.
fn widest_row(batch: &RecordBatch, except: &[usize]) -> usize {
    let columns = batch.columns().iter().enumerate();
    columns
        .filter(|(index, _)| !except.contains(index))
        .map(|(_, column)| widest(column.as_ref()))
        .sum()
}

fn widest(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8 => longest(array.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => longest(array.as_string::<i64>().value_offsets()),
        DataType::Binary => longest(array.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => longest(array.as_binary::<i64>().value_offsets()),
        DataType::Utf8View => array.as_string_view().lengths().max().unwrap_or(0) as usize,
        DataType::BinaryView => array.as_binary_view().lengths().max().unwrap_or(0) as usize,
        DataType::Dictionary(..) => widest(array.as_any_dictionary().values().as_ref()),
        DataType::Struct(_) => array
            .as_struct()
            .columns()
            .iter()
            .map(|column| widest(column.as_ref()))
            .sum(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Map(..) => {
            let items = longest_list(array);
            items.saturating_mul(item_bytes(array))
        }
        other => other.primitive_width().unwrap_or_else(|| other.size()),
    }
}

/// What an average item of a list takes.
fn item_bytes(array: &dyn Array) -> usize {
    let values: &dyn Array = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().values().as_ref(),
        DataType::LargeList(_) => array.as_list::<i64>().values().as_ref(),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().values().as_ref(),
        DataType::Map(..) => array.as_map().entries(),
        _ => return 0,
    };
    values.get_array_memory_size() / values.len().max(1)
}

fn longest_list(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::List(_) => longest(array.as_list::<i32>().value_offsets()),
        DataType::LargeList(_) => longest(array.as_list::<i64>().value_offsets()),
        DataType::FixedSizeList(_, items) => usize::try_from(*items).unwrap_or(0),
        DataType::Map(..) => longest(array.as_map().value_offsets()),
        _ => 1,
    }
}

fn longest<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
    let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]).as_usize());
    lengths.max().unwrap_or(0)
}
