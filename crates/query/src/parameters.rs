//! `?` and `$1`: what a statement wants bound, and binding it.

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan};

use crate::QueryError;

/// No client binds more, and `$4000000000` must not make room for as many.
const MAX_PARAMETERS: usize = 1000;

/// One field a parameter, in numeric order; of type `Null` where the statement does not tell.
pub(crate) fn fields(plan: &LogicalPlan) -> Result<Vec<Field>, QueryError> {
    let mut fields: Vec<Field> = Vec::new();
    for (id, known) in plan.get_parameter_fields()? {
        let number = number(&id)?;
        for index in fields.len()..number {
            fields.push(Field::new((index + 1).to_string(), DataType::Null, true));
        }
        if let Some(known) = known {
            fields[number - 1] = Field::new(number.to_string(), known.data_type().clone(), true);
        }
    }
    for number in limits(plan)? {
        if let Some(field) = fields.get_mut(number - 1)
            && field.data_type() == &DataType::Null
        {
            *field = Field::new(field.name(), DataType::Int64, true);
        }
    }
    Ok(fields)
}

/// The parameters of LIMIT and OFFSET: DataFusion leaves their type open.
fn limits(plan: &LogicalPlan) -> Result<Vec<usize>, QueryError> {
    let mut limits = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(Limit { skip, fetch, .. }) = node {
            for expr in [skip, fetch].into_iter().flatten() {
                if let Expr::Placeholder(placeholder) = expr.as_ref() {
                    limits.push(number(&placeholder.id).map_err(|e| DataFusionError::External(Box::new(e)))?);
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(limits)
}

/// `plan` with `values` in the places of its parameters.
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
        .map(|(field, value)| fit(field, value))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(plan.with_param_values(ParamValues::from(values))?)
}

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

/// The value in the type that the statement expects of it, or in a plain one where it expects none.
fn fit(field: &Field, value: &ScalarValue) -> Result<ScalarValue, QueryError> {
    let wanted = match (field.data_type(), value.data_type()) {
        (DataType::Null, DataType::Utf8View | DataType::LargeUtf8) => DataType::Utf8,
        (DataType::Null, DataType::BinaryView | DataType::LargeBinary) => DataType::Binary,
        (DataType::Null, given) => given,
        (wanted, _) => wanted.clone(),
    };
    if value.data_type() == wanted {
        return Ok(value.clone());
    }
    value.cast_to(&wanted).map_err(|_| {
        QueryError::Invalid(format!(
            "parameter {} is {value} of type {}, but the statement wants {wanted}",
            field.name(),
            value.data_type()
        ))
    })
}
