//! Conditions that follow from a query's filters, on columns that files are pruned by.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator, col, lit};
use footfall_model::clock::{DAY, Micros};
use footfall_model::hash::client_hash;

/// More visitors than this are not looked up by their hashes.
const MAX_VISITORS: usize = 100;

/// Conditions on `event_date` that follow from those on `event_timestamp`, and vice versa: a row's `event_date` is the
/// UTC day of its `event_timestamp`.
pub(crate) fn dates_and_times(filters: &[Expr]) -> Vec<Expr> {
    let mut implied = Vec::new();
    for (column, operator, value) in filters.iter().flat_map(split_conjunction).flat_map(comparisons) {
        match (column, value) {
            ("event_timestamp", value) => {
                let Some(at) = micros(value) else { continue };
                // The day of the last instant before `at`, for `<`.
                let last = if operator == Operator::Lt {
                    at.saturating_sub(1)
                } else {
                    at
                };
                if matches!(operator, Operator::Gt | Operator::GtEq | Operator::Eq) {
                    implied.push(col("event_date").gt_eq(date(at.div_euclid(DAY))));
                }
                if matches!(operator, Operator::Lt | Operator::LtEq | Operator::Eq) {
                    implied.push(col("event_date").lt_eq(date(last.div_euclid(DAY))));
                }
            }
            ("event_date", ScalarValue::Date32(Some(day))) => {
                let day = i64::from(*day);
                let at = col("event_timestamp");
                match operator {
                    Operator::GtEq => implied.push(at.gt_eq(time(day))),
                    Operator::Gt => implied.push(at.gt_eq(time(day + 1))),
                    Operator::Lt => implied.push(at.lt(time(day))),
                    Operator::LtEq => implied.push(at.lt(time(day + 1))),
                    Operator::Eq => implied.extend([at.clone().gt_eq(time(day)), at.lt(time(day + 1))]),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    implied
}

/// The condition on `event_date` that holds for the same rows as `filter`, if that says only between which midnights an
/// `event_timestamp` is.
pub(crate) fn whole_days(filter: &Expr) -> Option<Expr> {
    let comparisons = comparisons(filter);
    let [("event_timestamp", operator, value)] = comparisons.as_slice() else {
        return None;
    };
    let at = micros(value).filter(|at| at.rem_euclid(DAY) == 0)?;
    let day = date(at.div_euclid(DAY));
    match operator {
        Operator::GtEq => Some(col("event_date").gt_eq(day)),
        Operator::Lt => Some(col("event_date").lt(day)),
        _ => None,
    }
}

/// Comparisons of `event_timestamp` that hold for the same rows as those of its date in `filters`, such as
/// `event_timestamp::date = '2026-11-01'`.
pub(crate) fn times_of_days(filters: &[Expr]) -> Vec<Expr> {
    let date_of_time = |expr: &Expr| match expr {
        Expr::Cast(cast) if cast.field.data_type() == &DataType::Date32 => {
            matches!(cast.expr.as_ref(), Expr::Column(column) if column.name() == "event_timestamp")
        }
        _ => false,
    };
    let as_column = |filter: &Expr| {
        let replaced = filter.clone().transform_up(|part| {
            Ok(if date_of_time(&part) {
                Transformed::yes(col("event_date"))
            } else {
                Transformed::no(part)
            })
        });
        replaced
            .ok()
            .filter(|replaced| replaced.transformed)
            .map(|replaced| replaced.data)
    };
    let conditions = filters.iter().flat_map(split_conjunction);
    let of_dates: Vec<_> = conditions.filter_map(as_column).collect();
    dates_and_times(&of_dates)
}

/// A condition on `client_hash` for the visitors that the filters name; if they name no site, `sites` are used. Files
/// are sorted by it, so a visitor's rows are a page, not a table.
pub(super) fn visitors(filters: &[Expr], sites: Option<&BTreeSet<String>>) -> Option<Expr> {
    let conditions: Vec<_> = filters.iter().flat_map(split_conjunction).collect();
    let named = |column| conditions.iter().find_map(|condition| texts(condition, column));
    let clients = named("client_id")?;
    let sites = named("tracking_id").or_else(|| sites.map(|sites| sites.iter().cloned().collect()))?;
    if clients.len().saturating_mul(sites.len()) > MAX_VISITORS {
        return None;
    }
    let hash = |site: &String, client: &String| lit(client_hash(site, client).cast_signed());
    let hashes = sites
        .iter()
        .flat_map(|site| clients.iter().map(move |client| hash(site, client)));
    Some(col("client_hash").in_list(hashes.collect(), false))
}

/// What the filters compare a column of times with.
pub(crate) fn time_comparisons(filters: &[Expr], column: &str) -> Vec<(Operator, Micros)> {
    let all = filters.iter().flat_map(split_conjunction).flat_map(comparisons);
    let of_column = all.filter(|(name, ..)| *name == column);
    of_column
        .filter_map(|(_, operator, value)| Some((operator, micros(value)?)))
        .collect()
}

/// `(column, operator, value)` of simple comparisons, the column on the left.
pub(crate) fn comparisons(condition: &Expr) -> Vec<(&str, Operator, &ScalarValue)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => vec![(column.name(), *op, value)],
            (Expr::Literal(value, _), Expr::Column(column)) => {
                let swapped = op.swap();
                swapped.map(|op| (column.name(), op, value)).into_iter().collect()
            }
            _ => Vec::new(),
        },
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => match (expr.as_ref(), low.as_ref(), high.as_ref()) {
            (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) => vec![
                (column.name(), Operator::GtEq, low),
                (column.name(), Operator::LtEq, high),
            ],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The texts that `column` must be one of, if the condition says so.
pub(crate) fn texts(condition: &Expr, column: &str) -> Option<BTreeSet<String>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(c) if c.name() == column);
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => {
            let mut either = texts(left, column)?;
            either.extend(texts(right, column)?);
            Some(either)
        }
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) if is_column(left) => Some([text(right)?].into()),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) if is_column(right) => Some([text(left)?].into()),
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) if is_column(expr) => list.iter().map(text).collect(),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str()?.map(str::to_owned),
        _ => None,
    }
}

/// The time in a literal.
pub(crate) fn micros(value: &ScalarValue) -> Option<Micros> {
    match value {
        ScalarValue::TimestampMicrosecond(at, _) => *at,
        ScalarValue::TimestampMillisecond(Some(at), _) => at.checked_mul(1_000),
        ScalarValue::TimestampSecond(Some(at), _) => at.checked_mul(1_000_000),
        _ => None,
    }
}

fn date(day: i64) -> Expr {
    let day = day.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    lit(ScalarValue::Date32(i32::try_from(day).ok()))
}

fn time(day: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(
        Some(day.saturating_mul(DAY)),
        Some("UTC".into()),
    ))
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::cast;

    use super::*;

    fn at(micros: Micros) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
    }

    fn implied(filter: Expr) -> Vec<String> {
        dates_and_times(&[filter]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn times_bound_dates() {
        let column = || col("event_timestamp");
        let day = |n| format!("event_date {n}");
        assert_eq!(implied(column().gt_eq(at(2 * DAY))), [day(">= Date32(\"1970-01-03\")")]);
        assert_eq!(implied(column().lt(at(2 * DAY))), [day("<= Date32(\"1970-01-02\")")]);
        assert_eq!(implied(column().lt_eq(at(2 * DAY))), [day("<= Date32(\"1970-01-03\")")]);
        assert_eq!(implied(column().gt(at(-1))), [day(">= Date32(\"1969-12-31\")")]);
        assert_eq!(implied(at(2 * DAY).gt(column())), [day("<= Date32(\"1970-01-02\")")]);
        assert_eq!(
            implied(column().between(at(0), at(DAY + 5)).and(col("city").eq(lit("x")))),
            [day(">= Date32(\"1970-01-01\")"), day("<= Date32(\"1970-01-02\")")]
        );
        assert_eq!(implied(column().lt(at(i64::MIN))).len(), 1);
        assert!(implied(column().not_eq(at(0))).is_empty());
        assert!(implied(column().gt(at(0)).or(col("is_bot"))).is_empty());
    }

    #[test]
    fn dates_bound_times() {
        let bound = |filter| implied(filter).join(" & ");
        let midnight = |op, day| {
            format!(
                "event_timestamp {op} TimestampMicrosecond({}, Some(\"UTC\"))",
                day * DAY
            )
        };
        let column = || col("event_date");
        assert_eq!(bound(column().gt(date(3))), midnight(">=", 4));
        assert_eq!(bound(column().lt_eq(date(3))), midnight("<", 4));
        assert_eq!(
            bound(column().eq(date(3))),
            format!("{} & {}", midnight(">=", 3), midnight("<", 4))
        );
    }

    #[test]
    fn dates_of_times_bound_times() {
        let date_of_time = || cast(col("event_timestamp"), DataType::Date32);
        assert_eq!(
            times_of_days(&[date_of_time().eq(date(3)).and(col("is_bot"))]),
            dates_and_times(&[col("event_date").eq(date(3))])
        );
        assert_eq!(times_of_days(&[date_of_time().not_eq(date(3))]), []);
        assert_eq!(times_of_days(&[col("event_date").eq(date(3))]), []);
        let either = date_of_time().eq(date(3)).or(col("is_bot"));
        assert_eq!(times_of_days(&[either]), []);
    }

    #[test]
    fn times_from_midnight_to_midnight_are_days() {
        let column = || col("event_timestamp");
        assert_eq!(
            whole_days(&column().gt_eq(at(2 * DAY))),
            Some(col("event_date").gt_eq(date(2)))
        );
        assert_eq!(whole_days(&at(-DAY).gt(column())), Some(col("event_date").lt(date(-1))));
        for filter in [
            column().gt_eq(at(2 * DAY + 1)),
            column().gt(at(2 * DAY)),
            column().lt_eq(at(2 * DAY)),
            column().eq(at(2 * DAY)),
            column().between(at(0), at(DAY)),
            col("created_at").lt(at(0)),
            column().lt(at(0)).or(col("is_bot")),
        ] {
            assert_eq!(whole_days(&filter), None, "{filter}");
        }
    }

    #[test]
    fn named_visitor_has_known_hash() {
        let client = col("client_id").eq(lit("c"));
        let site = col("tracking_id").eq(lit("s"));
        let hash = col("client_hash").in_list(vec![lit(client_hash("s", "c").cast_signed())], false);
        assert_eq!(visitors(&[client.clone(), site.clone()], None), Some(hash.clone()));
        assert_eq!(visitors(&[site.clone().and(client.clone())], None), Some(hash.clone()));
        assert_eq!(
            visitors(std::slice::from_ref(&client), Some(&["s".to_owned()].into())),
            Some(hash)
        );
        assert_eq!(visitors(std::slice::from_ref(&client), None), None);
        assert_eq!(visitors(&[client.or(site)], None), None);
        assert_eq!(
            visitors(
                &[col("client_id").not_eq(lit("c")), col("tracking_id").eq(lit("s"))],
                None
            ),
            None
        );
    }

    #[test]
    fn visitor_site_pairs_are_hashed_up_to_limit() {
        let named = |column: &str, names: &[&str]| col(column).in_list(names.iter().map(|n| lit(*n)).collect(), false);
        let pairs = visitors(
            &[named("client_id", &["c", "d"]), named("tracking_id", &["s", "t"])],
            None,
        );
        let Some(Expr::InList(pairs)) = pairs else {
            panic!("a list");
        };
        assert_eq!(pairs.list.len(), 4);
        let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(
            visitors(&[named("client_id", &many), named("tracking_id", &["s"])], None),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn whole_days_hold_for_the_same_times(time in -3 * DAY..3 * DAY, day in -3_i64..3, lower: bool) {
            let bound = at(day * DAY);
            let filter = if lower { col("event_timestamp").gt_eq(bound) } else { col("event_timestamp").lt(bound) };
            let days = whole_days(&filter).unwrap();
            let expected = if lower { time >= day * DAY } else { time < day * DAY };
            let (_, operator, value) = comparisons(&days)[0];
            let ScalarValue::Date32(Some(bound)) = value else { panic!("{value}") };
            let found = match operator {
                Operator::GtEq => time.div_euclid(DAY) >= i64::from(*bound),
                _ => time.div_euclid(DAY) < i64::from(*bound),
            };
            proptest::prop_assert_eq!(found, expected);
        }

        #[test]
        fn derived_filters_keep_matching_rows(
            time in -3 * DAY..3 * DAY, bound in -3 * DAY..3 * DAY, operator in 0_usize..5
        ) {
            let operator = [Operator::Eq, Operator::Lt, Operator::LtEq, Operator::Gt, Operator::GtEq][operator];
            let holds = |a: i64, operator: Operator, b: i64| match operator {
                Operator::Eq => a == b,
                Operator::Lt => a < b,
                Operator::LtEq => a <= b,
                Operator::Gt => a > b,
                _ => a >= b,
            };
            let filter = Expr::BinaryExpr(BinaryExpr::new(Box::new(col("event_timestamp")), operator, Box::new(at(bound))));
            if holds(time, operator, bound) {
                for condition in dates_and_times(&[filter]) {
                    let (_, operator, value) = comparisons(&condition)[0];
                    let ScalarValue::Date32(Some(day)) = value else { panic!("{value}") };
                    proptest::prop_assert!(holds(time.div_euclid(DAY), operator, i64::from(*day)), "{condition}");
                }
            }
        }
    }
}
