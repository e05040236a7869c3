//! The newest answer about each site's last minutes, shared by all that ask with one token.
//!
//! A question that takes a site's events of five minutes to answer must not be computed for each one that asks. An answer
//! is given again for a second, or for three times as long as it took up to four seconds: however many ask, a site is asked
//! about one at a time, and a quarter of the time unless an answer takes longer than 1.3 s. After that the next one to ask gets it once more, and a new one is computed meanwhile; nobody waits
//! but for the first answer and for one that would be too old.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Gateway;
use crate::flight::Token;
use crate::problem::Problem;

/// Sites whose answers are kept, each for one token.
const MAX_SITES: u64 = 512;

/// For how long an answer that nobody asks for is kept.
const IDLE: Duration = Duration::from_secs(60);

/// An answer is given again at least for so long, and at most.
const FRESH_AT_LEAST: Duration = Duration::from_secs(1);
const FRESH_AT_MOST: Duration = Duration::from_secs(4);

/// An older answer is given to nobody.
const OLDEST: Duration = Duration::from_secs(8);

/// One that took less is waited for.
const QUICK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
struct Answer {
    body: Arc<str>,
    /// When it was asked.
    asked: Instant,
    took: Duration,
}

/// What may be done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is new enough.
    Again,
    /// It is given once more while a new one is computed.
    WhileRefreshed,
    Never,
}

impl Use {
    /// Of an answer that was asked `age` ago.
    fn of(age: Duration, took: Duration) -> Self {
        let fresh = (3 * took).clamp(FRESH_AT_LEAST, FRESH_AT_MOST);
        match age {
            age if age <= fresh => Self::Again,
            age if age <= OLDEST && took > QUICK => Self::WhileRefreshed,
            _ => Self::Never,
        }
    }
}

#[derive(Debug, Default)]
struct Site {
    newest: Mutex<Option<Answer>>,
    /// Held while an answer is computed.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Site {
    fn usable(&self) -> Option<(Answer, Use)> {
        let answer = self.newest.lock().clone()?;
        let used = Use::of(answer.asked.elapsed(), answer.took);
        (used != Use::Never).then_some((answer, used))
    }

    /// The caller has its turn.
    async fn ask(&self, gateway: &Gateway, token: &Token, tracking_id: &str) -> Result<Arc<str>, Problem> {
        let asked = Instant::now();
        let body: Arc<str> = gateway.realtime(token, tracking_id).await?.into();
        let answer = Answer {
            body: Arc::clone(&body),
            asked,
            took: asked.elapsed(),
        };
        *self.newest.lock() = Some(answer);
        Ok(body)
    }
}

/// The newest answers.
#[derive(Debug, Clone)]
pub(super) struct NewestAnswers {
    sites: Cache<(Token, String), Arc<Site>>,
}

impl Default for NewestAnswers {
    fn default() -> Self {
        let sites = Cache::builder().max_capacity(MAX_SITES).time_to_idle(IDLE).build();
        Self { sites }
    }
}

impl NewestAnswers {
    /// An answer that is a few seconds old at most.
    pub(super) async fn get(&self, gateway: &Gateway, token: &Token, tracking_id: &str) -> Result<Arc<str>, Problem> {
        let site = self.site(token, tracking_id);
        match site.usable() {
            Some((answer, Use::Again)) => return Ok(answer.body),
            Some((answer, _)) => {
                refresh(site, gateway.clone(), token.clone(), tracking_id.to_owned());
                return Ok(answer.body);
            }
            None => {}
        }
        let _turn = site.turn.lock().await;
        match site.usable() {
            Some((answer, _)) => Ok(answer.body),
            None => site.ask(gateway, token, tracking_id).await,
        }
    }

    /// A new answer.
    pub(super) async fn renewed(
        &self,
        gateway: &Gateway,
        token: &Token,
        tracking_id: &str,
    ) -> Result<Arc<str>, Problem> {
        let site = self.site(token, tracking_id);
        let _turn = site.turn.lock().await;
        site.ask(gateway, token, tracking_id).await
    }

    fn site(&self, token: &Token, tracking_id: &str) -> Arc<Site> {
        self.sites
            .get_with((token.clone(), tracking_id.to_owned()), Arc::<Site>::default)
    }
}

/// Computes a new answer, unless that is under way.
fn refresh(site: Arc<Site>, gateway: Gateway, token: Token, tracking_id: String) {
    let Ok(turn) = Arc::clone(&site.turn).try_lock_owned() else {
        return;
    };
    let stopped = gateway.parts.stop.clone().cancelled_owned();
    tokio::spawn(async move {
        let _turn = turn;
        tokio::select! {
            // Who asks when the old answer is too old gets the problem.
            _ = site.ask(&gateway, &token, &tracking_id) => {}
            () = stopped => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_used_by_its_age_and_cost() {
        let of = |age, took| Use::of(Duration::from_millis(age), Duration::from_millis(took));
        for (age, took, expected) in [
            (0, 5, Use::Again),
            (1_000, 5, Use::Again),
            (1_001, 5, Use::Never),
            (1_001, 21, Use::WhileRefreshed),
            (2_700, 900, Use::Again),
            (2_701, 900, Use::WhileRefreshed),
            (4_001, 9_000, Use::WhileRefreshed),
            (8_000, 9_000, Use::WhileRefreshed),
            (8_001, 9_000, Use::Never),
        ] {
            assert_eq!(of(age, took), expected, "{age} ms old, took {took} ms");
        }
    }
}
