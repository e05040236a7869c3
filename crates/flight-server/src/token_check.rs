//! Checks the token in a call's headers before a byte of its body is read: what a client without a token sends takes no
//! memory but its connection's windows.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;

use crate::auth::Auth;
use crate::call::Call;

/// The methods of `FlightService`, as metrics name them.
const METHODS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

/// Passes a call on to `S` only if its token permits it.
#[derive(Debug, Clone)]
pub struct TokenCheck<S> {
    service: S,
    auth: Arc<Auth>,
}

impl<S> TokenCheck<S> {
    pub(crate) fn new(service: S, auth: Arc<Auth>) -> Self {
        Self { service, auth }
    }
}

impl<S: NamedService> NamedService for TokenCheck<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for TokenCheck<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The clone takes the next call; this one is ready.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        let auth = Arc::clone(&self.auth);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let metadata = MetadataMap::from_headers(head.headers.clone());
            let method = method(head.uri.path());
            match check(&auth, method, &metadata).await {
                Ok(()) => service.call(http::Request::from_parts(head, body)).await,
                Err(status) => {
                    let counted = Call::begin(method.unwrap_or("unknown"));
                    let refused = counted.answer(async { Err::<Infallible, _>(status) }).await;
                    Ok(refused.map_or_else(Status::into_http, |never| match never {}))
                }
            }
        })
    }
}

/// Every method but two is for readers.
async fn check(auth: &Auth, method: Option<&str>, metadata: &MetadataMap) -> Result<(), Status> {
    match method {
        Some("Handshake" | "ListActions") => auth.principal(metadata).await.map(|_| ()),
        _ => auth.reader(metadata).await.map(|_| ()),
    }
}

fn method(path: &str) -> Option<&'static str> {
    let (_, name) = path.rsplit_once('/')?;
    METHODS.into_iter().find(|method| *method == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_identified_by_path() {
        let service = "/arrow.flight.protocol.FlightService";
        for name in METHODS {
            assert_eq!(method(&format!("{service}/{name}")), Some(name));
        }
        assert_eq!(method(&format!("{service}/DoNothing")), None);
        assert_eq!(method("nothing"), None);
    }
}
