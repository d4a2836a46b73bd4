//! Accepts sockets: none before the host is opened, none after it stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::serve::serve;
use crate::shared::Shared;

/// Sockets beyond `connections_max` that may be in their CONNECT, or told that the host is busy.
pub(crate) const HANDSHAKES_MAX: usize = 256;

/// How long to wait when the process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where the host is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Connections wait in the backlog of the listener.
    Closed,
    /// Connections are accepted.
    Open,
    /// The listener is closed.
    Stopped,
}

/// Runs until `phase` is [`Phase::Stopped`] or nobody can change it any more.
pub(crate) async fn run(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut phase: watch::Receiver<Phase>,
    sockets: Arc<Semaphore>,
) {
    while *phase.borrow_and_update() == Phase::Closed {
        if phase.changed().await.is_err() {
            return;
        }
    }
    while *phase.borrow_and_update() == Phase::Open {
        tokio::select! {
            () = accept_one(&shared, &listener, &sockets) => (),
            changed = phase.changed() => if changed.is_err() { return },
        }
    }
}

async fn accept_one(shared: &Arc<Shared>, listener: &TcpListener, sockets: &Arc<Semaphore>) {
    let permit = Arc::clone(sockets).acquire_owned().await;
    let permit = permit.expect("the semaphore is never closed");
    match listener.accept().await {
        Ok((stream, _)) => drop(tokio::spawn(serve(Arc::clone(shared), stream, permit))),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}
