//! The window of event ids that were lately seen.

use std::time::Duration;

use footfall_model::clock::Micros;
use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// How much the window remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupeOptions {
    /// How long an id is remembered at least, unless there are too many.
    pub window: Duration,
    /// Ids kept at most; each costs about 20 bytes.
    pub ids: usize,
}

impl Default for DedupeOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(6 * 3_600),
            // Two tables of 2^20 places, which are full at seven eighths.
            ids: 1_835_008,
        }
    }
}

/// Who sent what: the hash of a tracking id and an event id, so that no site can hide another's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventKey(u128);

impl EventKey {
    pub(crate) fn new(tracking_id: impl AsRef<[u8]>, event_id: impl AsRef<[u8]>) -> Self {
        Self(xxh3_128_with_seed(event_id.as_ref(), xxh3_64(tracking_id.as_ref())))
    }

    /// The key is a hash already: half of it places it in the table.
    fn index(self) -> u64 {
        self.0 as u64
    }
}

/// Two generations of ids: the older one is forgotten when the younger one is full or old, so that memory is bounded
/// and forgetting costs nothing.
#[derive(Debug)]
pub(crate) struct Window {
    half_ids: usize,
    half_window: Micros,
    young: HashTable<EventKey>,
    old: HashTable<EventKey>,
    young_since: Micros,
}

impl Window {
    pub(crate) fn new(options: &DedupeOptions, now: Micros) -> Self {
        Self {
            half_ids: (options.ids / 2).max(1),
            half_window: Micros::try_from(options.window.as_micros() / 2).unwrap_or(Micros::MAX),
            young: HashTable::new(),
            old: HashTable::new(),
            young_since: now,
        }
    }

    /// Remembers `key`; false if it was there.
    pub(crate) fn insert(&mut self, key: EventKey, now: Micros) -> bool {
        if self.young.len() >= self.half_ids || now.saturating_sub(self.young_since) >= self.half_window {
            // The forgotten ones' memory is used again: to grow anew would copy each id twice.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
            self.young_since = now;
        }
        if self.old.find(key.index(), |known| *known == key).is_some() {
            return false;
        }
        match self
            .young
            .entry(key.index(), |known| *known == key, |known| known.index())
        {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(key);
                true
            }
        }
    }

    /// How many ids are remembered.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
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
    fn an_id_is_new_once() {
        let mut seen = window(100);
        assert!(seen.insert(key(1), 0));
        assert!(!seen.insert(key(1), 1));
        assert!(seen.insert(key(2), 2));
    }

    #[test]
    fn another_site_may_use_the_same_id() {
        let mut seen = window(100);
        assert!(seen.insert(EventKey::new("a", "1"), 0));
        assert!(seen.insert(EventKey::new("b", "1"), 0));
        assert!(seen.insert(EventKey::new("a1", ""), 0));
    }

    #[test]
    fn the_last_half_of_the_ids_is_always_remembered_and_never_more_than_all() {
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
    fn an_id_is_remembered_for_half_the_window_at_least_and_forgotten_after_all_of_it() {
        let mut seen = window(100);
        assert!(seen.insert(key(1), 0));
        assert!(seen.insert(key(2), 5_000_000));
        assert!(!seen.insert(key(1), 9_000_000));
        assert!(seen.insert(key(3), 10_000_000));
        assert!(seen.insert(key(1), 10_000_000));
    }
}
