//! The sessions of events that are all at hand.

use footfall_model::clock::{DAY, Micros};

use crate::{GAP, MAX_DURATION};

/// The sessions of one visitor's events, which are in the order of time. None is empty; together they are all events.
pub fn split<T>(events: &[T], time: impl Fn(&T) -> Micros) -> Vec<&[T]> {
    let gap = |one: &T, next: &T| time(next).saturating_sub(time(one));
    let day = |event: &T| time(event).div_euclid(DAY);
    let mut sessions = Vec::new();
    for chain in events.chunk_by(|one, next| gap(one, next) < GAP) {
        match chain {
            [first, .., last] if gap(first, last) > MAX_DURATION => {
                sessions.extend(chain.chunk_by(|one, next| day(one) == day(next)));
            }
            _ => sessions.push(chain),
        }
    }
    sessions
}
