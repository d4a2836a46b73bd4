//! Publishes that come after their session has gone on under another ownership, or has ended.

use std::sync::Arc;

use ha_core::cluster::{Command, Outcome, Refused, Repeat, Stored};
use ha_types::session::{CloseCause, Open, SessionKey};
use ha_types::{BrokerEpoch, PublishNumber, Qos};

use crate::common::{Bench, at, durable, ephemeral, message, packet_id};

/// Under a number that is its payload as well, with packet identifier 1.
fn publish(
    bench: &mut Bench,
    broker: BrokerEpoch,
    number: u64,
    (session, qos): (SessionKey, Qos),
) -> Result<Stored, Refused> {
    let message = Arc::new(message("t", &number.to_string(), qos));
    let (number, exchange) = (Some(PublishNumber(number)), Some((session, packet_id(1))));
    match bench.one(Command::Publish { broker, number, exchange, message }) {
        Outcome::Published(stored) => stored,
        other => panic!("{other:?}"),
    }
}

/// With a subscriber of everything that is published.
fn subscribed() -> (Bench, SessionKey) {
    let mut bench = Bench::new();
    let subscriber = bench.open(durable("sub")).session;
    bench.subscribe(subscriber, at("t", Qos::ExactlyOnce));
    (bench, subscriber)
}

#[test]
fn publish_of_qos_1_is_taken_from_the_owner_of_its_session_only() {
    for open in [durable("pub"), ephemeral("pub")] {
        let (mut bench, subscriber) = subscribed();
        let (broker, other) = (bench.broker, bench.join("other", 1));
        let old = (bench.open(open.clone()).session, Qos::AtLeastOnce);
        assert!(publish(&mut bench, broker, 1, old).is_ok());
        let new = (bench.open_at(other, open).session, Qos::AtLeastOnce);
        assert!(publish(&mut bench, other, 2, new).is_ok());
        assert_eq!(publish(&mut bench, broker, 3, old), Err(Refused::Fenced));
        assert_eq!(publish(&mut bench, broker, 4, new), Err(Refused::Fenced), "not of this broker");
        bench.restart();
        assert_eq!(publish(&mut bench, broker, 3, old), Err(Refused::Fenced), "as before");
        assert_eq!(bench.queued(subscriber), ["1", "2"]);
    }
}

#[test]
fn publish_of_qos_1_is_not_taken_from_an_older_connection_of_the_same_broker() {
    let (mut bench, subscriber) = subscribed();
    let broker = bench.broker;
    for (number, open) in (1..).zip([durable("pub"), ephemeral("pub")]) {
        let old = bench.open(open.clone()).session;
        let again = Open { connection: ha_types::session::ConnectionId(2), ..open };
        let new = bench.open(again).session;
        let late = publish(&mut bench, broker, 2 * number, (old, Qos::AtLeastOnce));
        assert_eq!(late, Err(Refused::Fenced));
        assert!(publish(&mut bench, broker, 2 * number + 1, (new, Qos::AtLeastOnce)).is_ok());
    }
    assert_eq!(bench.queued(subscriber), ["3", "5"]);
}

#[test]
fn publish_of_qos_1_is_not_taken_when_its_connection_is_closed() {
    for open in [durable("pub"), ephemeral("pub")] {
        let (mut bench, subscriber) = subscribed();
        let broker = bench.broker;
        let session = bench.open(open).session;
        bench.close(session, CloseCause::Failure);
        let late = publish(&mut bench, broker, 1, (session, Qos::AtLeastOnce));
        assert_eq!(late, Err(Refused::Fenced));
        assert!(bench.queued(subscriber).is_empty());
    }
}

/// [MQTT-4.3.2-5]: what a client sends under an identifier again is a new message.
#[test]
fn packet_identifier_of_qos_1_is_free_at_once() {
    let (mut bench, subscriber) = subscribed();
    let broker = bench.broker;
    let session = bench.open(durable("pub")).session;
    for number in [1, 2] {
        let stored = publish(&mut bench, broker, number, (session, Qos::AtLeastOnce)).unwrap();
        assert_eq!(stored.repeat, Repeat::No);
    }
    assert!(publish(&mut bench, broker, 3, (session, Qos::ExactlyOnce)).is_ok());
    assert_eq!(bench.open(durable("pub")).inbound, [packet_id(1)], "of QoS 2");
    assert_eq!(bench.queued(subscriber), ["1", "2"], "the third is in its exchange");
}

/// Its live subscribers may not have it: its client sends it again. At QoS 2 some of them may get it now,
/// and know it then.
#[test]
fn number_that_comes_again_late_is_refused_at_qos_1_and_handed_on_at_qos_2() {
    for (qos, again) in
        [(Qos::AtLeastOnce, Err(Refused::Fenced)), (Qos::ExactlyOnce, Ok(Repeat::OfExchange))]
    {
        let (mut bench, _) = subscribed();
        let (broker, other) = (bench.broker, bench.join("other", 1));
        let session = bench.open(durable("pub")).session;
        let mut repeat =
            || publish(&mut bench, broker, 1, (session, qos)).map(|stored| stored.repeat);
        assert_eq!([repeat(), repeat()], [Ok(Repeat::No), Ok(Repeat::OfNumber)]);
        bench.open_at(other, durable("pub"));
        let late = publish(&mut bench, broker, 1, (session, qos)).map(|stored| stored.repeat);
        assert_eq!(late, again, "{qos:?}");
    }
}
