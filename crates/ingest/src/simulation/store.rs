//! An object store that replies late, wrongly or not at all, but never tears an object.
//!
//! A put takes effect at one moment and is answered at another; faults happen in between:
//!
//! ```text
//! sent ──> effect ──> reply         fine
//! sent ──────────────> error        refused (503)
//! sent ──> effect ──> error         the reply was lost
//! sent ──> effect ──> "exists"      the reply was lost, and the client's library tried again
//! sent ──> error ... effect         timed out, took effect later
//! ```
//!
//! The sender may die at any moment; a request in flight may still take effect. While a table is being opened, by
//! threads in an unknown order, the faults follow from the seed and the object's name instead of a sequence.

mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use footfall_model::clock::{Clock, SystemClock};
use futures::FutureExt;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::executor::Time;
use super::fault_profile::{FaultProfile, StoreFault};
use super::outcome::{EVENTS, actions, path_of};
use super::random::Random;
use super::trace::Trace;

#[derive(Debug)]
struct Put {
    id: u64,
    at: Path,
    payload: PutPayload,
    opts: PutOptions,
}

/// A Delta version of a table.
#[derive(Debug, Clone)]
pub(super) struct TableVersion {
    pub(super) folder: String,
    pub(super) number: u64,
    pub(super) text: Bytes,
}

#[derive(Debug)]
struct State {
    inner: Arc<InMemory>,
    /// Every data file that ever existed.
    archive: Arc<InMemory>,
    fault_profile: FaultProfile,
    /// So many of the next commits to the table of events are not answered.
    unanswered_commits: u32,
    random: Random,
    /// Puts in flight, by the moment of their effect.
    in_flight: BTreeMap<(u64, u64), Put>,
    effects: BTreeMap<u64, Result<PutResult>>,
    sent: u64,
    /// Every object, in order of creation.
    created: Vec<Path>,
    /// Microseconds of simulated time at which an object was last written.
    written: BTreeMap<Path, u64>,
    /// Every Delta version of every table in the order of their effects, even if its file was cleaned away.
    versions: Vec<TableVersion>,
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

/// As the S3 client says it.
fn refused() -> Error {
    failure("Server returned non-2xx status code: 503 Slow Down")
}

fn timed_out() -> Error {
    Error::Generic {
        store: "simulated",
        source: HttpError::new(HttpErrorKind::Timeout, io::Error::from(io::ErrorKind::TimedOut)).into(),
    }
}

fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}

/// The table's folder and the version of an object of a Delta log, if it is a commit.
fn version(at: &Path) -> Option<(&str, u64)> {
    let (folder, name) = at.as_ref().split_once("/_delta_log/")?;
    let name = name.strip_suffix(".json").filter(|name| name.len() == 20)?;
    Some((folder, name.parse().ok()?))
}

impl SimStore {
    pub(super) fn new(mut random: Random, time: Time, trace: Trace) -> Self {
        let seed = random.next();
        let state = State {
            inner: Arc::default(),
            archive: Arc::default(),
            fault_profile: FaultProfile::Calm,
            unanswered_commits: 0,
            random,
            in_flight: BTreeMap::new(),
            effects: BTreeMap::new(),
            sent: 0,
            created: Vec::new(),
            written: BTreeMap::new(),
            versions: Vec::new(),
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

    /// So many of the next commits to the table of events take effect, at once or later, and are not answered.
    pub(super) fn lose_replies(&self, commits: u32) {
        self.state.lock().unanswered_commits = commits;
    }

    /// Whether a request may fail now.
    pub(super) fn has_faults(&self) -> bool {
        !matches!(self.state.lock().fault_profile, FaultProfile::Calm | FaultProfile::Slow)
    }

    /// The objects as they are, without faults.
    pub(super) fn truth(&self) -> Arc<dyn ObjectStore> {
        self.settle();
        self.state.lock().inner.clone()
    }

    /// Every data file that ever existed, including vacuumed ones.
    pub(super) fn archive(&self) -> Arc<dyn ObjectStore> {
        self.settle();
        self.state.lock().archive.clone()
    }

    /// Deletes the data files that a version has removed; never a live file of the same name.
    pub(super) fn vacuum(&self) {
        self.settle();
        let state = self.state.lock();
        let mut removed = BTreeSet::new();
        for version in &state.versions {
            for action in actions(&version.text) {
                removed.extend(action.get("remove").map(|remove| path_of(&version.folder, remove)));
                if let Some(add) = action.get("add") {
                    removed.remove(&path_of(&version.folder, add));
                }
            }
        }
        for path in removed {
            let _ = now(state.inner.delete(&Path::from(path)));
        }
    }

    /// Every version of every table, in the order in which they were made.
    pub(super) fn versions(&self) -> Vec<TableVersion> {
        self.settle();
        self.state.lock().versions.clone()
    }

    /// Requests that must never be made.
    pub(super) fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    /// Applies every effect whose moment has come.
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

    /// As [`Self::draw`], for a put.
    fn draw_put(&self, at: &Path) -> (StoreFault, u64, u64) {
        let (fault, there, back) = self.draw();
        let mut state = self.state.lock();
        let is_commit = version(at).is_some_and(|(folder, _)| folder == EVENTS);
        if !is_commit || state.unanswered_commits == 0 {
            return (fault, there, back);
        }
        state.unanswered_commits -= 1;
        (
            state.random.pick(&[StoreFault::ReplyLost, StoreFault::Late]),
            there,
            back,
        )
    }

    fn draw(&self) -> (StoreFault, u64, u64) {
        let mut state = self.state.lock();
        let rates = state.fault_profile.rates();
        let roll = state.random.below(100);
        let there = state.random.between(rates.latency.clone());
        let back = state.random.between(rates.latency.clone());
        (rates.fault(roll), there, back)
    }

    /// Delta's reader has threads with a runtime, the simulation has none: while they run, random decisions must not
    /// depend on their order, and time stands still.
    fn standstill(&self) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.time.micros()).hash(&mut hasher);
        Handle::try_current().ok().map(|_| hasher.finish())
    }

    /// The fault of a request during a standstill, independent of which thread comes first.
    fn fault_in_standstill(&self, what: &str, at: &str) -> Option<StoreFault> {
        let salt = self.standstill()?;
        self.settle();
        Some(self.state.lock().fault_profile.rates().fault(roll(salt, what, at)))
    }

    /// The true metadata with simulated times, so that clean-up by age works in simulated time.
    fn aged(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let written = self.state.lock().written.get(&meta.location).copied();
        let age = self.time.micros().saturating_sub(written.unwrap_or_default());
        let modified = SystemClock.now() - age.cast_signed();
        meta.last_modified = DateTime::from_timestamp_micros(modified).unwrap_or_default();
        meta
    }

    /// Objects that this list omits.
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
            if let Some((folder, number)) = version(at) {
                self.add_version(folder, number, bytes);
            }
        }
        Ok(result)
    }

    fn add_version(&mut self, folder: &str, number: u64, text: Bytes) {
        let mut known = self.versions.iter();
        if known.any(|known| known.folder == folder && known.number == number) {
            self.violations.push(format!(
                "version {number} of {folder} was made a second time, after it was cleaned away"
            ));
        }
        let folder = folder.to_owned();
        self.versions.push(TableVersion { folder, number, text });
    }
}
