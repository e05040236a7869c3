//! DataFusion's accumulators over [`Matches`].

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, resources_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::Funnel;
use super::matches::{Matches, Rows, states_of_rows};

/// Of many groups.
#[derive(Debug)]
pub(super) struct FunnelGroups {
    funnel: Funnel,
    pub(super) matches: Matches,
}

impl FunnelGroups {
    pub(super) fn new(funnel: Funnel) -> Self {
        Self {
            funnel,
            matches: Matches::default(),
        }
    }
}

/// The columns, with the times as numbers.
fn with_numbers(funnel: &Funnel, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let mut values = values.to_vec();
    if let Some(times) = values.get_mut(funnel.time_argument) {
        *times = cast(times, &DataType::Int64)?;
    }
    Ok(values)
}

impl GroupsAccumulator for FunnelGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        let values = with_numbers(&self.funnel, values)?;
        let rows = Rows::new(&self.funnel, &values, opt_filter)?;
        self.matches.add(&rows, |row| group_indices[row], total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(self.matches.take(emit_to).levels(&self.funnel)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.matches.take(emit_to).state()
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.matches.merge(values, |row| group_indices[row], total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = with_numbers(&self.funnel, values)?;
        states_of_rows(&Rows::new(&self.funnel, &values, opt_filter)?)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.matches.size()
    }
}

/// Of one group.
#[derive(Debug)]
pub(super) struct OneFunnel {
    group: FunnelGroups,
    /// Matches that may still be looked at: with OVER (ORDER BY …) they are again and again.
    pub(super) left: usize,
}

/// The most that a running window may look at: a step of an operator is not interrupted.
const MOST_LOOKED_AT: usize = 500_000_000;

impl OneFunnel {
    pub(super) fn new(funnel: Funnel) -> Self {
        Self {
            group: FunnelGroups::new(funnel),
            left: MOST_LOOKED_AT,
        }
    }
}

impl Accumulator for OneFunnel {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = with_numbers(&self.group.funnel, values)?;
        let rows = Rows::new(&self.group.funnel, &values, None)?;
        self.group.matches.add(&rows, |_| 0, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.group.matches.merge(states, |_| 0, 1)
    }

    /// With OVER it is asked again and again while rows are added.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.left == 0 {
            return resources_err!(
                "window_funnel over so long a running window takes too long: leave ORDER BY out of OVER, or write GROUP BY"
            );
        }
        self.left = self.left.saturating_sub(self.group.matches.len());
        let level = self.group.matches.level_of_all(&self.group.funnel);
        Ok(ScalarValue::Int32(Some(level)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.group.matches.reserve_groups(1)?;
        let lists = self.group.state(EmitTo::All)?;
        lists.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.group.matches.size()
    }
}
