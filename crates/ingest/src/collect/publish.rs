//! From drafts to the WAL, for all protocols.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use footfall_catalog::CatalogError;
use footfall_model::field::EventField;
use footfall_model::hash::DedupeBy;
use footfall_model::proto::Event;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::Collector;
use super::access::{self, Credentials};
use super::draft::Draft;
use super::reject::{Cause, Reject};
use super::validate::{self, Receipt, Valid};
use crate::enrich::Sender;
use crate::rules::Changes;
use crate::wal::WalError;

/// The sender of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Caller<'a> {
    pub(super) sender: Sender<'a>,
    /// The secret of the bearer token, if there is one.
    pub(super) token: Option<&'a str>,
}

/// The result of a request's events.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Events that are durable.
    pub(super) accepted: usize,
    /// Rejected events, by index.
    pub(super) rejected: Vec<(usize, Reject)>,
    /// Accepted events of which the rules changed something, by index.
    pub(super) changed: Vec<(usize, Changes)>,
}

/// Why the server could not accept any event now. None is acknowledged; the client should retry.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the server cannot keep up; try again in {retry_after} s")]
    Overloaded { retry_after: u32 },
    #[error("the server cannot store events now; try again in {retry_after} s")]
    Log { retry_after: u32 },
    #[error("the server cannot look up sites now; try again in {retry_after} s")]
    Catalog { retry_after: u32 },
}

impl Refusal {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "overloaded",
            Self::Log { .. } => "log_unavailable",
            Self::Catalog { .. } => "catalog_unavailable",
        }
    }

    fn count(&self, events: usize) {
        metrics::counter!("footfall_ingest_events_rejected_total", "reason" => self.code()).increment(events as u64);
    }

    /// Seconds.
    pub(super) fn retry_after(&self) -> u32 {
        match self {
            Self::Overloaded { retry_after } | Self::Log { retry_after } | Self::Catalog { retry_after } => {
                *retry_after
            }
        }
    }
}

/// Seconds until a retry: disks and databases don't recover at once.
const RETRY_AFTER_FAULT: u32 = 5;

impl From<WalError> for Refusal {
    fn from(error: WalError) -> Self {
        if let WalError::Overloaded { retry_after_seconds } = error {
            return Self::Overloaded {
                retry_after: retry_after_seconds.max(1),
            };
        }
        // The client gets only the failure; paths are only logged.
        tracing::error!(%error, "events were not stored");
        Self::Log {
            retry_after: RETRY_AFTER_FAULT,
        }
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        tracing::error!(%error, "a site or a token could not be looked up");
        Self::Catalog {
            retry_after: RETRY_AFTER_FAULT,
        }
    }
}

/// A request's events, ready to be stored.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The outcome once `record` is durable.
    outcome: Outcome,
    /// `None`: there is nothing to store.
    record: Option<Bytes>,
}

impl Prepared {
    pub(super) fn rejected(&self) -> &[(usize, Reject)] {
        &self.outcome.rejected
    }
}

impl Collector {
    /// Stores a request's valid events as one WAL record. They are durable when it returns.
    pub(super) async fn publish(
        &self,
        drafts: Vec<Result<Draft, Reject>>,
        caller: Caller<'_>,
    ) -> Result<Outcome, Refusal> {
        let prepared = self.prepare(drafts, caller).await?;
        self.store(prepared).await
    }

    /// Validates a request's events and enriches the valid ones.
    pub(super) async fn prepare(
        &self,
        drafts: Vec<Result<Draft, Reject>>,
        caller: Caller<'_>,
    ) -> Result<Prepared, Refusal> {
        let sent = drafts.len();
        let prepared = self.try_prepare(drafts, caller).await;
        prepared.inspect_err(|refusal| refusal.count(sent))
    }

    /// Makes prepared events durable. The WAL's order is the order in which the futures were first polled.
    pub(super) async fn store(&self, prepared: Prepared) -> Result<Outcome, Refusal> {
        let Prepared { outcome, record } = prepared;
        if let Some(record) = record
            && let Err(error) = self.parts.log.append(record).await
        {
            let refusal = Refusal::from(error);
            refusal.count(outcome.accepted + outcome.rejected.len());
            return Err(refusal);
        }
        outcome.count();
        Ok(outcome)
    }

    async fn try_prepare(&self, drafts: Vec<Result<Draft, Reject>>, caller: Caller<'_>) -> Result<Prepared, Refusal> {
        let at = self.parts.clock.now();
        let first = self.received.fetch_add(drafts.len() as u64, Ordering::Relaxed);
        let mut outcome = Outcome::default();
        let mut valid = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts.into_iter().enumerate() {
            let ordinal = first.wrapping_add(index as u64);
            match draft.and_then(|draft| validate::check(draft, &self.options, Receipt { at, ordinal })) {
                Ok(event) => valid.push((index, event)),
                Err(reject) => outcome.rejected.push((index, reject)),
            }
        }
        let sites = BySite::of(valid.iter().map(|(_, valid)| valid.event.tracking_id.as_str()));
        let verdicts = self.admit(&sites, caller.token).await?;
        let mut events = Vec::with_capacity(valid.len());
        let mut sender = None;
        for ((index, mut valid), site) in valid.into_iter().zip(sites.of_event) {
            match verdicts.get(site) {
                Some(Ok(dedupe_by)) => valid.identify(*dedupe_by),
                Some(Err(reject)) => {
                    outcome.rejected.push((index, reject.clone()));
                    continue;
                }
                None => continue,
            }
            let Valid { mut event, changes, .. } = valid;
            sender
                .get_or_insert_with(|| self.parts.enricher.sender(caller.sender))
                .enrich(&mut event);
            events.push(event);
            if !changes.is_empty() {
                outcome.changed.push((index, changes));
            }
        }
        outcome.rejected.sort_unstable_by_key(|(index, _)| *index);
        outcome.accepted = events.len();
        let record = (!events.is_empty()).then(|| encode(&events));
        Ok(Prepared { outcome, record })
    }

    /// One verdict per site: all of its events in the request are accepted, or none. With it comes what tells its events
    /// apart.
    async fn admit(&self, sites: &BySite, token: Option<&str>) -> Result<Vec<Result<DedupeBy, Reject>>, Refusal> {
        let mut credentials = None;
        let mut verdicts = Vec::with_capacity(sites.names.len());
        for (tracking_id, events) in &sites.names {
            let site = self.parts.directory.site(tracking_id).await?;
            if credentials.is_none() && site.as_ref().is_some_and(|site| site.writer_token_required) {
                credentials = Some(self.credentials(token).await?);
            }
            let shown = credentials.as_ref().unwrap_or(&Credentials::None);
            let verdict = access::check(tracking_id, site.as_deref(), shown).and_then(|()| {
                let rate = self.options.events_per_second;
                self.rates.take(tracking_id, *events).map_err(|seconds| {
                    let reason = format!("rate: more than {rate} events/s for this site; try again in {seconds} s");
                    Reject::new(Cause::Rate, EventField::TrackingId, reason).retry_after(seconds)
                })
            });
            let dedupe_by = site.as_ref().and_then(|site| site.dedupe_by);
            verdicts.push(verdict.map(|()| dedupe_by.unwrap_or(self.options.dedupe_by)));
        }
        Ok(verdicts)
    }

    /// Looks up the owner of a token.
    pub(super) async fn credentials(&self, token: Option<&str>) -> Result<Credentials, Refusal> {
        let Some(secret) = token else {
            return Ok(Credentials::None);
        };
        let principal = self.parts.directory.principal(secret).await?;
        Ok(principal.map_or(Credentials::Unknown, Credentials::Known))
    }
}

impl Outcome {
    fn count(&self) {
        metrics::counter!("footfall_ingest_events_accepted_total").increment(self.accepted as u64);
        for (_, reject) in &self.rejected {
            metrics::counter!("footfall_ingest_events_rejected_total", "reason" => reject.cause.code()).increment(1);
        }
        for (_, changes) in &self.changed {
            changes.count();
        }
    }
}

/// Encodes the events as an [`EventBatch`](footfall_model::proto::EventBatch). Prost's own encoder computes each
/// event's length twice.
fn encode(events: &[Box<Event>]) -> Bytes {
    const EVENTS: u32 = 1;
    let lengths: Vec<usize> = events.iter().map(Message::encoded_len).collect();
    let overhead = |length: &usize| key_len(EVENTS) + encoded_len_varint(*length as u64);
    let bytes = lengths.iter().map(|length| overhead(length) + length).sum();
    let mut batch = Vec::with_capacity(bytes);
    for (event, length) in events.iter().zip(lengths) {
        encode_key(EVENTS, WireType::LengthDelimited, &mut batch);
        encode_varint(length as u64, &mut batch);
        event.encode_raw(&mut batch);
    }
    batch.into()
}

/// A request's events by site, of which there is nearly always one.
struct BySite {
    /// Tracking ids, with the number of their events.
    names: Vec<(String, usize)>,
    /// For each event, the index of its site in `names`.
    of_event: Vec<usize>,
}

impl BySite {
    /// By the tracking id of each event.
    fn of<'a>(tracking_ids: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let mut names: Vec<(String, usize)> = Vec::new();
        let mut indices: HashMap<&str, usize> = HashMap::new();
        let mut of_event = Vec::with_capacity(tracking_ids.len());
        let mut last = usize::MAX;
        for name in tracking_ids {
            if names.get(last).is_none_or(|(last, _)| last != name) {
                last = *indices.entry(name).or_insert_with(|| {
                    names.push((name.to_owned(), 0));
                    names.len() - 1
                });
            }
            if let Some((_, count)) = names.get_mut(last) {
                *count += 1;
            }
            of_event.push(last);
        }
        Self { names, of_event }
    }
}

#[cfg(test)]
mod tests {
    use footfall_model::proto::EventBatch;

    use super::*;

    #[test]
    fn encoded_record_equals_prost() {
        let event = |title: usize| Event {
            tracking_id: "site".into(),
            page_title: Some("x".repeat(title)),
            ..Event::default()
        };
        for titles in [vec![], vec![0], vec![1, 100, 200, 20_000]] {
            let events: Vec<Event> = titles.into_iter().map(event).collect();
            let boxed: Vec<Box<Event>> = events.iter().cloned().map(Box::new).collect();
            let record = encode(&boxed);
            assert_eq!(record, EventBatch { events }.encode_to_vec());
        }
    }
}
