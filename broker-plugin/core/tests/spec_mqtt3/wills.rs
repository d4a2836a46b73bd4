//! The will of a client (§3.1.2.5, §3.14.4).

use broker_core::codec::{Binary, Connect, Reason, Version, Will};
use broker_core::engine::Ending;
use bytes::Bytes;
use ha_types::Qos;

use crate::common::{client, got, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{disconnect, name, publishes, subscribe, text};

fn with_will(retain: bool) -> Connect {
    let will = Will {
        topic: name("will"),
        payload: Binary::parse(Bytes::from_static(b"gone")).unwrap(),
        qos: Qos::AtLeastOnce,
        retain,
        properties: Bytes::new(),
        expires_in_s: None,
        delay_s: 0,
    };
    let connect = Connect::new(Version::V311, text("bob"));
    Connect { will: Some(will), keep_alive_s: 10, ..connect }
}

fn watched(retain: bool) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let watcher = subscriber(&mut broker, "watcher", "will", Qos::AtLeastOnce);
    let (bob, _) = broker.connect_with(with_will(retain));
    assert_eq!(got(&mut broker, watcher), [""; 0]);
    (broker, watcher, bob)
}

/// [MQTT-3.1.2-8]
#[test]
fn will_is_published_when_the_connection_ends_without_disconnect() {
    type End = fn(&mut Broker, Client);
    let endings: [End; 4] = [
        |broker, bob| broker.drop_socket(bob),
        |broker, bob| broker.end(bob, Ending::ShuttingDown),
        |broker, bob| broker.send_bytes(bob, b"\xFF\0"),
        |broker, _| broker.pass(15_000),
    ];
    for end in endings {
        let (mut broker, watcher, bob) = watched(false);
        end(&mut broker, bob);
        assert_eq!(got(&mut broker, watcher), ["gone"]);
    }
}

/// [MQTT-3.1.2-10], [MQTT-3.14.4-3]: after DISCONNECT, and after it was published, it is forgotten.
#[test]
fn will_is_published_never_after_disconnect_and_never_twice() {
    let (mut broker, watcher, bob) = watched(false);
    broker.send(bob, &disconnect(Reason::SUCCESS));
    broker.drop_socket(bob);
    assert_eq!(got(&mut broker, watcher), [""; 0]);
    let (mut broker, watcher, bob) = watched(false);
    broker.drop_socket(bob);
    let bob = client(&mut broker, "bob");
    broker.drop_socket(bob);
    assert_eq!(got(&mut broker, watcher), ["gone"]);
}

/// [MQTT-3.1.2-12]
#[test]
fn connection_without_a_will_ends_in_silence() {
    let mut broker = Broker::new();
    let watcher = subscriber(&mut broker, "watcher", "#", Qos::AtLeastOnce);
    let bob = client(&mut broker, "bob");
    broker.drop_socket(bob);
    assert_eq!(got(&mut broker, watcher), [""; 0]);
    assert_eq!(broker.published, []);
}

/// [MQTT-3.1.2-16], [MQTT-3.1.2-17]
#[test]
fn will_is_retained_exactly_when_it_says_so() {
    for retain in [false, true] {
        let (mut broker, _, bob) = watched(retain);
        broker.drop_socket(bob);
        let late = client(&mut broker, "late");
        broker.send(late, &subscribe(1, "will", Qos::AtLeastOnce));
        let kept = publishes(&broker.received(late));
        assert_eq!(
            kept.iter().map(|publish| publish.retain).collect::<Vec<_>>(),
            vec![true; usize::from(retain)]
        );
    }
}
