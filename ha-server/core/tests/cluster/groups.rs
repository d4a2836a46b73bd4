//! Share groups: one member gets each message, and none is lost with its member.

use std::collections::BTreeMap;

use ha_core::cluster::{Applied, Command, Outcome, StateLimits, Strategies, Strategy};
use ha_types::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ha_types::session::{
    CloseCause, Lifetime, Offset, Open, PageEnd, Progress, Queued, Refused, RetainHandling,
    SessionKey, SubscribeOptions, SubscriptionId,
};
use ha_types::{ClusterMillis, Message, Publisher, Qos};

use crate::common::{Bench, at, durable, ephemeral, message, payload, records};

const GROUP: &str = "$share/g/t";

/// Members of [`GROUP`], granted this QoS.
fn members<const N: usize>(qos: Qos, opens: [Open; N]) -> (Bench, [SessionKey; N]) {
    let mut bench = Bench::new();
    let keys = opens.map(|open| {
        let session = bench.open(open).session;
        assert!(bench.subscribe(session, at(GROUP, qos)).is_empty());
        session
    });
    (bench, keys)
}

fn publish(bench: &mut Bench, qos: Qos, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        bench.publish(message("t", &number.to_string(), qos));
    }
}

fn queues<const N: usize>(bench: &Bench, sessions: [SessionKey; N]) -> [Vec<String>; N] {
    sessions.map(|session| bench.queued(session))
}

fn offsets(bench: &Bench, session: SessionKey) -> Vec<Offset> {
    bench.page(session).messages.iter().map(|queued| queued.offset).collect()
}

#[test]
fn connected_members_take_turns_durable_or_not() {
    let opens = [durable("a"), ephemeral("b"), ephemeral("c")];
    let (mut bench, sessions) = members(AtLeastOnce, opens);
    publish(&mut bench, AtLeastOnce, 1..=7);
    assert_eq!(queues(&bench, sessions), [&["1", "4", "7"][..], &["2", "5"], &["3", "6"]]);
    bench.restart();
    publish(&mut bench, AtLeastOnce, 8..=8);
    assert_eq!(bench.queued(sessions[1]), ["2", "5", "8"], "turns are remembered");
}

#[test]
fn leader_is_told_who_was_given_something() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), ephemeral("b")]);
    let publish = |number| {
        let message = message("t", "x", AtLeastOnce).into();
        Command::Publish { broker: bench.broker, number: Some(number), exchange: None, message }
    };
    let commands = (1..=3).map(|number| publish(ha_types::PublishNumber(number))).collect();
    let Applied { given, live, .. } = bench.batch(commands);
    assert_eq!(given, [a.id, b.id], "each once");
    assert!(live.is_empty());
}

#[test]
fn message_comes_at_the_lower_qos_with_the_options_of_its_member() {
    let mut bench = Bench::new();
    let session = bench.open(durable("a")).session;
    let subscription_id = SubscriptionId::new(7);
    let options = |retain_as_published| SubscribeOptions {
        retain_as_published,
        subscription_id,
        ..at(GROUP, AtLeastOnce)
    };
    bench.subscribe(session, options(false));
    let retained = Message { retain: true, ..message("t", "x", ExactlyOnce) };
    bench.publish(retained.clone());
    bench.subscribe(session, options(true));
    bench.publish(retained);
    let got: Vec<_> = bench.page(session).messages;
    let flags = got.iter().map(|of| (of.qos, of.retain, of.subscription_ids.first().copied()));
    let expected = [(AtLeastOnce, false, subscription_id), (AtLeastOnce, true, subscription_id)];
    assert_eq!(flags.collect::<Vec<_>>(), expected);
}

/// 5.0 §4.8.2: no retained messages at SUBSCRIBE.
#[test]
fn shared_subscription_gets_nothing_that_was_retained_before() {
    let mut bench = Bench::new();
    bench.publish(Message { retain: true, ..message("t", "x", AtLeastOnce) });
    let session = bench.open(durable("a")).session;
    let options =
        SubscribeOptions { retain_handling: RetainHandling::AtSubscribe, ..at(GROUP, AtLeastOnce) };
    assert!(bench.subscribe(session, options.clone()).is_empty());
    // And not when the same is asked again.
    let command = bench.subscribe_command(session, vec![options]);
    for _ in 0..2 {
        let Outcome::Subscribed(granted) = bench.one(command.clone()) else { panic!("taken") };
        let granted = granted[0].as_ref().unwrap();
        assert!(granted.retained.is_empty() && granted.unqueued.is_empty());
    }
}

#[test]
fn groups_of_different_names_and_plain_subscriptions_get_each_their_own() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    let b = bench.open(durable("b")).session;
    bench.subscribe(b, at("$share/h/t", AtLeastOnce));
    bench.subscribe(a, at("t", AtLeastOnce));
    publish(&mut bench, AtLeastOnce, 1..=1);
    assert_eq!(queues(&bench, [a, b]), [&["1", "1"][..], &["1"]]);
}

#[test]
fn member_of_qos_0_gets_what_is_sent_at_once_and_nothing_waits_for_it() {
    let (mut bench, [a]) = members(AtMostOnce, [ephemeral("a")]);
    let command = |bench: &Bench, number| Command::Publish {
        broker: bench.broker,
        number: Some(ha_types::PublishNumber(number)),
        exchange: None,
        message: message("t", "x", ExactlyOnce).into(),
    };
    assert!(!bench.state.is_durable(&message("t", "x", AtLeastOnce).topic));
    let publish = command(&bench, 1);
    let Applied { live, given, .. } = bench.batch(vec![publish]);
    let live: Vec<_> = live.iter().map(|of| (of.session, of.queued.qos)).collect();
    assert_eq!((live, given), (vec![(a, AtMostOnce)], vec![]));
    bench.close(a, CloseCause::Disconnect);
    let publish = command(&bench, 2);
    assert_eq!(bench.batch(vec![publish]).live, []);
    assert_eq!(bench.state.counts().messages, 0);
}

#[test]
fn members_that_are_full_are_passed_over_and_the_rest_waits() {
    let open = |name| Open { receive_maximum: 1, ..durable(name) };
    let (mut bench, [a, b]) = members(AtLeastOnce, [open("a"), open("b")]);
    publish(&mut bench, AtLeastOnce, 1..=70);
    assert_eq!(queues(&bench, [a, b]).map(|queue| queue.len()), [32, 32]);
    assert_eq!(bench.state.counts().messages, 6);
    bench.restart();
    let first = offsets(&bench, b)[..5].to_vec();
    bench.puback(b, &first);
    assert_eq!(bench.queued(b).split_off(27), ["65", "66", "67", "68", "69"]);
    assert_eq!(bench.state.counts().messages, 1);
}

#[test]
fn offline_durable_members_keep_the_queue_of_the_group() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    bench.close(a, CloseCause::Failure);
    bench.close(b, CloseCause::Disconnect);
    publish(&mut bench, AtLeastOnce, 1..=3);
    publish(&mut bench, AtMostOnce, 4..=4);
    bench.restart();
    let b = bench.open(durable("b")).session;
    assert_eq!(bench.queued(b), ["1", "2", "3"]);
}

#[test]
fn queue_of_a_group_has_the_limits_of_a_session_and_the_oldest_give_way() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    let limits = StateLimits { queue_messages_max: 3, ..StateLimits::default() };
    bench.one(Command::Configure(limits));
    bench.close(a, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=5);
    assert_eq!((bench.state.counts().messages, bench.state.counts().dropped), (3, 2));
    let limits = StateLimits { queue_bytes_max: 2 * bench.state.counts().bytes / 3, ..limits };
    bench.one(Command::Configure(limits));
    publish(&mut bench, AtLeastOnce, 6..=6);
    let a = bench.open(durable("a")).session;
    assert_eq!(bench.queued(a), ["5", "6"]);
}

#[test]
fn full_store_refuses_what_would_wait() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.close(a, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=1);
    let store_bytes_max = bench.state.counts().bytes;
    bench.one(Command::Configure(StateLimits { store_bytes_max, ..StateLimits::default() }));
    assert!(bench.try_publish(message("t", "2", AtLeastOnce)).is_err());
}

#[test]
fn message_that_expires_while_it_waits_is_for_nobody() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.close(a, CloseCause::Failure);
    let expires_at = Some(ClusterMillis(bench.now + 1_000));
    bench.publish(Message { expires_at, ..message("t", "1", AtLeastOnce) });
    publish(&mut bench, AtLeastOnce, 2..=2);
    bench.pass(1_000);
    bench.one(Command::Sweep { at_most: 10 });
    assert_eq!((bench.state.counts().messages, bench.state.counts().expired), (1, 1));
    let a = bench.open(durable("a")).session;
    assert_eq!(bench.queued(a), ["2"]);
}

#[test]
fn what_expires_at_a_member_makes_room() {
    let open = Open { receive_maximum: 1, ..durable("a") };
    let (mut bench, [a]) = members(AtLeastOnce, [open]);
    let expires_at = Some(ClusterMillis(bench.now + 1_000));
    for _ in 0..32 {
        bench.publish(Message { expires_at, ..message("t", "x", AtLeastOnce) });
    }
    publish(&mut bench, AtLeastOnce, 1..=1);
    bench.pass(1_000);
    bench.one(Command::Sweep { at_most: 10 });
    assert_eq!(bench.queued(a), ["1"]);
}

/// [MQTT-4.8.2-4], [MQTT-4.8.2-5]: of QoS 1 it goes on, in its place; of QoS 2 only what has not begun.
#[test]
fn what_a_durable_member_left_goes_to_those_who_are_connected() {
    for (qos, left, kept) in [(AtLeastOnce, vec!["1", "3"], 0), (ExactlyOnce, vec!["3"], 1)] {
        let a = Open { receive_maximum: 1, ..durable("a") };
        let (mut bench, [a, b]) = members(qos, [a, durable("b")]);
        publish(&mut bench, qos, 1..=3);
        bench.close(a, CloseCause::Failure);
        let begun = bench.state.begun_by(b).unwrap();
        let mut has: Vec<_> = begun.iter().map(|of| payload(&of.message)).collect();
        has.extend(bench.queued(b));
        let expected: Vec<&str> = std::iter::once("2").chain(left).collect();
        assert_eq!(has, expected, "{qos:?}");
        assert_eq!(records(&bench.open(durable("a"))).len(), kept);
    }
}

/// [MQTT-4.4.0-1]
#[test]
fn member_finds_what_it_left_under_its_packet_identifiers_if_nobody_was_there() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    let before = offsets(&bench, a);
    bench.close(a, CloseCause::Failure);
    bench.restart();
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), ["1", "2"]);
    assert_eq!(offsets(&bench, opened.session), before);
}

#[test]
fn member_that_comes_later_takes_what_others_left() {
    for cause in [CloseCause::Failure, CloseCause::Handover] {
        let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
        publish(&mut bench, AtLeastOnce, 1..=2);
        bench.close(a, cause);
        bench.restart();
        let b = bench.open(ephemeral("b")).session;
        bench.subscribe(b, at(GROUP, AtLeastOnce));
        assert_eq!(bench.queued(b), ["1", "2"]);
        let a = bench.open(durable("a"));
        assert!(records(&a).is_empty() && a.backlog == PageEnd::Live(last(&bench, a.session)));
    }
}

fn last(bench: &Bench, session: SessionKey) -> Offset {
    match bench.page(session).end {
        PageEnd::Live(offset) => offset,
        PageEnd::More(_) => panic!("a whole page"),
    }
}

#[test]
fn takeover_of_a_member_duplicates_nothing() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), ephemeral("b")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.close(a, CloseCause::Handover);
    let opened = bench.open(durable("a"));
    assert_eq!((records(&opened), bench.queued(b)), (vec!["1".into()], vec!["2".into()]));
}

#[test]
fn client_that_is_handed_over_and_stays_away_leaves_its_messages_to_the_sweep() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), ephemeral("b")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.close(a, CloseCause::Handover);
    assert_eq!(bench.queued(b), ["2"]);
    bench.one(Command::Sweep { at_most: 10 });
    assert_eq!(bench.queued(b), ["2", "1"], "behind what it has");
}

/// The engine of an ephemeral session has said of each exchange of QoS 2 that it began.
#[test]
fn ephemeral_member_leaves_all_that_was_not_sent() {
    let (mut bench, [a, b]) = members(ExactlyOnce, [ephemeral("a"), ephemeral("b")]);
    publish(&mut bench, ExactlyOnce, 1..=4);
    let begun = bench.state.begun_by(a).unwrap();
    assert_eq!(begun.len(), 2, "both have their records");
    let acknowledged = vec![begun[0].offset];
    let progress = Progress { acknowledged, ..Progress::default() };
    let (asked, session, cause) = (bench.asked(a), a, CloseCause::Failure);
    bench.batch(vec![Command::Close { asked, session, cause, progress, lifetime: None }]);
    let has: Vec<_> = bench.state.begun_by(b).unwrap();
    let has: Vec<_> = has.iter().map(|of| payload(&of.message)).collect();
    assert_eq!(has, ["2", "4", "3"]);
}

#[test]
fn what_an_ephemeral_member_of_a_lost_broker_has_begun_is_for_nobody_else() {
    let (mut bench, [a]) = members(ExactlyOnce, [ephemeral("a")]);
    publish(&mut bench, ExactlyOnce, 1..=2);
    publish(&mut bench, AtLeastOnce, 3..=3);
    let other = bench.join("b", 1);
    let b = bench.open_at(other, durable("b")).session;
    bench.subscribe(b, at(GROUP, ExactlyOnce));
    bench.one(Command::Leave { broker: bench.broker });
    bench.pass(0);
    assert_eq!(bench.state.begun_by(b).unwrap(), []);
    assert_eq!(bench.queued(b), ["3"]);
    assert_eq!(bench.state.owner_of(a), None);
}

#[test]
fn member_of_a_lost_broker_takes_no_turn_before_it_is_freed() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    let other = bench.join("b", 1);
    let b = bench.open_at(other, durable("b")).session;
    bench.subscribe(b, at(GROUP, AtLeastOnce));
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.one(Command::Leave { broker: other });
    publish(&mut bench, AtLeastOnce, 3..=4);
    assert_eq!(queues(&bench, [a, b]), [&["1", "3", "4"][..], &["2"]]);
    bench.restart();
    bench.pass(0);
    assert_eq!(bench.queued(a), ["1", "3", "4", "2"], "freed, it leaves what it had");
}

#[test]
fn member_that_unsubscribes_keeps_what_it_was_given_until_it_goes() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    publish(&mut bench, AtLeastOnce, 1..=2);
    assert_eq!(bench.unsubscribe(a, GROUP), Outcome::Unsubscribed(vec![true]));
    publish(&mut bench, AtLeastOnce, 3..=3);
    assert_eq!(queues(&bench, [a, b]), [&["1"][..], &["2", "3"]]);
    bench.close(a, CloseCause::Failure);
    assert_eq!(bench.queued(b), ["2", "3", "1"]);
}

#[test]
fn session_that_ends_leaves_its_messages_to_members_who_are_away_as_well() {
    let a = Open { lifetime: Lifetime::Seconds(1), ..durable("a") };
    let (mut bench, [a, b]) = members(AtLeastOnce, [a, durable("b")]);
    bench.close(b, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=2);
    bench.close(a, CloseCause::Failure);
    bench.pass(1_000);
    let b = bench.open(durable("b")).session;
    assert_eq!(bench.queued(b), ["1", "2"]);
}

#[test]
fn last_member_takes_the_group_with_it() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.close(a, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=3);
    let a = bench.open(durable("a")).session;
    assert_eq!(bench.queued(a).len(), 3);
    bench.unsubscribe(a, GROUP);
    assert!(!bench.state.is_durable(&message("t", "x", AtLeastOnce).topic));
    bench.open(ephemeral("a"));
    let counts = bench.state.counts();
    assert_eq!((counts.messages, counts.subscriptions), (0, 0));
}

#[test]
fn when_only_members_of_qos_0_are_left_nothing_waits() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.close(a, CloseCause::Failure);
    publish(&mut bench, AtLeastOnce, 1..=300);
    let open = Open { receive_maximum: 1, ..durable("a") };
    let a = bench.open(open).session;
    assert_eq!(bench.state.counts().messages, 300 - 32);
    bench.subscribe(a, at(GROUP, AtMostOnce));
    assert_eq!(bench.state.counts().messages, 0);
    assert_eq!(bench.queued(a).len(), 32, "what it was given goes on");
}

/// [MQTT-4.8.2-6]
#[test]
fn message_that_a_member_refuses_is_for_nobody_else() {
    for qos in [AtLeastOnce, ExactlyOnce] {
        let (mut bench, [a, b]) = members(qos, [durable("a"), durable("b")]);
        publish(&mut bench, qos, 1..=1);
        let refused = match bench.page(a).messages.first() {
            Some(queued) => Refused::Offset(queued.offset),
            None => Refused::Record(bench.state.begun_by(a).unwrap()[0].record.unwrap()),
        };
        bench.progress(a, Progress { refused: vec![refused], ..Progress::default() });
        bench.close(a, CloseCause::Failure);
        assert_eq!(bench.state.unacknowledged(b.id) + bench.state.unacknowledged(a.id), 0);
    }
}

#[test]
fn exchange_of_qos_2_goes_on_with_its_session_to_its_end() {
    let (mut bench, [a, b]) = members(ExactlyOnce, [durable("a"), durable("b")]);
    publish(&mut bench, ExactlyOnce, 1..=2);
    let id = bench.state.begun_by(a).unwrap()[0].record.unwrap();
    bench.progress(a, Progress { received: vec![id], ..Progress::default() });
    bench.close(a, CloseCause::Failure);
    bench.restart();
    let opened = bench.open(durable("a"));
    assert_eq!(records(&opened), [format!("pubrel {id}")]);
    bench.progress(opened.session, Progress { completed: vec![id], ..Progress::default() });
    assert_eq!(bench.state.unacknowledged(a.id), 0);
    assert_eq!(bench.state.unacknowledged(b.id), 1);
}

/// A publish that comes again, from whoever leads then, is given to nobody again.
#[test]
fn repeated_publish_is_given_once() {
    let (mut bench, [a, b]) = members(AtLeastOnce, [durable("a"), durable("b")]);
    let number = ha_types::PublishNumber(1);
    for _ in 0..2 {
        bench.publish_as(number, message("t", "1", AtLeastOnce)).unwrap();
    }
    assert_eq!(queues(&bench, [a, b]), [&["1"][..], &[]]);
}

#[test]
fn deliveries_have_distinct_packet_identifiers_in_order_with_other_messages() {
    let (mut bench, [a]) = members(AtLeastOnce, [durable("a")]);
    bench.subscribe(a, at("u", AtLeastOnce));
    for topic in ["t", "u", "t", "t", "u"] {
        bench.publish(message(topic, topic, AtLeastOnce));
    }
    let got: Vec<Queued> = bench.page(a).messages;
    assert!(got.is_sorted_by(|a, b| a.offset < b.offset));
    assert_eq!(bench.queued(a), ["t", "u", "t", "t", "u"]);
    let ids: BTreeMap<_, _> = got.iter().map(|of| (of.offset.packet_id(), ())).collect();
    assert_eq!(ids.len(), 5);
}

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
