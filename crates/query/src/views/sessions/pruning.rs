//! Which events and parts the conditions on sessions leave to read.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Operator, col, lit};
use footfall_sessions::MARGIN_DAYS;

use crate::table::derived_filters::{comparisons, dates_and_times, times_of_days};

/// A session is of one visitor: conditions on these hold for all of its events or for none.
const OF_VISITOR: [&str; 3] = ["tracking_id", "client_id", "client_hash"];

const TIMES: [&str; 2] = ["session_start", "session_end"];

/// Whether anything follows from the condition.
pub(super) fn prunes(filter: &Expr) -> bool {
    let one = std::slice::from_ref(filter);
    !of_visitors(one).is_empty() || !days(one).is_empty()
}

/// The conditions on visitors.
pub(super) fn of_visitors(filters: &[Expr]) -> Vec<Expr> {
    let conditions = filters.iter().flat_map(split_conjunction);
    conditions
        .filter(|condition| is_of(condition, &OF_VISITOR))
        .cloned()
        .collect()
}

/// Conditions on the days of events that follow from those on the times of sessions; see [`MARGIN_DAYS`].
pub(super) fn days(filters: &[Expr]) -> Vec<Expr> {
    let mut days = Vec::new();
    for column in TIMES {
        let conditions = filters.iter().flat_map(split_conjunction);
        let of_column = conditions.filter(|condition| is_of(condition, &[column]));
        let mut of_events: Vec<Expr> = of_column.filter_map(|condition| of_events(condition, column)).collect();
        of_events.extend(times_of_days(&of_events));
        let derived = dates_and_times(&of_events);
        days.extend(
            derived
                .iter()
                .flat_map(comparisons)
                .filter_map(|(column, operator, value)| match (column, value) {
                    ("event_date", ScalarValue::Date32(Some(day))) => with_margin(operator, *day),
                    _ => None,
                }),
        );
    }
    days
}

fn with_margin(operator: Operator, day: i32) -> Option<Expr> {
    let date = |day| lit(ScalarValue::Date32(Some(day)));
    match operator {
        Operator::GtEq => Some(col("event_date").gt_eq(date(day.saturating_sub(MARGIN_DAYS)))),
        Operator::LtEq => Some(col("event_date").lt_eq(date(day.saturating_add(MARGIN_DAYS)))),
        _ => None,
    }
}

/// The condition, about the time of an event.
fn of_events(condition: &Expr, column: &str) -> Option<Expr> {
    let renamed = condition.clone().transform_up(|part| {
        Ok(match &part {
            Expr::Column(known) if known.name() == column => Transformed::yes(col("event_timestamp")),
            _ => Transformed::no(part),
        })
    });
    renamed.ok().map(|renamed| renamed.data)
}

fn is_of(condition: &Expr, columns: &[&str]) -> bool {
    let named = condition.column_refs();
    !named.is_empty() && named.iter().all(|column| columns.contains(&column.name()))
}

#[cfg(test)]
mod tests {
    use footfall_model::clock::{DAY, Micros};

    use super::*;

    fn at(micros: Micros) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
    }

    fn text(conditions: &[Expr]) -> Vec<String> {
        conditions.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn times_of_sessions_bound_days_of_events() {
        let start = || col("session_start");
        let day = |condition: &str| format!("event_date {condition}");
        assert_eq!(
            text(&days(&[start().gt_eq(at(5 * DAY))])),
            [day(">= Date32(\"1970-01-04\")")]
        );
        assert_eq!(
            text(&days(&[start().lt(at(5 * DAY))])),
            [day("<= Date32(\"1970-01-07\")")]
        );
        let both = start().gt_eq(at(5 * DAY)).and(col("session_end").lt(at(6 * DAY)));
        assert_eq!(
            text(&days(&[both])),
            [day(">= Date32(\"1970-01-04\")"), day("<= Date32(\"1970-01-08\")")]
        );
        let of_day = datafusion::logical_expr::cast(start(), arrow::datatypes::DataType::Date32);
        let of_day = of_day.eq(lit(ScalarValue::Date32(Some(5))));
        assert_eq!(
            text(&days(&[of_day])),
            [day(">= Date32(\"1970-01-04\")"), day("<= Date32(\"1970-01-08\")")]
        );
        let either = start().gt_eq(at(0)).or(col("bounced"));
        assert!(
            days(&[
                either,
                start().not_eq(at(0)),
                col("session_start").gt(col("session_end"))
            ])
            .is_empty()
        );
    }

    #[test]
    fn conditions_on_visitors_are_those_of_their_columns_alone() {
        let site = col("tracking_id").eq(lit("a"));
        let client = col("client_id").in_list(vec![lit("x"), lit("y")], false);
        let both = site.clone().and(col("country").eq(lit("BE")));
        assert_eq!(of_visitors(&[both, client.clone()]), [site, client]);
        assert!(!prunes(&col("country").eq(lit("BE"))));
        assert!(!prunes(&col("client_id").eq(col("entry_page"))));
    }
}
