//! `IS TRUE` and its like, in which DataFusion's logical and physical plans disagree about nulls: a statement with the same
//! one in two filters of aggregates fails.

use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, lit, not};

/// `expr` without them, or as it is.
pub(super) fn known(expr: Expr) -> Result<Expr, Expr> {
    let or = |inner: Box<Expr>, value: bool| coalesce(vec![*inner, lit(value)]);
    Ok(match expr {
        Expr::IsTrue(inner) => or(inner, false),
        Expr::IsNotTrue(inner) => not(or(inner, false)),
        Expr::IsFalse(inner) => not(or(inner, true)),
        Expr::IsNotFalse(inner) => or(inner, true),
        Expr::IsUnknown(inner) => Expr::IsNull(inner),
        Expr::IsNotUnknown(inner) => Expr::IsNotNull(inner),
        other => return Err(other),
    })
}
