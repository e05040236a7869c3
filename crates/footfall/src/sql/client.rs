//! A connection to a Flight SQL server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightEndpoint, Ticket};
use futures::StreamExt;
use tonic::transport::{Channel, Endpoint};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Larger than any message that a Flight server sends on its own.
const MAX_MESSAGE: usize = 64 << 20;

/// A connected server, and a token for it.
#[derive(Debug)]
pub(crate) struct Client {
    service: FlightSqlServiceClient<Channel>,
}

/// A result being streamed. Dropping it cancels the query.
pub(crate) struct ResultStream {
    pub(crate) schema: SchemaRef,
    service: FlightSqlServiceClient<Channel>,
    endpoints: std::vec::IntoIter<FlightEndpoint>,
    stream: Option<FlightRecordBatchStream>,
}

impl Client {
    /// `server`: such as `grpc://127.0.0.1:31337`.
    pub(crate) async fn connect(server: &str, token: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(http_address(server)?)
            .with_context(|| {
                format!("{server:?} is not the address of a server; expected one such as grpc://127.0.0.1:31337")
            })?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        let channel = endpoint.connect().await;
        let channel = channel.with_context(|| {
            format!("cannot reach {server}; is the server running, and is this its Flight address?")
        })?;
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let mut service = FlightSqlServiceClient::new_from_inner(inner);
        service.set_token(token.to_owned());
        Ok(Self { service })
    }

    /// From now on, answers are computed from events alone.
    pub(crate) fn without_routing(&mut self) {
        self.service.set_header("footfall.routing", "off");
    }

    /// Rows flow as the result is polled.
    pub(crate) async fn query(&mut self, sql: &str) -> anyhow::Result<ResultStream> {
        let info = self
            .service
            .execute(sql.to_owned(), None)
            .await
            .map_err(in_plain_words)?;
        let endpoints = info.endpoint.clone().into_iter();
        let schema = info.try_decode_schema().unwrap_or_else(|_| Schema::empty());
        let mut answer = ResultStream {
            schema: Arc::new(schema),
            service: self.service.clone(),
            endpoints,
            stream: None,
        };
        if answer.schema.fields().is_empty() {
            answer.open_next().await?;
            if let Some(received) = answer.stream.as_ref().and_then(FlightRecordBatchStream::schema) {
                answer.schema = Arc::clone(received);
            }
        }
        Ok(answer)
    }

    /// All rows of a small result.
    pub(crate) async fn collect(&mut self, sql: &str) -> anyhow::Result<(SchemaRef, Vec<RecordBatch>)> {
        let mut answer = self.query(sql).await?;
        let mut batches = Vec::new();
        while let Some(batch) = answer.next().await? {
            batches.push(batch);
        }
        Ok((answer.schema, batches))
    }
}

impl ResultStream {
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<RecordBatch>> {
        loop {
            if let Some(stream) = &mut self.stream {
                match stream.next().await {
                    Some(batch) => return batch.map(Some).map_err(in_plain_words),
                    None => self.stream = None,
                }
            }
            if !self.open_next().await? {
                return Ok(None);
            }
        }
    }

    /// False if there is no further endpoint.
    async fn open_next(&mut self) -> anyhow::Result<bool> {
        let Some(endpoint) = self.endpoints.next() else {
            return Ok(false);
        };
        let ticket: Ticket = endpoint
            .ticket
            .context("the server sent an endpoint without a ticket")?;
        self.stream = Some(self.service.do_get(ticket).await.map_err(in_plain_words)?);
        Ok(true)
    }
}

/// The server's own text, without the transport's wrapping.
fn in_plain_words(error: FlightError) -> anyhow::Error {
    match error {
        FlightError::Tonic(status) if status.message().is_empty() => {
            anyhow!("the server answered {:?} and gave no reason", status.code())
        }
        FlightError::Tonic(status) => anyhow!("{}", crate::cli::printable_lines(status.message())),
        other => other.into(),
    }
}

/// The address at which this machine reaches a server that listens on `listen`.
pub(crate) fn local_address(listen: SocketAddr) -> String {
    let mut there = listen;
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => there.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => there.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    format!("grpc://{there}")
}

/// What the transport calls it.
fn http_address(server: &str) -> anyhow::Result<String> {
    match server.split_once("://") {
        Some(("http" | "grpc" | "grpc+tcp", rest)) if !rest.is_empty() => Ok(format!("http://{rest}")),
        Some(("https" | "grpc+tls" | "grpcs", _)) => bail!("{server}: this client does not speak TLS yet; use grpc://"),
        None if !server.is_empty() => Ok(format!("http://{server}")),
        _ => bail!("{server:?} is not the address of a server; expected one such as grpc://127.0.0.1:31337"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_address_forms_are_parsed() {
        for server in ["grpc://h:1", "http://h:1", "grpc+tcp://h:1", "h:1"] {
            assert_eq!(http_address(server).unwrap(), "http://h:1", "{server}");
        }
        assert!(http_address("grpc+tls://h:1").unwrap_err().to_string().contains("TLS"));
        for server in ["", "ftp://h", "grpc://"] {
            assert!(http_address(server).is_err(), "{server}");
        }
    }

    #[test]
    fn wildcard_listen_address_becomes_loopback() {
        assert_eq!(
            local_address("0.0.0.0:31337".parse().unwrap()),
            "grpc://127.0.0.1:31337"
        );
        assert_eq!(local_address("[::]:31337".parse().unwrap()), "grpc://[::1]:31337");
        assert_eq!(local_address("10.1.2.3:5".parse().unwrap()), "grpc://10.1.2.3:5");
    }

    #[tokio::test]
    async fn unreachable_server_error_names_the_address() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("grpc://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::connect(&address, "t").await.unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("is the server running"),
            "{error}"
        );
    }
}
