//! What a server's packets must keep on every connection, whatever a test is about.

use broker_core::codec::{FromServer, PacketType, Reason, Sender, Version, frame};
use bytes::BytesMut;

/// Looks at every packet that the broker writes to one client.
#[derive(Debug)]
pub(crate) struct Watch {
    version: Version,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    BeforeConnack,
    Accepted,
    Ended,
}

impl Watch {
    pub(crate) fn new(version: Version) -> Self {
        Self { version, stage: Stage::BeforeConnack }
    }

    /// Whole packets, in the order of the connection.
    pub(crate) fn look(&mut self, bytes: &[u8]) {
        let mut bytes = BytesMut::from(bytes);
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            let packet = FromServer::decode(self.version, frame).unwrap();
            if self.version == Version::V5 {
                check_reasons(&packet);
            }
            self.advance(&packet);
        }
        assert!(bytes.is_empty(), "a part of a packet");
    }

    /// Only AUTH before CONNACK, CONNACK once, nothing after the end.
    fn advance(&mut self, packet: &FromServer) {
        self.stage = match (self.stage, packet) {
            (Stage::BeforeConnack, FromServer::Auth(_)) => Stage::BeforeConnack,
            (Stage::BeforeConnack, FromServer::Connack(connack)) => match connack.reason {
                Reason::SUCCESS => Stage::Accepted,
                _ => Stage::Ended,
            },
            (Stage::Accepted, FromServer::Disconnect(disconnect)) => {
                assert_eq!(disconnect.session_expiry_s, None, "it is the client's to say");
                Stage::Ended
            }
            (Stage::Accepted, other) if !matches!(other, FromServer::Connack(_)) => Stage::Accepted,
            (stage, packet) => panic!("{stage:?}, and then {packet:?}"),
        };
    }
}

fn check_reasons(packet: &FromServer) {
    let (packet_type, reasons) = match packet {
        FromServer::Connack(connack) => (PacketType::Connack, vec![connack.reason]),
        FromServer::Puback(ack) => (PacketType::Puback, vec![ack.reason]),
        FromServer::Pubrec(ack) => (PacketType::Pubrec, vec![ack.reason]),
        FromServer::Pubrel(ack) => (PacketType::Pubrel, vec![ack.reason]),
        FromServer::Pubcomp(ack) => (PacketType::Pubcomp, vec![ack.reason]),
        FromServer::Suback(suback) => (PacketType::Suback, suback.reasons.clone()),
        FromServer::Unsuback(unsuback) => (PacketType::Unsuback, unsuback.reasons.clone()),
        FromServer::Disconnect(end) => (PacketType::Disconnect, vec![end.reason]),
        FromServer::Auth(auth) => (PacketType::Auth, vec![auth.reason]),
        FromServer::Publish(_) | FromServer::Pingresp => return,
    };
    for reason in reasons {
        let is_allowed = reason.is_allowed_in(packet_type, Sender::Server);
        assert!(is_allowed, "{:#x} in {packet_type:?}", reason.0);
    }
}
