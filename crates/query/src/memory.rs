//! Memory that all statements share, so that none of them can take it all.
//!
//! A statement may use two thirds of what the others leave: alone, two thirds of the whole; beside a large one, two
//! thirds of the last third; and so on. However much large statements hold, a short one still finds what it needs.
//! Within a statement the rule is DataFusion's `FairSpillPool`'s: what can spill shares what the rest leaves.
//!
//! A consumer that spills writes all that it holds in one step that can't be interrupted. So it may hold only as much
//! as takes a moment to sort and to write.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

const MIB: usize = 1024 * 1024;

/// What an operator that spills may hold.
const MAX_SPILLABLE: usize = 64 * MIB;

/// What a sort may hold: it compares and merges row by row what it spills.
const MAX_SORTED: usize = 32 * MIB;

/// DataFusion's name for the memory of a sort.
const SORT: &str = "ExternalSorter";

/// The memory of all statements, bytes.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    total: usize,
    used: Mutex<usize>,
}

impl SharedMemory {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            used: Mutex::new(0),
        })
    }

    /// One statement's part of it.
    pub(crate) fn statement(self: &Arc<Self>) -> Arc<dyn MemoryPool> {
        Arc::new(StatementMemory {
            shared: Arc::clone(self),
            state: Mutex::default(),
        })
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        *self.used.lock()
    }
}

/// What a statement may use in all, if others use `others` of `total`.
fn limit(total: usize, others: usize) -> usize {
    total.saturating_sub(others) / 3 * 2
}

/// What one consumer may have, however much there is.
fn most(consumer: &MemoryConsumer) -> usize {
    match consumer.can_spill() {
        true if consumer.name().starts_with(SORT) => MAX_SORTED,
        true => MAX_SPILLABLE,
        false => usize::MAX,
    }
}

#[derive(Debug, Default)]
struct Usage {
    /// Consumers that can spill.
    spilling: usize,
    spillable: usize,
    unspillable: usize,
}

impl Usage {
    /// How much a consumer that has `size` may have in all, if its statement may have `limit`.
    fn available(&self, limit: usize, size: usize, can_spill: bool) -> usize {
        if can_spill {
            limit.saturating_sub(self.unspillable) / self.spilling.max(1)
        } else {
            limit.saturating_sub(self.unspillable + self.spillable) + size
        }
    }

    fn of(&mut self, can_spill: bool) -> &mut usize {
        if can_spill {
            &mut self.spillable
        } else {
            &mut self.unspillable
        }
    }
}

#[derive(Debug)]
struct StatementMemory {
    shared: Arc<SharedMemory>,
    state: Mutex<Usage>,
}

impl MemoryPool for StatementMemory {
    fn name(&self) -> &'static str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.state.lock().spilling += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut state = self.state.lock();
            state.spilling = state.spilling.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.state.lock().of(reservation.consumer().can_spill()) += additional;
        *self.shared.used.lock() += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        *self.state.lock().of(reservation.consumer().can_spill()) -= shrink;
        *self.shared.used.lock() -= shrink;
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let can_spill = reservation.consumer().can_spill();
        let mut state = self.state.lock();
        let mut used = self.shared.used.lock();
        let others = used.saturating_sub(state.spillable + state.unspillable);
        let limit = limit(self.shared.total, others);
        let available = state
            .available(limit, reservation.size(), can_spill)
            .min(most(reservation.consumer()));
        if reservation.size().saturating_add(additional) > available {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} has {} bytes and wants {additional} more; {available} are available to it",
                reservation.consumer().name(),
                reservation.size(),
            )));
        }
        *state.of(can_spill) += additional;
        *used += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        let state = self.state.lock();
        state.spillable + state.unspillable
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(limit(self.shared.total, 0))
    }
}

impl Drop for StatementMemory {
    /// What a consumer forgot to give back must not be missing for ever.
    fn drop(&mut self) {
        let left = self.state.get_mut();
        let left = left.spillable + left.unspillable;
        *self.shared.used.lock() -= left;
    }
}

impl fmt::Display for StatementMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement({} of {} bytes)", self.reserved(), self.shared.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
        MemoryConsumer::new("test").register(pool)
    }

    #[test]
    fn statement_gets_two_thirds_of_what_others_leave() {
        let shared = SharedMemory::new(900);
        let pools = [shared.statement(), shared.statement(), shared.statement()];
        let held = pools.each_ref().map(consumer);
        for (reservation, limit) in held.iter().zip([600, 200, 66]) {
            assert!(reservation.try_grow(limit + 1).is_err());
            reservation.try_grow(limit).unwrap();
        }
        drop((held, pools));
        assert_eq!(shared.used(), 0);
    }

    #[test]
    fn spilling_consumers_share_the_remainder() {
        let shared = SharedMemory::new(900);
        let pool = shared.statement();
        let fixed = consumer(&pool);
        fixed.try_grow(200).unwrap();
        let spilling = [0, 1].map(|_| MemoryConsumer::new("sort").with_can_spill(true).register(&pool));
        assert!(spilling[0].try_grow(201).is_err());
        spilling[0].try_grow(200).unwrap();
        spilling[1].try_grow(200).unwrap();
        assert!(fixed.try_grow(1).is_err());
    }
}
