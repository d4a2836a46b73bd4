//! As much of an MQTT client as a measurement needs, over a raw socket.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::compose::{Connect, DISCONNECT, put_subscribe};
pub(crate) use crate::compose::{Session, Will};
use crate::connector::Connector;
use crate::packet::{self, Found, Packet, Protocol};
use crate::stream::{Stream, send};

/// Room for the first answers; many connections may be open.
const ANSWER_BYTES: usize = 64;

/// Room for what is read.
const READ_BYTES: usize = 1 << 16;

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) socket: Stream,
    /// What came behind CONNACK.
    pub(crate) buffer: BytesMut,
    pub(crate) found: Found,
    /// Publishes of QoS 1 and 2 that the broker takes at a time.
    pub(crate) receive_maximum: u16,
    protocol: Protocol,
}

/// Connects by MQTT 3.1.1, without TLS.
pub(crate) async fn connect(
    address: &str,
    client_id: &str,
    session: Session,
) -> io::Result<Connected> {
    Connector::default().connect(address, client_id, session).await
}

/// The same with a will, and a session that ends with the connection.
pub(crate) async fn connect_with_will(
    address: &str,
    client_id: &str,
    will: Will<'_>,
) -> io::Result<Connected> {
    let (protocol, session) = (Protocol::V311, Session::Clean);
    let socket = Connector::default().dial(address).await?;
    open(socket, Connect { protocol, client_id, session, will: Some(will) }).await
}

/// Ends a session that is kept.
pub(crate) async fn forget(address: &str, client_id: &str) -> io::Result<()> {
    Connector::default().forget(address, client_id).await
}

impl Connector {
    pub(crate) async fn connect(
        &self,
        address: &str,
        client_id: &str,
        session: Session,
    ) -> io::Result<Connected> {
        let connect = Connect { protocol: self.protocol, client_id, session, will: None };
        open(self.dial(address).await?, connect).await
    }

    /// Ends a session that is kept.
    pub(crate) async fn forget(&self, address: &str, client_id: &str) -> io::Result<()> {
        self.connect(address, client_id, Session::Clean).await?.leave().await
    }

    /// The same of many, each with its address. What was measured counts, whatever becomes of this.
    pub(crate) async fn forget_all<'a>(&self, sessions: impl Iterator<Item = (&'a str, String)>) {
        for (address, client_id) in sessions {
            if let Err(error) = self.forget(address, &client_id).await {
                eprintln!("ha-bench: the session of {client_id} stays at {address}: {error}");
                return;
            }
        }
    }
}

async fn open(mut socket: Stream, connect: Connect<'_>) -> io::Result<Connected> {
    let protocol = connect.protocol;
    let mut out = BytesMut::new();
    connect.put(&mut out);
    send(&mut socket, &out).await?;
    let mut buffer = BytesMut::with_capacity(ANSWER_BYTES);
    let connack = |packet| match packet {
        Packet::Connack { found, code, receive_maximum } => Some((found, code, receive_maximum)),
        _ => None,
    };
    match expect(&mut socket, &mut buffer, protocol, connack).await? {
        (found, 0, receive_maximum) => {
            Ok(Connected { socket, buffer, found, receive_maximum, protocol })
        }
        (_, code, _) => Err(io::Error::other(format!("CONNECT was refused with {code}"))),
    }
}

impl Connected {
    /// Subscribes and waits until it is granted.
    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        let mut out = BytesMut::new();
        put_subscribe(&mut out, self.protocol, filter, qos);
        send(&mut self.socket, &out).await?;
        let suback = |packet| if let Packet::Suback(code) = packet { Some(code) } else { None };
        match expect(&mut self.socket, &mut self.buffer, self.protocol, suback).await? {
            granted if granted == qos => Ok(()),
            code => Err(io::Error::other(format!("SUBSCRIBE was answered with {code:#04x}"))),
        }
    }

    /// Says goodbye and waits until the broker closes.
    pub(crate) async fn leave(mut self) -> io::Result<()> {
        send(&mut self.socket, &DISCONNECT).await?;
        loop {
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(()),
                // Brokers close without the end of TLS.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => drop(read?),
            }
            self.buffer.clear();
        }
    }
}

/// Reads packets until one comes that is waited for.
async fn expect<T>(
    socket: &mut Stream,
    buffer: &mut BytesMut,
    protocol: Protocol,
    take: impl Fn(Packet) -> Option<T>,
) -> io::Result<T> {
    loop {
        while let Some(packet) = packet::next(buffer, protocol) {
            if let Some(taken) = take(packet) {
                return Ok(taken);
            }
        }
        if socket.read_buf(buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed"));
        }
    }
}

/// Reads more, in pieces that suit large messages as well. Returns how much; 0: the end.
pub(crate) async fn read(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
        buffer.reserve(READ_BYTES);
    }
    socket.read_buf(buffer).await
}
