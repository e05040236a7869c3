//! Which expressions over `event_timestamp` have one value on every bucket of a rollup, so that they can be evaluated on
//! the bucket's start.
//!
//! A bucket is `[start, start + width)` in UTC. An expression is constant on it if it sees the time only through
//! *truncations* whose steps all lie on borders of buckets: `date_trunc`, a cast to a date, `extract` of an hour or
//! more, a comparison with a constant on a border. Every other use of the time is taken to differ within a bucket.

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use footfall_model::clock::{DAY, Micros};
use footfall_model::rollup::Grain;

use super::zones;
use crate::table::micros;

/// The column with the time of an event.
pub(super) const TIME: &str = "event_timestamp";

const HOUR: Micros = 3_600_000_000;
const NANOS: i64 = 1_000;

/// Whether `expr` has one value on each bucket of `grain`, whatever its other columns are.
pub(super) fn is_constant(expr: &Expr, grain: Grain) -> bool {
    if !names_time(expr) || is_step(expr, grain) {
        return true;
    }
    let mut parts = Vec::new();
    let listed = expr.apply_children(|part| {
        parts.push(part);
        Ok(TreeNodeRecursion::Continue)
    });
    // A leaf that names the time is the time.
    listed.is_ok() && !parts.is_empty() && parts.into_iter().all(|part| is_constant(part, grain))
}

fn names_time(expr: &Expr) -> bool {
    expr.exists(|part| Ok(is_time_column(part))).unwrap_or(true)
}

fn is_time_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name() == TIME)
}

/// Whether it is a truncation of the time whose steps all lie on borders of buckets.
fn is_step(expr: &Expr, grain: Grain) -> bool {
    match expr {
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Date32 => steps(&cast.expr, DAY, grain),
        Expr::ScalarFunction(call) => {
            let unit = |nth: usize| call.args.get(nth).and_then(text);
            let of = |nth: usize| call.args.get(nth);
            let steps_of = |width: Option<Micros>, time: Option<&Expr>| {
                width.zip(time).is_some_and(|(width, time)| steps(time, width, grain))
            };
            match call.func.name() {
                "date_trunc" if call.args.len() == 2 => steps_of(unit(0).and_then(truncation), of(1)),
                "date_part" if call.args.len() == 2 => steps_of(unit(0).and_then(part), of(1)),
                "to_char" if call.args.len() == 2 => steps_of(unit(1).and_then(format), of(0)),
                "date_bin" => is_bin(&call.args, grain),
                _ => false,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (time, Expr::Literal(at, _)) if is_time_column(time) => on_border(*op, at, grain),
            (Expr::Literal(at, _), time) if is_time_column(time) => {
                op.swap().is_some_and(|op| on_border(op, at, grain))
            }
            _ => false,
        },
        Expr::Between(Between { expr, low, high, .. }) if is_time_column(expr) => {
            matches!(
                (low.as_ref(), high.as_ref()),
                (Expr::Literal(low, _), Expr::Literal(high, _))
                    if on_border(Operator::GtEq, low, grain) && on_border(Operator::LtEq, high, grain)
            )
        }
        _ => false,
    }
}

/// Whether a truncation of `time` to a calendar's unit of at least `width` steps only on borders of buckets.
fn steps(time: &Expr, width: Micros, grain: Grain) -> bool {
    let bucket = grain.micros();
    match clock_of(time) {
        Some(Clock::Utc) => width % bucket == 0,
        // Local hours and days begin where the zone's offset says.
        Some(Clock::Zone(zone)) => width % bucket == 0 && zones::keeps_borders(&zone, grain),
        None => false,
    }
}

/// Whose clock a time is read from.
enum Clock {
    Utc,
    Zone(String),
}

/// The clock of an expression that is the time itself, as another clock shows it, or moved by whole days of that clock.
fn clock_of(time: &Expr) -> Option<Clock> {
    match time {
        expr if is_time_column(expr) => Some(Clock::Utc),
        Expr::Cast(cast) => match (cast.field.data_type(), clock_of(&cast.expr)?) {
            // A coarser unit rounds towards zero: constant on buckets all the same, since none is finer than a second.
            (DataType::Timestamp(_, Some(zone)), _) if !is_local(&cast.expr) => Some(zone_clock(zone)),
            (DataType::Timestamp(_, None), clock) => Some(clock),
            _ => None,
        },
        Expr::ScalarFunction(call) if call.func.name() == "to_local_time" && call.args.len() == 1 => {
            clock_of(&call.args[0])
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Plus | Operator::Minus,
            right,
        }) => {
            let clock = clock_of(left)?;
            // On the clock of a zone, a day may have 23 hours.
            let even = matches!(clock, Clock::Utc) || is_local(left);
            (even && whole_days(right)).then_some(clock)
        }
        _ => None,
    }
}

/// Whether its type has no zone: a local time, on which a day always has 24 hours.
fn is_local(time: &Expr) -> bool {
    match time {
        Expr::Cast(cast) => matches!(cast.field.data_type(), DataType::Timestamp(_, None)),
        Expr::ScalarFunction(call) => call.func.name() == "to_local_time",
        Expr::BinaryExpr(binary) => is_local(&binary.left),
        _ => false,
    }
}

fn zone_clock(zone: &str) -> Clock {
    match zone {
        "UTC" | "Etc/UTC" | "+00:00" | "Z" => Clock::Utc,
        other => Clock::Zone(other.to_owned()),
    }
}

fn whole_days(interval: &Expr) -> bool {
    let Expr::Literal(value, _) = interval else {
        return false;
    };
    match value {
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano {
            months: 0, nanoseconds, ..
        })) => nanoseconds % (DAY * NANOS) == 0,
        ScalarValue::IntervalDayTime(Some(interval)) => i64::from(interval.milliseconds) % (DAY / 1_000) == 0,
        ScalarValue::DurationMicrosecond(Some(micros)) => micros % DAY == 0,
        _ => false,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// The shortest step of `date_trunc` to this unit, if it is no shorter than an hour.
fn truncation(unit: &str) -> Option<Micros> {
    match unit.to_ascii_lowercase().as_str() {
        "hour" => Some(HOUR),
        "day" | "week" | "month" | "quarter" | "year" => Some(DAY),
        _ => None,
    }
}

/// The shortest step of `date_part`, if it is no shorter than an hour.
fn part(unit: &str) -> Option<Micros> {
    match unit.to_ascii_lowercase().as_str() {
        "hour" | "hours" => Some(HOUR),
        "day" | "days" | "week" | "weeks" | "month" | "months" | "quarter" | "year" | "years" | "dow" | "isodow"
        | "doy" | "isoyear" => Some(DAY),
        _ => None,
    }
}

/// The shortest step of `to_char` with this format, if it shows no time but hours.
fn format(format: &str) -> Option<Micros> {
    let mut width = DAY;
    let mut rest = format.chars();
    while let Some(next) = rest.next() {
        if next != '%' {
            continue;
        }
        match rest.next()? {
            'Y' | 'y' | 'C' | 'm' | 'b' | 'B' | 'd' | 'e' | 'j' | 'a' | 'A' | 'u' | 'w' | 'U' | 'W' | 'G' | 'V'
            | 'F' | 'D' | 'x' | '%' => {}
            'H' | 'k' | 'I' | 'l' | 'p' | 'P' => width = HOUR,
            _ => return None,
        }
    }
    Some(width)
}

/// `date_bin(stride, time [, origin])`, which counts in UTC.
fn is_bin(args: &[Expr], grain: Grain) -> bool {
    let bucket = grain.micros();
    let origin_fits = match args.get(2) {
        None => true,
        Some(Expr::Literal(origin, _)) => micros(origin).is_some_and(|origin| origin.rem_euclid(bucket) == 0),
        Some(_) => false,
    };
    let Some(Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(stride)), _)) = args.first() else {
        return false;
    };
    let nanos = i128::from(stride.days) * i128::from(DAY * NANOS) + i128::from(stride.nanoseconds);
    let even = stride.months == 0 && nanos > 0 && nanos % i128::from(bucket * NANOS) == 0;
    let utc = |time| matches!(clock_of(time), Some(Clock::Utc)) && !is_local(time);
    origin_fits && even && args.get(1).is_some_and(utc)
}

fn on_border(operator: Operator, at: &ScalarValue, grain: Grain) -> bool {
    let border = |at: Micros| at.rem_euclid(grain.micros()) == 0;
    match (operator, micros(at)) {
        // Compared with null: null on every row.
        (_, None) => at.is_null(),
        (Operator::GtEq | Operator::Lt, Some(at)) => border(at),
        (Operator::Gt | Operator::LtEq, Some(at)) => at.checked_add(1).is_some_and(border),
        _ => false,
    }
}
