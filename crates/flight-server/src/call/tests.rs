use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use futures::stream::{self, StreamExt};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

use super::*;

/// Records counts by label values.
#[derive(Debug, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct One {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
    labels: String,
}

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.counts.lock().entry(self.labels.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels().map(metrics::Label::value).collect::<Vec<_>>().join(" ");
        let counts = Arc::clone(&self.0);
        Counter::from_arc(Arc::new(One { counts, labels }))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The counts that `work` produces.
fn counted(work: impl FnOnce()) -> Vec<(String, u64)> {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, work);
    let counts = counts.0.lock();
    counts.iter().map(|(labels, count)| (labels.clone(), *count)).collect()
}

fn once(labels: &str) -> Vec<(String, u64)> {
    vec![(labels.to_owned(), 1)]
}

async fn started(messages: Messages) -> Reply {
    let reply = Call::begin("DoGet").stream(async { Ok((messages, None)) }).await;
    reply.unwrap_or_else(|status| panic!("{status}"))
}

#[test]
fn call_is_counted_by_outcome() {
    let answered = counted(|| {
        block_on(Call::begin("DoPut").answer(async { Ok(()) })).unwrap();
    });
    assert_eq!(answered, once("DoPut Ok"));
    let refused = counted(|| {
        let refusal = async { Err::<(), _>(Status::not_found("no table")) };
        block_on(Call::begin("DoPut").answer(refusal)).unwrap_err();
    });
    assert_eq!(refused, once("DoPut NotFound"));
    let given_up = counted(|| drop(Call::begin("DoPut")));
    assert_eq!(given_up, once("DoPut Cancelled"));
}

#[test]
fn stream_is_counted_by_outcome() {
    let message = || Ok(FlightData::new());
    let whole = counted(|| {
        block_on(async {
            started(stream::iter([message()]).boxed())
                .await
                .collect::<Vec<_>>()
                .await
        });
    });
    assert_eq!(whole, once("DoGet Ok"));
    let failed = counted(|| {
        let failing = stream::iter([message(), Err(Status::resource_exhausted("memory"))]);
        block_on(async { started(failing.boxed()).await.collect::<Vec<_>>().await });
    });
    assert_eq!(failed, once("DoGet ResourceExhausted"));
    let dropped = counted(|| {
        block_on(async {
            let mut reply = started(stream::iter([message()]).chain(stream::pending()).boxed()).await;
            reply.next().await
        });
    });
    assert_eq!(dropped, once("DoGet Cancelled"));
}
