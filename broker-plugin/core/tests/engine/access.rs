//! What clients may do, asked at each step, and what becomes of what they may not.

use std::collections::BTreeSet;
use std::sync::Arc;

use broker_core::access::{Access, Action, Identity};
use broker_core::codec::{Connect, FromClient, FromServer, Publish, Reason, Text, Version, Will};
use ha_types::Qos;

use crate::common::{QOS, drained, farewell, got, of_qos, payload, staying, subscribed, will};
use crate::spec::broker::{Broker, Client};
use crate::spec::packets::{ack, name, publish_1, publishes, suback, subscribe, text};

/// What is forbidden, for instance `bob receives a/secret`; everything else is allowed.
#[derive(Debug, Default)]
struct Forbidden(BTreeSet<String>);

impl Access for Forbidden {
    fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        let name = who.user_name.as_ref().unwrap_or(&who.client_id);
        let (does, topic) = match action {
            Action::Publish(topic) => ("publishes", topic),
            Action::Subscribe(filter) => ("subscribes", filter),
            Action::Receive(topic) => ("receives", topic),
        };
        !self.0.contains(&format!("{name} {does} {topic}"))
    }
}

fn forbid(broker: &mut Broker, what: &[&str]) {
    let what = what.iter().map(|what| (*what).to_owned()).collect();
    broker.access = Some(Arc::new(Forbidden(what)));
}

/// A broker in which this is forbidden, with `alice`.
fn broker_forbidding(what: &[&str]) -> (Broker, Client) {
    let mut broker = Broker::new();
    forbid(&mut broker, what);
    let alice = broker.connect(Version::V5, "alice");
    (broker, alice)
}

/// `bob`, who has subscribed to `#` and whose session stays if `expiry_s` is not 0.
fn bob(broker: &mut Broker, session_expiry_s: u32, qos: Qos) -> Client {
    let connect = Connect { session_expiry_s, ..staying(Version::V5, "bob") };
    let (bob, _) = broker.connect_with(connect);
    subscribed(broker, bob, "#", qos);
    bob
}

#[test]
fn forbidden_publish_reaches_nobody_and_is_not_kept() {
    for qos in QOS {
        let (mut broker, alice) = broker_forbidding(&["alice publishes no"]);
        let eve = broker.connect(Version::V5, "eve");
        let bob = bob(&mut broker, 3_600, qos);
        for (packet_id, topic) in [(1, "no"), (2, "yes")] {
            for client in [alice, eve] {
                let FromClient::Publish(publish) = of_qos(qos, packet_id, topic, topic) else {
                    panic!("it is a PUBLISH");
                };
                let retained = Publish { retain: true, ..publish };
                broker.send(client, &FromClient::Publish(retained));
            }
        }
        let reasons: Vec<_> = broker.received(alice).iter().map(reason).collect();
        let expected: &[_] = match qos {
            Qos::AtMostOnce => &[],
            _ => &[Reason::NOT_AUTHORIZED, Reason::SUCCESS],
        };
        assert_eq!(reasons, expected);
        assert_eq!(got(&mut broker, bob), ["no", "yes", "yes"], "the first is eve's");
        assert_eq!(broker.counts(alice).denied, 1);
        assert_eq!(broker.counts(eve).denied, 0);
    }
}

/// What a client sends again need not be what it sent.
#[test]
fn exchange_that_an_earlier_connection_left_does_not_carry_what_is_forbidden() {
    let mut broker = Broker::new();
    forbid(&mut broker, &["alice publishes no"]);
    let (alice, _) = broker.connect_with(staying(Version::V5, "alice"));
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "yes", "x"));
    broker.drop_socket(alice);
    let (alice, _) = broker.connect_with(staying(Version::V5, "alice"));
    let published = broker.published.len();
    broker.send(alice, &of_qos(Qos::ExactlyOnce, 7, "no", "y"));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubrec, 7)]);
    assert_eq!((broker.published.len(), broker.counts(alice).denied), (published, 1));
    broker.send(alice, &ack(FromClient::Pubrel, 7));
    assert_eq!(broker.received(alice), [ack(FromServer::Pubcomp, 7)]);
}

fn reason(packet: &FromServer) -> Reason {
    match packet {
        FromServer::Puback(ack) | FromServer::Pubrec(ack) => ack.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn forbidden_retained_publish_replaces_nothing_and_clears_nothing() {
    let (mut broker, alice) = broker_forbidding(&["alice publishes a"]);
    let eve = broker.connect(Version::V5, "eve");
    let retained = |text| FromClient::Publish(Publish { retain: true, ..publish_1(1, "a", text) });
    broker.send(eve, &retained("kept"));
    broker.send(alice, &retained("other"));
    broker.send(alice, &retained(""));
    assert_eq!(&broker.retained("a").unwrap().payload[..], b"kept");
}

#[test]
fn qos_2_publish_that_is_forbidden_leaves_its_identifier_free() {
    let (mut broker, alice) = broker_forbidding(&["alice publishes no"]);
    for topic in ["no", "no", "yes"] {
        broker.send(alice, &of_qos(Qos::ExactlyOnce, 1, topic, "x"));
    }
    let reasons: Vec<_> = broker.received(alice).iter().map(reason).collect();
    assert_eq!(reasons, [Reason::NOT_AUTHORIZED, Reason::NOT_AUTHORIZED, Reason::SUCCESS]);
    assert_eq!(broker.published.len(), 1);
}

/// The share name is no part of what is asked for.
#[test]
fn subscribe_is_checked_filter_by_filter_without_the_share_name() {
    for (version, refused) in
        [(Version::V5, Reason::NOT_AUTHORIZED), (Version::V311, Reason::UNSPECIFIED_ERROR)]
    {
        let mut broker = Broker::new();
        forbid(&mut broker, &["bob subscribes a/#"]);
        let bob = broker.connect(version, "bob");
        let granted = Reason::GRANTED_QOS_1;
        for (filter, reason) in
            [("a/#", refused), ("$share/g/a/#", refused), ("a/b", granted), ("#", granted)]
        {
            broker.send(bob, &subscribe(1, filter, Qos::AtLeastOnce));
            assert_eq!(broker.received(bob), [suback(1, &[reason])], "{filter}");
        }
        assert_eq!(broker.held().subscriptions, 2);
    }
}

#[test]
fn message_that_a_client_must_not_receive_is_left_out_of_its_wildcards() {
    for session_expiry_s in [0, 3_600] {
        for qos in QOS {
            let (mut broker, alice) = broker_forbidding(&["bob receives a/secret"]);
            let bob = bob(&mut broker, session_expiry_s, Qos::ExactlyOnce);
            let eve = broker.connect(Version::V311, "eve");
            subscribed(&mut broker, eve, "a/+", Qos::AtMostOnce);
            for (packet_id, topic) in [(1, "a/1"), (2, "a/secret"), (3, "a/2")] {
                broker.send(alice, &of_qos(qos, packet_id, topic, topic));
            }
            let messages: Vec<_> = drained(&mut broker, bob).iter().map(payload).collect();
            assert_eq!(messages, ["a/1", "a/2"]);
            assert_eq!(got(&mut broker, eve), ["a/1", "a/secret", "a/2"]);
            assert_eq!(broker.counts(bob).denied, 1);
            assert_eq!(broker.held().queued, 0);
        }
    }
}

/// However many they are: nothing waits for an acknowledgement that cannot come.
#[test]
fn messages_that_are_forbidden_take_no_place_of_the_receive_maximum() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice) = broker_forbidding(&["bob receives no"]);
        let connect =
            Connect { receive_maximum: 1, session_expiry_s, ..staying(Version::V5, "bob") };
        let (bob, _) = broker.connect_with(connect);
        subscribed(&mut broker, bob, "#", Qos::ExactlyOnce);
        for packet_id in 1..=200 {
            broker.send(alice, &of_qos(Qos::ExactlyOnce, packet_id, "no", "x"));
        }
        broker.send(alice, &of_qos(Qos::ExactlyOnce, 201, "yes", "y"));
        assert_eq!(got(&mut broker, bob), ["y"]);
        assert_eq!(broker.counts(bob).denied, 200);
    }
}

/// Access is what it is when a message is sent, not when it was queued.
#[test]
fn queued_message_is_checked_when_it_is_sent() {
    let (mut broker, alice) = broker_forbidding(&[]);
    let first = bob(&mut broker, 3_600, Qos::AtLeastOnce);
    broker.drop_socket(first);
    broker.send(alice, &of_qos(Qos::AtLeastOnce, 1, "a", "a"));
    broker.send(alice, &of_qos(Qos::AtLeastOnce, 2, "b", "b"));
    forbid(&mut broker, &["bob receives a"]);
    let (second, _) = broker.connect_with(staying(Version::V5, "bob"));
    assert_eq!(drained(&mut broker, second).iter().map(payload).collect::<Vec<_>>(), ["b"]);
    forbid(&mut broker, &[]);
    broker.send(alice, &of_qos(Qos::AtLeastOnce, 3, "a", "later"));
    assert_eq!(got(&mut broker, second), ["later"]);
    assert_eq!(broker.held().queued, 1);
}

/// The client may have it already, and both sides must end what they began.
#[test]
fn exchange_that_has_begun_is_finished_whatever_is_forbidden_since() {
    let (mut broker, alice) = broker_forbidding(&[]);
    let first = bob(&mut broker, 3_600, Qos::ExactlyOnce);
    for (packet_id, text) in [(1, "recorded"), (2, "sent")] {
        broker.send(alice, &of_qos(Qos::ExactlyOnce, packet_id, "a", text));
    }
    let sent = publishes(&broker.received(first));
    let id = sent[0].flow.packet_id().unwrap().get();
    forbid(&mut broker, &["bob receives a"]);
    broker.send(first, &ack(FromClient::Pubrec, id));
    assert_eq!(broker.received(first), [ack(FromServer::Pubrel, id)]);
    broker.drop_socket(first);
    let (second, _) = broker.connect_with(staying(Version::V5, "bob"));
    let again = drained(&mut broker, second);
    assert_eq!(again.iter().map(payload).collect::<Vec<_>>(), ["sent"]);
    assert!(again[0].dup);
    assert_eq!(broker.held().queued, 0);
}

#[test]
fn retained_message_that_a_client_must_not_receive_is_left_out() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice) = broker_forbidding(&["bob receives a/secret"]);
        for (packet_id, topic) in [(1, "a/1"), (2, "a/secret")] {
            let retained = Publish { retain: true, ..publish_1(packet_id, topic, topic) };
            broker.send(alice, &FromClient::Publish(retained));
        }
        let bob = bob(&mut broker, session_expiry_s, Qos::AtLeastOnce);
        assert_eq!(drained(&mut broker, bob).iter().map(payload).collect::<Vec<_>>(), ["a/1"]);
        assert_eq!(broker.held().queued, 0);
    }
}

#[test]
fn connect_whose_will_is_forbidden_is_refused() {
    for version in Version::ALL {
        for topic in ["no", "$SYS/broker", "$CONTROL/x"] {
            let mut broker = Broker::new();
            forbid(&mut broker, &["bob publishes no"]);
            let will = will("gone", 0).map(|will| Will { topic: name(topic), ..will });
            let connect = Connect { will, ..Connect::new(version, text("bob")) };
            let bob = broker.dial(&connect);
            assert_eq!(farewell(&mut broker, bob), Some(Reason::NOT_AUTHORIZED), "{topic}");
            assert_eq!(broker.sessions(), 0);
            let (eve, _) = broker.connect_with(Connect::new(version, text("eve")));
            assert!(broker.is_open(eve));
        }
    }
}

/// The client that is refused does not disturb the one that is connected.
#[test]
fn connect_whose_will_is_forbidden_takes_nothing_over() {
    let (mut broker, _) = broker_forbidding(&["bob publishes will"]);
    let (older, _) = broker.connect_with(staying(Version::V5, "bob"));
    let connect = Connect { will: will("gone", 0), ..staying(Version::V5, "bob") };
    let newer = broker.dial(&connect);
    assert!(broker.is_open(older));
    assert_eq!(farewell(&mut broker, newer), Some(Reason::NOT_AUTHORIZED));
}

#[test]
fn will_reaches_those_who_may_receive_it() {
    let (mut broker, _) = broker_forbidding(&["bob receives will"]);
    let bob = bob(&mut broker, 3_600, Qos::AtLeastOnce);
    let eve = broker.connect(Version::V5, "eve");
    subscribed(&mut broker, eve, "will", Qos::AtLeastOnce);
    let connect = Connect { will: will("gone", 0), ..Connect::new(Version::V5, text("dan")) };
    let (dan, _) = broker.connect_with(connect);
    broker.drop_socket(dan);
    assert_eq!(got(&mut broker, eve), ["gone"]);
    assert_eq!(got(&mut broker, bob), [""; 0]);
    assert_eq!(broker.held().queued, 0);
}

/// By user name where there is one, whatever client identifier comes with it.
#[test]
fn access_is_asked_with_the_name_that_was_proved() {
    let mut broker = Broker::new();
    forbid(&mut broker, &["mallory publishes a"]);
    let user_name: Option<Text> = Some(text("mallory"));
    let connect = Connect { user_name, ..Connect::new(Version::V5, text("alice")) };
    let (client, _) = broker.connect_with(connect);
    broker.send(client, &of_qos(Qos::AtLeastOnce, 1, "a", "x"));
    assert_eq!(reason(&broker.next_packet(client).unwrap()), Reason::NOT_AUTHORIZED);
}

#[test]
fn nobody_publishes_to_the_topics_of_the_broker() {
    let (mut broker, alice) = broker_forbidding(&[]);
    for (topic, expected) in [
        ("$SYS/x", Reason::NOT_AUTHORIZED),
        ("$CONTROL", Reason::NOT_AUTHORIZED),
        ("$SYSTEM/x", Reason::SUCCESS),
        ("a/$SYS", Reason::SUCCESS),
    ] {
        broker.send(alice, &of_qos(Qos::AtLeastOnce, 1, topic, "x"));
        assert_eq!(reason(&broker.next_packet(alice).unwrap()), expected, "{topic}");
    }
}
