//! §3.10 and §3.11: what ends with a subscription, and what does not.

use broker_core::codec::{
    Connect, FromClient, FromServer, Reason, Remarks, Unsuback, Unsubscribe, UserProperties,
};
use ha_types::Qos;

use crate::common::{client, got, staying, subscribed};
use crate::spec::broker::{Broker, Client};
use crate::spec::id;
use crate::spec::packets::{
    ack, publish, publish_1, publish_2, publishes, subscription, unsubscribe,
};

/// A broker with `alice`, who publishes, and `bob`, who has subscribed to all of these.
fn broker_with_bob(session_expiry_s: u32, filters: &[&str]) -> (Broker, Client, Client) {
    let mut broker = Broker::new();
    let alice = client(&mut broker, "alice");
    let (bob, _) = broker.connect_with(Connect { session_expiry_s, ..staying("bob") });
    for filter in filters {
        subscribed(&mut broker, bob, filter, Qos::ExactlyOnce);
    }
    (broker, alice, bob)
}

fn unsuback(packet_id: u16, reasons: &[Reason]) -> FromServer {
    let reasons = reasons.to_vec();
    FromServer::Unsuback(Unsuback {
        packet_id: id(packet_id),
        reasons,
        remarks: Remarks::default(),
    })
}

const NONE_EXISTED: Reason = Reason::NO_SUBSCRIPTION_EXISTED;

/// [MQTT-3.10.4-1]: only the filter with the same characters is deleted.
#[test]
fn filter_of_unsubscribe_is_compared_character_by_character() {
    let filters = ["a/b", "a/+", "#", "$share/g/a/b"];
    for session_expiry_s in [0, 3_600] {
        for (at, filter) in filters.iter().copied().enumerate() {
            let (mut broker, alice, bob) = broker_with_bob(session_expiry_s, &filters);
            for other in ["A/b", "a/b/", "+/b", "a/#", "$share/h/a/b", "+/+"] {
                broker.send(bob, &unsubscribe(1, other));
                assert_eq!(broker.received(bob), [unsuback(1, &[NONE_EXISTED])], "{other}");
            }
            broker.send(bob, &unsubscribe(2, filter));
            assert_eq!(broker.received(bob), [unsuback(2, &[Reason::SUCCESS])]);
            for (other_at, other) in filters.iter().copied().enumerate().skip(1) {
                let reason = if at == other_at { NONE_EXISTED } else { Reason::SUCCESS };
                broker.send(bob, &unsubscribe(3, other));
                assert_eq!(broker.received(bob), [unsuback(3, &[reason])], "{filter} {other}");
            }
            broker.send(alice, &FromClient::Publish(publish_1(1, "a/b", "x")));
            assert_eq!(got(&mut broker, bob).len(), usize::from(at != 0), "{filter}");
        }
    }
}

/// [MQTT-3.10.4-2]: nothing that is published after it is delivered, neither now nor to a session
/// that is resumed.
#[test]
fn nothing_new_is_delivered_after_unsubscribe() {
    for session_expiry_s in [0, 3_600] {
        for filter in ["a", "$share/g/a"] {
            let (mut broker, alice, bob) = broker_with_bob(session_expiry_s, &[filter, "b"]);
            broker.send(bob, &unsubscribe(1, filter));
            broker.received(bob);
            let packets = [
                publish("a", "0"),
                publish_1(1, "a", "1"),
                publish_2(2, "a", "2"),
                publish("b", "b"),
            ];
            for packet in packets {
                broker.send(alice, &FromClient::Publish(packet));
            }
            assert_eq!(got(&mut broker, bob), ["b"], "{filter}");
            broker.drop_socket(bob);
            broker.send(alice, &FromClient::Publish(publish_1(1, "a", "later")));
            let (bob, _) = broker.connect_with(staying("bob"));
            assert_eq!(got(&mut broker, bob), [""; 0], "{filter}");
        }
    }
}

/// [MQTT-3.10.4-3]: deliveries at QoS 1 and 2 that have begun are finished.
#[test]
fn deliveries_that_have_begun_are_finished_after_unsubscribe() {
    for session_expiry_s in [0, 3_600] {
        let (mut broker, alice, bob) = broker_with_bob(session_expiry_s, &["a"]);
        broker.send(alice, &FromClient::Publish(publish_1(1, "a", "1")));
        broker.send(alice, &FromClient::Publish(publish_2(2, "a", "2")));
        let sent = publishes(&broker.received(bob));
        let ids: Vec<_> = sent.iter().map(|sent| sent.flow.packet_id().unwrap().get()).collect();
        broker.send(bob, &unsubscribe(1, "a"));
        broker.received(bob);
        broker.send(bob, &ack(FromClient::Puback, ids[0]));
        broker.send(bob, &ack(FromClient::Pubrec, ids[1]));
        assert_eq!(broker.received(bob), [ack(FromServer::Pubrel, ids[1])]);
        broker.send(bob, &ack(FromClient::Pubcomp, ids[1]));
        assert_eq!(broker.received(bob), []);
    }
}

/// [MQTT-3.10.4-3], of a client that goes away in the middle: they are sent again.
#[test]
fn deliveries_that_have_begun_are_sent_again_also_after_unsubscribe() {
    let (mut broker, alice, bob) = broker_with_bob(3_600, &["a"]);
    broker.send(alice, &FromClient::Publish(publish_1(1, "a", "1")));
    broker.send(alice, &FromClient::Publish(publish_2(2, "a", "2")));
    let sent = publishes(&broker.received(bob));
    broker.send(bob, &unsubscribe(1, "a"));
    broker.drop_socket(bob);
    let (bob, _) = broker.connect_with(staying("bob"));
    let again = publishes(&broker.received(bob));
    assert_eq!(again.len(), 2);
    for (sent, again) in sent.iter().zip(&again) {
        assert!(again.dup && again.flow == sent.flow && again.payload == sent.payload);
    }
}

/// [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-2.2.1-6]: UNSUBACK has the packet identifier of its
/// UNSUBSCRIBE, and comes also when there was no subscription.
#[test]
fn unsuback_has_the_identifier_of_its_unsubscribe() {
    let (mut broker, _, bob) = broker_with_bob(0, &["a"]);
    for (packet_id, reason) in
        [(1, Reason::SUCCESS), (2, NONE_EXISTED), (65_535, NONE_EXISTED), (1, NONE_EXISTED)]
    {
        broker.send(bob, &unsubscribe(packet_id, "a"));
        assert_eq!(broker.received(bob), [unsuback(packet_id, &[reason])]);
    }
}

/// [MQTT-3.10.4-6], [MQTT-3.11.3-1]: several filters count as one after the other, and get one
/// UNSUBACK with a reason for each, in their order.
#[test]
fn unsuback_says_of_each_filter_in_order_what_became_of_it() {
    let (mut broker, alice, bob) = broker_with_bob(0, &["a", "b", "c"]);
    let filters = ["x", "a", "a", "c", "y"].map(subscription).to_vec();
    let user_properties = UserProperties::default();
    let packet = Unsubscribe { packet_id: id(5), user_properties, filters };
    broker.send(bob, &FromClient::Unsubscribe(packet));
    let ok = Reason::SUCCESS;
    let reasons = [NONE_EXISTED, ok, NONE_EXISTED, ok, NONE_EXISTED];
    assert_eq!(broker.received(bob), [unsuback(5, &reasons)]);
    for topic in ["a", "b", "c"] {
        broker.send(alice, &FromClient::Publish(publish(topic, topic)));
    }
    assert_eq!(got(&mut broker, bob), ["b"]);
}
