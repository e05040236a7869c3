//! An object store that answers late, wrongly or not at all, but never tears an object.
//!
//! A put takes effect at one moment and is answered at another; what lies between is where things go wrong:
//!
//! ```text
//! sent ──> effect ──> answer        fine
//! sent ──────────────> error        refused (503)
//! sent ──> effect ──> error         the answer was lost
//! sent ──> effect ──> "is there"    the answer was lost, and the client's library asked again
//! sent ──> error ... effect         timed out, took effect later
//! ```
//!
//! The sender may die at any moment; a request on its way may still take effect. While a table is being opened, in
//! threads whose order nobody knows, the faults follow from the seed and the object's name instead of a sequence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use footfall_model::clock::{Clock, SystemClock};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::executor::Time;
use super::fault_profile::{FaultProfile, LATE, StoreFault};
use super::outcome::{actions, path_of};
use super::random::Random;
use super::trace::Trace;

#[derive(Debug)]
struct Put {
    id: u64,
    at: Path,
    payload: PutPayload,
    opts: PutOptions,
}

#[derive(Debug)]
struct State {
    inner: Arc<InMemory>,
    /// Every data file that there ever was.
    archive: Arc<InMemory>,
    fault_profile: FaultProfile,
    random: Random,
    /// Puts on their way, by the moment of their effect.
    in_flight: BTreeMap<(u64, u64), Put>,
    effects: BTreeMap<u64, Result<PutResult>>,
    sent: u64,
    /// Every object, in the order in which they came into being.
    created: Vec<Path>,
    /// Microseconds of simulated time at which an object was written last.
    written: BTreeMap<Path, u64>,
    /// Every Delta version, also when its file was cleaned away.
    versions: BTreeMap<u64, Bytes>,
    violations: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct SimStore {
    state: Arc<Mutex<State>>,
    time: Time,
    trace: Trace,
    seed: u64,
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simulated store")
    }
}

fn failure(what: &'static str) -> Error {
    Error::Generic {
        store: "simulated",
        source: what.into(),
    }
}

fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}

/// The version that an object of the Delta log makes, if it is one.
fn version(at: &Path) -> Option<u64> {
    let name = at.as_ref().strip_prefix("events/_delta_log/")?.strip_suffix(".json")?;
    (name.len() == 20).then(|| name.parse().ok())?
}

impl SimStore {
    pub(super) fn new(mut random: Random, time: Time, trace: Trace) -> Self {
        let seed = random.next();
        let state = State {
            inner: Arc::default(),
            archive: Arc::default(),
            fault_profile: FaultProfile::Calm,
            random,
            in_flight: BTreeMap::new(),
            effects: BTreeMap::new(),
            sent: 0,
            created: Vec::new(),
            written: BTreeMap::new(),
            versions: BTreeMap::new(),
            violations: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        Self {
            state,
            time,
            trace,
            seed,
        }
    }

    pub(super) fn set(&self, fault_profile: FaultProfile) {
        self.state.lock().fault_profile = fault_profile;
    }

    /// Whether a request may fail now.
    pub(super) fn has_faults(&self) -> bool {
        !matches!(self.state.lock().fault_profile, FaultProfile::Calm | FaultProfile::Slow)
    }

    /// The objects as they are, without any fault.
    pub(super) fn truth(&self) -> Arc<dyn ObjectStore> {
        self.settle();
        self.state.lock().inner.clone()
    }

    /// Every data file that there ever was, also those that were vacuumed.
    pub(super) fn archive(&self) -> Arc<dyn ObjectStore> {
        self.settle();
        self.state.lock().archive.clone()
    }

    /// Deletes the data files that a version has removed. A live file of a name is never deleted.
    pub(super) fn vacuum(&self) {
        self.settle();
        let state = self.state.lock();
        let mut removed = BTreeSet::new();
        for action in state.versions.values().flat_map(|text| actions(text)) {
            removed.extend(action.get("remove").map(path_of));
            if let Some(add) = action.get("add") {
                removed.remove(&path_of(add));
            }
        }
        for path in removed {
            let _ = now(state.inner.delete(&Path::from(path)));
        }
    }

    pub(super) fn versions(&self) -> BTreeMap<u64, Bytes> {
        self.settle();
        self.state.lock().versions.clone()
    }

    /// What the store was asked to do and should never have been asked to do.
    pub(super) fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    /// Lets everything take effect whose moment has come.
    fn settle(&self) {
        let moment = self.time.micros();
        let mut state = self.state.lock();
        while let Some(first) = state.in_flight.first_entry()
            && first.key().0 <= moment
        {
            let put = first.remove();
            let effect = state.apply(&put.at, put.payload, put.opts, moment);
            let outcome = if effect.is_ok() { "written" } else { "is there" };
            self.trace.note(format_args!("{moment} {} {outcome}", put.at));
            state.effects.insert(put.id, effect);
        }
    }

    fn draw(&self) -> (StoreFault, u64, u64) {
        let mut state = self.state.lock();
        let rates = state.fault_profile.rates();
        let roll = state.random.below(100);
        let there = state.random.between(rates.latency.clone());
        let back = state.random.between(rates.latency.clone());
        (rates.fault(roll), there, back)
    }

    /// Threads of Delta's reader have a runtime, the simulation has none: then what decides by chance must not depend on
    /// which comes first, and time stands still.
    fn standstill(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.time.micros()).hash(&mut hasher);
        Handle::try_current().ok().map(|_| hasher.finish())
    }

    /// The fault of a request in a standstill, whichever thread asks first.
    fn fault_in_standstill(&self, what: &str, at: &str) -> Option<StoreFault> {
        let salt = self.standstill()?;
        self.settle();
        Some(self.state.lock().fault_profile.rates().fault(roll(salt, what, at)))
    }

    /// True, the meta data but for the time: an object is as old as it is in simulated time, so that what is cleaned
    /// up by age is cleaned up as it would be.
    fn aged(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let written = self.state.lock().written.get(&meta.location).copied();
        let age = self.time.micros().saturating_sub(written.unwrap_or_default());
        let modified = SystemClock.now() - age.cast_signed();
        meta.last_modified = DateTime::from_timestamp_micros(modified).unwrap_or_default();
        meta
    }

    /// Objects that this list does not show.
    fn hidden(&self) -> BTreeSet<Path> {
        let standstill = self.standstill();
        let mut state = self.state.lock();
        let rates = state.fault_profile.rates();
        let (roll, depth) = match standstill {
            Some(salt) => (roll(salt, "list", ""), salt),
            None => (state.random.below(100), state.random.next()),
        };
        if roll >= rates.stale {
            return BTreeSet::new();
        }
        state
            .created
            .iter()
            .rev()
            .take(1 + (depth % 6) as usize)
            .cloned()
            .collect()
    }
}

fn roll(salt: u64, what: &str, at: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (salt, what, at).hash(&mut hasher);
    hasher.finish() % 100
}

impl State {
    fn apply(&mut self, at: &Path, payload: PutPayload, opts: PutOptions, moment: u64) -> Result<PutResult> {
        let bytes: Bytes = payload.clone().into();
        let before = now(self.inner.get(at)).ok();
        let before = before.map(|found| now(found.bytes()).unwrap());
        if opts.mode == PutMode::Overwrite
            && before.as_ref().is_some_and(|before| *before != bytes)
            && at.filename() != Some("_last_checkpoint")
        {
            self.violations.push(format!("{at} was overwritten by something else"));
        }
        let result = now(self.inner.put_opts(at, payload.clone(), opts))?;
        if at.extension() == Some("parquet") && !at.as_ref().contains("_delta_log") {
            now(self.archive.put(at, payload))?;
        }
        self.written.insert(at.clone(), moment);
        if before.is_none() {
            self.created.push(at.clone());
            if let Some(version) = version(at)
                && self.versions.insert(version, bytes).is_some()
            {
                self.violations.push(format!(
                    "version {version} was made a second time, after it was cleaned away"
                ));
            }
        }
        Ok(result)
    }
}

/// A put on its way. If its sender is gone, it may be gone too.
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

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let moment = self.time.micros();
        let creates = opts.mode == PutMode::Create;
        if let Some(fault) = self.fault_in_standstill("put", at.as_ref()) {
            if fault == StoreFault::Refused {
                return Err(failure("503 Slow Down"));
            }
            let effect = self.state.lock().apply(at, payload, opts, moment);
            return match fault {
                StoreFault::ReplyLost | StoreFault::Late => Err(failure("timed out")),
                StoreFault::RetriedByClient if creates => Err(exists(at)),
                _ => effect,
            };
        }
        let (fault, there, back) = self.draw();
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
            (StoreFault::Refused, _) => Err(failure("503 Slow Down")),
            (StoreFault::ReplyLost | StoreFault::Late, _) | (_, None) => Err(failure("timed out")),
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
            Some(_) => return Err(failure("503 Slow Down")),
            None => {
                let (fault, there, back) = self.draw();
                self.time.sleep_until(self.time.micros() + there + back).await;
                self.settle();
                if fault != StoreFault::Fine {
                    return Err(failure("503 Slow Down"));
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
            return futures::stream::iter([Err(failure("503 Slow Down"))]).boxed();
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

fn exists(at: &Path) -> Error {
    Error::AlreadyExists {
        path: at.to_string(),
        source: "it is there".into(),
    }
}
