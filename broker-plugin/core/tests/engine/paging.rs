//! Far more messages than a client takes: those of a durable session wait, an ephemeral one has its
//! limit.

use broker_core::codec::{Connect, FromServer, Publish, Reason, Version};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{drained, farewell, of_qos, payload, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{payloads, publishes, text};

const MESSAGES: u16 = 500;

pub(crate) fn numbers(range: std::ops::RangeInclusive<u16>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

pub(crate) fn payloads_of(messages: &[Publish]) -> Vec<String> {
    messages.iter().map(payload).collect()
}

/// A broker with `alice`, and `bob`, who has subscribed to `a` at QoS 2.
pub(crate) fn broker_with_bob(
    limits: Limits,
    config: HolderConfig,
    bob: Connect,
) -> (Broker, Client, Client) {
    let mut broker = Broker::with(limits, config);
    let alice = broker.connect(Version::V5, "alice");
    let (bob, _) = broker.connect_with(bob);
    subscribed(&mut broker, bob, "a", Qos::ExactlyOnce);
    (broker, alice, bob)
}

pub(crate) fn publish_all(
    broker: &mut Broker,
    alice: Client,
    qos: Qos,
    range: std::ops::RangeInclusive<u16>,
) {
    for number in range {
        broker.send(alice, &of_qos(qos, number, "a", &number.to_string()));
    }
}

/// Limits of what may wait at the connection, from one message to more than there are.
fn limits() -> impl Iterator<Item = Limits> {
    let sizes = [(1, 8 << 20), (5, 500), (100, 30), (65, 8 << 20), (100_000, 8 << 20)];
    sizes.into_iter().map(|(queue_messages_max, queue_bytes_max)| Limits {
        queue_messages_max,
        queue_bytes_max,
        receive_maximum: 65_535,
        ..Limits::default()
    })
}

#[test]
fn client_that_did_not_read_finds_everything_once_and_in_order() {
    for limits in limits() {
        for receive_maximum in [1, 20, 40, 65_535] {
            for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
                let bob = Connect { receive_maximum, ..staying(Version::V5, "bob") };
                let config = HolderConfig::default();
                let (mut broker, alice, bob) = broker_with_bob(limits.clone(), config, bob);
                broker.set_reading(bob, false);
                publish_all(&mut broker, alice, qos, 1..=MESSAGES);
                assert_eq!(broker.held().queued, usize::from(MESSAGES));
                broker.set_reading(bob, true);
                let messages = drained(&mut broker, bob);
                assert_eq!(payloads_of(&messages), numbers(1..=MESSAGES), "{limits:?}");
                assert!(messages.iter().all(|publish| !publish.dup));
                assert_eq!(broker.held().queued, 0);
            }
        }
    }
}

/// It was sent as much as its Receive Maximum allows, and perhaps has that.
#[test]
fn client_that_goes_away_without_having_read_finds_everything_when_it_is_back() {
    for limits in limits() {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let connect = Connect { receive_maximum: 20, ..staying(Version::V5, "bob") };
            let config = HolderConfig::default();
            let (mut broker, alice, bob) = broker_with_bob(limits.clone(), config, connect.clone());
            broker.set_reading(bob, false);
            publish_all(&mut broker, alice, qos, 1..=200);
            broker.drop_socket(bob);
            publish_all(&mut broker, alice, qos, 201..=MESSAGES);
            let (bob, _) = broker.connect_with(connect);
            let messages = drained(&mut broker, bob);
            assert_eq!(payloads_of(&messages), numbers(1..=MESSAGES), "{limits:?}");
            let again = messages.iter().filter(|publish| publish.dup).count();
            assert!(messages[..again].iter().all(|publish| publish.dup) && again <= 20);
            assert_eq!(broker.held().queued, 0);
        }
    }
}

/// What it may have fills all that may wait at its connection, before anything new comes.
#[test]
fn client_that_comes_back_with_a_smaller_receive_maximum_finds_everything_once() {
    for limits in limits() {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let connect = Connect { receive_maximum: 200, ..staying(Version::V5, "bob") };
            let config = HolderConfig::default();
            let (mut broker, alice, bob) = broker_with_bob(limits.clone(), config, connect.clone());
            publish_all(&mut broker, alice, qos, 1..=MESSAGES);
            let sent = publishes(&broker.received(bob)).len();
            broker.drop_socket(bob);
            let (bob, _) = broker.connect_with(Connect { receive_maximum: 1, ..connect });
            let messages = drained(&mut broker, bob);
            assert_eq!(payloads_of(&messages), numbers(1..=MESSAGES), "{limits:?}");
            assert_eq!(messages.iter().filter(|publish| publish.dup).count(), sent);
        }
    }
}

#[test]
fn client_that_reads_and_stops_again_and_again_finds_everything_once_and_in_order() {
    for limits in limits() {
        let bob = Connect { receive_maximum: 7, ..staying(Version::V5, "bob") };
        let config = HolderConfig::default();
        let (mut broker, alice, bob) = broker_with_bob(limits.clone(), config, bob);
        let mut messages = Vec::new();
        for number in 1..=MESSAGES {
            broker.set_reading(bob, number % 50 < 10);
            publish_all(&mut broker, alice, Qos::ExactlyOnce, number..=number);
            if number % 50 == 5 {
                messages.extend(drained(&mut broker, bob));
            }
        }
        broker.set_reading(bob, true);
        messages.extend(drained(&mut broker, bob));
        assert_eq!(payloads_of(&messages), numbers(1..=MESSAGES), "{limits:?}");
    }
}

/// A broker at whose connections three messages may wait, with an ephemeral `bob` who takes two at a
/// time and acknowledges nothing.
fn broker_with_slow_bob(version: Version) -> (Broker, Client, Client) {
    let limits = Limits { queue_messages_max: 3, inflight_max: 2, ..Limits::default() };
    broker_with_bob(limits, HolderConfig::default(), Connect::new(version, text("bob")))
}

#[test]
fn ephemeral_client_that_does_not_acknowledge_is_closed_when_its_queue_is_full() {
    for (version, told) in [(Version::V5, Some(Reason::QUOTA_EXCEEDED)), (Version::V311, None)] {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let (mut broker, alice, bob) = broker_with_slow_bob(version);
            let eve = broker.connect(version, "eve");
            subscribed(&mut broker, eve, "a", Qos::AtMostOnce);
            publish_all(&mut broker, alice, qos, 1..=5);
            assert!(broker.is_open(bob));
            assert_eq!(payloads(&broker.received(bob)), ["1", "2"]);
            publish_all(&mut broker, alice, qos, 6..=6);
            assert_eq!(farewell(&mut broker, bob), told);
            assert_eq!(payloads(&broker.received(eve)), numbers(1..=6));
            assert_eq!(broker.sessions(), 2);
        }
    }
}

#[test]
fn ephemeral_client_that_acknowledges_late_gets_what_waited() {
    let (mut broker, alice, bob) = broker_with_slow_bob(Version::V5);
    publish_all(&mut broker, alice, Qos::ExactlyOnce, 1..=5);
    assert_eq!(payloads_of(&drained(&mut broker, bob)), numbers(1..=5));
    publish_all(&mut broker, alice, Qos::ExactlyOnce, 6..=10);
    assert_eq!(payloads_of(&drained(&mut broker, bob)), numbers(6..=10));
}

/// What waits to be written counts as much as what waits to be sent.
#[test]
fn ephemeral_client_that_does_not_read_loses_qos_0_first_and_then_its_connection() {
    let limits = Limits { queue_messages_max: 3, queue_bytes_max: 100, ..Limits::default() };
    let bob = Connect::new(Version::V5, text("bob"));
    let (mut broker, alice, bob) = broker_with_bob(limits, HolderConfig::default(), bob);
    broker.set_reading(bob, false);
    publish_all(&mut broker, alice, Qos::AtMostOnce, 1..=100);
    let dropped = broker.counts(bob).dropped;
    assert!((80..100).contains(&dropped), "{dropped}");
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 101..=103);
    assert!(broker.is_open(bob));
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 104..=104);
    assert!(!broker.is_open(bob));
    broker.set_reading(bob, true);
    let sent = numbers(1..=100 - u16::try_from(dropped).unwrap());
    let packets = broker.received(bob);
    assert_eq!(payloads(&packets), sent);
    assert!(matches!(packets.last(), Some(FromServer::Disconnect(_))));
}

/// It loses what is QoS 0, which is kept for nobody, and counts it.
#[test]
fn durable_client_that_does_not_read_loses_qos_0_only() {
    let limits = Limits { queue_bytes_max: 100, ..Limits::default() };
    let bob = staying(Version::V5, "bob");
    let (mut broker, alice, bob) = broker_with_bob(limits, HolderConfig::default(), bob);
    broker.set_reading(bob, false);
    for number in 1..=100 {
        broker.send(alice, &of_qos(Qos::AtMostOnce, 0, "a", "live"));
        broker.send(alice, &of_qos(Qos::AtLeastOnce, number, "a", "kept"));
    }
    let dropped = usize::try_from(broker.counts(bob).dropped).unwrap();
    broker.set_reading(bob, true);
    let messages = payloads_of(&drained(&mut broker, bob));
    assert_eq!(messages.iter().filter(|payload| *payload == "kept").count(), 100);
    assert_eq!(messages.iter().filter(|payload| *payload == "live").count(), 100 - dropped);
    assert!(dropped > 80);
}

#[test]
fn exchange_that_is_never_finished_takes_one_place_and_no_more() {
    let bob = Connect { receive_maximum: 2, ..staying(Version::V5, "bob") };
    let (mut broker, alice, bob) = broker_with_bob(Limits::default(), HolderConfig::default(), bob);
    publish_all(&mut broker, alice, Qos::ExactlyOnce, 1..=1);
    let stuck = publishes(&broker.received(bob));
    publish_all(&mut broker, alice, Qos::AtLeastOnce, 2..=MESSAGES);
    assert_eq!(payloads_of(&drained(&mut broker, bob)), numbers(2..=MESSAGES));
    assert_eq!((stuck.len(), broker.held().queued), (1, 1));
}
