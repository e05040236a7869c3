//! Rewrites what the planner would drop or not understand.
//!
//! - `CAST(x AS VARCHAR(3))` becomes `left(CAST(x AS VARCHAR), 3)`: the planner drops the length.
//! - `CAST(x AS TIMESTAMP WITH TIME ZONE)` becomes `x AT TIME ZONE 'UTC'`: the planner drops the zone. Times without an
//!   offset are UTC.
//! - `x LIKE '10!%' ESCAPE '!'` becomes `x LIKE '10\%'`, and SIMILAR TO a regular expression (see `patterns`).
//! - `CAST(2.5 AS INT)` becomes `CAST(3 AS INT)`: the planner takes the number for a floating-point one and cuts it off.
//! - `to_timestamp(x, 'YYYY-MM-DD')` becomes `to_timestamp(x, '%Y-%m-%d')` (see `time_patterns`).
//! - `windowFunnel(3600)(…)` becomes `windowFunnel(3600, …)` (see `parametric`).
//! - `FROM retention_cohorts(…)` becomes a subquery (see `cohorts`).
//! - `TABLESAMPLE SYSTEM (10)` becomes a condition on the visitor's hash (see `sampling`).
//! - `? - INTERVAL '1 day'` becomes `CAST(? AS TIMESTAMP(6)) - …`: the planner finds no type for the sum.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, CharLengthUnits, CharacterLength, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, TableFactor, TimezoneInfo, TypedString, UnaryOperator,
    Value, ValueWithSpan, VisitMut, VisitorMut,
};

use super::{cohorts, parametric, patterns, sampling, time_patterns};
use crate::QueryError;

const MICROSECONDS: DataType = DataType::Timestamp(Some(6), TimezoneInfo::None);

/// Fails for patterns that no text matches, and for `^`, which is a power in PostgreSQL and an exclusive or in DataFusion.
///
/// Returns the shares of the tables that are sampled.
pub(super) fn rewrite(statement: &mut DfStatement) -> Result<Vec<f64>, QueryError> {
    match statement {
        DfStatement::Statement(statement) => {
            let mut rewriter = Rewriter { samples: Vec::new() };
            match statement.visit(&mut rewriter) {
                ControlFlow::Break(refusal) => Err(refusal),
                ControlFlow::Continue(()) => Ok(rewriter.samples),
            }
        }
        DfStatement::Explain(explain) => rewrite(&mut explain.statement),
        // Refused as writes.
        DfStatement::CreateExternalTable(_) | DfStatement::CopyTo(_) | DfStatement::Reset(_) => Ok(Vec::new()),
    }
}

struct Rewriter {
    samples: Vec<f64>,
}

impl VisitorMut for Rewriter {
    type Break = QueryError;

    fn post_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<QueryError> {
        match cohorts::rewrite(table).and_then(|()| sampling::rewrite(table)) {
            Ok(share) => {
                self.samples.extend(share);
                ControlFlow::Continue(())
            }
            Err(refusal) => ControlFlow::Break(refusal),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if let Err(refusal) = patterns::rewrite(expr).and_then(|()| time_patterns::rewrite(expr)) {
            return ControlFlow::Break(refusal);
        }
        parametric::rewrite(expr);
        if let Expr::BinaryOp {
            op: BinaryOperator::BitwiseXor,
            ..
        } = expr
        {
            return ControlFlow::Break(QueryError::Unsupported(
                "^ is not supported: write power(a, b); for the exclusive or of bits, (a | b) - (a & b)".into(),
            ));
        }
        date_of(expr);
        if let Expr::Cast {
            expr: inner, data_type, ..
        } = expr
            && is_integer(data_type)
        {
            round_number(inner);
        }
        if let Expr::Cast { data_type, .. } = expr
            && let Some(characters) = take_length(data_type)
        {
            let whole = take(expr);
            *expr = first_characters(whole, characters);
        } else if let Expr::BinaryOp {
            left,
            op: BinaryOperator::Plus | BinaryOperator::Minus,
            right,
        } = expr
        {
            if is_interval(right) && is_placeholder(left) {
                as_timestamp(left);
            } else if is_interval(left) && is_placeholder(right) {
                as_timestamp(right);
            }
        } else if take_zone(expr) {
            at_utc(expr);
        }
        ControlFlow::Continue(())
    }
}

/// `DATE(x)` is a cast: MySQL's spelling, which Looker sends to PostgreSQL too.
fn date_of(expr: &mut Expr) {
    let Expr::Function(Function {
        name,
        args: FunctionArguments::List(list),
        ..
    }) = expr
    else {
        return;
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = list.args.as_mut_slice() else {
        return;
    };
    if name.to_string().eq_ignore_ascii_case("date") {
        let argument = take(argument);
        *expr = Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(argument),
            data_type: DataType::Date,
            array: false,
            format: None,
        };
    }
}

/// Removes the length of VARCHAR(n), which becomes VARCHAR.
fn take_length(of: &mut DataType) -> Option<u64> {
    let DataType::Varchar(Some(CharacterLength::IntegerLength {
        length,
        unit: None | Some(CharLengthUnits::Characters),
    })) = of
    else {
        return None;
    };
    let length = *length;
    *of = DataType::Varchar(None);
    Some(length)
}

/// Removes the time zone of a cast's type, if it has one. What can't be cast is null for TRY_CAST, and an error for AT
/// TIME ZONE.
fn take_zone(expr: &mut Expr) -> bool {
    let (Expr::Cast {
        kind: CastKind::Cast | CastKind::DoubleColon,
        data_type,
        ..
    }
    | Expr::TypedString(TypedString { data_type, .. })) = expr
    else {
        return false;
    };
    match data_type {
        DataType::Timestamp(_, zone @ (TimezoneInfo::Tz | TimezoneInfo::WithTimeZone)) => {
            *zone = TimezoneInfo::None;
            true
        }
        _ => false,
    }
}

pub(super) fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.into()))
}

fn first_characters(text: Expr, count: u64) -> Expr {
    let count = Expr::Value(Value::Number(count.to_string(), false).into());
    call("left", [text, count])
}

pub(super) fn call(name: &str, arguments: [Expr; 2]) -> Expr {
    let args = arguments.map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// From a cast without a zone, which is needed only if it rounds.
fn at_utc(expr: &mut Expr) {
    let timestamp = match take(expr) {
        Expr::Cast {
            expr: inner,
            data_type: DataType::Timestamp(None, _),
            ..
        } => inner,
        other => Box::new(other),
    };
    *expr = Expr::AtTimeZone {
        timestamp,
        time_zone: Box::new(Expr::Value(Value::SingleQuotedString("UTC".into()).into())),
    };
}

fn is_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::TinyInt(_)
            | DataType::SmallInt(_)
            | DataType::Int2(_)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::Int4(_)
            | DataType::BigInt(_)
            | DataType::Int8(_)
    )
}

/// A number that is spelled out is exact, and rounds half away from zero.
fn round_number(expr: &mut Expr) {
    /// Below it, halves are exact.
    const MOST: f64 = 4_503_599_627_370_496.0;
    match expr {
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr: inner,
        } => round_number(inner),
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, false),
            ..
        }) => {
            if text.contains('.')
                && let Ok(number) = text.parse::<f64>()
                && number.abs() < MOST
            {
                *text = format!("{:.0}", number.round());
            }
        }
        _ => {}
    }
}

fn is_interval(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Nested(inner) => is_interval(inner),
        _ => false,
    }
}

fn is_placeholder(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        Expr::Nested(inner) => is_placeholder(inner),
        _ => false,
    }
}

fn as_timestamp(expr: &mut Expr) {
    let inner = Box::new(take(expr));
    *expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: inner,
        data_type: MICROSECONDS,
        array: false,
        format: None,
    };
}
