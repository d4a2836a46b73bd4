//! Accepts connections: none before the host is open, none after it stops.
//!
//! One task per listener. It never waits for a peer, and never ends because of one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::config::ListenerConfig;
use crate::counters::ListenerCounters;
use crate::half_open::{HalfOpen, Room};
use crate::handshake::{Arrived, HandshakeError, plain, sends_header, shake_hands};

/// How long to wait when the process or the machine is out of descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where the host is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections wait in the backlog of the listener.
    Closed,
    /// Connections are accepted.
    Open,
    /// The listener is closed, and what has not arrived is dropped.
    Stopped,
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is in use, not of this machine, or not allowed.
    #[error("{name}: cannot listen on {address}")]
    Bind {
        /// Which listener.
        name: Arc<str>,
        /// Where it should be.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A bound port. Connections wait in its backlog until [`Listener::run`].
#[derive(Debug)]
pub struct Listener {
    config: Arc<ListenerConfig>,
    socket: TcpListener,
    address: SocketAddr,
    counters: Arc<ListenerCounters>,
}

impl Listener {
    /// Binds the port. Must be called within a runtime.
    ///
    /// # Errors
    /// What the operating system says, with the listener's name and address.
    pub fn bind(config: ListenerConfig) -> Result<Self, ListenError> {
        match listen(&config) {
            Ok((socket, address)) => {
                let counters = Arc::default();
                Ok(Self { config: Arc::new(config), socket, address, counters })
            }
            Err(source) => {
                let ListenerConfig { name, address, .. } = config;
                Err(ListenError::Bind { name, address, source })
            }
        }
    }

    /// Where it listens; with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The counters, to be kept for metrics.
    pub fn counters(&self) -> Arc<ListenerCounters> {
        Arc::clone(&self.counters)
    }

    /// Accepts while `phase` is [`Phase::Open`], and hands what is ready to `arrived`.
    ///
    /// Runs until [`Phase::Stopped`], or until nobody changes the phase or takes connections any
    /// more. While `arrived` is full nobody is accepted.
    pub async fn run(self, phase: watch::Receiver<Phase>, arrived: mpsc::Sender<Arrived>) {
        let limits = self.config.handshakes;
        let running = Running {
            half_open: HalfOpen::new(limits.at_once_max.max(1), limits.grace),
            ready: None,
            retry_at: None,
            listener: self,
        };
        running.run(phase, arrived).await;
    }
}

fn listen(config: &ListenerConfig) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if config.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Elsewhere than on Unix this would let two programs share the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(config.address)?;
    let socket = socket.listen(config.backlog)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

type Shaken = (SocketAddr, Result<Arrived, HandshakeError>);

struct Running {
    listener: Listener,
    half_open: HalfOpen<Shaken>,
    /// What the host has not taken. Nothing is accepted meanwhile.
    ready: Option<Arrived>,
    /// Set while accepting is out of descriptors or memory.
    retry_at: Option<Instant>,
}

impl Running {
    async fn run(mut self, mut phase: watch::Receiver<Phase>, arrived: mpsc::Sender<Arrived>) {
        loop {
            let current = *phase.borrow_and_update();
            if current == Phase::Stopped {
                return;
            }
            let is_free = self.ready.is_none();
            let room = self.half_open.room();
            let accepts = is_free && current == Phase::Open && room != Room::None;
            let socket = &self.listener.socket;
            tokio::select! {
                changed = phase.changed() => if changed.is_err() { return },
                () = arrived.closed(), if is_free => return,
                permit = arrived.reserve(), if !is_free => match permit {
                    Ok(permit) => self.hand_over(permit),
                    Err(_) => return,
                },
                shaken = self.half_open.next(), if is_free && !self.half_open.is_empty() => {
                    self.end_handshake(shaken);
                }
                accepted = accept(socket, room, self.retry_at), if accepts => self.take(accepted),
            }
        }
    }

    fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, peer)) => {
                self.retry_at = None;
                self.listener.counters.accepted.count();
                // A packet is worth more than a full segment. It fails only on a dead socket.
                let _ = stream.set_nodelay(true);
                self.begin(stream, SocketAddr::new(peer.ip().to_canonical(), peer.port()));
            }
            Err(error) if is_about_one_connection(&error) => (),
            Err(error) => {
                self.listener.counters.starved.count();
                let retry_at = Instant::now() + ACCEPT_RETRY;
                if self.retry_at.replace(retry_at).is_none() {
                    let listener = &*self.listener.config.name;
                    tracing::warn!(listener, %error, "cannot accept connections, trying on");
                }
            }
        }
    }

    fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        let config = &self.listener.config;
        if config.tls.is_none() && config.websocket.is_none() && !sends_header(config, peer) {
            self.ready = Some(plain(config, stream, peer));
            return;
        }
        if self.half_open.room() != Room::Free {
            self.half_open.shed();
            self.listener.counters.shed.count();
        }
        let handshake = shake_hands(Arc::clone(config), stream, peer);
        self.half_open.begin(async move { (peer, handshake.await) });
    }

    fn end_handshake(&mut self, shaken: Option<Shaken>) {
        match shaken {
            Some((_, Ok(arrived))) => self.ready = Some(arrived),
            Some((peer, Err(error))) => {
                self.listener.counters.failed.count();
                let listener = &*self.listener.config.name;
                let error = &error as &dyn std::error::Error;
                tracing::debug!(listener, %peer, error, "a handshake failed");
            }
            // It was shed, and counted then.
            None => (),
        }
    }

    fn hand_over(&mut self, permit: mpsc::Permit<'_, Arrived>) {
        if let Some(arrived) = self.ready.take() {
            self.listener.counters.arrived.count();
            permit.send(arrived);
        }
    }
}

/// Waits for room, then for a connection.
async fn accept(
    socket: &TcpListener,
    room: Room,
    retry_at: Option<Instant>,
) -> io::Result<(TcpStream, SocketAddr)> {
    if let Room::From(at) = room {
        sleep_until(at).await;
    }
    if let Some(at) = retry_at {
        sleep_until(at).await;
    }
    socket.accept().await
}

/// Whether only a connection died in the backlog, and the next one may be accepted at once.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
