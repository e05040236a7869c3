//! The RPCs: each authenticates the caller and delegates.
//!
//! `FlightService` is implemented by hand, because arrow-flight's `FlightSqlService` supports neither GetSchema nor
//! PollFlightInfo nor a truthful ListActions, and answers damaged commands with INTERNAL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use footfall_catalog::Directory;
use footfall_model::access::Principal;
use footfall_query::Engine;
use futures::future;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use crate::active_queries::{ActiveQueries, ActiveQuery};
use crate::auth::Auth;
use crate::call::{self, Call, Messages, Reply};
use crate::client::ClientKind;
use crate::stream::Rows;
use crate::{FlightOptions, actions, handle, metadata, put, session, statements, status, stream as rows};

/// How many messages a client may still send after our reply, and how long it may take to end.
const HANDSHAKE_MESSAGES: usize = 16;
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct FlightSql {
    engine: Arc<Engine>,
    auth: Arc<Auth>,
    running: Arc<ActiveQueries>,
    options: FlightOptions,
}

type Answers<T> = BoxStream<'static, Result<T, Status>>;

impl FlightSql {
    pub(crate) fn new(engine: Arc<Engine>, directory: Arc<Directory>, options: FlightOptions) -> Self {
        Self {
            engine,
            auth: Arc::new(Auth::new(directory)),
            running: Arc::default(),
            options,
        }
    }

    pub(crate) fn auth(&self) -> Arc<Auth> {
        Arc::clone(&self.auth)
    }

    pub(crate) fn max_request_bytes(&self) -> usize {
        self.options.max_request_bytes
    }

    /// The open streams, for tests.
    #[cfg(test)]
    pub(crate) fn running(&self) -> Arc<ActiveQueries> {
        Arc::clone(&self.running)
    }

    /// The schema and the ticket for a descriptor.
    async fn promise(
        &self,
        principal: &Principal,
        client: ClientKind,
        descriptor: &FlightDescriptor,
    ) -> Result<(SchemaRef, Ticket), Status> {
        let command = handle::command(&descriptor.cmd).map_err(status::of_malformed)?;
        call::record_command(command.type_url());
        if let Some(statement) = statements::asked(&command)? {
            let (schema, ticket) = statements::promise(&self.engine, &self.running, principal, statement).await?;
            return Ok((client.schema(&schema), ticket));
        }
        match metadata::answer(&command, &self.engine.tables(&principal.sites), client)? {
            Some(batch) => Ok((batch.schema(), Ticket::new(descriptor.cmd.clone()))),
            None => Err(not_offered(command.type_url())),
        }
    }

    async fn info(
        &self,
        principal: &Principal,
        client: ClientKind,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Status> {
        let (schema, ticket) = self.promise(principal, client, &descriptor).await?;
        let info = FlightInfo::new().try_with_schema(&schema).map_err(status::internal)?;
        Ok(info
            .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
            .with_descriptor(descriptor))
    }

    async fn get(
        &self,
        started: Instant,
        principal: &Principal,
        headers: &MetadataMap,
        ticket: &Ticket,
    ) -> Result<(Messages, Option<ActiveQuery>), Status> {
        let client = ClientKind::of(headers);
        let command = handle::command(&ticket.ticket).map_err(status::of_malformed)?;
        call::record_command(command.type_url());
        let Some(statement) = statements::asked(&command)? else {
            return match metadata::answer(&command, &self.engine.tables(&principal.sites), client)? {
                Some(batch) => Ok((rows::encode(Rows::once(batch), &self.options)?, None)),
                None => Err(not_offered(command.type_url())),
            };
        };
        let (entry, registration) = self.running.enter(statement.run, principal);
        let caller = session::caller(principal, headers);
        let found = statements::rows(&self.engine, caller, statement).await?;
        let messages = rows::encode(client.rows(rows::timed(found, started)), &self.options)?;
        Ok((rows::abortable(messages, registration).boxed(), Some(entry)))
    }
}

#[tonic::async_trait]
impl FlightService for FlightSql {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Reply;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    /// The token is returned, from Basic or Bearer alike; the content of the client's messages does not matter.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Call::begin("Handshake")
            .answer(async {
                let (_, token) = self.auth.principal(request.metadata()).await?;
                let header = MetadataValue::try_from(format!("Bearer {}", token.expose()));
                let header = header.map_err(|_| Status::unauthenticated("the token is not printable ASCII"))?;
                let reply = HandshakeResponse {
                    protocol_version: 0,
                    payload: token.expose().to_owned().into(),
                };
                let answers = stream::once(future::ready(Ok(reply))).chain(listen(request.into_inner()));
                let mut response = Response::new(answers.boxed());
                response.metadata_mut().insert("authorization", header);
                Ok(response)
            })
            .await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        Call::begin("GetFlightInfo")
            .answer(async {
                let principal = self.auth.reader(request.metadata()).await?;
                let client = ClientKind::of(request.metadata());
                let info = self.info(&principal, client, request.into_inner()).await?;
                Ok(Response::new(info))
            })
            .await
    }

    /// Complete at once: a statement starts to run when its rows are requested.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Call::begin("PollFlightInfo")
            .answer(async {
                let principal = self.auth.reader(request.metadata()).await?;
                let client = ClientKind::of(request.metadata());
                let info = self.info(&principal, client, request.into_inner()).await?;
                let poll = PollInfo::new().with_info(info).try_with_progress(1.0);
                Ok(Response::new(poll.map_err(status::internal)?))
            })
            .await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        Call::begin("GetSchema")
            .answer(async {
                let principal = self.auth.reader(request.metadata()).await?;
                let client = ClientKind::of(request.metadata());
                let (schema, _) = self.promise(&principal, client, request.get_ref()).await?;
                let schema = statements::ipc(&schema)?;
                Ok(Response::new(SchemaResult { schema }))
            })
            .await
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let call = Call::begin("DoGet");
        let started = call.started();
        let reply = call
            .stream(async {
                let principal = self.auth.reader(request.metadata()).await?;
                self.get(started, &principal, request.metadata(), request.get_ref())
                    .await
            })
            .await?;
        Ok(Response::new(reply))
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Call::begin("DoPut")
            .answer(async {
                let principal = self.auth.reader(request.metadata()).await?;
                let result = put::put(&self.engine, &principal, request.into_inner()).await?;
                Ok(Response::new(stream::once(future::ready(Ok(result))).boxed()))
            })
            .await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        Call::begin("DoAction")
            .answer(async {
                let principal = self.auth.reader(request.metadata()).await?;
                let client = ClientKind::of(request.metadata());
                let action = request.into_inner();
                let body = actions::act(&self.engine, &self.running, &principal, client, action).await?;
                let results = body.map(|body| Ok(arrow_flight::Result { body }));
                Ok(Response::new(stream::iter(results).boxed()))
            })
            .await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Call::begin("ListActions")
            .answer(async {
                self.auth.principal(request.metadata()).await?;
                Ok(Response::new(
                    stream::iter(actions::offered().into_iter().map(Ok)).boxed(),
                ))
            })
            .await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Call::begin("ListFlights")
            .answer(async {
                self.auth.reader(request.metadata()).await?;
                Err(Status::unimplemented(
                    "flights are not listed; use CommandGetTables for tables",
                ))
            })
            .await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Call::begin("DoExchange")
            .answer(async {
                self.auth.reader(request.metadata()).await?;
                Err(Status::unimplemented(
                    "DoExchange is not offered; Flight SQL does not use it",
                ))
            })
            .await
    }
}

/// Reads what the client still sends, so that it can end its side: some clients take an early end of ours for a
/// failure.
fn listen(messages: Streaming<HandshakeRequest>) -> impl Stream<Item = Result<HandshakeResponse, Status>> + Send {
    let rest = messages.take(HANDSHAKE_MESSAGES).for_each(|_| future::ready(()));
    let patient = async move {
        let _ = tokio::time::timeout(HANDSHAKE_PATIENCE, rest).await;
        None
    };
    stream::once(patient).filter_map(future::ready)
}

fn not_offered(type_url: &str) -> Status {
    Status::unimplemented(format!("{type_url} is neither a query nor a metadata command"))
}
