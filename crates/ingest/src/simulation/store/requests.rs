//! The requests of an object store: faults, delays and replies.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{Put, SimStore, now, refused, timed_out};
use crate::simulation::fault_profile::{LATE, StoreFault};

/// A put in flight. If its sender is dropped, it may be lost too.
struct PendingPut<'a> {
    store: &'a SimStore,
    id: u64,
    effect_at: Option<u64>,
    may_vanish: bool,
}

impl Drop for PendingPut<'_> {
    fn drop(&mut self) {
        let mut state = self.store.state.lock();
        if let Some(effect_at) = self.effect_at
            && self.may_vanish
            && state.in_flight.contains_key(&(effect_at, self.id))
            && state.random.chance(50)
        {
            state.in_flight.remove(&(effect_at, self.id));
        }
        state.effects.remove(&self.id);
    }
}

impl SimStore {
    fn send(&self, effect_at: Option<u64>, at: &Path, payload: PutPayload, opts: PutOptions) -> PendingPut<'_> {
        let mut state = self.state.lock();
        state.sent += 1;
        let id = state.sent;
        if let Some(effect_at) = effect_at {
            let at = at.clone();
            state.in_flight.insert((effect_at, id), Put { id, at, payload, opts });
        }
        drop(state);
        PendingPut {
            store: self,
            id,
            effect_at,
            may_vanish: true,
        }
    }
}

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let moment = self.time.micros();
        let creates = opts.mode == PutMode::Create;
        if let Some(fault) = self.fault_in_standstill("put", at.as_ref()) {
            if fault == StoreFault::Refused {
                return Err(refused());
            }
            let effect = self.state.lock().apply(at, payload, opts, moment);
            return match fault {
                StoreFault::ReplyLost | StoreFault::Late => Err(timed_out()),
                StoreFault::RetriedByClient if creates => Err(exists(at)),
                _ => effect,
            };
        }
        let (fault, there, back) = self.draw_put(at);
        self.trace.note(format_args!("{moment} put {at}: {fault:?}"));
        let (effect_at, answer_at) = match fault {
            StoreFault::Refused => (None, moment + there),
            StoreFault::Late => {
                let delay = self.state.lock().random.below(LATE);
                (Some(moment + there + delay), moment + there)
            }
            _ => (Some(moment + there), moment + there + back),
        };
        let mut pending = self.send(effect_at, at, payload, opts);
        self.time.sleep_until(answer_at).await;
        self.settle();
        pending.may_vanish = false;
        let effect = self.state.lock().effects.remove(&pending.id);
        match (fault, effect) {
            (StoreFault::Refused, _) => Err(refused()),
            (StoreFault::ReplyLost | StoreFault::Late, _) | (_, None) => Err(timed_out()),
            (StoreFault::RetriedByClient, Some(_)) if creates => Err(exists(at)),
            (_, Some(effect)) => effect,
        }
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = Arc::clone(&self.state.lock().inner);
        inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fault_in_standstill("get", at.as_ref()) {
            Some(StoreFault::Fine) => {}
            Some(_) => return Err(refused()),
            None => {
                let (fault, there, back) = self.draw();
                self.time.sleep_until(self.time.micros() + there + back).await;
                self.settle();
                if fault != StoreFault::Fine {
                    return Err(refused());
                }
            }
        }
        let inner = Arc::clone(&self.state.lock().inner);
        let mut found = inner.get_opts(at, options).await?;
        found.meta = self.aged(found.meta);
        Ok(found)
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.state.lock().inner.delete_stream(at)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self
            .fault_in_standstill("list", "")
            .is_some_and(|fault| fault != StoreFault::Fine)
        {
            return futures::stream::iter([Err(refused())]).boxed();
        }
        let hidden = self.hidden();
        let listed: Vec<_> = now(self.state.lock().inner.list(prefix).collect());
        let shown = listed.into_iter().filter_map(Result::ok);
        let shown: Vec<_> = shown
            .filter(|meta| !hidden.contains(&meta.location))
            .map(|meta| Ok(self.aged(meta)))
            .collect();
        futures::stream::iter(shown).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let inner = Arc::clone(&self.state.lock().inner);
        inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let inner = Arc::clone(&self.state.lock().inner);
        inner.copy_opts(from, to, options).await
    }
}

fn exists(at: &Path) -> Error {
    Error::AlreadyExists {
        path: at.to_string(),
        source: "it is there".into(),
    }
}
