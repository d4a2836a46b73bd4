//! Share groups: one member gets each message, and none is lost with its member.

use std::collections::BTreeMap;

use ha_core::cluster::{Applied, Command, Outcome, StateLimits};
use ha_types::Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use ha_types::session::{
    CloseCause, Offset, Open, Queued, RetainHandling, SessionKey, SubscribeOptions, SubscriptionId,
};
use ha_types::{ClusterMillis, Message, Qos};

use crate::common::{Bench, at, durable, ephemeral, message};

pub(crate) const GROUP: &str = "$share/g/t";

/// Members of [`GROUP`], granted this QoS.
pub(crate) fn members<const N: usize>(qos: Qos, opens: [Open; N]) -> (Bench, [SessionKey; N]) {
    let mut bench = Bench::new();
    let keys = opens.map(|open| {
        let session = bench.open(open).session;
        assert!(bench.subscribe(session, at(GROUP, qos)).is_empty());
        session
    });
    (bench, keys)
}

pub(crate) fn publish(bench: &mut Bench, qos: Qos, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        bench.publish(message("t", &number.to_string(), qos));
    }
}

pub(crate) fn queues<const N: usize>(bench: &Bench, sessions: [SessionKey; N]) -> [Vec<String>; N] {
    sessions.map(|session| bench.queued(session))
}

pub(crate) fn offsets(bench: &Bench, session: SessionKey) -> Vec<Offset> {
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
fn message_of_any_qos_concerns_a_share_group_and_of_qos_1_who_keeps_it() {
    let topic = |text| message(text, "x", AtLeastOnce).topic;
    let (mut bench, [a, b]) = members(AtMostOnce, [ephemeral("a"), durable("b")]);
    assert_eq!(bench.state.lowest_concern(), AtMostOnce);
    for qos in [AtMostOnce, AtLeastOnce] {
        assert!(bench.state.concerns(&topic("t"), qos) && !bench.state.concerns(&topic("u"), qos));
    }
    bench.subscribe(b, at("u", AtLeastOnce));
    let concerns = |qos| bench.state.concerns(&topic("u"), qos);
    assert_eq!([AtMostOnce, AtLeastOnce].map(concerns), [false, true]);
    bench.unsubscribe(a, GROUP);
    bench.unsubscribe(b, GROUP);
    assert_eq!(bench.state.lowest_concern(), AtLeastOnce);
    bench.unsubscribe(b, "u");
    assert_eq!(bench.state.lowest_concern(), ExactlyOnce);
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
