//! `retention(cond1, cond2, …)`: which conditions were met at all, as ClickHouse's. The first stands alone; each other one
//! counts only together with the first.
//!
//! ```sql
//! SELECT sum(r[1]) AS came, sum(r[2]) AS came_back FROM (
//!   SELECT client_hash, retention(event_date = '2026-11-01', event_date = '2026-11-02') AS r FROM events GROUP BY client_hash)
//! ```

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::and;
use arrow::datatypes::{DataType, Field, FieldRef, UInt32Type};
use datafusion::common::{Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

use super::is_true;

/// As many as ClickHouse takes: a bit each.
const MAX_CONDITIONS: usize = 32;

/// `retention`.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::new_from_impl(Retention {
        signature: Signature::user_defined(Volatility::Immutable),
    }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Retention {
    signature: Signature,
}

impl AggregateUDFImpl for Retention {
    fn name(&self) -> &'static str {
        "retention"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item()))
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if arguments.is_empty() || arguments.len() > MAX_CONDITIONS {
            let count = arguments.len();
            return plan_err!("retention takes 1 to {MAX_CONDITIONS} conditions, and got {count}");
        }
        match arguments
            .iter()
            .find(|of| !matches!(of, DataType::Boolean | DataType::Null))
        {
            Some(other) => plan_err!("retention takes conditions, BOOLEAN, not {other}"),
            None => Ok(vec![DataType::Boolean; arguments.len()]),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(Groups::new(args.exprs.len()))))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(args.exprs.len())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format_state_name(args.name, "met");
        Ok(vec![Arc::new(Field::new(name, DataType::UInt32, true))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn item() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Int32, true))
}

/// The conditions that each group has met, a bit each.
#[derive(Debug)]
struct Groups {
    met: Vec<u32>,
    conditions: usize,
}

impl Groups {
    fn new(conditions: usize) -> Self {
        Self {
            met: Vec::new(),
            conditions,
        }
    }

    fn add(
        &mut self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
        group_of: impl Fn(usize) -> usize,
        groups: usize,
    ) -> Result<()> {
        self.met.resize(groups.max(self.met.len()), 0);
        let filter = filter.map(is_true);
        for (bit, condition) in values.iter().enumerate() {
            let Some(condition) = condition.as_boolean_opt() else {
                return internal_err!("retention got a column of {}", condition.data_type());
            };
            let mut condition = is_true(condition);
            if let Some(filter) = &filter {
                condition = and(&condition, filter)?;
            }
            for row in condition.values().set_indices() {
                self.met[group_of(row)] |= 1 << bit;
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], group_of: impl Fn(usize) -> usize, groups: usize) -> Result<()> {
        self.met.resize(groups.max(self.met.len()), 0);
        let Some(states) = states
            .first()
            .and_then(|states| states.as_primitive_opt::<UInt32Type>())
        else {
            return internal_err!("a state of retention is of another type");
        };
        for (row, met) in states.iter().enumerate() {
            self.met[group_of(row)] |= met.unwrap_or_default();
        }
        Ok(())
    }

    fn lists(&self, met: &[u32]) -> Result<ListArray> {
        let lengths = met.iter().map(|_| self.conditions);
        let values = met.iter().flat_map(|met| {
            let first = met & 1;
            (0..self.conditions).map(move |bit| i32::from(first & (met >> bit) == 1))
        });
        let values = Int32Array::from_iter_values(values);
        Ok(ListArray::try_new(
            item(),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(values),
            None,
        )?)
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.add(values, opt_filter, |row| group_indices[row], total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let met = emit_to.take_needed(&mut self.met);
        Ok(Arc::new(self.lists(&met)?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let met = emit_to.take_needed(&mut self.met);
        Ok(vec![Arc::new(UInt32Array::from(met))])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.merge(values, |row| group_indices[row], total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut rows = Self::new(self.conditions);
        rows.add(values, opt_filter, |row| row, values.first().map_or(0, Array::len))?;
        rows.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.met.capacity() * size_of::<u32>()
    }
}

#[derive(Debug)]
struct OneGroup(Groups);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.add(values, None, |_| 0, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge(states, |_| 0, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let met = self.0.met.first().copied().unwrap_or_default();
        ScalarValue::try_from_array(&self.0.lists(&[met])?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::UInt32(self.0.met.first().copied())])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}
