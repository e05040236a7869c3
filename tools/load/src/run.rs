//! A run: threads, each with its share of the connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use footfall_model::clock::{IdGen, RandomIds};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::args::SendArgs;
use crate::crawl::{self, Crawlers, Manner};
use crate::events::{Form, Sequence, Template, templates};
use crate::pace::Schedule;
use crate::report::Report;
use crate::tally::Tally;
use crate::{grpc, http};

/// What all connections of a run share.
#[derive(Debug)]
pub(crate) struct Job {
    /// `HOST:PORT`.
    pub(crate) authority: String,
    pub(crate) templates: Vec<Template>,
    pub(crate) schedule: Schedule,
    pub(crate) sequence: Sequence,
    pub(crate) timeout: Duration,
    next_event: AtomicU64,
}

impl Job {
    fn new(args: &SendArgs) -> anyhow::Result<Self> {
        let authority = authority(&args.url)?;
        let (templates, events) = if args.grpc {
            (
                templates(Form::Proto, &args.tracking_id, args.batch)?,
                f64::from(args.batch) * f64::from(args.stream),
            )
        } else {
            (
                http::requests(&authority, &args.tracking_id, args.batch)?,
                f64::from(args.batch),
            )
        };
        let seed = RandomIds.next_id() as u64;
        let rate = args.rate.map(|rate| f64::from(rate) / events);
        Ok(Self {
            authority,
            templates,
            sequence: Sequence::new(seed),
            timeout: Duration::from_secs_f64(args.timeout),
            next_event: AtomicU64::new(0),
            // Last: from here on the time runs.
            schedule: Schedule::new(Instant::now(), Duration::from_secs_f64(args.seconds), rate),
        })
    }

    /// The number of the first of so many new events.
    pub(crate) fn take(&self, events: u64) -> u64 {
        self.next_event.fetch_add(events, Ordering::Relaxed)
    }
}

/// `HOST:PORT` of a URL.
fn authority(url: &str) -> anyhow::Result<String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("grpc://"));
    let authority = rest
        .map(|rest| rest.trim_end_matches('/'))
        .filter(|rest| !rest.contains('/'));
    match authority {
        Some(authority) if authority.contains(':') => Ok(authority.to_owned()),
        _ => Err(anyhow!(
            "--url {url:?} is not of the form http://HOST:PORT or grpc://HOST:PORT"
        )),
    }
}

#[derive(Debug, Default)]
struct Counts {
    tally: Arc<Mutex<Tally>>,
    slow: Arc<Mutex<Crawlers>>,
    half_open: Arc<Mutex<Crawlers>>,
}

/// Sends until the time is over and the last replies are there.
pub(crate) fn run(args: &SendArgs) -> anyhow::Result<Report> {
    let job = Arc::new(Job::new(args)?);
    let threads: Vec<_> = (0..args.threads)
        .map(|thread| {
            let (job, args) = (Arc::clone(&job), args.clone());
            std::thread::spawn(move || work(&job, &args, thread))
        })
        .collect();
    let (mut tally, mut slow, mut half_open) = (Tally::default(), Crawlers::default(), Crawlers::default());
    for thread in threads {
        let counts = thread
            .join()
            .map_err(|_| anyhow!("a thread of the generator has panicked"))??;
        tally.merge(std::mem::take(&mut *counts.tally.lock()));
        slow.merge(std::mem::take(&mut *counts.slow.lock()));
        half_open.merge(std::mem::take(&mut *counts.half_open.lock()));
    }
    let slow = (args.slow > 0).then_some(slow);
    let half_open = (args.half_open > 0).then_some(half_open);
    Ok(Report::new(tally, &job.schedule, slow, half_open))
}

/// One thread's part. A runtime of its own, so that nothing is handed from thread to thread.
fn work(job: &Arc<Job>, args: &SendArgs, thread: u32) -> anyhow::Result<Counts> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counts = Counts {
        tally: Arc::new(Mutex::new(Tally::since(job.schedule.start()))),
        ..Counts::default()
    };
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for connection in share(args.connections, args.threads, thread) {
            let (job, tally) = (Arc::clone(job), Arc::clone(&counts.tally));
            let index = usize::try_from(connection)?;
            if args.grpc {
                let channel = grpc::connect(&job.authority).await?;
                tasks.spawn(grpc::work(job, tally, channel, index, args.stream));
            } else {
                tasks.spawn(http::work(job, tally, index));
            }
        }
        for (manner, number, crawlers) in [
            (Manner::Slow, args.slow, &counts.slow),
            (Manner::HalfOpen, args.half_open, &counts.half_open),
        ] {
            for _ in share(number, args.threads, thread) {
                tasks.spawn(crawl::work(Arc::clone(job), manner, Arc::clone(crawlers)));
            }
        }
        while let Some(done) = tasks.join_next().await {
            done.context("a connection's task has panicked")?;
        }
        anyhow::Ok(())
    })?;
    Ok(counts)
}

/// Every `threads`th of `number`, from the `thread`th on.
fn share(number: u32, threads: u32, thread: u32) -> impl Iterator<Item = u32> {
    (thread..number).step_by(usize::try_from(threads).unwrap_or(1))
}
