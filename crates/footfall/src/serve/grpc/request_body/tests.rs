use std::future::poll_fn;

use footfall_ingest::collect::Budget;
use tokio::sync::mpsc;
use tonic::Code;

use super::super::open_calls::OpenCalls;
use super::*;

const REQUEST: Messages = Messages {
    limit: usize::MAX,
    endless: false,
};
const ENDLESS: Messages = Messages {
    limit: usize::MAX,
    endless: true,
};
const TIMEOUT: Duration = Duration::from_millis(400);

/// What the client has sent; the channel's end is the client's disconnect.
struct Sent(mpsc::UnboundedReceiver<Bytes>);

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0
            .poll_recv(context)
            .map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

struct Call {
    client: mpsc::UnboundedSender<Bytes>,
    body: RequestBody,
    held: Held,
}

impl Call {
    fn new(class: &Class, messages: Messages) -> Self {
        let (client, sent) = mpsc::unbounded_channel();
        let held = Held::default();
        let body = Body::new(Sent(sent));
        let body = RequestBody::new(body, class.clone(), messages, TIMEOUT, held.clone());
        Self { client, body, held }
    }

    /// A prefix that announces `length` bytes, and `bytes` of them.
    fn send(&self, length: u32, bytes: usize) {
        let prefix = length.to_be_bytes();
        self.client
            .send([&[0][..], &prefix, &vec![7; bytes]].concat().into())
            .unwrap();
    }

    fn send_more(&self, bytes: usize) {
        self.client.send(vec![7; bytes].into()).unwrap();
    }

    async fn read(&mut self) -> Result<usize, Status> {
        let frame = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
        frame.map_or(Ok(0), |frame| frame.map(|frame| frame.into_data().unwrap().len()))
    }
}

fn class(bytes: usize, calls: usize) -> Class {
    Class {
        calls: OpenCalls::new(calls, calls),
        small: Budget::new(bytes),
        large: Budget::new(100 * bytes),
    }
}

#[tokio::test]
async fn memory_is_reserved_before_bytes_are_read() {
    let class = class(1_000, 10);
    let (mut first, mut second) = (Call::new(&class, REQUEST), Call::new(&class, REQUEST));
    first.send(700, 1);
    assert_eq!(first.read().await.unwrap(), 6);
    second.send(400, 1);
    let status = second.read().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    drop(first.body);
    assert!(class.small.try_reserve(301).is_err(), "the request is not answered yet");
    first.held.give_back();
    assert!(class.small.try_reserve(1_000).is_ok());
}

#[tokio::test]
async fn message_waits_for_freed_memory() {
    let class = class(1_000, 10);
    let (mut first, mut second) = (Call::new(&class, REQUEST), Call::new(&class, REQUEST));
    first.send(700, 1);
    first.read().await.unwrap();
    second.send(400, 400);
    let free_later = async {
        tokio::time::sleep(MEMORY_TIMEOUT / 2).await;
        first.held.give_back();
    };
    let (read, ()) = tokio::join!(second.read(), free_later);
    assert_eq!(read.unwrap(), 405);
}

#[tokio::test]
async fn message_larger_than_budget_is_refused() {
    let class = class(1_000, 10);
    let mut call = Call::new(&class, REQUEST);
    call.send(100_001, 1);
    assert_eq!(call.read().await.unwrap_err().code(), Code::ResourceExhausted);
    let mut call = Call::new(&class, Messages { limit: 10, ..REQUEST });
    call.send(11, 1);
    assert_eq!(call.read().await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test]
async fn stream_holds_one_message_request_holds_all() {
    for (messages, held) in [(ENDLESS, 0), (REQUEST, 500)] {
        let class = class(500, 10);
        let mut call = Call::new(&class, messages);
        for _ in 0..5 {
            call.send(100, 50);
            call.send_more(50);
            assert_eq!(call.read().await.unwrap(), 55);
            assert_eq!(call.read().await.unwrap(), 50);
        }
        // Polls for a message that never comes.
        assert!(timeout(TIMEOUT / 2, call.read()).await.is_err());
        assert!(class.small.try_reserve(500 - held).is_ok());
        assert!(class.small.try_reserve(501 - held).is_err());
    }
}

#[tokio::test]
async fn half_sent_message_times_out_idle_stream_not() {
    let class = class(1_000, 10);
    let mut idle = Call::new(&class, ENDLESS);
    assert!(timeout(2 * TIMEOUT, idle.read()).await.is_err());
    for messages in [ENDLESS, REQUEST] {
        let mut half = Call::new(&class, messages);
        half.send(100, 50);
        half.read().await.unwrap();
        let status = timeout(10 * TIMEOUT, half.read()).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    }
    let mut silent = Call::new(&class, REQUEST);
    let status = timeout(10 * TIMEOUT, silent.read()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test]
async fn trickled_bytes_do_not_extend_timeout() {
    let call = Call::new(&class(1_000, 10), REQUEST);
    call.send(1_000, 1);
    let drip = async {
        while call.client.send(vec![7].into()).is_ok() {
            tokio::time::sleep(TIMEOUT / 10).await;
        }
    };
    let mut body = call.body;
    let read_all = async move {
        loop {
            if let Some(Err(status)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                return status;
            }
        }
    };
    let (status, ()) = tokio::join!(timeout(10 * TIMEOUT, read_all), drip);
    assert_eq!(status.unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused() {
    let class = class(1_000, 1);
    let (mut first, mut second) = (Call::new(&class, REQUEST), Call::new(&class, REQUEST));
    first.send(1, 1);
    first.read().await.unwrap();
    second.send(1, 1);
    assert_eq!(second.read().await.unwrap_err().code(), Code::Unavailable);
    first.held.give_back();
    assert_eq!(second.read().await.unwrap(), 6);
}

#[tokio::test]
async fn slow_large_messages_leave_small_ones_memory() {
    let class = class(1_000, 10);
    let mut large = Call::new(&class, REQUEST);
    large.send(100_000, 1);
    large.read().await.unwrap();
    let mut small = Call::new(&class, REQUEST);
    small.send(1_000, 1_000);
    assert_eq!(small.read().await.unwrap(), 1_005);
    drop(small.body);
    drop(large.body);
    small.held.give_back();
    large.held.give_back();
    assert!(class.small.try_reserve(1_000).is_ok() && class.large.try_reserve(100_000).is_ok());
}
