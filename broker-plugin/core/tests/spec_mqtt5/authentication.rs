//! §4.12: enhanced authentication.

use broker_core::access::Identity;
use broker_core::codec::{
    Auth, Authentication, Binary, Connack, Connect, FromClient, FromServer, Reason, Remarks,
    Version,
};
use broker_core::engine::{Attempt, Verdict};
use bytes::Bytes;

use crate::common::{farewell, staying};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::text;

fn binary(content: &[u8]) -> Option<Binary> {
    Some(Binary::parse(Bytes::copy_from_slice(content)).unwrap())
}

fn authentication(method: &str, data: &[u8]) -> Authentication {
    Authentication { method: text(method), data: binary(data) }
}

fn auth(reason: Reason, method: &str, data: &[u8]) -> Auth {
    let authentication = authentication(method, data);
    Auth { reason, authentication, remarks: Remarks::default() }
}

fn admitted(data: Option<Binary>) -> Verdict {
    let identity = Identity { client_id: "bob".into(), user_name: None };
    Verdict::Admitted { identity, data }
}

/// Knows the method `m`: it asks twice, and wants `1` and `2`; again, it asks once.
fn judge(attempt: &Attempt) -> Verdict {
    let said = |data: &Option<Binary>| data.as_ref().map(|data| data.as_bytes().to_vec());
    match attempt {
        Attempt::Plain { .. } => admitted(None),
        Attempt::Begin { method, .. } if method.as_str() == "m" => {
            Verdict::Challenge { data: binary(b"first?") }
        }
        Attempt::Again { method, .. } if method.as_str() == "m" => {
            Verdict::Challenge { data: binary(b"second?") }
        }
        Attempt::Continue { data } => match said(data).as_deref() {
            Some(b"1") => Verdict::Challenge { data: binary(b"second?") },
            Some(b"2") => admitted(binary(b"welcome")),
            _ => Verdict::NotAuthorized,
        },
        Attempt::Begin { .. } | Attempt::Again { .. } => Verdict::BadMethod,
    }
}

/// A broker that knows the method `m`.
fn judging() -> Broker {
    let mut broker = Broker::new();
    broker.judge = Some(Box::new(judge));
    broker
}

/// Sends CONNECT with this method.
fn began(broker: &mut Broker, method: &str) -> Client {
    let bob = broker.socket(Version::V5);
    let authentication = Some(authentication(method, b"0"));
    let mut bytes = bytes::BytesMut::new();
    Connect { authentication, ..staying("bob") }.encode(&mut bytes).unwrap();
    broker.send_bytes(bob, &bytes);
    bob
}

fn answer(broker: &mut Broker, bob: Client, data: &[u8]) {
    let packet = auth(Reason::CONTINUE_AUTHENTICATION, "m", data);
    broker.send(bob, &FromClient::Auth(packet));
}

/// A client that was let in by the method `m`.
fn accepted() -> (Broker, Client) {
    let mut broker = judging();
    let bob = began(&mut broker, "m");
    answer(&mut broker, bob, b"1");
    answer(&mut broker, bob, b"2");
    let last = broker.received(bob).pop();
    assert!(matches!(last, Some(FromServer::Connack(Connack { reason: Reason::SUCCESS, .. }))));
    (broker, bob)
}

/// The reason of the CONNACK that is the last packet of a connection.
fn refusal(broker: &mut Broker, bob: Client) -> Reason {
    assert!(!broker.is_open(bob));
    match broker.received(bob).pop() {
        Some(FromServer::Connack(connack)) => connack.reason,
        other => panic!("{other:?}"),
    }
}

/// [MQTT-4.12.0-1]: a method that is not known here is refused with 0x8C, and the connection ends.
#[test]
fn method_that_is_not_known_ends_the_connection() {
    for method in ["M", "mm", "", "SCRAM-SHA-1"] {
        let mut broker = judging();
        let bob = began(&mut broker, method);
        assert_eq!(refusal(&mut broker, bob), Reason::BAD_AUTHENTICATION_METHOD, "{method}");
    }
    let mut plain = Broker::new();
    let bob = began(&mut plain, "m");
    assert_eq!(refusal(&mut plain, bob), Reason::BAD_AUTHENTICATION_METHOD);
}

/// [MQTT-4.12.0-2]: a broker that needs more sends AUTH with 0x18, each time.
#[test]
fn broker_that_needs_more_sends_auth_with_0x18() {
    let mut broker = judging();
    let bob = began(&mut broker, "m");
    let question = |data| FromServer::Auth(auth(Reason::CONTINUE_AUTHENTICATION, "m", data));
    assert_eq!(broker.received(bob), [question(b"first?")]);
    answer(&mut broker, bob, b"1");
    assert_eq!(broker.received(bob), [question(b"second?")]);
    assert_eq!(broker.sessions(), 0);
    answer(&mut broker, bob, b"2");
    let packets = broker.received(bob);
    let [FromServer::Connack(connack)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(connack.reason, Reason::SUCCESS);
}

/// [MQTT-4.12.0-4]: a broker that rejects an authentication, at whichever step, ends the connection.
#[test]
fn authentication_that_is_rejected_ends_the_connection() {
    for right_answers in [&[][..], &[b"1"]] {
        let mut broker = judging();
        let bob = began(&mut broker, "m");
        for data in right_answers {
            answer(&mut broker, bob, *data);
        }
        assert!(broker.is_open(bob));
        answer(&mut broker, bob, b"wrong");
        assert_eq!(refusal(&mut broker, bob), Reason::NOT_AUTHORIZED);
        assert_eq!(broker.sessions(), 0);
    }
}

/// [MQTT-4.12.0-4], of a client that does not go on: it has no more time than for CONNECT.
#[test]
fn authentication_that_takes_too_long_ends_the_connection() {
    let mut broker = judging();
    let bob = began(&mut broker, "m");
    broker.pass(9_999);
    assert!(broker.is_open(bob));
    broker.pass(1);
    assert_eq!(refusal(&mut broker, bob), Reason::NOT_AUTHORIZED);
}

/// [MQTT-4.12.0-5]: every AUTH, and the CONNACK that accepts, has the method of CONNECT; an AUTH of
/// the client with another one ends the connection.
#[test]
fn every_auth_has_the_method_of_connect() {
    let mut broker = judging();
    let bob = began(&mut broker, "m");
    answer(&mut broker, bob, b"1");
    answer(&mut broker, bob, b"2");
    let methods: Vec<_> = broker
        .received(bob)
        .into_iter()
        .map(|packet| match packet {
            FromServer::Auth(auth) => auth.authentication,
            FromServer::Connack(connack) => connack.announcement.authentication.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: [&[u8]; 3] = [b"first?", b"second?", b"welcome"];
    assert_eq!(methods, expected.map(|data| authentication("m", data)));
    let bob = began(&mut broker, "m");
    let other = auth(Reason::CONTINUE_AUTHENTICATION, "other", b"1");
    broker.send(bob, &FromClient::Auth(other));
    assert_eq!(refusal(&mut broker, bob), Reason::PROTOCOL_ERROR);
}

/// [MQTT-4.12.0-6]: without a method in CONNECT the broker sends neither AUTH nor a method.
#[test]
fn without_method_in_connect_the_broker_sends_none() {
    let (_, connack) = judging().connect_with(staying("bob"));
    assert_eq!(connack.announcement.authentication, None);
    let mut broker = Broker::new();
    broker.judge = Some(Box::new(|_| Verdict::Challenge { data: binary(b"?") }));
    let bob = broker.socket(Version::V5);
    let mut bytes = bytes::BytesMut::new();
    staying("bob").encode(&mut bytes).unwrap();
    broker.send_bytes(bob, &bytes);
    assert_eq!(broker.received(bob), []);
    assert!(!broker.is_open(bob));
}

/// [MQTT-4.12.0-7]: a client without a method in CONNECT that sends AUTH is disconnected.
#[test]
fn without_method_in_connect_auth_is_a_protocol_error() {
    for reason in [Reason::REAUTHENTICATE, Reason::CONTINUE_AUTHENTICATION] {
        let mut broker = judging();
        let (bob, _) = broker.connect_with(staying("bob"));
        broker.send(bob, &FromClient::Auth(auth(reason, "m", b"0")));
        assert_eq!(farewell(&mut broker, bob), Some(Reason::PROTOCOL_ERROR));
    }
}

/// [MQTT-4.12.1-1]: re-authentication has the method of CONNECT; with another one, or out of order,
/// the connection ends.
#[test]
fn reauthentication_has_the_method_of_connect() {
    let (mut broker, bob) = accepted();
    broker.send(bob, &FromClient::Auth(auth(Reason::REAUTHENTICATE, "m", b"0")));
    let question = auth(Reason::CONTINUE_AUTHENTICATION, "m", b"second?");
    assert_eq!(broker.received(bob), [FromServer::Auth(question)]);
    broker.send(bob, &FromClient::Pingreq);
    assert_eq!(broker.received(bob), [FromServer::Pingresp]);
    answer(&mut broker, bob, b"2");
    let success = auth(Reason::SUCCESS, "m", b"welcome");
    assert_eq!(broker.received(bob), [FromServer::Auth(success)]);
    for wrong in [
        auth(Reason::REAUTHENTICATE, "other", b"0"),
        auth(Reason::CONTINUE_AUTHENTICATION, "m", b"2"),
    ] {
        let (mut broker, bob) = accepted();
        broker.send(bob, &FromClient::Auth(wrong));
        assert_eq!(farewell(&mut broker, bob), Some(Reason::PROTOCOL_ERROR));
    }
}

/// [MQTT-4.12.1-2]: a re-authentication that fails ends the connection; one that succeeds does not.
#[test]
fn reauthentication_that_fails_ends_the_connection() {
    for (data, ends) in [(&b"wrong"[..], true), (b"2", false)] {
        let (mut broker, bob) = accepted();
        broker.send(bob, &FromClient::Auth(auth(Reason::REAUTHENTICATE, "m", b"0")));
        answer(&mut broker, bob, data);
        if ends {
            assert_eq!(farewell(&mut broker, bob), Some(Reason::NOT_AUTHORIZED));
        } else {
            assert!(broker.is_open(bob));
        }
    }
}
