use broker_core::codec::{
    Ack, Flow, FromClient, FromServer, PacketId, Publish, Reason, Remarks, Suback, Topic, Version,
};
use bytes::Bytes;
use ha_types::{Qos, TopicFilter, TopicName};
use history::{Present, Retain, Step, What};

use super::{Action, Oddity, Session};
use crate::message::Message;
use crate::plan::{Habits, Plan, Wanted};

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn topic() -> TopicName {
    TopicName::parse(Bytes::from_static(b"a")).unwrap()
}

fn message(number: u32, qos: Qos) -> Message {
    Message { number, topic: topic(), qos, retain: Retain::No, expires_s: None }
}

fn ack(number: u16) -> Ack {
    Ack::new(id(number), Reason::SUCCESS)
}

fn durable(filters: &[&str]) -> Session {
    let wanted = |filter: &&str| Wanted {
        filter: TopicFilter::parse(filter.as_bytes()).unwrap(),
        options: broker_core::codec::SubscriptionOptions {
            qos: Qos::ExactlyOnce,
            ..Default::default()
        },
    };
    let mut session = Session::new(Plan {
        id: "c".into(),
        version: Version::V5,
        expires_s: 60,
        subscriptions: filters.iter().map(wanted).collect(),
        publishes: None,
        habits: Habits::default(),
    });
    session.connecting();
    session.connected(Present::New);
    session
}

/// The connection breaks and the session goes on.
fn resumed(session: &mut Session) -> Vec<Action> {
    session.closed();
    session.connecting();
    session.connected(Present::Present)
}

fn packet(action: &Action) -> Option<&FromClient> {
    match action {
        Action::Send(packet) => Some(packet),
        Action::Record(_) | Action::Pause => None,
    }
}

fn packets(actions: &[Action]) -> Vec<&FromClient> {
    actions.iter().filter_map(packet).collect()
}

/// Packet identifier and DUP of each PUBLISH.
fn publishes(actions: &[Action]) -> Vec<(u16, bool)> {
    let sent = packets(actions).into_iter();
    sent.filter_map(|packet| match packet {
        FromClient::Publish(publish) => Some((publish.flow.packet_id()?.get(), publish.dup)),
        _ => None,
    })
    .collect()
}

fn delivery(flow: Flow, payload: &'static [u8]) -> FromServer {
    FromServer::Publish(Publish {
        flow,
        dup: false,
        retain: false,
        topic: Topic::Name(topic()),
        expires_in_s: None,
        subscription_ids: Vec::new(),
        properties: Bytes::new(),
        payload: Bytes::from_static(payload),
    })
}

#[test]
fn everything_is_recorded_before_it_is_sent_and_after_it_came() {
    let mut session = durable(&[]);
    let actions = session.publish(message(0, Qos::AtLeastOnce));
    assert!(matches!(actions[0], Action::Record(What::Publishing { number: 0, dup: false, .. })));
    assert_eq!(publishes(&actions), [(1, false)]);
    let actions = session.received(delivery(Flow::AtLeastOnce(id(7)), b"p 3")).unwrap();
    assert!(matches!(actions[0], Action::Record(What::Delivered { number: 3, packet_id: 7, .. })));
    assert_eq!(actions[1], Action::Pause);
    let what = What::DeliveryAcknowledged { packet_id: 7, step: Step::Puback };
    assert_eq!(actions[2], Action::Record(what));
    assert_eq!(packets(&actions), [&FromClient::Puback(ack(7))]);
}

/// [MQTT-4.4.0-1], [MQTT-4.6.0-1]
#[test]
fn what_was_not_answered_is_sent_again_with_dup_its_identifier_and_in_order() {
    let mut session = durable(&[]);
    for (number, qos) in [(0, Qos::AtLeastOnce), (1, Qos::ExactlyOnce), (2, Qos::AtMostOnce)] {
        session.publish(message(number, qos));
    }
    session.publish(message(3, Qos::ExactlyOnce));
    session.received(FromServer::Pubrec(ack(2))).unwrap();
    let actions = resumed(&mut session);
    assert_eq!(packets(&actions)[0], &FromClient::Pubrel(ack(2)));
    assert_eq!(publishes(&actions), [(1, true), (4, true)]);
    assert_eq!(session.unanswered(), 3);
}

#[test]
fn acknowledgement_is_recorded_once_for_each_packet_and_a_refusal_is_not() {
    let mut session = durable(&[]);
    session.publish(message(0, Qos::ExactlyOnce));
    session.publish(message(1, Qos::AtLeastOnce));
    let actions = session.received(FromServer::Pubrec(ack(1))).unwrap();
    let what = What::Acknowledged { number: 0, step: Step::Pubrec };
    assert_eq!(actions, [Action::Record(what), Action::Send(FromClient::Pubrel(ack(1)))]);
    let actions = session.received(FromServer::Pubcomp(ack(1))).unwrap();
    assert_eq!(actions, [Action::Record(What::Acknowledged { number: 0, step: Step::Pubcomp })]);
    let refusal = Ack::new(id(2), Reason::QUOTA_EXCEEDED);
    assert_eq!(session.received(FromServer::Puback(refusal)), Ok(Vec::new()));
    assert_eq!(session.unanswered(), 0);
}

#[test]
fn answer_to_nothing_is_odd() {
    let mut session = durable(&[]);
    session.publish(message(0, Qos::AtLeastOnce));
    for packet in [
        FromServer::Puback(ack(2)),
        FromServer::Pubrec(ack(1)),
        FromServer::Pubcomp(ack(1)),
        FromServer::Suback(Suback {
            packet_id: id(1),
            reasons: vec![Reason::SUCCESS],
            remarks: Remarks::default(),
        }),
    ] {
        let found = session.received(packet.clone());
        assert_eq!(found, Err(Oddity::Unasked(Box::new(packet))));
    }
    assert!(matches!(
        session.received(delivery(Flow::AtMostOnce, b"who?")),
        Err(Oddity::Foreign(_))
    ));
}

/// 5.0 §3.7.2.1: what the session knows decides, not the connection.
#[test]
fn pubrel_is_answered_by_what_the_session_knows_also_on_another_connection() {
    let mut session = durable(&[]);
    let actions = session.received(delivery(Flow::ExactlyOnce(id(5)), b"p 0")).unwrap();
    assert_eq!(packets(&actions), [&FromClient::Pubrec(ack(5))]);
    resumed(&mut session);
    let actions = session.received(FromServer::Pubrel(ack(5))).unwrap();
    assert_eq!(packets(&actions), [&FromClient::Pubcomp(ack(5))]);
    let actions = session.received(FromServer::Pubrel(ack(5))).unwrap();
    let unknown = Ack::new(id(5), Reason::PACKET_ID_NOT_FOUND);
    assert_eq!(packets(&actions), [&FromClient::Pubcomp(unknown)]);
}

/// [MQTT-3.2.2-5]
#[test]
fn new_session_forgets_everything_and_subscribes() {
    let mut session = durable(&["a/#", "b"]);
    session.publish(message(0, Qos::ExactlyOnce));
    session.received(delivery(Flow::ExactlyOnce(id(5)), b"p 0")).unwrap();
    session.closed();
    session.connecting();
    let actions = session.connected(Present::New);
    assert_eq!(publishes(&actions), []);
    assert_eq!(session.unanswered(), 0);
    let [FromClient::Subscribe(subscribe)] = packets(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(subscribe.filters.len(), 2);
}

#[test]
fn only_what_was_not_granted_is_subscribed_to_again() {
    let mut session = durable(&["a", "b"]);
    let reasons = vec![Reason::GRANTED_QOS_2, Reason::QUOTA_EXCEEDED];
    let (packet_id, remarks) = (id(1), Remarks::default());
    let suback = FromServer::Suback(Suback { packet_id, reasons, remarks });
    let actions = session.received(suback).unwrap();
    let answer = |filter: &str, granted| {
        Action::Record(What::Subscribed { filter: filter.to_owned(), granted })
    };
    assert_eq!(actions, [answer("a", Some(Qos::ExactlyOnce)), answer("b", None)]);
    assert!(!session.is_subscribed());
    let actions = resumed(&mut session);
    let [FromClient::Subscribe(subscribe)] = packets(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(subscribe.filters[0].subscription.filter().as_str(), "b");
    assert_eq!(session.subscribe_again(), [], "an answer is awaited");
}

/// What removes a retained message names nobody, and is acknowledged all the same.
#[test]
fn empty_delivery_is_acknowledged_and_not_recorded() {
    let mut session = durable(&[]);
    let actions = session.received(delivery(Flow::AtLeastOnce(id(1)), b"")).unwrap();
    let is_delivery = |action: &Action| matches!(action, Action::Record(What::Delivered { .. }));
    assert!(!actions.iter().any(is_delivery), "{actions:?}");
    assert_eq!(packets(&actions), [&FromClient::Puback(ack(1))]);
}

#[test]
fn identifier_in_use_is_given_to_nothing_else_and_the_window_ends() {
    let mut session = durable(&["a"]);
    let mut number = 0;
    while session.has_room() {
        session.publish(message(number, Qos::AtLeastOnce));
        number += 1;
    }
    assert_eq!(session.unanswered(), 16);
    // Identifier 1 is that of the SUBSCRIBE; those of 2 and 3 come again after all others.
    for answered in [2, 3] {
        session.received(FromServer::Puback(ack(answered))).unwrap();
    }
    let mut used = Vec::new();
    for number in 100..130 {
        let [(id, false)] = publishes(&session.publish(message(number, Qos::AtLeastOnce)))[..]
        else {
            panic!("one PUBLISH");
        };
        used.push(id);
        session.received(FromServer::Puback(ack(id))).unwrap();
    }
    assert!(used.iter().all(|id| *id != 1 && !(4..=17).contains(id)), "{used:?}");
    assert!(used.contains(&2) && used.contains(&40), "{used:?}");
}
