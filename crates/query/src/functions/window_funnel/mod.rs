//! `window_funnel(window, timestamp, cond1, cond2, …)`: how many of the conditions are met one after the other within the
//! window, as ClickHouse's `windowFunnel(window)(timestamp, cond1, cond2, …)`.
//!
//! ```sql
//! SELECT level, count(*) FROM (
//!   SELECT client_hash, window_funnel(INTERVAL '7 days', event_timestamp, event_type = 'pageview', event_type = 'purchase') AS level
//!   FROM events WHERE tracking_id = 'shop' GROUP BY client_hash) GROUP BY level
//! ```
//!
//! The state of a group is the list of its matches; states merge in any order, since matches are sorted at the end.

mod accumulators;
mod chain;
mod matches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, Schema, TimeUnit};
use datafusion::common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use footfall_model::clock::{DAY, SECOND};

use accumulators::{FunnelGroups, OneFunnel};
use chain::Modes;
use matches::state_types;

/// As many as ClickHouse takes.
const MAX_CONDITIONS: usize = 32;

/// `window_funnel`.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::new_from_impl(WindowFunnel {
        signature: Signature::user_defined(Volatility::Immutable),
        // ClickHouse's name, in lower case as unquoted names are.
        aliases: vec!["windowfunnel".to_owned()],
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowFunnel {
    signature: Signature,
    aliases: Vec<String>,
}

/// What the constant arguments of a call say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Funnel {
    /// In the unit of the times: microseconds of timestamps.
    window: i64,
    modes: Modes,
    steps: usize,
    /// The position of the time among the arguments; the conditions follow.
    time_argument: usize,
}

impl AggregateUDFImpl for WindowFunnel {
    fn name(&self) -> &'static str {
        "window_funnel"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int32(Some(0)))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let Some((window, others)) = arguments.split_first() else {
            return plan_err!("{USAGE}");
        };
        let modes = mode_count(others);
        let (modes, others) = others.split_at(modes);
        let Some((time, conditions)) = others.split_first() else {
            return plan_err!("{USAGE}");
        };
        if conditions.is_empty() || conditions.len() > MAX_CONDITIONS {
            return plan_err!("{USAGE}; 1 to {MAX_CONDITIONS} conditions, not {}", conditions.len());
        }
        if let Some(other) = conditions
            .iter()
            .find(|of| !matches!(of, DataType::Boolean | DataType::Null))
        {
            return plan_err!("{USAGE}; a condition is BOOLEAN, not {other}");
        }
        let time = time_type(time)?;
        let mut coerced = vec![window_type(window)?];
        coerced.extend(modes.iter().map(|_| DataType::Utf8));
        coerced.push(time);
        coerced.extend(conditions.iter().map(|_| DataType::Boolean));
        Ok(coerced)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneFunnel::new(Funnel::of(&args)?)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(FunnelGroups::new(Funnel::of(&args)?)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let fields = state_types().map(|(part, of)| Arc::new(Field::new(format_state_name(args.name, part), of, true)));
        Ok(fields.to_vec())
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

const USAGE: &str = "window_funnel takes a window, then modes, a time and conditions: \
                     window_funnel(INTERVAL '1 hour', event_timestamp, event_type = 'pageview', event_type = 'purchase')";

/// How many texts stand after the window.
fn mode_count(types: &[DataType]) -> usize {
    types.iter().take_while(|of| of.is_string()).count()
}

fn window_type(of: &DataType) -> Result<DataType> {
    match of {
        DataType::Interval(_) => Ok(DataType::Interval(IntervalUnit::MonthDayNano)),
        of if of.is_integer() => Ok(DataType::Int64),
        other => plan_err!("the window of window_funnel is an INTERVAL or a number of seconds, not {other}"),
    }
}

fn time_type(of: &DataType) -> Result<DataType> {
    match of {
        DataType::Timestamp(_, zone) => Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        DataType::Date32 | DataType::Date64 => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        DataType::Null => Ok(DataType::Int64),
        of if of.is_integer() => Ok(DataType::Int64),
        other => plan_err!("the time of window_funnel is a timestamp, a date or an integer, not {other}; cast it"),
    }
}

impl Funnel {
    /// # Errors
    /// The window or a mode is not constant, or not a possible one.
    fn of(args: &AccumulatorArgs<'_>) -> Result<Self> {
        if args.is_distinct {
            return plan_err!("window_funnel takes no DISTINCT: an event that is there twice changes nothing");
        }
        let types: Vec<_> = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
        let (Some(window), Some(others)) = (args.exprs.first(), types.get(1..)) else {
            return plan_err!("{USAGE}");
        };
        let time_argument = 1 + mode_count(others);
        let mut modes = Modes::default();
        for mode in &args.exprs[1..time_argument] {
            match constant(mode, "a mode")? {
                ScalarValue::Utf8(Some(name)) => {
                    modes.add(name.parse().map_err(|error: String| plan_datafusion_err!("{error}"))?);
                }
                other => return plan_err!("a mode of window_funnel is a text, not {other}"),
            }
        }
        let of_times = matches!(types.get(time_argument), Some(DataType::Timestamp(..)));
        Ok(Self {
            window: length(&constant(window, "the window")?, of_times)?,
            modes,
            steps: types.len().saturating_sub(time_argument + 1),
            time_argument,
        })
    }
}

fn constant(expr: &Arc<dyn PhysicalExpr>, what: &str) -> Result<ScalarValue> {
    let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expr.evaluate(&nothing) {
        Ok(ColumnarValue::Scalar(value)) => Ok(value),
        _ => plan_err!("{what} of window_funnel must be a constant, not {expr}"),
    }
}

/// A window in the unit of the times.
fn length(window: &ScalarValue, of_times: bool) -> Result<i64> {
    let length = match window {
        ScalarValue::Int64(Some(seconds)) if of_times => seconds.saturating_mul(SECOND),
        ScalarValue::Int64(Some(length)) => *length,
        ScalarValue::IntervalMonthDayNano(Some(_)) if !of_times => {
            return plan_err!("the window of window_funnel is a number where the times are numbers, in their unit");
        }
        ScalarValue::IntervalMonthDayNano(Some(interval)) if interval.months != 0 => {
            return plan_err!("months differ in length: write the window of window_funnel in days, INTERVAL '30 days'");
        }
        ScalarValue::IntervalMonthDayNano(Some(interval)) => i64::from(interval.days)
            .saturating_mul(DAY)
            .saturating_add(interval.nanoseconds / 1_000),
        _ => return plan_err!("the window of window_funnel is null"),
    };
    if length < 0 {
        return plan_err!("the window of window_funnel must not be negative");
    }
    Ok(length)
}
