//! Expressions whose meaning in DataFusion differs from PostgreSQL's without a word, rewritten or refused. One rule, so
//! that plans are walked once.
//!
//! ```text
//! arithmetic   + - * of integers, and the minus sign: an error where they would wrap
//! sum          the same for sums
//! avg          of integers: exact, whatever the order of rows
//! intervals    compared, ordered and grouped by their length: a month is 30 days, a day 24 hours; times a whole number
//! casts        to integers rounds; a time of a zone becomes that zone's local time; minutes are enough for a time
//! truth        IS TRUE and its like, which fail where they are repeated
//! conditions   of JOIN and WHERE have no functions of several rows
//! dates        a date and hours are a time; date_bin counts in UTC alone
//! ```

mod arithmetic;
mod avg;
mod casts;
mod conditions;
mod dates;
mod interval_products;
mod intervals;
mod sum;
mod truth;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRewriter};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use crate::functions::ConcatOperators;

pub(crate) use arithmetic::product;
pub(crate) use casts::with_seconds;
pub(crate) use dates::DateArithmetic;
pub(crate) use interval_products::IntervalProducts;

/// Functions of this module that SQL can name too.
pub(crate) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    vec![intervals::justify_interval()]
}

/// `function`, or what replaces it.
pub(crate) fn aggregate(function: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    match function.name() {
        "avg" => avg::exact(function),
        "sum" => sum::checked(function),
        _ => function,
    }
}

/// Rewrites operators and casts, once types are reconciled.
#[derive(Debug, Default)]
pub(crate) struct RewriteOperators {
    concat: ConcatOperators,
    arithmetic: arithmetic::Arithmetic,
    intervals: intervals::Intervals,
    casts: casts::Casts,
}

impl AnalyzerRule for RewriteOperators {
    fn name(&self) -> &'static str {
        "rewrite_operators"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            intervals::refuse_distinct(&plan)?;
            conditions::refuse_functions_of_rows(&plan)?;
            let mut schema = merge_schema(&plan.inputs());
            schema.merge(plan.schema());
            let names = NamePreserver::new(&plan);
            let keys = intervals::has_keys(&plan);
            let mut rewriter = Rewriter {
                rules: self,
                schema: &schema,
            };
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let mut rewritten = expr.rewrite(&mut rewriter)?;
                if keys {
                    rewritten = rewritten.transform_data(|expr| self.intervals.key(expr, &schema))?;
                }
                Ok(rewritten.update_data(|expr| name.restore(expr)))
            })?
            .map_data(LogicalPlan::recompute_schema)
        });
        Ok(rewritten?.data)
    }
}

struct Rewriter<'a> {
    rules: &'a RewriteOperators,
    schema: &'a DFSchema,
}

impl TreeNodeRewriter for Rewriter<'_> {
    type Node = Expr;

    fn f_up(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let RewriteOperators {
            concat,
            arithmetic,
            intervals,
            casts,
        } = self.rules;
        let schema = self.schema;
        match expr {
            Expr::BinaryExpr(binary) => {
                let Transformed { data, transformed, .. } = intervals.comparison(binary, schema)?;
                let rewritten = match data {
                    Expr::BinaryExpr(binary) => arithmetic.binary(binary, schema)?,
                    other => Transformed::yes(other),
                };
                let rewritten = match rewritten.data {
                    Expr::BinaryExpr(binary) => concat.replace(binary, schema)?,
                    other => Transformed::yes(other),
                };
                Ok(match transformed {
                    true => Transformed::yes(rewritten.data),
                    false => rewritten,
                })
            }
            Expr::Negative(inner) => arithmetic.negative(*inner, schema),
            Expr::Cast(_) | Expr::TryCast(_) => casts.cast(expr, schema),
            Expr::ScalarFunction(call) => {
                dates::refuse_zone(&call, schema)?;
                intervals.call(call, schema)
            }
            other => match truth::known(other) {
                Ok(known) => Ok(Transformed::yes(known)),
                Err(other) => intervals.other(other, schema),
            },
        }
    }
}
