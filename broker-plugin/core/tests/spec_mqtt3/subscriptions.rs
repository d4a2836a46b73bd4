//! SUBSCRIBE, UNSUBSCRIBE and what is delivered for them (§3.8 to §3.11, §3.3.5).

use broker_core::codec::{
    FilterRequest, FromClient, FromServer, Publish, Reason, Subscribe, SubscriptionOptions,
    Unsubscribe, UserProperties,
};
use ha_types::Qos;

use crate::common::{client, got, subscriber};
use crate::spec::broker::Broker;
use crate::spec::id;
use crate::spec::packets::{
    ack, publish, publish_1, publish_2, publishes, suback, subscribe, subscription, unsubscribe,
};

fn subscribe_all(packet_id: u16, filters: &[(&str, Qos)]) -> FromClient {
    let request = |&(filter, qos): &(&str, Qos)| FilterRequest {
        subscription: subscription(filter),
        options: SubscriptionOptions { qos, ..SubscriptionOptions::default() },
    };
    FromClient::Subscribe(Subscribe {
        packet_id: id(packet_id),
        subscription_id: None,
        user_properties: UserProperties::default(),
        filters: filters.iter().map(request).collect(),
    })
}

/// [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-3.8.4-4], [MQTT-3.8.4-5], [MQTT-3.9.3-1], [MQTT-2.3.1-7]:
/// one SUBACK with its identifier, and a return code for each filter in their order.
#[test]
fn subscribe_is_answered_by_one_suback_with_a_code_for_each_filter() {
    let mut broker = Broker::new();
    let limits = broker_core::engine::Limits { topic_levels_max: 2, ..Default::default() };
    broker.limits = limits;
    let bob = client(&mut broker, "bob");
    let filters = [
        ("a", Qos::ExactlyOnce),
        ("too/many/levels", Qos::AtMostOnce),
        ("b", Qos::AtMostOnce),
        ("c", Qos::AtLeastOnce),
    ];
    broker.send(bob, &subscribe_all(7, &filters));
    let failed = Reason(0x80);
    let expected = [Reason::GRANTED_QOS_2, failed, Reason::SUCCESS, Reason::GRANTED_QOS_1];
    assert_eq!(broker.received(bob), [suback(7, &expected)]);
}

/// [MQTT-3.8.4-3]
#[test]
fn same_filter_again_replaces_the_subscription_and_sends_what_is_retained() {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let kept = Publish { retain: true, ..publish_1(1, "a", "kept") };
    broker.send(alice, &FromClient::Publish(kept));
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    broker.send(bob, &subscribe(2, "a", Qos::AtLeastOnce));
    assert_eq!(got(&mut broker, bob), ["kept"]);
    broker.send(alice, &FromClient::Publish(publish_1(2, "a", "x")));
    let once = publishes(&broker.received(bob));
    assert_eq!((once.len(), once[0].flow.qos()), (1, Qos::AtLeastOnce));
}

/// [MQTT-3.8.4-6], [MQTT-3.3.5-1]: the lower of both, and the highest of those that overlap.
#[test]
fn message_is_delivered_at_the_lower_of_its_own_qos_and_the_highest_that_was_granted() {
    const ALL: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
    let pairs = ALL.into_iter().flat_map(|first| ALL.map(|second| (first, second)));
    for ((first, second), published) in pairs.flat_map(|pair| ALL.map(|qos| (pair, qos))) {
        let mut broker = Broker::new();
        let alice = client(&mut broker, "alice");
        let bob = client(&mut broker, "bob");
        broker.send(bob, &subscribe_all(1, &[("a/+", first), ("a/#", second)]));
        broker.received(bob);
        let packet = match published {
            Qos::AtMostOnce => publish("a/b", "x"),
            Qos::AtLeastOnce => publish_1(1, "a/b", "x"),
            Qos::ExactlyOnce => publish_2(1, "a/b", "x"),
        };
        broker.send(alice, &FromClient::Publish(packet));
        let got = publishes(&broker.received(bob));
        let expected = published.min(first.max(second));
        assert_eq!(got.iter().map(|publish| publish.flow.qos()).collect::<Vec<_>>(), [expected]);
    }
}

/// [MQTT-3.10.4-1], [MQTT-3.10.4-2]: only the filter with the same bytes.
#[test]
fn unsubscribe_deletes_the_equal_filter_and_no_other() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a/+", Qos::AtMostOnce);
    let alice = client(&mut broker, "alice");
    for (filter, expected) in [("a/#", 1), ("A/+", 1), ("a/b", 1), ("a/+", 0)] {
        broker.send(bob, &unsubscribe(2, filter));
        broker.send(alice, &FromClient::Publish(publish("a/b", "x")));
        assert_eq!(got(&mut broker, bob).len(), expected, "{filter}");
    }
}

/// [MQTT-3.10.4-3]
#[test]
fn exchange_that_unsubscribe_finds_is_finished() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::ExactlyOnce);
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_2(1, "a", "x")));
    let got = publishes(&broker.received(bob));
    let packet_id = got[0].flow.packet_id().unwrap().get();
    broker.send(bob, &unsubscribe(2, "a"));
    broker.received(bob);
    broker.send(bob, &ack(FromClient::Pubrec, packet_id));
    assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, packet_id)]);
}

/// [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6]: one UNSUBACK, also when nothing was deleted.
#[test]
fn unsubscribe_is_answered_by_one_unsuback_with_its_identifier() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a", Qos::AtMostOnce);
    let packet = FromClient::Unsubscribe(Unsubscribe {
        packet_id: id(9),
        user_properties: UserProperties::default(),
        filters: vec![subscription("a"), subscription("never")],
    });
    for _ in 0..2 {
        broker.send(bob, &packet);
        let packets = broker.received(bob);
        assert!(matches!(&packets[..], [FromServer::Unsuback(u)] if u.packet_id == id(9)));
    }
}

/// [MQTT-3.3.2-3]: also where filters with wildcards match.
#[test]
fn what_is_sent_has_the_topic_that_it_was_published_to() {
    let mut broker = Broker::new();
    let bob = subscriber(&mut broker, "bob", "a/#", Qos::AtMostOnce);
    let alice = client(&mut broker, "alice");
    for topic in ["a", "a/b", "a/b/c", "b"] {
        broker.send(alice, &FromClient::Publish(publish(topic, topic)));
    }
    let topics: Vec<_> = publishes(&broker.received(bob))
        .into_iter()
        .map(|publish| match publish.topic {
            broker_core::codec::Topic::Name(name) => name.to_string(),
            other => panic!("3.1.1 has no aliases: {other:?}"),
        })
        .collect();
    assert_eq!(topics, ["a", "a/b", "a/b/c"]);
}

/// [MQTT-4.5.0-1]
#[test]
fn accepted_message_is_added_to_every_session_that_matches() {
    let mut broker = Broker::new();
    let all =
        ["a", "+", "#"].map(|filter| subscriber(&mut broker, filter, filter, Qos::AtLeastOnce));
    let alice = client(&mut broker, "alice");
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "x")));
    for bob in all {
        assert_eq!(got(&mut broker, bob), ["x"]);
    }
}
