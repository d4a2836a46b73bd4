//! §3.1.2.5 and §3.1.3.2: when the will is published, and how.

use broker_core::codec::{Binary, Connect, Disconnect, FromClient, Reason, Version, Will};
use broker_core::engine::Ending;
use bytes::Bytes;
use ha_types::Qos;

use crate::common::{client, got, staying, subscribed, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{disconnect, name, publishes, text};

/// A will with the payload `gone`.
fn will(delay_s: u32) -> Option<Will> {
    Some(Will {
        topic: name("will"),
        payload: Binary::parse(Bytes::from_static(b"gone")).unwrap(),
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Bytes::new(),
        expires_in_s: None,
        delay_s,
    })
}

/// A broker with a watcher of wills, and `bob` who has one and whose session stays for an hour.
fn watched(delay_s: u32) -> (Broker, Client, Client) {
    watched_with(Connect { will: will(delay_s), ..staying("bob") })
}

fn watched_with(connect: Connect) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let watcher = subscriber(&mut broker, "watcher", "will", Qos::AtMostOnce);
    let (bob, _) = broker.connect_with(connect);
    (broker, watcher, bob)
}

/// [MQTT-3.1.2-7]: the will is kept with the session, not with the connection that it came with.
#[test]
fn will_is_kept_with_the_session() {
    let (mut broker, watcher, bob) = watched(10);
    broker.drop_socket(bob);
    assert_eq!(got(&mut broker, watcher), [""; 0]);
    broker.pass(10_000);
    assert_eq!(got(&mut broker, watcher), ["gone"]);
}

/// [MQTT-3.1.2-8]: without delay it is published when the connection ends, however it ends but by
/// DISCONNECT 0x00, and not before.
#[test]
fn will_is_published_when_the_connection_ends() {
    let endings: [fn(&mut Broker, Client); 6] = [
        |broker, bob| broker.drop_socket(bob),
        |broker, bob| broker.end(bob, Ending::Administrative),
        |broker, bob| broker.end(bob, Ending::ShuttingDown),
        |broker, bob| broker.send_bytes(bob, b"\xFF\0"),
        |broker, bob| broker.send(bob, &disconnect(Reason::DISCONNECT_WITH_WILL)),
        |broker, _| broker.pass(15_000),
    ];
    for end in endings {
        let connect = Connect { will: will(0), keep_alive_s: 10, ..staying("bob") };
        let (mut broker, watcher, bob) = watched_with(connect);
        broker.pass(14_999);
        broker.send(bob, &FromClient::Pingreq);
        assert_eq!(got(&mut broker, watcher), [""; 0]);
        end(&mut broker, bob);
        assert_eq!(got(&mut broker, watcher), ["gone"]);
        assert!(!broker.is_open(bob));
    }
}

/// [MQTT-3.1.2-8]: after its delay, or at the end of the session if that comes first.
#[test]
fn will_is_published_after_its_delay_or_with_the_end_of_its_session() {
    for (delay_s, session_expiry_s, due_ms) in
        [(5, 3_600, 5_000), (5, 6, 5_000), (5, 5, 5_000), (5, 4, 4_000), (5, u32::MAX, 5_000)]
    {
        let connect = Connect { will: will(delay_s), session_expiry_s, ..staying("bob") };
        let (mut broker, watcher, bob) = watched_with(connect);
        broker.drop_socket(bob);
        broker.pass(due_ms - 1);
        assert_eq!(got(&mut broker, watcher), [""; 0], "{session_expiry_s}");
        broker.pass(1);
        assert_eq!(got(&mut broker, watcher), ["gone"], "{session_expiry_s}");
        broker.pass(10_000);
        assert_eq!(got(&mut broker, watcher), [""; 0], "{session_expiry_s}");
    }
    let connect = Connect { will: will(5), session_expiry_s: 0, ..staying("bob") };
    let (mut broker, watcher, bob) = watched_with(connect);
    broker.drop_socket(bob);
    assert_eq!(got(&mut broker, watcher), ["gone"]);
}

/// [MQTT-3.1.2-8]: a DISCONNECT that shortens the session brings a will that waits forward.
#[test]
fn will_waits_no_longer_than_the_session_expiry_of_disconnect() {
    let (mut broker, watcher, bob) = watched(5);
    broker.send(
        bob,
        &FromClient::Disconnect(Disconnect {
            reason: Reason::DISCONNECT_WITH_WILL,
            session_expiry_s: Some(2),
            ..Disconnect::default()
        }),
    );
    broker.pass(1_999);
    assert_eq!(got(&mut broker, watcher), [""; 0]);
    broker.pass(1);
    assert_eq!(got(&mut broker, watcher), ["gone"]);
}

/// [MQTT-3.1.2-8]: a clean start ends the session, so a will that waits is published at once.
#[test]
fn will_that_waits_is_published_when_a_clean_start_ends_its_session() {
    let (mut broker, watcher, bob) = watched(5);
    broker.drop_socket(bob);
    broker.connect_with(Connect { clean_start: true, ..staying("bob") });
    assert_eq!(got(&mut broker, watcher), ["gone"]);
}

/// [MQTT-3.1.2-10]: once it was published it is forgotten: the next connection has only its own.
#[test]
fn will_is_published_once() {
    let (mut broker, watcher, bob) = watched(0);
    broker.drop_socket(bob);
    assert_eq!(got(&mut broker, watcher), ["gone"]);
    let (bob, connack) = broker.connect_with(staying("bob"));
    assert!(connack.session_present);
    broker.drop_socket(bob);
    broker.pass(3_600_000);
    assert_eq!(broker.sessions(), 1);
    assert_eq!(got(&mut broker, watcher), [""; 0]);
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3]: DISCONNECT 0x00 discards the will; another reason does not.
#[test]
fn disconnect_0_discards_the_will() {
    for delay_s in [0, 5] {
        for (reason, published) in
            [(Reason::SUCCESS, 0), (Reason::DISCONNECT_WITH_WILL, 1), (Reason(0x80), 1)]
        {
            let (mut broker, watcher, bob) = watched(delay_s);
            broker.send(bob, &disconnect(reason));
            broker.pass(3_600_000);
            assert_eq!(got(&mut broker, watcher).len(), published, "{delay_s} {reason:?}");
        }
    }
}

/// [MQTT-3.1.2-14], [MQTT-3.1.2-15]: Will Retain says whether it is published as a retained message.
#[test]
fn will_is_retained_as_its_flag_says() {
    for retain in [false, true] {
        let mut connect = Connect { will: will(0), ..staying("bob") };
        connect.will.as_mut().unwrap().retain = retain;
        let (mut broker, _, bob) = watched_with(connect);
        broker.drop_socket(bob);
        let carol = client(&mut broker, "carol");
        let late = publishes(&subscribed(&mut broker, carol, "will", Qos::AtMostOnce));
        assert_eq!(late.len(), usize::from(retain));
        assert!(late.iter().all(|publish| publish.retain));
    }
}

/// [MQTT-3.1.3-9]: a client that is back before the delay is over, without a will, has none published
/// ever; one that is back later has.
#[test]
fn will_is_not_published_when_the_client_is_back_in_time() {
    for (away_ms, published) in [(0, 0), (4_999, 0), (5_000, 1)] {
        let (mut broker, watcher, bob) = watched(5);
        broker.drop_socket(bob);
        broker.pass(away_ms);
        let (bob, _) = broker.connect_with(staying("bob"));
        broker.pass(60_000);
        broker.drop_socket(bob);
        broker.pass(60_000);
        assert_eq!(got(&mut broker, watcher).len(), published, "{away_ms}");
    }
}

/// [MQTT-3.1.3-9], [MQTT-3.1.2-8]: a takeover counts as being back: only a will without delay is
/// published.
#[test]
fn will_with_delay_is_not_published_at_a_takeover() {
    for (delay_s, published) in [(0, 1), (1, 0)] {
        let (mut broker, watcher, bob) = watched(delay_s);
        broker.connect_with(staying("bob"));
        assert!(!broker.is_open(bob));
        broker.pass(60_000);
        assert_eq!(got(&mut broker, watcher).len(), published, "{delay_s}");
    }
}

/// [MQTT-3.1.2-7]: no Will Flag, no will.
#[test]
fn client_without_will_leaves_none() {
    let connect = Connect::new(Version::V5, text("bob"));
    let (mut broker, watcher, bob) = watched_with(connect);
    broker.drop_socket(bob);
    broker.pass(3_600_000);
    assert_eq!(got(&mut broker, watcher), [""; 0]);
}
