//! Reason String and User Property of all answers: neither makes a packet too large, and neither
//! goes where it is not wanted.

use broker_core::codec::{
    Ack, Auth, Authentication, Connack, Disconnect, FromServer, ProblemInformation, Reason,
    Recipient, Remarks, Suback, Text, TooLarge, Unsuback, UserProperties, Version,
};
use bytes::Bytes;

use crate::common::{connect_with, sent, sent_to};
use crate::spec::id;

fn text(text: &'static str) -> Text {
    Text::parse(Bytes::from_static(text.as_bytes())).unwrap()
}

fn reason_string() -> Remarks {
    Remarks::because("why")
}

fn user_property() -> Remarks {
    let user_properties = UserProperties::from_pairs([(&text("n"), &text("v"))]);
    Remarks { user_properties, ..Remarks::default() }
}

/// A packet is written with its remarks where they fit exactly, and without them where they do not.
fn fits(answer: fn(Remarks) -> FromServer, remarks: Remarks) {
    let (with, without) = (answer(remarks), answer(Remarks::default()));
    let (long, short) = (sent(&with), sent(&without));
    let limited = |max: usize| {
        let packet_bytes_max = u32::try_from(max).unwrap();
        sent_to(&Recipient { packet_bytes_max, ..Recipient::any(Version::V5) }, &with)
    };
    assert!(short.len() < long.len());
    for max in short.len()..long.len() {
        assert_eq!(limited(max), Ok(short.clone()), "{max}");
    }
    assert_eq!(limited(long.len()), Ok(long));
    assert_eq!(limited(short.len() - 1), Err(TooLarge));
}

fn ack(remarks: Remarks) -> Ack {
    Ack { remarks, ..Ack::new(id(1), Reason(0x92)) }
}

fn connack(remarks: Remarks) -> FromServer {
    FromServer::Connack(Connack::refusal(Reason::BANNED, remarks))
}

fn puback(remarks: Remarks) -> FromServer {
    FromServer::Puback(Ack { remarks, ..Ack::new(id(1), Reason::NOT_AUTHORIZED) })
}

fn pubrec(remarks: Remarks) -> FromServer {
    FromServer::Pubrec(Ack { remarks, ..Ack::new(id(1), Reason::NOT_AUTHORIZED) })
}

fn pubrel(remarks: Remarks) -> FromServer {
    FromServer::Pubrel(ack(remarks))
}

fn pubcomp(remarks: Remarks) -> FromServer {
    FromServer::Pubcomp(ack(remarks))
}

fn suback(remarks: Remarks) -> FromServer {
    FromServer::Suback(Suback { packet_id: id(1), reasons: vec![Reason(0)], remarks })
}

fn unsuback(remarks: Remarks) -> FromServer {
    FromServer::Unsuback(Unsuback { packet_id: id(1), reasons: vec![Reason(0)], remarks })
}

fn disconnect(remarks: Remarks) -> FromServer {
    FromServer::Disconnect(Disconnect::because(Reason::SERVER_BUSY, remarks))
}

fn auth(remarks: Remarks) -> FromServer {
    let authentication = Authentication { method: text("m"), data: None };
    FromServer::Auth(Auth { reason: Reason(0x18), authentication, remarks })
}

/// [MQTT-3.1.2-29]
#[test]
fn who_declines_problem_information_gets_it_in_connack_and_disconnect_only() {
    let client = connect_with(0x02, &[0x17, 0], &[b"\0\x01c"]).unwrap().recipient();
    assert_eq!(client.problem_information, ProblemInformation::Unwanted);
    for remarks in [reason_string(), user_property()] {
        for answer in [puback, pubrec, pubrel, pubcomp, suback, unsuback, auth] {
            let written = sent_to(&client, &answer(remarks.clone()));
            assert_eq!(written, Ok(sent(&answer(Remarks::default()))));
        }
        for answer in [connack, disconnect] {
            let written = sent_to(&client, &answer(remarks.clone()));
            assert_eq!(written, Ok(sent(&answer(remarks.clone()))));
        }
    }
}

/// [MQTT-3.2.2-19]
#[test]
fn reason_string_never_makes_connack_too_large() {
    fits(connack, reason_string());
}

/// [MQTT-3.2.2-20]
#[test]
fn user_property_never_makes_connack_too_large() {
    fits(connack, user_property());
}

/// [MQTT-3.4.2-2]
#[test]
fn reason_string_never_makes_puback_too_large() {
    fits(puback, reason_string());
}

/// [MQTT-3.4.2-3]
#[test]
fn user_property_never_makes_puback_too_large() {
    fits(puback, user_property());
}

/// [MQTT-3.5.2-2]
#[test]
fn reason_string_never_makes_pubrec_too_large() {
    fits(pubrec, reason_string());
}

/// [MQTT-3.5.2-3]
#[test]
fn user_property_never_makes_pubrec_too_large() {
    fits(pubrec, user_property());
}

/// [MQTT-3.6.2-2]
#[test]
fn reason_string_never_makes_pubrel_too_large() {
    fits(pubrel, reason_string());
}

/// [MQTT-3.6.2-3]
#[test]
fn user_property_never_makes_pubrel_too_large() {
    fits(pubrel, user_property());
}

/// [MQTT-3.7.2-2]
#[test]
fn reason_string_never_makes_pubcomp_too_large() {
    fits(pubcomp, reason_string());
}

/// [MQTT-3.7.2-3]
#[test]
fn user_property_never_makes_pubcomp_too_large() {
    fits(pubcomp, user_property());
}

/// [MQTT-3.9.2-1]
#[test]
fn reason_string_never_makes_suback_too_large() {
    fits(suback, reason_string());
}

/// [MQTT-3.9.2-2]
#[test]
fn user_property_never_makes_suback_too_large() {
    fits(suback, user_property());
}

/// [MQTT-3.11.2-1]
#[test]
fn reason_string_never_makes_unsuback_too_large() {
    fits(unsuback, reason_string());
}

/// [MQTT-3.11.2-2]
#[test]
fn user_property_never_makes_unsuback_too_large() {
    fits(unsuback, user_property());
}

/// [MQTT-3.14.2-3]
#[test]
fn reason_string_never_makes_disconnect_too_large() {
    fits(disconnect, reason_string());
}

/// [MQTT-3.14.2-4]
#[test]
fn user_property_never_makes_disconnect_too_large() {
    fits(disconnect, user_property());
}

/// [MQTT-3.15.2-2]
#[test]
fn reason_string_never_makes_auth_too_large() {
    fits(auth, reason_string());
}

/// [MQTT-3.15.2-3]
#[test]
fn user_property_never_makes_auth_too_large() {
    fits(auth, user_property());
}
