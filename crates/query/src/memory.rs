//! Memory that all statements share, so that none of them can use all of it.
//!
//! A statement may use two thirds of what the others leave: alone, two thirds of the total; beside a large one, two
//! thirds of the last third; and so on. However much large statements hold, a short one still finds what it needs.
//! Within a statement consumers that can spill share what the others leave: half of an equal share is kept for each of them
//! and for those that can't spill, and the rest is for who comes first. DataFusion's `FairSpillPool` keeps the whole share, also
//! for the many operators of a plan that hold next to nothing; so a large group-by beside seven of these spills with most of
//! the memory free.
//!
//! A consumer that spills writes everything that it holds in one step that can't be interrupted. So it may hold only as
//! much as can be sorted and written in a moment.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use parking_lot::Mutex;

const MIB: usize = 1024 * 1024;

/// Maximum memory of an operator that spills.
const MAX_SPILLABLE: usize = 128 * MIB;

/// Maximum memory of a sort: it compares and merges what it spills row by row.
const MAX_SORTED: usize = 32 * MIB;

/// An equal share that is smaller is kept as a whole: with less, operators can't even merge what they have spilled.
const MIN_SHARE: usize = 8 * MIB;

/// The name of a sort's consumer in DataFusion.
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

    /// The share of one statement.
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

/// How much a statement may use in total if others use `others` of `total`.
fn limit(total: usize, others: usize) -> usize {
    total.saturating_sub(others) / 3 * 2
}

/// How much one consumer may use, however much is free.
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
    /// How much a consumer that has `size` may use in total, if its statement may use `limit`.
    fn available(&self, limit: usize, size: usize, can_spill: bool) -> usize {
        if can_spill {
            let limit = limit.saturating_sub(self.unspillable);
            let consumers = self.spilling.max(1);
            let share = limit / consumers;
            let kept = (share / 2).max(share.min(MIN_SHARE));
            let others = self.spillable.saturating_sub(size);
            let keepers = if kept > MIN_SHARE { consumers } else { consumers - 1 };
            limit.saturating_sub(others + keepers * kept).max(kept)
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
    /// Memory that a consumer did not give back must not be missing for ever.
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

    fn spilling<const N: usize>(pool: &Arc<dyn MemoryPool>) -> [MemoryReservation; N] {
        [0; N].map(|_| MemoryConsumer::new("group").with_can_spill(true).register(pool))
    }

    #[test]
    fn spilling_consumers_share_the_remainder() {
        let shared = SharedMemory::new(9 * MIB);
        let pool = shared.statement();
        let fixed = consumer(&pool);
        fixed.try_grow(2 * MIB).unwrap();
        let spilling = spilling::<2>(&pool);
        assert!(spilling[0].try_grow(2 * MIB + 1).is_err());
        spilling[0].try_grow(2 * MIB).unwrap();
        spilling[1].try_grow(2 * MIB).unwrap();
        assert!(fixed.try_grow(1).is_err());
    }

    #[test]
    fn half_of_a_large_share_is_for_those_that_come_first() {
        let shared = SharedMemory::new(240 * MIB);
        let pool = shared.statement();
        let spilling = spilling::<8>(&pool);
        assert!(spilling[0].try_grow(81 * MIB).is_err());
        spilling[0].try_grow(60 * MIB).unwrap();
        assert!(spilling[1].try_grow(21 * MIB).is_err());
        spilling[1].try_grow(20 * MIB).unwrap();
        // However late they come.
        for late in &spilling[2..] {
            late.try_grow(10 * MIB).unwrap();
            assert!(late.try_grow(MIB).is_err());
        }
        let fixed = consumer(&pool);
        fixed.try_grow(20 * MIB).unwrap();
        assert!(fixed.try_grow(1).is_err());
    }
}
