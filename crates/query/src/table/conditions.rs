//! What a statement's filters decide before a row is read.
//!
//! A reader's files may hold other sites' rows. Which conditions may be evaluated on those is decided here, by the form
//! of the condition alone: whatever the files hold, the same statement is pruned and scanned by the same conditions.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::planner::create_physical_expr;
use footfall_model::access::SiteScope;
use footfall_model::table::TableSpec;

use super::derived_filters;

/// What is known of the rows that a scan must return.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// Conditions on the partition's date alone, over a schema of that column.
    pub(super) dates: Vec<Arc<dyn PhysicalExpr>>,
    /// Files whose statistics contradict one of these are not read.
    pub(super) files: Vec<Arc<dyn PhysicalExpr>>,
    /// What the scan may check row by row; a reader's own conditions among them are plain.
    pub(super) rows: Vec<Arc<dyn PhysicalExpr>>,
}

impl Conditions {
    /// The conditions that follow from `filters` over the table, for a caller of `scope`.
    pub(crate) fn new(spec: &TableSpec, scope: &SiteScope, filters: &[Expr], props: &ExecutionProps) -> Result<Self> {
        match scope {
            SiteScope::All => Self::of_all(spec, filters, props),
            SiteScope::Only(sites) => Self::of_reader(spec, sites, filters, props),
        }
    }

    /// For a caller that may see all rows: every filter counts, and a date condition that fails is an error.
    fn of_all(spec: &TableSpec, filters: &[Expr], props: &ExecutionProps) -> Result<Self> {
        let schema = DFSchema::try_from(spec.table_schema().as_ref().clone())?;
        let physical = |expr: &Expr| physical_expr(expr, &schema, props);
        let visitors = on_table(spec, derived_filters::visitors(filters, None));
        let derived = on_table(spec, derived_filters::dates_and_times(filters));
        // A condition that waits for a subquery's value is not available yet.
        let known = filters.iter().filter_map(|filter| physical(filter).ok());
        let derived = derived
            .iter()
            .chain(&visitors)
            .map(physical)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            dates: dates(spec, filters, props)?,
            files: known.chain(derived).collect(),
            rows: visitors.iter().map(physical).collect::<Result<_>>()?,
        })
    }

    /// For a reader of `sites`: plain comparisons, and what follows from them.
    fn of_reader(spec: &TableSpec, sites: &BTreeSet<String>, filters: &[Expr], props: &ExecutionProps) -> Result<Self> {
        let schema = DFSchema::try_from(spec.table_schema().as_ref().clone())?;
        let (mut plain, mut rows) = (Vec::new(), Vec::new());
        for filter in filters.iter().flat_map(split_conjunction) {
            if let Some(condition) = plain_condition(filter, &schema, props) {
                plain.push(filter.clone());
                // Decided for whole files.
                if !is_of_date(filter, spec) && days_of(filter, spec).is_none() {
                    rows.push(condition);
                }
            }
        }
        let physical = |expr: &Expr| physical_expr(expr, &schema, props);
        // Not plain as they are written, but equivalent to plain ones.
        let times = derived_filters::times_of_days(filters);
        rows.extend(times.iter().map(physical).collect::<Result<Vec<_>>>()?);
        plain.extend(times);
        let derived = on_table(spec, derived_filters::dates_and_times(&plain));
        let derived = derived.iter().map(physical).collect::<Result<Vec<_>>>()?;
        // Files are sorted by the visitor's hash: few pages remain for the other conditions.
        let visitors = on_table(spec, derived_filters::visitors(&plain, Some(sites)));
        rows.splice(0..0, visitors.iter().map(physical).collect::<Result<Vec<_>>>()?);
        Ok(Self {
            dates: dates(spec, filters, props)?,
            files: rows.iter().cloned().chain(derived).collect(),
            rows,
        })
    }
}

/// Those of the conditions whose columns the table has.
fn on_table(spec: &TableSpec, conditions: impl IntoIterator<Item = Expr>) -> Vec<Expr> {
    let has = |condition: &Expr| {
        let columns = condition.column_refs();
        let mut names = columns.iter().map(|column| column.name());
        names.all(|name| spec.table_schema().column_with_name(name).is_some())
    };
    conditions.into_iter().filter(has).collect()
}

/// `filter` over `schema`, if it is plain.
fn plain_condition(filter: &Expr, schema: &DFSchema, props: &ExecutionProps) -> Option<Arc<dyn PhysicalExpr>> {
    let condition = physical_expr(filter, schema, props).ok()?;
    is_plain(&condition, schema.as_arrow()).then_some(condition)
}

fn physical_expr(expr: &Expr, schema: &DFSchema, props: &ExecutionProps) -> Result<Arc<dyn PhysicalExpr>> {
    create_physical_expr(expr, schema, props, &PhysicalPlanningContext::default())
}

fn dates(spec: &TableSpec, filters: &[Expr], props: &ExecutionProps) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    let schema = DFSchema::try_from(Schema::new(vec![spec.partition().clone()]))?;
    let conditions = filters.iter().flat_map(split_conjunction);
    let of_date = conditions.filter_map(|filter| match days_of(filter, spec) {
        Some(days) => Some(Cow::Owned(days)),
        None => is_of_date(filter, spec).then_some(Cow::Borrowed(filter)),
    });
    of_date.map(|filter| physical_expr(&filter, &schema, props)).collect()
}

/// The condition on the partition's date that a condition on the time of events amounts to, if there is one.
pub(super) fn days_of(filter: &Expr, spec: &TableSpec) -> Option<Expr> {
    let days = derived_filters::whole_days(filter)?;
    let has_time = spec.file_schema().column_with_name("event_timestamp").is_some();
    (has_time && is_of_date(&days, spec)).then_some(days)
}

/// Whether a condition is about the partition's date and nothing else, so that a file's date decides it.
pub(super) fn is_of_date(filter: &Expr, spec: &TableSpec) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| column.name() == spec.partition().name())
        && !filter.is_volatile()
        && !has_subquery(filter)
}

/// The same for a reader, over the table's columns under any name of the table: its condition must be plain too,
/// otherwise it is evaluated on the reader's own rows.
pub(super) fn is_plain_of_date(filter: &Expr, spec: &TableSpec) -> bool {
    let Ok(schema) = DFSchema::try_from(spec.table_schema().as_ref().clone()) else {
        return false;
    };
    let filter = unnormalize_col(filter.clone());
    is_of_date(&filter, spec) && plain_condition(&filter, &schema, &ExecutionProps::new()).is_some()
}

fn has_subquery(filter: &Expr) -> bool {
    filter
        .exists(|part| {
            Ok(matches!(
                part,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Placeholder(_)
            ))
        })
        .unwrap_or(true)
}

/// Whether evaluating `condition` on a row can't fail, whatever the row holds: comparisons of a column with a literal
/// of exactly its type, and AND, OR and NOT of them.
pub(crate) fn is_plain(condition: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    if let Some(comparison) = condition.downcast_ref::<BinaryExpr>() {
        let (left, right) = (comparison.left(), comparison.right());
        return match comparison.op() {
            Operator::And | Operator::Or => is_plain(left, schema) && is_plain(right, schema),
            Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                compares(left, right, schema) || compares(right, left, schema)
            }
            _ => false,
        };
    }
    if let Some(list) = condition.downcast_ref::<InListExpr>() {
        return list.list().iter().all(|value| compares(list.expr(), value, schema));
    }
    if let Some(not) = condition.downcast_ref::<NotExpr>() {
        return is_plain(not.arg(), schema);
    }
    if let Some(null) = condition.downcast_ref::<IsNullExpr>() {
        return column_type(null.arg(), schema).is_some();
    }
    if let Some(not_null) = condition.downcast_ref::<IsNotNullExpr>() {
        return column_type(not_null.arg(), schema).is_some();
    }
    if let Some(literal) = condition.downcast_ref::<Literal>() {
        return matches!(literal.value(), ScalarValue::Boolean(_));
    }
    column_type(condition, schema) == Some(&DataType::Boolean)
}

fn compares(column: &Arc<dyn PhysicalExpr>, literal: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let literal = literal.downcast_ref::<Literal>();
    literal.is_some_and(|literal| column_type(column, schema) == Some(&literal.value().data_type()))
}

fn column_type<'a>(expr: &Arc<dyn PhysicalExpr>, schema: &'a Schema) -> Option<&'a DataType> {
    let column = expr.downcast_ref::<Column>()?;
    let field = schema.fields().get(column.index())?;
    (field.name() == column.name()).then(|| field.data_type())
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{cast, col, lit};
    use footfall_model::table;

    use super::*;

    fn plain(filter: &Expr) -> bool {
        let schema = DFSchema::try_from(table::events().table_schema().as_ref().clone()).unwrap();
        plain_condition(filter, &schema, &ExecutionProps::new()).is_some()
    }

    #[test]
    fn comparisons_with_literals_are_plain() {
        let city = || col("city");
        for filter in [
            city().eq(lit("Ghent")),
            lit("Ghent").lt_eq(city()),
            city().in_list(vec![lit("Ghent"), lit("Gent")], true),
            city().is_null().or(city().is_not_null().and(col("is_bot"))),
            !city().not_eq(lit("x")),
            city().between(lit("a"), lit("b")),
            city().eq(lit(ScalarValue::Utf8(None))),
            col("client_hash").gt(lit(5_i64)),
        ] {
            assert!(plain(&filter), "{filter}");
        }
    }

    #[test]
    fn fallible_conditions_are_not_plain() {
        let number = || cast(col("user_id"), DataType::Int64);
        for filter in [
            number().eq(lit(1_i64)),
            number().is_null(),
            number().in_list(vec![lit(1_i64)], false),
            !number().gt(lit(1_i64)),
            col("city").eq(lit("x")).or(number().eq(lit(1_i64))),
            (lit(1_i64) / col("client_hash")).eq(lit(1_i64)),
            col("city").eq(col("country")),
            col("city").like(lit("G%")),
            // Of another type than the column: one of them would have to be cast.
            col("client_hash").eq(lit(1_i32)),
            col("revenue").gt(lit(ScalarValue::Decimal128(Some(1), 18, 2))),
        ] {
            assert!(!plain(&filter), "{filter}");
        }
    }
}
