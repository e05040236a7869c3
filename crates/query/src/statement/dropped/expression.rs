//! Expressions.

use datafusion::sql::sqlparser::ast::{Expr, TypedString};

use super::data_type::data_type;
use super::function::function;
use super::{Checked, absent};

/// Checks this expression, not those inside it. Variants are listed, so that a new one does not compile until it has
/// been reviewed.
pub(in super::super) fn expression(expr: &Expr) -> Checked {
    match expr {
        Expr::Function(call) => function(call),
        Expr::Cast {
            kind: _,
            expr: _,
            data_type: to,
            array: _,
            format: _,
        } => data_type(to),
        Expr::TypedString(TypedString {
            data_type: of,
            value: _,
            uses_odbc_syntax: _,
        }) => data_type(of),
        Expr::Trim {
            trim_where: _,
            trim_what: _,
            expr: _,
            trim_characters,
        } => absent(
            trim_characters.as_ref().is_some_and(|lists| lists.len() > 1),
            "TRIM with more than two arguments",
            "write all the characters in one text",
        ),
        // The plan honours everything in these.
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess {
            root: _,
            access_chain: _,
        }
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(_, _)
        | Expr::IsNotDistinctFrom(_, _)
        | Expr::InList {
            expr: _,
            list: _,
            negated: _,
        }
        | Expr::InSubquery {
            expr: _,
            subquery: _,
            negated: _,
        }
        | Expr::Between {
            expr: _,
            negated: _,
            low: _,
            high: _,
        }
        | Expr::BinaryOp {
            left: _,
            op: _,
            right: _,
        }
        | Expr::Like {
            negated: _,
            any: _, // refused by the planner
            expr: _,
            pattern: _,
            escape_char: _, // rewritten
        }
        | Expr::ILike {
            negated: _,
            any: _,
            expr: _,
            pattern: _,
            escape_char: _,
        }
        | Expr::SimilarTo {
            negated: _,
            expr: _,
            pattern: _,
            escape_char: _,
        }
        | Expr::AnyOp {
            left: _,
            compare_op: _,
            right: _,
            is_some: _, // SOME is ANY
        }
        | Expr::AllOp {
            left: _,
            compare_op: _,
            right: _,
        }
        | Expr::UnaryOp { op: _, expr: _ }
        | Expr::AtTimeZone {
            timestamp: _,
            time_zone: _,
        }
        | Expr::Extract {
            field: _,
            syntax: _, // EXTRACT(year, x) is EXTRACT(year FROM x)
            expr: _,
        }
        | Expr::Ceil { expr: _, field: _ }
        | Expr::Floor { expr: _, field: _ }
        | Expr::Position { expr: _, r#in: _ }
        | Expr::Substring {
            expr: _,
            substring_from: _,
            substring_for: _,
            special: _, // SUBSTRING(x, 1, 2) is SUBSTRING(x FROM 1 FOR 2)
            shorthand: _,
        }
        | Expr::Overlay {
            expr: _,
            overlay_what: _,
            overlay_from: _,
            overlay_for: _,
        }
        | Expr::Nested(_)
        | Expr::Value(_)
        | Expr::Case {
            case_token: _,
            end_token: _,
            operand: _,
            conditions: _,
            else_result: _,
        }
        | Expr::Exists {
            subquery: _,
            negated: _,
        }
        | Expr::Subquery(_)
        | Expr::GroupingSets(_)
        | Expr::Cube(_)
        | Expr::Rollup(_)
        | Expr::Tuple(_)
        | Expr::Struct {
            values: _,
            fields: _, // refused by the planner
        }
        | Expr::Named { expr: _, name: _ }
        | Expr::Dictionary(_)
        | Expr::Map(_)
        | Expr::Array(_)
        | Expr::Interval(_)
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(_, _)
        | Expr::Lambda(_)
        // The planner refuses these, whatever they contain.
        | Expr::JsonAccess { .. }
        | Expr::IsNormalized { .. }
        | Expr::InUnnest { .. }
        | Expr::RLike { .. }
        | Expr::Convert { .. }
        | Expr::Collate { .. }
        | Expr::Prefixed { .. }
        | Expr::MatchAgainst { .. }
        | Expr::OuterJoin(_)
        | Expr::Prior(_)
        | Expr::MemberOf(_) => Ok(()),
    }
}
