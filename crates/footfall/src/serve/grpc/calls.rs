//! Limits of gRPC calls before and while their services read them: concurrent calls, memory, time.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use footfall_ingest::collect::Budget;
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::super::io_timeouts::TokenRefusals;
use super::open_calls::OpenCalls;
use super::request_body::{Held, RequestBody};

/// Calls whose body is read at the same time. An idle stream of batches costs a few kilobytes.
const CALLS: usize = 4_096;

/// Of these, calls with the same token.
const CALLS_OF_TOKEN: usize = 1_024;

/// Calls without a token: sites that don't require one accept events so.
const CALLS_WITHOUT_TOKEN: usize = 1_024;

/// Size of a small message: statements and most batches of events are smaller.
const SMALL_BYTES: usize = 64 << 10;

/// A handshake needs no more: the token is in the headers.
const HANDSHAKE_BYTES: usize = 4 << 10;

/// The limits of all calls together.
#[derive(Debug, Clone)]
pub(in crate::serve) struct CallLimits {
    with_token: Class,
    without_token: Class,
    /// Timeout of a message's arrival.
    message_timeout: Duration,
}

/// What calls of one kind share.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) calls: OpenCalls,
    pub(super) small: Budget,
    pub(super) large: Budget,
}

/// Large messages that arrive slowly must not delay the small ones, which are the majority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Small,
    Large,
}

impl Lane {
    pub(super) fn of(bytes: usize) -> Self {
        if bytes <= SMALL_BYTES { Self::Small } else { Self::Large }
    }
}

impl Class {
    /// A quarter of `budget` is reserved for small messages.
    fn new(calls: usize, budget: &Budget, bytes: usize) -> Self {
        let small = bytes / 4;
        Self {
            calls: OpenCalls::new(calls, CALLS_OF_TOKEN),
            small: budget.share(small),
            large: budget.share(bytes - small),
        }
    }

    pub(super) fn budget(&self, lane: Lane) -> &Budget {
        match lane {
            Lane::Small => &self.small,
            Lane::Large => &self.large,
        }
    }
}

impl CallLimits {
    /// Calls with a token take at most half of the memory for client data, those without a quarter; HTTP is left at
    /// least the rest.
    pub(in crate::serve) fn new(budget: &Budget, message_timeout: Duration) -> Self {
        Self {
            with_token: Class::new(CALLS, budget, budget.capacity() / 2),
            without_token: Class::new(CALLS_WITHOUT_TOKEN, budget, budget.capacity() / 4),
            message_timeout,
        }
    }

    /// An invalid token is refused before the body is read, so that having one at all is enough here.
    fn class(&self, headers: &HeaderMap) -> &Class {
        if headers.contains_key(AUTHORIZATION) {
            &self.with_token
        } else {
            &self.without_token
        }
    }
}

/// How the messages of a method arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Messages {
    /// Bytes of one message.
    pub(super) limit: usize,
    /// An unbounded stream: messages arrive one by one, and each is finished when the next one is polled.
    /// Otherwise they are one request, which must arrive in time and is kept until it is answered.
    pub(super) endless: bool,
}

impl Messages {
    fn of(path: &str) -> Self {
        // Services have limits of their own besides these.
        let limit = if path.ends_with("/Handshake") {
            HANDSHAKE_BYTES
        } else {
            usize::MAX
        };
        let endless = path == "/footfall.v1.IngestService/Publish";
        Self { limit, endless }
    }
}

/// A service whose requests are read within [`CallLimits`].
#[derive(Debug, Clone)]
pub(in crate::serve) struct BoundedCalls<S> {
    service: S,
    limits: CallLimits,
}

impl<S> BoundedCalls<S> {
    pub(in crate::serve) fn new(service: S, limits: CallLimits) -> Self {
        Self { service, limits }
    }
}

impl<S: NamedService> NamedService for BoundedCalls<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for BoundedCalls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let held = Held::default();
        let refusals = request.extensions().get::<TokenRefusals>().cloned();
        let class = self.limits.class(request.headers()).clone();
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        let messages = Messages::of(request.uri().path());
        let timeout = self.limits.message_timeout;
        let bounded = request.map(|body| {
            let body = RequestBody::new(body, class, messages, timeout, held.clone());
            Body::new(body.of_token(authorization))
        });
        let answer = self.service.call(bounded);
        Box::pin(async move {
            let answer = answer.await;
            held.give_back();
            if let (Some(refusals), Ok(answer)) = (refusals, &answer)
                && Status::from_header_map(answer.headers()).is_some_and(|it| it.code() == Code::Unauthenticated)
            {
                refusals.count();
            }
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_without_token_leave_memory_for_others() {
        let limits = CallLimits::new(&Budget::new(1_600), Duration::from_secs(1));
        let mut headers = HeaderMap::new();
        let without = limits.class(&headers).clone();
        let held = [without.small.try_reserve(100), without.large.try_reserve(300)];
        assert!(held.iter().all(Result::is_ok));
        assert!(without.small.try_reserve(1).is_err() && without.large.try_reserve(1).is_err());
        headers.insert(AUTHORIZATION, "Bearer x".parse().unwrap());
        let with = limits.class(&headers);
        let held_too = [with.small.try_reserve(200), with.large.try_reserve(600)];
        assert!(held_too.iter().all(Result::is_ok));
        assert!(with.small.try_reserve(1).is_err() && with.large.try_reserve(1).is_err());
    }

    #[test]
    fn only_event_streams_are_unbounded() {
        assert!(Messages::of("/footfall.v1.IngestService/Publish").endless);
        let put = Messages::of("/arrow.flight.protocol.FlightService/DoPut");
        assert_eq!((put.endless, put.limit), (false, usize::MAX));
        let handshake = Messages::of("/arrow.flight.protocol.FlightService/Handshake");
        assert_eq!((handshake.endless, handshake.limit), (false, HANDSHAKE_BYTES));
    }
}
