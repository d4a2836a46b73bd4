//! Deliveries and publishes of QoS 2.

use std::sync::Arc;

use ha_core::cluster::{Command, Outcome, Refused, Repeat};
use ha_types::Qos::{AtLeastOnce, ExactlyOnce};
use ha_types::session::{CloseCause, Open, Progress, SessionKey};
use ha_types::{BrokerEpoch, PublishNumber};

use crate::common::{Bench, at, durable, message, offset, packet_id, records};

fn received(ids: &[u16]) -> Progress {
    let received = ids.iter().map(|&id| packet_id(id)).collect();
    Progress { received, ..Progress::default() }
}

fn completed(ids: &[u16]) -> Progress {
    let completed = ids.iter().map(|&id| packet_id(id)).collect();
    Progress { completed, ..Progress::default() }
}

#[test]
fn connected_session_gets_its_record_with_the_message() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    let stored = bench.publish(message("t", "x", ExactlyOnce));
    let began: Vec<_> = stored.began.iter().map(|of| (of.session, of.packet_id.get())).collect();
    assert_eq!(began, [(session, 1)]);
    assert!(bench.queued(session).is_empty(), "it is in its exchange");
    assert_eq!(bench.state.counts().messages, 0, "which has the message for itself");
}

#[test]
fn exchange_goes_on_where_it_was_with_the_next_owner() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    for n in 1..=3 {
        bench.publish(message("t", &n.to_string(), ExactlyOnce));
    }
    bench.progress(session, received(&[2]));
    bench.progress(session, received(&[1]));
    bench.close(session, CloseCause::Failure);
    bench.restart();
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), ["pubrel 2", "pubrel 1", "3"], "in the order of the PUBRECs");
    bench.progress(opened.session, completed(&[1, 2]));
    assert_eq!(records(&bench.open(durable("a"))), ["3"]);
}

#[test]
fn exchange_survives_everything_that_happens_to_its_message() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    let expires_at = Some(ha_types::ClusterMillis(bench.now + 1_000));
    bench.publish(ha_types::Message { expires_at, ..message("t", "x", ExactlyOnce) });
    bench.unsubscribe(session, "t");
    bench.pass(2_000);
    assert_eq!(records(&bench.open(durable("a"))), ["x"]);
}

#[test]
fn session_that_is_behind_begins_when_its_owner_asks() {
    let mut bench = Bench::new();
    let open = Open { receive_maximum: 2, ..durable("a") };
    let session = bench.open(open).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    let began = |bench: &mut Bench, n: u64| {
        bench.publish(message("t", &n.to_string(), ExactlyOnce)).began.len()
    };
    assert_eq!([began(&mut bench, 1), began(&mut bench, 2), began(&mut bench, 3)], [1, 1, 0]);
    bench.progress(session, received(&[1, 2]));
    bench.progress(session, completed(&[1, 2]));
    assert_eq!(began(&mut bench, 4), 0, "not before the third");
    let begun = bench.begin(session, &[offset(3), offset(4)]);
    assert_eq!(
        begun.iter().map(|of| of.record).collect::<Vec<_>>(),
        [Some(packet_id(3)), Some(packet_id(4))]
    );
    // The same again: the answer was lost.
    assert_eq!(bench.begin(session, &[offset(3), offset(4)]), begun);
    bench.progress(session, completed(&[3, 4]));
    assert_eq!(began(&mut bench, 5), 1, "it has caught up");
}

#[test]
fn delivery_does_not_begin_twice() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    bench.subscribe(session, at("t", ExactlyOnce));
    bench.publish(message("t", "x", ExactlyOnce));
    bench.progress(session, received(&[1]));
    assert!(bench.begin(session, &[offset(1)]).is_empty(), "PUBREC came");
    bench.progress(session, completed(&[1]));
    assert!(bench.begin(session, &[offset(1)]).is_empty(), "PUBCOMP came");
    bench.publish(message("t", "one", AtLeastOnce));
    assert!(bench.begin(session, &[offset(2), offset(77)]).is_empty(), "of QoS 1, and none");
}

/// The number of each life of a broker that brought a message, in order.
fn known_by(outcome: Outcome) -> Vec<(u64, u64)> {
    let Outcome::Published(Ok(stored)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(stored.repeat, Repeat::OfExchange);
    stored.origins.iter().map(|of| (of.broker.0, of.number.0)).collect()
}

fn publish_at(bench: &mut Bench, broker: BrokerEpoch, number: u64, of: SessionKey) -> Outcome {
    let message = Arc::new(message("t", "x", ExactlyOnce));
    let (number, exchange) = (Some(PublishNumber(number)), Some((of, packet_id(7))));
    bench.one(Command::Publish { broker, number, exchange, message })
}

#[test]
fn repeat_is_known_by_the_first_number_of_each_broker_until_its_exchange_is_over() {
    let mut bench = Bench::new();
    let (first, second) = (bench.broker, bench.join("b", 1));
    let old = bench.open(durable("pub")).session;
    publish_at(&mut bench, first, 1, old);
    let middle = bench.open(durable("pub")).session;
    assert_eq!(known_by(publish_at(&mut bench, first, 2, middle)), [(1, 1)]);
    let new = bench.open_at(second, durable("pub")).session;
    assert_eq!(known_by(publish_at(&mut bench, second, 5, new)), [(1, 1), (2, 5)]);
    bench.restart();
    for (broker, number, of) in [(first, 1, old), (first, 2, middle), (second, 5, new)] {
        let again = publish_at(&mut bench, broker, number, of);
        assert_eq!(known_by(again), [(1, 1), (2, 5)], "{number} comes again");
    }
    let asked = bench.asked(new);
    bench.one(Command::Release { asked, session: new, packet_id: packet_id(7) });
    // Another message under the same packet identifier.
    publish_at(&mut bench, second, 6, new);
    let refused = Outcome::Published(Err(Refused::Fenced));
    assert_eq!(publish_at(&mut bench, first, 1, old), refused);
    assert_eq!(known_by(publish_at(&mut bench, first, 2, middle)), []);
    assert_eq!(known_by(publish_at(&mut bench, second, 5, new)), []);
}

#[test]
fn of_many_brokers_the_first_and_the_last_ones_are_remembered() {
    let mut bench = Bench::new();
    let mut last = Vec::new();
    for at in 1..=9 {
        let broker = if at == 1 { bench.broker } else { bench.join(&format!("b{at}"), 1) };
        let session = bench.open_at(broker, durable("pub")).session;
        let outcome = publish_at(&mut bench, broker, 1, session);
        if at > 1 {
            last = known_by(outcome);
        }
    }
    let expected: Vec<_> = std::iter::once(1).chain(3..=9).map(|broker| (broker, 1)).collect();
    assert_eq!(last, expected);
    bench.reloaded();
}

fn exchange(bench: &mut Bench, number: u64, of: (SessionKey, u16)) -> Outcome {
    let message = Arc::new(message("t", &number.to_string(), ExactlyOnce));
    let exchange = Some((of.0, packet_id(of.1)));
    let (broker, number) = (bench.broker, PublishNumber(number));
    bench.one(Command::Publish { broker, number: Some(number), exchange, message })
}

#[test]
fn publish_is_taken_once_until_its_packet_identifier_is_released() {
    let mut bench = Bench::new();
    let subscriber = bench.open(durable("sub")).session;
    bench.subscribe(subscriber, at("t", AtLeastOnce));
    let publisher = bench.open(durable("pub")).session;
    let repeat = |outcome: Outcome| match outcome {
        Outcome::Published(Ok(stored)) => stored.repeat,
        other => panic!("{other:?}"),
    };
    assert_eq!(repeat(exchange(&mut bench, 1, (publisher, 7))), Repeat::No);
    bench.close(publisher, CloseCause::Failure);
    bench.restart();
    let again = bench.open(durable("pub"));
    assert_eq!(again.inbound, [packet_id(7)]);
    assert_eq!(repeat(exchange(&mut bench, 2, (again.session, 7))), Repeat::OfExchange);
    assert_eq!(repeat(exchange(&mut bench, 3, (again.session, 8))), Repeat::No);
    assert_eq!(repeat(exchange(&mut bench, 3, (again.session, 9))), Repeat::OfNumber);
    let asked = bench.asked(again.session);
    let release = Command::Release { asked, session: again.session, packet_id: packet_id(7) };
    assert_eq!(bench.one(release.clone()), Outcome::Done);
    assert_eq!(repeat(exchange(&mut bench, 4, (again.session, 7))), Repeat::No);
    assert_eq!(bench.one(release), Outcome::Done, "a repeat");
    assert_eq!(repeat(exchange(&mut bench, 5, (again.session, 7))), Repeat::OfExchange);
    assert_eq!(
        repeat(exchange(&mut bench, 2, (again.session, 7))),
        Repeat::OfExchange,
        "as before"
    );
    let stale = exchange(&mut bench, 6, (publisher, 1));
    assert_eq!(stale, Outcome::Published(Err(Refused::Fenced)));
    assert_eq!(exchange(&mut bench, 6, (again.session, 1)), stale, "as before");
    bench.reloaded();
    assert_eq!(bench.queued(subscriber), ["1", "3", "4"]);
}
