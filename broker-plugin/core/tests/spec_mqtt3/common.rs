//! Short words for tests of 3.1.1.

use broker_core::codec::{
    Connack, Connect, ConnectError, DecodeError, FromClient, FromServer, NEVER_EXPIRES, Recipient,
    Remarks, Version,
};
use bytes::BytesMut;
use ha_types::Qos;

use crate::spec::broker::{Broker, Client};
use crate::spec::packet;
use crate::spec::packets::{payloads, subscribe, text};

pub(crate) fn received(first: u8, body: &[u8]) -> Result<FromClient, DecodeError> {
    FromClient::decode(Version::V311, packet(first, body))
}

/// A CONNECT with these flags, keep alive 0, and the payload's fields one after the other.
pub(crate) fn connect(flags: u8, fields: &[&[u8]]) -> Result<Connect, ConnectError> {
    let header = [b"\0\x04MQTT\x04", &[flags, 0, 0][..]].concat();
    Connect::decode(&packet(0x10, &[header, fields.concat()].concat()))
}

pub(crate) fn sent(answer: &FromServer) -> Vec<u8> {
    let mut out = BytesMut::new();
    answer.encode(&Recipient::any(Version::V311), &mut out).unwrap();
    out.to_vec()
}

/// What a client is told whose CONNECT is refused; empty: nothing.
pub(crate) fn answer(refused: Result<Connect, ConnectError>) -> Vec<u8> {
    match refused.unwrap_err() {
        ConnectError::NotMqtt => Vec::new(),
        ConnectError::Refused { version, error } => {
            assert_eq!(version, Version::V311);
            sent(&FromServer::Connack(Connack::refusal(error.reason(), Remarks::default())))
        }
    }
}

/// A client with a clean session.
pub(crate) fn client(broker: &mut Broker, client_id: &str) -> Client {
    broker.connect(Version::V311, client_id)
}

/// A CONNECT of a client whose session stays.
pub(crate) fn staying(client_id: &str) -> Connect {
    Connect {
        clean_start: false,
        session_expiry_s: NEVER_EXPIRES,
        ..Connect::new(Version::V311, text(client_id))
    }
}

/// A client with one subscription, whose SUBACK has been read.
pub(crate) fn subscriber(broker: &mut Broker, client_id: &str, filter: &str, qos: Qos) -> Client {
    let subscriber = client(broker, client_id);
    broker.send(subscriber, &subscribe(1, filter, qos));
    broker.received(subscriber);
    subscriber
}

/// Payloads that the client has got since it was last asked.
pub(crate) fn got(broker: &mut Broker, client: Client) -> Vec<String> {
    payloads(&broker.received(client))
}
