//! What a statement's conditions on entries say of the step rows that they are made of. Pure.
//!
//! Conditions are checked again on the entries: what is said here may be less than they say, never more.

use std::collections::BTreeSet;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, col, lit};
use footfall_model::clock::{DAY, Micros};

/// The columns that step rows and entries of a visitor have in common.
const VISITOR: [&str; 3] = ["tracking_id", "client_hash", "client_id"];

/// What the conditions say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct EntryFilters {
    /// Conditions that hold for all rows of a visitor or none.
    pub(super) visitors: Vec<Expr>,
    /// The funnels and the sites that may have entries; `None`: all.
    pub(super) funnels: Option<BTreeSet<String>>,
    pub(super) sites: Option<BTreeSet<String>>,
    /// Whole days (UTC) outside of which no entry begins: the first moment, and the first after them.
    pub(super) from: Option<Micros>,
    pub(super) until: Option<Micros>,
}

impl EntryFilters {
    pub(super) fn of(filters: &[Expr]) -> Self {
        let mut known = Self::default();
        for filter in filters.iter().flat_map(split_conjunction) {
            let columns = filter.column_refs();
            if !columns.is_empty() && columns.iter().all(|column| VISITOR.contains(&column.name())) {
                known.visitors.push(filter.clone());
            }
            for (column, values) in [("funnel_id", &mut known.funnels), ("tracking_id", &mut known.sites)] {
                if let Some(named) = named(filter, column) {
                    *values = Some(match values.take() {
                        Some(before) => before.intersection(&named).cloned().collect(),
                        None => named,
                    });
                }
            }
            known.bound(filter);
        }
        known
    }

    /// Conditions on step rows and events: of the times that entries can depend on. `before` and `after`: the farthest that
    /// one of the funnels reaches from a first step, `before` in whole days.
    ///
    /// Whole days, because event ids are told apart within a day.
    pub(super) fn of_times(&self, (before, after): (Micros, Micros)) -> Vec<Expr> {
        let time = |at: Micros| lit(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())));
        let from = self.from.and_then(|from| from.checked_sub(before));
        let from = from.map(|from| col("event_timestamp").gt_eq(time(from)));
        let until = self.until.and_then(|until| until.checked_add(after));
        let until = until.map(|until| col("event_timestamp").lt_eq(time(until)));
        from.into_iter().chain(until).collect()
    }

    /// `column op literal`, either way round.
    fn bound(&mut self, filter: &Expr) {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
            return;
        };
        let compared = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => Some((column, *op, value)),
            (Expr::Literal(value, _), Expr::Column(column)) => op.swap().map(|op| (column, op, value)),
            _ => None,
        };
        let Some((column, op, value)) = compared else { return };
        let Some(day) = day_of(column, value) else { return };
        let (first, after) = (day.saturating_mul(DAY), day.saturating_add(1).saturating_mul(DAY));
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            self.from = self.from.max(Some(first));
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            self.until = Some(self.until.map_or(after, |until| until.min(after)));
        }
    }
}

/// The day of a literal that the entry's day or time is compared with.
fn day_of(column: &Column, value: &ScalarValue) -> Option<i64> {
    match (column.name(), value) {
        ("date", ScalarValue::Date32(Some(day))) => Some(i64::from(*day)),
        ("entered_at", ScalarValue::TimestampMicrosecond(Some(at), Some(_))) => Some(at.div_euclid(DAY)),
        _ => None,
    }
}

/// The values that a condition allows in the column, if it names them.
fn named(filter: &Expr, name: &str) -> Option<BTreeSet<String>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name() == name);
    let text = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text.clone()),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => match (is_column(left), is_column(right)) {
            (true, _) => text(right).map(|text| [text].into()),
            (_, true) => text(left).map(|text| [text].into()),
            _ => None,
        },
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) if is_column(expr) => list.iter().map(text).collect(),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => Some(named(left, name)?.into_iter().chain(named(right, name)?).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: i32) -> Expr {
        lit(ScalarValue::Date32(Some(day)))
    }

    #[test]
    fn bounds_are_whole_days() {
        let time = |at| lit(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())));
        let bounds = |filters: &[Expr]| {
            let known = EntryFilters::of(filters);
            (known.from.map(|from| from / DAY), known.until.map(|until| until / DAY))
        };
        assert_eq!(
            bounds(&[col("date").gt_eq(date(3)), col("date").lt(date(5))]),
            (Some(3), Some(6))
        );
        assert_eq!(
            bounds(&[date(3).lt_eq(col("date")).and(col("date").eq(date(4)))]),
            (Some(4), Some(5))
        );
        assert_eq!(
            bounds(&[col("entered_at").gt(time(DAY + 5)), col("entered_at").lt(time(DAY + 9))]),
            (Some(1), Some(2))
        );
        assert_eq!(
            bounds(&[
                col("date").not_eq(date(3)),
                col("date").gt(date(3)).or(col("x").eq(date(1)))
            ]),
            (None, None)
        );
    }

    #[test]
    fn funnels_and_visitors_are_named() {
        let known = EntryFilters::of(&[
            col("funnel_id").in_list(vec![lit("f"), lit("g")], false),
            col("funnel_id").eq(lit("f")).or(lit("h").eq(col("funnel_id"))),
            col("tracking_id").eq(lit("a")),
            col("client_id").not_eq(lit("c")),
            col("client_id").eq(col("funnel_id")),
        ]);
        assert_eq!(known.funnels, Some(["f".to_owned()].into()));
        assert_eq!(known.sites, Some(["a".to_owned()].into()));
        assert_eq!(
            known.visitors,
            [col("tracking_id").eq(lit("a")), col("client_id").not_eq(lit("c"))]
        );
        assert_eq!(
            EntryFilters::of(&[col("funnel_id").in_list(vec![lit("f")], true)]).funnels,
            None
        );
    }
}
