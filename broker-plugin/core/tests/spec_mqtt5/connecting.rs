//! §3.1 and §3.2: sessions, identifiers, and what CONNACK says of them.

use broker_core::codec::{
    Authentication, Connect, FromClient, FromServer, ProblemInformation, Reason, Version,
};
use broker_core::engine::{Ending, Limits, Verdict};
use broker_core::holder::HolderConfig;
use bytes::BytesMut;
use ha_types::Qos;

use crate::common::{client, farewell, got, staying, subscribed, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{disconnect, publish, publish_1, text};

/// A broker with the session of `bob`, who is away and has subscribed to `a` at QoS 1.
fn broker_with_bob_away() -> Broker {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(staying("bob"));
    subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
    broker.send(bob, &disconnect(Reason::SUCCESS));
    broker
}

fn publish_to_a(broker: &mut Broker, payload: &str) {
    let alice = client(broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", payload)));
}

/// A CONNECT, and packets that do not wait for its answer.
fn pipelined(broker: &mut Broker, connect: &Connect, packets: &[&[u8]]) -> Client {
    let client = broker.socket(connect.version);
    let mut bytes = BytesMut::new();
    connect.encode(&mut bytes).unwrap();
    packets.iter().for_each(|packet| bytes.extend_from_slice(packet));
    broker.send_bytes(client, &bytes);
    client
}

/// The reason of the only packet that the broker sent, a CONNACK, if it closed the connection too.
fn refusal(broker: &mut Broker, client: Client) -> Reason {
    let packets = broker.received(client);
    let [FromServer::Connack(connack)] = &packets[..] else { panic!("{packets:?}") };
    assert!(!connack.session_present && !broker.is_open(client), "{connack:?}");
    connack.reason
}

/// [MQTT-3.1.2-4], [MQTT-3.2.2-2], [MQTT-3.1.4-4]: a clean start ends the session that there is, and
/// says that there is none.
#[test]
fn clean_start_discards_the_session() {
    let mut broker = broker_with_bob_away();
    publish_to_a(&mut broker, "old");
    let (bob, connack) = broker.connect_with(Connect { clean_start: true, ..staying("bob") });
    assert!(!connack.session_present);
    publish_to_a(&mut broker, "new");
    assert_eq!(got(&mut broker, bob), [""; 0]);
}

/// [MQTT-3.1.2-5], [MQTT-3.2.2-3]: without clean start the session goes on, and CONNACK says so.
#[test]
fn session_is_resumed_without_clean_start() {
    let mut broker = broker_with_bob_away();
    publish_to_a(&mut broker, "old");
    let (bob, connack) = broker.connect_with(staying("bob"));
    assert!(connack.session_present);
    publish_to_a(&mut broker, "new");
    assert_eq!(got(&mut broker, bob), ["old", "new"]);
}

/// [MQTT-3.1.2-6], [MQTT-3.2.2-3]: without clean start and without a session a new one begins.
#[test]
fn session_begins_when_there_is_none_to_resume() {
    let mut broker = Broker::new();
    let (bob, connack) = broker.connect_with(staying("bob"));
    assert!(!connack.session_present);
    subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
    publish_to_a(&mut broker, "new");
    assert_eq!(got(&mut broker, bob), ["new"]);
}

/// [MQTT-3.1.2-22]: after one and a half keep alives of silence the connection ends; what is heard
/// meanwhile counts, and 0 means never.
#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let mut broker = Broker::new();
    let with = |keep_alive_s, id: &str| Connect { keep_alive_s, ..staying(id) };
    let (silent, _) = broker.connect_with(with(10, "silent"));
    let (pinging, _) = broker.connect_with(with(10, "pinging"));
    let (eternal, _) = broker.connect_with(with(0, "eternal"));
    broker.pass(14_999);
    assert!(broker.is_open(silent));
    broker.send(pinging, &FromClient::Pingreq);
    broker.pass(1);
    assert_eq!(farewell(&mut broker, silent), Some(Reason::KEEP_ALIVE_TIMEOUT));
    broker.pass(14_998);
    assert!(broker.is_open(pinging));
    broker.pass(1);
    assert_eq!(farewell(&mut broker, pinging), Some(Reason::KEEP_ALIVE_TIMEOUT));
    broker.pass(100_000_000);
    assert!(broker.is_open(eternal));
}

/// [MQTT-3.2.2-22]: the keep alive of CONNECT counts unless CONNACK has another, which then counts.
#[test]
fn server_keep_alive_counts_only_when_connack_has_one() {
    let limits = Limits { keep_alive_max_s: 20, ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    for (asked, told, ends_after_ms) in
        [(19, None, 28_500), (20, None, 30_000), (21, Some(20), 30_000), (0, Some(20), 30_000)]
    {
        let connect = Connect { keep_alive_s: asked, ..staying("bob") };
        let (bob, connack) = broker.connect_with(connect);
        assert_eq!(connack.announcement.server_keep_alive_s, told, "{asked}");
        broker.pass(ends_after_ms - 1);
        assert!(broker.is_open(bob), "{asked}");
        broker.pass(1);
        assert!(!broker.is_open(bob), "{asked}");
    }
}

/// [MQTT-3.1.2-23]: the session outlives the connection when its expiry interval is not 0.
#[test]
fn session_outlives_its_connection_unless_its_expiry_is_0() {
    for (session_expiry_s, is_present) in [(0, false), (1, true), (u32::MAX, true)] {
        for ending in [Ending::Lost, Ending::Administrative] {
            let mut broker = Broker::new();
            let connect = Connect { session_expiry_s, ..staying("bob") };
            let (bob, _) = broker.connect_with(connect.clone());
            broker.end(bob, ending);
            assert_eq!(broker.sessions(), usize::from(is_present));
            let (_, connack) = broker.connect_with(connect);
            assert_eq!(connack.session_present, is_present, "{session_expiry_s}");
        }
    }
}

/// [MQTT-3.1.2-28]: Response Information only for clients that ask for it.
#[test]
fn response_information_is_only_for_clients_that_ask() {
    let information = Some(text("replies/"));
    let limits = Limits { response_information: information.clone(), ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    let mut told = |wants_response_information| {
        let connect = Connect { wants_response_information, ..staying("bob") };
        broker.connect_with(connect).1.announcement.response_information
    };
    assert_eq!((told(false), told(true)), (None, information));
}

/// [MQTT-3.1.2-29]: who declines problem information gets reason strings only with CONNACK and
/// DISCONNECT.
#[test]
fn declined_problem_information_is_only_in_connack_and_disconnect() {
    for (problem_information, is_told) in
        [(ProblemInformation::Wanted, true), (ProblemInformation::Unwanted, false)]
    {
        let mut broker = Broker::new();
        let connect = Connect { problem_information, ..staying("bob") };
        let (bob, _) = broker.connect_with(connect.clone());
        broker.send(bob, &FromClient::Publish(publish_1(1, "$SYS/a", "")));
        let packets = broker.received(bob);
        let [FromServer::Puback(puback)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!(puback.reason, Reason::NOT_AUTHORIZED);
        assert_eq!(puback.remarks.reason_string.is_some(), is_told);
        broker.end(bob, Ending::Administrative);
        let packets = broker.received(bob);
        let [FromServer::Disconnect(end)] = &packets[..] else { panic!("{packets:?}") };
        assert!(end.remarks.reason_string.is_some());
        broker.judge = Some(Box::new(|_| Verdict::NotAuthorized));
        assert!(broker.try_connect(connect).1.remarks.reason_string.is_some());
    }
}

/// [MQTT-3.1.3-2]: the session is found by the client id, and by nothing else.
#[test]
fn session_is_found_by_its_client_id() {
    let mut broker = broker_with_bob_away();
    for (client_id, is_present) in [("Bob", false), ("bo", false), ("bob ", false), ("bob", true)] {
        let (_, connack) = broker.connect_with(staying(client_id));
        assert_eq!(connack.session_present, is_present, "{client_id}");
    }
}

/// [MQTT-3.1.3-6], [MQTT-3.1.3-7], [MQTT-3.2.2-16]: a client without id gets one that nobody else
/// has, and that counts as if it had come with CONNECT.
#[test]
fn client_without_id_is_told_a_unique_one() {
    let mut broker = Broker::new();
    let mut assigned = Vec::new();
    for _ in 0..3 {
        let (client, connack) = broker.connect_with(staying(""));
        assert!(!connack.session_present && broker.is_open(client));
        assigned.push(connack.announcement.assigned_client_id.unwrap());
    }
    assert_eq!(broker.sessions(), 3, "{assigned:?}");
    let (_, connack) = broker.connect_with(staying(assigned[1].as_str()));
    assert!(connack.session_present);
    assert_eq!(connack.announcement.assigned_client_id, None);
}

/// [MQTT-3.1.3-8], [MQTT-3.1.4-2]: a client id, or anything else, that is refused: CONNACK says why,
/// and the connection ends.
#[test]
fn connect_that_is_not_accepted_ends_the_connection() {
    for (verdict, reason) in [
        (Verdict::BadCredentials, Reason::BAD_USER_NAME_OR_PASSWORD),
        (Verdict::NotAuthorized, Reason::NOT_AUTHORIZED),
        (Verdict::Busy, Reason::SERVER_BUSY),
    ] {
        let mut broker = Broker::new();
        broker.judge = Some(Box::new(move |_| verdict.clone()));
        let bob = pipelined(&mut broker, &staying("bob"), &[]);
        assert_eq!(refusal(&mut broker, bob), reason);
        assert_eq!(broker.sessions(), 0);
    }
    let config = HolderConfig { sessions_max: 1, ..HolderConfig::default() };
    let mut full = Broker::with(Limits::default(), config);
    client(&mut full, "alice");
    let bob = pipelined(&mut full, &staying("bob"), &[]);
    assert_eq!(refusal(&mut full, bob), Reason::QUOTA_EXCEEDED);
}

/// [MQTT-3.1.3-8], of a client id that no server can take: it is no client id at all.
#[test]
fn client_id_that_is_no_string_ends_the_connection() {
    let mut broker = Broker::new();
    let bob = broker.socket(Version::V5);
    broker.send_bytes(bob, b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01\xFF");
    assert_eq!(refusal(&mut broker, bob), Reason::MALFORMED_PACKET);
}

/// [MQTT-3.1.4-3]: a connection with the same client id ends the older one, which is told 0x8E.
#[test]
fn older_connection_of_a_client_id_ends() {
    for clean_start in [false, true] {
        let mut broker = Broker::new();
        let other = client(&mut broker, "other");
        let (older, _) = broker.connect_with(staying("bob"));
        let (newer, connack) = broker.connect_with(Connect { clean_start, ..staying("bob") });
        assert_eq!(connack.session_present, !clean_start);
        assert_eq!(farewell(&mut broker, older), Some(Reason::SESSION_TAKEN_OVER));
        assert!(broker.is_open(newer) && broker.is_open(other));
        assert_eq!(broker.sessions(), 2);
    }
}

/// [MQTT-3.1.4-5]: a CONNECT that is accepted is answered with 0x00.
#[test]
fn connect_is_answered_with_connack_0() {
    let mut broker = Broker::new();
    let bob = pipelined(&mut broker, &staying("bob"), &[]);
    let packets = broker.received(bob);
    let [FromServer::Connack(connack)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(connack.reason, Reason::SUCCESS);
    assert!(broker.is_open(bob));
}

/// [MQTT-3.1.4-6]: what follows a CONNECT that is refused is not processed; what follows one that is
/// accepted is.
#[test]
fn nothing_is_processed_after_a_connect_that_is_refused() {
    for is_refused in [true, false] {
        let mut broker = Broker::new();
        if is_refused {
            broker.judge = Some(Box::new(|_| Verdict::BadCredentials));
        }
        let alice = pipelined(&mut broker, &staying("alice"), &[b"\x30\x05\0\x01a\0m"]);
        assert_eq!(broker.published.len(), usize::from(!is_refused));
        assert_eq!(broker.is_open(alice), !is_refused);
    }
}

/// [MQTT-3.1.2-30], [MQTT-3.1.4-6]: until its authentication is over a client sends AUTH and
/// DISCONNECT; anything else ends the connection and is not processed.
#[test]
fn client_that_authenticates_sends_only_auth_and_disconnect() {
    let packets: [&[u8]; 6] = [
        b"\x30\x05\0\x01a\0m",
        b"\x82\x07\0\x01\0\0\x01a\0",
        b"\x82\x08\0\x01\0\0\x02a#\0",
        b"\x30\x07\0\x01a\x03\x23\0\0",
        b"\x30\x04\0\x01#\0",
        b"\xC0\0",
    ];
    for packet in packets {
        let (mut broker, bob) = challenged();
        broker.send_bytes(bob, packet);
        assert!(refusal(&mut broker, bob).is_failure());
        assert_eq!((broker.published.len(), broker.sessions()), (0, 0));
    }
    let (mut broker, bob) = challenged();
    broker.send(bob, &disconnect(Reason::SUCCESS));
    assert_eq!(farewell(&mut broker, bob), None);
}

/// A client that has been asked for more by its authentication method.
fn challenged() -> (Broker, Client) {
    let mut broker = Broker::new();
    broker.judge = Some(Box::new(|_| Verdict::Challenge { data: None }));
    let authentication = Some(Authentication { method: text("m"), data: None });
    let bob = pipelined(&mut broker, &Connect { authentication, ..staying("bob") }, &[]);
    assert!(matches!(broker.received(bob)[..], [FromServer::Auth(_)]));
    (broker, bob)
}

/// [MQTT-3.2.0-1]: nothing but AUTH is sent before the CONNACK that accepts; messages that are queued
/// come after it.
#[test]
fn connack_comes_first() {
    let mut broker = broker_with_bob_away();
    publish_to_a(&mut broker, "old");
    let silent = broker.socket(Version::V5);
    publish_to_a(&mut broker, "before CONNECT");
    assert_eq!(broker.received(silent), []);
    let bob = pipelined(&mut broker, &staying("bob"), &[b"\xC0\0"]);
    let packets = broker.received(bob);
    assert!(matches!(packets[0], FromServer::Connack(_)), "{packets:?}");
    assert_eq!(packets.len(), 4);
}

/// [MQTT-3.2.0-2]: one CONNACK on a connection, also when the client sends CONNECT again.
#[test]
fn second_connect_gets_no_second_connack() {
    let mut broker = Broker::new();
    let bob = broker.socket(Version::V5);
    let mut bytes = BytesMut::new();
    staying("bob").encode(&mut bytes).unwrap();
    broker.send_bytes(bob, &bytes);
    broker.send_bytes(bob, &bytes);
    let packets = broker.received(bob);
    let [FromServer::Connack(_), FromServer::Disconnect(end)] = &packets[..] else {
        panic!("{packets:?}")
    };
    assert_eq!(end.reason, Reason::PROTOCOL_ERROR);
}

/// [MQTT-3.2.2-7]: a CONNACK from 0x80 on is the last packet.
#[test]
fn connection_ends_after_a_connack_that_refuses() {
    let mut broker = Broker::new();
    let eve = pipelined(&mut broker, &staying("eve"), &[]);
    assert!(broker.is_open(eve));
    broker.judge = Some(Box::new(|_| Verdict::NotAuthorized));
    let mallory = pipelined(&mut broker, &staying("mallory"), &[b"\xC0\0"]);
    assert_eq!(refusal(&mut broker, mallory), Reason::NOT_AUTHORIZED);
    assert!(broker.is_open(eve));
}

/// [MQTT-3.1.2-25]: a message that is too large for a client is dropped as if it had been delivered;
/// those that fit are delivered.
#[test]
fn message_that_is_too_large_for_a_client_counts_as_delivered() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut broker = Broker::new();
        let connect = Connect { packet_bytes_max: 60, receive_maximum: 1, ..staying("bob") };
        let (bob, _) = broker.connect_with(connect);
        let carol = subscriber(&mut broker, "carol", "a", Qos::AtMostOnce);
        subscribed(&mut broker, bob, "a", qos);
        for payload in ["x".repeat(61), "small".to_owned()] {
            publish_to_a(&mut broker, &payload);
        }
        assert_eq!(got(&mut broker, bob), ["small"], "{qos:?}");
        assert_eq!(got(&mut broker, carol).len(), 2);
        let alice = client(&mut broker, "alice");
        broker.send(alice, &FromClient::Publish(publish("a", "smaller")));
        assert_eq!(got(&mut broker, bob), ["smaller"]);
        broker.drop_socket(bob);
    }
}
