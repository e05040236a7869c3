use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow_flight::decode::FlightRecordBatchStream;
use futures::future::AbortHandle;

use super::*;

fn options() -> FlightOptions {
    FlightOptions {
        max_message_bytes: 1000,
        keep_alive: Duration::from_millis(10),
        ..FlightOptions::default()
    }
}

fn numbers(count: i64) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
    RecordBatch::try_from_iter([("n", column)]).unwrap()
}

async fn decode(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let messages = stream::iter(messages.into_iter().map(Ok));
    FlightRecordBatchStream::new_from_flight_data(messages)
        .try_collect()
        .await
        .unwrap()
}

#[tokio::test]
async fn rows_arrive_in_bounded_messages() {
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..500).map(|n| "x".repeat(n % 50))));
    let batch = RecordBatch::try_from_iter([("t", text)]).unwrap();
    let messages = encode(Rows::once(batch.clone()), &options()).unwrap();
    let messages: Vec<FlightData> = messages.try_collect().await.unwrap();
    assert!(messages.len() > 10);
    // Header and padding come on top of the rows.
    assert!(messages.iter().all(|message| message.data_body.len() < 1500));
    let decoded = decode(messages).await;
    assert_eq!(
        arrow::compute::concat_batches(&batch.schema(), &decoded).unwrap(),
        batch
    );
}

#[tokio::test]
async fn schema_is_sent_without_rows() {
    let rows = Rows {
        schema: numbers(0).schema(),
        batches: stream::empty().boxed(),
        provenance: Bytes::new(),
    };
    let messages = encode(rows, &options()).unwrap().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(messages.len(), 1);
    let schema = arrow::datatypes::Schema::try_from(&messages[0]).unwrap();
    assert_eq!(schema, *numbers(0).schema());
}

#[tokio::test]
async fn idle_stream_sends_empty_batches() {
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(numbers(3))
    };
    let rows = Rows {
        schema: numbers(0).schema(),
        batches: stream::once(late).boxed(),
        provenance: Bytes::new(),
    };
    let messages = encode(rows, &options()).unwrap().try_collect().await.unwrap();
    let batches = decode(messages).await;
    let (last, signs) = batches.split_last().unwrap();
    assert_eq!(*last, numbers(3));
    assert!(!signs.is_empty());
    assert!(signs.iter().all(|sign| sign.num_rows() == 0));
}

struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A batch, then silence; the flag rises when it is dropped.
fn endless() -> (Rows, Arc<AtomicBool>) {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(Arc::clone(&dropped));
    let batches = stream::iter([Ok(numbers(1))])
        .chain(stream::pending())
        .inspect(move |_| {
            let _held = &flag;
        });
    let rows = Rows {
        schema: numbers(0).schema(),
        batches: batches.boxed(),
        provenance: Bytes::new(),
    };
    (rows, dropped)
}

#[tokio::test]
async fn dropping_messages_drops_rows() {
    let (rows, dropped) = endless();
    let mut messages = encode(rows, &options()).unwrap();
    messages.next().await.unwrap().unwrap();
    assert!(!dropped.load(Ordering::SeqCst));
    drop(messages);
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn aborted_stream_ends_with_cancelled() {
    let (rows, dropped) = endless();
    let (handle, registration) = AbortHandle::new_pair();
    let mut messages = abortable(encode(rows, &options()).unwrap(), registration).boxed();
    messages.next().await.unwrap().unwrap();
    handle.abort();
    let status = messages.next().await.unwrap().unwrap_err();
    assert_eq!(status.code(), tonic::Code::Cancelled);
    assert!(dropped.load(Ordering::SeqCst));
    assert!(messages.next().await.is_none());
}

#[tokio::test]
async fn row_error_keeps_status() {
    let rows = Rows {
        schema: numbers(0).schema(),
        batches: stream::iter([Ok(numbers(1)), Err(Status::resource_exhausted("too long"))]).boxed(),
        provenance: Bytes::new(),
    };
    let messages: Vec<_> = encode(rows, &options()).unwrap().collect().await;
    let status = messages.into_iter().find_map(Result::err).unwrap();
    assert_eq!(
        (status.code(), status.message()),
        (tonic::Code::ResourceExhausted, "too long")
    );
}
