//! `?` and `$1`: the parameters of a statement, and binding them.

mod fit;
mod infer;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use crate::QueryError;

/// No client binds more, and `$4000000000` must not reserve memory for as many.
const MAX_PARAMETERS: usize = 1000;

/// One field per parameter, in numeric order; of type `Null` where its context does not determine the type.
pub(crate) fn fields(plan: &LogicalPlan) -> Result<Vec<Field>, QueryError> {
    let infer::Types { types, likely } = infer::types(plan)?;
    let last = types.last_key_value().map_or(0, |(number, _)| *number);
    let fields = (1..=last).map(|number| {
        let known = types.get(&number).cloned().unwrap_or(DataType::Null);
        let field = Field::new(number.to_string(), known, true);
        if likely.contains(&number) {
            field.with_metadata([(LIKELY.to_owned(), String::new())].into())
        } else {
            field
        }
    });
    Ok(fields.collect())
}

/// `plan` with `values` in place of its parameters.
pub(crate) fn bind(plan: LogicalPlan, fields: &[Field], values: &[ScalarValue]) -> Result<LogicalPlan, QueryError> {
    if fields.len() != values.len() {
        return Err(QueryError::Invalid(format!(
            "the statement has {} parameters, but {} values were bound",
            fields.len(),
            values.len()
        )));
    }
    if fields.is_empty() {
        return Ok(plan);
    }
    let values = fields
        .iter()
        .zip(values)
        .map(|(field, value)| fit::fit(field, value))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(plan.with_param_values(ParamValues::from(values))?)
}

/// Metadata of a parameter's field: its type is the likely one, but values of other types are accepted unchanged.
const LIKELY: &str = "footfall.likely";

fn number(id: &str) -> Result<usize, QueryError> {
    let number = id.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    match number {
        Some(number) if (1..=MAX_PARAMETERS).contains(&number) => Ok(number),
        Some(_) => Err(QueryError::Invalid(format!(
            "{id}: parameters are numbered from $1 to ${MAX_PARAMETERS}"
        ))),
        None => Err(QueryError::Invalid(format!(
            "{id}: parameters have numbers, not names; write $1, $2… or ?"
        ))),
    }
}
