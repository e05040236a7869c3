//! `sample_ratio(part, whole, percent)`: the ratio of two totals of a whole table from a sample of its visitors, with its
//! bounds, such as bounces of sessions.
//!
//! A row is a visitor: the sampling unit. The estimator of R = Σy / Σx is that of the sample; its variance is that of the
//! residuals y - R x: (1 - p) Σ(y - R x)² / (Σx)² over the sampled visitors (Särndal, Swensson, Wretman: Model Assisted
//! Survey Sampling, 5.6, for Bernoulli sampling); the bounds are 1.96 standard errors away.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::estimates::{Z, is_number};

const NAME: &str = "sample_ratio";

/// `sample_ratio`.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::new_from_impl(SampleRatio {
        signature: Signature::user_defined(Volatility::Immutable),
    }))]
}

/// Without a whole there is no ratio.
fn result_fields() -> Fields {
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Fields::from(vec![
        number("value"),
        number("lower"),
        number("upper"),
        Field::new("sample_size", DataType::Int64, false),
    ])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SampleRatio {
    signature: Signature,
}

impl AggregateUDFImpl for SampleRatio {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(result_fields()))
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [part, whole, percent] if [part, whole, percent].into_iter().all(is_number) => {
                Ok(vec![DataType::Float64; 3])
            }
            [part, whole, percent] => {
                plan_err!("{NAME} takes two numbers and a percentage, not {part}, {whole} and {percent}")
            }
            _ => plan_err!("{NAME} takes two values and the percentage of the sample: {NAME}(bounces, sessions, 10)"),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<Ratio>::default())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |part, data_type| Arc::new(Field::new(format_state_name(args.name, part), data_type, true));
        let mut fields = vec![field("count", DataType::Int64)];
        fields.extend(PARTS.map(|part| field(part, DataType::Float64)));
        Ok(fields)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The numbers of [`Ratio`], but for the count.
const PARTS: [&str; 6] = ["share", "y", "x", "yy", "xy", "xx"];

/// Sums over the visitors of a sample.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Ratio {
    /// Visitors with a whole.
    count: i64,
    /// Of visitors that are in the sample; 0 until it is known.
    share: f64,
    y: f64,
    x: f64,
    yy: f64,
    xy: f64,
    xx: f64,
}

impl Ratio {
    /// A visitor without a part or a whole has 0 of it.
    fn add(&mut self, part: Option<f64>, whole: Option<f64>) {
        self.count += i64::from(whole.is_some());
        let (y, x) = (part.unwrap_or_default(), whole.unwrap_or_default());
        self.y += y;
        self.x += x;
        self.yy += y * y;
        self.xy += x * y;
        self.xx += x * x;
    }

    fn take_share(&mut self, share: f64) -> Result<()> {
        if !(share > 0.0 && share <= 1.0) {
            let percent = share * 100.0;
            return plan_err!("the percentage of {NAME} must be above 0 and at most 100, not {percent}");
        }
        if self.share > 0.0 && self.share.to_bits() != share.to_bits() {
            return plan_err!("the percentage of {NAME} must be the same for all rows");
        }
        self.share = share;
        Ok(())
    }

    fn merge(&mut self, count: i64, [share, y, x, yy, xy, xx]: [f64; 6]) -> Result<()> {
        if share > 0.0 {
            self.take_share(share)?;
        }
        self.count += count;
        self.y += y;
        self.x += x;
        self.yy += yy;
        self.xy += xy;
        self.xx += xx;
        Ok(())
    }

    fn parts(&self) -> [f64; 6] {
        [self.share, self.y, self.x, self.yy, self.xy, self.xx]
    }

    /// Value, lower and upper bound.
    fn bounds(&self) -> Option<[f64; 3]> {
        if self.x == 0.0 {
            return None;
        }
        let value = self.y / self.x;
        let residuals = self.yy - 2.0 * value * self.xy + value * value * self.xx;
        let margin = Z * ((1.0 - self.share) * residuals.max(0.0)).sqrt() / self.x.abs();
        Some([value, value - margin, value + margin])
    }
}

impl Accumulator for Ratio {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [parts, wholes, percents] = values else {
            return Err(internal_datafusion_err!("{NAME} got {} columns", values.len()));
        };
        let number = |column: &ArrayRef, row| {
            let column = column.as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        for row in 0..parts.len() {
            if let Some(percent) = number(percents, row) {
                self.take_share(percent / 100.0)?;
                self.add(number(parts, row), number(wholes, row));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let bounds = self.bounds();
        let number = |index: usize| Arc::new(Float64Array::from(vec![bounds.map(|bounds| bounds[index])])) as ArrayRef;
        let mut columns: Vec<ArrayRef> = (0..3).map(number).collect();
        columns.push(Arc::new(Int64Array::from(vec![self.count])));
        let result = StructArray::try_new(result_fields(), columns, None)?;
        Ok(ScalarValue::Struct(Arc::new(result)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut state = vec![ScalarValue::from(self.count)];
        state.extend(self.parts().map(ScalarValue::from));
        Ok(state)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (Some((count, parts)), 7) = (states.split_first(), states.len()) else {
            return Err(internal_datafusion_err!(
                "a state of {NAME} has {} columns",
                states.len()
            ));
        };
        let count = count.as_primitive::<Int64Type>();
        for row in 0..count.len() {
            let mut numbers = [0.0; 6];
            for (number, column) in numbers.iter_mut().zip(parts) {
                *number = column.as_primitive::<Float64Type>().value(row);
            }
            self.merge(count.value(row), numbers)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use footfall_model::hash::client_hash;

    use super::*;

    #[test]
    fn bounds_hold_the_true_ratio_in_95_of_100_samples() {
        // Sessions of visitors, and how many of them bounced: visitors with more sessions bounce less.
        let of = |visitor: u64| {
            let z = (visitor + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            let sessions = 1 + z % 5;
            (z / 5 % (1 + 6 / sessions).min(sessions + 1), sessions)
        };
        let visitors: Vec<(u64, u64)> = (0..3_000).map(of).collect();
        let total = |of: fn(&(u64, u64)) -> u64| visitors.iter().map(of).sum::<u64>() as f64;
        let truth = total(|visitor| visitor.0) / total(|visitor| visitor.1);
        let mut inside = 0;
        for trial in 0..1_000 {
            let mut ratio = Ratio::default();
            for (visitor, (bounces, sessions)) in visitors.iter().enumerate() {
                if client_hash(&format!("site-{trial}"), &visitor.to_string()) < u64::MAX / 10 {
                    ratio.take_share(0.1).unwrap();
                    ratio.add(Some(*bounces as f64), Some(*sessions as f64));
                }
            }
            let [_, lower, upper] = ratio.bounds().unwrap();
            inside += i32::from(lower <= truth && truth <= upper);
        }
        assert!((930..=970).contains(&inside), "{inside}");
    }

    #[test]
    fn whole_tables_are_exact_and_nothing_has_no_ratio() {
        let mut all = Ratio::default();
        all.take_share(1.0).unwrap();
        all.add(Some(1.0), Some(4.0));
        all.add(None, Some(1.0));
        all.add(Some(1.0), None);
        assert_eq!((all.bounds(), all.count), (Some([0.4; 3]), 2));
        assert_eq!(Ratio::default().bounds(), None);
        assert!(all.take_share(0.5).is_err());
    }

    #[test]
    fn parts_merge_to_the_same() {
        let values = [(1.0, 2.0), (0.0, 3.0), (2.0, 2.0)];
        let of = |values: &[(f64, f64)]| {
            let mut ratio = Ratio::default();
            for (part, whole) in values {
                ratio.take_share(0.25).unwrap();
                ratio.add(Some(*part), Some(*whole));
            }
            ratio
        };
        let (mut merged, rest) = (of(&values[..1]), of(&values[1..]));
        merged.merge(rest.count, rest.parts()).unwrap();
        assert_eq!(merged, of(&values));
    }
}
