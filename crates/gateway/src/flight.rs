//! The Flight SQL client: statements go out with the caller's token, rows come back. Dropping a result, or the future
//! that waits for it, cancels the query on the server.

mod prepared;

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightInfo;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::{StreamExt, TryStreamExt};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use prepared::PreparedHandles;

use crate::accepted_tokens::AcceptedTokens;
use crate::problem::Problem;
use crate::provenance::Provenance;
use crate::statement::Statement;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Larger than any message that a Flight server sends on its own.
const MAX_MESSAGE: usize = 64 << 20;

/// The largest result that becomes one reply, in bytes; what is larger goes by SQL, which streams.
const MAX_COLLECTED: usize = 16 << 20;

/// How long a report may take, waiting for a slot included.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The address is none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the address of a Flight SQL server; expected one such as grpc://127.0.0.1:31337")]
pub struct AddressError(String);

/// One connection to a server, for all callers whose tokens it has accepted. It is made at the first statement, and
/// again when it is lost.
///
/// A server closes a connection on which many tokens were refused. Other tokens therefore get a connection of their own
/// for each statement, so that theirs is the only one that they end.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    endpoint: Endpoint,
    channel: Channel,
    accepted: AcceptedTokens,
    prepared: PreparedHandles,
}

/// A caller's bearer token. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A result's columns, and its rows as they come.
pub(crate) struct Rows {
    pub(crate) schema: SchemaRef,
    /// What the server says of where they come from; `None` if it does not.
    pub(crate) provenance: Option<Provenance>,
    messages: FlightDataDecoder,
}

/// All rows of a small result.
pub(crate) struct Answer {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) provenance: Provenance,
}

impl Flight {
    /// Must be called within a Tokio runtime. Nothing is sent yet.
    pub(crate) fn new(url: &str) -> Result<Self, AddressError> {
        let invalid = || AddressError(url.to_owned());
        let address = match url.split_once("://") {
            Some(("grpc" | "grpc+tcp" | "http", rest)) if !rest.is_empty() => format!("http://{rest}"),
            _ => return Err(invalid()),
        };
        let endpoint = Endpoint::from_shared(address).map_err(|_| invalid())?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        Ok(Self {
            channel: endpoint.connect_lazy(),
            endpoint,
            accepted: AcceptedTokens::default(),
            prepared: PreparedHandles::default(),
        })
    }

    /// The token is one that the server will accept.
    pub(crate) fn accept(&self, token: &Token) {
        self.accepted.insert(token);
    }

    /// All rows of a small result.
    pub(crate) async fn collect(&self, token: &Token, statement: &Statement) -> Result<Vec<RecordBatch>, Problem> {
        Ok(self.answer(token, statement).await?.batches)
    }

    /// All rows of a small result, and where they come from.
    pub(crate) async fn answer(&self, token: &Token, statement: &Statement) -> Result<Answer, Problem> {
        let collect = async {
            let rows = self.rows(token, statement).await?;
            let provenance = rows.provenance.clone();
            let provenance = provenance.ok_or_else(|| Problem::internal(&"an answer without its provenance"))?;
            let mut rows = Box::pin(rows.stream());
            let (mut batches, mut bytes) = (Vec::new(), 0);
            while let Some(batch) = rows.try_next().await? {
                bytes += batch.get_array_memory_size();
                if bytes > MAX_COLLECTED {
                    return Err(Problem::too_large());
                }
                batches.push(batch);
            }
            Ok(Answer { batches, provenance })
        };
        tokio::time::timeout(TIMEOUT, collect)
            .await
            .map_err(|_| Problem::timeout())?
    }

    pub(crate) async fn rows(&self, token: &Token, statement: &Statement) -> Result<Rows, Problem> {
        // Large, and several run at the same time.
        let accepted = self.accepted.contains(token);
        let channel = match accepted {
            true => self.channel.clone(),
            false => self.endpoint.connect_lazy(),
        };
        let found = Box::pin(self.start(channel, token, statement)).await;
        match (&found, accepted) {
            (Err(FlightError::Tonic(status)), true) if status.code() == Code::Unauthenticated => {
                self.accepted.remove(token);
            }
            (Ok(_), false) => self.accepted.insert(token),
            _ => {}
        }
        found.map_err(|error| problem(&error))
    }

    async fn start(&self, channel: Channel, token: &Token, statement: &Statement) -> Result<Rows, FlightError> {
        tracing::debug!(sql = statement.literal(), "statement");
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let mut client = FlightSqlServiceClient::new_from_inner(inner);
        client.set_token(token.expose().to_owned());
        let text = statement.text();
        let info = match statement.parameters()? {
            None => client.execute(text, None).await?,
            Some(parameters) => self.prepared.execute(&mut client, &text, parameters).await?,
        };
        fetch(&mut client, info).await
    }
}

/// The server answers with one endpoint, at the same address.
async fn fetch(client: &mut FlightSqlServiceClient<Channel>, info: FlightInfo) -> Result<Rows, FlightError> {
    let schema = info.clone().try_decode_schema()?;
    let mut endpoints = info.endpoint.into_iter();
    let (Some(endpoint), None) = (endpoints.next(), endpoints.next()) else {
        return Err(FlightError::protocol("expected a result with one endpoint"));
    };
    let ticket = endpoint
        .ticket
        .ok_or_else(|| FlightError::protocol("expected an endpoint with a ticket"))?;
    let mut messages = client.do_get(ticket).await?.into_inner();
    // The first message is the schema's, and the server sends it with what it knows of the rows to come.
    let first = messages.try_next().await?;
    Ok(Rows {
        schema: schema.into(),
        provenance: first.and_then(|message| Provenance::decode(&message.app_metadata())),
        messages,
    })
}

pub(crate) fn problem(error: &FlightError) -> Problem {
    match error {
        FlightError::Tonic(status) => Problem::of_status(status),
        other => Problem::internal(other),
    }
}

impl Rows {
    /// The rows, with errors as problems.
    pub(crate) fn stream(self) -> impl futures::Stream<Item = Result<RecordBatch, Problem>> {
        self.messages.filter_map(|message| {
            let batch = match message {
                Ok(message) => match message.payload {
                    DecodedPayload::RecordBatch(batch) => Some(Ok(batch)),
                    DecodedPayload::None | DecodedPayload::Schema(_) => None,
                },
                Err(error) => Some(Err(problem(&error))),
            };
            std::future::ready(batch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn server_that_is_away_is_unavailable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("grpc://{}", listener.local_addr().unwrap());
        drop(listener);
        let flight = Flight::new(&address).unwrap();
        let problem = flight
            .collect(&Token::new("t"), &Statement::new("SELECT 1"))
            .await
            .unwrap_err();
        assert_eq!(problem.status().as_u16(), 503);
    }

    #[test]
    fn odd_addresses_are_refused() {
        for address in ["", "127.0.0.1:1", "grpc://", "ftp://h:1"] {
            assert!(Flight::new(address).is_err(), "{address}");
        }
    }
}
