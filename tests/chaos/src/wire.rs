//! A connection to a broker: packets over TCP, with a limit on everything that waits.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use broker_core::codec::{
    Connack, Connect, DecodeError, FromClient, FromServer, Reason, Recipient, Version, frame,
};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

/// How long a broker may take to accept a connection, to answer CONNECT, or to take a packet. Longer
/// than brokers hold a CONNECT back when there is no leader.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Largest packet that is read: ours are small.
const PACKET_BYTES_MAX: usize = 1 << 16;

/// Why a connection is no more.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says what happened")]
pub enum Lost {
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    #[error("the broker closed the connection")]
    Closed,
    #[error("DISCONNECT came with {:#04x}", .0.0)]
    Disconnected(Reason),
    #[error("the broker did not answer in time")]
    Silent,
    #[error("CONNECT was refused with {:#04x}", .0.0)]
    Refused(Reason),
    #[error("the broker sent what is not MQTT")]
    NotMqtt(#[from] DecodeError),
    #[error("CONNECT was answered with {0:?}")]
    NoConnack(Box<FromServer>),
}

impl Lost {
    /// Whether no failure of anything can be the cause.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Closed | Self::Silent => false,
            Self::Disconnected(reason) | Self::Refused(reason) => !EXCUSES.contains(reason),
            Self::NotMqtt(_) | Self::NoConnack(_) => true,
        }
    }
}

/// Reasons that a broker may give when something failed. With any other it says that the client did
/// what it must not do, and ours do not.
const EXCUSES: [Reason; 10] = [
    Reason::SUCCESS,
    Reason::UNSPECIFIED_ERROR,
    Reason::SERVER_UNAVAILABLE,
    Reason::SERVER_BUSY,
    Reason::SERVER_SHUTTING_DOWN,
    Reason::KEEP_ALIVE_TIMEOUT,
    Reason::SESSION_TAKEN_OVER,
    Reason::ADMINISTRATIVE_ACTION,
    Reason::USE_ANOTHER_SERVER,
    Reason::SERVER_MOVED,
];

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    input: BytesMut,
    version: Version,
}

impl Connection {
    /// Connects, without any packet.
    ///
    /// # Errors
    /// [`Lost::Broken`] or [`Lost::Silent`].
    pub async fn open(address: SocketAddr, version: Version) -> Result<Self, Lost> {
        let socket = within(TcpStream::connect(address)).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, input: BytesMut::new(), version })
    }

    /// Sends CONNECT and waits for a CONNACK that accepts it.
    ///
    /// # Errors
    /// Any [`Lost`].
    pub async fn accepted(&mut self, connect: &Connect) -> Result<Connack, Lost> {
        let mut out = BytesMut::new();
        connect.encode(&mut out).expect("ours are small");
        within(self.socket.write_all(&out)).await?;
        match time::timeout(PATIENCE, self.receive()).await {
            Err(_) => Err(Lost::Silent),
            Ok(Err(lost)) => Err(lost),
            Ok(Ok(FromServer::Connack(connack))) if connack.reason == Reason::SUCCESS => {
                Ok(connack)
            }
            Ok(Ok(FromServer::Connack(connack))) => Err(Lost::Refused(connack.reason)),
            Ok(Ok(other)) => Err(Lost::NoConnack(Box::new(other))),
        }
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// [`Lost::Broken`] or [`Lost::Silent`].
    pub async fn send(&mut self, packet: &FromClient) -> Result<(), Lost> {
        let mut out = BytesMut::new();
        packet.encode(&Recipient::any(self.version), &mut out).expect("ours are small");
        within(self.socket.write_all(&out)).await
    }

    /// The next packet. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Lost::Broken`], [`Lost::Closed`] or [`Lost::NotMqtt`].
    pub async fn receive(&mut self) -> Result<FromServer, Lost> {
        loop {
            if let Some(frame) = frame::split(&mut self.input, PACKET_BYTES_MAX)? {
                return Ok(FromServer::decode(self.version, frame)?);
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Err(Lost::Closed);
            }
        }
    }
}

async fn within<T>(done: impl Future<Output = io::Result<T>>) -> Result<T, Lost> {
    match time::timeout(PATIENCE, done).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Lost::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_failure_can_cause_is_excused() {
        assert!(!Lost::Disconnected(Reason::SESSION_TAKEN_OVER).is_odd());
        assert!(!Lost::Refused(Reason::SERVER_UNAVAILABLE).is_odd());
        assert!(Lost::Disconnected(Reason::PROTOCOL_ERROR).is_odd());
        assert!(Lost::Refused(Reason::NOT_AUTHORIZED).is_odd());
        assert!(Lost::NotMqtt(DecodeError::Malformed("x")).is_odd());
    }
}
