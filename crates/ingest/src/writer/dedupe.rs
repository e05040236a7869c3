//! The window of recently seen event ids.

use std::time::Duration;

use footfall_model::clock::Micros;
use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// How long event ids are remembered, and how many of them.
///
/// Whichever limit is reached first applies. At `rate` new events per second an id is remembered for at least
/// `min(window, ids / 2 / rate)` and for at most twice as long: 6 hours below 42 events/s with the defaults, half a
/// minute at 30,000 events/s. A duplicate that comes later is stored, and dropped when its file is merged with the
/// first one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupeOptions {
    /// The shortest time an id is remembered, as long as `ids` suffices.
    pub window: Duration,
    /// Ids kept at most; each costs about 20 bytes. The newest half of them is always remembered.
    pub ids: usize,
}

impl Default for DedupeOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(6 * 3_600),
            // Two tables of 2^20 slots, which are full at seven eighths.
            ids: 1_835_008,
        }
    }
}

impl DedupeOptions {
    /// The window in the unit of the clock.
    pub(super) fn window_micros(&self) -> Micros {
        Micros::try_from(self.window.as_micros()).unwrap_or(Micros::MAX)
    }
}

/// The hash of a tracking id and an event id, so that no site can hide another's events. In halves, which take less
/// memory beside a time than one number of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventKey([u64; 2]);

impl EventKey {
    pub(crate) fn new(tracking_id: impl AsRef<[u8]>, event_id: impl AsRef<[u8]>) -> Self {
        let hash = xxh3_128_with_seed(event_id.as_ref(), xxh3_64(tracking_id.as_ref()));
        Self([hash as u64, (hash >> 64) as u64])
    }

    /// The key is a hash already: half of it is the hash in the table.
    pub(crate) fn index(self) -> u64 {
        self.0[0]
    }

    /// Which of `shares` equal parts of all keys it is in, from 0.
    pub(crate) fn share(self, shares: u64) -> u64 {
        self.0[1] % shares
    }
}

/// Whether ids are remembered as long as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coverage {
    Full,
    /// There are more ids than fit: they are forgotten after this time.
    Reduced(Duration),
}

/// Two generations of ids: the older one is forgotten when the younger one is full, or spans the window. So memory is
/// bounded and forgetting costs nothing.
#[derive(Debug)]
pub(crate) struct Window {
    half_ids: usize,
    window: Micros,
    young: HashTable<EventKey>,
    old: HashTable<EventKey>,
    /// When the first id of each generation was inserted.
    young_since: Micros,
    old_since: Micros,
    coverage: Coverage,
}

impl Window {
    pub(crate) fn new(options: &DedupeOptions, now: Micros) -> Self {
        Self {
            half_ids: (options.ids / 2).max(1),
            window: options.window_micros(),
            young: HashTable::new(),
            old: HashTable::new(),
            young_since: now,
            old_since: now,
            coverage: Coverage::Full,
        }
    }

    /// Remembers `key`, received at `now`; false if it was known.
    pub(crate) fn insert(&mut self, key: EventKey, now: Micros) -> bool {
        if self.young.len() >= self.half_ids || now.saturating_sub(self.young_since) >= self.window {
            self.rotate(now);
        }
        if self.old.find(key.index(), |known| *known == key).is_some() {
            return false;
        }
        match self
            .young
            .entry(key.index(), |known| *known == key, |known| known.index())
        {
            hashbrown::hash_table::Entry::Occupied(_) => return false,
            hashbrown::hash_table::Entry::Vacant(free) => free.insert(key),
        };
        if self.young.len() == 1 {
            self.young_since = now;
        }
        true
    }

    fn rotate(&mut self, now: Micros) {
        if !self.old.is_empty() {
            let kept = now.saturating_sub(self.young_since);
            self.coverage = match kept < self.window {
                true => Coverage::Reduced(duration(kept)),
                false => Coverage::Full,
            };
        }
        // The forgotten ids' memory is used again: growing a new table would copy each id twice.
        std::mem::swap(&mut self.old, &mut self.young);
        self.old_since = self.young_since;
        self.young.clear();
        self.young_since = now;
    }

    /// How many ids are remembered.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// The most ids that are remembered.
    pub(super) fn capacity(&self) -> usize {
        self.half_ids * 2
    }

    /// The age of the oldest remembered id: no id received since is forgotten.
    pub(super) fn age(&self, now: Micros) -> Duration {
        let since = match (self.old.is_empty(), self.young.is_empty()) {
            (false, _) => self.old_since,
            (true, false) => self.young_since,
            (true, true) => now,
        };
        duration(now.saturating_sub(since))
    }

    /// Whether the last forgotten ids had been remembered for the whole window.
    pub(super) fn coverage(&self) -> Coverage {
        self.coverage
    }
}

fn duration(micros: Micros) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(ids: usize) -> Window {
        let window = Duration::from_secs(10);
        Window::new(&DedupeOptions { window, ids }, 0)
    }

    fn key(id: usize) -> EventKey {
        EventKey::new("site", id.to_string())
    }

    #[test]
    fn window_accepts_id_once() {
        let mut seen = window(100);
        assert!(seen.insert(key(1), 0));
        assert!(!seen.insert(key(1), 1));
        assert!(seen.insert(key(2), 2));
    }

    #[test]
    fn event_key_differs_by_site() {
        let mut seen = window(100);
        assert!(seen.insert(EventKey::new("a", "1"), 0));
        assert!(seen.insert(EventKey::new("b", "1"), 0));
        assert!(seen.insert(EventKey::new("a1", ""), 0));
    }

    #[test]
    fn window_keeps_at_least_half_its_ids() {
        let mut seen = window(100);
        for id in 0..1_000 {
            assert!(seen.insert(key(id), 0));
            assert!(seen.len() <= 100);
            for recent in id.saturating_sub(49)..=id {
                assert!(!seen.insert(key(recent), 0), "{recent} was forgotten at {id}");
            }
        }
    }

    #[test]
    fn window_forgets_id_after_twice_its_length() {
        let mut seen = window(100);
        assert!(seen.insert(key(1), 0));
        assert!(seen.insert(key(2), 5_000_000));
        assert!(!seen.insert(key(1), 10_000_000));
        assert!(seen.insert(key(3), 10_000_000));
        assert!(!seen.insert(key(2), 15_000_000));
        assert!(seen.insert(key(1), 20_000_000));
    }

    #[test]
    fn window_age_is_of_oldest_id() {
        let mut seen = window(4);
        assert_eq!(seen.age(7_000_000), Duration::ZERO);
        for second in 1..=5 {
            assert!(seen.insert(key(second), second as Micros * 1_000_000));
        }
        assert_eq!(
            seen.age(5_000_000),
            Duration::from_secs(2),
            "3 and 4 are the older generation"
        );
    }

    #[test]
    fn coverage_shrinks_when_ids_overflow() {
        let mut seen = window(4);
        let mut coverage = |second: usize| {
            assert!(seen.insert(key(second), second as Micros * 1_000_000));
            seen.coverage()
        };
        assert!(
            (1..=4).all(|second| coverage(second) == Coverage::Full),
            "nothing is forgotten yet"
        );
        assert_eq!(coverage(5), Coverage::Reduced(Duration::from_secs(2)));
        assert_eq!(coverage(15), Coverage::Full, "5 was remembered for 10 s");
    }
}
