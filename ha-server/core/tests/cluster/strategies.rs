//! Which member of a share group is next.

use std::collections::BTreeMap;

use ha_core::cluster::{Command, Outcome, StateLimits, Strategies, Strategy};
use ha_types::Qos::AtLeastOnce;
use ha_types::session::{CloseCause, Open, SessionKey};
use ha_types::{Message, Publisher};

use crate::common::{Bench, at, durable, message};
use crate::groups::{GROUP, members, offsets, publish, queues};

fn choose_by(bench: &mut Bench, otherwise: Strategy) {
    let strategies = Strategies { otherwise, ..Strategies::default() };
    assert_eq!(bench.one(Command::Share(strategies.clone())), Outcome::Done);
    bench.restart();
    assert_eq!(*bench.state.strategies(), strategies);
}

#[test]
fn strategy_is_that_of_the_share_name() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    for session in [a, b] {
        bench.subscribe(session, at("$share/h/t", AtLeastOnce));
    }
    let by_name = std::iter::once(("h".into(), Strategy::ByTopic)).collect();
    bench.one(Command::Share(Strategies { by_name, ..Strategies::default() }));
    publish(&mut bench, AtLeastOnce, 1..=4);
    let mut lens = queues(&bench, [a, b]).map(|queue| queue.len());
    lens.sort_unstable();
    assert_eq!(lens, [2, 6], "two of g each, and all of h for one");
}

#[test]
fn members_on_the_broker_of_the_publisher_come_first_while_they_have_room() {
    let (mut bench, [a, b]) =
        members(AtLeastOnce, [durable("a"), Open { receive_maximum: 1, ..durable("b") }]);
    choose_by(&mut bench, Strategy::LocalFirst);
    let other = bench.join("b", 1);
    let c = bench.open_at(other, durable("c")).session;
    bench.subscribe(c, at(GROUP, AtLeastOnce));
    let publisher = |epoch| Publisher { epoch, ..Publisher::default() };
    let from = |epoch, text: &str| Message {
        publisher: publisher(epoch),
        ..message("t", text, AtLeastOnce)
    };
    for n in 1..=4 {
        bench.publish(from(bench.broker, &n.to_string()));
    }
    bench.publish(from(other, "c"));
    assert_eq!(queues(&bench, [a, b, c]), [&["1", "3"][..], &["2", "4"], &["c"]]);
    bench.close(c, CloseCause::Failure);
    bench.publish(from(other, "elsewhere"));
    assert_eq!(bench.queued(a).len() + bench.queued(b).len(), 6);
}

#[test]
fn member_with_the_fewest_messages_in_flight_comes_first() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    publish(&mut bench, AtLeastOnce, 1..=6);
    choose_by(&mut bench, Strategy::LeastInFlight);
    let done = offsets(&bench, b);
    bench.puback(b, &done);
    publish(&mut bench, AtLeastOnce, 7..=9);
    assert_eq!(queues(&bench, [a, b]), [&["1", "3", "5"][..], &["7", "8", "9"]]);
    publish(&mut bench, AtLeastOnce, 10..=11);
    assert_eq!(queues(&bench, [a, b]).map(|queue| queue.len()), [4, 4]);
}

#[test]
fn messages_of_a_client_or_a_topic_stay_with_one_member_while_it_is_there() {
    for strategy in [Strategy::ByClient, Strategy::ByTopic] {
        let opens = ["a", "b", "c", "d"].map(|name| Open { receive_maximum: 1, ..durable(name) });
        let (mut bench, sessions) = members(AtLeastOnce, opens);
        for session in sessions {
            bench.subscribe(session, at("$share/g/+", AtLeastOnce));
            bench.unsubscribe(session, GROUP);
        }
        choose_by(&mut bench, strategy);
        // More than a member has room for.
        for number in 0..400 {
            let key = number % 8;
            let (topic, session) = match strategy {
                Strategy::ByTopic => (key.to_string(), ha_types::SessionId(1_000)),
                _ => ("t".into(), ha_types::SessionId(1_000 + key)),
            };
            let publisher = Publisher { session, ..Publisher::default() };
            bench.publish(Message {
                publisher,
                ..message(&topic, &number.to_string(), AtLeastOnce)
            });
        }
        let mut of_key: BTreeMap<u64, Vec<SessionKey>> = BTreeMap::new();
        for session in sessions {
            let queue: Vec<u64> =
                bench.queued(session).iter().map(|number| number.parse().unwrap()).collect();
            assert!(queue.is_sorted(), "in order");
            for number in queue {
                of_key.entry(number % 8).or_default().push(session);
            }
        }
        let one =
            |of: &Vec<SessionKey>| of.len() == 50 && of.iter().all(|session| *session == of[0]);
        assert!(of_key.len() == 8 && of_key.values().all(one), "{strategy:?}");
        assert!(of_key.values().any(|of| of[0] != of_key[&0][0]), "not all the same");
    }
}

#[test]
fn order_of_a_topic_is_kept_also_when_its_member_can_have_no_more() {
    let (mut bench, [a, _]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    choose_by(&mut bench, Strategy::ByTopic);
    bench.one(Command::Configure(StateLimits { queue_messages_max: 3, ..StateLimits::default() }));
    publish(&mut bench, AtLeastOnce, 1..=5);
    let sessions = [a, bench.state.session_of("b").unwrap().0];
    let its = sessions.into_iter().find(|session| !bench.queued(*session).is_empty()).unwrap();
    assert_eq!((bench.queued(its).len(), bench.state.counts().messages), (3, 2));
    let first = offsets(&bench, its)[..1].to_vec();
    bench.puback(its, &first);
    publish(&mut bench, AtLeastOnce, 6..=6);
    assert_eq!(bench.queued(its), ["2", "3", "4"]);
}
