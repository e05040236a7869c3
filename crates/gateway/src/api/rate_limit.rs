//! A limit of requests by token, checked before any work. A token may send a burst at once, and then so many a second
//! (GCRA). Requests without a token are refused cheaply anyway, and not counted.

use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use footfall_model::clock::Micros;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use super::caller::token;
use super::{Gateway, with_body};
use crate::RateLimit;
use crate::flight::Token;
use crate::problem::Problem;

const SECOND: Micros = 1_000_000;

/// Tokens that are remembered, at about 32 bytes each. Of more, those that have sent least are forgotten: hostile numbers
/// of tokens gain nobody more than a burst, and cost no other token anything.
const MAX_TOKENS: usize = 1 << 16;

/// For each token that has sent something lately, when it will have its whole burst again.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<u128, Micros>>);

/// When the token has its whole burst again after one more request, or how long it has to wait for that.
fn admit(limit: RateLimit, known: Option<Micros>, now: Micros) -> Result<Micros, Micros> {
    let each = SECOND / Micros::from(limit.per_second.max(1));
    let burst = each * Micros::from(limit.burst.max(1));
    // Further away than any request has put it: the clock was set back.
    let restored = known.filter(|at| (now..=now + burst).contains(at)).unwrap_or(now);
    let after = restored + each;
    let wait = after - now - burst;
    if wait > 0 { Err(wait) } else { Ok(after) }
}

impl Tokens {
    fn admit(&self, limit: RateLimit, token: &Token, now: Micros) -> Result<(), Micros> {
        let mut known = self.0.lock();
        let key = xxh3_128(token.expose().as_bytes());
        let restored = admit(limit, known.get(&key).copied(), now)?;
        if known.len() >= MAX_TOKENS && !known.contains_key(&key) {
            forget(&mut known, now);
        }
        known.insert(key, restored);
        Ok(())
    }
}

/// Forgets tokens that have their whole burst, which is as if they were not known, and at least half of all.
fn forget(known: &mut HashMap<u128, Micros>, now: Micros) {
    known.retain(|_, restored| *restored > now);
    if known.len() > MAX_TOKENS / 2 {
        let mut times: Vec<Micros> = known.values().copied().collect();
        let (.., median, _) = times.select_nth_unstable(known.len() / 2);
        let median = *median;
        known.retain(|_, restored| *restored > median);
    }
}

pub(super) async fn limit(State(gateway): State<Gateway>, request: Request, next: Next) -> Result<Response, Problem> {
    let limit = gateway.parts.rate_limit;
    if limit.per_second > 0
        && let Some(token) = token(request.headers())
    {
        let admitted = gateway.tokens.admit(limit, &token, gateway.parts.clock.now());
        if admitted.is_err() {
            metrics::counter!("footfall_gateway_rate_limited_total").increment(1);
            // A connection whose body is left unread can't be used again.
            with_body(request).await?;
            return Err(Problem::too_many_requests(limit.per_second));
        }
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        per_second: 10,
        burst: 5,
    };

    #[test]
    fn burst_is_admitted_and_then_the_rate() {
        let mut known = None;
        for _ in 0..5 {
            known = Some(admit(LIMIT, known, 0).unwrap());
        }
        assert_eq!(admit(LIMIT, known, 0), Err(SECOND / 10));
        assert_eq!(admit(LIMIT, known, SECOND / 20), Err(SECOND / 20));
        known = Some(admit(LIMIT, known, SECOND / 10).unwrap());
        assert!(admit(LIMIT, known, SECOND / 10).is_err());
        let admitted = |known: &mut Option<Micros>, now| match admit(LIMIT, *known, now) {
            Ok(after) => known.replace(after).is_some(),
            Err(_) => false,
        };
        let minute = (0..60_000)
            .filter(|ms| admitted(&mut known, SECOND + ms * 1_000))
            .count();
        assert!((600..=605).contains(&minute), "{minute}");
    }

    #[test]
    fn clock_that_goes_back_locks_nobody_out() {
        let known = (0..5).fold(None, |known, _| admit(LIMIT, known, 1_000 * SECOND).ok());
        assert!(admit(LIMIT, known, 0).is_ok());
    }

    #[test]
    fn tokens_are_limited_each_by_itself_in_bounded_memory() {
        let tokens = Tokens::default();
        let heavy = Token::new("heavy");
        for _ in 0..5 {
            tokens.admit(LIMIT, &heavy, 0).unwrap();
        }
        for number in 0..3 * MAX_TOKENS {
            tokens.admit(LIMIT, &Token::new(&number.to_string()), 0).unwrap();
            assert!(tokens.0.lock().len() <= MAX_TOKENS);
        }
        assert!(tokens.admit(LIMIT, &heavy, 0).is_err(), "it was not forgotten");
    }
}
