//! HLL sketches in SQL: `hll_sketch(x)` of distinct values, `hll_union(sketch)` of sketches, `hll_estimate(sketch)`, and
//! `approx_distinct(x)`, which is `hll_estimate(hll_sketch(x))`, and 0 without values.
//!
//! ```sql
//! SELECT country, hll_estimate(hll_union(visitors_sketch)) AS visitors FROM events_hourly GROUP BY country
//! ```
//!
//! They are sets (see [`footfall_model::sketch`]): neither the order of rows nor how they are divided changes a result.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, internal_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use footfall_model::sketch::{Coupon, Sketch, SketchError};

/// `hll_estimate`.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::clone(&ESTIMATE)]
}

static ESTIMATE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Estimate {
        signature: Signature::user_defined(Volatility::Immutable),
    }))
});

/// `hll_sketch`, `hll_union`, and `approx_distinct`, which is the estimate of the sketch.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let aggregate = |of, gives| {
        Arc::new(AggregateUDF::new_from_impl(SketchAggregate {
            of,
            gives,
            signature: Signature::user_defined(Volatility::Immutable),
        }))
    };
    vec![
        aggregate(Input::Values, Output::Sketch),
        aggregate(Input::Sketches, Output::Sketch),
        aggregate(Input::Values, Output::Estimate),
    ]
}

/// The sketch of one text, for uniting with others.
pub(crate) fn sketch_of(text: Expr) -> Expr {
    static SKETCH_OF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        Arc::new(ScalarUDF::new_from_impl(SketchOfText {
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable),
        }))
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&SKETCH_OF), vec![text]))
}

/// `hll_estimate(sketch)`.
pub(crate) fn estimate_of(sketch: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&ESTIMATE), vec![sketch]))
}

/// What an aggregate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Input {
    Values,
    Sketches,
}

/// What an aggregate gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Output {
    Sketch,
    /// Of distinct values; 0 if there is none.
    Estimate,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchAggregate {
    of: Input,
    gives: Output,
    signature: Signature,
}

impl AggregateUDFImpl for SketchAggregate {
    fn name(&self) -> &str {
        match (self.gives, self.of) {
            (Output::Estimate, _) => "approx_distinct",
            (Output::Sketch, Input::Values) => "hll_sketch",
            (Output::Sketch, Input::Sketches) => "hll_union",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.gives {
            Output::Sketch => DataType::Binary,
            Output::Estimate => DataType::UInt64,
        })
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match self.of {
            Input::Sketches => sketch_argument(self.name(), arguments),
            Input::Values => match arguments {
                [text] if text.is_string() || text.is_null() => Ok(vec![DataType::Utf8]),
                // As the other ports hash them.
                [integer] if integer.is_integer() && integer != &DataType::UInt64 => Ok(vec![DataType::Int64]),
                [other] if self.gives == Output::Estimate && !other.is_nested() && !other.is_binary() => {
                    Ok(vec![DataType::Utf8])
                }
                [other] => plan_err!("{} takes text or integers, not {other}; cast it", self.name()),
                _ => plan_err!("{} takes one value, and got {}", self.name(), arguments.len()),
            },
        }
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SketchAccumulator {
            of: self.of,
            gives: self.gives,
            sketch: None,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<arrow::datatypes::FieldRef>> {
        let name = format_state_name(args.name, "sketch");
        Ok(vec![Arc::new(arrow::datatypes::Field::new(
            name,
            DataType::Binary,
            true,
        ))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Null until the first value that is not.
#[derive(Debug)]
struct SketchAccumulator {
    of: Input,
    gives: Output,
    sketch: Option<Sketch>,
}

impl SketchAccumulator {
    fn add_values(&mut self, values: &ArrayRef) -> Result<()> {
        if values.null_count() < values.len() {
            self.sketch.get_or_insert_default();
        }
        let Some(sketch) = &mut self.sketch else {
            return Ok(());
        };
        let mut add = |coupon: Option<Coupon>| {
            if let Some(coupon) = coupon {
                sketch.add(coupon);
            }
        };
        match values.data_type() {
            DataType::Int64 => {
                let values = values.as_primitive::<Int64Type>().iter().flatten();
                values.for_each(|value| add(Coupon::of_integer(value)));
            }
            DataType::Utf8 => {
                let values = values.as_string::<i32>().iter().flatten();
                values.for_each(|value| add(Coupon::of_text(value)));
            }
            other => return internal_err!("hll_sketch got {other}"),
        }
        Ok(())
    }

    fn add_sketches(&mut self, sketches: &ArrayRef) -> Result<()> {
        let Some(sketches) = sketches.as_binary_opt::<i32>() else {
            return internal_err!("a sketch of type {}", sketches.data_type());
        };
        for bytes in sketches.iter().flatten() {
            let sketch = Sketch::from_bytes(bytes).map_err(|error| invalid("hll_union", &error))?;
            match &mut self.sketch {
                Some(all) => all.merge(&sketch),
                none => *none = Some(sketch),
            }
        }
        Ok(())
    }
}

impl Accumulator for SketchAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match (self.of, values.first()) {
            (Input::Values, Some(values)) => self.add_values(values),
            (Input::Sketches, Some(sketches)) => self.add_sketches(sketches),
            (_, None) => internal_err!("a sketch of nothing"),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states.first().map_or(Ok(()), |sketches| self.add_sketches(sketches))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.gives {
            Output::Sketch => ScalarValue::Binary(self.sketch.as_ref().map(Sketch::to_bytes)),
            Output::Estimate => {
                let estimate = self.sketch.as_ref().map_or(0, rounded);
                ScalarValue::UInt64(Some(estimate.unsigned_abs()))
            }
        })
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(self.sketch.as_ref().map(Sketch::to_bytes))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sketch.as_ref().map_or(0, Sketch::size)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Estimate {
    signature: Signature,
}

impl ScalarUDFImpl for Estimate {
    fn name(&self) -> &'static str {
        "hll_estimate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        sketch_argument(self.name(), arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(sketches) = args.args.first() else {
            return internal_err!("hll_estimate without a sketch");
        };
        let array = sketches.to_array(args.number_rows)?;
        let Some(array) = array.as_binary_opt::<i32>() else {
            return internal_err!("a sketch of type {}", array.data_type());
        };
        let estimates = array.iter().map(|bytes| bytes.map(estimate).transpose());
        Ok(ColumnarValue::Array(Arc::new(
            estimates.collect::<Result<Int64Array>>()?,
        )))
    }
}

fn estimate(bytes: &[u8]) -> Result<i64> {
    let sketch = Sketch::from_bytes(bytes).map_err(|error| invalid("hll_estimate", &error))?;
    Ok(rounded(&sketch))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, far above any number of visitors"
)]
fn rounded(sketch: &Sketch) -> i64 {
    sketch.estimate().round() as i64
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchOfText {
    signature: Signature,
}

impl ScalarUDFImpl for SketchOfText {
    fn name(&self) -> &'static str {
        "hll_sketch_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(texts) = args.args.first() else {
            return internal_err!("the sketch of nothing");
        };
        let texts = texts.to_array(args.number_rows)?;
        let Some(texts) = texts.as_string_opt::<i32>() else {
            return internal_err!("the sketch of {}", texts.data_type());
        };
        let sketches = texts.iter().map(|text| {
            text.map(|text| {
                let mut sketch = Sketch::default();
                Coupon::of_text(text).into_iter().for_each(|coupon| sketch.add(coupon));
                sketch.to_bytes()
            })
        });
        Ok(ColumnarValue::Array(Arc::new(sketches.collect::<BinaryArray>())))
    }
}

fn sketch_argument(function: &str, arguments: &[DataType]) -> Result<Vec<DataType>> {
    match arguments {
        [
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
            | DataType::Null,
        ] => Ok(vec![DataType::Binary]),
        [other] => plan_err!("{function} takes a sketch, a BYTEA made by hll_sketch or hll_union, not {other}"),
        _ => plan_err!("{function} takes one sketch, and got {} arguments", arguments.len()),
    }
}

fn invalid(function: &str, error: &SketchError) -> DataFusionError {
    exec_datafusion_err!("{function}: {error}")
}
