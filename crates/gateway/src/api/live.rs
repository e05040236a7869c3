//! `GET /api/v1/realtime/stream`: the same every few seconds, as server-sent events. All listeners with one token to one
//! site share one query each time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::caller::Caller;
use super::realtime::RealtimeQuery;
use super::{Gateway, QueryString, query_string};
use crate::flight::Token;
use crate::problem::{self, Problem};

const PERIOD: Duration = Duration::from_secs(3);

/// Sites that are watched at the same time, each with a query of its own.
const MAX_FEEDS: usize = 512;

/// The newest answer; `None` before the first.
type Newest = Option<Result<Arc<str>, Problem>>;

type Feed = Arc<watch::Sender<Newest>>;

/// The sites that are listened to, by whose token.
#[derive(Debug, Clone, Default)]
pub(super) struct Feeds {
    running: Arc<Mutex<HashMap<(Token, String), Feed>>>,
    tasks: TaskTracker,
}

/// The same every three seconds, as server-sent events.
#[utoipa::path(
    get,
    path = "/api/v1/realtime/stream",
    params(RealtimeQuery),
    responses(
        (status = 200, description = "Events `realtime` and `problem`", body = super::realtime::Realtime, content_type = "text/event-stream"),
        (status = "4XX", description = "What is wrong, and where", body = problem::Body, content_type = "application/problem+json")
    )
)]
pub(super) async fn stream(
    State(gateway): State<Gateway>,
    Caller(token): Caller,
    query: QueryString<RealtimeQuery>,
) -> Result<Response, Problem> {
    let query = query_string(query)?;
    gateway.site(&token, &query.tracking_id).await?;
    let mut newest = gateway.feeds.listen(&gateway, token, query.tracking_id)?;
    // A token that may not, and the like, is a plain error.
    let first = newest.wait_for(Option::is_some).await.map(|first| first.clone());
    if let Ok(Some(Err(problem))) = first {
        return Err(problem);
    }
    newest.mark_changed();
    let stopped = gateway.parts.stop.clone().cancelled_owned();
    let events = events(newest).take_until(stopped);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

fn events(newest: watch::Receiver<Newest>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(newest, |mut newest| async {
        newest.changed().await.ok()?;
        let event = match newest.borrow_and_update().clone()? {
            Ok(body) => Event::default().event("realtime").data(body.as_ref()),
            Err(problem) => Event::default().event("problem").data(problem.body()),
        };
        Some((Ok(event), newest))
    })
}

impl Feeds {
    /// The site's feed, which is started for its first listener.
    fn listen(&self, gateway: &Gateway, token: Token, tracking_id: String) -> Result<watch::Receiver<Newest>, Problem> {
        let mut running = self.running.lock();
        let key = (token, tracking_id);
        if let Some(feed) = running.get(&key) {
            return Ok(feed.subscribe());
        }
        if running.len() >= MAX_FEEDS {
            return Err(Problem::unavailable(
                "too many sites are watched at the same time; try again",
            ));
        }
        let (feed, newest) = watch::channel(None);
        let feed = Arc::new(feed);
        running.insert(key.clone(), Arc::clone(&feed));
        let stopped = gateway.parts.stop.clone().cancelled_owned();
        let run = run(gateway.clone(), key, feed);
        self.tasks.spawn(async move {
            tokio::select! {
                () = run => {}
                () = stopped => {}
            }
        });
        Ok(newest)
    }

    /// Whether the feed was removed, for lack of listeners.
    fn remove_unheard(&self, key: &(Token, String), feed: &Feed) -> bool {
        let mut running = self.running.lock();
        let unheard = feed.receiver_count() == 0;
        if unheard {
            running.remove(key);
        }
        unheard
    }
}

/// Asks until nobody listens.
async fn run(gateway: Gateway, key: (Token, String), feed: Feed) {
    let (token, tracking_id) = &key;
    loop {
        let answer = gateway.newest.renewed(&gateway, token, tracking_id).await;
        let over = answer.as_ref().is_err_and(Problem::is_final);
        feed.send_replace(Some(answer));
        if over {
            gateway.feeds.running.lock().remove(&key);
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = feed.closed() => {}
        }
        if gateway.feeds.remove_unheard(&key, &feed) {
            return;
        }
    }
}
