//! The connections of the health port.
//!
//! One request per connection, in bounded time: a probe needs no more, and a client that sends or
//! reads slowly cannot hold a place for long. `axum::serve` has no such limit.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};

use super::{Health, Metrics, routes::routes};

/// Connections served at once; further ones wait in the backlog. Probes and scrapes of a few
/// load balancers need a dozen.
pub const CONNECTIONS_MAX: usize = 128;

/// From accepting a connection to the last byte of its answer. Prometheus gives up after 10 s.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// Pause after `accept` failed, usually because the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers that have begun get when the process stops.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Bytes of a request's header; a probe sends a few hundred.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Answers on `listener` until `shutdown` resolves, then lets begun answers end for up to 1 s.
///
/// Never fails: what one connection does wrong ends that connection only.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics, shutdown: impl Future) {
    let routes = routes(health, metrics);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            _ = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        match accepted {
            Ok((stream, _)) => drop(connections.spawn(answer(stream, routes.clone()))),
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Those that are late are closed when `connections` is dropped.
    drop(time::timeout(DRAIN_TIME, drained).await);
}

async fn answer(stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // Nothing is lost with a probe that failed halfway: it asks again.
    drop(time::timeout(CONNECTION_TIME_MAX, connection).await);
}
