//! The functions that SQL may call: DataFusion's scalar ones, where the length of the result is up to the caller with
//! bounds of ours, those that read `custom_properties`, hashes of ids, sketches, estimates from samples, and what visitors did in which
//! order.

mod bounded;
mod concat_operator;
mod estimates;
mod growth;
mod id_hash;
mod json;
mod now;
mod patterns;
mod ratio;
mod retention;
mod sketches;
mod window_funnel;

use std::sync::Arc;

use arrow::array::{Array, BooleanArray};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ReturnFieldArgs, ScalarUDF, ScalarUDFImpl};

use bounded::Bounded;
pub(crate) use concat_operator::ConcatOperators;
pub(crate) use id_hash::id_hash;
pub(crate) use json::PropertyOperators;
pub(crate) use patterns::{DEFAULT_ESCAPE, escape_character, like_escape, similar_to_escape};
pub(crate) use sketches::{estimate_of, sketch_of};

/// Lists of numbers and times as values: `FROM generate_series(...)` makes the same as rows, in bounded memory. And what is
/// replaced by ours.
const LEFT_OUT: [&str; 3] = ["range", "generate_series", "now"];

pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    SessionStateDefaults::default_scalar_functions()
        .into_iter()
        .filter(|function| !LEFT_OUT.contains(&function.name()))
        .map(bounded)
        .chain(json::functions())
        .chain(patterns::functions())
        .chain(sketches::functions())
        .chain(id_hash::functions())
        .chain(now::functions())
        .collect()
}

/// Beside DataFusion's.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    [
        sketches::aggregates(),
        estimates::aggregates(),
        ratio::aggregates(),
        window_funnel::aggregates(),
        retention::aggregates(),
    ]
    .concat()
}

/// Where a condition is true: null is not.
fn is_true(condition: &BooleanArray) -> BooleanArray {
    match condition.nulls() {
        Some(_) => prep_null_mask_filter(condition),
        None => condition.clone(),
    }
}

/// `function`, with a bound if its results can be much longer than its arguments.
fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match growth::of(function.name()) {
        Some(growth) => Arc::new(ScalarUDF::new_from_impl(Bounded::new(function, growth))),
        None => function,
    }
}

/// The result of a function that is null if, and only if, one of its arguments is: where none can be null, neither can
/// it, as with the operator that it replaces.
pub(crate) fn strict_field(function: &dyn ScalarUDFImpl, arguments: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let types: Vec<_> = arguments
        .arg_fields
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
    let field = Field::new(function.name(), function.return_type(&types)?, nullable);
    Ok(Arc::new(field))
}
