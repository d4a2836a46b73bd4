//! §3.3.1.3: retained messages, and the RETAIN flag.

use broker_core::codec::{
    Connect, FromClient, FromServer, Publish, RetainHandling, SubscriptionOptions,
};
use ha_types::Qos;

use crate::common::{client, got, staying, subscribed, subscriber};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{
    payloads, publish, publish_1, publish_2, publishes, subscribe, subscribe_with, unsubscribe,
};

fn retain(publish: Publish) -> FromClient {
    FromClient::Publish(Publish { retain: true, ..publish })
}

/// A broker, and a client that publishes to `a`.
fn with_alice() -> (Broker, Client) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    (broker, alice)
}

/// What somebody who subscribes to `filter` gets.
fn seen(broker: &mut Broker, filter: &str) -> Vec<Publish> {
    let eve = client(broker, "eve");
    publishes(&subscribed(broker, eve, filter, Qos::ExactlyOnce))
}

/// [MQTT-3.3.1-5]: the last message with RETAIN 1 of a topic is kept, at its QoS, and no other.
#[test]
fn retained_message_is_replaced_by_the_next() {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish("a", "one")));
    broker.send(alice, &retain(publish("b", "other")));
    broker.send(alice, &retain(publish_1(1, "a", "two")));
    let found = seen(&mut broker, "a");
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].payload[..], found[0].flow.qos()), (&b"two"[..], Qos::AtLeastOnce));
    assert!(found[0].retain);
    broker.send(alice, &retain(publish_2(2, "a", "three")));
    let found = seen(&mut broker, "#");
    let found: Vec<_> = found.iter().map(|found| (&found.payload[..], found.flow.qos())).collect();
    assert_eq!(found, [(&b"three"[..], Qos::ExactlyOnce), (b"other", Qos::AtMostOnce)]);
}

/// [MQTT-3.3.1-6]: an empty payload with RETAIN 1 reaches subscribers, and clears its topic only.
#[test]
fn empty_retained_message_is_delivered_and_clears_the_topic() {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish("a", "one")));
    broker.send(alice, &retain(publish("b", "other")));
    let bob = subscriber(&mut broker, "bob", "c", Qos::AtLeastOnce);
    subscribed(&mut broker, bob, "a", Qos::AtLeastOnce);
    broker.send(alice, &retain(publish_1(1, "a", "")));
    assert_eq!(got(&mut broker, bob), [""]);
    assert_eq!(seen(&mut broker, "#").len(), 1);
    assert!(broker.retained("a").is_none() && broker.retained("b").is_some());
}

/// [MQTT-3.3.1-7]: an empty payload is not stored, whether its topic had a message or not.
#[test]
fn empty_retained_message_is_never_stored() {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish_2(1, "a", "one")));
    for topic in ["a", "b"] {
        broker.send(alice, &retain(publish(topic, "")));
        assert_eq!(seen(&mut broker, topic), [], "{topic}");
    }
    broker.send(alice, &retain(publish("a", "two")));
    assert_eq!(seen(&mut broker, "a").len(), 1);
}

/// [MQTT-3.3.1-8]: with RETAIN 0 nothing is stored, removed or replaced.
#[test]
fn message_with_retain_0_leaves_the_retained_one_alone() {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &FromClient::Publish(publish("a", "passing")));
    assert_eq!(seen(&mut broker, "a"), []);
    broker.send(alice, &retain(publish("a", "kept")));
    for payload in ["passing", ""] {
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", payload)));
        assert_eq!(&seen(&mut broker, "a")[0].payload[..], b"kept");
    }
}

/// Subscribes with this Retain Handling, and says how many retained messages come.
fn retained_at(broker: &mut Broker, bob: Client, retain_handling: RetainHandling) -> usize {
    let options = SubscriptionOptions { retain_handling, ..Default::default() };
    broker.send(bob, &subscribe_with(7, "a", options));
    let packets = broker.received(bob);
    assert!(matches!(packets[0], FromServer::Suback(_)), "{packets:?}");
    publishes(&packets).iter().filter(|publish| publish.retain).count()
}

/// What three SUBSCRIBEs with this Retain Handling get: new, again, and after an UNSUBSCRIBE.
fn retained_with(retain_handling: RetainHandling) -> [usize; 3] {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish("a", "kept")));
    let (bob, _) = broker.connect_with(staying("bob"));
    let new = retained_at(&mut broker, bob, retain_handling);
    let again = retained_at(&mut broker, bob, retain_handling);
    broker.send(bob, &unsubscribe(8, "a"));
    broker.received(bob);
    [new, again, retained_at(&mut broker, bob, retain_handling)]
}

/// [MQTT-3.3.1-9]: Retain Handling 0: at each SUBSCRIBE.
#[test]
fn retain_handling_0_sends_retained_messages_at_each_subscribe() {
    assert_eq!(retained_with(RetainHandling::AtSubscribe), [1, 1, 1]);
}

/// [MQTT-3.3.1-10]: Retain Handling 1: only when the subscription is new, also in a session that was
/// resumed.
#[test]
fn retain_handling_1_sends_retained_messages_to_new_subscriptions() {
    assert_eq!(retained_with(RetainHandling::IfNew), [1, 0, 1]);
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish("a", "kept")));
    let (bob, _) = broker.connect_with(staying("bob"));
    assert_eq!(retained_at(&mut broker, bob, RetainHandling::Never), 0);
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(staying("bob"));
    assert_eq!(retained_at(&mut broker, bob, RetainHandling::IfNew), 0);
}

/// [MQTT-3.3.1-11]: Retain Handling 2: never. What is published later comes all the same.
#[test]
fn retain_handling_2_sends_no_retained_messages() {
    assert_eq!(retained_with(RetainHandling::Never), [0, 0, 0]);
    let (mut broker, alice) = with_alice();
    let bob = client(&mut broker, "bob");
    retained_at(&mut broker, bob, RetainHandling::Never);
    broker.send(alice, &retain(publish("a", "later")));
    assert_eq!(got(&mut broker, bob), ["later"]);
}

/// The RETAIN flags of what is forwarded, at each QoS and to both kinds of sessions: of a message
/// with RETAIN 0, and of one with RETAIN 1.
fn forwarded_with(retain_as_published: bool) -> Vec<(bool, bool)> {
    let mut flags = Vec::new();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for session_expiry_s in [0, 3_600] {
            let (mut broker, alice) = with_alice();
            let connect = Connect { session_expiry_s, ..staying("bob") };
            let (bob, _) = broker.connect_with(connect);
            let options = SubscriptionOptions { qos, retain_as_published, ..Default::default() };
            broker.send(bob, &subscribe_with(1, "a", options));
            broker.received(bob);
            broker.send(alice, &FromClient::Publish(publish_2(1, "a", "0")));
            broker.send(alice, &retain(publish_2(2, "a", "1")));
            let found = publishes(&broker.received(bob));
            assert_eq!(found.len(), 2);
            flags.push((found[0].retain, found[1].retain));
        }
    }
    flags
}

/// [MQTT-3.3.1-12]: without Retain As Published RETAIN is 0, however it came.
#[test]
fn forwarded_retain_is_0_unless_it_is_wanted_as_published() {
    assert_eq!(forwarded_with(false), [(false, false); 6]);
}

/// [MQTT-3.3.1-13]: with Retain As Published RETAIN is as it came.
#[test]
fn forwarded_retain_is_as_published_where_that_is_wanted() {
    assert_eq!(forwarded_with(true), [(false, true); 6]);
}

/// [MQTT-3.3.1-12], of a retained message at SUBSCRIBE: RETAIN is 1 there, whatever the option says.
#[test]
fn retained_message_has_retain_1_at_subscribe() {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish("a", "kept")));
    for retain_as_published in [false, true] {
        let bob = client(&mut broker, "bob");
        let options = SubscriptionOptions { retain_as_published, ..Default::default() };
        broker.send(bob, &subscribe_with(1, "a", options));
        let found = publishes(&broker.received(bob));
        assert!(found.len() == 1 && found[0].retain);
    }
}

/// [MQTT-3.3.1-9], of which shared subscriptions are the exception (§4.8.2).
#[test]
fn shared_subscription_gets_no_retained_messages() {
    let (mut broker, alice) = with_alice();
    broker.send(alice, &retain(publish("a", "kept")));
    let bob = client(&mut broker, "bob");
    broker.send(bob, &subscribe(1, "$share/g/a", Qos::AtMostOnce));
    assert_eq!(payloads(&broker.received(bob)), [""; 0]);
}
