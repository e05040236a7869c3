//! `sample_estimate(value, percent)`: the total of a whole table from a sample of its visitors, with its bounds.
//!
//! ```sql
//! SELECT sample_estimate(events, 10) FROM (
//!   SELECT client_hash, count(*) AS events FROM events TABLESAMPLE SYSTEM (10) GROUP BY client_hash)
//! ```
//!
//! A row is a visitor: the sampling unit. Each visitor is in the sample with probability p, alone. For values y, the
//! Horvitz-Thompson estimator of the total is Σy / p, and of its variance (1 - p) / p² · Σy²; the bounds are 1.96
//! standard errors away (Särndal, Swensson, Wretman: Model Assisted Survey Sampling, 3.2, Bernoulli sampling).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

/// Standard errors within which 95% of a normal distribution lie.
pub(super) const Z: f64 = 1.959_963_984_540_054;

/// `sample_estimate`.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::new_from_impl(SampleEstimate {
        signature: Signature::user_defined(Volatility::Immutable),
    }))]
}

fn result_fields() -> Fields {
    let number = |name: &str| Field::new(name, DataType::Float64, false);
    Fields::from(vec![
        number("value"),
        number("lower"),
        number("upper"),
        Field::new("sample_size", DataType::Int64, false),
    ])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SampleEstimate {
    signature: Signature,
}

impl AggregateUDFImpl for SampleEstimate {
    fn name(&self) -> &'static str {
        "sample_estimate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields()))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [value, percent] if is_number(value) && is_number(percent) => Ok(vec![DataType::Float64; 2]),
            [value, percent] => plan_err!("sample_estimate takes a number and a percentage, not {value} and {percent}"),
            _ => plan_err!("sample_estimate takes a value and the percentage of the sample: sample_estimate(n, 10)"),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<Estimate>::default())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |part, data_type| Arc::new(Field::new(format_state_name(args.name, part), data_type, true));
        Ok(vec![
            field("share", DataType::Float64),
            field("count", DataType::Int64),
            field("sum", DataType::Float64),
            field("squares", DataType::Float64),
            field("least", DataType::Float64),
        ])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || data_type.is_null()
}

/// Sums over the visitors of a sample.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Estimate {
    /// Of visitors that are in the sample; 0 until it is known.
    share: f64,
    count: i64,
    sum: f64,
    squares: f64,
    least: f64,
}

impl Estimate {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
        self.least = self.least.min(value);
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        if other.share > 0.0 {
            self.take_share(other.share)?;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.least = self.least.min(other.least);
        Ok(())
    }

    fn take_share(&mut self, share: f64) -> Result<()> {
        if !(share > 0.0 && share <= 1.0) {
            return plan_err!(
                "the percentage of sample_estimate must be above 0 and at most 100, not {}",
                share * 100.0
            );
        }
        if self.share > 0.0 && self.share.to_bits() != share.to_bits() {
            return plan_err!("the percentage of sample_estimate must be the same for all rows");
        }
        self.share = share;
        Ok(())
    }

    /// Value, lower and upper bound.
    fn bounds(&self) -> [f64; 3] {
        if self.count == 0 {
            return [0.0; 3];
        }
        let value = self.sum / self.share;
        let margin = Z * ((1.0 - self.share) * self.squares).sqrt() / self.share;
        // Without negative values, the total is at least what was seen.
        let seen = if self.least < 0.0 { f64::NEG_INFINITY } else { self.sum };
        [value, (value - margin).max(seen), value + margin]
    }
}

impl Accumulator for Estimate {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [values, percents] = values else {
            return Err(internal_datafusion_err!("sample_estimate got {} columns", values.len()));
        };
        let percents = percents.as_primitive::<Float64Type>();
        for (value, percent) in values.as_primitive::<Float64Type>().iter().zip(percents) {
            if let (Some(value), Some(percent)) = (value, percent) {
                self.take_share(percent / 100.0)?;
                self.add(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let [value, lower, upper] = self.bounds();
        let number = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
        let columns = vec![
            number(value),
            number(lower),
            number(upper),
            Arc::new(Int64Array::from(vec![self.count])) as ArrayRef,
        ];
        let result = StructArray::try_new(result_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(result)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::from(self.share),
            ScalarValue::from(self.count),
            ScalarValue::from(self.sum),
            ScalarValue::from(self.squares),
            ScalarValue::from(self.least),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [share, count, sum, squares, least] = states else {
            return Err(internal_datafusion_err!(
                "a state of sample_estimate has {} columns",
                states.len()
            ));
        };
        let number = |column: &ArrayRef, row| column.as_primitive::<Float64Type>().value(row);
        for row in 0..share.len() {
            self.merge(Self {
                share: number(share, row),
                count: count.as_primitive::<arrow::datatypes::Int64Type>().value(row),
                sum: number(sum, row),
                squares: number(squares, row),
                least: number(least, row),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use footfall_model::hash::client_hash;

    use super::*;

    /// Events of a visitor: most have few, some have very many.
    fn events_of(visitor: u64) -> f64 {
        let z = (visitor + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let uniform = ((z ^ (z >> 29)) >> 11) as f64 / (1_u64 << 53) as f64;
        (1.0 / (1.0 - uniform).powf(0.4)).floor()
    }

    #[test]
    fn bounds_hold_the_true_total_in_95_of_100_samples() {
        const VISITORS: u64 = 3_000;
        let values: Vec<f64> = (0..VISITORS).map(events_of).collect();
        let truth: f64 = values.iter().sum();
        let (mut totals_inside, mut visitors_inside) = (0, 0);
        for trial in 0..1_000 {
            let site = format!("site-{trial}");
            let (mut totals, mut visitors) = (Estimate::default(), Estimate::default());
            for (visitor, value) in values.iter().enumerate() {
                // Uniform hashes: every tenth is in the first tenth.
                if client_hash(&site, &visitor.to_string()) < u64::MAX / 10 {
                    for (estimate, value) in [(&mut totals, *value), (&mut visitors, 1.0)] {
                        estimate.take_share(0.1).unwrap();
                        estimate.add(value);
                    }
                }
            }
            let inside = |estimate: &Estimate, truth: f64| {
                let [_, lower, upper] = estimate.bounds();
                i32::from(lower <= truth && truth <= upper)
            };
            totals_inside += inside(&totals, truth);
            visitors_inside += inside(&visitors, VISITORS as f64);
        }
        assert!((930..=970).contains(&totals_inside), "{totals_inside}");
        assert!((930..=970).contains(&visitors_inside), "{visitors_inside}");
    }

    #[test]
    fn whole_tables_are_exact_and_empty_samples_zero() {
        let mut all = Estimate::default();
        all.take_share(1.0).unwrap();
        all.add(3.0);
        all.add(-1.0);
        assert_eq!(all.bounds(), [2.0; 3]);
        assert_eq!(Estimate::default().bounds(), [0.0; 3]);
    }
}
