//! A test client: one socket, packets as bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::packets::{publish_v4, publish_v5, subscribe_v4, subscribe_v5};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// Level of the CONNECT that was sent.
    level: u8,
}

/// A PUBLISH from the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) packet_id: u16,
    pub(crate) properties: Vec<u8>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), level: 5 }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if bytes.starts_with(&[0x10]) && bytes.len() > 8 {
            self.level = bytes[8];
        }
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what may find the socket closed.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next packet.
    pub(crate) async fn read(&mut self) -> Vec<u8> {
        timeout(PATIENCE, self.read_packet()).await.expect("no packet in time").expect("closed")
    }

    /// The next packet, or the end of the connection.
    pub(crate) async fn await_anything(&mut self) {
        drop(timeout(PATIENCE, self.read_packet()).await.expect("nothing came in time"));
    }

    pub(crate) async fn expect(&mut self, packet: &[u8]) {
        assert_eq!(self.read().await, packet);
    }

    /// A packet of this type; the bytes after its header.
    pub(crate) async fn read_type(&mut self, packet_type: u8) -> Vec<u8> {
        let packet = self.read().await;
        assert_eq!(packet[0] >> 4, packet_type, "{packet:02x?}");
        body(&packet).to_vec()
    }

    /// DISCONNECT of 5.0 with this reason, then the end of the connection. Returns its reason
    /// string, which may be empty.
    pub(crate) async fn must_be_disconnected(&mut self, reason: u8) -> String {
        let body = self.read_type(14).await;
        assert_eq!(body[0], reason, "{body:02x?}");
        self.must_be_closed().await;
        if body.len() == 1 {
            return String::new();
        }
        let (len, property) = (usize::from(body[1]), body[2]);
        assert_eq!((body.len(), property), (2 + len, 0x1F), "malformed: {body:02x?}");
        assert_eq!(usize::from(body[4]), len - 3, "malformed: {body:02x?}");
        String::from_utf8(body[5..].to_vec()).unwrap()
    }

    /// The end of the connection, without another packet.
    pub(crate) async fn must_be_closed(&mut self) {
        let end = timeout(PATIENCE, self.read_packet()).await.expect("not closed in time");
        assert_eq!(end, None);
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: u8) {
        if self.level == 5 {
            self.send(&subscribe_v5(1, &[], &[(filter, qos)])).await;
            self.expect(&[0x90, 4, 0, 1, 0, qos]).await;
        } else {
            self.send(&subscribe_v4(1, &[(filter, qos)])).await;
            self.expect(&[0x90, 3, 0, 1, qos]).await;
        }
    }

    /// At QoS 0.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str) {
        if self.level == 5 {
            self.send(&publish_v5(topic, (0, 0), &[], payload)).await;
        } else {
            self.send(&publish_v4(topic, 0, 0, payload)).await;
        }
    }

    /// The next packet, which is a PUBLISH.
    pub(crate) async fn delivery(&mut self) -> Delivered {
        let packet = self.read().await;
        assert_eq!(packet[0] >> 4, 3, "{packet:02x?}");
        decode(self.level, &packet)
    }

    /// Every step of a delivery from the client's side, at whatever QoS.
    pub(crate) async fn acknowledged_delivery(&mut self) -> Delivered {
        let delivered = self.delivery().await;
        let [high, low] = delivered.packet_id.to_be_bytes();
        match delivered.qos {
            0 => (),
            1 => self.send(&[0x40, 2, high, low]).await,
            _ => {
                self.send(&[0x50, 2, high, low]).await;
                self.expect(&[0x62, 2, high, low]).await;
                self.send(&[0x70, 2, high, low]).await;
            }
        }
        delivered
    }

    /// `None` when the socket ends before a packet is complete.
    async fn read_packet(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![self.stream.read_u8().await.ok()?];
        let mut len = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.stream.read_u8().await.ok()?;
            packet.push(byte);
            len |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let header = packet.len();
        packet.resize(header + len, 0);
        self.stream.read_exact(&mut packet[header..]).await.ok()?;
        Some(packet)
    }
}

fn body(packet: &[u8]) -> &[u8] {
    let header = 2 + packet[1..].iter().take_while(|byte| **byte & 0x80 != 0).count();
    &packet[header..]
}

fn decode(level: u8, packet: &[u8]) -> Delivered {
    let body = body(packet);
    let (topic, mut rest) = body[2..].split_at(usize::from(body[0]) << 8 | usize::from(body[1]));
    let qos = (packet[0] >> 1) & 0x03;
    let mut packet_id = 0;
    if qos > 0 {
        packet_id = u16::from_be_bytes([rest[0], rest[1]]);
        rest = &rest[2..];
    }
    let mut properties = Vec::new();
    if level == 5 {
        let (found, payload) = rest[1..].split_at(usize::from(rest[0]));
        properties = found.to_vec();
        rest = payload;
    }
    Delivered {
        topic: String::from_utf8(topic.to_vec()).unwrap(),
        payload: String::from_utf8(rest.to_vec()).unwrap(),
        qos,
        retain: packet[0] & 0x01 != 0,
        packet_id,
        properties,
    }
}
