//! An MQTT 3.1.1 connection that does nothing by itself: the test says every packet.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use crate::{
    packet::{Packet, number, put},
    wait::LONG,
};

/// Of a session that outlives its connections. Dropping it cuts the connection.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Whether the broker had the session.
    pub session_present: bool,
}

/// A packet that came: its type and flags, its packet identifier, and what follows that.
pub type Came = (u8, u16, Vec<u8>);

impl Raw {
    /// Connects with Clean Session 0 to a port of 127.0.0.1.
    pub fn connect(port: u16, id: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, LONG).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut raw = Self { stream, buffer: Vec::new(), session_present: false };
        let mut body = Vec::new();
        put(&mut body, b"MQTT");
        body.extend_from_slice(&[4, 0, 0, 60]);
        put(&mut body, id.as_bytes());
        raw.send(0x10, body);
        let connack = raw.packet().expect("CONNACK");
        assert_eq!((connack.header, connack.body[1]), (0x20, 0), "{id}");
        raw.session_present = connack.body[0] == 1;
        raw
    }

    /// Sends SUBSCRIBE.
    pub fn ask(&mut self, filter: &str, qos: u8) {
        let mut body = vec![0, 1];
        put(&mut body, filter.as_bytes());
        body.push(qos);
        self.send(0x82, body);
    }

    /// Subscribes and waits for the SUBACK.
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        self.ask(filter, qos);
        assert_eq!(self.receive(), (0x90, 1, vec![qos]));
    }

    /// Sends PUBLISH with these flags: DUP is 8, QoS 2 is 4, QoS 1 is 2.
    pub fn publish(&mut self, flags: u8, identifier: u16, topic: &str, payload: &[u8]) {
        let mut body = Vec::new();
        put(&mut body, topic.as_bytes());
        body.extend_from_slice(&identifier.to_be_bytes());
        body.extend_from_slice(payload);
        self.send(0x30 | flags, body);
    }

    /// Sends an acknowledgement: 0x40 is PUBACK, 0x50 PUBREC, 0x62 PUBREL, 0x70 PUBCOMP.
    pub fn acknowledge(&mut self, header: u8, identifier: u16) {
        self.send(header, identifier.to_be_bytes().to_vec());
    }

    /// The next packet, with the payload of a PUBLISH.
    pub fn receive(&mut self) -> Came {
        came(&self.packet().expect("a packet"))
    }

    /// Every packet that comes until the broker closes.
    pub fn until_closed(&mut self) -> Vec<Came> {
        std::iter::from_fn(|| self.packet()).map(|packet| came(&packet)).collect()
    }

    /// Every packet that was sent to this client before now.
    pub fn so_far(&mut self) -> Vec<Came> {
        self.send(0xC0, Vec::new());
        let mut all = Vec::new();
        loop {
            let packet = self.packet().expect("PINGRESP");
            if packet.header == 0xD0 {
                return all;
            }
            all.push(came(&packet));
        }
    }

    /// `None`: the connection has ended.
    fn packet(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = Packet::take(&mut self.buffer) {
                return Some(packet);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(length) => self.buffer.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn send(&mut self, header: u8, body: Vec<u8>) {
        self.stream.write_all(&Packet { header, body }.encode()).unwrap();
    }
}

fn came(Packet { header, body }: &Packet) -> Came {
    let at = if header >> 4 == 3 { 2 + usize::from(number(body, 0)) } else { 0 };
    (*header, number(body, at), body[at + 2..].to_vec())
}
