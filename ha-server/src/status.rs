//! `ha-server status`: asks a running ha-server and prints its answer.

mod failovers;
mod print;

use std::time::Duration;

use ha_proto::v1::admin_client::AdminClient;
use ha_proto::v1::{StatusRequest, StatusResponse};
use tonic::transport::{Channel, Endpoint};

pub(crate) use print::render;

/// How long a running ha-server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error("--server {0}: expected HOST:PORT")]
    Address(String),
    #[error("no ha-server answers at {0}; name another with --server HOST:PORT")]
    Connect(String, #[source] tonic::transport::Error),
    #[error("ha-server at {0} does not tell its status")]
    Refused(String, #[source] Box<tonic::Status>),
}

pub(crate) async fn fetch(server: &str) -> Result<StatusResponse, StatusError> {
    let status = client(server, ANSWER_MAX).await?.status(StatusRequest {}).await;
    let refused = |status| StatusError::Refused(server.to_owned(), Box::new(status));
    Ok(status.map_err(refused)?.into_inner())
}

/// A connection to a running ha-server, whose answers may take so long.
pub(crate) async fn client(
    server: &str,
    answer_max: Duration,
) -> Result<AdminClient<Channel>, StatusError> {
    let endpoint = Endpoint::from_shared(format!("http://{server}"))
        .map_err(|_| StatusError::Address(server.to_owned()))?
        .connect_timeout(ANSWER_MAX)
        .timeout(answer_max);
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|error| StatusError::Connect(server.to_owned(), error))?;
    Ok(AdminClient::new(channel))
}
