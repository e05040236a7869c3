//! Rewrites what the planner would drop or not understand into a form that it understands.
//!
//! - `CAST(x AS VARCHAR(3))` becomes `left(CAST(x AS VARCHAR), 3)`: the planner drops the length.
//! - `CAST(x AS TIMESTAMP WITH TIME ZONE)` becomes `x AT TIME ZONE 'UTC'`: the planner drops the zone. Times without an
//!   offset are UTC.
//! - `x LIKE '10!%' ESCAPE '!'` becomes `x LIKE '10\%'`, and SIMILAR TO a regular expression (see `patterns`).
//! - `? - INTERVAL '1 day'` becomes `CAST(? AS TIMESTAMP(6)) - …`: the planner finds no type for the sum.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, CharLengthUnits, CharacterLength, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, TimezoneInfo, TypedString, Value, VisitMut, VisitorMut,
};

use super::patterns;
use crate::QueryError;

const MICROSECONDS: DataType = DataType::Timestamp(Some(6), TimezoneInfo::None);

/// Fails for patterns that no text matches.
pub(super) fn rewrite(statement: &mut DfStatement) -> Result<(), QueryError> {
    match statement {
        DfStatement::Statement(statement) => match statement.visit(&mut Rewriter) {
            ControlFlow::Break(refusal) => Err(refusal),
            ControlFlow::Continue(()) => Ok(()),
        },
        DfStatement::Explain(explain) => rewrite(&mut explain.statement),
        // Refused as writes.
        DfStatement::CreateExternalTable(_) | DfStatement::CopyTo(_) | DfStatement::Reset(_) => Ok(()),
    }
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = QueryError;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<QueryError> {
        if let Err(refusal) = patterns::rewrite(expr) {
            return ControlFlow::Break(refusal);
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

/// The length of VARCHAR(n), which becomes VARCHAR.
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

/// Whether it is cast to a type with a time zone, which that loses. What can't be cast is null for TRY_CAST, and for AT
/// TIME ZONE an error.
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
