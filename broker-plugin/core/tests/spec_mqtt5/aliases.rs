//! §3.3.2.3.4: topic aliases in both directions.

use std::collections::BTreeMap;

use broker_core::codec::{Connect, FromClient, Publish, Reason, Topic, TopicAlias};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;

use crate::common::{client, farewell, got, staying, subscribed, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{name, publish, publishes};

fn alias(alias: u16) -> TopicAlias {
    TopicAlias::new(alias).unwrap()
}

/// Names a topic, and gives it an alias.
fn naming(topic: &str, number: u16, payload: &str) -> FromClient {
    let topic = Topic::Both(name(topic), alias(number));
    FromClient::Publish(Publish { topic, ..publish("unused", payload) })
}

/// Names a topic by its alias alone.
fn by_alias(number: u16, payload: &str) -> FromClient {
    FromClient::Publish(Publish {
        topic: Topic::Alias(alias(number)),
        ..publish("unused", payload)
    })
}

/// A broker with this Topic Alias Maximum, and a client that sees all messages.
fn broker_taking(topic_alias_maximum: u16) -> (Broker, Client) {
    let limits = Limits { topic_alias_maximum, ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    let bob = subscriber(&mut broker, "bob", "#", Qos::AtMostOnce);
    (broker, bob)
}

/// [MQTT-3.3.2-7]: an alias means nothing on the next connection, and nothing to others.
#[test]
fn alias_ends_with_its_connection() {
    let (mut broker, bob) = broker_taking(2);
    let (alice, _) = broker.connect_with(staying("alice"));
    broker.send(alice, &naming("a", 1, "one"));
    broker.send(alice, &by_alias(1, "two"));
    assert_eq!(got(&mut broker, bob), ["one", "two"]);
    let other = client(&mut broker, "other");
    broker.send(other, &by_alias(1, "three"));
    assert_eq!(farewell(&mut broker, other), Some(Reason::PROTOCOL_ERROR));
    broker.drop_socket(alice);
    let (alice, connack) = broker.connect_with(staying("alice"));
    assert!(connack.session_present);
    broker.send(alice, &by_alias(1, "four"));
    assert_eq!(farewell(&mut broker, alice), Some(Reason::PROTOCOL_ERROR));
    assert_eq!(got(&mut broker, bob), [""; 0]);
}

/// [MQTT-3.3.2-7], of the broker's aliases: on the next connection each topic has its name first.
#[test]
fn alias_of_the_broker_ends_with_the_connection() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let connect = Connect { topic_alias_maximum: 1, ..staying("bob") };
    for _ in 0..2 {
        let (bob, _) = broker.connect_with(connect.clone());
        subscribed(&mut broker, bob, "a", Qos::AtMostOnce);
        for _ in 0..2 {
            broker.send(alice, &FromClient::Publish(publish("a", "")));
        }
        let topics = publishes(&broker.received(bob)).into_iter().map(|publish| publish.topic);
        let expected = [Topic::Both(name("a"), alias(1)), Topic::Alias(alias(1))];
        assert_eq!(topics.collect::<Vec<_>>(), expected);
        broker.drop_socket(bob);
    }
}

/// [MQTT-3.3.2-9], [MQTT-3.2.2-17]: an alias above the Topic Alias Maximum of CONNACK ends the
/// connection with 0x94.
#[test]
fn alias_above_the_maximum_of_connack_ends_the_connection() {
    for naming in [|number| naming("a", number, "x"), |number| by_alias(number, "x")] {
        let (mut broker, bob) = broker_taking(2);
        let (alice, connack) = broker.connect_with(staying("alice"));
        assert_eq!(connack.announcement.topic_alias_maximum, 2);
        broker.send(alice, &naming(3));
        assert_eq!(farewell(&mut broker, alice), Some(Reason::TOPIC_ALIAS_INVALID));
        assert_eq!(got(&mut broker, bob), [""; 0]);
    }
}

/// [MQTT-3.2.2-18]: without Topic Alias Maximum in CONNACK the first alias is one too many.
#[test]
fn without_maximum_in_connack_no_alias_is_taken() {
    let (mut broker, _) = broker_taking(0);
    let (alice, connack) = broker.connect_with(staying("alice"));
    assert_eq!(connack.announcement.topic_alias_maximum, 0);
    broker.send(alice, &naming("a", 1, "x"));
    assert_eq!(farewell(&mut broker, alice), Some(Reason::TOPIC_ALIAS_INVALID));
}

/// [MQTT-3.3.2-12]: each alias up to the maximum is taken, may be given again, and is another topic's
/// then.
#[test]
fn each_alias_up_to_the_maximum_is_taken() {
    let (mut broker, bob) = broker_taking(3);
    let alice = client(&mut broker, "alice");
    let topics = |broker: &mut Broker| -> Vec<_> {
        publishes(&broker.received(bob)).into_iter().map(|publish| publish.topic).collect()
    };
    for number in [3, 1, 2] {
        broker.send(alice, &naming(&format!("t/{number}"), number, "x"));
    }
    topics(&mut broker);
    for number in 1..=3 {
        broker.send(alice, &by_alias(number, "x"));
    }
    let expected = ["t/1", "t/2", "t/3"].map(|topic| Topic::Name(name(topic)));
    assert_eq!(topics(&mut broker), expected);
    broker.send(alice, &naming("other", 2, "x"));
    broker.send(alice, &by_alias(2, "x"));
    assert_eq!(topics(&mut broker), [Topic::Name(name("other")), Topic::Name(name("other"))]);
}

/// What a client with this Topic Alias Maximum gets when 40 topics are published to three times: the
/// topics that it understands, and its highest alias.
fn understood(topic_alias_maximum: u16) -> (Vec<String>, u16) {
    let limits = Limits { topic_alias_out_max: 16, ..Limits::default() };
    let mut broker = Broker::with(limits, HolderConfig::default());
    let alice = client(&mut broker, "alice");
    let connect = Connect { topic_alias_maximum, ..staying("bob") };
    let (bob, _) = broker.connect_with(connect);
    subscribed(&mut broker, bob, "#", Qos::AtMostOnce);
    for at in 0..120 {
        broker.send(alice, &FromClient::Publish(publish(&format!("t/{}", at % 40), "")));
    }
    let (mut names, mut highest, mut topics) = (BTreeMap::new(), 0, Vec::new());
    for publish in publishes(&broker.received(bob)) {
        let topic = match publish.topic {
            Topic::Name(topic) => topic,
            Topic::Both(topic, alias) => {
                highest = highest.max(alias.get());
                names.insert(alias.get(), topic.clone());
                topic
            }
            Topic::Alias(alias) => names[&alias.get()].clone(),
        };
        topics.push(topic.as_str().to_owned());
    }
    (topics, highest)
}

/// [MQTT-3.3.2-11], [MQTT-3.1.2-26], [MQTT-3.1.2-27]: no alias above the client's maximum, so none
/// where it is 0, and every topic can be understood.
#[test]
fn broker_uses_no_alias_above_the_maximum_of_the_client() {
    let published: Vec<_> = (0..120).map(|at| format!("t/{}", at % 40)).collect();
    for (maximum, highest) in [(0, 0), (1, 1), (15, 15), (16, 16), (17, 16), (u16::MAX, 16)] {
        let (topics, used) = understood(maximum);
        assert_eq!(topics, published, "{maximum}");
        assert!(used <= highest && (used > 0) == (maximum > 0), "{maximum}: {used}");
    }
}
