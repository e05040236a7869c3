//! Functions of times that are constant on almost every quarter of an hour, computed once for each that occurs: days,
//! weeks and hours of a zone's clock, which cost a look at the zone's rules for every row otherwise.
//!
//! No zone is assumed to change its offset on borders of quarters: the function is computed for the first and the last
//! microsecond of each, and where these differ, for every row.

mod quarters;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, PrimitiveArray, TimestampMicrosecondArray};
use arrow::compute::take;
use arrow::datatypes::{DataType, Date32Type, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use footfall_model::clock::{DAY, Micros};

use quarters::Quarters;

/// What is constant on quarters of an hour, of `date_trunc` and of `date_part`.
const COARSE: [&str; 10] = [
    "hour", "day", "week", "month", "quarter", "year", "dow", "doy", "isodow", "isoyear",
];

/// The plan with its functions of zoned times computed by quarters. Conditions inside scans stay as they are: files are
/// chosen by their form.
pub(crate) fn by_quarters(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        if matches!(plan, LogicalPlan::TableScan(_)) {
            return Ok(Transformed::no(plan));
        }
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| faster(expr, &schema))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    });
    Ok(rewritten?.data)
}

fn is_zoned(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(
        expr.get_type(schema),
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some(_)))
    )
}

fn is_coarse(unit: &Expr) -> bool {
    let text = unit.as_literal().and_then(|value| value.try_as_str().flatten());
    text.is_some_and(|text| COARSE.contains(&text.to_lowercase().as_str()))
}

fn faster(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let kind = match (func.name(), args.as_slice()) {
                ("date_trunc", [unit, time]) if is_coarse(unit) && is_zoned(time, schema) => Some(Kind::Truncation),
                ("date_part", [unit, time]) if is_coarse(unit) && is_zoned(time, schema) => Some(Kind::Part),
                ("to_local_time", [time]) if is_zoned(time, schema) => Some(Kind::LocalTime),
                _ => None,
            };
            match kind {
                Some(kind) => Transformed::yes(call(ByQuarters::new(Some(func), kind), args)),
                None => Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })),
            }
        }
        Expr::Cast(Cast { expr, field }) if field.data_type() == &DataType::Date32 && is_zoned(&expr, schema) => {
            Transformed::yes(call(ByQuarters::new(None, Kind::Date), vec![*expr]))
        }
        other => Transformed::no(other),
    })
}

fn call(function: ByQuarters, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(function)),
        args,
    ))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Truncation,
    Part,
    LocalTime,
    /// A cast to a date.
    Date,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ByQuarters {
    /// Of rows whose quarters don't decide; `None` is the cast.
    function: Option<Arc<ScalarUDF>>,
    kind: Kind,
}

static ANY: LazyLock<Signature> = LazyLock::new(|| Signature::variadic_any(Volatility::Immutable));

impl ByQuarters {
    fn new(function: Option<Arc<ScalarUDF>>, kind: Kind) -> Self {
        Self { function, kind }
    }

    fn plainly(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match (&self.function, arguments.args.last()) {
            (Some(function), _) => function.invoke_with_args(arguments),
            (None, Some(time)) => time.cast_to(&DataType::Date32, None),
            (None, None) => internal_err!("a cast has one argument"),
        }
    }

    /// The function of `times` instead.
    fn of(&self, times: ArrayRef, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let rows = times.len();
        let mut args = arguments.args.clone();
        args.pop();
        let mut arg_fields = arguments.arg_fields.clone();
        arg_fields.pop();
        let of = times.data_type().clone();
        arg_fields.push(Arc::new(Field::new("time", of.clone(), true)));
        args.push(ColumnarValue::Array(times));
        let return_field = match self.kind {
            Kind::Truncation => Arc::new(Field::new("truncated", of, true)),
            _ => Arc::clone(&arguments.return_field),
        };
        let made = self.plainly(ScalarFunctionArgs {
            args,
            arg_fields,
            number_rows: rows,
            return_field,
            config_options: Arc::clone(&arguments.config_options),
        })?;
        made.into_array(rows)
    }

    /// On UTC's clock all of it is arithmetic, without a look at rules.
    fn of_utc(&self, times: &TimestampMicrosecondArray, arguments: &ScalarFunctionArgs) -> Result<Option<ArrayRef>> {
        let local = || Arc::new(times.clone().with_timezone_opt(None::<Arc<str>>));
        Ok(match self.kind {
            Kind::LocalTime => Some(local()),
            Kind::Truncation => {
                let truncated = self.of(local(), arguments)?;
                let truncated = truncated.as_primitive::<TimestampMicrosecondType>().clone();
                let zone = times.timezone().map(Arc::from);
                Some(Arc::new(truncated.with_timezone_opt::<Arc<str>>(zone)))
            }
            Kind::Date => {
                let day = |time: Micros| i32::try_from(time.div_euclid(DAY));
                let dates: Result<PrimitiveArray<Date32Type>, _> = times.try_unary(day);
                dates.ok().map(|dates| Arc::new(dates) as ArrayRef)
            }
            Kind::Part => None,
        })
    }

    fn of_quarters(
        &self,
        times: &TimestampMicrosecondArray,
        arguments: &ScalarFunctionArgs,
    ) -> Result<Option<ArrayRef>> {
        let Some(quarters) = Quarters::of(times) else {
            return Ok(None);
        };
        let edges = quarters.edges(times.timezone());
        // Beyond the years of calendars an edge may have no value where a row has one.
        let Ok(mut made) = self.of(Arc::new(edges.clone()), arguments) else {
            return Ok(None);
        };
        if self.kind == Kind::LocalTime {
            made = Arc::new(offsets(made.as_primitive(), &edges));
        }
        let count = quarters.first.len();
        let (first, last) = (made.slice(0, count), made.slice(count, count));
        if *first != *last {
            return Ok(None);
        }
        let mut of_rows = take(&first, &quarters.of_rows, None)?;
        if self.kind == Kind::LocalTime {
            of_rows = Arc::new(moved(times, of_rows.as_primitive()));
        }
        Ok(Some(of_rows))
    }
}

/// How far local times are ahead of UTC.
fn offsets(local: &TimestampMicrosecondArray, times: &TimestampMicrosecondArray) -> Int64Array {
    let differences = local.values().iter().zip(times.values());
    differences.map(|(local, time)| local.wrapping_sub(*time)).collect()
}

fn moved(times: &TimestampMicrosecondArray, offsets: &Int64Array) -> TimestampMicrosecondArray {
    let moved = times.values().iter().zip(offsets.values());
    let moved = moved.map(|(time, offset)| time.wrapping_add(*offset)).collect();
    TimestampMicrosecondArray::new(moved, times.nulls().cloned())
}

impl ScalarUDFImpl for ByQuarters {
    fn name(&self) -> &str {
        self.function.as_ref().map_or("to_date", |function| function.name())
    }

    /// As the expression's that it replaces: a grouping set has no other names than those of its expressions.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        match (&self.function, arguments) {
            (Some(function), _) => function.inner().schema_name(arguments),
            (None, [time]) => Ok(Expr::Cast(Cast::new(Box::new(time.clone()), DataType::Date32))
                .schema_name()
                .to_string()),
            (None, _) => internal_err!("a cast has one argument"),
        }
    }

    fn signature(&self) -> &Signature {
        &ANY
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match &self.function {
            Some(function) => function.inner().return_type(arguments),
            None => Ok(DataType::Date32),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match (&self.function, arguments.arg_fields) {
            (Some(function), _) => function.inner().return_field_from_args(arguments),
            (None, [time]) => Ok(Arc::new(Field::new(self.name(), DataType::Date32, time.is_nullable()))),
            (None, _) => internal_err!("a cast has one argument"),
        }
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arguments.to_vec())
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        match (&self.function, inputs) {
            (Some(function), _) => function.inner().output_ordering(inputs),
            (None, [time]) => Ok(time.sort_properties),
            (None, _) => internal_err!("a cast has one argument"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(ColumnarValue::Array(times)) = arguments.args.last() else {
            return self.plainly(arguments);
        };
        let DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) = times.data_type() else {
            return self.plainly(arguments);
        };
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let mut made = None;
        if matches!(zone.as_ref(), "UTC" | "+00:00") {
            made = self.of_utc(times, &arguments)?;
        }
        if made.is_none() {
            made = self.of_quarters(times, &arguments)?;
        }
        match made {
            Some(made) => Ok(ColumnarValue::Array(made)),
            None => self.plainly(arguments),
        }
    }
}
