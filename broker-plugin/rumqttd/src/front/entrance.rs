//! Where connections come in: none before the host is opened, none after it stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::serve::serve;
use crate::admission::Origin;
use crate::shared::Shared;

/// Connections beyond `connections_max` that may be in their CONNECT, or told that the host is busy.
pub(crate) const HANDSHAKES_MAX: usize = 256;

/// How long to wait when the process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where the host is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Listeners accept nothing: connections wait in their backlog.
    Closed,
    /// Connections are served.
    Open,
    /// Listeners are closed.
    Stopped,
}

/// Takes connections from any number of listeners. Cheap to clone; does not keep the host alive.
#[derive(Clone, Debug)]
pub struct Entrance {
    shared: Arc<Shared>,
    /// One permit for each connection.
    places: Arc<Semaphore>,
}

/// A place for one connection, free again when it is dropped. The host's stop waits for it.
#[derive(Debug)]
#[must_use]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Entrance {
    pub(crate) fn new(shared: Arc<Shared>, places: Arc<Semaphore>) -> Self {
        Self { shared, places }
    }

    /// Serves a connection until its end, in a task of its own. Before the host is opened it waits.
    ///
    /// `stream` carries the bytes of MQTT; what is written to it is flushed. It is dropped without a
    /// word when the host has stopped.
    pub fn serve<S>(&self, place: Place, stream: S, origin: Origin)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let mut phase = self.phase();
        tokio::spawn(async move {
            let open = phase.wait_for(|phase| *phase != Phase::Closed).await;
            let is_open = open.is_ok_and(|phase| *phase == Phase::Open);
            if is_open {
                serve(shared, stream, origin).await;
            }
            drop(place);
        });
    }

    /// Waits for a place: there are as many as `connections_max`, and 256 for connections that are
    /// in their CONNECT or told that the host is busy. A listener that takes its place before it
    /// accepts lets connections wait in the backlog.
    pub async fn place(&self) -> Place {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        Place { _permit: permit.expect("the semaphore is never closed") }
    }

    /// A place, when there is one at this moment.
    #[must_use]
    pub fn place_now(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { _permit: permit })
    }

    /// The host's phase, for listeners.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.shared.phase.subscribe()
    }

    /// Feeds the host from a TCP listener until it stops. The listener is closed then.
    pub async fn accept(self, listener: TcpListener) {
        let mut phase = self.phase();
        while *phase.borrow_and_update() != Phase::Stopped {
            let is_open = *phase.borrow() == Phase::Open;
            tokio::select! {
                () = self.accept_one(&listener), if is_open => (),
                changed = phase.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn accept_one(&self, listener: &TcpListener) {
        let place = self.place().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Acknowledgements are small and waited for. A socket that cannot do this works
                // all the same.
                let _ = stream.set_nodelay(true);
                self.serve(place, stream, Origin { peer, certificate: None });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
