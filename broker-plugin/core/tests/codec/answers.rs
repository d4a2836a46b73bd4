//! CONNACK, acknowledgements, SUBACK, UNSUBACK: their forms, and how they fit a small client.

use broker_core::codec::{
    Ack, Announcement, Connack, Disconnect, FromClient, FromServer, ProblemInformation, Reason,
    Recipient, Remarks, Suback, TooLarge, Unsuback, UserProperties, Version,
};
use bytes::BytesMut;

use crate::common::{
    MALFORMED, PROTOCOL_ERROR, encoded, from_client, from_server, id, reason, text,
};

const V5: Recipient = Recipient {
    version: Version::V5,
    packet_bytes_max: u32::MAX,
    problem_information: ProblemInformation::Wanted,
};

fn remarks() -> Remarks {
    let user_properties = UserProperties::from_pairs([(&text("n"), &text("v"))]);
    Remarks { user_properties, ..Remarks::because("why") }
}

fn puback() -> FromServer {
    FromServer::Puback(Ack { remarks: remarks(), ..Ack::new(id(1), Reason::NOT_AUTHORIZED) })
}

fn written(packet: &FromServer, recipient: &Recipient) -> Result<Vec<u8>, TooLarge> {
    let mut out = BytesMut::from(&b"before"[..]);
    let result = packet.encode(recipient, &mut out);
    assert!(out.starts_with(b"before") && (result.is_ok() || out.len() == 6));
    result.map(|()| out[6..].to_vec())
}

/// §3.4.2.1, §3.4.2.2.1
#[test]
fn acknowledgement_has_three_forms_in_5_0() {
    let ack = |code| FromClient::Puback(Ack::new(id(1), Reason(code)));
    assert_eq!(from_client(Version::V5, 0x40, &[0, 1]), Ok(ack(0)));
    assert_eq!(from_client(Version::V5, 0x40, &[0, 1, 0x10]), Ok(ack(0x10)));
    assert_eq!(from_client(Version::V5, 0x40, &[0, 1, 0x10, 0]), Ok(ack(0x10)));
    assert_eq!(reason(from_client(Version::V5, 0x40, &[0, 1, 0, 0, 9])), MALFORMED);
    assert_eq!(reason(from_client(Version::V311, 0x40, &[0, 1, 0])), MALFORMED);
    assert_eq!(reason(from_client(Version::V311, 0x40, &[0])), MALFORMED);
    assert_eq!(reason(from_client(Version::V311, 0x40, &[0, 0])), PROTOCOL_ERROR);
}

/// [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1]
#[test]
fn acknowledgement_has_a_reason_of_its_own_table() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        assert_eq!(reason(from_client(Version::V5, first, &[0, 1, 0x04])), PROTOCOL_ERROR);
    }
    assert!(from_client(Version::V5, 0x62, &[0, 1, 0x92]).is_ok());
    assert_eq!(reason(from_client(Version::V5, 0x50, &[0, 1, 0x92])), PROTOCOL_ERROR);
}

#[test]
fn acknowledgement_is_written_in_its_shortest_form() {
    let ack = |reason| FromServer::Pubcomp(Ack::new(id(258), reason));
    assert_eq!(&encoded(Version::V5, &ack(Reason::SUCCESS))[..], [0x70, 2, 1, 2]);
    let missing = ack(Reason::PACKET_ID_NOT_FOUND);
    assert_eq!(&encoded(Version::V5, &missing)[..], [0x70, 3, 1, 2, 0x92]);
    assert_eq!(&encoded(Version::V311, &missing)[..], [0x70, 2, 1, 2]);
    assert_eq!(
        &encoded(Version::V5, &puback())[..],
        b"\x40\x11\0\x01\x87\x0D\x1F\0\x03why\x26\0\x01n\0\x01v"
    );
}

/// [MQTT-3.4.2-2], [MQTT-3.4.2-3]: first the user properties go, then the reason string.
#[test]
fn remarks_that_do_not_fit_the_client_are_left_out() {
    let with = |packet_bytes_max| written(&puback(), &Recipient { packet_bytes_max, ..V5 });
    assert_eq!(with(19).unwrap().len(), 19);
    assert_eq!(with(18).unwrap(), b"\x40\x0A\0\x01\x87\x06\x1F\0\x03why");
    assert_eq!(with(12).unwrap().len(), 12);
    assert_eq!(with(11).unwrap(), [0x40, 3, 0, 1, 0x87]);
    assert_eq!(with(5).unwrap().len(), 5);
    assert_eq!(with(4), Err(TooLarge));
}

/// [MQTT-3.1.2-29]
#[test]
fn remarks_that_the_client_does_not_want_are_left_out_but_in_connack_and_disconnect() {
    let recipient = Recipient { problem_information: ProblemInformation::Unwanted, ..V5 };
    assert_eq!(written(&puback(), &recipient).unwrap(), [0x40, 3, 0, 1, 0x87]);
    let disconnect = Disconnect::because(Reason::PROTOCOL_ERROR, Remarks::because("why"));
    let disconnect = written(&FromServer::Disconnect(disconnect), &recipient).unwrap();
    assert_eq!(disconnect, b"\xE0\x08\x82\x06\x1F\0\x03why");
    let connack = Connack::refusal(Reason::BANNED, Remarks::because("why"));
    let connack = written(&FromServer::Connack(connack), &recipient).unwrap();
    assert_eq!(connack, b"\x20\x09\0\x8A\x06\x1F\0\x03why");
}

/// [MQTT-3.2.2-19], [MQTT-3.2.2-20]
#[test]
fn connack_keeps_what_it_announces_when_remarks_do_not_fit() {
    let announcement = Announcement { receive_maximum: 9, ..Announcement::default() };
    let connack = Connack { announcement, remarks: remarks(), ..Connack::default() };
    let recipient = Recipient { packet_bytes_max: 8, ..V5 };
    let written = written(&FromServer::Connack(connack), &recipient).unwrap();
    assert_eq!(written, [0x20, 6, 0, 0, 3, 0x21, 0, 9]);
}

/// 3.1.1 [MQTT-3.2.2-6]
#[test]
fn connack_before_5_0_has_a_return_code_or_is_not_written() {
    let refusal = |reason| FromServer::Connack(Connack::refusal(reason, remarks()));
    let codes = [(0x84, 1), (0x85, 2), (0x88, 3), (0x97, 3), (0x86, 4), (0x87, 5)];
    for (reason, code) in codes {
        let written = encoded(Version::V311, &refusal(Reason(reason)));
        assert_eq!(&written[..], [0x20, 2, 0, code], "{reason:#x}");
    }
    for reason in [Reason::MALFORMED_PACKET, Reason::TOPIC_NAME_INVALID] {
        assert!(encoded(Version::V311, &refusal(reason)).is_empty());
    }
}

/// [MQTT-3.2.2-1], [MQTT-3.2.2-6]
#[test]
fn connack_has_a_session_only_with_success_and_not_in_3_1() {
    let present = FromServer::Connack(Connack { session_present: true, ..Connack::default() });
    assert_eq!(&encoded(Version::V31, &present)[..], [0x20, 2, 0, 0]);
    assert_eq!(&encoded(Version::V311, &present)[..], [0x20, 2, 1, 0]);
    assert_eq!(&encoded(Version::V5, &present)[..], [0x20, 3, 1, 0, 0]);
    assert_eq!(reason(from_server(Version::V311, 0x20, &[1, 5])), PROTOCOL_ERROR);
    assert_eq!(reason(from_server(Version::V311, 0x20, &[2, 0])), MALFORMED);
    assert_eq!(reason(from_server(Version::V311, 0x20, &[0, 6])), PROTOCOL_ERROR);
}

/// 3.1.1 [MQTT-3.9.3-2]
#[test]
fn suback_before_5_0_has_one_failure() {
    let reasons = vec![Reason::GRANTED_QOS_2, Reason::NOT_AUTHORIZED, Reason::SUCCESS];
    let suback = FromServer::Suback(Suback { packet_id: id(1), reasons, remarks: remarks() });
    assert_eq!(&encoded(Version::V311, &suback)[..], [0x90, 5, 0, 1, 2, 0x80, 0]);
    let body = &[0, 1, 0, 2, 0x87, 0][..];
    assert!(from_server(Version::V5, 0x90, body).is_ok());
    assert_eq!(reason(from_server(Version::V311, 0x90, &[0, 1, 0x87])), PROTOCOL_ERROR);
}

#[test]
fn unsuback_before_5_0_has_no_reasons() {
    let reasons = vec![Reason::SUCCESS, Reason::NO_SUBSCRIPTION_EXISTED];
    let unsuback =
        FromServer::Unsuback(Unsuback { packet_id: id(1), reasons, remarks: Remarks::default() });
    assert_eq!(&encoded(Version::V311, &unsuback)[..], [0xB0, 2, 0, 1]);
    assert_eq!(&encoded(Version::V5, &unsuback)[..], [0xB0, 5, 0, 1, 0, 0, 0x11]);
}

/// 3.1.1 §3.14: only clients send DISCONNECT.
#[test]
fn server_of_3_1_1_has_no_disconnect() {
    let disconnect = FromServer::Disconnect(Disconnect::because(Reason::SERVER_BUSY, remarks()));
    assert!(encoded(Version::V311, &disconnect).is_empty());
    assert!(encoded(Version::V31, &disconnect).is_empty());
}

#[test]
fn reason_string_that_cannot_be_sent_is_left_out() {
    assert!(Remarks::because("a\0b").is_empty());
    assert!(Remarks::because("a".repeat(65_536)).is_empty());
}
