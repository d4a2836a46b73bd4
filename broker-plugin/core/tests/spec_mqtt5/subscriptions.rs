//! §3.8 to §3.9: what a subscription brings.

use broker_core::access::{Access, Action, Identity};
use broker_core::codec::{
    Connect, FilterRequest, FromClient, FromServer, Publish, Reason, Subscribe, SubscriptionId,
    SubscriptionOptions, Topic, UserProperties,
};
use broker_core::engine::Limits;
use broker_core::holder::HolderConfig;
use ha_types::Qos;
use std::sync::Arc;

use crate::common::{QOS, client, got, staying, subscribed, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{
    ack, disconnect, publish, publish_1, publish_2, publishes, suback, subscribe, subscribe_with,
    subscription,
};

/// A SUBSCRIBE with several filters.
fn subscribe_to(packet_id: u16, filters: &[(&str, Qos)], subscription_id: u32) -> FromClient {
    let request = |&(filter, qos): &(&str, Qos)| FilterRequest {
        subscription: subscription(filter),
        options: SubscriptionOptions { qos, ..Default::default() },
    };
    FromClient::Subscribe(Subscribe {
        packet_id: id(packet_id),
        subscription_id: SubscriptionId::new(subscription_id),
        user_properties: UserProperties::default(),
        filters: filters.iter().map(request).collect(),
    })
}

/// A broker with `alice`, who publishes, and `bob`, whose session stays or does not.
fn broker_with_bob(session_expiry_s: u32) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let (bob, _) = broker.connect_with(Connect { session_expiry_s, ..staying("bob") });
    (broker, alice, bob)
}

/// Both kinds of sessions: ephemeral and durable.
const EXPIRY_S: [u32; 2] = [0, 3_600];

fn of_qos(qos: Qos, topic: &str, payload: &str) -> FromClient {
    FromClient::Publish(match qos {
        Qos::AtMostOnce => publish(topic, payload),
        Qos::AtLeastOnce => publish_1(1, topic, payload),
        Qos::ExactlyOnce => publish_2(1, topic, payload),
    })
}

/// [MQTT-3.3.2-3]: what is delivered has the name that it was published to, which the filter matches.
#[test]
fn delivered_topic_name_matches_the_filter() {
    let topics = ["a", "a/b", "a/b/c", "a/", "/a", "b", "A", "$SYS/a", "$own/a"];
    for (filter, matching) in [
        ("a", &["a"][..]),
        ("a/#", &["a", "a/b", "a/b/c", "a/"]),
        ("+/b", &["a/b"]),
        ("a/+", &["a/b", "a/"]),
        ("+", &["a", "b", "A"]),
        ("#", &["a", "a/b", "a/b/c", "a/", "/a", "b", "A"]),
        ("$own/#", &["$own/a"]),
    ] {
        let (mut broker, alice, bob) = broker_with_bob(0);
        subscribed(&mut broker, bob, filter, Qos::AtMostOnce);
        for topic in topics {
            broker.send(alice, &FromClient::Publish(publish(topic, "")));
        }
        let found: Vec<_> = publishes(&broker.received(bob))
            .into_iter()
            .map(|publish| match publish.topic {
                Topic::Name(name) => name.as_str().to_owned(),
                other => panic!("bob takes no alias: {other:?}"),
            })
            .collect();
        assert_eq!(found, matching, "{filter}");
    }
}

/// [MQTT-3.3.4-2]: one copy at the highest QoS that was granted, but not above the published one.
#[test]
fn overlapping_subscriptions_deliver_at_the_highest_granted_qos() {
    let filters = [("a/+", Qos::AtMostOnce), ("a/b", Qos::ExactlyOnce), ("#", Qos::AtLeastOnce)];
    for session_expiry_s in EXPIRY_S {
        for qos in QOS {
            for (granted, count) in [(Qos::ExactlyOnce, 3), (Qos::AtLeastOnce, 2)] {
                let (mut broker, alice, bob) = broker_with_bob(session_expiry_s);
                let mut filters = filters.to_vec();
                filters.retain(|&(_, of)| of <= granted);
                assert_eq!(filters.len(), count);
                broker.send(bob, &subscribe_to(1, &filters, 0));
                broker.received(bob);
                broker.send(alice, &of_qos(qos, "a/b", "x"));
                let found = publishes(&broker.received(bob));
                assert_eq!(found.len(), 1, "{qos:?}");
                assert_eq!(found[0].flow.qos(), qos.min(granted));
            }
        }
    }
}

/// The identifiers that come with a message to `a/b` for these subscriptions: filter, identifier.
fn identifiers(session_expiry_s: u32, qos: Qos, subscriptions: &[(&str, u32)]) -> Vec<u32> {
    let (mut broker, alice, bob) = broker_with_bob(session_expiry_s);
    for &(filter, subscription_id) in subscriptions {
        broker.send(bob, &subscribe_to(1, &[(filter, qos)], subscription_id));
    }
    broker.received(bob);
    broker.send(alice, &of_qos(qos, "a/b", "x"));
    let found = publishes(&broker.received(bob));
    assert_eq!(found.len(), 1);
    let mut ids: Vec<_> = found[0].subscription_ids.iter().map(|id| id.get()).collect();
    ids.sort_unstable();
    ids
}

/// [MQTT-3.3.4-3]: the identifier of the subscription that matches comes with a message, and that of
/// no other; the last one that was given counts.
#[test]
fn message_carries_the_identifier_of_its_subscription() {
    for session_expiry_s in EXPIRY_S {
        for qos in QOS {
            let ids = |subscriptions| identifiers(session_expiry_s, qos, subscriptions);
            assert_eq!(ids(&[("a/b", 7)]), [7]);
            assert_eq!(ids(&[("a/b", 268_435_455), ("other", 9)]), [268_435_455]);
            assert_eq!(ids(&[("a/b", 0), ("other", 9)]), [0; 0]);
            assert_eq!(ids(&[("a/b", 7), ("a/b", 8)]), [8]);
            assert_eq!(ids(&[("a/b", 7), ("a/b", 0)]), [0; 0]);
        }
    }
}

/// [MQTT-3.3.4-4]: one copy for several subscriptions carries the identifiers of all, without order.
#[test]
fn copy_for_overlapping_subscriptions_carries_all_their_identifiers() {
    for session_expiry_s in EXPIRY_S {
        for qos in QOS {
            let ids = |subscriptions| identifiers(session_expiry_s, qos, subscriptions);
            assert_eq!(ids(&[("a/b", 7), ("#", 8), ("a/+", 9), ("c", 10)]), [7, 8, 9]);
            assert_eq!(ids(&[("a/b", 7), ("#", 0)]), [7]);
            assert_eq!(ids(&[("a/b", 7), ("#", 7)]), [7, 7]);
        }
    }
}

/// [MQTT-3.8.3-3]: No Local keeps away what the client itself publishes, and nothing else.
#[test]
fn no_local_keeps_own_messages_away() {
    for session_expiry_s in EXPIRY_S {
        for qos in QOS {
            for (no_local, expected) in [(true, &["alice"][..]), (false, &["bob", "alice"])] {
                let (mut broker, alice, bob) = broker_with_bob(session_expiry_s);
                let options = SubscriptionOptions { qos, no_local, ..Default::default() };
                broker.send(bob, &subscribe_with(1, "a", options));
                broker.received(bob);
                broker.send(bob, &of_qos(qos, "a", "bob"));
                broker.send(alice, &of_qos(qos, "a", "alice"));
                assert_eq!(got(&mut broker, bob), expected, "{qos:?}");
            }
        }
    }
}

/// [MQTT-3.8.3-3], of a message that was retained.
#[test]
fn no_local_keeps_own_retained_messages_away() {
    let (mut broker, alice, bob) = broker_with_bob(0);
    for (publisher, topic) in [(bob, "a/bob"), (alice, "a/alice")] {
        let retained = Publish { retain: true, ..publish(topic, topic) };
        broker.send(publisher, &FromClient::Publish(retained));
    }
    let options = SubscriptionOptions { no_local: true, ..Default::default() };
    broker.send(bob, &subscribe_with(1, "a/+", options));
    assert_eq!(got(&mut broker, bob), ["a/alice"]);
}

/// [MQTT-3.8.4-1], [MQTT-3.8.4-2], [MQTT-2.2.1-6]: SUBSCRIBE is answered with a SUBACK that has its
/// packet identifier.
#[test]
fn suback_has_the_identifier_of_its_subscribe() {
    let (mut broker, _, bob) = broker_with_bob(0);
    for packet_id in [1, 2, 65_535, 1] {
        broker.send(bob, &subscribe(packet_id, "a", Qos::AtLeastOnce));
        assert_eq!(broker.received(bob), [suback(packet_id, &[Reason::GRANTED_QOS_1])]);
    }
}

/// [MQTT-3.8.4-3]: the same filter again replaces the subscription: one copy, with the new options.
#[test]
fn subscription_is_replaced_by_the_same_filter() {
    for session_expiry_s in EXPIRY_S {
        for filter in ["a", "$share/g/a"] {
            for (before, after) in [(QOS[0], QOS[2]), (QOS[2], QOS[0]), (QOS[1], QOS[1])] {
                let (mut broker, alice, bob) = broker_with_bob(session_expiry_s);
                subscribed(&mut broker, bob, filter, before);
                subscribed(&mut broker, bob, filter, after);
                broker.send(alice, &of_qos(Qos::ExactlyOnce, "a", "x"));
                let found = publishes(&broker.received(bob));
                assert_eq!(found.len(), 1, "{filter} {before:?} {after:?}");
                assert_eq!(found[0].flow.qos(), after);
            }
        }
    }
}

/// [MQTT-3.8.4-4]: the retained messages come again, and what is on its way comes all the same.
#[test]
fn replaced_subscription_gets_retained_messages_again_and_loses_nothing() {
    for session_expiry_s in EXPIRY_S {
        let mut broker = Broker::new();
        let alice = client(&mut broker, "alice");
        let connect = Connect { session_expiry_s, receive_maximum: 1, ..staying("bob") };
        let (bob, _) = broker.connect_with(connect);
        let retained = Publish { retain: true, ..publish("a", "kept") };
        broker.send(alice, &FromClient::Publish(retained));
        let found = subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
        assert_eq!(publishes(&found).len(), 1);
        for payload in ["1", "2", "3"] {
            broker.send(alice, &of_qos(Qos::AtLeastOnce, "a", payload));
        }
        broker.send(bob, &subscribe(1, "a", Qos::AtLeastOnce));
        let mut payloads = Vec::new();
        for _ in 0..9 {
            for publish in publishes(&broker.received(bob)) {
                payloads.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                if let Some(id) = publish.flow.packet_id() {
                    broker.send(bob, &ack(FromClient::Puback, id.get()));
                }
            }
        }
        payloads.sort_unstable();
        assert_eq!(payloads, ["1", "2", "3", "kept"]);
    }
}

/// [MQTT-3.8.4-5]: several filters count as one after the other, and get one SUBACK.
#[test]
fn several_filters_are_taken_one_after_the_other() {
    let (mut broker, alice, bob) = broker_with_bob(0);
    let filters = [("a", Qos::ExactlyOnce), ("b", Qos::AtMostOnce), ("a", Qos::AtLeastOnce)];
    broker.send(bob, &subscribe_to(1, &filters, 0));
    let reasons = [Reason::GRANTED_QOS_2, Reason::SUCCESS, Reason::GRANTED_QOS_1];
    assert_eq!(broker.received(bob), [suback(1, &reasons)]);
    broker.send(alice, &of_qos(Qos::ExactlyOnce, "a", "x"));
    broker.send(alice, &FromClient::Publish(publish_2(2, "b", "y")));
    let found: Vec<_> =
        publishes(&broker.received(bob)).iter().map(|publish| publish.flow.qos()).collect();
    assert_eq!(found, [Qos::AtLeastOnce, Qos::AtMostOnce]);
}

/// Refuses to subscribe to what begins with `secret`.
#[derive(Debug)]
struct NoSecrets;

impl Access for NoSecrets {
    fn allows(&self, _: &Identity, action: Action<'_>) -> bool {
        !matches!(action, Action::Subscribe(filter) if filter.starts_with("secret"))
    }
}

/// [MQTT-3.8.4-6], [MQTT-3.8.4-7], [MQTT-3.9.3-1]: a reason for each filter, in their order: the
/// granted QoS, or why there is no subscription.
#[test]
fn suback_says_of_each_filter_in_order_what_became_of_it() {
    let limits = Limits { topic_levels_max: 3, ..Limits::default() };
    let config = HolderConfig { subscriptions_max: 3, ..HolderConfig::default() };
    let mut broker = Broker::with(limits, config);
    broker.access = Some(Arc::new(NoSecrets));
    let bob = client(&mut broker, "bob");
    let filters = [
        ("secret/#", Qos::AtMostOnce),
        ("a", Qos::ExactlyOnce),
        ("a/b/c/d", Qos::AtMostOnce),
        ("b", Qos::AtMostOnce),
        ("c", Qos::AtLeastOnce),
        ("d", Qos::AtMostOnce),
        ("a", Qos::AtLeastOnce),
    ];
    broker.send(bob, &subscribe_to(9, &filters, 0));
    let reasons = [0x87, 2, 0x8F, 0, 1, 0x97, 1].map(Reason);
    assert_eq!(broker.received(bob), [suback(9, &reasons)]);
    let alice = client(&mut broker, "alice");
    for topic in ["secret/x", "a", "b", "c", "d"] {
        broker.send(alice, &FromClient::Publish(publish(topic, topic)));
    }
    assert_eq!(got(&mut broker, bob), ["a", "b", "c"]);
    broker.send(bob, &subscribe(10, "secret", Qos::AtMostOnce));
    assert_eq!(broker.received(bob), [suback(10, &[Reason::NOT_AUTHORIZED])]);
}

/// [MQTT-3.8.4-7]: each QoS that is asked for is granted.
#[test]
fn granted_qos_is_the_one_that_was_asked_for() {
    let (mut broker, _, bob) = broker_with_bob(0);
    for qos in QOS {
        broker.send(bob, &subscribe(1, "a", qos));
        assert_eq!(broker.received(bob), [suback(1, &[Reason(qos.level())])]);
    }
}

/// [MQTT-3.8.4-8]: the lower of the published QoS and the granted one, also for a session whose
/// client was away.
#[test]
fn message_is_delivered_at_the_lower_of_both_qos() {
    for published in QOS {
        for granted in QOS {
            let (mut broker, alice, bob) = broker_with_bob(3_600);
            let eve = subscriber(&mut broker, "eve", "a", granted);
            subscribed(&mut broker, bob, "a", granted);
            broker.send(alice, &of_qos(published, "a", "x"));
            for client in [bob, eve] {
                let found = publishes(&broker.received(client));
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].flow.qos(), published.min(granted));
            }
            broker.send(bob, &disconnect(Reason::SUCCESS));
            broker.send(alice, &ack(FromClient::Pubrel, 1));
            broker.send(alice, &of_qos(published, "a", "y"));
            let (bob, _) = broker.connect_with(staying("bob"));
            let mut found = publishes(&broker.received(bob));
            found.retain(|publish| &publish.payload[..] == b"y");
            let qos: Vec<_> = found.iter().map(|publish| publish.flow.qos()).collect();
            let lower = published.min(granted);
            let expected = if lower > Qos::AtMostOnce { vec![lower] } else { Vec::new() };
            assert_eq!(qos, expected, "{published:?} {granted:?}");
        }
    }
}

/// [MQTT-2.2.1-5], [MQTT-3.3.4-1]: PUBLISH is answered as its QoS asks, with its identifier.
#[test]
fn publish_is_answered_as_its_qos_asks() {
    let (mut broker, alice, _) = broker_with_bob(0);
    broker.send(alice, &FromClient::Publish(publish("a", "0")));
    assert_eq!(broker.received(alice), []);
    for packet_id in [1, 300, 65_535] {
        broker.send(alice, &FromClient::Publish(publish_1(packet_id, "a", "1")));
        assert_eq!(broker.received(alice), [ack(FromServer::Puback, packet_id)]);
        broker.send(alice, &FromClient::Publish(publish_2(packet_id, "a", "2")));
        assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, packet_id)]);
        broker.send(alice, &ack(FromClient::Pubrel, packet_id));
        assert_eq!(broker.received(alice), [ack(FromServer::Pubcomp, packet_id)]);
    }
}
