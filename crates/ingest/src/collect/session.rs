//! SessionTracker of events that came without one.
//!
//! An event belongs to its visitor's running session if it lies less than 30 minutes from the rest of it, else it
//! begins a new one. The rule goes by event time, so that a late batch is cut as it would have been live.

use footfall_model::clock::Micros;
use footfall_model::hash::client_hash;
use footfall_model::proto::Event;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::options::CollectOptions;
use super::time::micros;

/// The running session of a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Visit {
    /// What the session is named by: the time of the event that began it.
    named: Micros,
    first: Micros,
    last: Micros,
}

/// Running sessions, of so many visitors as memory was given for: the latest seen ones.
#[derive(Debug)]
pub(super) struct SessionTracker {
    visits: Cache<u64, Visit>,
    timeout: Micros,
    longest: Micros,
}

impl SessionTracker {
    pub(super) fn new(options: &CollectOptions) -> Self {
        Self {
            // By last use and not by frequency: a visitor who has just come must not be turned away.
            visits: Cache::builder()
                .max_capacity(options.session_visitors)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            timeout: micros(options.session_timeout),
            longest: micros(options.session_max),
        }
    }

    /// Gives the event a session if it has none: `{client_id}_{microseconds of its first event}`.
    pub(super) fn assign(&self, event: &mut Event) {
        if !event.session_id.is_empty() {
            return;
        }
        let time = event.event_timestamp;
        let mut named = time;
        let key = client_hash(&event.tracking_id, &event.client_id);
        self.visits.entry(key).and_upsert_with(|running| {
            let (session, kept) = index(running.map(moka::Entry::into_value), time, self.timeout, self.longest);
            named = session;
            kept
        });
        event.session_id = format!("{}_{named}", event.client_id);
    }
}

/// Which session an event of this time belongs to, and what to remember then.
fn index(running: Option<Visit>, time: Micros, timeout: Micros, longest: Micros) -> (Micros, Visit) {
    let fresh = Visit {
        named: time,
        first: time,
        last: time,
    };
    let Some(visit) = running else {
        return (time, fresh);
    };
    let grown = Visit {
        named: visit.named,
        first: visit.first.min(time),
        last: visit.last.max(time),
    };
    let near = time.saturating_sub(visit.last) < timeout && visit.first.saturating_sub(time) < timeout;
    if near && grown.last.saturating_sub(grown.first) < longest {
        (visit.named, grown)
    } else if time < visit.first {
        // Long before the running session: one of its own, and the running one goes on.
        (time, visit)
    } else {
        (time, fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = 60_000_000;

    /// The sessions of one visitor's events, at these minutes in this order.
    fn sessions(minutes: &[Micros]) -> Vec<Micros> {
        let mut running = None;
        minutes
            .iter()
            .map(|minute| {
                let (named, kept) = index(running, minute * MINUTE, 30 * MINUTE, 24 * 60 * MINUTE);
                running = Some(kept);
                named / MINUTE
            })
            .collect()
    }

    #[test]
    fn a_gap_of_thirty_minutes_begins_a_session() {
        assert_eq!(sessions(&[100, 129, 158, 187]), [100, 100, 100, 100]);
        assert_eq!(sessions(&[100, 130, 131]), [100, 130, 130]);
    }

    #[test]
    fn an_event_that_comes_late_joins_the_session_that_it_touches() {
        assert_eq!(sessions(&[100, 90, 65, 101]), [100, 100, 100, 100]);
    }

    #[test]
    fn an_event_of_long_ago_leaves_the_running_session_alone() {
        assert_eq!(sessions(&[100, 10, 101]), [100, 10, 100]);
    }

    #[test]
    fn no_session_lasts_a_day() {
        let all_day: Vec<Micros> = (0..=60).map(|n| n * 29).collect();
        let names = sessions(&all_day);
        assert_eq!(names[49], 0);
        assert_eq!(names[50], 50 * 29);
        assert_eq!(names[60], 50 * 29);
    }

    #[test]
    fn visitors_are_told_apart_by_site_and_client() {
        let sessions = SessionTracker::new(&CollectOptions::default());
        let id = |site: &str, client: &str, minute: Micros| {
            let mut event = Event {
                tracking_id: site.into(),
                client_id: client.into(),
                event_timestamp: minute * MINUTE,
                ..Event::default()
            };
            sessions.assign(&mut event);
            event.session_id
        };
        assert_eq!(id("a", "x", 1), "x_60000000");
        assert_eq!(id("a", "x", 2), "x_60000000");
        assert_eq!(id("b", "x", 2), "x_120000000");
        assert_eq!(id("a", "y", 2), "y_120000000");
    }
}
