//! §3.12, §3.14 and §4.13: PINGREQ, DISCONNECT, and errors that end a connection.

use broker_core::codec::{Connect, Disconnect, FromClient, FromServer, Reason, Version};
use broker_core::engine::{Ending, Limits, Verdict};
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{client, farewell, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{publish, publish_1, text};

/// [MQTT-3.12.4-1]: PINGREQ is answered with PINGRESP, each one with one.
#[test]
fn pingreq_is_answered_with_pingresp() {
    let mut broker = Broker::new();
    let (alice, bob) = (client(&mut broker, "alice"), client(&mut broker, "bob"));
    for count in 1..=3 {
        (0..count).for_each(|_| broker.send(bob, &FromClient::Pingreq));
        assert_eq!(broker.received(bob), vec![FromServer::Pingresp; count]);
    }
    assert_eq!(broker.received(alice), []);
}

/// [MQTT-3.14.0-1]: before the CONNACK that accepts there is no DISCONNECT, whatever ends the
/// connection.
#[test]
fn disconnect_is_not_sent_before_connack() {
    for ending in [Ending::Lost, Ending::ShuttingDown, Ending::Administrative, Ending::NotReading] {
        let mut broker = Broker::new();
        let bob = broker.socket(Version::V5);
        broker.end(bob, ending);
        assert!(!broker.is_open(bob));
        assert_eq!(broker.received(bob), [], "{ending:?}");
    }
    let mut broker = Broker::new();
    let late = broker.socket(Version::V5);
    broker.pass(10_000);
    assert_eq!(farewell(&mut broker, late), None);
    let wrong = broker.socket(Version::V5);
    broker.send_bytes(wrong, b"\xC0\0");
    assert_eq!(farewell(&mut broker, wrong), None);
    let bob = client(&mut broker, "bob");
    broker.end(bob, Ending::ShuttingDown);
    assert_eq!(farewell(&mut broker, bob), Some(Reason::SERVER_SHUTTING_DOWN));
}

/// Makes the broker end a client's connection.
type End = fn(&mut Broker, Client);

/// Whatever makes the broker send DISCONNECT, and what it says then.
fn farewells() -> Vec<(Reason, End)> {
    vec![
        (Reason::SERVER_SHUTTING_DOWN, |broker, bob| broker.end(bob, Ending::ShuttingDown)),
        (Reason::ADMINISTRATIVE_ACTION, |broker, bob| broker.end(bob, Ending::Administrative)),
        (Reason::KEEP_ALIVE_TIMEOUT, |broker, _| broker.pass(15_000)),
        (Reason::PROTOCOL_ERROR, |broker, bob| broker.send_bytes(bob, b"\x30\x03\0\0\0")),
        (Reason::SESSION_TAKEN_OVER, |broker, _| {
            broker.connect_with(staying("bob"));
        }),
        (Reason::TOPIC_ALIAS_INVALID, |broker, bob| {
            broker.send_bytes(bob, b"\x30\x07\0\x01a\x03\x23\0\xFF");
        }),
    ]
}

fn with_bob() -> (Broker, Client) {
    let mut broker = Broker::new();
    let (bob, _) = broker.connect_with(Connect { keep_alive_s: 10, ..staying("bob") });
    subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
    (broker, bob)
}

/// [MQTT-3.14.2-2]: a DISCONNECT of the broker has no Session Expiry Interval.
#[test]
fn disconnect_of_the_broker_has_no_session_expiry() {
    for (reason, end) in farewells() {
        let (mut broker, bob) = with_bob();
        end(&mut broker, bob);
        let packets = broker.received(bob);
        let [FromServer::Disconnect(disconnect)] = &packets[..] else { panic!("{packets:?}") };
        assert_eq!((disconnect.reason, disconnect.session_expiry_s), (reason, None));
    }
}

/// [MQTT-3.14.4-1], [MQTT-3.14.4-2]: after its DISCONNECT the broker sends nothing and ends the
/// connection; what the client still sends is not processed.
#[test]
fn nothing_follows_the_disconnect_of_the_broker() {
    for (reason, end) in farewells() {
        let (mut broker, bob) = with_bob();
        let alice = client(&mut broker, "alice");
        end(&mut broker, bob);
        assert_eq!(farewell(&mut broker, bob), Some(reason));
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
        let before = broker.published.len();
        broker.send(bob, &FromClient::Publish(publish("a", "x")));
        broker.send(bob, &FromClient::Pingreq);
        broker.pass(60_000);
        broker.end(bob, Ending::Administrative);
        assert_eq!(broker.received(bob), []);
        assert_eq!(broker.published.len(), before);
    }
}

/// [MQTT-3.14.4-1], [MQTT-3.14.4-2], of a client's DISCONNECT: what follows is not processed, and the
/// broker ends the connection without a word.
#[test]
fn nothing_that_follows_the_disconnect_of_a_client_is_processed() {
    for reason in [Reason::SUCCESS, Reason::DISCONNECT_WITH_WILL] {
        let (mut broker, bob) = with_bob();
        broker.send_bytes(bob, &[&[0xE0, 2, reason.0, 0][..], b"\x30\x04\0\x01a\0"].concat());
        assert!(!broker.is_open(bob));
        assert_eq!(broker.received(bob), []);
        assert_eq!(broker.published.len(), 0);
    }
}

/// [MQTT-4.13.1-1]: each malformed packet and each protocol error ends the connection, and DISCONNECT
/// says which it was.
#[test]
fn malformed_packets_and_protocol_errors_end_the_connection() {
    const MALFORMED: Reason = Reason::MALFORMED_PACKET;
    const PROTOCOL: Reason = Reason::PROTOCOL_ERROR;
    let packets: [(&[u8], Reason); 18] = [
        (b"\x00\0", MALFORMED),                              // no packet
        (b"\x30\xFF\xFF\xFF\xFF\x01", MALFORMED),            // a length of five bytes
        (b"\x36\x06\0\x01a\0\x01\0", MALFORMED),             // QoS 3
        (b"\x38\x04\0\x01a\0", MALFORMED),                   // DUP at QoS 0
        (b"\x30\x05\0\x02a\xFF\0", MALFORMED),               // no UTF-8
        (b"\x80\x06\0\x01\0\0\x01a\0", MALFORMED),           // flags of SUBSCRIBE
        (b"\x82\x07\0\x01\0\0\x01a\x80", MALFORMED),         // reserved options
        (b"\x32\x06\0\x01a\0\0\0", PROTOCOL),                // packet identifier 0
        (b"\x30\x03\0\0\0", PROTOCOL),                       // neither topic nor alias
        (b"\x82\x03\0\x01\0", PROTOCOL),                     // no filter
        (b"\xA2\x03\0\x01\0", PROTOCOL),                     // no filter
        (b"\x82\x10\0\x01\0\0\x0A$share/g/a\x04", PROTOCOL), // No Local on a share
        (b"\x20\x03\0\0\0", PROTOCOL),                       // a packet of servers
        (b"\xD0\0", PROTOCOL),                               // another
        (b"\x30\x06\0\x01a\x02\x0B\x01", PROTOCOL),          // a subscription identifier
        (b"\x30\x04\0\x01#\0", Reason::TOPIC_NAME_INVALID),
        (b"\x82\x07\0\x01\0\0\x02a#\0", Reason::TOPIC_FILTER_INVALID),
        (b"\x30\x07\0\x01a\x03\x23\0\0", Reason::TOPIC_ALIAS_INVALID),
    ];
    for (packet, reason) in packets {
        let (mut broker, bob) = with_bob();
        broker.send_bytes(bob, packet);
        assert_eq!(farewell(&mut broker, bob), Some(reason), "{packet:x?}");
    }
}

/// [MQTT-4.13.1-1], of errors that only the state of a connection shows.
#[test]
fn packets_out_of_their_order_end_the_connection() {
    let packets: [&[u8]; 4] = [
        b"\x10\x0E\0\x04MQTT\x05\x02\0\0\0\0\x01c", // CONNECT again
        b"\x30\x07\0\0\x03\x23\0\x01x",             // an alias without a name
        b"\xF0\x07\x19\x05\x15\0\x01m",             // AUTH, cut
        b"\xF0\x06\x19\x04\x15\0\x01m",             // AUTH without a method in CONNECT
    ];
    for packet in packets {
        let (mut broker, bob) = with_bob();
        broker.send_bytes(bob, packet);
        broker.send_bytes(bob, b"\xC0\0");
        assert!(farewell(&mut broker, bob).is_some_and(Reason::is_failure), "{packet:x?}");
    }
    let mut broker = Broker::new();
    let bob = client(&mut broker, "bob");
    let longer = Disconnect { session_expiry_s: Some(1), ..Disconnect::default() };
    broker.send(bob, &FromClient::Disconnect(longer));
    assert_eq!(farewell(&mut broker, bob), Some(Reason::PROTOCOL_ERROR));
}

/// [MQTT-4.13.1-1], of acknowledgements that belong to another kind of exchange.
#[test]
fn acknowledgement_of_another_qos_ends_the_connection() {
    for session_expiry_s in [0, 3_600] {
        for (qos, wrong) in
            [(Qos::AtLeastOnce, &[0x50_u8, 0x70][..]), (Qos::ExactlyOnce, &[0x40, 0x70])]
        {
            for &first in wrong {
                let mut broker = Broker::new();
                let (bob, _) = broker.connect_with(Connect { session_expiry_s, ..staying("bob") });
                subscribed(&mut broker, bob, "a", qos);
                let alice = client(&mut broker, "alice");
                broker.send_bytes(alice, b"\x34\x06\0\x01a\0\x01\0");
                assert_eq!(got(&mut broker, bob), [""]);
                broker.send_bytes(bob, &[first, 2, 0, 1]);
                let reason = farewell(&mut broker, bob);
                assert_eq!(reason, Some(Reason::PROTOCOL_ERROR), "{qos:?} {first:x}");
            }
        }
    }
}

/// [MQTT-4.13.2-1]: a reason from 0x80 on in CONNACK or DISCONNECT ends the connection, also when the
/// packet is too large for the client and is not sent.
#[test]
fn failure_ends_the_connection_whether_it_can_be_said_or_not() {
    for (packet_bytes_max, is_said) in [(u32::MAX, true), (3, false)] {
        let limits = Limits { packet_bytes_max: 1_000, ..Limits::default() };
        let mut broker = Broker::with(limits, HolderConfig::default());
        broker.judge = Some(Box::new(|_| Verdict::NotAuthorized));
        let bob = broker.socket(Version::V5);
        let mut bytes = bytes::BytesMut::new();
        let connect = Connect { packet_bytes_max, ..Connect::new(Version::V5, text("bob")) };
        connect.encode(&mut bytes).unwrap();
        broker.send_bytes(bob, &bytes);
        assert_eq!(broker.received(bob).len(), usize::from(is_said));
        assert!(!broker.is_open(bob));
    }
    let limits = Limits { server_reference: Some(text(&"x".repeat(100))), ..Limits::default() };
    for (packet_bytes_max, is_said) in [(u32::MAX, true), (60, false)] {
        let mut broker = Broker::with(limits.clone(), HolderConfig::default());
        let (bob, _) = broker.connect_with(Connect { packet_bytes_max, ..staying("bob") });
        broker.end(bob, Ending::ShuttingDown);
        let said = is_said.then_some(Reason::USE_ANOTHER_SERVER);
        assert_eq!(farewell(&mut broker, bob), said);
    }
}
