//! A client with a will, which ends as the test says.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use crate::{
    Version,
    packet::{Packet, put, variable},
    wait::LONG,
};

const DISCONNECT: u8 = 0xE0;

/// Who connects, and what is published when it dies.
#[derive(Clone, Debug)]
pub struct Mortal {
    /// Client identifier; its will goes to `will/` and this, with QoS 1.
    pub id: String,
    /// Which MQTT it speaks.
    pub version: Version,
    /// Will Delay Interval in seconds; MQTT 5 only.
    pub delay_s: u32,
    /// Session Expiry Interval in seconds; with 3.1.1 a session is kept when it is not 0.
    pub expiry_s: u32,
}

/// Its connection. Dropping it is an end without DISCONNECT.
#[derive(Debug)]
pub struct Life {
    stream: TcpStream,
    version: Version,
}

impl Mortal {
    /// Whose session and will end with its connection.
    pub fn new(id: &str, version: Version) -> Self {
        Self { id: id.to_owned(), version, delay_s: 0, expiry_s: 0 }
    }

    /// The same with MQTT 5, a delay and a session that outlives the connection.
    pub fn delayed(id: &str, delay_s: u32, expiry_s: u32) -> Self {
        Self { delay_s, expiry_s, ..Self::new(id, Version::V5) }
    }

    /// Connects with its will to a port of 127.0.0.1.
    pub fn connect(&self, port: u16) -> Life {
        let mut will = Vec::new();
        if self.version == Version::V5 {
            // Will Delay Interval.
            will.extend_from_slice(&[5, 0x18]);
            will.extend_from_slice(&self.delay_s.to_be_bytes());
        }
        put(&mut will, format!("will/{}", self.id).as_bytes());
        put(&mut will, b"died");
        // Will Flag, Will QoS 1.
        self.open(port, 0b0000_1100, &will)
    }

    /// Connects without a will, and takes over what there is.
    pub fn come_back(&self, port: u16) -> Life {
        self.open(port, 0, &[])
    }

    fn open(&self, port: u16, flags: u8, will: &[u8]) -> Life {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, LONG).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let clean = u8::from(self.expiry_s == 0) << 1;
        let mut body = Vec::new();
        put(&mut body, b"MQTT");
        body.extend_from_slice(&[self.version as u8, flags | clean, 0, 60]);
        if self.version == Version::V5 {
            // Session Expiry Interval.
            body.extend_from_slice(&[5, 0x11]);
            body.extend_from_slice(&self.expiry_s.to_be_bytes());
        }
        put(&mut body, self.id.as_bytes());
        body.extend_from_slice(will);
        stream.write_all(&Packet { header: 0x10, body }.encode()).unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).unwrap();
        let (length, _) = variable(&connack[1..]).expect("a short CONNACK");
        stream.read_exact(&mut vec![0; length - 2]).unwrap();
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{}", self.id);
        Life { stream, version: self.version }
    }
}

impl Life {
    /// Says DISCONNECT, with this reason in MQTT 5, and waits until the broker closes.
    pub fn disconnect(mut self, reason: u8) {
        let body = if self.version == Version::V5 { vec![reason] } else { Vec::new() };
        self.stream.write_all(&Packet { header: DISCONNECT, body }.encode()).unwrap();
        self.until_closed();
    }

    /// Waits until the broker closes.
    pub fn until_closed(mut self) {
        // A reset is an end as well.
        drop(self.stream.read_to_end(&mut Vec::new()));
    }
}
