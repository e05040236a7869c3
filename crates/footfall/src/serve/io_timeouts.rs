//! A connection with timeouts for its peer, and a limit on refused tokens.
//!
//! A peer that vanished silently, or that stopped reading, looks like an idle one: only time tells
//! them apart. Without a limit each of them would hold a connection, and its file descriptor, for ever. A peer whose
//! token is refused again and again is disconnected: answering it costs the server as much CPU as it costs the peer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// Calls of a connection whose token was refused. A client with a wrong token retries a few times.
const TOKEN_REFUSALS: usize = 20;

/// How long a connection with more of them is held before it is closed, so that reconnecting gains little.
const HOLD: Duration = Duration::from_secs(1);

/// Timeouts of a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct IoTimeouts {
    /// For this many bytes to arrive once the connection is made.
    pub(super) opening: Option<(usize, Duration)>,
    /// To read anything while we have something to send.
    pub(super) stall: Duration,
}

/// Counts the calls of a connection that were refused for their token.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenRefusals(Arc<AtomicUsize>);

impl TokenRefusals {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn are_too_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) > TOKEN_REFUSALS
    }
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] when its peer does not keep up.
#[derive(Debug)]
pub(super) struct TimedStream<S> {
    stream: S,
    /// Deadline for the first bytes, and how many are missing.
    opening: Option<(Pin<Box<Sleep>>, usize)>,
    stall: Duration,
    /// Set while the peer does not read: the write deadline.
    stalled: Option<Pin<Box<Sleep>>>,
    refusals: TokenRefusals,
    /// Set after too many refusals: when the connection is closed.
    held: Option<Pin<Box<Sleep>>>,
    /// The connection's slot, freed with it.
    _slot: OwnedSemaphorePermit,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, slot: OwnedSemaphorePermit, io_timeouts: IoTimeouts) -> Self {
        Self {
            stream,
            opening: io_timeouts.opening.map(|(bytes, time)| (Box::pin(sleep(time)), bytes)),
            stall: io_timeouts.stall,
            stalled: None,
            refusals: TokenRefusals::default(),
            held: None,
            _slot: slot,
        }
    }

    /// Passes on a write's result, unless it has been pending for too long.
    fn written(&mut self, context: &mut Context<'_>, done: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        stalled
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.refusals.are_too_many() {
            let held = self.held.get_or_insert_with(|| Box::pin(sleep(HOLD)));
            let closed = || Err(io::ErrorKind::ConnectionAborted.into());
            return held.as_mut().poll(context).map(|()| closed());
        }
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some((deadline, missing)) = &mut self.opening else {
            return done;
        };
        if done.is_ready() {
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                self.opening = None;
            }
            return done;
        }
        deadline
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for TimedStream<TcpStream> {
    type ConnectInfo = TokenRefusals;

    /// For the requests of the connection to be counted with.
    fn connect_info(&self) -> TokenRefusals {
        self.refusals.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    const STALL: Duration = Duration::from_millis(200);
    /// Far less, and far more.
    const SOON: Duration = Duration::from_millis(20);
    const LATER: Duration = Duration::from_millis(600);

    /// A connection with room for 8 bytes each way, and its peer.
    fn connection(opening: Option<usize>) -> (TimedStream<DuplexStream>, DuplexStream, Arc<Semaphore>) {
        let slots = Arc::new(Semaphore::new(1));
        let slot = Arc::clone(&slots).try_acquire_owned().unwrap();
        let (ours, theirs) = duplex(8);
        let io_timeouts = IoTimeouts {
            opening: opening.map(|bytes| (bytes, STALL)),
            stall: STALL,
        };
        (TimedStream::new(ours, slot, io_timeouts), theirs, slots)
    }

    fn assert_given_up<T: std::fmt::Debug>(done: io::Result<T>, began: Instant) {
        assert_eq!(done.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= STALL, "after {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn silent_peer_times_out_and_frees_its_slot() {
        let (mut ours, _theirs, slots) = connection(Some(4));
        let began = Instant::now();
        assert_given_up(ours.read_u8().await, began);
        assert_eq!(slots.available_permits(), 0);
        drop(ours);
        assert_eq!(slots.available_permits(), 1);
    }

    #[tokio::test]
    async fn trickled_opening_does_not_extend_timeout() {
        let (mut ours, mut theirs, _slots) = connection(Some(1_000));
        let began = Instant::now();
        let peer = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                sleep(SOON).await;
            }
        });
        assert_given_up(ours.read_exact(&mut [0; 1_000]).await, began);
        drop(ours);
        peer.await.unwrap();
    }

    #[tokio::test]
    async fn opened_connection_may_idle() {
        let (mut ours, mut theirs, _slots) = connection(Some(4));
        theirs.write_all(b"open").await.unwrap();
        ours.read_u32().await.unwrap();
        assert!(timeout(LATER, ours.read_u8()).await.is_err(), "still waiting");
        theirs.write_all(b"x").await.unwrap();
        assert_eq!(ours.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn peer_that_does_not_read_times_out() {
        let (mut ours, _theirs, _slots) = connection(None);
        ours.write_all(b"12345678").await.unwrap();
        let began = Instant::now();
        assert_given_up(ours.write_all(b"9").await, began);
    }

    #[tokio::test]
    async fn peer_with_refused_tokens_is_disconnected() {
        let (mut ours, mut theirs, _slots) = connection(None);
        for _ in 0..TOKEN_REFUSALS {
            ours.refusals.count();
        }
        theirs.write_all(b"12").await.unwrap();
        assert_eq!(ours.read_u8().await.unwrap(), b'1');
        ours.refusals.clone().count();
        let began = Instant::now();
        assert_eq!(
            ours.read_u8().await.unwrap_err().kind(),
            io::ErrorKind::ConnectionAborted
        );
        assert!(began.elapsed() >= HOLD, "after {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn slow_reader_is_served() {
        let (mut ours, mut theirs, _slots) = connection(None);
        let peer = tokio::spawn(async move {
            for _ in 0..48 {
                sleep(SOON).await;
                theirs.read_u8().await.unwrap();
            }
        });
        let began = Instant::now();
        ours.write_all(&[b'x'; 48]).await.unwrap();
        assert!(began.elapsed() > STALL, "too quick to show anything");
        peer.await.unwrap();
    }
}
