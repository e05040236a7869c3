//! Ids of events, visitors and sessions: pure functions of an event's number, so that nothing has to be stored.

/// Visits that go on at the same time: their events come interleaved.
const SESSIONS_AT_ONCE: u64 = 4_096;

/// On average.
const EVENTS_PER_SESSION: u64 = 6;

/// Of the whole site; some of them come far more often than others.
const VISITORS: f64 = 1_000_000.0;

/// SplitMix64's finalizer (Steele, Lea, Flood 2014): different numbers become different numbers that look random.
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The events of one run, by number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence {
    seed: u64,
}

/// Who and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) event: [u64; 2],
    pub(crate) session: u64,
    /// A number that stands for the visitor's client id.
    pub(crate) visitor: u64,
}

impl Sequence {
    /// Runs with different seeds have different ids.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: mix(seed) }
    }

    pub(crate) fn identity(&self, number: u64) -> Identity {
        let session = {
            let block = number / (SESSIONS_AT_ONCE * EVENTS_PER_SESSION);
            let among = mix(number) % SESSIONS_AT_ONCE;
            mix(self.seed.wrapping_add(block * SESSIONS_AT_ONCE + among))
        };
        Identity {
            event: [
                mix(self.seed.wrapping_add(number)),
                mix(self.seed.rotate_left(32) ^ mix(number)),
            ],
            session,
            visitor: mix(visitor(session)),
        }
    }
}

/// One of the site's visitors, of the first more often than of the last.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a million"
)]
fn visitor(session: u64) -> u64 {
    let share = (mix(session) >> 11) as f64 / (1_u64 << 53) as f64;
    (share * share * VISITORS) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn event_ids_are_unique_across_runs() {
        let ids: HashSet<_> = [1, 2]
            .into_iter()
            .flat_map(|seed| (0..100_000).map(move |number| Sequence::new(seed).identity(number).event))
            .collect();
        assert_eq!(ids.len(), 200_000);
    }

    #[test]
    fn session_has_several_events_one_visitor() {
        let sequence = Sequence::new(7);
        let mut events: HashMap<u64, (u64, u32)> = HashMap::new();
        for number in 0..SESSIONS_AT_ONCE * EVENTS_PER_SESSION * 4 {
            let identity = sequence.identity(number);
            let (visitor, count) = events.entry(identity.session).or_insert((identity.visitor, 0));
            assert_eq!(*visitor, identity.visitor);
            *count += 1;
        }
        let sessions = u64::try_from(events.len()).unwrap();
        assert!(
            sessions > SESSIONS_AT_ONCE * 4 * 95 / 100 && sessions <= SESSIONS_AT_ONCE * 4,
            "{sessions}"
        );
    }
}
